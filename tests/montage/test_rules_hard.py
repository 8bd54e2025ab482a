"""Hard rules: a sound cut breaks none, and each way of breaking one is found and named."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from index.base import Span
from index.values import Shot
from montage.presets import PRESETS
from montage.rules.hard import HARD_RULES, Finished, Violation, broken
from montage.script import parse_script
from montage.taste import Choice, Taste
from montage.values import Slot, SlotKind
from tests.montage.rulelab import LOOK

FPS = Fraction(25)


def shot(name: str, media: str, first: float, last: float, group: str = "") -> Shot:
    span = Span(Fraction(str(first)), Fraction(str(last)))
    return Shot(id=name, media=media, span=span, windows=(span,), look=LOOK, group=group)


SHOTS = {
    one.id: one
    for one in (
        shot("a-0", "a", 0, 20),
        shot("b-0", "b", 0, 10, group="twins"),
        shot("c-0", "c", 0, 10, group="twins"),
        shot("d-0", "d", 5, 6),
        shot("e-0", "e", 0, 10),
    )
}


def slot(sentence: str, name: str, first: float, last: float, **changes: object) -> Slot:
    span = Span(Fraction(str(first)), Fraction(str(last)))
    made = Slot(
        sentence=sentence,
        kind="footage",
        frames=round(span.seconds * FPS),
        shot=name,
        media=SHOTS[name].media,
        span=span,
    )
    return replace(made, **changes)


def blank(sentence: str, kind: SlotKind, text: str = "") -> Slot:
    return Slot(sentence=sentence, kind=kind, frames=50, text=text)


TITLE = blank("", "title", "Morning")
SOUND = [
    slot("s1", "a-0", 1, 4),
    slot("s1", "b-0", 1, 4),
    TITLE,
    slot("s2", "e-0", 2, 5),
    slot("s3", "a-0", 4, 7),
]


def cut(
    slots: list[Slot], text: str = "One man walks. \n\n# Morning\n\nTwo dogs run. Three cats sleep."
) -> Finished:
    script = parse_script(text)
    return Finished(slots=slots, script=script, preset=PRESETS["documentary"], fps=FPS, shots=SHOTS, media={})


def broke(made: Finished) -> set[tuple[int | None, str]]:
    found = broken(made)
    assert all(one.says and one.rule in {rule.name for rule in HARD_RULES} for one in found)
    return {(one.slot, one.rule) for one in found}


def test_a_sound_cut_breaks_nothing() -> None:
    assert broken(cut(SOUND)) == []
    assert broken(cut([*SOUND[:3], blank("s2", "gap"), SOUND[4]])) == []


def test_every_hard_rule_says_what_it_wants() -> None:
    assert len({rule.name for rule in HARD_RULES}) == len(HARD_RULES)
    for rule in HARD_RULES:
        assert rule.says.endswith("."), rule.name
        assert rule.source


@pytest.mark.parametrize(
    ("place", "other", "rule"),
    [
        (4, slot("s3", "a-0", 3.9, 6.9), "no repeats"),
        (4, slot("s3", "c-0", 4, 7), "no repeats"),
        (4, slot("s3", "a-0", 17, 19.9), "within the shot"),
        (3, slot("s2", "e-0", 0.1, 3.1), "within the shot"),
        (3, slot("s2", "e-0", 2, 5, media="x"), "within the shot"),
        (3, slot("s2", "e-0", 2, 3.4), "length of pictures"),
        (3, slot("s2", "e-0", 2, 8.2), "length of pictures"),
        (3, slot("s2", "e-0", 2, 5, frames=90), "natural speed"),
        (3, slot("s2", "e-0", 2, 4, frames=100, speed=Fraction(1, 2)), "natural speed"),
        (2, replace(TITLE, text="Evening"), "titles"),
    ],
)
def test_one_picture_that_breaks_a_rule(place: int, other: Slot, rule: str) -> None:
    assert broke(cut([*SOUND[:place], other, *SOUND[place + 1 :]])) == {(place, rule)}


def test_sentences_and_titles_keep_their_places() -> None:
    a, b, title, c, d = SOUND
    assert (4, "order of sentences") in broke(cut([a, b, title, d, c]))
    assert broke(cut([a, title, b, c, d])) == {(1, "titles")}
    assert broke(cut([a, b, c, d])) == {(None, "titles")}
    assert broke(cut([a, b, title, c])) == {(None, "order of sentences")}
    skipped = "One man walks.\n\n# Morning\n\n[skip] Two dogs run. Three cats sleep."
    assert broke(cut(SOUND, skipped)) == {(3, "order of sentences")}
    assert broke(cut([a, b, title, d], skipped)) == set()


def test_a_short_shot_alone_may_be_short_and_a_hold_long() -> None:
    short = slot("s2", "d-0", 5.12, 5.88)
    assert broke(cut([*SOUND[:3], short, SOUND[4]])) == set()
    assert broke(cut([*SOUND[:3], short, *SOUND[3:]])) == {(3, "length of pictures")}
    tiny = slot("s2", "d-0", 5.12, 5.52)
    assert broke(cut([*SOUND[:3], tiny, SOUND[4]])) == {(3, "length of pictures")}
    held = "One man walks.\n\n# Morning\n\n[hold 8s] Two dogs run. Three cats sleep."
    assert broke(cut([*SOUND[:3], slot("s2", "e-0", 1, 9), SOUND[4]], held)) == set()


def test_pins_bans_and_locks_hold() -> None:
    made = cut(SOUND)
    assert broke(replace(made, pins={"s2": ("e-0", "a-0")})) == set()
    assert broke(replace(made, pins={"s2": ("a-0",)})) == {(3, "pins")}
    assert broke(replace(made, taste=Taste(pins={"s1": Choice("a-0")}))) == {(1, "pins")}
    assert broke(replace(made, taste=Taste(bans=frozenset({"e-0"})))) == {(3, "bans")}
    assert broke(replace(made, taste=Taste(sentence_bans={"s3": frozenset({"a-0"})}))) == {(4, "bans")}
    assert broke(replace(made, bans={"s2": ("e-0",)})) == {(3, "bans")}
    locked = replace(made, taste=Taste(locks=frozenset({"s3"})))
    assert broke(replace(locked, previous=SOUND)) == set()
    assert broke(replace(locked, previous=[slot("s3", "a-0", 4, 8)])) == {(4, "locks")}


def test_other_pictures_follow_a_pin_only_under_a_voice() -> None:
    text = "One man walks. \n\n# Morning\n\nTwo dogs run. Three cats sleep."
    made = replace(cut([*SOUND, slot("s3", "e-0", 6, 9)], text), pins={"s3": ("a-0",)})
    assert (5, "pins") in broke(made)
    assert broke(replace(made, spoken={"s3"})) == set()
    assert (4, "pins") in broke(replace(made, pins={"s3": ("e-0",)}, spoken={"s3"}))


def test_a_pin_to_the_frame_is_kept_within_and_may_touch_the_boundary() -> None:
    edge = cut([*SOUND[:3], slot("s2", "e-0", 0, 1), SOUND[4]])
    named = replace(edge, taste=Taste(pins={"s2": Choice("e-0", Span(Fraction(0), Fraction(1)))}))
    assert broke(edge) == {(3, "length of pictures"), (3, "within the shot")}
    assert broke(named) == set()
    elsewhere = replace(edge, taste=Taste(pins={"s2": Choice("e-0", Span(Fraction(4), Fraction(5)))}))
    assert broke(elsewhere) == {(3, "within the shot")}


def test_the_film_is_as_long_as_was_asked() -> None:
    made = cut(SOUND)
    assert broke(replace(made, total=(350, 350))) == set()
    assert broken(replace(made, total=(300, 310))) == [
        Violation(None, "total length", "the film lasts 14.00 s, and 12.00 to 12.40 s were asked for")
    ]
