"""The documents name what is there, and their links lead somewhere."""

from __future__ import annotations

import re

import pytest

from montage.directives import DIRECTIVE_NAMES
from montage.presets import PRESETS
from tests.conftest import REPOSITORY

DOCUMENTS = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")])


def test_the_reference_lists_every_preset() -> None:
    text = (REPOSITORY / "docs" / "reference.md").read_text(encoding="utf-8")
    for preset in PRESETS.values():
        assert f"| {preset.name} | {float(preset.pace):g} |" in text


def test_the_readme_shows_every_directive() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for name in DIRECTIVE_NAMES:
        assert f"`[{name}" in text


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / link).exists(), f"{path.name} links to {link}"
