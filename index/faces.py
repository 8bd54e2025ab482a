"""Faces in a frame, by the multi-task cascade of Zhang et al. (IEEE Signal Processing Letters 2016).

The weights are those in the PyPI package ``mtcnn`` (MIT). The three networks are small enough for numpy, so
neither torch nor TensorFlow is loaded.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.base import FootageError, file_sha256
from index.decode import Image

__all__ = ["find_face_boxes", "find_faces"]

Array = NDArray[np.float32]

_WEIGHTS = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}
"""SHA-256 of the weight files of mtcnn 1.0.0: they are pickles, so nothing else may be loaded."""
_SMALLEST = 14
"""Height of the smallest face looked for, pixels."""
_THRESHOLDS = (0.6, 0.7, 0.9)
"""Least probability of a face after each of the three networks."""
_STEP = 0.709
"""Scale from one level of the pyramid to the next: half the area."""


def find_faces(image: Image) -> list[float]:
    """Heights of the faces in an RGB frame, as shares of its height, largest first.

    Raises:
        FootageError: if the weights are missing or not those that were published.
    """
    boxes = _boxes(image)
    heights = np.minimum(boxes[:, 3], image.shape[0]) - np.maximum(boxes[:, 1], 0)
    return sorted((float(height) / image.shape[0] for height in heights if height > 0), reverse=True)


def find_face_boxes(image: Image) -> list[tuple[float, float, float, float]]:
    """The faces in an RGB frame as (x, y, width, height), shares of the frame, largest first.

    Raises:
        FootageError: if the weights are missing or not those that were published.
    """
    height, width = image.shape[:2]
    boxes = _boxes(image)[:, :4] / (width, height, width, height)
    boxes = np.clip(boxes, 0, 1)
    found = [(float(x), float(y), float(x2 - x), float(y2 - y)) for x, y, x2, y2 in boxes]
    return sorted((box for box in found if box[2] > 0 and box[3] > 0), key=lambda box: -box[3])


def _boxes(image: Image) -> Array:
    """(faces, 4 or more): x and y of two corners in pixels."""
    pixels = ((image.astype(np.float32) - 127.5) / 128).astype(np.float32)
    boxes = _propose(pixels)
    boxes = _refine(pixels, boxes, "rnet", 24, _THRESHOLDS[1])
    return _refine(pixels, boxes, "onet", 48, _THRESHOLDS[2])


@cache
def _weights(name: str) -> list[Array]:
    import joblib

    found = importlib.util.find_spec("mtcnn")
    if found is None or found.origin is None:
        raise FootageError("the face detector's weights are missing: pip install mtcnn==1.0.0")
    path = Path(found.origin).parent / "assets" / "weights" / f"{name}.lz4"
    if not path.is_file() or file_sha256(path) != _WEIGHTS[name]:
        raise FootageError(
            f"{str(path)!r} is not the published file: pip install --force-reinstall mtcnn==1.0.0"
        )
    return [np.asarray(array, dtype=np.float32) for array in joblib.load(path)]


def _propose(pixels: Array) -> Array:
    """(N, 5) boxes x1, y1, x2, y2, probability from a pyramid of scales."""
    import cv2

    found: list[Array] = []
    scale = 12 / _SMALLEST
    while min(pixels.shape[:2]) * scale >= 12:
        size = (max(12, round(pixels.shape[1] * scale)), max(12, round(pixels.shape[0] * scale)))
        level = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)[None]
        w = _weights("pnet")
        x = _pool(_prelu(_convolve(level, w[0], w[1]), w[2]), 2)
        x = _prelu(_convolve(x, w[3], w[4]), w[5])
        x = _prelu(_convolve(x, w[6], w[7]), w[8])
        offsets = (x @ w[9][0, 0] + w[10])[0]
        faces = _face(x @ w[11][0, 0] + w[12])[0]
        rows, columns = np.nonzero(faces > _THRESHOLDS[0])
        corners = np.stack([columns * 2 + 1, rows * 2 + 1, columns * 2 + 12, rows * 2 + 12], axis=1)
        boxes = (corners + offsets[rows, columns] * 11) / scale
        level_boxes = np.concatenate([boxes, faces[rows, columns, None]], axis=1).astype(np.float32)
        found.append(_suppress(level_boxes, 0.5))
        scale *= _STEP
    if not found:
        return np.zeros((0, 5), dtype=np.float32)
    return _square(_suppress(np.concatenate(found), 0.7))


def _refine(pixels: Array, boxes: Array, name: str, size: int, threshold: float) -> Array:
    """The boxes that the next network keeps, moved to where it sees the face."""
    if not len(boxes):
        return boxes
    w = _weights(name)
    x = _crops(pixels, boxes, size)
    x = _pool(_prelu(_convolve(x, w[0], w[1]), w[2]), 3)
    x = _pool(_prelu(_convolve(x, w[3], w[4]), w[5]), 3, padded=False)
    x = _prelu(_convolve(x, w[6], w[7]), w[8])
    dense = w[9:]
    if name == "onet":
        x = _prelu(_convolve(_pool(x, 2), w[9], w[10]), w[11])
        dense = w[12:]
    flat = np.ascontiguousarray(x.transpose(0, 2, 1, 3)).reshape(len(x), -1)
    flat = _prelu(flat @ dense[0] + dense[1], dense[2])
    offsets, faces = flat @ dense[3] + dense[4], _face(flat @ dense[-2] + dense[-1])
    sides = np.stack([boxes[:, 2] - boxes[:, 0] + 1, boxes[:, 3] - boxes[:, 1] + 1] * 2, axis=1)
    moved = np.concatenate([boxes[:, :4] + offsets * sides, faces[:, None]], axis=1)[faces > threshold]
    if name == "onet":
        return _suppress(moved, 0.5, smaller=True)
    return _square(_suppress(moved, 0.7))


def _convolve(x: Array, kernel: Array, bias: Array) -> Array:
    views = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(1, 2))
    result: Array = np.tensordot(views, kernel, axes=([4, 5, 3], [0, 1, 2])) + bias
    return result


def _pool(x: Array, size: int, *, padded: bool = True) -> Array:
    """Largest of ``size`` x ``size`` every 2; padded at the end so that nothing is left out."""
    if padded:
        more = [max(0, (-(-n // 2) - 1) * 2 + size - n) for n in x.shape[1:3]]
        if any(more):
            x = np.pad(x, ((0, 0), (0, more[0]), (0, more[1]), (0, 0)), constant_values=-np.inf)
    views: Any = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    result: Array = views[:, ::2, ::2].max(axis=(4, 5))
    return result


def _prelu(x: Array, slope: Array) -> Array:
    result: Array = np.where(x > 0, x, x * slope.reshape(-1))
    return result


def _face(logits: Array) -> Array:
    """Probability of the second of two classes."""
    return np.asarray(1 / (1 + np.exp(logits[..., 0] - logits[..., 1])), dtype=np.float32)


def _crops(pixels: Array, boxes: Array, size: int) -> Array:
    import cv2

    crops = np.empty((len(boxes), size, size, 3), dtype=np.float32)
    for index, (left, top, right, bottom) in enumerate(boxes[:, :4]):
        scale = np.array([(right - left) / (size - 1), (bottom - top) / (size - 1)], dtype=np.float64)
        matrix = np.array([[scale[0], 0, left], [0, scale[1], top]], dtype=np.float64)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        crops[index] = cv2.warpAffine(pixels, matrix, (size, size), flags=flags)
    return crops


def _square(boxes: Array) -> Array:
    side = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    middle = (boxes[:, :2] + boxes[:, 2:4]) / 2
    low = middle - side[:, None] / 2
    return np.concatenate([low, low + side[:, None], boxes[:, 4:]], axis=1).astype(np.float32)


def _suppress(boxes: Array, threshold: float, *, smaller: bool = False) -> Array:
    """Without the boxes that overlap a likelier one; overlap over the union, or over the smaller of two."""
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    kept: list[Array] = []
    while len(boxes):
        best, boxes = boxes[0], boxes[1:]
        kept.append(best)
        sides = np.minimum(boxes[:, 2:4], best[2:4]) - np.maximum(boxes[:, :2], best[:2])
        shared = np.maximum(sides, 0).prod(axis=1)
        areas = (boxes[:, 2:4] - boxes[:, :2]).prod(axis=1)
        own = (best[2:4] - best[:2]).prod()
        over = np.minimum(areas, own) if smaller else areas + own - shared
        boxes = boxes[shared <= threshold * over]
    return np.stack(kept) if kept else np.zeros((0, 5), dtype=np.float32)
