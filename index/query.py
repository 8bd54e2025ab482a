"""How well does a window of footage show a sentence? Matching, search and candidates.

1. The encoder compares sentence and window. 2. The comparison is calibrated: ``embedding`` is the
probability that this sentence, and not one of the bundled background sentences, describes this window.
3. Words in common with names, metadata and what is said raise it (``keywords``, ``text``), by a small
logistic model. In a large library FAISS and the words propose windows, and these alone are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from index.asking import Filters, Query, kept_rows
from index.base import FootageError, Span
from index.calibration import calibrated, fuse
from index.comparing import Likeness, Part, Ranking, Sketch, ranked, texts_of, together
from index.encoders.base import FloatArray
from index.encoders.labels import unit
from index.languages import language_of
from index.pictures import colour_layout, on_grey, read_picture
from index.space import ChangedLibrary, State
from index.textcache import TextCache
from index.values import Hit, Shot
from index.vectors import EXACT, QUANTISED, DamagedVectors

if TYPE_CHECKING:
    from index.library import Library

__all__ = ["Matcher", "Matches", "WindowRows", "calibrated", "fuse"]

WINDOWS_A_SHOT = 3
"""Most windows of one shot among the candidates of a sentence."""
ATTEMPTS = 5
"""How often a library is opened again because another process changed it meanwhile."""

T = TypeVar("T")


class WindowRows(Sequence[tuple[str, Span]]):
    """Shot id and span of each window of a library, made when asked for."""

    def __init__(self, library: Library, shots: Sequence[str], windows: Sequence[int]) -> None:
        """Row i is window ``windows[i]`` of shot ``shots[i]``."""
        self._library, self._shots, self._windows = library, shots, windows

    def __len__(self) -> int:
        return len(self._shots)

    @overload
    def __getitem__(self, row: int) -> tuple[str, Span]: ...
    @overload
    def __getitem__(self, row: slice) -> WindowRows: ...
    def __getitem__(self, row: int | slice) -> tuple[str, Span] | WindowRows:
        if isinstance(row, slice):
            return WindowRows(self._library, self._shots[row], self._windows[row])
        shot = self._shots[row]
        return shot, self._library.shots[shot].windows[self._windows[row]]


@dataclass(frozen=True)
class Matches:
    """How well every window of a library shows every sentence.

    Raises:
        ValueError: if the shapes disagree.
    """

    match: FloatArray
    """(S, W) float32 probabilities: sentences by windows."""
    parts: Mapping[str, FloatArray]
    """(S, W) each: ``embedding``, ``keywords``, and ``text`` where texts lie beside the footage."""
    rows: Sequence[tuple[str, Span]]
    """Shot id and span of each window, in the order of ``Library.features``."""

    def __post_init__(self) -> None:
        shapes = {self.match.shape, *(part.shape for part in self.parts.values())}
        if len(shapes) > 1 or self.match.shape[1] != len(self.rows):
            raise ValueError(f"matches of shapes {shapes} do not fit {len(self.rows)} windows")

    @property
    def best(self) -> FloatArray:
        """(S,) the best match of each sentence; 0 where there is no window."""
        return np.asarray(self.match.max(axis=1, initial=0.0), np.float32)


class Matcher:
    """Matches sentences with the windows of one library, with the encoder that the library was built with.

    Raises:
        FootageError: (on first use) if the library's encoder cannot be loaded.
    """

    def __init__(
        self, library: Library, cache: bool = True, exact: int = EXACT, quantised: int = QUANTISED
    ) -> None:
        """``cache`` keeps vectors of texts and of windows beside the index; ``exact`` is as ``EXACT`` and
        ``quantised`` as ``QUANTISED``."""
        self._library = library
        self._folder = library.store_dir if cache else None
        self._cache = TextCache(self._folder)
        self._exact, self._quantised = exact, quantised

    @cached_property
    def _state(self) -> State:
        return State(self._library, self._cache, self._folder, self._exact, self._quantised)

    def _safely(self, work: Callable[[], T]) -> T:
        """``work``, again if a file turned out to be damaged or the library was changed meanwhile."""
        for _ in range(ATTEMPTS):
            try:
                return work()
            except ChangedLibrary:
                self._library.refresh()
                self.__dict__.pop("_state", None)
            except DamagedVectors:
                self._state.forget()
                self.__dict__.pop("_state", None)
        raise FootageError(
            f"the index of {str(self._library.root)!r} is being changed faster than it can be searched: wait "
            "until it is built"
        )

    def prepare(self, language: str = "en") -> None:
        """Make the derived files that take long to make, where they are missing or out of date.

        Raises:
            FootageError: if the encoder cannot be loaded.
        """

        def work() -> None:
            self._state.words.prepare()
            if len(self._state.catalogue) > self._exact:
                self._state.vectors(language).prepare()

        self._safely(work)

    def match(self, texts: Sequence[str], languages: Sequence[str]) -> Matches:
        """How well every window shows every sentence: for libraries that fit into memory so.

        Raises:
            FootageError: if the encoder cannot be loaded.
            ValueError: if there are not as many languages as texts.
        """
        _same_number(texts, languages)
        return self._safely(lambda: self._match(texts, languages))

    def _match(self, texts: Sequence[str], languages: Sequence[str]) -> Matches:
        catalogue = self._state.catalogue
        place = {name.decode(): shot for shot, name in enumerate(catalogue.shot_ids.tolist())}
        shots = [shot for shot in self._library.shots if shot in place]
        ranges = [catalogue.rows_of(place[shot]) for shot in shots]
        order = np.array([row for one in ranges for row in range(one.start, one.stop)], np.int64)
        rows = WindowRows(
            self._library,
            [shot for shot, one in zip(shots, ranges, strict=True) for _ in range(one.start, one.stop)],
            [window for one in ranges for window in range(one.stop - one.start)],
        )
        names = ("embedding", "keywords", "text")[: 3 if self._state.words.has_texts else 2]
        parts = {name: np.zeros((len(texts), len(order)), np.float32) for name in names}
        match = np.zeros((len(texts), len(order)), np.float32)
        if not len(order):
            return Matches(match, parts, rows)
        for number, text in enumerate(texts_of(self._state, texts, languages, None)):
            ranking = text.compare(None)
            match[number] = ranking.match[order]
            for name in names:
                parts[name][number] = ranking.parts[name][order]
        return Matches(match, parts, rows)

    def match_features(self, features: FloatArray, text: str, language: str) -> FloatArray:
        """(N,) how well footage outside the library, such as a generated take, shows ``text``.

        ``features`` (N, feature_size) come from the library's encoder. There is no name to compare with, so
        the match is the embedding's alone.

        Raises:
            FootageError: if the encoder cannot be loaded.
        """
        windows = self._library.encoder.project(features, language)
        state = self._state
        found = calibrated(
            self._library.encoder, state.texts([text], language), state.background(language), windows
        )
        return np.asarray(found[0], np.float32)

    def meanings(self, hits: Sequence[Hit], language: str) -> FloatArray:
        """(N, D) float32 unit vectors of what each hit's window shows, in the space of ``language``.

        Raises:
            FootageError: if the encoder cannot be loaded.
        """

        def work() -> FloatArray:
            state = self._state
            rows = []
            for hit in hits:
                place = state.catalogue.place_of(hit.shot.id)
                if place is None or hit.span not in hit.shot.windows:
                    raise ChangedLibrary
                rows.append(state.catalogue.rows_of(place).start + hit.shot.windows.index(hit.span))
            vectors = state.vectors(language).take(np.array(rows, np.int64))[:, :-1]
            return np.asarray(unit(vectors), np.float32)

        return self._safely(work)

    # -- search ----------------------------------------------------------------------------------------

    def search(
        self,
        query: Query | str,
        k: int = 10,
        language: str | None = None,
        filters: Filters | None = None,
    ) -> list[Hit]:
        """The ``k`` shots that fit the query best, each at its best window, best first.

        Of several parts, the match is the weighted geometric mean: all have to fit. Shots of one
        near-duplicate group count as one: the best stands for all. The shots that were asked with are not
        among the answers.

        Raises:
            FootageError: if the encoder cannot be loaded, the query says nothing, a picture cannot be read,
                there is no such shot, or a filter names what the library does not have.
            ValueError: if ``k`` is not positive.
        """
        if k < 1:
            raise ValueError(f"k must be positive, got {k}")
        asked = query if isinstance(query, Query) else Query(query, language=language)
        return self._safely(lambda: self._search(asked, k, language, filters))

    def _search(self, query: Query, k: int, language: str | None, filters: Filters | None) -> list[Hit]:
        state = self._state
        keep = kept_rows(filters, state.catalogue, state.facts)
        if not len(state.catalogue) or (keep is not None and not keep.any()):
            return []
        told = " ".join((query.text, *query.without))
        language = query.language or language or language_of(told)
        ranking = together(self._parts(query, language, keep))
        hits: list[Hit] = []
        asked = [self._shot(one) for one in (*query.like, *query.unlike)]
        seen = {name for shot in asked for name in _names(shot)}
        for row, place in ranked(ranking, keep):
            shot = self._library.shots.get(state.catalogue.shot_id(int(state.catalogue.shot_of_row[row])))
            if shot is None:
                raise ChangedLibrary
            if seen & _names(shot):
                continue
            seen |= _names(shot)
            hits.append(self._hit(ranking, row, place, query.text, language))
            if len(hits) == k:
                break
        return hits

    def _shot(self, name: str) -> Shot:
        if name not in self._library.shots:
            raise FootageError(
                f"there is no shot {name!r} in the library {str(self._library.root)!r}: montage search and "
                "montage plan name the shots"
            )
        return self._library.shots[name]

    def _parts(self, query: Query, language: str, keep: NDArray[np.bool_] | None) -> list[Part]:
        state, encoder = self._state, self._library.encoder
        parts: list[Part] = []
        for name, texts in (("text", [query.text] if query.text.strip() else []), ("without", query.without)):
            spoken, weight = [language] * len(texts), query.weight(name)
            parts += texts_of(state, texts, spoken, keep, name=name, weight=weight)
        for name, shots in (("like", query.like), ("unlike", query.unlike)):
            for shot in map(self._shot, shots):
                place = state.catalogue.place_of(shot.id)
                if place is None:
                    raise ChangedLibrary
                rows = state.catalogue.rows_of(place)
                windows = state.vectors(language).take(np.arange(rows.start, rows.stop))[:, :-1]
                vector = unit(windows.mean(axis=0))
                parts.append(Likeness(state, vector, language, keep, name, query.weight(name)))
        for path in query.images:
            features = encoder.encode_images([on_grey(read_picture(path))])
            vector = encoder.project(features, language)[0]
            parts.append(Likeness(state, vector, language, keep, "image", query.weight("image")))
        for path in query.sketches:
            parts.append(Sketch(state, colour_layout(read_picture(path)), keep, query.weight("sketch")))
        return parts

    def candidates(
        self,
        texts: Sequence[str],
        languages: Sequence[str],
        k: int,
        filters: Filters | None = None,
    ) -> list[list[Hit]]:
        """For each sentence its ``k`` best windows, best first, at most ``WINDOWS_A_SHOT`` of one shot.

        Raises:
            FootageError: if the encoder cannot be loaded, or a filter names what the library does not have.
            ValueError: if there are not as many languages as texts.
        """
        _same_number(texts, languages)
        return self._safely(lambda: self._candidates(texts, languages, k, filters))

    def _candidates(
        self, texts: Sequence[str], languages: Sequence[str], k: int, filters: Filters | None
    ) -> list[list[Hit]]:
        state = self._state
        keep = kept_rows(filters, state.catalogue, state.facts)
        out: list[list[Hit]] = []
        if not len(state.catalogue):
            return [[] for _ in texts]
        wanted = texts_of(state, texts, languages, keep)
        for text, language, part in zip(texts, languages, wanted, strict=True):
            ranking = part.compare(part.propose())
            chosen: list[tuple[int, int]] = []
            used: dict[int, int] = {}
            for row, place in ranked(ranking, keep):
                if len(chosen) == k:
                    break
                shot = int(state.catalogue.shot_of_row[row])
                if used.get(shot, 0) < WINDOWS_A_SHOT:
                    used[shot] = used.get(shot, 0) + 1
                    chosen.append((row, place))
            ids = [state.catalogue.shot_id(shot) for shot in used]
            if len(self._library.some_shots(ids)) < len(ids):
                raise ChangedLibrary
            out.append([self._hit(ranking, row, place, text, language) for row, place in chosen])
        return out

    def _hit(self, ranking: Ranking, row: int, place: int, text: str, language: str) -> Hit:
        catalogue = self._state.catalogue
        number = int(catalogue.shot_of_row[row])
        shot = self._library.shots[catalogue.shot_id(number)]
        why = self._state.words.why(ranking.met, text, language, row) if ranking.met is not None else ""
        return Hit(
            shot=shot,
            span=shot.windows[row - int(catalogue.first[number])],
            match=float(ranking.match[place]),
            parts={name: float(part[place]) for name, part in ranking.parts.items()},
            why=why,
        )


def _same_number(texts: Sequence[str], languages: Sequence[str]) -> None:
    if len(texts) != len(languages):
        raise ValueError(f"{len(texts)} texts but {len(languages)} languages")


def _names(shot: Shot) -> set[str]:
    return {shot.id, f"group {shot.group}"} if shot.group else {shot.id}
