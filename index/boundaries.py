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
_MOST_FRAMES = 128
"""Frames held for that comparison, however high the rate."""
_FLASH = Fraction(1, 5)
"""A flash is over within this many seconds."""
_RETURN = 0.4
"""After a flash less than this share of its jump is left."""
_SAME = 2.0
"""Mean change of 8-bit L*a*b* that still is the same picture."""
_DISSOLVE_ENERGY = 12.0**2
"""Mean squared change of 8-bit L*a*b* across a dissolve: less is the same shot."""
_DISSOLVE_RESIDUE = 0.08
"""Share of that change which the mix of both sides may leave unexplained: a pan leaves far more."""
_DISSOLVE_LIKENESS = 0.45
"""Correlation of luma across a dissolve: a slow move or a change of light keeps more."""


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

    ``fast``: sudden changes by PySceneDetect's adaptive detector unless the picture returns at once, fades
    by the black between, and dissolves where frames are a mix of the frames half a second before and after.
    ``content`` and ``adaptive``: PySceneDetect's, with their default thresholds.

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


def _is_black(lab: NDArray[np.float32]) -> bool:
    """Whether a frame is black all over (8-bit L*a*b*)."""
    return float(lab[:, :, 0].max()) < 20


def _likeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Correlation, 0 where one of the two is plain."""
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).mean() / max(1e-6, float(a.std()) * float(b.std())))


def _is_dark(lab: NDArray[np.float32]) -> bool:
    """Whether a frame may belong to a fade to or from black, which is no mix of two shots."""
    return float(lab[:, :, 0].mean()) < 16


class _Fast:
    """Sudden changes at once; slow ones after a look at both sides."""

    lag = Fraction(1)

    def __init__(self) -> None:
        from scenedetect.detectors import AdaptiveDetector

        self._sudden = _Plain(AdaptiveDetector(min_scene_len=0))
        self._sudden_times: deque[Fraction] = deque()
        self._seen: deque[_Seen] = deque()
        self._last = Fraction(-1)
        self._judged = Fraction(-1)
        self._black: Fraction | None = None
        self._black_told = False

    def push(self, time: Fraction, image: Image) -> list[Fraction]:
        import cv2

        self._sudden_times.extend(self._sudden.push(time, image))
        tiny = cv2.cvtColor(cv2.resize(image, (32, 18), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB)
        small = tiny.astype(np.float32)
        self._seen.append(_Seen(time, small))
        while len(self._seen) > _MOST_FRAMES or self._seen[0].time < time - 2 * _REACH:
            self._seen.popleft()
        found = self._lasting(time) + self._fade(time, small)
        self._last = max(self._last, *found, *self._sudden_times, Fraction(-1))
        found += self._settle(time)
        return found

    def finish(self) -> list[Fraction]:
        return list(self._sudden_times)

    def _fade(self, time: Fraction, small: NDArray[np.float32]) -> list[Fraction]:
        """Black is a shot of its own if it lasts; else the next shot begins where it ends."""
        if _is_black(small):
            if self._black is None:
                self._black, self._black_told = time, False
            if not self._black_told and time - self._black >= MINIMUM_SHOT:
                self._black_told = True
                return [self._black] if self._black > 0 else []
            return []
        ended = self._black is not None and time - self._black >= Fraction(1, 15)
        self._black = None
        return [time] if ended else []

    def _lasting(self, now: Fraction) -> list[Fraction]:
        """Sudden changes that last: after a flash the picture is what it was before."""
        found = []
        while self._sudden_times and self._sudden_times[0] <= now - _FLASH:
            time = self._sudden_times.popleft()
            before = [seen.small for seen in self._seen if time - _FLASH <= seen.time < time]
            after = [seen.small for seen in self._seen if time <= seen.time <= time + _FLASH]
            if before and after:
                jump = float(np.abs(before[-1] - after[0]).mean())
                change = float(np.abs(before[0] - after[-1]).mean())
                if change <= max(_SAME, _RETURN * jump):
                    continue
            found.append(time)
        return found

    def _settle(self, now: Fraction) -> list[Fraction]:
        """Dissolves whose middle lies ``_REACH`` back: frames that are a mix of what was and what is."""
        found = []
        for index, seen in enumerate(self._seen):
            if not self._judged < seen.time <= now - _REACH:
                continue
            self._judged = seen.time
            if seen.time - self._last > _REACH and self._is_mix(index):
                self._last = seen.time
                found.append(seen.time)
        return found

    def _is_mix(self, index: int) -> bool:
        frames = list(self._seen)
        time = frames[index].time
        begin = next(i for i, seen in enumerate(frames) if seen.time >= time - _REACH)
        end = max(i for i, seen in enumerate(frames) if seen.time <= time + _REACH)
        if index - begin < 2 or end - index < 2:
            return False
        first, last = frames[begin].small, frames[end].small
        whole = last - first
        energy = float((whole * whole).mean())
        if energy < _DISSOLVE_ENERGY or _is_dark(first) or _is_dark(last):
            return False
        if _likeness(first[:, :, 0], last[:, :, 0]) > _DISSOLVE_LIKENESS:
            return False
        shares = []
        for place in ((begin + index) // 2, index, (index + end) // 2):
            change = frames[place].small - first
            share = float((change * whole).mean()) / energy
            rest = change - share * whole
            if float((rest * rest).mean()) > _DISSOLVE_RESIDUE * energy:
                return False
            shares.append(share)
        return shares[0] < shares[1] < shares[2] and 0.45 < shares[1] < 0.8


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
