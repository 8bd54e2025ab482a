"""The table of an evaluation: one row a measure, one column an input or a group, and their difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from montage.made import MadeShot
from montage.scoring import ShotScore

__all__ = ["Column", "Row", "SetScore", "finite", "pair_key", "rows_of"]

RESAMPLES = 2000
"""Of the bootstrap over pairs."""
Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetScore:
    """A measure of a whole set of clips by a network of the user's."""

    measure: str
    """``FVD``, ``KVD``, ``FID``, ``KID``, ``video IS`` or ``IS``."""
    network: str
    """Name of its file."""
    value: float
    samples: int
    """Of the set: clips, or frames for a network of images."""
    real: int | None
    """Of the real clips; None for an Inception Score, which needs none."""
    dimensions: int
    """Of a feature, or classes."""
    deviation: float | None = None
    """Standard deviation over the splits of an Inception Score."""

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "measure": self.measure,
            "network": self.network,
            "value": finite(self.value),
            "samples": self.samples,
            "real_samples": self.real,
            "dimensions": self.dimensions,
            "deviation": finite(self.deviation),
        }

    @property
    def better(self) -> Better:
        """Whether more or less is better."""
        return "higher" if self.real is None else "lower"

    @property
    def caution(self) -> str:
        """What to know of the figure; empty where there are enough samples."""
        which = f"{self.measure} by {self.network}: {self.samples} samples"
        if self.real is None:
            few = self.samples < 10 * self.dimensions
            return f"{which} for {self.dimensions} classes are too few, and bound it" if few else ""
        if self.measure in ("FID", "FVD") and min(self.samples, self.real) <= self.dimensions:
            return (
                f"{which} and {self.real} real ones for {self.dimensions} dimensions are too few: it comes "
                "out too high, and compares only with as many samples"
            )
        return ""


@dataclass(frozen=True, slots=True)
class Column:
    """The shots of one input, or of one group of them."""

    name: str
    scores: tuple[ShotScore, ...]
    sets: tuple[SetScore, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "name": self.name,
            "shots": [score.as_data() for score in self.scores],
            "sets": [one.as_data() for one in self.sets],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measure in every column."""

    measure: str
    better: Better
    values: tuple[float | None, ...]
    difference: float | None = None
    """The second column less the first, where there are two."""
    interval: tuple[float, float] | None = None
    """95% bootstrap interval of the difference over the pairs."""
    pairs: int = 0
    """Sentences (or prompts) that both columns show; 0 where means over all shots are compared."""
    ahead: int = 0
    """In how many pairs the second column is better."""

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "measure": self.measure,
            "better": self.better,
            "values": [finite(value) for value in self.values],
            "difference": finite(self.difference),
            "interval": None if self.interval is None else [finite(end) for end in self.interval],
            "pairs": self.pairs,
            "second_better": self.ahead,
        }


def pair_key(shot: MadeShot, films: bool) -> str:
    """What a shot is paired by: between films the number of its sentence, else its prompt or file name."""
    return f"sentence {shot.sentence}" if films and shot.sentence is not None else shot.key


MEASURES: Mapping[str, Callable[[ShotScore], float | None]] = {
    "CLIPSIM": lambda score: score.clipsim,
    "frame consistency": lambda score: score.consistency,
    "neighbour similarity": lambda score: score.neighbours,
    "pass the gates": lambda score: None if score.refused is None else float(not score.refused),
    "PSNR, dB": lambda score: score.psnr,
    "SSIM": lambda score: score.ssim,
}
"""Measures of a shot by the names that the table shows; of all of them more is better."""


def rows_of(columns: Sequence[Column]) -> tuple[list[Row], list[str]]:
    """One row for each measure that a column has, and what is to be said of the pairs."""
    films = all(score.shot.sentence is not None for column in columns for score in column.scores)
    rows, notes = [], []
    shared: set[str] = set()
    if len(columns) == 2:
        keys = [{pair_key(score.shot, films) for score in column.scores} for column in columns]
        shared = keys[0] & keys[1]
        for column, own in zip(columns, keys, strict=True):
            if shared and own - shared:
                notes.append(
                    f"{column.name} alone shows {len(own - shared)}: these are left out of the means"
                )
        if not shared:
            notes.append("the two have no sentence or prompt in common: means over all shots are compared")
    for measure, value_of in MEASURES.items():
        means = [_means(column, value_of, films, shared) for column in columns]
        if any(means):
            rows.append(_row(measure, means, bool(shared)))
    known = dict.fromkeys((one.measure, one.network, one.better) for column in columns for one in column.sets)
    several = len({network for _, network, _ in known}) > 1
    for measure, network, better in known:
        values = [
            next((s.value for s in column.sets if (s.measure, s.network) == (measure, network)), None)
            for column in columns
        ]
        rows.append(
            Row(
                measure=f"{measure} ({network})" if several else measure,
                better=better,
                values=tuple(values),
                difference=_difference(values),
            )
        )
    return rows, notes


def _means(
    column: Column, value_of: Callable[[ShotScore], float | None], films: bool, shared: set[str]
) -> dict[str, float]:
    """The mean of a measure by pair; of those in ``shared``, if there are any."""
    values: dict[str, list[float]] = {}
    for number, score in enumerate(column.scores):
        value, key = value_of(score), pair_key(score.shot, films)
        if value is not None and (not shared or key in shared):
            values.setdefault(key if shared else str(number), []).append(value)
    return {key: float(np.mean(some)) for key, some in values.items()}


def _row(measure: str, means: Sequence[Mapping[str, float]], paired: bool) -> Row:
    if not paired:
        values = [float(np.mean(list(some.values()))) if some else None for some in means]
        return Row(measure=measure, better="higher", values=tuple(values), difference=_difference(values))
    first, second = means
    both = sorted(first.keys() & second.keys())
    if not both:
        values = [float(np.mean(list(some.values()))) if some else None for some in means]
        return Row(measure=measure, better="higher", values=tuple(values))
    a, b = (np.array([some[key] for key in both]) for some in means)
    difference = _difference([float(a.mean()), float(b.mean())])
    return Row(
        measure=measure,
        better="higher",
        values=(float(a.mean()), float(b.mean())),
        difference=difference,
        interval=_bootstrap(b - a) if np.isfinite(b - a).all() and len(both) > 1 else None,
        pairs=len(both),
        ahead=int((b > a).sum()),
    )


def _bootstrap(differences: NDArray[np.float64]) -> tuple[float, float]:
    """95% percentile interval of the mean (Efron, 1979); the same for the same figures."""
    drawn = np.random.default_rng(0).integers(len(differences), size=(RESAMPLES, len(differences)))
    low, high = np.quantile(differences[drawn].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def _difference(values: Sequence[float | None]) -> float | None:
    if len(values) != 2 or values[0] is None or values[1] is None:
        return None
    difference = values[1] - values[0]
    return difference if np.isfinite(difference) else None


def finite(value: float | None) -> float | None:
    """A figure for JSON: six digits after the point, None for what is not finite."""
    return None if value is None or not np.isfinite(value) else round(value, 6)
