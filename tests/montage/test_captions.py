"""Captions: broken where a reader pauses, never overlapping, the same after a round trip."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.base import Span
from montage.captions import Cue, break_at, caption_problems, cues_of, line_limit
from montage.timeline import Caption, Clip, Timeline

FPS = Fraction(25)
LONG = (
    "Two men sit at a small table in the corner of a cafe, and while the rain beats on the window, they talk "
    "about the summers that they spent by the sea when they were young, long before the war."
)
CHINESE = "清晨的阳光洒在平静的湖面上，一只黑天鹅慢慢地游过，远处的山峦被薄雾笼罩着，仿佛一幅水墨画。"
JAPANESE = "朝の光が静かな湖を照らし、黒い白鳥がゆっくりと泳いでいく。"


def plan(*captions: tuple[int, int, str, str], frames: int = 1000) -> Timeline:
    clip = Clip(
        start=0, frames=frames, kind="footage", source=Path("a.mp4"), content="a", span=Span(Fraction(0), 99)
    )
    words = (Caption(start=s, frames=n, text=text, language=lang) for s, n, text, lang in captions)
    return Timeline(fps=FPS, picture=(clip,), captions=tuple(words))


def test_a_short_sentence_is_one_cue_over_its_frames() -> None:
    assert cues_of(plan((25, 50, "A dog runs.", "en"))) == (
        Cue(start=1000, end=3000, lines=("A dog runs.",)),
    )


@pytest.mark.parametrize(("text", "language"), [(LONG, "en"), (CHINESE, "zh"), (JAPANESE, "ja")])
def test_a_long_sentence_is_split_and_keeps_its_words_and_its_time(text: str, language: str) -> None:
    cues = cues_of(plan((100, 300, text, language)))
    gap = " " if language == "en" else ""
    assert gap.join(line for cue in cues for line in cue.lines) == text
    assert all(len(cue.lines) <= 2 for cue in cues)
    assert max(len(line) for cue in cues for line in cue.lines) <= line_limit(language)
    assert cues[0].start == 4000
    assert cues[-1].end == min(16000, cues[-1].start + 7000)
    assert all(b.start - a.end == 80 or a.end - a.start == 7000 for a, b in pairwise(cues))
    assert all(cue.end - cue.start > 1500 for cue in cues)


def test_breaks_come_after_commas_and_before_clauses() -> None:
    assert break_at("While the rain beats on the window, they talk.", 42) == [
        "While the rain beats on the window,",
        "they talk.",
    ]
    lines = [line for cue in cues_of(plan((0, 300, CHINESE, "zh"))) for line in cue.lines]
    assert lines == [
        "清晨的阳光洒在平静的湖面上，",
        "一只黑天鹅慢慢地游过，",
        "远处的山峦被薄雾笼罩着，",
        "仿佛一幅水墨画。",
    ]


def test_closing_marks_never_begin_a_line() -> None:
    for limit in range(4, 16):
        for text in (CHINESE, JAPANESE, "他说：「我们去海边吧」，然后（慢慢地）走了。"):
            assert all(
                line[0] not in "，。、」）" and line[-1] not in "「（" for line in break_at(text, limit)
            )


def test_an_address_longer_than_a_line_is_cut() -> None:
    cues = cues_of(plan((0, 300, "See https://example.org/" + "x" * 90 + " now.", "en")))
    assert max(len(line) for cue in cues for line in cue.lines) <= 42


def test_many_words_in_one_frame_are_still_ordered() -> None:
    cues = cues_of(plan((0, 1, LONG, "en"), (1, 1, LONG, "en")))
    assert all(a.end <= b.start for a, b in pairwise(cues))


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=60)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 200), st.lists(WORDS, min_size=1, max_size=12), st.sampled_from(["en", "zh"])
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_captions_have_two_lines_at_most_and_never_overlap(
    given_captions: list[tuple[int, list[str], str]],
) -> None:
    at, captions = 0, []
    for frames, words, language in given_captions:
        captions.append((at, frames, " ".join(words), language))
        at += frames
    cues = cues_of(plan(*captions, frames=at))
    assert all(a.end <= b.start for a, b in pairwise(cues))
    assert all(len(cue.lines) <= 2 for cue in cues)
    assert cues[-1].end <= at * 40


def test_cues_lie_on_the_frame_grid_with_two_frames_between_them() -> None:
    cues = cues_of(plan((0, 311, LONG, "en"), (311, 89, "A dog runs.", "en")))
    assert all(ms % 40 == 0 for cue in cues for ms in (cue.start, cue.end))
    assert all(b.start - a.end == 80 for a, b in pairwise(cues))
    assert caption_problems(cues) == ([], [])


def test_a_cue_is_shown_for_seven_seconds_at_most() -> None:
    (cue,) = cues_of(plan((0, 500, "A dog runs.", "en")))
    assert (cue.start, cue.end) == (0, 7000)


def test_what_is_too_quick_to_read_is_told_by_language() -> None:
    wrong, hard = caption_problems(cues_of(plan((0, 25, "A dog runs along the beach.", "en"))))
    assert wrong == []
    assert hard == ["'A dog runs along the beach.' at 0.0 s asks for 27 characters a second, more than 20"]
    assert caption_problems(cues_of(plan((0, 25, "一只狗在海滩上跑", "zh")))) == ([], [])
    assert "more than 4" in caption_problems(cues_of(plan((0, 25, "犬が浜辺を走る", "ja"))))[1][0]
    assert "0.40 s only" in caption_problems(cues_of(plan((0, 10, "A dog", "en"))))[1][0]


def test_cues_that_overlap_are_told() -> None:
    cues = [Cue(start=0, end=2000, lines=("one",)), Cue(start=1900, end=4000, lines=("two",))]
    assert caption_problems(cues)[0] == ["'two' at 1.9 s begins before the one before it ends"]


def test_cues_are_validated() -> None:
    with pytest.raises(ValueError, match="lines"):
        Cue(start=0, end=1, lines=())
    with pytest.raises(ValueError, match="start < end"):
        Cue(start=2000, end=1500, lines=("words",))
