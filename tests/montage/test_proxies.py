"""Drafts are joined from proxies, picture by picture, and show what the final film shows."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from filmlab import FPS, SIZE, clip_of, luma, media_of, read_numbers, row_of, steady, timeline, write_counter

from index.base import Span
from montage.cache import Cache
from montage.film import Film, render_timeline
from montage.formats import Format
from montage.proxies import Proxies, shown_frames, stretch_of
from montage.timeline import Framing, Timeline, timeline_of
from montage.values import Slot

WHOLE = Span(Fraction(1), Fraction(9))
FORM = Format(width=SIZE[0], height=SIZE[1], fps=FPS, quality="draft")


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds at 25 frames/s that count."""
    return write_counter(tmp_path_factory.mktemp("proxies") / "counter.mp4", steady(250, 25))


def draft(plan: Timeline, folder: Path, **options: object) -> Film:
    return render_timeline(
        plan, folder / "draft.mp4", size=SIZE, quality="draft", cache=folder / "cache", **options
    )


def in_shot(plan: Timeline, shot: Span = WHOLE) -> Timeline:
    return replace(plan, picture=tuple(replace(clip, shot=shot) for clip in plan.picture))


def test_a_draft_has_the_frames_of_the_final_film(counter: Path, tmp_path: Path) -> None:
    plan = in_shot(row_of([(counter, 30, "1.28"), (counter, 1, "4"), (counter, 40, "6.04")]))
    made = draft(plan, tmp_path)
    assert made.ok
    final = render_timeline(plan, tmp_path / "final.mp4", size=SIZE, cache=tmp_path / "cache")
    numbers = read_numbers(luma(made.path))
    assert numbers == [*range(32, 62), 100, *range(151, 191)]
    assert numbers == read_numbers(luma(final.path))


def test_in_points_lie_on_the_grid_so_that_draft_and_film_agree(counter: Path, tmp_path: Path) -> None:
    """Wherever an in-point was put, within half a frame."""
    media = media_of(counter)
    starts = [Fraction("1.283"), Fraction("3.3349"), Fraction("5.019999")]
    slots = [
        Slot(
            sentence="a", kind="footage", frames=20, shot="s", media=media.id, span=Span(start, start + 2),
            match=0.5,
        )
        for start in starts
    ]  # fmt: skip
    plan = timeline_of(
        slots, (), media={media.id: media}, path_of=lambda _: counter, files={}, fps=FPS, shots={"s": WHOLE}
    )
    assert all(
        abs(clip.span.start - at) <= 1 / (2 * FPS) for clip, at in zip(plan.picture, starts, strict=True)
    )
    assert {clip.shot for clip in plan.picture} == {WHOLE}
    made = draft(plan, tmp_path)
    final = render_timeline(plan, tmp_path / "final.mp4", size=SIZE, cache=tmp_path / "cache")
    assert read_numbers(luma(made.path)) == read_numbers(luma(final.path))


@pytest.mark.parametrize("speed", ["4/5", "3/2"])
def test_slowed_and_hurried_clips_repeat_and_leave_out_pictures(
    speed: str, counter: Path, tmp_path: Path
) -> None:
    plan = timeline([clip_of(counter, 0, 40, "2", speed=speed)])
    made = draft(plan, tmp_path)
    wanted = [int(50 + Fraction(1, 2) + n * Fraction(speed)) for n in range(40)]
    assert read_numbers(luma(made.path)) == wanted
    assert list(shown_frames(plan.picture[0], FPS)) == wanted


def test_a_cut_that_moves_within_the_handles_needs_no_new_proxy(counter: Path, tmp_path: Path) -> None:
    first = draft(in_shot(row_of([(counter, 30, "3"), (counter, 30, "6")])), tmp_path)
    assert (first.segments_rendered, first.segments_reused) == (2, 0)
    moved = draft(in_shot(row_of([(counter, 40, "2.4"), (counter, 20, "6.8")])), tmp_path)
    assert (moved.segments_rendered, moved.segments_reused) == (0, 2)
    assert read_numbers(luma(moved.path)) == [*range(60, 100), *range(170, 190)]
    away = draft(in_shot(row_of([(counter, 40, "1.6"), (counter, 20, "6.8")])), tmp_path)
    assert (away.segments_rendered, away.segments_reused) == (1, 1)


def test_handles_stay_within_the_shot(counter: Path) -> None:
    clip = in_shot(row_of([(counter, 50, "1.2")]), Span(Fraction(1), Fraction("3.5"))).picture[0]
    first, stretch = stretch_of(clip, FORM)
    assert (first, stretch.frames) == (25, 62)
    assert stretch.span == Span(Fraction(1), Fraction(87, 25))
    unknown = replace(clip, shot=None)
    assert stretch_of(unknown, FORM)[1].frames == 50
    panning = replace(clip, framing=Framing(0.2, 0.8))
    assert stretch_of(panning, FORM)[1].frames == 50


def test_a_frame_that_moves_has_a_proxy_of_its_own(counter: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    clip = replace(row_of([(counter, 20, "2")]).picture[0], framing=Framing(0.0, 1.0))
    draft(timeline([clip]), tmp_path)
    assert Proxies(cache, FORM).find(clip) is not None
    assert Proxies(cache, FORM).find(replace(clip, frames=10)) is None
    assert Proxies(cache, FORM).find(replace(clip, framing=Framing())) is None


def test_a_damaged_proxy_is_made_anew(counter: Path, tmp_path: Path) -> None:
    plan = in_shot(row_of([(counter, 30, "3")]))
    draft(plan, tmp_path)
    (proxy,) = (tmp_path / "cache").glob("proxy-*.mp4")
    data = bytearray(proxy.read_bytes())
    data[len(data) // 2] ^= 255
    proxy.write_bytes(data)
    again = draft(plan, tmp_path)
    assert again.ok
    assert again.segments_rendered == 1


def test_a_draft_plays_from_any_picture_and_encodes_no_picture_twice(counter: Path, tmp_path: Path) -> None:
    from montage.joining import packet_sums

    plan = in_shot(row_of([(counter, 25, "3"), (counter, 25, "3")]))
    made = draft(plan, tmp_path)
    packets, sums = packet_sums(made.path)
    assert all(key for _, key in packets)
    assert sums.picture[:25] == sums.picture[25:]
    assert made.segments_rendered == 1
