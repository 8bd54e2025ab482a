"""Camera moves over still pictures, with exact truth: what a camera does, and what makes it hard to see."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from index.decode import Decoding, Image
from index.motion import MovementMeter
from index.values import CameraMove

MOVES: tuple[CameraMove, ...] = get_args(CameraMove)
TROUBLES = ("plain", "eased", "hand", "subject", "fade", "grain", "dim", "bars")
"""``plain`` at even speed; ``eased`` with holds before and after; ``hand`` shaken; ``subject`` with something
that moves by itself over a sixth to a third of the picture; ``fade`` in from black and out; ``grain`` noisy
and compressed; ``dim`` at a fifth of the light; ``bars`` black above and below."""
SIZE = (320, 180)

Curve = Callable[[float], float]


@dataclass(frozen=True)
class Filmed:
    """One take: its true move, what makes it hard, and its frames with their times."""

    move: CameraMove
    trouble: str
    frames: list[tuple[Fraction, Image]] = field(repr=False)


def middle_frames(paths: Sequence[Path], longer: int = 1280) -> list[Image]:
    """One picture from each of the clips: its middle frame, at most ``longer`` pixels on its longer side."""
    stills = []
    for path in paths:
        times = [frame.time for frame in Decoding(path)]
        for number, frame in enumerate(Decoding(path)):
            if number == len(times) // 2:
                shorter = min(frame.source.width, frame.source.height)
                side = round(shorter * min(1, longer / max(frame.source.width, frame.source.height)))
                stills.append(frame.picture(side))
                break
    return stills


def takes(stills: Sequence[Image], seed: int, each: int = 1) -> Iterator[Filmed]:
    """``each`` takes of every move with every trouble that goes with it, over stills in turn."""
    chance = np.random.default_rng(seed)
    number = 0
    for _ in range(each):
        for move in MOVES:
            for trouble in TROUBLES:
                if (move, trouble) in {("static", "hand"), ("static", "eased"), ("handheld", "hand")}:
                    continue
                yield film(stills, number, move, trouble, chance)
                number += 1


def film(
    stills: Sequence[Image], number: int, move: CameraMove, trouble: str, chance: np.random.Generator
) -> Filmed:
    """One take of a camera's move over ``stills[number]``, and a subject cut out of the next."""
    still = stills[number % len(stills)]
    rate = int(chance.choice([24, 25, 30, 50]))
    seconds = float(chance.uniform(1.6, 5.0))
    x, y, zoom = _camera(move, trouble, seconds, chance)
    subject = _Subject(stills[(number + 1) % len(stills)], seconds, chance) if trouble == "subject" else None
    height, width = still.shape[:2]
    base = min(width, height * 16 / 9) * 0.5
    scale = 9 if trouble == "grain" else 1.2
    noises = [chance.normal(0, scale, (SIZE[1], SIZE[0], 3)).astype(np.float32) for _ in range(7)]
    if base / SIZE[0] > 1.5:  # a still far larger than the frame is softened first, or fine detail flickers
        still = np.asarray(cv2.GaussianBlur(still, (0, 0), 0.35 * base / SIZE[0]), np.uint8)
    frames = []
    for index in range(round(seconds * rate)):
        time = index / rate
        window = base / zoom(time)
        left = min(max(width / 2 + x(time) * base - window / 2, 0), width - window)
        top = min(max(height / 2 + y(time) * base - window * 9 / 32, 0), height - window * 9 / 16)
        image = _window(still, left, top, window)
        if subject is not None:
            image = subject.over(image, time)
        if trouble == "fade":
            share = min(1.0, time / 0.7, (seconds - time) / 0.7)
            image = np.asarray(image * max(0.0, share), np.uint8)
        if trouble == "dim":
            image = np.asarray(image * 0.2, np.uint8)
        if trouble == "bars":
            image[: SIZE[1] // 8] = image[-SIZE[1] // 8 :] = 0
        image = cv2.add(image, noises[index % len(noises)], dtype=cv2.CV_8U)
        if trouble == "grain":
            _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 45])
            image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        frames.append((Fraction(index, rate), image))
    return Filmed(move, trouble, frames)


def _camera(
    move: CameraMove, trouble: str, seconds: float, chance: np.random.Generator
) -> tuple[Curve, Curve, Curve]:
    """Where the camera looks, in frame widths from the middle, and its zoom, over time in seconds."""
    shake_x, shake_y = (
        (_shake(chance, 0.1 if trouble == "hand" else 0.25, rough=trouble == "hand") for _ in "xy")
        if trouble == "hand" or move == "handheld"
        else (_nowhere, _nowhere)
    )
    if trouble == "eased":
        hold = seconds * float(chance.uniform(0.05, 0.2))

        def course(time: float) -> float:
            share = min(1.0, max(0.0, (time - hold) / (seconds - 2 * hold)))
            return 3 * share**2 - 2 * share**3

    else:

        def course(time: float) -> float:
            return time / seconds

    speed = float(np.exp(chance.uniform(np.log(0.04), np.log(0.25))))
    along = 0.0 if move in ("static", "handheld") else min(0.85, max(0.09, speed * seconds))
    if move.startswith("tilt"):
        along = min(along, 0.5)
    x: Curve = shake_x
    y: Curve = shake_y
    zoom: Curve = _one
    # A twentieth of the way goes along the other axis: no camera is led perfectly.
    aside = along * float(chance.uniform(-0.05, 0.05))
    if move in ("pan-left", "pan-right"):
        sign = 1 if move == "pan-right" else -1

        def x(time: float) -> float:
            return sign * along * (course(time) - 0.5) + shake_x(time)

        def y(time: float) -> float:
            return aside * (course(time) - 0.5) + shake_y(time)

    elif move in ("tilt-up", "tilt-down"):
        sign = 1 if move == "tilt-down" else -1

        def x(time: float) -> float:
            return aside * (course(time) - 0.5) + shake_x(time)

        def y(time: float) -> float:
            return sign * along * (course(time) - 0.5) + shake_y(time)

    elif move in ("zoom-in", "zoom-out"):
        sign = 1 if move == "zoom-in" else -1
        growth = min(0.9, 2 * along)

        def zoom(time: float) -> float:
            share = course(time) if sign > 0 else 1 - course(time)
            return math.exp(growth * share - growth / 4)

    return x, y, zoom


def _nowhere(time: float) -> float:
    return 0.0


def _one(time: float) -> float:
    return 1.0


def _shake(chance: np.random.Generator, speed: float, *, rough: bool) -> Curve:
    """A wandering about the middle of at most ``speed`` frame widths a second, at least a third of that."""
    rates = chance.uniform(1.5 if rough else 0.7, 5.0 if rough else 3.0, 3)
    phases = chance.uniform(0, 2 * math.pi, 3)
    sizes = float(chance.uniform(0.35, 1.0)) * speed / (2 * math.pi * rates * 3) * 1.4

    def place(time: float) -> float:
        return float((sizes * np.sin(2 * math.pi * rates * time + phases)).sum())

    return place


class _Subject:
    """Something cut out of another picture that crosses the frame."""

    def __init__(self, still: Image, seconds: float, chance: np.random.Generator) -> None:
        share = float(chance.uniform(1 / 6, 1 / 3))
        self._height = round(SIZE[1] * 0.8)
        self._width = round(SIZE[0] * SIZE[1] * share / self._height)
        self._picture = cv2.resize(still, (self._width, self._height), interpolation=cv2.INTER_AREA)
        mask = np.zeros((self._height, self._width), np.uint8)
        centre, axes = (self._width // 2, self._height // 2), (self._width // 2, self._height // 2)
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, -1)
        self._mask: NDArray[np.bool_] = mask > 0
        room = SIZE[0] - self._width
        self._from, self._to = (0, room) if chance.random() < 0.5 else (room, 0)
        self._seconds = seconds

    def over(self, image: Image, time: float) -> Image:
        left = round(self._from + (self._to - self._from) * time / self._seconds)
        top = SIZE[1] - self._height + round(4 * math.sin(12 * time))
        out = image.copy()
        part = out[max(0, top) : top + self._height, left : left + self._width]
        part[self._mask[: len(part)]] = self._picture[: len(part)][self._mask[: len(part)]]
        return out


def _window(still: Image, left: float, top: float, width: float) -> Image:
    scale = width / SIZE[0]
    matrix = np.array([[scale, 0, left + scale / 2 - 0.5], [0, scale, top + scale / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(still, matrix, SIZE, flags=flags), np.uint8)


def named(take: Filmed) -> CameraMove:
    """The move that is found in a take."""
    meter = MovementMeter()
    for time, image in take.frames:
        meter.push(time, image)
    return meter.finish().move


def confusion_table(confusion: Mapping[tuple[str, str], int]) -> str:
    """How often (true move, found move) came, as text: true moves down, found ones across."""
    across = [move for move in MOVES if any(key[1] == move for key in confusion)]
    lines = [f"{'true / found':12}" + "".join(f"{move:>11}" for move in across) + f"{'recall':>9}"]
    for true in MOVES:
        row = [confusion.get((true, found), 0) for found in across]
        total = sum(row)
        if total:
            right = confusion.get((true, true), 0)
            lines.append(f"{true:12}" + "".join(f"{n or '.':>11}" for n in row) + f"{right / total:9.2f}")
    shares = []
    for found in across:
        total = sum(n for key, n in confusion.items() if key[1] == found)
        shares.append(f"{confusion.get((found, found), 0) / total:11.2f}")
    lines.append(f"{'precision':12}" + "".join(shares))
    return "\n".join(lines)
