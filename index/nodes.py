"""What a node of a cluster must have to measure footage, and how it is asked whether it has."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from index.base import FootageError
from index.worker import Job

__all__ = ["Place", "check_address", "check_node", "inspector", "no_cluster", "sample_file"]

_ANSWER = 10.0
"""Seconds in which a cluster must answer at its address."""


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
    """Names and versions of what measures, here."""

    def plain(self) -> dict[str, Any]:
        """What a node is asked for, as values that every version knows."""
        return {name: getattr(self, name) for name in ("root", "shards", "token", "sample", "path")}


def inspector() -> Callable[[dict[str, Any] | None], dict[str, Any]]:
    """The function that looks what a machine has.

    It is made here, so that it travels whole: a node may have no montage, or another one.
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
        for name in ("av", "numpy", "opencv-python-headless"):
            try:
                code[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                code[name] = "none"
        try:
            spec = importlib.util.find_spec("index.measure")
        except ModuleNotFoundError:
            spec = None
        digest = hashlib.sha256()
        if spec is not None and spec.origin is not None:
            folder = os.path.dirname(spec.origin)
            for base, folders, names in os.walk(folder):
                folders[:] = sorted(name for name in folders if name != "__pycache__")
                for name in sorted(names):
                    with open(os.path.join(base, name), "rb") as file:
                        digest.update(name.encode() + b"\0" + file.read())
        code["montage"] = digest.hexdigest()[:12] if spec is not None else "none"
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
                f"the node {node} would measure otherwise than this machine: {name} is {there} there and "
                f"{here} here; install the same montage-editor with the same packages on every node"
            )
    for path in found["missing"]:
        raise FootageError(
            f"the node {node} does not see {path!r} as this machine does: every node needs the footage and "
            "the index under the same paths, on a file system that all of them share and may write to"
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
