"""The shots and windows of a library as arrays, so that a search of a million makes no million objects.

Row i of the catalogue is a window; rows are ordered by media id, place of the shot and time, and so stay
where they are when files are renamed. The file ``windows.derived`` is made from the record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.derived import Parts, derive
from index.store import Store
from index.values import CAMERA_MOVES, SHOT_SIZES

__all__ = ["Catalogue", "MediaFacts", "open_catalogue", "open_media_facts"]

_FORM = "1"
"""Changes whenever the arrays do."""
_JOIN = "\0"
_MOVES: dict[str, int] = {name: place for place, name in enumerate(CAMERA_MOVES)}
_SIZES: dict[str, int] = {name: place for place, name in enumerate(SHOT_SIZES)}
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """N shots of M media with W windows."""

    mark: str
    """The record's mark of shots when it was made."""
    media_ids: NDArray[np.bytes_]
    """(M,) sorted."""
    shot_ids: NDArray[np.bytes_]
    """(N,)"""
    media_of_shot: NDArray[np.int32]
    """(N,) place of the shot's media."""
    first: Ints
    """(N + 1,) row of each shot's first window; the last is W."""
    starts: NDArray[np.float64]
    """(W,) start of each window, seconds."""
    ends: NDArray[np.float64]
    """(W,) end of each window, seconds."""
    lengths: NDArray[np.float64]
    """(N,) seconds of each shot."""
    moves: NDArray[np.int8]
    """(N,) place in ``CAMERA_MOVES``."""
    sizes: NDArray[np.int8]
    """(N,) place in ``SHOT_SIZES``, -1 where unknown."""

    def __len__(self) -> int:
        return int(self.first[-1])

    @cached_property
    def shot_of_row(self) -> NDArray[np.int32]:
        """(W,) the shot of each window."""
        return np.repeat(np.arange(len(self.shot_ids), dtype=np.int32), np.diff(self.first))

    @cached_property
    def media_of_row(self) -> NDArray[np.int32]:
        """(W,) the media of each window."""
        return self.media_of_shot[self.shot_of_row]

    @cached_property
    def first_of_media(self) -> Ints:
        """(M + 1,) row of each media's first window; the last is W."""
        edges = np.searchsorted(self.media_of_shot, np.arange(len(self.media_ids) + 1))
        return np.asarray(self.first[edges], np.int64)

    def shot_id(self, shot: int) -> str:
        """The id of a shot by its place."""
        return str(self.shot_ids[shot].decode())

    def place_of(self, shot: str) -> int | None:
        """The place of a shot by its id, None if it is not there."""
        found = np.flatnonzero(self.shot_ids == shot.encode())
        return int(found[0]) if len(found) else None

    def media_id(self, media: int) -> str:
        """The id of a media by its place."""
        return str(self.media_ids[media].decode())

    def rows_of(self, shot: int) -> slice:
        """The rows of a shot's windows."""
        return slice(int(self.first[shot]), int(self.first[shot + 1]))

    def rows_within(self, media: int, start: float, end: float) -> slice:
        """The rows of a media's windows that share time with ``[start, end)``."""
        low, high = int(self.first_of_media[media]), int(self.first_of_media[media + 1])
        begin = low + int(np.searchsorted(self.ends[low:high], start, "right"))
        return slice(begin, low + int(np.searchsorted(self.starts[low:high], end, "left")))


def _seconds(text: str) -> float:
    top, _, bottom = text.partition("/")
    return int(top) / int(bottom) if bottom else float(Fraction(top))


def _ids(names: Sequence[str]) -> NDArray[np.bytes_]:
    return np.array([name.encode() for name in names], dtype=np.bytes_) if names else np.zeros(0, "S1")


def open_catalogue(store: Store, encoder: str, folder: Path | None) -> Catalogue:
    """The catalogue of a library: the file in ``folder``, made where there is none or it is out of date."""
    mark = store.mark("shots")

    def make() -> Parts:
        nonlocal mark
        shots: list[str] = []
        media: list[str] = []
        of_shot: list[int] = []
        counts: list[int] = [0]
        starts: list[float] = []
        ends: list[float] = []
        lengths: list[float] = []
        moves: list[int] = []
        sizes: list[int] = []
        with store.reading():
            mark = store.mark("shots")
            for shot, of, span, windows, move, size in store.shot_facts(encoder):
                if not media or media[-1] != of:
                    media.append(of)
                shots.append(shot)
                of_shot.append(len(media) - 1)
                pieces = json.loads(windows)
                counts.append(len(pieces))
                starts += [_seconds(piece[0]) for piece in pieces]
                ends += [_seconds(piece[1]) for piece in pieces]
                start, end = json.loads(span)
                lengths.append(_seconds(end) - _seconds(start))
                moves.append(_MOVES[move])
                sizes.append(-1 if size is None else _SIZES[size])
        return {
            "media_ids": _ids(media),
            "shot_ids": _ids(shots),
            "media_of_shot": np.array(of_shot, np.int32),
            "first": np.cumsum(counts, dtype=np.int64),
            "starts": np.array(starts, np.float64),
            "ends": np.array(ends, np.float64),
            "lengths": np.array(lengths, np.float64),
            "moves": np.array(moves, np.int8),
            "sizes": np.array(sizes, np.int8),
        }

    path = folder / "windows.derived" if folder is not None else None
    arrays = derive(path, f"windows {_FORM} {mark} {encoder}", make)
    return Catalogue(mark, **arrays)


@dataclass(frozen=True, eq=False)
class MediaFacts:
    """What filters ask of media, and their words: by the places of a catalogue."""

    mark: str
    """The record's marks of shots and words when it was made."""
    dates: NDArray[np.float64]
    """(M,) when it was recorded, else when the file was last changed: seconds since 1970, UTC."""
    paths: tuple[tuple[str, ...], ...]
    """The paths of each media, sorted."""
    licences: tuple[str, ...]
    """The licence of each media, empty where unknown."""
    texts: tuple[str, ...]
    """What is written about each media: beside it and inside."""


def open_media_facts(store: Store, encoder: str, folder: Path | None, catalogue: Catalogue) -> MediaFacts:
    """The facts of a catalogue's media: the file in ``folder``, made where there is none."""
    mark = f"{catalogue.mark} {store.mark('words')}"

    def make() -> Parts:
        with store.reading():
            known = {row[0]: row for row in _media_rows(store, encoder)}
        rows = [known.get(catalogue.media_id(place)) for place in range(len(catalogue.media_ids))]
        return {
            "dates": np.array([row[1] if row else 0.0 for row in rows], np.float64),
            "paths": _packed(["//".join(row[2]) if row else "" for row in rows]),
            "licences": _packed([row[3] if row else "" for row in rows]),
            "texts": _packed([row[4] if row else "" for row in rows]),
        }

    path = folder / "media.derived" if folder is not None else None
    arrays = derive(path, f"media {_FORM} {mark} {encoder}", make)
    return MediaFacts(
        mark=mark,
        dates=arrays["dates"],
        paths=tuple(tuple(one.split("//")) for one in _unpacked(arrays["paths"], len(arrays["dates"]))),
        licences=_unpacked(arrays["licences"], len(arrays["dates"])),
        texts=_unpacked(arrays["texts"], len(arrays["dates"])),
    )


def _media_rows(store: Store, encoder: str) -> Iterator[tuple[str, float, list[str], str, str]]:
    for identity, facts, files in store.media_facts(encoder):
        inside: dict[str, Any] = json.loads(facts)
        recorded = _instant(str(inside.get("recorded") or ""))
        changed = min((file.mtime for file in files if file.mtime > 0), default=0) / 1e9
        words = [file.words for file in files if file.words] + [str(inside.get("text") or "")]
        yield (
            identity,
            changed if recorded is None else recorded,
            [file.path for file in files],
            next((file.licence for file in files if file.licence), str(inside.get("licence") or "")),
            "\n".join(dict.fromkeys(word for word in words if word)),
        )


def _instant(text: str) -> float | None:
    """Seconds since 1970 of an ISO 8601 time; without a zone it is UTC. None if it is no time."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    seconds = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return seconds if seconds > 0 else None  # cameras without a clock say 1904 or 1970


def _packed(texts: Sequence[str]) -> NDArray[np.uint8]:
    """Texts in one array of bytes; names of files may hold bytes that are no text."""
    data = _JOIN.join(text.replace(_JOIN, " ") for text in texts).encode("utf-8", "surrogateescape")
    return np.frombuffer(data, np.uint8)


def _unpacked(data: NDArray[np.uint8], count: int) -> tuple[str, ...]:
    return tuple(data.tobytes().decode("utf-8", "surrogateescape").split(_JOIN)) if count else ()
