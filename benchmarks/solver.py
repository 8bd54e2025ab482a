"""How quickly the best cut is proven: montage's solver against five other ways, on the same problems.

    python -m benchmarks.solver [--sizes 10x20,50x20,...] [--peers flow,circuit,beam,genetic,viterbi]
                                [--limit 5] [--seeds 1]

The problems are film-like: sentences drift through topics, candidates are the best-matching shots of a
library (so neighbouring sentences want the same ones), neighbours cost by likeness and source, and every slot
may stay empty at a high cost. In a "contested" library (size with a ``c``) there are fewer shots than slots.
The full model has one or two pictures a sentence, a fee on takes that look alike, lengths and a total.

All run on one thread, in turn; importing OR-Tools is not counted. Times are of the processor, so that a busy
machine does not blur them; limits are of the clock. The gap is (objective - bound) / objective. The peers:
CP-SAT with an arc variable a pair of neighbours, in flow and in circuit form; a beam of the 3 cheapest
beginnings; a genetic algorithm of 100 answers and 100 generations with repair; and Viterbi, which repeats
shots and so does not solve the problem: its repeats are counted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import numpy as np

from benchmarks.solver_peers import PEERS, cost_of, repeats
from benchmarks.solver_problems import changed, film_like, full_model
from montage.solver import Problem, Solution, solve

SIZES = "10x20,10x50,50x20,50x50,50x20c,200x20,200x50,1000x20"
FULL = "10x20,50x20"
ARCS = 50_000
"""CP-SAT is not given problems with more arcs: it would find nothing within a limit of seconds."""


def timed(work: Callable[[], Solution]) -> tuple[Solution, float]:
    start = time.process_time()
    solution = work()
    return solution, time.process_time() - start


def told(gap: float) -> str:
    return "proven" if gap <= 1e-9 else f"{gap:.2%}"


def made(size: str, seed: int) -> Problem:
    contested = size.endswith("c")
    count, each = map(int, size.removesuffix("c").split("x"))
    return film_like(count, each, seed, max(each, count * 4 // 5) if contested else None)


def first_answer(problem: Problem) -> tuple[Solution, float]:
    """The answer of a run that is told to stop at once."""
    return timed(lambda: solve(problem, cancel=lambda: True))


def ours(sizes: list[str], seeds: int, limit: float) -> dict[tuple[str, int], tuple[Solution, float]]:
    print("\n| slots x candidates | first answer s | above best | s | gap | gap at 1 s | changed s | gap |")
    print("|---|---|---|---|---|---|---|---|")
    out = {}
    for size in sizes:
        rows = []
        for seed in range(seeds):
            problem = made(size, seed)
            first, soon = first_answer(problem)
            full, seconds = timed(partial(solve, problem, time_limit=limit))
            short, _ = timed(partial(solve, problem, time_limit=1.0))
            other = changed(problem, seed)
            again, anew = timed(
                partial(solve, other, time_limit=limit, warm=full.choice, multipliers=full.multipliers)
            )
            out[size, seed] = full, seconds
            above = first.objective / full.objective - 1
            rows.append((soon, above, seconds, full.gap, short.gap, anew, again.gap))
        soon, above, seconds, _, _, anew, _ = (
            statistics.median(column) for column in zip(*rows, strict=True)
        )
        _, _, _, gap, short_gap, _, anew_gap = (max(column) for column in zip(*rows, strict=True))
        print(
            f"| {size} | {soon:.3f} | {above:.1%} | {seconds:.3f} | {told(gap)} | {told(short_gap)} "
            f"| {anew:.3f} | {told(anew_gap)} |",
            flush=True,
        )
    return out


def whole_model(sizes: list[str], seeds: int, limit: float) -> None:
    print(
        "\nThe full model: one or two pictures a sentence, fees, lengths, a total 5% under the natural one.\n"
    )
    print("| sentences x candidates | s | gap | frames off the total |")
    print("|---|---|---|---|")
    for size in sizes:
        count, each = map(int, size.split("x"))
        rows = []
        for seed in range(seeds):
            problem = full_model(count, each, seed)
            solution, seconds = timed(partial(solve, problem, time_limit=limit))
            assert problem.total is not None
            low, high = problem.total
            frames = sum(solution.frames)
            rows.append((seconds, solution.gap, max(0, low - frames, frames - high)))
        seconds = statistics.median(row[0] for row in rows)
        gap, off = max(row[1] for row in rows), max(row[2] for row in rows)
        print(f"| {size} | {seconds:.2f} | {told(gap)} | {off} |", flush=True)


def others(
    known: dict[tuple[str, int], tuple[Solution, float]], peers: list[str], seeds: int, limit: float
) -> None:
    print("\n| slots x candidates | peer | s | gap | time, ratio | cost, ratio | repeats |")
    print("|---|---|---|---|---|---|---|")
    for size in dict.fromkeys(size for size, _ in known):
        for peer in peers:
            name, run = PEERS[peer]
            rows = []
            for seed in range(seeds):
                problem = made(size, seed)
                best, seconds = known[size, seed]
                if peer in ("flow", "circuit") and sum(m.size for m in problem.pair) > ARCS:
                    continue
                start = time.process_time()
                path, bound = run(problem, limit, seed)
                taken = time.process_time() - start
                if path is None:
                    rows.append((taken, np.inf, taken / seconds, np.inf, 0))
                    continue
                cost, again = cost_of(problem, path), repeats(problem, path)
                gap = max(0.0, (cost - bound) / cost) if again == 0 else np.inf
                rows.append((taken, gap, taken / seconds, cost / best.objective, again))
            if not rows:
                print(f"| {size} | {name} | too large | | | | |")
                continue
            taken, _, ratio, cost, again = (statistics.median(column) for column in zip(*rows, strict=True))
            gap = max(row[1] for row in rows)
            print(
                f"| {size} | {name} | {taken:.2f} | {told(gap) if np.isfinite(gap) else 'none'} "
                f"| {ratio:.2g} | {f'{cost:.3f}' if np.isfinite(cost) else 'no answer'} | {again:g} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=float, default=5.0, help="seconds for each solver and problem")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sizes", default=SIZES, help="slots x candidates; c: a contested library")
    parser.add_argument("--full", default=FULL, help="sentences x candidates of the full model")
    parser.add_argument("--peers", default=",".join(PEERS))
    options = parser.parse_args()
    print(f"CP-SAT is that of OR-Tools {version('ortools')}; limit {options.limit:g} s.")
    solve(made("5x5", 0))
    known = ours(options.sizes.split(","), options.seeds, options.limit)
    whole_model(options.full.split(","), options.seeds, options.limit)
    others(known, [peer for peer in options.peers.split(",") if peer], options.seeds, options.limit)
    print(f"\nMedian of {options.seeds} problems a row for times and costs, the worst of them for the gaps.")


if __name__ == "__main__":
    main()
