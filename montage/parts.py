"""The pieces that a film is joined from: segments, or pictures of proxies, made where the cache has none."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

from montage.cache import Cache
from montage.checks import Shown
from montage.formats import Format
from montage.joining import Part
from montage.process import Cancel
from montage.proxies import Proxies, Proxy, shown_frames
from montage.segments import Segment, find_segment, make_segment, segment_key
from montage.timeline import Clip, Timeline
from montage.values import FilmError

__all__ = ["Parts", "Progress", "Steps", "render_parts"]

Progress = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, what was just done), from any thread but never at once."""


class Steps:
    """Counts finished steps across threads and tells the caller one at a time."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress, self._lock = 0, total, progress, Lock()

    def step(self, text: str) -> None:
        """One step more is done."""
        with self._lock:
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total, text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The picture of a film, clip by clip."""

    parts: tuple[Part, ...]
    shown: tuple[Shown, ...]
    keys: tuple[str, ...]
    """Names of the files in the cache."""
    rendered: int
    """How many files were made now."""
    reused: int
    warnings: tuple[str, ...]
    """What decoders said about the sources."""


def render_parts(
    timeline: Timeline,
    form: Format,
    store: Cache,
    pool: ThreadPoolExecutor,
    at_a_time: int,
    *,
    steps: Callable[[int], Steps],
    cancel: Cancel,
) -> Callable[[], Parts]:
    """Start making what is missing; the function that comes back waits for it.

    Args:
        timeline: What to show.
        form: How.
        store: Keeps segments and proxies.
        pool: Does the work.
        at_a_time: Its number of threads.
        steps: Given how many pieces are missing, counts them.
        cancel: Asked while it works.
    """
    draft = form.quality == "draft"
    proxies = Proxies(store, form) if draft else None
    found: dict[str, Proxy] = {}
    missing: dict[str, Clip] = {}
    keys: list[str] = []
    for clip in timeline.picture:
        key = segment_key(clip, form)
        keys.append(key)
        if key in found or key in missing:
            continue
        if proxies is not None:
            have = proxies.find(clip)
        else:
            segment = find_segment(clip, form, store)
            have = None if segment is None else Proxy(0, segment)
        if have is None:
            missing[key] = clip
        else:
            found[key] = have
    counter = steps(len(missing))
    # Few clips on many processors share them; many clips get one each, which wastes least.
    threads = max(1, -(-(os.cpu_count() or 1) // max(1, min(at_a_time, len(missing)))))

    def make(clip: Clip) -> Proxy:
        def segment(what: Clip, key: str = "") -> Segment:
            return make_segment(what, form, store, key=key, threads=threads, cancel=cancel)

        if cancel():
            raise FilmError("cancelled before all segments were rendered")
        made = proxies.make(clip, segment) if proxies is not None else Proxy(0, segment(clip))
        counter.step(f"rendered {made.segment.frames} frames from {clip.source.name}")
        return made

    # Longest first: no long clip is left for the end, when the other workers have nothing to do.
    order = sorted(missing, key=lambda key: -missing[key].frames)
    futures = {key: pool.submit(make, missing[key]) for key in order}

    def wait() -> Parts:
        return _gathered(timeline, form, keys, found, futures)

    return wait


def _gathered(
    timeline: Timeline,
    form: Format,
    keys: list[str],
    found: Mapping[str, Proxy],
    futures: Mapping[str, Future[Proxy]],
) -> Parts:
    have = {**found, **{key: future.result() for key, future in futures.items()}}
    parts, shown, warnings = [], [], []
    for clip, key in zip(timeline.picture, keys, strict=True):
        piece = have[key]
        segment = piece.segment
        planned, numbers = segment.planned, None
        if form.quality == "draft":
            numbers = tuple(number - piece.first for number in shown_frames(clip, form.fps))
            planned = planned[list(numbers)]
        parts.append(Part(segment.path, numbers))
        shown.append(Shown(planned=planned, problems=segment.problems, fresh=key in futures))
        warnings += [f"{clip.source.name}: {line}" for line in segment.warnings]
    unique = {piece.segment.key: piece.segment for piece in have.values()}
    reused = sum(segment.reused for segment in unique.values())
    return Parts(
        parts=tuple(parts),
        shown=tuple(shown),
        keys=tuple(unique),
        rendered=len(unique) - reused,
        reused=reused,
        warnings=tuple(dict.fromkeys(warnings)),
    )
