"""The index of a footage folder, opened for reading."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from index.base import FootageError, Span, content_id
from index.encoders.base import Encoder, FloatArray
from index.lazy import Lazy
from index.store import FILE_NAME, PathRow, Store
from index.values import Hit, Media, Problem, Shot

if TYPE_CHECKING:
    from index.asking import Filters, Query
    from index.query import Matcher

__all__ = ["STORE_NAME", "Library", "find_library", "root_of_store", "store_folder"]

STORE_NAME = ".montage"
"""Folder beside the footage that holds its index."""


def store_folder(root: Path, store: Path | str | None = None) -> Path:
    """Where the index of the footage in ``root`` lies."""
    return root / STORE_NAME if store is None else Path(os.path.abspath(store))


def find_library(start: Path | str) -> list[Path]:
    """Footage folders with an index: ``start`` itself, else those one level below it, sorted."""
    start = Path(start)
    if (start / STORE_NAME / FILE_NAME).is_file():
        return [start]
    try:
        return sorted(inner for inner in start.iterdir() if (inner / STORE_NAME / FILE_NAME).is_file())
    except OSError:
        return []


def root_of_store(store: Path | str) -> Path:
    """The footage folder that an index kept elsewhere belongs to.

    Raises:
        FootageError: if there is no index, or it names no folder.
    """
    place = Path(os.path.abspath(store))
    if not (place / FILE_NAME).is_file():
        raise FootageError(f"there is no index in {str(place)!r}: run montage build-index FOLDER --store it")
    record = Store(place / FILE_NAME)
    try:
        root = record.meta("root")
    finally:
        record.close()
    if not root:
        raise FootageError(f"the index in {str(place)!r} does not say whose it is: name --library as well")
    return Path(root)


class Library:
    """A footage folder and what is known of it.

    Everything is read when it is first asked for, and anew when a search finds that it was changed.
    """

    def __init__(self, root: Path, store_dir: Path, store: Store) -> None:
        self.root = root
        """The footage folder."""
        self.store_dir = store_dir
        """The folder that holds the index."""
        self._store = store
        self._encoder: Encoder | None = None

    @classmethod
    def open(cls, folder: Path | str, store: Path | str | None = None) -> Library:
        """Open the index of ``folder``.

        Raises:
            FootageError: if there is none, it is damaged, or a newer version wrote it.
        """
        root = Path(os.path.abspath(folder))
        place = store_folder(root, store)
        if not (place / FILE_NAME).is_file():
            raise FootageError(
                f"there is no index of {str(root)!r} in {str(place)!r}: run montage build-index {str(root)!r}"
            )
        return cls(root, place, Store(place / FILE_NAME))

    @property
    def encoder_spec(self) -> str:
        """How the encoder is named to ``index.encoders.registry.load_encoder``."""
        return self._store.meta("encoder")

    @property
    def encoder_name(self) -> str:
        """Name of the encoder that the features come from."""
        return self._store.meta("encoder_name")

    @property
    def encoder_hash(self) -> str:
        """Hash of the encoder that the features come from."""
        return self._store.meta("encoder_hash")

    @property
    def encoder(self) -> Encoder:
        """The encoder that the features come from, loaded on first use.

        Raises:
            FootageError: if it cannot be loaded, or is not the one that the index was built with.
        """
        if self._encoder is None:
            from index.encoders.registry import load_encoder

            self.use_encoder(load_encoder(self.encoder_spec))
        assert self._encoder is not None
        return self._encoder

    def use_encoder(self, encoder: Encoder) -> None:
        """Search with ``encoder``, which must be the one that the index was built with.

        Raises:
            FootageError: if it is another.
        """
        if encoder.hash != self.encoder_hash:
            raise FootageError(
                f"the index of {str(self.root)!r} was built with the encoder {self.encoder_name!r} "
                f"({self.encoder_hash}), not with {encoder.name!r} ({encoder.hash}): index again with "
                f"montage build-index --encoder {encoder.name}, or use the encoder of the index"
            )
        self._encoder = encoder

    def refresh(self) -> None:
        """Read anew what was read so far: another process may have changed the index."""
        for name in ("_media", "_shots", "_features", "_rows", "problems"):
            self.__dict__.pop(name, None)

    @property
    def record(self) -> Store:
        """The SQLite file, opened for reading."""
        return self._store

    @property
    def media(self) -> Mapping[str, Media]:
        """Media by id, ordered by path; one alone is read when one alone is asked for."""
        return self._media

    @cached_property
    def _media(self) -> Lazy[Media]:
        return Lazy(
            some=lambda ids: self._store.some_media(ids, self.encoder_hash),
            every=lambda: {media.id: media for media in self._store.media(self.encoder_hash)},
            count=lambda: self._store.count(self.encoder_hash)[0],
        )

    @property
    def shots(self) -> Mapping[str, Shot]:
        """Shots by id, ordered by media path and start; one alone is read when one alone is asked for."""
        return self._shots

    @cached_property
    def _shots(self) -> Lazy[Shot]:
        return Lazy(
            some=lambda ids: self._store.some_shots(ids, self.encoder_hash),
            every=lambda: {shot.id: shot for media in self.media for shot in self._store.shots(media)},
            count=lambda: self._store.count(self.encoder_hash)[1],
        )

    def some_media(self, ids: Iterable[str]) -> Mapping[str, Media]:
        """Those of these media that are there, read at once."""
        return self._media.some(ids)

    def some_shots(self, ids: Iterable[str]) -> Mapping[str, Shot]:
        """Those of these shots that are there, read at once."""
        return self._shots.some(ids)

    def features(self) -> tuple[FloatArray, tuple[tuple[str, Span], ...]]:
        """((W, F) float32 features, and of each row its shot id and window), ordered as ``shots``."""
        return self._features

    @cached_property
    def _features(self) -> tuple[FloatArray, tuple[tuple[str, Span], ...]]:
        columns = int(self._store.meta("feature_size", "0"))
        rows = tuple((shot.id, window) for shot in self.shots.values() for window in shot.windows)
        parts = [self._store.features(media, columns) for media in self.media]
        whole = np.concatenate(parts) if parts else np.zeros((0, columns), dtype=np.float32)
        return whole, rows

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """Files that could not be indexed, or only in part."""
        return tuple(self._store.problems())

    def path_of(self, media: str) -> Path:
        """The first path of a media at which its file lies, and still holds what was indexed.

        Raises:
            FootageError: if there is no such media, or its files are gone or have changed.
        """
        if media not in self.media:
            raise FootageError(f"there is no media {media!r} in the library {str(self.root)!r}")
        changed = []
        for path in self.media[media].paths:
            if (self.root / path).is_file():
                if self._unchanged(path, media):
                    return self.root / path
                changed.append(path)
        if changed:
            raise FootageError(
                f"{', '.join(map(repr, changed))} in {str(self.root)!r} has changed since it was indexed: "
                "run montage build-index again"
            )
        names = ", ".join(map(repr, self.media[media].paths))
        raise FootageError(
            f"{names} is not in {str(self.root)!r} any more: put it back, or run montage build-index again"
        )

    @cached_property
    def _rows(self) -> Mapping[str, PathRow]:
        return self._store.paths()

    def _unchanged(self, path: str, media: str) -> bool:
        """Whether a file is the one that was indexed: by size and time, else by content."""
        stat = os.stat(self.root / path)
        row = self._rows.get(path)
        if row is not None and (row.size, row.mtime) == (stat.st_size, stat.st_mtime_ns):
            return True
        return content_id(self.root / path) == media

    def thumbnail(self, shot: str) -> bytes:
        """JPEG of a shot's middle frame, 320 px on its longer side.

        Raises:
            FootageError: if there is no such shot.
        """
        data = self._store.thumbnail(shot)
        if data is None:
            raise FootageError(f"there is no shot {shot!r} in the library {str(self.root)!r}")
        return data

    def search(self, query: Query | str, k: int = 10, *, filters: Filters | None = None) -> list[Hit]:
        """The ``k`` shots that fit ``query`` best, best first: a text, or texts, pictures and shots mixed.

        Raises:
            FootageError: if the encoder of the index cannot be loaded, the query says nothing, or it or a
                filter names what is not there.
        """
        return self._matcher.search(query, k, filters=filters)

    def prepare(self) -> None:
        """Make what takes long to make, so that the first search need not wait for it: the vectors of texts
        beside the footage, and in a large library those of its windows and what FAISS searches.

        Raises:
            FootageError: if the encoder of the index cannot be loaded.
        """
        from index.vectors import EXACT

        columns = int(self._store.meta("feature_size", "0"))
        if self._store.has_passages() or self._store.windows(self.encoder_hash, columns) > EXACT:
            self._matcher.prepare()

    @cached_property
    def _matcher(self) -> Matcher:
        from index.query import Matcher

        return Matcher(self)

    def summary(self) -> str:
        """One line for a person."""
        seconds = sum(float(media.duration) for media in self.media.values())
        parts = [f"{len(self.media)} media", f"{len(self.shots)} shots", f"{seconds / 60:.1f} minutes"]
        if self.problems:
            parts.append(f"{len(self.problems)} problems")
        return f"{', '.join(parts)}; encoder {self.encoder_name}"

    def dump(self) -> str:
        """Everything that matters as sorted text: equal for equal libraries, however they were built."""
        return self._store.dump()

    def __repr__(self) -> str:
        return f"<Library {str(self.root)!r}: {self.summary()}>"

    def _repr_html_(self) -> str:
        from index.pages import library_fragment

        return library_fragment(self)
