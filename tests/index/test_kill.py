"""A build that is killed at any moment goes on to the same library."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from making import ENCODER, colour_folder

from index.builder import build_index

BUILD = """
import os, signal, sys
from index.builder import build_index
folder, store, encoder, last, notes = sys.argv[1:]
count = 0
def progress(event):
    global count
    count += 1
    if count == int(last):
        children = open(f"/proc/self/task/{os.getpid()}/children").read()
        for thread in os.listdir("/proc/self/task"):
            children += " " + open(f"/proc/self/task/{thread}/children").read()
        open(notes, "w").write(children)
        os.kill(os.getpid(), signal.SIGKILL)
build_index(folder, encoder=encoder, store=store, workers=2, progress=progress)
"""


def killed_build(folder: Path, store: Path, event: int, notes: Path) -> int:
    """Build in a process that kills itself with SIGKILL at an event; its exit status."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [str(folder), str(store), ENCODER, str(event), str(notes)]
    return subprocess.run([sys.executable, "-c", BUILD, *arguments], env=environment, check=False).returncode


def wait_for_death(notes: Path) -> None:
    """Fail unless the processes named in ``notes`` end by themselves within 20 seconds."""
    for pid in set(map(int, notes.read_text().split())):
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([handle], [], [], 20)[0], f"worker {pid} outlived its parent"
        finally:
            os.close(handle)


def kill_and_finish(folder: Path, tmp_path: Path, events: list[int]) -> None:
    undisturbed = build_index(folder, encoder=ENCODER, store=tmp_path / "whole", workers=1).dump()
    for event in events:
        store = tmp_path / f"killed-{event}"
        notes = tmp_path / f"notes-{event}"
        assert killed_build(folder, store, event, notes) == -signal.SIGKILL
        wait_for_death(notes)
        assert build_index(folder, encoder=ENCODER, store=store, workers=1).dump() == undisturbed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = colour_folder(tmp_path_factory.mktemp("kill"))
    (made / "empty.mp4").write_bytes(b"")
    return made


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux process descriptors")
def test_three_kills(folder: Path, tmp_path: Path) -> None:
    kill_and_finish(folder, tmp_path, [2, 7, 11])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux process descriptors")
def test_ten_seeded_kills(folder: Path, tmp_path: Path) -> None:
    kill_and_finish(folder, tmp_path, random.Random(7).sample(range(1, 14), 10))
