"""Checks that a release is complete and unaltered; every problem names the part that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from export.layout import MODELS, OPTIONAL_MODELS, backend_of, read_config, version_folder
from export.release.manifest import read_manifest, release_of
from export.release.publish import stray_versions
from features.release_manifest import Difference, Manifest, ReleaseFacts, differences

EXPORTED_BACKENDS = ("onnxruntime", "pytorch")
"""Backends whose files come from a network, and so need a parity proof."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    part: str
    """`release`, a model, or model/file."""
    what: str

    def __str__(self) -> str:
        return f"{self.part}: {self.what}"


def validate(repository: Path, number: int | None = None) -> list[Problem]:
    """Every problem of a release (the current one when None); empty when it is whole.

    Raises: ManifestUnreadable, UnknownRelease.
    """
    manifest = read_manifest(repository)
    number, release = release_of(manifest, number)
    return [
        *_completeness_problems(release),
        *file_problems(repository, number, release),
        *_config_problems(repository, release),
        *_parity_problems(release),
        *_mixture_problems(repository, number, manifest),
        *_content_problems(repository, number, release),
    ]


def file_problems(repository: Path, number: int, release: ReleaseFacts) -> list[Problem]:
    """Missing version folders, and missing or altered files. Reads every byte."""
    return [_file_problem(repository, number, found) for found in differences(repository, number, release)]


def _file_problem(repository: Path, number: int, found: Difference) -> Problem:
    if found.file is not None:
        return Problem(f"{found.model}/{number}/{found.file}", found.what)
    others = sorted((path.name for path in (repository / found.model).glob("[1-9]*")), key=len)
    return Problem(found.model, f"version {number} is missing (it has: {', '.join(others) or 'none'})")


def _completeness_problems(release: ReleaseFacts) -> Iterator[Problem]:
    for model in MODELS:
        if model not in release.models and model not in OPTIONAL_MODELS:
            yield Problem(model, "is not part of the release")


def _config_problems(repository: Path, release: ReleaseFacts) -> Iterator[Problem]:
    from google.protobuf.text_format import ParseError

    for model, facts in release.models.items():
        try:
            config = read_config(repository, model)
        except FileNotFoundError:
            yield Problem(model, "has no config.pbtxt")
        except ParseError as error:
            yield Problem(f"{model}/config.pbtxt", f"cannot be parsed: {error}")
        else:
            if config.name != model:
                yield Problem(f"{model}/config.pbtxt", f"names the model {config.name!r}")
            if backend_of(config) != facts.backend:
                yield Problem(f"{model}/config.pbtxt", f"wants {backend_of(config)!r}, exported for {facts.backend!r}")


def _parity_problems(release: ReleaseFacts) -> Iterator[Problem]:
    for model, facts in release.models.items():
        parity = facts.parity
        if facts.backend not in EXPORTED_BACKENDS:
            continue
        if parity is None:
            yield Problem(model, "has no parity proof")
        elif not parity.top_k_identical and parity.min_ranking_overlap == 1:
            yield Problem(model, "ranks films differently from the network it was made from")
        elif not parity.ranking_overlap >= parity.min_ranking_overlap:
            wanted = f"{parity.min_ranking_overlap:.0%}"
            yield Problem(model, f"ranks {parity.ranking_overlap:.0%} of films as its network does, not {wanted}")
        elif not parity.largest_difference <= parity.tolerance:
            yield Problem(model, f"differs by {parity.largest_difference:.3g}, tolerance {parity.tolerance:.3g}")


def _mixture_problems(repository: Path, number: int, manifest: Manifest) -> Iterator[Problem]:
    """Triton serves the highest version of each model by itself: it must be the same one for all."""
    for folder, stray in stray_versions(repository, manifest):
        if stray > number:
            part = f"{folder.parent.name}/{stray}"
            yield Problem(part, f"belongs to no release, and Triton would mix it with release {number}; remove it")


def _content_problems(repository: Path, number: int, release: ReleaseFacts) -> Iterator[Problem]:
    """What checksums cannot show: that the parts of a release fit together."""
    import faiss

    from features.catalog import Catalog
    from features.sources import FUSED_WIDTH

    folder = version_folder(repository, "retrieval", number)
    catalog_path, index_path = folder / "catalog.json", folder / "items.index"
    if not (catalog_path.is_file() and index_path.is_file()):
        return  # named already by file_problems
    catalog = Catalog.load(catalog_path)
    if catalog.sha256 != release.catalog.sha256:
        yield Problem("retrieval/catalog.json", "is not the catalogue that release.json names")
    index = faiss.read_index(str(index_path))
    if (index.ntotal, index.d) != (len(catalog), FUSED_WIDTH):
        shape = f"{index.ntotal} vectors of width {index.d}"
        yield Problem("retrieval/items.index", f"has {shape}, the catalogue {len(catalog)} films of {FUSED_WIDTH}")
