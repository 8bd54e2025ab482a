"""Reading caption files back, as a player would."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pysubs2

from montage.captions import Cue
from montage.subtitles import JOINER


def read_captions(path: Path) -> tuple[Cue, ...]:
    """The cues of a caption file, as text without its codes."""
    form = path.suffix.removeprefix(".")
    options = {} if form == "ass" else {"keep_html_tags": True}
    file = pysubs2.load(str(path), encoding="utf-8-sig", format_=form, **options)
    return tuple(
        Cue(start=event.start, end=event.end, lines=tuple(_read(event.text, form)))
        for event in file
        if not event.is_comment
    )


def _read(text: str, form: str) -> Sequence[str]:
    lines = text.split("\\N")
    if form == "vtt":
        lines = [line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for line in lines]
    if form == "ass":
        lines = [line.replace("\\{", "{").replace("\\}", "}") for line in lines]
    return [line.replace(JOINER, "") for line in lines]
