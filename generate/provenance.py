"""How a made shot says that it was made: marks in the video file itself.

Marks are written as QuickTime metadata (``mdta`` keys) in the MP4 container. They survive a copy of the
file and are lost by a stream copy into another, so the project file keeps them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from generate.base import GenerationError, TakeKind
from index.base import open_local

__all__ = ["DIGITAL_SOURCE_TYPES", "marks_for", "metadata_arguments", "read_marks"]

_IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"

DIGITAL_SOURCE_TYPES: Mapping[TakeKind, str] = MappingProxyType(
    {
        # "Trained algorithmic media": created by a model derived from sampled content.
        "diffusion": _IPTC + "trainedAlgorithmicMedia",
        # "Algorithmically-altered media: modification or correction by algorithm without changing the main
        # content". The picture is a captured frame; only the framing moves. Not compositeCapture: there is
        # one element. Not humanEdits: no person set the move.
        "still": _IPTC + "algorithmicallyEnhanced",
        # "Algorithmic media: created purely by an algorithm not based on any sampled training data". The
        # gradient is a formula and the words are set by program. Not digitalCreation, which a person makes by
        # hand.
        "card": _IPTC + "algorithmicMedia",
    }
)
"""IPTC digital source type of each kind of take, from the IPTC NewsCodes vocabulary of 17 September 2024."""

_COMMENTS: Mapping[TakeKind, str] = {
    "diffusion": "AI-generated video",
    "still": "Camera move over a frame of footage",
    "card": "Typographic card",
}

_PREFIX = "montage_"
_KEYS = ("comment", "digital_source_type", "kind", "model", "model_hash", "prompt", "seed")

PROMPT_LIMIT = 2000
"""Characters of the prompt kept in the container; the project file keeps it whole."""


def marks_for(kind: TakeKind, *, model: str, model_hash: str, prompt: str, seed: int) -> dict[str, str]:
    """The marks of a take, by name.

    Only a diffusion take is called AI-generated: a still move and a card involve no trained model.
    """
    marks = {
        "comment": _COMMENTS[kind],
        "digital_source_type": DIGITAL_SOURCE_TYPES[kind],
        "kind": kind,
        "model": model,
        "model_hash": model_hash,
        "prompt": " ".join(prompt.replace("\0", " ").split())[:PROMPT_LIMIT],
        "seed": str(seed),
    }
    return {name: value for name, value in marks.items() if value}


def metadata_arguments(marks: Mapping[str, str]) -> list[str]:
    """The ffmpeg output options that write ``marks`` into an MP4 file."""
    arguments = ["-movflags", "+use_metadata_tags+faststart"]
    for name, value in marks.items():
        arguments += ["-metadata", f"{_stored(name)}={value}"]
    return arguments


def read_marks(path: Path | str) -> dict[str, str]:
    """The marks in a video file; empty where there are none.

    Names are ``comment``, ``digital_source_type``, ``kind``, ``model``, ``model_hash``, ``prompt``, ``seed``.
    A comment alone is not a mark: any camera may write one.

    Raises:
        GenerationError: if the file cannot be opened as media.
    """
    import av

    try:
        with open_local(path) as container:
            metadata = dict(container.metadata)
    except (OSError, av.error.FFmpegError) as error:
        raise GenerationError(
            f"cannot read the marks of {path}: {error}; check that it is a video file"
        ) from error
    marks = {name: metadata[_stored(name)] for name in _KEYS if _stored(name) in metadata}
    return marks if "digital_source_type" in marks else {}


def _stored(name: str) -> str:
    """A mark's key in the container: our own names carry a prefix, common ones do not."""
    return name if name in {"comment", "digital_source_type"} else _PREFIX + name
