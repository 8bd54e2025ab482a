"""The vectors of a library's windows, and the nearest of them: exactly while that is quick, else by FAISS.

A window's vector is its place in the space of texts, and one more number: its level, so that the product
with a text's query is how far the text is ahead of sentences of all kinds. What is searched is thus what is
ranked. Both files, ``vectors-SPACE.derived`` and ``nearest-SPACE.faiss``, are made anew when they are gone,
damaged or out of date; FAISS (Douze et al., arXiv 2401.08281) proposes, the vectors themselves decide.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.derived import Parts, derive, new_file, read_seal, seal
from index.encoders.base import FloatArray

__all__ = ["EXACT", "QUANTISED", "DamagedVectors", "Rows", "Vectors", "build_ivf", "merged"]

EXACT = 200_000
"""Windows up to which a search compares all of them: a product of 50 queries with 200,000 x 512 takes as
long as FAISS needs for a million, and needs no second file (``python -m benchmarks.search``)."""
QUANTISED = 4_000_000
"""Windows above which FAISS keeps product codes instead of one byte a number, to stay within memory."""
GATHERED = 20_000
"""Rows of a large library that are compared one by one rather than searched, such as those left by a
filter."""
PROBES = 32
"""Cells of the coarse quantiser that are looked into, of about 2 sqrt(W)."""
TRAINING = 48
"""Vectors a cell that its quantiser is trained with."""
CODES = 64
"""Bytes of a product code."""
BLOCK = 1 << 16
Rows = NDArray[np.int64]


def merged(*rows: Rows) -> Rows:
    """Rows in order, each once: by sorting, which for thousands is far quicker than ``np.union1d``."""
    several = np.sort(np.concatenate(rows))
    return several[np.r_[True, several[1:] != several[:-1]]] if len(several) else several


class DamagedVectors(Exception):
    """Bytes of the vectors file are not those that were written: it is to be made anew."""


class Vectors:
    """(W, D + 1) float32 vectors; the last column is minus what a query's last number is multiplied with."""

    def __init__(
        self,
        folder: Path | None,
        space: str,
        fingerprint: str,
        make: Callable[[], Iterator[FloatArray]],
        *,
        exact: int = EXACT,
        quantised: int = QUANTISED,
    ) -> None:
        """``make`` gives the vectors in blocks of rows; ``folder`` None keeps them in memory."""
        self._exact, self._quantised = exact, quantised
        self._fingerprint = fingerprint
        self._paths = (
            None
            if folder is None
            else (folder / f"vectors-{space}.derived", folder / f"nearest-{space}.faiss")
        )
        arrays = derive(
            self._paths[0] if self._paths else None, fingerprint, lambda: _parts(make), ["vectors"]
        )
        self._vectors: FloatArray = arrays["vectors"]
        self._sums: NDArray[np.uint32] = arrays["sums"]
        self.centre: FloatArray = arrays["centre"]
        """(D,) the mean of the vectors, without levels."""
        self._index: Any = None
        self._checked = False

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def exact(self) -> bool:
        """Whether there are so few that all are compared."""
        return len(self) <= self._exact

    def forget(self) -> None:
        """Remove the files, so that they are made anew."""
        for path in self._paths or ():
            path.unlink(missing_ok=True)

    def prepare(self) -> None:
        """Make the file that FAISS searches, if one is needed."""
        if not self.exact:
            self._opened()

    def take(self, rows: Rows | None = None) -> FloatArray:
        """(N, D + 1) the vectors of these rows, or of all, checked.

        Raises:
            DamagedVectors: if they are not what was written.
        """
        if rows is None:
            if not self._checked:
                for start in range(0, len(self), BLOCK):
                    self._check(self._vectors[start : start + BLOCK], self._sums[start : start + BLOCK])
                self._checked = True
            return self._vectors
        found = np.asarray(self._vectors[rows])
        self._check(found, self._sums[rows])
        return found

    def _check(self, found: FloatArray, sums: NDArray[np.uint32]) -> None:
        if not np.array_equal(_row_sums(found), sums):
            raise DamagedVectors

    def near(
        self, queries: FloatArray, count: int, keep: NDArray[np.bool_] | None = None
    ) -> list[Rows | None]:
        """For each query the rows worth comparing: the ``count`` nearest, or all (None) where that is quick.

        ``keep`` (W,) says which rows are asked for; all, when None. Rows are sorted.
        """
        if self.exact:
            return [None if keep is None else np.flatnonzero(keep)] * len(queries)
        if keep is not None:
            kept = np.flatnonzero(keep)
            if len(kept) <= max(GATHERED, count):
                return [kept] * len(queries)
        return self._propose(queries, count, keep)

    def _propose(self, queries: FloatArray, count: int, keep: NDArray[np.bool_] | None) -> list[Rows | None]:
        faiss = _faiss()
        index = self._opened()
        wanted = _wide(queries, index.d)
        cells = faiss.extract_index_ivf(index).nlist
        probes = min(cells, PROBES)
        selector = None
        if keep is not None:
            bits = np.packbits(keep, bitorder="little")
            selector = faiss.IDSelectorBitmap(bits)
            share = np.count_nonzero(keep) / len(self)
            probes = min(cells, round(PROBES / max(share, PROBES / cells)))
        parameters = faiss.SearchParametersIVF(nprobe=probes, sel=selector)
        _, found = index.search(wanted, min(count, len(self)), params=parameters)
        return [merged(row[(row >= 0) & (row < len(self))]) for row in found]

    def _opened(self) -> Any:
        if self._index is None:
            if self._paths is None:
                self._index = build_ivf(self._vectors, self._quantised)
            else:
                self._index = self._read_faiss(self._paths[1]) or self._write_faiss(self._paths[1])
        return self._index

    def _read_faiss(self, path: Path) -> Any:
        """The FAISS file, its lists mapped into memory; None if it is not there or cannot be believed.

        What says where things lie is checked. The codes in the lists are not: a wrong one costs a proposal,
        never a wrong answer.
        """
        facts = read_seal(path, self._fingerprint)
        if facts is None:
            return None
        try:
            with open(path, "rb") as file:
                if zlib.crc32(file.read(facts["head"])) != facts["crc"]:
                    return None
            faiss = _faiss()
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
        except (OSError, RuntimeError):
            return None
        return index if index.ntotal == len(self) else None

    def _write_faiss(self, path: Path) -> Any:
        index = build_ivf(self._vectors, self._quantised)
        with contextlib.suppress(OSError, RuntimeError):
            faiss = _faiss()
            with new_file(path) as part:
                faiss.write_index(index, str(part))
                lists = len(self) * (faiss.extract_index_ivf(index).code_size + 8)
                with open(part, "r+b") as file:
                    head = os.path.getsize(part) - lists
                    facts = {"head": head, "crc": zlib.crc32(file.read(head))}
                    seal(file, {"fingerprint": self._fingerprint, **facts})
            return self._read_faiss(path) or index
        return index  # a folder that cannot be written: made again next time


def _faiss() -> Any:
    return importlib.import_module("faiss")


def _parts(make: Callable[[], Iterator[FloatArray]]) -> Parts:
    sums: list[NDArray[np.uint32]] = []
    total: list[NDArray[np.float64]] = []
    count = 0

    def blocks() -> Iterator[FloatArray]:
        nonlocal count
        for block in make():
            sums.append(_row_sums(block))
            total.append(block[:, :-1].sum(axis=0, dtype=np.float64))
            count += len(block)
            yield block

    def after() -> Iterator[NDArray[np.uint32]]:
        yield np.concatenate(sums) if sums else np.zeros(0, np.uint32)

    def mean() -> Iterator[FloatArray]:
        yield (
            np.asarray(np.sum(total, axis=0) / max(1, count), np.float32)
            if total
            else np.zeros(0, np.float32)
        )

    return {"vectors": blocks(), "sums": after(), "centre": mean()}


def _row_sums(vectors: FloatArray) -> NDArray[np.uint32]:
    """(N,) the exclusive or of each row's words: any one damaged word changes it."""
    words = np.ascontiguousarray(vectors).view(np.uint32)
    return np.asarray(np.bitwise_xor.reduce(words.reshape(len(vectors), -1), axis=1), np.uint32)


def build_ivf(vectors: FloatArray, quantised: int = QUANTISED) -> Any:
    """A FAISS index of (W, D + 1) vectors by inner product: cells found through a graph, one byte a number,
    or product codes above ``quantised`` vectors. The vectors are read in blocks, never all at once."""
    faiss = _faiss()
    columns = vectors.shape[1]
    cells = min(len(vectors), 2 ** round(np.log2(2 * np.sqrt(len(vectors)))))
    coarse = f"IVF{cells}_HNSW32" if cells >= 1024 else f"IVF{cells}"
    codes = f"PQ{min(CODES, columns)}" if len(vectors) > quantised else "SQ8"
    if codes != "SQ8":
        columns = -(-columns // min(CODES, columns)) * min(CODES, columns)
    index = faiss.index_factory(columns, f"{coarse},{codes}", faiss.METRIC_INNER_PRODUCT)
    inner = faiss.extract_index_ivf(index)
    inner.cp.niter, inner.cp.min_points_per_centroid, inner.cp.max_points_per_centroid = 8, 1, TRAINING
    if codes != "SQ8":
        trained = faiss.downcast_index(inner).pq.cp
        trained.niter, trained.min_points_per_centroid = 8, 1
    step = max(1, len(vectors) // (cells * TRAINING))
    index.train(_wide(vectors[::step], columns))
    for start in range(0, len(vectors), BLOCK):
        index.add(_wide(vectors[start : start + BLOCK], columns))
    return index


def _wide(vectors: FloatArray, columns: int) -> FloatArray:
    """Vectors in as many columns as the index has. Zeros are spread, one a piece of the product code at most:
    k-means does not come to an end with pieces that are the same everywhere."""
    own = vectors.shape[1]
    out = np.zeros((len(vectors), columns), np.float32)
    if own == columns:
        places = np.arange(own)
    else:
        pieces = np.array_split(np.arange(own), CODES)
        places = np.concatenate(
            [piece - piece[0] + number * (columns // CODES) for number, piece in enumerate(pieces)]
        )
    out[:, places] = vectors
    return out
