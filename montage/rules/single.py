"""Rules of a slot alone.

The first line of a definition is what an editor would say; the rest is its formula.
"""

from __future__ import annotations

import math

from index.values import SHOT_SIZES
from montage.rules.base import Picture, Rule, Wish
from montage.rules.looks import clip

__all__ = ["SLOT_RULES"]

WRITE_A_VIDEO = "Write-A-Video, SIGGRAPH Asia 2019"
LEAKE = "Leake et al., SIGGRAPH 2017"


def gap(picture: Picture | None, wish: Wish) -> float:
    """Leave no sentence without a picture.

    A gap costs it all.
    """
    return 1.0 if picture is None else 0.0


def match(picture: Picture, wish: Wish) -> float:
    """Show what is being said.

    1 - match, the probability that the sentence describes the picture.
    """
    return 1.0 - picture.match


def lighting(picture: Picture, wish: Wish) -> float:
    """Prefer a well-lit shot: not so dark that nothing is seen, not burnt out, not flat.

    The worst of: brightness from 20% down to 0; from 85% up to 100%; half of contrast from 8% down to 0.
    """
    look = picture.look
    dark = clip((0.2 - look.brightness) / 0.2)
    burnt = clip((look.brightness - 0.85) / 0.15)
    flat = clip((0.08 - look.contrast) / 0.08)
    return max(dark, burnt, 0.5 * flat)


def sharpness(picture: Picture, wish: Wish) -> float:
    """Prefer a sharp shot.

    1 - sharpness.
    """
    return 1.0 - picture.look.sharpness


def steadiness(picture: Picture, wish: Wish) -> float:
    """Prefer a steady shot.

    The jitter of the camera, 0 to 1.
    """
    return picture.look.shake


def asked_size(picture: Picture, wish: Wish) -> float:
    """Give the shot size that the script asks for; a size away is a quarter as bad as four.

    Sizes apart / 4; half where the size is not known.
    """
    if wish.size is None:
        return 0.0
    if picture.look.size is None:
        return 0.5
    return abs(SHOT_SIZES.index(wish.size) - SHOT_SIZES.index(picture.look.size)) / 4


def asked_move(picture: Picture, wish: Wish) -> float:
    """Give the camera move that the script asks for; the right move the wrong way round is half as bad.

    0 as asked; a half for the other direction, or for handheld in place of static; else 1.
    """
    if wish.move is None or wish.move == picture.look.move:
        return 0.0
    kind = picture.look.move.split("-")[0]
    if wish.move == kind:
        return 0.0
    if wish.move.split("-")[0] == kind or {wish.move, kind} == {"static", "handheld"}:
        return 0.5
    return 1.0


def pace(picture: Picture, wish: Wish) -> float:
    """Hold each picture as long as its sentence.

    (log2 (seconds / asked)) squared, since lengths are felt in proportion: half or twice costs it all.
    """
    return clip(math.log2(picture.seconds / wish.seconds) ** 2)


def speed(picture: Picture, wish: Wish) -> float:
    """Play footage at its natural speed; slowed to 0.8x costs it all.

    (log speed / log 0.8) squared.
    """
    return clip((math.log2(picture.speed) / math.log2(0.8)) ** 2)


def stability(picture: Picture, wish: Wish) -> float:
    """Leave alone what was already cut, unless the change is worth it.

    1 where the last cut showed this sentence by no overlapping part of the same shot.
    """
    kept = any(shot == picture.shot and span.overlaps(picture.span) for shot, span in wish.previous)
    return 0.0 if kept or not wish.previous else 1.0


def tempo(picture: Picture, wish: Wish) -> float:
    """Keep to the tempo: most pictures near the preset's pace, few much shorter or longer.

    Lengths are log-normal around the pace: (ln (seconds / pace) / (2 spread)) squared, so that two standard
    deviations cost it all.
    """
    if wish.pace is None:
        return 0.0
    return clip((math.log(picture.seconds / wish.pace) / (2 * wish.spread)) ** 2)


def finished_move(picture: Picture, wish: Wish) -> float:
    """Let a pan, a tilt or a zoom come to its end before the cut.

    The share of the camera's move that is cut off; nothing where the picture ends before the move begins.
    """
    if picture.taken is None or picture.look.moving is None:
        return 0.0
    first, last = (float(picture.taken.start) + seconds for seconds in picture.look.moving)
    end = float(picture.span.end)
    if end <= first or last <= first:
        return 0.0
    return clip((last - end) / (last - first))


def clean_picture(picture: Picture, wish: Wish) -> float:
    """Show no slates, titles, subtitles or timecodes that are burnt into the footage.

    Share of the picture under text / 10%.
    """
    return clip((picture.look.text or 0.0) / 0.1)


def resolution(picture: Picture, wish: Wish) -> float:
    """Prefer footage with enough lines to fill the screen.

    From 720 lines, which are enough, down to 360, which cost it all.
    """
    return clip((720 - picture.lines) / 360) if picture.lines else 0.0


def idiom_scale(picture: Picture, wish: Wish) -> float:
    """Frame the picture as wide or as close as the idiom of its paragraph wants it.

    Sizes apart / 4, where the idiom may ask for a point between two sizes; half where the size is not known.
    """
    if wish.scale is None:
        return 0.0
    if picture.look.size is None:
        return 0.5
    return abs(wish.scale - SHOT_SIZES.index(picture.look.size)) / 4


def subject(picture: Picture, wish: Wish) -> float:
    """Show whom or what the paragraph is about, when it is emphasised or meant by a pronoun.

    1 - match of the picture with the subject.
    """
    if not wish.subject or picture.subject is None:
        return 0.0
    return clip(1.0 - picture.subject)


def preference(picture: Picture, wish: Wish) -> float:
    """Rather take the shot that somebody prefers.

    1 for another, where one is preferred.
    """
    return 1.0 if wish.prefers and not picture.preferred else 0.0


def speech(picture: Picture, wish: Wish) -> float:
    """Show nobody talking while the narrator speaks: lips that say something else distract.

    The share of the shot's time in which somebody speaks.
    """
    return clip(picture.look.speech or 0.0)


SLOT_RULES = (
    Rule(name="match", weight=3.0, arity=1, slot=match, source=WRITE_A_VIDEO),
    Rule(name="gap", weight=6.0, arity=1, slot=gap, source="a shown gap is worse than any weak match"),
    Rule(name="lighting", weight=0.2, arity=1, slot=lighting, source=WRITE_A_VIDEO),
    Rule(name="sharpness", weight=0.25, arity=1, slot=sharpness, source=WRITE_A_VIDEO),
    Rule(name="steadiness", weight=0.25, arity=1, slot=steadiness, source=WRITE_A_VIDEO),
    Rule(name="asked size", weight=1.5, arity=1, slot=asked_size, source="the script's [size]"),
    Rule(name="asked move", weight=1.5, arity=1, slot=asked_move, source="the script's [move]"),
    Rule(name="pace", weight=0.8, arity=1, slot=pace, source="Cutting et al. 2010: lengths are log-normal"),
    Rule(name="speed", weight=0.3, arity=1, slot=speed, source="editing practice"),
    Rule(
        name="tempo",
        weight=0.4,
        arity=1,
        slot=tempo,
        source="Cutting et al. 2010: lengths are log-normal; Galvane et al., AAAI 2015: semi-Markov rhythm",
    ),
    Rule(
        name="finished move",
        weight=0.4,
        arity=1,
        slot=finished_move,
        source="editing practice: a pan is finished before its cut",
    ),
    Rule(
        name="clean picture",
        weight=0.6,
        arity=1,
        slot=clean_picture,
        source="editing practice: no slates or burnt-in text",
    ),
    Rule(name="resolution", weight=0.1, arity=1, slot=resolution, source="technical quality in delivery"),
    Rule(name="idiom scale", weight=0.8, arity=1, slot=idiom_scale, source=LEAKE),
    Rule(name="subject", weight=0.8, arity=1, slot=subject, source=LEAKE + ": emphasise a character"),
    Rule(
        name="preference",
        weight=1.5,
        arity=1,
        slot=preference,
        source="the editor's [prefer] comes before rules",
    ),
    Rule(name="speech", weight=0.2, arity=1, slot=speech, source="editing practice: no lips under narration"),
    Rule(name="stability", weight=0.3, arity=1, slot=stability, source="re-editing by editing the text"),
)
