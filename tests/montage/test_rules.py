"""The rules together: what they say, and what they cost on a finished cut."""

from __future__ import annotations

import pytest

from montage.presets import PRESETS
from montage.rules import RULES, Rule, check_cut, pairs
from tests.montage.rulelab import WISH, pic


def test_a_cut_is_checked_slot_by_slot_and_not_across_titles_and_gaps() -> None:
    shown = [pic("a"), pic("a", (4, 7)), None, pic("a", (20, 23)), None, pic("b"), pic("b", (9, 12))]
    asked = [WISH, WISH, None, WISH, WISH, WISH, WISH]
    costs = check_cut(shown, asked, {"variety": 2.0, "gap": 7.0})
    assert "variety" not in costs[0]
    assert costs[1]["variety"] == 2.0
    assert costs[2] == {}  # a title
    assert "variety" not in costs[3]
    assert costs[4] == {"gap": 7.0}
    assert "variety" not in costs[5]
    assert costs[6]["variety"] == 2.0


def test_every_rule_says_what_it_wants_and_where_it_comes_from() -> None:
    for name, rule in RULES.items():
        assert rule.name == name
        assert rule.says.endswith((".", ";", ":"))
        assert rule.source
        assert rule.weight > 0


def test_a_gap_costs_more_than_the_worst_match_between_good_neighbours() -> None:
    for preset in PRESETS.values():
        weights = preset.all_weights
        assert weights["gap"] > weights["match"] + weights["pace"] + weights["stability"]


def test_rules_are_well_formed() -> None:
    with pytest.raises(ValueError, match="weight must not be negative"):
        Rule(name="x", weight=-1, arity=1, source="s")
    with pytest.raises(ValueError, match="arity 2"):
        Rule(name="x", weight=1, arity=2, source="s", pair=pairs.variety)
