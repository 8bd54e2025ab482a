"""Fit the network of ``index.changes`` to the tuning half of the reels, and write its weights.

python -m tests.index.fit_changes [--reels 150]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from transitions import KINDS, Reel, make_reel, read_takes

from index.base import import_torch
from index.changes import CHANNELS, DILATIONS, FIELD, HALVES, REACH, WEIGHTS, Trace, shrink
from tests.conftest import FOOTAGE, REPOSITORY

HIDDEN = 32
LENGTH = 192
"""Frames of a training example that are decided."""


def tiny_frames(reel: Reel, chance: np.random.Generator) -> list[np.ndarray]:
    """The frames as the detector sees them; half the reels with noise or another gamma."""
    gamma = chance.choice((1.0, 1.0, 0.7, 1.4))
    noise = chance.choice((0.0, 0.0, 1.5, 4.0))
    curve = (255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    frames = []
    for _, image in reel:
        tiny = curve[shrink(image)]
        if noise:
            tiny = np.clip(tiny + chance.normal(0, noise, tiny.shape), 0, 255).astype(np.uint8)
        frames.append(tiny)
    return frames


def labels(reel: Reel, count: int) -> tuple[np.ndarray, np.ndarray]:
    """What the network should say, (frames, 2), and how much it matters."""
    want, matter = np.zeros((count, 2), np.float32), np.ones((count, 2), np.float32)
    for event in reel.truth:
        first, last = event.first, min(event.last, count - 1)
        if event.kind == "cut":
            matter[max(0, first - 1) : first + 2] = 0
            want[first], matter[first] = 1, 4
            continue
        matter[max(0, first - 2) : last + 3, 0] = 0
        middle, wide = (first + last) // 2, max(1, (last - first) // 8)
        want[middle - wide : middle + wide + 1, 0] = 1
        matter[middle - wide : middle + wide + 1, 0] = 4 / (2 * wide + 1)
        want[first:last, 1] = 1
    for event in reel.tricks:
        matter[max(0, event.first - 4) : event.last + 5] *= 2
    # A film that fades in or out has no boundary there.
    matter[: reel.fade_in + 8] *= 4
    matter[len(matter) - reel.fade_out - 24 :] *= 4
    return want, matter


def examples(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    footage = FOOTAGE if (FOOTAGE / "MANIFEST.tsv").is_file() else None
    takes = {  # at half the size, which costs a quarter
        name: [cv2.resize(image, (240, 135), interpolation=cv2.INTER_AREA) for image in take]
        for name, take in read_takes(footage, REPOSITORY / "sample_library", "tuning").items()
    }
    chance = np.random.default_rng(1)
    figures, wants, matters = [], [], []
    for seed in range(count):
        reel = make_reel(
            takes,
            1000 + seed,
            transitions=20 if seed % 3 else 4,
            kinds=("cut",) * 4 + ("dissolve",) * 4 + KINDS[2:] + ("wipe",),
            tricks=0.3,
            moves=0.5,
            variable=seed % 4 == 3,
        )
        frames = tiny_frames(reel, chance)
        trace = Trace()
        for tiny in frames:
            trace.add(tiny)
        trace.repeat_first(REACH)
        trace.repeat_last(REACH)
        far = HALVES[-1]
        figures.append(trace.figures(far, far + len(frames) + 2 * FIELD))
        want, matter = labels(reel, len(frames))
        if len(want) < LENGTH:
            figures.pop()
            continue
        wants.append(want)
        matters.append(matter)
    xs, ys, ws = [], [], []
    for x, y, w in zip(figures, wants, matters, strict=True):
        for begin in (*range(0, len(y) - LENGTH, LENGTH), len(y) - LENGTH):
            xs.append(x[begin : begin + LENGTH + 2 * FIELD])
            ys.append(y[begin : begin + LENGTH])
            ws.append(w[begin : begin + LENGTH])
    return np.stack(xs), np.stack(ys), np.stack(ws)


def fit(xs: np.ndarray, ys: np.ndarray, ws: np.ndarray, epochs: int) -> dict[str, np.ndarray]:
    torch = import_torch()
    torch.manual_seed(0)
    mean, deviation = xs.mean(axis=(0, 1)), xs.std(axis=(0, 1)) + 1e-3
    x = torch.from_numpy((xs - mean) / deviation).transpose(1, 2).contiguous()
    y, w = torch.from_numpy(ys).transpose(1, 2), torch.from_numpy(ws).transpose(1, 2)
    layers: list[object] = []
    size = CHANNELS
    for dilation in DILATIONS:
        layers += [torch.nn.Conv1d(size, HIDDEN, 3, dilation=dilation), torch.nn.ReLU()]
        size = HIDDEN
    net = torch.nn.Sequential(*layers, torch.nn.Conv1d(size, 2, 1))
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.02)
    batches = -(-len(x) // 32)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=epochs * batches)
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(x)).split(32):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                net(x[chosen]), y[chosen], weight=w[chosen], reduction="sum"
            ) / (w[chosen].sum())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        if epoch % 5 == 4:
            sys.stdout.write(f"epoch {epoch + 1}: {total / batches:.5f}\n")
            sys.stdout.flush()
    held: dict[str, np.ndarray] = {}
    convolutions = [layer for layer in net if isinstance(layer, torch.nn.Conv1d)]
    for number, layer in enumerate(convolutions):
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        if number == 0:  # what the figures were scaled by goes into the first layer
            bias = bias - (weight * (mean / deviation)[None, :, None]).sum(axis=(1, 2))
            weight = weight / deviation[None, :, None]
        held[f"weight{number}"] = weight.transpose(2, 1, 0).reshape(-1, len(weight)).astype(np.float32)
        held[f"bias{number}"] = bias.astype(np.float32)
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reels", type=int, default=150)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    np.savez(options.output, **fit(*examples(options.reels), options.epochs))


if __name__ == "__main__":
    main()
