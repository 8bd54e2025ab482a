"""The commands. Each parses its options, calls the Python API and shows what came back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from montage import __version__
from montage.cli.evaluating import evaluation_options
from montage.cli.generating import generation_options, signing_options
from montage.cli.options import (
    FILE,
    FOLDER,
    render_options,
    script_options,
    search_options,
    size_option,
)
from montage.cli.output import Output, output_options, printable

__all__ = ["cli"]


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
@search_options
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
@script_options
@size_option
@generation_options
@output_options
def plan(output: Output, **options: Any) -> None:
    """Choose the shots for a script and show why, without making the film.

    \b
    Example: montage plan script.txt --library ./footage
    """
    from montage.cli.work import run_plan

    run_plan(output, **options)


@cli.command()
@script_options
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
@script_options
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
@script_options
@render_options
@generation_options
@signing_options
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


@cli.command("watch")
@script_options
@render_options
@generation_options
@signing_options
@output_options
def watch_command(output: Output, no_fallback: bool, **options: Any) -> None:
    """Make the film, and again at each save of the script, until Ctrl-C.

    A script that is broken for a moment is named, and the film stays as it was.

    \b
    Example: montage watch script.txt --quality draft
    """
    from montage.cli.watch import run_watch

    if no_fallback:
        options["fallback"] = "none"
    run_watch(output, **options)


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


@cli.command("evaluate")
@evaluation_options
@output_options
def evaluate_command(output: Output, **options: Any) -> None:
    """Measure generated shots: of a film, or the takes of a folder; two of either are compared.

    Shows CLIPSIM, frame consistency, neighbour similarity and what the gates say; with networks of your own
    also FID, FVD, KVD and Inception Scores. --blind makes a page for asking people instead, and --answers
    counts what they say.

    \b
    Example: montage evaluate film.mp4
    Example: montage evaluate wan.mp4 cogvideox.mp4
    Example: montage evaluate takes --by strategy
    Example: montage evaluate takes --features i3d_torchscript.pt --real footage
    Example: montage evaluate wan.mp4 cogvideox.mp4 --blind page.html
    Example: montage evaluate --answers ann.json bob.json --key page.key.json
    """
    from montage.cli.evaluating import run_evaluate

    run_evaluate(output, **options)


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
@click.option(
    "--accept-licence", multiple=True, metavar="NAME", help="A model whose licence sets conditions."
)
@output_options
def models_pull(name: str, accept_licence: tuple[str, ...], output: Output) -> None:
    """Fetch a model's weights; goes on where a broken download stopped.

    \b
    Example: montage models pull clip:fast
    """
    from montage.cli.reports import run_models_pull

    run_models_pull(printable(name), output, accept_licence)
