"""Still moves and cards: sizes, lengths, colours, text, marks."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

import generate
from generate import Card, GenerationError, Request, Still, read_marks
from generate.base import Cancelled, Generator
from generate.colours import contrast_ratio, palette_of
from generate.finish import crop_to_cover, write_video
from generate.fonts import find_font, missing_glyphs
from generate.layout import atoms_of, break_lines, joined
from generate.provenance import DIGITAL_SOURCE_TYPES

SIZES = [(320, 180), (180, 320), (240, 240)]
ENGLISH = "The ferry had not sailed since the war, and nobody in the village could say why."
CHINESE = "渡轮自战争以来再也没有启航，村里没有人能说出原因。"


def picture(width: int = 400, height: int = 260) -> np.ndarray:
    """A frame with detail everywhere, so that any move shows."""
    y, x = np.mgrid[0:height, 0:width]
    stripes = 128 + 60 * np.sin(x / 9) + 50 * np.sin(y / 7)
    return np.stack([stripes, 255 * x / width, 255 * y / height], axis=-1).clip(0, 255).astype(np.uint8)


def frames_of(path: Path) -> tuple[list[np.ndarray], Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.sample_aspect_ratio in (None, 1)
        return [f.to_ndarray(format="rgb24") for f in container.decode(stream)], stream.average_rate


def request(text: str, size: tuple[int, int], **more: object) -> Request:
    fields = {"prompt": text, "frames": 20, "fps": Fraction(25), "width": size[0], "height": size[1], **more}
    return Request(**fields)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("text", [ENGLISH, CHINESE, "Fähre über den Fluß", "مركب في البحر"])
def test_card_shows_text_at_any_size(tmp_path: Path, size: tuple[int, int], text: str) -> None:
    try:
        find_font(text, 20)
    except GenerationError:
        with pytest.raises(GenerationError, match=r"no typeface .* install"):
            Card(tmp_path).generate(request(text, size))
        return
    take = Card(tmp_path).generate(request(text, size, neighbours=(picture(),)))
    frames, rate = frames_of(take.path)
    assert (len(frames), rate) == (20, 25)
    assert frames[0].shape == (size[1], size[0], 3)
    bright = (frames[-1].min(axis=2) > 190).mean()
    assert 0.005 < bright < 0.3, "the words stand on the last frame"
    assert (frames[0].min(axis=2) > 190).mean() < bright / 4, "and have not yet come on the first"


def test_card_has_room_around_its_text(tmp_path: Path) -> None:
    for size in SIZES:
        take = Card(tmp_path).generate(request(ENGLISH, size))
        text = frames_of(take.path)[0][-1].min(axis=2) > 190
        rows, columns = np.flatnonzero(text.any(axis=1)), np.flatnonzero(text.any(axis=0))
        assert columns[0] > 0.05 * size[0]
        assert columns[-1] < 0.95 * size[0]
        assert rows[0] > 0.05 * size[1]
        assert rows[-1] < 0.95 * size[1]


@pytest.mark.parametrize("level", [0, 128, 255])
def test_card_is_legible_between_any_neighbours(tmp_path: Path, level: int) -> None:
    neighbour = np.full((64, 64, 3), level, np.uint8)
    neighbour[:32, :, level % 3] = 255
    take = Card(tmp_path).generate(request(ENGLISH, (320, 180), neighbours=(neighbour,)))
    frame = frames_of(take.path)[0][-1].astype(float)
    # Background: everything but the text and its soft edges.
    background = frame[frame.min(axis=2) < 90]
    lightest = np.percentile(background, 90, axis=0)
    assert contrast_ratio(palette_of((neighbour,)).text, lightest) >= 4.5


def test_contrast_of_black_and_white_is_21() -> None:
    assert contrast_ratio((0, 0, 0), (255, 255, 255)) == pytest.approx(21)


def test_palette_takes_the_neighbours_hue() -> None:
    def hue(palette: object) -> float:
        return float(np.arctan2(palette.background[1][2], palette.background[1][1]))

    red, blue = np.full((40, 40, 3), (180, 30, 30), np.uint8), np.full((40, 40, 3), (30, 30, 180), np.uint8)
    assert hue(palette_of((red,))) > 0
    assert hue(palette_of((blue,))) < 0
    grey = palette_of((np.full((40, 40, 3), 120, np.uint8),))
    assert np.allclose(grey.background[:, 1:], 0), "a monochrome neighbourhood gets a monochrome card"


def test_card_background_has_no_bands(tmp_path: Path) -> None:
    take = Card(tmp_path).generate(request("Night", (640, 360), frames=3))
    frame = frames_of(take.path)[0][-1].astype(float)
    patch = frame[-60:, -200:].mean(axis=2)
    # A band is a flat region between two steps: with the dither neighbouring pixels seldom all agree.
    flat = np.abs(np.diff(patch, axis=1)) < 0.01
    assert flat.mean() < 0.7


def test_card_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    card = Card(tmp_path)
    with pytest.raises(GenerationError, match="empty"):
        card.generate(request("  \n ", (320, 180)))
    with pytest.raises(GenerationError, match="too long"):
        card.generate(request("word " * 400, (320, 180)))
    with pytest.raises(GenerationError, match="even"):
        card.generate(request("odd", (321, 180)))
    assert not list(tmp_path.glob("*.mp4"))


def test_find_font_never_shows_empty_boxes() -> None:
    font = find_font("Plain words", 40)
    assert not missing_glyphs(font, frozenset("Plainwords"))
    assert missing_glyphs(font, frozenset("中文")) == ["中", "文"]
    with pytest.raises(GenerationError, match=r"no typeface .*U\+1BC02.* install"):
        find_font("shorthand \U0001bc02", 40)


def test_lines_break_where_a_typographer_would() -> None:
    lines = break_lines(atoms_of(ENGLISH), 30, len)
    assert lines is not None
    texts = [joined(line) for line in lines]
    assert " ".join(texts) == ENGLISH
    assert all(len(text) <= 30 for text in texts)
    assert max(map(len, texts)) - min(map(len, texts)) <= 8
    assert not any(text.split()[-1] in {"the", "in", "and"} for text in texts[:-1])
    assert break_lines(atoms_of("incomprehensibilities"), 10, len) is None


def test_chinese_and_japanese_lines_keep_words_and_punctuation() -> None:
    lines = break_lines(atoms_of(CHINESE), 12, len)
    assert lines is not None
    texts = [joined(line) for line in lines]
    assert "".join(texts) == CHINESE
    assert not any(text[0] in "，。、" for text in texts)
    assert texts[1].endswith("，")
    japanese = "「渡し船」は戦争のあと、一度も出ていない。"
    for width in range(6, 22):
        lines = break_lines(atoms_of(japanese), width, len)
        if lines is None:
            continue
        texts = [joined(line) for line in lines]
        assert "".join(texts) == japanese
        assert not any(text[0] in "」。、" or text[-1] == "「" for text in texts)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_still_moves_slowly_and_never_jumps(tmp_path: Path, size: tuple[int, int], seed: int) -> None:
    take = Still(tmp_path).generate(request("", size, frames=24, reference=picture(), seed=seed))
    frames, rate = frames_of(take.path)
    assert (len(frames), rate) == (24, 25)
    steps = [np.abs(b.astype(float) - a).mean() for a, b in pairwise(frames)]
    assert np.abs(frames[-1].astype(float) - frames[0]).mean() > 3, "it moves"
    middle = steps[4:-4]
    assert min(middle) > 0.3 * float(np.median(middle)), (
        "a step of whole pixels would leave frames that stand"
    )
    assert max(steps) < 2.5 * float(np.median(middle))
    assert max(steps[0], steps[-1]) <= float(np.median(middle)), "it starts and settles"


def test_still_seed_chooses_the_move(tmp_path: Path) -> None:
    still = Still(tmp_path)
    moves = {
        str(still.generate(request("", (160, 90), frames=2, reference=picture(), seed=s)).details["move"])
        for s in range(12)
    }
    assert {"push in", "pull out"} < moves


def test_still_needs_a_frame(tmp_path: Path) -> None:
    still = Still(tmp_path)
    with pytest.raises(GenerationError, match="reference"):
        still.generate(request("x", (320, 180)))
    with pytest.raises(GenerationError, match="too small"):
        still.generate(request("x", (320, 180), reference=np.zeros((20, 20, 3), np.uint8)))
    with pytest.raises(GenerationError, match="uint8"):
        still.generate(request("x", (320, 180), reference=np.zeros((90, 90), np.uint8)))


def test_takes_are_marked_by_kind(tmp_path: Path) -> None:
    card = Card(tmp_path).generate(request("Marked = so\nindeed", (160, 90), frames=4, seed=5))
    still = Still(tmp_path).generate(request("A dog", (160, 90), frames=4, reference=picture()))
    marks = read_marks(card.path)
    assert marks["kind"] == "card"
    assert marks["prompt"] == "Marked = so indeed"
    assert marks["seed"] == "5"
    for take in (card, still):
        marks = read_marks(take.path)
        assert marks["digital_source_type"] == take.digital_source_type == DIGITAL_SOURCE_TYPES[take.kind]
        assert "AI" not in marks["comment"]
        assert not take.digital_source_type.endswith("rainedAlgorithmicMedia")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(GenerationError, match=r"text\.mp4"):
        read_marks(tmp_path / "text.mp4")


def test_takes_are_deterministic(tmp_path: Path) -> None:
    asked = request(ENGLISH, (160, 90), frames=6)
    takes = [Card(tmp_path / name).generate(asked) for name in "ab"]
    assert takes[0].path.name == takes[1].path.name
    first, second = (frames_of(take.path)[0] for take in takes)
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(first, second, strict=True)) < 0.3


def test_cancel_leaves_nothing_behind(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with pytest.raises(Cancelled):
        Card(tmp_path).generate(
            request(ENGLISH, (160, 90)),
            lambda done, total: seen.append((done, total)),
            lambda: len(seen) >= 3,
        )
    assert seen == [(1, 20), (2, 20), (3, 20)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(24), Fraction(60)])
@pytest.mark.parametrize("source", [(64, 48), (208, 112)])
def test_finishing_gives_exact_length_and_rate(
    tmp_path: Path, fps: Fraction, source: tuple[int, int]
) -> None:
    frames = [np.roll(picture(*source), 2 * n, axis=1) for n in range(17)]
    path = tmp_path / "out.mp4"
    write_video(
        frames, path, source_size=source, source_fps=Fraction(16), size=(320, 180), fps=fps, count=26,
        source_count=17, marks={},
    )  # fmt: skip
    got, rate = frames_of(path)
    assert (len(got), rate) == (26, fps)
    assert all(frame.std() > 20 for frame in got)
    assert read_marks(path) == {}


def test_finishing_keeps_colours_and_proportions(tmp_path: Path) -> None:
    frame = np.full((120, 120, 3), (200, 60, 30), np.uint8)
    y, x = np.mgrid[0:120, 0:120]
    frame[np.hypot(x - 60, y - 60) < 25] = (20, 60, 220)
    path = tmp_path / "out.mp4"
    write_video(
        [frame] * 3, path, source_size=(120, 120), source_fps=Fraction(25), size=(320, 180),
        fps=Fraction(25), count=3, marks={},
    )  # fmt: skip
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert int(stream.codec_context.colorspace) == 1, "BT.709"
        decoded = next(container.decode(stream)).reformat(format="rgb24", src_colorspace="ITU709")
        got = decoded.to_ndarray().astype(int)
    assert np.abs(got[5, 5] - (200, 60, 30)).max() <= 6
    disc = np.abs(got - (20, 60, 220)).max(axis=2) < 60
    tall, wide = np.ptp(np.flatnonzero(disc.any(axis=1))), np.ptp(np.flatnonzero(disc.any(axis=0)))
    assert abs(tall - wide) <= 3, "a disc stays round"


def test_finishing_refuses_frames_of_another_size(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="shape"):
        write_video(
            [np.zeros((10, 10, 3), np.uint8)], tmp_path / "x.mp4", source_size=(20, 10),
            source_fps=Fraction(25), size=(20, 10), fps=Fraction(25), count=1, marks={},
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_crop_covers() -> None:
    assert crop_to_cover(1920, 1080, Fraction(9, 16)) == (608, 1080)
    assert crop_to_cover(1080, 1920, Fraction(16, 9)) == (1080, 608)
    assert crop_to_cover(640, 360, Fraction(16, 9)) == (640, 360)


def test_exported_names() -> None:
    assert set(generate.__all__) == {
        "Cancelled", "Card", "Diffusers", "GenerationError", "Generator", "Request", "StepDown", "Still",
        "Take", "Tuning", "check_take", "make_take", "read_marks",
    }  # fmt: skip
    for name in generate.__all__:
        assert getattr(generate, name).__module__.startswith("generate.")
    assert isinstance(Card("x"), Generator)
    assert isinstance(Still("x"), Generator)
    with pytest.raises(AttributeError):
        _ = generate.nothing
