"""What the optimiser measured, in an editor's words: the one place where facts become sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from index.values import SHOT_SIZES, Look
from montage.rules import Film, Grammar, Picture, Wish

__all__ = [
    "BROKEN",
    "KINDS",
    "PARTS",
    "Scene",
    "best_words",
    "changed",
    "fact",
    "is_broken",
    "look_words",
    "share_words",
    "signed",
    "why_words",
]

SIZES = {
    "ELS": "extreme long shot",
    "LS": "long shot",
    "MS": "medium shot",
    "CU": "close-up",
    "ECU": "extreme close-up",
}
MOVES = {
    "static": "a static shot",
    "pan-left": "a pan left",
    "pan-right": "a pan right",
    "tilt-up": "a tilt up",
    "tilt-down": "a tilt down",
    "zoom-in": "a zoom in",
    "zoom-out": "a zoom out",
    "handheld": "a handheld shot",
}
KINDS = {
    "footage": "footage",
    "title": "title",
    "gap": "gap",
    "diffusion": "generated shot",
    "still": "slow move over a still",
    "card": "card with the words",
}
"""What fills a slot."""
PARTS = {
    "embedding": "what the picture shows",
    "keywords": "words in names and captions",
    "text": "what is said or written about it",
}
"""What each part of a match compares the sentence with."""

BROKEN = {"match": 0.6, "sharpness": 0.75, "shot sizes": 0.7}
"""Part of its full cost from which a rule counts as broken, where that is not ``USUALLY``: ELS to LS is no
mistake, and soft pictures show less than shaky ones."""
USUALLY = 0.5
NEVER = {"brightness", "colour", "stability"}
"""Rules that cost and are never called broken: light and tint change with every scene, and a picture other
than the last cut's is no mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A cut as the rules see it, with the names that a person knows things by."""

    pictures: Sequence[Picture | None]
    wishes: Sequence[Wish | None]
    """None for a title card."""
    film: Film
    grammar: Grammar
    labels: Sequence[str]
    """Of each slot: ``sentence 4``, ``sentence 4, picture 2`` or ``title``."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Media id, or shot id, to the name of its file."""

    def file(self, picture: Picture) -> str:
        """The file that a picture comes from."""
        return self.files.get(picture.media, picture.media)

    def before(self, place: int, back: int = 1) -> Picture | None:
        """The picture that many slots earlier, None at the start, a gap or a title."""
        return self.pictures[place - back] if place >= back else None


def fact(rule: str, scene: Scene, place: int) -> str:
    """What was measured at a slot that made this rule cost something; empty where there is nothing to add."""
    picture, wish = scene.pictures[place], scene.wishes[place]
    if wish is None:
        return ""
    if picture is None:
        return "nothing in the library shows it" if rule == "gap" else ""
    if rule in _ALONE:
        return _ALONE[rule](scene, picture, wish)
    before = scene.before(place)
    if rule in _PAIRS and before is not None:
        return _PAIRS[rule](scene, before, picture)
    if rule in _WHOLE:
        return _WHOLE[rule](scene, place)
    return ""


def is_broken(rule: str, part: float) -> bool:
    """Whether a rule that costs this part of all it can cost counts as broken."""
    return rule not in NEVER and part >= BROKEN.get(rule, USUALLY) - 1e-9


def signed(value: float) -> str:
    """``+0.42`` or ``-0.10``; ``0.00`` without a sign."""
    return "0.00" if abs(value) < 0.005 else f"{value:+.2f}"


def share_words(part: float) -> str:
    """A share as ``12%``; small ones as ``under 1%``."""
    return "under 1%" if 0 < part < 0.01 else f"{part:.0%}"


def look_words(look: Look) -> str:
    """Size and camera move: ``CU, static``."""
    return ", ".join(filter(None, (look.size or "", look.move.replace("-", " "))))


def why_words(kind: str, why: str) -> str:
    """Why a slot shows what it shows, or nothing."""
    if kind == "gap":
        return f"Gap: {why}" if why else "Gap"
    if kind == "title":
        return ""
    told = [text.replace("name: ", "words in common with its name: ", 1) for text in why.split("; ") if text]
    return "; ".join(told)


def changed(rules: Mapping[str, float], most: int = 3) -> str:
    """The rules that a change helps or hurts, largest first: ``jump cut +0.60, match -0.20``."""
    told = sorted(rules.items(), key=lambda item: (-abs(item[1]), item[0]))
    return ", ".join(f"{name} {signed(cost)}" for name, cost in told[:most] if abs(cost) >= 0.005)


def best_words(objective: float, bound: float) -> str:
    """How good the whole cut is proven to be."""
    if objective <= 0 or objective - bound <= 1e-6:
        return "proven best: no other cut of these shots costs less"
    return f"no other cut of these shots can be more than {(objective - bound) / objective:.1%} better"


# -- one slot ------------------------------------------------------------------------------------------------


def _match(scene: Scene, picture: Picture, wish: Wish) -> str:
    return f"match {picture.match:.2f} of 1"


def _lighting(scene: Scene, picture: Picture, wish: Wish) -> str:
    look = picture.look
    if look.brightness < 0.2:
        return f"dark: brightness {look.brightness:.0%}"
    if look.brightness > 0.85:
        return f"burnt out: brightness {look.brightness:.0%}"
    return f"flat: contrast {look.contrast:.0%}"


def _sharpness(scene: Scene, picture: Picture, wish: Wish) -> str:
    return f"sharpness {picture.look.sharpness:.0%}"


def _steadiness(scene: Scene, picture: Picture, wish: Wish) -> str:
    return f"camera shake {picture.look.shake:.0%}"


def _asked_size(scene: Scene, picture: Picture, wish: Wish) -> str:
    shown = picture.look.size
    return f"{wish.size} asked for, " + (f"{shown} shown" if shown else "size of this shot not known")


def _asked_move(scene: Scene, picture: Picture, wish: Wish) -> str:
    return f"{(wish.move or '').replace('-', ' ')} asked for, {MOVES[picture.look.move]} shown"


def _pace(scene: Scene, picture: Picture, wish: Wish) -> str:
    best = f", the pace is {wish.pace:.1f} s" if wish.pace is not None else ""
    return f"lasts {picture.seconds:.1f} s, {wish.seconds:.1f} s asked for{best}"


def _speed(scene: Scene, picture: Picture, wish: Wish) -> str:
    if picture.speed == 1:
        return ""
    motion = "slow motion" if picture.speed < 1 else "fast motion"
    return f"{picture.speed:.2g}x {motion} to fill {picture.seconds:.1f} s"


def _stability(scene: Scene, picture: Picture, wish: Wish) -> str:
    names = dict.fromkeys(scene.files.get(shot, "another shot") for shot, _ in wish.previous)
    return f"the last cut showed {' and '.join(names)} here"


# -- two neighbours ------------------------------------------------------------------------------------------


def _apart(first: Picture, second: Picture) -> float:
    return max(0.0, float(second.span.start - first.span.end), float(first.span.start - second.span.end))


def _jump_cut(scene: Scene, first: Picture, second: Picture) -> str:
    if first.media != second.media:
        return f"{scene.file(first)} and {scene.file(second)} are near-duplicates"
    return f"two moments of {scene.file(second)}, {_apart(first, second):.1f} s apart, framed alike"


def _camera_moves(scene: Scene, first: Picture, second: Picture) -> str:
    return f"cut from {MOVES[first.look.move]} to {MOVES[second.look.move]}"


def _shot_sizes(scene: Scene, first: Picture, second: Picture) -> str:
    return f"{second.look.size} after {first.look.size}"


def _size_jump(scene: Scene, first: Picture, second: Picture) -> str:
    if first.look.size is None or second.look.size is None:
        return ""
    steps = abs(SHOT_SIZES.index(first.look.size) - SHOT_SIZES.index(second.look.size))
    return f"{steps} sizes at once, from {first.look.size} to {second.look.size}"


def _colour(scene: Scene, first: Picture, second: Picture) -> str:
    redder = second.look.lab[1] - first.look.lab[1]
    yellower = second.look.lab[2] - first.look.lab[2]
    if abs(yellower) >= abs(redder):
        turn = "warmer" if yellower > 0 else "colder"
    else:
        turn = "redder" if redder > 0 else "greener"
    return f"the tint turns {turn} by {math.hypot(redder, yellower):.0f} CIELAB units"


def _brightness(scene: Scene, first: Picture, second: Picture) -> str:
    return f"brightness goes from {first.look.brightness:.0%} to {second.look.brightness:.0%}"


def _variety(scene: Scene, first: Picture, second: Picture) -> str:
    if first.media != second.media:
        return f"{scene.file(first)} and {scene.file(second)} are near-duplicates"
    return f"two pictures in a row from {scene.file(second)}"


# -- three neighbours, and the whole cut ---------------------------------------------------------------------


def _three_of_a_source(scene: Scene, place: int) -> str:
    picture = scene.pictures[place]
    return "" if picture is None else f"third picture in a row from {scene.file(picture)}"


def _again(scene: Scene, place: int) -> str:
    picture = scene.pictures[place]
    if picture is None:
        return ""
    earlier = [
        label
        for other, label in zip(scene.pictures[:place], scene.labels[:place], strict=True)
        if other is not None and other.shot == picture.shot
    ]
    return f"this shot was shown in {earlier[-1]}" if earlier else ""


_Alone = Callable[[Scene, Picture, Wish], str]
_Pair = Callable[[Scene, Picture, Picture], str]
_Whole = Callable[[Scene, int], str]

_ALONE: Mapping[str, _Alone] = {
    "match": _match,
    "lighting": _lighting,
    "sharpness": _sharpness,
    "steadiness": _steadiness,
    "asked size": _asked_size,
    "asked move": _asked_move,
    "pace": _pace,
    "speed": _speed,
    "stability": _stability,
}
_PAIRS: Mapping[str, _Pair] = {
    "jump cut": _jump_cut,
    "camera moves": _camera_moves,
    "shot sizes": _shot_sizes,
    "size jump": _size_jump,
    "colour": _colour,
    "brightness": _brightness,
    "variety": _variety,
}
_WHOLE: Mapping[str, _Whole] = {"three of a source": _three_of_a_source, "again": _again}
