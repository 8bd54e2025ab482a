"""What a file of footage is, read from its header, its first frames and the files beside it."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from index.base import FootageError, content_id, is_film
from index.sidecars import Beside, read_beside
from index.values import Media

__all__ = [
    "VIDEO_SUFFIXES",
    "main_stream",
    "open_footage",
    "pixel_aspect",
    "plain_reason",
    "read_media",
    "relative_name",
    "steady_rate",
    "stream_rotation",
]

VIDEO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("3g2", "3gp", "asf", "avi", "divx", "dv", "f4v", "flv", "m1v", "m2ts", "m2v", "m4v", "mkv", "mov"),
        *("mp4", "mpe", "mpeg", "mpg", "mts", "mxf", "ogm", "ogv", "qt", "rm", "rmvb", "ts", "vob", "webm"),
        *("wmv", "y4m"),
    )
)
"""Names that promise moving pictures; other files are left alone."""

_CONTAINERS = (
    "3gp,asf,avi,dv,flv,h264,hevc,live_flv,m4v,matroska,mov,mp4,mpeg,mpegts,mpegvideo,mxf,ogg,rm,webm,"
    "yuv4mpegpipe"
)
"""Demuxers that read one file. Playlists (HLS, DASH, concat) would read others, so they are left out."""

_LISTS = (
    *(b"#EXTM3U", b"ffconcat", b"v=0", b"<MPD", b"<?xml", b"<smil", b"[playlist]", b"[Reference]"),
    *(b"RTSPtext", b"http:", b"https:", b"rtsp:", b"file ", b"file:"),
)
"""How files begin that only name others: playlists, scripts, descriptions of streams."""

_BLANK = b"\xef\xbb\xbf \t\r\n"

_MAX_PIXELS = 150_000_000
"""Pixels of the largest picture that is decoded: 16K (15360 x 8640) has 133 million."""

_MIN_SIDE = 8
"""Pixels on the shorter side of the smallest picture that is footage; less cannot be scaled."""

_MAX_ASPECT = 20
"""Pixels that are said to be wider or taller than this are square: such a tag is a mistake."""

_PROBE_PACKETS = 240
"""Packets whose timestamps decide, before decoding, whether the rate is steady."""

_REORDERED = 32
"""More packets than any codec holds back to reorder frames."""

_PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020"}
_PRIMARIES |= {10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213"}
_TRANSFERS = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100"}
_TRANSFERS |= {11: "iec61966-2-4", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084"}
_TRANSFERS |= {17: "smpte428", 18: "arib-std-b67"}
_MATRICES = {0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco"}
_MATRICES |= {9: "bt2020nc", 10: "bt2020c", 14: "ictcp"}
"""Code points of ITU-T H.273, by ffmpeg's names."""

_RATES = tuple(
    Fraction(n) for n in (5, 6, 8, 10, 12, 15, 16, 18, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240)
)
_RATES += tuple(Fraction(n * 1000, 1001) for n in (12, 15, 24, 30, 48, 60, 120))


@contextlib.contextmanager
def open_footage(path: Path | str) -> Iterator[Any]:
    """Open a local file as a PyAV input container; playlists and network addresses are refused.

    Raises:
        FootageError: if it cannot be read as footage, with a plain reason.
    """
    import av

    name = os.fspath(path)
    held = None
    try:
        status = os.stat(name)
        if not stat.S_ISREG(status.st_mode):
            raise FootageError(f"{name!r}: it is no file but a folder, pipe, socket or device")
        if status.st_size == 0:
            raise FootageError(f"{name!r} is empty (zero bytes)")
        with open(name, "rb") as check:
            head = check.read(64)
        address = os.path.abspath(name)
        try:
            address.encode()
        except UnicodeEncodeError:  # bytes that are no text: go by the descriptor instead of the name
            held = open(name, "rb")  # noqa: SIM115
            address = f"/dev/fd/{held.fileno()}"
        container = av.open(
            f"file:{address}",
            options={"protocol_whitelist": "file", "format_whitelist": _CONTAINERS},
            metadata_errors="replace",
        )
    except (OSError, av.error.FFmpegError) as error:
        if held is not None:
            held.close()
        reason = plain_reason(error)
        if isinstance(error, av.error.FFmpegError) and head.lstrip(_BLANK).startswith(_LISTS):
            reason = (
                "not a video but a text that names others, such as a playlist: "
                "put those videos themselves into the folder"
            )
        raise FootageError(f"{name!r}: {reason}") from error
    try:
        with container:
            yield container
    finally:
        if held is not None:
            held.close()


def plain_reason(error: BaseException) -> str:
    """An error in words that somebody who edits films understands."""
    import av

    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, FileNotFoundError):
        return "it is not there any more"
    if isinstance(error, av.error.FFmpegError):
        return f"not a video, or damaged from the start ({error.strerror or error})"
    if isinstance(error, OSError):
        return f"it cannot be read ({error.strerror or error})"
    return str(error)


def relative_name(path: Path | str, root: Path | str | None) -> str:
    """The name under which a library knows ``path``: relative to ``root``, with ``/``."""
    if root is None:
        return Path(path).name
    return Path(os.path.relpath(path, root)).as_posix()


def read_media(
    path: Path | str,
    *,
    root: Path | str | None,
    content: str | None = None,
    films: bool = True,
    sidecars: bool = True,
) -> Media:
    """What the file at ``path`` is; nothing but its first frames is decoded.

    ``content`` is its content id where that is known already. Without ``films`` a film that montage made is
    refused: a cut of footage is not footage. With ``sidecars`` what lies beside the file counts, too
    (``index.sidecars``). The duration is the stream's, the
    container's, or, where neither is written down, that of its packets.

    Raises:
        FootageError: if it is no footage: a film of ours, empty, not a video, sound alone, or not to be
            decoded.
    """
    with open_footage(path) as container:
        if not films and is_film(container.metadata):
            raise FootageError(f"{os.fspath(path)!r}: it is a film that montage made, not footage")
        stream = main_stream(container, path)
        start, frame = _first_frame(container, stream, path)
        if min(frame.width, frame.height) < _MIN_SIDE:
            size = f"{frame.width}x{frame.height}"
            raise FootageError(f"{os.fspath(path)!r}: its pictures are {size} pixels, too small to show")
        base = Fraction(stream.time_base)
        stamps, packets_end = _packet_times(container, stream)
        rate = steady_rate(stamps, base, _header_rates(stream))
        duration = _duration(container, stream, start)
        if duration is None:
            end = packets_end if packets_end is not None else _demux_end(path)
            duration = end - start if end is not None and end > start else _frame_seconds(rate, stamps, base)
        context = stream.codec_context
        words = {**_lower(container.metadata), **_lower(stream.metadata)}
        outer = _lower(container.metadata)
        beside = read_beside(path) if sidecars else Beside()
        embedded_credit = " ".join(v for k in ("artist", "author", "copyright") if (v := outer.get(k, "")))
        lines = (
            beside.words,
            *(outer.get(key, "") for key in ("title", "description", "comment", "synopsis")),
        )
        return Media(
            id=content or content_id(path),
            paths=(relative_name(path, root),),
            duration=duration,
            width=context.width or frame.width,
            height=context.height or frame.height,
            rotation=stream_rotation(frame),
            sample_aspect=pixel_aspect(stream),
            rate=rate,
            codec=context.codec.name if context.codec else context.name,
            pixel_format=_pixels(context.pix_fmt or frame.format.name, words),
            primaries=_PRIMARIES.get(int(context.color_primaries or 0), ""),
            transfer=_TRANSFERS.get(int(context.color_trc or 0), ""),
            matrix=_MATRICES.get(int(context.colorspace), "") if context.colorspace is not None else "",
            full_range=int(context.color_range or 0) == 2,
            audio=len(container.streams.audio) > 0,
            timecode=words.get("timecode") or None,
            start=start,
            credit=beside.credit or embedded_credit,
            licence=beside.licence or words.get("license", "") or words.get("licence", ""),
            text="\n".join(dict.fromkeys(line.strip() for line in lines if line.strip())),
            recorded=words.get("com.apple.quicktime.creationdate", "") or words.get("creation_time", ""),
        )


def _pixels(name: str, words: dict[str, str]) -> str:
    """The pixel format with the transparency that a WebM keeps beside its pictures."""
    return name.replace("yuv", "yuva", 1) if words.get("alpha_mode") == "1" and name == "yuv420p" else name


def main_stream(container: Any, path: Path | str) -> Any:
    """The moving-picture stream of a container: the largest that is no cover picture.

    Its decoder is told to take no picture that is too large.

    Raises:
        FootageError: if there is none, or its pictures are larger than any camera's.
    """
    import av

    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    streams = [s for s in streams if s.codec_context is not None]
    if not streams:
        if not len(container.streams):
            kind = "not a video, or cut off before its first picture"
        else:
            kind = "sound alone, no pictures" if container.streams.audio else "no moving pictures in it"
        raise FootageError(f"{os.fspath(path)!r}: {kind}")
    stream = max(streams, key=lambda s: (s.codec_context.width * s.codec_context.height, -s.index))
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > _MAX_PIXELS:
        raise FootageError(
            f"{os.fspath(path)!r}: its header says {width}x{height} pixels, more than the "
            f"{_MAX_PIXELS // 1_000_000} million that are decoded: damaged, or to be scaled down first"
        )
    if not stream.codec_context.is_open:
        stream.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}
    return stream


def pixel_aspect(stream: Any) -> Fraction:
    """Width of a pixel over its height; 1 where it is not said, or cannot be true."""
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    believed = aspect and Fraction(1, _MAX_ASPECT) <= aspect <= _MAX_ASPECT
    return Fraction(aspect) if believed else Fraction(1)


def stream_rotation(frame: Any) -> int:
    """Degrees clockwise by which a player turns this decoded frame: 0, 90, 180 or 270."""
    degrees: int = frame.rotation
    return round(-degrees / 90) % 4 * 90


def _first_frame(container: Any, stream: Any, path: Path | str) -> tuple[Fraction, Any]:
    import av

    frame = None
    with contextlib.suppress(av.error.FFmpegError):
        for packet in container.demux(stream):
            with contextlib.suppress(av.error.FFmpegError):
                for frame in packet.decode():
                    time = Fraction(frame.pts or 0) * Fraction(frame.time_base or stream.time_base)
                    return time, frame
    raise FootageError(f"{os.fspath(path)!r}: not one frame of it can be decoded")


def _packet_times(container: Any, stream: Any) -> tuple[list[int], Fraction | None]:
    """PTS of the first packets, and where the last ends if the file ended within them."""
    import av

    stamps: list[int] = []
    end = 0
    base = Fraction(stream.time_base)
    try:
        container.seek(0)
        for packet in container.demux(stream):
            if packet.pts is None:
                if packet.dts is None and packet.size == 0:
                    break
                continue
            end = max(end, packet.pts + (packet.duration or 0))
            if not packet.is_discard:
                stamps.append(packet.pts)
            if len(stamps) >= _PROBE_PACKETS:
                # Packets come in decoding order: near the end some earlier ones are still missing.
                return sorted(stamps)[:-_REORDERED], None
    except av.error.FFmpegError:
        pass
    return sorted(stamps), end * base if stamps else None


def _demux_end(path: Path | str) -> Fraction | None:
    """The end of the last packet, from every packet of the file; no decoding."""
    import av

    end = None
    with open_footage(path) as container:
        stream = main_stream(container, path)
        base = Fraction(stream.time_base)
        with contextlib.suppress(av.error.FFmpegError):
            for packet in container.demux(stream):
                if packet.pts is not None:
                    end = max(end or Fraction(0), (packet.pts + (packet.duration or 0)) * base)
    return end


def _duration(container: Any, stream: Any, start: Fraction) -> Fraction | None:
    if stream.duration:
        return Fraction(stream.duration) * Fraction(stream.time_base)
    if container.duration:
        # A container counts from its own start; sound may begin before the picture.
        end = Fraction(container.duration + (container.start_time or 0), 1_000_000)
        return end - start if end > start else None
    return None


def _header_rates(stream: Any) -> list[Fraction]:
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return [Fraction(rate) for rate in rates if rate]


def steady_rate(
    stamps: Sequence[int], base: Fraction, tagged: Sequence[Fraction] = (), *, spread: int | None = None
) -> Fraction | None:
    """Frames a second if the timestamps keep one pace, None where they do not.

    ``stamps`` are sorted PTS in units of ``base`` seconds. Tags are believed only where they agree with
    the timestamps: a tag of 90000 frames a second is a common lie.
    """
    if len(stamps) < 2:
        return next((rate for rate in tagged if 1 <= rate <= 300), None)
    gaps = [b - a for a, b in itertools.pairwise(stamps)]
    return pace(len(gaps), stamps[-1] - stamps[0], min(gaps), max(gaps), base, tagged)


def pace(
    count: int, total: int, shortest: int, longest: int, base: Fraction, tagged: Sequence[Fraction] = ()
) -> Fraction | None:
    """The rate of ``count`` gaps between frames that sum to ``total`` ticks of ``base`` seconds, or None."""
    if total <= 0 or shortest <= 0:
        return None
    period = total * base / count
    # Rounding to ticks moves a gap by up to two of them; coarse time bases allow less.
    if (longest - shortest) * base > max(min(2 * base, period / 8), period / 50):
        return None
    exact = 1 / period
    # The first and the last stamp are each rounded to a tick.
    slack = max(Fraction(1, 5000), 2 * base / (count * period))
    near = [rate for rate in (*tagged, *_RATES) if abs(rate - exact) <= slack * exact]
    return min(near, key=lambda rate: abs(rate - exact)) if near else exact.limit_denominator(1001)


def _frame_seconds(rate: Fraction | None, stamps: Sequence[int], base: Fraction) -> Fraction:
    if len(stamps) > 1:
        return (stamps[-1] - stamps[0]) * base * len(stamps) / (len(stamps) - 1)
    return 1 / rate if rate else Fraction(1, 25)


def _lower(metadata: dict[str, str]) -> dict[str, str]:
    return {key.lower(): str(value) for key, value in metadata.items()}
