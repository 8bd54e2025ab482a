"""Idioms: what a paragraph's patterns ask of each of its sentences, alone and composed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from montage.idioms import IdiomWish, idiom_wishes
from montage.presets import PRESETS
from montage.script import parse_script
from montage.values import Idiom

PLAIN = PRESETS["documentary"]
FOUR = "The sea is calm. A boat leaves. The net is cast. A fish jumps."


def scales(text: str, *idioms: Idiom) -> list[float | None]:
    preset = replace(PLAIN, idioms=idioms)
    script = parse_script(text)
    wishes = idiom_wishes(script, preset)
    assert list(wishes) == [sentence.id for sentence in script.sentences]
    return [wish.scale for wish in wishes.values()]


def subjects(text: str) -> list[str]:
    return [wish.subject for wish in idiom_wishes(parse_script(text), PLAIN).values()]


def test_without_idioms_nothing_is_asked() -> None:
    assert set(idiom_wishes(parse_script(FOUR), PLAIN).values()) == {IdiomWish(None, "")}


def test_start_wide_asks_the_first_sentence_alone() -> None:
    assert scales("[idiom start-wide] " + FOUR) == [0.5, None, None, None]


def test_intensify_goes_closer_in_even_steps() -> None:
    found = scales("[idiom intensify] " + FOUR)
    assert found == pytest.approx([1.0, 5 / 3, 7 / 3, 3.0])
    assert scales("[idiom intensify] A boat leaves.") == [None]


def test_peaks_and_valleys_take_turns() -> None:
    assert scales("[idiom peaks-and-valleys] " + FOUR) == [1, 3, 1, 3]


def test_what_exclaims_or_asks_is_a_peak() -> None:
    text = "[idiom peaks-and-valleys] The sea is calm. A boat leaves. Look! It sinks. Why? Nobody knows."
    assert scales(text) == [1, 1, 3, 1, 3, 1]
    assert scales("[idiom peaks-and-valleys] Why? Who? Where?") == [1, 3, 1]
    assert scales("[idiom peaks-and-valleys] 海很平静。看！") == [1, 3]
    assert scales("[idiom peaks-and-valleys] Look!") == [3]
    assert scales("[idiom peaks-and-valleys] A boat.") == [None]


def test_idioms_compose() -> None:
    assert scales("[idiom start-wide, intensify] " + FOUR) == pytest.approx([0.5, 4 / 3, 13 / 6, 3.0])
    assert scales("[idiom start-wide, peaks-and-valleys] " + FOUR) == [0.5, 3, 1, 3]
    assert scales("[idiom intensify, peaks-and-valleys] " + FOUR) == [1, 2, 1, 3.5]
    # The order in which they are written does not matter.
    assert scales("[idiom peaks-and-valleys, intensify, start-wide] " + FOUR) == [0.5, 2, 1, 3.5]


def test_a_paragraph_of_its_own_goes_before_the_preset() -> None:
    wide = Idiom("start-wide")
    text = f"{FOUR}\n\n[idiom intensify] It rains. It pours.\n\n[idiom none] One. Two.\n\nAlone it stands."
    assert scales(text, wide) == [0.5, None, None, None, 1, 3, None, None, None]
    assert scales("[idiom start-wide] Alone it stands.") == [0.5]


def test_a_size_in_the_script_and_a_skipped_sentence_are_heeded() -> None:
    text = "[idiom intensify] It rains. [skip] It pours. [size wide] It stops. The sun comes out."
    assert scales(text) == [1, None, None, 3]
    assert scales("[idiom start-wide] [skip] It rains. It pours.") == [None, 0.5]
    assert scales("[idiom start-wide] [skip] It rains.") == [None]


def test_a_subject_is_asked_of_every_sentence() -> None:
    assert subjects("[idiom emphasise the dog] It rains. He runs.\n\nThe end.") == ["the dog", "the dog", ""]
    both = "[idiom emphasise the dog, emphasise a cat] It rains. The CAT hides. The catalogue is wet. Off."
    assert subjects(both) == ["the dog", "a cat", "a cat", "the dog"]
    assert subjects("[idiom emphasise 猫, emphasise 狗] 下雨了。小狗跑了。") == ["猫", "狗"]
    script = parse_script("[idiom emphasise the dog, intensify] It rains. He runs.")
    assert idiom_wishes(script, PLAIN)["s2"] == IdiomWish(3.0, "the dog")
    preset = replace(PLAIN, idioms=(Idiom("start-wide"), Idiom("emphasise", "the sea")))
    assert idiom_wishes(parse_script("It rains."), preset)["s1"] == IdiomWish(None, "the sea")


def test_a_scale_beyond_the_sizes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"between 0 and 4, got 4\.5"):
        IdiomWish(4.5)
