"""A request as the pipeline uses it: rows of the served catalogue, a weight vector, checked bounds.

It holds no movie_ids any more; those that the catalogue does not hold were counted and left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import numpy as np
import numpy.typing as npt

from bento.http.errors import InvalidRequest
from bento.recommender.errors import UnknownPreset
from bento.recommender.schemas import Context, FilteredRequest, Filters, HistoryItem, RecommendRequest
from bento.release.loading import Release, weight_vector
from features.catalog import Catalog
from features.history import WatchHistory
from features.scorers import DOT
from features.sources import SOURCES


@dataclass(frozen=True, slots=True)
class Question:
    """A request for recommendations, translated for the pipeline."""

    user_id: str | None
    """None: an anonymous request."""
    history: WatchHistory | None
    """The history given with the request; None = use the stored one of the person."""
    ignored_movie_ids: int
    """Films of the given history that the catalogue does not hold."""
    excluded_rows: npt.NDArray[np.int64]
    """(X,) films not to recommend, in addition to those of the history."""
    top_k: int
    weights: npt.NDArray[np.float32]
    """(S,) fusion weights."""
    scorer: str
    """The scorer of the best candidates, dot or mlp."""
    explain: bool
    diversity: float | None
    """0..1; None: the setting."""
    freshness: float | None
    allowed_rows: npt.NDArray[np.int64] | None
    """(A,) films that pass the request's filters; None where it has none."""
    hour: int | None
    """Hour of the day, UTC, where the request gives a time."""
    filters: Filters | None
    """The filters, where they describe `allowed_rows` completely: with a `text` they do not."""
    key: str
    """Equal for equal questions to the same release and catalogue revision, and part of the response cache's key."""

    @property
    def owner(self) -> str:
        """Under whom the answer is cached: the person, or for anonymous requests the question itself."""
        return self.user_id if self.user_id is not None else f"anonymous {self.key}"


def question_of(
    request: RecommendRequest | FilteredRequest,
    release: Release,
    allowed_rows: npt.NDArray[np.int64] | None = None,
) -> Question:
    """Translate a request; `allowed_rows` are the films that pass its filters.

    Raises: InvalidRequest (unknown source, no re-ranker, invalid time), UnknownPreset.
    """
    request, hour = _with_hour(request)
    history, ignored = None, 0
    if request.history is not None:
        history, ignored = _watch_history(request.history, release.catalog)
    weights = _weights(request, release)
    return Question(
        user_id=None if request.user_id is None else str(request.user_id),
        history=history,
        ignored_movie_ids=ignored,
        excluded_rows=np.array(list(_known_rows(request.exclude, release.catalog)), dtype=np.int64),
        top_k=min(request.top_k, getattr(request, "final_k", None) or request.top_k),
        weights=weights,
        scorer=_scorer(request, release, weights),
        explain=request.explain,
        diversity=request.diversity,
        freshness=request.freshness,
        allowed_rows=allowed_rows,
        hour=hour,
        filters=_filters(request),
        key=question_key(release.version, request),
    )


def _with_hour(request: RecommendRequest | FilteredRequest) -> tuple[RecommendRequest | FilteredRequest, int | None]:
    """The request with its context reduced to the hour, which alone can change the answer, and that hour."""
    if not isinstance(request, RecommendRequest) or request.context is None:
        return request, None
    hour = _hour_of(request.context.time)
    context = None if hour is None else Context(hour)
    return msgspec.structs.replace(request, context=context), hour


def _hour_of(time: int | str | None) -> int | None:
    """Raises: InvalidRequest."""
    if not isinstance(time, str):
        return time
    try:
        moment = datetime.fromisoformat(time)
        return (moment if moment.tzinfo is None else moment.astimezone(UTC)).hour
    except (ValueError, OverflowError):
        raise InvalidRequest("context.time", "expected an hour from 0 to 23 or ISO 8601", time) from None


def _filters(request: RecommendRequest | FilteredRequest) -> Filters | None:
    if not isinstance(request, FilteredRequest) or request.text is not None:
        return None
    return Filters(**{name: getattr(request, name) for name in Filters.__struct_fields__})


def question_key(version: str, request: RecommendRequest | FilteredRequest) -> str:
    """Identifies a request to a version: the version, then 16 bytes of BLAKE2b over the request's type and encoding.

    The user_ids 7 and "7" are the same person.
    """
    if isinstance(request.user_id, int):
        request = msgspec.structs.replace(request, user_id=str(request.user_id))
    digest = hashlib.blake2b(type(request).__name__.encode(), digest_size=16)
    digest.update(msgspec.json.encode(request))  # which, unlike MessagePack, takes numbers of any size
    return f"{version}:{digest.hexdigest()}"


def _known_rows(movie_ids: Iterable[int | str], catalog: Catalog) -> Iterable[int]:
    return (row for movie_id in movie_ids if (row := catalog.row_of(movie_id)) is not None)


def _watch_history(items: list[int | str | HistoryItem], catalog: Catalog) -> tuple[WatchHistory, int]:
    """The given history with the number of films that were ignored.

    Where every film carries a timestamp, time gives the order; otherwise the list does.
    """
    rows, ratings, stamps = [], [], []
    for item in items:  # ragged input from the wire
        item = item if isinstance(item, HistoryItem) else HistoryItem(item)
        row = catalog.row_of(item.movie_id)
        if row is not None:
            rows.append(row)
            ratings.append(item.rating or 0.0)
            stamps.append(int(item.timestamp or 0))
    timestamps_s = np.array(stamps, dtype=np.int64)
    order = np.argsort(timestamps_s, kind="stable") if all(stamps) else np.arange(len(rows))
    history = WatchHistory(
        np.array(rows, dtype=np.int64)[order], np.array(ratings, dtype=np.float32)[order], timestamps_s[order]
    )
    return history, len(items) - len(rows)


def _weights(request: RecommendRequest | FilteredRequest, release: Release) -> npt.NDArray[np.float32]:
    if request.weights is not None:
        if unknown := set(request.weights) - set(SOURCES):
            raise InvalidRequest("weights", f"expected sources among {', '.join(SOURCES)}", ", ".join(sorted(unknown)))
        if request.preset is not None:
            raise InvalidRequest("weights", "give either weights or a preset, not both")
        return weight_vector(request.weights)
    if request.preset is not None:
        if request.preset not in release.presets:
            raise UnknownPreset(request.preset, release.presets)
        return release.presets[request.preset]
    return release.weights


def _scorer(request: RecommendRequest | FilteredRequest, release: Release, weights: npt.NDArray[np.float32]) -> str:
    """The scorer of the request, else the release's: but the dot product for weights other than its own, as the
    re-ranker was trained on candidates of those."""
    if request.scorer is None:
        return release.scorer if weights is release.weights else DOT
    if request.scorer not in release.scorers:
        raise InvalidRequest("scorer", f"release {release.number} has no re-ranker, expected {DOT}", request.scorer)
    return request.scorer
