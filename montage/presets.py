"""Presets: how long pictures are held, and how much each rule weighs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

from montage.rules import ESA, RULES, Grammar
from montage.values import Idiom, MontageError

__all__ = ["PRESETS", "Preset", "load_preset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A way of editing.

    Raises:
        ValueError: if the lengths are not in order, a weight is negative, or names no rule.
    """

    name: str
    says: str
    """One line for a person."""
    pace: Fraction
    """Seconds that a picture is best held; long sentences are split into pictures of about this."""
    minimum: Fraction
    """Shortest slot, seconds."""
    maximum: Fraction
    """Longest slot, seconds; a longer sentence gets several slots."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Rule name to weight, where it differs from the rule's own."""
    slowest: Fraction = Fraction(4, 5)
    """A short shot may be slowed down to this speed."""
    title_seconds: Fraction = Fraction(5, 2)
    """Length of a title card."""
    candidates: int = 20
    """Shots considered for each sentence."""
    slots: int = 3
    """Most pictures of one sentence."""
    spread: float = 0.45
    """Standard deviation of the logarithm of picture lengths around the pace."""
    grammar: Grammar = ESA
    """How well shot sizes and camera moves follow each other."""
    idioms: tuple[Idiom, ...] = ()
    """Of every paragraph that names none itself."""
    look: str = ""
    """How generated shots look, in the words of a prompt."""
    negative: str = ""
    """What generated shots should not show, besides what none should."""

    def __post_init__(self) -> None:
        if not 0 < self.minimum <= self.pace <= self.maximum:
            raise ValueError(
                f"preset {self.name}: lengths must be 0 < minimum <= pace <= maximum, got "
                f"minimum={float(self.minimum)} pace={float(self.pace)} maximum={float(self.maximum)}"
            )
        if not 0 < self.slowest <= 1 or self.title_seconds <= 0 or self.candidates < 1:
            raise ValueError(
                f"preset {self.name}: got slowest={float(self.slowest)} "
                f"title_seconds={float(self.title_seconds)} candidates={self.candidates}"
            )
        if self.slots < 1 or not 0 < self.spread <= 3:
            raise ValueError(f"preset {self.name}: got slots={self.slots} spread={self.spread}")
        for rule, weight in self.weights.items():
            if rule not in RULES or not weight >= 0:
                raise ValueError(
                    f"preset {self.name}: weight {rule!r}={weight}: expected one of {', '.join(RULES)} and "
                    "a weight that is not negative"
                )

    @property
    def all_weights(self) -> dict[str, float]:
        """The weight of every rule."""
        return {name: self.weights.get(name, rule.weight) for name, rule in RULES.items()}


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset(
                name="documentary",
                says="Pictures as long as their sentences; clear, calm, varied.",
                pace=Fraction(7, 2),
                minimum=Fraction(3, 2),
                maximum=Fraction(6),
                look="documentary footage, natural light, realistic colours",
            ),
            Preset(
                name="calm",
                says="Long, steady holds, soft changes of light and colour.",
                pace=Fraction(4),
                minimum=Fraction(5, 2),
                maximum=Fraction(7),
                weights={
                    "steadiness": 0.6,
                    "colour": 0.5,
                    "brightness": 0.4,
                    "camera moves": 0.6,
                    "pace": 1.0,
                    "tempo": 0.6,
                    "finished move": 0.8,
                    "motion energy": 0.25,
                    "day and night": 0.7,
                },
                slots=2,
                spread=0.3,
                look="calm documentary footage, soft light, slow movement",
                negative="fast motion, camera shake",
            ),
            Preset(
                name="trailer",
                says="Fast and hard: short pictures, contrasts welcome.",
                pace=Fraction(6, 5),
                minimum=Fraction(1, 2),
                maximum=Fraction(5, 2),
                weights={
                    "colour": 0.05,
                    "brightness": 0.05,
                    "size jump": 0.0,
                    "variety": 1.0,
                    "steadiness": 0.1,
                    "tempo": 0.6,
                    "finished move": 0.15,
                    "day and night": 0.1,
                    "black and white": 0.2,
                    "motion energy": 0.02,
                    "meaning": 0.05,
                    "match cut": 0.2,
                    "metronome": 0.02,
                    "rhythm": 0.02,
                },
                title_seconds=Fraction(3, 2),
                slots=4,
                spread=0.5,
                look="cinematic film still, dramatic light, strong contrast",
            ),
            Preset(
                name="social",
                says="Quick and bright: short pictures, no source twice in a row.",
                pace=Fraction(2),
                minimum=Fraction(1),
                maximum=Fraction(4),
                weights={
                    "lighting": 0.4,
                    "sharpness": 0.4,
                    "variety": 0.8,
                    "colour": 0.15,
                    "tempo": 0.5,
                    "day and night": 0.25,
                },
                title_seconds=Fraction(3, 2),
                slots=4,
                spread=0.4,
                look="bright, vivid footage, clear daylight",
            ),
        )
    }
)
"""Holds are OpenMontage's by tone, base [shortest-longest] in seconds: calm is its elegiac 4 [2.5-7],
documentary its reverent 3.5 [2-6], social its wry 2 [1-4], trailer its urgent 1.2 [0.5-2.5]. A documentary
may go down to 1.5 s here, so that a short take that is right can be used. Spreads are ours: lengths of calm
films lie close together, those of trailers far apart. The documentary has every rule's own weight."""


def load_preset(name: str | Path) -> Preset:
    """The preset of this name, or of this file (``.toml``).

    Raises:
        MontageError: if there is none, or the file says what cannot be.
    """
    if str(name) in PRESETS:
        return PRESETS[str(name)]
    if str(name).endswith(".toml"):
        from montage.presetfiles import read_preset

        return read_preset(name)
    raise MontageError(
        f"there is no preset {str(name)!r}: choose one of {', '.join(PRESETS)}, or a preset file, such as "
        "mine.toml"
    )
