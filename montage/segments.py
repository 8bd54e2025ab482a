"""One clip, one segment file: decoded from the right frame, fitted, set to the grid, encoded, verified.

Segments of one film share codec parameters and time base and begin with a key frame of a closed GOP, so
that they join by stream copy. A segment's name is the hash of everything that shapes its pixels.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.base import file_sha256
from montage.burning import burn_filter
from montage.cache import Cache, key_of
from montage.filters import HLG, THUMB, WOVEN, colour_in, fitting, graph, quoted, timing
from montage.formats import Format
from montage.process import Cancel, as_input, run_ffmpeg
from montage.timeline import Clip
from montage.tonemapping import write_hlg_table
from montage.values import MontageError

__all__ = [
    "Segment",
    "Thumbs",
    "find_segment",
    "load_segment",
    "make_segment",
    "segment_key",
    "stream_frames",
    "thumbs_of",
]

Thumbs = NDArray[np.uint8]
"""(frames, THUMB, THUMB) luma, full range."""

VERSION = 5
"""Part of every key: raise it when the same inputs would give other pixels."""
MARGIN = Fraction(3, 10)
"""Seconds before the in-point at which reading starts, beyond what the key frame asks."""
LOOSE_MARGIN = Fraction(3)
"""The same for containers without an index, in which a seek may land late."""
INDEXED = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".webm", ".3gp"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segment:
    """A rendered clip in the cache."""

    key: str
    path: Path
    frames: int
    planned: Thumbs
    """What the source shows at each frame of the segment."""
    problems: tuple[str, ...] = ()
    """What the check of its pixels found; empty where it is as planned."""
    warnings: tuple[str, ...] = ()
    """What the decoder said about the source."""
    reused: bool = False


def segment_key(clip: Clip, form: Format) -> str:
    """The name of a clip's segment: equal for equal pixels, wherever in the film the clip lies."""
    return key_of(
        {
            "version": VERSION,
            "content": clip.content,
            "start": clip.span.start,
            "origin": clip.origin,
            "frames": clip.frames,
            "speed": clip.speed,
            "fps": form.fps,
            "size": [form.width, form.height],
            "fit": form.fit,
            "quality": form.quality,
            "encoder": form.encoder,
            "colour": colour_in(clip),
            "framing": [clip.framing.first, clip.framing.last],
            "grade": [clip.grade.gain, clip.grade.blue, clip.grade.red],
            "fades": [clip.fade_in, clip.fade_out],
            "slow": form.slow if clip.speed < 1 else "",
            "burn": "" if clip.burn is None else clip.burn.key,
            "under": None if clip.under is None else segment_key(clip.under, form),
        }
    )


def _source(clip: Clip, threads: int) -> list[str]:
    """ffmpeg's options that open a clip's source somewhat before its in-point."""
    begin = clip.origin + clip.span.start
    margin = MARGIN if clip.source.suffix.lower() in INDEXED else LOOSE_MARGIN
    seek: tuple[str, ...] = ()
    if clip.span.start > margin:
        seek = ("-seek_timestamp", "1", "-noaccurate_seek", "-ss", f"{float(begin - margin):.6f}")
    return ["-threads", str(threads), *_decoder(clip), *seek, "-copyts", "-i", as_input(clip.source)]


def _decoder(clip: Clip) -> list[str]:
    """The decoder that reads a WebM's transparency, which ffmpeg's own leaves out."""
    media = clip.media
    if media is None or not media.pixel_format.startswith("yuva") or media.codec not in {"vp8", "vp9"}:
        return []
    return ["-c:v", "libvpx" if media.codec == "vp8" else "libvpx-vp9"]


def make_segment(
    clip: Clip,
    form: Format,
    cache: Cache,
    *,
    key: str = "",
    threads: int = 1,
    cancel: Cancel | None = None,
) -> Segment:
    """Render a clip, verify it, and put it into the cache under ``key``, or ``segment_key``'s if empty.

    Raises:
        MontageError: if the source ends before the clip does.
        FilmError: if it cannot be rendered or was cancelled.
    """
    from montage.checks import segment_problems

    key = key or segment_key(clip, form)
    video = cache.temporary(form.suffix)
    what = (
        f"render frames {clip.start} to {clip.end} from {clip.source.name} at {float(clip.span.start):.3f} s"
    )
    sources = [*_source(clip, threads), *([] if clip.under is None else _source(clip.under, threads))]
    hlg = any(colour_in(shown)[1] == HLG for shown in (clip, clip.under) if shown is not None)
    aids = tempfile.TemporaryDirectory(prefix="montage-") if clip.burn is not None or hlg else None
    try:
        burn = table = ""
        if aids is not None:
            folder = Path(aids.name)
            burn = burn_filter(clip.burn, folder) if clip.burn is not None else ""
            table = quoted(write_hlg_table(folder / "hlg.cube")) if hlg else ""
        raw, said = run_ffmpeg(
            [
                *sources,
                "-filter_complex_threads", str(threads), "-filter_complex", graph(clip, form, burn, table),
                "-map", "[v]", "-map_metadata", "-1", "-map_chapters", "-1", "-write_tmcd", "0", "-an",
                *form.encoder, "-threads", str(threads),
                "-fps_mode", "passthrough", "-video_track_timescale", str(form.timescale),
                "-f", form.suffix.removeprefix("."),
                as_input(video),
                "-map", "[t]", "-fps_mode", "passthrough", "-c:v", "rawvideo", "-pix_fmt", "gray",
                "-f", "rawvideo", "pipe:1",
            ],
            what=what,
            cancel=cancel,
        )  # fmt: skip
        planned = _as_thumbs(raw)
        if len(planned) != clip.frames:
            missing = (clip.frames - len(planned)) / form.fps * clip.speed
            raise MontageError(
                f"cannot {what}: the source gives {len(planned)} of {clip.frames} frames, "
                f"{float(missing):.2f} s too little; index the footage again or choose another shot"
                + (f" ({said.splitlines()[-1]})" if said else "")
            )
        problems = segment_problems(video, planned, form, clip, cancel=cancel)
        warnings = tuple(dict.fromkeys(said.splitlines()))[:5]
        note = {
            "frames": clip.frames,
            "sha256": file_sha256(video),
            "planned": base64.b64encode(zlib.compress(planned.tobytes(), 1)).decode("ascii"),
            "problems": problems,
            "warnings": warnings,
        }
        record = cache.temporary(".json")
        record.write_text(json.dumps(note, sort_keys=True), encoding="utf-8")
        cache.keep(record, key, ".json")
        path = cache.keep(video, key, form.suffix)
    finally:
        with suppress(OSError):
            video.unlink()
        if aids is not None:
            aids.cleanup()
    return Segment(
        key=key, path=path, frames=clip.frames, planned=planned, problems=tuple(problems), warnings=warnings
    )


def stream_frames(clip: Clip, form: Format, cancel: Cancel | None = None) -> Iterator[NDArray[np.uint8]]:
    """The frames that a segment of the clip would hold, (height, width, 3) RGB, one after the other.

    Raises:
        MontageError: if the source ends before the clip does.
        FilmError: if it cannot be decoded or was cancelled.
    """
    what = f"decode {clip.source.name} at {float(clip.span.start):.3f} s"
    size = form.width * form.height * 3
    with tempfile.TemporaryDirectory(prefix="montage-") as folder, ThreadPoolExecutor(1) as pool:
        hlg = colour_in(clip)[1] == HLG
        table = quoted(write_hlg_table(Path(folder) / "hlg.cube")) if hlg else ""
        chain = (
            f"[0:v:0]{WOVEN},{timing(clip, form)},{fitting(clip, form, table)},"
            "scale=in_color_matrix=bt709:in_range=tv:out_range=pc:flags=accurate_rnd+full_chroma_int,"
            "format=rgb24[v]"
        )
        ours, theirs = os.pipe()
        stopped = False

        def decode() -> None:
            with open(theirs, "wb") as pipe:
                run_ffmpeg(
                    [
                        *_source(clip, 1), "-filter_complex", chain, "-map", "[v]", "-an",
                        "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1",
                    ],
                    what=what,
                    cancel=lambda: stopped or (cancel is not None and cancel()),
                    into=pipe,
                    shielded=True,
                )  # fmt: skip

        with open(ours, "rb") as pipe:
            ended = pool.submit(decode)
            try:
                for number in range(clip.frames):
                    data = pipe.read(size)
                    if len(data) < size:
                        ended.result()
                        raise MontageError(
                            f"cannot {what}: the source gives {number} of {clip.frames} frames; index the "
                            "footage again or choose another shot"
                        )
                    yield np.frombuffer(data, np.uint8).reshape(form.height, form.width, 3)
                ended.result()
            finally:
                stopped = True


def _as_thumbs(raw: bytes) -> Thumbs:
    whole = len(raw) // (THUMB * THUMB)
    return np.frombuffer(raw[: whole * THUMB * THUMB], dtype=np.uint8).reshape(whole, THUMB, THUMB)


def find_segment(clip: Clip, form: Format, cache: Cache) -> Segment | None:
    """The clip's segment if the cache holds it whole and unaltered, else None."""
    return load_segment(segment_key(clip, form), clip.frames, form, cache)


def load_segment(key: str, frames: int, form: Format, cache: Cache) -> Segment | None:
    """The segment of this name and length if the cache holds it whole and unaltered, else None."""
    path, record = cache.find(key, form.suffix), cache.find(key, ".json")
    if path is None or record is None:
        return None
    try:
        note = json.loads(record.read_text(encoding="utf-8"))
        if note["sha256"] != _sha256(path) or note["frames"] != frames:
            return None
        planned = _as_thumbs(zlib.decompress(base64.b64decode(note["planned"])))
        problems, warnings = tuple(note["problems"]), tuple(note["warnings"])
    except (OSError, ValueError, KeyError, TypeError, zlib.error):
        return None  # a damaged record is as good as none: the segment is made anew
    if problems:
        return None
    return Segment(key=key, path=path, frames=frames, planned=planned, warnings=warnings, reused=True)


_hashes: dict[tuple[str, int, int, int], str] = {}
"""Path, inode, size and time of change of files that this process has hashed, and their hash."""


def _sha256(path: Path) -> str:
    """A file's hash, remembered as long as the file is not written to."""
    status = path.stat()
    name = str(path), status.st_ino, status.st_size, status.st_mtime_ns
    if name not in _hashes:
        _hashes[name] = file_sha256(path)
    return _hashes[name]


def thumbs_of(path: Path, *, cancel: Cancel | None = None) -> tuple[Thumbs, str]:
    """Every frame of a file as a thumbnail, and what the decoder complained about.

    Raises:
        FilmError: if it cannot be decoded at all.
    """
    raw, said = run_ffmpeg(
        [
            # Deblocking takes time, and nothing of it is seen at this size.
            "-threads", "1", "-skip_loop_filter", "all", "-i", as_input(path),
            "-map", "0:v:0", "-fps_mode", "passthrough",
            "-vf", f"scale={THUMB}:{THUMB}:flags=area:out_range=pc,format=gray",
            "-f", "rawvideo", "pipe:1",
        ],
        what=f"decode {path.name}",
        cancel=cancel,
        level="warning",
    )  # fmt: skip
    return _as_thumbs(raw), said
