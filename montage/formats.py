"""How a film's picture is made: size, rate, and the encoder."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

__all__ = ["Fit", "Format", "Quality"]

Fit = Literal["crop", "pad"]
"""Fill the frame and cut off what sticks out, or show all with black bars."""
Quality = Literal["final", "draft"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How the film's picture is made.

    Raises:
        ValueError: if the size is odd or too small, the rate not positive, or a name unknown.
    """

    width: int
    height: int
    """Square pixels."""
    fps: Fraction
    fit: Fit = "crop"
    quality: Quality = "final"

    def __post_init__(self) -> None:
        if self.width < 16 or self.height < 16 or self.width % 2 or self.height % 2:
            raise ValueError(
                f"a film's sides are even numbers of at least 16 pixels, got {self.width}x{self.height}"
            )
        if self.fps <= 0:
            raise ValueError(f"fps must be positive, got {self.fps}")
        if self.fit not in get_args(Fit) or self.quality not in get_args(Quality):
            raise ValueError(f"unknown fit or quality, got {self.fit!r} and {self.quality!r}")

    @property
    def timescale(self) -> int:
        """Ticks a second of the film's clock: a whole number of ticks a frame, at least 10,000 a second."""
        return self.fps.numerator * -(-10_000 // self.fps.numerator)

    @property
    def ticks(self) -> int:
        """Ticks a frame."""
        return int(self.timescale / self.fps)

    @property
    def encoder(self) -> tuple[str, ...]:
        """ffmpeg's options for the encoder; part of every segment's key."""
        if self.quality == "draft":
            preset, crf, seconds = "ultrafast", "25", 10
        else:
            preset, crf, seconds = "veryfast", "18", 2
        group = max(1, round(self.fps * seconds))
        return (
            "-c:v", "libx264", "-preset", preset, "-crf", crf, "-pix_fmt", "yuv420p",
            "-x264-params", f"open-gop=0:stitchable=1:keyint={group}:min-keyint=1",
            "-color_range", "tv", "-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709",
        )  # fmt: skip
