"""How often does the embedded encoder find the right clip, and does it know when there is none?

Builds two indexes of a folder of labelled footage, one under opaque names and one under its own, and asks for
every sentence of QUERIES.tsv and QUERIES.zh.tsv. Prints, each with a 95% bootstrap interval over sentences:

- top-1, top-5: share of answerable sentences whose right file comes first, or among the first five files;
- AUC: how well the best match of a sentence tells answerable sentences from gaps;
- F1: of the decision "gap" (best match under the encoder's threshold);
- false gaps: share of answerable sentences called a gap.

    python -m benchmarks.matching --footage FOLDER [--json]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from index.builder import build_index  # noqa: E402
from index.library import Library  # noqa: E402
from index.query import Matcher  # noqa: E402

FLOORS = {"en": {"top1": 0.50, "top5": 0.80, "auc": 0.80}, "zh": {"top1": 0.45, "top5": 0.75}}
"""What names-hidden figures must reach."""
GOALS = {"top1": 0.65, "top5": 0.90, "auc": 0.88}
RESAMPLES = 2000


@dataclass(frozen=True)
class Answers:
    """What the matcher said to the sentences of one file."""

    rank: np.ndarray
    """Place of the first right file, from 1; 0 for a sentence that nothing shows."""
    best: np.ndarray
    """Best match over the library."""
    threshold: float


def read_queries(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """(sentence, files that show it) of a labelled file; its first line is a heading."""
    out = []
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        sentence, _, files = line.partition("\t")
        out.append((sentence, tuple(file for file in files.split(",") if file)))
    return out


def copy_footage(source: Path, target: Path, *, hidden: bool) -> dict[str, str]:
    """Copy all footage to ``target``, under opaque names if ``hidden``; its path there by its path here."""
    files = sorted(path for folder in ("clips", "films", "odd") for path in (source / folder).glob("*"))
    order = np.random.default_rng(20).permutation(len(files))
    names = {}
    for number, index in enumerate(order, 1):
        path = files[int(index)]
        own = path.relative_to(source).as_posix()
        names[own] = f"clip-{number:04}{path.suffix}" if hidden else own
        place = target / names[own]
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    return names


def ask(
    library: Library, queries: list[tuple[str, tuple[str, ...]]], language: str, names: dict[str, str]
) -> Answers:
    """Match every sentence with every window; a file is as good as its best window."""
    matches = Matcher(library).match([text for text, _ in queries], [language] * len(queries))
    file_of = {path: media.id for media in library.media.values() for path in media.paths}
    media = list(library.media)
    row_media = np.array([media.index(library.shots[shot].media) for shot, _ in matches.rows])
    of_media = np.stack(
        [matches.match[:, row_media == m].max(axis=1, initial=0.0) for m in range(len(media))], 1
    )
    ranks = []
    for place, (_, files) in enumerate(queries):
        right = [media.index(file_of[names[file]]) for file in files]
        order = list(np.argsort(-of_media[place], kind="stable"))
        ranks.append(min((order.index(m) + 1 for m in right), default=0))
    return Answers(np.array(ranks), matches.best, library.encoder.calibration.threshold)


def figures(answers: Answers, chosen: np.ndarray) -> dict[str, float]:
    """The five figures over the chosen sentences."""
    rank, best = answers.rank[chosen], answers.best[chosen]
    real, gaps = best[rank > 0], best[rank == 0]
    ahead = real[:, None] - gaps[None, :]
    called = best < answers.threshold
    hits = float(np.sum(called & (rank == 0)))
    return {
        "top1": float(np.mean(rank[rank > 0] == 1)),
        "top5": float(np.mean(rank[rank > 0] <= 5)),
        "auc": float(np.mean(ahead > 0) + 0.5 * np.mean(ahead == 0)),
        "f1": 2 * hits / max(1.0, float(called.sum() + (rank == 0).sum())),
        "false_gaps": float(np.mean(called[rank > 0])),
    }


def with_intervals(answers: Answers) -> dict[str, dict[str, float]]:
    """Each figure with its 95% interval: sentences with and without an answer are drawn anew apart."""
    rng = np.random.default_rng(0)
    real, gaps = np.flatnonzero(answers.rank > 0), np.flatnonzero(answers.rank == 0)
    drawn = [
        figures(answers, np.r_[rng.choice(real, len(real)), rng.choice(gaps, len(gaps))])
        for _ in range(RESAMPLES)
    ]
    whole = figures(answers, np.arange(len(answers.rank)))
    out = {}
    for name, value in whole.items():
        low, high = np.percentile([one[name] for one in drawn], [2.5, 97.5])
        out[name] = {"value": value, "low": float(low), "high": float(high)}
    return out


def measure(footage: Path, say: Callable[[str], None]) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """All figures by names (hidden, shown) and language."""
    out: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for kind in ("hidden", "shown"):
        with tempfile.TemporaryDirectory(prefix="matching-") as folder:
            names = copy_footage(footage, Path(folder), hidden=kind == "hidden")
            say(f"indexing {len(names)} files, names {kind}")
            library = build_index(folder, encoder="embedded")
            out[kind] = {
                language: with_intervals(ask(library, read_queries(footage / file), language, names))
                for language, file in (("en", "QUERIES.tsv"), ("zh", "QUERIES.zh.tsv"))
            }
    return out


def table(results: dict[str, dict[str, dict[str, dict[str, float]]]]) -> str:
    """The figures for a person, floors and goals beside those that have them."""
    lines = ["names   lang  figure      value  95% interval   floor  goal"]
    for kind, languages in results.items():
        for language, one in languages.items():
            for name, figure in one.items():
                floor = FLOORS[language].get(name) if kind == "hidden" else None
                goal = GOALS.get(name) if kind == "hidden" else None
                bounds = f"{figure['low']:.3f}-{figure['high']:.3f}"
                aims = "".join("       " if aim is None else f"{aim:7.2f}" for aim in (floor, goal))
                under = "  UNDER" if floor is not None and figure["value"] < floor else ""
                lines.append(
                    f"{kind:7} {language:5} {name:10} {figure['value']:6.3f}  {bounds}  {aims}{under}"
                )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--footage", type=Path, default=REPOSITORY.parent / "shared" / "footage")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not (arguments.footage / "QUERIES.tsv").is_file():
        parser.error(f"no labelled footage in {arguments.footage}: give --footage FOLDER")
    results = measure(arguments.footage, lambda line: print(line, file=sys.stderr))
    print(json.dumps(results, indent=1) if arguments.json else table(results))
    short = [
        name
        for language, floors in FLOORS.items()
        for name, floor in floors.items()
        if results["hidden"][language][name]["value"] < floor
    ]
    return 1 if short else 0


if __name__ == "__main__":
    raise SystemExit(main())
