"""The films of a release in Qdrant: where the index outgrows a node, or is to be shared by many.

Each film is a point: id = its row, its vector in the fused space, and as payload what filters ask for. Filters are
Qdrant's own conditions, so nothing is fetched that does not pass. What Qdrant finds is scored with the release's own
vectors, as the extra scores are no dot product.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException

from bento.inference.core.errors import BackendFailed
from bento.recommender.catalogue.filters import genres_named, plain
from bento.recommender.retrieval.release_search import Ranked, ReleaseQuestion
from bento.recommender.schemas import Filters, GenreFilter
from bento.release.film_table import FilmTable
from features.catalog import Film
from features.sources import FUSED_WIDTH, SOURCES, source_slices

log = logging.getLogger("marquee.qdrant")

UPLOAD_BATCH = 256
TIMEOUT_S = 30
"""Of one call: creating a large collection takes a while. Questions have a deadline of their own."""

CONNECTIONS = 16
"""Questions to a server at the same time; the embedded store answers one after the other."""

FAILURES = (ApiException, QdrantException, OSError, RuntimeError, ValueError)
"""What the client raises: refused, unreachable, or, embedded, broken files."""

T = TypeVar("T")

NOTHING = models.Filter(must=[models.HasIdCondition(has_id=[])])


class QdrantSearch:
    """See `release_search.ReleaseSearch`."""

    def __init__(self, films: FilmTable, mean_ratings: npt.NDArray[np.float32], collection: str) -> None:
        """films, mean_ratings: the release's, as exported. collection: names these films and no others."""
        self._vectors = films.item_vectors[: films.n_released]
        self._films = films.catalog.films[: films.n_released]
        self._mean_ratings = mean_ratings
        self._collection = collection
        self._people = {name for film in self._films for name in _people(film)}
        self._countries = {name for film in self._films for name in _countries(film)}
        self._threads = ThreadPoolExecutor(1, "qdrant")
        self._client: QdrantClient

    async def open(self, url: str | None, folder: Path) -> None:
        """Connect to a server, or open the embedded store in a folder; upload the films unless they are there.

        Raises: qdrant_client's errors; RuntimeError when another process has the folder open.
        """
        if url is not None:
            self._threads = ThreadPoolExecutor(CONNECTIONS, "qdrant")
        folder.parent.mkdir(parents=True, exist_ok=True)
        where: dict[str, Any] = {"path": str(folder)} if url is None else {"url": url, "timeout": TIMEOUT_S}
        self._client = await self._run(lambda: QdrantClient(**where))
        uploaded = await self._run(self._upload)
        if url is not None:
            await self._run(self._index_facts)
        log.info("qdrant %s: %s, %d films uploaded", url or folder, self._collection, uploaded)

    async def close(self) -> None:
        """Let go of the store."""
        await self._run(self._client.close)
        self._threads.shutdown()

    async def search(self, question: ReleaseQuestion) -> Ranked:
        """See `ReleaseSearch`."""
        bonus = question.extra_scores * np.float32(question.extra_weight)
        conditions = self._conditions(question)
        # A film that a negative bonus pushes down makes room for the next one.
        depth = min(question.k + int((bonus < 0).sum()), len(self._films))
        try:
            found = await self._run(
                lambda: self._client.query_points(
                    self._collection, query=question.query.tolist(), query_filter=conditions, limit=depth,
                    with_payload=False,
                )
            )  # fmt: skip
        except FAILURES as error:
            raise BackendFailed(f"qdrant: {error}") from error
        extra = question.extra_rows[self._may_be_shown(question, question.extra_rows)]
        rows = np.union1d(np.array([point.id for point in found.points], dtype=np.int64), extra)
        return self._scored(question, rows.astype(np.int64), bonus)

    def _scored(self, question: ReleaseQuestion, rows: npt.NDArray[np.int64], bonus: npt.NDArray[np.float32]) -> Ranked:
        """The k best of some films, explained."""
        starts = [columns.start for columns in source_slices().values()]
        parts = np.zeros((len(rows), len(SOURCES)), dtype=np.float32)
        parts[:, : len(starts)] = np.add.reduceat(self._vectors[rows] * question.query, starts, axis=1)
        known = np.isin(question.extra_rows, rows)
        np.add.at(parts[:, -1], np.searchsorted(rows, question.extra_rows[known]), bonus[known])
        scores = parts.sum(axis=1, dtype=np.float64).astype(np.float32)
        best = np.lexsort((rows, -scores))[: question.k]
        return Ranked(rows[best], scores[best], parts[best])

    def _may_be_shown(self, question: ReleaseQuestion, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        shown = (rows >= 0) & ~np.isin(rows, question.excluded_rows)
        if question.allowed_rows is not None:
            shown &= np.isin(rows, question.allowed_rows)
        return shown

    def _conditions(self, question: ReleaseQuestion) -> models.Filter:
        """Filters as Qdrant's own; allowed rows by id where no filters say the same."""
        conditions = NOTHING
        if question.allowed_rows is None:
            conditions = models.Filter()
        elif question.filters is not None:
            conditions = self._filter(question.filters)
        elif len(question.allowed_rows):
            conditions = models.Filter(must=[models.HasIdCondition(has_id=question.allowed_rows.tolist())])
        if len(question.excluded_rows):
            seen = models.HasIdCondition(has_id=question.excluded_rows.tolist())
            conditions = models.Filter(must=conditions.must, must_not=[*_listed(conditions.must_not), seen])
        return conditions

    def _filter(self, filters: Filters) -> models.Filter:
        wanted = filters.genres if isinstance(filters.genres, GenreFilter) else GenreFilter(any=filters.genres or [])
        must: list[models.Condition] = []
        if wanted.any:
            must.append(_any_of("genres", genres_named("genres", wanted.any)))
        must += [_any_of("genres", [genre]) for genre in genres_named("genres", wanted.all)]
        if filters.min_year is not None or filters.max_year is not None:
            must.append(_within("year", filters.min_year, filters.max_year))
        if filters.people:
            must.append(_any_of("people", _holding(self._people, filters.people)))
        if filters.country is not None:
            must.append(_any_of("countries", _holding(self._countries, [filters.country])))
        if filters.min_rating is not None:  # the means are float32: a bound that is not lets its equals through
            must.append(_within("rating", float(np.float32(filters.min_rating)), None))
        unwanted = genres_named("exclude_genres", filters.exclude_genres)
        return models.Filter(must=must, must_not=[_any_of("genres", unwanted)] if unwanted else [])

    def _upload(self) -> int:
        """Make the collection whole; how many films were sent. One that another worker fills is filled twice, alike."""
        if not self._client.collection_exists(self._collection):
            self._client.create_collection(
                self._collection, vectors_config=models.VectorParams(size=FUSED_WIDTH, distance=models.Distance.DOT)
            )
        if self._client.count(self._collection, exact=True).count == len(self._films):
            return 0
        for start in range(0, len(self._films), UPLOAD_BATCH):
            rows = range(start, min(start + UPLOAD_BATCH, len(self._films)))
            points = [
                models.PointStruct(id=row, vector=self._vectors[row].tolist(), payload=self._facts(row)) for row in rows
            ]
            self._client.upsert(self._collection, points, wait=True)
        return len(self._films)

    def _index_facts(self) -> None:
        """What a server needs to filter without looking at every film; the embedded store always does."""
        for key in ("genres", "people", "countries"):
            self._client.create_payload_index(self._collection, key, models.PayloadSchemaType.KEYWORD)
        self._client.create_payload_index(self._collection, "year", models.PayloadSchemaType.INTEGER)
        self._client.create_payload_index(self._collection, "rating", models.PayloadSchemaType.FLOAT)

    def _facts(self, row: int) -> dict[str, Any]:
        """What filters ask for; what is not known is left out, so that no bound lets it pass."""
        film, rating = self._films[row], float(self._mean_ratings[row])
        facts = {"genres": film.genres, "people": _people(film), "countries": _countries(film)}
        return {**facts, **({"year": film.year} if film.year else {}), **({"rating": rating} if rating > 0 else {})}

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def _people(film: Film) -> list[str]:
    return [name for name in map(plain, (film.director, *film.cast)) if name]


def _countries(film: Film) -> list[str]:
    return [name for name in map(plain, film.country.split(",")) if name]


def _holding(known: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Known names that hold one of the wanted ones as whole words."""
    words = [f" {plain(name)} " for name in wanted]
    return [name for name in known if any(word in f" {name} " for word in words)]


def _any_of(key: str, values: Iterable[str]) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))


def _within(key: str, low: float | None, high: float | None) -> models.FieldCondition:
    return models.FieldCondition(key=key, range=models.Range(gte=low, lte=high))


def _listed(conditions: Any) -> list[Any]:
    return list(conditions) if conditions else []
