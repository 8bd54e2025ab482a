"""Pictures and wishes for the tests of the rules."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from index.base import Span
from index.values import CAMERA_MOVES, SHOT_SIZES, Look
from montage.rules import Join, Picture, Wish
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
TOGETHER = Join(same_sentence=True, same_paragraph=True)

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
    heading=st.sampled_from([None, "left", "right"]),
    moving=st.sampled_from([None, (0.0, 2.0), (1.5, 40.0)]),
    text=st.none() | unit,
    speech=st.none() | unit,
)
spans = st.tuples(st.integers(0, 900), st.integers(1, 90)).map(
    lambda t: Span(Fraction(t[0], 10), Fraction(t[0] + t[1], 10))
)
MEANINGS = [np.array(v, dtype=np.float32) for v in ([1, 0, 0], [0.6, 0.8, 0], [-1, 0, 0], [0, 0, 1])]
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
    taken=st.none() | spans,
    lines=st.sampled_from([0, 240, 540, 1080]),
    subject=st.none() | unit,
    preferred=st.booleans(),
    meaning=st.none() | st.sampled_from(MEANINGS),
)
wishes = st.builds(
    Wish,
    seconds=st.floats(0.5, 9),
    size=st.sampled_from([None, *SHOT_SIZES]),
    move=st.sampled_from([None, "pan", "zoom", *CAMERA_MOVES]),
    pace=st.none() | st.floats(0.5, 6),
    scale=st.none() | st.floats(0, 4),
    subject=st.sampled_from(["", "the dog"]),
    prefers=st.booleans(),
    previous=st.lists(st.tuples(st.sampled_from(["a-0", "b-0"]), spans), max_size=2).map(tuple),
)


def look(**changes: object) -> Look:
    return replace(LOOK, **changes)  # every field is checked by Look itself


def pic(media: str = "a", span: tuple[float, float] = (0, 3), **changes: object) -> Picture:
    times = Span(Fraction(str(span[0])), Fraction(str(span[1])))
    return replace(PICTURE, media=media, shot=f"{media}-0", span=times, look=look(**changes))


def joined(rule: Pair, first: Picture, second: Picture, join: Join = JOIN) -> float:
    return rule(first, second, join)
