"""A cut and a film as small self-contained pages, for notebooks."""

from __future__ import annotations

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
    """The cut as a table: picture, sentence, what was chosen and why."""
    texts = {sentence.id: (sentence.number, sentence.text) for sentence in cut.script.sentences}
    rows = []
    for slot in cut.slots:
        number, text = texts.get(slot.sentence, ("", slot.text))
        image = ""
        if slot.shot is not None and slot.shot in cut.library.shots:
            image = picture(cut.library.thumbnail(slot.shot), text)
        what = slot.kind if slot.match is None else f"{slot.match:.2f}"
        style = ' class="gap"' if slot.kind == "gap" else ""
        rows.append(
            f"<tr><td>{image}</td><td>{number}</td><td>{escape(text)}</td><td{style}>{what}</td>"
            f'<td>{float(slot.frames / cut.fps):.2f} s</td><td class="why">{escape(slot.why)}</td></tr>'
        )
    gap = cut.optimality_gap
    proven = "proven optimal" if gap < 1e-9 else f"at most {gap:.1%} from the best"
    head = (
        f"<h1>Cut</h1><p>{len(cut.slots)} slots, {float(cut.duration):.1f} s, preset "
        f"{escape(cut.preset.name)}, "
        f"objective {cut.objective:.3f}, {proven}</p>"
    )
    table = "<tr><th></th><th>#</th><th>sentence</th><th>match</th><th>length</th><th>why</th></tr>"
    return f'<div class="montage"><style>{STYLE}</style>{head}<table>{table}{"".join(rows)}</table></div>'


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
