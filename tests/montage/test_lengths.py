"""Lengths: as good as trying them all, to the frame, on beats, and quickly where there are many."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import montage.lengths as lengths_module
from montage.lengths import cheapest, settle, within

Pictures = list[tuple[int, NDArray[np.float64]]]


@st.composite
def pictures(draw: st.DrawFn) -> Pictures:
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    out = []
    for _ in range(draw(st.integers(1, 4))):
        cost = chance.integers(0, 50, draw(st.integers(1, 5))).astype(float)
        cost[chance.random(len(cost)) < 0.2] = np.inf
        cost[chance.integers(len(cost))] = 3.0
        out.append((int(chance.integers(1, 6)), cost))
    return out


def every(given: Pictures, boundary: NDArray[np.float64] | None):
    for extra in itertools.product(*(range(len(cost)) for _, cost in given)):
        frames = [least + k for (least, _), k in zip(given, extra, strict=True)]
        cost = sum(float(cost[k]) for (_, cost), k in zip(given, extra, strict=True))
        if boundary is not None:
            cost += sum(float(boundary[f]) for f in np.cumsum(frames)[:-1] if f < len(boundary))
        yield sum(frames), cost


@settings(max_examples=300, deadline=None)
@given(pictures(), st.none() | st.tuples(st.integers(1, 40), st.integers(0, 3)), st.booleans())
def test_as_good_as_trying_them_all(given: Pictures, total: tuple[int, int] | None, beats: bool) -> None:
    boundary = np.array([0.0 if frame % 5 == 0 else 7.0 for frame in range(12)]) if beats else None
    span = None if total is None else (total[0], total[0] + total[1])
    best = min(
        (cost for frames, cost in every(given, boundary) if span is None or span[0] <= frames <= span[1]),
        default=np.inf,
    )
    found = settle(given, span, boundary)
    if found is None:
        assert not np.isfinite(best)
        return
    frames, cost = found
    assert cost == best
    assert span is None or span[0] <= sum(frames) <= span[1]
    assert len(frames) == len(given)


def log_normal(target: int, spread: float = 0.45) -> tuple[int, NDArray[np.float64]]:
    least = target // 2
    return least, (np.log(np.arange(least, 2 * target) / target) / spread) ** 2


def test_the_longer_picture_takes_more_of_what_is_added() -> None:
    found = settle([log_normal(40), log_normal(80)], (150, 150))
    assert found is not None
    assert sum(found[0]) == 150
    assert 40 < found[0][0] < found[0][1] - 40


def test_many_pictures_are_settled_within_a_band(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(0)
    given = [log_normal(int(target)) for target in chance.integers(40, 120, 60)]
    natural = sum(least + int(cost.argmin()) for least, cost in given)
    total = (round(0.9 * natural), round(0.9 * natural))
    exact = settle(given, total)
    monkeypatch.setattr(lengths_module, "ROOM", 1)
    quick = settle(given, total)
    assert exact is not None
    assert quick is not None
    assert sum(quick[0]) == total[0]
    assert quick[1] == pytest.approx(exact[1], rel=1e-6)


def test_the_price_of_a_frame() -> None:
    given = [log_normal(50), log_normal(70)]
    assert within(given, (110, 130)) == 0.0
    shorter, longer = within(given, (90, 91)), within(given, (150, 151))
    assert shorter is not None
    assert longer is not None
    assert shorter > 0 > longer
    assert within(given, (1, 5)) is None
    frames, cost = cheapest((np.array([5, 9]), np.array([[4.0, 1.0, 5.0], [2.0, np.inf, 0.0]])), 1.0)
    assert frames.tolist() == [6, 9]
    assert cost.tolist() == [7.0, 11.0]
