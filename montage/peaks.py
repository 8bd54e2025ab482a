"""True peaks: how high the wave between the samples is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from montage.timeline import SAMPLE_RATE

__all__ = ["BLOCK", "true_peaks"]

BLOCK = SAMPLE_RATE // 1000
"""Samples in a block: 1 ms."""
_HALF = 12
"""Samples on either side that the interpolation between samples looks at."""
_CHUNK = 1000
"""Blocks handled at a time."""


def _between() -> NDArray[np.float32]:
    """(BLOCK + 2 * _HALF - 1, 3 * BLOCK): from the samples of a block and around it to those a quarter, a
    half and three quarters of a sample after each (BS.1770, annex 2: peaks at four times the rate)."""
    matrix = np.zeros((BLOCK + 2 * _HALF - 1, 3 * BLOCK))
    taps = np.arange(1 - _HALF, _HALF + 1)
    for phase in range(3):
        apart = taps - (phase + 1) / 4
        kernel = np.sinc(apart) * np.cos(np.pi * apart / (2 * _HALF + 1)) ** 2
        for sample in range(BLOCK):
            matrix[sample : sample + 2 * _HALF, phase * BLOCK + sample] = kernel
    return matrix.astype(np.float32)


def true_peaks(sound: NDArray[np.float32], hot: float) -> NDArray[np.float32]:
    """Peak of each block of 1 ms, of both channels; ``sound`` is (samples, 2).

    Between samples it is looked at only in blocks with samples of at least ``hot``.
    """
    samples, channels = sound.shape
    peaks = np.zeros(-(-samples // BLOCK), np.float32)
    matrix = _between()
    places = np.arange(matrix.shape[0]) + 1 - _HALF
    for first in range(0, len(peaks), _CHUNK):
        start, end = first * BLOCK, min(samples, (first + _CHUNK) * BLOCK)
        chunk = np.ascontiguousarray(sound[start:end])
        whole = (end - start) // BLOCK
        blocks = chunk[: whole * BLOCK].reshape(whole, BLOCK * channels)
        peaks[first : first + whole] = np.maximum(blocks.max(axis=1), -blocks.min(axis=1))
        if whole * BLOCK < end - start:
            peaks[first + whole] = np.abs(chunk[whole * BLOCK :]).max()
        loud = first + np.flatnonzero(peaks[first : first + _CHUNK] >= hot)
        if len(loud):
            around = sound[np.clip(loud[:, None] * BLOCK + places, 0, samples - 1)]
            for channel in range(channels):
                np.maximum.at(peaks, loud, np.abs(around[:, :, channel] @ matrix).max(axis=1))
    return peaks
