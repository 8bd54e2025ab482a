"""Who signs a film, and what happens where it cannot be signed."""

from __future__ import annotations

from pathlib import Path

import pytest

import montage
from generate import GenerationError
from index.library import Library
from montage.generation import Generation
from montage.rendering import Rendered, render_cut
from montage.signing import Signing

NOTHING = "Nobody ever saw the whale that sang.\n"


@pytest.fixture(scope="module")
def library(sample_index: Path) -> Library:
    return Library.open(sample_index)


def filmed(library: Library, path: Path, signing: Signing | None = None) -> Rendered:
    cut = montage.plan(montage.parse_script(NOTHING), library)
    return render_cut(
        cut, path, size=(128, 96), quality="draft", captions=(), fallback="card",
        generation=Generation(models=()), sign=signing,
    )  # fmt: skip


def signature(made: Rendered) -> tuple[bool, str] | None:
    found = [(check.passed, check.detail) for check in made.film.checks if check.name == "signature"]
    return found[0] if found else None


def test_films_of_cards_are_signed_and_others_on_request(library: Library, tmp_path: Path) -> None:
    pytest.importorskip("c2pa", reason="c2pa-python is not installed")
    passed, said = signature(filmed(library, tmp_path / "card.mp4")) or (False, "")
    assert passed
    assert said.startswith("signed by montage: 1 generated shot")
    assert signature(filmed(library, tmp_path / "never.mp4", Signing(when="never"))) is None


def test_a_film_that_nobody_asked_to_sign_is_made_all_the_same(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("c2pa", reason="c2pa-python is not installed")
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder of certificates would be")
    monkeypatch.setenv("MONTAGE_MODELS", str(blocked / "models"))
    passed, said = signature(filmed(library, tmp_path / "film.mp4")) or (False, "")
    assert passed
    assert said.startswith("not signed: cannot keep a certificate")
    with pytest.raises(GenerationError, match="cannot keep a certificate"):
        filmed(library, tmp_path / "always.mp4", Signing(when="always"))


def test_what_cannot_be_signed_is_told_before_anything_is_made(library: Library, tmp_path: Path) -> None:
    (tmp_path / "own.pem").write_text("no certificate")
    asked = {
        "carries no signature": ("film.webm", Signing(when="always")),
        "give both": ("film.mp4", Signing(certificate=tmp_path / "own.pem")),
        "PEM files": (
            "film.mp4",
            Signing(certificate=tmp_path / "own.pem", key=tmp_path / "own.pem"),
        ),
    }
    for said, (name, signing) in asked.items():
        with pytest.raises(GenerationError, match=said):
            filmed(library, tmp_path / name, signing)
    assert [path.name for path in tmp_path.iterdir()] == ["own.pem"]
