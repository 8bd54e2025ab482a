"""Footage that a model is to rework: a right shot that is too short, gone on from; one of another aspect than
the film, painted around."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from index.base import Span
from montage.assemble import MUCH_BETTER
from montage.fitting import NEARLY, Offer
from montage.resolving import locked, named_shots
from montage.values import Alternate, Candidate, Sentence

if TYPE_CHECKING:
    from index.library import Library
    from montage.cut import Cut
    from montage.generation import Generation

__all__ = ["Rework", "reworks"]

LEAST_FOOTAGE = Fraction(1, 2)
"""Seconds of footage that are worth going on from."""
MOST_LOST = 0.25
"""Share of a picture that a crop may lose before its surroundings are worth painting: 4:3 in 16:9 loses just
this."""
CANDIDATES = 12
"""Shots of a sentence that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rework:
    """What a model is to do with a shot."""

    how: Literal["extend", "expand"]
    sentence: Sentence
    place: int
    """Of the slot in the cut."""
    near: Alternate
    """The shot, and what of it is shown."""
    speed: Fraction = Fraction(1)
    """At which it is shown."""
    footage: int
    """Frames of footage in the reworked shot."""
    missing: int = 0
    """Frames to go on for; 0 where its surroundings are painted."""

    @property
    def frames(self) -> int:
        """Length of the reworked shot."""
        return self.footage + self.missing


def reworks(cut: Cut, size: tuple[int, int], generation: Generation) -> list[Rework]:
    """The shots of a cut that were asked to be reworked, in order; a slot is reworked in one way.

    Args:
        cut: what is shown without.
        size: (width, height) of the film.
        generation: what was asked for.
    """
    found: dict[int, Rework] = {}
    if generation.extend:
        found |= {one.place: one for one in _too_short(cut)}
    if generation.expand:
        found |= {one.place: one for one in _other_aspect(cut, size) if one.place not in found}
    return [found[place] for place in sorted(found)]


def _free(cut: Cut, sentence: Sentence) -> bool:
    """Whether a sentence's picture may be chosen anew."""
    asked = sentence.directives
    named = asked.skip or asked.generate or asked.pin is not None or sentence.id in cut.taste.pins
    return not named and sentence.id not in locked(cut.script, cut.taste)


def _too_short(cut: Cut) -> Iterator[Rework]:
    """Shots that match, and are too short for a time that is given: by a voice, or by ``[hold]``.

    Elsewhere nothing is too short: a sentence lasts as long as its pictures.
    """
    from index.query import Matcher

    matcher = Matcher(cut.library)
    threshold = cut.library.encoder.calibration.threshold
    banned = named_shots(cut.script, "ban", cut.taste.sentence_bans, cut.library)
    taken: set[str] = set()
    for sentence in cut.script.sentences:
        own = [place for place, slot in enumerate(cut.slots) if slot.sentence == sentence.id]
        seconds = cut.narration.get(sentence.id) or sentence.directives.hold
        made = any(cut.slots[place].take is not None for place in own)
        if not own or seconds is None or made or not _free(cut, sentence):
            continue
        spoken = sentence.id in cut.narration  # times of a voice are rounded from its beginning on
        total = sum(cut.slots[place].frames for place in own)
        wanted = total if spoken else round(seconds * cut.fps)
        shown = {cut.slots[place].shot for place in own}
        elsewhere = {slot.shot for slot in cut.slots if slot.sentence != sentence.id} | taken
        best = max(cut.slots[place].match or 0.0 for place in own)
        short = total < NEARLY * wanted
        for hit in matcher.candidates([sentence.text], [sentence.language], CANDIDATES)[0]:
            better = hit.match > best + MUCH_BETTER or (short and hit.shot.id in shown)
            refused = hit.shot.id in elsewhere | cut.taste.bans | banned.get(sentence.id, frozenset())
            if hit.match < threshold or not better or refused:
                continue
            offer = Offer(
                candidate=Candidate(sentence=sentence.id, shot=hit.shot, span=hit.span, match=hit.match),
                rate=cut.library.media[hit.shot.media].rate,
            )
            low, high = offer.room
            footage = math.floor((high - low) * cut.fps)
            if footage < LEAST_FOOTAGE * cut.fps or offer.most(cut.fps, cut.preset) >= wanted:
                continue
            taken.add(hit.shot.id)
            yield Rework(
                how="extend",
                sentence=sentence,
                place=own[0],
                near=Alternate(hit.shot.id, Span(low, low + footage / cut.fps), hit.match),
                footage=footage,
                missing=wanted - footage,
            )
            break


def _other_aspect(cut: Cut, size: tuple[int, int]) -> Iterator[Rework]:
    """Shots of which a crop to the film's aspect would lose much."""
    sentences = {sentence.id: sentence for sentence in cut.script.sentences}
    for place, slot in enumerate(cut.slots):
        if slot.kind != "footage" or slot.media is None or slot.shot is None or slot.span is None:
            continue
        sentence = sentences[slot.sentence]
        if lost(cut.library, slot.media, size) > MOST_LOST + 0.01 and _free(cut, sentence):
            yield Rework(
                how="expand",
                sentence=sentence,
                place=place,
                near=Alternate(slot.shot, slot.span, slot.match or 0.0),
                speed=slot.speed,
                footage=slot.frames,
            )


def lost(library: Library, media: str, size: tuple[int, int]) -> float:
    """Share of a file's picture that a crop to the aspect of ``size`` loses, 0 to 1."""
    width, height = library.media[media].display_size
    own, film = width / height, size[0] / size[1]
    return 1 - min(own, film) / max(own, film)
