"""SQLite with errors that say which file, what is wrong with it, and what to do."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from index.base import StorageError

__all__ = ["Connection", "explain", "nobody_writes"]

Result = TypeVar("Result")


def explain(file: Path, error: sqlite3.Error) -> StorageError:
    """What went wrong with a library's file, in words."""
    if type(error) is sqlite3.DatabaseError:  # damaged, or no database: others have classes of their own
        return StorageError(f"{str(file)!r} cannot be read as a library ({error}): delete it and index again")
    return StorageError(
        f"the index {str(file)!r} cannot be used ({error}): what it held is kept; see that its disk has room "
        "and may be written to, or choose another place with --store DIR, then run it again"
    )


def nobody_writes(file: Path) -> bool:
    """Whether a library's file lies where it cannot be written, with nothing in its log that it lacks.

    Only then may SQLite take it as one that never changes (``immutable``) and leave out locks and the log.
    """
    folder = file.absolute().parent
    try:
        fixed = bool(os.statvfs(folder).f_flag & os.ST_RDONLY) if hasattr(os, "statvfs") else False
        if not fixed and os.access(folder, os.W_OK):
            return False
        log = file.with_name(f"{file.name}-wal")
        return not log.exists() or log.stat().st_size == 0
    except OSError:
        return False


class Connection(sqlite3.Connection):
    """A connection whose errors are ``StorageError``s once ``file`` is set."""

    file: Path | None = None

    def cursor(self, factory: Any = None) -> Any:
        """A cursor whose errors are ``StorageError``s."""
        return super().cursor(_Cursor if factory is None else factory)

    def execute(self, *arguments: Any) -> Any:
        """As ``sqlite3.Connection.execute``, which would take a plain cursor."""
        return self.cursor().execute(*arguments)

    def executemany(self, *arguments: Any) -> Any:
        """As ``sqlite3.Connection.executemany``."""
        return self.cursor().executemany(*arguments)


class _Cursor(sqlite3.Cursor):
    def execute(self, *arguments: Any) -> Any:
        return self._explained(super().execute, *arguments)

    def executemany(self, *arguments: Any) -> Any:
        return self._explained(super().executemany, *arguments)

    def fetchone(self) -> Any:
        return self._explained(super().fetchone)

    def fetchall(self) -> Any:
        return self._explained(super().fetchall)

    def __next__(self) -> Any:
        return self._explained(super().__next__)

    def _explained(self, call: Callable[..., Result], *arguments: Any) -> Result:
        try:
            return call(*arguments)
        except sqlite3.DatabaseError as error:
            file = getattr(self.connection, "file", None)
            if file is None:
                raise
            raise explain(file, error) from error
