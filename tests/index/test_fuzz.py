"""Damaged files of every kind: none is lost, none hangs, none brings the build down."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from making import ENCODER
from mutations import KINDS, make_sources, mutate

from index.builder import IndexEvent, build_index
from index.library import Library
from index.limits import Limits

LIMITS = Limits(stall_seconds=60, memory_bytes=1 << 30)
"""A tiny file that needs more is at fault."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, sample_library: Path) -> dict[str, bytes]:
    """A second of real footage in every kind of file."""
    made = make_sources(tmp_path_factory.mktemp("sources"), sample_library / "water-drop.mp4")
    return {path.name: path.read_bytes() for path in made}


def damaged(folder: Path, sources: dict[str, bytes], numbers: range) -> list[str]:
    """Write a damaged file for each number, kind after kind; their names."""
    names = []
    for number in numbers:
        kind = list(KINDS)[number % len(KINDS)]
        what, data = mutate(sources[kind], number)
        names.append(f"{number:04}-{what}-{kind}")
        (folder / names[-1]).write_bytes(data)
    return names


def check(library: Library, names: list[str]) -> None:
    """Every file is in the library or among its problems, and what is in the library makes sense."""
    indexed = {path: media for media in library.media.values() for path in media.paths}
    problems = {problem.path: problem for problem in library.problems}
    skipped = {path for path, problem in problems.items() if problem.skipped}
    assert sorted([*indexed, *skipped]) == sorted(names)
    for path, problem in problems.items():
        assert problem.reason, path
        assert str(library.root) not in problem.reason, (path, problem.reason)
        for word in ("Error:", "could not be measured", "Traceback", "came to a stop", "took longer"):
            assert word not in problem.reason, (path, problem.reason)
    shots = Counter(shot.media for shot in library.shots.values())
    for path, media in indexed.items():
        assert 0 < media.duration < 7200, (path, float(media.duration))
        assert 1 <= shots[media.id] <= 30, (path, shots[media.id])
    for shot in library.shots.values():
        assert shot.windows[0].start == shot.span.start
        assert shot.windows[-1].end == shot.span.end
        assert len(library.thumbnail(shot.id)) > 100
    assert library.search("white", 5)
    features, rows = library.features()
    assert len(features) == len(rows) == sum(len(shot.windows) for shot in library.shots.values())
    assert abs(features).max() < 100


def fuzz(folder: Path, sources: dict[str, bytes], numbers: range) -> None:
    names = damaged(folder, sources, numbers)
    kinds: Counter[str] = Counter()

    def count(event: IndexEvent) -> None:
        kinds[event.kind] += 1

    library = build_index(folder, encoder=ENCODER, workers=2, limits=LIMITS, progress=count)
    check(library, names)
    assert kinds["done"] + kinds["problem"] + kinds["reused"] == len(names)
    assert kinds["done"] > len(names) // 3  # or nothing was put to the test
    assert kinds["problem"] > len(names) // 10


def test_whole_files_of_every_kind_are_indexed(tmp_path: Path, sources: dict[str, bytes]) -> None:
    for name, data in sources.items():
        (tmp_path / name).write_bytes(data)
    library = build_index(tmp_path, encoder=ENCODER, workers=2)
    assert library.problems == ()
    check(library, list(sources))
    assert {round(float(m.duration), 1) for m in library.media.values() if m.paths[0] != "dv.dv"} <= {
        0.9,
        1.0,
        1.1,
    }


def test_sixty_damaged_files(tmp_path: Path, sources: dict[str, bytes]) -> None:
    fuzz(tmp_path, sources, range(1000, 1060))


@pytest.mark.slow
def test_five_hundred_damaged_files(tmp_path: Path, sources: dict[str, bytes]) -> None:
    fuzz(tmp_path, sources, range(500))
    before = Library.open(tmp_path).dump()
    kinds: Counter[str] = Counter()
    again = build_index(tmp_path, encoder=ENCODER, progress=lambda event: kinds.update([event.kind]))
    assert again.dump() == before
    assert set(kinds) == {"found", "reused", "problem"}  # not one is measured twice


def test_mutations_are_the_same_every_time(sources: dict[str, bytes]) -> None:
    kinds = list(KINDS)
    seen = Counter()
    for number in range(500):
        original = sources[kinds[number % len(kinds)]]
        what, data = mutate(original, number)
        assert (what, data) == mutate(original, number)
        assert data != original
        seen[what.partition("-")[2]] += 1
    assert seen == {"header": 250, "anywhere": 250}
