"""The monitor: drift, embedding health, alerts, the report and the metrics made from it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import httpx
import numpy as np
import pytest

from bento.http.application import Application
from bento.http.routing import Router
from bento.recommender.catalogue.popularity import popularity_ranks
from bento.recommender.experiments import Arm, Experiment, Experiments
from bento.recommender.monitoring import drift
from bento.recommender.monitoring.drift import drift_of, psi, reference_of
from bento.recommender.monitoring.embedding_health import embedding_health
from bento.recommender.monitoring.monitor import Bounds, Monitoring
from bento.recommender.over_http.monitor_routes import MonitorRoutes
from bento.recommender.people.impressions import Impressions
from bento.recommender.telemetry.observations import ListFacts, Observations
from bento.stores.connection.redis_safety import RedisReport, RedisWarning
from bento.stores.errors import StoreUnavailable
from tests.recommender.genre_world import item_vectors
from tests.recommender.world import FINDING_STAGES, World
from tests.stores.memory_stores import MemoryImpressionLog

WAIT_S = 10.0
"""So long that a busy machine never ends a test early."""

CHANCE = np.random.default_rng(1)


def test_two_samples_of_one_population_have_no_drift() -> None:
    # Chance alone gives about (bins - 1) (1/n + 1/m) = 9 * 2 / 5000 = .0036; five times that is beyond chance.
    assert psi(CHANCE.normal(size=5_000), CHANCE.normal(size=5_000)) < 0.02


def test_psi_of_a_sample_that_left_half_of_the_bins_is_worked_out_by_hand() -> None:
    reference = np.arange(1_000, dtype=float)
    present = np.arange(500, 1_000, dtype=float)
    # Tenths of the reference: .1 each. Present: five bins of .2 (the middle edge adds one value), five of 0.5/500.
    by_hand = 5 * (0.2 - 0.1) * np.log(0.2 / 0.1) + 5 * (0.001 - 0.1) * np.log(0.001 / 0.1)
    assert psi(reference, present) == pytest.approx(by_hand, rel=0.02)


def test_a_value_that_never_changes_has_no_drift() -> None:
    assert psi(np.ones(400), np.ones(300)) == 0


def facts(count: int, mean: float) -> list[ListFacts]:
    return [ListFacts(*values) for values in CHANCE.normal(mean, size=(count, 4))]


def test_drift_is_unknown_until_there_is_enough_to_compare() -> None:
    found = drift_of(facts(400, 0), facts(299, 5))
    assert {one.state for one in found.values()} == {"unknown"}
    assert {one.psi for one in found.values()} == {None}


@pytest.mark.parametrize(("mean", "state"), [(0, "stable"), (2, "alert")])
def test_drift_has_a_state_per_fact(mean: float, state: str) -> None:
    found = drift_of(facts(4_000, 0), facts(4_000, mean))
    assert list(found) == ["history_length", "history_popularity", "score", "popularity"]
    assert {one.state for one in found.values()} == {state}


def test_popularity_ranks_run_from_1_to_0() -> None:
    assert popularity_ranks(np.array([5, 9, 7], dtype=np.float32)).tolist() == [0, 1, 0.5]


def test_percentiles_are_those_of_the_newest_times() -> None:
    seen = Observations()
    for elapsed_ms in range(1, 102):
        seen.note({"encode": float(elapsed_ms)}, [])
    assert seen.latency_ms() == {"encode": {"n": 101, "p50": 51.0, "p95": 96.0, "p99": 100.0}}


def test_health_counts_missing_and_broken_vectors() -> None:
    vectors = item_vectors()
    slices = {source: health.films for source, health in embedding_health(vectors).items()}
    assert slices["sequence"] == len(vectors)
    vectors[:3, :64] = 0
    vectors[3, 0] = np.nan
    health = embedding_health(vectors)["sequence"]
    assert (health.width, health.missing, health.not_finite) == (64, 3, 1)
    assert 0 < health.norm_min <= health.norm_mean <= health.norm_max


async def test_the_reference_is_what_the_models_answer_to_the_releases_people(world: World) -> None:
    reference = await reference_of(world.release, world.model_client)
    assert sorted(one.history_length for one in reference) == [1, 2]  # who has seen everything is recommended nothing
    world.models.failing.add("ease")
    assert await reference_of(world.release, world.model_client) == []


BLEND = Experiment("blend", [Arm("always", 0.5), Arm("popular", 0.5, preset="popular")])


@pytest.fixture
def lists() -> MemoryImpressionLog:
    return MemoryImpressionLog()


async def safe_redis() -> RedisReport:
    return RedisReport("kept", "taken", ["noeviction"], "append_only_file", 0, [])


@pytest.fixture
async def monitoring(world: World, lists: MemoryImpressionLog) -> AsyncIterator[Monitoring]:
    experiments = Experiments([BLEND])
    monitoring = Monitoring(world.release, world.model_client, world.metrics, experiments, lists, safe_redis)
    yield monitoring
    await monitoring.close()


async def test_the_report_counts_what_was_answered(
    world: World, monitoring: Monitoring, lists: MemoryImpressionLog
) -> None:
    impressions = Impressions(lists, Experiments([BLEND]).counter_keys(), world.metrics)
    for user_id in ("ann", "ann", "nobody"):
        answered = await world.ask(json.dumps({"user_id": user_id, "top_k": 6}))
        body = {"recommendations": answered.recommendations, "strategy": answered.strategy, "release": 1}
        impressions.note(user_id, "rec-1", json.dumps(body).encode(), {"blend": "popular"})
    await impressions.close()
    report = await monitoring.report()
    assert (report.release, report.answers, report.cache.lookups) == (1, 3, {"miss": 2, "hit": 1})
    assert report.cache.hit_ratio == pytest.approx(0.3333)
    assert report.strategies == {"hybrid": 1, "cold_start": 1}
    assert set(report.latency_ms) == {"state", *FINDING_STAGES, "blend", "answer", "total"}
    assert report.latency_ms["total"]["n"] == 3
    assert report.experiments[0].arms[1].lists == 3
    assert [one.strategy for one in report.sample_lists] == ["cold_start", "hybrid", "hybrid"]
    assert report.sample_lists[1].titles[0] == "Comedy 0"
    shown = {film for one in await lists.recent(10) for film in one.movie_ids}
    assert report.coverage == {"text": 1.0, "poster": 1.0, "on_show": round(len(shown) / 24, 4)}
    assert report.alerts == []


async def test_drift_against_the_releases_people_raises_an_alert(
    world: World, monitoring: Monitoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (drift, __import__("bento.recommender.monitoring.monitor", fromlist=["monitor"])):
        monkeypatch.setattr(module, "FEWEST_LISTS", 2)
    for length in (10, 12, 14):  # the release's people have watched one or two films
        history = [film.movie_id for film in world.release.catalog.films[:length]]
        await world.ask(json.dumps({"history": history}))
    async with asyncio.timeout(WAIT_S):
        while (report := await monitoring.report()).drift["history_length"].psi is None:
            await asyncio.sleep(0)  # the reference is made in the background
    assert report.drift["history_length"].state == "alert"
    assert "drift:history_length" in [alert.name for alert in report.alerts]


async def test_lists_made_by_wishes_are_not_measured_for_drift(world: World) -> None:
    await world.ask('{"history": [202], "preset": "popular"}')
    await world.ask('{"user_id": "nobody"}')
    world.models.failing.add("ease")
    await world.ask('{"history": [203]}')
    assert not world.metrics.observations.lists
    world.models.failing.clear()
    await world.ask('{"history": [204]}')
    assert len(world.metrics.observations.lists) == 1


async def test_a_part_that_is_often_left_out_raises_an_alert(world: World, monitoring: Monitoring) -> None:
    for number in range(100):
        world.metrics.observations.note({}, ["ease"] if number < 5 else [])
    (alert,) = (await monitoring.report()).alerts
    assert (alert.name, alert.value, alert.threshold) == ("degraded:ease", 0.05, 0.05)


@pytest.mark.parametrize(
    ("bounds", "alerts"),
    [
        (Bounds(), [("degraded:ease", 0.1, 0.05)]),
        (Bounds(degraded_ratio=0.5, p99_ms=80), [("latency", 99.01, 80)]),
        (Bounds(degraded_ratio=0.5, p99_ms=100), []),
    ],
)
async def test_the_bounds_of_alerts_are_settings(
    world: World, lists: MemoryImpressionLog, bounds: Bounds, alerts: list[tuple[str, float, float]]
) -> None:
    metrics = world.metrics
    monitoring = Monitoring(world.release, world.model_client, metrics, Experiments(), lists, safe_redis, bounds=bounds)
    for number in range(100):
        metrics.observations.note({"total": float(number + 1)}, ["ease"] if number < 10 else [])
    found = (await monitoring.report()).alerts
    assert [(alert.name, alert.value, alert.threshold) for alert in found] == alerts


def test_drift_is_an_alert_from_the_bound_that_is_set() -> None:
    then, now = facts(4_000, 0), facts(4_000, 2)
    assert drift_of(then, now, alert_from=1_000)["score"].state == "watch"


async def test_without_redis_the_report_lacks_lists_and_says_so(
    monitoring: Monitoring, lists: MemoryImpressionLog
) -> None:
    async def away(*_: object) -> None:
        raise StoreUnavailable("gone")

    lists.counts = lists.recent = away  # type: ignore[method-assign,assignment]
    report = await monitoring.report()
    assert (report.redis_available, report.experiments, [alert.name for alert in report.alerts]) == (
        False,
        [],
        ["redis"],
    )


async def test_what_redis_may_lose_is_an_alert(world: World, lists: MemoryImpressionLog) -> None:
    async def look() -> RedisReport:
        warning = RedisWarning("evictions", 12, "Redis evicted 12 keys")
        return RedisReport("may_be_lost", "taken", ["allkeys-lru"], "snapshots", 12, [warning])

    report = await Monitoring(world.release, world.model_client, world.metrics, Experiments(), lists, look).report()
    assert [(one.name, one.value, one.message) for one in report.alerts] == [
        ("redis:evictions", 12, "Redis evicted 12 keys")
    ]
    assert report.redis.data == "may_be_lost"


async def test_the_gauges_say_the_same(world: World, monitoring: Monitoring) -> None:
    await world.ask('{"user_id": "ann"}')
    monitoring.start()
    async with asyncio.timeout(WAIT_S):
        while not world.metric("recsys_embedding_width", source="sequence"):
            await asyncio.sleep(0)
    assert world.metric("recsys_coverage_ratio", kind="text") == 1
    assert world.metric("recsys_embedding_width", source="sequence") == 64
    assert world.metric("recsys_stage_latency_ms", stage="total", percentile="p99") > 0
    assert world.metric("recsys_experiment_lists", experiment="blend", arm="always") == 0
    assert world.metric("recsys_alerts") == 0


async def test_programs_get_json_and_browsers_a_page(
    world: World, monitoring: Monitoring, make_world: Callable[..., World]
) -> None:
    await world.ask('{"user_id": "ann"}')
    app = Application(Router(MonitorRoutes(monitoring).routes()), world.metrics, 1_000)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://m") as client:  # type: ignore[arg-type]
        report = await client.get("/monitor")
        page = await client.get("/monitor", headers={"accept": "text/html,*/*"})
    assert report.json()["latency_ms"]["total"]["n"] == 1
    assert page.headers["content-type"].startswith("text/html")
    assert "<h2>Latency, ms</h2>" in page.text
    assert "No alerts." in page.text
    assert "<td>persistence</td><td>append only file</td>" in page.text
