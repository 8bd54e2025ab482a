"""A slow eased camera move over one frame of footage."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generate.base import Cancel, Frame, GenerationError, Progress, Request, Take, TakeKind
from generate.finish import crop_to_cover, finish_take
from generate.keys import request_key

__all__ = ["Still"]

VERSION = "still-1"
"""Raised when the look changes, so that kept takes are made anew."""
ZOOM_PER_SECOND = 0.025
"""Speed of a push in or pull out, as a share of the frame; slower looks frozen, faster like a trailer."""
ZOOM_BOUNDS = (0.04, 0.16)
"""Least and most zoom over a whole take."""
PAN_PER_SECOND = 0.022
"""How fast a pan goes, in frame widths (or heights, for a tilt) a second."""
PAN_BOUNDS = (0.03, 0.14)
"""Least and most travel over a whole take, in frame widths or heights."""
PAN_ZOOM = 1.12
"""How far a pan is zoomed in, so that there is picture to travel over."""
SMALLEST_REFERENCE = 32
"""Shortest side in pixels of a reference that still is a picture."""


@dataclass(frozen=True, slots=True)
class _Move:
    """Centre (x, y; 0 to 1 of the reference) and zoom (1 fills the frame) at both ends of a take."""

    name: str
    start: tuple[float, float, float]
    end: tuple[float, float, float]


class Still:
    """Makes a take from ``request.reference``: push in, pull out, pan or tilt, chosen by the seed.

    Each frame is resampled once from the reference with a Lanczos filter over a window whose edges are real
    numbers, so the move has no whole-pixel jitter and no aliasing. Known as the Ken Burns effect.
    """

    name = "still"
    kind: TakeKind = "still"
    identity = VERSION

    def __init__(self, directory: Path | str) -> None:
        """Takes are written to ``directory``."""
        self.directory = Path(directory)

    def generate(
        self, request: Request, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Take:
        """Make one take.

        Raises:
            GenerationError: if the request has no usable reference frame.
            Cancelled: if ``cancel`` said so.
        """
        reference = _checked(request.reference)
        move = _choose(request, reference)
        path = self.directory / f"{request_key(request, self.name, self.identity)}.mp4"
        return finish_take(
            _frames(request, reference, move),
            path,
            request,
            kind="still",
            model=self.name,
            model_hash=VERSION,
            details={"move": move.name},
            progress=progress,
            cancel=cancel,
        )


def _checked(reference: Frame | None) -> Frame:
    if reference is None:
        raise GenerationError(
            "a still move needs a frame of footage to move over, and the request has none: "
            "give a reference, or use a card"
        )
    if reference.ndim != 3 or reference.shape[2] != 3 or reference.dtype != np.uint8:
        raise GenerationError(
            "a reference must be an RGB frame (height, width, 3) of type uint8, "
            f"got shape {reference.shape} and type {reference.dtype}"
        )
    if min(reference.shape[:2]) < SMALLEST_REFERENCE:
        raise GenerationError(
            f"the reference is {reference.shape[1]}x{reference.shape[0]} pixels, too small to fill a frame: "
            "give the frame itself, not a thumbnail"
        )
    return reference


def _window(reference: Frame, request: Request) -> tuple[float, float]:
    """Width and height, as shares of the reference, of what fills the frame at zoom 1."""
    height, width = reference.shape[:2]
    crop = crop_to_cover(width, height, Fraction(request.width, request.height))
    return crop[0] / width, crop[1] / height


def _choose(request: Request, reference: Frame) -> _Move:
    """A move for this seed: its size grows with the take's length, its direction is drawn."""
    rng = np.random.default_rng(request.seed)
    seconds = float(request.frames / request.fps)
    zoom = 1 + min(max(ZOOM_PER_SECOND * seconds, ZOOM_BOUNDS[0]), ZOOM_BOUNDS[1])
    travel = min(max(PAN_PER_SECOND * seconds, PAN_BOUNDS[0]), PAN_BOUNDS[1])
    wide, high = _window(reference, request)
    x, y = _interest(reference)
    # A frame much wider than the film has picture to spare at its sides: pan along it; so for a taller one.
    free = "pan" if wide < 0.8 else "tilt" if high < 0.8 else ""
    kinds = ["push in", "pull out", free] if free else ["push in", "pull out", "push in", "pull out", "pan"]
    kind = kinds[int(rng.integers(len(kinds)))]
    if kind in {"push in", "pull out"}:
        near, far = (x, y, zoom * 1.01), (0.5 + (x - 0.5) * 0.5, 0.5 + (y - 0.5) * 0.5, 1.01)
        start, end = (far, near) if kind == "push in" else (near, far)
    else:
        sign = 1.0 if rng.random() < 0.5 else -1.0
        share = wide if kind == "pan" else high
        scale = 1.02 if free else PAN_ZOOM
        half = sign * travel * share / scale / 2
        # Kept inside the picture as one move: clamping each end would shorten it.
        low = share / scale / 2 + abs(half)
        if kind == "pan":
            middle = min(max(x, low), 1 - low)
            start, end = (middle - half, y, scale), (middle + half, y, scale)
        else:
            middle = min(max(y, low), 1 - low)
            start, end = (x, middle - half, scale), (x, middle + half, scale)
        forward = sign > 0
        kind = (
            f"pan {'right' if forward else 'left'}"
            if kind == "pan"
            else f"tilt {'down' if forward else 'up'}"
        )
    return _Move(kind, start, end)


def _interest(reference: Frame) -> tuple[float, float]:
    """Where the detail lies (x, y; 0 to 1): the mean place of the edges, drawn halfway to the centre."""
    step = max(1, min(reference.shape[:2]) // 96)
    grey: NDArray[np.float32] = reference[::step, ::step].astype(np.float32).mean(axis=2)
    down, across = np.gradient(grey)
    energy = np.hypot(down, across)
    energy = np.clip(energy, 0, np.percentile(energy, 99)) ** 1.5
    total = float(energy.sum())
    if total <= 0:
        return 0.5, 0.5
    rows, columns = energy.shape
    x = float((energy.sum(axis=0) * (np.arange(columns) + 0.5)).sum() / total / columns)
    y = float((energy.sum(axis=1) * (np.arange(rows) + 0.5)).sum() / total / rows)
    # Edges are a poor guess at a subject: trust them by half, and frame a little high, as heads are.
    return 0.5 + (x - 0.5) * 0.5, 0.5 + (y - 0.5) * 0.5 - 0.01


def _ease(t: float) -> float:
    """From 0 to 1 with no speed at both ends, and near-even speed between: a shot that starts and settles."""
    return 0.35 * t + 0.65 * (0.5 - 0.5 * math.cos(math.pi * t))


def _frames(request: Request, reference: Frame, move: _Move) -> Iterator[Frame]:
    from PIL import Image

    picture = Image.fromarray(reference)
    wide, high = _window(reference, request)
    for index in range(request.frames):
        t = _ease(index / max(1, request.frames - 1))
        # The zoom grows by a constant factor a frame: an even growth would seem to slow down.
        zoom = move.start[2] * (move.end[2] / move.start[2]) ** t
        half_width, half_height = wide / zoom / 2, high / zoom / 2
        x = move.start[0] + (move.end[0] - move.start[0]) * t
        y = move.start[1] + (move.end[1] - move.start[1]) * t
        x, y = min(max(x, half_width), 1 - half_width), min(max(y, half_height), 1 - half_height)
        box = (
            (x - half_width) * picture.width,
            (y - half_height) * picture.height,
            (x + half_width) * picture.width,
            (y + half_height) * picture.height,
        )
        inside = (max(0.0, box[0]), max(0.0, box[1]), min(picture.width, box[2]), min(picture.height, box[3]))
        yield np.asarray(
            picture.resize((request.width, request.height), Image.Resampling.LANCZOS, box=inside)
        )
