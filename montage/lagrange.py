"""A lower bound for the solver: shortest paths through the slots, with a price on every use cell.

"Use once" couples all slots. Relaxed with one multiplier ("price") a cell, what is left is a shortest path
through a layered graph, which dynamic programming (Viterbi) solves exactly; the prices are raised by
subgradient steps (Held and Karp 1971, with Polyak's step length). Whatever the prices are, path cost less the
sum of all prices is a true lower bound, and its marginals say which choices cannot be in a better answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ascent", "Chain", "marginals"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MEMORY = 0.9
"""Share of the last direction in the next."""
PATIENCE = 15
"""Steps without progress before steps get shorter."""
SHRINK = 0.8
"""Factor by which they do."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Slots in a row, each with its choices; costs are whole numbers kept in float64.

    Cells are numbered from 0 to ``size - 1``; the number ``size`` is a dummy that is never taken, which pads
    the rows of ``cells`` to one length.
    """

    unary: list[FloatArray]
    """(K_i,) cost of each choice."""
    pair: list[FloatArray]
    """(K_i, K_i+1) cost between neighbouring choices."""
    cells: list[IntArray]
    """(K_i, C) use cells that each choice takes."""
    size: int
    """Number of cells."""
    fee: FloatArray
    """(size + 1,) cost of each further taking of a cell: infinite where it may be taken once only, 0 for the
    dummy."""

    def __len__(self) -> int:
        return len(self.unary)

    def cost(self, path: list[int]) -> float:
        """Total cost of one choice a slot; infinite where a cell is taken too often or a pair forbidden."""
        total = sum(float(self.unary[i][k]) for i, k in enumerate(path))
        total += sum(float(m[path[i], path[i + 1]]) for i, m in enumerate(self.pair))
        counts = self.counts(path)
        again = np.flatnonzero(counts[: self.size] > 1)
        return total + float((self.fee[again] * (counts[again] - 1)).sum())

    def counts(self, path: list[int]) -> IntArray:
        """(size + 1,) how often each cell is taken; the last entry counts the dummy."""
        taken = np.concatenate([self.cells[i][k] for i, k in enumerate(path)])
        return np.bincount(taken, minlength=self.size + 1)

    def valid(self, path: list[int]) -> bool:
        """Whether no cell is taken too often and no pair is forbidden."""
        return bool(np.isfinite(self.cost(path)))

    @property
    def soft(self) -> bool:
        """Whether any cell may be taken again at a cost."""
        return bool(np.isfinite(self.fee[: self.size]).any())

    def keep(self, kept: list[IntArray]) -> Chain:
        """The same chain with only the choices ``kept[i]`` at slot i."""
        return replace(
            self,
            unary=[u[k] for u, k in zip(self.unary, kept, strict=True)],
            pair=[m[np.ix_(kept[i], kept[i + 1])] for i, m in enumerate(self.pair)],
            cells=[c[k] for c, k in zip(self.cells, kept, strict=True)],
        )

    def priced(self, price: FloatArray) -> list[FloatArray]:
        """Each choice's cost plus the prices of the cells that it takes; ``price`` is (size,)."""
        padded = np.append(price, 0.0)
        if not self.unary:
            return []
        extra = padded[np.concatenate(self.cells)].sum(axis=1)
        bounds = np.cumsum([len(u) for u in self.unary])[:-1]
        return [u + e for u, e in zip(self.unary, np.split(extra, bounds), strict=True)]


def _forward(priced: list[FloatArray], pair: list[FloatArray]) -> list[FloatArray]:
    cost = priced[0]
    out = [cost]
    for step, own in zip(pair, priced[1:], strict=True):
        cost = (step + cost[:, None]).min(axis=0) + own
        out.append(cost)
    return out


def _trace(forward: list[FloatArray], pair: list[FloatArray]) -> list[int]:
    choice = int(forward[-1].argmin())
    path = [choice]
    for i in range(len(pair) - 1, -1, -1):
        choice = int((forward[i] + pair[i][:, choice]).argmin())
        path.append(choice)
    return path[::-1]


def marginals(chain: Chain, price: FloatArray) -> tuple[list[FloatArray], list[FloatArray], list[FloatArray]]:
    """(priced costs, cheapest path up to each choice, cheapest path after it), without the sum of the prices.

    For choice k of slot i, ``forward[i][k] + backward[i][k] - price.sum()`` bounds every answer that uses it.
    """
    priced = chain.priced(price)
    forward = _forward(priced, chain.pair)
    after = np.zeros(len(priced[-1]))
    backward = [after]
    for step, own in zip(reversed(chain.pair), reversed(priced[1:]), strict=True):
        after = (step + (own + after)[None, :]).min(axis=1)
        backward.append(after)
    return priced, forward, backward[::-1]


class Ascent:
    """Prices on their way up; ``run`` goes on where the last one stopped, also with fewer choices."""

    def __init__(self, price: FloatArray) -> None:
        self.price = price
        """(size,) the best prices so far."""
        self.bound = -np.inf
        """The lower bound that they give."""
        self.steps = 0
        """Steps taken."""
        self._now = price
        self._direction = np.zeros_like(price)
        self._length = 1.0
        self._stalled = 0

    def run(
        self, chain: Chain, upper: float | None, steps: int, stop: Callable[[], bool] | None = None
    ) -> list[int]:
        """At most ``steps`` subgradient steps; returns the relaxed path at the last prices.

        ``upper`` is the cost of a known answer, None where there is none yet. ``stop`` is asked after each
        step. A path that takes no cell twice is an answer.
        """
        path: list[int] = []
        for _ in range(steps):
            self.steps += 1
            forward = _forward(chain.priced(self._now), chain.pair)
            path = _trace(forward, chain.pair)
            bound = float(forward[-1].min() - self._now.sum())
            if bound > self.bound + 1e-9:
                self.bound, self.price, self._stalled = bound, self._now, 0
            else:
                self._stalled += 1
                if self._stalled >= PATIENCE:
                    self._length, self._stalled = self._length * SHRINK, 0
            gradient = (chain.counts(path)[: chain.size] - 1).astype(np.float64)
            fee = chain.fee[: chain.size]
            gradient[((self._now <= 0) & (gradient < 0)) | ((self._now >= fee) & (gradient > 0))] = 0
            # A large share of the last directions damps the zigzag (Camerini, Fratta and Maffioli 1975).
            # Going back to the best prices after a stall was tried and is worse where shots are short.
            direction = gradient + MEMORY * self._direction
            direction[(self._now <= 0) & (direction < 0)] = 0
            norm = float(direction @ direction)
            if not gradient.any() or norm == 0 or (upper is not None and upper - self.bound < 1 - 1e-6):
                break
            if stop is not None and stop():
                break
            target = upper if upper is not None else bound + max(1.0, abs(bound) * 0.02)
            self._direction = direction
            length = self._length * max(1.0, target - bound) / norm
            # No price is higher than what it costs to take the cell again: then the bound stays true.
            self._now = np.clip(self._now + length * direction, 0.0, chain.fee[: chain.size])
        return path
