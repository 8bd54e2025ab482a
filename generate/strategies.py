"""How a model is asked for a take: what each way needs, and which one suits a gap."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from generate.base import Strategy
from generate.families import Conditioning

__all__ = ["NEEDS", "Material", "choose", "restyle_strength"]

NEEDS: Mapping[Strategy, tuple[frozenset[Conditioning], ...]] = MappingProxyType(
    {
        "direct": (frozenset({"text"}),),
        "from-near-miss": (frozenset({"image"}),),
        "restyle": (frozenset({"video"}),),
        "factorised": (frozenset({"image"}),),
        "bridge": (frozenset({"last-image"}),),
        "control": (frozenset({"control"}),),
        # Frames to go on from carry the motion; a last frame alone carries the picture.
        "extend": (frozenset({"continuation"}), frozenset({"image"})),
        "expand": (frozenset({"mask"}),),
    }
)
"""What a model must honour for a strategy; of several sets, the earlier is better."""

RESTYLE_FROM = 0.75
"""Share of the threshold from which near-miss footage is worth changing rather than starting from one
frame."""
IMAGE_FROM = 0.4
"""Share of the threshold from which a near-miss frame is worth starting from."""
LEAST_STRENGTH = 0.35
"""Strength for footage at the threshold; less would show what was not good enough."""
MOST_STRENGTH = 0.85
"""Strength for footage at ``RESTYLE_FROM``; more keeps little beyond the colours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What there is to condition a take on.

    Raises:
        ValueError: if a match lies outside [0, 1] or the threshold is not positive.
    """

    match: float = 0.0
    """Of the near-miss with the sentence, 0 to 1; 0 where there is none."""
    threshold: float
    """Match from which footage shows a sentence."""
    near: bool = False
    """Whether there is near-miss footage."""
    between: bool = False
    """Whether the gap lies within one continuous scene: the same take before and after it."""

    def __post_init__(self) -> None:
        if not 0 <= self.match <= 1 or self.threshold <= 0:
            raise ValueError(f"a match lies in [0, 1] and a threshold above 0, got {self}")

    @property
    def nearness(self) -> float:
        """How near the near-miss comes: its match as a share of the threshold."""
        return self.match / self.threshold if self.near else 0.0


def can(strategy: Strategy, honours: Collection[Conditioning]) -> bool:
    """Whether a model that honours these can be asked in this way."""
    return any(wanted <= set(honours) for wanted in NEEDS[strategy])


def choose(material: Material, honours: Collection[Conditioning]) -> Strategy | None:
    """The strategy for a gap by what the models honour and how near the near-miss comes.

    A gap within one scene is bridged. Footage that almost shows the sentence is restyled; what comes less
    near gives its frame; what has nothing to do with it gives nothing, since a take would inherit what is
    wrong. Then a picture is made first where a model can (Emu Video), else the text goes in as it is. None
    where the models can do none of these.
    """
    nearness = material.nearness
    wishes: list[Strategy] = []
    if material.between:
        wishes.append("bridge")
    if nearness >= RESTYLE_FROM:
        wishes.append("restyle")
    if nearness >= IMAGE_FROM:
        wishes.append("from-near-miss")
    wishes.append("direct")
    if "picture" in honours:
        # A model of text alone does as well by itself; by way of a picture one more model can be used.
        wishes.append("factorised")
    # Better a start from a poor frame than none, where the model takes nothing else.
    if material.near:
        wishes.append("from-near-miss")
    return next((wish for wish in wishes if can(wish, honours)), None)


def restyle_strength(nearness: float) -> float:
    """How far footage is changed: the nearer it comes to the threshold, the less (0 to 1).

    Source: the strength of SDEdit (Meng et al., 2022) trades faithfulness to the input against realism.
    """
    span = (1.0 - nearness) / (1.0 - RESTYLE_FROM)
    share = min(1.0, max(0.0, span))
    return round(LEAST_STRENGTH + (MOST_STRENGTH - LEAST_STRENGTH) * share, 3)
