"""What ten million hours would take: bytes a shot, CPU an hour, the rate of the merge, and what Ray costs.

    python -m benchmarks.scale [--part bytes|hours|tiny|real] [--footage FOLDER] [--shots 20000]

``bytes``: clips of the sample library are measured, and copies of these measurements under new ids, up to
``--shots`` shots with 512 random numbers a window, as many as CLIP has, are written as shards, joined into
larger ones, merged into SQLite and put into FAISS: bytes a shot and shots a second of each, and what grouping
costs.
``hours``: real clips of ``--footage`` at four sizes: CPU seconds for an hour, with and without the encoder,
against ffmpeg decoding the same file to nothing.
``tiny`` and ``real``: the same files by one process, a pool of two, and Ray with two workers: wall and CPU of
the whole tree of processes. Tiny files show what handing out a file takes, real clips what measuring takes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from index.base import ffmpeg_path
from index.builder import IndexEvent, build_index
from index.duplicates import duplicate_groups
from index.encoders.registry import load_encoder
from index.measure import Measurement, measure_file, shot_id
from index.shards import Origin, merge_shards, read_shard, write_shard
from index.store import FILE_NAME, Store
from index.worker import Identity

SAMPLE = Path(__file__).resolve().parent.parent / "sample_library"
COLUMNS = 512
"""Features of a window in the copies, as CLIP ViT-B-32 has."""
GROUPED = 16_000
"""Shots among which near-duplicates are looked for."""
TINY = 24
"""Files whose handing out is measured."""
Row = dict[str, Any]


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def cpu() -> float:
    """CPU seconds of this process and of the children that have ended."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def tree_cpu() -> float:
    """CPU seconds of this process and all below it, while they live (Linux)."""
    ticks = os.sysconf("SC_CLK_TCK")
    parents, spent = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                values = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(values[1])
            spent[int(entry.name)] = sum(map(int, values[11:15])) / ticks
    total = 0.0
    for pid, seconds in spent.items():
        above = pid
        while above in parents and above != os.getpid():
            above = parents[above]
        total += seconds if above == os.getpid() else 0.0
    return total


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Timer:
    """Wall and CPU seconds of a block."""

    def __enter__(self) -> Timer:
        self._wall, self._cpu = time.perf_counter(), cpu()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self._wall, cpu() - self._cpu


# -- bytes -----------------------------------------------------------------------------------------------


def copies(real: list[Measurement], shots: int) -> Iterator[Measurement]:
    """The measurements again and again under new ids, with ``COLUMNS`` unit-length random features."""
    rng = np.random.default_rng(0)
    done = 0
    for number, base in enumerate(itertools.cycle(real)):
        if done >= shots:
            return
        media = replace(base.media, id=f"{number:032x}"[::-1], paths=(f"{number:06}/{base.media.paths[0]}",))
        taken = tuple(
            replace(shot, id=shot_id(media.id, shot.span.start), media=media.id) for shot in base.shots
        )
        windows = sum(len(shot.windows) for shot in taken)
        features = rng.standard_normal((windows, COLUMNS), np.float32)
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        done += len(taken)
        # Random bytes, since equal pictures would be compressed away where real ones are not.
        pictures = tuple(rng.bytes(len(picture)) for picture in base.thumbnails)
        yield replace(base, media=media, shots=taken, features=features, thumbnails=pictures)


def part_bytes(shots: int, clips: int) -> Row:
    paths = sorted(SAMPLE.glob("*.mp4"))[:clips]
    real = [measure_file(path, None, root=SAMPLE, threads=1) for path in paths]
    seconds = float(sum(each.media.duration for each in real))
    origin = Origin("copies", Identity("copies", "0" * 16, COLUMNS), "fast")
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        single = place / "single"
        single.mkdir()
        made = list(copies(real, shots))
        total = sum(len(each.shots) for each in made)
        windows = sum(len(each.features) for each in made)
        pictures = sum(len(picture) for each in made for picture in each.thumbnails)
        with Timer() as writing:
            names = [write_shard(single, each, origin) for each in made]
        joined = _join(single, names, place / "joined")
        with Timer() as reading:
            for name in names:
                list(read_shard(single / name))
        store = Store(place / FILE_NAME, write=True)
        with Timer() as merging:
            merge_shards(single, store)
        store.close()
        database = sum(path.stat().st_size for path in place.glob(f"{FILE_NAME}*"))
        with Timer() as merging_joined:
            store = Store(place / "again.sqlite", write=True)
            merge_shards(joined, store)
            store.close()
        result = {
            "real_clips": len(real),
            "real_seconds": seconds,
            "real_shots": sum(len(each.shots) for each in real),
            "real_windows": sum(len(shot.windows) for each in real for shot in each.shots),
            "media": len(made),
            "shots": total,
            "windows": windows,
            "features_bytes": 4 * COLUMNS * windows / total,
            "thumbnail_bytes": pictures / total,
            "shard_bytes": size_of(single) / total,
            "joined_bytes": size_of(joined) / total,
            "sqlite_bytes": database / total,
            "footer_bytes_a_file": _footer(single / names[0]),
            "write_shots_a_second": total / writing.cpu,
            "read_shots_a_second": total / reading.cpu,
            "merge_shots_a_second": total / merging.wall,
            "merge_shots_a_cpu_second": total / merging.cpu,
            "merge_joined_shots_a_cpu_second": total / merging_joined.cpu,
            **_faiss(),
            **_grouping(made),
        }
    say(
        f"\n{result['real_clips']} clips, {seconds:.0f} s: {result['real_shots']} shots",
    )
    say(f"copied to {total} shots, {windows} windows of {COLUMNS} float32, in {len(made)} files")
    for what in ("features", "thumbnail", "shard", "joined", "sqlite"):
        say(f"  {what:10} {result[f'{what}_bytes']:10.0f} bytes a shot")
    say(f"  the footer of a shard takes {result['footer_bytes_a_file']} bytes")
    for what, value in result.items():
        if what.startswith("faiss"):
            say(f"  {what.replace('_', ' '):32} {value:10.1f} bytes a window")
        elif "_a_" in what and what.endswith("second"):
            say(f"  {what.replace('_', ' '):32} {value:10.0f}")
    say(
        f"  grouping of n shots grows as n^{result['grouping_power']:.2f}:",
    )
    for count, spent in result["grouping_cpu"].items():
        say(f"    {count:>8} shots {spent:8.2f} CPU s")
    return result


def _join(folder: Path, names: list[str], target: Path) -> Path:
    """The shards again, a thousand rows a file."""
    import pyarrow
    from pyarrow import parquet

    target.mkdir()
    for number in range(0, len(names), 1000):
        tables = [parquet.read_table(folder / name) for name in names[number : number + 1000]]
        parquet.write_table(
            pyarrow.concat_tables(tables),
            target / f"{number:08}.parquet",
            compression="zstd",
            row_group_size=100,
            use_dictionary=False,
            write_page_checksum=True,
        )
    return target


def _footer(path: Path) -> int:
    data = path.read_bytes()
    return int.from_bytes(data[-8:-4], "little")


def _faiss() -> Row:
    """Bytes that FAISS keeps for a vector, with its id of 8; tables of centroids come once."""
    import faiss

    kinds = ("Flat", "IVF64,SQ8", "IVF64,PQ64", "IVF64,PQ32")
    result = {}
    for name in kinds:
        index = faiss.index_factory(COLUMNS, name)
        ivf = name.startswith("IVF")
        result[f"faiss_{name}_bytes_a_window"] = (
            faiss.extract_index_ivf(index).code_size + 8 if ivf else 4 * COLUMNS
        )
    return result


def _grouping(made: list[Measurement]) -> Row:
    """CPU seconds of finding near-duplicates among ever more shots, their hashes random."""
    rng = np.random.default_rng(1)
    base = [shot for each in made for shot in each.shots]
    shots = [
        replace(shot, look=replace(shot.look, phash=int(rng.integers(0, 2**63))))
        for shot in itertools.islice(itertools.cycle(base), GROUPED)
    ]
    spent = {}
    for count in (len(shots) // 4, len(shots) // 2, len(shots)):
        with Timer() as timer:
            duplicate_groups(shots[:count])
        spent[count] = timer.cpu
    (a, b), (c, d) = list(spent.items())[1:]
    return {"grouping_cpu": spent, "grouping_power": float(np.log(d / b) / np.log(c / a))}


# -- hours -----------------------------------------------------------------------------------------------


def part_hours(footage: Path, encoder_name: str, seconds: float, heights: Sequence[int]) -> Row:
    encoder = load_encoder(encoder_name)
    names = ("clips/beach.mp4", "clips/person-bicycle-car-detection.mp4")
    sources = [footage / name for name in names if (footage / name).exists()]
    sources = sources or sorted(SAMPLE.glob("rabbit-*.mp4"))
    rows: Row = {}
    say(f"\nCPU s an hour of footage ({', '.join(path.name for path in sources)}, H.264, {seconds:g} s each)")
    say(f"  {'height':>6} {'ffmpeg null':>12} {'no encoder':>12} {encoder.name:>12} {'windows':>8}")
    with tempfile.TemporaryDirectory() as temporary:
        measure_file(min(SAMPLE.glob("*.mp4")), encoder, threads=1)  # so that nothing is loaded below
        for height in heights:
            spent = {"ffmpeg": 0.0, "measure": 0.0, "encode": 0.0, "seconds": 0.0, "windows": 0.0}
            for source in sources:
                clip = Path(temporary) / f"{height}-{source.stem}.mp4"
                _ffmpeg("-i", source, "-t", seconds, "-vf", f"scale=-2:{height}", "-preset", "fast", clip)
                with Timer() as limit:
                    _ffmpeg("-i", clip, "-f", "null", "-")
                with Timer() as bare:
                    measured = measure_file(clip, None, threads=1)
                with Timer() as full:
                    measure_file(clip, encoder, threads=1)
                spent["ffmpeg"] += limit.cpu
                spent["measure"] += bare.cpu
                spent["encode"] += full.cpu
                spent["seconds"] += float(measured.media.duration)
                spent["windows"] += sum(len(shot.windows) for shot in measured.shots)
            hour = {name: 3600 * value / spent["seconds"] for name, value in spent.items()}
            rows[str(height)] = hour
            say(
                f"  {height:>6} {hour['ffmpeg']:12.0f} {hour['measure']:12.0f} {hour['encode']:12.0f} "
                f"{hour['windows']:8.0f}"
            )
    return rows


def _ffmpeg(*arguments: object) -> None:
    command = [ffmpeg_path(), "-v", "error", "-nostdin", "-y", "-threads", "1", *map(str, arguments)]
    subprocess.run(command, check=True)


# -- ray -------------------------------------------------------------------------------------------------


def part_tiny(encoder: str) -> Row:
    with tempfile.TemporaryDirectory() as temporary:
        tiny = Path(temporary) / "tiny"
        tiny.mkdir()
        _ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=1", tiny / "0.mp4")
        whole = (tiny / "0.mp4").read_bytes()
        for number in range(1, TINY):  # an empty box at the end makes it other content
            (tiny / f"{number}.mp4").write_bytes(whole + b"\0\0\0\x10free" + number.to_bytes(8, "big"))
        say(f"\n{TINY} tiny files ({encoder})")
        return _compare(tiny, encoder, Path(temporary))


def part_real(footage: Path, encoder: str) -> Row:
    with tempfile.TemporaryDirectory() as temporary:
        say(f"\nthe clips of {footage.name} ({encoder})")
        return _compare(footage, encoder, Path(temporary))


def _compare(folder: Path, encoder: str, place: Path) -> Row:
    rows: Row = {}
    options: dict[str, Row] = {
        "one process": {"workers": 1},
        "pool of 2": {"workers": 2},
        "Ray, 2 workers": {"workers": 2, "ray": "local"},
    }
    for name, how in options.items():
        events: list[tuple[str, float, float]] = []

        def progress(event: IndexEvent, events: list[tuple[str, float, float]] = events) -> None:
            events.append((event.kind, time.perf_counter(), tree_cpu()))

        began, spent = time.perf_counter(), tree_cpu()
        library = build_index(
            folder, encoder=encoder, store=place / name.replace(" ", "-"), progress=progress, **how
        )
        wall = time.perf_counter() - began
        done = [event for event in events if event[0] == "done"]
        between = (done[-1][1] - done[0][1]) / max(1, len(done) - 1)
        between_cpu = (done[-1][2] - done[0][2]) / max(1, len(done) - 1)
        rows[name] = {
            "files": len(done),
            "wall": wall,
            "cpu": done[-1][2] - spent,
            "first": done[0][1] - began,
            "between": between,
            "between_cpu": between_cpu,
            "dump": hash(library.dump()),
        }
    if len({row["dump"] for row in rows.values()}) != 1:
        raise SystemExit("the three libraries differ")
    first = rows["one process"]
    say(
        f"  {'':16} {'wall s':>8} {'CPU s':>8} {'CPU ratio':>10} {'first done s':>13} "
        f"{'ms a file':>10} {'CPU ms a file':>14}"
    )
    for name, row in rows.items():
        say(
            f"  {name:16} {row['wall']:8.1f} {row['cpu']:8.1f} {row['cpu'] / first['cpu']:10.2f} "
            f"{row['first']:13.1f} {1000 * row['between']:10.1f} {1000 * row['between_cpu']:14.1f}"
        )
    say("  the three libraries are equal")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("bytes", "hours", "tiny", "real"), help="only this part")
    parser.add_argument("--footage", type=Path, help="folder of real clips [default: the sample library]")
    parser.add_argument("--encoder", default="embedded")
    parser.add_argument("--shots", type=int, default=20_000)
    parser.add_argument("--clips", type=int, default=30, help="that are measured in the part bytes")
    parser.add_argument("--heights", type=int, nargs="+", default=(360, 720, 1080, 2160))
    parser.add_argument("--seconds", type=float, default=8.0, help="of each clip in the part hours")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    parts: dict[str, Callable[[], Row]] = {
        "bytes": lambda: part_bytes(options.shots, options.clips),
        "hours": lambda: part_hours(
            options.footage or SAMPLE, options.encoder, options.seconds, options.heights
        ),
        "tiny": lambda: part_tiny(options.encoder),
        "real": lambda: part_real(options.footage or SAMPLE, options.encoder),
    }
    result = {name: part() for name, part in parts.items() if options.part in (None, name)}
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
