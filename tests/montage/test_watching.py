"""Each save gives a film; what is broken for a moment does not end the watch."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from montage.session import Session, Update
from montage.values import MontageError
from montage.watching import Watched, watch
from tests.conftest import REPOSITORY

TEXT = """A dog runs along the beach.
Coffee is poured into a cup.
"""
PATIENCE = 60
"""Seconds after which nothing more is waited for; none of it is waited out when all is well."""


class Watching:
    """A watch in a thread of its own."""

    def __init__(self, session: Session) -> None:
        self.told: queue.Queue[Watched] = queue.Queue()
        self.stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(
            target=watch, args=(session, self.told.put, self.stop), kwargs={"ready": self._ready.set}
        )
        self._thread.start()
        assert self._ready.wait(PATIENCE)

    def next(self) -> Watched:
        return self.told.get(timeout=PATIENCE)

    def end(self) -> None:
        self.stop.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


@pytest.fixture
def watching(tmp_path: Path, sample_index: Path) -> Iterator[Callable[[], tuple[Path, Watching]]]:
    started: list[Watching] = []

    def start() -> tuple[Path, Watching]:
        script = tmp_path / "story.txt"
        script.write_text(TEXT, encoding="utf-8")
        started.append(Watching(Session(script, library=sample_index, settings={"size": [160, 90]})))
        return script, started[0]

    yield start
    for one in started:
        one.end()


def test_a_watch_follows_the_script_through_saves_of_every_kind(
    watching: Callable[[], tuple[Path, Watching]],
) -> None:
    script, seen = watching()
    first = seen.next().update
    assert first is not None
    assert first.film.ok

    script.write_text(TEXT + "A boat comes home.\n", encoding="utf-8")
    second = seen.next().update
    assert second is not None
    assert second.changes.new == (3,)
    assert second.film.segments_reused >= len(first.cut.slots) - 1

    # Broken for a moment: told, and the film stays.
    before = second.film.path.read_bytes()
    script.write_text("[hold never] A dog runs.\n", encoding="utf-8")
    broken = seen.next()
    assert broken.update is None
    assert "hold" in str(broken.error)
    assert second.film.path.read_bytes() == before

    # Saved as many editors do: written beside it and moved over it.
    beside = script.with_name("story.txt~")
    beside.write_text(TEXT, encoding="utf-8")
    os.replace(beside, script)
    third = seen.next().update
    assert third is not None
    assert third.changes.gone == 1

    # Deleted and made again; a save of the same text in between does nothing.
    script.write_text(TEXT, encoding="utf-8")
    script.unlink()
    gone = seen.next()
    assert gone.update is None
    script.write_text(TEXT.replace("cup", "glass"), encoding="utf-8")
    fourth = seen.next().update
    assert fourth is not None
    assert fourth.changes.changed == (2,)
    assert seen.told.empty()


def test_a_folder_that_cannot_be_watched_is_named(tmp_path: Path, sample_index: Path) -> None:
    script = tmp_path / "story.txt"
    script.write_text(TEXT, encoding="utf-8")
    settings = {"preset": str(tmp_path / "nowhere" / "my.toml")}
    told: list[Watched] = []
    with pytest.raises(MontageError, match=r"saves in .*nowhere cannot be noticed"):
        watch(Session(script, library=sample_index, settings=settings), told.append, threading.Event())
    assert told == []


def test_a_script_read_in_the_middle_of_a_save_is_read_again(
    watching: Callable[[], tuple[Path, Watching]], monkeypatch: pytest.MonkeyPatch
) -> None:
    script, seen = watching()
    assert seen.next().update is not None
    update = Session.update
    met = []

    def saving(session: Session, **rest: Any) -> Update:
        """The first time the file is empty, as it is between opening and writing; then it is whole."""
        if met:
            return update(session, **rest)
        met.append(script.read_text(encoding="utf-8"))
        script.write_text("", encoding="utf-8")
        try:
            return update(session, **rest)
        finally:
            script.write_text(met[0], encoding="utf-8")

    monkeypatch.setattr(Session, "update", saving)
    script.write_text(TEXT + "A boat comes home.\n", encoding="utf-8")
    found = seen.next()
    assert found.error is None
    assert found.update is not None
    assert found.update.changes.new == (3,)


def test_the_last_of_many_saves_wins(watching: Callable[[], tuple[Path, Watching]]) -> None:
    script, seen = watching()
    for number in range(8):
        script.write_text(TEXT + f"The boat has number {number}.\n", encoding="utf-8")
    films = 0
    while True:
        update = seen.next().update
        assert update is not None
        films += 1
        if update.cut.script.sentences[-1].text == "The boat has number 7.":
            break
    assert films < 8
    assert seen.told.empty()


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
def test_the_command_says_what_it_did_and_ctrl_c_ends_it(tmp_path: Path, sample_index: Path) -> None:
    import signal

    script = tmp_path / "story.txt"
    script.write_text(TEXT, encoding="utf-8")
    command = [sys.executable, "-m", "montage", "watch", str(script), "--library", str(sample_index)]
    with subprocess.Popen(
        [*command, "--size", "160x90"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "sentences 1, 2 new" in line
        assert "checks passed" in line
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "montage: stopped; what was finished is kept" in said
    assert (tmp_path / "story.mp4").is_file()
