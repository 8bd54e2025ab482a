"""The video models, and the LoRAs for them, that montage knows by name: what they do, what they need, under
which licence.

Repositories are those in the layout of diffusers on the Hugging Face hub. Licences, sizes and memory are
those of the model cards; figures marked "about" in them, and the memory of models whose cards give none, are
estimates from the number of weights.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from generate.base import GenerationError
from index.base import model_folder

__all__ = [
    "LORAS",
    "MODELS",
    "TIERS",
    "KnownLora",
    "KnownModel",
    "accept",
    "auto_model",
    "find",
    "fits",
    "folder_of",
    "is_here",
    "lora_for",
]

GIB = 1024**3
UNFINISHED = ".unfinished"
"""Name of the file that lies in a model's folder until all of it has come."""
NEARLY = 0.92
"""Share of a model's memory that a card must report: one of 8 GB reports a little less to programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A video model that can be fetched."""

    name: str
    repository: str
    """Repository id on the hub."""
    pipeline: str
    """Class in diffusers."""
    does: str
    """For a person."""
    licence: str
    restriction: str = ""
    """What a licence that sets conditions demands; empty for Apache-2.0 and MIT."""
    size: int
    """Bytes to be fetched, about."""
    memory: int
    """Bytes of GPU memory that it runs in, with offload."""

    @property
    def needs_acceptance(self) -> bool:
        """Whether its licence must be accepted by name."""
        return bool(self.restriction)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLora:
    """A step-distilled LoRA that can be fetched: a change of a model's weights that needs few steps."""

    name: str
    repository: str
    """Repository id on the hub."""
    model: str
    """Name of the model that it is for."""
    files: tuple[str, ...]
    """Its safetensors files: one, or one for each of two experts, that of much noise first."""
    steps: int
    guidance: float
    """What it was distilled for; at 1 there is no second pass for a negative prompt."""
    licence: str = "Apache-2.0"
    restriction: str = ""
    size: int
    """Bytes to be fetched, about."""

    @property
    def needs_acceptance(self) -> bool:
        """Whether its licence must be accepted by name."""
        return bool(self.restriction)

    @property
    def does(self) -> str:
        """For a person."""
        return f"{self.steps} steps for {self.model}"

    @property
    def places(self) -> tuple[Path, ...]:
        """Where its files are, or would be."""
        return tuple(folder_of(self.name) / Path(file).name for file in self.files)


def _model(
    name: str,
    repository: str,
    pipeline: str,
    does: str,
    size: float,
    memory: float,
    licence: str = "Apache-2.0",
    restriction: str = "",
) -> KnownModel:
    """A row; size in GB, memory in GiB."""
    return KnownModel(
        name=name,
        repository=repository,
        pipeline=pipeline,
        does=does,
        licence=licence,
        restriction=restriction,
        size=round(size * 1e9),
        memory=round(memory * GIB),
    )


_TEXT, _IMAGE = "text to video", "image to video"
_LTX = "LTX Video Open Weights"
_COG = "CogVideoX licence"
_COG_SAYS = "commercial use must be registered with its makers"

MODELS: Mapping[str, KnownModel] = MappingProxyType(
    {
        model.name: model
        for model in (
            _model(
                "wan2.1-t2v-1.3b",
                "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
                "WanPipeline",
                f"{_TEXT}, video to video",
                29,
                8,
            ),
            _model(
                "wan2.1-vace-1.3b",
                "Wan-AI/Wan2.1-VACE-1.3B-diffusers",
                "WanVACEPipeline",
                "all from text, frames, masks, control",
                31,
                8,
            ),
            _model(
                "wan2.2-ti2v-5b",
                "Wan-AI/Wan2.2-TI2V-5B-Diffusers",
                "WanPipeline",
                f"{_TEXT}, {_IMAGE}",
                34,
                12,
            ),
            _model(
                "wan2.1-i2v-14b-480p",
                "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers",
                "WanImageToVideoPipeline",
                _IMAGE,
                91,
                24,
            ),
            _model(
                "wan2.1-flf2v-14b-720p",
                "Wan-AI/Wan2.1-FLF2V-14B-720P-diffusers",
                "WanImageToVideoPipeline",
                "first and last frame to video",
                91,
                40,
            ),
            _model("wan2.2-t2v-a14b", "Wan-AI/Wan2.2-T2V-A14B-Diffusers", "WanPipeline", _TEXT, 126, 80),
            _model(
                "wan2.2-i2v-a14b",
                "Wan-AI/Wan2.2-I2V-A14B-Diffusers",
                "WanImageToVideoPipeline",
                f"{_IMAGE}, first and last frame",
                126,
                80,
            ),
            _model("mochi-1", "genmo/mochi-1-preview", "MochiPipeline", _TEXT, 60, 22),
            _model(
                "cogvideox-2b", "zai-org/CogVideoX-2b", "CogVideoXPipeline", f"{_TEXT}, video to video", 14, 6
            ),
            _model("i2vgen-xl", "ali-vilab/i2vgen-xl", "I2VGenXLPipeline", _IMAGE, 16, 14, "MIT"),
            _model(
                "stable-diffusion-1.5",
                "stable-diffusion-v1-5/stable-diffusion-v1-5",
                "StableDiffusionPipeline",
                "text to picture; Text2Video-Zero",
                5.5,
                6,
                "CreativeML OpenRAIL-M",
                "its use restrictions must be passed on with what is made",
            ),
            _model(
                "cogvideox-5b",
                "zai-org/CogVideoX-5b",
                "CogVideoXPipeline",
                f"{_TEXT}, video to video",
                22,
                11,
                _COG,
                _COG_SAYS,
            ),
            _model(
                "cogvideox-5b-i2v",
                "zai-org/CogVideoX-5b-I2V",
                "CogVideoXImageToVideoPipeline",
                _IMAGE,
                22,
                11,
                _COG,
                _COG_SAYS,
            ),
            _model(
                "ltx-video",
                "Lightricks/LTX-Video-0.9.5",
                "LTXConditionPipeline",
                "text, frames and video to video",
                26,
                10,
                _LTX,
                "its OpenRAIL-M terms restrict some uses",
            ),
            _model(
                "hunyuanvideo",
                "hunyuanvideo-community/HunyuanVideo",
                "HunyuanVideoPipeline",
                _TEXT,
                42,
                40,
                "Tencent Hunyuan Community",
                "it is not licensed in the European Union, the United Kingdom and South Korea",
            ),
            _model(
                "svd-xt-1.1",
                "stabilityai/stable-video-diffusion-img2vid-xt-1-1",
                "StableVideoDiffusionPipeline",
                f"{_IMAGE}, no prompt",
                9,
                10,
                "Stability AI Community",
                "it is free below a yearly revenue of 1 million US dollars only",
            ),
            _model(
                "modelscope-1.7b",
                "ali-vilab/text-to-video-ms-1.7b",
                "TextToVideoSDPipeline",
                f"{_TEXT}, video to video",
                7,
                8,
                "CC-BY-NC-4.0",
                "it is for non-commercial use only",
            ),
        )
    }
)
"""By name: those that are free for all first, by the memory they need."""

_LIGHTNING = "lightx2v/Wan2.2-Lightning"
_NOISE = ("high_noise_model.safetensors", "low_noise_model.safetensors")

LORAS: Mapping[str, KnownLora] = MappingProxyType(
    {
        lora.name: lora
        for lora in (
            KnownLora(
                name="wan2.1-i2v-14b-480p-4step",
                repository="lightx2v/Wan2.1-I2V-14B-480P-StepDistill-CfgDistill-Lightx2v",
                model="wan2.1-i2v-14b-480p",
                files=("loras/Wan21_I2V_14B_lightx2v_cfg_step_distill_lora_rank64.safetensors",),
                steps=4,
                guidance=1.0,
                size=739_000_000,
            ),
            KnownLora(
                name="wan2.2-t2v-a14b-4step",
                repository=_LIGHTNING,
                model="wan2.2-t2v-a14b",
                files=tuple(f"Wan2.2-T2V-A14B-4steps-lora-rank64-Seko-V1.1/{name}" for name in _NOISE),
                steps=4,
                guidance=1.0,
                size=2_450_000_000,
            ),
            KnownLora(
                name="wan2.2-i2v-a14b-4step",
                repository=_LIGHTNING,
                model="wan2.2-i2v-a14b",
                files=tuple(f"Wan2.2-I2V-A14B-4steps-lora-rank64-Seko-V1/{name}" for name in _NOISE),
                steps=4,
                guidance=1.0,
                size=2_450_000_000,
            ),
        )
    }
)
"""Step-distilled LoRAs by name; sizes and what they were distilled for are those of their pages."""

TIERS = ("wan2.1-t2v-1.3b", "wan2.2-ti2v-5b", "wan2.2-t2v-a14b")
"""What ``auto`` takes, from small to large GPUs; all under Apache-2.0."""


def auto_model(gpu_memory: int) -> KnownModel | None:
    """The largest default model that runs in so many bytes of GPU memory; None where none does."""
    fitting = [MODELS[name] for name in TIERS if fits(MODELS[name], gpu_memory)]
    return fitting[-1] if fitting else None


def fits(model: KnownModel, gpu_memory: int) -> bool:
    """Whether a model runs on a GPU that reports so many bytes."""
    return model.memory * NEARLY <= gpu_memory


def lora_for(model: str) -> KnownLora | None:
    """The step-distilled LoRA of a model that is here, None where there is none."""
    return next((lora for lora in LORAS.values() if lora.model == model and is_here(lora.name)), None)


def folder_of(name: str) -> Path:
    """Where a model or a LoRA is, or would be: beside the encoders.

    Raises:
        GenerationError: if there is none of this name.
    """
    return model_folder() / find(name).name


def find(name: str) -> KnownModel | KnownLora:
    """The model or LoRA of this name.

    Raises:
        GenerationError: if there is none.
    """
    known = MODELS.get(name) or LORAS.get(name)
    if known is None:
        raise GenerationError(
            f"there is no video model {name!r}: choose one of {', '.join([*MODELS, *LORAS])}"
        )
    return known


def is_here(name: str) -> bool:
    """Whether all of a model or a LoRA has been fetched."""
    known, folder = find(name), folder_of(name)
    needed = known.places if isinstance(known, KnownLora) else (folder / "model_index.json",)
    return all(os.path.isfile(place) for place in needed) and not os.path.exists(folder / UNFINISHED)


def accept(model: KnownModel | KnownLora, accepted: Collection[str]) -> None:
    """Make sure that a licence with conditions was accepted by name.

    Raises:
        GenerationError: if it was not; it says what the licence demands.
    """
    if model.needs_acceptance and model.name not in accepted:
        raise GenerationError(
            f"{model.name} is under {model.licence}: {model.restriction}. Read the licence at "
            f"{model.repository} on the Hugging Face hub; if you accept it, add --accept-licence {model.name}"
        )
