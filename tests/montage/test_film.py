"""Rendering whole films: the right frames, at the right places, and only what changed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from filmlab import (
    FPS,
    SIZE,
    clip_of,
    colours,
    luma,
    make,
    media_of,
    read_numbers,
    row_of,
    samples,
    shown_at,
    steady,
    timeline,
    write_counter,
)

from index.base import Span
from montage.cache import Cache
from montage.film import Film, render_timeline
from montage.formats import Format
from montage.segments import find_segment, segment_key
from montage.timeline import Caption, Clip, Timeline, sample_at
from montage.values import FilmError, MontageError


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds at 25 frames/s that count."""
    return write_counter(tmp_path_factory.mktemp("sources") / "counter.mp4", steady(250, 25))


def film_of(plan: Timeline, folder: Path, **options: object) -> Film:
    given: dict[str, object] = {"size": SIZE, "cache": folder / "cache", **options}
    return render_timeline(plan, folder / "film.mp4", **given)


def moments(begin: str, frames: int, fps: Fraction = FPS, speed: str = "1") -> list[Fraction]:
    return [Fraction(begin) + n * Fraction(speed) / fps for n in range(frames)]


RATES = {
    "24": steady(200, 24),
    "29.97": steady(250, Fraction(30000, 1001)),
    "50": steady(400, 50),
    "12": steady(100, 12),
    "vfr": [Fraction(n * 40 + (n * n * 7) % 29, 1000) + Fraction(n // 20, 5) for n in range(160)],
}


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_every_frame_is_the_one_on_screen_at_that_moment(name: str, suffix: str, tmp_path: Path) -> None:
    source = write_counter(tmp_path / f"source{suffix}", RATES[name])
    begins = ["0", "0.04", "2.517", str(RATES[name][77])]
    plan = row_of((source, 21, begin) for begin in begins)
    film = film_of(plan, tmp_path)
    expected = [n for begin in begins for n in shown_at(RATES[name], moments(begin, 21))]
    assert read_numbers(luma(film.path)) == expected
    assert film.frames == 84
    assert film.ok


def test_a_transport_stream_is_frame_exact_though_it_has_no_index(tmp_path: Path) -> None:
    times = [Fraction(3, 2) + t for t in steady(300, 25)]
    source = write_counter(tmp_path / "source.ts", times)
    assert media_of(source).start > 1
    film = film_of(row_of([(source, 10, "7.2"), (source, 10, "0.4")]), tmp_path)
    assert read_numbers(luma(film.path)) == [*range(180, 190), *range(10, 20)]


@pytest.mark.parametrize("speed", ["4/5", "2"])
def test_speed_changes_the_source_time_per_frame(counter: Path, speed: str, tmp_path: Path) -> None:
    film = film_of(timeline([clip_of(counter, 0, 40, "1", speed=speed)]), tmp_path)
    assert read_numbers(luma(film.path)) == shown_at(steady(250, 25), moments("1", 40, speed=speed))


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(30), Fraction(60)])
def test_the_film_has_one_exact_rate(counter: Path, fps: Fraction, tmp_path: Path) -> None:
    clips = [clip_of(counter, 0, 31, "1"), clip_of(counter, 31, 17, "4")]
    film = film_of(timeline(clips, fps), tmp_path)
    expected = [n for b, c in (("1", 31), ("4", 17)) for n in shown_at(steady(250, 25), moments(b, c, fps))]
    assert read_numbers(luma(film.path)) == expected
    assert next(c for c in film.checks if c.name == "constant rate").passed


def test_final_quality_has_the_same_frames(counter: Path, tmp_path: Path) -> None:
    film = film_of(
        row_of([(counter, 1, "2"), (counter, 60, "3"), (counter, 2, "6")]), tmp_path, quality="final"
    )
    assert read_numbers(luma(film.path)) == [50, *range(75, 135), 150, 151]


def test_a_short_source_is_an_error_that_names_it(counter: Path, tmp_path: Path) -> None:
    with pytest.raises(MontageError, match=r"counter\.mp4.*too little"):
        film_of(row_of([(counter, 50, "9")]), tmp_path)
    film = film_of(row_of([(counter, 35, "9")]), tmp_path)  # 10 frames short: the last one is held
    assert read_numbers(luma(film.path)) == [*range(225, 250), *[249] * 10]


def test_one_changed_clip_is_one_rendered_segment(counter: Path, tmp_path: Path) -> None:
    plan = row_of([(counter, 20, "0"), (counter, 30, "2"), (counter, 25, "5")])
    first = film_of(plan, tmp_path)
    assert (first.segments_rendered, first.segments_reused) == (3, 0)
    before = {p.name: p.read_bytes() for p in (tmp_path / "cache").iterdir()}
    again = film_of(plan, tmp_path)
    assert (again.segments_rendered, again.segments_reused) == (0, 3)
    changed = film_of(row_of([(counter, 20, "0"), (counter, 26, "3"), (counter, 25, "5")]), tmp_path)
    assert (changed.segments_rendered, changed.segments_reused) == (1, 2)
    after = {p.name: p.read_bytes() for p in (tmp_path / "cache").iterdir()}
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2  # the new segment and its record
    assert read_numbers(luma(changed.path)) == [*range(20), *range(75, 101), *range(125, 150)]


def test_a_clip_shown_twice_is_rendered_once(counter: Path, tmp_path: Path) -> None:
    film = film_of(row_of([(counter, 12, "1"), (counter, 12, "3"), (counter, 12, "1")]), tmp_path)
    assert film.segments_rendered == 2
    assert read_numbers(luma(film.path)) == [*range(25, 37), *range(75, 87), *range(25, 37)]


def test_the_key_of_a_segment_is_all_that_shapes_its_pixels(counter: Path) -> None:
    form = Format(width=160, height=90, fps=FPS)
    clip = clip_of(counter, 0, 20, "1")
    key = segment_key(clip, form)
    assert segment_key(replace(clip, start=400, source=Path("/elsewhere.mp4"), sentence="x"), form) == key
    assert segment_key(replace(clip, span=Span(clip.span.start, clip.span.end + 1)), form) == key
    others = [
        segment_key(replace(clip, frames=21), form),
        segment_key(replace(clip, speed=Fraction(4, 5)), form),
        segment_key(replace(clip, span=Span(Fraction(2), Fraction(4))), form),
        segment_key(replace(clip, content="0" * 32), form),
        *(
            segment_key(clip, replace(form, **change))
            for change in ({"width": 320}, {"fps": Fraction(24)}, {"fit": "pad"}, {"quality": "draft"})
        ),
    ]
    assert len({key, *others}) == len(others) + 1


def test_a_damaged_segment_is_rendered_again(counter: Path, tmp_path: Path) -> None:
    plan = row_of([(counter, 20, "0"), (counter, 20, "2")])
    film_of(plan, tmp_path)
    form = Format(width=SIZE[0], height=SIZE[1], fps=FPS)
    cache = Cache(tmp_path / "cache")
    path = cache.path(segment_key(plan.picture[1], form), ".mp4")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    assert find_segment(plan.picture[1], form, cache) is None
    film = film_of(plan, tmp_path)
    assert (film.segments_rendered, film.segments_reused) == (1, 1)
    assert read_numbers(luma(film.path)) == [*range(20), *range(50, 70)]


def test_killed_at_any_moment_the_cache_holds_only_whole_segments(counter: Path, tmp_path: Path) -> None:
    starts = [f"{n / 4}" for n in range(24)]
    script = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "from pathlib import Path; from filmlab import row_of; from montage.film import render_timeline\n"
        f"render_timeline(row_of((Path({str(counter)!r}), 24, s) for s in {starts!r}), "
        f"Path({str(tmp_path / 'film.mp4')!r}), size=(640, 360), cache=Path({str(tmp_path / 'cache')!r}))\n"
    )
    here = Path(__file__).resolve().parent
    for kill_at in (2, 9, 16):
        with subprocess.Popen([sys.executable, "-c", script, str(here.parent.parent), str(here)]) as process:
            deadline = time.monotonic() + 60
            while len(list((tmp_path / "cache").glob("[0-9a-f]*.mp4"))) < kill_at:
                assert process.poll() is None
                assert time.monotonic() < deadline
                process.poll()
            process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "film.mp4").exists()
    plan = row_of((counter, 24, s) for s in starts)
    film = film_of(plan, tmp_path, size=(640, 360), quality="final")
    assert film.segments_reused >= 16
    assert read_numbers(luma(film.path)) == [25 * n // 4 + k for n in range(24) for k in range(24)]


def test_the_cache_forgets_what_was_used_longest_ago_but_not_this_film(counter: Path, tmp_path: Path) -> None:
    old = row_of([(counter, 20, "0"), (counter, 20, "2")])
    new = row_of([(counter, 20, "2"), (counter, 20, "4")])
    film_of(old, tmp_path)
    film_of(new, tmp_path, cache_limit=1)
    form = Format(width=SIZE[0], height=SIZE[1], fps=FPS)
    names = {p.stem for p in (tmp_path / "cache").iterdir()}
    assert names == {segment_key(clip, form) for clip in new.picture}


def test_a_source_that_is_rotated_is_shown_upright(tmp_path: Path) -> None:
    upright = make(
        tmp_path / "upright.mp4", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=1", "-pix_fmt", "yuv420p"
    )
    # Stored turned a quarter to the left, with the tag that tells players to turn it back.
    stored = make(
        tmp_path / "stored.mp4", "-i", str(upright), "-vf", "transpose=2", "-c:v", "libx264", "-crf", "5"
    )
    turned = make(tmp_path / "turned.mp4", "-display_rotation", "-90", "-i", str(stored), "-c", "copy")
    want = film_of(row_of([(upright, 20, "0")]), tmp_path)
    expected = colours(want.path, SIZE)
    film = film_of(timeline([clip_of(turned, 0, 20, rotation=90)]), tmp_path)
    assert np.abs(colours(film.path, SIZE).astype(int) - expected).mean() < 4


def _circle(path: Path, size: tuple[int, int], aspect: Fraction) -> Path:
    """A white disc that is round when pixels have this aspect."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    disc = ((x - width / 2) * float(aspect)) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2
    frame = np.repeat((disc * 220 + 20).astype(np.uint8)[:, :, None], 3, axis=2).tobytes()
    from montage.process import run_ffmpeg

    run_ffmpeg(
        ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", "25", "-i", "pipe:0",
         "-vf", f"setsar={aspect.numerator}/{aspect.denominator}",
         "-pix_fmt", "yuv420p", "-crf", "5", str(path)],
        what="draw a disc",
        data=[frame] * 10,
    )  # fmt: skip
    return path


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize(
    ("size", "aspect"),
    [
        ((240, 180), Fraction(4, 3)),
        ((320, 180), Fraction(1)),
        ((180, 320), Fraction(1)),
        ((64, 200), Fraction(8, 3)),
    ],
)
def test_nothing_is_distorted(fit: str, size: tuple[int, int], aspect: Fraction, tmp_path: Path) -> None:
    source = _circle(tmp_path / "disc.mp4", size, aspect)
    film = film_of(
        timeline([clip_of(source, 0, 5, sample_aspect=aspect)]), tmp_path, size=(320, 180), fit=fit
    )
    frame = luma(film.path, (320, 180))[2] > 130
    wide, high = frame.any(axis=0).sum(), frame.any(axis=1).sum()
    display = (size[0] * aspect, size[1])
    scale = (max if fit == "crop" else min)(320 / display[0], Fraction(180) / display[1])
    expected = float(size[1] / 2 * scale)
    assert high == pytest.approx(min(180, expected), abs=3)
    assert wide == pytest.approx(min(320, expected), abs=3)


def test_colours_survive_range_and_matrix(tmp_path: Path) -> None:
    """The same red, green and blue whether a source is tagged BT.601 full range or BT.709 limited."""
    for name, scale, tags in (
        ("601", "out_color_matrix=bt601:out_range=pc", ("smpte170m", "pc")),
        ("709", "out_color_matrix=bt709:out_range=tv", ("bt709", "tv")),
    ):
        for colour, rgb in (
            ("0xC02020", (192, 32, 32)),
            ("0x20A040", (32, 160, 64)),
            ("0x3050D0", (48, 80, 208)),
        ):
            source = make(
                tmp_path / f"{name}-{colour}.mp4",
                "-f", "lavfi", "-i", f"color={colour}:s=320x180:r=25:d=0.4,format=rgb24",
                "-vf", f"scale={scale},format=yuv420p", "-colorspace", tags[0],
                "-color_range", tags[1], "-crf", "5",
            )  # fmt: skip
            film = film_of(
                timeline([clip_of(source, 0, 8, matrix=tags[0], full_range=tags[1] == "pc")]), tmp_path
            )
            seen = colours(film.path, SIZE)[4].reshape(-1, 3).mean(axis=0)
            assert np.abs(seen - rgb).max() < 6, (name, colour, seen)


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_hdr_is_toned_down_not_grey(transfer: str, tmp_path: Path) -> None:
    source = make(
        tmp_path / "hdr.mkv",
        "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=1", "-vf",
        f"zscale=tin=bt709:min=bt709:pin=bt709:rin=tv:t={transfer}:m=bt2020nc:p=bt2020:npl=203,format=yuv420p10le",
        "-c:v", "libx265", "-x265-params", "log-level=none", "-color_trc", transfer,
        "-color_primaries", "bt2020", "-colorspace", "bt2020nc",
    )  # fmt: skip
    film = film_of(timeline([clip_of(source, 0, 20, transfer=transfer, matrix="bt2020nc")]), tmp_path)
    seen = colours(film.path, SIZE)[10].astype(int)
    assert (seen.max(axis=2) - seen.min(axis=2)).max() > 120
    assert seen.max() > 170


def test_transparent_parts_are_black(tmp_path: Path) -> None:
    source = make(
        tmp_path / "alpha.mov",
        "-f", "lavfi", "-i",
        "color=white:s=160x90:r=25:d=0.5,format=rgba,geq=r=255:g=255:b=255:a='255*gte(X,80)'",
        "-c:v", "qtrle",
    )  # fmt: skip
    clip = clip_of(source, 0, 10)
    assert clip.media is not None
    assert clip.media.pixel_format in ("argb", "rgba")
    seen = luma(film_of(timeline([clip]), tmp_path).path)[5]
    assert seen[:, :70].max() < 12
    assert seen[:, 90:].min() > 240


def test_interlaced_footage_is_woven(tmp_path: Path) -> None:
    moving = make(
        tmp_path / "interlaced.mkv",
        "-f", "lavfi", "-i", "testsrc2=s=320x180:r=50:d=1", "-vf", "tinterlace=interleave_top,setfield=tff",
        "-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-q:v", "2",
    )  # fmt: skip
    film = film_of(row_of([(moving, 20, "0.2")]), tmp_path, size=(320, 180))
    frames = luma(film.path, (320, 180)).astype(int)
    raw = luma(moving, (320, 180)).astype(int)
    comb = [np.abs(f[:-2:2] - 2 * f[1:-1:2] + f[2::2]).mean() for f in (frames[8], raw[13])]
    assert comb[0] < 0.6 * comb[1]


def test_sources_with_one_frame_or_tiny_pictures(tmp_path: Path) -> None:
    one = write_counter(tmp_path / "one.mp4", [Fraction(0)])
    tiny = make(
        tmp_path / "tiny.mp4", "-f", "lavfi", "-i", "testsrc2=s=18x32:r=25:d=1", "-pix_fmt", "yuv420p"
    )
    film = film_of(row_of([(one, 8, "0"), (tiny, 20, "0")]), tmp_path)
    assert film.ok
    assert film.frames == 28


def test_a_film_without_sound_has_a_silent_track(counter: Path, tmp_path: Path) -> None:
    film = film_of(row_of([(counter, 30, "0")]), tmp_path)
    heard = samples(film.path)
    assert abs(len(heard) - 30 * 1920) <= 1024
    assert not heard.any()
    assert film.loudness is None


def test_captions_lie_beside_the_film(counter: Path, tmp_path: Path) -> None:
    clips = row_of([(counter, 25, "0"), (counter, 25, "2")])
    words = Caption(start=25, frames=25, text="Zählt weiter 清晨。", language="en")
    film = film_of(replace(clips, captions=(words,)), tmp_path)
    assert film.captions == (tmp_path / "film.srt",)
    text = film.captions[0].read_text(encoding="utf-8")
    assert text == "1\n00:00:01,000 --> 00:00:02,000\nZählt weiter 清晨。\n\n"
    assert film_of(clips, tmp_path).captions == ()
    assert not (tmp_path / "film.srt").exists()


def test_captions_that_were_changed_by_hand_are_kept(counter: Path, tmp_path: Path) -> None:
    clips = row_of([(counter, 25, "0"), (counter, 25, "2")])

    def film(words: str, *formats: str) -> Film:
        caption = Caption(start=25, frames=25, text=words, language="en")
        return film_of(replace(clips, captions=(caption,)), tmp_path, captions=formats)

    path = tmp_path / "film.srt"
    assert film("Counts on.", "srt").kept == ()
    assert film("Goes on.", "srt").kept == ()
    for number, name in enumerate(("film.edited.srt", "film.edited1.srt")):
        path.write_text(f"mine {number}", encoding="utf-8")
        assert film("Counts on.", "srt", "ass").kept == (tmp_path / name,)
        assert (tmp_path / name).read_text(encoding="utf-8") == f"mine {number}"
    # What an earlier film left goes, what somebody changed stays.
    path.write_text("mine", encoding="utf-8")
    assert film("Counts on.", "vtt").captions == (tmp_path / "film.vtt",)
    assert path.read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "film.ass").exists()


def test_films_of_one_name_share_their_captions(counter: Path, tmp_path: Path) -> None:
    clips = row_of([(counter, 25, "0"), (counter, 25, "2")])
    plan = replace(clips, captions=(Caption(start=25, frames=25, text="Counts on.", language="en"),))
    film_of(plan, tmp_path, captions=("srt", "vtt"))
    second = render_timeline(plan, tmp_path / "film.webm", size=SIZE, cache=tmp_path / "cache")
    assert second.captions == (tmp_path / "film.srt",)
    assert (tmp_path / "film.vtt").is_file()
    assert (tmp_path / "film.mp4").is_file()
    # Where no film of ours is, captions that are not ours stay.
    (tmp_path / "other.srt").write_text("mine", encoding="utf-8")
    with pytest.raises(MontageError, match=r"other\.srt is there without a film of ours"):
        render_timeline(plan, tmp_path / "other.webm", size=SIZE, cache=tmp_path / "cache")


def test_a_film_does_not_replace_what_it_is_made_from(counter: Path, tmp_path: Path) -> None:
    film = film_of(row_of([(counter, 25, "0")]), tmp_path)
    before = film.path.read_bytes()
    with pytest.raises(MontageError, match="itself part of what the film is made from"):
        film_of(row_of([(film.path, 20, "0")]), tmp_path)
    assert film.path.read_bytes() == before


def test_a_full_disk_is_one_message(counter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(FilmError, match=r"cannot make .*film\.mp4: No space left on device; make room"):
        film_of(row_of([(counter, 25, "0")]), tmp_path)
    assert not list((tmp_path / "cache").glob(".tmp*"))


def test_a_failed_render_leaves_the_old_film_and_no_temporary_files(counter: Path, tmp_path: Path) -> None:
    good = film_of(row_of([(counter, 25, "0")]), tmp_path)
    before = good.path.read_bytes()
    with pytest.raises(MontageError):
        film_of(row_of([(counter, 25, "0"), (counter, 100, "9")]), tmp_path)
    assert good.path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    assert not list((tmp_path / "cache").glob(".tmp*"))


def test_what_a_killed_run_left_is_removed_later(counter: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    left = [tmp_path / ".film.tmp-1.mp4", tmp_path / "cache" / ".tmp-1-0.mp4"]
    running = [tmp_path / ".film.tmp-2.mp4", tmp_path / "cache" / ".tmp-2-0.mp4"]
    for path in (*left, *running):
        path.write_bytes(b"part")
    for path in left:
        os.utime(path, (1, 1))
    film_of(row_of([(counter, 25, "0")]), tmp_path)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in running)


def test_cancelling_stops_soon(counter: Path, tmp_path: Path) -> None:
    asked: list[int] = []

    def cancel() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(FilmError, match="cancelled"):
        film_of(row_of((counter, 25, f"{n}") for n in range(9)), tmp_path, size=(1280, 720), cancel=cancel)
    assert not (tmp_path / "film.mp4").exists()
    assert not list((tmp_path / "cache").glob(".tmp*"))


def test_progress_counts_every_clip(counter: Path, tmp_path: Path) -> None:
    said: list[tuple[int, int, str]] = []
    film_of(
        row_of([(counter, 20, "0"), (counter, 20, "2")]), tmp_path, progress=lambda *step: said.append(step)
    )
    assert [(done, total) for done, total, _ in said] == [(1, 2), (2, 2)]
    assert "counter.mp4" in said[0][2]


@pytest.mark.parametrize(
    ("change", "message"),
    [({"size": (161, 90)}, "even"), ({"size": (16, 16)}, "64"), ({"fit": "stretch"}, "stretch")],
)
def test_impossible_films_are_refused(
    counter: Path, change: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(MontageError, match=message):
        film_of(row_of([(counter, 20, "0")]), tmp_path, **change)
    with pytest.raises(MontageError, match=r"\.mp4"):
        render_timeline(row_of([(counter, 20, "0")]), tmp_path / "film.avi", cache=tmp_path / "cache")


def test_a_vanished_source_is_named(counter: Path, tmp_path: Path) -> None:
    plan = row_of([(counter, 20, "0")])
    gone = replace(plan.picture[0], source=tmp_path / "gone.mp4")
    with pytest.raises(MontageError, match=r"gone\.mp4"):
        film_of(timeline([gone]), tmp_path)


def test_odd_names_are_files(counter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = []
    for n, name in enumerate(["-y.mp4", "it's 100%d: [a],b;c.mp4", "line\nbreak.mp4", "海边.mp4"]):
        path = tmp_path / name
        path.write_bytes(counter.read_bytes())
        plans.append(clip_of(path, 10 * n, 10, f"{n}"))
    output = tmp_path / "-film 'x' 100%.mp4"
    film = render_timeline(timeline(plans), output, size=SIZE, cache=tmp_path / "ca'che%d")
    assert read_numbers(luma(film.path)) == [25 * n + k for n in range(4) for k in range(10)]
    # A name that looks like an address, in the folder where the program runs.
    monkeypatch.chdir(tmp_path)
    film = render_timeline(timeline(plans[:1]), "http:film.mp4", size=SIZE, cache=Path("ca'che%d"))
    assert (tmp_path / "http:film.mp4").is_file()


def test_thirty_joins_do_not_drift(tmp_path: Path) -> None:
    """A flash and a click together in every clip stay together to the end of the film."""
    fps = Fraction(30000, 1001)
    source = make(
        tmp_path / "clap.mov",
        "-f", "lavfi", "-i",
        "color=gray:s=160x90:r=30000/1001:d=3,drawbox=c=white:t=fill:enable='between(n,45,47)'",
        "-f", "lavfi", "-i", "aevalsrc='if(between(t,1.5015,1.6016),0.5*sin(2*PI*1000*t),0)':s=48000:d=3",
        "-c:v", "libx264", "-g", "30", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le",
    )  # fmt: skip
    media = media_of(source)
    clips: list[Clip] = []
    for n in range(31):
        begin = Fraction(n % 7 + 10) / fps
        clips.append(
            Clip(
                start=clips[-1].end if clips else 0, frames=53 - n % 3, kind="footage", source=source,
                content=media.id, span=Span(begin, Fraction(3)), media=media,
            )
        )  # fmt: skip
    plan = timeline(clips, fps)
    film = film_of(plan, tmp_path)
    flash = luma(film.path).mean(axis=(1, 2)) > 190
    loud = np.abs(samples(film.path)).max(axis=1) > 0.05
    for n, clip in enumerate(plan.picture):
        frame = clip.start + int(np.flatnonzero(flash[clip.start : clip.end])[0])
        begin = sample_at(clip.start, fps)
        click = begin + int(np.flatnonzero(loud[begin : sample_at(clip.end, fps)])[0])
        assert abs(click / 48000 - float(frame / fps)) < 0.004, n


@pytest.mark.parametrize(
    "name",
    ["alpha-vp9.webm", "failing-audio.mp4", "fps-90000-tag.mp4", "no-duration.webm", "smpte-bars.mp4"],
)
@pytest.mark.parametrize("size", [(160, 90), (90, 160)])
def test_odd_files_render(name: str, size: tuple[int, int], footage: Path, tmp_path: Path) -> None:
    path = footage / "odd" / name
    film = film_of(row_of([(path, 20, "0"), (path, 20, "1.1")]), tmp_path, size=size)
    assert film.ok
    assert film.frames == 40


def test_real_footage_of_every_kind_makes_one_film(footage: Path, tmp_path: Path) -> None:
    names = [
        "clips/beach.mp4",
        "clips/asl-book.mkv",
        "films/sintel-mpeg1.mpg",
        "films/big-buck-bunny-720p-vp8.webm",
        "clips/man-to-camera-vertical.mp4",
        "films/chaplin-1910s.mp4",
    ]
    plan = row_of((footage / name, 18, "0.9") for name in names)
    film = film_of(plan, tmp_path, quality="final")
    assert film.ok
    assert film.frames == 108
    assert film.loudness is not None
    assert len(luma(film.path)) == 108


@pytest.mark.parametrize(
    "name", ["films/sintel-mpeg1.mpg", "films/big-buck-bunny-720p-vp8.webm", "clips/asl-book.mkv"]
)
def test_in_points_of_real_files_agree_with_decoding_from_the_start(
    name: str, footage: Path, tmp_path: Path
) -> None:
    """What seeking gives is what decoding everything before it gives."""
    import av

    begin = Fraction(5, 4)
    media = media_of(footage / name)
    size = (2 * round(media.width / 8), 2 * round(media.height / 8))
    with av.open(str(footage / name)) as container:
        first, wanted = None, None
        for frame in container.decode(video=0):
            time = Fraction(frame.pts or 0) * Fraction(frame.time_base or 1)
            first = time if first is None else first
            if time - first > begin + Fraction(2, 1000):
                break
            wanted = frame
        assert wanted is not None
        expected = wanted.reformat(*size, "rgb24").to_ndarray().astype(int).mean(axis=2)
    film = film_of(row_of([(footage / name, 6, str(begin))]), tmp_path, size=size, quality="final")
    shown = colours(film.path, size)[0].astype(int).mean(axis=2)
    assert np.abs(shown - expected).mean() < 3
