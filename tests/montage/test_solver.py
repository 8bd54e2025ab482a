"""The solver: as good as brute force on small problems, never a cell twice, bounds that are true."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import montage.solver as solver_module
from montage.beam import beam_search
from montage.closing import close_with_cp_sat
from montage.lagrange import Ascent, Chain, marginals
from montage.solver import InfeasibleError, Problem, Solution, solve


@st.composite
def problems(draw: st.DrawFn, *, gaps: bool = False) -> Problem:
    """Up to 5 slots with up to 4 choices that take up to 2 of 5 cells; with ``gaps``, one of them is free."""
    count = draw(st.integers(1, 5))
    sizes = [draw(st.integers(1, 4)) for _ in range(count)]
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    top = draw(st.sampled_from([1, 5, 1000]))
    uses = [chance.integers(-1, 5, (size, 2)) for size in sizes]
    if gaps:
        for table in uses:
            table[-1] = -1
    return Problem(
        unary=[chance.integers(0, top + 1, size) for size in sizes],
        pair=[chance.integers(0, top + 1, shape) for shape in itertools.pairwise(sizes)],
        uses=uses,
    )


def cost_of(problem: Problem, choice: tuple[int, ...]) -> float:
    total = sum(float(np.asarray(u, float)[k]) for u, k in zip(problem.unary, choice, strict=True))
    return total + sum(
        float(np.asarray(p, float)[choice[i], choice[i + 1]]) for i, p in enumerate(problem.pair)
    )


def is_valid(problem: Problem, choice: tuple[int, ...]) -> bool:
    taken: set[int] = set()
    for uses, k in zip(problem.uses, choice, strict=True):
        cells = {int(cell) for cell in uses[k] if cell >= 0}
        if cells & taken:
            return False
        taken |= cells
    return True


def brute_force(problem: Problem) -> float | None:
    every = itertools.product(*(range(len(u)) for u in problem.unary))
    return min((cost_of(problem, choice) for choice in every if is_valid(problem, choice)), default=None)


def film_like(count: int, each: int, seed: int = 0, shots: int | None = None) -> Problem:
    """Sentences that drift through topics, shots of a library that look alike within a topic."""
    chance = np.random.default_rng(seed)
    shots = shots or max(3 * each, 4 * count)
    topics = chance.standard_normal((max(4, shots // 40), 32))
    images = topics[chance.integers(len(topics), size=shots)] + chance.standard_normal((shots, 32))
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    walk = chance.integers(len(topics), size=count // 4 + 1)
    texts = topics[walk[np.arange(count) // 4]] + 0.8 * chance.standard_normal((count, 32))
    match = texts @ images.T
    best = np.argsort(-match, axis=1)[:, :each]
    unary = [
        np.append(np.round(300 * (match.max() - match[i, best[i]])), 6000).astype(int) for i in range(count)
    ]
    uses = [np.append(row, -1)[:, None] for row in best]
    source = chance.integers(max(2, shots // 30), size=shots)
    pair = []
    for a, b in itertools.pairwise(best):
        cost = np.zeros((each + 1, each + 1))
        cost[:-1, :-1] = 600 * np.maximum(0, images[a] @ images[b].T - 0.5) + 150 * (
            source[a][:, None] == source[b]
        )
        pair.append(np.round(cost).astype(int))
    return Problem(unary=unary, pair=pair, uses=uses)


def chain_of(problem: Problem) -> Chain:
    return solver_module.compact(problem)[0]


@settings(max_examples=300, deadline=None)
@given(problems())
def test_as_good_as_brute_force(problem: Problem) -> None:
    best = brute_force(problem)
    if best is None:
        with pytest.raises(InfeasibleError):
            solve(problem)
        return
    solution = solve(problem)
    assert solution.objective == best
    assert solution.bound == best
    assert solution.optimal
    assert is_valid(problem, solution.choice)
    assert cost_of(problem, solution.choice) == solution.objective


@settings(max_examples=60, deadline=None)
@given(problems(gaps=True), st.integers(0, 100))
def test_bounds_are_true_whatever_the_prices(problem: Problem, seed: int) -> None:
    best = brute_force(problem)
    assert best is not None
    chain = chain_of(problem)
    price = np.random.default_rng(seed).uniform(0, 300, chain.size)
    _, forward, _ = marginals(chain, price)
    assert float(forward[-1].min() - price.sum()) <= best + 1e-6
    ascent = Ascent(price)
    ascent.run(chain, None, 20)
    assert ascent.bound <= best + 1e-6
    for width in (1, 2, 1000):
        found = beam_search(chain, price, None, width)
        assert found.bound <= best + 1e-6
        assert found.path is None or chain.valid(found.path)
    wide = beam_search(chain, price, None, 1000)
    assert wide.path is not None
    assert chain.cost(wide.path) == best == wide.bound


@settings(max_examples=25, deadline=None)
@given(problems(), st.booleans())
def test_cp_sat_closes_what_is_left(problem: Problem, known: bool) -> None:
    best = brute_force(problem)
    chain = chain_of(problem)
    path, upper = None, None
    if known and best is not None:
        every = itertools.product(*(range(len(u)) for u in problem.unary))
        path = list(next(choice for choice in every if is_valid(problem, choice)))
        upper = chain.cost(path)
    closed = close_with_cp_sat(chain, np.zeros(chain.size), path, upper, 5.0, 0, 1000)
    assert closed is not None
    if best is None:
        assert closed.path is None
        assert closed.bound == np.inf
    else:
        assert closed.path is not None
        assert chain.cost(closed.path) == best
        assert closed.bound == pytest.approx(best)


def test_cp_sat_is_not_given_what_is_too_large() -> None:
    chain = chain_of(film_like(6, 5))
    assert close_with_cp_sat(chain, np.zeros(chain.size), None, None, 5.0, 0, 10) is None
    assert close_with_cp_sat(chain, np.zeros(chain.size), None, None, 0.0, 0, 10_000) is None


@settings(max_examples=60, deadline=None)
@given(problems(gaps=True), st.randoms(use_true_random=False))
def test_the_order_of_choices_does_not_matter(problem: Problem, chance: Any) -> None:
    orders = [chance.sample(range(len(u)), len(u)) for u in problem.unary]
    turned = Problem(
        unary=[u[o] for u, o in zip(problem.unary, orders, strict=True)],
        pair=[p[np.ix_(orders[i], orders[i + 1])] for i, p in enumerate(problem.pair)],
        uses=[u[o] for u, o in zip(problem.uses, orders, strict=True)],
    )
    assert solve(turned).objective == solve(problem).objective


@settings(max_examples=60, deadline=None)
@given(problems(gaps=True), st.integers(0, 4), st.integers(0, 2**32))
def test_one_more_choice_never_makes_it_worse(problem: Problem, where: int, seed: int) -> None:
    where %= len(problem.unary)
    chance = np.random.default_rng(seed)
    unary, pair, uses = list(problem.unary), list(problem.pair), list(problem.uses)
    unary[where] = np.append(unary[where], chance.integers(0, 50))
    uses[where] = np.vstack([uses[where], chance.integers(-1, 5, (1, uses[where].shape[1]))])
    if where:
        pair[where - 1] = np.hstack([pair[where - 1], chance.integers(0, 50, (len(unary[where - 1]), 1))])
    if where < len(pair):
        pair[where] = np.vstack([pair[where], chance.integers(0, 50, (1, len(unary[where + 1])))])
    assert solve(Problem(unary, pair, uses)).objective <= solve(problem).objective


@pytest.mark.parametrize(("count", "each"), [(10, 20), (50, 20), (50, 50)])
def test_film_sized_problems_are_proven_without_cp_sat(count: int, each: int) -> None:
    problem = film_like(count, each, seed=3)
    solution = solve(problem, time_limit=30)
    assert solution.optimal
    assert "arcs" not in solution.stats
    assert is_valid(problem, solution.choice)
    assert cost_of(problem, solution.choice) == solution.objective


def test_a_contested_library_is_solved_to_a_small_gap() -> None:
    """Fifty slots fight for forty shots: ten gaps, and the answer is nearly the best."""
    problem = film_like(50, 20, seed=1, shots=40)
    solution = solve(problem, time_limit=30)
    assert is_valid(problem, solution.choice)
    gaps = sum(k == 20 for k in solution.choice)
    assert gaps == 10
    assert solution.gap < 0.01


def test_large_problems_come_with_a_small_gap() -> None:
    problem = film_like(200, 20, seed=2)
    solution = solve(problem, time_limit=30)
    assert is_valid(problem, solution.choice)
    assert solution.gap <= 0.013


def test_the_same_seed_gives_the_same_answer() -> None:
    problem = film_like(60, 15, seed=4, shots=80)
    first, second = (solve(problem, time_limit=30, seed=7) for _ in range(2))
    assert first.choice == second.choice
    assert first.bound == second.bound


def test_past_the_time_limit_the_answer_is_valid_and_its_bound_true() -> None:
    problem = film_like(60, 15, seed=5, shots=80)
    full = solve(problem, time_limit=30)
    for short in (solve(problem, time_limit=0.0), solve(problem, cancel=lambda: True)):
        assert is_valid(problem, short.choice)
        assert short.bound <= full.objective <= short.objective
        assert short.method == "limit" or short.optimal


def test_a_warm_start_is_quicker_and_keeps_a_best_answer() -> None:
    problem = film_like(50, 20, seed=6)
    cold = solve(problem, time_limit=30)
    assert cold.optimal
    warm = solve(problem, time_limit=30, warm=cold.choice, multipliers=cold.multipliers)
    assert warm.objective == cold.objective
    assert warm.stats["steps"] < cold.stats["steps"]


def test_a_warm_start_may_take_a_cell_twice() -> None:
    problem = film_like(10, 5, seed=7)
    solution = solve(problem, warm=[0] * 10)
    assert is_valid(problem, solution.choice)


def test_fractions_of_a_cost_are_kept_to_a_millionth() -> None:
    problem = Problem(
        unary=[np.array([0.1234567, 0.2]), np.array([0.3, 0.3000004])],
        pair=[np.zeros((2, 2))],
        uses=[np.array([[0], [1]]), np.array([[0], [2]])],
    )
    solution = solve(problem)
    assert solution.choice == (0, 1)
    assert solution.objective == pytest.approx(0.423457, abs=1e-9)


def test_stop_and_gap_of_a_solution() -> None:
    solution = Solution(
        choice=(0,), objective=4.0, bound=3.0, seconds=0.1, multipliers=np.zeros(0), method="limit"
    )
    assert solution.gap == 0.25
    assert not solution.optimal


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (([], [], []), "got 0, 0, 0"),
        (([np.zeros(2)], [np.zeros((2, 2))], [np.zeros((2, 1), int)]), "got 1, 1, 1"),
        (([np.zeros(0)], [], [np.zeros((0, 1), int)]), "slot 0"),
        (([np.array([np.nan])], [], [np.zeros((1, 1), int)]), "not finite"),
        (([np.zeros(1)] * 2, [np.full((1, 1), -np.inf)], [np.zeros((1, 1), int)] * 2), "no number"),
        (([np.zeros(1)] * 2, [np.zeros((1, 2))], [np.zeros((1, 1), int)] * 2), r"expected \(1, 1\)"),
    ],
)
def test_malformed_problems_are_refused(parts: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Problem(*parts)


def test_a_warm_answer_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        solve(film_like(3, 2), warm=[0, 9, 0])
