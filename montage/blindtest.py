"""A blind comparison for people: pairs of shots on one page, and apart from it the key to who made which.

The page is one file: videos are data in it, nothing is fetched, every text is escaped. It knows pairs by
numbers drawn at random, and nothing of their makers: the videos are encoded anew without metadata.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from pathlib import Path
from typing import Any

from montage.blindstyle import SCRIPT, STYLE
from montage.made import MadeShot, made_shots
from montage.values import MontageError

__all__ = ["BlindTest", "write_blind_test"]

Progress = Callable[[float, float, str], None]
KEY_VERSION = 1
MARK = '<meta name="generator" content="montage blind comparison">'
"""Tells such a page from others, which are never overwritten."""
BOX = (640, 360)
"""Pixels into which a video is fitted: as large as it is shown, and the same on both sides."""
CRF = 23
"""x264 constant rate factor of the proxies: no visible loss at this size."""
QUESTIONS = {"sentence": "Which shows the sentence better?", "look": "Which looks better?"}


@dataclass(frozen=True, slots=True)
class BlindTest:
    """A page that was written."""

    page: Path
    key: Path
    """The JSON file that says which side is whose: keep it from those who are asked."""
    pairs: int
    left_out: int
    """Shots without a counterpart."""
    same: int
    """Pairs left out because both sides show the same."""
    size: int
    """Bytes of the page."""


def write_blind_test(
    first: Path | str,
    second: Path | str,
    page: Path | str,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> BlindTest:
    """Write a page that shows the shots of two films or folders in pairs, and its key beside it.

    Shots are paired as in ``montage.evaluate``. The order of the pairs and the sides are drawn by ``seed``;
    the key is ``NAME.key.json`` beside ``NAME.html``.

    Raises:
        MontageError: if the two have no pair, or a file of somebody else would be overwritten.
        GenerationError: if a video cannot be opened.
    """
    page = Path(page)
    key = page.with_suffix(".key.json")
    _check_ours(page, key)
    pairs, left_out = _pairs(made_shots(first), made_shots(second))
    if not pairs:
        raise MontageError(
            f"{first} and {second} have no pair: neither a sentence, a prompt nor a file name is in both"
        )
    draw = random.Random(seed)
    draw.shuffle(pairs)
    entries: list[str] = []
    sides: dict[str, Any] = {}
    videos = hashlib.sha256(str(seed).encode())
    for number, pair in enumerate(pairs):
        if progress is not None:
            progress(number, len(pairs), pair[0].name)
        name = f"{draw.getrandbits(48):012x}"
        left = draw.randrange(2)
        clips = [_proxy(pair[side]) for side in (left, 1 - left)]
        if clips[0] == clips[1]:
            continue
        for clip in clips:
            videos.update(clip)
        entries.append(_entry(name, pair[0].prompt or pair[1].prompt, clips))
        sides[name] = {
            "left": left,
            "prompt": pair[0].prompt or pair[1].prompt,
            "shots": [_told(shot) for shot in pair],
        }
    if not entries:
        raise MontageError(
            f"{first} and {second} show the same in all {len(pairs)} pairs: nothing can be asked"
        )
    name = videos.hexdigest()[:16]
    record = {
        "montage_blind_key": KEY_VERSION,
        "page": name,
        "seed": seed,
        "inputs": [str(first), str(second)],
        "pairs": sides,
    }
    _write(page, _document(name, entries))
    _write(key, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    if progress is not None:
        progress(len(pairs), len(pairs), "")
    return BlindTest(page, key, len(entries), left_out, len(pairs) - len(entries), page.stat().st_size)


def _pairs(
    first: Sequence[MadeShot], second: Sequence[MadeShot]
) -> tuple[list[tuple[MadeShot, MadeShot]], int]:
    """Shots of the same sentence, prompt or file name, in order where there are several; and how many are
    left over."""
    from montage.compared import pair_key

    films = all(shot.sentence is not None for shot in (*first, *second))
    waiting: dict[str, list[MadeShot]] = {}
    for shot in second:
        waiting.setdefault(pair_key(shot, films), []).append(shot)
    pairs = []
    for shot in first:
        others = waiting.get(pair_key(shot, films))
        if others:
            pairs.append((shot, others.pop(0)))
    return pairs, len(first) + len(second) - 2 * len(pairs)


def _told(shot: MadeShot) -> dict[str, Any]:
    return {
        "file": str(shot.path),
        "name": shot.name,
        "kind": shot.kind,
        "model": shot.model,
        "strategy": shot.strategy,
        "seed": shot.seed,
    }


def _proxy(shot: MadeShot) -> bytes:
    """The shot as a small silent MP4 that says nothing of where it comes from."""
    from montage.made import TOLERANCE
    from montage.process import as_input, run_ffmpeg

    span: list[str] = []
    if shot.seconds is not None:
        span = [
            "-ss",
            f"{float(max(Fraction(0), shot.start - TOLERANCE)):.6f}",
            "-t",
            f"{float(shot.seconds):.6f}",
        ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "proxy.mp4"
        width, height = BOX
        run_ffmpeg(
            [
                *span, "-i", as_input(shot.path), "-map", "0:v:0", "-an", "-sn", "-dn",
                "-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact",
                "-vf", f"scale=w={width}:h={height}:force_original_aspect_ratio=decrease:"
                "force_divisible_by=2,setsar=1", "-c:v", "libx264", "-preset", "veryfast", "-crf", str(CRF),
                "-pix_fmt", "yuv420p", "-threads", "1", "-movflags", "+faststart", as_input(path),
            ],
            what=f"make a small copy of {shot.name} in {shot.path}",
        )  # fmt: skip
        return path.read_bytes()


def _entry(name: str, prompt: str, clips: Sequence[bytes]) -> str:
    """One pair as HTML; its videos wait as text until the page shows them."""
    asked = [question for question in QUESTIONS if prompt or question != "sentence"]
    shown = "".join(
        f'<figure><video playsinline muted loop controls aria-label="{side} video" data-clip="{number}">'
        f"</video><figcaption>{side}</figcaption></figure>"
        for number, side in enumerate(("Left", "Right"))
    )
    data = "".join(
        f'<script type="text/plain" data-of="{number}">{base64.b64encode(clip).decode("ascii")}</script>'
        for number, clip in enumerate(clips)
    )
    said = f'<h2 dir="auto">{escape(prompt)}</h2>' if prompt else ""
    fields = "".join(_question(name, question) for question in asked)
    return (
        f'<section class="pair" id="pair-{name}" data-pair="{name}" tabindex="-1" hidden>'
        f'{said}<div class="sides">{shown}</div>{fields}{data}</section>'
    )


def _question(name: str, question: str) -> str:
    group = f"{question}-{name}"
    buttons = "".join(
        f'<input type="radio" name="{group}" id="{group}-{choice}" value="{choice}">'
        f'<label for="{group}-{choice}"><kbd aria-hidden="true">{number}</kbd> {words}</label>'
        for number, (choice, words) in enumerate(
            (("left", "Left"), ("right", "Right"), ("none", "No difference")), start=1
        )
    )
    return (
        f'<fieldset data-question="{question}"><legend>{escape(QUESTIONS[question])}</legend>'
        f'<div class="choices">{buttons}</div></fieldset>'
    )


def _document(name: str, entries: Sequence[str]) -> str:
    policy = (
        "default-src 'none'; media-src blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "form-action 'none'; base-uri 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="color-scheme" content="light dark">{MARK}'
        f"<title>Which is better?</title><style>{STYLE}</style></head>\n"
        f'<body><main data-page="{name}"><header><h1>Which is better?</h1>'
        '<p id="place" class="soft" aria-live="polite"></p>'
        '<div class="bar" aria-hidden="true"><i></i></div></header>'
        "<noscript><p>This page needs its script: allow it, or open the file in another browser.</p>"
        "</noscript>"
        f"{''.join(entries)}"
        '<section id="end" tabindex="-1" hidden><h2>Thank you</h2><p id="sum"></p>'
        "<p>Save your answers as a file and send it to whoever asked you.</p></section>"
        '<nav><button type="button" id="back">Back</button><button type="button" id="next">Next</button>'
        '<button type="button" id="play">Play again</button>'
        '<button type="button" id="save">Save answers</button></nav>'
        '<p class="soft keys">Keys: <kbd>1</kbd> left, <kbd>2</kbd> right, <kbd>3</kbd> no difference, '
        "<kbd>Enter</kbd> next, <kbd>B</kbd> back, <kbd>P</kbd> play again, <kbd>S</kbd> save. "
        "Answers are kept in this browser; nothing is sent.</p>"
        f"</main><script>{SCRIPT}</script></body></html>\n"
    )


def _check_ours(page: Path, key: Path) -> None:
    """Refuse to overwrite what is no page or key of a blind comparison."""
    if page.suffix.lower() not in (".html", ".htm"):
        raise MontageError(f"{page} is no name of a page: let it end in .html")
    if page.is_file() and page.stat().st_size and MARK.encode() not in page.read_bytes()[:4000]:
        raise MontageError(f"{page} is no blind comparison of montage: move it away, or choose another place")
    if key.is_file() and key.stat().st_size and b"montage_blind_key" not in key.read_bytes()[:200]:
        raise MontageError(f"{key} is no key of a blind comparison: move it away, or choose another place")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise MontageError(f"cannot write {path}: {error.strerror}; choose another place") from error
