"""Fitting: how long a slot should be, which part of a shot fills it, at which speed, and which parts exclude
each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from index.base import Span
from montage.presets import Preset
from montage.rules import Picture
from montage.values import Candidate, Sentence

__all__ = [
    "CELL_SECONDS",
    "GUARD_FRAMES",
    "LEAST_SECONDS",
    "NEARLY",
    "Cells",
    "Choice",
    "fit",
    "slot_seconds",
    "split",
]

GUARD_FRAMES = 3
"""Frames left out at each boundary of a shot: detected boundaries may be a frame or two off."""
GUARD_RATE = Fraction(25)
"""Frame rate assumed for the guard where it varies or is unknown."""
LEAST_SECONDS = Fraction(1, 2)
"""Less of a shot than this is no picture."""
CELL_SECONDS = 2
"""Length of a use cell: spans that overlap always share one, spans of one take this far apart never do."""
MOST_SLOTS = 4
"""Most slots that one sentence is split into."""

SHORT_SLOTS = 3
"""Most slots for a sentence because its shots are too short, unless its length alone asks for more."""
NEARLY = Fraction(9, 10)
"""A sentence that is shown for this share of the time asked for is shown long enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A candidate fitted to a slot."""

    candidate: Candidate
    picture: Picture
    frames: int
    """Length on the film's grid; less than asked for where the shot is short."""
    speed: Fraction
    exact: bool = False
    """Whether its span was named to the frame."""


def slot_seconds(sentence: Sentence, preset: Preset, shots: int, *, pinned: bool) -> tuple[Fraction, int]:
    """(seconds of a slot, number of slots) for a sentence that has ``shots`` different shots to show.

    A sentence longer than the preset's maximum is split into equal slots of about the preset's pace, as far
    as there are shots. ``[hold]`` and a pin mean one picture, where one shot is long enough.
    """
    directives = sentence.directives
    if directives.hold is not None:
        return directives.hold, 1
    seconds = max(preset.minimum, sentence.seconds)
    if seconds <= preset.maximum:
        return seconds, 1
    if pinned or shots <= 1:
        return preset.maximum, 1
    fewest = math.ceil(seconds / preset.maximum)
    count = min(max(fewest, round(seconds / preset.pace)), shots, max(fewest, MOST_SLOTS))
    return min(preset.maximum, seconds / count), count


def fit(
    candidate: Candidate,
    frames: int,
    fps: Fraction,
    preset: Preset,
    *,
    rate: Fraction | None,
    exact: bool = False,
    whole: bool = False,
) -> Choice | None:
    """Place ``frames`` frames of film around the middle of the candidate's span, within its shot.

    ``rate`` is the media's frame rate, None where it varies. A shot that is too short is slowed down as far
    as the preset allows, then the slot is shortened; below half a second there is no choice and None is
    returned. ``exact`` keeps to the candidate's span and begins at its start.

    ``whole`` is for a generated take, whose file is played from its first frame at its own speed: however
    short, it is shown from 0 for exactly ``frames``, and one that is over half a frame too short is None,
    so that another is made.
    """
    shot = candidate.shot
    frame = 1 / (rate or GUARD_RATE)
    speed = Fraction(1)
    if whole:
        # The clock of a take's container may be off by a tick.
        if shot.span.seconds < (frames - Fraction(1, 2)) / fps:
            return None
        start, needed = Fraction(0), frames / fps
    else:
        if exact:
            low, high = candidate.span.start, candidate.span.end
        else:
            low, high = shot.span.start + GUARD_FRAMES * frame, shot.span.end - GUARD_FRAMES * frame
        room = high - low
        if room < LEAST_SECONDS:
            return None
        if room < frames / fps:
            speed = max(preset.slowest, Fraction(math.floor(room * fps / frames * 100), 100))
            frames = min(frames, math.floor(room / speed * fps))
        if frames < 1:
            return None
        needed = min(room, frames / fps * speed)
        start = low
        if not exact:
            start = min(max(low, candidate.span.middle - needed / 2), high - needed)
            start = low + math.floor((start - low) / frame) * frame  # on the source's own frames
    span = Span(start, start + needed)
    return Choice(
        candidate=candidate,
        picture=Picture(
            shot=shot.id,
            media=shot.media,
            group=shot.group,
            span=span,
            look=shot.look,
            match=candidate.match,
            seconds=float(frames / fps),
            speed=float(speed),
        ),
        frames=frames,
        speed=speed,
        exact=exact,
    )


class Cells:
    """Numbers for the source time that choices use; two choices with a number in common exclude each other.

    Cells belong to a shot and are ``CELL_SECONDS`` long. Where several shots of a near-duplicate group are
    among the choices, the whole group is one cell. A span that was named to the frame has a cell of its
    own, which whatever overlaps it takes too: two such spans may touch.
    """

    def __init__(self, choices: Iterable[Choice]) -> None:
        shots: dict[str, set[str]] = {}
        exact: dict[tuple[str, Span], Picture] = {}
        for choice in choices:
            if choice.picture.group:
                shots.setdefault(choice.picture.group, set()).add(choice.picture.shot)
            if choice.exact:
                exact.setdefault((choice.picture.media, choice.picture.span), choice.picture)
        self._shared = {group for group, members in shots.items() if len(members) > 1}
        self._exact = tuple(exact.values())
        self._numbers: dict[tuple[str, int], int] = {}

    def of(self, choice: Choice) -> list[int]:
        """The cells that a choice takes."""
        picture = choice.picture
        shared = picture.group in self._shared and not choice.exact
        keys = [
            ("exact", number)
            for number, named in enumerate(self._exact)
            if (named.media == picture.media and named.span.overlaps(picture.span))
            or (shared and named.group == picture.group)
        ]
        if shared:
            keys.append(("group " + picture.group, 0))
        elif not choice.exact:
            first = int(picture.span.start // CELL_SECONDS)
            last = -int(-picture.span.end // CELL_SECONDS)
            keys += [("shot " + picture.shot, number) for number in range(first, last)]
        return [self._numbers.setdefault(key, len(self._numbers)) for key in keys]


def split(
    sentence: Sentence,
    preset: Preset,
    fps: Fraction,
    shots: int,
    fitted: Callable[[int], tuple[Choice, ...]],
    *,
    takes: Container[str] = (),
) -> tuple[int, int, tuple[Choice, ...]]:
    """(frames of a slot, number of slots, choices for each) of a sentence with at most ``shots`` shots.

    ``fitted`` gives the choices for slots of so many frames. No more slots are made than there are shots
    that fit. Where even the longest shots are too short for the sentence, it gets more slots, up to
    ``SHORT_SLOTS``, as long as that makes it longer. ``takes`` are ids of shots that do not count.
    """
    while True:
        seconds, count = slot_seconds(sentence, preset, shots, pinned=False)
        frames = max(1, round(seconds * fps))
        choices = fitted(frames)
        left = len({choice.picture.shot for choice in choices if choice.picture.shot not in takes})
        if count == 1 or left >= count:
            break
        shots = left
    hold = sentence.directives.hold
    total = hold or max(preset.minimum, sentence.seconds)
    least = LEAST_SECONDS if hold else preset.minimum
    best, longest = _longest(choices, count, takes), frames
    for number in range(count + 1, min(SHORT_SLOTS, shots, left, int(total / least)) + 1):
        if best >= NEARLY * total * fps:
            break
        each = min(longest, max(1, round(total / number * fps)))
        more = fitted(each)
        if (shown := _longest(more, number, takes)) > best:
            best, frames, count, choices = shown, each, number, more
    return frames, count, choices


def _longest(choices: Sequence[Choice], count: int, takes: Container[str]) -> int:
    """Frames that the longest ``count`` shots show together."""
    frames: dict[str, int] = {}
    for choice in choices:
        shot = choice.picture.shot
        if shot not in takes:
            frames[shot] = max(frames.get(shot, 0), choice.frames)
    return sum(sorted(frames.values())[-count:])
