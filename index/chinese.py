"""Chinese cut into words by jieba, whose dictionary is looked up in a file instead of being loaded.

jieba keeps half a million words and beginnings of words in a dictionary that takes half a second to load (two
the first time). Cutting a sentence asks for some dozens of them: here they are found by bisection.
"""

from __future__ import annotations

import json
import logging
from functools import cache
from typing import Any

import numpy as np

from index.encoders.sessions import keep_file, kept_file

__all__ = ["cut_chinese"]

logger = logging.getLogger(__name__)
FORMAT = 1


class _Words:
    """Word to frequency, as jieba asks for it; the beginning of a word that is no word itself has 0."""

    def __init__(self, kept: bytes) -> None:
        head, _, body = kept.partition(b"\n")
        facts = json.loads(head)
        self.total = int(facts["total"])
        count = int(facts["count"])
        self._starts = np.frombuffer(body, "<u4", count + 1)
        self._frequencies = np.frombuffer(body, "<u4", count, 4 * (count + 1))
        self._text = body[4 * (2 * count + 1) :]

    def _find(self, word: str) -> int | None:
        wanted = word.encode("utf-8", "surrogatepass")
        low, high = 0, len(self._frequencies)
        while low < high:
            middle = (low + high) // 2
            here = self._text[self._starts[middle] : self._starts[middle + 1]]
            if here == wanted:
                return middle
            if here < wanted:
                low = middle + 1
            else:
                high = middle
        return None

    def __contains__(self, word: str) -> bool:
        return self._find(word) is not None

    def __getitem__(self, word: str) -> int:
        place = self._find(word)
        if place is None:
            raise KeyError(word)
        return int(self._frequencies[place])

    def get(self, word: str, default: int | None = None) -> int | None:
        """The frequency of a word, or ``default``."""
        place = self._find(word)
        return default if place is None else int(self._frequencies[place])


def _packed(frequencies: dict[str, int], total: int) -> bytes:
    rows = sorted((word.encode("utf-8", "surrogatepass"), count) for word, count in frequencies.items())
    starts = np.zeros(len(rows) + 1, "<u4")
    starts[1:] = np.cumsum([len(word) for word, _ in rows])
    counts = np.array([count for _, count in rows], "<u4")
    head = json.dumps({"total": total, "count": len(rows)}).encode()
    return b"".join([head, b"\n", starts.tobytes(), counts.tobytes(), *(word for word, _ in rows)])


@cache
def _cutter() -> Any:
    import jieba

    jieba.setLogLevel(logging.WARNING)
    made = jieba.Tokenizer()
    name = f"jieba-{jieba.__version__}-{FORMAT}.words"
    kept = kept_file(name)
    if kept is None:
        logger.info("preparing the dictionary of Chinese words, this once")
        made.initialize()
        kept = _packed(made.FREQ, made.total)
        keep_file(name, kept)
    words = _Words(kept)
    made.FREQ, made.total, made.initialized = words, words.total, True
    return made


def cut_chinese(text: str) -> list[str]:
    """The words of a Chinese text, in order; together they are the text."""
    return [str(word) for word in _cutter().cut(text)]
