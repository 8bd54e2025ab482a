"""Two builds at once, full and closed disks, signals, and libraries of other versions."""

from __future__ import annotations

import gc
import os
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from making import ENCODER, colour_clip, colour_folder

from index.base import FootageError
from index.builder import IndexEvent, build_index
from index.library import Library
from index.store import FILE_NAME, Store

HOLD = """
import sys
from index.builder import build_index
def progress(event):
    if event.kind == "found":
        print("building", flush=True)
        sys.stdin.readline()
build_index(sys.argv[1], encoder=sys.argv[2], workers=1, progress=progress)
print("built", flush=True)
"""

NOTE_WORKERS = """
import os, sys
from index.builder import build_index
def progress(event):
    if event.kind == "started":
        found = set()
        for thread in os.listdir("/proc/self/task"):
            found |= set(open(f"/proc/self/task/{thread}/children").read().split())
        print(*found, flush=True)
        sys.stdin.readline()
build_index(sys.argv[1], encoder=sys.argv[2], workers=2, progress=progress)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = colour_folder(tmp_path_factory.mktemp("trust"))
    build_index(folder, encoder=ENCODER, workers=1)
    return folder


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """The built folder, to be changed at will."""
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(built), str(copy)], check=True)
    return copy


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_a_second_build_is_told_who_builds_and_the_library_can_be_used_meanwhile(folder: Path) -> None:
    colour_clip(folder / "new.mp4", "yellow")
    with start(HOLD, str(folder), ENCODER) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "building\n"
        with pytest.raises(
            FootageError, match=f"being built by process {first.pid} on .*wait for it or stop"
        ):
            build_index(folder, encoder=ENCODER, workers=1)
        library = Library.open(folder)
        assert len(library.shots) == 5
        assert library.search("green", 1)[0].shot.id in library.shots
        out, err = first.communicate("\n")
        assert out == "built\n", err
    assert len(Library.open(folder).shots) == 6


def test_the_lock_of_a_dead_process_holds_nobody_up(folder: Path) -> None:
    with start(HOLD, str(folder), ENCODER) as first:
        assert first.stdout is not None
        first.stdout.readline()
        first.kill()
        first.communicate()
    assert f"process {first.pid}" in (folder / ".montage" / "lock").read_text()
    assert len(build_index(folder, encoder=ENCODER, workers=1).shots) == 5


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux process descriptors")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_good_library_and_no_worker(number: signal.Signals, tmp_path: Path) -> None:
    folder = colour_folder(tmp_path / "footage")
    whole = build_index(folder, encoder=ENCODER, store=tmp_path / "whole", workers=1).dump()
    with start(NOTE_WORKERS, str(folder), ENCODER) as build:
        assert build.stdout is not None
        assert build.stdin is not None
        workers = [os.pidfd_open(int(pid)) for pid in build.stdout.readline().split()]
        build.send_signal(number)
        build.communicate()
        assert build.returncode == -number
    assert workers
    for worker in workers:
        assert select.select([worker], [], [], 20)[0], "a worker outlived its parent"
        os.close(worker)
    assert build_index(folder, encoder=ENCODER, workers=1).dump() == whole


def test_a_folder_that_is_moved_while_it_is_indexed(tmp_path: Path) -> None:
    folder = colour_folder(tmp_path / "footage")

    def move(event: IndexEvent) -> None:
        if event.kind == "done" and folder.exists():
            folder.rename(tmp_path / "moved")

    with pytest.raises(FootageError, match="moved or its disk was taken away while it was indexed"):
        build_index(folder, encoder=ENCODER, workers=1, progress=move)
    library = build_index(tmp_path / "moved", encoder=ENCODER, workers=1)
    assert library.problems == ()
    assert len(library.shots) == 5


def test_a_file_that_goes_or_changes_while_it_waits_is_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "footage"
    folder.mkdir()
    for name, colour in (("1", "green"), ("2", "red"), ("3", "blue")):
        colour_clip(folder / f"{name}.mp4", colour)
    whole = (folder / "3.mp4").read_bytes()

    def change(event: IndexEvent) -> None:
        if event.kind == "found":
            return
        if (folder / "2.mp4").exists() and event.kind == "started":
            (folder / "2.mp4").rename(tmp_path / "2.mp4")
            (folder / "3.mp4").write_bytes(b"half written")

    library = build_index(folder, encoder=ENCODER, workers=1, progress=change)
    assert {problem.path for problem in library.problems} == {"2.mp4", "3.mp4"}
    (tmp_path / "2.mp4").rename(folder / "2.mp4")
    times = os.stat(folder / "3.mp4")
    (folder / "3.mp4").write_bytes(whole)
    os.utime(folder / "3.mp4", ns=(times.st_atime_ns, times.st_mtime_ns))
    library = build_index(folder, encoder=ENCODER, workers=1)
    assert library.problems == ()
    assert len(library.media) == 3


def test_a_file_that_changes_while_it_is_measured_is_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "footage"
    folder.mkdir()
    colour_clip(folder / "1.mp4", "green")
    colour_clip(folder / "2.mp4", "red")
    shutil.copy(folder / "2.mp4", folder / "copy.mp4")
    blue = colour_clip(tmp_path / "blue.mp4", "blue", 2)

    def change(event: IndexEvent) -> None:
        if event.kind == "started" and event.path == "2.mp4":
            os.replace(blue, folder / "2.mp4")

    library = build_index(folder, encoder=ENCODER, workers=1, progress=change)
    assert {problem.path for problem in library.problems} == {"2.mp4", "copy.mp4"}
    assert all("build-index tries it again" in problem.reason for problem in library.problems)
    library = build_index(folder, encoder=ENCODER, workers=1)
    assert library.problems == ()
    assert {media.paths: media.duration for media in library.media.values()} == {
        ("1.mp4",): 1,
        ("2.mp4",): 2,
        ("copy.mp4",): 1,
    }


def test_an_empty_folder_where_the_disk_should_be_changes_nothing(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "footage"
    shutil.copytree(built, folder, ignore=shutil.ignore_patterns(".montage"))
    before = build_index(folder, encoder=ENCODER, workers=1, store=tmp_path / "store").dump()
    folder.rename(tmp_path / "away")
    folder.mkdir()
    with pytest.raises(FootageError, match=r"is empty now, and its index knows 6 files: is its disk\s+there"):
        build_index(folder, encoder=ENCODER, workers=1, store=tmp_path / "store")
    assert Library.open(folder, store=tmp_path / "store").dump() == before


def test_clocks_may_go_backwards(folder: Path) -> None:
    before = build_index(folder, encoder=ENCODER, workers=1).dump()
    times = (0, -1, -(10**9), 4_102_444_800 * 10**9)  # the epoch, before it, and the year 2100
    for path, time in zip(sorted(folder.rglob("*.mp4")), times, strict=False):
        os.utime(path, ns=(time, time))
    for _ in range(2):
        events: list[str] = []
        library = build_index(
            folder, encoder=ENCODER, workers=1, progress=lambda event, seen=events: seen.append(event.kind)
        )
        assert events == ["found"] + ["reused"] * 6
        assert library.dump() == before


# -- disks ---------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Leave ``leave`` bytes on a disk."""
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    ballast.write_bytes(bytes(max(0, free - leave)))
    return ballast


@pytest.mark.parametrize("leave", [0, 40_960])
def test_a_disk_that_is_full_in_the_middle(leave: int, folder: Path, small_disk: Path) -> None:
    store = small_disk / "store"
    before = build_index(folder, encoder=ENCODER, workers=1, store=store).dump()
    for number in range(8):
        colour_clip(folder / f"new-{number}.mp4", "yellow", 1 + number / 10)
    ballast = fill(small_disk, leave)
    with pytest.raises(FootageError) as caught:
        build_index(folder, encoder=ENCODER, workers=1, store=store)
    assert str(store) in str(caught.value)
    assert "--store" in str(caught.value)
    assert "disk" in str(caught.value)
    library = Library.open(folder, store=store)
    assert set(before.splitlines()) - set(library.dump().splitlines()) == set()  # nothing of it is gone
    assert library.search("green", 1)[0].shot.id in library.shots
    ballast.unlink()
    again = build_index(folder, encoder=ENCODER, workers=1, store=store)
    assert again.dump() == build_index(folder, encoder=ENCODER, workers=1).dump()
    assert len(again.media) == 13


def test_a_full_disk_is_one_line_at_the_command(folder: Path, small_disk: Path) -> None:
    from montage.cli import main

    ballast = fill(small_disk, 4096)
    assert (
        main(["build-index", str(folder), "--encoder", ENCODER, "--store", str(small_disk / "store"), "-q"])
        == 1
    )
    ballast.unlink()
    assert (
        main(["build-index", str(folder), "--encoder", ENCODER, "--store", str(small_disk / "store"), "-q"])
        == 0
    )


def test_a_place_that_may_not_be_written(folder: Path, small_disk: Path) -> None:
    store = small_disk / "store"
    before = build_index(folder, encoder=ENCODER, workers=1, store=store).dump()
    colour_clip(folder / "new.mp4", "yellow")
    gc.collect()  # closes what was opened for writing
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(FootageError, match=r"cannot be written to .*Read-only file system.*--store DIR"):
        build_index(folder, encoder=ENCODER, workers=1, store=store)
    library = Library.open(folder, store=store)
    assert library.dump() == before
    assert library.search("green", 1)


# -- versions ------------------------------------------------------------------------------------------------


def version_of(file: Path) -> int:
    with sqlite3.connect(file) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def footage_in(dump: str) -> list[str]:
    return [line for line in dump.splitlines() if line.startswith(("media ", "shot "))]


def first_version(file: Path) -> None:
    """Make a library of version 1 of this one: the columns and tables that came later are gone."""
    with sqlite3.connect(file, isolation_level=None) as db:
        for name in ("licence", "beside", "note"):
            db.execute(f"ALTER TABLE paths DROP COLUMN {name}")
        db.execute("DROP TABLE passages")
        db.execute("PRAGMA user_version = 1")
        db.execute("DELETE FROM meta WHERE key LIKE 'mark of %'")


def test_a_library_of_an_earlier_version_is_brought_up_to_date(folder: Path) -> None:
    before = Library.open(folder).dump()
    file = folder / ".montage" / FILE_NAME
    now = version_of(file)
    first_version(file)
    assert version_of(file) == 1 < now
    assert footage_in(Library.open(folder).dump()) == footage_in(before)
    assert version_of(file) == now
    events: list[str] = []
    library = build_index(
        folder, encoder=ENCODER, workers=1, progress=lambda event: events.append(event.kind)
    )
    assert "done" not in events  # nothing is measured anew
    assert library.dump() == before  # with what stands beside the files, which version 1 did not keep


def test_a_migration_that_is_killed_is_done_the_next_time(folder: Path) -> None:
    before = Library.open(folder).dump()
    file = folder / ".montage" / FILE_NAME
    now = version_of(file)
    first_version(file)
    code = (
        "import os, signal, sys, sqlite3, pathlib, index.store as s\n"
        "steps = s._MIGRATIONS[1].split(';')\n"
        "class Killed(s.Store):\n"
        "    def _version(self):\n"
        "        if hasattr(self, '_db') and self._db.in_transaction:\n"
        "            for step in steps[:2]: self._db.execute(step)\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return super()._version()\n"
        "Killed(pathlib.Path(sys.argv[1]), write=True)"
    )
    with start(code, str(file)) as process:
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert version_of(file) == 1
    assert footage_in(Library.open(folder).dump()) == footage_in(before)
    assert version_of(file) == now


def test_a_library_of_a_later_version_is_refused_and_left_alone(folder: Path) -> None:
    file = folder / ".montage" / FILE_NAME
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version = 99")
    with sqlite3.connect(file) as db:
        rows = db.execute("SELECT * FROM paths").fetchall()
    for attempt in (lambda: Library.open(folder), lambda: build_index(folder, encoder=ENCODER, workers=1)):
        with pytest.raises(
            FootageError, match=r"written by a newer montage .version 99.*update montage-editor"
        ):
            attempt()
    with sqlite3.connect(file) as db:
        assert db.execute("SELECT * FROM paths").fetchall() == rows


@pytest.mark.parametrize("damage", ["text", "cut", "holes"])
def test_a_damaged_database_says_what_to_do(damage: str, folder: Path) -> None:
    file = folder / ".montage" / FILE_NAME
    Store(file, write=True).close()
    for leftover in file.parent.glob(f"{FILE_NAME}-*"):
        leftover.unlink()
    data = bytearray(file.read_bytes())
    if damage == "text":
        data = bytearray(b"this is no database, only text" * 1000)
    elif damage == "cut":
        del data[len(data) // 3 :]
    else:
        data[4096:] = b"\xaa" * (len(data) - 4096)
    file.write_bytes(bytes(data))
    with pytest.raises(FootageError, match=r"library\.sqlite' cannot be read.*delete it and index again"):
        build_index(folder, encoder=ENCODER, workers=1)
    file.unlink()
    assert len(build_index(folder, encoder=ENCODER, workers=1).shots) == 5
