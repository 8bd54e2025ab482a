"""A speech recogniser as a listener: when it heard which word, matched to the words that the script has.

The recogniser is faster-whisper (an optional package) with weights that are already on this machine. Its
spelling is never used: only its times are.
"""

from __future__ import annotations

import importlib
import importlib.util
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.base import model_folder
from montage.pronouncing import SpokenWord
from montage.values import MontageError

__all__ = ["HeardWord", "MatchedWord", "match_words", "recogniser_folder", "transcribe"]

PACKAGE = "faster_whisper"
LEAST_MATCHED = 0.35
"""If fewer of the script's words than this share are heard, something else is read."""


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word as a recogniser heard it.

    Raises:
        ValueError: if it ends before it starts.
    """

    text: str
    start: float
    """Seconds."""
    end: float

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"a word ends after it starts, got {self}")


@dataclass(frozen=True, slots=True)
class MatchedWord:
    """When a word of the script was heard."""

    start: float
    end: float
    certain: bool
    """Whether the recogniser heard this very word; others lie between their neighbours by their length."""


def recogniser_folder(model: Path | str | None = None) -> Path | None:
    """Folder of a recogniser's weights, if there are any and the package that runs them is installed."""
    if importlib.util.find_spec(PACKAGE) is None:
        return None
    folder = Path(model) if model is not None else model_folder() / "whisper"
    return folder if (folder / "model.bin").is_file() else None


def transcribe(
    samples: NDArray[np.float32], folder: Path, *, language: str | None = None
) -> tuple[HeardWord, ...]:
    """The words that are heard in mono sound at 16 kHz, with their times.

    Raises:
        MontageError: if the weights cannot be used.
    """
    package: Any = importlib.import_module(PACKAGE)
    try:
        model = package.WhisperModel(str(folder), local_files_only=True, compute_type="int8")
        segments, _ = model.transcribe(
            samples, language=language, word_timestamps=True, condition_on_previous_text=False
        )
        words = [word for segment in segments for word in segment.words or ()]
    except (RuntimeError, ValueError, OSError) as error:
        raise MontageError(
            f"the speech recogniser in {folder} cannot be used ({error}): align by silence, or fetch its "
            "weights again"
        ) from error
    return tuple(HeardWord(word.word, float(word.start), float(word.end)) for word in words)


def match_words(
    heard: Sequence[HeardWord], words: Sequence[SpokenWord], *, path: Path | str = "the narration"
) -> tuple[MatchedWord, ...]:
    """Give each word of the script the time of the word that was heard in its place.

    Both texts are cut into words (characters, in Chinese and Japanese) and matched by the fewest changes
    (Levenshtein 1966); words that were misheard take the time of what was heard instead, those that were not
    heard at all share the time between their neighbours by their lengths.

    Raises:
        MontageError: if hardly any word of the script is heard.
    """
    pieces = [piece for word in heard for piece in _pieces(word)]
    units = [(number, text) for number, word in enumerate(words) for text in _tokens(word.text)]
    units = units or [(number, "") for number in range(len(words))]
    pairs = _fewest_changes([piece.text for piece in pieces], [text for _, text in units])
    same = [(a, b) for a, b in pairs if pieces[a].text == units[b][1]]
    if len(same) < LEAST_MATCHED * len(units):
        raise MontageError(
            f"{path} does not seem to read this script: {len(same)} of its {len(units)} words were heard; "
            "check that script and narration belong together"
        )
    spans: list[tuple[float, float] | None] = [None] * len(words)
    certain = [False] * len(words)
    equal = set(same)
    for a, b in pairs:
        number = units[b][0]
        before = spans[number]
        spans[number] = (pieces[a].start if before is None else before[0], pieces[a].end)
        certain[number] |= (a, b) in equal
    return _filled(spans, certain, words, pieces[-1].end)


def _tokens(text: str) -> list[str]:
    """Words of a text without case, marks and punctuation; each wide character is one."""
    out = [""]
    for character in unicodedata.normalize("NFKC", text).casefold():
        if unicodedata.east_asian_width(character) in "WF" and character.isalnum():
            out += [character, ""]
        elif character.isalnum() or unicodedata.combining(character):
            out[-1] += character
        elif character not in "'’":
            out.append("")
    return [token for token in out if token]


def _pieces(word: HeardWord) -> list[HeardWord]:
    """A heard word as tokens, its time shared by their lengths."""
    tokens = _tokens(word.text)
    total = sum(map(len, tokens))
    out, at = [], 0
    for token in tokens:
        begin = word.start + (word.end - word.start) * at / total
        at += len(token)
        out.append(HeardWord(token, begin, word.start + (word.end - word.start) * at / total))
    return out


def _fewest_changes(heard: Sequence[str], wanted: Sequence[str]) -> list[tuple[int, int]]:
    """Places (heard, wanted) that stand for each other when one text is changed into the other."""
    if not heard or not wanted:
        return []
    names = {text: place for place, text in enumerate(dict.fromkeys([*heard, *wanted]))}
    ours = np.array([names[text] for text in wanted])
    order = np.arange(len(wanted) + 1)
    costs = np.empty((len(heard) + 1, len(wanted) + 1), np.int32)
    costs[0] = order
    for row, text in enumerate(heard, start=1):
        best = np.empty(len(wanted) + 1, np.int32)
        best[0] = row
        # A word that was misheard costs less than one left out and one put in.
        best[1:] = np.minimum(costs[row - 1, :-1] + (ours != names[text]), costs[row - 1, 1:] + 1)
        costs[row] = np.minimum.accumulate(best - order) + order
    pairs = []
    a, b = len(heard), len(wanted)
    while a and b:
        here = costs[a, b]
        if here == costs[a - 1, b - 1] + (heard[a - 1] != wanted[b - 1]):
            a, b = a - 1, b - 1
            pairs.append((a, b))
        elif here == costs[a - 1, b] + 1:
            a -= 1
        else:
            b -= 1
    return pairs[::-1]


def _filled(
    spans: Sequence[tuple[float, float] | None],
    certain: Sequence[bool],
    words: Sequence[SpokenWord],
    end: float,
) -> tuple[MatchedWord, ...]:
    out: list[MatchedWord] = []
    place, now = 0, 0.0
    while place < len(words):
        span = spans[place]
        if span is not None:
            now = max(now, span[1])
            out.append(MatchedWord(max(span[0], out[-1].end if out else 0.0), now, certain[place]))
            place += 1
            continue
        stop = place
        while stop < len(words) and spans[stop] is None:
            stop += 1
        following = spans[stop] if stop < len(words) else None
        lengths = [word.seconds for word in words[place:stop]]
        limit = following[0] if following is not None else max(end, now)
        begin = now if place else max(0.0, limit - sum(lengths))
        share = max(0.0, limit - begin) / sum(lengths)
        for length in lengths:
            out.append(MatchedWord(begin, begin + length * share, False))
            begin += length * share
        now = max(now, begin)
        place = stop
    return tuple(out)
