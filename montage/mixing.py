"""Laying a film's stems on its samples: source sound, narration and music, each at its level.

Neighbouring clips are cross-faded where there is sound beyond their ends, and dip to silence for an instant
where there is none, so that no join clicks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from montage.ducking import NARRATION_LUFS, Ramp, Sound, Strip, factor
from montage.loudness import TARGET_LUFS
from montage.music import bars_in_film, passes
from montage.pieces import Piece
from montage.timeline import SAMPLE_RATE, Clip, Music, Speech, Timeline, sample_at

__all__ = [
    "DUCKED_MUSIC_LU",
    "DUCKED_SOURCE_LU",
    "MUSIC_LU",
    "SOURCE_LU",
    "Levels",
    "cross_fade",
    "handles",
    "music_strips",
    "source_gain",
    "source_strips",
    "stem_gains",
    "voice_strips",
]

FADE_SECONDS = 0.03
"""Length of a cross-fade between two clips, and of the fade at an end without a handle: no click, and not
heard as a fade."""
LEAST_FADE_SECONDS = 0.01
"""A shorter cross-fade would be heard as a click: then both clips are faded by themselves."""
VOICE_FADE_SECONDS = 0.01
"""Fade across the ends of a stretch of narration."""
SPLIT_SECONDS = 0.5
"""How far the sound of a clip goes on under the next picture, or begins before its own, at most."""
SPLIT_STEP = SAMPLE_RATE // 25
"""Samples of a block in which a better place for the cut in the sound is looked for."""
DISTINCT_DB = 10.0
"""Above the quiet moments of its clip by so much, a sound is speech or something else to be heard out."""
CALMER_DB = 8.0
"""By how much calmer another place must be for the sound to be cut there."""
QUIETEST = 10 ** (-55 / 20)
"""Root mean square below which nothing is distinct (-55 dBFS)."""

SOURCE_LU = -4.0
"""Source sound against the narration, where nobody narrates."""
DUCKED_SOURCE_LU = -12.0
"""Source sound against the narration, under it."""
MUSIC_LU = -8.0
"""Music against the narration, where nobody narrates."""
DUCKED_MUSIC_LU = -18.0
"""Music against the narration, under it."""
MOST_LIFT_DB = 20.0
"""No stem is raised by more than this: it would be noise."""
MUSIC_IN_SECONDS = 0.5
MUSIC_OUT_SECONDS = 3.0
"""Fades of the music; the one at the end begins with a bar, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """How loud the film and each of its parts are.

    Raises:
        ValueError: if the target is no loudness of a film, or a level is no number of decibels.
    """

    target: float = TARGET_LUFS
    """Integrated loudness of the film, LUFS: -14 as platforms play it, -23 for broadcast."""
    narration: float = 0.0
    """dB more or less than usual; minus infinity leaves it out."""
    source: float = 0.0
    """The same for the sound of the footage, usually 4 LU below the narration, 12 under it."""
    music: float = 0.0
    """The same for the music, usually 8 LU below the narration, 18 under it."""
    split_edits: bool = False
    """Whether the sound of a clip may be cut up to 0.5 s after its picture (L cut) or before (J cut)."""

    def __post_init__(self) -> None:
        if not -40 <= self.target <= -5:
            raise ValueError(f"a film's loudness lies between -40 and -5 LUFS, got {self.target}")
        for name in ("narration", "source", "music"):
            level = getattr(self, name)
            if not (level == -math.inf or -60 <= level <= 30):
                raise ValueError(
                    f"the level of the {name} lies between -60 and 30 dB or is -inf, got {level}"
                )


def ramp(samples: int) -> Ramp:
    """A raised cosine from 0 to 1; it and its reverse add up to 1."""
    turns = np.pi * (np.arange(samples) + 0.5) / max(1, samples)
    return np.asarray(0.5 - 0.5 * np.cos(turns), dtype=np.float32)


def cross_fade(old: Sound, new: Sound) -> tuple[Ramp, Ramp]:
    """The ramps (out of the old, into the new) over two sounds of one length, at constant power.

    Unlike sounds get an equal-power fade. Like ones, as where a clip goes on with the same sound, would be
    3 dB too loud in it: the ramps are scaled by what they have in common, down to an equal-gain fade.
    """
    length = len(old)
    smooth = np.pi / 2 * ramp(length).astype(np.float64)
    out, into = np.cos(smooth), np.sin(smooth)
    a, b = old.astype(np.float64).ravel(), new.astype(np.float64).ravel()
    power = float(np.sqrt((a @ a) * (b @ b)))
    alike = max(0.0, min(1.0, float(a @ b) / power)) if power > 0 else 0.0
    scale = 1 / np.sqrt(1 + 2 * out * into * alike)
    return (out * scale).astype(np.float32), (into * scale).astype(np.float32)


def handles(clip: Clip, fps: Fraction, following: Clip | None, *, split: bool) -> tuple[int, int]:
    """How many samples of sound before and after a clip are decoded, for cross-fades and split edits.

    Never beyond its shot, where that is known, nor beyond the file; split edits only within a known shot.

    Args:
        clip: What is shown.
        fps: The film's rate.
        following: The clip after it, which may be dissolved in over this one's handle.
        split: Whether sound may be cut elsewhere than the picture.
    """
    if clip.media is None:
        return 0, 0
    end = clip.span.start + clip.frames * clip.speed / fps
    first, last = Fraction(0), clip.media.duration
    if clip.shot is not None:
        first, last = max(first, clip.shot.start), min(last, clip.shot.end)
    wanted = round((FADE_SECONDS + (SPLIT_SECONDS if split and clip.shot is not None else 0)) * SAMPLE_RATE)
    beyond = wanted
    if following is not None and following.dissolve:
        beyond = max(beyond, sample_at(following.dissolve, fps))
    before = min(wanted, int((clip.span.start - first) / clip.speed * SAMPLE_RATE))
    after = min(beyond, int((last - end) / clip.speed * SAMPLE_RATE))
    return max(0, before), max(0, after)


@dataclass(slots=True)
class _Take:
    """A clip's sound while its ends are being settled."""

    clip: Clip
    piece: Sound
    start: int
    """Sample of the film at which the picture begins."""
    end: int
    before: int
    low: int = 0
    high: int = 0
    into: Ramp | None = None
    out: Ramp | None = None

    @property
    def first(self) -> int:
        """Sample of the film at which the decoded sound begins."""
        return self.start - self.before

    @property
    def last(self) -> int:
        return self.first + len(self.piece)

    def sound(self, low: int, high: int) -> Sound:
        return self.piece[low - self.first : high - self.first]


def source_strips(
    timeline: Timeline, pieces: Sequence[tuple[Piece, int] | None], *, split: bool
) -> Iterator[Strip]:
    """The source sound of each clip with its place in the film.

    Args:
        timeline: The film.
        pieces: For each clip its sound and the samples before its in-point; None for one without.
        split: Whether sound may be cut elsewhere than the picture.
    """

    def opened(number: int) -> _Take | None:
        if number >= len(pieces):
            return None
        clip, found = timeline.picture[number], pieces[number]
        start, end = sample_at(clip.start, timeline.fps), sample_at(clip.end, timeline.fps)
        return None if found is None else _Take(clip, found[0].sound(), start, end, found[1], start, end)

    # Two are open at a time: a system allows so many files.
    following = opened(0)
    for number in range(len(pieces)):
        take, following = following, opened(number + 1)
        if take is None:
            continue
        if number == 0 or pieces[number - 1] is None:
            take.into = ramp(_own_fade(take, take.clip.fade_in, timeline.fps))
        if following is None:
            take.out = ramp(_own_fade(take, take.clip.fade_out, timeline.fps))[::-1]
        else:
            _join(take, following, timeline.fps, split)
        yield Strip(take.low, take.sound(take.low, take.high), take.into, take.out)


def _own_fade(take: _Take, frames: int, fps: Fraction) -> int:
    """Samples of the fade at an end of a clip that has no sound beside it."""
    length = max(round(FADE_SECONDS * SAMPLE_RATE), sample_at(frames, fps))
    return min(length, (take.end - take.start) // (1 if frames else 2))


def _join(old: _Take, new: _Take, fps: Fraction, split: bool) -> None:
    """Settle how one clip's sound gives way to the next one's."""
    faded = old.clip.fade_out or new.clip.fade_in
    if not faded:
        dissolve = sample_at(new.clip.dissolve, fps)
        at = _calmest(old, new) if split and not dissolve else old.end
        full = dissolve or round(FADE_SECONDS * SAMPLE_RATE)
        # Neither fade of a clip may reach into the other.
        room = min(full, at - old.start - len(old.into if old.into is not None else ()), new.end - at)
        after = min(room, old.last - at) if dissolve else min(room // 2, old.last - at)
        before = 0 if dissolve else max(0, min(room - after, at - new.first, room))
        after = max(0, min(room - before, old.last - at))
        if before + after >= LEAST_FADE_SECONDS * SAMPLE_RATE:
            low, high = at - before, at + after
            old.high, new.low = high, low
            old.out, new.into = cross_fade(old.sound(low, high), new.sound(low, high))
            return
    old.out = ramp(_own_fade(old, old.clip.fade_out, fps))[::-1]
    new.into = ramp(_own_fade(new, new.clip.fade_in, fps))


def _calmest(old: _Take, new: _Take) -> int:
    """The sample at which to cut from one clip's sound to the next one's, near the cut of the picture.

    It is the cut of the picture unless a distinct sound would be cut off there and there is a much calmer
    moment close by, reached without leaving out anything distinct of the other clip: the sound of the old
    one goes on under the new picture until it is over, or that of the new one begins under the old picture.
    """
    at, step = old.end, SPLIT_STEP
    most = int(SPLIT_SECONDS * SAMPLE_RATE)
    late = max(0, min(most, old.last - at, (new.end - new.start) // 3)) // step
    early = max(0, min(most, at - new.first, (old.end - old.start) // 3)) // step
    if not late and not early:
        return at
    # Blocks around the join: block k begins k steps after it.
    olds = np.array([_distinct(old, at + k * step) for k in range(-early, late + 1)])
    news = np.array([_distinct(new, at + k * step) for k in range(-early, late + 1)])
    olds -= min(_floor(old), float(olds.max()))
    news -= min(_floor(new), float(news.max()))
    costs = np.empty(len(olds))
    for place in range(len(costs)):
        lost = news[early : place + 1] if place >= early else olds[place : early + 1]
        kept = olds[place] if place >= early else news[place]
        costs[place] = max(float(kept), float(lost.max()))
    straight = max(float(olds[early]), float(news[early]))
    good = np.flatnonzero(costs <= max(float(costs.min()) + 2, 3.0))
    if straight < DISTINCT_DB or not len(good):
        return at
    place = int(good[np.abs(good - early).argmin()])
    return at + (place - early) * step if straight - costs[place] >= CALMER_DB else at


def _level(sound: Sound) -> float:
    flat = np.asarray(sound).ravel()
    power = float(flat @ flat) / max(1, len(flat))
    return 20 * math.log10(max(math.sqrt(power), QUIETEST))


def _distinct(take: _Take, at: int) -> float:
    """dB of the 40 ms around a sample of the film, as far as the sound reaches."""
    low, high = max(at - SPLIT_STEP // 2, take.first), min(at + SPLIT_STEP // 2, take.last)
    return _level(take.sound(low, high)) if low < high else 20 * math.log10(QUIETEST)


def _floor(take: _Take) -> float:
    """dB of the quiet moments of a clip: a fifth of it is quieter."""
    blocks = len(take.piece) // SPLIT_STEP
    if not blocks:
        return _level(take.piece)
    power = np.asarray(take.piece[: blocks * SPLIT_STEP]).reshape(blocks, -1)
    rms = np.sqrt(np.einsum("ij,ij->i", power, power) / power.shape[1])
    return 20 * math.log10(max(float(np.percentile(rms, 20)), QUIETEST))


def source_gain(pieces: Sequence[tuple[Piece, int] | None]) -> float:
    """dB that bring the source sound as a whole to its place below the narration; clips keep their own
    levels among themselves.

    In half decibels, so that one clip more does not change every sample of the film.
    """
    heard = [(piece.samples, piece.lufs) for piece, _ in filter(None, pieces) if piece.lufs is not None]
    if not heard:
        return 0.0
    total = sum(samples for samples, _ in heard)
    power = sum(samples * 10 ** (lufs / 10) for samples, lufs in heard) / total
    return min(round(2 * (NARRATION_LUFS + SOURCE_LU - 10 * math.log10(power))) / 2, MOST_LIFT_DB)


def voice_strips(timeline: Timeline, voices: Sequence[tuple[Speech, Piece]]) -> Iterator[tuple[Strip, float]]:
    """Each stretch of narration with its place, and the dB that bring its file to the narration's loudness.

    Fades lie across the ends of what was asked for, where the file goes on: two stretches that go on from
    one another make one.
    """
    length = round(VOICE_FADE_SECONDS * SAMPLE_RATE)
    total = sample_at(timeline.frames, timeline.fps)
    for speech, piece in voices:
        sound = piece.sound()
        begin, end = round(speech.span.start * SAMPLE_RATE), round(speech.span.end * SAMPLE_RATE)
        at = sample_at(speech.start, timeline.fps)
        low = max(0, begin - min(length // 2, at))
        high = min(piece.samples, end + length // 2, begin + total - at)
        if high <= low:
            continue
        each = min(length, (high - low) // 2)
        gain = 0.0 if piece.lufs is None else min(NARRATION_LUFS - piece.lufs, MOST_LIFT_DB)
        yield Strip(at + low - begin, sound[low:high], ramp(each), ramp(each)[::-1]), gain


def stem_gains(
    pieces: Sequence[tuple[Piece, int] | None], song: Piece | None, levels: Levels
) -> tuple[float, float]:
    """Factors for the source sound and for the music."""
    music = 0.0
    if song is not None and song.lufs is not None:
        music = factor(min(NARRATION_LUFS + MUSIC_LU - song.lufs, MOST_LIFT_DB) + levels.music)
    return factor(source_gain(pieces) + levels.source), music


def music_strips(music: Music, piece: Piece, samples: int) -> Iterator[Strip]:
    """The music, looped or trimmed to the film's length and faded at its ends."""
    found = passes(music, samples)
    sound = piece.sound()
    into: Ramp | None = ramp(min(round(MUSIC_IN_SECONDS * SAMPLE_RATE), samples // 4))
    fade = ramp(_last_fade(music, samples))[::-1]
    for number, part in enumerate(found):
        if number + 1 < len(found):
            following = found[number + 1]
            overlap = part.until - following.at
            if overlap >= LEAST_FADE_SECONDS * SAMPLE_RATE:
                out, after = cross_fade(
                    sound[part.end - overlap : part.end],
                    sound[following.begin : following.begin + overlap],
                )
            else:  # bars that begin and end with the file: the first note must not lose its beginning
                out, after = ramp(round(0.01 * SAMPLE_RATE))[::-1], ramp(round(0.003 * SAMPLE_RATE))
        else:
            out = after = np.zeros(0, np.float32)
        out = _faded(out, fade, part.end - part.begin, samples - part.until)
        yield Strip(part.at, sound[part.begin : part.end], into, out)
        into = after


def _faded(out: Ramp, fade: Ramp, length: int, left: int) -> Ramp:
    """The ramp at the end of a pass of ``length`` samples, with its share of the fade in which the film ends
    ``left`` samples later."""
    reach = min(max(len(fade) - left, len(out)), length)
    curve = np.ones(reach, np.float32)
    share = min(max(0, len(fade) - left), reach)
    end = len(fade) - left
    curve[reach - share :] = fade[end - share : end]
    curve[reach - len(out) :] *= out
    return curve


def _last_fade(music: Music, samples: int) -> int:
    """Samples over which the music ends: from the last bar line that leaves it 1.5 s to 6 s, or 3 s."""
    seconds = samples / SAMPLE_RATE
    if seconds < 4 * MUSIC_OUT_SECONDS:
        return samples // 4
    left = [seconds - bar for bar in bars_in_film(music, seconds) if 1.5 <= seconds - bar <= 6]
    return round((left[-1] if left else MUSIC_OUT_SECONDS) * SAMPLE_RATE)
