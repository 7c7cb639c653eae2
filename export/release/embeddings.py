"""The vectors of a release as files for anyone's tools, made from what is served: ONNX encoders and the index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from export.graphs.onnx_graphs import onnx_run
from export.graphs.parity import Run
from export.layout import version_folder
from export.release.histories import read_histories
from export.release.manifest import read_manifest, release_of
from features.catalog import Catalog
from features.sources import source_slices
from training.ranking.embeddings import Embeddings, embed

ROWS_AT_ONCE = 256


def release_embeddings(
    repository: Path, number: int | None = None, on_people: Callable[[int, int], None] = lambda done, total: None
) -> Embeddings:
    """Everybody's vectors in a release, by the ids of the data; the current release when None.

    on_people: told how many people are encoded, of how many.
    Raises: UnknownRelease, ManifestUnreadable; FileNotFoundError when a file of the release is missing.
    """
    number, release = release_of(read_manifest(repository), number)
    retrieval = version_folder(repository, "retrieval", number)
    fused = np.load(retrieval / "item_vectors.npy")
    user_ids, histories = read_histories(retrieval / "histories.npz")
    runs: dict[str, Run] = {}

    def encode(name: str, tensors: Mapping[str, npt.NDArray[np.generic]]) -> list[npt.NDArray[Any]]:
        run = runs.setdefault(name, onnx_run(version_folder(repository, name, number) / "model.onnx"))
        parts = [
            run({key: column[start : start + ROWS_AT_ONCE] for key, column in tensors.items()})
            for start in range(0, len(tensors["history"]), ROWS_AT_ONCE)
        ]
        return [np.concatenate([part[key] for part in parts]) for key in parts[0]]

    return embed(
        {"release": number, "data": msgspec.to_builtins(release.data), "created_at": release.created_at},
        Catalog.load(retrieval / "catalog.json"),
        {source: fused[:, columns] for source, columns in source_slices().items()},
        (user_ids, histories),
        encode,
        lambda done: on_people(done, len(user_ids)),
    )
