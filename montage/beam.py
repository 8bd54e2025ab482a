"""An upper bound for the solver: a search through the slots that keeps the most promising partial answers.

Every partial answer carries a true lower bound on what it can become: its own cost, plus the cheapest priced
path that may follow, less the prices of the cells that are still free (see ``montage.lagrange``). Partial
answers that cannot beat the best known answer are dropped, and of those that leave the same future only the
cheapest is kept, so where the search never has to drop a promising one for lack of room it is a proof.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from montage.lagrange import Chain, FloatArray, IntArray, marginals

__all__ = ["Found", "beam_search"]

BoolArray = NDArray[np.bool_]
KeyArray = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Found:
    """What a beam search found."""

    path: list[int] | None
    """A valid answer that costs less than the one known before, None if there is none among those kept."""
    bound: float
    """No answer costs less than this (or than the answer known before, whichever is less)."""
    widest: int
    """Most partial answers held at once."""


@dataclass(slots=True)
class _States:
    cost: FloatArray  # (S,) true cost so far
    rent: FloatArray  # (S,) prices of the cells taken that still matter
    last: IntArray  # (S,) choice at the slot reached
    used: BoolArray  # (S, size + 1) cells taken that still matter; the dummy stays false
    key: KeyArray  # (S,) hash of ``used``

    def take(self, rows: IntArray) -> _States:
        return _States(self.cost[rows], self.rent[rows], self.last[rows], self.used[rows], self.key[rows])


def _expiry(chain: Chain) -> tuple[list[IntArray], IntArray]:
    """(for each slot the cells that no later slot can take, the last slot of each cell or -1)."""
    last = np.full(chain.size + 1, -1, dtype=np.int64)
    for slot, cells in enumerate(chain.cells):
        last[cells.ravel()] = slot
    last = last[: chain.size]
    order = np.argsort(last, kind="stable")
    cuts = np.searchsorted(last[order], np.arange(len(chain) + 1))
    return [order[cuts[i] : cuts[i + 1]] for i in range(len(chain))], last


def _merge(states: _States) -> IntArray:
    """Rows to keep: of states with the same last choice and the same cells taken, the cheapest."""
    order = np.lexsort((states.cost, states.key, states.last))
    last, key = states.last[order], states.key[order]
    twin = np.flatnonzero((last[1:] == last[:-1]) & (key[1:] == key[:-1]))
    if not len(twin):
        return order
    same = (states.used[order[twin + 1]] == states.used[order[twin]]).all(axis=1)
    keep = np.ones(len(order), dtype=bool)
    keep[twin[same] + 1] = False
    return order[keep]


def beam_search(
    chain: Chain,
    price: FloatArray,
    upper: float | None,
    width: int,
    *,
    seed: int = 0,
    stop: Callable[[], bool] | None = None,
) -> Found:
    """Search for a valid answer cheaper than ``upper``, holding at most ``width`` partial answers.

    ``price`` is (size,), one price a cell, from ``montage.lagrange.ascend``: good prices make a good guide.
    ``stop`` is asked at each slot; once true the search is given up.
    """
    count = len(chain)
    priced, _, after = marginals(chain, price)
    padded = np.append(price, 0.0)
    extra = [p - u for p, u in zip(priced, chain.unary, strict=True)]
    expired, last_slot = _expiry(chain)
    soft = chain.soft
    free = float(price[last_slot >= 0].sum())
    hashes = np.random.default_rng(seed).integers(1, 2**63, size=chain.size + 1, dtype=np.uint64)
    hashes[chain.size] = 0
    limit = np.finfo(np.float64).max if upper is None else upper - 1 + 1e-6
    dropped = np.inf
    history: list[tuple[IntArray, IntArray]] = []
    states = _States(
        cost=np.zeros(1),
        rent=np.zeros(1),
        last=np.zeros(1, dtype=np.int64),
        used=np.zeros((1, chain.size + 1), dtype=bool),
        key=np.zeros(1, dtype=np.uint64),
    )
    widest = 1
    for slot in range(count):
        if stop is not None and stop():
            return Found(path=None, bound=-np.inf, widest=widest)
        cells = chain.cells[slot]
        total = states.cost[:, None] + chain.unary[slot][None, :]
        if slot:
            total += chain.pair[slot - 1][states.last]
        bound = total + (states.rent[:, None] + (extra[slot] + after[slot])[None, :] - free)
        if soft:
            for column in range(cells.shape[1]):
                again = states.used[:, cells[:, column]]
                total += np.where(again, chain.fee[cells[:, column]], 0.0)
                # The price of a cell counts once, however often it is taken.
                bound += np.where(again, chain.fee[cells[:, column]] - padded[cells[:, column]], 0.0)
        else:
            clash = states.used[:, cells[:, 0]]
            for column in range(1, cells.shape[1]):
                clash |= states.used[:, cells[:, column]]
            bound[clash] = np.inf
        flat = bound.ravel()
        alive = np.flatnonzero(flat <= limit)
        if len(alive) > 4 * width:  # room for twins, which are merged below
            order = np.argpartition(flat[alive], 4 * width)
            dropped = min(dropped, float(flat[alive[order[4 * width]]]))
            alive = np.sort(alive[order[: 4 * width]])
        if not len(alive):
            return Found(path=None, bound=min(dropped, np.inf if upper is None else upper), widest=widest)
        parent, choice = np.divmod(alive, len(cells))
        taken = cells[choice]
        used = states.used[parent]
        rows = np.arange(len(alive))[:, None]
        new = ~used[rows, taken]
        rent = states.rent[parent] + (padded[taken] * new).sum(axis=1)
        key = states.key[parent] + (hashes[taken] * new).sum(axis=1, dtype=np.uint64)
        used[rows, taken] = True
        used[:, chain.size] = False
        gone = expired[slot]
        if len(gone):
            held = used[:, gone]
            rent = rent - held @ padded[gone]
            key = key - (held * hashes[gone][None, :]).sum(axis=1, dtype=np.uint64)
            used[:, gone] = False
            free -= float(padded[gone].sum())
        states = _States(total.ravel()[alive], rent, choice, used, key)
        rows = _merge(states)
        if len(rows) > width:
            value = flat[alive[rows]]
            order = np.argpartition(value, width)
            dropped = min(dropped, float(value[order[width:]].min()))
            rows = rows[order[:width]]
        rows = np.sort(rows)
        states = states.take(rows)
        history.append((parent[rows], states.last))
        widest = max(widest, len(rows))
    row = int(states.cost.argmin())
    cost = float(states.cost[row])
    path: list[int] = []
    for parent, choice in reversed(history):
        path.append(int(choice[row]))
        row = int(parent[row])
    return Found(path=path[::-1], bound=min(dropped, cost), widest=widest)
