"""What is not made: a deny-list for prompts, and a zero-shot look at frames. Both are about sexual content.

A list of words stops what is asked for plainly and no more. The look at frames compares them with
descriptions in a CLIP model's space, as Stable Diffusion's safety checker does with its concepts; how much
such a check lets through is described by Rando et al., "Red-Teaming the Stable Diffusion Safety Filter"
(2022). It has not been measured here, where there are no trained CLIP weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generate.base import GenerationError

__all__ = ["check_prompt", "is_sexual", "refused_words", "sexual_probability"]

_SPACED = re.compile(r"[^\W\d_]")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")

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


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """(term, how it is found) of the list: whole words in scripts with spaces, anywhere in others."""
    text = (Path(__file__).parent / "denied.txt").read_text(encoding="utf-8")
    found = []
    for line in text.splitlines():
        term = line.split("#")[0].strip()
        if not term:
            continue
        if _CJK.search(term):
            found.append((term, re.compile(re.escape(term))))
        else:
            # A star stands for any ending, a space for any space or hyphen.
            body = r"[\s-]+".join(re.escape(word).replace(r"\*", r"\w*") for word in term.split())
            found.append((term, re.compile(rf"(?<!\w){body}(?!\w)", re.IGNORECASE)))
    return tuple(found)


def refused_words(prompt: str) -> tuple[str, ...]:
    """The words of a prompt that ask for sexual content, as they are written there."""
    found = []
    for _, pattern in _patterns():
        match = pattern.search(prompt)
        if match is not None:
            found.append(match[0])
    return tuple(dict.fromkeys(found))


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
