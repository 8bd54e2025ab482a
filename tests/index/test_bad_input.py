"""Every bad file is reported by name with a reason, the rest is indexed, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from making import ENCODER, colour_clip, ffmpeg

from index.base import FootageError
from index.builder import build_index
from index.library import Library
from index.scan import scan_folder
from index.values import Problem

ODD_NAMES = (
    "new\nline.mp4",
    'it\'s "quoted".mp4',
    "-i -leading.mp4",
    "海辺の犬.mp4",
    "пляж.mp4",
    "100%d #1?.mp4",
    "http:name.mp4",
    " space .MP4",
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_clip(tmp_path_factory.mktemp("clip") / "green.mp4", "green")


def build(folder: Path) -> Library:
    return build_index(folder, encoder=ENCODER, workers=1)


def reasons(library: Library) -> dict[str, str]:
    return {problem.path: problem.reason for problem in library.problems}


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(FootageError, match=r"no video file in it \(looked for .*\.mkv.*\.mp4"):
        build(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_or_a_file_is_no_folder(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(FootageError, match="there is no folder"):
        build(tmp_path / "missing")
    with pytest.raises(FootageError, match="is a file"):
        build(clip)


def test_a_folder_with_nothing_usable_names_every_reason(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a video", encoding="utf-8")
    (tmp_path / "zero.mkv").write_bytes(b"")
    with pytest.raises(FootageError) as caught:
        build(tmp_path)
    assert "none of its 2 video files can be used" in str(caught.value)
    assert "text.mp4: not a video" in str(caught.value)
    assert "zero.mkv: it is empty (zero bytes)" in str(caught.value)


def test_bad_files_are_reported_and_the_rest_is_indexed(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "good.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "text.mp4").write_text("not a video\n" * 50, encoding="utf-8")
    (tmp_path / "zero.mp4").write_bytes(b"")
    (tmp_path / "noise.mkv").write_bytes(bytes(range(256)) * 64)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\ngood.mp4\n", encoding="utf-8")
    (tmp_path / "concat.mp4").write_text("ffconcat version 1.0\nfile good.mp4\n", encoding="utf-8")
    (tmp_path / "headless.mp4").write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", tmp_path / "sound.mp4")
    (tmp_path / "notes.txt").write_text("left alone", encoding="utf-8")
    (tmp_path / "picture.jpg").write_bytes(b"left alone")
    (tmp_path / ".hidden.mp4").write_text("left alone", encoding="utf-8")
    (tmp_path / ".trash").mkdir()
    (tmp_path / ".trash" / "old.mp4").write_text("left alone", encoding="utf-8")
    library = build(tmp_path)
    assert [media.paths for media in library.media.values()] == [("good.mp4",)]
    found = reasons(library)
    assert set(found) == {
        *("text.mp4", "zero.mp4", "noise.mkv", "list.mp4", "concat.mp4", "headless.mp4", "sound.mp4")
    }
    assert "empty" in found["zero.mp4"]
    assert "sound alone" in found["sound.mp4"]
    for name in ("text.mp4", "noise.mkv", "list.mp4", "concat.mp4", "headless.mp4"):
        assert "not a video" in found[name]
    assert all(str(tmp_path) not in reason for reason in found.values())
    # Told again, without opening the files, by the next build.
    assert reasons(build(tmp_path)) == found


def test_a_truncated_file_is_indexed_as_far_as_it_goes(tmp_path: Path, footage: Path) -> None:
    whole = (footage / "films" / "chaplin-1910s.mp4").read_bytes()
    ffmpeg(
        "-i", footage / "films/chaplin-1910s.mp4", "-c", "copy", "-movflags", "faststart", tmp_path / "x.mp4"
    )
    cut = (tmp_path / "x.mp4").read_bytes()
    assert len(cut) > len(whole) // 2
    (tmp_path / "x.mp4").write_bytes(cut[: len(cut) // 2])
    library = build(tmp_path)
    (media,) = library.media.values()
    assert 3 < media.duration < 7
    (problem,) = library.problems
    assert problem.path == "x.mp4"
    assert not problem.skipped
    assert "of 9.64 s" in problem.reason
    assert sum(shot.span.seconds for shot in library.shots.values()) == media.duration


def test_damaged_packets_are_skipped_and_counted(tmp_path: Path, footage: Path) -> None:
    source = footage / "clips" / "dog.mp4"
    data = bytearray(source.read_bytes())
    for place in range(200_000, len(data) - 200_000, 150_000):
        data[place : place + 300] = b"\xaa" * 300
    (tmp_path / "scratched.mp4").write_bytes(bytes(data))
    library = build(tmp_path)
    (problem,) = library.problems
    assert not problem.skipped
    assert "damaged" in problem.reason


def test_names_of_every_kind(tmp_path: Path, clip: Path) -> None:
    data = clip.read_bytes()
    names = [os.fsencode(name) for name in ODD_NAMES] + [b"bytes\xff\xfe.mp4"]
    for number, name in enumerate(names):
        # Different contents, or all would be one media with nine names.
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(data + b"\0\0\0\x09free" + bytes([number]))
    library = build(tmp_path)
    assert library.problems == ()
    paths = [media.paths[0] for media in library.media.values()]
    assert sorted(map(os.fsencode, paths)) == sorted(names)
    for media in library.media:
        assert library.path_of(media).is_file()
    again = build(tmp_path)
    assert again.dump() == library.dump()


def test_folders_may_be_nested_deeper_than_the_stack(tmp_path: Path) -> None:
    folders = [tmp_path / "d"]
    while len(folders) < 1100:
        folders.append(folders[-1] / "d")
    for folder in folders:
        folder.mkdir()
    film = folders[-1] / "deep.mp4"
    film.write_bytes(b"x")
    scan = scan_folder(tmp_path)
    film.unlink()
    for folder in folders[::-1]:  # what clears up after tests would not get so deep
        folder.rmdir()
    assert [file.path for file in scan.files] == ["d/" * 1100 + "deep.mp4"]
    assert scan.problems == ()


def test_links_in_a_circle_are_followed_once(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "clip.mp4").write_bytes(clip.read_bytes())
    os.symlink(tmp_path, tmp_path / "inner" / "back", target_is_directory=True)
    os.symlink(tmp_path / "inner", tmp_path / "again", target_is_directory=True)
    os.symlink(tmp_path / "nothing", tmp_path / "broken.mp4")
    library = build(tmp_path)
    assert [media.paths for media in library.media.values()] == [("inner/clip.mp4",)]
    assert library.problems == (Problem("broken.mp4", "it cannot be looked at (No such file or directory)"),)


def test_what_may_not_be_read(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "closed.mp4").write_bytes(clip.read_bytes() + b"\0\0\0\x08free")
    (tmp_path / "shut").mkdir()
    (tmp_path / "shut" / "inside.mp4").write_bytes(clip.read_bytes())
    if os.geteuid() == 0:  # permission bits do not stop root: let the system calls refuse instead
        _refuse(monkeypatch, {str(tmp_path / "closed.mp4"), str(tmp_path / "shut")})
    else:
        (tmp_path / "closed.mp4").chmod(0)
        (tmp_path / "shut").chmod(0)
    try:
        library = build(tmp_path)
        assert reasons(library) == {
            "closed.mp4": "no permission to read it",
            "shut": "the folder cannot be looked at (Permission denied)",
        }
    finally:
        monkeypatch.undo()
        (tmp_path / "closed.mp4").chmod(0o600)
        (tmp_path / "shut").chmod(0o700)
    library = build(tmp_path)
    assert library.problems == ()
    assert [media.paths for media in library.media.values()] == [
        ("closed.mp4",),
        ("good.mp4", "shut/inside.mp4"),
    ]


def test_a_folder_that_is_closed_for_a_while_keeps_its_shots(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shut").mkdir()
    (tmp_path / "shut" / "inside.mp4").write_bytes(clip.read_bytes())
    before = build(tmp_path).shots
    if os.geteuid() == 0:
        _refuse(monkeypatch, {str(tmp_path / "shut")})
    else:
        (tmp_path / "shut").chmod(0)
    try:
        library = build(tmp_path)
    finally:
        monkeypatch.undo()
        (tmp_path / "shut").chmod(0o700)
    assert library.shots == before
    assert reasons(library) == {"shut": "the folder cannot be looked at (Permission denied)"}


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        _refuse(monkeypatch, {str(tmp_path)})
    else:
        tmp_path.chmod(0)
    try:
        with pytest.raises(FootageError, match=r"cannot be looked at \(Permission denied\)"):
            build(tmp_path)
    finally:
        monkeypatch.undo()
        tmp_path.chmod(0o700)


def _refuse(monkeypatch: pytest.MonkeyPatch, paths: set[str]) -> None:
    """Make the two system calls through which a build reads refuse these paths."""
    scandir = os.scandir
    opened: Any = open

    def guarded_scandir(path: str) -> object:
        if os.fspath(path) in paths:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    def guarded_open(path: object, *arguments: object, **options: object) -> object:
        if str(path) in paths:
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "scandir", guarded_scandir)
    monkeypatch.setattr("builtins.open", guarded_open)


def test_every_odd_file_is_indexed_whole(footage: Path, tmp_path: Path) -> None:
    library = build_index(footage / "odd", encoder=ENCODER, workers=2, store=tmp_path / "store")
    assert [media.paths[0] for media in library.media.values()] == [
        *("alpha-vp9.webm", "failing-audio.mp4", "fps-90000-tag.mp4", "no-duration.webm", "smpte-bars.mp4")
    ]
    assert library.problems == ()
    seconds = {media.paths[0]: float(media.duration) for media in library.media.values()}
    assert seconds == pytest.approx(
        {
            "alpha-vp9.webm": 5.0,
            "failing-audio.mp4": 11.2,
            "fps-90000-tag.mp4": 2.38,
            "no-duration.webm": 4.94,
            "smpte-bars.mp4": 10.04,
        },
        abs=0.01,
    )


def test_a_damaged_or_newer_index_is_refused(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "good.mp4").write_bytes(clip.read_bytes())
    build(tmp_path)
    place = tmp_path / ".montage" / "library.sqlite"
    code = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('PRAGMA user_version = 99')"
    subprocess.run(["python3", "-c", code, str(place)], check=True)
    with pytest.raises(FootageError, match="newer montage"):
        Library.open(tmp_path)
    with pytest.raises(FootageError, match="newer montage"):
        build(tmp_path)
    for leftover in place.parent.glob("library.sqlite-*"):
        leftover.unlink()
    place.write_bytes(b"this is no database, only text" * 100)
    with pytest.raises(FootageError, match="cannot be read as a library"):
        Library.open(tmp_path)
