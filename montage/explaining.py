"""Why a cut is as it is: what each rule costs where, and what another picture would change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from index.base import Span
from index.values import Shot
from montage.explanation import (
    Explanation,
    Hard,
    Other,
    Part,
    Resolved,
    RuleCost,
    RuleTotal,
    SentenceAccount,
    Shown,
)
from montage.marks import made_words
from montage.recalled import frames_asked, labels, length_words, recalled
from montage.rules import RULES, Film
from montage.values import Sentence
from montage.wording import PARTS, Scene, best_words, changed, fact, is_broken, look_words, signed

if TYPE_CHECKING:
    from montage.cut import Cut
    from montage.model import Model
    from montage.model import Other as Possible

__all__ = ["explain"]

CHEAP = 2
"""Pictures told besides the alternates: those that cost least by themselves, whatever their match."""
FOLLOW_SECONDS = 0.5
"""Time to solve the cut anew around one picture."""
TINY = 5e-7
"""Costs below are rounding."""
BETTER = 0.005
"""A match counts as better from this difference."""


PROVEN = 1e-6
"""A difference is proven where nothing is known to be cheaper by more than this."""
TRIED = 3
"""Pictures tried for each other number of pictures of a sentence."""
NO_MODEL = "what other pictures would change is known only while the cut is as it was planned"


def explain(cut: Cut, sentence: int | str | None = None, *, follow: bool | None = None) -> Explanation:
    """Why ``cut`` is as it is: the whole of it, or one ``sentence`` (number or id).

    Args:
        cut: the cut.
        sentence: the one to explain; None for all.
        follow: whether to solve the cut anew for every alternate, so that the rest may follow it; that takes
            a moment each. By default for one sentence alone.

    Raises:
        MontageError: if there is no such sentence, or a pin or a ban names what the library no longer has.
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
        length=length_words(cut),
        notes=() if account.model is not None else (NO_MODEL,),
        kept="" if cut.kept is None else f"{cut.kept[0]} of {cut.kept[1]} pictures of the cut before stayed",
    )


class _Account:
    """A cut with all that its explanation needs."""

    def __init__(self, cut: Cut, follow: bool) -> None:
        self.cut, self.follow = cut, follow
        self.model = _model(cut)
        self.labels = labels(cut)
        self.weights = cut.preset.all_weights
        offered = {other.shot for slot in cut.slots for other in slot.alternates}
        self.shots = cut.library.some_shots({*offered, *(slot.shot for slot in cut.slots if slot.shot)})
        self.states = [] if self.model is None else self.model.shown()
        self.scene = self._scene()
        self.costs: list[Mapping[str, float]] = [slot.costs for slot in cut.slots]
        if self.model is not None:
            self.costs = list(self.model.costs())
        self.now = _totals(self.costs)

    def _scene(self) -> Scene:
        """The cut as the rules see it."""
        cut = self.cut
        used = {slot.media for slot in cut.slots if slot.media is not None}
        used |= {shot.media for shot in self.shots.values()}
        files = {media.id: media.paths[0] for media in cut.library.some_media(used).values()}
        self.files = files | {s.id: files[s.media] for s in self.shots.values() if s.media in files}
        if self.model is not None:
            pictures = [None if slot.choice is None else slot.choice.picture for slot in self.states]
            wishes = [slot.state.wish for slot in self.states]
            film = self.model.film
        else:
            (pictures, wishes), film = recalled(cut, self.shots), Film()
        return Scene(
            pictures=pictures,
            wishes=wishes,
            film=film,
            grammar=cut.preset.grammar,
            labels=self.labels,
            files=self.files,
        )

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
            count="; ".join(
                filter(None, [self._count(sentence, places), *self._other_counts(places, wanted)])
            ),
            slots=tuple(self._shown(place, sentence) for place in places) if wanted else (),
        )

    def _shown(self, place: int, sentence: Sentence | None) -> Shown:
        slot = self.cut.slots[place]
        costs = self.rule_costs(place)
        others = self._others(place) if sentence is not None else ()
        picture = self.scene.pictures[place]
        choice = self.states[place].choice if self.states else None
        parts: Mapping[str, float] = {} if choice is None else choice.candidate.parts
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
            made=made_words(slot.take),
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
                    fact=self.cut.slots[place].why if name == "gap" else fact(name, self.scene, place),
                    neighbour=self._neighbour(name, place),
                    broken=is_broken(name, part),
                    covered=rule.bounded,
                )
            )
        return tuple(sorted(out, key=lambda cost: (-cost.cost, cost.rule)))

    def _neighbour(self, name: str, place: int) -> int | None:
        if RULES[name].arity in (2, 3):
            return place  # numbers count from 1: the slot before
        if name == "rhythm":
            return place
        if name == "again":
            shot = self.cut.slots[place].shot
            earlier = [n for n, slot in enumerate(self.cut.slots[:place], start=1) if slot.shot == shot]
            return earlier[-1] if earlier else None
        return None

    def _others(self, place: int) -> tuple[Other, ...]:
        """What else the slot could show: its alternates, and what costs least by itself; cheapest first."""
        slot = self.cut.slots[place]
        states = list(self.model.others(place)) if self.model is not None else []
        taken: set[int] = set()
        out = []
        for number, alternate in enumerate(slot.alternates, start=1):
            same = [one for one in states if one.choice.picture.shot == alternate.shot]
            near = min(
                same, key=lambda one: abs(one.choice.picture.span.start - alternate.span.start), default=None
            )
            if near is not None:
                taken |= {one.state for one in same}
                out.append(self._priced(place, number, near))
            elif alternate.shot in self.shots:
                shot = self.shots[alternate.shot]
                out.append(self._other(number, shot, alternate.span, alternate.match, ""))
        shown = {slot.shot, *(alternate.shot for alternate in slot.alternates)}
        for one in states:
            if len(out) >= len(slot.alternates) + CHEAP:
                break
            shot_id = one.choice.picture.shot
            if one.state in taken or shot_id in shown or self._clash(place, one.state):
                continue
            shown.add(shot_id)
            out.append(self._priced(place, 0, one))
        return tuple(sorted(out, key=lambda o: (o.difference is None, o.difference or 0.0, -o.match, o.shot)))

    def _clash(self, place: int, state: int) -> str:
        """Label of a slot that shows the same footage already, else empty."""
        assert self.model is not None
        return next((self.labels[n] for n in self.model.clashes(place, state)), "")

    def _priced(self, place: int, number: int, one: Possible) -> Other:
        """An exchange, with what it changes."""
        assert self.model is not None
        answer, used = self.model.replaced(place, one.state), self._clash(place, one.state)
        # At the length that it would have here, which need not be the one that suits it best.
        choice = self.model.shown(answer)[place].choice or one.choice
        picture = choice.picture
        other = self._other(number, choice.candidate.shot, picture.span, picture.match, used)
        if not used:
            after = _totals(self.model.costs(answer))
            rules = {name: after.get(name, 0.0) - self.now.get(name, 0.0) for name in RULES}
            rules = {name: value for name, value in rules.items() if abs(value) > TINY}
            other = replace(other, difference=sum(rules.values()), rules=rules)
        if not self.follow:
            return other
        resolved = self._resolved(place, one.state)
        alone = other.difference
        if (
            alone is not None
            and self.model.lasts(answer)
            and (resolved is None or alone < resolved.difference)
        ):
            # Nothing has to follow: then leaving all else alone is an answer too.
            least = alone if resolved is None else min(alone, resolved.least)
            proven = alone - least < PROVEN
            resolved = Resolved(difference=alone, least=least, proven=proven, rules=other.rules, moved=())
        return replace(other, resolved=resolved)

    def _other(self, number: int, shot: Shot, span: Span, match: float, used: str) -> Other:
        return Other(
            number=number,
            shot=shot.id,
            file=self._file(shot.media),
            start=float(span.start),
            end=float(span.end),
            match=match,
            look=look_words(shot.look),
            used=used,
            difference=None,
            rules={},
            resolved=None,
        )

    def _file(self, media: str) -> str:
        """The name of a file, read from the library where no slot or alternate shows it."""
        if media not in self.files:
            found = self.cut.library.some_media([media])
            self.files[media] = found[media].paths[0] if media in found else ""
        return self.files[media]

    def _resolved(self, place: int, state: int) -> Resolved | None:
        """What changes if the slot shows that and the rest may follow."""
        assert self.model is not None
        found = self.model.forced(place, state, time_limit=FOLLOW_SECONDS)
        if found is None:
            return None
        return Resolved(
            difference=found.objective,
            least=min(found.bound, found.objective),
            proven=found.exact,
            rules=dict(found.rules),
            moved=tuple(self.labels[n] for n in found.moved),
        )

    def _instead(self, place: int, others: Sequence[Other]) -> str:
        """Why a picture that matches better is not shown."""
        slot = self.cut.slots[place]
        best = max(others, key=lambda other: other.match, default=None)
        if slot.match is None or best is None or best.match < slot.match + BETTER:
            return ""
        head = f"{best.file} matches better ({best.match:.2f} against {slot.match:.2f})"
        if slot.why.startswith("pinned"):
            return f"{head}, but this one is pinned"
        if best.used:
            return f"{head}, but {best.used} shows it"
        if best.difference is None:
            return f"{head}, but cannot take its place as it stands"
        if best.difference < 0:
            return f"{head} and would cost {-best.difference:.2f} less: the optimiser missed it in its time"
        return f"{head}, but in its place would cost {best.difference:.2f} more: {changed(best.rules)}"

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
            if sentence.directives.pin is not None or self.cut.slots[places[0]].why.startswith("pinned"):
                return "one picture: it is pinned"
            if sentence.directives.hold is not None:
                return f"one picture, held {seconds:g} s as the script asks"
            if seconds > preset.maximum:
                return f"one picture: more would not pay, though {seconds:.1f} s were asked for"
            if seconds / 2 < preset.minimum:
                least = f"{float(preset.minimum):g} s, the least for a picture"
                return f"one picture: two of {seconds / 2:.1f} s would be shorter than {least}"
            return f"one picture of {shown:.1f} s costs least; the pace is {float(preset.pace):g} s"
        each = shown / count
        if seconds > preset.maximum:
            return (
                f"{count} pictures of about {each:.1f} s: one lasts {float(preset.maximum):g} s at most, and "
                f"{seconds:.1f} s were asked for"
            )
        return f"{count} pictures of about {each:.1f} s cost least; the pace is {float(preset.pace):g} s"

    def _other_counts(self, places: Sequence[int], wanted: bool) -> list[str]:
        """What other numbers of pictures would cost, where the cut may be solved anew."""
        if self.model is None or not self.follow or not wanted or not places:
            return []
        layer, now, _ = self.states[places[0]]
        states = self.model.layers[layer].states
        unary = self.model.problem.unary[layer]
        out = []
        for count in sorted({state.plan for state in states} - {now.plan}):
            own = [k for k, state in enumerate(states) if state.plan == count and state.option is not None]
            tried = [
                self.model.forced(places[0], k, time_limit=FOLLOW_SECONDS)
                for k in sorted(own, key=lambda k: float(unary[k]))[:TRIED]
            ]
            found = [one.objective for one in tried if one is not None]
            if found:
                pictures = "one picture" if count == 1 else f"{count} pictures"
                out.append(f"{pictures} instead: {signed(min(found))} at the best found")
        return out

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
                    broken=tuple((label, cost.fact or rule.says) for cost, label in broken),
                )
            )
        return tuple(sorted(out, key=lambda total: (not total.broken, -total.cost)))

    def hard(self) -> tuple[Hard, ...]:
        """The hard rules, checked one by one on the finished cut.

        Raises:
            MontageError: if a pin or a ban names what the library no longer has.
        """
        from montage.resolving import locked, named_shots, pins_of
        from montage.rules.hard import HARD_RULES, Finished

        cut = self.cut
        locks = locked(cut.script, cut.taste)
        pins = pins_of(cut.script, cut.taste, cut.library, {}, locks)
        layers = self.model.layers if self.model is not None else ()
        finished = Finished(
            slots=cut.slots,
            script=cut.script,
            preset=cut.preset,
            fps=cut.fps,
            shots=cut.library.some_shots([slot.shot for slot in cut.slots if slot.shot is not None]),
            media=cut.library.some_media([slot.media for slot in cut.slots if slot.media is not None]),
            taste=cut.taste,
            pins={name: {one.shot.id for one in chosen} for name, chosen in pins.items()},
            bans=named_shots(cut.script, "ban", {}, cut.library),
            spoken=set(cut.narration),
            previous=[slot for layer in layers if layer.number == 0 for slot in layer.before],
            total=frames_asked(cut),
        )
        out = []
        for rule in HARD_RULES:
            wrong = [
                says if place is None else f"{self.labels[place]}: {says}"
                for place, says in rule.check(finished)
            ]
            out.append(Hard(rule=rule.name, kept=not wrong, detail="; ".join(wrong) or rule.says))
        return tuple(out)


def _model(cut: Cut) -> Model | None:
    """The model behind the cut, None where the cut is no longer what it answered."""
    if cut.model is None:
        return None
    choices = [slot.choice for slot in cut.model.shown()]
    shown = [None if choice is None else (choice.picture.shot, choice.frames) for choice in choices]
    slots = [None if slot.shot is None else (slot.shot, slot.frames) for slot in cut.slots]
    return cut.model if shown == slots else None


def _totals(costs: Iterable[Mapping[str, float]]) -> dict[str, float]:
    out: dict[str, float] = {}
    for slot in costs:
        for name, cost in slot.items():
            out[name] = out.get(name, 0.0) + cost
    return out
