"""Rules of three neighbours and of the whole cut.

The first line of a definition is what an editor would say; the rest is its formula.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence

from montage.rules.base import Film, Picture, Rule, Wish
from montage.rules.looks import clip
from montage.rules.pairs import related

__all__ = ["SEQUENCE_RULES", "starts", "three_of_a_source"]

LONG = 6.0
"""Seconds above which a picture is a long one."""
CUTTING = "Cutting et al. 2010"


def three_of_a_source(first: Picture, second: Picture, third: Picture) -> float:
    """Never show three pictures in a row from one source.

    1 where they come from one file or from near-duplicates.
    """
    return 1.0 if related(first, second) and related(second, third) else 0.0


def three_long_ones(first: Picture, second: Picture, third: Picture) -> float:
    """Never hold three pictures in a row for more than six seconds.

    1 where all three last longer.
    """
    return 1.0 if min(first.seconds, second.seconds, third.seconds) > LONG else 0.0


def metronome(first: Picture, second: Picture, third: Picture) -> float:
    """Do not cut like a metronome: three pictures of one length are felt as a machine.

    1 - ln (longest / shortest) / ln 1.2: equal lengths cost it all, a fifth apart costs nothing.
    """
    lengths = (first.seconds, second.seconds, third.seconds)
    return clip(1 - math.log(max(lengths) / min(lengths)) / math.log(1.2))


def again(pictures: Sequence[Picture | None], wishes: Sequence[Wish | None], film: Film) -> list[float]:
    """Do not go back to a take that was shown: each further use costs it all.

    1 for each use of a shot after its first.
    """
    seen: set[str] = set()
    out = []
    for picture in pictures:
        out.append(1.0 if picture is not None and picture.shot in seen else 0.0)
        if picture is not None:
            seen.add(picture.shot)
    return out


def one_source(pictures: Sequence[Picture | None], wishes: Sequence[Wish | None], film: Film) -> list[float]:
    """Let no source take over the film.

    1 for each picture by which a source shows more than a third of the film's pictures, and more than two.
    """
    most = max(2, math.ceil(sum(picture is not None for picture in pictures) / 3))
    shown: Counter[str] = Counter()
    out = []
    for picture in pictures:
        if picture is not None:
            shown[picture.media] += 1
        out.append(1.0 if picture is not None and shown[picture.media] > most else 0.0)
    return out


def rhythm(pictures: Sequence[Picture | None], wishes: Sequence[Wish | None], film: Film) -> list[float]:
    """Let the rhythm drift: quick passages and slow ones, rather than long and short at random.

    (ln (seconds / geometric mean of up to three pictures before) / ln 4) squared: four times as long or as
    short costs it all. With ``metronome``, which wants some change, lengths drift as in films, like 1/f.
    """
    out: list[float] = []
    before: list[float] = []
    for picture in pictures:
        if picture is None:
            before = []
            out.append(0.0)
            continue
        length = math.log(picture.seconds)
        out.append(clip(((length - sum(before) / len(before)) / math.log(4)) ** 2) if before else 0.0)
        before = [*before[-2:], length]
    return out


def beats(pictures: Sequence[Picture | None], wishes: Sequence[Wish | None], film: Film) -> list[float]:
    """Cut on the beat of the music.

    Distance of the cut from the nearest beat: 40 ms are not noticed, 160 ms cost it all.
    """
    if not film.beats:
        return [0.0] * len(pictures)
    out = []
    for number, start in enumerate(starts(pictures, wishes, film)):
        if number == 0 or start is None or pictures[number] is None:
            out.append(0.0)
            continue
        place = bisect_left(film.beats, start)
        nearest = min(abs(start - beat) for beat in film.beats[max(0, place - 1) : place + 1])
        out.append(clip((nearest - 0.04) / 0.12))
    return out


def words(pictures: Sequence[Picture | None], wishes: Sequence[Wish | None], film: Film) -> list[float]:
    """Never cut inside a word of the narration; leave it a little air.

    1 inside a word; outside, from 1 beside it down to 0 with 30 ms of air.
    """
    out = []
    for number, start in enumerate(starts(pictures, wishes, film)):
        if number == 0 or start is None or pictures[number] is None:
            out.append(0.0)
            continue
        place = bisect_right(film.words, (start, math.inf))
        near = film.words[max(0, place - 1) : place + 1]
        air = min((max(first - start, start - last) for first, last in near), default=math.inf)
        out.append(clip(1 - air / 0.03))
    return out


def starts(
    pictures: Sequence[Picture | None], wishes: Sequence[Wish | None], film: Film
) -> list[float | None]:
    """When each slot begins, seconds of the film; None where that is not known (see ``Film.blanks``)."""
    out: list[float | None] = []
    now: float | None = 0.0
    for number, (picture, wish) in enumerate(zip(pictures, wishes, strict=True)):
        out.append(now)
        length = (
            picture.seconds
            if picture is not None
            else film.blanks[number]
            if film.blanks
            else wish.seconds
            if wish is not None
            else None
        )
        now = None if now is None or length is None else now + length
    return out


SEQUENCE_RULES = (
    Rule(
        name="three of a source",
        weight=0.5,
        arity=3,
        three=three_of_a_source,
        source="CinAssist: never three in a row from one source",
        bounded=False,
    ),
    Rule(
        name="three long ones",
        weight=0.4,
        arity=3,
        three=three_long_ones,
        source="CinAssist: never three in a row over 6 s",
        bounded=False,
    ),
    Rule(
        name="metronome",
        weight=0.08,
        arity=3,
        three=metronome,
        source=CUTTING + ": films are not metronomic",
        bounded=False,
    ),
    Rule(name="again", weight=0.5, arity="cut", whole=again, source="repeats are a soft penalty"),
    Rule(
        name="one source",
        weight=0.3,
        arity="cut",
        whole=one_source,
        source="variety of sources, over the film",
        bounded=False,
    ),
    Rule(
        name="rhythm",
        weight=0.08,
        arity="cut",
        whole=rhythm,
        source=CUTTING + ": lengths drift toward 1/f",
        bounded=False,
    ),
    Rule(
        name="beats",
        weight=0.4,
        arity="cut",
        whole=beats,
        source="editing practice: cuts land on the beat",
        bounded=False,
    ),
    Rule(
        name="words",
        weight=0.3,
        arity="cut",
        whole=words,
        source="video-use: never cut inside a word, 30-200 ms of air",
        bounded=False,
    ),
)
