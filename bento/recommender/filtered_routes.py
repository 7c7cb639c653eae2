"""`POST /recommend/filtered`: recommendations among the films that pass some filters, exactly."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from bento.recommender.answers import compose
from bento.recommender.asgi import About, Request, Response, Route
from bento.recommender.film_search import TEXT_MODEL, FilmSearch
from bento.recommender.filters import FilmFilter, Filters, applied
from bento.recommender.pipeline import Pipeline
from bento.recommender.questions import question_of
from bento.recommender.request_ids import RequestIds
from bento.recommender.schemas import FilteredAnswer, FilteredRequest, FilteredTail, decode
from bento.release import Release

MEANING_POOL = 100
"""Films nearest in meaning that pass a `text` filter."""

ABOUT = About(
    "Recommend films that pass filters: as many as asked for whenever there are as many, else a reason",
    "recommendations",
    request=FilteredRequest,
    answer=FilteredAnswer,
    errors=(400, 413, 422),
    headers=("X-Request-Id",),
    example={"user_id": "1", "genres": {"any": ["Drama", "Romance"]}, "exclude_genres": ["Horror"], "min_year": 1990},
)


class _Films(msgspec.Struct):
    recommendations: list[msgspec.Raw]


class FilteredRoutes:
    """Narrows the catalogue, then asks the same pipeline as `/recommend`."""

    def __init__(
        self, pipeline: Pipeline, release: Release, film_filter: FilmFilter, search: FilmSearch, ids: RequestIds
    ) -> None:
        self._pipeline = pipeline
        self._release = release
        self._filter = film_filter
        self._search = search
        self._ids = ids

    def routes(self) -> list[Route]:
        """The one route."""
        return [Route("POST", "/recommend/filtered", self.post, ABOUT)]

    async def post(self, request: Request) -> Response:
        """Recommend among the films that pass."""
        asked, given_id = decode(request.body, FilteredRequest), self._ids.of(request)
        filters = Filters(**{name: getattr(asked, name) for name in Filters.__struct_fields__})
        allowed, degraded = await self._allowed(filters)
        question = question_of(asked, self._release, allowed)
        answer = await self._pipeline.recommend(question)
        answer.degraded = [*degraded, *answer.degraded]
        shown = len(msgspec.json.decode(answer.body, type=_Films).recommendations)
        tail = FilteredTail(applied(filters), _reason(shown, question.top_k, len(allowed)))
        return Response(compose(asked.user_id, answer, given_id, self._ids, tail))

    async def _allowed(self, filters: Filters) -> tuple[npt.NDArray[np.int64], list[str]]:
        """Rows that pass, and what was left out because it failed."""
        passing = np.flatnonzero(self._filter.mask(filters))
        if filters.text is None or not len(passing):
            return passing, []
        by_meaning = await self._search.nearest(filters.text, len(self._release.catalog))
        if by_meaning is None:
            return passing, [TEXT_MODEL]
        return np.sort(by_meaning[np.isin(by_meaning, passing)][:MEANING_POOL]), []


def _reason(shown: int, wanted: int, passing: int) -> str | None:
    if shown >= wanted:
        return None
    if passing == 0:
        return "no film passes these filters"
    seen = passing - shown
    unseen = f", {seen} of them already seen or excluded" if seen else ""
    return f"only {passing} film{'s' * (passing != 1)} pass{'es' * (passing == 1)} these filters{unseen}"
