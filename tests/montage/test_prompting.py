"""What a model is told to show: the sentence, who its pronoun is, and how the script wants it shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

import montage
from montage.intents import told_seconds
from montage.presets import PRESETS
from montage.prompting import NEGATIVE, noun_phrase, prompt_for
from montage.taste import Taste
from montage.values import MontageError

PLAIN = replace(PRESETS["documentary"], look="", negative="")


def prompts(text: str, preset: object = PLAIN, **more: object) -> list[str]:
    script = montage.parse_script(text)
    return [
        prompt_for(sentence, script, preset, Taste(), **more).text  # type: ignore[arg-type]
        for sentence in script.sentences
    ]


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("A red fox trots through the snow.", "A red fox"),
        ("The old fisherman mends his nets.", "The old fisherman"),
        ("An old man is sleeping.", "An old man"),
        ("Two brown dogs bark at the moon.", "Two brown dogs"),
        ("The children play in the garden.", "The children"),
        ("My grandmother's house stands by the sea.", "My grandmother's house"),
        ("A young fisherman's boat drifts.", "A young fisherman's boat"),
        ("Mount Fuji rises above the clouds.", "Mount Fuji"),
        ("It rains.", ""),
        ("Nobody knows why.", ""),
        ("", ""),
    ],
)
def test_noun_phrase_of_a_sentence(text: str, phrase: str) -> None:
    assert noun_phrase(text) == phrase


def test_pronouns_become_what_they_stand_for() -> None:
    assert prompts("A red fox waits in the grass. It jumps over the wall. Its tail is white.") == [
        "A red fox waits in the grass",
        "The red fox jumps over the wall",
        "The red fox's tail is white",
    ]
    assert prompts("Two brown dogs bark. They run away. Their ball is lost.")[1:] == [
        "The brown dogs run away",
        "The brown dogs' ball is lost",
    ]
    # Where no noun is seen, the sentence before goes along.
    assert prompts("Nobody knows why. It is so.")[1] == "Nobody knows why. It is so"
    # "This dog" names its noun itself.
    assert prompts("A dog barks. This dog is old.")[1] == "This dog is old"
    # Another paragraph is another matter.
    assert prompts("A red fox waits.\n\nIt jumps.")[1] == "It jumps"


def test_chinese_pronouns() -> None:
    assert prompts("一只红色的狐狸在草地上等待。它跳过了墙。")[1].endswith("狐狸跳过了墙")


def test_shot_size_and_move_are_told_in_words() -> None:
    assert prompts("[size close-up] [move pan-left] An old man mends his nets.") == [
        "An old man mends his nets, close-up, the camera pans left"
    ]
    assert prompts("[move dolly-in] The sea.") == ["The sea, slow dolly in"]


def test_the_preset_tells_the_look() -> None:
    preset = replace(PLAIN, look="16 mm film", negative="people")
    script = montage.parse_script("The sea is calm.")
    made = prompt_for(script.sentences[0], script, preset, Taste())
    assert made.text == "The sea is calm, 16 mm film"
    assert made.negative == f"people, {NEGATIVE}"


def test_prompts_that_were_written_take_the_place_of_the_sentence() -> None:
    script = montage.parse_script(
        "[prompt  a whale,\n seen from below] [move crane-up] It sings. The sea is calm."
    )
    first, second = script.sentences
    taste = Taste(prompts={first.id: "not this one", second.id: "waves at dusk"})
    assert prompt_for(first, script, PLAIN, taste).text == "a whale, seen from below, the camera cranes up"
    assert prompt_for(second, script, PLAIN, taste).text == "waves at dusk"


def test_shots_of_a_story_begin_alike() -> None:
    assert prompts("A fox waits.", same="a red fox") == ["A red fox, the same in every shot. A fox waits"]


def test_bad_prompts_are_named() -> None:
    with pytest.raises(MontageError, match=r"\[prompt\] needs what the shot should show"):
        montage.parse_script("[prompt] It sings.")
    with pytest.raises(MontageError, match="given twice"):
        montage.parse_script("[prompt a] [prompt b] It sings.")
    with pytest.raises(MontageError, match=r"no camera move.*dolly-in"):
        montage.parse_script("[move sideways] It sings.")


def test_moves_of_the_whole_camera_count_as_those_of_footage() -> None:
    moves = {
        "dolly-in": "zoom-in",
        "pull out": "zoom-out",
        "Truck-Left": "pan-left",
        "pedestal_down": "tilt-down",
    }
    for word, like in moves.items():
        directives = montage.parse_script(f"[move {word}] The sea.").sentences[0].directives
        assert directives.move == like
        assert directives.camera == word.casefold().replace(" ", "-").replace("_", "-")


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.2, "1 s"), (40.4, "40 s"), (120, "2 min"), (3000, "50 min"), (9000, "2.5 h")]
)
def test_times_as_people_say_them(seconds: float, told: str) -> None:
    assert told_seconds(seconds) == told
