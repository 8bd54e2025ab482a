"""What a generator is asked for and what it gives: plain data in, a video file out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "STRATEGIES",
    "Cancel",
    "Cancelled",
    "Control",
    "Frame",
    "GenerationError",
    "Generator",
    "Progress",
    "Request",
    "Strategy",
    "Take",
    "TakeKind",
]

Frame = NDArray[np.uint8]
"""(height, width, 3) RGB."""
Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""
Cancel = Callable[[], bool]
"""Asked between steps; true stops the work."""
TakeKind = Literal["diffusion", "still", "card"]
Strategy = Literal[
    "direct", "from-near-miss", "restyle", "factorised", "bridge", "control", "extend", "expand"
]
"""How a model is asked for a take: from the text; from the near-miss frame; by changing near-miss footage; by
way of a picture (Emu Video, Girdhar et al. 2023); from the frame before to the frame after; along the edges,
depth or pose of near-miss footage; by going on from footage; by painting what lies beside footage."""
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
Control = Literal["edge", "depth", "pose"]
"""What of a video a take follows."""


class GenerationError(Exception):
    """A shot could not be made: says what, where and what to do next."""


class Cancelled(GenerationError):
    """The work was stopped because it was asked to stop."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """A shot to be made.

    Raises:
        ValueError: if a size, length or rate is not positive.
    """

    prompt: str
    """What to show; a card shows it as text."""
    frames: int
    """Length on the film's frame grid."""
    fps: Fraction
    """The film's rate."""
    width: int
    height: int
    """The film's size in square pixels."""
    seed: int = 0
    negative_prompt: str = ""
    strategy: Strategy = "direct"
    reference: Frame | None = None
    """The near-miss frame, for a still move or image-to-video; the first frame of a bridge."""
    last: Frame | None = None
    """The frame that a bridge ends on."""
    video: tuple[Frame, ...] = ()
    """Footage to restyle, to follow, to go on from or to paint around."""
    video_fps: Fraction | None = None
    """The rate of ``video``; None for the film's."""
    strength: float = 0.8
    """How far ``video`` is changed by a restyle: 0 leaves it, 1 forgets it."""
    subjects: tuple[Frame, ...] = ()
    """Pictures of the subject that a model with reference images keeps to."""
    control: Control | None = None
    camera: str = ""
    """A camera move such as ``pan-left``, for a model with camera control."""
    neighbours: tuple[Frame, ...] = ()
    """Frames of the shots before and after, for colours."""

    def __post_init__(self) -> None:
        if min(self.frames, self.width, self.height) <= 0 or self.fps <= 0:
            raise ValueError(
                f"a request needs positive frames, size and rate, got frames={self.frames} "
                f"size={self.width}x{self.height} fps={self.fps}"
            )
        if not 0 < self.strength <= 1:
            raise ValueError(f"strength lies above 0 and at most at 1, got {self.strength}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """A shot that was made, finished to the size, rate and length asked for."""

    path: Path
    kind: TakeKind
    frames: int
    fps: Fraction
    width: int
    height: int
    seed: int
    prompt: str
    model: str
    """Name of the model, or of the backend where there is none."""
    model_hash: str
    digital_source_type: str
    """IPTC digital source type (a full URI), as C2PA uses it."""
    details: Mapping[str, object] = field(default_factory=dict)


@runtime_checkable
class Generator(Protocol):
    """A backend that makes shots."""

    @property
    def name(self) -> str:
        """Such as ``wan``, ``still`` or ``card``."""

    @property
    def kind(self) -> TakeKind:
        """What its takes are."""

    @property
    def identity(self) -> str:
        """Names everything about the backend that shapes its pixels: weights, steps, version of the look."""

    def generate(
        self, request: Request, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Take:
        """Make one take.

        Raises:
            GenerationError: if it cannot be made.
            Cancelled: if ``cancel`` said so.
        """
