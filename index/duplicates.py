"""Shots that show the same: copies of a file that was cut, scaled or compressed again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.values import Shot

__all__ = ["duplicate_groups"]

_DISTANCE = 6
"""Most bits of 64 by which the perceptual hashes of duplicates differ."""
_WHOLE = 5
"""The same for the hashes of their means."""
_ROWS = 256
"""Shots compared with all others of about their length at once."""
_LONGER = 1 / 20
_SECONDS = 1 / 5
"""Duplicates differ in length by this share of the longer, or by so many seconds."""


def duplicate_groups(shots: Sequence[Shot]) -> dict[str, str]:
    """The near-duplicate group of every shot that has one; a group is named after its smallest shot id.

    Conservative: a hash, length, colour, contrast and motion must all agree, and both shots must come from
    different media. Nearly plain pictures are never duplicates, since their hashes mean nothing. Shots are
    compared with those of about their length alone: a twentieth of all pairs in common footage.
    """
    telling = [shot for shot in shots if shot.look.contrast >= 0.04]
    if len(telling) < 2:
        return {}
    names = {media: place for place, media in enumerate(sorted({shot.media for shot in telling}))}
    media = np.array([names[shot.media] for shot in telling])
    looks = np.array(
        [(float(shot.span.seconds), *shot.look.lab, shot.look.contrast, shot.look.motion) for shot in telling]
    )
    hashes = np.array([(shot.look.phash, shot.look.whole_phash) for shot in telling], dtype=np.uint64)
    order = np.lexsort((media, *hashes.T, *looks.T[::-1]))
    media, looks, hashes = media[order], looks[order], hashes[order]
    labels = np.arange(len(order))
    # Equal in every figure: many copies of one file, say. Where two media are among them, all are duplicates.
    same = np.concatenate(
        [[False], (looks[1:] == looks[:-1]).all(axis=1) & (hashes[1:] == hashes[:-1]).all(axis=1)]
    )
    first = np.maximum.accumulate(np.where(same, 0, labels))
    several = np.zeros(len(order), dtype=bool)
    several[first[np.flatnonzero(same & (media != np.roll(media, 1)))]] = True
    labels = np.where(several[first], first, labels)
    kept = np.flatnonzero(labels == np.arange(len(order)))
    media = np.where(several, -1 - np.arange(len(order)), media)  # of several media: of none of the others'
    labels = _join(labels, kept, _pairs(looks[kept], hashes[kept], media[kept]))
    members: dict[int, list[str]] = {}
    for place, label in zip(order.tolist(), labels.tolist(), strict=True):
        members.setdefault(label, []).append(telling[place].id)
    return {shot: min(ids) for ids in members.values() if len(ids) > 1 for shot in ids}


def _pairs(looks: NDArray[np.float64], hashes: NDArray[np.uint64], media: NDArray[np.int64]) -> Any:
    """Blocks of pairs (two arrays of places) that are alike; ``looks`` are sorted by length."""
    middle, whole = (_signs(hashes[:, place]) for place in (0, 1))
    whole[hashes[:, 1] == 0] = 0  # not measured
    seconds = looks[:, 0]
    for start in range(0, len(looks), _ROWS):
        stop = min(start + _ROWS, len(looks))
        longest = max(seconds[stop - 1] + _SECONDS, seconds[stop - 1] / (1 - _LONGER))
        end = int(np.searchsorted(seconds, longest, "right"))
        # The product of two rows of signs is 64 less twice the number of bits that differ.
        near = middle[start:stop] @ middle[start:end].T >= 64 - 2 * _DISTANCE
        near |= whole[start:stop] @ whole[start:end].T >= 64 - 2 * _WHOLE
        a, b = np.nonzero(near)
        a, b = a[a < b] + start, b[a < b] + start
        one, two = looks[a], looks[b]
        gap = np.abs(one - two)
        alike = (
            (gap[:, 0] <= np.maximum(two[:, 0] * _LONGER, _SECONDS) + 1e-9)
            & (gap[:, 1:4].max(axis=1, initial=0) < 8)
            & (gap[:, 4] < 0.05)
            & (gap[:, 5] < np.maximum(0.05, 0.3 * np.maximum(one[:, 5], two[:, 5])))
            & (media[a] != media[b])
        )
        yield a[alike], b[alike]


def _signs(hashes: NDArray[np.uint64]) -> NDArray[np.float32]:
    """(N, 64) the bits of N hashes as 1 and -1."""
    bits = np.unpackbits(np.ascontiguousarray(hashes).view(np.uint8).reshape(-1, 8), axis=1)
    return bits.astype(np.float32) * 2 - 1


def _join(labels: NDArray[np.int64], kept: NDArray[np.int64], pairs: Any) -> NDArray[np.int64]:
    """Labels that are equal wherever pairs of the kept places connect them."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    own = np.arange(len(kept))
    parts = own
    for a, b in pairs:
        if len(a):
            rows, columns = np.concatenate([own, a]), np.concatenate([parts, b])
            graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), (len(kept), len(kept)))
            _, found = connected_components(graph, directed=False)
            parts = np.full(len(kept), len(kept))
            np.minimum.at(parts, found, own)  # the first place of each part stands for it
            parts = parts[found]
    of_place = np.zeros(len(labels), dtype=np.int64)
    of_place[kept] = kept[parts]
    return of_place[labels]
