"""A folder of thousands of small files that did not change: how long until the second run knows it?

    python -m benchmarks.second_run [--files 10000] [--folder DIR]

Every file is a real clip of its own content: two frames of H.264 in an MP4 and a box with a number. Each run
is a process of its own, so that starting Python counts. The first measures all files, with an encoder of no
cost; the others follow on the same folder. The peer is what no indexer can do without: ``find``, which lists
the files with size and time.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from index.base import ffmpeg_path

ENCODER = "python:colour_encoder:ColourEncoder"
TESTS = Path(__file__).resolve().parent.parent / "tests" / "index"
SEEDS = 1000
"""Different pictures; with more files than that each has near-copies, as real folders do."""
RUN = (
    "import sys; from index.builder import build_index; kinds = {}\n"
    "def note(event): kinds[event.kind] = kinds.get(event.kind, 0) + 1\n"
    "build_index(sys.argv[1], encoder=sys.argv[2], workers=2, progress=note)\n"
    "print(' '.join(f'{kind} {count}' for kind, count in sorted(kinds.items())))"
)


def make_folder(folder: Path, count: int) -> None:
    """``count`` clips in folders of a hundred, of a thousand pictures; every tenth has a text beside it."""
    seeds = folder.parent / "seeds"
    seeds.mkdir(parents=True, exist_ok=True)
    source = f"color=gray:s=8x6:r=5:d={SEEDS / 5},noise=alls=100:allf=t:all_seed=1,scale=64:48,fps=10"
    encode = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "2", "-keyint_min", "2", "-threads", "1"]
    cut = ["-f", "segment", "-segment_time", "0.2", str(seeds / "%04d.mp4")]
    subprocess.run([ffmpeg_path(), "-v", "error", "-f", "lavfi", "-i", source, *encode, *cut], check=True)
    data = [path.read_bytes() for path in sorted(seeds.iterdir())]
    for number in range(count):
        place = folder / f"{number // 100:03}"
        place.mkdir(parents=True, exist_ok=True)
        box = b"\0\0\0\x18free" + f"{number:016}".encode()
        (place / f"clip-{number:05}.mp4").write_bytes(data[number % len(data)] + box)
        if number % 10 == 0:
            (place / f"clip-{number:05}.txt").write_text(f"clip number {number}", encoding="utf-8")


def timed(work: Callable[[], str]) -> tuple[float, float, str]:
    """(wall seconds, CPU seconds with children, what it printed)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    said = work()
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, said


def python(*arguments: str) -> str:
    """What a fresh interpreter prints."""
    path = os.pathsep.join([str(TESTS), str(TESTS.parent.parent)])
    done = subprocess.run(
        [sys.executable, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where the files are made (default: a temporary folder)")
    options = parser.parse_args()
    place = options.folder or Path(tempfile.mkdtemp(prefix="montage-second-run-"))
    folder = place / "footage"
    try:
        if not folder.exists():
            make_folder(folder, options.files)
        build = lambda: python("-c", RUN, str(folder), ENCODER)  # noqa: E731
        print(f"{options.files} files, a fresh process each time\n{'':28}{'wall s':>8}{'CPU s':>8}")
        rows: dict[str, tuple[float, float]] = {}

        def row(name: str, work: Callable[[], str]) -> None:
            wall, cpu, said = timed(work)
            rows[name] = (wall, cpu)
            print(f"{name:28}{wall:8.2f}{cpu:8.2f}  {said}", flush=True)

        find = ["find", str(folder), "-name", "*.mp4", "-printf", "%p %s %T@\\n"]
        row(
            "find",
            lambda: f"{subprocess.run(find, check=True, capture_output=True).stdout.count(b'.mp4')} files",
        )
        row("first run", build)
        row("second run", build)
        row("third run", build)
        some = sorted(folder.rglob("*.mp4"))
        with some[0].open("ab") as file:
            file.write(b"\0\0\0\x08free")
        row("1 changed", build)
        some[1].rename(some[1].with_name("renamed.mp4"))
        row("1 renamed", build)
        some[2].unlink()
        row("1 removed", build)
        some[3].with_suffix(".txt").write_text("new words", encoding="utf-8")
        row("1 text added", build)
        command = ["-m", "montage", "build-index", str(folder), "--encoder", ENCODER, "-q"]
        row("second run of the command", lambda: python(*command))
        row("import alone", lambda: python("-c", "import index.builder"))
        second = min(rows["second run"], rows["third run"])
        micro = 1e6 * second[0] / options.files
        print(f"second run: {second[0]:.2f} s (goal: under 2 s), {micro:.0f} us a file")
        print(f"second run / first run: {second[0] / rows['first run'][0]:.4f} by wall time")
    finally:
        if options.folder is None:
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
