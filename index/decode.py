"""One decoding pass over a file: small frames with exact times, larger ones and sound on request."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from index.base import FootageError
from index.pixels import Image, scaled_rgb, small_rgb
from index.probe import main_stream, open_footage, pace, pixel_aspect, stream_rotation

__all__ = ["Decoding", "Frame", "Image"]

SMALL_SIDE = 320
"""Longer side of the small frames, pixels: enough for optical flow, cheap to look at."""

LONGEST_GAP = Fraction(600)
"""Longest time that a frame is shown, seconds: a longer one is a damaged timestamp, and no footage."""

_LARGE = 4 * SMALL_SIDE
"""Longer side from which B pictures are decoded without the loop filter: that saves an eighth of the time.
No other kind of picture depends on them, so nothing adds up; small frames of the 1080p clips differ by 0.1 of
255 on average and by 8 at most."""

_LONGEST = 8
"""Longer side of the frames that are embedded, over the shorter side that was asked for."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame, upright and with square pixels."""

    time: Fraction
    """Seconds since the first frame shown."""
    image: Image
    """The frame with its longer side at ``SMALL_SIDE`` pixels at most."""
    source: Any = field(repr=False)
    """PyAV's frame, as large as the footage: hold it no longer than it is needed."""
    turns: int = 0
    """Quarter turns counter-clockwise that make it upright."""
    aspect: Fraction = Fraction(1)
    """Width of a pixel of ``source`` over its height."""

    def picture(self, side: int) -> Image:
        """The frame with its shorter side at ``side`` pixels.

        The longer side is at most ``_LONGEST`` times as much, however narrow a strip the picture is.
        """
        width, height = self.source.width * self.aspect, Fraction(self.source.height)
        scale = min(Fraction(side) / min(width, height), _LONGEST * Fraction(side) / max(width, height))
        # By swscale: encoders notice its small errors of colour, and their constants were chosen with them.
        return _upright(scaled_rgb(self.source, *_size(width * scale, height * scale)), self.turns)


class Decoding:
    """A single pass over one file, and what it met on the way.

    Iterate over it once for the frames. Damaged packets are skipped and counted. ``sound`` receives every
    decoded audio frame of the first sound stream with its time in seconds since the first picture.
    ``beat`` is called after every packet with the seconds of footage so far: a sign of life.

    Raises:
        FootageError: on iteration, if the file cannot be opened or not one frame can be decoded.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        threads: int = 0,
        sound: Callable[[Fraction, Any], None] | None = None,
        beat: Callable[[Fraction], None] | None = None,
    ) -> None:
        self.path = path
        self.threads = threads
        self.sound = sound
        self.beat = beat
        self.damaged = 0
        """Packets that could not be decoded, and frames that came out of order or broken."""
        self.damaged_sound = 0
        """Packets of sound that could not be decoded."""
        self.frames = 0
        self.start = Fraction(0)
        """Timestamp of the first frame shown, seconds in the container."""
        self.end = Fraction(0)
        """End of the last frame shown, seconds since the first."""
        self.rate: Fraction | None = None
        """Frames a second over the whole file, None where they vary; known after the pass."""
        self.cut_short = False
        """Whether the file ended in the middle, with an error."""
        self.jump: tuple[Fraction, Fraction] | None = None
        """Where the timestamps leap ahead and by how much, seconds: the pass ends there."""
        self._now = Fraction(0)

    def __iter__(self) -> Iterator[Frame]:
        with open_footage(self.path) as container:
            yield from self._frames(container)
        if self.frames == 0:
            raise FootageError(f"{os.fspath(self.path)!r}: not one frame of it can be decoded")

    def _frames(self, container: Any) -> Iterator[Frame]:
        stream = main_stream(container, self.path)
        context = stream.codec_context
        stream.thread_type = "AUTO"
        context.thread_count = self.threads
        if max(context.width, context.height) >= _LARGE and not context.is_open:
            context.options = {**context.options, "skip_loop_filter": "bidir"}
        base = Fraction(stream.time_base)
        aspect = pixel_aspect(stream)
        leap = LONGEST_GAP / base
        leapt = False
        first: int | None = None
        last = shortest = longest = length = 0
        # Sound that is stored ahead of the first picture waits until its time is known.
        early: list[Any] = []
        small: tuple[int, int] | None = None
        turns = 0
        for kind, frame in self._decoded(container, stream):
            if kind == "sound":
                if first is None:
                    early.append(frame)
                else:
                    self._hear(frame)
                continue
            pts = frame.pts if frame.pts is not None else (last + (length or 1) if first is not None else 0)
            if first is None:
                first = pts
                self.start = pts * base
                for waiting in early:
                    self._hear(waiting)
                early.clear()
            else:
                gap = pts - last
                if gap <= 0:
                    self.damaged += 1
                    continue
                if gap > leap:
                    if leapt:  # one such timestamp is damaged, a second means it
                        self.jump = self._now, gap * base
                        break
                    leapt = True
                    self.damaged += 1
                    continue
                leapt = False
                shortest, longest = min(shortest or gap, gap), max(longest, gap)
            last = pts
            self.frames += 1
            self._now = (last - first) * base
            if frame.is_corrupt:
                self.damaged += 1
            mean_gap = (last - first) // (self.frames - 1) if self.frames > 1 else 0
            length = frame.duration or mean_gap
            if small is None:  # a picture that changes its size in the middle is shown at the first one
                turns = -stream_rotation(frame) // 90 % 4
                small = _small_size(frame.width, frame.height, aspect)
            image = _upright(small_rgb(frame, *small), turns)
            yield Frame(self._now, image, frame, turns, aspect)
            del frame  # let go of it before the next is decoded: the decoder works in the same, warm memory
        if first is not None:
            tagged = [Fraction(r) for r in (stream.average_rate, stream.guessed_rate) if r]
            self.rate = (
                pace(self.frames - 1, last - first, shortest, longest, base, tagged)
                if self.frames > 1
                else next((rate for rate in tagged if 1 <= rate <= 300), None)
            )
            if self.frames > 1 and longest > 0 and length > 2 * longest:
                length = longest  # a last frame said to last for ever
            if length > leap:
                length = 0
            one = length * base if length > 0 else 1 / (self.rate or Fraction(25))
            self.end = (last - first) * base + one

    def _hear(self, frame: Any) -> None:
        import av

        if self.sound is not None:
            try:
                self.sound(frame.pts * frame.time_base - self.start, frame)
            except (av.error.FFmpegError, ValueError):
                self.damaged_sound += 1

    def _decoded(self, container: Any, stream: Any) -> Iterator[tuple[str, Any]]:
        """Decoded frames of both kinds in file order; what cannot be decoded is counted."""
        import av

        sounds = [s for s in container.streams.audio if s.codec_context is not None][:1] if self.sound else []
        packets = container.demux(stream, *sounds)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.EOFError):
                return
            except av.error.FFmpegError:
                self.damaged += 1
                self.cut_short = True
                return
            if self.beat is not None:
                self.beat(self._now)
            picture = packet.stream.index == stream.index
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError):
                if picture:
                    self.damaged += 1
                else:
                    self.damaged_sound += 1
                continue
            while frames:
                if picture or frames[0].pts is not None:
                    yield ("picture" if picture else "sound"), frames.pop(0)
                else:
                    del frames[0]


def _size(width: Fraction, height: Fraction) -> tuple[int, int]:
    return max(2, round(width)), max(2, round(height))


def _small_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """(width, height) of a small frame before rotation, in square pixels."""
    scale = min(Fraction(1), Fraction(SMALL_SIDE) / max(width * aspect, Fraction(height)))
    return _size(width * aspect * scale, height * scale)


def _upright(image: Image, turns: int) -> Image:
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
