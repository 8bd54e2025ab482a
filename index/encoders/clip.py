"""Any open_clip model as an encoder: pictures and texts in one space (CLIP, Radford et al., ICML 2021;
SigLIP, Zhai et al., ICCV 2023), from a safetensors file on this machine."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.base import FootageError
from index.encoders.base import Calibration, FloatArray
from index.encoders.graphs import Misfit, Unsupported
from index.encoders.labels import background, unit
from index.encoders.models import weights_sha256
from index.encoders.reference import TorchTowers, gpu_device, misfit
from index.encoders.sessions import keep_file, kept_file
from index.encoders.tensors import Tensors
from index.encoders.towers import ImageTower, TextTower

__all__ = ["ClipEncoder", "read_architecture"]

logger = logging.getLogger(__name__)
SOFTMAX_THRESHOLD = 0.5
"""A sentence that outweighs all background sentences together is a good match."""
SIGMOID_THRESHOLD = 0.1
"""SigLIP's own probabilities are cautious: its training saw one match among thousands of pairs."""


def _registry() -> Path:
    found = importlib.util.find_spec("open_clip")
    if found is None or found.origin is None:
        raise FootageError("the package open_clip is missing: pip install open-clip-torch")
    return Path(found.origin).parent / "model_configs"


def read_architecture(architecture: str) -> dict[str, Any]:
    """The configuration of an open_clip model: a name of its registry, or a path to a ``.json`` file.

    Raises:
        FootageError: if there is none, or it is no open_clip configuration.
    """
    path = Path(architecture) if architecture.endswith(".json") else _registry() / f"{architecture}.json"
    if not path.is_file():
        raise FootageError(
            f"there is no CLIP architecture {architecture!r}: give a name of open_clip's registry, such as "
            "ViT-B-32, or a path to a model configuration .json"
        )
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        model = read.get("model_cfg", read)
        preprocess = read.get("preprocess_cfg", {})
        if not {"embed_dim", "vision_cfg", "text_cfg"} <= set(model):
            raise ValueError("embed_dim, vision_cfg or text_cfg is missing")
        if model.get("multimodal_cfg"):
            raise ValueError("captioning models are not supported")
    except (OSError, ValueError, AttributeError) as error:
        raise FootageError(f"{str(path)!r} is no open_clip model configuration: {error}") from error
    if "SigLIP" in path.stem:
        preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash", **preprocess}
    return {"model": model, "preprocess": preprocess}


class ClipEncoder:
    """One open_clip model. Nothing heavy is loaded before the first picture or text.

    Raises:
        FootageError: if the architecture is unknown, or the weights are missing or no safetensors file.
    """

    zero_shot = True
    """Any sentence can be compared with a picture, shot sizes too."""

    def __init__(self, name: str, architecture: str, weights: Path, pull: str = "") -> None:
        """``pull`` is the model's name for ``montage models pull``, where there is one."""
        self.name = name
        self._architecture = architecture
        self._weights = weights
        if weights.suffix != ".safetensors":
            raise FootageError(
                f"{str(weights)!r} is refused: only .safetensors weights are loaded, for others can run code "
                "(convert them with safetensors.torch.save_file)"
            )
        self._config = read_architecture(architecture)
        if not weights.is_file():
            todo = f"run montage models pull {pull}" if pull else "check the path"
            raise FootageError(f"the weights of {name} are not in {str(weights)!r}: {todo}")

    @cached_property
    def hash(self) -> str:
        """16 hex digits of the weights and the preprocessing."""
        settings = json.dumps(self._config, sort_keys=True)
        return hashlib.sha256(f"{weights_sha256(self._weights)} {settings}".encode()).hexdigest()[:16]

    @property
    def image_size(self) -> int:
        """Frames are best given at about this many pixels on the shorter side."""
        size = self._config["model"]["vision_cfg"].get("image_size", 224)
        return int(size if isinstance(size, int) else max(size))

    @property
    def feature_size(self) -> int:
        """Number of columns of the features."""
        return int(self._config["model"]["embed_dim"])

    @cached_property
    def calibration(self) -> Calibration:
        """The model's own: a sigmoid with its bias (SigLIP), or a softmax at its temperature."""
        scale, bias = self._scale_and_bias
        if bias is not None:
            return Calibration(temperature=scale, bias=bias, kind="sigmoid", threshold=SIGMOID_THRESHOLD)
        even = math.log(len(background())) / scale  # the mean of the background times their number: their sum
        return Calibration(temperature=1.0 / scale, bias=even, threshold=SOFTMAX_THRESHOLD)

    @cached_property
    def _scale_and_bias(self) -> tuple[float, float | None]:
        """Read from the file alone: planning needs them, and no network for cached sentences."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(self._weights), framework="np") as file:
                names = set(file.keys())
                if "logit_scale" not in names:
                    raise FootageError(f"{str(self._weights)!r} holds no CLIP model: it has no logit_scale")
                scale = float(np.exp(np.asarray(file.get_tensor("logit_scale"), np.float64)).reshape(-1)[0])
                bias = (
                    float(np.asarray(file.get_tensor("logit_bias")).reshape(-1)[0])
                    if "logit_bias" in names
                    else None
                )
        except (SafetensorError, OSError, TypeError, ValueError) as error:
            raise self._damaged(error) from error
        return scale, bias

    def _damaged(self, error: Exception) -> FootageError:
        again = (
            f"fetch it again with montage models pull {self.name}"
            if self.name.count(":") == 1
            else "replace it"
        )
        return FootageError(f"the weights file {str(self._weights)!r} is damaged ({error}): {again}")

    @cached_property
    def _tensors(self) -> Tensors:
        try:
            return Tensors(self._weights)
        except (OSError, ValueError) as error:
            raise self._damaged(error) from error

    @cached_property
    def _torch(self) -> TorchTowers:
        return TorchTowers(self._config, self._weights, self._architecture, self._damaged)

    @cached_property
    def _texts(self) -> Callable[[Sequence[str]], FloatArray]:
        """What encodes texts: ONNX Runtime, or torch where no graph is written for the architecture."""
        try:
            return TextTower(self.name, self.hash, self._config, self._weights, self._tensors).encode
        except Misfit as error:
            raise misfit(self._weights, self._architecture, error) from error
        except Unsupported as error:
            logger.info(
                "%s has %s: its texts are encoded by torch, which takes seconds to load", self.name, error
            )
            return self._torch.encode_texts

    @cached_property
    def _images(self) -> Callable[[Sequence[NDArray[np.uint8]]], FloatArray]:
        """What encodes pictures: torch on a GPU where there is one, otherwise as for texts."""
        device = gpu_device()
        if device is not None:
            return TorchTowers(
                self._config, self._weights, self._architecture, self._damaged, device
            ).encode_images
        try:
            return ImageTower(self.hash, self._config, self._tensors).encode
        except Misfit as error:
            raise misfit(self._weights, self._architecture, error) from error
        except Unsupported as error:
            logger.info("%s has %s: its pictures are encoded by torch", self.name, error)
            return self._torch.encode_images

    def encode_images(self, frames: Sequence[NDArray[np.uint8]]) -> FloatArray:
        """(N, feature_size) L2-normalised float32 vectors of N RGB frames, each (height, width, 3) uint8.

        Raises:
            FootageError: if the weights are damaged or do not fit the architecture.
        """
        if not len(frames):
            return np.empty((0, self.feature_size), np.float32)
        return unit(self._images(frames))

    def encode_texts(self, texts: Sequence[str], language: str = "en") -> FloatArray:
        """(M, feature_size) L2-normalised float32 vectors of M texts; the model itself knows its languages.

        Raises:
            FootageError: if the weights are damaged or do not fit the architecture.
        """
        if not len(texts):
            return np.empty((0, self.feature_size), np.float32)
        return unit(self._texts(list(texts)))

    def background(self, language: str = "en") -> FloatArray:
        """(B, feature_size) the vectors of the background sentences, made once and kept on this machine."""
        sentences = background(language)
        digest = hashlib.sha256("\n".join(sentences).encode()).hexdigest()[:16]
        name = f"{self.hash}-{digest}.background"
        kept = kept_file(name)
        if kept is not None and len(kept) == 4 * len(sentences) * self.feature_size:
            return np.frombuffer(kept, "<f4").reshape(len(sentences), self.feature_size)
        logger.info("comparing %s with %d sentences of all kinds, this once", self.name, len(sentences))
        made = self.encode_texts(sentences, language)
        keep_file(name, np.ascontiguousarray(made, "<f4").tobytes())
        return made

    def prepare(self) -> None:
        """Make now what the first search would otherwise wait for.

        Raises:
            FootageError: as ``encode_texts``.
        """
        self.background("en")

    def __getstate__(self) -> dict[str, Any]:
        """What makes the encoder; networks are opened again where it arrives."""
        made = ("name", "_architecture", "_weights", "_config")
        return {name: value for name, value in self.__dict__.items() if name in made}

    def project(self, features: FloatArray, language: str = "en") -> FloatArray:
        """(N, feature_size) the features themselves, L2-normalised again: means of several are shorter."""
        return unit(np.asarray(features, np.float32))
