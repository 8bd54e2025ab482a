"""A gentle match of exposure and colour between neighbouring pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from index.values import Look
from montage.rules.looks import monochrome, night
from montage.timeline import Clip, Grade, Timeline

__all__ = ["with_matched_colours"]

STRENGTH = 0.5
"""How far a picture goes from its own mean colour to its neighbours'."""
DARKEST, BRIGHTEST = 0.8, 1.25
"""Least and most gain of luma."""
MOST_COLOUR = 8.0
"""Most change of Cb and Cr, of 255."""
ALIKE = 0.5
"""Difference of night or of black and white from which two pictures are not to be matched."""
_WHITE = np.array([0.95047, 1.0, 1.08883])
"""CIE XYZ of D65."""
_TO_RGB = np.array(
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.9692660, 1.8760108, 0.0415560],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)
"""CIE XYZ to linear BT.709."""


def with_matched_colours(
    timeline: Timeline, paragraphs: Mapping[str, int], looks: Mapping[int, Look]
) -> Timeline:
    """The timeline with every clip of footage graded toward its neighbours in the same paragraph.

    Day is not matched to night, nor colour to black and white; cards and generated pictures are left as they
    are.

    Args:
        timeline: What to show.
        paragraphs: Sentence id to its paragraph.
        looks: First frame of a clip to the look of its shot, where that is known.
    """
    clips = timeline.picture
    out = []
    for at, clip in enumerate(clips):
        look = looks.get(clip.start) if clip.media is not None else None
        if look is None:
            out.append(clip)
            continue
        near = [
            other
            for place in (at - 1, at + 1)
            if 0 <= place < len(clips)
            and (other := _neighbour(clip, clips[place], look, paragraphs, looks)) is not None
        ]
        out.append(replace(clip, grade=_grade(look, near)) if near else clip)
    return replace(timeline, picture=tuple(out))


def _neighbour(
    clip: Clip, other: Clip, look: Look, paragraphs: Mapping[str, int], looks: Mapping[int, Look]
) -> Look | None:
    """The look of a neighbour, if the two should match."""
    beside = looks.get(other.start) if other.media is not None else None
    own = paragraphs.get(clip.sentence)
    if beside is None or own is None or own != paragraphs.get(other.sentence):
        return None
    apart = max(abs(night(look) - night(beside)), abs(monochrome(look) - monochrome(beside)))
    return beside if apart < ALIKE else None


def _grade(look: Look, near: list[Look]) -> Grade:
    own = np.array(look.lab)
    mean = np.mean([own, *(np.array(other.lab) for other in near)], axis=0)
    aim = own + STRENGTH * (mean - own)
    luma, blue, red = _ycc(own)
    wanted = _ycc(aim)
    gain = wanted[0] / max(luma, 0.05)
    shifts = np.clip((wanted[1:] - (blue, red)) * 224, -MOST_COLOUR, MOST_COLOUR)
    return Grade(
        gain=float(np.clip(gain, DARKEST, BRIGHTEST)),
        blue=round(float(shifts[0]), 3),
        red=round(float(shifts[1]), 3),
    )


def _ycc(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """A CIE L*a*b* colour as BT.709 Y'CbCr: luma 0 to 1, colour -0.5 to 0.5."""
    middle = (lab[0] + 16) / 116
    steps = np.array([middle + lab[1] / 500, middle, middle - lab[2] / 200])
    xyz = _WHITE * np.where(steps > 6 / 29, steps**3, 3 * (6 / 29) ** 2 * (steps - 4 / 29))
    linear = np.clip(_TO_RGB @ xyz, 0, 1)
    red, green, blue = np.where(linear < 0.018, 4.5 * linear, 1.099 * linear**0.45 - 0.099)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return np.array([luma, (blue - luma) / 1.8556, (red - luma) / 1.5748])
