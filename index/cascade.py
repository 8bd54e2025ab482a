"""From probabilities to boundaries: the quick network, TransNetV2, and TransNetV2 where the first hesitates.

A detector here sees frames at ``TINY`` size, at most 45 a second: of faster footage every second frame or
fewer are looked at, and those between are asked when the place of a boundary is told to the frame.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from index.changes import ChangeMeter, Floats, shrink
from index.decode import Image
from index.transnet import CONTEXT, WINDOW, load_transnet

__all__ = ["CascadeDetector", "Effort", "FastDetector", "TransNetDetector"]

_SHORTEST = Fraction(1, 45)
"""Frames closer than this to the last one looked at are passed over, seconds."""
_ACCEPTED = 0.5
"""Probability from which a boundary is one."""
_POSSIBLE = 0.1
"""Probability from which the quick network hesitates."""
_CERTAIN = 0.98
"""Probability from which it does not hesitate any more."""
_GAP = 2
"""Frames below ``_POSSIBLE`` that do not end a doubtful span."""
_LONGEST = 96
"""Frames of a doubtful span, at most."""
_APART = 10
"""Frames between two boundaries of one span, at least."""
_SNAP = 2
"""Frames around a peak among which the greatest change is the boundary."""
_STEP = 0.03
"""Change of a frame that may be a cut, as a share of white."""
_STEP_RATIO = 3.0
"""How often it must exceed the mean of the two frames before and after: PySceneDetect's adaptive measure."""
_NEAR = 4
"""Frames around a peak among which TransNetV2's answer is looked for."""
_AGREED = 0.8
"""Probability from which TransNetV2 alone decides that a step is a cut: set by hand on a handful of steps."""
_NEVER = 0.005
"""Probability below which a step is left alone, if it does not stand out: a flash, most often."""
_PLAIN_RATIO = 7.0
"""How often a step that stands out by itself exceeds the frames around it."""
_PLAIN_AGREED = 0.65
"""Probability from which TransNetV2 alone decides that such a step is a cut."""
_FUSION = (0.55, 0.4, -1.1)
"""Weights of the log odds of the quick network and of TransNetV2, and a constant.

Fitted by logistic regression on tuning takes that the quick network had not been fitted to.
"""


@dataclass(slots=True)
class Effort:
    """How much of a file was given to TransNetV2."""

    frames: int = 0
    """Frames looked at."""
    ruled: int = 0
    """Frames that TransNetV2 saw, those around the doubtful spans included."""
    spans: int = 0
    """How often it was asked."""


@dataclass(frozen=True, slots=True)
class _Seen:
    time: Fraction
    tiny: Image
    passed: tuple[tuple[Fraction, Image], ...]
    """Frames passed over between the one looked at before and this one."""


class _Frames:
    """The last frames, by number; the oldest are forgotten."""

    def __init__(self) -> None:
        self._held: deque[_Seen] = deque()
        self._passed: list[tuple[Fraction, Image]] = []
        self._first = 0

    def add(self, time: Fraction, image: Image) -> bool:
        """Take the next frame; whether it is to be looked at."""
        tiny = shrink(image)
        if self._held and time - self._held[-1].time < _SHORTEST:
            self._passed.append((time, tiny))
            return False
        self._held.append(_Seen(time, tiny, tuple(self._passed)))
        self._passed.clear()
        return True

    @property
    def count(self) -> int:
        """Frames looked at so far."""
        return self._first + len(self._held)

    @property
    def last(self) -> Image:
        """The last frame looked at."""
        return self._held[-1].tiny

    def forget(self, before: int) -> None:
        """Drop the frames before number ``before``."""
        while self._first < before and len(self._held) > 1:
            self._held.popleft()
            self._first += 1

    def start(self, number: int) -> Fraction:
        """The earliest time at which a boundary told as ``number`` can lie."""
        seen = self._held[max(0, number - self._first)]
        return seen.passed[0][0] if seen.passed else seen.time

    def time(self, number: int) -> Fraction:
        """When frame ``number`` is shown, or the one passed over before it that differs more."""
        place = number - self._first
        seen = self._held[place]
        if not seen.passed or place == 0:
            return seen.time
        row = [(Fraction(0), self._held[place - 1].tiny), *seen.passed, (seen.time, seen.tiny)]
        steps = [float(np.abs(b.astype(np.int16) - a).mean()) for (_, a), (_, b) in pairwise(row)]
        return row[1 + int(np.argmax(steps))][0]

    def tiny(self, first: int, last: int) -> NDArray[np.uint8]:
        """Frames ``[first, last)``, as far as they are held."""
        begin = max(0, first - self._first)
        return np.stack([self._held[n].tiny for n in range(begin, min(last - self._first, len(self._held)))])

    def begin(self, first: int) -> int:
        """The number of the first frame that ``tiny`` gives."""
        return max(first, self._first)


class FastDetector:
    """Boundaries by the quick network alone."""

    def __init__(self) -> None:
        self._frames = _Frames()
        self._meter = ChangeMeter()
        self._rows = np.zeros((0, 3), np.float32)
        self._from = 0
        """Number of the frame of the first row."""
        self._next = 0
        """Number of the first frame not yet looked at for a doubtful span."""
        self._span: tuple[int, int] | None = None
        """First and last doubtful frame of the span that is open."""
        self._settled = Fraction(0)

    @property
    def settled(self) -> Fraction:
        """Boundaries before this time are told."""
        return self._settled

    def push(self, time: Fraction, image: Image) -> list[Fraction]:
        """Take the next frame; boundaries that are certain now."""
        if not self._frames.add(time, image):
            return []
        rows = self._meter.push(self._frames.last)
        return self._take(rows) if len(rows) else []

    def finish(self) -> list[Fraction]:
        """What was open after the last frame."""
        found = self._take(self._meter.finish(), last=True)
        if self._span is not None:
            found += self._close(*self._span)
            self._span = None
        return found

    def _take(self, rows: Floats, *, last: bool = False) -> list[Fraction]:
        self._rows = np.concatenate([self._rows, rows])
        found: list[Fraction] = []
        # Whether a step stands out is known two frames later.
        end = self._from + len(self._rows) - (0 if last else _SNAP)
        for number in range(self._next, end):
            if self._is_doubtful(number):
                self._span = (self._span[0] if self._span else number, number)
            if self._span is None:
                continue
            first, latest = self._span
            if number - latest >= _GAP + _SNAP or latest - first >= _LONGEST:
                found += self._close(first, latest)
                self._span = None
        self._next = max(self._next, end)
        if last:
            return found
        open_from = self._span[0] if self._span else self._next
        self._forget(open_from - _SNAP - 1)
        return found

    def _forget(self, before: int) -> None:
        self._settled = self._frames.start(max(0, before))
        drop = max(0, before - CONTEXT - self._from)
        self._rows = self._rows[drop:]
        self._from += drop
        self._frames.forget(before - CONTEXT - 1)

    def _is_doubtful(self, number: int) -> bool:
        return bool(self._rows[number - self._from, 0] >= _POSSIBLE)

    def _close(self, first: int, last: int) -> list[Fraction]:
        """Boundaries of the span of doubtful frames ``first`` to ``last``."""
        return [self._place(n) for n in self._peaks(first, last) if self._chance(n) >= _ACCEPTED]

    def _chance(self, number: int) -> float:
        return float(self._rows[number - self._from, 0])

    def _peaks(self, first: int, last: int) -> list[int]:
        """The likeliest frames of a span, in order: one, or several with a dip between them."""
        chances = self._rows[first - self._from : last + 1 - self._from, 0]
        peaks: list[int] = []
        for place in np.argsort(-chances, kind="stable"):
            if peaks and chances[place] < _ACCEPTED:
                break
            if all(
                abs(place - other) >= _APART
                and chances[min(place, other) : max(place, other) + 1].min() < chances[place] / 2
                for other in peaks
            ):
                peaks.append(int(place))
        return [first + place for place in sorted(peaks)]

    def _place(self, number: int) -> Fraction:
        """The time of the greatest change near a peak."""
        begin = max(0, number - _SNAP - self._from)
        steps = self._rows[begin : number + _SNAP + 1 - self._from, 2]
        return self._frames.time(self._from + begin + int(np.argmax(steps)))


def _odds(chance: float) -> float:
    chance = min(max(chance, 0.002), 0.998)
    return float(np.log(chance / (1 - chance)))


class CascadeDetector(FastDetector):
    """The quick network where it is sure, TransNetV2 on the spans where it is not.

    A sudden step is put before TransNetV2 even where the quick network hardly sees a boundary.
    """

    def __init__(self, threads: int = 0, effort: Effort | None = None) -> None:
        super().__init__()
        self._threads = threads
        self._effort = effort if effort is not None else Effort()
        self._ruled = (0, np.zeros((0, 2), np.float32))
        """Number of the first frame of TransNetV2's last answer, and the answer."""

    def push(self, time: Fraction, image: Image) -> list[Fraction]:
        """Take the next frame; boundaries that are certain now."""
        before = self._frames.count
        found = super().push(time, image)
        self._effort.frames += self._frames.count - before
        return found

    def _is_doubtful(self, number: int) -> bool:
        if super()._is_doubtful(number) or self._is_step(number, _PLAIN_RATIO):
            return True
        return self._chance(number) >= _NEVER and self._is_step(number)

    def _is_step(self, number: int, ratio: float = _STEP_RATIO) -> bool:
        """Whether the picture changes suddenly here, and neither before nor after."""
        place = number - self._from
        step = float(self._rows[place, 2])
        around = [*self._rows[max(0, place - 2) : place, 2], *self._rows[place + 1 : place + 3, 2]]
        return step >= _STEP and bool(around) and step >= ratio * float(np.mean(around))

    def _close(self, first: int, last: int) -> list[Fraction]:
        peaks = self._peaks(first, last)
        if all(self._chance(number) >= _CERTAIN for number in peaks):
            return [self._place(number) for number in peaks]
        begin, ruled = self._ruled
        if first - _NEAR < begin or last + 2 * _NEAR > begin + len(ruled):
            # Where spans crowd, as in a strobe, the next ones are answered with this one.
            crowded = first - CONTEXT < begin + len(ruled)
            end = max(last + CONTEXT + 1, first - CONTEXT + WINDOW if crowded else 0)
            begin = self._frames.begin(first - CONTEXT)
            frames = self._frames.tiny(first - CONTEXT, end)
            self._effort.ruled += len(frames)
            self._effort.spans += 1
            ruled = load_transnet(self._threads).judge(frames)
            self._ruled = (begin, ruled)
        return [self._place(n) for n in peaks if self._ruling(n, ruled, begin) >= _ACCEPTED]

    def _ruling(self, number: int, ruled: Floats, begin: int) -> float:
        """Both signals together."""
        place = number - begin
        near = ruled[max(0, place - _NEAR) : place + _NEAR]
        sure = float(near[:, 0].max())
        last = self._from + len(self._rows)
        near_by = range(max(self._from, number - _SNAP), min(last, number + _SNAP + 1))
        if sure >= _AGREED and any(self._is_step(n) for n in near_by):
            return sure
        if sure >= _PLAIN_AGREED and any(self._is_step(n, _PLAIN_RATIO) for n in near_by):
            return sure
        quick, slow, constant = _FUSION
        odds = quick * _odds(self._chance(number)) + slow * _odds(sure) + constant
        return float(1 / (1 + np.exp(-odds)))


class TransNetDetector:
    """TransNetV2 on every frame."""

    def __init__(self, threads: int = 0, threshold: float = _ACCEPTED) -> None:
        self._threads = threads
        self._threshold = threshold
        self._frames = _Frames()
        self._known = 0
        """Frames that have been judged."""
        self._peak: tuple[float, int] | None = None
        """Highest probability of the span that is open, and the frame after it."""
        self._settled = Fraction(0)

    @property
    def settled(self) -> Fraction:
        """Boundaries before this time are told."""
        return self._settled

    def push(self, time: Fraction, image: Image) -> list[Fraction]:
        """Take the next frame; boundaries that are certain now."""
        self._frames.add(time, image)
        begin = max(0, self._known - CONTEXT)
        return self._judge(self._frames.count - CONTEXT) if self._frames.count - begin >= WINDOW else []

    def finish(self) -> list[Fraction]:
        """What was open after the last frame."""
        found = self._judge(self._frames.count) if self._frames.count > self._known else []
        if self._peak is not None and self._peak[1] < self._frames.count:
            found.append(self._frames.time(self._peak[1]))
        return found

    def _judge(self, end: int) -> list[Fraction]:
        begin = self._frames.begin(self._known - CONTEXT)
        frames = self._frames.tiny(begin, self._frames.count)
        chances = load_transnet(self._threads).judge(frames)[:, 0]
        found = []
        for number in range(self._known, end):
            chance = float(chances[number - begin])
            if chance >= self._threshold:
                # The network marks the last frame of a shot: the next one begins the new shot.
                if self._peak is None or chance > self._peak[0]:
                    self._peak = (chance, number + 1)
            elif self._peak is not None:
                found.append(self._frames.time(self._peak[1]))
                self._peak = None
        self._known = end
        if end < self._frames.count:
            self._settled = self._frames.start(min(end, self._peak[1]) if self._peak else end)
            self._frames.forget(min(end - CONTEXT, self._peak[1] if self._peak else end) - 1)
        return found
