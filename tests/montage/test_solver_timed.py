"""The solver where slots have lengths, alone and with a total."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from montage.solver import InfeasibleError, Problem, Solution, solve
from tests.montage.test_solver_soft import soft_problems, true_cost


@st.composite
def timed_problems(draw: st.DrawFn) -> Problem:
    """A soft problem of up to 4 slots whose choices last 1 to 9 frames, and a total of a few frames' room."""
    problem = draw(soft_problems().filter(lambda problem: len(problem.unary) <= 4))
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    lengths = []
    for unary in problem.unary:
        cost = chance.integers(0, 9, (len(unary), draw(st.integers(1, 4)))).astype(float)
        cost[:, 1:][chance.random(cost[:, 1:].shape) < 0.2] = np.inf
        lengths.append((chance.integers(1, 7, len(unary)), cost))
    low = draw(st.integers(1, 30))
    return replace(problem, lengths=lengths, total=(low, low + draw(st.integers(0, 4))))


def answers(problem: Problem, *, total: bool):
    """(choice, frames, cost) of every valid answer."""
    for choice in itertools.product(*(range(len(u)) for u in problem.unary)):
        cost = true_cost(problem, choice)
        if not np.isfinite(cost):
            continue
        own = [(int(least[k]), table[k]) for (least, table), k in zip(problem.lengths, choice, strict=True)]
        for extra in itertools.product(*(np.flatnonzero(np.isfinite(row)).tolist() for _, row in own)):
            frames = [least + k for (least, _), k in zip(own, extra, strict=True)]
            if not total or problem.total[0] <= sum(frames) <= problem.total[1]:
                yield choice, frames, cost + sum(row[k] for (_, row), k in zip(own, extra, strict=True))


def checked(problem: Problem, solution: Solution) -> float:
    """The cost of a solution by the plain definitions."""
    cost = true_cost(problem, solution.choice)
    for (least, table), k, frames in zip(problem.lengths, solution.choice, solution.frames, strict=True):
        cost += float(table[k, frames - least[k]])
    return cost


@settings(max_examples=100, deadline=None)
@given(timed_problems())
def test_without_a_total_every_slot_has_its_cheapest_length(problem: Problem) -> None:
    free = replace(problem, total=None)
    best = min((cost for *_, cost in answers(free, total=False)), default=None)
    if best is None:
        with pytest.raises(InfeasibleError):
            solve(free)
        return
    solution = solve(free)
    assert checked(free, solution) == solution.objective == best == solution.bound


@settings(max_examples=200, deadline=None)
@given(timed_problems())
def test_a_total_is_kept_and_the_bound_is_true(problem: Problem) -> None:
    best = min((cost for *_, cost in answers(problem, total=True)), default=None)
    if best is None:
        with pytest.raises(InfeasibleError):
            solve(problem)
        return
    solution = solve(problem)
    assert problem.total[0] <= sum(solution.frames) <= problem.total[1]
    assert checked(problem, solution) == pytest.approx(solution.objective)
    assert solution.bound <= best + 1e-5 <= solution.objective + 2e-5


def test_every_total_that_can_be_had_is_had() -> None:
    """A price a frame reaches few of the totals: single lengths of 2, 5 and 9 frames, shots once only."""
    slots, single = 5, np.array([2, 5, 9])
    problem = Problem(
        unary=[np.array([0.0, 3.0, 1.0])] * slots,
        pair=[np.zeros((3, 3))] * (slots - 1),
        uses=[np.array([[0], [-1], [-1]])] * slots,
        lengths=[(single, np.zeros((3, 1)))] * slots,
    )
    combinations = list(itertools.product(range(3), repeat=slots))
    reachable = {int(single[list(k)].sum()) for k in combinations if k.count(0) <= 1}
    for frames in range(10, 48):
        asked = replace(problem, total=(frames, frames))
        if frames in reachable:
            assert sum(solve(asked).frames) == frames
        else:
            with pytest.raises(InfeasibleError):
                solve(asked)
