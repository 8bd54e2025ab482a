"""The parts of a query, each of which proposes windows and compares them: a text, a likeness, a sketch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from index.calibration import fuse
from index.encoders.base import FloatArray
from index.pictures import alike
from index.space import State
from index.vectors import Rows, merged
from index.wordbook import Met

__all__ = ["Likeness", "Part", "Ranking", "Sketch", "Text", "ranked", "texts_of", "together"]

SHORTLIST = 2_000
"""Windows that each part of a query proposes in a large library."""
MOST_NAMED = 2_000
"""Windows that are proposed because words meet, the best first."""
TELLING = 0.3
"""Score of a word from which FAISS chooses among the windows that it meets, where not all are proposed: what
meets less than that moves a match by less than most embeddings differ."""
TOGETHER = 64
"""Texts that are encoded and multiplied at once."""
FEW = 256
"""Windows that are put in order at first: more only when these did not do."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Ranking:
    """How well n windows fit."""

    rows: Rows | None
    """The windows, sorted; None: all."""
    match: FloatArray
    """(n,) probabilities."""
    parts: Mapping[str, FloatArray]
    """(n,) each: what the match is made of."""
    met: Met | None = None
    """The words met, where there was a text."""


class Part(Protocol):
    """One part of a query."""

    name: str
    weight: float
    wanted: bool
    """False for what is not to be shown."""

    def propose(self) -> Rows | None:
        """Rows worth comparing, all that the filters leave; None for all rows."""

    def compare(self, rows: Rows | None) -> Ranking:
        """How well these rows, or all, fit this part."""


class Text:
    """A sentence that the footage shows, or whose words come with it."""

    def __init__(
        self,
        state: State,
        text: str,
        language: str,
        *,
        query: FloatArray,
        near: Rows | None,
        products: FloatArray | None,
        keep: Mask | None,
        name: str = "text",
        weight: float = 1.0,
    ) -> None:
        """``texts_of`` makes several at once, which is quicker."""
        self.name, self.weight, self.wanted = name, weight, name == "text"
        self._vectors = state.vectors(language)
        self._query, self._near, self._products, self._keep = query, near, products, keep
        self._likely = state.likely
        self._written = state.words.has_texts
        self._met = state.words.meet(text, language)

    def propose(self) -> Rows | None:
        """The nearest, and those whose words are met."""
        near, keep = self._near, self._keep
        if near is None or (keep is not None and len(near) == np.count_nonzero(keep)):
            return near
        named, left = self._met.rows(MOST_NAMED)
        if left >= TELLING:
            among = self._met.words(None) + self._met.texts(None) > 0
            (chosen,) = self._vectors.near(
                self._query[None], SHORTLIST, among if keep is None else among & keep
            )
            near = near if chosen is None else merged(near, chosen)
        return merged(near, named if keep is None else named[keep[named]])

    def compare(self, rows: Rows | None) -> Ranking:
        """The embedding's probability, raised by words (``index.calibration.fuse``)."""
        if self._products is None:
            ahead = np.asarray(self._vectors.take(rows) @ self._query, np.float32)
        else:
            ahead = self._products if rows is None else self._products[rows]
        embedding = self._likely(ahead)
        words = self._met.words(rows)
        parts = {"embedding": embedding, "keywords": words}
        if self._written:
            parts["text"] = self._met.texts(rows)
            words = np.maximum(words, parts["text"])
        return Ranking(rows, fuse(embedding, words), parts, self._met)


def texts_of(
    state: State,
    texts: Sequence[str],
    languages: Sequence[str],
    keep: Mask | None,
    *,
    name: str = "text",
    weight: float = 1.0,
) -> Iterator[Text]:
    """Texts as parts of queries, in order. Many are encoded, proposed and multiplied together."""
    for start in range(0, len(texts), TOGETHER):
        some, spoken = texts[start : start + TOGETHER], languages[start : start + TOGETHER]
        found: list[tuple[FloatArray, Rows | None, FloatArray | None] | None] = [None] * len(some)
        for language in dict.fromkeys(spoken):
            places = [place for place, other in enumerate(spoken) if other == language]
            queries = state.queries([some[place] for place in places], language)
            vectors = state.vectors(language)
            near = vectors.near(queries, SHORTLIST, keep)
            whole = vectors.take() @ queries.T if vectors.exact else None
            for number, place in enumerate(places):
                product = None if whole is None else np.ascontiguousarray(whole[:, number])
                found[place] = queries[number], near[number], product
        for text, language, made in zip(some, spoken, found, strict=True):
            assert made is not None
            query, rows, product = made
            yield Text(
                *(state, text, language),
                query=query,
                near=rows,
                products=product,
                keep=keep,
                name=name,
                weight=weight,
            )


class Likeness:
    """A picture or a shot that the footage is like: its cosine, where 0 is as like as any window of the
    library is on average, and 1 is the same."""

    def __init__(
        self, state: State, vector: FloatArray, language: str, keep: Mask | None, name: str, weight: float
    ) -> None:
        """``vector`` (D,) is L2-normalised, in the space of the language's texts."""
        self._keep = keep
        self.name, self.weight, self.wanted = name, weight, name != "unlike"
        self._vectors = state.vectors(language)
        self._query = np.append(vector, np.float32(0.0)).astype(np.float32)
        self._usual = float(vector @ self._vectors.centre)

    def propose(self) -> Rows | None:
        """The nearest."""
        (near,) = self._vectors.near(self._query[None], SHORTLIST, self._keep)
        return near

    def compare(self, rows: Rows | None) -> Ranking:
        """Likeness from 0 to 1."""
        cosine = self._vectors.take(rows) @ self._query
        likeness = np.clip((cosine - self._usual) / max(1e-6, 1.0 - self._usual), 0.0, 1.0)
        found = np.asarray(likeness, np.float32)
        return Ranking(rows, found, {self.name: found})


class Sketch:
    """Colours that lie in the frame as in a drawing."""

    name, wanted = "sketch", True

    def __init__(self, state: State, layout: FloatArray, keep: Mask | None, weight: float) -> None:
        """``layout`` is one of ``index.pictures.colour_layout``."""
        self.weight, self._keep = weight, keep
        self._catalogue = state.catalogue
        self._shots = alike(layout, state.layouts)

    def propose(self) -> Rows | None:
        """The windows of the shots that are most alike."""
        shots, keep = self._shots, self._keep
        if keep is not None:
            kept = np.zeros(len(shots), np.bool_)
            kept[self._catalogue.shot_of_row[keep]] = True
            shots = np.where(kept, shots, np.float32(-1.0))
        best = np.argsort(-shots, kind="stable")[:SHORTLIST]
        rows = np.flatnonzero(np.isin(self._catalogue.shot_of_row, best[shots[best] >= 0]))
        return rows if keep is None else rows[keep[rows]]

    def compare(self, rows: Rows | None) -> Ranking:
        """Likeness from 0 to 1, the same for all windows of a shot."""
        of_row = self._catalogue.shot_of_row
        found = self._shots[of_row if rows is None else of_row[rows]]
        return Ranking(rows, found, {self.name: found})


def together(parts: Sequence[Part]) -> Ranking:
    """The windows that any wanted part proposes, compared by all.

    The match is the weighted geometric mean of what is wanted, times 1 less each part that is not, to the
    power of its weight.
    """
    proposals = [part.propose() for part in parts if part.wanted]
    given = [one for one in proposals if one is not None]
    rows = merged(*given) if len(given) == len(proposals) else None
    rankings = [part.compare(rows) for part in parts]
    if len(parts) == 1:
        return rankings[0]
    total = sum(part.weight for part in parts if part.wanted)
    logs = np.zeros(len(rankings[0].match), np.float64)
    out: dict[str, FloatArray] = {}
    for part, ranking in zip(parts, rankings, strict=True):
        match = ranking.match.astype(np.float64)
        if part.wanted:
            logs += part.weight / total * np.log(np.maximum(match, 1e-9))
        else:
            logs += part.weight * np.log(np.maximum(1.0 - match, 1e-9))
        named = ranking.parts if part.wanted else {part.name: ranking.match}
        out |= {_free(name, out): values for name, values in named.items()}
    met = next((one.met for one in rankings if one.met is not None), None)
    return Ranking(rows, np.asarray(np.exp(logs), np.float32), out, met)


def _free(name: str, taken: Mapping[str, FloatArray]) -> str:
    """``like``, ``like 2``, ``like 3`` for several parts of one name."""
    number = 1
    while (written := name if number == 1 else f"{name} {number}") in taken:
        number += 1
    return written


def ranked(ranking: Ranking, keep: Mask | None) -> Iterator[tuple[int, int]]:
    """(row, place in the ranking) of the windows, best match first; equal ones by row."""
    match = ranking.match
    if ranking.rows is None and keep is not None:
        match = np.where(keep, match, np.float32(-1.0))
    done, most = 0, FEW
    while done < len(match):
        if most >= len(match):
            order = np.argsort(-match, kind="stable")
        else:
            edge = np.partition(match, len(match) - most)[len(match) - most]
            among = np.flatnonzero(match >= edge)
            order = among[np.argsort(-match[among], kind="stable")]
        for place in order[done:].tolist():
            if match[place] < 0:
                return
            yield int(place if ranking.rows is None else ranking.rows[place]), place
        done, most = len(order), most * 16
