"""What every store of added films does, in memory and on a real Redis, single and cluster."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from bento.stores import redis_films
from bento.stores.connection.redis_link import RedisLink
from bento.stores.film_records import (
    FIRST_NEW_ID,
    UNKNOWN,
    CatalogueState,
    FilmRecord,
    FilmVectors,
    digest_of,
    pack,
    unpack_change,
)
from bento.stores.interfaces import FilmStore
from bento.stores.redis_films import RedisFilmStore
from features.catalog import Film
from features.ids import Id
from tests.stores.examples import REAL
from tests.stores.memory_stores import MemoryFilmStore

FILM = Film(7, "Solaris", 1972, ("Sci-Fi",), "Andrei Tarkovsky", ("Donatas Banionis",), "USSR", "An ocean thinks.")


@pytest.fixture(params=["memory", *REAL])
def store(request: pytest.FixtureRequest) -> FilmStore:
    return (
        MemoryFilmStore()
        if request.param == "memory"
        else RedisFilmStore(request.getfixturevalue(request.param), "test", "r1")
    )


@pytest.fixture(params=REAL)
def real_link(request: pytest.FixtureRequest) -> RedisLink:
    link: RedisLink = request.getfixturevalue(request.param)
    return link


def record(movie_id: Id = 7, **changes: object) -> FilmRecord:
    return FilmRecord(movie_id, replace(FILM, movie_id=movie_id), **changes)  # type: ignore[arg-type]


def vectors(of: FilmRecord) -> FilmVectors:
    return FilmVectors.of(of, np.arange(385, dtype=np.float32), np.ones(384, dtype=np.float32))


async def add(store: FilmStore, *records: FilmRecord) -> None:
    for one in records:
        assert await store.put(one, vectors(one), None, await store.state()) is not None


async def test_films_of_ids_that_differ_are_two(store: FilmStore) -> None:
    await add(store, record(7), record("007"), record("tt7"))
    assert await store.put(record("007", poster="x"), None, b"a picture", await store.state()) is not None
    changes = (await store.changes(UNKNOWN)).changes
    assert [change.record.movie_id for change in changes] == [7, "tt7", "007"]
    assert [await store.poster(movie_id) for movie_id in (7, "007")] == [None, b"a picture"]


async def test_an_empty_store_is_at_revision_0(store: FilmStore) -> None:
    assert await store.state() == CatalogueState("", 0)
    changes = await store.changes(UNKNOWN)
    assert (changes.state, changes.changes, changes.from_start) == (CatalogueState("", 0), [], True)


async def test_a_film_comes_back_as_it_was_put(store: FilmStore) -> None:
    await add(store, record())
    (change,) = (await store.changes(UNKNOWN)).changes
    assert change.record == record()
    assert change.vectors is not None
    np.testing.assert_array_equal(change.vectors.item_vector, np.arange(385))
    np.testing.assert_array_equal(change.vectors.text_vector, np.ones(384))


async def test_only_what_changed_since_is_read(store: FilmStore) -> None:
    await add(store, record(7), record(8))
    before = await store.state()
    await add(store, record(9), record(7, hidden=True))
    later = await store.changes(before)
    assert (before.revision, later.state.revision) == (2, 4)
    assert [(change.record.movie_id, change.record.hidden) for change in later.changes] == [(9, False), (7, True)]
    assert not later.from_start
    assert (await store.changes(later.state)).changes == []


async def test_whoever_comes_second_must_look_again(store: FilmStore) -> None:
    before = await store.state()
    await add(store, record(7))
    assert await store.put(record(8), None, None, before) is None
    assert [change.record.movie_id for change in (await store.changes(UNKNOWN)).changes] == [7]


async def test_of_changes_at_the_same_time_one_wins(store: FilmStore) -> None:
    before = await store.state()
    put = await asyncio.gather(*(store.put(record(n), None, None, before) for n in range(1, 9)))
    assert [state.revision for state in put if state is not None] == [1]


async def test_a_poster_stays_until_it_is_replaced_or_taken_away(store: FilmStore) -> None:
    digest = digest_of(b"one")
    await store.put(record(poster=digest), None, b"one", await store.state())
    await store.put(record(poster=digest, hidden=True), None, None, await store.state())
    assert await store.poster(7) == b"one"
    await store.put(record(poster=digest_of(b"two")), None, b"two", await store.state())
    assert await store.poster(7) == b"two"
    await store.put(record(), None, None, await store.state())
    assert await store.poster(7) is None


async def test_vectors_of_what_a_film_was_are_not_those_of_what_it_is(store: FilmStore) -> None:
    await add(store, record())
    renamed = FilmRecord(7, replace(FILM, title="Stalker"))
    state = await store.put(renamed, None, None, await store.state())
    assert (await store.changes(UNKNOWN)).changes[0].vectors is None
    await store.store_vectors(7, vectors(renamed))
    assert (await store.changes(UNKNOWN)).changes[0].vectors is not None
    assert await store.state() == state


async def test_numbers_are_given_once(store: FilmStore) -> None:
    given = await asyncio.gather(*(store.new_movie_id() for _ in range(5)))
    assert sorted(given) == list(range(FIRST_NEW_ID, FIRST_NEW_ID + 5))


async def test_releases_do_not_read_each_others_vectors(real_link: RedisLink) -> None:
    first, second = RedisFilmStore(real_link, "test", "r1"), RedisFilmStore(real_link, "test", "r2")
    await add(first, record())
    (change,) = (await second.changes(UNKNOWN)).changes
    assert change.record == record()
    assert change.vectors is None


async def test_many_changes_come_in_pages(real_link: RedisLink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_films, "PAGE", 3)
    store = RedisFilmStore(real_link, "test", "r1")
    await add(store, *(record(n) for n in range(1, 5)))
    middle = await store.state()
    await add(store, *(record(n) for n in range(5, 8)))
    assert [change.record.movie_id for change in (await store.changes(UNKNOWN)).changes] == list(range(1, 8))
    assert [change.record.movie_id for change in (await store.changes(middle)).changes] == [5, 6, 7]


async def test_a_store_that_was_emptied_says_so_whatever_came_after(real_link: RedisLink) -> None:
    store = RedisFilmStore(real_link, "test", "r1")
    await add(store, record(7), record(8))
    before = await store.state()
    await real_link.run("DEL", *(f"test:{{films}}:{name}" for name in ("state", "changes", "records", "posters")))
    await add(store, record(9), record(10), record(11))
    changes = await store.changes(before)
    assert (changes.state.revision, changes.from_start) == (3, True)
    assert [change.record.movie_id for change in changes.changes] == [9, 10, 11]


def test_a_record_without_vectors_unpacks() -> None:
    assert unpack_change(pack(FilmRecord(3, hidden=True)), None).record == FilmRecord(3, None, True, "")
