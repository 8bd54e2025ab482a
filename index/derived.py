"""Files that are derived from the record and can be made anew at any time: arrays, mapped into memory.

Every such file ends with a seal: what it was derived from (the fingerprint), where its parts lie, and their
checksums. A file that is cut short, damaged, or belongs to another state of the library is not believed,
and made anew. It is written under a temporary name and moved, so that a reader never sees half a file.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Arrays", "Parts", "derive", "new_file", "read_mark", "read_seal", "seal"]

Arrays = dict[str, NDArray[Any]]
Parts = Mapping[str, NDArray[Any] | Iterable[NDArray[Any]]]
"""Arrays by name; one that is too large for memory comes in blocks of rows."""

_MAGIC = b"montage derived file 1\n"
_END = struct.Struct("<QI")
_ALIGN = 64
_BLOCK = 1 << 22
_STALE = 3600.0
"""Seconds after which a temporary file was left behind by a process that is gone."""


def seal(file: Any, facts: Mapping[str, Any]) -> None:
    """Write the seal at the end of a file that is open for writing."""
    file.seek(0, os.SEEK_END)
    text = json.dumps({**facts, "size": file.tell()}, sort_keys=True).encode()
    file.write(text + _END.pack(len(text), zlib.crc32(text)) + _MAGIC)


def read_mark(path: Path) -> str:
    """The fingerprint of a file as its seal says, empty if there is none."""
    facts = _read_seal(path)
    return "" if facts is None else str(facts["fingerprint"])


def read_seal(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """What the seal of a file says; None if there is no file, no whole seal, or another fingerprint."""
    facts = _read_seal(path)
    return facts if facts is not None and facts["fingerprint"] == fingerprint else None


def _read_seal(path: Path) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            end = _END.size + len(_MAGIC)
            file.seek(max(0, size - end))
            tail = file.read()
            if len(tail) != end or not tail.endswith(_MAGIC):
                return None
            length, crc = _END.unpack(tail[: _END.size])
            if length > size - end:
                return None
            file.seek(size - end - length)
            text = file.read(length)
            if zlib.crc32(text) != crc:
                return None
            facts: dict[str, Any] = json.loads(text)
    except (OSError, ValueError):
        return None
    return facts if facts["size"] == size - end - length else None


@contextlib.contextmanager
def new_file(path: Path) -> Any:
    """A temporary path beside ``path``, moved there if all goes well, else removed.

    Raises:
        OSError: if nothing can be written there.
    """
    for old in path.parent.glob(f"{path.name}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > _STALE:
                old.unlink()
    part = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    part.touch(exist_ok=False)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _save(path: Path, fingerprint: str, parts: Parts) -> None:
    with new_file(path) as part, open(part, "r+b") as file:
        arrays = {}
        for name, blocks in parts.items():
            file.write(b"\0" * (-file.tell() % _ALIGN))
            place, rows, crc, shape, kind = file.tell(), 0, 0, (0,), "<f4"
            for block in [blocks] if isinstance(blocks, np.ndarray) else blocks:
                plain = np.ascontiguousarray(block)
                rows += len(plain)
                shape, kind = plain.shape, plain.dtype.str
                if plain.size:
                    data = plain.reshape(-1).view(np.uint8).data
                    crc = zlib.crc32(data, crc)
                    file.write(data)
            arrays[name] = {"place": place, "shape": [rows, *shape[1:]], "kind": kind, "crc": crc}
        seal(file, {"fingerprint": fingerprint, "arrays": arrays})


def _load(path: Path, fingerprint: str, unchecked: frozenset[str]) -> Arrays | None:
    facts = read_seal(path, fingerprint)
    if facts is None:
        return None
    try:
        data: NDArray[np.uint8] = np.memmap(path, np.uint8, mode="r").view(np.ndarray)
        found = {}
        for name, part in facts["arrays"].items():
            kind, shape = np.dtype(part["kind"]), tuple(part["shape"])
            size = int(np.prod(shape)) * kind.itemsize
            within = data[part["place"] : part["place"] + size]
            if name not in unchecked:
                crc = 0
                for start in range(0, size, _BLOCK):
                    crc = zlib.crc32(within[start : start + _BLOCK].data, crc)
                if crc != part["crc"]:
                    return None
            found[name] = within.view(kind).reshape(shape)
    except (OSError, ValueError):
        return None
    return found


def derive(
    path: Path | None, fingerprint: str, make: Callable[[], Parts], unchecked: Iterable[str] = ()
) -> Arrays:
    """The arrays of a derived file, mapped into memory; made by ``make`` where there is no such file.

    ``fingerprint`` says what they are derived from. Arrays named ``unchecked`` are not read through: who
    uses them checks what is used. Where nothing can be written (footage on read-only media, a full disk), or
    ``path`` is None, they are made in memory.
    """
    spare = frozenset(unchecked)
    if path is not None:
        found = _load(path, fingerprint, spare)
        if found is None:
            with contextlib.suppress(OSError):
                _save(path, fingerprint, make())
                found = _load(path, fingerprint, spare)
        if found is not None:
            return found
    return {name: _whole(part) for name, part in make().items()}


def _whole(blocks: NDArray[Any] | Iterable[NDArray[Any]]) -> NDArray[Any]:
    if isinstance(blocks, np.ndarray):
        return blocks
    several = list(blocks)
    return np.concatenate(several) if several else np.zeros(0, np.float32)
