"""Single frames of a file, upright, as large as they are asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from index.base import FootageError
from index.decode import Frame, Image
from index.probe import main_stream, open_footage, pixel_aspect, plain_reason, stream_rotation

__all__ = ["frame_at", "frames_at"]

CLOSE = Fraction(1)
"""Seconds before a frame that is asked for from which every picture is decoded; further away those that no
other depends on are left out, which halves the time."""
BACK = (0, 3, 10, 100_000)
"""Seconds before a frame to which the reader goes, one after the other, until it is before the frame."""
CLOSE_FRAMES = 24
"""The same in frames, where these last longer: more than any decoder holds back."""


def frame_at(
    path: Path | str, time: Fraction, *, start: Fraction = Fraction(0), side: int | None = None
) -> Image:
    """The frame shown at ``time``, as (height, width, 3) RGB in square pixels, rotation applied.

    Args:
        path: the file.
        time: seconds since the first frame shown; past the end gives the last frame.
        start: timestamp of the first frame in the container, seconds (``Media.start``).
        side: pixels of the shorter side; the file's own when None.

    Raises:
        FootageError: if the file cannot be opened or has no frame there.
    """
    return frames_at(path, [time], start=start, side=side)[0]


def frames_at(
    path: Path | str, times: Sequence[Fraction], *, start: Fraction = Fraction(0), side: int | None = None
) -> list[Image]:
    """The frames shown at ``times``, each as by ``frame_at``; the file is opened once and decoded forward.

    Raises:
        FootageError: if the file cannot be opened or has no frame at one of the times.
        ValueError: if the times are not in order.
    """
    import av

    if list(times) != sorted(times):
        raise ValueError(f"the times must be in order, got {[float(time) for time in times]}")
    try:
        with open_footage(path) as container:
            stream = main_stream(container, path)
            reader = _Reader(container, stream)
            out = []
            for time in times:
                shown = reader.shown_at((start + time) / Fraction(stream.time_base))
                if shown is None:
                    raise FootageError(f"{os.fspath(path)!r}: no frame can be decoded at {float(time):.2f} s")
                turns = -stream_rotation(shown) // 90 % 4
                found = Frame(time, shown.to_ndarray(format="rgb24"), shown, turns, pixel_aspect(stream))
                out.append(found.picture(side or min(shown.width, shown.height)))
            return out
    except av.error.FFmpegError as error:
        raise FootageError(f"{os.fspath(path)!r}: {plain_reason(error)}") from error


class _Reader:
    """Decodes forward from frame to frame, and leaps where a key frame lies between; times are timestamps."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        rate = stream.average_rate
        close = max(CLOSE, CLOSE_FRAMES / Fraction(rate)) if rate else CLOSE
        self._close = close / Fraction(stream.time_base)
        self._frames: Any = None
        self._shown: Any = None
        self._ahead: Any = None

    def shown_at(self, target: Fraction) -> Any:
        """PyAV's last frame that begins at ``target`` or before, else the first; None if there is none."""
        if self._frames is None or self._leaps(target):
            self._seek(target)
        while self._ahead is None or self._ahead.pts is None or self._ahead.pts <= target:
            self._shown = self._ahead or self._shown
            at = None if self._shown is None else self._shown.pts
            far = at is not None and target - at > self._close
            self._stream.codec_context.skip_frame = "NONREF" if far else "DEFAULT"
            self._ahead = next(self._frames, None)
            if self._ahead is None:
                break
        return self._shown or self._ahead

    def _seek(self, target: Fraction) -> None:
        """Go to a frame that begins at ``target`` or before; containers without an index land late."""
        for back in BACK:
            start = target - back / Fraction(self._stream.time_base)
            self._container.seek(int(start), stream=self._stream, backward=True)
            self._stream.codec_context.skip_frame = "DEFAULT"
            self._frames = self._container.decode(self._stream)
            self._shown, self._ahead = None, next(self._frames, None)
            at = None if self._ahead is None else self._ahead.pts
            if at is not None and at <= target:
                break

    def _leaps(self, target: Fraction) -> bool:
        """Whether a key frame lies between where the decoder is and ``target``."""
        at = next((f.pts for f in (self._ahead, self._shown) if f is not None and f.pts is not None), None)
        entries = self._stream.index_entries
        place = entries.search_timestamp(int(target), backward=True)
        return at is not None and place >= 0 and entries[place].timestamp > at
