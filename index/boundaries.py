"""Boundaries: where one shot ends and the next begins, from small frames as they are decoded.

The detectors of PySceneDetect (https://www.scenedetect.com) score the frames; what they propose is
checked here against the half second before and after, which tells a change of shot from a flash or a pan.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from index.base import FootageError
from index.decode import Image

__all__ = ["DETECTORS", "MINIMUM_SHOT", "Detector", "make_detector"]

DETECTORS = ("fast", "content", "adaptive")
"""Names that ``make_detector`` knows."""
MINIMUM_SHOT = Fraction(2, 5)
"""Shortest shot, seconds."""

_WIDTH = 128
"""Width of the frames that the detectors see, pixels."""
_REACH = Fraction(1, 2)
"""How far before and after a gradual change its two shots are compared, seconds."""
_MOST_FRAMES = 64
"""Frames held for that comparison, however high the rate."""


@runtime_checkable
class Detector(Protocol):
    """Finds boundaries in one file; frames are pushed in order, each once."""

    @property
    def lag(self) -> Fraction:
        """A boundary is known, at the latest, when a frame this many seconds past it has been pushed."""

    def push(self, time: Fraction, image: Image) -> list[Fraction]:
        """Take the next frame; the times of first frames of new shots that are certain now."""

    def finish(self) -> list[Fraction]:
        """The boundaries that were still uncertain after the last frame."""


def make_detector(name: str = "fast") -> Detector:
    """A detector for one file, by name.

    ``fast``: sudden changes by PySceneDetect's adaptive detector and, at lower sensitivity, its content
    detector, and slow ones by its histogram detector where the frames between are a mix of the frames
    before and after. ``content`` and ``adaptive``: PySceneDetect's, with their default thresholds.

    Raises:
        FootageError: if there is no such detector.
    """
    if name == "fast":
        return _Spaced(_Fast())
    if name == "content":
        from scenedetect.detectors import ContentDetector

        return _Spaced(_Plain(ContentDetector(min_scene_len=0)))
    if name == "adaptive":
        from scenedetect.detectors import AdaptiveDetector

        return _Spaced(_Plain(AdaptiveDetector(min_scene_len=0)))
    raise FootageError(f"unknown boundary detector {name!r}: use one of {', '.join(DETECTORS)}")


def _shrunk(image: Image) -> Image:
    """BGR at the detectors' size."""
    import cv2

    height = max(2, round(image.shape[0] * _WIDTH / image.shape[1]))
    small = cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    bgr: Image = np.ascontiguousarray(small[:, :, ::-1])
    return bgr


class _Times:
    """Exact times behind the timecodes that PySceneDetect wants."""

    def __init__(self) -> None:
        self._times: deque[Fraction] = deque(maxlen=_MOST_FRAMES * 4)
        self._count = 0

    def next(self, time: Fraction) -> Any:
        from scenedetect import FrameTimecode

        self._times.append(time)
        self._count += 1
        return FrameTimecode(self._count - 1, fps=25.0)

    def exact(self, timecode: Any) -> Fraction:
        return self._times[timecode.frame_num - self._count + len(self._times)]


class _Plain:
    """One of PySceneDetect's detectors as it is."""

    lag = Fraction(1)

    def __init__(self, detector: Any) -> None:
        self._detector = detector
        self._times = _Times()

    def push(self, time: Fraction, image: Image) -> list[Fraction]:
        found = self._detector.process_frame(self._times.next(time), _shrunk(image))
        return [self._times.exact(timecode) for timecode in found]

    def finish(self) -> list[Fraction]:
        return []


@dataclass(slots=True)
class _Seen:
    time: Fraction
    small: NDArray[np.float32]
    proposed: bool = False


class _Fast:
    """Sudden changes at once; slow ones after a look at both sides."""

    lag = Fraction(1)

    def __init__(self) -> None:
        from scenedetect.detectors import AdaptiveDetector, HistogramDetector

        self._sudden = _Plain(AdaptiveDetector(min_scene_len=0))
        self._histogram = HistogramDetector(threshold=0.12, min_scene_len=0)
        self._times = _Times()
        self._seen: deque[_Seen] = deque()
        self._last = Fraction(0)

    def push(self, time: Fraction, image: Image) -> list[Fraction]:
        import cv2

        found = [t for t in self._sudden.push(time, image) if self._stays_changed(t)]
        bgr = _shrunk(image)
        gray = cv2.cvtColor(cv2.resize(bgr, (32, 18), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2LAB)
        proposed = bool(self._histogram.process_frame(self._times.next(time), bgr))
        self._seen.append(_Seen(time, gray.astype(np.float32), proposed))
        if found:
            self._last = max(self._last, *found)
        found += self._settle(time)
        while len(self._seen) > _MOST_FRAMES or self._seen[0].time < time - 2 * _REACH - Fraction(1, 2):
            self._seen.popleft()
        return found

    def finish(self) -> list[Fraction]:
        return []

    def _stays_changed(self, time: Fraction) -> bool:
        """Whether the picture after a sudden change differs from the one before: a flash returns to it."""
        before = [s.small for s in self._seen if time - Fraction(1, 4) <= s.time < time]
        after = [s.small for s in self._seen if s.time >= time]
        if not before or not after:
            return True
        return bool(np.abs(before[-1] - after[-1]).mean() > 3.0)

    def _settle(self, now: Fraction) -> list[Fraction]:
        """A slow change whose middle lies ``_REACH`` back: is it a mix of what was and what is?"""
        middle = now - _REACH
        around = [i for i, s in enumerate(self._seen) if abs(s.time - middle) <= Fraction(1, 50)]
        if not around:
            return []
        index = around[0]
        seen = self._seen[index]
        if not seen.proposed or seen.time - self._last < _REACH:
            return []
        first, last = self._seen[0].small, self._seen[-1].small
        if seen.time - self._seen[0].time < _REACH / 2:
            return []
        whole = last - first
        energy = float((whole * whole).mean())
        if energy < 12.0**2:
            return []
        residual = 0.0
        shares = []
        for one in (self._seen[index], self._seen[index // 2], self._seen[(index + len(self._seen)) // 2]):
            share = float(((one.small - first) * whole).mean()) / energy
            shares.append(share)
            rest = one.small - first - share * whole
            residual = max(residual, float((rest * rest).mean()) / energy)
        if residual > 0.1 or not 0.15 < shares[0] < 0.85 or not shares[1] <= shares[0] <= shares[2]:
            return []
        self._last = seen.time
        return [seen.time]


class _Spaced:
    """Keeps boundaries in order and at least ``MINIMUM_SHOT`` apart, from each other and from both ends."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._last = Fraction(0)
        self._now = Fraction(0)
        self._waiting: list[Fraction] = []

    @property
    def lag(self) -> Fraction:
        return self._detector.lag + MINIMUM_SHOT

    def push(self, time: Fraction, image: Image) -> list[Fraction]:
        self._now = time
        self._waiting = sorted({*self._waiting, *self._detector.push(time, image)})
        return self._release(time - self._detector.lag)

    def finish(self) -> list[Fraction]:
        self._waiting = sorted({*self._waiting, *self._detector.finish()})
        found = self._release(self._now)
        return [time for time in found if self._now - time >= MINIMUM_SHOT * 3 / 4]

    def _release(self, until: Fraction) -> list[Fraction]:
        found = []
        while self._waiting and self._waiting[0] <= until:
            time = self._waiting.pop(0)
            if time - self._last >= MINIMUM_SHOT:
                found.append(time)
                self._last = time
        return found
