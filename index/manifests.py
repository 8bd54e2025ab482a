"""Lists of footage with captions: a CSV file with a column of file names, or with WebVid's columns."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from index.encodings import encoding_of
from index.xmp import Described, short_licence

__all__ = ["Manifest", "read_manifest"]

FILES = ("file", "filename", "file_name", "file name", "path", "filepath", "file_path", "video", "video_path",
         "clip")  # fmt: skip
CAPTIONS = ("caption", "captions", "title", "description", "text", "sentence", "name")
KEYWORDS = ("keywords", "keyword", "tags", "subject", "subjects", "labels")
LICENCES = ("licence", "license", "rights")
CREDITS = ("credit", "credits", "author", "creator", "artist", "attribution", "copyright")
WEBVID = frozenset({"videoid", "name"})
"""Columns by which WebVid's lists are known; they are videoid, contentUrl, duration, page_dir, name."""
FIRST = 1 << 16
"""Bytes by which encoding and delimiter are told."""
LONGEST = 1 << 20
"""Letters of the longest field that is read."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one list says of the footage below its folder."""

    entries: Mapping[str, Described] = field(default_factory=dict)
    """By path in lower case."""
    problem: str = ""
    """Why it could not be read to its end, empty if it was."""

    def entry(self, path: str) -> Described | None:
        """What it says of a file, by its path relative to the list's folder."""
        return self.entries.get(_plain(path))


def _plain(path: str) -> str:
    return str(PurePosixPath(path.replace("\\", "/").casefold()))


class _Meant:
    """Which of some files a line means. Cameras give the same names again, so a caption must not stray:
    a line with a folder means a file of that folder, one without may mean a file anywhere if only one is
    called so. The suffix may differ."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._exact: set[str] = set()
        self._loose: dict[str, str | None] = {}
        for path in map(_plain, paths):
            self._exact.add(path)
            whole = PurePosixPath(path)
            for key in {str(whole.with_suffix("")), f"*/{whole.name}", f"*/{whole.stem}"}:
                self._loose[key] = path if self._loose.get(key, path) == path else None

    def path(self, name: str) -> str | None:
        """The path of the file that is meant, None if there is none or more than one."""
        plain = _plain(name)
        whole = PurePosixPath(plain)
        if plain in self._exact or not whole.name:
            return plain if whole.name else None
        keys = [str(whole.with_suffix(""))]
        if whole.name == plain:
            keys += [f"*/{whole.name}", f"*/{whole.stem}"]
        return next((found for key in keys if (found := self._loose.get(key))), None)


def read_manifest(file: str, paths: Iterable[str]) -> Manifest:
    """The lines of a list that speak of any of ``paths`` (relative to its folder).

    It is read line by line: a list of millions is no matter. A CSV file without a column of file names is
    no list of footage, and says nothing.
    """
    meant = _Meant(paths)
    entries: dict[str, Described] = {}
    try:
        for names, described in _lines(file):
            path = next((path for name in names if (path := meant.path(name))), None)
            if path is not None:
                entries.setdefault(path, described)
    except (OSError, csv.Error, ValueError) as error:
        return Manifest(entries, error.strerror or "" if isinstance(error, OSError) else str(error))
    return Manifest(entries)


def _lines(file: str) -> Iterator[tuple[list[str], Described]]:
    with open(file, "rb") as opened:
        first = opened.read(FIRST)
    if b"\0" in first and not first.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError("it is no text")
    encoding = encoding_of(first)
    csv.field_size_limit(LONGEST)
    with open(file, encoding=encoding, errors="replace", newline="") as text:
        head = text.readline(FIRST)
        delimiter = max(",;\t|", key=head.count)
        text.seek(0)
        rows = csv.reader(text, delimiter=delimiter)
        columns = [name.strip().strip("\ufeff").lower() for name in next(rows, [])]
        webvid = set(columns) >= WEBVID
        if not webvid and not set(columns) & set(FILES):
            return
        for row in rows:
            values = {name: value.strip() for name, value in zip(columns, row, strict=False) if value.strip()}
            if webvid:
                identity = values.get("videoid", "")
                names = [os.path.join(values.get("page_dir", ""), identity), identity] if identity else []
            else:
                names = [values[name] for name in FILES if name in values][:1]
            if names:
                yield names, _described(values)


def _described(values: Mapping[str, str]) -> Described:
    keywords = " ".join(values[name] for name in KEYWORDS if name in values)
    pieces = keywords.replace("|", ",").replace(";", ",").split(",")
    return Described(
        captions=tuple(dict.fromkeys(values[name] for name in CAPTIONS if name in values)),
        keywords=tuple(dict.fromkeys(piece.strip() for piece in pieces if piece.strip())),
        credit=next((values[name] for name in CREDITS if name in values), ""),
        licence=short_licence(next((values[name] for name in LICENCES if name in values), "")),
    )
