"""What does a film cost: ours, against moviepy and against one ffmpeg with one filter graph.

    python -m benchmarks.rendering --footage FOLDER [--clips 40] [--seconds 120] [--size 1920x1080]
        [--only ours changed graph chain compose draft draft-again]

FOLDER holds video files; clips of equal length are taken from all of them in turn, and the same cut is
rendered by all, at the same size, rate, x264 preset and quality, each in a process of its own: wall seconds,
processor seconds and most memory of the process and all that it started, and the ratios to ours. Ours is also
timed with one clip changed, which is what an editor waits for, and as a draft, without proxies and with them;
"inside" is the time without the start of Python.
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
from dataclasses import replace
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


def render_by_moviepy(plan: Timeline, output: Path, size: tuple[int, int], method: str) -> None:
    """The same clips by moviepy: cropped to one size, concatenated, written with the same preset."""
    import moviepy

    width, height = size
    clips = []
    for clip in plan.picture:
        source = moviepy.VideoFileClip(str(clip.source))
        piece = source.subclipped(float(clip.span.start), float(clip.span.end))
        scale = max(width / piece.w, height / piece.h)
        piece = piece.resized((round(piece.w * scale) + 1, round(piece.h * scale) + 1))
        clips.append(piece.cropped(x_center=piece.w / 2, y_center=piece.h / 2, width=width, height=height))
    film = moviepy.concatenate_videoclips(clips, method=method)
    film.write_videofile(
        str(output), fps=float(plan.fps), codec="libx264", preset="veryfast", audio_codec="aac",
        ffmpeg_params=["-crf", "18"], threads=os.cpu_count(), logger=None,
        temp_audiofile_path=str(output.parent),
    )  # fmt: skip


def render_by_one_graph(plan: Timeline, output: Path, size: tuple[int, int]) -> None:
    """The same clips by one ffmpeg with one filter graph: every clip an input, all of them concatenated."""
    width, height = size
    inputs: list[str] = []
    chains: list[str] = []
    names = ""
    for number, clip in enumerate(plan.picture):
        inputs += [
            "-ss",
            str(float(clip.span.start)),
            "-t",
            str(float(clip.span.seconds)),
            "-i",
            str(clip.source),
        ]
        chains.append(
            f"[{number}:v:0]fps={plan.fps},scale={width}:{height}:force_original_aspect_ratio=increase,"
            f"crop={width}:{height},setsar=1,format=yuv420p[v{number}]"
        )
        seconds = float(clip.frames / plan.fps)
        sound = (
            f"[{number}:a:0]aresample=48000"
            if clip.audio
            else f"anullsrc=r=48000:cl=stereo,atrim=0:{seconds}"
        )
        chains.append(
            f"{sound},aformat=sample_fmts=fltp:channel_layouts=stereo,apad,atrim=0:{seconds}[a{number}]"
        )
        names += f"[v{number}][a{number}]"
    graph = ";".join([*chains, f"{names}concat=n={len(plan.picture)}:v=1:a=1[v][a]"])
    subprocess.run(
        [ffmpeg_path(), "-v", "error", "-nostdin", "-y", *inputs, "-filter_complex", graph, "-map", "[v]",
         "-map", "[a]", "-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-c:a", "aac", "-b:a", "192k",
         str(output)],
        check=True,
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


PARTS = ("ours", "changed", "graph", "chain", "compose", "draft", "draft-again")
LIMIT_MB = 700


def main() -> None:
    """Run the benchmark, or one part of it in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="?", choices=PARTS)
    parser.add_argument("--footage", type=Path, default=Path(__file__).parents[2] / "shared" / "footage")
    parser.add_argument("--size", type=_size, default=(1920, 1080))
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    if not given.footage.is_dir():
        parser.error(f"no footage in {given.footage}: name its folder with --footage")
    if given.part is None:
        _compare(given)
        return
    # One clip more than is shown: it takes the place of the one that is changed.
    length = Fraction(given.seconds, given.clips)
    peer = cut(given.footage, given.clips + 1, length * (given.clips + 1))
    plan = Timeline(fps=FPS, picture=peer.picture[:-1])
    told: dict[str, Any] = {"film": float(plan.seconds)}
    film = given.work / f"{given.part}.mp4"
    if given.part in ("chain", "compose"):
        render_by_moviepy(plan, film, given.size, given.part)
    elif given.part == "graph":
        render_by_one_graph(plan, film, given.size)
    else:
        if given.part == "changed":
            last = peer.picture[-1]
            middle = plan.picture[len(plan.picture) // 2]
            other = replace(last, start=middle.start)
            plan = Timeline(
                fps=FPS, picture=tuple(other if clip is middle else clip for clip in plan.picture)
            )
        if given.part == "draft":
            told["decode"] = decode_alone(plan)
        began = time.perf_counter()
        made = render_timeline(
            plan,
            film,
            size=given.size,
            quality="draft" if given.part.startswith("draft") else "final",
            cache=given.work / "cache",
        )
        told |= {"own": time.perf_counter() - began, "rendered": made.segments_rendered}
        told |= {f"s_{name}": spent for name, spent in made.seconds.items()}
    print(json.dumps(told))


def _compare(given: argparse.Namespace) -> None:
    """Run every part, each in a process of its own, and print them beside each other."""
    with tempfile.TemporaryDirectory() as folder:
        shared = ["--footage", str(given.footage), "--work", folder, "--clips", str(given.clips)]
        shared += ["--seconds", str(given.seconds), "--size", f"{given.size[0]}x{given.size[1]}"]
        rows = {}
        print(f"{given.clips} clips, {given.seconds} s at {given.size[0]}x{given.size[1]}, veryfast, crf 18")
        print(f"{'':28}{'wall s':>9}{'CPU s':>9}{'MB':>9}{'inside':>9}   of ours: wall, CPU, memory")
        for part in PARTS:
            if part not in given.only:
                continue
            row = rows[part] = measured([part, *shared])
            ours = rows.get("ours", row)
            ratios = "".join(f"{row[key] / ours[key]:8.2f}" for key in ("wall", "cpu", "memory"))
            stages = ", ".join(f"{key[2:]} {row[key]:.2f}" for key in row if key.startswith("s_"))
            inside = row.get("own", row["wall"])
            print(
                f"{NAMES[part]:28}{row['wall']:9.1f}{row['cpu']:9.1f}{row['memory']:9.0f}{inside:9.2f}{ratios}"
                f"   {stages}",
                flush=True,
            )
    if {"ours", "changed"} <= rows.keys():
        print(
            f"one changed of {given.clips}: {rows['ours']['own'] / rows['changed']['own']:.1f} times quicker"
        )
        print(f"memory: {rows['ours']['memory'] / LIMIT_MB:.2f} of the limit of {LIMIT_MB} MB")
    if "draft" in rows:
        print(f"decoding the same spans alone takes {rows['draft']['decode']:.1f} s")


NAMES = {
    "ours": "ours, cold",
    "changed": "ours, one clip changed",
    "graph": "one ffmpeg filter graph",
    "chain": "moviepy, method chain",
    "compose": "moviepy, method compose",
    "draft": "ours, draft, no proxies yet",
    "draft-again": "ours, draft from proxies",
}


if __name__ == "__main__":
    main()
