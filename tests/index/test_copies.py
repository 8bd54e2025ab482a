"""Copies of real clips, and takes that only look alike; a long take that is found at the right moment."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from making import ffmpeg

from index.base import Span
from index.builder import build_index
from index.duplicates import duplicate_groups
from index.library import Library
from index.measure import measure_file
from index.query import Matcher
from index.values import Look, Shot

COPIES = {
    "encoded": ("-crf", "36"),
    "smaller": ("-vf", "scale=426:240"),
    "trimmed": ("-ss", "0.08"),
    "letterboxed": ("-vf", "pad=iw:ih*4/3:0:(oh-ih)/2,scale=640:480"),
    "graded": ("-vf", "eq=brightness=0.02:saturation=1.1"),
    "slower-rate": ("-r", "20"),
}


def only_shot(path: Path) -> Shot:
    shots = measure_file(path, None, detector="fast").shots
    assert len(shots) == 1
    return shots[0]


@pytest.fixture(scope="module")
def takes(footage: Path) -> dict[str, Shot]:
    """Short clips, two of them takes by one person in one place."""
    names = ("parkour.mp4", "goat.mp4", "libby.mp4", "asl-again.mkv", "asl-book.mkv", "blackswan.mp4")
    return {name: only_shot(footage / "clips" / name) for name in names}


@pytest.mark.parametrize("name", ["parkour.mp4", "libby.mp4", "blackswan.mp4"])
def test_copies_of_real_clips_are_one_group(
    footage: Path, takes: dict[str, Shot], tmp_path: Path, name: str
) -> None:
    copies = []
    for how, options in COPIES.items():
        out = tmp_path / f"{how}.mp4"
        ffmpeg("-i", footage / "clips" / name, *options, "-an", "-threads", "1", out)
        copies.append(only_shot(out))
    groups = duplicate_groups([*takes.values(), *copies])
    missed = [how for how, copy in zip(COPIES, copies, strict=True) if copy.id not in groups]
    assert not missed
    assert set(groups) == {takes[name].id, *(copy.id for copy in copies)}
    assert len(set(groups.values())) == 1


def test_different_takes_are_no_copies(takes: dict[str, Shot]) -> None:
    assert duplicate_groups(list(takes.values())) == {}


def test_dark_shots_are_no_copies(footage: Path, tmp_path: Path) -> None:
    dark = []
    for name in ("goat.mp4", "libby.mp4", "parkour.mp4"):
        ffmpeg(
            "-i", footage / "clips" / name, "-t", "1.6", "-vf", "eq=brightness=-0.9", "-an", tmp_path / name
        )
        dark.append(only_shot(tmp_path / name))
    assert duplicate_groups(dark) == {}


def test_many_shots_are_compared_in_bounded_work() -> None:
    """Twenty thousand shots in a thousand pairs of copies; every pair of shots would be 200 million."""
    shots = []
    for number in range(20_000):
        pair = number // 2 if number < 2_000 else number
        noise = (pair * 0x9E3779B97F4A7C15) % 2**64
        seconds = Fraction(100 + pair * 7919 % 1900, 100)
        look = Look(
            brightness=0.5,
            contrast=0.2,
            saturation=0.3,
            lab=(50.0, pair % 60 - 30, pair % 41 - 20),
            sharpness=0.5,
            shake=0,
            motion=0.1,
            move="static",
            phash=noise ^ (number % 2),
        )
        span = Span(Fraction(0), seconds)
        shots.append(Shot(id=f"m{number}-0", media=f"m{number}", span=span, windows=(span,), look=look))
    groups = duplicate_groups(shots)
    assert len(groups) == 2_000
    assert len(set(groups.values())) == 1_000


@pytest.fixture(scope="module")
def long_take(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Bottles and a beach in one shot: the one melts slowly into the other."""
    folder = tmp_path_factory.mktemp("long")
    inputs: list[str] = []
    for name in ("bottle-detection.mp4", "beach.mp4"):
        inputs += ["-t", "6", "-i", str(footage / "clips" / name)]
    same = "fps=25,scale=640:360:force_original_aspect_ratio=increase,crop=640:360,setsar=1,format=yuv420p"
    graph = ";".join(f"[{i}:v]{same}[v{i}]" for i in range(2)) + ";[v0][v1]xfade=duration=2:offset=4"
    ffmpeg(*inputs, "-filter_complex", graph, "-an", "-t", "10", folder / "0001.mp4")
    return build_index(folder, encoder="embedded", workers=1, detector="content")


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("Plastic bottles of water.", 0, 6),
        ("A sandy beach by the sea.", 4, 10),
    ],
)
def test_a_long_take_is_found_at_the_right_moment(
    long_take: Library, text: str, start: int, end: int
) -> None:
    assert len(long_take.shots) == 1
    hit = Matcher(long_take).search(text, k=1)[0]
    assert start <= hit.span.middle <= end
    assert hit.span.seconds <= 3
