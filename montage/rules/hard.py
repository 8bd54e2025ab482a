"""Hard rules: what no cut may ever do, each checked on the finished cut by plain values alone.

Generated takes are held to order, length and taste; where they come from in their file is no concern here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from index.base import Span
from index.values import Media, Shot
from montage.fitting import GUARD_FRAMES, GUARD_RATE, LEAST_SECONDS
from montage.presets import Preset
from montage.script import Script
from montage.taste import Taste
from montage.values import Sentence, Slot

__all__ = ["HARD_RULES", "Finished", "HardRule", "Violation", "broken"]


@dataclass(frozen=True, slots=True)
class Violation:
    """A hard rule that a cut breaks."""

    slot: int | None
    """Place in the cut, from 0; None for the cut as a whole."""
    rule: str
    says: str
    """What is wrong, in an editor's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A finished cut and what was asked of it."""

    slots: Sequence[Slot]
    script: Script
    preset: Preset
    fps: Fraction
    """Frames a second of the film."""
    shots: Mapping[str, Shot]
    """By id: at least those that the cut shows."""
    media: Mapping[str, Media]
    """By id; one that is not here has no known frame rate."""
    taste: Taste = field(default_factory=Taste)
    pins: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Sentence id to ids of the shots that the script pins it to."""
    bans: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Sentence id to ids of the shots that the script bans from it."""
    spoken: Collection[str] = ()
    """Ids of the sentences that last as long as a voice."""
    previous: Sequence[Slot] = ()
    """The last cut, which locked sentences keep."""
    total: tuple[int, int] | None = None
    """Least and most frames of the film; None for as it comes."""

    def of(self, sentence: str) -> Sentence | None:
        """The sentence with this id."""
        return next((one for one in self.script.sentences if one.id == sentence), None)

    def own(self, sentence: str) -> list[tuple[int, Slot]]:
        """The slots of a sentence, with their places."""
        return [(place, slot) for place, slot in enumerate(self.slots) if slot.sentence == sentence]

    def pinned(self, sentence: Sentence) -> Collection[str] | None:
        """Ids of the shots that a sentence must show one of, None where it is free."""
        choice = self.taste.pins.get(sentence.id)
        return self.pins.get(sentence.id, None if choice is None else (choice.shot,))

    def named(self, sentence: Sentence) -> Span | None:
        """The source seconds that a pin names to the frame, None where it names none."""
        if sentence.directives.pin is not None:
            return sentence.directives.pin.span
        choice = self.taste.pins.get(sentence.id)
        return None if choice is None else choice.span

    def locked(self, sentence: Sentence) -> bool:
        """Whether a sentence keeps what the last cut showed, to the frame."""
        return sentence.directives.lock or sentence.id in self.taste.locks

    def label(self, place: int) -> str:
        """``sentence 4`` or ``the title``."""
        sentence = self.of(self.slots[place].sentence)
        return f"sentence {sentence.number}" if sentence is not None else "the title"

    def room(self, slot: Slot) -> Span | None:
        """The shot of a slot less its guard frames, None where it is not known or too short for any."""
        shot = self.shots.get(slot.shot or "")
        if shot is None:
            return None
        media = self.media.get(shot.media)
        guard = GUARD_FRAMES / ((media.rate if media is not None else None) or GUARD_RATE)
        if shot.span.seconds <= 2 * guard:
            return None
        return Span(shot.span.start + guard, shot.span.end - guard)

    @property
    def footage(self) -> list[tuple[int, Slot, Span, Sentence]]:
        """(place, slot, what it shows, its sentence) of every picture that comes from the library."""
        out = []
        for place, slot in enumerate(self.slots):
            sentence = self.of(slot.sentence)
            if slot.kind == "footage" and slot.span is not None and sentence is not None:
                out.append((place, slot, slot.span, sentence))
        return out


Check = Callable[[Finished], Iterator[tuple[int | None, str]]]


@dataclass(frozen=True, slots=True)
class HardRule:
    """A rule that no cut may break."""

    name: str
    source: str
    check: Check
    """Gives (place or None, what is wrong) for each time that it is broken."""

    @property
    def says(self) -> str:
        """What an editor would say: the first line of the check's docstring."""
        return (self.check.__doc__ or "").strip().splitlines()[0]


def order(cut: Finished) -> Iterator[tuple[int | None, str]]:
    """The film follows the script: every sentence in its place, none left out, none that says [skip]."""
    numbers = {sentence.id: sentence.number for sentence in cut.script.sentences}
    last = 0
    for place, slot in enumerate(cut.slots):
        if slot.kind == "title":
            continue
        number = numbers.get(slot.sentence)
        if number is None:
            yield place, f"it shows {slot.sentence!r}, which is no sentence of the script"
            continue
        if number < last:
            yield place, f"sentence {number} comes after sentence {last}"
        last = max(last, number)
    for sentence in cut.script.sentences:
        shown = bool(cut.own(sentence.id))
        if sentence.directives.skip and shown:
            yield cut.own(sentence.id)[0][0], f"sentence {sentence.number} says [skip] and is shown"
        elif not sentence.directives.skip and not shown:
            yield None, f"sentence {sentence.number} is left out"


def titles(cut: Finished) -> Iterator[tuple[int | None, str]]:
    """Titles stand where the script puts them, and say what it says."""
    asked = sorted(cut.script.titles, key=lambda title: (title.before, title.line))
    shown = [(place, slot) for place, slot in enumerate(cut.slots) if slot.kind == "title"]
    numbers = {sentence.id: sentence.number for sentence in cut.script.sentences}
    if len(asked) != len(shown):
        yield None, f"the script has {len(asked)} titles and the cut {len(shown)}"
    for title, (place, slot) in zip(asked, shown, strict=False):
        if slot.text != title.text:
            yield place, f"the title says {slot.text!r}, and {title.text!r} in the script"
        early = [numbers.get(one.sentence, 0) for one in cut.slots[:place]]
        late = [numbers.get(one.sentence, title.before) for one in cut.slots[place + 1 :] if one.sentence]
        if max(early, default=0) >= title.before or min(late, default=title.before) < title.before:
            yield place, f"the title {slot.text!r} does not stand before sentence {title.before}"


def length(cut: Finished) -> Iterator[tuple[int | None, str]]:
    """No picture is shorter or longer than the preset allows, unless a hold, a pin or a lock says so.

    A shot that is alone in its sentence and too short is shown as long as it lasts, half a second at least.
    """
    least = math.floor(cut.preset.minimum * cut.fps)
    most = math.ceil(cut.preset.maximum * cut.fps)
    for place, slot in enumerate(cut.slots):
        sentence = cut.of(slot.sentence)
        if sentence is None or slot.kind == "gap" or cut.locked(sentence):
            continue
        if sentence.directives.hold is not None or cut.named(sentence) is not None:
            continue
        seconds = float(slot.frames / cut.fps)
        if slot.frames > most:
            yield place, f"it lasts {seconds:.2f} s, and {float(cut.preset.maximum):g} s is the most"
        if slot.frames < least and not _short_and_alone(cut, slot):
            yield place, f"it lasts {seconds:.2f} s, and {float(cut.preset.minimum):g} s is the least"


def _short_and_alone(cut: Finished, slot: Slot) -> bool:
    room = cut.room(slot)
    return (
        slot.kind == "footage"
        and room is not None
        and len(cut.own(slot.sentence)) == 1
        and room.seconds < cut.preset.minimum
        and slot.frames >= math.floor(LEAST_SECONDS * cut.fps)
    )


def within_the_shot(cut: Finished) -> Iterator[tuple[int | None, str]]:
    """A picture keeps clear of its shot's boundaries by three frames, or within what its pin names."""
    for place, slot, span, sentence in cut.footage:
        shot = cut.shots.get(slot.shot or "")
        if shot is None:
            yield place, f"the library has no shot {slot.shot}"
            continue
        if shot.media != slot.media:
            yield place, f"shot {shot.id} is of another file than the picture"
        pinned = slot.shot in (cut.pinned(sentence) or ())
        named = cut.named(sentence) if pinned else None
        allowed = shot.span if cut.locked(sentence) else named or cut.room(slot)
        if allowed is None or span.start < allowed.start or span.end > allowed.end:
            edge = f"{float(shot.span.start):g} to {float(shot.span.end):g} s"
            yield place, f"it shows {float(span.start):.2f} to {float(span.end):.2f} s of a shot from {edge}"


def natural_speed(cut: Finished) -> Iterator[tuple[int | None, str]]:
    """Footage is never sped up, nor slowed down further than the preset allows, and fills its slot."""
    for place, slot, span, sentence in cut.footage:
        if not cut.preset.slowest <= slot.speed <= 1 and not cut.locked(sentence):
            slowest = float(cut.preset.slowest)
            yield place, f"it plays at {float(slot.speed):g}x, and {slowest:g}x to 1x is allowed"
        if abs(span.seconds / slot.speed - slot.frames / cut.fps) > 1 / cut.fps:
            shown = float(span.seconds / slot.speed)
            yield place, f"{shown:.2f} s of footage fill a slot of {float(slot.frames / cut.fps):.2f} s"


def no_repeats(cut: Finished) -> Iterator[tuple[int | None, str]]:
    """No frame is shown twice, nor a near-duplicate of a shot, unless both were pinned to the frame."""
    shown = cut.footage
    for number, (place, slot, span, sentence) in enumerate(shown):
        shot = cut.shots.get(slot.shot or "")
        for other_place, other, other_span, other_sentence in shown[:number]:
            other_shot = cut.shots.get(other.shot or "")
            label = cut.label(other_place)
            if slot.media == other.media and span.overlaps(other_span):
                yield place, f"{label} shows the same frames of {slot.shot}"
            elif (
                shot is not None
                and other_shot is not None
                and shot.id != other_shot.id
                and shot.group == other_shot.group != ""
                and (cut.named(sentence) is None or cut.named(other_sentence) is None)
            ):
                yield place, f"{label} shows a near-duplicate, {other_shot.id}"


def pins(cut: Finished) -> Iterator[tuple[int | None, str]]:
    """A pinned sentence shows what it is pinned to, and nothing else unless its voice lasts longer."""
    for sentence in cut.script.sentences:
        allowed = cut.pinned(sentence)
        if allowed is None:
            continue
        for number, (place, slot) in enumerate(cut.own(sentence.id)):
            follows = number > 0 and sentence.id in cut.spoken and slot.kind != "gap"
            if slot.shot not in allowed and not follows:
                names = " or ".join(sorted(allowed))
                what = "a gap" if slot.kind == "gap" else str(slot.shot or slot.kind)
                yield place, f"sentence {sentence.number} is pinned to {names} and shows {what}"


def bans(cut: Finished) -> Iterator[tuple[int | None, str]]:
    """A banned shot is not seen."""
    for place, slot in enumerate(cut.slots):
        if slot.shot is None:
            continue
        if slot.shot in cut.taste.bans:
            yield place, f"it shows {slot.shot}, which is banned"
        elif slot.shot in {
            *cut.taste.sentence_bans.get(slot.sentence, ()),
            *cut.bans.get(slot.sentence, ()),
        }:
            yield place, f"it shows {slot.shot}, which is banned from {cut.label(place)}"


def locks(cut: Finished) -> Iterator[tuple[int | None, str]]:
    """A locked sentence keeps its pictures to the frame."""
    for sentence in cut.script.sentences:
        before = [_frozen(slot) for slot in cut.previous if slot.sentence == sentence.id]
        if not before or not cut.locked(sentence) or sentence.directives.skip:
            continue
        own = cut.own(sentence.id)
        if [_frozen(slot) for _, slot in own] != before:
            yield own[0][0] if own else None, f"sentence {sentence.number} is locked and has changed"


def _frozen(slot: Slot) -> tuple[object, ...]:
    return slot.kind, slot.shot, slot.span, slot.frames, slot.speed


def total_length(cut: Finished) -> Iterator[tuple[int | None, str]]:
    """The film is as long as was asked."""
    if cut.total is None:
        return
    frames = sum(slot.frames for slot in cut.slots)
    low, high = cut.total
    if not low <= frames <= high:
        asked = f"{float(low / cut.fps):.2f} to {float(high / cut.fps):.2f} s"
        yield None, f"the film lasts {float(frames / cut.fps):.2f} s, and {asked} were asked for"


HARD_RULES = (
    HardRule("order of sentences", "Write-A-Video, SIGGRAPH Asia 2019: sentence order", order),
    HardRule("titles", "the script's titles", titles),
    HardRule("length of pictures", "OpenMontage: holds by tone, least and most", length),
    HardRule("within the shot", "detected boundaries may be a frame or two off", within_the_shot),
    HardRule("natural speed", "editing practice", natural_speed),
    HardRule("no repeats", "what users of such tools ask for most, next to match", no_repeats),
    HardRule("pins", "the editor's [pin]", pins),
    HardRule("bans", "the editor's [ban]", bans),
    HardRule("locks", "the editor's [lock]", locks),
    HardRule("total length", "the length asked for", total_length),
)
"""All hard rules, in the order of a report."""


def broken(cut: Finished) -> list[Violation]:
    """Every hard rule that a finished cut breaks, and where; empty for a sound cut."""
    return [Violation(place, rule.name, says) for rule in HARD_RULES for place, says in rule.check(cut)]
