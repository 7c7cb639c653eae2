"""The hour of the day: planted habits are found and stated, chance is not, and without it nothing changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bento.http.errors import InvalidRequest
from bento.http.reading import decode
from bento.recommender.questions import question_of
from bento.recommender.ranking.hours import Hours, hour_lifts
from bento.recommender.ranking.ordering import Ordering
from bento.recommender.schemas import RecommendRequest
from bento.release.people import ReleasePeople
from tests.recommender.genre_world import FILMS_PER_GENRE, N_FILMS, catalog
from tests.recommender.world import World

HORROR, SCI_FI = 1, 2
PEOPLE, EVENTS = 200, 100
NIGHT = 22
ASKED = {"history": [202, 302], "top_k": 8, "explain": True}


def people_who(horror_by_hour: Callable[[np.ndarray], np.ndarray]) -> ReleasePeople:
    """People, each with hours of their own; `horror_by_hour`: how likely horror is, science fiction else."""
    chance = np.random.default_rng(3)
    hours = (chance.integers(0, 24, (PEOPLE, 1)) + chance.integers(0, 12, (PEOPLE, EVENTS))) % 24
    horror = chance.random((PEOPLE, EVENTS)) < horror_by_hour(hours)
    rows = np.where(horror, HORROR, SCI_FI) * FILMS_PER_GENRE + chance.integers(0, FILMS_PER_GENRE, (PEOPLE, EVENTS))
    return ReleasePeople(
        {str(person): person for person in range(PEOPLE)},
        np.arange(PEOPLE + 1, dtype=np.int64) * EVENTS,
        rows.ravel().astype(np.int32),
        np.zeros(rows.size, np.float32),
        (hours.ravel() + 24 * np.arange(rows.size)) * 3_600,
    )


def at_night_more(hours: np.ndarray) -> np.ndarray:
    return np.where((hours >= 20) | (hours < 2), 0.5, 0.2)


def the_same_always(hours: np.ndarray) -> np.ndarray:
    return np.full(hours.shape, 0.3)


def night_people_like_horror(hours: np.ndarray) -> np.ndarray:
    """It is the people, not the hour: who begins in the evening watches horror at any time."""
    return np.where((hours[:, :1] >= 12), 0.6, 0.1) * np.ones(hours.shape)


def test_a_planted_habit_is_found() -> None:
    matrix = catalog().genre_matrix
    lifts = hour_lifts(people_who(at_night_more), matrix)
    assert lifts is not None
    horror, sci_fi = (matrix[genre * FILMS_PER_GENRE].argmax() for genre in (HORROR, SCI_FI))
    assert lifts[NIGHT, horror] > 0.2 > 0 > lifts[NIGHT, sci_fi]
    assert lifts[10, horror] < 0 < lifts[10, sci_fi]


@pytest.mark.parametrize("habit", [the_same_always, night_people_like_horror])
def test_chance_and_the_taste_of_who_watches_then_are_no_habit_of_the_hour(
    habit: Callable[[np.ndarray], np.ndarray],
) -> None:
    assert hour_lifts(people_who(habit), catalog().genre_matrix) is None


def test_too_few_people_say_nothing() -> None:
    assert hour_lifts(ReleasePeople.empty(), catalog().genre_matrix) is None


@pytest.fixture
async def at_night(make_world: Callable[..., World], world: World) -> World:
    hours = Hours(replace(world.release, people=people_who(at_night_more)))
    hours.start()
    async with asyncio.timeout(10):
        while not hours.are_known:
            await asyncio.sleep(0.01)  # they are counted in a thread
    return make_world(ordering=Ordering(world.release, hours=hours))


async def test_the_hour_is_stated_and_the_contributions_add_up(at_night: World) -> None:
    """Somebody likes horror and science fiction alike: the hour decides which comes first."""
    night = await at_night.ask(json.dumps(ASKED | {"context": {"time": NIGHT}}))
    morning = await at_night.ask(json.dumps(ASKED | {"context": {"time": "2026-11-21T10:30:00+00:00"}}))
    plain = await at_night.ask(json.dumps(ASKED))
    assert night.movie_ids[0] == 200
    assert morning.movie_ids[0] == 300
    for film in night.recommendations:
        parts = film["reasons"]["contributions"]  # type: ignore[index]
        assert sum(parts.values()) == pytest.approx(film["score"], abs=1e-4)
        assert (parts["hour"] > 0) is (film["genres"] == ["Horror"])
    assert all("hour" not in film["reasons"]["contributions"] for film in plain.recommendations)  # type: ignore[index]
    scores = [film["score"] for film in night.recommendations]
    assert (scores, len(scores)) == (sorted(scores, reverse=True), 8)  # type: ignore[type-var]


async def test_without_a_context_or_a_habit_answers_are_what_they_were(world: World, at_night: World) -> None:
    plain = await world.ask(json.dumps(ASKED))
    for same in (
        await at_night.ask(json.dumps(ASKED)),
        await at_night.ask(json.dumps(ASKED | {"context": {"device": "phone"}})),
        await world.ask(json.dumps(ASKED | {"context": {"time": NIGHT}})),
    ):
        assert same.recommendations == plain.recommendations
    stranger = await at_night.ask(json.dumps({"context": {"time": NIGHT}, "top_k": N_FILMS}))
    assert (stranger.strategy, len(stranger.movie_ids)) == ("cold_start", N_FILMS)


@pytest.mark.parametrize(
    ("time", "hour"),
    [(0, 0), (23, 23), ("2026-11-21T22:15:00", 22), ("2026-11-21T01:15:00+02:00", 23), ("2026-11-21", 0), (None, None)],
)
def test_a_time_is_reduced_to_its_hour_of_utc(world: World, time: int | str | None, hour: int | None) -> None:
    asked = decode(json.dumps({"context": {"time": time}}).encode(), RecommendRequest)
    question = question_of(asked, world.release)
    assert question.hour == hour
    later = decode(json.dumps({"context": {"time": hour, "device": "tv"}}).encode(), RecommendRequest)
    assert question_of(later, world.release).key == question.key


@pytest.mark.parametrize(
    "context", [{"time": 24}, {"time": "noon"}, {"time": "0001-01-01T00:00:00+14:00"}, {"hour": 3}, {"time": 1.5}]
)
async def test_a_time_that_is_none_is_refused(world: World, context: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match="context"):
        question_of(decode(json.dumps({"context": context}).encode(), RecommendRequest), world.release)
