"""How a film is made: size, rate, codec, container, and the encoder that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import Literal, get_args

from montage.values import FilmError, MontageError

__all__ = [
    "AAC",
    "CODECS",
    "CONTAINERS",
    "DRAFT_SOUND",
    "Codec",
    "CodecName",
    "Container",
    "Fit",
    "Format",
    "Quality",
    "Slow",
    "choose_encoder",
    "draft_size",
    "encoder_fault",
    "suffix_for",
]

Fit = Literal["crop", "pad"]
"""Fill the frame and cut off what sticks out, or show all with black bars."""
Quality = Literal["final", "draft"]
Slow = Literal["repeat", "blend", "flow"]
"""What is shown between the pictures of slowed footage: the one before, a blend of two, or what their motion
gives (slow to make)."""
CodecName = Literal["h264", "h265", "av1", "vp9", "prores", "dnxhr"]
GROUP_SECONDS = 2
"""Longest time between key frames: how far a player has to look back when it seeks."""
DRAFT_SIDE = 540
"""Shorter side of a draft, pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A kind of film file.

    ``muxer`` and ``sound`` are ffmpeg's names.
    """

    muxer: str
    codecs: tuple[CodecName, ...]
    """The first is taken when none is asked for."""
    sound: tuple[str, ...]
    """ffmpeg's options for the encoder of its sound."""
    sound_suffix: str
    """Container in which that sound waits for its picture."""


DRAFT_SOUND = ("-c:a", "flac", "-compression_level", "0")
"""ffmpeg's options for the sound of a draft: without loss, and nine times as quick as AAC."""
AAC = ("-c:a", "aac", "-b:a", "192k", "-aac_coder", "fast")
"""ffmpeg's fast coder is also its better one from 64 kb/s up (its manual), and takes half the time."""
CONTAINERS: Mapping[str, Container] = MappingProxyType({
    ".mp4": Container(muxer="mp4", codecs=("h264", "h265", "av1"), sound=AAC, sound_suffix=".mp4"),
    ".m4v": Container(muxer="mp4", codecs=("h264", "h265"), sound=AAC, sound_suffix=".mp4"),
    ".mov": Container(
        muxer="mov",
        codecs=("prores", "dnxhr", "h264", "h265"),
        sound=("-c:a", "pcm_s24le"),
        sound_suffix=".mov",
    ),
    ".webm": Container(
        muxer="webm",
        codecs=("vp9", "av1"),
        sound=("-c:a", "libopus", "-b:a", "160k"),
        sound_suffix=".webm",
    ),
})  # fmt: skip
"""By the film's suffix. A MOV is for handing over to an editing program, so its sound is uncompressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One way of coding pictures, by processor."""

    encoder: str
    """ffmpeg's name."""
    options: tuple[str, ...]
    pixel_format: str
    suffix: str = ".mp4"
    """Container of the segments."""
    tag: str = ""
    """Four letters by which players know the codec; empty for the container's own."""
    hardware: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Encoders of graphics hardware, best first, with their options."""


_NVENC = ("-preset", "p5", "-rc", "vbr", "-b:v", "0", "-bf", "0", "-strict_gop", "1")
_QSV = ("-preset", "medium", "-bf", "0")
_AMF = ("-quality", "quality", "-bf", "0")
CODECS: Mapping[str, Codec] = MappingProxyType({
    "h264": Codec(
        encoder="libx264",
        options=("-preset", "veryfast", "-crf", "18"),
        pixel_format="yuv420p",
        hardware={
            "h264_nvenc": (*_NVENC, "-cq", "19"),
            "h264_videotoolbox": ("-q:v", "65", "-bf", "0"),
            "h264_qsv": (*_QSV, "-global_quality", "20"),
            "h264_amf": (*_AMF, "-rc", "cqp", "-qp_i", "19", "-qp_p", "21"),
        },
    ),
    "h265": Codec(
        encoder="libx265",
        options=("-preset", "fast", "-crf", "21"),
        pixel_format="yuv420p",
        tag="hvc1",
        hardware={
            "hevc_nvenc": (*_NVENC, "-cq", "22"),
            "hevc_videotoolbox": ("-q:v", "65", "-bf", "0"),
            "hevc_qsv": (*_QSV, "-global_quality", "22"),
            "hevc_amf": (*_AMF, "-rc", "cqp", "-qp_i", "21", "-qp_p", "23"),
        },
    ),
    "av1": Codec(
        encoder="libsvtav1",
        options=("-preset", "8", "-crf", "28"),
        pixel_format="yuv420p",
        hardware={
            "av1_nvenc": (*_NVENC, "-cq", "28"),
            "av1_qsv": (*_QSV, "-global_quality", "26"),
            "av1_amf": ("-quality", "quality"),
        },
    ),
    "vp9": Codec(
        encoder="libvpx-vp9",
        options=("-deadline", "good", "-cpu-used", "4", "-row-mt", "1", "-crf", "28", "-b:v", "0",
                 "-auto-alt-ref", "1", "-lag-in-frames", "16"),
        pixel_format="yuv420p",
    ),
    "prores": Codec(
        encoder="prores_ks",
        options=("-profile:v", "hq", "-vendor", "apl0"),
        pixel_format="yuv422p10",
        suffix=".mov",
    ),
    "dnxhr": Codec(
        encoder="dnxhd", options=("-profile:v", "dnxhr_hqx"), pixel_format="yuv422p10", suffix=".mov"
    ),
})  # fmt: skip


LEAST_SIDE = 64
"""Pixels of a film's sides, at least: in less, one picture is hardly told from another."""


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
    """A draft is made of proxies: every picture a key frame, small, and quick to encode."""
    codec: CodecName = "h264"
    slow: Slow = "blend"
    video_encoder: str = ""
    """ffmpeg's name of the encoder; empty for the codec's own by processor."""

    def __post_init__(self) -> None:
        if min(self.width, self.height) < LEAST_SIDE or self.width % 2 or self.height % 2:
            raise ValueError(
                f"a film's sides are even numbers of at least {LEAST_SIDE} pixels, got "
                f"{self.width}x{self.height}"
            )
        if self.fps <= 0:
            raise ValueError(f"fps must be positive, got {self.fps}")
        if self.fit not in get_args(Fit) or self.quality not in get_args(Quality):
            raise ValueError(f"unknown fit or quality, got {self.fit!r} and {self.quality!r}")
        if self.slow not in get_args(Slow):
            raise ValueError(f"unknown way to slow footage {self.slow!r}, expected one of {get_args(Slow)}")
        if self.codec not in CODECS:
            raise ValueError(f"unknown codec {self.codec!r}, expected one of {', '.join(CODECS)}")
        if self.quality == "draft" and (self.codec, self.video_encoder) != ("h264", ""):
            raise ValueError(f"a draft is H.264 by processor, got {self.codec} {self.video_encoder}".rstrip())
        if self.video_encoder and self.video_encoder not in CODECS[self.codec].hardware:
            raise ValueError(f"{self.video_encoder!r} does not encode {self.codec}")

    @property
    def timescale(self) -> int:
        """Ticks a second of the film's clock: a whole number of ticks a frame, at least 10,000 a second."""
        return self.fps.numerator * -(-10_000 // self.fps.numerator)

    @property
    def ticks(self) -> int:
        """Ticks a frame."""
        return int(self.timescale / self.fps)

    @property
    def pixel_format(self) -> str:
        """ffmpeg's name of the pixels that the encoder takes."""
        return CODECS[self.codec].pixel_format

    @property
    def suffix(self) -> str:
        """Container of the segments."""
        return CODECS[self.codec].suffix

    @property
    def encoder(self) -> tuple[str, ...]:
        """ffmpeg's options for the encoder; part of every segment's key."""
        codec = CODECS[self.codec]
        name = self.video_encoder or codec.encoder
        group = max(1, round(self.fps * GROUP_SECONDS))
        keys: tuple[str, ...]
        if self.quality == "draft":
            options: tuple[str, ...] = ("-preset", "ultrafast", "-crf", "24", "-tune", "fastdecode")
            keys = ("-x264-params", "keyint=1:scenecut=0")
        elif self.video_encoder:
            options, keys = codec.hardware[name], ("-g", str(group))
        elif name == "libx264":
            options = codec.options
            keys = ("-x264-params", f"open-gop=0:stitchable=1:keyint={group}:min-keyint=1")
        elif name == "libx265":
            # Without info=0 every segment would carry its own settings as text.
            options = codec.options
            keys = ("-x265-params", f"open-gop=0:keyint={group}:min-keyint=1:info=0:log-level=error")
        elif self.codec in {"prores", "dnxhr"}:
            options, keys = codec.options, ()  # every picture is a key frame
        else:
            options, keys = codec.options, ("-g", str(group))
        tag = ("-tag:v", codec.tag) if codec.tag else ()
        return (
            "-c:v", name, *options, *keys, *tag, "-pix_fmt", codec.pixel_format,
            "-color_range", "tv", "-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709",
        )  # fmt: skip


def draft_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size of the draft of a film of this size: 540 pixels on the shorter side, never enlarged."""
    scale = min(1.0, DRAFT_SIDE / min(size))
    width, height = (max(16, 2 * round(side * scale / 2)) for side in size)
    return width, height


def suffix_for(codec: CodecName | None) -> str:
    """The suffix of a film of this codec that nobody has named; None for any codec."""
    return next(
        (suffix for suffix, container in CONTAINERS.items() if codec is None or codec in container.codecs),
        ".mp4",
    )


def choose_encoder(codec: CodecName, asked: str) -> str:
    """The encoder to use: ``""`` for the codec's own by processor, else the name of one in hardware.

    Args:
        codec: What is encoded.
        asked: ``cpu``; ``auto`` for graphics hardware where it works; or ffmpeg's name of an encoder.

    Raises:
        MontageError: if there is no such encoder for the codec, or it does not work on this machine.
    """
    known = CODECS[codec]
    if asked in {"cpu", known.encoder}:
        return ""
    if asked == "auto":
        return next((name for name in known.hardware if encoder_fault(codec, name) is None), "")
    if asked not in known.hardware:
        names = ", ".join(("auto", "cpu", known.encoder, *known.hardware))
        raise MontageError(f"{asked!r} does not encode {codec}: use one of {names}")
    fault = encoder_fault(codec, asked)
    if fault is not None:
        raise MontageError(
            f"{asked} does not work on this machine ({fault}): use --encoder-video auto or cpu"
        )
    return asked


@cache
def encoder_fault(codec: CodecName, name: str) -> str | None:
    """Why an encoder does not work here, None if it does: it is tried on a few frames."""
    from montage.process import run_ffmpeg

    form = Format(width=256, height=144, fps=Fraction(25), codec=codec, video_encoder=name)
    source = ("-f", "lavfi", "-i", "testsrc2=size=256x144:rate=25:duration=0.4")
    pixels = ("-vf", f"format={form.pixel_format}")
    try:
        run_ffmpeg([*source, *pixels, *form.encoder, "-f", "null", "-"], what=f"try {name}")
    except FilmError as error:
        return str(error).splitlines()[-1].strip()
    return None
