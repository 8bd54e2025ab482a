"""The deny-list on prompts, and the zero-shot look at frames on vectors whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from generate import GenerationError
from generate.safety import INNOCENT, SEXUAL, check_prompt, is_sexual, refused_words, sexual_probability
from tests.conftest import REPOSITORY


@pytest.mark.parametrize(
    "prompt",
    [
        "A nude woman on a sofa",
        "Two people having sex",
        "a NAKED  man in the street",
        "naked-people at the lake",
        "explicit pornographic scene",
        "Eine nackte Frau im Garten",
        "une femme nue",
        "una mujer desnuda",
        "一个裸体的人",
        "裸の女性が立っている",
        "a sexualised child",
    ],
)
def test_sexual_prompts_are_refused_by_name(prompt: str) -> None:
    words = refused_words(prompt)
    assert words
    with pytest.raises(GenerationError, match="sexual content is not generated"):
        check_prompt(prompt)
    assert all(word.casefold() in prompt.casefold() for word in words)


@pytest.mark.parametrize(
    "prompt",
    [
        "A train through Sussex and Essex to Middlesex hospital",
        "The pilot sits in the cockpit",
        "A naked flame burns beside the naked rock",
        "The bare hills above the town, seen with the naked eye",
        "Chicken breast on a plate",
        "A mother feeds her baby",
        "Both sexes of the bird build the nest",
        "Michelangelo's David stands in Florence",
        "An analysis of cumulus clouds with a screwdriver",
        "A nude-coloured dress hangs in the shop",
        "Children play in the garden",
        "一个女孩在海边跑步",
        "子供が公園で遊んでいる",
        "Die Männer tragen Holz",
        "",
    ],
)
def test_innocent_prompts_pass(prompt: str) -> None:
    check_prompt(prompt)


def test_the_texts_of_this_repository_pass() -> None:
    for path in [
        *REPOSITORY.glob("sample_library/*.txt"),
        *REPOSITORY.glob("docs/*.md"),
        REPOSITORY / "README.md",
    ]:
        assert refused_words(path.read_text(encoding="utf-8")) == (), path


def test_look_at_frames_takes_the_worst_frame() -> None:
    rng = np.random.default_rng(0)
    described = rng.normal(size=(len(SEXUAL) + len(INNOCENT), 64)).astype(np.float32)
    described /= np.linalg.norm(described, axis=1, keepdims=True)

    def texts(said: list[str]) -> np.ndarray:
        assert said == [*SEXUAL, *INNOCENT]
        return described

    innocent, sexual = described[len(SEXUAL) + 2], described[1]
    assert sexual_probability(innocent[None], texts, 0.01) < 1e-6
    assert not is_sexual(sexual_probability(np.stack([innocent] * 3), texts, 0.01))
    found = sexual_probability(np.stack([innocent, sexual, innocent]), texts, 0.01)
    assert found > 0.99
    assert is_sexual(found)
    between = (innocent + sexual) / np.linalg.norm(innocent + sexual)
    assert 0.2 < sexual_probability(between[None], texts, 0.05) < 0.8
