"""The values of the editor: sentences, candidates, slots.

All are frozen and validated on creation. Times in footage are exact seconds (``index.base.Span``);
times in the film are whole frames on its grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, get_args

from index.base import Span
from index.values import CameraMove, Shot, ShotSize

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "IDIOM_NAMES",
    "SLOT_KINDS",
    "Alternate",
    "Candidate",
    "Directives",
    "FilmError",
    "Idiom",
    "IdiomName",
    "MontageError",
    "Pin",
    "Sentence",
    "Slot",
    "SlotKind",
    "Title",
    "frame_rate",
]


class MontageError(Exception):
    """Something is wrong with a script, a cut or a film: says what, where and what to do next."""


class FilmError(MontageError):
    """A film could not be made or failed a check, though what it was made from was in order."""


SlotKind = Literal["footage", "title", "gap", "diffusion", "still", "card"]
"""What fills a slot: footage of the library, a title card, nothing yet (a gap), or a generated take."""
SLOT_KINDS: tuple[SlotKind, ...] = get_args(SlotKind)


NTSC_RATES = {Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120)}
"""Rates to which a decimal within a hundredth of a frame is snapped."""


def frame_rate(value: str | float | Fraction) -> Fraction:
    """Frames a second as an exact fraction: ``25``, ``23.976``, ``30000/1001``.

    Raises:
        ValueError: if it is no number, or not above 0 and at most 240.
    """
    try:
        rate = Fraction(str(value)) if not isinstance(value, Fraction) else value
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{value!r} is no frame rate: write it as 25, 23.976 or 30000/1001") from None
    if not 0 < rate <= 240:
        raise ValueError(f"a frame rate lies above 0 and at most at 240, got {value!r}")
    if rate.denominator == 1:
        return rate
    return next((ntsc for ntsc in NTSC_RATES if abs(ntsc - rate) < Fraction(1, 100)), rate)


@dataclass(frozen=True, slots=True)
class Pin:
    """A demand for one shot: a file of the library, and from when to when."""

    file: str
    """Path or file name as written in the script, or a shot id."""
    span: Span | None = None
    """Source seconds, None for wherever it matches best."""


IdiomName = Literal["start-wide", "intensify", "emphasise", "peaks-and-valleys"]
"""Patterns of editing over a paragraph (Leake et al., SIGGRAPH 2017)."""
IDIOM_NAMES: tuple[IdiomName, ...] = get_args(IdiomName)


@dataclass(frozen=True, slots=True)
class Idiom:
    """A pattern of editing over a paragraph.

    Raises:
        ValueError: if the name is unknown, or ``emphasise`` has no subject, or another one has.
    """

    name: IdiomName
    subject: str = ""
    """What ``emphasise`` shows whenever it can."""

    def __post_init__(self) -> None:
        if self.name not in IDIOM_NAMES:
            raise ValueError(f"unknown idiom {self.name!r}, expected one of {IDIOM_NAMES}")
        if (self.name == "emphasise") != bool(self.subject.strip()):
            raise ValueError(f"the idiom emphasise needs a subject and no other has one, got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Directives:
    """What the script asks for in square brackets before a sentence."""

    hold: Fraction | None = None
    """Seconds that the sentence's picture must last."""
    pin: Pin | None = None
    size: ShotSize | None = None
    move: Literal["static", "pan", "tilt", "zoom", "handheld"] | CameraMove | None = None
    """A kind of camera move, with its direction where that matters."""
    camera: str = ""
    """The move in the script's own word where that is no move of footage, such as ``dolly-in``."""
    prompt: str = ""
    """What a generated shot of it should show, in place of its text."""
    lock: bool = False
    """Keep what the last cut showed, to the frame, whatever happens around it."""
    prefer: tuple[Pin, ...] = ()
    """Shots that are rather shown than others."""
    ban: tuple[Pin, ...] = ()
    """Shots that this sentence must not show."""
    idioms: tuple[Idiom, ...] = ()
    """Of its whole paragraph; only the first sentence of a paragraph has them."""
    no_idioms: bool = False
    """Whether its whole paragraph goes without the idioms of the preset; ``Script.idioms`` heeds it."""
    generate: bool = False
    """Make this shot, whatever the library holds."""
    skip: bool = False
    """Leave this sentence without a picture and without time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One sentence of the script.

    Raises:
        ValueError: if it has no text, or its number or length is not positive.
    """

    id: str
    """Stable name: kept when the text around it changes."""
    number: int
    """Place in the script, from 1."""
    text: str
    language: str
    """ISO 639-1: ``en``, ``zh``, ``ja`` ..."""
    paragraph: int
    """From 1."""
    line: int
    """Line of the script where it begins, from 1."""
    column: int
    """Column, from 1."""
    seconds: Fraction
    """Target length of its picture: by reading speed, or as ``[hold]`` asks."""
    directives: Directives = field(default_factory=Directives)

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ValueError(f"a sentence needs text, got {self.text!r}")
        if self.number < 1 or self.seconds <= 0:
            raise ValueError(
                f"number and seconds must be positive, got {self.number} and {float(self.seconds)}"
            )


@dataclass(frozen=True, slots=True)
class Title:
    """A title card of the script."""

    text: str
    before: int
    """Number of the sentence that it stands before; one past the last for a closing title."""
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A stretch of footage that may show a sentence.

    Raises:
        ValueError: if ``match`` lies outside [0, 1] or the span outside the shot.
    """

    sentence: str
    """Sentence id."""
    shot: Shot
    span: Span
    """The usable stretch around the moment that matches, in source seconds."""
    match: float
    """Probability that the sentence describes it, 0 to 1."""
    parts: Mapping[str, float] = field(default_factory=dict)
    why: str = ""
    meaning: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """(D,) unit vector of what is seen, in the encoder's space; None where it is not known."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.match <= 1.0:
            raise ValueError(f"match must lie in [0, 1], got {self.match}")
        if self.span.start < self.shot.span.start or self.span.end > self.shot.span.end:
            raise ValueError(f"candidate {self.span} lies outside its shot {self.shot.span}")


@dataclass(frozen=True, slots=True)
class Alternate:
    """Another shot that would do for a slot."""

    shot: str
    """Shot id."""
    span: Span
    match: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One picture of the cut: what is shown, from when, for how many frames of the film.

    Raises:
        ValueError: if the length is not positive, the kind is unknown, or footage has no span.
    """

    sentence: str
    """Sentence id; empty for a title card."""
    kind: SlotKind
    frames: int
    """Length on the film's frame grid."""
    shot: str | None = None
    """Shot id."""
    media: str | None = None
    """Media id."""
    span: Span | None = None
    """What is shown, in source seconds."""
    speed: Fraction = Fraction(1)
    """Source seconds shown per film second: 4/5 is slowed to 0.8x."""
    match: float | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
    """Weighted cost of each rule at this slot; a rule between two slots counts at the later one."""
    alternates: tuple[Alternate, ...] = ()
    text: str = ""
    """What a title card or typographic card says."""
    why: str = ""
    take: Mapping[str, object] | None = None
    """How a generated picture was made (model, prompt, seed, file ...), None for footage."""

    def __post_init__(self) -> None:
        if self.frames <= 0:
            raise ValueError(f"a slot needs at least one frame, got {self.frames}")
        if self.kind not in SLOT_KINDS:
            raise ValueError(f"unknown kind {self.kind!r}, expected one of {SLOT_KINDS}")
        if self.kind == "footage" and (self.span is None or self.media is None or self.shot is None):
            raise ValueError("a footage slot needs shot, media and span")
        if self.speed <= 0:
            raise ValueError(f"speed must be positive, got {self.speed}")
