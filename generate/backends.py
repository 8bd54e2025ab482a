"""Diffusion takes: a diffusers pipeline in a local folder."""

from __future__ import annotations

import functools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generate.base import (
    Cancel,
    Cancelled,
    Frame,
    GenerationError,
    Progress,
    Request,
    Strategy,
    Take,
    TakeKind,
)
from generate.conditioning import CONDITIONS, CONTEXT, Native
from generate.families import Conditioning, Family, native_frames, native_size
from generate.finish import Finishing, finish_take
from generate.keys import request_key
from generate.loading import Folder, Placement, forget, is_out_of_memory, load, next_down, placement_of
from generate.matching import colour_fit, missing_grain
from generate.safety import check_prompt
from generate.strategies import NEEDS, can
from generate.tuning import Tuning
from generate.upscaling import LatentUpscaler, is_larger
from index.base import import_torch

__all__ = ["Diffusers"]

VERSION = "diffusers-2"
"""Raised when what is asked of a model changes, so that kept takes are made anew."""
LEAST_SPEED = Fraction(4, 5)
"""A take is slowed no more than to this, as footage is."""


class Diffusers:
    """Makes takes with the pipeline saved in a local folder.

    The folder is what ``save_pretrained`` writes: ``model_index.json`` and a folder for each component. It is
    read with ``local_files_only``, safetensors only, never from the network. It is checked on creation and
    loaded on first use. On a GPU it runs in half precision, on a CPU in float32.

    Noise is drawn on the CPU, so that one seed gives one take on every device, up to rounding.
    """

    kind: TakeKind = "diffusion"

    def __init__(self, model_path: Path | str, directory: Path | str, tuning: Tuning | None = None) -> None:
        """Takes of the model in ``model_path`` are written to ``directory``.

        Raises:
            GenerationError: if the folder holds no supported pipeline.
        """
        self.folder = Folder(model_path)
        self.directory = Path(directory)
        self.tuning = tuning or Tuning()
        self.rows = tuple(self.folder.as_saved(row) for row in self.folder.rows)
        self.finishing = Finishing.of(self.tuning)
        folder = self.tuning.upscaler
        latent = folder is not None and folder.is_dir()
        self._enlarger = LatentUpscaler(folder, self.rows[0].pipeline) if folder and latent else None
        self.told: list[str] = []
        """What was done about a lack of memory, in the order it happened."""
        self._loaded: tuple[str, Any] | None = None
        self._placement: Placement | None = None

    @property
    def name(self) -> str:
        """The family's name, such as ``wan``."""
        return self.rows[0].name

    @property
    def model(self) -> str:
        """The name of the model's folder."""
        return self.folder.name

    @functools.cached_property
    def honours(self) -> frozenset[Conditioning]:
        """What the model can be given."""
        return frozenset().union(*(row.honours for row in self.rows))

    @property
    def model_hash(self) -> str:
        """SHA-256 of all that shapes the model's pixels."""
        return self.folder.hash

    @property
    def identity(self) -> str:
        """The model's hash and the settings that shape its pixels."""
        row, tuning = self.rows[0], self.tuning
        told = f"{self._steps(row)} {self._guidance(row):g} {tuning.native_area or row.native_area}"
        return f"{VERSION} {self.model_hash} {told} {tuning.identity}".strip()

    def row_for(self, strategy: Strategy) -> Family:
        """The way this model is asked by a strategy.

        Raises:
            GenerationError: if it cannot be.
        """
        for wanted in NEEDS[strategy]:
            for row in self.rows:
                if wanted <= row.honours:
                    return row
        ways = ", ".join(one for one in NEEDS if can(one, self.honours)) or "none of them"
        raise GenerationError(f"{self.model} cannot be asked by {strategy}; what it can: {ways}")

    @functools.cached_property
    def device(self) -> str:
        """Where it runs: ``cuda`` where there is one, else ``cpu``, unless its tuning says otherwise."""
        return self.tuning.device or ("cuda" if import_torch().cuda.is_available() else "cpu")

    def native(
        self, strategy: Strategy, seconds: Fraction, size: tuple[int, int]
    ) -> tuple[int, tuple[int, int], int]:
        """(frames, (width, height), steps) that a take of so many seconds for a film of ``size`` is made of.

        Raises:
            GenerationError: if the model cannot be asked so.
        """
        row = self.row_for(strategy)
        plan = _planned(row, strategy, min(seconds, self.longest(strategy)))
        area = self.tuning.native_area or row.native_area
        own = row.made_size or native_size(row, *size, area)
        return (row.max_frames if plan is None else plan[0]), own, self._steps(row)

    def longest(self, strategy: Strategy = "direct") -> Fraction:
        """The longest take in seconds; a longer gap is split by the caller."""
        row = self.row_for(strategy)
        most = (row.max_frames - 1) // row.frame_step * row.frame_step + 1
        given = _given(row) if strategy == "extend" else 0
        return (most - given) / row.fps / LEAST_SPEED

    def generate(
        self, request: Request, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Take:
        """Make one take; ``progress`` counts denoising steps, ``cancel`` is asked after each.

        Raises:
            GenerationError: if the request is too long, or the model cannot be loaded or run.
            Cancelled: if ``cancel`` said so.
        """
        row = self.row_for(request.strategy)
        seconds = request.frames / request.fps
        plan = _planned(row, request.strategy, seconds)
        if plan is None:
            raise GenerationError(
                f"{self.model} makes at most {float(self.longest(request.strategy)):.2f} s in one take, and "
                f"{float(request.frames / request.fps):.2f} s were asked for: split the gap into shorter "
                "slots"
            )
        frames, speed = plan
        rate = row.fps * speed
        video, native = self._made(row, request, frames, rate, progress, cancel)
        if request.strategy == "bridge":
            # Its last frame is the one that follows: it comes when the take is over, not within it.
            rate = (len(video) - 1) / seconds
        path = self.directory / f"{request_key(request, self.name, self.identity)}.mp4"
        film = (request.width, request.height)
        pictures = list(video)
        fit = colour_fit(pictures, request.neighbours)
        middle = self.finishing.sample(fit(pictures[len(pictures) // 2]), film)
        grain = missing_grain([middle], request.neighbours, film)
        return finish_take(
            map(fit, pictures),
            path,
            request,
            kind="diffusion",
            model=self.model,
            model_hash=self.model_hash,
            source_size=(video.shape[2], video.shape[1]),
            source_fps=rate,
            source_count=len(video),
            grain=grain,
            finishing=self.finishing,
            cancel=cancel,
            details={
                "family": row.name,
                "pipeline": row.pipeline,
                "strategy": request.strategy,
                "licence": row.licence,
                "native_width": native.size[0],
                "native_height": native.size[1],
                "native_frames": len(video),
                "native_fps": str(row.fps),
                "speed": str(speed),
                "steps": native.steps,
                "guidance": self._guidance(row),
                "grain": round(grain, 2),
                **self.finishing.details(native.size, film),
                **(
                    {"upscaler": self._enlarger.path.name}
                    if self._enlarger is not None and is_larger(film, native.size)
                    else {}
                ),
                **({"control": request.control} if request.strategy == "control" else {}),
                **({"loras": self._loras} if self.tuning.loras else {}),
                **({"placement": str(self._placement)} if self.told else {}),
            },
        )

    def picture(
        self, request: Request, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Frame:
        """One picture of the request's prompt at the model's own size: the first half of a factorised take.

        Raises:
            GenerationError: if the model makes no pictures, or cannot be loaded or run.
            Cancelled: if ``cancel`` said so.
        """
        row = next((row for row in self.rows if "picture" in row.honours), None)
        if row is None:
            raise GenerationError(f"{self.model} makes no pictures: name a text-to-image model beside it")
        video, _ = self._made(row, request, 1, row.fps, progress, cancel)
        return np.asarray(video[0], np.uint8)

    def _made(
        self,
        row: Family,
        request: Request,
        frames: int,
        fps: Fraction,
        progress: Progress | None,
        cancel: Cancel | None,
    ) -> tuple[NDArray[np.uint8], Native]:
        """The model's own frames, a step down tried where memory runs out."""
        if "prompt" in row.arguments and not request.prompt.strip():
            raise GenerationError("a diffusion take needs a prompt, and the request's is empty")
        check_prompt(request.prompt)
        if cancel is not None and cancel():
            raise Cancelled("stopped before the model was loaded")
        torch = import_torch()
        if self._placement is None:
            self._placement = placement_of(self.tuning, torch)
        while True:
            size = self._size(row, request)
            native = Native(frames, size, fps, self._steps(row), self.tuning.control_model)
            try:
                return self._run(self._pipeline(row, torch), row, request, native, progress, cancel), native
            except Exception as error:
                if not is_out_of_memory(error, torch):
                    raise
                lower = next_down(self._placement)
                what = f"{self.model} ran out of memory at {size[0]}x{size[1]}, {frames} frames"
                if lower is None:
                    raise GenerationError(
                        f"{what}, with {self._placement}: ask for a smaller film or a shorter take, "
                        "or take a smaller model"
                    ) from error
                self.told.append(f"{what}; tried again with {lower}")
                self._placement = lower
            # Outside of the except clause: a traceback holds what filled the memory.
            self._loaded = None
            forget(torch)

    def _size(self, row: Family, request: Request) -> tuple[int, int]:
        if row.made_size is not None:
            return row.made_size
        assert self._placement is not None
        area = int((self.tuning.native_area or row.native_area) * self._placement.share)
        return native_size(row, request.width, request.height, max(area, row.size_multiple**2))

    @property
    def _loras(self) -> list[str]:
        return [f"{lora.path.name} at {lora.scale:g}" for lora in self.tuning.loras]

    def _steps(self, row: Family) -> int:
        return self.tuning.steps or row.steps

    def _guidance(self, row: Family) -> float:
        return row.guidance if self.tuning.guidance is None else self.tuning.guidance

    def _pipeline(self, row: Family, torch: Any) -> Any:
        """The pipeline of a row; one is held at a time."""
        if self._loaded is None or self._loaded[0] != row.pipeline:
            self._loaded = None
            forget(torch)
            assert self._placement is not None
            self._loaded = row.pipeline, load(self.folder, row, self.tuning, self._placement)
        return self._loaded[1]

    def _run(
        self,
        pipeline: Any,
        row: Family,
        request: Request,
        native: Native,
        progress: Progress | None,
        cancel: Cancel | None,
    ) -> NDArray[np.uint8]:
        """The model's own frames, (frames, height, width, 3) RGB."""
        torch = import_torch()
        done = 0

        def after_step() -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(min(done, native.steps), native.steps)
            if cancel is not None and cancel():
                # Raised through the pipeline: its interrupt flag would still decode half-made latents.
                raise Cancelled(f"stopped after step {done} of {native.steps}")

        ours = {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt or None,
            "width": native.size[0],
            "height": native.size[1],
            "frames": native.frames,
            "steps": native.steps,
            "guidance": self._guidance(row),
            "fps": round(native.fps),
        }
        enlarger = self._enlarger if is_larger((request.width, request.height), native.size) else None
        theirs = {row.arguments[name]: value for name, value in ours.items() if name in row.arguments}
        try:
            with (
                torch.inference_mode(),
                torch.random.fork_rng(),
                _Watched(pipeline, row, after_step) as watching,
            ):
                # Some draw from the common source of chance, too: I2VGen-XL the latents of its first frame.
                torch.manual_seed(request.seed)
                theirs |= CONDITIONS[row.condition](pipeline, request, native)
                output = pipeline(
                    **theirs,
                    **self._constants(row),
                    **watching,
                    generator=torch.Generator("cpu").manual_seed(request.seed),
                    output_type="np" if enlarger is None else "latent",
                )
                if enlarger is not None:
                    output.frames = enlarger(pipeline, output.frames, native.size, native.frames)
        except (Cancelled, GenerationError):
            self._release(pipeline)
            raise
        except Exception as error:  # what pipelines raise differs from one to the other
            self._release(pipeline)
            if is_out_of_memory(error, torch):
                raise
            raise GenerationError(
                f"{self.model} ({row.pipeline}) could not make {native.frames} frames of "
                f"{native.size[0]}x{native.size[1]}: {type(error).__name__}: {error}; "
                f"{self.folder.path} may be incomplete, or made for another release of diffusers"
            ) from error
        if progress is not None and done < native.steps:
            progress(native.steps, native.steps)  # a restyle skips the first steps
        return _pixels(output, self.model, request.seed)[native.skip :]

    def _constants(self, row: Family) -> dict[str, object]:
        """A row's constants; guidance that is told holds for the second expert too."""
        second = "guidance_scale_2"
        told = self.tuning.guidance is not None and second in row.constants
        return {**row.constants, **({second: self.tuning.guidance} if told else {})}

    @staticmethod
    def _release(pipeline: Any) -> None:
        """Put offloaded components back: a run that ends early leaves one on the GPU."""
        pipeline.maybe_free_model_hooks()


def _given(row: Family) -> int:
    """Frames of footage that a continuation begins with, and that are left out."""
    return CONTEXT if "continuation" in row.honours else 1


def _planned(row: Family, strategy: Strategy, seconds: Fraction) -> tuple[int, Fraction] | None:
    """(frames to ask for, the speed they play at) of a take; None where it is too long for the model."""
    if strategy != "extend":
        return native_frames(row, seconds, LEAST_SPEED)
    given = _given(row)
    plan = native_frames(row, seconds + given / row.fps, Fraction(1))
    if plan is not None:
        return plan
    most = (row.max_frames - 1) // row.frame_step * row.frame_step + 1
    speed = (most - given) / (seconds * row.fps)
    return (most, speed) if speed >= LEAST_SPEED else None


class _Watched:
    """Has a pipeline tell of its steps in whichever way it can; gives the arguments that this takes."""

    def __init__(self, pipeline: Any, row: Family, after_step: Callable[[], None]) -> None:
        self.pipeline, self.row, self.after_step = pipeline, row, after_step

    def __enter__(self) -> dict[str, Any]:
        if self.row.progress == "step-end":

            def told(_: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
                del step, time
                self.after_step()
                return tensors

            return {"callback_on_step_end": told}
        if self.row.progress == "callback":
            return {"callback": lambda *_: self.after_step(), "callback_steps": 1}
        scheduler = self.pipeline.scheduler
        self.step = scheduler.step

        @functools.wraps(self.step)  # pipelines look up what the scheduler takes
        def step(*values: Any, **named: Any) -> Any:
            out = self.step(*values, **named)
            self.after_step()
            return out

        scheduler.step = step
        return {}

    def __exit__(self, *error: object) -> None:
        if self.row.progress == "scheduler":
            self.pipeline.scheduler.step = self.step


def _pixels(output: Any, model: str, seed: int) -> NDArray[np.uint8]:
    """Any pipeline's output as (frames, height, width, 3) RGB.

    Raises:
        GenerationError: if it holds what is no number.
    """
    frames = getattr(output, "frames", None)
    # Pictures, and the frames of Text2Video-Zero, have no dimension for the batch.
    video = np.asarray(output.images if frames is None else frames[0], np.float32)
    if not np.isfinite(video).all():
        raise GenerationError(f"{model} gave pixels that are no numbers with seed {seed}: try another seed")
    return np.asarray(np.clip(video, 0, 1) * 255 + 0.5, np.uint8)
