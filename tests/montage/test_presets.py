"""Presets: bounds in order, weights that name rules, errors that say what is wrong."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from montage.presets import PRESETS, load_preset
from montage.rules import RULES
from montage.values import MontageError


def test_the_presets_hold_as_published() -> None:
    holds = {name: (p.pace, p.minimum, p.maximum) for name, p in PRESETS.items()}
    assert holds == {
        "documentary": (Fraction(7, 2), Fraction(3, 2), 6),
        "calm": (4, Fraction(5, 2), 7),
        "trailer": (Fraction(6, 5), Fraction(1, 2), Fraction(5, 2)),
        "social": (2, 1, 4),
    }


def test_every_rule_has_a_weight_in_every_preset() -> None:
    for preset in PRESETS.values():
        assert preset.all_weights.keys() == RULES.keys()
        assert set(preset.weights) <= set(RULES)
        assert preset.all_weights["match"] == RULES["match"].weight
    assert load_preset("calm").all_weights["steadiness"] == 0.6


def test_the_documentary_has_the_weights_of_the_rules() -> None:
    assert not PRESETS["documentary"].weights, "a preset file's [weights] are those that differ"


def test_presets_differ_as_they_say() -> None:
    calm, trailer = PRESETS["calm"], PRESETS["trailer"]
    for rule in ("colour", "day and night", "finished move", "motion energy"):
        own = RULES[rule].weight
        assert trailer.all_weights[rule] < own < calm.all_weights[rule]
    assert trailer.all_weights["metronome"] < RULES["metronome"].weight
    assert calm.spread < PRESETS["documentary"].spread < trailer.spread
    assert calm.slots < PRESETS["documentary"].slots < trailer.slots


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(MontageError, match=r"no preset 'loud': choose one of documentary, calm"):
        load_preset("loud")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minimum": Fraction(5)}, "minimum=5.0 pace=3.5"),
        ({"minimum": Fraction(0)}, "minimum=0.0"),
        ({"maximum": Fraction(3)}, "maximum=3.0"),
        ({"slowest": Fraction(0)}, "slowest=0.0"),
        ({"candidates": 0}, "candidates=0"),
        ({"slots": 0}, "slots=0"),
        ({"spread": 0.0}, "spread=0.0"),
        ({"spread": float("nan")}, "spread=nan"),
        ({"weights": {"macth": 1.0}}, "macth"),
        ({"weights": {"match": -1.0}}, "match"),
        ({"weights": {"match": float("nan")}}, "match"),
    ],
)
def test_nonsense_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PRESETS["documentary"], **changes)
