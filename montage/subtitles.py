"""Caption files: SubRip (.srt), WebVTT (.vtt) and Advanced SubStation Alpha (.ass)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

from index.base import file_sha256
from montage.cache import NOTE, Cache, key_of
from montage.captions import Cue
from montage.values import MontageError

__all__ = [
    "CAPTION_FORMATS",
    "ass_text",
    "caption_style",
    "is_as_written",
    "keep_edited",
    "note_written",
    "remove_obsolete",
    "write_captions",
]

JOINER = "\u2060"
"""Word joiner: takes no room, and keeps a player from reading text as one of its codes."""
LETTERS = 0.05
"""Height of a line as a share of the shorter side of the frame: 54 pixels in 1080."""
BOTTOM = 0.07
"""Distance of the text from the lower edge, as a share of the height: title-safe (EBU R 95)."""
SIDE = 0.05
"""The same from the sides."""


def _for_srt(line: str) -> str:
    """No tag, no code of SubStation, and no line that looks like a time."""
    line = re.sub(r"([<{])", r"\1" + JOINER, line).replace("-->", "--" + JOINER + ">")
    return re.sub(r"\\(?=[nNh])", "\\\\" + JOINER, line)


def _for_vtt(line: str) -> str:
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"\\(?=[nNh])", "\\\\" + JOINER, line)


def _for_ass(line: str) -> str:
    return re.sub(r"\\(?=\S)", "\\\\" + JOINER, line).replace("{", "\\{").replace("}", "\\}")


CAPTION_FORMATS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"srt": _for_srt, "vtt": _for_vtt, "ass": _for_ass}
)
"""Each format, and how a line of text is written so that it is shown as it is."""
LABEL_LETTERS = 0.028
"""Height of a label's letters, as a share of the frame's shorter side."""
LABEL_TOP = 0.035
"""How far a label stands from the upper edge, as a share of the height."""


def write_captions(cues: Iterable[Cue], path: Path, *, size: tuple[int, int] = (1920, 1080)) -> Path:
    """Write cues as the format that the file's suffix names, all of it or nothing.

    Args:
        cues: In order.
        path: A name ending in .srt, .vtt or .ass.
        size: Of the film, for the lettering of ASS.

    Raises:
        MontageError: if there is no such format, or the file cannot be written.
    """
    form = path.suffix.removeprefix(".").lower()
    if form not in CAPTION_FORMATS:
        raise MontageError(
            f"captions are written as {', '.join(CAPTION_FORMATS)}, got {path.name!r}: change its name"
        )
    file = _file(cues, CAPTION_FORMATS[form])
    if form == "ass":
        file.info.update(_layout(size))
        file.styles["Default"] = caption_style(size)
    temporary = path.with_name(f".{path.stem}.tmp-{os.getpid()}{path.suffix}")
    options = {} if form == "ass" else {"keep_ssa_tags": True}
    try:
        file.save(str(temporary), encoding="utf-8", format_=form, **options)
        os.replace(temporary, path)
    except OSError as error:
        raise MontageError(f"cannot write the captions {path}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
    return path


def _file(cues: Iterable[Cue], written: Callable[[str], str]) -> Any:
    import pysubs2

    file = pysubs2.SSAFile()
    for cue in cues:
        text = "\\N".join(written(line) for line in cue.lines)
        file.append(pysubs2.SSAEvent(start=cue.start, end=cue.end, text=text))
    return file


def _layout(size: tuple[int, int]) -> dict[str, str]:
    return {
        "PlayResX": str(size[0]),
        "PlayResY": str(size[1]),
        "WrapStyle": "2",  # lines are broken by us
        "ScaledBorderAndShadow": "yes",
        "YCbCr Matrix": "TV.709",
    }


def caption_style(size: tuple[int, int], font: str = "Noto Sans CJK SC") -> Any:
    """The lettering of captions in a film of this size, as pysubs2's style."""
    import pysubs2

    width, height = size
    letters = LETTERS * min(size)
    return pysubs2.SSAStyle(
        fontname=font,
        # libass counts a font's ascent and descent into its size.
        fontsize=round(letters * 1.3, 1),
        primarycolor=pysubs2.Color(255, 255, 255),
        outlinecolor=pysubs2.Color(0, 0, 0),
        backcolor=pysubs2.Color(0, 0, 0, 128),
        outline=round(letters * 0.08, 2),
        shadow=round(letters * 0.04, 2),
        alignment=pysubs2.Alignment.BOTTOM_CENTER,
        marginl=round(SIDE * width),
        marginr=round(SIDE * width),
        marginv=round(BOTTOM * height),
    )


def label_style(size: tuple[int, int], font: str) -> Any:
    """The lettering of a label in the corner: small, on a dark ground, above and to the right."""
    import pysubs2

    style = caption_style(size, font)
    letters = LABEL_LETTERS * min(size)
    style.fontsize = round(letters * 1.3, 1)
    style.outline, style.shadow = round(letters * 0.25, 2), 0
    style.borderstyle = 3  # a box in place of an outline: it is read over any picture
    style.outlinecolor = pysubs2.Color(0, 0, 0, 96)
    style.alignment = pysubs2.Alignment.TOP_RIGHT
    style.marginv = round(LABEL_TOP * size[1])
    return style


def ass_text(
    cues: Iterable[tuple[Cue, str]], size: tuple[int, int], labels: Iterable[tuple[Cue, str]] = ()
) -> str:
    """Cues, and labels for the corner, each in a font of its own, as an ASS file's text."""
    import pysubs2

    file = pysubs2.SSAFile()
    file.info.update(_layout(size))
    for cue, font in cues:
        file.styles[font] = caption_style(size, font)
        text = "\\N".join(_for_ass(line) for line in cue.lines)
        file.append(pysubs2.SSAEvent(start=cue.start, end=cue.end, text=text, style=font))
    for cue, font in labels:
        file.styles[f"label {font}"] = label_style(size, font)
        text = "\\N".join(_for_ass(line) for line in cue.lines)
        file.append(pysubs2.SSAEvent(start=cue.start, end=cue.end, text=text, style=f"label {font}"))
    return str(file.to_string("ass"))


def note_written(path: Path, store: Cache) -> None:
    """Remember a caption file as it is, so that a change by hand is noticed."""
    note = store.temporary(NOTE)
    note.touch()
    store.keep(note, _key(path), NOTE)


def keep_edited(paths: Iterable[Path], store: Cache) -> list[Path]:
    """Give caption files that are not as they were written another name; returns these names."""
    kept = []
    for path in paths:
        if path.exists() and not is_as_written(path, store):
            names = (path.with_name(f"{path.stem}.edited{n or ''}{path.suffix}") for n in count())
            free = next(name for name in names if not name.exists())
            os.replace(path, free)
            kept.append(free)
    return kept


def remove_obsolete(film: Path, written: Sequence[Path], store: Cache) -> None:
    """Remove the captions of an earlier film of this name; a player would show them with this one."""
    for form in CAPTION_FORMATS:
        path = film.with_suffix(f".{form}")
        if path not in written and path.exists() and is_as_written(path, store):
            path.unlink()


def is_as_written(path: Path, store: Cache) -> bool:
    """Whether a caption file is as montage wrote it."""
    return store.find(_key(path), NOTE) is not None


def _key(path: Path) -> str:
    return key_of({"captions": file_sha256(path)})
