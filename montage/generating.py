"""Takes for the gaps of a cut: made as intended, measured, and judged like footage."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from montage.generation import Generation, Studio
from montage.intents import TIMINGS, Intent, told_seconds
from montage.material import request_for
from montage.splicing import Spliced, measured, takes_folder
from montage.stretches import own_size, stretch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from generate.base import Frame, Request, Take
    from montage.cut import Cut

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

    def all(self, wanted: Sequence[Intent]) -> Made:
        """Every intent, one after the other."""
        self.total = sum(len(intent.pieces) * intent.takes for intent in wanted)
        with (self.generation.stop or _never)() as self.asked:
            self._all(wanted)
        return self.made

    def _all(self, wanted: Sequence[Intent]) -> None:
        from generate.base import Cancelled, GenerationError

        for intent in wanted:
            for note in intent.notes:
                self.made.tell(intent.sentence.id, note)
            try:
                self._intent(intent)
            except Cancelled:
                if self.cancel is not None and self.cancel():
                    raise
                self.made.stopped = True
                break
            except GenerationError as error:
                for reason in str(error).splitlines()[:4]:
                    self.made.tell(intent.sentence.id, f"diffusion: {reason.strip()}")
        if self.made.stopped:
            have = {spliced.sentence for spliced in self.made.spliced}
            for intent in wanted:
                if intent.sentence.id not in have:
                    self.made.tell(intent.sentence.id, "diffusion: stopped by hand")

    def _intent(self, intent: Intent) -> None:
        from generate.safety import check_prompt

        check_prompt(intent.prompt.text)
        for number in range(intent.takes):
            for piece in range(len(intent.pieces)):
                self._take(intent, number, piece)
                self.done += 1

    def _take(self, intent: Intent, number: int, piece: int) -> None:
        from generate.base import Cancelled, GenerationError
        from generate.takes import make_take

        request = self._request(intent, number, piece)
        before = len(getattr(intent.generator, "told", ()))
        try:
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
        except Cancelled:
            raise
        except GenerationError as error:
            # The first line names the sentence, the others give a reason each.
            reasons = str(error).splitlines()
            for reason in reasons[1:] or reasons:
                self.made.tell(intent.sentence.id, f"diffusion: {reason.strip()}")
            return
        for step in steps:
            self.made.tell(intent.sentence.id, f"{step.generator}: {step.reason}")
        for told in getattr(intent.generator, "told", ())[before:]:
            self.made.tell(intent.sentence.id, told)
        try:
            self._judged(intent, self._composed(intent, take) if intent.footage else take)
        except Cancelled:
            raise
        except GenerationError as error:
            self.made.tell(intent.sentence.id, f"take with seed {take.seed} refused: {error}")

    def _composed(self, intent: Intent, take: Take) -> Take:
        """A take with the footage that it goes on from, or that it surrounds."""
        from generate.base import GenerationError
        from generate.composing import compose, continued, surrounded
        from generate.gates import check_take

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
                cancel=self.cancel,
            ),
            intent.footage + (take.frames if extends else 0),
            f"{near.shot} {near.span} {intent.speed}",
            {"footage_frames": intent.footage},
            self._stop,
        )
        if extends and self.generation.gates:
            # Of the whole only the join is new: footage itself may be dark or still.
            cuts = [reason for reason in check_take(whole.path) if reason.startswith("inner cut")]
            if cuts:
                raise GenerationError(f"the take does not go on from its footage: {cuts[0]}")
        return whole

    def _timed(self, intent: Intent, take: Take, seconds: float) -> None:
        self.timings.note(take, getattr(intent.generator, "device", "cpu"), seconds)

    def _unsafe(self, take: Take) -> tuple[str, ...]:
        from montage.safeguard import unsafe

        reason, _ = unsafe(take, self.cut.library)
        return (reason,) if reason else ()

    def _judged(self, intent: Intent, take: Take) -> None:
        """Measure a take like footage; it must show its sentence better than what there is."""
        from montage.safeguard import unsafe

        reference = intent.near.shot if intent.near is not None and intent.strategy != "control" else None
        more: dict[str, object] = {
            "strategy": intent.strategy,
            "negative_prompt": intent.prompt.negative,
            "written": intent.written,
            "takes": intent.takes,
            "reference": reference,
        }
        if intent.footage and intent.near is not None:
            more["heard"] = {
                "shot": intent.near.shot,
                "start": str(intent.near.span.start),
                "speed": str(intent.speed),
            }
        spliced, meaning = measured(take, intent.sentence, self.cut.library, more)
        reason, checked = unsafe(take, self.cut.library)
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

    def _request(self, intent: Intent, number: int, piece: int) -> Request:
        request = request_for(
            intent, self.cut, self.size, self.generation, number, piece, self._subjects(intent)
        )
        if intent.strategy != "factorised":
            return request
        return replace(request, reference=self._picture(request))

    def _picture(self, request: Request) -> Frame:
        """The picture that a factorised take begins with; painted once."""
        import cv2
        import numpy as np
        from PIL import Image

        from generate.keys import request_key

        painter = self.studio.painter
        assert painter is not None
        path = self.folder / f"{request_key(request, 'picture', painter.identity)}.png"
        try:
            with Image.open(path) as kept:
                return np.asarray(kept.convert("RGB"))
        except (OSError, ValueError):
            painted: Frame = painter.picture(request, None, self._stop)
        part = path.with_suffix(".part.png")
        cv2.imwrite(str(part), painted[..., ::-1])
        part.replace(path)
        return painted

    def _subjects(self, intent: Intent) -> tuple[Frame, ...]:
        """Pictures of the story's subject, where the model keeps to such."""
        honours: Collection[str] = getattr(intent.generator, "honours", ())
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
