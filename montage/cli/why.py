"""What ``explain`` and ``storyboard`` do, and how an explanation reads on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from montage.cli.output import Output, printable
from montage.cli.work import planned

if TYPE_CHECKING:
    from montage.explanation import Explanation, Other, SentenceAccount, Shown

__all__ = ["run_explain", "run_storyboard"]


def run_explain(output: Output, *, sentence: int | None, **options: Any) -> None:
    """Plan a script and say why; nothing is saved.

    Raises:
        MontageError: if there is no such sentence.
    """
    cut, _ = planned(output, **options)
    told = cut.explain(sentence)

    def show() -> None:
        if sentence is None:
            _show_cut(told, output)
        else:
            _show_sentence(told, told.sentences[0], output)

    output.result(told.as_data(), show)


def run_storyboard(output: Output, *, page: Path | None, script: Path, **options: Any) -> None:
    """Plan a script and draw the cut as a page; nothing else is saved."""
    from montage.storyboard import write_storyboard

    cut, _ = planned(output, script=script, **options)
    page = page or script.with_suffix(".html")
    with output.progress("drawing", "slots") as advance:
        write_storyboard(cut, page, progress=advance)
    size = page.stat().st_size
    data = {"storyboard": str(page), "slots": len(cut.slots), "gaps": len(cut.gaps), "bytes": size}
    output.result(data, lambda: output.line(f"{page}: {len(cut.slots)} slots, {size / 1e6:.1f} MB"))


def _show_cut(told: Explanation, output: Output) -> None:
    from montage.wording import share_words, uncovered_words

    output.line(
        f"{told.seconds:.1f} s at {told.fps:g} frames a second, preset {printable(told.preset)}; all rules "
        f"together cost {told.objective:.2f}"
    )
    left_out = uncovered_words([total.rule for total in told.rules if not total.covered])
    for text in (told.best, left_out, told.length, told.kept, *told.notes):
        if text:
            output.line(text)
    output.line("")
    broken = [total for total in told.rules if total.broken]
    if broken:
        rows: list[tuple[str, ...]] = []
        for total in broken:
            head = (total.rule, f"{total.cost:.2f}", share_words(total.share))
            for label, said in total.broken:
                rows.append((*head, label, said))
                head = ("", "", "")
        output.table(["rule broken", "cost", "share", "where", "what"], rows, right="cost,share")
    else:
        output.line("no rule is broken")
    rest = ", ".join(f"{t.rule} {t.cost:.2f}" for t in told.rules if not t.broken and t.cost >= 0.005)
    if rest:
        output.line(f"costs without breach: {rest}")
    _show_hard(told, output)
    output.line("")
    output.table(
        ["#", "shown", "s", "match", "cost", "mostly"],
        [row for account in told.sentences for row in _rows(account)],
        right="#,s,match,cost",
    )


def _rows(account: SentenceAccount) -> list[tuple[str, ...]]:
    from montage.wording import why_words

    number = "" if account.number is None else str(account.number)
    if not account.slots:
        return [(number, "(skipped)", "", "", "", "")]
    out: list[tuple[str, ...]] = []
    for slot in account.slots:
        mostly = "; ".join(
            f"{cost.rule} {cost.cost:.2f}{' BROKEN' if cost.broken else ''}"
            for cost in slot.costs[:3]
            if cost.cost >= 0.005
        )
        if slot.kind == "gap":
            mostly = why_words(slot.kind, slot.why)
        match = "" if slot.match is None else f"{slot.match:.2f}"
        cost = f"{slot.cost:.2f}" if slot.costs else ""
        out.append((number, _what(slot, account), f"{slot.seconds:.2f}", match, cost, mostly))
        number = ""
    return out


def _what(slot: Shown, account: SentenceAccount) -> str:
    from montage.wording import KINDS

    if slot.kind == "title":
        return f"title: {account.text}"
    if slot.kind == "gap":
        return "GAP"
    name = slot.file or KINDS[slot.kind]
    return name if slot.start is None or slot.end is None else f"{name} {slot.start:.2f}-{slot.end:.2f}"


def _show_hard(told: Explanation, output: Output) -> None:
    bad = [one for one in told.hard if not one.kept]
    if told.hard and not bad:
        output.line(f"all {len(told.hard)} hard rules are kept")
    for one in bad:
        output.line(f"HARD RULE BROKEN: {one.rule}: {one.detail}")


def _show_sentence(told: Explanation, account: SentenceAccount, output: Output) -> None:
    output.line(f"{account.number}. {printable(account.text)}")
    if account.count:
        output.line(account.count)
    for slot in account.slots:
        output.line("")
        _show_slot(told, slot, account, output)
    output.line("")
    output.line(f"the whole cut costs {told.objective:.2f}: {told.best}")


def _show_slot(told: Explanation, slot: Shown, account: SentenceAccount, output: Output) -> None:
    from montage.wording import why_words

    look = f", {slot.look}" if slot.look else ""
    slowed = f", {slot.speed:.2g}x slow motion" if slot.speed < 1 else ""
    end = slot.film_start + slot.seconds
    output.line(f"{slot.label}: {printable(_what(slot, account))}{look}{slowed}")
    output.line(f"film {slot.film_start:.2f}-{end:.2f}, {slot.seconds:.2f} s, {slot.frames} frames")
    if slot.match is not None:
        parts = "; ".join(f"{part.says} {part.value:.2f}" for part in slot.parts)
        output.line(f"match {slot.match:.2f}{f': {parts}' if parts else ''}")
    for text in (slot.made, why_words(slot.kind, slot.why), slot.instead):
        if text:
            output.line(printable(text))
    costs = [cost for cost in slot.costs if cost.broken or cost.cost >= 0.005]
    if costs:
        output.line("")
        output.table(
            ["rule", "cost", "", "what was measured", "what the rule says"],
            [
                (cost.rule, f"{cost.cost:.2f}", "BROKEN" if cost.broken else "", cost.fact, cost.says)
                for cost in costs
            ],
            right="cost",
        )
        output.line(f"together {slot.cost:.2f} of {told.objective:.2f}")
    if slot.others:
        output.line("")
        output.table(
            ["", "instead", "match", "alone", "mostly", "others follow", "which"],
            [_other_row(other) for other in slot.others],
            right="match,alone",
        )


def _other_row(other: Other) -> tuple[str, ...]:
    from montage.wording import changed, signed

    alone, mostly = "", f"shown by {other.used}" if other.used else "cannot change alone"
    if other.difference is not None:
        alone, mostly = signed(other.difference), changed(other.rules)
    best, moved = "", ""
    if other.resolved is not None:
        exact = "" if other.resolved.proven else f", not under {signed(other.resolved.least)}"
        best, moved = signed(other.resolved.difference) + exact, "; ".join(other.resolved.moved) or "none"
    where = f"{other.file} {other.start:.2f}-{other.end:.2f}"
    return str(other.number or ""), where, f"{other.match:.2f}", alone, mostly, best, moved
