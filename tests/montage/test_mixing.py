"""Source sound, narration and music in one film: levels, ducking, joins, loops."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from filmlab import FPS, clip_of, make, row_of, samples, timeline
from soundlab import (
    apart,
    clicks,
    filmed,
    measure_loudness,
    mixed,
    music_of,
    spoken,
    strength,
    time,
    tone,
    with_sound,
    write_sound,
)

from index.base import Span
from montage.cache import Cache
from montage.mixing import Levels, cross_fade, handles
from montage.sound import mix_sound
from montage.timeline import SAMPLE_RATE, Timeline
from montage.values import MontageError

VOICE, SOURCE, MUSIC = 700.0, 1300.0, 2500.0
"""Pitches that tell the stems apart."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source, a voice and music, each of one pitch, and each at a level of its own."""
    folder = tmp_path_factory.mktemp("lab")
    filmed(folder / "source.mov", tone(20, SOURCE, 0.02))
    write_sound(folder / "voice.wav", tone(10, VOICE, 0.5))
    write_sound(folder / "music.wav", np.stack([tone(30, MUSIC, 0.3)] * 2, axis=1))
    filmed(folder / "sine.mov", tone(20, 220))
    make(folder / "mute.mp4", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=20", "-pix_fmt", "yuv420p")
    return folder


def of_one_loudness(sound: np.ndarray, folder: Path) -> dict[float, float]:
    """Amplitude of each pitch relative to what a tone of its loudness has: BS.1770 weighs frequencies."""
    weights = {}
    for pitch in (VOICE, SOURCE, MUSIC):
        path = write_sound(folder / "weigh.wav", np.stack([tone(3, pitch)] * 2, axis=1))
        weights[pitch] = measure_loudness(path)[0] - 20 * np.log10(0.25)
    return weights


def loudness_of(sound: np.ndarray, pitch: float, begin: float, end: float, folder: Path) -> float:
    """LUFS of one stem between two moments."""
    weight = of_one_loudness(sound, folder)[pitch]
    return 20 * float(np.log10(max(strength(sound, pitch, begin, end), 1e-9))) + weight


def all_three(lab: Path) -> Timeline:
    """18 s: narration from 4 s to 8 s and from 8.6 s to 10 s, over source sound and music."""
    plan = row_of([(lab / "source.mov", 250, "0"), (lab / "source.mov", 200, "10")])
    speech = (spoken(lab / "voice.wav", 100, 1, 5), spoken(lab / "voice.wav", 215, 5.2, 6.6))
    return with_sound(plan, *speech, music=music_of(lab / "music.wav", 30))


def test_stems_have_their_levels_and_go_down_under_narration(lab: Path, tmp_path: Path) -> None:
    mix, sound = mixed(all_three(lab), tmp_path)
    assert len(sound) == 18 * SAMPLE_RATE == mix.planned.samples
    voice = loudness_of(sound, VOICE, 5, 7, tmp_path)
    assert voice - loudness_of(sound, SOURCE, 5, 7, tmp_path) == pytest.approx(12, abs=0.5)
    assert voice - loudness_of(sound, MUSIC, 5, 7, tmp_path) == pytest.approx(18, abs=0.5)
    for begin, end in ((1, 3), (12, 14)):
        assert voice - loudness_of(sound, SOURCE, begin, end, tmp_path) == pytest.approx(4, abs=0.5)
        assert voice - loudness_of(sound, MUSIC, begin, end, tmp_path) == pytest.approx(8, abs=0.5)
    # It is down before the first word, stays down in a short pause, and comes up smoothly.
    down = strength(sound, MUSIC, 5, 7)
    assert apart(strength(sound, MUSIC, 4.0, 4.1), down) < 0.5
    assert apart(strength(sound, MUSIC, 8.2, 8.4), down) < 0.5
    assert apart(strength(sound, MUSIC, 10.2, 10.4), down) < 0.5
    rising = [apart(strength(sound, MUSIC, at, at + 0.1), down) for at in np.arange(10.3, 11.5, 0.1)]
    assert rising == sorted(rising)
    assert max(np.diff(rising)) < 3
    assert rising[-1] == pytest.approx(10, abs=0.5)


def test_music_goes_down_when_somebody_speaks_in_the_footage(lab: Path, tmp_path: Path) -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    said = tmp_path / "said.wav"
    text = "We went down to the harbour in the morning, and all of the boats had gone out already."
    subprocess.run(["espeak-ng", "-w", str(said), text], check=True)
    talking = make(
        tmp_path / "talking.mov", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=10", "-i", str(said),
        "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-ac", "2", "-ar", "48000",
        "-c:a", "pcm_s16le",
    )  # fmt: skip
    plan = row_of([(lab / "mute.mp4", 100, "0"), (talking, 75, "1"), (lab / "mute.mp4", 200, "0")])
    _, sound = mixed(with_sound(plan, music=music_of(lab / "music.wav", 30)), tmp_path)
    open_level = strength(sound, MUSIC, 1, 3)
    assert apart(strength(sound, MUSIC, 9, 10), open_level) == pytest.approx(0, abs=0.3)
    # Speech has something of the music's pitch, too, and its peaks are held back.
    assert apart(strength(sound, MUSIC, 4.5, 6.5), open_level) == pytest.approx(-10, abs=3)


def test_levels_move_their_stem_alone(lab: Path, tmp_path: Path) -> None:
    _, usual = mixed(all_three(lab), tmp_path)
    _, other = mixed(all_three(lab), tmp_path, Levels(narration=3, source=-6, music=4.5))
    moved = {pitch: apart(strength(other, pitch, 5, 7), strength(usual, pitch, 5, 7)) for pitch in
             (VOICE, SOURCE, MUSIC)}  # fmt: skip
    assert moved[SOURCE] - moved[VOICE] == pytest.approx(-9, abs=0.3)
    assert moved[MUSIC] - moved[VOICE] == pytest.approx(1.5, abs=0.3)
    _, without = mixed(all_three(lab), tmp_path, Levels(narration=float("-inf"), source=float("-inf")))
    assert strength(without, VOICE, 5, 7) < 1e-4 > strength(without, SOURCE, 5, 7)
    assert apart(strength(without, MUSIC, 5, 7), strength(without, MUSIC, 1, 3)) == pytest.approx(0, abs=0.2)


def test_levels_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="loudness lies between"):
        Levels(target=3)
    for wrong in (70.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="level of the music lies between"):
            Levels(music=wrong)


@pytest.mark.parametrize("target", [-14.0, -23.0])
def test_a_spoken_film_is_on_target_after_encoding(
    target: float, sample_library: Path, tmp_path: Path
) -> None:
    """Speech over the sound of real clips and music, whose peaks have to be held back at -14."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    voice = tmp_path / "voice.wav"
    text = "The harbour wakes before the sun. Boats leave, one after another. Nobody waves."
    subprocess.run(["espeak-ng", "-w", str(voice), text], check=True)
    seconds = 5.5
    rng = np.random.default_rng(3)
    beats = 0.4 * np.exp(-(time(12) % 0.5) * 30) * rng.standard_normal(12 * SAMPLE_RATE)
    music = write_sound(tmp_path / "music.wav", beats)
    hiss = filmed(tmp_path / "hiss.mov", 0.01 * rng.standard_normal(12 * SAMPLE_RATE))
    plan = with_sound(
        row_of([(hiss, 90, "0"), (hiss, 110, "5")]), spoken(voice, 30, 0, seconds), music=music_of(music, 12)
    )
    mix = mix_sound(plan, Cache(tmp_path / "cache"), levels=Levels(target=target))
    lufs, peak = measure_loudness(mix.path)
    assert lufs == pytest.approx(target, abs=0.5)
    assert peak <= -1
    assert mix.loudness.on_target
    assert mix.loudness.lufs == pytest.approx(lufs, abs=0.05)
    assert mix.loudness.limited == (target == -14)


def cut_up(source: Path, count: int = 12, frames: int = 13) -> Timeline:
    """A steady sine cut at odd phases."""
    return row_of((source, frames, f"{0.2 + 0.537 * n:.3f}") for n in range(count))


def bounded(plan: Timeline) -> Timeline:
    """The same film of clips that fill their shots: nothing lies before or after them."""
    return replace(
        plan,
        picture=tuple(
            replace(clip, shot=Span(clip.span.start, clip.span.start + clip.frames / FPS))
            for clip in plan.picture
        ),
    )


def test_joins_do_not_click(lab: Path, tmp_path: Path) -> None:
    plan = cut_up(lab / "sine.mov")
    joins = [clip.start * 1920 for clip in plan.picture[1:]]
    _, uncut = mixed(row_of([(lab / "sine.mov", 156, "0.2")]), tmp_path)
    quiet = clicks(uncut)
    # What hard cuts would sound like is far above what may be left of them.
    hard = tone(12 * 13 / 25, 220).reshape(12, -1) * np.where(np.arange(12) % 2, 1, -1)[:, None]
    assert clicks(np.repeat(hard.reshape(-1, 1), 2, axis=1)) > 0.05
    for film, dips in ((plan, False), (bounded(plan), True)):
        mix, sound = mixed(film, tmp_path)
        assert len(sound) == 12 * 13 * 1920 == mix.planned.samples
        assert clicks(sound) < quiet + 1e-4
        around = [np.abs(sound[at - 24 : at + 24, 0]).max() / np.abs(sound).max() for at in joins]
        assert (max(around) < 0.05) if dips else (np.median(around) > 0.5)


def test_joins_under_narration_and_music_do_not_click(lab: Path, tmp_path: Path) -> None:
    voice = write_sound(tmp_path / "voice.wav", tone(8, 330))
    music = write_sound(tmp_path / "music.wav", tone(1.7, 165))
    speech = [spoken(voice, 20 + 17 * n, 0.11 + 0.773 * n, 0.6 + 0.773 * n) for n in range(6)]
    for bars in ((0.1, 0.85, 1.6), (0.0, 0.85, 1.7), (0.0, 1.65), ()):
        plan = with_sound(cut_up(lab / "sine.mov"), *speech, music=music_of(music, 1.7, bars))
        _, sound = mixed(plan, tmp_path)
        assert clicks(sound) < 3e-4


def test_the_same_sound_goes_on_over_a_join_as_it_was(lab: Path, tmp_path: Path) -> None:
    """Two clips that go on from one another, and narration in two sentences that do."""
    whole, parts = (
        row_of([(lab / "sine.mov", frames, begin) for frames, begin in cut])
        for cut in ([(100, "1")], [(37, "1"), (63, "2.48")])
    )
    _, first = mixed(whole, tmp_path)
    _, second = mixed(parts, tmp_path)
    assert np.abs(first - second).max() < 2e-4
    mute = row_of([(lab / "mute.mp4", 100, "0")])
    voice = lab / "voice.wav"
    _, first = mixed(with_sound(mute, spoken(voice, 10, 1, 3)), tmp_path)
    _, second = mixed(with_sound(mute, spoken(voice, 10, 1, 2.2), spoken(voice, 40, 2.2, 3)), tmp_path)
    assert np.abs(first - second).max() < 2e-4


def test_a_cross_fade_keeps_the_power() -> None:
    rng = np.random.default_rng(1)
    old, new = rng.standard_normal((2, 1440, 2)).astype(np.float32)
    out, into = cross_fade(old, new)
    assert np.allclose(out**2 + into**2, 1, atol=0.12)
    out, into = cross_fade(old, old)
    assert np.allclose(out + into, 1, atol=1e-5)
    assert out[0] > 0.999
    assert out[-1] < 0.001
    quiet = np.zeros((960, 2), np.float32)
    out, into = cross_fade(quiet, quiet)
    assert np.allclose(out**2 + into**2, 1, atol=1e-5)


def test_a_join_is_cross_faded_over_10_to_30_ms(lab: Path, tmp_path: Path) -> None:
    other = filmed(tmp_path / "other.mov", tone(20, 1300, 0.25))
    for room in (1, "0.004"):  # with room on both sides, and with hardly any after the first clip
        first, second = clip_of(lab / "sine.mov", 0, 50, "2"), clip_of(other, 50, 50, "3")
        first = replace(first, shot=Span(Fraction(1), 4 + Fraction(room)))
        _, sound = mixed(timeline([first, second]), tmp_path)
        loud = np.abs(sound).max()
        both = [
            at
            for at in range(1900, 2100)  # moments 1 ms apart, around the join at 2 s
            if strength(sound, 1300, at / 1000 - 0.004, at / 1000 + 0.004) > 0.02 * loud
            and strength(sound, 220, at / 1000 - 0.004, at / 1000 + 0.004) > 0.15 * loud
        ]
        assert 10 <= len(both) <= 38
        assert min(np.abs(sound[at * 48 : at * 48 + 240]).max() for at in range(1950, 2050)) > 0.5 * loud


def test_a_dissolve_takes_the_sound_along(lab: Path, tmp_path: Path) -> None:
    other = filmed(tmp_path / "other.mov", tone(20, 1300, 0.25))
    first, second = clip_of(lab / "sine.mov", 0, 50, "2"), clip_of(other, 50, 50, "3")
    under = replace(first, start=0, frames=20, span=Span(Fraction(4), Fraction(5)))
    second = replace(second, dissolve=20, under=under)
    _, sound = mixed(timeline([first, second]), tmp_path)
    assert len(sound) == 4 * SAMPLE_RATE
    fading = [strength(sound, 220, at, at + 0.1) for at in (1.7, 2.0, 2.2, 2.4, 2.6, 2.8)]
    assert fading == sorted(fading, reverse=True)
    assert 0.5 < fading[3] / fading[0] < 0.9
    assert fading[-1] < 0.02 * fading[0]


def test_fades_from_and_to_black_take_the_sound_along(lab: Path, tmp_path: Path) -> None:
    clip = replace(clip_of(lab / "sine.mov", 0, 75, "2"), fade_in=25, fade_out=25)
    _, sound = mixed(timeline([clip]), tmp_path)
    assert apart(strength(sound, 220, 0.45, 0.55), strength(sound, 220, 1.2, 1.8)) == pytest.approx(
        -6, abs=0.5
    )
    assert apart(strength(sound, 220, 2.45, 2.55), strength(sound, 220, 1.2, 1.8)) == pytest.approx(
        -6, abs=0.5
    )


def bursts(folder: Path, name: str, *spans: tuple[float, float]) -> Path:
    """A room's quiet noise, in which something loud is heard at these times."""
    rng = np.random.default_rng(len(name))
    sound = 0.001 * rng.standard_normal(8 * SAMPLE_RATE)
    for begin, end in spans:
        place = slice(round(begin * SAMPLE_RATE), round(end * SAMPLE_RATE))
        sound[place] += tone(8, 900 if name == "old" else 1700, 0.2)[place]
    return filmed(folder / f"{name}.mov", sound)


def split_film(folder: Path, old: tuple[float, float], new: tuple[float, float]) -> Timeline:
    """Two clips of 2 s from second 3 of their sources on, with 1 s of their shots on either side."""
    shot = Span(Fraction(2), Fraction(6))
    clips = [
        clip_of(bursts(folder, "old", old), 0, 50, "3"),
        clip_of(bursts(folder, "new", new), 50, 50, "3"),
    ]
    return timeline([replace(clip, shot=shot) for clip in clips])


def test_a_word_is_heard_out_under_the_next_picture(tmp_path: Path) -> None:
    plan = split_film(tmp_path, (4.6, 5.25), (4.2, 4.6))  # over the cut by 0.25 s
    _, straight = mixed(plan, tmp_path)
    _, split = mixed(plan, tmp_path, Levels(split_edits=True))
    assert len(split) == len(straight) == 4 * SAMPLE_RATE
    assert strength(split, 900, 2.05, 2.2) > 0.9 * strength(split, 900, 1.7, 1.9)
    assert strength(straight, 900, 2.05, 2.2) < 0.01 * strength(straight, 900, 1.7, 1.9)


def test_a_word_begins_under_the_picture_before(tmp_path: Path) -> None:
    plan = split_film(tmp_path, (3.2, 3.6), (2.7, 3.4))  # 0.3 s before its picture
    _, straight = mixed(plan, tmp_path)
    _, split = mixed(plan, tmp_path, Levels(split_edits=True))
    assert strength(split, 1700, 1.75, 1.95) > 0.9 * strength(split, 1700, 2.05, 2.3)
    assert strength(straight, 1700, 1.75, 1.95) < 0.01 * strength(straight, 1700, 2.05, 2.3)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((3.0, 4.5), (3.5, 4.5)),  # nothing is cut off
        ((4.6, 5.25), (3.1, 3.4)),  # to hear it out would cost a word of the next
        ((1.0, 7.9), (1.0, 7.9)),  # steady sound is not worth it
        ((4.6, 7.0), (4.2, 4.6)),  # it goes on for longer than half a second
    ],
)
def test_straight_cuts_stay_where_a_split_would_not_help(
    old: tuple[float, float], new: tuple[float, float], tmp_path: Path
) -> None:
    plan = split_film(tmp_path, old, new)
    _, straight = mixed(plan, tmp_path)
    _, split = mixed(plan, tmp_path, Levels(split_edits=True))
    assert np.abs(straight - split).max() < 2e-4


def test_sound_never_leaves_its_shot_or_its_file(lab: Path) -> None:
    clip = clip_of(lab / "sine.mov", 0, 50, "3", duration=Fraction("5.01"))
    assert handles(clip, FPS, None, split=True) == (1440, 480)
    shot = Span(Fraction("2.9"), Fraction("5.3"))
    clip = replace(clip_of(lab / "sine.mov", 0, 50, "3"), shot=shot)
    assert handles(clip, FPS, None, split=False) == (1440, 1440)
    assert handles(clip, FPS, None, split=True) == (4800, 14_400)
    assert handles(replace(clip, speed=Fraction(1, 2)), FPS, None, split=True)[0] == 9600
    assert handles(replace(clip, media=None), FPS, None, split=True) == (0, 0)


def test_music_is_looped_at_its_bars_without_a_gap(tmp_path: Path) -> None:
    """A pulse on every beat, 0.5 s apart, must go on being 0.5 s apart for three times its length."""
    beat = np.exp(-(time(9.3) - 0.25) % 0.5 * 25) * tone(9.3, 440, 0.5) * (time(9.3) > 0.2)
    path = write_sound(tmp_path / "music.wav", beat)
    bars = tuple(0.25 + 2 * n for n in range(5))
    plan = with_sound(row_of([(mute(tmp_path), 700, "0")]), music=music_of(path, 9.3, bars))
    _, sound = mixed(plan, tmp_path)
    assert len(sound) == 28 * SAMPLE_RATE
    levels = np.sqrt((sound[:, 0].reshape(-1, 480) ** 2).mean(axis=1))  # 10 ms
    beats = np.arange(2.25, 24, 0.5)
    on = np.array([levels[round(b * 100) : round(b * 100) + 3].max() for b in beats])
    before = np.array([levels[round(b * 100) - 4 : round(b * 100) - 1].max() for b in beats])
    assert (on > 0.9 * on.max()).all()
    assert (before < 0.2 * on).all()
    assert clicks(sound, 8000) < 1.2 * clicks(np.repeat(beat[:, None], 2, axis=1), 8000)


def mute(folder: Path) -> Path:
    return make(
        folder / "mute.mp4", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=30", "-pix_fmt", "yuv420p"
    )


def test_music_is_faded_at_both_ends_and_a_drone_is_cross_faded(lab: Path, tmp_path: Path) -> None:
    plan = row_of([(lab / "mute.mp4", 500, "0")])
    rng = np.random.default_rng(2)
    drone = write_sound(tmp_path / "drone.wav", 0.1 * rng.standard_normal(7 * SAMPLE_RATE))
    short = write_sound(tmp_path / "short.wav", 0.1 * rng.standard_normal(2 * SAMPLE_RATE))
    for music in (music_of(lab / "music.wav", 30), music_of(drone, 7), music_of(short, 2)):
        _, sound = mixed(with_sound(plan, music=music), tmp_path)
        assert len(sound) == 20 * SAMPLE_RATE
        levels = 20 * np.log10(1e-9 + np.sqrt((sound[:, 0].reshape(-1, 9600) ** 2).mean(axis=1)))  # 0.2 s
        assert np.abs(levels[4:80] - np.median(levels)).max() < 1.0
        assert levels[0] < np.median(levels) - 6
        assert levels[-1] < np.median(levels) - 25
        assert (np.diff(levels[86:]) < 0).all()
        assert np.abs(sound[0]).max() < 1e-3 > np.abs(sound[-1]).max()


def test_a_film_of_many_clips_opens_few_files(lab: Path, tmp_path: Path) -> None:
    clips = [(lab / "source.mov", 3, f"{n % 90 / 10 + 0.1}") for n in range(90)]
    voices = [spoken(lab / "voice.wav", 3 * n, n / 10, n / 10 + 0.1) for n in range(90)]
    plan = with_sound(row_of(clips), *voices)
    mixed(plan, tmp_path)
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 40, allowed[1]))
    try:
        _, sound = mixed(plan, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
    assert len(sound) == 270 * SAMPLE_RATE // 25


def test_silence_stays_silence(lab: Path, tmp_path: Path) -> None:
    plan = row_of([(lab / "mute.mp4", 40, "0")])
    mix, sound = mixed(plan, tmp_path)
    assert len(sound) == 40 * 1920
    assert not sound.any()
    assert mix.loudness.lufs is None
    assert mix.loudness.on_target
    quiet = Levels(source=float("-inf"), narration=float("-inf"), music=float("-inf"))
    assert not mixed(all_three(lab), tmp_path, quiet)[1].any()


def test_narration_on_one_side_is_heard_from_the_middle_and_ends_with_the_film(
    lab: Path, tmp_path: Path
) -> None:
    left = np.stack([tone(6, VOICE), np.zeros(6 * SAMPLE_RATE)], axis=1)
    voice = write_sound(tmp_path / "left.wav", left)
    plan = with_sound(row_of([(lab / "mute.mp4", 50, "0")]), spoken(voice, 25, 0, 5))
    _, sound = mixed(plan, tmp_path)
    assert len(sound) == 2 * SAMPLE_RATE
    assert not sound[: SAMPLE_RATE - 1].any()
    assert np.array_equal(sound[:, 0], sound[:, 1])
    assert np.abs(sound[-48:]).max() < 0.1 * np.abs(sound).max()


def test_only_what_changed_is_decoded_and_the_rest_keeps_its_samples(lab: Path, tmp_path: Path) -> None:
    plan = all_three(lab)
    first, before = mixed(plan, tmp_path)
    assert first.rendered == 4 + 1  # two clips, the voice's file twice in use, the music
    assert set(first.keys) == {p.stem for p in tmp_path.glob("*.f32") if not p.name.startswith(".")}
    new = write_sound(tmp_path / "new.wav", tone(4, VOICE, 0.1))
    changed = replace(plan, narration=(plan.narration[0], spoken(new, 215, 0, 1.4)))
    second, after = mixed(changed, tmp_path)
    assert second.rendered == 1
    assert np.array_equal(before[: 8 * SAMPLE_RATE], after[: 8 * SAMPLE_RATE])


def test_the_same_film_sounds_the_same(lab: Path, tmp_path: Path) -> None:
    one = mix_sound(all_three(lab), Cache(tmp_path / "a")).path.read_bytes()
    assert one == mix_sound(all_three(lab), Cache(tmp_path / "b")).path.read_bytes()


def test_narration_and_music_that_cannot_be_played_are_named(lab: Path, tmp_path: Path) -> None:
    plan = row_of([(lab / "mute.mp4", 50, "0")])
    text = tmp_path / "voice.wav"
    text.write_text("This is no sound.")
    with pytest.raises(MontageError, match=r"voice\.wav cannot be played"):
        mixed(with_sound(plan, spoken(text, 0, 0, 1)), tmp_path)
    gone = spoken(lab / "voice.wav", 0, 0, 1)
    with pytest.raises(MontageError, match=r"no sound file .*gone\.wav"):
        mixed(with_sound(plan, replace(gone, source=tmp_path / "gone.wav")), tmp_path)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_films_of_a_few_frames(frames: int, lab: Path, tmp_path: Path) -> None:
    clips = [clip_of(lab / "sine.mov", n, 1, f"{n}.5") for n in range(frames)]
    plan = with_sound(
        timeline(clips), spoken(lab / "voice.wav", 0, 0, 3), music=music_of(lab / "music.wav", 30)
    )
    _, sound = mixed(plan, tmp_path, Levels(split_edits=True))
    assert len(sound) == frames * 1920


def test_a_long_narrated_film_is_mixed_in_moderate_memory_and_encoded_whole(
    lab: Path, tmp_path: Path
) -> None:
    plan = with_sound(
        row_of([(lab / "sine.mov", 250, f"{n % 10}") for n in range(12)]),
        *(spoken(lab / "voice.wav", 25 + 250 * n, 0, 5) for n in range(12)),
        music=music_of(lab / "music.wav", 30, (1.0, 9.0, 17.0, 25.0)),
    )
    mix = mix_sound(plan, Cache(tmp_path), workers=2)
    assert abs(len(samples(mix.path)) - 120 * SAMPLE_RATE) <= 1024
    assert mix.loudness.on_target
