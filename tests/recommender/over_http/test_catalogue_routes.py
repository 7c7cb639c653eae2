"""Films: looked up, paged, found, compared, shown."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from bento.http.application import Application
from bento.http.request_ids import RequestIds
from bento.http.routing import Router
from bento.inference.core.errors import BackendFailed
from bento.inference.core.messages import InferRequest, InferResponse
from bento.recommender.catalogue import title_search
from bento.recommender.catalogue.film_search import FilmSearch
from bento.recommender.catalogue.films import FilmCards
from bento.recommender.catalogue.posters import Posters, placeholder
from bento.recommender.catalogue.similarity import ItemSimilarity, live_similarity
from bento.recommender.catalogue.title_search import TitleSearch, normalised
from bento.recommender.over_http.catalogue_routes import CatalogueRoutes
from bento.release.loading import Release
from features.catalog import Catalog, Film
from features.sources import FUSED_WIDTH, source_slices
from tests.recommender.genre_world import N_FILMS, films_of
from tests.recommender.world import World


class Meaning:
    """A text encoder whose answer the test sets; `raw_text_vectors` of the release are one-hot genres."""

    def __init__(self) -> None:
        self.vector = np.zeros(4, dtype=np.float32)
        self.fails = False

    async def infer(self, request: InferRequest) -> InferResponse:
        assert request.model_name == "text_embedding"
        assert request.inputs["TEXT"].shape == (1, 1)
        if self.fails:
            raise BackendFailed("no encoder")
        return InferResponse("text_embedding", "1", "", {"embedding": self.vector[np.newaxis]})


@pytest.fixture
def meaning() -> Meaning:
    return Meaning()


@pytest.fixture
async def client(world: World, release: Release, meaning: Meaning, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    with zipfile.ZipFile(tmp_path / "posters.zip", "w") as archive:
        archive.writestr("200.jpg", b"a picture")
    vectors = np.repeat(np.eye(4, dtype=np.float32), 6, axis=0)
    films = release.films
    release.films = replace(films, raw_text_vectors=vectors)
    posters = Posters(tmp_path)
    cards, similarity = FilmCards(release, posters), live_similarity(release)
    routes = CatalogueRoutes(release, cards, similarity, posters, FilmSearch(release, meaning), RequestIds("id"))
    app = Application(Router(routes.routes()), world.metrics, 10_000)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://m") as client:  # type: ignore[arg-type]
        yield client
    posters.close()
    release.films = films


async def test_a_film_is_told_with_everything_known(client: httpx.AsyncClient) -> None:
    response = await client.get("/movie/403")
    assert response.json() == {
        "movie_id": 403,
        "title": "War 3",
        "year": 1993,
        "genres": ["War"],
        "director": "",
        "cast": [],
        "country": "",
        "overview": "",
        "tags": [],
        "poster_url": None,
        "vote_average": 4.0,  # by the one who has seen everything
        "vote_count": 1,
        "popularity": 67.0,
    }
    assert response.headers["x-marquee-release"] == "1"
    assert response.headers["x-request-id"] == "id-1"


@pytest.mark.parametrize("path", ["/movie/999", "/movie/abc", "/movie/-1", "/poster/999"])
async def test_an_unknown_film_is_a_404_that_names_it(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 404
    assert f"movie_id {path.split('/')[-1]} is not in the catalogue" in response.text


async def test_films_come_in_pages(client: httpx.AsyncClient) -> None:
    first = (await client.get("/movies?page_size=10")).json()
    last = (await client.get("/movies?page_size=10&page=3")).json()
    beyond = (await client.get("/movies?page_size=10&page=4")).json()
    assert (first["total"], first["pages"], len(first["movies"])) == (N_FILMS, 3, 10)
    assert [film["movie_id"] for film in first["movies"][:3]] == [100, 200, 300]
    assert (len(last["movies"]), len(beyond["movies"])) == (4, 0)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("genre=War&sort=popularity", films_of(3)),
        ("genre=War&sort=year", films_of(3)[::-1]),
        ("genre=War&sort=title", films_of(3)),
        ("genre=War&sort=rating", films_of(3)),  # all rated 4 by those who saw them: popularity decides
        ("min_year=1994&genre=Horror", [204, 205]),
        ("max_year=1990", [100, 200, 300, 400]),
        ("genre=War,Horror", []),
    ],
)
async def test_films_are_sorted_and_filtered(client: httpx.AsyncClient, query: str, expected: list[int]) -> None:
    movies = (await client.get(f"/movies?{query}")).json()["movies"]
    assert [film["movie_id"] for film in movies] == expected


@pytest.mark.parametrize(
    "query", ["page=0", "page_size=101", "sort=luck", "genre=Tragedy", "min_year=99", "colour=red"]
)
async def test_a_wrong_filter_is_refused(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/movies?{query}")).status_code == 422


@pytest.mark.parametrize("by", ["blend", "text", "poster", "collaborative"])
async def test_films_of_the_same_genre_are_alike(client: httpx.AsyncClient, by: str) -> None:
    answer = (await client.post("/similar", json={"movie_id": "302", "top_k": 5, "by": by})).json()
    assert answer["movie_id"] == 302
    assert [film["movie_id"] for film in answer["similar"]] == [300, 301, 303, 304, 305]
    assert [film["similarity"] for film in answer["similar"]] == pytest.approx([1.0] * 5, abs=1e-6)
    assert set(answer["similar"][0]) == {"movie_id", "similarity"}


async def test_films_of_other_genres_are_less_alike_than_chance(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/similar", json={"movie_id": 302, "top_k": 1000})).json()
    assert len(answer["similar"]) == N_FILMS - 1
    # Centred one-hot vectors of four equal genres: (1 - 1/4, -1/4, -1/4, -1/4) against a permutation gives -1/3.
    assert answer["similar"][-1]["similarity"] == pytest.approx(-1 / 3, abs=1e-6)


def test_a_missing_vector_is_alike_to_nothing_and_left_out_of_the_blend() -> None:
    vectors = np.zeros((3, FUSED_WIDTH), dtype=np.float32)
    text, poster = source_slices()["text"].start, source_slices()["poster"].start
    vectors[0, [text, poster]] = 1
    vectors[1, text] = 2
    similarity = ItemSimilarity(vectors)
    assert similarity.to_film(0, "text").tolist() == [1, 1, 0]
    assert similarity.to_film(0, "blend").tolist() == [1, 0.5, 0]
    assert not similarity.has(1, "poster")
    assert similarity.to_film(2, "blend").tolist() == [0, 0, 0]


async def test_a_poster_of_the_release_is_sent_as_it_is(client: httpx.AsyncClient) -> None:
    response = await client.get("/poster/200")
    assert (response.content, response.headers["content-type"]) == (b"a picture", "image/jpeg")
    assert "max-age" in response.headers["cache-control"]


async def test_only_films_with_a_poster_name_one(client: httpx.AsyncClient) -> None:
    assert (await client.get("/movie/200")).json()["poster_url"] == "/poster/200"
    assert (await client.get("/movie/201")).json()["poster_url"] is None


async def test_a_film_without_a_poster_gets_one_drawn(client: httpx.AsyncClient) -> None:
    response = await client.get("/poster/201")
    assert response.headers["content-type"] == "image/svg+xml"
    assert "Horror 1" in response.text


def test_a_placeholder_escapes_the_title_and_cuts_it() -> None:
    drawn = placeholder(Film(1, "<script>&" + " very long indeed" * 20))
    assert "<script>" not in drawn
    assert "&lt;script&gt;&amp;" in drawn
    assert drawn.count("<text ") == 6  # five lines and the year


async def test_search_finds_titles_by_prefix_and_word(client: httpx.AsyncClient) -> None:
    films = (await client.get("/search?q=horror&limit=2")).json()["films"]
    assert [(film["title"], film["match"]) for film in films] == [("Horror 0", "title"), ("Horror 1", "title")]


async def test_search_by_meaning_answers_what_no_title_says(client: httpx.AsyncClient, meaning: Meaning) -> None:
    meaning.vector[3] = 1
    films = (await client.get("/search?q=trenches and soldiers&limit=3")).json()["films"]
    assert [(film["movie_id"], film["match"]) for film in films] == [
        (400, "meaning"),
        (401, "meaning"),
        (402, "meaning"),
    ]


async def test_search_without_the_encoder_still_answers(client: httpx.AsyncClient, meaning: Meaning) -> None:
    meaning.fails = True
    answer = (await client.get("/search?q=horor&limit=3")).json()
    assert answer["degraded"] == ["text_embedding"]
    assert [film["title"] for film in answer["films"]] == ["Horror 0", "Horror 1", "Horror 2"]


@pytest.mark.parametrize("query", ["", "q=", "q=" + "x" * 201, "q=a&limit=0"])
async def test_a_wrong_search_is_refused(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/search?{query}")).status_code == 422


TITLES = Catalog(
    Film(n, title)
    for n, title in enumerate(
        [
            "Godfather, The (1972)",
            "Godfather: Part II, The (1974)",
            "Amélie (2001)",
            "2001: A Space Odyssey (1968)",
            "Se7en",
        ]
    )
)


@pytest.mark.parametrize(
    ("query", "row"),
    [
        ("the godfather", 0),
        ("godfather", 0),
        ("godfahter", 0),
        ("godfather part 2", 1),
        ("amelie", 2),
        ("AMÉLIE", 2),
        ("space odyssey", 3),
        ("2001", 3),
        ("seven", 4),
        ("amleie", 2),
        ("amlie", 2),
        ("ameliee", 2),
        ("ammlei", None),
        ("a spcae oddyssey", 3),
        ("zzz", None),
        ("!?", None),
    ],
)
def test_titles_are_found_in_spite_of_accents_articles_and_slips(query: str, row: int | None) -> None:
    popularity = np.array([5, 4, 3, 2, 1], dtype=np.float32)
    found = TitleSearch(TITLES.films, popularity / 5).find(query, 1)
    assert (found[0][0] if found else None) == row


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Godfather, The (1972)", "the godfather"),
        ("Amélie (2001)", "amelie"),
        ("Dr. Strangelove", "dr strangelove"),
        ("  ", ""),
        ("1984", "1984"),
    ],
)
def test_titles_are_normalised(title: str, expected: str) -> None:
    assert normalised(title) == expected


def test_a_search_takes_the_query_apart_once_and_not_for_every_title(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop waits meanwhile: a long query on a large catalogue took a second."""
    taken_apart = []
    titles = TitleSearch(TITLES.films * 20, np.zeros(20 * len(TITLES.films), dtype=np.float32))
    trigrams = title_search.trigrams
    monkeypatch.setattr(title_search, "trigrams", lambda text: (taken_apart.append(text), trigrams(text))[1])
    assert titles.find(f"{TITLES.films[0].title} nearly", 3)
    assert len(taken_apart) <= 2


def test_posters_of_a_release_without_an_archive_are_drawn(tmp_path: Path) -> None:
    posters = Posters(tmp_path)
    assert len(posters) == 0
    assert posters.of(Film(1, "A")).content_type == "image/svg+xml"
    posters.close()


def test_a_poster_archive_is_read_by_movie_id(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("1.jpg", b"one")
    (tmp_path / "posters.zip").write_bytes(buffer.getvalue())
    posters = Posters(tmp_path)
    assert posters.of(Film(1, "A")).content == b"one"
    assert posters.of(Film(2, "B")).content_type == "image/svg+xml"
    posters.close()
