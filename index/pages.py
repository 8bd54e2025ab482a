"""Small self-contained pages: a library in a notebook, the shots found for a text.

Pictures are data URIs, so a page is one file and asks nothing of the network. Every word that comes from a
file or a person is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from index.library import Library
    from index.values import Hit

__all__ = ["STYLE", "figure", "hits_page", "library_fragment", "page", "picture"]

STYLE = """
.montage{font:14px/1.45 system-ui,sans-serif;color:#1b1b1b;background:#fff;padding:12px}
.montage h1{font-size:20px;margin:0 0 4px}.montage p{margin:4px 0 12px;color:#555}
.montage .shots{display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:14px}
.montage figure{margin:0}.montage img{width:100%;aspect-ratio:16/9;object-fit:contain;background:#111;
border-radius:4px;display:block}.montage figcaption{font-size:12px;overflow-wrap:anywhere;padding-top:4px}
.montage b{font-weight:600}.montage .why{color:#666}.montage table{border-collapse:collapse}
.montage td,.montage th{padding:4px 10px 4px 0;text-align:left;vertical-align:top}
.montage td img{width:128px}.montage .gap{color:#a33}
@media (prefers-color-scheme:dark){.montage{color:#e8e8e8;background:#161616}
.montage p,.montage .why{color:#aaa}.montage .gap{color:#f88}}
"""


def page(title: str, body: str) -> str:
    """A whole HTML document around ``body``, which is HTML already."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>body{{margin:0}}</style></head><body>\n{body}\n</body></html>\n"
    )


def picture(jpeg: bytes, text: str) -> str:
    """An ``img`` of a JPEG, with the words for those who do not see it."""
    data = base64.b64encode(jpeg).decode("ascii")
    return f'<img loading="lazy" alt="{escape(text)}" src="data:image/jpeg;base64,{data}">'


def figure(library: Library, shot: str, lines: Sequence[str]) -> str:
    """A shot's picture over lines of HTML."""
    name = library.media[library.shots[shot].media].paths[0]
    image = picture(library.thumbnail(shot), f"middle of a shot of {name}")
    return f"<figure>{image}<figcaption>{'<br>'.join(lines)}</figcaption></figure>"


def _shots(figures: Iterable[str]) -> str:
    return f'<div class="shots">{"".join(figures)}</div>'


def hits_page(library: Library, text: str, hits: Sequence[Hit]) -> str:
    """The shots found for ``text``, best first, as a document of its own."""
    figures = (
        figure(
            library,
            hit.id,
            [
                f"<b>{hit.match:.2f}</b> {escape(library.media[hit.shot.media].paths[0])}",
                f"{float(hit.span.start):.2f}-{float(hit.span.end):.2f} s, {escape(hit.shot.look.move)}"
                + (f", {hit.shot.look.size}" if hit.shot.look.size else ""),
                f'<span class="why">{escape(hit.why)}</span>',
            ],
        )
        for hit in hits
    )
    found = f"{len(hits)} shots of {escape(str(library.root))}, best first"
    body = f"<style>{STYLE}</style><h1>{escape(text)}</h1><p>{found}</p>{_shots(figures)}"
    return page(text, f'<main class="montage">{body}</main>')


def library_fragment(library: Library, most: int = 24) -> str:
    """A library for a notebook: what it holds, and the first ``most`` shots."""
    seconds = sum(float(media.duration) for media in library.media.values())
    head = (
        f"<h1>{escape(library.root.name)}</h1><p>{len(library.media)} media, {len(library.shots)} shots, "
        f"{seconds / 60:.1f} minutes, encoder {escape(library.encoder_name)}</p>"
    )
    figures = (
        figure(
            library, shot.id, [escape(library.media[shot.media].paths[0]), f"{float(shot.span.start):.2f} s"]
        )
        for shot in list(library.shots.values())[:most]
    )
    return f'<div class="montage"><style>{STYLE}</style>{head}{_shots(figures)}</div>'
