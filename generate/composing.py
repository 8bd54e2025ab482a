"""A take and the footage that it belongs to as one shot: gone on from it, or painted around it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generate.base import Cancel, Frame, GenerationError, Take
from generate.conditioning import fitted, surrounding
from generate.finish import crop_to_cover, write_video
from generate.provenance import marks_for
from index.base import open_local

__all__ = ["compose", "continued", "frames_of", "surrounded"]

FEATHER = 0.02
"""Width of the seam between footage and what is painted beside it, as a share of the frame's shorter side."""
SEAM = 6
"""Frames over which the colours of a continuation leave those of the last frame of its footage."""


def frames_of(take: Take) -> Iterator[Frame]:
    """The frames of a take's file, (height, width, 3) RGB.

    Raises:
        GenerationError: if it cannot be read.
    """
    import av

    try:
        with open_local(take.path) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24")
    except (OSError, IndexError, av.error.FFmpegError) as error:
        raise GenerationError(f"cannot read the take {take.path}: {error}; it is made anew") from error


def continued(footage: Iterable[Frame], take: Take) -> Iterator[Frame]:
    """Footage, and then the take that goes on from it.

    A model gives back the frames that it goes on from a little lighter or darker; the difference at the join
    is taken off, and fades over the first frames.
    """
    size = (take.width, take.height)
    last: Frame | None = None
    for frame in footage:
        last = fitted(frame, size)
        yield last
    shift: NDArray[np.float32] | None = None
    for number, frame in enumerate(frames_of(take)):
        if shift is None and last is not None:
            shift = last.mean(axis=(0, 1), dtype=np.float32) - frame.mean(axis=(0, 1), dtype=np.float32)
        left = 1 - number / SEAM
        if shift is None or left <= 0:
            yield frame
        else:
            yield np.asarray(np.clip(frame + shift * np.float32(left) + 0.5, 0, 255), np.uint8)


def surrounded(footage: Iterable[Frame], take: Take) -> Iterator[Frame]:
    """Footage whole, and around it what a take of the strategy ``expand`` painted there.

    The model gives back all of the picture; what was filmed is laid over it again as it was, since a decoder
    blurs it, with a soft seam.

    Raises:
        GenerationError: if the take has fewer frames than the footage.
    """
    import cv2

    native = int(str(take.details["native_width"])), int(str(take.details["native_height"]))
    size = (take.width, take.height)
    crop = crop_to_cover(*native, Fraction(*size))
    painted = frames_of(take)
    mask: NDArray[np.float32] | None = None
    for frame in footage:
        behind = next(painted, None)
        if behind is None:
            raise GenerationError(f"the take {take.path} is shorter than its footage: make it anew")
        # Where the model saw the footage, at the film's size.
        wide, high = surrounding((frame.shape[1], frame.shape[0]), native)
        scale = size[0] / crop[0], size[1] / crop[1]
        placed = round(wide * scale[0]), round(high * scale[1])
        shrinks = placed[0] <= frame.shape[1]
        shown = cv2.resize(
            np.ascontiguousarray(frame),
            placed,
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4,
        )
        inside, canvas = _overlap(placed, size)
        if mask is None:
            mask = _feathered(placed, size)
        out = behind.copy()
        mixed = shown[inside].astype(np.float32) * mask + out[canvas].astype(np.float32) * (1 - mask)
        out[canvas] = np.asarray(mixed + 0.5, np.uint8)
        yield out


def _overlap(
    placed: tuple[int, int], size: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """(rows and columns of the footage that are seen, those of the canvas that they cover), both centred."""
    inside, canvas = [], []
    for own, whole in zip(reversed(placed), reversed(size), strict=True):
        seen = min(own, whole)
        inside.append(slice((own - seen) // 2, (own - seen) // 2 + seen))
        canvas.append(slice((whole - seen) // 2, (whole - seen) // 2 + seen))
    return (inside[0], inside[1]), (canvas[0], canvas[1])


def _feathered(placed: tuple[int, int], size: tuple[int, int]) -> NDArray[np.float32]:
    """(rows, columns, 1) share of the footage in what is seen: 1 but for the sides that were painted on."""
    width = max(1, round(FEATHER * min(size)))
    shares = []
    for own, whole in zip(reversed(placed), reversed(size), strict=True):
        seen = min(own, whole)
        share = np.ones(seen, np.float32)
        if own < whole:
            edge = np.minimum((np.arange(seen) + 0.5) / width, 1)
            share = np.minimum(edge, edge[::-1]).astype(np.float32)
        shares.append(share)
    return np.asarray(np.minimum(shares[0][:, None], shares[1][None, :])[..., None], np.float32)


def compose(
    take: Take,
    how: Callable[[Iterable[Frame], Take], Iterator[Frame]],
    footage: Callable[[], Iterable[Frame]],
    count: int,
    name: str,
    details: Mapping[str, object],
    cancel: Cancel | None = None,
) -> Take:
    """The take with its footage as one file beside it, marked as generated like the take itself.

    Args:
        take: as a generator made it.
        how: ``continued`` or ``surrounded``.
        footage: gives the frames of the footage at the take's rate; asked only where the file is not there.
        count: frames of the whole.
        name: tells one piece of footage from another: with the take's own name it names the file.
        details: added to those of the take.
        cancel: asked between frames.

    Raises:
        GenerationError: if it cannot be written.
        Cancelled: if ``cancel`` said so.
    """
    key = hashlib.sha256(f"{how.__name__} {take.path.name} {count} {name}".encode()).hexdigest()[:32]
    path = Path(take.path).with_name(f"{key}.mp4")
    if not path.is_file():
        size = (take.width, take.height)
        marks = marks_for(
            take.kind, model=take.model, model_hash=take.model_hash, prompt=take.prompt, seed=take.seed
        )
        write_video(
            how(footage(), take),
            path,
            source_size=size,
            source_fps=take.fps,
            size=size,
            fps=take.fps,
            count=count,
            marks=marks,
            cancel=cancel,
        )
    return dataclasses.replace(take, path=path, frames=count, details={**take.details, **details})
