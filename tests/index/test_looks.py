from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from index.base import Span
from index.decode import Decoding, Image
from index.faces import find_faces
from index.looks import LookMeter, perceptual_hash, shot_size
from index.measure import measure_file, tile
from index.records import plain_look, shot_from
from index.values import Look


def scene(seed: int = 1) -> Image:
    """A large picture full of detail, from smoothed noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    picture: Image = cv2.resize(noise, (1280, 720), interpolation=cv2.INTER_CUBIC)
    return picture


def filmed(x: Callable[[float], float], y: Callable[[float], float], zoom: Callable[[float], float]) -> Look:
    """Two seconds at 25 frames a second with a camera at (x, y), in frame widths, and a zoom."""
    picture, meter = scene(), LookMeter()
    for number in range(50):
        time = number / 25
        width = 640 / zoom(time)
        left, top = 640 + x(time) * 640 - width / 2, 360 + y(time) * 640 - width * 9 / 32
        corners = np.array([[left, top], [left + width, top], [left, top + width * 9 / 16]], dtype=np.float32)
        target = np.array([[0, 0], [320, 0], [0, 180]], dtype=np.float32)
        matrix = cv2.getAffineTransform(corners, target)
        meter.push(Fraction(number, 25), cv2.warpAffine(picture, matrix, (320, 180), flags=cv2.INTER_AREA))
    return meter.finish(np.zeros((180, 320, 3), dtype=np.uint8))


def still(time: float) -> float:
    return 0.0


def unchanged(time: float) -> float:
    return 1.0


@pytest.mark.parametrize(
    ("x", "y", "zoom", "move"),
    [
        (still, still, unchanged, "static"),
        (lambda t: 0.1 * t, still, unchanged, "pan-right"),
        (lambda t: -0.1 * t, still, unchanged, "pan-left"),
        (still, lambda t: -0.06 * t, unchanged, "tilt-up"),
        (still, lambda t: 0.06 * t, unchanged, "tilt-down"),
        (still, still, lambda t: 1 + 0.15 * t, "zoom-in"),
        (still, still, lambda t: 1.4 - 0.15 * t, "zoom-out"),
        (lambda t: 0.02 * np.sin(9 * t), lambda t: 0.02 * np.sin(13 * t), unchanged, "handheld"),
    ],
)
def test_camera_moves_of_a_known_camera(
    x: Callable[[float], float], y: Callable[[float], float], zoom: Callable[[float], float], move: str
) -> None:
    look = filmed(x, y, zoom)
    assert look.move == move
    if move == "static":
        assert look.shake == 0
        assert look.motion < 0.001
    if move == "handheld":
        assert look.shake > 0.2
    if move.startswith("pan"):
        assert look.motion == pytest.approx(0.1, rel=0.1)
        assert look.shake < 0.1


def plain(colour: tuple[int, int, int]) -> Look:
    image = np.full((90, 160, 3), colour, dtype=np.uint8)
    meter = LookMeter()
    for number in range(5):
        meter.push(Fraction(number, 10), image)
    return meter.finish(image)


def test_light_and_colour_of_plain_pictures() -> None:
    white, black, red = plain((255, 255, 255)), plain((0, 0, 0)), plain((255, 0, 0))
    assert (white.brightness, white.contrast, white.saturation) == (1, 0, 0)
    assert white.lab == pytest.approx((100, 0, 0), abs=0.1)
    assert (black.brightness, black.sharpness) == (0, 0)
    assert red.saturation == 1
    assert red.lab == pytest.approx((53.2, 80.1, 67.2), abs=0.3)
    assert red.move == "static"


def test_a_blurred_picture_is_less_sharp() -> None:
    crisp = cv2.resize(scene(), (320, 180), interpolation=cv2.INTER_AREA)
    sharpness = []
    for sigma in (0.5, 1, 2, 4):
        image = cv2.GaussianBlur(crisp, (0, 0), sigma)
        meter = LookMeter()
        meter.push(Fraction(0), image)
        sharpness.append(meter.finish(image).sharpness)
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[0] > 2 * sharpness[-1]


def test_perceptual_hashes_know_a_picture_again() -> None:
    one, other = scene(1), scene(2)
    smaller = cv2.resize(one, (320, 180), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", smaller, [cv2.IMWRITE_JPEG_QUALITY, 40])
    again = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert (perceptual_hash(one) ^ perceptual_hash(again)).bit_count() <= 4
    assert (perceptual_hash(one) ^ perceptual_hash(other)).bit_count() > 16


def test_faces_decide_shot_size_and_one_stray_face_does_not() -> None:
    image = np.zeros((90, 160, 3), dtype=np.uint8)
    samples = [image] * 5
    meter = LookMeter()
    meter.push(Fraction(0), image)
    look = meter.finish(image, samples=samples, faces=lambda _: [0.2, 0.1])
    assert (look.size, look.faces) == ("MS", 2)
    answers = iter([[0.5], [], [], [], []])
    look = meter.finish(image, samples=samples, faces=lambda _: next(answers))
    assert (look.size, look.faces) == (None, 0)


def test_faces_of_real_footage(footage: Path) -> None:
    """Hand-counted faces: portraits, two people in a corridor, and pictures without anybody."""
    sizes = {}
    for name in ("asl-again.mkv", "red-haired-woman.mp4", "face-demographics-walking.mp4", "goat.mp4"):
        frames = [frame.image for frame in Decoding(footage / "clips" / name)]
        found = find_faces(frames[len(frames) // 2])
        sizes[name] = (len(found), shot_size(found[0]) if found else None)
        assert found == sorted(found, reverse=True)
    assert sizes == {
        "asl-again.mkv": (1, "MS"),
        "red-haired-woman.mp4": (1, "ECU"),
        "face-demographics-walking.mp4": (2, "LS"),
        "goat.mp4": (0, None),
    }


def test_tiny_and_plain_pictures_hold_no_faces() -> None:
    for shape in ((2, 2, 3), (12, 12, 3), (13, 200, 3), (180, 320, 3)):
        assert find_faces(np.full(shape, 128, dtype=np.uint8)) == []


@pytest.mark.parametrize(
    ("height", "size"),
    [
        (0.7, "ECU"),
        (0.6, "CU"),
        (0.4, "CU"),
        (0.33, "MS"),
        (0.2, "MS"),
        (0.12, "LS"),
        (0.05, "LS"),
        (0.04, None),
    ],
)
def test_shot_size_by_the_height_of_a_face(height: float, size: str | None) -> None:
    assert shot_size(height) == size


@pytest.mark.parametrize("seconds", ["0.04", "2", "4", "4.001", "4.99", "5", "6.5", "8.9", "139.4"])
def test_windows_tile_a_shot(seconds: str) -> None:
    shot = Span(Fraction(3, 7), Fraction(3, 7) + Fraction(seconds))
    windows = tile(shot)
    assert windows[0].start == shot.start
    assert windows[-1].end == shot.end
    assert all(a.end == b.start for a, b in itertools.pairwise(windows))
    if Fraction(seconds) <= 4:
        assert len(windows) == 1
    else:
        assert all(Fraction(3, 2) <= window.seconds <= 3 for window in windows)


def test_a_measured_file_is_whole(footage: Path) -> None:
    measured = measure_file(footage / "films/big-buck-bunny-480p.mp4", None)
    assert measured.shots[0].span.start == 0
    assert measured.shots[-1].span.end == measured.media.duration
    assert all(a.span.end == b.span.start for a, b in zip(measured.shots, measured.shots[1:], strict=False))
    assert len(measured.thumbnails) == len(measured.shots)
    assert measured.features.shape == (sum(len(shot.windows) for shot in measured.shots), 0)
    assert all(shot.look.loudness is not None and -70 < shot.look.loudness < 0 for shot in measured.shots)
    assert measured.note == ""


def test_looks_of_older_libraries_are_read(footage: Path) -> None:
    shot = measure_file(footage / "clips/flower.mp4", None, detector="fast").shots[0]
    assert shot.look.speech == 0
    assert 0 < shot.look.whole_phash < 2**63
    kept = plain_look(shot.look)
    spans = json.dumps([[str(shot.span.start), str(shot.span.end)]])
    row = (shot.id, shot.media, spans[1:-1], spans)
    assert shot_from((*row, json.dumps(kept), "")).look == shot.look
    for name in ("speech", "whole_phash"):
        del kept[name]
    older = shot_from((*row, json.dumps(kept), "")).look
    assert (older.speech, older.whole_phash) == (None, 0)
    assert older.phash == shot.look.phash
