"""Assembly: from the candidates of each sentence to the slots of a cut, by the rules of editing.

Each sentence gets a slot, or several where it is long. Every candidate that fits becomes a choice with its
own place in the footage, speed and length; the rules price choices and pairs of neighbours; source time is
counted in cells that may be used once; and ``montage.solver`` finds the cheapest cut and a bound on how much
better any other could be.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from index.base import Span
from index.values import Media
from montage.fitting import NEARLY, Cells, Choice, fit, slot_seconds, split
from montage.presets import Preset
from montage.rules import RULES, Wish, check_cut, features, pair_matrix, slot_costs
from montage.script import Script
from montage.solver import InfeasibleError, Problem, solve
from montage.values import Alternate, Candidate, MontageError, Sentence, Slot, SlotKind, Title

__all__ = ["Assembly", "assemble"]

NEAR = 0.6
"""Where a sentence has a match over the threshold, others count too down to this share of it: better a near
match than a gap once the best are used up."""
ATTEMPTS = 6
"""Most times that a cut is solved: each time, sentences that could not fill their slots get fewer."""
EXTRA_GAP = 0.5
"""Share of a gap's cost for an empty slot beyond a sentence's first: a sentence without picture is worse."""
ALTERNATES = 5
"""Other shots named for each slot."""

Take = tuple[SlotKind, Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """The slots of a cut and what they cost."""

    slots: tuple[Slot, ...]
    objective: float
    """Weighted cost of all rules; lower is better."""
    bound: float
    """No cut of these candidates into as many slots costs less (proven)."""
    optimal: bool
    rule_totals: Mapping[str, float]
    """Weighted cost of each rule over the whole cut."""
    seconds: float
    """Time that the optimiser took."""


@dataclass(slots=True, kw_only=True)
class _Place:
    """A slot to be filled."""

    sentence: Sentence | None
    title: Title | None = None
    frames: int
    """Length asked for, on the film's grid."""
    wish: Wish | None = None
    choices: tuple[Choice, ...] = ()
    gap: bool = True
    """Whether it may stay empty."""
    why_gap: str = ""
    near: tuple[Choice, ...] = ()
    """Fitted candidates that were not good enough; for alternates."""
    before: Slot | None = None
    """The last cut's slot."""
    extra: bool = False
    """Whether it is a sentence's second slot or a later one."""

    @property
    def size(self) -> int:
        return len(self.choices) + (1 if self.gap else 0)


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
    takes: Mapping[str, Take] | None = None,
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
        media: media id to media, for their frame rates.
        thresholds: sentence id to its own threshold.
        previous: slots of the last cut; they stay unless a change is worth it.
        bans: ids of shots that must not appear.
        sentence_bans: sentence id to shots that it must not show.
        pins: sentence id to the candidates it is pinned to: it shows one of them, whatever its match.
        exact_pins: sentence ids whose pinned span is meant to the frame, besides those of ``[pin FILE@A-B]``:
            the picture keeps within that span and begins at its start.
        takes: shot id of a generated take to (kind, how it was made); these need no threshold.
        time_limit: seconds for the optimiser.
        seed: same seed, same cut.
        cancel: asked often; true ends the search with the best cut so far.

    Raises:
        MontageError: if pins or bans contradict each other, or the script shows nothing.
    """
    plan = _Plan(
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
        takes=takes or {},
    )
    weights = preset.all_weights
    seconds, most = 0.0, dict[str, int]()
    for attempt in range(ATTEMPTS):
        places = plan.places(script, most)
        if not places:
            raise MontageError(f"{script.path or 'the script'} shows nothing: every sentence is [skip]")
        cells = Cells(choice for place in places for choice in place.choices)
        _check_pins(places, plan.pins, cells)
        problem = _problem(places, cells, weights)
        try:
            solution = solve(
                problem,
                time_limit=max(time_limit - seconds, time_limit / ATTEMPTS),
                seed=seed,
                warm=_warm(places, problem),
                cancel=cancel,
            )
        except InfeasibleError as error:
            pinned = [str(s.number) for s in script.sentences if s.id in plan.pins]
            raise MontageError(
                f"the pins of sentences {', '.join(pinned)} contradict each other: too few shots are pinned "
                "for each to show its own; unpin one, or pin it to another shot"
            ) from error
        seconds += solution.seconds
        fewer = _filled(places, solution.choice)
        if not fewer:
            break
        # The last attempt must leave no extra slot empty, so it has none where one was.
        most |= fewer if attempt < ATTEMPTS - 2 else dict.fromkeys([*most, *fewer], 1)
    chosen = [
        place.choices[k] if k < len(place.choices) else None
        for place, k in zip(places, solution.choice, strict=True)
    ]
    costs = check_cut(
        [None if choice is None else choice.picture for choice in chosen],
        [place.wish for place in places],
        weights,
    )
    totals = {name: round(sum(slot.get(name, 0.0) for slot in costs), 6) for name in RULES}
    objective = round(sum(sum(slot.values()) for slot in costs), 6)
    proven = solution.optimal and not fewer
    slots = [
        plan.slot(place, choice, cost) for place, choice, cost in zip(places, chosen, costs, strict=True)
    ]
    return Assembly(
        slots=plan.held(script, slots, places),
        objective=objective,
        bound=objective if proven else min(objective, round(solution.bound, 6)),
        optimal=proven,
        rule_totals=totals,
        seconds=seconds,
    )


@dataclass(slots=True, kw_only=True)
class _Plan:
    """What ``assemble`` was asked, and how it becomes places and slots."""

    candidates: Mapping[str, Sequence[Candidate]]
    preset: Preset
    fps: Fraction
    threshold: float
    thresholds: Mapping[str, float]
    media: Mapping[str, Media]
    previous: Sequence[Slot]
    bans: frozenset[str]
    sentence_bans: Mapping[str, Collection[str]]
    pins: Mapping[str, Sequence[Candidate]]
    exact: frozenset[str]
    takes: Mapping[str, Take]
    reserved: tuple[Choice, ...] = ()
    """What sentences that are pinned to one shot will show."""

    def places(self, script: Script, most: Mapping[str, int]) -> list[_Place]:
        """A place for every slot, in order: titles stand before their sentence.

        ``most`` says how many slots a sentence may have, by its id.
        """
        before: dict[str, list[Slot]] = {}
        for slot in self.previous:
            before.setdefault(slot.sentence, []).append(slot)
        shown = [sentence for sentence in script.sentences if not sentence.directives.skip]
        pinned = {s.id: self._sentence(s, before.get(s.id, []), 1) for s in shown if s.id in self.pins}
        self.reserved = tuple(
            place.choices[0] for own in pinned.values() for place in own if len(place.choices) == 1
        )
        out: list[_Place] = []
        title_frames = max(1, round(self.preset.title_seconds * self.fps))
        titles = sorted(script.titles, key=lambda title: (title.before, title.line))
        for sentence in script.sentences:
            while titles and titles[0].before <= sentence.number:
                out.append(_Place(sentence=None, title=titles.pop(0), frames=title_frames))
            if not sentence.directives.skip:
                out += pinned.get(sentence.id) or self._sentence(
                    sentence, before.get(sentence.id, []), most.get(sentence.id, sys.maxsize)
                )
        out += [_Place(sentence=None, title=title, frames=title_frames) for title in titles]
        return out

    def _sentence(self, sentence: Sentence, before: Sequence[Slot], most: int) -> list[_Place]:
        pinned = sentence.id in self.pins
        banned = self.bans | set(self.sentence_bans.get(sentence.id, ()))
        if pinned:
            offered = self._pinned(sentence, banned)
        else:
            offered = [c for c in self.candidates.get(sentence.id, ()) if c.shot.id not in banned]
        # Sorted, so that the order of the candidates does not matter.
        offered.sort(key=lambda c: (-c.match, c.shot.id, c.span))
        takes = [c for c in offered if c.shot.id in self.takes]
        found = [c for c in offered if c.shot.id not in self.takes]
        good, why = (found, "") if pinned else self._good(sentence, found)
        frames, count, choices = self._slots(sentence, takes, good, most)
        if good and not choices and not self._fit(good, sentence, frames):
            why = "no matching shot is long enough"
        if pinned and not choices:
            raise MontageError(
                f"sentence {sentence.number} pins a stretch under half a second: pin a longer one"
            )
        near = () if good else self._fit(found, sentence, frames)
        directives = sentence.directives
        return [
            _Place(
                sentence=sentence,
                frames=frames,
                wish=Wish(
                    seconds=float(frames / self.fps),
                    size=directives.size,
                    move=directives.move,
                    previous=tuple(kept for slot in before if (kept := _kept(slot))),
                    sentence=sentence.id,
                    paragraph=sentence.paragraph,
                    share=1 / count,
                ),
                choices=choices,
                gap=not pinned,
                why_gap=why or "no unused shot is left for it",
                near=near,
                before=before[number] if number < len(before) else None,
                extra=number > 0,
            )
            for number in range(count)
        ]

    def _slots(
        self, sentence: Sentence, takes: Sequence[Candidate], good: Sequence[Candidate], most: int
    ) -> tuple[int, int, tuple[Choice, ...]]:
        """(frames of each slot of a sentence, number of slots, what may fill one)."""
        if sentence.id in self.pins:
            frames = max(1, round(slot_seconds(sentence, self.preset, 1, pinned=True)[0] * self.fps))
            if self._exact(sentence) and sentence.directives.hold is None:
                # The stretch that was named is shown whole, whatever the preset's lengths.
                frames = math.floor(max(c.span.seconds for c in self.pins[sentence.id]) * self.fps) or 1
            return frames, 1, self._fit([*takes, *good], sentence, frames)

        def fitted(frames: int) -> tuple[Choice, ...]:
            return self._free(self._fit([*takes, *good], sentence, frames))

        shots = min(most, len({c.shot.id for c in good}))
        return split(sentence, self.preset, self.fps, shots, fitted, takes=self.takes)

    def _free(self, choices: Sequence[Choice]) -> tuple[Choice, ...]:
        """Those that show nothing of what a pin of another sentence is sure to show."""
        cells = Cells([*self.reserved, *choices])
        taken = {cell for choice in self.reserved for cell in cells.of(choice)}
        return tuple(choice for choice in choices if taken.isdisjoint(cells.of(choice)))

    def held(self, script: Script, slots: Sequence[Slot], places: Sequence[_Place]) -> tuple[Slot, ...]:
        """The slots; those of a hold that is not met say so."""
        out = list(slots)
        for sentence in script.sentences:
            hold = sentence.directives.hold
            own = [n for n, slot in enumerate(slots) if slot.sentence == sentence.id]
            shown = sum(slots[n].frames for n in own) / self.fps
            if hold is None or any(slots[n].kind == "gap" for n in own) or not own or shown >= NEARLY * hold:
                continue
            if sentence.id in self.pins:
                reason = "what it is pinned to is no longer"
            elif any(choice.frames > slots[n].frames for n in own for choice in places[n].choices):
                reason = "longer shots match less or are used elsewhere"
            else:
                reason = "no longer shot matches"
            note = f"held {round(float(shown), 1):g} s of {round(float(hold), 1):g} s: {reason}"
            for n in own:
                out[n] = replace(slots[n], why="; ".join(filter(None, (slots[n].why, note))))
        return tuple(out)

    def _pinned(self, sentence: Sentence, banned: Collection[str]) -> list[Candidate]:
        offered = [c for c in self.pins[sentence.id] if c.shot.id not in banned]
        if not offered:
            shots = ", ".join(sorted({c.shot.id for c in self.pins[sentence.id]})) or "nothing"
            raise MontageError(
                f"sentence {sentence.number} pins {shots}, which is banned: lift the ban or the pin"
            )
        return offered

    def _good(self, sentence: Sentence, found: Sequence[Candidate]) -> tuple[list[Candidate], str]:
        """(candidates good enough to show, why there is a gap if there are none)."""
        if sentence.directives.generate:
            return [], "[generate] asks for a new shot"
        if not found:
            return [], "nothing in the library was found for it"
        threshold = self.thresholds.get(sentence.id, self.threshold)
        best = max(candidate.match for candidate in found)
        if best < threshold:
            return [], f"the best match is {best:.2f}, under {threshold:.2f}"
        return [candidate for candidate in found if candidate.match >= NEAR * threshold], ""

    def _exact(self, sentence: Sentence) -> bool:
        """Whether it is pinned to a span that is meant to the frame."""
        pin = sentence.directives.pin
        return sentence.id in self.pins and (
            sentence.id in self.exact or (pin is not None and pin.span is not None)
        )

    def _fit(self, offered: Sequence[Candidate], sentence: Sentence, frames: int) -> tuple[Choice, ...]:
        exact = self._exact(sentence)
        free = exact and sentence.directives.hold is None  # as long as the span, on the film's grid
        fitted = (
            fit(
                candidate,
                max(1, math.floor(candidate.span.seconds * self.fps)) if free else frames,
                self.fps,
                self.preset,
                rate=None
                if candidate.shot.media not in self.media
                else self.media[candidate.shot.media].rate,
                exact=exact,
                whole=candidate.shot.id in self.takes,
            )
            for candidate in offered
        )
        return tuple(choice for choice in fitted if choice is not None)

    def slot(self, place: _Place, choice: Choice | None, costs: Mapping[str, float]) -> Slot:
        """The finished slot."""
        if place.sentence is None:
            assert place.title is not None
            return Slot(sentence="", kind="title", frames=place.frames, text=place.title.text, why="title")
        shown = {name: round(cost, 6) for name, cost in costs.items()}
        others = [
            other
            for other in (*place.choices, *place.near)
            if choice is None or other.picture.shot != choice.picture.shot
        ]
        alternates: dict[str, Alternate] = {}
        for other in sorted(others, key=lambda c: -c.picture.match):
            if other.picture.shot not in self.takes:
                alternates.setdefault(
                    other.picture.shot,
                    Alternate(other.picture.shot, other.picture.span, other.picture.match),
                )
        listed = tuple(alternates.values())[:ALTERNATES]
        if choice is None:
            return Slot(
                sentence=place.sentence.id,
                kind="gap",
                frames=place.frames,
                costs=shown,
                alternates=listed,
                text=place.sentence.text,
                why=place.why_gap,
            )
        kind: SlotKind = "footage"
        take: Mapping[str, object] | None = None
        if choice.picture.shot in self.takes:
            kind, take = self.takes[choice.picture.shot]
        return Slot(
            sentence=place.sentence.id,
            kind=kind,
            frames=choice.frames,
            shot=choice.picture.shot,
            media=choice.picture.media,
            span=choice.picture.span,
            speed=choice.speed,
            match=choice.picture.match,
            costs=shown,
            alternates=listed,
            text=place.sentence.text if kind == "card" else "",
            why=choice.candidate.why,
            take=take,
        )


def _kept(slot: Slot) -> tuple[str, Span] | None:
    return None if slot.shot is None or slot.span is None else (slot.shot, slot.span)


def _check_pins(places: Sequence[_Place], pins: Collection[str], cells: Cells) -> None:
    taken: dict[int, tuple[int, str]] = {}
    for place in places:
        if place.sentence is None or place.sentence.id not in pins or len(place.choices) != 1:
            continue
        shot = place.choices[0].picture.shot
        used = cells.of(place.choices[0])
        for cell in used:
            if cell in taken:
                number, other = taken[cell]
                what = "a shot" if shot == other else f"a near-duplicate of {other}"
                raise MontageError(
                    f"sentence {place.sentence.number} pins {what} that sentence {number} has pinned "
                    f"({shot}): no part of a shot is shown twice, so pin another shot, or pin both to "
                    "seconds of their own, [pin FILE@FROM-TO], that do not overlap"
                )
        taken.update(dict.fromkeys(used, (place.sentence.number, shot)))


def _filled(places: Sequence[_Place], choice: Sequence[int]) -> dict[str, int]:
    """Sentence id to how many of its slots are filled (at least 1), where a slot beyond the first is not."""
    filled: dict[str, list[bool]] = {}
    for place, k in zip(places, choice, strict=True):
        if place.sentence is not None:
            filled.setdefault(place.sentence.id, []).append(k < len(place.choices))
    return {name: max(1, sum(full)) for name, full in filled.items() if len(full) > max(1, sum(full))}


def _problem(places: Sequence[_Place], cells: Cells, weights: Mapping[str, float]) -> Problem:
    unary, uses, arrays = [], [], []
    media: dict[str, int] = {}
    groups: dict[str, int] = {}
    for place in places:
        own = [sum(slot_costs(c.picture, place.wish, weights).values()) for c in place.choices if place.wish]
        rows = [cells.of(choice) for choice in place.choices]
        if place.gap or place.title is not None:
            share = EXTRA_GAP if place.extra else 1.0
            own.append(weights["gap"] * share if place.wish is not None else 0.0)
            rows.append([])
        table = np.full((len(rows), max(1, *map(len, rows))), -1)
        for number, row in enumerate(rows):
            table[number, : len(row)] = row
        unary.append(np.array(own, dtype=np.float64))
        uses.append(table)
        arrays.append(features([choice.picture for choice in place.choices], media, groups))
    pair = []
    for i in range(len(places) - 1):
        matrix = np.zeros((len(unary[i]), len(unary[i + 1])))
        first, second = len(places[i].choices), len(places[i + 1].choices)
        if first and second:
            matrix[:first, :second] = pair_matrix(arrays[i], arrays[i + 1], weights)
        pair.append(matrix)
    return Problem(unary=unary, pair=pair, uses=uses)


def _warm(places: Sequence[_Place], problem: Problem) -> list[int] | None:
    """The last cut as an answer, as far as its shots are still there; elsewhere the cheapest choice."""
    if not any(place.before is not None for place in places):
        return None
    out = []
    for place, unary in zip(places, problem.unary, strict=True):
        best = int(unary.argmin())
        kept = None if place.before is None else _kept(place.before)
        if kept is not None:
            same = [
                (abs(float(choice.picture.span.start - kept[1].start)), number)
                for number, choice in enumerate(place.choices)
                if choice.picture.shot == kept[0]
            ]
            best = min(same)[1] if same else best
        out.append(best)
    return out
