"""Camera moves with exact truth: a camera led over stills of real footage, whatever makes it hard to see."""

from __future__ import annotations

import csv
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from filmed import confusion_table, film, middle_frames, named, takes

from index.decode import Decoding, Image
from index.motion import MovementMeter

CLIPS = ("candles", "ice-cream", "parkour", "goat", "bottle-detection", "scooter-black", "libby", "flower")


@pytest.fixture(scope="module")
def stills(footage: Path) -> list[Image]:
    return middle_frames([footage / "clips" / f"{name}.mp4" for name in CLIPS], longer=960)


def test_known_moves_over_real_pictures(stills: list[Image]) -> None:
    """None of the seeds used while the method was made is used here."""
    confusion: Counter[tuple[str, str]] = Counter(
        (take.move, named(take)) for take in takes(stills, seed=1001)
    )
    right = sum(count for (true, found), count in confusion.items() if true == found)
    assert right >= 0.95 * confusion.total(), "\n" + confusion_table(confusion)


def test_a_subject_that_crosses_the_picture_is_not_the_camera(stills: list[Image]) -> None:
    chance = np.random.default_rng(1002)
    found = [named(film(stills, number, "static", "subject", chance)) for number in range(8)]
    assert found.count("static") >= 7, found


def test_a_pan_is_the_same_at_any_frame_rate(stills: list[Image]) -> None:
    take = film(stills, 0, "pan-left", "plain", np.random.default_rng(1003))
    motions = []
    for every in (1, 2):
        meter = MovementMeter()
        for time, image in take.frames[::every]:
            meter.push(time, image)
        movement = meter.finish()
        assert movement.move == "pan-left"
        motions.append(movement.motion)
    assert motions[0] == pytest.approx(motions[1], rel=0.1)


def test_plain_pictures_stand_still() -> None:
    meter = MovementMeter()
    for number in range(20):
        meter.push(Fraction(number, 10), np.full((180, 320, 3), 90 + number, np.uint8))
    assert meter.finish().move == "static"


def test_moves_of_real_footage_as_labelled_by_hand(footage: Path) -> None:
    """All clips whose label is marked sure; the method was fitted to these."""
    confusion: Counter[tuple[str, str]] = Counter()
    with open(footage / "truth/looks.tsv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["sure"] == "yes"]
    for row in rows:
        path = footage / row["file"]
        if path.stat().st_size > 2_000_000:
            continue
        meter = MovementMeter()
        for frame in Decoding(path):
            meter.push(frame.time, frame.image)
        confusion[row["camera"].split("+")[0], meter.finish().move] += 1
    right = sum(count for (true, found), count in confusion.items() if true == found)
    assert confusion.total() >= 14
    assert right >= 0.9 * confusion.total(), "\n" + confusion_table(confusion)
