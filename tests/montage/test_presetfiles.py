"""Preset files: what is written is read, and what cannot be is named with its line."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from montage.presetfiles import preset_toml, read_preset, write_preset
from montage.presets import PRESETS, Preset, load_preset
from montage.rules import RULES, Grammar
from montage.values import Idiom, MontageError

EXAMPLE = """\
# quick and close
extends = "social"
says = "Quick, close, no pans."
pace = 2.5
idioms = ["start-wide", "emphasise the dog"]

[weights]
"camera moves" = 1.5
match = 4

[grammar]
sizes = [
    [0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0],
    [1, 1, 1, 1, 1],
    [0.5, 0, 0, 0, 0],
    [0, 0, 0, 0, 0],
]
"""


def written(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_says_what_differs_from_what_it_extends(tmp_path: Path) -> None:
    preset = load_preset(written(tmp_path, EXAMPLE))
    social = PRESETS["social"]
    assert (preset.name, preset.says, preset.pace) == ("mine", "Quick, close, no pans.", Fraction(5, 2))
    assert (preset.minimum, preset.maximum, preset.title_seconds) == (1, 4, Fraction(3, 2))
    assert preset.idioms == (Idiom("start-wide"), Idiom("emphasise", "the dog"))
    assert preset.all_weights == {**social.all_weights, "camera moves": 1.5, "match": 4.0}
    assert preset.grammar.sizes[3][0] == 0.5
    assert preset.grammar.moves == social.grammar.moves
    child = load_preset(str(written(tmp_path, 'extends = "mine.toml"\nmaximum = 5', "child.toml")))
    assert child == replace(preset, name="child", maximum=Fraction(5))
    assert load_preset(written(tmp_path, "", "empty.toml")) == replace(PRESETS["documentary"], name="empty")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            "\n\npace = 9\n",
            3,
            "pace must lie between minimum and maximum, got minimum 1.5, pace 9, maximum 6",
        ),
        ("maximum = 2", 1, "change maximum"),
        ('pace = "fast"', 1, "pace needs a number, got 'fast'"),
        ("pace = -1", 1, "positive number of seconds, got -1"),
        ("pace = nan", 1, "needs a number, got nan"),
        ("pace = true", 1, "needs a number, got true"),
        ("slots = 2.5", 1, "whole number from 1 to 10, got 2.5"),
        ("\npaec = 2", 2, "no setting 'paec'; did you mean 'pace'"),
        ("[weights]\nmatch = 1\nmacth = 2", 3, "no rule 'macth'; did you mean 'match'"),
        ('[weights]\n\n"jump cut" = -1', 3, "jump cut must not be negative, got -1"),
        ('[weights]\nmatch = "much"', 2, "match needs a number, got 'much'"),
        ("weights = 3", 1, r"needs a section \[weights\]"),
        ('pace = 3\nidioms = ["zoom in"]', 2, "is no idiom"),
        ("idioms = 3", 1, "needs a list such as"),
        ("[grammar]\nsizes = [[1, 2]]", 2, "sizes needs 5 rows of 5 scores, in the order ELS LS MS CU ECU"),
        ("[grammar]\nlooks = []", 2, "no grammar of 'looks'"),
        ('extends = "loud"', 1, "extends needs one of documentary, calm"),
        ("pace = 3\nspread = 0", 2, "from 0.01 to 3, got 0"),
        ("pace = \n", 1, "this is no TOML"),
        ("pace = 3\npace = 4", 2, "this is no TOML"),
        ("slowest = 1.5", 1, "at most 1, got 1.5"),
    ],
)
def test_what_cannot_be_is_named_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(MontageError, match=message) as caught:
        read_preset(written(tmp_path, text))
    assert f"mine.toml:{line}" in str(caught.value)


def test_files_that_are_no_presets(tmp_path: Path) -> None:
    with pytest.raises(MontageError, match="cannot read the preset file"):
        read_preset(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MontageError, match="UTF-8"):
        read_preset(tmp_path / "binary.toml")
    written(tmp_path, 'extends = "b.toml"', "a.toml")
    written(tmp_path, 'extends = "a.toml"', "b.toml")
    with pytest.raises(MontageError, match="in a circle"):
        read_preset(tmp_path / "a.toml")
    with pytest.raises(MontageError, match=r"no preset 'loud': choose one of documentary.*or a preset file"):
        load_preset("loud")


def test_only_presets_are_written_over(tmp_path: Path) -> None:
    path = write_preset(PRESETS["calm"], tmp_path / "mine.toml", ["learnt from nothing", ""])
    assert path.read_text(encoding="utf-8").splitlines()[1] == "# learnt from nothing"
    assert write_preset(PRESETS["social"], path) == path
    assert load_preset(path) == replace(PRESETS["social"], name="mine")
    other = written(tmp_path, "[tool]\n", "pyproject.toml")
    with pytest.raises(MontageError, match="was not written by montage"):
        write_preset(PRESETS["calm"], other)
    assert other.read_text(encoding="utf-8") == "[tool]\n"
    with pytest.raises(MontageError, match=r"ends in \.toml"):
        write_preset(PRESETS["calm"], tmp_path / "mine.txt")


milliseconds = st.integers(100, 20_000).map(lambda value: Fraction(value, 1000))
scores = st.integers(0, 1000).map(lambda value: value / 1000)


def table(count: int) -> st.SearchStrategy[tuple[tuple[float, ...], ...]]:
    def square(seed: int) -> tuple[tuple[float, ...], ...]:
        chance = random.Random(seed)
        return tuple(tuple(chance.randrange(1001) / 1000 for _ in range(count)) for _ in range(count))

    return st.integers(0, 10**6).map(square)


presets = st.builds(
    lambda lengths, **more: Preset(
        name="mine", minimum=sorted(lengths)[0], pace=sorted(lengths)[1], maximum=sorted(lengths)[2], **more
    ),
    st.tuples(milliseconds, milliseconds, milliseconds),
    says=st.text(max_size=20),
    look=st.text(max_size=20),
    negative=st.text(max_size=20),
    spread=st.integers(10, 3000).map(lambda value: value / 1000),
    slowest=st.integers(1, 1000).map(lambda value: Fraction(value, 1000)),
    title_seconds=milliseconds,
    candidates=st.integers(1, 500),
    slots=st.integers(1, 10),
    weights=st.dictionaries(st.sampled_from(sorted(RULES)), scores, max_size=5),
    grammar=st.builds(Grammar, sizes=table(5), moves=table(8)),
    idioms=st.sampled_from([(), (Idiom("intensify"),), (Idiom("emphasise", "a red kite"),)]),
)


@settings(max_examples=60, deadline=None)
@given(presets)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, preset: Preset) -> None:
    path = tmp_path_factory.mktemp("presets") / "mine.toml"
    path.write_text(preset_toml(preset), encoding="utf-8")
    assert read_preset(path) == preset
