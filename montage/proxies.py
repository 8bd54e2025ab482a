"""Proxies: small stand-ins of footage in which every picture is a key frame.

A draft is put together from them by stream copy, picture by picture, without encoding anything. A proxy is
made when a draft first needs it, with a little more of its shot on either side than is shown, so that a cut
that moves somewhat finds it again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from index.base import Span
from montage.cache import Cache, key_of
from montage.filters import colour_in
from montage.formats import Format
from montage.segments import VERSION, Segment, load_segment
from montage.timeline import Clip, Grade

__all__ = ["Proxies", "Proxy", "shown_frames"]

HANDLE_SECONDS = 1
"""How much of the shot before and after what is shown goes into a proxy."""
_NAME = re.compile(r"proxy-([0-9a-f]{64})-(\d+)-(\d+)\.mp4")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A stretch of a source on the film's frame grid."""

    first: int
    """Number of its first picture on the grid, counted from the first frame of the source."""
    segment: Segment

    def covers(self, numbers: Iterable[int]) -> bool:
        """Whether it holds all of these pictures."""
        return all(self.first <= number < self.first + self.segment.frames for number in numbers)


def shown_frames(clip: Clip, fps: Fraction) -> tuple[int, ...]:
    """The picture that each frame of a clip shows, by its number on the source's grid of this rate."""
    begin = clip.span.start * fps + Fraction(1, 2)
    return tuple(int(begin + frame * clip.speed) for frame in range(clip.frames))


def _family(clip: Clip, form: Format) -> str:
    """What all proxies of one source in one format have in common."""
    return key_of(
        {
            "version": VERSION,
            "content": clip.content,
            "origin": clip.origin,
            "fps": form.fps,
            "size": [form.width, form.height],
            "fit": form.fit,
            "framing": [clip.framing.first, clip.framing.last],
            "only": shown_frames(clip, form.fps) if _pans(clip) else None,
            "encoder": form.encoder,
            "colour": colour_in(clip),
        }
    )


def _pans(clip: Clip) -> bool:
    """Whether the frame moves, from the clip's first picture to its last: then there are no handles."""
    return clip.framing.first != clip.framing.last


def stretch_of(clip: Clip, form: Format) -> tuple[int, Clip]:
    """(number of the first picture, the clip that a proxy for this one is made of)."""
    numbers = shown_frames(clip, form.fps)
    first, end = numbers[0], numbers[-1] + 1
    handle = round(HANDLE_SECONDS * form.fps)
    if clip.shot is not None and not _pans(clip):
        first = min(first, max(first - handle, math.ceil(clip.shot.start * form.fps)))
        end = max(end, min(end + handle, int(clip.shot.end * form.fps)))
    span = Span(first / form.fps, end / form.fps)
    return first, replace(
        clip,
        start=0,
        frames=end - first,
        span=span,
        speed=Fraction(1),
        fade_in=0,
        fade_out=0,
        dissolve=0,
        under=None,
        burn=None,
        grade=Grade(),
    )


class Proxies:
    """The proxies of a cache folder."""

    def __init__(self, cache: Cache, form: Format) -> None:
        self._cache, self._form = cache, form
        self._known: dict[str, list[tuple[int, int, str]]] = {}
        for path in cache.folder.glob("proxy-*.mp4"):
            if match := _NAME.fullmatch(path.name):
                family, first, frames = match.groups()
                self._known.setdefault(family, []).append((int(first), int(frames), path.stem))

    def find(self, clip: Clip) -> Proxy | None:
        """A proxy that holds all that the clip shows, None if there is none."""
        numbers = shown_frames(clip, self._form.fps)
        for first, frames, key in self._known.get(_family(clip, self._form), ()):
            if first <= numbers[0] and numbers[-1] < first + frames:
                segment = load_segment(key, frames, self._form, self._cache)
                if segment is not None:
                    return Proxy(first, segment)
        return None

    def make(self, clip: Clip, segment: Callable[[Clip, str], Segment]) -> Proxy:
        """Make a proxy for a clip.

        Args:
            clip: What is to be shown.
            segment: Renders a clip under a key.
        """
        first, stretch = stretch_of(clip, self._form)
        key = f"proxy-{_family(clip, self._form)}-{first}-{stretch.frames}"
        made = segment(stretch, key)
        return Proxy(first, made)
