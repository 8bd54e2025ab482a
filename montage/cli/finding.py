"""What ``search`` does, and how it shows what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from montage.cli.output import Output
from montage.session import open_library

__all__ = ["run_search"]


def run_search(
    output: Output,
    *,
    text: str | None,
    library: Path | None,
    store: Path | None,
    count: int,
    sheet: Path | None,
    image: Sequence[Path] = (),
    sketch: Sequence[Path] = (),
    like: Sequence[str] = (),
    without: Sequence[str] = (),
    unlike: Sequence[str] = (),
    weight: Mapping[str, float] | None = None,
    **filters: Any,
) -> None:
    """Search a library and show what was found.

    Raises:
        FootageError: if nothing is asked for, or something that is not there.
    """
    from index.asking import Query
    from index.pages import hits_page

    photos, drawings = _told_apart(image, output)
    query = Query(
        text or "",
        images=photos,
        sketches=(*sketch, *drawings),
        like=tuple(like),
        without=tuple(without),
        unlike=tuple(unlike),
        weights=weight or {},
    )
    wanted = _filters(**filters)
    opened = open_library(library, store, Path.cwd())
    hits = opened.search(query, k=count, filters=wanted)
    rows = [
        {
            "match": round(hit.match, 4),
            "file": opened.media[hit.shot.media].paths[0],
            "start": float(hit.span.start),
            "end": float(hit.span.end),
            "shot": hit.id,
            "move": hit.shot.look.move,
            "size": hit.shot.look.size,
            "parts": {name: round(value, 4) for name, value in hit.parts.items()},
            "why": hit.why,
        }
        for hit in hits
    ]
    if not rows:
        output.note("no shot passes the filters" if wanted else "no shot was found")
    if sheet is not None:
        sheet.write_text(hits_page(opened, query.said, hits), encoding="utf-8", errors="replace")
        output.note(f"wrote {sheet}")

    def show() -> None:
        output.table(
            ["match", "file", "from", "to", "move", "size", "shot", "why"],
            [
                (
                    f"{r['match']:.2f}",
                    r["file"],
                    f"{r['start']:.2f}",
                    f"{r['end']:.2f}",
                    *(r[name] or "" for name in ("move", "size", "shot", "why")),
                )
                for r in rows
            ],
            right="match,from,to",
        )

    output.result(rows, show)


def _told_apart(paths: Sequence[Path], output: Output) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """(photographs, drawings): a picture of a few flat colours is searched by its colours."""
    from index.pictures import is_sketch, read_picture

    drawn = tuple(path for path in paths if is_sketch(read_picture(path)))
    for path in drawn:
        output.note(f"{path} is taken for a colour sketch: its few colours are looked for where they lie")
    return tuple(path for path in paths if path not in drawn), drawn


def _filters(
    *,
    min_length: float | None,
    max_length: float | None,
    size: Sequence[str],
    move: Sequence[str],
    folder: Sequence[str],
    licence: Sequence[str],
    after: datetime | None,
    before: datetime | None,
) -> Any:
    from index.asking import Filters

    return Filters(
        min_length=min_length,
        max_length=max_length,
        sizes=tuple(size),
        moves=tuple(move),
        folders=tuple(folder),
        licences=tuple(licence),
        after=after,
        before=before,
    )
