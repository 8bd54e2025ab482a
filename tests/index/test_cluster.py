"""A real Ray cluster of several nodes on this machine makes the library that one process makes."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_encoder import ColourEncoder
from making import ENCODER, colour_folder
from numpy.typing import NDArray

from index import cluster as cluster_module
from index.base import FootageError
from index.builder import IndexEvent, build_index
from index.cluster import RayPool
from index.encoders.base import FloatArray
from index.nodes import Place, check_node, inspector
from index.shards import SHARDS
from index.store import FILE_NAME
from tests.ray_nodes import MEMORY, ray_nodes

ray = pytest.importorskip("ray")
pytest.importorskip("pyarrow.parquet")

CRASHING = "python:colour_encoder:CrashingEncoder"


class LoggingEncoder(ColourEncoder):
    """Writes down in which process it works; where the file ``log.hold`` lies, the first holds for ever."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def encode_images(self, frames: Sequence[NDArray[np.uint8]]) -> FloatArray:
        with open(self._log, "a") as log:
            log.write(f"{os.getpid()}\n")
        try:
            os.unlink(f"{self._log}.hold")
        except FileNotFoundError:
            return super().encode_images(frames)
        with open(f"{self._log}.fifo", "w") as fifo:
            fifo.write(str(os.getpid()))
        while True:
            signal.pause()

    @property
    def worked(self) -> list[int]:
        return [int(line) for line in self._log.read_text().split()]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without processors, and two nodes of one each."""
    with ray_nodes() as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = colour_folder(tmp_path_factory.mktemp("cluster") / "footage")
    (made / "empty.mp4").write_bytes(b"")
    (made / "noise.mp4").write_bytes(b"no footage at all")
    return made


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """What a build on this machine alone says, with an encoder."""

    @functools.cache
    def build(encoder: str) -> str:
        store = tmp_path_factory.mktemp("whole")
        return build_index(folder, encoder=encoder, store=store, workers=1).dump()

    return build


def parents(pid: int) -> Iterator[int]:
    while pid > 1:
        yield pid
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_cluster_makes_the_same_library(
    cluster: Any, folder: Path, whole: Callable[[str], str], tmp_path: Path
) -> None:
    encoder = LoggingEncoder(tmp_path / "log")
    seen: list[IndexEvent] = []
    store = tmp_path / "store"
    library = build_index(folder, encoder=encoder, store=store, ray=cluster.address, progress=seen.append)
    assert library.dump() == whole(ENCODER)
    assert not (store / SHARDS).exists()
    assert not ray.is_initialized()
    kinds = Counter(event.kind for event in seen)
    assert kinds == {"found": 1, "started": 6, "done": 5, "reused": 1, "problem": 2}
    assert len(encoder.worked) == 5
    assert len(set(encoder.worked)) == 2  # two workers, which go on from file to file
    seen.clear()
    build_index(folder, encoder=encoder, store=store, ray="127.0.0.1:1", progress=seen.append)
    assert Counter(event.kind for event in seen) == {"found": 1, "reused": 6, "problem": 2}


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="needs Linux to tell whose child a worker is"
)
def test_a_node_that_dies_costs_nothing(
    cluster: Any, folder: Path, whole: Callable[[str], str], tmp_path: Path
) -> None:
    encoder = LoggingEncoder(tmp_path / "log")
    (tmp_path / "log.hold").touch()
    os.mkfifo(tmp_path / "log.fifo")
    killed: list[int] = []

    def progress(event: IndexEvent) -> None:
        if event.kind == "started" and not killed:
            with open(tmp_path / "log.fifo") as fifo:  # opens once a worker holds
                killed.append(int(fifo.read()))
            line = set(parents(killed[0]))
            (node,) = [
                node
                for node in cluster.worker_nodes
                if line & {process.process.pid for process in node.all_processes["raylet"]}
            ]
            cluster.remove_node(node, allow_graceful=False)

    seen: list[IndexEvent] = []
    library = build_index(
        folder,
        encoder=encoder,
        store=tmp_path / "store",
        ray=cluster.address,
        progress=lambda event: (progress(event), seen.append(event))[1],
    )
    assert library.dump() == whole(ENCODER)
    assert len(cluster.worker_nodes) == 1
    assert encoder.worked.count(killed[0]) == 1
    assert len(encoder.worked) == 6  # the file that was lost with its node was measured again
    assert Counter(event.kind for event in seen)["done"] == 5


def test_a_file_that_crashes_the_decoder_is_given_up(
    cluster: Any, folder: Path, whole: Callable[[str], str], tmp_path: Path
) -> None:
    library = build_index(folder, encoder=CRASHING, store=tmp_path, ray=cluster.address)
    assert library.dump() == whole(CRASHING)
    crashed = [problem for problem in library.problems if "SIGKILL" in problem.reason]
    assert [problem.path for problem in crashed] == ["a/red.mp4", "b/again.mp4"]


def test_shards_may_be_kept(cluster: Any, folder: Path, whole: Callable[[str], str], tmp_path: Path) -> None:
    build_index(folder, encoder=ENCODER, store=tmp_path, ray=cluster.address, keep_shards=True)
    assert len(list((tmp_path / SHARDS).glob("*.parquet"))) == 5
    for path in tmp_path.glob(f"{FILE_NAME}*"):
        path.unlink()
    seen: list[IndexEvent] = []
    library = build_index(folder, encoder=ENCODER, store=tmp_path, workers=1, progress=seen.append)
    assert Counter(event.kind for event in seen) == {"found": 1, "reused": 6, "started": 1, "problem": 2}
    assert library.dump() == whole(ENCODER)
    assert len(list((tmp_path / SHARDS).glob("*.parquet"))) == 5


def test_a_node_that_does_not_see_the_footage_is_named(
    cluster: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = str(folder / "not-there.mp4")
    monkeypatch.setattr(cluster_module, "sample_file", lambda _: (elsewhere, 1))
    with pytest.raises(FootageError, match=r"the node \S+ \(\S+\) does not see '.*not-there.mp4'"):
        build_index(folder, encoder=ENCODER, store=tmp_path, ray=cluster.address)
    assert not (tmp_path / SHARDS).exists()


def test_an_encoder_that_cannot_be_loaded_is_an_error(cluster: Any, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FootageError, match=r"the node \S+ \(\S+\): .*no weights"):
        build_index(
            folder,
            encoder="python:colour_encoder:UnloadableEncoder",
            store=tmp_path,
            ray=cluster.address,
        )


def test_a_busy_cluster_is_not_waited_for_for_ever(
    cluster: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Holder:
        """Takes a processor of the cluster and does nothing with it; local, so that it travels whole."""

        def process(self) -> int:
            return os.getpid()

    monkeypatch.setattr(cluster_module, "_PATIENCE", 1.0)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        holders = [ray.remote(Holder).options(num_cpus=1).remote() for _ in cluster.worker_nodes]
        assert len(set(ray.get([holder.process.remote() for holder in holders]))) == len(holders) > 0
        with pytest.raises(FootageError, match="took a worker within 1 s"):
            build_index(folder, encoder=ENCODER, store=tmp_path, ray=cluster.address)
        assert ray.is_initialized()  # the connection of the program that called is its own
    finally:
        ray.shutdown()


def test_a_cluster_that_grows_is_used(
    cluster: Any, folder: Path, whole: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(cluster.worker_nodes)
    added: list[Any] = []
    starts: list[None] = []
    start = RayPool._start

    def counted(pool: RayPool) -> None:
        starts.append(None)
        start(pool)

    def progress(event: IndexEvent) -> None:
        if event.kind == "started" and not added:
            added.append(cluster.add_node(wait=True, num_cpus=1, object_store_memory=MEMORY))

    monkeypatch.setattr(RayPool, "_start", counted)
    try:
        library = build_index(folder, encoder=ENCODER, store=tmp_path, ray=cluster.address, progress=progress)
    finally:
        for node in added:
            cluster.remove_node(node)
    assert len(starts) == before + 1
    assert library.dump() == whole(ENCODER)


def test_other_code_is_named(folder: Path, tmp_path: Path) -> None:
    code = inspector()(None)["code"]
    assert code["montage"] != "none"
    place = Place(str(folder), str(tmp_path), "token", None, (), code)
    (tmp_path / "token").touch()
    found = inspector()(place.plain())
    check_node("here", found, place)
    with pytest.raises(FootageError, match=r"montage is 123 there"):
        check_node("here", {**found, "code": {**code, "montage": "123"}}, place)
    (tmp_path / "token").unlink()
    with pytest.raises(FootageError, match="does not see '" + str(tmp_path)):
        check_node("here", inspector()(place.plain()), place)
    apart = Place(str(folder / "gone"), str(tmp_path), "token", None, (), code)
    with pytest.raises(FootageError, match=r"does not see '.*gone'"):
        check_node("here", inspector()(apart.plain()), apart)


@pytest.mark.parametrize("address", ["nonsense", "ray://", "here:there", "127.0.0.1:1", "ray://127.0.0.1:1"])
def test_an_address_where_no_cluster_is(address: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FootageError, match=r"no address of a Ray cluster|no Ray cluster can be joined"):
        build_index(folder, encoder=ENCODER, store=tmp_path, ray=address)
    assert not (tmp_path / SHARDS).exists()


def test_no_work_needs_no_cluster(tmp_path: Path) -> None:
    with RayPool(cluster_module.Setup(ENCODER), "nowhere", root=tmp_path, shards=tmp_path / SHARDS) as pool:
        assert not list(pool.run([]))
    assert not (tmp_path / SHARDS).exists()


def test_the_command_line_starts_a_cluster_of_its_own(
    folder: Path, whole: Callable[[str], str], tmp_path: Path
) -> None:
    from index.library import Library

    command = [sys.executable, "-m", "montage", "build-index", str(folder), "--ray", "local"]
    options = ["--store", str(tmp_path), "--encoder", ENCODER, "--workers", "1", "--json"]
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [*command, *options],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{")
    assert done.stdout.endswith("}\n")
    assert not [line for line in done.stderr.splitlines() if not line.startswith("encoder ")]
    assert Library.open(folder, store=tmp_path).dump() == whole(ENCODER)
