"""How well does a window of footage show a sentence? Matching, search and candidates.

1. The encoder compares sentence and window. 2. The comparison is calibrated: ``embedding`` is the
probability that this sentence, and not one of the bundled background sentences, describes this window.
3. Words in common with names and metadata raise it (``keywords``), by a small logistic model.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from index.base import FootageError, Span
from index.encoders.base import Encoder, FloatArray
from index.encoders.labels import background
from index.keywords import Keywords, name_phrase
from index.languages import language_of
from index.textcache import TextCache
from index.values import Hit, Shot

if TYPE_CHECKING:
    from index.library import Library

__all__ = ["Matcher", "Matches", "calibrated", "fuse"]

KEYWORD_GAIN = 5.0
"""How far a keyword score of 1 moves the log odds of a match. Fitted by logistic regression on captions
whose pictures were given two words of another caption as a name (4.75), and rounded."""
KEYWORD_CEILING = 0.8
"""A keyword alone never matches better than this."""
SMOOTHING = 0.5
"""Share of the whole shot's mean features in those of one of its windows: one frame is easily mistaken."""
LEAST_REACH = 0.2
"""Least reach by which a cosine is divided: below it a sentence is about nothing that can be seen."""
EXACT = 50_000
"""Windows up to which a search compares all of them; above, FAISS proposes ``SHORTLIST`` of them."""
SHORTLIST = 2_000
WINDOWS_A_SHOT = 3
"""Most windows of one shot among the candidates of a sentence."""
MOST_NAMES = 2_000
"""Names up to which a sentence in another language is compared with each of them by the text model."""
NAME_SCORE = 0.6
"""Keyword score of a name that means the same as a sentence in another language."""


@dataclass(frozen=True)
class Matches:
    """How well every window of a library shows every sentence.

    Raises:
        ValueError: if the shapes disagree.
    """

    match: FloatArray
    """(S, W) float32 probabilities: sentences by windows."""
    parts: Mapping[str, FloatArray]
    """(S, W) each: ``embedding`` and ``keywords``."""
    rows: tuple[tuple[str, Span], ...]
    """Shot id and span of each window, in the order of ``Library.features``."""
    words: tuple[Mapping[str, str], ...] = ()
    """For each sentence, the words met by media id."""

    def __post_init__(self) -> None:
        shapes = {self.match.shape, *(part.shape for part in self.parts.values())}
        if len(shapes) > 1 or self.match.shape[1] != len(self.rows):
            raise ValueError(f"matches of shapes {shapes} do not fit {len(self.rows)} windows")

    @property
    def best(self) -> FloatArray:
        """(S,) the best match of each sentence; 0 where there is no window."""
        return np.asarray(self.match.max(axis=1, initial=0.0), np.float32)


def _sigmoid(values: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -60.0, 60.0))), np.float32)


def calibrated(encoder: Encoder, texts: FloatArray, others: FloatArray, windows: FloatArray) -> FloatArray:
    """(S, W) probabilities that each text, and not one of the others, describes each window.

    ``texts`` (S, D), ``others`` (B, D) and ``windows`` (W, D) are L2-normalised. An encoder trained with a
    sigmoid (SigLIP) uses its own; otherwise the log odds are the text's cosine less the pooled cosines of
    the others at the same window, at the encoder's temperature: a softmax over text and others. Where the
    encoder knows how near a text can come to any picture (``reach``), cosines are divided by that.
    """
    how = encoder.calibration
    cosines = texts @ windows.T
    if how.kind == "sigmoid":
        return _sigmoid(cosines * how.temperature + how.bias)
    pooled = others @ windows.T
    reach = getattr(encoder, "reach", None)
    if reach is not None:
        cosines = cosines / np.maximum(reach(texts), LEAST_REACH)[:, None]
        pooled = pooled / np.maximum(reach(others), LEAST_REACH)[:, None]
    temperature = how.background or how.temperature
    top = pooled.max(axis=0)
    level = top + temperature * np.log(np.exp((pooled - top) / temperature).mean(axis=0))
    return _sigmoid((cosines - level - how.bias) / how.temperature)


def fuse(embedding: FloatArray, keywords: FloatArray) -> FloatArray:
    """The match made of both parts: log odds of the embedding plus ``KEYWORD_GAIN`` times the keywords.

    Keywords lift a match to ``KEYWORD_CEILING`` at most, and beyond that only as far as the embedding is
    for it, too. Without keywords it is the embedding's probability.
    """
    safe = np.clip(embedding, 1e-6, 1.0 - 1e-6)
    lifted = _sigmoid(np.log(safe / (1.0 - safe)) + KEYWORD_GAIN * keywords)
    ceiling = KEYWORD_CEILING + (1.0 - KEYWORD_CEILING) * np.maximum(0.0, 2.0 * embedding - 1.0)
    fused = np.where(keywords > 0, np.maximum(embedding, np.minimum(lifted, ceiling)), embedding)
    return np.asarray(fused, np.float32)


class Matcher:
    """Matches sentences with the windows of one library, with the encoder that the library was built with.

    Raises:
        FootageError: (on first use) if the library's encoder cannot be loaded.
    """

    def __init__(self, library: Library, cache: bool = True, exact: int = EXACT) -> None:
        """``cache`` keeps text vectors beside the index; ``exact`` is as ``EXACT``."""
        self._library = library
        self._cache = TextCache(library.store_dir if cache else None)
        self._exact = exact
        self._projected: dict[str, FloatArray] = {}

    @cached_property
    def _rows(self) -> tuple[tuple[str, Span], ...]:
        return self._library.features()[1]

    @cached_property
    def _features(self) -> FloatArray:
        """Features of the windows, each drawn towards the mean of its shot."""
        features, rows = self._library.features()
        if not len(rows):
            return np.asarray(features, np.float32)
        names = np.array([shot for shot, _ in rows])
        starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
        counts = np.diff(np.r_[starts, len(rows)])
        means = np.add.reduceat(features, starts, axis=0) / counts[:, None]
        smooth = (1.0 - SMOOTHING) * features + SMOOTHING * np.repeat(means, counts, axis=0)
        return np.asarray(smooth, np.float32)

    @cached_property
    def _media_order(self) -> tuple[str, ...]:
        return tuple(self._library.media)

    @cached_property
    def _media_of_row(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        place = {media: index for index, media in enumerate(self._media_order)}
        shots = self._library.shots
        return np.array([place[shots[shot].media] for shot, _ in self._rows], np.int64)

    @cached_property
    def _keywords(self) -> Keywords:
        return Keywords([self._library.media[media] for media in self._media_order])

    def _windows(self, language: str) -> FloatArray:
        if language not in self._projected:
            self._projected[language] = self._library.encoder.project(self._features, language)
        return self._projected[language]

    def _texts(self, texts: Sequence[str], language: str) -> FloatArray:
        encoder = self._library.encoder
        key = str(getattr(encoder, "text_key", encoder.hash))
        return self._cache.vectors(key, language, texts, lambda new: encoder.encode_texts(new, language))

    def _background(self, language: str) -> FloatArray:
        own = getattr(self._library.encoder, "background", None)
        return own(language) if own is not None else self._texts(background(language), language)

    def match(self, texts: Sequence[str], languages: Sequence[str]) -> Matches:
        """How well every window shows every sentence.

        Raises:
            FootageError: if the encoder cannot be loaded.
            ValueError: if there are not as many languages as texts.
        """
        return self._match(texts, languages, None)

    def match_features(self, features: FloatArray, text: str, language: str) -> FloatArray:
        """(N,) how well footage outside the library, such as a generated take, shows ``text``.

        ``features`` (N, feature_size) come from the library's encoder. There is no name to compare with, so
        the match is the embedding's alone.

        Raises:
            FootageError: if the encoder cannot be loaded.
        """
        windows = self._library.encoder.project(features, language)
        found = calibrated(
            self._library.encoder, self._texts([text], language), self._background(language), windows
        )
        return np.asarray(found[0], np.float32)

    def _match(
        self, texts: Sequence[str], languages: Sequence[str], chosen: np.ndarray[Any, Any] | None
    ) -> Matches:
        if len(texts) != len(languages):
            raise ValueError(f"{len(texts)} texts but {len(languages)} languages")
        rows = self._rows if chosen is None else tuple(self._rows[int(row)] for row in chosen)
        embedding = np.zeros((len(texts), len(rows)), np.float32)
        for language in dict.fromkeys(languages):
            places = [place for place, other in enumerate(languages) if other == language]
            if len(rows):
                windows = self._windows(language)
                embedding[places] = calibrated(
                    self._library.encoder,
                    self._texts([texts[place] for place in places], language),
                    self._background(language),
                    windows if chosen is None else windows[chosen],
                )
        of_media, words = self._keyword_scores(texts, languages)
        media_rows = self._media_of_row if chosen is None else self._media_of_row[chosen]
        keywords = of_media[:, media_rows] if len(rows) else np.zeros_like(embedding)
        parts = {"embedding": embedding, "keywords": keywords}
        return Matches(fuse(embedding, keywords), parts, rows, words)

    def _keyword_scores(
        self, texts: Sequence[str], languages: Sequence[str]
    ) -> tuple[FloatArray, tuple[Mapping[str, str], ...]]:
        scores, met = self._keywords.scores(texts, languages)
        for row, (text, language) in enumerate(zip(texts, languages, strict=True)):
            if language != "en" and not met[row]:
                for place, score in self._names_meant(text, language).items():
                    scores[row, place] = score
                    met[row][place] = self._names[place]
        words = tuple({self._media_order[place]: word for place, word in one.items()} for one in met)
        return scores, words

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """For each media what its first name says in words that this is no language of the sentence."""
        media = self._library.media
        return tuple(
            " ".join(dict.fromkeys(f"{name_phrase(media[one].paths[0])} {media[one].text}".split()))
            for one in self._media_order
        )

    def _names_meant(self, text: str, language: str) -> dict[int, float]:
        """Names in another language that mean what the sentence says, by multilingual-e5-small."""
        from index.encoders.texts import encode_e5, text_signature

        spoken = [place for place, name in enumerate(self._names) if name and language_of(name) != language]
        if not spoken or len(spoken) > MOST_NAMES:
            return {}
        key = f"e5 {text_signature()}"

        def encode(texts: Sequence[str], query: bool) -> FloatArray:
            kind = "query" if query else "passage"
            return self._cache.vectors(key, kind, texts, lambda new: encode_e5(new, query=query))

        names = encode([self._names[place] for place in spoken], False)
        usual = encode(background(language), True) @ names.T
        ahead = ((encode([text], True) @ names.T)[0] - usual.mean(axis=0)) / usual.std(axis=0)
        chance = _sigmoid((ahead - NAME_AHEAD) * 3.0)
        return {
            place: NAME_SCORE * float(share)
            for place, share in zip(spoken, chance, strict=True)
            if share > 0.1
        }

    def search(self, text: str, k: int = 10, language: str | None = None) -> list[Hit]:
        """The ``k`` shots that ``text`` describes best, each at its best window, best first.

        Shots of one near-duplicate group count as one: the best stands for all.

        Raises:
            FootageError: if the encoder cannot be loaded, or ``text`` says nothing.
            ValueError: if ``k`` is not positive.
        """
        if not text.strip():
            raise FootageError("an empty text finds nothing: say what the shot should show")
        if k < 1:
            raise ValueError(f"k must be positive, got {k}")
        language = language or language_of(text)
        chosen = self._proposed(text, language) if len(self._rows) > self._exact else None
        matches = self._match([text], [language], chosen)
        hits: list[Hit] = []
        seen: set[str] = set()
        for row in np.argsort(-matches.match[0], kind="stable"):
            shot = self._library.shots[matches.rows[int(row)][0]]
            names = {shot.id, f"group {shot.group}"} if shot.group else {shot.id}
            if seen & names:
                continue
            seen |= names
            hits.append(self._hit(matches, 0, int(row), shot))
            if len(hits) == k:
                break
        return hits

    def candidates(self, texts: Sequence[str], languages: Sequence[str], k: int) -> list[list[Hit]]:
        """For each sentence its ``k`` best windows, best first, at most ``WINDOWS_A_SHOT`` of one shot.

        Raises:
            FootageError: if the encoder cannot be loaded.
            ValueError: if there are not as many languages as texts.
        """
        matches = self.match(texts, languages)
        out: list[list[Hit]] = []
        for place in range(len(texts)):
            hits: list[Hit] = []
            used: dict[str, int] = {}
            for row in np.argsort(-matches.match[place], kind="stable"):
                if len(hits) == k:
                    break
                shot = self._library.shots[matches.rows[int(row)][0]]
                if used.get(shot.id, 0) < WINDOWS_A_SHOT:
                    used[shot.id] = used.get(shot.id, 0) + 1
                    hits.append(self._hit(matches, place, int(row), shot))
            out.append(hits)
        return out

    def _hit(self, matches: Matches, place: int, row: int, shot: Shot) -> Hit:
        words = matches.words[place].get(shot.media, "")
        return Hit(
            shot=shot,
            span=matches.rows[row][1],
            match=float(matches.match[place, row]),
            parts={name: float(part[place, row]) for name, part in matches.parts.items()},
            why=f"name: {words}" if words else "",
        )

    def _proposed(self, text: str, language: str) -> np.ndarray[Any, Any]:
        """Rows worth comparing in a large library: nearest by FAISS, and those of media whose words meet."""
        vectors = self._windows(language)
        index = _faiss_index(vectors, language, self._library.store_dir)
        count = min(SHORTLIST, len(vectors))
        _, near = index.search(self._texts([text], language), count)
        scores, _ = self._keyword_scores([text], [language])
        named = np.argsort(-scores[0], kind="stable")[:SHORTLIST]
        named = named[scores[0, named] > 0]
        by_name = np.flatnonzero(np.isin(self._media_of_row, named))
        return np.unique(np.concatenate([near[0][near[0] >= 0], by_name]))


NAME_AHEAD = 2.5
"""Standard deviations by which a sentence must be nearer to a name than background sentences are, for an
even chance that both mean the same."""


def _faiss_index(vectors: FloatArray, language: str, folder: Path) -> Any:
    """An index of the projected windows, read from ``folder`` or made and kept there; derived, by content."""
    import faiss

    digest = hashlib.sha256(str(vectors.shape).encode() + vectors[:: max(1, len(vectors) // 4096)].tobytes())
    path = folder / f"windows-{language}-{digest.hexdigest()[:16]}.faiss"
    if path.is_file():
        try:
            index = faiss.read_index(str(path))
            if index.ntotal == len(vectors) and index.d == vectors.shape[1]:
                _probe(index)
                return index
        except RuntimeError:
            pass  # damaged: made anew below
    columns = vectors.shape[1]
    if len(vectors) <= EXACT:
        index = faiss.IndexFlatIP(columns)
    else:
        cells = int(4 * np.sqrt(len(vectors)))
        index = faiss.index_factory(columns, f"IVF{cells},SQ8", faiss.METRIC_INNER_PRODUCT)
        sample = vectors[:: max(1, len(vectors) // (cells * 64))]
        index.train(np.ascontiguousarray(sample))
    index.add(np.ascontiguousarray(vectors))
    _probe(index)
    try:
        for old in folder.glob(f"windows-{language}-*.faiss"):
            old.unlink(missing_ok=True)
        handle, part = tempfile.mkstemp(dir=folder, suffix=".part")
        os.close(handle)
        faiss.write_index(index, part)
        os.replace(part, path)
    except (OSError, RuntimeError):
        return index  # a folder that cannot be written: made again next time
    return index


def _probe(index: Any) -> None:
    if hasattr(index, "nprobe"):
        index.nprobe = 64
