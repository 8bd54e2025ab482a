"""One frame of a file, at full size and upright."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from index.base import FootageError
from index.decode import Frame, Image
from index.probe import main_stream, open_footage, pixel_aspect, stream_rotation

__all__ = ["frame_at"]


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
    with open_footage(path) as container:
        stream = main_stream(container, path)
        base = Fraction(stream.time_base)
        target = (start + time) / base
        container.seek(int(target), stream=stream, backward=True)
        shown = None
        for frame in container.decode(stream):
            if frame.pts is not None and frame.pts > target and shown is not None:
                break
            shown = frame
        if shown is None:
            raise FootageError(f"{str(path)!r}: no frame can be decoded at {float(time):.2f} s")
        turns = -stream_rotation(shown) // 90 % 4
        found = Frame(time, shown.to_ndarray(format="rgb24"), shown, turns, pixel_aspect(stream))
        return found.picture(side or min(shown.width, shown.height))
