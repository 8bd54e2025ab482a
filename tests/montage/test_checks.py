"""The checks find what they are for, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from filmlab import FPS, SIZE, make, row_of, steady, write_counter

from montage.cache import Cache
from montage.checks import (
    Check,
    Shown,
    check_film,
    check_sound,
    picture_problems,
    segment_problems,
)
from montage.film import render_timeline
from montage.filters import THUMB
from montage.formats import Format
from montage.joining import Part, join_film
from montage.metering import block_levels, hear_sound
from montage.segments import Segment, Thumbs, make_segment
from montage.sound import Mix, mix_sound
from montage.timeline import SAMPLE_RATE, Timeline
from montage.values import FilmError

FORM = Format(width=SIZE[0], height=SIZE[1], fps=FPS, quality="final")


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of moving picture with a tone."""
    return make(
        tmp_path_factory.mktemp("checks") / "moving.mov",
        "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=4",
        "-f", "lavfi", "-i", "aevalsrc=0.2*sin(2*PI*440*t):s=48000:d=4",
        "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-c:a", "pcm_s16le",
    )  # fmt: skip


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of another picture, without sound."""
    return write_counter(tmp_path_factory.mktemp("counting") / "counting.mp4", steady(100, 25))


def noise(frames: int, seed: int = 0) -> Thumbs:
    return np.random.default_rng(seed).integers(60, 200, (frames, THUMB, THUMB), dtype=np.uint8)


def test_pictures_as_planned_have_no_problems() -> None:
    plan = noise(60)
    assert picture_problems(plan, plan, FPS) == []
    assert picture_problems(np.clip(plan.astype(int) + 7, 0, 255).astype(np.uint8), plan, FPS) == []


def test_black_counts_only_where_the_source_is_not() -> None:
    plan, shown = noise(60), noise(60)
    shown[20:30] = 4
    assert "black from frame 20 on (10 frames)" in picture_problems(shown, plan, FPS)[0]
    plan[20:30] = 6
    assert picture_problems(shown, plan, FPS) == []


def test_frozen_counts_only_where_the_source_moves() -> None:
    plan = noise(60)
    plan[:] = plan[0]
    plan = plan + (np.arange(60) % 9 * 5)[:, None, None].astype(np.uint8)  # it moves
    shown = plan.copy()
    shown[10:40] = shown[10]
    assert picture_problems(shown, plan, FPS) == ["frozen from frame 10 to 40 while the source moves"]
    plan[10:40] = plan[10]
    assert picture_problems(shown, plan, FPS) == []
    shown[10:15] = plan[10:15]
    assert picture_problems(shown[:15], plan[:15], FPS) == []


def test_another_picture_is_found() -> None:
    shown = noise(60)
    shown[30:] = noise(30, seed=1)
    assert "another picture than planned from frame 30 on" in picture_problems(shown, noise(60), FPS)[0]
    assert picture_problems(shown, noise(60), FPS, compare=False) == []


def test_black_frozen_and_silent_footage_passes(tmp_path: Path) -> None:
    black = make(
        tmp_path / "black.mov", "-f", "lavfi", "-i", "color=black:s=160x90:r=25:d=2", "-f", "lavfi", "-i",
        "anullsrc=r=48000:cl=stereo:d=2", "-shortest", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le",
    )  # fmt: skip
    still = make(
        tmp_path / "still.mp4", "-f", "lavfi", "-i", "smptebars=s=160x90:r=25:d=2", "-pix_fmt", "yuv420p"
    )
    film = render_timeline(
        row_of([(black, 45, "0"), (still, 45, "0")]), tmp_path / "f.mp4", size=SIZE, cache=tmp_path / "cache"
    )
    assert film.ok
    assert {c.name: c.detail for c in film.checks}["silence"] == "no sound was planned"


def rendered(plan: Timeline, folder: Path) -> tuple[list[Segment], Mix]:
    cache = Cache(folder / "cache")
    return [make_segment(clip, FORM, cache) for clip in plan.picture], mix_sound(plan, cache)


def failures(checks: Iterable[Check]) -> dict[str, str]:
    return {check.name: check.detail for check in checks if not check.passed}


def test_a_whole_film_passes_and_each_fault_is_found(moving: Path, counting: Path, tmp_path: Path) -> None:
    plan = row_of([(moving, 30, "0"), (counting, 30, "1.6")])
    segments, mix = rendered(plan, tmp_path)
    paths = [segment.path for segment in segments]
    shown = [Shown(planned=segment.planned) for segment in segments]
    film = tmp_path / "film.mp4"

    def check(order: list[Path]) -> dict[str, str]:
        sums = join_film([Part(path) for path in order], mix.path, film, FORM, {})
        return failures(check_film(film, plan, FORM, shown, sums))

    assert check(paths) == {}
    assert check(paths[:1])["frames"] == "30 of 60 planned"
    assert "frame 30 is not a key frame" in check(paths[:1])["picture"]
    assert "another picture" in check(paths[::-1])["picture"]

    dark = make(tmp_path / "dark.mov", "-f", "lavfi", "-i", "color=black:s=160x90:r=25:d=2", "-c:v", "qtrle")
    black = make_segment(row_of([(dark, 30, "0")]).picture[0], FORM, Cache(tmp_path / "cache")).path
    assert "black" in check([paths[0], black])["black"]


def test_a_packet_that_is_not_as_it_was_joined_is_found(moving: Path, tmp_path: Path) -> None:
    plan = row_of([(moving, 30, "0")])
    segments, mix = rendered(plan, tmp_path)
    shown = [Shown(planned=segment.planned, fresh=False) for segment in segments]
    film = tmp_path / "film.mp4"
    sums = join_film([Part(segments[0].path)], mix.path, film, FORM, {})
    assert failures(check_film(film, plan, FORM, shown, sums)) == {}
    data = bytearray(film.read_bytes())
    at = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    data[at] ^= 1
    film.write_bytes(data)
    assert list(failures(check_film(film, plan, FORM, shown, sums))) == ["packets"]


def test_sound_is_held_to_its_plan(moving: Path, counting: Path, tmp_path: Path) -> None:
    plan = row_of([(moving, 30, "0"), (counting, 30, "1.6")])
    mix = mix_sound(plan, Cache(tmp_path / "cache"))

    def check(sound: Path) -> dict[str, str]:
        return failures(check_sound(hear_sound(sound), 60, FPS, mix.planned, mix.loudness))

    assert mix.loudness.lufs is not None
    assert mix.loudness.lufs == pytest.approx(-14, abs=0.2)
    assert check(mix.path) == {}
    mute = make(
        tmp_path / "mute.m4a", "-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo", "-t", "2.4", "-c:a", "aac"
    )
    assert check(mute)["silence"].startswith("silent at 0.")
    short = make(tmp_path / "short.m4a", "-i", str(mix.path), "-t", "1.9", "-c:a", "aac")
    assert "1.9" in check(short)["sound length"]
    quiet = make(tmp_path / "quiet.m4a", "-i", str(mix.path), "-af", "volume=-1dB", "-c:a", "aac")
    assert check(quiet)["loudness"].startswith(f"{mix.loudness.lufs - 1:.1f} LUFS")
    nearly = make(tmp_path / "nearly.m4a", "-i", str(mix.path), "-af", "volume=-0.3dB", "-c:a", "aac")
    assert check(nearly) == {}


def test_a_frozen_final_segment_is_found_when_it_is_made(moving: Path, tmp_path: Path) -> None:
    """A segment whose picture stands still while its source moves never passes the film's check."""
    plan = row_of([(moving, 30, "0")])
    segments, _ = rendered(plan, tmp_path)
    frozen = make(
        tmp_path / "frozen.mp4", "-i", str(segments[0].path), "-vf",
        "loop=loop=29:size=1:start=10,trim=end_frame=30",
        *FORM.encoder, "-video_track_timescale", str(FORM.timescale),
    )  # fmt: skip
    clip = plan.picture[0]
    assert segment_problems(segments[0].path, segments[0].planned, FORM, clip) == []
    assert any("frozen" in line for line in segment_problems(frozen, segments[0].planned, FORM, clip))


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("size", [(320, 180), (180, 320)])
def test_another_moment_than_planned_is_found_by_decoding_the_source_anew(
    fit: Literal["crop", "pad"], size: tuple[int, int], footage: Path, tmp_path: Path
) -> None:
    """Even where the plan's own thumbnails agree with the wrong picture."""
    form = Format(width=size[0], height=size[1], fps=FPS, fit=fit)
    film = footage / "films" / "big-buck-bunny-480p.mp4"
    plan = row_of([(film, 20, "12"), (film, 20, "20.2")])
    cache = Cache(tmp_path / "cache")
    right, wrong = (make_segment(clip, form, cache) for clip in plan.picture)
    clip = plan.picture[0]
    assert segment_problems(right.path, right.planned, form, clip) == []
    assert any(
        "not the planned moment" in line for line in segment_problems(wrong.path, wrong.planned, form, clip)
    )


def test_a_failed_check_leaves_the_film_under_another_name(
    moving: Path, counting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = row_of([(moving, 30, "0"), (counting, 30, "1.6")])
    options = {"size": SIZE, "cache": tmp_path / "cache"}
    render_timeline(plan, tmp_path / "good.mp4", **options)

    def join_in_disorder(parts: Sequence[Part], *args: object, **more: object) -> object:
        return join_film(parts[::-1], *args, **more)

    monkeypatch.setattr("montage.film.join_film", join_in_disorder)
    other = row_of([(moving, 30, "1"), (counting, 30, "2")])
    with pytest.raises(FilmError, match=r"check 'picture'.*another picture"):
        render_timeline(other, tmp_path / "film.mp4", **options)
    assert (tmp_path / "film.failed.mp4").is_file()
    assert not (tmp_path / "film.mp4").exists()


def test_levels_of_blocks() -> None:
    sound = np.zeros((SAMPLE_RATE, 2), np.float32)
    sound[4800:9600] = 0.5
    levels = block_levels(sound)
    assert len(levels) == 10
    assert levels[1] == pytest.approx(0.5)
    assert levels[0] == levels[2] == 0


def test_a_film_shorter_than_a_block_of_sound_is_checked(moving: Path, tmp_path: Path) -> None:
    assert block_levels(np.ones((4799, 2), np.float32)).shape == (0,)
    film = render_timeline(
        row_of([(moving, 2, "1")]), tmp_path / "f.mp4", size=SIZE, cache=tmp_path / "cache"
    )
    assert film.ok
    assert {check.name: check.detail for check in film.checks}["frames"] == "2 of 2 planned"


def test_checking_costs_little_beside_rendering(moving: Path, tmp_path: Path) -> None:
    source = write_counter(tmp_path / "c.mp4", steady(150, 25), size=(640, 360))
    plan = row_of([(source, 60, "0"), (moving, 60, "1"), (source, 60, "3")])
    film = render_timeline(plan, tmp_path / "film.mp4", size=(1280, 720), cache=tmp_path / "cache")
    assert film.seconds["checks"] < 0.3 * film.seconds["total"]
