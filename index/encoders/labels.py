"""The names of the classes, and what such photographs show, in the space of sentences.

``labels.tsv`` names ImageNet's 1000 classes and says in a few words what photographs of each usually
show, people and places included: a classifier has no word for a runner, but it knows running shoes.
``background.txt`` holds sentences of all kinds, English and Chinese, against which a match is weighed.
``vectors.npz`` holds what the two text models make of both, so that a search loads no image network and
needs a text model for new sentences alone; ``python -m index.encoders.labels`` makes it anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.base import FootageError
from index.encoders.base import FloatArray

__all__ = [
    "VECTORS",
    "background",
    "label_captions",
    "label_names",
    "load_vectors",
    "make_vectors",
    "unit",
    "vector_key",
]

FOLDER = Path(__file__).parent
VECTORS = FOLDER / "vectors.npz"
RIDGE = 1.0
"""Regularisation of the linear map from class scores to sentences."""


def unit(vectors: FloatArray) -> FloatArray:
    """Rows scaled to length 1; a row of zeros stays one."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-9), np.float32)


@cache
def _labels() -> tuple[tuple[str, str], ...]:
    rows = (FOLDER / "labels.tsv").read_text(encoding="utf-8").splitlines()
    return tuple((name, shows) for name, shows in (row.split("\t") for row in rows))


@cache
def label_names() -> tuple[str, ...]:
    """The 1000 classes in ImageNet's order, in lower case but for proper names."""
    return tuple(name for name, _ in _labels())


@cache
def label_captions() -> tuple[str, ...]:
    """What a photograph of each class shows, as a caption."""
    return tuple(f"a photo of a {name}. {shows}." for name, shows in _labels())


@cache
def background(language: str = "en") -> tuple[str, ...]:
    """Sentences of all kinds: Chinese for ``zh``, otherwise English."""
    rows = (FOLDER / "background.txt").read_text(encoding="utf-8").splitlines()
    column = 1 if language == "zh" else 0
    return tuple(row.split("\t")[column] for row in rows)


def vector_key() -> str:
    """What ``vectors.npz`` is made from: 16 hex digits."""
    from index.encoders.embedded import WEIGHTS_SHA256
    from index.encoders.texts import text_signature

    digest = hashlib.sha256(f"{WEIGHTS_SHA256} {text_signature()} {RIDGE}".encode())
    for name in ("labels.tsv", "background.txt", "glossary.txt"):
        digest.update((FOLDER / name).read_bytes())
    return digest.hexdigest()[:16]


def make_vectors(weights: NDArray[np.float32]) -> dict[str, FloatArray]:
    """Everything that ``vectors.npz`` holds, from the classifier's last layer (1000, 1280).

    For each text model: ``<model>_labels``, unit vectors of the captions less their mean, (1000, 384);
    ``<model>_map``, a ridge regression from class scores to those vectors, trained on the classifier's
    own class weights, (1000, 384); ``<model>_<language>``, unit vectors of the background, (B, 384).
    """
    from index.encoders.texts import encode_e5, encode_minilm, gloss

    directions = unit(weights - weights.mean(axis=0))
    kernel = directions @ directions.T + RIDGE * np.eye(len(directions), dtype=np.float32)
    out: dict[str, FloatArray] = {}
    for model, labels in (
        ("minilm", encode_minilm(label_captions())),
        ("e5", encode_e5(label_captions(), query=False)),
    ):
        out[f"{model}_labels"] = unit(labels - labels.mean(axis=0))
        out[f"{model}_map"] = np.linalg.solve(kernel, out[f"{model}_labels"])
    out["minilm_en"] = encode_minilm(background("en"))
    out["minilm_zh"] = encode_minilm([gloss(text) or text for text in background("zh")])
    out["e5_en"] = encode_e5(background("en"))
    out["e5_zh"] = encode_e5(background("zh"))
    return out


@cache
def load_vectors() -> Mapping[str, FloatArray]:
    """What ``make_vectors`` made, as float32.

    Raises:
        FootageError: if the file is missing, damaged or made from other labels.
    """
    try:
        with np.load(VECTORS, allow_pickle=False) as file:
            made = {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError) as error:
        raise FootageError(
            f"{VECTORS.name} of the embedded encoder cannot be read: reinstall ({error})"
        ) from error
    if str(made.pop("key", "")) != vector_key():
        raise FootageError(
            f"{VECTORS.name} was made from other labels or models: run python -m index.encoders.labels"
        )
    return {name: np.asarray(array, np.float32) for name, array in made.items()}


def main() -> None:
    """Make ``vectors.npz`` anew."""
    from index.encoders.embedded import EmbeddedEncoder

    made = make_vectors(EmbeddedEncoder().class_weights())
    small: dict[str, Any] = {name: array.astype(np.float16) for name, array in made.items()}
    np.savez_compressed(VECTORS, key=np.array(vector_key()), **small)


if __name__ == "__main__":
    main()
