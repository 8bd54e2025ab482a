"""Typefaces: the first one that really has every glyph of a text."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from generate.base import GenerationError

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

__all__ = ["find_font", "find_font_file", "missing_glyphs"]

PACKAGES = ("noto_cjk_sans_otc",)
"""Installed Python packages that carry typefaces beside their code."""
PREFERRED = (
    "notosanscjk",
    "sourcehansans",
    "notosans",
    "pingfang",
    "hiragino",
    "yahei",
    "yugoth",
    "malgun",
    "applesdgothic",
    "helveticaneue",
    "inter",
    "opensans",
    "liberationsans",
    "dejavusans",
    "arial",
    "wqy",
    "droidsansfallback",
)
"""Parts of file names, best first; any other typeface comes after these."""
UNWANTED = ("mono", "italic", "oblique", "condensed", "thin", "black", "serif", "emoji", "symbol")
"""Parts of file names that are taken last: a card wants an upright text face."""
MAX_FACES = 16
"""Faces looked at in one collection file."""
PROBE_SIZE = 24
"""Pixels at which glyphs are compared."""


def find_font(text: str, size: float) -> FreeTypeFont:
    """A typeface at ``size`` pixels with a glyph for every character of ``text``.

    Pillow's own typeface comes first, then the packages that carry typefaces, then the system's folders. A
    missing glyph is found by drawing it, never guessed from a name, so no empty boxes are ever shown.

    Raises:
        GenerationError: if no typeface has them all; it names the characters and what to install.
    """
    from PIL import ImageFont

    found = _find(frozenset(_visible(text)), _language(text))
    if found is None:
        return _default(size)
    path, index = found
    return ImageFont.truetype(path, size, index=index)


def find_font_file(text: str) -> tuple[Path, str]:
    """The file of a typeface with a glyph for every character of ``text``, and the name of its family.

    Raises:
        GenerationError: if no typeface has them all; it names the characters and what to install.
    """
    from PIL import ImageFont

    path, index = _find_file(frozenset(_visible(text)), _language(text))
    return Path(path), ImageFont.truetype(path, PROBE_SIZE, index=index).getname()[0] or ""


def missing_glyphs(font: FreeTypeFont, characters: frozenset[str]) -> list[str]:
    """The characters that ``font`` draws as its "not defined" glyph, sorted."""
    undefined = bytes(font.getmask("\U0010fffe"))
    return [c for c in sorted(characters) if bytes(font.getmask(c)) == undefined]


def _visible(text: str) -> Iterator[str]:
    """The characters that need a glyph: no spaces, no control or format characters."""
    return (c for c in text if not c.isspace() and unicodedata.category(c) not in {"Cc", "Cf"})


def _language(text: str) -> str:
    """Which regional forms Han characters take: kana means Japanese, hangul Korean, else Chinese."""
    for character in text:
        if "\u3040" <= character <= "\u30ff":
            return "JP"
        if "\uac00" <= character <= "\ud7a3":
            return "KR"
    return "SC"


def _default(size: float) -> FreeTypeFont:
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise GenerationError("Pillow was built without FreeType and cannot draw text: reinstall pillow")
    return font


@functools.lru_cache(maxsize=512)
def _find(characters: frozenset[str], language: str) -> tuple[str, int] | None:
    """Path and face of the typeface to use, or None for Pillow's own."""
    if not missing_glyphs(_default(PROBE_SIZE), characters):
        return None
    return _find_file(characters, language)


@functools.lru_cache(maxsize=512)
def _find_file(characters: frozenset[str], language: str) -> tuple[str, int]:
    """Path and face of the typeface to use."""
    from PIL import ImageFont

    least = characters
    for path in _files():
        for index in _faces(path, language):
            try:
                font = ImageFont.truetype(path, PROBE_SIZE, index=index)
                missing = frozenset(missing_glyphs(font, characters))
            except OSError:
                continue  # a broken or bitmap-only file in the system's folder is not ours to report
            if not missing:
                return path, index
            least = min(least, missing, key=len)
    shown = " ".join(f"{c} (U+{ord(c):04X})" for c in sorted(least)[:5])
    raise GenerationError(
        f"no typeface on this machine has {shown}: install one that has, such as the Debian package "
        "fonts-noto-core or fonts-noto-cjk, or for Chinese, Japanese and Korean: "
        "pip install noto-cjk-sans-otc"
    )


@functools.lru_cache(maxsize=1024)
def _faces(path: str, language: str) -> tuple[int, ...]:
    """The faces of a font file, those made for the language first."""
    from PIL import ImageFont

    names = []
    for index in range(MAX_FACES if path.lower().endswith((".ttc", ".otc")) else 1):
        try:
            family = ImageFont.truetype(path, PROBE_SIZE, index=index).getname()[0] or ""
        except OSError:
            break
        names.append((language not in family.split(), "Mono" in family, index))
    return tuple(index for _, _, index in sorted(names))


@functools.cache
def _files() -> tuple[str, ...]:
    """Every font file found, best first."""
    found = {
        str(path)
        for folder in _folders()
        for suffix in ("ttf", "otf", "ttc", "otc")
        for path in folder.rglob(f"*.{suffix}")
    }
    return tuple(sorted(found, key=_rank))


def _rank(path: str) -> tuple[int, int, int, str]:
    """Sorting key: upright text faces first, then the preferred families, then regular weights."""
    name = Path(path).stem.lower().replace("-", "").replace("_", "").replace(" ", "")
    family = next((n for n, known in enumerate(PREFERRED) if known in name), len(PREFERRED))
    unwanted = any(part in name for part in UNWANTED)
    plain = "regular" in name or "medium" in name or not any(w in name for w in ("bold", "light"))
    return int(unwanted), family, int(not plain), path


def _folders() -> Iterator[Path]:
    """Where typefaces are: our packages, then the usual places of Linux, macOS and Windows."""
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin:
            yield Path(spec.origin).parent
    home = Path.home()
    if sys.platform == "darwin":
        yield from (Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts")
    elif os.name == "nt":
        yield Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts"
        yield home / "AppData/Local/Microsoft/Windows/Fonts"
    else:
        yield from (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".fonts")
        yield Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share") / "fonts"
