"""What is to be generated for the gaps of a cut: by which model, how, and with which words; nothing is
made."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from montage.generation import Generation, Studio
from montage.idioms import IdiomWish, idiom_wishes
from montage.prompting import Prompt, noun_phrase, prompt_for
from montage.splicing import takes_folder
from montage.values import Alternate, Sentence

if TYPE_CHECKING:
    from generate.base import Generator, Strategy
    from montage.cut import Cut

__all__ = ["TIMINGS", "Intent", "all_intents", "intents", "told_seconds"]

MOST_PIECES = 6
"""Takes that a gap longer than a model's limit is cut into at most."""
TIMINGS = "timings.json"
"""Name of the file of measured times among the takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is to be generated for one gap."""

    sentence: Sentence
    place: int
    """Of its slot in the cut."""
    generator: Generator
    strategy: Strategy
    prompt: Prompt
    seed: int
    pieces: tuple[int, ...]
    """Frames of each take that the gap is cut into: one, or more where it is longer than the model's
    limit."""
    takes: int
    written: str = ""
    """The prompt that somebody wrote for it by hand."""
    near: Alternate | None = None
    footage: int = 0
    """Frames of footage that go into it: what is gone on from, or painted around."""
    speed: Fraction = Fraction(1)
    """At which that footage is shown."""
    story: str = ""
    """Id of the sentence that begins its story; empty where it is in none."""
    notes: tuple[str, ...] = ()
    """Why it is not made as it was asked for."""
    seconds: float | None = None
    """How long it should take, as measured on this machine; None where nothing was measured yet."""

    @property
    def line(self) -> str:
        """One line for a person."""
        many = f"{self.takes} takes" if self.takes > 1 else "one take"
        parts = f" in {len(self.pieces)} shots" if len(self.pieces) > 1 else ""
        name = _name(self.generator)
        how_long = "time not known yet" if self.seconds is None else f"about {told_seconds(self.seconds)}"
        return (
            f"sentence {self.sentence.number}: {many}{parts} by {name} ({self.strategy}), {how_long}: "
            f"{self.prompt.text}"
        )


def told_seconds(seconds: float) -> str:
    """``40 s``, ``3 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def intents(cut: Cut, size: tuple[int, int], studio: Studio, generation: Generation) -> tuple[Intent, ...]:
    """What will be generated for the gaps of a cut; nothing is made or loaded.

    Args:
        cut: its gaps are asked for.
        size: (width, height) of the film.
        studio: the models at hand; without any there is nothing to make.
        generation: what was asked for.
    """
    if not studio.generators:
        return ()
    gaps = [place for place, slot in enumerate(cut.slots) if slot.kind == "gap"]
    stories = _stories(cut, gaps)
    wishes = idiom_wishes(cut.script, cut.preset)
    used = {slot.shot for slot in cut.slots if slot.shot is not None}
    used |= {str(slot.take["reference"]) for slot in cut.slots if slot.take and slot.take.get("reference")}
    found = []
    for place in gaps:
        made = _intent(cut, place, size, studio, generation, stories, wishes, used)
        if made is not None:
            found.append(made)
            used |= {made.near.shot} if made.near is not None else set()
    return tuple(found)


def _stories(cut: Cut, gaps: Sequence[int]) -> dict[str, tuple[str, str]]:
    """Sentence id to (id of the sentence that begins its story, what the story is about).

    A story is a run of gaps of one paragraph, one directly after the other.
    """
    sentences = {sentence.id: sentence for sentence in cut.script.sentences}
    runs: list[list[Sentence]] = []
    for before, place in pairwise([None, *gaps]):
        sentence = sentences[cut.slots[place].sentence]  # type: ignore[index]
        joined = (
            before is not None
            and place == before + 1
            and runs[-1][-1].paragraph == sentence.paragraph
            and runs[-1][-1].id != sentence.id
        )
        if joined:
            runs[-1].append(sentence)
        else:
            runs.append([sentence])
    out = {}
    for run in runs:
        if len(run) < 2:
            continue
        about = next(
            (phrase for one in run if one.language == "en" and (phrase := noun_phrase(one.text))), ""
        )
        out.update({one.id: (run[0].id, about) for one in run})
    return out


def _intent(
    cut: Cut,
    place: int,
    size: tuple[int, int],
    studio: Studio,
    generation: Generation,
    stories: Mapping[str, tuple[str, str]],
    wishes: Mapping[str, IdiomWish],
    used: set[str],
) -> Intent | None:
    from generate.strategies import Material, can, choose

    slot = cut.slots[place]
    sentence = cut.sentence(slot.sentence)
    near = max(
        (other for other in slot.alternates if other.shot not in used),
        key=lambda other: other.match,
        default=None,
    )
    honours, notes = studio.honours, []
    material = Material(
        match=0.0 if near is None else min(1.0, max(0.0, near.match)),
        threshold=cut.library.encoder.calibration.threshold,
        near=near is not None,
        between=_between(cut, place),
    )
    strategy: Strategy | None = "control" if generation.control is not None else None
    if strategy is None and generation.strategy != "auto":
        strategy = generation.strategy
    missing = strategy is not None and _lacks(strategy, near, material.between, studio)
    if strategy is not None and (missing or not can(strategy, honours)):
        notes.append(f"{strategy}: {missing or 'none of the models can be asked so'}")
        strategy = None
    if strategy is None:
        strategy = choose(material, honours)
    generator = None if strategy is None else studio.generator_for(strategy)
    if strategy is None or generator is None:
        return None
    story, about = stories.get(sentence.id, ("", ""))
    prompt = prompt_for(
        sentence, cut.script, cut.preset, cut.taste, idiom=wishes.get(sentence.id), same=about
    )
    longest = studio.longest(strategy)
    count = 1 if longest is None else max(1, -(-slot.frames // int(longest * cut.fps)))
    if count > MOST_PIECES:
        return None
    ends = [slot.frames * n // count for n in range(count + 1)]
    intent = Intent(
        sentence=sentence,
        place=place,
        generator=generator,
        strategy=strategy,
        prompt=prompt,
        seed=_seed(cut, place, story),
        pieces=tuple(b - a for a, b in pairwise(ends)),
        takes=generation.takes,
        written=sentence.directives.prompt or cut.taste.prompts.get(sentence.id, ""),
        near=near if strategy in ("from-near-miss", "restyle", "control") else None,
        story=story,
        notes=tuple(notes),
    )
    return replace(intent, seconds=_estimate(intent, cut, size))


def all_intents(
    cut: Cut, size: tuple[int, int], studio: Studio, generation: Generation
) -> tuple[tuple[Intent, ...], dict[str, str]]:
    """(what will be generated: for gaps, and of shots that are reworked; sentence id to why a shot is not
    reworked)."""
    if not (generation.extend or generation.expand):
        return intents(cut, size, studio, generation), {}
    reworked, refused = _rework_intents(cut, size, studio, generation)
    names = {intent.sentence.id for intent in reworked}
    gaps = intents(cut, size, studio, generation)
    return (*reworked, *(intent for intent in gaps if intent.sentence.id not in names)), refused


def _rework_intents(
    cut: Cut, size: tuple[int, int], studio: Studio, generation: Generation
) -> tuple[tuple[Intent, ...], dict[str, str]]:
    """(how shots of a cut will be gone on from or painted around, sentence id to why they will not)."""
    from montage.reworking import reworks

    wishes = idiom_wishes(cut.script, cut.preset)
    found, refused = [], {}
    for rework in reworks(cut, size, generation):
        sentence = rework.sentence
        generator = studio.generator_for(rework.how)
        if generator is None:
            why = studio.reason if not studio.generators else "none of the models can be asked so"
            refused[sentence.id] = f"{rework.how}: {why or 'no model was named'}"
            continue
        made = rework.missing or rework.footage
        longest = studio.longest(rework.how)
        if longest is not None and made > longest * cut.fps:
            refused[sentence.id] = (
                f"{rework.how}: {float(made / cut.fps):.1f} s are needed, and {_name(generator)} makes "
                f"{float(longest):.1f} s"
            )
            continue
        intent = Intent(
            sentence=sentence,
            place=rework.place,
            generator=generator,
            strategy=rework.how,
            prompt=prompt_for(sentence, cut.script, cut.preset, cut.taste, idiom=wishes.get(sentence.id)),
            seed=_seed(cut, rework.place, ""),
            pieces=(made,),
            takes=generation.takes,
            written=sentence.directives.prompt or cut.taste.prompts.get(sentence.id, ""),
            near=rework.near,
            footage=rework.footage,
            speed=rework.speed,
        )
        found.append(replace(intent, seconds=_estimate(intent, cut, size)))
    return tuple(found), refused


def _name(generator: Generator) -> str:
    return str(getattr(generator, "model", generator.name))


def _lacks(strategy: Strategy, near: Alternate | None, between: bool, studio: Studio) -> str:
    """What a strategy needs and this gap has not; empty where it has all."""
    if strategy in ("from-near-miss", "restyle", "control") and near is None:
        return "there is no near-miss footage"
    if strategy == "bridge" and not between:
        return "the shots before and after are not of one scene"
    if strategy == "factorised" and studio.painter is None:
        return "none of the models paints single pictures"
    if strategy in ("extend", "expand"):
        return "it is for footage that is there"
    return ""


def _between(cut: Cut, place: int) -> bool:
    """Whether the footage before and after a slot is of one file: one continuous scene."""
    if not 0 < place < len(cut.slots) - 1:
        return False
    before, after = cut.slots[place - 1], cut.slots[place + 1]
    return before.kind == after.kind == "footage" and before.media == after.media


def _seed(cut: Cut, place: int, story: str) -> int:
    """The seed of a gap: the same wherever its sentence stands, so that its take is found again.

    The shots of a story have one seed: where a model takes no pictures of a subject, the same noise is what
    draws its shots together.
    """
    name = cut.slots[place].sentence
    earlier = sum(slot.sentence == name for slot in cut.slots[:place])
    return zlib.crc32(f"{cut.seed} {story or name} {0 if story else earlier}".encode())


def _estimate(intent: Intent, cut: Cut, size: tuple[int, int]) -> float | None:
    """Seconds that all takes of an intent should take."""
    native = getattr(intent.generator, "native", None)
    if native is None:
        return None
    from generate.timing import Timings

    timings = Timings(takes_folder(cut.library) / TIMINGS)
    total = 0.0
    for frames in intent.pieces:
        count, own, steps = native(intent.strategy, frames / cut.fps, size)
        told = timings.estimate(
            intent.generator.model_hash,  # type: ignore[attr-defined]
            intent.generator.device,  # type: ignore[attr-defined]
            size=own,
            frames=count,
            steps=steps,
        )
        if told is None:
            return None
        total += told * intent.takes
    return total
