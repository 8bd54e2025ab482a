"""Parquet shards: what a worker of a cluster has measured, to be merged into a library by one writer.

A shard is one file of one piece of footage, named by what shaped it, ``CONTENT-ENCODER-DETECTOR.parquet``: a
build that was killed finds it again and measures nothing twice. It is written under a hidden name, moved, and
never changed, so that a shard is whole or not there; damage is found by the checksums of its pages.

A shard is a table with one row a ``Measurement`` and these columns (see ``schema``); tables of several shards
may be joined into larger ones, which are read and merged all the same:

    spec        string                  encoder as it was asked for, such as ``clip:fast``
    encoder     struct                  ``Identity``: name, hash, feature_size
    detector    string
    media       struct                  the fields of ``Media``: paths are bytes, seconds and rates ``N/D``
    shots       list of struct          the fields of ``Shot``, with span, windows and ``Look`` as structs
    features    list of float32[size]   one for each window of all shots, in order
    thumbnails  list of bytes           a JPEG for each shot
    note        string

The columns of ``media`` and ``shots`` follow the fields of the value types, so a shard whose columns differ
was written by another version: it is left alone, and its footage measured anew. ``VERSION``, in the metadata
of the file, rises when a column comes to mean something else. Exact times are text, since a ``Fraction`` fits
no number of Parquet's. Text that is no Unicode is kept as the library keeps it, with question marks.

Everything here needs the extra ``ray`` (for pyarrow), and none of it needs Ray.
"""

from __future__ import annotations

import contextlib
import os
import socket
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import quote

import numpy as np

from index.base import FootageError
from index.store import PathRow, Store
from index.values import Media, Shot
from index.worker import Identity

if TYPE_CHECKING:
    from index.measure import Measurement

__all__ = [
    "PARTIAL",
    "SHARDS",
    "VERSION",
    "Merged",
    "Origin",
    "clear_partial",
    "keep_shards",
    "merge_shards",
    "read_shard",
    "schema",
    "shard_name",
    "write_shard",
]

SHARDS = "shards"
"""Folder of the shards, beside the library."""
VERSION = 1
_SUFFIX = ".parquet"
PARTIAL = ".partial"
"""End of the hidden names of what is not finished."""
_KEPT = ".kept"
"""Name of the file that says that the shards of a folder stay, whoever merges them."""
_VERSION_KEY = b"montage.shard"
_TOGETHER = 64
"""Measurements written in one transaction of a merge."""
_AT_ONCE = 8
"""Measurements read at once."""
_NOT_SEEN = -1
"""Stands for the time of a file that the merging machine has not looked at."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What shaped a measurement, beside the footage itself."""

    spec: str
    """Encoder as it was asked for."""
    encoder: Identity
    detector: str


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did."""

    media: int = 0
    """Pieces of footage written to the library."""
    shots: int = 0
    notes: tuple[str, ...] = ()
    """One line for each shard that could not be used."""


def shard_name(content: str, encoder: str, detector: str) -> str:
    """The file name of a shard, from a content id, an encoder's hash and a detector."""
    return (
        "-".join(quote(part, safe="").replace("-", "%2D") for part in (content, encoder, detector)) + _SUFFIX
    )


@cache
def schema(feature_size: int) -> Any:
    """The ``pyarrow.Schema`` of a shard whose features have this many columns.

    Raises:
        FootageError: if pyarrow is missing.
    """
    pa = _arrow()
    columns = [
        ("spec", pa.string()),
        ("encoder", _type_of(Identity)),
        ("detector", pa.string()),
        ("media", _type_of(Media)),
        ("shots", pa.large_list(_type_of(Shot))),
        ("features", pa.large_list(pa.list_(pa.float32(), feature_size))),
        ("thumbnails", pa.large_list(pa.large_binary())),
        ("note", pa.string()),
    ]
    return pa.schema(columns, metadata={_VERSION_KEY: str(VERSION)})


def write_shard(folder: Path | str, measurement: Measurement, origin: Origin) -> str:
    """Write one measurement as a shard into ``folder``; its file name. A shard of that name is replaced.

    Raises:
        FootageError: if pyarrow is missing, the measurement has no features, or the folder cannot be written.
    """
    pa = _arrow()
    from pyarrow import parquet

    size = origin.encoder.feature_size
    if measurement.features.shape[1:] != (size,) or size < 1:
        shape = measurement.features.shape
        raise FootageError(f"a shard keeps (windows, {size}) features with a column or more, got {shape}")
    plain = {
        "spec": [origin.spec],
        "encoder": [_plain(Identity, origin.encoder)],
        "detector": [origin.detector],
        "media": [_plain(Media, measurement.media)],
        "shots": [[_plain(Shot, shot) for shot in measurement.shots]],
        "thumbnails": [list(measurement.thumbnails)],
        "note": [_text(measurement.note)],
    }
    layout = schema(size)
    rows = pa.FixedSizeListArray.from_arrays(
        pa.array(np.ascontiguousarray(measurement.features, dtype=np.float32).reshape(-1)), size
    )
    features = pa.LargeListArray.from_arrays(pa.array([0, len(rows)], pa.int64()), rows)
    table = pa.Table.from_arrays(
        [
            features if column.name == "features" else pa.array(plain[column.name], column.type)
            for column in layout
        ],
        schema=layout,
    )
    name = shard_name(measurement.media.id, origin.encoder.hash, origin.detector)
    partial = Path(folder) / f".{name}.{socket.gethostname()}-{os.getpid()}{PARTIAL}"
    try:
        with open(partial, "wb") as file:
            parquet.write_table(
                table,
                file,
                compression="zstd",
                use_dictionary=False,
                write_statistics=False,
                write_page_checksum=True,
            )
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, Path(folder) / name)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise FootageError(
            f"a shard cannot be written to {os.fspath(folder)!r} on {socket.gethostname()}: {error.strerror}"
        ) from error
    return name


def read_shard(path: Path | str) -> Iterator[tuple[Origin, Measurement]]:
    """The measurements of a shard, each with what shaped it.

    Raises:
        FootageError: if the shard is damaged or cut short, or was written by another version, or pyarrow is
            missing.
    """
    with _opened(path) as file:
        rows = 0
        for batch in file.iter_batches(batch_size=_AT_ONCE, use_threads=False):  # small: threads cost more
            for row in range(batch.num_rows):
                yield _measurement(batch, row)
            rows += batch.num_rows
        if rows != max(1, file.metadata.num_rows):
            raise ValueError(f"{rows} rows of {file.metadata.num_rows}")


@contextlib.contextmanager
def _opened(path: Path | str) -> Iterator[Any]:
    """A shard's ``pyarrow.parquet.ParquetFile``; whatever is wrong with it is a ``FootageError``."""
    pa = _arrow()
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            layout = file.schema_arrow
            version = (layout.metadata or {}).get(_VERSION_KEY, b"none").decode("ascii", "replace")
            size = layout.field("features").type.value_type.list_size if version == str(VERSION) else 0
            if not size or not layout.equals(schema(size)):
                raise FootageError(
                    f"the shard {os.fspath(path)!r} was written by another version of montage "
                    f"(its layout is {version}, this one reads {VERSION} with its own columns)"
                )
            yield file
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FootageError(f"the shard {os.fspath(path)!r} is damaged or cut short: {error}") from error


def _origins(path: Path) -> dict[Origin, None]:
    """What shaped the measurements of a shard, without reading these."""
    found: dict[Origin, None] = {}
    with _opened(path) as file:
        for batch in file.iter_batches(columns=["spec", "encoder", "detector"], use_threads=False):
            for one in batch.to_pylist():
                found[Origin(one["spec"], _value(Identity, one["encoder"]), one["detector"])] = None
    return found


def _measurement(table: Any, row: int) -> tuple[Origin, Measurement]:
    from index.measure import Measurement

    def value(column: str) -> Any:
        return table.column(column)[row].as_py()

    features = table.column("features")[row].values
    size = features.type.list_size
    measurement = Measurement(
        media=_value(Media, value("media")),
        shots=tuple(_value(Shot, shot) for shot in value("shots")),
        features=features.flatten().to_numpy(zero_copy_only=False).reshape(-1, size).astype(np.float32),
        thumbnails=tuple(value("thumbnails")),
        note=value("note"),
    )
    windows = sum(len(shot.windows) for shot in measurement.shots)
    if len(measurement.features) != windows:
        raise ValueError(f"it has {len(measurement.features)} features for {windows} windows")
    return Origin(value("spec"), _value(Identity, value("encoder")), value("detector")), measurement


def clear_partial(folder: Path | str) -> None:
    """Remove what killed workers left half written; to be called while no worker writes."""
    for path in Path(folder).glob(f".*{PARTIAL}"):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def keep_shards(folder: Path | str) -> None:
    """Remember in the folder itself that its shards are to stay, for as long as the folder is there.

    Raises:
        OSError: if the folder cannot be written.
    """
    (Path(folder) / _KEPT).touch()


def merge_shards(folder: Path | str, store: Store, *, keep: bool = True, paths: bool = True) -> Merged:
    """Write the shards in ``folder`` that belong to a library into it; what it knows already stays as it is.

    They belong to it if they have its encoder and its detector; an empty library takes those of the shards. A
    shard that is damaged or of another version is left alone and noted; of a joined one the rows before the
    damage count. Without ``keep`` shards are removed once the library holds all that they say, unless the
    folder is marked (``keep_shards``). With ``paths`` the name of each measured file is written too, so that
    the library can be opened at once; a later ``build_index`` looks at the files and measures none of them.
    The store must be open for writing, and nobody else may write to it.

    Raises:
        FootageError: if an empty library is given shards of several encoders or detectors, or pyarrow is
            missing.
    """
    _arrow()
    folder = Path(folder)
    keep = keep or (folder / _KEPT).exists()
    notes: list[str] = []
    if not store.meta("encoder_hash"):
        _take_origin(folder, store)
    digest, detector = store.meta("encoder_hash"), store.meta("detector")
    measured = store.measured(digest)
    names = store.paths() if paths else {}
    media = shots = 0
    waiting: list[Measurement] = []
    finished: list[Path] = []

    def flush() -> None:
        with store.transaction():
            for measurement in waiting:
                store.put_measurement(measurement, digest)
                for name in measurement.media.paths if paths else ():
                    if name not in names:
                        store.put_path(PathRow(name, 0, _NOT_SEEN, 0, measurement.media.id))
            if waiting:
                store.set_meta({"groups": "stale"})
        waiting.clear()
        if not keep:
            for shard in finished:
                shard.unlink(missing_ok=True)
        finished.clear()

    for path in sorted(folder.glob(f"[!.]*{_SUFFIX}")):
        # By its name alone a shard is known well enough to be passed over, but not to be removed.
        single = path.name.endswith(shard_name("", digest, detector)) and path.name.split("-")[0] in measured
        if keep and single:
            continue
        rows = strange = 0
        try:
            for origin, measurement in read_shard(path):
                rows += 1
                if origin.encoder.hash != digest or origin.detector != detector:
                    strange += 1
                elif measurement.media.id not in measured:
                    measured.add(measurement.media.id)
                    waiting.append(measurement)
                    media += 1
                    shots += len(measurement.shots)
                    if len(waiting) >= _TOGETHER:  # a joined table may be larger than the memory
                        flush()
        except FootageError as error:
            notes.append(str(error))
            continue
        if rows and not strange:
            finished.append(path)
    flush()
    return Merged(media, shots, tuple(notes))


def _take_origin(folder: Path, store: Store) -> None:
    """Give an empty library the encoder and the detector of the shards."""
    origins: dict[Origin, None] = {}
    for path in sorted(folder.glob(f"[!.]*{_SUFFIX}")):
        with contextlib.suppress(FootageError):
            origins |= _origins(path)
    if len(origins) > 1:
        names = ", ".join(f"{o.encoder.name} ({o.encoder.hash}) with {o.detector}" for o in origins)
        raise FootageError(
            f"the shards in {str(folder)!r} come from several encoders or detectors ({names}): "
            "put those that belong together into a folder of their own"
        )
    for origin in origins:
        with store.transaction():
            store.set_meta(
                {
                    "encoder": origin.spec,
                    "encoder_name": origin.encoder.name,
                    "encoder_hash": origin.encoder.hash,
                    "feature_size": str(origin.encoder.feature_size),
                    "detector": origin.detector,
                }
            )


# -- value types as columns ----------------------------------------------------------------------------


def _arrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise FootageError(
            f"shards need pyarrow, which is not installed ({error}): pip install 'montage-editor[ray]'"
        ) from error
    return pyarrow


def _text(value: str) -> str:
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


@cache
def _members(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    """The names of a dataclass's fields, and the types that its columns keep."""
    hints = get_type_hints(kind)
    exceptions = {"paths": tuple[bytes, ...], "phash": np.uint64}  # file names need not be Unicode
    return tuple((field.name, exceptions.get(field.name, hints[field.name])) for field in fields(kind))


def _optional(kind: Any) -> Any:
    """X of ``X | None``, None for any other type."""
    if get_origin(kind) in (Union, types.UnionType):
        (some,) = (part for part in get_args(kind) if part is not type(None))
        return some
    return None


def _type_of(kind: Any) -> Any:
    """The Arrow type that keeps a value of this type."""
    pa = _arrow()
    simple: dict[Any, Any] = {
        **{bool: pa.bool_(), int: pa.int64(), float: pa.float64(), np.uint64: pa.uint64()},
        **{str: pa.string(), Fraction: pa.string(), bytes: pa.binary()},
    }
    if kind in simple:
        return simple[kind]
    if is_dataclass(kind) and isinstance(kind, type):
        return pa.struct([(name, _type_of(member)) for name, member in _members(kind)])
    if get_origin(kind) is Literal:
        return pa.string()
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        if parts[-1] is Ellipsis:
            return pa.list_(_type_of(parts[0]))
        return pa.list_(_type_of(parts[0]), len(parts))
    if _optional(kind) is not None:
        return _type_of(_optional(kind))
    raise TypeError(f"no column can keep a {kind}")


def _plain(kind: Any, value: Any) -> Any:
    """A value as what Arrow takes for ``_type_of(kind)``."""
    if value is None:
        return None
    if is_dataclass(kind) and isinstance(kind, type):
        return {name: _plain(member, getattr(value, name)) for name, member in _members(kind)}
    if get_origin(kind) is tuple:
        return [_plain(get_args(kind)[0], part) for part in value]
    if _optional(kind) is not None:
        return _plain(_optional(kind), value)
    convert: dict[Any, Callable[[Any], Any]] = {str: _text, Fraction: str, bytes: os.fsencode}
    return convert.get(kind, _same)(value)


def _value(kind: Any, plain: Any) -> Any:
    """The value that ``_plain`` was given."""
    if plain is None:
        return None
    if is_dataclass(kind) and isinstance(kind, type):
        return kind(**{name: _value(member, plain[name]) for name, member in _members(kind)})
    if get_origin(kind) is tuple:
        return tuple(_value(get_args(kind)[0], part) for part in plain)
    if _optional(kind) is not None:
        return _value(_optional(kind), plain)
    convert: dict[Any, Callable[[Any], Any]] = {Fraction: Fraction, bytes: os.fsdecode}
    return convert.get(kind, _same)(plain)


def _same(value: Any) -> Any:
    return value
