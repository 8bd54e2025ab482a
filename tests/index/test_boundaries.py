from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from making import ffmpeg
from transitions import Reel, Score, compare, make_reel, read_takes, write_reel

from index.base import FootageError
from index.boundaries import DETECTORS, MINIMUM_SHOT, Detector, make_detector
from index.cascade import Effort
from index.decode import Decoding, Image
from tests.conftest import FOOTAGE

TORTURE = ("cut", "cut", "cut", "dissolve")
Timed = Iterable[tuple[Fraction, Image]]


@pytest.fixture(scope="module")
def takes(sample_library: Path) -> dict[str, list[Image]]:
    """Some of the takes that chose no constant: real clips where they are at hand, and samples."""
    footage = FOOTAGE if (FOOTAGE / "MANIFEST.tsv").is_file() else None
    return read_takes(footage, sample_library, "reporting", most=12, longest=90)


@pytest.fixture(scope="module")
def plain(takes: dict[str, list[Image]]) -> list[Reel]:
    return [make_reel(takes, 31, transitions=26), make_reel(takes, 32, transitions=26, variable=True)]


def boundaries(frames: Timed, name: str, effort: Effort | None = None) -> list[Fraction]:
    """What a detector finds, held to the protocol on the way."""
    detector = make_detector(name, effort=effort)
    assert isinstance(detector, Detector)
    found: list[Fraction] = []
    pushed, settled = set(), Fraction(0)
    for time, image in frames:
        new = detector.push(time, image)
        assert all(boundary >= settled for boundary in new), "told after it was said to be settled"
        assert settled <= detector.settled <= time
        settled = detector.settled
        pushed.add(time)
        found += new
    last = detector.finish()
    assert all(boundary >= settled for boundary in last)
    found += last
    assert set(found) <= pushed
    assert all(b - a >= MINIMUM_SHOT for a, b in pairwise([Fraction(0), *found]))
    return found


def of_file(path: Path, name: str = "auto") -> list[Fraction]:
    return boundaries(((frame.time, frame.image) for frame in Decoding(path, threads=1)), name)


def stepping(count: int, every: int, rate: int = 25) -> list[tuple[Fraction, Image]]:
    """Plain noise that becomes another every ``every`` frames."""
    chance = np.random.default_rng(3)
    frames = []
    for number in range(count):
        if number % every == 0:
            picture = cv2.resize(chance.integers(0, 256, (5, 9, 3), dtype=np.uint8), (320, 180))
        frames.append((Fraction(number, rate), picture))
    return frames


# Every detector.


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("variable", [False, True])
def test_every_detector_keeps_the_protocol(name: str, variable: bool, takes: dict[str, list[Image]]) -> None:
    """Cuts are found; times are those of frames, in order, once, apart, and told before they are settled."""
    reel = make_reel(takes, 5, transitions=5, kinds=("cut",), tricks=0, moves=0, variable=variable)
    found = boundaries(reel, name)
    assert compare(reel, found).recall >= 0.8
    assert found == boundaries(reel, name), "another answer the second time"


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_takes_next_to_nothing(name: str) -> None:
    assert make_detector(name).finish() == []
    for count in (1, 2, 3, 11):
        assert boundaries(stepping(count, 100), name) == []


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_finds_a_plain_cut_to_the_frame(name: str) -> None:
    assert boundaries(stepping(90, 45), name) == [Fraction(45, 25)]


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("every", [1, 10_000])
def test_every_detector_holds_little_however_long_the_file(name: str, every: int) -> None:
    """Both where nothing happens and where every frame is another picture."""
    detector = make_detector(name)
    frames = stepping(360, every)
    held, behind = [], []
    tracemalloc.start()
    for number, (time, image) in enumerate(frames):
        detector.push(time, image)
        if number >= 170:
            held.append(tracemalloc.get_traced_memory()[0])
            behind.append(time - detector.settled)
    tracemalloc.stop()
    assert max(behind) < 10
    assert max(held[-90:]) < max(held[:90]) + 200_000


@pytest.mark.parametrize("name", ["auto", "fast", "transnet"])
def test_a_cut_of_fast_footage_is_told_to_the_frame(name: str) -> None:
    """At 60 frames a second every second frame is passed over; whether a cut falls on it must not matter."""
    for every in (90, 91):
        assert boundaries(stepping(180, every, rate=60), name) == [Fraction(every, 60)]


def test_an_unknown_detector_is_refused() -> None:
    with pytest.raises(FootageError, match="auto, fast, content, adaptive, transnet"):
        make_detector("slow")


# How well, on takes that chose no constant.


def total(reels: list[Reel], name: str, effort: Effort | None = None) -> Score:
    first, *others = [compare(reel, boundaries(reel, name, effort)) for reel in reels]
    for score in others:
        first += score
    return first


def test_fast_is_nearly_always_right(plain: list[Reel]) -> None:
    score = total(plain, "fast")
    assert score.f1 >= 0.94, (score.false, score.missed)
    assert score.share("dissolve") >= 0.9


def test_auto_is_nearly_always_right_and_asks_seldom(plain: list[Reel]) -> None:
    effort = Effort()
    score = total(plain, "auto", effort)
    assert score.f1 >= 0.97, (score.false, score.missed)
    assert score.share("dissolve") >= 0.9
    assert 0 < effort.ruled / effort.frames < 0.15


def test_flashes_strobes_and_whip_pans_are_no_boundaries(takes: dict[str, list[Image]]) -> None:
    reel = make_reel(takes, 33, transitions=16, kinds=TORTURE, tricks=1)
    assert len(reel.tricks) >= 12
    score = total([reel], "auto")
    assert score.precision >= 0.9, score.false
    assert score.recall >= 0.9, score.missed


def test_boundaries_survive_encoding(takes: dict[str, list[Image]], tmp_path: Path) -> None:
    """A file of variable rate, decoded again: the times are the file's own."""
    reel = make_reel(takes, 34, transitions=8, variable=True)
    write_reel(reel, tmp_path / "reel.mp4")
    frames = list(Decoding(tmp_path / "reel.mp4", threads=1))
    assert [frame.time for frame in frames] == list(reel.times)
    score = compare(reel, boundaries(((frame.time, frame.image) for frame in frames), "auto"))
    assert score.f1 >= 0.94, (score.false, score.missed)


# Real files.


def test_annotated_cuts_of_a_film(footage: Path) -> None:
    """Three cuts, and nothing where it fades in, or where the title comes and goes."""
    truth = [
        int(line)
        for line in (footage / "truth/big-buck-bunny-480p.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    found = [round(time * 24) for time in of_file(footage / "films/big-buck-bunny-480p.mp4")]
    assert len(found) == len(truth)
    assert all(abs(a - b) <= 1 for a, b in zip(found, truth, strict=True))


def test_hard_cuts_of_a_dark_trailer(footage: Path) -> None:
    """Between dark faces, from and to black. Seen by eye; the frame is where the picture steps."""
    cuts = [336, 398, 422, 573, 623, 660]
    found = [round(time * 24) for time in of_file(footage / "films/sintel-trailer-480x204.mp4")]
    assert all(any(abs(cut - one) <= 1 for one in found) for cut in cuts), found
    assert len(found) <= 16


def test_single_takes_have_no_boundaries(footage: Path) -> None:
    for clip in ("soapbox", "parkour", "bmx-trees", "drift-chicane", "red-haired-woman"):
        assert of_file(footage / "clips" / f"{clip}.mp4") == []
    assert of_file(footage / "odd/failing-audio.mp4") == []


def test_the_shots_of_the_sample_library(sample_library: Path) -> None:
    truth = json.loads((sample_library / "truth.json").read_text(encoding="utf-8"))
    shots = 0
    for name, entry in truth.items():
        found = [round(time * Fraction(entry["fps"])) for time in of_file(sample_library / name)]
        assert found == [each["frame"] for each in entry["boundaries"]], name
        shots += len(found) + 1
    assert shots == 32


def test_a_flash_is_no_boundary(tmp_path: Path) -> None:
    source = "testsrc=s=160x90:r=25:d=3,drawbox=c=white:t=fill:enable='between(n,30,31)'"
    ffmpeg("-f", "lavfi", "-i", source, tmp_path / "flash.mp4")
    assert of_file(tmp_path / "flash.mp4") == []


def test_shots_are_never_too_short(tmp_path: Path) -> None:
    """Colours that change every fifth of a second are merged into shots of the minimum length."""
    source = "color=red:s=160x90:r=25:d=4,hue=h='90*floor(t*5)'"
    ffmpeg("-f", "lavfi", "-i", source, tmp_path / "strobe.mp4")
    found = of_file(tmp_path / "strobe.mp4", "adaptive")
    assert found
    assert all(b - a >= MINIMUM_SHOT for a, b in pairwise([Fraction(0), *found]))
