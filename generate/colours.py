"""A card's colours: a dark gradient and an accent in the hues of the neighbouring shots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generate.base import Frame

__all__ = ["Palette", "contrast_ratio", "palette_of"]

Lab = NDArray[np.float32]
"""CIE L*a*b* (D65): L 0 to 100, a and b about -100 to 100."""

CLUSTERS = 5
"""Colours looked for in the neighbours."""
CALM: tuple[tuple[float, float, float], ...] = ((9, 1, -9), (20, 0, -17), (30, -7, -13))
"""Background without neighbours, in Lab: ink blue to slate."""
CALM_ACCENT = (76.0, 8.0, 34.0)
"""Accent without neighbours: sand."""
LIGHTNESS = (8.0, 19.0, 31.0)
"""Lightness (L) of the three background colours: dark enough for near-white text at any place."""
CHROMA_LIMIT = 28.0
"""Most chroma of a background colour; more would fight the text."""
CHROMA_PER_LIGHTNESS = 0.85
"""Most chroma at a lightness, in chroma units per L: dark yellows and greens leave sRGB above about that."""
GREY_CHROMA = 5.0
"""Neighbours with less chroma than this are monochrome, and so is their card."""
TEXT = (246, 243, 236)
"""Colour of the text: paper white."""


@dataclass(frozen=True, slots=True, eq=False)
class Palette:
    """The colours of a card."""

    background: Lab
    """(3, 3): dark, middle and light colour in Lab."""
    accent: tuple[int, int, int]
    """RGB of the ornament."""
    text: tuple[int, int, int] = TEXT
    """RGB of the words."""


def palette_of(neighbours: Sequence[Frame]) -> Palette:
    """The palette for a card between these frames; a calm blue where there are none."""
    if not neighbours:
        return Palette(np.array(CALM, np.float32), _rgb(np.array(CALM_ACCENT, np.float32)))
    centres, shares = _clusters(np.concatenate([_samples(frame) for frame in neighbours]))
    chroma = np.hypot(centres[:, 1], centres[:, 2])
    if float((chroma * shares).sum()) < GREY_CHROMA:
        grey = np.array([(lightness, 0, 0) for lightness in LIGHTNESS], np.float32)
        return Palette(grey, _rgb(np.array((78, 0, 0), np.float32)))
    # The colours that say most: much of the picture, and not grey.
    order = np.argsort(-(shares * (chroma + 4)))
    first, second = centres[order[0]], centres[order[1]]
    rows = [
        _at(first, LIGHTNESS[0], 0.6),
        _at(first, LIGHTNESS[1], 0.95),
        _at(second, LIGHTNESS[2], 0.95),
    ]
    brightest = centres[int(np.argmax(chroma * np.sqrt(shares)))]
    scale = 38 / max(float(np.hypot(brightest[1], brightest[2])), 1e-6)
    accent = np.array((76, brightest[1] * scale, brightest[2] * scale), np.float32)
    return Palette(np.stack(rows), _rgb(accent))


def contrast_ratio(first: Sequence[float], second: Sequence[float]) -> float:
    """Contrast of two RGB colours (0 to 255), 1 to 21, as WCAG 2.2 defines it."""
    a, b = _luminance(first), _luminance(second)
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


def _luminance(colour: Sequence[float]) -> float:
    channels = np.asarray(colour, np.float64) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array((0.2126, 0.7152, 0.0722)))


def _at(colour: Lab, lightness: float, share: float) -> Lab:
    """A colour's hue at another lightness, with its chroma scaled and limited."""
    chroma = float(np.hypot(colour[1], colour[2]))
    limit = min(CHROMA_LIMIT, CHROMA_PER_LIGHTNESS * lightness)
    scale = min(chroma * share, limit) / max(chroma, 1e-6)
    return np.array((lightness, colour[1] * scale, colour[2] * scale), np.float32)


def _samples(frame: Frame) -> Lab:
    """Some thousand of a frame's colours in Lab, (n, 3)."""
    import cv2

    small = cv2.resize(np.ascontiguousarray(frame), (48, 27), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray(lab, np.float32).reshape(-1, 3)


def _clusters(samples: Lab) -> tuple[Lab, NDArray[np.float64]]:
    """Centres (CLUSTERS, 3) and their shares, by Lloyd's algorithm from quantiles of hue: no chance in it."""
    order = np.argsort(np.arctan2(samples[:, 2], samples[:, 1]) + samples[:, 0] * 0.02, kind="stable")
    places = ((np.arange(CLUSTERS) + 0.5) / CLUSTERS * len(order)).astype(int)
    centres = samples[order[places]].copy()
    for _ in range(12):
        nearest = np.argmin(((samples[:, None] - centres) ** 2 * (0.3, 1, 1)).sum(axis=2), axis=1)
        for n in range(CLUSTERS):
            if np.any(nearest == n):
                centres[n] = samples[nearest == n].mean(axis=0)
    return centres, np.bincount(nearest, minlength=CLUSTERS) / len(samples)


def _rgb(lab: Lab) -> tuple[int, int, int]:
    import cv2

    colour = cv2.cvtColor(lab.reshape(1, 1, 3), cv2.COLOR_LAB2RGB).reshape(3)
    red, green, blue = (round(float(c) * 255) for c in np.clip(colour, 0, 1))
    return red, green, blue
