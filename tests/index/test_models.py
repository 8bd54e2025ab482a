"""Weights that can be fetched, and what is said when they cannot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from index.base import FootageError
from index.encoders import models
from index.encoders.clip import read_architecture
from index.encoders.registry import load_encoder, resolve


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MONTAGE_MODELS", str(tmp_path / "cache" / "models"))
    return tmp_path / "cache" / "models"


def put(folder: Path, name: str) -> None:
    status = next(one for one in models.list_models() if one.model.name == name)
    status.path.parent.mkdir(parents=True)
    for file in (status.model.file, *status.model.extras):
        (status.path.parent / file).write_bytes(b"x")


def test_the_table_names_known_architectures_and_free_licences() -> None:
    for model in models.MODELS.values():
        read_architecture(model.architecture)
        assert model.licence in {"MIT", "Apache-2.0"}
        assert model.file.endswith(".safetensors")
        assert models.model_size(model.name) == model.size > 1e8


def test_auto_is_embedded_and_names_the_command_for_more(empty_folder: Path) -> None:
    name, line = resolve("auto")
    assert name == "embedded"
    assert "montage models pull" in line
    assert "\n" not in line
    assert resolve("clip:fast") == ("clip:fast", "")


def test_auto_takes_the_best_that_is_there(empty_folder: Path) -> None:
    put(empty_folder, "clip:fast")
    assert resolve("auto")[0] == "clip:fast"
    put(empty_folder, "clip:multilingual")
    assert resolve("auto")[0] == "clip:multilingual"
    assert models.model_size("clip:multilingual") == 0
    assert [status.present for status in models.list_models()] == [True, True, False]


def test_a_model_without_its_tokenizer_is_not_there(empty_folder: Path) -> None:
    put(empty_folder, "clip:multilingual")
    next(empty_folder.rglob("tokenizer.json")).unlink()
    assert resolve("auto")[0] == "embedded"


def test_missing_weights_name_the_command() -> None:
    with pytest.raises(FootageError, match="montage models pull clip:fast"):
        load_encoder("clip:fast")


def test_an_unknown_model_names_the_known() -> None:
    with pytest.raises(FootageError, match="clip:multilingual"):
        models.pull_model("clip:none")
    with pytest.raises(FootageError, match="clip:multilingual"):
        models.model_size("clip:none")


def test_pulling_without_a_network_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(FootageError, match="is there a network"):
        models.pull_model("clip:fast")


def test_hashes_are_remembered_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"one")
    first = models.weights_sha256(path)
    stat = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert models.weights_sha256(path) == first
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    second = models.weights_sha256(path)
    assert second != first
    (tmp_path / "cache" / "hashes.json").write_text("[broken")
    assert models.weights_sha256(path) == second
