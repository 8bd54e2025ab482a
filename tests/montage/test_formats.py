"""Codecs, containers and encoders: every one makes a film that joins, checks and plays."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from filmlab import SIZE, luma, read_numbers, row_of, steady, write_counter

from montage.film import render_timeline
from montage.formats import CODECS, Format, choose_encoder, draft_size, encoder_fault
from montage.values import MontageError

FILMS = [
    ("h264", "film.mp4", "h264", "aac"),
    ("h265", "film.mp4", "hevc", "aac"),
    ("av1", "film.mp4", "libdav1d", "aac"),
    ("vp9", "film.webm", "vp9", "opus"),
    ("av1", "film.webm", "libdav1d", "opus"),
    ("prores", "film.mov", "prores", "pcm_s24le"),
    ("dnxhr", "film.mov", "dnxhd", "pcm_s24le"),
]


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_counter(tmp_path_factory.mktemp("formats") / "counter.mp4", steady(150, 25))


@pytest.mark.parametrize(("codec", "name", "picture", "sound"), FILMS)
def test_every_codec_joins_frame_exactly_and_is_tagged(
    codec: str, name: str, picture: str, sound: str, counter: Path, tmp_path: Path
) -> None:
    import av

    plan = row_of([(counter, 21, "0.4"), (counter, 1, "2"), (counter, 30, "3.2")])
    size = (320, 180)
    film = render_timeline(plan, tmp_path / name, size=size, codec=codec, cache=tmp_path / "cache")
    assert film.ok
    assert read_numbers(luma(film.path, size)) == [*range(10, 31), 50, *range(80, 110)]
    with av.open(str(film.path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        context = video.codec_context
        assert (context.name, audio.codec_context.name) == (picture, sound)
        assert (context.color_primaries, context.color_trc, context.colorspace) == (1, 1, 1)
        assert context.color_range == 1
        assert container.format.name.split(",")[0] in {"mov", "matroska"}
    again = render_timeline(plan, tmp_path / name, size=size, codec=codec, cache=tmp_path / "cache")
    assert (again.segments_rendered, again.segments_reused) == (0, 3)


def test_a_film_at_a_drop_frame_rate_in_a_container_of_milliseconds(counter: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    rate = Fraction(30000, 1001)
    plan = replace(row_of([(counter, 31, "0.4"), (counter, 40, "2")]), fps=rate)
    film = render_timeline(plan, tmp_path / "film.webm", size=SIZE, cache=tmp_path / "cache")
    assert film.ok
    assert len(luma(film.path)) == 71


def test_what_does_not_go_together_is_refused_with_what_does(counter: Path, tmp_path: Path) -> None:
    plan = row_of([(counter, 10, "0")])

    def refused(name: str, match: str, **options: object) -> None:
        with pytest.raises(MontageError, match=match):
            render_timeline(plan, tmp_path / name, size=SIZE, cache=tmp_path / "cache", **options)

    refused("film.mp4", r"does not hold prores here.*\.mov", codec="prores")
    refused("film.avi", r"\.mp4, \.m4v, \.mov, \.webm")
    refused("film.webm", "a draft is H.264", quality="draft")
    refused("film.mov", "at least 256x120", codec="dnxhr")
    refused("film.mp4", "does not encode h264", encoder_video="libx265")


def test_hardware_is_used_only_where_it_works() -> None:
    """On a machine with none of it, ``auto`` is the processor, and a name is refused with the reason."""
    assert choose_encoder("h264", "cpu") == choose_encoder("h264", "libx264") == ""
    for name, codec in CODECS.items():
        found = choose_encoder(name, "auto")
        assert found in ("", *codec.hardware)
        for encoder in codec.hardware:
            if encoder_fault(name, encoder) is None:
                assert choose_encoder(name, encoder) == encoder
                continue
            assert found != encoder
            with pytest.raises(MontageError, match=r"does not work on this machine \("):
                choose_encoder(name, encoder)


def test_a_hardware_encoder_is_part_of_the_format() -> None:
    form = Format(width=320, height=180, fps=Fraction(25), video_encoder="h264_nvenc")
    assert form.encoder[:2] == ("-c:v", "h264_nvenc")
    with pytest.raises(ValueError, match="does not encode"):
        Format(width=320, height=180, fps=Fraction(25), video_encoder="hevc_nvenc")


@pytest.mark.parametrize(
    ("size", "draft"),
    [
        ((1920, 1080), (960, 540)),
        ((1080, 1920), (540, 960)),
        ((1080, 1080), (540, 540)),
        ((640, 360), (640, 360)),
        ((1998, 1080), (1000, 540)),
    ],
)
def test_a_draft_is_540_pixels_on_its_shorter_side(size: tuple[int, int], draft: tuple[int, int]) -> None:
    assert draft_size(size) == draft
