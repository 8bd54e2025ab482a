"""The sound of a film: source sound, narration and music, mixed on the frame grid and set to one loudness.

The whole film is mixed as PCM before it is encoded: joining encoded pieces would add a click and some drift
at every join.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from montage.cache import Cache
from montage.checks import PlannedSound
from montage.ducking import Ducking, Sound, add_strip, factor, narrated, steps_in
from montage.encoding import encode_sound
from montage.formats import AAC
from montage.loudness import (
    CODING_HEADROOM_DB,
    HEADROOM_DB,
    PEAK_DBTP,
    TOLERANCE_LU,
    Levelled,
    Loudness,
)
from montage.metering import Heard, block_levels, hear_sound
from montage.mixing import (
    DUCKED_MUSIC_LU,
    DUCKED_SOURCE_LU,
    MUSIC_LU,
    SOURCE_LU,
    Levels,
    handles,
    music_strips,
    source_strips,
    stem_gains,
    voice_strips,
)
from montage.pieces import CHANNELS, Piece, clip_sound, sound_key, speech_in, whole_sound
from montage.process import Cancel
from montage.timeline import Clip, Speech, Timeline, sample_at

__all__ = ["Levels", "Loudness", "Mix", "mix_sound", "sound_key"]

LOSSLESS = ("flac", "pcm_")
"""Beginnings of the names of encoders that change no sample."""
MOST_ENCODINGS = 4
"""How often a film is encoded until it is at its target after coding, too; nearly always once."""
NEAR_LU = 0.4
"""How far from the target a film may be after coding without being encoded again."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mix:
    """The encoded sound of a film."""

    path: Path
    """Encoded, to be copied into the film."""
    planned: PlannedSound
    heard: Heard
    """The encoded sound, decoded again."""
    loudness: Loudness
    """As it was measured after encoding, or, where encoding changes nothing, before."""
    rendered: int
    """How many pieces of sound were decoded anew."""
    keys: tuple[str, ...] = ()
    """The pieces in the cache that it was mixed from."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stems:
    """The decoded pieces of a film."""

    source: list[tuple[Piece, int] | None]
    """Of each clip its sound and the samples before its in-point; None where it has none."""
    voices: list[tuple[Speech, Piece]]
    song: Piece | None
    speech: list[tuple[int, int]]
    """Samples of the film in which somebody speaks in the source sound; looked for if there is music."""

    @property
    def pieces(self) -> list[Piece]:
        found = [item[0] for item in self.source if item is not None]
        found += [piece for _, piece in self.voices]
        return found if self.song is None else [*found, self.song]


def mix_sound(
    timeline: Timeline,
    cache: Cache,
    *,
    levels: Levels | None = None,
    coder: Sequence[str] = AAC,
    suffix: str = ".mp4",
    pool: Executor | None = None,
    workers: int = 1,
    done: Callable[[Clip], None] | None = None,
    cancel: Cancel | None = None,
) -> Mix:
    """Decode, mix, set to one loudness and encode the sound of a whole film.

    Loudness is measured, then changed by one gain for the whole film; only where that would lift true
    peaks above -1 dBTP are they held back, and the result is measured again, after lossy encoding, too.

    Args:
        timeline: The film.
        cache: Keeps each decoded piece of sound.
        levels: How loud the film and its parts are; None for -14 LUFS and the usual balance.
        coder: ffmpeg's options for the encoder.
        suffix: Container of the result.
        pool: Decodes several pieces at a time.
        workers: Stretches of sound encoded at a time.
        done: Told of each clip whose sound is there.
        cancel: Asked while it works.

    Returns:
        The encoded film sound, a temporary file in the cache's folder that the caller removes.

    Raises:
        MontageError: if narration or music is not there or holds no sound.
        FilmError: if a clip's sound cannot be decoded or the work is cancelled.
    """
    levels = levels or Levels()
    stems = _decode(timeline, cache, levels, pool, done, cancel)
    mixed, level, encoded = cache.temporary(".f32"), cache.temporary(".f32"), cache.temporary(suffix)
    try:
        _lay(timeline, stems, levels, mixed)
        levelled = Levelled(mixed, level, levels.target)
        loudness, heard = _encode(levelled, level, encoded, coder, cache, workers, cancel)
        sound = np.memmap(level, np.float32, "r").reshape(-1, CHANNELS)
        planned = PlannedSound(samples=len(sound), levels=block_levels(sound))
        del sound
    except BaseException:
        with suppress(OSError):
            encoded.unlink()
        raise
    finally:
        for leftover in (mixed, level):
            with suppress(OSError):
                leftover.unlink()
    pieces = {piece.key: piece for piece in stems.pieces}
    return Mix(
        path=encoded,
        planned=planned,
        heard=heard,
        loudness=loudness,
        rendered=sum(piece.new for piece in stems.pieces),
        keys=tuple(pieces),
    )


def _encode(
    levelled: Levelled,
    level: Path,
    encoded: Path,
    coder: Sequence[str],
    cache: Cache,
    workers: int,
    cancel: Cancel | None,
) -> tuple[Loudness, Heard]:
    """Encode a mix at its target loudness; what lossy coding changes of it is measured and made up for."""
    lossless = any(name.startswith(LOSSLESS) for name in coder)
    ceiling, more = PEAK_DBTP - (HEADROOM_DB if lossless else CODING_HEADROOM_DB), 0.0
    for attempt in range(MOST_ENCODINGS):
        planned = levelled.level(ceiling, more)
        encode_sound(level, encoded, coder, cache, workers=workers, cancel=cancel)
        measured = (
            (planned.lufs, planned.peak) if planned.lufs is not None and planned.peak is not None else None
        )
        heard = hear_sound(encoded, known=measured if lossless else None, cancel=cancel)
        if lossless or planned.lufs is None:
            return planned, heard
        loudness = planned.after_coding(heard.lufs, heard.peak)
        over = (loudness.peak or 0.0) - PEAK_DBTP
        missed = levelled.aim - (loudness.lufs or levelled.aim)
        # What peaks did not allow before coding, they do not allow now.
        reached = planned.lufs >= levelled.aim + more - TOLERANCE_LU
        if over <= 0:
            # Coding may have moved peaks by less than was left for it.
            room = min(PEAK_DBTP - HEADROOM_DB - ceiling, -over - 0.1)
            done = abs(missed) <= NEAR_LU or (not reached and room < 0.1)
            if done or attempt >= MOST_ENCODINGS - 2:
                break
            ceiling += max(0.0, room)
        if over > 0 and attempt == MOST_ENCODINGS - 2:
            # Holding peaks back was of no use: for the last time, the same sound, all of it lower.
            ceiling, more = ceiling - over - 0.2, more - over - 0.2
            continue
        if over > 0:
            ceiling -= over + 0.1
        if reached:
            more += missed
    return loudness, heard


def _decode(
    timeline: Timeline,
    cache: Cache,
    levels: Levels,
    pool: Executor | None,
    done: Callable[[Clip], None] | None,
    cancel: Cancel | None,
) -> _Stems:
    """Every piece of sound that the film needs."""
    clips = timeline.picture
    wanted: dict[str, tuple[Path, str]] = {}
    if factor(levels.narration):
        wanted.update({speech.content: (speech.source, speech.content) for speech in timeline.narration})

    music = timeline.music
    scored = music is not None and factor(levels.music) > 0

    def source(number: int) -> tuple[Piece, int] | None:
        clip = clips[number]
        if not clip.audio:
            return None
        result = None
        if factor(levels.source):
            following = clips[number + 1] if number + 1 < len(clips) else None
            heard = clip.sounding
            before, after = handles(heard, timeline.fps, following, split=levels.split_edits)
            samples = timeline.samples(clip)
            result = clip_sound(heard, samples, cache, before=before, after=after, cancel=cancel), before
            if scored:
                speech_in(result[0], cache)
        if done is not None:
            done(clip)
        return result

    def voice(file: tuple[Path, str]) -> Piece:
        return whole_sound(*file, cache, voice=True, cancel=cancel)

    if pool is not None:
        sources, voices = pool.map(source, range(len(clips))), pool.map(voice, wanted.values())
    else:
        sources, voices = map(source, range(len(clips))), map(voice, wanted.values())
    found = list(sources)
    spoken = dict(zip(wanted, voices, strict=True))
    song = None
    speech: list[tuple[int, int]] = []
    if music is not None and scored:
        song = whole_sound(music.source, music.content, cache, cancel=cancel)
        for clip, item in zip(clips, found, strict=True):
            start, end = sample_at(clip.start, timeline.fps), sample_at(clip.end, timeline.fps)
            if item is not None:
                at = start - item[1]
                spans = speech_in(item[0], cache)
                speech += [(max(start, at + low), min(end, at + high)) for low, high in spans]
    return _Stems(
        source=found,
        voices=[(speech, spoken[speech.content]) for speech in timeline.narration if spoken],
        song=song,
        speech=[(begin, end) for begin, end in speech if begin < end],
    )


def _lay(timeline: Timeline, stems: _Stems, levels: Levels, path: Path) -> None:
    """Write the film's samples: all stems, each at its level."""
    samples = sample_at(timeline.frames, timeline.fps)
    with path.open("wb") as file:
        # A file with holes would kill the process when the disk is full and a hole is written to.
        size = samples * CHANNELS * 4
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
    out: Sound = np.memmap(path, np.float32, "r+", shape=(samples, CHANNELS))
    told = narrated(samples, voice_strips(timeline, stems.voices))
    ducking = Ducking(samples, told) if len(told) else None
    source, music = stem_gains(stems.source, stems.song, levels)
    for strip in source_strips(timeline, stems.source, split=levels.split_edits):
        add_strip(out, strip, source, ducking, SOURCE_LU - DUCKED_SOURCE_LU)
    for strip, gain in voice_strips(timeline, stems.voices):
        add_strip(out, strip, factor(gain + levels.narration))
    if timeline.music is not None and stems.song is not None:
        ducking = Ducking(samples, np.union1d(told, steps_in(stems.speech)))
        for strip in music_strips(timeline.music, stems.song, samples):
            add_strip(out, strip, music, ducking, MUSIC_LU - DUCKED_MUSIC_LU)
