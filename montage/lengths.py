"""How long each picture lasts: the cheapest lengths that add up to what was asked for.

A picture's cost depends on its length alone, and a boundary may have a cost of its own (off the beat, inside
a word), so the best lengths follow from a dynamic programme over the frames at which pictures end: the
semi-Markov term of Galvane et al. (AAAI 2015), solved exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["BAND", "ROOM", "Lengths", "cheapest", "settle", "within"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Lengths = tuple[IntArray, FloatArray]
"""(least (K,), cost (K, L)): choice k may last ``least[k] + l`` frames at ``cost[k, l]``, infinite where it
may not."""
ROOM = 30_000_000
"""Steps (ends of pictures times lengths) up to which every end is tried."""
BAND = 120
"""Frames on either side of the relaxed answer within which ends are tried where there are more."""


def cheapest(lengths: Lengths, price: float = 0.0) -> tuple[IntArray, FloatArray]:
    """(frames (K,), cost (K,)) of the cheapest length of every choice when a frame costs ``price`` more."""
    least, cost = lengths
    priced = cost + price * np.arange(cost.shape[1])[None, :]
    best = priced.argmin(axis=1)
    return least + best, priced[np.arange(len(least)), best] + price * least


def within(lengths: Sequence[tuple[int, FloatArray]], total: tuple[int, int]) -> float | None:
    """The price of a frame at which the cheapest lengths come to ``total``, or nearest to it.

    None if no lengths do. ``lengths`` has (least, cost (L,)) of each picture.
    """
    low, high = _ends(lengths)
    if sum(low) > total[1] or sum(high) < total[0]:
        return None

    def frames(price: float) -> int:
        return sum(least + int((cost + price * np.arange(len(cost))).argmin()) for least, cost in lengths)

    now = frames(0.0)
    if total[0] <= now <= total[1]:
        return 0.0
    sign = 1.0 if now > total[1] else -1.0
    near, far = 0.0, 1.0
    while total[0] > frames(sign * far) if sign < 0 else frames(sign * far) > total[1]:
        near, far = far, 2 * far
        if far > 1e15:
            break
    for _ in range(40):
        price = (near + far) / 2
        now = frames(sign * price)
        if total[0] <= now <= total[1]:
            return sign * price
        if (now > total[1]) == (sign > 0):
            near = price
        else:
            far = price
    return sign * far


def _ends(lengths: Sequence[tuple[int, FloatArray]]) -> tuple[list[int], list[int]]:
    """The shortest and the longest of every picture."""
    allowed = [np.flatnonzero(np.isfinite(cost)) for _, cost in lengths]
    return (
        [least + int(own[0]) for (least, _), own in zip(lengths, allowed, strict=True)],
        [least + int(own[-1]) for (least, _), own in zip(lengths, allowed, strict=True)],
    )


def settle(
    lengths: Sequence[tuple[int, FloatArray]],
    total: tuple[int, int] | None = None,
    boundary: FloatArray | None = None,
) -> tuple[list[int], float] | None:
    """(frames of every picture, their cost) at the least cost; None if no lengths come to ``total``.

    Args:
        lengths: (least, cost (L,)) of each picture, at least one cost of each finite.
        total: fewest and most frames of all together; None for any number.
        boundary: (F,) cost of a picture that ends at frame f, but for the last; free after F.

    Exact, unless there are over ``ROOM`` steps: then pictures end within ``BAND`` frames of where they would
    end if a frame had one price.
    """
    low, high = _ends(lengths)
    if total is None and boundary is None:
        best = [int(cost.argmin()) for _, cost in lengths]
        frames = [least + k for (least, _), k in zip(lengths, best, strict=True)]
        return frames, sum(float(cost[k]) for (_, cost), k in zip(lengths, best, strict=True))
    first, last = total if total is not None else (sum(low), sum(high))
    if sum(low) > last or sum(high) < first:
        return None
    begins = np.maximum(np.cumsum(low), first - (sum(high) - np.cumsum(high)))
    ends = np.minimum(np.cumsum(high), last - (sum(low) - np.cumsum(low)))
    steps = sum((e - b + 1) * len(cost) for b, e, (_, cost) in zip(begins, ends, lengths, strict=True))
    if steps > ROOM:
        price = within(lengths, (first, last)) or 0.0
        middle = np.cumsum(
            [least + int((cost + price * np.arange(len(cost))).argmin()) for least, cost in lengths]
        )
        # The relaxed answer misses the total by a little: the band leans over to it.
        aim = min(max(int(middle[-1]), first), last)
        middle = middle + np.rint((aim - middle[-1]) * middle / max(1, middle[-1])).astype(np.int64)
        begins, ends = np.maximum(begins, middle - BAND), np.minimum(ends, middle + BAND)
        if (begins > ends).any():
            return None
    return _programme(lengths, begins, ends, boundary)


def _programme(
    lengths: Sequence[tuple[int, FloatArray]], begins: IntArray, ends: IntArray, boundary: FloatArray | None
) -> tuple[list[int], float] | None:
    """The dynamic programme: picture i ends between ``begins[i]`` and ``ends[i]``."""
    best = np.zeros(1)
    start = 0
    history: list[tuple[int, IntArray]] = []
    for number, (least, cost) in enumerate(lengths):
        begin, end = int(begins[number]), int(ends[number])
        now = np.full(end - begin + 1, np.inf)
        chosen = np.zeros(len(now), dtype=np.int64)
        for extra in np.flatnonzero(np.isfinite(cost)).tolist():
            # What ended at t ends at t + length now.
            shift = start + least + extra - begin
            a, b = max(0, shift), min(len(now), shift + len(best))
            if a >= b:
                continue
            value = best[a - shift : b - shift] + cost[extra]
            better = value < now[a:b]
            now[a:b][better] = value[better]
            chosen[a:b][better] = extra
        if boundary is not None and number < len(lengths) - 1:
            there = np.arange(begin, end + 1)
            inside = there < len(boundary)
            now[inside] += boundary[there[inside]]
        history.append((begin, chosen))
        best, start = now, begin
    at = start + int(best.argmin())
    value = float(best.min())
    if not np.isfinite(value):
        return None
    frames: list[int] = []
    for (least, _), (begin, chosen) in zip(reversed(lengths), reversed(history), strict=True):
        length = least + int(chosen[at - begin])
        frames.append(length)
        at -= length
    return frames[::-1], value
