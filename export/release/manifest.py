"""`release.json`: which releases a model repository holds, and what is known about each.

It is the only file that a release needs beyond Triton's own layout, and it is written last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from export.durable_files import write_atomically
from export.errors import ManifestUnreadable, UnknownRelease

FORMAT = 1
"""Raised when older readers would misunderstand the file."""


@dataclass(frozen=True, slots=True)
class DataFacts:
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


@dataclass(frozen=True, slots=True)
class CatalogFacts:
    """The films that a release counts rows of."""

    sha256: str
    films: int


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file must be, byte for byte."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Parity:
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


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One model of a release."""

    backend: str
    optional: bool
    files: dict[str, FileFacts]
    """By name inside the version folder."""
    parity: Parity | None = None
    """None for models that were not exported from a network."""


@dataclass(frozen=True, slots=True)
class FusionFacts:
    """How the sources are weighted."""

    sources: tuple[str, ...]
    weights: dict[str, float]
    presets: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """The retrieval index, and how much of the exact answer it finds."""

    kind: str = "flat"
    """flat, ivf, hnsw or ivfpq; see `export.index.faiss_index`."""
    recall: dict[str, float] = field(default_factory=dict)
    """By k: share of the k best films by the exact search that it finds, the mean over queries; empty = exact."""
    queries: int = 0
    """People of the release that were asked for."""
    width: int = 0
    """Lists (ivf, ivfpq) or candidates (hnsw) that it looks at."""
    oversampling: int = 1
    """How many times as many films as wanted it takes before they are scored with the true vectors."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a release was made with: one like it is not made again."""

    training: str
    """Hash of the training options."""
    export: str
    """Hash of what export itself puts into a release."""


@dataclass(frozen=True, slots=True)
class Release:
    """One version number, common to all its models."""

    created_at: str
    """UTC, ISO 8601."""
    data: DataFacts
    catalog: CatalogFacts
    models: dict[str, ModelFacts]
    fusion: FusionFacts
    metrics: dict[str, Any]
    """Offline metrics as training measured them."""
    coverage: dict[str, float]
    """Share of the catalogue, 0..1, that has each kind of content."""
    poster_weights: str
    """Where the image encoder's weights come from, in words."""
    recipe: Recipe
    new_films: dict[str, float] = field(default_factory=dict)
    """Share of the variance of each learnt source's film vectors, 0..1, that content explains of films left out: how
    well a film that is added while serving is placed."""
    index: IndexFacts = field(default_factory=IndexFacts)
    scorer: str = "dot"
    """What orders the best candidates where a request says nothing: dot or mlp, see
    `training.ranking.reranker_training`."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """All releases of a repository."""

    format: int = FORMAT
    current: int | None = None
    """The release that servers start with; None in a repository without releases."""
    releases: dict[int, Release] = field(default_factory=dict)

    def release(self, number: int | None = None) -> tuple[int, Release]:
        """A release and its number; the current one when None.

        Raises: UnknownRelease.
        """
        wanted = self.current if number is None else number
        if wanted is None or wanted not in self.releases:
            raise UnknownRelease(wanted, self.releases)
        return wanted, self.releases[wanted]

    def with_current(self, number: int, releases: Mapping[int, Release]) -> Manifest:
        """The manifest that holds these releases, one of them current."""
        return replace(self, current=number, releases=dict(releases))


def manifest_path(repository: Path) -> Path:
    """Where the manifest of a repository is."""
    return repository / "release.json"


def read_manifest(repository: Path) -> Manifest:
    """The repository's manifest; an empty one when there is no release.json.

    Raises: ManifestUnreadable (not such a JSON file, or of another format).
    """
    path = manifest_path(repository)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Manifest()
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise ManifestUnreadable(path, error) from error
    if manifest.format != FORMAT:
        raise ManifestUnreadable(path, f"format {manifest.format}, not {FORMAT}")
    return manifest


def write_manifest(repository: Path, manifest: Manifest) -> None:
    """Replace the repository's release.json in one step."""
    encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    write_atomically(manifest_path(repository), encoded + b"\n")
