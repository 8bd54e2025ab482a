"""What does a film cost: segments joined by stream copy, against moviepy's concatenate and write_videofile?

    python -m benchmarks.rendering --footage FOLDER [--seconds 180] [--clips 60] [--peer-clips 12]

FOLDER holds video files; clips of equal length are taken from all of them in turn. Printed are

- one cut rendered by both, cold, at the same size, rate, x264 preset and number of threads: wall seconds,
  processor seconds, most memory, and the ratios of moviepy's to ours (each in a process of its own);
- the same cut again with one clip changed, which is what an editor waits for;
- a draft of three minutes at 1280x720, with what decoding the same spans alone would take.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

from index.base import Span, content_id, ffmpeg_path
from index.values import Media
from montage.film import render_timeline
from montage.timeline import Clip, Timeline

FPS = Fraction(25)
SUFFIXES = {".mp4", ".mkv", ".webm", ".mov"}


def sources(folder: Path) -> list[tuple[Path, Media, Fraction]]:
    """Every readable video below a folder with the seconds it has."""
    import av

    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or "odd" in path.parts:
            continue
        with av.open(str(path)) as container:
            if not container.streams.video or container.duration is None:
                continue
            stream = container.streams.video[0]
            first = next(iter(container.decode(stream)))
            seconds = Fraction(container.duration, av.time_base)
            media = Media(
                id=content_id(path), paths=(path.name,), duration=seconds, width=stream.codec_context.width,
                height=stream.codec_context.height, audio=bool(container.streams.audio),
                start=Fraction(first.pts or 0) * Fraction(first.time_base or 1),
                pixel_format=stream.codec_context.pix_fmt or "",
            )  # fmt: skip
        found.append((path, media, seconds))
    if not found:
        raise SystemExit(f"no video files in {folder}")
    return found


def cut(folder: Path, clips: int, seconds: Fraction) -> Timeline:
    """Clips of equal length from all files in turn, each at another place of its file."""
    frames = int(seconds * FPS / clips)
    length = frames / FPS
    used: dict[Path, Fraction] = {}
    found = sources(folder)
    picture: list[Clip] = []
    while len(picture) < clips:
        before = len(picture)
        for path, media, have in found:
            begin = used.get(path, Fraction(1, 10))
            if len(picture) == clips or begin + length + Fraction(1, 4) > have:
                continue
            used[path] = begin + length
            picture.append(
                Clip(
                    start=len(picture) * frames, frames=frames, kind="footage", source=path, content=media.id,
                    span=Span(begin, begin + length), media=media,
                )
            )  # fmt: skip
        if len(picture) == before:
            raise SystemExit(f"{folder} holds footage for {before} clips of {float(length):.1f} s only")
    return Timeline(fps=FPS, picture=tuple(picture))


def render_by_moviepy(plan: Timeline, output: Path, size: tuple[int, int]) -> None:
    """The same clips by moviepy: cropped to one size, chained, written with the same preset."""
    import moviepy

    width, height = size
    clips = []
    for clip in plan.picture:
        source = moviepy.VideoFileClip(str(clip.source))
        piece = source.subclipped(float(clip.span.start), float(clip.span.end))
        scale = max(width / piece.w, height / piece.h)
        piece = piece.resized((round(piece.w * scale) + 1, round(piece.h * scale) + 1))
        clips.append(piece.cropped(x_center=piece.w / 2, y_center=piece.h / 2, width=width, height=height))
    film = moviepy.concatenate_videoclips(clips, method="chain")
    film.write_videofile(
        str(output), fps=float(plan.fps), codec="libx264", preset="veryfast", audio_codec="aac",
        ffmpeg_params=["-crf", "18"], threads=os.cpu_count(), logger=None,
    )  # fmt: skip


def _tree_memory(pid: int) -> int:
    """Bytes of resident memory of a process and all below it (Linux)."""
    total, waiting = 0, [pid]
    while waiting:
        current = waiting.pop()
        try:
            total += int(Path(f"/proc/{current}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            for task in Path(f"/proc/{current}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, IndexError):
            continue
    return total


def measured(arguments: list[str]) -> dict[str, float]:
    """Run this file in a process of its own: wall seconds, processor seconds, most memory of its tree."""
    peak = 0
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE) as process:
        stop = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not stop.wait(0.1):
                peak = max(peak, _tree_memory(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        output = process.communicate()[0]
        stop.set()
        watcher.join()
    if process.returncode:
        raise SystemExit(f"{arguments[0]} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = json.loads(output.splitlines()[-1])
    return {
        "wall": time.perf_counter() - began,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "memory": peak / 2**20,
        **told,
    }


def decode_alone(plan: Timeline) -> float:
    """Wall seconds in which ffmpeg only decodes the same spans, as many at a time as there are processors."""

    def decode(clip: Clip) -> None:
        subprocess.run(
            [ffmpeg_path(), "-v", "quiet", "-nostdin", "-threads", "1", "-ss", str(float(clip.span.start)),
             "-t", str(float(clip.span.seconds)), "-i", str(clip.source), "-an", "-f", "null", "-"],
            check=False,
        )  # fmt: skip

    began = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(decode, plan.picture))
    return time.perf_counter() - began


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


def main() -> None:
    """Run the benchmark, or one part of it in a process of its own."""
    parser = argparse.ArgumentParser(description="Time our rendering and moviepy's.")
    parser.add_argument("part", nargs="?", choices=["ours", "changed", "moviepy", "draft"])
    parser.add_argument("--footage", type=Path, default=Path(__file__).parents[2] / "shared" / "footage")
    parser.add_argument("--size", type=_size, default=(1280, 720))
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--peer-clips", type=int, default=12)
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    if not given.footage.is_dir():
        parser.error(f"no footage in {given.footage}: name its folder with --footage")
    if given.part is None:
        _compare(given)
        return
    # One clip more than is shown: it takes the place of the one that is changed.
    peer = cut(given.footage, given.peer_clips + 1, Fraction(3 * (given.peer_clips + 1)))
    plan = Timeline(fps=FPS, picture=peer.picture[:-1])
    told: dict[str, Any] = {"film": float(plan.seconds)}
    film = given.work / f"{given.part}.mp4"
    if given.part == "moviepy":
        render_by_moviepy(plan, film, given.size)
    else:
        if given.part == "changed":
            last = peer.picture[-1]
            middle = plan.picture[len(plan.picture) // 2]
            other = Clip(
                start=middle.start, frames=middle.frames, kind="footage", source=last.source,
                content=last.content, span=last.span, media=last.media,
            )  # fmt: skip
            plan = Timeline(
                fps=FPS, picture=tuple(other if clip is middle else clip for clip in plan.picture)
            )
        if given.part == "draft":
            plan = cut(given.footage, given.clips, Fraction(given.seconds))
            told = {"film": float(plan.seconds), "decode": decode_alone(plan)}
        made = render_timeline(
            plan,
            film,
            size=given.size,
            quality="draft" if given.part == "draft" else "final",
            cache=given.work / f"cache-{'draft' if given.part == 'draft' else 'final'}",
        )
        told |= {"rendered": made.segments_rendered, **{f"s_{k}": v for k, v in made.seconds.items()}}
    print(json.dumps(told))


def _compare(given: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shared = [
            "--footage",
            str(given.footage),
            "--work",
            folder,
            "--size",
            f"{given.size[0]}x{given.size[1]}",
        ]
        shared += ["--clips", str(given.clips), "--seconds", str(given.seconds)]
        shared += ["--peer-clips", str(given.peer_clips)]
        rows = {part: measured([part, *shared]) for part in ("ours", "changed", "moviepy", "draft")}
    ours, peer, draft = rows["ours"], rows["moviepy"], rows["draft"]
    print(f"{'':34}{'wall s':>9}{'CPU s':>9}{'MB':>9}")
    for name, part in (
        (f"ours, {given.peer_clips} clips, cold", "ours"),
        ("ours, one clip changed", "changed"),
        ("moviepy 'chain'", "moviepy"),
    ):
        row = rows[part]
        print(f"{name:34}{row['wall']:9.1f}{row['cpu']:9.1f}{row['memory']:9.0f}")
    ratios = [peer[key] / ours[key] for key in ("wall", "cpu", "memory")]
    print(f"{'moviepy over ours':34}{ratios[0]:9.2f}{ratios[1]:9.2f}{ratios[2]:9.2f}")
    print(f"checks take {100 * ours['s_checks'] / ours['s_total']:.1f}% of our time after the segments")
    print(
        f"draft of {draft['film']:.0f} s at {given.size[0]}x{given.size[1]}: {draft['s_total']:.1f} s "
        f"(segments {draft['s_segments']:.1f}, join {draft['s_join']:.1f}, checks {draft['s_checks']:.1f}); "
        f"decoding the same spans alone takes {draft['decode']:.1f} s"
    )


if __name__ == "__main__":
    main()
