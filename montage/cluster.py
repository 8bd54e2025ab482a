"""Takes on a Ray cluster: made side by side on its GPUs, kept in the one folder that all nodes share.

What is made lies in the takes folder under its content key, as ``generate.make_take`` keeps it; who asks for
it afterwards finds it there. Through Ray go requests and answers only. Each GPU has one actor, which holds a
model for as long as there are jobs for it; a cluster without any GPU has one for every few processors.

Every node needs the same montage, and the takes folder and the models under the same paths as here: a node
that has not is an error that names it. A job whose actor is lost is given to another. Ray: Moritz et al.,
"Ray: A Distributed Framework for Emerging AI Applications", OSDI 2018.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from index.base import FootageError
from index.nodes import Place, ask_nodes, check_node, join_cluster, last_line, living_nodes, node_name
from montage.intents import told_seconds
from montage.jobs import Job, Jobs, Source
from montage.remote import Maker, Outcome, fits, look, send
from montage.values import MontageError

if TYPE_CHECKING:
    from generate.base import Take

__all__ = ["Job", "Outcome", "make_on_cluster"]

Progress = Callable[[float, float, str], None]

_LOSSES = 3
"""Actors that may be lost under one job, mostly with their nodes, before it is given up: it may be what
brings them down."""
_FAILED_STARTS = 3
"""Actors in a row that may fail to start for no reason that they could tell."""
_PATIENCE = 300.0
"""Seconds without any actor after which a cluster is no use: one that grows by itself needs minutes."""
_TICK = 0.25
"""Seconds between two looks whether the work was ended by hand."""
_GRACE = 10.0
"""Seconds that takes on their way have to come to an end once it was."""
_CORES = 4
"""Processors of an actor without a GPU; fewer where no node has as many."""
_OBJECT_STORE = 500_000_000
"""Bytes of shared memory of a local cluster: requests with footage to follow have some 100 MB each."""
_STALE = 86_400.0
"""Age in seconds of half-written files that nobody writes any more."""


def make_on_cluster(
    jobs: Sequence[Job],
    folder: Path,
    address: str,
    *,
    gates: bool = True,
    refuse: Callable[[Take], tuple[str, ...]] | None = None,
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> list[Outcome]:
    """Make takes all over a Ray cluster; an outcome for each job, in the order of the jobs.

    ``address`` is ``"local"`` (a cluster of this machine, for this call), ``"auto"`` (the one that runs on
    this machine), ``"HOST:PORT"`` or ``"ray://HOST:PORT"``. A program that has called ``ray.init`` itself
    keeps its own connection. No cluster is joined where all takes are kept in ``folder`` already.

    A take that cannot be made is an outcome with its reason. ``refuse`` is asked here, not on the nodes, why
    a take that was made must not be kept; with ``gates`` another seed is then tried. Once ``cancel`` says so,
    the takes on their way are given up, those that are finished stay, and the others are outcomes that say
    ``stopped``.

    Raises:
        MontageError: if Ray is not installed, there is no cluster, a node is not fit for the work, no actor
            can be started, a generator cannot be sent, or ``folder`` cannot be written.
    """
    work = _Work(jobs, folder.absolute(), address, gates, refuse, progress, cancel)
    try:
        return work.all()
    except FootageError as error:
        raise MontageError(str(error)) from error
    finally:
        work.close()


@dataclass(slots=True, eq=False)
class _Hand:
    """An actor as its employer sees it."""

    actor: Any
    name: str = ""
    """Of its node."""
    source: Source | None = None
    """Whose generator it holds."""
    place: int = -1
    """Of its job."""
    began: float = 0.0


class _Work:
    """The jobs of one call on their way."""

    def __init__(
        self,
        jobs: Sequence[Job],
        folder: Path,
        address: str,
        gates: bool,
        refuse: Callable[[Take], tuple[str, ...]] | None,
        progress: Progress | None,
        cancel: Callable[[], bool] | None,
    ) -> None:
        self._jobs = Jobs(jobs, folder, gates=gates, refuse=refuse, ended=self._tell)
        self._folder, self._address, self._gates = folder, address, gates
        self._progress, self._cancel = progress, cancel
        self._token = f".shared-{secrets.token_hex(8)}.part"
        self._ray: Any = None
        self._ours = False
        self._code: dict[str, str] = {}
        self._losses: Counter[int] = Counter()
        """By place, actors that were lost under a job."""
        self._hands: list[_Hand] = []
        self._starting: dict[Any, _Hand] = {}
        self._idle: list[_Hand] = []
        self._busy: dict[Any, _Hand] = {}
        self._looked_at: dict[str, str] = {}
        self._failed_starts = 0
        self._took: list[float] = []
        """Seconds of each job that an actor did."""
        self._news = time.monotonic()
        """When something happened last."""

    def all(self) -> list[Outcome]:
        """See ``make_on_cluster``."""
        if self._jobs.any_to_make() and not self._asked():
            self._connect()
            self._inspect()
            while (self._jobs.waiting or self._busy) and not self._asked():
                self._staff()
                self._give()
                if self._starting or self._busy:
                    self._wait()
            self._stop()
        return self._jobs.outcomes()

    def close(self) -> None:
        """Leave the cluster; takes on their way come to an end."""
        with contextlib.suppress(OSError):
            (self._folder / self._token).unlink(missing_ok=True)
        if self._ray is not None:
            for hand in self._hands:
                with contextlib.suppress(Exception):  # the cluster may be gone
                    self._ray.kill(hand.actor)
            if self._ours:
                self._ray.shutdown()

    def _tell(self) -> None:
        if self._progress is None:
            return
        done, total = self._jobs.done, self._jobs.total
        at = f" on {len(self._hands)} workers" if len(self._hands) > 1 else ""
        left = ""
        if self._took and done < total:
            # Of those on their way a part is done.
            mean, now = sum(self._took) / len(self._took), time.monotonic()
            spent = sum(min(mean, now - hand.began) for hand in self._busy.values())
            seconds = (mean * (total - done) - spent) / max(1, len(self._hands))
            left = f", about {told_seconds(max(1.0, seconds))} left"
        self._progress(done, total, f"generating: {done} of {total} takes made{at}{left}")

    def _asked(self) -> bool:
        return self._cancel is not None and self._cancel()

    # -- the cluster -----------------------------------------------------------------------------------

    def _connect(self) -> None:
        """Join the cluster, and hand it the generators."""
        if self._progress is not None:
            self._progress(self._jobs.done, self._jobs.total, f"joining the Ray cluster at {self._address}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            (self._folder / self._token).touch()
        except OSError as error:
            raise MontageError(
                f"takes cannot be written to {os.fspath(self._folder)!r} ({error.strerror})"
            ) from error
        ray, self._ours = join_cluster(self._address, cpus=None, memory=_OBJECT_STORE)
        self._ray = ray
        self._code = look()(None)["code"]
        from ray import cloudpickle

        for source in self._jobs.sources:
            try:
                source.sent = ray.put(send(source.generator, cloudpickle.dumps))
            except TypeError as error:
                raise MontageError(
                    f"the generator {source.generator.name} cannot be sent to a cluster: {error}; let it be "
                    "pickled, or make its takes without --ray"
                ) from error
        self._gpus = bool(living_nodes(ray, "GPU"))

    def _sweep(self) -> None:
        """Remove what killed processes left half written long ago."""
        for pattern in ("*.part", "*.part.*"):
            for path in self._folder.glob(pattern):
                with contextlib.suppress(OSError):
                    if path.stat().st_mtime < time.time() - _STALE:
                        path.unlink()

    def _place(self) -> Place:
        folder = os.fspath(self._folder)
        return Place(
            root=folder,
            shards=folder,
            token=self._token,
            sample=None,
            path=tuple(sys.path),
            code=self._code,
            work="make takes",
            needs="the folder of the takes, in the index beside the footage or in --store,",
        )

    def _nodes(self) -> dict[str, dict[str, Any]]:
        return living_nodes(self._ray, "GPU" if self._gpus else "CPU")

    def _inspect(self) -> None:
        """Look whether every node is fit for the work, before any work is given out."""
        place = self._place()
        for identity, name, found in ask_nodes(self._ray, self._nodes(), look(), place.plain()):
            check_node(name, found, place)
            self._looked_at[identity] = name
        sent = [source.sent for source in self._jobs.sources]
        folder = os.fspath(self._folder)
        for _, name, reasons in ask_nodes(self._ray, self._looked_at, fits, place.plain(), folder, *sent):
            for reason in reasons:
                self._unfit(name, reason)

    @staticmethod
    def _unfit(node: str, reason: str) -> NoReturn:
        raise MontageError(
            f"the node {node} cannot make the takes: {reason}; put the same models under the same paths on "
            "every node"
        )

    def _needs(self) -> tuple[dict[str, float], int, int]:
        """(what an actor asks Ray for, its threads, how many the cluster has room for)."""
        nodes = [node["Resources"] for node in self._nodes().values()]
        if self._gpus:
            # The GPU is what there are few of; loading and finishing share the processors.
            shares = [node.get("CPU", 1) // node["GPU"] for node in nodes]
            return (
                {"num_gpus": 1, "num_cpus": 0},
                int(min(shares, default=1)) or 1,
                sum(int(node["GPU"]) for node in nodes),
            )
        cores = min([_CORES, *(int(node["CPU"]) for node in nodes)])
        return {"num_cpus": cores}, cores, sum(int(node["CPU"]) // cores for node in nodes)

    # -- actors ----------------------------------------------------------------------------------------

    def _staff(self) -> None:
        """Start as many actors as there is room and work for; asked again, for a cluster may grow."""
        needs, threads, room = self._needs()
        jobs = len(self._busy) + self._jobs.waiting
        while len(self._hands) < min(max(1, room), jobs):
            actor = (
                self._ray.remote(Maker)
                .options(max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD", **needs)
                .remote(self._place().plain(), self._gates, threads, self._gpus)
            )
            hand = _Hand(actor)
            self._hands.append(hand)
            self._starting[actor.ready.remote()] = hand

    def _give(self) -> None:
        """Give jobs to the actors that have none."""
        while self._idle and (waiting := [source for source in self._jobs.sources if source.waiting]):
            hand = self._idle.pop()
            source = hand.source if hand.source in waiting else max(waiting, key=self._pressing)
            assert source is not None
            prepared = self._jobs.prepared(source)
            if prepared is None:
                self._idle.append(hand)
                continue
            place, request, painting = prepared
            hand.source, hand.place, hand.began = source, place, time.monotonic()
            self._busy[hand.actor.do.remote(source.sent, request, painting)] = hand

    def _pressing(self, source: Source) -> float:
        """Jobs that wait for each actor that would hold a source's generator."""
        return len(source.waiting) / (1 + sum(hand.source is source for hand in self._hands))

    def _wait(self) -> None:
        """Wait until something happens, for a moment."""
        references = [*self._starting, *self._busy]
        ready, _ = self._ray.wait(references, num_returns=1, timeout=_TICK)
        now = time.monotonic()
        if ready or self._busy:
            self._news = now
        elif now - self._news > _PATIENCE:
            nodes, (needs, _, room) = self._nodes(), self._needs()
            raise MontageError(
                f"no node of the Ray cluster took a worker within {_PATIENCE:.0f} s: {len(nodes)} nodes with "
                f"room for {room} workers of {needs} are there, all taken or too small; see `ray status`"
            )
        for reference in ready:
            if reference in self._starting:
                self._started(reference, self._starting.pop(reference))
            else:
                self._ended(reference, self._busy.pop(reference))

    def _started(self, reference: Any, hand: _Hand) -> None:
        try:
            node, found = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._dismiss(hand)
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS:
                raise MontageError(
                    f"workers cannot be started on the Ray cluster: {last_line(error)}"
                ) from error
            return
        if node not in self._looked_at:  # it has come later than the others
            name = node_name(self._ray, node)
            check_node(name, found, self._place())
            self._looked_at[node] = name
        hand.name = self._looked_at[node]
        self._failed_starts = 0
        self._idle.append(hand)

    def _ended(self, reference: Any, hand: _Hand) -> None:
        """See to a job that an actor has come to the end of."""
        try:
            fate, outcome = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            fate, outcome = "lost", Outcome(reason=f"its worker was lost ({last_line(error)})")
        if fate == "unfit":
            self._unfit(hand.name, outcome.reason)
        place, source = hand.place, hand.source
        assert source is not None
        if fate == "lost":
            self._dismiss(hand)
            self._losses[place] += 1
            if self._losses[place] < _LOSSES:
                source.waiting.appendleft(place)
                return
            outcome = replace(outcome, reason=f"{outcome.reason}, as two before it")
        else:
            self._idle.append(hand)
            self._took.append(time.monotonic() - hand.began)
        if fate != "stopped":
            self._jobs.ended(place, replace(outcome, node=hand.name))

    def _dismiss(self, hand: _Hand) -> None:
        self._hands.remove(hand)
        with contextlib.suppress(Exception):  # it is dead, or out of reach
            self._ray.kill(hand.actor)

    def _stop(self) -> None:
        """Have the takes on their way end, and keep those that are finished all the same."""
        if not self._busy:
            return
        (self._folder / self._token).unlink(missing_ok=True)
        ended, _ = self._ray.wait(list(self._busy), num_returns=len(self._busy), timeout=_GRACE)
        for reference in ended:
            self._ended(reference, self._busy.pop(reference))
