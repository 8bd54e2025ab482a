"""Matching, search and candidates over real indexes of small clips."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from colour_encoder import ColourEncoder
from hypothesis import given
from hypothesis import strategies as st
from making import ENCODER, colour_folder

from index.base import FootageError
from index.builder import build_index
from index.calibration import KEYWORD_CEILING
from index.library import Library
from index.query import WINDOWS_A_SHOT, Matcher, fuse
from index.textcache import TextCache

UNIT = st.floats(0, 1, width=32)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = colour_folder(tmp_path_factory.mktemp("query") / "footage")
    return build_index(folder, encoder=ENCODER, workers=1)


def names(library: Library, hits: list) -> list[str]:
    return [library.media[hit.shot.media].paths[0] for hit in hits]


def test_search_puts_the_right_shot_first(library: Library) -> None:
    matcher = Matcher(library)
    for colour, path in (("red", "a/red.mp4"), ("green", "a/green.mp4"), ("blue", "b/blue.mp4")):
        hits = matcher.search(f"a {colour} thing", k=3)
        assert names(library, hits)[0] == path
        assert len(hits) == 3
        assert [hit.match for hit in hits] == sorted((hit.match for hit in hits), reverse=True)
        assert set(hits[0].parts) == {"embedding", "keywords", "text"}
        assert colour in hits[0].why
        assert hits[0].span in hits[0].shot.windows


def test_sidecar_words_are_met_and_a_keyword_alone_stays_under_its_ceiling(library: Library) -> None:
    hit = Matcher(library).search("snow falls on the mountain", k=1)[0]
    assert names(library, [hit]) == ["white.mp4"]
    assert "snow" in hit.why
    assert hit.parts["embedding"] < 0.5
    assert hit.parts["embedding"] < hit.match <= KEYWORD_CEILING + 1e-6


def test_matches_are_dense_and_in_the_order_of_the_features(library: Library) -> None:
    texts = ["red", "blue", "绿色"]
    matches = Matcher(library).match(texts, ["en", "en", "zh"])
    _, rows = library.features()
    assert list(matches.rows) == list(rows)
    assert matches.match.shape == (3, len(rows))
    assert matches.match.dtype == np.float32
    assert matches.best.shape == (3,)
    assert ((matches.match >= 0) & (matches.match <= 1)).all()


def test_candidates_are_best_first_and_few_of_one_shot(library: Library) -> None:
    found = Matcher(library).candidates(["red", "green"], ["en", "en"], k=4)
    assert [len(hits) for hits in found] == [4, 4]
    for hits in found:
        ids = [hit.id for hit in hits]
        assert max(ids.count(one) for one in ids) <= WINDOWS_A_SHOT
        assert [hit.match for hit in hits] == sorted((hit.match for hit in hits), reverse=True)


def test_bad_questions(library: Library) -> None:
    matcher = Matcher(library)
    with pytest.raises(FootageError, match="empty"):
        matcher.search("  ")
    with pytest.raises(ValueError, match="positive"):
        matcher.search("red", k=0)
    with pytest.raises(ValueError, match="languages"):
        matcher.match(["red"], [])
    assert matcher.candidates([], [], 3) == []


def test_a_large_library_is_searched_through_faiss_with_the_same_answer(library: Library) -> None:
    exact = Matcher(library).search("a blue thing", k=3)
    proposed = Matcher(library, exact=1).search("a blue thing", k=3)
    assert [hit.id for hit in proposed] == [hit.id for hit in exact]
    assert [hit.match for hit in proposed] == pytest.approx([hit.match for hit in exact], abs=1e-5)
    files = list(library.store_dir.glob("nearest-*.faiss"))
    assert len(files) == 1
    files[0].write_bytes(b"damaged")
    again = Matcher(library, exact=1).search("a blue thing", k=3)
    assert [hit.id for hit in again] == [hit.id for hit in exact]


def test_texts_are_encoded_once(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    Matcher(library).search("a red and blue thing")
    monkeypatch.setattr(ColourEncoder, "encode_texts", None)
    assert Matcher(library).search("a red and blue thing")
    with pytest.raises(TypeError):
        Matcher(library).search("a text that nobody asked for")


@given(UNIT, UNIT, UNIT)
def test_fusion_never_lowers_and_keywords_alone_never_pass_the_ceiling(
    p: float, k: float, more: float
) -> None:
    one, other = np.array([[p]], np.float32), np.array([[k]], np.float32)
    fused = fuse(one, other)[0, 0]
    assert p - 1e-6 <= fused <= 1
    if p <= 0.5:
        assert fused <= max(KEYWORD_CEILING, p) + 1e-5
    louder = np.maximum(other, np.float32(more))
    assert fuse(one, louder)[0, 0] >= fused - 1e-6
    assert fuse(one, np.zeros_like(one))[0, 0] == pytest.approx(p, abs=2e-6)


def counting(calls: list[list[str]]):
    def encode(new: list[str]) -> np.ndarray:
        calls.append(new)
        return np.array([[len(text), 1] for text in new], np.float32)

    return encode


def test_cache_keeps_texts_apart_by_model_and_language(tmp_path: Path) -> None:
    calls: list[list[str]] = []
    cache = TextCache(tmp_path)
    assert cache.vectors("m", "en", ["a", "bb", "a"], counting(calls)).tolist() == [[1, 1], [2, 1], [1, 1]]
    again = TextCache(tmp_path)
    again.vectors("m", "en", ["bb", "ccc"], counting(calls))
    again.vectors("m", "zh", ["a"], counting(calls))
    again.vectors("n", "en", ["a"], counting(calls))
    assert calls == [["a", "bb"], ["ccc"], ["a"], ["a"]]


@pytest.mark.parametrize(
    "damage", [b"", b"not a database at all, not even nearly" * 50, b"SQLite format 3\0" + b"x" * 4000]
)
def test_a_damaged_cache_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    calls: list[list[str]] = []
    (tmp_path / "texts.sqlite").write_bytes(damage)
    TextCache(tmp_path).vectors("m", "en", ["a"], counting(calls))
    TextCache(tmp_path).vectors("m", "en", ["a"], counting(calls))
    TextCache(tmp_path).vectors("m", "en", ["a"], counting(calls))
    assert 1 <= len(calls) <= 2
    with sqlite3.connect(tmp_path / "texts.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_cache_that_cannot_be_written_keeps_to_memory(tmp_path: Path) -> None:
    calls: list[list[str]] = []
    cache = TextCache(tmp_path / "not" / "there")
    for _ in range(2):
        cache.vectors("m", "en", ["a"], counting(calls))
    assert calls == [["a"]]


def test_many_writers_at_once(tmp_path: Path) -> None:
    def write(number: int) -> list[float]:
        texts = [f"{number}-{place}" for place in range(10)] + ["shared"]
        return TextCache(tmp_path).vectors("m", "en", texts, counting([]))[:, 0].tolist()

    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(write, range(16)):
            assert got[-1] == 6
    calls: list[list[str]] = []
    TextCache(tmp_path).vectors("m", "en", ["3-3", "15-9", "shared"], counting(calls))
    assert calls == []


def test_a_library_that_was_walked_through_sees_what_another_build_adds(tmp_path: Path) -> None:
    folder = colour_folder(tmp_path / "footage")
    (folder / "b/blue.mp4").rename(tmp_path / "blue.mp4")
    opened = build_index(folder, encoder=ENCODER, workers=1)
    list(opened.shots)
    opened.features()
    (tmp_path / "blue.mp4").rename(folder / "b/blue.mp4")
    build_index(folder, encoder=ENCODER, workers=1)
    assert names(opened, opened.search("a blue thing", k=1)) == ["b/blue.mp4"]
