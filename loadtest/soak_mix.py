"""What a soak asks for: every kind of question that people and their applications ask, in the mix of a film site.

People who are known come back and act, newcomers act once or twice, come back for what follows from it, and ask to be
forgotten in the end: what is stored about people stops growing, so that memory that still grows is a leak.
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from loadtest.workload import Workload

GUESTS = 100
"""People who bring a history each time, or nothing: so few that each has as many served lists as are kept of one."""

STAYING = 60
"""Newcomers who are there at a time; of more, the first one asks to be forgotten."""

BATCH_PEOPLE = 8
GENRES = ("Action", "Comedy", "Drama", "Horror", "Romance", "Sci-Fi", "Thriller")
WORDS = ("quiet films about the sea", "a heist that goes wrong", "growing up in a small town", "robots and love")
TITLES = ("godfather", "toy stroy", "alien", "casablanca")
EVENT_TYPES = ("view", "click", "like", "dislike", "rate")


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    kind: str
    method: str
    path: str
    body: dict[str, Any] | None = None


class Mix:
    """Draws calls from a seed."""

    def __init__(self, workload: Workload, seed: int) -> None:
        self._workload = workload
        self._chance = random.Random(seed)
        self._numbers = itertools.count()
        self._newcomers: deque[str] = deque()
        shares: tuple[tuple[Callable[[], Call], int], ...] = (
            (self._recommend, 48), (self._wishes, 8), (self._filtered, 10), (self._event, 10), (self._newcomer, 4),
            (self._similar, 6), (self._by_title, 2), (self._search, 4), (self._fixed_shape, 5), (self._batch, 2),
            (self._film, 1),
        )  # fmt: skip
        self._ways = [way for way, _ in shares]
        self._up_to = list(itertools.accumulate(share for _, share in shares))

    def next_call(self) -> Call:
        """One more request."""
        if len(self._newcomers) > STAYING:
            return Call("forget", "DELETE", f"/users/{self._newcomers.popleft()}")
        return self._chance.choices(self._ways, cum_weights=self._up_to)[0]()

    def _recommend(self) -> Call:
        return Call("recommend", "POST", "/recommend", self._question())

    def _question(self) -> dict[str, Any]:
        body = self._workload.recommend_body(self._chance)
        known = isinstance(body["user_id"], int)
        return body if known else body | {"user_id": f"guest-{self._chance.randrange(GUESTS)}"}

    def _wishes(self) -> Call:
        wish: dict[str, Any] = self._chance.choice(
            [{"explain": True}, {"diversity": 0.4}, {"freshness": 0.5}, {"scorer": "mlp"}]
        )
        return Call("wishes", "POST", "/recommend", self._question() | wish)

    def _filtered(self) -> Call:
        body = self._question()
        body |= {"genres": self._chance.sample(GENRES, 2), "min_year": self._chance.randint(1930, 2000)}
        if self._chance.random() < 0.1:
            body["text"] = self._chance.choice(WORDS)
        return Call("filtered", "POST", "/recommend/filtered", body)

    def _event(self) -> Call:
        person = self._known() if self._chance.random() < 0.7 or not self._newcomers else self._staying()
        return self._act(person)

    def _newcomer(self) -> Call:
        user_id = f"newcomer-{next(self._numbers)}"
        self._newcomers.append(user_id)
        return self._act(user_id)

    def _act(self, user_id: str) -> Call:
        kind = self._chance.choice(EVENT_TYPES)
        body = {"user_id": user_id, "item_id": self._chance.choice(self._workload.movie_ids), "event_type": kind}
        return Call(
            "event", "POST", "/events", body | ({"value": self._chance.randint(1, 5)} if kind == "rate" else {})
        )

    def _similar(self) -> Call:
        by = self._chance.choice(["blend", "text", "collaborative"])
        return Call(
            "similar", "POST", "/similar", {"movie_id": self._chance.choice(self._workload.movie_ids), "by": by}
        )

    def _by_title(self) -> Call:
        return Call("by title", "GET", f"/recommend/movie?title={self._chance.choice(TITLES).replace(' ', '+')}&k=5")

    def _search(self) -> Call:
        words = self._chance.choice(WORDS + TITLES).replace(" ", "+")
        return Call("search", "GET", f"/search?q={words}&limit=5")

    def _fixed_shape(self) -> Call:
        person = self._staying() if self._newcomers else self._known()
        paths = (f"/recommend/user/{person}?k=5", f"/api/v1/recommendations/{person}?limit=5",
                 f"/movies/recommendations?user_id={person}&limit=5&use_embeddings=false")  # fmt: skip
        return Call("fixed shape", "GET", self._chance.choice(paths))

    def _batch(self) -> Call:
        bodies = [self._workload.uncached_body(self._chance) for _ in range(BATCH_PEOPLE)]
        histories = {body["user_id"]: body["history"] for body in bodies}
        return Call("batch", "POST", "/batch/recommend", {"user_histories": histories, "top_k": 10})

    def _film(self) -> Call:
        return Call("film", "GET", f"/movie/{self._chance.choice(self._workload.movie_ids)}")

    def _known(self) -> str:
        return str(self._chance.randint(1, self._workload.people))

    def _staying(self) -> str:
        return self._chance.choice(self._newcomers)
