"""How near a changed shot stays to the footage it was made from: PSNR and SSIM."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.base import FootageError
from index.decode import Frame
from montage.made import MadeShot, shown_frames
from montage.scoring import Problem, ShotScore
from montage.values import MontageError

__all__ = ["against_footage", "likeness", "psnr", "ssim"]

PEAK = 255.0
WINDOW = 11
"""Pixels of SSIM's Gaussian window, each way."""
SIGMA = 1.5
"""Its standard deviation, pixels."""
K1, K2 = 0.01, 0.03
"""Constants that keep SSIM steady where means or contrasts are small. All four: Wang, Bovik, Sheikh and
Simoncelli, Image Quality Assessment, IEEE TIP 2004, section III.C."""


def psnr(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB of two arrays of the same shape: 10 log10(255^2 / MSE).

    The mean squared error is taken over all samples, of one picture or of a whole clip. Infinite where
    nothing differs.

    Raises:
        ValueError: if the shapes differ or there is nothing in them.
    """
    _check(first, second)
    return _decibel(float(np.mean(np.square(first.astype(np.float64) - second))))


def ssim(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Structural similarity of two pictures' luma, (height, width) each, at most 1 (Wang et al., 2004).

    Gaussian window of 11 x 11 pixels with a standard deviation of 1.5; the mean over those places where the
    window lies within the picture.

    Raises:
        ValueError: if the shapes differ, or the pictures are smaller than the window or no luma.
    """
    import cv2

    _check(first, second)
    if first.ndim != 2 or min(first.shape) < WINDOW:
        raise ValueError(f"SSIM needs luma of {WINDOW} pixels at least each way, got the shape {first.shape}")
    inner = (slice(WINDOW // 2, -(WINDOW // 2)),) * 2

    def blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(values, (WINDOW, WINDOW), SIGMA)[inner], np.float64)

    a, b = first.astype(np.float64), second.astype(np.float64)
    mean_a, mean_b = blurred(a), blurred(b)
    variance_a = blurred(a * a) - mean_a**2
    variance_b = blurred(b * b) - mean_b**2
    covariance = blurred(a * b) - mean_a * mean_b
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return float(np.mean(luminance * structure))


def likeness(shot: MadeShot, reference: MadeShot) -> tuple[float, float]:
    """(PSNR in dB over RGB, mean SSIM of luma) of a shot against footage.

    Every frame is compared with the one that the footage shows at the same time after its beginning, cropped
    at the centre to the shot's aspect and scaled to its size. Footage that ends earlier ends the comparison.

    Raises:
        FootageError: if either cannot be decoded.
    """
    error, likes = 0.0, []
    for mine, theirs in _side_by_side(shot, reference):
        width, height = mine.source.width, mine.source.height
        a, b = _rgb(mine, width, height), _rgb(theirs, width, height)
        error += float(np.mean(np.square(a.astype(np.float64) - b)))
        likes.append(ssim(_luma(mine, width, height), _luma(theirs, width, height)))
    if not likes:
        raise FootageError(f"{str(reference.path)!r}: it shows nothing that {shot.name} can be held against")
    return _decibel(error / len(likes)), float(np.mean(likes))


def against_footage(
    scores: Sequence[ShotScore], against: Path | str
) -> tuple[list[ShotScore], list[Problem], list[str]]:
    """The scores with PSNR and SSIM against the footage that takes were made from, and what is to be said.

    Takes of the strategy ``restyle`` are compared, and those that do not name theirs. ``against`` is one
    file, or a folder with a file of the same name as the take's; for a shot of a film, its own seconds of
    another film.

    Raises:
        MontageError: if there is no such file or folder.
    """
    against = Path(against)
    if not against.exists():
        raise MontageError(f"there is no {against}: --against takes the footage that was changed")
    out, problems = [], []
    compared = other = lacking = 0
    for score in scores:
        shot = score.shot
        file = against / shot.path.name if against.is_dir() else against
        if shot.strategy not in ("", "restyle") or shot.kind in ("still", "card"):
            other += 1
        elif not file.is_file():
            lacking += 1
        else:
            reference = MadeShot(
                name=file.name,
                path=file,
                start=shot.start if shot.seconds is not None else Fraction(0),
                seconds=shot.seconds,
            )
            try:
                decibel, like = likeness(shot, reference)
                score = replace(score, psnr=decibel, ssim=like)  # noqa: PLW2901
                compared += 1
            except (FootageError, ValueError) as error:
                problems.append(Problem(file, str(error)))
        out.append(score)
    said = [f"PSNR and SSIM: {compared} of {len(scores)} compared with {against}"]
    if other:
        said.append(f"{other} were not made by restyle")
    if lacking:
        said.append(f"{lacking} have no file of their name there")
    return out, problems, ["; ".join(said)]


def _side_by_side(shot: MadeShot, reference: MadeShot) -> Iterator[tuple[Frame, Frame]]:
    """Each frame of the shot with the one that the reference shows then."""
    theirs = (shown.frame for shown in shown_frames(reference) if shown.place == "within")
    now, ahead = next(theirs, None), next(theirs, None)
    begin = None if now is None else now.time
    # Timestamps of two files are rounded differently: half a millisecond late is in time.
    late = Fraction(1, 2000)
    mine_begin: Fraction | None = None
    length: Fraction | None = None  # of the last frame: as long as the one before it
    for shown in shown_frames(shot):
        if shown.place != "within":
            continue
        mine_begin = shown.frame.time if mine_begin is None else mine_begin
        time = shown.frame.time - mine_begin
        while ahead is not None and now is not None and begin is not None:
            length = ahead.time - now.time
            if ahead.time - begin > time + late:
                break
            now, ahead = ahead, next(theirs, None)
        if now is None or begin is None:
            return
        if ahead is None and length is not None and time >= now.time - begin + length - late:
            return  # past the end of the last frame
        yield shown.frame, now


def _rgb(frame: Frame, width: int, height: int) -> NDArray[np.uint8]:
    return _fitted(frame, width, height, "rgb24")


def _luma(frame: Frame, width: int, height: int) -> NDArray[np.uint8]:
    return _fitted(frame, width, height, "gray")


def _fitted(frame: Frame, width: int, height: int, form: str) -> NDArray[np.uint8]:
    """A frame as RGB or luma of a size; it is cropped at the centre to that aspect where it has another."""
    from generate.finish import crop_to_cover

    source: Any = frame.source
    if frame.turns % 2:  # rare, so that it need not be quick
        image = np.rot90(source.to_ndarray(format="rgb24"), frame.turns)
        source = _as_frame(image)
    if (source.width, source.height) == (width, height):
        return np.asarray(source.to_ndarray(format=form), np.uint8)
    across, down = crop_to_cover(source.width, source.height, Fraction(width, height))
    image = source.to_ndarray(format="rgb24")
    left, top = (source.width - across) // 2, (source.height - down) // 2
    image = image[top : top + down, left : left + across]
    scaled = _as_frame(image).reformat(width=width, height=height, format="rgb24", interpolation="LANCZOS")
    return np.asarray(scaled.to_ndarray(format=form), np.uint8)


def _as_frame(image: NDArray[np.uint8]) -> Any:
    import av

    return av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")


def _decibel(error: float) -> float:
    return math.inf if error == 0 else 10 * math.log10(PEAK**2 / error)


def _check(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> None:
    if first.shape != second.shape or not first.size:
        raise ValueError(f"two pictures of one size are compared, got {first.shape} and {second.shape}")
