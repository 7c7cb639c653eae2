"""Training options from a JSON file: what it names replaces the default, and changes the hash as any option does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from training.data_errors import DataError

T = TypeVar("T")


class OptionsError(DataError):
    """A file of options cannot be used."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


def read_options(path: Path, base: T) -> T:
    """`base` with what a file such as {"sequence": {"dropout": 0.1}} says instead.

    Raises: OptionsError (no such file, not JSON, a name or a type that is not an option's).
    """
    try:
        said = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError as error:
        raise OptionsError(str(path), "there is no such file") from error
    except msgspec.DecodeError as error:
        raise OptionsError(str(path), f"not JSON: {error}") from error
    return overridden(base, said, "options")


def overridden(base: T, said: object, where: str) -> T:
    """A tree of frozen dataclasses with some leaves replaced. Raises: OptionsError."""
    assert is_dataclass(base)
    if not isinstance(said, Mapping):
        raise OptionsError(where, f"expected names and values in braces, not {said!r}")
    known = [field.name for field in fields(base)]
    if unknown := [name for name in said if name not in known]:
        raise OptionsError(where, f"no option is called {', '.join(unknown)}; there are {', '.join(known)}")
    hints = get_type_hints(type(base))
    return replace(base, **{name: _value(base, name, said[name], hints, where) for name in said})  # type: ignore[type-var]


def _value(base: object, name: str, said: object, hints: Mapping[str, Any], where: str) -> object:
    current = getattr(base, name)
    if is_dataclass(current):
        return overridden(current, said, f"{where}.{name}")
    try:
        return msgspec.convert(said, hints[name], dec_hook=_folder)
    except (msgspec.ValidationError, TypeError) as error:
        raise OptionsError(f"{where}.{name}", f"{said!r} cannot be used: {error}") from error


def _folder(kind: type, said: Any) -> Path:
    """The one type of options that JSON has not. Raises: ValueError, of which msgspec makes its own error."""
    assert kind is Path
    if not Path(said).is_dir():
        raise ValueError("there is no such folder")
    return Path(said)
