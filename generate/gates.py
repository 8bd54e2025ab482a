"""Gates: a take that is no picture is refused before anybody sees it.

They need no weights: brightness, contrast, and how well one frame explains the next through optical flow.
They refuse what is broken (black, flat, frozen, noise, flicker, an inner cut) and do not judge what is merely
poor. The limits leave room around 35 real clips: their most was .57 of roughness, .21 of incoherence, 1.5 of
flicker.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generate.base import GenerationError
from index.base import open_local

__all__ = [
    "Measures",
    "check_join",
    "check_take",
    "grey_frame",
    "measure_frames",
    "measure_take",
    "reasons_against",
]

WIDTH = 256
"""Frames are measured at this width in pixels, as grey."""
JUMP, JUMP_RATIO = 14.0, 7.0
"""Unexplained change from which one frame looks like a cut: in levels, and as a multiple of the others'."""
JOIN_FRAMES = 40
"""Frames on either side of a join that are looked at."""
MAX_FRAMES = 150
"""Frames measured; the middle of a longer take, since neighbours must stay neighbours."""


@dataclass(frozen=True, slots=True)
class Measures:
    """What a take looks like; levels are 0 to 255."""

    luma: float
    """Mean brightness."""
    contrast: float
    """Median over frames of the brightness' standard deviation."""
    change: float
    """Median change from frame to frame: mean absolute difference."""
    drift: float
    """Mean absolute difference of the first and the last frame."""
    unexplained: float
    """Median of what motion does not explain: mean absolute difference after warping by optical flow."""
    incoherence: float
    """``unexplained`` over ``contrast``: high where neighbouring frames have nothing in common."""
    roughness: float
    """Contrast between neighbouring pixels over contrast: 1.4 for white noise, low for pictures."""
    flicker: float
    """Median absolute second difference of the frames' mean brightness."""
    worst_jump: float
    """Largest unexplained change, in levels."""
    jump_ratio: float
    """``worst_jump`` over the median one."""


def check_take(path: Path | str) -> tuple[str, ...]:
    """Why a take must not be used; empty if nothing speaks against it.

    Raises:
        GenerationError: if the file cannot be read as video.
    """
    return reasons_against(measure_take(path))


def reasons_against(measures: Measures) -> tuple[str, ...]:
    """The reasons for refusal that the measures give, each with its figure."""
    m = measures
    if m.luma < 12 and m.contrast < 10:
        return (f"black: mean brightness {m.luma:.1f} of 255",)
    reasons = []
    if m.contrast < 4:
        reasons.append(f"flat: contrast {m.contrast:.1f} levels, one colour all over")
    if m.change < 0.05 and m.drift < 0.3:
        reasons.append(f"frozen: {m.drift:.2f} levels of change from first to last frame")
    if m.roughness > 0.75:
        reasons.append(f"noise: {m.roughness:.2f} of the contrast lies between neighbouring pixels")
    if m.incoherence > 0.30:
        reasons.append(
            f"incoherent: motion leaves {m.incoherence:.2f} of the contrast unexplained in each frame"
        )
    if m.flicker > 4:
        reasons.append(f"flicker: brightness swings by {m.flicker:.1f} levels from frame to frame")
    if m.worst_jump > JUMP and m.jump_ratio > JUMP_RATIO:
        reasons.append(f"inner cut: one frame differs {m.jump_ratio:.0f} times as much as the others")
    return tuple(reasons)


def measure_take(path: Path | str) -> Measures:
    """Measure a video file.

    Raises:
        GenerationError: if it cannot be read as video or has no frames.
    """
    return measure_frames(_grey_frames(Path(path)))


def grey_frame(frame: Any) -> NDArray[np.uint8]:
    """A PyAV video frame as the gates look at it: (height, WIDTH) grey."""
    height = max(16, round(WIDTH * frame.height / frame.width / 2) * 2)
    grey: NDArray[np.uint8] = frame.reformat(
        width=WIDTH, height=height, format="gray", interpolation="AREA"
    ).to_ndarray()
    return grey


def measure_frames(frames: Sequence[NDArray[np.uint8]]) -> Measures:
    """Measure neighbouring frames, as by ``grey_frame``; of more than ``MAX_FRAMES`` the middle ones.

    Raises:
        ValueError: if there are none.
    """
    if not frames:
        raise ValueError("there are no frames to measure")
    skip = max(0, (len(frames) - MAX_FRAMES) // 2)
    frames = frames[skip : skip + MAX_FRAMES]
    changes, leftovers = _steps(frames)
    means = np.array([float(frame.mean()) for frame in frames])
    contrast = float(np.median([float(frame.std()) for frame in frames]))
    unexplained = float(np.median(leftovers)) if leftovers else 0.0
    worst = max(leftovers, default=0.0)
    return Measures(
        luma=float(means.mean()),
        contrast=contrast,
        change=float(np.median(changes)) if changes else 0.0,
        drift=_difference(frames[0], frames[-1]),
        unexplained=unexplained,
        incoherence=unexplained / max(contrast, 1e-6),
        roughness=float(np.median([_roughness(frame) for frame in frames])),
        flicker=float(np.median(np.abs(np.diff(means, 2)))) if len(means) > 2 else 0.0,
        worst_jump=worst,
        jump_ratio=worst / max(unexplained, 0.5),
    )


def check_join(path: Path | str, frame: int) -> str:
    """Why a video looks cut where ``frame`` begins something that should go on from what was before; empty
    if it does not.

    Raises:
        GenerationError: if the file cannot be read as video.
    """
    first = max(0, frame - JOIN_FRAMES)
    _, leftovers = _steps(_grey_frames(Path(path), first, 2 * JOIN_FRAMES))
    place = frame - first - 1
    if not 0 <= place < len(leftovers):
        return ""
    jump, others = leftovers[place], leftovers[:place] + leftovers[place + 1 :]
    ratio = jump / max(float(np.median(others)) if others else 0.0, 0.5)
    if jump > JUMP and ratio > JUMP_RATIO:
        return f"a cut: the frame at the join differs {ratio:.0f} times as much as the others"
    return ""


def _steps(frames: Sequence[NDArray[np.uint8]]) -> tuple[list[float], list[float]]:
    """(change from each frame to the next, what motion does not explain of it), in levels."""
    import cv2

    height, width = frames[0].shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    flow_of = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    changes: list[float] = []
    leftovers: list[float] = []
    for before, after in itertools.pairwise(frames):
        flow = flow_of.calc(after, before, None)
        warped = cv2.remap(
            before,
            columns + flow[..., 0],
            rows + flow[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        changes.append(_difference(before, after))
        leftovers.append(min(_difference(warped, after), changes[-1]))
    return changes, leftovers


def _grey_frames(path: Path, first: int | None = None, most: int = MAX_FRAMES) -> list[NDArray[np.uint8]]:
    """Neighbouring frames of a video from ``first`` on, (height, WIDTH) grey; by default those in its
    middle."""
    import av

    frames: list[NDArray[np.uint8]] = []
    try:
        with open_local(path) as container:
            stream = container.streams.video[0]
            skip = max(0, (stream.frames - most) // 2) if first is None else first
            for index, frame in enumerate(container.decode(stream)):
                if index < skip:
                    continue
                if len(frames) == most:
                    break
                frames.append(grey_frame(frame))
    except (OSError, IndexError, av.error.FFmpegError) as error:
        raise GenerationError(f"cannot check the take {path}: {error}; make it again") from error
    if not frames:
        raise GenerationError(f"cannot check the take {path}: it has no frames; make it again")
    return frames


def _difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return float(np.abs(first.astype(np.float32) - second).mean())


def _roughness(frame: NDArray[np.uint8]) -> float:
    """Standard deviation of the difference of neighbouring pixels over that of the pixels."""
    values = frame.astype(np.float32)
    step = float(np.diff(values, axis=1).std() + np.diff(values, axis=0).std()) / 2
    return step / max(float(values.std()), 1e-6)
