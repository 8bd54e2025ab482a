"""Idioms: patterns of editing over a paragraph, composed by the user (Leake et al., SIGGRAPH 2017).

An idiom asks every sentence of its paragraph for a shot size on a scale from 0 (extreme long) to 4 (extreme
close-up), or for a subject. What it asks is a wish with a cost, never a demand: a shot that shows the
sentence well is not given up for its size alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from montage.script import Script
from montage.values import Idiom, IdiomName, Sentence

if TYPE_CHECKING:
    from montage.presets import Preset

__all__ = ["IdiomWish", "idiom_wishes"]

OPENING = 0.5
"""Scale of the picture that a paragraph opens with: between extreme long and long."""
WIDE = 1.0
"""Long shot: a valley, and where ``intensify`` begins."""
MEDIUM = 2.0
CLOSE = 3.0
"""Close-up: a peak, and where ``intensify`` ends."""
CLOSEST = 3.5
"""The last peak of a paragraph whose peaks rise: between close-up and extreme close-up."""

_RAISED = re.compile(r"[!?！？؟‽][\s\"'”’»)\]」』】）]*$")
_ARTICLE = re.compile(r"^(?:the|a|an|le|la|les|der|die|das|el|los|las)\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class IdiomWish:
    """What the idioms of a paragraph ask of one sentence.

    Raises:
        ValueError: if the scale lies outside [0, 4].
    """

    scale: float | None = None
    """How close the picture should be: 0 extreme long, 4 extreme close-up, and between; None is free."""
    subject: str = ""
    """What should be seen, empty for anything."""

    def __post_init__(self) -> None:
        if self.scale is not None and not 0 <= self.scale <= 4:
            raise ValueError(f"the scale of a picture lies between 0 and 4, got {self.scale}")


def idiom_wishes(script: Script, preset: Preset) -> Mapping[str, IdiomWish]:
    """What is asked of every sentence, by its id: by its paragraph's own idioms, else by the preset's.

    Sentences under ``[skip]`` are left out of the count, for they are not seen. A sentence with a ``[size]``
    keeps that alone. Several idioms compose:

    - ``start-wide`` sets the first sentence's scale, whatever else is asked of it;
    - ``peaks-and-valleys`` sets the others', and with ``intensify`` its peaks rise from medium to very close
      while the valleys stay wide;
    - ``intensify`` alone goes in even steps from wide, or from what ``start-wide`` set, to close;
    - ``emphasise`` adds a subject to any of them. Of several subjects a sentence gets the one that it names;
      sentences that name none take turns.

    A paragraph of one sentence cannot rise; of the preset's idioms it heeds ``emphasise`` alone, for a script
    of short paragraphs would else be wide throughout.
    """
    wishes = {sentence.id: IdiomWish() for sentence in script.sentences}
    for paragraph, idioms in script.idioms(preset.idioms).items():
        everyone = [s for s in script.sentences if s.paragraph == paragraph]
        shown = [s for s in everyone if not s.directives.skip]
        own = bool(everyone[0].directives.idioms)
        if not idioms or not shown:
            continue
        names = {idiom.name for idiom in idioms} if own or len(shown) > 1 else set()
        scales = _scales(shown, names)
        subjects = _subjects(shown, idioms)
        for sentence, scale, subject in zip(shown, scales, subjects, strict=True):
            free = sentence.directives.size is None
            wishes[sentence.id] = IdiomWish(scale if free else None, subject)
    return wishes


def _scales(sentences: Sequence[Sentence], names: set[IdiomName]) -> list[float | None]:
    count = len(sentences)
    scales: list[float | None] = [None] * count
    opening = OPENING if "start-wide" in names else None
    if "peaks-and-valleys" in names:
        peaks = _peaks(sentences)
        if count > 1 or any(peaks):
            tops = [CLOSE] * sum(peaks)
            if "intensify" in names and len(tops) > 1:
                tops = _steps(MEDIUM, CLOSEST, len(tops))
            heights = iter(tops)
            scales = [next(heights) if peak else WIDE for peak in peaks]
    elif "intensify" in names and count > 1:
        scales = [*_steps(WIDE if opening is None else opening, CLOSE, count)]
    if opening is not None:
        scales[0] = opening
    return scales


def _steps(first: float, last: float, count: int) -> list[float]:
    """``count`` (2 or more) values in even steps."""
    return [first + (last - first) * i / (count - 1) for i in range(count)]


def _peaks(sentences: Sequence[Sentence]) -> list[bool]:
    """Which sentences are peaks: those that exclaim or ask, and of the others every second.

    A plain sentence beside one that exclaims or asks is a valley. Where all of them do, that tells nothing,
    and they take turns, a valley first.
    """
    count = len(sentences)
    raised = [_RAISED.search(sentence.text) is not None for sentence in sentences]
    if all(raised) and count > 1:
        return [i % 2 == 1 for i in range(count)]
    peaks: list[bool] = []
    for i in range(count):
        beside = (i > 0 and peaks[i - 1]) or (i + 1 < count and raised[i + 1])
        peaks.append(raised[i] or (i > 0 and not beside))
    return peaks


def _subjects(sentences: Sequence[Sentence], idioms: Sequence[Idiom]) -> list[str]:
    subjects = [idiom.subject.strip() for idiom in idioms if idiom.name == "emphasise"]
    if not subjects:
        return [""] * len(sentences)
    out: list[str] = []
    turn = 0
    for sentence in sentences:
        named = [subject for subject in subjects if _names(sentence.text, subject)]
        if named:
            out.append(named[0])
        else:
            out.append(subjects[turn % len(subjects)])
            turn += 1
    return out


def _names(text: str, subject: str) -> bool:
    """Whether a text has the words of a subject, but for its article."""
    words = _ARTICLE.sub("", subject.casefold())
    if words.isascii():
        return re.search(rf"\b{re.escape(words)}\b", text.casefold()) is not None
    return words in text.casefold()  # scripts without spaces have no word boundaries
