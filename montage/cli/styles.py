"""What ``learn-style`` and ``presets`` do, and how they show it."""

from __future__ import annotations

from pathlib import Path

from montage.cli.output import Output, printable

__all__ = ["run_learn_style", "run_presets"]


def run_learn_style(film: Path, target: Path, extends: str, output: Output) -> None:
    """Learn the style of a film and write it as a preset file."""
    from montage.presetfiles import may_be_written, write_preset
    from montage.presets import load_preset
    from montage.style import read_style

    may_be_written(target)
    base = load_preset(extends)
    with output.progress("measuring", "s") as advance:
        style = read_style(film, progress=advance)
    preset = style.preset(target.stem, base)
    write_preset(preset, target, style.notes())
    data = {
        "preset": str(target),
        "film": str(film),
        "extends": base.name,
        "shots": len(style.lengths),
        "left_out": style.left_out,
        "pictures_a_minute": round(style.rate, 3),
        "pace": float(preset.pace),
        "minimum": float(preset.minimum),
        "maximum": float(preset.maximum),
        "spread": preset.spread,
        "slots": preset.slots,
        "sizes": style.sizes,
        "moves": style.moves,
    }

    def show() -> None:
        for note in style.notes():
            output.line(printable(note))
        output.line(
            f"{target}: pace {float(preset.pace):g} s, from {float(preset.minimum):g} to "
            f"{float(preset.maximum):g} s, spread {preset.spread:g}; cut with it: --preset {target}"
        )

    output.result(data, show)


def run_presets(name: str | None, output: Output) -> None:
    """The presets as a table, or one of them as the text of a preset file."""
    from montage.presetfiles import preset_toml
    from montage.presets import PRESETS, load_preset

    if name is not None:
        preset = load_preset(name)
        text = preset_toml(preset)
        output.result({"name": preset.name, "toml": text}, lambda: output.line(text.rstrip("\n")))
        return
    rows = [
        {
            "name": preset.name,
            "says": preset.says,
            "pace": float(preset.pace),
            "minimum": float(preset.minimum),
            "maximum": float(preset.maximum),
        }
        for preset in PRESETS.values()
    ]

    def show() -> None:
        output.table(
            ["preset", "pace", "from", "to", "what it does"],
            [
                (r["name"], f"{r['pace']:g}", f"{r['minimum']:g}", f"{r['maximum']:g}", r["says"])
                for r in rows
            ],
            right="pace,from,to",
        )

    output.result(rows, show)
