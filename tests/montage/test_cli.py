"""The command line: what each command asks of the API, its exit codes, its help."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from montage.cli import main
from montage.cli.commands import cli
from montage.cli.output import printable


def commands(group: click.Group = cli, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


@pytest.mark.parametrize(
    ("name", "command"), commands(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_says_what_it_does_and_gives_an_example(
    name: str, command: click.Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*name.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Example: montage {name}" in text
    assert {"--json", "-q", "-v"} <= {option for param in command.params for option in param.opts}
    assert all(param.help for param in command.params if isinstance(param, click.Option)), name


def test_the_readme_names_every_command() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    for name, _ in commands():
        assert f"montage {name}" in readme


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["render", "missing.txt"], "missing.txt"),
        (["render", "SCRIPT", "--size", "1921x1080"], "even"),
        (["render", "SCRIPT", "--size", "big"], "1920x1080"),
        (["render", "SCRIPT", "--fps", "0"], "frame rate"),
        (["plan", "SCRIPT"], "build-index"),
        (["plan", "SCRIPT", "--library", "FOLDER"], "build-index"),
        (["build-index", "FOLDER"], "FOLDER"),
        (["search", "a dog", "--library", "FOLDER"], "build-index"),
        (["models", "pull", "no-such-model"], "no-such-model"),
        (["info", "SCRIPT"], "script.txt"),
    ],
)
def test_bad_input_is_exit_2_with_one_message(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "script.txt"
    script.write_text("A dog runs.")
    places = {"SCRIPT": str(script), "FOLDER": str(tmp_path)}
    assert main([places.get(argument, argument) for argument in arguments]) == 2
    text = capsys.readouterr().err
    assert places.get(says, says) in text
    assert "Traceback" not in text


def test_an_unexpected_error_is_exit_1_and_v_shows_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("montage.cli.reports.run_doctor", broken)
    assert main(["doctor"]) == 1
    assert "oops" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        main(["doctor", "-v"])


def test_build_index_asks_the_api_for_what_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    def build_index(folder: Path, **options: Any) -> SimpleNamespace:
        asked.update(options, folder=folder)
        return SimpleNamespace(
            root=folder,
            store_dir=folder / ".montage",
            encoder_name="embedded",
            media={},
            shots={},
            problems=(),
        )

    monkeypatch.setattr("index.builder.build_index", build_index)
    arguments = ["build-index", str(tmp_path), "--encoder", "embedded", "--workers", "3", "--json"]
    assert main([*arguments, "--ray", "local", "--keep-shards"]) == 0
    assert asked.pop("progress") is not None
    assert asked == {
        "folder": tmp_path,
        "encoder": "embedded",
        "workers": 3,
        "store": None,
        "detector": "auto",
        "ray": "local",
        "keep_shards": True,
    }
    assert json.loads(capsys.readouterr().out)["library"] == str(tmp_path)


def test_shards_are_kept_only_of_a_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build-index", str(tmp_path), "--keep-shards"]) == 2
    assert "--ray ADDRESS" in capsys.readouterr().err


def test_doctor_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("montage.cli.reports.PACKAGES", ("click", "no-such-package"))
    assert main(["doctor", "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["missing"] == ["no-such-package"]
    assert data["next"][0] == "pip install no-such-package"


def test_a_reader_that_goes_away_is_no_error() -> None:
    pipe = f"{sys.executable} -m montage models list | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", pipe],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert "Traceback" not in done.stderr


def test_file_names_cannot_act_on_the_terminal() -> None:
    assert printable("a\nb\x1b[2Jc\udcff") == "a\\nb\\x1b[2Jc\\udcff"
    assert printable("北京 é") == "北京 é"
