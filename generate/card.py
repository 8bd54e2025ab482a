"""An animated typographic card: the sentence's words over a slow gradient in its neighbours' colours."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from generate.base import Cancel, Frame, GenerationError, Progress, Request, Take, TakeKind
from generate.colours import Palette, contrast_ratio, palette_of
from generate.finish import finish_take
from generate.fonts import find_font
from generate.keys import request_key
from generate.layout import Atom, atoms_of, break_lines, is_right_to_left, joined

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

__all__ = ["Card"]

VERSION = "card-1"
"""Raised when the look changes, so that kept takes are made anew."""
MIN_CONTRAST = 4.5
"""Least contrast of text and background (WCAG 2.2, success criterion 1.4.3, level AA)."""
LINE_HEIGHT = 1.28
"""Distance of two baselines, in text sizes."""
EAST_ASIAN_LINE_HEIGHT = 1.42
"""The same for Chinese, Japanese and Korean, whose glyphs fill their box."""
LARGEST_TEXT = 0.105
"""Largest text, as a share of the frame's shorter side."""
LARGEST_TITLE = 0.15
"""The same for a title of TITLE_ATOMS words or fewer."""
TITLE_ATOMS = 4
SMALLEST_TEXT = 0.028
"""Smallest text that is read easily, as a share of the frame's shorter side."""
WORD_SECONDS = 0.6
"""How long one word takes to appear."""
GRADIENT_STEP = 8
"""The gradient is computed on every eighth pixel: it is smooth, and cubic interpolation is exact enough."""
GRAIN = 1.1
"""Standard deviation of the dither, in 8-bit levels: without it a dark gradient shows bands."""

Field = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _Tile:
    """A word: its coverage (0 to 1), its place in pixels, and its turn to appear."""

    coverage: Field
    x: int
    y: int
    turn: int


class Card:
    """Makes a take that shows ``request.prompt`` as text, in the colours of ``request.neighbours``.

    Any size and aspect; any script that an installed typeface has. The seed moves the gradient.
    """

    name = "card"
    kind: TakeKind = "card"
    identity = VERSION

    def __init__(self, directory: Path | str) -> None:
        """Takes are written to ``directory``."""
        self.directory = Path(directory)

    def generate(
        self, request: Request, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Take:
        """Make one take.

        Raises:
            GenerationError: if there is no text, no typeface for it, or it is too long to be read.
            Cancelled: if ``cancel`` said so.
        """
        text = " ".join(request.prompt.split())
        if not text:
            raise GenerationError("a card needs text, and the request's prompt is empty")
        font, lines = _set(text, request.width, request.height)
        path = self.directory / f"{request_key(request, self.name, self.identity)}.mp4"
        return finish_take(
            _frames(request, text, font, lines),
            path,
            request,
            kind="card",
            model=self.name,
            model_hash=VERSION,
            details={
                "lines": [joined(line) for line in lines],
                "typeface": " ".join(filter(None, font.getname())),
            },
            progress=progress,
            cancel=cancel,
        )


def _set(text: str, width: int, height: int) -> tuple[FreeTypeFont, tuple[tuple[Atom, ...], ...]]:
    """The largest text that fits, and its lines.

    Raises:
        GenerationError: if even the smallest does not fit.
    """
    short = min(width, height)
    block_width = width * (0.74 if width > height else 0.80)
    block_height = height * (0.58 if width >= height else 0.5)
    # A few words may stand large; a long sentence in large type would be a wall.
    most_lines = 4 if width > height else 7
    atoms = atoms_of(text)
    size = short * (LARGEST_TITLE if len(atoms) <= TITLE_ATOMS else LARGEST_TEXT)
    smallest = max(short * SMALLEST_TEXT, 8.0)
    while size >= smallest:
        font = find_font(text, size)
        if font.getlength(text) / block_width * size * _leading(text) > block_height:
            size *= 0.94  # even without the room lost at line ends there would be too many lines
            continue
        lines = break_lines(atoms, block_width, font.getlength)
        room = size > smallest * 1.6  # below that, more lines are better than smaller text
        if (
            lines is not None
            and len(lines) * size * _leading(text) <= block_height
            and (len(lines) <= most_lines or not room)
        ):
            return font, lines
        size *= 0.94
    raise GenerationError(
        f"the text is too long to be read on a {width}x{height} card ({len(text)} characters: "
        f"{text[:60]!r}...): shorten the sentence, or give it more than one"
    )


def _leading(text: str) -> float:
    return EAST_ASIAN_LINE_HEIGHT if any("\u2e80" <= c <= "\uffef" for c in text) else LINE_HEIGHT


def _frames(
    request: Request, text: str, font: FreeTypeFont, lines: tuple[tuple[Atom, ...], ...]
) -> Iterator[Frame]:
    """The film of the card, frame by frame."""
    width, height = request.width, request.height
    palette = palette_of(request.neighbours)
    gradient = _Gradient(width, height, palette, request.seed, text)
    tiles, rule = _tiles(request, text, font, lines)
    ink = np.array(palette.text, np.float32)
    accent = np.array(palette.accent, np.float32)
    seconds = float(request.frames / request.fps)
    # All words are there by two fifths of the take, so that most of it is for reading.
    turns = max(tile.turn for tile in tiles) + 1
    word = min(WORD_SECONDS, seconds * 0.25)
    wait = min(0.25, seconds * 0.06)
    step = min(0.11 if turns < 24 else 0.05, max(0.0, seconds * 0.4 - word - wait) / turns)
    rise = font.size * 0.22
    settled: Field | None = None
    for index in range(request.frames):
        time = float(index / request.fps)
        picture = gradient.at(time)
        arrived = [_ease_out((time - wait - tile.turn * step) / word) for tile in tiles]
        drawn = _ease_out(time / max(word * 1.6, 1e-6))
        if settled is None:
            cover = np.zeros((height, width), np.float32)
            for tile, share in zip(tiles, arrived, strict=True):
                if share > 0:
                    _stamp(cover, tile, share, (1 - share) * rise)
            if min(arrived) >= 1:
                settled = cover
        else:
            cover = settled
        if index == request.frames - 1:
            _check_contrast(picture, cover, palette)
        picture += (ink - picture) * cover[..., None]
        _draw_rule(picture, rule, drawn, accent)
        yield gradient.dithered(picture, index)


def _check_contrast(picture: Field, cover: Field, palette: Palette) -> None:
    """Compare the text with the lightest background it lies on.

    Raises:
        GenerationError: if it could not be read.
    """
    under = picture[cover > 0.5]
    if not len(under):
        return
    lightest = under[int(np.argmax(under @ np.array((0.2126, 0.7152, 0.0722), np.float32)))]
    ratio = contrast_ratio(palette.text, [float(c) for c in lightest])
    if ratio < MIN_CONTRAST:
        raise GenerationError(
            f"the card's text has a contrast of {ratio:.1f}:1 where {MIN_CONTRAST}:1 is the least that is "
            "read: report this with the neighbouring frames"
        )


def _tiles(
    request: Request, text: str, font: FreeTypeFont, lines: Sequence[Sequence[Atom]]
) -> tuple[list[_Tile], tuple[float, float, float, float]]:
    """The words in place, and the ornament's box (x, y, width, height) in pixels.

    The block stands on the left (on the right for scripts that run to the left) with the ornament above it, a
    little above the middle, where the eye takes a block to be centred.
    """
    width, height = request.width, request.height
    size = font.size
    leading = size * _leading(text)
    leftward = is_right_to_left(text)
    widest = max(font.getlength(joined(line)) for line in lines)
    if width > height:
        margin = min(width * 0.12, (width - widest) / 2)
    else:
        margin = min(width * 0.1, (width - widest) / 2)
    thickness = max(2.0, round(min(width, height) * 0.0055))
    gap = size * 0.62
    block = thickness + gap + leading * len(lines)
    top = (height - block) * 0.47
    ascent, descent = font.getmetrics()
    first = top + thickness + gap + (leading - (ascent + descent)) / 2
    tiles: list[_Tile] = []
    turn = 0
    for number, line in enumerate(lines):
        whole = joined(line)
        length = font.getlength(whole)
        left = width - margin - length if leftward else margin
        y = round(first + number * leading)
        if leftward:
            # Joined scripts are shaped as a line: parted into words they would come out in the wrong order.
            tiles.append(_draw(whole, font, left, y, turn))
            turn += 1
            continue
        for start in range(len(line)):
            before = joined(line[: start + 1])
            word = line[start].text
            # Measured with what stands before it, so that kerning across the space is kept.
            x = left + font.getlength(before) - font.getlength(word)
            tiles.append(_draw(word, font, x, y, turn))
            turn += 1
    rule_width = max(size * 1.5, min(width, height) * 0.09)
    x = width - margin - rule_width if leftward else margin
    return tiles, (x, round(top), rule_width, thickness)


def _draw(word: str, font: FreeTypeFont, x: float, y: int, turn: int) -> _Tile:
    """A word as coverage, drawn at its exact sub-pixel place across."""
    from PIL import Image, ImageDraw

    ascent, descent = font.getmetrics()
    pad = max(2, round(font.size * 0.3))
    whole = int(x // 1)
    size = (int(font.getlength(word)) + 2 * pad + 2, ascent + descent + 2 * pad)
    image = Image.new("L", size)
    ImageDraw.Draw(image).text((pad + x - whole, pad), word, font=font, fill=255)
    return _Tile(np.asarray(image, np.float32) / np.float32(255), whole - pad, y - pad, turn)


def _stamp(cover: Field, tile: _Tile, share: float, drop: float) -> None:
    """Add a word's coverage, ``drop`` pixels (a real number) below its place, where it lies in the frame."""
    coverage = tile.coverage * share
    below = int(drop // 1)
    part = drop - below
    if part > 0:
        # A shift by part of a pixel: between one row and the next.
        padded = np.pad(coverage, ((1, 1), (0, 0)))
        coverage = padded[1:] * (1 - part) + padded[:-1] * part
    height, width = cover.shape
    top, left = tile.y + below, tile.x
    y0, y1 = max(0, top), min(height, top + coverage.shape[0])
    x0, x1 = max(0, left), min(width, left + coverage.shape[1])
    if y0 < y1 and x0 < x1:
        region = cover[y0:y1, x0:x1]
        np.maximum(region, coverage[y0 - top : y1 - top, x0 - left : x1 - left], out=region)


def _draw_rule(picture: Field, box: tuple[float, float, float, float], share: float, colour: Field) -> None:
    """The ornament, a short bar that grows from the left; its end lies between pixels."""
    x, y, width, height = box
    end = x + width * share
    left_edges = np.arange(picture.shape[1])
    columns = np.clip(np.minimum(left_edges + 1, end) - np.maximum(left_edges, x), 0, 1)
    rows = slice(int(y), int(y + height))
    region = picture[rows]
    region += (colour - region) * columns.astype(np.float32)[None, :, None]


def _ease_out(t: float) -> float:
    """From 0 to 1, fast and then settling (cubic)."""
    clamped = min(max(t, 0.0), 1.0)
    return 1 - (1 - clamped) ** 3


class _Gradient:
    """Three colours that drift through each other, with a soft vignette and a dither against bands."""

    def __init__(self, width: int, height: int, palette: Palette, seed: int, text: str) -> None:
        digest = hashlib.sha256(f"{seed}\n{text}".encode()).digest()
        self._rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        self._size = (width, height)
        self._colours = palette.background
        rows, columns = -(-height // GRADIENT_STEP) + 1, -(-width // GRADIENT_STEP) + 1
        longer = max(width, height)
        self._y, self._x = np.meshgrid(
            np.arange(rows, dtype=np.float32) * GRADIENT_STEP / longer,
            np.arange(columns, dtype=np.float32) * GRADIENT_STEP / longer,
            indexing="ij",
        )
        self._phase = self._rng.uniform(0, 2 * np.pi, 3)
        self._turn = self._rng.uniform(0, 2 * np.pi)
        self._vignette = self._make_vignette(width / longer, height / longer)
        # Triangular noise removes bands best; a larger sheet is moved about so that it never stands still.
        sheet = self._rng.uniform(-1, 1, (2, height + 64, width + 64)).sum(axis=0)
        self._noise: Field = (sheet * GRAIN * np.sqrt(1.5)).astype(np.float32)

    def _make_vignette(self, wide: float, high: float) -> Field:
        distance = np.hypot((self._x - wide / 2) / wide, (self._y - high / 2) / high)
        return (1 - 0.30 * np.clip((distance - 0.25) / 0.45, 0, 1) ** 1.5).astype(np.float32)

    def at(self, time: float) -> Field:
        """The background at a time in seconds, (height, width, 3) RGB from 0 to 255, not rounded."""
        import cv2

        x = self._x * np.cos(self._turn) - self._y * np.sin(self._turn)
        y = self._x * np.sin(self._turn) + self._y * np.cos(self._turn)
        one = 0.5 + 0.5 * np.sin(2.6 * x + 1.1 * y + 0.30 * time + self._phase[0])
        two = 0.5 + 0.5 * np.sin(-1.7 * x + 2.9 * y - 0.23 * time + self._phase[1])
        two *= 0.5 + 0.5 * np.sin(1.3 * x - 0.8 * y + 0.17 * time + self._phase[2])
        dark, middle, light = self._colours
        lab = dark + (middle - dark) * one[..., None] + (light - middle) * (0.9 * two)[..., None]
        lab[..., 0] *= self._vignette
        small = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB) * np.float32(255)
        rows, columns = small.shape[:2]
        large = cv2.resize(
            small, (columns * GRADIENT_STEP, rows * GRADIENT_STEP), interpolation=cv2.INTER_CUBIC
        )
        width, height = self._size
        return np.ascontiguousarray(large[:height, :width])

    def dithered(self, picture: Field, index: int) -> Frame:
        """Rounded to 8 bits with noise that differs in every frame."""
        width, height = self._size
        across, down = (index * 29) % 64, (index * 43) % 64
        noise = self._noise[down : down + height, across : across + width]
        return np.asarray(np.clip(picture + noise[..., None] + 0.5, 0, 255), np.uint8)
