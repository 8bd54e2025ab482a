"""Directives: what a script asks for in square brackets before a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Literal, get_args

from index.base import Span
from index.values import CAMERA_MOVES, CameraMove, ShotSize
from montage.values import Directives, Pin

__all__ = ["DIRECTIVE_NAMES", "SHOT_SIZE_WORDS", "DirectiveError", "apply_directive", "directive_name"]

DIRECTIVE_NAMES = ("hold", "pin", "size", "move", "generate", "skip")

SHOT_SIZE_WORDS: dict[str, ShotSize] = {
    "els": "ELS",
    "extreme long": "ELS",
    "extreme wide": "ELS",
    "very wide": "ELS",
    "establishing": "ELS",
    "aerial": "ELS",
    "大远景": "ELS",
    "远景": "ELS",
    "ls": "LS",
    "ws": "LS",
    "long": "LS",
    "wide": "LS",
    "full": "LS",
    "全景": "LS",
    "ms": "MS",
    "medium": "MS",
    "mid": "MS",
    "waist": "MS",
    "中景": "MS",
    "cu": "CU",
    "close": "CU",
    "close up": "CU",
    "closeup": "CU",
    "近景": "CU",
    "特写": "CU",
    "アップ": "CU",
    "ecu": "ECU",
    "extreme close up": "ECU",
    "extreme closeup": "ECU",
    "big close up": "ECU",
    "detail": "ECU",
    "macro": "ECU",
    "大特写": "ECU",
}
"""Words for a shot size; hyphens count as spaces, and a trailing "shot" is ignored."""

_KindOfMove = Literal["static", "pan", "tilt", "zoom", "handheld"]
_KINDS_OF_MOVE: tuple[_KindOfMove, ...] = get_args(_KindOfMove)
_SECONDS = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|sec|seconds?)?")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{1,2}(?:\.\d+)?)")
# A word processor writes a hyphen between numbers as an en dash or an em dash.
_RANGE = re.compile(r"\s*([\d:.]+)\s*s?\s*[-\u2013\u2014]\s*([\d:.]+)\s*s?\s*", re.IGNORECASE)
# What follows the last @ and holds nothing but these was meant as times, however badly they are written.
_LOOKS_LIKE_TIME = re.compile(r"[\d\s,.:;~s\u2013\u2014-]+", re.IGNORECASE)


class DirectiveError(ValueError):
    """A directive that is unknown or whose argument makes no sense; the message does not say where."""


def _time(text: str) -> Fraction | None:
    """Exact seconds of ``3``, ``3s``, ``250ms``, ``0:12.5`` or ``1:02:03``; None if it is none of these."""
    text = text.strip().lower()
    if match := _CLOCK.fullmatch(text):
        hours, minutes, seconds = match.groups()
        return (int(hours or 0) * 60 + int(minutes)) * 60 + Fraction(seconds)
    if match := _SECONDS.fullmatch(text):
        value = Fraction(match[1])
        return value / 1000 if match[2] == "ms" else value
    return None


def _hold(directives: Directives, argument: str) -> Directives:
    seconds = _time(argument)
    if seconds is None or seconds <= 0:
        raise DirectiveError(f"[{f'hold {argument}'.strip()}] needs a positive length, such as [hold 3s]")
    return replace(directives, hold=seconds)


def _pin(directives: Directives, argument: str) -> Directives:
    name, at, tail = argument.rpartition("@")
    span = None
    if at and tail.strip() and _LOOKS_LIKE_TIME.fullmatch(tail):
        times = _RANGE.fullmatch(tail)
        start, end = (_time(times[1]), _time(times[2])) if times else (None, None)
        if start is None or end is None:
            raise DirectiveError(
                f"[pin {argument}] needs a start and an end in seconds, such as [pin beach.mp4@12.5-15] or "
                "[pin beach.mp4@0:12.5-0:15], with a point before the decimals"
            )
        if end <= start:
            raise DirectiveError(f"[pin {argument}] ends before it starts: write the earlier time first")
        span = Span(start, end)
    else:
        name = argument
    name = name.strip()
    if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'":
        name = name[1:-1]
    if not name:
        raise DirectiveError("[pin] needs a file of the library, such as [pin beach.mp4@12.5-15]")
    return replace(directives, pin=Pin(name, span))


def _size(directives: Directives, argument: str) -> Directives:
    words = re.sub(r"[\s_-]+", " ", argument.casefold()).strip().removesuffix(" shot")
    if words not in SHOT_SIZE_WORDS:
        raise DirectiveError(
            f"[size {argument}] is no shot size: write extreme-wide, wide, medium, close-up or detail "
            "(or ELS, LS, MS, CU, ECU)"
        )
    return replace(directives, size=SHOT_SIZE_WORDS[words])


def _move(directives: Directives, argument: str) -> Directives:
    word = re.sub(r"[\s_-]+", "-", argument.casefold().strip())
    named: dict[str, _KindOfMove | CameraMove] = {kind: kind for kind in _KINDS_OF_MOVE}
    named.update((move, move) for move in CAMERA_MOVES)
    if word not in named:
        raise DirectiveError(
            f"[move {argument}] is no camera move: write {', '.join(_KINDS_OF_MOVE)}, or one with its "
            "direction, such as pan-left or zoom-in"
        )
    return replace(directives, move=named[word])


def _generate(directives: Directives, argument: str) -> Directives:
    if argument:
        raise DirectiveError(f"[generate] takes nothing after it, got {argument!r}")
    return replace(directives, generate=True)


def _skip(directives: Directives, argument: str) -> Directives:
    if argument:
        raise DirectiveError(f"[skip] takes nothing after it, got {argument!r}")
    return replace(directives, skip=True)


_APPLY: dict[str, Callable[[Directives, str], Directives]] = {
    "hold": _hold,
    "pin": _pin,
    "size": _size,
    "move": _move,
    "generate": _generate,
    "skip": _skip,
}


def directive_name(text: str) -> str:
    """The first word of what stands between the brackets, in lower case."""
    return text.strip().split(maxsplit=1)[0].casefold() if text.strip() else ""


def apply_directive(directives: Directives, text: str) -> Directives:
    """``directives`` with one more, written as ``text`` between the brackets (``hold 3s``).

    Raises:
        DirectiveError: if it is unknown, its argument makes no sense, it is given twice, or it contradicts
            another.
    """
    name = directive_name(text)
    if name not in _APPLY:
        known = ", ".join(DIRECTIVE_NAMES)
        raise DirectiveError(f"unknown directive [{text.strip()}]; known ones are {known}")
    if getattr(directives, name) not in (None, False):
        raise DirectiveError(f"[{name}] is given twice for one sentence: keep one")
    argument = text.strip()[len(name) :].strip()
    out = _APPLY[name](directives, argument)
    if out.pin is not None and out.generate:
        raise DirectiveError("[pin] and [generate] contradict each other: keep one")
    return out
