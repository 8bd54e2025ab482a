"""From a script and a library to a cut: find candidates, obey what was pinned, let the optimiser choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from index.base import Span
from index.values import Hit, Shot
from montage.cut import Choice, Cut, Taste
from montage.project import Project
from montage.script import Script, keep_ids, read_script
from montage.values import Candidate, MontageError, Sentence, frame_rate

if TYPE_CHECKING:
    from index.library import Library
    from montage.gaps import Spliced
    from montage.presets import Preset

__all__ = ["plan"]

SLACK = Fraction(1, 10)
"""Seconds that a pin may run over the end of its file: people round what their player shows."""


def plan(
    script: Script | Path | str,
    library: Library,
    preset: Preset | str = "documentary",
    *,
    fps: Fraction | float | str = 25,
    previous: Cut | Project | None = None,
    taste: Taste | None = None,
    thresholds: Mapping[str, float] | None = None,
    spliced: Sequence[Spliced] | None = None,
    time_limit: float = 5.0,
    seed: int = 0,
    cancel: Callable[[], bool] | None = None,
) -> Cut:
    """The best cut of ``script`` from ``library`` by the rules of ``preset``.

    Args:
        script: a script, or the path of one.
        library: where the footage comes from.
        preset: a preset or its name.
        fps: frames a second of the film.
        previous: the last cut, or the project that records it: its sentence ids, pins, bans and generated
            takes are kept, and its shots stay unless a change is worth it.
        taste: pins and bans that take the place of the previous ones.
        thresholds: sentence id to a lower match that is good enough for it.
        spliced: generated takes for gaps; those that the previous cut used, when None.
        time_limit: seconds that the optimiser may take; the answer is valid all the same.
        seed: same seed, same cut.
        cancel: asked now and then; true stops early with the best cut so far.

    Raises:
        MontageError: if a pin names nothing in the library or contradicts another, or the script is bad.
        FootageError: if the library's encoder cannot be used.
    """
    from index.query import Matcher
    from montage.assemble import assemble
    from montage.gaps import referenced, splice, splices_of
    from montage.presets import load_preset

    if not isinstance(script, Script):
        script = read_script(script)
    if isinstance(preset, str):
        preset = load_preset(preset)
    before: tuple[tuple[str, str], ...] = ()
    if isinstance(previous, Project):
        before = previous.sentences
    elif previous is not None:
        before = tuple((sentence.id, sentence.text) for sentence in previous.script.sentences)
    if before:
        script = keep_ids(script, before)
    if taste is None:
        taste = previous.taste if previous is not None else Taste()
    slots = previous.slots if previous is not None else ()
    if spliced is None:
        spliced = splices_of(slots, script, library)
    threshold = library.encoder.calibration.threshold

    wanted = [sentence for sentence in script.sentences if not sentence.directives.skip]
    hits = Matcher(library).candidates(
        [sentence.text for sentence in wanted], [sentence.language for sentence in wanted], preset.candidates
    )
    candidates = {
        sentence.id: tuple(_candidate(sentence, hit) for hit in found)
        for sentence, found in zip(wanted, hits, strict=True)
    }
    spliced = [made for made in spliced if _needed(made, script, candidates, threshold)]
    added, takes = {}, {}
    for made_take in spliced:
        candidate = splice(made_take)
        candidates[candidate.sentence] = (*candidates.get(candidate.sentence, ()), candidate)
        added[candidate.shot.media] = made_take.media
        takes[candidate.shot.id] = (made_take.kind, made_take.take)
    pins = _pins(script, taste, library, candidates)
    chosen = [*candidates.values(), *pins.values()]
    media = {**library.some_media(candidate.shot.media for few in chosen for candidate in few), **added}
    pinned = {candidate.shot.id for chosen in pins.values() for candidate in chosen}
    made = assemble(
        script,
        candidates,
        preset=preset,
        fps=frame_rate(fps),
        threshold=threshold,
        thresholds=thresholds or {},
        previous=slots,
        bans=taste.bans | (referenced(spliced) - pinned),
        pins=pins,
        exact_pins=[name for name, choice in taste.pins.items() if choice.span is not None],
        media=media,
        takes=takes,
        time_limit=time_limit,
        seed=seed,
        cancel=cancel,
    )
    return Cut(
        script=script,
        slots=made.slots,
        preset=preset,
        fps=frame_rate(fps),
        objective=made.objective,
        bound=made.bound,
        rule_totals=made.rule_totals,
        seconds=made.seconds,
        taste=taste,
        seed=seed,
        time_limit=time_limit,
        library=library,
    )


def _needed(
    made: Spliced, script: Script, found: Mapping[str, Sequence[Candidate]], threshold: float
) -> bool:
    """Whether a take stands to choice: a generated one always, a still or card only where footage lacks."""
    asked = any(s.id == made.sentence and s.directives.generate for s in script.sentences)
    best = max((candidate.match for candidate in found.get(made.sentence, ())), default=0.0)
    return made.kind == "diffusion" or asked or best < threshold


def _candidate(sentence: Sentence, hit: Hit) -> Candidate:
    return Candidate(
        sentence=sentence.id, shot=hit.shot, span=hit.span, match=hit.match, parts=hit.parts, why=hit.why
    )


def _pins(
    script: Script, taste: Taste, library: Library, found: Mapping[str, Sequence[Candidate]]
) -> dict[str, tuple[Candidate, ...]]:
    """Sentence id to the candidates that it is pinned to: the script's own word first, then the project's."""
    pins: dict[str, tuple[Candidate, ...]] = {}
    for sentence in script.sentences:
        pin = sentence.directives.pin
        if pin is not None:
            shots = _shots_named(pin.file, pin.span, library)
            ends = max((library.media[shot.media].duration for shot in shots), default=Fraction(0))
            if not shots or (pin.span is not None and pin.span.end > ends + SLACK):
                raise MontageError(_unknown_pin(script, sentence, library))
            span = pin.span
        elif sentence.id in taste.pins:
            choice: Choice = taste.pins[sentence.id]
            if choice.shot not in library.shots:
                raise MontageError(
                    f"sentence {sentence.number} is pinned to shot {choice.shot}, which is no longer in the "
                    "library: bring the footage back and run build-index, or unpin the sentence"
                )
            shots, span = [library.shots[choice.shot]], choice.span
        else:
            continue
        pins[sentence.id] = tuple(_pinned(sentence, shot, span, found) for shot in shots)
    return pins


def _pinned(
    sentence: Sentence, shot: Shot, span: Span | None, found: Mapping[str, Sequence[Candidate]]
) -> Candidate:
    """A pinned shot as a candidate: with the match that search gave it, where search found it too."""
    same = [candidate for candidate in found.get(sentence.id, ()) if candidate.shot.id == shot.id]
    best = max(same, key=lambda candidate: candidate.match, default=None)
    part = None if span is None else shot.span.intersection(span)
    if best is None:
        return Candidate(
            sentence=sentence.id, shot=shot, span=part or shot.windows[0], match=0.0, why="pinned"
        )
    return replace(best, span=part or best.span, why="pinned")


def _shots_named(name: str, span: Span | None, library: Library) -> list[Shot]:
    """The shots that a pin may mean: of a shot id, a path, a file name or its stem, within the span."""
    if name in library.shots:
        return [library.shots[name]]
    wanted = name.replace("\\", "/").removeprefix("./")
    ids = {media.id for media in library.media.values() if wanted in media.paths} or {
        media.id
        for media in library.media.values()
        for path in media.paths
        if wanted in (path.rsplit("/", 1)[-1], Path(path).stem)
    }
    shots = [shot for shot in library.shots.values() if shot.media in ids]
    if span is None:
        return shots
    within = [shot for shot in shots if shot.span.overlaps(span)]
    # The shot that holds most of what was asked for: a pin a frame over a boundary still means one shot.
    return sorted(within, key=lambda shot: -_shared(shot, span))[:1]


def _shared(shot: Shot, span: Span) -> Fraction:
    part = shot.span.intersection(span)
    return part.seconds if part else Fraction(0)


def _unknown_pin(script: Script, sentence: Sentence, library: Library) -> str:
    pin = sentence.directives.pin
    assert pin is not None
    place = f"{script.path or 'script'}:{sentence.line}:{sentence.column}"
    seconds = "" if pin.span is None else f"@{float(pin.span.start):g}-{float(pin.span.end):g}"
    return (
        f"{place}: [pin {pin.file}{seconds}] is outside the library {library.root}: name one of its files, "
        "and seconds within it (montage search lists them)"
    )
