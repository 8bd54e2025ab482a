"""Voices speak each sentence once, whatever stands in it."""

from __future__ import annotations

import shutil
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from montage.cache import Cache
from montage.process import Cancel
from montage.script import parse_script
from montage.values import FilmError, MontageError
from montage.voices import AIR, PAUSE, Espeak, Kokoro, Piper, Voice, find_voice, speak

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
TEXT = "A dog runs along the beach. Coffee is poured into a cup. A boat comes home."


class Counting:
    """A voice that counts what it is asked, and says it by another."""

    def __init__(self, voice: Voice) -> None:
        self.voice, self.said = voice, list[str]()

    @property
    def name(self) -> str:
        return self.voice.name

    @property
    def key(self) -> str:
        return self.voice.key

    def speak(self, text: str, language: str, path: Path, cancel: Cancel | None = None) -> None:
        self.said.append(text)
        self.voice.speak(text, language, path, cancel)


def tiny_piper(folder: Path) -> Piper:
    """A model with piper's inputs and output that hums for each phoneme, for the real package."""
    pytest.importorskip("piper", reason="piper-tts is not installed")
    import json

    import onnx
    from onnx import TensorProto, helper, numpy_helper

    hum = (0.3 * np.sin(np.arange(2048) * 0.06)).astype(np.float32).reshape(1, 1, 1, 2048)
    nodes = [
        helper.make_node("Shape", ["input"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["count"], axis=0),
        helper.make_node("Concat", ["ones3", "count"], ["repeats"], axis=0),
        helper.make_node("Tile", ["hum", "repeats"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "hum",
        [
            helper.make_tensor_value_info("input", TensorProto.INT64, [1, None]),
            helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
            helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, 1, None])],
        [
            numpy_helper.from_array(np.array([1], np.int64), "one"),
            numpy_helper.from_array(np.ones(3, np.int64), "ones3"),
            numpy_helper.from_array(hum, "hum"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    path = folder / "en_GB-tiny.onnx"
    onnx.save(model, str(path))
    symbols = "_^$ abcdefghijklmnopqrstuvwxyzæçðøħŋœɐɑɒɓɔɕɖɗɘəɚɛɜɞɟɡɢɣɤɥɦɧɨɪɫɬɭɮɯɰɱɲɳɴɵɶɸɹɺɻɽɾʀʁʃʈʉʊʋʌʍʎʏʐʑʒʔ"
    symbols += "ˈˌːˑ.,?!"
    told = {
        "audio": {"sample_rate": 22050, "quality": "low"},
        "espeak": {"voice": "en-gb-x-rp"},
        "language": {"code": "en_GB"},
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "phoneme_id_map": {symbol: [number] for number, symbol in enumerate(symbols)},
        "num_symbols": len(symbols),
        "num_speakers": 1,
        "speaker_id_map": {},
    }
    path.with_name(path.name + ".json").write_text(json.dumps(told), encoding="utf-8")
    return Piper(path)


@pytest.fixture(params=[pytest.param("espeak-ng", marks=needs_espeak), "piper"])
def voice(request: pytest.FixtureRequest, tmp_path: Path) -> Voice:
    return Espeak() if request.param == "espeak-ng" else tiny_piper(tmp_path)


def loud(path: Path) -> np.ndarray:
    with wave.open(str(path), "rb") as sound:
        assert (sound.getnchannels(), sound.getsampwidth()) == (1, 2)
        return np.abs(np.frombuffer(sound.readframes(sound.getnframes()), np.int16)) > 104


def test_every_voice_speaks_a_script(voice: Voice, tmp_path: Path) -> None:
    assert isinstance(voice, Voice)
    script = parse_script(TEXT)
    over = speak(script.sentences, voice, Cache(tmp_path / "cache"))
    assert list(over.sentences) == [sentence.id for sentence in script.sentences]
    for voiced in over.sentences.values():
        with wave.open(str(voiced.source), "rb") as sound:
            rate = sound.getframerate()
            assert voiced.span.seconds == Fraction(sound.getnframes(), rate)
        assert voiced.seconds == voiced.span.seconds + PAUSE
        heard = np.flatnonzero(loud(voiced.source))
        assert heard[0] <= AIR * rate + 1
        assert len(loud(voiced.source)) - heard[-1] <= AIR * rate + 2
        assert voiced.words[0].start == 0
        assert voiced.words[-1].end == voiced.span.seconds


def test_a_changed_sentence_is_spoken_anew_and_nothing_else(voice: Voice, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    counting = Counting(voice)
    first = speak(parse_script(TEXT).sentences, counting, cache)
    assert len(counting.said) == 3
    second = speak(parse_script(TEXT.replace("cup", "glass")).sentences, counting, cache)
    assert counting.said[3:] == ["Coffee is poured into a glass."]
    kept = [voiced.content for voiced in first.sentences.values()]
    again = [voiced.content for voiced in second.sentences.values()]
    assert (kept[0], kept[2]) == (again[0], again[2])
    assert kept[1] != again[1]


@needs_espeak
@pytest.mark.parametrize(
    "text",
    [
        "-v is no option here.",
        "<speak>Tags</speak> & signs.",
        "[[h@l'oU]] is text.",
        "Odd\x07 \x1b[0m bytes.",
        "3 < 4.",
    ],
)
def test_odd_text_is_only_text(text: str, tmp_path: Path) -> None:
    sentence = parse_script(TEXT).sentences[0]
    from dataclasses import replace

    over = speak([replace(sentence, text=text)], Espeak(), Cache(tmp_path / "cache"))
    (voiced,) = over.sentences.values()
    assert voiced.span.seconds > Fraction(1, 4)


@needs_espeak
def test_what_cannot_be_said_is_silent_and_skipped_sentences_are_too(tmp_path: Path) -> None:
    script = parse_script("A dog runs.\n\n[skip] Nobody says this.\n\n!!! ...\n")
    over = speak(script.sentences, Espeak(), Cache(tmp_path / "cache"))
    assert list(over.sentences) == [script.sentences[0].id]


@needs_espeak
def test_each_language_has_its_voice(tmp_path: Path) -> None:
    for text, name in (
        ("一只狗在海滩上跑。", "zh"),
        ("犬が浜辺を走っています。", "ja"),
        ("A dog runs.", "en"),
    ):
        (sentence,) = parse_script(text).sentences
        assert sentence.language == name
        (voiced,) = speak([sentence], Espeak(), Cache(tmp_path / "cache")).sentences.values()
        assert voiced.span.seconds > Fraction(1, 2)
    with pytest.raises(MontageError, match="does not speak 'xx'"):
        Espeak().speak("hello", "xx", tmp_path / "a.wav")
    with pytest.raises(MontageError, match="no voice 'nobody'"):
        find_voice("espeak-ng:nobody")


def test_voices_that_are_not_there_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MontageError, match="use auto, espeak-ng"):
        find_voice("siri")
    with pytest.raises(MontageError, match="piper"):
        find_voice(f"piper:{tmp_path / 'none.onnx'}")
    with pytest.raises(MontageError, match="kokoro"):
        Kokoro(tmp_path / "none.onnx")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MontageError, match="apt install espeak-ng"):
        Espeak()


def test_auto_takes_a_piper_voice_that_speaks_the_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "voices").mkdir()
    tiny_piper(tmp_path / "voices")
    monkeypatch.setenv("MONTAGE_MODELS", str(tmp_path))
    assert find_voice("auto", ["en"]).name.startswith("piper:")
    if shutil.which("espeak-ng"):
        assert find_voice("auto", ["zh"]).name == "espeak-ng"


@needs_espeak
def test_cancelled_before_it_speaks(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match="cancelled"):
        speak(parse_script(TEXT).sentences, Espeak(), Cache(tmp_path / "cache"), cancel=lambda: True)
