"""Weights that can be fetched: what there is, what is here, and fetching it.

``pull_model`` is the only code of the project that uses the network.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from index.base import FootageError, file_sha256, model_folder

__all__ = [
    "MODELS",
    "Model",
    "ModelStatus",
    "list_models",
    "model_size",
    "pull_model",
    "weights_sha256",
]

_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True, slots=True)
class Model:
    """An open_clip model that can be fetched."""

    name: str
    """Such as ``clip:fast``."""
    architecture: str
    """Name in open_clip's registry."""
    repository: str
    """Repository id on the Hugging Face hub."""
    licence: str
    size: int
    """Bytes to be fetched, about."""
    languages: str
    file: str = "open_clip_model.safetensors"
    extras: tuple[str, ...] = ()
    """Other files that it needs: its tokenizer."""


MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model(
            "clip:fast", "ViT-B-32", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "MIT", 605_000_000, "English"
        ),
        Model(
            "clip:multilingual", "ViT-B-32-SigLIP2-256", "timm/ViT-B-32-SigLIP2-256", "Apache-2.0",
            1_510_000_000, "English, Chinese, Japanese and 100 more", extras=_TOKENIZER,
        ),
        Model(
            "clip:best", "ViT-gopt-16-SigLIP2-384", "timm/ViT-gopt-16-SigLIP2-384", "Apache-2.0",
            7_500_000_000, "English, Chinese, Japanese and 100 more", extras=_TOKENIZER,
        ),
    )
}  # fmt: skip
"""By name, the lightest first."""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A model and whether its weights are on this machine."""

    model: Model
    path: Path
    """Where its weights are, or would be."""
    present: bool


def _weights(model: Model) -> Path:
    return model_folder() / model.name.replace(":", "-") / model.file


def _find(name: str) -> Model:
    if name not in MODELS:
        raise FootageError(
            f"there is no model {name!r}: choose one of {', '.join(MODELS)}, or a video model that montage "
            "models list shows"
        )
    return MODELS[name]


def list_models() -> tuple[ModelStatus, ...]:
    """All models that can be fetched, and which are here."""
    found = []
    for model in MODELS.values():
        path = _weights(model)
        present = path.is_file() and all((path.parent / extra).is_file() for extra in model.extras)
        found.append(ModelStatus(model, path, present))
    return tuple(found)


def model_size(name: str) -> int:
    """Bytes that ``pull_model`` would fetch, about; 0 if the model is here.

    Raises:
        FootageError: if there is no such model.
    """
    model = _find(name)
    return 0 if any(status.present and status.model == model for status in list_models()) else model.size


def weights_sha256(path: Path) -> str:
    """SHA-256 of a weights file, remembered by its size and time of change: gigabytes are read once."""
    stat = path.stat()
    stamp = f"{stat.st_size} {stat.st_mtime_ns}"
    key = os.path.abspath(path)
    notes = model_folder().parent / "hashes.json"
    try:
        read = json.loads(notes.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        read = {}
    known = read if isinstance(read, dict) else {}
    noted = known.get(key)
    if isinstance(noted, list) and len(noted) == 2 and noted[0] == stamp:
        return str(noted[1])
    digest = file_sha256(path)
    known = {**known, key: [stamp, digest]}
    try:
        notes.parent.mkdir(parents=True, exist_ok=True)
        part = notes.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(known, indent=1, sort_keys=True), encoding="utf-8")
        os.replace(part, notes)
    except OSError:
        return digest  # no place to remember it: read again next time
    return digest


def pull_model(name: str, progress: Callable[[str, int], None] | None = None) -> Path:
    """Fetch a model's weights from the Hugging Face hub, or go on where a fetch was broken off.

    Every file is checked against the SHA-256 that the hub publishes for it. ``progress`` is told each
    file's name and bytes before it is fetched. Returns the place of the weights.

    Raises:
        FootageError: if there is no such model, the hub cannot be reached, or a file arrives damaged.
    """
    model = _find(name)
    target = _weights(model)
    try:
        from huggingface_hub import HfApi, hf_hub_download

        info = HfApi().model_info(model.repository, files_metadata=True)
        published = {one.rfilename: one for one in info.siblings or ()}
        target.parent.mkdir(parents=True, exist_ok=True)
        for file in (*model.extras, model.file):
            meta = published.get(file)
            if meta is None:
                raise FootageError(f"{model.repository} holds no {file}: a newer release may know its place")
            if progress is not None:
                progress(file, int(meta.size or 0))
            local = Path(hf_hub_download(model.repository, file, revision=info.sha, local_dir=target.parent))
            digest = meta.lfs.sha256 if meta.lfs is not None else None
            if digest is not None and file_sha256(local) != digest:
                local.unlink(missing_ok=True)
                raise FootageError(
                    f"{file} of {name} arrived damaged and was removed: run montage models pull {name}"
                )
    except FootageError:
        raise
    except Exception as error:  # the hub's client raises its own, httpx's and OS errors alike
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise FootageError(
            f"{name} could not be fetched from {model.repository}: is there a network? What has come "
            f"is kept; run montage models pull {name} again ({reason})"
        ) from error
    shutil.rmtree(target.parent / ".cache", ignore_errors=True)
    return target
