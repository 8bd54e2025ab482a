"""Rules of two neighbouring slots, each by its plain definition and for all pairs of two slots' pictures."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from index.values import CAMERA_MOVES, SHOT_SIZES
from montage.rules.base import Features, FloatArray, IntArray, Join, Picture, Rule
from montage.rules.single import WRITE_A_VIDEO, clip

__all__ = ["PAIR_RULES", "related"]

_ESA = "ESA, arXiv 2511.02505"


def related(first: Picture, second: Picture) -> bool:
    """Whether two pictures come from one source."""
    return first.media == second.media or (first.group != "" and first.group == second.group)


def jump_cut(first: Picture, second: Picture, join: Join) -> float:
    """Do not cut between two moments of one source that are framed alike: it looks like a fault.

    Alike is judged by colour and by the perceptual hash; the closer in time the worse. Two shot sizes or more
    apart is a cut-in, which is fine.
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
    """Do not follow a pan, tilt or zoom by its opposite, or mix pans and tilts."""
    return 1.0 - join.grammar.moves[CAMERA_MOVES.index(first.look.move)][CAMERA_MOVES.index(second.look.move)]


def shot_sizes(first: Picture, second: Picture, join: Join) -> float:
    """Change the shot size by the grammar: from wide by way of medium to close, and back."""
    if first.look.size is None or second.look.size is None:
        return 0.0
    return 1.0 - join.grammar.sizes[SHOT_SIZES.index(first.look.size)][SHOT_SIZES.index(second.look.size)]


def size_jump(first: Picture, second: Picture, join: Join) -> float:
    """Do not leap over two or more shot sizes at once."""
    if first.look.size is None or second.look.size is None:
        return 0.0
    steps = abs(SHOT_SIZES.index(first.look.size) - SHOT_SIZES.index(second.look.size))
    return clip((steps - 2) / 2)


def colour(first: Picture, second: Picture, join: Join) -> float:
    """Keep the tint from one shot to the next."""
    return clip(math.dist(first.look.lab[1:], second.look.lab[1:]) / 40)


def brightness(first: Picture, second: Picture, join: Join) -> float:
    """Keep the brightness from one shot to the next."""
    return clip(abs(first.look.brightness - second.look.brightness) / 0.5)


def variety(first: Picture, second: Picture, join: Join) -> float:
    """Do not stay in one source for two pictures in a row."""
    return 1.0 if related(first, second) else 0.0


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
        source="Leake et al., SIGGRAPH 2017: change zoom gradually",
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
)
