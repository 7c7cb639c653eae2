"""The model `hybrid` of a tiny release: the films of its models one by one, and what only it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import numpy_helper

from export.errors import GraphRejected, ParityFailed, RankingChanged
from export.example_inputs import Tensors, history_batch
from export.graphs.hybrid import HYBRID_UP_TO, write_hybrid
from export.graphs.hybrid_parity import models_run, prove_hybrid, trial
from export.graphs.onnx_graphs import onnx_run
from export.graphs.parity import Run
from export.layout import HYBRID, read_config, version_folder
from export.release.build import released_models
from export.release.manifest import read_manifest
from features.sources import NEIGHBOUR_SOURCE, SOURCES
from tests.export.tiny_world import N_FILMS, TinyWorld

EVEN = np.full(len(SOURCES), 1 / len(SOURCES), dtype=np.float32)
NO_ROW = -1
FLOAT32 = 1e-5
"""Sums of some hundred products of size 1 in another order."""


@pytest.fixture(scope="module")
def hybrid(exported: Path) -> Run:
    return onnx_run(version_folder(exported, HYBRID, 1) / "model.onnx")


@pytest.fixture(scope="module")
def vectors(exported: Path) -> npt.NDArray[np.float32]:
    stored: npt.NDArray[np.float32] = np.load(version_folder(exported, "retrieval", 1) / "item_vectors.npy")
    return stored


def question(people: int = 2, **more: npt.NDArray[np.generic]) -> Tensors:
    return {
        **history_batch(N_FILMS, people, seed=1),
        "weights": np.tile(EVEN, (people, 1)),
        "top_k": np.full((people, 1), 5, dtype=np.int32),
        "explain": np.full((people, 1), True),
        "excluded_rows": np.full((people, 4), NO_ROW),
        "allowed": np.full((people, 1), True),
        **more,
    }


def test_a_release_says_how_near_hybrid_comes_to_its_models(exported: Path) -> None:
    facts = read_manifest(exported).releases[1].models[HYBRID]
    assert facts.optional
    assert facts.parity is not None
    assert facts.parity.batches == (1, 2, 7, 64)
    assert facts.parity.top_k_identical


def test_a_release_has_no_hybrid_with_an_approximate_index(world: TinyWorld) -> None:
    assert HYBRID in released_models(world.trained, "flat")
    assert set(released_models(world.trained, "flat")) - set(released_models(world.trained, "ivf")) == {HYBRID}


def test_a_large_catalogue_has_no_hybrid(world: TinyWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    assert HYBRID_UP_TO >= 10_000
    monkeypatch.setattr("export.release.build.HYBRID_UP_TO", N_FILMS - 1)
    assert HYBRID not in released_models(world.trained, "flat")


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_alone_ranks_as_its_model_does(
    exported: Path, hybrid: Run, vectors: npt.NDArray[np.float32], source: str
) -> None:
    alone = np.array([one == source for one in SOURCES], dtype=np.float32)
    batch = trial(N_FILMS, history_batch(N_FILMS, 7, seed=3), [alone])
    expected = models_run(lambda model: version_folder(exported, model, 1), vectors)(batch)

    given = hybrid(batch)

    np.testing.assert_allclose(given["query"], expected["query"], atol=FLOAT32)
    for person, (rows, scores) in enumerate(zip(given["rows"], given["scores"], strict=True)):
        found = rows != NO_ROW
        assert set(rows[found]) == set(np.flatnonzero(expected["returned"][person]))
        np.testing.assert_allclose(scores[found], expected["scores"][person, rows[found]], atol=FLOAT32)
        contributions = given["contributions"][person, found]
        np.testing.assert_allclose(contributions, expected["contributions"][person, rows[found]], atol=FLOAT32)


def test_ease_counts_by_its_best_candidates_alone(
    exported: Path, hybrid: Run, vectors: npt.NDArray[np.float32], tmp_path: Path
) -> None:
    ease = onnx.load(version_folder(exported, NEIGHBOUR_SOURCE, 1) / "model.onnx")
    (best,) = (node for node in ease.graph.node if node.op_type == "TopK")
    count = next(one for one in ease.graph.initializer if one.name == best.input[1])
    count.CopyFrom(numpy_helper.from_array(np.array([3]), count.name))
    (tmp_path / NEIGHBOUR_SOURCE).mkdir()
    onnx.save(ease, tmp_path / NEIGHBOUR_SOURCE / "model.onnx")

    def folder_of(model: str) -> Path:
        return tmp_path / model if model == NEIGHBOUR_SOURCE else version_folder(exported, model, 1)

    alone = np.array([one == NEIGHBOUR_SOURCE for one in SOURCES], dtype=np.float32)
    batch = trial(N_FILMS, history_batch(N_FILMS, 7, seed=3), [alone]) | {"allowed": np.full((7, 1), True)}
    batch["excluded_rows"][:] = NO_ROW
    write_hybrid(folder_of, vectors, read_config(exported, HYBRID), tmp_path / "hybrid.onnx")

    given = onnx_run(tmp_path / "hybrid.onnx")(batch)

    assert (given["scores"] > 0).sum(axis=1).max() == 3
    assert (hybrid(batch)["scores"] > 0).sum(axis=1).max() > 3  # of twenty candidates
    expected = models_run(folder_of, vectors)(batch)["scores"]
    scores = np.take_along_axis(expected, given["rows"], axis=1)
    np.testing.assert_allclose(given["scores"], scores, atol=FLOAT32)


def test_contributions_add_up_to_the_scores(hybrid: Run) -> None:
    given = hybrid(question())
    np.testing.assert_allclose(given["contributions"].sum(axis=2), given["scores"], atol=FLOAT32)


def test_nobody_who_does_not_ask_is_given_contributions(hybrid: Run) -> None:
    asked, not_asked = hybrid(question()), hybrid(question(explain=np.full((2, 1), False)))
    assert not_asked["contributions"].shape == (2, 0, len(SOURCES))
    for name in ("rows", "scores", "used", "query"):
        np.testing.assert_array_equal(not_asked[name], asked[name])


def test_one_who_asks_has_contributions_beside_others_who_do_not(hybrid: Run) -> None:
    given = hybrid(question(explain=np.array([[False], [True]])))
    assert given["contributions"].shape == (2, 5, len(SOURCES))


def test_excluded_films_and_those_not_allowed_never_come_back(hybrid: Run) -> None:
    first = hybrid(question())["rows"]
    excluded = np.full((2, 4), NO_ROW)
    excluded[0, 2] = first[0, 0]
    allowed = np.full((2, N_FILMS), True)
    allowed[1, first[1, 1]] = False

    rows = hybrid(question(excluded_rows=excluded, allowed=allowed))["rows"]

    assert rows[0, :4].tolist() == first[0, 1:].tolist()
    assert rows[1, :4].tolist() == first[1, [0, 2, 3, 4]].tolist()


def test_rows_outside_the_catalogue_exclude_nothing(hybrid: Run) -> None:
    outside = np.array([[NO_ROW, -7, N_FILMS, 10**12]] * 2)
    np.testing.assert_array_equal(hybrid(question(excluded_rows=outside))["rows"], hybrid(question())["rows"])


def test_everybody_gets_as_many_films_as_they_ask_for(hybrid: Run) -> None:
    given = hybrid(question(top_k=np.array([[2], [4]], dtype=np.int32)))
    alone = hybrid(question())["rows"]
    assert given["rows"].shape == (2, 4)
    assert given["rows"][0].tolist() == [*alone[0, :2], NO_ROW, NO_ROW]
    assert given["rows"][1].tolist() == alone[1, :4].tolist()
    assert (given["scores"][0, 2:] == -np.inf).all()
    assert not given["contributions"][0, 2:].any()


def test_a_catalogue_with_too_few_films_gives_those_it_has(hybrid: Run) -> None:
    allowed = np.full((2, N_FILMS), False)
    allowed[0, [3, 8]] = True
    rows = hybrid(question(allowed=allowed, top_k=np.full((2, 1), 10**6, dtype=np.int32)))["rows"]
    assert rows.shape == (2, N_FILMS)
    assert set(rows[0, :2]) == {3, 8}
    assert (rows[0, 2:] == NO_ROW).all()
    assert (rows[1] == NO_ROW).all()


@pytest.fixture
def damaged(exported: Path, vectors: npt.NDArray[np.float32], tmp_path: Path) -> Callable[[str, float], Run]:
    """`hybrid` of the release with one model whose largest table of numbers is filled with a value."""

    def make(model: str, value: float) -> Run:
        graph = onnx.load(version_folder(exported, model, 1) / "model.onnx")
        floats = [one for one in graph.graph.initializer if one.data_type == onnx.TensorProto.FLOAT]
        table = max(floats, key=lambda one: len(one.raw_data))
        table.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(table), value), table.name))
        (tmp_path / model).mkdir()
        onnx.save(graph, tmp_path / model / "model.onnx")

        def folder_of(name: str) -> Path:
            return tmp_path / name if name == model else version_folder(exported, name, 1)

        path = tmp_path / "hybrid.onnx"
        write_hybrid(folder_of, vectors, read_config(exported, HYBRID), path)
        return onnx_run(path)

    return make


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("model", ["sequence_encoder", NEIGHBOUR_SOURCE])
def test_a_source_that_is_not_finite_is_left_out_and_named(
    damaged: Callable[[str, float], Run], hybrid: Run, model: str, value: float
) -> None:
    source = {"sequence_encoder": "sequence"}.get(model, model)
    place = SOURCES.index(source)
    share = np.where(np.arange(len(SOURCES)) == place, 0, 1 / (len(SOURCES) - 1)).astype(np.float32)

    given = damaged(model, value)(question(people=1))

    assert given["used"][0].tolist() == [one != place for one in range(len(SOURCES))]
    without = hybrid(question(people=1, weights=share[None]))  # the others take over its weight
    np.testing.assert_array_equal(given["rows"], without["rows"])
    np.testing.assert_allclose(given["scores"], without["scores"], rtol=1e-5)


def test_a_hybrid_of_other_models_is_not_published(
    damaged: Callable[[str, float], Run], exported: Path, vectors: npt.NDArray[np.float32], tmp_path: Path
) -> None:
    damaged("fusion", 0.5)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "hybrid.onnx").rename(tmp_path / "damaged" / "model.onnx")

    def folder_of(name: str) -> Path:
        return tmp_path / "damaged" if name == HYBRID else version_folder(exported, name, 1)

    with pytest.raises((ParityFailed, RankingChanged), match="hybrid: "):
        prove_hybrid(folder_of, vectors, [EVEN], "fp32")


def test_graphs_that_do_not_fit_together_are_rejected(
    exported: Path, vectors: npt.NDArray[np.float32], tmp_path: Path
) -> None:
    with pytest.raises(GraphRejected, match="hybrid"):
        write_hybrid(
            lambda model: version_folder(exported, model, 1), vectors[:, :7], read_config(exported, HYBRID),
            tmp_path / "model.onnx",
        )  # fmt: skip
