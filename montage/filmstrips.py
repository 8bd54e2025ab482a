"""Filmstrips: a few small frames across each slot of a cut, as JPEG."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from index.base import FootageError
from montage.values import Slot

if TYPE_CHECKING:
    from index.decode import Image
    from index.library import Library
    from montage.cut import Cut

__all__ = ["filmstrips", "small_jpeg", "thumbnails"]

SIDE = 120
"""Shorter side of a frame, pixels."""
THUMBNAIL_SIDE = 54
"""Shorter side of an alternate's picture, pixels."""
QUALITY = 68
"""Of JPEG, 0 to 100: artefacts show from about 60 at this size."""


def filmstrips(
    cut: Cut, frames: int = 4, progress: Callable[[float, float, str], None] | None = None
) -> list[tuple[bytes, ...]]:
    """For each slot its first frame, its last and others evenly between, as JPEG.

    Nothing for gaps and titles. A file that cannot be decoded any more gives its shot's picture from the
    index instead. Files are decoded in parallel.

    Args:
        cut: the cut.
        frames: pictures of a slot.
        progress: called with (slots done, slots, file).
    """
    say = progress or (lambda done, total, text: None)
    out: list[tuple[bytes, ...]] = []
    # One thread reads the index. PyAV decodes without holding Python back, so threads are enough for that.
    sources = [_source(slot, cut.library) for slot in cut.slots]
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        strips = pool.map(lambda source: _strip(source, frames), sources)
        for done, (slot, strip) in enumerate(zip(cut.slots, strips, strict=True), start=1):
            instead = () if strip or slot.shot is None else thumbnails(cut.library, [slot.shot]).values()
            out.append(strip or tuple(instead))
            say(done, len(cut.slots), slot.text)
    return out


def thumbnails(library: Library, shots: Sequence[str]) -> dict[str, bytes]:
    """Shot id to a small picture of it, from the index; shots that the library lacks are left out."""
    import cv2
    import numpy as np

    out = {}
    for shot in dict.fromkeys(shots):
        try:
            data = library.thumbnail(shot)
        except FootageError:
            continue
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            continue
        height, width = image.shape[:2]
        scale = THUMBNAIL_SIDE / min(height, width)
        if scale < 1:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        out[shot] = small_jpeg(np.ascontiguousarray(image[:, :, ::-1]))
    return out


def small_jpeg(image: Image) -> bytes:
    """(height, width, 3) RGB as a small JPEG."""
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    _, data = cv2.imencode(".jpg", image[:, :, ::-1], options)
    return bytes(data)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the frames of a slot lie."""

    path: Path
    start: Fraction
    """Timestamp of the file's first frame."""
    first: Fraction
    last: Fraction
    """When the first and the last frame of the slot are shown, seconds of the file."""


def _source(slot: Slot, library: Library) -> _Source | None:
    """Where the frames of a slot lie; None where it has no file, or that is gone or has changed."""
    if slot.span is None or slot.media is None:
        return None
    if slot.take is not None:
        from montage.splicing import take_file

        path, start, rate = take_file(slot, library), Fraction(0), None
    else:
        try:
            path = library.path_of(slot.media)
        except FootageError:
            return None
        media = library.media[slot.media]
        start, rate = media.start, media.rate
    # A span ends where the next frame would begin.
    last = slot.span.end - (1 / rate / 2 if rate else Fraction(1, 100))
    return _Source(path, start, slot.span.start, max(slot.span.start, last))


def _strip(source: _Source | None, frames: int) -> tuple[bytes, ...]:
    """The frames of a slot; none where they cannot be decoded."""
    from index.stills import frames_at

    if source is None:
        return ()
    step = (source.last - source.first) / max(1, frames - 1)
    times = [source.first + number * step for number in range(frames)]
    try:
        images = frames_at(source.path, times, start=source.start, side=SIDE)
    except FootageError:
        return ()
    return tuple(small_jpeg(image) for image in images)
