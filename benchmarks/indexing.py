"""How quickly footage is indexed, against the limit and against what one would run instead.

1. The limit: ``ffmpeg -f null -`` decodes the same 1080p files and does nothing else; beside it
   ``measure_file`` without an encoder: boundaries, looks, loudness.
2. What one would run instead: the ``scenedetect`` command, then ffmpeg for a frame every two seconds, then
   the same encoder by the same library over these frames; beside it ``build_index`` with that encoder.
3. How busy the cores are while ``build_index`` runs, on many files and on a single one.
4. Peak memory of a worker, on a file and on one that is four times as long.

Every figure is wall time and processor time (user and system, children too). On a machine that does other
work only the latter means anything.

    python -m benchmarks.indexing [--footage FOLDER] [--seconds 40] [--runs 3] [--clip] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from index.base import ffmpeg_path  # noqa: E402

LIMIT_GOAL = 0.8
"""Share of the limit's speed that everything but embedding must reach."""
BUSY_GOAL = 0.9
"""Share of all cores' time that must be used."""
MEMORY_GOAL = 1.5
"""GB a worker may need."""
GROWTH_GOAL = 1.1
"""A file four times as long may need this much more memory."""
CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Cost:
    """What something took."""

    wall: float
    cpu: float
    gigabytes: float = 0.0
    """Peak of the largest process."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu, max(self.gigabytes, other.gigabytes))

    @property
    def busy(self) -> float:
        return self.cpu / (self.wall * CORES)


def run(*command: str | Path) -> Cost:
    """Run a command and its children to the end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = process.stderr.read().decode("utf-8", "replace")
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[:4]} failed with {process.returncode}: {said[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, cpu, used.ru_maxrss / 2**20)


def here(work: Callable[[], Any]) -> Cost:
    """Run something in this process."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def best(costs: Iterable[Cost]) -> Cost:
    """The least of several runs, wall and processor time each for itself."""
    held = list(costs)
    return Cost(min(c.wall for c in held), min(c.cpu for c in held), max(c.gigabytes for c in held))


def python(*arguments: str | Path) -> Cost:
    return run(sys.executable, "-m", "benchmarks.indexing", *arguments)


def loop(source: Path, target: Path, seconds: float) -> Path:
    """``source`` repeated to about ``seconds``, its pictures and sound copied as they are."""
    again = ["-stream_loop", "-1", "-i", str(source), "-t", str(seconds), "-c", "copy", str(target)]
    subprocess.run([ffmpeg_path(), "-v", "error", "-y", *again], check=True, stdin=subprocess.DEVNULL)
    return target


def full_hd(footage: Path) -> list[Path]:
    """The 1080p files of a folder, at most five."""
    import av

    found = []
    for path in sorted((footage / "clips" if (footage / "clips").is_dir() else footage).glob("*.mp4")):
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            if (context.width, context.height) == (1920, 1080):
                found.append(path)
    return found[:5]


def against_the_limit(files: list[Path], runs: int) -> dict[str, Any]:
    import cv2

    from index.measure import measure_file

    cv2.setNumThreads(1)  # as in a worker
    rows: dict[str, dict[str, Cost]] = {}
    for detector in ("auto", "fast"):
        measure_file(files[0], None, detector=detector)  # what is loaded once is loaded
    for path in files:
        costs: dict[str, list[Cost]] = {"ffmpeg": [], "auto": [], "fast": []}
        for _ in range(runs):
            costs["ffmpeg"].append(run(ffmpeg_path(), "-v", "error", "-i", path, "-f", "null", "-"))
            for detector in ("auto", "fast"):
                costs[detector].append(here(partial(measure_file, path, None, detector=detector)))
        rows[path.name] = {name: best(each) for name, each in costs.items()}
    total = {
        name: sum((row[name] for row in rows.values()), Cost(0, 0)) for name in ("ffmpeg", "auto", "fast")
    }
    say("1. Everything but embedding against decoding alone (1080p)", "")
    say("file", f"{'ffmpeg -f null':>18}{'measure auto':>18}{'measure fast':>18}   speed over ffmpeg's")
    say("", f"{'wall     cpu  s':>18}" * 3 + "   auto wall/cpu  fast wall/cpu")
    for name, row in (*rows.items(), ("all", total)):
        cells = "".join(f"{row[k].wall:10.2f}{row[k].cpu:8.2f}" for k in ("ffmpeg", "auto", "fast"))
        ratios = "".join(
            f"{row['ffmpeg'].wall / row[k].wall:8.2f}/{row['ffmpeg'].cpu / row[k].cpu:.2f}  "
            for k in ("auto", "fast")
        )
        say(name, cells + ratios)
    say("goal", f"{LIMIT_GOAL}\n")
    return {
        f"{k}_{part}": getattr(total["ffmpeg"], part) / getattr(total[k], part)
        for k in ("auto", "fast")
        for part in ("wall", "cpu")
    }


def against_the_sum(files: list[Path], encoder: str, place: Path) -> dict[str, Any]:
    """The same files through three tools one after the other, and through ``build_index``."""
    frames, scenes, footage = place / "frames", place / "scenes", place / "footage"
    for folder in (frames, scenes, footage):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    detected = extracted = Cost(0, 0)
    for path in files:
        os.link(path, footage / path.name)
        detected += run(
            *(sys.executable, "-m", "scenedetect", "-q", "-i", path, "-o", scenes),
            *("detect-adaptive", "list-scenes"),
        )
        scaled = "fps=1/2,scale=224:224:force_original_aspect_ratio=increase"
        numbered = frames / f"{path.stem}-%05d.jpg"
        extracted += run(ffmpeg_path(), "-v", "error", "-i", path, "-vf", scaled, "-q:v", "3", numbered)
    embedded = python("--embed", frames, "--encoder", encoder)
    theirs = detected + extracted + embedded
    ours = python("--index", footage, "--encoder", encoder)
    say(f"2. Against scenedetect + ffmpeg + embedding, encoder {encoder.split(':', maxsplit=1)[0]}", "")
    say("", "    wall     cpu s   peak GB   cores busy")
    parts = {
        "scenedetect": detected,
        "ffmpeg frames": extracted,
        "embedding": embedded,
        "their sum": theirs,
        "build_index": ours,
    }
    for name, cost in parts.items():
        say(name, f"{cost.wall:8.2f}{cost.cpu:10.2f}{cost.gigabytes:10.2f}{cost.busy:13.2f}")
    say("times as fast", f"{theirs.wall / ours.wall:8.2f}{theirs.cpu / ours.cpu:10.2f}   (goal: above 1)\n")
    return {
        "wall": theirs.wall / ours.wall,
        "cpu": theirs.cpu / ours.cpu,
        "gigabytes": ours.gigabytes,
        "busy": ours.busy,
    }


def busy_cores(files: list[Path], encoder: str, place: Path, seconds: float) -> dict[str, float]:
    """How busy ``build_index`` keeps the cores: on all files, and on one that is as long as all."""
    many, one = place / "many", place / "one"
    for folder in (many, one):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    for path in files:
        os.link(path, many / path.name)
    loop(files[0], one / "long.mp4", seconds * len(files))
    say("3. Cores busy while build_index runs: processor time / (wall time x cores)", "")
    out = {}
    for name, folder in (("many files", many), ("one file", one)):
        cost = python("--index", folder, "--encoder", encoder)
        out[name] = cost.busy
        say(name, f"{cost.busy:8.2f}   ({cost.wall:.1f} s wall, {cost.cpu:.1f} s cpu, {CORES} cores)")
    say("goal", f"{BUSY_GOAL:8.2f}\n")
    return out


def memory(source: Path, encoder: str, place: Path, minutes: float) -> dict[str, float]:
    """Peak memory of a worker's process by the length of its file."""
    say("4. Peak memory of a worker", "")
    out = {}
    small = place / "small.mp4"
    scale = ["-vf", "scale=320:-2", "-an", "-c:v", "libx264", "-preset", "ultrafast", "-g", "50"]
    subprocess.run([ffmpeg_path(), "-v", "error", "-y", "-i", source, *scale, small], check=True)
    for length in (minutes, 4 * minutes):
        path = loop(small, place / f"{length:g}.mp4", 60 * length)
        cost = python("--measure", path, "--encoder", encoder)
        out[f"{length:g} min"] = cost.gigabytes
        say(f"{length:g} min, 320 px", f"{cost.gigabytes:8.2f} GB   ({cost.wall:.0f} s wall)")
    cost = python("--measure", source, "--encoder", encoder)
    out["1080p"] = cost.gigabytes
    say("1080p", f"{cost.gigabytes:8.2f} GB")
    growth = out[f"{4 * minutes:g} min"] / out[f"{minutes:g} min"]
    say("growth", f"{growth:8.2f}   (goals: {GROWTH_GOAL}, {MEMORY_GOAL} GB)\n")
    return {**out, "growth": growth}


def say(name: str, text: str) -> None:
    sys.stderr.write(f"{name:24}{text}\n" if text else f"{name}\n")
    sys.stderr.flush()


def random_clip(place: Path) -> str:
    """A ViT-B-32 whose weights are random: as slow as a real one."""
    from index.base import import_torch

    torch = import_torch()
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32")
    path = place / "ViT-B-32.safetensors"
    save_file(model.state_dict(), path)
    return f"clip:ViT-B-32:{path}"


def embed(folder: Path, spec: str) -> None:
    """What a script for batch embedding does: read pictures, encode them in batches."""
    import cv2
    import numpy as np

    from index.encoders.registry import load_encoder

    encoder, rows = load_encoder(spec), []
    paths = sorted(folder.glob("*.jpg"))
    for start in range(0, len(paths), 32):
        pictures = [np.asarray(cv2.imread(str(path))) for path in paths[start : start + 32]]
        batch = [picture[:, :, ::-1] for picture in pictures]
        rows.append(encoder.encode_images(batch))
    np.save(folder / "features.npy", np.concatenate(rows))


def measure(path: Path, spec: str) -> None:
    """What a worker does with one file, and nothing else."""
    import cv2

    from index.encoders.registry import load_encoder
    from index.encoders.sessions import use_threads
    from index.faces import find_faces
    from index.measure import measure_file

    cv2.setNumThreads(1)
    use_threads(CORES)
    measure_file(path, load_encoder(spec), faces=find_faces, threads=CORES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--footage", type=Path, default=REPOSITORY.parent / "shared/footage")
    parser.add_argument("--seconds", type=float, default=40, help="length to which each file is repeated")
    parser.add_argument("--minutes", type=float, default=5, help="length of the shorter file for memory")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--clip", action="store_true", help="also with a ViT-B-32 of random weights")
    parser.add_argument("--only", choices=("limit", "sum", "busy", "memory"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--encoder", default="embedded")
    for part in ("index", "embed", "measure"):  # this program runs itself for these
        parser.add_argument(f"--{part}", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.index:
        from index.builder import build_index

        build_index(options.index, encoder=options.encoder)
        return
    if options.embed:
        embed(options.embed, options.encoder)
        return
    if options.measure:
        measure(options.measure, options.encoder)
        return
    sources = full_hd(options.footage)
    if not sources:
        say(f"no 1080p footage in {str(options.footage)!r}: name a folder with --footage", "")
        return
    result: dict[str, Any] = {"cores": CORES, "files": [path.name for path in sources]}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        files = [loop(path, place / path.name, options.seconds) for path in sources]
        wanted = (options.only,) if options.only else ("limit", "sum", "busy", "memory")
        if "limit" in wanted:
            result["limit"] = against_the_limit(files, options.runs)
        if "sum" in wanted:
            encoders = [options.encoder, *([random_clip(place)] if options.clip else [])]
            result["sum"] = {
                spec.split(":", maxsplit=1)[0]: against_the_sum(files, spec, place) for spec in encoders
            }
        if "busy" in wanted:
            result["busy"] = busy_cores(files, options.encoder, place, options.seconds)
        if "memory" in wanted:
            result["memory"] = memory(sources[0], options.encoder, place, options.minutes)
    if options.json:
        sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
