"""What makes lists worth asking for again, on people of planted tastes: one's own, and changed by what one does."""

from __future__ import annotations

from itertools import pairwise

import httpx
import numpy as np
import pytest

from sample import SimulatedWorld
from tests.conftest import Service

from .test_recommendations import recommended_rows, world

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

PEOPLE = [str(number) for number in range(1_401, 1_601)]
"""Of the release; nobody else's tests do anything as them."""

CLICKS = 3
"""Within as many the list has to follow."""

MOVED_BY = 0.15
"""Mean fit of the list with the new taste, from 0 to 1; measured for neighbouring tastes: 0.2 to 1.0."""


def lists_of(service: Service, people: list[str]) -> dict[str, tuple[int, ...]]:
    body = {"user_histories": dict.fromkeys(people), "top_k": 10}
    answer = httpx.post(f"{service.url}/batch/recommend", json=body, timeout=120).json()
    assert answer["failed_users"] == []
    return {person: tuple(film["movie_id"] for film in films) for person, films in answer["results"].items()}


def tell(service: Service, user_id: str, movie_id: int, event_type: str) -> None:
    event = {"user_id": user_id, "item_id": movie_id, "event_type": event_type}
    assert httpx.post(f"{service.url}/events", json=event, timeout=30).status_code == 202


def test_at_least_85_of_100_people_have_a_list_that_nobody_else_has(service: Service) -> None:
    lists = list(lists_of(service, PEOPLE).values())
    alone = [one for one in lists if lists.count(one) == 1]
    assert len(alone) >= 0.85 * len(PEOPLE)
    assert len(set(map(frozenset, lists))) >= 0.85 * len(PEOPLE)  # other films, not only in another order


def test_at_least_95_of_100_lists_change_after_an_interaction(service: Service) -> None:
    """Everybody likes a film that was not on their list, so that its absence is no change."""
    before = lists_of(service, PEOPLE)
    chance, catalogue = np.random.default_rng(5), [film.movie_id for film in world().films]
    for person in PEOPLE:
        tell(service, person, int(chance.choice(np.setdiff1d(catalogue, before[person]))), "like")
    after = lists_of(service, PEOPLE)
    changed = sum(before[person] != after[person] for person in PEOPLE)
    assert changed >= 0.95 * len(PEOPLE)


@pytest.mark.parametrize(("taste", "new_taste"), list(pairwise(world().taste_names))[::3])
def test_clicks_on_a_new_taste_move_the_list(service: Service, taste: str, new_taste: str) -> None:
    """Somebody who liked films of one taste clicks on films of another."""
    truth: SimulatedWorld = world()
    column, user_id = truth.taste_names.index(new_taste), f"{taste} and then {new_taste}"
    for row in truth.films_of(taste)[:6]:
        tell(service, user_id, truth.films[row].movie_id, "like")
    fits = []
    for clicked in (None, *truth.films_of(new_taste)[:CLICKS]):
        if clicked is not None:
            tell(service, user_id, truth.films[clicked].movie_id, "click")
        fits.append(truth.fit[recommended_rows(service, {"user_id": user_id, "top_k": 10}), column].mean())
    assert fits[-1] > fits[0] + MOVED_BY, fits
