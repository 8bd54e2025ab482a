"""What of a video a take follows: its edges, its depth, or the pose of its people."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generate.base import Control, Frame, GenerationError
from index.base import content_id, import_torch

__all__ = ["control_frames", "control_id", "draw_pose"]


def control_frames(frames: Sequence[Frame], kind: Control, model: Path | None = None) -> list[Frame]:
    """The edges, depth or pose of frames, as pictures of the same size that a model takes as control.

    Args:
        frames: (height, width, 3) RGB.
        kind: ``edge`` needs no model; ``depth`` and ``pose`` need one.
        model: a local transformers folder: a depth estimator (DPT, Depth Anything), or ViTPose.

    Raises:
        GenerationError: if a model is needed and absent, or cannot be loaded.
    """
    if kind == "edge":
        return _edges(frames)
    if model is None:
        what = "a depth estimator such as Depth Anything" if kind == "depth" else "a ViTPose model"
        raise GenerationError(f"to follow {kind}, give the folder of {what} with --control-model")
    return _depth(frames, model) if kind == "depth" else _poses(frames, model)


def control_id(model: Path) -> str:
    """A name for what a control model's folder holds, 32 hex digits: it shapes the takes that follow it.

    Raises:
        GenerationError: if there is no such folder, or no weights in it.
    """
    files = sorted(path for path in model.glob("*") if path.suffix in (".json", ".safetensors"))
    if not any(path.suffix == ".safetensors" for path in files):
        raise GenerationError(
            f"{model} holds no control model: give the folder of a transformers model with safetensors "
            "weights"
        )
    told = "".join(f"{path.name} {content_id(path)}\n" for path in files)
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _edges(frames: Sequence[Frame]) -> list[Frame]:
    """Canny edges, white on black; thresholds from the whole clip, so that lines do not come and go."""
    import cv2

    greys = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in frames]
    middle = float(np.median(np.stack(greys[:: max(1, len(greys) // 8)])))
    low, high = max(10.0, 0.66 * middle), min(250.0, max(30.0, 1.33 * middle))
    found = (cv2.Canny(cv2.GaussianBlur(grey, (3, 3), 0), low, high) for grey in greys)
    return [np.repeat(edge[..., None], 3, axis=2) for edge in found]


def _loaded(model: Path, classes: tuple[str, str]) -> tuple[Any, Any, Any]:
    """(torch, network, its preprocessing) of a local transformers folder.

    Raises:
        GenerationError: if it cannot be loaded.
    """
    torch = import_torch()
    import transformers

    transformers.utils.logging.disable_progress_bar()
    hint = "give the folder of a transformers model with safetensors weights"
    try:
        kind = transformers.AutoConfig.from_pretrained(str(model), local_files_only=True).model_type
        wanted = "vitpose" if classes[0].startswith("VitPose") else kind
        if kind != wanted:
            raise GenerationError(f"the control model in {model} is a {kind}, and a {wanted} is needed")
        network, report = getattr(transformers, classes[0]).from_pretrained(
            str(model), local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        processor = getattr(transformers, classes[1]).from_pretrained(str(model), local_files_only=True)
    except GenerationError:
        raise
    except Exception as error:  # what a broken folder raises differs from loader to loader
        raise GenerationError(
            f"cannot load the control model in {model}: {type(error).__name__}: {str(error)[:300]}; {hint}"
        ) from error
    if report["missing_keys"]:  # a loader makes up what is missing
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise GenerationError(f"the control model in {model} lacks weights ({missing}): {hint}")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch, network.eval().to(device), processor


_METRIC = frozenset({"zoedepth", "depth_pro", "glpn"})
"""Models that measure in metres."""
LEAST_METRES = 0.1
"""Nothing is taken to be nearer to the camera."""


def _depth(frames: Sequence[Frame], model: Path) -> list[Frame]:
    """Nearness, white is near: normalised over the whole clip, so that the depth does not breathe."""
    torch, network, processor = _loaded(model, ("AutoModelForDepthEstimation", "AutoImageProcessor"))
    # Most models give what grows towards the viewer; those that give metres are turned over.
    metres = network.config.model_type in _METRIC or (
        getattr(network.config, "depth_estimation_type", "relative") == "metric"
    )
    maps: list[NDArray[np.float32]] = []
    for frame in frames:
        inputs = processor(images=frame, return_tensors="pt").to(network.device)
        with torch.inference_mode():
            found = processor.post_process_depth_estimation(network(**inputs), [frame.shape[:2]])
        depth = found[0]["predicted_depth"].float().cpu().numpy()
        maps.append(1 / np.maximum(depth, LEAST_METRES) if metres else depth)
    low, high = min(float(one.min()) for one in maps), max(float(one.max()) for one in maps)
    scale = 255 / max(high - low, 1e-6)
    levels = (np.asarray((one - low) * scale + 0.5, np.uint8) for one in maps)
    return [np.repeat(level[..., None], 3, axis=2) for level in levels]


# Pose ------------------------------------------------------------------------------------------------------

_LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
"""Limbs of OpenPose's body of 18 points (Cao et al., 2017), as pairs of points."""
_COLOURS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0),
    (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255),
    (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
"""Their colours, by which ControlNets know them."""
_FROM_COCO = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""COCO's place of each point of OpenPose; the neck lies between the shoulders."""
SURE = 0.3
"""Confidence from which a point is drawn."""


def draw_pose(points: NDArray[np.float32], sure: NDArray[np.float32], size: tuple[int, int]) -> Frame:
    """People as OpenPose draws them, on black.

    Args:
        points: (people, 17, 2) COCO key points as x, y in pixels.
        sure: (people, 17) confidences, 0 to 1.
        size: (width, height) of the picture.
    """
    import cv2

    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    thick = max(1, min(size) // 120)
    for body, trust in zip(points, sure, strict=True):
        neck = (body[5] + body[6]) / 2
        places = [neck if n is None else body[n] for n in _FROM_COCO]
        trusted = [min(trust[5], trust[6]) if n is None else trust[n] for n in _FROM_COCO]
        for (a, b), colour in zip(_LIMBS, _COLOURS, strict=False):
            if min(trusted[a], trusted[b]) >= SURE:
                ends = [tuple(round(float(c)) for c in places[n]) for n in (a, b)]
                cv2.line(canvas, ends[0], ends[1], [int(0.6 * c) for c in colour], 2 * thick, cv2.LINE_AA)
        for place, trust_one, colour in zip(places, trusted, _COLOURS, strict=True):
            if trust_one >= SURE:
                centre = tuple(round(float(c)) for c in place)
                cv2.circle(canvas, centre, 2 * thick, colour, -1, cv2.LINE_AA)
    return canvas


def _poses(frames: Sequence[Frame], model: Path) -> list[Frame]:
    """The skeletons of people; each frame is one box, so that a single person, or a few, are found best."""
    torch, network, processor = _loaded(model, ("VitPoseForPoseEstimation", "VitPoseImageProcessor"))
    drawn = []
    for frame in frames:
        height, width = frame.shape[:2]
        whole = [np.array([[0, 0, width, height]], np.float32)]
        inputs = processor(images=frame, boxes=whole, return_tensors="pt").to(network.device)
        more = {}
        if getattr(network.config.backbone_config, "num_experts", 1) > 1:
            more["dataset_index"] = torch.zeros(1, dtype=torch.int64, device=network.device)  # COCO's expert
        with torch.inference_mode():
            found = network(**inputs, **more)
        people = processor.post_process_pose_estimation(found, boxes=whole)[0]
        points = np.stack([person["keypoints"].float().cpu().numpy() for person in people])
        sure = np.stack([person["scores"].float().cpu().numpy() for person in people])
        drawn.append(draw_pose(points[:, :17], sure[:, :17], (width, height)))
    return drawn
