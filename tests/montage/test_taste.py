"""Taste on a real library: pins, locks, bans, preferences and alternates, and what contradicts what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest

from index.base import Span
from index.library import Library
from montage.cut import Choice, Cut, Taste
from montage.planning import plan
from montage.script import parse_script
from montage.taste import kept_shots
from montage.values import MontageError, Slot

SCRIPT = """A flower. A mountain with snow. An animal looks.

[skip] Nobody sees this. [pin rocket-on-the-pad.mp4] A rocket stands ready.
"""


@pytest.fixture(scope="module")
def library(sample_index: Path) -> Library:
    return Library.open(sample_index)


@pytest.fixture(scope="module")
def cut(library: Library) -> Cut:
    return plan(parse_script(SCRIPT), library)


def shots_of(cut: Cut, number: int) -> list[str | None]:
    return [slot.shot for slot in cut.slots if slot.sentence == cut.sentence(number).id]


def unused(cut: Cut) -> str:
    """A shot that the cut does not show."""
    return min(set(cut.library.shots) - {slot.shot for slot in cut.slots if slot.shot})


def test_an_alternate_takes_the_place_of_a_picture(cut: Cut) -> None:
    first = cut.alternates(1)[0]
    changed = cut.use(1, 1)
    assert shots_of(changed, 1) == [first.shot]
    assert changed.taste.pins == {"s1": Choice(first.shot)}
    by_name = cut.use("s1", first.shot)
    assert by_name.slots == changed.slots
    assert shots_of(changed.unpin(1), 1) != []
    assert cut.taste == Taste()


def test_another_part_of_the_same_shot_is_used_to_the_frame(cut: Cut) -> None:
    place = next(n for n, slot in enumerate(cut.slots) if slot.sentence == "s1")
    slot = cut.slots[place]
    assert slot.shot is not None
    assert slot.span is not None
    shot = cut.library.shots[slot.shot]
    other = replace(slot.alternates[0], shot=shot.id, span=Span(shot.span.start, shot.span.start + 2))
    offered = replace(slot, alternates=(other, *slot.alternates))
    again = replace(cut, slots=(*cut.slots[:place], offered, *cut.slots[place + 1 :])).use(1, 1)
    assert again.taste.pins == {"s1": Choice(shot.id, other.span)}


def test_a_banned_shot_is_gone_until_it_is_allowed(cut: Cut) -> None:
    (shown,) = shots_of(cut, 1)
    assert shown is not None
    banned = cut.ban(shown)
    assert shown not in {slot.shot for slot in banned.slots}
    assert banned.taste.bans == {shown}
    assert shown not in {other.shot for number in (1, 2, 3) for other in banned.alternates(number)}
    allowed = banned.unban(shown)
    assert allowed.taste == Taste()
    assert shots_of(allowed.pin(1, shown), 1) == [shown]


CONTRADICTIONS: list[tuple[Callable[[SimpleNamespace], Cut], str]] = [
    (lambda t: t.cut.pin(1, "nothing"), "the library has no shot 'nothing'"),
    (lambda t: t.cut.pin(9, t.shot), "there is no sentence 9: the script has sentences 1 to 5"),
    (lambda t: t.cut.pin(1, t.shot, (5, 2)), "cannot pin"),
    (lambda t: t.cut.pin(1, t.shot, (0, 9999)), "shot .* runs from"),
    (lambda t: t.cut.pin(4, t.shot), r"sentence 4 has a \[skip\] in the script"),
    (lambda t: t.cut.pin(5, t.shot), r"sentence 5 has a \[pin\] in the script"),
    (lambda t: t.cut.unpin(5), r"sentence 5 has a \[pin\] in the script"),
    (lambda t: t.locked.pin(1, t.shot), r"sentence 1 is locked to what it shows: unlock\(1\) first"),
    (lambda t: t.locked.use(1, 1), r"sentence 1 is locked to what it shows: unlock\(1\) first"),
    (lambda t: t.banned.pin(1, t.shot), r"shot .* is banned: unban\('.*'\) first"),
    (lambda t: t.banned_for_2.pin(2, t.shot), r"shot .* is banned for sentence 2: unban\('.*', 2\) first"),
    (lambda t: t.cut.lock(4), r"sentence 4 has a \[skip\]"),
    (lambda t: t.gap.lock(1), "sentence 1 has no picture to keep: pin a shot to it"),
    (lambda t: t.script_lock.unlock(1), r"sentence 1 has a \[lock\] in the script.*take it out there"),
    (lambda t: t.script_lock.pin(1, t.shot), r"sentence 1 has a \[lock\] in the script"),
    (lambda t: t.cut.ban("nothing"), "the library has no shot"),
    (lambda t: t.pinned.ban(t.shot), r"sentence 3 is pinned to it; unpin\(3\) first"),
    (lambda t: t.pinned.ban(t.shot, 3), r"sentence 3 is pinned to it; unpin\(3\) first"),
    (lambda t: t.locked.ban(t.shown), r"sentence 1 is locked and shows it; unlock\(1\) first"),
    (lambda t: t.preferred.ban(t.shot), r"shot .* is preferred: unprefer\('.*'\) first"),
    (lambda t: t.preferred_for_2.ban(t.shot), r"is preferred for sentence 2: unprefer\('.*', 2\) first"),
    (lambda t: t.banned.unban(t.shot, 2), r"is banned for all sentences: unban\('.*'\) allows it"),
    (lambda t: t.banned_for_2.unban(t.shot), r"is banned for sentence 2 alone: unban\('.*', 2\) allows it"),
    (lambda t: t.cut.prefer("nothing"), "the library has no shot"),
    (lambda t: t.cut.prefer(t.shot, 4), r"sentence 4 has a \[skip\]"),
    (lambda t: t.banned.prefer(t.shot), "is banned: unban"),
    (lambda t: t.banned_for_2.prefer(t.shot), "is banned for sentence 2: unban"),
    (lambda t: t.preferred.unprefer(t.shot, 1), "is preferred for all sentences"),
    (
        lambda t: t.preferred_for_2.unprefer(t.shot),
        r"is preferred for sentence 2 alone: unprefer\('.*', 2\) ends that",
    ),
    (lambda t: t.cut.use(1, 99), "sentence 1 has no alternate 99: choose one of 1 "),
    (lambda t: t.cut.use(1, 0), "sentence 1 has no alternate 0"),
    (lambda t: t.cut.use(1, "nothing"), "sentence 1 has no alternate 'nothing'"),
    (lambda t: t.cut.use(1, 1, slot=2), "sentence 1 has no picture 2: it has 1 picture"),
    (lambda t: t.cut.alternates(1, 0), "sentence 1 has no picture 0"),
    (lambda t: t.cut.use(4, 1), r"sentence 4 has a \[skip\]"),
    (lambda t: t.bare.use(1, 1), "it has none; pin any shot that search finds"),
]
"""(what is asked of a cut with one kind of taste, what the message says)."""


@pytest.mark.parametrize(("asked", "says"), CONTRADICTIONS, ids=[says for _, says in CONTRADICTIONS])
def test_contradictions_are_named_with_the_way_out(
    cut: Cut, asked: Callable[[SimpleNamespace], Cut], says: str
) -> None:
    shot, (shown,) = unused(cut), shots_of(cut, 1)
    assert shown is not None
    gap = Slot(sentence="s1", kind="gap", frames=50)
    bare = replace(next(slot for slot in cut.slots if slot.sentence == "s1"), alternates=())
    rest = tuple(slot for slot in cut.slots if slot.sentence != "s1")
    tried = SimpleNamespace(
        cut=cut,
        shot=shot,
        shown=shown,
        gap=replace(cut, slots=(gap, *rest)),
        bare=replace(cut, slots=(bare, *rest)),
        script_lock=replace(cut, script=parse_script("[lock] " + SCRIPT)),
        locked=replace(cut, taste=Taste(locks=frozenset({"s1"}))),
        pinned=replace(cut, taste=Taste(pins={"s3": Choice(shot)})),
        banned=replace(cut, taste=Taste(bans=frozenset({shot}))),
        banned_for_2=replace(cut, taste=Taste(sentence_bans={"s2": frozenset({shot})})),
        preferred=replace(cut, taste=Taste(prefers=frozenset({shot}))),
        preferred_for_2=replace(cut, taste=Taste(sentence_prefers={"s2": frozenset({shot})})),
    )
    with pytest.raises(MontageError, match=says):
        asked(tried)


def test_pictures_that_stayed_are_counted_by_sentence_and_shot() -> None:
    def slot(sentence: str, shot: str | None) -> Slot:
        if shot is None:
            return Slot(sentence=sentence, kind="gap", frames=10)
        return Slot(
            sentence=sentence,
            kind="footage",
            frames=10,
            shot=shot,
            media="m",
            span=Span(Fraction(0), Fraction(1)),
        )

    before = [slot("s1", "a"), slot("s1", "b"), slot("s2", "c"), slot("s3", None), slot("s4", "d")]
    after = [slot("s1", "b"), slot("s1", "b"), slot("s2", "c"), slot("s3", "a"), slot("s4", "e")]
    assert kept_shots(before, after, {"s1", "s2", "s3"}) == (2, 3)
    assert kept_shots(before, after, {"s1", "s2", "s3", "s4"}) == (2, 4)
    assert kept_shots([], after, {"s1"}) == (0, 0)
