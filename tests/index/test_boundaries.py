from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from making import ffmpeg

from index.base import FootageError
from index.boundaries import DETECTORS, MINIMUM_SHOT, Detector, make_detector
from index.decode import Decoding

CLIPS = ("yoga", "dog", "candles", "goat", "libby", "flower", "ice-cream", "beach")
SHAPE = "scale=320:180:force_original_aspect_ratio=increase,crop=320:180,fps=24,setsar=1,format=yuv420p"


def boundaries(path: Path, name: str = "fast") -> list[Fraction]:
    detector = make_detector(name)
    found = []
    for frame in Decoding(path):
        new = detector.push(frame.time, frame.image)
        assert all(frame.time - detector.lag <= time for time in new)
        found += new
    return found + detector.finish()


def joined(footage: Path, path: Path, kind: str) -> list[tuple[float, float]]:
    """Eight real clips joined by cuts, or by transitions of 0.6 s; when each change begins and ends."""
    inputs, graph = [], []
    for number, name in enumerate(CLIPS):
        inputs += ["-i", footage / "clips" / f"{name}.mp4"]
        graph.append(f"[{number}:v]trim=0:1.75,setpts=PTS-STARTPTS,{SHAPE}[v{number}]")
    changes = []
    if kind == "cut":
        graph.append("".join(f"[v{n}]" for n in range(len(CLIPS))) + f"concat=n={len(CLIPS)}[out]")
        changes = [(1.75 * n, 1.75 * n) for n in range(1, len(CLIPS))]
    else:
        last, offset = "v0", 0.0
        for number in range(1, len(CLIPS)):
            offset += 1.75 - 0.6
            name = "out" if number == len(CLIPS) - 1 else f"x{number}"
            graph.append(
                f"[{last}][v{number}]xfade=transition={kind}:duration=0.6:offset={offset:.3f}[{name}]"
            )
            changes.append((offset, offset + 0.6))
            last = name
    ffmpeg(*inputs, "-filter_complex", ";".join(graph), "-map", "[out]", "-preset", "ultrafast", path)
    return changes


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_follows_the_protocol(name: str) -> None:
    assert isinstance(make_detector(name), Detector)


def test_an_unknown_detector_is_refused() -> None:
    with pytest.raises(FootageError, match="fast, content, adaptive"):
        make_detector("slow")


def test_annotated_cuts_of_a_film(footage: Path) -> None:
    truth = [
        int(line)
        for line in (footage / "truth/big-buck-bunny-480p.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    found = [round(time * 24) for time in boundaries(footage / "films/big-buck-bunny-480p.mp4")]
    after_the_fade_in = [frame for frame in found if frame > 72]
    assert len(after_the_fade_in) == len(truth)
    assert all(abs(a - b) <= 2 for a, b in zip(after_the_fade_in, truth, strict=True))


def test_hard_cuts_are_found_to_the_frame(footage: Path, tmp_path: Path) -> None:
    changes = joined(footage, tmp_path / "cuts.mp4", "cut")
    assert boundaries(tmp_path / "cuts.mp4") == [Fraction(start) for start, _ in changes]


def test_fades_through_black_are_found_and_dissolves_invent_nothing(footage: Path, tmp_path: Path) -> None:
    for kind, least in (("fadeblack", 7), ("fade", 2)):
        changes = joined(footage, tmp_path / f"{kind}.mp4", kind)
        found = boundaries(tmp_path / f"{kind}.mp4")
        hits = [any(start - 0.1 <= time <= end + 0.1 for time in found) for start, end in changes]
        assert sum(hits) >= least
        assert all(any(start - 0.1 <= time <= end + 0.1 for start, end in changes) for time in found)


def test_single_takes_have_no_boundaries(footage: Path) -> None:
    for name in ("soapbox", "parkour", "bmx-trees", "drift-chicane", "red-haired-woman"):
        assert boundaries(footage / "clips" / f"{name}.mp4") == []


def test_a_flash_is_no_boundary(tmp_path: Path) -> None:
    source = "testsrc=s=160x90:r=25:d=3,drawbox=c=white:t=fill:enable='between(n,30,31)'"
    ffmpeg("-f", "lavfi", "-i", source, tmp_path / "flash.mp4")
    assert boundaries(tmp_path / "flash.mp4") == []


def test_shots_are_never_too_short(tmp_path: Path) -> None:
    """Colours that change every fifth of a second are merged into shots of the minimum length."""
    source = "color=red:s=160x90:r=25:d=4,hue=h='90*floor(t*5)'"
    ffmpeg("-f", "lavfi", "-i", source, tmp_path / "strobe.mp4")
    found = boundaries(tmp_path / "strobe.mp4", "adaptive")
    assert all(b - a >= MINIMUM_SHOT for a, b in pairwise([Fraction(0), *found]))
