"""Offering: what each sentence may show, and in how many pictures.

Here the script's directives, what was decided by hand, and what was found become layers of options for the
solver.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np

from index.values import Media, Shot
from montage.fitting import NEARLY, Choice, Offer, counts, fit, length_costs
from montage.idioms import IdiomWish
from montage.layers import Layer, Option, Plan, State, layers_of
from montage.presets import Preset
from montage.rules import Picture, Source, Wish, slot_costs
from montage.script import Script
from montage.splicing import is_reworked, piece_of
from montage.values import Candidate, MontageError, Sentence, Slot, SlotKind, Title

__all__ = ["Asked", "Take", "lay_out"]

NEAR = 0.6
"""Where a sentence has a match over the threshold, others count too down to this share of it: better a near
match than a gap once the best are used up."""

Take = tuple[SlotKind, Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What ``montage.assemble.assemble`` was asked."""

    candidates: Mapping[str, Sequence[Candidate]]
    preset: Preset
    fps: Fraction
    threshold: float
    thresholds: Mapping[str, float]
    media: Mapping[str, Media]
    previous: Sequence[Slot]
    bans: frozenset[str]
    sentence_bans: Mapping[str, Collection[str]]
    pins: Mapping[str, Sequence[Candidate]]
    exact: frozenset[str]
    locks: frozenset[str]
    shots: Mapping[str, Shot]
    prefers: frozenset[str]
    sentence_prefers: Mapping[str, Collection[str]]
    subjects: Mapping[str, str]
    idioms: Mapping[str, IdiomWish]
    takes: Mapping[str, Take]
    sources: Mapping[str, Source]
    narration: Mapping[str, Fraction]
    flexible: bool
    """Whether lengths are to be found for all slots together."""


def lay_out(asked: Asked, script: Script) -> list[Layer]:
    """The layers of a script, in order: titles stand before their sentence.

    Raises:
        MontageError: if a pin or a lock cannot be kept.
    """
    before: dict[str, list[Slot]] = {}
    for slot in asked.previous:
        before.setdefault(slot.sentence, []).append(slot)
    frames = max(1, round(asked.preset.title_seconds * asked.fps))
    titles = sorted(script.titles, key=lambda title: (title.before, title.line))
    clock = _Clock(asked.fps)
    out: list[Layer] = []
    for sentence in script.sentences:
        while titles and titles[0].before <= sentence.number:
            out.append(_title(titles.pop(0), frames))
        if not sentence.directives.skip:
            out += _Sentence(asked, sentence, tuple(before.get(sentence.id, ())), clock).layers()
    return out + [_title(title, frames) for title in titles]


def _title(title: Title, frames: int) -> Layer:
    return Layer(sentence=None, title=title, states=(State(plan=1, option=None, frames=frames),))


class _Clock:
    """Rounds the narration's times to frames from its beginning, so that nothing drifts."""

    def __init__(self, fps: Fraction) -> None:
        self.fps, self.now, self.told = fps, Fraction(0), 0

    def frames(self, seconds: Fraction) -> int:
        self.now += seconds
        frames = max(1, math.floor(self.now * self.fps + Fraction(1, 2)) - self.told)
        self.told += frames
        return frames


def _shares(frames: int, count: int) -> tuple[int, ...]:
    """``frames`` in ``count`` parts as equal as can be."""
    ends = [frames * n // count for n in range(count + 1)]
    return tuple(max(1, b - a) for a, b in pairwise(ends))


class _Sentence:
    """One sentence on its way to its layers."""

    def __init__(self, asked: Asked, sentence: Sentence, before: tuple[Slot, ...], clock: _Clock) -> None:
        self.asked = asked
        self.sentence = sentence
        self.before = before
        self.preset = asked.preset
        self.weights = asked.preset.all_weights
        self.banned = asked.bans | set(asked.sentence_bans.get(sentence.id, ()))
        self.preferred = asked.prefers | set(asked.sentence_prefers.get(sentence.id, ()))
        hold = sentence.directives.hold
        self.seconds = hold or max(self.preset.minimum, sentence.seconds)
        self.voice: int | None = None
        if sentence.id in asked.narration:
            self.voice = clock.frames(asked.narration[sentence.id])
            self.seconds = self.voice / asked.fps

    def layers(self) -> list[Layer]:
        """The layers of the sentence."""
        if self.sentence.id in self.asked.locks:
            return self._layers([self._locked()])
        if self.sentence.id in self.asked.pins:
            return self._layers([self._pinned()])
        offered = [c for c in self.asked.candidates.get(self.sentence.id, ()) if c.shot.id not in self.banned]
        # Sorted, so that the order of the candidates does not matter.
        offered.sort(key=lambda c: (-c.match, c.shot.id, c.span))
        made = [self._offer(c) for c in offered if c.shot.id in self.asked.takes]
        found = [c for c in offered if c.shot.id not in self.asked.takes]
        plans, good, why = self._plans(found, [offer for offer in made if self._stands_in(offer)])
        takes = [offer for offer in made if not self._stands_in(offer)]
        if good and not plans:
            why = "no matching shot is long enough"
        near = () if good else self._near(found)
        return self._layers(self._with_gap(plans, takes), why or "no unused shot is left for it", near)

    def _plans(
        self, found: Sequence[Candidate], instead: Sequence[Offer]
    ) -> tuple[list[Plan], list[Candidate], str]:
        """(plans of footage, and of takes that stand for some of it where they are long enough; the footage
        that is good enough; why there is none)."""
        ids = {offer.source.shot for offer in instead if offer.source is not None}
        good, why = self._good([candidate for candidate in found if candidate.shot.id not in ids])
        offers = [*instead, *(offer for candidate in good for offer in self._offers(candidate))]
        plans = [plan for n in self._counts(offers) if all((plan := self._plan(n, offers)).options)]
        shown = {option.choice.picture.shot for plan in plans for slot in plan.options for option in slot}
        fitting = [offer for offer in instead if offer.candidate.shot.id in shown]
        return (plans, good, why) if len(fitting) == len(instead) else self._plans(found, fitting)

    def _stands_in(self, offer: Offer) -> bool:
        return is_reworked(self.asked.takes[offer.candidate.shot.id][1])

    def _layers(self, plans: Sequence[Plan], why: str = "", near: tuple[Choice, ...] = ()) -> list[Layer]:
        return layers_of(self.sentence, plans, self.weights, why_gap=why, near=near, before=self.before)

    # What is offered ---------------------------------------------------------------------------------

    def _good(self, found: Sequence[Candidate]) -> tuple[list[Candidate], str]:
        """(candidates good enough to show, why there is a gap if there are none)."""
        if self.sentence.directives.generate:
            return [], "[generate] asks for a new shot"
        if not found:
            return [], "nothing in the library was found for it"
        threshold = self.asked.thresholds.get(self.sentence.id, self.asked.threshold)
        best = max(candidate.match for candidate in found)
        if best < threshold:
            return [], f"the best match is {best:.2f}, under {threshold:.2f}"
        return [candidate for candidate in found if candidate.match >= NEAR * threshold], ""

    def _offer(self, candidate: Candidate, *, exact: bool = False) -> Offer:
        media = self.asked.media.get(candidate.shot.media)
        return Offer(
            candidate=candidate,
            rate=None if media is None else media.rate,
            lines=0 if media is None else min(media.display_size),
            subject=candidate.parts.get("subject"),
            preferred=candidate.shot.id in self.preferred,
            exact=exact,
            whole=candidate.shot.id in self.asked.takes,
            source=self.asked.sources.get(candidate.shot.id),
        )

    def _offers(self, candidate: Candidate) -> list[Offer]:
        """A candidate around what matches, and so that it ends with its camera's move where that is near."""
        offer = self._offer(candidate)
        moving = candidate.shot.look.moving
        if moving is None:
            return [offer]
        end = candidate.shot.span.start + Fraction(moving[1]).limit_denominator(1000)
        reach = self.seconds
        near = candidate.span.start < end and end - reach < candidate.span.end
        return [offer, replace(offer, anchor="end")] if near else [offer]

    def _counts(self, offers: Sequence[Offer]) -> tuple[int, ...]:
        shots = len({offer.candidate.shot.id for offer in offers})
        hold = self.sentence.directives.hold
        if hold is None:
            return counts(self.seconds, self.preset, shots)
        # As few as meet the hold; where none do, as many as last longest.
        reach = {n: self._longest(offers, n) for n in range(1, min(self.preset.slots, shots) + 1)}
        met = [n for n, frames in reach.items() if frames >= NEARLY * hold * self.asked.fps]
        return (met[0] if met else max(reach, key=lambda n: (reach[n], -n), default=1),)

    def _longest(self, offers: Sequence[Offer], count: int) -> int:
        """Frames that so many different shots show together at most, each its part of the sentence."""
        part = max(1, round(self.seconds / count * self.asked.fps))
        frames: dict[str, int] = {}
        for offer in offers:
            choice = fit(offer, part, self.asked.fps, self.preset)
            if choice is not None:
                shot = offer.candidate.shot.id
                frames[shot] = max(frames.get(shot, 0), choice.frames)
        return sum(sorted(frames.values())[-count:])

    def _wish(self, seconds: Fraction, count: int, *, held: bool) -> Wish:
        idiom = self.asked.idioms.get(self.sentence.id, IdiomWish())
        directives = self.sentence.directives
        return Wish(
            seconds=float(seconds),
            sentence=self.sentence.id,
            paragraph=self.sentence.paragraph,
            share=1 / count,
            pace=None if held else float(self.preset.pace),
            spread=self.preset.spread,
            size=directives.size,
            move=directives.move,
            scale=idiom.scale,
            subject=idiom.subject or self.asked.subjects.get(self.sentence.id, ""),
            prefers=bool(self.preferred),
            previous=tuple(
                (slot.shot, slot.span)
                for slot in self.before
                if slot.shot is not None and slot.span is not None
            ),
        )

    # Plans -------------------------------------------------------------------------------------------

    def _plan(self, count: int, offers: Sequence[Offer]) -> Plan:
        """So many pictures of equal parts of the sentence."""
        held = self.sentence.directives.hold is not None
        most = self.seconds / count
        if not held and self.voice is None:
            most = min(most, self.preset.maximum)
        wish = self._wish(self.seconds / count, count, held=held)
        if self.voice is not None:
            frames = _shares(self.voice, count)
            options = tuple(self._exactly(offers, own, wish) for own in frames)
            return Plan(wish=wish, frames=frames, options=options)
        frames = (max(1, round(most * self.asked.fps)),) * count
        own = tuple(option for offer in offers if (option := self._option(offer, most, wish, held)))
        return Plan(wish=wish, frames=frames, options=(_distinct(own),) * count)

    def _option(self, offer: Offer, target: Fraction, wish: Wish, held: bool) -> Option | None:
        """An offer at the length that costs least by the slot's own rules, and what other lengths cost."""
        fps, preset = self.asked.fps, self.preset
        if held:
            choice = fit(offer, max(1, round(target * fps)), fps, preset)
            return None if choice is None else self._fixed(offer, choice, wish)
        most = min(math.floor(max(preset.maximum, target) * fps), offer.most(fps, preset))
        least = min(math.ceil(min(preset.minimum, target) * fps), most)
        if least < 1:
            return None
        lengths = length_costs(offer, least, most, wish, self.weights, fps, preset)
        best = int(lengths.argmin())
        choice = fit(offer, least + best, fps, preset)
        if choice is None or not np.isfinite(lengths[best]):
            return None
        if not self.asked.flexible:
            return replace(self._fixed(offer, choice, wish), free=True)
        return Option(
            offer=offer,
            choice=choice,
            longest=fit(offer, most, fps, preset) or choice,
            costs=slot_costs(choice.picture, wish, self.weights),
            least=least,
            lengths=lengths - lengths[best],
            free=True,
        )

    def _fixed(self, offer: Offer | None, choice: Choice, wish: Wish) -> Option:
        return Option(
            offer=offer,
            choice=choice,
            longest=choice,
            costs=slot_costs(choice.picture, wish, self.weights),
            least=choice.frames,
            lengths=np.zeros(1),
        )

    def _exactly(self, offers: Sequence[Offer], frames: int, wish: Wish) -> tuple[Option, ...]:
        """Offers that last exactly so many frames."""
        fitted = ((offer, fit(offer, frames, self.asked.fps, self.preset)) for offer in offers)
        return _distinct(
            tuple(
                self._fixed(offer, choice, wish)
                for offer, choice in fitted
                if choice is not None and choice.frames == frames
            )
        )

    def _near(self, found: Sequence[Candidate]) -> tuple[Choice, ...]:
        """Candidates that are not good enough, fitted; for alternates."""
        frames = self._gap_frames()
        fitted = (fit(self._offer(c), frames, self.asked.fps, self.preset) for c in found)
        return tuple(choice for choice in fitted if choice is not None)

    def _gap_frames(self) -> int:
        """Length of the sentence in one slot."""
        if self.voice is not None:
            return self.voice
        held = self.sentence.directives.hold is not None
        seconds = self.seconds if held else min(self.seconds, self.preset.maximum)
        return max(1, round(seconds * self.asked.fps))

    def _with_gap(self, plans: Sequence[Plan], takes: Sequence[Offer]) -> list[Plan]:
        """The plans, with that of a single slot, which may stay empty or show a generated take."""
        frames = self._gap_frames()
        known = next((plan for plan in plans if len(plan) == 1), None)
        held = self.sentence.directives.hold is not None
        wish = known.wish if known is not None else self._wish(frames / self.asked.fps, 1, held=held)
        made = self._exactly(takes, frames, wish)
        options = known.options[0] if known is not None else ()
        gap = Plan(wish=wish, frames=(frames,), options=((*options, *made),), gap=True)
        pieces = [] if made else self._in_pieces(takes, held)
        return [gap, *pieces, *(plan for plan in plans if plan is not known)]

    def _in_pieces(self, takes: Sequence[Offer], held: bool) -> list[Plan]:
        """Plans of several slots, of takes that were made for them: a gap beyond a model's limit."""
        parts: dict[int, dict[int, list[Offer]]] = {}
        for offer in takes:
            piece, count = piece_of(self.asked.takes[offer.candidate.shot.id][1])
            parts.setdefault(count, {}).setdefault(piece, []).append(offer)
        found = []
        for count, offers in sorted(parts.items()):
            if count < 2 or len(offers) < count:
                continue
            frames = tuple(
                round(offers[piece][0].candidate.shot.span.seconds * self.asked.fps) for piece in range(count)
            )
            wish = self._wish(Fraction(sum(frames)) / self.asked.fps / count, count, held=held)
            options = tuple(self._exactly(offers[piece], frames[piece], wish) for piece in range(count))
            if all(options):
                found.append(Plan(wish=wish, frames=frames, options=options))
        return found

    # What was decided by hand ------------------------------------------------------------------------

    def _pinned(self) -> Plan:
        sentence, fps, preset = self.sentence, self.asked.fps, self.preset
        pins = self.asked.pins[sentence.id]
        offered = sorted(
            (c for c in pins if c.shot.id not in self.banned), key=lambda c: (-c.match, c.shot.id, c.span)
        )
        if not offered:
            names = ", ".join(sorted({c.shot.id for c in pins})) or "nothing"
            raise MontageError(
                f"sentence {sentence.number} pins {names}, which is banned: lift the ban or the pin"
            )
        pin, hold = sentence.directives.pin, sentence.directives.hold
        exact = sentence.id in self.asked.exact or (pin is not None and pin.span is not None)
        seconds = self.seconds if self.voice is not None or hold else min(self.seconds, preset.maximum)
        whole = exact and hold is None and self.voice is None
        wish = self._wish(seconds, 1, held=True)
        options = []
        for candidate in offered:
            offer = self._offer(candidate, exact=exact)
            # The stretch that was named is shown whole, whatever the preset's lengths.
            frames = math.floor(candidate.span.seconds * fps) or 1 if whole else max(1, round(seconds * fps))
            choice = fit(offer, frames, fps, preset)
            if choice is not None:
                own = replace(wish, seconds=float(choice.frames / fps)) if whole else wish
                options.append(self._fixed(offer, choice, own))
        if not options:
            raise MontageError(
                f"sentence {sentence.number} pins a stretch under half a second: pin a longer one"
            )
        if whole:
            longest = max(option.choice.frames for option in options)
            wish = replace(wish, seconds=float(longest / fps))
            options = [self._fixed(option.offer, option.choice, wish) for option in options]
        if self.voice is not None and max(option.choice.frames for option in options) < self.voice:
            return self._after_pin(options, self.voice)
        return Plan(wish=wish, frames=(options[0].choice.frames,), options=(tuple(options),))

    def _after_pin(self, pinned: Sequence[Option], voice: int) -> Plan:
        """What a sentence is pinned to, and other pictures for as long as its voice goes on."""
        fps, preset = self.asked.fps, self.preset
        own = {option.choice.picture.shot for option in pinned}
        longest = max(option.choice.frames for option in pinned)
        # What is pinned gives way a little rather than that a moment is left for the next picture.
        first = min(longest, max(voice // 2, voice - math.ceil(preset.minimum * fps)))
        rest = [
            self._offer(candidate)
            for candidate in sorted(
                self.asked.candidates.get(self.sentence.id, ()),
                key=lambda c: (-c.match, c.shot.id, c.span),
            )
            if candidate.shot.id not in self.banned | own and candidate.shot.id not in self.asked.takes
        ]
        for count in range(1, 1 + len({offer.candidate.shot.id for offer in rest})):
            frames = (first, *_shares(voice - first, count))
            wish = self._wish(Fraction(voice, count + 1) / fps, count + 1, held=True)
            offers = [option.offer for option in pinned if option.offer is not None]
            options = [self._exactly(offers, first, wish)]
            options += [self._exactly(rest, part, wish) for part in frames[1:]]
            if all(options) and len({o.choice.picture.shot for o in options[1]}) >= count:
                return Plan(wish=wish, frames=frames, options=tuple(options))
        raise MontageError(
            f"sentence {self.sentence.number} pins {float(longest / fps):.2f} s of footage, but is spoken "
            f"for {float(voice / fps):.2f} s, and nothing else in the library is found for it: pin a longer "
            "stretch, or split the sentence"
        )

    def _locked(self) -> Plan:
        """What the last cut showed, to the frame."""
        sentence, fps = self.sentence, self.asked.fps
        if not self.before:
            raise MontageError(
                f"sentence {sentence.number} is locked, but there is no earlier cut of it to keep: plan once "
                "without the lock, then lock it"
            )
        frames = tuple(slot.frames for slot in self.before)
        wish = replace(
            self._wish(Fraction(sum(frames), len(frames)) / fps, len(frames), held=True), previous=()
        )
        if all(slot.shot is None for slot in self.before):
            return Plan(wish=wish, frames=frames, options=((),) * len(frames), gap=True)
        options = []
        for slot in self.before:
            shot = self.asked.shots.get(slot.shot or "")
            if shot is None or slot.span is None:
                raise MontageError(
                    f"sentence {sentence.number} is locked to shot {slot.shot}, which is no longer in the "
                    "library: bring the footage back and run build-index, or unlock it"
                )
            if shot.id in self.banned:
                raise MontageError(
                    f"sentence {sentence.number} has locked {shot.id}, which is banned: lift the ban or the "
                    "lock"
                )
            options.append((self._fixed(None, self._as_it_was(slot, shot), wish),))
        return Plan(wish=wish, frames=frames, options=tuple(options))

    def _as_it_was(self, slot: Slot, shot: Shot) -> Choice:
        assert slot.span is not None
        media = self.asked.media.get(shot.media)
        known = [
            c
            for c in self.asked.candidates.get(self.sentence.id, ())
            if c.shot.id == shot.id and c.span.overlaps(slot.span)
        ]
        match = slot.match if slot.match is not None else max((c.match for c in known), default=0.0)
        part = shot.span.intersection(slot.span) or shot.span
        candidate = Candidate(
            sentence=self.sentence.id, shot=shot, span=part, match=match, why=slot.why or "locked"
        )
        return Choice(
            candidate=candidate,
            picture=Picture(
                shot=shot.id,
                media=shot.media,
                group=shot.group,
                span=slot.span,
                look=shot.look,
                match=match,
                seconds=float(slot.frames / self.asked.fps),
                speed=float(slot.speed),
                taken=shot.span,
                lines=0 if media is None else min(media.display_size),
                subject=max((c.parts.get("subject", 0.0) for c in known), default=None),
                preferred=shot.id in self.preferred,
            ),
            frames=slot.frames,
            speed=slot.speed,
            exact=shot.id not in self.asked.takes,
            why=candidate.why,
        )


def _distinct(options: tuple[Option, ...]) -> tuple[Option, ...]:
    """Options of which no two show the same stretch."""
    seen: set[tuple[str, object, int]] = set()
    out = []
    for option in options:
        key = (option.choice.picture.shot, option.choice.picture.span, option.choice.frames)
        if key not in seen:
            seen.add(key)
            out.append(option)
    return tuple(out)
