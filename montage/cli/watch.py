"""What ``watch`` does, and how it reads on a terminal."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from typing import Any

from montage.cli.output import Output, printable
from montage.cli.work import session_of, show_kept, update_data
from montage.watching import Watched, watch

__all__ = ["run_watch"]


def run_watch(output: Output, **options: Any) -> None:
    """Render a script at each save until Ctrl-C, and say each time what changed and how long it took."""
    session = session_of(output, **options)
    stop = threading.Event()

    def told(watched: Watched) -> None:
        now = datetime.now().strftime("%H:%M:%S")
        if watched.update is None:
            if output.as_json:
                output.line(json.dumps({"error": str(watched.error)}, ensure_ascii=False))
            else:
                output.line(f"{now}  {watched.error}; waiting for the next save")
            return
        update = watched.update
        seconds = update.seconds["total"]
        if output.as_json:
            data = {**update_data(update, session, seconds), "changes": update.changes.line}
            output.line(json.dumps(data, ensure_ascii=False, default=str))
            return
        film = update.film
        for fill in update.rendered.fills:
            output.note(fill.line)
        output.line(
            f"{now}  {update.changes.line}; {film.segments_rendered} of "
            f"{film.segments_rendered + film.segments_reused} segments rendered; {len(film.checks)} checks "
            f"passed; {float(film.duration):.1f} s of film in {seconds:.1f} s"
        )
        show_kept(film, output)

    def ready() -> None:
        output.note(f"watching {printable(str(session.script))}; Ctrl-C ends")

    with output.progress("rendering", "segments") as advance:
        watch(session, told, stop, progress=advance, ready=ready)
