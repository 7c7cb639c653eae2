"""Every kind of index against looking at all films: what it finds, and what filters let through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import faiss
import numpy as np
import numpy.typing as npt
import pytest

from export.errors import RecallTooLow
from export.index.faiss_index import ON_GPU, BuiltIndex, IndexKind, build_index, write_index
from export.index.recall import recall, tuned
from export.layout import version_folder
from export.python_models.film_index import BLAS_FROM, NO_ROW, FilmIndex
from export.release.build import PublishOptions, export_release
from export.release.manifest import read_manifest
from export.release.queries import release_queries
from export.release.validate import validate
from features.sources import FUSED_WIDTH
from tests.export.tiny_world import TinyWorld
from tests.export.triton_stand_in import LoadedModel, Logger

N_FILMS = 1_500
KINDS = get_args(IndexKind)
ROUNDING = 1e-3
"""Sums of 385 float32 products of size 1."""


@pytest.fixture(scope="module")
def vectors() -> npt.NDArray[np.float32]:
    """Films in sixty clusters, as catalogues are: without them every approximate index is lost."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((60, FUSED_WIDTH))
    return (centres[random.integers(0, 60, N_FILMS)] + 0.7 * random.standard_normal((N_FILMS, FUSED_WIDTH))).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def queries(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    random = np.random.default_rng(1)
    return (vectors[random.integers(0, N_FILMS, 50)] + random.standard_normal((50, FUSED_WIDTH))).astype(np.float32)


Building = Callable[[IndexKind], BuiltIndex]


@pytest.fixture(scope="module")
def build(vectors: npt.NDArray[np.float32]) -> Building:
    """Each kind is built once (seconds for a quantized one); everybody gets a copy to tune."""
    built: dict[IndexKind, BuiltIndex] = {}

    def copy(kind: IndexKind) -> BuiltIndex:
        if kind not in built:
            built[kind] = build_index(kind, vectors)
        return replace(built[kind], index=faiss.deserialize_index(faiss.serialize_index(built[kind].index)))

    return copy


@pytest.fixture(scope="module", params=KINDS)
def films(
    request: pytest.FixtureRequest,
    build: Building,
    vectors: npt.NDArray[np.float32],
    queries: npt.NDArray[np.float32],
) -> FilmIndex:
    built, facts = tuned(build(request.param), vectors, queries, 0.95)
    assert facts.recall["10"] >= 0.9
    assert facts.recall["100"] >= 0.95
    return FilmIndex(built.index, None if request.param == "flat" else vectors, built.oversampling)


def test_what_is_found_is_scored_by_the_true_vectors_best_first(
    films: FilmIndex, vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.float32]
) -> None:
    scores, rows = films.nearest(queries, 20)
    assert scores.shape == rows.shape == (50, 20)
    np.testing.assert_allclose(scores, np.take_along_axis(queries @ vectors.T, rows, axis=1), atol=ROUNDING)
    assert (np.diff(scores) <= ROUNDING).all()
    assert all(len(set(row)) == 20 for row in rows.tolist())


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.03, 0.3, 0.9])
def test_a_filter_lets_only_its_films_through_and_as_many_as_there_are(
    films: FilmIndex, vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.float32], share: float
) -> None:
    allowed = np.sort(np.random.default_rng(2).choice(N_FILMS, max(1, int(share * N_FILMS)), replace=False))
    found = 0.0
    for query in queries[:10]:
        scores, rows = films.nearest_among(allowed, query, 40)
        filled = rows != NO_ROW
        assert filled.sum() == min(40, len(allowed))
        assert np.isin(rows[filled], allowed).all()
        assert (scores[~filled] == -np.inf).all()
        np.testing.assert_allclose(scores[filled], vectors[rows[filled]] @ query, atol=ROUNDING)
        best = allowed[np.argsort(-(vectors[allowed] @ query))[:40]]
        found += len(np.intersect1d(best, rows)) / len(best)
    assert found / 10 >= (1 if films.is_exact or share <= 0.01 else 0.9)


@pytest.mark.parametrize("depth", [1, 900, N_FILMS])
def test_as_many_films_come_as_are_asked_for(films: FilmIndex, queries: npt.NDArray[np.float32], depth: int) -> None:
    _, rows = films.nearest(queries[:3], depth)
    assert (rows != NO_ROW).all()
    assert all(len(set(row)) == depth for row in rows.tolist())


@pytest.mark.parametrize("batch", [1, BLAS_FROM - 1, BLAS_FROM, 50])
def test_a_flat_index_multiplies_matrices_from_the_batch_size_where_it_pays(
    build: Building, queries: npt.NDArray[np.float32], batch: int
) -> None:
    films = FilmIndex(build("flat").index)
    configured = faiss.cvar.distance_compute_blas_threshold
    scores, _ = films.nearest(queries[:batch], 50)
    ways = {}
    try:
        for way, threshold in (("product", 0), ("scan", 2**31 - 1)):
            faiss.cvar.distance_compute_blas_threshold = threshold
            ways[way], _ = films.nearest(queries[:batch], 50)
    finally:
        faiss.cvar.distance_compute_blas_threshold = configured
    # Both add the same numbers in another order, and so round otherwise: the last bits tell which way was taken.
    assert not np.array_equal(ways["product"], ways["scan"])
    np.testing.assert_array_equal(scores, ways["product" if batch >= BLAS_FROM else "scan"])
    np.testing.assert_allclose(ways["product"], ways["scan"], atol=ROUNDING)


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_looks_as_widely_as_it_must(
    kind: IndexKind, build: Building, vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.float32]
) -> None:
    modest, _ = tuned(build(kind), vectors, queries, 0.3)
    low = recall(modest, vectors, queries, 100)
    strict, facts = tuned(build(kind), vectors, queries, 0.97)
    assert recall(strict, vectors, queries, 100) >= max(0.97, low)
    assert facts.queries == len(queries)
    assert faiss.deserialize_index(faiss.serialize_index(strict.index)).ntotal == N_FILMS


def test_an_index_that_cannot_reach_what_is_demanded_is_refused(
    build: Building,
    vectors: npt.NDArray[np.float32],
    queries: npt.NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("export.index.recall.recall", lambda *_: 0.5)
    with pytest.raises(RecallTooLow, match=r"the ivf index finds 50.0% of the 10 best films however widely it looks"):
        tuned(build("ivf"), vectors, queries, 0.95)


def test_how_widely_it_looks_is_kept_in_the_file(build: Building, tmp_path: Path) -> None:
    built = build("ivf")
    built.set_width(7)
    write_index(tmp_path, built)
    assert faiss.read_index(str(tmp_path / "items.index")).nprobe == 7


def test_equal_vectors_give_an_equal_index(build: Building, vectors: npt.NDArray[np.float32]) -> None:
    again = build_index("ivfpq", vectors)
    np.testing.assert_array_equal(faiss.serialize_index(build("ivfpq").index), faiss.serialize_index(again.index))


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_is_asked_with_the_queries_of_the_releases_people(exported: Path, kind: IndexKind) -> None:
    weights = read_manifest(exported).releases[1].fusion.weights
    stored = np.load(exported / "retrieval" / "1" / "item_vectors.npy")
    asked = release_queries(lambda model: version_folder(exported, model, 1), weights)
    assert asked.shape == (4, FUSED_WIDTH)  # the four people of the tiny world
    assert np.abs(asked).sum() > 0
    _, facts = tuned(build_index(kind, stored), stored, asked, 0.95)
    assert (facts.kind, facts.queries) == (kind, 4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "flat"])
def test_a_release_says_what_its_index_finds(world: TinyWorld, tmp_path: Path, kind: IndexKind) -> None:
    export_release(world.trained, world.dataset, tmp_path, PublishOptions(index=kind))
    assert validate(tmp_path) == []
    facts = read_manifest(tmp_path).releases[1].index
    assert facts.kind == kind
    assert facts.queries == 4
    assert facts.recall["100"] >= 0.95


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ON_GPU)
def test_the_gpu_finds_what_the_cpu_finds(
    vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.float32], kind: IndexKind
) -> None:
    if not hasattr(faiss, "StandardGpuResources") or not faiss.get_num_gpus():
        pytest.skip("needs faiss-gpu and a CUDA device")
    built, _ = tuned(build_index(kind, vectors), vectors, queries, 0.95)
    resources: Any = faiss.StandardGpuResources()
    true = None if kind == "flat" else vectors
    on_gpu = FilmIndex(built.index, true, built.oversampling, faiss.index_cpu_to_gpu(resources, 0, built.index))
    on_cpu = FilmIndex(built.index, true, built.oversampling)
    for depth in (1, 10, 100):
        gpu_scores, gpu_rows = on_gpu.nearest(queries, depth)
        cpu_scores, cpu_rows = on_cpu.nearest(queries, depth)
        np.testing.assert_allclose(gpu_scores, cpu_scores, rtol=1e-3)
        assert (gpu_rows == cpu_rows).mean() > 0.99  # films of nearly equal score may change places


def test_an_index_that_faiss_cannot_copy_to_the_gpu_serves_from_the_cpu(
    exported: Path, pb_utils: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(resources: object, gpu: int, index: Any) -> Any:
        raise RuntimeError("Invalid GPU device 0")

    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", refuse, raising=False)
    monkeypatch.setattr(Logger, "warnings", [])
    retrieval = LoadedModel(exported / "retrieval" / "1", "retrieval", kind="GPU").model
    assert retrieval.search.index.gpu_index is None
    assert Logger.warnings == ["the index stays on the CPU, faiss cannot copy it to GPU 0: Invalid GPU device 0"]
