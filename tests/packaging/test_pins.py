"""One list of packages: what a bento installs and what the constraints hold is what pyproject.toml says."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_bento_installs_the_serving_packages() -> None:
    bentofile = yaml.safe_load((ROOT / "bentofile.yaml").read_text(encoding="utf-8"))
    serving = project()["dependencies"] + project()["optional-dependencies"]["cpu"]
    assert sorted(bentofile["python"]["packages"]) == sorted(serving)


def test_constraints_repeat_every_pin() -> None:
    constraints = set((ROOT / "constraints.txt").read_text(encoding="utf-8").lower().replace("_", "-").split("\n"))
    extras = project()["optional-dependencies"]
    pins = project()["dependencies"] + extras["train"] + extras["lab"] + extras["dev"]
    pinned = {re.sub(r"\[.*\]", "", pin).lower() for pin in pins if not pin.startswith(("torch==", "marquee["))}
    assert pinned - constraints == set()


def test_serving_needs_no_torch() -> None:
    names = {re.split(r"[\[=]", pin)[0] for pin in project()["dependencies"]}
    assert names.isdisjoint({"torch", "torchvision", "sentence-transformers", "transformers"})
