"""What is remembered between requests, on a real Redis: answers fresh and stale, damaged values, user embeddings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bento.recommender.people.events import Event
from bento.recommender.pipeline import Stores
from bento.recommender.questions import question_of
from bento.recommender.ranking.ordering import Ordering, Preferences
from bento.recommender.ranking.wording import LanguageModel, Wording
from bento.recommender.retrieval.candidates import Encoded
from bento.recommender.retrieval.embedding_cache import EmbeddingCache, EmbeddingPrefetch
from bento.recommender.schemas import RecommendRequest
from bento.release.loading import load_release
from bento.stores.connection.circuit_breaker import CircuitBreaker
from bento.stores.connection.embedded_redis import EmbeddedRedis
from bento.stores.connection.redis_link import RedisLink, connect
from bento.stores.person import WatchEvent
from bento.stores.redis_stores import RedisFeatureStore, RedisResponseCache
from features.history import WatchHistory
from tests.recommender import genre_world
from tests.recommender.world import World

pytestmark = pytest.mark.redis

TIMEOUT_S = 5.0
FRESH_S, STALE_S = 100, 50


@dataclass
class Remembering:
    """A world whose stores are on Redis, with a clock for the seals."""

    world: World
    link: RedisLink
    features: RedisFeatureStore
    now_s: list[float]

    @property
    def retrievals(self) -> int:
        return self.world.models.searches

    async def kept(self) -> dict[bytes, bytes]:
        """The answers that Redis holds for ann: question -> sealed answer."""
        flat = await self.link.run("HGETALL", "test:{ann}:answers")
        return flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))


@pytest.fixture
async def remembering(make_world: Callable[..., World], tmp_path: Path) -> AsyncIterator[Remembering]:
    redis = EmbeddedRedis(tmp_path)
    await redis.open()
    link = RedisLink(connect(redis.url, TIMEOUT_S), TIMEOUT_S, CircuitBreaker(retry_s=1.0))
    features, now_s = RedisFeatureStore(link, "test"), [1_000.0]
    stores = Stores(features, RedisResponseCache(link, "test"))
    world = make_world(stores=stores, cache_ttl_s=FRESH_S, cache_stale_s=STALE_S, now_s=lambda: now_s[0])
    yield Remembering(world, link, features, now_s)
    await world.pipeline.close()
    await link.close()
    await redis.close()


ANN = '{"user_id": "ann", "top_k": 4}'


async def test_a_fresh_answer_is_served_without_computing(remembering: Remembering) -> None:
    first = await remembering.world.ask(ANN)
    remembering.now_s[0] += FRESH_S * 0.9 - 1  # before the earliest that jitter makes it stale
    second = await remembering.world.ask(ANN)
    assert (second.cached, second.movie_ids, remembering.retrievals) == (True, first.movie_ids, 1)


async def test_a_stale_answer_is_served_at_once_and_computed_anew_behind_it(remembering: Remembering) -> None:
    await remembering.world.ask(ANN)
    remembering.now_s[0] += FRESH_S * 1.1 + 1  # after the latest
    stale = await remembering.world.ask(ANN)
    assert (stale.cached, remembering.retrievals) == (True, 2)
    assert remembering.world.metric("recsys_response_cache_total", result="stale") == 1
    remembering.now_s[0] += FRESH_S * 0.9 - 1
    renewed = await remembering.world.ask(ANN)
    assert (renewed.cached, remembering.retrievals) == (True, 2)
    assert remembering.world.metric("recsys_response_cache_total", result="hit") == 1


async def test_many_who_meet_a_stale_answer_renew_it_once(remembering: Remembering) -> None:
    await remembering.world.ask(ANN)
    remembering.now_s[0] += FRESH_S * 1.1 + 1
    question = question_of(RecommendRequest("ann", top_k=4), remembering.world.release)
    answers = await asyncio.gather(*(remembering.world.pipeline.recommend(question) for _ in range(200)))
    await remembering.world.pipeline.close()
    assert all(answer.cached for answer in answers)
    assert remembering.retrievals == 2


async def test_beyond_its_stale_time_an_answer_is_gone(remembering: Remembering) -> None:
    await remembering.world.ask(ANN)
    remembering.now_s[0] += FRESH_S * 1.1 + STALE_S + 1
    assert not (await remembering.world.ask(ANN)).cached


async def test_an_event_ends_even_a_stale_answer(remembering: Remembering) -> None:
    first = await remembering.world.ask(ANN)
    remembering.now_s[0] += FRESH_S * 1.1 + 1
    await remembering.features.append("ann", [WatchEvent(int(first.movie_ids[0]), 4.0, 2_000)])  # type: ignore[call-overload]
    second = await remembering.world.ask(ANN)
    assert not second.cached
    assert first.movie_ids[0] not in second.movie_ids


async def test_answers_that_are_cached_together_expire_apart(remembering: Remembering) -> None:
    for top_k in range(1, 21):
        await remembering.world.ask(f'{{"history": [202], "top_k": {top_k}}}')
    keys = await remembering.link.run("KEYS", "test:*answers")
    lives_ms = [await remembering.link.run("PTTL", key) for key in keys]
    shortest, longest = (FRESH_S * ratio + STALE_S for ratio in (0.9, 1.1))
    assert len(lives_ms) == 20
    assert all(shortest - 10 <= life / 1_000 <= longest for life in lives_ms)  # some seconds passed since
    assert max(lives_ms) - min(lives_ms) > 1_000  # all within a second of 20 seconds: one in 10^20


@pytest.mark.parametrize("damage", [lambda sealed: sealed[:-1], lambda sealed: b"poison", lambda sealed: b""])
async def test_a_value_that_was_damaged_in_redis_is_computed_again(
    remembering: Remembering, damage: Callable[[bytes], bytes]
) -> None:
    first = await remembering.world.ask(ANN)
    for question, sealed in (await remembering.kept()).items():
        await remembering.link.run("HSET", "test:{ann}:answers", question, damage(sealed))
    second = await remembering.world.ask(ANN)
    assert (second.cached, second.movie_ids) == (False, first.movie_ids)
    assert (await remembering.world.ask(ANN)).cached


@pytest.mark.parametrize("changed", ["diversity", "freshness", "wording", "release"])
async def test_an_answer_made_with_other_settings_or_another_release_of_the_number_is_not_served(
    remembering: Remembering, make_world: Callable[..., World], tmp_path: Path, changed: str
) -> None:
    """The service starts again with another setting, or with release 1 trained anew; Redis still holds the answer."""
    await remembering.world.ask(ANN)
    of = None
    if changed == "release":
        genre_world.write_release(tmp_path / "anew", people=genre_world.PEOPLE | {"bob": [100]})
        of = load_release(tmp_path / "anew")
    options = {
        "diversity": {"ordering": Ordering(remembering.world.release, Preferences(diversity=0.3))},
        "freshness": {"ordering": Ordering(remembering.world.release, Preferences(freshness=0.3))},
        "wording": {"wording": Wording(LanguageModel("http://127.0.0.1:9/v1", "another"))},
    }
    stores = Stores(remembering.features, RedisResponseCache(remembering.link, "test"))
    now_s = remembering.now_s
    restarted = make_world(of=of, stores=stores, now_s=lambda: now_s[0], **options.get(changed, {}))
    assert not (await restarted.ask(ANN)).cached
    unchanged = make_world(stores=stores, now_s=lambda: now_s[0])
    assert (await unchanged.ask(ANN)).cached


async def test_a_thousand_on_one_cold_key_cost_one_computation(remembering: Remembering) -> None:
    question = question_of(RecommendRequest("ann"), remembering.world.release)
    answers = await asyncio.gather(*(remembering.world.pipeline.recommend(question) for _ in range(1_000)))
    assert (remembering.retrievals, len({answer.body for answer in answers})) == (1, 1)


# User embeddings


async def test_a_person_is_encoded_once_for_many_questions(make_world: Callable[..., World]) -> None:
    world = make_world(hybrid=False)
    for body in (ANN, '{"user_id": "ann", "top_k": 9}', '{"user_id": "ann", "preset": "popular"}'):
        assert not (await world.ask(body)).cached
    assert world.models.calls["sequence_encoder"] == 1
    await world.features.append("ann", [WatchEvent(302, 5.0, 2_000)])
    await world.ask(ANN)
    assert world.models.calls["sequence_encoder"] == 2


async def test_an_event_is_encoded_ahead_of_the_next_request(remembering: Remembering) -> None:
    world = remembering.world
    ahead = EmbeddingPrefetch(world.release, remembering.features, world.pipeline.embeddings)
    await remembering.features.append("new", [WatchEvent(302, 5.0, 2_000)])
    await ahead.follow(Event("e1", "new", 302, "like", 5.0, 2_000, 2_000.0))
    await ahead.close()
    assert world.models.calls["sequence_encoder"] == 1
    answered = await world.ask('{"user_id": "new", "top_k": 2}')
    assert (answered.movie_ids, world.models.calls["sequence_encoder"]) == ([300, 301], 1)


def history(*rows: int) -> WatchHistory:
    return WatchHistory(np.array(rows, np.int64), np.zeros(len(rows), np.float32), np.zeros(len(rows), np.int64))


async def test_the_longest_unused_embedding_goes_first_and_a_partial_one_is_not_kept() -> None:
    asked: list[int] = []

    async def encode(what: WatchHistory, _: int | None) -> Encoded:
        asked.append(int(what.item_rows[0]))
        return Encoded(missing=["ease"] if what.item_rows[0] == 9 else [])

    cache = EmbeddingCache(encode, limit=2)
    for row in (1, 2, 1, 3, 1, 2, 9, 9):
        await cache.encode(history(row))
    assert asked == [1, 2, 3, 2, 9, 9]


async def test_with_many_events_at_once_only_some_are_encoded_ahead(
    remembering: Remembering,
) -> None:
    ahead = EmbeddingPrefetch(remembering.world.release, remembering.features, remembering.world.pipeline.embeddings)
    for number in range(20):
        await remembering.features.append(f"p{number}", [WatchEvent(302, 5.0, 2_000 + number)])
    for number in range(20):
        await ahead.follow(Event(f"e{number}", f"p{number}", 302, "like", 5.0, 2_000, 2_000.0))
    await ahead.close()
    assert remembering.world.models.calls["sequence_encoder"] == 8
