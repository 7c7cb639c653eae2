"""Requests and answers of the recommender's own routes, as they are on the wire.

msgspec checks types and bounds while `bento.http.reading` decodes them. A field that no route knows is refused: a
misspelt `topk` would be ignored silently.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from bento.http.reading import convert
from features.ids import ID_LENGTH_LIMIT, Id
from features.scorers import Scorer
from features.thresholds import MAX_STARS, MIN_STARS

TOP_K_LIMIT = 1_000
HISTORY_LIMIT = 5_000
YEAR_2100_S = 4_102_444_800
NAMES_LIMIT = 50

Share = Annotated[float, Meta(ge=0, le=1)]
TopK = Annotated[int, Meta(ge=1, le=TOP_K_LIMIT, description="How many films to return.")]
UserId = (
    Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | Annotated[str, Meta(min_length=1, max_length=ID_LENGTH_LIMIT)]
)
"""A number or a string; 7 and "7" are the same person, "007" is another."""

MovieId = int | Annotated[str, Meta(max_length=ID_LENGTH_LIMIT)]
"""A number or a string; 7 and "7" are the same film, "007" is another. Ids that the catalogue does not
hold are ignored where lists are given."""


Year = Annotated[int, Meta(ge=1800, le=2200)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Names = Annotated[list[Name], Meta(max_length=NAMES_LIMIT)]

Timestamp = Annotated[float, Meta(ge=0, le=YEAR_2100_S, description="Unix seconds; left out = now.")]


class HistoryItem(Struct, frozen=True, forbid_unknown_fields=True):
    """One film of a history."""

    movie_id: MovieId
    rating: Annotated[float, Meta(ge=0, le=5, description="Stars; 0 = watched without rating.")] | None = None
    timestamp: Annotated[float, Meta(ge=0, le=YEAR_2100_S, description="Unix seconds.")] | None = None


History = Annotated[
    list[int | Annotated[str, Meta(max_length=ID_LENGTH_LIMIT)] | HistoryItem],
    Meta(max_length=HISTORY_LIMIT, description="Watched films, oldest first."),
]


class Context(Struct, frozen=True, forbid_unknown_fields=True):
    """When and where the list will be looked at."""

    time: (
        Annotated[int, Meta(ge=0, le=23, description="Hour of the day, UTC.")]
        | Annotated[str, Meta(max_length=64, description="ISO 8601; UTC where it names no zone.")]
        | None
    ) = None
    device: (
        Annotated[str, Meta(max_length=64, description="Taken, and without effect: no data tell of devices.")] | None
    ) = None


class ListRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What every request for a list of films can say."""

    user_id: UserId | None = None
    history: History | None = None
    """Describes the taste on its own when given; without it, what is known of `user_id` does."""
    top_k: TopK = 10
    preset: str | None = None
    weights: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    """Fusion weight per source; sources left out weigh 0."""
    scorer: Scorer | None = None
    """What orders the best 200 films: the blend's dot product or the re-ranker; left out = as the release says."""
    exclude: Annotated[list[MovieId], Meta(max_length=HISTORY_LIMIT)] = []
    """Films not to recommend."""
    explain: bool = False
    """Say why each film is recommended."""
    diversity: Share | None = None
    """0 = by score alone, 1 = as unlike each other as can be; left out = the setting DIVERSITY."""
    freshness: Share | None = None
    """How much recent films gain; left out = the setting FRESHNESS."""


class RecommendRequest(ListRequest, frozen=True, forbid_unknown_fields=True):
    """`POST /recommend`. Everything may be left out: nobody in particular gets the popular films."""

    context: Context | None = None
    """Changes the list where the release's people watch other genres at that hour: docs/operations.md."""


class GenreFilter(Struct, frozen=True, forbid_unknown_fields=True):
    """Genres of which a film has one (`any`), or all of them (`all`); both may be given."""

    any: Names = []
    all: Names = []


class Filters(Struct, frozen=True, omit_defaults=True):
    """What films must be. What is left out does not matter."""

    genres: GenreFilter | Names | None = None
    """A plain list means any of them."""
    exclude_genres: Names = []
    min_year: Year | None = None
    max_year: Year | None = None
    people: Names = []
    """Directors or actors, by full name or any part of it: films with at least one of them."""
    country: Name | None = None
    min_rating: Annotated[float, Meta(ge=0, le=5)] | None = None
    """Lowest mean of the stars; films that nobody rated do not pass."""
    text: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    """What the film is about: the hundred films nearest in meaning pass."""


class FilteredRequest(ListRequest, frozen=True, forbid_unknown_fields=True):
    """`POST /recommend/filtered`: a recommendation among the films that pass; its filters are those of `Filters`."""

    final_k: TopK | None = None
    """How many of the top_k to return; all of them when left out."""
    genres: GenreFilter | Names | None = None
    exclude_genres: Names = []
    min_year: Year | None = None
    max_year: Year | None = None
    people: Names = []
    country: Name | None = None
    min_rating: Annotated[float, Meta(ge=0, le=5)] | None = None
    text: Annotated[str, Meta(min_length=1, max_length=500)] | None = None


class EventRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /events`: one thing that one person did."""

    user_id: UserId
    item_id: MovieId
    event_type: Literal["view", "click", "rate", "like", "dislike", "purchase"]
    value: Annotated[float, Meta(ge=MIN_STARS, le=MAX_STARS, description="Stars, for event_type rate.")] | None = None
    timestamp: Timestamp | None = None
    recommendation_id: Annotated[str, Meta(max_length=128)] | None = None
    """The answer that the person saw."""


class Because(Struct, frozen=True):
    """A film of the person's history that a recommendation is like."""

    movie_id: Id
    title: str
    similarity: float
    """0 = as alike as any two films, 1 = as alike as can be."""


class Reasons(Struct, frozen=True):
    """Why a film is recommended."""

    contributions: dict[str, float]
    """What each source adds to the score, and as `mlp` the re-ranker where it had a part; together, the score."""
    because: list[Because]
    """The films of the history most like this one, best first."""
    shared_genres: list[str]
    """Genres that this film shares with those."""
    shared_people: list[str]
    """Directors and actors of this film whom the person has seen in films they did not dislike."""
    text: str
    """All this in one sentence."""


class RecommendedFilm(Struct, frozen=True):
    """One recommendation. Scores of one answer compare with each other, not with other answers'."""

    movie_id: Id
    score: float
    title: str
    genres: tuple[str, ...]
    year: int | None
    poster_url: str | None
    reasons: Reasons | UnsetType = UNSET
    """Only where the request said `explain`."""


class AnswerBody(Struct, frozen=True):
    """The part of an answer that may be cached."""

    recommendations: list[RecommendedFilm]
    reason: str | None
    """Why there are fewer films than asked for, or films that were seen already; null otherwise."""
    release: int
    strategy: str
    """hybrid, cold_start, or the rung of the fallback ladder that answered."""
    scorer: Scorer | None
    """What ordered the best candidates; null where there was nothing to choose: no hybrid answered."""
    ignored_movie_ids: int
    """Films of the request's history that the catalogue does not hold."""
    catalogue_revision: int
    """How often films were added, changed or removed since the release."""


class AnswerTail(Struct, frozen=True):
    """The part of an answer that is new every time."""

    cached: bool
    degraded: list[str]
    """Parts that were left out because they failed or were late."""
    timings_ms: dict[str, float]
    request_id: str
    recommendation_id: str
    """What events about these films quote."""
    experiments: dict[str, str]
    """Experiment -> the person's arm."""


class FilteredTail(Struct, frozen=True):
    """What an answer of `/recommend/filtered` says beside that of `/recommend`."""

    filters_applied: dict[str, Any]


class RecommendAnswer(AnswerBody, frozen=True):
    """Answer of `/recommend`, as it leaves: who asked, `AnswerBody`, `AnswerTail`."""

    user_id: int | str | None
    cached: bool
    degraded: list[str]
    timings_ms: dict[str, float]
    request_id: str
    recommendation_id: str
    experiments: dict[str, str]


class FilteredAnswer(RecommendAnswer, frozen=True):
    """Answer of `/recommend/filtered`, as it leaves: `RecommendAnswer` and `FilteredTail`."""

    filters_applied: dict[str, Any]


class _PersonPath(Struct, frozen=True):
    user_id: Annotated[str, Meta(max_length=ID_LENGTH_LIMIT)]


def user_id_in_path(path_values: dict[str, str]) -> str:
    """The person that a path names. Raises: InvalidRequest when the id is too long to be one."""
    return convert(path_values, _PersonPath).user_id


def join_objects(*objects: bytes) -> bytes:
    """One JSON object with the fields of several encoded ones; none of them may be empty."""
    return b"{" + b",".join(encoded[1:-1] for encoded in objects) + b"}"
