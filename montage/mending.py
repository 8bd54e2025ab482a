"""Mending: what the solver's bound does not cover is looked at once the cut stands.

Rules of three neighbours and of the whole cut cost little on most cuts. Where one is broken, single pictures
near by are exchanged and lengths are changed a little, as long as that makes the whole cheaper.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from montage.lengths import settle
from montage.model import Answer, Model, Shown
from montage.rules import RULES, Rule, Wish, check_cut, slot_costs

__all__ = ["as_before", "mend", "settled"]

PASSES = 2
"""Times that the whole cut is gone through."""
STRETCHES = (0.8, 0.88, 1.13, 1.25)
"""Shares of its length that a picture is tried at."""
WORTH = 0.01
"""What costs less is not looked at."""
LITTLE = 0.1
"""Cost by which a length may be off for the sake of the last cut."""
OF_LENGTH = frozenset({"metronome", "rhythm", "three long ones", "beats", "words"})
"""Rules that another length mends rather than another picture."""
FAR = ("again", "one source", "beats", "words")
"""Rules of the whole cut that look further than a few pictures: of what is shown, then of when."""
_FAR = tuple(RULES[name] for name in FAR)


def mend(model: Model, *, cancel: Callable[[], bool] | None = None) -> Answer:
    """The model's answer, made cheaper under all rules as far as small changes do it."""
    timed = _FAR[2:] if model.film.beats or model.film.words else ()
    every = (*_FAR[:2], *timed)
    for _ in range(PASSES):
        before = model.answer
        for place, costs in enumerate(model.costs()):
            if cancel is not None and cancel():
                return model.answer
            broken = {name: cost for name, cost in costs.items() if not RULES[name].bounded and cost > WORTH}
            lengths = sum(cost for name, cost in broken.items() if name in OF_LENGTH)
            pictures = sum(broken.values()) - lengths
            for near in range(max(0, place - 2), place + 1):
                if pictures > 0:
                    model = _best(model, near, _exchanges(model, near, pictures), every)
                if lengths > 0:
                    model = _best(model, near, _stretches(model, near), timed)
        if model.answer == before:
            break
    return model.answer


def as_before(model: Model) -> Model:
    """The model with lengths as in the last cut, where it shows the same and that costs little."""
    if model.problem.total is not None:
        return model
    frames = list(model.answer.frames)
    for one in model.shown():
        kept = _kept(model, one)
        if kept is not None and kept != frames[one.layer] and _may_last(model, one, kept):
            option = one.state.option
            assert option is not None
            assert one.state.wish is not None
            now, then = (
                sum(
                    slot_costs(
                        option.at(length, model.fps, model.preset).picture, one.state.wish, model.weights
                    ).values()
                )
                for length in (frames[one.layer], kept)
            )
            if then - now <= LITTLE:
                frames[one.layer] = kept
    return replace(model, answer=replace(model.answer, frames=tuple(frames)))


def settled(model: Model) -> Model:
    """The model with the lengths that are cheapest once cuts keep to beats and words.

    The pictures stay; their lengths follow from the dynamic programme of ``montage.lengths``, exactly.
    """
    if not model.film.beats and not model.film.words:
        return model
    states = [layer.states[k] for layer, k in zip(model.layers, model.answer.path, strict=True)]
    lengths = [
        (0 if state.carried else state.frames, np.zeros(1))
        if state.carried or state.option is None
        else (state.option.least, state.option.lengths)
        for state in states
    ]
    most = sum(least + len(cost) for least, cost in lengths)
    found = settle(lengths, model.problem.total, _boundary_costs(model, most))
    if found is None:
        return model
    better = replace(model.answer, frames=tuple(found[0]))
    return replace(model, answer=better) if model.objective(better) < model.objective() else model


def _boundary_costs(model: Model, frames: int) -> NDArray[np.float64]:
    """(frames,) what it costs that a picture begins at each frame of the film, by the rules' definitions."""
    shown = [one.choice.picture for one in model.shown() if one.choice is not None]
    costs = np.zeros(frames)
    if not shown:
        return costs
    wishes = [Wish(seconds=1.0), Wish(seconds=1.0)]
    for name in ("beats", "words"):
        rule = RULES[name].whole
        assert rule is not None
        for frame in range(1, frames):
            pair = [replace(shown[0], seconds=float(frame / model.fps)), shown[0]]
            costs[frame] += model.weights[name] * rule(pair, wishes, model.film)[1]
    return costs


def _kept(model: Model, one: Shown) -> int | None:
    """Frames for which the last cut showed what a slot shows now; None if it did not."""
    if one.choice is None:
        return None
    picture = one.choice.picture
    for slot in model.layers[one.layer].before:
        if slot.shot == picture.shot and slot.span is not None and slot.span.overlaps(picture.span):
            return slot.frames
    return None


def _as_it_was(model: Model, one: Shown) -> bool:
    return one.choice is not None and _kept(model, one) == one.choice.frames


def _best(model: Model, place: int, answers: Iterator[Answer], rules: Collection[Rule]) -> Model:
    """The model with the cheapest of the answers, which differ in one slot and the next.

    ``rules`` are those of the whole cut that the change can touch.
    """
    found, least = model.answer, 1e-6
    shown: list[Shown] | None = None
    now = 0.0
    for answer in answers:
        if shown is None:
            shown = model.shown()
            now = _cost(model, shown, model.answer, place, rules)
        saved = now - _cost(model, _changed(model, shown, answer, place), answer, place, rules)
        if saved > least:
            least, found = saved, answer
    return model if found is model.answer else replace(model, answer=found)


def _changed(model: Model, shown: Sequence[Shown], answer: Answer, place: int) -> list[Shown]:
    """The slots of an answer that differs from ``shown`` in one slot and the next."""
    out = list(shown)
    for at in range(place, min(place + 2, len(shown))):
        layer = shown[at].layer
        state = model.layers[layer].states[answer.path[layer]]
        option = state.option
        choice = None if option is None else option.at(answer.frames[layer], model.fps, model.preset)
        out[at] = Shown(layer, state, choice)
    return out


def _cost(model: Model, shown: Sequence[Shown], answer: Answer, place: int, rules: Collection[Rule]) -> float:
    """All that a change of one slot and of the next can change."""
    low, high = max(0, place - 3), place + 5
    pictures = [None if one.choice is None else one.choice.picture for one in shown]
    wishes = [one.state.wish for one in shown]
    near = check_cut(pictures[low:high], wishes[low:high], _near(model.weights), grammar=model.preset.grammar)
    # What is near tells the rhythm too: it looks at three pictures before.
    film = model.timed(answer) if rules else model.film
    whole = 0.0
    for rule in rules:
        assert rule.whole is not None
        whole += model.weights[rule.name] * sum(rule.whole(pictures, wishes, film))
    return whole + sum(sum(costs.values()) for costs in near)


def _near(weights: Mapping[str, float]) -> dict[str, float]:
    """The weights without those of rules that must be told of the whole cut."""
    return {name: 0.0 if name in FAR else weight for name, weight in weights.items()}


def _exchanges(model: Model, place: int, most: float) -> Iterator[Answer]:
    """Answers with another picture in one slot that costs at most ``most`` more by the bounded rules."""
    layer = model.shown()[place].layer
    problem, path = model.problem, model.answer.path
    cost = problem.unary[layer].astype(np.float64)
    if layer:
        cost = cost + problem.pair[layer - 1][path[layer - 1]].astype(np.float64)
    carried = layer + 1 < len(path) and model.layers[layer + 1].states[path[layer + 1]].carried
    if layer < len(path) - 1 and not carried:
        cost = cost + problem.pair[layer][:, path[layer + 1]].astype(np.float64)
    for other in model.others(place):
        if cost[other.state] - cost[path[layer]] > most:
            continue
        answer = model.replaced(place, other.state)
        if model.lasts(answer) and not model.clashes(place, other.state):
            yield answer


def _stretches(model: Model, place: int) -> Iterator[Answer]:
    """Answers in which one picture is a little longer or shorter, and with a total the next one makes up."""
    shown = model.shown()
    for stretch in STRETCHES:
        frames = list(model.answer.frames)
        layer = shown[place].layer
        wanted = round(frames[layer] * stretch)
        changes = [(place, wanted)]
        if model.problem.total is not None and place + 1 < len(shown):
            after = shown[place + 1].layer
            changes.append((place + 1, frames[after] - (wanted - frames[layer])))
        # A picture that is as it was stays so: a change of the script is not to be seen elsewhere.
        if any(_as_it_was(model, shown[at]) for at, _ in changes):
            continue
        if all(_may_last(model, shown[at], length) for at, length in changes):
            for at, length in changes:
                frames[shown[at].layer] = length
            answer = replace(model.answer, frames=tuple(frames))
            if model.lasts(answer):
                yield answer


def _may_last(model: Model, shown: Shown, frames: int) -> bool:
    """Whether the picture of a slot may last so long: by the preset, its footage, and what others show."""
    option = shown.state.option
    if option is None or not option.free:
        return False
    low, high = model.preset.minimum * model.fps, model.preset.maximum * model.fps
    if not low <= frames <= high:
        return False
    choice = option.at(frames, model.fps, model.preset)
    own = set(model.cells.of(option.longest))
    return choice.frames == frames and own.issuperset(model.cells.of(choice))
