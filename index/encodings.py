"""Text files of unknown encoding, as they lie beside footage."""

from __future__ import annotations

import codecs

__all__ = ["decoded", "encoding_of"]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(data: bytes) -> str:
    """The encoding of a text by its first bytes: by its mark, UTF-8 if it is valid, else by its letters.

    Known are UTF-8, UTF-16 and UTF-32, and of the older ones those of Japan, Korea, China and Taiwan,
    Windows Cyrillic and Windows Western: bytes of the first kinds come in pairs, Western accents alone.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    if _decodes(data, "utf-8") is not None and b"\0" not in data:
        return "utf-8"
    if data.count(0) * 5 > len(data):
        return "utf-16-be" if data[::2].count(0) > data[1::2].count(0) else "utf-16-le"
    high = [byte > 127 for byte in data]
    beside = sum(one and ((place and high[place - 1]) or (place + 1 < len(high) and high[place + 1]))
                 for place, one in enumerate(high))  # fmt: skip
    if beside >= 0.8 * sum(high):
        for name, first, last, share in (
            ("euc_jp", "぀", "ヿ", 0.2),
            ("cp932", "぀", "ヿ", 0.2),
            ("euc_kr", "가", "힣", 0.9),
        ):
            if _share(_decodes(data, name), first, last) >= share:
                return name
        text = _decodes(data, "gb18030")
        if text is not None and _common(text) >= 0.6:
            return "gb18030"
        if _share(_decodes(data, "big5"), "一", "鿿") >= 0.6:
            return "big5"
        if _share(_decodes(data, "cp1251"), "А", "я") >= 0.8:
            return "cp1251"
    return "cp1252"


def decoded(data: bytes) -> str:
    """A text in whatever encoding; what cannot be read becomes question marks."""
    return data.decode(encoding_of(data), "replace").lstrip("\ufeff")


def _decodes(data: bytes, name: str) -> str | None:
    """The text if the data is valid, but for a character cut off at the end."""
    try:
        return codecs.getincrementaldecoder(name)("strict").decode(data)
    except UnicodeDecodeError:
        return None


def _share(text: str | None, first: str, last: str) -> float:
    letters = [character for character in text or "" if character > "\x7f"]
    return sum(first <= character <= last for character in letters) / max(1, len(letters))


def _common(text: str) -> float:
    """Share of everyday Chinese characters and punctuation: level 1 of GB 2312."""
    letters = [character for character in text if character > "\x7f"]
    codes = [character.encode("gb2312", "ignore") for character in letters]
    return sum(len(code) == 2 and 0xA1 <= code[0] <= 0xD7 for code in codes) / max(1, len(letters))
