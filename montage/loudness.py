"""Setting a film to one loudness (EBU R 128), with its true peaks held back.

Loudness is measured, then changed by one gain for the whole film; only where that would lift true peaks
above the ceiling are they held back, and the gain makes up for what that takes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.loudness import KWeighting, gated_loudness
from montage.peaks import BLOCK, true_peaks
from montage.pieces import CHANNELS, NOTHING_LUFS

__all__ = [
    "PEAK_DBTP",
    "TARGET_LUFS",
    "TOLERANCE_LU",
    "Levelled",
    "Loudness",
    "weighted_power",
]

TARGET_LUFS = -14.0
"""Integrated loudness of a film (ITU-R BS.1770), as video platforms play it; broadcasters ask for -23."""
TOLERANCE_LU = 0.5
"""How far from the target a film may be."""
PEAK_DBTP = -1.0
"""Highest true peak allowed."""
HEADROOM_DB = 0.5
"""How far below that the mix stays."""
CODING_HEADROOM_DB = 1.0
"""The same before lossy coding, which moves peaks by about that much: less is often encoded twice."""
MOST_GAIN_DB = 24.0
"""Quieter sound is noise: it is not raised by more than this."""
MOST_PUSH_DB = 12.0
"""Peaks are not held back by more than about this to make the rest louder."""
MOST_STEPS = 12
"""How often a better gain is looked for; gains are in quarters of a decibel."""
LOOK_AHEAD = 5
"""Blocks over which the limiter goes down before a peak."""
RELEASE_DB = 0.05
"""dB by which it comes up again in each block: 6 dB in 120 ms."""
_CHUNK = 1000
"""Blocks handled at a time."""
_TENTH = 100
"""Blocks of a tenth of a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loudness:
    """How loud a film is."""

    lufs: float | None
    """Integrated loudness (BS.1770), None for silence."""
    peak: float | None
    """True peak, dBTP."""
    gain: float = 0.0
    """By how many dB the mix was changed."""
    limited: bool = False
    """Whether peaks had to be held back."""
    target: float = TARGET_LUFS
    """What was asked for, LUFS."""

    @property
    def on_target(self) -> bool:
        """Whether it is within 0.5 LU of the target and its true peak below -1 dBTP; silence is."""
        if self.lufs is None or self.peak is None:
            return True
        return abs(self.lufs - self.target) <= TOLERANCE_LU and self.peak <= PEAK_DBTP

    @property
    def why(self) -> str:
        """Why it is not on target, empty where it is."""
        if self.on_target or self.lufs is None:
            return ""
        if self.lufs > self.target or not self.limited:
            return (
                "more than 24 dB would only raise noise"
                if self.gain >= MOST_GAIN_DB
                else "coding changed its loudness or peaks"
            )
        return "short peaks stand too far above the rest"

    def after_coding(self, lufs: float, peak: float) -> Loudness:
        """The same film as it was measured after lossy encoding."""
        return replace(self, lufs=lufs if lufs > NOTHING_LUFS else None, peak=peak)

    def __str__(self) -> str:
        if self.lufs is None or self.peak is None:
            return "silent"
        return f"{self.lufs:.1f} LUFS, true peak {self.peak:.1f} dBTP, for {self.target:g} LUFS"


def _held_back(peaks: NDArray[np.float32], gain: float, ceiling: float) -> NDArray[np.float64]:
    """dB by which each block is lowered so that no peak, after ``gain`` dB, is above ``ceiling`` dB.

    It goes down smoothly within ``LOOK_AHEAD`` blocks before a peak and comes up by ``RELEASE_DB`` a block.
    """
    with np.errstate(divide="ignore"):
        need = np.minimum(0.0, ceiling - gain - 20 * np.log10(peaks.astype(np.float64)))
    steps = RELEASE_DB * np.arange(len(need))
    released = np.minimum.accumulate(need - steps) + steps
    np.minimum(released, 0.0, out=released)
    # The lowest value within reach, then a mean over less than that reach: never above what is needed.
    reach = LOOK_AHEAD + 1
    padded = np.pad(released, reach, mode="edge")
    low = padded[: len(released)].copy()
    for shift in range(1, 2 * reach + 1):
        np.minimum(low, padded[shift : shift + len(released)], out=low)
    window = np.hanning(2 * LOOK_AHEAD + 3)[1:-1]
    smooth = np.convolve(np.pad(low, LOOK_AHEAD, mode="edge"), window / window.sum(), "valid")
    return np.asarray(smooth, dtype=np.float64)


def weighted_power(sound: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """((n,) squares of both K-weighted channels, added up in each whole block of 1 ms; highest sample).

    Args:
        sound: (samples, 2) at 48 kHz.
    """
    weighting = KWeighting()
    power = np.zeros(len(sound) // BLOCK)
    highest = 0.0
    for first in range(0, -(-len(sound) // BLOCK), _CHUNK):
        chunk = sound[first * BLOCK : (first + _CHUNK) * BLOCK].T
        highest = max(highest, float(chunk.max()), -float(chunk.min()))
        weighted = weighting(chunk)
        whole = weighted.shape[1] // BLOCK
        blocks = weighted[:, : whole * BLOCK].reshape(CHANNELS, whole, BLOCK)
        power[first : first + whole] = np.einsum("cbi,cbi->b", blocks, blocks, dtype=np.float64)
    return power, highest


class Levelled:
    """A mix and its copy at the target loudness.

    Args:
        mixed: A film's samples without a container; it is left as it is.
        result: The copy, written by ``level``.
        target: LUFS.
    """

    def __init__(self, mixed: Path, result: Path, target: float) -> None:
        self._result, self._target = result, target
        self._sound = np.memmap(mixed, np.float32, "r").reshape(-1, CHANNELS)
        self._power, highest = weighted_power(self._sound)
        self._before = self._loudness(0.0)
        self.silent = self._before <= NOTHING_LUFS
        # In quarters of a decibel: a small change of the film then leaves the rest of its samples alone.
        self._gain = min(round(4 * (target - self._before)) / 4, MOST_GAIN_DB)
        self.aim = min(target, self._before + MOST_GAIN_DB)
        """LUFS that it is to have: the target, or less for what would only be noise."""
        self._peaks = np.zeros(0, np.float32)
        if not self.silent:
            # 3 dB is more than what lies between the samples of real sound.
            ceiling = 10 ** ((PEAK_DBTP - HEADROOM_DB - self._gain - MOST_PUSH_DB) / 20)
            hot = min(highest, ceiling) * 10 ** (-3 / 20)
            self._peaks = true_peaks(self._sound, max(hot, 1e-6))

    def level(self, ceiling: float = PEAK_DBTP - HEADROOM_DB, more: float = 0.0) -> Loudness:
        """Write the copy; returns what was reached.

        Silence is copied as it is, and noise is raised by 24 dB at most.

        Args:
            ceiling: Highest true peak, dBTP.
            more: LU above the target, for what coding takes away.
        """
        if self.silent:
            self._write(0.0, None)
            return Loudness(lufs=None, peak=None, target=self._target)
        highest = 20 * float(np.log10(self._peaks.max()))
        gain = self._gain + more
        wanted = self._before + gain
        if highest + gain <= ceiling:
            self._write(gain, None)
            return Loudness(lufs=wanted, peak=highest + gain, gain=gain, target=self._target)
        push = gain
        for left in reversed(range(MOST_STEPS)):
            lowered = _held_back(self._peaks, push, ceiling)
            lufs = self._loudness(push, lowered)
            step = min(round(4 * (wanted - lufs)) / 4, gain + MOST_PUSH_DB - push)
            if step == 0 or not left:
                break
            push += step
        self._write(push, lowered)
        return Loudness(lufs=lufs, peak=ceiling, gain=gain, limited=True, target=self._target)

    def _loudness(self, gain: float, lowered: NDArray[np.float64] | None = None) -> float:
        """LUFS with so many dB, and so many less in each block.

        What lowers blocks moves slowly against the K-weighting, so that it may come after it.
        """
        power = self._power if lowered is None else self._power * 10 ** (lowered[: len(self._power)] / 10)
        tenths = len(power) // _TENTH
        parts = power[: tenths * _TENTH].reshape(tenths, _TENTH).sum(axis=1) / (_TENTH * BLOCK)
        return gated_loudness(parts * 10 ** (gain / 10))

    def _write(self, gain: float, lowered: NDArray[np.float64] | None) -> None:
        sound, scale = self._sound, np.float32(10 ** (gain / 20))
        with self._result.open("wb") as out:
            for first in range(0, -(-len(sound) // BLOCK), _CHUNK):
                start = first * BLOCK
                chunk = sound[start : start + _CHUNK * BLOCK] * scale
                if lowered is not None:
                    near = lowered[max(0, first - 1) : first + _CHUNK + 1]
                    if near.min() < -1e-6:
                        at = (np.arange(max(0, first - 1), max(0, first - 1) + len(near)) + 0.5) * BLOCK
                        curve = np.interp(np.arange(start, start + len(chunk)), at, 10 ** (near / 20))
                        chunk *= curve.astype(np.float32)[:, None]
                out.write(chunk.tobytes())
