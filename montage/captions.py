"""Captions: lines broken where a reader would pause, cues on the frame grid that never overlap."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from montage.timeline import Timeline

__all__ = ["Cue", "break_at", "caption_problems", "cues_of", "line_limit", "reading_limit"]

LATIN_LINE = 42
"""Most characters a line in alphabetic scripts (Netflix Timed Text Style Guide)."""
CJK_LINES = {"zh": 16, "yue": 16, "ko": 16, "ja": 13}
"""Most characters a line where they are wide (the same guide)."""
READING_SPEED = 17.0
"""Most characters a second, for adults (the same guide)."""
READING_SPEEDS = {"en": 20.0, "zh": 9.0, "yue": 9.0, "ko": 12.0, "ja": 4.0}
"""The same for languages that have a limit of their own."""
SHORTEST = Fraction(5, 6)
LONGEST = Fraction(7)
"""Seconds that a cue is shown at least and at most (the same guide)."""
GAP_FRAMES = 2
"""Frames without a cue between two of them, so that the change is seen (the same guide)."""
LINES = 2
"""Most lines a cue."""
_PAUSE_AFTER = ",;:.!?…—–)]}»”，。、；：！？」』）】》"
"""Marks after which a reader pauses, so that a cue or a line may end there."""
_NOT_FIRST = "，。、；：！？」』）】》”’…·ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ,.;:!?)]}%"
"""Marks that must not begin a line (kinsoku, JIS X 4051)."""
_NOT_LAST = "「『（【《“‘([{"
"""Marks that must not end a line."""
_JOINERS = ("and", "or", "but", "that", "which", "who", "when", "while", "because", "as", "if", "with", "for")
"""Words before which an English line may well break."""


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
    language: str = "en"
    """ISO 639-1."""

    def __post_init__(self) -> None:
        if self.start < 0 or self.end <= self.start:
            raise ValueError(f"a cue needs 0 <= start < end, got {self.start} and {self.end}")
        if not self.lines or any(not line.strip() for line in self.lines):
            raise ValueError(f"a cue needs lines of text, got {self.lines!r}")


def _base(language: str) -> str:
    return language.partition("-")[0].lower()


def line_limit(language: str) -> int:
    """Most characters a caption line in a language."""
    return CJK_LINES.get(_base(language), LATIN_LINE)


def reading_limit(language: str) -> float:
    """Most characters a second that a caption may ask of a reader."""
    return READING_SPEEDS.get(_base(language), READING_SPEED)


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
    else:
        cues = [lines[at : at + LINES] for at in range(0, len(lines), LINES)]
    return [tuple("".join(line).strip() for line in cue) for cue in cues]


def cues_of(timeline: Timeline) -> tuple[Cue, ...]:
    """The cues of a timeline's captions, in order and never overlapping, on the film's frame grid.

    A caption too long for two lines becomes several cues; each is shown for a share of the caption's
    time in proportion to its length. None is shown for more than seven seconds, and two frames are left
    free before the next one, where that leaves it long enough to be seen.
    """
    spans: list[tuple[int, int, tuple[str, ...], str]] = []
    for caption in timeline.captions:
        parts = _break_text(caption.text, caption.language)[: caption.frames]
        sizes = [sum(len(line) for line in part) for part in parts]
        edges = [caption.frames * sum(sizes[:i]) // sum(sizes) for i in range(len(parts) + 1)]
        for i in range(1, len(edges)):  # the shortest has a frame, too
            edges[i] = min(max(edges[i], edges[i - 1] + 1), caption.frames - (len(parts) - i))
        spans += [
            (caption.start + first, caption.start + end, part, caption.language)
            for first, end, part in zip(edges, edges[1:], parts, strict=False)
        ]
    shortest, longest = SHORTEST * timeline.fps, LONGEST * timeline.fps
    cues = []
    for number, (start, stop, lines, language) in enumerate(spans):
        following = spans[number + 1][0] if number + 1 < len(spans) else None
        end = min(stop, start + int(longest))
        if following is not None and following - end < GAP_FRAMES <= following - start - shortest:
            end = following - GAP_FRAMES
        first, last = (_milliseconds(frame / timeline.fps) for frame in (start, end))
        cues.append(Cue(start=first, end=max(last, first + 1), lines=lines, language=language))
    return tuple(cues)


def caption_problems(cues: Sequence[Cue]) -> tuple[list[str], list[str]]:
    """What is wrong with cues, and what readers may find hard.

    Returns:
        Overlaps, empty if all is well; and cues that are too quick to read or shown too briefly.
    """
    wrong, hard = [], []
    for number, cue in enumerate(cues):
        where = f"{cue.lines[0][:30]!r} at {cue.start / 1000:.1f} s"
        if number and cue.start < cues[number - 1].end:
            wrong.append(f"{where} begins before the one before it ends")
        seconds = (cue.end - cue.start) / 1000
        speed = sum(len(line) for line in cue.lines) / seconds
        if speed > reading_limit(cue.language):
            hard.append(
                f"{where} asks for {speed:.0f} characters a second, more than "
                f"{reading_limit(cue.language):.0f}"
            )
        elif seconds < SHORTEST - Fraction(1, 1000):
            hard.append(f"{where} is shown for {seconds:.2f} s only")
    return wrong, hard


def _milliseconds(seconds: Fraction) -> int:
    return int(seconds * 1000 + Fraction(1, 2))
