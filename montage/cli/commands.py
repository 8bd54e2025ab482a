"""The commands. Each parses its options, calls the Python API and shows what came back."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from montage import __version__
from montage.cli.output import Output, output_options, printable

__all__ = ["cli"]

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


def _script_options(command: Callable[..., Any]) -> Callable[..., Any]:
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


def _search_options(command: Callable[..., Any]) -> Callable[..., Any]:
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


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="montage")
def cli() -> None:
    """Write a script, get a cut.

    \b
    montage build-index ./footage
    montage render script.txt
    """


@cli.command("build-index")
@click.argument("footage", type=FOLDER)
@click.option(
    "--encoder",
    default="auto",
    show_default=True,
    help="auto, embedded, clip:fast, clip:multilingual, clip:best or clip:ARCH:PATH.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes at once. [default: one a core]")
@click.option(
    "--store", type=click.Path(path_type=Path), help="Where the index goes. [default: FOOTAGE/.montage]"
)
@click.option(
    "--detector",
    type=click.Choice(["auto", "fast", "content", "adaptive", "transnet"]),
    default="auto",
    show_default=True,
    help="How boundaries between shots are found.",
)
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Measure on a Ray cluster: local, auto, HOST:PORT or ray://HOST:PORT; --workers is then how many "
    "over all of it. [needs the extra ray]",
)
@click.option("--keep-shards", is_flag=True, help="Keep what the cluster's workers wrote, once it is merged.")
@output_options
def build_index(
    footage: Path,
    encoder: str,
    workers: int | None,
    store: Path | None,
    detector: str,
    ray: str | None,
    keep_shards: bool,
    output: Output,
) -> None:
    """Index a folder of footage; a second run does only what changed.

    \b
    Example: montage build-index ./footage
    """
    from montage.cli.work import run_build_index

    if keep_shards and ray is None:
        raise click.UsageError("--keep-shards is for the workers of a cluster: name it with --ray ADDRESS")
    run_build_index(footage, encoder, workers, store, detector, output, ray=ray, keep_shards=keep_shards)


@cli.command()
@click.argument("text", required=False)
@click.option("--library", type=click.Path(path_type=Path), help="Footage folder. [default: the one near by]")
@click.option("--store", type=click.Path(path_type=Path), help="Where the index lies, if elsewhere.")
@click.option(
    "-k", "count", type=click.IntRange(min=1), default=10, show_default=True, help="Number of shots."
)
@click.option(
    "--sheet", type=click.Path(dir_okay=False, path_type=Path), help="Also write a page with the pictures."
)
@_search_options
@output_options
def search(output: Output, weight: tuple[tuple[str, float], ...], **options: Any) -> None:
    """Find the shots that a text describes, or that look like a picture or a shot.

    Filters (length, size, move, date, folder, licence) come before the ranking; several values of one are
    alternatives.

    \b
    Example: montage search "a dog on the beach" --library ./footage -k 5 --sheet dogs.html
    Example: montage search "a harbour" --like 3f2a9c01b7de-4200 --without "people" --min-length 3
    Example: montage search --image photo.jpg --move pan --licence "CC BY" --after 2024-01-01
    """
    from montage.cli.finding import run_search

    run_search(output, weight=dict(weight), **options)


@cli.command()
@_script_options
@output_options
def plan(output: Output, **options: Any) -> None:
    """Choose the shots for a script and show why, without making the film.

    \b
    Example: montage plan script.txt --library ./footage
    """
    from montage.cli.work import run_plan

    run_plan(output, **options)


@cli.command()
@_script_options
@click.argument("sentence", type=click.IntRange(min=1), required=False)
@output_options
def explain(output: Output, **options: Any) -> None:
    """Say why every picture is shown, or those of one sentence, and what else would do.

    Plans the script as plan does, and saves nothing.

    \b
    Example: montage explain script.txt
    Example: montage explain script.txt 4
    """
    from montage.cli.why import run_explain

    run_explain(output, **options)


@cli.command()
@_script_options
@click.option(
    "-o", "--output", "page", type=click.Path(dir_okay=False, path_type=Path), help="[default: SCRIPT.html]"
)
@output_options
def storyboard(output: Output, **options: Any) -> None:
    """Draw the cut as one page: every sentence with its pictures, reasons and alternates.

    Plans the script as plan does, and saves nothing but the page.

    \b
    Example: montage storyboard script.txt -o board.html
    """
    from montage.cli.why import run_storyboard

    run_storyboard(output, **options)


@cli.command()
@_script_options
@click.option(
    "-o", "--output", "film", type=click.Path(dir_okay=False, path_type=Path), help="[default: SCRIPT.mp4]"
)
@click.option("--size", type=Size(), help="Size of the film. [default: 1920x1080]")
@click.option(
    "--fit",
    type=click.Choice(["crop", "pad"]),
    help="Fill the frame, or show all of the picture. [default: crop]",
)
@click.option(
    "--quality",
    type=click.Choice(["final", "draft"]),
    default="final",
    show_default=True,
    help="draft is quick and rough.",
)
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a diffusers pipeline that makes the shots the library lacks.",
)
@click.option(
    "--fallback",
    type=click.Choice(["auto", "near-miss", "still", "card", "none"]),
    default="auto",
    show_default=True,
    help="The first step to try for a gap when no model makes its shot; later steps follow.",
)
@click.option(
    "--gates/--no-gates",
    default=True,
    show_default=True,
    help="Refuse generated shots that are black, frozen, noise, or cut within.",
)
@click.option("--no-fallback", is_flag=True, help="Fail at a gap instead; the same as --fallback none.")
@output_options
def render(output: Output, no_fallback: bool, **options: Any) -> None:
    """Make the film of a script, its captions and its project file.

    Run it again after a change of the text: only what changed is rendered.

    \b
    Example: montage render script.txt -o film.mp4 --library ./footage --size 1280x720
    """
    from montage.cli.work import run_render

    if no_fallback:
        options["fallback"] = "none"
    run_render(output, **options)


@cli.command("learn-style")
@click.argument("film", type=FILE)
@click.option(
    "-o", "--output", "to", type=click.Path(path_type=Path), help="The preset file. [default: FILM.toml]"
)
@click.option("--extends", default="documentary", show_default=True, help="A preset's name, or its file.")
@output_options
def learn_style_command(film: Path, to: Path | None, extends: str, output: Output) -> None:
    """Read how a finished film is cut, and write a preset that cuts like it.

    \b
    Example: montage learn-style film.mp4 -o my.toml; montage plan script.txt --preset my.toml
    """
    from montage.cli.styles import run_learn_style

    run_learn_style(film, to or film.with_suffix(".toml"), extends, output)


@cli.command("presets")
@click.argument("name", required=False)
@output_options
def presets_command(name: str | None, output: Output) -> None:
    """The presets; with NAME or FILE, that one as a file to start from.

    \b
    Example: montage presets calm > mine.toml
    """
    from montage.cli.styles import run_presets

    run_presets(name, output)


@cli.command()
@click.argument("target", type=click.Path(exists=True, path_type=Path))
@click.option("--store", type=click.Path(path_type=Path), help="Where a library's index lies, if elsewhere.")
@output_options
def info(target: Path, store: Path | None, output: Output) -> None:
    """What a file, a library or a film is.

    \b
    Example: montage info film.mp4
    """
    from montage.cli.reports import run_info

    run_info(target, store, output)


@cli.command()
@output_options
def doctor(output: Output) -> None:
    """What is installed, what is missing, and what to type next.

    \b
    Example: montage doctor
    """
    from montage.cli.reports import run_doctor

    if not run_doctor(output):
        raise click.exceptions.Exit(1)


@cli.group()
def models() -> None:
    """List models, and fetch them: the only command that uses the network.

    \b
    Example: montage models list
    """


@models.command("list")
@output_options
def models_list(output: Output) -> None:
    """The models that montage knows, and whether they are here.

    \b
    Example: montage models list
    """
    from montage.cli.reports import run_models_list

    run_models_list(output)


@models.command("pull")
@click.argument("name")
@output_options
def models_pull(name: str, output: Output) -> None:
    """Fetch a model's weights; goes on where a broken download stopped.

    \b
    Example: montage models pull clip:fast
    """
    from montage.cli.reports import run_models_pull

    run_models_pull(printable(name), output)
