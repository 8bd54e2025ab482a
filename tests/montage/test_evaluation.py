"""montage.evaluate and its command: one input, two side by side, groups, and what is said of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import montage
from index.encoders.base import Encoder
from montage.cli import main
from montage.compared import Row
from montage.evaluation import Evaluation
from montage.values import MontageError
from tests.montage.evaluationlab import (
    BLUE,
    ENCODER,
    GREEN,
    RED,
    ColourEncoder,
    cosine,
    film,
    painted,
    plain,
    take,
    textured,
    write,
)


def row(told: Evaluation, measure: str) -> Row:
    return next(one for one in told.rows if one.measure == measure)


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["evaluate", *arguments]) == code
    said = capsys.readouterr()
    return said.err if code else said.out


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two films of one script: the second shows what its sentences say."""
    folder = tmp_path_factory.mktemp("films")
    first = [(GREEN, 6, ""), (RED, 8, "green"), (BLUE, 8, "red"), (RED, 8, "red and blue"), (GREEN, 5, "")]
    second = [(GREEN, 6, ""), (GREEN, 8, "green"), (RED, 8, "red"), (RED, 8, ""), (GREEN, 5, "green")]
    return film(folder / "first.mp4", first, model="one"), film(folder / "second.mp4", second, model="two")


def test_the_encoder_of_these_tests_is_one() -> None:
    assert isinstance(ColourEncoder(), Encoder)


def test_two_films_are_compared_by_sentence(films: tuple[Path, Path]) -> None:
    told = montage.evaluate(*films, encoder=ENCODER)
    assert [column.name for column in told.columns] == ["first.mp4", "second.mp4"]
    assert [len(column.scores) for column in told.columns] == [3, 3]
    clipsim = row(told, "CLIPSIM")
    # Sentences 2 and 3 are in both; 4 and 5 each in one, and in no mean.
    first = (cosine(RED, (0, 1, 0)) + cosine(BLUE, (1, 0, 0))) / 2
    second = (cosine(GREEN, (0, 1, 0)) + cosine(RED, (1, 0, 0))) / 2
    assert clipsim.values == (pytest.approx(first, abs=0.02), pytest.approx(second, abs=0.02))
    assert clipsim.difference == pytest.approx(second - first, abs=0.03)
    assert (clipsim.pairs, clipsim.ahead) == (2, 2)
    assert clipsim.interval is not None
    assert 0 < clipsim.interval[0] <= clipsim.difference <= clipsim.interval[1]
    notes = " ".join(told.notes)
    assert "first.mp4 alone shows 1" in notes
    assert "second.mp4 alone shows 1" in notes
    assert row(told, "pass the gates").values == (0, 0)  # plain colours are flat
    assert told.as_data() == montage.evaluate(*films, encoder=ENCODER).as_data()


def test_folders_are_compared_by_prompt_over_their_seeds(tmp_path: Path) -> None:
    for name, shots in (
        ("a", [("red", RED), ("red", BLUE), ("Green  leaf", RED)]),
        ("b", [("red", RED), ("green leaf", GREEN)]),
    ):
        (tmp_path / name).mkdir()
        for number, (prompt, colour) in enumerate(shots):
            frames = [textured(n, colour) for n in range(6)]
            take(tmp_path / name / f"{number}.mp4", frames, prompt, seed=number)
    told = montage.evaluate(tmp_path / "a", tmp_path / "b", encoder=ENCODER)
    clipsim = row(told, "CLIPSIM")
    red = (cosine(RED, (1, 0, 0)) + cosine(BLUE, (1, 0, 0))) / 2
    assert clipsim.pairs == 2
    assert clipsim.values[0] == pytest.approx((red + cosine(RED, (0, 1, 0))) / 2, abs=0.03)
    assert not any(one.measure == "neighbour similarity" for one in told.rows)


def test_groups_of_one_folder_are_compared(tmp_path: Path) -> None:
    for seed, (prompt, colour, strategy) in enumerate(
        [
            ("red", RED, "direct"),
            ("red", BLUE, "restyle"),
            ("green", GREEN, "direct"),
            ("green", RED, "restyle"),
        ]
    ):
        painted(tmp_path, prompt, colour, strategy, seed=seed)
    told = montage.evaluate(tmp_path, by="strategy", encoder=ENCODER)
    values = {
        column.name: value for column, value in zip(told.columns, row(told, "CLIPSIM").values, strict=True)
    }
    assert values.keys() == {"direct", "restyle"}
    assert values["direct"] > values["restyle"] + 0.3
    assert row(told, "CLIPSIM").pairs == 2
    (only,) = montage.evaluate(tmp_path, by="model", encoder=ENCODER).columns
    assert (only.name, len(only.scores)) == ("painter", 4)


def test_inputs_with_nothing_in_common_are_compared_by_their_means(tmp_path: Path) -> None:
    for name, colour in (("red", RED), ("blue", BLUE)):
        take(tmp_path / f"{name}.mp4", [plain(colour)] * 4, name)
    told = montage.evaluate(tmp_path / "red.mp4", tmp_path / "blue.mp4", encoder=ENCODER)
    clipsim = row(told, "CLIPSIM")
    assert (clipsim.pairs, clipsim.interval) == (0, None)
    assert clipsim.difference == pytest.approx(0, abs=0.02)
    assert any("no sentence or prompt in common" in note for note in told.notes)


def test_videos_without_marks_have_no_clipsim_and_a_broken_one_is_told(
    tmp_path: Path, sample_library: Path
) -> None:
    shutil.copy(sample_library / "tabby-cat.mp4", tmp_path)
    shutil.copy(sample_library / "astronaut-portrait.mp4", tmp_path)
    told = montage.evaluate(tmp_path, encoder="embedded", frames=4)
    assert [score.encoded for score in told.columns[0].scores] == [4, 4]
    assert not any(one.measure == "CLIPSIM" for one in told.rows)
    consistency = row(told, "frame consistency").values[0]
    assert consistency is not None
    assert 0.9 < consistency <= 1
    assert row(told, "pass the gates").values == (1,)
    assert any("no CLIPSIM for 2 of 2" in note for note in told.notes)
    assert any("no CLIP, so that these figures" in note for note in told.notes)
    whole = (tmp_path / "tabby-cat.mp4").read_bytes()
    header = whole.find(b"mdat") + 8
    (tmp_path / "broken.mp4").write_bytes(whole[:header] + bytes(len(whole) - header))
    told = montage.evaluate(tmp_path, encoder=ENCODER, frames=4)
    assert len(told.columns[0].scores) == 2
    assert [problem.path.name for problem in told.problems] == ["broken.mp4"]


def test_what_does_not_go_together_is_refused(films: tuple[Path, Path]) -> None:
    with pytest.raises(MontageError, match="within one"):
        montage.evaluate(*films, by="model", encoder=ENCODER)
    with pytest.raises(MontageError, match="with itself"):
        montage.evaluate(films[0], films[0], encoder=ENCODER)


# -- the command ---------------------------------------------------------------------------------------------


def test_the_command_gives_the_data_of_the_api(
    films: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    places = [str(path) for path in films]
    told: dict[str, Any] = json.loads(run(capsys, *places, "--encoder", ENCODER, "--json"))
    assert told == json.loads(json.dumps(montage.evaluate(*films, encoder=ENCODER).as_data()))
    shot = told["columns"][0]["shots"][0]
    assert (shot["sentence"], shot["prompt"], shot["frames"], shot["strategy"]) == (2, "green", 8, "direct")


def test_the_command_shows_shots_and_tables(
    films: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = run(capsys, str(films[0]), "--encoder", ENCODER)
    assert "sentence 4: red and blue" in one
    assert "one, direct" in one
    assert "flat" in one
    both = run(capsys, *map(str, films), "--encoder", ENCODER)
    assert "better in 2 of 2" in both
    assert "difference" in both
    assert "sentence 4" not in both
    assert "sentence 4" in run(capsys, *map(str, films), "--encoder", ENCODER, "-v")
    (tmp_path / "takes").mkdir()
    (tmp_path / "footage").mkdir()
    made = painted(tmp_path / "takes", "red", RED, "restyle")
    write(tmp_path / "footage" / made.path.name, [textured(n, RED) for n in range(12)])
    against = ["--against", str(tmp_path / "footage"), "--encoder", ENCODER]
    said = run(capsys, str(tmp_path / "takes"), *against)
    assert "PSNR, dB" in said
    assert "SSIM" in said
    assert "1 of 1 compared" in said


def test_the_command_makes_a_page_and_counts_answers(
    films: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    made = json.loads(run(capsys, *map(str, films), "--blind", str(page), "--seed", "5", "--json"))
    assert (made["pairs"], made["left_out"]) == (2, 2)
    key = json.loads((tmp_path / "page.key.json").read_text())
    answers = []
    for name in ("ann", "bob"):
        record = {
            "montage_blind_answers": 1,
            "page": key["page"],
            "person": name,
            "answers": [
                {"pair": pair, "question": "look", "choice": "left" if side["left"] == 1 else "right"}
                for pair, side in key["pairs"].items()
            ],
        }
        answers.append(str(tmp_path / f"{name}.json"))
        Path(answers[-1]).write_text(json.dumps(record))
    count = ["--answers", *answers, "--key", made["key"]]
    told = json.loads(run(capsys, *count, "--json"))
    assert told["people"] == 2
    assert told["questions"][0]["second"] == 4
    assert told["questions"][0]["p"] == pytest.approx(0.125)
    said = run(capsys, *count)
    assert "2 people, 2 pairs" in said
    assert "prefer second.mp4" in said
    assert "0.125" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name one film or folder"),
        (["FILM", "FILM", "FILM"], "got 3"),
        (["FILM", "--blind", "page.html"], "--blind compares two"),
        (["--answers", "FILM"], "--key PAGE.key.json"),
        (["FILM", "--feature-range", "1", "-1"], "black and then white"),
        (["FILM", "--encoder", "nothing"], "unknown encoder"),
        (["FILM", "FILM", "--encoder", ENCODER], "compared with itself"),
        (["no-such-film.mp4"], "no-such-film.mp4"),
    ],
)
def test_bad_input_is_exit_2_with_one_message(
    arguments: list[str], says: str, films: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    said = run(capsys, *(str(films[0]) if one == "FILM" else one for one in arguments), code=2)
    assert says in said
    assert "Traceback" not in said
