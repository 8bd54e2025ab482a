"""How quickly the best cut is proven: montage's solver against one CP-SAT model of the same problem.

    python benchmarks/solver.py [--limit 8] [--seeds 2] [--sizes 10x20,50x20,...]

The problems are film-like: sentences drift through topics, candidates are the best-matching shots of a
library (so neighbouring sentences want the same ones), neighbours cost by likeness and source, and every slot
may stay empty at a high cost. In a "contested" library there are fewer shots than slots. The peer is CP-SAT
(OR-Tools, one worker) on the natural model: a choice a slot, an arc variable a pair of neighbouring choices,
at most one use of each shot. Both run on one thread, in turn; importing OR-Tools is not counted. Times are of
the processor, so that a busy machine does not blur them; the limit is of the clock. The gap is
(objective - bound) / objective.
"""

from __future__ import annotations

import argparse
import statistics
import time
from importlib.metadata import version
from itertools import pairwise

import numpy as np
from ortools.sat.python import cp_model

from montage.solver import Problem, solve

SIZES = "10x20,20x20,50x20,50x50,50x20c,200x20,1000x20"


def film_like(count: int, each: int, seed: int, shots: int | None = None) -> Problem:
    """``count`` slots with ``each`` candidates and a gap, from a library of ``shots`` shots."""
    chance = np.random.default_rng(seed)
    shots = shots or max(3 * each, 4 * count)
    topics = chance.standard_normal((max(4, shots // 40), 64))
    images = topics[chance.integers(len(topics), size=shots)] + chance.standard_normal((shots, 64))
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    walk = chance.integers(len(topics), size=max(1, count // 4) + 1)
    texts = topics[walk[np.arange(count) // 4]] + 0.8 * chance.standard_normal((count, 64))
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    match = texts @ images.T
    best = np.argsort(-match, axis=1, kind="stable")[:, :each]
    source = chance.integers(max(2, shots // 30), size=shots)
    moves = chance.uniform(-1, 1, (shots, 2))
    pair = []
    for a, b in pairwise(best):
        alike = images[a] @ images[b].T
        cost = np.zeros((each + 1, each + 1))
        cost[:each, :each] = (
            0.6 * np.maximum(0, alike - 0.5)
            + 0.1 * (1 - alike)
            + 0.15 * (source[a][:, None] == source[b][None, :])
            + 0.075 * np.linalg.norm(moves[a][:, None] - moves[b][None, :], axis=2)
        )
        pair.append(np.rint(1000 * cost).astype(np.int64))
    return Problem(
        unary=[np.rint(1000 * np.append(1 - match[i, best[i]], 2)).astype(np.int64) for i in range(count)],
        pair=pair,
        uses=[np.append(row, -1)[:, None] for row in best],
    )


def plain_cp_sat(problem: Problem, limit: float, seed: int) -> tuple[float, float, float]:
    """(objective, bound, seconds) of one CP-SAT model; infinite without an answer."""
    start, begun = time.process_time(), time.perf_counter()
    model = cp_model.CpModel()
    nodes = [[model.new_bool_var("") for _ in unary] for unary in problem.unary]
    terms, costs = [], []
    takers: dict[int, list[cp_model.IntVar]] = {}
    for row, unary, uses in zip(nodes, problem.unary, problem.uses, strict=True):
        model.add_exactly_one(row)
        for node, cost, cells in zip(row, unary.tolist(), uses.tolist(), strict=True):
            terms.append(node)
            costs.append(cost)
            for cell in cells:
                if cell >= 0:
                    takers.setdefault(cell, []).append(node)
    for clique in takers.values():
        model.add_at_most_one(clique)
    for i, matrix in enumerate(problem.pair):
        arcs = [[model.new_bool_var("") for _ in nodes[i + 1]] for _ in nodes[i]]
        for node, row in zip(nodes[i], arcs, strict=True):
            model.add_exactly_one([*row, node.negated()])
        for k, node in enumerate(nodes[i + 1]):
            model.add_exactly_one([*(row[k] for row in arcs), node.negated()])
        terms += [arc for row in arcs for arc in row]
        costs += matrix.ravel().tolist()
    model.minimize(cp_model.LinearExpr.weighted_sum(terms, costs))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = seed
    solver.parameters.max_time_in_seconds = max(0.01, limit - (time.perf_counter() - begun))
    status = solver.solve(model)
    seconds = time.process_time() - start
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return float("inf"), solver.best_objective_bound, seconds
    return solver.objective_value, solver.best_objective_bound, seconds


def gap_of(objective: float, bound: float) -> float:
    return (objective - bound) / objective if np.isfinite(objective) else float("inf")


def told(gap: float) -> str:
    if not np.isfinite(gap):
        return "no answer"
    return "proven" if gap <= 1e-9 else f"{gap:.2%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=float, default=8.0, help="seconds for each solver and problem")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sizes", default=SIZES, help="slots x candidates; c: a contested library")
    options = parser.parse_args()
    print(f"CP-SAT is that of OR-Tools {version('ortools')}.")
    print("| slots x candidates | montage s | gap | CP-SAT s | gap | time, ratio | cost CP-SAT/montage |")
    print("|---|---|---|---|---|---|---|")
    for size in options.sizes.split(","):
        contested = size.endswith("c")
        count, each = map(int, size.removesuffix("c").split("x"))
        rows, taken = [], []
        for seed in range(options.seeds):
            problem = film_like(count, each, seed, max(each, count * 4 // 5) if contested else None)
            start = time.process_time()
            ours = solve(problem, time_limit=options.limit)
            taken.append(time.process_time() - start)
            rows.append((ours, plain_cp_sat(problem, options.limit, seed)))
        seconds = statistics.median(taken)
        others = statistics.median(peer[2] for _, peer in rows)
        ratio = statistics.median(peer[0] / ours.objective for ours, peer in rows)
        our_gap = max(ours.gap for ours, _ in rows)
        their_gap = max(gap_of(peer[0], peer[1]) for _, peer in rows)
        print(
            f"| {count} x {each}{' contested' if contested else ''} | {seconds:.3f} | {told(our_gap)} "
            f"| {others:.2f} | {told(their_gap)} | {others / seconds:.0f} | {ratio:.3f} |",
            flush=True,
        )
    print(f"Median of {options.seeds} problems a row for the times, the worst of them for the gaps.")


if __name__ == "__main__":
    main()
