"""How a model is run: precision, what stays on the GPU, tiling, LoRAs, caching, finishing; by tier, or as a
file says."""

from __future__ import annotations

import dataclasses
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from generate.base import GenerationError
from generate.catalogue import lora_for
from generate.controls import control_id
from generate.families import Cache
from generate.interpolation import Interpolation, chosen
from generate.upscaling import upscaler_id
from index.base import content_id

__all__ = [
    "TIERS",
    "Cache",
    "DType",
    "Lora",
    "Offload",
    "Tier",
    "Tuning",
    "fitted_to",
    "read_tuning",
    "tier_for",
    "tier_of",
]

DType = Literal["auto", "bfloat16", "float16", "float32"]
Offload = Literal["auto", "none", "model", "group", "sequential"]
"""What stays on the GPU: everything; one component at a time; some layers at a time, the next ones fetched
meanwhile; one layer at a time."""

GIB = 1024**3
AMPLE_MEMORY = 32 * GIB
"""Bytes of GPU memory from which on a model stays there whole; with less, its components take turns."""
SMALL_MEMORY = 16 * GIB
"""Bytes of GPU memory below which the decoder also works in tiles."""
TINY_MEMORY = 10 * GIB
"""Bytes below which a component is not held whole either: its layers come in groups."""


@dataclass(frozen=True, slots=True)
class Lora:
    """A low-rank change of a model's weights (Hu et al., 2021), such as a step-distilled one."""

    path: Path
    """A ``.safetensors`` file."""
    scale: float = 1.0
    second: bool = False
    """Of a model with two experts (Wan 2.2 A14B): for the one of little noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How a model is run; ``auto`` and None are what the family and the tier say.

    Raises:
        ValueError: if a number is not positive, or a word unknown.
    """

    device: str | None = None
    dtype: DType = "auto"
    offload: Offload = "auto"
    tiling: bool | None = None
    """Decode in tiles."""
    cache: Cache = "auto"
    cache_if_can: bool = False
    """Whether a model that cannot reuse work between steps does without: not where it was asked for."""
    distilled: bool | None = None
    """Take the step-distilled LoRA of a known model, where it is here and ``loras`` names none."""
    loras: tuple[Lora, ...] = ()
    steps: int | None = None
    guidance: float | None = None
    native_area: int | None = None
    """Most pixels of a frame."""
    control_model: Path | None = None
    """Folder of the model that finds depth or pose."""
    interpolation: Interpolation = "auto"
    """How a take comes to the film's rate."""
    rife_model: Path | None = None
    """Folder of a RIFE model for ncnn."""
    upscaler: Path | None = None
    """A pixel upscaler's file, or a latent upscaler's folder."""

    def __post_init__(self) -> None:
        if (self.steps is not None and self.steps < 1) or (
            self.native_area is not None and self.native_area < 1
        ):
            raise ValueError(
                f"steps and native_area must be positive, got {self.steps} and {self.native_area}"
            )
        for name, words in (
            ("dtype", DType),
            ("offload", Offload),
            ("cache", Cache),
            ("interpolation", Interpolation),
        ):
            if str(getattr(self, name)) not in get_args(words):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}: write one of {', '.join(get_args(words))}"
                )
        if self.interpolation == "rife" or self.rife_model is not None:
            try:
                chosen(self.interpolation, self.rife_model)
            except GenerationError as error:
                raise ValueError(str(error)) from error

    @property
    def identity(self) -> str:
        """What of it shapes pixels beyond steps, guidance and size: empty where nothing does.

        Raises:
            GenerationError: if a LoRA or a model that it names cannot be read.
        """
        parts: list[str] = [] if self.cache in ("auto", "none") else [self.cache]
        parts += [] if self.dtype == "auto" else [self.dtype]
        try:
            parts += [f"{content_id(lora.path)}*{lora.scale:g}{'-2' * lora.second}" for lora in self.loras]
        except OSError as error:
            raise GenerationError(f"cannot read a LoRA: {error}") from error
        parts += [] if self.control_model is None else [f"control {control_id(self.control_model)}"]
        by = chosen(self.interpolation, self.rife_model)
        parts += [by.identity] if by is not None else ["blend"] if self.interpolation == "blend" else []
        parts += [] if self.upscaler is None else [f"upscaler {upscaler_id(self.upscaler)}"]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16] if parts else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """What ``auto`` and None mean on GPUs from a size of memory on, and on a CPU."""

    memory: int | None
    """Least bytes; None for a CPU."""
    dtype: DType
    """``auto`` is bfloat16, and float16 on a GPU that lacks it."""
    offload: Offload
    tiling: bool
    cache: Cache
    """For models made of transformer blocks, where no step-distilled LoRA leaves few steps to reuse."""
    distilled: bool
    """Whether a step-distilled LoRA is taken where one is here: quicker, and less true to the prompt."""


TIERS = (
    Tier(memory=AMPLE_MEMORY, dtype="auto", offload="none", tiling=False, cache="none", distilled=False),
    Tier(memory=SMALL_MEMORY, dtype="auto", offload="model", tiling=False, cache="none", distilled=True),
    Tier(memory=TINY_MEMORY, dtype="auto", offload="model", tiling=True, cache="first-block", distilled=True),
    Tier(memory=0, dtype="auto", offload="group", tiling=True, cache="first-block", distilled=True),
    Tier(memory=None, dtype="float32", offload="none", tiling=False, cache="none", distilled=True),
)
"""From large GPUs to a CPU."""


def tier_for(memory: int | None) -> Tier:
    """The tier of a GPU of so many bytes; no GPU is None."""
    if memory is None:
        return TIERS[-1]
    return next(tier for tier in TIERS if tier.memory is not None and memory >= tier.memory)


def tier_of(memory: int | None) -> tuple[Offload, bool]:
    """What stays on a GPU of so many bytes, and whether it decodes in tiles; no GPU is None."""
    tier = tier_for(memory)
    return tier.offload, tier.tiling


def fitted_to(tuning: Tuning, memory: int | None, model: str, *, blocks: bool = True) -> Tuning:
    """A tuning with what the tier says of caching and step-distilled LoRAs, where it says nothing itself.

    Args:
        tuning: what was asked for.
        memory: bytes of the GPU; None where there is none.
        model: name in the catalogue; a step-distilled LoRA must be that of this model.
        blocks: whether the model is made of transformer blocks, whose work can be used again.
    """
    if tuning.device is not None and not tuning.device.startswith("cuda"):
        memory = None
    tier = tier_for(memory)
    wanted = tier.distilled if tuning.distilled is None else tuning.distilled
    lora = lora_for(model) if wanted and not tuning.loras else None
    if lora is not None:
        tuning = dataclasses.replace(
            tuning,
            loras=tuple(Lora(place, second=number == 1) for number, place in enumerate(lora.places)),
            steps=lora.steps if tuning.steps is None else tuning.steps,
            guidance=lora.guidance if tuning.guidance is None else tuning.guidance,
        )
    if tuning.cache == "auto":
        reused = tier.cache if blocks and not tuning.loras else "none"
        tuning = dataclasses.replace(tuning, cache=reused, cache_if_can=reused != "none")
    return tuning


def read_tuning(path: Path | str) -> Tuning:
    """The tuning that a TOML file gives.

    Its keys are the fields of ``Tuning``; ``loras`` is a list of ``{path, scale, second}``, and paths are
    taken from the file's folder.

    Raises:
        GenerationError: if it cannot be read, or a key or value is unknown.
    """
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise GenerationError(f"cannot read the model settings {path}: {error}") from error
    known = {field.name for field in dataclasses.fields(Tuning)} - {"cache_if_can"}
    for name in data:
        if name not in known:
            raise GenerationError(f"{path}: unknown key {name!r}; known ones are {', '.join(sorted(known))}")
    try:
        folder = path.parent.absolute()
        return Tuning(**{name: _value(name, value, folder) for name, value in data.items()})
    except (TypeError, ValueError, KeyError) as error:
        raise GenerationError(f"{path}: {error}") from error


_KINDS: Mapping[str, tuple[type, ...]] = {
    "device": (str,),
    "dtype": (str,),
    "offload": (str,),
    "cache": (str,),
    "tiling": (bool,),
    "distilled": (bool,),
    "steps": (int,),
    "guidance": (int, float),
    "native_area": (int,),
    "interpolation": (str,),
}


def _value(name: str, value: Any, folder: Path) -> Any:
    if name == "loras":
        if not isinstance(value, list) or not all(isinstance(one, dict) and "path" in one for one in value):
            raise ValueError('loras is a list such as [{ path = "fast.safetensors", scale = 1.0 }]')
        unknown = sorted({key for one in value for key in one} - {"path", "scale", "second"})
        if unknown:
            raise ValueError(f"a LoRA has a path, a scale and second, and no {', '.join(unknown)}")
        return tuple(
            Lora(
                _file(folder / str(one["path"])), float(one.get("scale", 1.0)), bool(one.get("second", False))
            )
            for one in value
        )
    if name == "control_model" and not (folder / str(value)).is_dir():
        raise ValueError(f"there is no folder {folder / str(value)}: name that of a control model")
    if name in ("control_model", "rife_model"):
        return folder / str(value)
    if name == "upscaler":
        if not (folder / str(value)).exists():
            raise ValueError(
                f"there is no upscaler {folder / str(value)}: name a .safetensors file or a folder"
            )
        return folder / str(value)
    kinds = _KINDS[name]
    if not isinstance(value, kinds) or (bool not in kinds and isinstance(value, bool)):
        raise ValueError(f"{name} is {value!r}: it must be {' or '.join(kind.__name__ for kind in kinds)}")
    return value


def _file(path: Path) -> Path:
    if path.suffix != ".safetensors" or not path.is_file():
        raise ValueError(f"there is no LoRA file {path}: name a .safetensors file (pickles are never loaded)")
    return path
