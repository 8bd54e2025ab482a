"""Rules of a slot alone."""

from __future__ import annotations

import math

from index.values import SHOT_SIZES
from montage.rules.base import Picture, Rule, Wish

__all__ = ["SLOT_RULES", "clip"]

WRITE_A_VIDEO = "Write-A-Video, SIGGRAPH Asia 2019"


def clip(value: float) -> float:
    """``value`` kept within [0, 1]."""
    return min(1.0, max(0.0, value))


def gap(picture: Picture | None, wish: Wish) -> float:
    """Leave no sentence without a picture."""
    return 1.0 if picture is None else 0.0


def match(picture: Picture, wish: Wish) -> float:
    """Show what is being said."""
    return 1.0 - picture.match


def lighting(picture: Picture, wish: Wish) -> float:
    """Prefer a well-lit shot: not so dark that nothing is seen, not burnt out, not flat."""
    look = picture.look
    dark = clip((0.2 - look.brightness) / 0.2)
    burnt = clip((look.brightness - 0.85) / 0.15)
    flat = clip((0.08 - look.contrast) / 0.08)
    return max(dark, burnt, 0.5 * flat)


def sharpness(picture: Picture, wish: Wish) -> float:
    """Prefer a sharp shot."""
    return 1.0 - picture.look.sharpness


def steadiness(picture: Picture, wish: Wish) -> float:
    """Prefer a steady shot."""
    return picture.look.shake


def asked_size(picture: Picture, wish: Wish) -> float:
    """Give the shot size that the script asks for; a size away is a quarter as bad as four."""
    if wish.size is None:
        return 0.0
    if picture.look.size is None:
        return 0.5
    return abs(SHOT_SIZES.index(wish.size) - SHOT_SIZES.index(picture.look.size)) / 4


def asked_move(picture: Picture, wish: Wish) -> float:
    """Give the camera move that the script asks for; the right move the wrong way round is half as bad."""
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

    The log of the ratio, since shot lengths are felt in proportion; half or twice as long costs it all.
    """
    return clip(math.log2(picture.seconds / wish.seconds) ** 2)


def speed(picture: Picture, wish: Wish) -> float:
    """Play footage at its natural speed; slowed to 0.8x costs it all."""
    return clip((math.log2(picture.speed) / math.log2(0.8)) ** 2)


def stability(picture: Picture, wish: Wish) -> float:
    """Leave alone what was already cut, unless the change is worth it."""
    kept = any(shot == picture.shot and span.overlaps(picture.span) for shot, span in wish.previous)
    return 0.0 if kept or not wish.previous else 1.0


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
    Rule(name="stability", weight=0.6, arity=1, slot=stability, source="re-editing by editing the text"),
)
