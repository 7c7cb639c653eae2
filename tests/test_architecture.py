"""Imports point one way, between packages and inside them, and every room has a size that can be read at once."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.import_graph import ROOT, circle, folders, imports, rooms, upward_imports

MAY_IMPORT = {
    "features": set(),
    "sample": {"features"},
    "training": {"features", "sample"},
    "export": {"features", "training"},
    "bento": {"features"},
    "clients": set(),
    "loadtest": {"clients"},
}

ROOMS: dict[str, list[str | set[str] | tuple[str, ...]]] = {
    "training": [
        "__main__",
        "commands",
        "tracking",
        {"train", "tuning"},
        {"evaluation", "finetuning"},
        "ranking",
        "checkpoint",
        "fit",
        "options",
        "models",
        "content",
        "data",
    ],
    "export": [
        "__main__",
        "commands",
        "evaluation",
        "release",
        {"graphs", "index"},
        "python_models",
        "layout",
        "example_inputs",
        "durable_files",
        "errors",
    ],
    "bento": [
        {"__main__", "service"},
        "serving",
        {"commands", "recommender"},
        "auth",
        "release",
        {"stores", "inference"},
        {"http", "background", "end_signals"},
        "settings",
    ],
    "bento/recommender": [
        "over_http",
        "monitoring",
        "precompute",
        "batch",
        "recommendations",
        {"experiments", "pipeline"},
        {"answer_cache", "single_flight"},
        "ranking",
        "retrieval",
        "questions",
        "people",
        "catalogue",
        {"telemetry", "inference", "text_embeddings"},
        "schemas",
        "errors",
    ],
    "bento/inference": [
        "__main__",
        {"refused_flags", "standalone"},
        {"over_grpc", "over_http"},
        "protocol",
        "server",
        "repository",
        "models",
        "scheduling",
        "backends",
        "core",
    ],
}
"""The rooms of a package (its folders and loose modules), the highest layer first: each may import what is below it.

Rooms in a set are siblings that do not import each other, those in a tuple may.
"""

MOST_LOOSE_FILES = 15
"""Modules in one folder, without `__init__`."""

TESTS_OF = {
    "tests/features": "features",
    "tests/sample": "sample",
    "tests/training": "training",
    "tests/export": "export",
    "tests/inference": "bento/inference",
    "tests/recommender": "bento/recommender",
}
"""Folders of tests that have the same rooms as the code they test."""

OF_THE_WHOLE = {"official_clients", "triton_parity"}
"""Folders of tests beside them, which ask the inference server as a whole: Triton's own programs, and Triton itself."""

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


@pytest.mark.parametrize("package", ROOMS)
def test_every_room_has_a_place_in_the_order_of_its_package(package: str) -> None:
    placed = [room for layer in ROOMS[package] for room in ([layer] if isinstance(layer, str) else layer)]
    assert sorted(placed) == sorted(rooms(package))


@pytest.mark.parametrize("package", ROOMS)
def test_no_room_imports_from_above_or_beside_it(package: str) -> None:
    assert [str(found) for found in upward_imports(package, ROOMS[package])] == []


@pytest.mark.parametrize("package", [package for package in MAY_IMPORT if package != "bento" or "bento" in ROOMS])
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    assert circle(package) == []


@pytest.mark.parametrize("package", ["features", "sample", "clients", "loadtest", *ROOMS])
def test_no_folder_has_more_loose_files_than_a_reader_can_survey(package: str) -> None:
    crowded = {folder: len(files) for folder, files in folders(package).items() if len(files) > MOST_LOOSE_FILES}
    assert crowded == {}


@pytest.mark.parametrize("tests", TESTS_OF)
def test_tests_have_the_rooms_of_the_code(tests: str) -> None:
    code = {str(Path(folder).relative_to(TESTS_OF[tests])) for folder in folders(TESTS_OF[tests])}
    assert {str(Path(folder).relative_to(tests)) for folder in folders(tests)} - code - OF_THE_WHOLE == set()


@pytest.mark.parametrize("package", sorted(ROOMS.keys() & set(TESTS_OF.values())))
def test_every_room_has_tests(package: str) -> None:
    tests = next(folder for folder, code in TESTS_OF.items() if code == package)
    tested = {Path(folder).relative_to(tests).parts[0] for folder in folders(tests) if folder != tests}
    assert {room for room in rooms(package) if (ROOT / package / room).is_dir()} - tested == set()


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


FAST_PATH = {
    "bento.inference.over_http.fast": "bento.inference.over_http.connections",
    "bento.inference.backends.onnxruntime_fast": "bento.inference.backends.onnxruntime_backend",
    "bento.inference.over_grpc.fast_messages": "bento.inference.over_grpc.service",
}
"""Each part of the fast path, and the one module that imports it."""


@pytest.mark.parametrize("part", FAST_PATH)
def test_the_fast_path_is_entered_through_one_module(part: str) -> None:
    importers = {
        found.source
        for found in imports("bento")
        if found.target.startswith(part) and not found.source.startswith(part)
    }
    assert importers == {FAST_PATH[part]}


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


def test_the_map_has_every_package_in_one_line() -> None:
    """docs/architecture.md repeats the first sentence of each package's docstring, in the order of the names."""
    packages = sorted(
        str(path.parent.relative_to(ROOT)) for package in MAY_IMPORT for path in (ROOT / package).rglob("__init__.py")
    )
    lines = []
    for package in packages:
        docstring = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))) or ""
        first = " ".join(docstring.split("\n\n")[0].split())
        lines.append(f"| `{package}` | {first} |")
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = text.partition("## The map\n")[2].partition("\n## ")[0]
    assert [line for line in listed.splitlines() if line.startswith("| `")] == lines
