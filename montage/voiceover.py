"""The voice of a film: what is heard of every sentence, and when its words are spoken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from index.base import Span
from montage.script import Script
from montage.timeline import Speech

if TYPE_CHECKING:
    from montage.narration import Narration

__all__ = ["Voiced", "Voiceover", "recorded", "voiceover_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Voiced:
    """What is heard of one sentence: a span of a sound file.

    Raises:
        ValueError: if the pause is negative or there is no content id.
    """

    source: Path
    content: str
    """Content id of the file."""
    span: Span
    """What is played, in seconds of the file."""
    said: Span | None = None
    """From the first word to the end of the last; None for all of the span. It is never shortened."""
    pause: Fraction = Fraction(0)
    """Seconds of silence that follow before the next sentence."""
    words: tuple[Span, ...] = ()
    """When each word is spoken, in seconds of the file; empty where that is not known."""

    def __post_init__(self) -> None:
        if self.pause < 0 or not self.content:
            raise ValueError(f"a voice needs a content id and no negative pause, got {self}")

    @property
    def seconds(self) -> Fraction:
        """How long the sentence's pictures last."""
        return self.span.seconds + self.pause


@dataclass(frozen=True, slots=True)
class Voiceover:
    """The narration of a script, sentence by sentence; a sentence without one is silent."""

    sentences: Mapping[str, Voiced] = field(default_factory=dict)
    """By sentence id."""
    doubtful: tuple[str, ...] = ()
    """Ids of the sentences that may lie elsewhere in the recording."""

    @property
    def seconds(self) -> dict[str, Fraction]:
        """Sentence id to how long its pictures last."""
        return {name: voiced.seconds for name, voiced in self.sentences.items()}

    def words(self, script: Script, title_seconds: Fraction) -> tuple[tuple[float, float], ...]:
        """When words are spoken in the film, seconds from its beginning.

        A sentence without a voice lasts as long as its text asks for, so that what comes after it is known
        about as well as its length.

        Args:
            script: What is spoken, with its title cards.
            title_seconds: How long each of these is shown.
        """
        at = Fraction(0)
        out: list[tuple[float, float]] = []
        for sentence in script.sentences:
            at += title_seconds * sum(title.before == sentence.number for title in script.titles)
            if sentence.directives.skip:
                continue
            voiced = self.sentences.get(sentence.id)
            if voiced is None:
                at += sentence.seconds
                continue
            shift = at - voiced.span.start
            out += [(float(word.start + shift), float(word.end + shift)) for word in voiced.words]
            at += voiced.seconds
        return tuple(out)

    def speeches(self, starts: Mapping[str, int], fps: Fraction) -> tuple[Speech, ...]:
        """What is heard: each sentence from its first picture on; those without a picture are not.

        Where two sentences follow each other in the film as in their file but for the rounding to frames, the
        first is played until the second begins, so that nothing is missing or doubled. A pause is shortened
        where the next sentence comes sooner; words never are.

        Args:
            starts: Sentence id to the first frame of its first slot.
            fps: Frames a second of the film.
        """
        order = sorted(self.sentences.keys() & starts.keys(), key=lambda name: starts[name])
        out: list[Speech] = []
        for name, following in zip(order, [*order[1:], None], strict=True):
            voiced = self.sentences[name]
            begin, end = voiced.span.start, voiced.span.end
            if following is not None:
                after = self.sentences[following]
                until = begin + (starts[following] - starts[name]) / fps
                runs_on = after.source == voiced.source and after.span.start == end
                if until < end or (runs_on and until - end <= 1 / fps):
                    end = max(until, (voiced.said or voiced.span).end)
            out.append(
                Speech(
                    start=starts[name],
                    source=voiced.source,
                    content=voiced.content,
                    span=Span(begin, end),
                    sentence=name,
                )
            )
        return tuple(out)


def recorded(path: Path, script: Script, *, cancel: Callable[[], bool] | None = None) -> Voiceover:
    """The voiceover of a recording: one file that is aligned to the script, or a folder with one a sentence.

    Raises:
        MontageError: if a file cannot be read, or does not go with the script.
    """
    from montage.narration import align, narration_of

    read = narration_of if path.is_dir() else align
    return voiceover_of(read(path, script.sentences, cancel=cancel))


def voiceover_of(narration: Narration) -> Voiceover:
    """A narration as the film plays it."""
    return Voiceover(
        {
            spoken.sentence: Voiced(
                source=spoken.source,
                content=spoken.content,
                span=spoken.heard,
                said=spoken.span,
                pause=spoken.rest,
                words=tuple(word.span for word in spoken.words),
            )
            for spoken in narration.spoken
        },
        doubtful=narration.doubtful,
    )
