"""From a cut to a film: fill the gaps, make the title cards, render, check."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from montage.gaps import FALLBACKS, Fallback, Fill, fill_gaps, take_file
from montage.values import MontageError

if TYPE_CHECKING:
    from montage.cut import Cut
    from montage.film import Film

__all__ = ["Rendered", "render", "render_cut"]

Progress = Callable[[float, float, str], None]
"""Called with (done, total, what)."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A film, the cut that it shows (its gaps filled), and how they were filled."""

    film: Film
    cut: Cut
    fills: tuple[Fill, ...]


def render(
    cut: Cut,
    path: Path | str,
    *,
    size: tuple[int, int] = (1920, 1080),
    fit: Literal["crop", "pad"] = "crop",
    quality: Literal["final", "draft"] = "final",
    model: Path | str | None = None,
    fallback: Fallback = "auto",
    gates: bool = True,
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Film:
    """Make the film of a cut; segments that an earlier film made are used again.

    Args:
        cut: what to show.
        path: where the film goes (.mp4); its captions go beside it (.srt).
        size: (width, height) in square pixels, both even.
        fit: ``crop`` fills the frame, ``pad`` shows all of the picture.
        quality: ``draft`` is quick and rough.
        model: folder of a diffusers pipeline for the gaps, None for none.
        fallback: the first step of the ladder below the model; ``none`` fails at a gap.
        gates: refuse generated takes that are black, frozen, noise, or cut within.
        progress: called with (done, total, what).
        cancel: true stops the work.

    Raises:
        MontageError: if footage is missing.
        FilmError: if a gap stays, or the film fails a check.
    """
    return render_cut(
        cut,
        Path(path),
        size=size,
        fit=fit,
        quality=quality,
        model=Path(model) if model is not None else None,
        fallback=fallback,
        gates=gates,
        progress=progress,
        cancel=cancel,
    ).film


def render_cut(
    cut: Cut,
    path: Path,
    *,
    size: tuple[int, int],
    fit: Literal["crop", "pad"],
    quality: Literal["final", "draft"],
    model: Path | None,
    fallback: Fallback,
    gates: bool = True,
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Rendered:
    """As ``render``, and give the filled cut too, for the project file.

    Raises:
        MontageError: if footage is missing, or the fallback is unknown.
        FilmError: if a gap stays, or the film fails a check.
    """
    from montage.film import render_timeline
    from montage.timeline import timeline_of
    from montage.titles import title_card

    if fallback not in FALLBACKS:
        raise MontageError(f"unknown fallback {fallback!r}: use one of {', '.join(FALLBACKS)}")
    if not path.parent.is_dir():
        raise MontageError(f"cannot write {path}: there is no folder {path.parent}")
    cut, fills = fill_gaps(
        cut, size=size, first=fallback, model=model, gates=gates, progress=progress, cancel=cancel
    )
    if not cut.slots:
        raise MontageError("there is nothing to render: every sentence of the script is skipped")
    store = cut.library.store_dir
    files = {}
    for place, slot in enumerate(cut.slots):
        if slot.kind == "title":
            files[place] = title_card(
                slot.text, size=size, fps=cut.fps, frames=slot.frames, folder=store / "titles"
            )
        elif slot.take is not None:
            files[place] = take_file(slot, cut.library)
    timeline = timeline_of(
        cut.slots,
        cut.script.sentences,
        media=cut.library.media,
        path_of=cut.library.path_of,
        files=files,
        fps=cut.fps,
    )
    film = render_timeline(
        timeline,
        path,
        size=size,
        fit=fit,
        quality=quality,
        cache=store / "segments",
        metadata=_marks(cut),
        progress=progress,
        cancel=cancel,
    )
    return Rendered(film, cut, fills)


def _marks(cut: Cut) -> dict[str, str]:
    """What the film's container says of its generated shots."""
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
                }
            )
        start += slot.frames
    return {"montage_generated": json.dumps(made, ensure_ascii=False)} if made else {}
