"""A recorded narration and the script it reads: when each sentence is spoken, and what follows for the film.

The recording is one file, aligned to the text by ``montage.aligning`` (which needs no weights) or by a
speech recogniser whose weights are on this machine (``montage.transcribing``); or one file a sentence. The
words always come from the script. Each sentence is played with the pause after it; its pictures last as long.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from index.base import Span, file_sha256
from index.speech import SPEECH_RATE
from montage.aligning import Alignment, align_words
from montage.listening import FRAME_SECONDS, Heard, decode_voice, listen
from montage.process import Cancel
from montage.pronouncing import SpokenWord, spoken_words
from montage.transcribing import match_words, recogniser_folder, transcribe
from montage.values import MontageError, Sentence

__all__ = [
    "METHODS",
    "Method",
    "Narration",
    "Spoken",
    "Word",
    "align",
    "narration_of",
]

Method = Literal["auto", "whisper", "silence"]
"""How a recording is aligned: by a speech recogniser, or by its silences, its sounds and their lengths."""
METHODS: tuple[Method, ...] = get_args(Method)

AIR = Fraction(8, 100)
"""Seconds by which a sentence's pictures come before its first word, where the pause is long enough."""
LEAD = Fraction(1, 4)
"""Most seconds kept before the first word of a recording."""
TAIL = Fraction(1, 2)
"""Most seconds kept after the last."""
PAUSE = Fraction(35, 100)
"""Least seconds between the words of two sentences that were recorded each in its file."""
FEWEST, MOST = 0.58, 2.0
"""Bounds of how long somebody speaks, against what the text takes at an even pace."""
FIT, STRANGE = 0.18, 0.30
"""Misfits (``Alignment.misfit``) up to which a sentence is surely read, and from which it surely is not."""
LIKELY, UNLIKELY = 0.15, 0.22
"""Misfits of the whole up to which the script surely is what is read, and from which it hardly is: to 96
synthetic readings the right script fitted at .06 to .13, another or its sentences reversed at .16 to .28."""
OTHER_TEXT, UNEVEN = 0.2, 0.3
"""Something else is read where the whole fits worse than the first, and together with how unevenly it is read
(standard deviation of the logarithm of the sentences' pace; right: 0.02 to 0.12) is over the second."""
HURRIED = 0.25
"""A sentence in less than this share of the time that it takes at an even pace was left out."""
TOLD_SECONDS = 1.0
"""A sentence that takes less at an even pace may be misplaced as well as left out: it is doubted only."""
MORE_SECONDS, MORE_SHARE = 3.0, 0.2
"""Speech that belongs to no sentence is too much when it is over both: so long, such a share of it all."""
NEAR_SECONDS = 0.3
"""Around a sentence, speech belongs to it."""
DOUBTFUL = 0.5
"""Below this confidence a sentence may lie elsewhere."""
SOUND_SUFFIXES = frozenset(
    (
        ".wav",
        ".mp3",
        ".m4a",
        ".flac",
        ".ogg",
        ".opus",
        ".aac",
        ".aif",
        ".aiff",
        ".wma",
        ".mka",
        ".mp4",
        ".mov",
    )
)


@dataclass(frozen=True, slots=True)
class Word:
    """When a word of the script is spoken."""

    text: str
    span: Span
    """Seconds of the file."""
    certain: bool
    """False where it was placed between its neighbours by its length alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A sentence in a recording.

    Raises:
        ValueError: if what is played does not hold what is said, or the confidence lies outside [0, 1].
    """

    sentence: str
    """Sentence id."""
    source: Path
    content: str
    """Content id of the file."""
    span: Span
    """From its first word to the end of its last, in seconds of the file."""
    heard: Span
    """What is played of the file: the sentence with the pause after it."""
    rest: Fraction = Fraction(0)
    """Seconds of silence after that, where the file ends too soon."""
    confidence: float
    """Probability that it begins within 0.15 s of where it is said to begin, lowered where what is heard fits
    the text badly."""
    words: tuple[Word, ...]

    def __post_init__(self) -> None:
        if self.heard.start > self.span.start or self.heard.end < self.span.end:
            raise ValueError(f"what is played must hold what is said, got {self.heard} for {self.span}")
        if not 0 <= self.confidence <= 1 or self.rest < 0:
            raise ValueError(f"confidence lies in [0, 1], got {self.confidence}; rest {self.rest}")

    @property
    def seconds(self) -> Fraction:
        """How long its pictures last."""
        return self.heard.seconds + self.rest


@dataclass(frozen=True, slots=True)
class Narration:
    """Every spoken sentence of a script in a recording, in the order of the script.

    Raises:
        ValueError: if there is none, or one twice.
    """

    spoken: tuple[Spoken, ...]
    method: Literal["whisper", "silence"]

    def __post_init__(self) -> None:
        names = [spoken.sentence for spoken in self.spoken]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"a narration speaks each sentence once, got {names}")

    def __getitem__(self, sentence: str) -> Spoken:
        return next(spoken for spoken in self.spoken if spoken.sentence == sentence)

    @property
    def doubtful(self) -> tuple[str, ...]:
        """Ids of the sentences that may lie elsewhere in the recording."""
        return tuple(spoken.sentence for spoken in self.spoken if spoken.confidence < DOUBTFUL)


@dataclass(frozen=True, slots=True)
class _Found:
    """A sentence as (seconds, seconds) and its words likewise, before it is made exact."""

    start: float
    end: float
    confidence: float
    words: tuple[tuple[str, float, float, bool], ...]


def align(
    path: Path | str,
    sentences: Sequence[Sentence],
    *,
    method: Method = "auto",
    model: Path | str | None = None,
    cancel: Cancel | None = None,
) -> Narration:
    """Find each sentence of a script in one recording of the whole of it.

    Args:
        path: A file with sound.
        sentences: The script's; those with ``[skip]`` are not spoken.
        method: "auto" takes the recogniser if its weights are here.
        model: Folder of a recogniser's weights (CTranslate2); None for ``whisper`` among montage's models.
        cancel: Asked while it works.

    Raises:
        MontageError: if the file cannot be read, nobody speaks in it, or it is no reading of the script.
        FilmError: if it was cancelled.
    """
    if method not in METHODS:
        raise MontageError(f"no narration is aligned by {method!r}: choose one of {', '.join(METHODS)}")
    path = Path(path)
    spoken = _spoken(sentences)
    folder = recogniser_folder(model) if method != "silence" else None
    if folder is None and (method == "whisper" or model is not None):
        raise MontageError(
            "no speech recogniser was found: pip install faster-whisper and name the folder of a model's "
            "weights, or align by silence, which needs none"
        )
    samples = decode_voice(path, cancel=cancel)
    used: Literal["whisper", "silence"] = "silence" if folder is None else "whisper"
    if folder is not None:
        found = _by_recogniser(samples, spoken, folder, path)
    else:
        found = _by_silence(samples, spoken, path, cancel)
    return Narration(_placed(found, spoken, path, file_sha256(path), _length(samples)), used)


def _placed(
    found: Sequence[_Found], sentences: Sequence[Sentence], path: Path, content: str, total: Fraction
) -> tuple[Spoken, ...]:
    """Exact spans that follow each other: every sentence has at least a thousandth of a second of its own."""
    out: list[Spoken] = []
    least = Fraction(1, 1000)
    begin = max(Fraction(0), _exact(found[0].start) - LEAD)
    for number, (sentence, one) in enumerate(zip(sentences, found, strict=True)):
        start = max(_exact(one.start), begin)
        end = max(_exact(one.end), start + least)
        if number + 1 < len(found):
            following = max(_exact(found[number + 1].start), start + 2 * least)
            end = min(end, following)
            close = following - min(AIR, (following - end) / 2)
        else:
            close = max(end, min(total, end + TAIL))
        out.append(
            Spoken(
                sentence=sentence.id,
                source=path,
                content=content,
                span=Span(start, end),
                heard=Span(begin, close),
                confidence=one.confidence,
                words=_words(one, start, end),
            )
        )
        begin = close
    return tuple(out)


def narration_of(
    files: Path | str | Sequence[Path | str], sentences: Sequence[Sentence], *, cancel: Cancel | None = None
) -> Narration:
    """The narration where each sentence was recorded in a file of its own.

    Args:
        files: A folder with files named by sentence number (``1.wav``, ``02.mp3``, ``3 take.wav``), or the
            files in the order of the script. Files of sentences with ``[skip]`` are not read; in a list
            they are left out.
        sentences: The script's.
        cancel: Asked while it works.

    Raises:
        MontageError: if a sentence has no file or two, a number has no sentence, or a file cannot be read or
            holds no speech.
        FilmError: if it was cancelled.
    """
    spoken = _spoken(sentences)
    if isinstance(files, (str, Path)):
        paths = _by_number(Path(files), spoken, len(sentences))
    else:
        paths = [Path(file) for file in files]
        if len(paths) != len(spoken):
            raise MontageError(
                f"{len(paths)} narration files were named for {len(spoken)} spoken sentences: name one a "
                "sentence"
            )
    out: list[Spoken] = []
    for sentence, path in zip(spoken, paths, strict=True):
        samples = decode_voice(path, cancel=cancel)
        (one,) = _by_silence(samples, [sentence], path, cancel)
        total = _length(samples)
        start, end = _exact(one.start), min(_exact(one.end), total)
        start = min(start, end - Fraction(1, 1000))
        begin, close = max(Fraction(0), start - AIR), min(total, end + TAIL)
        out.append(
            Spoken(
                sentence=sentence.id,
                source=path,
                content=file_sha256(path),
                span=Span(start, end),
                heard=Span(begin, close),
                rest=max(Fraction(0), PAUSE - (close - end) - (start - begin)),
                confidence=one.confidence,
                words=_words(one, start, end),
            )
        )
    return Narration(tuple(out), "silence")


def _spoken(sentences: Sequence[Sentence]) -> list[Sentence]:
    spoken = [sentence for sentence in sentences if not sentence.directives.skip]
    if not spoken:
        raise MontageError("the script has no sentence to speak: every one is left out by [skip]")
    return spoken


def _exact(seconds: float) -> Fraction:
    return Fraction(round(seconds * 1000), 1000)


def _length(samples: NDArray[np.float32]) -> Fraction:
    return Fraction(len(samples) * 1000 // SPEECH_RATE, 1000)


def _words(one: _Found, first: Fraction, last: Fraction) -> tuple[Word, ...]:
    """Words as exact spans that follow each other within a sentence."""
    out: list[Word] = []
    least = Fraction(1, 1000)
    for text, start, end, certain in one.words:
        begin = max(_exact(start), first if not out else out[-1].span.end)
        stop = min(_exact(end), last)
        if stop < begin + least:  # no room is left for it: it shares the one before's
            begin = min(begin, last - least) if not out else begin
            stop = begin + least
        out.append(Word(text, Span(begin, stop), certain))
    return tuple(out)


def _by_silence(
    samples: NDArray[np.float32], sentences: Sequence[Sentence], path: Path, cancel: Cancel | None
) -> list[_Found]:
    heard = listen(samples)
    if heard.speech_seconds < 0.1 or float(np.abs(samples).max()) < 1e-3:
        raise MontageError(
            f"nobody speaks in {path} ({heard.seconds:.1f} s): check that it is the narration, and its level"
        )
    words = [spoken_words(sentence.text, sentence.language) for sentence in sentences]
    flat = [word for some in words for word in some]
    expected = sum(word.seconds for word in flat)
    pace = heard.speech_seconds / expected
    # A short sentence alone may be read at almost any pace.
    slack = 2 if len(sentences) < 3 else 1
    if not FEWEST / slack <= pace <= MOST * slack:
        raise MontageError(
            f"{path} holds {heard.speech_seconds:.0f} s of speech, where the {len(sentences)} sentences that "
            f"the script speaks take about {expected:.0f} s: "
            + (
                "cut what is not in the script"
                if pace > 1
                else "record the whole script, or leave sentences out with [skip]"
            )
        )
    found = align_words(heard, flat, cancel=cancel)
    stops = np.cumsum([len(some) for some in words])
    parts = [slice(stop - len(some), stop) for some, stop in zip(words, stops, strict=True)]
    misfits = [float(np.average(found.misfit[p], weights=(found.ends - found.starts)[p])) for p in parts]
    usual = float(np.median(misfits))
    whole = float(np.average(found.misfit, weights=found.ends - found.starts))
    _check_reading(heard, found, sentences, words, parts, whole, path)
    fits = min(max((UNLIKELY - whole) / (UNLIKELY - LIKELY), 0.0), 1.0) if len(sentences) > 2 else 1.0
    out = []
    for some, part, misfit in zip(words, parts, misfits, strict=True):
        starts, ends = found.starts[part], found.ends[part]
        # A short sentence tells little, so it counts with a second of the usual.
        length = float((ends - starts).sum())
        tempered = (misfit * length + usual) / (length + 1)
        # Where the text is not what is read, the alignment is as sure of itself as ever: its fit tells.
        read = min(max((STRANGE - tempered) / (STRANGE - FIT), 0.0), 1.0)
        said = tuple(
            (word.text, float(start), float(end), True)
            for word, start, end in zip(some, starts, ends, strict=True)
        )
        pace = length / sum(word.seconds for word in some)
        off = max(pace / (1.25 * MOST), 0.7 * FEWEST / pace, 1.0)
        read *= min(max(3 - 2 * off, 0.0), 1.0)  # nobody reads so fast or so slowly
        confidence = min(float(found.confidence[part][0]) * read * fits, 1.0)
        out.append(_Found(float(starts[0]), float(ends[-1]), confidence, said))
    return out


def _check_reading(
    heard: Heard,
    found: Alignment,
    sentences: Sequence[Sentence],
    words: Sequence[Sequence[SpokenWord]],
    parts: Sequence[slice],
    misfit: float,
    path: Path,
) -> None:
    """Refuse a recording that leaves sentences out, holds more than the script, or reads something else."""
    paces = np.array(
        [
            float((found.ends - found.starts)[part].sum()) / sum(word.seconds for word in some)
            for some, part in zip(words, parts, strict=True)
        ]
    )
    left_out = [
        one.number
        for one, some, pace in zip(sentences, words, paces, strict=True)
        if pace < HURRIED and sum(word.seconds for word in some) >= TOLD_SECONDS
    ]
    if left_out and len(sentences) > 1:
        numbers = ", ".join(map(str, left_out[:8]))
        raise MontageError(
            f"{path} does not seem to read sentence{'s' if len(left_out) > 1 else ''} {numbers}: record what "
            "is missing, leave it out with [skip], or check that this is the recording of this script"
        )
    uneven = float(np.std(np.log(np.maximum(paces, 0.02))))
    if len(sentences) > 2 and misfit > OTHER_TEXT and misfit + uneven > UNEVEN:
        raise MontageError(
            f"{path} does not seem to read this script: its sounds fit it badly from beginning to end; check "
            "that script and narration belong together and are in the same order, leave unread sentences "
            "out with [skip], or record one file a sentence"
        )
    seconds = np.arange(len(heard.speech)) * FRAME_SECONDS
    more = heard.speech >= 0.5
    for part in parts:
        begin, end = found.starts[part][0] - NEAR_SECONDS, found.ends[part][-1] + NEAR_SECONDS
        more = more & ~((seconds >= begin) & (seconds < end))
    extra = float(more.sum() * FRAME_SECONDS)
    if extra > max(MORE_SECONDS, MORE_SHARE * heard.speech_seconds):
        first = float(seconds[more][0])
        before = [one.number for one, p in zip(sentences, parts, strict=True) if found.starts[p][0] < first]
        place = f"after sentence {before[-1]}" if before else f"before sentence {sentences[0].number}"
        raise MontageError(
            f"{path} holds {extra:.0f} s of speech that the script does not, {place}, from {first:.1f} s on: "
            "cut it out of the recording, or write it into the script"
        )


def _by_recogniser(
    samples: NDArray[np.float32], sentences: Sequence[Sentence], folder: Path, path: Path
) -> list[_Found]:
    words = [spoken_words(sentence.text, sentence.language) for sentence in sentences]
    languages = {sentence.language for sentence in sentences}
    heard = transcribe(samples, folder, language=languages.pop() if len(languages) == 1 else None)
    matched = match_words(heard, [word for some in words for word in some], path=path)
    out, at = [], 0
    for some in words:
        part = matched[at : at + len(some)]
        at += len(some)
        certain = sum(word.certain for word in part) / len(part)
        out.append(
            _Found(
                part[0].start,
                part[-1].end,
                certain if part[0].certain else certain / 2,
                tuple((w.text, m.start, m.end, m.certain) for w, m in zip(some, part, strict=True)),
            )
        )
    return out


def _by_number(folder: Path, sentences: Sequence[Sentence], count: int) -> list[Path]:
    try:
        names = sorted(path for path in folder.iterdir() if path.suffix.lower() in SOUND_SUFFIXES)
    except OSError as error:
        raise MontageError(f"cannot read the folder of narration {folder}: {error.strerror}") from error
    numbered: dict[int, list[Path]] = {}
    for path in names:
        match = re.match(r"\d+(?!\d)", path.stem)
        if match and path.is_file():
            numbered.setdefault(int(match[0]), []).append(path)
    wanted = [sentence.number for sentence in sentences]
    missing = [number for number in wanted if number not in numbered]
    if missing:
        raise MontageError(
            f"{folder} holds no sound for sentence{'s' if len(missing) > 1 else ''} "
            f"{', '.join(map(str, missing[:8]))}: name each file by its sentence, as {missing[0]}.wav"
        )
    beyond = [numbered[number][0].name for number in sorted(numbered) if not 1 <= number <= count]
    if beyond:
        raise MontageError(
            f"{folder} holds {', '.join(beyond[:8])}, but the script has sentences 1 to {count}: name each "
            "file by its sentence as it is numbered now, and take the others away"
        )
    for number in wanted:
        if len(numbered[number]) > 1:
            named = " and ".join(path.name for path in numbered[number])
            raise MontageError(f"{folder} holds {named} for sentence {number}: keep one of them")
    return [numbered[number][0] for number in wanted]
