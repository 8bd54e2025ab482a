"""Build and refresh the index of a footage folder."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from index.base import FootageError, content_id
from index.duplicates import duplicate_groups
from index.encoders.base import Encoder
from index.library import Library, store_folder
from index.limits import Limits
from index.pool import WorkerPool
from index.probe import VIDEO_SUFFIXES, plain_reason
from index.scan import Found, Scan, scan_folder
from index.shards import SHARDS, merge_shards
from index.sidecars import Beside, Sidecars
from index.store import FILE_NAME, Passage, PathRow, Store
from index.worker import Job, Setup

if TYPE_CHECKING:
    from index.cluster import RayPool

__all__ = ["IndexEvent", "build_index"]

EventKind = Literal["found", "started", "done", "reused", "problem", "removed", "note"]

_AGAIN = -(1 << 63)
"""Stands for the time of a file that is to be tried again, whatever its own time is."""
_RETRY = "the next montage build-index tries it again"


@dataclass(frozen=True, slots=True)
class IndexEvent:
    """What happens during a build: reported as it happens."""

    kind: EventKind
    """``found`` comes once, when the folder has been walked."""
    path: str
    """The file, relative to the footage folder; empty for ``found``, what was wrong for ``note``."""
    done: int
    """Files dealt with so far."""
    total: int
    """Files with the name of a video, and places that could not be looked at."""
    seconds_of_footage: float
    """Footage in the index so far, seconds."""


def build_index(
    folder: Path | str,
    *,
    encoder: str | Encoder = "auto",
    workers: int | None = None,
    store: Path | str | None = None,
    detector: str = "auto",
    progress: Callable[[IndexEvent], None] | None = None,
    ray: str | None = None,
    keep_shards: bool = False,
    limits: Limits | None = None,
) -> Library:
    """Index the footage in ``folder``, or bring its index up to date, and open it.

    Only what was added, changed, renamed or removed costs anything. Every file is measured in one of
    ``workers`` processes (default: one a core) and written in one transaction, so that a build that is
    killed goes on where it was. A file that is no footage, crashes the decoder, or goes beyond ``limits``
    (of time and memory) becomes a ``Problem`` of the library. With another
    encoder than before, all footage is measured anew. ``store`` is the folder of the index,
    ``FOLDER/.montage`` by default.

    With ``ray`` the workers are those of a Ray cluster (``index.cluster.RayPool``): ``"local"`` starts one on
    this machine, ``"auto"``, ``HOST:PORT`` or ``"ray://HOST:PORT"`` joins one that runs. They write Parquet
    shards beside the index, which are merged into it and then removed unless ``keep_shards`` is set.

    Raises:
        FootageError: if the folder holds no usable footage or cannot be read, the encoder cannot be loaded,
            the index cannot be written, another build is under way, or the cluster is not fit for the work.
            What was indexed before is kept.
    """
    root = Path(os.path.abspath(folder))
    scan = scan_folder(root)
    place = store_folder(root, store)
    if not scan.files and not (place / FILE_NAME).exists():
        raise FootageError(_nothing(root, scan, []))
    if workers is not None and workers < 1:
        raise FootageError(f"workers must be 1 or more, got {workers}")
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(place, error) from error
    with _lock(place):
        record = Store(place / FILE_NAME, write=True)
        try:
            _Build(
                root,
                store is not None,
                record,
                scan,
                encoder,
                workers,
                detector,
                progress,
                ray,
                keep_shards,
                limits,
            ).run()
        finally:
            record.close()
    library = Library.open(root, store=store)
    if isinstance(encoder, str):
        from index.encoders.registry import prepare

        prepare(library.encoder_spec)
    else:
        library.use_encoder(encoder)
    if not library.shots:
        reasons = [f"{problem.path}: {problem.reason}" for problem in library.problems]
        raise FootageError(_nothing(root, scan, reasons))
    with contextlib.suppress(FootageError):  # the search that needs it will say so
        library.prepare()
    return library


class _Build:
    def __init__(
        self,
        root: Path,
        apart: bool,
        store: Store,
        scan: Scan,
        encoder: str | Encoder,
        workers: int | None,
        detector: str,
        progress: Callable[[IndexEvent], None] | None,
        ray: str | None,
        keep_shards: bool,
        limits: Limits | None,
    ) -> None:
        self._root = root
        self._apart = apart
        self._store = store
        self._scan = scan
        self._sidecars = Sidecars(root, [file.path for file in scan.files])
        self._known: dict[str, PathRow] = {}
        self._progress = progress
        cores = os.cpu_count() or 1
        self._workers = workers or cores
        threads = max(1, cores // self._workers)
        self._asked = workers
        self._ray = ray
        self._keep_shards = keep_shards
        self._limits = limits
        if isinstance(encoder, str):
            from index.encoders.registry import resolve

            self._spec = resolve(encoder)[0]
            setup = Setup(self._spec, detector=detector, threads=threads)
        else:
            self._spec = encoder.name
            try:
                setup = Setup("", pickle.dumps(encoder), detector, threads)
            except (pickle.PicklingError, TypeError, AttributeError) as error:
                raise FootageError(
                    f"the encoder {encoder.name!r} cannot be sent to worker processes ({error}): "
                    "name it as python:MODULE:CLASS"
                ) from error
        self._detector = detector
        self._given = None if isinstance(encoder, str) else encoder
        self._setup = setup
        self._durations: dict[str, float] = {}
        self._seconds = 0.0
        self._done = 0

    def run(self) -> None:
        self._claim()
        self._durations = self._store.durations()
        self._tell("found", "")
        known = self._known = self._store.paths()
        if known and not self._scan.files and not self._scan.problems:
            raise FootageError(
                f"{str(self._root)!r} is empty now, and its index knows {len(known)} files: is its disk "
                f"there? nothing was changed; to forget these files, delete {str(self._store.file.parent)!r}"
            )
        with self._pool() as pool:
            pool.expect(len(self._scan.files))
            if not self._same_encoder():
                self._adopt(pool)
            measured = self._measured()
            jobs, links = self._plan(known, measured)
            if jobs and self._given is None:
                before = self._store.meta("encoder_hash")
                pool.expect(len(jobs))
                self._adopt(pool)
                if self._store.meta("encoder_hash") != before:
                    self._done, self._seconds = 0, 0.0
                    measured = self._measured()
                    jobs, links = self._plan(known, measured)
            self._measure(pool, jobs, links)
        self._sweep(known)
        self._group()

    def _pool(self) -> WorkerPool | RayPool:
        if self._ray is None:
            return WorkerPool(self._setup, self._workers, self._limits)
        from index.cluster import RayPool

        shards = self._store.file.parent / SHARDS
        return RayPool(
            self._setup,
            self._ray,
            root=self._root,
            shards=shards,
            workers=self._asked,
            limits=self._limits,
            keep=self._keep_shards,
        )

    def _measured(self) -> set[str]:
        """Media that need no measuring; shards that a killed build on a cluster has left count."""
        shards = self._store.file.parent / SHARDS
        if shards.is_dir() and find_spec("pyarrow") is not None:
            for note in merge_shards(shards, self._store, keep=self._keep_shards, paths=False).notes:
                self._tell("note", note)
        return self._store.measured(self._store.meta("encoder_hash"))

    def _claim(self) -> None:
        """A store apart from its footage serves one folder only."""
        owner = self._store.meta("root")
        if self._apart and owner and owner != os.fspath(self._root) and os.path.isdir(owner):
            raise FootageError(
                f"{str(self._store.file.parent)!r} holds the index of {owner!r}: choose another --store"
            )
        with self._store.transaction():
            self._store.set_meta({"root": os.fsencode(self._root).decode("utf-8", "replace")})

    def _same_encoder(self) -> bool:
        if self._store.meta("detector") != self._detector or self._store.meta("encoder") != self._spec:
            return False
        if self._given is not None:
            return self._given.hash == self._store.meta("encoder_hash")
        from index.encoders.registry import known_hash

        return known_hash(self._spec) in (None, self._store.meta("encoder_hash"))

    def _adopt(self, pool: WorkerPool | RayPool) -> None:
        """Take the encoder that the workers have as the index's own."""
        if self._given is not None:
            name, digest, size = self._given.name, self._given.hash, self._given.feature_size
        else:
            identity = pool.identity()
            name, digest, size = identity.name, identity.hash, identity.feature_size
        with self._store.transaction():
            if self._store.meta("detector") not in ("", self._detector):
                self._store.make_stale()  # another detector finds other shots
            self._store.set_meta(
                {
                    "encoder": self._spec,
                    "encoder_name": name,
                    "encoder_hash": digest,
                    "feature_size": str(size),
                    "detector": self._detector,
                }
            )

    def _plan(
        self, known: dict[str, PathRow], measured: set[str]
    ) -> tuple[list[tuple[Job, Found]], dict[str, list[Found]]]:
        """Which contents are to be measured, and which further files hold the same."""
        jobs: list[tuple[Job, Found]] = []
        links: dict[str, list[Found]] = {}
        for problem in self._scan.problems:
            self._bad(Found(problem.path, 0, _AGAIN, 0), problem.reason, again=True)
        for file in self._scan.files:
            row = known.get(file.path)
            same = row is not None and (row.size, row.mtime, row.inode) == (file.size, file.mtime, file.inode)
            if same and row is not None and row.reason:
                self._done += 1
                self._tell("problem", file.path)
                continue
            if same and row is not None and row.media in measured:
                self._reuse(file, row.media, row)
                continue
            try:
                content = content_id(os.path.join(self._root, file.path)) if file.size else ""
            except OSError as error:
                self._bad(file, plain_reason(error), again=True)
                continue
            if not file.size:
                self._bad(file, "it is empty (zero bytes)")
            elif content in measured:
                self._reuse(file, content, row)
            elif content in links:
                links[content].append(file)
            else:
                links[content] = []
                jobs.append((Job(file.path, os.fspath(self._root), content, file.size), file))
        return jobs, links

    def _measure(
        self, pool: WorkerPool | RayPool, jobs: list[tuple[Job, Found]], links: dict[str, list[Found]]
    ) -> None:
        files = {job.path: file for job, file in jobs}
        encoder = self._store.meta("encoder_hash")
        # The largest first: a long file begun last would keep one worker busy while the others wait.
        for kind, job, value in pool.run(sorted((job for job, _ in jobs), key=lambda job: -job.size)):
            file = files[job.path]
            if kind == "started":
                self._tell("started", job.path)
                continue
            if not self._root.is_dir():
                raise FootageError(
                    f"the folder {str(self._root)!r} is not there any more: it was moved or its disk was "
                    "taken away while it was indexed; index it again where it is now"
                )
            if kind == "done" and self._is_as_found(file):
                with self._store.transaction():
                    self._store.put_measurement(value, encoder)
                    self._put(*self._row(file, job.content))
                    self._store.set_meta({"groups": "stale"})
                self._done += 1
                self._durations[job.content] = float(value.media.duration)
                self._seconds += self._durations[job.content]
                self._tell("done", job.path)
                for copy in links[job.content]:
                    self._reuse(copy, job.content, None)
            elif kind == "done":  # whether it was the old content or the new that was measured, nobody knows
                self._bad(file, f"it changed while it was measured; {_RETRY}", again=True)
                for copy in links[job.content]:
                    self._bad(copy, f"{job.path!r}, its copy, changed while measured; {_RETRY}", again=True)
            else:
                reason = _without_path(str(value), self._root, job.path)
                if kind == "stopped":
                    reason += f" ({_RETRY})"
                for one in (file, *links[job.content]):
                    self._bad(one, reason, again=kind != "bad" or not self._is_as_found(one))

    def _is_as_found(self, file: Found) -> bool:
        """Whether a file is still what the walk through the folder met: else it is to be tried again."""
        try:
            status = os.stat(os.path.join(self._root, file.path))
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (file.size, file.mtime)

    def _row(
        self, file: Found, media: str | None, reason: str = "", *, again: bool = False
    ) -> tuple[PathRow, tuple[Passage, ...] | None]:
        """What is to be remembered of a file name; the texts beside it, None where they are as before."""
        beside = self._sidecars.state(file.path)
        known = self._known.get(file.path)
        same = known is not None and known.beside == beside
        if same and known is not None:
            found = Beside(known.words, known.credit, known.licence, note=known.note)
        else:
            found = self._sidecars.read(file.path)
        mtime = _AGAIN if again else file.mtime
        row = PathRow(
            *(file.path, file.size, mtime, file.inode, media, reason),
            *(found.words, found.credit, found.licence, beside, found.note),
        )
        return row, None if same else found.passages

    def _put(self, row: PathRow, passages: tuple[Passage, ...] | None) -> None:
        self._store.put_path(row)
        if passages is not None:
            self._store.put_passages(row.path, passages)

    def _reuse(self, file: Found, media: str | None, row: PathRow | None) -> None:
        fresh, passages = self._row(file, media)
        if fresh != row or passages is not None:
            with self._store.transaction():
                self._put(fresh, passages)
        self._done += 1
        self._seconds += self._durations.get(media or "", 0.0)
        self._tell("reused", file.path)

    def _bad(self, file: Found, reason: str, *, again: bool = False) -> None:
        with self._store.transaction():
            self._put(*self._row(file, None, reason, again=again))
        self._done += 1
        self._tell("problem", file.path)

    def _sweep(self, known: dict[str, PathRow]) -> None:
        """Forget what is not there any more; what a closed folder hides may still be there."""
        there = {file.path for file in self._scan.files}
        gone = [path for path in known if path not in there and not self._scan.hides(path)]
        with self._store.transaction():
            self._store.drop_paths(gone)
            if self._store.sweep():
                self._store.set_meta({"groups": "stale"})
        for path in gone:
            if known[path].inode:  # a folder that was closed has none
                self._tell("removed", path)

    def _group(self) -> None:
        if self._store.meta("groups") != "stale":
            return
        encoder = self._store.meta("encoder_hash")
        shots = [shot for media in self._store.media(encoder) for shot in self._store.shots(media.id)]
        groups = duplicate_groups(shots)
        with self._store.transaction():
            self._store.set_groups(groups)
            self._store.set_meta({"groups": "fresh"})

    def _tell(self, kind: EventKind, path: str) -> None:
        if self._progress is not None:
            total = len(self._scan.files) + len(self._scan.problems)
            self._progress(IndexEvent(kind, path, min(self._done, total), total, self._seconds))


def _without_path(reason: str, root: Path, path: str) -> str:
    """The reason without the file's own name, which stands beside it anyway."""
    name = repr(os.path.join(root, path))
    return reason.removeprefix(f"{name}: ").removeprefix(f"{name} ")


def _nothing(root: Path, scan: Scan, reasons: list[str]) -> str:
    looked = ", ".join(sorted(VIDEO_SUFFIXES))
    shown = "".join(f"\n  {reason}" for reason in reasons[:20])
    more = f"\n  and {len(reasons) - 20} more" if len(reasons) > 20 else ""
    what = f"none of its {len(scan.files)} video files can be used" if scan.files else "no video file in it"
    return f"no usable footage in {str(root)!r}: {what} (looked for {looked}){shown}{more}"


def _not_writable(place: Path, error: OSError) -> FootageError:
    return FootageError(
        f"the index cannot be written to {str(place)!r} ({error.strerror}): choose a place with --store DIR"
    )


@contextlib.contextmanager
def _lock(place: Path) -> Iterator[None]:
    """Hold the index for writing; the system lets go of it when this process ends, however it ends."""
    try:
        file = open(place / "lock", "a+", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise _not_writable(place, error) from error
    try:
        if not _take(file):
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise FootageError(f"the index {str(place)!r} is being built by {holder}: wait for it or stop it")
        with contextlib.suppress(OSError):  # a full disk: the lock holds without a name
            file.seek(0)
            file.truncate()
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
        yield
    finally:
        with contextlib.suppress(OSError):
            file.close()


def _take(file: IO[str]) -> bool:
    try:
        import fcntl
    except ImportError:
        import msvcrt

        try:
            file.seek(0x7FFF0000)
            getattr(msvcrt, "locking")(file.fileno(), getattr(msvcrt, "LK_NBLCK"), 1)  # noqa: B009
        except OSError:
            return False
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
