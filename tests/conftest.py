"""What the tests share: where the real footage lies, and threads kept to one where models are tiny."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
FOOTAGE = Path(os.environ.get("MONTAGE_TEST_FOOTAGE", REPOSITORY.parent / "shared" / "footage"))


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
