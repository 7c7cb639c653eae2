"""The health report of a running service, for `/monitor` and as metrics.

Latencies, cache, fallbacks and drift are those of the answering process since its start; experiments and sample lists
come from Redis and are those of all processes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bento.background import DetachedTasks, Periodic
from bento.recommender.experiments import Experiments
from bento.recommender.monitoring.drift import ALERT_FROM, FEWEST_LISTS, Drift, drift_of, reference_of
from bento.recommender.monitoring.embedding_health import EmbeddingHealth, embedding_health
from bento.recommender.monitoring.experiment_report import result_of
from bento.recommender.monitoring.monitor_metrics import MonitorMetrics
from bento.recommender.monitoring.monitor_report import Alert, CacheReport, Monitor, SampleList
from bento.recommender.retrieval.candidates import Models
from bento.recommender.telemetry.metrics import Metrics
from bento.recommender.telemetry.observations import ListFacts, Observations
from bento.release.loading import Release
from bento.stores.connection.redis_safety import RedisReport
from bento.stores.errors import StoreUnavailable
from bento.stores.impressions import Impression
from bento.stores.interfaces import ImpressionLog

log = logging.getLogger("marquee.monitor")

REFRESH_S = 30.0
"""How often the metrics are updated."""

SAMPLE_LISTS = 5
LISTS_COUNTED = 500
"""Newest lists from which the share of films on show is computed."""

FEWEST_ANSWERS = 100
"""Answers needed before shares of them are compared with the bounds."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of the alerts."""

    drift_psi: float = ALERT_FROM
    degraded_ratio: float = 0.05
    """Share of answers with a missing part."""
    p99_ms: float = 0.0
    """99th percentile of the total time in milliseconds; 0 = no bound."""


class Monitoring:
    """Makes reports, and updates the metrics periodically."""

    def __init__(
        self,
        release: Release,
        models: Models,
        metrics: Metrics,
        experiments: Experiments,
        lists: ImpressionLog,
        look_at_redis: Callable[[], Awaitable[RedisReport]],
        clock_s: Callable[[], float] = time.monotonic,
        bounds: Bounds = Bounds(),
    ) -> None:
        self._bounds = bounds
        self._release = release
        self._models = models
        self._metrics = metrics
        self._gauges = MonitorMetrics(metrics.registry)
        self._experiments = experiments
        self._lists = lists
        self._look_at_redis = look_at_redis
        self._clock_s = clock_s
        self._started_s = clock_s()
        self._reference: list[ListFacts] = []
        self._reference_begun = False
        self._tasks = DetachedTasks()
        self._refreshing: Periodic | None = None
        self._embeddings: tuple[int, dict[str, EmbeddingHealth]] | None = None

    def start(self) -> None:
        """Start to update the metrics."""
        self._refreshing = Periodic("monitor", self._refresh, REFRESH_S)

    async def close(self) -> None:
        """Stop; a reference being computed is cancelled."""
        if self._refreshing is not None:
            await self._refreshing.close()
        await self._tasks.cancel()

    async def report(self) -> Monitor:
        """The present report. A part that is unavailable does not make it fail."""
        seen, films = self._metrics.observations, self._release.films
        self._begin_reference()
        drift = drift_of(self._reference, seen.lists, self._bounds.drift_psi)
        embeddings = await self._embedding_health()
        available, experiments, recent = True, [], []
        try:
            experiments = [await result_of(one, self._lists) for one in self._experiments.running.values()]
            recent = await self._lists.recent(LISTS_COUNTED)
        except StoreUnavailable as error:
            log.debug("a report without experiments and lists: %s", error)
            available = False
        redis = await self._look_at_redis()
        lookups = sum(seen.cache.values())
        hits = seen.cache["hit"] + seen.cache["stale"]
        cache = CacheReport(round(hits / lookups, 4) if lookups else None, dict(seen.cache))
        return Monitor(
            self._release.number,
            films.revision,
            round(self._clock_s() - self._started_s, 1),
            seen.answers,
            self._alerts(drift, embeddings, available) + alerts_of_redis(redis),
            self._release.entry.coverage | {"on_show": self._on_show(recent)},
            embeddings,
            cache,
            seen.latency_ms(),
            drift,
            dict(seen.strategies),
            dict(seen.degraded),
            experiments,
            [self._sample(one) for one in recent[:SAMPLE_LISTS]],
            redis,
            available,
        )

    async def _embedding_health(self) -> dict[str, EmbeddingHealth]:
        """Of the films that are served now; computed once per catalogue revision, in a thread."""
        films = self._release.films
        if self._embeddings is None or self._embeddings[0] != films.revision:
            self._embeddings = films.revision, await asyncio.to_thread(embedding_health, films.item_vectors)
        return self._embeddings[1]

    def _begin_reference(self) -> None:
        """Start to compute the reference in the background, once there are enough lists to compare with it."""
        if not self._reference_begun and len(self._metrics.observations.lists) >= FEWEST_LISTS:
            self._reference_begun = True
            self._tasks.start(self._compute_reference(), "drift-reference")

    async def _compute_reference(self) -> None:
        self._reference = await reference_of(self._release, self._models)
        log.info("drift is measured against %d people of release %d", len(self._reference), self._release.number)

    def _on_show(self, recent: list[Impression]) -> float:
        shown = {movie_id for one in recent for movie_id in one.movie_ids}
        return round(len(shown) / len(self._release.catalog), 4)

    def _sample(self, one: Impression) -> SampleList:
        catalog = self._release.catalog
        rows = [row for movie_id in one.movie_ids if (row := catalog.row_of(movie_id)) is not None]
        titles = [catalog.films[row].title for row in rows]
        return SampleList(one.recommendation_id, one.strategy, dict(one.arms), titles)

    def _alerts(
        self, drift: dict[str, Drift], embeddings: dict[str, EmbeddingHealth], redis_available: bool
    ) -> list[Alert]:
        bounds, seen = self._bounds, self._metrics.observations
        alerts = [
            Alert(f"drift:{fact}", one.psi, bounds.drift_psi, f"{fact} is far from the release's people")
            for fact, one in drift.items()
            if one.psi is not None and one.psi >= bounds.drift_psi
        ]
        alerts += [
            Alert(f"embedding:{source}", one.not_finite, 0, f"{one.not_finite} films have a {source} vector with NaN")
            for source, one in embeddings.items()
            if one.not_finite
        ]
        if seen.answers >= FEWEST_ANSWERS:
            alerts += self._alerts_of_answers(seen)
        if not redis_available:
            alerts.append(Alert("redis", 0, 1, "Redis does not answer"))
        return alerts

    def _alerts_of_answers(self, seen: Observations) -> list[Alert]:
        bounds = self._bounds
        shares = {part: round(count / seen.answers, 4) for part, count in seen.degraded.items()}
        alerts = [
            Alert(f"degraded:{part}", share, bounds.degraded_ratio, f"{share:.0%} of answers were made without {part}")
            for part, share in shares.items()
            if share >= bounds.degraded_ratio
        ]
        p99_ms = seen.latency_ms().get("total", {}).get("p99", 0.0)
        if bounds.p99_ms and p99_ms >= bounds.p99_ms:
            alerts.append(
                Alert("latency", p99_ms, bounds.p99_ms, f"one answer in a hundred takes {p99_ms:.0f} ms or more")
            )
        return alerts

    async def _refresh(self) -> None:
        self._gauges.show(await self.report())


def alerts_of_redis(report: RedisReport) -> list[Alert]:
    """What Redis may lose, and that it refuses writes."""
    return [Alert(f"redis:{warning.name}", warning.value, 0, warning.message) for warning in report.warnings]
