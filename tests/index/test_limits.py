"""A file that would never end, or takes all the memory, is stopped and reported; the rest goes on."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from making import colour_clip

from index.base import FootageError
from index.builder import IndexEvent, build_index
from index.limits import Limits, resident_bytes
from index.pool import WorkerPool
from index.worker import Job, Setup


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("limits")
    for name, colour in (("1", "green"), ("2", "red"), ("3", "blue")):
        colour_clip(folder / f"{name}.mp4", colour)
    return folder


def run(folder: Path, encoder: str, limits: Limits) -> dict[str, tuple[str, Any]]:
    """What became of each file, by name."""
    jobs = [
        Job(name, str(folder), f"{number:032x}", (folder / name).stat().st_size)
        for number, name in enumerate(sorted(path.name for path in folder.iterdir()))
    ]
    setup = Setup(f"python:colour_encoder:{encoder}")
    with WorkerPool(setup, 1, limits) as pool:
        events = [event for event in pool.run(jobs) if event[0] != "started"]
    return {job.path: (kind, value) for kind, job, value in events}


def test_a_file_that_hangs_is_stopped_and_named(clips: Path) -> None:
    found = run(clips, "EndlessEncoder", Limits(stall_seconds=3))
    assert [found[name][0] for name in ("1.mp4", "2.mp4", "3.mp4")] == ["done", "stopped", "done"]
    assert "came to a stop" in found["2.mp4"][1]
    assert "nothing was heard of it for 3 s" in found["2.mp4"][1]


def test_a_file_that_takes_too_long_is_stopped_and_named(clips: Path) -> None:
    found = run(clips, "EndlessEncoder", Limits(base_seconds=3, slowness=0.001))
    assert [found[name][0] for name in ("1.mp4", "2.mp4", "3.mp4")] == ["done", "stopped", "done"]
    assert "took longer than 3 s" in found["2.mp4"][1]


def test_a_file_that_was_stopped_is_tried_again(clips: Path, tmp_path: Path) -> None:
    encoder = "python:colour_encoder:EndlessEncoder"
    for _ in range(2):
        events: list[IndexEvent] = []
        library = build_index(
            clips,
            encoder=encoder,
            store=tmp_path,
            workers=1,
            limits=Limits(stall_seconds=2),
            progress=events.append,
        )
        (problem,) = library.problems
        assert problem.path == "2.mp4"
        assert "the next montage build-index tries it again" in problem.reason
    assert [event.path for event in events if event.kind == "started"] == ["2.mp4"]


def test_a_disk_that_cannot_be_read_is_no_fault_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "damaged.mp4").write_bytes(b"no footage at all")
    setup = Setup("python:colour_encoder:ColourEncoder")
    jobs = [Job(name, str(tmp_path), name) for name in ("damaged.mp4", "away.mp4")]  # one is not there
    with WorkerPool(setup, 1) as pool:
        kinds = {job.path: kind for kind, job, _ in pool.run(jobs)}
    assert kinds == {"damaged.mp4": "bad", "away.mp4": "stopped"}


@pytest.mark.skipif(resident_bytes(1) is None, reason="this system does not say what memory a process holds")
def test_a_file_that_needs_too_much_memory_is_stopped_and_named(clips: Path) -> None:
    found = run(clips, "GreedyEncoder", Limits(memory_bytes=300 << 20))
    assert [found[name][0] for name in ("1.mp4", "2.mp4", "3.mp4")] == ["done", "stopped", "done"]
    assert "more than 0.29 GB of memory" in found["2.mp4"][1]


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="needs signals without a name")
@pytest.mark.parametrize(
    ("encoder", "end"), [("OddlyCrashingEncoder", "signal 35"), ("UnreadableEncoder", "exit status 3")]
)
def test_a_worker_may_end_in_any_way(clips: Path, encoder: str, end: str) -> None:
    found: dict[str, tuple[str, Any]] = {}
    thread = threading.Thread(target=lambda: found.update(run(clips, encoder, Limits())), daemon=True)
    thread.start()
    thread.join(60)
    assert [found[name][0] for name in ("1.mp4", "2.mp4", "3.mp4")] == ["done", "crashed", "done"]
    assert end in found["2.mp4"][1]


def test_what_nobody_thought_of_ends_the_run(clips: Path) -> None:
    nonsense: Any = "no job"
    errors = []

    def go() -> None:
        with WorkerPool(Setup("python:colour_encoder:ColourEncoder"), 1) as pool:
            try:
                list(pool.run([nonsense]))
            except FootageError as error:
                errors.append(str(error))

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    thread.join(60)
    (error,) = errors
    assert "indexing came to an end: TypeError" in error


def test_an_encoder_that_never_loads_is_an_error(clips: Path) -> None:
    setup = Setup("python:colour_encoder:SleepyEncoder")
    with WorkerPool(setup, 1, Limits(start_seconds=1)) as pool, pytest.raises(FootageError) as caught:
        pool.identity()
    assert "not loaded within 1 s" in str(caught.value)


def test_what_a_header_promises_buys_no_time() -> None:
    limits = Limits()
    hour = limits.allowance(10**9, 3600, 0)
    assert hour == 120 + 60 * 3600
    assert limits.allowance(10**9, 1, 3600) == hour  # a header that says too little costs nothing
    assert limits.allowance(20_000, 1e9, 0) == limits.allowance(20_000, 20, 0) == 120 + 60 * 20
    assert limits.allowance(20_000, 1e9, 1e9) == 120 + 60 * 20


def test_limits_are_positive() -> None:
    with pytest.raises(ValueError, match="stall_seconds must be positive, got 0"):
        Limits(stall_seconds=0)


def test_the_usual_limits_let_files_through(clips: Path) -> None:
    found = run(clips, "ColourEncoder", Limits())
    assert {kind for kind, _ in found.values()} == {"done"}
