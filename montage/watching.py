"""Rendering again at each save of the script."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from generate.base import GenerationError
from index.base import FootageError
from montage.session import Session, Update
from montage.values import MontageError

if TYPE_CHECKING:
    from watchfiles import Change

__all__ = ["Watched", "watch"]

SETTLE_SECONDS = 0.1
"""Saves within this time count as one: editors write a file in several steps."""
POLL_SECONDS = 0.5
"""How often the loop looks whether it should end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What came of one save."""

    update: Update | None = None
    error: Exception | None = None
    """Why no film was made: a script that is broken for a moment, a vanished file."""


def watch(
    session: Session,
    told: Callable[[Watched], None],
    stop: threading.Event,
    *,
    progress: Callable[[float, float, str], None] | None = None,
    ready: Callable[[], None] | None = None,
) -> None:
    """Render now, and again whenever the script or its preset file is saved, until told to stop.

    A save in the middle of a rendering ends it, and the newer text is rendered. A script that cannot be
    read or planned is told once, and the film stays as it was. The same text saved again does nothing.

    Args:
        session: what is planned and rendered.
        told: called with what came of each save, in this thread.
        stop: ends the watch, and a rendering in progress.
        progress: called with (done, total, what) while a film is rendered.
        ready: called once when saves are being noticed.

    Raises:
        MontageError: if saves cannot be noticed, for example because the preset's folder is not there.
    """
    saved = threading.Event()
    listening = threading.Event()
    broken: list[Exception] = []

    def listen() -> None:
        try:
            _listen(session, saved, listening, stop)
        except Exception as error:  # told by the caller's thread, which must not wait for ever
            broken.append(error)
        finally:
            listening.set()
            saved.set()

    watcher = threading.Thread(target=listen, daemon=True)
    watcher.start()
    listening.wait()
    if ready is not None and not broken:
        ready()
    seen = b""
    saved.set()
    try:
        while not stop.is_set():
            if not saved.wait(POLL_SECONDS):
                continue
            if broken:
                folders = ", ".join(str(path.parent) for path in _files(session))
                raise MontageError(f"saves in {folders} cannot be noticed: {broken[0]}") from broken[0]
            saved.clear()
            now = _digest(_files(session))
            if now == seen:
                continue
            seen = now

            def outdated(shown: bytes = now) -> bool:
                return stop.is_set() or (saved.is_set() and _digest(_files(session)) != shown)

            try:
                update = session.update(progress=progress, cancel=outdated)
            except (MontageError, FootageError, GenerationError) as error:
                # Ended for the newer text, or read in the middle of a save, before anything told of it.
                if stop.wait(2 * SETTLE_SECONDS) or saved.is_set() or _digest(_files(session)) != now:
                    seen = b""
                    saved.set()
                    continue
                told(Watched(error=error))
            else:
                told(Watched(update=update))
    finally:
        stop.set()
        watcher.join()


def _files(session: Session) -> list[Path]:
    """The files whose saves count: the script, and the preset if that is a file."""
    preset = Path(str(session.setting("preset")))
    return [session.script, *([preset] if preset.suffix == ".toml" else [])]


def _digest(files: Iterable[Path]) -> bytes:
    """What the files say; one that is not there for a moment says nothing."""
    total = hashlib.sha256()
    for path in files:
        try:
            total.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError:
            total.update(b"-")
    return total.digest()


def _listen(
    session: Session, saved: threading.Event, listening: threading.Event, stop: threading.Event
) -> None:
    """Set ``saved`` whenever one of the files may have changed."""
    import watchfiles

    # Folders are watched, not files: many editors save by giving a new file the old one's name.
    files = {path.resolve() for path in _files(session)}
    folders = {path.parent for path in files}

    def ours(_: Change, path: str) -> bool:
        return Path(path).resolve() in files

    changes = watchfiles.watch(
        *folders,
        watch_filter=ours,
        debounce=round(SETTLE_SECONDS * 1000),
        step=20,
        rust_timeout=round(POLL_SECONDS * 1000),
        yield_on_timeout=True,
        stop_event=stop,
        recursive=False,
        raise_interrupt=False,
    )
    for found in changes:
        listening.set()
        if found:
            saved.set()
