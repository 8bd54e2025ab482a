"""Shards say what was measured, exactly; what is damaged is told apart; a merge makes the same library."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from colour_encoder import ColourEncoder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making import ENCODER, colour_folder

import index.shards as shards_module
from index.base import FootageError, Span
from index.builder import IndexEvent, build_index
from index.library import Library
from index.measure import Measurement, measure_file, shot_id
from index.shards import (
    SHARDS,
    Origin,
    clear_partial,
    keep_shards,
    merge_shards,
    read_shard,
    shard_name,
    write_shard,
)
from index.store import FILE_NAME, Store
from index.values import CAMERA_MOVES, SHOT_SIZES, Shot
from index.worker import Identity

parquet = pytest.importorskip("pyarrow.parquet")

ORIGIN = Origin(ENCODER, Identity("colour", ColourEncoder().hash, ColourEncoder.feature_size), "fast")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_folder(tmp_path_factory.mktemp("shards") / "footage")


@pytest.fixture(scope="module")
def measured(folder: Path) -> list[Measurement]:
    """The five pieces of footage of the folder, measured as a worker measures them."""
    names = ("a/green", "a/red", "b/blue", "tone", "white")
    return [
        measure_file(folder / f"{name}.mp4", ColourEncoder(), root=folder, detector=ORIGIN.detector)
        for name in names
    ]


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a build in one process says."""
    store = tmp_path_factory.mktemp("whole")
    return build_index(folder, encoder=ENCODER, detector="fast", store=store, workers=1).dump()


def assert_equal(one: Measurement, other: Measurement) -> None:
    for field in fields(Measurement):
        if field.name == "features":
            np.testing.assert_array_equal(one.features, other.features)
            assert one.features.dtype == other.features.dtype == np.float32
        else:
            assert getattr(one, field.name) == getattr(other, field.name), field.name


times = st.fractions(min_value=0, max_value=10**6, max_denominator=10**12)
words = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


@st.composite
def changed(draw: st.DrawFn, base: Measurement) -> Measurement:
    """A real measurement with anything in its fields that they may hold."""
    media = replace(
        base.media,
        paths=tuple(os.fsdecode(path) for path in draw(st.lists(st.binary(min_size=1), max_size=3))),
        duration=draw(times) + 1,
        rate=draw(st.none() | st.just(Fraction(30000, 1001))),
        rotation=draw(st.sampled_from((0, 90, 180, 270))),
        timecode=draw(st.none() | words),
        text=draw(words),
        credit=draw(words),
    )
    shots = []
    start = Fraction(0)
    for _ in range(draw(st.integers(0, 4))):
        edges = [start]
        for _ in range(draw(st.integers(1, 3))):
            edges.append(edges[-1] + draw(times) + Fraction(1, 1000))
        start = edges[-1]
        look = replace(
            base.shots[0].look,
            brightness=draw(st.floats(0, 1)),
            lab=tuple(draw(st.floats(-128, 128)) for _ in range(3)),
            motion=draw(st.floats(0, 1e6)),
            move=draw(st.sampled_from(CAMERA_MOVES)),
            size=draw(st.none() | st.sampled_from(SHOT_SIZES)),
            loudness=draw(st.none() | st.floats(-100, 10)),
            phash=draw(st.integers(0, 2**64 - 1)),
        )
        windows = tuple(Span(a, b) for a, b in itertools.pairwise(edges))
        span = Span(edges[0], start)
        shots.append(
            Shot(id=shot_id(media.id, span.start), media=media.id, span=span, windows=windows, look=look)
        )
    count = sum(len(shot.windows) for shot in shots)
    seed = draw(st.integers(0, 2**32 - 1))
    features = np.random.default_rng(seed).standard_normal((count, ColourEncoder.feature_size), np.float32)
    pictures = tuple(draw(st.binary(max_size=50)) for _ in shots)
    return Measurement(media, tuple(shots), features, pictures, draw(words))


def test_a_shard_gives_back_what_was_measured(measured: list[Measurement], tmp_path: Path) -> None:
    for measurement in measured:
        name = write_shard(tmp_path, measurement, ORIGIN)
        assert name == shard_name(measurement.media.id, ORIGIN.encoder.hash, "fast")
        ((origin, back),) = read_shard(tmp_path / name)
        assert origin == ORIGIN
        assert_equal(back, measurement)
    assert len(list(tmp_path.iterdir())) == len(measured)


@given(data=st.data())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_shard_gives_back_whatever_can_be_measured(
    data: st.DataObject, measured: list[Measurement], tmp_path: Path
) -> None:
    measurement = data.draw(changed(data.draw(st.sampled_from(measured))))
    ((_, back),) = read_shard(tmp_path / write_shard(tmp_path, measurement, ORIGIN))
    assert_equal(back, measurement)


def test_text_that_is_no_unicode_is_kept_as_the_library_keeps_it(
    measured: list[Measurement], tmp_path: Path
) -> None:
    measurement = replace(measured[0], note="caf\udce9")
    ((_, back),) = read_shard(tmp_path / write_shard(tmp_path, measurement, ORIGIN))
    assert back.note == "caf\ufffd"


def test_names_of_shards_cannot_leave_their_folder() -> None:
    assert shard_name("0a", "../x-y", "fast") == "0a-..%2Fx%2Dy-fast.parquet"


def test_a_merge_makes_the_library_of_one_process(
    measured: list[Measurement], folder: Path, whole: str, tmp_path: Path
) -> None:
    shards = tmp_path / "elsewhere"
    shards.mkdir()
    for measurement in measured:
        write_shard(shards, measurement, ORIGIN)
    place = tmp_path / "index"
    place.mkdir()
    store = Store(place / FILE_NAME, write=True)
    merged = merge_shards(shards, store)
    assert (merged.media, merged.shots, merged.notes) == (5, 5, ())
    assert merge_shards(shards, store).media == 0  # all of it is known
    assert len(list(shards.iterdir())) == 5
    store.close()
    assert len(Library.open(folder, store=place).shots) == 5
    seen: list[IndexEvent] = []
    library = build_index(folder, encoder=ENCODER, detector="fast", store=place, progress=seen.append)
    assert {event.kind for event in seen} == {"found", "reused"}
    assert library.dump() == whole


def test_shards_of_a_killed_build_are_found_again(
    measured: list[Measurement], folder: Path, whole: str, tmp_path: Path
) -> None:
    shards = tmp_path / SHARDS
    shards.mkdir()
    for measurement in measured[:3]:
        write_shard(shards, measurement, ORIGIN)
    damaged = shards / shard_name(measured[3].media.id, ORIGIN.encoder.hash, "fast")
    damaged.write_bytes(
        (shards / shard_name(measured[0].media.id, ORIGIN.encoder.hash, "fast")).read_bytes()[:99]
    )
    (shards / f".{damaged.name}.host-1.partial").write_bytes(b"PAR1")
    seen: list[IndexEvent] = []
    library = build_index(
        folder, encoder=ENCODER, detector="fast", store=tmp_path, workers=1, progress=seen.append
    )
    assert library.dump() == whole
    assert sorted(event.path for event in seen if event.kind == "done") == ["tone.mp4", "white.mp4"]
    (note,) = [event.path for event in seen if event.kind == "note"]
    assert damaged.name in note
    assert "damaged or cut short" in note
    assert [path.name for path in shards.iterdir() if not path.name.startswith(".")] == [damaged.name]


def test_shards_that_a_build_was_to_keep_stay(
    measured: list[Measurement], folder: Path, whole: str, tmp_path: Path
) -> None:
    shards = tmp_path / SHARDS
    shards.mkdir()
    names = {write_shard(shards, measurement, ORIGIN) for measurement in measured}
    keep_shards(shards)
    for _ in range(2):
        library = build_index(folder, encoder=ENCODER, detector="fast", store=tmp_path, workers=1)
        assert library.dump() == whole
        assert {path.name for path in shards.glob("*.parquet")} == names


def test_no_shard_is_removed_for_its_name(measured: list[Measurement], tmp_path: Path) -> None:
    name = write_shard(tmp_path, measured[0], ORIGIN)
    store = Store(tmp_path / FILE_NAME, write=True)
    assert merge_shards(tmp_path, store).media == 1
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(b"of some other kind")
    (note,) = merge_shards(tmp_path, store, keep=False).notes
    assert "damaged" in note
    assert (tmp_path / name).exists()
    (tmp_path / name).write_bytes(whole)
    assert merge_shards(tmp_path, store, keep=False).notes == ()
    assert not (tmp_path / name).exists()


def test_damage_anywhere_is_noticed(measured: list[Measurement], tmp_path: Path) -> None:
    path = tmp_path / write_shard(tmp_path, measured[0], ORIGIN)
    whole = path.read_bytes()
    harmless = 0
    for place in range(0, len(whole), max(1, len(whole) // 150)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        try:
            ((_, back),) = read_shard(path)
        except FootageError:
            continue
        assert_equal(back, measured[0])  # a byte of the footer that says nothing about the values
        harmless += 1
    assert harmless < 75
    for length in (0, 1, 4, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(FootageError, match="damaged or cut short"):
            list(read_shard(path))


def test_a_shard_of_another_version_is_left_alone(measured: list[Measurement], tmp_path: Path) -> None:
    path = tmp_path / write_shard(tmp_path, measured[0], ORIGIN)
    table = parquet.read_table(path)
    parquet.write_table(table.replace_schema_metadata({"montage.shard": "999"}), path)
    with pytest.raises(FootageError, match="another version"):
        list(read_shard(path))
    parquet.write_table(table.drop_columns(["note"]), path)
    with pytest.raises(FootageError, match="another version"):
        list(read_shard(path))
    store = Store(tmp_path / FILE_NAME, write=True)
    assert merge_shards(tmp_path, store, keep=False).notes
    assert path.exists()


def test_joined_shards_are_merged_all_the_same(
    measured: list[Measurement], folder: Path, whole: str, tmp_path: Path
) -> None:
    import pyarrow

    names = [write_shard(tmp_path, measurement, ORIGIN) for measurement in measured]
    joined = pyarrow.concat_tables([parquet.read_table(tmp_path / name) for name in names])
    for name in names:
        (tmp_path / name).unlink()
    shards = tmp_path / SHARDS
    shards.mkdir()
    parquet.write_table(joined, shards / "joined.parquet", row_group_size=2)
    library = build_index(folder, encoder=ENCODER, detector="fast", store=tmp_path, workers=1)
    assert library.dump() == whole
    assert not list(shards.iterdir())


def test_a_joined_shard_with_rows_of_another_detector_stays(
    measured: list[Measurement], tmp_path: Path
) -> None:
    import pyarrow

    origins = (ORIGIN, replace(ORIGIN, detector="content"))
    names = [write_shard(tmp_path, one, origin) for one, origin in zip(measured, origins, strict=False)]
    joined = pyarrow.concat_tables([parquet.read_table(tmp_path / name) for name in names])
    for name in names:
        (tmp_path / name).unlink()
    parquet.write_table(joined, tmp_path / "joined.parquet")
    store = Store(tmp_path / FILE_NAME, write=True)
    with store.transaction():
        store.set_meta({"encoder_hash": ORIGIN.encoder.hash, "detector": "fast"})
    for count in (1, 0):
        assert merge_shards(tmp_path, store, keep=False).media == count
        assert (tmp_path / "joined.parquet").exists()


def test_a_joined_shard_is_merged_a_part_at_a_time(
    measured: list[Measurement], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow

    names = [write_shard(tmp_path, measurement, ORIGIN) for measurement in measured]
    joined = pyarrow.concat_tables([parquet.read_table(tmp_path / name) for name in names])
    for name in names:
        (tmp_path / name).unlink()
    parquet.write_table(joined, tmp_path / "joined.parquet")
    monkeypatch.setattr(shards_module, "_TOGETHER", 2)
    monkeypatch.setattr(shards_module, "_AT_ONCE", 1)
    written = []

    class Watched(Store):
        @contextlib.contextmanager
        def transaction(self) -> Iterator[None]:
            with super().transaction():
                yield
            written.append(len(self.measured(ORIGIN.encoder.hash)))

    assert merge_shards(tmp_path, Watched(tmp_path / FILE_NAME, write=True)).media == 5
    assert sorted(set(written)) == [0, 2, 4, 5]


def test_an_empty_library_takes_one_encoder_only(measured: list[Measurement], tmp_path: Path) -> None:
    write_shard(tmp_path, measured[0], ORIGIN)
    other = replace(ORIGIN, encoder=replace(ORIGIN.encoder, name="other", hash="1" * 16))
    write_shard(tmp_path, measured[1], other)
    store = Store(tmp_path / FILE_NAME, write=True)
    with pytest.raises(FootageError, match="several encoders"):
        merge_shards(tmp_path, store)
    with store.transaction():
        store.set_meta({"encoder_hash": "1" * 16, "detector": "fast"})
    assert merge_shards(tmp_path, store, keep=False).media == 1
    assert store.measured("1" * 16) == {measured[1].media.id}
    assert len(list(tmp_path.glob("*.parquet"))) == 1


def test_half_written_shards_are_cleared(measured: list[Measurement], tmp_path: Path) -> None:
    name = write_shard(tmp_path, measured[0], ORIGIN)
    (tmp_path / f".{name}.host-1.partial").write_bytes(b"PAR1")
    clear_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_cannot_be_written_is_named(measured: list[Measurement], tmp_path: Path) -> None:
    with pytest.raises(FootageError, match=r"cannot be written to '.*gone'"):
        write_shard(tmp_path / "gone", measured[0], ORIGIN)
    with pytest.raises(FootageError, match="a column or more"):
        write_shard(tmp_path, replace(measured[0], features=np.zeros((1, 0), np.float32)), ORIGIN)


def test_the_extra_is_named_where_it_is_missing(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = sys.modules['ray'] = None\n"
        "from pathlib import Path\n"
        "from index.base import FootageError\n"
        "from index.builder import build_index\n"
        "from index.shards import merge_shards\n"
        "from index.store import Store\n"
        f"folder, store, encoder = {str(folder)!r}, {str(tmp_path)!r}, {ENCODER!r}\n"
        "for call in (lambda: merge_shards(store, None),\n"
        "    lambda: build_index(folder, encoder=encoder, store=store, ray='local')):\n"
        "    try:\n"
        "        call()\n"
        "    except FootageError as error:\n"
        "        assert \"pip install 'montage-editor[ray]'\" in str(error), error\n"
        "    else:\n"
        "        sys.exit('no error')\n"
    )
    path = os.pathsep.join(sys.path)
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path})
