"""The whole of assembly against brute force over the rules' plain definitions, on small libraries."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.base import Span
from montage.assemble import Assembly, assemble
from montage.fitting import Cells
from montage.layers import Layer, State
from montage.presets import PRESETS, load_preset
from montage.rules import RULES, Film, check_cut
from montage.rules.hard import Finished, broken
from montage.script import Script, parse_script
from montage.values import Candidate, MontageError
from tests.montage.test_assemble import candidate, make_media, make_shot

FPS = Fraction(25)
Pool = dict[str, list[Candidate]]


def small(seed: int) -> tuple[Script, Pool]:
    """Two or three sentences of 3 to 24 words and up to four shots, some of them of one long take."""
    chance = random.Random(seed)
    lines = [f"Sentence {n} " + "word " * chance.choice([2, 8, 22]) for n in range(chance.choice([2, 3]))]
    script = parse_script((". ".join(lines)) + ".")
    library = []
    for number in range(chance.randint(1, 3)):
        length = Fraction(chance.choice([15, 30, 60, 200]), 10)
        library.append(make_shot(seed + number, end=length, media=chance.choice([None, "same"])))
    unique = list({shot.id: shot for shot in library}.values())
    pool: Pool = {}
    for sentence in script.sentences:
        found = []
        for shot in chance.sample(unique, chance.randint(1, len(unique))):
            at = Fraction(chance.randrange(0, int(shot.span.end * 5)), 10)
            span = Span(at, min(shot.span.end, at + 2))
            found.append(candidate(sentence.id, shot, chance.uniform(0.5, 1), span))
        pool[sentence.id] = found
    return script, pool


def made_of(script: Script, pool: Pool, preset: str = "documentary", **more: object) -> Assembly:
    shots = [one.shot for own in pool.values() for one in own]
    return assemble(
        script, pool, preset=load_preset(preset), fps=FPS, threshold=0.4, media=make_media(shots), **more
    )


def every_answer(made: Assembly) -> Iterator[list[State]]:
    """Every way to show every sentence, by every plan, whatever the solver was told."""
    sentences: dict[str, list[Layer]] = {}
    for layer in made.model.layers:
        assert layer.sentence is not None
        sentences.setdefault(layer.sentence.id, []).append(layer)
    ways = []
    for layers in sentences.values():
        own: list[tuple[State, ...]] = []
        for plan in {state.plan for state in layers[0].states}:
            slots = [[s for s in layer.states if s.plan == plan and not s.carried] for layer in layers[:plan]]
            own += itertools.product(*slots)
        ways.append(own)
    for answer in itertools.product(*ways):
        yield [state for own in answer for state in own]


def brute_force(made: Assembly) -> float:
    """The least cost, by plain definitions, of the rules that the bound covers."""
    cells = Cells(
        state.option.longest for layer in made.model.layers for state in layer.states if state.option
    )
    best = float("inf")
    for states in every_answer(made):
        taken: set[int] = set()
        valid = True
        for state in states:
            own = set() if state.option is None else set(cells.of(state.option.longest))
            valid = valid and taken.isdisjoint(own)
            taken |= own
        if valid:
            costs = check_cut(
                [None if state.option is None else state.option.choice.picture for state in states],
                [state.wish for state in states],
                made.model.weights,
                grammar=made.model.preset.grammar,
            )
            best = min(
                best, sum(cost for slot in costs for name, cost in slot.items() if RULES[name].bounded)
            )
    return best


def covered(made: Assembly) -> float:
    return sum(cost for name, cost in made.rule_totals.items() if RULES[name].bounded)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(PRESETS)))
def test_the_bound_is_the_optimum_of_the_rules_that_it_covers(seed: int, preset: str) -> None:
    script, pool = small(seed)
    made = made_of(script, pool, preset)
    best = brute_force(made)
    assert made.optimal
    assert made.bound == pytest.approx(best, abs=1e-4) or made.bound == made.objective
    assert made.bound <= best + 1e-4
    assert covered(made) >= best - 1e-4
    assert made.objective >= covered(made) - 1e-4


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(PRESETS)), st.none() | st.integers(4, 30))
def test_hard_rules_never_break(seed: int, preset: str, seconds: int | None) -> None:
    script, pool = small(seed)
    length = None if seconds is None else (25 * seconds, 25 * seconds + 12)
    try:
        made = made_of(script, pool, preset, length=length)
    except MontageError:
        assert length is not None
        with pytest.raises(MontageError, match=r"cannot last|no cut of that length"):
            made_of(script, pool, preset, length=length)
        return
    shots = {one.shot.id: one.shot for own in pool.values() for one in own}
    finished = Finished(
        slots=made.slots,
        script=script,
        preset=load_preset(preset),
        fps=FPS,
        shots=shots,
        media=make_media(list(shots.values())),
        total=length,
    )
    assert broken(finished) == []
    assert made.bound <= made.objective
    assert made.objective == pytest.approx(sum(sum(slot.costs.values()) for slot in made.slots), abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_the_order_of_candidates_does_not_matter(seed: int, chance: random.Random) -> None:
    script, pool = small(seed)
    other = {name: chance.sample(own, len(own)) for name, own in pool.items()}
    assert made_of(script, pool).slots == made_of(script, other).slots


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_another_candidate_never_makes_the_optimum_worse(seed: int) -> None:
    script, pool = small(seed)
    more = {name: list(own) for name, own in pool.items()}
    name = script.sentences[0].id
    more[name].append(candidate(name, replace(make_shot(seed + 50), look=make_shot(seed + 51).look), 0.7))
    assert made_of(script, more).bound <= made_of(script, pool).bound + 1e-4


def cut_times(made: Assembly) -> list[float]:
    ends = itertools.accumulate(slot.frames for slot in made.slots)
    return [float(end / FPS) for end in ends][:-1]


def test_cuts_land_on_beats_and_outside_words() -> None:
    chance = random.Random(3)
    script = parse_script(
        " ".join(f"Sentence {n} has {'very ' * (n % 3)}few words to say here." for n in range(10))
    )
    library = [make_shot(number, end=chance.choice([5, 8, 20])) for number in range(30)]
    pool = {
        one.id: [candidate(one.id, shot, chance.uniform(0.5, 1)) for shot in chance.sample(library, 6)]
        for one in script.sentences
    }
    beats = tuple(0.6 * number for number in range(200))
    free, on_beat = made_of(script, pool), made_of(script, pool, film=Film(beats=beats))

    def off(times: list[float]) -> list[float]:
        return [min(abs(time - beat) for beat in beats) for time in times]

    assert max(off(cut_times(on_beat))) <= 0.04 + 1e-9
    assert max(off(cut_times(free))) > 0.1
    assert on_beat.rule_totals["beats"] == 0
    words = tuple((0.5 * number, 0.5 * number + 0.4) for number in range(300))
    spoken = made_of(script, pool, film=Film(words=words))
    assert not any(start < time < end for time in cut_times(spoken) for start, end in words)
    total = made_of(script, pool, film=Film(beats=beats), length=(700, 700))
    assert sum(slot.frames for slot in total.slots) == 700
    assert max(off(cut_times(total))) <= 0.04 + 1e-9
