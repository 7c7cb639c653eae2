"""Recommendations among films that pass filters: exact, as many as there are, with a reason where they are few."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import httpx
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bento.http.application import Application
from bento.http.reading import decode
from bento.http.request_ids import RequestIds
from bento.http.routing import Router
from bento.inference.core.errors import BackendFailed
from bento.inference.core.messages import InferRequest, InferResponse
from bento.recommender.catalogue.film_search import FilmSearch
from bento.recommender.catalogue.filters import FilmFilter
from bento.recommender.over_http.lists import filtered_routes
from bento.recommender.over_http.lists.filtered_routes import FilteredRoutes, live_filter
from bento.recommender.recommendations import Recommendations
from bento.recommender.schemas import FilteredAnswer, FilteredRequest, Filters, GenreFilter
from features.catalog import Catalog, Film
from tests.recommender.genre_world import films_of
from tests.recommender.world import World


class Meaning:
    """A text encoder that says Sci-Fi, whatever it is told."""

    def __init__(self) -> None:
        self.fails = False

    async def infer(self, request: InferRequest) -> InferResponse:
        if self.fails:
            raise BackendFailed("no encoder")
        return InferResponse("text_embedding", "1", "", {"embedding": np.array([[0, 0, 1, 0]], np.float32)})


@pytest.fixture
def meaning() -> Meaning:
    return Meaning()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


@pytest.fixture
async def client(world: World, meaning: Meaning) -> AsyncIterator[httpx.AsyncClient]:
    films = world.release.films
    world.release.films = replace(films, raw_text_vectors=np.repeat(np.eye(4, dtype=np.float32), 6, axis=0))
    film_filter = live_filter(world.release, world.cards)
    search = FilmSearch(world.release, meaning)
    recommendations = Recommendations(world.pipeline, world.release, RequestIds("id"))
    routes = FilteredRoutes(recommendations, film_filter, search).routes()
    app = Application(Router(routes), world.metrics, 10_000)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://m") as client:  # type: ignore[arg-type]
        yield client
    world.release.films = films


async def ask(client: httpx.AsyncClient, **body: object) -> FilteredAnswer:
    response = await client.post("/recommend/filtered", json=body)
    assert response.status_code == 200, response.text
    return decode(response.content, FilteredAnswer)


def ids_of(answer: FilteredAnswer) -> list[int]:
    return [film.movie_id for film in answer.recommendations]


async def test_the_best_films_that_pass_are_recommended(client: httpx.AsyncClient) -> None:
    answer = await ask(client, history=[202], genres=["War"], top_k=3)
    assert ids_of(answer) == films_of(3)[:3]
    assert answer.filters_applied == {"genres": ["War"]}
    assert (answer.strategy, answer.reason) == ("hybrid", None)


async def test_the_taste_orders_what_passes(client: httpx.AsyncClient) -> None:
    answer = await ask(client, history=[202], genres={"any": ["War", "Horror"]}, min_year=1993, top_k=10)
    assert ids_of(answer) == [203, 204, 205, 403, 404, 405]


async def test_too_few_films_come_with_a_reason(client: httpx.AsyncClient) -> None:
    answer = await ask(client, user_id="ann", genres=["Comedy"], top_k=10)
    assert ids_of(answer) == [100, 101, 102, 105]
    assert answer.reason == "only 6 films pass these filters, of which 2 already seen"


async def test_no_film_at_all_is_an_empty_list_with_a_reason(client: httpx.AsyncClient) -> None:
    answer = await ask(client, user_id="ann", genres={"all": ["War", "Comedy"]})
    assert (ids_of(answer), answer.reason) == ([], "no film passes these filters")


async def test_a_stranger_gets_popular_films_that_pass(client: httpx.AsyncClient) -> None:
    answer = await ask(client, user_id="nobody", exclude_genres=["Comedy", "Horror"], max_year=1991, top_k=4)
    assert answer.strategy == "cold_start"
    assert sorted(ids_of(answer)) == [300, 301, 400, 401]


async def test_whoever_has_seen_all_that_passes_is_not_offered_it_again(client: httpx.AsyncClient) -> None:
    answer = await ask(client, user_id="everything", genres=["War"])
    assert (ids_of(answer), answer.reason) == (
        [],
        "only 6 films pass these filters, of which 6 already seen",
    )


@pytest.mark.parametrize("broken", [["retrieval"], ["retrieval", "ease"], ["retrieval", "ease", "content_profile"]])
async def test_filters_hold_on_every_rung_of_the_ladder(
    client: httpx.AsyncClient, world: World, broken: list[str]
) -> None:
    world.models.failing.update(broken)
    answer = await ask(client, history=[202], genres=["War"], top_k=10)
    assert sorted(ids_of(answer)) == films_of(3)
    assert "retrieval" in answer.degraded


async def test_a_text_lets_the_nearest_films_pass(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filtered_routes, "MEANING_POOL", 4)
    answer = await ask(client, history=[202], text="ships between stars", min_year=1991, top_k=10)
    assert ids_of(answer) == [301, 302, 303, 304]
    assert answer.filters_applied == {"min_year": 1991, "text": "ships between stars"}


async def test_without_the_encoder_the_other_filters_hold(client: httpx.AsyncClient, meaning: Meaning) -> None:
    meaning.fails = True
    answer = await ask(client, history=[202], text="ships between stars", genres=["War"], top_k=10)
    assert ids_of(answer) == films_of(3)
    assert answer.degraded == ["text_embedding"]


async def test_final_k_cuts_the_list(client: httpx.AsyncClient) -> None:
    answer = await ask(client, history=[202], genres=["War"], top_k=5, final_k=2)
    assert (ids_of(answer), answer.reason) == (films_of(3)[:2], None)


async def test_a_filtered_answer_is_not_served_for_the_unfiltered_question(
    client: httpx.AsyncClient, world: World
) -> None:
    await ask(client, user_id="ann")
    await world.pipeline.close()
    assert not (await world.ask('{"user_id": "ann"}')).cached
    assert (await ask(client, user_id="ann")).cached


@pytest.mark.parametrize(
    "body",
    [{"genres": ["Tragedy"]}, {"exclude_genres": ["Tragedy"]}, {"min_year": 99}, {"genre": ["War"]}, {"people": [""]}],
)
async def test_a_wrong_filter_is_refused(client: httpx.AsyncClient, body: dict[str, object]) -> None:
    response = await client.post("/recommend/filtered", json=body)
    assert response.status_code == 422


FILMS = Catalog(
    [
        Film(1, "a", 1979, ("Horror", "Sci-Fi"), "Ridley Scott", ("Sigourney Weaver",), "UK, USA"),
        Film(2, "b", 1986, ("Action", "Sci-Fi"), "James Cameron", ("Sigourney Weaver",), "USA"),
        Film(3, "c", None, ("Romance",), "Agnès Varda", (), "France"),
        Film(4, "d", 2001, (), "", (), ""),
    ]
)
MEANS = np.array([4.5, 4.0, 0.0, 2.0], dtype=np.float32)


@pytest.mark.parametrize(
    ("filters", "movie_ids"),
    [
        (Filters(), [1, 2, 3, 4]),
        (Filters(genres=["Sci-Fi"]), [1, 2]),
        (Filters(genres=["sci-fi"]), [1, 2]),
        (Filters(genres=GenreFilter(any=["Horror", "Romance"])), [1, 3]),
        (Filters(genres=GenreFilter(all=["Horror", "Sci-Fi"])), [1]),
        (Filters(genres=GenreFilter(any=["Sci-Fi"], all=["Action"])), [2]),
        (Filters(exclude_genres=["Sci-Fi"]), [3, 4]),
        (Filters(min_year=1986), [2, 4]),
        (Filters(max_year=1986), [1, 2]),
        (Filters(people=["weaver"]), [1, 2]),
        (Filters(people=["SIGOURNEY  WEAVER"]), [1, 2]),
        (Filters(people=["agnes varda"]), [3]),
        (Filters(people=["weave"]), []),
        (Filters(people=["Scott", "Varda"]), [1, 3]),
        (Filters(country="usa"), [1, 2]),
        (Filters(country="France"), [3]),
        (Filters(min_rating=4.2), [1]),
        (Filters(min_rating=0), [1, 2, 4]),
        (Filters(people=["weaver"], min_year=1980, country="USA"), [2]),
    ],
    ids=repr,
)
def test_filters_let_exactly_these_pass(filters: Filters, movie_ids: list[int]) -> None:
    passing = np.flatnonzero(FilmFilter(FILMS, MEANS).mask(filters))
    assert FILMS.movie_ids[passing].tolist() == movie_ids


YEARS = st.none() | st.integers(1988, 1997)
SOME_GENRES = st.lists(st.sampled_from(["Comedy", "Horror", "Sci-Fi", "War"]), max_size=3)


@given(any_of=SOME_GENRES, without=SOME_GENRES, first=YEARS, last=YEARS)
def test_filters_agree_with_looking_at_every_film(
    any_of: list[str], without: list[str], first: int | None, last: int | None
) -> None:
    from tests.recommender.genre_world import catalog

    films = catalog()
    filters = Filters(genres=any_of, exclude_genres=without, min_year=first, max_year=last)
    expected = [
        film.movie_id
        for film in films.films
        if (not any_of or set(any_of) & set(film.genres))
        and not set(without) & set(film.genres)
        and (first is None or (film.year or 0) >= first)
        and (last is None or (film.year or 9999) <= last)
    ]
    passing = FilmFilter(films, np.zeros(len(films), np.float32)).mask(filters)
    assert films.movie_ids[passing].tolist() == expected


def test_a_request_takes_every_filter() -> None:
    asked = {field.name: (field.type, field.default) for field in msgspec.structs.fields(FilteredRequest)}
    for field in msgspec.structs.fields(Filters):
        assert asked[field.name] == (field.type, field.default)
