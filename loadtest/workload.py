"""Who asks for what: requests drawn from the served catalogue, from a seed.

The mix is what a film site sees: mostly people who come back, some new ones with a handful of films,
a few strangers with nothing. Nothing here sends anything.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

RETURNING_RATIO, HISTORY_ONLY_RATIO = 0.6, 0.3
"""The rest (10 %) are strangers without a history."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Draws request bodies for POST /recommend."""

    movie_ids: tuple[int | str, ...]
    """Films of the served catalogue."""
    people: int = 200
    """People 1..people come back; a small number makes the response cache matter."""

    def recommend_body(self, chance: random.Random) -> dict[str, Any]:
        """A request of somebody who returns, brings only a history, or is new."""
        draw = chance.random()
        if draw < RETURNING_RATIO:
            return {"user_id": chance.randint(1, self.people), "top_k": 10}
        if draw < RETURNING_RATIO + HISTORY_ONLY_RATIO:
            return self.uncached_body(chance)
        return {"user_id": f"stranger-{chance.getrandbits(32)}", "top_k": 10}

    def uncached_body(self, chance: random.Random) -> dict[str, Any]:
        """A request nobody made before: a random history of 5 to 30 films."""
        n_films = min(chance.randint(5, 30), len(self.movie_ids))
        return {
            "user_id": f"visitor-{chance.getrandbits(48)}",
            "history": chance.sample(self.movie_ids, n_films),
            "top_k": 10,
        }


def workload_from_answer(recommendations: list[dict[str, Any]], people: int = 200) -> Workload:
    """A workload over the films of one long answer of the server itself.

    Raises ValueError when the answer holds no film.
    """
    if not recommendations:
        raise ValueError("the server answered with no films; is it serving a release? ask GET /health")
    return Workload(tuple(film["movie_id"] for film in recommendations), people)
