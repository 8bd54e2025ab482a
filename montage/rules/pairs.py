"""Rules of two neighbouring slots, each by its plain definition and for all pairs of two slots' pictures."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from index.values import CAMERA_MOVES, SHOT_SIZES
from montage.rules.base import Features, FloatArray, IntArray, Join, Picture, Rule
from montage.rules.looks import clip, energy, monochrome, night
from montage.rules.single import LEAKE, WRITE_A_VIDEO

__all__ = ["PAIR_RULES", "related"]

_ESA = "ESA, arXiv 2511.02505"


def related(first: Picture, second: Picture) -> bool:
    """Whether two pictures come from one source."""
    return first.media == second.media or (first.group != "" and first.group == second.group)


def jump_cut(first: Picture, second: Picture, join: Join) -> float:
    """Do not cut between two moments of one source that are framed alike: it looks like a fault.

    (0.4 x likeness of colour + 0.6 x likeness of the perceptual hash) x (1 at once, down to a half from 30 s
    apart on). Two shot sizes or more apart is a cut-in, which is fine.
    """
    if not related(first, second):
        return 0.0
    a, b = first.look, second.look
    colour = clip(1 - math.dist(a.lab, b.lab) / 30)
    form = clip(1 - (a.phash ^ b.phash).bit_count() / 24)
    gap = max(0.0, float(second.span.start - first.span.end), float(first.span.start - second.span.end))
    near = 0.5 + 0.5 * clip(1 - gap / 30)
    if (
        a.size is not None
        and b.size is not None
        and abs(SHOT_SIZES.index(a.size) - SHOT_SIZES.index(b.size)) >= 2
    ):
        return 0.0
    return (0.4 * colour + 0.6 * form) * near


def camera_moves(first: Picture, second: Picture, join: Join) -> float:
    """Do not follow a pan, tilt or zoom by its opposite, or mix pans and tilts.

    1 - score of the two moves in the grammar.
    """
    return 1.0 - join.grammar.moves[CAMERA_MOVES.index(first.look.move)][CAMERA_MOVES.index(second.look.move)]


def shot_sizes(first: Picture, second: Picture, join: Join) -> float:
    """Change the shot size by the grammar: from wide by way of medium to close, and back.

    1 - score of the two sizes in the grammar.
    """
    if first.look.size is None or second.look.size is None:
        return 0.0
    return 1.0 - join.grammar.sizes[SHOT_SIZES.index(first.look.size)][SHOT_SIZES.index(second.look.size)]


def size_jump(first: Picture, second: Picture, join: Join) -> float:
    """Do not leap over two or more shot sizes at once.

    (sizes apart - 2) / 2.
    """
    if first.look.size is None or second.look.size is None:
        return 0.0
    steps = abs(SHOT_SIZES.index(first.look.size) - SHOT_SIZES.index(second.look.size))
    return clip((steps - 2) / 2)


def colour(first: Picture, second: Picture, join: Join) -> float:
    """Keep the tint from one shot to the next.

    Distance of the mean colours in a* and b* / 40.
    """
    return clip(math.dist(first.look.lab[1:], second.look.lab[1:]) / 40)


def brightness(first: Picture, second: Picture, join: Join) -> float:
    """Keep the brightness from one shot to the next.

    Difference of brightness / 50%.
    """
    return clip(abs(first.look.brightness - second.look.brightness) / 0.5)


def variety(first: Picture, second: Picture, join: Join) -> float:
    """Do not stay in one source for two pictures in a row.

    1 where two neighbours come from one file or from near-duplicates.
    """
    return 1.0 if related(first, second) else 0.0


def day_and_night(first: Picture, second: Picture, join: Join) -> float:
    """Do not mix day and night within a paragraph.

    Difference of how much the two look like night, by their mean luma.
    """
    return abs(night(first.look) - night(second.look)) if join.same_paragraph else 0.0


def black_and_white(first: Picture, second: Picture, join: Join) -> float:
    """Do not mix colour with black and white within a paragraph.

    Difference of how much the two look like black and white, by saturation and tint.
    """
    return abs(monochrome(first.look) - monochrome(second.look)) if join.same_paragraph else 0.0


def screen_direction(first: Picture, second: Picture, join: Join) -> float:
    """Stay on one side of the action: who walks left still walks left after the cut.

    1 where the subjects of two neighbours within a paragraph cross the screen in opposite directions.
    """
    ways = {first.look.heading, second.look.heading}
    return 1.0 if join.same_paragraph and ways == {"left", "right"} else 0.0


def motion_energy(first: Picture, second: Picture, join: Join) -> float:
    """Do not throw a still picture against a wild one: let the motion carry on.

    Tenfold motion costs it all: the difference of the decimal logarithms of motion + 2% of a width a second.
    """
    return clip(abs(energy(first.look) - energy(second.look)))


def match_cut(first: Picture, second: Picture, join: Join) -> float:
    """Welcome a cut that carries a shape or a motion over from one source to another.

    1, less the likeness of composition (1 - differing bits of the perceptual hash / 24), and nothing where
    both subjects, or both cameras, move the same way. A reward, written as a cost: most cuts pay it.
    """
    if related(first, second):
        return 1.0
    a, b = first.look, second.look
    same_way = (a.heading is not None and a.heading == b.heading) or (
        a.move == b.move and a.move not in ("static", "handheld")
    )
    if same_way:
        return 0.0
    if not a.phash or not b.phash:
        return 1.0
    return 1 - clip(1 - (a.phash ^ b.phash).bit_count() / 24)


def unmotivated_cut(first: Picture, second: Picture, join: Join) -> float:
    """Do not leave a picture, within a sentence, for one that says much less.

    (match before - match after - 10%) / 40%.
    """
    return clip((first.match - second.match - 0.1) / 0.4) if join.same_sentence else 0.0


def meaning(first: Picture, second: Picture, join: Join) -> float:
    """Stay with the matter: within a paragraph, neighbours show things that belong together.

    (1 - cosine of what the two show, in the encoder's space) / 2; nothing within one source.
    """
    if not join.same_paragraph or first.meaning is None or second.meaning is None or related(first, second):
        return 0.0
    return clip((1 - float(first.meaning.astype(np.float64) @ second.meaning.astype(np.float64))) / 2)


def _related_matrix(a: Features, b: Features) -> NDArray[np.bool_]:
    groups = (a.group[:, None] == b.group[None, :]) & (a.group >= 0)[:, None]
    related: NDArray[np.bool_] = (a.media[:, None] == b.media[None, :]) | groups
    return related


def _steps_matrix(a: Features, b: Features) -> tuple[IntArray, NDArray[np.bool_]]:
    known = (a.size >= 0)[:, None] & (b.size >= 0)[None, :]
    return np.abs(a.size[:, None] - b.size[None, :]), known


def _jump_cut_matrix(a: Features, b: Features, join: Join) -> FloatArray:
    related = _related_matrix(a, b)
    if not related.any():
        return np.zeros(related.shape)
    distance = np.linalg.norm(a.lab[:, None, :] - b.lab[None, :, :], axis=2)
    hamming = a.bits @ (1 - b.bits).T + (1 - a.bits) @ b.bits.T
    alike = 0.4 * np.clip(1 - distance / 30, 0, 1) + 0.6 * np.clip(1 - hamming / 24, 0, 1)
    gap = np.maximum(b.start[None, :] - a.end[:, None], a.start[:, None] - b.end[None, :])
    near = 0.5 + 0.5 * np.clip(1 - np.maximum(gap, 0) / 30, 0, 1)
    steps, known = _steps_matrix(a, b)
    out: FloatArray = np.where(related & ~(known & (steps >= 2)), alike * near, 0.0)
    return out


def _camera_moves_matrix(a: Features, b: Features, join: Join) -> FloatArray:
    score: FloatArray = np.array(join.grammar.moves)[a.move[:, None], b.move[None, :]]
    return 1.0 - score


def _shot_sizes_matrix(a: Features, b: Features, join: Join) -> FloatArray:
    _, known = _steps_matrix(a, b)
    score = np.array(join.grammar.sizes)[a.size[:, None], b.size[None, :]]
    out: FloatArray = np.where(known, 1.0 - score, 0.0)
    return out


def _size_jump_matrix(a: Features, b: Features, join: Join) -> FloatArray:
    steps, known = _steps_matrix(a, b)
    out: FloatArray = np.where(known, np.clip((steps - 2) / 2, 0, 1), 0.0)
    return out


def _colour_matrix(a: Features, b: Features, join: Join) -> FloatArray:
    distance = np.linalg.norm(a.lab[:, None, 1:] - b.lab[None, :, 1:], axis=2)
    out: FloatArray = np.clip(distance / 40, 0, 1)
    return out


def _brightness_matrix(a: Features, b: Features, join: Join) -> FloatArray:
    out: FloatArray = np.clip(np.abs(a.brightness[:, None] - b.brightness[None, :]) / 0.5, 0, 1)
    return out


def _variety_matrix(a: Features, b: Features, join: Join) -> FloatArray:
    return _related_matrix(a, b).astype(np.float64)


def _day_and_night_matrix(a: Features, b: Features, join: Join) -> FloatArray:
    out: FloatArray = np.abs(a.night[:, None] - b.night[None, :]) * join.same_paragraph
    return out


def _black_and_white_matrix(a: Features, b: Features, join: Join) -> FloatArray:
    out: FloatArray = np.abs(a.monochrome[:, None] - b.monochrome[None, :]) * join.same_paragraph
    return out


def _screen_direction_matrix(a: Features, b: Features, join: Join) -> FloatArray:
    opposite = a.heading[:, None] * b.heading[None, :] < 0
    out: FloatArray = opposite.astype(np.float64) * join.same_paragraph
    return out


def _motion_energy_matrix(a: Features, b: Features, join: Join) -> FloatArray:
    out: FloatArray = np.minimum(np.abs(a.energy[:, None] - b.energy[None, :]), 1.0)
    return out


def _match_cut_matrix(a: Features, b: Features, join: Join) -> FloatArray:
    turns = np.where(np.isin(a.move, _STILL), -1, a.move)
    same_way = ((a.heading[:, None] == b.heading[None, :]) & (a.heading != 0)[:, None]) | (
        turns[:, None] == b.move[None, :]
    )
    differ = a.bits @ (1 - b.bits).T + (1 - a.bits) @ b.bits.T
    known = a.hashed[:, None] & b.hashed[None, :]
    cost = np.where(known, np.minimum(differ / 24, 1.0), 1.0)
    out: FloatArray = np.where(_related_matrix(a, b), 1.0, np.where(same_way, 0.0, cost))
    return out


def _unmotivated_cut_matrix(a: Features, b: Features, join: Join) -> FloatArray:
    out: FloatArray = np.clip((a.match[:, None] - b.match[None, :] - 0.1) / 0.4, 0, 1) * join.same_sentence
    return out


def _meaning_matrix(a: Features, b: Features, join: Join) -> FloatArray:
    if not join.same_paragraph or not a.meant.any() or not b.meant.any():
        return np.zeros((len(a.meant), len(b.meant)))
    known = a.meant[:, None] & b.meant[None, :] & ~_related_matrix(a, b)
    out: FloatArray = np.where(known, np.clip((1 - a.meaning @ b.meaning.T) / 2, 0, 1), 0.0)
    return out


_STILL = [CAMERA_MOVES.index("static"), CAMERA_MOVES.index("handheld")]

PAIR_RULES = (
    Rule(
        name="jump cut",
        weight=1.5,
        arity=2,
        pair=jump_cut,
        matrix=_jump_cut_matrix,
        source="Galvane et al., AAAI 2015; Leake et al., SIGGRAPH 2017",
    ),
    Rule(
        name="camera moves",
        weight=0.4,
        arity=2,
        pair=camera_moves,
        matrix=_camera_moves_matrix,
        source=_ESA,
    ),
    Rule(name="shot sizes", weight=0.3, arity=2, pair=shot_sizes, matrix=_shot_sizes_matrix, source=_ESA),
    Rule(
        name="size jump",
        weight=0.2,
        arity=2,
        pair=size_jump,
        matrix=_size_jump_matrix,
        source=LEAKE + ": change zoom gradually",
    ),
    Rule(name="colour", weight=0.25, arity=2, pair=colour, matrix=_colour_matrix, source=WRITE_A_VIDEO),
    Rule(
        name="brightness",
        weight=0.2,
        arity=2,
        pair=brightness,
        matrix=_brightness_matrix,
        source=WRITE_A_VIDEO,
    ),
    Rule(
        name="variety",
        weight=0.5,
        arity=2,
        pair=variety,
        matrix=_variety_matrix,
        source="CinAssist: never three in a row from one source",
    ),
    Rule(
        name="day and night",
        weight=0.5,
        arity=2,
        pair=day_and_night,
        matrix=_day_and_night_matrix,
        source="continuity of time; Write-A-Video's tone",
    ),
    Rule(
        name="black and white",
        weight=0.6,
        arity=2,
        pair=black_and_white,
        matrix=_black_and_white_matrix,
        source="continuity of stock; Write-A-Video's tone",
    ),
    Rule(
        name="screen direction",
        weight=0.4,
        arity=2,
        pair=screen_direction,
        matrix=_screen_direction_matrix,
        source="the 180 degree rule",
    ),
    Rule(
        name="motion energy",
        weight=0.1,
        arity=2,
        pair=motion_energy,
        matrix=_motion_energy_matrix,
        source="transition score of the open music-video editors",
    ),
    Rule(
        name="match cut",
        weight=0.1,
        arity=2,
        pair=match_cut,
        matrix=_match_cut_matrix,
        source="Netflix, 2022: match cutting",
    ),
    Rule(
        name="unmotivated cut",
        weight=0.4,
        arity=2,
        pair=unmotivated_cut,
        matrix=_unmotivated_cut_matrix,
        source="Galvane et al., AAAI 2015",
    ),
    Rule(
        name="meaning",
        weight=0.15,
        arity=2,
        pair=meaning,
        matrix=_meaning_matrix,
        source="transition score of the open music-video editors",
    ),
)
