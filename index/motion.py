"""Camera move, motion and shake from the geometry of optical flow."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

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
_SLOWEST = 0.008
"""Frame widths a second: a camera slower than this has not begun its move."""
_STARTED = 0.15
"""The same as a share of its usual speed."""
_HALT = 0.45
"""Seconds for which a move may pause and still be one."""
_QUICK = 0.05
"""Frame widths a second of flow from which a picture is seen to move."""
_ALONE = 0.005
"""Frame widths past the background from which a point moves by itself: less is an error of the fit."""
_ALONE_SPEED = 0.03
"""The same in frame widths a second."""
_STEPS = 3
"""Fewer steps in which something moves say nothing about its heading."""
_LOST = 0.2
"""Frame widths a step that nothing moves: the point was taken for another."""
_ONE_WAY = 0.55
"""Least share of what moves by itself that goes one way across the screen."""
_CLEAR = 0.003
"""Least shift that way, over all points, frame widths a second."""
_COMPACT = 0.2
"""Most that a subject is spread across the picture: what a travelling camera passes by is everywhere."""
_FEWEST = 12
"""Fewer points than this found again say nothing about the camera."""


@dataclass(frozen=True, slots=True)
class Step:
    """What moved between two sampled frames."""

    start: float
    """Seconds from the first frame."""
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
    across: float = 0.0
    """What moves by itself: its shift to the right past the background, frame widths, over all points."""
    stir: float = 0.0
    """The same without regard to the way it goes."""
    spread: float | None = None
    """Standard deviation of where that is across the picture, frame widths; None where too few points do."""


@dataclass(frozen=True, slots=True)
class Movement:
    """The movement over a shot."""

    move: CameraMove
    motion: float
    """Frame widths a second."""
    shake: float
    """0 to 1."""
    heading: Literal["left", "right"] | None = None
    """The way across the screen in which the subject moves past the background, None where none is clear."""
    moving: tuple[float, float] | None = None
    """Seconds from the first frame in which the camera pans, tilts or zooms, None where it does none."""


class MovementMeter:
    """Measures one shot; push its frames in order.

    Corners (Shi and Tomasi 1994) are followed by pyramidal Lucas-Kanade, and RANSAC fits shift, turn and
    scale to them, so that what most of the picture does counts as the camera and the rest as the subject.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._gray: NDArray[np.uint8] | None = None
        self._first = self._time = Fraction(0)

    def push(self, time: Fraction, image: Image) -> bool:
        """Take a frame if it is due; whether it was."""
        import cv2

        if self._gray is not None and time - self._time < STEP_SECONDS:
            return False
        gray: NDArray[np.uint8] = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        if self._gray is None:
            self._first = time
        elif gray.shape == self._gray.shape:
            self.steps.append(
                _step(self._gray, gray, float(self._time - self._first), float(time - self._time))
            )
        self._gray, self._time = gray, time
        return True

    def finish(self) -> Movement:
        """The movement over all frames pushed."""
        return name_move(self.steps)


def _step(before: Gray, after: Gray, start: float, seconds: float) -> Step:
    import cv2

    height, width = before.shape
    still = Step(start, seconds, 0.0, 0.0, 0.0, 0.0, False)
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
        return Step(start, seconds, 0.0, 0.0, 0.0, flow, False)
    fit = _background(before, after, fits)
    scale = math.hypot(fit[0, 0], fit[1, 0])
    shift = _shift(fit, width, height)
    if not 0.5 < scale < 2:
        return Step(start, seconds, 0.0, 0.0, 0.0, flow, False)
    across, stir, spread = _alone(old / width, (new - (old @ fit[:, :2].T + fit[:, 2])) / width, seconds)
    return Step(
        *(start, seconds, float(shift[0]) / width, float(shift[1]) / width, math.log(scale), flow, True),
        *(across, stir, spread),
    )


def _alone(
    places: NDArray[np.float64], past: NDArray[np.float64], seconds: float
) -> tuple[float, float, float | None]:
    """``Step.across``, ``stir`` and ``spread`` from (N, 2) places and how far each moved past the background.

    All in frame widths.
    """
    lengths = np.hypot(*past.T)
    alone = (lengths > max(_ALONE, _ALONE_SPEED * seconds)) & (lengths < _LOST)
    right = past[alone, 0]
    across, stir = float(right.sum()) / len(past), float(lengths[alone].sum()) / len(past)
    weights = np.maximum(right * math.copysign(1.0, across), 0.0)
    if len(right) < 3 or not weights.any():
        return across, stir, None
    x = places[alone, 0]
    middle = float(np.average(x, weights=weights))
    return across, stir, math.sqrt(float(np.average((x - middle) ** 2, weights=weights)))


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
    moving = None
    if name not in ("static", "handheld"):
        sign = math.copysign(1.0, {"pan": right, "tilt": down, "zoom": growth}[kind])
        axis = ("pan", "tilt", "zoom").index(kind)
        scale = sign / (2 if kind == "zoom" else 1)
        moving = _moving(steps, scale * smooth[:, axis], scale * speed[:, axis])
    return Movement(name, motion, min(1.0, shake), _heading(trusted, seconds), moving)


def _heading(trusted: list[Step], seconds: float) -> Literal["left", "right"] | None:
    """Screen direction: which way the subject moves past the background.

    A subject that a panning camera keeps in the middle of the frame heads the way it goes all the same. What
    goes to and fro, both ways at once, or up and down has no heading.
    """
    known = sum(step.seconds for step in trusted)
    across, stir = sum(step.across for step in trusted), sum(step.stir for step in trusted)
    spreads = [step.spread for step in trusted if step.spread is not None]
    if 3 * known < seconds or len(spreads) < _STEPS or not stir:
        return None
    if abs(across) < max(_ONE_WAY * stir, _CLEAR * known) or float(np.median(spreads)) > _COMPACT:
        return None
    telling = [step.across for step in trusted if abs(step.across) > _ONE_WAY / 2 * step.stir]
    with_it = sum(1 for one in telling if one * across > 0)
    if with_it < _STEPS or with_it < 0.8 * len(telling):
        return None
    return "right" if across > 0 else "left"


def _moving(steps: list[Step], rates: NDArray[np.float64], rough: NDArray[np.float64]) -> tuple[float, float]:
    """The stretch in which the camera goes furthest, by its speed along the move at each trusted step.

    ``rates`` are smoothed, ``rough`` are not: a running mean begins too early and ends too late. A halt of up
    to ``_HALT`` is part of a move, and so are steps too quick to follow.
    """
    trusted = [step for step in steps if step.trusted]
    usual = float(np.percentile(rates[rates > 0], 75)) if (rates > 0).any() else 0.0
    least = max(_SLOWEST, _STARTED * usual)
    going = np.flatnonzero((rates >= least) & (rough >= least))
    if not len(going):
        going = np.array([int(rates.argmax())])
    gaps = [sum(step.seconds for step in trusted[a + 1 : b]) for a, b in itertools.pairwise(going)]
    runs = np.split(going, [place + 1 for place, gap in enumerate(gaps) if gap > _HALT])
    far = [sum(float(rates[at]) * trusted[at].seconds for at in run) for run in runs]
    best = runs[int(np.argmax(far))]
    first, last = steps.index(trusted[best[0]]), steps.index(trusted[best[-1]])
    while first > 0 and _too_quick(steps[first - 1]):
        first -= 1
    while last + 1 < len(steps) and _too_quick(steps[last + 1]):
        last += 1
    return round(steps[first].start, 3), round(steps[last].start + steps[last].seconds, 3)


def _too_quick(step: Step) -> bool:
    """Whether the picture moved, and so much that no one movement could be found."""
    return not step.trusted and step.flow > _QUICK * step.seconds


def _smooth(speed: NDArray[np.float64]) -> NDArray[np.float64]:
    """A running mean over half a second, shorter at the ends."""
    out = np.empty_like(speed)
    for index in range(len(speed)):
        reach = min(2, index, len(speed) - 1 - index)
        out[index] = speed[index - reach : index + reach + 1].mean(axis=0)
    return out
