"""Problems for the benchmark of the solver: sentences that drift through the topics of a library."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from montage.solver import Problem

__all__ = ["changed", "film_like", "full_model"]

FloatArray = NDArray[np.float64]


class _Library:
    """Shots of a library, what each sentence finds among them, and what neighbours cost."""

    def __init__(self, count: int, each: int, seed: int, shots: int | None) -> None:
        chance = np.random.default_rng(seed)
        shots = shots or max(3 * each, 4 * count)
        topics = chance.standard_normal((max(4, shots // 40), 64))
        images = topics[chance.integers(len(topics), size=shots)] + chance.standard_normal((shots, 64))
        self.images = images / np.linalg.norm(images, axis=1, keepdims=True)
        walk = chance.integers(len(topics), size=max(1, count // 4) + 1)
        texts = topics[walk[np.arange(count) // 4]] + 0.8 * chance.standard_normal((count, 64))
        texts /= np.linalg.norm(texts, axis=1, keepdims=True)
        match = texts @ self.images.T
        self.best = np.argsort(-match, axis=1, kind="stable")[:, :each]
        self.miss = 1 - np.take_along_axis(match, self.best, axis=1)
        self.source = chance.integers(max(2, shots // 30), size=shots)
        self.moves = chance.uniform(-1, 1, (shots, 2))

    def joined(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> FloatArray:
        """(A, B) cost of shots ``a`` followed by shots ``b``; -1 is a gap, which costs nothing."""
        alike = self.images[a] @ self.images[b].T
        cost: FloatArray = (
            0.6 * np.maximum(0, alike - 0.5)
            + 0.1 * (1 - alike)
            + 0.15 * (self.source[a][:, None] == self.source[b][None, :])
            + 0.075 * np.linalg.norm(self.moves[a][:, None] - self.moves[b][None, :], axis=2)
        )
        cost[a < 0, :] = 0
        cost[:, b < 0] = 0
        return cost


def film_like(count: int, each: int, seed: int, shots: int | None = None) -> Problem:
    """``count`` slots with ``each`` candidates and a gap, from a library of ``shots`` shots."""
    library = _Library(count, each, seed, shots)
    found = [np.append(row, -1) for row in library.best]
    return Problem(
        unary=[np.rint(1000 * np.append(row, 2)).astype(np.int64) for row in library.miss],
        pair=[np.rint(1000 * library.joined(a, b)).astype(np.int64) for a, b in pairwise(found)],
        uses=[row[:, None] for row in found],
    )


def full_model(count: int, each: int, seed: int) -> Problem:
    """Sentences of one or two pictures, a fee on takes that look alike, lengths, and a total 5% short.

    A sentence has two slots. In the first a choice is the only picture, the first of two, or a gap; in the
    second it is the second of two, or the only picture (or the gap) carried on.
    """
    library = _Library(count, each, seed, None)
    chance = np.random.default_rng(seed + 1)
    unary, pair, uses, lengths = [], [], [], []
    natural = 0
    before: NDArray[np.int64] | None = None
    for row, miss in zip(library.best, library.miss, strict=True):
        here = np.concatenate([row, row, [-1]])
        target = int(chance.integers(60, 140))
        natural += target
        if before is not None:
            pair.append(library.joined(before, here))
        inside = np.full((2 * each + 1, 2 * each + 1), np.inf)
        inside[np.arange(each), np.arange(each)] = 0
        inside[-1, -1] = 0
        inside[each:-1, each:-1] = library.joined(row, row)
        pair.append(inside)
        first = np.concatenate([miss, miss / 2, [2.0]])
        second = np.concatenate([np.zeros(each), miss / 2, [0.0]])
        unary += [first, second]
        taken = np.stack([here, np.where(here < 0, -1, len(library.images) + here // 3)], axis=1)
        carried = taken.copy()
        carried[:each] = -1
        uses += [taken, carried]
        frames = np.arange(12, 2 * target + 1)
        cost = np.empty((2 * each + 1, len(frames)))
        cost[:each] = 0.02 * (np.log(frames / target) / 0.45) ** 2
        cost[each:] = 0.02 * (np.log(2 * frames / target) / 0.45) ** 2
        cost[-1] = np.where(frames == target, 0.0, np.inf)
        none = cost.copy()
        none[:each] = none[-1] = np.inf
        none[:each, 0] = none[-1, 0] = 0.0
        least = np.full(2 * each + 1, 12)
        lengths += [(least, cost), (np.concatenate([np.zeros(each, int), least[each:-1], [0]]), none)]
        before = here
    shots = len(library.images)
    total = round(0.95 * natural)
    return Problem(
        unary=unary,
        pair=pair,
        uses=uses,
        fees=np.concatenate([np.full(shots, np.inf), np.full(shots // 3 + 1, 0.2)]),
        lengths=lengths,
        total=(total, total + 2),
    )


def changed(problem: Problem, seed: int) -> Problem:
    """The same problem with the costs of the choices of its middle slot (but the gap) in another order."""
    unary = list(problem.unary)
    middle = len(unary) // 2
    unary[middle] = np.append(np.random.default_rng(seed).permutation(unary[middle][:-1]), unary[middle][-1])
    return replace(problem, unary=unary)
