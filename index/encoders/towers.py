"""The towers of open_clip models run by ONNX Runtime, equal to open_clip's own to rounding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.encoders.base import FloatArray
from index.encoders.graphs import Unsupported, clip_image, clip_text
from index.encoders.sessions import open_session
from index.encoders.tensors import Tensors
from index.encoders.tokens import ClipTokens

__all__ = ["ImageTower", "TextTower", "prepared"]

IMAGES = 8
"""Pictures in one run."""
PLACES = 1024
"""Tokens in one run, about: texts of like length run together, so that few places are empty."""
_NEVER = np.float32(-1e9)
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


class TextTower:
    """Texts to vectors. A text costs as much as it is long: a causal tower never sees what comes after it.

    Raises:
        Misfit: if the weights do not fit the architecture.
        Unsupported: if the architecture is unusual.
        FootageError: if the files of the tokenizer are missing or damaged.
    """

    def __init__(
        self, name: str, key: str, config: Mapping[str, Any], weights: Path, tensors: Tensors
    ) -> None:
        """``key`` changes with the weights and the architecture."""
        model = config["model"]
        self._text = model["text_cfg"]
        self._prefix = "text." if model.get("custom_text") else ""
        self._tensors = tensors
        self._session = open_session(
            f"{key}-text", lambda: clip_text(tensors, model), tensors.float32, often=False
        )
        self._tokens = ClipTokens(name, self._text, weights.parent)
        self._places = tensors.float32(f"{self._prefix}positional_embedding")
        self._causal = not self._text.get("no_causal_mask")
        self._pool = str(self._text.get("pool_type", "argmax"))

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """(M, columns) float32, not normalised."""
        tokens = self._tokens(texts)
        at = self._pooled(tokens)
        # What stands behind the place that is read changes nothing before it, but only in a causal tower.
        lengths = at + 1 if self._causal else np.full(len(tokens), tokens.shape[1])
        order = np.argsort(lengths, kind="stable")
        out: list[FloatArray] = []
        start = 0
        while start < len(order):
            count = 1
            while (
                start + count < len(order) and (count + 1) * lengths[order[start + count]] <= PLACES
            ):  # sorted: the last is the longest
                count += 1
            rows = order[start : start + count]
            out.append(self._run(tokens[rows, : lengths[rows].max()], at[rows]))
            start += count
        found = np.concatenate(out)
        back = np.empty_like(found)
        back[order] = found
        return back

    def _pooled(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in each text the vector of the whole stands."""
        if self._pool == "first":
            return np.zeros(len(tokens), np.int64)
        if self._pool == "last":
            return np.full(len(tokens), tokens.shape[1] - 1, np.int64)
        if self._pool == "eos":
            tokens = tokens == int(self._text.get("eos_id", 2))
        return np.asarray(np.argmax(tokens, axis=1), np.int64)

    def _run(self, tokens: NDArray[np.int64], at: NDArray[np.int64]) -> FloatArray:
        length = tokens.shape[1]
        embedded = self._tensors.rows(f"{self._prefix}token_embedding.weight", tokens) + self._places[:length]
        given: dict[str, Any] = {"embedded": embedded, "rows": np.arange(len(tokens)) * length + at}
        if self._causal:
            given["mask"] = np.triu(np.full((length, length), _NEVER, np.float32), 1)
        return self._session.run(given)


class ImageTower:
    """Pictures to vectors.

    Raises:
        Misfit: if the weights do not fit the architecture.
        Unsupported: if the architecture or its preprocessing is unusual.
    """

    def __init__(self, key: str, config: Mapping[str, Any], tensors: Tensors) -> None:
        """``key`` changes with the weights and the architecture."""
        model = config["model"]
        self._preprocess = config["preprocess"]
        self._session = open_session(
            f"{key}-image", lambda: clip_image(tensors, model), tensors.float32, often=True
        )
        self._size = int(model["vision_cfg"].get("image_size", 224))
        self._side = int(model["vision_cfg"].get("patch_size", 16))
        prepared(np.zeros((2, 2, 3), np.uint8), self._size, self._preprocess)

    @cached_property
    def _grid(self) -> int:
        return self._size // self._side

    def encode(self, frames: Sequence[NDArray[np.uint8]]) -> FloatArray:
        """(N, columns) float32, not normalised."""
        out = []
        for start in range(0, len(frames), IMAGES):
            part = [prepared(frame, self._size, self._preprocess) for frame in frames[start : start + IMAGES]]
            grid, side = self._grid, self._side
            patches = np.stack(part).reshape(len(part), grid, side, grid, side, 3).transpose(0, 1, 3, 5, 2, 4)
            given = np.ascontiguousarray(patches).reshape(-1, 3 * side * side)
            out.append(self._session.run({"patches": given}))
        return np.concatenate(out)


def prepared(frame: NDArray[np.uint8], size: int, how: Mapping[str, Any]) -> FloatArray:
    """(size, size, 3) float32: a frame resized, cut and normalised as open_clip does it for inference.

    Raises:
        Unsupported: if the preprocessing is unusual.
    """
    from PIL import Image

    mode, filtering = how.get("resize_mode") or "shortest", how.get("interpolation") or "bicubic"
    if mode not in ("shortest", "squash") or how.get("size", size) != size or how.get("mode", "RGB") != "RGB":
        raise Unsupported("unusual preprocessing of pictures")
    resample = Image.Resampling.BILINEAR if filtering == "bilinear" else Image.Resampling.BICUBIC
    image = Image.fromarray(frame)
    if mode == "squash":
        image = image.resize((size, size), resample)
    else:
        width, height = image.size
        short, long = min(width, height), max(width, height)
        longer = int(size * long / short)
        image = image.resize((size, longer) if width <= height else (longer, size), resample)
        left, top = round((image.width - size) / 2.0), round((image.height - size) / 2.0)
        image = image.crop((left, top, left + size, top + size))
    mean, std = (
        np.array(how.get(name) or usual, np.float32) for name, usual in (("mean", _MEAN), ("std", _STD))
    )
    return np.asarray((np.asarray(image, np.float32) / np.float32(255.0) - mean) / std, np.float32)
