"""Resolving: what a script and a project say by name - pins, locks, preferences, bans - as shots of a
library, and what a pronoun stands for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from index.base import Span
from index.values import Shot
from montage.script import Script
from montage.taste import Choice, Taste
from montage.values import Candidate, MontageError, Pin, Sentence

if TYPE_CHECKING:
    from index.library import Library

__all__ = ["locked", "named_shots", "pins_of", "subjects_of"]

SLACK = Fraction(1, 10)
"""Seconds that a pin may run over the end of its file: people round what their player shows."""

_LEANS = {
    "en": re.compile(r"\W*(?:it|its|he|his|him|she|her|hers|they|their|them|this|these|that|those)\b", re.I),
    "zh": re.compile(r"\W*(?:它|他|她|牠|这(?!里|儿|时)|那(?!里|儿|时))"),
    "ja": re.compile(r"\W*(?:それ|これ|あれ|彼女?|そいつ)"),
}
"""How a sentence begins whose subject was named before."""


def subjects_of(script: Script) -> dict[str, str]:
    """Sentence id to the text of the sentence that names its subject, for those that begin with a pronoun.

    It is the nearest sentence before, in the same paragraph, that does not itself begin with one.
    """
    out: dict[str, str] = {}
    named: Sentence | None = None
    for sentence in script.sentences:
        if named is not None and named.paragraph != sentence.paragraph:
            named = None
        pattern = _LEANS.get(sentence.language)
        if pattern is not None and pattern.match(sentence.text):
            if named is not None:
                out[sentence.id] = named.text
        else:
            named = sentence
    return out


def locked(script: Script, taste: Taste) -> frozenset[str]:
    """Ids of the sentences that keep what the last cut showed."""
    own = {sentence.id for sentence in script.sentences if sentence.directives.lock}
    present = {sentence.id for sentence in script.sentences if not sentence.directives.skip}
    return frozenset((own | taste.locks) & present)


def named_shots(
    script: Script, directive: str, chosen: Mapping[str, Iterable[str]], library: Library
) -> dict[str, frozenset[str]]:
    """Sentence id to the shots that ``[prefer]`` or ``[ban]`` and the project name for it.

    Raises:
        MontageError: if the script names what the library does not have.
    """
    out = {name: frozenset(shots) for name, shots in chosen.items()}
    for sentence in script.sentences:
        pins: tuple[Pin, ...] = getattr(sentence.directives, directive)
        for pin in pins:
            shots = _shots_named(pin.file, pin.span, library)
            if not shots:
                raise MontageError(_unknown(script, sentence, directive, pin, library))
            out[sentence.id] = out.get(sentence.id, frozenset()) | {shot.id for shot in shots}
    return out


def pins_of(
    script: Script,
    taste: Taste,
    library: Library,
    found: Mapping[str, Sequence[Candidate]],
    locks: Iterable[str],
) -> dict[str, tuple[Candidate, ...]]:
    """Sentence id to the candidates that it is pinned to: the script's own word first, then the project's.

    Raises:
        MontageError: if a pin names what the library does not have.
    """
    pins: dict[str, tuple[Candidate, ...]] = {}
    for sentence in script.sentences:
        pin = sentence.directives.pin
        if sentence.id in locks:
            continue
        if pin is not None:
            shots = _shots_named(pin.file, pin.span, library)
            ends = max((library.media[shot.media].duration for shot in shots), default=Fraction(0))
            if not shots or (pin.span is not None and pin.span.end > ends + SLACK):
                raise MontageError(_unknown(script, sentence, "pin", pin, library))
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
    """The shots that a name may mean: of a shot id, a path, a file name or its stem, within the span."""
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


def _unknown(script: Script, sentence: Sentence, directive: str, pin: Pin, library: Library) -> str:
    place = f"{script.path or 'script'}:{sentence.line}:{sentence.column}"
    seconds = "" if pin.span is None else f"@{float(pin.span.start):g}-{float(pin.span.end):g}"
    return (
        f"{place}: [{directive} {pin.file}{seconds}] is outside the library {library.root}: name one of its "
        "files, and seconds within it (montage search lists them)"
    )
