"""Where the film's frame lies in a picture of another shape, so that nobody's face is cut off.

What matters in a picture is taken from its faces and, less, from what stands out of it (spectral residual,
Hou and Zhang, CVPR 2007) and from what moves. The frame stands still at the place that keeps most of it over
the whole clip; it pans, evenly, only where a face goes further than a still frame can hold.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from index.base import FootageError
from index.faces import find_face_boxes
from index.stills import frames_at
from montage.cache import Cache, key_of
from montage.process import Cancel
from montage.timeline import Clip, Framing, Timeline
from montage.values import FilmError

__all__ = ["find_framing", "reframed"]

VERSION = 2
"""Part of every key: raise it when the same clip would be framed otherwise."""
CUT_OFF = 0.04
"""Share of a picture that may be cut off without anybody looking where."""
EVERY = Fraction(1, 2)
"""Seconds between the frames that are looked at."""
MOST_FRAMES = 8
SIDE = 180
"""Shorter side of those frames, pixels."""
PLACES = 96
"""Places along the picture at which what matters is counted."""
FACE = 6.0
"""How much a face as high as the picture counts, against all that stands out of it."""
PLAIN = 0.3
"""Share of the median of a picture that is taken from all of it: what is everywhere stands out of nothing."""
MIDDLE = 1.3
"""How much the middle of the picture counts more than its ends: ties go there."""
PAN_SPEED = 0.2
"""Most picture widths (or heights) a second by which the frame moves."""
PAN_LEAST = 0.12
"""Least way of a pan: for less the frame stands still."""
STEADY = 0.06
"""How far a face may be from an even way, on average, for the frame to follow it."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Axis:
    """The side along which a picture is cut, and the share of it that is kept."""

    across: bool
    """Whether it is cut left and right, not above and below."""
    window: float


def _axis(clip: Clip, aspect: float) -> _Axis | None:
    """None where next to nothing is cut off, and for what was made for the film."""
    if clip.media is None:
        return None
    width, height = clip.media.display_size
    shape = width / height
    window = min(shape, aspect) / max(shape, aspect)
    return None if window > 1 - CUT_OFF else _Axis(shape > aspect, window)


def find_framing(clip: Clip, aspect: float) -> Framing:
    """Where the frame lies over a clip.

    Args:
        clip: What is shown.
        aspect: Width over height of the film.

    Raises:
        FootageError: if the clip's source cannot be decoded there.
    """
    axis = _axis(clip, aspect)
    if axis is None:
        return Framing()
    count = int(min(MOST_FRAMES, max(2, clip.span.seconds // EVERY)))
    length = min(clip.span.seconds, clip.shot.end - clip.span.start if clip.shot else clip.span.seconds)
    times = [clip.span.start + length * (2 * n + 1) / (2 * count) for n in range(count)]
    images = frames_at(clip.source, times, start=clip.origin, side=SIDE)
    profiles, faces = _what_matters(images, axis)
    still = _still(profiles, faces, axis)
    return _panned(faces, times, length, axis) or Framing(still, still)


def _what_matters(
    images: Sequence[NDArray[np.uint8]], axis: _Axis
) -> tuple[Floats, list[list[tuple[float, float, float]]]]:
    """How much matters at each place along the axis, (frames, PLACES), each frame's sum about 1; and the
    faces of each frame as (first place, last place, height), shares of the picture, largest first."""
    import cv2

    profiles, faces = [], []
    before: NDArray[np.uint8] | None = None
    for image in images:
        gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        lit = (gray.max(axis=0 if axis.across else 1) > 24).astype(np.float64)
        out = _standing_out(gray).sum(axis=0 if axis.across else 1)
        if before is not None:
            moved = np.abs(gray.astype(np.int16) - before).astype(np.float64)
            moving = moved.sum(axis=0 if axis.across else 1)
            # A camera that moves changes everything, which says nothing.
            moving = np.clip(moving - np.median(moving), 0, None)
            if moving.sum() > 0:
                out = out / max(out.sum(), 1e-9) + 0.5 * moving / moving.sum()
        before = gray
        out = out * lit
        places = (np.arange(PLACES) + 0.5) / PLACES * len(out) - 0.5
        profile = np.interp(places, np.arange(len(out)), out)
        profile /= max(profile.sum(), 1e-9)
        found = []
        for x, y, width, height in find_face_boxes(image):
            first, size = (x, width) if axis.across else (y, height)
            found.append((max(0.0, first), min(1.0, first + size), height))
            weight = FACE * height
            inside = (np.arange(PLACES) + 0.5) / PLACES
            bump = ((inside >= first) & (inside <= first + size)).astype(np.float64)
            profile = profile + weight * bump / max(bump.sum(), 1.0)
        profiles.append(profile)
        faces.append(sorted(found, key=lambda face: -face[2]))
    return np.array(profiles), faces


def _standing_out(gray: NDArray[np.uint8]) -> Floats:
    """The spectral residual's saliency map, of the size of the picture."""
    import cv2

    small = cv2.resize(gray, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float64)
    spectrum = np.fft.fft2(small)
    level = np.log(np.abs(spectrum) + 1e-9)
    rest = level - cv2.blur(level, (3, 3))
    map_ = np.abs(np.fft.ifft2(np.exp(rest + 1j * np.angle(spectrum)))) ** 2
    map_ = cv2.GaussianBlur(map_, (0, 0), 2.5)
    map_ = np.clip(map_ - PLAIN * np.median(map_), 0, None)
    height, width = gray.shape
    return np.asarray(cv2.resize(map_, (width, height), interpolation=cv2.INTER_LINEAR), np.float64)


def _still(profiles: Floats, faces: Sequence[Sequence[tuple[float, float, float]]], axis: _Axis) -> float:
    """The place of a frame that stands still, 0 to 1."""
    middles = (np.arange(PLACES) + 0.5) / PLACES
    centred = 1 + MIDDLE * (1 - np.abs(2 * middles - 1))
    profile = profiles.mean(axis=0) * centred
    total = np.concatenate([[0.0], np.cumsum(profile)])
    edges = np.linspace(0, 1, PLACES + 1)
    best, best_value = 0.5, -np.inf
    for place in np.linspace(0, 1, 41):
        start = place * (1 - axis.window)
        kept = np.interp(start + axis.window, edges, total) - np.interp(start, edges, total)
        cut = sum(
            height
            for found in faces
            for first, last, height in found[:1]
            if last - first < axis.window and (first < start or last > start + axis.window)
        ) / max(1, len(faces))
        value = kept - FACE * cut - 0.02 * abs(2 * place - 1)
        if value > best_value + 1e-9:
            best, best_value = float(place), float(value)
    return round(best, 4)


def _panned(
    faces: Sequence[Sequence[tuple[float, float, float]]],
    times: Sequence[Fraction],
    length: Fraction,
    axis: _Axis,
) -> Framing | None:
    """The pan that keeps a face in the frame, None where it stays within one that stands still."""
    seen = [
        (float(time - times[0]), (found[0][0] + found[0][1]) / 2)
        for time, found in zip(times, faces, strict=True)
        if found
    ]
    if len(seen) < max(3, 0.6 * len(times)):
        return None
    at, places = np.array(seen).T
    if places.max() - places.min() < max(PAN_LEAST, 0.7 * axis.window):
        return None
    slope, first = np.polyfit(at, places, 1)
    apart = np.abs(places - (first + slope * at)).mean()
    if apart > STEADY or abs(slope) > PAN_SPEED:
        return None
    lead = float(length) / (2 * len(times))
    ends = [first - slope * lead, first + slope * (float(times[-1] - times[0]) + lead)]
    free = 1 - axis.window
    start, end = (float(np.clip((middle - axis.window / 2) / free, 0, 1)) for middle in ends)
    return Framing(round(start, 4), round(end, 4))


def reframed(
    timeline: Timeline,
    size: tuple[int, int],
    cache: Cache,
    *,
    pool: Executor | None = None,
    cancel: Cancel | None = None,
) -> Timeline:
    """The timeline with every clip of footage framed for a film of this size.

    Args:
        timeline: What to show.
        size: Of the film.
        cache: Remembers where the frame lies.
        pool: Looks at several clips at a time.
        cancel: Asked between clips.

    Raises:
        FilmError: if it was cancelled.
    """
    aspect = size[0] / size[1]

    def framed(clip: Clip) -> Clip:
        if cancel is not None and cancel():
            raise FilmError("cancelled while the pictures were framed")
        axis = _axis(clip, aspect)
        if axis is None:
            return clip
        key = key_of(
            {
                "version": VERSION,
                "content": clip.content,
                "origin": clip.origin,
                "span": [clip.span.start, clip.span.end],
                "end": clip.shot.end if clip.shot is not None else None,
                "axis": [axis.across, round(axis.window, 4)],
            }
        )
        known = cache.find(key, ".framing.json")
        if known is not None:
            with suppress(OSError, ValueError, TypeError):
                first, last = json.loads(known.read_text(encoding="utf-8"))
                return replace(clip, framing=Framing(first, last))
        try:
            framing = find_framing(clip, aspect)
        except FootageError:
            return clip  # rendering says what is wrong with the file
        temporary = cache.temporary(".json")
        temporary.write_text(json.dumps([framing.first, framing.last]), encoding="utf-8")
        cache.keep(temporary, key, ".framing.json")
        return replace(clip, framing=framing)

    clips = pool.map(framed, timeline.picture) if pool is not None else map(framed, timeline.picture)
    return replace(timeline, picture=tuple(clips))
