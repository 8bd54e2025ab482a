"""From a folder to a pipeline that can be run: what it is, what it needs, and where its parts lie."""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from generate.base import GenerationError
from generate.families import FAMILIES, Family, rows_for
from generate.tuning import Lora, Offload, Tuning, tier_for, tier_of
from index.base import content_id, import_torch

__all__ = ["Folder", "Placement", "is_out_of_memory", "load", "next_down"]

WEIGHED = ("transformer", "transformer_2", "unet", "vae", "text_encoder", "text_encoder_2", "image_encoder")
"""Components that have weights of their own."""
SMALLER = 0.6
"""Share of the pixels that is asked for where memory does not suffice."""
LEAST_SHARE = 0.2
"""A picture of a smaller share is not made smaller again."""


class Folder:
    """A diffusers pipeline in a local folder, as ``save_pretrained`` writes it; nothing is loaded.

    Raises:
        GenerationError: if it is not there, is broken, lacks weights or holds a pipeline that is not
        supported.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.index = _index_of(self.path)
        self.pipeline = str(self.index["_class_name"])
        self.rows = rows_for(self.pipeline, self.facts)
        if not self.rows:
            supported = ", ".join(sorted({name for row in FAMILIES for name in (row.pipeline, *row.also)}))
            raise GenerationError(
                f"{self.path} holds a {self.pipeline}, which is not supported; supported: {supported}"
            )
        code = next(self.path.rglob("*.py"), None)
        if code is not None:
            raise GenerationError(f"{code} is a program, and a model's programs are never run: remove it")
        if self.pipeline.startswith("CogVideoX") and self.config("transformer").get("patch_size_t"):
            raise GenerationError(
                f"{self.path} holds CogVideoX 1.5, which has other rules of frames and sizes than 1.0 and is "
                "not supported: take CogVideoX-2b or 5b"
            )
        for component in WEIGHED:
            listed = self.index.get(component)
            if not listed or listed[0] is None:
                continue
            if not any((self.path / component).glob("*.safetensors")):
                raise GenerationError(
                    f"{self.path / component} has no .safetensors weights: fetch the model again "
                    "(pickled .bin weights are never loaded)"
                )

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @cached_property
    def facts(self) -> Mapping[str, bool]:
        """What tells the variants of one class apart."""
        second = self.index.get("transformer_2")
        transformer = self.config("transformer")
        return {
            "transformer_2": second is not None and second[0] is not None,
            "expand_timesteps": bool(self.index.get("expand_timesteps")),
            "two_images": transformer.get("pos_embed_seq_len") is not None,
        }

    def config(self, component: str) -> Mapping[str, Any]:
        """A component's configuration; empty where there is none."""
        try:
            read = json.loads((self.path / component / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return read if isinstance(read, dict) else {}

    def as_saved(self, family: Family) -> Family:
        """The row with the sizes and the licence that this folder's configuration gives.

        A size multiple is the decoder's factor times the patch; CogVideoX 1.0 makes one size only; its 2B
        model, which has no rotary positions, is under another licence than the larger ones.
        """
        transformer, vae = self.config("transformer"), self.config("vae")
        changed: dict[str, Any] = {}
        patch = transformer.get("patch_size")
        factor = vae.get("scale_factor_spatial")
        if factor and isinstance(patch, list) and len(patch) == 3:
            changed["size_multiple"] = int(factor) * int(patch[1])
        if family.fixed_size and transformer.get("sample_width"):
            wide, high = int(transformer["sample_width"]) * 8, int(transformer["sample_height"]) * 8
            changed["made_size"] = (wide, high)
            if transformer.get("use_learned_positional_embeddings"):
                changed["made_frames"] = int(transformer.get("sample_frames", family.max_frames))
            if transformer.get("use_rotary_positional_embeddings") is False:
                changed |= {"licence": "Apache-2.0", "free": True}
        return dataclasses.replace(family, **changed) if changed else family

    @cached_property
    def hash(self) -> str:
        """SHA-256 over ``model_index.json`` and every file of every component, by name and content id.

        Raises:
            GenerationError: if a file cannot be read.
        """
        digest = hashlib.sha256()
        try:
            for path in sorted(p for p in self.path.rglob("*") if p.is_file() and self._shapes_pixels(p)):
                name = path.relative_to(self.path).as_posix()
                digest.update(f"{name}\0{path.stat().st_size}\0{content_id(path)}\n".encode())
        except OSError as error:
            raise GenerationError(f"cannot read the model in {self.path}: {error}") from error
        return digest.hexdigest()

    def _shapes_pixels(self, path: Path) -> bool:
        """Weights, configurations and vocabularies do; read-mes, licences and hidden files do not."""
        if any(part.startswith(".") for part in path.relative_to(self.path).parts):
            return False
        return path.suffix.lower() in {".json", ".safetensors", ".model", ".txt"}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the parts of a model lie, and how much it is asked for at once."""

    device: str
    offload: Offload
    tiling: bool
    share: float = 1.0
    """Of the pixels that a frame may have."""

    def __str__(self) -> str:
        parts = [] if self.offload == "none" else [f"{self.offload} offload"]
        parts += ["a tiled decoder"] if self.tiling else []
        parts += [f"{self.share:.0%} of the pixels"] if self.share < 1 else []
        return ", ".join(parts) or "all of it at once"


def placement_of(tuning: Tuning, torch: Any) -> Placement:
    """Where a model's parts go by its tuning and this machine.

    Raises:
        GenerationError: if the device is not there.
    """
    device = tuning.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise GenerationError(
            f"the device {device} was asked for and torch {torch.__version__} sees no CUDA GPU: "
            "use device='cpu', or install a CUDA build of torch"
        )
    memory = None
    if device.startswith("cuda"):
        memory = int(torch.cuda.get_device_properties(torch.device(device)).total_memory)
    offload, tiling = tier_of(memory)
    if tuning.offload != "auto":
        offload = tuning.offload
    return Placement(device, offload, tiling if tuning.tiling is None else tuning.tiling)


def next_down(placement: Placement) -> Placement | None:
    """The next thing to try when memory ran out: tiles, less on the GPU, a smaller picture; None at the
    end."""
    if not placement.tiling:
        return dataclasses.replace(placement, tiling=True)
    further: dict[Offload, Offload] = {"none": "model", "model": "group", "group": "sequential"}
    if placement.device.startswith("cuda") and placement.offload in further:
        return dataclasses.replace(placement, offload=further[placement.offload])
    if placement.share > LEAST_SHARE:
        return dataclasses.replace(placement, share=placement.share * SMALLER)
    return None


def is_out_of_memory(error: BaseException, torch: Any) -> bool:
    """Whether an error says that memory, of the GPU or the machine, ran out."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def load(folder: Folder, family: Family, tuning: Tuning, placement: Placement) -> Any:
    """The pipeline of ``family`` over the weights in a folder, on its device, without any network.

    Raises:
        GenerationError: if it cannot be loaded or placed.
    """
    torch = _offline_torch()
    dtype = _dtype(tuning, placement.device, torch)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipeline = _read(folder, family, dtype)
    except Exception as error:  # what a broken file raises differs from loader to loader
        raise GenerationError(
            f"cannot load the {family.pipeline} in {folder.path}: {type(error).__name__}: "
            f"{str(error)[:400]}; the folder may be incomplete or corrupt: fetch it again"
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    for place, lora in enumerate(tuning.loras):
        _change(pipeline, folder, lora, f"lora{place}")
    if tuning.loras:
        names = [f"lora{place}" for place in range(len(tuning.loras))]
        pipeline.set_adapters(names, [lora.scale for lora in tuning.loras])
    try:
        _place(pipeline, placement, torch)
        _speed_up(pipeline, family, tuning)
    except (RuntimeError, ValueError, IndexError) as error:
        if is_out_of_memory(error, torch):
            raise
        raise GenerationError(
            f"cannot put {folder.name} on the device {placement.device}: {error}"
        ) from error
    return pipeline


def _change(pipeline: Any, folder: Folder, lora: Lora, name: str) -> None:
    """Load a LoRA over a pipeline's weights.

    Raises:
        GenerationError: if it cannot be loaded, or changes nothing of this model.
    """
    takes = getattr(pipeline, "load_lora_weights", None)
    if takes is None:
        raise GenerationError(
            f"{folder.name} ({type(pipeline).__name__}) takes no LoRAs: leave {lora.path} out"
        )
    if lora.second and getattr(pipeline, "transformer_2", None) is None:
        raise GenerationError(f"{folder.name} has one expert, and the LoRA {lora.path} is for a second one")
    second = {"load_into_transformer_2": True} if lora.second else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            takes(
                str(lora.path.parent),
                weight_name=lora.path.name,
                adapter_name=name,
                local_files_only=True,
                **second,
            )
        loaded = any(name in names for names in pipeline.get_list_adapters().values())
    except Exception as error:  # what a broken file raises differs from loader to loader
        raise GenerationError(
            f"cannot load the LoRA {lora.path} into {folder.name}: {type(error).__name__}: "
            f"{str(error)[:300]}; it may be damaged, or made for another model"
        ) from error
    if not loaded:
        raise GenerationError(
            f"the LoRA {lora.path} holds nothing for {folder.name}: it was made for another model"
        )


def forget(torch: Any) -> None:
    """Give back the memory of a pipeline that nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _offline_torch() -> Any:
    # Read once by huggingface_hub and transformers when they are imported.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    return import_torch()


def _dtype(tuning: Tuning, device: str, torch: Any) -> Any:
    """bfloat16 on a GPU that has it, float16 on an older one, float32 on a CPU, where halves are slow."""
    named = tuning.dtype
    if named == "auto":
        named = tier_for(0 if device.startswith("cuda") else None).dtype
    if named != "auto":
        return getattr(torch, named)
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _read(folder: Folder, family: Family, dtype: Any) -> Any:
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    # A component that is null where the class wants one (a safety checker) must be named to be left out.
    absent = {
        name: None for name, value in folder.index.items() if isinstance(value, list) and value[:1] == [None]
    }
    saved = getattr(diffusers, folder.pipeline)
    options = {"local_files_only": True, "use_safetensors": True, "torch_dtype": dtype}
    pipeline = saved.from_pretrained(str(folder.path), **options, **absent)
    encoder = getattr(pipeline, "text_encoder", None)
    if family.name == "i2vgen-xl" and not hasattr(encoder, "text_model"):
        # transformers 5 moved the layers of CLIP's text model up; this pipeline looks for them where they
        # were. Not as an attribute of the module, which would then contain itself.
        encoder.__dict__["text_model"] = encoder
    if family.pipeline == folder.pipeline:
        return pipeline
    return _recast(pipeline, getattr(diffusers, family.pipeline), dtype)


def _recast(pipeline: Any, wanted: Any, dtype: Any) -> Any:
    """The same weights under another class.

    Not ``from_pipe`` as it is: that hands over what the new class does not take, and casts to float32.
    """
    import inspect

    accepted = inspect.signature(wanted.__init__).parameters
    config = {name: value for name, value in pipeline.config.items() if name in accepted}
    parts = {name: part for name, part in pipeline.components.items() if name in accepted}
    settings = {
        name: value for name, value in config.items() if name not in parts and not name.startswith("_")
    }
    optional = {name: None for name in wanted._optional_components if name in accepted and name not in parts}
    made = wanted(**parts, **settings, **optional)
    return made.to(dtype=dtype) if getattr(made, "dtype", dtype) != dtype else made


def _place(pipeline: Any, placement: Placement, torch: Any) -> None:
    device = placement.device
    if placement.tiling and hasattr(pipeline, "vae"):
        for name in ("enable_tiling", "enable_slicing"):
            with_tiles = getattr(pipeline.vae, name, None)
            if with_tiles is not None:
                with_tiles()
    if not device.startswith("cuda") or placement.offload == "none":
        pipeline.to(device)
    elif placement.offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif placement.offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.enable_group_offload(
            onload_device=torch.device(device),
            offload_device=torch.device("cpu"),
            offload_type="leaf_level",
            use_stream=True,
        )


def _speed_up(pipeline: Any, family: Family, tuning: Tuning) -> None:
    """Reuse of work between steps, where the family is made for it."""
    if tuning.cache in ("auto", "none"):
        return
    if tuning.cache not in family.caches:
        if tuning.cache_if_can:
            return
        can = f"write {' or '.join(sorted(family.caches))}" if family.caches else "leave it out"
        raise ValueError(
            f"{family.pipeline} cannot reuse work between steps by cache = {tuning.cache!r}: {can}"
        )
    import diffusers

    step = lambda: pipeline.current_timestep  # noqa: E731
    configs = {
        "first-block": lambda: diffusers.FirstBlockCacheConfig(threshold=0.1),
        "pyramid": lambda: diffusers.PyramidAttentionBroadcastConfig(
            spatial_attention_block_skip_range=2, current_timestep_callback=step
        ),
    }
    for name in ("transformer", "transformer_2"):
        expert = getattr(pipeline, name, None)
        if expert is not None:
            expert.enable_cache(configs[tuning.cache]())


def _index_of(folder: Path) -> dict[str, Any]:
    """What ``model_index.json`` of a folder says."""
    where = folder / "model_index.json"
    if not folder.is_dir():
        raise GenerationError(f"no model folder {folder}: give a folder saved by diffusers' save_pretrained")
    try:
        index = json.loads(where.read_text(encoding="utf-8"))
        str(index["_class_name"])
    except FileNotFoundError:
        raise GenerationError(
            f"{folder} has no model_index.json, so it is not a diffusers pipeline: give the folder that "
            "save_pretrained wrote"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GenerationError(
            f"cannot read {where} ({type(error).__name__}: {error}): fetch it again"
        ) from error
    return dict(index)
