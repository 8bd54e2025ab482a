"""What the tests share: where the real footage lies, and threads kept to one where models are tiny."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

REPOSITORY = Path(__file__).resolve().parent.parent
FOOTAGE = Path(os.environ.get("MONTAGE_TEST_FOOTAGE", REPOSITORY.parent / "shared" / "footage"))


@pytest.fixture(scope="session", autouse=True)
def own_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes what the user keeps: models, and what is kept beside them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MONTAGE_MODELS", str(tmp_path_factory.mktemp("kept") / "models"))
        yield


@pytest.fixture(scope="module", autouse=True)
def one_cluster_at_a_time(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Of tests that run side by side only those of one file have a Ray cluster, which some look for."""
    if "cluster" not in request.module.__name__:
        yield
        return
    with FileLock(tmp_path_factory.getbasetemp().parent / "cluster.lock"):
        yield


@pytest.fixture(scope="session")
def footage() -> Path:
    """The folder of real footage, which stays outside the repository."""
    if not (FOOTAGE / "MANIFEST.tsv").is_file():
        pytest.skip(f"no real footage in {FOOTAGE}: set MONTAGE_TEST_FOOTAGE to the folder that holds it")
    return FOOTAGE


@pytest.fixture(scope="session")
def sample_library() -> Path:
    """The clips that come with the repository."""
    return REPOSITORY / "sample_library"


@pytest.fixture(scope="session")
def sample_index(tmp_path_factory: pytest.TempPathFactory, sample_library: Path) -> Path:
    """A copy of the sample clips and scripts, indexed once with the encoder that is always there.

    Tests may render from it and add scripts beside it; they must not change its clips.
    """
    from index.builder import build_index

    folder = tmp_path_factory.mktemp("story") / "footage"
    folder.mkdir()
    for path in sorted(sample_library.iterdir()):
        if path.suffix == ".mp4":
            shutil.copy(path, folder)
        elif path.name.startswith("script"):
            shutil.copy(path, folder.parent)
    build_index(folder, encoder="embedded")
    return folder


@pytest.fixture(scope="session")
def tiny_wan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text-to-video pipeline of the real class with random weights, saved in a folder."""
    from tests.tiny_pipelines import save_tiny_wan

    return save_tiny_wan(tmp_path_factory.mktemp("model") / "wan")
