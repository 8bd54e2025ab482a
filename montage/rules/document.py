"""``docs/rules.md`` and its pictures, made from the rules: ``python -m montage.rules.document docs``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from index.values import CAMERA_MOVES, SHOT_SIZES
from montage.presets import PRESETS
from montage.rules import ESA, RULES, Rule
from montage.rules.drawing import drawn
from montage.rules.hard import HARD_RULES

__all__ = ["rule_files", "write_rules"]

HEAD = """# The rules of editing

Made by `python -m montage.rules.document docs` from the rules themselves: do not edit.

A soft rule gives a cost from 0, what an editor would do without thinking, to 1, what they would avoid; its
weight says what it counts. What is not known costs nothing. The cut chosen is the one whose rules cost least.
Rules between neighbours stop at gaps and titles, and count at the last of their pictures. A sentence of
several pictures counts as much as one of a single picture.
"""
KINDS: Mapping[object, str] = {
    1: "One picture",
    2: "Two neighbours",
    3: "Three neighbours",
    "cut": "The whole cut",
}
LEFT_OUT = """## What is left out

- *Action* (of the transition score of the open music-video editors): the index does not know what is done in
  a picture, and motion energy, heading and camera move carry what can be measured of it.
- *Length* (of the same score) is in `pace`, `tempo` and `rhythm`; *tone* (Write-A-Video) in `lighting`,
  `colour`, `brightness` and `day and night`; *hold by tone* (OpenMontage) in the presets' paces and bounds.
- *Loudness* across a cut: the film's sound is mixed and levelled for itself, so it says nothing on pictures.
- *Silences of 400 ms* (video-use) are for cutting speech itself; here the narration is never cut.
"""


def rule_files() -> Mapping[str, str]:
    """Path below the folder of the documents to text: the page, and the picture of every soft rule."""
    page = [HEAD, _hard(), *(_kind(arity) for arity in KINDS), _grammar(), LEFT_OUT]
    pictures = {f"rules/{_slug(name)}.svg": drawn(name) for name in RULES}
    return {"rules.md": "\n".join(page), **pictures}


def write_rules(folder: Path) -> None:
    """Write the page and its pictures below ``folder``."""
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    for name, text in rule_files().items():
        (folder / name).write_text(text, encoding="utf-8")


def _slug(name: str) -> str:
    return name.replace(" ", "-")


def _hard() -> str:
    rows = [
        "## Hard rules\n",
        "No cut ever breaks these; a library that runs out of shots makes a gap, never a repeat.\n",
        "| rule | an editor says | source |",
        "|---|---|---|",
    ]
    rows += [f"| {rule.name} | {rule.says} | {rule.source} |" for rule in HARD_RULES]
    return "\n".join(rows) + "\n"


def _kind(arity: object) -> str:
    rules = [rule for rule in RULES.values() if rule.arity == arity]
    return "\n".join([f"## {KINDS[arity]}\n", *map(_rule, rules)])


def _rule(rule: Rule) -> str:
    own = [f"{p.name} {p.weights[rule.name]:g}" for p in PRESETS.values() if rule.name in p.weights]
    weight = f"{rule.weight:g}" + (f" ({', '.join(own)})" if own else "")
    covered = "yes" if rule.bounded else "no: the cut is touched up for it after solving"
    function: Callable[..., object] | None = rule.slot or rule.pair or rule.three or rule.whole
    _, _, formula = (inspect.getdoc(function) or "").partition("\n\n")
    return "\n".join(
        [
            f"### {rule.name}\n",
            f"*{rule.says}*\n",
            f"![{rule.name}: liked above, disliked below](rules/{_slug(rule.name)}.svg)\n",
            f"- Cost: {' '.join(formula.split())}",
            f"- Weight: {weight}",
            f"- Covered by the bound: {covered}",
            f"- Source: {rule.source}\n",
        ]
    )


def _grammar() -> str:
    sizes = ["| from / to | " + " | ".join(SHOT_SIZES) + " |", "|---" * (len(SHOT_SIZES) + 1) + "|"]
    for name, row in zip(SHOT_SIZES, ESA.sizes, strict=True):
        sizes.append(f"| {name} | " + " | ".join(f"{score:g}" for score in row) + " |")
    moves = ["| from / to | " + " | ".join(CAMERA_MOVES) + " |", "|---" * (len(CAMERA_MOVES) + 1) + "|"]
    for move, row in zip(CAMERA_MOVES, ESA.moves, strict=True):
        moves.append(f"| {move} | " + " | ".join(f"{score:g}" for score in row) + " |")
    return "\n".join(
        [
            "## The grammars\n",
            "How well one picture follows another: 1 is best. Without a learned style these are ESA's, arXiv",
            "2511.02505; a style learned from a film brings its own.\n",
            *sizes,
            "",
            *moves,
            "",
        ]
    )


if __name__ == "__main__":
    write_rules(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
