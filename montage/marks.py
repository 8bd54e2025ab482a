"""What a film's container says of the shots in it that were generated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index.base import open_local
from montage.values import MontageError

if TYPE_CHECKING:
    from montage.cut import Cut
    from montage.timeline import Timeline

__all__ = ["film_marks", "labelled", "read_film_marks"]

KEY = "montage_generated"
"""Name of the container's metadata entry: a JSON list, one entry a generated shot."""
LABEL_PROMPT = 64
"""Letters of the prompt that a label shows."""


def film_marks(cut: Cut) -> dict[str, str]:
    """Metadata for the film of ``cut``; empty when nothing in it was generated."""
    numbers = {sentence.id: sentence.number for sentence in cut.script.sentences}
    made = []
    start = 0
    for slot in cut.slots:
        if slot.take is not None:
            made.append(
                {
                    "sentence": numbers[slot.sentence],
                    "from": round(float(start / cut.fps), 3),
                    "seconds": round(float(slot.frames / cut.fps), 3),
                    "kind": slot.kind,
                    **{name: slot.take[name] for name in ("model", "prompt", "seed", "digital_source_type")},
                    **{name: slot.take[name] for name in ("strategy", "safety") if name in slot.take},
                }
            )
        start += slot.frames
    return {KEY: json.dumps(made, ensure_ascii=False)} if made else {}


def labelled(timeline: Timeline, cut: Cut) -> Timeline:
    """The timeline with a label on every shot that a model generated: by which one, and from what."""
    clips = []
    for clip, slot in zip(timeline.picture, cut.slots, strict=True):
        label = ""
        if slot.kind == "diffusion" and slot.take is not None:
            said = str(slot.take["prompt"])
            prompt = said if len(said) <= LABEL_PROMPT else said[: LABEL_PROMPT - 1].rstrip() + "\u2026"
            label = f"AI-generated: {slot.take['model']}, seed {slot.take['seed']}\n{prompt}"
        clips.append(replace(clip, label=label))
    return replace(timeline, picture=tuple(clips))


def read_film_marks(path: Path | str) -> list[dict[str, Any]]:
    """The generated shots that a film names, in order: sentence, from and seconds, kind, model, prompt, seed.

    Raises:
        MontageError: if the file cannot be opened, or its mark is damaged.
    """
    import av

    try:
        with open_local(path) as container:
            # Matroska writes names in capitals.
            named = {name.casefold(): value for name, value in container.metadata.items()}
    except (OSError, av.error.FFmpegError) as error:
        raise MontageError(f"cannot open {path}: {error}; check that it is a film") from error
    try:
        marks = json.loads(named.get(KEY, "[]"))
    except ValueError as error:
        raise MontageError(f"{path}: what it says of its generated shots is damaged ({error})") from error
    return list(marks)
