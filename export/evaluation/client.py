"""A client of a running server: recommendations over HTTP, one request a person.

A request names the person by a history with ratings and times, by film ids alone, or by a user_id that the release
knows; requests with a history can also ask for the re-ranker's order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt

from export.errors import AnswerUnusable
from features.catalog import Catalog
from features.history import WatchHistory
from features.ids import Id
from training.data.splits import Rows, Split

AT_ONCE = 4
"""Requests under way at a time: enough to keep two cores busy, few enough that none waits long."""

TIMEOUT_S = 60.0


class RequestKind(StrEnum):
    """What a request says about the person."""

    HISTORY = "history"
    """A history of films, stars and times; no user_id."""
    HISTORY_BY_MLP = "history, by the re-ranker"
    """The same, with candidates in the order of the re-ranker."""
    MOVIE_IDS = "film ids"
    """A list of film ids, oldest first; no user_id."""
    USER_ID = "user_id"
    """A user_id and nothing else; the release holds the history."""


def request_bodies(
    split: Split, kind: RequestKind, catalog: Catalog, user_ids: Sequence[str], k: int
) -> Iterator[Mapping[str, Any]]:
    """The body of `POST /recommend` for each person of a split."""
    for person, history in zip(split.people.tolist(), split.histories, strict=True):
        if kind is RequestKind.USER_ID:
            yield {"user_id": user_ids[person], "top_k": k}
        else:
            films = [catalog.films[row].movie_id for row in history.item_rows.tolist()]
            bare = kind is RequestKind.MOVIE_IDS
            chosen = {"scorer": "mlp"} if kind is RequestKind.HISTORY_BY_MLP else {}
            yield {"history": films if bare else _items(films, history), "top_k": k, **chosen}


def _items(films: list[Id], history: WatchHistory) -> list[dict[str, Id | float]]:
    columns = zip(films, history.ratings.tolist(), history.timestamps_s.tolist(), strict=True)
    return [{"movie_id": film, "rating": stars, "timestamp": time_s} for film, stars, time_s in columns]


def request_recommendations(url: str, bodies: Iterator[Mapping[str, Any]], catalog: Catalog, k: int) -> Iterator[Rows]:
    """(k,) item rows recommended for each body, best first, -1 where the answer is shorter; in the order of bodies.

    Raises: AnswerUnusable (refused, or a part of the server did not take part), httpx.TransportError.
    """

    def rows(body: Mapping[str, Any]) -> Rows:
        response = http.post("/recommend", json=body)
        if response.status_code != httpx.codes.OK:
            raise AnswerUnusable(url, f"HTTP {response.status_code}: {response.text[:500]}")
        answer = response.json()
        if answer["degraded"] or answer["strategy"] != "hybrid":
            raise AnswerUnusable(url, f"answered by {answer['strategy']} without {answer['degraded'] or 'nothing'}")
        return _rows_of(answer["recommendations"], catalog, k)

    with httpx.Client(base_url=url, timeout=TIMEOUT_S) as http, ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(rows, bodies)


def _rows_of(films: Sequence[Mapping[str, Any]], catalog: Catalog, k: int) -> npt.NDArray[np.int64]:
    rows = np.full(k, -1, dtype=np.int64)
    for place, film in enumerate(films[:k]):
        row = catalog.row_of(film["movie_id"])
        rows[place] = -1 if row is None else row
    return rows
