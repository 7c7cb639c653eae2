"""What `make bench` sends."""

from __future__ import annotations

import httpx
import numpy as np
import pytest
from rich.console import Console

from loadtest.benchmark import UNCACHED_BODIES, counts_of, print_results, recommend_scenarios
from loadtest.closed_loop import Round


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


def test_each_inference_is_told_apart_from_the_echo_of_its_wire(capsys):
    p50_us = {"bare uvicorn echo": 200, "v2 infer over HTTP": 230, "the service's v2 infer over HTTP": 245}
    results = {(name, 1): [Round(1.0, np.array([float(us)]))] for name, us in p50_us.items()}
    print_results(results, Console(width=200))
    printed = capsys.readouterr().out
    assert "\nv2 infer over HTTP at 1 client: +30 µs against bare uvicorn echo" in printed
    assert "\nthe service's v2 infer over HTTP at 1 client: +45 µs against bare uvicorn echo" in printed


def test_the_re_ranker_is_measured_beside_the_blend_with_one_number_of_clients(scenarios):
    blended, re_ranked = scenarios["POST /recommend, uncached"], scenarios["POST /recommend, uncached, re-ranked"]
    assert (counts_of(blended, [1, 16, 64]), counts_of(re_ranked, [1, 16, 64])) == ([1, 16, 64], [16])
    assert all(b'"scorer":"mlp"' in body for body in re_ranked.next_round().bodies)
    assert all(b'"scorer":"dot"' in body for body in blended.next_round().bodies)
