"""Distances between sets: by closed forms, and through networks that are built, saved and loaded here."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import scipy.linalg
from numpy.typing import NDArray

import montage
from index.base import import_torch
from montage.distances import (
    Statistics,
    frechet_distance,
    inception_score,
    kernel_distance,
    statistics_of,
)
from montage.features import FeatureInput, load_networks, sample_clip
from montage.made import MadeShot, made_shots
from montage.values import MontageError
from tests.montage.evaluationlab import BLUE, ENCODER, GREEN, RED, plain, take, textured, write

torch = import_torch()


def gaussian(mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> Statistics:
    return Statistics(1000, np.asarray(mean, float), np.asarray(covariance, float))


# -- Frechet distance ----------------------------------------------------------------------------------------


def test_frechet_distance_of_known_gaussians() -> None:
    a = gaussian([1.0, -2.0, 0.5], np.diag([4.0, 1.0, 0.25]))
    b = gaussian([0.0, 1.0, 0.5], np.diag([1.0, 9.0, 0.0]))
    # Where covariances commute: |m1 - m2|^2 + sum (s1 - s2)^2 over the standard deviations.
    assert frechet_distance(a, b) == pytest.approx((1 + 9) + (1 + 4 + 0.25), abs=1e-9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    turn = scipy.linalg.expm(np.array([[0, -1, 0.3], [1, 0, 0.2], [-0.3, -0.2, 0]]))
    turned = [gaussian(turn @ one.mean, turn @ one.covariance @ turn.T) for one in (a, b)]
    assert frechet_distance(*turned) == pytest.approx(frechet_distance(a, b), abs=1e-9)


def test_frechet_distance_is_that_of_the_matrix_root() -> None:
    draw = np.random.default_rng(1)
    roots = [draw.normal(size=(6, 6)) for _ in range(2)]
    a, b = (gaussian(draw.normal(size=6), root @ root.T) for root in roots)
    root = scipy.linalg.sqrtm(a.covariance @ b.covariance)
    expected = np.square(a.mean - b.mean).sum() + np.trace(a.covariance + b.covariance - 2 * root.real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_fewer_samples_than_dimensions_is_real_and_too_high() -> None:
    draw = np.random.default_rng(2)
    few = draw.normal(size=(8, 40))
    assert frechet_distance(statistics_of(few), statistics_of(few)) == pytest.approx(0, abs=1e-5)
    many = statistics_of(draw.normal(size=(20_000, 40)))
    again = statistics_of(draw.normal(size=(20_000, 40)))
    assert frechet_distance(many, again) < 0.1  # the truth is 0
    assert frechet_distance(statistics_of(few), many) > 5
    # Half of the features always the same: a singular covariance.
    dead = np.hstack([few, np.zeros_like(few)])
    assert frechet_distance(statistics_of(dead), statistics_of(dead + 1)) == pytest.approx(80, abs=1e-4)


def test_statistics_refuse_what_has_none() -> None:
    with pytest.raises(ValueError, match="two samples"):
        statistics_of(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="finite"):
        statistics_of(np.array([[0.0], [np.nan]]))
    with pytest.raises(ValueError, match="one size"):
        frechet_distance(gaussian([0.0], np.eye(1)), gaussian([0.0, 0.0], np.eye(2)))
    one = statistics_of(np.array([[1.0], [3.0]]))
    assert (one.mean, one.covariance) == (np.array([2.0]), np.array([[2.0]]))


# -- kernel distance and Inception Score ---------------------------------------------------------------------


def test_kernel_distance_is_that_of_its_definition() -> None:
    draw = np.random.default_rng(3)
    x, y = draw.normal(size=(7, 5)), draw.normal(0.5, 2, size=(9, 5))

    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float((a @ b / 5 + 1) ** 3)

    own = np.mean([kernel(a, b) for a, b in itertools.permutations(x, 2)])
    other = np.mean([kernel(a, b) for a, b in itertools.permutations(y, 2)])
    cross = np.mean([kernel(a, b) for a in x for b in y])
    assert kernel_distance(x, y) == pytest.approx(own + other - 2 * cross, rel=1e-12)


def test_kernel_distance_is_unbiased() -> None:
    draw = np.random.default_rng(4)
    values = [kernel_distance(draw.normal(size=(10, 8)), draw.normal(size=(10, 8))) for _ in range(400)]
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 4 * np.std(values) / math.sqrt(len(values))
    # More rows than one block of the kernel matrix.
    x = draw.normal(size=(1500, 4))
    assert kernel_distance(x, x + 1) > 10 * abs(kernel_distance(x, draw.normal(size=(1500, 4))))


def test_inception_score_of_known_distributions() -> None:
    sure = np.eye(4)[np.arange(120) % 4]
    assert inception_score(sure, 1) == (pytest.approx(4), pytest.approx(0), 1)
    assert inception_score(sure) == (pytest.approx(4), pytest.approx(0), 10)
    assert inception_score(sure[:36])[2] == 3  # 12 samples a part
    assert inception_score(np.full((30, 5), 0.2), 1)[0] == pytest.approx(1)
    assert inception_score(np.tile([0.7, 0.3], (30, 1)), 1)[0] == pytest.approx(1)
    # Two kinds, (p, 1-p) and (1-p, p): KL to (1/2, 1/2) is log 2 less the entropy.
    p = 0.9
    rows = np.array([[p, 1 - p], [1 - p, p]] * 10)
    entropy = -(p * math.log(p) + (1 - p) * math.log(1 - p))
    assert inception_score(rows, 1)[0] == pytest.approx(math.exp(math.log(2) - entropy))
    ordered = np.repeat(np.eye(2), 10, axis=0)  # each part has one class only
    assert inception_score(ordered, 2)[0] == pytest.approx(1)
    for wrong in (np.array([[0.5, 0.6]]), np.array([[1.5, -0.5]])):
        with pytest.raises(ValueError, match="sum to 1"):
            inception_score(wrong)
    with pytest.raises(ValueError, match="parts"):
        inception_score(sure, 121)


# -- networks ------------------------------------------------------------------------------------------------


class TinyVideo(torch.nn.Module):
    """Takes what the published I3D takes, by the same names; its features are means and a change in time."""

    def forward(self, x, rescale: bool = True, resize: bool = True, return_features: bool = False):  # type: ignore[no-untyped-def]
        assert x.dim() == 5
        if rescale:
            x = x * 2.0 / 255.0 - 1.0
        if resize:
            x = x[:, :, :, ::2, ::2]
        change = (x[:, :, 1:] - x[:, :, :-1]).abs().mean(dim=[2, 3, 4])
        features = torch.cat([x.mean(dim=[2, 3, 4]), change], dim=1)
        if return_features:
            return features
        return torch.softmax(20.0 * features[:, :3], dim=1)


def video_network(path: Path) -> Path:
    torch.jit.script(TinyVideo()).save(str(path))
    return path


def image_network(path: Path, size: int = 24, batch: int | str = "n") -> Path:
    """An ONNX network of frames: the mean of each colour, and logits of three classes as a second output."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Mul", ["features", "twenty"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", kind, [batch, 3, size, size])],
        [helper.make_tensor_value_info(name, kind, [batch, 3]) for name in ("features", "logits")],
        [helper.make_tensor("twenty", kind, [], [20.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def clips(folder: Path, colours: dict[str, tuple[int, int, int]], frames: int = 20) -> Path:
    folder.mkdir()
    for name, colour in colours.items():
        take(folder / f"{name}.mp4", [plain(colour)] * frames, name)
    return folder


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    colours = {"red": RED, "green": GREEN, "blue": BLUE, "dark red": (120, 40, 40)}
    return clips(tmp_path_factory.mktemp("sets") / "takes", colours)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real") / "real"
    folder.mkdir()
    for number, colour in enumerate((RED, GREEN, BLUE, (90, 90, 90), (160, 150, 60))):
        write(folder / f"{number}.mp4", [textured(n, colour) for n in range(18)])
    write(folder / "short.mp4", [plain(RED)] * 5)
    return folder


def means(folder: Path, given: FeatureInput) -> NDArray[np.float64]:
    """(clips, frames, 3) mean colours from -1 to 1 of what a network is given."""
    found = [sample_clip(shot, given) for shot in made_shots(folder)]
    stack = np.stack([clip for clip in found if clip is not None]).astype(np.float64)
    return stack.mean(axis=(2, 3)) * 2 / 255 - 1


def test_a_clip_is_its_middle_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", [plain((10 * n, 10 * n, 10 * n)) for n in range(20)])
    (shot,) = made_shots(path)
    clip = sample_clip(shot, FeatureInput(size=16, frames=4))
    assert clip is not None
    assert clip.shape == (4, 16, 16, 3)
    assert np.abs(clip.mean(axis=(1, 2, 3)) - [80, 90, 100, 110]).max() < 3
    assert sample_clip(shot, FeatureInput(size=16, frames=21)) is None
    part = MadeShot(name="part", path=path, start=shot.start + 4 / 25, seconds=shot.start + 6 / 25)
    within = sample_clip(part, FeatureInput(size=16, frames=2))
    assert within is not None
    assert np.abs(within.mean(axis=(1, 2, 3)) - [60, 70]).max() < 3


def test_fvd_kvd_and_is_by_a_torchscript_network(tmp_path: Path, takes: Path, real: Path) -> None:
    network = video_network(tmp_path / "i3d.pt")
    given = FeatureInput(size=32)
    told = montage.evaluate(takes, encoder=ENCODER, frames=2, features=network, real=real, given=given)
    sets = {one.measure: one for one in told.columns[0].sets}
    assert sets.keys() == {"FVD", "KVD", "video IS"}

    def features(folder: Path) -> NDArray[np.float64]:
        found = [sample_clip(shot, given) for shot in made_shots(folder)]
        stack = np.stack([clip for clip in found if clip is not None]).astype(np.float64) * 2 / 255 - 1
        change = np.abs(np.diff(stack, axis=1)).mean(axis=(1, 2, 3))
        return np.hstack([stack.mean(axis=(1, 2, 3)), change])

    mine, true = features(takes), features(real)
    assert (len(mine), len(true)) == (4, 5)
    expected = frechet_distance(statistics_of(mine), statistics_of(true))
    assert sets["FVD"].value == pytest.approx(expected, rel=1e-3)
    assert sets["KVD"].value == pytest.approx(kernel_distance(mine, true), rel=1e-3, abs=1e-5)
    logits = 20 * mine[:, :3]
    classes = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert sets["video IS"].value == pytest.approx(inception_score(classes)[0], rel=1e-3)
    assert (sets["FVD"].samples, sets["FVD"].real, sets["FVD"].dimensions) == (4, 5, 6)
    notes = " ".join(told.notes)
    assert "4 samples and 5 real ones for 6 dimensions are too few" in notes
    assert "1 of 6 clips of the real clips have fewer than 16 frames" in notes
    assert [row.better for row in told.rows if row.measure in ("FVD", "video IS")] == ["lower", "higher"]


def test_fid_and_is_by_an_onnx_network_that_fixes_its_size(tmp_path: Path, takes: Path, real: Path) -> None:
    folder = tmp_path / "networks"
    folder.mkdir()
    image_network(folder / "inception.onnx")
    (folder / "README.txt").write_text("no network")
    told = montage.evaluate(takes, encoder=ENCODER, frames=2, features=folder, real=real)
    sets = {one.measure: one for one in told.columns[0].sets}
    assert sets.keys() == {"FID", "KID", "IS"}
    given = FeatureInput(size=24)
    mine, true = means(takes, given).reshape(-1, 3), means(real, given).reshape(-1, 3)
    assert (sets["FID"].samples, sets["FID"].real) == (64, 80) == (len(mine), len(true))
    expected = frechet_distance(statistics_of(mine), statistics_of(true))
    assert sets["FID"].value == pytest.approx(expected, rel=1e-3)
    assert "frames of 24x24" in " ".join(told.notes)
    classes = np.exp(20 * mine) / np.exp(20 * mine).sum(axis=1, keepdims=True)
    assert sets["IS"].value == pytest.approx(inception_score(classes)[0], rel=1e-3)


def test_what_a_network_takes_is_found_out(tmp_path: Path) -> None:
    class Frames(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 2, 3)

        def forward(self, x):  # type: ignore[no-untyped-def]
            return self.layer(x).mean(dim=[2, 3])

    path = tmp_path / "frames.ts"
    torch.manual_seed(0)
    torch.jit.script(Frames()).save(str(path))
    (network,) = load_networks(path, FeatureInput(size=16, frames=3))
    assert network.kind == "image"
    (clips_network,) = load_networks(video_network(tmp_path / "clips.pt"), FeatureInput(size=16, frames=3))
    assert clips_network.kind == "video"
    fixed = image_network(tmp_path / "fixed.onnx", size=12, batch=1)
    (one,) = load_networks(fixed)
    shots = made_shots(write(tmp_path / "clip.mp4", [plain(RED)] * 18))
    told = one.features(shots)
    assert told.values.shape == (16, 3)
    assert told.values[0] == pytest.approx(np.array(RED) * 2 / 255 - 1, abs=0.06)


def test_the_range_of_values_and_logits_are_options(tmp_path: Path) -> None:
    class Means(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x):  # type: ignore[no-untyped-def]
            return x.mean(dim=[2, 3, 4])

    path = tmp_path / "means.pt"
    torch.jit.script(Means()).save(str(path))
    shots = made_shots(write(tmp_path / "clip.mp4", [plain(RED)] * 18))
    for low, high in ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0)):
        (network,) = load_networks(path, FeatureInput(size=16, low=low, high=high))
        told = network.features(shots)
        assert told.values[0] == pytest.approx(
            low + np.array(RED) / 255 * (high - low), abs=0.02 * (high - low)
        )
        assert told.probabilities is None
    (network,) = load_networks(path, FeatureInput(size=16, low=0, high=1, logits=True))
    probabilities = network.features(shots).probabilities
    assert probabilities is not None
    assert probabilities.sum() == pytest.approx(1)
    with pytest.raises(ValueError, match="range"):
        FeatureInput(low=1, high=1)


def test_what_is_no_network_is_named(tmp_path: Path, takes: Path) -> None:
    with pytest.raises(MontageError, match="there is no"):
        load_networks(tmp_path / "missing.pt")
    with pytest.raises(MontageError, match="no network in"):
        load_networks(tmp_path)
    for name, says in (("weights.pt", "no TorchScript module"), ("model.onnx", "no ONNX model")):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(MontageError, match=says):
            load_networks(tmp_path / name)

    class Wide(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x):  # type: ignore[no-untyped-def]
            return x

    torch.jit.script(Wide()).save(str(tmp_path / "wide.pt"))
    with pytest.raises(MontageError, match="pool it"):
        load_networks(tmp_path / "wide.pt", FeatureInput(size=16))
    with pytest.raises(MontageError, match="--features FILE"):
        montage.evaluate(takes, encoder=ENCODER, real=takes)
    image = image_network(tmp_path / "single.onnx")
    with pytest.raises(MontageError, match="no folder"):
        montage.evaluate(takes, encoder=ENCODER, features=image, real=image)
