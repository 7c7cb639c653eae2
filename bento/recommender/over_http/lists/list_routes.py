"""The recommender's own routes: thin, one implementation behind them all (`recommendations`)."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bento.http.reading import convert, decode
from bento.http.responses import JsonResponse
from bento.http.routing import About, Route
from bento.recommender.recommendations import Recommendations
from bento.recommender.schemas import RecommendAnswer, RecommendRequest, TopK, UserId
from features.scorers import Scorer


class RecommendQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`GET /recommend?user_id=&limit=`."""

    user_id: UserId | None = None
    limit: TopK = 10
    preset: str | None = None
    scorer: Scorer | None = None


ABOUT_POST = About(
    "Recommend films to a person, from what is known of them or from the history given here",
    "recommendations",
    request=RecommendRequest,
    answer=RecommendAnswer,
    errors=(400, 413, 422),
    headers=("X-Request-Id",),
    example={
        "user_id": "visitor-1",
        "history": [1, {"movie_id": 2, "rating": 4.5}],
        "top_k": 5,
        "scorer": "dot",
        "context": {"time": 20},
    },
)
ABOUT_GET = About(
    "Recommend films to a person, from what is known of them",
    "recommendations",
    query=RecommendQuery,
    answer=RecommendAnswer,
    errors=(422,),
    headers=("X-Request-Id",),
    example={"user_id": "1", "limit": 5},
)


class RecommendRoutes:
    """`POST /recommend` and `GET /recommend`."""

    def __init__(self, recommendations: Recommendations) -> None:
        self._recommendations = recommendations

    def routes(self) -> list[Route]:
        """Both routes."""
        return [Route("POST", "/recommend", self.post, ABOUT_POST), Route("GET", "/recommend", self.get, ABOUT_GET)]

    async def post(self, request: Request) -> Response:
        """Recommend from a JSON body; `{}` asks for what is popular."""
        return await self._recommend(decode(await request.body(), RecommendRequest), request)

    async def get(self, request: Request) -> Response:
        """Recommend from a query string."""
        query = convert(request.query_params, RecommendQuery)
        asked = RecommendRequest(query.user_id, top_k=query.limit, preset=query.preset, scorer=query.scorer)
        return await self._recommend(asked, request)

    async def _recommend(self, asked: RecommendRequest, request: Request) -> Response:
        return JsonResponse((await self._recommendations.ask(asked, request)).body())
