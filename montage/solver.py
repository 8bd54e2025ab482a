"""Choose one candidate a slot so that the whole is cheapest and no use cell is taken twice.

This module knows numbers only. A problem is a row of slots, a cost for each choice, a cost for each pair of
neighbouring choices, and the cells that each choice takes; a cell may be taken once.

Handing all of that to CP-SAT is far too slow. Instead: prices on the cells give a lower bound
(``montage.lagrange``); a beam search guided by them gives an answer (``montage.beam``); choices that cannot
be in a better one are struck out; where little is left, a wider search or CP-SAT proves the rest. Large
problems end with windows of slots searched anew, and say how far from the bound they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from montage.beam import beam_search
from montage.lagrange import Ascent, Chain, FloatArray, IntArray, marginals
from montage.lengths import Lengths

__all__ = ["InfeasibleError", "Problem", "Solution", "compact", "solve"]

SCALE = 1_000_000
"""Costs given as floats are rounded to multiples of 1 / SCALE."""
ROUNDS = (30, 50, 80, 160, 320)
"""Subgradient steps before each beam search; the last only where a proof is in reach."""
WIDTHS = (80, 300, 1500, 2000, 2000)
"""Partial answers held by each beam search."""
BEAM_WORK = 4_000_000
"""Partial answers times choices that a beam search of a large problem may look at: windows do more there."""
PROOF_WIDTHS = (6_000, 50_000)
"""Partial answers held by the searches that try to prove the rest; measured, the second halves the gap that
CP-SAT leaves in a quarter of the time."""
PROOF_BYTES = 10_000_000
"""Memory for the cells that the partial answers of a search have taken; it may need four times that."""
FEW = 16
"""Choices a slot, on average, that are so few that the wide search is tried at once."""
PROOF_CHOICES = 600
"""With more choices left than this, and than 24 a slot or twice this, the proof is not tried."""
CP_SAT_ARCS = 1_500
"""CP-SAT is not given more arcs than this: past that it burns its time for nothing."""
WINDOW = 24
"""Slots in a window that is searched anew while the others stay."""
WIDE_WINDOW = (60, 400)
"""Slots of the windows that come last, and the partial answers held there; measured, they take up to a fifth
off the gap of problems with several pictures a sentence."""


class InfeasibleError(ValueError):
    """No choice of one candidate a slot leaves every cell taken at most once."""


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """N slots in a row; slot i has K_i choices.

    Costs are all integers or all floats (which are rounded to a millionth). Raises:
        ValueError: if shapes do not agree, a slot has no choice or a cost is not finite.
    """

    unary: Sequence[NDArray[np.generic]]
    """N arrays (K_i,): the cost of each choice."""
    pair: Sequence[NDArray[np.generic]]
    """N - 1 arrays (K_i, K_i+1): the cost of neighbouring choices, infinite where they are forbidden."""
    uses: Sequence[NDArray[np.integer]]
    """N arrays (K_i, C): the cells each choice takes, as numbers from 0, padded with -1."""
    fees: FloatArray | None = None
    """(cells,) cost of each further taking of a cell, infinite where it may be taken once only; None where
    all are so."""
    lengths: Sequence[Lengths] | None = None
    """For each slot (least (K_i,), cost (K_i, L)): the lengths in frames that each choice may have, and what
    they cost besides ``unary``. None where lengths do not matter."""
    total: tuple[int, int] | None = None
    """Fewest and most frames that all slots may have together; needs ``lengths``."""

    def __post_init__(self) -> None:
        count = len(self.unary)
        if count == 0 or len(self.pair) != count - 1 or len(self.uses) != count:
            raise ValueError(
                f"a problem of N slots needs N unary, N - 1 pair and N uses arrays, got {count}, "
                f"{len(self.pair)}, {len(self.uses)}"
            )
        for i, (unary, uses) in enumerate(zip(self.unary, self.uses, strict=True)):
            if unary.ndim != 1 or len(unary) == 0 or uses.ndim != 2 or len(uses) != len(unary):
                raise ValueError(f"slot {i}: unary of shape {unary.shape} and uses of shape {uses.shape}")
            if not np.isfinite(unary.astype(np.float64)).all():
                raise ValueError(f"slot {i} has a cost that is not finite")
        for i, pair in enumerate(self.pair):
            expected = (len(self.unary[i]), len(self.unary[i + 1]))
            if pair.shape != expected:
                raise ValueError(f"pair {i} has shape {pair.shape}, expected {expected}")
            if np.isnan(pair.astype(np.float64)).any() or (pair.astype(np.float64) == -np.inf).any():
                raise ValueError(f"pair {i} has a cost that is no number")
        highest = max((int(uses.max()) for uses in self.uses if uses.size), default=-1)
        if self.fees is not None and (len(self.fees) <= highest or not (self.fees >= 0).all()):
            raise ValueError(f"fees need {highest + 1} costs of 0 or more, got {self.fees}")
        if self.total is not None and self.lengths is None:
            raise ValueError("a total needs lengths")
        for i, (least, cost) in enumerate(self.lengths or ()):
            if least.shape != self.unary[i].shape or len(cost) != len(least):
                raise ValueError(f"slot {i}: lengths of shapes {least.shape} and {cost.shape}")
            if not np.isfinite(cost).any(axis=1).all():
                raise ValueError(f"slot {i} has a choice without a length")

    @property
    def whole(self) -> bool:
        """Whether every cost is an integer."""
        return self.lengths is None and all(
            np.issubdtype(a.dtype, np.integer) for a in (*self.unary, *self.pair)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """A valid answer and how good it is."""

    choice: tuple[int, ...]
    """The choice taken at each slot."""
    objective: float
    """Its cost."""
    bound: float
    """No valid answer costs less."""
    seconds: float
    """Wall time."""
    multipliers: FloatArray
    """One price a cell; a later, similar problem may start from them."""
    method: str
    """What closed it: ``lagrange``, ``beam``, ``search``, ``cp-sat``, or ``limit`` where a gap is left."""
    stats: dict[str, float] = field(default_factory=dict)
    """Steps, widths and sizes, for benchmarks."""
    frames: tuple[int, ...] = ()
    """Length of each slot, empty for a problem without lengths."""

    @property
    def optimal(self) -> bool:
        """Whether the answer is proven best."""
        return self.bound >= self.objective

    @property
    def gap(self) -> float:
        """(objective - bound) / |objective|, 0 where proven."""
        if self.optimal:
            return 0.0
        return (self.objective - self.bound) / max(abs(self.objective), 1e-12)


def compact(problem: Problem) -> tuple[Chain, IntArray, int]:
    """(the chain in whole numbers, the problem's cell behind each of the chain's, divisor of the costs).

    Cells that only one slot can take never bind, and of cells taken by the same choices one is enough.
    """
    scale = 1 if problem.whole else SCALE
    unary = [np.rint(a.astype(np.float64) * scale) for a in problem.unary]
    pair = [np.rint(a.astype(np.float64) * scale) for a in problem.pair]
    takers: dict[int, list[tuple[int, int]]] = {}
    for slot, uses in enumerate(problem.uses):
        for choice, row in enumerate(uses.tolist()):
            for cell in set(row):
                if cell >= 0:
                    takers.setdefault(cell, []).append((slot, choice))
    fees = np.full(max(takers, default=-1) + 1, np.inf) if problem.fees is None else problem.fees * scale
    kept: dict[tuple[tuple[tuple[int, int], ...], int], int] = {}
    for cell in sorted(takers):
        if takers[cell][0][0] != takers[cell][-1][0]:
            # Of cells that may be taken once only one is enough; what others cost adds up.
            kept.setdefault((tuple(takers[cell]), cell if np.isfinite(fees[cell]) else -1), cell)
    rows: list[list[list[int]]] = [[[] for _ in range(len(u))] for u in unary]
    for number, (choices, _) in enumerate(kept):
        for slot, choice in choices:
            rows[slot][choice].append(number)
    columns = max(1, max((len(r) for slot_rows in rows for r in slot_rows), default=1))
    cells = []
    for slot_rows in rows:
        array = np.full((len(slot_rows), columns), len(kept), dtype=np.int64)
        for choice, row in enumerate(slot_rows):
            array[choice, : len(row)] = row
        cells.append(array)
    fee = np.append(np.rint(fees[list(kept.values())]), 0.0)
    chain = Chain(unary=unary, pair=pair, cells=cells, size=len(kept), fee=fee)
    return chain, np.array(list(kept.values()), dtype=np.int64), scale


def _again(chain: Chain, counts: IntArray, cells: IntArray) -> FloatArray:
    """(K,) what it costs to take cells (K, C) besides those that are taken ``counts`` times."""
    extra: FloatArray = np.where(counts[cells] > 0, chain.fee[cells], 0.0).sum(axis=1)
    return extra


def _polish(chain: Chain, path: list[int], passes: int = 3) -> list[int]:
    """Change one slot at a time while that helps."""
    path = list(path)
    counts = chain.counts(path)
    for _ in range(passes):
        changed = False
        for i, own in enumerate(chain.unary):
            cost = own.copy()
            if i:
                cost += chain.pair[i - 1][path[i - 1]]
            if i < len(path) - 1:
                cost += chain.pair[i][:, path[i + 1]]
            counts[chain.cells[i][path[i]]] -= 1
            counts[chain.size] = 0
            cost += _again(chain, counts, chain.cells[i])
            best = int(cost.argmin())
            if cost[best] < cost[path[i]]:
                path[i], changed = best, True
            counts[chain.cells[i][path[i]]] += 1
            counts[chain.size] = 0
        if not changed:
            break
    return path


def _repair(chain: Chain, path: list[int]) -> list[int] | None:
    """Make a path valid: where a cell is taken again, the slot takes the cheapest choice that is free."""
    counts = np.zeros(chain.size + 1, dtype=np.int64)
    own = [float(chain.unary[i][k]) for i, k in enumerate(path)]
    out = list(path)
    clashing = []
    for i in sorted(range(len(path)), key=lambda slot: (own[slot], slot)):
        cells = chain.cells[i][path[i]]
        if not np.isfinite(_again(chain, counts, cells[None, :])[0]):
            clashing.append(i)
            continue
        counts[cells] += 1
        counts[chain.size] = 0
    for i in clashing:
        cost = chain.unary[i].copy()
        if i:
            cost += chain.pair[i - 1][out[i - 1]]
        if i < len(path) - 1:
            cost += chain.pair[i][:, out[i + 1]]
        cost += _again(chain, counts, chain.cells[i])
        best = int(cost.argmin())
        if not np.isfinite(cost[best]):
            return None
        out[i] = best
        counts[chain.cells[i][best]] += 1
        counts[chain.size] = 0
    return out


class _Search:
    """One run: the best answer, the best bound and the prices so far."""

    def __init__(self, chain: Chain, price: FloatArray, seed: int, stop: Callable[[], bool]) -> None:
        self.chain = chain
        self.seed = seed
        self.stop = stop
        self.path: list[int] | None = None
        self.upper: float | None = None
        self.lower = -np.inf
        self.ascent = Ascent(price)
        self.stats: dict[str, float] = {"choices": float(sum(map(len, chain.unary))), "cells": chain.size}

    def closed(self) -> bool:
        return self.upper is not None and self.upper - self.lower < 1 - 1e-6

    def offer(self, path: list[int] | None) -> None:
        """Take an answer if it is better than the best so far."""
        if path is None or not self.chain.valid(path):
            return
        path = _polish(self.chain, path)
        cost = self.chain.cost(path)
        if self.upper is None or cost < self.upper:
            self.path, self.upper = path, cost

    def raise_bound(self, steps: int) -> None:
        path = self.ascent.run(self.chain, self.upper, steps, self.stop)
        self.stats["steps"] = self.ascent.steps
        self.lower = max(self.lower, self.ascent.bound)
        self.offer(path if self.chain.valid(path) else _repair(self.chain, path))

    def beam(self, width: int) -> None:
        found = beam_search(self.chain, self.ascent.price, self.upper, width, seed=self.seed, stop=self.stop)
        self.offer(found.path)
        self.lower = max(self.lower, found.bound)
        self.stats["widest"] = max(self.stats.get("widest", 0), found.widest)

    def left(self) -> list[IntArray]:
        """The choices of each slot that may be in a better answer, and those of the best one."""
        assert self.upper is not None
        assert self.path is not None
        _, forward, backward = marginals(self.chain, self.ascent.price)
        limit = self.upper - 1 + 1e-6 + float(self.ascent.price.sum())
        return [
            np.union1d(np.flatnonzero(f + b <= limit), [k])
            for f, b, k in zip(forward, backward, self.path, strict=True)
        ]

    def prune(self) -> list[IntArray]:
        """Go on with what is left; returns the kept choices."""
        kept = self.left()
        assert self.path is not None
        self.chain = self.chain.keep(kept)
        self.path = [int(np.searchsorted(k, p)) for k, p in zip(kept, self.path, strict=True)]
        self.stats["left"] = float(sum(map(len, kept)))
        return kept

    def windows(self, width: int, size: int = WINDOW) -> bool:
        """Search each window of slots anew while the others stay; true if that helped."""
        helped = False
        count = len(self.chain)
        for start in range(0, max(1, count - size // 2), size // 2):
            if self.stop():
                break
            helped |= self._window(start, min(count, start + size), width)
        return helped

    def _window(self, start: int, end: int, width: int) -> bool:
        assert self.path is not None
        assert self.upper is not None
        chain, path = self.chain, self.path
        taken = chain.counts(path)
        for i in range(start, end):
            taken[chain.cells[i][path[i]]] -= 1
        taken[chain.size] = 0
        # What the slots around leave free, and what it costs beside them.
        beside = [_again(chain, taken, chain.cells[i]) for i in range(start, end)]
        if start:
            beside[0] = beside[0] + chain.pair[start - 1][path[start - 1]]
        if end < len(chain):
            beside[-1] = beside[-1] + chain.pair[end - 1][:, path[end]]
        kept = [np.flatnonzero(np.isfinite(extra)) for extra in beside]
        unary = [(chain.unary[i] + beside[i - start])[kept[i - start]] for i in range(start, end)]
        part = Chain(
            unary=unary,
            pair=[chain.pair[i][np.ix_(kept[i - start], kept[i - start + 1])] for i in range(start, end - 1)],
            cells=[chain.cells[i][kept[i - start]] for i in range(start, end)],
            size=chain.size,
            fee=chain.fee,
        )
        now = part.cost([int(np.searchsorted(kept[i - start], path[i])) for i in range(start, end)])
        found = beam_search(part, self.ascent.price, now, width, seed=self.seed, stop=self.stop)
        if found.path is None:
            return False
        path = list(path)
        path[start:end] = [int(kept[j][k]) for j, k in enumerate(found.path)]
        before = self.upper
        self.offer(path)
        return self.upper < before


def solve(
    problem: Problem,
    *,
    time_limit: float = 5.0,
    seed: int = 0,
    warm: Sequence[int] | None = None,
    multipliers: FloatArray | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Solution:
    """The cheapest valid answer, or the best one found within ``time_limit`` seconds, with its bound.

    The work is counted in steps, so that the same problem and ``seed`` give the same answer, unless the time
    limit strikes. ``warm`` is an answer to start from (one choice a slot; it is repaired where it takes a
    cell twice), ``multipliers`` those of a similar problem with the same cells. ``cancel`` is asked often;
    once true, the best so far is returned.

    With a total, what is solved is its Lagrangian relaxation (``montage.timed``), whose bound is true; the
    lengths of the answer add up exactly.

    Raises:
        InfeasibleError: if there is no valid answer, or none was found in the time.
        ValueError: if ``warm`` does not fit the problem.
    """
    if problem.lengths is not None:
        from montage.timed import solve_timed

        return solve_timed(
            problem, time_limit=time_limit, seed=seed, warm=warm, multipliers=multipliers, cancel=cancel
        )
    start = time.perf_counter()
    chain, cells, scale = compact(problem)

    def stop() -> bool:
        return time.perf_counter() - start > time_limit or (cancel is not None and cancel())

    price = np.zeros(chain.size)
    if multipliers is not None and chain.size:
        known = cells < len(multipliers)
        price[known] = np.maximum(0.0, multipliers[cells[known]] * scale)
    search = _Search(chain, price, seed, stop)
    if warm is not None:
        if len(warm) != len(chain) or any(
            not 0 <= k < len(u) for k, u in zip(warm, chain.unary, strict=True)
        ):
            raise ValueError(f"the warm answer does not fit a problem of {len(chain)} slots: {warm!r}")
        search.offer(_repair(chain, list(warm)))
    method, maps = _run(search, start, time_limit)
    if search.path is None or search.upper is None:
        raise InfeasibleError(f"no valid answer to a problem of {len(chain)} slots was found")
    path = search.path
    for kept in reversed(maps):
        path = [int(k[p]) for k, p in zip(kept, path, strict=True)]
    lower = min(search.upper, float(np.ceil(search.lower - 1e-6)))
    prices = np.zeros(max((int(u.max()) for u in problem.uses if u.size), default=-1) + 1)
    prices[cells] = search.ascent.price / scale
    return Solution(
        choice=tuple(path),
        objective=search.upper / scale,
        bound=lower / scale,
        seconds=time.perf_counter() - start,
        multipliers=prices,
        method=method if lower >= search.upper else "limit",
        stats=search.stats,
    )


def _run(search: _Search, start: float, time_limit: float) -> tuple[str, list[list[IntArray]]]:
    """Work until closed or out of steps; returns (what closed it, the prunings in order)."""
    maps: list[list[IntArray]] = []
    for steps, widest in zip(ROUNDS, WIDTHS, strict=True):
        if steps == ROUNDS[-1] and _choices(search.chain) > 2 * PROOF_CHOICES:
            break
        search.raise_bound(steps)
        if search.closed():
            return "lagrange", maps
        width = min(widest, max(WIDTHS[0], BEAM_WORK // _choices(search.chain)))
        # Where little is left a wide search costs little, and may prove it at once.
        search.beam(PROOF_WIDTHS[0] if _choices(search.chain) <= FEW * len(search.chain) else width)
        if search.closed():
            return "beam", maps
        if search.stop():
            return "limit", maps
        if search.path is not None:
            maps.append(search.prune())
    if search.path is not None and len(search.chain) > WINDOW:
        while search.windows(WIDTHS[1]) and not search.stop():
            pass
        search.windows(WIDE_WINDOW[1], WIDE_WINDOW[0])
        maps.append(search.prune())
    if not _in_reach(search.chain):
        return "limit", maps
    for width in PROOF_WIDTHS:
        search.beam(min(width, PROOF_BYTES // (search.chain.size + 1)))
        if search.closed():
            return "search", maps
        if search.path is not None:
            maps.append(search.prune())
    limit = time_limit - (time.perf_counter() - start)
    if limit > 0:
        from montage.closing import close_with_cp_sat

        closed = close_with_cp_sat(
            search.chain, search.ascent.price, search.path, search.upper, limit, search.seed, CP_SAT_ARCS
        )
        if closed is not None:
            search.offer(closed.path)
            search.lower = max(search.lower, closed.bound)
            search.stats["arcs"] = closed.arcs
    return "cp-sat", maps


def _choices(chain: Chain) -> int:
    return sum(map(len, chain.unary))


def _in_reach(chain: Chain) -> bool:
    return _choices(chain) <= max(PROOF_CHOICES, min(2 * PROOF_CHOICES, 24 * len(chain)))
