"""Opening a finished film and holding it to its plan: frames, clock, picture, sound.

Nothing is judged by itself: a black, still or silent stretch is a fault only where the source was not
black, still or silent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.base import FootageError, open_local
from index.looks import perceptual_hash
from index.stills import frames_at
from montage.captions import Cue, caption_problems
from montage.filters import THUMB, TOLERANCE, comparable, untouched
from montage.formats import Format
from montage.joining import Sums, packet_sums
from montage.loudness import PEAK_DBTP, Loudness
from montage.metering import BLOCK, Heard
from montage.process import Cancel
from montage.segments import Thumbs, thumbs_of
from montage.timeline import SAMPLE_RATE, Clip, Timeline, sample_at
from montage.values import FilmError

__all__ = [
    "Check",
    "PlannedSound",
    "Shown",
    "check_captions",
    "check_film",
    "check_sound",
    "picture_problems",
    "segment_problems",
]

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
CAPTION_ROW = 2 * THUMB // 3
"""Row of a thumbnail from which on burnt captions may stand."""
LABEL_ROW = THUMB // 4
"""Row of a thumbnail down to which a label may stand."""
SHOT_SIDE = 96
"""Shorter side of a source frame that is looked at for its perceptual hash, pixels."""
SHOT_BITS = 20
"""Bits of 64 in which the hash of a film's frame may differ from that of its source's: different pictures
differ in half of them."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked, whether it is as planned, and what was found."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """What is known of the picture of one clip when a film is checked."""

    planned: Thumbs
    """What the source shows at each frame of the clip."""
    problems: tuple[str, ...] = ()
    """What the check of its segment found."""
    fresh: bool = True
    """Whether it was made for this film, and not checked in an earlier one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlannedSound:
    """What the film should sound like."""

    samples: int
    levels: NDArray[np.float32]
    """Root mean square of each block of ``metering.BLOCK`` samples of the mix handed to the encoder."""


def _levelled(thumbs: Thumbs) -> NDArray[np.float32]:
    values = thumbs.astype(np.float32)
    return np.asarray(values - values.mean(axis=(1, 2), keepdims=True), dtype=np.float32)


def _judged(shown: Thumbs, planned: Thumbs, clip: Clip, frames: Sequence[int]) -> Thumbs:
    """What a film shows, but as planned where transitions change it and where captions stand.

    Args:
        shown: Thumbnails.
        planned: What the source shows there.
        clip: The clip that they are of.
        frames: Their numbers within it.
    """
    plain = untouched(clip)
    if len(plain) == clip.frames and clip.burn is None:
        return shown
    judged = shown.copy()
    for place, frame in enumerate(frames):
        if frame not in plain:
            judged[place] = planned[place]
    if clip.burn is not None:
        judged[:, CAPTION_ROW:] = planned[:, CAPTION_ROW:]
        if clip.label:
            judged[:, :LABEL_ROW] = planned[:, :LABEL_ROW]
    return judged


def _difference(shown: Thumbs, planned: Thumbs) -> NDArray[np.float32]:
    """How different pictures are, frame by frame (see ``DIFFERENT``)."""
    apart = np.abs(_levelled(shown) - _levelled(planned)).mean(axis=(1, 2))
    return np.asarray(apart / np.maximum(planned.std(axis=(1, 2)), LEAST_CONTRAST), dtype=np.float32)


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
        apart = _difference(shown, planned)
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
    video: Path, planned: Thumbs, form: Format, clip: Clip, *, cancel: Cancel | None = None
) -> list[str]:
    """What is wrong with the picture of one segment file.

    It is decoded whole; a proxy, in which every picture is a key frame, too.

    Raises:
        FilmError: if it has not exactly as many frames as planned.
    """
    packets, _ = packet_sums(video)
    with open_local(video) as container:
        base = Fraction(container.streams.video[0].time_base or 1)
    if sorted(round(pts * base * form.fps) for pts, _ in packets) != list(range(len(planned))):
        raise FilmError(
            f"a segment came out with {len(packets)} frames where {len(planned)} were planned, or unevenly "
            "spaced: render again; if it persists, report the source file"
        )
    if not packets[0][1]:
        raise FilmError("a segment does not begin with a key frame: render again")
    shown, said = thumbs_of(video, cancel=cancel)
    if len(shown) != len(planned):
        return [f"decodes to {len(shown)} of {len(planned)} frames"]
    shown = _judged(shown, planned, clip, range(clip.frames))
    problems = picture_problems(shown, planned, form.fps, compare=comparable(clip, form))
    return problems + shot_problems(shown, clip, form) + said.splitlines()[:3]


def shot_problems(shown: Thumbs, clip: Clip, form: Format) -> list[str]:
    """Whether the middle frame of a segment is the one that was planned.

    The source is opened and decoded anew for it, by other code than rendered it, and the perceptual hashes
    of both pictures are compared.
    """
    middle = clip.frames // 2
    blended = clip.speed < 1 and form.slow != "repeat"
    if clip.media is None or not comparable(clip, form) or middle not in untouched(clip) or blended:
        return []
    time = clip.span.start + middle * clip.speed / form.fps + TOLERANCE
    try:
        image = frames_at(clip.source, [time], start=clip.origin, side=SHOT_SIDE)[0]
    except FootageError:
        return []  # damaged there, which the decoder has said already, or held after its end
    picture = _framed(image, clip, form, middle)
    apart = (_thumb_hash(picture) ^ _thumb_hash(shown[middle])).bit_count()
    # Flat pictures and plain stripes have hashes of little but noise: then the pictures themselves decide.
    if apart <= SHOT_BITS or _difference(shown[middle : middle + 1], picture[None])[0] <= DIFFERENT:
        return []
    return [f"frame {middle} is not the planned moment of {clip.source.name} ({apart} of 64 bits differ)"]


def _framed(image: NDArray[np.uint8], clip: Clip, form: Format, frame: int) -> NDArray[np.uint8]:
    """What the film's frame shows of a picture, as a luma thumbnail."""
    import cv2

    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = gray.shape
    aspect = form.width / form.height
    if form.fit == "crop":
        across, down = min(width, round(height * aspect)), min(height, round(width / aspect))
        place = clip.framing.first + (clip.framing.last - clip.framing.first) * frame / max(
            1, clip.frames - 1
        )
        left, top = round((width - across) * place), round((height - down) * place)
        gray = gray[top : top + down, left : left + across]
    else:
        full = max(width, round(height * aspect)), max(height, round(width / aspect))
        x, y = (full[0] - width) // 2, (full[1] - height) // 2
        gray = cv2.copyMakeBorder(
            gray, y, full[1] - height - y, x, full[0] - width - x, cv2.BORDER_CONSTANT, value=0
        )
    return np.asarray(cv2.resize(gray, (THUMB, THUMB), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _thumb_hash(thumb: NDArray[np.uint8]) -> int:
    return perceptual_hash(np.repeat(thumb[:, :, None], 3, axis=2))


def _key_frames(video: Path, ticks: int, wanted: Sequence[range]) -> tuple[list[int], Thumbs]:
    """Frame numbers of the key frames within some ranges, and their thumbnails."""
    from av.video.reformatter import ColorRange, Interpolation

    numbers: list[int] = []
    thumbs: list[NDArray[Any]] = []
    ranges = iter(wanted)
    here = next(ranges, None)
    with open_local(video) as container:
        stream = container.streams.video[0]
        decoder = stream.codec_context
        for packet in container.demux(stream):
            if packet.pts is None or not packet.is_keyframe:
                continue
            number = round(packet.pts / ticks)
            while here is not None and number >= here.stop:
                here = next(ranges, None)
            if here is None:
                break
            if number < here.start:
                continue
            for frame in [*decoder.decode(packet), *decoder.decode(None)]:
                small = frame.reformat(
                    THUMB,
                    THUMB,
                    "gray",
                    interpolation=Interpolation.AREA,
                    dst_color_range=ColorRange.JPEG,
                )
                numbers.append(number)
                thumbs.append(small.to_ndarray())
            decoder.flush_buffers()
    return numbers, np.stack(thumbs) if thumbs else np.zeros((0, THUMB, THUMB), np.uint8)


def check_film(
    path: Path, timeline: Timeline, form: Format, shown: Sequence[Shown], sums: Sums
) -> tuple[Check, ...]:
    """Open a film and hold it to its plan.

    Pictures are looked at where they are new; of what was checked when an earlier film was made, every
    packet is held to be the very one that was joined.

    Args:
        path: The film.
        timeline: What it should show.
        form: Size, rate and quality.
        shown: What is known of each clip, in order.
        sums: The check sums of what was joined.
    """
    checks: list[Check] = []
    with open_local(path) as container:
        video = container.streams.video[0]
        size = (int(video.codec_context.width), int(video.codec_context.height))
        aspect = video.sample_aspect_ratio or Fraction(1)
        base = Fraction(video.time_base or Fraction(1, form.timescale))
        streams = (len(container.streams.video), len(container.streams.audio))
    packets, found = packet_sums(path)
    times = sorted(pts for pts, _ in packets)
    checks.append(
        Check("frames", len(packets) == timeline.frames, f"{len(packets)} of {timeline.frames} planned")
    )
    # In ticks of a common clock; a container that keeps time in milliseconds (WebM) rounds every timestamp.
    step, tick = 1 / form.fps, base
    common = math.lcm(step.denominator, tick.denominator)
    step_ticks, tick_ticks = int(step * common), int(tick * common)
    off = tick_ticks // 2 if step_ticks % tick_ticks else 0
    uneven = next((n for n, pts in enumerate(times) if abs(pts * tick_ticks - n * step_ticks) > off), None)
    checks.append(
        Check(
            "constant rate",
            uneven is None,
            f"{float(form.fps):.3f} frames/s throughout"
            if uneven is None
            else f"frame {uneven} is at {float(times[uneven] * base):.4f} s, not "
            f"{float(uneven * step):.4f} s",
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
    whole = found == sums
    checks.append(
        Check(
            "packets",
            whole,
            f"{len(sums.picture)} of picture and {len(sums.sound)} of sound, each as it was joined"
            if whole
            else "what was read back is not what was joined: render again",
        )
    )
    checks += _pictures(path, timeline, form, shown, base)
    return tuple(checks)


def _pictures(
    path: Path, timeline: Timeline, form: Format, shown: Sequence[Shown], base: Fraction
) -> list[Check]:
    """Black, frozen and wrong pictures: every segment's own check, and new ones in the film at key frames.

    Each segment begins with a key frame, so that every new join is among them.
    """
    faults: dict[str, str] = {}

    def fault(line: str, clip: Clip) -> None:
        name = next((kind for kind in ("black", "frozen") if line.startswith(kind)), "picture")
        faults.setdefault(name, f"frames {clip.start} to {clip.end} ({clip.source.name}): {line}")

    for clip, part in zip(timeline.picture, shown, strict=True):
        for line in part.problems:
            fault(line, clip)
    fresh = [
        range(clip.start, clip.end) if form.quality == "final" else range(clip.start, clip.start + 1)
        for clip, part in zip(timeline.picture, shown, strict=True)
        if part.fresh
    ]
    numbers, thumbs = _key_frames(path, round(1 / (base * form.fps)), fresh)
    at = dict(zip(numbers, thumbs, strict=True))
    for clip, part in zip(timeline.picture, shown, strict=True):
        if not part.fresh:
            continue
        here = sorted(n for n in at if clip.start <= n < clip.end)
        if clip.start not in at:
            fault(f"frame {clip.start} is not a key frame, or does not decode", clip)
            continue
        own = [n - clip.start for n in here]
        for line in picture_problems(
            _judged(np.stack([at[n] for n in here]), part.planned[own], clip, own),
            part.planned[own],
            Fraction(1_000_000),
            compare=comparable(clip, form),
        ):
            fault(line, clip)
    looked = len(shown), len(numbers)
    return [
        Check(name, name not in faults, faults.get(name, detail))
        for name, detail in (
            ("picture", f"{looked[0]} clips show their moments; {looked[1]} new key frames looked at"),
            ("black", "nowhere but where the source is"),
            ("frozen", "nowhere but where the source is"),
        )
    ]


def check_sound(
    heard: Heard, frames: int, fps: Fraction, planned: PlannedSound, loudness: Loudness
) -> list[Check]:
    """Hold the encoded sound of a film to its plan: length, silence, loudness.

    Args:
        heard: The sound as it was decoded again.
        frames: Length of the film.
        fps: Its rate.
        planned: What was handed to the encoder.
        loudness: What the mix was brought to, and why not to its target if it was not.
    """
    wanted = sample_at(frames, fps)
    checks = [
        Check(
            "sound length",
            abs(heard.samples - wanted) <= AAC_FRAME,
            f"{heard.samples / SAMPLE_RATE:.3f} s for {float(frames / fps):.3f} s of picture",
        ),
        Check("sound decodes", not heard.said, heard.said[0] if heard.said else "without a warning"),
    ]
    levels = heard.levels
    count = min(len(levels), len(planned.levels))
    lost = np.flatnonzero((planned.levels[:count] >= HEARD) & (levels[:count] < SILENT))
    planned_seconds = float((planned.levels >= SILENT).sum()) * BLOCK / SAMPLE_RATE
    checks.append(
        Check(
            "silence",
            len(lost) == 0,
            (f"{planned_seconds:.1f} s with sound" if planned_seconds else "no sound was planned")
            if len(lost) == 0
            else f"silent at {lost[0] * BLOCK / SAMPLE_RATE:.1f} s, where sound was planned",
        )
    )
    if loudness.lufs is not None:
        result = replace(loudness, lufs=heard.lufs, peak=heard.peak)
        # Spikes and near-silence are told, and no fault of the film.
        short = heard.lufs < loudness.target and heard.peak <= PEAK_DBTP and bool(loudness.why)
        checks.append(
            Check("loudness", result.on_target or short, str(result) + (f": {loudness.why}" if short else ""))
        )
    return checks


def check_captions(cues: Sequence[Cue]) -> Check:
    """Whether captions follow each other, and which are hard to read."""
    wrong, hard = caption_problems(cues)
    if wrong:
        return Check("captions", False, wrong[0])
    if hard:
        more = f", and {len(hard) - 1} more" if len(hard) > 1 else ""
        return Check("captions", True, f"{len(cues)}, none overlaps; hard to read: {hard[0]}{more}")
    return Check("captions", True, f"{len(cues)}, none overlaps, each can be read in its time")
