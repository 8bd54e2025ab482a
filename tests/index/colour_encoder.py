"""Small real encoders for tests, importable in worker processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import stat
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.encoders.base import Calibration, FloatArray

WORDS = ("red", "green", "blue", "white", "black")
COLOURS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0]], dtype=np.float32)


class ColourEncoder:
    """Features: how near a frame's pixels are to five colours. Texts: which of these colours they name."""

    name = "colour"
    image_size = 32
    feature_size = len(WORDS)
    calibration = Calibration(temperature=0.1)

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()[:16]

    def encode_images(self, frames: Sequence[NDArray[np.uint8]]) -> FloatArray:
        rows = []
        for frame in frames:
            pixels = frame.reshape(-1, 3).astype(np.float32) / 255
            distance = ((pixels[:, None] - COLOURS) ** 2).sum(axis=2)
            rows.append(np.exp(-4 * distance).mean(axis=0))
        return self.project(np.array(rows, dtype=np.float32))

    def encode_texts(self, texts: Sequence[str], language: str = "en") -> FloatArray:
        return self.project(np.array([[word in text for word in WORDS] for text in texts], dtype=np.float32))

    def project(self, features: FloatArray, language: str = "en") -> FloatArray:
        length = np.linalg.norm(features, axis=1, keepdims=True)
        return np.asarray(features / np.maximum(length, 1e-9), dtype=np.float32)


class OtherColourEncoder(ColourEncoder):
    """The same under another name, so with another hash."""

    name = "other-colour"


class CrashingEncoder(ColourEncoder):
    """Kills its own process when it sees a frame that is mostly red."""

    name = "crashing"

    def encode_images(self, frames: Sequence[NDArray[np.uint8]]) -> FloatArray:
        features = super().encode_images(frames)
        if (features.argmax(axis=1) == WORDS.index("red")).any():
            os.kill(os.getpid(), signal.SIGKILL)
        return features


class OddlyCrashingEncoder(ColourEncoder):
    """Ends its own process by a signal without a name when it sees a frame that is mostly red."""

    name = "oddly-crashing"

    def encode_images(self, frames: Sequence[NDArray[np.uint8]]) -> FloatArray:
        features = super().encode_images(frames)
        if (features.argmax(axis=1) == WORDS.index("red")).any():
            os.kill(os.getpid(), 35)
        return features


class UnreadableEncoder(ColourEncoder):
    """Sends what is no answer in place of its own when it sees a frame that is mostly red, and ends."""

    name = "unreadable"

    def encode_images(self, frames: Sequence[NDArray[np.uint8]]) -> FloatArray:
        features = super().encode_images(frames)
        if (features.argmax(axis=1) == WORDS.index("red")).any():
            for number in range(3, 64):
                with contextlib.suppress(OSError):
                    if stat.S_ISFIFO(os.fstat(number).st_mode):
                        os.write(number, b"cno_such_module\nname\n.")
            os._exit(3)
        return features


class UnloadableEncoder(ColourEncoder):
    """An encoder whose weights are missing."""

    def __init__(self) -> None:
        raise FileNotFoundError("no weights")


class EndlessEncoder(ColourEncoder):
    """Never comes back from a frame that is mostly red, as a decoder that hangs does not."""

    name = "endless"

    def encode_images(self, frames: Sequence[NDArray[np.uint8]]) -> FloatArray:
        features = super().encode_images(frames)
        while (features.argmax(axis=1) == WORDS.index("red")).any():
            pass
        return features


class GreedyEncoder(ColourEncoder):
    """Asks for ever more memory when it sees a frame that is mostly red, and fills it."""

    name = "greedy"

    def encode_images(self, frames: Sequence[NDArray[np.uint8]]) -> FloatArray:
        features = super().encode_images(frames)
        held = []
        while (features.argmax(axis=1) == WORDS.index("red")).any() and len(held) < 64:
            held.append(np.ones(1 << 22))
        return features


class SleepyEncoder(ColourEncoder):
    """An encoder that is never loaded."""

    def __init__(self) -> None:
        signal.pause()
