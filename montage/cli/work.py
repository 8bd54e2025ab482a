"""What ``build-index``, ``plan`` and ``render`` do, and how they show it."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from montage.cli.output import Output, printable

if TYPE_CHECKING:
    from index.builder import IndexEvent
    from index.library import Library
    from montage.cut import Cut
    from montage.formats import CodecName, Fit, Quality
    from montage.gaps import Fallback
    from montage.project import Project

__all__ = ["open_library", "planned", "run_build_index", "run_plan", "run_render"]


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


def open_library(library: Path | None, store: Path | None, near: Path) -> Library:
    """The library asked for, else the only one in or one level below ``near``.

    Raises:
        FootageError: if there is none, or more than one.
    """
    from index.base import FootageError
    from index.library import Library, find_library, root_of_store

    if library is None and store is not None:
        library = root_of_store(store)
    if library is not None:
        return Library.open(library, store)
    found = find_library(near)
    if len(found) == 1:
        return Library.open(found[0])
    if not found:
        raise FootageError(
            f"no library in or one level below {near}: run `montage build-index FOLDER` first, or name the "
            "footage folder with --library"
        )
    names = ", ".join(str(folder) for folder in found)
    raise FootageError(f"several libraries in or below {near} ({names}): name one with --library")


def planned(
    output: Output,
    script: Path,
    library: Path | None,
    store: Path | None,
    preset: str | None,
    length: str | None,
    fps: Fraction | None,
    time_limit: float,
    seed: int,
) -> tuple[Cut, Project, dict[str, Any]]:
    """The cut of a script, its project, and the settings that made it: options first, then the project's."""
    from montage.cli.stopping import ending_early
    from montage.clock import film_length
    from montage.planning import plan
    from montage.project import Project
    from montage.script import read_script

    project = Project.for_script(script)
    base = script.resolve().parent
    library, store = _places(project, library, store, base)
    opened = open_library(library, store, base)
    fps = fps or Fraction(project.setting("fps") or 25)
    chosen, preset = _preset(project, preset, base)
    length = project.setting("length") if length is None else length
    length = None if length == "none" else length
    read = read_script(script)
    with ending_early(output) as asked:
        cut = plan(
            read,
            opened,
            chosen,
            fps=fps,
            length=None if length is None else film_length(length),
            previous=project,
            seed=seed,
            time_limit=time_limit,
            cancel=asked,
        )
    settings = {
        "fps": str(fps),
        "length": length,
        "library": _relative(opened.root, base),
        "preset": preset,
        "store": None if store is None else _relative(store, base),
    }
    return cut, project, settings


def _preset(project: Project, asked: str | None, base: Path) -> tuple[str, str]:
    """(name or file of the preset, how the project remembers it: a file by its way from the script)."""
    from montage.presets import PRESETS

    def is_file(name: str) -> bool:
        return name not in PRESETS and (name.endswith(".toml") or Path(name).name != name)

    if asked is not None:
        return asked, _relative(Path(asked), base) if is_file(asked) else asked
    saved = project.setting("preset") or "documentary"
    return str(base / saved) if is_file(saved) else saved, saved


def _places(
    project: Project, library: Path | None, store: Path | None, base: Path
) -> tuple[Path | None, Path | None]:
    """(library, store): as asked for, else as the project remembers them; a store goes with its library.

    Raises:
        MontageError: if the library that the project remembers is gone.
    """
    from montage.values import MontageError

    if store is not None or not project.setting("library"):
        return library, store
    saved = base / project.setting("library")
    if library is None:
        if not saved.is_dir():
            raise MontageError(
                f"{project.path.name} was made with the footage in {saved}, which is not there: bring it "
                "back, or name its new place with --library"
            )
        library = saved
    same = library.resolve() == saved.resolve()
    return library, base / project.setting("store") if same and project.setting("store") else None


def _relative(path: Path, base: Path) -> str:
    """``path`` from ``base`` where that is possible, so that a project can be moved with its footage."""
    try:
        return Path(os.path.relpath(path.resolve(), base)).as_posix()
    except ValueError:  # another drive of Windows
        return str(path.resolve())


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
                "pinned": bool(sentence and (sentence.directives.pin or sentence.id in cut.taste.pins)),
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
    cut, project, settings = planned(output, **options)
    project.updated(cut, settings).save()
    output.result(_cut_data(cut), lambda: _show_cut(cut, output))


def run_render(
    output: Output,
    *,
    script: Path,
    film: Path | None,
    size: tuple[int, int] | None,
    fit: Fit | None,
    quality: Quality,
    codec: CodecName | None,
    encoder_video: str,
    model: Path | None,
    fallback: Fallback,
    gates: bool,
    **options: Any,
) -> None:
    """Plan a script, fill its gaps, render the film, and save the project."""
    from montage.formats import CONTAINERS, suffix_for
    from montage.rendering import render_cut

    began = time.monotonic()
    cut, project, settings = planned(output, script=script, **options)
    width, height = size or project.setting("size") or (1920, 1080)
    fit = cast("Fit", fit or project.setting("fit") or "crop")
    saved = cast("CodecName | None", project.setting("codec"))
    if quality == "draft":
        saved = codec
    film = film or script.with_suffix(suffix_for(codec or saved))
    if codec is None and saved in getattr(CONTAINERS.get(film.suffix.lower()), "codecs", ()):
        codec = saved
    with output.progress("rendering", "segments") as advance:
        rendered = render_cut(
            cut,
            film,
            size=(width, height),
            fit=fit,
            quality=quality,
            codec=codec,
            encoder_video=encoder_video,
            model=model,
            fallback=fallback,
            gates=gates,
            progress=advance,
        )
    project = project.updated(
        rendered.cut, {**settings, "codec": codec or saved, "fit": fit, "size": [width, height]}
    )
    project.save()
    made = rendered.film
    seconds = time.monotonic() - began
    data = {
        "film": str(made.path),
        "captions": str(made.captions) if made.captions else None,
        "project": str(project.path),
        "frames": made.frames,
        "seconds": round(float(made.frames / made.fps), 3),
        "segments_rendered": made.segments_rendered,
        "segments_reused": made.segments_reused,
        "fills": [asdict(fill) for fill in rendered.fills],
        "checks": [asdict(check) for check in made.checks],
        "cut": _cut_data(rendered.cut),
        "wall_seconds": round(seconds, 3),
    }

    def show() -> None:
        for fill in rendered.fills:
            output.note(fill.line)
        for check in made.checks:
            output.line(f"  {check.name}: {check.detail}")
        output.line(
            f"{made.path}: {float(made.frames / made.fps):.1f} s; segments: "
            f"{made.segments_rendered} rendered, {made.segments_reused} reused; "
            f"{len(made.checks)} checks passed; {seconds:.1f} s"
        )
        captions = f"captions {made.captions}" if made.captions else "no captions"
        output.line(f"{captions}, project {project.path}")

    output.result(data, show)
