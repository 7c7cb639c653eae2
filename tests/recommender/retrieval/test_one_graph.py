"""The model `hybrid` before the models one by one: the same answers from one inference, and theirs where it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bento.recommender.retrieval.deadlines import Deadlines
from bento.recommender.retrieval.one_graph import HybridQuestion, hybrid_answer
from features.history import WatchHistory
from features.sources import SOURCES
from tests.recommender.genre_world import N_FILMS, GenreModels
from tests.recommender.world import World

HORROR = '{"history": [202, 203], "top_k": 4, "explain": true}'

QUESTIONS = [
    "{}",
    HORROR,
    '{"user_id": "ann"}',
    '{"user_id": "ann", "explain": true, "top_k": 3}',
    '{"user_id": "everything"}',
    '{"history": [202], "exclude": [200, 201], "top_k": 20}',
    '{"history": [202, 400], "preset": "popular"}',
    '{"history": [202, 400], "weights": {"sequence": 1, "ease": 2}, "explain": true}',
    '{"history": [303], "scorer": "mlp", "explain": true}',
    '{"history": [303], "scorer": "mlp"}',
    '{"history": [303], "diversity": 0.5}',
]


def question(**changed: Any) -> HybridQuestion:
    history = WatchHistory(np.array([3]), np.array([4.0], np.float32), np.array([1_000]))
    asked = {
        "history": history,
        "weights": np.ones(len(SOURCES), np.float32),
        "k": 5,
        "explain": False,
        "excluded_rows": np.array([7, 99]),
        "allowed_rows": None,
    }
    return HybridQuestion(**(asked | changed))


def outputs(**changed: Any) -> dict[str, Any]:
    answered = {
        "rows": np.array([[4, 2, -1]]),
        "scores": np.array([[2.0, 1.0, -np.inf]], np.float32),
        "contributions": np.ones((1, 3, len(SOURCES)), np.float32),
        "used": np.ones((1, len(SOURCES)), bool),
        "query": np.array([[0.5, 1.5]], np.float32),
    }
    return answered | changed


def test_excluded_rows_are_padded_to_lengths_that_join() -> None:
    shapes = [
        question(excluded_rows=np.arange(count)).inputs(2_000)["excluded_rows"].shape for count in (0, 64, 65, 1_025)
    ]
    assert shapes == [(1, 64), (1, 64), (1, 256), (1, 4_096)]


def test_films_that_the_release_does_not_have_are_not_in_the_question() -> None:
    inputs = question(allowed_rows=np.array([1, 3, 99])).inputs(5)
    assert set(inputs["excluded_rows"][0]) == {-1}
    assert inputs["allowed"].tolist() == [[False, True, False, True, False]]


def test_without_a_filter_one_value_stands_for_all_films() -> None:
    inputs = question().inputs(10)
    assert inputs["allowed"].tolist() == [[True]]
    assert inputs["excluded_rows"][0, :3].tolist() == [7, -1, -1]


def test_places_without_a_film_are_cut_off() -> None:
    answer = hybrid_answer(outputs(), explain=True)
    assert answer.released.rows.tolist() == [4, 2]
    assert answer.released.scores.tolist() == [2, 1]
    assert answer.released.contributions.tolist() == [[1] * len(SOURCES)] * 2
    assert answer.missing == []


def test_contributions_that_others_in_the_batch_asked_for_are_not_taken() -> None:
    assert not hybrid_answer(outputs(), explain=False).released.contributions.any()


def test_sources_that_gave_no_finite_values_are_missing() -> None:
    used = np.array([[source not in ("ials", "ease") for source in SOURCES]])
    assert hybrid_answer(outputs(used=used), explain=False).missing == ["ials", "ease"]


@pytest.mark.parametrize("body", QUESTIONS)
async def test_one_inference_answers_as_the_models_one_by_one(make_world: Callable[..., World], body: str) -> None:
    at_once, one_by_one = make_world(hybrid=True), make_world(hybrid=False)

    given, expected = await at_once.ask(body), await one_by_one.ask(body)

    assert given.movie_ids == expected.movie_ids
    assert [film.get("reasons") for film in given.recommendations] == [
        film.get("reasons") for film in expected.recommendations
    ]
    assert [film["score"] for film in given.recommendations] == pytest.approx(
        [film["score"] for film in expected.recommendations], abs=1e-5
    )
    assert (given.strategy, given.scorer, given.degraded) == (expected.strategy, expected.scorer, expected.degraded)
    asked = set(at_once.models.calls)
    assert asked <= {"hybrid", "mlp_scorer"}


def test_a_filter_and_exclusions_hold_together() -> None:
    inputs = question(allowed_rows=np.array([0, 7, 8, 20]), excluded_rows=np.array([8])).inputs(N_FILMS)
    rows = GenreModels().compute("hybrid", inputs)["rows"][0]
    assert set(rows[rows >= 0]) == {0, 7, 20}


@pytest.mark.parametrize("how", ["failing", "hanging"])
async def test_the_models_one_by_one_answer_when_hybrid_does_not(make_world: Callable[..., World], how: str) -> None:
    world = make_world(hybrid=True, deadlines=Deadlines(0.2, 30, 60))
    getattr(world.models, how).add("hybrid")

    answered = await world.ask(HORROR)

    assert (answered.strategy, answered.degraded) == ("hybrid", [])  # nothing is missing
    assert answered.movie_ids == [200, 201, 204, 205]
    assert world.models.calls["retrieval"] == 1


async def test_a_source_that_is_not_finite_is_named(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(hybrid=True)
    compute = world.models.compute
    used = np.array([[source != "ials" for source in SOURCES]])
    monkeypatch.setattr(world.models, "compute", lambda *asked: compute(*asked) | {"used": used})

    answered = await world.ask(HORROR)

    assert (answered.strategy, answered.degraded) == ("hybrid", ["ials"])


async def test_without_a_source_that_weighs_the_models_one_by_one_are_asked(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(hybrid=True)
    compute = world.models.compute
    used = np.array([[source != "ials" for source in SOURCES]])
    monkeypatch.setattr(world.models, "compute", lambda *asked: compute(*asked) | {"used": used})

    answered = await world.ask('{"history": [202, 203], "top_k": 4, "weights": {"ials": 1}}')

    assert (answered.strategy, answered.degraded) == ("hybrid", [])
    assert world.models.calls["ials_user"] == 1
