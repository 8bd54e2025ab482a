"""Sources whose every frame says its own number, and readers of what a film shows and plays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.base import Span, content_id
from index.values import Media
from montage.process import as_input, run_ffmpeg
from montage.timeline import SAMPLE_RATE, Caption, Clip, Timeline

BITS = 10
FPS = Fraction(25)
SIZE = (160, 90)


def counter_frame(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """A picture that says its number in ten vertical stripes, dark grey for 0 and light for 1."""
    stripe = np.array([190 if number >> (BITS - 1 - bit) & 1 else 60 for bit in range(BITS)], np.uint8)
    row = stripe[np.arange(width) * BITS // width]
    return np.repeat(np.tile(row, (height, 1))[:, :, None], 3, axis=2)


def read_numbers(frames: NDArray[np.uint8]) -> list[int]:
    """The numbers said by (n, height, width) luma frames that show the whole of each counter frame."""
    height, width = frames.shape[1:]
    columns = [int((bit + 0.5) * width / BITS) for bit in range(BITS)]
    bits = frames[:, height // 4 : 3 * height // 4, :][:, :, columns].mean(axis=1) > 125
    return [int(sum(1 << (BITS - 1 - i) for i, on in enumerate(row) if on)) for row in bits]


def write_counter(
    path: Path,
    times: Sequence[Fraction],
    *,
    size: tuple[int, int] = (320, 180),
    codec: str = "libx264",
    base: Fraction = Fraction(1, 90_000),
    options: dict[str, str] | None = None,
) -> Path:
    """A film of counter frames with exactly these timestamps; key frames are 2 s apart, with B-frames."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options=options or {"g": "60", "preset": "veryfast"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = base
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(counter_frame(number, *size), format="rgb24")
            frame.pts = int(time / base)
            frame.time_base = base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def make(path: Path, *arguments: str) -> Path:
    """A source made by ffmpeg."""
    run_ffmpeg([*arguments, as_input(path)], what=f"make {path.name}")
    return path


def media_of(path: Path, **known: object) -> Media:
    """What the indexer would say about a file, as far as rendering asks."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        audio = bool(container.streams.audio)
        first = next(iter(container.decode(stream)))
        start = Fraction(first.pts or 0) * Fraction(first.time_base or 1)
        context = stream.codec_context
        values: dict[str, object] = {
            "id": content_id(path),
            "paths": (path.name,),
            "duration": Fraction(100),
            "width": context.width,
            "height": context.height,
            "codec": context.name,
            "pixel_format": context.pix_fmt or "",
            "audio": audio,
            "start": start,
        }
    return Media(**{**values, **known})


def clip_of(
    path: Path,
    at: int,
    frames: int,
    begin: Fraction | str = "0",
    *,
    speed: Fraction | str = "1",
    **known: object,
) -> Clip:
    """A footage clip from ``begin`` seconds on."""
    media = media_of(path, **known)
    begin, speed = Fraction(begin), Fraction(speed)
    span = Span(begin, begin + frames / FPS * speed + 1)
    return Clip(
        start=at,
        frames=frames,
        kind="footage",
        source=path,
        content=media.id,
        span=span,
        speed=speed,
        media=media,
    )


def timeline(clips: Iterable[Clip], fps: Fraction = FPS, captions: Sequence[Caption] = ()) -> Timeline:
    return Timeline(fps=fps, picture=tuple(clips), captions=tuple(captions))


def row_of(sources: Iterable[tuple[Path, int, str]]) -> Timeline:
    """Clips one after the other: (file, frames, in-point)."""
    clips: list[Clip] = []
    for path, frames, begin in sources:
        clips.append(clip_of(path, clips[-1].end if clips else 0, frames, begin))
    return timeline(clips)


def luma(path: Path, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """Every frame of a film as (n, height, width) luma."""
    raw, _ = run_ffmpeg(
        ["-i", as_input(path), "-map", "0:v:0", "-fps_mode", "passthrough", "-vf",
         f"scale={size[0]}:{size[1]}:out_range=pc,format=gray", "-f", "rawvideo", "pipe:1"],
        what="read the film",
    )  # fmt: skip
    return np.frombuffer(raw, np.uint8).reshape(-1, size[1], size[0])


def colours(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Every frame of a film as (n, height, width, 3) RGB."""
    raw, _ = run_ffmpeg(
        ["-i", as_input(path), "-map", "0:v:0", "-fps_mode", "passthrough",
         "-pix_fmt", "rgb24", "-f", "rawvideo", "pipe:1"],
        what="read the film",
    )  # fmt: skip
    return np.frombuffer(raw, np.uint8).reshape(-1, size[1], size[0], 3)


def samples(path: Path) -> NDArray[np.float32]:
    """The sound of a film as (n, 2) samples."""
    raw, _ = run_ffmpeg(
        ["-i", as_input(path), "-map", "0:a:0", "-f", "f32le", "-ac", "2", "-ar", str(SAMPLE_RATE), "pipe:1"],
        what="listen to the film",
    )
    return np.frombuffer(raw, np.float32).reshape(-1, 2)


def steady(count: int, rate: Fraction | int) -> list[Fraction]:
    """Timestamps at a constant rate."""
    return [n / Fraction(rate) for n in range(count)]


def shown_at(times: Sequence[Fraction], moments: Iterable[Fraction]) -> list[int]:
    """Which frame is on screen at each moment; timestamps may be up to 2 ms late."""
    late = Fraction(2, 1000)
    return [max((n for n, t in enumerate(times) if t - times[0] <= m + late), default=0) for m in moments]
