"""The solver with cells that may be taken again at a cost, and with forbidden neighbours."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from montage.beam import beam_search
from montage.closing import close_with_cp_sat
from montage.lagrange import Ascent
from montage.solver import InfeasibleError, Problem, solve
from tests.montage.test_solver import chain_of


@st.composite
def soft_problems(draw: st.DrawFn) -> Problem:
    """Up to 5 slots with up to 4 choices that take up to 3 of 6 cells, some again at a cost; some pairs
    are forbidden, and the last choice of a slot takes nothing and goes with everything."""
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    sizes = [draw(st.integers(1, 4)) for _ in range(draw(st.integers(1, 5)))]
    top = draw(st.sampled_from([1, 5, 1000]))
    uses = [chance.integers(-1, 6, (size, 3)) for size in sizes]
    pair = [chance.integers(0, top + 1, shape).astype(float) for shape in itertools.pairwise(sizes)]
    for matrix in pair:
        matrix[chance.random(matrix.shape) < 0.3] = np.inf
        if draw(st.booleans()):
            matrix[-1, :] = matrix[:, -1] = top
    if draw(st.booleans()):
        for table in uses:
            table[-1] = -1
    fees = np.where(chance.random(6) < 0.5, chance.integers(0, top + 1, 6).astype(float), np.inf)
    return Problem(
        unary=[chance.integers(0, top + 1, size).astype(float) for size in sizes],
        pair=pair,
        uses=uses,
        fees=fees,
    )


def true_cost(problem: Problem, choice: tuple[int, ...]) -> float:
    """By the plain definition; infinite where it is not allowed."""
    total = sum(float(unary[k]) for unary, k in zip(problem.unary, choice, strict=True))
    total += sum(float(pair[choice[i], choice[i + 1]]) for i, pair in enumerate(problem.pair))
    taken: dict[int, int] = {}
    for uses, k in zip(problem.uses, choice, strict=True):
        for cell in {int(cell) for cell in uses[k] if cell >= 0}:
            taken[cell] = taken.get(cell, 0) + 1
    return total + sum(float(problem.fees[cell]) * (n - 1) for cell, n in taken.items() if n > 1)


def brute_force(problem: Problem) -> float:
    return min(true_cost(problem, k) for k in itertools.product(*(range(len(u)) for u in problem.unary)))


@settings(max_examples=400, deadline=None)
@given(soft_problems())
def test_as_good_as_brute_force(problem: Problem) -> None:
    best = brute_force(problem)
    if not np.isfinite(best):
        with pytest.raises(InfeasibleError):
            solve(problem)
        return
    solution = solve(problem)
    assert true_cost(problem, solution.choice) == solution.objective == best == solution.bound


@settings(max_examples=100, deadline=None)
@given(soft_problems(), st.integers(0, 100))
def test_bounds_are_true_whatever_the_prices(problem: Problem, seed: int) -> None:
    best = brute_force(problem) * 1_000_000
    chain = chain_of(problem)
    price = np.minimum(np.random.default_rng(seed).uniform(0, 3e8, chain.size), chain.fee[: chain.size])
    ascent = Ascent(price)
    ascent.run(chain, None, 20)
    assert ascent.bound <= best + 1e-3
    for width in (1, 2, 1000):
        found = beam_search(chain, price, None, width)
        assert found.bound <= best + 1e-3
        if found.path is not None:
            assert chain.valid(found.path)
            assert chain.cost(found.path) >= best
    if np.isfinite(best):
        wide = beam_search(chain, price, None, 1000)
        assert wide.path is not None
        assert chain.cost(wide.path) == best == wide.bound


@settings(max_examples=25, deadline=None)
@given(soft_problems())
def test_cp_sat_closes_what_is_left(problem: Problem) -> None:
    best = brute_force(problem) * 1_000_000
    chain = chain_of(problem)
    closed = close_with_cp_sat(chain, np.zeros(chain.size), None, None, 5.0, 0, 1000)
    assert closed is not None
    if np.isfinite(best):
        assert closed.path is not None
        assert chain.cost(closed.path) == best
        assert closed.bound == pytest.approx(best)
    else:
        assert closed.path is None


@settings(max_examples=60, deadline=None)
@given(soft_problems())
def test_without_fees_all_cells_are_taken_once(problem: Problem) -> None:
    hard = replace(problem, fees=None)
    best = brute_force(replace(problem, fees=np.full(6, np.inf)))
    if np.isfinite(best):
        assert solve(hard).objective == best
    else:
        with pytest.raises(InfeasibleError):
            solve(hard)
