"""How long does an editor wait after changing one sentence of a three-minute film?

    python -m benchmarks.reedit --footage FOLDER [--store DIR] [--size 1280x720] [--edits 5]

FOLDER is indexed with the built-in encoder (or the index in DIR is used). The film of a story of about 50
sentences is made once; then sentences are replaced by others, one after the other, in the same process, as
``montage watch`` does it. Printed for each edit is the time from the saved text to the checked film and where
it went, and at the end the median and the worst, against the cold render. With ``--quality draft`` the film
is joined from proxies.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import montage
from montage.session import Session

STORY = Path(__file__).parent / "stories" / "three-minutes.txt"
OTHERS = (
    "A goat picks its way over the rocks of the hillside.",
    "Coffee runs slowly into a small white cup.",
    "Far above, the stars turn around the mountain.",
    "A ship leaves the harbour before dawn.",
    "Children laugh in the snow.",
    "The machine hums while the city sleeps.",
    "An old tree stands alone in the field.",
    "The wind moves the grass along the shore.",
)
GOAL = 3.0
"""Seconds from saved text to checked film."""


def _size(text: str) -> list[int]:
    return [int(side) for side in text.split("x")]


def _library(footage: Path, store: Path | None, work: Path) -> montage.Library:
    if store is not None:
        return montage.Library.open(footage, store)
    shutil.copytree(footage, work / "footage", ignore=shutil.ignore_patterns("*.tsv", "truth", "README*"))
    return montage.build_index(work / "footage", encoder="embedded")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--footage", type=Path, default=Path(__file__).parents[2] / "shared" / "footage")
    parser.add_argument("--store", type=Path)
    parser.add_argument("--size", type=_size, default=[1280, 720])
    parser.add_argument("--quality", choices=["final", "draft"], default="final")
    parser.add_argument("--edits", type=int, default=5)
    options = parser.parse_args()
    if not options.footage.is_dir():
        sys.exit(f"no footage in {options.footage}: name its folder with --footage")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        library = _library(options.footage, options.store, work)
        text = STORY.read_text(encoding="utf-8")
        script = work / "story.txt"
        session = Session(
            script,
            library=library.root,
            store=library.store_dir,
            settings={"size": options.size},
            options={"quality": options.quality},
        )
        spent = []
        for edit in range(options.edits + 1):
            if edit:
                told = re.findall(r"(?m)^[A-Z][^.\n]+\.|(?<=\. )[A-Z][^.\n]+\.", text)
                text = text.replace(told[(7 * edit) % len(told)], OTHERS[(edit - 1) % len(OTHERS)], 1)
            script.write_text(text, encoding="utf-8")
            began, used = time.perf_counter(), time.process_time()
            update = session.update()
            seconds = time.perf_counter() - began
            film = update.film
            stages = ", ".join(f"{name} {part:.2f}" for name, part in film.seconds.items() if name != "total")
            what = "cold" if not edit else f"edit {edit}"
            made = film.segments_rendered, film.segments_rendered + film.segments_reused
            sys.stdout.write(
                f"{what:7} {seconds:6.2f} s ({time.process_time() - used:.2f} of our processor): plan "
                f"{update.seconds['plan']:.2f}, film {film.seconds['total']:.2f} ({stages}); rendered "
                f"{made[0]} of {made[1]}; {float(film.duration):.0f} s at {film.size[0]}x{film.size[1]}; "
                f"{len(update.rendered.fills)} gaps; {update.changes.line}\n"
            )
            sys.stdout.flush()
            spent.append(seconds)
        edits = spent[1:]
        if edits:
            middle = statistics.median(edits)
            sys.stdout.write(
                f"one sentence changed: median {middle:.2f} s, worst {max(edits):.2f} s, goal {GOAL:.0f} s; "
                f"cold {spent[0]:.1f} s, {spent[0] / middle:.1f} times as long\n"
            )


if __name__ == "__main__":
    main()
