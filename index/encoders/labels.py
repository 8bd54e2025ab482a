"""The names of the classes in the space of sentences."""

from __future__ import annotations

from collections.abc import Sequence

from index.encoders.base import FloatArray

__all__ = ["centre", "conse"]


def centre(texts: Sequence[str], language: str) -> FloatArray:
    """Vectors of texts."""
    raise LookupError(language)


def conse(features: FloatArray, language: str) -> FloatArray:
    """Vectors of features."""
    raise LookupError(language)
