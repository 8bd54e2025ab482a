"""Taste: what was decided by hand about a cut - pins, locks, bans and preferences - and how it stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from index.base import Span
from montage.values import Slot

__all__ = ["Choice", "Taste", "kept_shots"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A shot that somebody chose for a sentence."""

    shot: str
    """Shot id."""
    span: Span | None = None
    """Source seconds, None for wherever it matches best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taste:
    """What was decided by hand; it outlives every change of the script.

    Raises:
        ValueError: if an id is empty, or the same shot is both banned and preferred for the same sentences.
    """

    pins: Mapping[str, Choice] = field(default_factory=dict)
    """Sentence id to the shot that it must show."""
    bans: frozenset[str] = frozenset()
    """Ids of shots that must not appear at all."""
    sentence_bans: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Sentence id to ids of shots that it must not show."""
    locks: frozenset[str] = frozenset()
    """Ids of sentences that keep what the last cut showed, to the frame."""
    prefers: frozenset[str] = frozenset()
    """Ids of shots that are rather shown than others, by any sentence."""
    sentence_prefers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Sentence id to ids of shots that it rather shows than others."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Sentence id to what a generated shot of it should show, in place of its text."""

    def __post_init__(self) -> None:
        for name in ("bans", "locks", "prefers"):
            object.__setattr__(self, name, _ids(name, getattr(self, name)))
        object.__setattr__(self, "pins", dict(self.pins))
        for name in ("sentence_bans", "sentence_prefers"):
            each = {sentence: _ids(name, shots) for sentence, shots in getattr(self, name).items()}
            object.__setattr__(self, name, {sentence: shots for sentence, shots in each.items() if shots})
        object.__setattr__(self, "prompts", dict(self.prompts))
        for sentence, prompt in self.prompts.items():
            if not isinstance(prompt, str) or not prompt.strip():
                raise ValueError(f"the prompt of sentence {sentence} must be text, got {prompt!r}")
        _ids("pins", [*self.pins, *(choice.shot for choice in self.pins.values())])
        _ids("sentences", [*self.sentence_bans, *self.sentence_prefers])
        both = [(self.bans, self.prefers, "")]
        for sentence, banned in self.sentence_bans.items():
            both.append(
                (banned, self.sentence_prefers.get(sentence, frozenset()), f" for sentence {sentence}")
            )
        for banned, preferred, where in both:
            if banned & preferred:
                raise ValueError(f"shot {min(banned & preferred)} is both banned and preferred{where}")

    def of(self, sentence: str) -> tuple[Choice | None, bool, frozenset[str], frozenset[str]]:
        """(pin, whether it is locked, bans, preferences) of one sentence alone."""
        return (
            self.pins.get(sentence),
            sentence in self.locks,
            self.sentence_bans.get(sentence, frozenset()),
            self.sentence_prefers.get(sentence, frozenset()),
        )

    def pinned(self, sentence: str, choice: Choice | None) -> Taste:
        """The same with another pin of ``sentence``, None for no pin."""
        pins = {name: pin for name, pin in self.pins.items() if name != sentence}
        return replace(self, pins=pins if choice is None else {**pins, sentence: choice})

    def prompted(self, sentence: str, prompt: str | None) -> Taste:
        """The same with another prompt for ``sentence``, None for that of its text."""
        prompts = {name: text for name, text in self.prompts.items() if name != sentence}
        return replace(self, prompts=prompts if prompt is None else {**prompts, sentence: prompt})

    def locked(self, sentence: str, on: bool) -> Taste:
        """The same with ``sentence`` locked or not."""
        return replace(self, locks=self.locks | {sentence} if on else self.locks - {sentence})

    def banned(self, shot: str, sentence: str | None, on: bool) -> Taste:
        """The same with ``shot`` banned or not: by ``sentence``, or by all where that is None."""
        if sentence is None:
            return replace(self, bans=_with(self.bans, shot, on))
        own = _with(self.sentence_bans.get(sentence, frozenset()), shot, on)
        return replace(self, sentence_bans={**self.sentence_bans, sentence: own})

    def preferred(self, shot: str, sentence: str | None, on: bool) -> Taste:
        """The same with ``shot`` preferred or not: by ``sentence``, or by all where that is None."""
        if sentence is None:
            return replace(self, prefers=_with(self.prefers, shot, on))
        own = _with(self.sentence_prefers.get(sentence, frozenset()), shot, on)
        return replace(self, sentence_prefers={**self.sentence_prefers, sentence: own})


def _with(ids: frozenset[str], one: str, on: bool) -> frozenset[str]:
    return ids | {one} if on else ids - {one}


def _ids(name: str, values: Iterable[object]) -> frozenset[str]:
    if isinstance(values, str):
        raise ValueError(f"{name} must be a set of ids, got the text {values!r}")
    out = set()
    for value in values:
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name} must hold ids, got {value!r}")
        out.add(value)
    return frozenset(out)


def kept_shots(before: Sequence[Slot], after: Sequence[Slot], others: Collection[str]) -> tuple[int, int]:
    """(how many kept their shot, of how many): the pictures that sentences ``others`` showed before.

    A picture counts as kept where its sentence still shows that shot, whatever part of it. Titles and gaps
    are no pictures.
    """

    def shown(slots: Sequence[Slot]) -> Counter[tuple[str, str]]:
        return Counter(
            (slot.sentence, slot.shot) for slot in slots if slot.shot is not None and slot.sentence in others
        )

    old = shown(before)
    return (old & shown(after)).total(), old.total()
