"""How long takes take on this machine: measured, remembered, and used to say so beforehand."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generate.base import Take

__all__ = ["Timings"]

WEIGHT = 0.5
"""Of a new measurement against those before it: a machine's speed changes with what else it does."""


class Timings:
    """Seconds that models take for a step of a megapixel frame on this machine, kept in a JSON file.

    Denoising is taken to grow with pixels, frames and steps; attention grows faster, so that the estimate of
    a larger take than those measured is too short.
    """

    def __init__(self, path: Path | str) -> None:
        """Kept in ``path``; a file that is absent or damaged knows nothing."""
        self.path = Path(path)
        try:
            read = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            read = {}
        self._known: dict[str, float] = {
            name: float(value)
            for name, value in (read.items() if isinstance(read, dict) else ())
            if isinstance(value, int | float) and value > 0
        }

    def note(self, take: Take, device: str, seconds: float) -> None:
        """Remember that a take took so many seconds on ``device``."""
        work = _work(take.details)
        if work <= 0 or seconds <= 0:
            return
        name = f"{take.model_hash[:16]} {device}"
        before = self._known.get(name)
        now = seconds / work
        self._known[name] = now if before is None else before + WEIGHT * (now - before)
        part = self.path.with_suffix(f".{os.getpid()}.part")
        try:
            part.write_text(json.dumps(self._known, indent=1, sort_keys=True), encoding="utf-8")
            os.replace(part, self.path)
        except OSError:
            part.unlink(missing_ok=True)  # an estimate is no reason to lose a take

    def estimate(
        self, model_hash: str, device: str, *, size: tuple[int, int], frames: int, steps: int
    ) -> float | None:
        """Seconds of a take of so many native frames and steps at ``size``; None where nothing was
        measured."""
        rate = self._known.get(f"{model_hash[:16]} {device}")
        return None if rate is None else rate * size[0] * size[1] * frames * steps / 1e6


def _work(details: Mapping[str, Any]) -> float:
    """Megapixel frames times steps that a take was made of."""
    try:
        pixels = details["native_width"] * details["native_height"] * details["native_frames"]
        return float(pixels * details["steps"] / 1e6)
    except (KeyError, TypeError):
        return 0.0
