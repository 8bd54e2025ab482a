"""What lies beside footage: captions, keywords, transcripts, credits.

``NAME.txt`` and ``NAME.credit.txt``, subtitles (``.srt``, ``.vtt``, also ``NAME.en.srt``), XMP sidecars
(ISO 16684-1) and a manifest in the folder or above it (``.csv`` or ``.tsv``: WebVid's columns, or any with a
column of file names). ``NAME`` is the file's name with its last suffix or without. They are found by listing
each folder once, and read again only when one of them was added, changed or removed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from index.encodings import decoded
from index.manifests import Manifest, read_manifest
from index.records import Passage
from index.subtitles import read_subtitles
from index.xmp import read_xmp

__all__ = ["Beside", "Sidecars", "read_beside"]

KINDS = (".txt", ".srt", ".vtt", ".xmp")
MANIFESTS = (".csv", ".tsv")
MOST_BYTES = {".txt": 1 << 20, ".srt": 1 << 24, ".vtt": 1 << 24, ".xmp": 1 << 22}
"""Bytes that are read of a file of each kind; text beyond that is left, an XMP file that large refused."""
MOST_LETTERS = 100_000
PIECE = 300
"""Letters that a caption is cut into, at the end of a line or sentence: as many as a text model takes."""
MOST_PIECES = 50


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside one file."""

    words: str = ""
    """Captions and keywords, a line each."""
    credit: str = ""
    licence: str = ""
    passages: tuple[Passage, ...] = ()
    """Captions, and what is said when."""
    note: str = ""
    """What could not be read, and why."""


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    size: int
    mtime: int


_Listing = tuple[dict[str, list[_File]], list[_File]]
_NOTHING: _Listing = ({}, [])


class Sidecars:
    """The files beside the footage of one folder, as they lie there now."""

    def __init__(self, root: Path | str, paths: Iterable[str]) -> None:
        """``paths`` are the footage, relative to ``root``, with ``/``."""
        self._root = os.fspath(root)
        self._paths = tuple(paths)
        self._folders: dict[str, _Listing] = {}
        self._manifests: dict[str, Manifest] = {}
        for path in self._paths:
            for folder in _upwards(path):
                if folder not in self._folders:
                    self._folders[folder] = _listed(self._root, folder)

    def state(self, path: str) -> str:
        """Which files stand beside this one and when they were changed: 16 hex digits, empty for none."""
        files = [*self._own(path), *self._lists(path)]
        if not files:
            return ""
        text = "\n".join(f"{file.path} {file.size} {file.mtime}" for file in files)
        return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]

    def read(self, path: str) -> Beside:
        """What stands beside this file. What cannot be read is told in ``note``."""
        words: list[str] = []
        credits_: list[str] = []
        licences: list[str] = []
        passages: list[Passage] = []
        notes: list[str] = []
        for file in self._own(path):
            try:
                self._take(file, words, credits_, licences, passages)
            except (OSError, ValueError, ArithmeticError, RecursionError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                notes.append(f"{os.path.basename(file.path)} beside it cannot be read ({reason})")
        for file in self._lists(path):
            found = self._manifest(file)
            if found.problem:
                notes.append(f"{os.path.basename(file.path)} cannot be read whole ({found.problem})")
            entry = found.entry(os.path.relpath(path, os.path.dirname(file.path) or "."))
            if entry is not None:
                words += [*entry.captions, *entry.keywords]
                passages += [Passage(piece) for text in entry.captions for piece in _pieces(text)]
                credits_.append(entry.credit)
                licences.append(entry.licence)
        credit = "\n".join(dict.fromkeys(line for line in credits_ if line))
        licences.append(_licence_line(credit))
        return Beside(
            "\n".join(dict.fromkeys(line for line in words if line))[:MOST_LETTERS],
            credit,
            next((licence for licence in licences if licence), ""),
            tuple(dict.fromkeys(passages)),
            "; ".join(dict.fromkeys(notes)),
        )

    def _take(
        self, file: _File, words: list[str], credits_: list[str], licences: list[str], said: list[Passage]
    ) -> None:
        suffix = os.path.splitext(file.path)[1].lower()
        most = MOST_BYTES[suffix]
        with open(os.path.join(self._root, file.path), "rb") as opened:
            data = opened.read(most)
        if suffix == ".txt":
            text = decoded(data)[:MOST_LETTERS].strip()
            if file.path.lower().endswith(".credit.txt"):
                credits_.append(text)
            elif text:
                words.append(text)
                said += [Passage(piece) for piece in _pieces(text)]
        elif suffix == ".xmp":
            if file.size > most:
                raise ValueError(f"it is larger than {most >> 20} MB")
            found = read_xmp(data)
            words += [*found.captions, *found.keywords]
            credits_.append(found.credit)
            licences.append(found.licence)
            said += [Passage(piece) for text in found.captions for piece in _pieces(text)]
        else:
            said += read_subtitles(decoded(data))

    def _own(self, path: str) -> list[_File]:
        folder, _, name = path.rpartition("/")
        beside = self._folders.get(folder, _NOTHING)[0]
        keys = dict.fromkeys((os.path.splitext(name)[0].casefold(), name.casefold()))
        found = {file.path: file for key in keys for file in beside.get(key, ())}
        return list(found.values())

    def _lists(self, path: str) -> list[_File]:
        """The manifests that may speak of a file, the nearest first."""
        return [file for folder in _upwards(path) for file in self._folders.get(folder, _NOTHING)[1]]

    def _manifest(self, file: _File) -> Manifest:
        if file.path not in self._manifests:
            folder = os.path.dirname(file.path)
            within = [
                os.path.relpath(path, folder or ".")
                for path in self._paths
                if not folder or path.startswith(f"{folder}/")
            ]
            self._manifests[file.path] = read_manifest(os.path.join(self._root, file.path), within)
        return self._manifests[file.path]


def read_beside(path: Path | str) -> Beside:
    """What stands beside one file."""
    folder, name = os.path.split(os.path.abspath(path))
    return Sidecars(folder, [name]).read(name)


def _upwards(path: str) -> Iterator[str]:
    folder = path.rpartition("/")[0]
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
    yield ""


def _listed(root: str, folder: str) -> _Listing:
    """(sidecars of a folder by the name that they stand beside, its manifests)."""
    beside: dict[str, list[_File]] = {}
    manifests: list[_File] = []
    try:
        with os.scandir(os.path.join(root, folder)) as entries:
            names = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError:
        return beside, manifests
    for entry in names:
        stem, suffix = os.path.splitext(entry.name)
        suffix = suffix.lower()
        if suffix not in KINDS + MANIFESTS or entry.name.startswith("."):
            continue
        try:
            if not entry.is_file() or (entry.is_symlink() and not _within(root, entry.path)):
                continue
            stat = entry.stat()
        except OSError:
            continue
        file = _File(f"{folder}/{entry.name}" if folder else entry.name, stat.st_size, stat.st_mtime_ns)
        if suffix in MANIFESTS:
            manifests.append(file)
            continue
        stem = stem.casefold()
        keys = [stem.removesuffix(".credit") if suffix == ".txt" else stem]
        whole, dot, language = stem.rpartition(".")
        if suffix in (".srt", ".vtt") and dot and 2 <= len(language.split("-")[0]) <= 3:
            keys.append(whole)
        for key in keys:
            beside.setdefault(key, []).append(file)
    return beside, manifests


def _within(root: str, path: str) -> bool:
    """Whether a link leads to a file in the footage folder: texts of other places are nobody's captions."""
    return os.path.realpath(path).startswith(os.path.join(os.path.realpath(root), ""))


def _pieces(text: str) -> list[str]:
    """A caption in pieces that a text model takes in at once."""
    out: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if sum(map(len, words)) < 2 or out[-1:] == [" ".join(words)]:
            continue
        rest = " ".join(words)
        while len(rest) > PIECE:
            cut = max(rest.rfind(mark, PIECE // 3, PIECE) for mark in (". ", "。", "! ", "? ", "; "))
            cut = cut + 1 if cut > 0 else max(rest.rfind(" ", PIECE // 3, PIECE), 0) or PIECE
            out.append(rest[:cut].strip())
            rest = rest[cut:].strip()
        if rest:
            out.append(rest)
    return out[:MOST_PIECES]


def _licence_line(credit: str) -> str:
    for line in credit.splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip().lower() in ("licence", "license"):
            return value.strip()
    return ""
