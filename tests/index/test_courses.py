"""When the camera moves and which way the subject goes, over stills of real footage with exact truth."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from filmed import middle_frames

from index.decode import Decoding, Image
from index.motion import Movement, MovementMeter
from index.values import CameraMove

CLIPS = ("candles", "ice-cream", "parkour", "goat", "bottle-detection", "scooter-black", "libby", "flower")
WIDTH, HEIGHT = 320, 180
RATE = 25


@pytest.fixture(scope="module")
def stills(footage: Path) -> list[Image]:
    return middle_frames([footage / "clips" / f"{name}.mp4" for name in CLIPS], longer=960)


def take(
    still: Image,
    seconds: float,
    camera: tuple[float, float, float],
    *,
    lasts: tuple[float, float] | None = None,
    eased: bool = False,
    subject: Image | None = None,
    path: tuple[float, float, float, float] = (0, 0, 0, 0),
    seed: int = 0,
) -> Movement:
    """The movement over a still. ``camera``: how far it goes right, down (frame widths) and in (log).

    It goes during ``lasts``. A subject, an oval cut out of another picture, goes in the frame from
    ``path[:2]`` to ``path[2:]`` (frame widths).
    """
    first, last = lasts or (0.0, seconds)
    height, width = still.shape[:2]
    base = min(width, height * 16 / 9) * 0.55
    chance = np.random.default_rng(seed)
    noises = [chance.normal(0, 1.2, (HEIGHT, WIDTH, 3)).astype(np.float32) for _ in range(5)]
    meter = MovementMeter()
    for number in range(round(seconds * RATE)):
        time = number / RATE
        share = min(1.0, max(0.0, (time - first) / (last - first)))
        share = 3 * share**2 - 2 * share**3 if eased else share
        window = base / np.exp(camera[2] * (share - 0.3))
        left = width / 2 + camera[0] * (share - 0.5) * base - window / 2
        top = height / 2 + camera[1] * (share - 0.5) * base - window * 9 / 32
        scale = window / WIDTH
        matrix = np.array([[scale, 0, left], [0, scale, top]])
        image = np.asarray(
            cv2.warpAffine(
                still,
                matrix,
                (WIDTH, HEIGHT),
                flags=cv2.INTER_AREA | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REFLECT,
            ),
            np.uint8,
        )
        if subject is not None:
            along = time / seconds
            x, y = (path[i] + (path[i + 2] - path[i]) * along for i in (0, 1))
            image = paste(image, subject, x * WIDTH, y * WIDTH)
        noisy = cv2.add(image, noises[number % 5], dtype=cv2.CV_8U)
        meter.push(Fraction(number, RATE), np.asarray(noisy, np.uint8))
    return meter.finish()


def paste(image: Image, subject: Image, x: float, y: float) -> Image:
    """The subject over the picture, moved by parts of a pixel, with its middle at (x, y)."""
    size = (round(WIDTH * 0.2), round(HEIGHT * 0.5))
    small = cv2.resize(subject, size, interpolation=cv2.INTER_AREA)
    mask = np.zeros((size[1], size[0]), np.float32)
    cv2.ellipse(mask, (size[0] // 2, size[1] // 2), (size[0] // 2 - 1, size[1] // 2 - 1), 0, 0, 360, 1.0, -1)
    matrix = np.array([[1, 0, x - size[0] / 2], [0, 1, y - size[1] / 2]])
    over = cv2.warpAffine(small, matrix, (WIDTH, HEIGHT))
    alpha = cv2.warpAffine(mask, matrix, (WIDTH, HEIGHT))[:, :, None]
    return np.asarray(image * (1 - alpha) + over * alpha, np.uint8)


MOVES: tuple[tuple[CameraMove, tuple[float, float, float]], ...] = (
    ("pan-left", (-0.4, 0, 0)),
    ("pan-right", (0.4, 0, 0)),
    ("tilt-up", (0, -0.3, 0)),
    ("tilt-down", (0, 0.3, 0)),
    ("zoom-in", (0, 0, 0.4)),
    ("zoom-out", (0, 0, -0.4)),
)


@pytest.mark.parametrize("eased", [False, True])
def test_a_move_begins_and_ends_when_it_does(stills: list[Image], *, eased: bool) -> None:
    chance = np.random.default_rng(4001)
    for number, (move, camera) in enumerate(MOVES):
        first, last = float(chance.uniform(0.4, 1.5)), float(chance.uniform(2.9, 3.9))
        found = take(stills[number], 4.6, camera, lasts=(first, last), eased=eased, seed=number)
        assert found.move == move
        assert found.moving == pytest.approx((first, last), abs=0.25), move


def test_only_a_named_move_has_a_time(stills: list[Image]) -> None:
    found = take(stills[0], 2, (0, 0, 0))
    assert (found.move, found.moving, found.heading) == ("static", None, None)


def test_a_halt_within_a_move_belongs_to_it_and_a_return_does_not(stills: list[Image]) -> None:
    meter = MovementMeter()
    still = cv2.resize(stills[2], (960, 540), interpolation=cv2.INTER_AREA)
    place = 0.0
    for number in range(6 * RATE):
        time = number / RATE
        place += 4 if 1 <= time < 2 or 2.3 <= time < 3.5 else -2 if time >= 5 else 0
        meter.push(Fraction(number, RATE), still[100:280, 200 + round(place) : 520 + round(place)])
    found = meter.finish()
    assert found.move == "pan-right"
    assert found.moving == pytest.approx((1, 3.5), abs=0.25)


def test_moves_of_the_sample_library_last_as_long_as_their_shots(sample_library: Path) -> None:
    """Its camera goes all the time, and slowly at both ends."""
    for name in ("DSC_0412", "MVI_1093", "halved-fig", "rocket-on-the-pad", "yellow-flower"):
        meter = MovementMeter()
        for frame in Decoding(sample_library / f"{name}.mp4"):
            meter.push(frame.time, frame.image)
            end = float(frame.time)
        found = meter.finish().moving
        assert found is not None
        assert found[0] <= 0.25, name
        assert found[1] >= end - 0.25, name


@pytest.mark.parametrize("pan", [-0.4, 0.0, 0.4])
def test_which_way_a_subject_goes(stills: list[Image], pan: float) -> None:
    """Past the background: with a pan to the right, what stays in the middle of the frame heads right."""
    right, total = 0, 0
    for number, still in enumerate(stills):
        other = stills[(number + 3) % len(stills)]
        for sign, heading in ((1, "right"), (-1, "left")):
            if pan * sign < 0:
                continue
            across = 0.15 if pan else 0.6
            path = (0.5 - sign * across / 2, 0.3, 0.5 + sign * across / 2, 0.3)
            found = take(still, 2, (pan, 0, 0), subject=other, path=path, seed=number)
            assert found.heading in (heading, None), (number, sign)
            right += found.heading == heading
            total += 1
    assert right >= 0.7 * total, f"{right} of {total}"


@pytest.mark.parametrize("pan", [0.0, 0.3])
def test_what_does_not_cross_the_screen_has_no_heading(stills: list[Image], pan: float) -> None:
    for number, still in enumerate(stills[:6]):
        other = stills[(number + 3) % len(stills)]
        assert take(still, 1.6, (pan, 0, 0), seed=number).heading is None, number
        if not pan:
            falls = take(still, 1.6, (0, 0, 0), subject=other, path=(0.5, 0.1, 0.5, 0.45), seed=number)
            assert falls.heading is None, number
            stays = take(still, 1.6, (0, 0, 0), subject=other, path=(0.5, 0.3, 0.5, 0.3), seed=number)
            assert stays.heading is None, number


@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("blackswan", "right"),
        ("horsejump-high", "right"),
        ("car-shadow", "left"),
        ("scooter-black", "left"),
        ("soapbox", "right"),
        ("worker-zone-detection", "left"),
        ("asl-book", None),
        ("goat", None),
        ("bottle-detection", None),
        ("head-pose-face-detection-male", None),
    ],
)
def test_headings_of_real_clips_as_seen_by_eye(footage: Path, name: str, heading: str | None) -> None:
    """The thresholds were fitted to these."""
    (path,) = (footage / "clips").glob(f"{name}.*")
    meter = MovementMeter()
    for frame in Decoding(path):
        if frame.time > 6:
            break
        meter.push(frame.time, frame.image)
    assert meter.finish().heading == heading
