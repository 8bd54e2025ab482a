"""Fitting: how many pictures show a sentence, which part of a shot fills one, for how long, at which speed,
and which parts exclude each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from index.base import Span
from montage.presets import Preset
from montage.rules import Picture, Source, Wish
from montage.values import Candidate

__all__ = [
    "CELL_SECONDS",
    "GUARD_FRAMES",
    "LEAST_SECONDS",
    "NEARLY",
    "Anchor",
    "Cells",
    "Choice",
    "Offer",
    "counts",
    "fit",
    "length_costs",
]

GUARD_FRAMES = 3
"""Frames left out at each boundary of a shot: detected boundaries may be a frame or two off."""
GUARD_RATE = Fraction(25)
"""Frame rate assumed for the guard where it varies or is unknown."""
LEAST_SECONDS = Fraction(1, 2)
"""Less of a shot than this is no picture."""
CELL_SECONDS = 2
"""Length of a use cell: spans that overlap always share one, spans of one take this far apart never do."""
NEARLY = Fraction(9, 10)
"""A sentence that is shown for this share of the time asked for is shown long enough."""
QUICKEST = Fraction(1, 2)
"""A sentence is not split into pictures shorter than this share of the preset's pace."""

Anchor = Literal["middle", "start", "end"]
"""What of a picture stays where it is when its length changes: the middle of what matches, the start of a
span that was named, or the end of a camera move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A candidate, and what else the rules see of it."""

    candidate: Candidate
    rate: Fraction | None = None
    """The media's frame rate, None where it varies."""
    lines: int = 0
    subject: float | None = None
    preferred: bool = False
    exact: bool = False
    """Whether its span was named to the frame: the picture keeps within it and begins at its start."""
    whole: bool = False
    """Whether it is a generated take, whose file is played from its first frame at its own speed."""
    source: Source | None = None
    """The footage whose frames a take shows."""
    anchor: Anchor = "middle"

    @property
    def room(self) -> tuple[Fraction, Fraction]:
        """What of its source may be shown: all of the shot but for the guard, the span that was named, or all
        of a take, which has no neighbours in its file."""
        span = self.candidate.shot.span
        if self.whole:
            return span.start, span.end
        if self.exact:
            return self.candidate.span.start, self.candidate.span.end
        guard = GUARD_FRAMES / (self.rate or GUARD_RATE)
        return span.start + guard, span.end - guard

    def most(self, fps: Fraction, preset: Preset) -> int:
        """Frames of film that it can fill: footage slowed as far as the preset allows, a take as it is."""
        low, high = self.room
        if self.whole:
            return math.floor((high - low) * fps)
        return max(0, math.floor((high - low) / preset.slowest * fps))


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
    why: str = ""


def counts(seconds: Fraction, preset: Preset, shots: int) -> tuple[int, ...]:
    """How many pictures a sentence of ``seconds`` with ``shots`` different shots may have, fewest first.

    One, and as many as ``preset.slots`` as long as their parts of the sentence are no shorter than the
    preset's shortest and half its pace; more only where the sentence is too long for that, never more than
    there are shots. Fewer than its length asks for are better than a gap, so they are allowed too.
    """
    needed = max(1, math.ceil(seconds / preset.maximum))
    shortest = max(preset.minimum, QUICKEST * preset.pace)
    return tuple(
        n
        for n in range(1, max(needed, preset.slots) + 1)
        if n == 1 or (n <= shots and (n <= needed or seconds / n >= shortest))
    )


def fit(offer: Offer, frames: int, fps: Fraction, preset: Preset) -> Choice | None:
    """Place ``frames`` frames of film in what an offer may show.

    A shot that is too short is slowed down as far as the preset allows, then the slot is shortened; below
    half a second there is no choice and None is returned. A generated take is shown from 0 for exactly
    ``frames``, and one that is over half a frame too short is None, so that another is made.
    """
    candidate = offer.candidate
    shot = candidate.shot
    frame = 1 / (offer.rate or GUARD_RATE)
    speed = Fraction(1)
    if offer.whole:
        # The clock of a take's container may be off by a tick.
        if shot.span.seconds < (frames - Fraction(1, 2)) / fps:
            return None
        start, needed = Fraction(0), frames / fps
    else:
        low, high = offer.room
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
        if offer.anchor != "start" and not offer.exact:
            start = min(max(low, _begin(offer, needed)), high - needed)
            start = low + math.floor((start - low) / frame) * frame  # on the source's own frames
    return Choice(
        candidate=candidate,
        picture=Picture(
            shot=shot.id,
            media=shot.media,
            group=shot.group,
            span=Span(start, start + needed),
            look=shot.look,
            match=candidate.match,
            seconds=float(frames / fps),
            speed=float(speed),
            taken=shot.span,
            source=offer.source,
            lines=offer.lines,
            subject=offer.subject,
            preferred=offer.preferred,
            meaning=candidate.meaning,
        ),
        frames=frames,
        speed=speed,
        exact=offer.exact,
        why=candidate.why,
    )


def _begin(offer: Offer, needed: Fraction) -> Fraction:
    shot = offer.candidate.shot
    if offer.anchor == "end" and shot.look.moving is not None:
        return shot.span.start + Fraction(shot.look.moving[1]).limit_denominator(1000) - needed
    return offer.candidate.span.middle - needed / 2


def length_costs(
    offer: Offer,
    least: int,
    most: int,
    wish: Wish,
    weights: Mapping[str, float],
    fps: Fraction,
    preset: Preset,
) -> NDArray[np.float64]:
    """(most - least + 1,) cost of the rules that look at a slot's length, for every length in frames.

    Infinite where the shot is too short. The same as by the rules themselves, but that a picture's start is
    not yet moved to a frame of its source, which can only cost more.
    """
    frames = np.arange(least, most + 1)
    seconds = frames / float(fps)
    room = float(offer.room[1] - offer.room[0])
    # A hair more, so that what is a whole hundredth stays one.
    speed = np.where(seconds <= room, 1.0, np.floor(room * 100 / seconds + 1e-9) / 100)
    out = weights["pace"] * np.clip(np.log2(seconds / wish.seconds) ** 2, 0, 1)
    if wish.pace is not None:
        out += weights["tempo"] * np.clip((np.log(seconds / wish.pace) / (2 * wish.spread)) ** 2, 0, 1)
    out += weights["speed"] * np.clip((np.log2(np.maximum(speed, 1e-9)) / math.log2(0.8)) ** 2, 0, 1)
    moving = offer.candidate.shot.look.moving
    if moving is not None and moving[1] > moving[0]:
        first = float(offer.candidate.shot.span.start)
        begin, end = first + moving[0], first + moving[1]
        low, high = (float(side) for side in offer.room)
        needed = np.minimum(room, seconds * speed)
        start = np.full(len(frames), low)
        if not offer.exact and offer.anchor != "start":
            middle = float(offer.candidate.span.middle)
            wanted = end - needed if offer.anchor == "end" else middle - needed / 2
            start = np.minimum(np.maximum(low, wanted), high - needed)
        stop = start + needed
        left = np.clip((end - stop) / (end - begin), 0, 1)
        out += weights["finished move"] * np.where(stop <= begin, 0.0, left)
    out = out * wish.share
    priced: NDArray[np.float64] = np.where(speed < float(preset.slowest) - 1e-9, np.inf, out)
    return priced


def _shown(picture: Picture) -> list[tuple[str, str, Span]]:
    """(near-duplicate group, shot, source seconds) of all that a picture shows: a take's footage too."""
    own = (picture.group, picture.shot, picture.span)
    source = picture.source
    return [own] if source is None else [own, (source.group, source.shot, source.span)]


class Cells:
    """Numbers for the source time that choices use; two choices with a number in common exclude each other.

    Cells belong to a shot and are ``CELL_SECONDS`` long. Where several shots of a near-duplicate group are
    among the choices, the whole group is one cell. A span that was named to the frame has a cell of its
    own, which whatever overlaps it takes too: two such spans may touch. Besides, every choice takes a cell
    for its shot, which may be taken again at a cost (``again``).
    """

    def __init__(self, choices: Iterable[Choice]) -> None:
        shots: dict[str, set[str]] = {}
        exact: dict[tuple[str, Span], Picture] = {}
        for choice in choices:
            for group, shot, _ in _shown(choice.picture):
                if group:
                    shots.setdefault(group, set()).add(shot)
            if choice.exact:
                exact.setdefault((choice.picture.media, choice.picture.span), choice.picture)
        self._shared = {group for group, members in shots.items() if len(members) > 1}
        self._exact = tuple(exact.values())
        self._numbers: dict[tuple[str, int], int] = {}

    def of(self, choice: Choice) -> list[int]:
        """The cells that a choice takes and nothing else may take."""
        picture = choice.picture
        keys: list[tuple[str, int]] = [
            key for group, shot, span in _shown(picture) for key in self._keys(choice, group, shot, span)
        ]
        return [self._number(key) for key in dict.fromkeys(keys)]

    def _keys(self, choice: Choice, group: str, shot: str, span: Span) -> list[tuple[str, int]]:
        picture = choice.picture
        shared = group in self._shared and not choice.exact
        keys = [
            ("exact", number)
            for number, named in enumerate(self._exact)
            if (named.media == picture.media and named.span.overlaps(picture.span))
            or (shot == named.shot and named.span.overlaps(span))
            or (shared and named.group == group)
        ]
        if shared:
            keys.append(("group " + group, 0))
        elif not choice.exact:
            first = int(span.start // CELL_SECONDS)
            last = -int(-span.end // CELL_SECONDS)
            keys += [("shot " + shot, number) for number in range(first, last)]
        return keys

    def again(self, choice: Choice) -> int:
        """The cell that each further use of its shot pays for."""
        return self._number(("again " + choice.picture.shot, 0))

    def _number(self, key: tuple[str, int]) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def fees(self, weight: float) -> NDArray[np.float64]:
        """(cells,) what each further taking of a cell costs; infinite for source time."""
        out = np.full(len(self._numbers), np.inf)
        for (kind, _), number in self._numbers.items():
            if kind.startswith("again "):
                out[number] = weight
        return out
