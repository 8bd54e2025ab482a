"""What is measured of a shot: its frames, cosines, gates, and its likeness to footage."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from generate.gates import check_take, grey_frame, measure_frames, measure_take
from index.encoders.registry import load_encoder
from montage.fidelity import against_footage, likeness, psnr, ssim
from montage.made import MadeShot, made_shots, shown_frames
from montage.scoring import score_shots, spread_pairs
from montage.values import MontageError
from tests.montage.evaluationlab import (
    BLUE,
    GREEN,
    RED,
    ColourEncoder,
    cosine,
    film,
    painted,
    plain,
    take,
    textured,
    write,
)
from tests.montage.filmlab import counter_frame

NTSC = Fraction(30000, 1001)


def test_a_film_names_its_shots_and_their_frames_are_found_exactly(tmp_path: Path) -> None:
    # Marks are rounded to a thousandth of a second; two thirds of these shots begin off it.
    shots = [
        (RED, 7, ""),
        (GREEN, 11, "green"),
        (BLUE, 20, ""),
        (RED, 13, "red and green"),
        (GREEN, 5, "green"),
    ]
    made = made_shots(film(tmp_path / "film.mp4", shots, NTSC))
    assert [(shot.sentence, shot.prompt, shot.model) for shot in made] == [
        (2, "green", "m"),
        (4, "red and green", "m"),
        (5, "green", "m"),
    ]
    scores, problems = score_shots(made, ColourEncoder())
    assert problems == []
    assert [score.frames for score in scores] == [11, 13, 5]
    assert [score.encoded for score in scores] == [11, 13, 5]
    near = {"abs": 0.02}
    assert [score.clipsim for score in scores] == [
        pytest.approx(cosine(GREEN, (0, 1, 0)), **near),
        pytest.approx(cosine(RED, (1, 1, 0)), **near),
        pytest.approx(cosine(GREEN, (0, 1, 0)), **near),
    ]
    assert all(score.consistency == pytest.approx(1, abs=1e-3) for score in scores)
    assert [score.neighbours for score in scores] == [
        pytest.approx((cosine(RED, GREEN) + cosine(GREEN, BLUE)) / 2, **near),
        pytest.approx((cosine(BLUE, RED) + cosine(RED, GREEN)) / 2, **near),
        pytest.approx(cosine(RED, GREEN), **near),  # the film ends with it
    ]
    assert all(score.refused and "flat" in score.refused[0] for score in scores)


def test_the_frames_around_a_shot_far_into_a_film(tmp_path: Path) -> None:
    path = write(
        tmp_path / "long.mp4", [counter_frame(number, 160, 90) for number in range(90)], size=(160, 90)
    )
    shot = MadeShot(name="far", path=path, start=Fraction("2.4"), seconds=Fraction("0.2"))
    shown = list(shown_frames(shot))
    assert [one.place for one in shown] == ["before", *["within"] * 5, "after"]
    assert [one.frame.time for one in shown] == [Fraction(number, 25) for number in range(59, 66)]


def test_frame_consistency_is_of_neighbours_only(tmp_path: Path) -> None:
    frames = [plain(RED)] * 6 + [plain(BLUE)] * 6
    path = take(tmp_path / "take.mp4", frames, "red")
    (score,), _ = score_shots(made_shots(path), ColourEncoder())
    assert score.consistency == pytest.approx((10 + cosine(RED, BLUE)) / 11, abs=0.01)
    assert score.clipsim == pytest.approx((cosine(RED, (1, 0, 0)) + cosine(BLUE, (1, 0, 0))) / 2, abs=0.01)
    assert score.neighbours is None
    # Of two pairs none spans the change.
    (some,), _ = score_shots(made_shots(path), ColourEncoder(), most=4)
    assert some.encoded == 4
    assert some.consistency == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("count", [2, 5, 12, 100, 101])
@pytest.mark.parametrize("most", [2, 4, 7, 16])
def test_frames_are_left_out_in_pairs(count: int, most: int) -> None:
    taken = spread_pairs(count, most)
    assert taken <= set(range(count))
    if count <= most:
        assert len(taken) == count
        return
    assert len(taken) == most // 2 * 2
    assert all(number + 1 in taken or number - 1 in taken for number in taken)
    assert most < 4 or {0, count - 1} <= taken
    with pytest.raises(ValueError, match="pair"):
        spread_pairs(count, 1)


def test_a_picture_that_shows_the_prompt_scores_higher(sample_library: Path) -> None:
    prompts = ("A cat looks into the camera.", "A storm over a road in the mountains.")
    shots = [
        MadeShot(name=prompt, path=sample_library / "tabby-cat.mp4", prompt=prompt) for prompt in prompts
    ]
    (right, wrong), _ = score_shots(shots, load_encoder("embedded"), most=4)
    assert right.clipsim is not None
    assert wrong.clipsim is not None
    assert right.clipsim > wrong.clipsim + 0.1
    assert right.consistency is not None
    assert right.consistency > 0.9
    assert right.refused == ()


def test_the_gates_see_a_take_as_they_see_its_file(tmp_path: Path, sample_library: Path) -> None:
    path = sample_library / "tabby-cat.mp4"
    shot = MadeShot(name="cat", path=path)
    greys = [grey_frame(shown.frame.source) for shown in shown_frames(shot)]
    assert measure_frames(greys) == measure_take(path)
    noise = np.random.default_rng(3).integers(0, 256, (12, 64, 96, 3), dtype=np.uint8)
    made = take(tmp_path / "noise.mp4", noise, "red")
    (score,), _ = score_shots(made_shots(made), ColourEncoder())
    assert score.refused == check_take(made)
    assert any("incoherent" in reason for reason in check_take(made))
    with pytest.raises(ValueError, match="no frames"):
        measure_frames([])


def test_a_take_is_known_by_its_marks_and_its_record(tmp_path: Path) -> None:
    long = "red " * 900  # more than a container keeps
    painted(tmp_path, long, RED, "restyle", seed=4)
    take(tmp_path / "marked.mp4", [plain(GREEN)] * 3, "green", model="other", seed=-2)
    (tmp_path / "being-written.part.mp4").write_bytes(b"nothing yet")
    (tmp_path / "marked.json").write_text("[]")  # no record of ours
    shots = {shot.model: shot for shot in made_shots(tmp_path)}
    assert shots.keys() == {"painter", "other"}
    assert (shots["painter"].prompt, shots["painter"].strategy, shots["painter"].seed) == (long, "restyle", 4)
    assert (shots["other"].prompt, shots["other"].strategy, shots["other"].seed) == ("green", "", -2)


def test_what_has_no_shot_is_named(tmp_path: Path) -> None:
    with pytest.raises(MontageError, match="there is no"):
        made_shots(tmp_path / "missing.mp4")
    with pytest.raises(MontageError, match="no video in"):
        made_shots(tmp_path)
    with pytest.raises(MontageError, match="no generated shot"):
        made_shots(write(tmp_path / "film.mp4", [plain(RED)] * 2, marks={"film": "1"}))
    damaged = write(tmp_path / "damaged.mp4", [plain(RED)] * 2, marks={"generated": '[{"sentence": 1}]'})
    with pytest.raises(MontageError, match="damaged"):
        made_shots(damaged)


def test_a_shot_past_the_end_of_its_film_is_a_problem_and_not_the_end(tmp_path: Path) -> None:
    path = take(tmp_path / "take.mp4", [plain(RED)] * 4, "red")
    shots = [MadeShot(name="gone", path=path, start=Fraction(9), seconds=Fraction(1)), *made_shots(path)]
    scores, problems = score_shots(shots, ColourEncoder())
    assert [score.shot.name for score in scores] == ["take.mp4"]
    assert [problem.path for problem in problems] == [path]
    assert "gone" in problems[0].reason


# -- PSNR and SSIM -------------------------------------------------------------------------------------------


def pictures() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Noise, a slope, and the slope with noise on it."""
    draw = np.random.default_rng(7)
    noise = draw.integers(0, 256, (48, 64), dtype=np.uint8)
    y, x = np.mgrid[0:48, 0:64]
    slope = (x * 3 + y * 2).astype(np.uint8)
    noisy = np.clip(slope.astype(int) + draw.integers(-20, 21, (48, 64)), 0, 255).astype(np.uint8)
    return noise, slope, noisy


def ssim_by_definition(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Wang et al., 2004, section III, window by window."""
    steps = np.arange(-5, 6)
    weights = np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * 1.5**2))
    weights /= weights.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for row in range(first.shape[0] - 10):
        for column in range(first.shape[1] - 10):
            x = first[row : row + 11, column : column + 11].astype(float)
            y = second[row : row + 11, column : column + 11].astype(float)
            mx, my = (weights * x).sum(), (weights * y).sum()
            vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
            vxy = (weights * (x - mx) * (y - my)).sum()
            values.append((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return float(np.mean(values))


def test_ssim_and_psnr_are_those_of_their_definition() -> None:
    noise, slope, noisy = pictures()
    for first, second in ((noise, noisy), (slope, noisy)):
        assert ssim(first, second) == pytest.approx(ssim_by_definition(first, second), abs=1e-10)
        assert ssim(first, second) == pytest.approx(ssim(second, first), abs=1e-12)
    # structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255) and
    # peak_signal_noise_ratio of scikit-image 0.26 give the same.
    assert ssim(noise, noisy) == pytest.approx(0.0030320013299799556, abs=1e-12)
    assert ssim(slope, noisy) == pytest.approx(0.4774602389294924, abs=1e-12)
    assert psnr(noise, noisy) == pytest.approx(8.315796988528184, abs=1e-12)
    assert psnr(slope, noisy) == pytest.approx(26.84621980839193, abs=1e-12)
    assert ssim(slope, slope) == pytest.approx(1, abs=1e-12)
    assert psnr(slope, slope) == math.inf
    assert psnr(np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8)) == 0
    with pytest.raises(ValueError, match="one size"):
        psnr(slope, slope[1:])
    with pytest.raises(ValueError, match="11 pixels"):
        ssim(slope[:10], slope[:10])


def test_likeness_compares_what_is_shown_at_the_same_time(tmp_path: Path) -> None:
    size = (160, 90)
    footage = write(
        tmp_path / "footage.mp4",
        [counter_frame(number, *size) for number in range(40)],
        size=size,
        fps=Fraction(50),
    )
    same = write(tmp_path / "same.mp4", [counter_frame(2 * n, *size) for n in range(20)], size=size)
    late = write(tmp_path / "late.mp4", [counter_frame(2 * n + 1, *size) for n in range(20)], size=size)
    longer = write(
        tmp_path / "longer.mp4",
        [counter_frame(2 * n, *size) if n < 20 else plain(RED, size) for n in range(26)],
        size=size,
    )
    (shot,), (other,), (long,), (reference,) = map(made_shots, (same, late, longer, footage))
    assert likeness(reference, reference) == (math.inf, pytest.approx(1))
    decibel, like = likeness(shot, reference)
    assert decibel > 35
    assert like > 0.98
    assert likeness(other, reference)[0] < 25
    # Footage that ends earlier ends the comparison: what comes after is red, and would show.
    assert likeness(long, reference)[0] > 35


def test_likeness_fits_footage_of_another_size(tmp_path: Path) -> None:
    tall = (96, 128)  # its middle half is what a film of 96x64 shows
    frames = []
    for number in range(5):
        frame = plain(BLUE, tall)
        frame[32:96] = textured(number)
        frames.append(frame)
    footage = write(tmp_path / "footage.mp4", frames, size=tall)
    made = write(tmp_path / "take.mp4", [textured(number) for number in range(5)])
    brighter = write(tmp_path / "bright.mp4", [textured(number) + np.uint8(5) for number in range(5)])
    (shot,), (light,), (reference,) = map(made_shots, (made, brighter, footage))
    assert likeness(shot, reference)[0] > 33
    (plain_reference,) = made_shots(made)
    # Five levels lighter all over: 10 log10(255^2 / 25) dB, up to what encoding loses.
    assert likeness(light, plain_reference)[0] == pytest.approx(10 * math.log10(255**2 / 25), abs=0.7)


def test_restyled_takes_are_held_against_their_footage(tmp_path: Path) -> None:
    folder, footage = tmp_path / "takes", tmp_path / "footage"
    restyled = painted(folder, "red", RED, "restyle", seed=1)
    painted(folder, "red", RED, "direct", seed=2)
    painted(folder, "red", RED, "restyle", seed=3)
    footage.mkdir()
    write(footage / restyled.path.name, [textured(number, GREEN) for number in range(12)])
    scores, _ = score_shots(made_shots(folder), ColourEncoder())
    told, problems, notes = against_footage(scores, footage)
    assert problems == []
    compared = {score.shot.seed: score.psnr is not None and score.ssim is not None for score in told}
    assert compared == {1: True, 2: False, 3: False}
    assert "1 of 3 compared" in notes[0]
    assert "1 were not made by restyle; 1 have no file" in notes[0]
    told, _, _ = against_footage(scores, footage / restyled.path.name)
    assert {score.shot.seed: score.psnr is not None for score in told} == {1: True, 2: False, 3: True}
    with pytest.raises(MontageError, match="there is no"):
        against_footage(scores, tmp_path / "missing")
