"""Queries of texts, pictures, sketches and shots, filters, and libraries of earlier versions."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from datetime import date, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from making import ENCODER, colour_clip, colour_folder
from PIL import Image

from index.asking import MOVES, Filters, Query
from index.base import FootageError
from index.builder import build_index
from index.library import Library
from index.measure import Measurement
from index.pictures import is_sketch, read_picture
from index.query import Matcher
from index.store import PathRow, Store
from index.values import CAMERA_MOVES, Look, Media, Shot, Span
from montage.cli import main


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = colour_folder(tmp_path_factory.mktemp("asking") / "footage")
    for number, path in enumerate(sorted(folder.rglob("*.mp4"))):
        stamp = int(datetime(2020 + number, 6, 1).timestamp())
        os.utime(path, (stamp, stamp))
    return build_index(folder, encoder=ENCODER, workers=1)


def first(library: Library, query: Query | str, **options: Filters) -> str:
    return library.media[library.search(query, k=1, **options)[0].shot.media].paths[0]


def found(library: Library, **filters: object) -> list[str]:
    hits = library.search("anything", filters=Filters(**filters))
    return sorted(library.media[hit.shot.media].paths[0] for hit in hits)


def picture(path: Path, *halves: tuple[int, ...]) -> Path:
    """A picture of colours beside each other."""
    mode = "RGBA" if len(halves[0]) == 4 else "RGB"
    image = Image.new(mode, (60 * len(halves), 80))
    for place, colour in enumerate(halves):
        image.paste(colour, (60 * place, 0, 60 * place + 60, 80))
    image.save(path)
    return path


def test_a_picture_finds_its_like(library: Library, tmp_path: Path) -> None:
    path = picture(tmp_path / "green.png", (0, 128, 0))
    hits = library.search(Query(images=(path,)), k=5)
    assert library.media[hits[0].shot.media].paths[0] == "a/green.mp4"
    assert set(hits[0].parts) == {"image"}
    assert [hit.match for hit in hits] == sorted((hit.match for hit in hits), reverse=True)


def test_a_sketch_finds_its_colours(library: Library, tmp_path: Path) -> None:
    path = picture(tmp_path / "red.png", (250, 10, 5), (255, 0, 0))
    hits = library.search(Query(sketches=(path,)), k=5)
    assert library.media[hits[0].shot.media].paths[0] == "a/red.mp4"
    assert hits[0].match > 0.8
    assert hits[1].match < 0.1
    open_half = picture(tmp_path / "half.png", (0, 0, 255, 255), (0, 0, 0, 0))
    assert first(library, Query(sketches=(open_half,))) == "b/blue.mp4"
    assert (library.store_dir / "layouts.derived").is_file()


def test_sketches_are_told_from_photographs(tmp_path: Path) -> None:
    assert is_sketch(read_picture(picture(tmp_path / "s.png", (1, 2, 3), (200, 100, 5))))
    assert is_sketch(read_picture(picture(tmp_path / "t.png", (1, 2, 3, 0), (200, 100, 5, 255))))
    noise = np.random.default_rng(0).normal(128, 30, (90, 120, 3)).clip(0, 255).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "p.png")
    assert not is_sketch(read_picture(tmp_path / "p.png"))
    ramp = np.linspace(0, 255, 120).astype(np.uint8)
    Image.fromarray(np.stack([np.tile(ramp, (90, 1))] * 3, axis=2)).save(tmp_path / "r.png")
    assert not is_sketch(read_picture(tmp_path / "r.png"))


def test_more_like_this_leaves_the_shot_itself_out(library: Library) -> None:
    red = library.search("red", k=1)[0]
    hits = library.search(Query(like=(red.id,)), k=9)
    assert red.id not in [hit.id for hit in hits]
    assert len(hits) == len(library.shots) - 1
    assert set(hits[0].parts) == {"like"}


def test_a_mix_wants_all_its_parts(library: Library) -> None:
    both = library.search(Query("green", without=("blue",)), k=5)
    assert library.media[both[0].shot.media].paths[0] == "a/green.mp4"
    assert "without" in both[0].parts
    alone = {hit.id: hit.match for hit in library.search("green", k=9)}
    assert all(hit.match <= alone[hit.id] + 1e-6 for hit in both)
    red, blue = (library.search(colour, k=1)[0].id for colour in ("red", "blue"))
    towards = Query("red", like=(blue,), weights={"text": 5.0, "like": 0.01})
    assert first(library, towards) == "a/red.mp4"
    assert red not in [hit.id for hit in library.search(Query("a thing", unlike=(red,)))]
    two = library.search(Query("white", without=("snow", "red")), k=1)[0]
    assert {"without", "without 2"} <= set(two.parts)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Query("  "), "say what the shot should show"),
        (lambda: Query(without=("a dog",)), "say what the shot should show"),
        (lambda: Query("a", weights={"txt": 1}), "text, image, sketch"),
        (lambda: Query("a", weights={"text": 0}), "positive"),
        (lambda: Filters(moves=("panning",)), "pan, tilt, zoom, static"),
        (lambda: Filters(sizes=("XL",)), "ELS, LS, MS, CU, ECU, unknown"),
        (lambda: Filters(min_length=-1), "0 or more"),
        (lambda: Filters(min_length=5, max_length=2), "at least 5 s and at most 2 s"),
        (lambda: Filters(after=date(2024, 1, 1), before=date(2023, 1, 1)), "after 2024"),
    ],
)
def test_questions_that_make_no_sense(make, says: str) -> None:
    with pytest.raises(FootageError, match=says):
        make()


def test_what_is_not_there_is_said(library: Library, tmp_path: Path) -> None:
    for query, says in (
        (Query(like=("nothing",)), "no shot 'nothing'"),
        (Query(images=(tmp_path / "none.png",)), "no picture"),
        (Query(sketches=(library.root / "white.txt",)), "cannot be read as a picture"),
    ):
        with pytest.raises(FootageError, match=says):
            library.search(query)
    with pytest.raises(FootageError, match="choose from 'a', 'b'"):
        library.search("red", filters=Filters(folders=("c",)))
    with pytest.raises(FootageError, match="choose from 'CC0', 'unknown'"):
        library.search("red", filters=Filters(licences=("CC BY",)))


def test_filters(library: Library) -> None:
    everything = found(library)
    assert len(everything) == 5
    assert found(library, folders=("a",)) == ["a/green.mp4", "a/red.mp4"]
    assert found(library, folders=("a", "./b/")) == ["a/green.mp4", "a/red.mp4", "b/blue.mp4"]
    assert found(library, licences=("cc0",)) == ["white.mp4"]
    assert found(library, licences=("unknown",)) == [name for name in everything if name != "white.mp4"]
    assert found(library, max_length=1.2) == ["tone.mp4"]
    assert found(library, min_length=1.2) == [name for name in everything if name != "tone.mp4"]
    assert found(library, moves=("static",)) == everything
    assert found(library, moves=("PAN",)) == []
    assert found(library, sizes=("unknown", "MS")) == everything
    assert found(library, after=date(2024, 1, 1)) == ["tone.mp4", "white.mp4"]
    assert found(library, after=datetime(2021, 1, 1), before=date(2022, 1, 1)) == ["a/red.mp4"]
    assert not Filters()
    assert Filters(moves=("pan",))
    assert set(CAMERA_MOVES) < set(MOVES)
    assert Matcher(library).candidates(["red"], ["en"], 5, Filters(folders=("b",)))[0][0].match >= 0


def test_filters_and_mixes_hold_in_a_large_library_too(library: Library) -> None:
    large = Matcher(library, exact=1)
    for query in ("a blue thing", Query("green", without=("red",)), "snow"):
        for filters in (None, Filters(folders=("a", "b")), Filters(licences=("CC0",))):
            exact = library.search(query, k=3, filters=filters)
            again = large.search(query, k=3, filters=filters)
            assert [hit.id for hit in again] == [hit.id for hit in exact]
            assert [hit.match for hit in again] == pytest.approx([hit.match for hit in exact], abs=1e-5)


@pytest.mark.parametrize("how", ["deleted", "cut short", "flipped", "of another library"])
def test_derived_files_heal(library: Library, tmp_path: Path, how: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(library.root, copy)
    other = build_other(tmp_path / "other") if how == "of another library" else None
    right = [
        (hit.id, round(hit.match, 5)) for hit in Matcher(Library.open(copy), exact=1).search("a blue snow")
    ]
    files = [*(copy / ".montage").glob("*.derived"), *(copy / ".montage").glob("*.faiss")]
    assert len(files) >= 5
    for path in files:
        clean = path.read_bytes()
        for place in (len(clean) // 3, len(clean) - 30):
            if how == "deleted":
                path.unlink(missing_ok=True)
            elif how == "cut short":
                path.write_bytes(clean[:place])
            elif how == "flipped":
                path.write_bytes(clean[:place] + bytes([clean[place] ^ 0x55]) + clean[place + 1 :])
            elif other is not None:
                kind = path.name.split("-")[0].split(".")[0]
                for stranger in other.glob(f"{kind}*"):
                    shutil.copy(stranger, path)
            again = Matcher(Library.open(copy), exact=1).search("a blue snow")
            assert [(hit.id, round(hit.match, 5)) for hit in again] == right
    assert not list((copy / ".montage").glob("*.part"))


def build_other(folder: Path) -> Path:
    folder.mkdir()
    for name in ("one", "two"):
        colour_clip(folder / f"{name}.mp4", "yellow" if name == "one" else "cyan", 1)
    Matcher(build_index(folder, encoder=ENCODER, workers=1), exact=1).search("a blue snow")
    return folder / ".montage"


def test_an_index_that_changes_is_searched_as_it_is_now(library: Library, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(library.root, copy, copy_function=shutil.copy2)
    before = Library.open(copy)
    assert first(before, "a yellow thing")
    colour_clip(copy / "yellow-thing.mp4", "yellow", 1)
    (copy / "tone.mp4").unlink()
    after = build_index(copy, encoder=ENCODER, workers=1)
    assert first(after, "a yellow thing") == "yellow-thing.mp4"
    names = {after.media[hit.shot.media].paths[0] for hit in after.search("anything", k=20)}
    assert "tone.mp4" not in names
    assert len(list((copy / ".montage").glob("vectors-*.derived"))) == 1


FIRST_VERSION = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE media (id TEXT PRIMARY KEY, encoder TEXT NOT NULL, facts TEXT NOT NULL,
 note TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE paths (path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
 inode INTEGER NOT NULL, media TEXT, reason TEXT NOT NULL DEFAULT '', words TEXT NOT NULL DEFAULT '',
 credit TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE INDEX paths_of_media ON paths (media);
CREATE TABLE shots (id TEXT PRIMARY KEY, media TEXT NOT NULL REFERENCES media (id) ON DELETE CASCADE,
 position INTEGER NOT NULL, span TEXT NOT NULL, windows TEXT NOT NULL, look TEXT NOT NULL,
 cluster TEXT NOT NULL DEFAULT '', features BLOB NOT NULL, thumbnail BLOB NOT NULL);
CREATE INDEX shots_of_media ON shots (media, position);
"""


def first_version(library: Library, folder: Path) -> Path:
    """The library as the first version of its file would have held it."""
    place = folder / ".montage"
    shutil.copytree(
        library.root, folder, copy_function=shutil.copy2, ignore=shutil.ignore_patterns(".montage")
    )
    place.mkdir()
    old = sqlite3.connect(place / "library.sqlite")
    old.executescript(FIRST_VERSION)
    old.execute("ATTACH ? AS now", (str(library.store_dir / "library.sqlite"),))
    old.execute("INSERT INTO meta SELECT * FROM now.meta WHERE key NOT LIKE 'mark of %'")
    for id_, encoder, facts, note in old.execute("SELECT id, encoder, facts, note FROM now.media").fetchall():
        known = json.loads(facts)
        known.pop("recorded", None)
        old.execute("INSERT INTO media VALUES (?, ?, ?, ?)", (id_, encoder, json.dumps(known), note))
    names = "path, size, mtime, inode, media, reason, words, credit"
    old.execute(f"INSERT INTO paths ({names}) SELECT {names} FROM now.paths")
    names = "id, media, position, span, windows, look, cluster, features, thumbnail"
    old.execute(f"INSERT INTO shots ({names}) SELECT {names} FROM now.shots")
    old.execute("PRAGMA user_version = 1")
    old.commit()
    old.close()
    return folder


def test_an_older_library_is_brought_up_to_date(library: Library, tmp_path: Path) -> None:
    folder = first_version(library, tmp_path / "old")
    opened = Library.open(folder)
    assert first(opened, "a green thing") == "a/green.mp4"
    assert list(opened.media) == list(library.media)
    with sqlite3.connect(folder / ".montage" / "library.sqlite") as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] > 1
    kinds: list[str] = []
    again = build_index(folder, encoder=ENCODER, workers=1, progress=lambda event: kinds.append(event.kind))
    assert kinds == ["found"] + ["reused"] * 6
    assert found(again, licences=("CC0",)) == ["white.mp4"]


def test_a_library_of_a_newer_version_is_refused(library: Library, tmp_path: Path) -> None:
    folder = first_version(library, tmp_path / "new")
    with sqlite3.connect(folder / ".montage" / "library.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(FootageError, match="newer montage"):
        Library.open(folder)


def test_dates_come_from_the_camera_where_it_tells(tmp_path: Path) -> None:
    look = Look(
        **{"brightness": 0.5, "contrast": 0.2, "saturation": 0.1, "lab": (50.0, 0.0, 0.0), "sharpness": 0.4},
        **{"shake": 0.1, "motion": 0.05, "move": "pan-left", "size": "MS"},
    )
    (tmp_path / ".montage").mkdir()
    store = Store(tmp_path / ".montage" / "library.sqlite", write=True)
    with store.transaction():
        store.set_meta({"encoder": ENCODER, "encoder_name": "colour", "feature_size": "5", "root": "x"})
        for number, recorded in enumerate(("2015-03-01T10:00:00Z", "", "1904-01-01T00:00:00Z", "nonsense")):
            media = f"{number:032x}"
            span = Span(Fraction(0), Fraction(2))
            shot = Shot(id=f"{number}-0", media=media, span=span, windows=(span,), look=look)
            facts = Media(id=media, paths=("x",), duration=Fraction(2), width=16, height=9, recorded=recorded)
            features = np.eye(5, dtype=np.float32)[[number]]
            store.put_measurement(Measurement(facts, (shot,), features, (b"",)), encoder_hash())
            stamp = int(datetime(2022, 1, 1).timestamp() * 1e9)
            store.put_path(PathRow(f"{number}.mp4", 1, stamp, 1, media))
        store.set_meta({"encoder_hash": encoder_hash()})
    store.close()
    library = Library.open(tmp_path)
    assert found(library, before=date(2016, 1, 1)) == ["0.mp4"]
    assert found(library, after=date(2016, 1, 1)) == ["1.mp4", "2.mp4", "3.mp4"]
    assert found(library, moves=("pan",), sizes=("ms",)) == ["0.mp4", "1.mp4", "2.mp4", "3.mp4"]


def encoder_hash() -> str:
    from colour_encoder import ColourEncoder

    return ColourEncoder().hash


def test_the_command_line_asks_for_all_of_it(
    library: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--library", str(library.root), "--json"]
    sketch = picture(tmp_path / "blue.png", (0, 0, 255))
    assert main(["search", "--image", str(sketch), "-k", "1", *place]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)[0]["file"] == "b/blue.mp4"
    assert "taken for a colour sketch" in said.err
    red = library.search("red", k=1)[0].id
    mix = ["search", "a green thing", "--like", red, "--weight", "like=0.01", "--without", "blue"]
    assert main([*mix, "--folder", "a", "--min-length", "1", "--move", "static", *place]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in rows] == ["a/green.mp4"]
    assert {"embedding", "like", "without"} <= set(rows[0]["parts"])
    assert main(["search", "red", "--after", "2100-01-01", *place]) == 0
    said = capsys.readouterr()
    assert (json.loads(said.out), "no shot passes the filters" in said.err) == ([], True)
    for wrong, says in (
        (["search"], "say what the shot should show"),
        (["search", "red", "--size", "huge"], "ELS, LS"),
        (["search", "red", "--weight", "like"], "like=0.5"),
        (["search", "red", "--licence", "GPL"], "'CC0', 'unknown'"),
    ):
        assert main([*wrong, *place]) == 2
        assert says in capsys.readouterr().err
