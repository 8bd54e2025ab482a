"""The options that several commands share, and how their values are written."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

__all__ = ["FILE", "FOLDER", "render_options", "script_options", "search_options"]

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Size(click.ParamType[tuple[int, int]]):
    """``1920x1080``."""

    name = "WIDTHxHEIGHT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """(width, height), both even: H.264 with 4:2:0 colour has no odd sizes."""
        if isinstance(value, tuple):
            return value
        width, _, height = str(value).partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            self.fail(f"{value!r} is no size: write it as 1920x1080", param, ctx)
        size = int(width), int(height)
        if min(size) < 16 or max(size) > 8192 or any(side % 2 for side in size):
            self.fail(f"{value!r}: both sides must be even and lie between 16 and 8192", param, ctx)
        return size


class Rate(click.ParamType[Fraction]):
    """``25``, ``23.976`` or ``30000/1001``."""

    name = "FPS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """An exact ``Fraction``; the NTSC rates are snapped to n*1000/1001."""
        from montage.values import frame_rate

        try:
            return frame_rate(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Length(click.ParamType[str]):
    """``60s``, ``1:00``, ``55-65s``, or ``none``."""

    name = "LENGTH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it was written, or ``none``."""
        from montage.clock import film_length

        text = str(value).strip()
        if text.casefold() == "none":
            return "none"
        try:
            film_length(text)
        except ValueError as error:
            self.fail(f"{error}, or none", param, ctx)
        return text


class Source(click.ParamType[str | Path]):
    """A file or folder that is there, or ``none``."""

    name = "PATH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | Path:
        """A path, or ``none`` as it was written."""
        if str(value).casefold() == "none":
            return "none"
        path = Path(value)
        if not path.exists():
            self.fail(f"there is no {value}", param, ctx)
        return path


class Formats(click.ParamType[list[str]]):
    """``srt,vtt,ass``, or ``none``."""

    name = "FORMATS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """The formats in the order given."""
        names = [name.strip().lower() for name in str(value).split(",") if name.strip()]
        if names == ["none"]:
            return []
        for name in names:
            if name not in ("srt", "vtt", "ass"):
                self.fail(f"{name!r} is no caption format: use some of srt,vtt,ass, or none", param, ctx)
        return list(dict.fromkeys(names))


def script_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What every command that plans a script takes."""
    for option in (
        click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same cut."),
        click.option(
            "--time-limit",
            type=click.FloatRange(min=0, min_open=True),
            default=5.0,
            show_default=True,
            help="Seconds that the optimiser may take; it says how far from the best the cut can be. Ctrl-C "
            "ends the search earlier.",
        ),
        click.option("--fps", type=Rate(), help="Frames a second of the film. [default: 25]"),
        click.option(
            "--length",
            type=Length(),
            help="How long the film lasts, titles included: 60s, 1:00 or 55-65s; remembered until none.",
        ),
        click.option(
            "--preset",
            metavar="NAME|FILE.toml",
            help="documentary, calm, trailer, social or your own file. [default: documentary]",
        ),
        click.option(
            "--music",
            type=Source(),
            help="Music under the film; cuts like to fall on its beats. Remembered until none.",
        ),
        click.option(
            "--voice",
            help="Have the script spoken: auto, espeak-ng, espeak-ng:en-gb, piper:VOICE.onnx or "
            "kokoro:MODEL.onnx. Remembered until none.",
        ),
        click.option(
            "--narration",
            type=Source(),
            help="A recording of the script, or a folder with one for each sentence; the pictures follow it. "
            "Remembered until none.",
        ),
        click.option("--store", type=click.Path(path_type=Path), help="Where the index lies, if elsewhere."),
        click.option(
            "--library", type=click.Path(path_type=Path), help="Footage folder. [default: the one near by]"
        ),
        click.argument("script", type=FILE),
    ):
        command = option(command)
    return command


class Weight(click.ParamType[tuple[str, float]]):
    """``like=0.5``."""

    name = "PART=NUMBER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """(part, weight); whether there is such a part is told by the query."""
        part, equals, number = str(value).partition("=")
        try:
            return part, float(number if equals else "")
        except ValueError:
            self.fail(f"{value!r} is no weight: write it as like=0.5", param, ctx)


def search_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What ``search`` asks for."""
    day = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"])
    seconds = click.FloatRange(min=0)
    for option in (
        click.option("--licence", multiple=True, help="Such as CC0 or CC BY; unknown where there is none."),
        click.option("--folder", multiple=True, help="A folder within the footage folder."),
        click.option("--before", type=day, help="Recorded before this day, in UTC."),
        click.option("--after", type=day, help="Recorded on this day or later, in UTC."),
        click.option("--move", multiple=True, help="static, pan, pan-left, tilt, zoom-in, handheld ..."),
        click.option("--size", multiple=True, help="ELS, LS, MS, CU, ECU or unknown."),
        click.option("--max-length", type=seconds, help="Seconds that a shot lasts at most."),
        click.option("--min-length", type=seconds, help="Seconds that a shot lasts at least."),
        click.option(
            "--weight",
            multiple=True,
            type=Weight(),
            help="How much a part counts: text, image, sketch, like, without or unlike. [default: 1]",
        ),
        click.option("--unlike", multiple=True, metavar="SHOT", help="Less like this shot."),
        click.option("--without", multiple=True, metavar="TEXT", help="What the shot should not show."),
        click.option("--like", multiple=True, metavar="SHOT", help="More like this shot, by its id."),
        click.option(
            "--sketch", multiple=True, type=FILE, help="A drawing: its colours, where they lie in the frame."
        ),
        click.option(
            "--image",
            multiple=True,
            type=FILE,
            help="A photograph: what it shows; one of a few flat colours is a sketch.",
        ),
    ):
        command = option(command)
    return command


size_option = click.option("--size", type=Size(), help="Size of the film. [default: 1920x1080]")


def render_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What ``render`` and ``watch`` take besides the options of the script."""
    for option in reversed(
        (
            click.option(
                "-o",
                "--output",
                "film",
                type=click.Path(dir_okay=False, path_type=Path),
                help="[default: SCRIPT.mp4]",
            ),
            size_option,
            click.option(
                "--fit",
                type=click.Choice(["crop", "pad"]),
                help="Fill the frame, or show all of the picture. [default: crop]",
            ),
            click.option(
                "--quality",
                type=click.Choice(["final", "draft"]),
                default="final",
                show_default=True,
                help="draft is small, and joined from proxies without encoding.",
            ),
            click.option(
                "--codec",
                type=click.Choice(["h264", "h265", "av1", "vp9", "prores", "dnxhr", "none"]),
                help="Of the picture; remembered until none. [default: by the film's name: .mp4 H.264, "
                ".mov ProRes, .webm VP9]",
            ),
            click.option(
                "--encoder-video",
                default="cpu",
                show_default=True,
                metavar="cpu|auto|NAME",
                help="auto takes graphics hardware where it works; or ffmpeg's name of an encoder.",
            ),
            click.option(
                "--reframe/--no-reframe",
                default=None,
                help="Where a picture is cropped, keep faces and what stands out. [default: yes]",
            ),
            click.option(
                "--slow",
                type=click.Choice(["repeat", "blend", "flow"]),
                help="Between the pictures of slowed footage: the one before, a blend, or what motion gives "
                "(takes long). [default: blend]",
            ),
            click.option(
                "--transitions/--no-transitions",
                default=None,
                help="Dissolve or dip to black where paragraphs end, fade around titles. [default: no]",
            ),
            click.option(
                "--match-colour/--no-match-colour",
                default=None,
                help="Draw exposure and colour of neighbours together, gently. [default: no]",
            ),
            click.option(
                "--captions",
                type=Formats(),
                help="Caption files beside the film: some of srt,vtt,ass, or none. [default: srt]",
            ),
            click.option(
                "--burn-captions/--no-burn-captions",
                default=None,
                help="Draw the captions into the picture. [default: no]",
            ),
            click.option(
                "--loudness",
                type=click.FloatRange(-40, -5),
                help="Of the whole film, LUFS: -14 for platforms, -23 for broadcast. [default: -14]",
            ),
            *(
                click.option(
                    f"--{name}-level",
                    type=click.FloatRange(-60, 30),
                    help=f"dB by which {what} is louder or softer than usual. [default: 0]",
                )
                for name, what in (
                    ("narration", "the narration"),
                    ("source", "the sound of the footage"),
                    ("music", "the music"),
                )
            ),
            click.option(
                "--split-edits/--no-split-edits",
                default=None,
                help="Cut sound up to half a second before or after its picture. [default: no]",
            ),
            click.option(
                "--fallback",
                type=click.Choice(["auto", "near-miss", "still", "card", "none"]),
                default="auto",
                show_default=True,
                help="The first step to try for a gap when no model makes its shot; later steps follow.",
            ),
            click.option(
                "--no-fallback", is_flag=True, help="Fail at a gap instead; the same as --fallback none."
            ),
        )
    ):
        command = option(command)
    return command
