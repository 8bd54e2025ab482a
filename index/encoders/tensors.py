"""Weight files read without the library that wrote them: safetensors in place, and torch's oldest format.

A safetensors file (https://github.com/huggingface/safetensors, "Format") is eight bytes of length, that much
JSON with every tensor's type, shape and place, and the raw little-endian values: they can be used where they
lie, so that a process that needs a few rows of a table of 800 MB reads a few pages.
"""

from __future__ import annotations

import json
import mmap
import os
import pickle
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.encoders.base import FloatArray

__all__ = ["Tensors", "read_torch_legacy"]

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U8": "|u1"}
_STORAGES = {"FloatStorage": "<f4", "LongStorage": "<i8"}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001


class Tensors(Mapping[str, NDArray[Any]]):
    """The tensors of a safetensors file by name, as read-only views of the mapped file.

    Raises:
        ValueError: if the file is damaged or no safetensors file.
        OSError: if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < 8:
                raise ValueError(f"it has only {size} bytes")
            length = int.from_bytes(file.read(8), "little")
            if length > size - 8:
                raise ValueError("its header is cut off")
            header = json.loads(file.read(length))
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if not isinstance(header, dict):
            raise ValueError("its header lists no tensors")
        header.pop("__metadata__", None)
        self._places: dict[str, tuple[str, tuple[int, ...], int]] = {}
        for name, facts in header.items():
            try:
                kind, shape = facts["dtype"], tuple(map(int, facts["shape"]))
                start, end = map(int, facts["data_offsets"])
            except (KeyError, TypeError) as error:
                raise ValueError(f"its header says nothing usable of {name}") from error
            if kind not in _TYPES:
                continue
            if end - start != int(np.prod(shape)) * np.dtype(_TYPES[kind]).itemsize or start < 0:
                raise ValueError(f"{name} does not have the size of its shape")
            if 8 + length + end > size:
                raise ValueError("it is cut off")
            self._places[name] = kind, shape, 8 + length + start

    def __getitem__(self, name: str) -> NDArray[Any]:
        kind, shape, start = self._places[name]
        array = np.frombuffer(self._data, _TYPES[kind], int(np.prod(shape)), start).reshape(shape)
        if kind == "BF16":
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of one tensor, None if there is no such tensor."""
        return self._places[name][1] if name in self._places else None

    def float32(self, name: str) -> FloatArray:
        """One tensor as float32: the file's own memory where it holds float32."""
        return np.asarray(self[name], np.float32)

    def rows(self, name: str, numbers: NDArray[np.int64]) -> FloatArray:
        """Some rows of a table as float32; no other is read from the disk."""
        kind, shape, start = self._places[name]
        table = np.frombuffer(self._data, _TYPES[kind], int(np.prod(shape)), start).reshape(shape)
        found = table[numbers]
        if kind == "BF16":
            return (found.astype(np.uint32) << 16).view(np.float32)
        return np.asarray(found, np.float32)


class _Storage:
    """The place of a tensor's values, filled in when the whole file has been read."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.values: NDArray[Any] = np.empty(0)


class _Tensor:
    def __init__(
        self, storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
    ) -> None:
        self._parts = storage, offset, size, stride

    def array(self) -> NDArray[Any]:
        storage, offset, size, stride = self._parts
        step = storage.values.itemsize
        return np.lib.stride_tricks.as_strided(
            storage.values[offset:], size, tuple(one * step for one in stride), writeable=False
        )


def _rebuilt(
    storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> _Tensor:
    return _Tensor(storage, offset, size, stride)


class _Unpickler(pickle.Unpickler):
    """Builds plain tensors in an ordered mapping, and refuses every other thing that a pickle may name."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuilt
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a weights file")

    def persistent_load(self, identity: Any) -> _Storage:
        _, kind, key, *_ = identity
        return self.storages.setdefault(str(key), _Storage(kind))


def read_torch_legacy(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a checkpoint in the format of torch before 1.6, by name; no code in it is run.

    Raises:
        ValueError: if it is in another format, or holds anything but a mapping of names to tensors.
        OSError: if it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            if _Unpickler(file).load() != _LEGACY_MAGIC or _Unpickler(file).load() != _LEGACY_VERSION:
                raise ValueError("it is no checkpoint in the format of torch before 1.6")
            _Unpickler(file).load()  # the byte order and sizes of the machine that wrote it
            reader = _Unpickler(file)
            found = reader.load()
            for key in _Unpickler(file).load():
                storage = reader.storages[str(key)]
                count = int.from_bytes(file.read(8), "little")
                storage.values = np.frombuffer(
                    file.read(count * np.dtype(storage.kind).itemsize), storage.kind, count
                )
        return {str(name): tensor.array() for name, tensor in found.items()}
    except (pickle.UnpicklingError, EOFError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise ValueError(f"it is no checkpoint of tensors alone ({error})") from error
