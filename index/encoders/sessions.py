"""Encoder networks kept on this machine and run by ONNX Runtime.

What is kept is the graph alone, some tens of kilobytes (the embedded image network: 24 MB, for its weights
are changed on the way), named by the hash of its weights and checked by its own: the large weights are used
where they lie in their file, shared by all processes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.base import model_folder
from index.encoders.base import FloatArray
from index.encoders.graphs import Network

__all__ = ["Session", "is_kept", "keep_file", "kept_file", "kept_folder", "open_session", "use_threads"]

FORMAT = 1
"""Changes whenever the graph of the same weights would."""
_settings = {"threads": 0}


def use_threads(count: int) -> None:
    """How many threads the networks opened from now on may use; 0: one a core."""
    _settings["threads"] = max(0, count)


def kept_folder() -> Path:
    """Where graphs, tokenizers and background vectors are kept: ``networks`` beside the models."""
    return model_folder().parent / "networks"


def kept_file(name: str) -> bytes | None:
    """What was kept under a name; None if there is nothing, or it is damaged."""
    try:
        data = (kept_folder() / name).read_bytes()
    except OSError:
        return None
    digest, _, content = data.partition(b"\n")
    return content if digest.decode("ascii", "replace") == hashlib.sha256(content).hexdigest() else None


def keep_file(name: str, content: bytes) -> None:
    """Keep something under a name, whole or not at all; where nothing can be written, it is made again."""
    folder = kept_folder()
    part = folder / f"{name}.{os.getpid()}-{threading.get_ident()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            file.write(hashlib.sha256(content).hexdigest().encode() + b"\n")
            file.write(content)
        os.replace(part, folder / name)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()


def is_kept(network: str) -> bool:
    """Whether there is a graph under this name, whole or damaged."""
    return (kept_folder() / _file(network)).is_file()


def _file(network: str) -> str:
    return f"{network}-{FORMAT}.network"


def _network(name: str, build: Callable[[], Network]) -> Network:
    file = _file(name)
    kept = kept_file(file)
    if kept is not None:
        head, _, model = kept.partition(b"\n")
        return Network(model, {one: tuple(shape) for one, shape in json.loads(head).items()})
    made = build()
    keep_file(file, json.dumps(dict(made.weights)).encode() + b"\n" + made.model)
    return made


class Session:
    """An open network, and the memory that it works with."""

    def __init__(self, opened: Any, values: list[Any]) -> None:
        self._opened = opened
        self._values = values  # ONNX Runtime does not copy them

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> FloatArray:
        """The network's one result."""
        return np.asarray(self._opened.run(None, dict(inputs))[0], np.float32)


def open_session(
    name: str, build: Callable[[], Network], weight: Callable[[str], FloatArray], *, often: bool
) -> Session:
    """The network kept under ``name``, or made by ``build``, ready to run.

    ``name`` must change with the weights. ``weight`` gives the tensors that the network takes from its file.
    ``often``: the network will run many times, so that it pays to bring its weights into the processor's
    order first; otherwise it opens in a third of the time and uses the file's own memory.
    """
    import onnxruntime

    network = _network(name, build)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = _settings["threads"] or len(_cores())
    options.inter_op_num_threads = 1
    # A thread that waits by spinning takes the core from the decoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.disable_prepacking", "0" if often else "1")
    values = []
    if network.weights:
        values = [
            onnxruntime.OrtValue.ortvalue_from_numpy(
                np.require(weight(one).reshape(shape), requirements=("C", "A"))
            )
            for one, shape in network.weights.items()
        ]
        options.add_external_initializers(list(network.weights), values)
    made = onnxruntime.InferenceSession(network.model, options, providers=["CPUExecutionProvider"])
    return Session(made, values)


def _cores() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
