"""Networks of the user's that turn clips or frames into features: TorchScript and ONNX.

No weights come with montage. A network takes (N, 3, T, H, W) clips or (N, 3, H, W) frames, and gives (N, D)
features. What a file holds is found out by running it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from index.base import FootageError
from montage.made import MadeShot, frame_count, shown_frames
from montage.scoring import Problem
from montage.values import MontageError

__all__ = ["FeatureInput", "Features", "Network", "load_networks", "sample_clip"]

FloatArray = NDArray[np.float64]
Clip = NDArray[np.uint8]
"""(T, H, W, 3) RGB."""
SUFFIXES = (".pt", ".pth", ".ts", ".torchscript", ".onnx")
BATCH = 4
"""Clips in one pass through a network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureInput:
    """How clips are given to a network.

    The defaults are what the published I3D of FVD expects (``i3d_torchscript.pt``, of the PyTorch port of
    Unterthiner et al., 2019): values from -1 to 1, 224 x 224 pixels, and 16 frames, as papers take.

    Raises:
        ValueError: if a size is not positive or the range is empty.
    """

    size: int = 224
    """Height and width in pixels. The whole frame is scaled to that square, as the original of FVD does."""
    frames: int = 16
    """Neighbouring frames of a clip, from its middle; shorter clips are left out."""
    low: float = -1.0
    high: float = 1.0
    """Values of black and of white."""
    logits: bool = False
    """Whether the network's output are the logits of classes, of which the Inception Score can be taken."""

    def __post_init__(self) -> None:
        if min(self.size, self.frames) < 1 or self.low >= self.high:
            raise ValueError(f"a network's input needs size, frames and a range above nothing, got {self}")


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What a network says of a set of clips."""

    values: FloatArray
    """(N, D)"""
    probabilities: FloatArray | None
    """(N, C) class probabilities, None where the network gives none."""
    clips: int
    left_out: int
    """Clips with too few frames."""
    problems: tuple[Problem, ...] = ()
    """Clips that cannot be decoded."""


class Network:
    """A feature network from a file."""

    def __init__(self, path: Path, given: FeatureInput) -> None:
        """Load it and see what it takes; see ``load_networks``."""
        self.path = path
        self.name = path.name
        self._run: _Runner = (_Onnx if path.suffix.lower() == ".onnx" else _TorchScript)(path)
        self.input = self._run.fitted(given)
        self.kind: Literal["video", "image"] = self._kind()

    def features(self, shots: Sequence[MadeShot], progress: Callable[[int], None] | None = None) -> Features:
        """Features of the clips of shots; a clip's frames are a sample each for a network of images.

        Raises:
            MontageError: if the network fails.
        """
        values, classes, problems, left_out = [], [], [], 0
        waiting: list[Clip] = []

        def run() -> None:
            if waiting:
                made, probable = self._outputs(np.stack(waiting))
                values.append(made)
                classes.append(probable)
                waiting.clear()

        for done, shot in enumerate(shots):
            if progress is not None:
                progress(done)
            try:
                clip = sample_clip(shot, self.input)
            except FootageError as error:
                problems.append(Problem(shot.path, str(error)))
                continue
            if clip is None:
                left_out += 1
                continue
            waiting.append(clip)
            if len(waiting) == BATCH:
                run()
        run()
        known = [part for part in classes if part is not None]
        return Features(
            values=np.concatenate(values) if values else np.empty((0, 0)),
            probabilities=np.concatenate(known) if known and len(known) == len(classes) else None,
            clips=len(shots) - left_out - len(problems),
            left_out=left_out,
            problems=tuple(problems),
        )

    def _outputs(self, clips: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray | None]:
        """Features and, where there are any, class probabilities of (N, T, H, W, 3) clips."""
        scale = (self.input.high - self.input.low) / 255
        values = clips.astype(np.float32) * np.float32(scale) + np.float32(self.input.low)
        values = values.transpose(0, 4, 1, 2, 3)  # (N, 3, T, H, W)
        if self.kind == "image":
            values = values.transpose(0, 2, 1, 3, 4).reshape(-1, 3, *values.shape[3:])
        given = np.ascontiguousarray(values)
        features, classes = self._run(given)
        if classes is None and self.input.logits:
            classes = _softmax(features)
        elif classes is not None and not _are_distributions(classes):
            classes = _softmax(classes)
        elif classes is None and _are_distributions(features):
            classes = features
        return features, classes

    def _kind(self) -> Literal["video", "image"]:
        if self._run.rank in (4, 5):
            return "video" if self._run.rank == 5 else "image"
        # Clips first: a network of clips may take four axes for one clip without its batch.
        blank = np.zeros((1, 3, self.input.frames, self.input.size, self.input.size), np.float32)
        try:
            self._run(blank)
        except MontageError as first:
            try:
                self._run(np.ascontiguousarray(blank[:, :, 0]))
            except MontageError as second:
                raise MontageError(
                    f"{self.path} takes neither clips nor frames of {self.input.size} pixels and "
                    f"{self.input.frames} frames: {first}; {second}"
                ) from second
            return "image"
        return "video"


class _Runner(ABC):
    """One way of running a network; called with a batch it gives features and class outputs, if any."""

    rank: int | None = None
    """Axes of the input, None where the file does not say."""

    @abstractmethod
    def __call__(self, batch: NDArray[np.float32]) -> tuple[FloatArray, FloatArray | None]:
        """Features and class outputs of a batch."""

    def fitted(self, given: FeatureInput) -> FeatureInput:
        """The input as the file itself fixes it, where it does."""
        return given


class _TorchScript(_Runner):
    def __init__(self, path: Path) -> None:
        from index.base import import_torch
        from index.encoders.reference import gpu_device

        self._torch = import_torch()
        self._device = gpu_device() or "cpu"
        self._path = path
        try:
            self._module = self._torch.jit.load(str(path), map_location=self._device).eval()
        except (RuntimeError, ValueError, OSError) as error:
            raise MontageError(
                f"{path} is no TorchScript module ({_first_line(error)}): save one with "
                "torch.jit.script(model).save(FILE), or name an .onnx file"
            ) from error

    @cached_property
    def _names(self) -> set[str]:
        return {argument.name for argument in self._module.forward.schema.arguments}

    def __call__(self, batch: NDArray[np.float32]) -> tuple[FloatArray, FloatArray | None]:
        # The published I3D and Inception scale and resize by themselves when asked to: here that is done
        # already. They give class probabilities unless features are asked for.
        fixed: dict[str, bool] = {name: False for name in ("rescale", "resize") if name in self._names}
        if "return_features" not in self._names:
            return _features_and_classes(self._outputs(batch, fixed), self._path)
        features, _ = _features_and_classes(
            self._outputs(batch, {**fixed, "return_features": True}), self._path
        )
        asked = {**fixed, "return_features": False}
        if "no_output_bias" in self._names:  # the Inception Score is taken without it (Salimans et al.)
            asked["no_output_bias"] = True
        classes, _ = _features_and_classes(self._outputs(batch, asked), self._path)
        return features, classes

    def _outputs(self, batch: NDArray[np.float32], options: dict[str, bool]) -> list[Any]:
        torch = self._torch
        try:
            with torch.inference_mode():
                made = self._module(torch.from_numpy(batch).to(self._device), **options)
        except (RuntimeError, torch.jit.Error) as error:
            raise MontageError(f"{self._path} fails on {batch.shape}: {_last_line(error)}") from error
        parts = list(made) if isinstance(made, (tuple, list)) else [made]
        return [part.float().cpu().numpy() for part in parts]


class _Onnx(_Runner):
    def __init__(self, path: Path) -> None:
        import onnxruntime

        self._path = path
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no common base of their own
            raise MontageError(f"{path} is no ONNX model that can be run: {_first_line(error)}") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise MontageError(f"{path} has {len(inputs)} inputs: a feature network takes clips alone")
        self._input = inputs[0]
        self.rank = len(self._input.shape)
        if self.rank not in (4, 5):
            raise MontageError(
                f"{path} takes an input of {self.rank} axes: clips are (N, 3, T, H, W), frames (N, 3, H, W)"
            )

    def fitted(self, given: FeatureInput) -> FeatureInput:
        *_, height, width = self._input.shape
        if isinstance(height, int) and isinstance(width, int):
            if height != width:
                raise MontageError(f"{self._path} takes {width}x{height} pixels: only squares are made")
            given = replace(given, size=height)
        if self.rank == 5 and isinstance(self._input.shape[2], int):
            given = replace(given, frames=self._input.shape[2])
        return given

    def __call__(self, batch: NDArray[np.float32]) -> tuple[FloatArray, FloatArray | None]:
        # A batch that the file fixes is given clip by clip.
        each = len(batch) if not isinstance(self._input.shape[0], int) else self._input.shape[0]
        if len(batch) % each:
            raise MontageError(
                f"{self._path} takes {each} samples at a time: export it with a batch that is free, or of 1"
            )
        made = []
        for start in range(0, len(batch), each):
            try:
                made.append(self._session.run(None, {self._input.name: batch[start : start + each]}))
            except Exception as error:
                raise MontageError(f"{self._path} fails on {batch.shape}: {_first_line(error)}") from error
        return _features_and_classes([np.concatenate(parts) for parts in zip(*made, strict=True)], self._path)


def load_networks(place: Path | str, given: FeatureInput | None = None) -> list[Network]:
    """The feature networks of a file, or of all files of a folder in the order of their names.

    A network runs as a program: load only files from people you trust.

    Raises:
        MontageError: if there is none, or one cannot be loaded or takes something else.
    """
    place = Path(place)
    if not place.exists():
        raise MontageError(f"there is no {place}: --features takes a TorchScript or ONNX file, or a folder")
    files = [place]
    if place.is_dir():
        files = sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise MontageError(f"there is no network in {place}: it takes {', '.join(SUFFIXES)}")
    return [Network(path, given or FeatureInput()) for path in files]


def sample_clip(shot: MadeShot, given: FeatureInput) -> Clip | None:
    """(T, H, W, 3): neighbouring frames from the middle of a shot, each scaled whole; None if it has fewer.

    Raises:
        FootageError: if it cannot be decoded.
    """
    first = max(0, (frame_count(shot) - given.frames) // 2)
    # Where the header says too much, these are the last frames instead.
    frames: deque[NDArray[np.uint8]] = deque(maxlen=given.frames)
    number = 0
    for shown in shown_frames(shot):
        if shown.place != "within":
            continue
        source = shown.frame.source.reformat(
            width=given.size, height=given.size, format="rgb24", interpolation="AREA"
        )
        frames.append(np.rot90(source.to_ndarray(), shown.frame.turns))
        number += 1
        if number == first + given.frames:
            break
    return np.stack(frames) if len(frames) == given.frames else None


def _features_and_classes(outputs: Iterable[Any], path: Path) -> tuple[FloatArray, FloatArray | None]:
    """The first output as (N, D) features, the second, if there is one, as (N, C) class outputs."""
    flat = []
    for output in outputs:
        values = np.asarray(output, np.float64)
        if values.ndim < 2:
            raise MontageError(f"{path} gives an output of the shape {values.shape}: features are (N, D)")
        if values.ndim > 2 and max(values.shape[2:]) > 1:
            raise MontageError(
                f"{path} gives an output of the shape {values.shape}: pool it over space and time to (N, D)"
            )
        flat.append(values.reshape(values.shape[0], -1))
    return flat[0], flat[1] if len(flat) > 1 else None


def _are_distributions(values: FloatArray) -> bool:
    return bool(values.shape[1] > 1 and np.all(values >= 0) and np.allclose(values.sum(axis=1), 1, atol=1e-3))


def _softmax(values: FloatArray) -> FloatArray:
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float64)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def _last_line(error: Exception) -> str:
    """The last line of a message of TorchScript is what went wrong; those before say where."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1][:300]
