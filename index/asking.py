"""What one may ask of a library: a query of texts, pictures and shots, and filters that come before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from index.base import FootageError
from index.catalogue import Catalogue, MediaFacts
from index.values import CAMERA_MOVES, SHOT_SIZES

__all__ = ["MOVES", "PARTS", "UNKNOWN", "Filters", "Query", "kept_rows"]

PARTS = ("text", "image", "sketch", "like", "without", "unlike")
"""Names of what a query is made of; the last two say what is not wanted."""
MOVES = ("pan", "tilt", "zoom", *CAMERA_MOVES)
"""Camera moves that may be asked for; the first three are either direction."""
UNKNOWN = "unknown"
"""Stands for a shot size or a licence that is not known."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for. Every part that is given has its say, by its weight.

    Raises:
        FootageError: if nothing is looked for, or a weight is not positive or of no known part.
    """

    text: str = ""
    """A sentence that the shot should show."""
    _: KW_ONLY
    images: tuple[Path, ...] = ()
    """Pictures that the shot should look like, by what they show."""
    sketches: tuple[Path, ...] = ()
    """Pictures whose colours should lie in the frame as they do there; transparent parts do not count."""
    like: tuple[str, ...] = ()
    """Ids of shots of the library: more like these."""
    without: tuple[str, ...] = ()
    """Sentences that the shot should not show."""
    unlike: tuple[str, ...] = ()
    """Ids of shots that it should not be like."""
    weights: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Weight of a part by its name (``text``, ``image``, ``sketch``, ``like``, ``without``, ``unlike``);
    1 where none is given."""
    language: str | None = None
    """ISO 639-1 language of the texts; told from their characters when None."""

    def __post_init__(self) -> None:
        for name in ("images", "sketches"):
            object.__setattr__(self, name, tuple(Path(one) for one in getattr(self, name)))
        for name in ("like", "unlike"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "without", tuple(one for one in self.without if one.strip()))
        if not (self.text.strip() or self.images or self.sketches or self.like):
            raise FootageError("an empty text finds nothing: say what the shot should show")
        for name, weight in self.weights.items():
            if name not in PARTS:
                raise FootageError(f"a query has no part {name!r}: its parts are {', '.join(PARTS)}")
            if not 0 < weight < float("inf"):
                raise FootageError(f"the weight of {name} must be positive, got {weight}")

    @property
    def said(self) -> str:
        """The query in a line, for a person."""
        pieces = [
            self.text.strip(),
            *(f"like {path.name}" for path in (*self.images, *self.sketches)),
            *(f"like {shot}" for shot in self.like),
            *(f"without {text}" for text in self.without),
            *(f"unlike {shot}" for shot in self.unlike),
        ]
        return ", ".join(piece for piece in pieces if piece)

    def weight(self, part: str) -> float:
        """The weight of a part."""
        return float(self.weights.get(part, 1.0))


def _known(what: str, given: Iterable[str], choices: tuple[str, ...]) -> tuple[str, ...]:
    folded = {choice.lower(): choice for choice in choices}
    for one in given:
        if one.lower() not in folded:
            raise FootageError(f"there is no {what} {one!r}: choose from {', '.join(choices)}")
    return tuple(folded[one.lower()] for one in given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which shots are searched at all. Several values of one filter are alternatives; filters add up.

    Raises:
        FootageError: if a value is unknown or makes no sense; the message names the choices.
    """

    min_length: float | None = None
    """Seconds that a shot lasts at least."""
    max_length: float | None = None
    """Seconds that a shot lasts at most."""
    sizes: tuple[str, ...] = ()
    """Shot sizes (``ELS`` to ``ECU``, or ``unknown``)."""
    moves: tuple[str, ...] = ()
    """Camera moves; ``pan``, ``tilt`` and ``zoom`` mean either direction."""
    folders: tuple[str, ...] = ()
    """Folders of the footage folder, with all that is in them."""
    licences: tuple[str, ...] = ()
    """Licences, such as ``CC0`` or ``CC BY``, whatever their version; ``unknown`` where there is none."""
    after: date | datetime | None = None
    """Recorded at this time or later (UTC; the file's date where none is tagged)."""
    before: date | datetime | None = None
    """Recorded before this time."""

    def __post_init__(self) -> None:
        for name in ("min_length", "max_length"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise FootageError(f"{name.replace('_', ' ')} must be seconds of 0 or more, got {value}")
        low, high = self.min_length, self.max_length
        if low is not None and high is not None and low > high:
            raise FootageError(f"no shot is at least {low:g} s and at most {high:g} s long")
        object.__setattr__(self, "sizes", _known("shot size", self.sizes, (*SHOT_SIZES, UNKNOWN)))
        object.__setattr__(self, "moves", _known("camera move", self.moves, MOVES))
        after, before = _instant(self.after), _instant(self.before)
        if after is not None and before is not None and after >= before:
            raise FootageError(f"nothing lies after {self.after} and before {self.before}")

    def __bool__(self) -> bool:
        return self != Filters()


def _instant(when: date | datetime | None) -> float | None:
    """Seconds since 1970; a date begins at midnight UTC, a time without a zone is UTC."""
    if when is None:
        return None
    if not isinstance(when, datetime):
        when = datetime(when.year, when.month, when.day, tzinfo=UTC)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def kept_rows(filters: Filters | None, catalogue: Catalogue, facts: MediaFacts) -> NDArray[np.bool_] | None:
    """(W,) which windows the filters leave; None where all are.

    Raises:
        FootageError: if a folder or a licence is not in the library; the message names those that are.
    """
    if not filters:
        return None
    shots = np.ones(len(catalogue.shot_ids), np.bool_)
    if filters.min_length is not None:
        shots &= catalogue.lengths >= filters.min_length
    if filters.max_length is not None:
        shots &= catalogue.lengths <= filters.max_length
    if filters.sizes:
        names = (*SHOT_SIZES, UNKNOWN)
        wanted = [-1 if name == UNKNOWN else names.index(name) for name in filters.sizes]
        shots &= np.isin(catalogue.sizes, wanted)
    if filters.moves:
        wanted = [
            place
            for place, move in enumerate(CAMERA_MOVES)
            if move in filters.moves or move.partition("-")[0] in filters.moves
        ]
        shots &= np.isin(catalogue.moves, wanted)
    media = np.ones(len(facts.paths), np.bool_)
    after, before = _instant(filters.after), _instant(filters.before)
    if after is not None:
        media &= facts.dates >= after
    if before is not None:
        media &= facts.dates < before
    if filters.folders:
        media &= _in_folders(filters.folders, facts)
    if filters.licences:
        media &= _licensed(filters.licences, facts)
    shots &= media[catalogue.media_of_shot]
    return np.asarray(shots[catalogue.shot_of_row], np.bool_)


def _in_folders(folders: Iterable[str], facts: MediaFacts) -> NDArray[np.bool_]:
    out = np.zeros(len(facts.paths), np.bool_)
    for folder in folders:
        plain = folder.replace("\\", "/").removeprefix("./").strip("/")
        within = np.array(
            [
                any(plain in ("", ".") or path.startswith(f"{plain}/") for path in paths)
                for paths in facts.paths
            ],
            np.bool_,
        )
        if not within.any():
            there = {path.rpartition("/")[0] for paths in facts.paths for path in paths} - {""}
            choices = f"choose from {_some(there)}" if there else "it has no folders"
            raise FootageError(f"no footage lies in the folder {folder!r}: {choices}")
        out |= within
    return out


def _licensed(licences: Iterable[str], facts: MediaFacts) -> NDArray[np.bool_]:
    plain = [" ".join(one.lower().split()) for one in facts.licences]
    out = np.zeros(len(plain), np.bool_)
    for licence in licences:
        wanted = " ".join(licence.lower().split())
        found = np.array(
            [
                not one if wanted == UNKNOWN else bool(one) and f"{one} ".startswith(f"{wanted} ")
                for one in plain
            ],
            np.bool_,
        )
        if not found.any():
            there = {one or UNKNOWN for one in facts.licences}
            raise FootageError(f"no footage has the licence {licence!r}: choose from {_some(there)}")
        out |= found
    return out


def _some(names: set[str], most: int = 12) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(repr(name) for name in shown[:most]) + more
