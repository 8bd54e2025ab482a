"""What lies in a footage folder."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from index.base import FootageError
from index.probe import VIDEO_SUFFIXES
from index.values import Problem

__all__ = ["Found", "Scan", "scan_folder"]


@dataclass(frozen=True, slots=True)
class Found:
    """A file with the name of a video."""

    path: str
    """Relative to the folder, with ``/``."""
    size: int
    mtime: int
    """Nanoseconds."""
    inode: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What a walk through a folder met."""

    files: tuple[Found, ...]
    """Sorted by path."""
    problems: tuple[Problem, ...]
    """Folders and files that could not be looked at."""

    def hides(self, path: str) -> bool:
        """Whether ``path`` lies in a folder that could not be looked at, so that it may still be there."""
        return any(path == p.path or path.startswith(p.path + "/") for p in self.problems)


def scan_folder(folder: Path | str) -> Scan:
    """Walk ``folder`` for video files; hidden files and folders are left alone, links are followed once.

    Raises:
        FootageError: if the folder is missing, is none, or cannot be looked at.
    """
    root = os.fspath(folder)
    try:
        os.scandir(root).close()
    except FileNotFoundError as error:
        raise FootageError(f"there is no folder {root!r}") from error
    except NotADirectoryError as error:
        raise FootageError(f"{root!r} is a file: name the folder that holds the footage") from error
    except OSError as error:
        raise FootageError(f"the folder {root!r} cannot be looked at ({error.strerror})") from error
    files: list[Found] = []
    problems: list[Problem] = []
    _walk(root, files, problems)
    key = lambda item: os.fsencode(item.path)  # noqa: E731
    return Scan(tuple(sorted(files, key=key)), tuple(sorted(problems, key=key)))


def _walk(root: str, files: list[Found], problems: list[Problem]) -> None:
    seen: set[tuple[int, int]] = set()
    waiting = [""]  # no recursion: folders may be nested deeper than Python's stack
    while waiting:
        folders = _look(root, waiting.pop(), files, problems, seen)
        # Real folders first, so that a link to a folder inside the tree is the copy that is left out.
        waiting += [path for _, path in sorted(folders, reverse=True)]


def _look(
    root: str, inside: str, files: list[Found], problems: list[Problem], seen: set[tuple[int, int]]
) -> list[tuple[bool, str]]:
    """Look at one folder; the folders in it, and whether each is a link."""
    here = os.path.join(root, inside) if inside else root
    try:
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:
            return []
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(here) as entries:
            names = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        problems.append(Problem(inside, f"the folder cannot be looked at ({error.strerror})"))
        return []
    folders = []
    for entry in names:
        if entry.name.startswith("."):
            continue
        path = f"{inside}/{entry.name}" if inside else entry.name
        video = os.path.splitext(entry.name)[1].lower() in VIDEO_SUFFIXES
        try:
            if entry.is_dir():
                folders.append((entry.is_symlink(), path))
            elif video:
                status = entry.stat()
                if stat.S_ISREG(status.st_mode):
                    files.append(Found(path, status.st_size, status.st_mtime_ns, status.st_ino))
                else:  # to open it might wait for ever
                    problems.append(Problem(path, "it is no file but a pipe, socket or device"))
        except OSError as error:
            if video:
                problems.append(Problem(path, f"it cannot be looked at ({error.strerror})"))
    return folders
