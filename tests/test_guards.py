"""What users have is never lost, and what they change is noticed: files, projects, takes, pins."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

import montage
from index.base import FootageError
from index.library import Library
from montage.cli import main
from montage.project import Project
from montage.values import MontageError

CLIPS = ("coffee-cup.mp4", "tabby-cat.mp4", "orange-dahlia.mp4")
QUICK = ("--size", "160x90", "--quality", "draft")


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory, sample_library: Path) -> Path:
    folder = tmp_path_factory.mktemp("guards") / "footage"
    folder.mkdir()
    for name in CLIPS:
        shutil.copy2(sample_library / name, folder)
    montage.build_index(folder, encoder="embedded", workers=1)
    return folder


@pytest.fixture
def story(indexed: Path, tmp_path: Path) -> Path:
    """A folder with a copy of the footage and its index, and a script beside it."""
    shutil.copytree(indexed, tmp_path / "footage")
    (tmp_path / "story.txt").write_text("A cup of coffee.\n")
    return tmp_path


def render(story: Path, *options: str, code: int = 0) -> None:
    assert main(["render", str(story / "story.txt"), *QUICK, "-q", *options]) == code


def test_footage_is_never_overwritten(story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = story / "footage" / "tabby-cat.mp4"
    before = clip.read_bytes()
    script = story / "footage" / "tabby-cat.txt"
    script.write_text("A cup of coffee.\n")
    assert main(["render", str(script), *QUICK]) == 2
    assert "is no film of montage" in capsys.readouterr().err
    assert clip.read_bytes() == before
    (story / "alias.mp4").symlink_to(clip)
    render(story, "-o", str(story / "alias.mp4"), code=2)
    assert clip.read_bytes() == before


def test_captions_of_somebody_else_are_kept(story: Path) -> None:
    (story / "story.srt").write_text("mine")
    render(story, code=2)
    assert (story / "story.srt").read_text() == "mine"
    (story / "story.srt").unlink()
    render(story)
    render(story)  # a film of ours, and its captions, are replaced
    assert "coffee" in (story / "story.srt").read_text()


def test_footage_that_changed_is_noticed(story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = story / "footage" / "coffee-cup.mp4"
    original = clip.read_bytes()
    shutil.copy(story / "footage" / "orange-dahlia.mp4", clip)
    render(story, code=2)
    assert "has changed since it was indexed" in capsys.readouterr().err
    clip.write_bytes(original)  # another time of change, the same content
    render(story)


def test_films_of_ours_are_no_footage(story: Path) -> None:
    render(story, "-o", str(story / "footage" / "film.mp4"))
    library = montage.build_index(story / "footage", encoder="embedded", workers=1)
    assert len(library.media) == len(CLIPS)
    assert [(problem.path, "montage made" in problem.reason) for problem in library.problems] == [
        ("film.mp4", True)
    ]


def test_a_take_goes_when_it_is_no_longer_asked_for(story: Path) -> None:
    script = story / "story.txt"
    script.write_text("[generate] A cup of coffee.\n")
    render(story, "--fallback", "still")
    assert [slot.kind for slot in Project.for_script(script).slots] == ["still"]
    script.write_text("A cup of coffee.\n")
    render(story)
    assert [slot.kind for slot in Project.for_script(script).slots] == ["footage"]


def test_the_fallback_asked_for_counts_more_than_an_earlier_take(story: Path) -> None:
    script = story / "story.txt"
    script.write_text("[generate] A cup of coffee.\n")
    render(story, "--fallback", "card")
    assert [slot.kind for slot in Project.for_script(script).slots] == ["card"]
    render(story, "--fallback", "still")
    assert [slot.kind for slot in Project.for_script(script).slots] == ["still"]
    render(story)
    assert [slot.kind for slot in Project.for_script(script).slots] == ["still"]
    render(story, "--no-fallback", code=1)


@pytest.mark.parametrize("text", ["[hold 0.4s] Parliament.", "[hold 5s] Parliament.", "[hold 0.08s] A cat."])
def test_gaps_and_films_of_any_length(text: str, story: Path) -> None:
    (story / "story.txt").write_text("Parliament.\n")
    render(story)
    (story / "story.txt").write_text(text + "\n")
    render(story)


def test_a_store_goes_with_its_library(story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(story / "footage", story / "other")
    shutil.rmtree(story / "footage" / ".montage")
    montage.build_index(story / "footage", encoder="embedded", workers=1, store=story / "store")
    render(story, "--library", str(story / "footage"), "--store", str(story / "store"))
    assert Project.for_script(story / "story.txt").setting("store") == "store"
    render(story, "--library", str(story / "footage"))
    render(story, "--library", str(story / "other"))
    assert Project.for_script(story / "story.txt").setting("store") is None
    render(story)
    capsys.readouterr()
    assert main(["search", "a cat", "--store", str(story / "store"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["file"] == "tabby-cat.mp4"


def test_footage_that_moved_is_asked_for(story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    render(story, "--library", str(story / "footage"))
    (story / "footage").rename(story / "moved")
    render(story, code=2)
    assert "name its new place with --library" in capsys.readouterr().err
    render(story, "--library", str(story / "moved"))


def test_pins_that_cannot_be_are_refused(story: Path) -> None:
    library = Library.open(story / "footage")
    cat = next(hit.id for hit in library.search("a cat", k=1))
    cut = montage.plan(montage.parse_script("A cup of coffee.\n\n[skip] A cat."), library)
    for span in ((100, 200), (-5, 2), (2, 1)):
        with pytest.raises(MontageError, match="cannot pin"):
            cut.pin(1, cat, span)
    with pytest.raises(MontageError, match=r"\[skip\]"):
        cut.pin(2, cat)
    with pytest.raises(MontageError, match="no sentence 3"):
        cut.pin(3, cat)
    with pytest.raises(MontageError, match="no shot"):
        cut.pin(1, "nothing")
    pinned = cut.pin(1, cat, (0.5, 1.5))
    assert [(slot.shot, slot.span.start) for slot in pinned.slots] == [(cat, 0.5)]
    assert [slot.shot for slot in pinned.unpin(1).slots] == [slot.shot for slot in cut.slots]
    assert cat not in {slot.shot for slot in cut.ban(cat).slots}


@pytest.mark.parametrize("pin", ["tabby-cat.mp4@1-500", "tabby-cat.mp4@300-301", "dog.mp4", "footage"])
def test_a_pin_in_the_script_lies_within_the_library(
    pin: str, story: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (story / "story.txt").write_text(f"A cup of coffee.\n\n[pin {pin}] A cat.\n")
    render(story, code=2)
    said = capsys.readouterr().err
    assert re.search(rf"story\.txt:3:\d+: \[pin {re.escape(pin)}\] is outside the library", said), said


def test_a_file_that_vanished_is_named(story: Path) -> None:
    library = Library.open(story / "footage")
    os.remove(story / "footage" / "coffee-cup.mp4")
    with pytest.raises(FootageError, match=r"coffee-cup\.mp4"):
        montage.render(montage.plan(story / "story.txt", library), story / "film.mp4", size=(160, 90))
