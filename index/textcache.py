"""Vectors of texts kept beside the index, so that a sentence goes through a text model once."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from index.encoders.base import FloatArray
from index.encoders.tokens import valid_text

__all__ = ["TextCache"]

WAIT = 30.0
"""Seconds to wait for another process that is writing."""


class TextCache:
    """A table from (model, language, text) to vector, in ``texts.sqlite``.

    The file is derived: a damaged one is made anew, and where none can be written (footage on read-only
    media) the texts are kept in memory. Several processes may use one file at a time.
    """

    def __init__(self, folder: Path | None) -> None:
        """``folder`` is where the file lies; None keeps everything in memory."""
        self._path = folder / "texts.sqlite" if folder is not None else None
        self._memory: dict[tuple[str, str, str], FloatArray] = {}

    def vectors(
        self,
        key: str,
        language: str,
        texts: Sequence[str],
        encode: Callable[[list[str]], FloatArray],
    ) -> FloatArray:
        """(M, D) float32 vectors of ``texts``; ``encode`` is called once with those that are new, if any.

        ``key`` names the model: vectors of one key never answer for another.
        """
        texts = [valid_text(text) for text in texts]  # what was no text at a prompt, no database takes
        wanted = list(dict.fromkeys(texts))
        known = {
            text: self._memory[key, language, text]
            for text in wanted
            if (key, language, text) in self._memory
        }
        known |= self._read(key, language, [text for text in wanted if text not in known])
        new = [text for text in wanted if text not in known]
        if new:
            made = np.ascontiguousarray(encode(new), np.float32)
            if made.ndim != 2 or len(made) != len(new):
                raise ValueError(f"{len(new)} texts gave vectors of shape {made.shape}")
            fresh = dict(zip(new, made, strict=True))
            self._write(key, language, fresh)
            known |= fresh
        for text in wanted:
            self._memory[key, language, text] = known[text]
        return np.stack([known[text] for text in texts]) if texts else np.empty((0, 0), np.float32)

    def _open(self) -> sqlite3.Connection:
        assert self._path is not None
        connection = sqlite3.connect(self._path, timeout=WAIT, isolation_level=None)
        connection.execute("PRAGMA synchronous=OFF")  # derived: a crash may cost the file, never the index
        connection.execute(
            "CREATE TABLE IF NOT EXISTS texts (model TEXT, language TEXT, text TEXT, vector BLOB NOT NULL,"
            " PRIMARY KEY (model, language, text)) WITHOUT ROWID"
        )
        return connection

    def _read(self, key: str, language: str, texts: Sequence[str]) -> dict[str, FloatArray]:
        if self._path is None or not texts:
            return {}
        found: dict[str, FloatArray] = {}
        try:
            with contextlib.closing(self._open()) as connection:
                for text in texts:
                    row = connection.execute(
                        "SELECT vector FROM texts WHERE model = ? AND language = ? AND text = ?",
                        (key, language, text),
                    ).fetchone()
                    if row is not None:
                        found[text] = np.frombuffer(row[0], np.float32)
        except sqlite3.OperationalError:
            return {}  # read-only, busy or out of space: the model will do
        except (sqlite3.DatabaseError, ValueError):
            self._discard()
            return {}
        if len({len(vector) for vector in found.values()}) > 1:
            self._discard()
            return {}
        return found

    def _write(self, key: str, language: str, fresh: dict[str, FloatArray]) -> None:
        if self._path is None:
            return
        rows = [(key, language, text, vector.tobytes()) for text, vector in fresh.items()]
        try:
            with contextlib.closing(self._open()) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?)", rows)
                connection.execute("COMMIT")
        except sqlite3.OperationalError:
            return  # kept in memory alone
        except sqlite3.DatabaseError:
            self._discard()

    def _discard(self) -> None:
        assert self._path is not None
        for suffix in ("", "-journal", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self._path.with_name(self._path.name + suffix).unlink()
