"""Title cards: the right size and length, letters on black, and never an empty box."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from filmlab import FPS, colours, luma, timeline

from index.base import Span, content_id
from montage.film import render_timeline
from montage.timeline import Clip
from montage.titles import draw_title, title_card
from montage.values import MontageError

SIZE = (320, 180)


def test_a_card_fades_in_stays_and_fades_out(tmp_path: Path) -> None:
    path = title_card("A Day by the Sea", size=SIZE, fps=FPS, frames=50, folder=tmp_path)
    seen = luma(path, SIZE).reshape(50, -1).max(axis=1).astype(int)
    assert seen[0] < 20
    assert seen[49] < 60
    assert (np.diff(seen[:14]) >= 0).all()
    assert seen[25] > 230
    assert (np.diff(seen[36:]) <= 0).all()


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(30)])
def test_a_card_has_exactly_the_frames_asked_for(fps: Fraction, tmp_path: Path) -> None:
    path = title_card("Words", size=(160, 90), fps=fps, frames=37, folder=tmp_path)
    assert len(luma(path)) == 37


def test_the_same_card_is_made_once(tmp_path: Path) -> None:
    first = title_card("Words", size=(160, 90), fps=FPS, frames=12, folder=tmp_path)
    made = first.stat().st_mtime_ns, first.read_bytes()
    assert title_card(" Words ", size=(160, 90), fps=FPS, frames=12, folder=tmp_path) == first
    assert first.read_bytes() == made[1]
    assert title_card("Words", size=(160, 90), fps=FPS, frames=13, folder=tmp_path) != first
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("size", [(320, 180), (180, 320), (640, 272)])
@pytest.mark.parametrize(
    "text", ["Sea", "The very long and winding title of a film about people who live by a river"]
)
def test_letters_lie_within_the_safe_area_and_in_the_middle(text: str, size: tuple[int, int]) -> None:
    letters = draw_title(text, size)[:, :, 3] > 40
    rows, columns = np.flatnonzero(letters.any(axis=1)), np.flatnonzero(letters.any(axis=0))
    width, height = size
    assert columns[0] >= width * 0.09
    assert columns[-1] <= width * 0.91
    assert rows[0] >= height * 0.12
    assert abs((columns[0] + columns[-1]) / 2 - width / 2) < width * 0.03
    assert abs((rows[0] + rows[-1]) / 2 - height / 2) < height * 0.05


def test_chinese_and_japanese_are_drawn_with_real_glyphs() -> None:
    drawn = {text: draw_title(text, SIZE)[:, :, 3] for text in ("清晨", "湖边", "日本の夏")}
    assert not np.array_equal(drawn["清晨"], drawn["湖边"])
    halves = np.array_split(drawn["清晨"], 2, axis=1)
    assert not np.array_equal(halves[0], halves[1])  # two boxes would be alike


def test_what_cannot_be_drawn_is_an_error_with_advice() -> None:
    with pytest.raises(MontageError, match=r"cannot be drawn.*install"):
        draw_title("\U0001f9ff\U00012000\U000e01ef\ue123", SIZE)
    with pytest.raises(MontageError, match="needs text"):
        draw_title("  ", SIZE)
    with pytest.raises(MontageError, match="too long"):
        draw_title("word " * 400, SIZE)


def test_a_card_keeps_its_colour_through_the_film(tmp_path: Path) -> None:
    path = title_card("Sea", size=SIZE, fps=FPS, frames=40, folder=tmp_path)
    clip = Clip(
        start=0, frames=40, kind="title", source=path, content=content_id(path),
        span=Span(Fraction(0), Fraction(8, 5)),
    )  # fmt: skip
    film = render_timeline(timeline([clip]), tmp_path / "film.mp4", size=SIZE, cache=tmp_path / "cache")
    frame = colours(film.path, SIZE)[20].astype(int)
    brightest = frame.reshape(-1, 3)[frame.sum(axis=2).argmax()]
    assert np.abs(brightest - (242, 240, 235)).max() < 16
    assert frame[:20].max() < 8
    assert film.ok
