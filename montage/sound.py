"""The sound of a film: each clip's own, cut on the frame grid, faded at every join, set to one loudness.

The whole film is mixed as PCM and encoded once: joining encoded pieces would add a click and some drift
at every join.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from montage.cache import Cache, key_of
from montage.checks import PlannedSound, block_levels
from montage.metering import read_meter
from montage.process import Cancel, as_input, run_ffmpeg
from montage.segments import INDEXED
from montage.timeline import SAMPLE_RATE, Clip, Timeline
from montage.values import FilmError

__all__ = ["Loudness", "Mix", "clip_sound", "fade", "measure_loudness", "mix_sound", "sound_key"]

VERSION = 1
CHANNELS = 2
FADE_SECONDS = 0.03
"""Length of the fade at each end of a clip: no click, and not heard as a fade."""
TARGET_LUFS = -14.0
"""Integrated loudness of a film (ITU-R BS.1770), as video platforms play it."""
PEAK_DBTP = -1.0
"""Highest true peak allowed."""
HEADROOM_DB = 0.5
"""How far below that the mix stays, for what lossy coding adds."""
MOST_GAIN_DB = 24.0
"""Quieter sound is noise: it is not raised by more than this."""
NOTHING_LUFS = -69.0
"""At or below this nothing was heard (BS.1770's absolute gate is at -70)."""
_FRAME = 4 * CHANNELS
"""Bytes of one sample of all channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loudness:
    """How loud a film is."""

    lufs: float | None
    """Integrated loudness (BS.1770), None for silence."""
    peak: float | None
    """True peak, dBTP."""
    gain: float = 0.0
    """By how many dB the source sound was changed."""
    limited: bool = False
    """Whether peaks had to be held back."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mix:
    """The encoded sound of a film."""

    path: Path
    """Encoded, to be copied into the film."""
    planned: PlannedSound
    loudness: Loudness
    rendered: int
    """How many clips' sound was decoded anew."""


def sound_key(clip: Clip, samples: int) -> str:
    """The name of a clip's sound: equal for equal samples."""
    return key_of(
        {
            "version": VERSION,
            "content": clip.content,
            "start": clip.span.start,
            "origin": clip.origin,
            "samples": samples,
            "speed": clip.speed,
        }
    )


def clip_sound(clip: Clip, samples: int, cache: Cache, *, cancel: Cancel | None = None) -> tuple[Path, bool]:
    """The clip's source sound as a file of exactly ``samples`` float32 stereo samples at 48 kHz.

    Sound that begins late or ends early is completed with silence. Slowed or hurried sound keeps its
    pitch. Returns the file and whether it was decoded now.

    Raises:
        FilmError: if it cannot be decoded or was cancelled.
    """
    key = sound_key(clip, samples)
    found = cache.find(key, ".f32")
    if found is not None and found.stat().st_size == samples * _FRAME:
        return found, False
    begin = clip.origin + clip.span.start
    margin = 0.5 if clip.source.suffix.lower() in INDEXED else 3.0
    seek: tuple[str, ...] = ()
    if clip.span.start > margin:
        seek = ("-seek_timestamp", "1", "-noaccurate_seek", "-ss", f"{float(begin) - margin:.6f}")
    length = samples * float(clip.speed) / SAMPLE_RATE + 0.1
    tempo = (
        "" if clip.speed == 1 else "," + ",".join(f"atempo={step:.9f}" for step in _tempos(float(clip.speed)))
    )
    temporary = cache.temporary(".f32")
    try:
        run_ffmpeg(
            [
                "-threads", "1", *seek, "-copyts", "-vn", "-i", as_input(clip.source), "-map", "0:a:0",
                "-af",
                f"aformat=sample_fmts=fltp:channel_layouts=stereo,"
                f"atrim=start={float(begin):.6f}:end={float(begin) + length:.6f},"
                f"asetpts=PTS-{float(begin):.6f}/TB,aresample={SAMPLE_RATE}:async=1:first_pts=0{tempo},"
                f"apad=whole_len={samples},atrim=end_sample={samples}",
                "-f", "f32le", as_input(temporary),
            ],
            what=f"decode the sound of {clip.source.name} at {float(clip.span.start):.3f} s",
            cancel=cancel,
        )  # fmt: skip
        size = temporary.stat().st_size
        if size != samples * _FRAME:
            raise FilmError(
                f"the sound of {clip.source.name} at {float(clip.span.start):.3f} s has {size // _FRAME} "
                f"samples where {samples} were planned: render again"
            )
        return cache.keep(temporary, key, ".f32"), True
    finally:
        with suppress(OSError):
            temporary.unlink()


def _tempos(speed: float) -> list[float]:
    """A speed as factors within what one atempo filter does well (0.5 to 2)."""
    steps = max(1, math.ceil(abs(math.log2(speed))))
    return [speed ** (1 / steps)] * steps


def fade(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same sound, faded in and out over 30 ms at its ends; ``sound`` is (samples, 2).

    A raised cosine that reaches zero at the very first and last sample, so that two clips meet in
    silence whatever they hold. Clips under 60 ms are faded over half their length.
    """
    length = min(round(FADE_SECONDS * SAMPLE_RATE), len(sound) // 2)
    faded = np.array(sound, dtype=np.float32)
    if length:
        ramp = (0.5 - 0.5 * np.cos(np.pi * np.arange(length) / length)).astype(np.float32)[:, None]
        faded[:length] *= ramp
        faded[len(faded) - length :] *= ramp[::-1]
    return faded


_RAW = ("-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", str(CHANNELS))


def measure_loudness(path: Path, *, raw: bool = False, cancel: Cancel | None = None) -> tuple[float, float]:
    """(integrated loudness in LUFS, true peak in dBTP) of a file's sound, by ITU-R BS.1770.

    Silence gives -70 and minus infinity.

    Raises:
        FilmError: if it cannot be measured.
    """
    _, said = run_ffmpeg(
        [
            *(_RAW if raw else ()), "-i", as_input(path), "-map", "0:a:0",
            "-af", "ebur128=peak=true:framelog=quiet", "-f", "null", "-",
        ],
        what=f"measure the loudness of {path.name}",
        cancel=cancel,
        level="info",
    )  # fmt: skip
    return read_meter(said)


def mix_sound(
    timeline: Timeline,
    cache: Cache,
    *,
    coder: Sequence[str] = ("-c:a", "aac", "-b:a", "192k"),
    suffix: str = ".mp4",
    pool: Executor | None = None,
    done: Callable[[Clip], None] | None = None,
    cancel: Cancel | None = None,
) -> Mix:
    """Decode, join, set to -14 LUFS and encode the sound of a whole film.

    Loudness is measured, then changed by one gain for the whole film; only where that would lift true
    peaks above -1 dBTP are they limited, and the result is measured again.

    Args:
        timeline: The film.
        cache: Keeps each clip's sound.
        coder: ffmpeg's options for the encoder.
        suffix: Container of the result.
        pool: Decodes several clips at a time.
        done: Told of each clip whose sound is there.
        cancel: Asked while it works.

    Returns:
        The encoded film sound, a temporary file in the cache's folder that the caller removes.

    Raises:
        FilmError: if a clip's sound cannot be decoded or the work is cancelled.
    """

    def fetch(clip: Clip) -> tuple[Path, bool]:
        result = clip_sound(clip, timeline.samples(clip), cache, cancel=cancel)
        if done is not None:
            done(clip)
        return result

    heard = [clip for clip in timeline.picture if clip.audio]
    fetched = list(pool.map(fetch, heard) if pool is not None else map(fetch, heard))
    files = {clip.start: path for clip, (path, _) in zip(heard, fetched, strict=True)}
    mixed, encoded = cache.temporary(".f32"), cache.temporary(suffix)
    try:
        with mixed.open("wb") as out:
            for clip in timeline.picture:
                samples = timeline.samples(clip)
                if clip.start in files:
                    sound = np.fromfile(files[clip.start], dtype=np.float32).reshape(-1, CHANNELS)
                    out.write(fade(np.nan_to_num(sound)).tobytes())
                else:
                    out.write(bytes(samples * _FRAME))
        loudness = Loudness(lufs=None, peak=None)
        if files:
            loudness = _normalise(mixed, cache, cancel)
        sound = np.fromfile(mixed, dtype=np.float32).reshape(-1, CHANNELS)
        planned = PlannedSound(samples=len(sound), levels=block_levels(sound))
        run_ffmpeg(
            [*_RAW, "-i", as_input(mixed), *coder, as_input(encoded)],
            what="encode the film's sound",
            cancel=cancel,
        )
    except BaseException:
        with suppress(OSError):
            encoded.unlink()
        raise
    finally:
        with suppress(OSError):
            mixed.unlink()
    return Mix(
        path=encoded,
        planned=planned,
        loudness=loudness,
        rendered=sum(new for _, new in fetched),
    )


def _normalise(mixed: Path, cache: Cache, cancel: Cancel | None) -> Loudness:
    """Bring a file of raw samples to the target loudness, in place; returns what was reached."""
    before, peak = measure_loudness(mixed, raw=True, cancel=cancel)
    if before <= NOTHING_LUFS:
        return Loudness(lufs=None, peak=None)
    gain = min(TARGET_LUFS - before, MOST_GAIN_DB)
    ceiling = PEAK_DBTP - HEADROOM_DB
    if peak + gain <= ceiling:
        # One gain for all samples moves the loudness by exactly that gain: no need to measure again.
        sound = np.memmap(mixed, dtype=np.float32, mode="r+")
        sound *= np.float32(10 ** (gain / 20))
        sound.flush()
        return Loudness(lufs=before + gain, peak=peak + gain, gain=gain)
    limited = cache.temporary(".f32")
    push, limit = gain, ceiling
    try:
        for _ in range(4):
            # The limiter runs at four times the rate, where samples are close to the true peaks.
            run_ffmpeg(
                [
                    *_RAW, "-i", as_input(mixed), "-af",
                    f"volume={push:.3f}dB,aresample={4 * SAMPLE_RATE},"
                    f"alimiter=limit={10 ** (limit / 20):.6f}:attack=5:release=80:level=0:latency=1,"
                    f"aresample={SAMPLE_RATE}",
                    *_RAW, as_input(limited),
                ],
                what="limit the film's sound",
                cancel=cancel,
            )  # fmt: skip
            after, peak = measure_loudness(limited, raw=True, cancel=cancel)
            short = before + gain - after
            over = max(0.0, peak - ceiling)
            if abs(short) <= 0.2 and over <= 0.1:
                break
            push = min(push + short, gain + 12.0)
            limit -= over
        wanted = mixed.stat().st_size
        data = np.fromfile(limited, dtype=np.uint8)[:wanted]
        with mixed.open("wb") as out:
            out.write(data.tobytes())
            out.write(bytes(wanted - len(data)))
    finally:
        with suppress(OSError):
            limited.unlink()
    return Loudness(lufs=after, peak=peak, gain=gain, limited=True)
