"""A take in the colours and the grain of its neighbours, so that it cuts with them.

Colours are fitted once for a whole take: fitted for each frame, they would flicker. The map is linear in RGB,
the Monge-Kantorovich one between the two colour distributions (Pitie and Kokaram, "The linear
Monge-Kantorovitch linear colour mapping for example-based colour transfer", CVMP 2007), and goes part of the
way, since a generated shot shows something else than its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from generate.base import Frame

__all__ = ["STRENGTH", "colour_fit", "grain_of", "missing_grain"]

STRENGTH = 0.6
"""How far a take's colours are drawn to its neighbours'."""
SAMPLES = (96, 54)
"""Frames are sampled at this size (width, height) for the fit."""
TAKE_FRAMES = 8
"""Frames of a take that the fit looks at."""
GAINS = (0.6, 1.6)
"""Least and most that a colour direction is stretched: beyond, noise and bands come up."""
QUIET = 0.93
"""Noise that the quietest half of the blocks shows, against that of all: what is quiet by chance is among
them."""
MOST_SHIFT = 25.0
"""Most by which a channel's mean is moved, in levels of 255: beyond, a take shows its neighbours' colour and
no more what it was made of."""
MOST_GRAIN = 8.0
"""Most grain that is added, in levels of 255."""

Floats = NDArray[np.float64]


def colour_fit(
    take: Sequence[Frame], neighbours: Sequence[Frame], strength: float = STRENGTH
) -> Callable[[Frame], Frame]:
    """The function that draws every frame of a take to the colours of its neighbours.

    Args:
        take: its frames, (height, width, 3) RGB.
        neighbours: frames of the shots before and after; with none, colours stay.
        strength: 0 leaves the colours, 1 makes mean and covariance those of the neighbours.
    """
    if not neighbours or not take or strength <= 0:
        return lambda frame: frame
    places = np.linspace(0, len(take) - 1, min(TAKE_FRAMES, len(take))).astype(int)
    own = np.concatenate([_samples(take[place]) for place in places])
    wanted = np.concatenate([_samples(frame) for frame in neighbours])
    matrix = _monge_kantorovich(own, wanted)
    matrix = np.eye(3) + strength * (matrix - np.eye(3))
    middle = own.mean(axis=0)
    shift = strength * (wanted.mean(axis=0) - middle)
    goal = middle + shift * min(1.0, MOST_SHIFT / max(1e-6, float(np.abs(shift).max())))

    stretch, centre, aim = (value.astype(np.float32) for value in (matrix, middle, goal))

    def fitted(frame: Frame) -> Frame:
        mapped = (frame.reshape(-1, 3).astype(np.float32) - centre) @ stretch + aim
        return np.asarray(np.clip(mapped + 0.5, 0, 255), np.uint8).reshape(frame.shape)

    return fitted


def _samples(frame: Frame) -> Floats:
    """(n, 3) colours of a frame, 0 to 255."""
    import cv2

    small = cv2.resize(np.ascontiguousarray(frame), SAMPLES, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float64).reshape(-1, 3)


def _monge_kantorovich(own: Floats, wanted: Floats) -> Floats:
    """(3, 3): the symmetric map that takes the covariance of ``own`` to that of ``wanted``, its gains
    bounded."""
    a = np.cov(own.T) + 1e-2 * np.eye(3)
    b = np.cov(wanted.T) + 1e-2 * np.eye(3)
    values, vectors = np.linalg.eigh(a)
    root = vectors @ np.diag(np.sqrt(values)) @ vectors.T
    inverse = vectors @ np.diag(1 / np.sqrt(values)) @ vectors.T
    between, turned = np.linalg.eigh(root @ b @ root)
    whole = inverse @ turned @ np.diag(np.sqrt(np.maximum(between, 0))) @ turned.T @ inverse
    gains, directions = np.linalg.eigh((whole + whole.T) / 2)
    return np.asarray(directions @ np.diag(np.clip(gains, *GAINS)) @ directions.T)


def grain_of(frame: Frame) -> float:
    """Standard deviation of the noise of a frame's brightness, in levels of 255.

    After Immerkaer, "Fast noise variance estimation" (CVIU 1996), whose mask is blind to structure that is
    smooth or straight; the quietest half of the blocks counts, where texture misleads least.
    """
    import cv2

    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY).astype(np.float32)
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    seen = np.abs(cv2.filter2D(grey, -1, mask))[1:-1, 1:-1]
    side = 16
    rows, columns = seen.shape[0] // side, seen.shape[1] // side
    if not rows or not columns:
        return float(seen.mean() * np.sqrt(np.pi / 2) / 6)
    tiled = seen[: rows * side, : columns * side].reshape(rows, side, columns, side)
    blocks = np.sort(tiled.mean(axis=(1, 3)).ravel())
    quiet = blocks[: max(1, len(blocks) // 2)]
    return float(quiet.mean() * np.sqrt(np.pi / 2) / 6 / QUIET)


def missing_grain(take: Sequence[Frame], neighbours: Sequence[Frame], size: tuple[int, int]) -> float:
    """Grain that a take lacks beside its neighbours at the film's size (width, height), in levels of 255."""
    from generate.conditioning import fitted

    if not neighbours or not take:
        return 0.0
    own = grain_of(fitted(take[len(take) // 2], size))
    wanted = float(np.mean([grain_of(fitted(frame, size)) for frame in neighbours]))
    return min(MOST_GRAIN, float(np.sqrt(max(0.0, wanted**2 - own**2))))
