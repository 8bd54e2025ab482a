"""Title cards: a line of text that fades in from black, stays, and fades out again."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from generate.base import GenerationError
from generate.fonts import find_font
from montage.cache import Cache, key_of
from montage.process import as_input, run_ffmpeg
from montage.values import MontageError

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

__all__ = ["draw_title", "title_card"]

VERSION = 1
"""Part of every card's name: raise it when the same text would look different."""
FADE_SECONDS = 0.6
"""Length of each fade; a quarter of the card at most."""
INK = (242, 240, 235)
"""Colour of the letters, a paper white that does not glare."""
LARGEST = 0.11
"""Height of the letters at most, as a share of the shorter side of the frame."""
SMALLEST = 0.035
"""The same at least: smaller is not read."""
WIDE = 0.8
"""Share of the frame's width that text may take; the rest is the title-safe margin (EBU R 95)."""
HIGH = 0.7
LEADING = 1.35
"""Distance of lines in letter heights."""


def draw_title(text: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A title as (height, width, 4) RGBA, transparent but for the letters, centred.

    The letters are as large as the text allows; a long text is broken into lines.

    Raises:
        MontageError: if the text is empty, too long for a card, or no typeface has its letters.
    """
    from PIL import Image, ImageDraw

    words = text.split()
    if not words:
        raise MontageError("a title card needs text, got none: write it after the # in the script")
    width, height = size
    letters = min(width, height) * LARGEST
    try:
        while True:
            font = find_font(text, letters)
            lines = _lines(text, font, width * WIDE)
            fits = len(lines) * letters * LEADING <= height * HIGH
            if fits and all(font.getlength(line) <= width * WIDE for line in lines):
                break
            letters *= 0.9
            if letters < max(6.0, min(width, height) * SMALLEST):
                raise MontageError(
                    f"the title {text[:40]!r} is too long for a card of {width}x{height}: shorten it"
                )
    except GenerationError as error:
        raise MontageError(f"the title {text[:40]!r} cannot be drawn: {error}") from error
    image = Image.new("RGBA", size, (*INK, 0))
    draw = ImageDraw.Draw(image)
    top = height / 2 - (len(lines) - 1) / 2 * letters * LEADING
    for number, line in enumerate(lines):
        draw.text((width / 2, top + number * letters * LEADING), line, (*INK, 255), font, anchor="mm")
    return np.asarray(image)


def _lines(text: str, font: FreeTypeFont, room: float) -> list[str]:
    """The text in the fewest lines that fit, evened out."""
    from montage.captions import break_at

    whole = font.getlength(text)
    for count in range(1, 13):
        # Characters a line if all were equally wide; a little more lets a line end at a better place.
        limit = max(1, round(len(text) / count * (1.0 if count == 1 else 1.15)))
        lines = break_at(text, limit)
        if all(font.getlength(line) <= room for line in lines) or whole / count < room / 3:
            break
    return lines


def title_card(text: str, *, size: tuple[int, int], fps: Fraction, frames: int, folder: Path) -> Path:
    """A title card as a video file of exactly ``frames`` frames at the film's size and rate.

    Composed by moviepy and kept in ``folder`` under the hash of all that shapes it, so that the same
    card is made once.

    Args:
        text: What it says; line breaks count as spaces.
        size: Width and height, even numbers of square pixels.
        fps: Frames a second.
        frames: Length.
        folder: Where cards are kept; it is made if it is not there.

    Raises:
        MontageError: if the text is empty, too long, or no typeface on this machine has its letters.
        FilmError: if it cannot be encoded.
    """
    text = " ".join(text.split())
    store = Cache(Path(folder))
    key = key_of({"version": VERSION, "text": text, "size": size, "fps": fps, "frames": frames})
    found = store.find(key, ".mp4")
    if found is not None:
        return found
    drawn = draw_title(text, size)
    temporary = store.temporary(".mp4")
    try:
        run_ffmpeg(
            [
                "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}",
                "-r", str(Fraction(fps)), "-i", "pipe:0",
                "-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv444p",
                "-c:v", "libx264", "-preset", "ultrafast", "-crf", "4", "-threads", "1",
                "-color_range", "tv", "-color_primaries", "bt709", "-color_trc", "bt709",
                "-colorspace", "bt709", "-f", "mp4", as_input(temporary),
            ],
            what=f"make the title card {text[:40]!r}",
            data=_frames(drawn, fps, frames),
        )  # fmt: skip
        return store.keep(temporary, key, ".mp4")
    finally:
        with suppress(OSError):
            os.unlink(temporary)


def _frames(drawn: NDArray[np.uint8], fps: Fraction, frames: int) -> Iterator[bytes]:
    """The frames of the card as RGB bytes, one after the other."""
    moviepy: Any = importlib.import_module("moviepy")
    effects: Any = importlib.import_module("moviepy.video.fx")

    height, width = drawn.shape[:2]
    seconds = float(frames / Fraction(fps))
    fade = min(FADE_SECONDS, seconds / 4)
    ground = moviepy.ColorClip((width, height), color=(0, 0, 0), duration=seconds)
    words = moviepy.ImageClip(drawn, transparent=True, duration=seconds).with_effects(
        [effects.CrossFadeIn(fade), effects.CrossFadeOut(fade)]
    )
    card = moviepy.CompositeVideoClip([ground, words])
    times = [float(n / Fraction(fps)) for n in range(frames)]
    still: bytes | None = None
    for time in times:
        if fade <= time < seconds - fade:
            # Between the fades nothing moves: one frame serves for all of them.
            still = still or np.asarray(card.get_frame(time), dtype=np.uint8).tobytes()
            yield still
        else:
            yield np.asarray(card.get_frame(time), dtype=np.uint8).tobytes()
    card.close()
