"""Running ffmpeg: local files only, stoppable, and with an error message that helps."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import IO

from index.base import ffmpeg_path
from montage.values import FilmError

__all__ = ["NO_STREAM", "Cancel", "as_input", "run_ffmpeg"]

Cancel = Callable[[], bool]
"""Asked several times a second; true stops the work."""
NO_STREAM = "matches no streams"
"""What ffmpeg says of a file without the track that was asked for."""
POLL_SECONDS = 0.1
"""How often a running ffmpeg is looked at."""


def as_input(path: Path) -> str:
    """A path as ffmpeg's ``-i`` takes it: no name, however odd, is read as an option or an address."""
    return f"file:{path}"


def run_ffmpeg(
    arguments: Sequence[str],
    *,
    what: str,
    data: Iterable[bytes] | None = None,
    cancel: Cancel | None = None,
    level: str = "error",
    into: IO[bytes] | None = None,
    shielded: bool = False,
) -> tuple[bytes, str]:
    """Run ffmpeg and wait; returns what it wrote to standard output and to standard error.

    Args:
        arguments: Everything after the global options.
        what: What is being done, for the message of an error ("render frames 0 to 50 from a.mp4").
        data: Standard input, written piece by piece as ffmpeg takes it; None for none.
        cancel: Asked while it runs.
        level: ffmpeg's log level.
        into: An open file that takes standard output in place of what is returned.
        shielded: Whether Ctrl-C leaves it alone, where the caller heeds it.

    Raises:
        FilmError: if ffmpeg fails or the work is cancelled. What goes wrong while ``data`` is made is raised
            as it is.
    """
    command = [
        ffmpeg_path(),
        "-hide_banner",
        "-nostdin" if data is None else "-y",
        "-y",
        "-v",
        level,
        *_local(arguments),
    ]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if data is None else subprocess.PIPE,
        stdout=subprocess.PIPE if into is None else into,
        stderr=subprocess.PIPE,
        process_group=0 if shielded else None,
    ) as process:
        feeder: Thread | None = None
        broken: list[BaseException] = []
        if data is not None and process.stdin is not None:
            feeder = Thread(target=_feed, args=(process.stdin, data, broken), daemon=True)
            process.stdin = None  # else communicate() would close it
            feeder.start()
        try:
            while True:
                try:
                    out, err = process.communicate(timeout=None if cancel is None else POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    if cancel is not None and cancel():
                        raise FilmError(f"cancelled while trying to {what}") from None
        finally:
            if process.poll() is None:
                process.kill()
            if feeder is not None:
                feeder.join()
    if broken:
        raise broken[0]
    text = err.decode("utf-8", "replace").strip()
    if process.returncode != 0:
        last = "\n  ".join(text.splitlines()[-6:]) or f"exit code {process.returncode}"
        raise FilmError(f"ffmpeg could not {what}:\n  {last}")
    return out or b"", text


def _local(arguments: Sequence[str]) -> list[str]:
    """The arguments with every input kept to local files: ffmpeg's option holds for the next input only."""
    kept = []
    for argument in arguments:
        if argument == "-i":
            kept += ["-protocol_whitelist", "file,pipe,fd"]
        kept.append(argument)
    return kept


def _feed(pipe: IO[bytes], data: Iterable[bytes], broken: list[BaseException]) -> None:
    """Write all of the data; an ffmpeg that ends early says why itself."""
    with suppress(BrokenPipeError), pipe:
        try:
            for piece in data:
                pipe.write(piece)
        except BrokenPipeError:
            raise
        except BaseException as error:  # without it, ffmpeg would finish a file that lacks the rest
            broken.append(error)
