"""Diffusion takes: a diffusers pipeline in a local folder."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generate.base import Cancel, Cancelled, Frame, GenerationError, Progress, Request, Take, TakeKind
from generate.families import FAMILIES, Family, native_frames, native_size
from generate.finish import finish_take
from generate.keys import request_key
from index.base import content_id, import_torch

__all__ = ["Diffusers"]

VERSION = "diffusers-1"
"""Raised when what is asked of a model changes, so that kept takes are made anew."""
LEAST_SPEED = Fraction(4, 5)
"""A take is slowed no more than to this, as footage is."""
AMPLE_MEMORY = 32 * 1024**3
"""Bytes of GPU memory from which on a model stays there whole; with less, its parts take turns."""
SMALL_MEMORY = 16 * 1024**3
"""Bytes of GPU memory below which the decoder also works in tiles."""


class Diffusers:
    """Makes takes with the text-to-video pipeline saved in a local folder.

    The folder is what ``save_pretrained`` writes: ``model_index.json`` and a folder for each component. It is
    read with ``local_files_only``, safetensors only, never from the network. It is checked on creation and
    loaded on first use. On a GPU it runs in bfloat16, on a CPU in float32.

    Noise is drawn on the CPU, so that one seed gives one take on every device, up to rounding.
    """

    kind: TakeKind = "diffusion"

    def __init__(
        self,
        model_path: Path | str,
        directory: Path | str,
        *,
        device: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        native_area: int | None = None,
    ) -> None:
        """Takes of the model in ``model_path`` are written to ``directory``.

        ``device`` is ``cuda`` where there is one, else ``cpu``; ``steps``, ``guidance`` and ``native_area``
        (most pixels of a frame) are the family's own where they are None.

        Raises:
            GenerationError: if the folder holds no supported pipeline.
            ValueError: if ``steps`` or ``native_area`` is not positive.
        """
        if (steps is not None and steps < 1) or (native_area is not None and native_area < 1):
            raise ValueError(f"steps and native_area must be positive, got {steps=} {native_area=}")
        self.model_path = Path(model_path)
        self.directory = Path(directory)
        self.family: Family = _family_of(self.model_path)
        self.device = device
        self.steps = steps or self.family.steps
        self.guidance = self.family.guidance if guidance is None else guidance
        self.native_area = native_area or self.family.native_area

    @property
    def name(self) -> str:
        """The family's name, such as ``wan``."""
        return self.family.name

    @property
    def model(self) -> str:
        """The name of the model's folder."""
        return self.model_path.resolve().name

    @property
    def max_seconds(self) -> Fraction:
        """The longest request in seconds; a longer gap is split by the caller."""
        return self.family.max_frames / self.family.fps / LEAST_SPEED

    @functools.cached_property
    def model_hash(self) -> str:
        """SHA-256 over ``model_index.json`` and every file of every component, by name and content id.

        Raises:
            GenerationError: if a file cannot be read.
        """
        digest = hashlib.sha256()
        try:
            for path in sorted(p for p in self.model_path.rglob("*") if p.is_file() and _shapes_pixels(p)):
                name = path.relative_to(self.model_path).as_posix()
                digest.update(f"{name}\0{path.stat().st_size}\0{content_id(path)}\n".encode())
        except OSError as error:
            raise GenerationError(f"cannot read the model in {self.model_path}: {error}") from error
        return digest.hexdigest()

    @property
    def identity(self) -> str:
        """The model's hash and the settings that shape its pixels."""
        return f"{VERSION} {self.model_hash} {self.steps} {self.guidance:g} {self.native_area}"

    def generate(
        self, request: Request, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Take:
        """Make one take; ``progress`` counts denoising steps, ``cancel`` is asked after each.

        Raises:
            GenerationError: if the request is too long, or the model cannot be loaded or run.
            Cancelled: if ``cancel`` said so.
        """
        seconds = request.frames / request.fps
        plan = native_frames(self.family, seconds, LEAST_SPEED)
        if plan is None:
            raise GenerationError(
                f"{self.model} makes at most {float(self.max_seconds):.2f} s in one take, and "
                f"{float(seconds):.2f} s were asked for: split the gap into shorter slots"
            )
        if not request.prompt.strip():
            raise GenerationError("a diffusion take needs a prompt, and the request's is empty")
        frames, speed = plan
        if cancel is not None and cancel():
            raise Cancelled("stopped before the model was loaded")
        pipeline = self._pipeline
        size = native_size(self._family_as_loaded, request.width, request.height, self.native_area)
        video = self._run(pipeline, request, frames, size, progress, cancel)
        path = self.directory / f"{request_key(request, self.name, self.identity)}.mp4"
        return finish_take(
            _each(video),
            path,
            request,
            kind="diffusion",
            model=self.model,
            model_hash=self.model_hash,
            source_size=(video.shape[2], video.shape[1]),
            source_fps=self.family.fps * speed,
            source_count=len(video),
            cancel=cancel,
            details={
                "family": self.family.name,
                "pipeline": self.family.pipeline,
                "licence": self.family.licence,
                "native_width": video.shape[2],
                "native_height": video.shape[1],
                "native_frames": len(video),
                "native_fps": str(self.family.fps),
                "speed": str(speed),
                "steps": self.steps,
                "guidance": self.guidance,
            },
        )

    def _run(
        self,
        pipeline: Any,
        request: Request,
        frames: int,
        size: tuple[int, int],
        progress: Progress | None,
        cancel: Cancel | None,
    ) -> NDArray[np.uint8]:
        """The model's own frames, (frames, height, width, 3) RGB."""
        torch = import_torch()

        def after_step(_: Any, step: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            if progress is not None:
                progress(step + 1, self.steps)
            if cancel is not None and cancel():
                # Raised through the pipeline: its interrupt flag would still decode half-made latents.
                raise Cancelled(f"stopped after step {step + 1} of {self.steps}")
            return tensors

        ours = {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt or None,
            "width": size[0],
            "height": size[1],
            "frames": frames,
            "steps": self.steps,
            "guidance": self.guidance,
        }
        theirs = {self.family.arguments[name]: value for name, value in ours.items()}
        try:
            with torch.inference_mode():
                output = pipeline(
                    **theirs,
                    generator=torch.Generator("cpu").manual_seed(request.seed),
                    output_type="np",
                    callback_on_step_end=after_step,
                )
        except Cancelled:
            self._release(pipeline)
            raise
        except torch.OutOfMemoryError as error:
            self._release(pipeline)
            raise GenerationError(
                f"{self.model} ran out of memory at {size[0]}x{size[1]}, {frames} frames: "
                "ask for a smaller film, a shorter take, or give a smaller native_area"
            ) from error
        except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
            self._release(pipeline)
            raise GenerationError(
                f"{self.model} ({self.family.pipeline}) could not make {frames} frames of "
                f"{size[0]}x{size[1]}: {type(error).__name__}: {error}; check that {self.model_path} is whole"
            ) from error
        video = np.asarray(output.frames[0], np.float32)
        if not np.isfinite(video).all():
            raise GenerationError(
                f"{self.model} gave pixels that are no numbers with seed {request.seed}: try another seed"
            )
        return np.asarray(np.clip(video, 0, 1) * 255 + 0.5, np.uint8)

    @staticmethod
    def _release(pipeline: Any) -> None:
        """Put offloaded components back: a run that ends early leaves one on the GPU."""
        pipeline.maybe_free_model_hooks()

    @functools.cached_property
    def _pipeline(self) -> Any:
        """The loaded pipeline on its device."""
        torch = import_torch()
        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise GenerationError(
                f"the device {device} was asked for and torch {torch.__version__} sees no CUDA GPU: "
                "use device='cpu', or install a CUDA build of torch"
            )
        on_gpu = device.startswith("cuda")
        pipeline = _load(self.model_path, self.family, torch.bfloat16 if on_gpu else torch.float32)
        pipeline.set_progress_bar_config(disable=True)
        try:
            self._place(pipeline, device, torch)
        except (RuntimeError, ValueError) as error:
            raise GenerationError(f"cannot put {self.model} on the device {device}: {error}") from error
        return pipeline

    @staticmethod
    def _place(pipeline: Any, device: str, torch: Any) -> None:
        """Whole on a large GPU; component by component, with a tiled decoder, on a small one."""
        if not device.startswith("cuda"):
            pipeline.to(device)
            return
        memory = torch.cuda.get_device_properties(torch.device(device)).total_memory
        if memory >= AMPLE_MEMORY:
            pipeline.to(device)
        else:
            pipeline.enable_model_cpu_offload(device=device)
        if memory < SMALL_MEMORY:
            pipeline.vae.enable_tiling()

    @functools.cached_property
    def _family_as_loaded(self) -> Family:
        """The family with the size multiple that this model really has: 16, or 32 with a x16 decoder."""
        import dataclasses

        pipeline = self._pipeline
        factor = getattr(pipeline, "vae_scale_factor_spatial", None)
        patch = getattr(getattr(pipeline.transformer, "config", None), "patch_size", None)
        if not factor or not patch:
            return self.family
        return dataclasses.replace(self.family, size_multiple=int(factor) * int(patch[1]))


def _shapes_pixels(path: Path) -> bool:
    """Weights, configurations and vocabularies do; read-mes, licences and hidden files do not."""
    return path.suffix.lower() in {".json", ".safetensors", ".model", ".txt"} and not path.name.startswith(
        "."
    )


def _family_of(folder: Path) -> Family:
    """The family of the pipeline in a folder, from its ``model_index.json``.

    Raises:
        GenerationError: if it is not there, is broken, lacks weights or names another pipeline.
    """
    supported = ", ".join(f"{family.pipeline} ({name})" for name, family in _by_name().items())
    where = folder / "model_index.json"
    if not folder.is_dir():
        raise GenerationError(f"no model folder {folder}: give a folder saved by diffusers' save_pretrained")
    try:
        index = json.loads(where.read_text(encoding="utf-8"))
        name = str(index["_class_name"])
    except FileNotFoundError:
        raise GenerationError(
            f"{folder} has no model_index.json, so it is not a diffusers pipeline: give the folder that "
            f"save_pretrained wrote, of one of {supported}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GenerationError(
            f"cannot read {where} ({type(error).__name__}: {error}): fetch it again"
        ) from error
    family = FAMILIES.get(name)
    if family is None:
        raise GenerationError(f"{folder} holds a {name}, which is not supported; supported: {supported}")
    for component in ("transformer", "vae", "text_encoder"):
        listed = index.get(component)
        if not listed or listed[0] is None:
            continue
        if not any((folder / component).glob("*.safetensors")):
            raise GenerationError(
                f"{folder / component} has no .safetensors weights: fetch the model again "
                "(pickled .bin weights are never loaded)"
            )
    return family


def _by_name() -> dict[str, Family]:
    return {family.name: family for family in FAMILIES.values()}


def _load(folder: Path, family: Family, dtype: Any) -> Any:
    """The pipeline in a local folder, without any network.

    Raises:
        GenerationError: if it cannot be loaded.
    """
    # Read once by huggingface_hub and transformers when they are imported.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import_torch()
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipeline_class = getattr(diffusers, family.pipeline)
            return pipeline_class.from_pretrained(
                str(folder), local_files_only=True, use_safetensors=True, torch_dtype=dtype
            )
    except Exception as error:  # what a broken file raises differs from loader to loader
        raise GenerationError(
            f"cannot load the {family.pipeline} in {folder}: {type(error).__name__}: {str(error)[:400]}; "
            "the folder may be incomplete or corrupt: fetch it again"
        ) from error


def _each(video: NDArray[np.uint8]) -> Iterator[Frame]:
    yield from video
