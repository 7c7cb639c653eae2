"""`POST /recommend/filtered`: recommendations among the films that pass some filters, exactly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import Response

from bento.http.reading import decode
from bento.http.responses import JsonResponse
from bento.http.routing import About, Route
from bento.recommender.catalogue.film_search import TEXT_MODEL, FilmSearch
from bento.recommender.catalogue.films import FilmCards
from bento.recommender.catalogue.filters import FilmFilter, JoinedFilter, applied
from bento.recommender.recommendations import Recommendations
from bento.recommender.schemas import FilteredAnswer, FilteredRequest, FilteredTail, Filters
from bento.release.film_table import FilmTable, Live
from bento.release.loading import Release
from features.catalog import Catalog

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


def live_filter(release: Release, cards: FilmCards) -> Live[JoinedFilter]:
    """Over the films of a release as they are now; those of the release itself are looked at once."""
    first = release.films
    released = FilmFilter(Catalog(first.catalog.films[: first.n_released]), cards.ratings_of(first)[1])

    def joined(films: FilmTable) -> JoinedFilter:
        added = Catalog(films.catalog.films[films.n_released :])
        means = cards.ratings_of(films)[1][films.n_released :]
        return JoinedFilter(released, FilmFilter(added, means), films.hidden_rows)

    return Live(release, joined)


class FilteredRoutes:
    """Narrows the catalogue, then asks the same pipeline as `/recommend`."""

    def __init__(self, recommendations: Recommendations, film_filter: Live[JoinedFilter], search: FilmSearch) -> None:
        self._recommendations = recommendations
        self._filter = film_filter
        self._search = search

    def routes(self) -> list[Route]:
        """The one route."""
        return [Route("POST", "/recommend/filtered", self.post, ABOUT)]

    async def post(self, request: Request) -> Response:
        """Recommend among the films that pass."""
        asked = decode(await request.body(), FilteredRequest)
        filters = Filters(**{name: getattr(asked, name) for name in Filters.__struct_fields__})
        allowed, degraded = await self._allowed(filters)
        made = await self._recommendations.ask(asked, request, allowed, degraded)
        return JsonResponse(made.body(FilteredTail(applied(filters))))

    async def _allowed(self, filters: Filters) -> tuple[npt.NDArray[np.int64], list[str]]:
        """Rows that pass, and what was left out because it failed."""
        passing = np.flatnonzero(self._filter.now.mask(filters))
        if filters.text is None or not len(passing):
            return passing, []
        by_meaning = await self._search.nearest(filters.text, len(self._recommendations.release.catalog))
        if by_meaning is None:
            return passing, [TEXT_MODEL]
        return np.sort(by_meaning[np.isin(by_meaning, passing)][:MEANING_POOL]), []
