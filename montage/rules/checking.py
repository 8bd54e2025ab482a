"""All rules by name, and what they cost: on one slot, on all pairs of two slots, on a finished cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from index.values import CAMERA_MOVES, SHOT_SIZES
from montage.rules.base import Features, Film, FloatArray, Join, Picture, Rule, Wish
from montage.rules.grammar import ESA, Grammar
from montage.rules.looks import energy, monochrome, night
from montage.rules.pairs import PAIR_RULES
from montage.rules.sequences import SEQUENCE_RULES
from montage.rules.single import SLOT_RULES

__all__ = ["RULES", "check_cut", "features", "pair_matrix", "slot_costs"]

RULES: Mapping[str, Rule] = {rule.name: rule for rule in (*SLOT_RULES, *PAIR_RULES, *SEQUENCE_RULES)}
"""All rules by name, in the order of a report."""

_HEADINGS = {"left": -1, None: 0, "right": 1}


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
        hashed=hashes != 0,
        night=np.array([night(look) for look in looks], dtype=np.float64),
        monochrome=np.array([monochrome(look) for look in looks], dtype=np.float64),
        heading=np.array([_HEADINGS[look.heading] for look in looks], dtype=np.int64),
        energy=np.array([energy(look) for look in looks], dtype=np.float64),
        match=np.array([picture.match for picture in pictures], dtype=np.float64),
        meaning=_meanings(pictures),
        meant=np.array([picture.meaning is not None for picture in pictures], dtype=np.bool_),
    )


def _meanings(pictures: Sequence[Picture]) -> FloatArray:
    known = [picture.meaning for picture in pictures if picture.meaning is not None]
    out = np.zeros((len(pictures), len(known[0]) if known else 1))
    for row, picture in zip(out, pictures, strict=True):
        if picture.meaning is not None:
            row[:] = picture.meaning
    return out


def _weight(rule: Rule, weights: Mapping[str, float]) -> float:
    return weights.get(rule.name, rule.weight)


def slot_costs(picture: Picture, wish: Wish, weights: Mapping[str, float]) -> dict[str, float]:
    """Weighted cost of every rule on a slot alone, by its share of the sentence."""
    return {
        rule.name: wish.share * _weight(rule, weights) * rule.slot(picture, wish)
        for rule in SLOT_RULES
        if rule.slot is not None
    }


def pair_matrix(
    first: Features, second: Features, weights: Mapping[str, float], join: Join | None = None
) -> FloatArray:
    """(K, L) weighted cost of all rules between K choices of a slot and L of the next."""
    join = join or Join()
    total = np.zeros((len(first.size), len(second.size)))
    for rule in PAIR_RULES:
        weight = _weight(rule, weights)
        if rule.matrix is not None and weight:
            total += weight * rule.matrix(first, second, join)
    return total


def check_cut(
    pictures: Sequence[Picture | None],
    wishes: Sequence[Wish | None],
    weights: Mapping[str, float],
    *,
    grammar: Grammar = ESA,
    film: Film | None = None,
) -> list[dict[str, float]]:
    """Weighted cost of every rule at every slot of a cut, by the plain definitions.

    A slot without a wish is a title card and costs nothing; a wish without a picture is a gap. Rules between
    neighbours count at the last of them, and stop at titles and gaps.
    """
    out: list[dict[str, float]] = []
    row: list[tuple[Picture, Wish]] = []
    for picture, wish in zip(pictures, wishes, strict=True):
        costs: dict[str, float] = {}
        if wish is not None and picture is None:
            costs["gap"] = wish.share * _weight(RULES["gap"], weights)
        elif wish is not None and picture is not None:
            costs = slot_costs(picture, wish, weights)
            for rule in (*PAIR_RULES, *SEQUENCE_RULES):
                if rule.pair is not None and row:
                    join = Join.between(row[-1][1], wish, grammar)
                    costs[rule.name] = _weight(rule, weights) * rule.pair(row[-1][0], picture, join)
                elif rule.three is not None and len(row) > 1:
                    costs[rule.name] = _weight(rule, weights) * rule.three(row[-2][0], row[-1][0], picture)
        out.append(costs)
        row = [*row[-1:], (picture, wish)] if wish is not None and picture is not None else []
    for rule in SEQUENCE_RULES:
        if rule.whole is not None:
            for costs, cost in zip(out, rule.whole(pictures, wishes, film or Film()), strict=True):
                if cost:
                    costs[rule.name] = _weight(rule, weights) * cost
    return out
