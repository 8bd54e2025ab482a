"""CP-SAT on what the bounds have left of a problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from montage.lagrange import Chain, FloatArray, marginals

__all__ = ["Closed", "close_with_cp_sat"]

EFFORT = 0.25
"""CP-SAT's deterministic seconds: what it has not closed by then it seldom closes."""


@dataclass(frozen=True, slots=True)
class Closed:
    """What CP-SAT said."""

    path: list[int] | None
    """An answer, None if it found none."""
    bound: float
    """No answer costs less than this, or than the one known before."""
    arcs: int
    """Arcs in its model."""


def close_with_cp_sat(
    chain: Chain,
    price: FloatArray,
    path: list[int] | None,
    upper: float | None,
    seconds: float,
    seed: int,
    most_arcs: int,
) -> Closed | None:
    """Solve the rest as a flow of one unit through the slots; None if it is too large or there is no time.

    Arcs that no answer cheaper than ``upper`` (the cost of ``path``) can use are left out. One worker and a
    limit in CP-SAT's own deterministic time make the answer repeatable.
    """
    priced, forward, backward = marginals(chain, price)
    limit = np.inf if upper is None else upper - 1 + 1e-6 + float(price.sum())
    arcs = []
    for i, pair in enumerate(chain.pair):
        through = forward[i][:, None] + pair + (priced[i + 1] + backward[i + 1])[None, :]
        keep = (through <= limit) & np.isfinite(pair)
        if path is not None:
            keep[path[i], path[i + 1]] = True
        arcs.append(np.argwhere(keep))
    count = sum(map(len, arcs))
    if count > most_arcs or seconds <= 0.05:
        return None
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    nodes = [[model.new_bool_var("") for _ in unary] for unary in chain.unary]
    literals, costs = [], []
    takers: dict[int, list[cp_model.IntVar]] = {}
    for slot, row in enumerate(nodes):
        model.add_exactly_one(row)
        for choice, node in enumerate(row):
            literals.append(node)
            costs.append(int(chain.unary[slot][choice]))
            for cell in chain.cells[slot][choice].tolist():
                if cell < chain.size:
                    takers.setdefault(cell, []).append(node)
            if path is not None:
                model.add_hint(node, int(path[slot] == choice))
    for cell, clique in takers.items():
        if len(clique) > 1 and np.isinf(chain.fee[cell]):
            model.add_at_most_one(clique)
        elif len(clique) > 1:
            again = model.new_int_var(0, len(clique) - 1, "")
            model.add(again >= cp_model.LinearExpr.sum(clique) - 1)
            literals.append(again)
            costs.append(int(chain.fee[cell]))
    for slot, pairs in enumerate(arcs):
        leaving: list[list[cp_model.IntVar]] = [[] for _ in nodes[slot]]
        entering: list[list[cp_model.IntVar]] = [[] for _ in nodes[slot + 1]]
        for a, b in pairs.tolist():
            arc = model.new_bool_var("")
            leaving[a].append(arc)
            entering[b].append(arc)
            literals.append(arc)
            costs.append(int(chain.pair[slot][a, b]))
        for node, arcs_out in zip(nodes[slot], leaving, strict=True):
            model.add_exactly_one([*arcs_out, node.negated()])
        for node, arcs_in in zip(nodes[slot + 1], entering, strict=True):
            model.add_exactly_one([*arcs_in, node.negated()])
    model.minimize(cp_model.LinearExpr.weighted_sum(literals, costs))
    solver = cp_model.CpSolver()
    # Its own handler of Ctrl-C would stay when it is done, and end the process without any clearing up.
    solver.parameters.catch_sigint_signal = False
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = seed
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.max_deterministic_time = EFFORT
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE:
        return Closed(path=None, bound=np.inf if upper is None else upper, arcs=count)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Closed(path=None, bound=-np.inf, arcs=count)
    found = [next(k for k, node in enumerate(row) if solver.boolean_value(node)) for row in nodes]
    return Closed(path=found, bound=solver.best_objective_bound, arcs=count)
