"""Stretches of footage as frames: for models that start from them, and for takes that they are a part of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from index.base import Span
from montage.filters import HDR_TRANSFERS
from montage.formats import Format
from montage.segments import stream_frames
from montage.timeline import Clip

if TYPE_CHECKING:
    from generate.base import Frame
    from index.library import Library

__all__ = ["frames_around", "own_size", "stretch"]

FPS = Fraction(25)
"""Any rate will do for a single frame."""


def _within(size: tuple[int, int], side: int) -> tuple[int, int]:
    scale = min(1.0, side / min(size))
    return round(size[0] * scale), round(size[1] * scale)


def own_size(library: Library, shot: str, within: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of a shot's picture, whole and as large as it fits; even numbers."""
    width, height = library.media[library.shots[shot].media].display_size
    scale = min(within[0] / width, within[1] / height)
    return max(64, 2 * round(width * scale / 2)), max(64, 2 * round(height * scale / 2))


def stretch(
    library: Library,
    shot: str,
    start: Fraction,
    frames: int,
    fps: Fraction,
    size: tuple[int, int],
    *,
    speed: Fraction = Fraction(1),
    cancel: Callable[[], bool] | None = None,
) -> Iterator[Frame]:
    """Frames of a shot as a film of ``size`` would show them, (height, width, 3) RGB, one after the other.

    Upright, in square pixels, cropped to the aspect, tone-mapped where they are HDR.

    Args:
        library: where the shot is.
        shot: its id.
        start: of the first frame, source seconds.
        frames: how many.
        fps: frames a second.
        size: (width, height), even.
        speed: source seconds shown per second.
        cancel: asked while it decodes.

    Raises:
        MontageError: if the source ends before.
        FilmError: if it cannot be decoded, or was cancelled.
    """
    found = library.shots[shot]
    media = library.media[found.media]
    clip = Clip(
        start=0,
        frames=frames,
        kind="footage",
        source=library.path_of(media.id),
        content=media.id,
        span=Span(start, start + frames / fps * speed),
        speed=speed,
        media=media,
        shot=found.span,
    )
    return stream_frames(clip, Format(width=size[0], height=size[1], fps=fps), cancel)


def frames_around(
    library: Library, shot: str, times: Sequence[Fraction], side: int | None = None
) -> list[Frame]:
    """Single frames of a shot's file at ``times`` (source seconds), ``side`` pixels on the shorter side."""
    from index.stills import frames_at

    media = library.media[library.shots[shot].media]
    short = min(media.display_size)
    if media.transfer in HDR_TRANSFERS:  # the light of single frames is brought to SDR as the film's is
        size = own_size(library, shot, _within(media.display_size, side or short))
        return [next(stretch(library, shot, time, 1, FPS, size)) for time in times]
    smaller = side if side is not None and side < short else None
    return list(frames_at(library.path_of(media.id), times, start=media.start, side=smaller))
