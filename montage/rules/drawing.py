"""Small pictures of what each rule likes and dislikes: filmstrips of frames, drawn as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["PICTURES", "Frame", "drawn"]

HEIGHT = 64
"""Height of a frame."""
WIDTH = 96
"""Width of a frame whose length does not matter."""
SECOND = 22
"""Width of a second where lengths matter."""
FIGURES = {"ELS": 0.16, "LS": 0.5, "MS": 0.95, "CU": 1.8, "ECU": 3.4}
"""Height of a standing figure over the height of the frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame of a filmstrip."""

    size: str | None = "MS"
    """Shot size of the figure in it, None for no figure."""
    tint: str = "#cfe3f2"
    """Colour behind the figure."""
    ink: str = "#37474f"
    """Colour of the figure."""
    seconds: float | None = None
    """Length in the film, where it matters."""
    arrow: str = ""
    """How the camera moves: ``left``, ``right``, ``up``, ``down``, ``in``, ``out``."""
    walk: str = ""
    """Which way the figure walks: ``left`` or ``right``."""
    blur: float = 0
    """Pixels of blur."""
    tilt: float = 0
    """Degrees by which a shaky camera leans."""
    at: float = 0.5
    """Place of the figure across the frame."""
    text: str = ""
    """Burnt in."""
    says: str = ""
    """Written below: source, sentence ..."""
    empty: bool = False
    """Whether it is a gap."""


Strip = Sequence[Frame]
F = Frame
DARK, GREY, WARM, COLD = "#1d2733", "#c9c9c9", "#f3c892", "#a9cdea"

PICTURES: Mapping[str, tuple[Strip, Strip, str]] = {
    "match": ((F(says="“a man”"),), (F(size=None, says="“a man”"),), ""),
    "gap": ((F(), F()), (F(), F(empty=True)), ""),
    "lighting": ((F(),), (F(tint="#0c0f12", ink="#050607"), F(tint="#ffffff", ink="#f1f1f1")), ""),
    "sharpness": ((F(),), (F(blur=3),), ""),
    "steadiness": ((F(),), (F(tilt=-9), F(tilt=8)), ""),
    "asked size": ((F(size="CU", says="[close-up]"),), (F(size="LS", says="[close-up]"),), ""),
    "asked move": ((F(arrow="left", says="[pan left]"),), (F(arrow="up", says="[pan left]"),), ""),
    "pace": ((F(seconds=4, says="a sentence of 4 s"),), (F(seconds=2, says="of 4 s"),), ""),
    "speed": ((F(says="1x"),), (F(says="0.8x"),), ""),
    "tempo": (
        (F(seconds=3), F(seconds=4), F(seconds=3.5)),
        (F(seconds=0.8), F(seconds=9)),
        "pace 3.5 s",
    ),
    "finished move": (
        (F(arrow="right", says="the pan ends"),),
        (F(arrow="right", says="cut off", at=0.95),),
        "",
    ),
    "clean picture": ((F(),), (F(text="SCENE 4 TAKE 2"), F(text="00:01:12:08")), ""),
    "resolution": ((F(says="1080 lines"),), (F(says="240 lines", blur=1.6),), ""),
    "idiom scale": (
        (F(size="LS"), F(size="MS"), F(size="CU")),
        (F(size="CU"), F(size="LS"), F(size="MS")),
        "intensify",
    ),
    "subject": ((F(says="“he ...”"),), (F(size=None, says="“he ...”"),), ""),
    "preference": ((F(tint=WARM, says="preferred"),), (F(says="another"),), ""),
    "speech": ((F(says="silent"),), (F(size="CU", says="“blah blah”"),), ""),
    "stability": ((F(says="before"), F(says="now")), (F(says="before"), F(tint=WARM, says="now")), ""),
    "jump cut": (
        (F(says="source 1"), F(tint=WARM, size="CU", says="source 2")),
        (F(says="source 1"), F(says="source 1", at=0.58)),
        "",
    ),
    "camera moves": ((F(arrow="left"), F(arrow="left")), (F(arrow="left"), F(arrow="right")), ""),
    "shot sizes": ((F(size="LS"), F(size="MS"), F(size="CU")), (F(size="CU"), F(size="ELS")), ""),
    "size jump": ((F(size="ELS"), F(size="MS")), (F(size="ELS"), F(size="ECU")), ""),
    "colour": ((F(tint=COLD), F(tint="#b4d6e6")), (F(tint=COLD), F(tint="#f2a65a")), ""),
    "brightness": ((F(), F(tint="#bcd2e2")), (F(tint="#f4f9fd"), F(tint="#4c5a66", ink="#1b2227")), ""),
    "variety": (
        (F(says="source 1"), F(tint=WARM, says="source 2")),
        (F(says="source 1"), F(says="source 1")),
        "",
    ),
    "day and night": ((F(), F(tint="#bcd2e2")), (F(), F(tint=DARK, ink="#0b1016")), "one paragraph"),
    "black and white": ((F(), F(tint=WARM)), (F(tint=WARM), F(tint=GREY, ink="#444444")), "one paragraph"),
    "screen direction": (
        (F(walk="left", at=0.6), F(walk="left", tint=WARM)),
        (F(walk="left", at=0.4), F(walk="right", tint=WARM)),
        "one paragraph",
    ),
    "motion energy": (
        (F(walk="right"), F(walk="right", tint=WARM)),
        (F(), F(walk="right", arrow="right")),
        "",
    ),
    "match cut": ((F(at=0.7), F(at=0.7, tint=WARM)), (F(at=0.25), F(at=0.8, tint=WARM, size="LS")), ""),
    "unmotivated cut": (
        (F(says="match 60%"), F(tint=WARM, says="match 80%")),
        (F(says="match 80%"), F(tint=WARM, size=None, says="match 30%")),
        "one sentence",
    ),
    "meaning": (
        (F(says="a harbour"), F(tint=COLD, says="a fisherman")),
        (F(says="a harbour"), F(tint=WARM, size=None, says="a keyboard")),
        "one paragraph",
    ),
    "three of a source": (
        (F(says="1"), F(says="1"), F(tint=WARM, says="2")),
        (F(says="1"), F(says="1"), F(says="1")),
        "sources",
    ),
    "three long ones": (
        (F(seconds=6.5), F(seconds=3), F(seconds=7)),
        (F(seconds=6.5), F(seconds=7), F(seconds=7)),
        "",
    ),
    "metronome": (
        (F(seconds=2), F(seconds=3.2), F(seconds=2.6)),
        (F(seconds=2.6), F(seconds=2.6), F(seconds=2.6)),
        "",
    ),
    "again": (
        (F(says="take 1"), F(tint=WARM, says="take 2")),
        (F(says="take 1"), F(tint=GREY), F(says="take 1")),
        "",
    ),
    "one source": (
        (F(says="1"), F(tint=WARM, says="2"), F(tint=COLD, says="3")),
        (F(says="1"), F(tint=WARM, says="2"), F(says="1"), F(says="1"), F(says="1")),
        "sources",
    ),
    "rhythm": (
        (F(seconds=1.6), F(seconds=2), F(seconds=2.8), F(seconds=3.6)),
        (F(seconds=3.6), F(seconds=1), F(seconds=4.4), F(seconds=1)),
        "",
    ),
    "beats": (
        (F(seconds=2, says="♪ on the beat"), F(seconds=4, says="♪")),
        (F(seconds=2.6, says="between ♪"), F(seconds=3.4)),
        "",
    ),
    "words": (
        (F(seconds=3, says="the old tree"), F(seconds=3, says="stands")),
        (F(seconds=3, says="the old tr-"), F(seconds=3, says="-ee stands")),
        "",
    ),
}
"""Rule name to (what it likes, what it dislikes, a note)."""


def drawn(rule: str) -> str:
    """The picture of a rule, as SVG: what it likes above, what it dislikes below."""
    likes, dislikes, note = PICTURES[rule]
    width = 30 + max(sum(_width(frame) + 4 for frame in strip) for strip in (likes, dislikes)) + 6
    width = max(width, 30 + 7 * len(note))
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="196" '
        f'viewBox="0 0 {width:g} 196" font-family="sans-serif" font-size="11">',
        f"<title>{escape(rule)}: liked above, disliked below</title>",
        f'<rect width="{width:g}" height="196" fill="#ffffff"/>',
    ]
    if note:
        out.append(f'<text x="30" y="11" fill="#546e7a">{escape(note)}</text>')
    for mark, colour, top, strip in (("✓", "#2e7d32", 16, likes), ("✗", "#c62828", 106, dislikes)):
        out.append(f'<text x="6" y="{top + 40}" font-size="20" fill="{colour}">{mark}</text>')
        left = 30.0
        for number, frame in enumerate(strip):
            out += _frame(frame, left, top, f"{rule.replace(' ', '-')}-{top}-{number}", colour)
            left += _width(frame) + 4
    return "\n".join([*out, "</svg>"]) + "\n"


def _width(frame: Frame) -> float:
    return WIDTH if frame.seconds is None else round(frame.seconds * SECOND, 1)


def _frame(frame: Frame, left: float, top: int, name: str, colour: str) -> list[str]:
    width = _width(frame)
    box = f'x="{left:g}" y="{top}" width="{width:g}" height="{HEIGHT}"'
    out = [f'<clipPath id="{name}"><rect {box}/></clipPath>', f'<g clip-path="url(#{name})">']
    if frame.empty:
        out.append(f'<rect {box} fill="#ffffff" stroke="#90a4ae" stroke-width="3" stroke-dasharray="6 4"/>')
    else:
        out.append(f'<rect {box} fill="{frame.tint}"/>')
        out += _figure(frame, left + width * frame.at, top, width, left)
    out.append("</g>")
    if not frame.empty:
        out.append(f'<rect {box} fill="none" stroke="{colour}" stroke-width="1.5"/>')
    middle, low = left + width / 2, top + HEIGHT
    if frame.text:
        out.append(
            f'<rect x="{left + 4:g}" y="{low - 22}" width="{width - 8:g}" height="16" fill="#000000"/>'
        )
        out.append(
            f'<text x="{middle:g}" y="{low - 10}" fill="#ffffff" font-size="10" text-anchor="middle">'
            f"{escape(frame.text)}</text>"
        )
    if frame.arrow:
        out.append(_arrow(frame.arrow, middle, top + 14))
    below = frame.says or ("" if frame.seconds is None else f"{frame.seconds:g} s")
    if below:
        out.append(
            f'<text x="{middle:g}" y="{low + 13}" fill="#37474f" text-anchor="middle">{escape(below)}</text>'
        )
    return out


def _figure(frame: Frame, x: float, top: int, width: float, left: float) -> list[str]:
    ground = f'<rect x="{left - 20:g}" y="{top + 50}" width="{width + 40:g}" height="30" fill="#00000022"/>'
    blur = f' style="filter:blur({frame.blur:g}px)"' if frame.blur else ""
    turn = f' transform="rotate({frame.tilt:g} {x:g} {top + 32})"' if frame.tilt else ""
    out = [f"<g{turn}{blur}>", ground]
    if frame.size is not None:
        tall = FIGURES[frame.size] * HEIGHT
        # The eyes stay in the upper third once the figure is taller than the frame.
        head = tall / 14 * 2
        y = (
            max(top + 56 - tall, top + 20 - head * 0.6)
            if frame.size in ("ELS", "LS")
            else top + 22 - head * 0.4
        )
        middle, neck, wide, ink = y + head, y + 2 * head, head * 1.5, frame.ink
        out.append(
            f'<ellipse cx="{x:g}" cy="{middle:.1f}" rx="{head * 0.8:.1f}" ry="{head:.1f}" fill="{ink}"/>'
        )
        out.append(
            f'<path d="M{x - wide:.1f} {neck + 5 * head:.1f} Q{x - wide:.1f} {neck:.1f} {x:.1f} {neck:.1f} '
            f"Q{x + wide:.1f} {neck:.1f} {x + wide:.1f} {neck + 5 * head:.1f} "
            f'L{x + head:.1f} {y + tall:.1f} L{x - head:.1f} {y + tall:.1f} Z" fill="{frame.ink}"/>'
        )
    else:
        out.append(
            f'<rect x="{x - 16:g}" y="{top + 28}" width="32" height="22" rx="3" fill="{frame.ink}66"/>'
        )
    out.append("</g>")
    if frame.walk:
        out.append(_arrow(frame.walk, x + (24 if frame.walk == "right" else -24), top + 44))
    return out


def _arrow(way: str, x: float, y: float) -> str:
    turn = {"right": 0, "down": 90, "left": 180, "up": 270}.get(way)
    style = 'fill="none" stroke="#e65100" stroke-width="2.5"'
    if turn is None:  # a zoom: two arrow heads, towards each other or apart
        ends = (
            "M-16 -5 L-8 0 L-16 5 M16 -5 L8 0 L16 5"
            if way == "in"
            else "M-8 -5 L-16 0 L-8 5 M8 -5 L16 0 L8 5"
        )
        return f'<path d="{ends}" transform="translate({x:g} {y:g})" {style}/>'
    return (
        f'<path d="M-14 0 H13 M6 -6 L14 0 L6 6" transform="translate({x:g} {y:g}) rotate({turn})" {style}/>'
    )
