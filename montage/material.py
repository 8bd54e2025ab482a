"""What a model is given for a take: its request, with the footage that it starts from or keeps to."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from index.base import Span
from montage.generation import Generation
from montage.intents import Intent
from montage.stretches import frames_around, own_size, stretch

if TYPE_CHECKING:
    from generate.base import Frame, Request
    from montage.cut import Cut

__all__ = ["neighbour_frames", "request_for"]

SIDE = 480
"""Pixels of the shorter side of footage that a model is given: what the models work at."""
CONTEXT = Fraction(1)
"""Seconds of footage that a model is given to go on from."""
PIECE_STEP = 7919
"""Seeds of the shots that a long gap is cut into lie this far apart: a prime, beyond any number of takes."""


def request_for(
    intent: Intent,
    cut: Cut,
    size: tuple[int, int],
    generation: Generation,
    number: int,
    piece: int,
    subjects: tuple[Frame, ...] = (),
) -> Request:
    """What is asked of a model for one take; of a factorised take the first frame is left out.

    Args:
        intent: what is to be made.
        cut: whose slot it is for.
        size: (width, height) of the film.
        generation: what was asked for.
        number: of the take, from 0.
        piece: of the shots that a long gap is cut into, from 0.
        subjects: pictures of what the story is about.

    Raises:
        FootageError: if footage cannot be decoded.
    """
    from generate.base import Request
    from generate.strategies import restyle_strength

    near, strategy = intent.near, intent.strategy
    reference: Frame | None = None
    last: Frame | None = None
    video: tuple[Frame, ...] = ()
    fps: Fraction | None = None
    strength = 0.8
    if strategy == "bridge":
        reference, last = _ends(cut, intent.place)
    elif near is not None and strategy == "from-near-miss":
        reference = frames_around(cut.library, near.shot, [near.span.middle])[0]
    elif near is not None:
        video, fps = _footage(intent, cut, intent.pieces[piece])
    if near is not None and strategy == "restyle":
        strength = restyle_strength(near.match / cut.library.encoder.calibration.threshold)
    neighbours = neighbour_frames(cut, intent.place)
    if strategy == "extend":
        neighbours = video[-1:]  # it follows its own footage
    elif strategy == "expand":
        neighbours = ()  # its colours are those of what it surrounds
    return Request(
        prompt=intent.prompt.text,
        negative_prompt=intent.prompt.negative,
        frames=intent.pieces[piece],
        fps=cut.fps,
        width=size[0],
        height=size[1],
        seed=intent.seed + number + PIECE_STEP * piece,
        strategy=strategy,
        reference=reference,
        last=last,
        video=video,
        video_fps=fps,
        strength=strength,
        subjects=subjects,
        control=generation.control if strategy == "control" else None,
        camera=str(intent.sentence.directives.move or "") if generation.camera else "",
        neighbours=neighbours,
    )


def _footage(intent: Intent, cut: Cut, frames: int) -> tuple[tuple[Frame, ...], Fraction]:
    """Footage at the model's rate: all that is painted around, the end of what is gone on from, else what
    lies around what matches."""
    near, library = intent.near, cut.library
    assert near is not None
    row = getattr(intent.generator, "row_for", None)
    fps = cut.fps if row is None else Fraction(row(intent.strategy).fps)
    shot = library.shots[near.shot].span
    if intent.strategy == "expand":
        span = near.span
    elif intent.strategy == "extend":
        span = Span(max(near.span.start, near.span.end - CONTEXT), near.span.end)
    else:
        seconds = min(frames / cut.fps, shot.seconds)
        start = max(shot.start, min(near.span.middle - seconds / 2, shot.end - seconds))
        span = Span(start, start + seconds)
    # The last frame is that of the end, which an extension follows.
    count = max(2, int(span.seconds / intent.speed * fps))
    start = span.start
    if intent.strategy == "extend":
        start = max(shot.start, span.end - count / fps)
    width, height = library.media[library.shots[near.shot].media].display_size
    scale = min(1.0, SIDE / min(width, height))
    size = own_size(library, near.shot, (round(width * scale), round(height * scale)))
    return tuple(stretch(library, near.shot, start, count, fps, size, speed=intent.speed)), fps


def _ends(cut: Cut, place: int) -> tuple[Frame, Frame]:
    """The last frame before a gap and the first one after it."""
    before, after = cut.slots[place - 1], cut.slots[place + 1]
    assert before.shot is not None
    assert before.span is not None
    assert after.shot is not None
    assert after.span is not None
    end = max(before.span.start, before.span.end - 1 / cut.fps)
    first = frames_around(cut.library, before.shot, [end])[0]
    return first, frames_around(cut.library, after.shot, [after.span.start])[0]


def neighbour_frames(cut: Cut, place: int) -> tuple[Frame, ...]:
    """Frames of the footage on either side of a slot, for colours."""
    frames = []
    for step in (-1, 1):
        index = place + step
        while 0 <= index < len(cut.slots) and cut.slots[index].kind != "footage":
            index += step
        if 0 <= index < len(cut.slots):
            slot = cut.slots[index]
            assert slot.shot is not None
            assert slot.span is not None
            frames += frames_around(cut.library, slot.shot, [slot.span.middle])
    return tuple(frames)
