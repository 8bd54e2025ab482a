"""A process of its own that measures files, so that a decoder that crashes takes nothing else with it.

The parent writes pickled jobs to the standard input and reads pickled replies from the standard output.
When the parent dies, however it dies, the input ends and the worker ends with it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import queue
import sys
import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from index.base import FootageError

__all__ = ["BOOTSTRAP", "Identity", "Job", "Setup", "main"]

BOOTSTRAP = (
    "import pickle, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "setup = pickle.load(sys.stdin.buffer); sys.path[:] = setup.pop('path'); "
    "from index.worker import main; main(setup)"
)
"""What a fresh interpreter runs; the first message holds nothing but plain values. Ctrl-C reaches all
processes of a terminal: here the parent decides."""

_PIECE = 1 << 20
"""Bytes that are read to see whether a disk can be read."""
_BEAT_SECONDS = 0.25
"""Time between two signs of life."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker needs to know before its first job."""

    spec: str
    """Encoder by name, empty where ``pickled`` holds one."""
    pickled: bytes = b""
    detector: str = "auto"
    threads: int = 1
    """Threads that a worker may use."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which encoder a worker has loaded."""

    name: str
    hash: str
    feature_size: int


@dataclass(frozen=True, slots=True)
class Job:
    """One file to measure."""

    path: str
    """Relative to ``root``."""
    root: str
    content: str
    size: int = 0
    """Bytes."""
    threads: int = 0
    """Threads for this file; 0: as many as the worker may use."""


def main(setup: dict[str, Any]) -> None:
    """Run a worker: never returns to its caller before the input ends."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not mix with the replies
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()

    guard = threading.Lock()

    def reply(kind: str, value: Any) -> None:
        data = pickle.dumps((kind, value), protocol=pickle.HIGHEST_PROTOCOL)
        with guard:
            replies.write(data)
            replies.flush()

    last = 0.0

    def beat(done: Fraction, promised: Fraction) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > _BEAT_SECONDS:
            last = now
            reply("beat", (float(done), float(promised)))

    _offer_to_the_killer()
    known = Setup(**setup)
    try:
        from index.measure import measure_file

        encoder, faces = _load(known)
        reply("ready", Identity(encoder.name, encoder.hash, encoder.feature_size))
    except FootageError as error:
        reply("fatal", str(error))
        return
    except Exception as error:
        reply("fatal", f"the encoder {known.spec or 'given'!r} cannot be loaded: {error!r}")
        return
    while True:
        job = jobs.get()
        path = os.path.join(job.root, job.path)
        measure = functools.partial(
            measure_file,
            path,
            encoder,
            root=job.root,
            content=job.content,
            detector=known.detector,
            faces=faces,
            threads=job.threads or known.threads,
            beat=beat,
        )
        try:
            try:
                measured = measure()
            except FootageError as error:
                if not isinstance(error.__cause__, OSError):
                    raise
                measured = measure()  # a network drive may have been away for a moment
            reply("done", measured)
        except FootageError as error:
            # Of a damaged file the decoder says the same as of a disk that cannot be read.
            disk = isinstance(error.__cause__, OSError) and not _can_be_read(path)
            reply("stopped" if disk else "bad", str(error))
        except MemoryError:
            reply("stopped", "there was not enough memory to decode it")
        except OSError as error:
            kind = "bad" if _can_be_read(path) else "stopped"
            reply(kind, f"it cannot be read ({error.strerror or error})")
        except Exception as error:
            reply("bad", f"it could not be measured: {type(error).__name__}: {error}")


def _can_be_read(path: str) -> bool:
    """Whether the disk gives the start, the middle and the end of a file."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            for place in (0, size // 2, max(0, size - _PIECE)):
                file.seek(place)
                file.read(_PIECE)
    except OSError:
        return False
    return True


def _offer_to_the_killer() -> None:
    """Where a system without memory ends a process, let it be this one and not the parent (Linux)."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("500")


def _load(setup: Setup) -> tuple[Any, Any]:
    import cv2

    from index.encoders.sessions import use_threads
    from index.faces import find_faces

    cv2.setNumThreads(1)
    use_threads(setup.threads)
    if setup.pickled:
        return pickle.loads(setup.pickled), find_faces
    from index.encoders.registry import load_encoder

    return load_encoder(setup.spec), find_faces


def _listen(jobs: queue.SimpleQueue[Job]) -> None:
    while True:
        try:
            jobs.put(pickle.load(sys.stdin.buffer))
        except (EOFError, OSError, pickle.UnpicklingError):
            os._exit(0)  # the parent is gone: whatever is under way is of no use to anybody
