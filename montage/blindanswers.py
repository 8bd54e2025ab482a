"""What people answered on a page of a blind comparison, counted and tested."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montage.blindtest import QUESTIONS
from montage.values import MontageError

__all__ = ["Preference", "Tally", "sign_test", "tally_answers", "wilson_interval"]

Z = 1.959963984540054
"""Quantile of the normal distribution for 95% in the middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """The answers to one question."""

    question: str
    """``sentence`` or ``look``."""
    first: int
    """Answers that prefer the first input."""
    second: int
    none: int
    """Answers that see no difference; they are left out of the test."""
    left: int
    """Answers for the left side, whoever was there: about half, unless people favour a side."""
    right: int

    @property
    def words(self) -> str:
        """The question as it was asked."""
        return QUESTIONS[self.question]

    @property
    def share(self) -> float | None:
        """Share of the second input among the answers that decide; None without any."""
        decided = self.first + self.second
        return self.second / decided if decided else None

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        decided = self.first + self.second
        interval = wilson_interval(self.second, decided) if decided else None
        return {
            "question": self.question,
            "asked": self.words,
            "first": self.first,
            "second": self.second,
            "no_difference": self.none,
            "left": self.left,
            "right": self.right,
            "second_share": self.share,
            "interval": None if interval is None else list(interval),
            "p": sign_test(self.first, self.second),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """All answers of a page."""

    inputs: tuple[str, str]
    people: int
    pairs: int
    preferences: tuple[Preference, ...]
    notes: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "inputs": list(self.inputs),
            "people": self.people,
            "pairs": self.pairs,
            "questions": [one.as_data() for one in self.preferences],
            "notes": list(self.notes),
        }


def sign_test(first: int, second: int) -> float:
    """Two-sided exact p-value of a sign test: how often fair coins come out as unevenly or more so.

    Ties are left out beforehand (Dixon and Mood, 1946).

    Raises:
        ValueError: if a count is negative.
    """
    if min(first, second) < 0:
        raise ValueError(f"counts are not negative, got {first} and {second}")
    decided = first + second
    tail: int = sum(math.comb(decided, k) for k in range(min(first, second) + 1))
    whole: int = 2**decided
    return min(1.0, 2 * tail / whole)


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """95% score interval of a share (Wilson, 1927).

    Raises:
        ValueError: unless ``0 <= hits <= trials`` and there is a trial.
    """
    if not 0 <= hits <= trials or not trials:
        raise ValueError(
            f"hits lie between 0 and the trials, of which there is one at least: {hits} of {trials}"
        )
    share = hits / trials
    middle = share + Z * Z / (2 * trials)
    half = Z * math.sqrt(share * (1 - share) / trials + Z * Z / (4 * trials * trials))
    whole = 1 + Z * Z / trials
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)


def tally_answers(answers: Sequence[Path | str], key: Path | str) -> Tally:
    """Count the answers of people, by the key of the page that they were given.

    A person's answer to a question about a pair counts once; of several files of one person the last counts.

    Raises:
        MontageError: if a file is missing, damaged, or of another page.
    """
    held = _key(Path(key))
    given: dict[tuple[str, str, str], str] = {}
    twice = 0
    for file in answers:
        for name, choice in _answers(Path(file), held).items():
            twice += name in given
            given[name] = choice
    counts = {question: {"first": 0, "second": 0, "none": 0, "left": 0, "right": 0} for question in QUESTIONS}
    for (_, pair, question), choice in given.items():
        count = counts[question]
        if choice == "none":
            count["none"] += 1
            continue
        count[choice] += 1
        left = held["pairs"][pair]["left"]
        count["second" if (choice == "left") == (left == 1) else "first"] += 1
    notes = ["answers are taken as independent; those of one person, and of one pair, are somewhat alike"]
    if twice:
        notes.append(f"{twice} answers were given again by the same person: the last file counts")
    return Tally(
        inputs=(held["inputs"][0], held["inputs"][1]),
        people=len({person for person, _, _ in given}),
        pairs=len(held["pairs"]),
        preferences=tuple(
            Preference(question=question, **count)
            for question, count in counts.items()
            if any(count.values())
        ),
        notes=tuple(notes),
    )


def _key(path: Path) -> dict[str, Any]:
    record = _json(path)
    if record.get("montage_blind_key") != 1:
        raise MontageError(
            f"{path} is no key of a blind comparison: it lies beside the page as NAME.key.json"
        )
    try:
        first, second = record["inputs"]
        sides = {str(pair): {"left": int(side["left"])} for pair, side in record["pairs"].items()}
        return {"page": str(record["page"]), "inputs": [str(first), str(second)], "pairs": sides}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MontageError(
            f"{path} is damaged ({error!r}): write page and key again, with the same seed"
        ) from error


def _answers(path: Path, held: Mapping[str, Any]) -> dict[tuple[str, str, str], str]:
    """One person's answers: (person, pair, question) to ``left``, ``right`` or ``none``."""
    record = _json(path)
    if record.get("montage_blind_answers") != 1:
        raise MontageError(f"{path} holds no answers: it is what the button Save answers gives")
    if record.get("page") != held["page"]:
        raise MontageError(f"{path} answers another page than that of the key: name the key written with it")
    out = {}
    try:
        for one in record["answers"]:
            pair, question, choice = str(one["pair"]), str(one["question"]), str(one["choice"])
            if pair not in held["pairs"] or question not in QUESTIONS:
                raise KeyError(f"{question} of pair {pair}")
            if choice not in ("left", "right", "none"):
                raise ValueError(f"{choice!r} is no answer")
            out[str(record["person"]), pair, question] = choice
    except (KeyError, TypeError, ValueError) as error:
        raise MontageError(f"{path} is damaged ({error}): ask for the file again") from error
    return out


def _json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MontageError(f"cannot read {path}: {error}") from error
    if not isinstance(record, dict):
        raise MontageError(f"{path} is none of montage's files: it holds no JSON object")
    return record
