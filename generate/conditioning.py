"""What besides text goes into a model: the arguments that each way of conditioning adds to a call.

Each way is one function of the pipeline, the request, the native number of frames, the native size and the
native rate, and gives the pipeline's own arguments. Frames are cropped to the aspect and scaled here, so that
a pipeline has nothing left to stretch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from generate.base import Frame, GenerationError, Request

__all__ = ["CONDITIONS", "CONTEXT", "Native", "fitted", "given_frames", "resampled", "surrounding"]

CONTEXT = 9
"""Frames of footage that a continuation is given to go on from: motion shows in half a second."""
GREY = 127
"""What stands where a frame is to be painted, as VACE was trained."""
MOTION = 12.0
"""Strength of a camera move in Text2Video-Zero's motion field, in 512ths of a frame each; its own default."""
DIRECTIONS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        # The picture moves against the camera.
        "pan-left": (-1, 0),
        "pan-right": (1, 0),
        "tilt-up": (0, -1),
        "tilt-down": (0, 1),
        "static": (0, 0),
    }
)


class Native:
    """What a model is asked for in its own terms."""

    def __init__(
        self,
        frames: int,
        size: tuple[int, int],
        fps: Fraction,
        steps: int,
        control_model: Path | None = None,
    ) -> None:
        """``size`` is (width, height); ``fps`` is the rate at which the frames will play."""
        self.frames = frames
        self.size = size
        self.fps = fps
        self.steps = steps
        self.control_model = control_model
        self.skip = 0
        """Frames at the beginning of what comes back that were given, not made."""


def fitted(frame: Frame, size: tuple[int, int]) -> Frame:
    """A frame cropped at the centre to the aspect of ``size`` (width, height) and scaled to it."""
    import cv2

    from generate.finish import crop_to_cover

    height, width = frame.shape[:2]
    wide, high = crop_to_cover(width, height, Fraction(*size))
    left, top = (width - wide) // 2, (height - high) // 2
    cropped = np.ascontiguousarray(frame[top : top + high, left : left + wide])
    shrinks = wide >= size[0]
    scaled = cv2.resize(cropped, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4)
    return np.asarray(scaled, np.uint8)


def resampled(frames: Sequence[Frame], fps: Fraction, count: int, wanted: Fraction) -> list[Frame]:
    """``count`` frames at the rate ``wanted`` of a video at ``fps``: the nearest of each, the last one
    held."""
    last = len(frames) - 1
    return [frames[min(last, int(place * fps / wanted + Fraction(1, 2)))] for place in range(count)]


def given_frames(request: Request, native: Native) -> list[Frame]:
    """The request's video in the model's rate, number of frames and size.

    Raises:
        GenerationError: if the request has none.
    """
    if not request.video:
        raise GenerationError(f"a {request.strategy} take needs footage, and the request has none")
    video = resampled(request.video, request.video_fps or request.fps, native.frames, native.fps)
    return [fitted(frame, native.size) for frame in video]


def _picture(frame: Frame | None, native: Native, what: str) -> Any:
    from PIL import Image

    if frame is None:
        raise GenerationError(f"this model needs {what}, and the request has none: use another strategy")
    return Image.fromarray(fitted(frame, native.size))


def _pictures(frames: Sequence[Frame]) -> list[Any]:
    from PIL import Image

    return [Image.fromarray(frame) for frame in frames]


def _text(pipeline: Any, request: Request, native: Native) -> dict[str, Any]:
    """Nothing but the prompt."""
    del pipeline, request, native
    return {}


def _image(pipeline: Any, request: Request, native: Native) -> dict[str, Any]:
    """The first frame, and the last one where there is one to end on."""
    del pipeline
    first = request.reference
    if request.strategy == "extend":
        first, native.skip = (request.video[-1] if request.video else None), 1
    arguments = {"image": _picture(first, native, "a first frame")}
    if request.strategy == "bridge":
        arguments["last_image"] = _picture(request.last, native, "a last frame")
    return arguments


def _video(pipeline: Any, request: Request, native: Native) -> dict[str, Any]:
    """A video, and how far it is to be changed."""
    del pipeline
    return {"video": _pictures(given_frames(request, native)), "strength": _strength(request, native)}


def _strength(request: Request, native: Native) -> float:
    """The request's strength, but so much that one step is left: pipelines round the steps down."""
    return min(1.0, max(request.strength, 1 / native.steps + 1e-6))


def _context(request: Request, native: Native, step: int) -> list[Frame]:
    """The last frames of the request's video at the model's rate, k * ``step`` + 1 of them."""
    if not request.video:
        raise GenerationError("to go on from footage, a model needs some, and the request has none")
    fps = request.video_fps or request.fps
    there = int((len(request.video) - 1) * native.fps / fps) + 1
    count = min(CONTEXT, there, max(1, native.frames - step))
    count = (count - 1) // step * step + 1
    # Counted back from the last frame, which the new ones must follow.
    native.skip = count
    places = [len(request.video) - 1 - round(back * fps / native.fps) for back in range(count)][::-1]
    return [fitted(request.video[max(0, place)], native.size) for place in places]


def _vace(pipeline: Any, request: Request, native: Native) -> dict[str, Any]:
    """Frames that are given (mask black), and frames or parts of them that are to be painted (white)."""
    del pipeline
    from PIL import Image

    width, height = native.size
    empty = np.full((height, width, 3), GREY, np.uint8)
    video = [empty] * native.frames
    mask = [np.full((height, width), 255, np.uint8)] * native.frames
    kept = np.zeros((height, width), np.uint8)

    def give(place: int, frame: Frame) -> None:
        video[place], mask[place] = frame, kept

    arguments: dict[str, Any] = {}
    if request.strategy == "extend":
        for place, frame in enumerate(_context(request, native, 4)):
            give(place, frame)
    elif request.strategy == "expand":
        video, mask = _outpainted(request, native)
    elif request.strategy == "control":
        from generate.controls import control_frames

        assert request.control is not None
        video = control_frames(given_frames(request, native), request.control, native.control_model)
    elif request.strategy in ("from-near-miss", "factorised", "bridge"):
        if request.reference is None:
            raise GenerationError(f"a {request.strategy} take needs a first frame, and the request has none")
        give(0, fitted(request.reference, native.size))
        if request.strategy == "bridge":
            if request.last is None:
                raise GenerationError("a bridge needs a last frame, and the request has none")
            give(native.frames - 1, fitted(request.last, native.size))
    if request.subjects:
        arguments["reference_images"] = _pictures(request.subjects)
    arguments["video"] = _pictures(video)
    arguments["mask"] = [Image.fromarray(one).convert("RGB") for one in mask]
    return arguments


def surrounding(size: tuple[int, int], native: tuple[int, int]) -> tuple[int, int]:
    """(width, height) that footage of ``size`` has whole in the middle of a picture of ``native`` pixels."""
    scale = min(native[0] / size[0], native[1] / size[1])
    return round(size[0] * scale), round(size[1] * scale)


def _outpainted(request: Request, native: Native) -> tuple[list[Frame], list[Any]]:
    """The request's video whole within the frame, and a mask of what lies beside it."""
    import cv2

    width, height = native.size
    frames = resampled(request.video, request.video_fps or request.fps, native.frames, native.fps)
    if not frames:
        raise GenerationError("to paint around footage, a model needs some, and the request has none")
    wide, high = surrounding((frames[0].shape[1], frames[0].shape[0]), native.size)
    left, top = (width - wide) // 2, (height - high) // 2
    mask = np.full((height, width), 255, np.uint8)
    mask[top : top + high, left : left + wide] = 0
    video = []
    for frame in frames:
        canvas = np.full((height, width, 3), GREY, np.uint8)
        small = cv2.resize(np.ascontiguousarray(frame), (wide, high), interpolation=cv2.INTER_AREA)
        canvas[top : top + high, left : left + wide] = small
        video.append(canvas)
    return video, [mask] * native.frames


def _ltx(pipeline: Any, request: Request, native: Native) -> dict[str, Any]:
    """Frames at places of the video; a restyle begins from the latents of its footage."""
    from diffusers.pipelines.ltx.pipeline_ltx_condition import LTXVideoCondition

    if request.strategy == "restyle":
        return {
            "latents": _latents(pipeline, given_frames(request, native)),
            "denoise_strength": _strength(request, native),
        }
    if request.strategy == "extend":
        context = _pictures(_context(request, native, 8))
        return {"conditions": [LTXVideoCondition(video=context, frame_index=0)]}
    if request.strategy in ("from-near-miss", "factorised", "bridge"):
        first = _picture(request.reference, native, "a first frame")
        conditions = [LTXVideoCondition(image=first, frame_index=0)]
        if request.strategy == "bridge":
            last = _picture(request.last, native, "a last frame")
            conditions.append(LTXVideoCondition(image=last, frame_index=native.frames - 1))
        return {"conditions": conditions}
    return {}


def _latents(pipeline: Any, frames: Sequence[Frame]) -> Any:
    """(1, C, T, H, W) normalised latents of a video."""
    tensor = pipeline.video_processor.preprocess_video(_pictures(frames))
    tensor = tensor.to(pipeline._execution_device, pipeline.vae.dtype)
    mean = pipeline.vae.encode(tensor).latent_dist.mode()
    return pipeline._normalize_latents(mean, pipeline.vae.latents_mean, pipeline.vae.latents_std)


def _controls(request: Request, native: Native) -> list[Any]:
    from generate.controls import control_frames

    if request.control is None:
        raise GenerationError("this model follows edges, depth or pose: name one with --control")
    return _pictures(control_frames(given_frames(request, native), request.control, native.control_model))


def _control_video(pipeline: Any, request: Request, native: Native) -> dict[str, Any]:
    """Edges, depth or pose as a video that the model was trained to follow."""
    del pipeline
    return {"control_video": _controls(request, native)}


def _control_frames(pipeline: Any, request: Request, native: Native) -> dict[str, Any]:
    """Edges, depth or pose for a ControlNet."""
    del pipeline
    return {"conditioning_frames": _controls(request, native)}


def _video_control_frames(pipeline: Any, request: Request, native: Native) -> dict[str, Any]:
    """A video to change, and its edges, depth or pose to keep."""
    return {**_video(pipeline, request, native), **_control_frames(pipeline, request, native)}


def _motion_field(pipeline: Any, request: Request, native: Native) -> dict[str, Any]:
    """The camera's move as a motion of the whole picture; when it sets in, as Text2Video-Zero places it."""
    del pipeline
    steps = native.steps
    start = max(0, min(int(0.88 * steps), steps - 2))
    arguments: dict[str, Any] = {"t0": start, "t1": min(max(start + 1, int(0.94 * steps)), steps - 1)}
    across, down = DIRECTIONS.get(request.camera, (1, 1))
    arguments["motion_field_strength_x"] = MOTION * across
    arguments["motion_field_strength_y"] = MOTION * down
    return arguments


Condition = Callable[[Any, Request, Native], dict[str, Any]]

CONDITIONS: Mapping[str, Condition] = MappingProxyType(
    {
        "text": _text,
        "image": _image,
        "video": _video,
        "vace": _vace,
        "ltx": _ltx,
        "control-video": _control_video,
        "control-frames": _control_frames,
        "video-control-frames": _video_control_frames,
        "motion-field": _motion_field,
    }
)
"""Every way of conditioning by the name that rows of ``FAMILIES`` give."""
