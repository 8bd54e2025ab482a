"""The rules of editing: small pure functions that give a slot, or two neighbours, a cost from 0 to 1.

Every rule has a plain definition on one or two ``Picture``s, which is also what checks a finished cut
(``check_cut``). Rules between neighbours have a second, vectorised form over all pairs of two slots' choices,
from which the optimiser's problem is built; a property test holds the two together.

A cost of 0 is what an editor would do without thinking, 1 what they would avoid. The unknown costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from index.base import Span
from index.values import CAMERA_MOVES, SHOT_SIZES, CameraMove, Look, ShotSize

__all__ = [
    "RULES",
    "Features",
    "Picture",
    "Rule",
    "Wish",
    "check_cut",
    "features",
    "pair_matrix",
    "unary_costs",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What the rules see of a choice for a slot."""

    shot: str
    media: str
    group: str = ""
    """Near-duplicate group, empty if it has none."""
    span: Span
    """What is shown, in source seconds."""
    look: Look
    match: float
    seconds: float
    """Length in the film."""
    speed: float = 1.0
    """Source seconds per film second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a slot asks for."""

    seconds: float
    """Length that the script and the preset ask for."""
    size: ShotSize | None = None
    move: str | None = None
    """A kind of camera move, with or without its direction."""
    previous: tuple[str, Span] | None = None
    """Shot id and span of the last cut's slot, None where there was none."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """K pictures of one slot as arrays, for the vectorised rules."""

    lab: FloatArray
    """(K, 3)."""
    brightness: FloatArray
    """(K,)."""
    size: IntArray
    """(K,) index into SHOT_SIZES, -1 where unknown."""
    move: IntArray
    """(K,) index into CAMERA_MOVES."""
    media: IntArray
    """(K,) a number for each media."""
    group: IntArray
    """(K,) a number for each near-duplicate group, -1 where there is none."""
    start: FloatArray
    end: FloatArray
    """(K,) source seconds."""
    bits: FloatArray
    """(K, 64) bits of the perceptual hash, 0 or 1."""


Unary = Callable[[Picture, Wish], float]
Pair = Callable[[Picture, Picture], float]
PairMatrix = Callable[[Features, Features], FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.

    Raises:
        ValueError: if the weight is negative or the functions do not go with the arity.
    """

    name: str
    weight: float
    """By default; a preset may weight it otherwise."""
    arity: Literal[0, 1, 2]
    """1: a slot alone; 2: two neighbours, counted at the later one; 0: a slot without a picture."""
    source: str
    """Where it comes from."""
    unary: Unary | None = None
    pair: Pair | None = None
    matrix: PairMatrix | None = None

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"rule {self.name}: weight must not be negative, got {self.weight}")
        given = (self.unary is not None, self.pair is not None, self.matrix is not None)
        if given != {0: (False, False, False), 1: (True, False, False), 2: (False, True, True)}[self.arity]:
            raise ValueError(f"rule {self.name}: arity {self.arity} does not go with functions {given}")

    @property
    def says(self) -> str:
        """What an editor would say: the first line of the definition's docstring."""
        function = self.unary or self.pair
        if function is None:
            return "A sentence must not stay without a picture."
        return (function.__doc__ or "").strip().splitlines()[0]


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))


# One slot alone ------------------------------------------------------------------------------------------


def match(picture: Picture, wish: Wish) -> float:
    """Show what is being said."""
    return 1.0 - picture.match


def lighting(picture: Picture, wish: Wish) -> float:
    """Prefer a well-lit shot: not so dark that nothing is seen, not burnt out, not flat."""
    look = picture.look
    dark = _clip((0.2 - look.brightness) / 0.2)
    burnt = _clip((look.brightness - 0.85) / 0.15)
    flat = _clip((0.08 - look.contrast) / 0.08)
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
    """Hold each picture as long as its sentence, at its natural speed.

    The log of the ratio, since shot lengths are felt in proportion; half or twice as long costs it all.
    """
    return _clip((abs(math.log2(picture.seconds / wish.seconds))) + abs(math.log2(picture.speed)))


def stability(picture: Picture, wish: Wish) -> float:
    """Leave alone what was already cut, unless the change is worth it."""
    if wish.previous is None:
        return 0.0
    shot, span = wish.previous
    return 0.0 if shot == picture.shot and span.overlaps(picture.span) else 1.0


# Two neighbours ------------------------------------------------------------------------------------------

_SIZE_SCORE = (
    (0.0, 0.5, 1.0, 0.0, 0.0),
    (0.5, 0.6, 1.0, 1.0, 0.0),
    (1.0, 1.0, 1.0, 1.0, 1.0),
    (0.0, 0.6, 0.8, 0.6, 1.0),
    (0.0, 0.0, 0.3, 1.0, 0.0),
)
"""How well a shot size (row, ELS to ECU) is followed by another (column); 1 is best (ESA)."""


def _move_score(first: CameraMove, second: CameraMove) -> float:
    """How well a camera move is followed by another; 1 is best (ESA). Unlisted pairs are fine."""
    a, b = first.split("-")[0], second.split("-")[0]
    still = {"static", "handheld"}
    if a in still or b in still or first == second:
        return 1.0
    if a == b:
        return 0.0  # opposite ways
    return 1.0 if b == "zoom" else 0.0


_MOVE_SCORE = tuple(tuple(_move_score(a, b) for b in CAMERA_MOVES) for a in CAMERA_MOVES)


def _related(first: Picture, second: Picture) -> bool:
    return first.media == second.media or (first.group != "" and first.group == second.group)


def jump_cut(first: Picture, second: Picture) -> float:
    """Do not cut between two moments of one source that are framed alike: it looks like a fault.

    Alike is judged by colour and by the perceptual hash; the closer in time the worse. Two shot sizes or more
    apart is a cut-in, which is fine.
    """
    if not _related(first, second):
        return 0.0
    a, b = first.look, second.look
    colour = _clip(1 - math.dist(a.lab, b.lab) / 30)
    form = _clip(1 - (a.phash ^ b.phash).bit_count() / 24)
    gap = max(0.0, float(second.span.start - first.span.end), float(first.span.start - second.span.end))
    near = 0.5 + 0.5 * _clip(1 - gap / 30)
    if (
        a.size is not None
        and b.size is not None
        and abs(SHOT_SIZES.index(a.size) - SHOT_SIZES.index(b.size)) >= 2
    ):
        return 0.0
    return (0.4 * colour + 0.6 * form) * near


def camera_moves(first: Picture, second: Picture) -> float:
    """Do not follow a pan, tilt or zoom by its opposite, or mix pans and tilts."""
    return 1.0 - _MOVE_SCORE[CAMERA_MOVES.index(first.look.move)][CAMERA_MOVES.index(second.look.move)]


def shot_sizes(first: Picture, second: Picture) -> float:
    """Change the shot size by the grammar: from wide by way of medium to close, and back."""
    if first.look.size is None or second.look.size is None:
        return 0.0
    return 1.0 - _SIZE_SCORE[SHOT_SIZES.index(first.look.size)][SHOT_SIZES.index(second.look.size)]


def size_jump(first: Picture, second: Picture) -> float:
    """Do not leap over two or more shot sizes at once."""
    if first.look.size is None or second.look.size is None:
        return 0.0
    steps = abs(SHOT_SIZES.index(first.look.size) - SHOT_SIZES.index(second.look.size))
    return _clip((steps - 2) / 2)


def colour(first: Picture, second: Picture) -> float:
    """Keep the tint from one shot to the next."""
    return _clip(math.dist(first.look.lab[1:], second.look.lab[1:]) / 40)


def brightness(first: Picture, second: Picture) -> float:
    """Keep the brightness from one shot to the next."""
    return _clip(abs(first.look.brightness - second.look.brightness) / 0.5)


def variety(first: Picture, second: Picture) -> float:
    """Do not stay in one source for two pictures in a row."""
    return 1.0 if _related(first, second) else 0.0


def _related_matrix(a: Features, b: Features) -> NDArray[np.bool_]:
    groups = (a.group[:, None] == b.group[None, :]) & (a.group >= 0)[:, None]
    related: NDArray[np.bool_] = (a.media[:, None] == b.media[None, :]) | groups
    return related


def _steps_matrix(a: Features, b: Features) -> tuple[IntArray, NDArray[np.bool_]]:
    known = (a.size >= 0)[:, None] & (b.size >= 0)[None, :]
    return np.abs(a.size[:, None] - b.size[None, :]), known


def _jump_cut_matrix(a: Features, b: Features) -> FloatArray:
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


def _camera_moves_matrix(a: Features, b: Features) -> FloatArray:
    score: FloatArray = np.array(_MOVE_SCORE)[a.move[:, None], b.move[None, :]]
    return 1.0 - score


def _shot_sizes_matrix(a: Features, b: Features) -> FloatArray:
    _, known = _steps_matrix(a, b)
    out: FloatArray = np.where(known, 1.0 - np.array(_SIZE_SCORE)[a.size[:, None], b.size[None, :]], 0.0)
    return out


def _size_jump_matrix(a: Features, b: Features) -> FloatArray:
    steps, known = _steps_matrix(a, b)
    out: FloatArray = np.where(known, np.clip((steps - 2) / 2, 0, 1), 0.0)
    return out


def _colour_matrix(a: Features, b: Features) -> FloatArray:
    distance = np.linalg.norm(a.lab[:, None, 1:] - b.lab[None, :, 1:], axis=2)
    out: FloatArray = np.clip(distance / 40, 0, 1)
    return out


def _brightness_matrix(a: Features, b: Features) -> FloatArray:
    out: FloatArray = np.clip(np.abs(a.brightness[:, None] - b.brightness[None, :]) / 0.5, 0, 1)
    return out


def _variety_matrix(a: Features, b: Features) -> FloatArray:
    return _related_matrix(a, b).astype(np.float64)


_WRITE_A_VIDEO = "Write-A-Video, SIGGRAPH Asia 2019"
_ESA = "ESA, arXiv 2511.02505"

RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(name="match", weight=3.0, arity=1, unary=match, source=_WRITE_A_VIDEO),
        Rule(name="gap", weight=6.0, arity=0, source="a shown gap is worse than any weak match"),
        Rule(name="lighting", weight=0.2, arity=1, unary=lighting, source=_WRITE_A_VIDEO),
        Rule(name="sharpness", weight=0.25, arity=1, unary=sharpness, source=_WRITE_A_VIDEO),
        Rule(name="steadiness", weight=0.25, arity=1, unary=steadiness, source=_WRITE_A_VIDEO),
        Rule(name="asked size", weight=1.5, arity=1, unary=asked_size, source="the script's [size]"),
        Rule(name="asked move", weight=1.5, arity=1, unary=asked_move, source="the script's [move]"),
        Rule(
            name="pace", weight=0.8, arity=1, unary=pace, source="Cutting et al. 2010: lengths are log-normal"
        ),
        Rule(name="stability", weight=0.6, arity=1, unary=stability, source="re-editing by editing the text"),
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
        Rule(name="colour", weight=0.25, arity=2, pair=colour, matrix=_colour_matrix, source=_WRITE_A_VIDEO),
        Rule(
            name="brightness",
            weight=0.2,
            arity=2,
            pair=brightness,
            matrix=_brightness_matrix,
            source=_WRITE_A_VIDEO,
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
}
"""All rules by name, in the order of a report."""


def features(
    pictures: Sequence[Picture], media: dict[str, int] | None = None, groups: dict[str, int] | None = None
) -> Features:
    """Arrays of K pictures. Slots that are to be compared share the two numberings, which are filled in."""
    media = {} if media is None else media
    groups = {} if groups is None else groups
    looks = [picture.look for picture in pictures]
    hashes = np.array([look.phash & (2**64 - 1) for look in looks], dtype=np.uint64)
    bits = (hashes[:, None] >> np.arange(64, dtype=np.uint64)[None, :]) & np.uint64(1)
    return Features(
        lab=np.array([look.lab for look in looks], dtype=np.float64).reshape(-1, 3),
        brightness=np.array([look.brightness for look in looks], dtype=np.float64),
        size=np.array([-1 if k.size is None else SHOT_SIZES.index(k.size) for k in looks], dtype=np.int64),
        move=np.array([CAMERA_MOVES.index(look.move) for look in looks], dtype=np.int64),
        media=np.array([media.setdefault(p.media, len(media)) for p in pictures], dtype=np.int64),
        group=np.array(
            [groups.setdefault(p.group, len(groups)) if p.group else -1 for p in pictures], dtype=np.int64
        ),
        start=np.array([float(p.span.start) for p in pictures], dtype=np.float64),
        end=np.array([float(p.span.end) for p in pictures], dtype=np.float64),
        bits=bits.astype(np.float64),
    )


def unary_costs(picture: Picture, wish: Wish, weights: Mapping[str, float]) -> dict[str, float]:
    """Weighted cost of every rule on a slot alone."""
    return {
        rule.name: weights.get(rule.name, rule.weight) * rule.unary(picture, wish)
        for rule in RULES.values()
        if rule.unary is not None
    }


def pair_matrix(first: Features, second: Features, weights: Mapping[str, float]) -> FloatArray:
    """(K, L) weighted cost of all rules between K choices of a slot and L of the next."""
    total = np.zeros((len(first.size), len(second.size)))
    for rule in RULES.values():
        weight = weights.get(rule.name, rule.weight)
        if rule.matrix is not None and weight:
            total += weight * rule.matrix(first, second)
    return total


def check_cut(
    pictures: Sequence[Picture | None], wishes: Sequence[Wish | None], weights: Mapping[str, float]
) -> list[dict[str, float]]:
    """Weighted cost of every rule at every slot of a cut, by the plain definitions.

    A slot without a wish is a title card and costs nothing; a wish without a picture is a gap. Rules between
    neighbours count at the later one, and stop at titles and gaps.
    """
    out: list[dict[str, float]] = []
    before: Picture | None = None
    for picture, wish in zip(pictures, wishes, strict=True):
        costs: dict[str, float] = {}
        if wish is not None and picture is None:
            costs["gap"] = weights.get("gap", RULES["gap"].weight)
        elif wish is not None and picture is not None:
            costs = unary_costs(picture, wish, weights)
            if before is not None:
                costs |= {
                    rule.name: weights.get(rule.name, rule.weight) * rule.pair(before, picture)
                    for rule in RULES.values()
                    if rule.pair is not None
                }
        out.append(costs)
        before = picture if wish is not None else None
    return out
