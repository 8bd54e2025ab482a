"""Captions as an SRT file: lines broken where a reader would pause, cues that never overlap."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from montage.timeline import Timeline
from montage.values import MontageError

__all__ = ["Cue", "break_at", "cues_of", "line_limit", "read_srt", "srt_text"]

LATIN_LINE = 42
"""Most characters a line in alphabetic scripts (Netflix Timed Text Style Guide)."""
CJK_LINE = 16
"""Most characters a line in Chinese, Japanese and Korean (the same guide: 16 for Chinese)."""
LINES = 2
"""Most lines a cue."""
_CJK = frozenset({"zh", "ja", "ko", "yue"})
_PAUSE_AFTER = ",;:.!?…—–)]}»”，。、；：！？」』）】》"
"""Marks after which a reader pauses, so that a cue or a line may end there."""
_NOT_FIRST = "，。、；：！？」』）】》”’…·ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ,.;:!?)]}%"
"""Marks that must not begin a line (kinsoku, JIS X 4051)."""
_NOT_LAST = "「『（【《“‘([{"
"""Marks that must not end a line."""
_JOINERS = ("and", "or", "but", "that", "which", "who", "when", "while", "because", "as", "if", "with", "for")
"""Words before which an English line may well break."""
_TIME = re.compile(r"(\d+):([0-5]\d):([0-5]\d)[,.](\d{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """One caption as a player shows it.

    Raises:
        ValueError: if it has no length or no text.
    """

    start: int
    """Milliseconds from the start of the film."""
    end: int
    """Milliseconds, after ``start``."""
    lines: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.start < 0 or self.end <= self.start:
            raise ValueError(f"a cue needs 0 <= start < end, got {self.start} and {self.end}")
        if not self.lines or any(not line.strip() for line in self.lines):
            raise ValueError(f"a cue needs lines of text, got {self.lines!r}")


def line_limit(language: str) -> int:
    """Most characters a caption line in a language."""
    return CJK_LINE if language.partition("-")[0].lower() in _CJK else LATIN_LINE


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def _atoms(text: str) -> list[str]:
    """The text in pieces that must not be broken; together they are the text again.

    A piece is a word with the space after it, or one wide character with the marks that cling to it.
    """
    atoms: list[str] = []
    for word in re.findall(r"\S+\s*", text):
        piece = ""
        for character in word:
            if piece and not character.isspace() and _breaks(piece[-1], character):
                atoms.append(piece)
                piece = ""
            piece += character
        atoms.append(piece)
    return atoms


def _breaks(before: str, after: str) -> bool:
    return (
        (_is_wide(before) or _is_wide(after))
        and after not in _NOT_FIRST
        and before not in _NOT_LAST
        and not (before.isascii() and before.isalnum() and after.isascii() and after.isalnum())
    )


def _cost(left: str, right: str) -> float:
    """How ill a break between two pieces reads: 0 after a stop, more inside a phrase."""
    end = left.rstrip()
    if end and end[-1] in _PAUSE_AFTER:
        return 0.0
    first = re.split(r"\W", right.lstrip().lower(), maxsplit=1)[0]
    return 0.35 if first in _JOINERS else 1.0


def _wrap(atoms: Sequence[str], limit: int) -> list[list[str]]:
    """Break pieces into the fewest lines within the limit, even in length, at the best places.

    A dynamic programme over the places where a line may end; a single piece longer than the limit gets a
    line of its own.
    """
    count = len(atoms)
    best: list[tuple[float, float, int]] = [(0, 0.0, 0)] + [(float("inf"), 0.0, 0)] * count
    for end in range(1, count + 1):
        for start in range(end - 1, -1, -1):
            length = len("".join(atoms[start:end]).strip())
            if length > limit and start < end - 1:
                break
            lines, cost, _ = best[start]
            ragged = ((limit - length) / limit) ** 2
            here = cost + ragged + (_cost(atoms[end - 1], atoms[end]) if end < count else 0.0)
            best[end] = min(best[end], (lines + 1, here, start))
    parts: list[list[str]] = []
    end = count
    while end > 0:
        start = best[end][2]
        parts.append(list(atoms[start:end]))
        end = start
    return parts[::-1]


def _split_long(atoms: list[str], limit: int) -> list[str]:
    """Cut up pieces that are longer than a line by themselves (a web address, say)."""
    return [atom[i : i + limit] for atom in atoms for i in range(0, max(1, len(atom.rstrip())), limit)]


def break_at(text: str, limit: int) -> list[str]:
    """A text in the fewest lines of at most ``limit`` characters, even in length, broken where it reads best.

    A word longer than a line is kept whole, on a line of its own.
    """
    return ["".join(line).strip() for line in _wrap(_atoms(" ".join(text.split())), limit)]


def _break_text(text: str, language: str) -> list[tuple[str, ...]]:
    """The cues of one text, each a tuple of lines."""
    limit = line_limit(language)
    atoms = _split_long(_atoms(" ".join(text.split())), limit)
    lines = _wrap(atoms, limit)
    if len(lines) <= LINES:
        return [tuple("".join(line).strip() for line in lines)]
    # Too long for one cue: cut it into cues of about two lines first, then break each one into lines.
    for room in (LINES * limit - limit // 4, LINES * limit - limit // 2, limit):
        cues = [_wrap(part, limit) for part in _wrap(atoms, room)]
        if all(len(cue) <= LINES for cue in cues):
            break
    return [tuple("".join(line).strip() for line in cue) for cue in cues]


def cues_of(timeline: Timeline) -> tuple[Cue, ...]:
    """The cues of a timeline's captions, in order and never overlapping.

    A caption too long for two lines becomes several cues; each is shown for a share of the caption's
    time in proportion to its length.
    """
    cues: list[Cue] = []
    for caption in timeline.captions:
        parts = _break_text(caption.text, caption.language)
        start, end = (_milliseconds(frame / timeline.fps) for frame in (caption.start, caption.end))
        parts = parts[: max(1, end - start)]
        sizes = [sum(len(line) for line in part) for part in parts]
        edges = [start + (end - start) * sum(sizes[:i]) // sum(sizes) for i in range(len(parts) + 1)]
        cues += [
            Cue(start=a, end=max(b, a + 1), lines=part)
            for a, b, part in zip(edges, edges[1:], parts, strict=False)
        ]
    return tuple(cues)


def _milliseconds(seconds: Fraction) -> int:
    return int(seconds * 1000 + Fraction(1, 2))


def _stamp(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d},{rest:03d}"


def srt_text(cues: Iterable[Cue]) -> str:
    """An SRT file's text (to be written as UTF-8)."""
    return "".join(
        f"{number}\n{_stamp(cue.start)} --> {_stamp(cue.end)}\n" + "\n".join(cue.lines) + "\n\n"
        for number, cue in enumerate(cues, start=1)
    )


def read_srt(text: str) -> tuple[Cue, ...]:
    """The cues of an SRT file's text.

    Raises:
        MontageError: if a block is not number, times, text; says which line.
    """
    cues: list[Cue] = []
    lines = text.lstrip("\ufeff").splitlines()
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        times = _TIME.findall(lines[at + 1]) if at + 1 < len(lines) else []
        if not lines[at].strip().isdigit() or len(times) != 2:
            raise MontageError(
                f"line {at + 1} of the captions: expected a number and a line of times such as "
                f"00:00:01,000 --> 00:00:02,000, got {lines[at]!r}"
            )
        start, end = (((int(h) * 60 + int(m)) * 60 + int(s)) * 1000 + int(milli) for h, m, s, milli in times)
        first = at = at + 2
        while at < len(lines) and lines[at].strip():
            at += 1
        try:
            cues.append(Cue(start=start, end=end, lines=tuple(lines[first:at])))
        except ValueError as error:
            raise MontageError(f"line {first} of the captions: {error}") from error
    return tuple(cues)
