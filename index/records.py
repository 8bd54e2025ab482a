"""What the record of a library holds, and how it is written in SQLite: paths, passages, media and shots."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

from index.base import Span
from index.values import Look, Media, Shot

__all__ = [
    "PATH_COLUMNS",
    "SHOT_COLUMNS",
    "Passage",
    "PathRow",
    "clean",
    "media_from",
    "path_from",
    "plain",
    "plain_look",
    "plain_span",
    "shot_from",
    "span_from",
    "to_json",
]

PATH_COLUMNS = "path, size, mtime, inode, media, reason, words, credit, licence, beside, note"
SHOT_COLUMNS = "shots.id, shots.media, span, windows, look, cluster"


@dataclass(frozen=True, slots=True)
class PathRow:
    """What is remembered of one file name."""

    path: str
    size: int
    mtime: int
    """Nanoseconds."""
    inode: int
    media: str | None
    reason: str = ""
    """Why it could not be indexed, empty if it was."""
    words: str = ""
    """Text beside the file: captions, keywords."""
    credit: str = ""
    licence: str = ""
    beside: str = ""
    """What lies beside the file and when it was changed: as long as it is the same, nothing is read again."""
    note: str = ""
    """What was wrong with the files beside it, empty if nothing was."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text that came beside a file: a caption of all of it, or what is said in a part."""

    text: str
    span: Span | None = None
    """When it is said, None for text about the whole file."""


def clean(text: str) -> str:
    """Text that SQLite can hold: what was no text becomes question marks."""
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a pair that stands for one letter
        data = text.encode("utf-8", "replace")
    return data.decode("utf-8", "replace").replace("\x00", "")


def to_json(value: Any) -> str:
    """Sorted and tight, so that equal values are equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def plain(value: Any) -> Any:
    """A fact as JSON has it: fractions as text."""
    if isinstance(value, Fraction):
        return str(value)
    return clean(value) if isinstance(value, str) else value


def plain_span(span: Span) -> list[str]:
    """Start and end as exact fractions."""
    return [str(span.start), str(span.end)]


def plain_look(look: Look) -> dict[str, Any]:
    """A look as JSON has it."""
    return {**asdict(look), "phash": f"{look.phash:016x}"}


def path_from(row: Sequence[Any]) -> PathRow:
    """A row of ``PATH_COLUMNS``."""
    return PathRow(os.fsdecode(row[0]), *row[1:])


def span_from(pair: Sequence[str]) -> Span:
    """A span from its start and end as exact fractions."""
    return Span(Fraction(pair[0]), Fraction(pair[1]))


def media_from(identity: str, facts: dict[str, Any], rows: Sequence[PathRow]) -> Media:
    """A media from its facts and its files; what stands beside the files counts more than what is inside."""
    rate = facts["rate"]
    facts |= {key: Fraction(facts[key]) for key in ("duration", "sample_aspect", "start")}
    facts["rate"] = None if rate is None else Fraction(rate)
    media = Media(id=identity, paths=tuple(row.path for row in rows), **facts)
    words = [row.words for row in rows if row.words] + [media.text]
    return replace(
        media,
        text="\n".join(dict.fromkeys(word for word in words if word)),
        credit=next((row.credit for row in rows if row.credit), media.credit),
        licence=next((row.licence for row in rows if row.licence), media.licence),
    )


def shot_from(row: Sequence[Any]) -> Shot:
    """A row of ``SHOT_COLUMNS``."""
    look = json.loads(row[4])
    look |= {"phash": int(look["phash"], 16), "lab": tuple(look["lab"])}
    if look.get("moving") is not None:
        look["moving"] = tuple(look["moving"])
    return Shot(
        id=row[0],
        media=row[1],
        span=span_from(json.loads(row[2])),
        windows=tuple(map(span_from, json.loads(row[3]))),
        look=Look(**look),
        group=row[5],
    )
