"""All that is written and said about the footage of a library, ready to be met by sentences.

Names, texts beside the files and inside them count for all of a media; what is said in it (subtitles) counts
for the windows in which it is said. Words are compared as stems (``index.keywords``), captions and what is
said also by what they mean, through multilingual-e5-small.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.calibration import sigmoid
from index.catalogue import Catalogue, MediaFacts
from index.derived import Parts, derive
from index.encoders.base import FloatArray
from index.encoders.labels import background
from index.keywords import Keywords, document_words, name_phrase, words_of
from index.languages import language_of
from index.store import Store
from index.textcache import TextCache
from index.vectors import Rows, merged

__all__ = ["MOST_PASSAGES", "Met", "Wordbook"]

MEANT = 0.6
"""Score of a text that means the same as the sentence: as much as one word in common."""
NAME_AHEAD = 2.5
"""Standard deviations by which a sentence must be nearer to a name than background sentences are, for an
even chance that both mean the same."""
NAME_SLOPE = 3.0
TEXT_AHEAD = 3.5
TEXT_SLOPE = 1.8
"""The same for captions, by a logistic regression on two captions each of 150 pictures of Flickr8k, against
those of other pictures at five times their weight: 3.4 and 1.77 (AUC .98)."""
LEAST_CHANCE = 0.1
"""A chance below this is none."""
MOST_NAMES = 2_000
"""Names up to which a sentence in another language is compared with each of them by the text model."""
MOST_PASSAGES = 20_000
"""Passages up to which the text model compares each with a sentence; those after have their words alone."""
CHUNK = 256
"""Passages embedded between two writes of what is known."""
_FORM = "1"


@dataclass(frozen=True, eq=False)
class Met:
    """What one sentence meets in the words of a library."""

    catalogue: Catalogue
    media: FloatArray
    """(M,) score of the words of each media."""
    meant: FloatArray
    """(M,) score of what the names of each media mean, in another language."""
    places: tuple[Rows, Rows]
    """For words and for meaning: the rows at which a passage is met, sorted, each once."""
    scores: tuple[FloatArray, FloatArray]
    passages: tuple[Rows, Rows]
    """The best passage at each of these rows."""

    def words(self, rows: Rows | None) -> FloatArray:
        """The keyword scores of these rows, or of all."""
        score = np.maximum(self.media, self.meant)[_of(self.catalogue.media_of_row, rows)]
        return np.asarray(np.maximum(score, self._at(0, rows)), np.float32)

    def texts(self, rows: Rows | None) -> FloatArray:
        """The scores of what captions and speech mean, of these rows or of all."""
        return self._at(1, rows)

    def _at(self, kind: int, rows: Rows | None) -> FloatArray:
        places, scores = self.places[kind], self.scores[kind]
        out = np.zeros(len(self.catalogue) if rows is None else len(rows), np.float32)
        if rows is None:
            out[places] = scores
        elif len(places):
            spot = np.minimum(np.searchsorted(places, rows), len(places) - 1)
            out = np.where(places[spot] == rows, scores[spot], np.float32(0.0))
        return out

    def passage(self, row: int) -> int | None:
        """The passage that speaks most for this row, None if there is none."""
        best: tuple[float, int] | None = None
        for places, scores, passages in zip(self.places, self.scores, self.passages, strict=True):
            spot = int(np.searchsorted(places, row))
            if spot < len(places) and places[spot] == row and (best is None or scores[spot] > best[0]):
                best = float(scores[spot]), int(passages[spot])
        return best[1] if best else None

    def rows(self, most: int) -> tuple[Rows, float]:
        """(up to about ``most`` rows at which most is met, sorted; the best score that was left out)."""
        score = np.maximum(self.media, self.meant)
        first = self.catalogue.first_of_media
        media = np.flatnonzero(score > 0)
        counts = first[media + 1] - first[media]
        left = 0.0
        if counts.sum() > most:
            order = np.argsort(-score[media], kind="stable")
            kept = int(np.searchsorted(np.cumsum(counts[order]), most, "right"))
            left = float(score[media[order[kept]]])
            media = np.sort(media[order[:kept]])
            counts = first[media + 1] - first[media]
        ends = np.cumsum(counts)
        rows = np.repeat(first[media] - (ends - counts), counts) + np.arange(int(counts.sum()))
        for places, scores in zip(self.places, self.scores, strict=True):
            if len(places) > most:
                order = np.argsort(-scores, kind="stable")
                left = max(left, float(scores[order[most]]))
                rows = merged(rows, places[order[:most]])
            else:
                rows = merged(rows, places)
        return np.asarray(rows, np.int64), left


class Wordbook:
    """The words of one state of a library. Arrays come from ``words.derived`` and ``meanings.derived``."""

    def __init__(
        self,
        store: Store,
        encoder: str,
        folder: Path | None,
        cache: TextCache,
        catalogue: Catalogue,
        facts: MediaFacts,
    ) -> None:
        self._store, self._encoder, self._folder, self._cache = store, encoder, folder, cache
        self._catalogue, self._facts = catalogue, facts
        path = folder / "words.derived" if folder is not None else None
        arrays = derive(path, f"words {_FORM} {facts.mark}", self._parts)
        names = ("vocabulary", "backward", "offsets", "places")
        self._media = Keywords({name: arrays[f"media {name}"] for name in names}, len(facts.paths))
        self._low, self._high = arrays["low"], arrays["high"]
        self._from = arrays["from"]
        texts = arrays["texts"].tobytes().decode("utf-8")
        self._texts = texts.split("\0") if len(self._low) else []
        self._said = Keywords({name: arrays[f"said {name}"] for name in names}, len(self._texts))

    def _parts(self) -> Parts:
        place = {self._catalogue.media_id(media): media for media in range(len(self._facts.paths))}
        low, high, starts, texts = [], [], [], []
        for media, passage in self._store.passages(self._encoder):
            if media not in place:
                continue
            first = self._catalogue.first_of_media
            rows = slice(int(first[place[media]]), int(first[place[media] + 1]))
            if passage.span is not None:
                begin, end = float(passage.span.start), float(passage.span.end)
                rows = self._catalogue.rows_within(place[media], begin, end)
            if rows.start < rows.stop:
                low.append(rows.start)
                high.append(rows.stop)
                starts.append(float(passage.span.start) if passage.span else -1.0)
                texts.append(passage.text.replace("\0", " "))
        media_words = Keywords.parts(
            document_words(paths, text)
            for paths, text in zip(self._facts.paths, self._facts.texts, strict=True)
        )
        # A caption of a whole file is among the words of its media already.
        said = Keywords.parts(
            words_of(text) if start >= 0 else () for text, start in zip(texts, starts, strict=True)
        )
        return {
            **{f"media {name}": array for name, array in media_words.items()},
            **{f"said {name}": array for name, array in said.items()},
            "low": np.array(low, np.int64),
            "high": np.array(high, np.int64),
            "from": np.array(starts, np.float64),
            "texts": np.frombuffer("\0".join(texts).encode(), np.uint8),
        }

    def meet(self, text: str, language: str) -> Met:
        """What the sentence meets.

        Raises:
            FootageError: if there are captions to be compared and the text model is missing.
        """
        count = len(self._facts.paths)
        media, meant = np.zeros(count, np.float32), np.zeros(count, np.float32)
        found, scores = self._media.scores(text, language)
        media[found] = scores
        if language != "en" and not len(found):
            for place, score in self._names_meant(text, language):
                meant[place] = score
        said = self._spread(*self._said.scores(text, language))
        texts = self._spread(*self._meanings(text)) if len(self._texts) else _NOTHING
        kinds = (said, texts)
        return Met(
            self._catalogue,
            media,
            meant,
            (said[0], texts[0]),
            (said[1], texts[1]),
            (kinds[0][2], kinds[1][2]),
        )

    def why(self, met: Met, text: str, language: str, row: int) -> str:
        """One line for a person: the words met at this row, and what is said or written there."""
        media = int(self._catalogue.media_of_row[row])
        lines = []
        if met.media[media] > 0 and (words := self._media.why(text, language, media)):
            lines.append(f"name: {words}")
        elif met.meant[media] > 0:
            lines.append(f"name: {self._names[media]}")
        passage = met.passage(row)
        if passage is not None:
            start = self._from[passage]
            where = f"said at {_clock(start)}" if start >= 0 else "text"
            lines.append(f"{where}: {_shortened(self._texts[passage])}")
        return "; ".join(lines)

    def _spread(self, passages: NDArray[np.int64], scores: FloatArray) -> tuple[Rows, FloatArray, Rows]:
        """(rows, score, passage) of passages that were met: each row once, with the best of them."""
        kept = scores > 0
        passages, scores = passages[kept], scores[kept]
        if not len(passages):
            return _NOTHING
        low, high = self._low[passages], self._high[passages]
        sizes = high - low
        total = int(sizes.sum())
        ends = np.cumsum(sizes)
        rows = np.repeat(low - (ends - sizes), sizes) + np.arange(total)
        of, score = np.repeat(passages, sizes), np.repeat(scores, sizes)
        order = np.lexsort((of, -score, rows))
        rows, score, of = rows[order], score[order], of[order]
        once = np.r_[True, rows[1:] != rows[:-1]]
        return rows[once], np.asarray(score[once], np.float32), of[once]

    # -- meaning ---------------------------------------------------------------------------------------

    def _encode(self, texts: Sequence[str], *, query: bool) -> FloatArray:
        from index.encoders.texts import encode_e5, text_signature

        return self._cache.vectors(
            f"e5 {text_signature()}",
            "query" if query else "passage",
            texts,
            lambda new: encode_e5(new, query=query),
        )

    @cached_property
    def _passages(self) -> dict[str, NDArray[Any]]:
        """Vectors of the passages, and how near background sentences come to each."""
        from index.encoders.texts import text_signature

        path = self._folder / "meanings.derived" if self._folder is not None else None
        return derive(path, f"meanings {_FORM} {self._facts.mark} {text_signature()}", self._meaning_parts)

    def _meaning_parts(self) -> Parts:
        usual = self._encode(background("en"), query=True)
        means: list[FloatArray] = []
        spreads: list[FloatArray] = []

        def vectors() -> Iterator[NDArray[np.float16]]:
            for start in range(0, min(len(self._texts), MOST_PASSAGES), CHUNK):
                made = self._encode(self._texts[start : start + CHUNK], query=False)
                near = usual @ made.T
                means.append(near.mean(axis=0))
                spreads.append(near.std(axis=0))
                yield made.astype(np.float16)

        def level() -> Iterator[FloatArray]:
            yield np.stack([np.concatenate(means), np.concatenate(spreads)], axis=1)

        return {"vectors": vectors(), "level": level()}

    @property
    def has_texts(self) -> bool:
        """Whether there are captions or subtitles."""
        return bool(self._texts)

    def prepare(self) -> None:
        """Make the files that a sentence needs."""
        if self._texts:
            _ = self._passages

    def _meanings(self, text: str) -> tuple[NDArray[np.int64], FloatArray]:
        known = self._passages
        near = known["vectors"].astype(np.float32) @ self._encode([text], query=True)[0]
        ahead = (near - known["level"][:, 0]) / np.maximum(known["level"][:, 1], 1e-6)
        chance = sigmoid((ahead - TEXT_AHEAD) * TEXT_SLOPE)
        found = np.flatnonzero(chance > LEAST_CHANCE)
        return found, np.asarray(MEANT * chance[found], np.float32)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """For each media what its first name and the text about it say."""
        return tuple(
            " ".join(dict.fromkeys(f"{name_phrase(paths[0])} {text}".split())) if paths else ""
            for paths, text in zip(self._facts.paths, self._facts.texts, strict=True)
        )

    def _names_meant(self, text: str, language: str) -> list[tuple[int, float]]:
        """Names in another language that mean what the sentence says."""
        spoken = [place for place, name in enumerate(self._names) if name and language_of(name) != language]
        if not spoken or len(spoken) > MOST_NAMES:
            return []
        names = self._encode([self._names[place] for place in spoken], query=False)
        usual = self._encode(background(language), query=True) @ names.T
        near = (self._encode([text], query=True) @ names.T)[0]
        chance = sigmoid(((near - usual.mean(axis=0)) / usual.std(axis=0) - NAME_AHEAD) * NAME_SLOPE)
        return [
            (place, MEANT * float(share))
            for place, share in zip(spoken, chance, strict=True)
            if share > LEAST_CHANCE
        ]


_NOTHING: tuple[Rows, FloatArray, Rows] = (
    np.zeros(0, np.int64),
    np.zeros(0, np.float32),
    np.zeros(0, np.int64),
)


def _of(values: NDArray[Any], rows: Rows | None) -> NDArray[Any]:
    return values if rows is None else values[rows]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _shortened(text: str, most: int = 80) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3].rstrip() + "..."
