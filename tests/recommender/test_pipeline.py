"""The walk of one recommendation, in the genre world where every answer is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import chain

import numpy as np
import pytest

from bento.recommender.pipeline import Stores
from bento.recommender.questions import question_of
from bento.recommender.schemas import RecommendRequest
from bento.stores.errors import StoreUnavailable
from bento.stores.person import WatchEvent
from features.sources import SOURCES
from tests.recommender.genre_world import N_FILMS, films_of, movie_id
from tests.recommender.world import FINDING_STAGES, World

SHORT_TIMEOUT_S = 0.05

COMEDY, HORROR, SCI_FI, WAR = range(4)


async def test_a_history_of_one_genre_is_answered_with_the_rest_of_it(world: World) -> None:
    answered = await world.ask('{"history": [202, 203], "top_k": 4}')
    assert answered.movie_ids == [200, 201, 204, 205]
    assert (answered.strategy, answered.degraded, answered.cached) == ("hybrid", [], False)


async def test_a_known_person_is_served_from_the_release(world: World) -> None:
    answered = await world.ask('{"user_id": "ann", "top_k": 4}')
    assert answered.movie_ids == [100, 101, 102, 105]


async def test_a_user_id_may_be_a_number_or_a_string(world: World) -> None:
    as_number, as_text = await world.ask('{"user_id": 7}'), await world.ask('{"user_id": "7"}')
    assert as_number.movie_ids == as_text.movie_ids
    assert as_number.movie_ids[:5] == films_of(WAR)[:5]


async def test_seen_films_never_come_back(world: World) -> None:
    answered = await world.ask('{"user_id": "ann", "history": [200], "top_k": 1000}')
    assert set(answered.movie_ids) == {movie_id(g, j) for g in range(4) for j in range(6)} - {103, 104, 200}
    assert len(answered.movie_ids) == N_FILMS - 3


async def test_excluded_films_are_not_recommended(world: World) -> None:
    answered = await world.ask('{"history": [202], "exclude": [200, "201", 999, "x"], "top_k": 3}')
    assert answered.movie_ids == [203, 204, 205]


async def test_scores_fall_and_titles_belong_to_the_films(world: World) -> None:
    answered = await world.ask('{"history": [202, 203], "top_k": 20}')
    scores = [film["score"] for film in answered.recommendations]
    assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]
    assert answered.recommendations[0]["title"] == "Horror 0"
    assert answered.recommendations[0]["genres"] == ["Horror"]
    assert answered.recommendations[0]["year"] == 1990


async def test_unknown_films_of_a_history_are_ignored_and_counted(world: World) -> None:
    answered = await world.ask(
        '{"history": [202, 999999, "abc", -5, "203", 1e0000], "top_k": 2}'.replace(", 1e0000", "")
    )
    assert answered.ignored_movie_ids == 3
    assert answered.movie_ids == [200, 201]


async def test_ids_beyond_64_bits_are_just_unknown(world: World) -> None:
    answered = await world.ask(f'{{"history": [202, "{10**30}", {10**30}], "top_k": 2}}')
    assert (answered.ignored_movie_ids, answered.movie_ids) == (2, [200, 201])


async def test_timestamps_order_the_history_when_every_film_has_one(world: World) -> None:
    await world.ask('{"history": [{"movie_id": 201, "timestamp": 30}, {"movie_id": 101, "timestamp": 10}]}')
    tokens = world.models.requests[0].inputs["history"][0]
    rows = [world.release.catalog.row_of(101), world.release.catalog.row_of(201)]
    assert tokens[:3].tolist() == [rows[0] + 1, rows[1] + 1, 0]  # type: ignore[operator]


async def test_models_are_asked_for_the_version_of_the_release(world: World) -> None:
    await world.ask('{"history": [202]}')
    assert {request.model_version for request in world.models.requests} == {"1"}
    assert set(world.models.calls.values()) == {1}


async def test_a_stranger_gets_popular_films_of_every_genre(world: World) -> None:
    answered = await world.ask('{"user_id": "nobody", "top_k": 4}')
    assert answered.strategy == "cold_start"
    assert sorted(answered.movie_ids) == [100, 200, 300, 400]  # type: ignore[type-var]
    assert not world.models.calls


@pytest.mark.parametrize(
    "body", ["{}", '{"history": []}', '{"history": [999]}', '{"user_id": "new", "history": ["x"]}']
)
async def test_nothing_known_is_a_cold_start_never_an_empty_list(world: World, body: str) -> None:
    answered = await world.ask(body)
    assert (answered.strategy, len(answered.movie_ids)) == ("cold_start", 10)


async def test_an_empty_history_with_a_known_person_is_still_a_cold_start_without_seen_films(world: World) -> None:
    answered = await world.ask('{"user_id": "ann", "history": [], "top_k": 1000}')
    assert answered.strategy == "cold_start"
    assert len(answered.movie_ids) == N_FILMS - 2


async def test_who_has_seen_everything_is_offered_it_again(world: World) -> None:
    answered = await world.ask('{"user_id": "everything", "top_k": 3}')
    assert len(answered.movie_ids) == 3


async def test_without_any_source_films_are_popular_among_the_genres_of_the_history(world: World) -> None:
    for weights in ("{}", '{"sequence": 0, "ease": 0}'):
        answered = await world.ask(f'{{"history": [402], "weights": {weights}, "top_k": 2}}')
        assert (answered.strategy, answered.degraded) == ("genre_popularity", [])
        assert answered.movie_ids == [400, 401]
    assert not world.models.calls


async def test_when_the_only_wanted_source_fails_the_ladder_answers_instead_of_zeros(world: World) -> None:
    world.models.failing.add("sequence_encoder")
    answered = await world.ask('{"history": [402], "weights": {"sequence": 1}, "top_k": 3}')
    assert (answered.strategy, answered.degraded) == ("item_to_item", ["sequence"])
    best, *_ = answered.recommendations
    assert (best["genres"], best["score"] != 0) == (["War"], True)


async def test_presets_and_weights_change_what_counts(world: World) -> None:
    popular = await world.ask('{"history": [402], "preset": "popular", "top_k": 3}')
    assert popular.movie_ids == [100, 200, 300]
    by_hand = await world.ask('{"history": [402], "weights": {"popularity": 1}, "top_k": 3}')
    assert by_hand.movie_ids == popular.movie_ids


# The feature store and the response cache


async def test_an_event_changes_the_next_answer(world: World) -> None:
    before = await world.ask('{"user_id": "new", "top_k": 3}')
    await world.features.append("new", [WatchEvent(302, 5.0, 1_000)])
    after = await world.ask('{"user_id": "new", "top_k": 3}')
    assert (before.strategy, after.strategy) == ("cold_start", "hybrid")
    assert after.movie_ids == [300, 301, 303]
    assert not after.cached


async def test_events_continue_the_history_of_the_release(world: World) -> None:
    await world.features.append("ann", [WatchEvent(100, 5.0, 10**9), WatchEvent(103, 1.0, 10**9 + 1)])
    answered = await world.ask('{"user_id": "ann", "top_k": 1000}')
    assert len(answered.movie_ids) == N_FILMS - 3
    request = world.models.requests[0].inputs
    rows = [world.release.catalog.row_of(film) for film in (104, 100, 103)]
    assert request["history"][0][:4].tolist() == [*(row + 1 for row in rows), 0]  # type: ignore[operator]
    assert request["ratings"][0][:3].tolist() == [4.0, 5.0, 1.0]


async def test_a_forgotten_person_is_a_stranger(world: World) -> None:
    await world.features.forget("ann")
    answered = await world.ask('{"user_id": "ann", "top_k": 1000}')
    assert (answered.strategy, len(answered.movie_ids)) == ("cold_start", N_FILMS)


async def test_events_on_films_of_another_release_are_left_out(world: World) -> None:
    await world.features.append("new", [WatchEvent(302, 5.0, 1_000), WatchEvent(31_415, 5.0, 1_001)])
    answered = await world.ask('{"user_id": "new", "top_k": 1}')
    assert answered.movie_ids == [300]


async def test_the_same_question_is_answered_from_the_cache(world: World) -> None:
    first = await world.ask('{"user_id": "ann", "top_k": 4}')
    second = await world.ask('{"user_id": "ann", "top_k": 4}')
    assert (first.cached, second.cached) == (False, True)
    assert first.recommendations == second.recommendations
    assert world.models.searches == 1
    assert world.metric("recsys_response_cache_total", result="hit") == 1


async def test_another_question_is_not(world: World) -> None:
    await world.ask('{"user_id": "ann", "top_k": 4}')
    answered = await world.ask('{"user_id": "ann", "top_k": 5}')
    assert not answered.cached
    assert len(answered.movie_ids) == 5


async def test_requests_of_nobody_in_particular_share_an_answer(world: World) -> None:
    await world.ask('{"history": [202]}')
    assert (await world.ask('{"history": [202]}')).cached


async def test_a_ttl_of_0_turns_the_cache_off(make_world: Callable[..., World]) -> None:
    world = make_world(cache_ttl_s=0)
    await world.ask('{"user_id": "ann"}')
    assert not (await world.ask('{"user_id": "ann"}')).cached


async def test_an_answer_expires(make_world: Callable[..., World]) -> None:
    now_s = [1_000.0]
    world = make_world(cache_ttl_s=100, now_s=lambda: now_s[0])
    await world.ask('{"user_id": "ann"}')
    now_s[0] += 89  # 100 s less 10 % of jitter is 90 s
    assert (await world.ask('{"user_id": "ann"}')).cached
    now_s[0] += 22  # 111 s: beyond 100 s and 10 %
    assert not (await world.ask('{"user_id": "ann"}')).cached


@pytest.mark.parametrize("damage", [lambda sealed: b"poison", lambda sealed: sealed[:-1], lambda sealed: b""])
async def test_a_damaged_answer_is_computed_again(world: World, damage: Callable[[bytes], bytes]) -> None:
    first = await world.ask('{"user_id": "ann"}')
    kept = world.answers.entries["ann"]
    for question in kept:
        kept[question].sealed = damage(kept[question].sealed)
    again = await world.ask('{"user_id": "ann"}')
    assert (again.cached, again.recommendations) == (False, first.recommendations)
    assert world.metric("recsys_response_cache_total", result="broken") == 1
    assert (await world.ask('{"user_id": "ann"}')).cached


async def test_an_answer_made_before_an_event_but_cached_after_it_is_not_served(world: World) -> None:
    await world.ask('{"user_id": "ann"}')
    stale = dict(world.answers.entries["ann"])
    await world.features.append("ann", [WatchEvent(302, 5.0, 10**9)])
    world.answers.entries["ann"] = stale  # the put that lost the race
    answered = await world.ask('{"user_id": "ann"}')
    assert not answered.cached
    assert 302 not in answered.movie_ids


async def test_a_thousand_askers_of_one_question_cost_one_computation(world: World) -> None:
    request = RecommendRequest(user_id="ann")
    question = question_of(request, world.release)
    answers = await asyncio.gather(*(world.pipeline.recommend(question) for _ in range(1_000)))
    assert world.models.searches == 1
    assert len({answer.body for answer in answers}) == 1
    assert world.metric("recsys_single_flight_joined_total") == 999


async def test_whoever_starts_a_computation_may_leave(world: World) -> None:
    question = question_of(RecommendRequest(user_id="ann"), world.release)
    first = asyncio.create_task(world.pipeline.recommend(question))
    second = asyncio.create_task(world.pipeline.recommend(question))
    while not world.models.calls:
        await asyncio.sleep(0)
    first.cancel()
    assert (await second).body
    assert world.models.searches == 1


class NoRedis:
    """Every call finds Redis gone."""

    def __getattr__(self, name: str) -> Callable[..., object]:
        async def unavailable(*_: object) -> None:
            raise StoreUnavailable("gone")

        return unavailable


async def test_without_redis_people_with_and_without_a_history_are_still_served(
    make_world: Callable[..., World],
) -> None:
    world = make_world(stores=Stores(NoRedis(), NoRedis()))  # type: ignore[arg-type]
    known = await world.ask('{"user_id": "ann", "top_k": 4}')
    assert known.movie_ids == [100, 101, 102, 105]
    assert sorted(known.degraded) == ["feature_store", "response_cache"]
    stranger = await world.ask('{"user_id": "nobody"}')
    assert (stranger.strategy, len(stranger.movie_ids)) == ("cold_start", 10)
    assert world.metric("recsys_degraded_total", part="feature_store") == 2


# Sources that fail or are late

ENCODERS = ["sequence_encoder", "user_tower", "ials_user", "content_profile", "ease"]
SOURCES_OF = {
    "sequence_encoder": ["sequence"],
    "user_tower": ["two_tower"],
    "ials_user": ["ials"],
    "content_profile": ["text", "poster"],
    "ease": ["ease"],
}


@pytest.mark.parametrize("model", ENCODERS)
async def test_a_failing_source_weighs_nothing_and_is_named(world: World, model: str) -> None:
    world.models.failing.add(model)
    answered = await world.ask('{"history": [202, 203], "top_k": 4}')
    assert answered.degraded == SOURCES_OF[model]
    assert answered.movie_ids == [200, 201, 204, 205]
    fusion = next(request for request in world.models.requests if request.model_name == "fusion")
    lost = [SOURCES.index(source) for source in SOURCES_OF[model]]
    assert np.flatnonzero(fusion.inputs["weights"][0] == 0).tolist() == lost


@pytest.mark.parametrize("model", ENCODERS)
async def test_a_late_source_is_left_out_and_cancelled(make_world: Callable[..., World], model: str) -> None:
    world = make_world(timeout_s=SHORT_TIMEOUT_S, hybrid=False)
    world.models.hanging.add(model)
    answered = await world.ask('{"history": [202, 203], "top_k": 4}')
    assert answered.degraded == SOURCES_OF[model]
    assert answered.movie_ids == [200, 201, 204, 205]
    assert world.models.cancelled == {model}


async def test_without_any_encoder_popularity_ranks_the_unseen_films(world: World) -> None:
    world.models.failing.update(ENCODERS)
    answered = await world.ask('{"history": [100], "top_k": 3}')
    assert answered.degraded == list(chain.from_iterable(SOURCES_OF.values()))
    assert answered.movie_ids == [200, 300, 400]


@pytest.mark.parametrize("part", ["fusion", "retrieval"])
async def test_without_retrieval_item_to_item_answers(world: World, part: str) -> None:
    world.models.failing.add(part)
    answered = await world.ask('{"history": [202, 203], "top_k": 4}')
    assert (answered.strategy, answered.degraded) == ("item_to_item", ["retrieval"])
    # Two candidates, then genre popularity: 100 is the most popular (1.0), 204 has rank 17 of 24 (0.29, doubled).
    assert answered.movie_ids == [200, 201, 100, 300]
    scores = [film["score"] for film in answered.recommendations]
    assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]


async def test_below_item_to_item_stands_content(world: World) -> None:
    world.models.failing.update({"retrieval", "ease"})
    answered = await world.ask('{"history": [202, 203], "top_k": 4}')
    assert (answered.strategy, answered.degraded) == ("content", ["ease", "retrieval"])
    assert answered.movie_ids == [200, 201, 204, 205]


async def test_below_content_stands_genre_popularity(world: World) -> None:
    world.models.failing.update({"fusion", "ease", "content_profile"})
    answered = await world.ask('{"history": [202, 203], "top_k": 4}')
    assert answered.strategy == "genre_popularity"
    assert answered.movie_ids == [200, 201, 100, 300]


async def test_with_no_model_at_all_the_answer_is_still_personal_and_in_time(make_world: Callable[..., World]) -> None:
    world = make_world(timeout_s=SHORT_TIMEOUT_S, hybrid=False)
    world.models.hanging.update([*ENCODERS, "fusion", "retrieval"])
    async with asyncio.timeout(SHORT_TIMEOUT_S * 10):
        answered = await world.ask('{"user_id": "ann", "top_k": 1000}')
    assert answered.strategy == "genre_popularity"
    assert len(answered.movie_ids) == N_FILMS - 2
    assert answered.movie_ids[:4] == [100, 101, 102, 200]


async def test_degraded_answers_are_not_cached(world: World) -> None:
    world.models.failing.add("ease")
    await world.ask('{"user_id": "ann"}')
    world.models.failing.clear()
    answered = await world.ask('{"user_id": "ann"}')
    assert (answered.cached, answered.degraded) == (False, [])


async def test_stage_times_add_up_to_no_more_than_the_total(world: World) -> None:
    answered = await world.ask('{"user_id": "ann"}')
    total = answered.timings_ms.pop("total")
    assert list(answered.timings_ms) == ["state", *FINDING_STAGES, "blend", "answer"]
    assert 0 < sum(answered.timings_ms.values()) <= total + 0.01  # each is rounded to a microsecond
