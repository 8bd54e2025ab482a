"""Holding sound down while somebody speaks, and adding it to a film's samples.

Sound goes down before somebody speaks and comes up slowly afterwards: what is known of the whole film is
better than what a compressor hears of it so far.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from montage.timeline import SAMPLE_RATE

__all__ = [
    "NARRATION_LUFS",
    "Ducking",
    "Ramp",
    "Sound",
    "Strip",
    "add_strip",
    "factor",
    "narrated",
    "steps_in",
]

NARRATION_LUFS = -20.0
"""Loudness at which narration is laid; the finished mix is set to its target afterwards."""
HEARD_DB = -25.0
"""Narration counts as speech down to this far below its loudness, in dB."""
DUCK_STEP = SAMPLE_RATE // 100
"""Samples between two values of the ducking."""
ATTACK_SECONDS = 0.3
"""Over how long sound goes down before speech begins."""
HOLD_SECONDS = 0.4
"""How long it stays down after speech ends."""
RELEASE_SECONDS = 0.9
"""Over how long it comes up again."""
_CHUNK = 10 * SAMPLE_RATE

Sound = NDArray[np.float32]
"""(samples, channels)."""
Ramp = NDArray[np.float32]
"""(samples,) factors."""


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """A stretch of sound from sample ``at`` of the film on, with the ramps at its ends."""

    at: int
    sound: Sound
    into: Ramp | None = None
    out: Ramp | None = None

    @property
    def end(self) -> int:
        """The sample of the film after its last."""
        return self.at + len(self.sound)


def factor(decibels: float) -> float:
    """What sound is multiplied by to be louder by so many dB."""
    return float(10 ** (decibels / 20))


class Ducking:
    """How far other sound is held down at each moment because somebody speaks.

    0.3 s before they begin, other sound goes down; 0.4 s after they end it begins to come up, over 0.9 s, so
    that it stays down in the pauses between sentences.

    Args:
        samples: Length of the film.
        spoken: Steps of ``DUCK_STEP`` samples in which somebody speaks, in order: ``narrated``, ``steps_in``.
    """

    def __init__(self, samples: int, spoken: NDArray[np.intp]) -> None:
        self.amount = _around(spoken, samples // DUCK_STEP + 1)
        """(n,) 0 to 1, one value for every step."""

    def gains(self, start: int, end: int, decibels: float) -> float | NDArray[np.float32]:
        """Factors for samples ``[start, end)`` of the film, of sound that goes down by so many dB."""
        first = start // DUCK_STEP
        near = self.amount[first : -(-end // DUCK_STEP) + 2]
        if not len(near) or float(near.max()) == float(near.min()):
            return factor(-decibels * float(near[0]) if len(near) else 0.0)
        values = 10 ** (-decibels * near / 20)
        # A value belongs to the middle of its step.
        places = (first + np.arange(len(near)) + 0.5) * DUCK_STEP
        return np.interp(np.arange(start, end), places, values).astype(np.float32)[:, None]


def narrated(samples: int, strips: Iterable[tuple[Strip, float]]) -> NDArray[np.intp]:
    """The steps of a film in which its narration is heard: its own level says so.

    Args:
        samples: Length of the film.
        strips: The narration, and the dB by which each stretch is changed.
    """
    power = np.zeros(samples // DUCK_STEP + 1)
    for strip, gain in strips:
        for start in range(strip.at, strip.end, _CHUNK):
            sound = strip.sound[start - strip.at : start - strip.at + _CHUNK].mean(axis=1)
            edges = np.arange(-(-start // DUCK_STEP) * DUCK_STEP, start + len(sound), DUCK_STEP)
            cuts = np.unique(np.concatenate([[start], edges]))
            sums = np.add.reduceat(np.square(sound, dtype=np.float64), cuts - start)
            np.add.at(power, cuts // DUCK_STEP, sums * 10 ** (gain / 10))
    threshold = 10 ** ((NARRATION_LUFS + HEARD_DB) / 10)
    return np.flatnonzero(power / DUCK_STEP > threshold)


def steps_in(spans: Iterable[tuple[int, int]]) -> NDArray[np.intp]:
    """The steps within spans of samples."""
    steps = [np.arange(begin // DUCK_STEP, -(-end // DUCK_STEP)) for begin, end in spans]
    return np.unique(np.concatenate(steps)) if steps else np.zeros(0, np.intp)


def _around(spoken: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    """0 to 1 for each step: 1 where there is speech, going down before it and after it."""
    if not len(spoken):
        return np.zeros(count)
    steps = np.arange(count)
    place = np.searchsorted(spoken, steps)
    rate = SAMPLE_RATE / DUCK_STEP
    until = (spoken[np.minimum(place, len(spoken) - 1)] - steps) / rate
    until[place == len(spoken)] = np.inf
    since = (steps - spoken[np.maximum(place - 1, 0)]) / rate
    since[place == 0] = np.inf
    near = np.clip(
        np.maximum(1 - until / ATTACK_SECONDS, 1 - (since - HOLD_SECONDS) / RELEASE_SECONDS), 0.0, 1.0
    )
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * near), dtype=np.float64)


def add_strip(
    out: Sound, strip: Strip, gain: float, ducking: Ducking | None = None, depth: float = 0.0
) -> None:
    """Add a strip to a film's samples, ``(samples, 2)``, in place.

    Args:
        out: The film.
        strip: What is added; what lies outside the film is left out.
        gain: Factor for all of it.
        ducking: Where speech holds it down.
        depth: By how many dB.
    """
    into = strip.into if strip.into is not None else np.zeros(0, np.float32)
    tail = strip.out if strip.out is not None else np.zeros(0, np.float32)
    length = len(strip.sound)
    for start in range(max(strip.at, 0), min(strip.end, len(out)), _CHUNK):
        end = min(start + _CHUNK, strip.end, len(out))
        low, high = start - strip.at, end - strip.at
        scale = gain if ducking is None else ducking.gains(start, end, depth) * gain
        sound = (
            strip.sound[low:high] * np.float32(scale)
            if isinstance(scale, float)
            else (strip.sound[low:high] * scale)
        )
        if low < len(into):
            part = into[low:high]
            sound[: len(part)] *= part[:, None]
        if high > length - len(tail):
            part = tail[max(0, low - (length - len(tail))) : high - (length - len(tail))]
            sound[len(sound) - len(part) :] *= part[:, None]
        out[start:end] += sound
