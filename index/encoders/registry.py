"""Which encoder a name means."""

from __future__ import annotations

import importlib
from functools import cache

from index.base import FootageError
from index.encoders.base import Encoder

__all__ = ["load_encoder", "resolve"]


def resolve(spec: str = "auto") -> tuple[str, str]:
    """The encoder that ``spec`` stands for, and one plain line that says why (empty if it was named)."""
    if spec != "auto":
        return spec, ""
    return "embedded", "using the built-in encoder; better matches: montage models pull clip:fast"


@cache
def load_encoder(spec: str = "auto") -> Encoder:
    """An encoder by name; the same object for the same name.

    ``auto``, ``embedded``, ``clip:fast``, ``clip:multilingual``, ``clip:best``, ``clip:ARCH:PATH`` or
    ``python:MODULE:CLASS`` (a class of yours that follows ``index.encoders.base.Encoder``).

    Raises:
        FootageError: if there is no such encoder or its weights are missing, wrong or damaged.
    """
    name, _ = resolve(spec)
    kind, _, rest = name.partition(":")
    if name == "embedded":
        from index.encoders.embedded import EmbeddedEncoder

        return EmbeddedEncoder()
    if kind == "python":
        return _from_python(rest)
    raise FootageError(
        f"unknown encoder {spec!r}: use auto, embedded, clip:fast, clip:multilingual or clip:best"
    )


def _from_python(place: str) -> Encoder:
    module, _, attribute = place.partition(":")
    try:
        made = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, ValueError) as error:
        raise FootageError(
            f"no encoder at python:{place}: write python:MODULE:CLASS with an importable module ({error})"
        ) from error
    if not isinstance(made, Encoder):
        raise FootageError(f"python:{place} is no encoder: it lacks part of index.encoders.base.Encoder")
    return made
