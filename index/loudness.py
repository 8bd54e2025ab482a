"""Loudness of any stretch of a file's sound by ITU-R BS.1770-4, from one pass over it."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.base import Span

__all__ = ["KWeighting", "LoudnessMeter", "gated_loudness"]

_RATE = 48000
_BLOCK = _RATE // 10
"""Samples in a tenth of a second: four of them make a gating block."""
_ABSOLUTE_GATE = -70.0
_RELATIVE_GATE = -10.0
_SLOWEST, _FASTEST = 4_000, 768_000
"""Samples a second that any sound has; a header that says otherwise is damaged."""
_HOLE = 600
"""Seconds without sound that are taken as silence: more is a damaged timestamp."""

_SECTIONS = (
    {"b0": 1.53512485958697, "b1": -2.69169618940638, "b2": 1.19839281085285,
     "a0": 1.0, "a1": -1.69065929318241, "a2": 0.73248077421585},
    {"b0": 1.0, "b1": -2.0, "b2": 1.0, "a0": 1.0, "a1": -1.99004745483398, "a2": 0.99007225036621},
)  # fmt: skip


class KWeighting:
    """The filter of BS.1770-4, annex 1, at 48 kHz stereo: a high shelf, then a high pass; piece by piece."""

    def __init__(self) -> None:
        from av.filter import Graph

        self._taken = 0
        self._graph = Graph()
        self._source = last = self._graph.add_abuffer(
            format="fltp", sample_rate=_RATE, layout="stereo", time_base=Fraction(1, _RATE)
        )
        for section in _SECTIONS:
            values = ":".join(f"{name}={value!r}" for name, value in section.items())
            filter_ = self._graph.add("biquad", f"{values}:precision=f64")
            last.link_to(filter_)
            last = filter_
        self._sink: Any = self._graph.add("abuffersink")
        last.link_to(self._sink)
        self._graph.configure()

    def __call__(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """(2, samples) as they are heard, after those of the calls before."""
        from av import AudioFrame

        if not samples.shape[1]:
            return samples
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = _RATE, self._taken, Fraction(1, _RATE)
        self._taken += samples.shape[1]
        self._source.push(frame)
        heard: NDArray[np.float32] = np.nan_to_num(self._sink.pull().to_ndarray())
        return heard


class LoudnessMeter:
    """Takes decoded sound in order and answers for any span of it; keeps ten numbers a second.

    Sound is measured as stereo: other layouts are mixed down first.
    """

    def __init__(self) -> None:
        self._resampler: Any = None
        self._layout: tuple[str, str, int] | None = None
        self._weighting: KWeighting | None = None
        self._waiting: list[NDArray[np.float32]] = []
        self._waits = 0
        self._rest: NDArray[np.float32] = np.zeros((2, 0), np.float32)
        self._powers: list[float] = []
        self._start: Fraction | None = None
        self._taken = 0

    def push(self, time: Fraction, frame: Any) -> None:
        """Take an audio frame that starts ``time`` seconds after the first picture."""
        import av

        if not _SLOWEST <= frame.sample_rate <= _FASTEST:
            raise ValueError(f"sound of {frame.sample_rate} samples a second")
        layout = frame.format.name, frame.layout.name, frame.sample_rate
        if layout != self._layout:
            self._layout = layout
            plain = layout == ("fltp", "stereo", _RATE)
            self._resampler = None if plain else av.AudioResampler(format="fltp", layout="stereo", rate=_RATE)
        if self._start is None:
            self._start = time
        late = round((time - self._start) * _RATE) - self._taken
        if _RATE // 5 < late < _RATE * _HOLE:  # a hole in the sound is silence
            self._be_silent(late)
        if self._resampler is None:
            self._take(frame.to_ndarray())
            return
        frame.pts = None
        for piece in self._resampler.resample(frame):
            self._take(piece.to_ndarray())

    def _be_silent(self, samples: int) -> None:
        """Take silence; what has rung out after a second is nothing."""
        blocks = max(0, samples - _RATE) // _BLOCK
        self._take(np.zeros((2, samples - blocks * _BLOCK), dtype=np.float32))
        self._filter()
        self._powers.extend([0.0] * blocks)
        self._taken += blocks * _BLOCK

    def _take(self, samples: NDArray[np.float32]) -> None:
        """Keep sound until there is a second of it: filtering every frame for itself costs ten times more."""
        self._waiting.append(samples)
        self._taken += samples.shape[1]
        self._waits += samples.shape[1]
        if self._waits >= _RATE:
            self._filter()

    def _filter(self) -> None:
        """Weigh what waits and note the power of every whole block."""
        if not self._waiting:
            return
        samples = np.nan_to_num(np.concatenate(self._waiting, axis=1, dtype=np.float32))
        self._waiting.clear()
        self._waits = 0
        if self._weighting is None:
            self._weighting = KWeighting()
        self._rest = np.concatenate([self._rest, self._weighting(samples)], axis=1)
        count = self._rest.shape[1] // _BLOCK
        if count:
            blocks = self._rest[:, : count * _BLOCK].reshape(2, count, _BLOCK)
            powers = np.square(blocks, dtype=np.float64).mean(axis=2).sum(axis=0)
            self._powers.extend(powers.tolist())
            self._rest = self._rest[:, count * _BLOCK :]

    def loudness(self, span: Span) -> float | None:
        """Integrated loudness of ``span`` in LUFS; -70 is silence, None where there is no sound at all."""
        if self._start is None:
            return None
        self._filter()
        first = max(0, math.floor((span.start - self._start) * 10))
        last = math.ceil((span.end - self._start) * 10)
        powers = np.array(self._powers[first:last])
        return round(gated_loudness(powers), 3) if len(powers) else None


def gated_loudness(powers: NDArray[np.float64]) -> float:
    """Integrated loudness in LUFS, -70 for silence.

    Args:
        powers: (n,) for each tenth of a second the mean squares of the K-weighted channels, added up.
    """
    if len(powers) >= 4:
        powers = np.convolve(powers, np.full(4, 0.25), mode="valid")
    loud = powers[_lufs(powers) > _ABSOLUTE_GATE]
    if not len(loud):
        return _ABSOLUTE_GATE
    gate = float(_lufs(loud.mean())) + _RELATIVE_GATE
    return max(_ABSOLUTE_GATE, float(_lufs(loud[_lufs(loud) > gate].mean())))


def _lufs(power: Any) -> Any:
    return -0.691 + 10 * np.log10(np.maximum(power, 1e-12))
