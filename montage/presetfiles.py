"""Preset files: a way of editing written down in TOML, checked line by line.

    extends = "documentary"
    says = "Quick, close, no pans."
    pace = 2.5
    idioms = ["start-wide", "emphasise the dog"]

    [weights]
    "camera moves" = 1.0

Everything may be left out; what is left out is as in the preset that it extends.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

from index.values import CAMERA_MOVES, SHOT_SIZES
from montage.directives import DirectiveError, apply_directive
from montage.presets import PRESETS, Preset
from montage.rules import RULES, Grammar
from montage.values import Directives, Idiom, MontageError

__all__ = ["may_be_written", "preset_toml", "read_preset", "write_preset"]

DEEPEST = 8
"""Most files that extend one another."""
LARGEST = 1_000_000
"""Bytes of a preset file; a larger one is none."""
MARK = "# A preset of montage."
"""First line of the files that ``write_preset`` writes, and may write over."""


class _Wrong(ValueError):
    """A value that cannot be; says what to write. ``key`` is where it stands, if that is known."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _Wrong(f"needs a number, got {_shown(value)}")
    return float(value)


def _seconds(value: Any) -> Fraction:
    number = _number(value)
    if number <= 0:
        raise _Wrong(f"needs a positive number of seconds, got {_shown(value)}")
    return Fraction(str(value))


def _share(value: Any) -> Fraction:
    if not 0 < _number(value) <= 1:
        raise _Wrong(f"needs a speed above 0 and at most 1, got {_shown(value)}")
    return Fraction(str(value))


def _spread(value: Any) -> float:
    if not 0.01 <= _number(value) <= 3:
        raise _Wrong(f"needs a number from 0.01 to 3, got {_shown(value)}")
    return _number(value)


def _count(most: int) -> Callable[[Any], int]:
    def count(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise _Wrong(f"needs a whole number from 1 to {most}, got {_shown(value)}")
        return value

    return count


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong(f'needs text in quotes, such as "calm", got {_shown(value)}')
    return value


def _idioms(value: Any) -> tuple[Idiom, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _Wrong(f'needs a list such as ["start-wide", "emphasise the dog"], got {_shown(value)}')
    directives = Directives()
    for one in value:
        try:
            directives = apply_directive(directives, f"idiom {one}")
        except DirectiveError as error:
            raise _Wrong(str(error)) from error
    return directives.idioms


def _weights(value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise _Wrong("needs a section [weights] with a number for each rule")
    out = {}
    for name, weight in value.items():
        if name not in RULES:
            raise _Wrong(f"there is no rule {name!r}{_meant(name, RULES)}", f"weights.{name}")
        try:
            out[name] = _number(weight)
        except _Wrong as error:
            raise _Wrong(f"{name} {error}", f"weights.{name}") from None
        if out[name] < 0:
            raise _Wrong(f"{name} must not be negative, got {_shown(weight)}", f"weights.{name}")
    return out


_TABLES = {"sizes": SHOT_SIZES, "moves": CAMERA_MOVES}


def _table(name: str, value: Any) -> tuple[tuple[float, ...], ...]:
    order = _TABLES[name]
    rows = isinstance(value, list) and len(value) == len(order)
    if not rows or not all(isinstance(row, list) and len(row) == len(order) for row in value):
        raise _Wrong(
            f"{name} needs {len(order)} rows of {len(order)} scores, in the order {' '.join(order)}",
            f"grammar.{name}",
        )
    try:
        table = tuple(tuple(_number(score) for score in row) for row in value)
    except _Wrong as error:
        raise _Wrong(f"{name} {error}", f"grammar.{name}") from None
    if not all(0 <= score <= 1 for row in table for score in row):
        raise _Wrong(f"{name} needs scores from 0, never, to 1, best", f"grammar.{name}")
    return table


_READ: Mapping[str, Callable[[Any], Any]] = {
    "says": _text,
    "pace": _seconds,
    "minimum": _seconds,
    "maximum": _seconds,
    "spread": _spread,
    "slowest": _share,
    "title_seconds": _seconds,
    "candidates": _count(500),
    "slots": _count(10),
    "look": _text,
    "negative": _text,
    "idioms": _idioms,
    "weights": _weights,
}
"""How each key is read; ``extends`` and ``grammar`` besides."""


def _shown(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _meant(name: str, known: Sequence[str] | Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"


def _line_of(text: str, key: str) -> int:
    """The line, from 1, where a key or section is set; ``weights.match`` is ``match`` in ``[weights]``."""
    section, _, name = key.rpartition(".")
    now = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+\s*(?:#.*)?$", line):
            now = header[1].strip("\"'")
            if not section and now == name:
                return number
        elif found := re.match(r"""\s*(?:"([^"]*)"|'([^']*)'|([\w.-]+))\s*=""", line):
            own = next(part for part in found.groups() if part is not None)
            full = f"{now}.{own}" if now else own
            if full == key or (not section and full.split(".")[0] == name):
                return number
    return 1


def read_preset(path: Path | str) -> Preset:
    """The preset of a TOML file.

    Raises:
        MontageError: if it cannot be read, or says what cannot be; with the line.
    """
    return _read(Path(path), ())


def _read(path: Path, before: tuple[Path, ...]) -> Preset:
    if path.resolve() in before or len(before) > DEEPEST:
        raise MontageError(f"{path}: preset files extend one another in a circle: extend a preset by name")
    try:
        if path.stat().st_size > LARGEST:
            raise MontageError(f"{path} is too large for a preset file: is it another file?")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise MontageError(f"cannot read the preset file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MontageError(f"the preset file {path} is no UTF-8: save it as UTF-8") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        where = f"{path}:{place[1]}:{place[2]}" if place else f"{path}:{len(text.splitlines()) or 1}"
        raise MontageError(f"{where}: this is no TOML: {str(error).split(' (at')[0]}") from error

    def refuse(key: str, message: str) -> MontageError:
        return MontageError(f"{path}:{_line_of(text, key)}: {message}")

    known = ("extends", *_READ, "grammar")
    for key in data:
        if key not in known:
            raise refuse(key, f"there is no setting {key!r}{_meant(key, known)}")
    base = _base(data.get("extends", "documentary"), path, before, refuse)
    values: dict[str, Any] = {one.name: getattr(base, one.name) for one in fields(base)}
    values["name"] = path.stem
    for key, read in _READ.items():
        if key in data:
            try:
                value = read(data[key])
            except _Wrong as error:
                named = str(error) if error.key else f"{key} {error}"
                raise refuse(error.key or key, named) from error
            values[key] = {**base.weights, **value} if key == "weights" else value
    if "grammar" in data:
        values["grammar"] = _grammar(data["grammar"], base.grammar, refuse)
    _in_order(values, data, refuse)
    try:
        return Preset(**values)
    except ValueError as error:
        raise MontageError(f"{path}: {error}") from error


Refuse = Callable[[str, str], MontageError]
"""Makes the error of a key: the key, and what is wrong."""


def _base(name: Any, path: Path, before: tuple[Path, ...], refuse: Refuse) -> Preset:
    if isinstance(name, str) and name in PRESETS:
        return PRESETS[name]
    if isinstance(name, str) and name.endswith(".toml"):
        return _read(path.parent / name, (*before, path.resolve()))
    raise refuse(
        "extends", f"extends needs one of {', '.join(PRESETS)}, or a preset file, got {_shown(name)}"
    )


def _grammar(data: Any, base: Grammar, refuse: Refuse) -> Grammar:
    if not isinstance(data, dict):
        raise refuse("grammar", "grammar needs a section [grammar] with sizes and moves")
    for key in data:
        if key not in _TABLES:
            raise refuse(f"grammar.{key}", f"there is no grammar of {key!r}{_meant(key, _TABLES)}")
    tables = {name: getattr(base, name) for name in _TABLES}
    for name, value in data.items():
        try:
            tables[name] = _table(name, value)
        except _Wrong as error:
            raise refuse(error.key, str(error)) from error
    return Grammar(**tables)


def _in_order(values: Mapping[str, Any], data: Mapping[str, Any], refuse: Refuse) -> None:
    """The three lengths must be in order; the one that the file sets is to blame."""
    low, pace, high = values["minimum"], values["pace"], values["maximum"]
    if not low <= pace <= high:
        blamed = next((key for key in ("pace", "minimum", "maximum") if key in data), "pace")
        raise refuse(
            blamed,
            f"pace must lie between minimum and maximum, got minimum {float(low):g}, pace {float(pace):g}, "
            f"maximum {float(high):g}: change {blamed}, or set the others too",
        )


def preset_toml(preset: Preset, notes: Sequence[str] = ()) -> str:
    """The preset as the text of a file that ``read_preset`` reads, its lengths to the millisecond.

    ``notes`` stand at its head as comments.
    """
    lines = [MARK, *(f"# {note}" if note else "#" for note in notes), ""]
    lines.append(f"says = {_quoted(preset.says)}")
    for key, comment in (
        ("pace", "seconds that a picture is best held"),
        ("minimum", "shortest picture, seconds"),
        ("maximum", "longest picture, seconds"),
        ("spread", "standard deviation of the logarithm of lengths"),
        ("slowest", "a short shot may be slowed down to this speed"),
        ("title_seconds", "length of a title card"),
        ("candidates", "shots considered for each sentence"),
        ("slots", "most pictures of one sentence"),
    ):
        value = getattr(preset, key)
        shown = f"{value}" if isinstance(value, int) else f"{round(float(value), 3):g}"
        lines.append(f"{key} = {shown}  # {comment}")
    for key, comment in (
        ("look", "how generated shots look"),
        ("negative", "what generated shots should not show"),
    ):
        lines.append(f"{key} = {_quoted(getattr(preset, key))}  # {comment}")
    if preset.idioms:
        told = [f"{one.name} {one.subject}".strip() for one in preset.idioms]
        lines.append(f"idioms = [{', '.join(map(_quoted, told))}]")
    lines += ["", "[weights]  # those of other rules are their own"]
    lines += [f"{_quoted(name)} = {weight:g}" for name, weight in sorted(preset.weights.items())]
    lines += ["", "[grammar]  # row before column; 1 is best"]
    for name, order in _TABLES.items():
        lines += [f"# {' '.join(order)}", f"{name} = ["]
        lines += [
            f"    [{', '.join(f'{round(score, 3):g}' for score in row)}],"
            for row in getattr(preset.grammar, name)
        ]
        lines.append("]")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'


def may_be_written(path: Path | str) -> None:
    """Make sure that a preset may be written there: only a file that begins as such files do is written over.

    Raises:
        MontageError: if it may not.
    """
    path = Path(path)
    if path.suffix.lower() != ".toml":
        raise MontageError(f"a preset file ends in .toml, got {path.name!r}: change its name")
    try:
        taken = path.exists() and not path.read_bytes().startswith(MARK.encode())
    except OSError as error:
        raise MontageError(f"cannot write the preset file {path}: {error.strerror}") from error
    if taken:
        raise MontageError(f"{path} is there and was not written by montage: name another file")


def write_preset(preset: Preset, path: Path | str, notes: Sequence[str] = ()) -> Path:
    """Write a preset file where it may be written.

    Raises:
        MontageError: if another file is there, or it cannot be written.
    """
    path = Path(path)
    may_be_written(path)
    try:
        path.write_text(preset_toml(preset, notes), encoding="utf-8")
    except OSError as error:
        raise MontageError(f"cannot write the preset file {path}: {error.strerror}") from error
    return path
