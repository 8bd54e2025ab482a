"""The rules: plain definitions say what an editor would, and the vectorised forms agree with them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.base import Span
from index.values import CAMERA_MOVES, SHOT_SIZES, Look
from montage.presets import PRESETS
from montage.rules import RULES, Join, Picture, Rule, Wish, check_cut, features, pair_matrix, pairs, single
from montage.rules.base import Pair

LOOK = Look(
    brightness=0.5,
    contrast=0.2,
    saturation=0.4,
    lab=(50.0, 0.0, 0.0),
    sharpness=1.0,
    shake=0.0,
    motion=0.1,
    move="static",
    size="MS",
    phash=0,
)
PICTURE = Picture(shot="a-0", media="a", span=Span(0, 3), look=LOOK, match=1.0, seconds=3.0)
WISH = Wish(seconds=3.0)
JOIN = Join()

unit = st.floats(0, 1)
looks = st.builds(
    Look,
    brightness=unit,
    contrast=unit,
    saturation=unit,
    lab=st.tuples(st.floats(0, 100), st.floats(-128, 127), st.floats(-128, 127)),
    sharpness=unit,
    shake=unit,
    motion=unit,
    move=st.sampled_from(CAMERA_MOVES),
    size=st.sampled_from([None, *SHOT_SIZES]),
    phash=st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 3]),
)
spans = st.tuples(st.integers(0, 900), st.integers(1, 90)).map(
    lambda t: Span(Fraction(t[0], 10), Fraction(t[0] + t[1], 10))
)
pictures = st.builds(
    Picture,
    shot=st.sampled_from(["a-0", "b-0", "c-0"]),
    media=st.sampled_from(["a", "b", "c"]),
    group=st.sampled_from(["", "", "g", "h"]),
    span=spans,
    look=looks,
    match=unit,
    seconds=st.floats(0.5, 9),
    speed=st.floats(0.8, 1),
)
wishes = st.builds(
    Wish,
    seconds=st.floats(0.5, 9),
    size=st.sampled_from([None, *SHOT_SIZES]),
    move=st.sampled_from([None, "pan", "zoom", *CAMERA_MOVES]),
    previous=st.lists(st.tuples(st.sampled_from(["a-0", "b-0"]), spans), max_size=2).map(tuple),
)


def look(**changes: object) -> Look:
    return replace(LOOK, **changes)  # every field is checked by Look itself


def pic(media: str = "a", span: tuple[float, float] = (0, 3), **changes: object) -> Picture:
    times = Span(Fraction(str(span[0])), Fraction(str(span[1])))
    return replace(PICTURE, media=media, shot=f"{media}-0", span=times, look=look(**changes))


def joined(rule: Pair, first: Picture, second: Picture) -> float:
    return rule(first, second, JOIN)


@settings(deadline=None)
@given(st.lists(pictures, min_size=1, max_size=5), st.lists(pictures, min_size=1, max_size=5))
def test_vectorised_rules_agree_with_the_plain_ones(first: list[Picture], second: list[Picture]) -> None:
    media: dict[str, int] = {}
    groups: dict[str, int] = {}
    a, b = features(first, media, groups), features(second, media, groups)
    total = np.zeros((len(first), len(second)))
    for rule in RULES.values():
        if rule.pair is None or rule.matrix is None:
            continue
        plain = np.array([[rule.pair(x, y, JOIN) for y in second] for x in first])
        np.testing.assert_allclose(rule.matrix(a, b, JOIN), plain, atol=1e-9, err_msg=rule.name)
        assert (plain >= 0).all()
        assert (plain <= 1).all()
        total += rule.weight * plain
    np.testing.assert_allclose(pair_matrix(a, b, {}), total, atol=1e-9)


@given(pictures, wishes)
def test_costs_of_a_slot_alone_lie_between_0_and_1(picture: Picture, wish: Wish) -> None:
    for rule in RULES.values():
        if rule.slot is not None:
            assert 0 <= rule.slot(picture, wish) <= 1, rule.name


def test_the_grammar_of_shot_sizes_is_the_published_one() -> None:
    table = [[1 - joined(pairs.shot_sizes, pic(size=a), pic(size=b)) for b in SHOT_SIZES] for a in SHOT_SIZES]
    published = [[0, 0.5, 1, 0, 0], [0.5, 0.6, 1, 1, 0], [1] * 5, [0, 0.6, 0.8, 0.6, 1], [0, 0, 0.3, 1, 0]]
    np.testing.assert_allclose(table, published)
    assert joined(pairs.shot_sizes, pic(size=None), pic(size="CU")) == 0
    assert joined(pairs.shot_sizes, pic(size="CU"), pic(size=None)) == 0


@pytest.mark.parametrize(
    ("first", "second", "cost"),
    [
        ("static", "pan-left", 0),
        ("zoom-in", "static", 0),
        ("pan-left", "pan-left", 0),
        ("pan-left", "pan-right", 1),
        ("tilt-up", "tilt-down", 1),
        ("zoom-in", "zoom-out", 1),
        ("pan-left", "tilt-up", 1),
        ("tilt-up", "pan-right", 1),
        ("pan-left", "zoom-in", 0),
        ("tilt-down", "zoom-out", 0),
        ("zoom-in", "pan-left", 1),
        ("zoom-in", "tilt-up", 1),
        ("handheld", "pan-left", 0),
    ],
)
def test_the_grammar_of_camera_moves_is_the_published_one(first: str, second: str, cost: float) -> None:
    assert joined(pairs.camera_moves, pic(move=first), pic(move=second)) == cost


def test_a_jump_cut_is_one_source_framed_alike() -> None:
    first = pic()
    again = pic(span=(4, 7))
    assert joined(pairs.jump_cut, first, again) > 0.9
    assert joined(pairs.jump_cut, first, pic("b")) == 0
    assert joined(pairs.jump_cut, replace(first, group="g"), replace(pic("b"), group="g")) > 0.9
    later = pic(span=(60, 63))
    assert 0.4 < joined(pairs.jump_cut, first, later) < joined(pairs.jump_cut, first, again)
    assert joined(pairs.jump_cut, first, later) == joined(pairs.jump_cut, later, first)
    other = pic(span=(4, 7), phash=2**40 - 1, lab=(90.0, 40.0, 0.0))
    assert joined(pairs.jump_cut, first, other) == 0
    assert joined(pairs.jump_cut, first, pic(span=(4, 7), size="ECU")) == 0
    assert joined(pairs.jump_cut, first, pic(span=(4, 7), size="CU")) > 0.9


def test_size_jumps_beyond_two_steps_cost() -> None:
    costs = [joined(pairs.size_jump, pic(size="ELS"), pic(size=size)) for size in SHOT_SIZES]
    assert costs == [0, 0, 0, 0.5, 1]
    assert joined(pairs.size_jump, pic(size="ELS"), pic(size=None)) == 0


def test_colour_and_brightness_are_kept() -> None:
    assert joined(pairs.colour, pic(lab=(50.0, 0.0, 0.0)), pic(lab=(10.0, 0.0, 20.0))) == 0.5
    assert joined(pairs.brightness, pic(brightness=0.4), pic(brightness=0.65)) == pytest.approx(0.5)


def test_variety_counts_sources_and_near_duplicates() -> None:
    assert joined(pairs.variety, pic("a"), pic("a")) == 1
    assert joined(pairs.variety, pic("a"), pic("b")) == 0
    assert joined(pairs.variety, replace(pic("a"), group="g"), replace(pic("b"), group="g")) == 1


def test_well_lit_sharp_and_steady_shots_are_free() -> None:
    for rule in (single.lighting, single.sharpness, single.steadiness, single.match, single.pace):
        assert rule(PICTURE, WISH) == 0
    assert single.lighting(pic(brightness=0.0), WISH) == 1
    assert single.lighting(pic(brightness=1.0), WISH) == 1
    assert single.lighting(pic(contrast=0.0), WISH) == 0.5
    assert single.sharpness(pic(sharpness=0.25), WISH) == 0.75
    assert single.steadiness(pic(shake=0.5), WISH) == 0.5


def test_what_the_script_asks_for() -> None:
    asked = replace(WISH, size="ELS", move="pan")
    assert single.asked_size(pic(size="ELS"), asked) == 0
    assert single.asked_size(pic(size="LS"), asked) == 0.25
    assert single.asked_size(pic(size="ECU"), asked) == 1
    assert single.asked_size(pic(size=None), asked) == 0.5
    assert single.asked_move(pic(move="pan-left"), asked) == 0
    assert single.asked_move(pic(move="tilt-up"), asked) == 1
    left = replace(WISH, move="pan-left")
    assert [single.asked_move(pic(move=m), left) for m in ("pan-left", "pan-right", "zoom-in")] == [0, 0.5, 1]
    assert single.asked_move(pic(move="handheld"), replace(WISH, move="static")) == 0.5
    assert single.asked_size(PICTURE, WISH) == single.asked_move(PICTURE, WISH) == 0


def test_pace_is_felt_in_proportion() -> None:
    assert single.pace(replace(PICTURE, seconds=6.0), WISH) == 1
    assert single.pace(replace(PICTURE, seconds=1.5), WISH) == 1
    assert single.pace(replace(PICTURE, seconds=6**0.5 * 3**0.5), WISH) == pytest.approx(0.25)
    assert single.speed(replace(PICTURE, speed=0.8), WISH) == pytest.approx(1)


def test_stability_asks_for_the_same_moment_of_the_same_shot() -> None:
    before = replace(WISH, previous=(("a-0", Span(1, 4)),))
    assert single.stability(PICTURE, WISH) == 0
    assert single.stability(PICTURE, before) == 0
    assert single.stability(pic(span=(10, 13)), before) == 1
    assert single.stability(pic("b"), before) == 1


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


def test_matrices_of_fifty_slots_are_quick_to_build() -> None:
    many = features([replace(pic(f"m{i % 9}"), look=look(phash=i)) for i in range(50)])
    total = sum(pair_matrix(a, b, {}) for a, b in pairwise([many] * 50))
    assert np.shape(total) == (50, 50)
