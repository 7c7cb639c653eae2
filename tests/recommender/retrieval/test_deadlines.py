"""A deadline for each source inside the request's: who is late is left out alone, and its work ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from bento.inference.core.options import ServerOptions
from bento.inference.server import InferenceServer
from bento.recommender.retrieval.candidates import Models
from bento.recommender.retrieval.deadlines import Deadlines
from features.history import WatchHistory
from features.sources import TIMED_SOURCES
from tests.inference.closing import close_with_nothing_left
from tests.inference.gates import Gate, gate
from tests.recommender import live_world
from tests.recommender.world import World

SHORT_S = 0.05
LONG_S = 30.0
"""Never waited out: tests that pass end what they wait for."""

MODELS = {
    "sequence": "sequence_encoder",
    "two_tower": "user_tower",
    "ials": "ials_user",
    "content": "content_profile",
    "ease": "ease",
}
LEFT_OUT = {source: [source] for source in MODELS} | {"content": ["text", "poster"]}

HORROR = '{"history": [202, 203], "top_k": 4, "explain": true}'


def ms(nanoseconds: int) -> float:
    return nanoseconds / 1e6


def test_a_source_has_the_time_that_is_set_for_it_and_the_others_the_common_one() -> None:
    ends = Deadlines(source_s=0.2, sources_s={"ease": 0.05}).of_sources(0, None)
    assert {source: ms(end) for source, end in ends.items()} == dict.fromkeys(TIMED_SOURCES, 200) | {"ease": 50}


def test_sources_leave_half_of_what_the_request_has_left_to_retrieval() -> None:
    deadlines = Deadlines(source_s=0.5, retrieval_s=1.0, request_s=0.4, sources_s={"ease": 0.1})
    end_ns = deadlines.of_request(0)
    sources = deadlines.of_sources(100_000_000, end_ns)
    assert (ms(end_ns), ms(sources["sequence"]), ms(sources["ease"])) == (400, 250, 200)
    assert ms(deadlines.of_retrieval(250_000_000, end_ns)) == 400
    assert ms(deadlines.of_retrieval(500_000_000, end_ns)) == 500  # too late already: at once


def test_all_sources_at_once_have_the_time_of_the_most_urgent_one() -> None:
    deadlines = Deadlines(source_s=0.2, sources_s={"ease": 0.05})
    assert ms(deadlines.of_hybrid(0, None)) == 50
    assert ms(deadlines.of_hybrid(0, 60_000_000)) == 30  # half of what is left is for the models one by one


@pytest.mark.parametrize("source", MODELS)
async def test_a_late_source_is_left_out_alone(make_world: Callable[..., World], source: str) -> None:
    """The others answer only after the late one was given up, so its deadline cannot have been theirs."""
    world = make_world(hybrid=False, deadlines=Deadlines(LONG_S, LONG_S, 2 * LONG_S, {source: SHORT_S}))
    late = MODELS[source]
    world.models.hanging.add(late)
    world.models.behind = {model: late for model in MODELS.values() if model != late}
    answered = await world.ask(HORROR)
    assert (answered.strategy, answered.degraded) == ("hybrid", LEFT_OUT[source])
    assert answered.movie_ids == [200, 201, 204, 205]
    assert world.models.cancelled == {late}


@pytest.mark.parametrize("how", ["failing", "hanging"])
@pytest.mark.parametrize("source", MODELS)
async def test_the_sources_that_are_left_take_over_its_weight(
    make_world: Callable[..., World], source: str, how: str
) -> None:
    whole = make_world(hybrid=False)
    assert (await whole.ask(HORROR)).degraded == []
    world = make_world(hybrid=False, deadlines=Deadlines(LONG_S, LONG_S, 2 * LONG_S, {source: SHORT_S}))
    getattr(world.models, how).add(MODELS[source])
    answered = await world.ask(HORROR)
    contributions = answered.recommendations[0]["reasons"]["contributions"]  # type: ignore[index]
    assert [name for name, part in contributions.items() if part == 0] == LEFT_OUT[source]
    assert sum(contributions.values()) == pytest.approx(answered.recommendations[0]["score"], abs=1e-4)
    assert [weights_in(one).sum() for one in (whole, world)] == pytest.approx([6.1, 6.1])


def weights_in(world: World) -> np.ndarray:
    """The weights that fusion was asked with."""
    weights: np.ndarray = next(one for one in world.models.requests if one.model_name == "fusion").inputs["weights"]
    return weights


@pytest.mark.parametrize(
    ("late", "strategy", "degraded"),
    [("sequence_encoder", "hybrid", ["sequence"]), ("retrieval", "item_to_item", ["retrieval"])],
)
async def test_nothing_outlives_the_request_s_own_deadline(
    make_world: Callable[..., World], late: str, strategy: str, degraded: list[str]
) -> None:
    world = make_world(hybrid=False, deadlines=Deadlines(LONG_S, LONG_S, 4 * SHORT_S))
    world.models.hanging.add(late)
    async with asyncio.timeout(LONG_S / 2):
        answered = await world.ask(HORROR)
    assert (answered.strategy, answered.degraded, len(answered.movie_ids)) == (strategy, degraded, 4)
    assert world.models.cancelled == {late}


async def test_whoever_gives_up_leaves_no_model_running(world: World) -> None:
    world.models.hanging.update(MODELS.values())
    film = np.array([6])
    encoding = asyncio.create_task(world.pipeline.embeddings.encode(WatchHistory(film, np.zeros(1), np.zeros(1))))
    while len(world.models.requests) < len(MODELS):
        await asyncio.sleep(0)
    encoding.cancel()
    await asyncio.gather(encoding, return_exceptions=True)
    await asyncio.sleep(0)
    assert world.models.cancelled == set(MODELS.values())


# The same asked of the real inference server, one of whose models stands still

GATED = live_world.MODEL_PY.replace(
    "    def execute(self, requests):\n",
    "    def execute(self, requests):\n"
    "        from tests.inference.gates import gate\n"
    "        gate('late two-tower').enter([tensor.as_numpy() for r in requests for tensor in r.inputs()][:1])\n",
)


@pytest.fixture
def tower_gate() -> Gate:
    return gate("late two-tower")


@pytest.fixture
async def server(tmp_path: Path, tower_gate: Gate) -> AsyncIterator[InferenceServer]:
    live_world.write_repository(tmp_path, {"user_tower": GATED})
    running = await InferenceServer.start(
        ServerOptions(
            repositories=(tmp_path,),
            model_control_mode="explicit",
            load_models=tuple(live_world.MODELS),
            trust_python_models=True,
            device="cpu",
            release=1,
        )
    )
    yield running
    tower_gate.open()
    await close_with_nothing_left(running)


async def test_what_is_late_in_the_server_s_queue_never_runs(server: InferenceServer, tower_gate: Gate) -> None:
    patient = Models(server, 1, Deadlines(LONG_S, LONG_S, 4 * LONG_S))
    hurried = Models(server, 1, Deadlines(LONG_S, LONG_S, 4 * LONG_S, {"two_tower": SHORT_S}))
    history = WatchHistory(np.array([6]), np.zeros(1, np.float32), np.zeros(1, np.int64))
    tower_gate.close()
    first = asyncio.create_task(patient.encode(history))
    await tower_gate.entered()
    second = await hurried.encode(history)  # its request waits behind the first, which stands still
    assert second.missing == ["two_tower"]
    assert sorted(second.embeddings) == ["ials", "poster", "sequence", "text"]
    tower_gate.open()
    assert (await first).missing == (await patient.encode(history)).missing == []
    assert len(tower_gate.batches) == 2
