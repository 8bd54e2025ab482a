"""Directives: what a script asks for in square brackets before a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, get_args

from index.values import CAMERA_MOVES, CameraMove, ShotSize
from montage.clock import clock_seconds, clock_span
from montage.values import IDIOM_NAMES, Directives, Idiom, Pin

__all__ = ["DIRECTIVE_NAMES", "SHOT_SIZE_WORDS", "DirectiveError", "apply_directive", "directive_name"]

DIRECTIVE_NAMES = (
    "hold",
    "pin",
    "size",
    "move",
    "lock",
    "prefer",
    "ban",
    "idiom",
    "generate",
    "prompt",
    "skip",
)

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

_TOLD_MOVES: dict[str, CameraMove] = {
    "dolly-in": "zoom-in",
    "dolly-out": "zoom-out",
    "push-in": "zoom-in",
    "pull-out": "zoom-out",
    "truck-left": "pan-left",
    "truck-right": "pan-right",
    "crane-up": "tilt-up",
    "crane-down": "tilt-down",
    "pedestal-up": "tilt-up",
    "pedestal-down": "tilt-down",
}
"""Moves of the whole camera, and the move of footage that looks most like each."""

_KindOfMove = Literal["static", "pan", "tilt", "zoom", "handheld"]
_KINDS_OF_MOVE: tuple[_KindOfMove, ...] = get_args(_KindOfMove)
# What follows the last @ and holds nothing but these was meant as times, however badly they are written.
_LOOKS_LIKE_TIME = re.compile(r"[\d\s,.:;~s\u2013\u2014-]+", re.IGNORECASE)


_SEVERAL = ("prefer", "ban", "idiom")
"""What one sentence may have several of."""
_COMMA = re.compile(r"""[,\uff0c\u3001](?=(?:[^"]|"[^"]*")*$)""")
_SEPARATOR = re.compile(r"[\s_-]+")
_IDIOM = re.compile(
    r"(start[\s_-]+wide|intensify|peaks[\s_-]+and[\s_-]+valleys|emphasi[sz]e|none)\b[\s:]*(.*)", re.IGNORECASE
)


class DirectiveError(ValueError):
    """A directive that is unknown or whose argument makes no sense; the message does not say where."""


def _hold(directives: Directives, argument: str) -> Directives:
    seconds = clock_seconds(argument)
    if seconds is None or seconds <= 0:
        raise DirectiveError(f"[{f'hold {argument}'.strip()}] needs a positive length, such as [hold 3s]")
    return replace(directives, hold=seconds)


def _shot(name: str, argument: str) -> Pin:
    """The file, and the times in it, that ``argument`` of the directive ``name`` means."""
    file, at, tail = argument.rpartition("@")
    span = None
    if at and tail.strip() and _LOOKS_LIKE_TIME.fullmatch(tail):
        try:
            span = clock_span(tail)
        except ValueError as error:
            raise DirectiveError(f"[{name} {argument}] ends before it starts: {error}") from error
        if span is None:
            raise DirectiveError(
                f"[{name} {argument}] needs a start and an end in seconds, such as "
                f"[{name} beach.mp4@12.5-15] or [{name} beach.mp4@0:12.5-0:15], with a point before the "
                "decimals"
            )
    else:
        file = argument
    file = file.strip()
    if len(file) > 1 and file[0] == file[-1] and file[0] in "\"'":
        file = file[1:-1]
    if not file:
        raise DirectiveError(f"[{name}] needs a file of the library, such as [{name} beach.mp4@12.5-15]")
    return Pin(file, span)


def _pin(directives: Directives, argument: str) -> Directives:
    return replace(directives, pin=_shot("pin", argument))


def _prefer(directives: Directives, argument: str) -> Directives:
    return replace(directives, prefer=(*directives.prefer, _shot("prefer", argument)))


def _ban(directives: Directives, argument: str) -> Directives:
    return replace(directives, ban=(*directives.ban, _shot("ban", argument)))


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
    if word in _TOLD_MOVES:
        return replace(directives, move=_TOLD_MOVES[word], camera=word)
    if word not in named:
        raise DirectiveError(
            f"[move {argument}] is no camera move: write {', '.join(_KINDS_OF_MOVE)}, or one with its "
            f"direction, such as pan-left or zoom-in, or a move of the whole camera: {', '.join(_TOLD_MOVES)}"
        )
    return replace(directives, move=named[word])


def _prompt(directives: Directives, argument: str) -> Directives:
    if not argument:
        raise DirectiveError("[prompt] needs what the shot should show, such as [prompt a fox at dawn]")
    return replace(directives, prompt=" ".join(argument.split()))


def _idiom(directives: Directives, argument: str) -> Directives:
    found: list[Idiom] = []
    for words in _COMMA.split(argument):
        match = _IDIOM.fullmatch(words.strip())
        name = _SEPARATOR.sub("-", match[1].casefold()).replace("emphasize", "emphasise") if match else ""
        subject = match[2].strip() if match else ""
        if len(subject) > 1 and subject[0] == subject[-1] and subject[0] in "\"'":
            subject = subject[1:-1].strip()
        if name == "none" and not subject:
            if argument.strip().casefold() != "none" or directives.idioms:
                raise DirectiveError("[idiom none] and another idiom contradict each other: keep one")
            return replace(directives, no_idioms=True)
        known = next((known for known in IDIOM_NAMES if known == name), None)
        if known == "emphasise" and not subject:
            raise DirectiveError("[idiom emphasise] needs what it shows, such as [idiom emphasise the dog]")
        if known is None or (subject and known != "emphasise"):
            raise DirectiveError(
                f"[idiom {argument}]: {words.strip() or 'nothing'!r} is no idiom: write start-wide, "
                "intensify, peaks-and-valleys, emphasise with a subject, or none; a comma between several"
            )
        idiom = Idiom(known, subject)
        if idiom in directives.idioms or idiom in found:
            raise DirectiveError(f"the idiom {words.strip()} is given twice for one paragraph: keep one")
        found.append(idiom)
    return replace(directives, idioms=(*directives.idioms, *found))


def _alone(name: str) -> Callable[[Directives, str], Directives]:
    """A directive that is a word alone."""

    def apply(directives: Directives, argument: str) -> Directives:
        if argument:
            raise DirectiveError(f"[{name}] takes nothing after it, got {argument!r}")
        if name == "lock":
            return replace(directives, lock=True)
        return replace(directives, generate=True) if name == "generate" else replace(directives, skip=True)

    return apply


_APPLY: dict[str, Callable[[Directives, str], Directives]] = {
    "hold": _hold,
    "pin": _pin,
    "size": _size,
    "move": _move,
    "lock": _alone("lock"),
    "prefer": _prefer,
    "ban": _ban,
    "idiom": _idiom,
    "generate": _alone("generate"),
    "prompt": _prompt,
    "skip": _alone("skip"),
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
    if name not in _SEVERAL and getattr(directives, name) not in (None, False, ""):
        raise DirectiveError(f"[{name}] is given twice for one sentence: keep one")
    if name == "idiom" and directives.no_idioms:
        raise DirectiveError("[idiom none] and another idiom contradict each other: keep one")
    argument = text.strip()[len(name) :].strip()
    out = _APPLY[name](directives, argument)
    _check(out)
    return out


def _check(directives: Directives) -> None:
    """Refuse what contradicts itself within one sentence."""
    for one, other in (("pin", "generate"), ("lock", "pin"), ("lock", "generate"), ("lock", "skip")):
        if getattr(directives, one) and getattr(directives, other):
            raise DirectiveError(f"[{one}] and [{other}] contradict each other: keep one")
    for name in ("prefer", "ban"):
        shots: tuple[Pin, ...] = getattr(directives, name)
        for place, shot in enumerate(shots):
            if shot in shots[:place]:
                raise DirectiveError(f"[{name} {_written(shot)}] is given twice for one sentence: keep one")
    wanted = [("pin", directives.pin)] if directives.pin is not None else []
    for name, shot in [*wanted, *(("prefer", shot) for shot in directives.prefer)]:
        for banned in directives.ban:
            if _plain(shot.file) != _plain(banned.file):
                continue
            if banned.span is None or (shot.span is not None and banned.span.overlaps(shot.span)):
                raise DirectiveError(
                    f"[{name} {_written(shot)}] and [ban {_written(banned)}] contradict each other: keep one"
                )


def _plain(file: str) -> str:
    return file.replace("\\", "/").removeprefix("./")


def _written(shot: Pin) -> str:
    if shot.span is None:
        return shot.file
    return f"{shot.file}@{float(shot.span.start):g}-{float(shot.span.end):g}"
