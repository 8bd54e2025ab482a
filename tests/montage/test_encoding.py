"""Sound that was encoded in stretches is the sound that was encoded whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from filmlab import samples
from numpy.typing import NDArray

from montage.cache import Cache
from montage.encoding import FRAME, STRETCH, encode_sound
from montage.formats import AAC
from montage.process import as_input, run_ffmpeg
from montage.timeline import SAMPLE_RATE

LENGTH = 75 * SAMPLE_RATE + 417


@pytest.fixture(scope="module")
def sound() -> NDArray[np.float32]:
    """Chords that swell and fade, with noise and some quiet."""
    time = np.arange(LENGTH) / SAMPLE_RATE
    rng = np.random.default_rng(5)
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * 0.11 * time)
    chord = sum(np.sin(2 * np.pi * pitch * time) for pitch in (220, 277.2, 329.6)) / 3
    left = 0.4 * swell * chord + 0.02 * rng.standard_normal(LENGTH)
    right = 0.4 * swell * np.roll(chord, 300) + 0.02 * rng.standard_normal(LENGTH)
    return np.stack([left, right], axis=1).astype(np.float32)


def encoded(sound: NDArray[np.float32], cache: Cache, name: str) -> Path:
    raw = cache.folder / "raw.f32"
    sound.tofile(raw)
    output = cache.folder / name
    encode_sound(raw, output, AAC, cache, workers=2)
    return output


def residual(path: Path, sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """Root mean square of what coding changed, frame by frame."""
    heard = samples(path)[: len(sound)]
    apart = (heard - sound[: len(heard)])[: len(heard) // FRAME * FRAME]
    return np.sqrt(np.square(apart, dtype=np.float64).reshape(-1, FRAME * 2).mean(axis=1))


def test_stretches_sound_like_the_whole_at_every_cut(sound: NDArray[np.float32], tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    path = encoded(sound, cache, "film.mp4")
    assert len(list(cache.folder.glob("*.aac.mp4"))) == 4
    raw, whole = cache.folder / "raw.f32", tmp_path / "whole.mp4"
    layout = ("-f", "f32le", "-ar", "48000", "-ac", "2")
    run_ffmpeg([*layout, "-i", as_input(raw), *AAC, as_input(whole)], what="encode it whole")
    assert abs(len(samples(path)) - LENGTH) <= FRAME
    apart, plain = residual(path, sound), residual(whole, sound)
    count = min(len(apart), len(plain))
    assert apart[:count].max() <= 1.5 * plain[:count].max()
    assert np.median(apart) <= 1.25 * np.median(plain)  # the rate settles anew in each stretch


def test_a_change_encodes_its_own_stretch_only(sound: NDArray[np.float32], tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    encoded(sound, cache, "film.mp4")
    before = {path.name for path in cache.folder.glob("*.aac.mp4")}
    changed = sound.copy()
    changed[(STRETCH // 2) * FRAME : (STRETCH // 2 + 20) * FRAME] *= 0.5
    encoded(changed, cache, "film.mp4")
    new = {path.name for path in cache.folder.glob("*.aac.mp4")} - before
    assert len(new) == 1


def test_the_same_sound_gives_the_same_bytes(sound: NDArray[np.float32], tmp_path: Path) -> None:
    first = encoded(sound, Cache(tmp_path / "a"), "film.mp4").read_bytes()
    assert first == encoded(sound, Cache(tmp_path / "b"), "film.mp4").read_bytes()


def test_short_sound_and_other_codecs_are_encoded_whole(sound: NDArray[np.float32], tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    path = encoded(sound[: SAMPLE_RATE * 3], cache, "film.mp4")
    assert abs(len(samples(path)) - 3 * SAMPLE_RATE) <= FRAME
    raw = cache.folder / "raw.f32"
    sound.tofile(raw)
    encode_sound(raw, cache.folder / "film.webm", ("-c:a", "libopus", "-b:a", "128k"), cache)
    assert not list(cache.folder.glob("*.aac.mp4"))
