"""One clip, one segment file: decoded from the right frame, fitted, set to the grid, encoded, verified.

Segments of one film share codec parameters and time base and begin with a key frame of a closed GOP, so
that they join by stream copy. A segment's name is the hash of everything that shapes its pixels.
"""

from __future__ import annotations

import base64
import json
import zlib
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from index.base import file_sha256
from montage.cache import Cache, key_of
from montage.process import Cancel, as_input, run_ffmpeg
from montage.timeline import Clip
from montage.values import MontageError

__all__ = [
    "THUMB",
    "Fit",
    "Format",
    "Quality",
    "Segment",
    "Thumbs",
    "comparable",
    "find_segment",
    "make_segment",
    "segment_key",
    "thumbs_of",
]

Fit = Literal["crop", "pad"]
"""Fill the frame and cut off what sticks out, or show all with black bars."""
Quality = Literal["final", "draft"]
Thumbs = NDArray[np.uint8]
"""(frames, THUMB, THUMB) luma, full range."""

THUMB = 24
"""Side of the thumbnails by which segments are checked, pixels."""
VERSION = 1
"""Part of every key: raise it when the same inputs would give other pixels."""
TOLERANCE = Fraction(2, 1000)
"""Seconds by which a timestamp may be late and still count as on time: containers such as Matroska round
timestamps to a millisecond, and so do project files with in-points."""
PAD_SECONDS = Fraction(1, 2)
"""The last frame is held for this long at most where a source ends early; more is an error."""
MARGIN = Fraction(3, 10)
"""Seconds before the in-point at which reading starts, beyond what the key frame asks."""
LOOSE_MARGIN = Fraction(3)
"""The same for containers without an index, in which a seek may land late."""
INDEXED = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".webm", ".3gp"})
HDR_TRANSFERS = frozenset({"smpte2084", "arib-std-b67"})
"""PQ (SMPTE ST 2084) and HLG (ARIB STD-B67)."""
HDR_PEAK = 203
"""Nits of diffuse white in an HDR source (ITU-R BT.2408)."""
_SCALE_MATRICES = {
    "bt709": "bt709", "smpte170m": "smpte170m", "bt470bg": "bt470", "fcc": "fcc", "smpte240m": "smpte240m",
    "bt2020nc": "bt2020", "bt2020c": "bt2020",
}  # fmt: skip
_FILTER_MATRICES = {"bt470": "bt470bg", "bt2020": "bt2020nc"}
_TAGS = "range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How the film's picture is made.

    Raises:
        ValueError: if the size is odd or too small, the rate not positive, or a name unknown.
    """

    width: int
    height: int
    """Square pixels."""
    fps: Fraction
    fit: Fit = "crop"
    quality: Quality = "final"

    def __post_init__(self) -> None:
        if self.width < 16 or self.height < 16 or self.width % 2 or self.height % 2:
            raise ValueError(
                f"a film's sides are even numbers of at least 16 pixels, got {self.width}x{self.height}"
            )
        if self.fps <= 0:
            raise ValueError(f"fps must be positive, got {self.fps}")
        if self.fit not in get_args(Fit) or self.quality not in get_args(Quality):
            raise ValueError(f"unknown fit or quality, got {self.fit!r} and {self.quality!r}")

    @property
    def timescale(self) -> int:
        """Ticks a second of the film's clock: a whole number of ticks a frame, at least 10,000 a second."""
        return self.fps.numerator * -(-10_000 // self.fps.numerator)

    @property
    def ticks(self) -> int:
        """Ticks a frame."""
        return int(self.timescale / self.fps)

    @property
    def encoder(self) -> tuple[str, ...]:
        """ffmpeg's options for the encoder; part of every segment's key."""
        if self.quality == "draft":
            preset, crf, seconds = "ultrafast", "25", 10
        else:
            preset, crf, seconds = "veryfast", "18", 2
        group = max(1, round(self.fps * seconds))
        return (
            "-c:v", "libx264", "-preset", preset, "-crf", crf, "-pix_fmt", "yuv420p",
            "-x264-params", f"open-gop=0:stitchable=1:keyint={group}:min-keyint=1",
            "-color_range", "tv", "-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709",
        )  # fmt: skip


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
            "colour": _colour_in(clip),
        }
    )


def _colour_in(clip: Clip) -> tuple[str, str, bool]:
    """(matrix for swscale or empty, transfer if HDR or empty, whether there is alpha)."""
    media = clip.media
    if media is None:
        return "", "", False
    matrix = _SCALE_MATRICES.get(media.matrix, "")
    rgb = any(name in media.pixel_format for name in ("rgb", "bgr", "gbr", "argb", "pal8"))
    if not matrix and not rgb:
        # Untagged footage: high definition is BT.709, less is BT.601, as players assume.
        matrix = "bt709" if max(media.width, media.height) >= 1280 else "smpte170m"
    transfer = media.transfer if media.transfer in HDR_TRANSFERS else ""
    alpha = media.pixel_format.startswith(("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16"))
    return ("" if rgb else matrix), transfer, alpha


def comparable(clip: Clip, form: Format) -> bool:
    """Whether the film's picture may be compared with its source's, thumbnail by thumbnail.

    Not after tone mapping or blending, and not where so few pixels of the source are seen that rounding
    them moves the picture.
    """
    _, hdr, alpha = _colour_in(clip)
    if hdr or alpha:
        return False
    if clip.media is None:
        return True
    width, height = clip.media.display_size
    aspect = form.width / form.height
    if form.fit == "crop":
        return min(width, height * aspect, height, width / aspect) >= 4 * THUMB
    return min(THUMB, THUMB * width / height / aspect, THUMB * height * aspect / width) >= THUMB / 4


def _timing(clip: Clip, form: Format) -> str:
    """Filters that put on each frame of the grid the source frame that is on screen at that moment."""
    begin = round((clip.origin + clip.span.start) * 1_000_000)
    early = round(min(TOLERANCE, Fraction(1, 5) / form.fps) * 1_000_000)
    pad = max(1, int(PAD_SECONDS * form.fps))
    return (
        f"settb=AVTB,setpts='(PTS-{begin})*{clip.speed.denominator}/{clip.speed.numerator}-{early}',"
        f"fps={form.fps.numerator}/{form.fps.denominator}:start_time=0:round=up,"
        f"tpad=stop={pad}:stop_mode=clone,trim=end_frame={clip.frames},"
        f"settb={form.fps.denominator}/{form.fps.numerator},setpts=N"
    )


def _fitting(clip: Clip, form: Format) -> str:
    """Filters that bring the picture to the film's size and colours, in square pixels."""
    matrix, transfer, alpha = _colour_in(clip)
    width, height = form.width, form.height
    flags = "fast_bilinear" if form.quality == "draft" else "bicubic"
    if form.fit == "crop":
        size = f"w='max({width},2*round({height}*dar/2))':h='max({height},2*round({width}/dar/2))'"
        frame = f"crop={width}:{height}"
    else:
        size = (
            f"w='max(2,min({width},2*round({height}*dar/2)))':h='max(2,min({height},2*round({width}/dar/2)))'"
        )
        frame = f"pad={width}:{height}:-1:-1:black"
    chain = ["premultiply=inplace=1"] if alpha else []
    if transfer:
        chain += [
            f"scale={size}:flags={flags}",
            f"zscale=tin={transfer}:pin=bt2020:min=bt2020nc:t=linear:npl={HDR_PEAK}",
            "format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv",
        ]
    else:
        # swscale changes a matrix by way of RGB, slowly and a level too dark; the colorspace filter does
        # not. Primaries and transfer are the same to the eye in all of SDR and stay as they are.
        stay = matrix or "bt709"
        into = f"in_color_matrix={stay}:" if matrix else ""
        chain.append(f"scale={size}:flags={flags}:{into}out_color_matrix={stay}:out_range=tv")
        chain.append("format=yuv420p")
        if stay != "bt709":
            name = _FILTER_MATRICES.get(stay, stay)
            chain.append(f"setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace={name}")
            chain.append("colorspace=space=bt709:trc=bt709:primaries=bt709:range=tv:format=yuv420p")
    chain += ["format=yuv420p", frame, "setsar=1", f"setparams={_TAGS}"]
    return ",".join(chain)


def _thumbing(form: Format) -> str:
    """Filters that make the thumbnails of what is planned straight from the source's frames."""
    aspect = form.width / form.height
    if form.fit == "crop":
        fit = f"crop=w='min(iw,ih*{aspect}/(dar*ih/iw))':h='min(ih,iw*(dar*ih/iw)/{aspect})',"
        return f"{fit}scale={THUMB}:{THUMB}:flags=area:out_range=pc,format=gray"
    size = f"w='max(2,round({THUMB}*min(1,dar/{aspect})))':h='max(2,round({THUMB}*min(1,{aspect}/dar)))'"
    return f"scale={size}:flags=area:out_range=pc,format=gray,pad={THUMB}:{THUMB}:-1:-1:black"


def make_segment(
    clip: Clip, form: Format, cache: Cache, *, threads: int = 1, cancel: Cancel | None = None
) -> Segment:
    """Render a clip, verify it, and put it into the cache.

    Raises:
        MontageError: if the source ends before the clip does.
        FilmError: if it cannot be rendered or was cancelled.
    """
    from montage.checks import segment_problems

    key = segment_key(clip, form)
    begin = clip.origin + clip.span.start
    margin = MARGIN if clip.source.suffix.lower() in INDEXED else LOOSE_MARGIN
    seek: tuple[str, ...] = ()
    if clip.span.start > margin:
        seek = ("-seek_timestamp", "1", "-noaccurate_seek", "-ss", f"{float(begin - margin):.6f}")
    video = cache.temporary(".mp4")
    what = (
        f"render frames {clip.start} to {clip.end} from {clip.source.name} at {float(clip.span.start):.3f} s"
    )
    graph = (
        f"[0:v:0]bwdif=mode=send_frame:deint=interlaced,{_timing(clip, form)},split=2[a][b];"
        f"[a]{_fitting(clip, form)}[v];[b]{_thumbing(form)}[t]"
    )
    try:
        raw, said = run_ffmpeg(
            [
                "-threads", str(threads), *seek, "-copyts", "-i", as_input(clip.source),
                "-filter_complex_threads", str(threads), "-filter_complex", graph,
                "-map", "[v]", "-map_metadata", "-1", "-map_chapters", "-1", "-write_tmcd", "0", "-an",
                *form.encoder, "-threads", str(threads),
                "-fps_mode", "passthrough", "-video_track_timescale", str(form.timescale), "-f", "mp4",
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
        problems = segment_problems(
            video,
            planned,
            form,
            compare=comparable(clip, form),
            cancel=cancel,
        )
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
        path = cache.keep(video, key, ".mp4")
    finally:
        with suppress(OSError):
            video.unlink()
    return Segment(
        key=key, path=path, frames=clip.frames, planned=planned, problems=tuple(problems), warnings=warnings
    )


def _as_thumbs(raw: bytes) -> Thumbs:
    whole = len(raw) // (THUMB * THUMB)
    return np.frombuffer(raw[: whole * THUMB * THUMB], dtype=np.uint8).reshape(whole, THUMB, THUMB)


def find_segment(clip: Clip, form: Format, cache: Cache) -> Segment | None:
    """The clip's segment if the cache holds it whole and unaltered, else None."""
    key = segment_key(clip, form)
    path, record = cache.find(key, ".mp4"), cache.find(key, ".json")
    if path is None or record is None:
        return None
    try:
        note = json.loads(record.read_text(encoding="utf-8"))
        if note["sha256"] != file_sha256(path) or note["frames"] != clip.frames:
            return None
        planned = _as_thumbs(zlib.decompress(base64.b64decode(note["planned"])))
        problems, warnings = tuple(note["problems"]), tuple(note["warnings"])
    except (OSError, ValueError, KeyError, TypeError, zlib.error):
        return None  # a damaged record is as good as none: the segment is made anew
    if problems:
        return None
    return Segment(
        key=key,
        path=path,
        frames=clip.frames,
        planned=planned,
        warnings=warnings,
        reused=True,
    )


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
