"""The colours and the grain of a take beside its neighbours."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from generate.finish import write_video
from generate.matching import GAINS, MOST_GRAIN, MOST_SHIFT, STRENGTH, colour_fit, grain_of, missing_grain

SIZE = (320, 180)
"""Width and height in pixels; six steps of the fit's samples, so that sampling changes little."""


def patches(middle: tuple[float, ...], spread: tuple[float, ...], seed: int) -> np.ndarray:
    """A frame of even patches whose colours have a mean and a standard deviation in each channel."""
    drawn = np.random.default_rng(seed).normal(size=(9, 16, 3))
    drawn = (drawn - drawn.mean((0, 1))) / drawn.std((0, 1))
    # No channel tells of another, so that the spread of one is stretched by its own gain.
    flat = np.linalg.qr(drawn.reshape(-1, 3))[0]
    flat = (flat - flat.mean(0)) / flat.std(0)
    frame = flat.reshape(9, 16, 3) * spread + middle
    return np.clip(frame.repeat(20, 0).repeat(20, 1) + 0.5, 0, 255).astype(np.uint8)


def smooth(seed: int = 0) -> np.ndarray:
    """A frame without grain: slow waves of colour."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    waves = [90 + 60 * np.sin(x / 40 + seed), 70 + 80 * y / SIZE[1], 120 + 50 * np.cos((x + y) / 50)]
    return np.stack(waves, -1).astype(np.uint8)


def grainy(sigma: float, seed: int = 0) -> np.ndarray:
    """The same with noise of a known standard deviation in its brightness."""
    noise = np.random.default_rng(seed).normal(0, sigma, (SIZE[1], SIZE[0], 1))
    return np.clip(smooth() + noise + 0.5, 0, 255).astype(np.uint8)


def spread_of(frame: np.ndarray) -> np.ndarray:
    return frame.reshape(-1, 3).astype(float).std(axis=0)


def mean_of(frame: np.ndarray) -> np.ndarray:
    return frame.reshape(-1, 3).astype(float).mean(axis=0)


TAKE = patches((100, 110, 125), (24, 30, 20), 1)
BESIDE = patches((120, 100, 110), (30, 27, 26), 2)


def test_whole_strength_gives_the_neighbours_mean_and_covariance() -> None:
    made = colour_fit([TAKE], [BESIDE], 1.0)(TAKE)
    assert mean_of(made) == pytest.approx(mean_of(BESIDE), abs=1)
    wanted, found = (np.cov(frame.reshape(-1, 3).astype(float).T) for frame in (BESIDE, made))
    assert np.abs(wanted - found).max() < 0.05 * np.abs(wanted).max()


def test_mean_and_spread_go_the_strengths_part_of_the_way() -> None:
    made = colour_fit([TAKE], [BESIDE])(TAKE)
    for measure in (mean_of, spread_of):
        part = (measure(made) - measure(TAKE)) / (measure(BESIDE) - measure(TAKE))
        assert part == pytest.approx([STRENGTH] * 3, abs=0.08)


def test_colours_between_the_two_neighbours_are_aimed_at() -> None:
    other = patches((60, 90, 150), (30, 27, 26), 3)
    made = colour_fit([TAKE], [BESIDE, other], 1.0)(TAKE)
    assert mean_of(made) == pytest.approx((mean_of(BESIDE) + mean_of(other)) / 2, abs=1)


def test_one_map_for_every_frame_so_nothing_flickers() -> None:
    frames = [np.clip(TAKE.astype(int) + 3 * place, 0, 255).astype(np.uint8) for place in range(12)]
    fit = colour_fit(frames, [BESIDE])
    together = fit(np.concatenate(frames))
    for place, frame in enumerate(frames):
        height = frame.shape[0]
        assert (fit(frame) == together[place * height : (place + 1) * height]).all()
    steps = np.diff([mean_of(fit(frame)).mean() for frame in frames])
    assert steps.std() < 0.1 * steps.mean()


def test_gains_are_bounded() -> None:
    dull = patches((128, 128, 128), (5, 5, 5), 4)
    strong = patches((128, 128, 128), (40, 40, 40), 5)
    stretched = spread_of(colour_fit([dull], [strong], 1.0)(dull)) / spread_of(dull)
    shrunk = spread_of(colour_fit([strong], [dull], 1.0)(strong)) / spread_of(strong)
    assert stretched == pytest.approx([GAINS[1]] * 3, rel=0.06)
    assert shrunk == pytest.approx([GAINS[0]] * 3, rel=0.06)


def test_without_neighbours_nothing_changes() -> None:
    assert (colour_fit([TAKE], [])(TAKE) == TAKE).all()
    assert (colour_fit([TAKE], [BESIDE], 0)(TAKE) == TAKE).all()
    assert missing_grain([smooth()], [], SIZE) == 0


def test_a_take_of_one_colour_is_moved_and_stays_one_colour() -> None:
    flat = np.full((SIZE[1], SIZE[0], 3), (130, 85, 100), np.uint8)
    made = colour_fit([flat], [BESIDE], 1.0)(flat)
    assert np.ptp(made.reshape(-1, 3), axis=0).max() == 0
    assert mean_of(made) == pytest.approx(mean_of(BESIDE), abs=1)


def test_colours_are_moved_in_bounds() -> None:
    far = patches((220, 30, 120), (30, 27, 26), 6)
    moved = mean_of(colour_fit([TAKE], [far], 1.0)(TAKE)) - mean_of(TAKE)
    wanted = mean_of(far) - mean_of(TAKE)
    assert moved == pytest.approx(wanted * MOST_SHIFT / np.abs(wanted).max(), abs=1)


@pytest.mark.parametrize("sigma", [1, 2, 4, 8])
def test_grain_is_measured(sigma: float) -> None:
    found = [grain_of(grainy(sigma, seed)) for seed in range(3)]
    assert found == pytest.approx([sigma] * 3, rel=0.15)


def test_edges_and_gradients_are_no_grain() -> None:
    assert grain_of(smooth()) < 0.4
    bars = np.zeros((180, 320, 3), np.uint8)
    bars[:, 160:] = 255
    assert grain_of(bars) < 0.1
    assert grain_of(grainy(4)[:10, :10]) == pytest.approx(4, rel=0.5)


def test_grain_that_is_there_is_not_added_again() -> None:
    assert missing_grain([grainy(4)], [grainy(4, 1)], SIZE) < 1
    assert missing_grain([grainy(6)], [grainy(2, 1)], SIZE) == 0
    assert missing_grain([grainy(3)], [grainy(5, 1)], SIZE) == pytest.approx(4, rel=0.15)
    assert missing_grain([smooth()], [grainy(20)], SIZE) == MOST_GRAIN


def finished(path: Path, grain: float, seed: int = 0) -> list[np.ndarray]:
    write_video(
        [smooth()] * 6, path, source_size=SIZE, source_fps=Fraction(25), size=SIZE, fps=Fraction(25), count=6,
        marks={}, grain=grain, seed=seed,
    )  # fmt: skip
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("sigma", [2, 3.5, 6])
def test_the_finished_take_has_the_grain_of_its_neighbours(sigma: float, tmp_path: Path) -> None:
    beside = [grainy(sigma, 1), grainy(sigma, 2)]
    frames = finished(tmp_path / "take.mp4", missing_grain([smooth()], beside, SIZE))
    wanted = np.mean([grain_of(frame) for frame in beside])
    for frame in frames:
        assert grain_of(frame) == pytest.approx(wanted, rel=0.2)
    # Grain moves, and does not change the brightness.
    assert np.abs(frames[2].astype(int) - frames[3]).mean() > 0.7 * sigma
    clean = finished(tmp_path / "clean.mp4", 0)
    assert abs(frames[2].mean() - clean[2].mean()) < 0.3


def test_grain_is_drawn_by_the_seed(tmp_path: Path) -> None:
    first, again = finished(tmp_path / "a.mp4", 3, 5), finished(tmp_path / "b.mp4", 3, 5)
    other = finished(tmp_path / "c.mp4", 3, 6)
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(first, again, strict=True)) < 0.3
    assert np.abs(first[2].astype(int) - other[2]).mean() > 1
