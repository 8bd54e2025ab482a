"""Which encoder a name means."""

from __future__ import annotations

import contextlib
import importlib
import os
from functools import cache
from pathlib import Path

from index.base import FootageError
from index.encoders.base import Encoder
from index.encoders.models import MODELS, list_models

__all__ = ["known_hash", "load_encoder", "prepare", "resolve"]


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
    name = resolve(spec)[0]
    return _load(name, _stamp(name))


def known_hash(spec: str) -> str | None:
    """The hash of an encoder as its weights are now, without loading them; None where only loading tells.

    A weights file is read again only if its size or time has changed.
    """
    if not spec.startswith("clip:") and spec != "embedded":
        return None
    try:
        return load_encoder(spec).hash
    except FootageError:
        return None


def prepare(spec: str) -> None:
    """Make and keep what the first search with an encoder would otherwise wait for."""
    if spec.startswith("clip:") or spec == "embedded":
        with contextlib.suppress(FootageError):  # a search says what is missing
            made = getattr(load_encoder(spec), "prepare", None)
            if made is not None:
                made()


def _clip_parts(name: str) -> tuple[str, Path, str]:
    """Architecture, weights and the name for ``montage models pull`` of a ``clip:`` encoder."""
    for status in list_models():
        if status.model.name == name:
            return status.model.architecture, status.path, name
    rest = name.partition(":")[2]
    architecture, separator, path = rest.partition(".json:")
    if separator:
        return f"{architecture}.json", Path(path), ""
    architecture, separator, path = rest.partition(":")
    if not separator:
        raise _unknown(name)
    return architecture, Path(path), ""


def _stamp(name: str) -> tuple[int, int] | None:
    """Size and time of the weights of a ``clip:`` encoder: another file is another encoder."""
    if not name.startswith("clip:"):
        return None
    with contextlib.suppress(OSError):
        status = _clip_parts(name)[1].stat()
        return status.st_size, status.st_mtime_ns
    return None


def _unknown(name: str) -> FootageError:
    return FootageError(
        f"unknown encoder {name!r}: use auto, embedded, {', '.join(MODELS)}, clip:ARCH:PATH or "
        "python:MODULE:CLASS"
    )


@cache
def _load(name: str, stamp: tuple[int, int] | None) -> Encoder:
    kind, _, rest = name.partition(":")
    if name == "embedded":
        from index.encoders.embedded import EmbeddedEncoder

        return EmbeddedEncoder()
    if kind == "python":
        return _from_python(rest)
    if kind == "clip" and rest:
        from index.encoders.clip import ClipEncoder

        return ClipEncoder(name, *_clip_parts(name))
    raise _unknown(name)


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
