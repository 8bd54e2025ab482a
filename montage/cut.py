"""A cut: the slots chosen for a script, what each rule costs, and how far from the best it can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from index.base import Span, to_seconds
from montage.values import MontageError, Sentence, Slot

if TYPE_CHECKING:
    from index.library import Library
    from montage.presets import Preset
    from montage.script import Script

__all__ = ["Choice", "Cut", "Taste"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A shot that somebody chose for a sentence."""

    shot: str
    """Shot id."""
    span: Span | None = None
    """Source seconds, None for wherever it matches best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taste:
    """What was decided by hand; it outlives every change of the script."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The slots of a script, in order, with the optimiser's account of them.

    Raises:
        ValueError: if a slot names a sentence that the script does not have.
    """

    script: Script
    slots: tuple[Slot, ...]
    preset: Preset
    fps: Fraction
    """Frames a second of the film's grid."""
    objective: float
    """Weighted cost of all rules; lower is better."""
    bound: float
    """No cut of these candidates costs less (proven)."""
    rule_totals: Mapping[str, float]
    """Weighted cost of each rule over the whole cut."""
    seconds: float = 0.0
    """Time that the optimiser took."""
    taste: Taste = field(default_factory=Taste)
    seed: int = 0
    time_limit: float = 5.0
    """Seconds that the optimiser may take, when the cut is planned again too."""
    library: Library = field(compare=False, repr=False)

    def __post_init__(self) -> None:
        known = {sentence.id for sentence in self.script.sentences}
        for slot in self.slots:
            if slot.sentence and slot.sentence not in known:
                raise ValueError(f"slot of sentence {slot.sentence!r}, which the script does not have")

    @property
    def frames(self) -> int:
        """Length of the film in frames."""
        return sum(slot.frames for slot in self.slots)

    @property
    def duration(self) -> Fraction:
        """Length of the film in seconds."""
        return self.frames / self.fps

    @property
    def optimality_gap(self) -> float:
        """(objective - bound) / objective: 0 is proven optimal."""
        if self.objective <= 0:
            return 0.0
        return max(0.0, (self.objective - self.bound) / self.objective)

    @property
    def gaps(self) -> tuple[Sentence, ...]:
        """Sentences that no footage shows."""
        ids = {slot.sentence for slot in self.slots if slot.kind == "gap"}
        return tuple(sentence for sentence in self.script.sentences if sentence.id in ids)

    def sentence(self, name: int | str) -> Sentence:
        """The sentence with this number (from 1) or id.

        Raises:
            MontageError: if there is none.
        """
        for sentence in self.script.sentences:
            if name in (sentence.number, sentence.id):
                return sentence
        raise MontageError(
            f"there is no sentence {name!r}: the script has sentences 1 to {len(self.script.sentences)}"
        )

    def pin(self, sentence: int | str, shot: str, span: tuple[float, float] | Span | None = None) -> Cut:
        """A new cut in which ``sentence`` (number or id) shows ``shot``, the rest planned around it.

        Args:
            sentence: number, from 1, or id.
            shot: shot id, as ``Hit.id`` gives it.
            span: which source seconds to show; None for wherever the shot matches best.

        Raises:
            MontageError: if the sentence or the shot does not exist, the span lies outside the shot, or the
                script itself pins or skips the sentence.
        """
        if shot not in self.library.shots:
            raise MontageError(f"the library has no shot {shot!r}: take an id that search gives")
        if span is not None and not isinstance(span, Span):
            try:
                span = Span(to_seconds(span[0]), to_seconds(span[1]))
            except ValueError as error:
                raise MontageError(f"cannot pin {span}: {error}") from error
        whole = self.library.shots[shot].span
        if span is not None and not (whole.start <= span.start and span.end <= whole.end):
            raise MontageError(
                f"cannot pin {float(span.start):g}-{float(span.end):g} s: shot {shot} runs from "
                f"{float(whole.start):g} to {float(whole.end):g} s"
            )
        pins = {**self.taste.pins, self._free(sentence).id: Choice(shot, span)}
        return self._planned(replace(self.taste, pins=pins))

    def unpin(self, sentence: int | str) -> Cut:
        """A new cut in which ``sentence`` (number or id) is free again.

        Raises:
            MontageError: if there is no such sentence, or the script itself pins or skips it.
        """
        drop = self._free(sentence).id
        pins = {name: choice for name, choice in self.taste.pins.items() if name != drop}
        return self._planned(replace(self.taste, pins=pins))

    def ban(self, shot: str) -> Cut:
        """A new cut in which ``shot`` (id) does not appear.

        Raises:
            MontageError: if the library has no such shot.
        """
        if shot not in self.library.shots:
            raise MontageError(f"the library has no shot {shot!r}: take an id that search gives")
        return self._planned(replace(self.taste, bans=self.taste.bans | {shot}))

    def _free(self, name: int | str) -> Sentence:
        """The sentence, if the script leaves its picture to choose."""
        sentence = self.sentence(name)
        for directive in ("pin", "skip"):
            if getattr(sentence.directives, directive):
                raise MontageError(
                    f"sentence {sentence.number} has a [{directive}] in the script, which comes first: "
                    "change it there"
                )
        return sentence

    def _planned(self, taste: Taste) -> Cut:
        from montage.planning import plan

        return plan(
            self.script,
            self.library,
            self.preset,
            fps=self.fps,
            previous=self,
            taste=taste,
            seed=self.seed,
            time_limit=self.time_limit,
        )

    def _repr_html_(self) -> str:
        from montage.pages import cut_page

        return cut_page(self)
