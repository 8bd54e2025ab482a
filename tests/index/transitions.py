"""Ground truth for boundaries: reels of real takes joined by transitions whose place is known exactly.

Takes come from the real clips, where they are at hand, and from the sample library. Every second one is for
``tuning``: those chose the constants of ``index``. The others are for ``reporting``, in tests and benchmarks.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from index.decode import Decoding, Image

WIDTH, HEIGHT = 320, 180
"""Frames of a reel, pixels."""
KINDS = ("cut", "dissolve", "fade-black", "fade-white", "wipe")
"""Transitions: a boundary each."""
TRICKS = ("flash", "strobe", "whip")
"""What looks like a boundary and is none: the torture reel is full of them."""
MOVES = ("pan", "zoom", "title", "light")
"""Slow changes within a shot: a large move of the camera, a title that comes and goes, another exposure."""
TOLERANCE = 2
"""Frames that a found boundary may lie away from a cut, or from the span of a gradual transition."""
Half = Literal["tuning", "reporting"]
LONGEST = 200
"""Frames read of a take."""
PICTURE = (480, 270)
"""Frames of a take, pixels: room for the camera to move."""


@dataclass(frozen=True)
class Event:
    """A transition, or a trick: frames ``[first, last]``, of which ``last`` is the first clean one again."""

    kind: str
    first: int
    last: int


@dataclass(frozen=True)
class Shot:
    """A piece of a take, seen through a moving window, with the tricks that happen in it."""

    take: str
    start: int
    length: int
    speed: int
    forward: bool
    mirrored: bool
    path: NDArray[np.float64] = field(repr=False)
    """(length, 4): left, top, width of the window as shares of the picture, and length of the blur."""
    tricks: tuple[tuple[str, int, int, int], ...] = ()
    """Kind, first frame in the shot, frames, seed."""


@dataclass(frozen=True)
class Reel:
    """Shots and the transitions between them; iterate for times and frames."""

    takes: dict[str, list[Image]] = field(repr=False)
    shots: tuple[Shot, ...] = field(repr=False)
    joins: tuple[tuple[str, int, int, int], ...]
    """Between neighbours: kind, frames, frames held in the middle, direction."""
    times: tuple[Fraction, ...] = field(repr=False)
    kept: NDArray[np.bool_] = field(repr=False)
    """Frames that are shown: a variable rate leaves some out."""
    fade_in: int
    fade_out: int
    truth: tuple[Event, ...]
    tricks: tuple[Event, ...]

    def __iter__(self) -> Iterator[tuple[Fraction, Image]]:
        times = iter(self.times)
        for number, image in enumerate(self._frames()):
            if self.kept[number]:
                yield next(times), image

    def _frames(self) -> Iterator[Image]:
        total = len(self.kept)
        for number, image in enumerate(self._joined()):
            fade = min(1.0, (number + 1) / (self.fade_in + 1), (total - number) / (self.fade_out + 1))
            yield image if fade == 1 else (image * fade).astype(np.uint8)

    def _joined(self) -> Iterator[Image]:
        tail: list[Image] = []
        for number, shot in enumerate(self.shots):
            frames = list(self._shot(shot))
            if number:
                frames = [*_joined(self.joins[number - 1], tail, frames)]
            after = self.joins[number] if number < len(self.joins) else ("cut", 0, 0, 0)
            keep = after[1]
            yield from frames[: len(frames) - keep]
            tail = frames[len(frames) - keep :]

    def _shot(self, shot: Shot) -> Iterator[Image]:
        pictures = self.takes[shot.take][shot.start :: shot.speed][: shot.length]
        if not shot.forward:
            pictures = pictures[::-1]
        flashes: dict[int, float] = {}
        for kind, first, length, seed in shot.tricks:
            chance = random.Random(seed)
            period, strength = chance.choice((1, 2, 3)), chance.uniform(0.5, 1)
            dark = chance.random() < 0.3
            for frame in range(first, first + length):
                lit = kind == "flash" or (frame - first) // period % 2 == 0
                if kind in ("flash", "strobe") and lit:
                    flashes[frame] = -strength if dark and kind == "strobe" else strength
        for number, picture in enumerate(pictures):
            image = _window(picture[:, ::-1] if shot.mirrored else picture, shot.path[number])
            for kind, first, frames, seed in shot.tricks:
                share = min(1.0, max(0.0, (number - first + 1) / frames))
                if kind == "light" and share:
                    image = _lit(image, share, seed)
                elif kind == "title" and share:
                    away = min(1.0, max(0.0, (number - first - 3 * frames) / frames))
                    image = _titled(image, share * (1 - away), seed)
            if number in flashes:
                to = 255.0 if flashes[number] > 0 else 0.0
                image = _mixed(image, np.full_like(image, to), abs(flashes[number]))
            yield image


def _window(picture: Image, place: NDArray[np.float64]) -> Image:
    """What the camera sees: places beyond the picture's sides show it mirrored."""
    height, width = picture.shape[:2]
    wide, tall = width * WIDTH // PICTURE[0], height * HEIGHT // PICTURE[1]
    left, top, size, blur = place
    scale = size * width / wide
    matrix = np.array([[scale, 0, left * width], [0, scale, top * height]], dtype=np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    image = cv2.warpAffine(picture, matrix, (wide, tall), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    length = round(blur * wide)
    return cv2.blur(image, (length, 1)) if length > 1 else image


def _mixed(a: Image, b: Image, share: float) -> Image:
    return cv2.addWeighted(a, 1 - share, b, share, 0)


def _lit(image: Image, share: float, seed: int) -> Image:
    """Another exposure, brighter or darker by up to a factor of two."""
    gain = random.Random(seed).choice((0.5, 0.65, 1.4, 1.9))
    return cv2.convertScaleAbs(image, alpha=gain**share)


def _titled(image: Image, share: float, seed: int) -> Image:
    """Words over the picture, with or without a panel behind them."""
    chance = random.Random(seed)
    over = cv2.resize(image, (WIDTH, HEIGHT))
    lines, scale = chance.randint(1, 3), chance.uniform(0.5, 1.6)
    left, top = chance.randint(4, 120), chance.randint(30, 120)
    shade = chance.choice((0, 255, 255, 255))
    if chance.random() < 0.4:
        cv2.rectangle(over, (left - 4, top - 24), (left + 190, top + 30 * lines - 10), [255 - shade] * 3, -1)
    for line in range(lines):
        words = "".join(chance.choice("ABCDEFGHIJKLMNORSTUVW ") for _ in range(chance.randint(4, 12)))
        place, thick = (left, top + round(line * 30 * scale)), chance.randint(1, 5)
        cv2.putText(over, words, place, cv2.FONT_HERSHEY_SIMPLEX, scale, [shade] * 3, thick, cv2.LINE_AA)
    return _mixed(image, cv2.resize(over, image.shape[1::-1], interpolation=cv2.INTER_AREA), share)


def _joined(join: tuple[str, int, int, int], tail: list[Image], frames: list[Image]) -> Iterator[Image]:
    kind, length, held, direction = join
    if kind == "cut":
        yield from frames
        return
    if kind.startswith("fade"):
        plain = np.full_like(frames[0], 0 if kind == "fade-black" else 255)
        for number, image in enumerate(tail):
            yield _mixed(image, plain, (number + 1) / (length + 1))
        for _ in range(held):
            yield plain
        for number, image in enumerate(frames):
            yield _mixed(plain, image, (number + 1) / (length + 1)) if number < length else image
        return
    for number, image in enumerate(frames):
        if number >= length:
            yield image
        elif kind == "dissolve":
            yield _mixed(tail[number], image, (number + 1) / (length + 1))
        else:
            yield _wiped(tail[number], image, (number + 1) / (length + 1), direction)


def _wiped(a: Image, b: Image, share: float, direction: int) -> Image:
    """The new picture comes in from a side, with an edge of 0, 8 or 32 pixels."""
    along, side = (a.shape[1], 1) if direction % 2 else (a.shape[0], 0)
    edge = (1, 8, 32)[direction // 4 % 3]
    place = np.arange(along, dtype=np.float32)
    if direction // 2 % 2:
        place = place[::-1]
    mask = np.clip((share * (along + edge) - place) / edge, 0, 1)
    mask = mask[np.newaxis, :, np.newaxis] if side else mask[:, np.newaxis, np.newaxis]
    return (a * (1 - mask) + b * mask).astype(np.uint8)


def read_takes(
    footage: Path | None, samples: Path, half: Half, *, most: int = 1000, longest: int = LONGEST
) -> dict[str, list[Image]]:
    """Takes by name, every second one of each source, at ``PICTURE`` size.

    At most ``most`` of the real clips are read, and of the samples, and ``longest`` frames of each.
    """
    takes: dict[str, list[Image]] = {}
    wanted = 0 if half == "tuning" else 1
    clips = sorted((footage / "clips").iterdir()) if footage is not None else []
    for number, path in enumerate(clips):
        if number % 2 == wanted and len(takes) < most:
            takes[path.stem] = _read(path, 0, longest)
    truth = json.loads((samples / "truth.json").read_text(encoding="utf-8"))
    real = len(takes)
    for number, name in enumerate(sorted(truth)):
        if number % 2 == wanted:
            for shot in truth[name]["shots"]:
                if len(takes) - real < most:
                    end = min(shot["end"], shot["start"] + longest)
                    takes[f"{name}:{shot['start']}"] = _read(samples / name, shot["start"], end)
    return takes


def write_reel(reel: Reel, path: Path) -> None:
    """Encode a reel as H.264 with its exact times."""
    base = Fraction(1, 90000)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = base
        for time, image in reel:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _read(path: Path, start: int, end: int) -> list[Image]:
    frames = []
    for number, frame in enumerate(Decoding(path, threads=1)):
        if number >= end:
            break
        if number >= start:
            image = frame.picture(PICTURE[1])
            height, width = image.shape[:2]
            tall = min(height, round(width * PICTURE[1] / PICTURE[0]))
            top, left = (height - tall) // 2, (width - round(tall * 16 / 9)) // 2
            image = image[top : top + tall, max(0, left) : width - max(0, left)]
            frames.append(cv2.resize(image, PICTURE, interpolation=cv2.INTER_AREA))
    return frames


def make_reel(
    takes: dict[str, list[Image]],
    seed: int,
    *,
    transitions: int = 30,
    kinds: Sequence[str] = ("cut",) * 5 + ("dissolve",) * 3 + ("fade-black", "fade-white", "wipe"),
    tricks: float = 0.1,
    moves: float = 0.2,
    rate: int = 25,
    variable: bool = False,
) -> Reel:
    """A reel of ``transitions`` transitions drawn from ``kinds``.

    ``tricks`` is the share of shots with a trick, ``moves`` that of the rest with a slow change.
    """
    chance = random.Random(seed)
    joins = [_join(chance, chance.choice(list(kinds))) for _ in range(transitions)]
    names = sorted(takes)
    shots: list[Shot] = []
    shown: list[str] = []
    for number in range(transitions + 1):
        before = _uses(joins[number - 1]) if number else 0
        after = _uses(joins[number]) if number < transitions else 0
        trick = chance.choice(TRICKS) if chance.random() < tricks else None
        trick = trick or (chance.choice(MOVES) if chance.random() < moves else None)
        length = before + after + (chance.randint(60, 100) if trick else chance.randint(20, 110))
        fitting = [n for n in names if len(takes[n]) >= min(length, 60) and n not in shown[-4:]]
        name = chance.choice(fitting)
        shown.append(name)
        shots.append(_draw_shot(chance, name, len(takes[name]), length, before, after, trick))
        length = shots[-1].length
        room = length - before - after
        if room < 12:  # a short take: its transitions are cuts
            for side in ({number - 1} if number else set()) | ({number} if number < transitions else set()):
                joins[side] = ("cut", 0, 0, 0)
    fade_in, fade_out = (chance.choice((0, 12, 25, 50)) for _ in range(2))
    return _timed(takes, shots, joins, fade_in, fade_out, chance, rate, variable)


def _uses(join: tuple[str, int, int, int]) -> int:
    return join[1]


def _join(chance: random.Random, kind: str) -> tuple[str, int, int, int]:
    direction = chance.randrange(12)
    if kind == "dissolve":
        return kind, chance.randint(6, 60), 0, direction
    if kind.startswith("fade"):
        return kind, chance.randint(4, 25), chance.choice((0, 0, 2, 6)), direction
    return (kind, chance.randint(6, 40), 0, direction) if kind == "wipe" else ("cut", 0, 0, 0)


def _draw_shot(
    chance: random.Random, name: str, have: int, length: int, before: int, after: int, trick: str | None
) -> Shot:
    length = min(length, have)
    speed = chance.choice((1, 1, 2, 3))
    speed = speed if length * speed <= have else 1
    start = chance.randint(0, have - length * speed)
    clear = length - before - after
    tricks: list[tuple[str, int, int, int]] = []
    move = chance.choice(("none", "none", "pan", "zoom", "shake"))
    size = chance.choice((1.0, 0.8, 0.65) if move == "none" else (0.8, 0.65))
    grow, blur = 1.0, np.zeros(length)
    left, top = (chance.uniform(0, 1 - size) for _ in range(2))
    right = down = 0.0
    steps = np.arange(length)
    if trick is not None and clear > 34:
        frames = {
            "flash": chance.randint(1, 4),
            "strobe": chance.randint(6, 24),
            "whip": chance.randint(5, 12),
            "title": chance.randint(1, max(1, min(25, clear // 5 - 4))),
            "pan": chance.randint(12, max(12, min(70, clear - 24))),
            "zoom": chance.randint(10, max(10, min(60, clear - 24))),
            "light": chance.randint(4, max(4, min(40, clear - 24))),
        }[trick]
        whole = 4 * frames if trick == "title" else frames
        first = before + 12 + chance.randint(0, max(0, clear - 24 - whole))
        tricks.append((trick, first, frames, chance.randrange(10**6)))
    path = np.zeros((length, 4))
    if move == "pan":
        right, down = chance.uniform(-0.008, 0.008), chance.uniform(-0.003, 0.003)
    elif move == "zoom":
        grow = chance.uniform(0.994, 1.006)
    widths = size * grow**steps
    path[:, 0] = left + right * steps + (size - widths) / 2
    path[:, 1] = top + down * steps + (size - widths) / 2
    path[:, 2] = widths
    if move == "shake":
        noise = np.random.default_rng(chance.randrange(10**6)).normal(0, 0.006, (length, 2))
        path[:, :2] += np.apply_along_axis(lambda n: np.convolve(n, np.ones(3) / 2, "same"), 0, noise)
    path[:, 2] = np.minimum(path[:, 2], 1)
    path[:, :2] = np.clip(path[:, :2], 0, 1 - path[:, 2:3])
    for kind, first, frames, seed in tricks:
        own = random.Random(seed)
        eased = np.clip((steps - first + 1) / frames, 0, 1)
        eased = eased * eased * (3 - 2 * eased)
        if kind in ("whip", "pan"):
            far = (
                own.choice((-1, 1))
                * (own.uniform(0.7, 2) if kind == "whip" else own.uniform(0.3, 1.2))
                * size
            )
            path[:, int(kind == "pan" and own.random() < 0.4)] += far * eased
            blur[1:] = np.abs(np.diff(far * eased)) / size * 0.5
        elif kind == "zoom":
            narrow = path[:, 2] * own.uniform(0.35, 0.7) ** (eased if own.random() < 0.5 else 1 - eased)
            path[:, :2] += (path[:, 2] - narrow)[:, np.newaxis] / 2
            path[:, 2] = narrow
    path[:, 3] = blur
    mirrored = chance.random() < 0.5
    return Shot(name, start, length, speed, chance.random() < 0.7, mirrored, path, tuple(tricks))


def _timed(
    takes: dict[str, list[Image]],
    shots: list[Shot],
    joins: list[tuple[str, int, int, int]],
    fade_in: int,
    fade_out: int,
    chance: random.Random,
    rate: int,
    variable: bool,
) -> Reel:
    truth: list[Event] = []
    found: list[Event] = []
    begin = 0
    for number, shot in enumerate(shots):
        for kind, first, frames, _ in shot.tricks:
            found.append(Event(kind, begin + first, begin + first + frames))
        if number == len(joins):
            begin += shot.length
            break
        kind, length, held, _ = joins[number]
        first = begin + shot.length - length
        begin = first
        if kind.startswith("fade"):
            begin += length + held
            truth.append(Event(kind, first, begin + length))
        else:
            truth.append(Event(kind, first, first + length))
    total = begin
    kept = np.ones(total, dtype=np.bool_)
    if variable:
        starts = {event.first for event in truth if event.kind == "cut"}
        for number in range(1, total):
            kept[number] = number in starts or chance.random() > 0.2
    shown = np.cumsum(kept) - 1
    times = tuple(
        Fraction(number, rate) + (Fraction(chance.randint(0, 900), 90000) if variable and number else 0)
        for number in range(total)
        if kept[number]
    )
    # A frame that is left out is stood for by the next one that is shown.
    place = [int(shown[n] + (not kept[n])) for n in range(total)] + [int(shown[-1]) + 1]

    def moved(events: list[Event]) -> tuple[Event, ...]:
        return tuple(Event(e.kind, place[e.first], place[e.last]) for e in events)

    return Reel(takes, tuple(shots), tuple(joins), times, kept, fade_in, fade_out, moved(truth), moved(found))


@dataclass(frozen=True)
class Score:
    """How found boundaries compare with the truth; scores of several reels are added."""

    found: dict[str, int]
    """Transitions found, by kind."""
    there: dict[str, int]
    """Transitions that are there, by kind."""
    false: tuple[Fraction, ...]
    """Times of boundaries that are none."""
    missed: tuple[tuple[str, Fraction], ...] = ()
    """Kinds and times of the transitions not found."""

    def __add__(self, other: Score) -> Score:
        names = {**self.there, **other.there}
        return Score(
            {name: self.found.get(name, 0) + other.found.get(name, 0) for name in names},
            {name: self.there.get(name, 0) + other.there.get(name, 0) for name in names},
            self.false + other.false,
            self.missed + other.missed,
        )

    @property
    def precision(self) -> float:
        hits = sum(self.found.values())
        return hits / max(1, hits + len(self.false))

    @property
    def recall(self) -> float:
        return sum(self.found.values()) / max(1, sum(self.there.values()))

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    def share(self, kind: str) -> float:
        """Share of one kind that was found; 1 where there is none."""
        return self.found.get(kind, 0) / self.there[kind] if self.there.get(kind) else 1.0


def compare(reel: Reel, boundaries: Sequence[Fraction]) -> Score:
    """Each transition takes the first boundary within ``TOLERANCE`` frames; what is left over is false."""
    places = {time: number for number, time in enumerate(reel.times)}
    left = sorted(boundaries)
    found = dict.fromkeys((event.kind for event in reel.truth), 0)
    there = dict.fromkeys(found, 0)
    missed = []
    for event in reel.truth:
        there[event.kind] += 1
        hit = next(
            (t for t in left if event.first - TOLERANCE <= places[t] <= event.last + TOLERANCE),
            None,
        )
        if hit is None:
            missed.append((event.kind, reel.times[min(event.first, len(reel.times) - 1)]))
        else:
            left.remove(hit)
            found[event.kind] += 1
    return Score(found, there, tuple(left), tuple(missed))
