"""A cut and a film as small self-contained pages, for notebooks."""

from __future__ import annotations

import hashlib
from html import escape
from typing import TYPE_CHECKING

from index.pages import STYLE, picture

if TYPE_CHECKING:
    from montage.cut import Cut
    from montage.film import Film

__all__ = ["cut_page", "film_page"]

STILLS = 8
"""Pictures of a film."""
STILL_SIDE = 180
"""Their shorter side, pixels."""


def cut_page(cut: Cut) -> str:
    """The cut as a storyboard, with one picture a slot from the index, so that no file is decoded."""
    from montage.explaining import explain
    from montage.storyboard import board

    shots = cut.library.shots
    strips = [
        (cut.library.thumbnail(slot.shot),) if slot.shot and slot.shot in shots else () for slot in cut.slots
    ]
    # Several cuts on one page need ids of their own.
    shown = repr([(slot.sentence, slot.shot, slot.span, slot.frames) for slot in cut.slots])
    prefix = f"cut-{hashlib.sha256(shown.encode()).hexdigest()[:8]}-"
    return board(cut, explain(cut), strips, "Cut", prefix=prefix)


def film_page(film: Film) -> str:
    """The film as stills, evenly spread, with a player and what its checks said."""
    from index.measure import thumbnail_jpeg
    from index.stills import frame_at

    stills = []
    for place in range(STILLS):
        time = film.duration * (2 * place + 1) / (2 * STILLS)
        image = thumbnail_jpeg(frame_at(film.path, time, side=STILL_SIDE))
        stills.append(f"<figure>{picture(image, f'the film at {float(time):.1f} s')}</figure>")
    checks = "".join(
        f"<tr><td>{escape(check.name)}</td><td>{'passed' if check.passed else 'FAILED'}</td>"
        f'<td class="why">{escape(check.detail)}</td></tr>'
        for check in film.checks
    )
    width, height = film.size
    source = film.path.resolve().as_uri()
    return (
        f'<div class="montage"><style>{STYLE}</style><h1>{escape(film.path.name)}</h1>'
        f"<p>{width}x{height}, {float(film.duration):.2f} s, {film.segments_rendered} segments rendered, "
        f"{film.segments_reused} reused</p>"
        f'<div class="shots">{"".join(stills)}</div>'
        f'<video controls preload="metadata" width="480" src="{escape(source)}"></video>'
        f"<table>{checks}</table></div>"
    )
