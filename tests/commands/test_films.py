"""`python -m bento films export`: what was added while serving becomes data of the next release."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from bento.__main__ import app
from bento.commands.films import AddedFilm, append_films
from bento.stores.connection.circuit_breaker import CircuitBreaker
from bento.stores.connection.embedded_redis import EmbeddedRedis
from bento.stores.connection.redis_link import RedisLink, connect
from bento.stores.film_records import FilmRecord, digest_of
from bento.stores.redis_films import RedisFilmStore
from features.catalog import Film
from training.data.dataset import read_dataset

FILM = Film(
    900_000_000, "The Quiet, Sea", 2024, ("Drama", "Mystery"), "Ada Fjord", ("Bo Sea", "Cy Reed"), "Norway",
    'A keeper says "wait".\nThen waits.',
)  # fmt: skip
PLAIN = Film(900_000_001, "Untitled")


def poster() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (60, 90), "red").save(content, "JPEG")
    return content.getvalue()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "movies.csv").write_text("movieId,title,genres\n1,Toy Story (1995),Comedy")  # no newline at the end
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4.0,1000000000\n")
    return folder


def test_written_films_are_read_as_they_were_said(data: Path) -> None:
    assert append_films(data, [AddedFilm(FILM, poster()), AddedFilm(PLAIN, None)]) == 2
    dataset = read_dataset(data)
    toy_story, film, plain = dataset.catalog.films
    assert toy_story.title == "Toy Story"
    assert (film.title, film.year, film.genres) == ("The Quiet, Sea", 2024, ("Drama", "Mystery"))
    assert (film.director, film.cast, film.country) == ("Ada Fjord", ("Bo Sea", "Cy Reed"), "Norway")
    assert film.overview == 'A keeper says "wait". Then waits.'
    assert (plain.title, plain.year, plain.genres) == ("Untitled", None, ())
    assert dataset.poster_paths[1].read_bytes() == poster()


def test_films_of_text_ids_are_written_once_with_their_posters(data: Path) -> None:
    films = [AddedFilm(replace(PLAIN, movie_id=movie_id), poster()) for movie_id in ("01", "tt0111161")]
    assert append_films(data, films) == 2
    assert append_films(data, films) == 0
    dataset = read_dataset(data)
    assert [film.movie_id for film in dataset.catalog.films] == [1, "01", "tt0111161"]
    assert sorted(dataset.poster_paths) == [1, 2]


def test_what_is_there_already_is_left_alone(data: Path) -> None:
    append_films(data, [AddedFilm(FILM, None)])
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    assert append_films(data, [AddedFilm(FILM, poster())]) == 0
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before


@pytest.mark.redis
async def test_the_command_reads_the_service_s_own_redis(
    repository: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    redis = EmbeddedRedis(home)
    await redis.open()
    link = RedisLink(connect(redis.url, 5), 5, CircuitBreaker(1.0))
    store = RedisFilmStore(link, "marquee:genre-world", "r1")
    await store.put(FilmRecord(FILM.movie_id, FILM, False, digest_of(poster())), None, poster(), await store.state())
    await store.put(FilmRecord(PLAIN.movie_id, PLAIN, hidden=True), None, None, await store.state())
    await store.put(FilmRecord(100, None, hidden=True), None, None, await store.state())
    await link.close()
    await redis.close()
    monkeypatch.setenv("MARQUEE_HOME", str(home))
    monkeypatch.setenv("MODEL_REPOSITORY", str(repository))
    import asyncio

    result = await asyncio.to_thread(CliRunner().invoke, app, ["films", "export", str(data)])
    assert result.output == f"1 of 1 added films are new to {data}\n", result.output
    assert [film.movie_id for film in read_dataset(data).catalog.films] == [1, FILM.movie_id]


def test_a_folder_without_films_is_refused_in_one_line(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MODEL_REPOSITORY", str(tmp_path))
    result = CliRunner().invoke(app, ["films", "export", str(tmp_path)])
    assert result.exit_code == 1
    assert "no release.json" in result.output


def test_a_release_that_is_not_there_is_told_in_one_line(
    repository: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MODEL_REPOSITORY", str(repository))
    monkeypatch.setenv("MARQUEE_RELEASE", "99")
    result = CliRunner().invoke(app, ["films", "export", str(data)])
    assert result.exit_code == 1
    assert "release 99 is not in release.json" in result.output
