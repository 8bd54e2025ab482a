"""Searching by vectors at 10 thousand, 100 thousand and a million windows, beside what else one could use.

Vectors are synthetic: 512 numbers, in clusters within clusters. Queries are of two kinds: ``near`` ones are
disturbed members (a picture that is looked for), ``far`` ones lie off all clusters to one side, as sentences
do from pictures in CLIP's space. Every method runs in a process of its own, so that its memory is its own.
``batch`` is 50 queries at once, as planning a script asks them; wall and CPU time.

The second table is the whole path through a library with its SQLite file, words and filters: a process that
starts cold, first without and then with the derived files, and then warm.

    python -m benchmarks.search                   10 k, 100 k and 1 M; HNSW up to 100 k
    python -m benchmarks.search --sizes 1000000 --all-peers
    python -m benchmarks.search --sizes 5000000 --methods ours --disk /big
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from index.encoders.base import Calibration, FloatArray

COLUMNS = 512
BATCH = 50
ROUNDS = 20
SHORTLIST = 2_000
"""Rows that are asked for, as the matcher asks."""
TOP = 20
BLOCK = 65_536
METHODS = ("numpy", "Flat", "Flat, BLAS", "HNSW32", "ours")


def clustered(count: int, seed: int = 0) -> Iterator[FloatArray]:
    """Blocks of ``count`` unit vectors: 1 cluster for about 200, 20 of these around one centre."""
    centres = cluster_centres(count, seed)
    rng = np.random.default_rng(seed + 1)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        made = centres[rng.integers(0, len(centres), size)]
        yield unit(made + 0.9 * rng.standard_normal((size, COLUMNS), dtype=np.float32))


def cluster_centres(count: int, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    outer = rng.standard_normal((max(5, count // 4000), COLUMNS), dtype=np.float32)
    inner = np.repeat(outer, 20, axis=0)
    return np.asarray(inner + 0.8 * rng.standard_normal(inner.shape, dtype=np.float32), np.float32)


def unit(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def queries(vectors: FloatArray, kind: str, seed: int = 7) -> FloatArray:
    """(ROUNDS * BATCH, 512) queries for these vectors."""
    rng = np.random.default_rng(seed)
    some = np.asarray(vectors[np.sort(rng.integers(0, len(vectors), ROUNDS * BATCH))])
    noise = unit(rng.standard_normal(some.shape, dtype=np.float32))
    if kind == "near":
        return unit(some + 0.7 * noise)
    aside = unit(rng.standard_normal((1, COLUMNS), dtype=np.float32))
    return unit(some + 0.7 * noise + 1.5 * aside)


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Memory(threading.Thread):
    """The most memory of its own that this process held: pages of mapped files are not counted."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._done = threading.Event()
        self._peak = 0.0

    def run(self) -> None:
        while not self._done.wait(0.02):
            self._look()

    def _look(self) -> None:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        found = re.search(r"RssAnon:\s+(\d+) kB", status)
        self._peak = max(self._peak, int(found[1]) / 1024 if found else 0.0)

    def megabytes(self) -> float:
        self._look()
        return self._peak


class Timer:
    """Wall and CPU seconds of what is done within."""

    def __enter__(self) -> Timer:
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self._wall, cpu_seconds() - self._cpu


def best_of(scores: FloatArray, count: int) -> np.ndarray:
    part = np.argpartition(-scores, min(count, scores.shape[1] - 1), axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(scores, part, axis=1), axis=1)
    return np.take_along_axis(part, order, axis=1)


class Numpy:
    """A matrix product over everything."""

    def __init__(self, file: Path, folder: Path) -> None:
        self.vectors = np.load(file)

    def search(self, wanted: FloatArray) -> np.ndarray:
        return best_of(wanted @ self.vectors.T, TOP)


class Flat:
    """FAISS Flat as it comes."""

    blas = 0

    def __init__(self, file: Path, folder: Path) -> None:
        import faiss

        if self.blas:
            faiss.cvar.distance_compute_blas_threshold = self.blas
        self.index = faiss.IndexFlatIP(COLUMNS)
        for block in blocks(file):
            self.index.add(block)

    def search(self, wanted: FloatArray) -> np.ndarray:
        return self.index.search(wanted, TOP)[1]


class FlatBlas(Flat):
    """FAISS Flat made to use BLAS for small batches, too."""

    blas = 1


class Graph:
    """FAISS HNSW32, searched with a beam of 64."""

    def __init__(self, file: Path, folder: Path) -> None:
        import faiss

        self.index = faiss.IndexHNSWFlat(COLUMNS, 32, faiss.METRIC_INNER_PRODUCT)
        self.index.hnsw.efSearch = 64
        for block in blocks(file):
            self.index.add(block)
        faiss.write_index(self.index, str(folder / "hnsw.faiss"))

    def search(self, wanted: FloatArray) -> np.ndarray:
        return self.index.search(wanted, TOP)[1]


class Ours:
    """What a library does: the nearest by ``index.vectors``, then exact products with these."""

    def __init__(self, file: Path, folder: Path) -> None:
        from index.vectors import Vectors

        def levelled() -> Iterator[FloatArray]:
            for block in blocks(file):
                yield np.hstack([block, np.zeros((len(block), 1), np.float32)])

        self.vectors = Vectors(folder, "benchmark", "benchmark", levelled)
        self.vectors.prepare()

    def search(self, wanted: FloatArray) -> np.ndarray:
        wide = np.hstack([wanted, np.full((len(wanted), 1), -1.0, np.float32)])
        out = []
        proposed = self.vectors.near(wide, SHORTLIST)
        if proposed[0] is None:
            return best_of(wide @ self.vectors.take().T, TOP)
        for query, rows in zip(wide, proposed, strict=True):
            assert rows is not None
            scores = self.vectors.take(rows) @ query
            out.append(rows[best_of(scores[None], TOP)[0]])
        return np.array([np.pad(row, (0, TOP - len(row)), constant_values=-1) for row in out])


KINDS: dict[str, Any] = {"numpy": Numpy, "Flat": Flat, "Flat, BLAS": FlatBlas, "HNSW32": Graph, "ours": Ours}


def blocks(file: Path) -> Iterator[FloatArray]:
    vectors = np.load(file, mmap_mode="r")
    for start in range(0, len(vectors), BLOCK):
        yield np.ascontiguousarray(vectors[start : start + BLOCK])


def measure(method: str, file: Path, folder: Path) -> dict[str, Any]:
    """Build and search with one method; runs in a process of its own."""
    memory = Memory()
    memory.start()
    with Timer() as build:
        made = KINDS[method](file, folder)
    peak = memory.megabytes()
    result: dict[str, Any] = {"build wall": build.wall, "build CPU": build.cpu, "build MB": peak}
    if method == "ours":  # as the next process finds it
        with Timer() as opening:
            made = Ours(file, folder)
        result["open ms"] = 1e3 * opening.wall
    for kind in ("near", "far"):
        asked = np.load(file.with_name(f"{kind}.npy"))
        truth = np.load(file.with_name(f"{kind}-truth.npy"))
        made.search(asked[:BATCH])
        walls, cpus, hits = [], [], []
        for start in range(0, len(asked), BATCH):
            with Timer() as timer:
                found = made.search(asked[start : start + BATCH])
            walls.append(1e3 * timer.wall)
            cpus.append(1e3 * timer.cpu)
            hits += [
                len(set(a) & set(b)) / TOP for a, b in zip(found, truth[start : start + BATCH], strict=True)
            ]
        result |= {f"{kind} recall": float(np.mean(hits))}
    ones = []
    for query in asked[:ROUNDS]:
        with Timer() as timer:
            made.search(query[None])
        ones.append(1e3 * timer.wall)
    result |= {
        "p50 ms": float(np.percentile(walls, 50)),
        "p99 ms": float(np.percentile(walls, 99)),
        "CPU ms": float(np.median(cpus)),
        "one ms": float(np.median(ones)),
        "files MB": sum(path.stat().st_size for path in folder.iterdir()) / 1e6,
    }
    return result


def make_data(count: int, folder: Path) -> Path:
    file = folder / "vectors.npy"
    whole = np.lib.format.open_memmap(file, "w+", np.float32, (count, COLUMNS))
    start = 0
    for block in clustered(count):
        whole[start : start + len(block)] = block
        start += len(block)
    whole.flush()
    for kind in ("near", "far"):
        asked = queries(whole, kind)
        np.save(folder / f"{kind}.npy", asked)
        best: np.ndarray = np.zeros((len(asked), 0), np.float32)
        place: np.ndarray = np.zeros((len(asked), 0), np.int64)
        for start in range(0, count, BLOCK):
            scores = asked @ whole[start : start + BLOCK].T
            top = best_of(scores, TOP)
            best = np.hstack([best, np.take_along_axis(scores, top, axis=1)])
            place = np.hstack([place, top + start])
            keep = best_of(best, TOP)
            best, place = np.take_along_axis(best, keep, axis=1), np.take_along_axis(place, keep, axis=1)
        np.save(folder / f"{kind}-truth.npy", place)
    return file


# -- a library ------------------------------------------------------------------------------------------


class VectorEncoder:
    """Features are vectors; the text ``window N`` is the vector of window N of the library, disturbed."""

    name = "benchmark-vectors"
    hash = "benchmarkvectors"
    image_size = 32
    feature_size = COLUMNS
    calibration = Calibration(temperature=0.01, bias=0.2)

    def encode_images(self, frames: Sequence[Any]) -> FloatArray:
        return unit(np.stack([np.resize(frame.astype(np.float32) + 1, COLUMNS) for frame in frames]))

    def encode_texts(self, texts: Sequence[str], language: str = "en") -> FloatArray:
        rows = []
        for text in texts:
            rng = np.random.default_rng(list(text.encode()))
            rows.append(rng.standard_normal(COLUMNS, dtype=np.float32))
        centres = cluster_centres(100_000, 0)
        picks = [sum(text.encode()) % len(centres) for text in texts]
        return unit(centres[picks] + np.array(rows))

    def project(self, features: FloatArray, language: str = "en") -> FloatArray:
        return unit(features)


WORDS = ("harbour", "forest", "street", "river", "kitchen", "desert", "market", "bridge", "garden", "snow")


def make_library(folder: Path, windows: int) -> None:
    """A library of so many windows, written by the record itself: shots of 2 windows, 10 shots a media."""
    from index.base import Span
    from index.measure import Measurement
    from index.store import FILE_NAME, PathRow, Store
    from index.values import CAMERA_MOVES, SHOT_SIZES, Look, Media, Shot

    (folder / ".montage").mkdir(parents=True)
    store = Store(folder / ".montage" / FILE_NAME, write=True)
    rng = np.random.default_rng(3)
    number = 0
    with store.transaction():
        store.set_meta(
            {
                "root": str(folder),
                "encoder": "python:benchmarks.search:VectorEncoder",
                "encoder_name": VectorEncoder.name,
                "encoder_hash": VectorEncoder.hash,
                "feature_size": str(COLUMNS),
                "detector": "fast",
                "groups": "fresh",
            }
        )
        for block in clustered(windows):
            for start in range(0, len(block), 20):
                features = block[start : start + 20]
                media = f"{number:032x}"
                shots = []
                for place in range(0, len(features), 2):
                    begin = Fraction(2 * place)
                    halves = [
                        Span(begin + 2 * i, begin + 2 * i + 2)
                        for i in range(len(features[place : place + 2]))
                    ]
                    look = Look(
                        brightness=0.5,
                        contrast=0.2,
                        saturation=0.3,
                        lab=(50.0, 0.0, 0.0),
                        sharpness=0.5,
                        shake=0.1,
                        motion=0.1,
                        move=CAMERA_MOVES[int(rng.integers(len(CAMERA_MOVES)))],
                        size=SHOT_SIZES[int(rng.integers(len(SHOT_SIZES)))],
                    )
                    span = Span(begin, halves[-1].end)
                    name = f"{media[-12:]}-{int(begin * 1000)}"
                    shots.append(Shot(id=name, media=media, span=span, windows=tuple(halves), look=look))
                facts = Media(id=media, paths=("x",), duration=Fraction(60), width=1920, height=1080)
                store.put_measurement(Measurement(facts, tuple(shots), features), VectorEncoder.hash)
                path = f"day {number % 100}/{WORDS[number % 10]}-{WORDS[number // 10 % 10]}-{number}.mp4"
                store.put_path(PathRow(path, 1, 1_700_000_000_000_000_000, number, media))
                number += 1
    store.close()


def library_run(folder: Path) -> dict[str, Any]:
    """Open the library of ``folder``, search it once, and then more; runs in a process of its own."""
    memory = Memory()
    memory.start()
    with Timer() as importing:
        from index.asking import Filters
        from index.library import Library
        from index.query import Matcher
    with Timer() as first:
        library = Library.open(folder)
        hits = library.search("the old harbour at dawn", k=10)
    assert len(hits) == 10
    matcher = Matcher(library)
    sentences = [f"sentence {number} about the {WORDS[number % 10]}" for number in range(BATCH)]
    matcher.candidates(sentences, ["en"] * BATCH, 20)
    walls, cpus, ones, filtered = [], [], [], []
    for _ in range(5):
        with Timer() as timer:
            matcher.candidates(sentences, ["en"] * BATCH, 20)
        walls.append(1e3 * timer.wall)
        cpus.append(1e3 * timer.cpu)
        with Timer() as timer:
            matcher.search("the old harbour at dawn", k=10)
        ones.append(1e3 * timer.wall)
        with Timer() as timer:
            matcher.search("the old harbour", k=10, filters=Filters(moves=("pan",), folders=("day 7",)))
        filtered.append(1e3 * timer.wall)
    return {
        "import ms": 1e3 * importing.wall,
        "first search ms": 1e3 * first.wall,
        "first CPU ms": 1e3 * first.cpu,
        "batch p50 ms": float(np.median(walls)),
        "batch CPU ms": float(np.median(cpus)),
        "one ms": float(np.median(ones)),
        "filtered ms": float(np.median(filtered)),
        "MB": memory.megabytes(),
    }


# -- tables ---------------------------------------------------------------------------------------------


def apart(*arguments: str) -> dict[str, Any]:
    """This file in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.search", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def show(title: str, rows: dict[str, dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    print(f"\n{title}")
    print("  " + "".ljust(22) + "".join(name.rjust(max(9, len(name) + 2)) for name in names))
    for label, row in rows.items():
        cells = []
        for name in names:
            value = row.get(name)
            text = "" if value is None else f"{value:.3f}" if "recall" in name else f"{value:.1f}"
            cells.append(text.rjust(max(9, len(name) + 2)))
        print("  " + label.ljust(22) + "".join(cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--library", type=int, nargs="*", default=[100_000])
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    parser.add_argument(
        "--all-peers", action="store_true", help="HNSW above 100 k, too: minutes and gigabytes."
    )
    parser.add_argument("--disk", type=Path, help="Folder for the vectors. [default: a temporary one]")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=3, metavar=("METHOD", "FILE", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--one-library", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], Path(options.one[1]), Path(options.one[2]))))
        return
    if options.one_library:
        print(json.dumps(library_run(options.one_library)))
        return
    everything: dict[str, Any] = {}
    for size in options.sizes:
        with tempfile.TemporaryDirectory(dir=options.disk) as name:
            file = make_data(size, Path(name))
            rows = {}
            for method in options.methods:
                if method == "HNSW32" and size > 100_000 and not options.all_peers:
                    continue
                place = Path(name) / method.replace(", ", "-")
                place.mkdir()
                rows[method] = apart("--one", method, str(file), str(place))
            if "ours" in rows:
                for row in rows.values():
                    row["batch to ours"] = row["p50 ms"] / rows["ours"]["p50 ms"]
            everything[f"{size} vectors"] = rows
            if not options.json:
                show(f"{size:,} vectors of {COLUMNS}: 50 queries at once", rows)
    for size in options.library:
        with tempfile.TemporaryDirectory(dir=options.disk) as name:
            make_library(Path(name) / "footage", size)
            cold = apart("--one-library", str(Path(name) / "footage"))
            ready = apart("--one-library", str(Path(name) / "footage"))
            rows = {"derived files made": cold, "derived files there": ready}
            everything[f"library of {size} windows"] = rows
            if not options.json:
                show(f"a library of {size:,} windows, each row a cold process", rows)
    if options.json:
        print(json.dumps(everything, indent=1))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
    with contextlib.suppress(KeyboardInterrupt):
        main()
