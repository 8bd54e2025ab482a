"""From a script and a library to a cut: find candidates, obey what was pinned, let the optimiser choose."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from index.base import to_seconds
from index.values import Hit
from montage.clock import FilmLength
from montage.cut import Cut
from montage.presets import Preset
from montage.project import Project
from montage.resolving import locked, named_shots, pins_of, subjects_of
from montage.rules import Film
from montage.script import Script, keep_ids, read_script
from montage.taste import Taste, kept_shots
from montage.values import Candidate, MontageError, Sentence, Slot, frame_rate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from index.library import Library
    from montage.splicing import Spliced
    from montage.timeline import Music
    from montage.voiceover import Voiceover

__all__ = ["plan"]

Narration = Mapping[int, Fraction | float] | Mapping[str, Fraction | float] | Mapping[str, Fraction]
"""Number or id of a sentence to the seconds of its voice."""

AROUND = 5
"""Times as many windows are looked at where a sentence has a subject that another one names."""
SUBJECT = 0.7
"""Share of its match with a pronoun's subject that a picture has, at least, with what is said of it."""


def plan(
    script: Script | Path | str,
    library: Library,
    preset: Preset | Path | str = "documentary",
    *,
    fps: Fraction | float | str = 25,
    previous: Cut | Project | None = None,
    taste: Taste | None = None,
    thresholds: Mapping[str, float] | None = None,
    spliced: Sequence[Spliced] | None = None,
    length: FilmLength | None = None,
    narration: Narration | None = None,
    film: Film | None = None,
    voice: Voiceover | None = None,
    music: Music | None = None,
    time_limit: float = 5.0,
    seed: int = 0,
    cancel: Callable[[], bool] | None = None,
) -> Cut:
    """The best cut of ``script`` from ``library`` by the rules of ``preset``.

    Args:
        script: a script, or the path of one.
        library: where the footage comes from.
        preset: a preset, its name, or a preset file.
        fps: frames a second of the film.
        previous: the last cut, or the project that records it: its sentence ids, pins, bans and generated
            takes are kept, and its shots stay unless a change is worth it.
        taste: pins and bans that take the place of the previous ones.
        thresholds: sentence id to a lower match that is good enough for it.
        spliced: generated takes for gaps; those that the previous cut used, when None.
        length: seconds that the film lasts, titles included, or (least, most) of them; None for as it comes.
        narration: number or id of a sentence to the seconds that its voice takes; its pictures last so long.
        film: beats of the music and words of the narration that cuts should keep to; those of ``voice`` and
            ``music`` when None.
        voice: the narration, which the film plays; the pictures follow it.
        music: what plays under the film; cuts like to fall on its beats.
        time_limit: seconds that the optimiser may take; the answer is valid all the same.
        seed: same seed, same cut.
        cancel: asked now and then; true stops early with the best cut so far.

    Raises:
        MontageError: if a pin names nothing in the library, what was decided by hand contradicts itself, no
            cut lasts as long as asked, or the script is bad.
        FootageError: if the library's encoder cannot be used.
    """
    from montage.assemble import assemble
    from montage.idioms import idiom_wishes
    from montage.presets import load_preset
    from montage.splicing import sources_of, splice, splices_of

    if not isinstance(script, Script):
        script = read_script(script)
    if not isinstance(preset, Preset):
        preset = load_preset(preset)
    before: tuple[tuple[str, str], ...] = ()
    slots: tuple[Slot, ...] = ()
    if isinstance(previous, Project):
        before, slots = previous.sentences, (*previous.slots, *previous.retired_slots)
    elif previous is not None:
        before = tuple((sentence.id, sentence.text) for sentence in previous.script.sentences)
        slots = previous.slots
    if before:
        script = keep_ids(script, before)
    if taste is None:
        taste = previous.taste if previous is not None else Taste()
    recalled = spliced is None
    if spliced is None:
        spliced = splices_of(slots, script, library, taste)
    rate = frame_rate(fps)
    threshold = library.encoder.calibration.threshold
    idioms = idiom_wishes(script, preset)
    pronouns = subjects_of(script)
    subjects = pronouns | {name: wish.subject for name, wish in idioms.items() if wish.subject}
    candidates = _found(script, library, preset, subjects, pronouns)
    if recalled:
        spliced = [made for made in spliced if _needed(made, script, candidates, threshold)]
    added, takes, made_shots = {}, {}, {}
    for made_take in spliced:
        candidate = splice(made_take)
        candidates[candidate.sentence] = (*candidates.get(candidate.sentence, ()), candidate)
        added[candidate.shot.media] = made_take.media
        takes[candidate.shot.id] = (made_take.kind, made_take.take)
        made_shots[candidate.shot.id] = candidate.shot
    locks = locked(script, taste)
    spoken = _voice(script, narration) if voice is None else voice.seconds
    if film is None:
        film = _heard(script, preset, voice, music)
    pins = pins_of(script, taste, library, candidates, locks)
    shots = {
        slot.shot: library.shots[slot.shot]
        for slot in slots
        if slot.sentence in locks and slot.shot is not None and slot.shot in library.shots
    }
    shots |= made_shots
    shown = {candidate.shot.media for few in (*candidates.values(), *pins.values()) for candidate in few}
    shown |= {shot.media for shot in shots.values()} - added.keys()
    made = assemble(
        script,
        candidates,
        preset=preset,
        fps=rate,
        threshold=threshold,
        thresholds=thresholds or {},
        previous=slots,
        bans=taste.bans,
        sentence_bans=named_shots(script, "ban", taste.sentence_bans, library),
        pins=pins,
        exact_pins=[name for name, choice in taste.pins.items() if choice.span is not None],
        locks=locks,
        shots=shots,
        prefers=taste.prefers,
        sentence_prefers=named_shots(script, "prefer", taste.sentence_prefers, library),
        subjects=subjects,
        idioms=idioms,
        media={**library.some_media(shown - added.keys()), **added},
        takes=takes,
        sources=sources_of(spliced, library),
        length=_frames(length, rate),
        narration=spoken,
        film=film,
        time_limit=time_limit,
        seed=seed,
        cancel=cancel,
    )
    return Cut(
        script=script,
        slots=made.slots,
        preset=preset,
        fps=rate,
        objective=made.objective,
        bound=made.bound,
        rule_totals=made.rule_totals,
        seconds=made.seconds,
        taste=taste,
        seed=seed,
        time_limit=time_limit,
        length=length,
        narration=spoken,
        film=film,
        voice=voice,
        music=music,
        kept=None if previous is None else _stayed(previous, before, script, taste, made.slots),
        model=made.model,
        library=library,
    )


def _frames(length: FilmLength | None, fps: Fraction) -> tuple[int, int] | None:
    """Fewest and most frames of a film of so many seconds."""
    if length is None:
        return None
    low, high = length if isinstance(length, tuple) else (length, length)
    if isinstance(length, tuple):
        return math.ceil(low * fps), max(math.ceil(low * fps), math.floor(high * fps))
    return (round(low * fps),) * 2


def _voice(script: Script, narration: Narration | None) -> dict[str, Fraction]:
    """Sentence id to the seconds of its voice.

    Raises:
        MontageError: if a sentence does not exist, or takes no time.
    """
    names: dict[int | str, str] = {sentence.number: sentence.id for sentence in script.sentences}
    names |= {sentence.id: sentence.id for sentence in script.sentences}
    out = {}
    for name, seconds in (narration or {}).items():
        if name not in names or not seconds > 0:
            raise MontageError(
                f"the narration gives {float(seconds):g} s to sentence {name!r}: it needs a positive time "
                f"for sentences 1 to {len(script.sentences)}"
            )
        out[names[name]] = to_seconds(seconds)
    return out


def _heard(script: Script, preset: Preset, voice: Voiceover | None, music: Music | None) -> Film | None:
    """When the words of the narration and the beats of the music fall in the film, as far as is known."""
    if voice is None and music is None:
        return None
    from montage.music import beats_in_film

    # Beats are wanted for longer than the film can be: how long that is, the optimiser decides.
    most = 2 * float(sum((sentence.seconds for sentence in script.sentences), Fraction(60)))
    return Film(
        beats=() if music is None else beats_in_film(music, most),
        words=() if voice is None else voice.words(script, preset.title_seconds),
    )


def _stayed(
    previous: Cut | Project,
    before: Sequence[tuple[str, str]],
    script: Script,
    taste: Taste,
    slots: Sequence[Slot],
) -> tuple[int, int] | None:
    """(how many, of how many) pictures of sentences that nobody touched kept their shot."""
    if not previous.slots:
        return None
    told, old = dict(before), previous.taste
    others = {
        sentence.id
        for sentence in script.sentences
        if told.get(sentence.id) == sentence.text and old.of(sentence.id) == taste.of(sentence.id)
    }
    return kept_shots(previous.slots, slots, others)


def _found(
    script: Script,
    library: Library,
    preset: Preset,
    subjects: Mapping[str, str],
    pronouns: Collection[str],
) -> dict[str, tuple[Candidate, ...]]:
    """Sentence id to what the library has for it.

    Where a sentence has a subject (a pronoun's, an idiom's), every candidate says how well it shows that; and
    what shows the subject of a pronoun best is a candidate too.
    """
    from index.query import Matcher

    matcher = Matcher(library)
    wanted = [sentence for sentence in script.sentences if not sentence.directives.skip]
    hits = matcher.candidates(
        [sentence.text for sentence in wanted], [sentence.language for sentence in wanted], preset.candidates
    )
    found = dict(zip((sentence.id for sentence in wanted), hits, strict=True))
    leaning = [sentence for sentence in wanted if sentence.id in subjects]
    if leaning:
        languages = [sentence.language for sentence in leaning]
        of_subject = matcher.candidates(
            [subjects[sentence.id] for sentence in leaning], languages, AROUND * preset.candidates
        )
        for sentence, seen in zip(leaning, of_subject, strict=True):
            shows = {(hit.shot.id, hit.span): hit.match for hit in seen}
            own = {(hit.shot.id, hit.span): hit for hit in found[sentence.id]}
            if sentence.id in pronouns:
                # What shows the subject shows what is said of it, if less surely.
                for hit in seen[: preset.candidates // 2]:
                    key = (hit.shot.id, hit.span)
                    known = own.get(key)
                    if known is None or known.match < SUBJECT * hit.match:
                        own[key] = replace(
                            hit, match=SUBJECT * hit.match, why=f"as in: {subjects[sentence.id]}"
                        )
            found[sentence.id] = [
                replace(hit, parts={**hit.parts, "subject": shows.get(key, 0.0)}) for key, hit in own.items()
            ]
    every = [hit for sentence in wanted for hit in found[sentence.id]]
    # One space for all, that of the script's first language: vectors of different spaces do not compare.
    meanings = iter(matcher.meanings(every, wanted[0].language) if every else ())
    return {
        sentence.id: tuple(_candidate(sentence, hit, next(meanings)) for hit in found[sentence.id])
        for sentence in wanted
    }


def _needed(
    made: Spliced, script: Script, found: Mapping[str, Sequence[Candidate]], threshold: float
) -> bool:
    """Whether a take stands to choice: a generated one always, a still or card only where footage lacks."""
    asked = any(s.id == made.sentence and s.directives.generate for s in script.sentences)
    best = max((candidate.match for candidate in found.get(made.sentence, ())), default=0.0)
    return made.kind == "diffusion" or asked or best < threshold


def _candidate(sentence: Sentence, hit: Hit, meaning: NDArray[np.float32]) -> Candidate:
    return Candidate(
        sentence=sentence.id,
        shot=hit.shot,
        span=hit.span,
        match=hit.match,
        parts=hit.parts,
        why=hit.why,
        meaning=meaning,
    )
