"""The frame keeps faces and what stands out, stands still, and pans only where it must."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from filmlab import clip_of, make, timeline

from index.base import Span
from index.faces import find_face_boxes
from index.stills import frame_at
from montage.cache import Cache
from montage.reframing import find_framing, reframed
from montage.timeline import Clip, Framing
from montage.values import FilmError

TALL = 9 / 16
SUBJECTS = {
    "asl-book.mkv": 0.455,
    "bmx-trees.mp4": 0.5,
    "car-shadow.mp4": 0.45,
    "fruit-and-vegetable-detection.mp4": 0.68,
    "goat.mp4": 0.65,
    "horsejump-high.mp4": 0.40,
    "person-bicycle-car-detection.mp4": 0.27,
    "soapbox.mp4": 0.32,
    "wind-turbine.mp4": 0.30,
}
"""Where the subject is along the picture at 0.8 s, as a person saw it."""


def spot(folder: Path, size: tuple[int, int], x: str, y: str = "60") -> Path:
    """A small patch of noise on a plain ground; ``x`` and ``y`` may count on the frame number ``n``."""
    width, height = size
    return make(
        folder / "spot.mp4", "-f", "lavfi", "-i", f"color=0x808080:s={width}x{height}:r=25:d=4",
        "-f", "lavfi", "-i", "testsrc=s=40x40:r=25:d=4",
        "-filter_complex", f"[0][1]overlay=x='{x}':y='{y}'", "-pix_fmt", "yuv420p", "-c:v", "libx264",
        "-preset", "veryfast",
    )  # fmt: skip


def clip(path: Path, **known: object) -> Clip:
    made = clip_of(path, 0, 75, "0.2", **known)
    return replace(made, span=Span(Fraction(1, 5), Fraction(16, 5)))


def window(framing: Framing, kept: float) -> tuple[float, float]:
    return framing.first * (1 - kept), framing.first * (1 - kept) + kept


@pytest.mark.parametrize("x", [20, 140, 260])
def test_what_stands_out_is_kept(x: int, tmp_path: Path) -> None:
    framing = find_framing(clip(spot(tmp_path, (320, 180), str(x))), TALL)
    first, last = window(framing, TALL * 180 / 320)
    assert first <= x / 320 < (x + 40) / 320 <= last + 0.01
    assert framing.first == framing.last


def test_a_tall_picture_is_cut_above_and_below_and_keeps_its_face(footage: Path) -> None:
    made = clip(footage / "clips" / "man-to-camera-vertical.mp4")
    assert made.media is not None
    width, height = made.media.display_size
    framing = find_framing(made, 16 / 9)
    first, last = window(framing, width / height * 9 / 16)
    picture = frame_at(made.source, Fraction(1), side=180)
    (_, top, _, size), *_ = find_face_boxes(picture)
    assert first <= top + 0.02 < top + size <= last + 0.02


@pytest.mark.parametrize("aspect", [16 / 9, 1.77])
def test_what_is_not_cropped_is_not_looked_at(aspect: float, tmp_path: Path) -> None:
    made = clip(spot(tmp_path, (320, 180), "20"))
    assert find_framing(replace(made, source=tmp_path / "gone.mp4"), aspect) == Framing()
    assert find_framing(replace(made, media=None), TALL) == Framing()


def test_subjects_of_real_footage_are_in_the_frame(footage: Path) -> None:
    kept = TALL * 9 / 16
    seen, middle = 0, 0
    for name, place in SUBJECTS.items():
        framing = find_framing(clip(footage / "clips" / name), TALL)
        first, last = window(framing, kept)
        seen += first <= place <= last
        middle += 0.5 - kept / 2 <= place <= 0.5 + kept / 2
    assert seen >= len(SUBJECTS) - 1
    assert middle < seen - 1


def test_a_face_that_walks_is_followed_by_an_even_pan(footage: Path, tmp_path: Path) -> None:
    still = frame_at(footage / "clips" / "head-pose-face-detection-male.mp4", Fraction(1), side=360)
    import cv2

    width = still.shape[1]
    face = cv2.resize(still[:, width // 2 - 120 : width // 2 + 120], (160, 240))
    cv2.imwrite(str(tmp_path / "face.png"), face[:, :, ::-1])
    walking = make(
        tmp_path / "walk.mp4", "-f", "lavfi", "-i", "color=0xb0b0b0:s=640x360:r=25:d=4",
        "-i", str(tmp_path / "face.png"), "-filter_complex", "[0][1]overlay=x='20+100*t':y=60",
        "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast",
    )  # fmt: skip
    framing = find_framing(clip(walking), TALL)
    assert framing.first < 0.25
    assert framing.last > framing.first + 0.4


def test_places_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = clip(spot(tmp_path, (320, 180), "20"))
    cache = Cache(tmp_path / "cache")
    plan = timeline([made])
    first = reframed(plan, (90, 160), cache)
    assert first.picture[0].framing.first < 0.2
    monkeypatch.setattr("montage.reframing.frames_at", lambda *_, **__: pytest.fail("decoded again"))
    assert reframed(plan, (90, 160), cache) == first
    assert reframed(plan, (160, 90), cache) == plan
    with pytest.raises(FilmError, match="cancelled"):
        reframed(plan, (90, 160), cache, cancel=lambda: True)


def test_a_source_that_cannot_be_decoded_keeps_its_middle(tmp_path: Path) -> None:
    made = clip(spot(tmp_path, (320, 180), "20"))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(made.source.read_bytes()[:2000])
    plan = timeline([replace(made, source=broken)])
    assert reframed(plan, (90, 160), Cache(tmp_path / "cache")).picture[0].framing == Framing()
    # Nothing is remembered of it: the file may come back whole.
    broken.write_bytes(made.source.read_bytes())
    assert reframed(plan, (90, 160), Cache(tmp_path / "cache")).picture[0].framing != Framing()
