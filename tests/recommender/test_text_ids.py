"""A release whose films have text for ids: the same answers as with numbers, by those ids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bento.release.loading import load_release
from bento.stores.person import WatchEvent
from features.catalog import Catalog
from tests.recommender.world import World


@pytest.fixture
def world(make_world: Callable[..., World], repository: Path) -> World:
    """Film 202 is `tt202`, but film 203 is `0202`: another id than 202, which no film has."""
    own = load_release(repository)
    films = [
        replace(film, movie_id="0202" if film.movie_id == 203 else f"tt{film.movie_id}")
        for film in own.films.catalog.films
    ]
    own.films = replace(own.films, catalog=Catalog(films))
    return make_world(of=own)


async def test_a_history_of_text_ids_is_answered_by_text_ids(world: World) -> None:
    answered = await world.ask('{"history": ["tt202", {"movie_id": "0202", "rating": 4}], "top_k": 4}')
    assert answered.movie_ids == ["tt200", "tt201", "tt204", "tt205"]
    assert (answered.strategy, answered.ignored_movie_ids) == ("hybrid", 0)


async def test_ids_that_are_nearly_those_of_films_are_no_film_s(world: World) -> None:
    answered = await world.ask(
        '{"history": ["TT202", 202, "202", "00202", "0202", "tt0202"], "exclude": [204, "tt204"]}'
    )
    assert answered.ignored_movie_ids == 5
    assert {"tt202", "tt203", "0202", "tt204"} & set(answered.movie_ids) == {"tt202"}


async def test_events_on_films_of_text_ids_continue_the_history(world: World) -> None:
    await world.features.append("new", [WatchEvent("tt202", 5.0, 100), WatchEvent("0202", 5.0, 101)])
    answered = await world.ask('{"user_id": "new", "top_k": 4}')
    assert answered.movie_ids == ["tt200", "tt201", "tt204", "tt205"]


async def test_a_person_s_id_with_leading_zeros_is_another_person(world: World) -> None:
    known = [(await world.ask(f'{{"user_id": {user_id}}}')).strategy for user_id in ("7", '"7"', '"007"', '"7.0"')]
    assert known == ["hybrid", "hybrid", "cold_start", "cold_start"]
