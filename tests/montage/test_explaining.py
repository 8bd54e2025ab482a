"""Explanations: the numbers are the cut's own, and the words say what was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

import montage
from montage.cli import main
from montage.cut import Cut
from montage.explanation import Explanation
from montage.rules import RULES
from montage.values import MontageError
from montage.wording import WORDED


@pytest.fixture(scope="module")
def cut(sample_index: Path) -> Cut:
    return montage.plan(sample_index.parent / "script.txt", montage.Library.open(sample_index))


@pytest.fixture(scope="module")
def gappy(sample_index: Path) -> Cut:
    return montage.plan(sample_index.parent / "script-gaps.txt", montage.Library.open(sample_index))


@pytest.fixture(scope="module")
def told(cut: Cut) -> Explanation:
    return cut.explain()


def test_costs_add_up_to_the_objective(cut: Cut, told: Explanation) -> None:
    assert sum(cost.cost for slot in told.slots for cost in slot.costs) == pytest.approx(
        cut.objective, abs=1e-5
    )
    assert sum(total.cost for total in told.rules) == pytest.approx(cut.objective, abs=1e-5)
    for total in told.rules:
        assert total.cost == pytest.approx(cut.rule_totals[total.rule], abs=1e-5)
        assert total.covered == RULES[total.rule].bounded
    for slot, shown in zip(cut.slots, told.slots, strict=True):
        assert {cost.rule: cost.cost for cost in shown.costs} == pytest.approx(
            {name: cost for name, cost in slot.costs.items() if cost >= 1e-6}, abs=1e-5
        )
        assert shown.cost == pytest.approx(sum(slot.costs.values()), abs=1e-5)


def test_every_slot_says_what_it_shows(cut: Cut, told: Explanation) -> None:
    assert [slot.number for slot in told.slots] == list(range(1, len(cut.slots) + 1))
    at = 0
    for slot, shown in zip(cut.slots, told.slots, strict=True):
        assert shown.film_start == pytest.approx(float(at / cut.fps))
        at += slot.frames
        assert all(other.file for other in shown.others)
        if slot.kind == "footage":
            assert slot.span is not None
            assert slot.media is not None
            assert shown.file == cut.library.media[slot.media].paths[0]
            assert (shown.start, shown.end) == (float(slot.span.start), float(slot.span.end))
    assert [account.number for account in told.sentences] == [None, *range(1, 11)]
    assert all(account.count for account in told.sentences[1:])


def test_costs_come_with_what_was_measured(told: Explanation) -> None:
    for slot in told.slots:
        for cost in slot.costs:
            assert cost.fact, cost.rule
            assert cost.says
            assert 0 < cost.part <= 1
            if RULES[cost.rule].arity == 2:
                assert cost.neighbour == slot.number - 1


def test_broken_rules_are_named_worst_first(cut: Cut, told: Explanation) -> None:
    broken = [total for total in told.rules if total.broken]
    assert told.rules[: len(broken)] == tuple(broken)
    places = {(label, total.rule) for total in broken for label, _ in total.broken}
    assert places == {(slot.label, cost.rule) for slot in told.slots for cost in slot.broken}
    moves = {
        (first.look.split(", ")[-1], second.look.split(", ")[-1]): second
        for first, second in zip(told.slots, told.slots[1:], strict=False)
    }
    opposite = moves.get(("zoom out", "zoom in"))
    if opposite is not None:
        fact = next(cost for cost in opposite.costs if cost.rule == "camera moves")
        assert fact.broken
        assert fact.fact == "cut from a zoom out to a zoom in"


def test_hard_rules_are_checked(cut: Cut, told: Explanation) -> None:
    assert told.hard
    assert all(one.kept for one in told.hard), [one for one in told.hard if not one.kept]
    twice = replace(cut, slots=(*cut.slots[:3], replace(cut.slots[2], sentence="s3"), *cut.slots[4:]))
    assert [one.rule for one in twice.explain().hard if not one.kept] == ["no repeats"]


def test_gaps_say_why(gappy: Cut) -> None:
    told = gappy.explain()
    assert [slot.why for slot in told.gaps] == [slot.why for slot in gappy.slots if slot.kind == "gap"]
    for slot in told.gaps:
        assert [(cost.rule, cost.broken) for cost in slot.costs] == [("gap", True)]
        assert slot.others


def test_an_explanation_is_json(cut: Cut, gappy: Cut) -> None:
    for told in (cut.explain(), gappy.explain(), cut.explain(4)):
        data = told.as_data()
        assert json.loads(json.dumps(data, allow_nan=False)) == json.loads(json.dumps(data))
        assert data["objective"] == told.objective
        assert len(data["sentences"]) == len(told.sentences)


def test_one_sentence_alone(cut: Cut, told: Explanation) -> None:
    one = cut.explain(4)
    (account,) = one.sentences
    assert account.number == 4
    assert account.slots[0].costs == told.sentences[4].slots[0].costs
    assert cut.explain(account.id).sentences[0].text == account.text
    with pytest.raises(MontageError, match="no sentence 99"):
        cut.explain(99)


def test_a_proof_and_its_lack_are_told_apart(cut: Cut) -> None:
    assert "proven best" in replace(cut, bound=cut.objective).explain(1).best
    assert "more than 50.0% better" in replace(cut, bound=cut.objective / 2).explain(1).best


def test_the_command_saves_nothing(
    sample_index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "story.txt"
    script.write_text("A cup of coffee.\n\nThe parliament votes.\n")
    where = ("--library", str(sample_index))
    assert main(["explain", str(script), *where]) == 0
    whole = capsys.readouterr().out
    assert "coffee-cup.mp4" in whole
    assert "GAP" in whole
    assert main(["explain", str(script), "1", *where]) == 0
    assert "coffee-cup.mp4" in capsys.readouterr().out
    assert main(["explain", str(script), "1", *where, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [sentence["number"] for sentence in data["sentences"]] == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["story.txt"]
    assert main(["explain", str(script), "3", *where]) == 2
    assert "no sentence 3" in capsys.readouterr().err


def test_the_storyboard_command_writes_the_page_alone(
    sample_index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "story.txt"
    script.write_text("A cup of coffee.\n")
    where = ("--library", str(sample_index))
    assert main(["storyboard", str(script), *where, "-o", str(tmp_path / "board.html"), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    page = tmp_path / "board.html"
    assert data == {"storyboard": str(page), "slots": 1, "gaps": 0, "bytes": page.stat().st_size}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["board.html", "story.txt"]
    script.with_suffix(".html").write_text("mine")
    assert main(["storyboard", str(script), *where]) == 2
    assert script.with_suffix(".html").read_text() == "mine"


def test_a_better_match_that_is_not_shown_is_accounted_for(cut: Cut, told: Explanation) -> None:
    for slot in told.slots:
        best = max((other.match for other in slot.others), default=0.0)
        if slot.match is not None and best > slot.match + 0.005:
            assert "matches better" in slot.instead
            assert f"{best:.2f} against {slot.match:.2f}" in slot.instead
        else:
            assert not slot.instead


def test_a_cut_that_was_changed_by_hand_still_explains_itself(cut: Cut) -> None:
    shorter = replace(cut, slots=cut.slots[:-1])
    told = shorter.explain()
    assert len(told.slots) == len(shorter.slots)
    assert told.notes
    assert all(other.difference is None for slot in told.slots for other in slot.others)


def test_every_rule_has_words_of_its_own() -> None:
    assert set(RULES) - {"gap"} == WORDED


def test_what_the_script_pins_and_bans_is_checked(sample_index: Path) -> None:
    library = montage.Library.open(sample_index)
    script = montage.parse_script("[pin coffee-cup.mp4] A cup.\n\n[ban tabby-cat.mp4] The cat looks.")
    cut = montage.plan(script, library, length=(Fraction(2), Fraction(9)))
    told = cut.explain()
    assert all(one.kept for one in told.hard)
    assert told.sentences[0].count.startswith("one picture: it is pinned")
    assert told.length == f"2 to 9 s asked for, {float(cut.duration):.2f} s shown"
    cat = next(hit for hit in library.search("a cat", k=1))
    first, second = cut.slots
    swapped = replace(first, shot=cat.id, media=cat.shot.media)
    wrong = replace(cut, slots=(swapped, replace(swapped, sentence=second.sentence)))
    broken = {one.rule for one in wrong.explain().hard if not one.kept}
    assert {"pins", "bans"} <= broken
