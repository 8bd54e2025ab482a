"""How right are the looks of shots, and what do they cost?

Prints

- camera moves: the confusion matrix, precision and recall of moves with exact truth (a camera over stills,
  with seeds not used while the method was made), and how many are right by what makes them hard; then the
  moves of the sample library and of real clips labelled by hand, to both of which the method was fitted;
- shot size by faces against the labels by hand, and within one size;
- speech: the share found where there is none, and in the spoken lines of a trailer;
- cost: processor ms a frame of 1080p footage for decoding and for each meter, and their share of decoding.

    python -m benchmarks.looks --footage FOLDER [--each 2] [--stills FOLDER_OF_PICTURES]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

for name in ("OMP", "OPENBLAS", "MKL"):  # as the indexer's workers are started
    os.environ.setdefault(f"{name}_NUM_THREADS", "1")

import cv2  # noqa: E402
import numpy as np  # noqa: E402

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "index")]

from filmed import confusion_table, middle_frames, named, takes  # noqa: E402

from index.base import Span  # noqa: E402
from index.decode import Decoding  # noqa: E402
from index.faces import find_faces  # noqa: E402
from index.looks import LookMeter  # noqa: E402
from index.loudness import LoudnessMeter  # noqa: E402
from index.motion import MovementMeter  # noqa: E402
from index.speech import SpeechMeter  # noqa: E402
from index.values import SHOT_SIZES, Look  # noqa: E402

SEED = 7001
SILENT = ("beach", "cloudy-sky", "flower", "wind-turbine", "car-detection")
"""Clips with sound and without speech."""
LINES = ((12.0, 15.0), (18.5, 20.5))
"""The trailer's first spoken lines by its subtitles, seconds."""
LARGE = ("beach", "candles", "cloudy-sky", "wind-turbine", "yoga")
"""Clips of 1920 x 1080."""


def cpu() -> float:
    """Processor seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def show(title: str, confusion: Counter[tuple[str, str]]) -> None:
    """Print a confusion matrix."""
    right = sum(count for (true, found), count in confusion.items() if true == found)
    print(f"\n{title}: {right} of {confusion.total()} right ({100 * right / confusion.total():.1f}%)")
    print(confusion_table(confusion))


def moves(footage: Path, pictures: Path | None, each: int) -> None:
    """Camera moves with exact truth, of the sample library, and of labelled clips."""
    if pictures is not None:
        files = sorted(pictures.rglob("*.jpg"))[:: max(1, len(list(pictures.rglob("*.jpg"))) // 60)]
        read_pictures = [cv2.imread(str(file)) for file in files]
        stills = [np.asarray(image[:, :, ::-1], np.uint8) for image in read_pictures if image is not None]
    else:
        stills = middle_frames(sorted((footage / "clips").glob("*.mp4"))[::2])
    confusion: Counter[tuple[str, str]] = Counter()
    by_trouble: Counter[tuple[str, bool]] = Counter()
    for take in takes(stills, SEED, each):
        found = named(take)
        confusion[take.move, found] += 1
        by_trouble[take.trouble, found == take.move] += 1
    show(f"camera moves, exact truth, {len(stills)} stills", confusion)
    for trouble in sorted({key[0] for key in by_trouble}):
        right, wrong = by_trouble[trouble, True], by_trouble[trouble, False]
        print(f"    {trouble:8} {right} of {right + wrong}")
    confusion = Counter()
    truth = json.loads((REPOSITORY / "sample_library" / "truth.json").read_text(encoding="utf-8"))
    for file, facts in truth.items():
        frames = [(frame.time, frame.image) for frame in Decoding(REPOSITORY / "sample_library" / file)]
        for shot in facts["shots"]:
            meter = MovementMeter()
            for frame_time, image in frames:
                if shot["start"] <= round(frame_time * Fraction(facts["fps"])) < shot["end"]:
                    meter.push(frame_time, image)
            confusion[shot["move"], meter.finish().move] += 1
    show("camera moves, sample library", confusion)


def labelled(footage: Path) -> None:
    """Moves and shot sizes of real clips, against the labels by hand."""
    confusion: Counter[tuple[str, str]] = Counter()
    unsure: Counter[bool] = Counter()
    sizes: Counter[str] = Counter()
    with open(footage / "truth" / "looks.tsv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row in rows:
        look = looked_at(footage / row["file"])
        first = row["camera"].split("+")[0]
        if row["sure"] == "yes":
            confusion[first, look.move] += 1
        else:
            unsure[look.move in row["camera"].split("+")] += 1
        if look.size is None:
            sizes["none named"] += 1
        else:
            away = abs(SHOT_SIZES.index(look.size) - SHOT_SIZES.index(row["shot_size"]))
            sizes[("right", "one size off")[away] if away < 2 else "wrong"] += 1
    show("camera moves, labelled by hand, sure", confusion)
    print(f"labelled, unsure: {unsure[True]} of {unsure.total()} are one of the moves named")
    print("\nshot size by faces:", ", ".join(f"{name} {count}" for name, count in sorted(sizes.items())))


def looked_at(path: Path) -> Look:
    """The look of the first 20 seconds of a clip, taken as one shot."""
    meter = LookMeter()
    images: list[Any] = []
    for frame in Decoding(path):
        if frame.time >= 20:
            break
        meter.push(frame.time, frame.image)
        images.append(frame.image)
    return meter.finish(
        images[len(images) // 2], samples=images[:: max(1, len(images) // 16)], faces=find_faces
    )


def spoken(footage: Path) -> None:
    """Shares of speech where there is none and where there is."""
    print()
    for name in SILENT:
        meter = SpeechMeter()
        end = list(Decoding(footage / "clips" / f"{name}.mp4", sound=meter.push))[-1].time
        print(f"speech in {name}: {meter.share(Span(Fraction(0), end))} (truth 0)")
    meter = SpeechMeter()
    for _ in Decoding(footage / "films" / "sintel-trailer-480x204.mp4", sound=meter.push):
        pass
    for start, stop in LINES:
        print(
            f"speech in a trailer, {start} to {stop} s: {meter.share(Span(Fraction(start), Fraction(stop)))}"
        )


def read(path: Path) -> list[tuple[Fraction, Any]]:
    """The small frames of a file with their times."""
    return [(frame.time, frame.image) for frame in Decoding(path, threads=1)]


def feed(meter: Any, items: list[tuple[Fraction, Any]]) -> None:
    """Push all frames into a meter."""
    for item in items:
        meter.push(*item)


def close(meter: LookMeter, images: list[Any]) -> Look:
    """End a shot, faces looked for."""
    return meter.finish(images[0], samples=images[:: max(1, len(images) // 16)], faces=find_faces)


def keep(sounds: list[tuple[Fraction, Any]], at: Fraction, frame: Any) -> None:
    """Remember a frame of sound."""
    sounds.append((at, frame))


def timed(what: Callable[..., Any], *given: Any) -> tuple[float, Any]:
    """(processor seconds, result) of a call."""
    before = cpu()
    result = what(*given)
    return cpu() - before, result


def cost(footage: Path) -> None:
    """Processor ms a frame of each part, on one thread."""
    cv2.setNumThreads(1)
    import scipy.signal  # noqa: F401  (what is imported on first use is no cost of a frame)

    find_faces(np.zeros((180, 320, 3), np.uint8))
    SpeechMeter()
    meters: defaultdict[str, float] = defaultdict(float)
    frames_seen = 0
    started = time.monotonic()
    for name in LARGE:
        path = footage / "clips" / f"{name}.mp4"
        sounds: list[tuple[Fraction, Any]] = []
        seconds, frames = timed(read, path)
        meters["decoding and scaling"] += seconds
        frames_seen += len(frames)
        moving = timed(feed, MovementMeter(), frames)[0]
        look = LookMeter()
        meters["camera move"] += moving
        meters["light, colour, sharpness"] += max(0.0, timed(feed, look, frames)[0] - moving)
        images = [image for _, image in frames]
        meters["faces and hash"] += timed(close, look, images)[0]
        for _ in Decoding(path, sound=partial(keep, sounds)):
            pass
        meters["speech"] += timed(feed, SpeechMeter(), sounds)[0]
        meters["loudness"] += timed(feed, LoudnessMeter(), sounds)[0]
    wall = time.monotonic() - started
    print(f"\ncost over {frames_seen} frames of 1920 x 1080, one thread ({wall:.0f} s of wall time)")
    whole = meters["decoding and scaling"]
    for what, seconds in meters.items():
        print(f"    {what:26}{1000 * seconds / frames_seen:7.2f} ms a frame{100 * seconds / whole:7.1f}%")
    added = sum(meters.values()) - whole
    print(f"    {'all looks':26}{1000 * added / frames_seen:7.2f} ms a frame{100 * added / whole:7.1f}%")


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--footage", type=Path, default=REPOSITORY.parent / "shared" / "footage")
    parser.add_argument("--stills", type=Path, help="a folder of pictures to lead the camera over")
    parser.add_argument("--each", type=int, default=2, help="takes of every move with every trouble")
    options = parser.parse_args()
    cost(options.footage)
    spoken(options.footage)
    labelled(options.footage)
    moves(options.footage, options.stills, options.each)


if __name__ == "__main__":
    main()
