"""Style: what is learnt from a film that was cut on purpose, and films that are cut like it."""

from __future__ import annotations

import json
import math
import random
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

import montage
from index.base import Span, ffmpeg_path
from index.values import SHOT_SIZES, Look, Shot
from montage.cli import main
from montage.presets import PRESETS, load_preset
from montage.script import parse_script
from montage.style import _learnt, _style, learn_style, read_style
from montage.values import MontageError


def cut_film(folder: Path, clips: Sequence[Path], lengths: Sequence[float], name: str) -> Path:
    """A film of hard cuts from clip to clip, with these lengths in seconds."""
    inputs, filters = [], []
    for number, length in enumerate(lengths):
        inputs += ["-t", str(length), "-i", str(clips[number % len(clips)])]
        frames = round(25 * length)
        filters.append(
            f"[{number}:v]fps=25,scale=320:180,setsar=1,tpad=stop=-1:stop_mode=clone,trim=end_frame={frames}[v{number}]"
        )
    joined = "".join(f"[v{number}]" for number in range(len(lengths)))
    filters.append(f"{joined}concat=n={len(lengths)}[out]")
    path = folder / name
    subprocess.run(
        [
            ffmpeg_path(),
            "-v",
            "error",
            *inputs,
            "-filter_complex",
            ";".join(filters),
            "-map",
            "[out]",
            "-preset",
            "ultrafast",
            str(path),
        ],
        check=True,
    )
    return path


@pytest.fixture(scope="module")
def clips(sample_library: Path) -> list[Path]:
    truth = json.loads((sample_library / "truth.json").read_text(encoding="utf-8"))
    return [sample_library / name for name in sorted(truth) if not truth[name]["boundaries"]][:12]


SCRIPT = """It begins with a cup of coffee, still hot on the wooden table of the old kitchen by the window.
The cat has been awake for hours, and says so with its eyes to everybody who comes near.
In the garden an orange flower has opened all of its petals, and waits for the first of the bees.
A ladybird climbs up along a green stem, as if nothing else in the world had ever mattered.
Far away the mountains keep their snow, and nobody has seen them so clear for many years."""


@pytest.mark.parametrize(("name", "pace", "spread"), [("fast", 1.1, 0.3), ("slow", 4.5, 0.15)])
def test_a_film_teaches_its_lengths_and_a_plan_has_them(
    tmp_path: Path, clips: list[Path], sample_index: Path, name: str, pace: float, spread: float
) -> None:
    chance = random.Random(name)
    lengths = [round(25 * pace * math.exp(chance.gauss(0, spread))) / 25 for _ in range(16)]
    style = read_style(cut_film(tmp_path, clips, lengths, f"{name}.mp4"))
    assert abs(len(style.lengths) - len(lengths)) <= 1
    preset = style.preset(name)
    assert float(preset.pace) == pytest.approx(statistics.median(lengths), rel=0.15)
    assert preset.spread == pytest.approx(statistics.stdev(map(math.log, lengths)), abs=0.15)
    assert preset.minimum <= preset.pace <= preset.maximum
    library = montage.Library.open(sample_index)
    cut = montage.plan(parse_script(SCRIPT), library, preset)
    shown = [float(slot.frames / 25) for slot in cut.slots if slot.kind == "footage"]
    assert 60 * len(shown) / sum(shown) == pytest.approx(style.rate, rel=0.3)


def test_a_grammar_is_learnt_as_far_as_there_is_evidence() -> None:
    before = ((0.5, 0.5, 0.0), (1.0, 0.0, 0.3), (0.2, 0.4, 0.6))
    learnt = _learnt(((0, 20, 10), (2, 0, 0), (0, 0, 0)), before)
    # Thirty neighbours follow the first, so that the film has 30 of 40 parts; two follow the second.
    assert learnt[0] == pytest.approx((5 / 40, (30 + 5) / 40, (30 * 0.5) / 40))
    assert learnt[1] == pytest.approx((1.0, 0.0, 3 / 12))
    assert learnt[2] == before[2]


def look(**changes: object) -> Look:
    plain = Look(
        brightness=0.5,
        contrast=0.2,
        saturation=0.4,
        lab=(50, 0, 0),
        sharpness=0.5,
        shake=0,
        motion=0.1,
        move="static",
    )
    return replace(plain, **changes)


def shots(looks: Sequence[Look], seconds: int = 2) -> list[Shot]:
    spans = [Span(Fraction(seconds * n), Fraction(seconds * (n + 1))) for n in range(len(looks))]
    return [
        Shot(id=str(n), media="m", span=span, windows=(span,), look=one)
        for n, (span, one) in enumerate(zip(spans, looks, strict=True))
    ]


def test_black_titles_and_credits_are_left_out_and_part_their_neighbours() -> None:
    black = look(brightness=0.0, contrast=0.0, saturation=0.0, motion=0.0)
    logo = look(brightness=0.08, saturation=0.05, motion=0.0)
    titles = look(brightness=0.1, text=0.05)
    wide, close = look(size="LS", move="pan-left"), look(size="CU", move="static")
    night = look(brightness=0.08, saturation=0.05, motion=0.0)  # within the film it is a picture
    style = _style(
        "film.mp4", shots([black, logo, *[wide, close] * 5, black, wide, titles, close, night, wide, logo])
    )
    assert (len(style.lengths), style.left_out) == (14, 5)
    assert style.sizes[SHOT_SIZES.index("LS")][SHOT_SIZES.index("CU")] == 5
    assert style.sizes[SHOT_SIZES.index("CU")][SHOT_SIZES.index("LS")] == 4
    assert sum(map(sum, style.sizes)) == 9  # none over the black, the title, or where a size is unknown
    assert sum(map(sum, style.moves)) == 11
    assert style.preset("mine", "trailer").title_seconds == PRESETS["trailer"].title_seconds


def test_the_command_writes_a_preset_that_plan_takes(
    tmp_path: Path, clips: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    film = cut_film(tmp_path, clips, [0.8, 1.2] * 7, "quick.mp4")
    target = tmp_path / "quick.toml"
    assert main(["learn-style", str(film), "-o", str(target), "--extends", "calm", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    preset = load_preset(target)
    assert told["pace"] == float(preset.pace)
    assert preset.weights == {**PRESETS["calm"].weights, "tempo": preset.weights["tempo"]}
    assert "Learnt from quick.mp4" in target.read_text(encoding="utf-8")
    assert learn_style(film, extends="calm") == preset
    (tmp_path / "notes.toml").write_text("mine = true\n", encoding="utf-8")
    assert main(["learn-style", str(film), "-o", str(tmp_path / "notes.toml")]) == 2
    assert "was not written by montage" in capsys.readouterr().err
    assert main(["presets", "calm"]) == 0
    shown = capsys.readouterr().out
    (tmp_path / "calm2.toml").write_text(shown, encoding="utf-8")
    assert load_preset(tmp_path / "calm2.toml") == replace(PRESETS["calm"], name="calm2")
    assert main(["presets"]) == 0
    assert "documentary" in capsys.readouterr().out


def test_a_film_of_few_pictures_teaches_nothing(tmp_path: Path, clips: list[Path]) -> None:
    film = cut_film(tmp_path, clips, [1.0] * 4, "short.mp4")
    told: list[float] = []
    with pytest.raises(MontageError, match="too few to learn a style from"):
        learn_style(film, progress=lambda done, promised, name: told.append(done / promised))
    assert told
    assert max(told) <= 1.1
    with pytest.raises(MontageError, match="stopped before"):
        learn_style(film, cancel=lambda: True)
