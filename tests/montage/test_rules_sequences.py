"""Rules of three neighbours and of the whole cut."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from montage.rules import RULES, Film, Picture, Wish, check_cut, sequences
from tests.montage.rulelab import PICTURE, WISH, pic, pictures

NO_FILM = Film()


def lasting(*seconds: float) -> list[Picture | None]:
    return [replace(pic(f"m{number}"), seconds=length) for number, length in enumerate(seconds)]


def three(rule: str, *seconds: float) -> float:
    first, second, third = (replace(PICTURE, seconds=length) for length in seconds)
    function = RULES[rule].three
    assert function is not None
    return function(first, second, third)


@given(
    st.lists(pictures | st.none(), max_size=8),
    st.sampled_from([NO_FILM, Film(beats=(0.5, 1.0, 4.0), words=((0.2, 0.5), (0.6, 3.0)))]),
)
def test_costs_of_a_whole_cut_lie_between_0_and_1(shown: list[Picture | None], film: Film) -> None:
    wishes: list[Wish | None] = [WISH] * len(shown)
    for rule in RULES.values():
        if rule.whole is not None:
            costs = rule.whole(shown, wishes, film)
            assert len(costs) == len(shown), rule.name
            assert all(0 <= cost <= 1 for cost in costs), rule.name
            assert all(cost == 0 for cost, picture in zip(costs, shown, strict=True) if picture is None)
        if rule.three is not None and len(known := [p for p in shown if p is not None]) > 2:
            assert 0 <= rule.three(known[0], known[1], known[2]) <= 1, rule.name


def test_three_in_a_row_from_one_source() -> None:
    costs = check_cut([pic("a"), pic("a", (5, 8)), pic("a", (9, 12)), pic("b")], [WISH] * 4, {})
    assert [cost.get("three of a source") for cost in costs] == [None, None, 0.5, 0]


def test_three_long_pictures_in_a_row() -> None:
    assert three("three long ones", 6.5, 7, 8) == 1
    assert three("three long ones", 6.5, 6, 8) == 0


def test_a_metronome_is_felt() -> None:
    assert three("metronome", 2, 2, 2) == 1
    assert three("metronome", 2, 2.4, 2) == pytest.approx(0)
    assert 0 < three("metronome", 2, 2.2, 2) < 1
    assert three("metronome", 2, 4, 2) == 0


def test_a_take_shown_again_costs_each_time() -> None:
    shown = [pic("a"), pic("b"), pic("a", (5, 8)), None, pic("a", (9, 12))]
    assert sequences.again(shown, [WISH] * 5, NO_FILM) == [0, 0, 1, 0, 1]


def test_no_source_takes_over_the_film() -> None:
    shown = [pic(name) for name in "abacadabe"]
    assert sequences.one_source(shown, [WISH] * 9, NO_FILM) == [0, 0, 0, 0, 0, 0, 1, 0, 0]
    assert sequences.one_source([pic("a"), pic("a")], [WISH] * 2, NO_FILM) == [0, 0]


def test_the_rhythm_drifts() -> None:
    assert sequences.rhythm(lasting(2, 2, 2, 2), [WISH] * 4, NO_FILM) == [0, 0, 0, 0]
    drifting = sum(sequences.rhythm(lasting(1, 1.5, 1.5, 2, 2, 3, 3, 4), [WISH] * 8, NO_FILM))
    at_random = sum(sequences.rhythm(lasting(4, 1, 3, 1.5, 3, 1.5, 2, 2), [WISH] * 8, NO_FILM))
    assert drifting < at_random / 2
    assert sequences.rhythm([*lasting(1), None, *lasting(4)], [WISH] * 3, NO_FILM) == [0, 0, 0]
    assert sequences.rhythm(lasting(1, 4), [WISH] * 2, NO_FILM)[1] == pytest.approx(1)


def test_cuts_land_on_beats() -> None:
    film = Film(beats=(0.5, 2.0, 3.5, 5.0))
    assert sequences.beats(lasting(2, 1.6, 2.4), [WISH] * 3, film) == pytest.approx([0, 0, 0.5])
    assert sequences.beats(lasting(2.2, 2), [WISH] * 2, film) == [0, 1]
    assert sequences.beats(lasting(2.2, 2), [WISH] * 2, NO_FILM) == [0, 0]
    assert sequences.beats(lasting(9, 2), [WISH] * 2, film) == [0, 1]


def test_no_cut_inside_a_word() -> None:
    film = Film(words=((0.1, 0.5), (1.0, 1.5), (1.8, 2.5)))
    for length, cost in ((0.3, 1), (0.5, 1), (0.515, 0.5), (0.75, 0), (0.985, 0.5), (1.2, 1), (9.0, 0)):
        assert sequences.words(lasting(length, 3), [WISH] * 2, film)[1] == pytest.approx(cost), length
    assert sequences.words(lasting(0.3, 3), [WISH] * 2, NO_FILM) == [0, 0]


def test_gaps_and_titles_take_their_time() -> None:
    shown: list[Picture | None] = [None, *lasting(2, 3)]
    assert sequences.starts(shown, [WISH, WISH, WISH], NO_FILM) == [0, 3, 5]
    assert sequences.starts(shown, [None, WISH, WISH], NO_FILM) == [0, None, None]
    assert sequences.starts(shown, [None, WISH, WISH], Film(blanks=(2.5, 0, 0))) == [0, 2.5, 4.5]
    assert sequences.beats(shown, [None, WISH, WISH], Film(beats=(1.0,))) == [0, 0, 0]
