"""Boundaries: where one shot ends and the next begins, from small frames as they are decoded.

One protocol, five detectors. ``auto`` and ``fast`` are of this project (``index.cascade``), ``transnet`` is
TransNetV2, ``content`` and ``adaptive`` are PySceneDetect's (https://www.scenedetect.com).
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import Any, Protocol, runtime_checkable

import numpy as np

from index.base import FootageError
from index.cascade import CascadeDetector, Effort, FastDetector, TransNetDetector
from index.decode import Image

__all__ = ["DETECTORS", "MINIMUM_SHOT", "Detector", "make_detector"]

DETECTORS = ("auto", "fast", "content", "adaptive", "transnet")
"""Names that ``make_detector`` knows."""
MINIMUM_SHOT = Fraction(2, 5)
"""Shortest shot, seconds."""
_WIDTH = 128
"""Width of the frames that PySceneDetect's detectors see, pixels."""


@runtime_checkable
class Detector(Protocol):
    """Finds boundaries in one file; frames are pushed in order, each once.

    A boundary is the time of the first frame of a new shot, for a gradual transition of one in its middle.
    Each is told once, in order, and is the time of a frame that was pushed.
    """

    @property
    def settled(self) -> Fraction:
        """Every boundary before this time has been told: frames before it may be let go."""

    def push(self, time: Fraction, image: Image) -> list[Fraction]:
        """Take the next frame; the boundaries that are certain now."""

    def finish(self) -> list[Fraction]:
        """The boundaries that were still uncertain after the last frame."""


def make_detector(name: str = "auto", *, threads: int = 0, effort: Effort | None = None) -> Detector:
    """A detector for one file, by name.

    ``fast``: a very small network over how frames differ. ``auto``: the same, and TransNetV2 rules on the
    spans where it hesitates; ``effort`` counts them. ``transnet``: TransNetV2 on every frame. ``content``
    and ``adaptive``: PySceneDetect's, with their default thresholds. ``threads`` limits TransNetV2's
    (0: ``OMP_NUM_THREADS``, or every core).

    Raises:
        FootageError: if there is no such detector.
    """
    if name == "auto":
        return _Spaced(CascadeDetector(threads, effort))
    if name == "fast":
        return _Spaced(FastDetector())
    if name == "transnet":
        return _Spaced(TransNetDetector(threads))
    if name == "content":
        from scenedetect.detectors import ContentDetector

        return _Spaced(_Plain(ContentDetector(min_scene_len=0)))
    if name == "adaptive":
        from scenedetect.detectors import AdaptiveDetector

        return _Spaced(_Plain(AdaptiveDetector(min_scene_len=0)))
    raise FootageError(f"unknown boundary detector {name!r}: use one of {', '.join(DETECTORS)}")


def _shrunk(image: Image) -> Image:
    """BGR at the size that PySceneDetect's detectors see."""
    import cv2

    height = max(2, round(image.shape[0] * _WIDTH / image.shape[1]))
    small = cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    bgr: Image = np.ascontiguousarray(small[:, :, ::-1])
    return bgr


class _Plain:
    """One of PySceneDetect's detectors as it is, with exact times behind the timecodes that it wants."""

    def __init__(self, detector: Any) -> None:
        self._detector = detector
        self._behind = int(detector.event_buffer_length) + 1
        self._times: deque[Fraction] = deque(maxlen=self._behind + 1)
        self._count = 0

    @property
    def settled(self) -> Fraction:
        """Boundaries before this time are told."""
        return self._times[0] if self._times else Fraction(0)

    def push(self, time: Fraction, image: Image) -> list[Fraction]:
        """Take the next frame; boundaries that are certain now."""
        from scenedetect import FrameTimecode

        self._times.append(time)
        self._count += 1
        found = self._detector.process_frame(FrameTimecode(self._count - 1, fps=25.0), _shrunk(image))
        return [self._times[one.frame_num - self._count + len(self._times)] for one in found]

    def finish(self) -> list[Fraction]:
        """PySceneDetect's tell everything at once."""
        return []


class _Spaced:
    """Keeps boundaries in order and at least ``MINIMUM_SHOT`` apart, from each other and from both ends."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._last = Fraction(0)
        self._now = Fraction(0)
        self._waiting: list[Fraction] = []

    @property
    def settled(self) -> Fraction:
        """Boundaries before this time are told."""
        return max(Fraction(0), min(self._detector.settled, self._now - MINIMUM_SHOT))

    def push(self, time: Fraction, image: Image) -> list[Fraction]:
        """Take the next frame; boundaries that are certain now."""
        self._now = time
        self._waiting = sorted({*self._waiting, *self._detector.push(time, image)})
        return self._release(self.settled)

    def finish(self) -> list[Fraction]:
        """The boundaries that were still uncertain after the last frame."""
        self._waiting = sorted({*self._waiting, *self._detector.finish()})
        return self._release(self._now - MINIMUM_SHOT * 3 / 4)

    def _release(self, until: Fraction) -> list[Fraction]:
        found = []
        while self._waiting and self._waiting[0] <= until:
            time = self._waiting.pop(0)
            if time - self._last >= MINIMUM_SHOT:
                found.append(time)
                self._last = time
        return found
