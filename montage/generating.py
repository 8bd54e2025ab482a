"""Takes for the gaps of a cut: made as intended, measured, and judged like footage."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from time import monotonic
from typing import TYPE_CHECKING, Any

from montage.generation import Generation, Studio
from montage.intents import TIMINGS, Intent, told_seconds
from montage.splicing import Spliced, measured, takes_folder
from montage.values import Alternate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from generate.base import Frame, Request, Take
    from index.library import Library
    from montage.cut import Cut

__all__ = ["Made", "frames_around", "make_takes", "neighbour_frames"]

Progress = Callable[[float, float, str], None]

SIDE = 480
"""Pixels of the shorter side of footage that a model is given: what the models work at."""


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
            for piece, frames in enumerate(intent.pieces):
                self._take(intent, number, piece, frames)
                self.done += 1

    def _take(self, intent: Intent, number: int, piece: int, frames: int) -> None:
        from generate.base import Cancelled, GenerationError
        from generate.takes import make_take

        request = self._request(intent, number, piece, frames)
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
        self._judged(intent, take)

    def _timed(self, intent: Intent, take: Take, seconds: float) -> None:
        self.timings.note(take, getattr(intent.generator, "device", "cpu"), seconds)

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
        spliced, meaning = measured(take, intent.sentence, self.cut.library, more)
        reason, checked = unsafe(take, self.cut.library)
        if reason:
            self.made.tell(intent.sentence.id, f"take with seed {take.seed} refused: {reason}")
            return
        near = max((other.match for other in self.cut.slots[intent.place].alternates), default=0.0)
        asked = intent.sentence.directives.generate
        if self.generation.gates and not asked and spliced.match <= near:
            self.made.tell(
                intent.sentence.id,
                f"take with seed {take.seed} refused: it matches {spliced.match:.2f}, no better than the "
                f"nearest footage ({near:.2f})",
            )
            return
        told: dict[str, object] = {"safety": checked}
        if intent.story:
            first = self.shown.setdefault(intent.story, meaning)
            if first is not meaning:
                told["same_subject"] = round(float(first @ meaning), 3)
            if intent.story not in self.subjects:
                self.subjects[intent.story] = (frame_of(take),)
        self.made.spliced.append(replace(spliced, take={**spliced.take, **told}))

    def _request(self, intent: Intent, number: int, piece: int, frames: int) -> Request:
        from generate.base import Request

        cut, near = self.cut, intent.near
        reference: Frame | None = None
        video: tuple[Frame, ...] = ()
        fps: Fraction | None = None
        last: Frame | None = None
        strength = 0.8
        if near is not None and intent.strategy == "from-near-miss":
            reference = frames_around(cut.library, near.shot, [near.span.middle])[0]
        elif near is not None:
            video, fps = self._footage(intent, near, frames)
        elif intent.strategy == "bridge":
            reference, last = self._ends(intent.place)
        if near is not None and intent.strategy == "restyle":
            from generate.strategies import restyle_strength

            strength = restyle_strength(near.match / cut.library.encoder.calibration.threshold)
        request = Request(
            prompt=intent.prompt.text,
            negative_prompt=intent.prompt.negative,
            frames=frames,
            fps=cut.fps,
            width=self.size[0],
            height=self.size[1],
            seed=intent.seed + number + 7919 * piece,
            strategy=intent.strategy,
            reference=reference,
            last=last,
            video=video,
            video_fps=fps,
            strength=strength,
            subjects=self._subjects(intent),
            control=self.generation.control if intent.strategy == "control" else None,
            camera=self._camera(intent),
            neighbours=neighbour_frames(cut, intent.place),
        )
        return (
            replace(request, reference=self._picture(request)) if intent.strategy == "factorised" else request
        )

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

    def _camera(self, intent: Intent) -> str:
        directives = intent.sentence.directives
        return str(directives.move or "") if self.generation.camera else ""

    def _subjects(self, intent: Intent) -> tuple[Frame, ...]:
        """Pictures of the story's subject, where the model keeps to such."""
        honours: Collection[str] = getattr(intent.generator, "honours", ())
        return self.subjects.get(intent.story, ()) if intent.story and "subjects" in honours else ()

    def _footage(self, intent: Intent, near: Alternate, frames: int) -> tuple[tuple[Frame, ...], Fraction]:
        """Near-miss footage around what matches, at the model's rate."""
        row = getattr(intent.generator, "row_for", None)
        fps = self.cut.fps if row is None else Fraction(row(intent.strategy).fps)
        shot = self.cut.library.shots[near.shot]
        seconds = min(frames / self.cut.fps, shot.span.seconds)
        start = max(shot.span.start, min(near.span.middle - seconds / 2, shot.span.end - seconds))
        times = [start + n / fps for n in range(max(2, int(seconds * fps) + 1))]
        return tuple(frames_around(self.cut.library, near.shot, times, SIDE)), fps

    def _ends(self, place: int) -> tuple[Frame, Frame]:
        """The last frame before a gap and the first one after it."""
        before, after = self.cut.slots[place - 1], self.cut.slots[place + 1]
        assert before.shot is not None
        assert before.span is not None
        assert after.shot is not None
        assert after.span is not None
        frame = 1 / self.cut.fps
        first = frames_around(
            self.cut.library, before.shot, [max(before.span.start, before.span.end - frame)]
        )
        return first[0], frames_around(self.cut.library, after.shot, [after.span.start])[0]

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


def frames_around(
    library: Library, shot: str, times: Sequence[Fraction], side: int | None = None
) -> list[Frame]:
    """Frames of a shot's file at ``times`` (source seconds), ``side`` pixels on the shorter side."""
    from index.stills import frames_at

    media = library.media[library.shots[shot].media]
    short = min(media.display_size)
    smaller = side if side is not None and side < short else None
    return list(frames_at(library.path_of(media.id), times, start=media.start, side=smaller))


def neighbour_frames(cut: Cut, place: int) -> tuple[Frame, ...]:
    """Frames of the footage on either side of a slot, for colours."""
    frames = []
    for step in (-1, 1):
        index = place + step
        while 0 <= index < len(cut.slots) and cut.slots[index].kind != "footage":
            index += step
        if 0 <= index < len(cut.slots):
            slot = cut.slots[index]
            assert slot.shot is not None
            assert slot.span is not None
            frames += frames_around(cut.library, slot.shot, [slot.span.middle])
    return tuple(frames)
