"""What the models and the search are asked, on ones that record it: every wish of the request reaches them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from bento.inference.core.messages import InferRequest, InferResponse, Tensor
from bento.recommender.retrieval.candidates import Encoded, Models, RetrievalRequest, merged, nearest_added
from bento.recommender.retrieval.deadlines import Deadlines
from bento.recommender.retrieval.release_search import Ranked, ReleaseQuestion
from bento.recommender.schemas import Filters
from bento.release.film_table import AddedFilms
from features.history import WatchHistory
from features.sources import FUSED_WIDTH, SOURCE_WIDTHS, SOURCES, source_slices

HOUR_S = 3_600.0
ONE_FILM = WatchHistory(np.array([3]), np.array([4.0], np.float32), np.array([1_000]))
QUERY = np.arange(FUSED_WIDTH, dtype=np.float32)

OUTPUTS: dict[str, dict[str, Tensor]] = {
    "sequence_encoder": {"user_embedding": np.full((1, 64), 1, np.float32)},
    "user_tower": {"user_embedding": np.full((1, 64), 2, np.float32)},
    "ials_user": {"user_embedding": np.full((1, 64), 3, np.float32)},
    "content_profile": {
        "text_profile": np.full((1, 128), 4, np.float32),
        "poster_profile": np.full((1, 64), 5, np.float32),
    },
    "ease": {"candidate_rows": np.array([[8, -1]]), "candidate_scores": np.array([[6, 0]], np.float32)},
    "fusion": {"query": QUERY[np.newaxis], "ease_weight": np.array([[0.25]], np.float32)},
    "mlp_scorer": {"scores": np.array([[1, 3, 2]], np.float32)},
}


@dataclass
class Recorder:
    """An inference server that gives the outputs above, and a search that finds nothing."""

    asked: dict[str, InferRequest] = field(default_factory=dict)
    searched: list[ReleaseQuestion] = field(default_factory=list)
    found: Ranked = field(default_factory=lambda: ranked([], []))

    async def infer(self, request: InferRequest) -> InferResponse:
        self.asked[request.model_name] = request
        return InferResponse(request.model_name, request.model_version, request.id, OUTPUTS[request.model_name])

    async def search(self, question: ReleaseQuestion) -> Ranked:
        self.searched.append(question)
        return self.found


def ranked(rows: list[int], scores: list[float]) -> Ranked:
    """Every score comes from the first source."""
    contributions = np.zeros((len(rows), len(SOURCES)), np.float32)
    contributions[:, 0] = scores
    return Ranked(np.array(rows, np.int64), np.array(scores, np.float32), contributions)


def added(*scores: float) -> AddedFilms:
    """Films from row 10 on, whose product with `QUERY` is the score: all of it in the last column."""
    vectors = np.zeros((len(scores), FUSED_WIDTH), np.float32)
    vectors[:, -1] = np.array(scores) / QUERY[-1]
    return AddedFilms(10, vectors)


WEIGHTS = np.arange(1, len(SOURCES) + 1, dtype=np.float32)


def wanted(
    k: int = 3, excluded: tuple[int, ...] = (), allowed: tuple[int, ...] | None = None, **more: object
) -> RetrievalRequest:
    rows = None if allowed is None else np.array(allowed)
    return RetrievalRequest(WEIGHTS, k, np.array(excluded, np.int64), rows, **more)  # type: ignore[arg-type]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def models(recorder: Recorder) -> Models:
    return Models(recorder, 17, Deadlines(HOUR_S, HOUR_S, 4 * HOUR_S, {"ease": HOUR_S / 2}), recorder)


async def test_each_model_is_asked_in_the_releases_version_until_its_own_deadline(
    models: Models, recorder: Recorder
) -> None:
    encoded = await models.encode(ONE_FILM)
    await models.retrieve(encoded, wanted())
    await models.rerank(ONE_FILM, ranked([1, 2, 3], [3, 2, 1]), WEIGHTS)
    assert set(recorder.asked) == set(OUTPUTS)
    assert {request.model_version for request in recorder.asked.values()} == {"17"}
    deadlines = {name: request.deadline_ns for name, request in recorder.asked.items()}
    assert all(deadlines.values())
    sequence, ease = deadlines["sequence_encoder"], deadlines["ease"]
    assert sequence is not None
    assert ease is not None
    assert sequence - ease == HOUR_S / 2 * 1e9
    assert recorder.searched[0].deadline_ns == deadlines["fusion"]


async def test_nobody_has_longer_than_the_request(models: Models, recorder: Recorder) -> None:
    end_ns = models.request_end_ns() - int(3.5 * HOUR_S * 1e9)  # half an hour from now
    encoded = await models.encode(ONE_FILM, end_ns)
    await models.retrieve(encoded, wanted(), end_ns)
    await models.rerank(ONE_FILM, ranked([1, 2, 3], [3, 2, 1]), WEIGHTS, end_ns)
    late = [name for name, request in recorder.asked.items() if (request.deadline_ns or end_ns + 1) > end_ns]
    assert late == []
    assert recorder.searched[0].deadline_ns <= end_ns


async def test_each_output_is_the_embedding_of_its_own_source(models: Models, recorder: Recorder) -> None:
    encoded = await models.encode(ONE_FILM)
    values = {source: set(vectors.ravel().tolist()) for source, vectors in encoded.embeddings.items()}
    assert values == {"sequence": {1}, "two_tower": {2}, "ials": {3}, "text": {4}, "poster": {5}}
    assert encoded.neighbour_rows is not None
    assert encoded.neighbour_scores is not None
    assert (encoded.neighbour_rows.tolist(), encoded.neighbour_scores.tolist()) == ([8, -1], [6, 0])
    assert recorder.asked["ease"].inputs["history"][0, :2].tolist() == [4, 0]
    await models.retrieve(encoded, wanted())
    inputs = {name: set(tensor.ravel().tolist()) for name, tensor in recorder.asked["fusion"].inputs.items()}
    assert inputs == {
        "weights": set(WEIGHTS.tolist()),
        "sequence_embedding": {1},
        "two_tower_embedding": {2},
        "ials_embedding": {3},
        "text_profile": {4},
        "poster_profile": {5},
    }


async def test_a_missing_source_is_zeros_to_fusion_and_weighs_nothing(models: Models, recorder: Recorder) -> None:
    encoded = await models.encode(ONE_FILM)
    del encoded.embeddings["text"]
    encoded.missing.append("text")
    await models.retrieve(encoded, wanted())
    fused = recorder.asked["fusion"].inputs
    assert fused["text_profile"].tolist() == [[0] * SOURCE_WIDTHS["text"]]
    weights = fused["weights"][0]
    assert weights[SOURCES.index("text")] == 0
    assert weights.sum() == pytest.approx(WEIGHTS.sum())  # the others take its weight over


async def test_the_search_is_asked_for_all_that_the_request_wishes(models: Models, recorder: Recorder) -> None:
    filters = Filters(min_year=1990)
    encoded = Encoded(neighbour_rows=np.array([8, -1]), neighbour_scores=np.array([6, 0], np.float32))
    asked = wanted(k=7, excluded=(1, 10, 2), allowed=(3, 11, 4), filters=filters, added=added(5, 6))
    await models.retrieve(encoded, asked)
    (question,) = recorder.searched
    assert (question.k, question.filters, question.extra_weight) == (7, filters, 0.25)
    assert question.query.tolist() == QUERY.tolist()
    assert (question.extra_rows.tolist(), question.extra_scores.tolist()) == ([8, -1], [6, 0])
    assert question.excluded_rows.tolist() == [1, 2]  # rows from 10 on are not the release's
    assert question.allowed_rows is not None
    assert question.allowed_rows.tolist() == [3, 4]


async def test_without_neighbours_and_added_films_nothing_is_added(models: Models, recorder: Recorder) -> None:
    await models.retrieve(Encoded(), wanted(excluded=(1, 10), allowed=(11,)))
    (question,) = recorder.searched
    assert (question.extra_rows.tolist(), question.extra_scores.tolist()) == ([], [])
    assert question.excluded_rows.tolist() == [1, 10]
    assert question.allowed_rows is not None
    assert question.allowed_rows.tolist() == [11]


async def test_added_films_stand_among_those_of_the_release(models: Models, recorder: Recorder) -> None:
    recorder.found = ranked([4, 7], [5, 2])
    answered = await models.retrieve(Encoded(), wanted(k=3, excluded=(12,), added=added(3, 1, 9)))
    assert answered is not None
    assert (answered.rows.tolist(), answered.scores.tolist()) == ([4, 10, 7], pytest.approx([5, 3, 2]))


@pytest.mark.parametrize(
    ("excluded", "allowed", "k", "rows"),
    [
        ((), None, 9, [12, 10, 11]),
        ((), None, 2, [12, 10]),
        ((12,), None, 2, [10, 11]),  # exactly the best
        ((10, 11, 12), None, 2, []),
        ((), (10, 11, 3), 2, [10, 11]),
        ((10,), (10, 11), 2, [11]),
        ((), (3,), 2, []),
    ],
)
def test_the_best_added_films_that_may_be_shown(
    excluded: tuple[int, ...], allowed: tuple[int, ...] | None, k: int, rows: list[int]
) -> None:
    assert nearest_added(added(3, 1, 9), QUERY, wanted(k, excluded, allowed)).rows.tolist() == rows


def test_what_each_source_adds_to_an_added_film_is_its_columns_alone() -> None:
    films = AddedFilms(10, np.ones((1, FUSED_WIDTH), np.float32))
    found = nearest_added(films, QUERY, wanted())
    parts = [float(QUERY[columns].sum()) for columns in source_slices().values()]
    assert found.contributions[0].tolist() == pytest.approx([*parts, 0])  # the neighbours know nothing of it
    assert found.scores.tolist() == pytest.approx([sum(parts)])


def test_films_of_equal_score_stand_in_row_order_whichever_list_they_are_of() -> None:
    both = merged(ranked([9, 2], [4, 1]), ranked([12, 3], [4, 4]), 3)
    assert (both.rows.tolist(), both.contributions[:, 0].tolist()) == ([3, 9, 12], [4, 4, 4])
