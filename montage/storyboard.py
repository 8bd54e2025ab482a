"""A storyboard: the whole cut on one page, every picture with its reasons, its costs and what else would do.

The page is one file: pictures are data URIs, nothing is fetched, every text is escaped, and it reads the same
without its script.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from montage.boardstyle import SCRIPT, STYLE
from montage.explaining import explain
from montage.explanation import Explanation, Other, RuleCost, SentenceAccount, Shown
from montage.filmstrips import filmstrips, thumbnails
from montage.values import MontageError
from montage.wording import KINDS, changed, share_words, signed, uncovered_words, why_words

if TYPE_CHECKING:
    from montage.cut import Cut

__all__ = ["board", "storyboard_page", "write_storyboard"]

Progress = Callable[[float, float, str], None]
MINOR = 0.05
"""Rules that cost less than this and are not broken are told in one line."""
MARK = '<meta name="generator" content="montage storyboard">'
"""Tells a storyboard from other pages, which are never overwritten."""
LOW, HIGH = (176, 84, 32), (22, 110, 122)
"""RGB of the worst match and of the best."""


def storyboard_page(cut: Cut, *, follow: bool = False, progress: Progress | None = None) -> str:
    """The cut as one HTML document.

    Args:
        cut: the cut.
        follow: whether to solve the cut anew for every alternate, as in ``explain``.
        progress: called with (slots decoded, slots, text).
    """
    explanation = explain(cut, follow=follow)
    strips = filmstrips(cut, progress=progress)
    title = cut.script.path.name if cut.script.path else "Storyboard"
    body = board(cut, explanation, strips, title)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="color-scheme" content="light dark">{MARK}'
        f"<title>{escape(title)}: storyboard</title>"
        "<style>body{margin:0}@media(prefers-color-scheme:dark){body{background:#14161a}}"
        "@media print{body{background:#fff}}</style></head><body>\n"
        f"{body}\n<script>{SCRIPT}</script></body></html>\n"
    )


def write_storyboard(
    cut: Cut, path: Path | str, *, follow: bool = False, progress: Progress | None = None
) -> Path:
    """Write the storyboard to ``path`` and give that back.

    Raises:
        MontageError: if it cannot be written, or ``path`` holds something else than a storyboard.
    """
    path = Path(path)
    if path.is_file() and path.stat().st_size and MARK.encode() not in path.read_bytes()[:4000]:
        raise MontageError(
            f"{path} is no storyboard of montage: move it away, or choose another place with -o"
        )
    page = storyboard_page(cut, follow=follow, progress=progress)
    try:
        path.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise MontageError(
            f"cannot write the storyboard {path}: {error.strerror}; choose another place with -o"
        ) from error
    return path


def board(
    cut: Cut, explanation: Explanation, strips: Sequence[Sequence[bytes]], title: str, *, prefix: str = ""
) -> str:
    """The storyboard as a fragment with its own style.

    Args:
        cut: the cut.
        explanation: of the whole cut.
        strips: JPEGs of each slot.
        title: the heading.
        prefix: stands before each id, where several boards share a page.
    """
    return _Board(cut, explanation, strips, prefix).page(title)


class _Board:
    def __init__(
        self, cut: Cut, explanation: Explanation, strips: Sequence[Sequence[bytes]], prefix: str
    ) -> None:
        self.cut, self.told, self.prefix = cut, explanation, prefix
        self.strips = {slot.number: strips[slot.number - 1] for slot in explanation.slots}
        self.pictures = thumbnails(
            cut.library, [other.shot for slot in explanation.slots for other in slot.others]
        )
        self.languages = {sentence.id: sentence.language for sentence in cut.script.sentences}
        self.sources = {
            file: number
            for number, file in enumerate(dict.fromkeys(s.file for s in explanation.slots if s.file))
        }
        self.ids = {slot.label: slot.number for slot in explanation.slots if slot.kind != "title"}

    def page(self, title: str) -> str:
        parts = [self._head(title), self._band(), self._rules()]
        paragraph = 0
        for account in self.told.sentences:
            if account.paragraph and account.paragraph != paragraph:
                paragraph = account.paragraph
                parts.append(f"<h2>Paragraph {paragraph}</h2>")
            parts.append(self._article(account))
        return f'<div class="board"><style>{STYLE}</style><div class="width">{"".join(parts)}</div></div>'

    # -- the whole cut ---------------------------------------------------------------------------------------

    def _head(self, title: str) -> str:
        told = self.told
        shown = [slot for slot in told.slots if slot.kind not in ("gap", "title")]
        facts = [
            f"<b>{_clock(told.seconds)}</b> at {told.fps:g} frames a second",
            f"<b>{len(shown)}</b> picture{'' if len(shown) == 1 else 's'} from "
            f"<b>{len(self.sources)}</b> file{'' if len(self.sources) == 1 else 's'}",
            f"preset <b>{escape(told.preset)}</b>",
        ]
        if told.gaps:
            facts.append(f'<span class="bad">{len(told.gaps)} gap{"" if len(told.gaps) == 1 else "s"}</span>')
        facts += [escape(text) for text in (told.length, told.kept, *told.notes) if text]
        listed = "".join(f"<li>{one}</li>" for one in facts)
        return (
            f'<header><h1>{escape(title)}</h1><ul class="facts">{listed}</ul>'
            f'<p class="soft">All rules together cost {told.objective:.2f}: {escape(told.best)}.</p></header>'
        )

    def _band(self) -> str:
        blocks = []
        for account in self.told.sentences:
            for slot in account.slots:
                kinds = [slot.kind if slot.kind in ("gap", "title") else "shown"]
                kinds += ["generated"] if slot.kind == "diffusion" else []
                kinds += ["broken"] if slot.broken and slot.kind != "gap" else []
                what = slot.file or slot.kind
                said = f"{slot.label}: {what}, {slot.seconds:.1f} s"
                if slot.match is not None:
                    said += f", match {slot.match:.2f}"
                if slot.broken:
                    said += f"; breaks {', '.join(cost.rule for cost in slot.broken)}"
                style = f"flex-grow:{slot.frames};{self._colours(slot)}"
                place = f'href="#{self.prefix}slot-{slot.number}" data-of="{self._name(account, slot)}"'
                blocks.append(
                    f'<a class="{" ".join(kinds)}" style="{style}" {place} title="{escape(said)}" '
                    f'aria-label="{escape(said)}">{account.number or ""}</a>'
                )
        low, high = (f"rgb{_mixed(value)}" for value in (0.3, 1.0))
        return (
            '<nav class="band" aria-label="The film from start to end">'
            f'<input type="radio" name="{self.prefix}colour" id="{self.prefix}by-match" checked>'
            f'<label for="{self.prefix}by-match" class="screen">by match</label>'
            f'<input type="radio" name="{self.prefix}colour" id="{self.prefix}by-source" class="by-source">'
            f'<label for="{self.prefix}by-source" class="screen">by source</label>'
            f'<div class="bar">{"".join(blocks)}</div><div class="under">'
            f'<span><i class="key" style="background:{low}"></i>weak match</span>'
            f'<span><i class="key" style="background:{high}"></i>sure match</span>'
            '<span><i class="key" style="background:#e5484d"></i>a rule is broken</span>'
            '<span><i class="key" style="background:#868d95"></i>gap</span>'
            '<span><i class="key generated"></i>generated by a model</span>'
            '<span class="screen wide">keys j and k go to the next and the last sentence</span></div></nav>'
        )

    def _colours(self, slot: Shown) -> str:
        hue = self.sources.get(slot.file, 0) * 137.508 % 360
        red, green, blue = _mixed(slot.match or 0.0)
        return f"--by-match:rgb({red},{green},{blue});--by-source:hsl({hue:.0f} 45% 42%)"

    def _rules(self) -> str:
        broken = [total for total in self.told.rules if total.broken]
        rest = [total for total in self.told.rules if not total.broken]
        rows = "".join(
            f"<tr><td><b>{escape(total.rule)}</b><br><span class='soft'>{escape(total.says)}</span></td>"
            f'<td class="n">{total.cost:.2f}</td><td class="n">{share_words(total.share)}</td><td>'
            + "<br>".join(f"{self._link(label)}: {escape(said)}" for label, said in total.broken)
            + "</td></tr>"
            for total in broken
        )
        head = (
            "<tr><th>rule</th><th class='n'>cost</th><th class='n'>share</th><th>where, worst first</th></tr>"
        )
        count = sum(len(total.broken) for total in broken)
        what = f"Rules broken: {len(broken)}, in {count} places" if broken else "No rule is broken"
        out = f"<details{' open' if len(broken) <= 6 else ''}><summary>{what}</summary>"
        if broken:
            out += f'<table class="breaches">{head}{rows}</table>'
        if rest:
            costs = ", ".join(f"{escape(t.rule)} {t.cost:.2f}" for t in rest if t.cost >= 0.005)
            out += f'<p class="minor">Costs without breach: {costs}</p>' if costs else ""
        left_out = uncovered_words([total.rule for total in self.told.rules if not total.covered])
        out += f'<p class="minor">{escape(left_out)}</p>' if left_out else ""
        return f"{out}</details>{self._hard()}"

    def _hard(self) -> str:
        if not self.told.hard:
            return ""
        bad = [one for one in self.told.hard if not one.kept]
        rows = "".join(
            f'<tr><td>{escape(one.rule)}</td><td class="{"good" if one.kept else "bad"}">'
            f"{'kept' if one.kept else 'BROKEN'}</td><td>{escape(one.detail)}</td></tr>"
            for one in self.told.hard
        )
        what = f"Hard rules: {len(bad)} broken" if bad else f"All {len(self.told.hard)} hard rules are kept"
        return f"<details{' open' if bad else ''}><summary>{what}</summary><table>{rows}</table></details>"

    def _link(self, label: str) -> str:
        return (
            f'<a href="#{self.prefix}slot-{self.ids[label]}">{escape(label)}</a>'
            if label in self.ids
            else escape(label)
        )

    # -- one sentence ----------------------------------------------------------------------------------------

    def _article(self, account: SentenceAccount) -> str:
        slots = "".join(self._slot(slot, account) for slot in account.slots)
        if account.number is None:
            title = account.slots[0]
            left = f'<p class="soft">Title, {title.seconds:.1f} s</p>'
        else:
            language = self.languages.get(account.id, "")
            left = (
                f'<p class="says"><span class="number">{account.number}</span>'
                f'<span lang="{escape(language)}">{escape(account.text)}</span></p>'
            )
            left += f'<p class="minor">{escape(account.count)}</p>' if account.count else ""
        name = self._name(account, account.slots[0] if account.slots else None)
        return f'<article id="{name}" tabindex="-1"><div>{left}</div><div>{slots}</div></article>'

    def _name(self, account: SentenceAccount, slot: Shown | None) -> str:
        if account.number is not None:
            return f"{self.prefix}sentence-{account.number}"
        return f"{self.prefix}title-{slot.number if slot else 0}"

    def _slot(self, slot: Shown, account: SentenceAccount) -> str:
        below = ""
        if slot.costs or slot.others:
            below = f'<div class="below">{self._costs(slot)}{self._others(slot)}</div>'
        return (
            f'<section class="slot" id="{self.prefix}slot-{slot.number}" aria-label="{escape(slot.label)}">'
            f'{self._strip(slot)}{self._meta(slot)}<div class="reasons">{self._notes(slot)}{below}</div>'
            "</section>"
        )

    def _strip(self, slot: Shown) -> str:
        if slot.kind == "gap":
            return '<div class="nothing">no picture</div>'
        frames = self.strips[slot.number]
        if slot.kind == "title" or not frames:
            return f'<div class="card">{escape(self._card(slot))}</div>'
        said = f"{slot.file or KINDS[slot.kind]}, frame"
        images = "".join(
            _image(frame, f"{said} {number} of {len(frames)}") for number, frame in enumerate(frames, start=1)
        )
        return f'<div class="strip">{images}</div>'

    def _card(self, slot: Shown) -> str:
        return self.cut.slots[slot.number - 1].text or KINDS[slot.kind]

    def _meta(self, slot: Shown) -> str:
        lines = []
        if slot.kind not in ("footage", "gap", "title"):
            lines.append(f"<b>{escape(KINDS[slot.kind])}</b>")
        if slot.file:
            lines.append(f"<b>{escape(slot.file)}</b>")
        if slot.start is not None and slot.end is not None:
            speed = f", {slot.speed:.2g}x slow motion" if slot.speed < 1 else ""
            look = f", {escape(slot.look)}" if slot.look else ""
            lines.append(f"source {_from_to(slot.start, slot.end)}{speed}{look}")
        if slot.kind != "title":
            end = slot.film_start + slot.seconds
            lines.append(f"film {_from_to(slot.film_start, end)}: {slot.seconds:.2f} s, {slot.frames} frames")
        if slot.made:
            lines.append(f'<span class="made">{escape(slot.made)}</span>')
        match = "" if slot.match is None else self._match(slot)
        why = why_words(slot.kind, slot.why) if slot.kind != "gap" else ""
        said = f'<p class="minor">{escape(why)}</p>' if why else ""
        return f'<div class="meta">{"<br>".join(lines)}{match}{said}</div>'

    def _match(self, slot: Shown) -> str:
        assert slot.match is not None
        rows = (
            f'<span class="whole">match</span>{_track(slot.match)}<span class="whole">{slot.match:.2f}</span>'
        )
        rows += "".join(
            f'<span class="soft">{escape(part.says)}</span>{_track(part.value)}<span>{part.value:.2f}</span>'
            for part in slot.parts
        )
        return f'<div class="match">{rows}</div>'

    def _notes(self, slot: Shown) -> str:
        notes = [why_words(slot.kind, slot.why) if slot.kind == "gap" else "", slot.instead]
        return "".join(f'<p class="note">{escape(note)}</p>' for note in notes if note)

    def _costs(self, slot: Shown) -> str:
        told = [cost for cost in slot.costs if cost.broken or cost.cost >= MINOR]
        minor = [cost for cost in slot.costs if cost not in told and cost.cost >= 0.005]
        rows = "".join(self._cost(cost) for cost in told)
        rest = ", ".join(f"{escape(cost.rule)} {cost.cost:.2f}" for cost in minor)
        out = f'<ul class="costs">{rows}</ul>' if rows else ""
        out += f'<p class="minor">also {rest}</p>' if rest else ""
        return f"<div><h3>Costs {slot.cost:.2f}</h3>{out}</div>"

    def _cost(self, cost: RuleCost) -> str:
        style = ' class="broken"' if cost.broken else ""
        said = f": {escape(cost.fact)}" if cost.fact else ""
        alone = "" if cost.fact else f'<br><span class="soft">{escape(cost.says)}</span>'
        mark = '<span class="bad"> broken</span>' if cost.broken else ""
        return (
            f'<li{style} title="{escape(cost.says)}"><span class="n">{cost.cost:.2f}</span>'
            f"<span><b>{escape(cost.rule)}</b>{mark}{said}{alone}</span></li>"
        )

    def _others(self, slot: Shown) -> str:
        if not slot.others:
            return ""
        head = "Would do instead" if slot.kind != "gap" else "Nearest in the library"
        rows = "".join(self._other(other) for other in slot.others)
        return f'<div><h3>{head}</h3><ol class="others">{rows}</ol></div>'

    def _other(self, other: Other) -> str:
        image = (
            _image(self.pictures[other.shot], other.file) if other.shot in self.pictures else "<span></span>"
        )
        lines = [
            f"<b>{escape(other.file)}</b> {_clock(other.start)}",
            f"match {other.match:.2f}" + (f", {escape(other.look)}" if other.look else ""),
        ]
        if other.used:
            lines.append(f"shown by {self._link(other.used)}")
        elif other.difference is not None:
            why = changed(other.rules)
            lines.append(f"<b>{signed(other.difference)}</b>" + (f": {escape(why)}" if why else ""))
        if other.resolved is not None:
            found = other.resolved
            moved = f" ({len(found.moved)} do)" if found.moved else " (none does)"
            lines.append(f"{signed(found.difference)} if others may follow{moved}")
        return f"<li>{image}<span>{'<br>'.join(lines)}</span></li>"


def _image(jpeg: bytes, text: str) -> str:
    data = base64.b64encode(jpeg).decode("ascii")
    return f'<img alt="{escape(text)}" src="data:image/jpeg;base64,{data}">'


def _track(value: float) -> str:
    return f'<span class="track"><span class="fill" style="display:block;width:{value:.0%}"></span></span>'


def _mixed(value: float) -> tuple[int, int, int]:
    """The colour of a match; below 0.3 all are weak."""
    part = min(1.0, max(0.0, (value - 0.3) / 0.7))
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(LOW, HIGH, strict=True))
    return red, green, blue


def _from_to(start: float, end: float) -> str:
    if end < 60:
        return f"{start:.2f}&ndash;{end:.2f} s"
    return f"{_clock(start)}&ndash;{_clock(end)}"


def _clock(seconds: float) -> str:
    """``12.40 s`` below a minute, else ``1:02.40``."""
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds * 100), 6000)
    return f"{minutes}:{rest / 100:05.2f}"
