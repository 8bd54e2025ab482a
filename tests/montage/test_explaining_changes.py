"""What another picture would change: as the checker says, whether the rest stays or follows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import montage
from montage.cut import Cut
from montage.rules import Picture, check_cut


@pytest.fixture(scope="module")
def cut(sample_index: Path) -> Cut:
    return montage.plan(sample_index.parent / "script.txt", montage.Library.open(sample_index))


def test_a_swap_changes_what_the_checker_says(cut: Cut) -> None:
    """Differences are those of ``check_cut`` over the pictures before and after, built here by hand."""
    model = cut.model
    assert model is not None
    shown = model.shown()
    wishes = [slot.state.wish for slot in shown]
    pictures = [None if slot.choice is None else slot.choice.picture for slot in shown]

    def cost(exchanged: Sequence[Picture | None]) -> float:
        grammar = cut.preset.grammar
        costs = check_cut(exchanged, wishes, cut.preset.all_weights, grammar=grammar, film=model.film)
        return sum(sum(one.values()) for one in costs)

    now, compared = cost(pictures), 0
    assert now == pytest.approx(cut.objective, abs=2e-6)
    for place, slot in enumerate(cut.explain().slots):
        trials = [model.shown(model.replaced(place, one.state))[place].choice for one in model.others(place)]
        for other in slot.others:
            if other.difference is None:
                assert other.used or slot.kind == "gap"
                continue
            assert sum(other.rules.values()) == pytest.approx(other.difference, abs=1e-9)
            (picture,) = {
                trial.picture.span: trial.picture
                for trial in trials
                if trial is not None
                and trial.picture.shot == other.shot
                and (float(trial.picture.span.start), float(trial.picture.span.end))
                == (other.start, other.end)
            }.values()
            after = cost([*pictures[:place], picture, *pictures[place + 1 :]])
            assert after - now == pytest.approx(other.difference, abs=1e-6)
            compared += 1
    assert compared >= 5


def test_what_may_follow_is_never_worse_than_what_stays(cut: Cut) -> None:
    solved = 0
    for number in (3, 6, 10):
        (account,) = cut.explain(number).sentences
        for slot in account.slots:
            for other in slot.others:
                if other.resolved is None:
                    continue
                solved += 1
                found = other.resolved
                assert found.least <= found.difference + 1e-9
                assert found.proven == (found.difference - found.least < 1e-6)
                assert slot.label not in found.moved
                assert sum(found.rules.values()) == pytest.approx(found.difference, abs=1e-6)
                if other.difference is not None:
                    assert found.difference <= other.difference + 1e-6
    assert solved >= 3
