"""The imports between our own modules, read from their source."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Import:
    """One module imports another, at any depth of its source, also where only types are checked."""

    source: str
    """Dotted name of the module that imports; a package's `__init__` has that in its name."""
    line: int
    target: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line} imports {self.target}"


def module_name(path: Path, root: Path = ROOT) -> str:
    """The dotted name of a file: `bento.inference.__init__`, `bento.settings`."""
    return ".".join(path.relative_to(root).with_suffix("").parts)


@cache
def modules(package: str, root: Path = ROOT) -> Mapping[str, Path]:
    """Every module below a package (`bento/inference`), by dotted name."""
    return {module_name(path, root): path for path in sorted((root / package).rglob("*.py"))}


@cache
def imports(package: str, root: Path = ROOT) -> tuple[Import, ...]:
    """What the modules of a package import from each other."""
    known = modules(package, root)
    return tuple(
        Import(source, line, target)
        for source, path in known.items()
        for line, names in _imported(ast.parse(path.read_text(encoding="utf-8")), source)
        for target in [_module_of(names, known)]
        if target and target != source
    )


def rooms(package: str, root: Path = ROOT) -> set[str]:
    """What lies directly in a package: its folders and its loose modules but `__init__`."""
    return {names[0] for names in (_below(module, package) for module in modules(package, root))} - {"__init__"}


def upward_imports(package: str, layers: Iterable[str | set[str] | tuple[str, ...]], root: Path = ROOT) -> list[Import]:
    """Imports between the rooms of a package that its layers, the highest first, do not allow.

    A layer is one room, a set of rooms that do not import each other, or a tuple of rooms that may. The package's own
    `__init__` stands above all layers.
    """
    level = {"__init__": (-1, "")}
    for height, layer in enumerate(layers):
        for room in [layer] if isinstance(layer, str) else layer:
            level[room] = (height, "" if isinstance(layer, tuple) else room)
    offences = []
    for found in imports(package, root):
        source, target = _below(found.source, package)[0], _below(found.target, package)[0]
        (source_height, source_group), (target_height, target_group) = level[source], level[target]
        if target_height < source_height or (target_height == source_height and target_group != source_group):
            offences.append(found)
    return offences


def circle(package: str, root: Path = ROOT) -> list[str]:
    """Modules of a package that import each other in a circle, or nothing."""
    graph: dict[str, set[str]] = {module: set() for module in modules(package, root)}
    for found in imports(package, root):
        graph[found.source].add(found.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        members: list[str] = error.args[1]
        return members[::-1]
    return []


def folders(package: str, root: Path = ROOT) -> dict[str, list[str]]:
    """Every folder of a package that holds modules, with their names but `__init__`."""
    found: dict[str, list[str]] = {}
    for path in modules(package, root).values():
        found.setdefault(str(path.parent.relative_to(root)), []).append(path.stem)
    return {folder: [name for name in names if name != "__init__"] for folder, names in found.items()}


def _below(module: str, package: str) -> list[str]:
    return module.split(".")[package.count("/") + 1 :]


def _imported(tree: ast.Module, source: str) -> Iterator[tuple[int, list[str]]]:
    """Line of each import, and the names it may mean, the most precise one first."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, [alias.name]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = source.split(".")[: -node.level] if node.level else []
            package = ".".join([*above, *(node.module or "").split(".")]).strip(".")
            yield from ((node.lineno, [f"{package}.{alias.name}", package]) for alias in node.names)


def _module_of(names: Iterable[str], known: Mapping[str, Path]) -> str | None:
    spelled = (spelling for name in names for spelling in (name, f"{name}.__init__"))
    return next((name for name in spelled if name in known), None)
