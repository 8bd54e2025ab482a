"""Takes that are to be made elsewhere: what is kept of them already, what comes next, what came of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montage.remote import Outcome

if TYPE_CHECKING:
    from generate.base import Frame, Generator, Request, Take, TakeKind

__all__ = ["Job", "Jobs", "Source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A take to be made."""

    generator: Generator
    request: Request | Callable[[], Request]
    """The second form is called when the job's turn comes, so that the footage of all requests need not be
    held at a time; it is called again for a job that was lost."""
    painter: Generator | None = None
    """Paints the picture that a factorised take begins with; the request comes without it."""


@dataclass(slots=True, eq=False)
class Source:
    """A generator, and the jobs that wait for it."""

    generator: Generator
    identity: str
    waiting: deque[int] = field(default_factory=deque)
    """Places of jobs."""
    sent: Any = None
    """Ray's reference to it, packed."""


class Jobs:
    """The jobs of one call, by their places; a factorised one waits for its painter first."""

    def __init__(
        self,
        jobs: Sequence[Job],
        folder: Path,
        *,
        gates: bool,
        refuse: Callable[[Take], tuple[str, ...]] | None,
        ended: Callable[[], None],
    ) -> None:
        """``ended`` is called when there is an outcome more."""
        self._jobs, self._folder, self._gates, self._refuse, self._tell = jobs, folder, gates, refuse, ended
        self.sources: list[Source] = []
        self._outcomes: list[Outcome | None] = [None] * len(jobs)
        self._before = [Outcome()] * len(jobs)
        """What was made for a job already, and had to be refused here."""
        for place, job in enumerate(jobs):
            self._source(job.painter or job.generator).waiting.append(place)
            self._source(job.generator)

    @property
    def total(self) -> int:
        """How many there are."""
        return len(self._jobs)

    @property
    def done(self) -> int:
        """How many have an outcome."""
        return sum(outcome is not None for outcome in self._outcomes)

    @property
    def waiting(self) -> int:
        """How many wait for somebody to do them."""
        return sum(len(source.waiting) for source in self.sources)

    def outcomes(self) -> list[Outcome]:
        """An outcome for each job; those without any were stopped."""
        return [outcome or Outcome(stopped=True, reason="stopped by hand") for outcome in self._outcomes]

    def any_to_make(self) -> bool:
        """Whether there is a job that is not done by finding its take."""
        while source := next((one for one in self.sources if one.waiting), None):
            prepared = self.prepared(source)
            if prepared is not None:
                source.waiting.appendleft(prepared[0])
                return True
        return False

    def prepared(self, source: Source) -> tuple[int, Request, bool] | None:
        """(place, request, whether its picture is to be painted) of the next job of a source that has to be
        made; what is kept is done with at once."""
        from generate.base import GenerationError
        from generate.takes import make_picture, make_take

        while source.waiting:
            place = source.waiting.popleft()
            job = self._jobs[place]
            own = self._source(job.generator)
            try:
                request = job.request() if callable(job.request) else job.request
                if job.painter is not None:
                    painter = self._source(job.painter)
                    try:
                        picture = make_picture(request, _Kept(painter), self._folder)
                    except _Absent:
                        if source is painter:
                            return place, request, True
                        painter.waiting.append(place)  # somebody has removed it meanwhile
                        continue
                    if source is not own:
                        own.waiting.append(place)
                        continue
                    request = replace(request, reference=picture)
                take, steps = make_take(request, [_Kept(own)], self._folder, gates=self._gates)
            except _Absent:
                return place, request, False
            except GenerationError as error:
                self._end(place, Outcome(reason=str(error)))
            else:
                self._end(place, Outcome(take=take, steps=steps))
        return None

    def ended(self, place: int, outcome: Outcome) -> None:
        """Note what came of a job: its picture, its take, or a reason why there is none."""
        if outcome.take is None and not outcome.reason:
            self._source(self._jobs[place].generator).waiting.append(place)  # its picture was painted
            return
        # A take that others have made meanwhile was looked at by them.
        refused = () if outcome.take is None or not outcome.made else self._reasons(outcome.take)
        if not refused:
            self._end(place, outcome)
            return
        from generate.takes import refuse_take

        take = outcome.take
        assert take is not None
        refuse_take(take, refused)
        source = self._source(self._jobs[place].generator)
        if self._gates and source.generator.kind == "diffusion":
            self._before[place] = self._with_before(place, outcome)
            source.waiting.appendleft(place)  # now its next seed is asked for
            return
        told = f"  {source.generator.name}: take with seed {take.seed} refused: {'; '.join(refused)}"
        reason = f"no take could be made for {take.prompt[:80]!r}:\n{told}"
        self._end(place, replace(outcome, take=None, reason=reason))

    def _source(self, generator: Generator) -> Source:
        for source in self.sources:
            if source.generator is generator:
                return source
        self.sources.append(Source(generator, generator.identity))
        return self.sources[-1]

    def _reasons(self, take: Take) -> tuple[str, ...]:
        return () if self._refuse is None else self._refuse(take)

    def _end(self, place: int, outcome: Outcome) -> None:
        self._outcomes[place] = self._with_before(place, outcome)
        self._tell()

    def _with_before(self, place: int, outcome: Outcome) -> Outcome:
        before = self._before[place]
        return replace(
            outcome,
            made=before.made + outcome.made,
            told=before.told + outcome.told,
            device=outcome.device or before.device,
            node=outcome.node or before.node,
        )


class _Absent(Exception):
    """What was asked for is not kept."""


class _Kept:
    """Stands for a generator where nothing may be made."""

    def __init__(self, source: Source) -> None:
        self.name, self.identity = source.generator.name, source.identity
        self.kind: TakeKind = source.generator.kind

    def generate(self, *_: object) -> Take:
        raise _Absent

    def picture(self, *_: object) -> Frame:
        raise _Absent
