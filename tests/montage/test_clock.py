"""Times as people write them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from montage.clock import FilmLength, clock_seconds, film_length


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60s", Fraction(60)),
        ("60", Fraction(60)),
        ("1:00", Fraction(60)),
        ("1:02:03.5", Fraction(7447, 2)),
        ("2 min", Fraction(120)),
        ("1.5minutes", Fraction(90)),
        ("55-65s", (Fraction(55), Fraction(65))),
        ("55s \u2013 65s", (Fraction(55), Fraction(65))),
        ("0:55-1:05", (Fraction(55), Fraction(65))),
        ("1-2min", (Fraction(60), Fraction(120))),
        ("60-60", (Fraction(60), Fraction(60))),
    ],
)
def test_lengths_of_films(text: str, expected: FilmLength) -> None:
    assert film_length(text) == expected


@pytest.mark.parametrize("text", ["", "long", "0", "0:00", "-5", "65-55s", "1-2-3", "5 apples", "1-", "0-5"])
def test_what_is_no_length_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write it as 60s, 1:00 or 55-65s"):
        film_length(text)


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 999))
def test_minutes_and_seconds_are_exact(minutes: int, seconds: int, thousandths: int) -> None:
    exact = 60 * minutes + seconds + Fraction(thousandths, 1000)
    assert clock_seconds(f"{minutes}:{seconds:02}.{thousandths:03}") == exact
    assert clock_seconds(f"{60 * minutes + seconds}.{thousandths:03} s") == exact
