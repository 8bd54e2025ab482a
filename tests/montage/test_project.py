"""The project file keeps what it is given, and what it does not know."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_all_taste_comes_back_sorted(tmp_path: Path) -> None:
    script = tmp_path / "story.txt"
    taste = Taste(
        pins={"s3": Choice("b")},
        bans=frozenset({"y", "x"}),
        sentence_bans={"s2": frozenset({"w", "v"}), "s1": frozenset({"a"}), "s3": frozenset()},
        locks=frozenset({"s2", "s1"}),
        prefers=frozenset({"q", "p"}),
        sentence_prefers={"s3": frozenset({"n", "m"})},
    )
    Project.for_script(script).updated(replace(a_cut(taste=taste), kept=(2, 3))).save()
    project = Project.for_script(script)
    assert project.taste == taste
    assert project.data["locks"] == ["s1", "s2"]
    assert project.data["prefers"] == ["p", "q"]
    assert project.data["sentence_bans"] == {"s1": ["a"], "s2": ["v", "w"]}
    assert project.data["cut"]["kept"] == {"of": 3, "pictures": 2}
    text = project.path.read_text(encoding="utf-8")
    assert text.index('"s1": [') < text.index('"s2": [')
    project.updated(replace(a_cut(taste=project.taste), kept=(2, 3))).save()
    assert project.path.read_text(encoding="utf-8") == text


IDS = st.text(alphabet="ab-12字", min_size=1, max_size=4)
SETS = st.frozensets(IDS, max_size=3)


@given(
    pins=st.dictionaries(
        IDS, st.builds(Choice, IDS, st.none() | st.just(Span(Fraction(1, 7), 2))), max_size=3
    ),
    bans=SETS,
    sentence_bans=st.dictionaries(IDS, SETS, max_size=3),
    locks=SETS,
)
def test_any_taste_comes_back(
    pins: dict[str, Choice],
    bans: frozenset[str],
    sentence_bans: dict[str, frozenset[str]],
    locks: frozenset[str],
) -> None:
    first = Taste(pins=pins, bans=bans, sentence_bans=sentence_bans, locks=locks)
    second = Taste(prefers=bans, sentence_prefers=sentence_bans)
    for taste in (first, second):
        data = Project(Path("story.montage.json"), {"version": 1}).updated(a_cut(taste=taste)).data
        assert Project(Path("story.montage.json"), json.loads(json.dumps(data))).taste == taste


def test_a_shot_is_not_both_banned_and_preferred() -> None:
    with pytest.raises(ValueError, match=r"shot a is both banned and preferred$"):
        Taste(bans=frozenset({"a"}), prefers=frozenset({"a", "b"}))
    with pytest.raises(ValueError, match="shot a is both banned and preferred for sentence s1"):
        Taste(sentence_bans={"s1": frozenset({"a"})}, sentence_prefers={"s1": frozenset({"a"})})
    with pytest.raises(ValueError, match="must hold ids"):
        Taste(bans=frozenset({""}))


OLD = """{
 "bans": ["shot7"],
 "cut": {"bound": 1.25, "objective": 1.5, "optimality_gap": 0.166667, "rules": {"match": 0.75}},
 "encoder": {"hash": "0000000000000000", "name": "embedded"},
 "pins": {"s2": {"shot": "shot9", "span": ["1/3", "2"]}},
 "retired": [{"id": "s4", "number": 4, "text": "Long gone."}],
 "seed": 0,
 "sentences": [
  {"id": "s1", "number": 1, "text": "The sea is calm."},
  {"id": "s2", "number": 2, "text": "A boat comes home."},
  {"id": "s3", "number": 3, "text": "Night falls."}
 ],
 "settings": {"fps": "25", "library": "footage", "preset": "documentary", "store": null},
 "slots": [
  {"alternates": [{"match": 0.25, "shot": "other", "span": ["1", "2"]}], "costs": {"match": 0.25},
   "frames": 70, "kind": "footage", "match": 0.5, "media": "mmmm", "sentence": "s1", "shot": "shot0",
   "span": ["0", "56/25"], "speed": "4/5", "take": null, "text": "", "why": "sea"},
  {"frames": 50, "kind": "gap", "sentence": "s2"}
 ],
 "version": 1
}
"""


def test_a_file_of_the_first_layout_still_loads(tmp_path: Path) -> None:
    (tmp_path / "story.montage.json").write_text(OLD, encoding="utf-8")
    project = Project.for_script(tmp_path / "story.txt")
    assert project.taste == Taste(
        pins={"s2": Choice("shot9", Span(Fraction(1, 3), 2))}, bans=frozenset({"shot7"})
    )
    assert [slot.kind for slot in project.slots] == ["footage", "gap"]
    assert project.retired_slots == ()
    assert project.sentences[3] == ("s4", "Long gone.")
    assert project.setting("length") is None
    after = project.updated(a_cut(taste=project.taste))
    assert after.taste == project.taste
    assert [entry["id"] for entry in after.data["retired"]] == ["s4"]


def test_a_sentence_that_returns_finds_its_taste_and_its_pictures(tmp_path: Path) -> None:
    script = tmp_path / "story.txt"
    cut = a_cut(
        taste=Taste(
            locks=frozenset({"s3"}),
            sentence_bans={"s3": frozenset({"b"})},
            sentence_prefers={"s3": frozenset({"p"})},
        )
    )
    project = Project.for_script(script).updated(cut)
    project.data["slots"][2]["stars"] = 4
    project = project.updated(a_cut("The sea is calm. A boat comes home.", taste=project.taste))
    project.save()
    project = Project.for_script(script)
    assert project.taste == cut.taste
    assert [slot.sentence for slot in project.slots] == ["s1", "s2"]
    assert project.retired_slots == cut.slots[2:]
    # A save without it changes nothing of what it showed.
    project = project.updated(a_cut("The sea is calm. A boat comes home.", taste=project.taste))
    assert project.retired_slots == cut.slots[2:]
    back = project.updated(a_cut(taste=project.taste))
    assert back.retired_slots == ()
    assert back.slots == cut.slots
    assert back.data["slots"][2]["stars"] == 4
    assert "slots" not in back.data["sentences"][2]


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
    data["cut"]["mood"] = "calm"
    path.write_text(json.dumps(data), encoding="utf-8")
    Project.for_script(script).updated(a_cut(), {"fps": "24"}).save()
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert kept["review"] == {"by": "Ana"}
    assert kept["settings"] == {"fps": "24", "grade": "warm"}
    assert kept["sentences"][1]["note"] == "too long?"
    assert kept["slots"][2]["stars"] == 4
    assert kept["cut"]["mood"] == "calm"


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
        (json.dumps({"version": 1, "locks": "s1"}), "damaged .locks must be a list of ids, got 's1'"),
        (json.dumps({"version": 1, "locks": [3]}), "damaged .locks must hold ids, got 3"),
        (json.dumps({"version": 1, "prefers": [["a"]]}), "damaged"),
        (json.dumps({"version": 1, "prefers": [""]}), "damaged .prefers must hold ids"),
        (json.dumps({"version": 1, "sentence_bans": ["s1"]}), "damaged"),
        (json.dumps({"version": 1, "sentence_prefers": {"s1": "a"}}), "must be a list of ids, got 'a'"),
        (json.dumps({"version": 1, "bans": ["a"], "prefers": ["a"]}), "shot a is both banned and preferred"),
        (json.dumps({"version": 1, "retired": [{"id": "s1", "text": "A.", "slots": [1]}]}), "damaged"),
        (
            json.dumps({"version": 1, "settings": {"length": "long"}}),
            "damaged .'long' is no length of a film",
        ),
        (json.dumps({"version": 1, "settings": {"length": 60}}), "damaged .length must be text"),
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
