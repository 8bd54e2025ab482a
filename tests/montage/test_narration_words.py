"""The words of a text: how they sound, and which of a recogniser's words stand for them."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest

from index.languages import language_of
from montage.pronouncing import KIND_OF, PAUSES, spoken_words
from montage.transcribing import HeardWord, match_words, recogniser_folder
from montage.values import MontageError


def said(text: str, language: str = "en") -> list[str]:
    return [" ".join(word.sounds) for word in spoken_words(text, language)]


@pytest.mark.parametrize(
    ("text", "sounds"),
    [
        ("The ship", ["dh @", "sh i p"]),
        ("knocked phone", ["n o k d", "f o n"]),
        ("nine times", ["n i n", "t i m z"]),
        ("station quick", ["s t a sh @ n", "k w i k"]),
        ("it's twenty", ["i t s", "t w e n t i"]),
    ],
)
def test_english(text: str, sounds: list[str]) -> None:
    assert said(text) == sounds


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ("1999", "nineteen ninetynine"),
        ("2004", "two thousand four"),
        ("1905", "nineteen oh five"),
        ("12,500", "twelve thousand five hundred"),
        ("3.5", "three point five"),
        ("0", "zero"),
    ],
)
def test_numbers_are_spelt_out(figures: str, words: str) -> None:
    assert "".join(said(figures)).replace(" ", "") == "".join(said(words)).replace(" ", "")


def test_abbreviations() -> None:
    assert said("Mr. Dr. 5 km") == [*said("mister doctor five"), *said("kilometers")]
    assert said("DVD") == ["C I C I C I"]


@pytest.mark.parametrize(
    ("text", "language", "sounds"),
    [
        ("きょう", "ja", ["k y o u"]),
        ("コーヒー", "ja", ["k o o h i i"]),
        ("がっこう", "ja", ["g a t k o u"]),
        ("猫です。", "ja", ["C V C V", "d e s u"]),
        ("木桌，上。", "zh", ["C V", "C V", "C V"]),
        ("2024年", "zh", ["C V C V C V C V", "C V"]),
        ("привет", "ru", ["p r i v e t"]),
        ("안녕", "ko", ["a n n y e o ng"]),
        ("नमस्ते", "hi", ["C V C V C V C V"]),
    ],
)
def test_other_scripts(text: str, language: str, sounds: list[str]) -> None:
    assert said(text, language) == sounds


def test_pauses_stand_where_marks_do() -> None:
    words = spoken_words("First, Mr. Smith (nobody else) came: why? He knew.", "en")
    assert [word.pause for word in words] == [
        "comma", "comma", "none", "none", "weak", "comma", "end", "none", "end",
    ]  # fmt: skip
    assert [word.pause for word in spoken_words("木桌，上", "zh")] == ["none", "comma", "end"]


def test_any_text_is_spoken_somehow() -> None:
    rng = random.Random(4)
    alphabet = "abcxyzQÉßñ 0123456789.,-'’\"()%&$…，。「」ーっゃアン猫木가힣жшΩάאहع\u0301\U0001f600 \n"
    for text in [*("".join(rng.choices(alphabet, k=rng.randint(1, 12))) for _ in range(2000)), "...", "😀"]:
        words = spoken_words(text, language_of(text))
        assert words
        assert all(sound in KIND_OF for word in words for sound in word.sounds)
        assert all(word.pause in PAUSES and word.seconds > 0 for word in words)
        assert words[-1].pause == "end"


def heard(text: str, *, step: float = 0.5) -> list[HeardWord]:
    return [HeardWord(f" {word}", step * n, step * n + 0.4) for n, word in enumerate(text.split())]


def test_heard_words_are_given_to_the_script() -> None:
    words = spoken_words("The keeper's daughter climbed 24 stairs, and counted boats.", "en")
    matched = match_words(heard("the keepers daughter, climbed 24 stares and er counted boats"), words)
    assert [round(word.start, 2) for word in matched] == [0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 4.5]
    assert [word.certain for word in matched] == [True] * 5 + [False] + [True] * 3


def test_words_that_were_not_heard_lie_between_their_neighbours() -> None:
    words = spoken_words("The keeper climbed the narrow stairs every evening.", "en")
    matched = match_words(
        [HeardWord("The keeper", 0, 1), HeardWord("climbed", 1, 1.5), HeardWord("every evening", 3, 4)], words
    )
    assert [word.certain for word in matched] == [True, True, True, False, False, False, True, True]
    assert matched[3].start == pytest.approx(1.5)
    assert matched[5].end == pytest.approx(3)
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(matched))
    lengths = [word.end - word.start for word in matched[3:6]]
    assert lengths[1] > lengths[0]


def test_chinese_is_matched_by_characters() -> None:
    words = spoken_words("小狗守在窗口，等人回家。", "zh")
    matched = match_words(
        [HeardWord("小狗", 0, 1), HeardWord("守在床口", 1, 3), HeardWord("等人回家", 4, 6)], words
    )
    assert [word.start for word in matched] == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 4, 4.5, 5, 5.5])
    assert [n for n, word in enumerate(matched) if not word.certain] == [4]


def test_another_text_is_refused() -> None:
    words = spoken_words("The keeper climbed the narrow stairs every evening.", "en")
    with pytest.raises(MontageError, match=r"take\.wav does not seem to read this script: 1 of its 8 words"):
        match_words(heard("bread begins with the salt"), words, path=Path("take.wav"))
    with pytest.raises(MontageError, match="0 of its 8"):
        match_words([], words)


def test_a_recogniser_needs_its_weights(tmp_path: Path) -> None:
    assert recogniser_folder(tmp_path) is None
    assert recogniser_folder() is None
