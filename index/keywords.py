"""Words of a sentence against the words that come with footage: names, sidecar text, metadata.

The first of the two ways in which *Write-A-Video* (SIGGRAPH Asia 2019) finds candidate shots. Words are
compared as stems, so that "dogs running" meets ``dog-run.mp4``; a Chinese sentence also meets English names,
by way of a glossary.
"""

from __future__ import annotations

import math
import re
import sys
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.chinese import cut_chinese
from index.encoders.base import FloatArray
from index.languages import language_of

__all__ = ["Keywords", "document_words", "name_phrase", "query_words", "stem", "words_of"]

HIT = 0.6
"""What one word in common is worth; several add up as independent chances, 1 - (1 - HIT)^n."""
INSIDE = 0.8
"""Worth of a word that is only part of a name written as one (``blackswan``), against a whole word."""
SHORTEST_INSIDE = 4
"""Letters that a word needs to be looked for inside another."""

_HAN = r"㐀-䶿一-鿿豈-﫿"
_KANA = r"぀-ヿㇰ-ㇿ"
_HANGUL = r"가-힯ᄀ-ᇿ"
_KATAKANA = r"゠-ヿㇰ-ㇿ"
_TOKEN = re.compile(
    rf"[{_HAN}]+|[{_KATAKANA}]+|[぀-ゟ]+|[{_HANGUL}]+|(?:(?![{_HAN}{_KANA}{_HANGUL}])[^\W\d_])+"
)
_OPAQUE = re.compile(r"[0-9a-f]{8,}$", re.IGNORECASE)


@cache
def _stop() -> frozenset[str]:
    text = (Path(__file__).parent / "stopwords.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


_IRREGULAR: dict[str, str] = dict(
    re.findall(
        r"(\w+)=(\w+)",
        "men=man women=woman children=child people=person feet=foot teeth=tooth mice=mouse "
        "geese=goose leaves=leaf wolves=wolf knives=knife wives=wife lives=life shelves=shelf "
        "ran=run swam=swim sang=sing rode=ride drove=drive flew=fly fell=fall sat=sit stood=stand "
        "ate=eat threw=throw caught=catch bought=buy wrote=write spoke=speak swum=swim dying=die "
        "lying=lie oxen=ox sheep=sheep bus=bus gas=gas news=news ",
    )
)


def stem(word: str) -> str:
    """The common form of an English word's plural, -ing, -ed: ``horses``, ``running``, ``parties``.

    A few rules and a few irregular words; it need not be a word, only the same for the same.
    """
    word = word.lower()
    if word in _IRREGULAR:
        return _bare(_IRREGULAR[word])
    if word.endswith("'s"):
        word = word[:-2]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed", "er"):
        root = word[: -len(ending)]
        if len(root) >= 3 and word.endswith(ending) and re.search("[aeiouy]", root):
            if ending == "er" and not (root[-1] == root[-2] or root.endswith("ng")):
                break  # "runner", "singer", but not "tiger" or "river"
            doubled = root[-1] == root[-2] and root[-1] not in "lsz"
            return root[:-1] if doubled else root
    return _bare(word)


def _bare(word: str) -> str:
    """Without a silent e, which ``-ing`` and ``-ed`` lose: "ride" and "riding" meet as "rid"."""
    return word[:-1] if len(word) > 3 and word.endswith("e") and word[-2] != "e" else word


def words_of(text: str, language: str | None = None) -> tuple[str, ...]:
    """The content words of a text, stemmed, in order, without repeats; function words are left out.

    Chinese is cut by jieba; Japanese gives its katakana words and the pairs of neighbouring kanji; of
    other languages words are what lies between spaces.
    """
    return tuple(_forms(text, language))


def _forms(text: str, language: str | None = None) -> dict[str, str]:
    """The content words of a text: how each is written by its stem."""
    text = unicodedata.normalize("NFKC", text)
    language = language or language_of(text)
    out: dict[str, str] = {}
    for token in _TOKEN.findall(text):
        if re.match(f"[{_HAN}]", token):
            pieces = _japanese_pairs(token) if language == "ja" else cut_chinese(token)
            out.update({piece: piece for piece in pieces if piece not in _stop()})
        elif re.match(f"[{_KANA}]", token):
            if len(token) > 1 and re.match(f"[{_KATAKANA}]", token):
                out[token] = token
        elif token.lower() not in _stop() and len(token) > 1:
            for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]{2,}(?![a-z])|[^\x00-\x7f]+", token) or [token]:
                if len(part) > 1 and part.lower() not in _stop():
                    out.setdefault(stem(part), part.lower())
    return out


def _japanese_pairs(token: str) -> list[str]:
    return [token] if len(token) <= 2 else [token[i : i + 2] for i in range(len(token) - 1)]


def _speaking(name: str) -> str:
    """A file or folder name less what says nothing: digits, hashes, camera counters."""
    kept = []
    for token in re.split(r"[\s_\-.,()\[\]+&#@]+", unicodedata.normalize("NFKC", name)):
        letters = re.sub(r"\d+", " ", token)
        if _OPAQUE.match(token) and re.search(r"\d", token):
            continue
        if re.search(r"\d", token) and not re.search(rf"[^\W\d_]{{4,}}|[{_HAN}{_KANA}{_HANGUL}]", token):
            continue  # DSC0412, 4k, a7f3
        if re.fullmatch(r"[bcdfghjklmnpqrstvwxz]{4,}", letters.strip(), re.IGNORECASE):
            continue
        kept.append(letters)
    return " ".join(kept)


def name_phrase(path: str) -> str:
    """What a path says in words: its folders and its stem, without counters, hashes and punctuation."""
    parts = PurePosixPath(path)
    return " ".join(" ".join(_speaking(part) for part in (*parts.parent.parts, parts.stem)).split())


def document_words(paths: Iterable[str], text: str) -> tuple[str, ...]:
    """The content words that come with a media: of all its paths and of the text about it, stemmed."""
    out: dict[str, None] = {}
    for one in (*(name_phrase(path) for path in paths), text):
        out.update(dict.fromkeys(words_of(one)))
    return tuple(out)


class Keywords:
    """The words of many documents, ready to be met by sentences: of media, or of what is said in them.

    A word counts the less the more documents have it: a folder name says little about any one clip. Words
    and their places are arrays, so that a million documents are opened in no time.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], count: int) -> None:
        """``arrays`` are those that ``parts`` made, of ``count`` documents."""
        self._count = count
        packed = arrays["vocabulary"].tobytes().decode("utf-8")
        self._vocabulary = packed.split("\n") if packed else []
        self._backward = arrays["backward"]
        self._offsets = arrays["offsets"]
        self._places = arrays["places"]

    @classmethod
    def of(cls, documents: Sequence[Iterable[str]]) -> Keywords:
        """The words of documents, each given by its words."""
        return cls(cls.parts(documents), len(documents))

    @staticmethod
    def parts(documents: Iterable[Iterable[str]]) -> dict[str, NDArray[Any]]:
        """What an instance is made from: the sorted words, their order when read backwards, and for each the
        documents that have it."""
        places: dict[str, list[int]] = {}
        for place, words in enumerate(documents):
            for word in dict.fromkeys(words):
                places.setdefault(word, []).append(place)
        vocabulary = sorted(places)
        backward = sorted(range(len(vocabulary)), key=lambda word: vocabulary[word][::-1])
        found = [places[word] for word in vocabulary]
        return {
            "vocabulary": np.frombuffer("\n".join(vocabulary).encode(), np.uint8),
            "backward": np.array(backward, np.int32),
            "offsets": np.cumsum([0, *map(len, found)], dtype=np.int64),
            "places": np.array([place for one in found for place in one], np.int32),
        }

    def scores(self, text: str, language: str) -> tuple[NDArray[np.int64], FloatArray]:
        """(places of the documents that share a word with the text, their scores in (0, 1])."""
        missed = np.ones(self._count, np.float32)
        for word in query_words(text, language):
            for places, worth in self._meet(word):
                missed[places] *= 1.0 - HIT * worth
        found = np.flatnonzero(missed < 1.0)
        return found, np.asarray(1.0 - missed[found], np.float32)

    def why(self, text: str, language: str, place: int) -> str:
        """The words of the text, as written there, that the document at ``place`` shares."""
        return ", ".join(
            written
            for word, written in query_words(text, language).items()
            if any(worth > 0 and place in places for places, worth in self._meet(word))
        )

    def _of_word(self, word: int) -> NDArray[np.int32]:
        return self._places[self._offsets[word] : self._offsets[word + 1]]

    def _weight(self, count: int) -> float:
        """1 for a word of one document, 0 for one of all of them (two or more)."""
        return 1.0 if self._count < 2 else max(0.0, 1.0 - math.log(count) / math.log(self._count))

    def _meet(self, word: str) -> list[tuple[NDArray[np.int32], float]]:
        """The documents with this word and what it is worth in each; then those with it inside another."""
        out = []
        place = bisect_left(self._vocabulary, word)
        whole = np.zeros(0, np.int32)
        if place < len(self._vocabulary) and self._vocabulary[place] == word:
            whole = self._of_word(place)
            out.append((whole, self._weight(len(whole))))
        if len(word) >= SHORTEST_INSIDE and word.isascii():
            for other in self._around(word):
                places = self._of_word(other)
                left = places[~np.isin(places, whole)] if len(whole) else places
                out.append((left, INSIDE * self._weight(len(places))))
        return out

    def _around(self, word: str) -> list[int]:
        """Longer words that begin or end with ``word``."""
        last = word + chr(sys.maxunicode)
        low, high = bisect_left(self._vocabulary, word), bisect_left(self._vocabulary, last)
        turned = word[::-1]

        def backwards(place: int) -> str:
            return self._vocabulary[place][::-1]

        begin = bisect_left(self._backward, turned, key=backwards)
        end = bisect_left(self._backward, turned + chr(sys.maxunicode), key=backwards)
        found = {*range(low, high), *map(int, self._backward[begin:end])}
        return sorted(other for other in found if len(self._vocabulary[other]) > len(word))


def query_words(text: str, language: str) -> dict[str, str]:
    """The content words of a sentence: how each is written by its stem, with the English for Chinese ones."""
    words = _forms(text, language)
    if language == "zh":
        from index.encoders.texts import gloss

        words = {**_forms(gloss(text), "en"), **words}
    return words
