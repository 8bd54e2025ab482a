from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from making import ffmpeg

from index.base import FootageError, content_id
from index.probe import read_media, steady_rate

NTSC = Fraction(24000, 1001)


def test_what_real_files_are(footage: Path) -> None:
    beach = read_media(footage / "clips/beach.mp4", root=footage)
    assert beach.paths == ("clips/beach.mp4",)
    assert beach.id == content_id(footage / "clips/beach.mp4")
    assert (beach.width, beach.height, beach.codec, beach.pixel_format) == (1920, 1080, "h264", "yuv420p")
    assert (beach.rate, beach.duration, beach.audio) == (NTSC, Fraction(10), True)
    assert (beach.primaries, beach.transfer, beach.matrix, beach.full_range) == ("bt709",) * 3 + (False,)
    asl = read_media(footage / "clips/asl-book.mkv", root=footage)
    assert (asl.full_range, asl.start, asl.rate) == (True, Fraction(33, 1000), Fraction(30))


def test_tags_that_lie_are_not_believed(footage: Path) -> None:
    shaky = read_media(footage / "odd/fps-90000-tag.mp4", root=footage)
    assert shaky.rate is None  # tagged 90000, about 10 and variable
    assert shaky.rotation == 180
    assert float(shaky.duration) == pytest.approx(2.38, abs=0.001)
    unsaid = read_media(footage / "odd/no-duration.webm", root=footage)
    assert unsaid.duration == Fraction(4938, 1000)
    clouds = read_media(footage / "clips/cloudy-sky.mp4", root=footage)
    assert clouds.rate == 24  # the header's average is 2892/121


@pytest.mark.parametrize("clockwise", [0, 90, 180, 270])
def test_rotation_is_clockwise(tmp_path: Path, clockwise: int) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=1", tmp_path / "plain.mp4")
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", str(-clockwise), "-i", tmp_path / "plain.mp4", "-c", "copy", turned)
    media = read_media(turned, root=tmp_path)
    assert media.rotation == clockwise
    assert media.display_size == ((48, 64) if clockwise in (90, 270) else (64, 48))


def test_shape_timecode_and_words_from_the_header(tmp_path: Path) -> None:
    path = tmp_path / "tagged.mov"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=s=72x48:r=25:d=1", "-timecode", "01:02:03:04"),
        *("-vf", "setsar=4/3,setparams=color_trc=smpte2084:color_primaries=bt2020"),
        *("-metadata", "title=A Walk", "-metadata", "comment=by the sea", "-metadata", "artist=Ann Example"),
        *("-metadata", "copyright=CC BY 4.0", path),
    )
    media = read_media(path, root=tmp_path)
    assert media.sample_aspect == Fraction(4, 3)
    assert media.display_size == (96, 48)
    assert media.timecode == "01:02:03:04"
    assert media.text == "A Walk\nby the sea"
    assert media.credit == "Ann Example CC BY 4.0"
    assert (media.transfer, media.primaries) == ("smpte2084", "bt2020")
    (tmp_path / "tagged.txt").write_text("waves", encoding="utf-8")
    (tmp_path / "tagged.mov.credit.txt").write_text("Bob\nLicense: CC0", encoding="utf-8")
    media = read_media(path, root=tmp_path)
    assert media.text == "waves\nA Walk\nby the sea"
    assert (media.credit, media.licence) == ("Bob\nLicense: CC0", "CC0")
    assert read_media(path, root=tmp_path, sidecars=False).text == "A Walk\nby the sea"


def test_a_cover_picture_is_no_footage(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:r=1:d=1", "-frames:v", "1", tmp_path / "cover.png")
    ffmpeg(
        *("-f", "lavfi", "-i", "sine=d=1", "-i", tmp_path / "cover.png", "-map", "0", "-map", "1"),
        *("-c:v", "copy", "-disposition:v:0", "attached_pic", tmp_path / "song.mp4"),
    )
    with pytest.raises(FootageError, match="sound alone"):
        read_media(tmp_path / "song.mp4", root=tmp_path)


@pytest.mark.parametrize(
    ("stamps", "base", "tagged", "rate"),
    [
        ([0, 40, 80, 120], Fraction(1, 1000), [], Fraction(25)),
        ([round(n * 1000 / 30) for n in range(90)], Fraction(1, 1000), [], Fraction(30)),
        ([round(n * 1001 / 24) for n in range(90)], Fraction(1, 1000), [NTSC], NTSC),
        ([0, 1001, 2002], Fraction(1, 24000), [Fraction(90000)], NTSC),
        ([0, 9000, 16000, 27000], Fraction(1, 90000), [Fraction(90000)], None),
        ([0, 1, 3, 4], Fraction(1, 25), [Fraction(25)], None),
        ([0, 384, 768, 1152], Fraction(1, 11456), [Fraction(179, 6)], Fraction(179, 6)),
        ([5], Fraction(1, 25), [Fraction(25)], Fraction(25)),
        ([5], Fraction(1, 25), [Fraction(90000)], None),
    ],
)
def test_steady_rate(
    stamps: list[int], base: Fraction, tagged: list[Fraction], rate: Fraction | None
) -> None:
    assert steady_rate(stamps, base, tagged) == rate


@pytest.mark.parametrize("size", ["2x2", "640x4"])
def test_pictures_too_small_to_show_are_no_footage(size: str, tmp_path: Path) -> None:
    path = tmp_path / "small.mkv"
    ffmpeg("-f", "lavfi", "-i", f"color=red:s={size}:d=1,format=yuv444p", "-c:v", "ffv1", path)
    with pytest.raises(FootageError, match=f"{size} pixels, too small to show"):
        read_media(path, root=None)
