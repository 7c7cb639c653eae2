"""The checks of `python -m bento verify` on a running server, one function each.

The docstring of a check is its printed name; a check returns a short description of what it found, or raises Failed.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import cached_property
from typing import Any

import httpx


class Failed(AssertionError):
    """A check failed."""


class Visit:
    """One round of checks, as a person with an id of its own."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.visitor = f"verify-{uuid.uuid4().hex[:12]}"

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        """JSON of a GET. Raises: Failed when the status is another."""
        return self._read(self._client.get(path, params=query), status)

    def post(self, path: str, body: dict[str, Any], status: int = 200) -> Any:
        """JSON of a POST. Raises: Failed when the status is another."""
        return self._read(self._client.post(path, json=body), status)

    def text(self, path: str) -> str:
        """The text at a path. Raises: Failed."""
        response = self._client.get(path)
        expect(response.status_code == 200, f"{path} answers {response.status_code}")
        return response.text

    def forget(self) -> Any:
        """Forget the visitor."""
        return self._read(self._client.delete(f"/users/{self.visitor}"), 200)

    @cached_property
    def release(self) -> int:
        """The release that `/health` names."""
        return int(self.get("/health")["release"])

    def _read(self, response: httpx.Response, status: int) -> Any:
        path = response.request.url.path
        expect(
            response.status_code == status,
            f"{path} answers {response.status_code}, not {status}: {response.text[:200]}",
        )
        return response.json()


def expect(holds: bool, otherwise: str) -> None:
    """Raises: Failed."""
    if not holds:
        raise Failed(otherwise)


def healthy(visit: Visit) -> str:
    """It is ready and Redis answers"""
    health = visit.get("/health")
    expect(health["status"] == "ok", f"status is {health['status']}")
    expect(health["redis"] == "ok", f"Redis: {health['redis'].replace('_', ' ')}; events wait in the spool")
    visit.text("/v2/health/ready")
    return f"release {health['release']}, {health['movies_loaded']} films"


def one_release(visit: Visit) -> str:
    """One release answers everywhere"""
    named = {visit.get("/config")["release"], visit.get("/recommend", limit=1)["release"], visit.release}
    expect(len(named) == 1, f"releases {sorted(named)}")
    return f"release {visit.release}"


def people_without_a_history(visit: Visit) -> str:
    """A person without a history is recommended films"""
    answer = visit.post("/recommend", {"user_id": visit.visitor, "top_k": 10})
    expect(len(answer["recommendations"]) == 10, f"{len(answer['recommendations'])} films, not 10")
    return str(answer["strategy"])


def known_people(visit: Visit) -> str:
    """A known person is recommended unseen films by the whole hybrid"""
    people = visit.get("/people", limit=1)["people"]
    if not people:
        return "the release has no people"
    user_id = people[0]["user_id"]
    answer = visit.post("/recommend", {"user_id": user_id, "top_k": 20, "explain": True})
    expect(
        answer["strategy"] == "hybrid" and not answer["degraded"], f"{answer['strategy']}, without {answer['degraded']}"
    )
    seen = {film["movie_id"] for film in visit.get(f"/people/{user_id}", limit=1_000)["history"]}
    again = seen & {film["movie_id"] for film in answer["recommendations"]}
    expect(not again, f"films that person {user_id} has seen: {sorted(again)}")
    return f"person {user_id}, {answer['timings_ms']['total']} ms"


def explanations(visit: Visit) -> str:
    """Contributions of the sources add up to the score"""
    film = visit.post("/recommend", {"history": _popular(visit, 3), "explain": True, "top_k": 1})["recommendations"][0]
    total = sum(film["reasons"]["contributions"].values())
    expect(
        abs(total - film["score"]) < 1e-3 * max(1, abs(total)), f"they add up to {total}, the score is {film['score']}"
    )
    return str(film["reasons"]["text"])


def events(visit: Visit) -> str:
    """An event changes the next answer"""
    before = visit.post("/recommend", {"user_id": visit.visitor})
    film = before["recommendations"][0]["movie_id"]
    quoted = {"recommendation_id": before["recommendation_id"]}
    stored = visit.post(
        "/events", {"user_id": visit.visitor, "item_id": film, "event_type": "like"} | quoted, status=202
    )
    after = visit.post("/recommend", {"user_id": visit.visitor})
    expect(film not in {one["movie_id"] for one in after["recommendations"]}, f"film {film} is still recommended")
    return f"acknowledged by {stored['stored_in']}, {before['strategy']} became {after['strategy']}"


def forgetting(visit: Visit) -> str:
    """A person can be erased"""
    deleted = visit.forget()["events_deleted"]
    known = visit.get(f"/people/{visit.visitor}")["total_ratings"]
    expect(known == 0, f"{known} films are still stored")
    return f"{deleted} event deleted"


def filters(visit: Visit) -> str:
    """Filters are exact"""
    answer = visit.post("/recommend/filtered", {"min_year": 1990, "max_year": 1999, "top_k": 20})
    wrong = [film for film in answer["recommendations"] if not 1990 <= (film["year"] or 0) <= 1999]
    expect(not wrong, f"{wrong[:1]}")
    expect(len(answer["recommendations"]) == 20 or answer["reason"], "fewer films than asked for, without a reason")
    return f"{len(answer['recommendations'])} films of the nineties"


def similar_films(visit: Visit) -> str:
    """Similar films are found, best first"""
    film = _popular(visit, 1)[0]
    found = [one["similarity"] for one in visit.post("/similar", {"movie_id": film, "top_k": 5})["similar"]]
    expect(found == sorted(found, reverse=True) and len(found) == 5, f"similarities {found}")
    return f"for film {film}"


def errors(visit: Visit) -> str:
    """Wrong requests are refused in one shape"""
    for path, body, status in (("/recommend", {"top_k": 0}, 422), ("/similar", {"movie_id": -1}, 404)):
        error = visit.post(path, body, status)
        expect(error["success"] is False and set(error["error"]) == {"code", "message", "detail"}, f"{path}: {error}")
    return "code, message, detail"


def metrics(visit: Visit) -> str:
    """Metrics of the recommender and of the inference server are there"""
    text = visit.text("/metrics")
    for name in ("recsys_request_seconds", "recsys_stage_seconds", "nv_inference_request_success"):
        expect(name in text, f"no {name}")
    return f"{len(text.splitlines())} lines"


def alerts(visit: Visit) -> str:
    """There are no alerts"""
    found = visit.get("/monitor")["alerts"]
    expect(not found, "; ".join(f"{one['name']}: {one['message']}" for one in found))
    return ""


def _popular(visit: Visit, count: int) -> list[int]:
    return [film["movie_id"] for film in visit.get("/recommend", limit=count)["recommendations"]]


CHECKS: tuple[Callable[[Visit], str], ...] = (
    healthy, one_release, people_without_a_history, known_people, explanations, events, forgetting, filters,
    similar_films, errors, metrics, alerts,
)  # fmt: skip
"""In this order: `forgetting` erases the person of the checks before it."""
