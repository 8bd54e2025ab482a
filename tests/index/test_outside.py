"""A file in the folder makes nobody read another file or call an address, whatever it says in it."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from making import colour_clip, ffmpeg

from index.base import FootageError
from index.decode import Decoding
from index.measure import measure_file
from index.probe import read_media

IN_OPEN = 0x20
LISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{there}\n#EXT-X-ENDLIST\n",
    "hls-key": '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{there}"\n#EXTINF:1,\n{there}\n#EXT-X-ENDLIST\n',
    "hls-marked": "\ufeff#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{there}\n",
    "concat": "ffconcat version 1.0\nfile '{there}'\n",
    "bare-concat": "file '{there}'\nduration 1\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet>'
    '<Representation id="1" bandwidth="1"><BaseURL>{there}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\na=control:{there}\n",
    "asx": "[Reference]\nRef1={there}\n",
    "address": "{there}\n",
}


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_clip(tmp_path_factory.mktemp("outside") / "secret.mp4", "red")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A web server that must not be called."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@contextmanager
def opened(path: Path) -> Iterator[list[bool]]:
    """Whether anybody opened ``path`` meanwhile, as the kernel saw it."""
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "inotify_init1"):
        pytest.skip("needs Linux to tell whether a file was opened")
    watch = library.inotify_init1(os.O_NONBLOCK)
    assert watch >= 0
    assert library.inotify_add_watch(watch, os.fsencode(path), IN_OPEN) >= 0
    seen: list[bool] = []
    try:
        yield seen
        try:
            seen.append(bool(os.read(watch, 4096)))
        except BlockingIOError:
            seen.append(False)
    finally:
        os.close(watch)


def called(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def test_the_kernel_would_tell(tmp_path: Path, outside: Path) -> None:
    script = tmp_path / "list.mp4"
    script.write_text(LISTS["concat"].format(there=outside), encoding="utf-8")
    with opened(outside) as seen:
        ffmpeg("-f", "concat", "-safe", "0", "-i", script, "-f", "null", "-")
    assert seen == [True]


@pytest.mark.parametrize("suffix", ["mp4", "avi", "ts"])
@pytest.mark.parametrize("kind", LISTS)
def test_a_list_is_refused_and_nothing_of_it_opened(
    kind: str, suffix: str, tmp_path: Path, outside: Path, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    for there in (f"http://127.0.0.1:{port}/a.ts", str(outside), f"file:{outside}", "../secret.mp4"):
        (tmp_path / "secret.mp4").unlink(missing_ok=True)
        os.link(outside, tmp_path / "secret.mp4")
        (tmp_path / "in").mkdir(exist_ok=True)
        path = tmp_path / "in" / f"list.{suffix}"
        path.write_text(LISTS[kind].format(there=there, port=port), encoding="utf-8")
        with opened(outside) as seen, pytest.raises(FootageError, match="not a video"):
            measure_file(path, None)
        assert seen == [False]
        assert not called(listener)


@pytest.mark.parametrize("kind", ["hls", "concat", "dash"])
def test_the_reason_says_what_to_do(kind: str, tmp_path: Path, outside: Path) -> None:
    path = tmp_path / "list.mkv"
    path.write_text(LISTS[kind].format(there=outside, port=1), encoding="utf-8")
    with pytest.raises(FootageError, match=r"text that names others.*put those videos themselves into"):
        read_media(path, root=None)


def boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, size) of the boxes of an MP4, one level."""
    place = 0
    while place + 8 <= len(data):
        size, name = struct.unpack(">I4s", data[place : place + 8])
        if size < 8:
            return
        yield name, place, size
        place += size


def replace_box(data: bytes, names: list[bytes], new: bytes) -> bytes:
    """An MP4 with the contents of one box replaced; what lies around it grows with it."""
    for name, start, size in boxes(data):
        if name == names[0]:
            inner = data[start + 8 : start + size]
            inner = new if len(names) == 1 else replace_box(inner, names[1:], new)
            box = struct.pack(">I4s", len(inner) + 8, name) + inner
            return data[:start] + box + data[start + size :]
    raise AssertionError(f"no box {names[0]!r}")


def alias(target: Path) -> bytes:
    """A data reference of QuickTime to another file, as old editing programs wrote them."""
    name = os.fsencode(target)
    record = bytes(10) + b"\x04disk".ljust(28, b"\0") + bytes(12)
    record += bytes([len(target.name)]) + os.fsencode(target.name).ljust(63, b"\0")
    record += bytes(16) + struct.pack(">hh", 0, 0) + bytes(16)
    record += struct.pack(">hH", 2, len(name)) + name + bytes(len(name) % 2) + struct.pack(">hH", -1, 0)
    entry = b"alis" + bytes(4) + record
    return bytes(4) + struct.pack(">I", 1) + struct.pack(">I", len(entry) + 4) + entry


def test_a_movie_that_refers_to_another_file_does_not_open_it(tmp_path: Path, outside: Path) -> None:
    way = [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"]
    whole = colour_clip(tmp_path / "whole.mov").read_bytes()
    path = tmp_path / "refers.mov"
    path.write_bytes(replace_box(whole, way, alias(outside)))
    with opened(outside) as seen:  # the box is well made: a program that follows such references does
        ffmpeg("-enable_drefs", "1", "-use_absolute_path", "1", "-i", path, "-f", "null", "-")
    assert seen == [True]
    with opened(outside) as seen, pytest.raises(FootageError, match=r"refers\.mov"):
        measure_file(path, None)
    assert seen == [False]


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")  # to open it would wait for ever
    os.symlink("/dev/zero", tmp_path / "zeros.mp4")
    (tmp_path / "folder.mp4").mkdir()
    for name in ("pipe.mp4", "zeros.mp4", "folder.mp4"):
        with pytest.raises(FootageError, match="no file but a folder, pipe, socket or device"):
            read_media(tmp_path / name, root=None)


def test_a_picture_beyond_every_camera(tmp_path: Path) -> None:
    path = tmp_path / "large.avi"
    ffmpeg("-f", "lavfi", "-i", "color=red:s=64x48:r=10:d=0.3", "-c:v", "mjpeg", path)
    data = bytearray(path.read_bytes())
    place = data.index(b"strf") + 12
    data[place : place + 8] = struct.pack("<ii", 13000, 13000)
    for place in (at + 5 for at in range(len(data)) if data[at : at + 2] == b"\xff\xc0"):
        data[place : place + 4] = struct.pack(">HH", 13000, 13000)
    path.write_bytes(bytes(data))
    with pytest.raises(FootageError, match="13000x13000 pixels, more than the 150 million"):
        read_media(path, root=None)


def test_a_picture_that_grows_in_the_middle_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "grows.avi"
    ffmpeg("-f", "lavfi", "-i", "color=red:s=64x48:r=10:d=1", "-c:v", "mjpeg", path)
    data = bytearray(path.read_bytes())
    place = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xc0"][5] + 5
    data[place : place + 4] = struct.pack(">HH", 65500, 65500)
    path.write_bytes(bytes(data))
    found = measure_file(path, None)
    assert (found.media.width, found.media.height) == (64, 48)
    assert found.note == "1 damaged places in the picture were skipped"


def test_a_very_narrow_strip_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "strip.mkv"
    ffmpeg("-f", "lavfi", "-i", "color=red:s=8000x2:r=10:d=0.3", "-c:v", "ffv1", path)
    (frame, *_) = Decoding(path)
    assert frame.image.shape == (2, 320, 3)
    assert max(frame.picture(224).shape) <= 8 * 224
