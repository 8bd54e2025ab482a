"""Why a cut is as it is: what each rule costs where, and what another picture would change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from montage.explanation import (
    Explanation,
    Hard,
    Other,
    Part,
    RuleCost,
    RuleTotal,
    SentenceAccount,
    Shown,
)
from montage.rules import RULES, Film, Picture, Wish
from montage.values import Sentence
from montage.wording import PARTS, Scene, best_words, changed, fact, is_broken, look_words

if TYPE_CHECKING:
    from montage.cut import Cut

__all__ = ["explain"]

TINY = 5e-7
"""Costs below are rounding."""
BETTER = 0.005
"""A match counts as better from this difference."""


def explain(cut: Cut, sentence: int | str | None = None, *, follow: bool | None = None) -> Explanation:
    """Why ``cut`` is as it is: the whole of it, or one ``sentence`` (number or id).

    Args:
        cut: the cut.
        sentence: the one to explain; None for all.
        follow: whether to solve the cut anew for every alternate, so that the rest may follow it; that takes
            a moment each. By default for one sentence alone.

    Raises:
        MontageError: if there is no such sentence.
    """
    wanted = None if sentence is None else cut.sentence(sentence).id
    account = _Account(cut, follow if follow is not None else wanted is not None)
    every = account.sentences(wanted)
    return Explanation(
        preset=cut.preset.name,
        seconds=float(cut.duration),
        frames=cut.frames,
        fps=float(cut.fps),
        objective=cut.objective,
        bound=cut.bound,
        gap=cut.optimality_gap,
        best=best_words(cut.objective, cut.bound),
        rules=account.rules(),
        hard=account.hard(),
        sentences=every,
        length=_length(cut),
        kept="" if cut.kept is None else f"{cut.kept[0]} of {cut.kept[1]} pictures of the cut before stayed",
    )


class _Account:
    """A cut with all that its explanation needs."""

    def __init__(self, cut: Cut, follow: bool) -> None:
        self.cut, self.follow = cut, follow
        self.labels = _labels(cut)
        self.scene = _scene(cut, self.labels)
        self.costs: list[Mapping[str, float]] = [slot.costs for slot in cut.slots]
        self.weights = cut.preset.all_weights

    def sentences(self, wanted: str | None) -> tuple[SentenceAccount, ...]:
        """Sentences and title cards in the order of the film, or the one wanted."""
        out = []
        own: dict[str, list[int]] = {}
        for place, slot in enumerate(self.cut.slots):
            if slot.sentence:
                own.setdefault(slot.sentence, []).append(place)
        titles = [place for place, slot in enumerate(self.cut.slots) if not slot.sentence]
        for sentence in self.cut.script.sentences:
            places = own.get(sentence.id, [])
            while titles and places and titles[0] < places[0]:
                out.append(self._title(titles.pop(0)))
            out.append(self._sentence(sentence, places, wanted in (None, sentence.id)))
        out += [self._title(place) for place in titles]
        return tuple(one for one in out if wanted in (None, one.id))

    def _title(self, place: int) -> SentenceAccount:
        slot = self.cut.slots[place]
        return SentenceAccount(
            number=None,
            id="",
            text=slot.text,
            paragraph=0,
            asked=float(slot.frames / self.cut.fps),
            count="",
            slots=(self._shown(place, None),),
        )

    def _sentence(self, sentence: Sentence, places: Sequence[int], wanted: bool) -> SentenceAccount:
        return SentenceAccount(
            number=sentence.number,
            id=sentence.id,
            text=sentence.text,
            paragraph=sentence.paragraph,
            asked=float(sentence.seconds),
            count=self._count(sentence, places),
            slots=tuple(self._shown(place, sentence) for place in places) if wanted else (),
        )

    def _shown(self, place: int, sentence: Sentence | None) -> Shown:
        slot = self.cut.slots[place]
        costs = self.rule_costs(place)
        others = self._others(place) if sentence is not None else ()
        picture = self.scene.pictures[place]
        parts: Mapping[str, float] = {}
        return Shown(
            number=place + 1,
            label=self.labels[place],
            kind=slot.kind,
            file=self.scene.files.get(slot.media or "", ""),
            shot=slot.shot,
            start=None if slot.span is None else float(slot.span.start),
            end=None if slot.span is None else float(slot.span.end),
            film_start=float(sum(s.frames for s in self.cut.slots[:place]) / self.cut.fps),
            seconds=float(slot.frames / self.cut.fps),
            frames=slot.frames,
            speed=float(slot.speed),
            look="" if picture is None else look_words(picture.look),
            match=slot.match,
            parts=tuple(Part(name=n, says=PARTS.get(n, n), value=v) for n, v in parts.items()),
            why=slot.why,
            cost=sum(cost.cost for cost in costs),
            costs=costs,
            instead=self._instead(place, others),
            others=others,
        )

    def rule_costs(self, place: int) -> tuple[RuleCost, ...]:
        """Every rule that costs something at a slot, most expensive first."""
        wish = self.scene.wishes[place]
        objective = self.cut.objective
        out = []
        for name, cost in self.costs[place].items():
            if cost < TINY:
                continue
            rule = RULES[name]
            full = self.weights[name] * (wish.share if rule.arity == 1 and wish is not None else 1.0)
            part = min(1.0, cost / full) if full > 0 else 1.0
            out.append(
                RuleCost(
                    rule=name,
                    says=rule.says,
                    cost=cost,
                    share=cost / objective if objective > 0 else 0.0,
                    part=part,
                    fact=fact(name, self.scene, place),
                    neighbour=self._neighbour(name, place),
                    broken=is_broken(name, part),
                    covered=rule.bounded,
                )
            )
        return tuple(sorted(out, key=lambda cost: (-cost.cost, cost.rule)))

    def _neighbour(self, name: str, place: int) -> int | None:
        if RULES[name].arity in (2, 3):
            return place  # numbers count from 1: the slot before
        if name == "again":
            shot = self.cut.slots[place].shot
            earlier = [n for n, slot in enumerate(self.cut.slots[:place], start=1) if slot.shot == shot]
            return earlier[-1] if earlier else None
        return None

    def _others(self, place: int) -> tuple[Other, ...]:
        shots = self.cut.library.shots
        out = []
        for number, other in enumerate(self.cut.slots[place].alternates, start=1):
            shot = shots.get(other.shot)
            if shot is None:
                continue
            used = next(
                (
                    self.labels[n]
                    for n, slot in enumerate(self.cut.slots)
                    if n != place
                    and slot.shot == other.shot
                    and slot.span is not None
                    and slot.span.overlaps(other.span)
                ),
                "",
            )
            out.append(
                Other(
                    number=number,
                    shot=other.shot,
                    file=self.scene.files.get(shot.media, ""),
                    start=float(other.span.start),
                    end=float(other.span.end),
                    match=other.match,
                    look=look_words(shot.look),
                    used=used,
                    difference=None,
                    rules={},
                    resolved=None,
                )
            )
        return tuple(out)

    def _instead(self, place: int, others: Sequence[Other]) -> str:
        """Why a picture that matches better is not shown."""
        slot = self.cut.slots[place]
        best = max(others, key=lambda other: other.match, default=None)
        if slot.match is None or best is None or best.match < slot.match + BETTER:
            return ""
        head = f"{best.file} matches better ({best.match:.2f} against {slot.match:.2f})"
        if slot.why == "pinned":
            return f"{head}, but this one is pinned"
        if best.used:
            return f"{head}, but {best.used} shows it"
        if best.difference is None:
            return f"{head}, but cannot take its place as it stands"
        if best.difference < 0:
            return f"{head} and would cost {-best.difference:.2f} less: the optimiser ran out of time"
        return f"{head}, but would cost {best.difference:.2f} more: {changed(best.rules)}"

    def _count(self, sentence: Sentence, places: Sequence[int]) -> str:
        """Why the sentence has so many pictures."""
        preset = self.cut.preset
        seconds, count = float(sentence.seconds), len(places)
        if not places:
            return "left out: the script skips it"
        if any(self.cut.slots[place].kind == "gap" for place in places):
            return ""
        shown = sum(self.cut.slots[place].frames for place in places) / float(self.cut.fps)
        if count == 1:
            if sentence.directives.pin is not None or self.cut.slots[places[0]].why == "pinned":
                return "one picture: it is pinned"
            if sentence.directives.hold is not None:
                return f"one picture, held {seconds:g} s as the script asks"
            if seconds > preset.maximum:
                return f"one picture: more would not pay, though {seconds:.1f} s were asked for"
            return f"one picture of {shown:.1f} s: near the pace of {float(preset.pace):g} s"
        each = shown / count
        if seconds > preset.maximum:
            return (
                f"{count} pictures of about {each:.1f} s: one lasts {float(preset.maximum):g} s at most, and "
                f"{seconds:.1f} s were asked for"
            )
        return f"{count} pictures of about {each:.1f} s: the pace is {float(preset.pace):g} s"

    def rules(self) -> tuple[RuleTotal, ...]:
        """Every rule that costs something in the whole cut: broken ones first, then by cost."""
        every = [self.rule_costs(place) for place in range(len(self.costs))]
        out = []
        for name, rule in RULES.items():
            own = [
                (cost, self.labels[place])
                for place, costs in enumerate(every)
                for cost in costs
                if cost.rule == name
            ]
            total = sum(cost.cost for cost, _ in own)
            if not own:
                continue
            broken = sorted((pair for pair in own if pair[0].broken), key=lambda pair: -pair[0].cost)
            out.append(
                RuleTotal(
                    rule=name,
                    says=rule.says,
                    source=rule.source,
                    cost=total,
                    share=total / self.cut.objective if self.cut.objective > 0 else 0.0,
                    covered=rule.bounded,
                    broken=tuple((label, cost.fact) for cost, label in broken),
                )
            )
        return tuple(sorted(out, key=lambda total: (not total.broken, -total.cost)))

    def hard(self) -> tuple[Hard, ...]:
        """The hard rules, checked one by one."""
        return ()


def _labels(cut: Cut) -> list[str]:
    numbers = {sentence.id: sentence.number for sentence in cut.script.sentences}
    counts: dict[str, int] = {}
    for slot in cut.slots:
        counts[slot.sentence] = counts.get(slot.sentence, 0) + 1
    seen: dict[str, int] = {}
    out = []
    for slot in cut.slots:
        seen[slot.sentence] = seen.get(slot.sentence, 0) + 1
        label = f"sentence {numbers[slot.sentence]}" if slot.sentence else "title"
        several = slot.sentence and counts[slot.sentence] > 1
        out.append(f"{label}, picture {seen[slot.sentence]}" if several else label)
    return out


def _scene(cut: Cut, labels: Sequence[str]) -> Scene:
    """The cut as the rules see it."""
    sentences = {sentence.id: sentence for sentence in cut.script.sentences}
    pictures: list[Picture | None] = []
    wishes: list[Wish | None] = []
    counts: dict[str, int] = {}
    for slot in cut.slots:
        counts[slot.sentence] = counts.get(slot.sentence, 0) + 1
    for slot in cut.slots:
        sentence = sentences.get(slot.sentence)
        shot = cut.library.shots.get(slot.shot or "")
        pictures.append(
            None
            if shot is None or slot.span is None
            else Picture(
                shot=shot.id,
                media=shot.media,
                group=shot.group,
                span=slot.span,
                look=shot.look,
                match=slot.match or 0.0,
                seconds=float(slot.frames / cut.fps),
                speed=float(slot.speed),
            )
        )
        wishes.append(
            None
            if sentence is None
            else Wish(
                seconds=float(sentence.seconds) / counts[slot.sentence],
                sentence=sentence.id,
                paragraph=sentence.paragraph,
                share=1 / counts[slot.sentence],
                size=sentence.directives.size,
                move=sentence.directives.move,
            )
        )
    used = {slot.media for slot in cut.slots if slot.media is not None}
    offered = [other.shot for slot in cut.slots for other in slot.alternates]
    used |= {shot.media for shot in cut.library.some_shots(offered).values()}
    named = {media.id: media.paths[0] for media in cut.library.some_media(used).values()}
    return Scene(
        pictures=pictures,
        wishes=wishes,
        film=Film(),
        grammar=cut.preset.grammar,
        labels=labels,
        files=named,
    )


def _length(cut: Cut) -> str:
    if cut.length is None:
        return ""
    asked = cut.length if isinstance(cut.length, tuple) else (cut.length, cut.length)
    low, high = (f"{float(value):g}" for value in asked)
    return f"{low if low == high else f'{low} to {high}'} s asked for, {float(cut.duration):.2f} s shown"
