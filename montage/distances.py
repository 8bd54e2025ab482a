"""Distances between sets of features, and the score of a set of class probabilities.

Features come from a network of the user's (``montage.features``). A distance says how near a set of clips is
to real clips by that network; figures compare only where the network, the rate, the number of frames and
the number of clips are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Statistics", "frechet_distance", "inception_score", "kernel_distance", "statistics_of"]

FloatArray = NDArray[np.float64]
BLOCK = 1024
"""Rows of a kernel matrix held at a time."""
SPLITS = 10
"""Parts over which the Inception Score is averaged (Salimans et al., 2016)."""
SPLIT_LEAST = 10
"""Samples in a part, at least: the score of fewer says little."""


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """A Gaussian fitted to features.

    Raises:
        ValueError: if the shapes do not fit or there are fewer than two samples.
    """

    samples: int
    mean: FloatArray
    """(D,)"""
    covariance: FloatArray
    """(D, D), unbiased: the sum of squares over one less than the samples."""

    def __post_init__(self) -> None:
        size = self.mean.shape
        if self.samples < 2 or len(size) != 1 or self.covariance.shape != size * 2:
            raise ValueError(
                "statistics need two samples at least, a mean (D,) and a covariance (D, D), got "
                f"samples={self.samples} {size} {self.covariance.shape}"
            )


def statistics_of(features: FloatArray) -> Statistics:
    """Mean and covariance of (N, D) features.

    Raises:
        ValueError: if there are fewer than two samples, or one is not finite.
    """
    values = _checked(features)
    return Statistics(len(values), values.mean(axis=0), np.atleast_2d(np.cov(values, rowvar=False)))


def frechet_distance(first: Statistics, second: Statistics) -> float:
    """Squared Frechet (2-Wasserstein) distance between two Gaussians, at least 0 (Dowson and Landau, 1982).

    ``|m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2))``: FID over features of frames (Heusel et al., 2017), FVD
    over features of videos (Unterthiner et al., 2019). The trace of the root is the sum of the roots of the
    eigenvalues of ``S1^(1/2) S2 S1^(1/2)``, which is symmetric: unlike the root of ``S1 S2`` itself it stays
    real, and needs no regularisation, where covariances are singular. With fewer samples than dimensions
    they are, and the distance comes out too high.

    Raises:
        ValueError: if the two have features of different size.
    """
    if first.mean.shape != second.mean.shape:
        raise ValueError(
            f"features of one size are compared, got {first.mean.shape[0]} and {second.mean.shape[0]}"
        )
    values, vectors = np.linalg.eigh(first.covariance)
    root = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    inner = root @ second.covariance @ root
    eigenvalues = np.linalg.eigvalsh((inner + inner.T) / 2)
    shared = float(np.sqrt(np.clip(eigenvalues, 0.0, None)).sum())
    moved = float(np.square(first.mean - second.mean).sum())
    spread = float(np.trace(first.covariance) + np.trace(second.covariance))
    return max(0.0, moved + spread - 2 * shared)


def kernel_distance(first: FloatArray, second: FloatArray) -> float:
    """Unbiased squared maximum mean discrepancy of (N, D) and (M, D) features; may be below 0 by chance.

    Kernel ``(x.y / D + 1)^3``: KID over features of frames (Binkowski et al., 2018), KVD over features of
    videos (Unterthiner et al., 2019). Over all pairs, where some implementations average over subsets of
    1,000.

    Raises:
        ValueError: if the sizes differ, there are fewer than two samples of either, or one is not finite.
    """
    x, y = _checked(first), _checked(second)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"features of one size are compared, got {x.shape[1]} and {y.shape[1]}")
    n, m = len(x), len(y)
    own = (_kernel_sum(x, x) - _kernel_diagonal(x)) / (n * (n - 1))
    other = (_kernel_sum(y, y) - _kernel_diagonal(y)) / (m * (m - 1))
    return own + other - 2 * _kernel_sum(x, y) / (n * m)


def inception_score(probabilities: FloatArray, splits: int | None = None) -> tuple[float, float, int]:
    """The Inception Score of (N, C) class probabilities: (mean, standard deviation over the splits, splits).

    ``exp(mean of KL(p(class | sample) || p(class)))``: 1 where all samples look alike or unsure, the number
    of classes at most (Salimans et al., 2016; of videos: Saito et al., 2020). Few samples bound it too: it is
    no more than their number in a split.

    Args:
        probabilities: rows of at least 0 that sum to 1.
        splits: parts of the samples, each scored by itself; None: 10, fewer where a part would have less than
            10 samples.

    Raises:
        ValueError: if a row is no distribution, or there are fewer samples than splits.
    """
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2 or not len(p) or np.any(p < 0) or not np.allclose(p.sum(axis=1), 1, atol=1e-3):
        raise ValueError("each row of class probabilities must be at least 0 and sum to 1")
    if splits is None:
        splits = max(1, min(SPLITS, len(p) // SPLIT_LEAST))
    if not 1 <= splits <= len(p):
        raise ValueError(f"{len(p)} samples cannot be put into {splits} parts")
    scores = []
    for part in np.array_split(p, splits):
        marginal = part.mean(axis=0)
        # A class of probability 0 adds nothing; where the marginal is 0, so is every row.
        logs = np.log(np.where(part > 0, part, 1.0)) - np.log(np.where(marginal > 0, marginal, 1.0))
        scores.append(float(np.exp((part * logs).sum(axis=1).mean())))
    return float(np.mean(scores)), float(np.std(scores)), splits


def _kernel_sum(x: FloatArray, y: FloatArray) -> float:
    """Sum of the kernel over all pairs, block by block: 16,000 samples a side would need 2 GB at once."""
    blocks = (x[start : start + BLOCK] for start in range(0, len(x), BLOCK))
    return sum(float(((block @ y.T / x.shape[1] + 1) ** 3).sum()) for block in blocks)


def _kernel_diagonal(x: FloatArray) -> float:
    return float(((np.square(x).sum(axis=1) / x.shape[1] + 1) ** 3).sum())


def _checked(features: FloatArray) -> FloatArray:
    values = np.asarray(features, np.float64)
    if values.ndim != 2 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(f"features are (N, D), finite, of two samples at least; got {values.shape}")
    return values
