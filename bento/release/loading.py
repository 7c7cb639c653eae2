"""The release that is served: what its manifest promises, checked against what lies on disk.

    ReleaseError
    ├── NoRelease        the repository holds no release yet, or not the one asked for
    ├── ReleaseDamaged   a file is missing, cut short or altered
    └── ReleaseMixed     a part belongs to another release

A release is one number common to all models of the repository, listed in `release.json` at its root.
Reading models is the inference server's business; this module only proves that they belong together,
and loads what the recommender itself needs: catalogue, popularity, fusion weights, known people.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bento.release.film_table import FilmTable, Live
from bento.release.people import ReleasePeople
from features.catalog import Catalog
from features.release_manifest import (
    MANIFEST,
    FusionFacts,
    Manifest,
    ManifestError,
    ModelFacts,
    ReleaseFacts,
    differences,
)
from features.scorers import DOT, SCORER_MODELS
from features.sources import FUSED_WIDTH, SOURCES

RETRIEVAL = "retrieval"
"""The model whose version folder also carries the catalogue and the item data."""

NO_FILES = "it is optional, and this release holds no files of it"
NO_TORCH = "TorchScript needs torch, which is not installed; marquee's extra `torch` brings it"


class ReleaseError(Exception):
    """The release cannot be served; the service does not start."""


class NoRelease(ReleaseError):
    """There is nothing to serve."""

    def __init__(self, repository: Path, what: str) -> None:
        super().__init__(
            f"{repository}: {what}. `make serve` trains and exports one; `python -m export list` lists them"
        )


class ReleaseDamaged(ReleaseError):
    """A part is not what was exported."""

    def __init__(self, release: int | str, part: str, why: str) -> None:
        super().__init__(f"release {release} is damaged: {part}: {why}. Export it again, or serve another release")


class ReleaseMixed(ReleaseError):
    """A part comes from another release."""

    def __init__(self, release: int, part: str, why: str) -> None:
        super().__init__(f"release {release} is mixed: {part}: {why}. Export it again, or serve another release")


@dataclass(eq=False)
class Release:
    """A release that was checked, with what the recommender needs of it in memory.

    Only `films` ever changes: see `film_table`. Whatever is computed from it is kept in a `Live`.
    """

    number: int
    repository: Path
    entry: ReleaseFacts
    people: ReleasePeople
    films: FilmTable
    """The films as they are now: the release's, and those added since."""
    lives: list[Live[Any]] = field(default_factory=list)
    """What is computed from the films."""

    def identity(self) -> str:
        """Of this release among all there ever were: numbers repeat from repository to repository."""
        return hashlib.blake2b(msgspec.json.encode(self.entry), digest_size=6).hexdigest()

    @property
    def catalog(self) -> Catalog:
        """The films by row."""
        return self.films.catalog

    @property
    def popularity(self) -> npt.NDArray[np.float32]:
        """(N,) grows with popularity."""
        return self.films.popularity

    @property
    def version(self) -> str:
        """Release and revision of the catalogue: answers of another version are other answers."""
        return f"{self.number}.{self.films.revision}"

    @property
    def folder(self) -> Path:
        """Where the catalogue and the item data lie."""
        return self.repository / RETRIEVAL / str(self.number)

    def servable_models(self) -> tuple[str, ...]:
        """The release's models that can run here: optional ones only where they and their runtime are."""
        left_out = self.models_left_out()
        return tuple(name for name in self.entry.models if name not in left_out)

    def models_left_out(self) -> dict[str, str]:
        """The release's optional models that cannot run here, each with the reason."""
        reasons = {name: self._why_not(name, model) for name, model in self.entry.models.items() if model.optional}
        return {name: reason for name, reason in reasons.items() if reason is not None}

    def _why_not(self, name: str, model: ModelFacts) -> str | None:
        if not (self.repository / name / str(self.number)).is_dir():
            return NO_FILES
        if model.backend == "pytorch" and importlib.util.find_spec("torch") is None:
            return NO_TORCH
        return None

    @cached_property
    def scorers(self) -> tuple[str, ...]:
        """What can order candidates."""
        return scorers_of(self.entry)

    @property
    def scorer(self) -> str:
        """The release's own choice among them."""
        return self.entry.scorer if self.entry.scorer in self.scorers else DOT

    @cached_property
    def weights(self) -> npt.NDArray[np.float32]:
        """(S,) the release's own fusion weights, in the order of `features.sources.SOURCES`."""
        return weight_vector(self.entry.fusion.weights)

    @cached_property
    def presets(self) -> dict[str, npt.NDArray[np.float32]]:
        """(S,) weights of each named preset."""
        return {name: weight_vector(weights) for name, weights in self.entry.fusion.presets.items()}


def scorers_of(release: ReleaseFacts) -> tuple[str, ...]:
    """What can order candidates: the blend always, the re-ranker where the release has one."""
    return tuple(name for name, model in SCORER_MODELS.items() if name == DOT or model in release.models)


def weight_vector(weights: Mapping[str, float]) -> npt.NDArray[np.float32]:
    """(S,) weights in the order of `SOURCES`; sources that are not named weigh 0."""
    return np.array([weights.get(source, 0.0) for source in SOURCES], dtype=np.float32)


def read_manifest(repository: Path) -> Manifest:
    """Read `release.json`.

    Raises: NoRelease when there is none, ReleaseDamaged when it cannot be read.
    """
    try:
        return Manifest.decode((repository / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise NoRelease(repository, f"no {MANIFEST}") from None
    except ManifestError as error:
        raise ReleaseDamaged("?", MANIFEST, str(error)) from error


def check_release(repository: Path, number: int | None = None) -> tuple[int, ReleaseFacts]:
    """Prove that every part of a release is there and unaltered; `number` None means the current one.

    Checks every file's size and sha256.
    Raises: NoRelease, ReleaseDamaged, ReleaseMixed.
    """
    manifest = read_manifest(repository)
    chosen = manifest.current if number is None else number
    if chosen is None:
        raise NoRelease(repository, f"{MANIFEST} lists no release")
    entry = manifest.releases.get(chosen)
    if entry is None:
        listed = ", ".join(map(str, manifest.releases)) or "none"
        raise NoRelease(repository, f"release {chosen} is not in {MANIFEST} (it lists {listed})")
    _check_fusion(chosen, entry.fusion)
    if RETRIEVAL not in entry.models:
        raise ReleaseDamaged(chosen, RETRIEVAL, "the model is not listed")
    for found in differences(repository, chosen, entry):
        if found.file is not None:
            raise ReleaseDamaged(chosen, f"{found.model}/{chosen}/{found.file}", found.what)
        if not entry.models[found.model].optional:
            raise ReleaseMixed(chosen, found.model, found.what)
    return chosen, entry


def load_release(repository: Path, number: int | None = None) -> Release:
    """Check a release and load what the recommender needs of it.

    Raises: NoRelease, ReleaseDamaged, ReleaseMixed.
    """
    chosen, entry = check_release(repository, number)
    folder = repository / RETRIEVAL / str(chosen)
    catalog = Catalog.load(folder / "catalog.json")
    if catalog.sha256 != entry.catalog.sha256 or len(catalog) != entry.catalog.films:
        raise ReleaseMixed(chosen, "catalog.json", f"hash {catalog.sha256[:12]}, not {entry.catalog.sha256[:12]}")
    popularity = np.load(folder / "popularity.npy")
    if popularity.shape != (len(catalog),):
        raise ReleaseMixed(chosen, "popularity.npy", f"shape {popularity.shape} for {len(catalog)} films")
    item_vectors = np.load(folder / "item_vectors.npy", mmap_mode="r")
    if item_vectors.shape != (len(catalog), FUSED_WIDTH):
        raise ReleaseMixed(chosen, "item_vectors.npy", f"shape {item_vectors.shape} for {len(catalog)} films")
    histories = f"{RETRIEVAL}/{chosen}/{ReleasePeople.FILE}"
    if ReleasePeople.FILE in entry.models[RETRIEVAL].files:
        people = ReleasePeople.load(folder / ReleasePeople.FILE)
        if people.highest_row >= len(catalog):
            raise ReleaseMixed(chosen, histories, f"row {people.highest_row} for {len(catalog)} films")
    else:
        people = ReleasePeople.empty()
    raw_text = None
    if "text_vectors.npy" in entry.models[RETRIEVAL].files:
        raw_text = np.load(folder / "text_vectors.npy", mmap_mode="r")
    films = FilmTable(catalog, popularity.astype(np.float32), item_vectors, raw_text, len(catalog))
    return Release(chosen, repository, entry, people, films)


def _check_fusion(number: int, fusion: FusionFacts) -> None:
    if tuple(fusion.sources) != SOURCES:
        raise ReleaseMixed(number, "fusion", f"sources {fusion.sources}, not {list(SOURCES)}")
    for name, weights in {"weights": fusion.weights, **fusion.presets}.items():
        if unknown := set(weights) - set(SOURCES):
            raise ReleaseDamaged(number, f"fusion {name}", f"unknown sources {sorted(unknown)}")
