"""A tiny text-to-video pipeline of the real class, with random weights: everything but the pictures is real.

The layout on disk, the component classes and the call are those of Wan 2.1; there are some thousand weights
where the real one has billions, and a tokenizer of single characters made in memory. It gives noise. What it
tests is loading, argument names, size and length rules, seeds, progress, cancelling and finishing.
"""

from __future__ import annotations

import os
from pathlib import Path

from index.base import import_torch

__all__ = ["save_tiny_wan"]


def save_tiny_wan(folder: Path, seed: int = 0) -> Path:
    """Build a WanPipeline with random weights and save it in ``folder``."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
    torch = import_torch()
    torch.set_num_threads(1)  # threads that wait for each other cost more than these tensors
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
    from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel

    torch.manual_seed(seed)
    text_width = 32
    letters = [(chr(code), -3.0) for code in range(33, 127)]
    tokenizer = T5Tokenizer(
        vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *letters],
        extra_ids=0,
        model_max_length=64,
    )
    text_encoder = UMT5EncoderModel(
        UMT5Config(
            vocab_size=128,
            d_model=text_width,
            d_kv=8,
            d_ff=32,
            num_layers=1,
            num_heads=4,
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
        )
    )
    # Wan 2.1's own factors: 8 in space, 4 in time; its latent statistics have 16 entries, so z_dim stays.
    vae = AutoencoderKLWan(
        base_dim=3,
        z_dim=16,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
    )
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=text_width,
        freq_dim=64,
        ffn_dim=32,
        num_layers=1,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=64,
    )
    pipeline = WanPipeline(
        # In evaluation mode: T5's dropout would make two calls with one seed differ.
        text_encoder=text_encoder.eval(),
        tokenizer=tokenizer,
        transformer=transformer.eval(),
        vae=vae.eval(),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder
