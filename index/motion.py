"""Camera move, motion and shake from the geometry of optical flow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from index.decode import Image
from index.values import CameraMove

__all__ = ["Movement", "MovementMeter", "Step", "name_move"]

STEP_SECONDS = Fraction(9, 100)
"""Frames are compared when they lie at least this far apart."""

_CORNERS = 240
_FEWEST = 12
"""Fewer points than this found again say nothing about the camera."""


@dataclass(frozen=True, slots=True)
class Step:
    """What moved between two sampled frames."""

    seconds: float
    right: float
    """Shift of the scene to the right, frame widths."""
    down: float
    """Shift of the scene downwards, frame widths."""
    growth: float
    """Natural logarithm of the scene's growth."""
    flow: float
    """Median length of the flow, frame widths."""
    trusted: bool
    """Whether enough points agreed on one movement."""


@dataclass(frozen=True, slots=True)
class Movement:
    """The movement over a shot."""

    move: CameraMove
    motion: float
    """Frame widths a second."""
    shake: float
    """0 to 1."""


class MovementMeter:
    """Measures one shot; push its frames in order.

    Corners (Shi and Tomasi 1994) are followed by pyramidal Lucas-Kanade, and RANSAC fits shift, turn and
    scale to them, so that what most of the picture does counts as the camera and the rest as the subject.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._gray: NDArray[np.uint8] | None = None
        self._time = Fraction(0)

    def push(self, time: Fraction, image: Image) -> bool:
        """Take a frame if it is due; whether it was."""
        import cv2

        if self._gray is not None and time - self._time < STEP_SECONDS:
            return False
        gray: NDArray[np.uint8] = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        if self._gray is not None and gray.shape == self._gray.shape:
            self.steps.append(_step(self._gray, gray, float(time - self._time)))
        self._gray, self._time = gray, time
        return True

    def finish(self) -> Movement:
        """The movement over all frames pushed."""
        return name_move(self.steps)


def _step(before: NDArray[np.uint8], after: NDArray[np.uint8], seconds: float) -> Step:
    import cv2

    height, width = before.shape
    still = Step(seconds, 0.0, 0.0, 0.0, 0.0, False)
    points = cv2.goodFeaturesToTrack(before, _CORNERS, 0.01, max(4, width // 48))
    if points is None or len(points) < _FEWEST:
        return still
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, points, None, winSize=(17, 17), maxLevel=3)
    keep = found.ravel() == 1
    old, new = points[keep].reshape(-1, 2), moved[keep].reshape(-1, 2)
    if len(old) < _FEWEST:
        return still
    flow = float(np.median(np.hypot(*(new - old).T))) / width
    matrix, inliers = cv2.estimateAffinePartial2D(old, new, method=cv2.RANSAC, ransacReprojThreshold=1.0)
    if matrix is None or inliers.mean() < 0.35:
        return Step(seconds, 0.0, 0.0, 0.0, flow, False)
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    centre = np.array([width / 2, height / 2])
    shift = matrix[:, :2] @ centre + matrix[:, 2] - centre
    if not 0.5 < scale < 2:
        return Step(seconds, 0.0, 0.0, 0.0, flow, False)
    moved_by = float(np.hypot(*shift)) + abs(scale - 1) * width / 4
    if moved_by > 1.0 and _standing(before, after) > 0.5:
        # Most edges stand where they stood: what moves is the subject, however large.
        return Step(seconds, 0.0, 0.0, 0.0, flow, True)
    return Step(seconds, float(shift[0]) / width, float(shift[1]) / width, math.log(scale), flow, True)


def _standing(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """Share of the pixels on edges that did not change."""
    import cv2

    slope = cv2.magnitude(cv2.Sobel(before, cv2.CV_32F, 1, 0), cv2.Sobel(before, cv2.CV_32F, 0, 1))
    edges = slope > 60
    return float((cv2.absdiff(before, after)[edges] < 6).mean()) if edges.any() else 0.0


def name_move(steps: list[Step]) -> Movement:
    """Name the camera's move over the steps of a shot.

    Shifts are summed over the shot: a pan gathers them, a hand-held camera cancels them out.
    """
    seconds = sum(step.seconds for step in steps)
    trusted = [step for step in steps if step.trusted]
    motion = sum(step.flow for step in steps) / seconds if seconds else 0.0
    if not trusted:
        return Movement("static", motion, 0.0)
    known = sum(step.seconds for step in trusted)
    speed = np.array([[s.right / s.seconds, s.down / s.seconds, s.growth / s.seconds] for s in trusted])
    length = np.array([s.seconds for s in trusted])
    right, down, growth = (speed * length[:, None]).sum(axis=0)
    smooth = _smooth(speed)
    jitter = float(np.sqrt(((speed - smooth)[:, :2] ** 2).sum(axis=1).mean()))
    shake = 1 - math.exp(-jitter / 0.15)
    travelled = float(np.hypot(speed[:, 0], speed[:, 1]) @ length)
    # At the picture's edge a growth of g moves the scene by g / 2 frame widths.
    amounts = {"pan": abs(right), "tilt": abs(down), "zoom": abs(growth) / 2}
    kind = max(amounts, key=lambda name: amounts[name])
    amount = amounts[kind]
    steady = amount / travelled if travelled > 0 else 1.0
    name: CameraMove
    if amount >= max(0.05, 0.02 * known) and (steady > 0.4 or kind == "zoom"):
        if kind == "pan":
            name = "pan-left" if right > 0 else "pan-right"
        elif kind == "tilt":
            name = "tilt-up" if down > 0 else "tilt-down"
        else:
            name = "zoom-in" if growth > 0 else "zoom-out"
    elif travelled / known > 0.03:
        name = "handheld"
    else:
        name = "static"
    return Movement(name, motion, min(1.0, shake))


def _smooth(speed: NDArray[np.float64]) -> NDArray[np.float64]:
    """A running mean over half a second, shorter at the ends."""
    out = np.empty_like(speed)
    for index in range(len(speed)):
        reach = min(2, index, len(speed) - 1 - index)
        out[index] = speed[index - reach : index + reach + 1].mean(axis=0)
    return out
