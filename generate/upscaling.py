"""Larger pictures than a model makes: by an upscaler with trained weights, where one is named.

Two kinds, told apart by what the settings name:

- a ``.safetensors`` file is a pixel upscaler of any architecture that the package ``spandrel`` knows (ESRGAN,
  Wang et al. 2018; Real-ESRGAN, Wang et al. 2021; SwinIR, Liang et al. 2021; HAT, DAT and more). It works
  frame by frame, in tiles;
- a folder is a latent upscaler of LTX-Video as diffusers' ``LTXLatentUpsamplePipeline`` saves it. It works on
  the latents of a whole take before they are decoded, by the decoder of the video model.

Without either, frames are scaled by Lanczos.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generate.base import Cancel, Cancelled, Frame, GenerationError
from index.base import content_id, import_torch

__all__ = ["LatentUpscaler", "Upscaler", "enlarged", "is_larger", "upscaler_id"]

TILE = 512
"""Side in pixels of the tiles that a frame is taken in; halved where memory runs out."""
LEAST_TILE = 64
"""Where this does not fit, nothing does."""
CONTEXT = 32
"""Pixels around a tile that are looked at and cut off again, so that no seam shows."""
INSTALL = "pip install spandrel"


def upscaler_id(path: Path) -> str:
    """A name for what an upscaler's file or folder holds: 32 hex digits.

    Raises:
        GenerationError: if it is neither, or cannot be read.
    """
    try:
        if path.is_file():
            return content_id(path)
        digest = hashlib.sha256()
        for one in sorted((path / "latent_upsampler").iterdir()):
            if one.suffix in (".json", ".safetensors"):
                digest.update(f"{one.name}\0{content_id(one)}\n".encode())
        return digest.hexdigest()[:32]
    except OSError as error:
        raise GenerationError(f"cannot read the upscaler {path}: {error}") from error


def is_larger(size: tuple[int, int], frame: tuple[int, int]) -> bool:
    """Whether a frame (width, height), cropped to the aspect of ``size``, has fewer pixels than ``size``."""
    from generate.finish import crop_to_cover

    return size[0] > crop_to_cover(*frame, Fraction(*size))[0]


def enlarged(frame: Frame, upscaler: Upscaler, size: tuple[int, int], cancel: Cancel | None = None) -> Frame:
    """A frame cropped at the centre to the aspect of ``size`` (width, height), upscaled, and brought to
    exactly that size by Lanczos.

    Raises:
        GenerationError: if the upscaler cannot be loaded or run.
        Cancelled: if ``cancel`` said so.
    """
    from PIL import Image

    from generate.finish import crop_to_cover

    height, width = frame.shape[:2]
    wide, high = crop_to_cover(width, height, Fraction(*size))
    left, top = (width - wide) // 2, (height - high) // 2
    large = upscaler(frame[top : top + high, left : left + wide], cancel)
    if large.shape[:2] == (size[1], size[0]):
        return large
    return np.array(Image.fromarray(large).resize(size, Image.Resampling.LANCZOS))


class Upscaler:
    """A pixel upscaler in a ``.safetensors`` file, loaded on first use: halves on a GPU, float32 on a CPU."""

    def __init__(self, path: Path, device: str | None = None, tile: int = TILE) -> None:
        """Of a file, in tiles of ``tile`` pixels a side, on a device of torch; None for ``cuda`` where there
        is one.

        Raises:
            GenerationError: if the file or the package ``spandrel`` is not there.
        """
        if path.suffix != ".safetensors" or not path.is_file():
            raise GenerationError(
                f"there is no upscaler {path}: name a .safetensors file (pickles are never loaded)"
            )
        if importlib.util.find_spec("spandrel") is None:
            raise GenerationError(
                f"the upscaler {path} needs the package spandrel: {INSTALL}, or leave upscaler out"
            )
        self.path, self.device, self.tile = path, device, tile
        self._model: Any = None

    def __call__(self, frame: Frame, cancel: Cancel | None = None) -> Frame:
        """A frame at the model's factor times its size.

        Raises:
            GenerationError: if the model cannot be loaded or run.
            Cancelled: if ``cancel`` said so between tiles.
        """
        torch = import_torch()
        self.device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        if self._model is None:
            self._model = self._loaded(torch, self.device)
        while True:
            try:
                return self._in_tiles(frame, torch, cancel)
            except RuntimeError as error:
                full = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
                if not full or self.tile <= LEAST_TILE:
                    raise GenerationError(
                        f"the upscaler {self.path.name} could not enlarge a frame of {frame.shape[1]}x"
                        f"{frame.shape[0]} on {self.device}: {str(error)[:300]}"
                    ) from error
            # Outside of the except clause: a traceback holds what filled the memory.
            self.tile //= 2
            if self.device.startswith("cuda"):
                torch.cuda.empty_cache()

    def _loaded(self, torch: Any, device: str) -> Any:
        spandrel = importlib.import_module("spandrel")
        try:
            model = spandrel.ModelLoader(device="cpu").load_from_file(self.path)
            if not isinstance(model, spandrel.ImageModelDescriptor) or model.input_channels != 3:
                raise ValueError(f"it holds a {model.architecture.name}, which does not enlarge pictures")
            half = device.startswith("cuda") and model.supports_half
            return model.to(torch.device(device), torch.float16 if half else torch.float32).eval()
        except Exception as error:  # what a broken file raises differs from architecture to architecture
            raise GenerationError(
                f"cannot load the upscaler {self.path}: {type(error).__name__}: {str(error)[:300]}; name a "
                "file of ESRGAN, Real-ESRGAN, SwinIR, HAT, DAT or another that spandrel knows"
            ) from error

    def _in_tiles(self, frame: Frame, torch: Any, cancel: Cancel | None) -> Frame:
        model, factor = self._model, int(self._model.scale)
        height, width = frame.shape[:2]
        whole = torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1)))[None]
        made = np.empty((height * factor, width * factor, 3), np.uint8)
        for top in range(0, height, self.tile):
            for left in range(0, width, self.tile):
                if cancel is not None and cancel():
                    raise Cancelled("stopped while enlarging a take: nothing was kept")
                low, high = max(0, top - CONTEXT), min(height, top + self.tile + CONTEXT)
                near, far = max(0, left - CONTEXT), min(width, left + self.tile + CONTEXT)
                piece = whole[:, :, low:high, near:far].to(model.device).to(model.dtype) / 255
                large = (model(piece)[0].float() * 255 + 0.5).clamp(0, 255).byte()
                pixels = large.cpu().numpy().transpose(1, 2, 0)
                below, right = min(height, top + self.tile), min(width, left + self.tile)
                made[top * factor : below * factor, left * factor : right * factor] = pixels[
                    (top - low) * factor : (below - low) * factor,
                    (left - near) * factor : (right - near) * factor,
                ]
        return made


class LatentUpscaler:
    """The spatial upscaler of LTX-Video in a folder of a saved ``LTXLatentUpsamplePipeline``."""

    def __init__(self, path: Path, pipeline: str) -> None:
        """For the video models of a class of diffusers.

        Raises:
            GenerationError: if the folder holds no latent upscaler, or the model is of another family.
        """
        try:
            index = json.loads((path / "model_index.json").read_text(encoding="utf-8"))
            kind = str(index["_class_name"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise GenerationError(
                f"{path} holds no upscaler ({type(error).__name__}): name a folder of a saved "
                "LTXLatentUpsamplePipeline, or a .safetensors file for spandrel"
            ) from error
        if kind != "LTXLatentUpsamplePipeline":
            raise GenerationError(
                f"the upscaler {path} holds a {kind}: only a LTXLatentUpsamplePipeline, or a .safetensors "
                "file for spandrel, is supported"
            )
        if pipeline not in ("LTXPipeline", "LTXImageToVideoPipeline", "LTXConditionPipeline"):
            raise GenerationError(
                f"the upscaler {path} enlarges latents of LTX-Video, and the model is a {pipeline}: name a "
                ".safetensors file for spandrel as upscaler, or leave it out"
            )
        if not any((path / "latent_upsampler").glob("*.safetensors")):
            raise GenerationError(
                f"{path / 'latent_upsampler'} has no .safetensors weights: fetch the upscaler again"
            )
        self.path = path
        self._model: Any = None

    def __call__(
        self, pipeline: Any, latents: Any, size: tuple[int, int], frames: int
    ) -> NDArray[np.float32]:
        """The pixels of a take's normalised latents, enlarged: (1, frames, height, width, 3), 0 to 1.

        What ``LTXLatentUpsamplePipeline`` does with latents, done with the parts where the video pipeline
        keeps them: that class does not know of components that take turns on a GPU.

        Args:
            pipeline: the pipeline of LTX-Video that made them.
            latents: its output of type ``latent``, packed into a row of tokens or not.
            size: (width, height) that it was asked for.
            frames: how many it was asked for.

        Raises:
            GenerationError: if the upscaler cannot be loaded, or does not fit the latents.
        """
        torch = import_torch()
        vae, device = pipeline.vae, pipeline._execution_device
        latents = latents.to(device)
        if latents.ndim == 3:  # LTXConditionPipeline has unpacked them already
            latents = pipeline._unpack_latents(
                latents,
                (frames - 1) // pipeline.vae_temporal_compression_ratio + 1,
                size[1] // pipeline.vae_spatial_compression_ratio,
                size[0] // pipeline.vae_spatial_compression_ratio,
                pipeline.transformer_spatial_patch_size,
                pipeline.transformer_temporal_patch_size,
            )
        latents = pipeline._denormalize_latents(
            latents, vae.latents_mean, vae.latents_std, vae.config.scaling_factor
        )
        if self._model is None:
            self._model = self._loaded(vae.dtype)
        channels = self._model.config.in_channels
        if latents.shape[1] != channels:
            raise GenerationError(
                f"the upscaler {self.path} is for latents of {channels} channels, and the model's have "
                f"{latents.shape[1]}: name the one that belongs to the model"
            )
        model = self._model.to(device)
        with torch.inference_mode():
            large = model(latents.to(model.dtype))
            timed = vae.config.timestep_conditioning
            time = torch.zeros(len(large), device=device, dtype=vae.dtype) if timed else None
            video = vae.decode(large.to(vae.dtype), time, return_dict=False)[0]
            pixels = pipeline.video_processor.postprocess_video(video, output_type="np")
        self._model = model.to("cpu")
        pipeline.maybe_free_model_hooks()
        return np.asarray(pixels, np.float32)

    def _loaded(self, dtype: Any) -> Any:
        from diffusers.pipelines.ltx.modeling_latent_upsampler import LTXLatentUpsamplerModel

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = LTXLatentUpsamplerModel.from_pretrained(
                    str(self.path / "latent_upsampler"),
                    local_files_only=True,
                    use_safetensors=True,
                    torch_dtype=dtype,
                )
        except Exception as error:  # what a broken file raises differs from loader to loader
            raise GenerationError(
                f"cannot load the upscaler in {self.path}: {type(error).__name__}: {str(error)[:300]}; "
                "fetch it again"
            ) from error
        return model.eval()
