"""Rules of a slot alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given

from index.base import Span
from montage.rules import RULES, Picture, Wish, single
from tests.montage.rulelab import PICTURE, WISH, pic, pictures, wishes


@given(pictures, wishes)
def test_costs_of_a_slot_alone_lie_between_0_and_1(picture: Picture, wish: Wish) -> None:
    for rule in RULES.values():
        if rule.slot is not None:
            assert 0 <= rule.slot(picture, wish) <= 1, rule.name


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


def test_lengths_are_log_normal_around_the_pace() -> None:
    asked = replace(WISH, pace=3.0, spread=0.5)
    assert single.tempo(PICTURE, asked) == 0
    assert single.tempo(replace(PICTURE, seconds=9.0), WISH) == 0
    for seconds in (3 * math.e, 3 / math.e, 20.0):
        assert single.tempo(replace(PICTURE, seconds=seconds), asked) == pytest.approx(1)
    assert single.tempo(replace(PICTURE, seconds=3 * math.e**0.5), asked) == pytest.approx(0.25)


def test_a_camera_move_is_finished_before_the_cut() -> None:
    def shown(first: float, last: float) -> float:
        picture = pic(span=(first, last), move="pan-left", moving=(1.0, 5.0))
        return single.finished_move(replace(picture, taken=Span(10, 20)), WISH)

    assert shown(11, 15) == 0
    assert shown(11, 18) == 0
    assert shown(11, 14) == 0.25
    assert shown(11, 12) == 0.75
    assert shown(10, 11) == 0  # it has not begun
    assert single.finished_move(pic(moving=(1.0, 5.0)), WISH) == 0
    assert single.finished_move(replace(PICTURE, taken=Span(0, 9)), WISH) == 0


def test_text_in_the_picture_and_few_lines_cost() -> None:
    assert [single.clean_picture(pic(text=share), WISH) for share in (None, 0.0, 0.05, 0.3)] == [0, 0, 0.5, 1]
    costs = [single.resolution(replace(PICTURE, lines=lines), WISH) for lines in (0, 1080, 720, 540, 240)]
    assert costs == [0, 0, 0, 0.5, 1]
    assert [single.speech(pic(speech=share), WISH) for share in (None, 0.0, 0.75)] == [0, 0, 0.75]


def test_idioms_ask_for_a_scale_and_a_subject() -> None:
    opening = replace(WISH, scale=0.5)
    assert [single.idiom_scale(pic(size=size), opening) for size in ("ELS", "LS", "CU")] == [
        0.125,
        0.125,
        0.625,
    ]
    assert single.idiom_scale(pic(size=None), opening) == 0.5
    assert single.idiom_scale(pic(size="CU"), WISH) == 0
    dog = replace(WISH, subject="the dog")
    assert single.subject(replace(PICTURE, subject=0.75), dog) == 0.25
    assert single.subject(PICTURE, dog) == 0
    assert single.subject(replace(PICTURE, subject=0.0), WISH) == 0


def test_a_preferred_shot_comes_first() -> None:
    asked = replace(WISH, prefers=True)
    assert single.preference(PICTURE, asked) == 1
    assert single.preference(replace(PICTURE, preferred=True), asked) == 0
    assert single.preference(PICTURE, WISH) == 0
