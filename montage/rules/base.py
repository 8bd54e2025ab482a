"""What a rule is, and what it sees: pictures, what their slots ask for, and the whole film.

A rule gives a cost from 0, what an editor would do without thinking, to 1, what they would avoid. The unknown
costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from index.base import Span
from index.values import Look, ShotSize
from montage.rules.grammar import ESA, Grammar

__all__ = ["Features", "Film", "Join", "Picture", "Rule", "Source", "Wish"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Source:
    """Footage that a generated take shows frames of: whoever shows the take shows it too."""

    shot: str
    """Shot id."""
    span: Span
    """What of it, in source seconds."""
    group: str = ""
    """Near-duplicate group of the shot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What the rules see of a choice for a slot."""

    shot: str
    media: str
    group: str = ""
    """Near-duplicate group, empty if it has none."""
    span: Span
    """What is shown, in source seconds."""
    look: Look
    match: float
    seconds: float
    """Length in the film."""
    speed: float = 1.0
    """Source seconds per film second."""
    taken: Span | None = None
    """The whole shot, in source seconds; None where it is not known."""
    source: Source | None = None
    """The footage whose frames a generated take shows."""
    lines: int = 0
    """Shorter side of the media as shown, pixels; 0 where it is not known."""
    subject: float | None = None
    """Match with what the slot's ``Wish.subject`` names, 0 to 1; None where nothing is named."""
    preferred: bool = False
    """Whether somebody prefers this shot here."""
    meaning: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """(D,) unit vector of what is seen, in the encoder's space; None where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a slot asks for."""

    seconds: float
    """Length that the script asks for."""
    sentence: str = ""
    """Sentence id."""
    paragraph: int = 0
    """From 1; 0 where there is none."""
    share: float = 1.0
    """Part of its sentence that the slot is: its own rules weigh that much, so that a sentence of three
    pictures counts as much as one of a single picture."""
    pace: float | None = None
    """Seconds that the preset best holds a picture, None for no matter."""
    spread: float = 0.45
    """Standard deviation of the logarithm of picture lengths around the pace."""
    size: ShotSize | None = None
    move: str | None = None
    """A kind of camera move, with or without its direction."""
    scale: float | None = None
    """How close an idiom wants the picture: 0 extreme long, 4 extreme close-up, and between."""
    subject: str = ""
    """What an idiom or a pronoun asks to be seen."""
    prefers: bool = False
    """Whether any shot is preferred for it."""
    previous: tuple[tuple[str, Span], ...] = ()
    """Shot ids and spans that the last cut showed for this sentence; empty where there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """What two neighbouring slots have in common."""

    same_sentence: bool = False
    same_paragraph: bool = False
    grammar: Grammar = ESA
    """How well shot sizes and camera moves follow each other."""

    @classmethod
    def between(cls, first: Wish, second: Wish, grammar: Grammar = ESA) -> Join:
        """The join of two slots that ask for these."""
        return cls(
            same_sentence=first.sentence == second.sentence != "",
            same_paragraph=first.paragraph == second.paragraph != 0,
            grammar=grammar,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """What the rules of the whole cut see besides the pictures; times are seconds of the film."""

    beats: tuple[float, ...] = ()
    """Beats of the music, in order."""
    words: tuple[tuple[float, float], ...] = ()
    """When each word of the narration is spoken, in order."""
    blanks: tuple[float, ...] = ()
    """Seconds of each slot without a picture (a gap, a title), by its place in the cut; its values at other
    slots are not read. Empty: a gap is as long as its wish, and after a title no time is known."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """K pictures of one slot as arrays, for the vectorised rules."""

    lab: FloatArray
    """(K, 3)."""
    brightness: FloatArray
    """(K,)."""
    size: IntArray
    """(K,) index into SHOT_SIZES, -1 where unknown."""
    move: IntArray
    """(K,) index into CAMERA_MOVES."""
    media: IntArray
    """(K,) a number for each media."""
    group: IntArray
    """(K,) a number for each near-duplicate group, -1 where there is none."""
    start: FloatArray
    end: FloatArray
    """(K,) source seconds."""
    bits: FloatArray
    """(K, 64) bits of the perceptual hash, 0 or 1."""
    hashed: NDArray[np.bool_]
    """(K,) whether there is a perceptual hash."""
    night: FloatArray
    """(K,) how much it looks like night, 0 to 1."""
    monochrome: FloatArray
    """(K,) how much it looks like black and white, 0 to 1."""
    heading: IntArray
    """(K,) -1 left, 1 right, 0 neither."""
    energy: FloatArray
    """(K,) motion energy on a logarithmic scale."""
    match: FloatArray
    """(K,)."""
    meaning: FloatArray
    """(K, D) unit vectors; zeros where not known."""
    meant: NDArray[np.bool_]
    """(K,) whether the meaning is known."""


Slot = Callable[[Picture, Wish], float]
Pair = Callable[[Picture, Picture, Join], float]
PairMatrix = Callable[[Features, Features, Join], FloatArray]
Three = Callable[[Picture, Picture, Picture], float]
Whole = Callable[[Sequence[Picture | None], Sequence[Wish | None], Film], list[float]]
"""Gives the cost at each slot."""
Arity = Literal[1, 2, 3, "cut"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: a pure function of one slot, of two or three neighbours, or of the whole cut.

    Raises:
        ValueError: if the weight is negative or the functions do not go with the arity.
    """

    name: str
    weight: float
    """By default; a preset may weight it otherwise."""
    arity: Arity
    """Slots that it looks at; a rule of several counts at the last of them."""
    source: str
    """Where it comes from."""
    slot: Slot | None = None
    pair: Pair | None = None
    matrix: PairMatrix | None = None
    """The same as ``pair`` for all pairs of two slots' pictures at once."""
    three: Three | None = None
    whole: Whole | None = None
    bounded: bool = True
    """Whether the optimiser's bound covers it."""

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise ValueError(f"rule {self.name}: weight must not be negative, got {self.weight}")
        given = tuple(
            name for name in ("slot", "pair", "matrix", "three", "whole") if getattr(self, name) is not None
        )
        expected = {1: ("slot",), 2: ("pair", "matrix"), 3: ("three",), "cut": ("whole",)}[self.arity]
        if given != expected:
            raise ValueError(f"rule {self.name}: arity {self.arity} needs {expected}, got {given}")

    @property
    def says(self) -> str:
        """What an editor would say: the first line of the definition's docstring."""
        function = self.slot or self.pair or self.three or self.whole
        return ((function.__doc__ if function else "") or "").strip().splitlines()[0]
