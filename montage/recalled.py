"""What a cut says by itself, without the model behind it: labels, pictures, lengths asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from index.values import Shot
from montage.rules import Picture, Wish

if TYPE_CHECKING:
    from montage.cut import Cut

__all__ = ["frames_asked", "labels", "length_words", "recalled"]


def labels(cut: Cut) -> list[str]:
    """What to call each slot: ``sentence 4``, ``sentence 4, picture 2`` or ``title``."""
    numbers = {sentence.id: sentence.number for sentence in cut.script.sentences}
    counts: dict[str, int] = {}
    for slot in cut.slots:
        counts[slot.sentence] = counts.get(slot.sentence, 0) + 1
    seen: dict[str, int] = {}
    out = []
    for slot in cut.slots:
        seen[slot.sentence] = seen.get(slot.sentence, 0) + 1
        label = f"sentence {numbers[slot.sentence]}" if slot.sentence else "title"
        several = slot.sentence and counts[slot.sentence] > 1
        out.append(f"{label}, picture {seen[slot.sentence]}" if several else label)
    return out


def recalled(cut: Cut, shots: Mapping[str, Shot]) -> tuple[list[Picture | None], list[Wish | None]]:
    """Pictures and wishes of a cut whose model is not at hand, from its slots: for words, not for costs."""
    sentences = {sentence.id: sentence for sentence in cut.script.sentences}
    counts = Counter(slot.sentence for slot in cut.slots)
    pictures: list[Picture | None] = []
    wishes: list[Wish | None] = []
    for slot in cut.slots:
        sentence, shot, picture, wish = sentences.get(slot.sentence), shots.get(slot.shot or ""), None, None
        if shot is not None and slot.span is not None:
            picture = Picture(
                shot=shot.id,
                media=shot.media,
                group=shot.group,
                span=slot.span,
                look=shot.look,
                match=slot.match or 0.0,
                seconds=float(slot.frames / cut.fps),
                speed=float(slot.speed),
                taken=shot.span,
            )
        if sentence is not None:
            wish = Wish(
                seconds=float(sentence.seconds) / counts[slot.sentence],
                sentence=sentence.id,
                paragraph=sentence.paragraph,
                share=1 / counts[slot.sentence],
                pace=float(cut.preset.pace),
                size=sentence.directives.size,
                move=sentence.directives.move,
            )
        pictures.append(picture)
        wishes.append(wish)
    return pictures, wishes


def frames_asked(cut: Cut) -> tuple[int, int] | None:
    """Fewest and most frames that were asked for."""
    if cut.length is None:
        return None
    if not isinstance(cut.length, tuple):
        return (round(cut.length * cut.fps),) * 2
    least, most = (seconds * cut.fps for seconds in cut.length)
    return math.ceil(least), max(math.ceil(least), math.floor(most))


def length_words(cut: Cut) -> str:
    """What length of film was asked for, and what it has; empty where none was."""
    if cut.length is None:
        return ""
    asked = cut.length if isinstance(cut.length, tuple) else (cut.length, cut.length)
    low, high = (f"{float(value):g}" for value in asked)
    return f"{low if low == high else f'{low} to {high}'} s asked for, {float(cut.duration):.2f} s shown"
