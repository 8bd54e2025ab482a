"""Measures of one generated shot: whether it shows its sentence, holds together, and fits its neighbours.

All are cosines in the space of an encoder, so that figures compare only where the encoder is the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from index.base import FootageError
from montage.made import MadeShot, frame_count, shown_frames

if TYPE_CHECKING:
    from index.encoders.base import Encoder, FloatArray

__all__ = ["Problem", "ShotScore", "encoder_words", "score_shots", "spread_pairs"]

Progress = Callable[[float, float, str], None]
BATCH = 16
"""Frames encoded at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotScore:
    """What was measured of a shot; None for what cannot be measured of it."""

    shot: MadeShot
    frames: int
    """Frames in the shot."""
    encoded: int
    """Frames that the encoder saw."""
    clipsim: float | None
    """CLIPSIM: mean over frames of the cosine between frame and prompt, -1 to 1 (Wu et al., GODIVA, 2021)."""
    consistency: float | None
    """Frame consistency: mean cosine between each frame and the next (Esser et al., Gen-1, 2023; Khachatryan
    et al., Text2Video-Zero, 2023)."""
    neighbours: float | None
    """Neighbour similarity: mean cosine across the two boundaries with the shots around it in the film."""
    refused: tuple[str, ...] | None
    """What the gates hold against it (``generate.gates``); None for stills and cards, which they do not
    judge."""
    psnr: float | None = None
    """Peak signal-to-noise ratio against the footage it was made from, dB; infinite for the same pixels."""
    ssim: float | None = None
    """Structural similarity with that footage, at most 1 (Wang et al., 2004)."""

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON; an infinite PSNR is null beside an SSIM of 1."""
        shot = self.shot
        return {
            "name": shot.name,
            "file": str(shot.path),
            "from": float(shot.start),
            "seconds": None if shot.seconds is None else float(shot.seconds),
            "sentence": shot.sentence,
            "prompt": shot.prompt,
            "kind": shot.kind,
            "model": shot.model,
            "strategy": shot.strategy,
            "seed": shot.seed,
            "frames": self.frames,
            "frames_encoded": self.encoded,
            "clipsim": _rounded(self.clipsim),
            "frame_consistency": _rounded(self.consistency),
            "neighbour_similarity": _rounded(self.neighbours),
            "refused": None if self.refused is None else list(self.refused),
            "psnr": _rounded(self.psnr),
            "ssim": _rounded(self.ssim),
        }


@dataclass(frozen=True, slots=True)
class Problem:
    """A video that could not be measured, and why."""

    path: Path
    reason: str


def encoder_words(name: str) -> str:
    """Which encoder measures, and with what its figures may be compared."""
    if name == "embedded":
        return (
            "encoder embedded: no CLIP, so that these figures compare with each other and not with those of "
            "papers"
        )
    return (
        f"encoder {name}: figures compare only with those of the same weights; papers mostly take OpenAI's "
        "CLIP ViT-B/32 or ViT-L/14"
    )


def score_shots(
    shots: Sequence[MadeShot],
    encoder: Encoder,
    *,
    most: int | None = None,
    progress: Progress | None = None,
) -> tuple[list[ShotScore], list[Problem]]:
    """Measure shots; a file that cannot be decoded is told and left out.

    Args:
        shots: what to measure.
        encoder: pictures and sentences in one space.
        most: frames of a shot that are encoded at most, in pairs of neighbours spread evenly; None for all.
        progress: called with (shots done, shots, name).
    """
    scores, problems = [], []
    for done, shot in enumerate(shots):
        if progress is not None:
            progress(done, len(shots), shot.name)
        try:
            scores.append(_score(shot, encoder, most))
        except FootageError as error:
            problems.append(Problem(shot.path, str(error)))
    if progress is not None:
        progress(len(shots), len(shots), "")
    return scores, problems


def spread_pairs(count: int, most: int) -> set[int]:
    """Numbers of at most ``most`` of ``count`` frames: pairs of neighbours, from the first to the last.

    Neighbours are what frame consistency needs; from an odd ``most`` one frame is left over and not taken.

    Raises:
        ValueError: if ``most`` is below 2.
    """
    if most < 2:
        raise ValueError(f"a pair of neighbours has 2 frames, got a limit of {most}")
    if count <= most:
        return set(range(count))
    pairs = most // 2
    if pairs == 1:
        return {(count - 2) // 2, (count - 2) // 2 + 1}
    # Whole numbers that are two apart at least, since count - 2 >= 2 * (pairs - 1): no frame is in two pairs.
    firsts = [number * (count - 2) // (pairs - 1) for number in range(pairs)]
    return {first + step for first in firsts for step in (0, 1)}


def _score(shot: MadeShot, encoder: Encoder, most: int | None) -> ShotScore:
    from generate.gates import grey_frame, measure_frames, reasons_against
    from index.languages import language_of

    language = language_of(shot.prompt) if shot.prompt else "en"
    known = frame_count(shot) if most is not None else 0
    wanted = spread_pairs(known, most) if known and most is not None else None
    space = _Space(encoder, language)
    greys: list[NDArray[np.uint8]] = []
    gated = shot.kind in ("", "diffusion")
    count = 0
    last = None
    for shown in shown_frames(shot):
        if shown.place != "within":
            space.add(shown.place, shown.frame.picture(encoder.image_size))
            if shown.place == "after" and last is not None:
                space.add("last", last.picture(encoder.image_size))
            continue
        if wanted is None or count in wanted or count == 0:
            space.add(count, shown.frame.picture(encoder.image_size))
        if gated:
            greys.append(grey_frame(shown.frame.source))
        last = shown.frame
        count += 1
    vectors = space.vectors()
    numbers = [number for number in vectors if isinstance(number, int)]
    if wanted is not None:
        numbers = [number for number in numbers if number in wanted]
    clipsim = None
    if shot.prompt:
        (words,) = encoder.encode_texts([shot.prompt], language)
        clipsim = _mean([_cosine(vectors[number], words) for number in numbers])
    return ShotScore(
        shot=shot,
        frames=count,
        encoded=len(numbers),
        clipsim=clipsim,
        consistency=_mean(
            [_cosine(vectors[a], vectors[b]) for a, b in itertools.pairwise(numbers) if b == a + 1]
        ),
        neighbours=_mean(
            [
                _cosine(vectors[outer], vectors[inner])
                for outer, inner in (("before", 0), ("after", "last"))
                if outer in vectors
            ]
        ),
        refused=reasons_against(measure_frames(greys)) if gated else None,
    )


class _Space:
    """Frames under a name, encoded some at a time, so that few pictures are held."""

    def __init__(self, encoder: Encoder, language: str) -> None:
        self._encoder, self._language = encoder, language
        self._waiting: list[tuple[int | str, NDArray[np.uint8]]] = []
        self._vectors: dict[int | str, NDArray[np.float32]] = {}

    def add(self, name: int | str, picture: NDArray[np.uint8]) -> None:
        self._waiting.append((name, picture))
        if len(self._waiting) >= BATCH:
            self._encode()

    def vectors(self) -> dict[int | str, NDArray[np.float32]]:
        """(D,) L2-normalised vectors by name, in the order in which frames were added."""
        self._encode()
        return self._vectors

    def _encode(self) -> None:
        if self._waiting:
            names, pictures = zip(*self._waiting, strict=True)
            features: FloatArray = self._encoder.encode_images(list(pictures))
            vectors = self._encoder.project(features, self._language)
            self._vectors.update(zip(names, vectors, strict=True))
            self._waiting.clear()


def _cosine(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return float(first @ second)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(value, 4)
