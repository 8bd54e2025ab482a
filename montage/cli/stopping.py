"""Ctrl-C while the optimiser searches, or models make shots."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from montage.cli.output import Output

__all__ = ["ending_early"]


@contextlib.contextmanager
def ending_early(
    output: Output, what: str = "ending the search with the best cut so far"
) -> Iterator[Callable[[], bool]]:
    """While this lasts, the first Ctrl-C makes what it gives answer true; the second stops the program.

    ``what`` is said of the first.

    Where Ctrl-C is ignored or handled by somebody else, and outside the main thread, nothing is changed.
    """
    asked = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def first(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)
        # A signal may come amid a write to the same stream, which refuses a second one.
        with contextlib.suppress(RuntimeError):
            output.note(f"{what}; Ctrl-C again stops")

    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    signal.signal(signal.SIGINT, first)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
