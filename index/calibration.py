"""From cosines to probabilities, and from several of them to one match."""

from __future__ import annotations

import numpy as np

from index.encoders.base import Encoder, FloatArray

__all__ = ["KEYWORD_CEILING", "KEYWORD_GAIN", "calibrated", "fuse", "levels", "lifted", "likely", "sigmoid"]

KEYWORD_GAIN = 5.0
"""How far a keyword score of 1 moves the log odds of a match. Fitted by logistic regression on captions
whose pictures were given two words of another caption as a name (4.75), and rounded."""
KEYWORD_CEILING = 0.8
"""A keyword alone never matches better than this."""
LEAST_REACH = 0.2
"""Least reach by which a cosine is divided: below it a sentence is about nothing that can be seen."""


def sigmoid(values: FloatArray) -> FloatArray:
    """The probabilities of log odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -60.0, 60.0))), np.float32)


def levels(encoder: Encoder, others: FloatArray, windows: FloatArray) -> FloatArray:
    """(W,) how near a window comes to sentences of all kinds: what a text's cosine has to be ahead of.

    ``others`` (B, D) and ``windows`` (W, D) are L2-normalised. 0 for an encoder that was trained with a
    sigmoid (SigLIP), which needs no others.
    """
    how = encoder.calibration
    if how.kind == "sigmoid":
        return np.zeros(len(windows), np.float32)
    pooled = lifted(encoder, others) @ windows.T
    temperature = how.background or how.temperature
    top = pooled.max(axis=0)
    level = top + temperature * np.log(np.exp((pooled - top) / temperature).mean(axis=0))
    return np.asarray(level, np.float32)


def lifted(encoder: Encoder, texts: FloatArray) -> FloatArray:
    """Texts divided by how near each can come to any picture, where the encoder knows that (``reach``)."""
    reach = getattr(encoder, "reach", None)
    if reach is None or encoder.calibration.kind == "sigmoid":
        return texts
    return np.asarray(texts / np.maximum(reach(texts), LEAST_REACH)[:, None], np.float32)


def likely(encoder: Encoder, ahead: FloatArray) -> FloatArray:
    """Probabilities from how far cosines are ahead of the windows' levels."""
    how = encoder.calibration
    if how.kind == "sigmoid":
        return sigmoid(ahead * how.temperature + how.bias)
    return sigmoid((ahead - how.bias) / how.temperature)


def calibrated(encoder: Encoder, texts: FloatArray, others: FloatArray, windows: FloatArray) -> FloatArray:
    """(S, W) probabilities that each text, and not one of the others, describes each window.

    ``texts`` (S, D), ``others`` (B, D) and ``windows`` (W, D) are L2-normalised. An encoder trained with a
    sigmoid (SigLIP) uses its own; otherwise the log odds are the text's cosine less the pooled cosines of
    the others at the same window, at the encoder's temperature: a softmax over text and others. Where the
    encoder knows how near a text can come to any picture (``reach``), cosines are divided by that.
    """
    return likely(encoder, lifted(encoder, texts) @ windows.T - levels(encoder, others, windows))


def fuse(embedding: FloatArray, keywords: FloatArray) -> FloatArray:
    """The match made of both parts: log odds of the embedding plus ``KEYWORD_GAIN`` times the keywords.

    Keywords lift a match to ``KEYWORD_CEILING`` at most, and beyond that only as far as the embedding is
    for it, too. Without keywords it is the embedding's probability.
    """
    safe = np.clip(embedding, 1e-6, 1.0 - 1e-6)
    raised = sigmoid(np.log(safe / (1.0 - safe)) + KEYWORD_GAIN * keywords)
    ceiling = KEYWORD_CEILING + (1.0 - KEYWORD_CEILING) * np.maximum(0.0, 2.0 * embedding - 1.0)
    fused = np.where(keywords > 0, np.maximum(embedding, np.minimum(raised, ceiling)), embedding)
    return np.asarray(fused, np.float32)
