"""A timeline: which clip is on screen at which frame, and which words go with it.

Everything lies on one integer frame grid at one rational rate; the only exact seconds are those of the
sources. Values only: nothing here opens a file except to name what a finished take holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from index.base import Span, content_id
from index.values import Media
from montage.values import SLOT_KINDS, MontageError, Sentence, Slot, SlotKind

__all__ = [
    "SAMPLE_RATE",
    "Burn",
    "Caption",
    "Clip",
    "Framing",
    "Grade",
    "Music",
    "Speech",
    "Timeline",
    "sample_at",
    "timeline_of",
]

SAMPLE_RATE = 48_000
"""Samples of sound a second, for every film."""


def sample_at(frame: int, fps: Fraction) -> int:
    """The sound sample at which a frame of the film begins.

    Every place is rounded from the start of the film, never from the clip before, so that sound and
    picture do not drift apart however many clips there are.
    """
    return int(Fraction(frame) * SAMPLE_RATE / fps + Fraction(1, 2))


@dataclass(frozen=True, slots=True)
class Framing:
    """Where the film's frame lies within a larger picture, along the side that is cut.

    The frame moves evenly from its place at the clip's first picture to its place at the last.

    Raises:
        ValueError: if a place lies outside the picture.
    """

    first: float = 0.5
    """0 is the left or upper end of the picture, 0.5 its middle, 1 the right or lower end."""
    last: float = 0.5

    def __post_init__(self) -> None:
        if not (0 <= self.first <= 1 and 0 <= self.last <= 1):
            raise ValueError(f"the frame lies between 0 and 1 along the picture, got {self}")


@dataclass(frozen=True, slots=True)
class Grade:
    """A gentle change of exposure and colour, in 8-bit limited-range Y'CbCr.

    Raises:
        ValueError: if the picture would be black, or changed by more than is gentle.
    """

    gain: float = 1.0
    """Luma is multiplied by this."""
    blue: float = 0.0
    """Added to Cb."""
    red: float = 0.0
    """Added to Cr."""

    def __post_init__(self) -> None:
        if not (0.5 <= self.gain <= 2 and abs(self.blue) <= 32 and abs(self.red) <= 32):
            raise ValueError(f"a grade is gentle: gain 0.5 to 2, colours up to 32, got {self}")


@dataclass(frozen=True, slots=True)
class Burn:
    """Captions that are drawn into the pictures of a clip."""

    text: str
    """An ASS file's text; its times count from the clip's first frame."""
    fonts: tuple[Path, ...]
    """The typefaces that it names."""
    key: str
    """Hash of all that shapes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One picture of the film: frames ``[start, start + frames)`` show a span of a file.

    Raises:
        ValueError: if its place, length, kind or speed makes no sense.
    """

    start: int
    """First frame in the film."""
    frames: int
    """Length in frames of the film."""
    kind: SlotKind
    source: Path
    """The file that is shown."""
    content: str
    """Content id of that file; its path may change, its segment stays valid."""
    span: Span
    """What is shown, in seconds from the first frame of the source."""
    speed: Fraction = Fraction(1)
    """Source seconds shown per film second: 4/5 is slowed to 0.8x."""
    media: Media | None = None
    """What is known of the source; None for files made for this film (title cards, takes), which have
    square pixels, begin at time 0 and are SDR."""
    sentence: str = ""
    """Id of the sentence that it shows; empty for a title card."""
    shot: Span | None = None
    """The whole shot that the span is of, which bounds what lies before and after; None where not known."""
    framing: Framing = Framing()
    grade: Grade = Grade()
    fade_in: int = 0
    """Frames over which it comes up from black."""
    fade_out: int = 0
    """Frames over which it goes down to black."""
    dissolve: int = 0
    """Frames over which it comes up over ``under``."""
    under: Clip | None = None
    """What the clip before would go on to show: a clip of ``dissolve`` frames."""
    heard: Clip | None = None
    """The footage that is heard with it, where a take was made around some; as long as this clip. Beyond its
    shot there is silence."""
    label: str = ""
    """What a corner of it says: that it was generated, and how; lines end with a line feed."""
    burn: Burn | None = None
    """Captions and label drawn into it."""

    def __post_init__(self) -> None:
        if self.start < 0 or self.frames <= 0:
            raise ValueError(f"a clip needs start >= 0 and frames > 0, got {self.start} and {self.frames}")
        if self.kind not in SLOT_KINDS or self.kind == "gap":
            raise ValueError(f"a clip cannot be of kind {self.kind!r}")
        if self.speed <= 0:
            raise ValueError(f"speed must be positive, got {self.speed}")
        if min(self.fade_in, self.fade_out, self.dissolve) < 0 or (
            max(self.fade_in, self.dissolve) + self.fade_out > self.frames
        ):
            raise ValueError(
                f"fades and dissolves must fit into a clip's {self.frames} frames, got {self.fade_in} in, "
                f"{self.fade_out} out, {self.dissolve} dissolved"
            )
        if self.heard is not None and self.heard.frames != self.frames:
            raise ValueError(
                f"what is heard lasts as long as its clip, got {self.heard.frames} and {self.frames}"
            )
        if (self.under.frames if self.under is not None else 0) != self.dissolve:
            raise ValueError(f"a dissolve of {self.dissolve} frames needs a clip of that length under it")
        if not self.content:
            raise ValueError(f"a clip needs the content id of its source, got none for {self.source}")

    @property
    def end(self) -> int:
        """The frame after its last."""
        return self.start + self.frames

    @property
    def origin(self) -> Fraction:
        """Timestamp in the container of the source's first frame, seconds."""
        return self.media.start if self.media is not None else Fraction(0)

    @property
    def sounding(self) -> Clip:
        """The clip whose source is heard with it."""
        return self.heard or self

    @property
    def audio(self) -> bool:
        """Whether what is heard with it has sound."""
        media = self.sounding.media
        return media is not None and media.audio


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """Words shown over frames ``[start, start + frames)``.

    Raises:
        ValueError: if it has no length or no text.
    """

    start: int
    frames: int
    text: str
    language: str
    """ISO 639-1."""

    def __post_init__(self) -> None:
        if self.start < 0 or self.frames <= 0 or not self.text.strip():
            raise ValueError(
                f"a caption needs start >= 0, frames > 0 and text, got {self.start}, {self.frames}, "
                f"{self.text!r}"
            )

    @property
    def end(self) -> int:
        """The frame after its last."""
        return self.start + self.frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """A stretch of narration: from frame ``start`` on, a span of a sound file is heard.

    Raises:
        ValueError: if its place makes no sense.
    """

    start: int
    """Frame of the film."""
    source: Path
    """The sound file."""
    content: str
    """Content id of that file."""
    span: Span
    """What is heard, in seconds of the file."""
    sentence: str = ""
    """Id of the sentence that is spoken."""

    def __post_init__(self) -> None:
        if self.start < 0 or not self.content:
            raise ValueError(
                f"narration needs start >= 0 and a content id, got {self.start} of {self.source}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Music:
    """Music under a whole film.

    Raises:
        ValueError: if the bars are not in order.
    """

    source: Path
    content: str
    """Content id of the file."""
    seconds: Fraction
    """Length of the file."""
    bars: tuple[float, ...] = ()
    """Seconds of the file at which a bar begins, in order; empty where none is known. It is looped and
    trimmed there."""
    beats: tuple[float, ...] = ()
    """Seconds of the file at which a beat falls, in order."""

    def __post_init__(self) -> None:
        ordered = all(list(times) == sorted(times) for times in (self.bars, self.beats))
        if not ordered or not self.content or self.seconds <= 0:
            raise ValueError(f"music needs a content id, a length and bars in order, got {self.source}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Pictures, captions, narration and music on one frame grid.

    Raises:
        ValueError: if the pictures leave a hole or overlap, or a caption lies outside them.
    """

    fps: Fraction
    """Frames a second; 30000/1001 is exact."""
    picture: tuple[Clip, ...]
    captions: tuple[Caption, ...] = ()
    narration: tuple[Speech, ...] = ()
    """In order; it may run over the joins of pictures."""
    music: Music | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "fps", Fraction(self.fps))
        if self.fps <= 0:
            raise ValueError(f"fps must be positive, got {self.fps}")
        at = 0
        for number, clip in enumerate(self.picture, start=1):
            if clip.start != at:
                raise ValueError(f"clip {number} must start at frame {at}, got {clip.start}")
            at = clip.end
        if not self.picture:
            raise ValueError("a timeline needs at least one clip, got none")
        before = 0
        for caption in self.captions:
            if caption.start < before or caption.end > at:
                raise ValueError(
                    f"captions must follow each other within the film's {at} frames, got "
                    f"[{caption.start}, {caption.end}) after frame {before}"
                )
            before = caption.end
        starts = [speech.start for speech in self.narration]
        if starts != sorted(starts) or (starts and starts[-1] >= at):
            raise ValueError(f"narration must follow in order within the film's {at} frames, got {starts}")

    @property
    def frames(self) -> int:
        """Length in frames."""
        return self.picture[-1].end

    @property
    def seconds(self) -> Fraction:
        """Length in seconds."""
        return self.frames / self.fps

    def samples(self, clip: Clip) -> int:
        """How many samples of sound belong to a clip."""
        return sample_at(clip.end, self.fps) - sample_at(clip.start, self.fps)


def timeline_of(
    slots: Sequence[Slot],
    sentences: Sequence[Sentence],
    *,
    media: Mapping[str, Media],
    path_of: Callable[[str], Path],
    files: Mapping[int, Path],
    fps: Fraction,
    shots: Mapping[str, Span] | None = None,
) -> Timeline:
    """The timeline of a cut's slots.

    In-points are moved to the film's frame grid, counted from the first frame of their source: by half a
    frame at most, so that a draft made of proxies shows the very frames of the final film.

    Args:
        slots: In the order of the film.
        sentences: Those whose text the captions take.
        media: Media id to media, for every footage slot.
        path_of: The file of a media id.
        files: Slot index (from 0) to the file made for it: title cards, takes. They are shown from their
            first frame at normal speed.
        fps: The film's rate.
        shots: Shot id to its span, where handles matter.

    Raises:
        MontageError: if a slot has nothing to show, its media is unknown, or it would run past the end of
            its span, which means into the next shot.
    """
    if not slots:
        raise MontageError("the cut has no slots, so there is no film to make: give the script a sentence")
    texts = {sentence.id: sentence for sentence in sentences}
    clips: list[Clip] = []
    at = 0
    for number, slot in enumerate(slots):
        where = f"slot {number + 1}" + (f" (sentence {slot.sentence})" if slot.sentence else "")
        if number in files:
            path = Path(files[number])
            try:
                name = content_id(path)
            except OSError as error:
                raise MontageError(f"{where}: cannot read {path}: {error.strerror}; make it anew") from error
            clip = Clip(
                start=at,
                frames=slot.frames,
                kind=slot.kind,
                source=path,
                content=name,
                span=Span(Fraction(0), slot.frames / Fraction(fps)),
                sentence=slot.sentence,
            )
        elif slot.media is None or slot.span is None or slot.kind == "gap":
            raise MontageError(
                f"{where} is a {slot.kind} without a picture: fill it with footage or a generated take"
            )
        elif slot.media not in media:
            raise MontageError(
                f"{where} shows media {slot.media}, which the library does not hold: plan again"
            )
        else:
            over = slot.frames / Fraction(fps) * slot.speed - slot.span.seconds
            if over > slot.speed / Fraction(fps):
                raise MontageError(
                    f"{where} needs {float(over):.3f} s more than its span of "
                    f"{float(slot.span.seconds):.3f} s gives: shorten the slot or widen the span"
                )
            clip = Clip(
                start=at,
                frames=slot.frames,
                kind=slot.kind,
                source=Path(path_of(slot.media)),
                content=slot.media,
                span=_on_grid(slot.span, Fraction(fps)) if slot.speed == 1 else slot.span,
                speed=slot.speed,
                media=media[slot.media],
                sentence=slot.sentence,
                shot=(shots or {}).get(slot.shot or ""),
            )
        clips.append(clip)
        at = clip.end
    return Timeline(fps=Fraction(fps), picture=tuple(clips), captions=_captions(clips, texts))


def _on_grid(span: Span, fps: Fraction) -> Span:
    start = int(span.start * fps + Fraction(1, 2)) / fps
    return Span(start, start + span.seconds)


def _captions(clips: Sequence[Clip], texts: Mapping[str, Sentence]) -> tuple[Caption, ...]:
    """One caption a sentence over the clips that show it one after the other; none over title cards."""
    runs: list[tuple[str, int, int]] = []
    for clip in clips:
        if clip.kind == "title" or clip.sentence not in texts:
            continue
        if runs and runs[-1][0] == clip.sentence and runs[-1][2] == clip.start:
            runs[-1] = (clip.sentence, runs[-1][1], clip.end)
        else:
            runs.append((clip.sentence, clip.start, clip.end))
    return tuple(
        Caption(start=start, frames=end - start, text=texts[name].text, language=texts[name].language)
        for name, start, end in runs
    )
