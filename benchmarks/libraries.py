"""Made-up libraries for benchmarks of the optimiser: sources, scenes, shots with their looks, and a script.

No video exists; a library is what the indexer would say of one. Shots of a scene look alike and match the
same sentences, as in real rushes, so that the best match alone often gives a jump cut.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from index.base import Span
from index.values import CAMERA_MOVES, SHOT_SIZES, Look, Media, Shot
from montage.script import Script, parse_script
from montage.values import Candidate

TOPICS = 16
"""Dimensions of what a scene is about."""
RATE = Fraction(25)


@dataclass(frozen=True)
class Made:
    """A made-up library and a script for it."""

    script: Script
    candidates: dict[str, tuple[Candidate, ...]]
    """Sentence id to its candidates, best first."""
    media: dict[str, Media]


def _unit(chance: random.Random) -> list[float]:
    vector = [chance.gauss(0, 1) for _ in range(TOPICS)]
    length = math.hypot(*vector)
    return [value / length for value in vector]


def _near(chance: random.Random, vector: Sequence[float], spread: float) -> list[float]:
    other = [value + spread * more for value, more in zip(vector, _unit(chance), strict=True)]
    length = math.hypot(*other)
    return [value / length for value in other]


def _clip(value: float, low: float = 0.0, high: float = 1.0) -> float:
    return min(high, max(low, value))


def made_library(sentences: int, shots: int, each: int, seed: int) -> Made:
    """``sentences`` sentences in paragraphs of five, ``shots`` shots or a few more, ``each`` candidates."""
    chance = random.Random(seed)
    found: list[tuple[Shot, list[float]]] = []
    scenes: list[list[float]] = []
    media: dict[str, Media] = {}
    while len(found) < shots:
        source = f"source{len(media):03d}"
        tint = (chance.uniform(25, 75), chance.gauss(0, 14), chance.gauss(0, 14))
        light, style = chance.uniform(0.25, 0.7), chance.choice(CAMERA_MOVES)
        at = Fraction(0)
        for _ in range(chance.randint(2, 6)):
            topic, form = _unit(chance), chance.getrandbits(64)
            scenes.append(topic)
            for _ in range(chance.randint(2, 5)):
                length = Fraction(round(25 * chance.lognormvariate(1.6, 0.5)) + 20, 25)
                span = Span(at, at + length)
                at += length
                size = chance.choice([*SHOT_SIZES, None])
                brightness = _clip(chance.gauss(light, 0.06))
                look = Look(
                    brightness=brightness,
                    contrast=_clip(chance.gauss(0.2, 0.05), 0.02),
                    saturation=_clip(chance.gauss(0.4, 0.15)),
                    lab=(100 * brightness, tint[1] + chance.gauss(0, 4), tint[2] + chance.gauss(0, 4)),
                    sharpness=_clip(chance.gauss(0.7, 0.15)),
                    shake=_clip(abs(chance.gauss(0, 0.15))),
                    motion=abs(chance.gauss(0.2, 0.2)),
                    move=style if chance.random() < 0.3 else chance.choice(CAMERA_MOVES),
                    size=size,
                    phash=form ^ sum(1 << bit for bit in chance.sample(range(64), chance.randint(2, 14))),
                )
                windows = _windows(span)
                shot = Shot(
                    id=f"{source}-{round(1000 * span.start)}",
                    media=source,
                    span=span,
                    windows=windows,
                    look=look,
                )
                found.append((shot, _near(chance, topic, 0.5)))
        media[source] = Media(
            id=source, paths=(f"{source}.mp4",), duration=at, width=1920, height=1080, rate=RATE
        )
    lines, wanted = [], []
    for number in range(sentences):
        if number and number % 5 == 0:
            lines.append("")
        if not number or chance.random() < 0.4:
            theme = chance.choice(scenes)
        wanted.append(_near(chance, theme, 0.7))
        lines.append(f"Sentence {number} " + " ".join(["word"] * chance.randint(4, 20)) + ".")
    script = parse_script("\n".join(lines))
    candidates = {}
    for sentence, about in zip(script.sentences, wanted, strict=True):
        scored = []
        for shot, topic in found:
            alike = sum(a * b for a, b in zip(about, topic, strict=True))
            scored.append((1 / (1 + math.exp(-8 * (alike - 0.5))), shot))
        scored.sort(key=lambda pair: (-pair[0], pair[1].id))
        candidates[sentence.id] = tuple(
            Candidate(sentence=sentence.id, shot=shot, span=chance.choice(shot.windows), match=match)
            for match, shot in scored[:each]
        )
    return Made(script=script, candidates=candidates, media=media)


def _windows(span: Span) -> tuple[Span, ...]:
    if span.seconds <= 4:
        return (span,)
    count = round(span.seconds / 2)
    return tuple(
        Span(span.start + span.seconds * n / count, span.start + span.seconds * (n + 1) / count)
        for n in range(count)
    )
