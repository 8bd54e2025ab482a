"""The model behind a cut: what else each slot could show, and exactly what that would change.

It stays with a cut as long as the process lives, so that "why this shot?" is answered from the same numbers
that chose it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from montage.fitting import Cells, Choice
from montage.layers import Layer, State
from montage.presets import Preset
from montage.rules import Film, Picture, Wish, check_cut
from montage.solver import InfeasibleError, Problem, Solution, solve

__all__ = ["Answer", "Difference", "Model", "Other", "Shown", "answer_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One way through the layers."""

    path: tuple[int, ...]
    """The state of each layer."""
    frames: tuple[int, ...]
    """Length of each layer; 0 where a picture is carried."""


class Shown(NamedTuple):
    """One slot of an answer."""

    layer: int
    state: State
    choice: Choice | None
    """At its length; None for a gap and for a title."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Something else that a slot could show."""

    state: int
    """Its place among the states of the slot's layer."""
    choice: Choice
    costs: Mapping[str, float]
    """Weighted cost of the rules of one slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What another picture in one slot changes."""

    objective: float
    """New objective less the old one; positive is worse."""
    rules: Mapping[str, float]
    """The same by rule, without those that stay as they are."""
    bound: float
    """Whatever else changes with it, the difference is not less than this."""
    moved: tuple[int, ...] = ()
    """Slots of the cut, from 0, that show something else too."""
    clashes: tuple[int, ...] = ()
    """Slots, from 0, that use the same source time; then the picture cannot be shown as the cut stands, and
    the difference counts them as they are."""

    @property
    def exact(self) -> bool:
        """Whether the difference is proven."""
        return self.bound >= self.objective - 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """Layers, their costs, and the answer that is the cut."""

    layers: tuple[Layer, ...]
    problem: Problem
    cells: Cells
    weights: Mapping[str, float]
    preset: Preset
    fps: Fraction
    film: Film = field(default_factory=Film)
    answer: Answer
    multipliers: np.typing.NDArray[np.float64]

    def shown(self, answer: Answer | None = None) -> list[Shown]:
        """Every slot of an answer, carried pictures left out."""
        answer = answer or self.answer
        out = []
        for number, (layer, k, frames) in enumerate(
            zip(self.layers, answer.path, answer.frames, strict=True)
        ):
            state = layer.states[k]
            if not state.carried:
                option = state.option
                choice = None if option is None else option.at(frames, self.fps, self.preset)
                out.append(Shown(number, state, choice))
        return out

    def costs(self, answer: Answer | None = None) -> list[dict[str, float]]:
        """Weighted cost of every rule at every slot, by the rules' plain definitions."""
        pictures: list[Picture | None] = []
        wishes: list[Wish | None] = []
        for _, state, choice in self.shown(answer):
            pictures.append(None if choice is None else choice.picture)
            wishes.append(state.wish)
        return check_cut(pictures, wishes, self.weights, grammar=self.preset.grammar, film=self.timed(answer))

    def timed(self, answer: Answer | None = None) -> Film:
        """The film's beats and words, with the lengths of the slots of an answer that show no picture."""
        if not self.film.beats and not self.film.words:
            return self.film
        answer = answer or self.answer
        shown = [answer.frames[one.layer] for one in self.shown(answer)]
        return replace(self.film, blanks=tuple(float(frames / self.fps) for frames in shown))

    def objective(self, answer: Answer | None = None) -> float:
        """Weighted cost of all rules."""
        return sum(sum(costs.values()) for costs in self.costs(answer))

    def others(self, slot: int) -> tuple[Other, ...]:
        """What else a slot (from 0) could show, cheapest by itself first, with as many slots as now."""
        layer, now, _ = self.shown()[slot]
        out = [
            Other(state=k, choice=state.option.choice, costs=state.option.costs)
            for k, state in enumerate(self.layers[layer].states)
            if state.option is not None
            and not state.carried
            and state.plan == now.plan
            and k != self.answer.path[layer]
        ]
        return tuple(sorted(out, key=lambda other: sum(other.costs.values())))

    def replaced(self, slot: int, state: int) -> Answer:
        """The answer with one slot showing another state of its layer, whether it may or not."""
        layer = self.shown()[slot][0]
        path, frames = list(self.answer.path), list(self.answer.frames)
        path[layer] = state
        option = self.layers[layer].states[state].option
        if option is not None:
            inside = option.least <= frames[layer] < option.least + len(option.lengths)
            frames[layer] = frames[layer] if inside else option.choice.frames
        for later in range(layer + 1, len(self.layers)):
            if not self.layers[later].states[path[later]].carried:
                break
            path[later] = _carried(self.layers[layer], state, self.layers[later])
        return Answer(path=tuple(path), frames=tuple(frames))

    def clashes(self, slot: int, state: int) -> tuple[int, ...]:
        """Slots, from 0, that use source time which one slot would use with another state of its layer."""
        shown = self.shown()
        layer = shown[slot][0]
        option = self.layers[layer].states[state].option
        if option is None:
            return ()
        taken = set(self.cells.of(option.longest))
        return tuple(
            number
            for number, (other, now, _) in enumerate(shown)
            if other != layer
            and now.option is not None
            and not taken.isdisjoint(self.cells.of(now.option.longest))
        )

    def lasts(self, answer: Answer) -> bool:
        """Whether an answer has the length asked for."""
        total = self.problem.total
        return total is None or total[0] <= sum(answer.frames) <= total[1]

    def swap(self, slot: int, state: int) -> Difference:
        """What changes if one slot shows another state of its layer and all others stay."""
        found = self._difference(self.replaced(slot, state))
        return replace(found, bound=found.objective, clashes=self.clashes(slot, state))

    def forced(
        self,
        slot: int,
        state: int,
        *,
        time_limit: float = 1.0,
        cancel: Callable[[], bool] | None = None,
    ) -> Difference | None:
        """What changes if one slot shows another state of its layer and the rest may follow.

        None if no cut of these candidates shows it there.
        """
        layer = self.shown()[slot][0]
        problem = _only(self.problem, layer, state)
        warm = list(self.answer.path)
        warm[layer] = 0
        try:
            solution = solve(
                problem, time_limit=time_limit, warm=warm, multipliers=self.multipliers, cancel=cancel
            )
        except InfeasibleError:
            return None
        path = list(solution.choice)
        path[layer] = state
        answer = answer_of(self.layers, tuple(path), solution, self.problem)
        found = self._difference(answer)
        core = self.objective()
        places = {number: n for n, (number, _, _) in enumerate(self.shown())}
        moved = tuple(
            places[number]
            for number, (old, new) in enumerate(zip(self.answer.path, answer.path, strict=True))
            if old != new and number != layer and number in places
        )
        return replace(found, bound=min(found.objective, solution.bound - core), moved=moved)

    def _difference(self, answer: Answer) -> Difference:
        before, after = _totals(self.costs()), _totals(self.costs(answer))
        rules = {
            name: after.get(name, 0.0) - before.get(name, 0.0)
            for name in (*before, *(name for name in after if name not in before))
        }
        changed = {name: value for name, value in rules.items() if abs(value) > 1e-9}
        total = sum(rules.values())
        return Difference(objective=total, rules=changed, bound=total)


def answer_of(layers: Sequence[Layer], path: tuple[int, ...], solution: Solution, problem: Problem) -> Answer:
    """The answer that a solution is; without a total every choice has its own cheapest length."""
    if problem.total is not None:
        return Answer(path=path, frames=solution.frames)
    frames = []
    for layer, k in zip(layers, path, strict=True):
        state = layer.states[k]
        length = state.frames if state.option is None else state.option.choice.frames
        frames.append(0 if state.carried else length)
    return Answer(path=path, frames=tuple(frames))


def _totals(costs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    out: dict[str, float] = {}
    for slot in costs:
        for name, cost in slot.items():
            out[name] = out.get(name, 0.0) + cost
    return out


def _carried(first: Layer, state: int, later: Layer) -> int:
    """The state of a later layer that carries a state of an earlier one."""
    plan = first.states[state].plan
    own = [k for k, other in enumerate(first.states) if other.plan == plan]
    copies = [k for k, other in enumerate(later.states) if other.plan == plan]
    return copies[own.index(state)]


def _only(problem: Problem, layer: int, state: int) -> Problem:
    """The problem in which one layer has one state."""
    unary, pair, uses = list(problem.unary), list(problem.pair), list(problem.uses)
    unary[layer], uses[layer] = unary[layer][[state]], uses[layer][[state]]
    if layer:
        pair[layer - 1] = pair[layer - 1][:, [state]]
    if layer < len(pair):
        pair[layer] = pair[layer][[state]]
    lengths = None
    if problem.lengths is not None:
        lengths = list(problem.lengths)
        least, cost = lengths[layer]
        lengths[layer] = (least[[state]], cost[[state]])
    return replace(problem, unary=unary, pair=pair, uses=uses, lengths=lengths)
