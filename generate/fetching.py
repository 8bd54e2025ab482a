"""Fetching video models and LoRAs: the size said first, what has come kept, every file checked.

It goes to the Hugging Face hub, and is called by ``montage models pull`` alone. A file that comes lies beside
its place until it is whole and its hash is the published one; a broken fetch goes on where it stopped, which
the hub's own client does no longer.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generate.base import GenerationError
from generate.catalogue import UNFINISHED, KnownLora, KnownModel, accept, find, folder_of
from index.base import file_sha256

__all__ = ["Download", "Part", "plan_download", "pull"]

SMALL = frozenset({".json", ".txt", ".model"})
"""Configurations and vocabularies; beside them come weights as safetensors, never as pickles."""
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
ROOM = 1.05
"""Share of the size that must be free on the disk."""
ON_THE_WAY = ".cache"
"""Folder of what has come of files that are not whole."""
INDEX = "model_index.json"


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a repository."""

    name: str
    """In the repository."""
    place: str
    """In the model's folder."""
    size: int
    """Bytes."""
    digest: str
    """``sha256:`` of large files, ``git:`` (its blob id) of small ones, as the hub publishes them; empty
    where it does not."""

    def is_in(self, path: Path) -> bool:
        """Whether a file is this one, by its size and hash."""
        try:
            if path.stat().st_size != self.size:
                return False
            kind, _, digest = self.digest.partition(":")
            if kind == "sha256":
                return file_sha256(path) == digest
            return kind != "git" or _blob_id(path) == digest
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class Download:
    """What is to be fetched of a model or a LoRA."""

    model: KnownModel | KnownLora
    revision: str
    """Commit of the repository."""
    files: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(part.size for part in self.files)

    @property
    def missing(self) -> int:
        """Bytes that have not come yet."""
        folder = folder_of(self.model.name)
        return sum(
            part.size - min(part.size, _size_of(_partial(folder, part)))
            for part in self.files
            if _size_of(folder / part.place) != part.size
        )


def plan_download(name: str, accepted: Collection[str] = ()) -> Download:
    """What of a model is to be fetched; asks the hub, and writes nothing.

    Raises:
        GenerationError: if there is no such model, its licence was not accepted, the hub cannot be reached,
        or what it has cannot be used.
    """
    model = find(name)
    accept(model, accepted)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when it is imported
    try:
        from huggingface_hub import HfApi

        info = HfApi().model_info(model.repository, files_metadata=True)
        published = {one.rfilename: one for one in info.siblings or ()}
        names = list(model.files) if isinstance(model, KnownLora) else [INDEX]
        _all_there(names, published, model)
        if not isinstance(model, KnownLora):
            buffer = io.BytesIO()
            _fetch(model, INDEX, str(info.sha), buffer)
            names = chosen_files(json.loads(buffer.getvalue()), list(published))
    except GenerationError:
        raise
    except Exception as error:  # the hub's client raises its own, its HTTP library's and OS errors alike
        raise _failed(model, error) from error
    parts = []
    for one in names:
        found = published[one]
        place = Path(one).name if isinstance(model, KnownLora) else _plain(one)
        parts.append(Part(one, place, int(found.size or 0), _digest(found)))
    return Download(model, str(info.sha), tuple(parts))


def _all_there(names: Sequence[str], published: Collection[str], model: KnownModel | KnownLora) -> None:
    for name in names:
        if name not in published:
            raise GenerationError(f"{model.repository} holds no {name}: a newer release may know its place")


def chosen_files(listed: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """The files of a repository that a pipeline is made of.

    Args:
        listed: the content of its ``model_index.json``.
        names: every file.

    Raises:
        GenerationError: if a component has weights, and none as safetensors.
    """
    components = {
        name
        for name, value in listed.items()
        # By a name that leads nowhere else.
        if isinstance(value, list) and value and value[0] is not None and name.isidentifier()
    }
    wanted = [INDEX]
    for component in sorted(components):
        own = [name for name in names if name.startswith(f"{component}/") and name.count("/") == 1]
        wanted += [name for name in own if Path(name).suffix in SMALL and ".index." not in name]
        weights = [name for name in own if name.endswith(".safetensors")]
        if not weights and any(name.endswith(PICKLES) for name in own):
            raise GenerationError(
                f"the {component} of this model comes as a pickle only, which is never loaded: choose another"
            )
        # Of whole and halved weights one set; of a file and shards that hold the same, the shards.
        kinds = {_variant(name) for name in weights}
        kind = "" if "" in kinds else min(kinds, default="")
        chosen = [name for name in weights if _variant(name) == kind]
        shards = [name for name in chosen if "-of-" in name]
        wanted += shards or chosen
        if shards:
            indices = [name for name in own if ".safetensors.index." in name]
            wanted += [name for name in indices if _variant(name) == kind]
    return wanted


def _variant(name: str) -> str:
    """What stands between a file's stem and its endings: ``fp16``, ``non_ema``; mostly nothing.

    As diffusers names them: ``model.fp16.safetensors``, ``model.fp16-00001-of-00002.safetensors``,
    ``model.safetensors.index.fp16.json``.
    """
    middle = [part for part in Path(name).name.split(".")[1:-1] if part not in ("safetensors", "index")]
    return middle[0].split("-")[0] if middle else ""


def _plain(name: str) -> str:
    """Where a file is put: without its variant, which loaders would have to be told. Shards keep their
    names, by which their index knows them."""
    variant = _variant(name)
    if not variant or "-of-" in name or not name.endswith((".safetensors", f".index.{variant}.json")):
        return name
    return name.replace(f".{variant}.", ".")


def pull(download: Download, progress: Callable[[str, int], None] | None = None) -> Path:
    """Fetch a model, or go on where a fetch was broken off; returns its folder.

    ``progress`` is told each file's name and bytes before it is fetched. Until all has come and was checked,
    the model does not count as being here. Of a model that is here every file is checked, and fetched again
    where it is damaged.

    Raises:
        GenerationError: if the disk is too small, the hub cannot be reached, a file arrives damaged, or
        another process fetches the same.
    """
    model, folder = download.model, folder_of(download.model.name)
    try:
        (folder / ON_THE_WAY).mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if download.missing * ROOM > free:
            raise GenerationError(
                f"{model.name} needs {download.missing / 1e9:.1f} GB more, and {free / 1e9:.1f} GB are free "
                f"at {folder}: make room, or name another place by MONTAGE_MODELS"
            )
        _pull(download, folder, progress)
        (folder / UNFINISHED).unlink(missing_ok=True)
        shutil.rmtree(folder / ON_THE_WAY, ignore_errors=True)
    except GenerationError:
        raise
    except Exception as error:
        raise _failed(model, error) from error
    return folder


def _pull(download: Download, folder: Path, progress: Callable[[str, int], None] | None) -> None:
    from filelock import FileLock, Timeout

    model = download.model
    lock = FileLock(str(folder / ON_THE_WAY / "lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise GenerationError(
            f"{model.name} is being fetched by another process: wait for it, or end it"
        ) from None
    try:
        checked = _checked(folder)
        for part in download.files:
            path = folder / part.place
            # What this or an earlier run has checked is not read again.
            known = checked.get(part.place) == part.digest and _size_of(path) == part.size
            if not known and not part.is_in(path):
                _note(folder, checked)
                if progress is not None:
                    progress(part.name, part.size)
                _fetch_file(download, part, folder)
            checked[part.place] = part.digest
            if (folder / UNFINISHED).exists():
                _note(folder, checked)
    finally:
        lock.release()


def _fetch_file(download: Download, part: Part, folder: Path) -> None:
    """Fetch one file to its place, going on behind what has come of it.

    Raises:
        GenerationError: if it arrives damaged.
    """
    model, partial = download.model, _partial(folder, part)
    with partial.open("ab") as file:
        _fetch(model, part.name, download.revision, file, part.size)
    if not part.is_in(partial):
        partial.unlink(missing_ok=True)
        raise GenerationError(
            f"{part.name} of {model.name} arrived damaged and was removed: run montage models pull "
            f"{model.name} again"
        )
    path = folder / part.place
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(path)


def _fetch(
    model: KnownModel | KnownLora, name: str, revision: str, file: Any, size: int | None = None
) -> None:
    """Write a file of a repository behind what ``file`` holds of it."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    # Without compression, so that bytes can be counted; not by Xet, which cannot go on.
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    have = file.tell()
    if size is not None and have > size:
        file.truncate(0)
        have = 0
    url = hf_hub_url(model.repository, name, revision=revision)
    http_get(
        url,
        file,
        resume_size=have,
        headers=headers,
        expected_size=size,
        displayed_filename=name,
    )


def _partial(folder: Path, part: Part) -> Path:
    """Where a file lies while it comes: by its content, so that another version of it is not gone on with."""
    named = hashlib.sha256(f"{part.name} {part.size} {part.digest}".encode()).hexdigest()[:32]
    return folder / ON_THE_WAY / f"{named}.part"


def _checked(folder: Path) -> dict[str, str]:
    """Place to digest of the files that an unfinished fetch has checked."""
    try:
        read = json.loads((folder / UNFINISHED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(place): str(digest) for place, digest in read.items()} if isinstance(read, dict) else {}


def _note(folder: Path, checked: Mapping[str, str]) -> None:
    part = folder / ON_THE_WAY / "checked"
    part.write_text(json.dumps(checked, indent=1, sort_keys=True), encoding="utf-8")
    part.replace(folder / UNFINISHED)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _blob_id(path: Path) -> str:
    """The name that git gives a file's content."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _digest(published: Any) -> str:
    if published.lfs is not None:
        return f"sha256:{published.lfs.sha256}"
    return f"git:{published.blob_id}" if published.blob_id else ""


def _failed(model: KnownModel | KnownLora, error: Exception) -> GenerationError:
    """What went wrong, told for a person."""
    from huggingface_hub.errors import GatedRepoError

    text = str(error).strip()
    reason = text.splitlines()[0] if text else type(error).__name__
    if isinstance(error, GatedRepoError):
        return GenerationError(
            f"{model.repository} is given to those who have accepted its terms on the Hugging Face hub: "
            f"accept them there, put your token into HF_TOKEN, and run montage models pull {model.name} again"
        )
    again = f"What has come is kept; run montage models pull {model.name} again"
    if isinstance(error, OSError) and error.errno in (
        errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST,
    ):  # fmt: skip
        return GenerationError(
            f"{model.name} cannot be written to {folder_of(model.name)}: {error.strerror}. {again}, or name "
            "another place by MONTAGE_MODELS"
        )
    return GenerationError(
        f"{model.name} could not be fetched from {model.repository}: is there a network? {again} ({reason})"
    )
