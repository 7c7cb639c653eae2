"""What `make bench` sends."""

from __future__ import annotations

import httpx
import pytest

from loadtest.benchmark import UNCACHED_BODIES, recommend_scenarios


@pytest.fixture
def scenarios(monkeypatch: pytest.MonkeyPatch):
    answer = {"recommendations": [{"movie_id": number} for number in range(200)]}
    request = httpx.Request("POST", "http://films/recommend")
    monkeypatch.setattr(httpx, "post", lambda *_, **__: httpx.Response(200, json=answer, request=request))
    return {scenario.target.name: scenario for scenario in recommend_scenarios(3000)}


def test_no_round_of_the_uncached_scenario_asks_what_an_earlier_one_asked(scenarios):
    uncached = scenarios["POST /recommend, uncached"]
    bodies = [body for _ in range(3) for body in uncached.next_round().bodies]
    assert len(set(bodies)) == 3 * UNCACHED_BODIES


def test_all_rounds_of_the_cached_scenario_ask_the_same(scenarios):
    cached = scenarios["POST /recommend, cached"]
    assert cached.next_round().bodies == cached.next_round().bodies
    assert len(cached.next_round().bodies) == 1
