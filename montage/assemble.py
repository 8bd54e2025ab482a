"""Assembly: from the candidates of each sentence to the slots of a cut, by the rules of editing.

Each sentence may be shown by one picture or several; every candidate that fits becomes an option with its
own place in the footage, speed and length; the rules price options and pairs of neighbours; source time is
counted in cells that may be used once; ``montage.solver`` finds the cheapest cut and a bound on how much
better any other could be; and what the bound does not cover is mended afterwards (``montage.mending``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from index.base import Span
from index.values import Media, Shot
from montage.fitting import NEARLY, Cells, Choice, Offer
from montage.idioms import IdiomWish
from montage.layers import Layer, State, problem_of
from montage.mending import as_before, mend, settled
from montage.model import Model, answer_of
from montage.offering import Asked, Take, lay_out
from montage.presets import Preset
from montage.rules import RULES, Film, Source
from montage.script import Script
from montage.solver import InfeasibleError, Problem, solve
from montage.values import Alternate, Candidate, MontageError, Sentence, Slot, SlotKind

__all__ = ["Assembly", "assemble"]

ALTERNATES = 5
"""Other shots named for each slot."""
MUCH_BETTER = 0.1
"""By so much better a match is missed where it is too short for a voice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """The slots of a cut and what they cost."""

    slots: tuple[Slot, ...]
    objective: float
    """Weighted cost of all rules; lower is better."""
    bound: float
    """No cut of these candidates costs less (proven). It covers the rules of one and two slots and ``again``;
    the others cost nothing or more, so that it holds for all."""
    rule_totals: Mapping[str, float]
    """Weighted cost of each rule over the whole cut."""
    seconds: float
    """Time that the optimiser took."""
    optimal: bool
    """Whether no cut is cheaper under the rules that the bound covers."""
    model: Model = field(compare=False, repr=False)


def assemble(
    script: Script,
    candidates: Mapping[str, Sequence[Candidate]],
    *,
    preset: Preset,
    fps: Fraction,
    threshold: float,
    media: Mapping[str, Media],
    thresholds: Mapping[str, float] | None = None,
    previous: Sequence[Slot] = (),
    bans: Collection[str] = (),
    sentence_bans: Mapping[str, Collection[str]] | None = None,
    pins: Mapping[str, Sequence[Candidate]] | None = None,
    exact_pins: Collection[str] = (),
    locks: Collection[str] = (),
    shots: Mapping[str, Shot] | None = None,
    prefers: Collection[str] = (),
    sentence_prefers: Mapping[str, Collection[str]] | None = None,
    subjects: Mapping[str, str] | None = None,
    idioms: Mapping[str, IdiomWish] | None = None,
    takes: Mapping[str, Take] | None = None,
    sources: Mapping[str, Source] | None = None,
    length: tuple[int, int] | None = None,
    narration: Mapping[str, Fraction] | None = None,
    film: Film | None = None,
    time_limit: float = 5.0,
    seed: int = 0,
    cancel: Callable[[], bool] | None = None,
) -> Assembly:
    """The cheapest cut of ``script`` by the rules of ``preset``.

    Args:
        script: sentences and titles.
        candidates: sentence id to its candidates, in any order.
        preset: lengths and weights.
        fps: frames a second of the film.
        threshold: a sentence whose best match is below is a gap.
        media: media id to media, for their frame rates and sizes.
        thresholds: sentence id to its own threshold.
        previous: slots of the last cut; they stay unless a change is worth it.
        bans: ids of shots that must not appear.
        sentence_bans: sentence id to shots that it must not show.
        pins: sentence id to the candidates it is pinned to: it shows one of them, whatever its match.
        exact_pins: sentence ids whose pinned span is meant to the frame, besides those of ``[pin FILE@A-B]``:
            the picture keeps within that span and begins at its start.
        locks: sentence ids that keep what ``previous`` shows, to the frame.
        shots: shot id to shot, of what locked sentences show.
        prefers: ids of shots that are rather shown than others.
        sentence_prefers: sentence id to shots that it rather shows.
        subjects: sentence id to what a pronoun in it stands for; a candidate's ``parts["subject"]`` is its
            match with it.
        idioms: sentence id to what its paragraph's idioms ask.
        takes: shot id of a generated take to (kind, how it was made); these need no threshold.
        sources: shot id of a generated take to the footage whose frames it shows.
        length: fewest and most frames of the whole film, titles included.
        narration: sentence id to the seconds that its voice takes: its pictures last exactly so long.
        film: beats and words that boundaries should keep to.
        time_limit: seconds for the optimiser.
        seed: same seed, same cut.
        cancel: asked often; true ends the search with the best cut so far.

    Raises:
        MontageError: if pins, locks, bans or the length contradict each other, or the script shows nothing.
    """
    asked = Asked(
        candidates=candidates,
        preset=preset,
        fps=fps,
        threshold=threshold,
        thresholds=thresholds or {},
        media=media,
        previous=previous,
        bans=frozenset(bans),
        sentence_bans=sentence_bans or {},
        pins=pins or {},
        exact=frozenset(exact_pins),
        locks=frozenset(locks),
        shots=shots or {},
        prefers=frozenset(prefers),
        sentence_prefers=sentence_prefers or {},
        subjects=subjects or {},
        idioms=idioms or {},
        takes=takes or {},
        sources=sources or {},
        narration=narration or {},
        flexible=length is not None or film is not None,
    )
    layers = lay_out(asked, script)
    if not layers:
        raise MontageError(f"{script.path or 'the script'} shows nothing: every sentence is [skip]")
    cells = Cells(state.option.longest for layer in layers for state in layer.states if state.option)
    _check_taste(layers, asked, cells)
    weights = preset.all_weights
    problem = problem_of(layers, cells, weights, preset.grammar, length)
    try:
        solution = solve(
            problem, time_limit=time_limit, seed=seed, warm=_warm(layers, problem), cancel=cancel
        )
    except InfeasibleError as error:
        raise _impossible(layers, asked, length) from error
    model = Model(
        layers=tuple(layers),
        problem=problem,
        cells=cells,
        weights=weights,
        preset=preset,
        fps=fps,
        film=film or Film(),
        answer=answer_of(layers, solution.choice, solution, problem),
        multipliers=solution.multipliers,
    )
    model = replace(model, answer=mend(settled(as_before(model)), cancel=cancel))
    costs = model.costs()
    totals = {name: round(sum(slot.get(name, 0.0) for slot in costs), 6) for name in RULES}
    objective = round(sum(sum(slot.values()) for slot in costs), 6)
    bound = min(objective, round(solution.bound, 6))
    taken = _sure(layers)
    slots = [
        _slot(asked, layers[number], state, choice, cost, taken)
        for (number, state, choice), cost in zip(model.shown(), costs, strict=True)
    ]
    return Assembly(
        slots=_held(script, _spoken(script, slots, asked), asked, model),
        objective=objective,
        # The solver counts in millionths, the rules do not.
        bound=objective if objective - bound <= 2e-6 * len(layers) else bound,
        rule_totals=totals,
        seconds=solution.seconds,
        optimal=solution.optimal,
        model=model,
    )


def _impossible(layers: Sequence[Layer], asked: Asked, length: tuple[int, int] | None) -> MontageError:
    """Why there is no cut."""
    if length is not None:
        shortest, longest = _reach(layers)
        seconds = [round(float(frames / asked.fps), 1) for frames in (*length, shortest, longest)]
        wanted = f"{seconds[0]:g}" if length[0] == length[1] else f"{seconds[0]:g} to {seconds[1]:g}"
        if shortest > length[1] or longest < length[0]:
            return MontageError(
                f"the film cannot last {wanted} s: with this preset and footage its pictures last "
                f"{seconds[2]:g} to {seconds[3]:g} s together; ask for such a length, change the preset, or "
                "shorten the script" + _fixed(layers, asked, length)
            )
    pinned = [
        str(layer.sentence.number)
        for layer in layers
        if layer.sentence is not None and layer.number == 0 and layer.sentence.id in asked.pins
    ]
    if pinned:
        return MontageError(
            f"the pins of sentences {', '.join(pinned)} contradict each other: too few shots are pinned for "
            "each to show its own; unpin one, or pin it to another shot"
        )
    return MontageError("no cut of that length was found: allow it a little more room, such as 58-62s")


def _fixed(layers: Sequence[Layer], asked: Asked, length: tuple[int, int]) -> str:
    """A word on pins, locks and holds that alone are too long."""
    own = [
        layer
        for layer in layers
        if layer.sentence is not None
        and (layer.sentence.id in asked.pins or layer.sentence.id in asked.locks or _holds(layer.sentence))
    ]
    shortest = _reach(own)[0] if own else 0
    if shortest <= length[1]:
        return ""
    seconds = round(float(shortest / asked.fps), 1)
    return f" (its pins, locks and holds alone last {seconds:g} s)"


def _holds(sentence: Sentence) -> bool:
    return sentence.directives.hold is not None


def _reach(layers: Sequence[Layer]) -> tuple[int, int]:
    """(fewest, most) frames of what the layers may show, use once apart."""
    shortest, longest = 0, 0
    sentences: dict[tuple[int, int], list[Layer]] = {}
    for place, layer in enumerate(layers):
        sentences.setdefault((0, layer.sentence.number) if layer.sentence else (1, place), []).append(layer)
    for own in sentences.values():
        ends = []
        for plan in {state.plan for state in own[0].states}:
            low = high = 0
            for layer in own[:plan]:
                lengths = [
                    (state.frames, state.frames)
                    if state.option is None
                    else (state.option.least, state.option.least + len(state.option.lengths) - 1)
                    for state in layer.states
                    if state.plan == plan
                ]
                low += min(length[0] for length in lengths)
                high += max(length[1] for length in lengths)
            ends.append((low, high))
        shortest += min(low for low, _ in ends)
        longest += max(high for _, high in ends)
    return shortest, longest


def _check_taste(layers: Sequence[Layer], asked: Asked, cells: Cells) -> None:
    """Pins and locks that want the same source time are named.

    Raises:
        MontageError: if there are such.
    """
    taken: dict[int, tuple[int, str, str]] = {}
    # Locks first: what is locked is there already, so that a pin is what wants too much.
    for layer in sorted(layers, key=lambda one: one.sentence is None or one.sentence.id not in asked.locks):
        options = [state.option for state in layer.states if state.option is not None]
        sentence = layer.sentence
        if sentence is None or len(layer.states) != 1 or len(options) != 1:
            continue
        locked = sentence.id in asked.locks
        if not locked and (layer.number or sentence.id not in asked.pins):
            continue
        shot = options[0].choice.picture.shot
        used = cells.of(options[0].longest)
        for cell in used:
            if cell in taken:
                number, other, how = taken[cell]
                what = "a shot" if shot == other else f"a near-duplicate of {other}"
                verb = "locks" if locked else "pins"
                raise MontageError(
                    f"sentence {sentence.number} {verb} {what} that sentence {number} has {how} ({shot}): no "
                    "part of a shot is shown twice, so choose another shot for one of them, or pin both to "
                    "seconds of their own, [pin FILE@FROM-TO], that do not overlap"
                )
        taken.update(dict.fromkeys(used, (sentence.number, shot, "locked" if locked else "pinned")))


def _sure(layers: Sequence[Layer]) -> frozenset[str]:
    """Ids of the shots that are shown whatever the optimiser does."""
    return frozenset(
        layer.states[0].option.choice.picture.shot
        for layer in layers
        if len(layer.states) == 1 and layer.states[0].option is not None
    )


def _slot(
    asked: Asked,
    layer: Layer,
    state: State,
    choice: Choice | None,
    costs: Mapping[str, float],
    taken: Collection[str],
) -> Slot:
    """The finished slot."""
    if layer.sentence is None:
        assert layer.title is not None
        return Slot(sentence="", kind="title", frames=state.frames, text=layer.title.text, why="title")
    shown = {name: round(cost, 6) for name, cost in costs.items()}
    listed = _alternates(asked, layer, state, choice, taken)
    if choice is None:
        return Slot(
            sentence=layer.sentence.id,
            kind="gap",
            frames=state.frames,
            costs=shown,
            alternates=listed,
            text=layer.sentence.text,
            why=layer.why_gap,
        )
    kind: SlotKind = "footage"
    take: Mapping[str, object] | None = None
    if choice.picture.shot in asked.takes:
        kind, take = asked.takes[choice.picture.shot]
    return Slot(
        sentence=layer.sentence.id,
        kind=kind,
        frames=choice.frames,
        shot=choice.picture.shot,
        media=choice.picture.media,
        span=choice.picture.span,
        speed=choice.speed,
        match=choice.picture.match,
        costs=shown,
        alternates=listed,
        text=layer.sentence.text if kind == "card" else "",
        why=choice.why,
        take=take,
    )


def _alternates(
    asked: Asked, layer: Layer, state: State, choice: Choice | None, taken: Collection[str]
) -> tuple[Alternate, ...]:
    """Other shots for a slot, the best match first."""
    offered = [
        other.option.choice
        for other in layer.states
        if other.option is not None and not other.carried and (choice is None or other.plan == state.plan)
    ]
    found: dict[str, Alternate] = {}
    for other in sorted((*offered, *layer.near), key=lambda option: -option.picture.match):
        picture = other.picture
        if picture.shot in asked.takes or picture.shot in taken:
            continue
        if choice is None or picture.shot != choice.picture.shot:
            found.setdefault(picture.shot, Alternate(picture.shot, picture.span, picture.match))
    return tuple(found.values())[:ALTERNATES]


def _spoken(script: Script, slots: Sequence[Slot], asked: Asked) -> tuple[Slot, ...]:
    """The slots; where a voice asks for more than a much better match can fill, they say so."""
    out = list(slots)
    for sentence in script.sentences:
        own = [n for n, slot in enumerate(slots) if slot.sentence == sentence.id]
        if sentence.id not in asked.narration or sentence.id in asked.locks or not own:
            continue
        notes = []
        seconds = sum(slots[n].frames for n in own) / asked.fps
        if sentence.directives.hold is not None:
            notes.append(f"spoken for {float(seconds):.1f} s, whatever [hold] says")
        shown = max(slots[n].match or 0.0 for n in own)
        offered = () if sentence.id in asked.pins else asked.candidates.get(sentence.id, ())
        better = [c for c in offered if c.match > shown + MUCH_BETTER]
        banned = asked.bans | set(asked.sentence_bans.get(sentence.id, ()))
        for candidate in sorted(better, key=lambda c: -c.match):
            media = asked.media.get(candidate.shot.media)
            offer = Offer(candidate=candidate, rate=None if media is None else media.rate)
            longest = offer.most(asked.fps, asked.preset)
            if candidate.shot.id not in banned | asked.takes.keys() and longest < round(seconds * asked.fps):
                name = candidate.shot.id if media is None else media.paths[0]
                fills = f"{name} matches {candidate.match:.2f}, but fills {float(longest / asked.fps):.1f} s"
                notes.append(f"spoken for {float(seconds):.1f} s: {fills}")
                break
        for n in own if notes else ():
            out[n] = replace(slots[n], why="; ".join(filter(None, (slots[n].why, *notes))))
    return tuple(out)


def _held(script: Script, slots: Sequence[Slot], asked: Asked, model: Model) -> tuple[Slot, ...]:
    """The slots; those of a hold that is not met say so."""
    out = list(slots)
    places = [model.layers[number] for number, _, _ in model.shown()]
    for sentence in script.sentences:
        hold = sentence.directives.hold
        own = [n for n, slot in enumerate(slots) if slot.sentence == sentence.id]
        shown = sum(slots[n].frames for n in own) / asked.fps
        if hold is None or any(slots[n].kind == "gap" for n in own) or not own or shown >= NEARLY * hold:
            continue
        longer = any(
            state.option is not None and not state.carried and state.option.choice.frames > slots[n].frames
            for n in own
            for state in places[n].states
        )
        if sentence.id in asked.pins or sentence.id in asked.locks:
            reason = "what it is pinned to is no longer"
        elif longer:
            reason = "longer shots match less or are used elsewhere"
        else:
            reason = "no longer shot matches"
        note = f"held {round(float(shown), 1):g} s of {round(float(hold), 1):g} s: {reason}"
        for n in own:
            out[n] = replace(slots[n], why="; ".join(filter(None, (slots[n].why, note))))
    return tuple(out)


def _warm(layers: Sequence[Layer], problem: Problem) -> list[int] | None:
    """The last cut as an answer, as far as its shots are still there; elsewhere the cheapest options."""
    if not any(layer.before for layer in layers):
        return None
    out: list[int] = []
    start = 0
    while start < len(layers):
        end = start + 1
        while end < len(layers) and layers[end].number > 0:
            end += 1
        out += _sentence_warm(layers[start:end], [unary.tolist() for unary in problem.unary[start:end]])
        start = end
    return out


def _sentence_warm(layers: Sequence[Layer], unary: Sequence[Sequence[float]]) -> list[int]:
    """One sentence's states: the plan that it had, each slot with its shot, as near as can be."""
    before = [slot for slot in layers[0].before if slot.kind != "title"]
    plans = sorted({state.plan for state in layers[0].states})
    plan = len(before) if len(before) in plans else plans[0]
    out: list[int] = []
    for number, (layer, costs) in enumerate(zip(layers, unary, strict=True)):
        own = [k for k, state in enumerate(layer.states) if state.plan == plan]
        if number >= plan:  # carried: the same place among its plan's states as in the layer before
            first = [k for k, state in enumerate(layers[number - 1].states) if state.plan == plan]
            out.append(own[first.index(out[-1])])
            continue
        kept = _kept(before[number]) if number < len(before) else None
        empty = [k for k in own if layer.states[k].option is None]
        best = min(own, key=lambda k: costs[k])
        if number and layers[0].states[out[0]].option is None and empty:
            best = empty[0]
        if kept is not None:
            same = [
                (abs(float(option.choice.picture.span.start - kept[1].start)), k)
                for k in own
                if (option := layer.states[k].option) is not None and option.choice.picture.shot == kept[0]
            ]
            best = min(same)[1] if same else best
        out.append(best)
    return out


def _kept(slot: Slot) -> tuple[str, Span] | None:
    return None if slot.shot is None or slot.span is None else (slot.shot, slot.span)
