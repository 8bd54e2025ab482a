"""What the optimiser measured, in an editor's words: the one place where facts become sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from index.values import SHOT_SIZES, Look
from montage.rules import Film, Grammar, Picture, Wish
from montage.rules.looks import monochrome, night
from montage.rules.sequences import starts

__all__ = [
    "BROKEN",
    "KINDS",
    "PARTS",
    "WORDED",
    "Scene",
    "best_words",
    "changed",
    "fact",
    "is_broken",
    "look_words",
    "share_words",
    "signed",
    "uncovered_words",
    "unmet",
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
    "embedding": "the picture",
    "keywords": "names and captions",
    "text": "speech and texts",
}
"""What each part of a match compares the sentence with."""

BROKEN = {"match": 0.6, "resolution": 0.75, "sharpness": 0.75, "shot sizes": 0.7}
"""Part of its full cost from which a rule counts as broken, where that is not ``USUALLY``: ELS to LS is no
mistake, and soft pictures show less than shaky ones."""
USUALLY = 0.5
NEVER = {"brightness", "colour", "match cut", "motion energy", "stability"}
"""Rules that cost and are never called broken: light, tint and motion change with the scene, a match cut is a
present, and a picture other than the last cut's is no mistake."""


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
        return ""
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


def unmet(why: str) -> str:
    """What a slot says of a demand of the script or the voice that the footage does not meet."""
    return "; ".join(text for text in why.split("; ") if text.startswith(("held ", "spoken for ")))


def changed(rules: Mapping[str, float], most: int = 3) -> str:
    """The rules that a change helps or hurts, largest first: ``jump cut +0.60, match -0.20``."""
    told = sorted(rules.items(), key=lambda item: (-abs(item[1]), item[0]))
    return ", ".join(f"{name} {signed(cost)}" for name, cost in told[:most] if abs(cost) >= 0.005)


def best_words(objective: float, bound: float) -> str:
    """How good the whole cut is proven to be."""
    if objective <= 0 or objective - bound <= 1e-6:
        return "proven best: no other cut of these shots costs less"
    return f"no other cut of these shots can be more than {(objective - bound) / objective:.1%} better"


def uncovered_words(rules: Sequence[str]) -> str:
    """Which of the rules that cost something the proof leaves out; empty where it leaves out none."""
    if not rules:
        return ""
    return f"what is proven leaves out {', '.join(rules)}: it covers no rule of three pictures or of the film"


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
    return f"lasts {picture.seconds:.1f} s, {wish.seconds:.1f} s asked for"


def _speed(scene: Scene, picture: Picture, wish: Wish) -> str:
    motion = "slow motion" if picture.speed < 1 else "fast motion"
    return f"{picture.speed:.2g}x {motion} to fill {picture.seconds:.1f} s"


def _stability(scene: Scene, picture: Picture, wish: Wish) -> str:
    names = dict.fromkeys(scene.files.get(shot, "another shot") for shot, _ in wish.previous)
    return f"the last cut showed {' and '.join(names)} here"


def _tempo(scene: Scene, picture: Picture, wish: Wish) -> str:
    return f"lasts {picture.seconds:.1f} s, the pace is {wish.pace or 0.0:.1f} s"


def _finished_move(scene: Scene, picture: Picture, wish: Wish) -> str:
    if picture.taken is None or picture.look.moving is None:
        return ""
    left = float(picture.taken.start) + picture.look.moving[1] - float(picture.span.end)
    return f"cut {left:.1f} s before {MOVES[picture.look.move]} ends"


def _clean_picture(scene: Scene, picture: Picture, wish: Wish) -> str:
    return f"{picture.look.text or 0.0:.0%} of the picture lies under text"


def _resolution(scene: Scene, picture: Picture, wish: Wish) -> str:
    return f"{picture.lines} lines, 720 are enough"


def _idiom_scale(scene: Scene, picture: Picture, wish: Wish) -> str:
    asked = min(len(SHOT_SIZES) - 1, max(0, round(wish.scale or 0.0)))
    shown = picture.look.size
    return f"about {SHOT_SIZES[asked]} wanted, " + (f"{shown} shown" if shown else "size not known")


def _subject(scene: Scene, picture: Picture, wish: Wish) -> str:
    return f"shows {wish.subject} with a match of {picture.subject or 0.0:.2f}"


def _preference(scene: Scene, picture: Picture, wish: Wish) -> str:
    return "another shot is preferred here"


def _speech(scene: Scene, picture: Picture, wish: Wish) -> str:
    return f"somebody talks for {picture.look.speech or 0.0:.0%} of the shot"


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


def _day_and_night(scene: Scene, first: Picture, second: Picture) -> str:
    names = ["night" if night(picture.look) > 0.5 else "day" for picture in (first, second)]
    if names[0] == names[1]:
        return f"the hour changes: brightness {first.look.brightness:.0%}, then {second.look.brightness:.0%}"
    return f"from {names[0]} to {names[1]} within a paragraph"


def _black_and_white(scene: Scene, first: Picture, second: Picture) -> str:
    grey = monochrome(first.look) > monochrome(second.look)
    return "from black and white to colour" if grey else "from colour to black and white"


def _screen_direction(scene: Scene, first: Picture, second: Picture) -> str:
    return f"moves {second.look.heading} after moving {first.look.heading}"


def _motion_energy(scene: Scene, first: Picture, second: Picture) -> str:
    more = second.look.motion > first.look.motion
    low, high = sorted((first.look.motion + 0.02, second.look.motion + 0.02))
    if high < 2 * low:
        return (
            f"{high / low - 1:.0%} more motion than before" if more else f"{1 - low / high:.0%} less motion"
        )
    return f"{high / low:.0f} times {'as much motion as before' if more else 'less motion than before'}"


def _match_cut(scene: Scene, first: Picture, second: Picture) -> str:
    if first.media == second.media:
        return "the same source, so nothing is carried over"
    return "no shape or motion is carried over"


def _unmotivated_cut(scene: Scene, first: Picture, second: Picture) -> str:
    return f"match falls from {first.match:.2f} to {second.match:.2f} within the sentence"


def _meaning(scene: Scene, first: Picture, second: Picture) -> str:
    return f"{scene.file(first)} and {scene.file(second)} show different matters"


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


def _lengths(scene: Scene, place: int) -> list[float]:
    """Seconds of up to three pictures before this one and of this, back to a gap or a title."""
    out: list[float] = []
    for picture in reversed(scene.pictures[max(0, place - 3) : place + 1]):
        if picture is None:
            break
        out.insert(0, picture.seconds)
    return out


def _three_long_ones(scene: Scene, place: int) -> str:
    return "the third long picture in a row: " + _seconds(_lengths(scene, place)[-3:])


def _metronome(scene: Scene, place: int) -> str:
    return "three pictures of nearly one length: " + _seconds(_lengths(scene, place)[-3:])


def _rhythm(scene: Scene, place: int) -> str:
    *before, now = _lengths(scene, place)
    return f"lasts {now:.1f} s after {_seconds(before)}"


def _one_source(scene: Scene, place: int) -> str:
    picture = scene.pictures[place]
    if picture is None:
        return ""
    count = sum(other is not None and other.media == picture.media for other in scene.pictures[: place + 1])
    return f"picture number {count} from {scene.file(picture)}"


def _beats(scene: Scene, place: int) -> str:
    start = starts(scene.pictures, scene.wishes, scene.film)[place]
    if start is None or not scene.film.beats:
        return ""
    away = min(abs(start - beat) for beat in scene.film.beats)
    return f"cut {away * 1000:.0f} ms away from the beat"


def _words(scene: Scene, place: int) -> str:
    start = starts(scene.pictures, scene.wishes, scene.film)[place]
    inside = start is not None and any(first < start < last for first, last in scene.film.words)
    return "cut inside a word" if inside else "cut with under 30 ms of air beside a word"


def _seconds(lengths: Sequence[float]) -> str:
    return ", ".join(f"{length:.1f}" for length in lengths) + " s"


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
    "tempo": _tempo,
    "finished move": _finished_move,
    "clean picture": _clean_picture,
    "resolution": _resolution,
    "idiom scale": _idiom_scale,
    "subject": _subject,
    "preference": _preference,
    "speech": _speech,
}
_PAIRS: Mapping[str, _Pair] = {
    "jump cut": _jump_cut,
    "camera moves": _camera_moves,
    "shot sizes": _shot_sizes,
    "size jump": _size_jump,
    "colour": _colour,
    "brightness": _brightness,
    "variety": _variety,
    "day and night": _day_and_night,
    "black and white": _black_and_white,
    "screen direction": _screen_direction,
    "motion energy": _motion_energy,
    "match cut": _match_cut,
    "unmotivated cut": _unmotivated_cut,
    "meaning": _meaning,
}
_WHOLE: Mapping[str, _Whole] = {
    "three of a source": _three_of_a_source,
    "three long ones": _three_long_ones,
    "metronome": _metronome,
    "again": _again,
    "one source": _one_source,
    "rhythm": _rhythm,
    "beats": _beats,
    "words": _words,
}
WORDED = frozenset({*_ALONE, *_PAIRS, *_WHOLE})
"""Rules whose facts have words; of others, what the rule says stands alone."""
