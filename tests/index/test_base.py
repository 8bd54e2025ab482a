from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

import index
from index.base import SAMPLE_BLOCK, SAMPLE_PLACES, Span, content_id, ffmpeg_path, file_sha256, to_seconds


def test_public_names_are_those_that_can_be_imported() -> None:
    assert index.__all__ == sorted(index.__all__)
    for name in index.__all__:
        assert getattr(index, name).__name__ == name
    assert set(index.__all__) <= set(dir(index))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        index.nothing  # noqa: B018


def test_importing_index_imports_nothing_heavy() -> None:
    code = (
        "import sys, index, index.builder, index.library;"
        "heavy = {'av', 'cv2', 'torch', 'scipy', 'scenedetect', 'faiss'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(index.__file__).parent.parent)


def test_spans_are_half_open() -> None:
    span = Span(Fraction(1), Fraction(2))
    assert span.contains(Fraction(1))
    assert not span.contains(Fraction(2))
    assert not span.overlaps(Span(Fraction(2), Fraction(3)))
    assert span.overlaps(Span(Fraction(0), Fraction(3)))
    assert span.intersection(Span(Fraction(2), Fraction(3))) is None
    assert span.intersection(Span(Fraction(3, 2), Fraction(3))) == Span(Fraction(3, 2), Fraction(2))
    assert (span.seconds, span.middle) == (1, Fraction(3, 2))


@pytest.mark.parametrize(("start", "end"), [(-1, 1), (1, 1), (2, 1)])
def test_impossible_spans_are_refused_with_their_values(start: int, end: int) -> None:
    with pytest.raises(ValueError, match=f"start={float(start)} end={float(end)}"):
        Span(Fraction(start), Fraction(end))


def test_seconds_are_exact() -> None:
    assert to_seconds("1001/30000") == Fraction(1001, 30000)
    assert to_seconds(0.1) == Fraction(1, 10)
    assert to_seconds(3) == 3
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            to_seconds(bad)


def test_content_ids_name_what_a_file_holds(tmp_path: Path) -> None:
    big = bytes(range(256)) * (SAMPLE_BLOCK * SAMPLE_PLACES // 128)
    (tmp_path / "one").write_bytes(big)
    (tmp_path / "two").write_bytes(big)
    (tmp_path / "shorter").write_bytes(big[:-1])
    (tmp_path / "last").write_bytes(big[:-1] + b"?")
    ids = [content_id(tmp_path / name) for name in ("one", "two", "shorter", "last")]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert all(len(identity) == 32 for identity in ids)
    (tmp_path / "small").write_bytes(b"small")
    assert file_sha256(tmp_path / "small").startswith("81db8ebbbbc6")


def test_ffmpeg_is_there_without_being_installed() -> None:
    shown = subprocess.run([ffmpeg_path(), "-version"], capture_output=True, check=True, text=True).stdout
    assert shown.startswith("ffmpeg version")
