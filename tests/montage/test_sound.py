"""The sound of a film: sample-exact, without clicks, at one loudness."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from filmlab import FPS, clip_of, make, row_of, samples, timeline
from numpy.typing import NDArray
from soundlab import measure_loudness

from index.base import Span
from montage.cache import Cache
from montage.film import Film, render_timeline
from montage.pieces import clip_sound
from montage.sound import mix_sound, sound_key
from montage.timeline import SAMPLE_RATE, Clip, Timeline


def tone(path: Path, expression: str, *extra: str, seconds: int = 6, rate: int = 48000) -> Path:
    """A source with a picture and this sound, the same in both channels if there is one expression."""
    expression = expression if "|" in expression else f"{expression}|{expression}"
    return make(
        path,
        "-f", "lavfi", "-i", f"testsrc2=s=160x90:r=25:d={seconds}",
        "-f", "lavfi", "-i", f"aevalsrc={expression}:s={rate}:d={seconds}",
        "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", *(extra or ("-c:a", "pcm_s16le")),
    )  # fmt: skip


def film_of(plan: Timeline, folder: Path) -> Film:
    return render_timeline(plan, folder / "film.mp4", size=(160, 90), quality="draft", cache=folder / "cache")


def mono(path: Path) -> NDArray[np.float32]:
    return np.fromfile(path, np.float32).reshape(-1, 2)[:, 0]


def test_a_clip_has_the_samples_of_its_place_from_the_right_moment(tmp_path: Path) -> None:
    # The value of the sound is its own time, so that every sample says when it is from.
    source = tone(tmp_path / "ramp.mov", "t/10", "-c:a", "pcm_f32le")
    clip = clip_of(source, 0, 50, "2.4")
    cache = Cache(tmp_path / "cache")
    piece = clip_sound(clip, 96_001, cache, before=4_800, after=9_600)
    heard = mono(piece.path)
    assert (len(heard), piece.new) == (96_001 + 4_800 + 9_600, True)
    assert np.abs(heard - (2.3 + np.arange(len(heard)) / 48000) / 10).max() < 2e-5
    again = clip_sound(clip, 96_001, cache, before=4_800, after=9_600)
    assert (again.path, again.lufs, again.new) == (piece.path, piece.lufs, False)
    piece.path.write_bytes(b"short")
    assert clip_sound(clip, 96_001, cache, before=4_800, after=9_600).new


def test_sound_at_another_rate_and_in_a_stream_that_starts_late(tmp_path: Path) -> None:
    source = tone(tmp_path / "a.mkv", "0.5", "-c:a", "pcm_f32le", rate=44100)
    late = make(
        tmp_path / "late.mkv", "-i", str(source), "-itsoffset", "1.5", "-i", str(source),
        "-map", "0:v", "-map", "1:a", "-c", "copy",
    )  # fmt: skip
    heard = mono(clip_sound(clip_of(late, 0, 50, "0.5"), 96_000, Cache(tmp_path / "cache")).path)
    assert np.abs(heard[:47_900]).max() < 0.01
    assert np.abs(heard[48_100:] - 0.5).max() < 0.02


def test_sound_that_ends_early_is_completed_with_silence(tmp_path: Path) -> None:
    source = make(
        tmp_path / "short.mov", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=4",
        "-f", "lavfi", "-i", "aevalsrc=0.5|0.5:s=48000:d=2", "-pix_fmt", "yuv420p", "-c:a", "pcm_f32le",
    )  # fmt: skip
    heard = mono(clip_sound(clip_of(source, 0, 50, "1"), 96_000, Cache(tmp_path / "cache")).path)
    assert np.abs(heard[:47_000] - 0.5).max() < 0.01
    assert not heard[49_000:].any()


@pytest.mark.parametrize("speed", ["4/5", "3", "2/5"])
def test_slowed_sound_keeps_its_pitch(speed: str, tmp_path: Path) -> None:
    source = tone(tmp_path / "a440.mov", "0.5*sin(2*PI*440*t)")
    clip = clip_of(source, 0, 40, "0.2", speed=speed)
    heard = mono(clip_sound(clip, 76_800, Cache(tmp_path / "cache")).path)
    assert len(heard) == 76_800
    spectrum = np.abs(np.fft.rfft(heard[10_000:58_000]))
    assert abs(int(spectrum.argmax()) - 440) <= 6
    assert np.abs(heard[5_000:-5_000]).max() > 0.3


def test_keys_name_what_shapes_the_samples(tmp_path: Path) -> None:
    source = tone(tmp_path / "a.mov", "0.1")
    clip = clip_of(source, 0, 50, "1")
    moved = clip_of(source, 50, 50, "1")
    assert sound_key(clip, 96_000) == sound_key(moved, 96_000)
    assert (
        len(
            {sound_key(clip, 96_000), sound_key(clip, 96_001), sound_key(clip_of(source, 0, 50, "2"), 96_000)}
        )
        == 3
    )


def test_clips_without_sound_are_silent_between_others(tmp_path: Path) -> None:
    loud = tone(tmp_path / "loud.mov", "0.3*sin(2*PI*300*t)")
    mute = make(
        tmp_path / "mute.mp4", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=3", "-pix_fmt", "yuv420p"
    )
    plan = timeline([clip_of(loud, 0, 25, "0"), clip_of(mute, 25, 25, "0"), clip_of(loud, 50, 25, "2")])
    film = film_of(plan, tmp_path)
    heard = np.abs(samples(film.path)).max(axis=1)
    assert heard[5_000:43_000].max() > 0.1
    assert heard[49_500:94_000].max() < 0.003
    assert heard[101_000:140_000].max() > 0.1


@pytest.mark.parametrize(
    ("name", "expression"),
    [
        ("quiet", "0.02*sin(2*PI*440*t)|0.02*sin(2*PI*445*t)"),
        ("loud", "0.95*sin(2*PI*440*t)|0.95*sin(2*PI*445*t)"),
        ("peaky", "(0.03+0.8*lt(mod(t\\,0.5)\\,0.004))*sin(2*PI*900*t)"),
        ("chord", "0.2*(sin(2*PI*220*t)+sin(2*PI*277*t)+sin(2*PI*330*t)*sin(PI*t))"),
    ],
)
def test_loudness_is_on_target_and_peaks_are_under_the_ceiling(
    name: str, expression: str, tmp_path: Path
) -> None:
    source = tone(tmp_path / f"{name}.mov", expression)
    film = film_of(row_of([(source, 60, "0.1"), (source, 70, "2")]), tmp_path)
    loudness, peak = measure_loudness(film.path)
    assert peak <= -1.0
    assert film.loudness is not None
    assert film.loudness.limited == (name == "peaky")
    assert loudness == pytest.approx(-14, abs=0.5)
    assert film.loudness.lufs == pytest.approx(loudness, abs=0.3)


def test_real_sound_is_on_target(footage: Path, tmp_path: Path) -> None:
    names = ["films/sintel-trailer-480x204.mp4", "films/chaplin-1910s.mp4", "films/big-buck-bunny-480p.mp4",
             "odd/failing-audio.mp4", "clips/wind-turbine.mp4"]  # fmt: skip
    film = film_of(row_of((footage / name, 75, "4") for name in names), tmp_path)
    loudness, peak = measure_loudness(film.path)
    assert loudness == pytest.approx(-14, abs=0.5)
    assert peak <= -1.0


def test_noise_floors_are_not_blown_up(tmp_path: Path) -> None:
    source = tone(tmp_path / "hiss.mov", "0.00006*(random(0)-0.5)", "-c:a", "pcm_f32le")
    film = film_of(row_of([(source, 100, "0")]), tmp_path)
    assert film.loudness is None or film.loudness.gain <= 24
    assert np.abs(samples(film.path)).max() < 0.01


def test_a_drifting_rate_keeps_the_whole_film_to_the_sample(tmp_path: Path) -> None:
    source = tone(tmp_path / "sine.mov", "0.25*sin(2*PI*220*t)")
    fps = Fraction(24000, 1001)
    media = clip_of(source, 0, 1).media
    assert media is not None
    clips: list[Clip] = []
    for n in range(20):
        clips.append(
            Clip(
                start=clips[-1].end if clips else 0, frames=7 + n % 3, kind="footage", source=source,
                content=media.id, span=Span(Fraction(n, 10), Fraction(n, 10) + 1), media=media,
            )
        )  # fmt: skip
    plan = timeline(clips, fps)
    cache = Cache(tmp_path / "cache")
    mix = mix_sound(plan, cache)
    assert mix.planned.samples == round(plan.seconds * SAMPLE_RATE)
    assert mix.rendered == 20
    assert mix_sound(plan, cache).rendered == 0
    assert fps != FPS
