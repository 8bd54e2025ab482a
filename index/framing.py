"""Shot size by what an encoder that compares pictures with any sentence says of it (zero-shot).

The features are those of the windows that are embedded anyway, and the sentences are encoded once a process,
so a shot costs a product of two small matrices. Prompts in the manner of CLIP (Radford et al., ICML 2021,
section 3.1.4): several sentences a size, their vectors averaged.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from index.encoders.base import Encoder, FloatArray
from index.values import SHOT_SIZES, ShotSize

__all__ = ["SIZE_PROMPTS", "zero_shot_size"]

SIZE_PROMPTS: Mapping[ShotSize, tuple[str, ...]] = {
    "ELS": (
        "an extreme long shot of a vast landscape",
        "an establishing shot of a whole city from far away",
        "an aerial view in which people are tiny or absent",
        "a very wide view of the sea, the sky or mountains",
    ),
    "LS": (
        "a long shot of a whole person from head to foot",
        "a full shot of people standing or walking in a street",
        "a wide shot of a whole animal in its surroundings",
        "a wide shot of a whole vehicle on a road",
    ),
    "MS": (
        "a medium shot of a person from the waist up",
        "a medium shot of somebody talking, head and shoulders and chest",
        "a person at a table seen from the waist up",
        "a medium shot of people in conversation",
    ),
    "CU": (
        "a close-up of a face that fills the picture",
        "a close-up of a single object on a table",
        "a close-up of hands at work",
        "a close-up of a flower",
    ),
    "ECU": (
        "an extreme close-up of an eye",
        "an extreme close-up of lips",
        "a macro photograph of a tiny detail",
        "an extreme close-up of a texture",
    ),
}
"""Sentences that describe pictures of each size."""
SURE = 0.4
"""Least probability of a size to be believed; five sizes at random have a fifth each."""

_known: dict[str, FloatArray] = {}


def zero_shot_size(encoder: Encoder | None, features: FloatArray) -> ShotSize | None:
    """The size of a shot by its windows' (N, feature_size) features.

    None where the encoder does not compare pictures with any sentence (it says so by ``zero_shot``), or is
    not sure. Windows vote with the softmax over sizes at the encoder's own temperature.

    Raises:
        FootageError: if the encoder's weights are damaged.
    """
    if encoder is None or not len(features) or not getattr(encoder, "zero_shot", False):
        return None
    how = encoder.calibration
    scale = how.temperature if how.kind == "sigmoid" else 1 / how.temperature
    scores = scale * encoder.project(features) @ _sizes(encoder).T
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances = (odds / odds.sum(axis=1, keepdims=True)).mean(axis=0)
    best = int(chances.argmax())
    return SHOT_SIZES[best] if chances[best] >= SURE else None


def _sizes(encoder: Encoder) -> FloatArray:
    """(5, D) the mean vector of each size's sentences, L2-normalised."""
    if encoder.hash not in _known:
        texts = [text for size in SHOT_SIZES for text in SIZE_PROMPTS[size]]
        vectors = encoder.encode_texts(texts, "en").reshape(len(SHOT_SIZES), -1, encoder.feature_size)
        means = vectors.mean(axis=1)
        _known[encoder.hash] = np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)
    return _known[encoder.hash]
