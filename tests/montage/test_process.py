"""ffmpeg is run on local files only, however many inputs it is given."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from montage.marks import read_film_marks
from montage.process import as_input, run_ffmpeg
from montage.values import FilmError, MontageError


@pytest.mark.parametrize("before", [[], ["-f", "lavfi", "-i", "color=red:s=16x16:d=0.1"]])
def test_no_input_calls_an_address(before: list[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        playlist = tmp_path / "list.m3u8"
        playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n")
        for given in (address, as_input(playlist)):
            last = ["-i", given, "-map", f"{int(bool(before))}:0", "-f", "null", "-"]
            with pytest.raises(FilmError, match="could not look"):
                run_ffmpeg([*before, *last], what="look")
        with pytest.raises(BlockingIOError):
            server.accept()


def test_what_breaks_while_data_is_made_is_told() -> None:
    def data() -> Iterator[bytes]:
        yield bytes(4800)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        run_ffmpeg(["-f", "f32le", "-i", "pipe:0", "-f", "null", "-"], what="encode", data=data())


def test_every_file_is_opened_by_what_keeps_to_local_files() -> None:
    """PyAV opens an address as readily as a file, so reading goes through one of two functions."""
    opened = []
    for package in ("montage", "generate", "index"):
        for path in sorted((Path(__file__).parents[2] / package).rglob("*.py")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if "av.open(" in line and '"w"' not in line:
                    opened.append(f"{path.name}:{number}")
    assert [place.partition(":")[0] for place in opened] == ["base.py", "probe.py"], opened


def test_a_playlist_in_the_place_of_a_film_calls_nobody(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        path = tmp_path / "film.mp4"
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n")
        for name in (path, address):
            with pytest.raises(MontageError, match="cannot open"):
                read_film_marks(name)
        with pytest.raises(BlockingIOError):
            server.accept()
