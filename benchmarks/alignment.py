"""How closely sentences are found in a recorded narration, against four simpler ways, without any weights.

    python -m benchmarks.alignment [--texts lighthouse,glacier,bread,violin] [--voices en-us,...]

The speech is made by espeak-ng (and by flite, whose voices are cut from recordings of people, where that is
installed), a sentence at a time, so that every sentence's true beginning is known. Clean: pauses of 0.15 to
1.2 s. Pauses: 0.15 to 0.4 s between sentences but 0.3 to 1 s at commas, so that the longest pauses lie inside
sentences. Beds: the same under chords and drums, 12 and 5 dB below the voice. The texts "bread" and "violin"
were held out while the alignment was built, and so was flite after the first trial.

Errors are of where sentences begin, seconds. The peers know where somebody speaks (the same detector):

- equal: every sentence takes an equal share of the time from the first word to the last
- lengths: shares by reading time
- longest: sentences are divided by the longest pauses
- pauses: dynamic programming chooses the pauses so that lengths fit reading times and pauses are long
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montage.listening import FRAME_SECONDS, Heard, decode_voice, listen
from montage.narration import align
from montage.script import parse_script, reading_seconds
from tests.montage import speechlab
from tests.montage.speechlab import Sound, espeak, from_wav, joined, trimmed

Array = NDArray[np.float64]
TEXTS = {
    "lighthouse": speechlab.LIGHTHOUSE,
    "glacier": speechlab.GLACIER,
    "bread": speechlab.BREAD,
    "violin": speechlab.VIOLIN,
}
HELD_OUT = ("bread", "violin")
VOICES = "en-us,en-gb-scotland,en-gb+f3,flite:slt,flite:awb"
TIGHT: dict[str, Any] = {"pauses": (0.15, 0.4), "inner": (0.3, 1.0)}
CONDITIONS: dict[str, dict[str, Any]] = {
    "clean": {},
    "pauses": TIGHT,
    "bed 12 dB": {**TIGHT, "bed": 12},
    "bed 5 dB": {**TIGHT, "bed": 5},
}


@cache
def flite(text: str, voice: str) -> Sound:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        return trimmed(from_wav(path.read_bytes()))


def sayer(voice: str) -> Callable[[str], Sound]:
    engine, _, name = voice.rpartition(":")
    return partial(flite, voice=name) if engine else partial(espeak, voice=voice)


def talk(heard: Heard) -> tuple[float, float, list[tuple[float, float]]]:
    """First and last second of speech, and the pauses between as (begin, end)."""
    places = np.flatnonzero(heard.speech >= 0.5)
    gaps = np.flatnonzero(np.diff(places) > 3)
    pauses = [((places[g] + 1) * FRAME_SECONDS, float(places[g + 1] * FRAME_SECONDS)) for g in gaps]
    return float(places[0] * FRAME_SECONDS), float((places[-1] + 1) * FRAME_SECONDS), pauses


def by_shares(heard: Heard, shares: Sequence[float]) -> Array:
    first, last, _ = talk(heard)
    before = np.concatenate([[0.0], np.cumsum(shares)[:-1]]) / sum(shares)
    return np.asarray(first + (last - first) * before)


def by_longest(heard: Heard, count: int) -> Array:
    first, last, pauses = talk(heard)
    longest = sorted(pauses, key=lambda p: p[0] - p[1])[: count - 1]
    found = [first, *sorted(end for _, end in longest)]
    return np.array(found + [last] * (count - len(found)))


def by_pauses(heard: Heard, lengths: Sequence[float]) -> Array:
    """The classic: boundaries on pauses, so that the ratios of lengths fit and long pauses are preferred."""
    first, last, pauses = talk(heard)
    starts = np.array([first, *(end for _, end in pauses)])
    ends = np.array([*(begin for begin, _ in pauses), last])
    talked = np.concatenate([[0.0], np.cumsum(ends - starts)])
    rewards = np.array([0.0, *(0.5 * np.log(end - begin) for begin, end in pauses)])
    rate = talked[-1] / sum(lengths)
    count, places = len(lengths), len(starts)
    if places < count:
        return by_shares(heard, lengths)
    best = np.full((count + 1, places + 1), np.inf)
    came = np.zeros((count + 1, places + 1), int)
    best[0, 0] = 0
    for n in range(1, count + 1):
        for stop in range(n, places + 1):
            spoken = talked[stop] - talked[:stop]
            costs = (
                best[n - 1, :stop] + (np.log(np.maximum(spoken, 1e-3) / (rate * lengths[n - 1])) / 0.25) ** 2
            )
            costs = costs - rewards[:stop]
            came[n, stop] = int(np.argmin(costs))
            best[n, stop] = costs[came[n, stop]]
    at, out = places, []
    for n in range(count, 0, -1):
        at = int(came[n, at])
        out.append(starts[at])
    return np.array(out[::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", default=",".join(TEXTS))
    parser.add_argument("--voices", default=VOICES)
    options = parser.parse_args()
    voices = [v for v in options.voices.split(",") if shutil.which("flite" if ":" in v else "espeak-ng")]
    ways = ("montage", "pauses", "longest", "lengths", "equal")
    errors: dict[tuple[str, str, str], list[float]] = {}
    ends: list[float] = []
    spent = minutes = 0.0
    print("| text | voice | condition | " + " | ".join(f"{way} median, p90" for way in ways) + " |")
    print("|" + "---|" * (3 + len(ways)))
    for name in options.texts.split(","):
        texts = TEXTS[name]
        sentences = parse_script("\n\n".join(texts)).sentences
        lengths = [float(reading_seconds(s.text, s.language)) for s in sentences]
        for number, voice in enumerate(voices):
            for condition, how in CONDITIONS.items():
                made = joined(texts, sayer(voice), seed=number + 1, **how)
                with tempfile.TemporaryDirectory() as folder:
                    path = made.write(Path(folder) / "voice.wav")
                    begin = time.process_time()
                    narration = align(path, sentences, method="silence")
                    spent += time.process_time() - begin
                    heard = listen(decode_voice(path))
                minutes += heard.seconds / 60
                found = {
                    "montage": np.array([float(one.span.start) for one in narration.spoken]),
                    "pauses": by_pauses(heard, lengths),
                    "longest": by_longest(heard, len(texts)),
                    "lengths": by_shares(heard, lengths),
                    "equal": by_shares(heard, [1.0] * len(texts)),
                }
                ends += [
                    abs(float(o.span.end) - t)
                    for o, t in zip(narration.spoken, made.spans[:, 1], strict=True)
                ]
                row = []
                for way in ways:
                    off = np.abs(found[way] - made.spans[:, 0])
                    errors.setdefault(
                        (condition, way, "held out" if name in HELD_OUT else "built on"), []
                    ).extend(off)
                    row.append(told(off))
                print(f"| {name} | {voice} | {condition} | " + " | ".join(row) + " |", flush=True)
    print("\n| condition | texts | sentences | " + " | ".join(f"{way} median, p90" for way in ways) + " |")
    print("|" + "---|" * (3 + len(ways)))
    for condition in CONDITIONS:
        for texts_kind in ("built on", "held out"):
            rows = [errors.get((condition, way, texts_kind)) for way in ways]
            if rows[0]:
                cells = " | ".join(told(row or ()) for row in rows)
                print(f"| {condition} | {texts_kind} | {len(rows[0])} | {cells} |")
    print(f"\nends of sentences: median, p90 {told(ends)} s")
    print(f"CPU of montage: {spent / minutes:.1f} s a minute of narration")


def told(off: Sequence[float] | Array) -> str:
    return f"{np.median(off):.3f}, {np.percentile(off, 90):.3f}"


if __name__ == "__main__":
    main()
