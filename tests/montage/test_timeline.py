"""The timeline: one frame grid, no holes, and what becomes of a cut's slots."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.base import Span, content_id
from index.values import Media
from montage.timeline import SAMPLE_RATE, Caption, Clip, Timeline, sample_at, timeline_of
from montage.values import MontageError, Sentence, Slot

FPS = Fraction(25)
BEACH = Media(
    id="a" * 32, paths=("beach.mp4",), duration=Fraction(20), width=1920, height=1080, audio=True,
    start=Fraction(1, 30),
)  # fmt: skip


def clip(start: int, frames: int, **changes: object) -> Clip:
    values: dict[str, object] = {
        "start": start, "frames": frames, "kind": "footage", "source": Path("a.mp4"), "content": "a" * 32,
        "span": Span(Fraction(0), Fraction(9)),
    }  # fmt: skip
    return Clip(**{**values, **changes})


def sentence(name: str, number: int, text: str, language: str = "en") -> Sentence:
    return Sentence(
        id=name, number=number, text=text, language=language, paragraph=1, line=number, column=1,
        seconds=Fraction(2),
    )  # fmt: skip


def slot(name: str, frames: int, **changes: object) -> Slot:
    values: dict[str, object] = {
        "sentence": name, "kind": "footage", "frames": frames, "shot": "s", "media": BEACH.id,
        "span": Span(Fraction(3), Fraction(3) + frames / FPS),
    }  # fmt: skip
    return Slot(**{**values, **changes})


def build(slots: list[Slot], sentences: list[Sentence], files: dict[int, Path] | None = None) -> Timeline:
    return timeline_of(
        slots,
        sentences,
        media={BEACH.id: BEACH},
        path_of=lambda name: Path("/footage") / f"{name[:1]}.mp4",
        files=files or {},
        fps=FPS,
    )


def test_a_timeline_has_a_length_in_frames_and_exact_seconds() -> None:
    line = Timeline(fps=Fraction(30000, 1001), picture=(clip(0, 40), clip(40, 50)))
    assert line.frames == 90
    assert line.seconds == Fraction(3003, 1000)


@pytest.mark.parametrize("second", [clip(39, 10), clip(41, 10), clip(0, 10)])
def test_holes_and_overlaps_are_refused(second: Clip) -> None:
    with pytest.raises(ValueError, match=f"must start at frame 40, got {second.start}"):
        Timeline(fps=FPS, picture=(clip(0, 40), second))


def test_captions_stay_in_the_film_and_in_order() -> None:
    def words(start: int, frames: int) -> Caption:
        return Caption(start=start, frames=frames, text="words", language="en")

    assert Timeline(fps=FPS, picture=(clip(0, 40),), captions=(words(0, 20), words(20, 20))).captions
    for wrong in [(words(30, 11),), (words(0, 20), words(19, 5))]:
        with pytest.raises(ValueError, match="follow each other"):
            Timeline(fps=FPS, picture=(clip(0, 40),), captions=wrong)


@pytest.mark.parametrize(
    "change", [{"frames": 0}, {"start": -1}, {"kind": "gap"}, {"speed": Fraction(0)}, {"content": ""}]
)
def test_impossible_clips_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"got|kind"):
        replace(clip(0, 5), **change)


def test_values_are_frozen_and_empty_timelines_refused() -> None:
    with pytest.raises(FrozenInstanceError):
        clip(0, 5).frames = 6
    with pytest.raises(ValueError, match="at least one clip"):
        Timeline(fps=FPS, picture=())
    with pytest.raises(ValueError, match="fps"):
        Timeline(fps=Fraction(0), picture=(clip(0, 5),))
    with pytest.raises(ValueError, match="text"):
        Caption(start=0, frames=5, text=" ", language="en")


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=40),
    st.sampled_from([Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60)]),
)
def test_sound_never_drifts_from_the_picture(lengths: list[int], fps: Fraction) -> None:
    clips: list[Clip] = []
    for frames in lengths:
        clips.append(clip(clips[-1].end if clips else 0, frames))
    line = Timeline(fps=fps, picture=tuple(clips))
    at = 0
    for each in line.picture:
        assert at == sample_at(each.start, fps)
        assert abs(at - each.start * SAMPLE_RATE / fps) <= Fraction(1, 2)
        at += line.samples(each)
    assert at == sample_at(line.frames, fps)


def test_slots_become_clips_on_one_grid(tmp_path: Path) -> None:
    title = tmp_path / "title.mp4"
    title.write_bytes(b"a finished title card")
    slots = [
        slot("", 50, kind="title", shot=None, media=None, span=None, text="The Sea"),
        slot("s1", 40),
        slot("s1", 20, speed=Fraction(4, 5)),
        slot("s2", 30),
    ]
    line = build(slots, [sentence("s1", 1, "Waves."), sentence("s2", 2, "海。", "zh")], {0: title})
    assert [(c.start, c.end, c.kind) for c in line.picture] == [
        (0, 50, "title"), (50, 90, "footage"), (90, 110, "footage"), (110, 140, "footage"),
    ]  # fmt: skip
    card, first = line.picture[:2]
    assert (card.content, card.media, card.audio, card.origin) == (content_id(title), None, False, 0)
    assert (first.source, first.audio, first.origin) == (Path("/footage/a.mp4"), True, Fraction(1, 30))
    assert line.picture[2].speed == Fraction(4, 5)
    assert [(c.start, c.end, c.text, c.language) for c in line.captions] == [
        (50, 110, "Waves.", "en"), (110, 140, "海。", "zh"),
    ]  # fmt: skip


def test_generated_takes_are_captioned_like_footage(tmp_path: Path) -> None:
    take = tmp_path / "take.mp4"
    take.write_bytes(b"a finished take")
    line = build([slot("s1", 40), slot("s1", 25, kind="still")], [sentence("s1", 1, "Waves.")], {1: take})
    assert line.picture[1].source == take
    assert line.picture[1].span == Span(Fraction(0), Fraction(1))
    assert [(c.start, c.end) for c in line.captions] == [(0, 65)]


def test_slots_that_cannot_be_shown_are_named(tmp_path: Path) -> None:
    words = [sentence("s1", 1, "Waves.")]
    gap = slot("s1", 40, kind="gap", shot=None, media=None, span=None)
    with pytest.raises(MontageError, match=r"slot 2 \(sentence s1\) is a gap"):
        build([slot("s1", 40), gap], words)
    with pytest.raises(MontageError, match=r"slot 1.*does not hold"):
        build([slot("s1", 40, media="b" * 32)], words)
    with pytest.raises(MontageError, match=r"slot 1.*0\.600 s more than its span"):
        build([slot("s1", 40, span=Span(Fraction(3), Fraction(4)))], words)
    with pytest.raises(MontageError, match=r"gone\.mp4"):
        build([slot("s1", 40, kind="card")], words, {0: tmp_path / "gone.mp4"})
    with pytest.raises(MontageError, match="no slots"):
        build([], words)


def test_rounding_to_the_grid_may_reach_one_frame_past_the_span() -> None:
    assert build([slot("s1", 40, span=Span(Fraction(3), Fraction(3) + Fraction(39, 25)))], []).frames == 40
