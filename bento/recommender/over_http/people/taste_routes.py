"""`PUT /people/{user_id}/taste`: what somebody says of themselves, at any time; `tastes` keeps it."""

from __future__ import annotations

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from bento.http.reading import decode
from bento.http.responses import JsonResponse
from bento.http.routing import About, Route
from bento.recommender.people.tastes import ChosenGenres, LikedFilms, Tastes
from bento.recommender.schemas import user_id_in_path
from features.ids import Id


class TasteRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a person likes."""

    genres: ChosenGenres = []
    """They come first until there is a history; they replace those chosen before."""
    liked: LikedFilms = []
    """Films; each is taken as an event `like`."""


class TasteAnswer(Struct, frozen=True):
    """Answer of `PUT /people/{user_id}/taste`."""

    success: bool
    user_id: str
    genres: list[str]
    liked: list[Id]


ABOUT = About(
    "Tell what somebody likes before they have watched anything: genres, films, or both",
    "people",
    request=TasteRequest,
    answer=TasteAnswer,
    errors=(400, 404, 413, 422, 503),
    example={"user_id": "visitor-1", "genres": ["Comedy", "Musical"], "liked": [1]},
)


class TasteRoutes:
    """Reads the tastes that people state."""

    def __init__(self, tastes: Tastes) -> None:
        self._tastes = tastes

    def routes(self) -> list[Route]:
        """The one route."""
        return [Route("PUT", "/people/{user_id}/taste", self.put, ABOUT)]

    async def put(self, request: Request) -> Response:
        """Keep it; the next answer reflects it. All of it is looked at before anything is kept."""
        asked, user_id = decode(await request.body(), TasteRequest), user_id_in_path(request.path_params)
        taste = self._tastes.read(asked.genres, asked.liked)
        await self._tastes.keep(user_id, taste)
        return JsonResponse(TasteAnswer(True, user_id, taste.genre_names, taste.liked))
