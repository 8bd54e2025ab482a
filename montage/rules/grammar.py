"""Grammars: how well shot sizes and camera moves follow each other."""

from __future__ import annotations

from dataclasses import dataclass

from index.values import CAMERA_MOVES, SHOT_SIZES, CameraMove

__all__ = ["ESA", "Grammar"]

Table = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """Two tables; in both 1 is best, the row comes first and the column follows it.

    Raises:
        ValueError: if a table has another shape or a score lies outside [0, 1].
    """

    sizes: Table
    """(5, 5) by ``SHOT_SIZES``."""
    moves: Table
    """(8, 8) by ``CAMERA_MOVES``."""

    def __post_init__(self) -> None:
        for name, count in (("sizes", len(SHOT_SIZES)), ("moves", len(CAMERA_MOVES))):
            table = getattr(self, name)
            if len(table) != count or any(len(row) != count for row in table):
                raise ValueError(f"the grammar of {name} needs {count} rows of {count} scores")
            if not all(0 <= score <= 1 for row in table for score in row):
                raise ValueError(f"the grammar of {name} needs scores from 0 to 1")


def _move_score(first: CameraMove, second: CameraMove) -> float:
    """How well a camera move is followed by another; unlisted pairs are fine."""
    a, b = first.split("-")[0], second.split("-")[0]
    still = {"static", "handheld"}
    if a in still or b in still or first == second:
        return 1.0
    if a == b:
        return 0.0  # opposite ways
    return 1.0 if b == "zoom" else 0.0


ESA = Grammar(
    sizes=(
        (0.0, 0.5, 1.0, 0.0, 0.0),
        (0.5, 0.6, 1.0, 1.0, 0.0),
        (1.0, 1.0, 1.0, 1.0, 1.0),
        (0.0, 0.6, 0.8, 0.6, 1.0),
        (0.0, 0.0, 0.3, 1.0, 0.0),
    ),
    moves=tuple(tuple(_move_score(a, b) for b in CAMERA_MOVES) for a in CAMERA_MOVES),
)
"""ESA, arXiv 2511.02505."""
