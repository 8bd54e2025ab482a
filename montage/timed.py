"""The solver where slots have lengths: each its own cheapest, or all together a total.

A total couples all slots. Relaxed with one price a frame, every choice again has a length of its own that is
cheapest, and what is left is a problem without lengths. Whatever the price, its bound less the price of the
total is a true bound. The answer at the best price is close to the total; its lengths are then settled
exactly (``montage.lengths``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from montage.lagrange import Ascent, FloatArray
from montage.lengths import cheapest, settle
from montage.solver import InfeasibleError, Problem, Solution, compact, solve

__all__ = ["solve_timed"]

STEPS = 25
"""Subgradient steps at each price that is tried."""
PRICES = 14
"""Prices tried between one that gives too much and one that gives too little."""
NEARLY = 0.002
"""A gap of this share is closed enough for a total."""
TRIED = 200_000
"""Beginnings tried where no answer had the total."""
STEEP = 1e6
"""No price is higher than this many times the first one tried."""


def solve_timed(
    problem: Problem,
    *,
    time_limit: float,
    seed: int,
    warm: Sequence[int] | None,
    multipliers: FloatArray | None,
    cancel: Callable[[], bool] | None,
) -> Solution:
    """``montage.solver.solve`` for a problem with lengths.

    Raises:
        InfeasibleError: if no answer, or none that was found, comes to the total.
    """
    start = time.perf_counter()
    work = _Timed(problem, start + time_limit, seed, cancel)
    if problem.total is None:
        solution = work.at(0.0, warm, multipliers)
        frames = [
            int(cheapest(lengths)[0][k]) for lengths, k in zip(work.lengths, solution.choice, strict=True)
        ]
        return replace(solution, frames=tuple(frames), seconds=time.perf_counter() - start)
    work.search(warm, multipliers)
    if work.best is None:
        raise InfeasibleError(
            f"no answer of {len(problem.unary)} slots comes to {' to '.join(map(str, problem.total))} frames"
        )
    path, lengths, cost = work.best
    # Costs are rounded to the solver's unit slot by slot, so the last of it means nothing.
    bound = cost if cost - work.bound <= len(path) / work.scale else work.bound
    return Solution(
        choice=path,
        objective=cost,
        bound=bound,
        seconds=time.perf_counter() - start,
        multipliers=work.multipliers,
        method=work.method if bound >= cost else "limit",
        stats=work.stats,
        frames=lengths,
    )


@dataclass(frozen=True)
class _Relaxed:
    """What one price a frame comes to."""

    price: float
    frames: int
    """Length of the cheapest path."""
    bound: float


class _Timed:
    def __init__(
        self, problem: Problem, deadline: float, seed: int, cancel: Callable[[], bool] | None
    ) -> None:
        assert problem.lengths is not None
        self.problem = problem
        self.lengths = problem.lengths
        self.deadline = deadline
        self.seed = seed
        self.cancel = cancel
        self.best: tuple[tuple[int, ...], tuple[int, ...], float] | None = None
        self.bound = -np.inf
        self.multipliers = np.zeros(0)
        self.method = "limit"
        self.stats: dict[str, float] = {}
        self.chain, _, self.scale = compact(replace(problem, lengths=None, total=None))
        self.ascent = Ascent(np.zeros(self.chain.size))

    def stopped(self) -> bool:
        return time.perf_counter() > self.deadline or (self.cancel is not None and self.cancel())

    def fixed(self, price: float) -> Problem:
        """The problem without lengths when a frame costs ``price`` more."""
        unary = [
            own.astype(np.float64) + cheapest(lengths, price)[1]
            for own, lengths in zip(self.problem.unary, self.lengths, strict=True)
        ]
        return replace(self.problem, unary=unary, lengths=None, total=None)

    def at(self, price: float, warm: Sequence[int] | None, multipliers: FloatArray | None) -> Solution:
        return solve(
            self.fixed(price),
            time_limit=max(0.0, self.deadline - time.perf_counter()),
            seed=self.seed,
            warm=warm,
            multipliers=multipliers,
            cancel=self.cancel,
        )

    def due(self, price: float) -> float:
        """What the total is worth at a price: subtracted from a path's priced cost it leaves a bound."""
        assert self.problem.total is not None
        return price * (self.problem.total[1] if price > 0 else self.problem.total[0])

    def search(self, warm: Sequence[int] | None, multipliers: FloatArray | None) -> None:
        """Find the price, solve there, settle lengths; then at the prices on either side."""
        if warm is not None:
            self.offer(tuple(warm))
        near, far = self.prices()
        for price in dict.fromkeys((near, far)):
            if self.best is not None and (self.stopped() or self.gap() <= NEARLY):
                break
            known = None if self.best is None else self.best[0]
            try:
                solution = self.at(price, known, multipliers)
            except InfeasibleError:
                break
            multipliers = self.multipliers = solution.multipliers
            self.stats = solution.stats
            self.method = solution.method
            self.bound = max(self.bound, solution.bound - self.due(price))
            self.offer(solution.choice)
        if self.best is None:
            self.extremes()
        if self.best is None:
            self.any()

    def gap(self) -> float:
        assert self.best is not None
        return (self.best[2] - self.bound) / max(abs(self.best[2]), 1e-12)

    def offer(self, path: tuple[int, ...]) -> None:
        """Take an answer with its lengths settled if it is valid, has the total, and is the best so far."""
        settled = settle(
            [(int(least[k]), cost[k]) for (least, cost), k in zip(self.lengths, path, strict=True)],
            self.problem.total,
        )
        if settled is None:
            return
        frames, cost = settled
        cost += self.cost(path)
        if np.isfinite(cost) and (self.best is None or cost < self.best[2]):
            self.best = path, tuple(frames), cost

    def cost(self, path: tuple[int, ...]) -> float:
        """The cost of an answer but for its lengths; infinite where it is not valid."""
        return self.chain.cost(list(path)) / self.scale

    def prices(self) -> tuple[float, float]:
        """(the price of a frame that comes nearest to the total, the next nearest on the other side)."""
        assert self.problem.total is not None
        low, high = self.problem.total
        free = self.relaxed(0.0)
        if low <= free.frames <= high:
            return 0.0, 0.0
        sign = 1.0 if free.frames > high else -1.0
        step = max(1e-6, self.steepness())

        def over(found: _Relaxed) -> bool:
            return found.frames > high if sign > 0 else found.frames < low

        near, far = free, self.relaxed(sign * step)
        while over(far) and abs(far.price) < STEEP * step and not self.stopped():
            near, far = far, self.relaxed(4 * far.price)
        for _ in range(PRICES):
            if self.stopped() or low <= far.frames <= high:
                break
            middle = self.relaxed((near.price + far.price) / 2)
            near, far = (middle, far) if over(middle) else (near, middle)
        # The bound is highest where the two meet; the answer there is nearest to the total.
        first, second = sorted((near, far), key=lambda found: -found.bound)
        return first.price, second.price

    def steepness(self) -> float:
        """A price of a frame that matters: what a tenth of a longer picture costs at the median, a frame."""
        costs = []
        for _, cost in self.lengths:
            finite = np.isfinite(cost)
            spread = np.where(finite, cost, -np.inf).max(axis=1) - np.where(finite, cost, np.inf).min(axis=1)
            costs += (spread / np.maximum(1, finite.sum(axis=1)))[spread > 0].tolist()
        return float(np.median(costs)) if costs else 1.0

    def relaxed(self, price: float) -> _Relaxed:
        """The cheapest path and its bound at a price of a frame; prices of cells go on from the last."""
        priced = [cheapest(lengths, price) for lengths in self.lengths]
        unary = [
            own + np.rint(cost * self.scale) for own, (_, cost) in zip(self.chain.unary, priced, strict=True)
        ]
        self.ascent = Ascent(self.ascent.price)
        path = self.ascent.run(replace(self.chain, unary=unary), None, STEPS, self.stopped)
        frames = sum(int(own[k]) for (own, _), k in zip(priced, path, strict=True))
        bound = self.ascent.bound / self.scale - self.due(price)
        self.bound = max(self.bound, bound)
        return _Relaxed(price, frames, bound)

    def extremes(self) -> None:
        """Where no answer had the total: the shortest and the longest there are."""
        step = self.steepness()
        for price in (STEEP * step, -STEEP * step):
            try:
                self.offer(self.at(price, None, None).choice)
            except InfeasibleError:
                return

    def any(self) -> None:
        """Try beginnings, likely ones first, until one comes to the total: finds an answer if there is one,
        unless ``TRIED`` were not enough. Sets of frame counts are the bits of a whole number."""
        assert self.problem.total is not None
        low, high = self.problem.total
        chain, count = self.chain, len(self.chain)
        allowed = [
            [
                [int(least[k]) + int(extra) for extra in np.flatnonzero(np.isfinite(cost[k]))]
                for k in range(len(least))
            ]
            for least, cost in self.lengths
        ]
        # The frames that may come before each choice of each slot, were shots to repeat.
        needs: list[list[int]] = []
        for i in range(count - 1, -1, -1):
            row = []
            for k, frames in enumerate(allowed[i]):
                after = ((1 << (high + 1)) - 1) >> low << low if i == count - 1 else 0
                if i < count - 1:
                    for follower in np.flatnonzero(np.isfinite(chain.pair[i][k])).tolist():
                        after |= needs[-1][follower]
                need = 0
                for length in frames:
                    need |= after >> length
                row.append(need)
            needs.append(row)
        needs.reverse()
        once = {cell for cell in range(chain.size) if np.isinf(chain.fee[cell])}
        stack: list[tuple[list[int], int, frozenset[int]]] = [([], 1, frozenset())]
        for tried in range(TRIED):
            if not stack or (tried and tried % 1000 == 0 and self.cancel is not None and self.cancel()):
                return
            path, spent, taken = stack.pop()
            i = len(path)
            if i == count:
                self.offer(tuple(path))
                return
            cost = chain.unary[i] + (chain.pair[i - 1][path[-1]] if i else 0.0)
            for k in np.argsort(-cost, kind="stable").tolist():
                cells = once.intersection(chain.cells[i][k].tolist())
                if np.isfinite(cost[k]) and spent & needs[i][k] and not cells & taken:
                    now = 0
                    for length in allowed[i][k]:
                        now |= spent << length
                    stack.append(([*path, k], now & ((1 << (high + 1)) - 1), taken | cells))
