"""Films that come and go while a release is served, on the genre world, whose answers are known."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from PIL import Image

from bento.http.application import Application
from bento.http.request_ids import RequestIds
from bento.http.routing import Router
from bento.recommender.catalogue.film_rows import FilmRows
from bento.recommender.catalogue.film_search import FilmSearch
from bento.recommender.catalogue.live_catalogue import LiveCatalogue
from bento.recommender.catalogue.new_film_encoder import NewFilmEncoder
from bento.recommender.catalogue.posters import Posters
from bento.recommender.catalogue.similarity import live_similarity
from bento.recommender.over_http.admin_film_routes import AdminFilmRoutes
from bento.recommender.over_http.catalogue_routes import CatalogueRoutes
from bento.recommender.over_http.lists.filtered_routes import FilteredRoutes, live_filter
from bento.recommender.over_http.lists.list_routes import RecommendRoutes
from bento.recommender.over_http.lists.movie_title_routes import MovieTitleRoutes
from bento.recommender.over_http.people.event_routes import EventRoutes
from bento.recommender.people.events import Feedback
from bento.recommender.recommendations import Recommendations
from bento.release.loading import Release, load_release
from bento.stores.errors import StoreUnavailable
from bento.stores.film_records import FIRST_NEW_ID, UNKNOWN
from bento.stores.spool import Spool
from tests.recommender.genre_world import FILMS_PER_GENRE, N_FILMS, films_of
from tests.recommender.world import World
from tests.stores.memory_stores import MemoryEventLog, MemoryFilmStore

NEW = FIRST_NEW_ID
TRENCHES = {"title": "Trenches", "year": 1995, "genres": ["war"], "overview": "Mud.", "director": "Ann Field"}


@pytest.fixture
def release(repository: Any) -> Release:
    """One of its own for every test: its films change."""
    own = load_release(repository)
    text = np.zeros((N_FILMS, 384), dtype=np.float32)
    text[np.arange(N_FILMS), np.arange(N_FILMS) // FILMS_PER_GENRE] = 1
    own.films = replace(own.films, raw_text_vectors=text)
    return own


@dataclass
class Worker:
    """One process's view."""

    world: World
    catalogue: LiveCatalogue
    client: httpx.AsyncClient

    async def get(self, path: str) -> Any:
        return (await self.client.get(path)).json()

    async def post(self, path: str, **body: Any) -> Any:
        return (await self.client.post(path, json=body)).json()

    async def add(self, status: int = 201, **said: Any) -> Any:
        response = await self.client.post("/admin/movies", json=TRENCHES | said)
        assert response.status_code == status, response.text
        return response.json()

    async def recommended(self, **question: Any) -> list[int]:
        answer = await self.post("/recommend", **question)
        return [film["movie_id"] for film in answer["recommendations"]]


@pytest.fixture
def store() -> MemoryFilmStore:
    return MemoryFilmStore()


@pytest.fixture
async def make_worker(
    make_world: Callable[..., World], store: MemoryFilmStore, tmp_path: Any
) -> AsyncIterator[Callable[..., Any]]:
    running: list[Worker] = []

    async def make(of: Release) -> Worker:
        world = make_world(of=of)
        search, ids = FilmSearch(of, world.models), RequestIds("id")
        catalogue = LiveCatalogue(of, store, NewFilmEncoder(world.models, of), search.titles)
        similarity, posters = live_similarity(of), Posters(of.folder)
        recommendations = Recommendations(world.pipeline, of, ids)
        feedback = Feedback(world.features, MemoryEventLog(), Spool(tmp_path / f"spool-{len(running)}"))
        routes = [
            *RecommendRoutes(recommendations).routes(),
            *FilteredRoutes(recommendations, live_filter(of, world.cards), search).routes(),
            *CatalogueRoutes(of, world.cards, similarity, posters, search, ids, catalogue.poster).routes(),
            *MovieTitleRoutes(of, world.cards, similarity, search.titles, ids).routes(),
            *EventRoutes(feedback, of, ids).routes(),
            *AdminFilmRoutes(of, catalogue, world.cards).routes(),
        ]
        app = Application(Router(routes), world.metrics, 2**20)
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://m")  # type: ignore[arg-type]
        running.append(Worker(world, catalogue, client))
        await catalogue.start()
        return running[-1]

    yield make
    for worker in running:
        await worker.catalogue.close()
        await worker.client.aclose()


@pytest.fixture
async def worker(make_worker: Callable[..., Any], release: Release) -> Worker:
    made: Worker = await make_worker(release)
    return made


def picture(colour: str = "red", size: tuple[int, int] = (60, 90), kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size, colour).save(content, kind)
    return content.getvalue()


async def test_a_new_film_is_told_as_it_was_said(worker: Worker) -> None:
    answer = await worker.add()
    assert answer["success"]
    assert answer["catalogue_revision"] == 1
    assert answer["movie"] == (await worker.get(f"/movie/{NEW}"))
    assert answer["movie"] | TRENCHES | {"genres": ["War"], "movie_id": NEW} == answer["movie"]


async def test_a_new_film_is_found_by_title_meaning_neighbours_and_lists(worker: Worker) -> None:
    await worker.add()
    by_title = (await worker.get("/search?q=trenches"))["films"]
    by_meaning = (await worker.get("/search?q=something about War and men&limit=100"))["films"]
    assert by_title[0]["movie_id"] == NEW
    assert NEW in {film["movie_id"] for film in by_meaning if film["match"] == "meaning"}
    assert {film["movie_id"] for film in (await worker.post("/similar", movie_id=NEW, top_k=6))["similar"]} == set(
        films_of(3)
    )
    assert NEW in {film["movie_id"] for film in (await worker.post("/similar", movie_id=400, top_k=6))["similar"]}
    listed = (await worker.get("/movies?genre=War&sort=year&page_size=100"))["movies"]
    assert listed[0]["movie_id"] == NEW
    assert (await worker.get("/recommend/movie?title=trenches"))["query_movie"]["movie_id"] == NEW


async def test_a_new_film_is_recommended_at_once_to_whom_it_suits(worker: Worker) -> None:
    asked = {"history": [400, 401], "top_k": 5}
    assert NEW not in await worker.recommended(**asked)
    await worker.add()
    assert set(await worker.recommended(**asked)) == {NEW, 402, 403, 404, 405}
    assert NEW not in await worker.recommended(history=[100, 101], top_k=4)


async def test_contributions_of_a_new_film_add_up_to_its_score(worker: Worker) -> None:
    await worker.add()
    answer = await worker.post("/recommend", history=[400, 401], top_k=30, explain=True)
    (film,) = (film for film in answer["recommendations"] if film["movie_id"] == NEW)
    assert sum(film["reasons"]["contributions"].values()) == pytest.approx(film["score"], abs=1e-5)
    assert film["reasons"]["because"][0]["movie_id"] in {400, 401}


async def test_filters_know_a_new_film(worker: Worker) -> None:
    await worker.add(country="Norway", cast=["Bo Sea"])
    for filters in ({"people": ["ann field"]}, {"country": "norway"}, {"people": ["Sea"], "genres": ["War"]}):
        answer = await worker.post("/recommend/filtered", history=[400], **filters)
        assert [film["movie_id"] for film in answer["recommendations"]] == [NEW]
    answer = await worker.post("/recommend/filtered", history=[400], genres=["War"], max_year=1994, top_k=20)
    assert NEW not in [film["movie_id"] for film in answer["recommendations"]]


async def test_a_new_film_that_was_watched_tells_the_taste_and_is_not_offered_again(worker: Worker) -> None:
    await worker.add()
    event = {"user_id": "me", "item_id": NEW, "event_type": "like"}
    assert (await worker.client.post("/events", json=event)).status_code == 202
    assert sorted(await worker.recommended(user_id="me", top_k=6)) == films_of(3)


async def test_answers_carry_the_revision_and_are_cached_by_it(worker: Worker) -> None:
    asked = {"user_id": "ann", "top_k": 3}
    first = await worker.post("/recommend", **asked)
    await worker.world.pipeline.close()
    assert (await worker.post("/recommend", **asked))["cached"]
    await worker.add()
    later = await worker.post("/recommend", **asked)
    assert (first["catalogue_revision"], later["catalogue_revision"], later["cached"]) == (0, 1, False)


async def test_a_removed_film_is_shown_nowhere_and_comes_back(worker: Worker) -> None:
    await worker.add()
    for movie_id in (NEW, 402):
        removed = (await worker.client.delete(f"/admin/movies/{movie_id}")).json()
        assert removed["movie_id"] == movie_id
        assert (await worker.client.get(f"/movie/{movie_id}")).status_code == 404
        assert (await worker.client.get(f"/poster/{movie_id}")).status_code == 404
        assert movie_id not in await worker.recommended(history=[400, 401], top_k=100)
        assert movie_id not in await worker.recommended(top_k=100)
        assert movie_id not in [film["movie_id"] for film in (await worker.get("/movies?page_size=100"))["movies"]]
        assert movie_id not in [film["movie_id"] for film in (await worker.get("/search?q=war 2 trenches"))["films"]]
        similar = (await worker.post("/similar", movie_id=400, top_k=100))["similar"]
        assert movie_id not in [film["movie_id"] for film in similar]
        answer = await worker.post("/recommend/filtered", history=[400], genres=["War"], top_k=50)
        assert movie_id not in [film["movie_id"] for film in answer["recommendations"]]
        assert (await worker.client.post(f"/admin/movies/{movie_id}/restore")).status_code == 200
        assert movie_id in await worker.recommended(history=[400, 401], top_k=100)


async def test_what_is_removed_twice_changes_once(worker: Worker) -> None:
    first = (await worker.client.delete("/admin/movies/402")).json()
    second = (await worker.client.delete("/admin/movies/402")).json()
    assert first["catalogue_revision"] == second["catalogue_revision"] == 1
    assert (await worker.get("/admin/movies")) == {
        "added": [], "removed": [402], "catalogue_revision": 1, "release": 1,
    }  # fmt: skip


async def test_a_changed_film_is_what_is_said_last(worker: Worker) -> None:
    await worker.add()
    changed = TRENCHES | {"title": "Laughter", "genres": ["Comedy"]}
    response = await worker.client.put(f"/admin/movies/{NEW}", json=changed)
    assert response.status_code == 200
    assert (await worker.get("/search?q=trenches"))["films"] == []
    assert NEW in await worker.recommended(history=[100, 101], top_k=5)
    assert NEW not in await worker.recommended(history=[400, 401], top_k=4)


async def test_a_poster_is_kept_shown_replaced_and_taken_away(worker: Worker) -> None:
    await worker.add(poster=base64.b64encode(picture("red", (1500, 2000))).decode())
    url = (await worker.get(f"/movie/{NEW}"))["poster_url"]
    shown = await worker.client.get(url)
    assert shown.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(shown.content)).size == (750, 1000)
    assert (await worker.client.put(f"/admin/movies/{NEW}", json=TRENCHES)).json()["movie"]["poster_url"] == url
    blue = await worker.client.put(f"/admin/movies/{NEW}/poster", content=picture("blue", kind="WEBP"))
    assert blue.status_code == 200
    red, _, blue_value = Image.open(io.BytesIO((await worker.client.get(url)).content)).getpixel((5, 5))  # type: ignore[misc]
    assert red < 60 < 200 < blue_value
    gone = await worker.client.put(f"/admin/movies/{NEW}", json=TRENCHES | {"poster": None})
    assert gone.json()["movie"]["poster_url"] is None


@pytest.mark.parametrize(
    ("said", "status", "code", "message"),
    [
        ({"genres": ["Tragedy"]}, 422, "invalid_request", "genres: expected genres among"),
        ({"title": "  "}, 422, "invalid_request", "title"),
        ({"year": 1700}, 422, "invalid_request", "year"),
        ({"movie_id": 0}, 422, "invalid_request", "movie_id"),
        ({"movie_id": ""}, 422, "invalid_request", "movie_id"),
        ({"movie_id": "../7"}, 422, "invalid_request", "movie_id"),
        ({"movie_id": "a b"}, 422, "invalid_request", "movie_id"),
        ({"movie_id": "x" * 129}, 422, "invalid_request", "movie_id"),
        ({"movie_id": "403"}, 409, "duplicate_film", "movie_id 403 is in the catalogue already"),
        ({"colour": "red"}, 422, "invalid_request", "colour"),
        ({"poster": "no base64!"}, 422, "invalid_request", "poster: not base64"),
        ({"poster": base64.b64encode(b"no picture").decode()}, 422, "invalid_request", "poster: not a readable image"),
        ({"movie_id": 403}, 409, "duplicate_film", "movie_id 403 is in the catalogue already"),
        ({"title": "war  3", "year": 1993}, 409, "duplicate_film", "War 3 (1993) is in the catalogue already"),
    ],
)
async def test_what_cannot_be_added_is_refused_in_words(
    worker: Worker, said: dict[str, Any], status: int, code: str, message: str
) -> None:
    error = (await worker.add(status, **said))["error"]
    assert error["code"] == code
    assert message in error["message"]
    assert (await worker.get("/admin/movies"))["catalogue_revision"] == 0


@pytest.mark.parametrize("movie_id", ["tt0111161", "0403", "9223372036854775808", "ann@example.org", "ü:5?#%"])
async def test_a_film_of_any_id_is_asked_for_by_that_id(worker: Worker, movie_id: str) -> None:
    added = await worker.add(movie_id=movie_id, poster=base64.b64encode(picture()).decode())
    assert added["movie"]["movie_id"] == movie_id
    quoted = quote(movie_id, safe="")
    assert added["movie"]["poster_url"] == f"/poster/{quoted}"
    assert (await worker.client.get(f"/poster/{quoted}")).headers["content-type"] == "image/jpeg"
    assert (await worker.get(f"/movie/{quoted}"))["movie_id"] == movie_id
    assert (await worker.post("/similar", movie_id=movie_id))["movie_id"] == movie_id
    answer = await worker.post("/recommend", history=films_of(3), top_k=N_FILMS, diversity=0)
    assert movie_id in [film["movie_id"] for film in answer["recommendations"]]
    event = {"user_id": "000001", "item_id": movie_id, "event_type": "like"}
    assert (await worker.client.post("/events", json=event)).status_code == 202
    for person, is_new in (("000001", False), ("1", True), (1, True)):
        answer = await worker.post("/recommend", user_id=person, top_k=N_FILMS)
        assert (movie_id in [film["movie_id"] for film in answer["recommendations"]]) is is_new
    assert (await worker.client.delete(f"/admin/movies/{quoted}")).json()["movie_id"] == movie_id
    assert (await worker.client.get(f"/movie/{quoted}")).status_code == 404


async def test_a_number_beyond_53_bits_is_the_same_film_as_its_text(worker: Worker) -> None:
    added = await worker.add(movie_id=9_007_199_254_740_993)
    assert added["movie"]["movie_id"] == "9007199254740993"
    for movie_id in (9_007_199_254_740_993, "9007199254740993"):
        assert (await worker.post("/similar", movie_id=movie_id))["movie_id"] == "9007199254740993"
    assert (await worker.client.post("/similar", json={"movie_id": 9_007_199_254_740_992})).status_code == 404


async def test_another_film_of_the_same_title_can_be_added_when_it_is_said(worker: Worker) -> None:
    await worker.add(title="War 3", year=2003)
    await worker.add(409, title="War 3", year=1993)
    await worker.add(title="War 3", year=1993, allow_same_title=True, movie_id="77")
    assert (await worker.get("/movie/77"))["title"] == "War 3"


async def test_films_of_the_release_are_removed_but_not_changed(worker: Worker) -> None:
    refused = await worker.client.put("/admin/movies/403", json=TRENCHES)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "released_film")
    for method, path in (
        ("PUT", "/admin/movies/55"),
        ("DELETE", "/admin/movies/55"),
        ("POST", "/admin/movies/x/restore"),
    ):
        assert (await worker.client.request(method, path, json=TRENCHES)).status_code == 404


async def test_every_worker_sees_what_one_was_told(
    worker: Worker, make_worker: Callable[..., Any], repository: Any
) -> None:
    other = await make_worker(load_release(repository))
    await worker.add()
    async with asyncio.timeout(10):
        while (await other.client.get(f"/movie/{NEW}")).status_code != 200:
            await asyncio.sleep(0.01)
    assert NEW in await other.recommended(history=[400, 401], top_k=5)
    await asyncio.gather(*(one.add(title=f"Front {n}") for n, one in enumerate([worker, other] * 5)))
    await asyncio.gather(worker.catalogue.catch_up(), other.catalogue.catch_up())
    assert len((await worker.get("/admin/movies"))["added"]) == 11
    assert await worker.get("/admin/movies") == await other.get("/admin/movies")


async def test_what_another_worker_did_a_moment_ago_is_undone_all_the_same(
    worker: Worker, make_worker: Callable[..., Any], repository: Any
) -> None:
    other = await make_worker(load_release(repository))
    for one in (worker, other):
        await one.catalogue.close()  # they look when they change something themselves, and at no other time
    await worker.catalogue.set_hidden(402, True)
    await other.catalogue.set_hidden(402, False)
    await worker.catalogue.catch_up()
    assert (await worker.client.get("/movie/402")).status_code == 200
    await other.catalogue.set_hidden(402, True)
    await worker.catalogue.set_hidden(402, False)
    await other.catalogue.catch_up()
    assert (await other.client.get("/movie/402")).status_code == 200


async def test_a_number_that_somebody_chose_is_given_to_nobody_else(worker: Worker) -> None:
    await worker.add(movie_id=NEW)
    assert (await worker.add(title="Another"))["movie"]["movie_id"] == NEW + 1


async def test_added_films_survive_a_restart(worker: Worker, make_worker: Callable[..., Any], repository: Any) -> None:
    await worker.add()
    await worker.client.delete("/admin/movies/402")
    calls = worker.world.models.calls["new_film_tower"]
    later = await make_worker(load_release(repository))
    assert NEW in await later.recommended(history=[400, 401], top_k=5)
    assert (await later.client.get("/movie/402")).status_code == 404
    assert (calls, later.world.models.calls["new_film_tower"]) == (1, 0)


async def test_without_redis_nothing_is_acknowledged_and_what_was_known_is_served(
    worker: Worker, store: MemoryFilmStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worker.add()

    async def fail(*_: object) -> None:
        raise StoreUnavailable("killed")

    for name in ("state", "put", "new_movie_id", "poster"):
        monkeypatch.setattr(store, name, fail)
    error = (await worker.add(503, title="Another"))["error"]
    assert error["code"] == "not_stored"
    assert NEW in await worker.recommended(history=[400, 401], top_k=5)
    assert (await worker.client.get(f"/poster/{NEW}")).headers["content-type"] == "image/svg+xml"


async def test_a_film_that_no_encoder_can_read_is_not_acknowledged(worker: Worker) -> None:
    worker.world.models.failing.add("text_embedding")
    error = (await worker.add(503))["error"]
    assert error["code"] == "not_encoded"
    assert (await worker.client.get(f"/movie/{NEW}")).status_code == 404


async def test_another_release_encodes_added_films_with_its_own_encoders(
    worker: Worker, make_worker: Callable[..., Any], repository: Any, store: MemoryFilmStore
) -> None:
    await worker.add(poster=base64.b64encode(picture()).decode())
    store.vectors.clear()  # of another release there are none
    later = await make_worker(load_release(repository))
    assert later.world.models.calls["new_film_tower"] == 1
    assert NEW in await later.recommended(history=[400, 401], top_k=5)
    third = await make_worker(load_release(repository))
    assert third.world.models.calls["new_film_tower"] == 0


async def test_a_release_without_the_tower_takes_no_films(
    make_worker: Callable[..., Any], repository: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = load_release(repository)
    monkeypatch.setattr(release, "servable_models", lambda: ["text_embedding"])
    worker = await make_worker(release)
    assert "exported without new_film_tower" in (await worker.add(503))["error"]["message"]


async def test_a_release_that_holds_the_film_serves_its_own(
    worker: Worker, make_worker: Callable[..., Any], repository: Any, store: MemoryFilmStore
) -> None:
    await worker.add(movie_id=55)
    folded = load_release(repository)
    films = folded.films
    film = replace(films.catalog.films[0], movie_id=55, title="Folded in")
    catalog = films.catalog.extended([film])
    folded.films = replace(
        films,
        catalog=catalog,
        popularity=np.append(films.popularity, np.float32(1)),
        item_vectors=np.concatenate([films.item_vectors, films.item_vectors[:1]]),
        n_released=len(catalog),
    )
    rows = FilmRows(folded.films)
    for change in (await store.changes(UNKNOWN)).changes:
        rows.put(change.record, change.vectors)
    table = rows.table(1)
    assert len(table.catalog) == N_FILMS + 1
    assert table.catalog.films[-1].title == "Folded in"
