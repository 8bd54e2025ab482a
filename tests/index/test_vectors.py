"""The nearest vectors, exactly and through FAISS, and the files that they come from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index.derived import derive, read_mark
from index.vectors import DamagedVectors, Vectors

COUNT, COLUMNS = 3000, 17


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other are slower than one where vectors are few."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)


@pytest.fixture(scope="module")
def data() -> np.ndarray:
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((40, COLUMNS - 1))
    made = centres[rng.integers(0, 40, COUNT)] + 0.5 * rng.standard_normal((COUNT, COLUMNS - 1))
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    level = 0.1 * rng.standard_normal((COUNT, 1))
    return np.hstack([made, level]).astype(np.float32)


def queries(data: np.ndarray, count: int = 20) -> np.ndarray:
    rng = np.random.default_rng(6)
    out = data[rng.integers(0, COUNT, count)] + 0.02 * rng.standard_normal((count, COLUMNS)).astype(
        np.float32
    )
    out[:, -1] = -1.0
    return out.astype(np.float32)


def opened(data: np.ndarray, folder: Path | None, made: list[int] | None = None, **options: int) -> Vectors:
    def blocks() -> Iterator[np.ndarray]:
        if made is not None:
            made.append(1)
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]

    return Vectors(folder, "test", f"of {len(data)}", blocks, **options)


def best(vectors: Vectors, wanted: np.ndarray, rows: np.ndarray, count: int = 10) -> set[int]:
    return set(rows[np.argsort(-(vectors.take(rows) @ wanted), kind="stable")[:count]].tolist())


@pytest.mark.parametrize(
    "quantised",
    [
        pytest.param(10_000, id="one byte a number"),
        pytest.param(1_000, id="product codes", marks=pytest.mark.slow),
    ],
)
def test_faiss_proposes_what_a_product_finds(data: np.ndarray, tmp_path: Path, quantised: int) -> None:
    vectors = opened(data, tmp_path, exact=100, quantised=quantised)
    asked = queries(data)
    shares = []
    for wanted, rows in zip(asked, vectors.near(asked, 500), strict=True):
        assert rows is not None
        assert len(rows) <= 500
        assert (np.diff(rows) > 0).all()
        truth = set(np.argsort(-(data @ wanted), kind="stable")[:10].tolist())
        shares.append(len(truth & best(vectors, wanted, rows)) / 10)
    assert np.mean(shares) > 0.97
    assert {path.suffix for path in tmp_path.iterdir()} == {".derived", ".faiss"}


def test_a_level_lowers_a_window(data: np.ndarray, tmp_path: Path) -> None:
    vectors = opened(data, tmp_path, exact=100)
    raised = data.copy()
    raised[: COUNT // 2, -1] += 10.0
    half = opened(raised, None, exact=100)
    (rows,) = half.near(queries(data, 1), 300)
    assert rows is not None
    assert rows.min() >= COUNT // 2
    assert vectors.centre == pytest.approx(data[:, :-1].mean(axis=0), abs=1e-5)


def test_few_are_compared_one_by_one(data: np.ndarray, tmp_path: Path) -> None:
    vectors = opened(data, tmp_path, exact=COUNT)
    keep = np.arange(COUNT) % 3 == 0
    assert vectors.near(queries(data, 2), 10) == [None, None]
    (rows,) = vectors.near(queries(data, 1), 10, keep)
    assert np.array_equal(rows, np.flatnonzero(keep))
    assert np.array_equal(vectors.take(), data)
    assert [path.name for path in tmp_path.iterdir()] == ["vectors-test.derived"]


def test_filters_come_before_the_ranking(
    data: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.vectors.GATHERED", 200)
    vectors = opened(data, tmp_path, exact=100)
    asked = queries(data)
    for share in (2, 10, 40):
        keep = np.random.default_rng(share).random(COUNT) < 1 / share
        found = []
        for wanted, rows in zip(asked, vectors.near(asked, 300, keep), strict=True):
            assert rows is not None
            assert keep[rows].all()
            kept = np.flatnonzero(keep)
            truth = set(kept[np.argsort(-(data[kept] @ wanted), kind="stable")[:10]].tolist())
            found.append(len(truth & best(vectors, wanted, rows)) / 10)
        assert np.mean(found) > 0.97


def test_files_are_used_again(data: np.ndarray, tmp_path: Path) -> None:
    made: list[int] = []
    opened(data, tmp_path, made, exact=100).prepare()
    times = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = opened(data, tmp_path, made, exact=100)
    assert again.near(queries(data), 10)
    assert made == [1]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times


def harm(path: Path, how: str) -> None:
    whole = bytearray(path.read_bytes())
    if how == "deleted":
        path.unlink()
        return
    if how == "empty":
        whole = bytearray()
    elif how == "cut short":
        whole = whole[: len(whole) // 2]
    elif how == "last byte gone":
        whole = whole[:-1]
    elif how == "head":
        whole[20:28] = b"\xff" * 8
    elif how == "other file":
        whole = bytearray(b"MZ" * 5000)
    else:
        whole[-40] ^= 0x40
    path.write_bytes(whole)


HARMS = ("deleted", "empty", "cut short", "last byte gone", "head", "other file", "seal")


@pytest.mark.parametrize("how", HARMS)
@pytest.mark.parametrize("file", ["vectors-test.derived", "nearest-test.faiss"])
def test_damaged_files_are_made_anew(data: np.ndarray, tmp_path: Path, file: str, how: str) -> None:
    opened(data, tmp_path, exact=100).prepare()
    right = [rows.tolist() for rows in opened(data, tmp_path, exact=100).near(queries(data), 50)]
    harm(tmp_path / file, how)
    again = opened(data, tmp_path, exact=100)
    asked = queries(data)
    try:
        found = [rows for rows in again.near(asked, 50) if rows is not None]
        taken = [again.take(rows) for rows in found]
    except DamagedVectors:
        again.forget()
        again = opened(data, tmp_path, exact=100)
        found = [rows for rows in again.near(asked, 50) if rows is not None]
        taken = [again.take(rows) for rows in found]
    assert [rows.tolist() for rows in found] == right
    assert all(np.array_equal(some, data[rows]) for some, rows in zip(taken, found, strict=True))


def test_any_flipped_byte_of_a_vector_is_noticed(data: np.ndarray, tmp_path: Path) -> None:
    opened(data, tmp_path, exact=COUNT).take()
    path = tmp_path / "vectors-test.derived"
    clean = path.read_bytes()
    row_bytes = COLUMNS * 4
    for place in np.random.default_rng(0).integers(0, COUNT * row_bytes, 40).tolist():
        broken = bytearray(clean)
        broken[place] ^= 1 << (place % 8)
        path.write_bytes(broken)
        vectors = opened(data, tmp_path, exact=COUNT)
        with pytest.raises(DamagedVectors):
            vectors.take()
        with pytest.raises(DamagedVectors):
            vectors.take(np.array([place // row_bytes]))
        other = (place // row_bytes + 1) % COUNT
        assert np.array_equal(vectors.take(np.array([other]))[0], data[other])


def test_files_of_another_state_are_not_believed(data: np.ndarray, tmp_path: Path) -> None:
    opened(data, tmp_path, exact=100).prepare()
    fewer = opened(data[:1500], tmp_path, exact=100)
    assert len(fewer) == 1500
    (rows,) = fewer.near(queries(data, 1), 20)
    assert rows is not None
    assert rows.max() < 1500
    assert read_mark(tmp_path / "nearest-test.faiss") == "of 1500"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written(data: np.ndarray, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert opened(data, tmp_path, exact=100).near(queries(data, 1), 10)[0] is not None


def test_no_folder_at_all_keeps_to_memory(data: np.ndarray, tmp_path: Path) -> None:
    for folder in (None, tmp_path / "not" / "there"):
        vectors = opened(data, folder, exact=100)
        assert vectors.near(queries(data, 1), 10)[0] is not None
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken() -> Iterator[np.ndarray]:
        yield np.ones((2, 3), np.float32)
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        derive(tmp_path / "x.derived", "f", lambda: {"x": broken()})
    assert not list(tmp_path.iterdir())
    kept = derive(tmp_path / "x.derived", "f", lambda: {"x": np.arange(3), "none": np.zeros((0, 4), np.int8)})
    assert kept["x"].tolist() == [0, 1, 2]
    assert kept["none"].shape == (0, 4)
