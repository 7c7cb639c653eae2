"""Vectors of people and films as files for other tools: .npy for each source, Parquet, and metadata.

A score of a source is the dot product of a person's vector with a film's. Film vectors are centred, as they are served.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from features.catalog import Catalog
from features.history import WatchHistory, history_tensors
from features.sources import TABLE
from training.ranking.scoring import ENCODER_OF

Float32 = npt.NDArray[np.float32]

Encode = Callable[[str, Mapping[str, npt.NDArray[np.generic]]], Sequence[npt.NDArray[Any]]]
"""(name of a user-side encoder, history tensors) → its outputs in order."""

PEOPLE_AT_ONCE = 4096

MEANING = {source.name: source.meaning for source in TABLE}


@dataclass(frozen=True, slots=True)
class Embeddings:
    """P people's and N films' vectors in every space that both have."""

    origin: dict[str, Any]
    """Provenance for the metadata: data, checkpoint or release."""
    catalog: Catalog
    user_ids: tuple[str, ...]
    """(P) the data's own ids."""
    events: npt.NDArray[np.int64]
    """(P) length of each history."""
    users: dict[str, Float32]
    """Source → (P, width)."""
    movies: dict[str, Float32]
    """Source → (N, width); zeros where a film has no such vector."""


def embed(
    origin: dict[str, Any], catalog: Catalog, item_vectors: Mapping[str, Float32],
    people: tuple[Sequence[str], Sequence[WatchHistory]], encode: Encode,
    on_people: Callable[[int], None] = lambda done: None,
) -> Embeddings:  # fmt: skip
    """Encode people, given as ids and histories; sources without a single film vector (no posters) are left out."""
    user_ids, histories = people
    sources = [source for source in ENCODER_OF if source in item_vectors and item_vectors[source].any()]
    users: dict[str, list[Float32]] = {source: [] for source in sources}
    for start in range(0, len(histories), PEOPLE_AT_ONCE):
        tensors = history_tensors(histories[start : start + PEOPLE_AT_ONCE])
        outputs = {name: encode(name, tensors) for name in {ENCODER_OF[source][0] for source in sources}}
        for source in sources:
            name, place = ENCODER_OF[source]
            users[source].append(np.asarray(outputs[name][place], dtype=np.float32))
        on_people(min(start + PEOPLE_AT_ONCE, len(histories)))
    return Embeddings(
        origin, catalog, tuple(user_ids), np.array([len(history.item_rows) for history in histories], dtype=np.int64),
        {source: np.concatenate(parts) for source, parts in users.items()},
        {source: item_vectors[source] for source in sources},
    )  # fmt: skip


def write_embeddings(embeddings: Embeddings, folder: Path) -> list[Path]:
    """Write `users_<source>.npy`, `movies_<source>.npy`, users.parquet, movies.parquet and embeddings.json.

    Rows of the arrays are those of the Parquet files: films by item_row, people in the data's order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, vectors, table in (
        ("users", embeddings.users, _people_table(embeddings)), ("movies", embeddings.movies, _films_table(embeddings))
    ):  # fmt: skip
        for source, array in vectors.items():
            written.append(folder / f"{name}_{source}.npy")
            np.save(written[-1], array, allow_pickle=False)
        arrays = [pl.Series(source, array, pl.Array(pl.Float32, array.shape[1])) for source, array in vectors.items()]
        written.append(folder / f"{name}.parquet")
        table.with_columns(arrays).write_parquet(written[-1])
    written.append(folder / "embeddings.json")
    written[-1].write_bytes(orjson.dumps(_metadata(embeddings), option=orjson.OPT_INDENT_2))
    return written


def _people_table(embeddings: Embeddings) -> pl.DataFrame:
    return pl.DataFrame({"user_id": embeddings.user_ids, "events": embeddings.events})


def _films_table(embeddings: Embeddings) -> pl.DataFrame:
    films = embeddings.catalog.films
    columns = {
        "item_row": np.arange(len(films), dtype=np.int32), "movie_id": embeddings.catalog.movie_ids,
        "title": [film.title for film in films], "year": [film.year for film in films],
        "genres": [list(film.genres) for film in films],
    }  # fmt: skip
    return pl.DataFrame(columns, schema_overrides={"genres": pl.List(pl.String), "year": pl.Int32})


def _metadata(embeddings: Embeddings) -> dict[str, Any]:
    return {
        **embeddings.origin,
        "people": len(embeddings.user_ids),
        "films": len(embeddings.catalog),
        "catalog_sha256": embeddings.catalog.sha256,
        "score": "dot product of a row of users_<source>.npy with a row of movies_<source>.npy",
        "sources": {
            source: {
                "width": vectors.shape[1],
                "meaning": MEANING[source],
                "films_with_vector": int(np.any(vectors, axis=1).sum()),
            }
            for source, vectors in embeddings.movies.items()
        },
    }
