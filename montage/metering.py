"""Reading what ffmpeg's EBU R128 meter says."""

from __future__ import annotations

import math
import re

from montage.values import FilmError

__all__ = ["read_meter"]


def read_meter(log: str) -> tuple[float, float]:
    """(integrated loudness in LUFS, true peak in dBTP) from the log of ffmpeg's ``ebur128`` filter.

    Silence gives -70 and minus infinity.

    Raises:
        FilmError: if the log holds no measurement.
    """
    loudness = re.findall(r"I:\s+(-?[\d.]+|-inf|nan) LUFS", log)
    peak = re.findall(r"Peak:\s+(-?[\d.]+|-inf) dBFS", log)
    if not loudness or not peak:
        raise FilmError(f"the loudness could not be measured: {log[-200:]}")
    value = float(loudness[-1])
    return (value if math.isfinite(value) else -70.0), float(peak[-1])
