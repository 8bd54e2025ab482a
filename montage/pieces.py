"""Pieces of sound in the cache: decoded once, 48 kHz float32, named by all that shapes their samples.

Beside the samples lies how loud they are (BS.1770), measured while they were decoded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.speech import SPEECH_RATE, SPEECH_WINDOW, speech_probabilities
from montage.cache import Cache, key_of
from montage.metering import read_meter
from montage.process import NO_STREAM, Cancel, as_input, run_ffmpeg
from montage.segments import INDEXED
from montage.timeline import SAMPLE_RATE, Clip
from montage.values import FilmError, MontageError

__all__ = ["CHANNELS", "NOTHING_LUFS", "RAW", "Piece", "clip_sound", "sound_key", "speech_in", "whole_sound"]

VERSION = 2
"""Part of every key: raise it when the same inputs would give other samples."""
CHANNELS = 2
"""Channels of a film."""
BEYOND = Fraction(1, 10)
"""Seconds beyond its shot from which on a clip's sound is silenced there; less comes of rounding."""
FADE = 0.03
"""Seconds of the fade before that silence."""
NOTHING_LUFS = -69.0
"""At or below this nothing was heard (BS.1770's absolute gate is at -70)."""
SPOKEN = 0.5
"""Probability from which a window of 32 ms holds speech."""
LEAST_WINDOWS = 4
"""Windows of speech in a row, at least: less is a noise that sounds like it."""
RAW = ("-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", str(CHANNELS))
"""ffmpeg's options for a film's samples without a container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Decoded sound in the cache."""

    key: str
    path: Path
    samples: int
    channels: int
    lufs: float | None
    """Integrated loudness; None for silence, and for less than 0.4 s, which has none."""
    new: bool
    """Whether it was decoded just now."""

    def sound(self) -> NDArray[np.float32]:
        """(samples, channels), read from disk where it is touched; not to be written to."""
        if not self.samples:
            return np.zeros((0, self.channels), np.float32)
        return np.memmap(self.path, np.float32, "r", shape=(self.samples, self.channels))


def sound_key(clip: Clip, samples: int, before: int = 0, after: int = 0) -> str:
    """The name of a clip's sound: equal for equal samples."""
    until = _until(clip, samples, after)
    return key_of(
        {
            "version": VERSION,
            "content": clip.content,
            "start": clip.span.start,
            "origin": clip.origin,
            "samples": [before, samples, after],
            "speed": clip.speed,
            **({} if until is None else {"until": until}),
        }
    )


def _until(clip: Clip, samples: int, after: int) -> Fraction | None:
    """The end of the clip's shot in source seconds, where its sound would go on well beyond it."""
    end = clip.span.start + clip.speed * (samples + after) / SAMPLE_RATE
    return clip.shot.end if clip.shot is not None and end > clip.shot.end + BEYOND else None


def clip_sound(
    clip: Clip, samples: int, cache: Cache, *, before: int = 0, after: int = 0, cancel: Cancel | None = None
) -> Piece:
    """A clip's source sound: exactly ``before + samples + after`` stereo samples.

    The sample at ``before`` is that of the in-point. Sound that begins late or ends early is completed
    with silence, and so is that of a clip that lasts longer than its shot. Slowed or hurried sound keeps its
    pitch.

    Args:
        clip: What is shown.
        samples: Its length in the film.
        cache: Keeps the piece.
        before: Samples of the handle before it, which must lie within the file.
        after: Samples of the handle after it.
        cancel: Asked while ffmpeg runs.

    Raises:
        FilmError: if it cannot be decoded or was cancelled.
    """
    key = sound_key(clip, samples, before, after)
    total = before + samples + after
    found = _find(key, cache, total)
    if found is not None:
        return found
    start = clip.span.start - clip.speed * before / SAMPLE_RATE
    begin = float(clip.origin + start)
    margin = 0.5 if clip.source.suffix.lower() in INDEXED else 3.0
    seek: tuple[str, ...] = ()
    if start > margin:
        seek = ("-seek_timestamp", "1", "-noaccurate_seek", "-ss", f"{begin - margin:.6f}")
    length = total * float(clip.speed) / SAMPLE_RATE + 0.1
    fade, until = "", _until(clip, samples, after)
    if until is not None:
        length = float(until - start)
        fade = f",afade=t=out:st={max(0.0, length - FADE):.6f}:d={FADE}"
    tempo = (
        "" if clip.speed == 1 else "," + ",".join(f"atempo={step:.9f}" for step in _tempos(float(clip.speed)))
    )
    what = f"decode the sound of {clip.source.name} at {float(clip.span.start):.3f} s"
    made = _decode(
        ["-threads", "1", *seek, "-copyts", "-vn", "-i", as_input(clip.source)],
        f"aformat=sample_fmts=fltp:channel_layouts=stereo,"
        f"atrim=start={begin:.6f}:end={begin + length:.6f},"
        f"asetpts=PTS-{begin:.6f}/TB,aresample={SAMPLE_RATE}:async=1:first_pts=0{fade}{tempo},"
        f"apad=whole_len={total},atrim=end_sample={total},{_METER}",
        CHANNELS,
        key,
        cache,
        what,
        cancel,
    )
    if made.samples != total:
        raise FilmError(
            f"the sound of {clip.source.name} at {float(clip.span.start):.3f} s has {made.samples} "
            f"samples where {total} were planned: render again"
        )
    return made


def whole_sound(
    path: Path, content: str, cache: Cache, *, voice: bool = False, cancel: Cancel | None = None
) -> Piece:
    """All the sound of a file.

    Args:
        path: A sound file, or a film with sound.
        content: Its content id.
        cache: Keeps the piece.
        voice: One channel instead of two: a voice is heard from the middle, even if it was recorded on
            one side.
        cancel: Asked while ffmpeg runs.

    Raises:
        MontageError: if it is not there, or holds no sound.
        FilmError: if it was cancelled.
    """
    key = key_of({"version": VERSION, "content": content, "whole": True, "voice": voice})
    found = _find(key, cache)
    if found is not None:
        return found
    if not path.is_file():
        raise MontageError(f"there is no sound file {path}: put it back, or name another")
    layout = f"mono,pan=stereo|c0=c0|c1=c0,{_METER},pan=mono|c0=c0" if voice else f"stereo,{_METER}"
    try:
        piece = _decode(
            ["-vn", "-i", as_input(path)],
            f"aresample={SAMPLE_RATE}:async=1,aformat=sample_fmts=fltp:channel_layouts={layout}",
            1 if voice else CHANNELS,
            key,
            cache,
            f"decode the sound of {path.name}",
            cancel,
        )
    except FilmError as error:
        if cancel is not None and cancel():
            raise
        if NO_STREAM in str(error):
            raise MontageError(f"{path} has no sound: name a sound file, or a film that has some") from error
        last = str(error).splitlines()[-1].strip()
        raise MontageError(f"{path} cannot be played: name a sound file that can be ({last})") from error
    if not piece.samples:
        raise MontageError(f"{path} holds no sound: name another file")
    return piece


def speech_in(piece: Piece, cache: Cache) -> list[tuple[int, int]]:
    """Where somebody speaks: samples ``[begin, end)`` of a piece, by the voice detector of the index."""
    found = cache.find(piece.key, ".speech.json")
    if found is not None:
        try:
            return [(int(begin), int(end)) for begin, end in json.loads(found.read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError):
            pass  # a damaged record is as good as none
    sound = piece.sound()
    down = SAMPLE_RATE // SPEECH_RATE
    whole = piece.samples // down
    heard = np.empty(whole, np.float32)
    for start in range(0, whole, 1 << 20):
        part = sound[down * start : down * min(whole, start + (1 << 20))]
        heard[start : start + len(part) // down] = part.reshape(-1, down * piece.channels).mean(axis=1)
    likely = np.concatenate([[False], speech_probabilities(heard) > SPOKEN, [False]])
    edges = np.flatnonzero(likely[1:] != likely[:-1]).reshape(-1, 2)
    window = SPEECH_WINDOW * down
    spans = [(int(a) * window, int(b) * window) for a, b in edges if b - a >= LEAST_WINDOWS]
    record = cache.temporary(".json")
    try:
        record.write_text(json.dumps(spans), encoding="utf-8")
        cache.keep(record, piece.key, ".speech.json")
    finally:
        with suppress(OSError):
            record.unlink()
    return spans


_METER = "ebur128=framelog=quiet"
"""Measures what runs through it."""


def _decode(
    source: Sequence[str], chain: str, channels: int, key: str, cache: Cache, what: str, cancel: Cancel | None
) -> Piece:
    temporary, record = cache.temporary(".f32"), cache.temporary(".json")
    try:
        _, log = run_ffmpeg(
            [*source, "-map", "0:a:0", "-af", chain, "-f", "f32le", as_input(temporary)],
            what=what,
            cancel=cancel,
            level="info",
        )
        samples = temporary.stat().st_size // (4 * channels)
        _make_finite(temporary)
        level = read_meter(log) if samples >= 0.4 * SAMPLE_RATE else NOTHING_LUFS
        lufs = level if level > NOTHING_LUFS else None
        note = {"samples": samples, "channels": channels, "lufs": lufs}
        record.write_text(json.dumps(note), encoding="utf-8")
        path = cache.keep(temporary, key, ".f32")
        cache.keep(record, key, ".json")
    finally:
        for leftover in (temporary, record):
            with suppress(OSError):
                leftover.unlink()
    return Piece(key=key, path=path, samples=samples, channels=channels, lufs=lufs, new=True)


def _make_finite(path: Path) -> None:
    """Damaged floating-point sound holds values that are no numbers: they become silence."""
    if path.stat().st_size < 4:
        return
    sound = np.memmap(path, np.float32, "r+")
    for start in range(0, len(sound), 1 << 22):
        block = sound[start : start + (1 << 22)]
        if not np.isfinite(block.sum(dtype=np.float64)):
            np.nan_to_num(block, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    sound.flush()


def _find(key: str, cache: Cache, samples: int | None = None) -> Piece | None:
    path, record = cache.find(key, ".f32"), cache.find(key, ".json")
    if path is None or record is None:
        return None
    try:
        note = json.loads(record.read_text(encoding="utf-8"))
        count, channels, lufs = int(note["samples"]), int(note["channels"]), note["lufs"]
        whole = path.stat().st_size == count * channels * 4 and samples in (None, count)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a damaged record is as good as none: the piece is decoded anew
    if not whole:
        return None
    return Piece(key=key, path=path, samples=count, channels=channels, lufs=lufs, new=False)


def _tempos(speed: float) -> list[float]:
    """A speed as factors within what one atempo filter does well (0.5 to 2)."""
    steps = max(1, math.ceil(abs(math.log2(speed))))
    return [speed ** (1 / steps)] * steps
