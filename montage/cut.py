"""A cut: the slots chosen for a script, what each rule costs, and how far from the best it can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from index.base import Span, to_seconds
from montage.clock import FilmLength
from montage.taste import Choice, Taste
from montage.values import Alternate, MontageError, Sentence, Slot

if TYPE_CHECKING:
    from pathlib import Path

    from index.library import Library
    from montage.explanation import Explanation
    from montage.model import Model
    from montage.presets import Preset
    from montage.rules import Film
    from montage.script import Script
    from montage.timeline import Music
    from montage.voiceover import Voiceover

__all__ = ["Choice", "Cut", "Taste"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The slots of a script, in order, with the optimiser's account of them.

    Raises:
        ValueError: if a slot names a sentence that the script does not have.
    """

    script: Script
    slots: tuple[Slot, ...]
    preset: Preset
    fps: Fraction
    """Frames a second of the film's grid."""
    objective: float
    """Weighted cost of all rules; lower is better."""
    bound: float
    """No cut of these candidates costs less (proven)."""
    rule_totals: Mapping[str, float]
    """Weighted cost of each rule over the whole cut."""
    seconds: float = 0.0
    """Time that the optimiser took."""
    taste: Taste = field(default_factory=Taste)
    seed: int = 0
    time_limit: float = 5.0
    """Seconds that the optimiser may take, when the cut is planned again too."""
    length: FilmLength | None = None
    """Seconds that the film was asked to last, or the least and the most of them; None for as it comes."""
    kept: tuple[int, int] | None = None
    """(how many, of how many) pictures of the cut before kept their shot, changed sentences left out; None
    for a first cut."""
    narration: Mapping[str, Fraction] = field(default_factory=dict)
    """Sentence id to the seconds of its voice."""
    film: Film | None = None
    """Beats and words that cuts should keep to."""
    voice: Voiceover | None = None
    """The narration that the film plays."""
    music: Music | None = None
    """What plays under the film."""
    model: Model | None = field(default=None, compare=False, repr=False)
    """What else could be shown, and at what cost; None for a cut that was not just planned."""
    library: Library = field(compare=False, repr=False)

    def __post_init__(self) -> None:
        known = {sentence.id for sentence in self.script.sentences}
        for slot in self.slots:
            if slot.sentence and slot.sentence not in known:
                raise ValueError(f"slot of sentence {slot.sentence!r}, which the script does not have")

    @property
    def frames(self) -> int:
        """Length of the film in frames."""
        return sum(slot.frames for slot in self.slots)

    @property
    def duration(self) -> Fraction:
        """Length of the film in seconds."""
        return self.frames / self.fps

    @property
    def optimality_gap(self) -> float:
        """(objective - bound) / objective: 0 is proven optimal."""
        if self.objective <= 0:
            return 0.0
        return max(0.0, (self.objective - self.bound) / self.objective)

    @property
    def gaps(self) -> tuple[Sentence, ...]:
        """Sentences that no footage shows."""
        ids = {slot.sentence for slot in self.slots if slot.kind == "gap"}
        return tuple(sentence for sentence in self.script.sentences if sentence.id in ids)

    def sentence(self, name: int | str) -> Sentence:
        """The sentence with this number (from 1) or id.

        Raises:
            MontageError: if there is none.
        """
        for sentence in self.script.sentences:
            if name in (sentence.number, sentence.id):
                return sentence
        raise MontageError(
            f"there is no sentence {name!r}: the script has sentences 1 to {len(self.script.sentences)}"
        )

    def pin(self, sentence: int | str, shot: str, span: tuple[float, float] | Span | None = None) -> Cut:
        """A new cut in which ``sentence`` (number or id) shows ``shot``, the rest planned around it.

        Args:
            sentence: number, from 1, or id.
            shot: shot id, as ``Hit.id`` gives it.
            span: which source seconds to show; None for wherever the shot matches best.

        Raises:
            MontageError: if the sentence or the shot does not exist, the span lies outside the shot, the
                script itself pins, locks or skips the sentence, it is locked, or the shot is banned.
        """
        self._known(shot)
        if span is not None and not isinstance(span, Span):
            try:
                span = Span(to_seconds(span[0]), to_seconds(span[1]))
            except ValueError as error:
                raise MontageError(f"cannot pin {span}: {error}") from error
        whole = self.library.shots[shot].span
        if span is not None and not (whole.start <= span.start and span.end <= whole.end):
            raise MontageError(
                f"cannot pin {float(span.start):g}-{float(span.end):g} s: shot {shot} runs from "
                f"{float(whole.start):g} to {float(whole.end):g} s"
            )
        free = self._unlocked(self._free(sentence))
        self._not_banned(shot, free)
        return self._planned(self.taste.pinned(free.id, Choice(shot, span)))

    def unpin(self, sentence: int | str) -> Cut:
        """A new cut in which ``sentence`` (number or id) is free again.

        Raises:
            MontageError: if there is no such sentence, or the script itself pins, locks or skips it.
        """
        return self._planned(self.taste.pinned(self._free(sentence).id, None))

    def lock(self, sentence: int | str) -> Cut:
        """A new cut in which ``sentence`` (number or id) keeps what it shows now, to the frame.

        Raises:
            MontageError: if there is no such sentence, the script skips it, or it has no picture to keep.
        """
        found = self._shown(self.sentence(sentence))
        own = self._own(found)
        if not own or any(slot.kind == "gap" for slot in own):
            raise MontageError(
                f"sentence {found.number} has no picture to keep: pin a shot to it, or let render fill the "
                "gap, and lock it then"
            )
        return self._planned(self.taste.locked(found.id, True))

    def unlock(self, sentence: int | str) -> Cut:
        """A new cut in which ``sentence`` (number or id) may change again; a pin of it stays.

        Raises:
            MontageError: if there is no such sentence, or the script itself locks it.
        """
        found = self.sentence(sentence)
        if found.directives.lock:
            raise MontageError(
                f"sentence {found.number} has a [lock] in the script, which comes first: take it out there"
            )
        return self._planned(self.taste.locked(found.id, False))

    def ban(self, shot: str, sentence: int | str | None = None) -> Cut:
        """A new cut in which ``shot`` (id) does not appear: nowhere, or not for one ``sentence``.

        Raises:
            MontageError: if the library has no such shot or the script no such sentence, or the shot is
                preferred, pinned or locked where it should not appear.
        """
        self._known(shot)
        where = None if sentence is None else self.sentence(sentence)
        self._not_preferred(shot, where)
        for one in self.script.sentences if where is None else (where,):
            choice, locked, _, _ = self.taste.of(one.id)
            if choice is not None and choice.shot == shot:
                raise MontageError(
                    f"cannot ban shot {shot}: sentence {one.number} is pinned to it; "
                    f"unpin({one.number}) first"
                )
            if locked and any(slot.shot == shot for slot in self._own(one)):
                raise MontageError(
                    f"cannot ban shot {shot}: sentence {one.number} is locked and shows it; "
                    f"unlock({one.number}) first"
                )
        return self._planned(self.taste.banned(shot, None if where is None else where.id, True))

    def unban(self, shot: str, sentence: int | str | None = None) -> Cut:
        """A new cut in which ``shot`` (id) may appear again: everywhere, or for one ``sentence``.

        Raises:
            MontageError: if there is no such sentence, or the shot would stay banned, as it is banned
                elsewhere than was said.
        """
        where = None if sentence is None else self.sentence(sentence)
        if where is not None and shot in self.taste.bans:
            raise MontageError(f"shot {shot} is banned for all sentences: unban({shot!r}) allows it")
        one = next((s for s in self.script.sentences if shot in self.taste.of(s.id)[2]), None)
        if where is None and shot not in self.taste.bans and one is not None:
            raise MontageError(
                f"shot {shot} is banned for sentence {one.number} alone: unban({shot!r}, {one.number}) "
                "allows it"
            )
        return self._planned(self.taste.banned(shot, None if where is None else where.id, False))

    def prefer(self, shot: str, sentence: int | str | None = None) -> Cut:
        """A new cut that rather shows ``shot`` (id) than another: anywhere, or for one ``sentence``.

        Raises:
            MontageError: if the library has no such shot, the script no such sentence or skips it, or the
                shot is banned.
        """
        self._known(shot)
        where = None if sentence is None else self._shown(self.sentence(sentence))
        self._not_banned(shot, where)
        return self._planned(self.taste.preferred(shot, None if where is None else where.id, True))

    def unprefer(self, shot: str, sentence: int | str | None = None) -> Cut:
        """A new cut in which ``shot`` (id) is as good as its match: anywhere, or for one ``sentence``.

        Raises:
            MontageError: if there is no such sentence, or the shot would stay preferred, as it is preferred
                elsewhere than was said.
        """
        where = None if sentence is None else self.sentence(sentence)
        if where is not None and shot in self.taste.prefers:
            raise MontageError(f"shot {shot} is preferred for all sentences: unprefer({shot!r}) ends that")
        one = next((s for s in self.script.sentences if shot in self.taste.of(s.id)[3]), None)
        if where is None and shot not in self.taste.prefers and one is not None:
            raise MontageError(
                f"shot {shot} is preferred for sentence {one.number} alone: unprefer({shot!r}, {one.number}) "
                "ends that"
            )
        return self._planned(self.taste.preferred(shot, None if where is None else where.id, False))

    def prompt(self, sentence: int | str, prompt: str | None) -> Cut:
        """A new cut in which a generated shot of ``sentence`` is asked for by ``prompt``; None for its text.

        Raises:
            MontageError: if there is no such sentence, the prompt is empty, or the script itself gives one.
        """
        found = self.sentence(sentence)
        if found.directives.prompt:
            raise MontageError(f"sentence {found.number} has a [prompt] in the script: change it there")
        if prompt is not None and not prompt.strip():
            raise MontageError(f"the prompt of sentence {found.number} is empty: say what to show, or None")
        return self._planned(self.taste.prompted(found.id, prompt))

    def alternates(self, sentence: int | str, slot: int | None = None) -> tuple[Alternate, ...]:
        """Other shots that would do for ``sentence`` (number or id), or for one of its pictures (from 1).

        Raises:
            MontageError: if there is no such sentence, or it has no such picture.
        """
        found = self.sentence(sentence)
        if slot is not None:
            return self._own(found)[self._place(found, slot)].alternates
        own = self._own(found)
        if len(own) == 1:
            return own[0].alternates
        shown = {one.shot for one in own}
        every = dict.fromkeys(other for one in own for other in one.alternates if other.shot not in shown)
        return tuple(sorted(every, key=lambda other: -other.match))

    def use(self, sentence: int | str, alternate: int | str, slot: int | None = None) -> Cut:
        """A new cut in which an alternate takes the place of what ``sentence`` shows.

        A sentence of one picture is pinned to the alternate. Of one with several, the picture ``slot`` is
        replaced, for as long as it was, and the sentence is locked, so that its other pictures stay.

        Args:
            sentence: number, from 1, or id.
            alternate: place in ``alternates(sentence, slot)``, from 1, or shot id.
            slot: which picture of the sentence, from 1; needed where it has several.

        Raises:
            MontageError: if there is no such sentence, picture or alternate, the script itself pins, locks
                or skips the sentence, it is locked, or the alternate is banned.
        """
        found = self._unlocked(self._free(sentence))
        own = self._own(found)
        if slot is None and len(own) > 1:
            raise MontageError(
                f"sentence {found.number} has {len(own)} pictures: say which with slot=1 to slot={len(own)}"
            )
        place = self._place(found, 1 if slot is None else slot)
        offered = own[place].alternates
        if isinstance(alternate, str):
            chosen = next((other for other in offered if other.shot == alternate), None)
        else:
            chosen = offered[alternate - 1] if 1 <= alternate <= len(offered) else None
        if chosen is None:
            listed = ", ".join(f"{number} {other.shot}" for number, other in enumerate(offered, start=1))
            raise MontageError(
                f"sentence {found.number} has no alternate {alternate!r}: "
                + (f"choose one of {listed}" if offered else "it has none; pin any shot that search finds")
            )
        if len(own) > 1:
            return self._exchanged(found, place, chosen)
        alike = sum(shot == chosen.shot for shot in (own[0].shot, *(other.shot for other in offered)))
        return self.pin(found.id, chosen.shot, chosen.span if alike > 1 else None)

    def _exchanged(self, sentence: Sentence, place: int, alternate: Alternate) -> Cut:
        """The cut with one picture of a sentence replaced and the sentence locked to that."""
        from montage.fitting import GUARD_FRAMES

        self._known(alternate.shot)
        self._not_banned(alternate.shot, sentence)
        old = self._own(sentence)[place]
        shot = self.library.shots[alternate.shot]
        start = alternate.span.start
        guard = GUARD_FRAMES / (self.library.media[shot.media].rate or self.fps)
        room = max(alternate.span.end, shot.span.end - guard) - start
        frames = max(1, min(old.frames, int(room * self.fps)))
        new = Slot(
            sentence=sentence.id,
            kind="footage",
            frames=frames,
            shot=shot.id,
            media=shot.media,
            span=Span(start, start + frames / self.fps),
            match=alternate.match,
            alternates=old.alternates,
        )
        slots = tuple(new if slot is old else slot for slot in self.slots)
        taste = self.taste.pinned(sentence.id, None).locked(sentence.id, True)
        return replace(self, slots=slots)._planned(taste)

    def _known(self, shot: str) -> None:
        if shot not in self.library.shots:
            raise MontageError(f"the library has no shot {shot!r}: take an id that search gives")

    def _own(self, sentence: Sentence) -> list[Slot]:
        return [slot for slot in self.slots if slot.sentence == sentence.id]

    def _place(self, sentence: Sentence, slot: int) -> int:
        count = len(self._own(sentence))
        if not 1 <= slot <= count:
            pictures = f"{count} picture" + ("s, counted from 1" if count > 1 else "")
            raise MontageError(f"sentence {sentence.number} has no picture {slot!r}: it has {pictures}")
        return slot - 1

    def _shown(self, sentence: Sentence) -> Sentence:
        """The sentence, if the script does not skip it."""
        if sentence.directives.skip:
            raise MontageError(
                f"sentence {sentence.number} has a [skip] in the script, which comes first: change it there"
            )
        return sentence

    def _free(self, name: int | str) -> Sentence:
        """The sentence, if the script leaves its picture to choose."""
        sentence = self.sentence(name)
        for directive in ("pin", "lock", "skip"):
            if getattr(sentence.directives, directive):
                raise MontageError(
                    f"sentence {sentence.number} has a [{directive}] in the script, which comes first: "
                    "change it there"
                )
        return sentence

    def _unlocked(self, sentence: Sentence) -> Sentence:
        if sentence.id in self.taste.locks:
            raise MontageError(
                f"sentence {sentence.number} is locked to what it shows: unlock({sentence.number}) first"
            )
        return sentence

    def _not_banned(self, shot: str, sentence: Sentence | None) -> None:
        if shot in self.taste.bans:
            raise MontageError(f"shot {shot} is banned: unban({shot!r}) first")
        for one in self.script.sentences:
            if shot in self.taste.of(one.id)[2] and (sentence is None or sentence.id == one.id):
                raise MontageError(
                    f"shot {shot} is banned for sentence {one.number}: unban({shot!r}, {one.number}) first"
                )

    def _not_preferred(self, shot: str, sentence: Sentence | None) -> None:
        if shot in self.taste.prefers:
            raise MontageError(f"shot {shot} is preferred: unprefer({shot!r}) first")
        for one in self.script.sentences:
            if shot in self.taste.of(one.id)[3] and (sentence is None or sentence.id == one.id):
                raise MontageError(
                    f"shot {shot} is preferred for sentence {one.number}: "
                    f"unprefer({shot!r}, {one.number}) first"
                )

    def _planned(self, taste: Taste) -> Cut:
        from montage.planning import plan

        return plan(
            self.script,
            self.library,
            self.preset,
            fps=self.fps,
            previous=self,
            taste=taste,
            seed=self.seed,
            time_limit=self.time_limit,
            length=self.length,
            narration=self.narration,
            film=self.film,
            voice=self.voice,
            music=self.music,
        )

    def explain(self, sentence: int | str | None = None, *, follow: bool | None = None) -> Explanation:
        """Why the cut is as it is: the whole of it, or one ``sentence`` (number or id).

        Args:
            sentence: the one to explain; None for all.
            follow: whether to solve the cut anew for every alternate, so that the rest may follow it; that
                takes a moment each. By default for one sentence alone.

        Raises:
            MontageError: if there is no such sentence.
        """
        from montage.explaining import explain

        return explain(self, sentence, follow=follow)

    def storyboard(self, path: Path | str) -> Path:
        """Write the cut as one self-contained page: every picture, its reasons, what else would do.

        Raises:
            MontageError: if it cannot be written, or ``path`` holds something else than a storyboard.
        """
        from montage.storyboard import write_storyboard

        return write_storyboard(self, path)

    def _repr_html_(self) -> str:
        from montage.pages import cut_page

        return cut_page(self)
