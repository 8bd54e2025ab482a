"""Captions drawn into the picture, by libass and a typeface that has every letter of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

from generate.base import GenerationError
from generate.fonts import find_font_file
from index.base import file_sha256
from montage.cache import key_of
from montage.captions import Cue
from montage.filters import quoted
from montage.subtitles import ass_text
from montage.timeline import Burn, Timeline
from montage.values import MontageError

__all__ = ["burn_filter", "with_burnt_captions"]

LONGEST = 3_600_000
"""Milliseconds that a label is shown at most."""
VERSION = 1
"""Part of every key: raise it when the same captions would look different."""


def with_burnt_captions(timeline: Timeline, cues: Sequence[Cue], size: tuple[int, int]) -> Timeline:
    """The timeline with captions, and the labels of its clips, drawn into these.

    A caption over two clips is drawn into both, at the same place.

    Args:
        timeline: What to show.
        cues: In order.
        size: Of the film.

    Raises:
        MontageError: if no typeface on this machine has the letters of a caption.
    """
    clips = []
    for clip in timeline.picture:
        inside: list[Cue] = []
        for cue in cues:
            first, last = (round(Fraction(ms, 1000) * timeline.fps) for ms in (cue.start, cue.end))
            first, last = max(first, clip.start), min(last, clip.end)
            if first < last:
                # Half a frame early, so that no rounding of times moves a caption by a frame.
                start, end = ((frame - clip.start - Fraction(1, 2)) / timeline.fps for frame in (first, last))
                inside.append(replace(cue, start=max(0, round(start * 1000)), end=round(end * 1000)))
        drawn = inside or clip.label
        clips.append(replace(clip, burn=_burn(inside, clip.label, size)) if drawn else clip)
    return replace(timeline, picture=tuple(clips))


def _burn(cues: Sequence[Cue], label: str, size: tuple[int, int]) -> Burn:
    named, files = [], {}
    # A label stands for as long as its clip does, which no take outlasts.
    corner = [Cue(start=0, end=LONGEST, lines=tuple(label.split("\n")))] if label else []
    for cue in (*corner, *cues):
        try:
            path, family = find_font_file("".join(cue.lines))
        except GenerationError as error:
            raise MontageError(f"the caption {cue.lines[0][:40]!r} cannot be drawn: {error}") from error
        named.append((cue, family))
        files[path] = _sha256(path)
    text = ass_text(named[len(corner) :], size, labels=named[: len(corner)])
    key = key_of({"version": VERSION, "text": text, "fonts": sorted(files.values())})
    return Burn(text=text, fonts=tuple(sorted(files)), key=key)


@cache
def _sha256(path: Path) -> str:
    return file_sha256(path)


def burn_filter(burn: Burn, folder: Path) -> str:
    """ffmpeg's filter that draws the captions; what it reads is put into ``folder``."""
    script, fonts = folder / "captions.ass", folder / "fonts"
    script.write_text(burn.text, encoding="utf-8")
    fonts.mkdir(exist_ok=True)
    for number, path in enumerate(burn.fonts):
        place = fonts / f"{number}{path.suffix}"
        with suppress(FileExistsError):
            try:
                os.symlink(path.resolve(), place)
            except OSError:  # Windows asks for a right to do so
                shutil.copy(path, place)
    return f"ass=filename={quoted(script)}:fontsdir={quoted(fonts)}:shaping=complex"
