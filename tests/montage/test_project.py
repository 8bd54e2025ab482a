"""The project file keeps what it is given, and what it does not know."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest

from index.base import Span
from montage.cut import Choice, Cut, Taste
from montage.presets import load_preset
from montage.project import PROJECT_VERSION, Project, project_path
from montage.script import parse_script
from montage.values import Alternate, MontageError, Slot

TEXT = "The sea is calm. A boat comes home.\n\nNight falls."


def a_cut(text: str = TEXT, taste: Taste | None = None) -> Cut:
    script = parse_script(text)
    slots = tuple(
        Slot(
            sentence=sentence.id,
            kind="footage",
            frames=70 + place,
            shot=f"shot{place}",
            media="m" * 32,
            span=Span(Fraction(place), Fraction(place) + Fraction(70 + place, 25) * Fraction(4, 5)),
            speed=Fraction(4, 5),
            match=0.5,
            costs={"match": 0.25},
            alternates=(Alternate("other", Span(Fraction(1), Fraction(2)), 0.25),),
            why="sea",
        )
        for place, sentence in enumerate(script.sentences)
    )
    # Only the names of the library's encoder are asked for here.
    library = SimpleNamespace(encoder_name="embedded", encoder_hash="0" * 16)
    return Cut(
        script=script,
        slots=slots,
        preset=load_preset("documentary"),
        fps=Fraction(25),
        objective=1.5,
        bound=1.25,
        rule_totals={"match": 0.75},
        taste=taste or Taste(),
        library=library,
    )


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    script = tmp_path / "story.txt"
    first = a_cut().script.sentences[0].id
    taste = Taste(pins={first: Choice("shot9", Span(Fraction(1, 3), Fraction(2)))}, bans=frozenset({"shot7"}))
    cut = a_cut(taste=taste)
    Project.for_script(script).updated(cut, {"fps": "25"}).save()
    assert project_path(script) == tmp_path / "story.montage.json"
    project = Project.for_script(script)
    assert project.slots == cut.slots
    assert project.taste == taste
    assert project.setting("fps") == "25"
    assert project.sentences == tuple((sentence.id, sentence.text) for sentence in cut.script.sentences)


def test_saving_the_same_cut_twice_changes_no_byte(tmp_path: Path) -> None:
    script = tmp_path / "story.txt"
    Project.for_script(script).updated(a_cut()).save()
    before = project_path(script).read_bytes()
    Project.for_script(script).updated(a_cut()).save()
    assert project_path(script).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["story.montage.json"]


def test_unknown_keys_survive_at_every_level(tmp_path: Path) -> None:
    script = tmp_path / "story.txt"
    Project.for_script(script).updated(a_cut(), {"fps": "25"}).save()
    path = project_path(script)
    data = json.loads(path.read_text(encoding="utf-8"))
    data["review"] = {"by": "Ana"}
    data["settings"]["grade"] = "warm"
    data["sentences"][1]["note"] = "too long?"
    data["slots"][2]["stars"] = 4
    path.write_text(json.dumps(data), encoding="utf-8")
    Project.for_script(script).updated(a_cut(), {"fps": "24"}).save()
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert kept["review"] == {"by": "Ana"}
    assert kept["settings"] == {"fps": "24", "grade": "warm"}
    assert kept["sentences"][1]["note"] == "too long?"
    assert kept["slots"][2]["stars"] == 4


def test_a_sentence_that_left_is_retired_with_its_pin(tmp_path: Path) -> None:
    script = tmp_path / "story.txt"
    cut = a_cut()
    gone = cut.script.sentences[2].id
    taste = Taste(pins={gone: Choice("shot3")})
    project = Project.for_script(script).updated(a_cut(taste=taste))
    project = project.updated(a_cut("The sea is calm. A boat comes home.", taste=project.taste))
    assert [entry["text"] for entry in project.data["retired"]] == ["Night falls."]
    assert project.taste.pins[gone] == Choice("shot3")
    assert (gone, "Night falls.") in project.sentences


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "damaged"),
        ("[]", "no version number"),
        (json.dumps({"version": PROJECT_VERSION + 1}), "newer montage"),
        (json.dumps({"version": 1, "slots": [{"kind": "footage"}]}), "damaged"),
        (json.dumps({"version": 1, "settings": None}), "damaged"),
        (json.dumps({"version": 1, "settings": {"size": [1]}}), "damaged"),
        (json.dumps({"version": 1, "settings": {"fps": "1/0"}}), "damaged"),
        (json.dumps({"version": 1, "pins": []}), "damaged"),
        (json.dumps({"version": 1, "pins": {"s1": {"shot": "a", "span": ["1/0", "2"]}}}), "damaged"),
        (json.dumps({"version": 1, "sentences": [{"id": 5, "text": "A."}]}), "damaged"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_left_alone(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "story.montage.json"
    path.write_text(text)
    with pytest.raises(MontageError, match=says):
        Project.for_script(tmp_path / "story.txt")
    assert path.read_text() == text


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "story.txt"
    Project.for_script(script).updated(a_cut()).save()
    before = project_path(script).read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(MontageError, match="No space left"):
        Project.for_script(script).updated(a_cut("Something else.")).save()
    assert project_path(script).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["story.montage.json"]
