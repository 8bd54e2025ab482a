"""Music under a film: where its beats and bars are, and how it is looped to the film's length."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.base import file_sha256
from montage.cache import Cache, key_of
from montage.pieces import Piece, whole_sound
from montage.process import Cancel
from montage.timeline import SAMPLE_RATE, Music
from montage.values import MontageError

__all__ = ["Pass", "bars_in_film", "beats_in_film", "passes", "read_music"]

VERSION = 1
"""Part of every key: raise it when the same file would give other beats."""
LOOP_FADE = 0.02
"""Seconds of the cross-fade between two passes, just before a bar."""
EARLY = 0.005
"""Seconds before a bar by which it is over, so that the first note is whole."""
DRONE_FADE = 2.0
"""Seconds of the cross-fade where there are no bars; a quarter of short music."""
QUIET_BAR_DB = 12.0
"""A bar at the end that is quieter than the middle one by this is fading out: no loop goes there."""
PHRASE = 4
"""Bars of a phrase: longer music is looped at whole phrases."""
RATE = 24_000
"""Samples a second at which beats are looked for."""
HOP = 256
WINDOW = 2048
CLEAREST = 0.2
"""Autocorrelation of the onsets at the beat, at least, for music to have one."""
WEAKEST = 1.0
"""dB by which the bands rise at the strongest onsets, at least; a drone's ripple is even, but far weaker."""
NEAR = 0.045
"""Seconds around a beat within which the onset is looked for to the millisecond."""
STEADY = 0.012
"""Seconds by which beats may miss an even grid to be put on it."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass through the music: samples ``[begin, end)`` of the file from sample ``at`` of the film on.

    Passes overlap by what is cross-faded: nothing where the bars begin and end with the file.
    """

    at: int
    begin: int
    end: int

    @property
    def until(self) -> int:
        """The sample of the film after its last."""
        return self.at + self.end - self.begin


def passes(music: Music, samples: int) -> tuple[Pass, ...]:
    """How the music is looped or trimmed to a film of so many samples, at 48 kHz.

    It begins with its own beginning. Music that is too short goes back from its last bar to its first, as
    often as it takes, in whole phrases of four bars where it has two; without bars the whole of it is
    repeated, cross-faded. The last pass ends with the film.
    """
    length = int(music.seconds * SAMPLE_RATE)
    if length >= samples or length < 2:
        return (Pass(0, 0, min(length, samples)),)
    bars = [round(bar * SAMPLE_RATE) for bar in music.bars if 0 <= bar * SAMPLE_RATE <= length]
    count = len(bars) - 1
    if count >= 2 * PHRASE:
        count -= count % PHRASE
    if count >= 1 and bars[count] - bars[0] > LOOP_FADE * 4 * SAMPLE_RATE:
        first, last = bars[0], bars[count]
        # The fade lies before the bar if there is music before the first one, else after it.
        early = min(round(EARLY * SAMPLE_RATE), first)
        before = min(round(LOOP_FADE * SAMPLE_RATE), first - early)
        after = min(round(LOOP_FADE * SAMPLE_RATE) - before, length - last)
        begin = first - early - before
        end = last - early if before else last + after
    else:
        fade = min(round(DRONE_FADE * SAMPLE_RATE), length // 4)
        begin, end = 0, length
        first, last = 0, length - fade
    found = [Pass(0, 0, end)]
    while found[-1].until < samples:
        # What is at ``last`` in one pass is at ``first`` in the next.
        at = found[-1].at + last - found[-1].begin - (first - begin)
        found.append(Pass(at, begin, end))
    final = found[-1]
    found[-1] = Pass(final.at, final.begin, final.begin + samples - final.at)
    return tuple(found)


def beats_in_film(music: Music, seconds: float) -> tuple[float, ...]:
    """When the beats fall in a film of this length, in its seconds, as the music is looped and trimmed."""
    return _in_film(music.beats, music, seconds)


def bars_in_film(music: Music, seconds: float) -> tuple[float, ...]:
    """When the bars begin in a film of this length, in its seconds, as the music is looped and trimmed."""
    return _in_film(music.bars, music, seconds)


def _in_film(times: tuple[float, ...], music: Music, seconds: float) -> tuple[float, ...]:
    samples = round(seconds * SAMPLE_RATE)
    all_passes = passes(music, samples)
    found: list[float] = []
    for number, part in enumerate(all_passes):
        until = all_passes[number + 1].at if number + 1 < len(all_passes) else samples
        for time in times:
            at = part.at + time * SAMPLE_RATE - part.begin
            if part.begin <= time * SAMPLE_RATE < part.end and part.at <= at < until:
                found.append(at / SAMPLE_RATE)
    return tuple(found)


def read_music(path: Path | str, cache_folder: Path, *, cancel: Cancel | None = None) -> Music:
    """A music file with its beats and bars.

    Onsets and tempo are librosa's (Ellis, "Beat tracking by dynamic programming", 2007). Each beat is then
    moved to the steepest rise of the sound near it, and beats that lie on an even grid are put on it: a loop
    that is late by 20 ms is heard. Bars are the phase, of three or four beats, with the strongest onsets.
    Music without a clear pulse has no beats.

    Args:
        path: The file.
        cache_folder: Keeps what was found, and the decoded sound.
        cancel: Asked while ffmpeg runs.

    Raises:
        MontageError: if it cannot be read or is silent.
    """
    path = Path(path)
    try:
        content = file_sha256(path)
    except OSError as error:
        raise MontageError(f"cannot read the music {path}: {error.strerror}; name another file") from error
    cache = Cache(cache_folder)
    piece = whole_sound(path, content, cache, cancel=cancel)
    if piece.lufs is None:
        raise MontageError(f"the music {path} is silent: name another file")
    key = key_of({"music": VERSION, "content": content})
    beats, bars = _load(cache, key) or _find_beats(piece, cache, key)
    return Music(
        source=path,
        content=content,
        seconds=Fraction(piece.samples, SAMPLE_RATE),
        bars=bars,
        beats=beats,
    )


Beats = tuple[tuple[float, ...], tuple[float, ...]]
"""Beats and bars, seconds."""


def _load(cache: Cache, key: str) -> Beats | None:
    record = cache.find(key, ".json")
    if record is None:
        return None
    try:
        note = json.loads(record.read_text(encoding="utf-8"))
        return tuple(map(float, note["beats"])), tuple(map(float, note["bars"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _find_beats(piece: Piece, cache: Cache, key: str) -> Beats:
    sound = piece.sound()
    mono = np.empty(piece.samples // 2, np.float32)
    for start in range(0, len(mono), 1 << 20):
        part = sound[2 * start : 2 * min(len(mono), start + (1 << 20))]
        mono[start : start + len(part) // 2] = part.reshape(-1, 4).mean(axis=1)
    beats, bars = beats_and_bars(mono)
    record = cache.temporary(".json")
    try:
        record.write_text(json.dumps({"beats": beats, "bars": bars}), encoding="utf-8")
        cache.keep(record, key, ".json")
    finally:
        with suppress(OSError):
            record.unlink()
    return beats, bars


def beats_and_bars(sound: NDArray[np.float32]) -> Beats:
    """Seconds of the beats and of the bars' beginnings in (samples,) at ``RATE``; none without a pulse."""
    from librosa.beat import beat_track
    from librosa.onset import onset_strength

    if len(sound) < 2 * RATE:
        return (), ()
    spectrum = _mel_levels(sound)
    onsets = np.asarray(onset_strength(S=spectrum, sr=RATE, hop_length=HOP, n_fft=WINDOW))
    low = np.asarray(onset_strength(S=spectrum[:12], sr=RATE, hop_length=HOP, n_fft=WINDOW))
    if len(onsets) < 40 or float(np.percentile(onsets[20:-20], 98)) < WEAKEST:
        return (), ()
    _, frames = beat_track(onset_envelope=onsets, sr=RATE, hop_length=HOP)
    rough = np.asarray(frames, dtype=np.float64) * HOP / RATE
    if len(rough) < 4 or pulse_clarity(onsets, float(np.median(np.diff(rough))) * RATE / HOP) < CLEAREST:
        return (), ()
    beats = _on_grid(_refined(rough, sound), len(sound) / RATE)
    bars = _bars(beats, onsets, low)
    return (
        tuple(round(float(beat), 4) for beat in beats),
        tuple(round(float(bar), 4) for bar in _loud_bars(bars, sound)),
    )


def _mel_levels(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """(128, frames) of mel bands in dB, a minute at a time: an hour's spectrum would not fit."""
    import librosa

    count = 1 + len(sound) // HOP
    padded = np.pad(sound, WINDOW)[WINDOW // 2 :]
    parts = []
    for first in range(0, count, 60 * RATE // HOP):
        frames = min(count - first, 60 * RATE // HOP)
        stretch = padded[first * HOP : (first + frames - 1) * HOP + WINDOW]
        parts.append(
            librosa.feature.melspectrogram(
                y=stretch, sr=RATE, n_fft=WINDOW, hop_length=HOP, n_mels=128, fmax=11_000, center=False
            )
        )
    return np.asarray(librosa.power_to_db(np.concatenate(parts, axis=1), ref=np.max), dtype=np.float32)


def pulse_clarity(onsets: NDArray[np.float32], lag: float) -> float:
    """How much onsets resemble themselves one beat, two beats later (0 to 1); noise is near 0.

    Args:
        onsets: Strength of each frame.
        lag: Frames of a beat.
    """
    flat = np.asarray(onsets, np.float64) - onsets.mean()
    size = 1 << int(2 * len(flat) - 1).bit_length()
    power = np.abs(np.fft.rfft(flat, size)) ** 2
    correlation = np.fft.irfft(power, size)[: len(flat)]
    if correlation[0] <= 0:
        return 0.0
    around = [
        correlation[max(1, round(k * lag) - 2) : round(k * lag) + 3].max(initial=0.0) / correlation[0]
        for k in (1, 2, 4)
    ]
    return float(max(around))


def _rise(sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """How steeply the level rises at each millisecond: the 10 ms after it less the 10 ms before."""
    step = RATE // 1000
    levels = np.sqrt((sound[: len(sound) // step * step].reshape(-1, step) ** 2).mean(axis=1))
    total = np.concatenate([[0.0], np.cumsum(levels, dtype=np.float64)])
    padded = np.pad(total, 10, mode="edge")
    return np.asarray(padded[20:] - 2 * padded[10:-10] + padded[:-20])


def _refined(beats: NDArray[np.float64], sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """Beats moved to the steepest rise of the level near them."""
    rise = _rise(sound)
    reach = round(NEAR * 1000)
    moved = beats.copy()
    for number, beat in enumerate(beats):
        first = max(0, round(beat * 1000) - reach)
        near = rise[first : round(beat * 1000) + reach + 1]
        if len(near) and near.max() > 0:
            moved[number] = (first + int(near.argmax())) / 1000
    return moved


def _on_grid(beats: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """An even grid through the beats, over the whole music, where most of them lie on one; else the beats."""
    step = float(np.median(np.diff(beats)))
    numbers = np.concatenate([[0], np.cumsum(np.maximum(1, np.round(np.diff(beats) / step)))])
    kept = np.ones(len(beats), bool)
    for _ in range(8):
        slope, origin = np.polyfit(numbers[kept], beats[kept], 1)
        off = np.abs(beats - origin - slope * numbers)
        closer = off <= max(STEADY, 1.5 * float(np.median(off)))
        if (closer == kept).all() or closer.sum() < 4:
            break
        kept = closer
    on_it = np.abs(beats - origin - slope * numbers) <= STEADY
    if on_it.mean() < 0.6:
        return np.asarray(np.maximum.accumulate(beats), dtype=np.float64)
    slope, origin = np.polyfit(numbers[on_it], beats[on_it], 1)
    first = int(np.ceil(-origin / slope - 1e-2))
    last = int(np.floor((seconds - origin) / slope))
    return np.asarray(np.maximum(origin + slope * np.arange(first, last + 1), 0.0), dtype=np.float64)


def _bars(
    beats: NDArray[np.float64], onsets: NDArray[np.float32], low: NDArray[np.float32]
) -> NDArray[np.float64]:
    """The beats that begin a bar: every third or fourth, with the strongest onsets, low ones above all."""
    places = np.clip(np.round(beats * RATE / HOP).astype(int), 0, len(onsets) - 1)
    accent = np.zeros(len(beats))
    for strength in (onsets, 2 * low / max(1e-9, float(low.mean())) * float(onsets.mean())):
        wide = np.pad(strength, 3, mode="edge")
        accent += np.max([wide[places + shift] for shift in range(7)], axis=0)
    best, beats_a_bar, phase = -1.0, 4, 0
    for metre in (4, 3):
        means = [float(accent[start::metre].mean()) for start in range(min(metre, len(accent)))]
        # Three has to be clearly better: four is by far the more common.
        score = (max(means) / max(1e-9, float(accent.mean())) - 1) * (1.0 if metre == 4 else 0.8)
        if score > best:
            best, beats_a_bar, phase = score, metre, int(np.argmax(means))
    return np.asarray(beats[phase::beats_a_bar], dtype=np.float64)


def _loud_bars(bars: NDArray[np.float64], sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """The bars without those at the end in which the music fades out."""
    if len(bars) < 3:
        return bars
    edges = np.round(np.append(bars, 2 * bars[-1] - bars[-2]) * RATE).astype(int)
    levels = [
        10 * float(np.log10(1e-12 + np.mean(sound[start:end] ** 2))) if end <= len(sound) + HOP else -120.0
        for start, end in pairwise(edges)
    ]
    middle = float(np.median(levels))
    loud = [number for number, level in enumerate(levels) if level > middle - QUIET_BAR_DB]
    # A bar line is where the bar before it ends: the one after the last loud bar is of use, too.
    return bars[: loud[-1] + 2]
