"""All options of a training, in one frozen tree whose hash names the checkpoint, and their JSON file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec
import orjson
import torch

from training.content.encode import ContentOptions, text_encoder_hash
from training.data.errors import DataError
from training.data.splits import Protocol
from training.models.content_profile import ContentProfileConfig
from training.models.ease import EaseConfig
from training.models.ials import IalsConfig
from training.models.mlp_scorer import MlpScorerConfig
from training.models.popularity import PopularityConfig
from training.models.sequence import SequenceConfig
from training.models.two_tower import TwoTowerConfig

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """One training. Equal options on equal data give the same release."""

    hold_out: Protocol | None = None
    """Events held out from all training, so that the served release can be scored on them."""
    seed: int = 0
    device: str = "auto"
    """"auto", "cuda", "mps" or "cpu"; not part of the hash."""
    evaluated_people: int = 1000
    """At most this many validation people, sampled at random, choose epochs and fusion weights."""
    tested_people: int = 5000
    """At most this many people, sampled at random, are scored on the events held out."""
    content: ContentOptions = field(default_factory=ContentOptions)
    popularity: PopularityConfig = field(default_factory=PopularityConfig)
    ease: EaseConfig = field(default_factory=EaseConfig)
    ials: IalsConfig = field(default_factory=IalsConfig)
    content_profile: ContentProfileConfig = field(default_factory=ContentProfileConfig)
    sequence: SequenceConfig = field(default_factory=SequenceConfig)
    two_tower: TwoTowerConfig = field(default_factory=TwoTowerConfig)
    mlp_scorer: MlpScorerConfig = field(default_factory=MlpScorerConfig)

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that change with every option that changes the result.

        A text encoder enters by its content, not by its path.
        """
        values = {name: value for name, value in asdict(self).items() if name != "device"}
        if folder := self.content.text_encoder_folder:
            values["content"]["text_encoder_folder"] = text_encoder_hash(folder)
        return hashlib.sha256(orjson.dumps(values, default=str, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


def pick_device(name: str) -> torch.device:
    """The device of a name; "auto" takes CUDA, else Apple's GPU, else the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


class OptionsError(DataError):
    """A file of options cannot be used."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


def read_options(path: Path, base: T) -> T:
    """`base` with the values of a file such as {"sequence": {"dropout": 0.1}}.

    Raises: OptionsError (no such file, not JSON, a name or a type that is not an option's).
    """
    try:
        given = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError as error:
        raise OptionsError(str(path), "there is no such file") from error
    except msgspec.DecodeError as error:
        raise OptionsError(str(path), f"not JSON: {error}") from error
    return overridden(base, given, "options")


def overridden(base: T, given: object, where: str) -> T:
    """A tree of frozen dataclasses with some leaves replaced. Raises: OptionsError."""
    assert is_dataclass(base)
    if not isinstance(given, Mapping):
        raise OptionsError(where, f"expected names and values in braces, not {given!r}")
    known = [field.name for field in fields(base)]
    if unknown := [name for name in given if name not in known]:
        raise OptionsError(where, f"no option is called {', '.join(unknown)}; there are {', '.join(known)}")
    hints = get_type_hints(type(base))
    return replace(base, **{name: _value(base, name, given[name], hints, where) for name in given})  # type: ignore[type-var]


def _value(base: object, name: str, given: object, hints: Mapping[str, Any], where: str) -> object:
    current = getattr(base, name)
    if is_dataclass(current):
        return overridden(current, given, f"{where}.{name}")
    try:
        return msgspec.convert(given, hints[name], dec_hook=_folder)
    except (msgspec.ValidationError, TypeError) as error:
        raise OptionsError(f"{where}.{name}", f"{given!r} cannot be used: {error}") from error


def _folder(kind: type, given: Any) -> Path:
    """Paths, the one type of option that JSON lacks. Raises: ValueError, of which msgspec makes its own error."""
    assert kind is Path
    if not Path(given).is_dir():
        raise ValueError("there is no such folder")
    return Path(given)
