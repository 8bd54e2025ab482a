"""The model families that can be run: one row each, no code.

A row says how one pipeline class of diffusers is asked for a shot, and what it makes of it. A folder may
serve several rows: a Wan 2.1 text-to-video model is also a video-to-video one, by another class over the same
weights. Frame rules, sizes and rates are those of the model cards; what a pipeline does with other numbers
was tried on tiny models of the same classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from types import MappingProxyType
from typing import Literal

__all__ = ["FAMILIES", "Cache", "Conditioning", "Family", "native_frames", "native_size", "rows_for"]

Conditioning = Literal[
    "text", "picture", "image", "last-image", "video", "continuation", "mask", "subjects", "control", "camera"
]
"""What a model can be given and truly heeds: a prompt alone; a prompt for one picture; the first frame; the
first and the last frame; a video to be changed by a strength; frames to go on from; a mask of what to paint;
pictures of the subject; the edges, depth or pose of a video; a camera move."""
Cache = Literal["auto", "none", "first-block", "pyramid"]
"""Work of one step used again in the next (First Block Cache, after TeaCache; Pyramid Attention Broadcast,
Zhao et al. 2024): quicker, and a little different."""
Progress = Literal["step-end", "callback", "scheduler"]
"""How a pipeline tells of its steps: ``callback_on_step_end``, the older ``callback``, or only by calling its
scheduler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What must be known about a family of video models to ask one for a shot."""

    name: str
    """Our name, such as ``wan``."""
    pipeline: str
    """Class name in diffusers."""
    honours: frozenset[Conditioning]
    """What the model heeds."""
    condition: str = "text"
    """The way its conditioning is handed over: a name in ``generate.conditioning``."""
    also: frozenset[str] = frozenset()
    """Classes whose folders serve this row too, by ``from_pipe``."""
    when: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    """Facts of the folder (``generate.loading.facts_of``) that must be so for this row."""
    frame_step: int
    """The number of frames is a multiple of this, plus one; with 1, any number from 2."""
    max_frames: int
    """Most frames in one take; models drift or repeat beyond what they were trained on."""
    fps: Fraction
    """The rate that the model's motion looks right at."""
    size_multiple: int
    """Width and height are multiples of this many pixels."""
    native_area: int
    """Most pixels in a frame."""
    fixed_size: bool = False
    """Whether it makes one size only, which its configuration names."""
    made_size: tuple[int, int] | None = None
    """That size (width, height), once the folder is known."""
    made_frames: int | None = None
    """The one number of frames that it makes, where its positions are learnt; None for any by the rule."""
    steps: int
    """Denoising steps by default."""
    guidance: float
    """Classifier-free guidance scale by default."""
    caches: frozenset[Cache] = frozenset()
    """Ways of using work of one step in the next that its pipeline and its transformer are made for. Not
    Pyramid Attention Broadcast where the passes with and without the prompt are apart: the second would be
    given what the first attended to. Not the first-block cache where control is added between blocks, or
    the pipeline names no context."""
    licence: str
    """Licence of the published weights."""
    free: bool = True
    """Whether that licence sets no conditions on who uses it, where and how much they earn."""
    progress: Progress = "step-end"
    arguments: Mapping[str, str] = field(default_factory=dict)
    """What the pipeline calls prompt, negative_prompt, width, height, frames, steps, guidance and fps; what
    it does not take is left out."""
    constants: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """Arguments that are always the same."""


_TEXT = MappingProxyType(
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


def _without(*names: str) -> Mapping[str, str]:
    return MappingProxyType({name: theirs for name, theirs in _TEXT.items() if name not in names})


_OF_VIDEO = _without("frames")
"""Where the number of frames is that of the video given."""

_FIRST_BLOCK: frozenset[Cache] = frozenset({"first-block"})
_EITHER: frozenset[Cache] = frozenset({"first-block", "pyramid"})
_APACHE = "Apache-2.0"
_LTX = "LTX Video Open Weights (OpenRAIL-M for 0.9.5)"
_COG = "CogVideoX licence (Apache-2.0 for 2B)"
_HUNYUAN = "Tencent Hunyuan Community (not for the EU, the UK and South Korea)"
_MODELSCOPE = "CC-BY-NC-4.0"
_SVD = "Stability AI Community (free below 1 M USD of revenue)"
_SD = "CreativeML OpenRAIL-M"


def _row(
    defaults: Mapping[str, object], name: str, pipeline: str, honours: set[Conditioning], **more: object
) -> Family:
    """A row of a family that shares most with others."""
    row = {**defaults, **more}
    return Family(name=name, pipeline=pipeline, honours=frozenset(honours), **row)  # type: ignore[arg-type]


_wan = partial(
    _row,
    {
        "frame_step": 4,
        "max_frames": 81,
        "fps": Fraction(16),
        "size_multiple": 16,
        "native_area": 832 * 480,
        "steps": 50,
        "guidance": 5.0,
        "caches": _FIRST_BLOCK,
        "licence": _APACHE,
        "arguments": _TEXT,
    },
)
"""4k+1 frames, 81 at 16 a second, 480p."""
_ltx = partial(
    _row,
    {
        "frame_step": 8,
        "max_frames": 161,
        "fps": Fraction(24),
        "size_multiple": 32,
        "native_area": 768 * 512,
        "steps": 50,
        "guidance": 3.0,
        "caches": _EITHER,
        "licence": _LTX,
        "free": False,
        "arguments": MappingProxyType({**_TEXT, "fps": "frame_rate"}),
    },
)
"""LTX-Video 0.9: 8k+1 frames at 24 a second; it is told the rate."""
_cog = partial(
    _row,
    {
        "frame_step": 4,
        "max_frames": 49,
        "fps": Fraction(8),
        "size_multiple": 16,
        "native_area": 720 * 480,
        "fixed_size": True,
        "steps": 50,
        "guidance": 6.0,
        "caches": _EITHER,
        "licence": _COG,
        "free": False,
        "arguments": _TEXT,
    },
)
"""CogVideoX 1.0: 49 frames at 8 a second, at one size."""
_sd = partial(
    _row,
    {
        "frame_step": 1,
        "max_frames": 32,
        "fps": Fraction(8),
        "size_multiple": 64,
        "native_area": 512 * 512,
        "steps": 25,
        "guidance": 7.5,
        "licence": _SD,
        "free": False,
        "arguments": _TEXT,
    },
)
"""Over Stable Diffusion 1.5: any number of frames."""

_WAN_HD = 1280 * 720
_A14B = {"native_area": _WAN_HD, "steps": 40}
_TI2V = {"native_area": 1280 * 704, "size_multiple": 32, "max_frames": 121, "fps": Fraction(24)}
_ONE = MappingProxyType({"transformer_2": False, "expand_timesteps": False})

FAMILIES: tuple[Family, ...] = (
    # Wan 2.1 text to video, 1.3B and 14B, trained at 832x480. One frame of it is a picture.
    _wan("wan", "WanPipeline", {"text", "picture"}, when=_ONE),
    # Wan 2.2 A14B: one expert for much noise, one for little.
    _wan(
        "wan-a14b",
        "WanPipeline",
        {"text", "picture"},
        when=MappingProxyType({"transformer_2": True}),
        guidance=4.0,
        constants=MappingProxyType({"guidance_scale_2": 3.0}),
        **_A14B,
    ),
    # Wan 2.2 TI2V 5B: a decoder of 16 by 16 pixels; the same weights start from a frame.
    _wan(
        "wan-ti2v",
        "WanPipeline",
        {"text", "picture"},
        when=MappingProxyType({"expand_timesteps": True}),
        **_TI2V,
    ),
    _wan(
        "wan-ti2v-image",
        "WanImageToVideoPipeline",
        {"image"},
        condition="image",
        also=frozenset({"WanPipeline"}),
        when=MappingProxyType({"expand_timesteps": True}),
        **_TI2V,
    ),
    # Wan 2.1 image to video; the FLF2V weights, known by their position embedding, learnt to end on a frame.
    _wan(
        "wan-i2v",
        "WanImageToVideoPipeline",
        {"image"},
        condition="image",
        when=MappingProxyType({"transformer_2": False, "expand_timesteps": False, "two_images": False}),
    ),
    _wan(
        "wan-flf2v",
        "WanImageToVideoPipeline",
        {"last-image"},
        condition="image",
        when=MappingProxyType({"transformer_2": False, "expand_timesteps": False, "two_images": True}),
        native_area=_WAN_HD,
    ),
    _wan(
        "wan-i2v-a14b",
        "WanImageToVideoPipeline",
        {"image", "last-image"},
        condition="image",
        when=MappingProxyType({"transformer_2": True, "expand_timesteps": False}),
        guidance=3.5,
        constants=MappingProxyType({"guidance_scale_2": 3.5}),
        **_A14B,
    ),
    _wan(
        "wan-v2v",
        "WanVideoToVideoPipeline",
        {"video"},
        condition="video",
        also=frozenset({"WanPipeline"}),
        when=_ONE,
        arguments=_OF_VIDEO,
        caches=frozenset(),
    ),
    # VACE: every frame is either given or to be painted, so one model does all of these.
    _wan(
        "wan-vace",
        "WanVACEPipeline",
        {"text", "image", "last-image", "continuation", "mask", "subjects", "control"},
        condition="vace",
        caches=frozenset(),
    ),
    _ltx("ltx", "LTXPipeline", {"text"}),
    _ltx("ltx-image", "LTXImageToVideoPipeline", {"image"}, condition="image"),
    _ltx(
        "ltx-condition",
        "LTXConditionPipeline",
        {"text", "image", "last-image", "video", "continuation"},
        condition="ltx",
        also=frozenset({"LTXPipeline", "LTXImageToVideoPipeline"}),
    ),
    _cog("cogvideox", "CogVideoXPipeline", {"text"}),
    _cog("cogvideox-image", "CogVideoXImageToVideoPipeline", {"image"}, condition="image"),
    _cog(
        "cogvideox-v2v",
        "CogVideoXVideoToVideoPipeline",
        {"video"},
        condition="video",
        also=frozenset({"CogVideoXPipeline"}),
        arguments=_OF_VIDEO,
    ),
    _cog(
        "cogvideox-control",
        "CogVideoXFunControlPipeline",
        {"control"},
        condition="control-video",
        arguments=_OF_VIDEO,
    ),
    # Its guidance is distilled into the weights: a negative prompt would need a second pass.
    Family(
        name="hunyuan",
        pipeline="HunyuanVideoPipeline",
        honours=frozenset({"text"}),
        frame_step=4,
        max_frames=129,
        fps=Fraction(24),
        size_multiple=16,
        native_area=_WAN_HD,
        steps=50,
        guidance=6.0,
        caches=_FIRST_BLOCK,
        licence=_HUNYUAN,
        free=False,
        arguments=_without("negative_prompt"),
    ),
    Family(
        name="mochi",
        pipeline="MochiPipeline",
        honours=frozenset({"text"}),
        frame_step=6,
        max_frames=163,
        fps=Fraction(30),
        size_multiple=16,
        native_area=848 * 480,
        steps=64,
        guidance=4.5,
        caches=_FIRST_BLOCK,
        licence=_APACHE,
        arguments=_TEXT,
    ),
    _sd("animatediff", "AnimateDiffPipeline", {"text"}),
    _sd(
        "animatediff-v2v",
        "AnimateDiffVideoToVideoPipeline",
        {"video"},
        condition="video",
        also=frozenset({"AnimateDiffPipeline"}),
        arguments=_OF_VIDEO,
    ),
    _sd("animatediff-control", "AnimateDiffControlNetPipeline", {"control"}, condition="control-frames"),
    _sd(
        "animatediff-v2v-control",
        "AnimateDiffVideoToVideoControlNetPipeline",
        {"control"},
        condition="video-control-frames",
        also=frozenset({"AnimateDiffControlNetPipeline"}),
        arguments=_OF_VIDEO,
    ),
    # Any Stable Diffusion 1.5 checkpoint, with no training on video: the frames look at the first one.
    _sd(
        "t2v-zero",
        "TextToVideoZeroPipeline",
        {"text", "camera"},
        condition="motion-field",
        also=frozenset({"StableDiffusionPipeline"}),
        max_frames=16,
        fps=Fraction(4),
        steps=50,
        progress="callback",
        arguments=MappingProxyType({**_TEXT, "frames": "video_length"}),
    ),
    _sd("stable-diffusion", "StableDiffusionPipeline", {"picture"}, steps=30, arguments=_without("frames")),
    Family(
        name="modelscope",
        pipeline="TextToVideoSDPipeline",
        honours=frozenset({"text"}),
        frame_step=1,
        max_frames=25,
        fps=Fraction(8),
        size_multiple=32,
        native_area=256 * 256,
        steps=50,
        guidance=9.0,
        licence=_MODELSCOPE,
        free=False,
        progress="callback",
        arguments=_TEXT,
    ),
    Family(
        name="modelscope-v2v",
        pipeline="VideoToVideoSDPipeline",
        honours=frozenset({"video"}),
        condition="video",
        also=frozenset({"TextToVideoSDPipeline"}),
        frame_step=1,
        max_frames=25,
        fps=Fraction(8),
        size_multiple=32,
        native_area=256 * 256,
        steps=50,
        guidance=15.0,
        licence=_MODELSCOPE,
        free=False,
        progress="callback",
        arguments=_without("frames", "width", "height"),
    ),
    # It takes no text: what it shows is the frame it is given.
    Family(
        name="svd",
        pipeline="StableVideoDiffusionPipeline",
        honours=frozenset({"image"}),
        condition="image",
        frame_step=1,
        max_frames=25,
        fps=Fraction(7),
        size_multiple=64,
        native_area=1024 * 576,
        steps=25,
        guidance=3.0,
        licence=_SVD,
        free=False,
        arguments=MappingProxyType(
            {
                **_without("prompt", "negative_prompt", "guidance"),
                "guidance": "max_guidance_scale",
                "fps": "fps",
            }
        ),
        # In chunks: the decoder is what fills the memory.
        constants=MappingProxyType({"decode_chunk_size": 4}),
    ),
    Family(
        name="i2vgen-xl",
        pipeline="I2VGenXLPipeline",
        honours=frozenset({"image"}),
        condition="image",
        frame_step=1,
        max_frames=16,
        fps=Fraction(16),
        size_multiple=64,
        native_area=1280 * 704,
        steps=50,
        guidance=9.0,
        licence="MIT",
        progress="scheduler",
        arguments=MappingProxyType({**_TEXT, "fps": "target_fps"}),
    ),
)
"""Every supported row; of several that serve a folder, the earlier is preferred."""


def rows_for(pipeline: str, facts: Mapping[str, bool]) -> tuple[Family, ...]:
    """The rows that a folder of this class serves, its own class first."""
    fitting = [
        family
        for family in FAMILIES
        if pipeline in (family.pipeline, *family.also)
        and all(facts.get(name, False) == wanted for name, wanted in family.when.items())
    ]
    return tuple(sorted(fitting, key=lambda family: family.pipeline != pipeline))


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
    if family.made_frames is not None and frames <= family.made_frames:
        return family.made_frames, Fraction(1)
    if frames <= family.max_frames:
        return frames, Fraction(1)
    most = (family.max_frames - 1) // step * step + 1
    speed = most / wanted
    return (most, min(speed, Fraction(1))) if speed >= least_speed else None
