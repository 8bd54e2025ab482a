"""Which way a model is asked for a gap, and how long it should take."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from generate.base import STRATEGIES, Take
from generate.families import FAMILIES
from generate.strategies import NEEDS, Material, can, choose, restyle_strength
from generate.timing import Timings

EVERYTHING = frozenset().union(*(family.honours for family in FAMILIES))
NEAR = {"threshold": 0.4, "near": True}


def test_every_strategy_needs_something_that_a_family_heeds() -> None:
    assert set(NEEDS) == set(STRATEGIES)
    for strategy in STRATEGIES:
        assert can(strategy, EVERYTHING), strategy
        assert not can(strategy, frozenset()), strategy


@pytest.mark.parametrize(
    ("material", "honours", "chosen"),
    [
        (Material(threshold=0.4), EVERYTHING, "direct"),
        (Material(match=0.39, **NEAR), EVERYTHING, "restyle"),
        (Material(match=0.31, **NEAR), EVERYTHING, "restyle"),
        (Material(match=0.29, **NEAR), EVERYTHING, "from-near-miss"),
        (Material(match=0.17, **NEAR), EVERYTHING, "from-near-miss"),
        (Material(match=0.15, **NEAR), EVERYTHING, "direct"),
        (Material(match=0.39, between=True, **NEAR), EVERYTHING, "bridge"),
        # What the models cannot do is left out.
        (Material(match=0.39, **NEAR), {"text"}, "direct"),
        (Material(match=0.39, **NEAR), {"image"}, "from-near-miss"),
        (Material(match=0.01, **NEAR), {"image"}, "from-near-miss"),  # it takes nothing else
        (Material(threshold=0.4), {"image", "picture"}, "factorised"),
        (Material(threshold=0.4), {"image"}, None),
        (Material(threshold=0.4), {"control"}, None),
    ],
)
def test_choice(material: Material, honours: set, chosen: str | None) -> None:
    assert choose(material, honours) == chosen


def test_strength_falls_as_footage_comes_nearer() -> None:
    strengths = [restyle_strength(nearness / 100) for nearness in range(0, 130, 5)]
    assert strengths == sorted(strengths, reverse=True)
    assert strengths[0] == restyle_strength(0.75) == 0.85
    assert strengths[-1] == restyle_strength(1.0) == 0.35


def test_material_that_means_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="threshold"):
        Material(threshold=0)
    with pytest.raises(ValueError, match="match"):
        Material(match=1.5, threshold=0.4)


def take(seconds_of: str = "model", **details: object) -> Take:
    told = {"native_width": 100, "native_height": 100, "native_frames": 10, "steps": 10, **details}
    return Take(
        path=Path("take.mp4"), kind="diffusion", frames=10, fps=Fraction(25), width=100, height=100, seed=1,
        prompt="x", model="m", model_hash=seconds_of, digital_source_type="x", details=told,
    )  # fmt: skip


def test_times_are_remembered_by_model_and_device(tmp_path: Path) -> None:
    asked = {"size": (200, 100), "frames": 20, "steps": 5}
    timings = Timings(tmp_path / "timings.json")
    assert timings.estimate("model", "cpu", **asked) is None
    timings.note(take(), "cpu", 8.0)  # one megapixel frame step: 100 x 100 x 10 x 10
    again = Timings(tmp_path / "timings.json")
    assert again.estimate("model", "cpu", **asked) == pytest.approx(16.0)
    assert again.estimate("model", "cuda", **asked) is None
    assert again.estimate("other", "cpu", **asked) is None
    again.note(take(), "cpu", 4.0)  # the last one counts half
    assert again.estimate("model", "cpu", **asked) == pytest.approx(12.0)


def test_a_damaged_note_of_times_knows_nothing_and_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "timings.json"
    for text in ("{", "[1]", '{"model cpu": "soon", "model cuda": -1}'):
        path.write_text(text)
        timings = Timings(path)
        assert timings.estimate("model", "cpu", size=(1, 1), frames=1, steps=1) is None
        timings.note(take(), "cpu", 2.0)
        assert Timings(path).estimate("model", "cpu", size=(100, 100), frames=10, steps=10) == 2.0
    assert [one.name for one in tmp_path.iterdir()] == ["timings.json"]
    Timings(tmp_path / "absent" / "timings.json").note(take(), "cpu", 2.0)  # no reason to lose a take
    timings.note(take(steps="many"), "cpu", 2.0)
    assert Timings(path).estimate("model", "cpu", size=(100, 100), frames=10, steps=10) == 2.0
