"""How well the cuts are cut: the optimiser against greedy top-1 and beam 3 on the same candidates.

    python -m benchmarks.cutting [--footage FOLDER] [--sentences 50] [--libraries 5]

All three choose from the same problem and obey the same hard rules (what the problem forbids). Greedy takes
for each slot, in order, what matches best of what is still free; beam 3 keeps the three cheapest beginnings,
by all costs of the problem (CinAssist's). Both show a sentence by as many pictures as come nearest to the
preset's pace, for they cannot weigh a beginning of one picture against one of three. The libraries are made
up (``benchmarks.libraries``), and with --footage real: FOLDER is indexed in a temporary place. Violations are
counted by plain definitions, per minute of film: jump cuts, opposite moves, size jumps (pairs that the
grammar of shot sizes scores 0), and repeats (the same source, or a near-duplicate, twice in a row, or the
same shot again).
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import montage
from benchmarks.libraries import made_library
from index.values import SHOT_SIZES
from montage.assemble import assemble
from montage.model import Answer, Model
from montage.presets import Preset, load_preset
from montage.rules import ESA, Join, Picture, Wish
from montage.rules.pairs import jump_cut, related
from montage.solver import Problem

STORIES = Path(__file__).parent / "stories"

JUMP = 0.5
"""From this cost of the rule on, a cut counts as a jump cut."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """What one cut comes to; violations are counts a minute."""

    match: float
    """Mean over the film's time, gaps counting 0."""
    gaps: float
    """Share of the film's time."""
    jump_cuts: float
    opposite_moves: float
    size_jumps: float
    repeats: float
    variety: float
    """Different sources a picture."""
    cut_rate: float
    """Pictures a minute."""
    cost: float
    """Of all rules, by the sentence."""

    @property
    def violations(self) -> float:
        return self.jump_cuts + self.opposite_moves + self.size_jumps + self.repeats


def opposite(first: Picture, second: Picture) -> bool:
    """Whether a pan, tilt or zoom is followed by its opposite."""
    a, b = first.look.move.split("-"), second.look.move.split("-")
    return a[0] == b[0] and a != b


def leaps(first: Picture, second: Picture) -> bool:
    """Whether the grammar of shot sizes scores the pair 0."""
    if first.look.size is None or second.look.size is None:
        return False
    return ESA.sizes[SHOT_SIZES.index(first.look.size)][SHOT_SIZES.index(second.look.size)] == 0


def score(pictures: Sequence[Picture | None], wishes: Sequence[Wish | None], cost: float) -> Score:
    """Count what the cut comes to."""
    both = zip(pictures, wishes, strict=True)
    lengths = [picture.seconds if picture else wish.seconds for picture, wish in both if wish]
    minutes = sum(lengths) / 60
    shown = [picture for picture in pictures if picture is not None]
    pairs = [(a, b) for a, b in pairwise(pictures) if a is not None and b is not None]
    seen: set[str] = set()
    repeats = sum(related(a, b) for a, b in pairs)
    for place, picture in enumerate(shown):
        beside = place and related(shown[place - 1], picture)
        repeats += picture.shot in seen and not beside
        seen.add(picture.shot)
    return Score(
        match=sum(picture.match * picture.seconds for picture in shown) / (60 * minutes),
        gaps=1 - sum(picture.seconds for picture in shown) / (60 * minutes),
        jump_cuts=sum(jump_cut(a, b, Join()) >= JUMP for a, b in pairs) / minutes,
        opposite_moves=sum(opposite(a, b) for a, b in pairs) / minutes,
        size_jumps=sum(leaps(a, b) for a, b in pairs) / minutes,
        repeats=repeats / minutes,
        variety=len({picture.media for picture in shown}) / max(1, len(shown)),
        cut_rate=len(shown) / minutes,
        cost=cost,
    )


def allowed(model: Model) -> list[NDArray[np.bool_]]:
    """Which states of each layer belong to the number of pictures that comes nearest to the preset's pace."""
    out = []
    wanted = 1
    for layer in model.layers:
        if layer.number == 0 and layer.sentence is not None:
            plans = {state.plan for state in layer.states if state.option is not None} or {1}
            parts = {state.plan: state.wish.seconds for state in layer.states if state.wish is not None}
            pace = float(model.preset.pace)
            wanted = min(plans, key=lambda plan: (abs(math.log(parts[plan] / pace)), plan))
        out.append(np.array([state.plan == wanted or layer.sentence is None for state in layer.states]))
    return out


def greedy(model: Model) -> list[int]:
    """In order, the free state that matches best; of equal matches the one that costs least by itself."""
    problem, matches = model.problem, matches_of(model)
    path: list[int] = []
    taken: set[int] = set()
    for slot, usual in enumerate(allowed(model)):
        unary, uses = problem.unary[slot], problem.uses[slot]
        free = [
            k
            for k in range(len(unary))
            if (not path or np.isfinite(problem.pair[slot - 1][path[-1], k]))
            and taken.isdisjoint(_hard(problem, uses[k]))
        ]
        free = [k for k in free if usual[k]] or free
        best = max(free, key=lambda k: (matches[slot][k], -float(unary[k]), -k))
        path.append(best)
        taken |= _hard(problem, uses[best])
    return path


def _hard(problem: Problem, row: NDArray[np.integer]) -> set[int]:
    """The cells of a choice that may be taken once only."""
    fees = problem.fees
    return {int(cell) for cell in row if cell >= 0 and (fees is None or not np.isfinite(fees[cell]))}


def beam(model: Model, width: int) -> list[int]:
    """The cheapest of ``width`` beginnings kept from slot to slot, by all costs of the problem."""
    problem, usual = model.problem, allowed(model)
    kept: list[tuple[float, list[int], dict[int, int]]] = [(0.0, [], {})]
    fees = problem.fees if problem.fees is not None else np.full(10**6, np.inf)
    for slot, unary in enumerate(problem.unary):
        found = []
        for cost, path, counts in kept:
            step = unary.astype(np.float64)
            if path:
                step = step + problem.pair[slot - 1][path[-1]]
            for k in np.flatnonzero(np.isfinite(step)).tolist():
                cells = [int(cell) for cell in problem.uses[slot][k] if cell >= 0]
                again = sum(float(fees[cell]) for cell in cells if counts.get(cell))
                if np.isfinite(again):
                    found.append((cost + float(step[k]) + again, k, path, counts, cells))
        found = [entry for entry in found if usual[slot][entry[1]]] or found
        found.sort(key=lambda entry: entry[0])
        kept = []
        for cost, k, path, counts, cells in found[:width]:
            more = dict(counts)
            for cell in cells:
                more[cell] = more.get(cell, 0) + 1
            kept.append((cost, [*path, k], more))
    return kept[0][1]


def matches_of(model: Model) -> list[list[float]]:
    """How well each state of each layer shows its sentence; a gap shows it worse than anything."""
    return [
        [
            0.0 if state.carried else -1.0 if state.option is None else state.option.choice.picture.match
            for state in layer.states
        ]
        for layer in model.layers
    ]


def scored(model: Model, path: Sequence[int]) -> Score:
    """The score of an answer of a model's problem."""
    frames = [
        0 if state.carried else state.frames if state.option is None else state.option.choice.frames
        for state in (layer.states[k] for layer, k in zip(model.layers, path, strict=True))
    ]
    answer = Answer(path=tuple(path), frames=tuple(frames))
    return shown(model, answer)


def shown(model: Model, answer: Answer) -> Score:
    slots = model.shown(answer)
    return score(
        [None if slot.choice is None else slot.choice.picture for slot in slots],
        [slot.state.wish for slot in slots],
        model.objective(answer) / len({slot.state.wish.sentence for slot in slots if slot.state.wish}),
    )


def compared(model: Model) -> dict[str, Score]:
    """The three ways to choose, on one model."""
    return {
        "greedy top-1": scored(model, greedy(model)),
        "beam 3": scored(model, beam(model, 3)),
        "montage": shown(model, model.answer),
    }


def table(name: str, rows: Sequence[dict[str, Score]], pace: float) -> None:
    """Print the means over several libraries, and how the optimiser stands to greedy."""
    cuts = "1 cut" if len(rows) == 1 else f"{len(rows)} cuts"
    print(f"\n**{name}** ({cuts}; the preset's pace is {60 / pace:.1f} pictures a minute)\n")
    columns = [field.name for field in fields(Score)]
    print("| | " + " | ".join(column.replace("_", " ") for column in columns) + " | violations |")
    print("|---" * (len(columns) + 2) + "|")
    means = {}
    for way in rows[0]:
        mean = Score(**{c: statistics.mean(getattr(row[way], c) for row in rows) for c in columns})
        means[way] = mean
        cells = " | ".join(f"{getattr(mean, column):.3f}" for column in columns)
        print(f"| {way} | {cells} | {mean.violations:.2f} |")
    ours = means["montage"]
    for way, mean in means.items():
        if way != "montage":
            fewer = mean.violations / ours.violations if ours.violations else float("inf")
            match = ours.match / mean.match - 1
            print(f"\nAgainst {way}: {fewer:.1f} times fewer violations, match {match:+.1%}.")


def real_model(footage: Path, preset: Preset, story: Path) -> Model:
    """The model of a story over real footage, indexed in a temporary place."""
    with tempfile.TemporaryDirectory() as store:
        library = montage.build_index(footage, encoder="embedded", store=Path(store) / "index")
        cut = montage.plan(story, library, preset)
        assert cut.model is not None
        return cut.model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--footage", type=Path, help="a folder of footage for the texts in stories")
    parser.add_argument("--sentences", type=int, default=50)
    parser.add_argument("--shots", type=int, default=300)
    parser.add_argument("--each", type=int, default=20, help="candidates of a sentence")
    parser.add_argument("--libraries", type=int, default=5)
    parser.add_argument("--preset", default="documentary")
    options = parser.parse_args()
    preset = load_preset(options.preset)
    rows = []
    for seed in range(options.libraries):
        made = made_library(options.sentences, options.shots, options.each, seed)
        cut = assemble(
            made.script,
            made.candidates,
            preset=preset,
            fps=Fraction(25),
            threshold=0.2,
            media=made.media,
        )
        rows.append(compared(cut.model))
    table(f"{options.libraries} made-up libraries, {options.sentences} sentences", rows, float(preset.pace))
    if options.footage:
        for story in sorted(STORIES.glob("*.txt")):
            model = real_model(options.footage, preset, story)
            table(f"real footage, {story.stem}", [compared(model)], float(preset.pace))


if __name__ == "__main__":
    main()
