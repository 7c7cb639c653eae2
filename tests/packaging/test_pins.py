"""One list of packages: what a bento installs and what the constraints hold is what pyproject.toml says."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_bento_installs_the_serving_packages() -> None:
    bentofile = yaml.safe_load((ROOT / "bentofile.yaml").read_text(encoding="utf-8"))
    extras = project()["optional-dependencies"]
    serving = project()["dependencies"] + extras["cpu"] + extras["torch"]
    assert sorted(bentofile["python"]["packages"]) == sorted(serving)


def test_the_image_installs_torch_unless_told_otherwise() -> None:
    dockerfile = (ROOT / "Dockerfile.gpu").read_text(encoding="utf-8")
    (extra,) = re.findall(r"^ARG EXTRAS=(\S*)$", dockerfile, re.MULTILINE)
    assert normal(project()["optional-dependencies"][extra]) == {"torch"}
    assert '".[${HARDWARE}${EXTRAS:+,${EXTRAS}}]"' in dockerfile


def test_torch_is_the_same_where_models_are_exported_and_where_they_are_served() -> None:
    extras = project()["optional-dependencies"]
    assert set(extras["torch"]) <= set(extras["train"])


def test_constraints_repeat_every_pin() -> None:
    constraints = set((ROOT / "constraints.txt").read_text(encoding="utf-8").lower().replace("_", "-").split("\n"))
    extras = project()["optional-dependencies"]
    pins = project()["dependencies"] + extras["train"] + extras["lab"] + extras["dev"]
    pinned = {re.sub(r"\[.*\]", "", pin).lower() for pin in pins if not pin.startswith(("torch==", "marquee["))}
    assert pinned - constraints == set()


def test_serving_needs_no_torch() -> None:
    names = {re.split(r"[\[=]", pin)[0] for pin in project()["dependencies"]}
    assert names.isdisjoint({"torch", "torchvision", "sentence-transformers", "transformers"})


OURS = {"bento", "clients", "export", "features", "loadtest", "sample", "training"}
EXTRAS_OF = {
    "bento": ("cpu", "qdrant", "train"),
    "clients": (),
    "export": ("cpu", "train", "lab"),
    "features": (),
    "loadtest": ("cpu", "train", "dev", "lab"),
    "sample": ("train",),
    "training": ("cpu", "train", "lab"),
}
"""What is installed beside the dependencies where a package runs. torch in `bento` is optional: TorchScript models."""

BROUGHT_BY_TRITON = "triton_python_backend_utils"
"""Not a package: whoever runs a model of the Python backend brings it."""


def imported(package: str) -> Iterator[str]:
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield node.module.partition(".")[0]


def normal(names: Iterable[str]) -> set[str]:
    return {re.split(r"[\[=]", name)[0].lower().replace("_", "-") for name in names}


def test_every_imported_package_is_declared() -> None:
    distributions, extras = packages_distributions(), project()["optional-dependencies"]
    missing: list[str] = []
    for package in sorted(path for path in OURS if (ROOT / path).is_dir()):
        declared = normal([*project()["dependencies"], *(pin for extra in EXTRAS_OF[package] for pin in extras[extra])])
        modules = set(imported(package)) - OURS - {BROUGHT_BY_TRITON} - sys.stdlib_module_names
        missing += [
            f"{package} imports {module}"
            for module in sorted(modules)
            if normal(distributions.get(module, [module])).isdisjoint(declared)
        ]
    assert missing == []
