"""LoRAs over tiny models of the real classes: a take changes with them; what is wrong with one is told."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from safetensors.numpy import save_file

from generate import Diffusers, GenerationError, Request, Tuning
from generate.tuning import Lora
from tests.tiny_pipelines import save_tiny, save_tiny_lora

AREA = 64 * 48


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("wan", tmp_path_factory.mktemp("models") / "wan")


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_lora(tmp_path_factory.mktemp("lora"))


def taken(folder: Path, tmp_path: Path, *loras: Lora, **more: object) -> tuple[list[np.ndarray], Diffusers]:
    """The frames of a take, and the model that made it."""
    tuning = Tuning(**{"device": "cpu", "steps": 2, "native_area": AREA, "loras": loras, **more})
    model = Diffusers(folder, tmp_path, tuning)
    request = Request(prompt="a fox at dawn", frames=6, fps=Fraction(16), width=64, height=48, seed=3)
    take = model.generate(request)
    assert ("loras" in take.details) == bool(loras)
    with av.open(str(take.path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)], model


def apart(some: list[np.ndarray], others: list[np.ndarray]) -> float:
    """The mean difference in levels."""
    pairs = zip(some, others, strict=True)
    return float(np.mean([np.abs(a.astype(int) - b).mean() for a, b in pairs]))


def test_a_lora_changes_the_take_by_its_scale(folder: Path, lora: Path, tmp_path: Path) -> None:
    plain, without = taken(folder, tmp_path)
    whole, model = taken(folder, tmp_path, Lora(lora))
    half, other = taken(folder, tmp_path, Lora(lora, 0.05))
    none, silent = taken(folder, tmp_path, Lora(lora, 0.0))
    assert apart(plain, whole) > 0.5
    assert 0.02 < apart(plain, half) < apart(plain, whole)
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(plain, none, strict=True)) <= 1
    identities = {one.identity for one in (without, model, other, silent)}
    assert len(identities) == 4
    # The same file elsewhere is the same LoRA.
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(lora.read_bytes())
    assert taken(folder, tmp_path, Lora(copy))[1].identity == model.identity


def test_what_was_loaded_is_told(folder: Path, lora: Path, tmp_path: Path) -> None:
    tuning = Tuning(device="cpu", steps=1, native_area=AREA, loras=(Lora(lora, 0.5),))
    request = Request(prompt="a fox", frames=6, fps=Fraction(16), width=64, height=48)
    take = Diffusers(folder, tmp_path, tuning).generate(request)
    assert take.details["loras"] == ["tiny.safetensors at 0.5"]
    assert take.details["steps"] == 1


def test_each_expert_takes_its_own(lora: Path, tmp_path: Path) -> None:
    experts = save_tiny("wan-a14b", tmp_path / "a14b")
    other = save_tiny_lora(tmp_path / "other", seed=5)
    makes = {
        "plain": (),
        "first": (Lora(lora),),
        "second": (Lora(lora, second=True),),
        "both": (Lora(lora), Lora(other, second=True)),
    }
    made = {name: taken(experts, tmp_path, *loras, steps=4)[0] for name, loras in makes.items()}
    names = list(makes)
    for place, name in enumerate(names):
        for before in names[:place]:
            assert apart(made[name], made[before]) > 0.1, (name, before)


def test_guidance_that_is_told_holds_for_both_experts(tmp_path: Path) -> None:
    experts = save_tiny("wan-a14b", tmp_path / "a14b")
    row = Diffusers(experts, tmp_path).rows[0]
    assert row.constants["guidance_scale_2"] == 3.0
    assert Diffusers(experts, tmp_path)._constants(row)["guidance_scale_2"] == 3.0
    told = Diffusers(experts, tmp_path, Tuning(guidance=1.0))
    assert told._constants(row)["guidance_scale_2"] == 1.0


def test_what_is_wrong_with_a_lora_is_told(folder: Path, lora: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(lora.read_bytes()[:300])
    with pytest.raises(GenerationError, match=r"cannot load the LoRA .*cut\.safetensors into wan.*damaged"):
        taken(folder, tmp_path, Lora(cut))
    for_other = save_tiny_lora(tmp_path / "ltx", "ltx")
    with pytest.raises(GenerationError, match=r"LoRA .*tiny\.safetensors.*for another model"):
        taken(folder, tmp_path, Lora(for_other))
    missing = Diffusers(folder, tmp_path, Tuning(loras=(Lora(tmp_path / "none.safetensors"),)))
    with pytest.raises(GenerationError, match=r"cannot read a LoRA: .*none\.safetensors"):
        assert missing.identity
    with pytest.raises(GenerationError, match="has one expert, and the LoRA"):
        taken(folder, tmp_path, Lora(lora, second=True))
    empty = tmp_path / "empty.safetensors"
    save_file({"something.else": np.zeros(3, np.float32)}, str(empty))
    with pytest.raises(GenerationError, match=r"nothing for wan|damaged, or made for another model"):
        taken(folder, tmp_path, Lora(empty))


def test_a_model_that_takes_no_loras_says_so(lora: Path, tmp_path: Path) -> None:
    svd = save_tiny("svd", tmp_path / "svd")
    model = Diffusers(svd, tmp_path, Tuning(device="cpu", steps=1, native_area=AREA, loras=(Lora(lora),)))
    picture = np.zeros((48, 64, 3), np.uint8)
    request = Request(
        prompt="", frames=6, fps=Fraction(7), width=64, height=48, strategy="from-near-miss",
        reference=picture,
    )  # fmt: skip
    with pytest.raises(GenerationError, match="takes no LoRAs"):
        model.generate(request)
