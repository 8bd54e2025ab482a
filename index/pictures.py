"""Pictures that are searched with: photographs by what they show, sketches by where their colours lie."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.base import FootageError
from index.catalogue import Catalogue
from index.derived import Parts, derive
from index.encoders.base import FloatArray
from index.store import Store

__all__ = ["alike", "colour_layout", "is_sketch", "on_grey", "read_picture", "shot_layouts"]

GRID = (6, 4)
"""Columns and rows of the fields whose colours are compared."""
SOFT = 25.0
"""Colour difference (CIE 1976, L*a*b*) at which a likeness has fallen to 1/e."""
FLAT = 24
"""Most colours, of 4096 coarse ones, that cover a sketch."""
COVERED = 0.97
SIDE = 2048
"""Longest side in pixels at which a picture is looked at."""
_MANY = 256
_FORM = "1"


def read_picture(path: Path) -> NDArray[np.uint8]:
    """(height, width, 4) RGB and opacity of a picture file, upright.

    Raises:
        FootageError: if it is not there or no picture.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as opened:
            opened.draft("RGB", (SIDE, SIDE))
            upright = ImageOps.exif_transpose(opened) or opened
            upright.thumbnail((SIDE, SIDE))
            return np.asarray(upright.convert("RGBA"), np.uint8)
    except FileNotFoundError as error:
        raise FootageError(f"there is no picture {str(path)!r}") from error
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise FootageError(
            f"{str(path)!r} cannot be read as a picture ({error}): give a PNG, JPEG or WebP file"
        ) from error


def on_grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(height, width, 3) RGB: what is transparent becomes middle grey, which says nothing."""
    share = picture[..., 3:].astype(np.float32) / 255
    return np.asarray(picture[..., :3] * share + 127.0 * (1.0 - share), np.uint8)


def is_sketch(picture: NDArray[np.uint8]) -> bool:
    """Whether a picture is a rough drawing: partly transparent, or covered by a few flat colours."""
    if (picture[..., 3] < 128).mean() > 0.02:
        return True
    coarse = (picture[..., :3] >> 4).astype(np.int64) @ np.array([256, 16, 1])
    counts = np.sort(np.bincount(coarse.ravel(), minlength=4096))[::-1]
    flat = (coarse[:, 1:] == coarse[:, :-1]).mean() if coarse.shape[1] > 1 else 1.0
    return bool(counts[:FLAT].sum() >= COVERED * coarse.size and flat > COVERED)


def colour_layout(picture: NDArray[np.uint8]) -> FloatArray:
    """(24, 3) mean L*a*b* colour of each field; NaN where the picture is transparent. Rows from the top."""
    import cv2

    opacity = picture[..., 3].astype(np.float32) / 255 if picture.shape[2] == 4 else None
    colour = picture[..., :3].astype(np.float32) / 255
    if opacity is not None:
        colour = colour * opacity[..., None]
    small = cv2.resize(colour, GRID, interpolation=cv2.INTER_AREA).reshape(-1, 3)
    if opacity is not None:
        share = cv2.resize(opacity, GRID, interpolation=cv2.INTER_AREA).reshape(-1, 1)
        small = small / np.maximum(share, 1e-6)
    lab = np.asarray(cv2.cvtColor(small[None], cv2.COLOR_RGB2LAB)[0], np.float32)
    if opacity is not None:
        lab[share[:, 0] < 0.25] = np.nan
    return lab


def alike(sketch: FloatArray, layouts: FloatArray) -> FloatArray:
    """(N,) how alike the colours of N shots lie to those of a sketch, 0 to 1; what it leaves open is free."""
    given = ~np.isnan(sketch[:, 0])
    if not given.any():
        return np.ones(len(layouts), np.float32)
    apart = layouts.reshape(len(layouts), -1, 3)[:, given].astype(np.float32) - sketch[given]
    difference = np.sqrt((apart**2).sum(axis=2)).mean(axis=1)
    return np.asarray(np.exp(-((difference / SOFT) ** 2)), np.float32)


def shot_layouts(store: Store, encoder: str, folder: Path | None, catalogue: Catalogue) -> FloatArray:
    """(N, 72) colour layouts of a catalogue's shots, from their thumbnails; kept in ``layouts.derived``."""

    def blocks() -> Iterator[NDArray[np.float16]]:
        with ThreadPoolExecutor() as pool:
            held: list[bytes] = []
            for picture in store.thumbnails(encoder):
                held.append(picture)
                if len(held) == _MANY:
                    yield np.stack(list(pool.map(_of_thumbnail, held)))
                    held.clear()
            if held:
                yield np.stack(list(pool.map(_of_thumbnail, held)))

    def make() -> Parts:
        return {"layouts": blocks()}

    path = folder / "layouts.derived" if folder is not None else None
    return derive(path, f"layouts {_FORM} {catalogue.mark} {encoder}", make)["layouts"]


def _of_thumbnail(data: bytes) -> NDArray[np.float16]:
    import cv2

    found: Any = None
    if data:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_COLOR_4)
    if found is None:
        return np.full(GRID[0] * GRID[1] * 3, 1e3, np.float16)  # like nothing
    return colour_layout(np.ascontiguousarray(found[..., ::-1])).reshape(-1).astype(np.float16)
