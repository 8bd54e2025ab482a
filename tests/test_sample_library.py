"""The sample library keeps what its truth.json, CREDITS.md and scripts promise."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from index.values import CAMERA_MOVES
from montage.script import read_script
from tests.conftest import REPOSITORY

LIBRARY = REPOSITORY / "sample_library"
TRUTH = json.loads((LIBRARY / "truth.json").read_text(encoding="utf-8"))
NAMES = sorted(TRUTH)
SCRIPTS = {"script.txt": (10, "en"), "script-zh.txt": (8, "zh"), "script-gaps.txt": (6, "en")}


@dataclass(frozen=True)
class Decoded:
    grey: np.ndarray
    """(frames, height, 160), float32, 0 to 1."""
    times: list[Fraction]
    rate: Fraction
    size: tuple[int, int]
    borders: list[float]
    """For a frame in ten: the largest step in mean brightness from an outer line to the third one inwards."""


@cache
def decoded(name: str) -> Decoded:
    grey, times, borders = [], [], []
    with av.open(str(LIBRARY / name)) as container:
        stream = container.streams.video[0]
        for number, frame in enumerate(container.decode(stream)):
            full = frame.to_ndarray(format="gray").astype(np.float32) / 255
            height = round(160 * full.shape[0] / full.shape[1])
            grey.append(cv2.resize(full, (160, height), interpolation=cv2.INTER_AREA))
            times.append(frame.pts * frame.time_base)
            if number % 10 == 0:
                lines = (
                    (full[0], full[3]),
                    (full[-1], full[-4]),
                    (full[:, 0], full[:, 3]),
                    (full[:, -1], full[:, -4]),
                )
                borders.append(max(abs(float(a.mean() - b.mean())) for a, b in lines))
        size = (stream.width, stream.height)
        return Decoded(np.stack(grey), times, stream.average_rate, size, borders)


def camera(grey: np.ndarray, step: int = 5) -> np.ndarray:
    """How the picture moved over a shot: (steps, 3): right and down in frame widths, and log growth."""
    height, width = grey.shape[1:]
    middle = np.array([width / 2, height / 2])
    found = []
    for before, after in pairwise(grey[::step]):
        warp = np.eye(2, 3, dtype=np.float32)
        stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 60, 1e-5)
        _, warp = cv2.findTransformECC(before, after, warp, cv2.MOTION_AFFINE, stop, None, 5)
        right, down = (warp[:, :2] @ middle + warp[:, 2] - middle) / width
        found.append((right, down, np.log(np.linalg.det(warp[:, :2])) / 2))
    return np.array(found)


def backdrop(grey: np.ndarray) -> np.ndarray:
    """How the landscape behind the animated rabbit moved: right and down in frame widths.

    Only the upper right corner: the rabbit fills the rest, and its camera drifts as the artists set it.
    """
    corner = np.ascontiguousarray(grey[:, :50, 105:])
    window = cv2.createHanningWindow(corner.shape[:0:-1], cv2.CV_32F)
    pairs = pairwise([*corner[::5], corner[-1]])
    return np.sum([cv2.phaseCorrelate(a, b, window)[0] for a, b in pairs], axis=0) / grey.shape[2]


def clips_here() -> set[str]:
    """The clips, without the films that users render beside the scripts."""
    films = {f"{Path(script).stem}.mp4" for script in SCRIPTS}
    return {path.name for path in LIBRARY.glob("*.mp4")} - films


def test_clips_truth_and_credits_name_the_same_files() -> None:
    rows = [
        line
        for line in (LIBRARY / "CREDITS.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    ]
    credited = {match[1] for line in rows if (match := re.match(r"\| `([^`]+)` \|", line))}
    assert clips_here() == set(NAMES) == credited
    for line in rows:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == 5
        assert all(cells)
        assert re.match(r"CC0 1\.0|CC BY \d\.0|public domain|GPL-2\.0-or-later", cells[3]), cells
    for name in NAMES:
        assert sum(f"`{name}`" in line for line in rows) == len(
            {shot["picture"] for shot in TRUTH[name]["shots"]}
        )


def test_the_library_is_small_and_has_every_kind_of_clip() -> None:
    assert 20 <= len(NAMES) <= 30
    assert sum((LIBRARY / name).stat().st_size for name in NAMES) < 25_000_000
    moves = [shot["move"] for entry in TRUTH.values() for shot in entry["shots"]]
    assert all(moves.count(move) >= 2 for move in CAMERA_MOVES)
    assert {entry["fps"] for entry in TRUTH.values()} >= {"24", "25", "30"}
    assert any(entry["size"][1] > entry["size"][0] for entry in TRUTH.values())
    assert sum(bool(entry["boundaries"]) for entry in TRUTH.values()) >= 3
    assert 2 <= sum(entry["sound"] is None for entry in TRUTH.values()) < len(NAMES) / 2


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_what_truth_says(name: str) -> None:
    entry, clip = TRUTH[name], decoded(name)
    fps = Fraction(entry["fps"])
    assert len(clip.times) == entry["frames"]
    assert 3 <= entry["frames"] / fps < 7
    assert clip.rate == fps
    assert clip.size == tuple(entry["size"])
    assert all(abs(time - number / fps) < Fraction(1, 1000) for number, time in enumerate(clip.times))
    assert max(clip.borders) < 0.1
    starts = [shot["start"] for shot in entry["shots"]]
    assert [0, *(each["frame"] for each in entry["boundaries"])] == starts
    assert [shot["end"] for shot in entry["shots"]] == [*starts[1:], entry["frames"]]
    assert all(Fraction(each["seconds"]) == each["frame"] / fps for each in entry["boundaries"])
    for shot in entry["shots"]:
        assert shot["caption"].endswith(".")
        assert shot["caption_zh"].endswith("。")
        assert len(shot["keywords"]) >= 3
    with av.open(str(LIBRARY / name)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.metadata["artist"]
        assert container.metadata["copyright"]
        assert bool(container.streams.audio) == (entry["sound"] is not None)
        if container.streams.audio:
            blocks = [frame.to_ndarray() for frame in container.decode(audio=0)]
            sound = np.concatenate(blocks, axis=1)
            assert 0.005 < float(np.sqrt((sound**2).mean())) < 0.2
            assert float(np.abs(sound).max()) < 1


@pytest.mark.parametrize("name", [name for name in NAMES if TRUTH[name]["boundaries"]])
def test_boundaries_are_real_and_there_are_no_others(name: str) -> None:
    steps = np.abs(np.diff(decoded(name).grey, axis=0)).mean(axis=(1, 2))
    cuts = [each["frame"] - 1 for each in TRUTH[name]["boundaries"]]
    others = np.delete(steps, cuts)
    assert all(steps[cut] > 5 * np.percentile(others, 95) for cut in cuts)
    assert all(steps[cut] > 2 * others.max() for cut in cuts)


@pytest.mark.parametrize("name", NAMES)
def test_the_camera_moves_as_truth_says(name: str) -> None:
    fps = float(Fraction(TRUTH[name]["fps"]))
    for shot in TRUTH[name]["shots"]:
        grey = decoded(name).grey[shot["start"] : shot["end"]]
        assert (np.abs(np.diff(grey, axis=0)).max(axis=(1, 2)) > 0).mean() > 0.9, "a frozen picture"
        if shot["picture"] == "rabbit":
            _, down = backdrop(grey)
            assert down > 0.02 if shot["move"] == "tilt-up" else abs(down) < 0.005
            continue
        steps = camera(grey)
        right, down, growth = steps.sum(axis=0)
        if shot["move"].startswith(("pan", "tilt")):
            # The camera turns right: the picture moves left.
            along = {"pan-left": right, "pan-right": -right, "tilt-up": down, "tilt-down": -down}[
                shot["move"]
            ]
            across = down if shot["move"].startswith("pan") else right
            assert along > 0.06
            assert along > 4 * abs(across)
            assert abs(growth) < 0.05
        elif shot["move"].startswith("zoom"):
            assert (growth if shot["move"] == "zoom-in" else -growth) > 0.15
        else:
            travelled = np.hypot(steps[:, 0], steps[:, 1]).sum() / (len(grey) / fps)
            assert max(abs(right), abs(down), abs(growth)) < 0.06
            assert travelled > 0.02 if shot["move"] == "handheld" else travelled < 0.01


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_the_scripts_read(name: str) -> None:
    count, language = SCRIPTS[name]
    text = (LIBRARY / name).read_bytes().decode("utf-8")
    assert text.startswith("# ")
    assert "\n// " in text
    script = read_script(LIBRARY / name)
    assert len(script.sentences) == count
    assert {sentence.language for sentence in script.sentences} == {language}
    holds = [sentence.directives.hold for sentence in script.sentences if sentence.directives.hold]
    assert bool(holds) == (name != "script-gaps.txt")


def test_everything_made_is_described(sample_library: Path) -> None:
    readme = (sample_library / "README.md").read_text(encoding="utf-8")
    for name in (*SCRIPTS, "truth.json", "make_clips.py", "clip_table.py", "CREDITS.md"):
        assert name in readme
        assert (sample_library / name).is_file()
    assert "GNU GENERAL PUBLIC LICENSE" in (sample_library / "COPYING.GPL-2").read_text(encoding="utf-8")
