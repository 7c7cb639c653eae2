"""`release.json`: which releases a model repository holds, what is known of each, and what its files must be.

Export writes it, last of all; the service and export's commands read it. Fields that came after the first releases have
defaults, and unknown ones are skipped, so that older and newer releases are read. Within one `FORMAT` a field never
changes its meaning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from features.scorers import DOT, Scorer

MANIFEST = "release.json"
"""At the root of the repository."""

FORMAT = 1
"""Raised when older readers would misunderstand the file."""


class ManifestError(ValueError):
    """The content is no release.json, or one of another format."""


class DataFacts(msgspec.Struct, frozen=True):
    """What a release was trained on."""

    name: str
    fingerprint: str
    """sha256 of the content."""
    simulated: bool
    people: int
    films: int
    events: int
    hold_out: str | None = None
    """What was kept away from training so that the release can be scored on it; None = nothing."""


class CatalogFacts(msgspec.Struct, frozen=True):
    """The films that a release counts rows of."""

    sha256: str
    films: int


class FileFacts(msgspec.Struct, frozen=True):
    """What a file must be, byte for byte."""

    sha256: str
    bytes: int

    @classmethod
    def of(cls, path: Path) -> FileFacts:
        """Of the file as it is, read in blocks. Raises: OSError."""
        with path.open("rb") as file:
            return cls(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


class Parity(msgspec.Struct, frozen=True):
    """How an exported file compares with the network that it was made from."""

    batches: tuple[int, ...]
    """Batch sizes tried; each holds an empty history where the model reads histories."""
    largest_difference: float
    """Largest absolute difference of any output value."""
    tolerance: float
    top_k_identical: bool
    """Same first ten films in the same order; films of nearly equal score may stand for each other."""
    precision: str = "fp32"
    """Of the exported file: fp32, fp16 or int8."""
    ranking_overlap: float = 1.0
    """Share of the first ten films in common, the mean over all rows tried."""
    min_ranking_overlap: float = 1.0
    """What was demanded."""


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One model of a release."""

    backend: str
    optional: bool = False
    files: dict[str, FileFacts]
    """By name inside the version folder."""
    parity: Parity | None = None
    """None for models that were not exported from a network."""


class FusionFacts(msgspec.Struct, frozen=True):
    """How the sources are weighted."""

    sources: tuple[str, ...]
    weights: dict[str, float]
    presets: dict[str, dict[str, float]] = {}


class IndexFacts(msgspec.Struct, frozen=True):
    """The retrieval index, and how much of the exact answer it finds."""

    kind: str = "flat"
    """flat, ivf, hnsw or ivfpq."""
    recall: dict[str, float] = {}
    """By k: share of the k best films by the exact search that it finds, the mean over queries; empty = exact."""
    queries: int = 0
    """People of the release that were asked for."""
    width: int = 0
    """Lists (ivf, ivfpq) or candidates (hnsw) that it looks at."""
    oversampling: int = 1
    """How many times as many films as wanted it takes before they are scored with the true vectors."""


class Recipe(msgspec.Struct, frozen=True):
    """What a release was made with: one like it is not made again. Empty where a release does not say."""

    training: str = ""
    """Hash of the training options."""
    export: str = ""
    """Hash of what export itself puts into a release."""


class ReleaseFacts(msgspec.Struct, frozen=True):
    """One version number, common to all its models."""

    created_at: str
    """UTC, ISO 8601."""
    data: DataFacts
    catalog: CatalogFacts
    models: dict[str, ModelFacts]
    fusion: FusionFacts
    metrics: dict[str, Any] = {}
    """Offline metrics as training measured them."""
    coverage: dict[str, float] = {}
    """Share of the catalogue, 0..1, that has each kind of content."""
    poster_weights: str = ""
    """Where the image encoder's weights come from, in words."""
    recipe: Recipe = Recipe()
    new_films: dict[str, float] = {}
    """Share of the variance of each learnt source's film vectors, 0..1, that content explains of films left out: how
    well a film that is added while serving is placed."""
    index: IndexFacts = IndexFacts()
    scorer: Scorer = DOT
    """What orders the best candidates where a request says nothing."""


class Manifest(msgspec.Struct, frozen=True):
    """All releases of a repository."""

    format: int
    current: int | None
    """The release that servers start with; None in a repository without releases."""
    releases: dict[int, ReleaseFacts]

    @classmethod
    def empty(cls) -> Manifest:
        """Of a repository that holds no release yet."""
        return cls(FORMAT, None, {})

    @classmethod
    def decode(cls, content: bytes) -> Manifest:
        """From the bytes of a release.json. Raises: ManifestError."""
        try:
            manifest = msgspec.json.decode(content, type=cls)
        except msgspec.MsgspecError as error:
            raise ManifestError(str(error)) from error
        if manifest.format != FORMAT:
            raise ManifestError(f"format {manifest.format}, this version of Marquee reads {FORMAT}")
        return manifest

    def encode(self) -> bytes:
        """To the bytes of a release.json."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    def with_current(self, number: int, releases: Mapping[int, ReleaseFacts]) -> Manifest:
        """The manifest that holds these releases, one of them current."""
        return Manifest(self.format, number, dict(releases))


@dataclass(frozen=True, slots=True)
class Difference:
    """A part of a release that is not what its release.json says."""

    model: str
    file: str | None
    """Inside the version folder; None: the whole folder is missing."""
    what: str
    """In words."""


def differences(repository: Path, number: int, release: ReleaseFacts) -> list[Difference]:
    """Missing version folders, then missing or altered files. Reads every byte (200 MB take about 0.3 s).

    A model without files (an ensemble) needs no folder.
    """
    folders = {model: repository / model / str(number) for model, facts in release.models.items() if facts.files}
    missing = [model for model, folder in folders.items() if not folder.is_dir()]
    files = [
        (model, name, folder / name, expected)
        for model, folder in folders.items()
        if model not in missing
        for name, expected in release.models[model].files.items()
    ]
    with ThreadPoolExecutor() as pool:  # hashlib lets go of the interpreter lock
        compared = list(pool.map(lambda file: _compared(*file[2:]), files))
    return [
        *(Difference(model, None, f"has no version {number}") for model in missing),
        *(Difference(model, name, what) for (model, name, *_), what in zip(files, compared, strict=True) if what),
    ]


def _compared(path: Path, expected: FileFacts) -> str | None:
    try:
        size = path.stat().st_size
        if size != expected.bytes:
            return f"has {size} bytes instead of {expected.bytes}"
        sha256 = FileFacts.of(path).sha256
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return (
        None if sha256 == expected.sha256 else f"was altered: its sha256 is {sha256[:12]}…, not {expected.sha256[:12]}…"
    )
