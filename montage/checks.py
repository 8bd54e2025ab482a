"""Opening a finished film and holding it to its plan: frames, clock, picture, sound.

Nothing is judged by itself: a black, still or silent stretch is a fault only where the source was not
black, still or silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.base import open_local
from montage.filters import THUMB
from montage.formats import Format
from montage.process import Cancel, as_input, run_ffmpeg
from montage.segments import Segment, Thumbs, thumbs_of
from montage.timeline import SAMPLE_RATE, Timeline, sample_at
from montage.values import FilmError

__all__ = ["Check", "PlannedSound", "check_film", "picture_problems", "segment_problems"]

BLACK = 32
"""Luma (0 to 255) below which every pixel of a black thumbnail lies."""
BLACK_MARGIN = 24
"""How much brighter than the film the plan must be for black to count as a fault."""
FROZEN_SECONDS = 0.5
"""A shorter standstill is not seen as one."""
STILL = 3
"""Luma change of any thumbnail pixel up to which the film stands still: coding alone moves it so far."""
MOVING = 16
"""Luma change of any thumbnail pixel from which the plan moves."""
DIFFERENT = 0.35
"""Mean absolute difference of two thumbnails, each less its mean, over the contrast (standard deviation) of
the planned one, from which they are different pictures. Fitting and coding move it by at most 0.22 on 45
real files; two of those files differ by 1.1 in the median, and by 0.4 in all but 1% of pairs."""
LEAST_CONTRAST = 10.0
"""Contrast of a picture at least, so that the noise of a flat one is not taken for a difference."""
SILENT = 10 ** (-60 / 20)
"""Root mean square below which sound counts as silence (-60 dBFS)."""
HEARD = 10 ** (-45 / 20)
"""Root mean square from which planned sound must be heard (-45 dBFS)."""
AAC_FRAME = 1024
"""Samples in a frame of AAC: sound may be this much longer or shorter than the picture."""
BLOCK = SAMPLE_RATE // 10
"""Samples in a block of the sound check."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked, whether it is as planned, and what was found."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlannedSound:
    """What the film should sound like."""

    samples: int
    levels: NDArray[np.float32]
    """Root mean square of each block of ``BLOCK`` samples of the mix that was handed to the encoder."""


def block_levels(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Root mean square of each whole block of ``BLOCK`` samples; ``sound`` is (samples, channels)."""
    whole = len(sound) // BLOCK
    if not whole:  # a film of two frames has less
        return np.zeros(0, dtype=np.float32)
    blocks = sound[: whole * BLOCK].reshape(whole, -1)
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", blocks, blocks) / max(1, BLOCK * 2)), dtype=np.float32)


def _levelled(thumbs: Thumbs) -> NDArray[np.float32]:
    values = thumbs.astype(np.float32)
    return np.asarray(values - values.mean(axis=(1, 2), keepdims=True), dtype=np.float32)


def picture_problems(shown: Thumbs, planned: Thumbs, fps: Fraction, *, compare: bool = True) -> list[str]:
    """Where pictures are black, frozen or other than planned.

    Args:
        shown: What the film shows, frame by frame.
        planned: What the source shows at the same frames.
        fps: Frames a second.
        compare: Whether levels are comparable; False for HDR and transparent sources.
    """
    problems: list[str] = []
    dark = shown.reshape(len(shown), -1).max(axis=1) < BLACK
    bright = planned.reshape(len(planned), -1).max(axis=1) >= BLACK + BLACK_MARGIN
    black = np.flatnonzero(dark & bright)
    if len(black):
        problems.append(f"black from frame {black[0]} on ({len(black)} frames) where the source is not")
    problems += _frozen(shown, planned, fps)
    if compare and len(shown):
        apart = np.abs(_levelled(shown) - _levelled(planned)).mean(axis=(1, 2))
        apart /= np.maximum(planned.std(axis=(1, 2)), LEAST_CONTRAST)
        other = np.flatnonzero(apart > DIFFERENT)
        if len(other):
            problems.append(
                f"another picture than planned from frame {other[0]} on ({len(other)} frames, "
                f"difference {apart.max():.2f})"
            )
    return problems


def _frozen(shown: Thumbs, planned: Thumbs, fps: Fraction) -> list[str]:
    need = max(2, int(FROZEN_SECONDS * fps))
    seen, wanted = shown.astype(np.int16), planned.astype(np.int16)
    start = 0
    for at in range(1, len(seen) + 1):
        if at < len(seen) and np.abs(seen[at] - seen[start]).max() <= STILL:
            continue
        if at - start >= need and np.abs(wanted[start:at] - wanted[start]).max() > MOVING:
            return [f"frozen from frame {start} to {at} while the source moves"]
        start = at
    return []


def segment_problems(
    video: Path, planned: Thumbs, form: Format, *, compare: bool = True, cancel: Cancel | None = None
) -> list[str]:
    """What is wrong with the picture of one segment file.

    Its packets are counted in any case. A final segment is decoded whole; of a draft, which is encoded
    in less time than that would take, the key frames are.

    Raises:
        FilmError: if it has not exactly as many frames as planned.
    """
    packets = _packets(video)
    expected = [n * form.ticks for n in range(len(planned))]
    if sorted(pts for pts, _ in packets) != expected:
        raise FilmError(
            f"a segment came out with {len(packets)} frames where {len(planned)} were planned, or unevenly "
            "spaced: render again; if it persists, report the source file"
        )
    if not packets[0][1]:
        raise FilmError("a segment does not begin with a key frame: render again")
    if form.quality == "draft":
        frames, shown = _key_frames(video, form.ticks)
        return picture_problems(shown, planned[frames], Fraction(1), compare=compare)
    shown, said = thumbs_of(video, cancel=cancel)
    if len(shown) != len(planned):
        return [f"decodes to {len(shown)} of {len(planned)} frames"]
    return picture_problems(shown, planned, form.fps, compare=compare) + said.splitlines()[:3]


def _packets(video: Path) -> list[tuple[int, bool]]:
    """(timestamp in the stream's ticks, whether a key frame) of every picture packet."""

    with open_local(video) as container:
        stream = container.streams.video[0]
        return [
            (int(packet.pts), bool(packet.is_keyframe))
            for packet in container.demux(stream)
            if packet.pts is not None
        ]


def _key_frames(video: Path, ticks: int) -> tuple[list[int], Thumbs]:
    """Frame numbers of the key frames, and their thumbnails."""
    from av.video.reformatter import ColorRange, Interpolation

    numbers: list[int] = []
    thumbs: list[NDArray[Any]] = []
    with open_local(video) as container:
        stream = container.streams.video[0]
        stream.codec_context.skip_frame = "NONKEY"
        for frame in container.decode(stream):
            if frame.pts is None:
                continue
            small = frame.reformat(
                THUMB,
                THUMB,
                "gray",
                interpolation=Interpolation.AREA,
                dst_color_range=ColorRange.JPEG,
            )
            numbers.append(int(frame.pts) // ticks)
            thumbs.append(small.to_ndarray())
    return numbers, np.stack(thumbs) if thumbs else np.zeros((0, THUMB, THUMB), np.uint8)


def check_film(
    path: Path,
    timeline: Timeline,
    form: Format,
    segments: Sequence[Segment],
    comparable: Sequence[bool],
    sound: PlannedSound,
    *,
    cancel: Cancel | None = None,
) -> tuple[Check, ...]:
    """Open a film and hold it to its plan.

    Args:
        path: The film.
        timeline: What it should show.
        form: Size, rate and quality.
        segments: The rendered clips, in order; their own pixel checks are part of the result.
        comparable: For each clip whether its pictures may be compared with the source's levels.
        sound: What it should sound like.
        cancel: Asked while ffmpeg runs.
    """

    checks: list[Check] = []
    with open_local(path) as container:
        video = container.streams.video[0]
        size = (int(video.codec_context.width), int(video.codec_context.height))
        aspect = video.sample_aspect_ratio or Fraction(1)
        base = video.time_base or Fraction(1, form.timescale)
        streams = (len(container.streams.video), len(container.streams.audio))
    packets = _packets(path)
    wanted = [Fraction(n) / form.fps for n in range(timeline.frames)]
    times = sorted(pts * base for pts, _ in packets)
    checks.append(
        Check("frames", len(packets) == timeline.frames, f"{len(packets)} of {timeline.frames} planned")
    )
    uneven = next((n for n, (a, b) in enumerate(zip(times, wanted, strict=False)) if a != b), None)
    checks.append(
        Check(
            "constant rate",
            uneven is None,
            f"{float(form.fps):.3f} frames/s throughout"
            if uneven is None
            else f"frame {uneven} is at {float(times[uneven]):.4f} s, not {float(wanted[uneven]):.4f} s",
        )
    )
    checks.append(
        Check(
            "size",
            size == (form.width, form.height) and aspect == 1,
            f"{size[0]}x{size[1]}, pixels {aspect.numerator}:{aspect.denominator}",
        )
    )
    checks.append(Check("streams", streams == (1, 1), f"{streams[0]} picture, {streams[1]} sound"))
    checks.append(_pictures(path, timeline, form, segments, comparable))
    if streams[1]:
        checks += _sound(path, timeline, sound, cancel)
    return tuple(checks)


def _pictures(
    path: Path, timeline: Timeline, form: Format, segments: Sequence[Segment], comparable: Sequence[bool]
) -> Check:
    """Black, frozen and wrong pictures: every segment's own check, and the joined film at its key frames.

    Each segment begins with a key frame, so that every join is among them.
    """
    for clip, segment in zip(timeline.picture, segments, strict=True):
        if segment.problems:
            return Check(
                "picture",
                False,
                f"frames {clip.start} to {clip.end} ({clip.source.name}): {'; '.join(segment.problems)}",
            )
    base = _time_base(path)
    numbers, shown = _key_frames(path, int(1 / (base * form.fps)))
    at = dict(zip(numbers, shown, strict=True))
    for clip, segment, same in zip(timeline.picture, segments, comparable, strict=True):
        here = sorted(n for n in at if clip.start <= n < clip.end)
        if clip.start not in at:
            return Check("picture", False, f"frame {clip.start} is not a key frame, or does not decode")
        found = picture_problems(
            np.stack([at[n] for n in here]),
            segment.planned[[n - clip.start for n in here]],
            Fraction(1_000_000),
            compare=same,
        )
        if found:
            return Check(
                "picture", False, f"frames {clip.start} to {clip.end} ({clip.source.name}): {found[0]}"
            )
    return Check("picture", True, f"{len(numbers)} key frames and {len(segments)} segments as planned")


def _time_base(path: Path) -> Fraction:

    with open_local(path) as container:
        return Fraction(container.streams.video[0].time_base or 1)


def _sound(path: Path, timeline: Timeline, planned: PlannedSound, cancel: Cancel | None) -> list[Check]:
    raw, said = run_ffmpeg(
        ["-i", as_input(path), "-map", "0:a:0", "-f", "f32le", "-ac", "2", "-ar", str(SAMPLE_RATE), "pipe:1"],
        what=f"decode the sound of {path.name}",
        cancel=cancel,
        level="warning",
    )
    heard = np.frombuffer(raw, dtype=np.float32).reshape(-1, 2)
    wanted = sample_at(timeline.frames, timeline.fps)
    checks = [
        Check(
            "sound length",
            abs(len(heard) - wanted) <= AAC_FRAME,
            f"{len(heard) / SAMPLE_RATE:.3f} s for {float(timeline.seconds):.3f} s of picture",
        ),
        Check("sound decodes", not said, said.splitlines()[0] if said else "without a warning"),
    ]
    levels = block_levels(heard)
    count = min(len(levels), len(planned.levels))
    lost = np.flatnonzero((planned.levels[:count] >= HEARD) & (levels[:count] < SILENT))
    planned_seconds = float((planned.levels >= SILENT).sum()) * BLOCK / SAMPLE_RATE
    checks.append(
        Check(
            "sound heard",
            len(lost) == 0,
            (f"{planned_seconds:.1f} s with sound" if planned_seconds else "no sound was planned")
            if len(lost) == 0
            else f"silent at {lost[0] * BLOCK / SAMPLE_RATE:.1f} s, where sound was planned",
        )
    )
    return checks
