"""What ``build-index``, ``plan`` and ``render`` do, and how they show it."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from montage.cli.output import Output, printable
from montage.intents import told_seconds

if TYPE_CHECKING:
    from index.builder import IndexEvent
    from montage.cut import Cut
    from montage.film import Film
    from montage.intents import Intent
    from montage.rendering import RenderOptions
    from montage.session import Session, Update

__all__ = [
    "planned",
    "run_build_index",
    "run_plan",
    "run_render",
    "session_of",
    "show_kept",
    "show_update",
    "update_data",
]


MOST_COSTS = 4
"""Rules named for each slot in the table of a cut; ``explain`` names all."""


def _say_encoder(spec: str, output: Output) -> None:
    from index.encoders.registry import resolve

    name, reason = resolve(spec)
    output.note(f"encoder {name}: {reason}" if reason else f"encoder {name}")


def run_build_index(
    footage: Path,
    encoder: str,
    workers: int | None,
    store: Path | None,
    detector: str,
    output: Output,
    *,
    ray: str | None = None,
    keep_shards: bool = False,
) -> None:
    """Build or refresh an index and say what was done."""
    from index.builder import build_index

    _say_encoder(encoder, output)
    counts: dict[str, int] = {}
    began = time.monotonic()
    with output.progress("indexing", "files") as advance:

        def progress(event: IndexEvent) -> None:
            counts[event.kind] = counts.get(event.kind, 0) + 1
            advance(event.done, event.total, event.path)
            output.detail(f"{event.kind} {printable(event.path)}")

        library = build_index(
            footage,
            encoder=encoder,
            workers=workers,
            store=store,
            detector=detector,
            progress=progress,
            ray=ray,
            keep_shards=keep_shards,
        )
    seconds = time.monotonic() - began
    footage_seconds = sum(float(media.duration) for media in library.media.values())
    summary: dict[str, Any] = {
        "library": str(library.root),
        "store": str(library.store_dir),
        "encoder": library.encoder_name,
        "media": len(library.media),
        "shots": len(library.shots),
        "footage_seconds": round(footage_seconds, 3),
        "indexed": counts.get("done", 0),
        "unchanged": counts.get("reused", 0),
        "removed": counts.get("removed", 0),
        "problems": [asdict(problem) for problem in library.problems],
        "seconds": round(seconds, 3),
    }

    def show() -> None:
        for problem in library.problems:
            what = "skipped" if problem.skipped else "indexed in part"
            output.note(f"{what}: {printable(problem.path)}: {problem.reason}")
        output.line(
            f"{summary['media']} media, {summary['shots']} shots, {footage_seconds / 60:.1f} minutes; files: "
            f"{summary['indexed']} indexed, {summary['unchanged']} unchanged, {summary['removed']} removed, "
            f"{len(library.problems)} with problems; {seconds:.1f} s"
        )
        output.line(f"the index is {library.store_dir}")

    output.result(summary, show)


def session_of(
    output: Output,
    *,
    script: Path,
    library: Path | None,
    store: Path | None,
    time_limit: float,
    seed: int,
    film: Path | None = None,
    **asked: Any,
) -> Session:
    """The session of a command: what its options ask for, told from what ``render`` takes."""
    from montage.cli.generating import generation_of, signing_of
    from montage.session import SETTINGS, Session

    asked["generation"] = generation_of(asked, output)
    asked["sign"] = signing_of(asked)
    settings = {name: value for name, value in asked.items() if name in SETTINGS and value is not None}
    options = {name: value for name, value in asked.items() if name not in SETTINGS}
    return Session(
        script,
        library=library,
        store=store,
        film=film,
        settings=settings,
        options=cast("RenderOptions", options),
        seed=seed,
        time_limit=time_limit,
    )


def planned(output: Output, **options: Any) -> tuple[Cut, Session]:
    """The cut of a script, which Ctrl-C makes the best so far, and its session."""
    from montage.cli.stopping import ending_early
    from montage.wording import unmet

    session = session_of(output, **options)
    with ending_early(output) as asked:
        cut = session.plan(asked)
    for name in cut.voice.doubtful if cut.voice is not None else ():
        output.note(
            f"sentence {cut.sentence(name).number} may lie elsewhere in {session.setting('narration')}: "
            "listen to it there, or record it anew"
        )
    for sentence in cut.script.sentences:
        told = {unmet(slot.why): None for slot in cut.slots if slot.sentence == sentence.id}
        for text in filter(None, told):
            output.note(f"sentence {sentence.number}: {printable(text)}")
    return cut, session


def cut_rows(cut: Cut) -> list[dict[str, Any]]:
    """The cut as plain data, one entry a slot."""
    numbers = {sentence.id: sentence for sentence in cut.script.sentences}
    rows = []
    for slot in cut.slots:
        sentence = numbers.get(slot.sentence)
        media = cut.library.media.get(slot.media or "")
        rows.append(
            {
                "sentence": sentence.number if sentence else None,
                "pinned": slot.why.startswith("pinned"),
                "locked": bool(sentence and (sentence.directives.lock or sentence.id in cut.taste.locks)),
                "text": sentence.text if sentence else slot.text,
                "kind": slot.kind,
                "file": media.paths[0] if media else None,
                "shot": slot.shot,
                "start": None if slot.span is None else float(slot.span.start),
                "end": None if slot.span is None else float(slot.span.end),
                "speed": float(slot.speed),
                "frames": slot.frames,
                "seconds": round(float(slot.frames / cut.fps), 3),
                "match": slot.match,
                "costs": {name: round(cost, 4) for name, cost in slot.costs.items()},
                "alternates": [
                    {"shot": other.shot, "match": other.match, "start": float(other.span.start)}
                    for other in slot.alternates
                ],
                "why": slot.why,
                "take": slot.take,
            }
        )
    return rows


def _cut_data(cut: Cut) -> dict[str, Any]:
    return {
        "preset": cut.preset.name,
        "fps": str(cut.fps),
        "frames": cut.frames,
        "seconds": round(float(cut.duration), 3),
        "kept": None if cut.kept is None else {"of": cut.kept[1], "pictures": cut.kept[0]},
        "objective": cut.objective,
        "bound": cut.bound,
        "optimality_gap": cut.optimality_gap,
        "rules": dict(cut.rule_totals),
        "gaps": [sentence.number for sentence in cut.gaps],
        "slots": cut_rows(cut),
    }


def _show_cut(cut: Cut, output: Output) -> None:
    def costs(row: dict[str, Any]) -> str:
        paid = sorted(row["costs"].items(), key=lambda item: -item[1])
        return ", ".join(f"{name} {cost:.2f}" for name, cost in paid[:MOST_COSTS] if cost >= 0.05)

    def shown(row: dict[str, Any]) -> str:
        if row["file"] is None:
            return "GAP: nothing in the library shows this" if row["kind"] == "gap" else row["kind"]
        slowed = f" at {row['speed']:.2f}x" if row["speed"] != 1 else ""
        held = ", locked" if row["locked"] else ", pinned" if row["pinned"] else ""
        return f"{row['file']} {row['start']:.2f}-{row['end']:.2f}{slowed}{held}"

    output.table(
        ["#", "sentence", "shot", "s", "match", "costs", "alternates"],
        [
            (
                row["sentence"] or "",
                row["text"],
                shown(row),
                f"{row['seconds']:.2f}",
                "" if row["match"] is None else f"{row['match']:.2f}",
                costs(row),
                ", ".join(f"{other['shot']} ({other['match']:.2f})" for other in row["alternates"][:3]),
            )
            for row in cut_rows(cut)
        ],
        right="#,s,match",
    )
    rules = ", ".join(f"{name} {cost:.2f}" for name, cost in cut.rule_totals.items() if cost >= 0.005)
    output.line(f"rules: {rules or 'none broken'}")
    proven = "proven optimal" if cut.optimality_gap < 1e-9 else f"gap {cut.optimality_gap:.2%}"
    output.line(
        f"{len(cut.slots)} slots, {float(cut.duration):.1f} s; objective {cut.objective:.3f}, "
        f"bound {cut.bound:.3f}, {proven}; planned in {cut.seconds:.2f} s"
    )
    if cut.kept is not None and cut.kept[1]:
        output.line(f"{cut.kept[0]} of {cut.kept[1]} other pictures stayed")
    if cut.gaps:
        numbers = ", ".join(str(sentence.number) for sentence in cut.gaps)
        output.line(f"gaps: sentences {numbers}; render fills them (see montage render --help)")


def run_plan(output: Output, **options: Any) -> None:
    """Plan a script, save the project and show the cut."""
    cut, session = planned(output, **options)
    session.save(cut)
    wanted, reasons = session.intended(cut)
    data = {
        **_cut_data(cut),
        "generate": [_intent_data(intent) for intent in wanted],
        "not_generated": list(reasons),
    }

    def show() -> None:
        _show_cut(cut, output)
        for intent in wanted:
            output.line(f"generate: {printable(intent.line)}")
            for note in intent.notes:
                output.line(f"  not {printable(note)}")
        if wanted and all(intent.seconds is not None for intent in wanted):
            output.line(f"in all about {told_seconds(sum(intent.seconds or 0.0 for intent in wanted))}")
        for reason in reasons:
            output.line(f"not generated: {printable(reason)}")

    output.result(data, show)


def _intent_data(intent: Intent) -> dict[str, Any]:
    """What is to be generated, as plain data."""
    return {
        "sentence": intent.sentence.number,
        "model": getattr(intent.generator, "model", intent.generator.name),
        "strategy": intent.strategy,
        "prompt": intent.prompt.text,
        "negative_prompt": intent.prompt.negative,
        "takes": intent.takes,
        "shots": len(intent.pieces),
        "seed": intent.seed,
        "seconds": None if intent.seconds is None else round(intent.seconds, 1),
        "notes": list(intent.notes),
    }


def run_render(output: Output, **options: Any) -> None:
    """Plan a script, fill its gaps, render the film, and save the project."""
    began = time.monotonic()
    cut, session = planned(output, **options)
    with output.progress("rendering", "segments") as advance:
        update = session.update(progress=advance, cut=cut)
    seconds = time.monotonic() - began
    output.result(
        update_data(update, session, seconds), lambda: show_update(update, session, seconds, output)
    )


def update_data(update: Update, session: Session, seconds: float) -> dict[str, Any]:
    """What was made, as plain data."""
    made = update.film
    return {
        "film": str(made.path),
        "captions": [str(path) for path in made.captions],
        "captions_kept": [str(path) for path in made.kept],
        "project": str(session.project.path),
        "frames": made.frames,
        "seconds": round(float(made.frames / made.fps), 3),
        "segments_rendered": made.segments_rendered,
        "segments_reused": made.segments_reused,
        "fills": [asdict(fill) for fill in update.rendered.fills],
        "checks": [asdict(check) for check in made.checks],
        "cut": _cut_data(update.cut),
        "wall_seconds": round(seconds, 3),
    }


def show_update(update: Update, session: Session, seconds: float, output: Output) -> None:
    """Say what was made and that it is as planned."""
    made = update.film
    for fill in update.rendered.fills:
        output.note(fill.line)
    for check in made.checks:
        output.line(f"  {check.name}: {check.detail}")
    output.line(
        f"{made.path}: {float(made.frames / made.fps):.1f} s; segments: "
        f"{made.segments_rendered} rendered, {made.segments_reused} reused; "
        f"{len(made.checks)} checks passed; {seconds:.1f} s"
    )
    captions = f"captions {', '.join(map(str, made.captions))}" if made.captions else "no captions"
    output.line(f"{captions}, project {session.project.path}")
    show_kept(made, output)


def show_kept(made: Film, output: Output) -> None:
    """Say where captions went that had been changed by hand."""
    for path in made.kept:
        output.note(f"captions that had been changed by hand are kept as {printable(str(path))}")
