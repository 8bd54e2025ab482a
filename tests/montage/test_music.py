"""Beats and bars of music with a known tempo, and how it is looped to a film."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from soundlab import time, write_sound

from montage.music import bars_in_film, beats_in_film, passes, read_music
from montage.timeline import SAMPLE_RATE, Music
from montage.values import MontageError


def drums(seconds: float, tempo: float, metre: int, first: float = 0.0) -> NDArray[np.float64]:
    """A drum on the first beat of each bar, something like a hi-hat on the others, over a chord."""
    rng = np.random.default_rng(7)
    at = time(seconds)
    sound = 0.05 * np.sin(2 * np.pi * 220 * at) + 0.04 * np.sin(2 * np.pi * 277.2 * at)
    hit = time(0.08)
    for number, beat in enumerate(np.arange(first, seconds - 0.1, 60 / tempo)):
        noise = 0.3 * np.exp(-40 * hit) * rng.standard_normal(len(hit))
        drum = 0.8 * np.exp(-20 * hit) * np.sin(2 * np.pi * 70 * hit) if number % metre == 0 else 0
        place = round(beat * SAMPLE_RATE)
        sound[place : place + len(hit)] += noise + drum
    return sound


@pytest.mark.parametrize(
    ("tempo", "metre", "first"), [(120, 4, 0.0), (97, 4, 0.33), (140, 3, 0.1), (90, 3, 0.5)]
)
def test_beats_and_bars_of_a_known_tempo(tempo: int, metre: int, first: float, tmp_path: Path) -> None:
    path = write_sound(tmp_path / "music.wav", drums(24, tempo, metre, first))
    music = read_music(path, tmp_path / "cache")
    assert music.source == path
    assert music.seconds == 24
    true = np.arange(first, 24 - 0.1, 60 / tempo)
    found = np.array(music.beats)
    assert np.abs(found - first - np.round((found - first) * tempo / 60) * 60 / tempo).max() < 0.01
    assert len(found) >= len(true) - 1
    assert np.abs(np.array(music.bars[:8]) - true[::metre][: len(music.bars[:8])]).max() < 0.01
    assert np.allclose(np.diff(music.bars), metre * 60 / tempo, atol=0.005)


def test_bars_leave_out_the_end_that_fades(tmp_path: Path) -> None:
    sound = drums(30, 120, 4)
    sound[20 * SAMPLE_RATE :] *= 10 ** (-time(10) * 6 / 20)
    music = read_music(write_sound(tmp_path / "music.wav", sound), tmp_path / "cache")
    assert 20 <= music.bars[-1] <= 26
    assert music.beats[-1] > 28


def test_what_was_found_is_kept(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "music.wav", drums(10, 120, 4))
    first = read_music(path, tmp_path / "cache")
    kept = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "cache").iterdir()}
    assert read_music(str(path), tmp_path / "cache") == first
    assert {file.name: file.stat().st_mtime_ns for file in (tmp_path / "cache").iterdir()} == kept
    for record in (tmp_path / "cache").glob("*.json"):
        record.write_text("damaged")
    assert read_music(path, tmp_path / "cache") == first


@pytest.mark.parametrize("kind", ["drone", "swell", "noise", "short"])
def test_music_without_a_beat_has_none(kind: str, tmp_path: Path) -> None:
    at = time(20)
    sound = 0.2 * np.sin(2 * np.pi * 110 * at) + 0.1 * np.sin(2 * np.pi * 165.3 * at)
    if kind == "swell":
        sound *= 1 + 0.3 * np.sin(2 * np.pi * 0.13 * at)
    elif kind == "noise":
        sound = 0.1 * np.random.default_rng(1).standard_normal(len(at))
    elif kind == "short":
        sound = drums(1.5, 120, 4)
    music = read_music(write_sound(tmp_path / "music.wav", sound), tmp_path / "cache")
    assert (music.beats, music.bars) == ((), ())
    assert beats_in_film(music, 60) == ()


def test_files_that_are_no_music_are_refused(tmp_path: Path) -> None:
    silent = write_sound(tmp_path / "silent.wav", np.zeros(SAMPLE_RATE * 3))
    with pytest.raises(MontageError, match=r"silent\.wav is silent: name another"):
        read_music(silent, tmp_path / "cache")
    text = tmp_path / "song.mp3"
    text.write_text("la la la")
    with pytest.raises(MontageError, match=r"song\.mp3 cannot be played"):
        read_music(text, tmp_path / "cache")
    with pytest.raises(MontageError, match=r"cannot read the music .*gone\.mp3"):
        read_music(tmp_path / "gone.mp3", tmp_path / "cache")


def music(seconds: float, bars: tuple[float, ...] = (), beats: tuple[float, ...] = ()) -> Music:
    return Music(source=Path("a.wav"), content="a", seconds=Fraction(str(seconds)), bars=bars, beats=beats)


def test_long_music_is_trimmed_and_short_music_goes_back_to_its_first_bar() -> None:
    long = music(30, (0.5, 2.5, 4.5))
    assert [(p.at, p.begin, p.end) for p in passes(long, 10 * SAMPLE_RATE)] == [(0, 0, 10 * SAMPLE_RATE)]
    short = music(7, (0.5, 2.5, 4.5, 6.5), tuple(0.5 + n for n in range(7)))
    found = passes(short, 20 * SAMPLE_RATE)
    assert len(found) == 4
    assert (found[0].at, found[-1].until) == (0, 20 * SAMPLE_RATE)
    for before, after in pairwise(found):
        assert before.until - after.at == 0.02 * SAMPLE_RATE  # cross-faded
        assert after.at - before.at + before.begin - after.begin == 6 * SAMPLE_RATE  # three bars later
    assert beats_in_film(short, 20) == pytest.approx([0.5 + n for n in range(20)])
    assert bars_in_film(short, 20) == pytest.approx([0.5 + 2 * n for n in range(10)])


def test_long_pieces_are_looped_in_phrases_of_four_bars() -> None:
    eleven = music(25, tuple(0.2 + 2.0 * n for n in range(12)))
    first, second = passes(eleven, 40 * SAMPLE_RATE)[:2]
    assert second.at - first.at + first.begin - second.begin == 8 * 2 * SAMPLE_RATE


@pytest.mark.parametrize(
    "short",
    [music(7, (0.0, 7.0)), music(7, (0.0, 3.5)), music(7), music(7, (3.0,)), music(0.5), music(0.001)],
)
def test_passes_fill_any_film_and_overlap(short: Music) -> None:
    for samples in (1, 5, 20_000, 48_000, 1_234_567):
        found = passes(short, samples)
        assert (found[0].at, found[-1].until) == (0, samples)
        assert all(0 <= p.begin < p.end <= short.seconds * SAMPLE_RATE for p in found)
        assert all(a.at < b.at <= a.until for a, b in pairwise(found))
