"""Damage that fuzzing has found once: measured as far as it makes sense, and said."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from making import ffmpeg

from index.base import FootageError
from index.decode import Decoding
from index.loudness import LoudnessMeter
from index.measure import measure_file
from index.probe import read_media


def shifted(path: Path, frames: str, seconds: int) -> Path:
    """Twenty frames at 10 a second, of which those where ``frames`` is true come ``seconds`` later."""
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=2", "-vf", "settb=1/1000", "-enc_time_base", "1/1000"),
        *("-fps_mode", "passthrough", "-c:v", "mjpeg"),
        *("-bsf:v", f"setts=pts=PTS+if({frames}\\,{seconds}/TB):dts=DTS+if({frames}\\,{seconds}/TB)", path),
    )
    return path


def test_a_clock_that_leaps_ahead_ends_the_footage(tmp_path: Path) -> None:
    found = measure_file(shifted(tmp_path / "leaps.mkv", "gte(N\\,12)", 90_000), None)
    assert found.media.duration == Fraction(12, 10)
    assert len(found.shots) == 1
    assert "its clock leaps ahead by 90000 s at 1.10 s: what follows was left out" in found.note


def test_one_wrong_timestamp_costs_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "one.flv"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=2", "-c:v", "flv", path)
    data = bytearray(path.read_bytes())
    place, pictures = 13, 0
    while pictures < 13:  # the tags of the file, up to the thirteenth picture
        kind, size = data[place], int.from_bytes(data[place + 1 : place + 4], "big")
        pictures += kind == 9
        last, place = place, place + 15 + size
    data[last + 7] = 0x40  # the highest bits of its time, which is in milliseconds
    path.write_bytes(bytes(data))
    found = measure_file(path, None)
    assert round(float(found.media.duration), 1) == 2
    assert found.note == "1 damaged places in the picture were skipped"


def test_a_frame_may_stay_for_minutes(tmp_path: Path) -> None:
    found = measure_file(shifted(tmp_path / "slides.mkv", "gte(N\\,12)", 300), None)
    assert found.media.duration == 302
    assert found.note == ""


def test_a_last_frame_that_stays_for_ever_does_not(tmp_path: Path) -> None:
    path = tmp_path / "single.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=0.1", "-frames:v", "1", path)
    data = bytearray(path.read_bytes())
    place = data.index(b"stts") + 8
    assert struct.unpack(">II", data[place : place + 8])[:2] == (1, 1)
    data[place + 8 : place + 12] = struct.pack(">I", 0x7FFFFFFF)
    path.write_bytes(bytes(data))
    assert measure_file(path, None).media.duration < 1


def test_a_picture_that_changes_its_size_is_measured_on(tmp_path: Path) -> None:
    parts = []
    for number, size in enumerate(("64x48", "96x48")):
        parts.append(tmp_path / f"{number}.ts")
        ffmpeg(
            *("-f", "lavfi", "-i", f"testsrc=s={size}:r=25:d=1", "-c:v", "mpeg2video"),
            *("-output_ts_offset", str(number), parts[-1]),
        )
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert {frame.image.shape for frame in Decoding(path)} == {(48, 64, 3)}
    found = measure_file(path, None)
    assert 1.9 < found.media.duration <= 2


def test_a_file_whose_packets_cannot_be_read_says_so_without_its_place(tmp_path: Path) -> None:
    path = tmp_path / "cut.rm"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=128x96:r=10:d=1", "-c:v", "rv10", path)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"DATA") + 18])
    with pytest.raises(FootageError) as caught:
        read_media(path, root=None)
    assert str(caught.value) == f"{str(path)!r}: not one frame of it can be decoded"


class _Sound:
    """What the meter reads of a frame before it takes its samples."""

    def __init__(self, rate: int) -> None:
        self.sample_rate = rate


@pytest.mark.parametrize("rate", [1, 0, 4_000_000_000])
def test_sound_of_an_absurd_rate_is_refused(rate: int) -> None:
    with pytest.raises(ValueError, match=f"{rate} samples a second"):
        LoudnessMeter().push(Fraction(0), _Sound(rate))


def test_a_long_hole_in_the_sound_costs_no_memory(tmp_path: Path) -> None:
    import av

    meter = LoudnessMeter()
    for time in (0, 500):
        sound = av.AudioFrame.from_ndarray(np.full((2, 48_000), 0.5, np.float32), "fltp", "stereo")
        sound.sample_rate = 48_000
        meter.push(Fraction(time), sound)
    from index.base import Span

    assert meter.loudness(Span(Fraction(100), Fraction(400))) == -70
    whole, alone = (
        meter.loudness(Span(Fraction(0), Fraction(501))),
        meter.loudness(Span(Fraction(0), Fraction(1))),
    )
    assert whole == pytest.approx(alone, abs=1)
