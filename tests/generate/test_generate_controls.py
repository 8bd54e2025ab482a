"""What of footage a take follows: edges of real frames, depth and pose by tiny models of the real classes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from generate import Diffusers, GenerationError, Request, Tuning
from generate.controls import control_frames, control_id, draw_pose
from index.base import import_torch
from index.stills import frames_at
from tests.tiny_pipelines import save_tiny

SIZE = (64, 48)


def dpt(seed: int = 0) -> tuple[Any, Any]:
    """A depth estimator and its preprocessing."""
    torch = import_torch()
    torch.manual_seed(seed)
    from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessor

    config = DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, image_size=32,
        patch_size=8, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=16, reassemble_factors=[4, 2, 1, 0.5], is_hybrid=False, initializer_range=0.3,
    )  # fmt: skip
    model = DPTForDepthEstimation(config)
    torch.nn.init.constant_(model.head.head[4].bias, 0.5)  # above what it cuts off
    return model, DPTImageProcessor(size={"height": 32, "width": 32})


def depth_anything(kind: str) -> tuple[Any, Any]:
    """A depth estimator that measures nearness, or metres."""
    import_torch().manual_seed(0)
    from transformers import (
        DepthAnythingConfig,
        DepthAnythingForDepthEstimation,
        Dinov2Config,
        DPTImageProcessor,
    )

    backbone = Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False,
        apply_layernorm=True,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, patch_size=14, reassemble_hidden_size=16, neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=16, head_hidden_size=8, depth_estimation_type=kind, max_depth=20,
    )  # fmt: skip
    return DepthAnythingForDepthEstimation(config), DPTImageProcessor(size={"height": 56, "width": 56})


def vitpose(experts: int = 1) -> tuple[Any, Any]:
    """A pose estimator that is sure of every point."""
    torch = import_torch()
    torch.manual_seed(0)
    from transformers import (
        VitPoseBackboneConfig,
        VitPoseConfig,
        VitPoseForPoseEstimation,
        VitPoseImageProcessor,
    )

    backbone = VitPoseBackboneConfig(
        image_size=[64, 48], patch_size=[16, 16], hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        mlp_ratio=2, num_experts=experts, part_features=8 if experts > 1 else 0, out_indices=[2],
    )  # fmt: skip
    model = VitPoseForPoseEstimation(
        VitPoseConfig(backbone_config=backbone, num_labels=17, use_simple_decoder=True, scale_factor=4)
    )
    torch.nn.init.constant_(model.head.conv.bias, 1.0)
    return model, VitPoseImageProcessor(size={"height": 64, "width": 48})


def saved(made: tuple[Any, Any], folder: Path) -> Path:
    for part in made:
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip(sample_library: Path) -> list[np.ndarray]:
    """Frames of a clip, a twenty-fifth of a second apart."""
    times = [Fraction(1) + Fraction(n, 25) for n in range(4)]
    return frames_at(sample_library / "coffee-cup.mp4", times, side=180)


@pytest.fixture(scope="module")
def depths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(dpt(), tmp_path_factory.mktemp("depth") / "dpt")


# Edges.


def test_edges_are_lines_of_the_frames_size(clip: list[np.ndarray]) -> None:
    edges = control_frames(clip, "edge")
    assert [edge.shape for edge in edges] == [frame.shape for frame in clip]
    assert all(edge.dtype == np.uint8 for edge in edges)
    assert all(set(np.unique(edge)) == {0, 255} for edge in edges)
    assert all(0.01 < (edge[..., 0] > 0).mean() < 0.25 for edge in edges)
    assert all((edge == edge[..., :1]).all() for edge in edges)


def test_edges_stay_from_frame_to_frame(clip: list[np.ndarray]) -> None:
    import cv2

    edges = [edge[..., 0] for edge in control_frames(clip, "edge")]
    around = np.ones((5, 5), np.uint8)
    for before, after in pairwise(edges):
        stays = (cv2.dilate(before, around) > 0)[after > 0]
        assert stays.mean() > 0.9


def test_edges_lie_where_the_brightness_changes() -> None:
    frame = np.full((60, 80, 3), 40, np.uint8)
    frame[:, 40:] = 200
    (edge,) = control_frames([frame], "edge")
    across = np.flatnonzero(edge[..., 0].any(axis=0))
    assert len(across)
    assert all(abs(int(column) - 40) <= 2 for column in across)
    (plain,) = control_frames([np.full((60, 80, 3), 40, np.uint8)], "edge")
    assert not plain.any()


# Depth.


def test_depth_is_grey_of_the_frames_size_and_stretched_over_the_clip(
    clip: list[np.ndarray], depths: Path
) -> None:
    found = control_frames(clip, "depth", depths)
    assert [depth.shape for depth in found] == [frame.shape for frame in clip]
    assert all((depth == depth[..., :1]).all() for depth in found)
    assert min(depth.min() for depth in found) == 0
    assert max(depth.max() for depth in found) == 255
    again = control_frames(clip, "depth", depths)
    assert all((a == b).all() for a, b in zip(found, again, strict=True))
    # One scale for all: with a frame of another kind in it, the first comes out otherwise.
    other = control_frames([clip[0], np.full_like(clip[0], 255)], "depth", depths)
    assert (other[0] != found[0]).any()


@pytest.mark.parametrize("kind", ["relative", "metric"])
def test_near_is_white_whatever_a_model_measures(kind: str, clip: list[np.ndarray], tmp_path: Path) -> None:
    torch = import_torch()
    model, processor = depth_anything(kind)
    if kind == "relative":
        torch.nn.init.constant_(model.head.conv3.bias, 0.5)  # above what it cuts off
    folder = saved((model, processor), tmp_path / kind)
    (picture,) = control_frames(clip[:1], "depth", folder)
    with torch.inference_mode():
        raw = model.eval()(**processor(images=clip[0], return_tensors="pt"))
    height, width = clip[0].shape[:2]
    told = processor.post_process_depth_estimation(raw, [(height, width)])[0]["predicted_depth"].numpy()
    together = np.corrcoef(told.ravel(), picture[..., 0].ravel().astype(float))[0, 1]
    assert together > 0.9 if kind == "relative" else together < -0.9


# Pose.


@pytest.mark.parametrize("experts", [1, 6])
def test_a_pose_is_drawn_on_black_at_the_frames_size(
    experts: int, clip: list[np.ndarray], tmp_path: Path
) -> None:
    folder = saved(vitpose(experts), tmp_path / "vitpose")
    drawn = control_frames(clip[:2], "pose", folder)
    assert [one.shape for one in drawn] == [frame.shape for frame in clip[:2]]
    for one in drawn:
        assert one.any()
        assert (one == 0).all(axis=2).mean() > 0.5
    again = control_frames(clip[:2], "pose", folder)
    assert all((a == b).all() for a, b in zip(drawn, again, strict=True))


STANDING = {
    0: (100, 40), 1: (104, 36), 2: (96, 36), 3: (110, 40), 4: (90, 40), 5: (125, 80), 6: (75, 80),
    7: (135, 120), 8: (65, 120), 9: (140, 160), 10: (60, 160), 11: (115, 170), 12: (85, 170),
    13: (118, 230), 14: (82, 230), 15: (120, 290), 16: (80, 290),
}  # fmt: skip
"""Someone who stands facing us: COCO's points at pixels of a picture of 200 by 320."""


def test_a_body_is_drawn_as_controlnets_know_it() -> None:
    points = np.array([[STANDING[n] for n in range(17)]], np.float32)
    sure = np.ones((1, 17), np.float32)
    drawn = draw_pose(points, sure, (200, 320))
    assert drawn.shape == (320, 200, 3)
    # OpenPose's colours: the neck between the shoulders, the right wrist, the left ankle.
    assert tuple(drawn[80, 100]) == (255, 85, 0)
    assert tuple(drawn[160, 60]) == (170, 255, 0)
    assert tuple(drawn[290, 120]) == (85, 0, 255)
    assert drawn[100, 70].any()  # the right upper arm
    assert not drawn[10:30].any()
    unsure = sure.copy()
    unsure[0, [8, 10]] = 0.1  # the right elbow and wrist
    armless = draw_pose(points, unsure, (200, 320))
    assert not armless[110:165, 55:72].any()
    assert tuple(armless[290, 120]) == (85, 0, 255)
    assert not draw_pose(points, np.zeros((1, 17), np.float32), (200, 320)).any()
    assert not draw_pose(np.zeros((0, 17, 2), np.float32), np.zeros((0, 17), np.float32), SIZE).any()
    two = draw_pose(
        np.concatenate([points, points + np.float32([60, 0])]), np.ones((2, 17), np.float32), (300, 320)
    )
    assert tuple(two[290, 180]) == (85, 0, 255)


# What is wrong with a control model.


def test_a_missing_control_model_is_named(clip: list[np.ndarray]) -> None:
    with pytest.raises(GenerationError, match=r"follow depth, give.*Depth Anything with --control-model"):
        control_frames(clip, "depth")
    with pytest.raises(GenerationError, match=r"follow pose, give.*ViTPose"):
        control_frames(clip, "pose")


def test_broken_control_models_are_told(clip: list[np.ndarray], depths: Path, tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match=f"cannot load the control model in {tmp_path}"):
        control_frames(clip, "depth", tmp_path)
    with pytest.raises(GenerationError, match="is a dpt, and a vitpose is needed"):
        control_frames(clip, "pose", depths)

    def spoiled(name: str, spoil: Callable[[Path], object]) -> Path:
        shutil.copytree(depths, tmp_path / name)
        spoil(tmp_path / name)
        return tmp_path / name

    def cut(folder: Path) -> None:
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:500])

    def lacking(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        weights = folder / "model.safetensors"
        state = load_file(str(weights))
        save_file({k: v for k, v in state.items() if "head" not in k}, str(weights), {"format": "pt"})

    with pytest.raises(GenerationError, match="cannot load the control model"):
        control_frames(clip, "depth", spoiled("cut", cut))
    with pytest.raises(GenerationError, match=r"lacks weights \(head"):
        control_frames(clip, "depth", spoiled("lacking", lacking))
    with pytest.raises(GenerationError, match="cannot load the control model"):
        control_frames(clip, "depth", spoiled("bare", lambda f: (f / "model.safetensors").unlink()))
    with pytest.raises(GenerationError, match="holds no control model"):
        control_id(tmp_path)


# Takes.


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("name", ["wan-vace", "animatediff-control", "cogvideox-control"])
def test_a_take_follows_the_depth_of_footage(
    name: str, clip: list[np.ndarray], depths: Path, tmp_path: Path
) -> None:
    folder = save_tiny(name, tmp_path / name)
    other = saved(dpt(seed=7), tmp_path / "other-depth")

    def model(control_model: Path | None) -> Diffusers:
        tuning = Tuning(device="cpu", steps=1, native_area=SIZE[0] * SIZE[1], control_model=control_model)
        return Diffusers(folder, tmp_path / "takes", tuning)

    def request(control: Any, video: list[np.ndarray] = clip) -> Request:
        return Request(
            prompt="a cup", frames=8, fps=Fraction(25), width=128, height=96, strategy="control",
            control=control, video=tuple(video), video_fps=Fraction(25),
        )  # fmt: skip

    first = model(depths)
    take = first.generate(request("depth"))
    frames = frames_of(take.path)
    assert len(frames) == 8
    assert take.details["strategy"] == "control"
    assert take.details["control"] == "depth"
    # Other footage gives another take; so do another control and another model that finds it.
    others = [first.generate(request("depth", [frame[:, ::-1] for frame in clip]))]
    second = model(other)
    if name == "wan-vace":
        others += [first.generate(request("edge")), second.generate(request("depth"))]
    assert len({take.path, *(one.path for one in others)}) == len(others) + 1
    for one in others:
        pairs = zip(frames, frames_of(one.path), strict=True)
        assert max(np.abs(a.astype(int) - b).max() for a, b in pairs) > 1
    assert first.identity != second.identity != model(None).identity
    same = shutil.copytree(depths, tmp_path / "same-depth")
    assert model(same).identity == first.identity
    with pytest.raises(GenerationError, match="--control-model"):
        model(None).generate(request("depth"))
