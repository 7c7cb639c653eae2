"""The counters, timers and gauges of the recommender: the `recsys_*` metrics.

Under `bentoml serve` Prometheus' client writes to files that all workers share; `/metrics` of any worker
answers for all of them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import MutableMapping
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from bento.recommender.telemetry.observations import Observations
from bento.stores.connection.redis_safety import RedisReport

LATENCY_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where the workers of one server share their metrics; BentoML sets it for its workers."""


def use_own_folder(home: Path, environment: MutableMapping[str, str]) -> None:
    """Give this service a metrics folder of its own, shared by its workers only.

    BentoML's folder is one per user: a second service would empty it under the first. Does nothing outside of BentoML's
    workers. Folders of ended services and files of ended workers are removed: the gauge of a worker that died while
    Redis was unavailable would stay at that value, and in a container the next service has the pid of the last.
    """
    if FOLDER_VARIABLE not in environment:
        return
    folders = home / "metrics"
    own = folders / str(os.getppid())  # the process that supervises the workers
    own.mkdir(parents=True, exist_ok=True)
    environment[FOLDER_VARIABLE] = str(own)
    for folder in folders.iterdir():
        if folder.name.isdecimal() and not _is_running(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)  # another worker may be removing it as well
    for file in own.glob("*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdecimal() and (int(pid) == os.getpid() or not _is_running(int(pid))):
            file.unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it exists, and belongs to another user
        return True
    return True


class Metrics:
    """One set per process; children of labels are made once and kept, looking them up costs microseconds."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.requests = Counter(
            "recsys_requests", "Requests of the recommender's own routes.", ["route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "recsys_request_seconds",
            "Time from request to answer.",
            ["route"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._stage_seconds = Histogram(
            "recsys_stage_seconds", "Time of one stage.", ["stage"], buckets=LATENCY_BUCKETS_S, registry=registry
        )
        self.degraded = Counter(
            "recsys_degraded", "Answers that were made without a part.", ["part"], registry=registry
        )
        self.cache = Counter(
            "recsys_response_cache",
            "Look-ups: hit, miss, or broken (a value that was not ours).",
            ["result"],
            registry=registry,
        )
        self.strategies = Counter(
            "recsys_strategy",
            "Computed answers: hybrid, cold_start or a rung of the fallback ladder.",
            ["strategy"],
            registry=registry,
        )
        self.joined = Counter(
            "recsys_single_flight_joined", "Requests that waited for the same answer being computed.", registry=registry
        )
        self.impressions = Counter(
            "recsys_impressions",
            "Served lists: stored, lost (Redis was away), or clicked.",
            ["result"],
            registry=registry,
        )
        self.redis_available = Gauge(
            "recsys_redis_available", "1 while Redis answers.", registry=registry, multiprocess_mode="min"
        )
        self.spool_bytes = Gauge(
            "recsys_spool_bytes",
            "Events that wait on disk for Redis, in bytes.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._redis_may_lose_data = Gauge(
            "recsys_redis_may_lose_data",
            "1 while Redis may lose people by eviction or a restart, -1 while that cannot be read.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._redis_writes_refused = Gauge(
            "recsys_redis_writes_refused",
            "1 while Redis refuses writes.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._redis_evicted_keys = Gauge(
            "recsys_redis_evicted_keys",
            "Keys that Redis evicted since the worker started.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.registry = registry
        self.observations = Observations()
        self._stages: dict[str, Histogram] = {}
        self._answered: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def show_redis(self, report: RedisReport) -> None:
        """Set the gauges of how safe Redis is."""
        self._redis_may_lose_data.set({"kept": 0, "may_be_lost": 1, "unknown": -1}[report.data])
        self._redis_writes_refused.set(report.writes == "refused")
        if report.evicted_keys is not None:
            self._redis_evicted_keys.set(report.evicted_keys)

    def observe_stages(self, timings_ms: dict[str, float]) -> None:
        """Note how long each stage of one request took."""
        for stage, elapsed_ms in timings_ms.items():
            child = self._stages.get(stage)
            if child is None:
                child = self._stages[stage] = self._stage_seconds.labels(stage)
            child.observe(elapsed_ms / 1_000)

    def observe_answer(self, route: str, status: int, elapsed_s: float) -> None:
        """Note one answered request."""
        children = self._answered.get((route, status))
        if children is None:
            children = (self.requests.labels(route, str(status)), self.request_seconds.labels(route))
            self._answered[(route, status)] = children
        children[0].inc()
        children[1].observe(elapsed_s)
