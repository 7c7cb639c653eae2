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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from bento.release.film_table import FilmTable, Live
from bento.release.people import ReleasePeople
from features.catalog import Catalog
from features.scorers import DOT, SCORER_MODELS
from features.sources import FUSED_WIDTH, SOURCES

MANIFEST = "release.json"
FORMAT = 1
"""The only layout of `release.json` that this code reads."""

RETRIEVAL = "retrieval"
"""The model whose version folder also carries the catalogue and the item data."""


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


class FileEntry(msgspec.Struct, frozen=True):
    """What a file must be."""

    sha256: str
    bytes: int


class ModelEntry(msgspec.Struct, frozen=True):
    """One model of a release; `files` are relative to `<model>/<release>/`."""

    backend: str
    files: dict[str, FileEntry]
    optional: bool = False
    parity: Any = None


class DataEntry(msgspec.Struct, frozen=True):
    """What the release was trained on."""

    name: str
    fingerprint: str
    simulated: bool
    people: int
    films: int
    events: int


class CatalogEntry(msgspec.Struct, frozen=True):
    """Identity of the catalogue."""

    sha256: str
    films: int


class FusionEntry(msgspec.Struct, frozen=True):
    """How the sources are weighed."""

    sources: list[str]
    weights: dict[str, float]
    presets: dict[str, dict[str, float]] = msgspec.field(default_factory=dict)


class ReleaseEntry(msgspec.Struct, frozen=True):
    """One release in the manifest."""

    created_at: str
    data: DataEntry
    catalog: CatalogEntry
    models: dict[str, ModelEntry]
    fusion: FusionEntry
    metrics: Any = None
    scorer: Literal["dot", "mlp"] = "dot"
    coverage: dict[str, float] = msgspec.field(default_factory=dict)
    poster_weights: str = ""

    @property
    def scorers(self) -> tuple[str, ...]:
        """What can order candidates: the blend always, the re-ranker where the release has one."""
        return tuple(name for name, model in SCORER_MODELS.items() if name == DOT or model in self.models)


class Manifest(msgspec.Struct, frozen=True):
    """`release.json`."""

    format: int
    current: int | None
    releases: dict[str, ReleaseEntry]


@dataclass(eq=False)
class Release:
    """A release that was checked, with what the recommender needs of it in memory.

    Only `films` ever changes: see `film_table`. Whatever is computed from it is kept in a `Live`.
    """

    number: int
    repository: Path
    entry: ReleaseEntry
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
        models = self.entry.models
        return tuple(name for name, model in models.items() if not model.optional or self._can_run(name, model))

    def _can_run(self, name: str, model: ModelEntry) -> bool:
        runtime_is_there = model.backend != "pytorch" or importlib.util.find_spec("torch") is not None
        return runtime_is_there and (self.repository / name / str(self.number)).is_dir()

    @cached_property
    def scorers(self) -> tuple[str, ...]:
        """What can order candidates."""
        return self.entry.scorers

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


def weight_vector(weights: Mapping[str, float]) -> npt.NDArray[np.float32]:
    """(S,) weights in the order of `SOURCES`; sources that are not named weigh 0."""
    return np.array([weights.get(source, 0.0) for source in SOURCES], dtype=np.float32)


def read_manifest(repository: Path) -> Manifest:
    """Read `release.json`.

    Raises: NoRelease when there is none, ReleaseDamaged when it cannot be read.
    """
    path = repository / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise NoRelease(repository, f"no {MANIFEST}") from None
    except msgspec.MsgspecError as error:
        raise ReleaseDamaged("?", MANIFEST, str(error)) from error
    if manifest.format != FORMAT:
        raise ReleaseDamaged("?", MANIFEST, f"format {manifest.format}, this version of Marquee reads {FORMAT}")
    return manifest


def check_release(repository: Path, number: int | None = None) -> tuple[int, ReleaseEntry]:
    """Prove that every part of a release is there and unaltered; `number` None means the current one.

    Checks every file's size and sha256 (about 0.3 s for 200 MB).
    Raises: NoRelease, ReleaseDamaged, ReleaseMixed.
    """
    manifest = read_manifest(repository)
    chosen = manifest.current if number is None else number
    if chosen is None:
        raise NoRelease(repository, f"{MANIFEST} lists no release")
    entry = manifest.releases.get(str(chosen))
    if entry is None:
        listed = ", ".join(manifest.releases) or "none"
        raise NoRelease(repository, f"release {chosen} is not in {MANIFEST} (it lists {listed})")
    _check_fusion(chosen, entry.fusion)
    files = list(_files(repository, chosen, entry))
    with ThreadPoolExecutor(max_workers=4) as pool:  # hashlib lets go of the interpreter lock
        for problem in pool.map(lambda item: _difference(*item), files):
            if problem is not None:
                raise ReleaseDamaged(chosen, *problem)
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


def _check_fusion(number: int, fusion: FusionEntry) -> None:
    if tuple(fusion.sources) != SOURCES:
        raise ReleaseMixed(number, "fusion", f"sources {fusion.sources}, not {list(SOURCES)}")
    for name, weights in {"weights": fusion.weights, **fusion.presets}.items():
        if unknown := set(weights) - set(SOURCES):
            raise ReleaseDamaged(number, f"fusion {name}", f"unknown sources {sorted(unknown)}")


def _files(repository: Path, number: int, entry: ReleaseEntry) -> list[tuple[str, Path, FileEntry]]:
    """Every file of the release: its name in messages, its path, what it must be.

    A model without files (an ensemble) needs no folder.
    """
    if RETRIEVAL not in entry.models:
        raise ReleaseDamaged(number, RETRIEVAL, "the model is not listed")
    files = []
    for name, model in entry.models.items():
        folder = repository / name / str(number)
        if model.files and not folder.is_dir():
            if model.optional:
                continue
            raise ReleaseMixed(number, name, f"the model has no version {number}")
        files += [(f"{name}/{number}/{path}", folder / path, file) for path, file in model.files.items()]
    return files


def _difference(part: str, path: Path, expected: FileEntry) -> tuple[str, str] | None:
    """(part, what is wrong with it), or None when the file is as exported."""
    try:
        size = path.stat().st_size
        if size != expected.bytes:
            return part, f"{size} bytes, not {expected.bytes}"
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return part, error.strerror or str(error)
    return None if digest == expected.sha256 else (part, f"sha256 {digest[:12]}, not {expected.sha256[:12]}")
