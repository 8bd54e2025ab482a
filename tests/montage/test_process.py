"""ffmpeg is run on local files only, however many inputs it is given."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from montage.process import as_input, run_ffmpeg
from montage.values import FilmError


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
