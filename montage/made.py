"""Generated shots as they lie in a film, in a folder of takes or in a folder of videos, and their frames."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from index.base import FootageError
from index.decode import Frame
from montage.values import MontageError

__all__ = ["MadeShot", "ShownFrame", "frame_count", "made_shots", "shown_frames"]

TOLERANCE = Fraction(2, 1000)
"""Seconds: a film's marks are rounded to a thousandth, and a frame at 240 a second lasts four."""
RUN_UP = Fraction(1, 2)
"""Seconds before a shot from which the film is decoded, so that the frame before it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeShot:
    """A shot to be measured, and what is known of how it was made.

    Raises:
        ValueError: if it begins before its file or does not last.
    """

    name: str
    """What a table calls it: ``sentence 3``, or the name of its file."""
    path: Path
    """The film or take that shows it."""
    start: Fraction = Fraction(0)
    """When it begins, seconds since the first frame of the file."""
    seconds: Fraction | None = None
    """How long it lasts; None for the whole file."""
    sentence: int | None = None
    """Number of the sentence in a film's script."""
    prompt: str = ""
    """What it was made from; empty where nobody says."""
    kind: str = ""
    """``diffusion``, ``still`` or ``card``; empty where nobody says."""
    model: str = ""
    strategy: str = ""
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.start < 0 or (self.seconds is not None and self.seconds <= 0):
            raise ValueError(f"a shot needs start >= 0 and seconds > 0, got {self.start=} {self.seconds=}")

    @property
    def key(self) -> str:
        """What it is paired by with a shot of another folder: its prompt, else the name of its file."""
        return " ".join(self.prompt.split()).casefold() or self.path.stem


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A frame of a shot, or the one right before or after it."""

    place: Literal["before", "within", "after"]
    frame: Frame


def made_shots(target: Path | str) -> tuple[MadeShot, ...]:
    """The generated shots of a film, the takes of a folder, or one video.

    A film names its generated shots in its container (``montage.marks``); a take says of itself from what it
    was made (``generate.provenance``), and the record beside it by which strategy. Videos that say nothing
    are taken as they are.

    Raises:
        MontageError: if there is no such file or folder, or nothing to measure in it.
        GenerationError: if a video cannot be opened.
    """
    target = Path(target)
    if target.is_dir():
        return _folder_shots(target)
    if not target.is_file():
        raise MontageError(f"there is no {target}: name a film, or a folder of takes")
    return _film_shots(target)


def _film_shots(film: Path) -> tuple[MadeShot, ...]:
    from index.base import is_film, open_local
    from montage.marks import read_film_marks

    shots = []
    for mark in read_film_marks(film):
        try:
            shots.append(
                MadeShot(
                    name=f"sentence {mark['sentence']}",
                    path=film,
                    start=Fraction(str(mark["from"])),
                    seconds=Fraction(str(mark["seconds"])),
                    sentence=int(mark["sentence"]),
                    prompt=str(mark["prompt"]),
                    kind=str(mark["kind"]),
                    model=str(mark["model"]),
                    strategy=str(mark.get("strategy", "")),
                    seed=int(mark["seed"]),
                )
            )
        except (KeyError, TypeError, ValueError) as error:
            raise MontageError(
                f"{film}: what it says of its generated shots is damaged ({error!r}); render it again"
            ) from error
    if shots:
        return tuple(shots)
    with open_local(film) as container:
        if is_film(container.metadata):
            raise MontageError(f"{film} has no generated shot: its whole picture is footage")
    return (_take(film),)


def _folder_shots(folder: Path) -> tuple[MadeShot, ...]:
    from index.probe import VIDEO_SUFFIXES

    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    # A take that is being written carries this name until it is whole.
    shots = tuple(_take(path) for path in files if not path.stem.endswith(".part"))
    if not shots:
        raise MontageError(f"there is no video in {folder}: name a folder of takes")
    return shots


def _take(path: Path) -> MadeShot:
    """A video by its own marks and by the record beside it; the record has the whole prompt."""
    from generate.provenance import read_marks

    marks: Mapping[str, Any] = read_marks(path)
    record = _record(path)
    details = record.get("details", {})
    known = {**marks, **{name: value for name, value in record.items() if value}}
    seed = str(known.get("seed", ""))
    return MadeShot(
        name=path.name,
        path=path,
        prompt=str(known.get("prompt", "")),
        kind=str(known.get("kind", "")),
        model=str(known.get("model", "")),
        strategy=str(details.get("strategy", "")) if isinstance(details, dict) else "",
        seed=int(seed) if seed.lstrip("-").isdecimal() else None,
    )


def _record(path: Path) -> dict[str, Any]:
    """What ``generate.takes`` keeps of a take beside it; empty where it keeps nothing."""
    try:
        record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["take"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # the video is measured all the same
    return record if isinstance(record, dict) else {}


def frame_count(shot: MadeShot) -> int:
    """About how many frames a shot has, by its header; 0 where that does not say."""
    from index.probe import main_stream, open_footage

    with open_footage(shot.path) as container:
        stream = main_stream(container, shot.path)
        rate = Fraction(stream.average_rate) if stream.average_rate else Fraction(0)
        if shot.seconds is None:
            length = stream.duration * Fraction(stream.time_base) if stream.duration else Fraction(0)
            return int(stream.frames or round(length * rate))
        return round(shot.seconds * rate)


def shown_frames(shot: MadeShot) -> Iterator[ShownFrame]:
    """The frames of a shot in order, the one before it first and the one after it last where there are any.

    Raises:
        FootageError: while iterating, if the file cannot be opened or the shot has no frame in it.
    """
    import av

    from index.probe import open_footage, plain_reason

    count = 0
    try:
        with open_footage(shot.path) as container:
            for shown in _frames(container, shot):
                count += shown.place == "within"
                yield shown
    except av.error.FFmpegError as error:
        raise FootageError(f"{str(shot.path)!r}: {plain_reason(error)}") from error
    if not count:
        raise FootageError(
            f"{str(shot.path)!r}: no frame can be decoded from {float(shot.start):.2f} s on, where "
            f"{shot.name} should begin"
        )


def _frames(container: Any, shot: MadeShot) -> Iterator[ShownFrame]:
    from index.probe import main_stream, pixel_aspect, stream_rotation

    stream = main_stream(container, shot.path)
    stream.thread_type = "AUTO"
    base, aspect = Fraction(stream.time_base), pixel_aspect(stream)
    decoded = container.decode(stream)
    first = next(decoded, None)
    if first is None:
        return
    origin = first.pts or 0
    begin = shot.start - TOLERANCE
    end = None if shot.seconds is None else begin + shot.seconds
    if shot.start > RUN_UP:
        container.seek(origin + int((shot.start - RUN_UP) / base), stream=stream, backward=True)
        decoded = container.decode(stream)
        first = next(decoded, None)
        if first is None or (first.pts - origin) * base >= begin:  # it landed late: from the beginning then
            container.seek(origin, stream=stream, backward=True)
            decoded = container.decode(stream)
            first = next(decoded, None)
    before = None
    nothing = np.empty((0, 0, 3), np.uint8)  # only what is asked for of a frame is converted
    while first is not None:
        time = ((first.pts or 0) - origin) * base
        frame = Frame(time, nothing, first, -stream_rotation(first) // 90 % 4, aspect)
        if time < begin:
            before = frame
        elif end is not None and time >= end:
            yield ShownFrame("after", frame)
            return
        else:
            if before is not None:
                yield ShownFrame("before", before)
                before = None
            yield ShownFrame("within", frame)
        first = next(decoded, None)
