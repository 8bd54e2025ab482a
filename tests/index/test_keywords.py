"""Words of sentences against names of footage."""

from __future__ import annotations

import numpy as np
import pytest

from index.keywords import Keywords, document_words, name_phrase, stem, words_of
from index.languages import language_of


def media(path: str, text: str = "") -> tuple[str, ...]:
    return document_words([path], text)


def scores_of(library: list[tuple[str, ...]], text: str, language: str = "en") -> np.ndarray:
    found, scores = Keywords.of(library).scores(text, language)
    out = np.zeros(len(library), np.float32)
    out[found] = scores
    return out


@pytest.mark.parametrize(
    ("text", "language"),
    [("A dog.", "en"), ("一只狗。", "zh"), ("犬が走る。", "ja"), ("개가 달린다", "ko"), ("", "en")],
)
def test_language_of(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    ("one", "other"),
    [("dogs", "dog"), ("running", "run"), ("runs", "run"),
     ("parties", "party"), ("boxes", "box"), ("riding", "ride"),
     ("women", "woman"), ("jumped", "jump"), ("candles", "candle"), ("horses", "horse"), ("runner", "run")],
)  # fmt: skip
def test_forms_of_a_word_meet(one: str, other: str) -> None:
    assert stem(one) == stem(other)


@pytest.mark.parametrize(
    ("one", "other"), [("glass", "glas"), ("tiger", "tig"), ("river", "riv"), ("bus", "bu")]
)
def test_other_words_do_not_meet(one: str, other: str) -> None:
    assert stem(one) != stem(other)


@pytest.mark.parametrize(
    "name",
    [
        "DSC_0412.MOV",
        "a7f3e2b19c04.mp4",
        "20240112_143000.mp4",
        "clip-0001.mp4",
        "IMG_2034.HEIC",
        "GOPR0042.MP4",
    ],
)
def test_opaque_names_say_nothing(name: str) -> None:
    assert media(name) == ()


def test_speaking_names() -> None:
    assert name_phrase("holiday/IMG_2034 Dog on beach.mp4") == "holiday IMG Dog on beach"
    assert set(words_of(name_phrase("BMXRider_02.mp4"))) == {"bmx", stem("rider")}
    assert words_of("一只黑天鹅静静地游过池塘。")[0] == "黑天鹅"
    assert "カメラ" in words_of("京都のカメラ")


def test_scores_and_the_words_met() -> None:
    library = [
        media("dog-beach.mp4"),
        media("blackswan.mp4"),
        media("x1.mp4", "two dogs in snow"),
        media("x2.mp4"),
    ]
    scores = scores_of(library, "The dogs run along the beach.")
    assert scores[0] > scores[2] > scores[1] == scores[3] == 0
    assert scores_of(library, "A black swan.").argmax() == 1
    keywords = Keywords.of(library)
    assert keywords.why("The dogs run along the beach.", "en", 0) == "dogs, beach"
    assert keywords.why("The dogs run along the beach.", "en", 3) == ""
    assert scores.max() <= 1


def test_a_word_inside_a_name_counts_less_than_a_whole_one() -> None:
    library = [media("swan.mp4"), media("blackswan.mp4"), media("swansong.mp4"), media("goose.mp4")]
    scores = scores_of(library, "A swan.")
    assert scores[0] > scores[1] == scores[2] > scores[3] == 0


def test_a_word_that_all_names_share_says_nothing() -> None:
    library = [media(f"beach/{name}.mp4") for name in ("dog", "cat", "bird")]
    assert scores_of(library, "The beach.").max() == 0
    assert Keywords.of(library).why("The beach.", "en", 0) == ""


def test_a_chinese_sentence_meets_english_and_chinese_names() -> None:
    library = [media("goat.mp4"), media("candles.mp4"), media("海滩.mp4")]
    assert scores_of(library, "山羊站在岩石上。", "zh").argmax() == 0
    assert scores_of(library, "海滩上的狗。", "zh").argmax() == 2


def test_no_documents() -> None:
    found, scores = Keywords.of([]).scores("A dog.", "en")
    assert len(found) == len(scores) == 0
