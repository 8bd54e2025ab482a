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

Gray = NDArray[np.uint8]
Matrix = NDArray[np.float64]
"""(2, 3): where a point of one frame lies in the next."""

STEP_SECONDS = Fraction(9, 100)
"""Frames are compared when they lie at least this far apart."""

_CELLS = 130
"""Cells of the grid in which corners are looked for."""
_QUALITY = 0.002
"""Least strength of a corner, over that of the strongest."""
_AGREED = 0.3
"""Least share of the points, by weight, that must agree on one movement."""
_SECOND = 0.1
"""The same for a second movement beside it."""
_MOST_GAIN = 6.0
"""Dark and flat pictures are amplified to the full range, so many times at most."""
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


def _step(before: Gray, after: Gray, seconds: float) -> Step:
    import cv2

    height, width = before.shape
    still = Step(seconds, 0.0, 0.0, 0.0, 0.0, False)
    before, after = _stretched(before, after)
    points, weights = _corners(before)
    if len(points) < _FEWEST:
        return still
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, points, None, winSize=(17, 17), maxLevel=3)
    keep = found.ravel() == 1
    old, new, weights = points[keep], moved[keep], weights[keep]
    if len(old) < _FEWEST:
        return still
    flow = float(np.median(np.hypot(*(new - old).T))) / width
    fits = _fits(old, new, weights)
    if not fits:
        return Step(seconds, 0.0, 0.0, 0.0, flow, False)
    fit = _background(before, after, fits)
    scale = math.hypot(fit[0, 0], fit[1, 0])
    shift = _shift(fit, width, height)
    if not 0.5 < scale < 2:
        return Step(seconds, 0.0, 0.0, 0.0, flow, False)
    return Step(seconds, float(shift[0]) / width, float(shift[1]) / width, math.log(scale), flow, True)


def _stretched(before: Gray, after: Gray) -> tuple[Gray, Gray]:
    """Both at the light of the first, and that at the full range of grey levels as far as it needs it.

    In the dark edges count as well, and in a fade they stay what they were.
    """
    import cv2

    height, width = before.shape
    size = (max(1, width // 4), max(1, height // 4))
    coarse, later = (cv2.resize(gray, size, interpolation=cv2.INTER_AREA) for gray in (before, after))
    low, high, _, _ = cv2.minMaxLoc(coarse)
    gain = min(_MOST_GAIN, 255 / max(1.0, high - low))
    light = float(np.median(coarse)) / max(1.0, float(np.median(later)))
    if abs(light - 1) < 0.02 or not 0.5 < light < 2:
        light = 1.0
    if gain < 1.3 and light == 1.0:
        return before, after
    if gain < 1.3:
        low, gain = 0.0, 1.0
    levels = np.arange(256)
    first = np.clip((levels - low) * gain, 0, 255).astype(np.uint8)
    second = np.clip((levels * light - low) * gain, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(before, first), np.uint8), np.asarray(cv2.LUT(after, second), np.uint8)


def _shift(fit: Matrix, width: int, height: int) -> NDArray[np.float64]:
    """By how many pixels the middle of the picture moves."""
    centre = np.array([width / 2, height / 2])
    shift: NDArray[np.float64] = fit[:, :2] @ centre + fit[:, 2] - centre
    return shift


def _corners(gray: Gray) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """(N, 2) the best corner of each cell of a grid, and what each counts for.

    One a cell, so that a subject full of detail does not outvote a plain background; more near the border,
    where the background is.
    """
    import cv2

    height, width = gray.shape
    half = cv2.resize(gray, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    strength = cv2.cornerMinEigenVal(half, 3)
    side = max(4, round(math.sqrt(half.size / _CELLS)))
    rows, columns = half.shape[0] // side, half.shape[1] // side
    if rows < 1 or columns < 1:
        return np.zeros((0, 2), np.float32), np.zeros(0)
    top, left = (half.shape[0] - rows * side) // 2, (half.shape[1] - columns * side) // 2
    cells = strength[top : top + rows * side, left : left + columns * side]
    cells = cells.reshape(rows, side, columns, side).transpose(0, 2, 1, 3).reshape(rows * columns, -1)
    places = cells.argmax(axis=1)
    best = cells[np.arange(len(cells)), places]
    row, column = np.divmod(np.arange(len(cells)), columns)
    y, x = row * side + places // side + top, column * side + places % side + left
    aside = np.minimum(
        np.minimum(row, rows - 1 - row) / rows, np.minimum(column, columns - 1 - column) / columns
    )
    strong = best > _QUALITY * best.max(initial=0.0)
    points = np.stack([x, y], axis=1) * 2 + 0.5
    return points[strong].astype(np.float32), np.where(aside < 0.2, 2.0, 1.0)[strong]


def _fits(old: NDArray[np.float32], new: NDArray[np.float32], weights: NDArray[np.float64]) -> list[Matrix]:
    """The similarities that most points follow, one or two, the weightier first; none if too few agree."""
    import cv2

    found: list[tuple[float, Matrix]] = []
    rest = np.ones(len(old), bool)
    for _ in range(2):
        if rest.sum() < _FEWEST:
            break
        matrix, inliers = cv2.estimateAffinePartial2D(
            old[rest], new[rest], method=cv2.RANSAC, ransacReprojThreshold=1.0, maxIters=300
        )
        if matrix is None:
            break
        agreed = np.flatnonzero(rest)[inliers.ravel() == 1]
        found.append((float(weights[agreed].sum() / weights.sum()), matrix))
        if len(agreed) > 0.7 * len(old):
            break
        rest[agreed] = False
    found.sort(key=lambda one: -one[0])
    if not found or found[0][0] < _AGREED:
        return []
    return [matrix for share, matrix in found if share >= _SECOND]


def _background(before: Gray, after: Gray, fits: list[Matrix]) -> Matrix:
    """The movement of the background: standing still, or the fit by which most of the picture looks alike.

    Points lie where there is detail, which may be on the subject alone; cells are everywhere.
    """
    import cv2

    height, width = before.shape
    stay = np.eye(2, 3)
    if len(fits) == 1 and _moved_by(fits[0], width, height) <= 1.0:
        return fits[0]
    size = (max(1, width // 2), max(1, height // 2))
    one, other = (
        cv2.resize(gray, size, interpolation=cv2.INTER_AREA).astype(np.float32) for gray in (before, after)
    )
    one *= float(np.median(other)) / max(1.0, float(np.median(one)))
    grid = (max(2, size[0] // 10), max(2, size[1] // 10))
    x, y = np.meshgrid((np.arange(grid[0]) + 0.5) / grid[0], (np.arange(grid[1]) + 0.5) / grid[1])
    weights = np.where(np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) < 0.2, 2.0, 1.0)
    errors = []
    seen = np.ones(weights.shape, bool)
    choices = [*fits, *([stay] if all(_moved_by(fit, width, height) > 1.0 for fit in fits) else [])]
    for fit in choices:
        halved = np.hstack([fit[:, :2], fit[:, 2:] / 2])
        warped = cv2.warpAffine(one, halved, size, borderMode=cv2.BORDER_REPLICATE)
        errors.append(cv2.resize(cv2.absdiff(warped, other), grid, interpolation=cv2.INTER_AREA))
        back = cv2.invertAffineTransform(halved)
        from_x = back[0, 0] * x * size[0] + back[0, 1] * y * size[1] + back[0, 2]
        from_y = back[1, 0] * x * size[0] + back[1, 1] * y * size[1] + back[1, 2]
        seen &= (from_x >= 0) & (from_x < size[0]) & (from_y >= 0) & (from_y < size[1])
    stack = np.stack(errors)
    ordered = np.sort(stack, axis=0)
    telling = seen & (ordered[1] - ordered[0] > np.maximum(0.3, 0.1 * ordered[0]))
    votes = [float((weights * telling)[stack.argmin(axis=0) == place].sum()) for place in range(len(choices))]
    return choices[int(np.argmax(votes))]


def _moved_by(fit: Matrix, width: int, height: int) -> float:
    """Pixels by which the picture moves, at its middle or half way to its sides."""
    scale = math.hypot(fit[0, 0], fit[1, 0])
    return float(np.hypot(*_shift(fit, width, height))) + abs(scale - 1) * width / 4


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
