"""What the indexer finds in the sample clips, against what is known of them."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from filmed import confusion_table

from index.measure import Measurement, measure_file
from tests.conftest import REPOSITORY

TRUTH = json.loads((REPOSITORY / "sample_library" / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def measured(sample_library: Path) -> dict[str, Measurement]:
    return {name: measure_file(sample_library / name, None) for name in TRUTH}


def test_every_boundary_is_found_and_none_invented(measured: dict[str, Measurement]) -> None:
    for name, facts in TRUTH.items():
        rate = Fraction(facts["fps"])
        found = [round(shot.span.start * rate) for shot in measured[name].shots[1:]]
        true = [boundary["frame"] for boundary in facts["boundaries"]]
        assert len(found) == len(true), name
        assert all(abs(one - other) <= 2 for one, other in zip(found, true, strict=True)), (name, found, true)


def test_nine_of_ten_camera_moves_are_right(measured: dict[str, Measurement]) -> None:
    confusion: Counter[tuple[str, str]] = Counter()
    for name, facts in TRUTH.items():
        for shot in facts["shots"]:
            middle = Fraction(shot["start"] + shot["end"], 2) / Fraction(facts["fps"])
            look = next(s.look for s in measured[name].shots if s.span.contains(middle))
            confusion[shot["move"], look.move] += 1
    right = sum(count for (true, found), count in confusion.items() if true == found)
    assert right >= 0.9 * confusion.total(), "\n" + confusion_table(confusion)
