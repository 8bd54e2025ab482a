"""A process of its own that measures files, so that a decoder that crashes takes nothing else with it.

The parent writes pickled jobs to the standard input and reads pickled replies from the standard output.
When the parent dies, however it dies, the input ends and the worker ends with it.
"""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
from dataclasses import dataclass
from typing import Any

from index.base import FootageError

__all__ = ["BOOTSTRAP", "Identity", "Job", "Setup", "main"]

BOOTSTRAP = (
    "import pickle, sys; setup = pickle.load(sys.stdin.buffer); sys.path[:] = setup.pop('path'); "
    "from index.worker import main; main(setup)"
)
"""What a fresh interpreter runs; the first message holds nothing but plain values."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker needs to know before its first job."""

    spec: str
    """Encoder by name, empty where ``pickled`` holds one."""
    pickled: bytes = b""
    detector: str = "fast"
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


def main(setup: dict[str, Any]) -> None:
    """Run a worker: never returns to its caller before the input ends."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not mix with the replies
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()

    def reply(kind: str, value: Any) -> None:
        pickle.dump((kind, value), replies, protocol=pickle.HIGHEST_PROTOCOL)
        replies.flush()

    known = Setup(**setup)
    try:
        encoder, faces = _load(known)
        reply("ready", Identity(encoder.name, encoder.hash, encoder.feature_size))
    except FootageError as error:
        reply("fatal", str(error))
        return
    except Exception as error:
        reply("fatal", f"the encoder {known.spec or 'given'!r} cannot be loaded: {error!r}")
        return
    from index.measure import measure_file

    while True:
        job = jobs.get()
        try:
            measured = measure_file(
                os.path.join(job.root, job.path),
                encoder,
                root=job.root,
                content=job.content,
                detector=known.detector,
                faces=faces,
                threads=known.threads,
            )
            reply("done", measured)
        except FootageError as error:
            reply("bad", str(error))
        except MemoryError:
            reply("bad", "there was not enough memory to decode it")
        except Exception as error:
            reply("bad", f"it could not be measured: {type(error).__name__}: {error}")


def _load(setup: Setup) -> tuple[Any, Any]:
    import cv2

    from index.faces import find_faces

    cv2.setNumThreads(1)
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
