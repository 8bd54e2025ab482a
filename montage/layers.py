"""Layers: what each slot of a cut may show, laid out so that the solver also chooses how many there are.

A sentence that may be shown by one or two pictures has two layers. The first holds what may be shown by plans
of one picture and of two; the second holds the second pictures, and *carries* the single ones on unchanged,
so that the next sentence knows what it follows. No path changes its plan on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from montage.fitting import Cells, Choice, Offer, fit
from montage.presets import Preset
from montage.rules import Grammar, Join, Wish, features, pair_matrix
from montage.rules.base import Features
from montage.solver import Problem
from montage.values import Sentence, Slot, Title

__all__ = ["Layer", "Option", "Plan", "State", "layers_of", "problem_of"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Option:
    """Something that may fill a slot, and the lengths that it may have."""

    offer: Offer | None
    """None for what is fixed to the frame."""
    choice: Choice
    """At the length that costs least by itself."""
    longest: Choice
    """At the longest that it may become: this source time is its own."""
    costs: dict[str, float]
    """Weighted cost of the rules of one slot."""
    least: int
    """Fewest frames."""
    lengths: FloatArray
    """(L,) cost of ``least`` frames and of each frame more, over those of the cheapest length."""
    free: bool = False
    """Whether its length is nobody's demand."""
    fitted: dict[int, Choice] = field(default_factory=dict, repr=False)
    """What it is at other lengths, as far as that was asked."""

    def at(self, frames: int, fps: Fraction, preset: Preset) -> Choice:
        """The choice at another length."""
        if frames == self.choice.frames or self.offer is None:
            return self.choice
        if frames not in self.fitted:
            self.fitted[frames] = fit(self.offer, frames, fps, preset) or self.choice
        return self.fitted[frames]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """One way to show a sentence: so many slots, each with its options."""

    wish: Wish
    frames: tuple[int, ...]
    """Length asked for of each slot."""
    options: tuple[tuple[Option, ...], ...]
    """For each slot."""
    gap: bool = False
    """Whether its slots may stay empty."""

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """What the film may show in one layer."""

    plan: int
    """Slots of the plan that it belongs to."""
    option: Option | None
    """None for a gap and for a title."""
    carried: bool = False
    """Whether the picture stands in an earlier layer and is only remembered here."""
    wish: Wish | None = None
    frames: int = 0
    """Length of a gap or a title."""
    gap_cost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """One place in the row."""

    sentence: Sentence | None
    title: Title | None = None
    number: int = 0
    """Which slot of its sentence, from 0."""
    states: tuple[State, ...]
    why_gap: str = ""
    near: tuple[Choice, ...] = ()
    """Fitted candidates that were not good enough; for alternates."""
    before: tuple[Slot, ...] = ()
    """The last cut's slots of the sentence."""


def layers_of(
    sentence: Sentence,
    plans: Sequence[Plan],
    weights: Mapping[str, float],
    *,
    why_gap: str = "",
    near: tuple[Choice, ...] = (),
    before: tuple[Slot, ...] = (),
) -> list[Layer]:
    """The layers of one sentence: as many as its longest plan has slots."""
    out = []
    for number in range(max(map(len, plans))):
        states: list[State] = []
        for plan in plans:
            carried = number >= len(plan)
            place = min(number, len(plan) - 1)
            states += [
                State(plan=len(plan), option=option, carried=carried, wish=plan.wish)
                for option in plan.options[place]
            ]
            if plan.gap:
                states.append(
                    State(
                        plan=len(plan),
                        option=None,
                        carried=carried,
                        wish=plan.wish,
                        frames=plan.frames[place],
                        gap_cost=weights["gap"] * plan.wish.share,
                    )
                )
        out.append(
            Layer(
                sentence=sentence,
                number=number,
                states=tuple(states),
                why_gap=why_gap,
                near=near,
                before=before,
            )
        )
    return out


class _Numbering:
    """Features of layers that are compared share the numbers of their media and groups."""

    def __init__(self) -> None:
        self.media: dict[str, int] = {}
        self.groups: dict[str, int] = {}

    def features(self, layer: Layer) -> tuple[NDArray[np.int64], Features]:
        """(which states show a picture, their features)."""
        shown = [k for k, state in enumerate(layer.states) if state.option is not None]
        pictures = [state.option.choice.picture for state in layer.states if state.option is not None]
        return np.array(shown, dtype=np.int64), features(pictures, self.media, self.groups)


def problem_of(
    layers: Sequence[Layer],
    cells: Cells,
    weights: Mapping[str, float],
    grammar: Grammar,
    total: tuple[int, int] | None,
) -> Problem:
    """What the solver is asked."""
    unary, uses, pair = [], [], []
    lengths: list[tuple[NDArray[np.int64], FloatArray]] = []
    numbering = _Numbering()
    seen = [numbering.features(layer) for layer in layers]
    for layer in layers:
        rows: list[list[int]] = []
        costs = []
        for state in layer.states:
            rows.append([])
            if state.carried:
                costs.append(0.0)
            elif state.option is None:
                costs.append(state.gap_cost)
            else:
                rows[-1] = [*cells.of(state.option.longest), cells.again(state.option.choice)]
                costs.append(sum(state.option.costs.values()))
        table = np.full((len(rows), max(1, *map(len, rows))), -1)
        for number, row in enumerate(rows):
            table[number, : len(row)] = row
        unary.append(np.array(costs, dtype=np.float64))
        uses.append(table)
        if total is not None:
            lengths.append(_lengths(layer))
    for i, (first, second) in enumerate(pairwise(layers)):
        pair.append(_pair(first, second, seen[i], seen[i + 1], weights, grammar))
    return Problem(
        unary=unary,
        pair=pair,
        uses=uses,
        fees=cells.fees(weights["again"]),
        lengths=lengths if total is not None else None,
        total=total,
    )


def _lengths(layer: Layer) -> tuple[NDArray[np.int64], FloatArray]:
    least, costs = [], []
    for state in layer.states:
        if state.carried:
            least.append(0)
            costs.append(np.zeros(1))
        elif state.option is None:
            least.append(state.frames)
            costs.append(np.zeros(1))
        else:
            least.append(state.option.least)
            costs.append(state.option.lengths)
    table = np.full((len(costs), max(map(len, costs))), np.inf)
    for number, cost in enumerate(costs):
        table[number, : len(cost)] = cost
    return np.array(least, dtype=np.int64), table


def _pair(
    first: Layer,
    second: Layer,
    a: tuple[NDArray[np.int64], Features],
    b: tuple[NDArray[np.int64], Features],
    weights: Mapping[str, float],
    grammar: Grammar,
) -> FloatArray:
    """Costs of the rules between two layers; infinite where a sentence would change its plan on the way."""
    matrix = np.zeros((len(first.states), len(second.states)))
    before = next((state.wish for state in first.states if state.wish is not None), None)
    after = next((state.wish for state in second.states if state.wish is not None), None)
    if len(a[0]) and len(b[0]) and before is not None and after is not None:
        join = Join.between(before, after, grammar)
        matrix[np.ix_(a[0], b[0])] = pair_matrix(a[1], b[1], weights, join)
    if second.number == 0:
        return matrix
    plans = np.array([state.plan for state in first.states])
    same = plans[:, None] == np.array([state.plan for state in second.states])[None, :]
    out: FloatArray = np.where(same, matrix, np.inf)
    # A picture is carried on by itself alone.
    places: dict[int, int] = {}
    for k, state in enumerate(second.states):
        place = places.get(state.plan, 0)
        places[state.plan] = place + 1
        if state.carried:
            column = np.flatnonzero(plans == state.plan)
            out[:, k] = np.inf
            out[column[place], k] = 0.0
    return out
