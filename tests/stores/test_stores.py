"""What every feature store and response cache does, in memory and on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from bento.stores import redis_stores
from bento.stores.connection.redis_link import RedisLink
from bento.stores.person import CLICKED, Appended, DamagedState, PersonState, WatchEvent
from bento.stores.redis_stores import RedisEventLog, RedisFeatureStore, RedisResponseCache
from features.catalog import Catalog, Film
from tests.stores import memory_stores
from tests.stores.examples import REAL, Stores


def events_of(state: PersonState) -> list[tuple[int, float, int]]:
    return [tuple(event) for event in state.events.tolist()]


def watched(*rows: tuple[int, float, int]) -> Iterable[WatchEvent]:
    return [WatchEvent(*row) for row in rows]


async def test_a_stranger_has_version_0_and_no_events(stores: Stores) -> None:
    state = await stores.features.read("nobody")
    assert (state.version, state.forgotten, len(state.events)) == (0, False, 0)


async def test_events_come_back_oldest_first(stores: Stores) -> None:
    await stores.features.append("ann", watched((10, 4.0, 200)))
    await stores.features.append("ann", watched((30, 0.5, 300), (20, 0.0, 100)))  # the second one is late
    state = await stores.features.read("ann")
    assert events_of(state) == [(20, 0.0, 100), (10, 4.0, 200), (30, 0.5, 300)]


async def test_every_change_gives_a_higher_version(stores: Stores) -> None:
    first = await stores.features.append("ann", watched((10, 4.0, 200)))
    second = await stores.features.append("ann", watched((11, 4.0, 200)))
    assert 0 < first.version < second.version == (await stores.features.read("ann")).version
    assert first.changed
    assert second.changed


async def test_a_duplicate_changes_nothing(stores: Stores) -> None:
    first = await stores.features.append("ann", watched((10, 4.5, 200)))
    again = await stores.features.append("ann", watched((10, 4.5, 200)))
    assert again == Appended(first.version, changed=False, newest_before_s=200)
    assert events_of(await stores.features.read("ann")) == [(10, 4.5, 200)]


async def test_a_late_event_on_a_film_does_not_undo_the_newer_one(stores: Stores) -> None:
    first = await stores.features.append("ann", watched((10, 5.0, 200)))
    late = await stores.features.append("ann", watched((10, 1.0, 100)))
    assert late == Appended(first.version, changed=False, newest_before_s=200)
    assert events_of(await stores.features.read("ann")) == [(10, 5.0, 200)]


async def test_a_second_rating_replaces_the_first(stores: Stores) -> None:
    await stores.features.append("ann", watched((10, 5.0, 200), (11, 3.0, 210)))
    await stores.features.append("ann", watched((10, 2.0, 220)))
    assert events_of(await stores.features.read("ann")) == [(11, 3.0, 210), (10, 2.0, 220)]


async def test_a_rating_in_the_same_second_replaces_the_first(stores: Stores) -> None:
    await stores.features.append("ann", watched((10, 5.0, 200)))
    await stores.features.append("ann", watched((10, 2.0, 200)))
    assert events_of(await stores.features.read("ann")) == [(10, 2.0, 200)]


async def test_a_view_keeps_the_rating_given_before(stores: Stores) -> None:
    await stores.features.append("ann", watched((10, 4.5, 200)))
    await stores.features.append("ann", watched((10, 0.0, 300)))
    assert events_of(await stores.features.read("ann")) == [(10, 4.5, 300)]


async def test_a_click_takes_back_neither_a_view_nor_a_rating(stores: Stores) -> None:
    await stores.features.append("ann", watched((10, 4.5, 200), (11, 0.0, 201), (12, CLICKED, 202)))
    await stores.features.append("ann", watched((10, CLICKED, 300), (11, CLICKED, 301), (12, 0.0, 302)))
    assert events_of(await stores.features.read("ann")) == [(10, 4.5, 300), (11, 0.0, 301), (12, 0.0, 302)]


async def test_the_oldest_events_go_beyond_the_limit(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_stores, "EVENTS_LIMIT", 3)
    monkeypatch.setattr(redis_stores, "EVENTS_LIMIT", 3)
    await stores.features.append("ann", watched((1, 0.0, 50), (2, 0.0, 40), (3, 0.0, 30)))
    await stores.features.append("ann", watched((4, 0.0, 20), (5, 0.0, 60)))
    assert events_of(await stores.features.read("ann")) == [(2, 0.0, 40), (1, 0.0, 50), (5, 0.0, 60)]


async def test_of_events_of_one_second_the_last_ones_stay_within_the_limit(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_stores, "EVENTS_LIMIT", 3)
    monkeypatch.setattr(redis_stores, "EVENTS_LIMIT", 3)
    await stores.features.append("ann", watched((9, 1.0, 50), (2, 2.0, 50), (7, 3.0, 50), (4, 4.0, 50), (5, 5.0, 50)))
    assert events_of(await stores.features.read("ann")) == [(7, 3.0, 50), (4, 4.0, 50), (5, 5.0, 50)]


async def test_the_newest_event_before_tells_who_is_late(stores: Stores) -> None:
    first = await stores.features.append("ann", watched((10, 5.0, 200), (11, 5.0, 150)))
    second = await stores.features.append("ann", watched((12, 5.0, 100)))
    assert (first.newest_before_s, second.newest_before_s, second.changed) == (0, 200, True)


async def test_of_calls_with_one_idempotency_key_only_the_first_counts(stores: Stores) -> None:
    first = await stores.features.append("ann", watched((10, 5.0, 200)), idempotency_key="k1")
    again = await stores.features.append("ann", watched((11, 5.0, 300)), idempotency_key="k1")
    assert again == Appended(first.version, changed=False, duplicate=True)
    assert events_of(await stores.features.read("ann")) == [(10, 5.0, 200)]
    other_key = await stores.features.append("ann", watched((11, 5.0, 300)), idempotency_key="k2")
    other_person = await stores.features.append("bob", watched((11, 5.0, 300)), idempotency_key="k1")
    assert other_key.changed
    assert other_person.changed


async def test_the_event_log_keeps_order(stores: Stores) -> None:
    for n in range(5):
        await stores.log.append("ann", b'{"n": %d}' % n)
    assert await stores.log.read(3) == [b'{"n": 2}', b'{"n": 3}', b'{"n": 4}']


async def test_a_persons_records_can_be_deleted_from_the_log(stores: Stores) -> None:
    for n in range(3):
        await stores.log.append("ann", b"ann %d" % n)
        await stores.log.append("bob", b"bob %d" % n)
    assert await stores.log.forget("ann") == 3
    assert await stores.log.read(10) == [b"bob 0", b"bob 1", b"bob 2"]
    assert await stores.log.forget("ann") == 0


@pytest.fixture(params=REAL)
def any_link(request: pytest.FixtureRequest) -> RedisLink:
    link: RedisLink = request.getfixturevalue(request.param)
    return link


async def test_a_record_that_comes_while_its_person_is_forgotten_can_be_deleted_later(
    any_link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = any_link
    log, run = RedisEventLog(link, "test"), link.run
    await log.append("ann", b"old")

    async def interrupted(*command: Any) -> Any:
        if command[0] == "XDEL":
            monkeypatch.undo()
            await log.append("ann", b"new")
        return await run(*command)

    monkeypatch.setattr(link, "run", interrupted)
    assert await log.forget("ann") == 1
    assert await log.read(10) == [b"new"]
    assert await log.forget("ann") == 1
    assert await log.read(10) == []
    assert await link.run("EXISTS", "test:{ann}:entries") == 0


async def test_an_empty_event_log_is_empty(stores: Stores) -> None:
    assert await stores.log.read(3) == []


async def test_people_do_not_see_each_others_events(stores: Stores) -> None:
    await stores.features.append("ann", watched((10, 4.0, 200)))
    assert len((await stores.features.read("bob")).events) == 0


@pytest.mark.parametrize("user_id", ["", "{}", "}{", "%7B", "名前", "a b\r\nc", "x" * 128])
async def test_any_text_may_be_a_user_id(stores: Stores, user_id: str) -> None:
    await stores.features.append(user_id, watched((10, 4.0, 200)))
    await stores.answers.put(user_id, "question", b"answer", 60)
    assert events_of(await stores.features.read(user_id)) == [(10, 4.0, 200)]
    assert await stores.answers.get(user_id, "question") == b"answer"


async def test_a_user_id_is_not_mistaken_for_its_quoted_form(stores: Stores) -> None:
    await stores.features.append("{", watched((10, 4.0, 200)))
    assert len((await stores.features.read("%7B")).events) == 0


async def test_films_of_text_ids_are_kept_apart_and_found_again(stores: Stores) -> None:
    catalog = Catalog([Film(7, "number"), Film("007", "zeros"), Film("tt0111161", "text")])
    for film, stars in ((7, 1.0), ("007", 2.0), ("tt0111161", 3.0), ("007", 4.0)):
        await stores.features.append("ann", [WatchEvent(film, stars, 100 + int(stars))])
    state = await stores.features.read("ann")
    rows = [catalog.row_of_key(key) for key in state.events["movie_key"].tolist()]
    assert list(zip(rows, state.events["rating"].tolist(), strict=True)) == [(0, 1.0), (2, 3.0), (1, 4.0)]


async def test_large_ids_survive(stores: Stores) -> None:
    await stores.features.append("ann", watched((2**53 - 1, 4.0, 4_102_444_800)))
    await stores.features.append("ann", watched((2**53 - 1, 3.0, 4_102_444_801)))
    assert events_of(await stores.features.read("ann")) == [(2**53 - 1, 3.0, 4_102_444_801)]


async def test_a_forgotten_person_has_no_events_and_the_flag(stores: Stores) -> None:
    before = await stores.features.append("ann", watched((10, 4.0, 200)))
    await stores.features.forget("ann")
    state = await stores.features.read("ann")
    assert (state.forgotten, len(state.events)) == (True, 0)
    assert state.version > before.version


async def test_a_forgotten_person_who_comes_back_stays_forgotten_to_the_release(stores: Stores) -> None:
    await stores.features.forget("ann")
    await stores.features.append("ann", watched((10, 4.0, 200)))
    state = await stores.features.read("ann")
    assert (state.forgotten, events_of(state)) == (True, [(10, 4.0, 200)])


async def test_concurrent_appends_all_count(stores: Stores) -> None:
    await asyncio.gather(*(stores.features.append("ann", watched((film, 4.0, 200 + film))) for film in range(50)))
    state = await stores.features.read("ann")
    assert state.events["movie_key"].tolist() == list(range(50))
    assert state.events["rating"].dtype == np.float32


async def test_an_answer_comes_back_byte_for_byte(stores: Stores) -> None:
    sealed = bytes(range(256))
    await stores.answers.put("ann", "top 10", sealed, 60)
    assert await stores.answers.get("ann", "top 10") == sealed
    assert await stores.answers.get("ann", "top 11") is None
    assert await stores.answers.get("bob", "top 10") is None


@pytest.mark.redis
async def test_an_answer_kept_for_long_is_not_lost_with_one_kept_for_a_moment(link: RedisLink) -> None:
    answers = RedisResponseCache(link, "test")
    await answers.put("ann", "long", b"long", 1_000)
    await answers.put("ann", "short", b"short", 1)
    remaining_ms = await link.run("PTTL", "test:{ann}:answers")
    assert 500_000 < remaining_ms <= 1_000_000
    await answers.put("ann", "longer", b"longer", 2_000)
    assert await link.run("PTTL", "test:{ann}:answers") > 1_000_000


async def test_an_event_forgets_the_persons_answers_and_nobody_elses(stores: Stores) -> None:
    await stores.answers.put("ann", "top 10", b"old", 60)
    await stores.answers.put("bob", "top 10", b"his", 60)
    await stores.features.append("ann", watched((10, 4.0, 200)))
    assert await stores.answers.get("ann", "top 10") is None
    assert await stores.answers.get("bob", "top 10") == b"his"


async def test_forgetting_a_person_forgets_their_answers(stores: Stores) -> None:
    await stores.answers.put("ann", "top 10", b"old", 60)
    await stores.features.forget("ann")
    assert await stores.answers.get("ann", "top 10") is None


@pytest.mark.parametrize("change", ["append", "forget", "genres"])
async def test_an_answer_that_comes_after_the_state_it_was_made_for_is_not_kept(stores: Stores, change: str) -> None:
    """It was computed before the person did something, or was forgotten, and is written afterwards."""
    before = (await stores.features.read("ann")).version
    await stores.answers.put("ann", "q", b"first", 60, before)
    assert await stores.answers.get("ann", "q") == b"first"
    if change == "append":
        await stores.features.append("ann", [WatchEvent(1)])
    elif change == "forget":
        await stores.features.forget("ann")
    else:
        await stores.features.choose_genres("ann", [1])
    await stores.answers.put("ann", "q", b"late", 60, before)
    assert await stores.answers.get("ann", "q") is None
    await stores.answers.put("ann", "q", b"new", 60, (await stores.features.read("ann")).version)
    assert await stores.answers.get("ann", "q") == b"new"


@pytest.mark.redis
@pytest.mark.parametrize("damaged", [b"x", b"x" * 19])
async def test_a_damaged_state_is_replaced_by_the_next_event(link: RedisLink, damaged: bytes) -> None:
    """Refused, the event would wait in the spool for ever, and all others behind it."""
    features = RedisFeatureStore(link, "test")
    await link.run("SET", "test:{ann}:state", damaged)
    with pytest.raises(DamagedState):
        await features.read("ann")
    appended = await features.append("ann", watched((7, 4.5, 99)), "once")
    assert (appended.changed, appended.duplicate) == (True, False)
    assert events_of(await features.read("ann")) == [(7, 4.5, 99)]
    await link.run("SET", "test:{ann}:state", damaged)
    await features.choose_genres("ann", [2])
    assert (await features.read("ann")).genres == (2,)


async def test_chosen_genres_are_kept_replaced_and_forgotten(stores: Stores) -> None:
    await stores.features.append("ann", [WatchEvent(1, 4.0, 100)])
    await stores.answers.put("ann", "q", b"answer", 60)
    await stores.features.choose_genres("ann", [18, 0, 3])
    before = await stores.features.read("ann")
    assert (before.genres, before.events["movie_key"].tolist(), before.forgotten) == ((0, 3, 18), [1], False)
    assert await stores.answers.get("ann", "q") is None
    await stores.features.choose_genres("ann", [5])
    await stores.features.append("ann", [WatchEvent(2, 4.0, 101)])
    after = await stores.features.read("ann")
    assert (after.genres, after.events["movie_key"].tolist()) == ((5,), [1, 2])
    assert after.version > before.version
    await stores.features.forget("ann")
    assert (await stores.features.read("ann")).genres == ()
    await stores.features.choose_genres("ann", [1])
    again = await stores.features.read("ann")
    assert (again.genres, again.forgotten) == ((1,), True)
