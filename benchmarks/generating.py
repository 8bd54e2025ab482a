"""How long the default video models take for a clip, and how much memory, at full size with random weights.

Time and memory do not depend on what weights say, so that none need be fetched: each model is built at its
published size, saved in half precision, and asked through ``generate.Diffusers`` for a clip of the length and
size that it was trained on, once for each way of placing it that fits the GPU. Prints for each

- seconds to load, a denoising step, and the whole clip with all its steps, finishing included;
- the largest memory of the GPU that torch held, and of the process;
- beside the card's published time and memory, where it gives any (those are of an RTX 4090).

    python -m benchmarks.generating [--models wan2.1-t2v-1.3b ...] [--offload none model group] [--steps 6]

A clip is timed with ``--steps`` steps and reckoned up to all, since every step costs the same. It wants a GPU
and some 25 GB on the disk; ``--tiny`` runs the same code with models of a few thousand weights, on any
machine, and says nothing about the real ones.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from generate import Diffusers, GenerationError, Request, Tuning
from index.base import import_torch

REPOSITORY = Path(__file__).resolve().parent.parent
GIB = 1024**3
UMT5_XXL = {
    "d_model": 4096, "d_ff": 10240, "d_kv": 64, "num_layers": 24, "num_heads": 64, "vocab_size": 256384,
    "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0,
}  # fmt: skip
"""The text encoder of all Wan models: 5.7 billion weights."""


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """A model at its published size."""

    transformer: dict[str, Any]
    vae: dict[str, Any]
    config: dict[str, Any]
    clip: tuple[int, int, int, Fraction]
    """(frames, width, height, frames a second) that it was trained on."""
    published: str


SIZES = {
    "wan2.1-t2v-1.3b": Size(
        {"num_attention_heads": 12, "num_layers": 30, "ffn_dim": 8960},
        {},
        {},
        (81, 832, 480, Fraction(16)),
        "about 4 min, 8.2 GB",
    ),
    "wan2.2-ti2v-5b": Size(
        {
            "num_attention_heads": 24, "num_layers": 30, "ffn_dim": 14336, "in_channels": 48,
            "out_channels": 48,
        },
        {
            "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "in_channels": 12, "out_channels": 12,
            "is_residual": True, "patch_size": 2, "scale_factor_spatial": 16,
            "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48,
        },
        {"expand_timesteps": True, "boundary_ratio": None},
        (121, 1280, 704, Fraction(24)),
        "under 9 min, 24 GB",
    ),
    "wan2.2-t2v-a14b": Size(
        {}, {}, {"boundary_ratio": 0.875}, (81, 1280, 720, Fraction(16)), "80 GB"
    ),
}  # fmt: skip
"""By name in the catalogue. What is not said is the class's own default, which is that of Wan 2.1 14B."""


def build(name: str, folder: Path) -> Path:
    """Save a model of its published size with random weights in bfloat16."""
    torch = import_torch()
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
    from transformers import UMT5Config, UMT5EncoderModel

    from tests.tiny_models import t5_tokenizer

    size = SIZES[name]
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            made: dict[str, Any] = {
                "text_encoder": UMT5EncoderModel(UMT5Config(**UMT5_XXL)).eval(),
                "transformer": WanTransformer3DModel(**size.transformer).eval(),
                "vae": AutoencoderKLWan(**size.vae).eval(),
            }
            if name.endswith("a14b"):
                made["transformer_2"] = WanTransformer3DModel(**size.transformer).eval()
    finally:
        torch.set_default_dtype(before)
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    # Its own tokenizer is a matter of milliseconds: one that knows letters stands in.
    pipeline = WanPipeline(tokenizer=t5_tokenizer(), scheduler=scheduler, **made, **size.config)
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def build_tiny(name: str, folder: Path) -> Path:
    """The same class with a few thousand weights."""
    from tests.tiny_pipelines import save_tiny

    tiny = {"wan2.1-t2v-1.3b": "wan", "wan2.2-ti2v-5b": "wan-ti2v", "wan2.2-t2v-a14b": "wan-a14b"}
    return save_tiny(tiny[name], folder)


def measured(folder: Path, takes: Path, name: str, tuning: Tuning, tiny: bool) -> tuple[float, ...]:
    """(seconds to load, a step, all the rest; GiB of the GPU, of the process) of one clip."""
    torch = import_torch()
    frames, width, height, fps = (9, 96, 64, Fraction(16)) if tiny else SIZES[name].clip
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    model = Diffusers(folder, takes, tuning)
    times: list[float] = []
    # A whole number of the model's own frames, at its own rate and size: nothing is interpolated or scaled.
    request = Request(prompt="a fox at dawn", frames=frames, fps=fps, width=width, height=height, seed=1)
    began = time.perf_counter()
    model.generate(request, lambda done, total: times.append(time.perf_counter()))
    ended = time.perf_counter()
    steps = [after - before for before, after in itertools.pairwise(times)]
    step = sorted(steps)[len(steps) // 2] if steps else float("nan")
    if model.told:
        raise GenerationError("; ".join(model.told))
    held = torch.cuda.max_memory_reserved() / GIB if torch.cuda.is_available() else 0.0
    process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    return times[0] - began - step, step, ended - times[-1], held, process


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="*", choices=list(SIZES), default=list(SIZES)[:2])
    parser.add_argument("--offload", nargs="*", default=["none", "model", "group"])
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--folder", type=Path, help="where models are built, and kept for the next run")
    parser.add_argument("--tiny", action="store_true", help="models of a few thousand weights")
    options = parser.parse_args()
    sys.path.insert(0, str(REPOSITORY))
    torch = import_torch()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    if not torch.cuda.is_available() and not options.tiny:
        print(
            "no GPU: a clip of these models takes hours without one; --tiny tries the code", file=sys.stderr
        )
        return 1
    make: Callable[[str, Path], Path] = build_tiny if options.tiny else build
    print(
        f"{gpu}, torch {torch.__version__}{'; TINY models: nothing about real ones' if options.tiny else ''}"
    )
    print(
        f"{'model':<18} {'offload':<8} {'load s':>7} {'step s':>8} {'clip s':>8} {'GPU GiB':>8} "
        f"{'RAM GiB':>8}  published (RTX 4090)"
    )
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.models:
            folder = (options.folder or Path(temporary)) / name
            if not folder.is_dir():
                make(name, folder)
            for offload in options.offload:
                tuning = Tuning(steps=options.steps, offload=offload, tiling=offload != "none", cache="none")
                try:
                    load, step, rest, held, process = measured(
                        folder, Path(temporary) / "takes", name, tuning, options.tiny
                    )
                except GenerationError as error:
                    print(f"{name:<18} {offload:<8} {error}")
                    continue
                whole = (
                    Diffusers(folder, temporary).native("direct", Fraction(1), (832, 480))[2] * step + rest
                )
                print(
                    f"{name:<18} {offload:<8} {load:7.1f} {step:8.2f} {whole:8.1f} {held:8.1f} "
                    f"{process:8.1f}  {SIZES[name].published}"
                )
            if options.folder is None:
                shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
