"""The script: plain text in, sentences with directives and lengths out.

A blank line ends a paragraph, ``# Title`` is a title card, ``// note`` is ignored, and directives stand in
square brackets before a sentence (``montage.directives``). A line break inside a paragraph ends no sentence.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from fractions import Fraction
from pathlib import Path

from index.languages import language_of
from montage.directives import DIRECTIVE_NAMES, DirectiveError, apply_directive, directive_name
from montage.values import Directives, Idiom, MontageError, Sentence, Title

__all__ = ["Script", "keep_ids", "parse_script", "read_script", "reading_seconds"]

WORDS_A_MINUTE = 183
"""Reading aloud in English (Brysbaert, "How many words do we read per minute?", J. Mem. Lang. 2019); used for
every language that puts spaces between words."""
CHARACTERS_A_MINUTE = {"zh": 204, "ja": 286}
"""Characters a minute read aloud. The texts of IReST were read at 255 (Chinese) and 357 (Japanese), English
at 228 words (Trauzettel-Klosinski and Dietz, IOVS 2012); all are slowed by 183 / 228, as English is above."""
SIMILAR = 0.5
"""A changed sentence is the same sentence if this share of its characters is (difflib's ratio)."""

_OPEN = re.compile(r"(?<!\\)\[")
_QUOTED_FILE = re.compile(
    r"""\[\s*(?:pin|prefer|ban)\s+(["'])(?:(?!\1).)+\1\s*(?:@[^\[\]]*)?\]""", re.IGNORECASE
)
_NOTE = re.compile(r"(?:^|(?<=\s))//.*$")
_TITLE = re.compile(r"\s*#+(?:\s+(.*))?$")
_SENTENCE_END = re.compile(r"[.!?…。！？．｡;；:：][\"'”’»)\]」』】）]*\s*$")
# 「…」と言った: what was said and who said it are one sentence. These words begin another one.
_SAID = re.compile(r"[」』]\s*(?:と(?!ても|ころ|にかく|りあえず|きどき|つぜん)|って)")
_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script that was read. Numbers of sentences run from 1 without holes; ids are unique."""

    path: Path | None = None
    """Where it was read from, None for text."""
    sentences: tuple[Sentence, ...]
    titles: tuple[Title, ...] = ()
    digest: str = ""
    """SHA-256 of the text, 32 hex digits."""

    def __post_init__(self) -> None:
        ids = [sentence.id for sentence in self.sentences]
        if len(set(ids)) != len(ids):
            raise ValueError(f"sentence ids must be unique, got {ids}")
        if [s.number for s in self.sentences] != list(range(1, len(ids) + 1)):
            raise ValueError(f"sentences must be numbered from 1, got {[s.number for s in self.sentences]}")

    def __len__(self) -> int:
        return len(self.sentences)

    def idioms(self, default: Sequence[Idiom] = ()) -> dict[int, tuple[Idiom, ...]]:
        """Paragraph to its idioms: its own, or ``default`` (the preset's) where it says nothing of them."""
        out: dict[int, tuple[Idiom, ...]] = {}
        for sentence in self.sentences:
            if sentence.paragraph not in out:
                directives = sentence.directives
                own = directives.idioms or (() if directives.no_idioms else tuple(default))
                out[sentence.paragraph] = own
        return out


@dataclass(frozen=True, slots=True)
class _Place:
    line: int
    column: int


@dataclass(slots=True)
class _Text:
    """Characters of a paragraph, each with its place in the source; line breaks have become spaces."""

    characters: list[str] = field(default_factory=list)
    places: list[_Place] = field(default_factory=list)
    starts: set[int] = field(default_factory=set)
    """Where a source line begins."""

    def add_line(self, line: str, number: int) -> None:
        body = line.rstrip()
        indent = len(body) - len(body.lstrip())
        if not body.strip():
            return
        # Chinese and Japanese put no space between characters, so none stands for their line breaks.
        if self.characters and not (_is_cjk(self.characters[-1]) and _is_cjk(body[indent])):
            self.characters.append(" ")
            self.places.append(_Place(number, 1))
        self.starts.add(len(self.characters))
        for column, character in enumerate(body[indent:], start=indent + 1):
            self.characters.append(character)
            self.places.append(_Place(number, column))

    @property
    def text(self) -> str:
        return "".join(self.characters)


def _is_cjk(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF" and not 0xAC00 <= ord(character) <= 0xD7AF


def reading_seconds(text: str, language: str) -> Fraction:
    """How long reading ``text`` aloud takes, in seconds (a multiple of a millisecond, at least 0.1 s)."""
    seconds = Fraction(0)
    rate = CHARACTERS_A_MINUTE.get(language)
    if rate is not None:
        dense = sum(1 for c in text if _is_cjk(c) and c.isalnum())
        seconds += Fraction(60 * dense, rate)
        text = "".join(" " if _is_cjk(c) else c for c in text)
    seconds += Fraction(60 * len(_WORD.findall(text)), WORDS_A_MINUTE)
    return max(Fraction(1, 10), Fraction(round(seconds * 1000), 1000))


def read_script(path: Path | str) -> Script:
    """Read a script file (UTF-8, with or without a byte order mark).

    Raises:
        MontageError: if it cannot be read, is no UTF-8, is empty, or holds a bad directive; with the line
            and the column.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MontageError(f"cannot read the script {path}: {error.strerror}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # With this codec the error counts from after the byte order mark.
        body = data.removeprefix(b"\xef\xbb\xbf")
        before = body[: error.start].decode("utf-8", errors="replace")
        lines = re.split(r"\r\n|\r|\n", before)
        raise MontageError(
            f"{path}:{len(lines)}:{len(lines[-1]) + 1}: byte 0x{body[error.start]:02x} is no UTF-8: save the "
            "script as UTF-8"
        ) from error
    return parse_script(text, path)


def parse_script(text: str, path: Path | str | None = None) -> Script:
    """Read a script from ``text``; ``path`` is for messages and for the project file beside it.

    Raises:
        MontageError: if there is no sentence, or a directive is unknown or makes no sense.
    """
    path = None if path is None else Path(path)
    parser = _Parser(str(path) if path is not None else "script")
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")), start=1):
        parser.line(line, number)
    parser.close()
    if not parser.sentences:
        raise MontageError(
            f"{path or 'script'}:1:1: the script is empty: write a sentence outside titles and notes"
        )
    digest = hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()[:32]
    return Script(path=path, sentences=tuple(parser.sentences), titles=tuple(parser.titles), digest=digest)


class _Parser:
    def __init__(self, name: str) -> None:
        self.name = name
        self.sentences: list[Sentence] = []
        self.titles: list[Title] = []
        self.paragraph = 0
        self.block = _Text()
        self.pending = Directives()
        self.asked: _Place | None = None  # where the first directive without a sentence stands

    def error(self, place: _Place, message: str) -> MontageError:
        return MontageError(f"{self.name}:{place.line}:{place.column}: {message}")

    def line(self, line: str, number: int) -> None:
        noted = _NOTE.sub("", line)
        title = _TITLE.fullmatch(noted)
        if title is not None:
            self.end_paragraph()
            self.require_nothing_pending("a title")
            if not (title[1] or "").strip():
                raise self.error(_Place(number, noted.index("#") + 1), "a title needs words after the #")
            self.titles.append(Title(title[1].strip(), before=len(self.sentences) + 1, line=number))
        elif noted.strip():
            self.block.add_line(noted, number)
        elif not line.strip():
            self.end_paragraph()

    def close(self) -> None:
        self.end_paragraph()
        self.require_nothing_pending("the end of the script")

    def require_nothing_pending(self, what: str) -> None:
        if self.asked is not None:
            raise self.error(self.asked, f"this directive stands before {what}: put it before a sentence")

    def end_paragraph(self) -> None:
        block, self.block = self.block, _Text()
        if not block.characters:
            return
        before = len(self.sentences)
        text = block.text
        directives = self.find_directives(block)
        spoken, begin = "", 0
        for start, stop in directives:
            spoken += text[begin:start] + " "
            begin = stop
        spoken += text[begin:]
        language = language_of(spoken)
        # Which of the two that are written with Han characters it holds, whatever else it holds.
        japanese = language_of("".join(filter(_is_cjk, spoken))) == "ja"
        begin = 0
        for start, stop in directives:
            self.add_sentences(block, begin, start, language, japanese)
            if directive_name(text[start + 1 : stop - 1]) == "idiom" and len(self.sentences) > before:
                raise self.error(
                    block.places[start],
                    f"[{text[start + 1 : stop - 1].strip()}] is for a whole paragraph: put it before the "
                    "paragraph's first sentence, or begin a new paragraph here with a blank line",
                )
            self.direct(text[start + 1 : stop - 1], block.places[start])
            begin = stop
        self.add_sentences(block, begin, len(text), language, japanese)
        if len(self.sentences) > before:
            self.paragraph += 1

    def find_directives(self, block: _Text) -> list[tuple[int, int]]:
        """(start, stop) of each directive of a paragraph, brackets included; other brackets are spoken."""
        text = block.text
        found: list[tuple[int, int]] = []
        begin = 0
        for match in _OPEN.finditer(text):
            start = match.start()
            if start < begin:
                continue  # inside the directive before
            told = text[begin:start]
            stop = _closed(text, start)
            inside = told.strip() and not _SENTENCE_END.search(told) and start not in block.starts
            if inside and stop is not None and directive_name(text[start + 1 : stop - 1]) in DIRECTIVE_NAMES:
                name = directive_name(text[start + 1 : stop - 1])
                where = "the first of a paragraph" if name == "idiom" else "one"
                raise self.error(
                    block.places[start],
                    f"[{text[start + 1 : stop - 1].strip()}] stands inside a sentence: put it before {where}",
                )
            if inside:
                continue  # an aside in brackets
            if stop is not None:
                found.append((start, stop))
                begin = stop
            elif (name := directive_name(text[start + 1 :])) in DIRECTIVE_NAMES:
                raise self.error(
                    block.places[start],
                    f"[{name} is not closed: write ] after it; a file's name with a single bracket in it "
                    'stands in quotes, as in [pin "take[1.mp4"]; for a bracket that is spoken write \\[',
                )
        return found

    def direct(self, text: str, place: _Place) -> None:
        try:
            self.pending = apply_directive(self.pending, text)
        except DirectiveError as error:
            raise self.error(place, str(error)) from error
        self.asked = self.asked or place

    def add_sentences(self, block: _Text, begin: int, end: int, language: str, japanese: bool) -> None:
        for start, stop in _split(block.text[begin:end], language):
            text = " ".join(block.text[begin + start : begin + stop].replace("\\[", "[").split())
            own = _own_language(text, language, japanese)
            place = block.places[begin + start]
            directives, self.pending, self.asked = self.pending, Directives(), None
            number = len(self.sentences) + 1
            self.sentences.append(
                Sentence(
                    id=f"s{number}",
                    number=number,
                    text=text,
                    language=own,
                    paragraph=self.paragraph + 1,
                    line=place.line,
                    column=place.column,
                    seconds=directives.hold or reading_seconds(text, own),
                    directives=directives,
                )
            )


def _own_language(text: str, language: str, japanese: bool) -> str:
    """The language of a sentence in a paragraph of ``language``, ``japanese`` if that holds any Japanese.

    Its own letters tell it, the paragraph where they leave it open: a sentence without letters, and one in
    Han characters without kana.
    """
    if not any(character.isalpha() for character in text):
        return language
    own = language_of(text)
    if own == "zh" and japanese:
        # Among Japanese sentences it is Japanese too, unless Japanese lacks its characters.
        try:
            "".join(c for c in text if _is_cjk(c) and c.isalpha()).encode("shift_jis")
        except UnicodeEncodeError:
            return own
        return "ja"
    return own


def _closed(text: str, start: int) -> int | None:
    """Where the bracket that opens at ``start`` ends; brackets nest, but not in a quoted file name.

    None if it is not closed.
    """
    if quoted := _QUOTED_FILE.match(text, start):
        return quoted.end()
    depth = 0
    for position in range(start, len(text)):
        depth += {"[": 1, "]": -1}.get(text[position], 0)
        if depth == 0:
            return position + 1
    return None


def _split(text: str, language: str) -> Iterator[tuple[int, int]]:
    """(start, stop) of each sentence of a text without line breaks, white space left out.

    A piece without a letter or a digit (a stray dash, a closing quotation mark) goes with the piece before,
    one with digits alone (``1.`` of a numbered list) with the next; where there is none, the other way round.
    """
    import sentencex

    spans: list[tuple[int, int]] = []
    position = 0
    waiting: int | None = None  # where the pieces begin that go with the next
    for piece in sentencex.segment(language, text):
        start = text.index(piece, position)
        position = start + len(piece)
        stripped = piece.strip()
        if not stripped:
            continue
        start += len(piece) - len(piece.lstrip())
        stop = start + len(stripped)
        if waiting is None and spans:
            said = _SAID.match(text, spans[-1][1] - 1) or _SAID.match(text, start)
            if said or not any(character.isalnum() for character in stripped):
                spans[-1] = (spans[-1][0], stop)
                continue
        waiting = start if waiting is None else waiting
        if any(character.isalpha() for character in stripped):
            spans.append((waiting, stop))
            waiting = None
    if waiting is not None:
        stop = len(text.rstrip())
        if spans:
            spans[-1] = (spans[-1][0], stop)
        elif any(character.isalnum() for character in text):
            spans.append((waiting, stop))
    yield from spans


def keep_ids(script: Script, previous: Sequence[tuple[str, str]]) -> Script:
    """The same script with the ids that its sentences had before.

    ``previous`` holds (id, text) of the sentences of the last cut in order, then of those that have left the
    script. A sentence whose text is unchanged keeps its id, also where it was moved; one that is still
    similar, or was changed between two that stayed, keeps it too; a new one gets an id never given before.
    """
    old = [text for _, text in previous]
    new = [sentence.text for sentence in script.sentences]
    ids: list[str | None] = [None] * len(new)
    free = dict.fromkeys(range(len(old)))
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()

    def give(j: int, i: int) -> None:
        ids[j] = previous[i][0]
        del free[i]

    for tag, i1, i2, j1, _ in blocks:
        if tag == "equal":
            for i in range(i1, i2):
                give(j1 + i - i1, i)
    for j, text in enumerate(new):  # moved
        if ids[j] is None and (same := next((i for i in free if old[i] == text), None)) is not None:
            give(j, same)
    for way in ("similar", "in place"):
        for tag, i1, i2, j1, j2 in blocks:
            if tag != "replace":
                continue
            rest_old = [i for i in range(i1, i2) if i in free]
            rest_new = [j for j in range(j1, j2) if ids[j] is None]
            if way == "similar":
                for j, i in _alike([new[j] for j in rest_new], [old[i] for i in rest_old]):
                    give(rest_new[j], rest_old[i])
            elif len(rest_old) == len(rest_new) and i2 < len(old):  # at the end are those that have left
                for j, i in zip(rest_new, rest_old, strict=True):
                    give(j, i)
    rest_old, rest_new = list(free), [j for j in range(len(new)) if ids[j] is None]
    for j, i in _alike([new[j] for j in rest_new], [old[i] for i in rest_old]):
        give(rest_new[j], rest_old[i])
    given = {name for name, _ in previous}
    highest = max((int(name[1:]) for name in given if re.fullmatch(r"s\d+", name)), default=0)
    out = []
    for sentence, kept in zip(script.sentences, ids, strict=True):
        highest += kept is None
        out.append(replace(sentence, id=kept or f"s{highest}"))
    return replace(script, sentences=tuple(out))


def _alike(new: list[str], old: list[str]) -> Iterator[tuple[int, int]]:
    """Pairs (index in ``new``, index in ``old``) of similar texts, the most similar first, each once."""
    pairs = []
    for j, text in enumerate(new):
        matcher = SequenceMatcher(None, "", text, autojunk=False)
        for i, other in enumerate(old):
            matcher.set_seq1(other)
            if matcher.real_quick_ratio() >= SIMILAR and matcher.quick_ratio() >= SIMILAR:
                ratio = matcher.ratio()
                if ratio >= SIMILAR:
                    pairs.append((-ratio, j, i))
    seen_new: set[int] = set()
    seen_old: set[int] = set()
    for _, j, i in sorted(pairs):
        if j not in seen_new and i not in seen_old:
            seen_new.add(j)
            seen_old.add(i)
            yield j, i
