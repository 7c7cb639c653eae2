"""Served lists: in memory, on a Redis, on a cluster."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bento.stores import impressions, redis_impressions
from bento.stores.connection.redis_link import RedisLink
from bento.stores.impressions import Counts, Impression
from bento.stores.interfaces import ImpressionLog
from bento.stores.redis_impressions import RedisImpressionLog
from tests.stores import memory_stores
from tests.stores.examples import REAL
from tests.stores.memory_stores import MemoryImpressionLog

KEYS = {"blend": "blend:1"}


@pytest.fixture(params=["memory", *REAL])
def lists(request: pytest.FixtureRequest) -> ImpressionLog:
    if request.param == "memory":
        return MemoryImpressionLog()
    return RedisImpressionLog(request.getfixturevalue(request.param), "test", ttl_s=60)


def served(recommendation_id: str, arm: str = "a") -> Impression:
    return Impression(recommendation_id, [1, 2], {"blend": arm}, "hybrid", 1, 1_000.5)


async def test_lists_and_people_count_per_arm(lists: ImpressionLog) -> None:
    for number, (person, arm) in enumerate([("ann", "a"), ("ann", "a"), ("bob", "b"), ("{cy}", "a")]):
        await lists.note([(person, served(f"rec-{number}", arm))], KEYS)
    assert await lists.counts("blend:1", ["a", "b", "c"]) == {"a": Counts(3, 0, 2), "b": Counts(1, 0, 1), "c": Counts()}


async def test_lists_of_many_people_are_noted_together(lists: ImpressionLog) -> None:
    people = ["ann", "bob", "ann", "{cy}", "bob", "ann"]
    await lists.note(
        [(person, served(f"rec-{number}", "ab"[number % 2])) for number, person in enumerate(people)], KEYS
    )
    assert await lists.counts("blend:1", ["a", "b"]) == {"a": Counts(3, 0, 2), "b": Counts(3, 0, 3)}
    for number, person in enumerate(people):
        assert not await lists.click("dan", f"rec-{number}", 1, KEYS)
        assert await lists.click(person, f"rec-{number}", 1, KEYS)
    await lists.note([], KEYS)


async def test_the_limit_holds_for_lists_that_are_noted_together(
    lists: ImpressionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (impressions, memory_stores, redis_impressions):
        monkeypatch.setattr(module, "LISTS_PER_PERSON_LIMIT", 2)
    noted = [(person, served(f"{person}-{number}")) for number in range(3) for person in ("ann", "bob")]
    await lists.note(noted, KEYS)
    for person in ("ann", "bob"):
        clicked = [await lists.click(person, f"{person}-{number}", 1, KEYS) for number in range(3)]
        assert clicked == [False, True, True]


async def test_only_the_first_click_on_a_film_of_ones_own_list_counts(lists: ImpressionLog) -> None:
    await lists.note([("ann", served("rec-1"))], KEYS)
    asked = [("bob", "rec-1", 1), ("ann", "rec-2", 1), ("ann", "rec-1", 3), ("ann", "rec-1", 2), ("ann", "rec-1", 1)]
    assert [await lists.click(*one, KEYS) for one in asked] == [False, False, False, True, False]
    assert (await lists.counts("blend:1", ["a"]))["a"].clicked_lists == 1


async def test_a_click_is_on_the_film_of_that_very_id(lists: ImpressionLog) -> None:
    shown = Impression("rec-1", ["007", 9_007_199_254_740_991, 'a "b"'], {"blend": "a"}, "hybrid", 1, 1_000.5)
    clicks = [(7, False), ("7", False), ("007", True), (2**53 - 1, True), (2**53 - 2, False), ('a "b"', True)]
    for number, (film, counts) in enumerate(clicks):
        await lists.note([("ann", replace(shown, recommendation_id=f"rec-{number}"))], KEYS)
        assert await lists.click("ann", f"rec-{number}", film, KEYS) is counts


async def test_a_click_for_an_experiment_that_ended_counts_nowhere(lists: ImpressionLog) -> None:
    await lists.note([("ann", served("rec-1"))], KEYS)
    assert await lists.click("ann", "rec-1", 1, {})
    assert (await lists.counts("blend:1", ["a"]))["a"].clicked_lists == 0


async def test_recent_lists_come_newest_first_and_name_nobody(lists: ImpressionLog) -> None:
    await lists.show([served("rec-1"), served("rec-2")])
    await lists.show([served("rec-3")])
    assert await lists.recent(5) == [served("rec-3"), served("rec-2"), served("rec-1")]
    assert await lists.recent(2) == [served("rec-3"), served("rec-2")]


async def test_a_forgotten_persons_lists_cannot_be_quoted(lists: ImpressionLog) -> None:
    await lists.note([("ann", served("rec-1"))], KEYS)
    await lists.forget("ann")
    assert not await lists.click("ann", "rec-1", 1, KEYS)


async def test_beyond_the_limit_the_oldest_list_goes(lists: ImpressionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (impressions, memory_stores, redis_impressions):
        monkeypatch.setattr(module, "LISTS_PER_PERSON_LIMIT", 2)
    for number in range(3):
        await lists.note([("ann", served(f"rec-{number}"))], KEYS)
    assert [await lists.click("ann", f"rec-{number}", 1, KEYS) for number in range(3)] == [False, True, True]


@pytest.mark.redis
async def test_lists_expire(link: RedisLink) -> None:
    await RedisImpressionLog(link, "test", ttl_s=60).note([("ann", served("rec-1"))], KEYS)
    for key in ("test:{ann}:impressions", "test:{ann}:impressions:order"):
        assert 0 < await link.run("TTL", key) <= 60
