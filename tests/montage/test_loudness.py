"""Setting sound to a loudness: true peaks, holding them back, what coding changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from filmlab import row_of, samples
from numpy.typing import NDArray
from soundlab import filmed, measure_loudness, time, tone

from montage.cache import Cache
from montage.loudness import Levelled, Loudness
from montage.metering import hear_sound
from montage.peaks import true_peaks
from montage.sound import mix_sound
from montage.timeline import SAMPLE_RATE

AAC, OPUS = ("-c:a", "aac", "-b:a", "192k"), ("-c:a", "libopus", "-b:a", "160k")


def stereo(sound: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.repeat(np.asarray(sound, np.float32)[:, None], 2, axis=1)


def bursts(seconds: float, quiet: float) -> NDArray[np.float64]:
    """Noise in which a tenth is far louder than the rest."""
    rng = np.random.default_rng(4)
    at = time(seconds)
    return (quiet + 0.3 * (at % 1 < 0.1)) * rng.standard_normal(len(at))


def test_peaks_between_samples_are_seen() -> None:
    # A quarter of the sample rate at 45 degrees: no sample lies where the wave is highest.
    sound = stereo(0.5 * np.sin(np.pi / 2 * np.arange(SAMPLE_RATE) + np.pi / 4))
    assert np.abs(sound).max() < 0.36
    peaks = true_peaks(sound, 0.1)
    assert len(peaks) == 1000
    assert np.allclose(peaks[2:-2], 0.5, atol=0.005)
    assert np.allclose(true_peaks(sound, 0.4), np.abs(sound).max())  # not looked at where all is quieter
    assert len(true_peaks(sound[:1001], 0.1)) == 21
    assert true_peaks(sound[:5], 0.1).shape == (1,)


@pytest.mark.parametrize("target", [-14.0, -16.0, -23.0])
def test_peaks_are_held_back_and_the_rest_is_on_target(target: float, tmp_path: Path) -> None:
    mix, result = tmp_path / "mix.f32", tmp_path / "result.f32"
    sound = stereo(bursts(20, 0.05))
    sound.tofile(mix)
    loudness = Levelled(mix, result, target).level()
    lufs, peak = measure_loudness(result, raw=True)
    assert lufs == pytest.approx(target, abs=0.3)
    assert peak <= -1.4
    assert loudness.on_target
    assert loudness.limited == (target > -20)
    assert loudness.lufs == pytest.approx(lufs, abs=0.06)  # ffmpeg tells tenths
    heard = np.fromfile(result, np.float32).reshape(-1, 2)
    assert heard.shape == sound.shape
    # Gains move smoothly and are never above the one of the quiet parts.
    gains = (heard / np.where(np.abs(sound) > 0.01, sound, np.inf)).reshape(-1, 480, 2).max(axis=(1, 2))
    assert gains.max() <= gains[30:90].max() * 1.001


def test_the_limiter_is_back_within_half_a_second(tmp_path: Path) -> None:
    sound = stereo(tone(4, 500, 0.2))
    sound[SAMPLE_RATE : SAMPLE_RATE + 480] *= 4
    mix, result = tmp_path / "mix.f32", tmp_path / "result.f32"
    sound.tofile(mix)
    assert Levelled(mix, result, -14).level().limited
    heard = np.fromfile(result, np.float32).reshape(-1, 2)[:, 0]
    steady = np.abs(heard[: SAMPLE_RATE // 2]).max()
    assert np.abs(heard[round(1.5 * SAMPLE_RATE) :]).max() == pytest.approx(steady, rel=0.01)
    assert np.abs(heard[round(0.9 * SAMPLE_RATE) : round(0.98 * SAMPLE_RATE)]).max() == pytest.approx(
        steady, rel=0.01
    )
    assert np.abs(heard).max() <= 10 ** (-1.4 / 20)


@pytest.mark.parametrize("coder", [AAC, OPUS])
def test_what_coding_takes_away_is_made_up_for(coder: tuple[str, ...], tmp_path: Path) -> None:
    """Coding drops the highest part of noise, which is 1 LU of white noise, and adds peaks of its own."""
    source = filmed(tmp_path / "noise.mov", bursts(12, 0.03))
    suffix = ".mp4" if coder is AAC else ".webm"
    mix = mix_sound(row_of([(source, 250, "1")]), Cache(tmp_path / "c"), coder=coder, suffix=suffix)
    lufs, peak = measure_loudness(mix.path)
    assert Loudness(lufs=lufs, peak=peak).on_target
    assert mix.loudness.on_target
    heard = hear_sound(mix.path)
    assert heard.lufs == lufs
    assert heard.peak == pytest.approx(peak, abs=0.1)


def test_short_peaks_far_above_the_rest_stay_below_the_ceiling(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    at = time(12)
    sound = 0.01 * rng.standard_normal(len(at)) + (at % 0.5 < 0.002) * 0.3 * rng.standard_normal(len(at))
    source = filmed(tmp_path / "spikes.mov", sound)
    mix = mix_sound(row_of([(source, 250, "1")]), Cache(tmp_path / "c"), coder=AAC)
    _, peak = measure_loudness(mix.path)
    assert peak <= -1
    assert not mix.loudness.on_target
    assert mix.loudness.why == "short peaks stand too far above the rest"
    assert abs(len(samples(mix.path)) - 10 * SAMPLE_RATE) <= 1024


def test_loudness_says_whether_it_is_on_target() -> None:
    assert Loudness(lufs=None, peak=None).on_target
    assert str(Loudness(lufs=None, peak=None)) == "silent"
    good = Loudness(lufs=-22.6, peak=-1.0, target=-23)
    assert good.on_target
    assert good.why == ""
    assert str(good) == "-22.6 LUFS, true peak -1.0 dBTP, for -23 LUFS"
    assert not Loudness(lufs=-14.6, peak=-2.0).on_target
    assert not Loudness(lufs=-14.0, peak=-0.9).on_target
    assert "noise" in Loudness(lufs=-30, peak=-20, gain=24).why
