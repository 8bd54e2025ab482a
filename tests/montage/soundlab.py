"""Sounds made for tests, and what is measured of a film's sound."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from filmlab import make, samples
from numpy.typing import NDArray

from index.base import Span, content_id
from montage.cache import Cache
from montage.metering import read_meter
from montage.mixing import Levels
from montage.pieces import RAW
from montage.process import as_input, run_ffmpeg
from montage.sound import Mix, mix_sound
from montage.timeline import SAMPLE_RATE, Music, Speech, Timeline

FLAC = ("-c:a", "flac")


def write_sound(path: Path, sound: NDArray[np.floating]) -> Path:
    """(samples,) or (samples, 2) at 48 kHz as a WAV file of floating-point samples."""
    sound = np.asarray(sound, np.float32)
    run_ffmpeg(
        ["-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", str(1 if sound.ndim == 1 else 2), "-i", "pipe:0",
         "-c:a", "pcm_f32le", as_input(path)],
        what=f"make {path.name}",
        data=[sound.tobytes()],
    )  # fmt: skip
    return path


def filmed(path: Path, sound: NDArray[np.floating]) -> Path:
    """A source with a picture and this sound, uncompressed."""
    wav = write_sound(path.with_suffix(".wav"), sound)
    return make(
        path, "-f", "lavfi", "-i", f"testsrc2=s=160x90:r=25:d={len(sound) / SAMPLE_RATE}", "-i", str(wav),
        "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "copy",
    )  # fmt: skip


def measure_loudness(path: Path, *, raw: bool = False) -> tuple[float, float]:
    """(integrated loudness in LUFS, true peak in dBTP) of a file's sound as ffmpeg measures them.

    ``raw``: the file holds a film's samples without a container.
    """
    _, said = run_ffmpeg(
        [*(RAW if raw else ()), "-i", as_input(path), "-map", "0:a:0",
         "-af", "ebur128=peak=true:framelog=quiet", "-f", "null", "-"],
        what=f"measure {path.name}",
        level="info",
    )  # fmt: skip
    return read_meter(said), float(re.findall(r"Peak:\s+(-?[\d.]+|-inf) dBFS", said)[-1])


def time(seconds: float) -> NDArray[np.float64]:
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def tone(seconds: float, pitch: float, peak: float = 0.25) -> NDArray[np.float64]:
    return peak * np.sin(2 * np.pi * pitch * time(seconds))


def spoken(path: Path, at: int, begin: float, end: float) -> Speech:
    span = Span(Fraction(str(begin)), Fraction(str(end)))
    return Speech(start=at, source=path, content=content_id(path), span=span)


def music_of(path: Path, seconds: float, bars: tuple[float, ...] = ()) -> Music:
    return Music(source=path, content=content_id(path), seconds=Fraction(str(seconds)), bars=bars)


def with_sound(plan: Timeline, *speech: Speech, music: Music | None = None) -> Timeline:
    return replace(plan, narration=speech, music=music)


def mixed(plan: Timeline, folder: Path, levels: Levels | None = None) -> tuple[Mix, NDArray[np.float32]]:
    """The mix, encoded without loss, and its samples."""
    mix = mix_sound(plan, Cache(folder), levels=levels, coder=FLAC, suffix=".flac")
    return mix, samples(mix.path)


def strength(sound: NDArray[np.floating], pitch: float, begin: float, end: float) -> float:
    """Amplitude of one tone between two moments of a film, of its first channel."""
    part = np.asarray(sound[round(begin * SAMPLE_RATE) : round(end * SAMPLE_RATE), 0], np.float64)
    window = np.hanning(len(part))
    turns = np.exp(-2j * np.pi * pitch * np.arange(len(part)) / SAMPLE_RATE)
    return float(2 * abs((part * window * turns).sum()) / window.sum())


def apart(first: float, second: float) -> float:
    """By how many dB one amplitude is above another."""
    return float(20 * np.log10(first / second))


def clicks(sound: NDArray[np.floating], above: float = 4000) -> float:
    """Highest peak of what lies above a frequency, over the highest peak of all, for each sound of (n, 2)."""
    mono = np.asarray(sound, np.float64)[:, 0]
    # A fade at both ends: the transform takes the sound for a circle.
    edge = np.minimum(1, np.minimum(np.arange(len(mono)), np.arange(len(mono))[::-1]) / 4800)
    spectrum = np.fft.rfft(mono * (0.5 - 0.5 * np.cos(np.pi * edge)))
    frequencies = np.fft.rfftfreq(len(mono), 1 / SAMPLE_RATE)
    # A gentle slope, so that the filter itself does not ring.
    spectrum *= np.clip((frequencies - above / 2) / (above / 2), 0, 1) ** 2
    return float(np.abs(np.fft.irfft(spectrum, len(mono))).max() / np.abs(mono).max())
