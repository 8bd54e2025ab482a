"""Taste and planning together on the sample clips: what was decided by hand is in the next cut."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from index.library import Library
from montage.cli import main
from montage.cut import Cut
from montage.planning import plan
from montage.project import Project
from montage.script import parse_script
from montage.values import MontageError, Slot

TEXT = "A flower. A mountain with snow. An animal looks."


@pytest.fixture(scope="module")
def library(sample_index: Path) -> Library:
    return Library.open(sample_index)


@pytest.fixture(scope="module")
def cut(library: Library) -> Cut:
    return plan(parse_script(TEXT), library)


def own(cut: Cut, number: int) -> list[Slot]:
    return [slot for slot in cut.slots if slot.sentence == cut.sentence(number).id]


def held(cut: Cut, number: int) -> list[tuple[object, ...]]:
    return [(slot.shot, slot.span, slot.frames, slot.speed) for slot in own(cut, number)]


def shot(cut: Cut, number: int) -> str:
    name = own(cut, number)[0].shot
    assert name is not None
    return name


def test_a_locked_sentence_stays_to_the_frame(cut: Cut, library: Library) -> None:
    locked = cut.lock(2)
    assert held(locked, 2) == held(cut, 2)
    assert held(locked.ban(shot(cut, 1)).use(3, 1), 2) == held(cut, 2)
    longer = plan(
        parse_script("A flower stands alone. A mountain with snow, far away. An animal looks at us."),
        library,
        "calm",
        previous=locked,
    )
    assert held(longer, 2) == held(cut, 2)


def test_a_lock_in_the_script_keeps_what_the_project_says(cut: Cut, library: Library, tmp_path: Path) -> None:
    script = tmp_path / "story.txt"
    Project.for_script(script).updated(cut).save()
    script.write_text(TEXT.replace("A flower. A", "A flower, alone. [lock] A"), encoding="utf-8")
    again = plan(script, library, "calm", previous=Project.for_script(script))
    assert held(again, 2) == held(cut, 2)


def test_a_locked_sentence_that_returns_is_as_it_was(cut: Cut, library: Library, tmp_path: Path) -> None:
    script = tmp_path / "story.txt"
    used = cut.use(2, 1).lock(2)
    Project.for_script(script).updated(used).save()
    for text in ("A flower. An animal looks.", TEXT):
        project = Project.for_script(script)
        again = plan(parse_script(text), library, previous=project)
        project.updated(again).save()
    assert held(again, 2) == held(used, 2)


def test_a_pin_of_what_another_sentence_has_locked_is_named(cut: Cut) -> None:
    with pytest.raises(MontageError, match=r"sentence 1 .*sentence 2"):
        cut.lock(2).pin(1, shot(cut, 2))


def test_a_ban_for_one_sentence_leaves_the_shot_to_others(cut: Cut) -> None:
    banned = cut.ban(shot(cut, 1), 1)
    assert shot(banned, 1) != shot(cut, 1)
    assert shot(banned.unban(shot(cut, 1), 1).pin(1, shot(cut, 1)), 1) == shot(cut, 1)
    assert shot(cut.ban(shot(cut, 1), 2), 1) == shot(cut, 1)


def test_a_preferred_shot_is_shown_though_it_matches_less(cut: Cut) -> None:
    other = cut.alternates(1)[1].shot
    assert shot(cut.prefer(other, 1), 1) == other
    assert shot(cut.prefer(other), 1) == other
    assert shot(cut.prefer(other, 2), 1) == shot(cut, 1)


def test_the_script_bans_and_prefers_by_file(cut: Cut, library: Library) -> None:
    file = library.media[library.shots[shot(cut, 1)].media].paths[0]
    banned = plan(parse_script(f"[ban {file}] {TEXT}"), library)
    assert library.shots[shot(banned, 1)].media != library.shots[shot(cut, 1)].media
    other = cut.alternates(1)[1].shot
    preferred = plan(parse_script(f"[prefer {other}] {TEXT}"), library)
    assert shot(preferred, 1) == other


@pytest.mark.parametrize("directive", ["ban", "prefer"])
def test_a_file_that_the_library_lacks_is_named(directive: str, library: Library) -> None:
    with pytest.raises(MontageError, match=rf"script:1:\d+: \[{directive} nothing.mp4\]"):
        plan(parse_script(f"[{directive} nothing.mp4] {TEXT}"), library)


def test_one_of_several_pictures_is_replaced_and_the_rest_stays(library: Library) -> None:
    text = "[hold 7s] A flower in the garden opens its petals. An animal looks."
    several = plan(parse_script(text), library, "trailer")
    before = own(several, 1)
    assert len(before) > 1
    place = next(n for n, slot in enumerate(before, start=1) if several.alternates(1, n))
    with pytest.raises(MontageError, match=f"sentence 1 has {len(before)} pictures: say which"):
        several.use(1, 1)
    other = next(a for a in several.alternates(1, place) if a.shot not in {slot.shot for slot in before})
    after = own(several.use(1, other.shot, slot=place), 1)
    assert after[place - 1].shot == other.shot
    assert [s.shot for n, s in enumerate(after, 1) if n != place] == [
        s.shot for n, s in enumerate(before, 1) if n != place
    ]


def test_how_many_pictures_stayed_is_told(cut: Cut, library: Library) -> None:
    assert cut.kept is None
    changed = plan(parse_script(TEXT.replace("A flower", "A cup of coffee")), library, previous=cut)
    assert changed.kept == (2, 2)
    assert cut.use(3, 1).kept == (2, 2)


def test_the_film_lasts_as_long_as_it_should(sample_index: Path, tmp_path: Path) -> None:
    script = tmp_path / "story.txt"
    script.write_text(TEXT, encoding="utf-8")
    assert main(["plan", str(script), "--library", str(sample_index), "--length", "8s"]) == 0
    assert sum(slot.frames for slot in Project.for_script(script).slots) == 8 * 25
    assert main(["plan", str(script), "--length", "6-7s"]) == 0
    assert 6 * 25 <= sum(slot.frames for slot in Project.for_script(script).slots) <= 7 * 25


def test_a_cut_keeps_its_length_when_it_is_changed(library: Library) -> None:
    cut = plan(parse_script(TEXT), library, length=Fraction(8))
    assert cut.length == 8
    assert cut.use(1, 1).frames == cut.frames == 200
