"""Setting a film to one loudness (EBU R 128), with its true peaks held back.

Loudness is measured, then changed by one gain for the whole film; only where that would lift true peaks
above the ceiling are they held back, and the result is measured again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from montage.metering import read_meter
from montage.pieces import CHANNELS, NOTHING_LUFS, RAW
from montage.process import Cancel, as_input, run_ffmpeg
from montage.timeline import SAMPLE_RATE

__all__ = [
    "PEAK_DBTP",
    "TARGET_LUFS",
    "TOLERANCE_LU",
    "Levelled",
    "Loudness",
    "measure_loudness",
    "true_peaks",
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
CLOSE_LU = 0.2
"""How near the target the search for the right gain ends; gains are in quarters of a decibel."""
BLOCK = SAMPLE_RATE // 1000
"""Samples in a block of the limiter: 1 ms."""
LOOK_AHEAD = 5
"""Blocks over which the limiter goes down before a peak."""
RELEASE_DB = 0.05
"""dB by which it comes up again in each block: 6 dB in 120 ms."""
_HALF = 12
"""Samples on either side that the interpolation between samples looks at."""
_CHUNK = 1000
"""Blocks handled at a time."""


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


def measure_loudness(path: Path, *, raw: bool = False, cancel: Cancel | None = None) -> tuple[float, float]:
    """(integrated loudness in LUFS, true peak in dBTP) of a file's sound, by ITU-R BS.1770.

    Silence gives -70 and minus infinity.

    Args:
        path: A film or sound file.
        raw: Whether it holds a film's samples without a container.
        cancel: Asked while ffmpeg runs.

    Raises:
        FilmError: if it cannot be measured.
    """
    return _measure(path, "true", raw, cancel)


def _measure(path: Path, peak: str, raw: bool, cancel: Cancel | None) -> tuple[float, float]:
    _, said = run_ffmpeg(
        [
            *(RAW if raw else ()), "-i", as_input(path), "-map", "0:a:0",
            "-af", f"ebur128=peak={peak}:framelog=quiet", "-f", "null", "-",
        ],
        what=f"measure the loudness of {path.name}",
        cancel=cancel,
        level="info",
    )  # fmt: skip
    return read_meter(said)


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
    samples = len(sound)
    peaks = np.zeros(-(-samples // BLOCK), np.float32)
    matrix = _between()
    places = np.arange(matrix.shape[0]) + 1 - _HALF
    for first in range(0, len(peaks), _CHUNK):
        start, end = first * BLOCK, min(samples, (first + _CHUNK) * BLOCK)
        chunk = np.ascontiguousarray(sound[start:end])
        whole = (end - start) // BLOCK
        blocks = chunk[: whole * BLOCK].reshape(whole, BLOCK * CHANNELS)
        peaks[first : first + whole] = np.maximum(blocks.max(axis=1), -blocks.min(axis=1))
        if whole * BLOCK < end - start:
            peaks[first + whole] = np.abs(chunk[whole * BLOCK :]).max()
        loud = first + np.flatnonzero(peaks[first : first + _CHUNK] >= hot)
        if len(loud):
            around = sound[np.clip(loud[:, None] * BLOCK + places, 0, samples - 1)]
            for channel in range(CHANNELS):
                np.maximum.at(peaks, loud, np.abs(around[:, :, channel] @ matrix).max(axis=1))
    return peaks


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


class Levelled:
    """A mix and its copy at the target loudness.

    Args:
        mixed: A film's samples without a container; it is left as it is.
        result: The copy, written by ``level``.
        target: LUFS.
    """

    def __init__(self, mixed: Path, result: Path, target: float, cancel: Cancel | None = None) -> None:
        self._result = result
        self._sound = np.memmap(mixed, np.float32, "r").reshape(-1, CHANNELS)
        self._target, self._cancel = target, cancel
        # The limiter needs no peaks here, and true peaks are quicker found by looking at loud blocks only.
        self._before, highest = _measure(mixed, "sample", True, cancel)
        self.silent = self._before <= NOTHING_LUFS
        # In quarters of a decibel: a small change of the film then leaves the rest of its samples alone.
        self._gain = min(round(4 * (target - self._before)) / 4, MOST_GAIN_DB)
        self.aim = min(target, self._before + MOST_GAIN_DB)
        """LUFS that it is to have: the target, or less for what would only be noise."""
        self._peaks = np.zeros(0, np.float32)
        self._power: NDArray[np.float64] | None = None
        if not self.silent:
            # 3 dB is more than what lies between the samples of real sound.
            lowest = min(highest, PEAK_DBTP - HEADROOM_DB - self._gain - MOST_PUSH_DB) - 3
            self._peaks = true_peaks(self._sound, max(10 ** (lowest / 20), 1e-6))

    def level(self, ceiling: float = PEAK_DBTP - HEADROOM_DB, more: float = 0.0) -> Loudness:
        """Write the copy; returns what was reached.

        Silence is copied as it is, and noise is raised by 24 dB at most.

        Args:
            ceiling: Highest true peak, dBTP.
            more: LU above the target, for what coding takes away.

        Raises:
            FilmError: if it cannot be measured.
        """
        if self.silent:
            self._write(0.0, None)
            return Loudness(lufs=None, peak=None, target=self._target)
        highest = 20 * float(np.log10(self._peaks.max()))
        gain = self._gain + more
        wanted = self._before + gain
        if highest + gain <= ceiling:
            # One gain for all samples moves the loudness by exactly that gain: no need to measure again.
            self._write(gain, None)
            return Loudness(lufs=wanted, peak=highest + gain, gain=gain, target=self._target)
        push, off = gain, 0.0
        for _ in range(3):
            lowered = _held_back(self._peaks, push, ceiling)
            for _ in range(6):
                # What the limiter takes is told from the blocks that it lowers, without writing them.
                lost = wanted - (self._before + push + self._lost(lowered) + off)
                step = min(round(4 * lost) / 4, gain + MOST_PUSH_DB - push)
                if abs(lost) <= CLOSE_LU or step == 0:
                    break
                push += step
                lowered = _held_back(self._peaks, push, ceiling)
            self._write(push, lowered)
            lufs, peak = _measure(self._result, "sample", True, self._cancel)
            off += lufs - (self._before + push + self._lost(lowered) + off)
            if abs(wanted - lufs) <= CLOSE_LU or push >= gain + MOST_PUSH_DB:
                break
        return Loudness(lufs=lufs, peak=max(peak, ceiling), gain=gain, limited=True, target=self._target)

    def _lost(self, lowered: NDArray[np.float64]) -> float:
        """LU that lowering blocks by so many dB takes, about: what counts is the power of the loud ones."""
        if self._power is None:
            whole = len(self._sound) // BLOCK
            blocks = self._sound[: whole * BLOCK].reshape(whole, BLOCK * CHANNELS)
            self._power = np.asarray(np.einsum("ij,ij->i", blocks, blocks), np.float64)
        power = self._power
        left = power * 10 ** (lowered[: len(power)] / 10)
        return 10 * float(np.log10(max(left.sum(), 1e-12) / max(power.sum(), 1e-12)))

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
