"""Loads each `model.py` as a module of its own, with its folder importable for this module only.

A version folder becomes a package with a unique name. Code in it that says `import helper` gets the `helper.py`
that lies beside it, although two models may each have a different one: its built-in `__import__` looks there first.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

_ROOT = "marquee_models"
_numbers = count()


def load_model_module(model_file: Path, label: str) -> ModuleType:
    """Run a model file as a new module. Raises: any exception of the file.

    label: goes into the module's name, for tracebacks.
    """
    _install()
    safe_label = "".join(character if character.isalnum() else "_" for character in label)
    package = ModuleType(f"{_ROOT}.{safe_label}_{next(_numbers)}")
    package.__path__ = [str(model_file.parent)]
    sys.modules[package.__name__] = package
    try:
        return importlib.import_module(f"{package.__name__}.{model_file.stem}")
    except BaseException:
        forget_model_module(package.__name__)
        raise


def forget_model_module(name: str) -> None:
    """Drop a model's modules, so that their memory can be freed. `name`: of the model's module or of its package."""
    package = ".".join(name.split(".")[:2])
    for loaded in list(sys.modules):  # at one stroke: other threads import meanwhile
        if loaded == package or loaded.startswith(f"{package}."):
            sys.modules.pop(loaded, None)


def _install() -> None:
    if _ROOT not in sys.modules:
        root = ModuleType(_ROOT)
        root.__path__ = []
        sys.modules[_ROOT] = root
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds modules inside models' packages."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `MetaPathFinder`."""
        if not fullname.startswith(f"{_ROOT}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, str(spec.loader.path))
        return spec


class _Loader(SourceFileLoader):
    """Runs a module with an `__import__` that sees its model's folder."""

    def exec_module(self, module: ModuleType) -> None:
        """See `Loader`."""
        package = ".".join(module.__name__.split(".")[:2])
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _importer(package)}
        super().exec_module(module)


def _importer(package: str) -> Any:
    def own_import(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if level == 0:
            top = f"{package}.{name.partition('.')[0]}"
            if top in sys.modules or importlib.util.find_spec(top) is not None:
                if fromlist:
                    return importlib.__import__(f"{package}.{name}", globals, locals, fromlist, 0)
                importlib.import_module(f"{package}.{name}")
                return sys.modules[top]
        return builtins.__import__(name, globals, locals, fromlist or (), level)

    return own_import
