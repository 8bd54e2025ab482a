"""Which encoder a name means."""

from __future__ import annotations

import importlib
import os
from functools import cache
from pathlib import Path

from index.base import FootageError
from index.encoders.base import Encoder
from index.encoders.models import MODELS, list_models

__all__ = ["load_encoder", "resolve"]


def resolve(spec: str = "auto") -> tuple[str, str]:
    """The encoder that ``spec`` stands for, and one plain line that says why; empty if it was named.

    ``auto`` is the best of the models whose weights are on this machine, else ``embedded``.
    """
    if spec != "auto":
        return _settled(spec), ""
    here = [status.model.name for status in list_models() if status.present]
    if here:
        return here[-1], f"matching with {here[-1]}, the best encoder on this machine"
    return "embedded", "matching with the built-in encoder; for better matches: montage models pull clip:fast"


def _settled(spec: str) -> str:
    """``spec`` with whole paths: an index remembers it, and is opened from other folders."""
    if not spec.startswith("clip:") or spec in MODELS:
        return spec
    rest = spec.removeprefix("clip:")
    architecture, separator, weights = rest.partition(".json:")
    if separator:
        return f"clip:{os.path.abspath(architecture)}.json:{os.path.abspath(weights)}"
    architecture, separator, weights = rest.partition(":")
    return f"clip:{architecture}:{os.path.abspath(weights)}" if separator else spec


def load_encoder(spec: str = "auto") -> Encoder:
    """An encoder by name; the same object for the same name.

    ``auto``, ``embedded``, ``clip:fast``, ``clip:multilingual``, ``clip:best``, ``clip:ARCH:PATH`` (any
    open_clip model: ARCH a name of its registry or a configuration .json, PATH a .safetensors file), or
    ``python:MODULE:CLASS`` (a class of yours that follows ``index.encoders.base.Encoder``). The network is
    not used.

    Raises:
        FootageError: if there is no such encoder, or its weights are missing, wrong or damaged.
    """
    return _load(resolve(spec)[0])


@cache
def _load(name: str) -> Encoder:
    kind, _, rest = name.partition(":")
    if name == "embedded":
        from index.encoders.embedded import EmbeddedEncoder

        return EmbeddedEncoder()
    if kind == "python":
        return _from_python(rest)
    if kind == "clip" and rest:
        from index.encoders.clip import ClipEncoder

        for status in list_models():
            if status.model.name == name:
                return ClipEncoder(name, status.model.architecture, status.path, pull=name)
        architecture, separator, path = rest.partition(".json:")
        if separator:
            return ClipEncoder(name, f"{architecture}.json", Path(path))
        architecture, separator, path = rest.partition(":")
        if separator:
            return ClipEncoder(name, architecture, Path(path))
    raise FootageError(
        f"unknown encoder {name!r}: use auto, embedded, {', '.join(MODELS)}, clip:ARCH:PATH or "
        "python:MODULE:CLASS"
    )


def _from_python(place: str) -> Encoder:
    module, _, attribute = place.partition(":")
    try:
        made = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise FootageError(
            f"no encoder at python:{place}: write python:MODULE:CLASS with an importable module ({error})"
        ) from error
    if not isinstance(made, Encoder):
        raise FootageError(f"python:{place} is no encoder: it lacks part of index.encoders.base.Encoder")
    return made
