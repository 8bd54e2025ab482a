"""What an encoder is: pictures and sentences in one space, and how far its cosines may be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Calibration", "Encoder", "FloatArray"]

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Constants that turn an encoder's cosines into the probability ``match``."""

    temperature: float
    """Softmax temperature of the cosines, or the scale of the encoder's own sigmoid."""
    bias: float = 0.0
    """Bias of the encoder's own sigmoid (SigLIP); for a softmax, how far a sentence must be ahead of the mean
    of the background for an even chance, in units of the cosine."""
    kind: str = "softmax"
    """``softmax`` (over the background sentences) or ``sigmoid``."""
    threshold: float = 0.5
    """A best match below this is no good match: a gap."""
    background: float | None = None
    """Temperature at which the background sentences are pooled; None: ``temperature``."""


@runtime_checkable
class Encoder(Protocol):
    """Turns frames into features that the index keeps, and texts into the space they are compared in.

    ``features`` may be the vectors themselves (CLIP) or what they are computed from (tag
    probabilities); ``project`` takes them to the space of the texts.
    """

    @property
    def name(self) -> str:
        """Such as ``embedded`` or ``clip:fast``."""

    @property
    def hash(self) -> str:
        """16 hex digits that change when the weights or the preprocessing do; stored in the index."""

    @property
    def image_size(self) -> int:
        """Frames are best given at about this many pixels on the shorter side."""

    @property
    def feature_size(self) -> int:
        """Number of columns of the features."""

    @property
    def calibration(self) -> Calibration:
        """How cosines become probabilities."""

    def encode_images(self, frames: Sequence[NDArray[np.uint8]]) -> FloatArray:
        """(N, feature_size) float32 features of N RGB frames, each (height, width, 3) uint8."""

    def encode_texts(self, texts: Sequence[str], language: str = "en") -> FloatArray:
        """(M, D) L2-normalised float32 vectors of M texts in one ISO 639-1 language."""

    def project(self, features: FloatArray, language: str = "en") -> FloatArray:
        """(N, D) L2-normalised float32 vectors of features in the space of ``language``'s texts."""
