"""What is not made: a deny-list for prompts, and a zero-shot look at frames. Both are about sexual content.

A list of words stops what is asked for plainly and no more. The look at frames compares them with
descriptions in a CLIP model's space, as Stable Diffusion's safety checker does with its concepts; how much
such a check lets through is described by Rando et al., "Red-Teaming the Stable Diffusion Safety Filter"
(2022). It has not been measured here, where there are no trained CLIP weights.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generate.base import GenerationError

__all__ = ["check_prompt", "is_sexual", "refused_words", "sexual_probability"]

_IDEOGRAPH = re.compile(r"[\u3400-\u9fff]")
_KATAKANA = "\u30a1-\u30fa\u30fc"
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_CLAUSE_ENDS = (
    r"(?=\s*(?:$|[^\w\s'-]|(?:and|or|in|on|at|by|with|under|from|into|before|through|to|beside|near|over|for|"
    r"und|oder|im|am|an|auf|mit|unter|vor|et|ou|dans|sur|avec|sous|devant|y|o|en|con|sobre|bajo)\b))"
)
"""What follows a word that is said of someone, and does not describe the next noun: "naked in the sea", and
not "naked rock"."""

SEXUAL = (
    "a photo of a naked person",
    "a nude woman",
    "a nude man",
    "people having sex",
    "pornography",
    "exposed genitals",
    "exposed breasts",
)
INNOCENT = (
    "a photo of a dressed person",
    "a woman in a dress",
    "a man in a suit",
    "people talking",
    "a landscape",
    "an animal",
    "a city street",
    "an object on a table",
    "people at the beach in swimwear",
    "a close-up of a face",
    "a marble statue",
    "abstract shapes",
)
LIKELY = 0.5
"""Probability from which a take is refused."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Lists:
    """What ``denied.txt`` says, as patterns over folded text."""

    terms: tuple[tuple[re.Pattern[str], bool, bool], ...]
    """(pattern, whether it begins where a word of Chinese or Japanese does, whether it ends so)."""
    innocent: re.Pattern[str]


@cache
def _lists() -> _Lists:
    sections: dict[str, list[str]] = {}
    text = (Path(__file__).parent / "denied.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        term = line.split("#")[0].strip()
        if term.startswith("["):
            sections[term.strip("[]")] = lines = []
        elif term:
            lines.append(_folded(term)[0])
    naked, people = (f"(?:{'|'.join(map(_body, sections[name]))})" for name in ("naked", "people"))
    # "a naked young woman"; "the woman, tired and naked, sleeps".
    said = (
        rf"(?<!\w){naked}(?:[\s-]+\w+)?[\s-]+{people}(?!\w)",
        rf"(?<!\w){people}(?:[\s,]+\w+){{0,3}}[\s,]+{naked}(?!\w){_CLAUSE_ENDS}",
    )
    terms = [(re.compile(pattern), False, False) for pattern in said]
    for term in sections["terms"]:
        ideographs = _IDEOGRAPH.search(term) is not None
        terms.append((re.compile(_bounded(term)), ideographs, ideographs and not term.endswith("*")))
    innocent = re.compile("|".join(map(_bounded, sections["innocent"])))
    return _Lists(tuple(terms), innocent)


def _body(term: str) -> str:
    """A star stands for any ending, a space for any space or hyphen."""
    return r"[\s-]+".join(re.escape(word).replace(r"\*", r"\w*") for word in term.split())


def _bounded(term: str) -> str:
    """Whole words in scripts with spaces; no part of a longer run of katakana (``エロ`` in ``イエロー``)."""
    if not _CJK.search(term):
        return rf"(?<!\w){_body(term)}(?!\w)"
    plain = term.rstrip("*")
    before = rf"(?<![{_KATAKANA}])" if re.match(rf"[{_KATAKANA}]", plain) else ""
    ends = plain == term and re.search(rf"[{_KATAKANA}]$", plain)
    return before + re.escape(plain) + (rf"(?![{_KATAKANA}])" if ends else "")


def _folded(text: str) -> tuple[str, list[int]]:
    """A text without accents, capitals, widths and invisible signs, and where each of its letters was."""
    folded, places = "", []
    for place, letter in enumerate(text):
        for part in unicodedata.normalize("NFKD", letter.casefold()):
            if unicodedata.category(part) == "Cf" or "\u0300" <= part <= "\u036f":
                continue
            if part in "\u3099\u309a" and folded:
                folded = folded[:-1] + unicodedata.normalize("NFC", folded[-1] + part)
                continue
            folded += part
            places.append(place)
    return folded, places


def _word_ends(text: str) -> frozenset[int]:
    """Where words of a text in Chinese or Japanese begin and end."""
    import jieba

    jieba.setLogLevel(logging.ERROR)
    ends, place = {0}, 0
    for word in jieba.cut(text):
        place += len(word)
        ends.add(place)
    return frozenset(ends)


def refused_words(prompt: str) -> tuple[str, ...]:
    """The words of a prompt that ask for sexual content, as they are written there.

    Chinese and Japanese are split into words, so that ``口交`` is not found in ``路口交通``.
    """
    lists = _lists()
    text, places = _folded(prompt)
    text = lists.innocent.sub(lambda found: "\0" * len(found[0]), text)
    ends: frozenset[int] | None = None
    refused: dict[str, None] = {}
    for pattern, begins_word, ends_word in lists.terms:
        for found in pattern.finditer(text):
            if begins_word:
                ends = _word_ends(text) if ends is None else ends
                if found.start() not in ends or (ends_word and found.end() not in ends):
                    continue
            refused[prompt[places[found.start()] : places[found.end() - 1] + 1]] = None
            break
    return tuple(refused)


def check_prompt(prompt: str) -> None:
    """Make sure that a prompt asks for nothing sexual.

    Raises:
        GenerationError: if it does; it names the words.
    """
    words = refused_words(prompt)
    if words:
        raise GenerationError(
            f"sexual content is not generated, and the prompt asks for {', '.join(map(repr, words))}: write "
            "the sentence or its [prompt] differently"
        )


def sexual_probability(images: Floats, texts: Callable[[list[str]], Floats], temperature: float) -> float:
    """How likely any of the frames is sexual, 0 to 1: the highest of them.

    Args:
        images: (N, D) unit vectors of frames.
        texts: gives the (M, D) unit vectors of descriptions in the same space.
        temperature: softmax temperature of the encoder's cosines.
    """
    described = texts([*SEXUAL, *INNOCENT])
    scores = np.asarray(images, np.float64) @ np.asarray(described, np.float64).T / temperature
    scores -= scores.max(axis=1, keepdims=True)
    chances = np.exp(scores)
    chances /= chances.sum(axis=1, keepdims=True)
    return float(chances[:, : len(SEXUAL)].sum(axis=1).max())


def is_sexual(probability: float) -> bool:
    """Whether a take of this probability is refused."""
    return probability >= LIKELY
