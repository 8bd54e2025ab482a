"""Shots that show the same: copies of a file that was cut, scaled or compressed again."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from index.values import Shot

__all__ = ["duplicate_groups"]

_DISTANCE = 6
"""Most bits of 64 by which the perceptual hashes of duplicates differ."""
_ROWS = 1024


def duplicate_groups(shots: Sequence[Shot]) -> dict[str, str]:
    """The near-duplicate group of every shot that has one; a group is named after its smallest shot id.

    Conservative: hash, length, colour, contrast and camera must all agree, and both shots must come from
    different media. Nearly plain pictures are never duplicates, since their hashes mean nothing.
    """
    telling = [shot for shot in shots if shot.look.contrast >= 0.04]
    if len(telling) < 2:
        return {}
    hashes = np.array([shot.look.phash for shot in telling], dtype=np.uint64)
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1).astype(np.float32) * 2 - 1
    parent = list(range(len(telling)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for first in range(0, len(telling), _ROWS):
        # The product of two rows of signs is 64 less twice the number of bits that differ.
        near = bits[first : first + _ROWS] @ bits.T >= 64 - 2 * _DISTANCE
        for row, column in zip(*(found.tolist() for found in np.nonzero(near)), strict=True):
            a, b = first + row, column
            if a < b and _alike(telling[a], telling[b]):
                parent[root(a)] = root(b)
    members: dict[int, list[str]] = {}
    for index, shot in enumerate(telling):
        members.setdefault(root(index), []).append(shot.id)
    return {shot: min(ids) for ids in members.values() if len(ids) > 1 for shot in ids}


def _alike(a: Shot, b: Shot) -> bool:
    if a.media == b.media:
        return False
    longer = max(a.span.seconds, b.span.seconds)
    if abs(a.span.seconds - b.span.seconds) > max(longer / 20, Fraction(1, 5)):
        return False
    colour = max(abs(x - y) for x, y in zip(a.look.lab, b.look.lab, strict=True))
    return (
        colour < 8
        and abs(a.look.contrast - b.look.contrast) < 0.05
        and abs(a.look.motion - b.look.motion) < max(0.05, 0.3 * max(a.look.motion, b.look.motion))
    )
