"""What a command shows on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

CODE = """
from montage.cli.output import Output
with Output(False, False, False).progress("indexing", "files") as advance:
    advance(1, 3, "one.mp4")
    advance(3, 3, "three.mp4")
print("done")
"""


def test_a_bar_before_it_is_known_how_much_there_is_to_do() -> None:
    ours, theirs = pty.openpty()
    try:
        ended = subprocess.run(
            [sys.executable, "-c", CODE], check=False, stderr=theirs, stdout=subprocess.PIPE, text=True,
            timeout=60,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        )  # fmt: skip
        os.close(theirs)
        said = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            said += part
    finally:
        os.close(ours)
    assert (ended.returncode, ended.stdout) == (0, "done\n"), said
    assert b"indexing" in said
    assert b"Traceback" not in said
