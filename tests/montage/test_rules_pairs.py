"""Rules of two neighbours: plain definitions say what an editor would, and the vectorised forms agree."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.values import SHOT_SIZES
from montage.rules import RULES, Join, Picture, features, pair_matrix, pairs
from tests.montage.rulelab import JOIN, MEANINGS, PICTURE, TOGETHER, joined, look, pic, pictures


@settings(deadline=None)
@given(
    st.lists(pictures, min_size=1, max_size=5),
    st.lists(pictures, min_size=1, max_size=5),
    st.sampled_from([JOIN, TOGETHER, Join(same_paragraph=True)]),
)
def test_vectorised_rules_agree_with_the_plain_ones(
    first: list[Picture], second: list[Picture], join: Join
) -> None:
    media: dict[str, int] = {}
    groups: dict[str, int] = {}
    a, b = features(first, media, groups), features(second, media, groups)
    total = np.zeros((len(first), len(second)))
    for rule in RULES.values():
        if rule.pair is None or rule.matrix is None:
            continue
        plain = np.array([[rule.pair(x, y, join) for y in second] for x in first])
        np.testing.assert_allclose(rule.matrix(a, b, join), plain, atol=1e-9, err_msg=rule.name)
        assert (plain >= 0).all()
        assert (plain <= 1).all()
        total += rule.weight * plain
    np.testing.assert_allclose(pair_matrix(a, b, {}, join), total, atol=1e-9)


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


def test_matrices_of_fifty_slots_are_quick_to_build() -> None:
    many = features([replace(pic(f"m{i % 9}"), look=look(phash=i)) for i in range(50)])
    total = sum(pair_matrix(a, b, {}) for a, b in pairwise([many] * 50))
    assert np.shape(total) == (50, 50)


def test_day_and_night_are_not_mixed_within_a_paragraph() -> None:
    day, night = pic("a"), pic("b", brightness=0.1)
    assert joined(pairs.day_and_night, day, night, TOGETHER) == 1
    assert joined(pairs.day_and_night, day, night) == 0
    assert joined(pairs.day_and_night, night, pic("c", brightness=0.08), TOGETHER) == 0
    assert joined(pairs.day_and_night, day, pic("b", brightness=0.1, size="CU"), TOGETHER) == 0.5
    assert joined(pairs.day_and_night, day, pic("b", brightness=0.1, size="ECU"), TOGETHER) == 0


def test_colour_and_black_and_white_are_not_mixed_within_a_paragraph() -> None:
    colour, grey = pic("a", lab=(50.0, 10.0, 0.0)), pic("b", saturation=0.0)
    assert joined(pairs.black_and_white, colour, grey, TOGETHER) == 1
    assert joined(pairs.black_and_white, colour, grey) == 0
    street = pic("c", saturation=0.035, lab=(45.0, 0.4, -0.4))
    assert joined(pairs.black_and_white, colour, street, TOGETHER) == 0


def test_who_walks_left_still_walks_left_after_the_cut() -> None:
    left, right = pic("a", heading="left"), pic("b", heading="right")
    assert joined(pairs.screen_direction, left, right, TOGETHER) == 1
    assert joined(pairs.screen_direction, right, left, TOGETHER) == 1
    assert joined(pairs.screen_direction, left, left, TOGETHER) == 0
    assert joined(pairs.screen_direction, left, pic("c"), TOGETHER) == 0
    assert joined(pairs.screen_direction, left, right) == 0


def test_motion_carries_on() -> None:
    still, wild = pic(motion=0.0), pic("b", motion=0.5)
    assert joined(pairs.motion_energy, still, wild) == 1
    assert joined(pairs.motion_energy, wild, pic("c", motion=0.5)) == 0
    assert joined(pairs.motion_energy, wild, pic("c", motion=0.24)) == pytest.approx(0.3010, abs=1e-4)


def test_a_match_cut_carries_a_shape_or_a_motion_over() -> None:
    shape = pic("a", phash=2**30 - 1)
    assert joined(pairs.match_cut, shape, pic("b", phash=2**30 - 1)) == 0
    assert joined(pairs.match_cut, shape, pic("b", phash=2**24 - 1)) == 0.25
    assert joined(pairs.match_cut, shape, pic("b", phash=2**63)) == 1
    assert joined(pairs.match_cut, shape, pic("a", phash=2**30 - 1)) == 1
    assert joined(pairs.match_cut, pic("a", heading="left"), pic("b", heading="left")) == 0
    assert joined(pairs.match_cut, pic("a", move="pan-left"), pic("b", move="pan-left")) == 0
    assert joined(pairs.match_cut, pic("a"), pic("b")) == 1  # static, and no hash: nothing is known


def test_a_cut_within_a_sentence_has_a_motive() -> None:
    strong, weak = replace(pic("a"), match=0.9), replace(pic("b"), match=0.6)
    assert joined(pairs.unmotivated_cut, strong, weak, TOGETHER) == pytest.approx(0.5)
    assert joined(pairs.unmotivated_cut, weak, strong, TOGETHER) == 0
    assert joined(pairs.unmotivated_cut, strong, weak) == 0


def test_neighbours_of_a_paragraph_show_what_belongs_together() -> None:
    first, second, third = (
        replace(pic(name), meaning=MEANINGS[number]) for name, number in (("a", 0), ("b", 1), ("c", 2))
    )
    assert joined(pairs.meaning, first, second, TOGETHER) == pytest.approx(0.2)
    assert joined(pairs.meaning, first, third, TOGETHER) == 1
    assert joined(pairs.meaning, first, third) == 0
    assert joined(pairs.meaning, first, PICTURE, TOGETHER) == 0
    assert replace(PICTURE, meaning=MEANINGS[0]) == PICTURE
