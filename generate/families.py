"""The model families that can be run: one row each, no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType

__all__ = ["FAMILIES", "Family", "native_frames", "native_size"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What must be known about a family of video models to ask one for a shot."""

    name: str
    """Our name, such as ``wan``."""
    pipeline: str
    """Class name in diffusers, as ``model_index.json`` gives it."""
    frame_step: int
    """The number of frames is a multiple of this, plus one."""
    max_frames: int
    """Most frames in one take; models drift or repeat beyond what they were trained on."""
    fps: Fraction
    """The rate that the model's motion looks right at."""
    size_multiple: int
    """Width and height are multiples of this many pixels."""
    native_area: int
    """Most pixels in a frame."""
    steps: int
    """Denoising steps by default."""
    guidance: float
    """Classifier-free guidance scale by default."""
    licence: str
    """Licence of the published weights."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """What the pipeline calls prompt, negative_prompt, width, height, frames, steps and guidance."""


_TEXT_TO_VIDEO = MappingProxyType(
    {
        "prompt": "prompt",
        "negative_prompt": "negative_prompt",
        "width": "width",
        "height": "height",
        "frames": "num_frames",
        "steps": "num_inference_steps",
        "guidance": "guidance_scale",
    }
)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.pipeline: family
        for family in (
            # Wan 2.1 text to video, 1.3B and 14B: 81 frames at 16 a second, trained at 832x480.
            Family(
                name="wan",
                pipeline="WanPipeline",
                frame_step=4,
                max_frames=81,
                fps=Fraction(16),
                size_multiple=16,
                native_area=832 * 480,
                steps=50,
                guidance=5.0,
                licence="Apache-2.0",
                arguments=_TEXT_TO_VIDEO,
            ),
        )
    }
)
"""Every supported family by its pipeline class."""


def native_size(family: Family, width: int, height: int, area: int | None = None) -> tuple[int, int]:
    """The size in pixels to ask the model for: the film's aspect, no more than ``area``, in legal multiples.

    Of the legal sizes that fit, the one is taken that loses least to the crop and leaves least of the area
    unused. A film smaller than the area is asked for at about its own size.
    """
    multiple = family.size_multiple
    limit = min(area or family.native_area, max(width * height, multiple * multiple))
    aspect = width / height
    scale = (limit / (width * height)) ** 0.5
    best: tuple[float, int, int] | None = None
    middle = round(height * scale / multiple)
    for rows in range(max(1, middle - 3), middle + 4):
        tall = rows * multiple
        across = int(tall * aspect / multiple)
        for columns in range(max(1, across - 1), across + 2):
            wide = columns * multiple
            lost = abs(wide / tall / aspect - 1)
            unused = abs(wide * tall / limit - 1)
            score = lost + unused + (10 if wide * tall > limit else 0)
            if best is None or score < best[0]:
                best = (score, wide, tall)
    assert best is not None
    return best[1], best[2]


def native_frames(family: Family, seconds: Fraction, least_speed: Fraction) -> tuple[int, Fraction] | None:
    """How many frames to ask for, and the speed they play at; None where the take is too long for the model.

    A take within reach plays at speed 1. A longer one is slowed, never under ``least_speed``.
    """
    step = family.frame_step
    wanted = seconds * family.fps
    frames = -(-(wanted - 1) // step) * step + 1 if wanted > 1 else 1
    frames = max(int(frames), step + 1)  # one frame is a picture, not a take
    if frames <= family.max_frames:
        return frames, Fraction(1)
    speed = family.max_frames / wanted
    return (family.max_frames, min(speed, Fraction(1))) if speed >= least_speed else None
