"""Films without a restart: added, changed, removed and brought back while the release goes on being served."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from bento.http.errors import InvalidRequest
from bento.http.reading import decode
from bento.http.responses import JsonResponse
from bento.http.routing import About, Route
from bento.recommender.catalogue.films import FilmCards, FilmDetails
from bento.recommender.catalogue.live_catalogue import LiveCatalogue
from bento.recommender.catalogue.poster_intake import as_jpeg
from bento.recommender.errors import UnknownMovie
from bento.recommender.schemas import Name, Year
from bento.release.loading import Release
from bento.stores.film_records import FilmRecord
from features.catalog import GENRES, Film
from features.ids import ID_LENGTH_LIMIT, Id, id_of, id_order
from features.posters import UnreadableImage

NewId = (
    Annotated[int, Meta(ge=1, le=2**63 - 1)]
    | Annotated[str, Meta(pattern=r"^[^\s/\x00-\x1f]+$", max_length=ID_LENGTH_LIMIT)]
)
"""Without blanks and slashes: it becomes a file's name, where the film's poster is written into data."""

Title = Annotated[str, Meta(min_length=1, max_length=300, pattern=r"\S")]
Poster = Annotated[str, Meta(max_length=8 * 2**20, description="A picture (JPEG, PNG, WEBP, GIF or BMP) in base64.")]


class FilmFacts(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is said of a film. What is left out is not known."""

    title: Title
    year: Year | None = None
    genres: Annotated[list[Name], Meta(max_length=len(GENRES))] = []
    director: Annotated[str, Meta(max_length=300)] = ""
    cast: Annotated[list[Name], Meta(max_length=100)] = []
    country: Annotated[str, Meta(max_length=300)] = ""
    overview: Annotated[str, Meta(max_length=5_000)] = ""
    tags: Annotated[list[Name], Meta(max_length=30)] = []


class NewFilm(FilmFacts, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`POST /admin/movies`."""

    movie_id: NewId | None = None
    """One that no film has; left out, the film is given a number."""
    poster: Poster | None = None
    allow_same_title: bool = False
    """It is another film than the one of this title and year that is there."""


class ChangedFilm(FilmFacts, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`PUT /admin/movies/{movie_id}`: everything that is known of the film from now on."""

    poster: Poster | UnsetType | None = UNSET
    """Left out, the film keeps the one it has; null takes it away."""


class FilmAnswer(Struct, frozen=True):
    """A film as it is served now."""

    success: bool
    movie: FilmDetails
    catalogue_revision: int
    release: int


class RemovedAnswer(Struct, frozen=True):
    """A film that is in no list any more."""

    success: bool
    movie_id: Id
    catalogue_revision: int
    release: int


class ChangedCatalogue(Struct, frozen=True):
    """Answer of `GET /admin/movies`: what is not as the release has it."""

    added: list[FilmDetails]
    removed: list[Id]
    """movie_ids."""
    catalogue_revision: int
    release: int


EXAMPLE = {
    "title": "The Lighthouse Keeper's Clock",
    "year": 2025,
    "genres": ["Drama", "Mystery"],
    "director": "Ada Fjord",
    "overview": "A keeper finds that the lamp runs an hour ahead of the sea.",
}

ABOUT = {
    "add": About(
        "Add a film: it is found, filtered and recommended at once",
        "admin",
        request=NewFilm,
        answer=FilmAnswer,
        status=201,
        errors=(400, 409, 413, 422, 503),
        example=EXAMPLE,
    ),
    "change": About(
        "Replace what is known of an added film",
        "admin",
        request=ChangedFilm,
        answer=FilmAnswer,
        errors=(400, 404, 409, 413, 422, 503),
        example=EXAMPLE | {"movie_id": "900000000"},
    ),
    "poster": About(
        "Give an added film a poster: the body is the picture",
        "admin",
        request_type="image/jpeg",
        answer=FilmAnswer,
        errors=(404, 409, 413, 422, 503),
        example={"movie_id": "900000000"},
    ),
    "remove": About(
        "Remove a film from every list; one of the release, too",
        "admin",
        answer=RemovedAnswer,
        errors=(404, 503),
        example={"movie_id": "900000000"},
    ),
    "restore": About(
        "Bring back a film that was removed",
        "admin",
        answer=FilmAnswer,
        errors=(404, 503),
        example={"movie_id": "900000000"},
    ),
    "list": About("What was added and removed since the release", "admin", answer=ChangedCatalogue),
}


class AdminFilmRoutes:
    """The catalogue, from the side of who keeps it."""

    def __init__(self, release: Release, catalogue: LiveCatalogue, cards: FilmCards) -> None:
        self._release = release
        self._catalogue = catalogue
        self._cards = cards

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("GET", "/admin/movies", self.list, ABOUT["list"]),
            Route("POST", "/admin/movies", self.add, ABOUT["add"]),
            Route("PUT", "/admin/movies/{movie_id}", self.change, ABOUT["change"]),
            Route("PUT", "/admin/movies/{movie_id}/poster", self.poster, ABOUT["poster"]),
            Route("DELETE", "/admin/movies/{movie_id}", self.remove, ABOUT["remove"]),
            Route("POST", "/admin/movies/{movie_id}/restore", self.restore, ABOUT["restore"]),
        ]

    async def add(self, request: Request) -> Response:
        """Add a film."""
        asked = decode(await request.body(), NewFilm)
        film = _film(asked, "" if asked.movie_id is None else id_of(asked.movie_id))
        poster = None if asked.poster is None else await _poster_of_text(asked.poster)
        return self._shown(await self._catalogue.add(film, poster, asked.allow_same_title), 201)

    async def change(self, request: Request) -> Response:
        """Replace what is known of a film."""
        asked, movie_id = decode(await request.body(), ChangedFilm), _of_path(request)
        poster = await _poster_of_text(asked.poster) if isinstance(asked.poster, str) else None
        film = _film(asked, movie_id)
        return self._shown(await self._catalogue.change(film, poster, keep_poster=asked.poster is UNSET))

    async def poster(self, request: Request) -> Response:
        """Give a film another poster."""
        return self._shown(await self._catalogue.set_poster(_of_path(request), await _poster(await request.body())))

    async def remove(self, request: Request) -> Response:
        """Remove a film; removing it twice is no error."""
        record = await self._catalogue.set_hidden(_of_path(request), True)
        answer = RemovedAnswer(True, record.movie_id, self._release.films.revision, self._release.number)
        return JsonResponse(answer)

    async def restore(self, request: Request) -> Response:
        """Bring a film back."""
        return self._shown(await self._catalogue.set_hidden(_of_path(request), False))

    async def list(self, request: Request) -> Response:
        """What is not as the release has it."""
        films = self._release.films
        added = [row for row in range(films.n_released, len(films.catalog)) if films.visible[row]]
        removed = sorted((one.movie_id for one in self._catalogue.records() if one.hidden), key=id_order)
        details = [self._cards.details(row) for row in added]
        answer = ChangedCatalogue(details, removed, films.revision, self._release.number)
        return JsonResponse(answer)

    def _shown(self, record: FilmRecord, status: int = 200) -> Response:
        films = self._release.films
        row = films.visible_row(record.movie_id)
        if row is None:  # somebody else removed it meanwhile
            raise UnknownMovie(record.movie_id)
        answer = FilmAnswer(True, self._cards.details(row), films.revision, self._release.number)
        return JsonResponse(answer, status)


def _film(said: FilmFacts, movie_id: Id) -> Film:
    """Raises: InvalidRequest for a genre that does not exist."""
    names = {genre.casefold(): genre for genre in GENRES}
    for genre in said.genres:
        if genre.casefold() not in names:
            raise InvalidRequest("genres", f"expected genres among {', '.join(GENRES)}", genre)
    return Film(
        movie_id,
        said.title.strip(),
        said.year,
        tuple(dict.fromkeys(names[genre.casefold()] for genre in said.genres)),
        said.director.strip(),
        tuple(name.strip() for name in said.cast),
        said.country.strip(),
        " ".join(said.overview.split()),
        tuple(said.tags),
    )


async def _poster_of_text(text: str) -> bytes:
    """Raises: InvalidRequest."""
    try:
        content = base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("poster", f"not base64: {error}") from None
    return await _poster(content)


async def _poster(content: bytes) -> bytes:
    """Raises: InvalidRequest."""
    try:
        return await asyncio.to_thread(as_jpeg, content)
    except UnreadableImage as error:
        raise InvalidRequest("poster", str(error)) from None


def _of_path(request: Request) -> Id:
    return id_of(request.path_params["movie_id"])
