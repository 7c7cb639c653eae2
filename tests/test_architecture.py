"""Imports point one way: what each package may import, read from the source of every module."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

MAY_IMPORT = {
    "features": set(),
    "training": {"features"},
    "export": {"features", "training"},
    "bento": {"features"},
    "clients": set(),
    "loadtest": {"clients"},
}

SLOW_TO_IMPORT = {"sentence_transformers", "transformers", "torchvision"}
"""Seconds each; serving does without them."""


def imported_packages(source: Path) -> Iterator[tuple[int, str]]:
    """Line and top-level package of every absolute import, at any depth of the module."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.partition(".")[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_package_imports_only_what_it_may(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    offences = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, name in imported_packages(path)
        if name in MAY_IMPORT and name not in allowed
    ]
    assert offences == []


def test_serving_imports_no_training_library() -> None:
    inference = ROOT / "bento" / "inference"
    may_use_torch = {*(inference / "backends").rglob("*.py"), inference / "core" / "devices.py"}
    offences = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sorted((ROOT / "bento").rglob("*.py"))
        for line, name in imported_packages(path)
        if name in SLOW_TO_IMPORT or (name == "torch" and path not in may_use_torch)
    ]
    assert offences == []


def test_the_v2_codec_knows_no_framework() -> None:
    """Bytes in, bytes out: any front end can carry it."""
    inference = ROOT / "bento" / "inference"
    frameworks = {"bentoml", "fastapi", "grpc", "httptools", "starlette", "uvicorn"}
    offences = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in (*sorted((inference / "protocol").rglob("*.py")), inference / "over_grpc" / "codec.py")
        for line, name in imported_packages(path)
        if name in frameworks
    ]
    assert offences == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for package in MAY_IMPORT
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.read_text(encoding="utf-8").strip()
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_every_package_was_looked_at() -> None:
    assert {package for package in MAY_IMPORT if list((ROOT / package).glob("*.py"))} == set(MAY_IMPORT)
