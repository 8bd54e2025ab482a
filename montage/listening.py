"""What is heard in a recording of a voice, 62.5 times a second: features to align text by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.base import FootageError
from index.speech import SPEECH_RATE, SPEECH_WINDOW, speech_probabilities
from montage.process import NO_STREAM, Cancel, as_input, run_ffmpeg
from montage.values import FilmError, MontageError

__all__ = ["FRAME_SECONDS", "Heard", "decode_voice", "listen"]

_HOP = SPEECH_WINDOW // 2
FRAME_SECONDS = _HOP / SPEECH_RATE
"""Seconds between frames: 16 ms."""
_FILTERS, _CEPSTRA = 30, 13
SHORTEST = 0.2
"""A sound file of fewer seconds holds no sentence."""
NOTHING_DB = 80
"""What lies further below the voice is digital silence."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording as (frames, ...) arrays."""

    speech: Array
    """How likely somebody speaks, 0 to 1, after Silero VAD."""
    level: Array
    """Loudness: 0 is the background, 1 the loud sounds of the voice."""
    sharp: Array
    """How much lies above 3 kHz, standardised over the speech."""
    shape: Array
    """(frames, 26) Cepstra and how they change, standardised over the speech."""
    seconds: float
    """Length of the recording."""

    @property
    def speech_seconds(self) -> float:
        """For how long somebody speaks."""
        return float((self.speech >= 0.5).sum() * FRAME_SECONDS)


def decode_voice(path: Path | str, *, cancel: Cancel | None = None) -> NDArray[np.float32]:
    """The sound of a file, mono at 16 kHz.

    Raises:
        MontageError: if there is no such file, it has no sound, or it cannot be decoded.
    """
    path = Path(path)
    if not path.is_file():
        raise MontageError(f"there is no narration {path}: name a sound file, or a folder of them")
    try:
        data, _ = run_ffmpeg(
            ["-i", as_input(path), "-map", "0:a:0", "-ac", "1", "-ar", str(SPEECH_RATE), "-f", "f32le", "-"],
            what=f"decode the narration {path}",
            cancel=cancel,
        )
    except FilmError as error:
        if cancel is not None and cancel():
            raise
        if NO_STREAM in str(error):
            raise MontageError(f"{path} has no sound: name the recording of the narration") from error
        raise MontageError(
            f"the narration {path} cannot be read as sound: export it as WAV, MP3 or FLAC and try again "
            f"({str(error).splitlines()[-1].strip()})"
        ) from error
    samples = np.nan_to_num(np.frombuffer(data, np.float32))
    if len(samples) < SHORTEST * SPEECH_RATE:
        raise MontageError(
            f"the narration {path} lasts {len(samples) / SPEECH_RATE:.2f} s: record the script and try again"
        )
    return samples


def listen(samples: NDArray[np.float32]) -> Heard:
    """Features of a recording, mono at 16 kHz.

    Raises:
        MontageError: if the weights of the speech detector are missing.
    """
    count = -(-len(samples) // _HOP)
    try:
        padded = np.concatenate([samples, np.zeros(2 * SPEECH_WINDOW, np.float32)])
        peak = float(np.abs(samples).max(initial=0.0))
        # Quiet recordings are heard as well as loud ones.
        found = speech_probabilities(padded * np.float32(0.7 / peak) if peak > 1e-4 else padded)
    except FootageError as error:
        raise MontageError(str(error)) from error
    # A window's answer lags: it is given when its sound has been heard.
    places = (np.arange(count) + 0.5) / 2 - 0.5
    speech = np.interp(places, np.arange(len(found)), found)
    frames = np.lib.stride_tricks.sliding_window_view(
        np.pad(samples, (_HOP // 2, SPEECH_WINDOW + _HOP)), SPEECH_WINDOW
    )[: count * _HOP : _HOP]
    window = np.hanning(SPEECH_WINDOW).astype(np.float32)
    mel = np.empty((count, _FILTERS))
    high, low = np.empty(count), np.empty(count)
    split = round(3000 * SPEECH_WINDOW / SPEECH_RATE)
    first = round(100 * SPEECH_WINDOW / SPEECH_RATE)
    for begin in range(0, count, 4096):  # a window at a time would be slow, all at once large
        part = slice(begin, min(count, begin + 4096))
        power = np.abs(np.fft.rfft(frames[part] * window, axis=1)) ** 2
        mel[part] = power @ _mel_filters()
        low[part], high[part] = power[:, first:split].sum(axis=1), power[:, split:].sum(axis=1)
    floor = 1e-9
    energy = 10 * np.log10(low + high + floor)
    talking = speech >= 0.5
    some = talking if talking.sum() >= 20 else np.ones(count, bool)
    loud = np.percentile(energy[some], 90)
    # The background under the voice, not the nothing before and after it, against which all would be loud.
    pauses = (speech < 0.3) & (energy > loud - NOTHING_DB)
    quiet = np.percentile(energy[pauses], 25) if pauses.sum() >= 20 else np.percentile(energy, 5)
    quiet = min(max(quiet, loud - 50), loud - 6)
    sharp = 10 * np.log10((high + floor) / (low + floor))
    cepstra = np.log(mel + 1e-6 * float(mel[some].mean()) + floor) @ _cosines()
    shape = np.concatenate([cepstra, _change(cepstra)], axis=1)
    return Heard(
        speech=speech,
        level=np.clip((energy - quiet) / (loud - quiet), -0.2, 1.3),
        sharp=(sharp - sharp[some].mean()) / max(float(sharp[some].std()), 1.0),
        shape=(shape - shape[some].mean(axis=0)) / np.maximum(shape[some].std(axis=0), 1e-3),
        seconds=len(samples) / SPEECH_RATE,
    )


def _change(values: Array) -> Array:
    """Slope over five frames."""
    padded = np.pad(values, ((2, 2), (0, 0)), mode="edge")
    return np.asarray((2 * (padded[4:] - padded[:-4]) + padded[3:-1] - padded[1:-3]) / 10)


@cache
def _mel_filters() -> Array:
    """(257, 30) triangles, even on the mel scale from 80 to 7600 Hz."""
    least, most = (2595 * math.log10(1 + hertz / 700) for hertz in (80, 7600))
    edges = 700 * (10 ** (np.linspace(least, most, _FILTERS + 2) / 2595) - 1)
    hertz = np.arange(SPEECH_WINDOW // 2 + 1) * SPEECH_RATE / SPEECH_WINDOW
    rising = (hertz[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz[:, None]) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))


@cache
def _cosines() -> Array:
    """(30, 13) discrete cosine transform."""
    angles = np.pi / _FILTERS * (np.arange(_FILTERS)[:, None] + 0.5) * np.arange(_CEPSTRA)
    return np.asarray(np.cos(angles) * np.sqrt(2 / _FILTERS))
