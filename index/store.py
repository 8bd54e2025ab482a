"""The record of a library: one SQLite file, written one piece of footage a transaction."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from index.base import FootageError, Span
from index.encoders.base import FloatArray
from index.measure import Measurement
from index.values import Look, Media, Problem, Shot

__all__ = ["FILE_NAME", "PathRow", "Store"]

FILE_NAME = "library.sqlite"

_MIGRATIONS = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE media (
        id TEXT PRIMARY KEY, encoder TEXT NOT NULL, facts TEXT NOT NULL, note TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE paths (
        path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime INTEGER NOT NULL, inode INTEGER NOT NULL,
        media TEXT, reason TEXT NOT NULL DEFAULT '', words TEXT NOT NULL DEFAULT '',
        credit TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID;
    CREATE INDEX paths_of_media ON paths (media);
    CREATE TABLE shots (
        id TEXT PRIMARY KEY, media TEXT NOT NULL REFERENCES media (id) ON DELETE CASCADE,
        position INTEGER NOT NULL, span TEXT NOT NULL, windows TEXT NOT NULL, look TEXT NOT NULL,
        cluster TEXT NOT NULL DEFAULT '', features BLOB NOT NULL, thumbnail BLOB NOT NULL
    );
    CREATE INDEX shots_of_media ON shots (media, position);
    """,
)
"""Step i takes a file from version i to i + 1; steps are added, never changed."""


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
    credit: str = ""


class Store:
    """The SQLite file of one library. Open it for writing only under the builder's lock.

    Raises:
        FootageError: if the file is no library, damaged, or was written by a newer version.
    """

    def __init__(self, file: Path, *, write: bool = False) -> None:
        self.file = file
        try:
            self._db = self._connect(write)
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version > len(_MIGRATIONS):
                raise FootageError(
                    f"{str(file)!r} was written by a newer montage (version {version}, this one knows "
                    f"{len(_MIGRATIONS)}): update montage-editor, or index again with --store elsewhere"
                )
            if write:
                self._migrate(version)
            elif version < len(_MIGRATIONS):
                raise FootageError(f"{str(file)!r} holds no library yet: run montage build-index")
        except sqlite3.DatabaseError as error:
            raise FootageError(
                f"{str(file)!r} cannot be read as a library ({error}): delete it and index again"
            ) from error

    def _connect(self, write: bool) -> sqlite3.Connection:
        if write:
            db = sqlite3.connect(self.file, isolation_level=None, timeout=30)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA foreign_keys = ON")
            return db
        uri = self.file.absolute().as_uri()
        try:
            db = sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=30, check_same_thread=False)
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            # On read-only media a WAL file cannot be opened in the usual way; nobody can write there either.
            db = sqlite3.connect(f"{uri}?immutable=1", uri=True, check_same_thread=False)
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return db

    def _migrate(self, version: int) -> None:
        for number in range(version, len(_MIGRATIONS)):
            with self.transaction():
                for statement in _MIGRATIONS[number].split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {number + 1}")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: what is written within is there after a crash, or none of it is."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # -- meta ------------------------------------------------------------------------------------------

    def meta(self, key: str, default: str = "") -> str:
        """A remembered word, such as ``encoder`` or ``encoder_hash``."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return default if row is None else str(row[0])

    def set_meta(self, values: Mapping[str, str]) -> None:
        """Remember words."""
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", sorted(values.items()))

    # -- paths -----------------------------------------------------------------------------------------

    def paths(self) -> dict[str, PathRow]:
        """Everything known by file name."""
        rows = self._db.execute(
            "SELECT path, size, mtime, inode, media, reason, words, credit FROM paths ORDER BY path"
        )
        found = (PathRow(os.fsdecode(row[0]), *row[1:]) for row in rows)
        return {row.path: row for row in found}

    def put_path(self, row: PathRow) -> None:
        """Remember a file name; with a media, or with the reason why there is none."""
        self._db.execute(
            "INSERT OR REPLACE INTO paths VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                os.fsencode(row.path),
                *(row.size, row.mtime, row.inode, row.media),
                *map(_clean, (row.reason, row.words, row.credit)),
            ),
        )

    def drop_paths(self, paths: Iterable[str]) -> None:
        """Forget file names."""
        self._db.executemany("DELETE FROM paths WHERE path = ?", [(os.fsencode(path),) for path in paths])

    def sweep(self) -> list[str]:
        """Forget media that no file name stands for, with their shots; their ids."""
        gone = [
            str(row[0])
            for row in self._db.execute(
                "SELECT id FROM media WHERE id NOT IN (SELECT media FROM paths WHERE media IS NOT NULL)"
            )
        ]
        self._db.executemany("DELETE FROM media WHERE id = ?", [(media,) for media in gone])
        return gone

    # -- media and shots -------------------------------------------------------------------------------

    def measured(self, encoder: str) -> set[str]:
        """Ids of the media whose features come from the encoder with this hash."""
        return {row[0] for row in self._db.execute("SELECT id FROM media WHERE encoder = ?", (encoder,))}

    def durations(self) -> dict[str, float]:
        """Seconds of every media, by id."""
        rows = self._db.execute("SELECT id, json_extract(facts, '$.duration') FROM media")
        return {row[0]: float(Fraction(row[1])) for row in rows}

    def make_stale(self) -> None:
        """Let every media be measured again."""
        self._db.execute("UPDATE media SET encoder = ''")

    def put_measurement(self, measurement: Measurement, encoder: str) -> None:
        """Write one media with its shots and features, in place of what was known of it."""
        media = measurement.media
        facts = {key: _plain(value) for key, value in asdict(media).items() if key not in ("id", "paths")}
        self._db.execute("DELETE FROM media WHERE id = ?", (media.id,))
        self._db.execute(
            "INSERT INTO media VALUES (?, ?, ?, ?)",
            (media.id, encoder, _json(facts), _clean(measurement.note)),
        )
        row = 0
        for position, shot in enumerate(measurement.shots):
            features = measurement.features[row : row + len(shot.windows)]
            row += len(shot.windows)
            self._db.execute(
                "INSERT INTO shots VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(shot.id, media.id, position, _json(_plain_span(shot.span))),
                    _json([_plain_span(window) for window in shot.windows]),
                    _json(_plain_look(shot.look)),
                    shot.group,
                    np.ascontiguousarray(features, dtype="<f4").tobytes(),
                    measurement.thumbnails[position] if measurement.thumbnails else b"",
                ),
            )

    def set_groups(self, groups: Mapping[str, str]) -> None:
        """Write the near-duplicate group of every shot: those not named have none."""
        self._db.execute("UPDATE shots SET cluster = '' WHERE cluster <> ''")
        self._db.executemany(
            "UPDATE shots SET cluster = ? WHERE id = ?",
            [(group, shot) for shot, group in sorted(groups.items())],
        )

    def media(self, encoder: str) -> list[Media]:
        """All media measured by this encoder, ordered by their first path."""
        paths: dict[str, list[PathRow]] = {}
        for row in self.paths().values():
            if row.media is not None:
                paths.setdefault(row.media, []).append(row)
        found = []
        for identity, facts in self._db.execute("SELECT id, facts FROM media WHERE encoder = ?", (encoder,)):
            if identity in paths:
                found.append(_media(identity, json.loads(facts), paths[identity]))
        return sorted(found, key=lambda media: os.fsencode(media.paths[0]))

    def shots(self, media: str) -> list[Shot]:
        """The shots of one media, in order."""
        rows = self._db.execute(
            "SELECT id, media, span, windows, look, cluster FROM shots WHERE media = ? ORDER BY position",
            (media,),
        )
        return [_shot(row) for row in rows]

    def features(self, media: str, columns: int) -> FloatArray:
        """(windows, columns) float32 features of one media's shots, in order."""
        rows = self._db.execute("SELECT features FROM shots WHERE media = ? ORDER BY position", (media,))
        data = b"".join(row[0] for row in rows)
        if columns == 0:
            count = sum(len(shot.windows) for shot in self.shots(media))
            return np.zeros((count, 0), dtype=np.float32)
        return np.frombuffer(data, dtype="<f4").reshape(-1, columns).astype(np.float32)

    def thumbnail(self, shot: str) -> bytes | None:
        """JPEG of a shot's middle frame, None if there is no such shot."""
        row = self._db.execute("SELECT thumbnail FROM shots WHERE id = ?", (shot,)).fetchone()
        return None if row is None else bytes(row[0])

    def problems(self) -> list[Problem]:
        """What could not be indexed, or only in part, ordered by path."""
        notes = dict(self._db.execute("SELECT id, note FROM media WHERE note <> ''").fetchall())
        found = []
        for row in self.paths().values():
            if row.reason:
                found.append(Problem(row.path, row.reason))
            elif row.media in notes:
                found.append(Problem(row.path, notes[row.media], skipped=False))
        return found

    def dump(self) -> str:
        """Everything that matters as sorted text: equal for equal libraries, however they were built.

        Times of files, the order of writing and the place of the library are left out.
        """
        lines = [f"meta {key} {self.meta(key)}" for key in ("encoder_name", "encoder_hash", "feature_size")]
        for row in self.paths().values():
            lines.append(f"path {row.path!r} {row.media} {row.reason!r} {row.words!r} {row.credit!r}")
        for row in self._db.execute("SELECT id, encoder, facts, note FROM media ORDER BY id"):
            lines.append("media " + " ".join(map(str, row)))
        for row in self._db.execute(
            "SELECT id, media, position, span, windows, look, cluster, features, thumbnail FROM shots"
            " ORDER BY id"
        ):
            digests = [hashlib.sha256(blob).hexdigest()[:16] for blob in row[7:]]
            lines.append("shot " + " ".join(map(str, (*row[:7], *digests))))
        return "\n".join(lines) + "\n"


def _clean(text: str) -> str:
    """Text that SQLite can hold: bytes that were no text become question marks."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\x00", "")


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return str(value)
    return _clean(value) if isinstance(value, str) else value


def _plain_span(span: Span) -> list[str]:
    return [str(span.start), str(span.end)]


def _plain_look(look: Look) -> dict[str, Any]:
    return {**asdict(look), "phash": f"{look.phash:016x}"}


def _media(identity: str, facts: dict[str, Any], rows: list[PathRow]) -> Media:
    rate = facts["rate"]
    facts |= {key: Fraction(facts[key]) for key in ("duration", "sample_aspect", "start")}
    facts["rate"] = None if rate is None else Fraction(rate)
    media = Media(id=identity, paths=tuple(row.path for row in rows), **facts)
    words = [row.words for row in rows if row.words] + [media.text]
    credit = next((row.credit for row in rows if row.credit), media.credit)
    return replace(media, text="\n".join(dict.fromkeys(word for word in words if word)), credit=credit)


def _shot(row: tuple[Any, ...]) -> Shot:
    look = json.loads(row[4])
    look |= {"phash": int(look["phash"], 16), "lab": tuple(look["lab"])}
    return Shot(
        id=row[0],
        media=row[1],
        span=Span(*map(Fraction, json.loads(row[2]))),
        windows=tuple(Span(*map(Fraction, window)) for window in json.loads(row[3])),
        look=Look(**look),
        group=row[5],
    )
