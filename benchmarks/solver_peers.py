"""What others do with the solver's problem: one CP-SAT model, a narrow beam, a genetic algorithm, Viterbi.

All take a problem of whole costs whose choices take one cell each at most, the last choice of a slot none
(a gap), and return (one choice a slot or None, a lower bound).
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray
from ortools.sat.python import cp_model

from montage.solver import Problem

__all__ = ["PEERS", "cost_of", "repeats"]

IntArray = NDArray[np.int64]
Answer = tuple[list[int] | None, float]


def cost_of(problem: Problem, choice: list[int]) -> float:
    """Cost of an answer, repeats aside."""
    total = sum(int(u[k]) for u, k in zip(problem.unary, choice, strict=True))
    return float(total + sum(int(m[choice[i], choice[i + 1]]) for i, m in enumerate(problem.pair)))


def repeats(problem: Problem, choice: list[int]) -> int:
    """How many slots show a shot that an earlier one shows."""
    taken = [int(uses[k, 0]) for uses, k in zip(problem.uses, choice, strict=True)]
    shown = [cell for cell in taken if cell >= 0]
    return len(shown) - len(set(shown))


def _nodes(model: cp_model.CpModel, problem: Problem) -> list[list[cp_model.IntVar]]:
    nodes = [[model.new_bool_var("") for _ in unary] for unary in problem.unary]
    takers: dict[int, list[cp_model.IntVar]] = {}
    for row, uses in zip(nodes, problem.uses, strict=True):
        model.add_exactly_one(row)
        for node, cells in zip(row, uses.tolist(), strict=True):
            for cell in cells:
                if cell >= 0:
                    takers.setdefault(cell, []).append(node)
    for clique in takers.values():
        model.add_at_most_one(clique)
    return nodes


def _solved(
    model: cp_model.CpModel, nodes: list[list[cp_model.IntVar]], limit: float, seed: int, begun: float
) -> Answer:
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = seed
    solver.parameters.max_time_in_seconds = max(0.01, limit - (time.perf_counter() - begun))
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None, solver.best_objective_bound
    found = [next(k for k, node in enumerate(row) if solver.boolean_value(node)) for row in nodes]
    return found, solver.best_objective_bound


def cp_sat_flow(problem: Problem, limit: float, seed: int) -> Answer:
    """A choice a slot, and one unit that flows along the arcs between neighbouring choices."""
    begun = time.perf_counter()
    model = cp_model.CpModel()
    nodes = _nodes(model, problem)
    terms = [node for row in nodes for node in row]
    costs = [cost for unary in problem.unary for cost in unary.tolist()]
    for i, matrix in enumerate(problem.pair):
        arcs = [[model.new_bool_var("") for _ in nodes[i + 1]] for _ in nodes[i]]
        for node, row in zip(nodes[i], arcs, strict=True):
            model.add_exactly_one([*row, node.negated()])
        for k, node in enumerate(nodes[i + 1]):
            model.add_exactly_one([*(row[k] for row in arcs), node.negated()])
        terms += [arc for row in arcs for arc in row]
        costs += matrix.ravel().tolist()
    model.minimize(cp_model.LinearExpr.weighted_sum(terms, costs))
    return _solved(model, nodes, limit, seed, begun)


def cp_sat_circuit(problem: Problem, limit: float, seed: int) -> Answer:
    """One circuit from a depot through a choice of every slot; the choices that are not taken loop."""
    begun = time.perf_counter()
    model = cp_model.CpModel()
    nodes = _nodes(model, problem)
    starts = np.cumsum([1, *(len(row) for row in nodes)])
    terms, costs, arcs = [], [], []
    for slot, row in enumerate(nodes):
        for k, node in enumerate(row):
            arcs.append((int(starts[slot]) + k, int(starts[slot]) + k, node.negated()))
            terms.append(node)
            costs.append(int(problem.unary[slot][k]))
            if slot == 0:
                arcs.append((0, 1 + k, model.new_bool_var("")))
            if slot == len(nodes) - 1:
                arcs.append((int(starts[slot]) + k, 0, model.new_bool_var("")))
    for i, matrix in enumerate(problem.pair):
        for a, b in np.ndindex(matrix.shape):
            arc = model.new_bool_var("")
            arcs.append((int(starts[i]) + a, int(starts[i + 1]) + b, arc))
            terms.append(arc)
            costs.append(int(matrix[a, b]))
    model.add_circuit(arcs)
    model.minimize(cp_model.LinearExpr.weighted_sum(terms, costs))
    return _solved(model, nodes, limit, seed, begun)


def beam_of_3(problem: Problem, limit: float, seed: int, width: int = 3) -> Answer:
    """The ``width`` cheapest beginnings, none with a repeat (CinAssist's)."""
    beams: list[tuple[float, list[int], frozenset[int]]] = [(0.0, [], frozenset())]
    for slot, unary in enumerate(problem.unary):
        grown = []
        for cost, path, taken in beams:
            step = unary.astype(np.float64)
            if slot:
                step += problem.pair[slot - 1][path[-1]].astype(np.float64)
            for k in np.argsort(step, kind="stable").tolist():
                cell = int(problem.uses[slot][k, 0])
                if cell not in taken:
                    grown.append((cost + float(step[k]), [*path, k], taken | {cell} if cell >= 0 else taken))
        beams = sorted(grown, key=lambda beam: beam[0])[:width]
    return beams[0][1], -np.inf


def viterbi(problem: Problem, limit: float, seed: int) -> Answer:
    """The cheapest path where shots may repeat: no answer to the problem, but a bound."""
    cost = problem.unary[0].astype(np.int64)
    back = []
    for matrix, unary in zip(problem.pair, problem.unary[1:], strict=True):
        through = cost[:, None] + matrix.astype(np.int64)
        back.append(through.argmin(axis=0))
        cost = through.min(axis=0) + unary
    path = [int(cost.argmin())]
    for step in reversed(back):
        path.append(int(step[path[-1]]))
    return path[::-1], float(cost.min())


def genetic(
    problem: Problem, limit: float, seed: int, population: int = 100, generations: int = 100
) -> Answer:
    """Tournaments of two, crossing at two points, 2 changed slots a child, the best kept (ESA's sizes).

    Beginnings are greedy in chance order of slots; a shot that comes again becomes the slot's best free one.
    """
    chance = np.random.default_rng(seed)
    count = len(problem.unary)
    sizes = np.array([len(unary) for unary in problem.unary])
    widest = int(sizes.max())
    unary = np.full((count, widest), 10**9)
    uses = np.full((count, widest), -1)
    pair = np.zeros((max(1, count - 1), widest, widest))
    for i, size in enumerate(sizes.tolist()):
        unary[i, :size], uses[i, :size] = problem.unary[i], problem.uses[i][:, 0]
        if i < count - 1:
            pair[i, :size, : sizes[i + 1]] = problem.pair[i]
    slots = np.arange(count)
    ranked = [np.argsort(own, kind="stable").tolist() for own in problem.unary]

    def repaired(paths: IntArray) -> IntArray:
        for path in paths:
            taken: set[int] = set()
            for i in chance.permutation(count).tolist():
                k = int(path[i])
                if uses[i, k] in taken:
                    k = next(other for other in ranked[i] if uses[i, other] not in taken)
                    path[i] = k
                if uses[i, k] >= 0:
                    taken.add(int(uses[i, k]))
        return paths

    def priced(paths: IntArray) -> NDArray[np.float64]:
        cost: NDArray[np.float64] = unary[slots, paths].sum(axis=1).astype(np.float64)
        if count > 1:
            cost += pair[slots[:-1], paths[:, :-1], paths[:, 1:]].sum(axis=1)
        return cost

    paths = repaired(np.tile([own[0] for own in ranked], (population, 1)))
    cost = priced(paths)
    begun = time.perf_counter()
    for _ in range(generations):
        if time.perf_counter() - begun > limit:
            break
        rivals = chance.integers(population, size=(2, population, 2))
        parents = np.take_along_axis(rivals, cost[rivals].argmin(axis=2)[:, :, None], axis=2)[:, :, 0]
        cuts = np.sort(chance.integers(count + 1, size=(population, 2)), axis=1)
        inner = (slots >= cuts[:, :1]) & (slots < cuts[:, 1:])
        children = np.where(inner, paths[parents[0]], paths[parents[1]])
        change = chance.random(children.shape) < 2 / count
        children = np.where(change, chance.integers(sizes, size=children.shape), children)
        children[0] = paths[cost.argmin()]
        paths = repaired(children)
        cost = priced(paths)
    return paths[int(cost.argmin())].tolist(), -np.inf


PEERS = {
    "flow": ("CP-SAT, flow", cp_sat_flow),
    "circuit": ("CP-SAT, circuit", cp_sat_circuit),
    "beam": ("beam of 3", beam_of_3),
    "genetic": ("genetic, 100 x 100", genetic),
    "viterbi": ("Viterbi, repeats", viterbi),
}
"""Short name: (name, function of problem, seconds and seed)."""
