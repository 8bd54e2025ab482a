"""What every package may use: errors, exact time spans, content ids, and where ffmpeg and torch are.

This module is the leaf of the import graph. It imports nothing of this project and nothing heavy at
import time.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = [
    "FILM_MARK",
    "FootageError",
    "Span",
    "StorageError",
    "content_id",
    "ffmpeg_path",
    "file_sha256",
    "import_torch",
    "is_film",
    "model_folder",
    "open_local",
    "to_seconds",
]

FILM_MARK = "montage_film"
"""Name of the metadata entry that every film of ours carries: by it a film is told from footage."""
SAMPLE_BLOCK = 64 * 1024
"""Bytes read at each sampled place of a file for its content id."""
SAMPLE_PLACES = 16
"""Number of evenly spaced places sampled for a content id; smaller files are read whole."""


class FootageError(Exception):
    """Something is wrong with footage, an index or an encoder: says what, where and what to do next."""


class StorageError(FootageError):
    """An index cannot be written or read for no fault of the footage: a full disk, a damaged file."""


def to_seconds(value: Fraction | int | float | str) -> Fraction:
    """An exact number of seconds; floats are taken at microsecond precision.

    Raises:
        ValueError: if the value is not finite or not a number.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"seconds must be finite, got {value!r}")
        return Fraction(round(value * 1_000_000), 1_000_000)
    return Fraction(value)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open interval ``[start, end)`` of time in exact seconds.

    The seconds are a stream's own presentation timestamps (PTS) counted from the first frame shown,
    never ``frame_number / fps``: files with a variable frame rate are common.

    Raises:
        ValueError: if ``start`` is negative or ``end`` is not after ``start``.
    """

    start: Fraction
    end: Fraction

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", to_seconds(self.start))
        object.__setattr__(self, "end", to_seconds(self.end))
        if self.start < 0 or self.end <= self.start:
            raise ValueError(
                f"a span needs 0 <= start < end, got start={float(self.start)} end={float(self.end)}"
            )

    @property
    def seconds(self) -> Fraction:
        """Length in seconds."""
        return self.end - self.start

    @property
    def middle(self) -> Fraction:
        """The time halfway between start and end, in seconds."""
        return (self.start + self.end) / 2

    def contains(self, time: Fraction) -> bool:
        """Whether ``time`` (seconds) lies in ``[start, end)``."""
        return self.start <= time < self.end

    def overlaps(self, other: Span) -> bool:
        """Whether the two spans share any time; spans that only touch do not."""
        return self.start < other.end and other.start < self.end

    def intersection(self, other: Span) -> Span | None:
        """The shared part, or None when there is none."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Span(start, end) if start < end else None


def file_sha256(path: Path | str) -> str:
    """SHA-256 of a whole file, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_film(metadata: Mapping[str, str]) -> bool:
    """Whether a container's metadata is that of a film of ours; Matroska writes names in capitals."""
    return any(name.casefold() == FILM_MARK for name in metadata)


def content_id(path: Path | str) -> str:
    """A name for what a file holds, whatever it is called: 32 hex digits.

    SHA-256 over the size and up to ``SAMPLE_PLACES`` blocks of ``SAMPLE_BLOCK`` bytes spread evenly
    from the first byte to the last, so that an hour of footage costs no more to name than a minute.

    Raises:
        OSError: if the file cannot be read.
    """
    size = os.stat(path).st_size
    digest = hashlib.sha256(size.to_bytes(8, "big"))
    with open(path, "rb") as file:
        if size <= SAMPLE_BLOCK * SAMPLE_PLACES:
            digest.update(file.read())
        else:
            for place in range(SAMPLE_PLACES):
                file.seek((size - SAMPLE_BLOCK) * place // (SAMPLE_PLACES - 1))
                digest.update(file.read(SAMPLE_BLOCK))
    return digest.hexdigest()[:32]


@cache
def ffmpeg_path() -> str:
    """The ffmpeg executable shipped by imageio-ffmpeg (``IMAGEIO_FFMPEG_EXE`` overrides it).

    Raises:
        FootageError: if there is none.
    """
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise FootageError(
            "no ffmpeg was found: reinstall the package imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE "
            f"to an ffmpeg executable ({error})"
        ) from error


def open_local(path: Path | str) -> Any:
    """Open a file of our own with PyAV for reading; no name and no content makes it call an address.

    Footage is opened by ``index.probe.open_footage``, which refuses more.
    """
    import av

    return av.open(f"file:{os.path.abspath(path)}", options={"protocol_whitelist": "file"})


_torchvision_schemas: list[Any] = []  # a torch Library is undone when it is collected


@cache
def import_torch() -> ModuleType:
    """Import torch, and make ``import torchvision`` work beside it; every torch import goes through here.

    The torchvision wheel published for Linux is linked against a CUDA torch. Beside a CPU-only torch its
    compiled operators do not load and importing it fails with "operator torchvision::nms does not
    exist", which takes transformers, open_clip and diffusers with it. Declaring the two missing schemas
    repairs that: nothing here calls them.
    """
    torch = importlib.import_module("torch")
    if importlib.util.find_spec("torchvision") is None:
        return torch
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _torchvision_schemas.append(library)
        importlib.import_module("torchvision")
    return torch


def model_folder() -> Path:
    """Where weights are kept: ``MONTAGE_MODELS``, else ``montage/models`` in the user's cache folder."""
    chosen = os.environ.get("MONTAGE_MODELS")
    if chosen:
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "montage" / "models"
