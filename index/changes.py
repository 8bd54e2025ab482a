"""How likely a shot begins at a frame: what changed around it, read by a very small network.

A change of shot lasts, whatever its length: before and after are alike within and differ from each other.
So each frame is compared across several distances (colour histograms, layout, luma), and frames in the
middle with a mix of both sides (a dissolve is one, a pan is not) and with a choice between them (a wipe).
The network (four convolutions over time, 15,000 weights) weighs these figures. ``changes.npz`` holds its
weights; ``tests/index/fit_changes.py`` makes it anew from the tuning half of the test reels. It sees how
pictures differ and never what they show.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.base import FootageError
from index.decode import Image

__all__ = [
    "CHANNELS",
    "REACH",
    "TINY",
    "WEIGHTS",
    "ChangeMeter",
    "Trace",
    "describe",
    "measure_changes",
    "shrink",
]

WEIGHTS = Path(__file__).with_name("changes.npz")
TINY = (48, 27)
"""Width and height of the frames that are compared, pixels; TransNetV2 takes the same."""
HALVES = (1, 2, 4, 8, 16, 32)
"""Frames before and after that are compared with each other: at 1 neighbours."""
MIXED = HALVES[2:]
"""Distances at which the frames in the middle are compared with both sides."""
CHANNELS = 3 * len(HALVES) + 3 * len(MIXED) + 4
"""Figures a frame that the network reads."""
DILATIONS = (1, 2, 4, 8)
"""Distances in time of the network's three taps, layer by layer."""
FIELD = sum(DILATIONS)
"""Frames on either side whose figures decide about a frame."""
REACH = HALVES[-1] + FIELD
"""Frames on either side that decide about a frame."""
_BLOCK = 24
"""Frames decided at once."""
_LAYOUT = (16, 9)
_FLOOR = 1e-3

Floats = NDArray[np.float32]


def shrink(image: Image) -> Image:
    """A frame at ``TINY`` size, whatever its shape: in two steps, which costs a third of one."""
    import cv2

    height, width = image.shape[:2]
    if width >= 4 * TINY[0] and height >= 4 * TINY[1]:
        image = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(image, TINY, interpolation=cv2.INTER_AREA), np.uint8)


def describe(tiny: Image) -> tuple[Floats, Floats, Floats]:
    """A frame of ``TINY`` size as layout (9, 16, 3), histogram (512,) of length 1, and four plain figures.

    The figures are the mean and deviation of luma, its sharpness, and its lightest place, all of [0, 1].
    """
    import cv2

    layout = cv2.resize(tiny, _LAYOUT, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
    counts = cv2.calcHist([tiny], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3).ravel()
    luma = cv2.cvtColor(tiny, cv2.COLOR_RGB2GRAY)
    (mean,), (deviation,) = (value.ravel() for value in cv2.meanStdDev(luma))
    sharp = cv2.norm(luma[:, 1:], luma[:, :-1], cv2.NORM_L1) / luma.size
    plain = np.array([mean, deviation, sharp, luma.max()], np.float32) / np.float32(255)
    return layout, np.sqrt(counts / counts.sum()), plain


def measure_changes(layouts: Floats, histograms: Floats, plain: Floats, first: int, last: int) -> Floats:
    """The figures of frames ``[first, last)``: (frames, CHANNELS); ``HALVES[-1]`` frames must lie around.

    Across each distance: change of layout, of histogram, and of luma whatever its gain. In the middle of
    the longer ones: what a mix of both sides leaves unexplained, the share of that mix, and what a choice
    between both sides leaves unexplained.
    """
    columns: list[Floats] = []
    flat = layouts.reshape(len(layouts), -1)
    luma = layouts.mean(axis=3).reshape(len(layouts), -1)
    luma = luma - luma.mean(axis=1, keepdims=True)
    length = np.sqrt((luma * luma).sum(axis=1)) + 0.05
    centre = flat[first:last]
    for half in HALVES:
        before, after = slice(first - half, last - half), slice(first + half - 1, last + half - 1)
        a, b = flat[before], flat[after]
        change = b - a
        size = np.abs(change).mean(axis=1)
        columns.append(np.sqrt(size))
        likeness = np.einsum("ij,ij->i", histograms[before], histograms[after])
        columns.append(np.sqrt(np.maximum(0, 1 - likeness)))
        columns.append(np.einsum("ij,ij->i", luma[before], luma[after]) / (length[before] * length[after]))
        if half in MIXED:
            moved = centre - a
            energy = np.einsum("ij,ij->i", change, change) + _FLOOR * change.shape[1]
            share = np.einsum("ij,ij->i", moved, change) / energy
            rest = np.einsum("ij,ij->i", moved, moved) - share * share * energy
            columns.append(np.sqrt(np.maximum(0, rest) / energy))
            columns.append(np.clip(share, -1, 2))
            chosen = np.minimum(np.abs(moved), np.abs(b - centre)).mean(axis=1)
            columns.append(chosen / (size + 0.02))
    return np.concatenate([np.stack(columns, axis=1), plain[first:last]], axis=1).astype(np.float32)


@cache
def _weights() -> tuple[tuple[Floats, Floats], ...]:
    try:
        with np.load(WEIGHTS, allow_pickle=False) as held:
            layers = tuple((held[f"weight{n}"], held[f"bias{n}"]) for n in range(len(DILATIONS) + 1))
    except (OSError, ValueError, KeyError) as error:
        raise FootageError(
            f"{str(WEIGHTS)!r} is missing or damaged: install montage anew ({error})"
        ) from error
    return layers


def _judge(figures: Floats) -> Floats:
    """Probabilities and the change from the frame before, (frames - 2 FIELD, 3)."""
    layers = _weights()
    values = figures
    for (weight, bias), dilation in zip(layers[:-1], DILATIONS, strict=True):
        size = len(values) - 2 * dilation
        taps = np.concatenate([values[tap * dilation : tap * dilation + size] for tap in range(3)], axis=1)
        values = np.maximum(taps @ weight + bias, 0)
    weight, bias = layers[-1]
    chances = 1 / (1 + np.exp(-np.clip(values @ weight + bias, -30, 30)))
    steps = figures[FIELD:-FIELD, :1] ** 2
    return np.asarray(np.concatenate([chances, steps], axis=1), np.float32)


class Trace:
    """What is known about the last frames: a buffer that forgets the oldest."""

    def __init__(self) -> None:
        self.layouts: list[Floats] = []
        self.histograms: list[Floats] = []
        self.plain: list[Floats] = []

    def add(self, tiny: Image) -> None:
        """Take the next frame."""
        layout, histogram, plain = describe(tiny)
        self.layouts.append(layout)
        self.histograms.append(histogram)
        self.plain.append(plain)

    def repeat_first(self, times: int) -> None:
        """Put the first frame in front of itself."""
        for held in (self.layouts, self.histograms, self.plain):
            held[:0] = [held[0]] * times

    def repeat_last(self, times: int) -> None:
        """Put the last frame behind itself."""
        for held in (self.layouts, self.histograms, self.plain):
            held.extend([held[-1]] * times)

    def forget(self, count: int) -> None:
        """Drop the oldest frames."""
        for held in (self.layouts, self.histograms, self.plain):
            del held[:count]

    def figures(self, first: int, last: int) -> Floats:
        """``measure_changes`` of frames ``[first, last)`` of the buffer."""
        far = HALVES[-1]
        begin, end = first - far, last + far - 1
        layouts, histograms, plain = (
            np.stack(held[begin:end]) for held in (self.layouts, self.histograms, self.plain)
        )
        return measure_changes(layouts, histograms, plain, far, far + last - first)


class ChangeMeter:
    """Probabilities for one file; frames are pushed in order, and decided ``REACH`` to twice that later."""

    def __init__(self) -> None:
        self._trace = Trace()
        self._figures = np.zeros((0, CHANNELS), np.float32)
        self._started = False

    def push(self, tiny: Image) -> Floats:
        """Take the next frame, (27, 48, 3) RGB; what is decided now, (frames, 3), most often nothing.

        The columns are the probability that a shot begins here (for a gradual transition in its middle),
        the probability that a transition is under way, and the mean change of layout from the frame before
        as a share of white.
        """
        self._trace.add(tiny)
        if not self._started:
            self._trace.repeat_first(REACH)
            self._started = True
        return self._decide(_BLOCK)

    def finish(self) -> Floats:
        """What was undecided after the last frame."""
        if not self._started:
            return np.zeros((0, 3), np.float32)
        self._trace.repeat_last(REACH - 1)
        return self._decide(1)

    def _decide(self, least: int) -> Floats:
        far = HALVES[-1]
        count = len(self._trace.plain) - 2 * far + 1
        if count < least:
            return np.zeros((0, 3), np.float32)
        new = self._trace.figures(far, far + count)
        self._trace.forget(count)
        figures = np.concatenate([self._figures, new])
        self._figures = figures[max(0, len(figures) - 2 * FIELD) :]
        if len(figures) <= 2 * FIELD:
            return np.zeros((0, 3), np.float32)
        return _judge(figures)
