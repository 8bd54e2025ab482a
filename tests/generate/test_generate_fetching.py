"""Models fetched from a hub on this machine: sizes, resuming, damage, licences, what is said of failures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from generate import Diffusers, GenerationError, Request, Tuning
from generate.catalogue import LORAS, MODELS, UNFINISHED, folder_of, is_here
from generate.fetching import chosen_files, plan_download, pull
from montage.cli import main
from tests.hub import COMMIT, Hub
from tests.tiny_pipelines import TINY, save_tiny, save_tiny_lora

NAME = "wan2.1-t2v-1.3b"
REPOSITORY = MODELS[NAME].repository
LORA = "wan2.2-t2v-a14b-4step"
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository: a pipeline, and what lies beside one and is not wanted."""
    folder = save_tiny("wan", tmp_path_factory.mktemp("hub") / "wan")
    (folder / "README.md").write_text("# A model")
    (folder / "examples").mkdir()
    (folder / "examples" / "film.safetensors").write_bytes(b"0" * 5000)
    (folder / "vae" / "diffusion_pytorch_model.bin").write_bytes(b"pickle")
    (folder / "vae" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"half")
    return folder


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MONTAGE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def hub(published: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    shutil.copytree(published, tmp_path / "served")
    with Hub({REPOSITORY: tmp_path / "served"}) as hub:
        hub.take_over(monkeypatch, tmp_path)
        yield hub


def test_the_size_is_known_before_anything_is_fetched(hub: Hub, published: Path) -> None:
    download = plan_download(NAME)
    names = {part.name for part in download.files}
    assert WEIGHTS in names
    assert "tokenizer/tokenizer.json" in names
    assert not names & {"README.md", "examples/film.safetensors"}
    assert not any("fp16" in name or name.endswith(".bin") for name in names)
    assert download.revision == COMMIT
    assert download.size == download.missing == sum((published / name).stat().st_size for name in names)
    assert hub.fetched() == [("model_index.json", "")]
    assert not folder_of(NAME).exists()


def test_a_model_is_fetched_and_loads(hub: Hub, tmp_path: Path) -> None:
    assert not is_here(NAME)
    told: list[tuple[str, int]] = []
    download = plan_download(NAME)
    folder = pull(download, lambda name, size: told.append((name, size)))
    assert told == [(part.name, part.size) for part in download.files]
    assert is_here(NAME)
    assert download.missing == 0
    assert sorted(p.name for p in folder.iterdir() if p.name.startswith(".")) == []
    assert Diffusers(folder, tmp_path).rows[0].name == "wan"
    # Again: every file is checked, none is fetched.
    before = len(hub.fetched())
    pull(plan_download(NAME), lambda name, size: told.append((name, size)))
    assert len(told) == len(download.files)
    assert hub.fetched()[before:] == [("model_index.json", "")]


def test_a_broken_fetch_goes_on_where_it_stopped(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    hub.drop[WEIGHTS] = 3000
    download = plan_download(NAME)
    with pytest.raises(GenerationError, match=rf"What has come is kept; run montage models pull {NAME}"):
        pull(download)
    assert not is_here(NAME)
    came = [name for name, _ in hub.fetched()]
    folder = folder_of(NAME)
    (part,) = (folder / ".cache").glob("*.part")
    kept = part.stat().st_size
    assert 0 < kept <= 3000
    whole = sum(one.size for one in download.files if (folder / one.place).is_file())
    assert download.missing == download.size - whole - kept
    hub.status.clear()
    before = len(hub.fetched())
    pull(plan_download(NAME))
    assert is_here(NAME)
    after = hub.fetched()[before:]
    assert (WEIGHTS, f"bytes={kept}-") in after
    assert not {name for name, _ in after} & set(came) - {WEIGHTS, "model_index.json"}
    served = hub.repositories[REPOSITORY]
    assert all(
        (folder / one.place).read_bytes() == (served / one.name).read_bytes() for one in download.files
    )


def test_a_dropped_connection_is_taken_up_again_at_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: hub.status.clear())
    hub.drop[WEIGHTS] = 2000
    pull(plan_download(NAME))
    assert is_here(NAME)
    begins = [begin for name, begin in hub.fetched() if name == WEIGHTS]
    assert len(begins) == 2
    assert begins[1].startswith("bytes=")


@pytest.mark.parametrize("name", [WEIGHTS, "vae/config.json"])
def test_a_damaged_file_is_refused_and_fetched_again(hub: Hub, name: str) -> None:
    hub.broken.add(name)
    with pytest.raises(GenerationError, match=f"{name} of {NAME} arrived damaged and was removed"):
        pull(plan_download(NAME))
    assert not is_here(NAME)
    assert not (folder_of(NAME) / name).exists()
    assert not list((folder_of(NAME) / ".cache").glob("*.part"))
    hub.broken.clear()
    pull(plan_download(NAME))
    assert is_here(NAME)


def test_a_model_that_was_damaged_here_is_mended(hub: Hub) -> None:
    folder = pull(plan_download(NAME))
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(b"\0" * len(whole))
    told: list[str] = []
    pull(plan_download(NAME), lambda name, size: told.append(name))
    assert told == [WEIGHTS]
    assert (folder / WEIGHTS).read_bytes() == whole


def test_half_a_model_is_not_here(hub: Hub) -> None:
    hub.status["vae/config.json"] = 503
    with pytest.raises(GenerationError):
        pull(plan_download(NAME))
    assert (folder_of(NAME) / "model_index.json").is_file()
    assert (folder_of(NAME) / UNFINISHED).is_file()
    assert not is_here(NAME)


def test_two_fetches_of_one_model_do_not_mix(hub: Hub) -> None:
    from filelock import FileLock

    download = plan_download(NAME)
    (folder_of(NAME) / ".cache").mkdir(parents=True)
    with (
        FileLock(str(folder_of(NAME) / ".cache" / "lock")),
        pytest.raises(GenerationError, match="another process"),
    ):
        pull(download)
    assert not is_here(NAME)


def test_pickles_are_refused(hub: Hub) -> None:
    served = hub.repositories[REPOSITORY]
    (served / WEIGHTS).rename(served / "transformer" / "diffusion_pytorch_model.bin")
    with pytest.raises(GenerationError, match="transformer of this model comes as a pickle only"):
        plan_download(NAME)
    assert not folder_of(NAME).exists()


def test_halved_weights_alone_are_put_where_loaders_look(hub: Hub, tmp_path: Path) -> None:
    served = hub.repositories[REPOSITORY]
    (served / WEIGHTS).rename(served / "transformer" / "diffusion_pytorch_model.fp16.safetensors")
    folder = pull(plan_download(NAME))
    assert (folder / WEIGHTS).is_file()
    assert Diffusers(folder, tmp_path).rows
    assert plan_download(NAME).missing == 0


def test_halved_shards_alone_can_be_loaded(hub: Hub, tmp_path: Path) -> None:
    pipeline = TINY["wan"]()
    shutil.rmtree(hub.repositories[REPOSITORY])
    pipeline.save_pretrained(hub.repositories[REPOSITORY], variant="fp16", max_shard_size="40KB")
    named = {path.name for path in (hub.repositories[REPOSITORY] / "transformer").iterdir()}
    assert {"diffusion_pytorch_model.safetensors.index.fp16.json"} < named
    folder = pull(plan_download(NAME))
    tuning = Tuning(device="cpu", steps=1, native_area=64 * 48)
    request = Request(prompt="a fox", frames=5, fps=Fraction(16), width=64, height=48)
    assert Diffusers(folder, tmp_path / "takes", tuning).generate(request).frames == 5


def test_which_files_are_chosen() -> None:
    listed = {
        "_class_name": "X",
        "unet": ["d", "U"],
        "te": ["t", "T"],
        "none": [None, None],
        "../up": ["a", "b"],
    }
    names = [
        "unet/config.json",
        "unet/m.safetensors",
        "unet/m.fp16.safetensors",
        "unet/m.non_ema.safetensors",
        "unet/deep/m.safetensors",
        "te/config.json",
        "te/w.fp16-00001-of-00002.safetensors",
        "te/w.fp16-00002-of-00002.safetensors",
        "te/w.safetensors.index.fp16.json",
        "te/w.bin",
        "none/w.safetensors",
        "../up/w.safetensors",
        "whole.safetensors",
    ]
    assert chosen_files(listed, names) == [
        "model_index.json",
        "te/config.json",
        "te/w.fp16-00001-of-00002.safetensors",
        "te/w.fp16-00002-of-00002.safetensors",
        "te/w.safetensors.index.fp16.json",
        "unet/config.json",
        "unet/m.safetensors",
    ]
    names += ["te/w.safetensors", "te/v-00001-of-00001.safetensors", "te/v.safetensors.index.json"]
    assert [name for name in chosen_files(listed, names) if name.startswith("te")] == [
        "te/config.json",
        "te/v-00001-of-00001.safetensors",
        "te/v.safetensors.index.json",
    ]


def test_a_licence_that_was_not_accepted_is_explained_and_nothing_is_asked(hub: Hub) -> None:
    with pytest.raises(
        GenerationError, match=r"CC-BY-NC-4\.0.*non-commercial.*--accept-licence modelscope-1"
    ):
        plan_download("modelscope-1.7b")
    assert hub.asked == []
    with pytest.raises(GenerationError, match="could not be fetched"):
        plan_download("modelscope-1.7b", {"modelscope-1.7b"})  # this hub has none
    assert hub.asked != []


def test_too_small_a_disk_is_said(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    download = plan_download(NAME)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=download.size))
    with pytest.raises(GenerationError, match=r"needs .* GB more.*are free at.*MONTAGE_MODELS"):
        pull(download)
    assert hub.fetched() == [("model_index.json", "")]


def test_a_place_that_cannot_be_written_is_said(hub: Hub, models: Path) -> None:
    models.write_text("a file in the way")
    with pytest.raises(GenerationError, match=rf"cannot be written to {models}.*MONTAGE_MODELS"):
        pull(plan_download(NAME))


def test_terms_that_were_not_accepted_at_the_hub_are_said(hub: Hub) -> None:
    hub.gated = True
    with pytest.raises(GenerationError, match="accept them there, put your token into HF_TOKEN"):
        plan_download(NAME)


def test_a_lora_is_fetched_flat(hub: Hub, tmp_path: Path) -> None:
    lora = LORAS[LORA]
    made = save_tiny_lora(tmp_path / "lora")
    root = tmp_path / "loras"
    for seed, file in enumerate(lora.files):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(made.read_bytes() + b" " * seed)
    (root / "other.safetensors").write_bytes(b"x")
    hub.repositories[lora.repository] = root
    assert not is_here(LORA)
    pull(plan_download(LORA))
    assert is_here(LORA)
    assert [place.read_bytes() for place in lora.places] == [
        (root / file).read_bytes() for file in lora.files
    ]
    assert not (folder_of(LORA) / "other.safetensors").exists()
    lora.places[1].unlink()
    assert not is_here(LORA)


def test_the_command_says_the_size_first(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", NAME]) == 0
    captured = capsys.readouterr()
    lines = (captured.err + captured.out).splitlines()
    said = next(n for n, line in enumerate(lines) if "GB to fetch, under Apache-2.0" in line)
    first = next(n for n, line in enumerate(lines) if line.startswith(f"{WEIGHTS}: "))
    assert said < first
    assert f"{NAME} is here" in captured.out
    assert main(["models", "pull", NAME, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["model"] == NAME
    assert "is here already; checking it" in captured.err


def test_the_command_without_a_network(tmp_path: Path) -> None:
    with Hub({}) as hub:
        nowhere = hub.address  # closed again: nobody listens there
    environment = {
        **os.environ, "HF_ENDPOINT": nowhere, "HF_HOME": str(tmp_path), "MONTAGE_MODELS": str(tmp_path / "m"),
    }  # fmt: skip
    environment.pop("HF_HUB_OFFLINE", None)
    environment.pop("TRANSFORMERS_OFFLINE", None)
    ran = subprocess.run(
        [sys.executable, "-m", "montage", "models", "pull", NAME],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 1, ran
    assert "is there a network? What has come is kept" in ran.stderr
    assert ran.stderr.strip().count("\n") == 0


def test_the_command_asks_for_a_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "hunyuanvideo"]) == 1
    told = capsys.readouterr().err
    assert "not licensed in the European Union" in told
    assert "--accept-licence hunyuanvideo" in told


def test_an_unknown_name_lists_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "wan9"]) == 2
    assert "montage models list shows" in capsys.readouterr().err
    with pytest.raises(GenerationError, match=rf"no video model 'wan9'.*{NAME}.*{LORA}"):
        plan_download("wan9")
