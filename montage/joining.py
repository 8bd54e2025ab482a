"""Joining finished pieces into one film without encoding anything."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from index.base import FILM_MARK, open_local
from montage import __version__
from montage.formats import Format
from montage.process import as_input
from montage.values import MontageError

__all__ = ["Part", "Sums", "join_film", "packet_sums"]


@dataclass(frozen=True, slots=True)
class Part:
    """What one clip of the film is made of: a file, or some of its pictures."""

    path: Path
    frames: tuple[int, ...] | None = None
    """Numbers of the pictures in the order of the film, in a file of key frames only; a number may come
    again. None for all of the file."""


@dataclass(frozen=True, slots=True)
class Sums:
    """CRC-32 of every packet of a film, in the order of the file."""

    picture: tuple[int, ...]
    sound: tuple[int, ...]


def join_film(
    parts: Sequence[Part],
    sound: Path,
    output: Path,
    form: Format,
    metadata: Mapping[str, str],
    *,
    muxer: str = "mp4",
) -> Sums:
    """Join parts and sound into one file without encoding anything.

    Every packet is put at its frame's place on the film's own clock, whatever its part's container
    says, so that no join shifts what follows it: shown where its frame belongs, decoded one frame after
    the packet before it, with one reordering delay for the whole film (a very short segment by itself
    would have less).

    Returns:
        The check sums of what was written, by which a reader tells that it is all there.

    Raises:
        MontageError: if a part's codec parameters differ from those of the first.
    """
    import av

    delay = max((_delay(part.path, form.fps) for part in parts if part.frames is None), default=0)
    sums: list[int] = []
    heard: list[int] = []
    # Without use_metadata_tags the container drops every name that is not one of its own.
    options = {"movflags": "+faststart+use_metadata_tags", "write_tmcd": "0"} if muxer != "webm" else {}
    with av.open(as_input(output), "w", format=muxer, options=options) as film:
        film.metadata.update({FILM_MARK: __version__, **metadata})
        with open_local(sound) as source, open_local(parts[0].path) as first:
            template = first.streams.video[0]
            # opaque: nothing is encoded, so no encoder of the codec needs to be there
            picture: Any = film.add_stream_from_template(template, opaque=True)
            picture.time_base = Fraction(1, form.timescale)
            if muxer != "webm":
                picture.codec_context.codec_tag = template.codec_context.codec_tag
            header = template.codec_context.extradata
            voice = film.add_stream_from_template(source.streams.audio[0])
            waiting = source.demux(source.streams.audio[0])
            pending = next(waiting)

            # In whole numbers: there are some ten thousand packets to compare.
            tick = Fraction(source.streams.audio[0].time_base or 1) * form.timescale

            def mux_sound(until: int | None) -> None:
                nonlocal pending
                while pending.dts is not None and (
                    until is None or pending.dts * tick.numerator <= until * tick.denominator
                ):
                    pending.stream = voice
                    heard.append(_sum(pending))
                    film.mux(pending)
                    pending = next(waiting)

            start = 0
            for part in parts:
                count = 0
                for place, packet in _packets(part, form, header):
                    packet.pts = (start + place) * form.ticks
                    packet.dts = (start + count - delay) * form.ticks
                    packet.duration = form.ticks
                    packet.time_base = Fraction(1, form.timescale)
                    packet.stream = picture
                    # Interleaved by time, so that a player never has to look far ahead.
                    mux_sound(packet.dts)
                    sums.append(_sum(packet))
                    film.mux(packet)
                    count += 1
                start += count
            mux_sound(None)
    return Sums(tuple(sums), tuple(heard))


def _sum(packet: Any) -> int:
    return zlib.crc32(memoryview(packet))


def _packets(part: Part, form: Format, header: bytes | None) -> Iterator[tuple[int, Any]]:
    """The picture packets of a part, each with its place among its frames, in the order of decoding."""
    with open_local(part.path) as piece:
        stream = piece.streams.video[0]
        if stream.codec_context.extradata != header:
            raise MontageError(
                f"the segment {part.path.name} was encoded with other settings than the first: "
                "remove the cache folder and render again"
            )
        scale = Fraction(stream.time_base or 1) * form.fps
        packets = (packet for packet in piece.demux(stream) if packet.pts is not None)
        if part.frames is None:
            for packet in packets:
                # Containers such as WebM round timestamps to a millisecond.
                yield round((packet.pts or 0) * scale), packet
            return
        wanted = set(part.frames)
        kept: dict[int, bytes] = {}
        template: Any = None
        for packet in packets:
            number = round((packet.pts or 0) * scale)
            if number in wanted:
                kept[number] = bytes(packet)
                template = packet
            if len(kept) == len(wanted):
                break
        missing = wanted - kept.keys()
        if missing or template is None:
            raise MontageError(
                f"the proxy {part.path.name} lacks picture {min(missing, default=0)}: render again"
            )
        yield from ((place, _key_packet(kept[number])) for place, number in enumerate(part.frames))


def _key_packet(data: bytes) -> Any:
    from av.packet import Packet

    packet = Packet(data)
    packet.is_keyframe = True
    return packet


def packet_sums(path: Path) -> tuple[list[tuple[int, bool]], Sums]:
    """((timestamp in the stream's ticks, whether a key frame) of every picture packet, the check sums)."""
    times: list[tuple[int, bool]] = []
    picture: list[int] = []
    sound: list[int] = []
    with open_local(path) as container:
        for packet in container.demux(*container.streams.video[:1], *container.streams.audio[:1]):
            if packet.pts is None:
                continue
            if packet.stream.type == "audio":
                sound.append(_sum(packet))
            else:
                times.append((int(packet.pts), bool(packet.is_keyframe)))
                picture.append(_sum(packet))
    return times, Sums(tuple(picture), tuple(sound))


@lru_cache(maxsize=10_000)
def _delay(path: Path, fps: Fraction) -> int:
    """By how many frames decoding runs ahead of showing in a segment, whose name says what it holds."""
    with open_local(path) as piece:
        first = next(piece.demux(piece.streams.video[0]))
        if first.pts is None or first.dts is None:
            return 0
        return max(0, round(Fraction(first.pts - first.dts) * Fraction(first.time_base or 1) * fps))
