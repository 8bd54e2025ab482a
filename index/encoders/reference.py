"""open_clip models run by torch: for architectures that no graph is written for, and on a GPU."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.base import FootageError, import_torch
from index.encoders.base import FloatArray

__all__ = ["TorchTowers", "gpu_device", "misfit"]

CPU_BATCH = 16
GPU_BATCH = 64
"""Frames or texts in one forward pass."""


def gpu_device() -> str | None:
    """``cuda`` where torch can use one; torch is imported only where a driver of NVIDIA's is installed."""
    driver = os.path.exists("/dev/nvidiactl") or os.path.exists("/dev/dxg") or shutil.which("nvidia-smi")
    if not driver or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return None
    return "cuda" if import_torch().cuda.is_available() else None


class TorchTowers:
    """Both towers of one open_clip model, loaded on first use."""

    def __init__(
        self,
        config: Mapping[str, Any],
        weights: Path,
        architecture: str,
        damaged: Callable[[Exception], FootageError],
        device: str = "cpu",
    ) -> None:
        """``damaged`` makes the error for a weights file that cannot be read."""
        self._config = config
        self._weights = weights
        self._architecture = architecture
        self._damaged = damaged
        self._device = device
        self._batch = CPU_BATCH if device == "cpu" else GPU_BATCH

    @cached_property
    def _model(self) -> Any:
        torch = import_torch()
        import open_clip
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        config = copy.deepcopy(self._config["model"])
        custom = config.pop("custom_text", False)
        try:
            state = load_file(str(self._weights))
        except (SafetensorError, OSError) as error:
            raise self._damaged(error) from error
        try:
            with torch.device("cpu"):
                model = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**config)
            model.load_state_dict(state, strict=True)
        except (RuntimeError, TypeError, KeyError, ValueError) as error:
            raise misfit(self._weights, self._architecture, error) from error
        return model.float().eval().to(self._device)

    @cached_property
    def transform(self) -> Any:
        """open_clip's own preprocessing: a PIL image to a tensor."""
        import_torch()
        from open_clip.transform import PreprocessCfg, image_transform_v2

        size = self._config["model"]["vision_cfg"].get("image_size", 224)
        size = int(size if isinstance(size, int) else max(size))
        wanted = {
            k: v for k, v in self._config["preprocess"].items() if k in PreprocessCfg.__dataclass_fields__
        }
        return image_transform_v2(PreprocessCfg(**{"size": size, **wanted}), is_train=False)

    @cached_property
    def tokenizer(self) -> Any:
        """open_clip's own tokenizer."""
        import_torch()
        from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

        text = self._config["model"]["text_cfg"]
        length = int(text.get("context_length", 77))
        options = dict(text.get("tokenizer_kwargs", {}))
        if "hf_tokenizer_name" not in text:
            return SimpleTokenizer(context_length=length, **options)
        return HFTokenizer(str(self._weights.parent), context_length=length, **options)

    def _run(self, method: str, batch: Any) -> FloatArray:
        """One forward pass: half the bits (bfloat16) on a GPU, all of them on a CPU."""
        torch = import_torch()
        fast = torch.autocast(self._device, torch.bfloat16, enabled=self._device != "cpu")
        with torch.inference_mode(), fast:
            found = getattr(self._model, method)(batch.to(self._device))
        return np.asarray(found.float().cpu().numpy(), np.float32)

    def encode_images(self, frames: Sequence[NDArray[np.uint8]]) -> FloatArray:
        """(N, columns) float32, not normalised."""
        torch = import_torch()
        from PIL import Image

        out = []
        for start in range(0, len(frames), self._batch):
            part = frames[start : start + self._batch]
            pictures = torch.stack([self.transform(Image.fromarray(frame)) for frame in part])
            out.append(self._run("encode_image", pictures))
        return np.concatenate(out)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """(M, columns) float32, not normalised."""
        out = []
        for start in range(0, len(texts), self._batch):
            out.append(self._run("encode_text", self.tokenizer(list(texts[start : start + self._batch]))))
        return np.concatenate(out)


def misfit(weights: Path, architecture: str, error: Exception) -> FootageError:
    """The error for weights of another architecture."""
    first = " ".join(str(error).split())[:300]
    return FootageError(
        f"the weights {str(weights)!r} do not fit the architecture {architecture!r}: "
        f"name the architecture that they were trained with ({first})"
    )
