"""index: what a folder of footage shows, shot by shot.

    import index
    library = index.build_index("footage")
    hits = library.search("a dog on the beach")

Names are imported when they are first used, so that ``import index`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from index.base import FootageError, Span
    from index.builder import IndexEvent, build_index
    from index.library import Library, find_library
    from index.limits import Limits
    from index.measure import Measurement, measure_file
    from index.probe import read_media
    from index.values import Hit, Look, Media, Problem, Shot

_PLACES = {
    "FootageError": "index.base",
    "Hit": "index.values",
    "IndexEvent": "index.builder",
    "Library": "index.library",
    "Limits": "index.limits",
    "Look": "index.values",
    "Measurement": "index.measure",
    "Media": "index.values",
    "Problem": "index.values",
    "Shot": "index.values",
    "Span": "index.base",
    "build_index": "index.builder",
    "find_library": "index.library",
    "measure_file": "index.measure",
    "read_media": "index.probe",
}
"""Where each public name comes from."""

__all__ = [
    "FootageError",
    "Hit",
    "IndexEvent",
    "Library",
    "Limits",
    "Look",
    "Measurement",
    "Media",
    "Problem",
    "Shot",
    "Span",
    "build_index",
    "find_library",
    "measure_file",
    "read_media",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'index' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
