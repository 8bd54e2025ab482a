"""Decoded frames to small RGB pictures: planes are shrunk first, and what is left is converted.

Converting 57,600 pixels instead of two million is what makes a pass over footage cost little more than its
decoding. Pixel formats that are not listed here go through swscale.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Image", "scaled_rgb", "small_rgb"]

Image = NDArray[np.uint8]
"""(height, width, 3) RGB."""

_DEPTHS = {
    **{f"yuv{kind}p": 8 for kind in ("420", "422", "444", "440")},
    **{f"yuvj{kind}p": 8 for kind in ("420", "422", "444", "440")},
    **{f"yuv{kind}p{depth}le": depth for kind in ("420", "422", "444") for depth in (10, 12)},
    "nv12": 8,
}
"""Bits a sample of the formats whose planes are read here."""

_LUMA = {
    1: (0.2126, 0.0722),
    2: (0.299, 0.114),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""Share of red and of blue in luma by the matrix's code point in ITU-T H.273. Footage that does not say (2)
is read as BT.601, as swscale and with it ffmpeg does."""

_FULL_RANGE = 2
"""AVCOL_RANGE_JPEG."""


def small_rgb(frame: Any, width: int, height: int) -> Image:
    """A PyAV video frame as RGB of ``width`` x ``height`` pixels; each pixel is the mean of those it covers.

    Within 3 of 255 on average of what swscale makes of it.
    """
    depth = _DEPTHS.get(frame.format.name)
    if depth is None or frame.colorspace not in _LUMA or width > frame.width or height > frame.height:
        return scaled_rgb(frame, width, height)
    import cv2

    planes = [_shrunk(plane, width, height) for plane in _planes(frame, depth)]
    if depth > 8:
        planes = [cv2.convertScaleAbs(plane, alpha=0.5 ** (depth - 8)) for plane in planes]
    full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
    return np.asarray(cv2.transform(cv2.merge(planes), _matrix(frame.colorspace, full)), dtype=np.uint8)


def scaled_rgb(frame: Any, width: int, height: int) -> Image:
    """A PyAV video frame of any pixel format as RGB of ``width`` x ``height`` pixels, by swscale."""
    image: Image = frame.reformat(
        width=width, height=height, format="rgb24", interpolation="AREA"
    ).to_ndarray()
    return image


def _planes(frame: Any, depth: int) -> list[NDArray[Any]]:
    """Y, U and V of a frame, without a copy."""
    kind = np.dtype(np.uint8 if depth == 8 else "<u2")
    planes: list[NDArray[Any]] = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, kind).reshape(plane.height, plane.line_size // kind.itemsize)
        if frame.format.name == "nv12" and planes:
            both = rows[:, : 2 * plane.width]
            return [*planes, both[:, ::2], both[:, 1::2]]
        planes.append(rows[:, : plane.width])
    return planes


def _shrunk(plane: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """A plane at ``width`` x ``height``: halved while it can be, each time as the mean of 2 x 2 pixels.

    Below a factor of two linear interpolation takes every pixel into account, so that the whole is as good
    as a mean over the area and several times as quick.
    """
    import cv2

    if not plane.flags.c_contiguous and plane.strides[1] != plane.itemsize:
        plane = np.ascontiguousarray(plane)
    tall, wide = plane.shape
    while wide >= 2 * width or tall >= 2 * height:
        wide = (wide + 1) // 2 if wide >= 2 * width else wide
        tall = (tall + 1) // 2 if tall >= 2 * height else tall
        plane = cv2.resize(plane, (wide, tall), interpolation=cv2.INTER_LINEAR)
    if (tall, wide) != (height, width):
        plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
    return plane


@functools.cache
def _matrix(colorspace: int, full: bool) -> NDArray[np.float32]:
    """(3, 4): Y, U, V and one to R, G, B, all of 0 to 255."""
    red, blue = _LUMA[colorspace]
    green = 1 - red - blue
    luma, chroma, black = (1.0, 1.0, 0.0) if full else (255 / 219, 255 / 224, 16.0)
    u, v = 2 * (1 - blue) * chroma, 2 * (1 - red) * chroma
    rows = np.array([[luma, 0, v], [luma, -u * blue / green, -v * red / green], [luma, u, 0]])
    offset = -rows @ np.array([black, 128.0, 128.0])
    return np.column_stack([rows, offset]).astype(np.float32)
