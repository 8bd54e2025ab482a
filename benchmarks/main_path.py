"""The main path on real footage: films of a 20-sentence script, one sentence changed, three minutes in draft.

    python benchmarks/main_path.py --footage FOLDER

FOLDER is copied to a temporary place and indexed there with the built-in encoder. Printed are each film
with its checks; what changing one sentence renders, and its time against the cold render's; and the time
from script to a three-minute 720p draft with a warm index in one process, against ffmpeg decoding the same
spans to nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import montage
from index.base import ffmpeg_path
from montage.cut import Cut
from montage.project import Project
from montage.rendering import Rendered, render_cut

STORIES = Path(__file__).parent / "stories"
CHANGE = ("A goat picks its way over the rocks of the hillside.", "A woman dances before a crowd.")
GOAL = 10.0
"""Seconds from script to draft that Write-A-Video's authors give."""


def make(
    script: Path, library: montage.Library, film: Path, size: tuple[int, int], quality: str
) -> tuple[Rendered, float, float]:
    """(the film, seconds in all, seconds of the plan)."""
    began = time.perf_counter()
    project = Project.for_script(script)
    cut = montage.plan(script, library, previous=project)
    planned = time.perf_counter() - began
    rendered = render_cut(cut, film, size=size, fit="crop", quality=quality, model=None, fallback="auto")
    project.updated(rendered.cut).save()
    return rendered, time.perf_counter() - began, planned


def decode_to_nothing(cut: Cut) -> float:
    """Seconds that ffmpeg takes to decode the spans of a cut, two at a time: no film can be made faster."""

    def one(slot: montage.Slot) -> None:
        media = cut.library.media[slot.media]
        command = [ffmpeg_path(), "-v", "error", "-ss", str(float(slot.span.start + media.start))]
        command += ["-t", str(float(slot.span.seconds)), "-i", str(cut.library.path_of(slot.media))]
        subprocess.run([*command, "-map", "0:v:0", "-f", "null", "-"], check=False, stderr=subprocess.DEVNULL)

    slots = [slot for slot in cut.slots if slot.media in cut.library.media]
    began = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, slots))
    return time.perf_counter() - began


def entry(rendered: Rendered, seconds: float, planned: float) -> dict[str, Any]:
    film = rendered.film
    return {
        "seconds": round(seconds, 2),
        "plan seconds": round(planned, 2),
        "film seconds": round(float(Fraction(film.frames) / film.fps), 2),
        "rendered": film.segments_rendered,
        "reused": film.segments_reused,
        "checks": f"{sum(check.passed for check in film.checks)}/{len(film.checks)} passed",
        "gaps": [fill.line for fill in rendered.fills],
    }


def measure(footage: Path, work: Path) -> dict[str, Any]:
    shutil.copytree(footage, work / "footage", ignore=shutil.ignore_patterns("*.tsv", "truth", "README*"))
    script = work / "twenty.txt"
    text = (STORIES / "twenty.txt").read_text(encoding="utf-8")
    assert CHANGE[0] in text
    script.write_text(text, encoding="utf-8")
    began = time.perf_counter()
    library = montage.build_index(work / "footage", encoder="embedded")
    result: dict[str, Any] = {"index": {"seconds": round(time.perf_counter() - began, 2)}}
    # The first text to be embedded loads the models; that is paid once a process, not once a film.
    library.search("anything")
    for name, size in (("1080x1920", (1080, 1920)), ("1280x720", (1280, 720))):
        result[name] = entry(*make(script, library, work / f"{name}.mp4", size, "final"))
    segments = work / "footage" / ".montage" / "segments"
    before = {path: path.read_bytes() for path in segments.rglob("*.mp4")}
    script.write_text(text.replace(*CHANGE), encoding="utf-8")
    changed = entry(*make(script, library, work / "1280x720.mp4", (1280, 720), "final"))
    changed["others identical"] = all(path.read_bytes() == data for path, data in before.items())
    changed["share of the cold render's time"] = round(changed["seconds"] / result["1280x720"]["seconds"], 3)
    result["one sentence changed"] = changed
    shutil.copy(STORIES / "three-minutes.txt", work)
    rendered, seconds, planned = make(
        work / "three-minutes.txt", library, work / "draft.mp4", (1280, 720), "draft"
    )
    draft = entry(rendered, seconds, planned)
    limit = decode_to_nothing(rendered.cut)
    draft |= {"goal": GOAL, "decoding alone": round(limit, 2), "ratio to decoding": round(seconds / limit, 2)}
    result["three-minute draft"] = draft
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--footage", type=Path, default=Path(__file__).parents[2] / "shared" / "footage")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", type=Path, help="Leave the films in this folder.")
    options = parser.parse_args()
    if not options.footage.is_dir():
        sys.exit(f"no footage in {options.footage}: name its folder with --footage")
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options.footage, Path(folder))
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            for path in [*Path(folder).glob("*.mp4"), *Path(folder).glob("*.srt")]:
                shutil.copy(path, options.keep)
    if options.json:
        sys.stdout.write(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        return
    for name, facts in result.items():
        sys.stdout.write(f"{name}\n")
        for key, value in facts.items():
            shown = "".join(f"\n    {line}" for line in value) if isinstance(value, list) else value
            sys.stdout.write(f"  {key}: {shown}\n")


if __name__ == "__main__":
    main()
