"""Worker processes, the files they are given, and the watch over them."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import Any

from index.base import FootageError
from index.limits import Limits, resident_bytes
from index.worker import BOOTSTRAP, Identity, Job, Setup

__all__ = ["WorkerPool"]

_CORES = os.cpu_count() or 1
_LAST_THREADS = 4
"""Decoder threads of the last files at least, where there are as many cores: others leave theirs idle."""
_TICK = 0.2
"""Seconds between two looks at the workers."""


class WorkerPool:
    """Up to ``workers`` processes; a context manager that leaves none behind.

    A worker whose file goes beyond ``limits`` is killed; that file is reported and the others go on.
    """

    def __init__(self, setup: Setup, workers: int, limits: Limits | None = None) -> None:
        self._setup = setup
        self._count = workers
        self._limits = limits or Limits()
        self._workers: list[_Worker] = []
        self._spare: list[_Worker] = []
        self._identity: Identity | None = None
        self._guard = threading.Lock()
        self._closed = threading.Event()
        self._watch: threading.Thread | None = None

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._closed.set()
            workers = list(self._workers)
            for worker in workers:
                worker.kill()
        for worker in workers:
            worker.bury()
        if self._watch is not None:
            self._watch.join()

    def expect(self, files: int) -> None:
        """Say how many files there will be at most: workers started from now on share the cores so."""
        self._setup = replace(self._setup, threads=self._share(files))

    def _share(self, files: int) -> int:
        """Cores for each of the workers that ``files`` keep busy."""
        return max(1, _CORES // max(1, min(self._count, files)))

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

        Yields ``("started", job, None)``, then ``("done", job, Measurement)``, ``("bad", job, reason)``,
        ``("stopped", job, reason)`` or ``("crashed", job, reason)``, in the order in which things happen.
        What is bad stays bad; what was stopped, by a limit, want of memory or a disk that could not be read,
        may do better another time.

        Raises:
            FootageError: if no worker can be started.
        """
        waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        count = 0
        for job in jobs:
            waiting.put(job)
            count += 1
        events: queue.Queue[tuple[str, Job | None, Any]] = queue.Queue()
        threads = [
            threading.Thread(target=self._serve, args=(waiting, events, self._share(count)), daemon=True)
            for _ in range(min(self._count, count))
        ]
        for thread in threads:
            thread.start()
        while count:
            kind, done, value = events.get()
            if done is None:
                raise FootageError(str(value))
            if kind != "started":
                count -= 1
            yield kind, done, value
        for thread in threads:
            thread.join()

    def _serve(self, waiting: queue.SimpleQueue[Job], events: queue.Queue[Any], share: int) -> None:
        worker = None
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                if worker is not None:
                    with self._guard:
                        self._spare.append(worker)  # for a further run: loading an encoder takes seconds
                return
            try:
                if worker is None:
                    with self._guard:
                        worker = self._spare.pop() if self._spare else None
                    worker = worker or self._start()
                events.put(("started", job, None))
                last = waiting.qsize() < self._count
                threads = max(share, min(_CORES, _LAST_THREADS)) if last else share
                reply = worker.measure(replace(job, threads=threads))
                if reply is not None:
                    events.put((reply[0], job, reply[1]))
                elif worker.stopped:
                    events.put(("stopped", job, worker.stopped))
                else:
                    events.put(("crashed", job, f"the decoder crashed on it ({worker.death()})"))
                if reply is None or worker.stopped:
                    with self._guard:
                        self._workers.remove(worker)
                    worker.kill()
                    worker.bury()
                    worker = None
            except FootageError as error:
                events.put(("fatal", None, error))
                return
            except Exception as error:  # without an event the build would wait for ever
                events.put(("fatal", None, f"indexing came to an end: {error!r}; what was indexed is kept"))
                return

    def _start(self) -> _Worker:
        threads = str(self._setup.threads)
        limits = {f"{name}_NUM_THREADS": threads for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}
        with self._guard:
            if self._closed.is_set():
                raise FootageError("indexing was stopped")
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", BOOTSTRAP],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, **limits, "TOKENIZERS_PARALLELISM": "false"},
                )
            except OSError as error:
                raise FootageError(
                    f"no worker process can be started ({error.strerror}): close other programs or take "
                    "fewer --workers"
                ) from error
            worker = _Worker(process, self._limits)
            self._workers.append(worker)
            if self._watch is None:
                self._watch = threading.Thread(target=self._look_after, daemon=True)
                self._watch.start()
        reply = worker.load(self._setup)
        if reply is None:
            raise FootageError(
                worker.stopped
                or f"a worker process ended while it loaded the encoder ({worker.death()}): "
                "run montage doctor"
            )
        kind, value = reply
        if kind != "ready":
            raise FootageError(str(value))
        self._identity = value
        return worker

    def _look_after(self) -> None:
        """Stop the workers whose file takes too long or too much."""
        last = time.monotonic()
        while not self._closed.wait(_TICK):
            now = time.monotonic()
            # A machine that slept, or a process that was stopped for a while, is not held against a file.
            passed, last = min(now - last, 5 * _TICK), now
            with self._guard:
                workers = list(self._workers)
            for worker in workers:
                worker.tick(passed)


class _Worker:
    """One process, and how it gets on with its file."""

    def __init__(self, process: subprocess.Popen[bytes], limits: Limits) -> None:
        self.stopped = ""
        """Why it was killed, empty if it was not."""
        self._process = process
        self._limits = limits
        self._guard = threading.Lock()
        self._job: Job | None = None
        self._loading = False
        self._silent = self._spent = self._promised = self._done = 0.0
        self._own = 0

    def load(self, setup: Setup) -> tuple[str, Any] | None:
        """Send what it needs first and wait for its answer; None if it died instead."""
        self._loading = True
        reply = self._ask({"path": list(sys.path), **asdict(setup)})
        with self._guard:
            self._loading = False
            self._own = resident_bytes(self._process.pid) or 0
        return reply

    def measure(self, job: Job) -> tuple[str, Any] | None:
        """Send a job and wait for its reply; None if the process died instead."""
        with self._guard:
            self._silent = self._spent = self._promised = self._done = 0.0
            self._job = job
        reply = self._ask(job)
        with self._guard:
            self._job = None
        return reply

    def _ask(self, message: Any) -> tuple[str, Any] | None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump(message, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
            while True:
                kind, value = pickle.load(self._process.stdout)
                if kind != "beat":
                    return kind, value
                with self._guard:
                    self._silent = 0.0
                    self._done, self._promised = value
        except Exception:  # a dying process may leave half an answer, and that may mean anything to pickle
            return None

    def tick(self, seconds: float) -> None:
        """Count the time that has passed, and kill the process if it goes beyond a limit."""
        with self._guard:
            self._silent += seconds
            self._spent += seconds
            if self._process.poll() is not None or self.stopped:
                return
            reason = self._too_much()
            if reason:
                self.stopped = reason
                self._process.kill()

    def _too_much(self) -> str:
        limits = self._limits
        if self._loading:
            if self._spent > limits.start_seconds:
                return f"the encoder was not loaded within {_time(limits.start_seconds)}: run montage doctor"
            return ""
        if self._job is None:
            return ""
        if self._silent > limits.stall_seconds:
            return (
                f"it came to a stop at {self._done:.2f} s: nothing was heard of it for "
                f"{_time(limits.stall_seconds)}; convert it with another program, then index again"
            )
        allowed = limits.allowance(self._job.size, self._promised, self._done)
        if self._spent > allowed:
            return (
                f"it took longer than {_time(allowed)} and had come to {self._done:.2f} s: "
                "convert it with another program, then index again"
            )
        held = resident_bytes(self._process.pid)
        if held is not None and held - self._own > limits.memory_bytes:
            return (
                f"it needed more than {limits.memory_bytes / 2**30:.2g} GB of memory: "
                "convert it with another program, then index again"
            )
        return ""

    def death(self) -> str:
        """How it ended, in words."""
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if code < 0:
            try:
                return signal.Signals(-code).name
            except ValueError:  # most real-time signals have no name
                return f"signal {-code}"
        return f"exit status {code}"

    def kill(self) -> None:
        """End it at once."""
        if self._process.poll() is None:
            self._process.kill()

    def bury(self) -> None:
        """Wait for its end and let go of its pipes."""
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue


def _time(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} minutes"
