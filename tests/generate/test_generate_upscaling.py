"""Upscalers: pixels by spandrel, latents of LTX-Video by diffusers, both loaded as published ones are."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tiny_pipelines import save_tiny

from generate import Diffusers, GenerationError, Request
from generate.base import Cancelled, Frame
from generate.finish import Finishing, finish_take
from generate.tuning import Tuning, read_tuning
from generate.upscaling import LatentUpscaler, Upscaler, enlarged, is_larger, upscaler_id
from index.base import import_torch

needs_spandrel = pytest.mark.skipif(
    importlib.util.find_spec("spandrel") is None, reason="the package spandrel is absent"
)
AREA = 64 * 64


def save_esrgan(path: Path, *, repeats: bool = False) -> Path:
    """A two-fold ESRGAN of one block and eight filters: random, or weighted so that it repeats each pixel."""
    torch = import_torch()
    torch.set_num_threads(1)
    from safetensors.torch import save_file
    from spandrel.architectures.ESRGAN import ESRGAN

    torch.manual_seed(0)
    network = ESRGAN(num_filters=8, num_blocks=1, scale=2)
    weights = network.state_dict()
    if repeats:
        for name, value in weights.items():
            value.zero_()
            # Outside of the residual blocks, the first three filters hand the three colours on.
            if name.endswith("weight") and "RDB" not in name and ".sub." not in name:
                for colour in range(3):
                    value[colour, colour, 1, 1] = 1
    save_file({name: value.contiguous() for name, value in weights.items()}, path)
    return path


def picture(width: int = 150, height: int = 90, seed: int = 0) -> Frame:
    small = np.random.default_rng(seed).integers(0, 255, (height // 10 + 1, width // 10 + 1, 3), np.uint8)
    return small.repeat(10, 0).repeat(10, 1)[:height, :width].copy()


@pytest.fixture(scope="module")
def esrgan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("spandrel")
    return save_esrgan(tmp_path_factory.mktemp("upscalers") / "tiny-x2.safetensors")


# Pixels.


@needs_spandrel
def test_every_pixel_comes_where_it_belongs(tmp_path: Path) -> None:
    upscaler = Upscaler(save_esrgan(tmp_path / "repeat.safetensors", repeats=True), "cpu", tile=32)
    frame = picture()
    assert (upscaler(frame) == frame.repeat(2, 0).repeat(2, 1)).all()


def test_tiles_leave_no_seams(esrgan: Path) -> None:
    frame = picture()
    whole, tiled = Upscaler(esrgan, "cpu")(frame), Upscaler(esrgan, "cpu", tile=48)(frame)
    assert whole.shape == (180, 300, 3)
    assert np.ptp(whole.astype(int)) > 5
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_enlarging_gives_exactly_the_films_size(esrgan: Path) -> None:
    upscaler = Upscaler(esrgan, "cpu")
    for size in ((320, 180), (300, 180), (250, 250), (700, 300)):
        assert enlarged(picture(), upscaler, size).shape == (size[1], size[0], 3)


@needs_spandrel
def test_enlarging_crops_at_the_centre_and_keeps_colours(tmp_path: Path) -> None:
    upscaler = Upscaler(save_esrgan(tmp_path / "repeat.safetensors", repeats=True), "cpu")
    frame = np.zeros((64, 128, 3), np.uint8)
    frame[:, 32:96] = (200, 60, 20)
    made = enlarged(frame, upscaler, (160, 160))
    assert np.abs(made.astype(int) - (200, 60, 20)).max() <= 1


def test_only_larger_films_are_enlarged() -> None:
    assert is_larger((1920, 1080), (832, 480))
    assert not is_larger((832, 480), (832, 480))
    assert not is_larger((640, 360), (832, 480))
    assert not is_larger((400, 400), (832, 480))
    assert is_larger((482, 482), (832, 480))


def test_enlarging_can_be_stopped_between_tiles(esrgan: Path) -> None:
    asked: list[int] = []

    def cancel() -> bool:
        asked.append(1)
        return len(asked) > 2

    with pytest.raises(Cancelled, match="enlarging"):
        Upscaler(esrgan, "cpu", tile=48)(picture(), cancel)
    assert len(asked) == 3


def finished(path: Path, finishing: Finishing, size: tuple[int, int], cancel: Any = None) -> list[Frame]:
    request = Request(prompt="x", frames=6, fps=Fraction(25), width=size[0], height=size[1])
    done: list[int] = []
    take = finish_take(
        [picture(96, 64, seed) for seed in range(4)], path, request, kind="diffusion", model="m",
        model_hash="h", details={}, source_size=(96, 64), source_fps=Fraction(50, 3), source_count=4,
        finishing=finishing, progress=lambda one, _: done.append(one), cancel=cancel,
    )  # fmt: skip
    assert done == [1, 2, 3, 4]
    with av.open(str(take.path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_take_is_enlarged_frame_by_frame_where_the_film_is_larger(esrgan: Path, tmp_path: Path) -> None:
    plain, large = Finishing(motion=False), Finishing(motion=False, upscaler=Upscaler(esrgan, "cpu"))
    for size, same in (((192, 128), False), ((96, 64), True)):
        by_lanczos = finished(tmp_path / "a.mp4", plain, size)
        by_model = finished(tmp_path / "b.mp4", large, size)
        assert len(by_model) == 6
        assert by_model[0].shape == (size[1], size[0], 3)
        apart = np.abs(by_lanczos[0].astype(int) - by_model[0]).mean()
        assert apart < 0.3 if same else apart > 3
    with pytest.raises(Cancelled):
        finished(tmp_path / "c.mp4", large, (192, 128), cancel=lambda: True)
    assert not (tmp_path / "c.mp4").exists()


@needs_spandrel
def test_what_is_no_upscaler_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="pickles are never loaded"):
        Upscaler(tmp_path / "absent.safetensors")
    (tmp_path / "pickle.pth").write_bytes(b"x")
    with pytest.raises(GenerationError, match="pickles are never loaded"):
        Upscaler(tmp_path / "pickle.pth")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(GenerationError, match=r"cannot load the upscaler.*broken.*spandrel knows"):
        Upscaler(tmp_path / "broken.safetensors", "cpu")(picture())
    torch = import_torch()
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(GenerationError, match=r"cannot load the upscaler.*other"):
        Upscaler(tmp_path / "other.safetensors", "cpu")(picture())


def test_without_its_package_an_upscaler_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "spandrel", None)  # as if it were not installed
    with pytest.raises(GenerationError, match="needs the package spandrel"):
        Upscaler(tmp_path / "x.safetensors")


def test_an_upscaler_is_part_of_what_a_take_is_known_by(tmp_path: Path) -> None:
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    one.write_bytes(b"one")
    other.write_bytes(b"other")
    shutil.copy(one, tmp_path / "copy.safetensors")
    known = [Tuning(upscaler=path).identity for path in (None, one, other, tmp_path / "copy.safetensors")]
    assert len(set(known)) == 3
    assert known[1] == known[3]
    (tmp_path / "model.toml").write_text('upscaler = "one.safetensors"\n')
    assert read_tuning(tmp_path / "model.toml").upscaler == one
    (tmp_path / "model.toml").write_text('upscaler = "none.safetensors"\n')
    with pytest.raises(GenerationError, match=r"model\.toml.*there is no upscaler"):
        read_tuning(tmp_path / "model.toml")


# Latents.


@pytest.fixture(scope="module")
def tiny_ltx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("ltx", tmp_path_factory.mktemp("models") / "tiny-ltx")


@pytest.fixture(scope="module")
def doubler(tiny_ltx: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_doubler(tiny_ltx, tmp_path_factory.mktemp("upscalers") / "doubler")


def save_doubler(model: Path, folder: Path, channels: int = 8) -> Path:
    """A saved latent upscaler of one block and 32 channels, with the decoder of a tiny LTX-Video."""
    torch = import_torch()
    from diffusers import AutoencoderKLLTXVideo, LTXLatentUpsamplePipeline
    from diffusers.pipelines.ltx.modeling_latent_upsampler import LTXLatentUpsamplerModel

    torch.manual_seed(3)
    vae = AutoencoderKLLTXVideo.from_pretrained(model / "vae")
    network = LTXLatentUpsamplerModel(in_channels=channels, mid_channels=32, num_blocks_per_stage=1)
    LTXLatentUpsamplePipeline(vae=vae, latent_upsampler=network).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("packed", [True, False])
def test_latents_are_enlarged_as_diffusers_enlarges_them(tiny_ltx: Path, doubler: Path, packed: bool) -> None:
    torch = import_torch()
    from diffusers import LTXLatentUpsamplePipeline, LTXPipeline

    pipeline = LTXPipeline.from_pretrained(tiny_ltx)
    down = pipeline.vae_spatial_compression_ratio
    size, frames = (6 * down, 4 * down), 9
    latents = torch.randn(
        (1, 8, (frames - 1) // pipeline.vae_temporal_compression_ratio + 1, 4, 6),
        generator=torch.Generator().manual_seed(1),
    )
    theirs = LTXLatentUpsamplePipeline.from_pretrained(doubler)
    expected = theirs(latents=latents, height=size[1], width=size[0], output_type="np").frames
    ours = pipeline._pack_latents(latents, 1, 1) if packed else latents
    made = LatentUpscaler(doubler, "LTXPipeline")(pipeline, ours, size, frames)
    assert made.shape == expected.shape == (1, frames, 2 * size[1], 2 * size[0], 3)
    assert np.abs(made - expected).max() < 1e-4
    assert np.ptp(made) > 0.01


@pytest.mark.parametrize(("width", "large"), [(320, True), (32, False)])
def test_a_take_of_ltx_is_enlarged_before_it_is_decoded(
    tiny_ltx: Path, doubler: Path, tmp_path: Path, width: int, large: bool
) -> None:
    common = {"device": "cpu", "steps": 1, "native_area": AREA, "interpolation": "blend"}
    request = Request(prompt="a fox", frames=8, fps=Fraction(24), width=width, height=width // 2)
    made = {}
    for upscaler in (None, doubler):
        model = Diffusers(tiny_ltx, tmp_path, Tuning(**common, upscaler=upscaler))
        steps: list[int] = []
        take = model.generate(request, lambda done, _, steps=steps: steps.append(done))
        assert steps == [1]
        with av.open(str(take.path)) as container:
            made[upscaler] = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(made[upscaler]) == 8
        assert take.details.get("upscaler") == ("doubler" if large and upscaler else None)
        assert take.details["native_width"] * take.details["native_height"] <= AREA
        video, native = model._made(model.rows[0], request, 9, Fraction(24), None, None)
        factor = 2 if large and upscaler else 1
        assert video.shape[1:3] == (native.size[1] * factor, native.size[0] * factor)
    apart = np.abs(made[None][0].astype(int) - made[doubler][0]).mean()
    assert apart > 1 if large else apart < 0.3


def test_a_latent_upscaler_of_another_family_is_refused(
    tiny_ltx: Path, doubler: Path, tmp_path: Path
) -> None:
    wan = save_tiny("wan", tmp_path / "tiny-wan")
    with pytest.raises(GenerationError, match=r"latents of LTX-Video.*WanPipeline.*spandrel"):
        Diffusers(wan, tmp_path, Tuning(upscaler=doubler))
    with pytest.raises(GenerationError, match="holds a LTXPipeline"):
        Diffusers(tiny_ltx, tmp_path, Tuning(upscaler=tiny_ltx))
    (tmp_path / "empty").mkdir()
    with pytest.raises(GenerationError, match="holds no upscaler"):
        Diffusers(tiny_ltx, tmp_path, Tuning(upscaler=tmp_path / "empty"))
    unlike = save_doubler(tiny_ltx, tmp_path / "unlike", channels=16)
    assert upscaler_id(unlike) != upscaler_id(doubler)
    model = Diffusers(tiny_ltx, tmp_path, Tuning(device="cpu", steps=1, native_area=AREA, upscaler=unlike))
    request = Request(prompt="a fox", frames=8, fps=Fraction(24), width=320, height=160)
    with pytest.raises(GenerationError, match="latents of 16 channels, and the model's have 8"):
        model.generate(request)
    for weights in (unlike / "latent_upsampler").glob("*.safetensors"):
        weights.unlink()
    with pytest.raises(GenerationError, match=r"no \.safetensors weights"):
        LatentUpscaler(unlike, "LTXPipeline")


def test_a_models_take_is_enlarged_by_its_pixel_upscaler(
    tiny_ltx: Path, esrgan: Path, tmp_path: Path
) -> None:
    tuning = Tuning(device="cpu", steps=1, native_area=AREA, interpolation="blend", upscaler=esrgan)
    request = Request(prompt="a fox", frames=4, fps=Fraction(24), width=192, height=96)
    take = Diffusers(tiny_ltx, tmp_path, tuning).generate(request)
    assert take.details["upscaler"] == esrgan.name
    with av.open(str(take.path)) as container:
        made = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert (len(made), made[0].shape) == (4, (96, 192, 3))
