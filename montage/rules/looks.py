"""What kind of picture a look is: by day or night, in colour or black and white, always by soft steps."""

from __future__ import annotations

import math

from index.values import Look

__all__ = ["clip", "energy", "monochrome", "night"]


def clip(value: float) -> float:
    """``value`` kept within [0, 1]."""
    return min(1.0, max(0.0, value))


def night(look: Look) -> float:
    """How much a picture looks like night, 0 to 1: mean luma from 25% down to 13%.

    A dark backdrop says little about the hour: close-ups count for half, extreme close-ups for nothing.
    """
    sure = {"CU": 0.5, "ECU": 0.0}.get(look.size or "", 1.0)
    return sure * clip((0.25 - look.brightness) / 0.12)


def monochrome(look: Look) -> float:
    """How much a picture looks black and white, 0 to 1: saturation from 3% down to 1.5%, without a tint.

    A grey street filmed in colour keeps some 3%.
    """
    tint = math.hypot(look.lab[1], look.lab[2])
    return clip((0.03 - look.saturation) / 0.015) * clip((4 - tint) / 2)


def energy(look: Look) -> float:
    """Motion energy as it is felt, in tenfold steps: the decimal logarithm of frame widths a second + 2%."""
    return math.log10(look.motion + 0.02)
