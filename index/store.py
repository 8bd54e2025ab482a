"""The record of a library: one SQLite file, written one piece of footage a transaction."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from index.base import FootageError
from index.connection import Connection, explain, nobody_writes
from index.encoders.base import FloatArray
from index.records import (
    PATH_COLUMNS,
    SHOT_COLUMNS,
    Passage,
    PathRow,
    clean,
    media_from,
    path_from,
    plain,
    plain_look,
    plain_span,
    shot_from,
    span_from,
    to_json,
)
from index.values import Media, Problem, Shot

if TYPE_CHECKING:
    from index.measure import Measurement

__all__ = ["FILE_NAME", "Passage", "PathRow", "Store"]

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
    """
    ALTER TABLE paths ADD COLUMN licence TEXT NOT NULL DEFAULT '';
    ALTER TABLE paths ADD COLUMN beside TEXT NOT NULL DEFAULT '';
    ALTER TABLE paths ADD COLUMN note TEXT NOT NULL DEFAULT '';
    CREATE TABLE passages (
        path BLOB NOT NULL, number INTEGER NOT NULL, start TEXT, stop TEXT, text TEXT NOT NULL,
        PRIMARY KEY (path, number)
    ) WITHOUT ROWID;
    """,
)
"""Step i takes a file from version i to i + 1; steps are added, never changed."""

_THERE = "media.encoder = ? AND EXISTS (SELECT 1 FROM paths WHERE paths.media = media.id)"
"""What makes a media part of the library: features of its encoder, and a file."""


class Store:
    """The SQLite file of one library. Open it for writing only under the builder's lock.

    Raises:
        FootageError: if the file is no library, damaged, or was written by a newer version.
    """

    def __init__(self, file: Path, *, write: bool = False) -> None:
        self.file = file
        self._changed: set[str] = set()
        self._reading = threading.Lock()
        try:
            self._db = self._connect(write)
            version = self._version()
            if not write and 0 < version < len(_MIGRATIONS):
                self._db.close()
                _bring_up_to_date(file)
                self._db = self._connect(write)
                version = self._version()
            if version > len(_MIGRATIONS):
                raise FootageError(
                    f"{str(file)!r} was written by a newer montage (version {version}, this one knows "
                    f"{len(_MIGRATIONS)}): update montage-editor, or index again with --store elsewhere"
                )
            if write:
                self._migrate()
            elif version < len(_MIGRATIONS):
                raise FootageError(f"{str(file)!r} holds no library yet: run montage build-index")
            self._db.file = file
        except sqlite3.DatabaseError as error:
            raise explain(file, error) from error

    def _connect(self, write: bool) -> Connection:
        if write:
            db = sqlite3.connect(self.file, isolation_level=None, timeout=30, factory=Connection)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA foreign_keys = ON")
            return db
        uri = self.file.absolute().as_uri()
        try:
            db = sqlite3.connect(
                f"{uri}?mode=ro", uri=True, timeout=30, check_same_thread=False, factory=Connection
            )
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            # On read-only media a WAL file cannot be opened in the usual way; nobody can write there either.
            if not nobody_writes(self.file):
                raise
            db = sqlite3.connect(f"{uri}?immutable=1", uri=True, check_same_thread=False, factory=Connection)
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return db

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _migrate(self) -> None:
        while self._version() < len(_MIGRATIONS):
            with self.transaction():
                number = self._version()  # asked again: another process may have been first
                if number < len(_MIGRATIONS):
                    for statement in _MIGRATIONS[number].split(";"):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version = {number + 1}")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: what is written within is there after a crash, or none of it is.

        What changed shots or words also changes their mark (``mark``), by which derived files are told to
        be out of date.

        Raises:
            FootageError: if it cannot be written, for instance because the disk is full.
        """
        self._db.execute("BEGIN IMMEDIATE")
        self._changed.clear()
        try:
            yield
            if self._changed:
                self.set_meta({f"mark of {what}": secrets.token_hex(8) for what in self._changed})
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # on a full disk SQLite may have gone back by itself
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is read within is of one moment, whatever another process writes meanwhile."""
        with self._reading:
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("COMMIT")

    # -- meta ------------------------------------------------------------------------------------------

    def meta(self, key: str, default: str = "") -> str:
        """A remembered word, such as ``encoder`` or ``encoder_hash``."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return default if row is None else str(row[0])

    def set_meta(self, values: Mapping[str, str]) -> None:
        """Remember words."""
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", sorted(values.items()))

    def mark(self, what: str) -> str:
        """A word that was another one before ``shots`` (media, windows, features) or ``words`` (names,
        texts, dates) changed. It is drawn at random, so that no two libraries share one by accident."""
        return self.meta(f"mark of {what}", "none")

    # -- paths -----------------------------------------------------------------------------------------

    def paths(self) -> dict[str, PathRow]:
        """Everything known by file name."""
        rows = self._db.execute(f"SELECT {PATH_COLUMNS} FROM paths ORDER BY path")
        found = (path_from(row) for row in rows)
        return {row.path: row for row in found}

    def put_path(self, row: PathRow) -> None:
        """Remember a file name; with a media, or with the reason why there is none."""
        path = os.fsencode(row.path)
        values = (
            *(path, row.size, row.mtime, row.inode, row.media),
            *map(clean, (row.reason, row.words, row.credit, row.licence, row.beside, row.note)),
        )
        before = self._db.execute(f"SELECT {PATH_COLUMNS} FROM paths WHERE path = ?", (path,)).fetchone()
        if before == values:
            return  # nothing has changed, so neither does a mark
        self._db.execute(
            f"INSERT OR REPLACE INTO paths ({PATH_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values
        )
        self._changed.add("words")
        if before is None or before[4] != row.media:
            self._changed.add("shots")

    def drop_paths(self, paths: Iterable[str]) -> None:
        """Forget file names, and what came beside them."""
        gone = [(os.fsencode(path),) for path in paths]
        self._db.executemany("DELETE FROM paths WHERE path = ?", gone)
        self._db.executemany("DELETE FROM passages WHERE path = ?", gone)
        if gone:
            self._changed |= {"shots", "words"}

    def put_passages(self, path: str, passages: Iterable[Passage]) -> None:
        """Remember the texts beside a file, in place of those known."""
        name = os.fsencode(path)
        self._db.execute("DELETE FROM passages WHERE path = ?", (name,))
        self._db.executemany(
            "INSERT INTO passages VALUES (?, ?, ?, ?, ?)",
            [
                (name, number, *(plain_span(one.span) if one.span else (None, None)), clean(one.text))
                for number, one in enumerate(passages)
            ],
        )
        self._changed.add("words")

    def passages(self, encoder: str) -> list[tuple[str, Passage]]:
        """(media id, passage) of the library's media, ordered by media; copies say a thing once."""
        rows = self._db.execute(
            "SELECT DISTINCT paths.media, passages.start, passages.stop, passages.text FROM passages"
            " JOIN paths ON paths.path = passages.path JOIN media ON media.id = paths.media"
            " WHERE media.encoder = ? ORDER BY paths.media, passages.path, passages.number",
            (encoder,),
        )
        return [(row[0], Passage(row[3], span_from(row[1:3]) if row[1] else None)) for row in rows]

    def sweep(self) -> list[str]:
        """Forget media that no file name stands for, with their shots; their ids."""
        gone = [
            str(row[0])
            for row in self._db.execute(
                "SELECT id FROM media WHERE id NOT IN (SELECT media FROM paths WHERE media IS NOT NULL)"
            )
        ]
        self._db.executemany("DELETE FROM media WHERE id = ?", [(media,) for media in gone])
        if gone:
            self._changed |= {"shots", "words"}
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
        self._changed |= {"shots", "words"}

    def put_measurement(self, measurement: Measurement, encoder: str) -> None:
        """Write one media with its shots and features, in place of what was known of it."""
        self._changed |= {"shots", "words"}
        media = measurement.media
        facts = {key: plain(value) for key, value in asdict(media).items() if key not in ("id", "paths")}
        self._db.execute("DELETE FROM media WHERE id = ?", (media.id,))
        self._db.execute(
            "INSERT INTO media VALUES (?, ?, ?, ?)",
            (media.id, encoder, to_json(facts), clean(measurement.note)),
        )
        row = 0
        for position, shot in enumerate(measurement.shots):
            features = measurement.features[row : row + len(shot.windows)]
            row += len(shot.windows)
            self._db.execute(
                "INSERT INTO shots VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(shot.id, media.id, position, to_json(plain_span(shot.span))),
                    to_json([plain_span(window) for window in shot.windows]),
                    to_json(plain_look(shot.look)),
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
        found = [
            media_from(identity, json.loads(facts), files)
            for identity, facts, files in self.media_facts(encoder)
        ]
        return sorted(found, key=lambda media: os.fsencode(media.paths[0]))

    def some_media(self, ids: Iterable[str], encoder: str) -> dict[str, Media]:
        """Those of the media with these ids that are part of the library."""
        wanted = json.dumps(list(ids))
        files: dict[str, list[PathRow]] = {}
        for row in self._db.execute(
            f"SELECT {PATH_COLUMNS} FROM paths WHERE media IN (SELECT value FROM json_each(?)) ORDER BY path",
            (wanted,),
        ):
            found = path_from(row)
            files.setdefault(str(found.media), []).append(found)
        facts = self._db.execute(
            "SELECT id, facts FROM media WHERE encoder = ? AND id IN (SELECT value FROM json_each(?))",
            (encoder, wanted),
        )
        return {
            row[0]: media_from(row[0], json.loads(row[1]), files[row[0]]) for row in facts if row[0] in files
        }

    def shots(self, media: str) -> list[Shot]:
        """The shots of one media, in order."""
        rows = self._db.execute(
            f"SELECT {SHOT_COLUMNS} FROM shots WHERE media = ? ORDER BY position", (media,)
        )
        return [shot_from(row) for row in rows]

    def some_shots(self, ids: Iterable[str], encoder: str) -> dict[str, Shot]:
        """Those of the shots with these ids that are part of the library."""
        rows = self._db.execute(
            f"SELECT {SHOT_COLUMNS} FROM shots JOIN media ON media.id = shots.media"
            f" WHERE {_THERE} AND shots.id IN (SELECT value FROM json_each(?))",
            (encoder, json.dumps(list(ids))),
        )
        return {row[0]: shot_from(row) for row in rows}

    def count(self, encoder: str) -> tuple[int, int]:
        """How many media and shots are part of the library."""
        media = self._db.execute(f"SELECT count(*) FROM media WHERE {_THERE}", (encoder,)).fetchone()[0]
        shots = self._db.execute(
            f"SELECT count(*) FROM shots JOIN media ON media.id = shots.media WHERE {_THERE}", (encoder,)
        ).fetchone()[0]
        return int(media), int(shots)

    def windows(self, encoder: str, columns: int) -> int:
        """How many windows of ``columns`` features the library has."""
        size = self._db.execute(
            "SELECT total(length(features)) FROM shots JOIN media ON media.id = shots.media"
            " WHERE media.encoder = ?",
            (encoder,),
        ).fetchone()[0]
        return int(size) // (4 * columns) if columns else 0

    def has_passages(self) -> bool:
        """Whether any text came beside the footage."""
        return self._db.execute("SELECT 1 FROM passages LIMIT 1").fetchone() is not None

    def shot_facts(self, encoder: str) -> Iterator[tuple[str, str, str, str, str, str | None]]:
        """(id, media, span, windows, move, size) of every shot, as stored; by media and place."""
        rows = self._db.execute(
            "SELECT shots.id, shots.media, span, windows, json_extract(look, '$.move'),"
            " json_extract(look, '$.size') FROM shots JOIN media ON media.id = shots.media"
            f" WHERE {_THERE} ORDER BY shots.media, position",
            (encoder,),
        )
        yield from rows

    def media_facts(self, encoder: str) -> Iterator[tuple[str, str, list[PathRow]]]:
        """(id, facts as JSON, files) of every media, ordered by id."""
        files: dict[str, list[PathRow]] = {}
        for row in self.paths().values():
            if row.media is not None:
                files.setdefault(row.media, []).append(row)
        for identity, facts in self._db.execute(
            f"SELECT id, facts FROM media WHERE {_THERE} ORDER BY id", (encoder,)
        ):
            yield identity, facts, files[identity]

    def all_features(self, encoder: str, columns: int) -> Iterator[FloatArray]:
        """(windows, columns) float32 features of every shot, ordered by media id and position."""
        rows = self._db.execute(
            "SELECT features FROM shots JOIN media ON media.id = shots.media"
            f" WHERE {_THERE} ORDER BY shots.media, position",
            (encoder,),
        )
        for (data,) in rows:
            yield np.frombuffer(data, dtype="<f4").reshape(-1, columns)

    def thumbnails(self, encoder: str) -> Iterator[bytes]:
        """The thumbnail of every shot, ordered by media id and position."""
        rows = self._db.execute(
            "SELECT thumbnail FROM shots JOIN media ON media.id = shots.media"
            f" WHERE {_THERE} ORDER BY shots.media, position",
            (encoder,),
        )
        for (data,) in rows:
            yield data

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
            if row.note:
                found.append(Problem(row.path, row.note, skipped=False))
        return found

    def dump(self) -> str:
        """Everything that matters as sorted text: equal for equal libraries, however they were built.

        Times of files, the order of writing and the place of the library are left out.
        """
        lines = [f"meta {key} {self.meta(key)}" for key in ("encoder_name", "encoder_hash", "feature_size")]
        for row in self.paths().values():
            words = f"{row.words!r} {row.credit!r} {row.licence!r} {row.note!r}"
            lines.append(f"path {row.path!r} {row.media} {row.reason!r} {words}")
        for row in self._db.execute("SELECT path, number, start, stop, text FROM passages ORDER BY 1, 2"):
            lines.append(f"passage {os.fsdecode(row[0])!r} {row[1:]!r}")
        for row in self._db.execute("SELECT id, encoder, facts, note FROM media ORDER BY id"):
            lines.append("media " + " ".join(map(str, row)))
        for row in self._db.execute(
            "SELECT id, media, position, span, windows, look, cluster, features, thumbnail FROM shots"
            " ORDER BY id"
        ):
            digests = [hashlib.sha256(blob).hexdigest()[:16] for blob in row[7:]]
            lines.append("shot " + " ".join(map(str, (*row[:7], *digests))))
        return "\n".join(lines) + "\n"


def _bring_up_to_date(file: Path) -> None:
    """Migrate a library that an older version wrote, so that it can be read.

    Raises:
        FootageError: if it lies where nothing can be written.
    """
    try:
        Store(file, write=True).close()
    except FootageError as error:
        if not isinstance(error.__cause__, sqlite3.OperationalError):
            raise
        raise FootageError(
            f"{str(file)!r} was written by an older montage and cannot be brought up to date "
            f"({error.__cause__}): run montage build-index with --store in a folder that can be written"
        ) from error
