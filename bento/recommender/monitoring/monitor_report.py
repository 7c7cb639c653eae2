"""The report of `GET /monitor` in its JSON format."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from bento.recommender.monitoring.drift import Drift
from bento.recommender.monitoring.embedding_health import EmbeddingHealth
from bento.recommender.monitoring.experiment_report import ExperimentResult
from bento.stores.connection.redis_safety import RedisReport


class SampleList(Struct, frozen=True):
    """A list that was served recently."""

    recommendation_id: str
    strategy: str
    experiments: dict[str, str]
    titles: list[str]


class CacheReport(Struct, frozen=True):
    """The response cache's look-ups."""

    hit_ratio: float | None
    """(hits + stale hits) / look-ups; null before the first."""
    lookups: dict[str, int]


class Alert(Struct, frozen=True):
    """A value beyond its bound."""

    name: str
    value: float
    threshold: float
    message: str


class Monitor(Struct, frozen=True):
    """Answer of `GET /monitor`."""

    release: int
    catalogue_revision: int
    uptime_s: float
    answers: int
    alerts: list[Alert]
    coverage: dict[str, float]
    """Share of films with each kind of content, and as `on_show`, of films in any of the newest 500 lists."""
    embeddings: dict[str, EmbeddingHealth]
    cache: CacheReport
    latency_ms: dict[str, dict[str, float]]
    """Stage -> n, p50, p95, p99."""
    drift: dict[str, Drift]
    strategies: dict[str, int]
    """Computed answers: hybrid, cold_start, or the name of the fallback."""
    degraded: dict[str, int]
    """Answers with a missing part, by part."""
    experiments: list[ExperimentResult]
    sample_lists: list[SampleList]
    redis: RedisReport
    redis_available: Annotated[bool, Meta(description="false: experiments and sample lists are missing.")]
