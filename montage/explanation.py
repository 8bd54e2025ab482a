"""What an explanation of a cut holds: values for a page, a table or JSON, all frozen.

Seconds and costs are plain floats here: they are for reading, not for cutting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = [
    "Explanation",
    "Hard",
    "Other",
    "Part",
    "Resolved",
    "RuleCost",
    "RuleTotal",
    "SentenceAccount",
    "Shown",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a match, 0 to 1."""

    name: str
    """``embedding``, ``keywords`` or ``text``."""
    says: str
    """What it compares the sentence with."""
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCost:
    """What a rule costs at one slot, and why."""

    rule: str
    says: str
    """What an editor would say."""
    cost: float
    """Its part of the objective."""
    share: float
    """The same as a share of the objective of the whole cut, 0 to 1."""
    part: float
    """Share of the most that it could cost here, 0 to 1."""
    fact: str
    """What was measured that made it cost something; empty where there is nothing to add."""
    neighbour: int | None
    """Number of the slot that it looks at besides, the nearest of several; None where it looks at none."""
    broken: bool
    covered: bool
    """Whether the bound covers it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What the whole cut would cost if one slot had to show another picture and the rest could follow."""

    difference: float
    """Found: so much more than this cut (less, where it is negative)."""
    least: float
    """Proven: no less than this."""
    proven: bool
    """Whether nothing cheaper exists."""
    rules: Mapping[str, float]
    """The difference by rule."""
    moved: tuple[str, ...]
    """Labels of the other slots that would change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Another picture that a slot might show."""

    number: int
    """Its place among the alternates, from 1, as ``Cut.use`` takes it; 0 where it is not among them."""
    shot: str
    file: str
    start: float
    end: float
    match: float
    look: str
    """Shot size and camera move."""
    used: str
    """Label of the slot that shows this very footage already, so that both cannot; else empty."""
    difference: float | None
    """What the whole cut costs more if this picture alone changes; None where that cannot be."""
    rules: Mapping[str, float]
    """The same by rule."""
    resolved: Resolved | None
    """None where it was not asked for, or cannot be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One slot of the cut, explained."""

    number: int
    """Place in the cut, from 1."""
    label: str
    """``sentence 4``, or ``sentence 4, picture 2``."""
    kind: str
    file: str
    """Empty where no file of the library is shown."""
    shot: str | None
    start: float | None
    end: float | None
    """Source seconds."""
    film_start: float
    """Seconds from the start of the film."""
    seconds: float
    frames: int
    speed: float
    look: str
    match: float | None
    parts: tuple[Part, ...]
    made: str
    """How it was generated: by which model, from which prompt and seed; empty for footage."""
    why: str
    """Words that its name, caption or speech share with the sentence; why it is a gap, or short."""
    cost: float
    costs: tuple[RuleCost, ...]
    """Every rule that costs something here, most expensive first."""
    instead: str
    """Why a picture that matches better is not shown; empty where this matches best."""
    others: tuple[Other, ...]

    @property
    def broken(self) -> tuple[RuleCost, ...]:
        """The rules that are broken here."""
        return tuple(cost for cost in self.costs if cost.broken)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceAccount:
    """A sentence, or a title card, with what shows it."""

    number: int | None
    """From 1; None for a title card."""
    id: str
    text: str
    paragraph: int
    """0 for a title card."""
    asked: float
    """Seconds that its picture should last."""
    count: str
    """Why it has so many pictures; empty for a title card."""
    slots: tuple[Shown, ...]
    """Empty where the script skips the sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTotal:
    """A rule over the whole cut."""

    rule: str
    says: str
    source: str
    cost: float
    share: float
    """Share of the objective, 0 to 1."""
    covered: bool
    """Whether the bound covers it."""
    broken: tuple[tuple[str, str], ...]
    """(slot's label, what was measured) wherever it is broken, worst first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hard:
    """A hard rule, and whether the cut keeps it."""

    rule: str
    kept: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a cut is as it is."""

    preset: str
    seconds: float
    frames: int
    fps: float
    objective: float
    bound: float
    gap: float
    """(objective - bound) / objective."""
    best: str
    """How good the cut is proven to be, in words."""
    rules: tuple[RuleTotal, ...]
    """Every rule that costs something, broken ones first, then by cost."""
    hard: tuple[Hard, ...]
    sentences: tuple[SentenceAccount, ...]
    """In the order of the film, with title cards between them; only one where one was asked for."""
    length: str = ""
    """What length of film was asked for, and what it has."""
    kept: str = ""
    """How many pictures of the cut before kept their shot."""
    notes: tuple[str, ...] = field(default=())
    """What could not be told, and why."""

    @property
    def slots(self) -> tuple[Shown, ...]:
        """All slots, in the order of the film."""
        return tuple(slot for sentence in self.sentences for slot in sentence.slots)

    @property
    def gaps(self) -> tuple[Shown, ...]:
        """The slots that nothing shows."""
        return tuple(slot for slot in self.slots if slot.kind == "gap")

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON: dicts, lists, texts, numbers."""
        return asdict(self)
