"""One take for a gap: down a ladder of generators, each step down told, each take made once."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from time import monotonic
from typing import Any

from generate.base import Cancel, Cancelled, Frame, GenerationError, Generator, Progress, Request, Take
from generate.gates import check_take
from generate.keys import request_key
from index.base import content_id

__all__ = ["REFUSED", "StepDown", "make_picture", "make_take", "refuse_take"]

REFUSED = "take with seed"
"""How the reason of a step down begins where a take was made, and refused."""
ATTEMPTS = 3
"""Diffusion takes made for one gap before the next rung: the seed asked for and two more."""
SEED_STEP = 1_000_003
"""Added to the seed of a refused take: far from the small seeds that callers count up from."""
RECORD_VERSION = 1


@dataclass(frozen=True, slots=True)
class StepDown:
    """Why a generator's take is not the one that is used."""

    generator: str
    """Name of the generator, such as ``wan``."""
    reason: str
    """Why it could not make the take, or why its take was refused."""


def make_take(
    request: Request,
    ladder: Sequence[Generator],
    directory: Path | str,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    *,
    gates: bool = True,
    made: Callable[[Take, float], None] | None = None,
    refuse: Callable[[Take], tuple[str, ...]] | None = None,
) -> tuple[Take, tuple[StepDown, ...]]:
    """The take of the first generator in ``ladder`` that makes a good one, and why those before it did not.

    Takes and refusals are kept in ``directory`` under the content key of everything that shapes them, with a
    JSON file beside each video; a second call makes nothing. A video without its record, or that its record
    does not fit, is made anew. With ``gates``, a diffusion take that is no picture is refused and tried with
    two more seeds. ``made`` is told of every take that was made and not found, with the seconds it took;
    ``refuse`` says why such a take must not be kept, nothing where it may.

    Raises:
        GenerationError: if no generator gives a take; it lists the reasons.
        Cancelled: if ``cancel`` said so.
    """
    folder = Path(directory)
    steps: list[StepDown] = []
    for generator in ladder:
        attempts = ATTEMPTS if gates and generator.kind == "diffusion" else 1
        for attempt in range(attempts):
            asked = dataclasses.replace(request, seed=request.seed + attempt * SEED_STEP)
            try:
                take, refused = _kept_or_made(asked, generator, folder, progress, cancel, gates, made, refuse)
            except Cancelled:
                raise
            except GenerationError as error:
                steps.append(StepDown(generator.name, str(error)))
                break  # another seed would not help
            if take is not None:
                return take, tuple(steps)
            steps.append(StepDown(generator.name, f"{REFUSED} {asked.seed} refused: {'; '.join(refused)}"))
    told = "\n".join(f"  {step.generator}: {step.reason}" for step in steps) or "  the ladder is empty"
    raise GenerationError(f"no take could be made for {request.prompt[:80]!r}:\n{told}")


def make_picture(
    request: Request, painter: Any, directory: Path | str, cancel: Cancel | None = None
) -> Frame:
    """The picture that a factorised take begins with, by ``painter.picture``; kept in ``directory`` as takes
    are, so that it is painted once.

    Raises:
        GenerationError: if it cannot be painted or written.
        Cancelled: if ``cancel`` said so.
    """
    import numpy as np
    from PIL import Image

    path = Path(directory) / f"{request_key(request, 'picture', painter.identity)}.png"
    try:
        with Image.open(path) as kept:
            return np.asarray(kept.convert("RGB"))
    except (OSError, ValueError):
        pass  # whatever is wrong with a kept picture, painting it anew puts it right
    painted: Frame = painter.picture(request, None, cancel)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=path.stem[:16] + ".", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                Image.fromarray(painted).save(file, format="PNG")
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise GenerationError(f"cannot write the picture {path}: {error}") from error
    return painted


def refuse_take(take: Take, reasons: Sequence[str]) -> None:
    """Keep of a take that it was refused, and why, in place of its video: with the gates on and off alike."""
    take.path.unlink(missing_ok=True)
    record = {"version": RECORD_VERSION, "refused": list(reasons), "always": True}
    _write(take.path.with_suffix(".json"), record)


def _kept_or_made(
    request: Request,
    generator: Generator,
    folder: Path,
    progress: Progress | None,
    cancel: Cancel | None,
    gates: bool,
    told: Callable[[Take, float], None] | None,
    refuse: Callable[[Take], tuple[str, ...]] | None,
) -> tuple[Take | None, tuple[str, ...]]:
    """The generator's take, or None and why it was refused."""
    key = request_key(request, generator.name, generator.identity)
    gated = gates and generator.kind == "diffusion"
    record = _read(folder / f"{key}.json")
    if record is not None and record.get("refused") and (gated or record.get("always")):
        return None, tuple(str(reason) for reason in record["refused"])
    if record is not None:
        take = _take_of(record, folder / f"{key}.mp4")
        if take is not None and (record.get("checked") or not gated):
            return take, ()
    began = monotonic()
    made = generator.generate(request, progress, cancel)
    if told is not None:
        told(made, monotonic() - began)
    reasons = check_take(made.path) if gated else ()
    if reasons:
        made.path.unlink(missing_ok=True)
        _write(folder / f"{key}.json", {"version": RECORD_VERSION, "refused": list(reasons)})
        return None, reasons
    reasons = () if refuse is None else refuse(made)
    if reasons:
        refuse_take(dataclasses.replace(made, path=folder / f"{key}.mp4"), reasons)
        made.path.unlink(missing_ok=True)
        return None, reasons
    take = dataclasses.replace(made, path=folder / f"{key}.mp4")
    if made.path.resolve() != take.path.resolve():
        folder.mkdir(parents=True, exist_ok=True)
        _move(made.path, take.path)
    _write(folder / f"{key}.json", _record_of(take, gated))
    return take, ()


def _record_of(take: Take, checked: bool) -> dict[str, Any]:
    """What is kept beside a video; ``content`` ties the two together."""
    fields = {
        field.name: getattr(take, field.name) for field in dataclasses.fields(take) if field.name != "path"
    }
    return {
        "version": RECORD_VERSION,
        "checked": checked,
        "content": content_id(take.path),
        "take": {**fields, "fps": str(take.fps), "details": dict(take.details)},
    }


def _take_of(record: dict[str, Any], path: Path) -> Take | None:
    """The take that a record describes, or None where its video is missing or another."""
    try:
        if record["version"] != RECORD_VERSION or record["content"] != content_id(path):
            return None
        fields = dict(record["take"])
        return Take(**{**fields, "fps": Fraction(fields["fps"]), "path": path})
    except (OSError, KeyError, TypeError, ValueError):
        return None  # whatever is wrong with a kept take, making it anew puts it right


def _read(path: Path) -> dict[str, Any] | None:
    """A record, or None where there is none that can be read."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def _write(path: Path, record: dict[str, Any]) -> None:
    """Write a record whole or not at all; it comes after its video, so that a record vouches for one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=path.stem + ".", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1, sort_keys=True, ensure_ascii=False)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def _move(source: Path, target: Path) -> None:
    """Move a video, whole at every moment, also between file systems."""
    import shutil

    part = target.with_suffix(".part.mp4")
    try:
        shutil.move(source, part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
