from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from making import ffmpeg

from index.base import FootageError, Span
from index.decode import Decoding
from index.loudness import LoudnessMeter


def test_times_are_the_streams_own(tmp_path: Path) -> None:
    """Frames of a variable rate keep their uneven times, counted from the first one shown."""
    path = tmp_path / "uneven.mkv"
    times = "0.5+if(lt(N\\,5)\\,N*0.1\\,0.5+(N-5)*0.25)"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=1", "-fps_mode", "vfr"),
        *("-vf", f"settb=1/1000,setpts=round(({times})*1000)", "-enc_time_base", "1/1000"),
        *("-c:v", "libx264", "-bf", "0", path),
    )
    decoding = Decoding(path)
    found = [frame.time for frame in decoding]
    assert found == [Fraction(n, 10) for n in range(5)] + [Fraction(50 + 25 * n, 100) for n in range(5)]
    assert decoding.rate is None
    assert decoding.start == Fraction(1, 2)
    assert decoding.frames == 10


def test_a_steady_rate_is_exact(footage: Path) -> None:
    decoding = Decoding(footage / "clips/ice-cream.mp4")
    times = [frame.time for frame in decoding]
    assert times == [Fraction(1001 * n, 24000) for n in range(214)]
    assert decoding.rate == Fraction(24000, 1001)
    assert decoding.end == Fraction(1001 * 214, 24000)
    assert decoding.damaged == 0


def test_frames_are_upright_small_and_have_square_pixels(tmp_path: Path) -> None:
    """The left half is red; turned clockwise by 90 degrees the top half must be."""
    ffmpeg(
        *("-f", "lavfi", "-i", "color=red:s=320x240:r=10:d=0.3,pad=640:240:0:0:blue,setsar=3/2"),
        tmp_path / "plain.mp4",
    )
    ffmpeg("-display_rotation", "-90", "-i", tmp_path / "plain.mp4", "-c", "copy", tmp_path / "turned.mp4")
    for frame in Decoding(tmp_path / "turned.mp4"):
        assert frame.image.shape == (320, 80, 3)  # 960 x 240 in square pixels, on its side
        assert frame.image[:150, :, 0].min() > 200
        assert frame.image[170:, :, 2].min() > 200
        assert frame.picture(100).shape == (400, 100, 3)
    for frame in Decoding(tmp_path / "plain.mp4"):
        assert frame.picture(100).shape == (100, 400, 3)


def test_nothing_to_decode_is_an_error(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=1", "-c:v", "libx264", tmp_path / "clip.mkv")
    data = bytearray((tmp_path / "clip.mkv").read_bytes())
    start = data.index(b"\x1f\x43\xb6\x75")  # the first cluster
    data[start + 40 :] = b"\x55" * (len(data) - start - 40)
    (tmp_path / "clip.mkv").write_bytes(bytes(data))
    with pytest.raises(FootageError, match=r"clip\.mkv.*not one frame"):
        list(Decoding(tmp_path / "clip.mkv"))


def test_sound_comes_with_the_same_pass_and_failing_sound_is_no_failure(footage: Path) -> None:
    heard: list[Fraction] = []
    decoding = Decoding(footage / "odd/failing-audio.mp4", sound=lambda time, frame: heard.append(time))
    assert sum(1 for _ in decoding) == 280
    assert heard == sorted(heard)
    assert len(heard) > 100


@pytest.mark.parametrize("level", [-23.0, -33.0])
def test_loudness_of_a_known_tone(tmp_path: Path, level: float) -> None:
    """A stereo sine of 1 kHz reads its level in dBFS as LUFS (EBU Tech 3341, cases 1 and 2)."""
    path = tmp_path / "tone.mkv"
    volume = f"volume={level}dB"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=4"),
        *("-f", "lavfi", "-i", f"aevalsrc=sin(2*PI*1000*t)|sin(2*PI*1000*t):d=4:s=44100,{volume}"),
        *("-c:v", "libx264", "-c:a", "pcm_s16le", path),
    )
    meter = LoudnessMeter()
    list(Decoding(path, sound=meter.push))
    assert meter.loudness(Span(Fraction(0), Fraction(4))) == pytest.approx(level, abs=0.1)
    assert meter.loudness(Span(Fraction(1), Fraction(2))) == pytest.approx(level, abs=0.1)


def test_silence_and_sound_are_told_apart_by_span(tmp_path: Path) -> None:
    path = tmp_path / "half.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=4"),
        *("-f", "lavfi", "-i", "aevalsrc='0.2*sin(2*PI*500*t)*gte(t,2)':d=4:s=48000"),
        *("-c:v", "libx264", "-c:a", "pcm_s16le", path),
    )
    meter = LoudnessMeter()
    list(Decoding(path, sound=meter.push))
    assert meter.loudness(Span(Fraction(0), Fraction(2))) == -70.0
    loud = meter.loudness(Span(Fraction(2), Fraction(4)))
    assert loud is not None
    assert loud > -25
    assert LoudnessMeter().loudness(Span(Fraction(0), Fraction(1))) is None


def test_frames_are_eight_bit_rgb(footage: Path) -> None:
    frame = next(iter(Decoding(footage / "odd/alpha-vp9.webm")))
    assert frame.image.dtype == np.uint8
    assert frame.image.shape == (200, 200, 3)
