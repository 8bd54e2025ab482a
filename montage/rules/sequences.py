"""Rules of three neighbours and of the whole cut."""

from __future__ import annotations

from collections.abc import Sequence

from montage.rules.base import Film, Picture, Rule, Wish
from montage.rules.pairs import related

__all__ = ["SEQUENCE_RULES", "three_of_a_source"]


def three_of_a_source(first: Picture, second: Picture, third: Picture) -> float:
    """Never show three pictures in a row from one source."""
    return 1.0 if related(first, second) and related(second, third) else 0.0


def again(pictures: Sequence[Picture | None], wishes: Sequence[Wish | None], film: Film) -> list[float]:
    """Do not go back to a take that was shown: each further use costs it all."""
    seen: set[str] = set()
    out = []
    for picture in pictures:
        out.append(1.0 if picture is not None and picture.shot in seen else 0.0)
        if picture is not None:
            seen.add(picture.shot)
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
    Rule(name="again", weight=0.5, arity="cut", whole=again, source="repeats are a soft penalty"),
)
