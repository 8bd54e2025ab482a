"""Tiny pipelines of the real classes, with random weights: everything but the pictures is real.

The layout on disk, the component classes and the calls are the real ones; there are some thousand weights
where the real ones have billions. They give noise. What they test is loading, argument names, size and length
rules, conditioning, seeds, progress, cancelling and finishing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from index.base import import_torch
from tests import tiny_models as parts

__all__ = ["TINY", "save_tiny", "save_tiny_lora", "save_tiny_wan"]


def _wan(
    cls: str = "WanPipeline",
    channels: int = 16,
    *,
    experts: int = 1,
    image: bool = False,
    vae: Any = None,
    config: Mapping[str, Any] = MappingProxyType({}),
    **transformer: Any,
) -> Any:
    import diffusers

    made = {
        "vae": vae or parts.wan_vae(),
        "text_encoder": parts.t5_encoder(multilingual=True),
        "tokenizer": parts.t5_tokenizer(),
        "scheduler": parts.flow_scheduler(),
        "transformer": parts.wan_transformer(channels, **transformer),
        **config,
    }
    if experts == 2:
        made["transformer_2"] = parts.wan_transformer(channels, **transformer)
    if cls == "WanImageToVideoPipeline":
        encoder, processor = parts.clip_vision() if image else (None, None)
        made |= {"image_encoder": encoder, "image_processor": processor}
    return getattr(diffusers, cls)(**made)


def _ti2v(cls: str = "WanPipeline") -> Any:
    return _wan(
        cls,
        48,
        vae=parts.wan_large_vae(),
        config={"expand_timesteps": True, "boundary_ratio": None},
        out=48,
    )


def _ltx(cls: str) -> Any:
    import diffusers

    return getattr(diffusers, cls)(**parts.ltx_parts())


def _cog(cls: str, channels: int = 4, *, learned: bool = False) -> Any:
    import diffusers

    return getattr(diffusers, cls)(**parts.cog_parts(channels, learned=learned))


def _hunyuan() -> Any:
    from diffusers import (
        AutoencoderKLHunyuanVideo,
        FlowMatchEulerDiscreteScheduler,
        HunyuanVideoPipeline,
        HunyuanVideoTransformer3DModel,
    )

    transformer = HunyuanVideoTransformer3DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=10, num_layers=1,
        num_single_layers=1, num_refiner_layers=1, patch_size=1, patch_size_t=1, guidance_embeds=True,
        text_embed_dim=16, pooled_projection_dim=parts.TEXT, rope_axes_dim=(2, 4, 4),
    )  # fmt: skip
    vae = AutoencoderKLHunyuanVideo(
        in_channels=3, out_channels=3, latent_channels=4,
        down_block_types=("HunyuanVideoDownBlock3D",) * 4, up_block_types=("HunyuanVideoUpBlock3D",) * 4,
        block_out_channels=(8,) * 4, layers_per_block=1, norm_num_groups=4, spatial_compression_ratio=8,
        temporal_compression_ratio=4,
    )  # fmt: skip
    language, words = parts.llama()
    encoder, tokenizer = parts.clip_text()
    return HunyuanVideoPipeline(
        transformer=transformer, vae=vae, scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder=language, tokenizer=words, text_encoder_2=encoder, tokenizer_2=tokenizer,
    )  # fmt: skip


def _mochi() -> Any:
    from diffusers import (
        AutoencoderKLMochi,
        FlowMatchEulerDiscreteScheduler,
        MochiPipeline,
        MochiTransformer3DModel,
    )

    transformer = MochiTransformer3DModel(
        patch_size=2, num_attention_heads=2, attention_head_dim=8, num_layers=2, pooled_projection_dim=16,
        in_channels=12, out_channels=None, qk_norm="rms_norm", text_embed_dim=parts.TEXT, time_embed_dim=4,
        activation_fn="swiglu", max_sequence_length=256,
    )  # fmt: skip
    transformer.pos_frequencies.data.zero_()  # left as it is allocated it may hold anything
    vae = AutoencoderKLMochi(
        latent_channels=12, out_channels=3, encoder_block_out_channels=(32,) * 4,
        decoder_block_out_channels=(32,) * 4, layers_per_block=(1,) * 5,
    )  # fmt: skip
    return MochiPipeline(
        transformer=transformer, vae=vae, scheduler=FlowMatchEulerDiscreteScheduler(),
        text_encoder=parts.t5_encoder(), tokenizer=parts.t5_tokenizer(),
    )  # fmt: skip


def _animatediff(cls: str = "AnimateDiffPipeline", *, control: bool = False) -> Any:
    import diffusers

    encoder, tokenizer = parts.clip_text()
    adapter = diffusers.MotionAdapter(
        block_out_channels=(8, 8), motion_layers_per_block=2, motion_norm_num_groups=2,
        motion_num_attention_heads=4,
    )  # fmt: skip
    made = {
        "unet": parts.image_unet(), "motion_adapter": adapter, "vae": parts.image_vae(),
        "scheduler": parts.ddim(), "text_encoder": encoder, "tokenizer": tokenizer,
        "feature_extractor": None, "image_encoder": None,
    }  # fmt: skip
    if control:
        made["controlnet"] = diffusers.ControlNetModel(
            block_out_channels=(8, 8), layers_per_block=2, in_channels=4,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), cross_attention_dim=parts.TEXT,
            norm_num_groups=2, attention_head_dim=4, conditioning_embedding_out_channels=(8,) * 4,
        )  # fmt: skip
        for name, weights in made["controlnet"].named_parameters():
            if name.startswith("controlnet_"):
                weights.data.normal_(std=0.5)  # zeros at first: an untrained one would have no say
    return getattr(diffusers, cls)(**made)


def _modelscope(cls: str) -> Any:
    import diffusers

    encoder, tokenizer = parts.clip_text()
    unet = parts.image_unet(
        "UNet3DConditionModel", layers_per_block=1, sample_size=32,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
    )  # fmt: skip
    return getattr(diffusers, cls)(
        unet=unet, vae=parts.image_vae(), scheduler=parts.ddim(), text_encoder=encoder, tokenizer=tokenizer
    )


def _stable_diffusion(cls: str) -> Any:
    import diffusers

    encoder, tokenizer = parts.clip_text()
    return getattr(diffusers, cls)(
        unet=parts.image_unet(block_out_channels=(8, 16)), vae=parts.image_vae(), scheduler=parts.ddim(),
        text_encoder=encoder, tokenizer=tokenizer, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip


def _svd() -> Any:
    from diffusers import (
        EulerDiscreteScheduler,
        StableVideoDiffusionPipeline,
        UNetSpatioTemporalConditionModel,
    )

    encoder, processor = parts.clip_vision(224, 56)
    unet = UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 32), layers_per_block=1, sample_size=32, in_channels=8, out_channels=4,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=parts.TEXT, num_attention_heads=(4, 4),
        projection_class_embeddings_input_dim=96, addition_time_embed_dim=32,
    )  # fmt: skip
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
        sigma_max=700.0, sigma_min=0.002, steps_offset=1, timestep_spacing="leading",
        timestep_type="continuous", use_karras_sigmas=True,
    )  # fmt: skip
    return StableVideoDiffusionPipeline(
        unet=unet, vae=parts.image_vae(cls="AutoencoderKLTemporalDecoder", channels=(32,) * 4),
        image_encoder=encoder, feature_extractor=processor, scheduler=scheduler,
    )  # fmt: skip


def _i2vgen() -> Any:
    from diffusers import I2VGenXLPipeline
    from diffusers.models.unets import I2VGenXLUNet

    encoder, tokenizer = parts.clip_text()
    seer, processor = parts.clip_vision()
    unet = I2VGenXLUNet(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=32, in_channels=4, out_channels=4,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"), cross_attention_dim=parts.TEXT,
        attention_head_dim=4, norm_num_groups=2,
    )  # fmt: skip
    return I2VGenXLPipeline(
        unet=unet, vae=parts.image_vae(), scheduler=parts.ddim(), text_encoder=encoder, tokenizer=tokenizer,
        image_encoder=seer, feature_extractor=processor,
    )  # fmt: skip


_IMAGE = {"image_dim": parts.TEXT, "added_kv_proj_dim": 24}
_VACE = {
    "kind": "WanVACETransformer3DModel", "num_layers": 3, "vace_layers": [0, 2], "vace_in_channels": 96,
}  # fmt: skip

TINY: Mapping[str, Callable[[], Any]] = MappingProxyType(
    {
        "wan": _wan,
        "wan-a14b": lambda: _wan(experts=2, config={"boundary_ratio": 0.875}),
        "wan-ti2v": _ti2v,
        "wan-i2v": lambda: _wan("WanImageToVideoPipeline", 36, image=True, out=16, **_IMAGE),
        "wan-flf2v": lambda: _wan(
            "WanImageToVideoPipeline", 36, image=True, out=16, pos_embed_seq_len=2 * 17, **_IMAGE
        ),
        "wan-i2v-a14b": lambda: _wan(
            "WanImageToVideoPipeline", 36, experts=2, out=16, config={"boundary_ratio": 0.9}
        ),
        "wan-v2v": lambda: _wan("WanVideoToVideoPipeline"),
        "wan-vace": lambda: _wan("WanVACEPipeline", **_VACE),
        "ltx": lambda: _ltx("LTXPipeline"),
        "ltx-image": lambda: _ltx("LTXImageToVideoPipeline"),
        "ltx-condition": lambda: _ltx("LTXConditionPipeline"),
        "cogvideox": lambda: _cog("CogVideoXPipeline"),
        "cogvideox-image": lambda: _cog("CogVideoXImageToVideoPipeline", 8, learned=True),
        "cogvideox-v2v": lambda: _cog("CogVideoXVideoToVideoPipeline"),
        "cogvideox-control": lambda: _cog("CogVideoXFunControlPipeline", 8),
        "hunyuan": _hunyuan,
        "mochi": _mochi,
        "animatediff": _animatediff,
        "animatediff-v2v": lambda: _animatediff("AnimateDiffVideoToVideoPipeline"),
        "animatediff-control": lambda: _animatediff("AnimateDiffControlNetPipeline", control=True),
        "animatediff-v2v-control": lambda: _animatediff(
            "AnimateDiffVideoToVideoControlNetPipeline", control=True
        ),
        "t2v-zero": lambda: _stable_diffusion("TextToVideoZeroPipeline"),
        "stable-diffusion": lambda: _stable_diffusion("StableDiffusionPipeline"),
        "modelscope": lambda: _modelscope("TextToVideoSDPipeline"),
        "modelscope-v2v": lambda: _modelscope("VideoToVideoSDPipeline"),
        "svd": _svd,
        "i2vgen-xl": _i2vgen,
    }
)
"""How each is built, by the names of ``generate.families``."""


def save_tiny(name: str, folder: Path, seed: int = 0) -> Path:
    """Build a pipeline with random weights and save it in ``folder``."""
    torch = import_torch()
    torch.set_num_threads(1)  # threads that wait for each other cost more than these tensors
    torch.manual_seed(seed)
    pipeline = TINY[name]()
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def save_tiny_wan(folder: Path, seed: int = 0) -> Path:
    """A text-to-video pipeline, the one that most tests take."""
    return save_tiny("wan", folder, seed)


def save_tiny_lora(folder: Path, pipeline_name: str = "wan", seed: int = 0) -> Path:
    """Write a LoRA of rank 2 for the attention of a pipeline's transformer; the file it is in.

    Both factors are random, where training starts from a second factor of zeros: so that it changes the
    picture. It is in the layout that ``load_lora_weights`` of the same class reads.

    Raises:
        ValueError: if the pipeline has no transformer, or its class saves no LoRAs.
    """
    torch = import_torch()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    pipeline = TINY[pipeline_name]()
    transformer = getattr(pipeline, "transformer", None)
    if transformer is None or not hasattr(pipeline, "save_lora_weights"):
        kind = type(pipeline).__name__
        raise ValueError(f"{kind} has no transformer that takes a LoRA: name another pipeline")
    factors = {}
    for name, layer in transformer.named_modules():
        if isinstance(layer, torch.nn.Linear) and name.endswith(("to_q", "to_k", "to_v", "to_out.0")):
            factors[f"{name}.lora_A.weight"] = torch.randn(2, layer.in_features)
            factors[f"{name}.lora_B.weight"] = torch.randn(layer.out_features, 2)
    file = "tiny.safetensors"
    pipeline.save_lora_weights(folder, transformer_lora_layers=factors, weight_name=file)
    return folder / file
