"""A build on a cluster that is killed goes on where it was, and measures no finished file again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from making import ENCODER, colour_folder

from index.builder import IndexEvent, build_index
from index.shards import SHARDS

ray = pytest.importorskip("ray")
pytest.importorskip("pyarrow.parquet")

BUILD = """
import os, signal, sys
from index.builder import build_index
folder, store, encoder, address, last = sys.argv[1:]
done = 0
def progress(event):
    global done
    done += event.kind == "done"
    if done == int(last):
        os.kill(os.getpid(), signal.SIGKILL)
build_index(folder, encoder=encoder, store=store, ray=address, keep_shards=True, progress=progress)
"""


@pytest.mark.slow
def test_a_killed_driver_goes_on_where_it_was(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    folder = colour_folder(tmp_path / "footage")
    whole = build_index(folder, encoder=ENCODER, store=tmp_path / "whole", workers=1).dump()
    head = {"num_cpus": 2, "object_store_memory": 80_000_000, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for last in (1, 3):
            store = tmp_path / f"killed-{last}"
            arguments = [str(folder), str(store), ENCODER, cluster.address, str(last)]
            done = subprocess.run(
                [sys.executable, "-c", BUILD, *arguments],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                check=False,
            )
            assert done.returncode == -signal.SIGKILL
            finished = len(list((store / SHARDS).glob("[!.]*.parquet")))
            assert finished >= last
            seen: list[IndexEvent] = []
            library = build_index(
                folder, encoder=ENCODER, store=store, ray=cluster.address, progress=seen.append
            )
            assert library.dump() == whole
            measured = [event.path for event in seen if event.kind == "done"]
            assert len(measured) <= 5 - finished
            assert not list((store / SHARDS).glob(".shared*"))
    finally:
        ray.shutdown()
        cluster.shutdown()
