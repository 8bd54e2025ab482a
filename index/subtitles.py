"""What is said in footage and when, from subtitles: SubRip (``.srt``) and WebVTT (W3C, 2019)."""

from __future__ import annotations

import re
from fractions import Fraction
from html import unescape

from index.base import Span
from index.records import Passage

__all__ = ["read_subtitles"]

_TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})[,.](\d{1,3})"
_TIMES = re.compile(rf"^\s*{_TIME}\s*-+>\s*{_TIME}")
_TAGS = re.compile(r"<[^<>]{0,200}>|\{\\[^{}]{0,200}\}")
_END = re.compile(r"[.!?…。！？][\"'”’」』)]*$")
LONGEST = 10
"""Seconds that one passage may last."""
PAUSE = Fraction(3, 2)
"""Seconds of silence that end a passage."""
MOST = 20_000
"""Cues that are read of one file."""


def read_subtitles(text: str) -> list[Passage]:
    """The passages of a subtitle file: cues are put together up to the end of a sentence, a pause, or 10 s.

    Forgiving: what is no cue is passed over, and so are lines that only repeat the last, as captions that
    roll upwards do.

    Raises:
        ValueError: if there is text but not one cue.
    """
    cues = _cues(text)
    if not cues and text.strip() and text.strip() != "WEBVTT":
        raise ValueError("no line in it has times as 00:00:01,000 --> 00:00:02,500")
    out: list[Passage] = []
    start, end, said = Fraction(0), Fraction(0), ""
    for begin, stop, words in sorted(cues, key=lambda cue: cue[:2]):
        if said and (begin - end > PAUSE or stop - start > LONGEST or _END.search(said)):
            out.append(Passage(said, Span(start, end)))
            said = ""
        if not said:
            start, end = begin, stop
        said, end = f"{said} {words}".strip(), max(end, stop)
    if said:
        out.append(Passage(said, Span(start, end)))
    return out


def _cues(text: str) -> list[tuple[Fraction, Fraction, str]]:
    out: list[tuple[Fraction, Fraction, str]] = []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    last = ""
    place = 0
    while place < len(lines) and len(out) < MOST:
        times = _TIMES.match(lines[place])
        place += 1
        if not times:
            continue
        begin, stop = _seconds(*times.groups()[:4]), _seconds(*times.groups()[4:])
        words: list[str] = []
        while place < len(lines) and lines[place].strip() and not _TIMES.match(lines[place]):
            line = " ".join(unescape(_TAGS.sub("", lines[place])).split())
            followed = place + 1 < len(lines) and _TIMES.match(lines[place + 1])
            if line and line != last and not (followed and line.isdigit()):
                words.append(line)
                last = line
            place += 1
        if words:
            out.append((begin, stop if stop > begin else begin + 1, " ".join(words)))
    return out


def _seconds(hours: str | None, minutes: str, seconds: str, parts: str) -> Fraction:
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return whole + Fraction(int(parts), 10 ** len(parts))
