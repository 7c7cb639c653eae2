"""Validation names the part that is off."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from export.index.faiss_index import build_index, write_index
from export.release.manifest import read_manifest, write_manifest
from export.release.validate import validate
from features.release_manifest import ModelFacts


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def rewrite(repository: Path, model: str, change: Callable[[ModelFacts], ModelFacts]) -> None:
    """Change what release.json says of a model."""
    manifest = read_manifest(repository)
    release = manifest.releases[1]
    changed = replace(release, models=release.models | {model: change(release.models[model])})
    write_manifest(repository, manifest.with_current(1, {1: changed}))


def parity(**changes: Any) -> Callable[[ModelFacts], ModelFacts]:
    return lambda facts: replace(facts, parity=replace(facts.parity, **changes))


@pytest.mark.parametrize(
    ("damage", "part", "what"),
    [
        (lambda r: flip_a_byte(r / "ease/1/model.onnx"), "ease/1/model.onnx", "was altered"),
        (lambda r: (r / "fusion/1/model.onnx").write_bytes(b"x"), "fusion/1/model.onnx", "has 1 bytes instead of"),
        (lambda r: (r / "tokenizer/1/tokenizer.json").unlink(), "tokenizer/1/tokenizer.json", "is missing"),
        (lambda r: (r / "ease/1").rename(r / "ease/2"), "ease", r"version 1 is missing \(it has: 2\)"),
        (lambda r: shutil.rmtree(r / "ease/1"), "ease", r"version 1 is missing \(it has: none\)"),
        (lambda r: shutil.copytree(r / "ease/1", r / "ease/2"), "ease/2", "belongs to no release"),
        (lambda r: (r / "ease/config.pbtxt").unlink(), "ease", r"has no config\.pbtxt"),
        (lambda r: (r / "ease/config.pbtxt").write_text("name: {"), "ease/config.pbtxt", "cannot be parsed"),
        (lambda r: shutil.copy(r / "fusion/config.pbtxt", r / "ease"), "ease/config.pbtxt", "names the model 'fusion'"),
        (lambda r: rewrite(r, "ease", lambda facts: replace(facts, parity=None)), "ease", "has no parity proof"),
        (lambda r: rewrite(r, "ease", parity(top_k_identical=False)), "ease", "ranks films differently"),
        (lambda r: rewrite(r, "ease", parity(largest_difference=0.5)), "ease", "differs by 0.5, tolerance"),
        (lambda r: rewrite(r, "ease", lambda facts: replace(facts, backend="python")), "ease/config.pbtxt", "wants"),
    ],
)  # fmt: skip
def test_the_part_that_is_off_is_named(repository: Path, damage: Callable[[Path], Any], part: str, what: str) -> None:
    damage(repository)
    problems = {problem.part: problem.what for problem in validate(repository)}
    assert part in problems
    assert re.search(what, problems[part])


def test_only_the_damaged_part_is_named(repository: Path) -> None:
    flip_a_byte(repository / "user_tower" / "1" / "model.onnx")
    assert [problem.part for problem in validate(repository)] == ["user_tower/1/model.onnx"]


def test_a_model_that_every_release_needs_must_be_listed(repository: Path) -> None:
    manifest = read_manifest(repository)
    models = {name: facts for name, facts in manifest.releases[1].models.items() if name != "fusion"}
    write_manifest(repository, manifest.with_current(1, {1: replace(manifest.releases[1], models=models)}))
    assert "fusion: is not part of the release" in [str(problem) for problem in validate(repository)]


def test_parts_of_another_catalogue_are_found_out(repository: Path, tmp_path: Path) -> None:
    import numpy as np

    folder = repository / "retrieval" / "1"
    write_index(folder, build_index("flat", np.zeros((3, 385), np.float32)))
    films = (folder / "catalog.json").read_bytes().replace(b"1990", b"1890")
    (folder / "catalog.json").write_bytes(films)
    told = "\n".join(str(problem) for problem in validate(repository))
    assert "retrieval/catalog.json: is not the catalogue that release.json names" in told
    assert "retrieval/items.index: has 3 vectors of width 385, the catalogue 30 films of 385" in told
