"""Planning: what the rules see of the footage besides its match - subjects, meanings, lengths of a voice."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import montage
from index.query import Matcher
from montage.resolving import subjects_of
from montage.script import parse_script
from montage.values import MontageError


@pytest.fixture(scope="module")
def library(sample_index: Path) -> montage.Library:
    return montage.Library.open(sample_index)


def test_a_pronoun_stands_for_the_sentence_that_names_its_subject() -> None:
    script = parse_script(
        "A cat sits on a wall. It looks at us. Then it jumps. They say so.\n\nIt rains.\n\n"
        "一只猫坐在墙上。它看着我们。"
    )
    assert subjects_of(script) == {
        "s2": "A cat sits on a wall.",
        "s4": "Then it jumps.",
        "s7": "一只猫坐在墙上。",
    }


def test_what_a_pronoun_stands_for_is_looked_for(library: montage.Library) -> None:
    script = parse_script("A flower opens its petals. It drinks the light.")
    cut = montage.plan(script, library)
    slot = next(slot for slot in cut.slots if slot.sentence == "s2")
    assert cut.model is not None
    offered = [
        state.option.choice.picture
        for layer in cut.model.layers
        if layer.sentence is not None and layer.sentence.id == "s2"
        for state in layer.states
        if state.option is not None
    ]
    assert offered
    assert all(picture.subject is not None for picture in offered)
    assert max(picture.subject or 0 for picture in offered) > 0.5
    assert slot.kind == "footage"
    assert slot.why.startswith("as in: A flower")
    assert "subject" in slot.costs


def test_every_candidate_knows_what_it_shows(library: montage.Library) -> None:
    hits = library.search("a cat", k=4)
    meanings = Matcher(library).meanings(hits, "en")
    assert meanings.shape[0] == 4
    assert np.linalg.norm(meanings, axis=1) == pytest.approx(1, abs=1e-4)
    assert (Matcher(library).meanings(hits[::-1], "en")[::-1] == meanings).all()
    cut = montage.plan(parse_script("A cat looks at us. A stream runs through the forest."), library)
    assert "meaning" in cut.slots[1].costs


def test_pictures_last_as_long_as_the_voice(library: montage.Library) -> None:
    script = parse_script("A cat looks at us. A stream runs. The mountains are far away.")
    voice = {1: Fraction(7, 3), 2: Fraction(7, 3), 3: Fraction(31, 10)}
    cut = montage.plan(script, library, narration=voice)
    ends = np.cumsum([float(voice[n]) for n in (1, 2, 3)])
    shown = [
        sum(slot.frames for slot in cut.slots if slot.sentence == one.id) for one in cut.script.sentences
    ]
    assert np.cumsum(shown) / 25 == pytest.approx(ends, abs=0.5 / 25 + 1e-9)
    assert cut.ban(cut.slots[0].shot or "").frames == cut.frames
    with pytest.raises(MontageError, match="sentences 1 to 3"):
        montage.plan(script, library, narration={4: 2.0})
    with pytest.raises(MontageError, match="positive"):
        montage.plan(script, library, narration={1: 0.0})


def test_other_pictures_follow_a_pin_that_is_shorter_than_its_voice(library: montage.Library) -> None:
    free = montage.plan(parse_script("A stream runs."), library)
    shot = library.shots[free.slots[0].shot or ""]
    name = library.media[shot.media].paths[0]
    script = parse_script(
        f"A cat looks at us. [pin {name}@0.5-1.5] A stream runs. The mountains are far away."
    )
    voice = {1: Fraction(2), 2: Fraction(5), 3: Fraction(3)}
    cut = montage.plan(script, library, narration=voice)
    own = [slot for slot in cut.slots if slot.sentence == cut.script.sentences[1].id]
    assert own[0].shot == shot.id
    assert own[0].span is not None
    assert (own[0].span.start, float(own[0].span.end)) == (Fraction(1, 2), pytest.approx(1.5, abs=0.04))
    assert len(own) > 1
    assert all(slot.kind == "footage" and slot.shot != shot.id for slot in own[1:])
    assert sum(slot.frames for slot in own) == 125
    assert all(rule.kept for rule in cut.explain().hard)


def test_what_a_voice_does_not_allow_is_said(library: montage.Library) -> None:
    free = montage.plan(parse_script("A cat looks at us."), library)
    best = free.slots[0]
    long = float(library.shots[best.shot or ""].span.seconds / free.preset.slowest) + 0.2
    script = parse_script("[hold 2s] A cat looks at us. A stream runs.")
    cut = montage.plan(script, library, narration={1: long, 2: 2.0})
    name = library.media[best.media or ""].paths[0]
    told = next(slot.why for slot in cut.slots if slot.sentence == cut.script.sentences[0].id)
    assert f"spoken for {long:.1f} s, whatever [hold] says" in told
    assert f"{name} matches {best.match:.2f}, but fills" in told


def test_a_film_lasts_as_long_as_asked(library: montage.Library) -> None:
    script = parse_script("# Title\n\nA cat looks at us. A stream runs. The mountains are far away.")
    free = montage.plan(script, library)
    longer = montage.plan(script, library, length=free.duration + 2)
    assert longer.duration == free.duration + 2
    assert longer.ban(longer.slots[1].shot or "").duration == longer.duration
    with pytest.raises(MontageError, match="cannot last 300 s"):
        montage.plan(script, library, length=Fraction(300))
