"""The values of the shot index: media, shots, how they look, and what was found.

All are frozen and validated on creation; seconds are exact ``Fraction``s (see ``index.base.Span``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, get_args

from index.base import Span

__all__ = [
    "CAMERA_MOVES",
    "SHOT_SIZES",
    "CameraMove",
    "Hit",
    "Look",
    "Media",
    "Problem",
    "Shot",
    "ShotSize",
]

CameraMove = Literal[
    "static", "pan-left", "pan-right", "tilt-up", "tilt-down", "zoom-in", "zoom-out", "handheld"
]
"""How the camera moves; the direction is the one in which the camera turns."""
ShotSize = Literal["ELS", "LS", "MS", "CU", "ECU"]
"""Extreme long, long, medium, close-up, extreme close-up, in this order."""
CAMERA_MOVES: tuple[CameraMove, ...] = get_args(CameraMove)
SHOT_SIZES: tuple[ShotSize, ...] = get_args(ShotSize)


def _in_unit(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must lie in [0, 1], got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """One piece of footage, whatever its files are called: copies and links share one media.

    Raises:
        ValueError: if a size, duration, rate or rotation makes no sense.
    """

    id: str
    """Content id (``index.base.content_id``)."""
    paths: tuple[str, ...]
    """Where it lies, relative to the footage folder, with ``/``, sorted."""
    duration: Fraction
    """Seconds from the first frame shown to the end of the last."""
    width: int
    height: int
    """Pixels as stored, before rotation and sample aspect."""
    rotation: int = 0
    """Degrees clockwise by which a player turns the picture: 0, 90, 180 or 270."""
    sample_aspect: Fraction = Fraction(1)
    """Width of a pixel over its height."""
    rate: Fraction | None = None
    """Frames a second, or None where it varies."""
    codec: str = ""
    pixel_format: str = ""
    primaries: str = ""
    transfer: str = ""
    """Transfer characteristic (``bt709``, ``smpte2084``, ``arib-std-b67`` ...), empty if untagged."""
    matrix: str = ""
    full_range: bool = False
    audio: bool = False
    """Whether there is at least one sound stream."""
    timecode: str | None = None
    """Start timecode as tagged (``01:00:00:00``), None if there is none."""
    start: Fraction = Fraction(0)
    """Timestamp of the first frame in the container, seconds; spans count from it."""
    credit: str = ""
    licence: str = ""
    text: str = ""
    """Words about it: captions and keywords beside the file, and the embedded title, description and
    comment."""
    recorded: str = ""
    """When it was recorded, as tagged (ISO 8601); empty where it is not."""

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"a picture needs a size, got {self.width}x{self.height}")
        if self.duration <= 0:
            raise ValueError(f"duration must be positive, got {float(self.duration)} s")
        if self.rotation not in (0, 90, 180, 270):
            raise ValueError(f"rotation must be 0, 90, 180 or 270, got {self.rotation}")
        if self.rate is not None and self.rate <= 0:
            raise ValueError(f"rate must be positive, got {self.rate}")
        if self.sample_aspect <= 0:
            raise ValueError(f"sample aspect must be positive, got {self.sample_aspect}")

    @property
    def display_size(self) -> tuple[int, int]:
        """(width, height) in square pixels as a player shows it, rotation applied."""
        width = round(self.width * self.sample_aspect)
        return (self.height, width) if self.rotation in (90, 270) else (width, self.height)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a shot looks and sounds, measured from its decoded frames.

    Raises:
        ValueError: if a share lies outside [0, 1] or a name is unknown.
    """

    brightness: float
    """Mean luma, 0 black to 1 white."""
    contrast: float
    """Standard deviation of luma, 0 to 1."""
    saturation: float
    """Mean HSV saturation, 0 to 1."""
    lab: tuple[float, float, float]
    """Mean CIE L*a*b* colour: L* 0 to 100, a* and b* about -128 to 127."""
    sharpness: float
    """0 blurred to 1 crisp."""
    shake: float
    """Jitter of the camera, 0 none to 1 unusable."""
    motion: float
    """Motion energy: mean length of optical flow in frame widths a second."""
    move: CameraMove
    size: ShotSize | None = None
    """Shot size, None where unknown."""
    faces: int = 0
    """Most faces seen at once."""
    loudness: float | None = None
    """Integrated loudness in LUFS (ITU-R BS.1770), None without sound."""
    speech: float | None = None
    """Share of the time in which somebody speaks, None where not measured."""
    phash: int = 0
    """64-bit perceptual hash of the middle frame."""
    whole_phash: int = 0
    """63-bit perceptual hash of the mean of the shot's frames, 0 where not measured: a copy that was trimmed
    has another middle, and nearly the same mean."""
    heading: Literal["left", "right"] | None = None
    """Which way across the screen the subject moves, None where it does not or it is not known."""
    moving: tuple[float, float] | None = None
    """Seconds from the shot's first frame: when the camera pans, tilts or zooms. None without that."""
    text: float | None = None
    """Share of the picture under burnt-in text (a slate, a title, subtitles, a timecode), 0 to 1; None where
    not measured."""

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation", "sharpness", "shake"):
            _in_unit(name, getattr(self, name))
        if self.motion < 0:
            raise ValueError(f"motion must not be negative, got {self.motion}")
        if self.move not in CAMERA_MOVES:
            raise ValueError(f"unknown camera move {self.move!r}, expected one of {CAMERA_MOVES}")
        if self.size is not None and self.size not in SHOT_SIZES:
            raise ValueError(f"unknown shot size {self.size!r}, expected one of {SHOT_SIZES}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """An uninterrupted stretch of one media, between two boundaries.

    Raises:
        ValueError: if a window does not lie within the shot.
    """

    id: str
    """``<first 12 digits of the media id>-<start in milliseconds>``."""
    media: str
    """Media id."""
    span: Span
    windows: tuple[Span, ...]
    """The stretches that were embedded, in order; one for a short shot, one every 2 s in a long take.
    They tile the shot. Row i of the shot's features describes window i."""
    look: Look
    group: str = ""
    """Near-duplicate group: shots of one group count as one for "use a shot once"."""

    def __post_init__(self) -> None:
        for window in self.windows:
            if window.start < self.span.start or window.end > self.span.end:
                raise ValueError(f"window {window} lies outside its shot {self.span}")


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that could not be indexed, or only in part, and why."""

    path: str
    """Relative to the footage folder."""
    reason: str
    skipped: bool = True
    """False where the readable part was indexed all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A shot found for a text.

    Raises:
        ValueError: if ``match`` lies outside [0, 1].
    """

    shot: Shot
    span: Span
    """The window within the shot that matches best."""
    match: float
    """Probability that the text describes this window, 0 to 1."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """What the match is made of: ``embedding``, ``keywords``, ``tags`` ..."""
    why: str = ""
    """One line for a person, such as the words that met the file name."""

    def __post_init__(self) -> None:
        _in_unit("match", self.match)

    @property
    def id(self) -> str:
        """The shot's id."""
        return self.shot.id
