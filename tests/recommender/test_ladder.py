"""The ladder of fallbacks, each stage broken in turn: what fails or hangs costs its part, never an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.recommender.genre_world import N_FILMS
from tests.recommender.world import World

TIMEOUT_S = 0.05
NEURAL = ("sequence_encoder", "user_tower")

NEURAL_SOURCES = ["sequence", "two_tower"]

LADDER = [
    ((), "hybrid", []),
    (NEURAL, "hybrid", NEURAL_SOURCES),
    ((*NEURAL, "retrieval"), "item_to_item", [*NEURAL_SOURCES, "retrieval"]),
    ((*NEURAL, "fusion", "ease"), "content", [*NEURAL_SOURCES, "ease", "retrieval"]),
    (
        (*NEURAL, "fusion", "ease", "ials_user", "content_profile"),
        "genre_popularity",
        [*NEURAL_SOURCES, "ials", "text", "poster", "ease", "retrieval"],
    ),
]
"""What is broken, who answers then, and what is named: full hybrid, without neural networks, item-to-item, content,
popularity among the genres. A stranger is below them all, with popularity alone."""


@pytest.mark.parametrize("how", ["failing", "hanging"])
@pytest.mark.parametrize(("broken", "strategy", "degraded"), LADDER)
async def test_every_rung_answers_when_those_above_it_are_broken(
    make_world: Callable[..., World], how: str, broken: tuple[str, ...], strategy: str, degraded: list[str]
) -> None:
    world = make_world(timeout_s=TIMEOUT_S)
    getattr(world.models, how).update(broken)
    async with asyncio.timeout(20 * TIMEOUT_S):  # two deadlines, and a busy machine
        answered = await world.ask('{"history": [202, 203], "top_k": 5, "explain": true}')
    assert (answered.strategy, answered.degraded) == (strategy, degraded)
    assert len(answered.movie_ids) == len(set(answered.movie_ids)) == 5
    assert answered.movie_ids[:2] == [200, 201]  # the taste for horror survives every rung
    for film in answered.recommendations:
        contributions = film["reasons"]["contributions"]  # type: ignore[index]
        if strategy == "hybrid":
            assert sum(contributions.values()) == pytest.approx(film["score"], abs=1e-4)


async def test_with_everything_broken_a_stranger_still_gets_what_is_popular(make_world: Callable[..., World]) -> None:
    world = make_world(timeout_s=TIMEOUT_S)
    world.models.hanging.update(*(broken for broken, *_ in LADDER))
    answered = await world.ask('{"user_id": "nobody", "top_k": 1000}')
    assert (answered.strategy, answered.degraded, len(answered.movie_ids)) == ("cold_start", [], N_FILMS)


async def test_the_sources_that_are_left_share_the_score(world: World) -> None:
    whole = await world.ask('{"history": [202, 203], "top_k": 3, "explain": true}')
    world.models.failing.update(NEURAL)
    without = await world.ask('{"history": [202, 204], "top_k": 3, "explain": true}')
    assert whole.recommendations[0]["reasons"]["contributions"]["sequence"] > 0  # type: ignore[index]
    left = without.recommendations[0]["reasons"]["contributions"]  # type: ignore[index]
    assert (left["sequence"], left["two_tower"]) == (0, 0)
    assert left["ials"] > 0
