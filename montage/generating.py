"""Takes for the gaps of a cut: made as intended, measured, and judged like footage."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from montage.generation import AUTO, Generation, Studio, asked_as, digest
from montage.intents import TIMINGS, Intent, told_seconds
from montage.material import request_for
from montage.splicing import Spliced, measured, takes_folder
from montage.stretches import own_size, stretch
from montage.values import MontageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from generate.base import Frame, Request, Take
    from generate.takes import StepDown
    from montage.cut import Cut
    from montage.remote import Outcome

__all__ = ["Made", "make_takes"]

Progress = Callable[[float, float, str], None]


@dataclass(slots=True)
class Made:
    """What came of the intents."""

    spliced: list[Spliced] = field(default_factory=list)
    steps: dict[str, list[str]] = field(default_factory=dict)
    """Sentence id to why takes of it were not made, or refused."""
    stopped: bool = False
    """Whether it was ended by hand."""

    def tell(self, sentence: str, reason: str) -> None:
        """Note a reason."""
        self.steps.setdefault(sentence, []).append(reason)


def make_takes(
    wanted: Sequence[Intent],
    cut: Cut,
    size: tuple[int, int],
    studio: Studio,
    generation: Generation,
    *,
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Made:
    """Make what was intended; takes that are no better than what there is are left out, with the reason.

    Raises:
        Cancelled: if ``cancel`` said so. ``generation.stop`` ends the making and raises nothing.
    """
    return _Making(cut, size, studio, generation, progress, cancel).all(wanted)


@contextmanager
def _never() -> Iterator[Callable[[], bool]]:
    """Nobody ends the making."""
    yield bool


class _Making:
    """The takes of one cut on their way."""

    def __init__(
        self,
        cut: Cut,
        size: tuple[int, int],
        studio: Studio,
        generation: Generation,
        progress: Progress | None,
        cancel: Callable[[], bool] | None,
    ) -> None:
        from generate.timing import Timings

        self.cut, self.size, self.studio = cut, size, studio
        self.generation, self.progress, self.cancel = generation, progress, cancel
        self.folder = takes_folder(cut.library)
        self.timings = Timings(self.folder / TIMINGS)
        self.made = Made()
        self.subjects: dict[str, tuple[Frame, ...]] = {}
        """Id of a story's first sentence to pictures of its subject."""
        self.shown: dict[str, NDArray[np.float32]] = {}
        """The same to what its first take shows, as a unit vector."""
        self.began = monotonic()
        self.done, self.total = 0, 1
        self.asked: Callable[[], bool] = bool
        self.looked: dict[Path, tuple[str, str]] = {}
        """File of a take to why it must not be shown, and whether it was looked at."""
        self.outcomes: dict[tuple[int, int, int], Outcome] = {}
        """What came of takes on a cluster, by intent (its ``id``), number and piece."""

    def all(self, wanted: Sequence[Intent]) -> Made:
        """Every intent, one after the other."""
        self.total = sum(len(intent.pieces) * intent.takes for intent in wanted)
        with (self.generation.stop or _never)() as self.asked:
            self._all(wanted)
        return self.made

    def _all(self, wanted: Sequence[Intent]) -> None:
        from generate.base import Cancelled, GenerationError

        for wave in self._waves(wanted):
            self._on_cluster(wave)
            for intent in wave:
                for note in intent.notes:
                    self.made.tell(intent.sentence.id, note)
                try:
                    self._intent(intent)
                except Cancelled:
                    if self.cancel is not None and self.cancel():
                        raise
                    self.made.stopped = True
                    self._unfinished(intent)
                    if self.generation.ray is None:
                        break  # on a cluster takes further on may be finished
                except GenerationError as error:
                    for reason in str(error).splitlines()[:4]:
                        self.made.tell(intent.sentence.id, f"diffusion: {reason.strip()}")
        if self.made.stopped:
            have = {spliced.sentence for spliced in self.made.spliced}
            for intent in wanted:
                if intent.sentence.id not in have:
                    self.made.tell(intent.sentence.id, "diffusion: stopped by hand")

    def _unfinished(self, intent: Intent) -> None:
        """Note in an intent's takes that they are not all of them: the next run goes on from there."""
        self.made.spliced = [
            replace(spliced, take={**spliced.take, "takes": 0})
            if spliced.sentence == intent.sentence.id
            else spliced
            for spliced in self.made.spliced
        ]

    def _waves(self, wanted: Sequence[Intent]) -> Iterator[Sequence[Intent]]:
        """What can be made at once. On a cluster, what a story begins with comes before the rest of it, where
        the model is given pictures of its subject."""
        if self.generation.ray is None:
            yield wanted
            return
        waves: tuple[list[Intent], list[Intent]] = ([], [])
        for intent in wanted:
            follows = intent.story not in ("", intent.sentence.id)
            waves[follows and "subjects" in getattr(intent.generator, "honours", ())].append(intent)
        yield from waves

    def _on_cluster(self, wave: Sequence[Intent]) -> None:
        """Have takes made on the Ray cluster, where one was named."""
        from generate.base import GenerationError
        from generate.safety import check_prompt
        from montage.cluster import Job, make_on_cluster

        if self.generation.ray is None:
            return
        places, jobs = [], []
        for intent in wave:
            try:
                check_prompt(intent.prompt.text)
            except GenerationError:
                continue  # told when its turn comes
            for number in range(intent.takes):
                for piece in range(len(intent.pieces)):
                    places.append((id(intent), number, piece))
                    jobs.append(
                        Job(
                            generator=intent.generator,
                            request=partial(self._asked_for, intent, number, piece),
                            painter=self.studio.painter if intent.strategy == "factorised" else None,
                        )
                    )
        outcomes = make_on_cluster(
            jobs,
            self.folder,
            self.generation.ray,
            gates=self.generation.gates,
            refuse=self._unsafe,
            progress=self.progress,
            cancel=self._stop,
        )
        for outcome in outcomes:
            for take, seconds in outcome.made:
                self.timings.note(take, outcome.device, seconds)
        self.outcomes |= zip(places, outcomes, strict=True)

    def _intent(self, intent: Intent) -> None:
        from generate.safety import check_prompt

        check_prompt(intent.prompt.text)
        worked = False
        for number in range(intent.takes):
            for piece in range(len(intent.pieces)):
                worked |= self._take(intent, number, piece)
                if not worked:
                    self._otherwise(intent)
                    return
                self.done += 1

    def _otherwise(self, intent: Intent) -> None:
        """Ask a model that failed to make takes in the way that was chosen for it, by the text alone."""
        generator = self.studio.generator_for("direct")
        longest = self.studio.longest("direct")
        chosen = self.generation.strategy == AUTO and intent.strategy not in ("direct", "control")
        short = longest is None or max(intent.pieces) <= longest * self.cut.fps
        if generator is None or not chosen or intent.footage or not short:
            return
        self.made.tell(intent.sentence.id, f"{intent.strategy} failed, so the text alone was tried")
        other = replace(intent, generator=generator, strategy="direct", near=None, notes=())
        self._on_cluster([other])
        self._intent(other)

    def _take(self, intent: Intent, number: int, piece: int) -> bool:
        """Make a take and judge it; false where the model could not be run."""
        from generate.base import Cancelled, GenerationError
        from generate.takes import REFUSED

        try:
            take, steps, told = self._take_of(intent, number, piece)
        except Cancelled:
            raise
        except GenerationError as error:
            # The first line names the sentence, the others give a reason each.
            reasons = str(error).splitlines()
            for reason in reasons[1:] or reasons:
                self.made.tell(intent.sentence.id, f"diffusion: {reason.strip()}")
            return any(REFUSED in reason for reason in reasons)
        for step in steps:
            self.made.tell(intent.sentence.id, f"{step.generator}: {step.reason}")
        for line in told:
            self.made.tell(intent.sentence.id, line)
        try:
            self._judged(intent, self._composed(intent, take) if intent.footage else take, piece)
        except Cancelled:
            raise
        except (GenerationError, MontageError) as error:
            if self._stop():
                raise Cancelled("stopped by hand") from error
            self.made.tell(intent.sentence.id, f"take with seed {take.seed} refused: {error}")
        return True

    def _take_of(
        self, intent: Intent, number: int, piece: int
    ) -> tuple[Take, Sequence[StepDown], Sequence[str]]:
        """(the take, made here or before; why others were refused; what was done about a lack of memory)."""
        from generate.base import Cancelled, GenerationError
        from generate.takes import make_take
        from index.base import FootageError

        outcome = self.outcomes.get((id(intent), number, piece))
        if outcome is not None:
            if outcome.stopped:
                raise Cancelled(outcome.reason)
            if outcome.take is None:
                raise GenerationError(outcome.reason)
            return outcome.take, outcome.steps, outcome.told
        before = len(getattr(intent.generator, "told", ()))
        try:
            request = self._request(intent, number, piece)
        except (FootageError, MontageError) as error:
            raise GenerationError(f"its footage cannot be used: {error}") from error
        take, steps = make_take(
            request,
            [intent.generator],
            self.folder,
            self._stepped(intent, number),
            self._stop,
            gates=self.generation.gates,
            made=lambda made, seconds: self._timed(intent, made, seconds),
            refuse=self._unsafe,
        )
        return take, steps, getattr(intent.generator, "told", ())[before:]

    def _composed(self, intent: Intent, take: Take) -> Take:
        """A take with the footage that it goes on from, or that it surrounds."""
        from generate.base import GenerationError
        from generate.composing import compose, continued, surrounded
        from generate.gates import check_join

        near, library = intent.near, self.cut.library
        assert near is not None
        extends = intent.strategy == "extend"
        size = self.size if extends else own_size(library, near.shot, self.size)
        whole = compose(
            take,
            continued if extends else surrounded,
            lambda: stretch(
                library,
                near.shot,
                near.span.start,
                intent.footage,
                self.cut.fps,
                size,
                speed=intent.speed,
                cancel=self._stop,
            ),
            intent.footage + (take.frames if extends else 0),
            f"{near.shot} {near.span} {intent.speed}",
            {"footage_frames": intent.footage},
            self._stop,
        )
        if extends and self.generation.gates:
            # Of the whole only the join is new: footage itself may be dark, still, or flash.
            cut = check_join(whole.path, intent.footage)
            if cut:
                raise GenerationError(f"it does not go on from its footage, but is {cut}")
        return whole

    def _timed(self, intent: Intent, take: Take, seconds: float) -> None:
        self.timings.note(take, getattr(intent.generator, "device", "cpu"), seconds)

    def _looked_at(self, take: Take) -> tuple[str, str]:
        """What ``unsafe`` says of a take; its frames are looked at once."""
        from montage.safeguard import unsafe

        if take.path not in self.looked:
            self.looked[take.path] = unsafe(take, self.cut.library)
        return self.looked[take.path]

    def _unsafe(self, take: Take) -> tuple[str, ...]:
        reason, _ = self._looked_at(take)
        return (reason,) if reason else ()

    def _judged(self, intent: Intent, take: Take, piece: int) -> None:
        """Measure a take like footage; it must show its sentence better than what there is."""
        reference = intent.near.shot if intent.near is not None and intent.strategy != "control" else None
        more: dict[str, object] = {
            "strategy": intent.strategy,
            "negative_prompt": intent.prompt.negative,
            "written": intent.written,
            "takes": intent.takes,
            "identity": digest(intent.generator.identity),
            "asked_as": asked_as(self.generation, self.cut.preset),
            "reference": reference,
        }
        if len(intent.pieces) > 1:
            more["piece"] = [piece, len(intent.pieces)]
        if intent.footage and intent.near is not None:
            more["heard"] = {
                "shot": intent.near.shot,
                "start": str(intent.near.span.start),
                "speed": str(intent.speed),
            }
        spliced, meaning = measured(take, intent.sentence, self.cut.library, more)
        reason, checked = self._looked_at(take)
        if reason:
            self.made.tell(intent.sentence.id, f"take with seed {take.seed} refused: {reason}")
            return
        reason = self._poor(intent, spliced.match)
        if reason:
            self.made.tell(intent.sentence.id, f"take with seed {take.seed} refused: {reason}")
            return
        told: dict[str, object] = {"safety": checked}
        if intent.story:
            first = self.shown.setdefault(intent.story, meaning)
            if first is not meaning:
                told["same_subject"] = round(float(first @ meaning), 3)
            if intent.story not in self.subjects:
                self.subjects[intent.story] = (frame_of(take),)
        self.made.spliced.append(replace(spliced, take={**spliced.take, **told}))

    def _poor(self, intent: Intent, match: float) -> str:
        """Why a take that matches so well is not worth showing; empty if it is."""
        if not self.generation.gates or intent.sentence.directives.generate:
            return ""
        if intent.footage:
            assert intent.near is not None
            least = min(intent.near.match, self.cut.library.encoder.calibration.threshold)
            return (
                f"it matches {match:.2f}, its footage alone {intent.near.match:.2f}" if match < least else ""
            )
        near = max((other.match for other in self.cut.slots[intent.place].alternates), default=0.0)
        if match > near:
            return ""
        return f"it matches {match:.2f}, no better than the nearest footage ({near:.2f})"

    def _asked_for(self, intent: Intent, number: int, piece: int) -> Request:
        """The request of a take; a factorised one lacks its picture."""
        return request_for(
            intent, self.cut, self.size, self.generation, number, piece, self._subjects(intent)
        )

    def _request(self, intent: Intent, number: int, piece: int) -> Request:
        from generate.takes import make_picture

        request = self._asked_for(intent, number, piece)
        if intent.strategy != "factorised":
            return request
        picture = make_picture(request, self.studio.painter, self.folder, self._stop)
        return replace(request, reference=picture)

    def _subjects(self, intent: Intent) -> tuple[Frame, ...]:
        """Pictures of the story's subject, where the model keeps to such."""
        honours: Collection[str] = getattr(intent.generator, "honours", ())
        if intent.story == intent.sentence.id:
            return ()  # takes of the first shot do not depend on each other
        return self.subjects.get(intent.story, ()) if intent.story and "subjects" in honours else ()

    def _stop(self) -> bool:
        return self.asked() or (self.cancel is not None and self.cancel())

    def _stepped(self, intent: Intent, number: int) -> Callable[[int, int], None] | None:
        """Tells of each step, and of the time left."""
        if self.progress is None:
            return None
        progress = self.progress
        before = self.done

        def stepped(step: int, steps: int) -> None:
            share = before + step / max(1, steps)
            left = (monotonic() - self.began) / share * (self.total - share) if share else 0.0
            progress(
                share,
                self.total,
                f"generating sentence {intent.sentence.number}, take {number + 1} of {intent.takes}, "
                f"step {step} of {steps}, about {told_seconds(left)} left",
            )

        return stepped


def frame_of(take: Take) -> Frame:
    """The frame in the middle of a take."""
    from index.stills import frame_at

    found: Any = frame_at(take.path, take.frames / take.fps / 2)
    return found  # type: ignore[no-any-return]
