"""A recorded narration: each sentence of the script is found in it, and pictures and voice follow."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from index.base import Span
from montage.narration import (
    Narration,
    Spoken,
    Word,
    align,
    narration_of,
)
from montage.process import as_input, run_ffmpeg
from montage.script import parse_script
from montage.values import FilmError, MontageError, Sentence
from montage.voiceover import voiceover_of
from tests.montage import speechlab
from tests.montage.speechlab import RATE, bursts, espeak, joined, write_wav

Texts = tuple[str, ...]
Array = NDArray[np.float64]
speaks = pytest.mark.skipif(not speechlab.can_speak(), reason="espeak-ng is not installed")


def sentences(texts: tuple[str, ...]) -> tuple[Sentence, ...]:
    found = parse_script("\n\n".join(texts)).sentences
    assert [s.text for s in found] == list(texts)
    return found


def errors(narration: Narration, spans: Array) -> tuple[Array, Array]:
    starts = np.array([float(spoken.span.start) for spoken in narration.spoken])
    ends = np.array([float(spoken.span.end) for spoken in narration.spoken])
    return np.abs(starts - spans[:, 0]), np.abs(ends - spans[:, 1])


CASES: list[tuple[str, Texts, str, int, dict[str, Any]]] = [
    ("built on", speechlab.LIGHTHOUSE, "en-us", 165, {}),
    ("built on", speechlab.GLACIER, "en-gb", 210, {"inner": (0.3, 1.0), "pauses": (0.15, 0.4)}),
    ("held out", speechlab.BREAD, "en-gb-scotland", 140, {}),
    ("held out", speechlab.VIOLIN, "en-us+f3", 180, {"inner": (0.3, 1.0), "pauses": (0.15, 0.4)}),
]


@speaks
@pytest.mark.parametrize(("_", "texts", "voice", "speed", "how"), CASES)
def test_sentences_are_found(_: str, texts: Texts, voice: str, speed: int, how: Any, tmp_path: Path) -> None:
    made = joined(texts, lambda text: espeak(text, voice, speed), **how)
    narration = align(made.write(tmp_path / "voice.wav"), sentences(texts), method="silence")
    starts, ends = errors(narration, made.spans)
    assert np.median(starts) < 0.05, starts
    assert np.percentile(starts, 90) < 0.15, starts
    assert np.median(ends) < 0.05, ends
    assert np.percentile(ends, 90) < 0.15, ends
    assert narration.method == "silence"
    assert not narration.doubtful


@speaks
@pytest.mark.parametrize(("texts", "voice"), [(speechlab.GLACIER, "en-us"), (speechlab.VIOLIN, "en-gb+f2")])
@pytest.mark.parametrize("bed", [15, 10])
def test_sentences_are_found_under_music(texts: Texts, voice: str, bed: int, tmp_path: Path) -> None:
    made = joined(
        texts, lambda text: espeak(text, voice), seed=5, inner=(0.3, 1.0), pauses=(0.15, 0.6), bed=bed
    )
    narration = align(made.write(tmp_path / "voice.wav"), sentences(texts), method="silence")
    starts, ends = errors(narration, made.spans)
    assert np.median(starts) < 0.1, starts
    assert np.percentile(starts, 90) < 0.3, starts
    assert np.median(ends) < 0.1, ends
    assert np.percentile(ends, 90) < 0.3, ends


@speaks
@pytest.mark.parametrize(
    ("texts", "said", "voice"),
    [
        (speechlab.CHINESE, speechlab.PINYIN, "cmn-latn-pinyin"),
        (speechlab.JAPANESE, speechlab.JAPANESE, "ja"),
    ],
    ids=["zh", "ja"],
)
@pytest.mark.parametrize("bed", [None, 12])
def test_other_languages(texts: Texts, said: Texts, voice: str, bed: float | None, tmp_path: Path) -> None:
    made = joined(said, lambda text: espeak(text, voice), seed=2, inner=(0.2, 0.8), bed=bed)
    narration = align(made.write(tmp_path / "voice.wav"), sentences(texts), method="silence")
    starts, _ = errors(narration, made.spans)
    assert np.median(starts) < 0.15, starts
    assert np.percentile(starts, 90) < 0.5, starts


@speaks
def test_words_are_found(tmp_path: Path) -> None:
    texts = speechlab.GLACIER[1:6]
    rng = np.random.default_rng(3)
    parts, truth, at = [np.zeros(RATE // 2, np.float32)], [], RATE // 2
    for text in texts:
        for word in text.split():
            sound = espeak(word)
            truth.append(at / RATE)
            gap = rng.uniform(0.02, 0.06) if word[-1].isalpha() else rng.uniform(0.2, 0.6)
            parts += [sound, np.zeros(round(gap * RATE), np.float32)]
            at += len(sound) + len(parts[-1])
    narration = align(write_wav(tmp_path / "voice.wav", np.concatenate(parts)), sentences(texts))
    words = [word for spoken in narration.spoken for word in spoken.words]
    assert [word.text for word in words] == " ".join(texts).split()
    found = np.array([float(word.span.start) for word in words])
    assert np.median(np.abs(found - truth)) < 0.05
    assert np.percentile(np.abs(found - truth), 90) < 0.2
    assert all(word.certain for word in words)


def test_what_follows_a_pause_is_found_without_a_voice(tmp_path: Path) -> None:
    """Buzzes in the place of syllables: their number and the pauses are all there is to go by."""
    texts = ("Ba be bi bo.", "Ba bo bu, be bi ba bo bu ba be.", "Bo bi.", "Be ba bo bu bi be ba.", "Bu.")
    counts = iter([4, 3, 7, 2, 7, 1])
    rng = np.random.default_rng(8)
    made = joined(texts, lambda _: bursts(next(counts), rng), inner=(0.5, 0.6), pauses=(0.4, 0.6), seed=4)
    narration = align(made.write(tmp_path / "voice.wav"), sentences(texts), method="silence")
    starts, _ = errors(narration, made.spans)
    assert np.median(starts) < 0.15, starts


@speaks
def test_a_narration_of_something_else_is_refused(tmp_path: Path) -> None:
    def recorded(texts: tuple[str, ...]) -> Path:
        return joined(texts, espeak, seed=1).write(tmp_path / "voice.wav")

    script = sentences(speechlab.GLACIER)
    with pytest.raises(
        MontageError, match=r"voice\.wav holds \d+ s of speech, where the 12 sentences .* \[skip\]"
    ):
        align(recorded(speechlab.GLACIER[::2]), script, method="silence")
    with pytest.raises(MontageError, match="cut what is not in the script"):
        align(recorded(speechlab.GLACIER), script[:3], method="silence")
    with pytest.raises(MontageError, match="does not seem to read this script"):
        align(recorded(speechlab.VIOLIN), script, method="silence")
    with pytest.raises(MontageError, match="are in the same order"):
        align(recorded(speechlab.GLACIER[::-1]), script, method="silence")
    with pytest.raises(MontageError, match="does not seem to read sentence 6: record"):
        align(recorded(speechlab.GLACIER[:5] + speechlab.GLACIER[6:]), script, method="silence")
    with pytest.raises(MontageError, match=r"holds \d+ s of speech that the script does not, .* sentence \d"):
        align(recorded(speechlab.GLACIER[:8] + speechlab.LIGHTHOUSE[:4]), script[:8], method="silence")


@speaks
def test_nothing_before_and_after_does_not_hide_what_lies_under_the_voice(tmp_path: Path) -> None:
    """Edited sound begins and ends in digital silence; its pauses hold room and background."""
    texts = ("A dog runs along the beach.", "Coffee is poured into a cup.", "A boat comes home.")
    for seed in range(4):
        made = joined(texts, espeak, seed=seed, bed=18)
        nothing = np.zeros(RATE, np.float32)
        path = write_wav(tmp_path / "voice.wav", np.concatenate([nothing, made.sound, nothing]))
        narration = align(path, sentences(texts), method="silence")
        assert (np.array(errors(narration, made.spans + 1)) < 0.2).all()


@speaks
def test_a_sentence_that_takes_far_too_long_is_doubted(tmp_path: Path) -> None:
    """Nothing but the first sentence is spoken, again and again; the last is nowhere."""
    texts = ("Glaciers move.", "Nobody spoke.")
    path = joined((texts[0],) * 4, espeak).write(tmp_path / "voice.wav")
    narration = align(path, sentences(texts), method="silence")
    assert narration.doubtful


def test_files_without_a_voice_are_refused(tmp_path: Path) -> None:
    script = sentences(speechlab.GLACIER)
    unknown: Any = "magic"
    with pytest.raises(MontageError, match="there is no narration"):
        align(tmp_path / "none.wav", script)
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(MontageError, match="cannot be read as sound"):
        align(tmp_path / "text.wav", script)
    silent = write_wav(tmp_path / "silent.wav", np.zeros(20 * RATE, np.float32))
    with pytest.raises(MontageError, match="nobody speaks in"):
        align(silent, script)
    rng = np.random.default_rng(1)
    music = write_wav(tmp_path / "music.wav", 0.1 * speechlab.music_bed(20 * RATE, rng))
    with pytest.raises(MontageError, match=r"nobody speaks in|holds \d s of speech"):
        align(music, script)
    with pytest.raises(MontageError, match=r"lasts 0\.05 s"):
        align(write_wav(tmp_path / "click.wav", np.ones(800, np.float32)), script)
    with pytest.raises(MontageError, match="no sentence to speak"):
        align(silent, parse_script("[skip] Glaciers move.").sentences)
    with pytest.raises(MontageError, match="no narration is aligned by"):
        align(silent, script, method=unknown)
    with pytest.raises(MontageError, match="no speech recogniser was found"):
        align(silent, script, method="whisper")


@speaks
def test_one_file_a_sentence(tmp_path: Path) -> None:
    texts = speechlab.GLACIER[:4]
    script = parse_script(
        texts[0] + "\n\n[skip] " + texts[1] + "\n\n" + texts[2] + "\n\n" + texts[3]
    ).sentences
    folder = tmp_path / "voice"
    folder.mkdir()
    for name, text in (("1.wav", texts[0]), ("03 second take.wav", texts[2]), ("4.wav", texts[3])):
        sound = np.concatenate(
            [np.zeros(RATE // 2, np.float32), espeak(text), np.zeros(RATE // 10, np.float32)]
        )
        write_wav(folder / name, sound)
    (folder / "notes.txt").write_text("4 is loud")
    narration = narration_of(folder, script)
    assert [spoken.sentence for spoken in narration.spoken] == [script[0].id, script[2].id, script[3].id]
    for spoken, text in zip(narration.spoken, (texts[0], texts[2], texts[3]), strict=True):
        assert abs(float(spoken.span.start) - 0.5) < 0.1
        assert abs(float(spoken.span.seconds) - len(espeak(text)) / RATE) < 0.1
        # The files end 0.1 s after the words: silence is added before the next sentence.
        assert spoken.seconds - spoken.span.seconds == pytest.approx(0.35, abs=0.03)
    listed = [folder / "1.wav", folder / "03 second take.wav", folder / "4.wav"]
    assert narration_of(listed, script).spoken == narration.spoken
    (folder / "5.wav").write_bytes((folder / "4.wav").read_bytes())
    with pytest.raises(MontageError, match=r"holds 5\.wav, but the script has sentences 1 to 4"):
        narration_of(folder, script)
    (folder / "5.wav").unlink()
    with pytest.raises(MontageError, match="2 narration files were named for 3"):
        narration_of(listed[:2], script)
    write_wav(folder / "4 again.wav", espeak(texts[3]))
    with pytest.raises(MontageError, match=r"4 again\.wav and 4\.wav for sentence 4: keep one"):
        narration_of(folder, script)
    (folder / "1.wav").unlink()
    with pytest.raises(
        MontageError, match=r"no sound for sentence 1: name each file by its sentence, as 1\.wav"
    ):
        narration_of(folder, script)
    with pytest.raises(MontageError, match="cannot read the folder"):
        narration_of(tmp_path / "nowhere", script)


@speaks
def test_other_formats_are_read(tmp_path: Path) -> None:
    texts = speechlab.GLACIER[:3]
    made = joined(texts, espeak)
    wav = made.write(tmp_path / "voice.wav")
    stereo = tmp_path / "-odd name.m4a"
    run_ffmpeg(["-i", as_input(wav), "-ac", "2", "-ar", "44100", as_input(stereo)], what="encode")
    starts, _ = errors(align(stereo, sentences(texts)), made.spans)
    assert starts.max() < 0.15


@speaks
def test_work_can_be_stopped(tmp_path: Path) -> None:
    texts = speechlab.GLACIER[:3]
    path = joined(texts, espeak).write(tmp_path / "voice.wav")
    asked = iter(range(1000))
    with pytest.raises(FilmError, match="cancelled while aligning"):
        align(path, sentences(texts), cancel=lambda: next(asked) >= 3)
    with pytest.raises(FilmError, match="cancelled"):
        align(path, sentences(texts), cancel=lambda: True)


def spoken(number: int, begin: float, start: float, end: float, close: float, rest: float = 0) -> Spoken:
    return Spoken(
        sentence=f"s{number}",
        source=Path("voice.wav"),
        content="c" * 32,
        span=Span(Fraction(str(start)), Fraction(str(end))),
        heard=Span(Fraction(str(begin)), Fraction(str(close))),
        rest=Fraction(str(rest)),
        confidence=1.0,
        words=(Word("word", Span(Fraction(str(start)), Fraction(str(end))), True),),
    )


TWO = Narration((spoken(1, 0.1, 0.35, 2.0, 2.43), spoken(2, 2.43, 2.5, 4.0, 4.5)), "silence")


def test_pictures_last_until_the_next_sentence() -> None:
    assert voiceover_of(TWO).seconds == {"s1": Fraction("2.33"), "s2": Fraction("2.07")}
    apart = Narration((spoken(1, 0.1, 0.2, 1.0, 1.1, 0.15),), "silence")
    assert voiceover_of(apart).seconds == {"s1": Fraction("1.15")}


def test_speech_runs_on_over_the_rounding_to_frames() -> None:
    fps = Fraction(25)
    first, second = voiceover_of(TWO).speeches({"s1": 10, "s2": 10 + 58}, fps)  # 2.32 s where it takes 2.33
    assert (first.start, second.start) == (10, 68)
    assert first.span == Span(Fraction("0.1"), Fraction("2.42"))
    assert second.span == TWO["s2"].heard
    first, _ = voiceover_of(TWO).speeches({"s1": 0, "s2": 59}, fps)  # 2.36 s
    assert first.span.end == Fraction("2.46")
    first, _ = voiceover_of(TWO).speeches({"s1": 0, "s2": 100}, fps)  # far away: its own pause, then nothing
    assert first.span == TWO["s1"].heard
    first, _ = voiceover_of(TWO).speeches({"s1": 0, "s2": 40}, fps)  # too soon: all words are heard
    assert first.span.end == TWO["s1"].span.end
    (only,) = voiceover_of(TWO).speeches({"s2": 5}, fps)
    assert (only.start, only.sentence) == (5, "s2")


@speaks
def test_what_is_played_is_the_file_without_holes(tmp_path: Path) -> None:
    texts = speechlab.GLACIER[:5]
    made = joined(texts, espeak)
    narration = align(made.write(tmp_path / "voice.wav"), sentences(texts))
    for one, following in pairwise(narration.spoken):
        assert one.heard.end == following.heard.start
        assert one.span.end <= one.heard.end <= following.span.start
        assert following.span.start - following.heard.start <= Fraction(8, 100)
    assert narration.spoken[-1].heard.end <= Fraction(len(made.sound), RATE)
    words = [word.span for word in narration.spoken[0].words]
    assert all(first.end <= second.start for first, second in pairwise(words))


def test_values_are_checked() -> None:
    with pytest.raises(ValueError, match="must hold what is said"):
        spoken(1, 0.5, 0.2, 1, 2)
    with pytest.raises(ValueError, match="once"):
        Narration((spoken(1, 0, 0.2, 1, 2), spoken(1, 2, 2.2, 3, 4)), "silence")
    with pytest.raises(ValueError, match="once"):
        Narration((), "silence")
