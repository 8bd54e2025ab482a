"""The parts of tiny pipelines: real classes of diffusers and transformers with a few thousand random weights.

Tokenizers know single characters and are made in memory. Some widths are fixed by the classes: Wan's latent
statistics have 16 entries, the spatio-temporal blocks normalise in 32 groups, Stable Video Diffusion scales
its frame to 224 pixels.
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

TEXT = 32
"""Width of text features."""
PRINTABLE = [chr(code) for code in range(33, 127)]


def t5_tokenizer() -> Any:
    from transformers import T5Tokenizer

    letters = [(letter, -3.0) for letter in PRINTABLE]
    return T5Tokenizer(
        vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *letters],
        extra_ids=0,
        model_max_length=64,
    )


def t5_encoder(*, multilingual: bool = False) -> Any:
    from transformers import T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

    sizes = {
        "vocab_size": 128, "d_model": TEXT, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 4,
        "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0,
    }  # fmt: skip
    return UMT5EncoderModel(UMT5Config(**sizes)) if multilingual else T5EncoderModel(T5Config(**sizes))


def clip_tokenizer() -> Any:
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    places = {word: place for place, word in enumerate(words)}
    return CLIPTokenizer(vocab=places, merges=[], model_max_length=77)


def clip_text() -> tuple[Any, Any]:
    """(text model, tokenizer)."""
    from transformers import CLIPTextConfig, CLIPTextModel

    tokenizer = clip_tokenizer()
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=TEXT, intermediate_size=32, num_attention_heads=4,
        num_hidden_layers=2, projection_dim=TEXT, max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return CLIPTextModel(config), tokenizer


def clip_vision(size: int = 32, patch: int = 8) -> tuple[Any, Any]:
    """(image model, its preprocessing)."""
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=TEXT, projection_dim=TEXT, num_hidden_layers=2, num_attention_heads=4, image_size=size,
        intermediate_size=32, patch_size=patch,
    )  # fmt: skip
    seen = {"height": size, "width": size}
    return CLIPVisionModelWithProjection(config), CLIPImageProcessor(
        crop_size=seen, size={"shortest_edge": size}
    )


def llama() -> tuple[Any, Any]:
    """(language model, tokenizer), for HunyuanVideo."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

    words = ["<s>", "<pad>", "</s>", "<unk>", "▁", *PRINTABLE]
    inner = Tokenizer(
        models.BPE(vocab={word: n for n, word in enumerate(words)}, merges=[], unk_token="<unk>")
    )
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
        model_max_length=1024, padding_side="right",
    )  # fmt: skip
    config = LlamaConfig(
        bos_token_id=0, eos_token_id=2, pad_token_id=1, hidden_size=16, intermediate_size=32,
        num_attention_heads=4, num_hidden_layers=4, vocab_size=128, max_position_embeddings=1024,
    )  # fmt: skip
    return LlamaModel(config), tokenizer


def wan_vae() -> Any:
    from diffusers import AutoencoderKLWan

    return AutoencoderKLWan(
        base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
        temperal_downsample=[False, True, True],
    )  # fmt: skip


def wan_large_vae() -> Any:
    """Wan 2.2's decoder for the 5B model: 16 pixels by 16."""
    from diffusers import AutoencoderKLWan

    return AutoencoderKLWan(
        base_dim=3, z_dim=48, latents_mean=[0.0] * 48, latents_std=[1.0] * 48, dim_mult=[1, 1, 1, 1],
        num_res_blocks=1, in_channels=12, out_channels=12, is_residual=True, patch_size=2,
        scale_factor_spatial=16, scale_factor_temporal=4, temperal_downsample=[False, True, True],
    )  # fmt: skip


def wan_transformer(
    channels: int = 16, out: int | None = None, kind: str = "WanTransformer3DModel", **more: Any
) -> Any:
    import diffusers

    return getattr(diffusers, kind)(
        **{
            "patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 12,
            "in_channels": channels, "out_channels": out or min(channels, 16), "text_dim": TEXT,
            "freq_dim": 256, "ffn_dim": 32, "num_layers": 2, "cross_attn_norm": True,
            "qk_norm": "rms_norm_across_heads", "rope_max_seq_len": 64, **more,
        }
    )  # fmt: skip


def flow_scheduler() -> Any:
    from diffusers import UniPCMultistepScheduler

    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)


def ltx_parts() -> dict[str, Any]:
    from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXVideoTransformer3DModel

    scaled = (True, True, False, False)
    vae = AutoencoderKLLTXVideo(
        in_channels=3, out_channels=3, latent_channels=8, block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4, layers_per_block=(1,) * 5, decoder_layers_per_block=(1,) * 5,
        spatio_temporal_scaling=scaled, decoder_spatio_temporal_scaling=scaled,
        decoder_inject_noise=(False,) * 5, upsample_residual=(False,) * 4, upsample_factor=(1,) * 4,
        timestep_conditioning=False, patch_size=1, patch_size_t=1, encoder_causal=True, decoder_causal=False,
    )  # fmt: skip
    transformer = LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, patch_size=1, patch_size_t=1, num_attention_heads=4,
        attention_head_dim=8, cross_attention_dim=TEXT, num_layers=2, caption_channels=TEXT,
    )  # fmt: skip
    return {
        "transformer": transformer, "vae": vae, "scheduler": FlowMatchEulerDiscreteScheduler(),
        "text_encoder": t5_encoder(), "tokenizer": t5_tokenizer(),
    }  # fmt: skip


def cog_parts(channels: int = 4, *, learned: bool = False) -> dict[str, Any]:
    from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel

    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=channels, out_channels=4, time_embed_dim=2,
        text_embed_dim=TEXT, num_layers=2, sample_width=8, sample_height=4, sample_frames=9, patch_size=2,
        temporal_compression_ratio=4, max_text_seq_length=226,
        use_rotary_positional_embeddings=True, use_learned_positional_embeddings=learned,
    )  # fmt: skip
    vae = AutoencoderKLCogVideoX(
        in_channels=3, out_channels=3, down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4, block_out_channels=(8,) * 4, latent_channels=4,
        layers_per_block=1, norm_num_groups=2, temporal_compression_ratio=4,
    )  # fmt: skip
    return {
        "transformer": transformer, "vae": vae, "scheduler": CogVideoXDDIMScheduler(),
        "text_encoder": t5_encoder(), "tokenizer": t5_tokenizer(),
    }  # fmt: skip


def image_vae(*, cls: str = "AutoencoderKL", channels: tuple[int, ...] = (8,) * 4) -> Any:
    """A decoder of 8 pixels by 8, as that of Stable Diffusion."""
    import diffusers

    sizes: dict[str, Any] = {
        "block_out_channels": list(channels), "in_channels": 3, "out_channels": 3, "latent_channels": 4,
        "down_block_types": ["DownEncoderBlock2D"] * len(channels),
    }  # fmt: skip
    if cls == "AutoencoderKL":
        sizes |= {
            "up_block_types": ["UpDecoderBlock2D"] * len(channels), "norm_num_groups": 2, "sample_size": 32,
        }  # fmt: skip
    return getattr(diffusers, cls)(**sizes)


def ddim() -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1,
    )  # fmt: skip


def image_unet(cls: str = "UNet2DConditionModel", **more: Any) -> Any:
    import diffusers

    return getattr(diffusers, cls)(
        **{
            "block_out_channels": (8, 8), "layers_per_block": 2, "sample_size": 16, "in_channels": 4,
            "out_channels": 4, "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"), "cross_attention_dim": TEXT,
            "norm_num_groups": 2, "attention_head_dim": 4, **more,
        }
    )  # fmt: skip
