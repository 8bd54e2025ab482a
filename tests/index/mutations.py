"""Small real files of many codecs and containers, and ways to damage them: the same for the same seed."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

from making import ffmpeg

KINDS = {
    "h264-aac.mp4": "-c:v libx264 -preset ultrafast -g 6 -c:a aac",
    "h264-fast.mov": "-c:v libx264 -preset ultrafast -movflags faststart -c:a pcm_s16le",
    "h264-pieces.mp4": "-c:v libx264 -preset ultrafast -g 4 -movflags frag_keyframe+empty_moov -c:a aac",
    "hevc.mp4": "-c:v libx265 -preset ultrafast -x265-params log-level=none -c:a ac3",
    "hevc.mkv": "-c:v libx265 -preset ultrafast -x265-params log-level=none -c:a libopus",
    "vp8.webm": "-c:v libvpx -deadline realtime -c:a libvorbis",
    "vp9.webm": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus",
    "av1.mp4": "-c:v libaom-av1 -usage realtime -cpu-used 8 -c:a aac",
    "mpeg1.mpg": "-c:v mpeg1video -r 25 -c:a mp2",
    "mpeg2.ts": "-c:v mpeg2video -r 25 -c:a mp2",
    "h264.ts": "-c:v libx264 -preset ultrafast -g 6 -c:a aac",
    "mpeg2.vob": "-f vob -c:v mpeg2video -r 25 -c:a ac3",
    "mjpeg.avi": "-c:v mjpeg -c:a pcm_s16le",
    "xvid.avi": "-c:v mpeg4 -bf 2 -g 6 -c:a libmp3lame",
    "prores.mov": "-c:v prores -c:a pcm_s16le",
    "dnxhr.mxf": "-c:v dnxhd -profile:v dnxhr_lb -s 256x120 -c:a pcm_s16le -ar 48000",
    "h263.3gp": "-c:v h263 -s 128x96 -c:a aac",
    "flv1.flv": "-c:v flv -c:a libmp3lame -ar 44100",
    "wmv2.wmv": "-c:v wmv2 -c:a wmav2",
    "theora.ogv": "-c:v libtheora -c:a libvorbis",
    "ffv1.mkv": "-c:v ffv1 -c:a flac",
    "raw.y4m": "-pix_fmt yuv420p -s 64x48 -an",
    "mpeg2.m2v": "-c:v mpeg2video -r 25 -an",
    "dv.dv": "-target pal-dv -t 0.2",
    "rv10.rm": "-c:v rv10 -s 128x96 -c:a ac3",
    "turned.mov": "-c:v mjpeg -an",
}
"""By file name, how it is encoded from a second of footage of 160 x 120."""

HEADER = 2048
"""Bytes at the start of a file that count as its header, beside the boxes of an MP4 that hold no samples."""

_ABSURD = (0, 1, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)

Zone = tuple[int, int]
Mutation = Callable[[random.Random, bytearray, Zone], None]


def make_sources(folder: Path, clip: Path) -> list[Path]:
    """A file of each kind, a second long and with a tone, from a real clip."""
    made = []
    for name, options in KINDS.items():
        sound = [] if "-an" in options else ["-f", "lavfi", "-i", "sine=440:d=1:r=44100"]
        both = [] if "-an" in options else ["-map", "0:v", "-map", "1:a"]
        path = folder / name
        size = [] if "-s " in options or "-target" in options else ["-s", "160x120"]
        ffmpeg(
            *(
                "-t",
                "1",
                "-i",
                clip,
                *sound,
                *both,
                "-pix_fmt",
                "yuv420p" if name != "prores.mov" else "yuv422p10le",
            ),
            *(*size, "-threads", "1", "-fflags", "+bitexact", *options.split(), path),
        )
        made.append(path)
    return made


def boxes(data: bytes | bytearray, start: int, end: int) -> list[tuple[bytes, int, int]]:
    """(name, start, end) of the boxes of an MP4 between two places, one level."""
    found = []
    while start + 8 <= end:
        size, name = struct.unpack(">I4s", data[start : start + 8])
        if size < 8 or start + size > end:
            break
        found.append((name, start, start + size))
        start += size
    return found


def header_zone(data: bytes | bytearray) -> Zone:
    """Where the header lies: the ``moov`` box, or the first bytes."""
    for name, start, end in boxes(data, 0, len(data)):
        if name == b"moov":
            return start, end
    return 0, min(len(data), HEADER)


def _flip_bits(chance: random.Random, data: bytearray, zone: Zone) -> None:
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        data[chance.randrange(*zone)] ^= 1 << chance.randrange(8)


def _scramble(chance: random.Random, data: bytearray, zone: Zone) -> None:
    start = chance.randrange(*zone)
    length = min(zone[1] - start, chance.choice((4, 16, 64, 512)))
    data[start : start + length] = chance.randbytes(length)


def _blank(chance: random.Random, data: bytearray, zone: Zone) -> None:
    start = chance.randrange(*zone)
    length = min(zone[1] - start, chance.choice((8, 64, 512, 4096)))
    data[start : start + length] = chance.choice((b"\0", b"\xff")) * length


def _truncate(chance: random.Random, data: bytearray, zone: Zone) -> None:
    del data[chance.randrange(*zone) :]


def _cut_out(chance: random.Random, data: bytearray, zone: Zone) -> None:
    start = chance.randrange(*zone)
    del data[start : start + chance.choice((1, 3, 16, 188, 1000))]


def _insert(chance: random.Random, data: bytearray, zone: Zone) -> None:
    start = chance.randrange(*zone)
    data[start:start] = chance.randbytes(chance.choice((1, 3, 16, 188, 1000)))


def _repeat(chance: random.Random, data: bytearray, zone: Zone) -> None:
    start = chance.randrange(*zone)
    piece = bytes(data[start : start + chance.choice((8, 64, 1024))])
    data[start:start] = piece * chance.choice((1, 2, 50))


def _absurd_number(chance: random.Random, data: bytearray, zone: Zone) -> None:
    for _ in range(chance.choice((1, 1, 3, 10))):
        start = chance.randrange(*zone)
        width, form = chance.choice(((2, "H"), (4, "I"), (4, "I")))
        value = chance.choice(_ABSURD) & ((1 << 8 * width) - 1)
        piece = struct.pack(chance.choice("<>") + form, value)
        data[start : start + width] = piece[: len(data) - start]


def _absurd_size(chance: random.Random, data: bytearray, zone: Zone) -> None:
    """Wherever the header says how large the picture is, it says something else."""
    width, height = chance.choice(
        ((65535, 65535), (65535, 2), (1, 1), (0, 0), (40000, 30000), (16384, 16384))
    )
    for form in (">HH", "<HH", ">II", "<II"):
        for old in ((160, 120), (128, 96), (64, 48)):
            pattern = struct.pack(form, *old)
            place = data.find(pattern, *zone)
            while place >= 0:
                data[place : place + len(pattern)] = struct.pack(form, width, height)
                place = data.find(pattern, place + 1, zone[1])


_FIELDS = (b"mvhd", b"mdhd", b"tkhd", b"stts", b"stsz", b"stsc", b"stco", b"ctts", b"elst", b"stss", b"trex")
_FIELDS += (b"avih", b"strh", b"strf", b"\x44\x89", b"\x2a\xd7\xb1", b"\x23\xe3\x83", b"\xb0", b"\xba")


def _absurd_rate(chance: random.Random, data: bytearray, zone: Zone) -> None:
    """A time scale, a rate, a duration, or a count of frames that cannot be."""
    places = [place for name in _FIELDS if (place := data.find(name, *zone)) >= 0]
    start = (chance.choice(places) if places else zone[0]) + 4
    for _ in range(chance.choice((1, 2, 4))):
        at = min(start + 4 * chance.randrange(8), len(data) - 4)
        data[at : at + 4] = struct.pack(">I", chance.choice(_ABSURD))


def _swap(chance: random.Random, data: bytearray, zone: Zone) -> None:
    """Two boxes, or two blocks, change places."""
    found = boxes(data, *zone) or boxes(data, 0, len(data))
    while len(found) == 1 or (found and chance.random() < 0.7):
        name, start, end = chance.choice(found)
        inner = boxes(data, start + 8 + (name in (b"meta", b"stsd", b"dref")) * 8, end)
        if not inner:
            break
        found = inner
    if len(found) < 2:
        size = chance.choice((188, 512, 64))
        found = [(b"", at, min(at + size, zone[1])) for at in range(zone[0], zone[1], size)]
    if len(found) < 2:
        return
    first, second = sorted(chance.sample(found, 2), key=lambda box: box[1])
    middle = data[first[2] : second[1]]
    data[first[1] : second[2]] = data[second[1] : second[2]] + middle + data[first[1] : first[2]]


MUTATIONS: tuple[Mutation, ...] = (
    *(_flip_bits, _scramble, _blank, _truncate, _cut_out, _insert, _repeat),
    *(_absurd_number, _absurd_size, _absurd_rate, _swap),
)


def mutate(original: bytes, number: int) -> tuple[str, bytes]:
    """(what was done, the damaged file) for mutation ``number``; half of them are in the header."""
    chance = random.Random(number)
    data = bytearray(original)
    header = (number + number // len(KINDS)) % 2 == 0
    mutation = MUTATIONS[number // 2 % len(MUTATIONS)]
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        zone = header_zone(data) if header else (0, len(data))
        if zone[1] - zone[0] < 16:
            break
        mutation(chance, data, zone)
    if bytes(data) == original:
        _flip_bits(chance, data, header_zone(data) if header else (0, len(data)))
    return f"{mutation.__name__[1:]}-{'header' if header else 'anywhere'}", bytes(data)
