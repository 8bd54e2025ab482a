"""A real Ray cluster of several nodes on this machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from index.nodes import SETTINGS

MEMORY = 80_000_000
"""Bytes of shared memory of a node."""


@contextlib.contextmanager
def ray_nodes(count: int = 2) -> Iterator[Any]:
    """A head without processors, and ``count`` nodes of one each."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ.update(SETTINGS)
    head = {"num_cpus": 0, "object_store_memory": MEMORY, "include_dashboard": False}
    started = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(count):
            started.add_node(wait=False, num_cpus=1, object_store_memory=MEMORY)
        started.wait_for_nodes()
        yield started
    finally:
        ray.shutdown()
        started.shutdown()
