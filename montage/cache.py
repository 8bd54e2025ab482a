"""A folder of rendered pieces, each named by the hash of all that shapes it.

A file is written under a temporary name in the same folder and renamed when it is whole: a name that is
not temporary is always a finished file, whatever was killed and when.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from montage.values import MontageError

__all__ = ["NOTE", "Cache", "key_of", "remove_stale"]

LIMIT = 5 * 2**30
"""Bytes that the folder may hold by default."""
STALE_SECONDS = 3600
"""Temporary files older than this belong to a process that was killed."""
NOTE = ".note"
"""Suffix of what is remembered about files elsewhere: it takes no room, and stays."""
_TEMPORARY = ".tmp-"
_numbers = itertools.count()


def key_of(parts: Mapping[str, object]) -> str:
    """SHA-256 (64 hex digits) of named values; equal values give equal keys on every machine."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def remove_stale(folder: Path, prefix: str) -> None:
    """Remove temporary files that a killed process left."""
    for path in folder.iterdir():
        if path.name.startswith(prefix):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    path.unlink()


class Cache:
    """Rendered pieces on disk, the least recently used removed first.

    Raises:
        MontageError: if the folder cannot be made.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.folder = folder
        self.limit = limit
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MontageError(
                f"cannot make the cache folder {folder}: {error.strerror}; choose another"
            ) from error

    def path(self, key: str, suffix: str) -> Path:
        """Where the piece with this key lies or would lie."""
        return self.folder / f"{key}{suffix}"

    def find(self, key: str, suffix: str) -> Path | None:
        """The piece, marked as just used; None if it is not there."""
        path = self.path(key, suffix)
        try:
            # The time of reading marks the use; that of writing stays, by which a change is noticed.
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        except OSError:
            return None
        return path

    def temporary(self, suffix: str) -> Path:
        """A new name in the folder for a file that is being written."""
        return self.folder / f"{_TEMPORARY}{os.getpid()}-{next(_numbers)}{suffix}"

    def keep(self, temporary: Path, key: str, suffix: str) -> Path:
        """Give a finished file its final name."""
        path = self.path(key, suffix)
        os.replace(temporary, path)
        return path

    def prune(self, keep: Iterable[str]) -> int:
        """Remove what was used longest ago until the folder is within its limit; returns bytes removed.

        Args:
            keep: Keys that stay whatever their age: those of the film just made.
        """
        kept = set(keep)
        remove_stale(self.folder, _TEMPORARY)
        found: list[tuple[float, int, Path]] = []
        for path in self.folder.iterdir():
            with suppress(OSError):
                status = path.stat()
                if path.suffix != NOTE and not path.name.startswith(_TEMPORARY) and path.is_file():
                    found.append((status.st_atime, status.st_size, path))
        total = sum(size for _, size, _ in found)
        removed = 0
        for _, size, path in sorted(found, key=lambda item: item[0]):
            if total - removed <= self.limit:
                break
            if path.name.split(".")[0] not in kept:
                with suppress(OSError):
                    path.unlink()
                    removed += size
        return removed
