"""Day and night, colour and black and white, on looks measured from real clips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from index.library import Library
from index.values import Look
from montage.rules.looks import monochrome, night


@pytest.fixture(scope="module")
def measured(sample_index: Path) -> dict[str, Look]:
    library = Library.open(sample_index)
    return {library.media[s.media].paths[0]: s.look for s in library.shots.values()}


def test_only_the_galaxies_look_like_night(measured: dict[str, Look]) -> None:
    assert {name for name, look in measured.items() if night(look) > 0.2} == {"deep-field-galaxies.mp4"}
    assert night(measured["deep-field-galaxies.mp4"]) == 1


def test_nothing_filmed_in_colour_looks_black_and_white(measured: dict[str, Look]) -> None:
    assert len(measured) > 20
    for name, look in measured.items():
        assert monochrome(look) == 0, name
        assert monochrome(replace(look, saturation=0.01, lab=(look.lab[0], 0.3, -0.2))) == 1, name
