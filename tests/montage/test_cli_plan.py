"""``montage plan``: what its options ask for and remember, and what it shows of taste."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import montage.planning
from montage.cli import main
from montage.cut import Choice, Cut
from montage.project import Project


@pytest.fixture
def script(sample_index: Path, tmp_path: Path) -> Path:
    """A script of its own in a folder of its own, planned once from the sample clips."""
    path = tmp_path / "story.txt"
    path.write_text("A flower. A mountain with snow.\n\nAn animal looks.", encoding="utf-8")
    assert main(["plan", str(path), "--library", str(sample_index), "--json"]) == 0
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the last plan was asked for; the real one then does it."""
    options: dict[str, Any] = {}
    real = montage.planning.plan

    def plan(*arguments: Any, **more: Any) -> Cut:
        options.clear()
        options.update(more, preset=arguments[2])
        known = {name: value for name, value in more.items() if name != "length"}
        return real(arguments[0], arguments[1], "documentary", **known)

    monkeypatch.setattr("montage.planning.plan", plan)
    return options


def setting(script: Path, name: str) -> Any:
    return Project.for_script(script).setting(name)


def test_a_length_is_remembered_until_none(script: Path, asked: dict[str, Any]) -> None:
    assert main(["plan", str(script), "--length", "8-10s"]) == 0
    assert asked["length"] == (Fraction(8), Fraction(10))
    assert setting(script, "length") == "8-10s"
    assert main(["plan", str(script)]) == 0
    assert asked["length"] == (Fraction(8), Fraction(10))
    assert main(["plan", str(script), "--length", "0:09"]) == 0
    assert asked["length"] == Fraction(9)
    assert main(["plan", str(script), "--length", "None"]) == 0
    assert asked.get("length") is None
    assert setting(script, "length") is None
    assert main(["plan", str(script)]) == 0
    assert asked.get("length") is None


@pytest.mark.parametrize("length", ["long", "0", "9-8s"])
def test_what_is_no_length_is_bad_input(
    script: Path, length: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = script.with_name("story.montage.json").read_bytes()
    capsys.readouterr()
    assert main(["plan", str(script), "--length", length]) == 2
    assert "write it as 60s, 1:00 or 55-65s, or none" in capsys.readouterr().err
    assert script.with_name("story.montage.json").read_bytes() == before


def test_a_preset_file_is_remembered_by_its_way_from_the_script(
    script: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = script.parent / "elsewhere"
    (elsewhere / "looks").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    assert main(["plan", str(script), "--preset", os.path.join("looks", "mine.toml")]) == 0
    assert Path(asked["preset"]).resolve() == elsewhere / "looks" / "mine.toml"
    assert setting(script, "preset") == "elsewhere/looks/mine.toml"
    monkeypatch.chdir(script.parent.parent)
    assert main(["plan", str(script)]) == 0
    assert Path(asked["preset"]) == elsewhere / "looks" / "mine.toml"
    assert setting(script, "preset") == "elsewhere/looks/mine.toml"
    assert main(["plan", str(script), "--preset", "calm"]) == 0
    assert asked["preset"] == setting(script, "preset") == "calm"
    assert main(["plan", str(script)]) == 0
    assert asked["preset"] == "calm"


def test_an_unknown_preset_is_bad_input(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(script), "--preset", "slow"]) == 2
    assert "no preset 'slow'" in capsys.readouterr().err


def test_the_table_shows_what_is_pinned(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project.for_script(script)
    shown = next(slot.shot for slot in project.slots if slot.sentence == "s3")
    assert shown is not None
    project.data["pins"]["s3"] = {"shot": shown, "span": None}
    project.save()
    capsys.readouterr()
    assert main(["plan", str(script)]) == 0
    lines = capsys.readouterr().out.splitlines()
    held = [line.split(".")[0] for line in lines if ", pinned" in line]
    assert held == ["3  An animal looks"]
    assert main(["plan", str(script), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [slot["pinned"] for slot in data["slots"]] == [False, False, True]
    assert Project.for_script(script).taste.pins == {"s3": Choice(shown)}
