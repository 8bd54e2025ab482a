from __future__ import annotations

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.base import FootageError, Span
from index.connection import nobody_writes
from index.duplicates import duplicate_groups
from index.measure import Measurement
from index.store import PathRow, Store
from index.values import Look, Media, Shot

ODD_PATH = "a\nb/\udcff'\"-海.mp4"


def look(**changes: Any) -> Look:
    facts: dict[str, Any] = {
        **{
            "brightness": 0.5,
            "contrast": 0.2,
            "saturation": 0.1,
            "lab": (50.0, 1.5, -2.25),
            "sharpness": 0.4,
        },
        **{"shake": 0.1, "motion": 0.05, "move": "pan-left", "size": "MS", "faces": 2, "loudness": -23.5},
        **{"phash": (1 << 64) - 3},
        **changes,
    }
    return Look(**facts)


def measurement(identity: str = "0" * 32, text: str = "") -> Measurement:
    media = Media(
        id=identity,
        paths=("x.mp4",),
        duration=Fraction(1001, 100),
        width=64,
        height=48,
        rate=Fraction(30000, 1001),
        start=Fraction(1, 3),
        rotation=90,
        sample_aspect=Fraction(4, 3),
        timecode="01:00:00:00",
        text=text,
    )
    first, second = Span(Fraction(0), Fraction(10, 3)), Span(Fraction(10, 3), Fraction(1001, 100))
    halves = (Span(second.start, second.middle), Span(second.middle, second.end))
    shots = (
        Shot(id=f"{identity[:12]}-0", media=identity, span=first, windows=(first,), look=look()),
        Shot(
            id=f"{identity[:12]}-3333", media=identity, span=second, windows=halves, look=look(loudness=None)
        ),
    )
    features = np.arange(12, dtype=np.float32).reshape(3, 4) / 7
    return Measurement(media, shots, features, (b"one", b"two"), note="cut short")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "library.sqlite", write=True)
    with made.transaction():
        made.put_measurement(measurement(text="inside"), "e" * 16)
        made.put_path(PathRow("x.mp4", 1, 2, 3, "0" * 32, words="beside"))
        made.put_path(PathRow(ODD_PATH, 1, 2, 3, None, reason="not a video"))
    return made


def test_everything_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    read = Store(tmp_path / "library.sqlite")
    written = measurement()
    (media,) = read.media("e" * 16)
    assert media.text == "beside\ninside"
    assert (media.duration, media.rate, media.start) == (
        Fraction(1001, 100),
        Fraction(30000, 1001),
        Fraction(1, 3),
    )
    assert tuple(read.shots(media.id)) == written.shots
    assert np.array_equal(read.features(media.id, 4), written.features)
    assert read.thumbnail(written.shots[1].id) == b"two"
    assert read.thumbnail("nothing") is None
    assert [(p.path, p.reason, p.skipped) for p in read.problems()] == [
        (ODD_PATH, "not a video", True),
        ("x.mp4", "cut short", False),
    ]
    assert read.media("f" * 16) == []


def test_measuring_again_replaces_and_sweeping_removes(store: Store) -> None:
    before = store.dump()
    with store.transaction():
        store.put_measurement(measurement(text="inside"), "e" * 16)
    assert store.dump() == before
    with store.transaction():
        store.drop_paths(["x.mp4"])
        assert store.sweep() == ["0" * 32]
    assert store.shots("0" * 32) == []
    assert "shot " not in store.dump()


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    before = store.dump()
    broken = replace(measurement("1" * 32), thumbnails=(b"only one of two",))
    with pytest.raises(IndexError), store.transaction():
        store.put_measurement(broken, "e" * 16)
    assert store.dump() == before


def test_times_of_files_are_no_part_of_the_dump(store: Store) -> None:
    before = store.dump()
    with store.transaction():
        store.put_path(PathRow("x.mp4", 9, 8, 7, "0" * 32, words="beside"))
    assert store.dump() == before
    with store.transaction():
        store.put_path(PathRow("x.mp4", 9, 8, 7, "0" * 32, words="others"))
    assert store.dump() != before


def test_the_same_row_again_changes_no_mark(store: Store) -> None:
    row = PathRow(ODD_PATH, 1, 2, 3, None, reason="not a video")
    before = store.mark("words")
    with store.transaction():
        store.put_path(row)
    assert store.mark("words") == before
    with store.transaction():
        store.put_path(replace(row, reason="not a film"))
    assert store.mark("words") != before


def test_a_log_that_cannot_be_read_is_not_left_out(store: Store, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tmp_path.glob("library.sqlite*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, copy)
    assert (copy / "library.sqlite-wal").stat().st_size > 0
    (copy / "library.sqlite-shm").symlink_to(copy / "library.sqlite-shm")  # nobody can open it
    with pytest.raises(FootageError, match="cannot be used"):
        Store(copy / "library.sqlite")
    assert not nobody_writes(copy / "library.sqlite")


def test_a_file_that_holds_no_library_is_refused(tmp_path: Path) -> None:
    import sqlite3

    sqlite3.connect(tmp_path / "empty.sqlite").execute("VACUUM")
    with pytest.raises(FootageError, match="holds no library yet"):
        Store(tmp_path / "empty.sqlite")


def shot(media: str, start: int = 0, seconds: int = 3, **changes: Any) -> Shot:
    span = Span(Fraction(start), Fraction(start + seconds))
    return Shot(id=f"{media}-{start}", media=media, span=span, windows=(span,), look=look(**changes))


def test_duplicates_are_grouped_across_media_and_only_if_all_agrees() -> None:
    base, near, far = 0x0F0F_3333_5555_00FF, 0x0F0F_3333_5555_00F0, 0xF0F0_CCCC_5555_00FF
    shots = [
        shot("a", phash=base),
        shot("b", phash=near),
        shot("c", phash=far),
        shot("d", phash=base, seconds=9),
        shot("e", phash=base, lab=(80.0, 0.0, 0.0)),
        shot("f", phash=base, contrast=0.0),
        shot("a", start=5, phash=base),
    ]
    groups = duplicate_groups(shots)
    assert groups == {"a-0": "a-0", "b-0": "a-0", "a-5": "a-0"}
    assert duplicate_groups(shots[::-1]) == groups
    assert duplicate_groups([]) == {}
