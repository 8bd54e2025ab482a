"""Small clips made on the spot for the tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

from index.base import ffmpeg_path

ENCODER = "python:colour_encoder:ColourEncoder"


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg and fail loudly."""
    command = [ffmpeg_path(), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def colour_clip(path: Path, colour: str = "red", seconds: float = 1, *, tone: bool = False) -> Path:
    """A clip of one colour, 64 x 48 at 10 frames a second, with a moving box so that it is no still."""
    source = f"color={colour}:s=64x48:r=10:d={seconds}"
    sound = ["-f", "lavfi", "-i", f"sine=440:d={seconds}"] if tone else []
    ffmpeg("-f", "lavfi", "-i", source, *sound, "-threads", "1", "-f", "mp4", path.absolute())
    return path


def colour_folder(folder: Path) -> Path:
    """Six clips in three folders, two of them the same file twice, with a sidecar."""
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    for name, colour in (("a/red", "red"), ("a/green", "green"), ("b/blue", "blue"), ("white", "white")):
        colour_clip(folder / f"{name}.mp4", colour, 1.5)
    (folder / "b/again.mp4").write_bytes((folder / "a/red.mp4").read_bytes())
    colour_clip(folder / "tone.mp4", "black", 1, tone=True)
    (folder / "white.txt").write_text("snow on a mountain", encoding="utf-8")
    (folder / "white.credit.txt").write_text("Ann Example\nLicence: CC0", encoding="utf-8")
    return folder
