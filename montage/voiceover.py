"""The voice of a film: what is heard of every sentence, and when its words are spoken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from index.base import Span
from montage.script import Script
from montage.timeline import Speech
from montage.values import Slot

__all__ = ["Voiced", "Voiceover"]


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

    def speeches(self, slots: Sequence[Slot], fps: Fraction) -> tuple[Speech, ...]:
        """What is heard along the slots of a cut: each sentence from its first picture on."""
        out: list[Speech] = []
        at, spoken = 0, set()
        for slot in slots:
            voiced = self.sentences.get(slot.sentence)
            if voiced is not None and slot.sentence not in spoken:
                spoken.add(slot.sentence)
                out.append(
                    Speech(
                        start=at,
                        source=voiced.source,
                        content=voiced.content,
                        span=voiced.span,
                        sentence=slot.sentence,
                    )
                )
            at += slot.frames
        return tuple(out)
