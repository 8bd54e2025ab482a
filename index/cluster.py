"""Workers on a Ray cluster: the same processes that measure files on one machine, on many.

An actor on each processor of the cluster runs one worker process (``index.pool``), so that a file that
crashes the decoder takes down that process and neither the actor nor the node. What was measured goes to the
shared file system as a shard (``index.shards``); through Ray go only jobs and names of shards.

Every node needs the same montage, and the footage and the index under the same paths as here: a node that has
not is an error that names it. A job whose node is lost is given to another; a job that takes its worker
down twice is given up. Ray: Moritz et al., "Ray: A Distributed Framework for Emerging AI Applications",
OSDI 2018.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from index.base import FootageError
from index.limits import Limits
from index.nodes import (
    Place,
    ask_nodes,
    check_node,
    inspector,
    join_cluster,
    last_line,
    living_nodes,
    node_name,
    sample_file,
)
from index.pool import WorkerPool
from index.shards import PARTIAL, Origin, clear_partial, keep_shards, read_shard, write_shard
from index.worker import Identity, Job, Setup

__all__ = ["RayPool"]

_STRIKES = 2
"""Workers that one file may take down before it is given up."""
_LOSSES = 3
"""Actors that may be lost under one file, mostly with their nodes, before it is given up: it may be what
brings them down."""
_FAILED_STARTS = 3
"""Workers in a row that may fail to start for no reason that they could tell."""
_PATIENCE = 300.0
"""Seconds without any worker after which a cluster is no use: one that grows by itself needs minutes."""
_OBJECT_STORE = 80_000_000
"""Bytes of shared memory of a local cluster: only jobs and names pass through it."""


@dataclass(slots=True)
class _Hand:
    """A worker as its employer sees it."""

    actor: Any
    job: Job | None = None


class RayPool:
    """Worker processes on a Ray cluster; a context manager with the interface of ``WorkerPool``.

    ``address`` is ``"local"`` (a cluster of this machine, for this build), ``"auto"`` (the one that runs on
    this machine), ``"HOST:PORT"`` or ``"ray://HOST:PORT"``. A program that has called ``ray.init`` itself
    keeps its own connection. Nothing is started before it is needed. ``shards`` is the folder on the shared
    file system that shards go to; each is removed once the next event is asked for, unless ``keep`` is set.
    ``workers`` is how many to start, by default one for each processor of the cluster; ``limits`` are those
    of one file, as on one machine.
    """

    def __init__(
        self,
        setup: Setup,
        address: str,
        *,
        root: Path,
        shards: Path,
        workers: int | None = None,
        limits: Limits | None = None,
        keep: bool = False,
    ) -> None:
        self._setup = replace(setup, threads=1)
        self._address = address
        self._root = root
        self._shards = shards
        self._workers = workers
        self._limits = limits
        self._keep = keep
        self._ray: Any = None
        self._ours = False
        self._token = f".shared-{secrets.token_hex(8)}{PARTIAL}"  # so that it is cleared after a kill
        self._sample: tuple[str, int] | None = None
        self._code: dict[str, str] = {}
        self._hands: list[_Hand] = []
        self._starting: dict[Any, _Hand] = {}
        self._idle: list[_Hand] = []
        self._busy: dict[Any, _Hand] = {}
        self._identity: Identity | None = None
        self._failed_starts = 0
        self._looked_at: dict[str, str] = {}

    def __enter__(self) -> RayPool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ray is not None:
            for hand in self._hands:
                with contextlib.suppress(Exception):  # the cluster may be gone
                    self._ray.kill(hand.actor)
            if self._ours:
                self._ray.shutdown()
        with contextlib.suppress(OSError):
            (self._shards / self._token).unlink(missing_ok=True)
            self._shards.rmdir()  # unless there are shards in it

    def expect(self, files: int) -> None:
        """A cluster gives every worker its cores, however many files there are."""

    def identity(self) -> Identity:
        """Which encoder the workers use; starts one to ask it.

        Raises:
            FootageError: if there is no cluster, a node is not fit for the work, or the encoder cannot be
                loaded.
        """
        if self._identity is None:
            self._connect()
            self._inspect()
            self._start()
            while self._identity is None:
                self._wait()
                if not self._hands:
                    self._start()
        return self._identity

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[str, Job, Any]]:
        """Measure files all over the cluster.

        Yields ``("started", job, None)``, then ``("done", job, Measurement)``, ``("bad", job, reason)``,
        ``("stopped", job, reason)`` or ``("crashed", job, reason)``, in the order in which things happen;
        ``started`` once for each job.

        Raises:
            FootageError: if there is no cluster, a node is not fit for the work, no worker can be started, or
                a shard cannot be written.
        """
        waiting = deque(jobs)
        if not waiting:
            return
        self._connect()
        self._sample = sample_file(waiting)
        self._inspect()
        announced: set[str] = set()
        strikes: Counter[str] = Counter()
        losses: Counter[str] = Counter()
        while waiting or self._busy:
            goal = self._workers or self._processors()  # asked again: a cluster may grow meanwhile
            while len(self._hands) < min(goal, len(waiting) + len(self._busy)):
                self._start()
            while waiting and self._idle:
                job = waiting.popleft()
                hand = self._idle.pop()
                hand.job = job
                self._busy[hand.actor.measure.remote(job)] = hand
                if job.content not in announced:
                    announced.add(job.content)
                    yield "started", job, None
            for job, said, value in self._wait():
                kind, answer = self._fetch(job, value) if said == "done" else (said, value)
                if kind == "done":
                    yield kind, job, answer
                    if not self._keep:
                        (self._shards / value).unlink(missing_ok=True)
                    continue
                strikes[job.content] += kind == "crashed"
                losses[job.content] += kind == "lost"
                if kind in ("bad", "stopped"):
                    yield kind, job, answer
                elif strikes[job.content] >= _STRIKES or losses[job.content] >= _LOSSES:
                    yield "crashed", job, answer
                else:
                    waiting.append(job)

    # -- the cluster -----------------------------------------------------------------------------------

    def _connect(self) -> None:
        if self._ray is not None:
            return
        try:
            self._shards.mkdir(parents=True, exist_ok=True)
            clear_partial(self._shards)
            (self._shards / self._token).touch()
            if self._keep:
                keep_shards(self._shards)
        except OSError as error:
            raise FootageError(
                f"shards cannot be written to {os.fspath(self._shards)!r} ({error.strerror})"
            ) from error
        self._ray, self._ours = join_cluster(
            self._address,
            cpus=self._workers,
            memory=_OBJECT_STORE,
            modules=("ray", "pyarrow.parquet"),
        )
        self._code = inspector()(None)["code"]

    def _place(self) -> Place:
        return Place(
            root=os.fspath(self._root),
            shards=os.fspath(self._shards.absolute()),
            token=self._token,
            sample=self._sample,
            path=tuple(sys.path),
            code=self._code,
        )

    def _processors(self) -> int:
        return max(1, sum(int(node["Resources"]["CPU"]) for node in living_nodes(self._ray).values()))

    def _inspect(self) -> None:
        """Look whether every node is fit for the work, before any work is given out."""
        place = self._place()
        for identity, name, found in ask_nodes(
            self._ray, living_nodes(self._ray), inspector(), place.plain()
        ):
            check_node(name, found, place)
            self._looked_at[identity] = name

    # -- workers ---------------------------------------------------------------------------------------

    def _start(self) -> None:
        actor = (
            self._ray.remote(_Worker)
            .options(num_cpus=1, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD")
            .remote(self._setup, self._limits, self._place().plain())
        )
        hand = _Hand(actor)
        self._hands.append(hand)
        self._starting[actor.ready.remote()] = hand

    def _fetch(self, job: Job, name: str) -> tuple[str, Any]:
        """``done`` and what the shard says about a job's file, or ``crashed`` and why it says nothing."""
        os.listdir(self._shards)  # a network file system may have to be asked before it shows a new file
        try:
            for _, measurement in read_shard(self._shards / name):
                if measurement.media.id == job.content:
                    return "done", measurement
        except FootageError as error:
            return "crashed", str(error)
        return "crashed", f"the shard {name!r} says nothing about it"

    def _wait(self) -> list[tuple[Job, str, Any]]:
        """Wait until something happens; the jobs that came to an end, with what became of them."""
        references = [*self._starting, *self._busy]
        ready, _ = self._ray.wait(references, num_returns=1, timeout=_PATIENCE)
        if not ready and not self._busy:
            nodes = len(living_nodes(self._ray))
            raise FootageError(
                f"no node of the Ray cluster took a worker within {_PATIENCE:.0f} s: {nodes} nodes with "
                f"{self._processors()} processors are there, all taken or too small; see `ray status`"
            )
        ended = []
        for reference in ready:
            if reference in self._starting:
                self._started(reference, self._starting.pop(reference))
                continue
            hand = self._busy.pop(reference)
            job, hand.job = hand.job, None
            assert job is not None
            try:
                kind, value = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                self._dismiss(hand)
                ended.append((job, "lost", f"the worker that measured it was lost ({last_line(error)})"))
                continue
            if kind == "fatal":
                raise FootageError(value)
            self._idle.append(hand)
            ended.append((job, kind, value))
        return ended

    def _started(self, reference: Any, hand: _Hand) -> None:
        try:
            node, found, identity = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._dismiss(hand)
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS:
                raise FootageError(
                    f"workers cannot be started on the Ray cluster: {last_line(error)}"
                ) from error
            return
        if node not in self._looked_at:  # it has come later than the others
            self._looked_at[node] = node_name(self._ray, node)
            check_node(node_name(self._ray, node), found, self._place())
        name = self._looked_at[node]
        if isinstance(identity, str):
            raise FootageError(f"the node {name}: {identity}")
        if self._identity is None:
            self._identity = identity
        if identity != self._identity:
            raise FootageError(
                f"the node {name} has loaded the encoder {identity.name} ({identity.hash}), another node "
                f"{self._identity.name} ({self._identity.hash}): put the same weights on every node"
            )
        self._failed_starts = 0
        self._idle.append(hand)

    def _dismiss(self, hand: _Hand) -> None:
        self._hands.remove(hand)
        with contextlib.suppress(Exception):  # it is dead, or out of reach
            self._ray.kill(hand.actor)


class _Worker:
    """The actor: one worker process, and the shards of what it measures."""

    def __init__(self, setup: Setup, limits: Limits | None, place: dict[str, Any]) -> None:
        self._place = place
        self._found = inspector()(place)
        self._pool = WorkerPool(setup, 1, limits)
        self._setup = setup

    def ready(self) -> tuple[str, dict[str, Any], Identity | str]:
        """Ray's id of its node, what the node has, and the encoder or why there is none."""
        import ray

        identity: Identity | str
        try:
            identity = self._pool.identity()
        except FootageError as error:
            identity = str(error)
        return ray.get_runtime_context().get_node_id(), self._found, identity

    def measure(self, job: Job) -> tuple[str, str]:
        """``done`` and its shard's name, ``bad``, ``stopped``, ``crashed`` or ``fatal`` and the reason."""
        try:
            for kind, _, value in self._pool.run([job]):
                if kind == "done":
                    origin = Origin(self._setup.spec, self._pool.identity(), self._setup.detector)
                    return kind, write_shard(self._place["shards"], value, origin)
                if kind != "started":
                    return kind, str(value)
        except FootageError as error:
            return "fatal", f"{error} (on the node {socket.gethostname()})"
        return "crashed", "its worker gave no answer"
