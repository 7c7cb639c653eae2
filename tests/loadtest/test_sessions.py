"""What people ask in an open-loop run."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from loadtest.open_loop.sessions import MOST_EVENTS, QUESTIONS, SessionMix, Zipf
from loadtest.soak_mix import Call
from loadtest.workload import Workload

FILMS = tuple(range(1, 201))


@pytest.fixture(scope="module")
def calls() -> list[Call]:
    mix = SessionMix(Workload(FILMS, people=200), seed=5)
    return [mix.next_call() for _ in range(40_000)]


def test_the_first_of_four_is_drawn_twelve_times_of_twenty_five() -> None:
    """1 / (1 + 1/2 + 1/3 + 1/4) = 12/25, then 6/25, 4/25 and 3/25."""
    chance, zipf, draws = random.Random(3), Zipf(4), 25_000
    counts = Counter(zipf.draw(chance) for _ in range(draws))
    for place, expected in enumerate((12_000, 6_000, 4_000, 3_000)):
        assert counts[place] == pytest.approx(expected, abs=400)  # five standard errors: sqrt(25,000 * .48 * .52) = 79


def test_the_same_seed_asks_the_same() -> None:
    first, second = (SessionMix(Workload(FILMS), seed=5) for _ in range(2))
    assert [first.next_call() for _ in range(500)] == [second.next_call() for _ in range(500)]


def test_another_worker_asks_other_questions_of_the_same_popular_people() -> None:
    first, second = (SessionMix(Workload(FILMS), seed=seed) for seed in (5, 6))
    asked = [[mix.next_call() for _ in range(20_000)] for mix in (first, second)]
    assert asked[0] != asked[1]
    favourites = [people_of(calls).most_common(1)[0][0] for calls in asked]
    assert favourites[0] == favourites[1]


def people_of(calls: list[Call]) -> Counter[int]:
    """Known people and how often each asked."""
    bodies = [call.body for call in calls if call.kind == "recommend" and call.body is not None]
    return Counter(body["user_id"] for body in bodies if isinstance(body["user_id"], int))


def test_everybody_who_returns_is_one_of_the_people(calls: list[Call]) -> None:
    assert set(people_of(calls)) <= set(range(1, 201))


def test_events_are_sent_by_known_people_alone(calls: list[Call]) -> None:
    senders = {call.body["user_id"] for call in calls if call.kind == "event" and call.body}
    assert senders
    assert {type(sender) for sender in senders} == {int}


def test_visitors_come_with_a_history_three_times_as_often_as_without(calls: list[Call]) -> None:
    """30 % of all sessions against 10 %."""
    has_history = {
        call.body["user_id"]: "history" in call.body
        for call in calls
        if call.body and isinstance(call.body.get("user_id"), str)
    }
    assert sum(has_history.values()) / len(has_history) == pytest.approx(0.75, abs=0.03)  # some 4,500 visitors


def test_a_visitor_asks_the_same_question_one_to_six_times(calls: list[Call]) -> None:
    asked = defaultdict(list)
    for call in calls:
        if call.body and isinstance(call.body.get("user_id"), str):
            asked[call.body["user_id"]].append(call.body)
    assert {len(bodies) for bodies in asked.values()} == set(range(QUESTIONS[0], QUESTIONS[1] + 1))
    assert all(first == second for bodies in asked.values() for first, second in pairwise(bodies))


def test_a_known_person_sends_one_to_three_events_between_two_questions() -> None:
    """One person alone: sessions of theirs may overlap, so only those of few questions are looked at."""
    mix = SessionMix(Workload(FILMS, people=20_000), seed=5)
    steps = defaultdict(list)
    for _ in range(20_000):
        call = mix.next_call()
        if call.body and isinstance(call.body.get("user_id"), int):
            steps[call.body["user_id"]].append(call.kind)
    alone = ["".join(kind[0] for kind in kinds) for kinds in steps.values() if kinds.count("recommend") == 2]
    between = Counter(kinds.count("e") for kinds in alone if kinds.startswith("r") and kinds.endswith("er"))
    assert set(between) == set(range(1, MOST_EVENTS + 1))


def test_a_history_has_each_film_once_and_no_more_films_than_there_are() -> None:
    mix = SessionMix(Workload((7, 8, 9)), seed=5)
    histories = [
        call.body["history"] for call in (mix.next_call() for _ in range(300)) if call.body and "history" in call.body
    ]
    assert {tuple(sorted(history)) for history in histories} == {(7, 8, 9)}
