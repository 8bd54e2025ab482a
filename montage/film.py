"""From a timeline to a film: render what is not in the cache, join by stream copy, check, and only then
give the film its name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from threading import Lock
from typing import Any

from index.base import FILM_MARK, open_local
from montage import __version__
from montage.cache import LIMIT, Cache
from montage.captions import cues_of, srt_text
from montage.checks import Check, check_film
from montage.filters import comparable
from montage.formats import Fit, Format, Quality
from montage.process import Cancel
from montage.segments import Segment, find_segment, make_segment, segment_key
from montage.sound import Loudness, Mix, mix_sound, sound_key
from montage.timeline import Clip, Timeline
from montage.values import FilmError, MontageError

__all__ = ["Film", "Progress", "join_film", "render_timeline"]

Progress = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, what was just done), from any thread but never at once."""
SUFFIXES = (".mp4", ".m4v", ".mov")


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A rendered film and what is known about it."""

    path: Path
    captions: Path | None
    """The SRT file beside it, None if the film has no captions."""
    frames: int
    fps: Fraction
    size: tuple[int, int]
    """(width, height) in square pixels."""
    segments_rendered: int
    segments_reused: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall seconds by stage: ``segments`` (with the sound beside it), ``sound`` (what was left of it),
    ``join``, ``checks``, ``total``."""
    checks: tuple[Check, ...] = ()
    loudness: Loudness | None = None
    """None for a film without sound."""
    warnings: tuple[str, ...] = ()
    """What decoders said about sources that were rendered all the same."""

    @property
    def duration(self) -> Fraction:
        """Length in seconds."""
        return self.frames / self.fps

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def _repr_html_(self) -> str:
        from montage.pages import film_page

        return film_page(self)


class _Steps:
    """Counts finished steps across threads and tells the caller one at a time."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress, self._lock = 0, total, progress, Lock()

    def step(self, text: str) -> None:
        with self._lock:
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total, text)


def render_timeline(
    timeline: Timeline,
    output: Path | str,
    *,
    size: tuple[int, int] = (1920, 1080),
    fit: Fit = "crop",
    quality: Quality = "final",
    cache: Path,
    cache_limit: int = LIMIT,
    metadata: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    workers: int | None = None,
) -> Film:
    """Render a timeline to H.264 and AAC in MP4, with an SRT file of its captions beside it.

    Only clips whose segments are not in the cache are rendered; the rest is joined by stream copy. The
    film is written under a temporary name, opened and checked, and then renamed.

    Args:
        timeline: What to show.
        output: The film: a name ending in .mp4, .m4v or .mov. It is replaced if it exists.
        size: Width and height, even numbers of square pixels.
        fit: ``crop`` fills the frame and cuts off what sticks out, ``pad`` shows all with black bars.
        quality: ``final``, or ``draft``: quicker and larger files, picture checked at key frames only.
        cache: Folder of the segments.
        cache_limit: Bytes that folder may hold; what was used longest ago goes first, never this film's.
        metadata: Written into the container (``title``, ``comment`` ...).
        progress: Called with (done, total, text).
        cancel: Asked several times a second; true stops the work.
        workers: Clips rendered at a time; None for one a processor.

    Raises:
        MontageError: if a source is missing or too short, the size or name cannot be, or a file of that
            name is there that montage did not make.
        FilmError: if rendering fails, is cancelled, or a check fails; then the film is left for inspection
            as ``NAME.failed.mp4`` and a film of an earlier run stays as it was.
    """
    began = time.perf_counter()
    output = Path(output)
    if output.suffix.lower() not in SUFFIXES:
        raise MontageError(
            f"a film is written as {', '.join(SUFFIXES)}, got {output.name!r}: change its name"
        )
    try:
        form = Format(width=size[0], height=size[1], fps=timeline.fps, fit=fit, quality=quality)
    except ValueError as error:
        raise MontageError(f"this film cannot be made: {error}") from error
    for clip in timeline.picture:
        if not clip.source.is_file():
            raise MontageError(
                f"frames {clip.start} to {clip.end} show {clip.source}, which is not there: put it back, or "
                "index the footage again and plan anew"
            )
    _refuse_to_overwrite(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    store = Cache(cache, cache_limit)
    seconds: dict[str, float] = {}
    temporary = output.with_name(f".{output.stem}.tmp-{os.getpid()}{output.suffix}")
    mix: Mix | None = None
    try:
        segments, mix = _render_parts(timeline, form, store, progress, cancel, workers, seconds)
        at = time.perf_counter()
        join_film([segment.path for segment in segments], mix.path, temporary, form, metadata or {})
        seconds["join"] = time.perf_counter() - at
        at = time.perf_counter()
        same = [comparable(clip, form) for clip in timeline.picture]
        checks = check_film(temporary, timeline, form, segments, same, mix.planned, cancel=cancel)
        seconds["checks"] = time.perf_counter() - at
        for check in checks:
            if not check.passed:
                failed = output.with_name(f"{output.stem}.failed{output.suffix}")
                os.replace(temporary, failed)
                raise FilmError(
                    f"the film failed the check {check.name!r}: {check.detail}. It was left as {failed} for "
                    "inspection; remove the cache folder and render again, or choose another shot there"
                )
        captions = _write_captions(timeline, output)
        os.replace(temporary, output)
    finally:
        for leftover in (temporary, mix.path if mix is not None else None):
            if leftover is not None:
                with suppress(OSError):
                    leftover.unlink()
    store.prune(
        [segment.key for segment in segments]
        + [sound_key(clip, timeline.samples(clip)) for clip in timeline.picture if clip.audio]
    )
    seconds["total"] = time.perf_counter() - began
    unique = {segment.key: segment for segment in segments}
    reused = sum(segment.reused for segment in unique.values())
    return Film(
        path=output,
        captions=captions,
        frames=timeline.frames,
        fps=timeline.fps,
        size=size,
        segments_rendered=len(unique) - reused,
        segments_reused=reused,
        seconds=seconds,
        checks=checks,
        loudness=mix.loudness if mix.loudness.lufs is not None else None,
        warnings=tuple(
            f"{clip.source.name}: {line}"
            for clip, segment in zip(timeline.picture, segments, strict=True)
            for line in segment.warnings
        ),
    )


def _refuse_to_overwrite(output: Path) -> None:
    """Only a film of ours is replaced, and only the captions beside one: footage has such names, too."""
    import av

    if output.exists():
        try:
            with open_local(output) as film:
                ours = FILM_MARK in film.metadata
        except (OSError, av.error.FFmpegError):
            ours = False
        if not ours:
            raise MontageError(
                f"{output} is there and is no film of montage, so it is not replaced: name another with -o"
            )
    elif output.with_suffix(".srt").exists():
        raise MontageError(
            f"{output.with_suffix('.srt')} is there without a film of ours, so it is not replaced: "
            "remove it, or name another film with -o"
        )


def _render_parts(
    timeline: Timeline,
    form: Format,
    store: Cache,
    progress: Progress | None,
    cancel: Cancel | None,
    workers: int | None,
    seconds: dict[str, float],
) -> tuple[list[Segment], Mix]:
    """All segments, in order, and the sound, whose decoding shares the workers."""
    began = time.perf_counter()
    cores = os.cpu_count() or 1
    at_a_time = max(1, workers or cores)
    found: dict[str, Segment] = {}
    missing: dict[str, Clip] = {}
    for clip in timeline.picture:
        key = segment_key(clip, form)
        if key in found or key in missing:
            continue
        segment = find_segment(clip, form, store)
        if segment is None:
            missing[key] = clip
        else:
            found[key] = segment
    heard = sum(clip.audio for clip in timeline.picture)
    steps = _Steps(len(missing) + heard, progress)
    stop = False

    def stopped() -> bool:
        return stop or (cancel is not None and cancel())

    # Few clips on many processors share them; many clips get one each, which wastes least.
    threads = max(1, -(-cores // max(1, min(at_a_time, len(missing)))))

    def make(clip: Clip) -> Segment:
        if stopped():
            raise FilmError("cancelled before all segments were rendered")
        segment = make_segment(clip, form, store, threads=threads, cancel=stopped)
        steps.step(f"rendered {clip.frames} frames from {clip.source.name}")
        return segment

    def told(clip: Clip) -> None:
        steps.step(f"sound of {clip.source.name}")

    with ThreadPoolExecutor(at_a_time) as pool:
        # Longest first: no long clip is left for the end, when the other workers have nothing to do.
        order = sorted(missing, key=lambda key: -missing[key].frames)
        futures: dict[str, Future[Segment]] = {key: pool.submit(make, missing[key]) for key in order}
        try:
            mix = mix_sound(timeline, store, quality=form.quality, pool=pool, done=told, cancel=stopped)
            try:
                for key, future in futures.items():
                    found[key] = future.result()
            except BaseException:
                with suppress(OSError):
                    mix.path.unlink()
                raise
        except BaseException:
            stop = True
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    seconds["segments"] = time.perf_counter() - began
    return [found[segment_key(clip, form)] for clip in timeline.picture], mix


def join_film(
    segments: Sequence[Path], sound: Path, output: Path, form: Format, metadata: Mapping[str, str]
) -> None:
    """Join segments and sound into one file without encoding anything.

    Every packet is put at its frame's place on the film's own clock, whatever its segment's container
    says, so that no join shifts what follows it: shown where its frame belongs, decoded one frame after
    the packet before it, with one reordering delay for the whole film (a very short segment by itself
    would have less).

    Raises:
        MontageError: if a segment's codec parameters differ from those of the first.
    """
    import av

    delay = max(_delay(path, form) for path in dict.fromkeys(segments))
    # Without use_metadata_tags the container drops every name that is not one of its own.
    options = {"movflags": "+faststart+use_metadata_tags", "write_tmcd": "0"}
    with av.open(str(output), "w", format="mp4", options=options) as film:
        film.metadata.update({FILM_MARK: __version__, **metadata})
        picture: Any = None
        header: bytes | None = None
        with open_local(sound) as source:
            with open_local(segments[0]) as first:
                picture = film.add_stream_from_template(first.streams.video[0])
                picture.time_base = Fraction(1, form.timescale)
                header = first.streams.video[0].codec_context.extradata
            voice = film.add_stream_from_template(source.streams.audio[0])
            waiting = source.demux(source.streams.audio[0])
            pending = next(waiting)
            start = 0
            for path in segments:
                with open_local(path) as piece:
                    stream = piece.streams.video[0]
                    if stream.codec_context.extradata != header:
                        raise MontageError(
                            f"the segment {path.name} was encoded with other settings than the first: "
                            "remove the cache folder and render again"
                        )
                    scale = Fraction(stream.time_base or 1) * form.timescale
                    count = 0
                    for packet in piece.demux(stream):
                        if packet.pts is None or packet.dts is None:
                            continue
                        packet.pts = start * form.ticks + int(packet.pts * scale)
                        packet.dts = (start + count - delay) * form.ticks
                        packet.duration = form.ticks
                        packet.time_base = Fraction(1, form.timescale)
                        packet.stream = picture
                        # Interleaved by time, so that a player never has to look far ahead.
                        now = Fraction(packet.dts, form.timescale)
                        while pending.dts is not None and pending.dts * pending.time_base <= now:
                            pending.stream = voice
                            film.mux(pending)
                            pending = next(waiting)
                        film.mux(packet)
                        count += 1
                start += count
            while pending.dts is not None:
                pending.stream = voice
                film.mux(pending)
                pending = next(waiting)


def _delay(path: Path, form: Format) -> int:
    """By how many frames decoding runs ahead of showing in a segment."""

    with open_local(path) as piece:
        first = next(piece.demux(piece.streams.video[0]))
        if first.pts is None or first.dts is None:
            return 0
        return round(Fraction(first.pts - first.dts) * Fraction(first.time_base or 1) * form.fps)


def _write_captions(timeline: Timeline, output: Path) -> Path | None:
    """Write the SRT file beside the film; a stale one of an earlier run goes if there are none now."""
    path = output.with_suffix(".srt")
    cues = cues_of(timeline)
    if not cues:
        path.unlink(missing_ok=True)
        return None
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        temporary.write_text(srt_text(cues), encoding="utf-8", newline="\n")
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()
    return path
