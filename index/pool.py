"""Worker processes and the files they are given."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from index.base import FootageError
from index.worker import BOOTSTRAP, Identity, Job, Setup

__all__ = ["WorkerPool"]


class WorkerPool:
    """Up to ``workers`` processes; a context manager that leaves none behind."""

    def __init__(self, setup: Setup, workers: int) -> None:
        self._setup = setup
        self._workers = workers
        self._processes: list[subprocess.Popen[bytes]] = []
        self._spare: list[subprocess.Popen[bytes]] = []
        self._identity: Identity | None = None
        self._guard = threading.Lock()
        self._closed = False

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._closed = True
            for process in self._processes:
                if process.poll() is None:
                    process.kill()
        for process in self._processes:
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    _quietly_close(stream)

    def identity(self) -> Identity:
        """Which encoder the workers use; starts one to ask it.

        Raises:
            FootageError: if the encoder cannot be loaded.
        """
        if self._identity is None:
            self._spare.append(self._start())
        assert self._identity is not None
        return self._identity

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[str, Job, Any]]:
        """Measure files side by side.

        Yields ``("started", job, None)``, then ``("done", job, Measurement)``, ``("bad", job, reason)`` or
        ``("crashed", job, reason)``, in the order in which things happen.

        Raises:
            FootageError: if no worker can be started.
        """
        waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        count = 0
        for job in jobs:
            waiting.put(job)
            count += 1
        events: queue.Queue[tuple[str, Job | None, Any]] = queue.Queue()
        for _ in range(min(self._workers, count)):
            threading.Thread(target=self._serve, args=(waiting, events), daemon=True).start()
        while count:
            kind, done, value = events.get()
            if done is None:
                raise FootageError(str(value))
            if kind != "started":
                count -= 1
            yield kind, done, value

    def _serve(self, waiting: queue.SimpleQueue[Job], events: queue.Queue[Any]) -> None:
        process = None
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                if process is None:
                    with self._guard:
                        process = self._spare.pop() if self._spare else None
                    process = process or self._start()
                events.put(("started", job, None))
                reply = _ask(process, job)
            except FootageError as error:
                events.put(("fatal", None, error))
                return
            if reply is not None:
                events.put((reply[0], job, reply[1]))
                continue
            events.put(("crashed", job, f"the decoder crashed on it ({_death(process)})"))
            process = None

    def _start(self) -> subprocess.Popen[bytes]:
        threads = str(self._setup.threads)
        limits = {f"{name}_NUM_THREADS": threads for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}
        with self._guard:
            if self._closed:
                raise FootageError("indexing was stopped")
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", BOOTSTRAP],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **limits, "TOKENIZERS_PARALLELISM": "false"},
            )
            self._processes.append(process)
        reply = _ask(process, {"path": list(sys.path), **asdict(self._setup)})
        if reply is None:
            raise FootageError(
                f"a worker process ended while it loaded the encoder ({_death(process)}): run montage doctor"
            )
        kind, value = reply
        if kind != "ready":
            raise FootageError(str(value))
        self._identity = value
        return process


def _ask(process: subprocess.Popen[bytes], message: Any) -> tuple[str, Any] | None:
    """Send a message and wait for the reply; None if the process died instead."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        pickle.dump(message, process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
        process.stdin.flush()
        reply: tuple[str, Any] = pickle.load(process.stdout)
    except (OSError, EOFError, pickle.UnpicklingError, ValueError):
        return None
    return reply


def _death(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    if code < 0:
        return f"{signal.Signals(-code).name}"
    return f"exit status {code}"


def _quietly_close(stream: Any) -> None:
    try:
        stream.close()
    except OSError:
        return
