"""From a cut to a film: fill the gaps, make the title cards, render, check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from montage.gaps import FALLBACKS, Fallback, Fill, fill_gaps, take_file
from montage.marks import film_marks
from montage.values import MontageError

if TYPE_CHECKING:
    from generate.base import Generator
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
    model: Generator | Path | str | None = None,
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
        model: makes the shots of the gaps: a folder of a diffusers pipeline or any generator, None for none.
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
        model=Path(model) if isinstance(model, str) else model,
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
    model: Generator | Path | None,
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
        shots={
            slot.shot: cut.library.shots[slot.shot].span
            for slot in cut.slots
            if slot.shot is not None and slot.shot in cut.library.shots
        },
    )
    film = render_timeline(
        timeline,
        path,
        size=size,
        fit=fit,
        quality=quality,
        cache=store / "segments",
        metadata=film_marks(cut),
        progress=progress,
        cancel=cancel,
    )
    return Rendered(film, cut, fills)
