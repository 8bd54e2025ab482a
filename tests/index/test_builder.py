from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from colour_encoder import ColourEncoder, OtherColourEncoder
from making import ENCODER, colour_clip, colour_folder

from index.base import FootageError, content_id
from index.builder import IndexEvent, build_index
from index.library import Library, find_library
from index.pool import WorkerPool
from index.store import Store


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = colour_folder(tmp_path_factory.mktemp("built"))
    build_index(folder, encoder=ENCODER, workers=1)
    return folder


@pytest.fixture
def library_copy(built: Path, tmp_path: Path) -> Path:
    """The built folder, to be changed at will; copies keep their times, and get new inodes."""
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(built), str(copy)], check=True)
    return copy


def events_of(folder: Path, encoder: str | ColourEncoder = ENCODER) -> tuple[Library, list[IndexEvent]]:
    events: list[IndexEvent] = []
    library = build_index(folder, encoder=encoder, workers=1, progress=events.append)
    return library, events


def kinds(events: list[IndexEvent]) -> Counter[str]:
    return Counter(event.kind for event in events)


def test_what_a_library_holds(built: Path) -> None:
    library = Library.open(built)
    assert library.root == built
    assert library.encoder_name == "colour"
    assert [media.paths for media in library.media.values()] == [
        ("a/green.mp4",),
        ("a/red.mp4", "b/again.mp4"),
        ("b/blue.mp4",),
        ("tone.mp4",),
        ("white.mp4",),
    ]
    features, rows = library.features()
    assert features.shape == (5, 5)
    assert [row[0] for row in rows] == list(library.shots)
    assert features.argmax(axis=1).tolist() == [1, 0, 2, 4, 3]
    for shot in library.shots.values():
        assert library.thumbnail(shot.id)[:2] == b"\xff\xd8"
        assert library.media[shot.media].duration == shot.span.end
    white = next(m for m in library.media.values() if m.paths == ("white.mp4",))
    assert (white.text, white.credit, white.licence) == (
        "snow on a mountain",
        "Ann Example\nLicence: CC0",
        "CC0",
    )
    assert library.path_of(white.id) == built / "white.mp4"
    assert "5 media, 5 shots" in library.summary()


def test_a_second_run_opens_no_video(library_copy: Path) -> None:
    build_index(
        library_copy, encoder=ENCODER, workers=1
    )  # the copy's inodes are new: named again, not measured
    code = (
        "import sys; from index.builder import build_index; seen = [];"
        f"build_index({str(library_copy)!r}, encoder={ENCODER!r}, progress=lambda e: seen.append(e.kind));"
        "assert seen == ['found'] + ['reused'] * 6, seen;"
        "heavy = {'av', 'cv2', 'torch', 'scipy', 'scenedetect', 'colour_encoder'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    path = os.pathsep.join(sys.path)
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path})


def test_renamed_copied_and_linked_files_cost_no_inference(
    library_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Library.open(library_copy)
    features = before.features()[0]
    (library_copy / "white.mp4").rename(library_copy / "a" / "snow.mp4")
    (library_copy / "blue-again.mp4").write_bytes((library_copy / "b/blue.mp4").read_bytes())
    os.symlink(library_copy / "a/green.mp4", library_copy / "green-link.mp4")

    def refuse(*_: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr(WorkerPool, "_start", refuse)
    library, events = events_of(library_copy)
    assert kinds(events) == {"found": 1, "reused": 8, "removed": 1}
    assert sorted(media.paths for media in library.media.values()) == [
        ("a/green.mp4", "green-link.mp4"),
        ("a/red.mp4", "b/again.mp4"),
        ("a/snow.mp4",),
        ("b/blue.mp4", "blue-again.mp4"),
        ("tone.mp4",),
    ]
    assert sorted(map(bytes, library.features()[0])) == sorted(map(bytes, features))


def test_a_vanished_file_is_swept(library_copy: Path) -> None:
    (library_copy / "tone.mp4").unlink()
    (library_copy / "a/red.mp4").unlink()  # its copy b/again.mp4 stays
    library, events = events_of(library_copy)
    assert [event.path for event in events if event.kind == "removed"] == ["a/red.mp4", "tone.mp4"]
    assert len(library.shots) == 4
    assert ("b/again.mp4",) in [media.paths for media in library.media.values()]


def test_a_changed_file_is_measured_again(library_copy: Path) -> None:
    old = content_id(library_copy / "white.mp4")
    colour_clip(library_copy / "white.mp4", "blue", 2)
    library, events = events_of(library_copy)
    assert [event.path for event in events if event.kind == "done"] == ["white.mp4"]
    assert old not in library.media
    assert library.media[content_id(library_copy / "white.mp4")].text == "snow on a mountain"


def test_new_sidecar_words_are_taken_without_measuring(library_copy: Path) -> None:
    (library_copy / "a/green.txt").write_text("a meadow", encoding="utf-8")
    library, events = events_of(library_copy)
    assert kinds(events) == {"found": 1, "reused": 6}
    assert next(media.text for media in library.media.values()) == "a meadow"


def test_another_encoder_measures_everything_again_and_the_old_one_is_refused(library_copy: Path) -> None:
    library, events = events_of(library_copy, OtherColourEncoder())
    assert kinds(events) == {"found": 1, "started": 5, "done": 5, "reused": 1}
    assert library.encoder_name == "other-colour"
    assert library.encoder.name == "other-colour"
    with pytest.raises(FootageError, match=r"built with the encoder 'other-colour'.*not with 'colour'"):
        library.use_encoder(ColourEncoder())
    build_index(library_copy, encoder=ENCODER, workers=1)
    assert Library.open(library_copy).encoder.name == "colour"


def test_an_encoder_that_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    colour_clip(tmp_path / "one.mp4")
    with pytest.raises(FootageError, match="no weights"):
        build_index(tmp_path, encoder="python:colour_encoder:UnloadableEncoder", workers=1)
    with pytest.raises(FootageError, match="python:MODULE:CLASS"):
        build_index(tmp_path, encoder="python:no_such_module:Encoder", workers=1)


def test_a_worker_that_is_killed_costs_one_file(tmp_path: Path) -> None:
    for name, colour in (("1", "green"), ("2", "red"), ("3", "blue")):
        colour_clip(tmp_path / f"{name}.mp4", colour)
    library = build_index(tmp_path, encoder="python:colour_encoder:CrashingEncoder", workers=1)
    assert [media.paths[0] for media in library.media.values()] == ["1.mp4", "3.mp4"]
    (problem,) = library.problems
    assert problem.path == "2.mp4"
    assert "crashed" in problem.reason
    assert "SIGKILL" in problem.reason


def test_two_builds_at_once_do_not_collide(library_copy: Path) -> None:
    errors = []

    def build_within(event: IndexEvent) -> None:
        if event.kind == "found":
            with pytest.raises(FootageError, match=f"being built by process {os.getpid()} on") as caught:
                build_index(library_copy, encoder=ENCODER)
            errors.append(caught.value)

    build_index(library_copy, encoder=ENCODER, workers=1, progress=build_within)
    assert len(errors) == 1


def test_events_count_up(library_copy: Path) -> None:
    (library_copy / "a/new.mp4").write_bytes(b"")
    colour_clip(library_copy / "z.mp4", "yellow", 1)
    _, events = events_of(library_copy)
    assert events[0] == IndexEvent("found", "", 0, 8, 0.0)
    assert events[-1].done == events[-1].total == 8
    assert events[-1].seconds_of_footage == pytest.approx(9.5)
    assert kinds(events) == {"found": 1, "reused": 6, "problem": 1, "started": 1, "done": 1}


def test_the_store_may_lie_elsewhere_and_serves_one_folder(built: Path, tmp_path: Path) -> None:
    footage = tmp_path / "footage"
    footage.mkdir()
    colour_clip(footage / "one.mp4", "green")
    store = tmp_path / "elsewhere"
    library = build_index(footage, encoder=ENCODER, workers=1, store=store)
    assert not (footage / ".montage").exists()
    assert library.store_dir == store
    assert len(Library.open(footage, store=store).shots) == 1
    with pytest.raises(FootageError, match="holds the index of"):
        build_index(built, encoder=ENCODER, store=store)
    with pytest.raises(FootageError, match="run montage build-index"):
        Library.open(footage)


def test_find_library_looks_one_level_down(built: Path, tmp_path: Path) -> None:
    assert find_library(built) == [built]
    assert built in find_library(built.parent)
    assert find_library(tmp_path) == []


def test_copies_and_near_copies_are_grouped(tmp_path: Path, footage: Path) -> None:
    from making import ffmpeg

    source = footage / "clips" / "blackswan.mp4"
    ffmpeg("-i", source, "-vf", "scale=426:240", "-crf", "30", tmp_path / "smaller.mp4")
    (tmp_path / "original.mp4").write_bytes(source.read_bytes())
    (tmp_path / "other.mp4").write_bytes((footage / "clips" / "car-shadow.mp4").read_bytes())
    library = build_index(tmp_path, encoder=ENCODER, workers=1)
    groups = {library.media[shot.media].paths[0]: shot.group for shot in library.shots.values()}
    assert groups["original.mp4"] == groups["smaller.mp4"] != ""
    assert groups["other.mp4"] == ""


def test_dump_does_not_depend_on_order_or_time(built: Path, tmp_path: Path) -> None:
    from index.measure import measure_file

    encoder = ColourEncoder()
    paths = sorted(built.rglob("*.mp4"))
    dumps = []
    for number, order in enumerate((paths, paths[::-1])):
        store = Store(tmp_path / f"{number}.sqlite", write=True)
        with store.transaction():
            for path in order:
                store.put_measurement(measure_file(path, encoder, root=built), encoder.hash)
        dumps.append(store.dump())
        store.close()
    assert dumps[0] == dumps[1]
    assert dumps[0].count("\nshot ") == 5
