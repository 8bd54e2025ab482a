"""What a command prints: results on standard output, notes and progress on standard error."""

from __future__ import annotations

import functools
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

__all__ = ["Output", "output_options"]

Advance = Callable[[float, float, str], None]
"""Called with (done, total, what is being worked on)."""
PIPED_WIDTH = 200
"""Columns of a table that does not go to a terminal."""


def output_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--json``, ``-q`` and ``-v``, given to the command as one ``output``; the innermost decorator."""

    @functools.wraps(command)
    def wrapped(*arguments: Any, as_json: bool, quiet: bool, verbose: bool, **options: Any) -> None:
        output = Output(as_json, quiet, verbose)
        with _spoken(output):
            command(*arguments, output=output, **options)

    for option in (
        click.option("-v", "--verbose", is_flag=True, help="Say more; show where an unexpected error arose."),
        click.option("-q", "--quiet", is_flag=True, help="Only results and errors."),
        click.option("--json", "as_json", is_flag=True, help="Report as JSON on standard output."),
    ):
        wrapped = option(wrapped)
    return wrapped


class _Speaker(logging.Handler):
    """Shows what the library has to say as notes."""

    def __init__(self, output: Output) -> None:
        super().__init__(logging.INFO)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """One line a record."""
        self._output.note(printable(record.getMessage()))


@contextmanager
def _spoken(output: Output) -> Iterator[None]:
    """While a command runs, what takes long in the indexer is said on standard error."""
    logger = logging.getLogger("index")
    before, speaker = logger.level, _Speaker(output)
    logger.addHandler(speaker)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(speaker)
        logger.setLevel(before)


class Output:
    """Where a command's words go."""

    def __init__(self, as_json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose

    def note(self, text: str) -> None:
        """A line for the person at the terminal; none with ``-q``."""
        if not self.quiet:
            click.echo(text, err=True)

    def detail(self, text: str) -> None:
        """A line that only ``-v`` shows."""
        if self.verbose:
            click.echo(text, err=True)

    def result(self, data: Any, show: Callable[[], None]) -> None:
        """The command's answer: ``data`` as JSON where that was asked for, else ``show()``."""
        if self.as_json:
            click.echo(json.dumps(data, indent=1, ensure_ascii=False, default=str))
        else:
            show()

    def line(self, text: str) -> None:
        """A line of the answer."""
        click.echo(text)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: str = "") -> None:
        """A table of the answer; columns named in ``right`` (comma-separated) are flush right."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold", show_lines=False)
        flush = set(right.split(","))
        for column in columns:
            table.add_column(
                column,
                justify="right" if column in flush else "left",
                no_wrap=column in flush,
                overflow="fold",
            )
        for row in rows:
            table.add_row(*(Text(printable(str(cell))) for cell in row))
        console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
        console.print(table)

    @contextmanager
    def progress(self, title: str, unit: str) -> Iterator[Advance]:
        """A bar with rate and time left on a terminal, nothing elsewhere."""
        if self.quiet or self.as_json or not sys.stderr.isatty():
            yield lambda done, total, text: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
            console=Console(stderr=True),
            transient=True,
        )
        with bar:
            # How much there is to do is not known yet.
            task = bar.add_task(title, total=None, count="", rate="", text="")

            def advance(done: float, total: float, text: str) -> None:
                speed = bar.tasks[task].speed
                rate = f"{speed:.1f} {unit}/s" if speed else ""
                count = f"{done:.0f}/{total:.0f} {unit}"
                shown = printable(text)[:60]
                bar.update(task, completed=done, total=total, count=count, rate=rate, text=shown)

            yield advance


def printable(text: str) -> str:
    """``text`` on one line, with what a terminal would act on or cannot encode shown escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )
