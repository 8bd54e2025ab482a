"""From a cut to a film: fill the gaps, make the title cards, render, check."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from montage.gaps import FALLBACKS, Fallback, Fill, fill_gaps
from montage.generation import Generation
from montage.marks import film_marks, labelled
from montage.signing import Signing, check_signing, sign
from montage.splicing import heard_of, take_file
from montage.values import MontageError

if TYPE_CHECKING:
    from montage.cut import Cut
    from montage.film import Film
    from montage.formats import CodecName, Fit, Quality, Slow
    from montage.mixing import Levels
    from montage.timeline import Timeline

__all__ = ["RenderOptions", "Rendered", "render", "render_cut"]

Progress = Callable[[float, float, str], None]
"""Called with (done, total, what)."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A film, the cut that it shows (its gaps filled), and how they were filled."""

    film: Film
    cut: Cut
    fills: tuple[Fill, ...]


class RenderOptions(TypedDict, total=False):
    """How a film is made; what is left out has the value named here."""

    size: tuple[int, int]
    """(width, height) in square pixels, both even: (1920, 1080)."""
    fit: Fit
    """``crop`` fills the frame, ``pad`` shows all of the picture: crop."""
    quality: Quality
    """``final``, or ``draft``: 540 pixels, joined from proxies without encoding: final."""
    codec: CodecName | None
    """The picture's; None for the first of the container that the film's name asks for: None."""
    encoder_video: str
    """``cpu``, ``auto`` for graphics hardware where it works, or ffmpeg's name of an encoder: cpu."""
    reframe: bool
    """Where a picture is cropped, put the frame where its faces are, or what stands out: True."""
    slow: Slow
    """What is shown between the pictures of slowed footage: blend."""
    transitions: bool
    """Dissolve or dip to black where paragraphs end, and fade around title cards: False."""
    match_colour: bool
    """Draw the exposure and colour of neighbours together, gently: False."""
    captions: Sequence[str]
    """Formats of the caption files beside the film, some of srt, vtt and ass: ("srt",)."""
    burn_captions: bool
    """Draw the captions into the picture: False."""
    levels: Levels | None
    """How loud the film and its parts are; None for -14 LUFS and the usual balance: None."""
    label: bool
    """Say in a corner of each generated shot that it is one, and how it was made: False."""
    sign: Signing | None
    """Whose certificate signs a film with generated shots; None for ``Signing()``: None."""
    generation: Generation | None
    """Which models make the shots of gaps, and how; None for what fits this machine: None."""
    fallback: Fallback
    """The first step of the ladder below the model; ``none`` fails at a gap: auto."""
    progress: Progress | None
    """Called with (done, total, what): None."""
    cancel: Callable[[], bool] | None
    """True stops the work: None."""


def render(cut: Cut, path: Path | str, **options: Unpack[RenderOptions]) -> Film:
    """Make the film of a cut; segments that an earlier film made are used again.

    Args:
        cut: what to show.
        path: where the film goes (.mp4, .mov, .webm); its captions go beside it (.srt).
        options: see ``RenderOptions``.

    Raises:
        MontageError: if footage is missing.
        FilmError: if a gap stays, or the film fails a check.
    """
    return render_cut(cut, path, **options).film


def render_cut(cut: Cut, path: Path | str, **options: Unpack[RenderOptions]) -> Rendered:
    """As ``render``, and give the filled cut too, for the project file.

    Raises:
        MontageError: if footage is missing, or the fallback is unknown.
        FilmError: if a gap stays, or the film fails a check.
    """
    from montage.film import render_timeline
    from montage.formats import draft_size
    from montage.timeline import timeline_of
    from montage.titles import title_card

    path = Path(path)
    size, quality = options.get("size", (1920, 1080)), options.get("quality", "final")
    progress, cancel = options.get("progress"), options.get("cancel")
    fallback = options.get("fallback", "auto")
    if fallback not in FALLBACKS:
        raise MontageError(f"unknown fallback {fallback!r}: use one of {', '.join(FALLBACKS)}")
    if not path.parent.is_dir():
        raise MontageError(f"cannot write {path}: there is no folder {path.parent}")
    check_signing(path, options.get("sign") or Signing())
    cut, fills = fill_gaps(
        cut,
        size=size,
        first=fallback,
        generation=options.get("generation"),
        progress=progress,
        cancel=cancel,
    )
    if not cut.slots:
        raise MontageError("there is nothing to render: every sentence of the script is skipped")
    store = cut.library.store_dir
    files = {}
    drawn = draft_size(size) if quality == "draft" else size
    for place, slot in enumerate(cut.slots):
        if slot.kind == "title":
            files[place] = title_card(
                slot.text, size=drawn, fps=cut.fps, frames=slot.frames, folder=store / "titles"
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
    timeline = _finished(_heard(timeline, cut), cut, options)
    if options.get("label", False):
        timeline = labelled(timeline, cut)
    starts: dict[str, int] = {}
    for clip in timeline.picture:
        starts.setdefault(clip.sentence, clip.start)
    timeline = replace(
        timeline,
        narration=() if cut.voice is None else cut.voice.speeches(starts, cut.fps),
        music=cut.music,
    )
    film = render_timeline(
        timeline,
        path,
        size=size,
        fit=options.get("fit", "crop"),
        quality=quality,
        codec=options.get("codec"),
        encoder_video=options.get("encoder_video", "cpu"),
        slow=options.get("slow", "blend"),
        captions=tuple(options.get("captions", ("srt",))),
        burn_captions=options.get("burn_captions", False),
        levels=options.get("levels"),
        cache=store / "segments",
        metadata=film_marks(cut),
        progress=progress,
        cancel=cancel,
    )
    signed = sign(film.path, cut, options.get("sign") or Signing())
    if signed is not None:
        film = replace(film, checks=(*film.checks, signed))
    return Rendered(film, cut, fills)


def _heard(timeline: Timeline, cut: Cut) -> Timeline:
    """The timeline with the sound of the footage that takes were made around."""
    clips = [
        replace(clip, heard=heard_of(slot, cut.library, cut.fps))
        for clip, slot in zip(timeline.picture, cut.slots, strict=True)
    ]
    return replace(timeline, picture=tuple(clips))


def _finished(timeline: Timeline, cut: Cut, options: RenderOptions) -> Timeline:
    """The timeline framed, and with the transitions and the match of colours that were asked for."""
    from montage.cache import Cache
    from montage.grading import with_matched_colours
    from montage.reframing import reframed
    from montage.transitions import with_transitions

    if options.get("reframe", True) and options.get("fit", "crop") == "crop":
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            timeline = reframed(
                timeline,
                options.get("size", (1920, 1080)),
                Cache(cut.library.store_dir / "segments"),
                pool=pool,
                cancel=options.get("cancel"),
            )
    if options.get("quality") == "draft":
        return timeline  # proxies are joined as they are
    paragraphs = {sentence.id: sentence.paragraph for sentence in cut.script.sentences}
    looks = {
        clip.start: cut.library.shots[slot.shot].look
        for clip, slot in zip(timeline.picture, cut.slots, strict=True)
        if slot.shot is not None and slot.shot in cut.library.shots
    }
    if options.get("match_colour", False):
        timeline = with_matched_colours(timeline, paragraphs, looks)
    if options.get("transitions", False):
        timeline = with_transitions(timeline, paragraphs, looks)
    return timeline
