"""Times as people write them: ``3s``, ``0:12.5``, ``12.5-15``, and the length of a film."""

from __future__ import annotations

import re
from fractions import Fraction

from index.base import Span

__all__ = ["FilmLength", "clock_seconds", "clock_span", "film_length"]

FilmLength = Fraction | tuple[Fraction, Fraction]
"""Seconds that a film lasts, or the least and the most of them."""

_SECONDS = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|sec|secs|seconds?|m|min|minutes?)?")
_UNITS = {"ms": Fraction(1, 1000), "m": Fraction(60), "min": Fraction(60)}
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{1,2}(?:\.\d+)?)")
# A word processor writes a hyphen between numbers as an en dash or an em dash.
_DASH = re.compile(r"\s*[-\u2013\u2014]\s*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_UNIT = re.compile(r"[a-z]+$", re.IGNORECASE)


def clock_seconds(text: str) -> Fraction | None:
    """Exact seconds of ``3``, ``3s``, ``250ms``, ``2min``, ``0:12.5`` or ``1:02:03``; else None."""
    text = text.strip().lower()
    if match := _CLOCK.fullmatch(text):
        hours, minutes, seconds = match.groups()
        return (int(hours or 0) * 60 + int(minutes)) * 60 + Fraction(seconds)
    if match := _SECONDS.fullmatch(text):
        unit = (match[2] or "s").removesuffix("utes").removesuffix("ute")
        return Fraction(match[1]) * _UNITS.get(unit, Fraction(1))
    return None


def clock_span(text: str) -> Span | None:
    """The times of ``12.5-15`` or ``0:12.5-0:15``; None if it is no such pair.

    Raises:
        ValueError: if it ends before it starts.
    """
    times = [clock_seconds(part) for part in _DASH.split(text.strip())]
    if len(times) != 2 or times[0] is None or times[1] is None:
        return None
    if times[1] <= times[0]:
        raise ValueError("write the earlier time first")
    return Span(times[0], times[1])


def film_length(text: str) -> FilmLength:
    """The length of a film in seconds: of ``60s`` or ``1:00``, or from the least to the most, ``55-65s``.

    Raises:
        ValueError: if it is neither, is not above zero, or ends before it starts.
    """
    first, *more = _DASH.split(text.strip())
    if more and _NUMBER.fullmatch(first) and (unit := _UNIT.search(more[0])):
        first += unit[0]  # in 1-2min both are minutes
    times = [clock_seconds(part) for part in (first, *more)]
    if len(times) == 1 and times[0]:
        return times[0]
    if len(times) == 2 and times[0] and times[1] and times[0] <= times[1]:
        return times[0], times[1]
    raise ValueError(f"{text!r} is no length of a film: write it as 60s, 1:00 or 55-65s")
