"""One state of a library, opened for searching: its catalogue, its words, and its windows by language."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from index.calibration import levels, lifted, likely
from index.catalogue import Catalogue, MediaFacts, open_catalogue, open_media_facts
from index.encoders.base import FloatArray
from index.encoders.labels import background
from index.pictures import shot_layouts
from index.textcache import TextCache
from index.vectors import Vectors
from index.wordbook import Wordbook

if TYPE_CHECKING:
    from index.library import Library

__all__ = ["ChangedLibrary", "State"]

SMOOTHING = 0.5
"""Share of the whole shot's mean features in those of one of its windows: one frame is easily mistaken."""
SAMPLE = 16
"""Shots by which it is told whether two languages share one space."""
BLOCK = 8192
"""Windows that are projected at once."""
_FORM = "1"


class ChangedLibrary(Exception):
    """Another process changed the library while it was read: it is to be opened again."""


class State:
    """What a search needs, read when it is first asked for."""

    def __init__(
        self, library: Library, cache: TextCache, folder: Path | None, exact: int, quantised: int
    ) -> None:
        self._library, self._store, self._cache, self._folder = library, library.record, cache, folder
        self._exact, self._quantised = exact, quantised
        self._spaces: dict[str, Vectors] = {}

    @cached_property
    def catalogue(self) -> Catalogue:
        """The shots and windows."""
        return open_catalogue(self._store, self._library.encoder_hash, self._folder)

    @cached_property
    def facts(self) -> MediaFacts:
        """What filters ask of the media, and their texts."""
        return open_media_facts(self._store, self._library.encoder_hash, self._folder, self.catalogue)

    @cached_property
    def words(self) -> Wordbook:
        """All that is written and said."""
        return Wordbook(
            *(self._store, self._library.encoder_hash, self._folder, self._cache, self.catalogue, self.facts)
        )

    @cached_property
    def layouts(self) -> FloatArray:
        """(N, 72) where the colours of each shot lie."""
        found = shot_layouts(self._store, self._library.encoder_hash, self._folder, self.catalogue)
        if len(found) != len(self.catalogue.shot_ids):
            raise ChangedLibrary
        return found

    def texts(self, texts: Sequence[str], language: str) -> FloatArray:
        """(S, D) vectors of texts, from the cache where they are known."""
        encoder = self._library.encoder
        key = str(getattr(encoder, "text_key", encoder.hash))
        return self._cache.vectors(key, language, texts, lambda new: encoder.encode_texts(new, language))

    def background(self, language: str) -> FloatArray:
        """(B, D) vectors of sentences of all kinds."""
        own = getattr(self._library.encoder, "background", None)
        return own(language) if own is not None else self.texts(background(language), language)

    def queries(self, texts: Sequence[str], language: str) -> FloatArray:
        """(S, D + 1) what the vectors of windows are multiplied with, to learn how far ahead a text is."""
        found = lifted(self._library.encoder, self.texts(texts, language))
        return np.hstack([found, np.full((len(found), 1), -1.0, np.float32)])

    def likely(self, ahead: FloatArray) -> FloatArray:
        """Probabilities from such products."""
        return likely(self._library.encoder, ahead)

    def vectors(self, language: str) -> Vectors:
        """The windows in the space of a language's texts; languages that share one have one file.

        Raises:
            ChangedLibrary: if the library was changed since the catalogue was read.
        """
        if language not in self._spaces:
            encoder = self._library.encoder
            others = self.background(language)
            sample = list(islice(self._store.all_features(encoder.hash, encoder.feature_size), SAMPLE))
            shown = encoder.project(np.concatenate(sample), language) if sample else np.zeros((0, 1))
            digest = hashlib.sha256(
                np.ascontiguousarray(others).tobytes() + np.ascontiguousarray(shown).tobytes()
            )
            name = digest.hexdigest()[:12]
            same = next((space for key, space in self._spaces.items() if key == name), None)
            if same is None:
                mark = f"vectors {_FORM} {self.catalogue.mark} {encoder.hash} {name}"
                same = Vectors(
                    *(self._folder, name, mark, lambda: self._projected(language, others)),
                    exact=self._exact,
                    quantised=self._quantised,
                )
                self._sweep(name)
            if len(same) != len(self.catalogue):
                raise ChangedLibrary
            self._spaces[name] = self._spaces[language] = same
        return self._spaces[language]

    def _projected(self, language: str, others: FloatArray) -> Iterator[FloatArray]:
        """Blocks of (n, D + 1): windows in the space of texts, each drawn towards the mean of its shot, and
        their levels."""
        encoder = self._library.encoder

        def block(shots: list[FloatArray]) -> FloatArray:
            features = np.concatenate(shots)
            counts = np.array([len(shot) for shot in shots])
            starts = np.cumsum(counts) - counts
            means = np.add.reduceat(features, starts, axis=0) / counts[:, None]
            smooth = (1.0 - SMOOTHING) * features + SMOOTHING * np.repeat(means, counts, axis=0)
            windows = encoder.project(np.asarray(smooth, np.float32), language)
            level = levels(encoder, others, windows)
            return np.ascontiguousarray(np.hstack([windows, level[:, None]]), np.float32)

        with self._store.reading():
            if self._store.mark("shots") != self.catalogue.mark:
                raise ChangedLibrary
            held: list[FloatArray] = []
            count = 0
            for shot in self._store.all_features(encoder.hash, encoder.feature_size):
                held.append(shot)
                count += len(shot)
                if count >= BLOCK:
                    yield block(held)
                    held, count = [], 0
            if held:
                yield block(held)

    def _sweep(self, name: str) -> None:
        """Remove the vectors of earlier states of the library under other names."""
        if self._folder is None:
            return
        from index.derived import read_mark

        for path in (*self._folder.glob("vectors-*.derived"), *self._folder.glob("nearest-*.faiss")):
            if name not in path.name and self.catalogue.mark not in read_mark(path):
                path.unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove the files of vectors, so that they are made anew."""
        for space in self._spaces.values():
            space.forget()
