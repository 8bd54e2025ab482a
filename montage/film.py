"""From a timeline to a film: render what is not in the cache, join by stream copy, check, and only then
give the film its name."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from pathlib import Path

from index.base import is_film, open_local
from montage.burning import with_burnt_captions
from montage.cache import LIMIT, Cache, remove_stale
from montage.captions import cues_of
from montage.checks import Check, check_captions, check_film, check_sound
from montage.formats import (
    CONTAINERS,
    DRAFT_SOUND,
    CodecName,
    Container,
    Fit,
    Format,
    Quality,
    Slow,
    choose_encoder,
    draft_size,
)
from montage.joining import join_film
from montage.mixing import Levels
from montage.parts import Parts, Progress, Steps, render_parts
from montage.process import Cancel
from montage.sound import Loudness, Mix, mix_sound
from montage.subtitles import (
    CAPTION_FORMATS,
    is_as_written,
    keep_edited,
    note_written,
    remove_obsolete,
    write_captions,
)
from montage.timeline import Clip, Timeline
from montage.values import FilmError, MontageError

__all__ = ["Film", "Progress", "render_timeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A rendered film and what is known about it."""

    path: Path
    captions: tuple[Path, ...]
    """The caption files beside it."""
    frames: int
    fps: Fraction
    size: tuple[int, int]
    """(width, height) in square pixels."""
    segments_rendered: int
    segments_reused: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall seconds by stage: ``parts`` (segments or proxies, the sound beside them), ``sound``, ``join``,
    ``checks``, ``total``."""
    checks: tuple[Check, ...] = ()
    loudness: Loudness | None = None
    """None for a film without sound."""
    warnings: tuple[str, ...] = ()
    """What decoders said about sources that were rendered all the same."""
    kept: tuple[Path, ...] = ()
    """Captions that had been changed by hand since they were written, under the names they have now."""

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


def render_timeline(
    timeline: Timeline,
    output: Path | str,
    *,
    size: tuple[int, int] = (1920, 1080),
    fit: Fit = "crop",
    quality: Quality = "final",
    codec: CodecName | None = None,
    encoder_video: str = "cpu",
    slow: Slow = "blend",
    captions: Sequence[str] = ("srt",),
    burn_captions: bool = False,
    levels: Levels | None = None,
    cache: Path,
    cache_limit: int = LIMIT,
    metadata: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    workers: int | None = None,
) -> Film:
    """Render a timeline, with an SRT file of its captions beside it.

    Only clips whose segments are not in the cache are rendered; the rest is joined by stream copy. The
    film is written under a temporary name, opened and checked, and then renamed.

    Args:
        timeline: What to show.
        output: The film; its suffix names the container (``formats.CONTAINERS``). It is replaced if there.
        size: Width and height, even numbers of square pixels.
        fit: ``crop`` fills the frame and cuts off what sticks out, ``pad`` shows all with black bars.
        quality: ``final``, or ``draft``: 540 pixels high, joined from proxies without encoding.
        codec: The picture's; None for the container's first.
        slow: What is shown between the pictures of slowed footage.
        captions: Formats of the caption files beside the film: some of srt, vtt and ass.
        levels: How loud the film and its parts are; None for -14 LUFS and the usual balance.
        burn_captions: Draw them into the picture, too; a draft has none there.
        encoder_video: ``cpu``; ``auto`` for graphics hardware where it works; or ffmpeg's name of an encoder.
        cache: Folder of the segments and proxies.
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
    import av

    began = time.perf_counter()
    output = Path(output)
    form, container = _formatted(output, timeline.fps, size, fit, quality, codec, encoder_video, slow)
    for clip in timeline.picture:
        if not clip.source.is_file():
            raise MontageError(
                f"frames {clip.start} to {clip.end} show {clip.source}, which is not there: put it back, or "
                "index the footage again and plan anew"
            )
    cues = cues_of(timeline)
    written = [output.with_suffix(f".{name}") for name in captions] if cues else []
    for name in captions:
        if name not in CAPTION_FORMATS:
            raise MontageError(f"captions are written as {', '.join(CAPTION_FORMATS)}, got {name!r}")
    store = Cache(cache, cache_limit)
    _refuse_to_overwrite(output, written, timeline, store)
    labelled = any(clip.label for clip in timeline.picture)
    if (burn_captions or labelled) and quality == "final":
        timeline = with_burnt_captions(timeline, cues if burn_captions else (), size)
    seconds: dict[str, float] = {}
    temporary = output.with_name(f".{output.stem}.tmp-{os.getpid()}{output.suffix}")
    mix: Mix | None = None
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(output.parent, f".{output.stem}.tmp-")
        parts, mix, checks = _render(
            timeline, form, container, levels, store, progress, cancel, workers, seconds
        )
        at = time.perf_counter()
        sums = join_film(parts.parts, mix.path, temporary, form, metadata or {}, muxer=container.muxer)
        seconds["join"] = time.perf_counter() - at
        at = time.perf_counter()
        checks = [*check_film(temporary, timeline, form, parts.shown, sums), *checks, check_captions(cues)]
        seconds["checks"] = time.perf_counter() - at
        for check in checks:
            if not check.passed:
                names = (output.with_name(f"{output.stem}.failed{n or ''}{output.suffix}") for n in count())
                failed = next(name for name in names if not name.exists() or _is_ours(name))
                os.replace(temporary, failed)
                raise FilmError(
                    f"the film failed the check {check.name!r}: {check.detail}. It was left as {failed} for "
                    "inspection; remove the cache folder and render again, or choose another shot there"
                )
        kept = keep_edited(written, store)
        for path in written:
            note_written(write_captions(cues, path, size=size), store)
        if not _others(output):
            remove_obsolete(output, written, store)
        os.replace(temporary, output)
    except OSError as error:  # of the disk, as a rule
        named = f" ({error.filename})" if error.filename else ""
        raise FilmError(
            f"cannot make {output}: {error.strerror or error}{named}; make room or name another place with "
            "-o, and run again"
        ) from error
    except av.error.FFmpegError as error:
        raise FilmError(
            f"cannot make {output}: {error}; remove the cache folder {cache} and run again"
        ) from error
    finally:
        for leftover in (temporary, mix.path if mix is not None else None):
            if leftover is not None:
                with suppress(OSError):
                    leftover.unlink()
    store.prune([*parts.keys, *mix.keys])
    seconds["total"] = time.perf_counter() - began
    return Film(
        path=output,
        captions=tuple(written),
        frames=timeline.frames,
        fps=timeline.fps,
        size=(form.width, form.height),
        segments_rendered=parts.rendered,
        segments_reused=parts.reused,
        seconds=seconds,
        checks=tuple(checks),
        loudness=mix.loudness if mix.loudness.lufs is not None else None,
        warnings=parts.warnings,
        kept=tuple(kept),
    )


def _formatted(
    output: Path,
    fps: Fraction,
    size: tuple[int, int],
    fit: Fit,
    quality: Quality,
    codec: CodecName | None,
    encoder_video: str,
    slow: Slow,
) -> tuple[Format, Container]:
    """How the film is made, by what was asked for and by its name.

    Raises:
        MontageError: if these do not go together.
    """
    container = CONTAINERS.get(output.suffix.lower())
    if container is None:
        raise MontageError(
            f"a film is written as {', '.join(CONTAINERS)}, got {output.name!r}: change its name"
        )
    if quality == "draft":
        if container.muxer != "mp4" or (codec or "h264") != "h264":
            raise MontageError(
                f"a draft is H.264 in MP4, so it cannot be {codec or output.suffix}: name it "
                f"{output.stem}.mp4 without a codec, or render it in final quality"
            )
        chosen: CodecName = "h264"
        size, encoder = draft_size(size), ""
    else:
        chosen = codec or container.codecs[0]
        if chosen not in container.codecs:
            raise MontageError(
                f"{output.suffix} does not hold {chosen} here: use {' or '.join(container.codecs)}, or name "
                f"the film {' or '.join(suffix for suffix, c in CONTAINERS.items() if chosen in c.codecs)}"
            )
        encoder = choose_encoder(chosen, encoder_video)
    try:
        form = Format(
            width=size[0],
            height=size[1],
            fps=fps,
            fit=fit,
            quality=quality,
            codec=chosen,
            slow=slow if quality == "final" else "repeat",
            video_encoder=encoder,
        )
    except ValueError as error:
        raise MontageError(f"this film cannot be made: {error}") from error
    if chosen == "dnxhr" and (form.width < 256 or form.height < 120):
        raise MontageError(f"DNxHR needs at least 256x120 pixels, got {form.width}x{form.height}")
    return form, container


def _is_ours(path: Path) -> bool:
    """Whether a file is a film that montage made."""
    import av

    try:
        with open_local(path) as film:
            return is_film(film.metadata)
    except (OSError, av.error.FFmpegError):
        return False


def _others(output: Path) -> list[Path]:
    """Films of ours of the same name in other containers, which share its captions."""
    found = (output.with_suffix(suffix) for suffix in CONTAINERS if suffix != output.suffix.lower())
    return [path for path in found if path.exists() and _is_ours(path)]


def _refuse_to_overwrite(output: Path, captions: Sequence[Path], timeline: Timeline, store: Cache) -> None:
    """Only a film of ours is replaced, and only captions of ours or beside one: footage has such names, too.

    Raises:
        MontageError: if another file is there, or the film would take the place of what it is made from.
    """
    if output.exists():
        if not _is_ours(output):
            raise MontageError(
                f"{output} is there and is no film of montage, so it is not replaced: name another with -o"
            )
        sources = {clip.source for clip in timeline.picture} | {said.source for said in timeline.narration}
        if timeline.music is not None:
            sources.add(timeline.music.source)
        if any(source.exists() and source.samefile(output) for source in sources):
            raise MontageError(
                f"{output} is itself part of what the film is made from, so it is not replaced: name another "
                "with -o"
            )
        return
    if _others(output):
        return
    for path in captions:
        if path.exists() and not is_as_written(path, store):
            raise MontageError(
                f"{path} is there without a film of ours, so it is not replaced: remove it, or name another "
                "film with -o"
            )


def _render(
    timeline: Timeline,
    form: Format,
    container: Container,
    levels: Levels | None,
    store: Cache,
    progress: Progress | None,
    cancel: Cancel | None,
    workers: int | None,
    seconds: dict[str, float],
) -> tuple[Parts, Mix, list[Check]]:
    """The picture's parts, and the sound with its checks, made beside them."""
    began = time.perf_counter()
    at_a_time = max(1, workers or os.cpu_count() or 1)
    heard = sum(clip.audio for clip in timeline.picture)
    counter: Steps | None = None
    stop = False

    def stopped() -> bool:
        return stop or (cancel is not None and cancel())

    def count(missing: int) -> Steps:
        nonlocal counter
        counter = Steps(missing + heard, progress)
        return counter

    def told(clip: Clip) -> None:
        assert counter is not None
        counter.step(f"sound of {clip.source.name}")

    # Sound has a thread of its own: it would wait behind the pictures, and the film for it.
    with ThreadPoolExecutor(at_a_time) as pool, ThreadPoolExecutor(1) as listener:
        mix: Mix | None = None
        try:
            wait = render_parts(timeline, form, store, pool, at_a_time, steps=count, cancel=stopped)
            at = time.perf_counter()
            mix = mix_sound(
                timeline,
                store,
                levels=levels,
                coder=DRAFT_SOUND if form.quality == "draft" else container.sound,
                suffix=container.sound_suffix,
                pool=listener,
                workers=at_a_time,
                done=told,
                cancel=stopped,
            )
            checks = check_sound(mix.heard, timeline.frames, timeline.fps, mix.planned, mix.loudness)
            seconds["sound"] = time.perf_counter() - at
            parts = wait()
        except BaseException:
            stop = True
            listener.shutdown(wait=True, cancel_futures=True)
            pool.shutdown(wait=True, cancel_futures=True)
            if mix is not None:
                with suppress(OSError):
                    mix.path.unlink()
            raise
    seconds["parts"] = time.perf_counter() - began
    return parts, mix, checks
