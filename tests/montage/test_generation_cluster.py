"""Takes made on a real Ray cluster of several nodes on this machine are those made here."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from makerlab import BLACK, BROKEN_GPU, ENDLESS, FATAL, MEETING, ONCE, WRONG, Lab

from generate.backends import Diffusers
from generate.base import GenerationError, Request
from generate.takes import make_picture, make_take
from generate.tuning import Tuning
from montage import cluster as cluster_module
from montage.cluster import Job, make_on_cluster
from montage.values import MontageError
from tests.ray_nodes import MEMORY, ray_nodes

ray = pytest.importorskip("ray")

NOWHERE = "127.0.0.1:1"
"""An address where no cluster is, for what needs none."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with ray_nodes() as started:
        yield started


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "takes", tmp_path / "log")


def asked(seed: int, **more: Any) -> Request:
    fields = {"prompt": "a fox at dawn", "frames": 8, "fps": Fraction(25), "width": 64, "height": 48}
    return Request(**{**fields, "seed": seed, **more})


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_takes_are_those_made_here(tiny_wan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_CORES", 1)
    tuning = Tuning(device="cpu", steps=2, native_area=64 * 48)
    here = Diffusers(tiny_wan, tmp_path / "here", tuning)
    requests = [asked(seed) for seed in (1, 2)]
    wanted = [make_take(request, [here], tmp_path / "here", gates=False)[0] for request in requests]
    takes = tmp_path / "takes"
    there = Diffusers(tiny_wan, takes, tuning)
    told: list[tuple[float, float, str]] = []
    outcomes = make_on_cluster(
        [Job(generator=there, request=request) for request in requests],
        takes,
        "local",
        gates=False,
        progress=lambda *event: told.append(event),
    )
    assert not ray.is_initialized()
    assert files(takes) == files(tmp_path / "here")
    assert [outcome.take for outcome in outcomes] == [
        replace(take, path=takes / take.path.name) for take in wanted
    ]
    for outcome in outcomes:
        ((take, seconds),) = outcome.made
        assert (take.seed, outcome.device) == (outcome.take.seed, "cpu")  # type: ignore[union-attr]
        assert seconds > 0
        assert outcome.node
    assert [event[:2] for event in told] == [(0, 2), (1, 2), (2, 2)]
    assert told[1][2].startswith("generating: 1 of 2 takes made on 2 workers, about")
    # What is kept needs no cluster.
    again = make_on_cluster(
        [Job(generator=there, request=request) for request in requests], takes, NOWHERE, gates=False
    )
    assert [outcome.take for outcome in again] == [outcome.take for outcome in outcomes]
    assert not any(outcome.made or outcome.node for outcome in again)


def test_what_fails_is_told_and_the_others_are_made(cluster: Any, lab: Lab) -> None:
    jobs = [
        Job(generator=lab, request=lambda seed=seed: asked(seed, width=320, height=180))  # type: ignore[misc]
        for seed in (1, ONCE, FATAL, WRONG, BROKEN_GPU, 2)
    ]
    one, once, fatal, wrong, broken, two = make_on_cluster(jobs, lab.directory, cluster.address, gates=False)
    assert [outcome.take is not None for outcome in (one, once, two)] == [True] * 3
    pids = {line[1] for line in lab.written(str(ONCE))}
    assert len(pids) == 2  # given to another process
    assert len({line[1] for line in lab.written(str(FATAL))}) == 3
    assert fatal.take is None
    assert "its worker was lost" in fatal.reason
    assert wrong.reason.splitlines()[1:] == ["  lab: the lab is closed: come tomorrow"]
    assert len(lab.written(str(WRONG))) == 1
    assert len({line[1] for line in lab.written(str(BROKEN_GPU))}) == 3  # a GPU that fails is no more used
    assert "CUDA error" in broken.reason
    assert {path.suffix for path in lab.directory.iterdir()} == {".mp4", ".json"}
    assert not ray.is_initialized()


def test_refused_takes_are_kept_as_refused(cluster: Any, lab: Lab) -> None:
    job = Job(generator=lab, request=asked(BLACK))
    (outcome,) = make_on_cluster([job], lab.directory, cluster.address)
    assert outcome.take is None
    assert outcome.reason.count("refused: black") == len(outcome.made) == 3
    assert [path.suffix for path in lab.directory.iterdir()] == [".json"] * 3
    (again,) = make_on_cluster([job], lab.directory, NOWHERE)
    assert (again.reason, again.made) == (outcome.reason, ())
    with pytest.raises(GenerationError, match="refused: black"):
        make_take(asked(BLACK), [lab], lab.directory)
    assert len(lab.written()) == 3


def test_a_take_refused_here_is_tried_with_another_seed(cluster: Any, lab: Lab) -> None:
    lab.kind = "still"  # no gate but ours
    diffusion = replace(lab, kind="diffusion", directory=lab.directory / "more")
    looked: list[int] = []

    def refuse(take: Any) -> tuple[str, ...]:
        looked.append(take.seed)
        return () if take.seed > 2_000_000 else ("not nice",)

    (still,) = make_on_cluster(
        [Job(generator=lab, request=asked(1))], lab.directory, cluster.address, refuse=refuse
    )
    assert still.take is None
    assert still.reason.splitlines()[1:] == ["  lab: take with seed 1 refused: not nice"]
    assert looked == [1]
    looked.clear()
    noisy = Job(generator=diffusion, request=asked(1, width=320, height=180))
    (outcome,) = make_on_cluster([noisy], diffusion.directory, cluster.address, refuse=refuse)
    assert outcome.take is not None
    assert looked == [1, 1_000_004, 2_000_007]
    assert [take.seed for take, _ in outcome.made] == looked
    assert [step.reason for step in outcome.steps] == [
        f"take with seed {seed} refused: not nice" for seed in looked[:2]
    ]


def test_a_picture_is_painted_before_its_take(cluster: Any, lab: Lab, tmp_path: Path) -> None:
    painter = Lab(lab.directory, tmp_path / "painted", name="painter")
    own = asked(3, strategy="factorised")
    request = asked(4, strategy="factorised")
    jobs = [
        Job(generator=lab, request=request, painter=painter),
        Job(generator=lab, request=own, painter=lab),
    ]
    two, one = make_on_cluster(jobs, lab.directory, cluster.address, gates=False)
    assert len(painter.written("picture")) == len(painter.written()) == 1
    assert len(lab.written("picture")) == 1
    assert sorted(path.suffix for path in lab.directory.iterdir()) == [
        *[".json", ".json", ".mp4", ".mp4", ".png", ".png"]
    ]
    for taken, asked_for, by in ((two, request, painter), (one, own, lab)):
        with_picture = replace(asked_for, reference=make_picture(asked_for, by, lab.directory))
        take, _ = make_take(with_picture, [lab], lab.directory, gates=False)
        assert take == taken.take
    assert len(lab.written()) == 3  # all of it was found
    assert len(painter.written()) == 1


def test_work_that_is_ended_keeps_what_is_finished(cluster: Any, lab: Lab) -> None:
    def cancel() -> bool:
        return bool(lab.written(str(ENDLESS))) and len(list(lab.directory.glob("*.json"))) == 1

    jobs = [Job(generator=lab, request=asked(seed)) for seed in (1, ENDLESS, ENDLESS, ENDLESS)]
    first, *others = make_on_cluster(jobs, lab.directory, cluster.address, gates=False, cancel=cancel)
    assert first.take is not None
    assert first.take.path.exists()
    assert all(outcome.stopped and outcome.take is None for outcome in others)
    assert {path.suffix for path in lab.directory.iterdir()} == {".mp4", ".json"}


def test_each_gpu_has_a_worker(cluster: Any, lab: Lab) -> None:
    node = cluster.add_node(wait=True, num_cpus=1, num_gpus=2, object_store_memory=MEMORY)
    try:
        jobs = [Job(generator=lab, request=asked(seed)) for seed in (*MEETING, 1, 2)]
        outcomes = make_on_cluster(jobs, lab.directory, cluster.address, gates=False)
    finally:
        cluster.remove_node(node)
    assert {outcome.device for outcome in outcomes} == {"cuda"}
    places = {tuple(line[1:]) for line in lab.written()}
    assert sorted(gpu for _, gpu in places) == ["0", "1"]  # two processes, of a GPU each


def test_a_node_with_another_model_is_named(cluster: Any, lab: Lab) -> None:
    node = cluster.add_node(
        wait=True, num_cpus=1, object_store_memory=MEMORY, env_vars={"LAB_WEIGHTS": "bad"}
    )
    try:
        with pytest.raises(
            MontageError, match=r"the node \S+ \(\S+\) cannot .* the model of lab is another than here"
        ):
            make_on_cluster([Job(generator=lab, request=asked(1))], lab.directory, cluster.address)
    finally:
        cluster.remove_node(node)
    assert not lab.written()
    assert not list(lab.directory.iterdir())


def test_a_node_without_the_model_is_named(cluster: Any, tiny_wan: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_wan, tmp_path / "model")
    generator = Diffusers(folder, tmp_path / "takes", Tuning(device="cpu"))
    assert generator.identity
    shutil.rmtree(folder)
    with pytest.raises(MontageError, match=r"the node \S+ \(\S+\) cannot .* no model folder .*/model"):
        make_on_cluster([Job(generator=generator, request=asked(1))], tmp_path / "takes", cluster.address)


KILLED = """
import os, signal, sys
from pathlib import Path
from makerlab import Lab
from montage.cluster import Job, make_on_cluster
from test_generation_cluster import asked
def progress(done, total, text):
    if done == 2:
        os.kill(os.getpid(), signal.SIGKILL)
folder, log, address = sys.argv[1:]
lab = Lab(Path(folder), Path(log))
jobs = [Job(generator=lab, request=asked(seed)) for seed in range(8)]
make_on_cluster(jobs, lab.directory, address, gates=False, progress=progress)
"""


@pytest.mark.slow
def test_a_killed_driver_leaves_whole_takes(cluster: Any, lab: Lab) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(lab.directory), str(lab.log), cluster.address],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    kept = list(lab.directory.glob("*.json"))
    assert len(kept) >= 2
    before = len(lab.written())
    jobs = [Job(generator=lab, request=asked(seed)) for seed in range(8)]
    outcomes = make_on_cluster(jobs, lab.directory, cluster.address, gates=False)
    assert all(outcome.take is not None for outcome in outcomes)
    assert len(lab.written()) - before <= 8 - len(kept)


@pytest.mark.parametrize("address", ["nonsense", "ray://", "here:there", NOWHERE])
def test_an_address_where_no_cluster_is(address: str, lab: Lab) -> None:
    with pytest.raises(MontageError, match=r"no address of a Ray cluster|no Ray cluster can be joined"):
        make_on_cluster([Job(generator=lab, request=asked(1))], lab.directory, address)
    assert not list(lab.directory.iterdir())


def test_a_missing_ray_is_named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MontageError, match=r"pip install 'montage-editor\[ray\]'"):
        make_on_cluster([Job(generator=lab, request=asked(1))], lab.directory, "local")


def test_a_generator_that_cannot_be_sent_is_named(cluster: Any, lab: Lab) -> None:
    lab.lock = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(MontageError, match="the generator lab cannot be sent to a cluster"):
        make_on_cluster([Job(generator=lab, request=asked(1))], lab.directory, cluster.address)


def test_no_work_needs_no_cluster(tmp_path: Path) -> None:
    assert make_on_cluster([], tmp_path / "takes", NOWHERE) == []
