"""The re-ranker in the recommender: what it orders, what is said of it, and what happens without it.

In the genre world the blend puts the most popular films of a genre first, the re-ranker the least popular ones.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest

from bento.http.application import Application
from bento.http.errors import InvalidRequest
from bento.http.request_ids import RequestIds
from bento.http.routing import Router
from bento.recommender.catalogue.film_search import FilmSearch
from bento.recommender.experiments import Arm, Experiment, ExperimentsError, read_experiments
from bento.recommender.over_http.lists.filtered_routes import FilteredRoutes, live_filter
from bento.recommender.over_http.lists.list_routes import RecommendRoutes
from bento.recommender.questions import question_of
from bento.recommender.ranking.selection import followed_by, without
from bento.recommender.recommendations import Recommendations
from bento.recommender.retrieval.candidates import Ranked
from bento.recommender.retrieval.reranking import reranked, reranker_inputs
from bento.recommender.schemas import RecommendRequest
from bento.release.loading import Release, load_release
from features.history import WatchHistory
from features.sources import SOURCES
from tests.recommender import genre_world
from tests.recommender.world import World

HORROR = "[202, 203]"
BY_POPULARITY, BY_MLP = [200, 201, 204, 205], [205, 204, 201, 200]
"""What is left of the genre, in both orders."""


def blended(*scores: float) -> Ranked:
    """Films 10, 11, … whose scores are the text's."""
    values = np.array(scores, dtype=np.float32)
    contributions = np.zeros((len(scores), len(SOURCES)), dtype=np.float32)
    contributions[:, SOURCES.index("text")] = values
    return Ranked(np.arange(10, 10 + len(scores)), values, contributions)


def total(ranked: Ranked) -> list[float]:
    assert ranked.corrections is not None
    return (ranked.contributions.sum(axis=1) + ranked.corrections).tolist()


def test_films_stand_by_their_new_scores_which_contributions_and_corrections_add_up_to() -> None:
    ranked = reranked(blended(3, 2, 1), np.array([1, 4, 2], dtype=np.float32))
    assert ranked.rows.tolist() == [11, 12, 10]
    assert ranked.scores.tolist() == [4, 2, 1]
    assert ranked.corrections is not None
    assert ranked.corrections.tolist() == [2, 1, -2]
    assert total(ranked) == [4, 2, 1]


def test_films_beyond_the_candidates_keep_their_order_beneath() -> None:
    ranked = reranked(blended(5, 4, 3, 2), np.array([1, 2], dtype=np.float32))
    assert ranked.rows.tolist() == [11, 10, 12, 13]
    assert ranked.scores.tolist() == [2, 1, 1, 0]  # 3 and 2, moved down by 2
    assert total(ranked) == [2, 1, 1, 0]


def test_scores_that_are_low_enough_already_stay() -> None:
    ranked = reranked(blended(5, 4, 3), np.array([9, 8], dtype=np.float32))
    assert (ranked.scores.tolist(), total(ranked)) == ([9, 8, 3], [9, 8, 3])


def test_equal_scores_leave_the_order_of_the_blend() -> None:
    assert reranked(blended(3, 2, 1), np.zeros(3, dtype=np.float32)).rows.tolist() == [10, 11, 12]


def test_at_most_200_films_are_sent() -> None:
    history = WatchHistory(np.array([4]), np.zeros(1, np.float32), np.zeros(1, np.int64))
    inputs = reranker_inputs(history, blended(*range(300, 0, -1)), np.ones(len(SOURCES), dtype=np.float32))
    assert inputs["candidate_rows"].shape == (1, 200)
    assert inputs["contributions"].shape == (1, 200, len(SOURCES))
    assert inputs["history"][0, :2].tolist() == [5, 0]


def test_corrections_follow_their_films() -> None:
    ranked = reranked(blended(3, 2, 1), np.array([1, 4, 2], dtype=np.float32))
    left = without(ranked, np.array([12]), 5)
    assert (left.rows.tolist(), total(left)) == ([11, 10], [4, 1])
    filled = followed_by(left, replace(blended(7), rows=np.array([20])), 3)
    assert (filled.rows.tolist(), filled.scores.tolist(), total(filled)) == ([11, 10, 20], [4, 1, 1], [4, 1, 1])


async def test_a_request_chooses_its_scorer_and_the_answer_names_it(world: World) -> None:
    plain = await world.ask(f'{{"history": {HORROR}, "top_k": 4}}')
    dot = await world.ask(f'{{"history": {HORROR}, "top_k": 4, "scorer": "dot"}}')
    assert world.models.calls["mlp_scorer"] == 0
    mlp = await world.ask(f'{{"history": {HORROR}, "top_k": 4, "scorer": "mlp"}}')
    assert [plain.scorer, dot.scorer, mlp.scorer] == ["dot", "dot", "mlp"]
    assert plain.movie_ids == dot.movie_ids == BY_POPULARITY
    assert mlp.movie_ids == BY_MLP
    assert world.models.calls["mlp_scorer"] == 1
    assert "rescore" in mlp.timings_ms


async def test_all_candidates_are_scored_whatever_is_asked_for(world: World) -> None:
    """The film that the re-ranker likes best stands fourth in the blend."""
    assert (await world.ask(f'{{"history": {HORROR}, "top_k": 1, "scorer": "mlp"}}')).movie_ids == [205]


async def test_an_answer_is_cached_under_its_scorer(world: World) -> None:
    for scorer, movie_ids in (("dot", BY_POPULARITY), ("mlp", BY_MLP)) * 2:
        answered = await world.ask(f'{{"user_id": "x", "history": {HORROR}, "top_k": 4, "scorer": "{scorer}"}}')
        assert answered.movie_ids == movie_ids
    assert answered.cached
    assert world.models.calls["mlp_scorer"] == 1


@pytest.mark.parametrize("how", ["failing", "hanging"])
async def test_without_the_reranker_the_blend_stands_and_it_is_named(
    make_world: Callable[..., World], how: str
) -> None:
    world = make_world(timeout_s=0.3)
    getattr(world.models, how).add("mlp_scorer")
    answered = await world.ask(f'{{"history": {HORROR}, "top_k": 4, "scorer": "mlp", "explain": true}}')
    assert (answered.movie_ids, answered.scorer, answered.degraded) == (BY_POPULARITY, "dot", ["mlp_scorer"])
    assert "mlp" not in answered.recommendations[0]["reasons"]["contributions"]  # type: ignore[index]
    again = await world.ask(f'{{"history": {HORROR}, "top_k": 4, "scorer": "mlp"}}')
    assert not again.cached  # what is degraded is not kept


async def test_a_missing_source_is_missing_for_the_reranker_too(world: World) -> None:
    world.models.failing.add("user_tower")
    answered = await world.ask(f'{{"history": {HORROR}, "scorer": "mlp"}}')
    (request,) = [request for request in world.models.requests if request.model_name == "mlp_scorer"]
    weights = dict(zip(SOURCES, request.inputs["weights"][0].tolist(), strict=True))
    assert (weights["two_tower"], answered.degraded) == (0, ["two_tower"])
    assert weights["sequence"] == pytest.approx(6.1 / 5.1)  # of all weights, among those that are left


@pytest.mark.parametrize("broken", ["retrieval", "fusion"])
async def test_below_the_hybrid_nothing_is_rescored(world: World, broken: str) -> None:
    world.models.failing.add(broken)
    answered = await world.ask(f'{{"history": {HORROR}, "scorer": "mlp"}}')
    assert (answered.strategy, answered.scorer, answered.degraded) == ("item_to_item", None, ["retrieval"])
    assert world.models.calls["mlp_scorer"] == 0


async def test_a_stranger_has_no_scorer(world: World) -> None:
    answered = await world.ask('{"scorer": "mlp"}')
    assert (answered.strategy, answered.scorer) == ("cold_start", None)


async def test_explanations_add_up_with_the_rerankers_part(world: World) -> None:
    answered = await world.ask(f'{{"history": {HORROR}, "top_k": 10, "scorer": "mlp", "explain": true}}')
    for film in answered.recommendations:
        contributions = film["reasons"]["contributions"]  # type: ignore[index]
        assert set(contributions) == {*SOURCES, "mlp"}
        assert contributions["mlp"] == pytest.approx(film["movie_id"] % 100 / 2)  # type: ignore[operator]
        assert sum(contributions.values()) == pytest.approx(film["score"], abs=1e-4)


async def test_excluded_and_seen_films_stay_out(world: World) -> None:
    answered = await world.ask(f'{{"history": {HORROR}, "exclude": [205], "top_k": 3, "scorer": "mlp"}}')
    assert answered.movie_ids == [204, 201, 200]


async def test_diversity_starts_from_the_rerankers_order(world: World) -> None:
    answered = await world.ask(f'{{"history": {HORROR}, "top_k": 3, "scorer": "mlp", "diversity": 1}}')
    assert answered.movie_ids[0] == 205
    assert len({int(str(film)[0]) for film in answered.movie_ids}) == 3


@pytest.fixture
def mlp_first(tmp_path: Path) -> Release:
    """A release whose validation preferred the re-ranker."""
    genre_world.write_release(tmp_path)
    release = load_release(tmp_path)
    release.entry = msgspec.structs.replace(release.entry, scorer="mlp")
    return release


async def test_the_release_decides_where_the_request_does_not(
    make_world: Callable[..., World], mlp_first: Release
) -> None:
    world = make_world(of=mlp_first)
    answered = await world.ask(f'{{"history": {HORROR}, "top_k": 4}}')
    assert (answered.scorer, answered.movie_ids) == ("mlp", BY_MLP)
    assert (await world.ask(f'{{"history": {HORROR}, "scorer": "dot"}}')).scorer == "dot"


@pytest.mark.parametrize("mix", ['"preset": "popular"', '"weights": {"ease": 1}'])
async def test_unasked_only_the_releases_own_blend_is_rescored(
    make_world: Callable[..., World], mlp_first: Release, mix: str
) -> None:
    world = make_world(of=mlp_first)
    assert (await world.ask(f'{{"history": {HORROR}, {mix}}}')).scorer == "dot"
    assert (await world.ask(f'{{"history": {HORROR}, {mix}, "scorer": "mlp"}}')).scorer == "mlp"


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    recommendations = Recommendations(world.pipeline, world.release, RequestIds("id"))
    filtered = FilteredRoutes(
        recommendations, live_filter(world.release, world.cards), FilmSearch(world.release, world.models)
    )
    app = Application(Router([*RecommendRoutes(recommendations).routes(), *filtered.routes()]), world.metrics, 10_000)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://m") as client:  # type: ignore[arg-type]
        yield client


async def test_filters_hold_with_the_reranker(client: httpx.AsyncClient) -> None:
    body = {"history": [202], "genres": ["War"], "top_k": 3, "scorer": "mlp"}
    answer = (await client.post("/recommend/filtered", json=body)).json()
    assert [film["movie_id"] for film in answer["recommendations"]] == [405, 404, 403]
    assert answer["scorer"] == "mlp"


async def test_a_query_string_chooses_too(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/recommend?user_id=7&limit=2&scorer=mlp")).json()
    assert (answer["scorer"], [film["movie_id"] for film in answer["recommendations"]]) == ("mlp", [404, 403])


async def test_another_scorer_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/recommend", json={"scorer": "tree"})
    assert (answer.status_code, answer.json()["error"]["detail"]["field"]) == (422, "scorer")


def test_a_release_without_a_reranker_says_so(tmp_path: Path) -> None:
    genre_world.write_release(tmp_path)
    bare = load_release(tmp_path)
    del bare.entry.models["mlp_scorer"]
    assert (bare.scorers, bare.scorer) == (("dot",), "dot")
    with pytest.raises(InvalidRequest, match=r"scorer.*release 1 has no re-ranker, expected dot"):
        question_of(RecommendRequest(scorer="mlp"), bare)
    assert question_of(RecommendRequest(scorer="dot"), bare).scorer == "dot"


def test_arms_compare_scorers(tmp_path: Path) -> None:
    path = tmp_path / "experiments.toml"
    path.write_text(
        '[[experiments]]\nname = "order"\n'
        '[[experiments.arms]]\nname = "dot"\nshare = 0.5\nscorer = "dot"\n'
        '[[experiments.arms]]\nname = "mlp"\nshare = 0.5\nscorer = "mlp"\n'
    )
    assert read_experiments(path, (), ("dot", "mlp")) == [
        Experiment("order", [Arm("dot", 0.5, scorer="dot"), Arm("mlp", 0.5, scorer="mlp")])
    ]
    with pytest.raises(ExperimentsError, match=r"order, arm mlp: scorer 'mlp', the release has dot"):
        read_experiments(path, (), ("dot",))
