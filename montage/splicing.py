"""Takes that stand for footage: measured by the indexer, spliced in as candidates like any other shot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from index.base import Span, content_id
from index.values import Look, Media, Shot
from montage.rules import Source
from montage.timeline import Clip
from montage.values import Candidate, MontageError, Sentence, Slot, SlotKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from generate.base import Take
    from index.library import Library
    from montage.script import Script
    from montage.taste import Taste

__all__ = [
    "Spliced",
    "heard_of",
    "is_reworked",
    "measured",
    "piece_of",
    "referenced",
    "sources_of",
    "splice",
    "splices_of",
    "take_file",
    "takes_folder",
]

TAKES = "takes"
"""Folder of the takes in the library's store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spliced:
    """A take that stands for footage."""

    sentence: str
    """Sentence id."""
    kind: SlotKind
    media: Media
    shot: Shot
    match: float
    take: Mapping[str, object]
    """What the project file keeps of it."""


def takes_folder(library: Library) -> Path:
    """Where the takes of a library lie; made if need be."""
    folder: Path = library.store_dir / TAKES
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def take_file(slot: Slot, library: Library) -> Path:
    """Where the take of a generated slot lies.

    Raises:
        MontageError: if the slot has no take.
    """
    if slot.take is None:
        raise MontageError(f"slot of sentence {slot.sentence} has no take")
    folder: Path = library.store_dir / TAKES
    return folder / str(slot.take["file"])


def heard_of(slot: Slot, library: Library, fps: Fraction) -> Clip | None:
    """The footage that is heard with a take that was made around it; None for other takes."""
    told = slot.take.get("heard") if slot.take is not None else None
    if not isinstance(told, Mapping) or told.get("shot") not in library.shots:
        return None
    shot = library.shots[told["shot"]]
    media = library.media[shot.media]
    start, speed = Fraction(str(told["start"])), Fraction(str(told["speed"]))
    return Clip(
        start=0,
        frames=slot.frames,
        kind="footage",
        source=library.path_of(media.id),
        content=media.id,
        span=Span(start, start + slot.frames / fps * speed),
        speed=speed,
        media=media,
        shot=shot.span,
    )


def splice(spliced: Spliced) -> Candidate:
    """A take as the candidate of its sentence."""
    return Candidate(
        sentence=spliced.sentence,
        shot=spliced.shot,
        span=spliced.shot.span,
        match=spliced.match,
        parts={"embedding": spliced.match},
        why=f"generated: {spliced.take['model']}",
    )


def sources_of(spliced: Sequence[Spliced], library: Library) -> dict[str, Source]:
    """Take's shot id to the footage whose frames it shows: that is not shown a second time beside it.

    A take that footage is a part of shows that part; of what a still or a model started from, all counts.
    """
    found = {}
    for made in spliced:
        shot = library.shots.get(str(made.take.get("reference") or ""))
        if shot is None:
            continue
        heard = made.take.get("heard")
        span = shot.span
        if isinstance(heard, Mapping):
            start = Fraction(str(heard["start"]))
            seconds = Fraction(int(str(made.take["frames"]))) / Fraction(str(made.take["fps"]))
            span = Span(start, min(shot.span.end, start + seconds * Fraction(str(heard["speed"]))))
        found[made.shot.id] = Source(shot.id, span, shot.group)
    return found


def is_reworked(take: Mapping[str, object]) -> bool:
    """Whether a take stands for a shot of its sentence: gone on from, or painted around."""
    return isinstance(take.get("heard"), Mapping)


def piece_of(take: Mapping[str, object]) -> tuple[int, int]:
    """(which, from 0, of how many shots) a take is of its gap."""
    told = take.get("piece")
    piece, count = told if isinstance(told, Sequence) and len(told) == 2 else (0, 1)
    return int(piece), int(count)


def referenced(spliced: Sequence[Spliced]) -> set[str]:
    """Ids of the shots whose frames takes show: they must not be shown a second time as footage."""
    return {str(made.take["reference"]) for made in spliced if made.take.get("reference")}


def splices_of(slots: Sequence[Slot], script: Script, library: Library, taste: Taste) -> tuple[Spliced, ...]:
    """The takes that slots show, where their sentence and its own prompt still say the same and the file is
    still there."""
    sentences = {sentence.id: sentence for sentence in script.sentences}
    found = []
    for slot in slots:
        sentence = sentences.get(slot.sentence)
        if slot.take is None or sentence is None or sentence.text != slot.take.get("text"):
            continue
        if slot.take.get("asked") and not sentence.directives.generate:
            continue
        written = sentence.directives.prompt or taste.prompts.get(sentence.id, "")
        if slot.kind == "diffusion" and slot.take.get("written", "") != written:
            continue
        try:
            # One that is damaged, or was changed, is made anew.
            if content_id(take_file(slot, library)) == slot.take["media"]:
                found.append(_from_json(slot.sentence, slot.kind, slot.take))
        except (KeyError, TypeError, ValueError, OSError):
            continue  # half of what is known of it is lost: it is made again
    return tuple(found)


def _from_json(sentence: str, kind: SlotKind, take: Mapping[str, Any]) -> Spliced:
    fps = Fraction(take["fps"])
    media = Media(
        id=take["media"],
        paths=(take["file"],),
        duration=Fraction(take["frames"]) / fps,
        width=take["width"],
        height=take["height"],
        rate=fps,
        codec="h264",
    )
    look = dict(take["look"])
    span = Span(Fraction(0), media.duration)
    shot = Shot(
        id=f"{media.id[:12]}-take",
        media=media.id,
        span=span,
        windows=(span,),
        look=Look(**{**look, "lab": tuple(look["lab"])}),
    )
    return Spliced(
        sentence=sentence, kind=kind, media=media, shot=shot, match=float(take["match"]), take=take
    )


def measured(
    take: Take, sentence: Sentence, library: Library, more: Mapping[str, object] | None = None
) -> tuple[Spliced, NDArray[np.float32]]:
    """A take seen by the indexer, as real footage is, and the (D,) unit vector of what it shows.

    ``more`` goes into what the project file keeps: ``reference``, ``strategy`` and so on. It is compared with
    the prompt that somebody wrote for it (``written``), else with its sentence.
    """
    from index.faces import find_faces
    from index.measure import measure_file
    from index.query import Matcher

    seen = measure_file(take.path, library.encoder, faces=find_faces)
    said = str((more or {}).get("written") or sentence.text)
    match = Matcher(library).match_features(seen.features, said, sentence.language)
    best = max(seen.shots, key=lambda shot: shot.span.seconds)
    record = {
        "file": take.path.name,
        "media": seen.media.id,
        "frames": take.frames,
        "fps": str(take.fps),
        "width": take.width,
        "height": take.height,
        "look": asdict(best.look),
        "match": round(float(match.mean()), 4),
        "model": take.model,
        "model_hash": take.model_hash,
        "prompt": take.prompt,
        "reference": None,
        "asked": sentence.directives.generate,
        "seed": take.seed,
        "text": sentence.text,
        "digital_source_type": take.digital_source_type,
        **(more or {}),
    }
    mean = library.encoder.project(seen.features, sentence.language).mean(axis=0)
    return _from_json(sentence.id, take.kind, record), mean / max(float(np.linalg.norm(mean)), 1e-6)
