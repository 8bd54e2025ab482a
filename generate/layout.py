"""Breaking a sentence into the lines of a card, as a typographer would.

Latin text breaks at spaces, into lines of even length, and not after a small word. Chinese and Japanese
have no spaces: text breaks between words (Chinese, by jieba) or phrases (Japanese, after a run of kana).
Punctuation never starts a line and an opening bracket never ends one (kinsoku shori, JIS X 4051).
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Atom", "atoms_of", "break_lines", "is_right_to_left"]

_SMALL_WORDS = frozenset(
    (
        *(
            "a",
            "an",
            "the",
            "of",
            "to",
            "in",
            "on",
            "at",
            "by",
            "for",
            "from",
            "with",
            "and",
            "or",
            "nor",
            "but",
        ),
        *(
            "as",
            "is",
            "are",
            "was",
            "were",
            "that",
            "this",
            "it",
            "its",
            "if",
            "no",
            "so",
            "my",
            "our",
            "his",
            "her",
        ),
        *(
            "their",
            "who",
            "which",
            "le",
            "la",
            "les",
            "un",
            "une",
            "de",
            "du",
            "des",
            "et",
            "ou",
            "à",
            "au",
            "el",
        ),
        *("los", "las", "una", "y", "o", "en", "der", "die", "das", "ein", "eine", "und", "im", "am", "zu"),
    )
)
"""Words that read badly at the end of a line."""

_NOT_FIRST = frozenset(
    "、。，．・：；？！）」』】〕〉》”’…‥ー々ゝゞァィゥェォッャュョぁぃぅぇぉっゃゅょ～%‰℃,.:;?!)]}»›"
)
"""Characters that must not start a line."""
_NOT_LAST = frozenset("（「『【〔〈《“‘([{«‹¿¡$£€¥＄￥")
"""Characters that must not end a line."""

_RESTS = {**dict.fromkeys(",;:.!?—", 0.03), **dict.fromkeys("，。；：！？", 0.08), "、": 0.02}
"""What a line gains by ending with a punctuation mark; more where no spaces show the words."""
_WIDOW = 0.34
"""A last line shorter than this share of the width counts as a widow."""


@dataclass(frozen=True, slots=True)
class Atom:
    """A piece of text that is kept on one line."""

    text: str
    space_before: bool
    """Whether a space parts it from the piece before, when both are on one line."""


def atoms_of(text: str) -> tuple[Atom, ...]:
    """The pieces of a text between which a line may break."""
    atoms: list[Atom] = []
    for number, word in enumerate(text.split()):
        pieces = _glued(_pieces(word))
        atoms += [Atom(piece, number > 0 and first == 0) for first, piece in enumerate(pieces)]
    return tuple(atoms)


def break_lines(
    atoms: Sequence[Atom], width: float, measure: Callable[[str], float]
) -> tuple[tuple[Atom, ...], ...] | None:
    """The lines of even length whose number is least, or None where an atom is wider than ``width``.

    The lines minimise the sum of squared slack with extra costs for widows and for small words at the end,
    by dynamic programming over all breaks (after Knuth and Plass, Breaking Paragraphs into Lines, 1981).
    ``width`` and what ``measure`` gives are pixels.
    """
    count = len(atoms)
    if not count:
        return None
    widths: dict[tuple[int, int], float] = {}
    for start in range(count):
        for end in range(start + 1, count + 1):
            length = measure(joined(atoms[start:end]))
            if length > width:
                break
            widths[start, end] = length
    least: list[int | None] = [0, *([None] * count)]
    for end in range(1, count + 1):
        for start in range(end):
            before, now = least[start], least[end]
            if (start, end) in widths and before is not None and (now is None or before + 1 < now):
                least[end] = before + 1
    lines = least[count]
    if lines is None:
        return None
    # The even length to aim for: the text's whole length over the least number of lines.
    aim = min(width, measure(joined(atoms)) / lines * 1.02)
    best: dict[tuple[int, int], tuple[float, int]] = {(0, 0): (0.0, 0)}
    for used in range(1, lines + 1):
        for end in range(1, count + 1):
            options = [
                (
                    best[start, used - 1][0] + _badness(atoms, start, end, widths[start, end], aim, width),
                    start,
                )
                for start in range(end)
                if (start, end) in widths and (start, used - 1) in best
            ]
            if options:
                best[end, used] = min(options)
    breaks, end = [], count
    for used in range(lines, 0, -1):
        start = best[end, used][1]
        breaks.append(tuple(atoms[start:end]))
        end = start
    return tuple(reversed(breaks))


def joined(atoms: Sequence[Atom]) -> str:
    """The text of a line."""
    return "".join((" " if atom.space_before and n else "") + atom.text for n, atom in enumerate(atoms))


def is_right_to_left(text: str) -> bool:
    """Whether the first strong character is Arabic, Hebrew or another script that runs to the left."""
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in {"L", "R", "AL"}:
            return direction != "L"
    return False


def _badness(atoms: Sequence[Atom], start: int, end: int, length: float, aim: float, width: float) -> float:
    """The cost of the line ``atoms[start:end]``."""
    cost = ((length - aim) / width) ** 2
    if end < len(atoms):
        last = atoms[end - 1].text
        if last.strip("“‘\"'(").lower() in _SMALL_WORDS:
            cost += 0.02
        cost -= _RESTS.get(last[-1], 0.0)  # the eye rests where the sentence does
    elif start > 0 and (length < _WIDOW * width or end - start == 1):
        cost += 0.03
    return cost


def _pieces(word: str) -> list[str]:
    """A run without spaces, parted where its script allows."""
    if not any(_is_east_asian(c) for c in word):
        return [word]
    if any("\u3040" <= c <= "\u30ff" for c in word):
        # A phrase: kanji, katakana or Latin, then the hiragana that inflects it or follows it.
        return re.findall(r"[^\u3040-\u309f]+[\u3040-\u309f]*|[\u3040-\u309f]+", word)
    if any("\uac00" <= c <= "\ud7a3" for c in word):
        return [word]
    return _chinese_words(word)


@functools.lru_cache(maxsize=256)
def _chinese_cut(text: str) -> tuple[str, ...]:
    import logging

    import jieba

    jieba.setLogLevel(logging.WARNING)
    return tuple(jieba.cut(text))


def _chinese_words(text: str) -> list[str]:
    return [word for word in _chinese_cut(text) if word]


def _glued(pieces: Sequence[str]) -> list[str]:
    """Pieces with punctuation put where it belongs."""
    glued: list[str] = []
    for piece in pieces:
        if glued and (piece[0] in _NOT_FIRST or glued[-1][-1] in _NOT_LAST):
            glued[-1] += piece
        else:
            glued.append(piece)
    return glued


def _is_east_asian(character: str) -> bool:
    return unicodedata.east_asian_width(character) in {"W", "F"}
