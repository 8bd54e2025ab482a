"""What a node of a cluster must have to take part in the work, and how it is asked whether it has."""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from index.base import FootageError
from index.worker import Job

__all__ = [
    "SETTINGS",
    "Place",
    "ask_nodes",
    "check_address",
    "check_node",
    "inspector",
    "join_cluster",
    "last_line",
    "living_nodes",
    "no_cluster",
    "node_name",
    "sample_file",
]

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",  # all that Ray would print about nodes that are lost
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the workers of a node share its GPU
}
"""Settings of Ray, by environment variable; what the user has set counts more."""
_ANSWER = 10.0
"""Seconds in which a cluster must answer at its address."""
_LOOK = 60.0
"""Seconds in which a node must say what it has."""
_MEASURES = ("av", "numpy", "opencv-python-headless")
"""Distributions whose versions shape what is measured."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a node must have."""

    root: str
    shards: str
    token: str
    """A file in ``shards``: a node that sees it shares the file system."""
    sample: tuple[str, int] | None
    """A file of the footage, and its size in bytes."""
    path: tuple[str, ...]
    """Where modules are looked for here."""
    code: dict[str, str] = field(default_factory=dict)
    """Names and versions of what does the work, here."""
    work: str = "measure"
    needs: str = "the footage and the index"
    """For messages: what is done, and what for it lies in ``root`` and ``shards``."""

    def plain(self) -> dict[str, Any]:
        """What a node is asked for, as values that every version knows."""
        return {name: getattr(self, name) for name in ("root", "shards", "token", "sample", "path")}


def inspector(
    packages: Sequence[str] = ("index",), distributions: Sequence[str] = _MEASURES
) -> Callable[[dict[str, Any] | None], dict[str, Any]]:
    """The function that looks what a machine has: our ``packages``, and versions of ``distributions``.

    It is made here, so that it travels whole: a node may have no montage, or another one. Of a version such
    as ``2.8.0+cpu`` only what stands before the plus counts: it is one code for another processor.
    """

    def look(place: dict[str, Any] | None) -> dict[str, Any]:
        import hashlib
        import importlib.metadata
        import importlib.util
        import os
        import platform
        import sys

        if place is not None:
            sys.path.extend(entry for entry in place["path"] if entry and entry not in sys.path)
        code = {"Python": ".".join(platform.python_version_tuple()[:2])}
        for name in distributions:
            try:
                code[name] = importlib.metadata.version(name).partition("+")[0]
            except importlib.metadata.PackageNotFoundError:
                code[name] = "none"
        digest = hashlib.sha256()
        whole = True
        for package in packages:
            spec = importlib.util.find_spec(package)
            origin = None if spec is None else spec.origin
            if origin is None or os.path.basename(origin) != "__init__.py":  # a stray folder or module
                whole = False
                break
            for base, folders, names in os.walk(os.path.dirname(origin)):
                folders[:] = sorted(name for name in folders if name != "__pycache__")
                for name in sorted(names):
                    with open(os.path.join(base, name), "rb") as file:
                        digest.update(name.encode() + b"\0" + file.read())
        code["montage"] = digest.hexdigest()[:12] if whole else "none"
        missing = []
        if place is not None:
            missing = [place[name] for name in ("root", "shards") if not os.path.isdir(place[name])]
            token = os.path.join(place["shards"], place["token"])
            if not missing and not (os.path.exists(token) and os.access(place["shards"], os.W_OK)):
                missing.append(place["shards"])
            if not missing and place["sample"] is not None:
                path, size = place["sample"]
                if not os.path.isfile(path) or os.stat(path).st_size != size:
                    missing.append(path)
        return {"code": code, "missing": missing}

    return look


def check_node(node: str, found: dict[str, Any], place: Place) -> None:
    """Look whether what a node has is what it must have.

    Raises:
        FootageError: if it runs other code, or does not see the footage or the index.
    """
    for name, here in place.code.items():
        there = found["code"].get(name)
        if there != here:
            raise FootageError(
                f"the node {node} would {place.work} otherwise than this machine: {name} is {there} there "
                f"and {here} here; install the same montage-editor with the same packages on every node"
            )
    for path in found["missing"]:
        raise FootageError(
            f"the node {node} does not see {path!r} as this machine does: every node needs {place.needs} "
            "under the same paths, on a file system that all of them share and may write to"
        )


def sample_file(jobs: Iterable[Job]) -> tuple[str, int] | None:
    """A file that is there, and its size."""
    for job in jobs:
        path = os.path.join(job.root, job.path)
        with contextlib.suppress(OSError):
            return path, os.stat(path).st_size
    return None


def check_address(address: str) -> None:
    """Look whether something listens at the address; Ray itself takes long to find out.

    Raises:
        FootageError: if it is no address, or nothing answers there.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise FootageError(
            f"{address!r} is no address of a Ray cluster: give local, auto, HOST:PORT or ray://HOST:PORT"
        )
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise no_cluster(address, error) from error


def no_cluster(address: str, error: Exception) -> FootageError:
    """The error of a cluster that cannot be joined."""
    return FootageError(
        f"no Ray cluster can be joined at {address!r} ({error}): start one with `ray start --head`, or let "
        "this machine be one with local"
    )


def join_cluster(
    address: str, *, cpus: int | None, memory: int, modules: Sequence[str] = ("ray",)
) -> tuple[Any, bool]:
    """(the module ray, whether the connection is ours to close); a program keeps its own connection.

    A ``local`` cluster, of this machine, has ``cpus`` processors (None: all of them) and ``memory`` bytes of
    shared memory. ``modules`` are those of the extra ``ray`` that the work needs.

    Raises:
        FootageError: if they are not installed, or no cluster can be joined.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        for module in modules:
            importlib.import_module(module)
        import ray
    except ImportError as error:
        raise FootageError(
            f"a cluster needs Ray and pyarrow, which are not installed ({error}): "
            "pip install 'montage-editor[ray]'"
        ) from error
    if ray.is_initialized():
        return ray, False
    options: dict[str, Any] = {"address": address}
    if address == "local":
        options |= {
            "num_cpus": cpus or os.cpu_count() or 1,
            "include_dashboard": False,
            "object_store_memory": memory,
            "_node_ip_address": "127.0.0.1",
        }
    elif address != "auto":
        check_address(address)
    try:
        ray.init(**options, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise no_cluster(address, error) from error
    return ray, True


def living_nodes(ray: Any, resource: str = "CPU") -> dict[str, dict[str, Any]]:
    """Nodes that live and have at least one of a resource, by Ray's id."""
    return {
        node["NodeID"]: node
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get(resource, 0) >= 1
    }


def node_name(ray: Any, identity: str) -> str:
    """A node as people know it: its host name and address."""
    for node in ray.nodes():
        if node["NodeID"] == identity:
            return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
    return identity


def ask_nodes(
    ray: Any, nodes: Iterable[str], question: Callable[..., Any], *values: Any
) -> Iterator[tuple[str, str, Any]]:
    """Call a function on every node: (id, name, answer) of those that answer in time and are not lost.

    Raises:
        FootageError: if the function fails on a node.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(question)
    asked = {}
    for identity in nodes:
        strategy = NodeAffinitySchedulingStrategy(identity, soft=False)
        there = task.options(num_cpus=0, max_retries=0, scheduling_strategy=strategy)
        asked[there.remote(*values)] = identity
    if not asked:
        return
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_LOOK)
    for reference in answered:
        name = node_name(ray, asked[reference])
        try:
            answer = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise FootageError(f"the node {name} cannot be used: {error.cause}") from error
        except ray.exceptions.RayError:
            continue  # it was lost meanwhile, and nothing with it
        yield asked[reference], name, answer


def last_line(error: Exception) -> str:
    """Where Ray says what was wrong, below the traces of its own."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
