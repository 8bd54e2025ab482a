"""A tiny pipeline that knows one clip by heart, so that its takes are pictures.

The classes, the folder, the scheduler and the sampling are those of Wan. It is fitted in some fifteen seconds
on one core: the decoder to the frames of the clip, the transformer by flow matching (Lipman et al., 2023) to
their latents. Each seed denoises to much the same second of film, and yet to a take of its own.

Wan's rotary embedding tells where tokens lie to each other, not where they lie, and nothing so small finds
that out. So a token is a whole latent frame here. The encoder is left as it is: text to video never asks it,
and nothing else should be asked of this model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.base import import_torch
from tests import tiny_models as parts

__all__ = ["FRAMES", "SIZE", "save_overfitted_wan", "window"]

SIZE = (64, 32)
"""Width and height of its pictures."""
FRAMES = 17
"""Frames of its take, at Wan's rate of 16 a second: what a second of film is asked for with."""
RATE = 16
BLOCK = 8
"""Pixels of a latent's side."""
CHANNELS = 4
"""Of a latent: as many principal components of its pixels as it holds."""
PATCH = 4
"""Pixels of a side that the decoder's last layer gives at once."""
DECODER_STEPS, STEPS = 24, 240
BATCH = 16
NOISE = 0.1
"""Error of latents that the decoder is taught to bear."""


def window(clip: Path, start: float = 0.5) -> NDArray[np.uint8]:
    """(FRAMES, height, width, 3) RGB of a clip from ``start`` seconds on, at Wan's rate."""
    import av
    import cv2

    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    out = []
    for number in range(FRAMES):
        frame = frames[round((start + number / RATE) * rate)]
        tall = round(SIZE[0] * frame.shape[0] / frame.shape[1])
        small = cv2.resize(frame, (SIZE[0], tall), interpolation=cv2.INTER_AREA)
        top = (tall - SIZE[1]) // 2
        out.append(small[top : top + SIZE[1]])
    return np.stack(out)


def save_overfitted_wan(folder: Path, clip: Path, prompts: Sequence[str], seed: int = 0) -> Path:
    """Fit a ``WanPipeline`` to a clip under some prompts, and save it in ``folder``."""
    torch = import_torch()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    from diffusers import AutoencoderKLWan, WanPipeline

    pixels = 3 * PATCH**2
    vae = AutoencoderKLWan(
        base_dim=48, z_dim=CHANNELS, dim_mult=[1, 1], num_res_blocks=1, temperal_downsample=[True],
        latents_mean=[0.0] * CHANNELS, latents_std=[1.0] * CHANNELS, patch_size=PATCH, in_channels=pixels,
        out_channels=pixels, scale_factor_spatial=BLOCK, scale_factor_temporal=2,
    )  # fmt: skip
    transformer = parts.wan_transformer(
        CHANNELS,
        patch_size=(1, SIZE[1] // BLOCK, SIZE[0] // BLOCK),
        num_attention_heads=4,
        attention_head_dim=48,  # a token has 128 numbers, and its noise must all pass
        ffn_dim=256,
    )
    pipeline = WanPipeline(
        vae=vae,
        transformer=transformer,
        text_encoder=parts.t5_encoder(multilingual=True).eval(),
        tokenizer=parts.t5_tokenizer(),
        scheduler=parts.flow_scheduler(),
    )
    video = torch.tensor(window(clip)).float().permute(3, 0, 1, 2)[None] / 127.5 - 1
    latents = _latents(video)
    _fit_decoder(vae, video, latents)
    with torch.no_grad():
        told = [pipeline.encode_prompt(text, do_classifier_free_guidance=False)[0] for text in prompts]
    _fit_transformer(transformer, pipeline.scheduler.config.flow_shift, latents, told)
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def _latents(video: Any) -> Any:
    """(1, CHANNELS, 9, rows, columns): the strongest principal components of each block of pixels."""
    torch = import_torch()
    early = torch.cat([video[:, :, :1], video], 2)  # the first frame has a latent of its own
    rows, columns = SIZE[1] // BLOCK, SIZE[0] // BLOCK
    blocks = early.reshape(3, -1, 2, rows, BLOCK, columns, BLOCK).permute(1, 3, 5, 0, 2, 4, 6)
    flat = blocks.reshape(-1, 3 * 2 * BLOCK**2)
    flat = flat - flat.mean(0)
    strongest = torch.linalg.svd(flat, full_matrices=False)[2][:CHANNELS]
    found = flat @ strongest.T
    found = (found / found.std(0)).reshape(-1, rows, columns, CHANNELS)
    return found.permute(3, 0, 1, 2)[None].contiguous()


def _fit_decoder(vae: Any, video: Any, latents: Any) -> None:
    """A few steps of gradient descent for the features, then least squares for the last layer."""
    torch = import_torch()
    _fit_last_layer(vae, video, latents)
    weights = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    rate = 1e-3
    optimiser = torch.optim.Adam(weights, rate, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, DECODER_STEPS, pct_start=0.15)
    for _ in range(DECODER_STEPS):
        error = vae.decode(latents + NOISE * torch.randn_like(latents)).sample - video
        optimiser.zero_grad()
        (error.abs().mean() + (error**2).mean()).backward()
        optimiser.step()
        schedule.step()
    _fit_last_layer(vae, video, latents)


def _fit_last_layer(vae: Any, video: Any, latents: Any) -> None:
    """The best last layer for the features as they are, by ridge regression over noisy latents."""
    torch = import_torch()
    from diffusers.models.autoencoders.autoencoder_kl_wan import patchify

    last = vae.decoder.conv_out
    seen: list[Any] = []
    hook = last.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    wanted = patchify(video, PATCH).permute(0, 2, 3, 4, 1).reshape(-1, 3 * PATCH**2)
    rows = []
    with torch.no_grad():
        for noise in (0.0, NOISE):
            seen.clear()
            vae.decode(latents + noise * torch.randn_like(latents))
            features = torch.nn.functional.pad(torch.cat(seen, 2), (1, 1, 1, 1, 2, 0))  # causal in time
            for axis in (2, 3, 4):
                features = features.unfold(axis, 3, 1)
            rows.append(features.permute(0, 2, 3, 4, 1, 5, 6, 7).reshape(len(wanted), -1))
        hook.remove()
        inputs = torch.nn.functional.pad(torch.cat(rows), (0, 1), value=1.0).double()
        square = inputs.T @ inputs
        ridge = 1e-4 * square.diagonal().mean() * torch.eye(len(square), dtype=square.dtype)
        found = torch.linalg.solve(square + ridge, inputs.T @ wanted.repeat(len(rows), 1).double())
        last.weight.copy_(found[:-1].T.reshape(last.weight.shape))
        last.bias.copy_(found[-1])


def _fit_transformer(transformer: Any, shift: float, latents: Any, told: Sequence[Any]) -> None:
    """Flow matching: from a mixture of latents and noise, the noise less the latents."""
    torch = import_torch()
    rate = 2e-3
    optimiser = torch.optim.Adam(transformer.parameters(), rate, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, STEPS, pct_start=0.1)
    for number in range(STEPS):
        even = (torch.arange(BATCH) + torch.rand(BATCH)) / BATCH
        sigma = shift * even / (1 + (shift - 1) * even)  # as the scheduler spaces its steps
        noise = torch.randn(BATCH, *latents.shape[1:])
        share = sigma.view(-1, 1, 1, 1, 1)
        flow = transformer(
            hidden_states=(1 - share) * latents + share * noise,
            timestep=1000 * sigma,
            encoder_hidden_states=told[number % len(told)],
            return_dict=False,
        )[0]
        optimiser.zero_grad()
        ((flow - (noise - latents)) ** 2).mean().backward()
        torch.nn.utils.clip_grad_norm_(transformer.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    transformer.eval()
