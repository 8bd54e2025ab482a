"""Dissolves and dips where paragraphs end, and what they look like frame by frame."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import rulelab
from filmlab import FPS, SIZE, clip_of, colours, luma, make, timeline

from index.base import Span
from index.values import Look
from montage.burning import with_burnt_captions
from montage.captions import Cue
from montage.film import render_timeline
from montage.grading import with_matched_colours
from montage.timeline import Clip, Framing, Grade, Timeline
from montage.transitions import with_transitions

SHOT = Span(Fraction(0), Fraction(8))


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Eight seconds each of dark grey and of light grey, with a mark so that they are no flat pictures."""
    folder = tmp_path_factory.mktemp("transitions")
    return {
        name: make(
            folder / f"{name}.mp4", "-f", "lavfi", "-i", f"color={colour}:s=320x180:r=25:d=8", "-vf",
            "drawbox=x=150:y=20:w=20:h=20:color=red:t=fill,drawbox=x=20:y=60:w=30:h=30:color=gray:t=fill",
            "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-crf", "10",
        )
        for name, colour in (("dark", "0x404040"), ("light", "0xc0c0c0"))
    }  # fmt: skip


def row(shots: dict[str, Path], *parts: tuple[str, str, int], shot: Span | None = SHOT) -> Timeline:
    """(name, sentence, frames), each from second 1."""
    clips: list[Clip] = []
    for name, sentence, frames in parts:
        at = clips[-1].end if clips else 0
        clips.append(replace(clip_of(shots[name], at, frames, "1"), sentence=sentence, shot=shot))
    return timeline(clips)


def look(lightness: float = 60, brightness: float = 0.5, **more: object) -> Look:
    given: dict[str, object] = {"lab": (lightness, 0.0, 0.0), "brightness": brightness, "saturation": 0.3}
    return rulelab.look(**{**given, **more})


def test_a_paragraph_ends_in_a_dissolve_and_a_sentence_does_not(shots: dict[str, Path]) -> None:
    plan = row(shots, ("dark", "a", 50), ("light", "b", 50), ("dark", "c", 50))
    made = with_transitions(plan, {"a": 1, "b": 1, "c": 2}, {})
    assert [clip.dissolve for clip in made.picture] == [0, 0, 12]
    under = made.picture[2].under
    assert under is not None
    assert under.source == shots["light"]
    assert under.span == Span(Fraction(3), Fraction(87, 25))
    assert made.frames == plan.frames


def test_without_footage_to_go_on_it_dips_to_black(shots: dict[str, Path]) -> None:
    for shot in (None, Span(Fraction(0), Fraction(31, 10))):
        plan = row(shots, ("dark", "a", 50), ("light", "b", 50), shot=shot)
        made = with_transitions(plan, {"a": 1, "b": 2}, {})
        assert [(clip.fade_in, clip.fade_out, clip.dissolve) for clip in made.picture] == [
            (0, 6, 0),
            (6, 0, 0),
        ]


def test_short_clips_and_cards_keep_their_cuts(shots: dict[str, Path]) -> None:
    short = with_transitions(row(shots, ("dark", "a", 35), ("light", "b", 50)), {"a": 1, "b": 2}, {})
    assert all(clip.dissolve == clip.fade_out == clip.fade_in == 0 for clip in short.picture)
    plan = row(shots, ("dark", "a", 50), ("light", "", 50), ("dark", "b", 50))
    card = replace(plan, picture=(plan.picture[0], replace(plan.picture[1], kind="title"), plan.picture[2]))
    made = with_transitions(card, {"a": 1, "b": 1}, {})
    assert [(clip.fade_in, clip.fade_out) for clip in made.picture] == [(0, 6), (0, 0), (6, 0)]


def test_from_day_to_night_it_dips(shots: dict[str, Path]) -> None:
    plan = row(shots, ("light", "a", 50), ("dark", "b", 50))
    looks = {0: look(brightness=0.5), 50: look(brightness=0.1)}
    made = with_transitions(plan, {"a": 1, "b": 2}, looks)
    assert (made.picture[0].fade_out, made.picture[1].fade_in, made.picture[1].dissolve) == (6, 6, 0)


def test_a_dissolve_goes_evenly_from_one_picture_to_the_other(shots: dict[str, Path], tmp_path: Path) -> None:
    plan = with_transitions(row(shots, ("dark", "a", 50), ("light", "b", 50)), {"a": 1, "b": 2}, {})
    film = render_timeline(plan, tmp_path / "film.mp4", size=SIZE, cache=tmp_path / "cache")
    assert film.ok
    level = luma(film.path)[:, 60:80, 100:140].mean(axis=(1, 2))
    dark, light = level[:48].mean(), level[64:].mean()
    assert light - dark > 90
    assert np.abs(level[:50] - dark).max() < 3
    steps = (level[50:62] - dark) / (light - dark)
    assert np.abs(steps - np.arange(12) / 12).max() < 0.06
    assert np.abs(level[62:] - light).max() < 3


def test_a_dip_is_black_in_the_middle_only(shots: dict[str, Path], tmp_path: Path) -> None:
    plan = with_transitions(
        row(shots, ("light", "a", 50), ("light", "b", 50), shot=None), {"a": 1, "b": 2}, {}
    )
    film = render_timeline(plan, tmp_path / "film.mp4", size=SIZE, cache=tmp_path / "cache")
    level = luma(film.path).mean(axis=(1, 2))
    assert film.ok
    assert level[49] < 60
    assert level[50] < 60
    assert level[43] > 150
    assert level[56] > 150


def test_a_cut_changes_no_segment_of_its_neighbours(shots: dict[str, Path], tmp_path: Path) -> None:
    """A dissolve is drawn into the later clip, so that the one before it stays what it was."""
    plan = row(shots, ("dark", "a", 50), ("light", "b", 50))
    render_timeline(plan, tmp_path / "film.mp4", size=SIZE, cache=tmp_path / "cache")
    made = with_transitions(plan, {"a": 1, "b": 2}, {})
    film = render_timeline(made, tmp_path / "film.mp4", size=SIZE, cache=tmp_path / "cache")
    assert (film.segments_rendered, film.segments_reused) == (1, 1)


def test_neighbours_of_one_paragraph_are_drawn_together(shots: dict[str, Path], tmp_path: Path) -> None:
    plan = row(shots, ("dark", "a", 25), ("light", "b", 25), ("light", "c", 25))
    looks = {0: look(30), 25: look(70), 50: look(70)}
    made = with_matched_colours(plan, {"a": 1, "b": 1, "c": 2}, looks)
    first, second, third = (clip.grade for clip in made.picture)
    assert first.gain == 1.25
    assert 0.8 <= second.gain < 1
    assert third == Grade()
    before = luma(render_timeline(plan, tmp_path / "a.mp4", size=SIZE, cache=tmp_path / "c").path)
    film = render_timeline(made, tmp_path / "b.mp4", size=SIZE, cache=tmp_path / "c")
    after = luma(film.path)
    assert film.ok

    def apart(level: np.ndarray) -> float:
        means = level.mean(axis=(1, 2))
        return float(abs(means[5:20].mean() - means[30:45].mean()))

    assert apart(after) < 0.85 * apart(before)


def test_night_black_and_white_and_cards_are_left_alone(shots: dict[str, Path]) -> None:
    plan = row(shots, ("dark", "a", 25), ("light", "b", 25))
    paragraphs = {"a": 1, "b": 1}
    night = with_matched_colours(plan, paragraphs, {0: look(30, 0.05), 25: look(70)})
    grey = with_matched_colours(plan, paragraphs, {0: look(30, saturation=0.0), 25: look(70)})
    card = replace(plan, picture=(replace(plan.picture[0], media=None), plan.picture[1]))
    cards = with_matched_colours(card, paragraphs, {0: look(30), 25: look(70)})
    for made in (night, grey, cards):
        assert {clip.grade for clip in made.picture} == {Grade()}


def test_a_grade_moves_colour_by_what_it_says(shots: dict[str, Path], tmp_path: Path) -> None:
    clip = row(shots, ("light", "a", 10)).picture[0]
    plain = render_timeline(timeline([clip]), tmp_path / "a.mp4", size=SIZE, cache=tmp_path / "c")
    warm = render_timeline(
        timeline([replace(clip, grade=Grade(1.0, -8.0, 8.0))]),
        tmp_path / "b.mp4",
        size=SIZE,
        cache=tmp_path / "c",
    )
    one, other = (colours(film.path, SIZE)[5, 60:80, 100:140].mean(axis=(0, 1)) for film in (plain, warm))
    red, _, blue = other - one
    assert red == pytest.approx(8 * 1.5748 * 255 / 224, abs=3)
    assert blue == pytest.approx(-8 * 1.8556 * 255 / 224, abs=3)


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_the_frame_lies_where_it_is_put(place: float, shots: dict[str, Path], tmp_path: Path) -> None:
    """A red mark in the middle of the picture is at the right of a frame that lies left, and so on."""
    clip = replace(row(shots, ("dark", "a", 5)).picture[0], framing=Framing(place, place))
    film = render_timeline(timeline([clip]), tmp_path / "f.mp4", size=(180, 180), cache=tmp_path / "c")
    assert film.ok
    picture = colours(film.path, (180, 180))[2].astype(int)
    red = np.flatnonzero((picture[:, :, 0] - picture[:, :, 1]).max(axis=0) > 60)
    assert red.mean() == pytest.approx(160 - (320 - 180) * place, abs=2)


def test_a_frame_that_pans_moves_evenly(shots: dict[str, Path], tmp_path: Path) -> None:
    clip = replace(row(shots, ("dark", "a", 50)).picture[0], framing=Framing(0.2, 0.6))
    film = render_timeline(timeline([clip]), tmp_path / "f.mp4", size=(180, 180), cache=tmp_path / "c")
    pictures = colours(film.path, (180, 180)).astype(int)
    middles = [
        np.flatnonzero((picture[:, :, 0] - picture[:, :, 1]).max(axis=0) > 60).mean() for picture in pictures
    ]
    wanted = 160 - 140 * np.linspace(0.2, 0.6, 50)
    assert np.abs(np.array(middles) - wanted).max() < 2
    assert film.ok


def test_burnt_captions_stand_at_their_frames_and_do_not_move_at_a_join(
    shots: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "t o'n:f,i[g];%"
    odd.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    plan = row(shots, ("dark", "a", 30), ("dark", "a", 30))
    whole = replace(
        plan, picture=(plan.picture[0], replace(plan.picture[1], span=Span(Fraction(11, 5), Fraction(5))))
    )
    size = (640, 360)
    cues = (Cue(start=400, end=2000, lines=("A quiet caption",)),)
    burnt = with_burnt_captions(whole, cues, size)
    film = render_timeline(burnt, tmp_path / "f.mp4", size=size, cache=tmp_path / "c o'n:f,i[g]")
    bare = render_timeline(whole, tmp_path / "g.mp4", size=size, cache=tmp_path / "c o'n:f,i[g]")
    assert film.ok
    apart = np.abs(luma(film.path, size).astype(int) - luma(bare.path, size))
    changed = (apart > 60).sum(axis=(1, 2))
    assert np.flatnonzero(changed > 50).tolist() == list(range(10, 50))
    rows = np.flatnonzero((apart[20] > 60).any(axis=1))
    assert 0.8 * 360 < rows.min() < rows.max() < 0.96 * 360
    assert np.abs(luma(film.path, size)[29].astype(int) - luma(film.path, size)[30]).max() < 40


def test_only_clips_whose_caption_changed_are_rendered_anew(shots: dict[str, Path], tmp_path: Path) -> None:
    plan = row(shots, ("dark", "a", 30), ("light", "b", 30))
    for words, rendered in (("One", 2), ("Another", 1)):
        cues = (Cue(start=0, end=1200, lines=(words,)), Cue(start=1200, end=2400, lines=("Two",)))
        film = render_timeline(
            with_burnt_captions(plan, cues, SIZE), tmp_path / "f.mp4", size=SIZE, cache=tmp_path / "c"
        )
        assert film.segments_rendered == rendered


def test_slowed_footage_is_blended_between_its_pictures(tmp_path: Path) -> None:
    """A bar that moves by steps of the source stands between them at half their strength."""
    source = make(
        tmp_path / "bar.mp4", "-f", "lavfi", "-i", "color=black:s=320x180:r=25:d=4", "-vf",
        "drawbox=x=40:y=0:w=40:h=180:color=white:t=fill:enable='mod(n,2)',"
        "drawbox=x=200:y=0:w=40:h=180:color=white:t=fill:enable='not(mod(n,2))'",
        "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-crf", "8",
    )  # fmt: skip
    clip = clip_of(source, 0, 40, "1", speed="1/2", rate=Fraction(25))
    seen = {}
    for slow in ("repeat", "blend"):
        film = render_timeline(
            timeline([clip]), tmp_path / f"{slow}.mp4", size=(320, 180), slow=slow, cache=tmp_path / "c"
        )
        seen[slow] = luma(film.path, (320, 180))[:, 80:100, 50:70].mean(axis=(1, 2))
    assert len(seen["blend"]) == len(seen["repeat"]) == 40
    between = (seen["blend"][2:36] > 60) & (seen["blend"][2:36] < 200)
    assert 12 <= between.sum() <= 22
    assert not ((seen["repeat"] > 60) & (seen["repeat"] < 200)).any()
    assert FPS == 25
