"""What is known of models and LoRAs, and which of them suits which GPU."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from generate import GenerationError, Tuning
from generate.catalogue import (
    LORAS,
    MODELS,
    TIERS,
    UNFINISHED,
    auto_model,
    find,
    fits,
    folder_of,
    is_here,
    lora_for,
)
from generate.families import FAMILIES
from generate.tuning import Lora, fitted_to, read_tuning, tier_for
from montage.cli import main
from tests.tiny_pipelines import save_tiny_lora

GIB = 1024**3
FREE = {"Apache-2.0", "MIT"}
IMAGES, LORA = "wan2.1-i2v-14b-480p", "wan2.1-i2v-14b-480p-4step"
EXPERTS, PAIR = "wan2.2-t2v-a14b", "wan2.2-t2v-a14b-4step"


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MONTAGE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def put_lora(name: str, made: Path) -> None:
    for place in LORAS[name].places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(made.read_bytes())


@pytest.fixture(scope="module")
def lora_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_lora(tmp_path_factory.mktemp("lora"))


# The table.


def test_every_model_has_a_pipeline_that_can_be_run() -> None:
    supported = {pipeline for row in FAMILIES for pipeline in (row.pipeline, *row.also)}
    assert {model.pipeline for model in MODELS.values()} <= supported
    for name, model in MODELS.items():
        assert model.name == name
        assert model.repository.count("/") == 1
        assert model.size > 10**9
        assert model.memory >= 6 * GIB


def test_a_licence_with_conditions_says_them() -> None:
    for model in (*MODELS.values(), *LORAS.values()):
        assert model.needs_acceptance == (model.licence not in FREE), model.name
    # Rows of the families agree: what sets conditions there is asked for here.
    for model in MODELS.values():
        rows = [row for row in FAMILIES if row.pipeline == model.pipeline]
        if all(row.free for row in rows):
            assert not model.needs_acceptance, model.name


def test_what_auto_takes_is_free_and_ordered_by_memory() -> None:
    assert [MODELS[name].licence for name in TIERS] == ["Apache-2.0"] * 3
    needs = [MODELS[name].memory for name in TIERS]
    assert needs == sorted(needs)


@pytest.mark.parametrize(
    ("gibibytes", "name"),
    [
        (4, None), (7.3, None), (7.6, "wan2.1-t2v-1.3b"), (8, "wan2.1-t2v-1.3b"), (10, "wan2.1-t2v-1.3b"),
        (11.6, "wan2.2-ti2v-5b"), (12, "wan2.2-ti2v-5b"), (23.6, "wan2.2-ti2v-5b"), (48, "wan2.2-ti2v-5b"),
        (79.2, "wan2.2-t2v-a14b"), (80, "wan2.2-t2v-a14b"), (139, "wan2.2-t2v-a14b"),
    ],
)  # fmt: skip
def test_the_default_model_by_memory(gibibytes: float, name: str | None) -> None:
    found = auto_model(int(gibibytes * GIB))
    assert (None if found is None else found.name) == name
    assert found is None or fits(found, int(gibibytes * GIB))


def test_a_lora_is_for_a_model_that_is_known() -> None:
    for name, lora in LORAS.items():
        assert lora.name == name
        assert name not in MODELS
        assert find(name) is lora
        assert lora.model in MODELS
        assert all(file.endswith(".safetensors") for file in lora.files)
        assert len({place.name for place in lora.places}) == len(lora.files) in (1, 2)
        assert lora.steps < 10


# What is here.


def test_a_model_is_here_when_all_of_it_is() -> None:
    name = "wan2.1-t2v-1.3b"
    folder = folder_of(name)
    assert not is_here(name)
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    assert is_here(name)
    (folder / UNFINISHED).touch()
    assert not is_here(name)


def test_the_list(capsys: pytest.CaptureFixture[str], lora_file: Path) -> None:
    put_lora(LORA, lora_file)
    assert main(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {*MODELS, *LORAS, "clip:fast"} <= set(rows)
    assert rows[LORA]["here"]
    assert rows[LORA]["model"] == IMAGES
    assert not rows[IMAGES]["here"]
    assert rows["wan2.1-t2v-1.3b"]["gpu_gigabytes"] == 8
    assert rows["modelscope-1.7b"]["restriction"] == "it is for non-commercial use only"
    assert main(["models", "list"]) == 0
    table = capsys.readouterr().out
    lines = {line.split()[0]: line for line in table.splitlines() if line.strip()}
    assert "Apache-2.0" in lines["wan2.2-ti2v-5b"]
    assert "CC-BY-NC-4.0 *" in lines["modelscope-1.7b"]
    assert "4 steps for" in lines[LORA]
    assert "--accept-licence NAME" in table


def test_the_list_says_what_auto_takes_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA A, 8188 MiB'\necho 'NVIDIA B, 24564 MiB'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert main(["models", "list"]) == 0
    assert "--model auto takes wan2.2-ti2v-5b on this machine" in capsys.readouterr().out


# Tiers.


def test_a_step_distilled_lora_is_taken_where_memory_is_short(lora_file: Path) -> None:
    plain = Tuning()
    assert lora_for(IMAGES) is None
    assert fitted_to(plain, 24 * GIB, IMAGES).loras == ()
    put_lora(LORA, lora_file)
    tuned = fitted_to(plain, 24 * GIB, IMAGES)
    assert [lora.path for lora in tuned.loras] == list(LORAS[LORA].places)
    assert (tuned.steps, tuned.guidance, tuned.cache) == (4, 1.0, "none")
    assert tuned.identity != plain.identity
    # Not on a large GPU, nor for another model.
    assert fitted_to(plain, 80 * GIB, IMAGES) == replace(plain, cache="none")
    assert fitted_to(plain, 24 * GIB, "wan2.1-t2v-1.3b").loras == ()
    # What the settings say goes first.
    assert fitted_to(Tuning(distilled=False), 24 * GIB, IMAGES).loras == ()
    assert fitted_to(Tuning(distilled=True), 80 * GIB, IMAGES).steps == 4
    own = fitted_to(Tuning(steps=6, guidance=2.0), 24 * GIB, IMAGES)
    assert (own.steps, own.guidance, len(own.loras)) == (6, 2.0, 1)
    named = Tuning(loras=(Lora(lora_file, 0.5),))
    assert fitted_to(named, 24 * GIB, IMAGES) == replace(named, cache="none")


def test_two_experts_have_a_lora_each(lora_file: Path) -> None:
    put_lora(PAIR, lora_file)
    tuned = fitted_to(Tuning(distilled=True), 80 * GIB, EXPERTS)
    assert [(lora.path.name, lora.second) for lora in tuned.loras] == [
        ("high_noise_model.safetensors", False),
        ("low_noise_model.safetensors", True),
    ]
    assert Tuning(loras=tuned.loras[:1]).identity != Tuning(loras=tuned.loras[1:]).identity


@pytest.mark.parametrize(
    ("gibibytes", "cache", "offload"),
    [(8, "first-block", "group"), (12, "first-block", "model"), (24, "none", "model"), (80, "none", "none"),
     (None, "none", "none")],
)  # fmt: skip
def test_caching_and_offload_by_tier(gibibytes: int | None, cache: str, offload: str) -> None:
    memory = None if gibibytes is None else gibibytes * GIB
    assert fitted_to(Tuning(), memory, "").cache == cache
    assert tier_for(memory).offload == offload
    assert fitted_to(Tuning(), memory, "", blocks=False).cache == "none"
    assert fitted_to(Tuning(cache="pyramid"), memory, "").cache == "pyramid"
    assert fitted_to(Tuning(cache="none"), memory, "").cache == "none"
    assert fitted_to(Tuning(device="cpu"), memory, "").cache == "none"


def test_settings_are_read_from_a_file(tmp_path: Path, lora_file: Path) -> None:
    path = tmp_path / "model.toml"
    (tmp_path / "fast.safetensors").write_bytes(lora_file.read_bytes())
    (tmp_path / "depth").mkdir()
    path.write_text(
        'distilled = false\ncontrol_model = "depth"\n'
        'loras = [{ path = "fast.safetensors", scale = 0.5, second = true }]\n'
    )
    read = read_tuning(path)
    assert read.distilled is False
    assert read.control_model == tmp_path / "depth"
    assert read.loras == (Lora(tmp_path / "fast.safetensors", 0.5, second=True),)
    for wrong, said in (
        ("distilled = 1", "distilled is 1: it must be bool"),
        ('control_model = "none"', "there is no folder"),
        ('loras = [{ path = "no.safetensors" }]', "there is no LoRA file"),
        ('loras = [{ path = "model.bin" }]', "pickles are never loaded"),
        ('cache = "much"', "cache is 'much': write one of auto, none, first-block, pyramid"),
    ):
        path.write_text(wrong)
        with pytest.raises(GenerationError, match=said):
            read_tuning(path)
