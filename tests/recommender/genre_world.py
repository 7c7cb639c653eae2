"""A world whose answers are known by hand: four genres, six films each, models computed with NumPy.

Film j of genre g has movie_id 100 * (g + 1) + j and is the more popular the smaller j is; genre 0 is a little
more popular than genre 1, and so on. Every source says the same: somebody's embedding is the mean of their
films' genres. So who watched films of one genre gets the rest of that genre first, most popular first;
by the re-ranker, least popular first.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from bento.inference.core.errors import BackendFailed
from bento.inference.core.messages import InferRequest, InferResponse
from features.catalog import GENRES as CATALOGUE_GENRES
from features.catalog import Catalog, Film
from features.history import PADDING_TOKEN
from features.sources import (
    FUSED_WIDTH,
    FUSION_INPUTS,
    NEIGHBOUR_WEIGHT,
    SOURCE_WIDTHS,
    SOURCES,
    encoders,
    source_slices,
)

GENRES = ("Comedy", "Horror", "Sci-Fi", "War")
FILMS_PER_GENRE = 6
N_FILMS = len(GENRES) * FILMS_PER_GENRE

WEIGHTS = dict.fromkeys(SOURCES, 1.0) | {"popularity": 0.1}
POPULARITY = np.array([100 - 10 * j - g for g in range(len(GENRES)) for j in range(FILMS_PER_GENRE)], dtype=np.float32)


def movie_id(genre: int, j: int) -> int:
    return 100 * (genre + 1) + j


def films_of(genre: int) -> list[int]:
    """movie_ids of a genre, most popular first."""
    return [movie_id(genre, j) for j in range(FILMS_PER_GENRE)]


def catalog() -> Catalog:
    return Catalog(
        Film(movie_id(g, j), f"{genre} {j}", year=1990 + j, genres=(genre,))
        for g, genre in enumerate(GENRES)
        for j in range(FILMS_PER_GENRE)
    )


def item_vectors() -> np.ndarray:
    """(N, D) one-hot genre in the first columns of every source, centred; popularity scaled to its own column."""
    vectors = np.zeros((N_FILMS, FUSED_WIDTH), dtype=np.float32)
    for row in range(N_FILMS):
        for source, columns in source_slices().items():
            if source == "popularity":
                vectors[row, columns] = POPULARITY[row] / 100
            else:
                vectors[row, columns.start + row // FILMS_PER_GENRE] = 1
    return vectors - vectors.mean(axis=0)


class GenreModels:
    """Stands where the inference server stands, and can be told to fail or to hang, model by model."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.requests: list[InferRequest] = []
        self.failing: set[str] = set()
        self.hanging: set[str] = set()
        self.cancelled: set[str] = set()
        self.behind: dict[str, str] = {}
        """Model -> the hanging one after whose cancellation it answers."""
        self._given_up: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._vectors = item_vectors()

    @property
    def searches(self) -> int:
        """How often films were searched, by either way."""
        return self.calls["retrieval"] + self.calls["hybrid"]

    async def infer(self, request: InferRequest) -> InferResponse:
        self.calls[request.model_name] += 1
        self.requests.append(request)
        parts = HYBRID_PARTS if request.model_name == "hybrid" else {request.model_name}
        if self.failing & {request.model_name, *parts}:
            raise BackendFailed(f"{request.model_name} was told to fail")
        if self.hanging & {request.model_name, *parts}:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.add(request.model_name)
                self._given_up[request.model_name].set()
                raise
        if request.model_name in self.behind:
            await self._given_up[self.behind[request.model_name]].wait()
        await asyncio.sleep(0)
        outputs = self.compute(request.model_name, request.inputs)
        return InferResponse(request.model_name, request.model_version, request.id, outputs)

    def compute(self, model: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """The outputs of one model."""
        if model in encoders():
            return {name: self._taste(inputs, SOURCE_WIDTHS[source]) for name, source in encoders()[model].items()}
        outputs: dict[str, Any] = getattr(self, f"_{model}")(inputs)
        return outputs

    def _taste(self, inputs: dict[str, Any], width: int) -> np.ndarray:
        tokens = inputs["history"][0]
        rows = tokens[tokens != PADDING_TOKEN] - 1
        taste = np.zeros((1, width), dtype=np.float32)
        np.add.at(taste[0], rows // FILMS_PER_GENRE, 1 / max(len(rows), 1))
        return taste

    def _ease(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The two most popular films of every genre watched, and one empty place."""
        taste = self._taste(inputs, len(GENRES))[0]
        rows = [g * FILMS_PER_GENRE + j for g in range(len(GENRES)) if taste[g] for j in range(2)]
        scores = [taste[row // FILMS_PER_GENRE] - 0.1 * (row % FILMS_PER_GENRE) for row in rows]
        return {
            "candidate_rows": np.array([[*rows, -1]], dtype=np.int64),
            "candidate_scores": np.array([[*scores, 0]], dtype=np.float32),
        }

    def _text_embedding(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """One-hot of the genre that the text names; nothing for any other text."""
        text = inputs["TEXT"][0, 0].decode()
        embedding = np.zeros((1, 384), dtype=np.float32)
        embedding[0, : len(GENRES)] = [genre in text for genre in GENRES]
        return {"embedding": embedding}

    def _new_film_tower(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """What a film of these genres has in every source but popularity."""
        columns = [CATALOGUE_GENRES.index(genre) for genre in GENRES]
        vector = np.zeros((1, FUSED_WIDTH), dtype=np.float32)
        for source, slices in source_slices().items():
            if source != "popularity":
                vector[0, slices.start : slices.start + len(GENRES)] = inputs["genres"][0, columns] - 1 / len(GENRES)
        return {"item_vector": vector}

    def _mlp_scorer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Half a point more for every more popular film of the same genre: within a genre the order turns round."""
        less_popular = inputs["candidate_rows"] % FILMS_PER_GENRE
        return {"scores": (inputs["contributions"].sum(axis=2) + less_popular / 2).astype(np.float32)}

    def _fusion(self, inputs: dict[str, Any]) -> dict[str, Any]:
        weights = inputs["weights"][0]
        vectors = [inputs[FUSION_INPUTS[source]] if source in FUSION_INPUTS else 1 for source in SOURCE_WIDTHS]
        parts = [np.atleast_2d(weight * vector) for weight, vector in zip(weights[:-1], vectors, strict=True)]
        query = np.concatenate(parts, axis=1).astype(np.float32)
        return {"query": query, NEIGHBOUR_WEIGHT: np.full((1, 1), weights[-1], dtype=np.float32)}

    def _hybrid(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The others in turn, as `model_repository/hybrid/config.pbtxt` has it."""
        vectors = {"weights": inputs["weights"]}
        for model, outputs in encoders().items():
            given = self.compute(model, inputs)
            vectors |= {FUSION_INPUTS[source]: given[output] for output, source in outputs.items()}
        fused, ease = self.compute("fusion", vectors), self.compute("ease", inputs)
        allowed = np.broadcast_to(inputs["allowed"], (1, N_FILMS))
        excluded = inputs["excluded_rows"]
        found = self.compute("retrieval", {
            "query": fused["query"],
            "extra_rows": ease["candidate_rows"],
            "extra_scores": ease["candidate_scores"],
            "extra_weight": fused[NEIGHBOUR_WEIGHT],
            "top_k": inputs["top_k"],
            "excluded_rows": excluded[excluded >= 0][np.newaxis],
            "allowed_rows": np.flatnonzero(allowed)[np.newaxis],
        })  # fmt: skip
        if not inputs["explain"].any():
            found["contributions"] = found["contributions"][:, :0]
        return {**found, "query": fused["query"], "used": np.ones((1, len(SOURCES)), dtype=bool)}

    def _retrieval(self, inputs: dict[str, Any]) -> dict[str, Any]:
        query, k = inputs["query"][0], int(inputs["top_k"][0, 0])
        contributions = np.zeros((N_FILMS, len(SOURCES)), dtype=np.float32)
        for s, columns in enumerate(source_slices().values()):
            contributions[:, s] = self._vectors[:, columns] @ query[columns]
        for row, score in zip(inputs["extra_rows"][0], inputs["extra_scores"][0], strict=True):
            if row >= 0:
                contributions[row, -1] = inputs["extra_weight"][0, 0] * score
        scores = contributions.sum(axis=1)
        scores[inputs["excluded_rows"][0]] = -np.inf
        if "allowed_rows" in inputs:
            scores[np.setdiff1d(np.arange(N_FILMS), inputs["allowed_rows"][0])] = -np.inf
        best = np.argsort(-scores, kind="stable")[: min(k, int(np.isfinite(scores).sum()))]
        padding = k - len(best)
        return {
            "rows": np.concatenate([best, np.full(padding, -1)])[np.newaxis].astype(np.int64),
            "scores": np.concatenate([scores[best], np.full(padding, -np.inf)])[np.newaxis].astype(np.float32),
            "contributions": np.concatenate([contributions[best], np.zeros((padding, len(SOURCES)))])[np.newaxis],
        }


HYBRID_PARTS = {*encoders(), "ease", "fusion", "retrieval"}
"""A graph that holds a model fails and hangs with it."""

ENCODERS = (*encoders(), "ease", "fusion", "text_embedding", "new_film_tower", "mlp_scorer")

PEOPLE = {
    "ann": [movie_id(0, 3), movie_id(0, 4)],
    "7": [movie_id(3, 5)],
    "everything": [movie_id(g, j) for g in range(len(GENRES)) for j in range(FILMS_PER_GENRE)],
}
"""Who the release knows, with what they watched."""


def write_release(
    repository: Path, number: int = 1, people: dict[str, list[int]] | None = PEOPLE, onnx_files: bool = True
) -> None:
    """Write the world as a release that is whole: files, checksums, manifest.

    `people` None ships no histories. The models' ONNX files are none; without `onnx_files` the version folders that
    are there already are taken as they are.
    """
    films = catalog()
    folder = repository / "retrieval" / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    films.save(folder / "catalog.json")
    np.save(folder / "popularity.npy", POPULARITY)
    np.save(folder / "item_vectors.npy", item_vectors())
    if people is not None:
        rows = [films.row_of(film) for history in people.values() for film in history]
        np.savez(
            folder / "histories.npz",
            user_ids=np.array(list(people)),
            offsets=np.cumsum([0, *map(len, people.values())]),
            item_rows=np.array(rows, dtype=np.int32),
            ratings=np.full(len(rows), 4.0, dtype=np.float32),
            timestamps_s=np.arange(1, len(rows) + 1, dtype=np.int64) * 86_400,
        )
    for model in ENCODERS * onnx_files:
        (repository / model / str(number)).mkdir(parents=True)
        (repository / model / str(number) / "model.onnx").write_bytes(f"{model} of release {number}".encode())
    models = {
        path.parent.parent.name: {"backend": "onnxruntime", "files": {}}
        for path in sorted(repository.glob(f"*/{number}/*"))
    }
    for path in sorted(repository.glob(f"*/{number}/*")):
        content = path.read_bytes()
        models[path.parent.parent.name]["files"][path.name] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
        }
    models["user_tower_torchscript"] = {
        "backend": "pytorch",
        "optional": True,
        "files": {"model.pt": {"sha256": "0" * 64, "bytes": 1}},
    }
    manifest_path = repository / "release.json"
    manifest = json.loads(manifest_path.read_text()) if manifest_path.exists() else {"format": 1, "releases": {}}
    manifest["current"] = number
    manifest["releases"][str(number)] = {
        "created_at": "2026-01-01T00:00:00Z",
        "data": {
            "name": "genre-world",
            "fingerprint": "f" * 64,
            "simulated": True,
            "people": len(people or {}),
            "films": N_FILMS,
            "events": 0,
        },
        "catalog": {"sha256": films.sha256, "films": N_FILMS},
        "models": models,
        "fusion": {
            "sources": list(SOURCES),
            "weights": WEIGHTS,
            "presets": {"popular": {source: float(source == "popularity") for source in SOURCES}},
        },
        "metrics": {},
        "coverage": {"text": 1.0, "poster": 1.0},
        "poster_weights": "none",
    }
    manifest_path.write_text(json.dumps(manifest))
