"""Which models make the shots: by name, by folder, by what fits the GPU; licences first."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from generate import GenerationError, Request, Tuning
from generate.backends import Diffusers
from generate.catalogue import LORAS, UNFINISHED, folder_of
from montage import generation as studios
from montage.generation import AUTO, Generation, Studio, open_studio
from tests.tiny_pipelines import save_tiny, save_tiny_lora

GIB = 1024**3
SMALL, LARGE = "wan2.1-t2v-1.3b", "wan2.2-ti2v-5b"
IMAGES, LORA = "wan2.1-i2v-14b-480p", "wan2.1-i2v-14b-480p-4step"


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MONTAGE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def put(made: Path, name: str) -> Path:
    """A tiny pipeline where the model of this name would be."""
    return Path(shutil.copytree(made, folder_of(name)))


def opened(
    patch: pytest.MonkeyPatch, takes: Path, gibibytes: float | None, *models: object, **more: object
) -> Studio:
    """The studio on a machine with a GPU of so much memory."""
    memory = None if gibibytes is None else int(gibibytes * GIB)
    patch.setattr(studios, "gpu_memory", lambda: memory)
    return open_studio(Generation(models=models or (AUTO,), **more), takes)


def names(studio: Studio) -> list[str]:
    return [getattr(generator, "model", generator.name) for generator in studio.generators]


def test_auto_without_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio = opened(monkeypatch, tmp_path, 24)
    assert studio.generators == ()
    assert studio.reason == "no model is here (montage models list shows them)"


def test_auto_takes_what_fits_the_best_first(
    tiny_wan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tiny_wan, SMALL)
    # A card of 8 GB reports a little less.
    assert names(opened(monkeypatch, tmp_path, 7.6)) == [SMALL]
    assert names(opened(monkeypatch, tmp_path, 12)) == [SMALL]
    put(tiny_wan, LARGE)
    assert names(opened(monkeypatch, tmp_path, 11.6)) == [LARGE, SMALL]
    assert names(opened(monkeypatch, tmp_path, 8)) == [SMALL]
    # Half a model is none.
    (folder_of(LARGE) / UNFINISHED).touch()
    assert names(opened(monkeypatch, tmp_path, 24)) == [SMALL]


def test_auto_says_why_there_is_none(tiny_wan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tiny_wan, LARGE)
    for memory in (None, 4):
        studio = opened(monkeypatch, tmp_path, memory)
        assert studio.generators == ()
        assert "no GPU large enough" in studio.reason
        assert "--model" in studio.reason
    studio = opened(monkeypatch, tmp_path, 8)
    assert studio.reason == f"{SMALL} fits this GPU and is not here (montage models pull {SMALL})"


def test_auto_takes_no_model_whose_licence_sets_conditions(
    tiny_wan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tiny_wan, "modelscope-1.7b")
    more = {"accepted": frozenset({"modelscope-1.7b"})}
    assert opened(monkeypatch, tmp_path, 80, **more).generators == ()
    put(tiny_wan, SMALL)
    assert names(opened(monkeypatch, tmp_path, 80, **more)) == [SMALL]


def test_a_model_by_name(tiny_wan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GenerationError, match=f"is not here: fetch it with montage models pull {SMALL}"):
        opened(monkeypatch, tmp_path, None, SMALL)
    put(tiny_wan, SMALL)
    assert names(opened(monkeypatch, tmp_path, None, SMALL)) == [SMALL]
    with pytest.raises(
        GenerationError, match=r"no model folder wan9, and no model of that name.*models list"
    ):
        opened(monkeypatch, tmp_path, None, "wan9")
    with pytest.raises(GenerationError, match=f"is a LoRA for {IMAGES}"):
        opened(monkeypatch, tmp_path, None, LORA)


def test_licences_are_asked_for_by_name_and_by_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(GenerationError, match=r"CC-BY-NC-4\.0.*--accept-licence modelscope-1\.7b"):
        opened(monkeypatch, tmp_path, None, "modelscope-1.7b")
    folder = save_tiny("modelscope", tmp_path / "mine")
    with pytest.raises(
        GenerationError, match=r"weights of mine are under CC-BY.*--accept-licence modelscope"
    ):
        opened(monkeypatch, tmp_path, None, folder)
    for accepted in ("modelscope", "mine"):
        assert names(opened(monkeypatch, tmp_path, None, folder, accepted=frozenset({accepted}))) == ["mine"]
    put(folder, "modelscope-1.7b")
    accepted = frozenset({"modelscope-1.7b"})
    assert names(opened(monkeypatch, tmp_path, None, "modelscope-1.7b", accepted=accepted))


def test_a_step_distilled_lora_that_is_here_is_taken_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(save_tiny("wan-i2v", tmp_path / "i2v"), IMAGES)
    plain = opened(monkeypatch, tmp_path, 24, IMAGES).generators[0]
    place = LORAS[LORA].places[0]
    place.parent.mkdir(parents=True)
    shutil.copy(save_tiny_lora(tmp_path / "lora", "wan-i2v"), place)
    tuning = Tuning(device="cuda", native_area=64 * 48)
    assert opened(monkeypatch, tmp_path, 80, IMAGES, tuning=tuning).generators[0].tuning.loras == ()
    tuning = Tuning(device="cpu", native_area=64 * 48)
    model = opened(monkeypatch, tmp_path, 24, IMAGES, tuning=tuning).generators[0]
    assert isinstance(model, Diffusers)
    assert model.identity != plain.identity
    request = Request(
        prompt="a fox", frames=5, fps=Fraction(16), width=64, height=48, strategy="from-near-miss",
        reference=np.full((48, 64, 3), 90, np.uint8),
    )  # fmt: skip
    details = model.generate(request).details
    assert details["loras"] == [f"{place.name} at 1"]
    assert (details["steps"], details["guidance"]) == (4, 1.0)
