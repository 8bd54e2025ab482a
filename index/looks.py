"""How a shot looks, from its frames as they are decoded; memory does not grow with the shot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from index.decode import Image
from index.motion import MovementMeter
from index.values import Look, ShotSize

__all__ = ["FaceFinder", "LookMeter", "perceptual_hash", "shot_size"]

FaceFinder = Callable[[Image], Sequence[float]]
"""Heights of the faces in an RGB frame, as shares of the frame's height."""

_BLACK = 28
"""Grey level of 255 up to which a row of pixels may belong to a black bar, noise of compression included."""
_FACE_FRAMES = 3
"""Frames of a shot in which faces are looked for."""


class LookMeter:
    """Measures one shot; push all its frames in order, then ``finish``."""

    def __init__(self) -> None:
        self._movement = MovementMeter()
        self._sums = np.zeros(6)
        self._sharpness: list[float] = []
        self._mean = np.zeros((54, 96, 3), np.float32)
        self._count = 0

    def push(self, time: Fraction, image: Image) -> None:
        """Take the next frame of the shot."""
        if self._movement.push(time, image):
            self._measure(image)

    def _measure(self, image: Image) -> None:
        import cv2

        gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        rows, columns = _picture(gray)
        small = cv2.resize(image[rows, columns], (96, 54), interpolation=cv2.INTER_AREA)
        lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        saturation = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)[:, :, 1]
        luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float64) / 255
        means = lab.reshape(-1, 3).mean(axis=0, dtype=np.float64)
        self._sums += [luma.mean(), luma.std(), float(saturation.mean()) / 255, *means]
        self._mean += small
        self._sharpness.append(_sharpness(gray[rows, columns]))
        self._count += 1

    def finish(
        self,
        middle: Image,
        *,
        loudness: float | None = None,
        samples: Sequence[Image] = (),
        faces: FaceFinder | None = None,
    ) -> Look:
        """The look of the shot.

        ``middle`` is its middle frame; ``samples`` are frames spread over it, in which ``faces`` looks.
        """
        brightness, contrast, saturation, *lab = (self._sums / max(1, self._count)).tolist()
        movement = self._movement.finish()
        found = _look_for_faces(_spread(samples, _FACE_FRAMES), faces) if faces else []
        heights = sorted(max(heights) for heights in found if heights)
        # One frame with a face may be an error; a face seen in half the frames is there.
        seen = heights and len(heights) * 2 >= len(found)
        return Look(
            brightness=_unit(brightness),
            contrast=_unit(contrast),
            saturation=_unit(saturation),
            lab=(round(lab[0], 3), round(lab[1], 3), round(lab[2], 3)),
            sharpness=_unit(float(np.median(self._sharpness)) if self._sharpness else 0.0),
            shake=_unit(movement.shake),
            motion=round(movement.motion, 4),
            move=movement.move,
            heading=movement.heading,
            moving=movement.moving,
            size=shot_size(heights[len(heights) // 2]) if seen else None,
            faces=max(map(len, found), default=0) if seen else 0,
            loudness=loudness,
            phash=perceptual_hash(middle),
            whole_phash=perceptual_hash((self._mean / max(1, self._count)).astype(np.uint8)) >> 1,
        )


def _look_for_faces(images: Sequence[Image], faces: FaceFinder) -> list[list[float]]:
    """Heights of the faces in each frame; ends where those seen so far decide that nobody is there."""
    found: list[list[float]] = []
    for left, image in zip(range(len(images) - 1, -1, -1), images, strict=True):
        found.append(list(faces(image)))
        seen = sum(1 for heights in found if heights)
        if not seen and left * 2 < len(images):
            break
    return found


def shot_size(height: float) -> ShotSize | None:
    """Shot size by the height of the largest face, as a share of the frame's height.

    A head is about an eighth of a standing figure, so a face of .04 to .12 belongs to a figure that
    stands in the frame from head to foot, and one above .6 fills it.
    """
    if height > 0.6:
        return "ECU"
    if height > 0.33:
        return "CU"
    if height > 0.12:
        return "MS"
    if height > 0.04:
        return "LS"
    return None


def perceptual_hash(image: Image) -> int:
    """64 bits that stay nearly the same when a picture is scaled, letterboxed or compressed again.

    Black bars are left out. The signs of the 8 x 8 lowest frequencies of a 32 x 32 DCT about their median
    (Zauner 2010).
    """
    import cv2

    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    small = cv2.resize(gray[_picture(gray)], (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:8, :8].ravel()
    bits = low > np.median(low[1:])
    return int(sum(1 << place for place, bit in enumerate(bits) if bit))


def _picture(gray: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Rows and columns of the picture between black bars, if there are any.

    Bars lie at opposite sides, are about equally wide and at most a third each.
    """
    found = []
    for axis in (1, 0):
        lit = np.flatnonzero(gray.max(axis=axis) > _BLACK)
        length = gray.shape[1 - axis]
        bars = (int(lit[0]), length - 1 - int(lit[-1])) if len(lit) else (0, 0)
        real = min(bars) >= 2 and max(bars) <= length / 3 and abs(bars[0] - bars[1]) <= max(2, length / 40)
        # One row more than is black: scaling blurs the edge.
        found.append(slice(bars[0] + 1, length - bars[1] - 1) if real else slice(0, length))
    return found[0], found[1]


def _sharpness(gray: NDArray[np.uint8]) -> float:
    """Energy of the Laplacian over contrast: how fine the finest detail is, whatever the lighting."""
    import cv2

    contrast = float(cv2.meanStdDev(gray)[1][0, 0])
    if contrast < 1.0:
        return 0.0
    ratio = float(cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_16S))[1][0, 0]) / contrast
    return ratio / (ratio + 0.4)


def _unit(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 4)


def _spread(images: Sequence[Image], count: int) -> list[Image]:
    if len(images) <= count:
        return list(images)
    return [images[round(i * (len(images) - 1) / (count - 1))] for i in range(count)]
