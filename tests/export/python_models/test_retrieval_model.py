"""The retrieval model against brute force."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, get_args

import faiss
import numpy as np
import numpy.typing as npt
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.index.faiss_index import IndexKind, build_index
from features.sources import FUSED_WIDTH, SOURCES, source_slices

ROOT = Path(__file__).resolve().parents[3]
N_FILMS = 40
SUMMATION = 1e-3
"""Scores are sums of 385 float32 products of size 1: their last bits depend on the order of summation."""

Row = dict[str, Any]


@pytest.fixture(scope="module")
def vectors() -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((N_FILMS, FUSED_WIDTH)).astype(np.float32)


BESIDE = [
    ROOT / "export" / "python_models" / "fused_search.py",
    ROOT / "export" / "python_models" / "film_index.py",
    ROOT / "features" / "sources.py",
]
KINDS = get_args(IndexKind)


def laid_out(kind: IndexKind, vectors: npt.NDArray[np.float32], load_python_model: Callable[..., Any]) -> Any:
    """The model as export writes it, with an index that looks everywhere it can."""
    built = build_index(kind, vectors)
    built.set_width(built.widest)
    stored = BytesIO()
    np.save(stored, vectors)
    files = {
        "items.index": faiss.serialize_index(built.index).tobytes(),
        "index.json": orjson.dumps(built.settings()),
        "item_vectors.npy": stored.getvalue(),
    }
    return load_python_model("retrieval", BESIDE, files)


@pytest.fixture(scope="module", params=KINDS)
def retrieval(
    request: pytest.FixtureRequest, vectors: npt.NDArray[np.float32], load_python_model: Callable[..., Any]
) -> Any:
    """In a world of 40 films no kind has a reason to lose one."""
    return laid_out(request.param, vectors, load_python_model)


def brute_force(vectors: npt.NDArray[np.float32], row: Row) -> tuple[list[int], npt.NDArray[np.float64]]:
    """Films of one person, best first, and the total score of every film; -inf where it may not be returned."""
    scores = vectors.astype(np.float64) @ row["query"]
    for extra, score in zip(row["extra_rows"], row["extra_scores"], strict=True):
        if extra >= 0:
            scores[extra] += row["extra_weight"] * score
    if row.get("allowed_rows") is not None:
        shut_out = np.setdiff1d(np.arange(len(vectors)), row["allowed_rows"])
        scores[shut_out] = -np.inf
    scores[[excluded for excluded in row.get("excluded_rows", []) if excluded >= 0]] = -np.inf
    order = [int(i) for i in np.argsort(-scores, kind="stable") if scores[i] > -np.inf]
    return order[: row["top_k"]], scores


def request(rows: list[Row]) -> dict[str, npt.NDArray[Any]]:
    """A request of several people; lists are padded with -1."""

    def padded(name: str, dtype: Any, fill: float) -> npt.NDArray[Any]:
        longest = max(len(row[name]) for row in rows)
        return np.array([[*row[name], *[fill] * (longest - len(row[name]))] for row in rows], dtype=dtype)

    tensors = {
        "query": np.array([row["query"] for row in rows], dtype=np.float32),
        "extra_rows": padded("extra_rows", np.int64, -1).reshape(len(rows), -1),
        "extra_scores": padded("extra_scores", np.float32, 0).reshape(len(rows), -1),
        "extra_weight": np.array([[row["extra_weight"]] for row in rows], dtype=np.float32),
        "top_k": np.array([[row["top_k"]] for row in rows], dtype=np.int32),
    }
    for name in ("allowed_rows", "excluded_rows"):
        if name in rows[0]:
            tensors[name] = padded(name, np.int64, -1).reshape(len(rows), -1)
    return tensors


def person(seed: int = 1, **changes: Any) -> Row:
    query = np.random.default_rng(seed).standard_normal(FUSED_WIDTH).astype(np.float32)
    return {"query": query, "extra_rows": [], "extra_scores": [], "extra_weight": 1.0, "top_k": 5, **changes}


def assert_is_top_k(
    vectors: npt.NDArray[np.float32], row: Row, answer: dict[str, npt.NDArray[Any]], place: int
) -> None:
    """The answer's films are the best ones (films of equal score may stand for one another), scored and explained."""
    best, total = brute_force(vectors, row)
    rows, scores = answer["rows"][place], answer["scores"][place]
    filled = rows >= 0
    assert filled.sum() == len(best)
    assert filled[: len(best)].all()
    assert len(set(rows[filled])) == len(best)
    np.testing.assert_allclose(total[rows[filled]], total[best], atol=SUMMATION)
    np.testing.assert_allclose(scores[filled], total[best], atol=SUMMATION)
    assert (scores[~filled] == -np.inf).all()
    assert (answer["contributions"][place][~filled] == 0).all()
    assert (np.diff(scores[filled]) <= 0).all()
    parts = answer["contributions"][place][filled]
    np.testing.assert_allclose(parts.sum(axis=1), scores[filled], atol=SUMMATION)
    for source, columns in source_slices().items():
        expected = vectors[rows[filled]][:, columns] @ row["query"][columns]
        np.testing.assert_allclose(parts[:, SOURCES.index(source)], expected, atol=SUMMATION)


rows_of_films = st.lists(st.integers(-1, N_FILMS - 1), max_size=12)


@st.composite
def people(draw: st.DrawFn) -> list[Row]:
    optional = {name: draw(st.booleans()) for name in ("allowed_rows", "excluded_rows")}
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        extra_rows = draw(rows_of_films)
        scores = st.lists(st.floats(-60, 60, width=32), min_size=len(extra_rows), max_size=len(extra_rows))
        row = person(draw(st.integers(0, 9)), extra_rows=extra_rows, extra_scores=draw(scores))
        row["extra_weight"] = draw(st.sampled_from([-1.0, 0.0, 0.5, 2.0]))
        row["top_k"] = draw(st.integers(1, N_FILMS + 5))
        row |= {name: draw(rows_of_films) for name, wanted in optional.items() if wanted}
        rows.append(row)
    return rows


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=st.lists(people(), min_size=1, max_size=3))
def test_answers_are_the_exact_top_k(
    requests: list[list[Row]], retrieval: Any, vectors: npt.NDArray[np.float32]
) -> None:
    answers = retrieval.infer(*[request(rows) for rows in requests])
    for rows, answer in zip(requests, answers, strict=True):
        width = min(max(row["top_k"] for row in rows), N_FILMS)
        assert answer["rows"].shape == answer["scores"].shape == (len(rows), width)
        assert answer["contributions"].shape == (len(rows), width, len(SOURCES))
        for place, row in enumerate(rows):
            assert_is_top_k(vectors, row, answer, place)


def test_a_person_alone_gets_what_they_get_in_a_batch(retrieval: Any) -> None:
    rows = [person(seed, extra_rows=[seed], extra_scores=[9.0]) for seed in range(30)]
    together = retrieval.infer(request(rows))[0]
    for place, row in enumerate(rows):
        alone = retrieval.infer(request([row]))[0]
        for name, tensor in alone.items():
            np.testing.assert_array_equal(tensor[0], together[name][place])


def test_an_extra_score_lifts_a_film_from_the_bottom(retrieval: Any, vectors: npt.NDArray[np.float32]) -> None:
    worst = int(np.argmin(vectors @ person()["query"]))
    answer = retrieval.infer(request([person(extra_rows=[worst], extra_scores=[1000.0], top_k=1)]))[0]
    assert answer["rows"].tolist() == [[worst]]
    assert answer["contributions"][0, 0, SOURCES.index("ease")] == 1000


def test_a_negative_weight_pushes_the_best_films_away(retrieval: Any, vectors: npt.NDArray[np.float32]) -> None:
    best_first = np.argsort(-(vectors @ person()["query"]))
    row = person(extra_rows=best_first[:10].tolist(), extra_scores=[100.0] * 10, extra_weight=-1.0, top_k=3)
    assert retrieval.infer(request([row]))[0]["rows"].tolist() == [best_first[10:13].tolist()]


def test_a_filter_without_films_returns_none(retrieval: Any) -> None:
    answer = retrieval.infer(request([person(allowed_rows=[-1], top_k=2)]))[0]
    assert answer["rows"].tolist() == [[-1, -1]]
    assert answer["scores"].tolist() == [[-np.inf, -np.inf]]


def test_films_of_equal_score_come_in_catalogue_order(load_python_model: Callable[..., Any]) -> None:
    model = laid_out("flat", np.ones((9, FUSED_WIDTH), dtype=np.float32), load_python_model)
    assert model.infer(request([person(top_k=9)]))[0]["rows"].tolist() == [list(range(9))]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"top_k": 0}, "top_k holds 0: at least 1"),
        ({"extra_rows": [N_FILMS], "extra_scores": [1.0]}, "extra_rows holds 40: rows are 0 to 39, and -1 is padding"),
        ({"extra_rows": [-2], "extra_scores": [1.0]}, "extra_rows holds -2: rows are 0 to 39"),
        ({"allowed_rows": [77]}, "allowed_rows holds 77"),
        ({"excluded_rows": [77]}, "excluded_rows holds 77"),
        ({"query": np.full(FUSED_WIDTH, np.nan)}, "query holds NaN or an infinity"),
        ({"extra_rows": [1], "extra_scores": [np.inf]}, "extra_scores holds NaN or an infinity"),
    ],
)
def test_a_bad_request_fails_alone(retrieval: Any, pb_utils: Any, changes: Row, message: str) -> None:
    good, bad = request([person()]), request([person(**changes)])
    before, error, after = retrieval.infer(good, bad, good)
    assert message in error.message()
    assert error.code() == pb_utils.TritonError.INVALID_ARG
    np.testing.assert_array_equal(before["rows"], after["rows"])


def test_extra_rows_and_scores_must_match(retrieval: Any) -> None:
    tensors = request([person(extra_rows=[1, 2], extra_scores=[1.0, 1.0])])
    tensors["extra_scores"] = tensors["extra_scores"][:, :1]
    (error,) = retrieval.infer(tensors)
    assert "extra_rows and extra_scores must have one shape" in error.message()
