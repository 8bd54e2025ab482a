"""Which language a text is written in, by its characters."""

from __future__ import annotations

__all__ = ["language_of"]

_RANGES = (
    ("ja", 0x3040, 0x30FF),
    ("han", 0x3400, 0x9FFF),
    ("han", 0xF900, 0xFAFF),
    ("han", 0x20000, 0x3FFFF),
    ("ko", 0xAC00, 0xD7AF),
    ("ru", 0x0400, 0x04FF),
    ("el", 0x0370, 0x03FF),
    ("ar", 0x0600, 0x06FF),
    ("he", 0x0590, 0x05FF),
    ("hi", 0x0900, 0x097F),
    ("th", 0x0E00, 0x0E7F),
)


def language_of(text: str) -> str:
    """ISO 639-1 code by the script of the characters: kana is Japanese, other Han Chinese, Latin English.

    A Han character counts as two letters, so that a Chinese sentence that names a brand stays Chinese.
    """
    counts: dict[str, int] = {}
    for character in text:
        if character.isalpha():
            code = ord(character)
            name = next((name for name, first, last in _RANGES if first <= code <= last), "en")
            counts[name] = counts.get(name, 0) + (2 if name in ("han", "ja", "ko") else 1)
    kana, han = counts.pop("ja", 0), counts.pop("han", 0)
    if kana + han:
        # Japanese is seldom written with fewer kana than a twentieth; Chinese has none.
        counts["ja" if kana * 20 >= kana + han else "zh"] = kana + han
    return max(counts, key=lambda name: counts[name], default="en")
