"""Filters against looking at every film by hand: which films pass, and that as many come back as there are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from bento.http.application import Application
from bento.http.request_ids import RequestIds
from bento.http.routing import Router
from bento.recommender.catalogue.film_search import FilmSearch
from bento.recommender.catalogue.films import FilmCards
from bento.recommender.catalogue.filters import FilmFilter
from bento.recommender.catalogue.posters import Posters
from bento.recommender.catalogue.similarity import live_similarity
from bento.recommender.over_http.lists.filtered_routes import FilteredRoutes, live_filter
from bento.recommender.pipeline import Pipeline, Stores
from bento.recommender.ranking.explanations import Explainer
from bento.recommender.recommendations import Recommendations
from bento.recommender.retrieval.candidates import Models
from bento.recommender.retrieval.deadlines import Deadlines
from bento.recommender.schemas import Filters, GenreFilter
from bento.recommender.telemetry.metrics import Metrics
from bento.release.loading import load_release
from features.catalog import Catalog, Film
from tests.recommender import genre_world
from tests.stores.memory_stores import MemoryFeatureStore, MemoryResponseCache

PEOPLE = ("Ann Field", "Bo Sea", "Ann Marie Sea", "Çelik Öz", "O'Hara")
COUNTRIES = ("USA", "France, USA", "Norway", "")
GENRES = ("Comedy", "Drama", "Film-Noir", "War")

films = st.builds(
    Film,
    movie_id=st.just(0),
    title=st.just("A"),
    year=st.none() | st.integers(1985, 2000),
    genres=st.lists(st.sampled_from(GENRES), max_size=3, unique=True).map(tuple),
    director=st.sampled_from(("", *PEOPLE)),
    cast=st.lists(st.sampled_from(PEOPLE), max_size=3).map(tuple),
    country=st.sampled_from(COUNTRIES),
)
genre_names = st.lists(st.sampled_from([*GENRES, "Horror"]), max_size=2)
filters_of = st.builds(
    Filters,
    genres=st.none() | genre_names | st.builds(GenreFilter, any=genre_names, all=genre_names),
    exclude_genres=genre_names,
    min_year=st.none() | st.integers(1983, 2002),
    max_year=st.none() | st.integers(1983, 2002),
    people=st.lists(st.sampled_from(["ANN", "sea", "Ann Field", "celik oz", "o'hara", "hara", "se"]), max_size=2),
    country=st.none() | st.sampled_from(["usa", "France", "Norway", "way"]),
    min_rating=st.none() | st.sampled_from([0.0, 2.5, 3.0, 4.2, 5.0]),
)


def words_of(name: str) -> list[str]:
    """Said another way than the filter says it."""
    return name.lower().replace("ç", "c").replace("ö", "o").split()


def holds(known: str, wanted: str) -> bool:
    """The words of one name stand one after the other in another."""
    have, want = words_of(known), words_of(wanted)
    return any(have[at : at + len(want)] == want for at in range(len(have)))


def passes(film: Film, mean: float, filters: Filters) -> bool:
    said = filters.genres if isinstance(filters.genres, GenreFilter) else GenreFilter(any=filters.genres or [])
    return (
        (not said.any or bool(set(said.any) & set(film.genres)))
        and set(said.all) <= set(film.genres)
        and not set(filters.exclude_genres) & set(film.genres)
        and (filters.min_year is None or (film.year is not None and film.year >= filters.min_year))
        and (filters.max_year is None or (film.year is not None and film.year <= filters.max_year))
        and (not filters.people or any(holds(n, w) for n in (film.director, *film.cast) for w in filters.people))
        and (filters.country is None or any(holds(one, filters.country) for one in film.country.split(",")))
        and (filters.min_rating is None or (mean > 0 and mean >= np.float32(filters.min_rating)))
    )


@settings(max_examples=300, deadline=None)
@given(
    some=st.lists(st.tuples(films, st.sampled_from([0.0, 2.5, 2.9, 3.0, 4.2, 5.0])), max_size=15), filters=filters_of
)
def test_exactly_the_films_pass_that_pass_by_hand(some: list[tuple[Film, float]], filters: Filters) -> None:
    catalog = Catalog(replace(film, movie_id=10 + at) for at, (film, _) in enumerate(some))
    means = np.array([mean for _, mean in some], dtype=np.float32)
    expected = [passes(film, float(mean), filters) for film, mean in zip(catalog.films, means, strict=True)]
    assert FilmFilter(catalog, means).mask(filters).tolist() == expected


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Asks `/recommend/filtered` of the genre world: body -> answer."""
    repository = tmp_path_factory.mktemp("filters") / "model_repository"
    repository.mkdir()
    genre_world.write_release(repository)
    release = load_release(repository)
    models, answers, metrics = genre_world.GenreModels(), MemoryResponseCache(), Metrics(CollectorRegistry())
    cards = FilmCards(release, Posters(release.folder))
    pipeline = Pipeline(
        release,
        Models(models, release.number, Deadlines(5.0, 5.0, 20.0)),
        Stores(MemoryFeatureStore(answers), answers),
        cards,
        Explainer(release, live_similarity(release)),
        metrics,
    )
    recommendations = Recommendations(pipeline, release, RequestIds("id"))
    routes = FilteredRoutes(recommendations, live_filter(release, cards), FilmSearch(release, models)).routes()
    app = Application(Router(routes), metrics, 100_000)
    with asyncio.Runner() as runner:

        async def post(body: dict[str, Any]) -> Any:
            transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://m") as client:
                return (await client.post("/recommend/filtered", json=body)).json()

        yield lambda body: runner.run(post(body))
        runner.run(pipeline.close())


FILMS = genre_world.catalog().films
MOVIE_IDS = [film.movie_id for film in FILMS]
asked_genres = st.lists(st.sampled_from(genre_world.GENRES), max_size=2)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    history=st.lists(st.sampled_from(MOVIE_IDS), max_size=8, unique=True),
    exclude=st.lists(st.sampled_from(MOVIE_IDS), max_size=8, unique=True),
    any_of=asked_genres,
    without=asked_genres,
    first=st.none() | st.integers(1988, 1997),
    last=st.none() | st.integers(1988, 1997),
    top_k=st.integers(1, 30),
)
def test_as_many_films_come_back_as_pass_and_a_reason_where_they_are_fewer(
    ask: Any, history: list[int], exclude: list[int], any_of: list[str], without: list[str], first: int | None,
    last: int | None, top_k: int,
) -> None:  # fmt: skip
    filters = Filters(genres=any_of, exclude_genres=without, min_year=first, max_year=last)
    possible = {
        film.movie_id
        for film in FILMS
        if passes(film, 0.0, filters) and film.movie_id not in history and film.movie_id not in exclude
    }
    given_filters: dict[str, Any] = {"genres": any_of, "exclude_genres": without}
    given_filters |= {name: year for name, year in (("min_year", first), ("max_year", last)) if year is not None}
    answer = ask({"history": history, "exclude": exclude, "top_k": top_k, **given_filters})
    shown = [film["movie_id"] for film in answer["recommendations"]]
    assert len(shown) == len(set(shown)) == min(top_k, len(possible))
    assert set(shown) <= possible
    assert (answer["reason"] is None) == (len(shown) == top_k)
    assert answer["degraded"] == []
