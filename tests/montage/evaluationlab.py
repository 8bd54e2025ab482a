"""Takes and films of plain colours, and an encoder whose cosines are known beforehand."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generate.base import Cancel, Frame, Progress, Request, Take, TakeKind
from generate.finish import finish_take, write_video
from generate.provenance import marks_for
from generate.takes import make_take
from index.encoders.base import Calibration, FloatArray

FPS = Fraction(25)
SIZE = (96, 64)
Colour = tuple[int, int, int]
RED, GREEN, BLUE = (200, 60, 60), (60, 200, 60), (60, 60, 200)
ENCODER = "python:tests.montage.evaluationlab:ColourEncoder"
WORDS: dict[str, Colour] = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}


def unit(vectors: NDArray[np.generic]) -> FloatArray:
    values = np.asarray(vectors, np.float32)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def cosine(first: Sequence[float], second: Sequence[float]) -> float:
    return float(unit(np.array(first)) @ unit(np.array(second)))


class ColourEncoder:
    """A picture is its mean colour; a text is the sum of the colours that it names."""

    name = ENCODER
    hash = "0123456789abcdef"
    image_size = 32
    feature_size = 3
    calibration = Calibration(temperature=0.1)

    def encode_images(self, frames: Sequence[NDArray[np.uint8]]) -> FloatArray:
        return np.stack([frame.mean(axis=(0, 1)) for frame in frames]).astype(np.float32)

    def encode_texts(self, texts: Sequence[str], language: str = "en") -> FloatArray:
        said = [[WORDS[word] for word in text.casefold().split() if word in WORDS] for text in texts]
        return unit(np.array([np.sum(colours, axis=0) for colours in said]))

    def project(self, features: FloatArray, language: str = "en") -> FloatArray:
        return unit(features)


def plain(colour: Colour, size: tuple[int, int] = SIZE) -> Frame:
    return np.full((size[1], size[0], 3), colour, np.uint8)


def write(
    path: Path,
    frames: Iterable[Frame],
    *,
    marks: dict[str, str] | None = None,
    size: tuple[int, int] = SIZE,
    fps: Fraction = FPS,
) -> Path:
    """A video of exactly these frames."""
    shown = list(frames)
    write_video(
        shown,
        path,
        source_size=size,
        source_fps=fps,
        size=size,
        fps=fps,
        count=len(shown),
        marks=marks or {},
    )
    return path


def take(path: Path, frames: Iterable[Frame], prompt: str, model: str = "tiny", seed: int = 1) -> Path:
    """A take that says of itself from what it was made."""
    marks = marks_for("diffusion", model=model, model_hash="0", prompt=prompt, seed=seed)
    return write(path, frames, marks=marks)


def film(path: Path, shots: Sequence[tuple[Colour, int, str]], fps: Fraction = FPS, model: str = "m") -> Path:
    """A film of plain shots (colour, frames, prompt); those with a prompt are named as generated."""
    starts = [0, *itertools.accumulate(count for _, count, _ in shots)]
    generated = [
        {
            "sentence": number,
            "from": round(float(start / fps), 3),
            "seconds": round(float(count / fps), 3),
            "kind": "diffusion",
            "model": model,
            "prompt": prompt,
            "seed": 7,
            "digital_source_type": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
            "strategy": "direct",
        }
        for number, (start, (_, count, prompt)) in enumerate(zip(starts, shots, strict=False), start=1)
        if prompt
    ]
    frames = [plain(colour) for colour, count, _ in shots for _ in range(count)]
    return write(path, frames, marks={"film": "1", "generated": json.dumps(generated)}, fps=fps)


def textured(number: int, colour: Colour = RED, size: tuple[int, int] = SIZE) -> Frame:
    """A picture with some detail, which moves a little from number to number."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    wave = 40 * np.sin((x + 2 * number) / 7) * np.cos(y / 9)
    return np.clip(np.array(colour) + wave[..., None], 0, 255).astype(np.uint8)


class Painter:
    """A generator whose takes are textured in one colour, made by a strategy."""

    name = "painter"
    kind: TakeKind = "diffusion"

    def __init__(self, folder: Path, colour: Colour) -> None:
        self.folder, self.colour = folder, colour
        self.identity = f"painter-{colour}"

    def generate(
        self, request: Request, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Take:
        size = (request.width, request.height)
        return finish_take(
            [textured(number, self.colour, size) for number in range(request.frames)],
            self.folder / f"painted-{request.seed}.mp4",
            request,
            kind=self.kind,
            model=self.name,
            model_hash="1",
            details={"strategy": request.strategy},
        )


def painted(folder: Path, prompt: str, colour: Colour, strategy: str, seed: int = 1) -> Take:
    """A take of the painter with its record beside it, made as every take is."""
    request = Request(
        prompt=prompt,
        frames=12,
        fps=FPS,
        width=SIZE[0],
        height=SIZE[1],
        seed=seed,
        strategy=strategy,  # type: ignore[arg-type]
    )
    made, _ = make_take(request, [Painter(folder, colour)], folder)
    return made
