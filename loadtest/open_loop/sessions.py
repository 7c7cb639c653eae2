"""What people on a film site ask: sessions of questions with events between them, a few people and films most often.

Who comes and which film is touched follow Zipf's law: the r-th most popular is drawn in proportion to 1/r. At each
arrival one of the people who are there takes the next step of their session, so that the rate of requests is the run's
own. Only people who are known send events: what the server stores about people does not grow with the run.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from loadtest.soak_mix import EVENT_TYPES, TITLES, WORDS, Call
from loadtest.workload import HISTORY_ONLY_RATIO, RETURNING_RATIO, Workload

OPEN_SESSIONS = 50
"""People who are there at a time; at 50 requests/s each of them asks about once a second."""

QUESTIONS = (1, 6)
"""Questions of one session, between the two."""

MOST_EVENTS = 3
"""Events that a known person sends at most between two questions."""

OTHER_PAGE_RATIO = 0.3
"""How often a person looks at a film, at similar ones, or searches between two questions."""

HISTORY_LENGTHS = (5, 30)
"""Films that a visitor brings, between the two."""


class Zipf:
    """Draws places 0..n-1, the r-th (from 1) in proportion to 1/r."""

    def __init__(self, n: int) -> None:
        self._places = range(n)
        self._up_to = list(itertools.accumulate(1 / rank for rank in range(1, n + 1)))

    def draw(self, chance: random.Random) -> int:
        """One place."""
        return chance.choices(self._places, cum_weights=self._up_to)[0]


class SessionMix:
    """Draws the calls of many sessions from a seed."""

    def __init__(self, workload: Workload, seed: int) -> None:
        """`workload` lists its films most popular first, as the server does for a person without a history."""
        self._chance = random.Random(seed)
        self._movie_ids = workload.movie_ids
        self._people = list(range(1, workload.people + 1))
        # Who is popular must not depend on the worker: each has its own seed, all share the people.
        random.Random(workload.people).shuffle(self._people)
        self._popular_films, self._popular_people = Zipf(len(self._movie_ids)), Zipf(len(self._people))
        self._open: list[Iterator[Call]] = [self._session() for _ in range(OPEN_SESSIONS)]

    def next_call(self) -> Call:
        """The next step of one of the open sessions; where it has ended, the first of a new one."""
        place = self._chance.randrange(OPEN_SESSIONS)
        call = next(self._open[place], None)
        if call is None:
            self._open[place] = self._session()
            call = next(self._open[place])
        return call

    def _session(self) -> Iterator[Call]:
        draw = self._chance.random()
        if draw < RETURNING_RATIO:
            user_id: int | str = self._people[self._popular_people.draw(self._chance)]
            return self._steps({"user_id": user_id, "top_k": 10}, known=True)
        visitor: dict[str, Any] = {"user_id": f"visitor-{self._chance.getrandbits(48)}", "top_k": 10}
        if draw < RETURNING_RATIO + HISTORY_ONLY_RATIO:
            visitor["history"] = self._films(self._chance.randint(*HISTORY_LENGTHS))
        return self._steps(visitor, known=False)

    def _steps(self, question: dict[str, Any], known: bool) -> Iterator[Call]:
        for number in range(self._chance.randint(*QUESTIONS)):
            if number:
                if known:
                    yield from self._events(question["user_id"])
                if self._chance.random() < OTHER_PAGE_RATIO:
                    yield self._other_page()
            yield Call("recommend", "POST", "/recommend", question)

    def _events(self, user_id: int) -> Iterator[Call]:
        for _ in range(self._chance.randint(1, MOST_EVENTS)):
            kind = self._chance.choice(EVENT_TYPES)
            body = {"user_id": user_id, "item_id": self._film(), "event_type": kind}
            rating = {"value": self._chance.randint(1, 5)} if kind == "rate" else {}
            yield Call("event", "POST", "/events", body | rating)

    def _other_page(self) -> Call:
        kind = self._chance.choice(("film", "similar", "search"))
        if kind == "film":
            return Call(kind, "GET", f"/movie/{quote(str(self._film()), safe='')}")
        if kind == "similar":
            return Call(kind, "POST", "/similar", {"movie_id": self._film()})
        words = self._chance.choice(WORDS + TITLES).replace(" ", "+")
        return Call(kind, "GET", f"/search?q={words}&limit=5")

    def _film(self) -> int | str:
        return self._movie_ids[self._popular_films.draw(self._chance)]

    def _films(self, n: int) -> list[int | str]:
        """Different films, the oldest first; as many as there are where `n` is more."""
        films: dict[int | str, None] = {}
        while len(films) < min(n, len(self._movie_ids)):
            films[self._film()] = None
        return list(films)
