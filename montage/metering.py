"""Hearing a film's sound as it was encoded: how long, how loud, and where it is silent."""

from __future__ import annotations

import math
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from montage.peaks import true_peaks
from montage.process import Cancel, as_input, run_ffmpeg
from montage.timeline import SAMPLE_RATE
from montage.values import FilmError

__all__ = ["BLOCK", "Heard", "block_levels", "hear_sound", "read_meter"]

BLOCK = SAMPLE_RATE // 10
"""Samples in a block of the level of a sound."""
_BLOCKS = 600
"""Blocks that are looked at together."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heard:
    """An encoded sound, decoded again."""

    samples: int
    levels: NDArray[np.float32]
    """Root mean square of each whole block of ``BLOCK`` samples."""
    lufs: float
    """Integrated loudness (ITU-R BS.1770); -70 for silence."""
    peak: float
    """True peak, dBTP."""
    said: tuple[str, ...]
    """What the decoder complained about."""


def block_levels(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Root mean square of each whole block of ``BLOCK`` samples; ``sound`` is (samples, channels)."""
    whole = len(sound) // BLOCK
    if not whole:  # a film of two frames has less
        return np.zeros(0, dtype=np.float32)
    blocks = sound[: whole * BLOCK].reshape(whole, -1)
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", blocks, blocks) / max(1, BLOCK * 2)), dtype=np.float32)


def hear_sound(
    path: Path, *, known: tuple[float, float] | None = None, cancel: Cancel | None = None
) -> Heard:
    """Decode a file's sound once, and measure it.

    Args:
        path: The file.
        known: (LUFS, dBTP) of sound that was encoded without loss, which need not be measured again.
        cancel: Asked while ffmpeg runs.

    Raises:
        FilmError: if it cannot be decoded or was cancelled.
    """
    # The sound of an hour is too large for memory. The file has no name, so that nothing is left of it.
    with tempfile.TemporaryFile(dir=path.parent) as raw:
        # The level before each line tells complaints from the measurement.
        _, log = run_ffmpeg(
            [
                "-i", as_input(path), "-map", "0:a:0",
                *(("-af", "ebur128=framelog=quiet") if known is None else ()),
                "-f", "f32le", "-ac", "2", "-ar", str(SAMPLE_RATE), "pipe:1",
            ],
            what=f"decode the sound of {path.name}",
            cancel=cancel,
            level="level+info",
            into=raw,
        )  # fmt: skip
        samples = raw.seek(0, os.SEEK_END) // 8
        raw.seek(0)
        levels = [np.zeros(0, np.float32)]
        highest = 0.0
        while data := raw.read(BLOCK * 8 * _BLOCKS):
            sound = np.frombuffer(data, np.float32).reshape(-1, 2)
            levels.append(block_levels(sound))
            if known is None:
                # The wave between samples is at most 3 dB above those of real sound.
                near = max(highest, float(sound.max()), -float(sound.min())) * 10 ** (-3 / 20)
                highest = max(highest, float(true_peaks(sound, max(near, 1e-6)).max()))
    lufs, peak = known or (read_meter(log), 20 * math.log10(highest) if highest else -math.inf)
    return Heard(
        samples=samples,
        levels=np.concatenate(levels),
        lufs=lufs,
        peak=peak,
        said=tuple(line for line in log.splitlines() if "[warning]" in line or "[error]" in line),
    )


def read_meter(log: str) -> float:
    """Integrated loudness in LUFS from the log of ffmpeg's ``ebur128`` filter, -70 for silence.

    Raises:
        FilmError: if the log holds no measurement.
    """
    loudness = re.findall(r"I:\s+(-?[\d.]+|-inf|nan) LUFS", log)
    if not loudness:
        raise FilmError(f"the loudness could not be measured: {log[-200:]}")
    value = float(loudness[-1])
    return value if math.isfinite(value) else -70.0
