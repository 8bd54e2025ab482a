"""What ``evaluate`` takes and does, and how its table reads on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from montage.cli.output import Output, printable

if TYPE_CHECKING:
    from montage.blindanswers import Preference
    from montage.compared import Column, Row
    from montage.evaluation import Evaluation
    from montage.scoring import ShotScore

__all__ = ["evaluation_options", "run_evaluate"]

PLACE = click.Path(exists=True, path_type=Path)
PROMPT = 40
"""Letters of a prompt that a table shows."""
NAME = 24
"""Letters of a file's name; takes have names of 32 digits, of which 8 tell them apart."""


def evaluation_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What ``evaluate`` takes."""
    for option in reversed(
        (
            click.argument("targets", nargs=-1, type=PLACE, metavar="FILM|DIR [FILM|DIR]"),
            click.option(
                "--by",
                type=click.Choice(["model", "strategy"]),
                help="Compare the models or the strategies within one film or folder.",
            ),
            click.option(
                "--encoder",
                default="auto",
                show_default=True,
                help="As for build-index: auto, embedded, clip:fast, clip:best or clip:ARCH:PATH.",
            ),
            click.option(
                "--frames",
                type=click.IntRange(min=2),
                help="Frames of a shot that the encoder sees at most, in pairs of neighbours. [default: all]",
            ),
            click.option(
                "--against",
                type=PLACE,
                help="The footage that takes of the strategy restyle were made from, for PSNR and SSIM: a "
                "file, or a folder with files of the same names.",
            ),
            click.option(
                "--features",
                type=PLACE,
                help="A feature network, TorchScript or ONNX, or a folder of them: of clips for FVD, KVD and "
                "video IS, of frames for FID. It runs as a program: take it from people you trust.",
            ),
            click.option(
                "--real",
                type=click.Path(exists=True, file_okay=False, path_type=Path),
                help="A folder of real clips for FID, FVD and KVD.",
            ),
            click.option(
                "--feature-range",
                type=float,
                nargs=2,
                default=(-1.0, 1.0),
                show_default=True,
                metavar="BLACK WHITE",
                help="Values that the network takes; -1 1 is the published I3D's.",
            ),
            click.option(
                "--feature-size",
                type=click.IntRange(8, 2048),
                default=224,
                show_default=True,
                help="Pixels each way that the network takes; a whole frame is scaled to that square.",
            ),
            click.option(
                "--feature-frames",
                type=click.IntRange(min=1),
                default=16,
                show_default=True,
                help="Frames from the middle of each clip.",
            ),
            click.option(
                "--logits", is_flag=True, help="The network's output are logits of classes: also give the IS."
            ),
            click.option(
                "--blind",
                type=click.Path(dir_okay=False, path_type=Path),
                metavar="PAGE.html",
                help="Write a page that asks people which of two is better; the key lies beside it.",
            ),
            click.option(
                "--seed",
                type=int,
                default=0,
                show_default=True,
                help="Draws the order and the sides of the page.",
            ),
            click.option(
                "--answers",
                multiple=True,
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="Count what people answered; more files may follow.",
            ),
            click.option(
                "--key",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="PAGE.key.json, for --answers.",
            ),
        )
    ):
        command = option(command)
    return command


def run_evaluate(
    output: Output,
    *,
    targets: tuple[Path, ...],
    answers: tuple[Path, ...],
    key: Path | None,
    blind: Path | None,
    seed: int,
    **options: Any,
) -> None:
    """Measure, compare, write a page for people, or count their answers."""
    if answers or key is not None:
        if not answers or key is None:
            raise click.UsageError(
                "answers are counted with their key: --answers FILE... --key PAGE.key.json"
            )
        _count((*answers, *targets), key, output)
        return
    if not 1 <= len(targets) <= 2:
        raise click.UsageError(f"name one film or folder, or two to compare; got {len(targets)}")
    if blind is not None:
        if len(targets) != 2:
            raise click.UsageError("--blind compares two: name another film or folder")
        _ask(targets[0], targets[1], blind, seed, output)
        return
    _measure(targets, output, **options)


def _measure(
    targets: tuple[Path, ...],
    output: Output,
    *,
    feature_range: tuple[float, float],
    feature_size: int,
    feature_frames: int,
    logits: bool,
    **options: Any,
) -> None:
    from montage.evaluation import evaluate
    from montage.features import FeatureInput

    low, high = feature_range
    if low >= high:
        raise click.UsageError(
            f"--feature-range takes black and then white, which is more; got {low:g} {high:g}"
        )
    given = FeatureInput(size=feature_size, frames=feature_frames, low=low, high=high, logits=logits)
    with output.progress("measuring", "shots") as advance:
        told = evaluate(*targets, given=given, progress=advance, **options)
    output.result(told.as_data(), lambda: _show(told, output))


def _show(told: Evaluation, output: Output) -> None:
    if len(told.columns) == 1:
        _show_shots(told.columns[0], output)
    elif output.verbose:
        for column in told.columns:
            output.line(printable(column.name))
            _show_shots(column, output)
            output.line("")
    if len(told.columns) == 1:
        output.line("")
    _show_table(told, output)
    output.line("")
    for note in told.notes:
        output.line(printable(note))
    for problem in told.problems:
        output.line(f"not measured: {printable(problem.reason)}")


def _show_shots(column: Column, output: Output) -> None:
    likeness = any(score.ssim is not None for score in column.scores)
    around = any(score.neighbours is not None for score in column.scores)
    columns = ["shot", "made by", "frames", "CLIPSIM", "consistency"]
    columns += ["neighbours"] if around else []
    columns += ["PSNR", "SSIM"] if likeness else []
    rows = []
    for score in column.scores:
        row = [_which(score), _maker(score), score.frames, _figure(score.clipsim), _figure(score.consistency)]
        row += [_figure(score.neighbours)] if around else []
        row += [_figure(score.psnr, 2), _figure(score.ssim)] if likeness else []
        rows.append([*row, _gates(score)])
    right = "frames,CLIPSIM,consistency,neighbours,PSNR,SSIM"
    output.table([*columns, "gates"], rows, right=right)


def _show_table(told: Evaluation, output: Output) -> None:
    two = len(told.columns) == 2
    names = [column.name for column in told.columns]
    columns = ["measure", "better", *names, *(["difference", "95% interval", "pairs"] if two else [])]
    rows = []
    for row in told.rows:
        digits = 2 if row.measure.startswith("PSNR") else 4
        cells: list[str] = [row.measure, row.better, *(_figure(value, digits) for value in row.values)]
        if two:
            cells += [_signed(row.difference, digits), _interval(row, digits), _ahead(row)]
        rows.append(cells)
    shots = [str(len(column.scores)) for column in told.columns]
    output.table(columns, [*rows, ["shots", "", *shots, *([""] * 3 if two else [])]], right=",".join(names))


def _which(score: ShotScore) -> str:
    said = " ".join(score.shot.prompt.split())
    said = said if len(said) <= PROMPT else said[: PROMPT - 1].rstrip() + "\u2026"
    name = score.shot.name
    name = name if len(name) <= NAME or not said else f"{name[:8]}\u2026"
    return f"{name}: {said}" if said else name


def _maker(score: ShotScore) -> str:
    shot = score.shot
    return ", ".join(dict.fromkeys(part for part in (shot.model or shot.kind, shot.strategy) if part)) or "-"


def _gates(score: ShotScore) -> str:
    if score.refused is None:
        return "-"
    return "; ".join(score.refused) or "pass"


def _figure(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:+.{digits}f}"


def _interval(row: Row, digits: int) -> str:
    if row.interval is None:
        return ""
    low, high = row.interval
    return f"{low:+.{digits}f} to {high:+.{digits}f}"


def _ahead(row: Row) -> str:
    return f"better in {row.ahead} of {row.pairs}" if row.pairs else ""


def _ask(first: Path, second: Path, page: Path, seed: int, output: Output) -> None:
    from montage.blindtest import write_blind_test

    with output.progress("writing", "pairs") as advance:
        made = write_blind_test(first, second, page, seed=seed, progress=advance)
    data = {
        "page": str(made.page),
        "key": str(made.key),
        "pairs": made.pairs,
        "left_out": made.left_out,
        "same": made.same,
        "bytes": made.size,
    }

    def show() -> None:
        output.line(f"{made.page}: {made.pairs} pairs, {made.size / 1e6:.1f} MB; give it to people")
        output.line(f"{made.key}: who is on which side; keep it, and count with")
        output.line(f"montage evaluate --answers FILE... --key {made.key}")
        if made.left_out:
            output.line(f"{made.left_out} shots have no counterpart and are left out")
        if made.same:
            output.line(f"{made.same} pairs show the same on both sides and are left out")

    output.result(data, show)


def _count(answers: tuple[Path, ...], key: Path, output: Output) -> None:
    from montage.blindanswers import tally_answers

    told = tally_answers(answers, key)
    first, second = (Path(name).name for name in told.inputs)
    if first == second:
        first, second = told.inputs

    def show() -> None:
        people = "1 person" if told.people == 1 else f"{told.people} people"
        output.line(f"{people}, {told.pairs} pairs")
        output.table(
            ["question", f"prefer {first}", f"prefer {second}", "no difference", f"share of {second}", "p"],
            [_preference_row(one) for one in told.preferences],
            right=f"prefer {first},prefer {second},no difference,p",
        )
        for one in told.preferences:
            output.line(f"{one.words} left {one.left}, right {one.right}")
        for note in told.notes:
            output.line(note)

    output.result(told.as_data(), show)


def _preference_row(one: Preference) -> list[str]:
    from montage.blindanswers import sign_test, wilson_interval

    share = "-"
    if one.share is not None:
        low, high = wilson_interval(one.second, one.first + one.second)
        share = f"{one.share:.2f} (95% {low:.2f} to {high:.2f})"
    return [
        one.words,
        str(one.first),
        str(one.second),
        str(one.none),
        share,
        f"{sign_test(one.first, one.second):.3g}",
    ]
