"""generate: shots that the footage lacks, made by diffusion, from a frame, or from type.

Names are imported when they are first used, so that ``import generate`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generate.backends import Diffusers
    from generate.base import Cancelled, GenerationError, Generator, Request, Take
    from generate.card import Card
    from generate.gates import check_take
    from generate.provenance import read_marks
    from generate.still import Still
    from generate.takes import StepDown, make_take
    from generate.tuning import Tuning

_PLACES = {
    "Cancelled": "generate.base",
    "Card": "generate.card",
    "Diffusers": "generate.backends",
    "GenerationError": "generate.base",
    "Generator": "generate.base",
    "Request": "generate.base",
    "StepDown": "generate.takes",
    "Still": "generate.still",
    "Take": "generate.base",
    "Tuning": "generate.tuning",
    "check_take": "generate.gates",
    "make_take": "generate.takes",
    "read_marks": "generate.provenance",
}
"""Where each public name comes from."""

__all__ = [
    "Cancelled",
    "Card",
    "Diffusers",
    "GenerationError",
    "Generator",
    "Request",
    "StepDown",
    "Still",
    "Take",
    "Tuning",
    "check_take",
    "make_take",
    "read_marks",
]


def __getattr__(name: str) -> object:
    try:
        place = _PLACES[name]
    except KeyError:
        raise AttributeError(f"module 'generate' has no attribute {name!r}") from None
    value = getattr(importlib.import_module(place), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
