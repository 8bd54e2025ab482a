"""How much of a cut stays when one sentence changes, and what that costs.

    python -m benchmarks.stability [--edits 100] [--sentences 50]

A cut of a made-up library (``benchmarks.libraries``) is planned; then, for every edit, one sentence at random
is replaced by another, taken out, or put in, and the script is planned again with the first cut as the
previous one. Printed are the share of the other sentences' pictures that keep their shot, and the objective
(without the rule of stability) over that of a cut that knows no previous one.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from dataclasses import replace
from fractions import Fraction

from benchmarks.libraries import Made, made_library
from montage.assemble import Assembly, assemble
from montage.presets import Preset, load_preset
from montage.script import Script
from montage.taste import kept_shots
from montage.values import Candidate, Sentence, Slot

KINDS = ("replaced", "taken out", "put in")


def planned(
    made: Made,
    sentences: list[Sentence],
    pool: dict[str, tuple[Candidate, ...]],
    preset: Preset,
    previous: tuple[Slot, ...],
) -> Assembly:
    script = Script(
        sentences=tuple(replace(one, number=number) for number, one in enumerate(sentences, start=1))
    )
    return assemble(
        script,
        pool,
        preset=preset,
        fps=Fraction(25),
        threshold=0.2,
        media=made.media,
        previous=previous,
    )


def edited(
    made: Made, count: int, number: int, chance: random.Random
) -> tuple[str, list[Sentence], dict[str, tuple[Candidate, ...]]]:
    """(kind, sentences, candidates) of the script after one edit with a sentence that it did not have."""
    sentences = list(made.script.sentences[:count])
    pool = dict(made.candidates)
    new = made.script.sentences[count + number]
    at = chance.randrange(count)
    kind = KINDS[number % len(KINDS)]
    if kind == "replaced":
        old = sentences[at]
        sentences[at] = replace(new, id=old.id, paragraph=old.paragraph)
        pool[old.id] = tuple(replace(one, sentence=old.id) for one in made.candidates[new.id])
    elif kind == "taken out":
        del sentences[at]
    else:
        sentences.insert(at, replace(new, paragraph=sentences[at].paragraph))
    return kind, sentences, pool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--sentences", type=int, default=50)
    parser.add_argument("--shots", type=int, default=300)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--preset", default="documentary")
    parser.add_argument("--weight", type=float, help="of the rule of stability, in place of the preset's")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    preset = load_preset(options.preset)
    if options.weight is not None:
        preset = replace(preset, weights={**preset.weights, "stability": options.weight})
    count = options.sentences
    made = made_library(count + options.edits, options.shots, options.each, options.seed)
    chance = random.Random(options.seed)
    first = planned(made, list(made.script.sentences[:count]), made.candidates, preset, ())
    rows: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in KINDS}
    for number in range(options.edits):
        kind, sentences, pool = edited(made, count, number, chance)
        start = time.process_time()
        again = planned(made, sentences, pool, preset, first.slots)
        seconds = time.process_time() - start
        fresh = planned(made, sentences, pool, preset, ())
        told = {one.id: one.text for one in made.script.sentences[:count]}
        others = {one.id for one in sentences if told.get(one.id) == one.text}
        kept, shown = kept_shots(first.slots, again.slots, others)
        cost = (again.objective - again.rule_totals["stability"]) / fresh.objective
        rows[kind].append((kept / shown, cost - 1, seconds))
    weight = preset.all_weights["stability"]
    print(f"{count} sentences, {len(first.slots)} pictures, preset {preset.name}, stability {weight:g}\n")
    print("| one sentence | edits | others keep shot: mean | least | cost over fresh: mean | worst | CPU s |")
    print("|---|---|---|---|---|---|---|")
    rows["any"] = [row for every in rows.values() for row in every]
    for kind, own in rows.items():
        kept, costs, seconds = zip(*own, strict=True)
        print(
            f"| {kind} | {len(own)} | {statistics.mean(kept):.1%} | {min(kept):.1%} "
            f"| {statistics.mean(costs):+.2%} | {max(costs):+.2%} | {statistics.median(seconds):.2f} |"
        )


if __name__ == "__main__":
    main()
