"""tritonserver's Prometheus metrics under its own names, so that dashboards made for it show this server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

from bento.inference.backends.python_models.metrics import render_model_metrics
from bento.inference.server import InferenceServer

CONTENT_TYPE = "text/plain; charset=utf-8"

_FAILURE_REASONS = ("OTHER", "CANCELED", "REJECTED", "BACKEND")

_REQUEST_COUNTERS = (
    ("nv_inference_request_success", "Number of successful inference requests, all batch sizes", "success", "count"),
    (
        "nv_inference_request_duration_us",
        "Cumulative inference request duration in microseconds (includes cached requests)",
        "success",
        "ns",
    ),
    (
        "nv_inference_queue_duration_us",
        "Cumulative inference queuing duration in microseconds (includes cached requests)",
        "queue",
        "ns",
    ),
    (
        "nv_inference_compute_input_duration_us",
        "Cumulative compute input duration in microseconds (does not include cached requests)",
        "compute_input",
        "ns",
    ),
    (
        "nv_inference_compute_infer_duration_us",
        "Cumulative compute inference duration in microseconds (does not include cached requests)",
        "compute_infer",
        "ns",
    ),
    (
        "nv_inference_compute_output_duration_us",
        "Cumulative inference compute output duration in microseconds (does not include cached requests)",
        "compute_output",
        "ns",
    ),
)
"""Name, help, and where the statistics extension has it."""

_CACHED_COUNTERS = (
    ("nv_cache_num_hits_per_model", "Number of cache hits per model", "cache_hit", "count"),
    ("nv_cache_num_misses_per_model", "Number of cache misses per model", "cache_miss", "count"),
    ("nv_cache_hit_duration_per_model", "Total cache hit duration per model, in microseconds", "cache_hit", "ns"),
    ("nv_cache_miss_duration_per_model", "Total cache miss duration per model, in microseconds", "cache_miss", "ns"),
)

_COUNTER_SUFFIX = re.compile(rb"^(# (?:HELP|TYPE) nv_\w+?)_total ", re.MULTILINE)


class TritonCollector(Collector):
    """Reads a server's statistics whenever Prometheus asks."""

    def __init__(self, server: InferenceServer) -> None:
        self._server = server
        self._last_cpu_times = _cpu_times()

    def collect(self) -> Iterator[Metric]:
        """All metrics, in tritonserver's order."""
        yield from self._request_metrics()
        yield from self._cache_metrics()
        yield from self._machine_metrics()

    def _request_metrics(self) -> Iterator[Metric]:
        statistics: list[dict[str, Any]] = self._server.model_statistics()
        counters = [*_REQUEST_COUNTERS, *(_CACHED_COUNTERS if self._server.cache_statistics() else ())]
        for name, text, part, unit in counters:
            metric = Metric(name, text, "counter")
            for model in statistics:
                value = model["inference_stats"][part][unit]
                metric.add_sample(name, _labels(model), value // 1000 if unit == "ns" else value)
            yield metric
        yield self._failures(statistics)
        for name, text, field in (
            ("nv_inference_count", "Number of inferences performed (does not include cached requests)",
             "inference_count"),
            ("nv_inference_exec_count", "Number of model executions performed (does not include cached requests)",
             "execution_count"),
        ):  # fmt: skip
            metric = Metric(name, text, "counter")
            for model in statistics:
                metric.add_sample(name, _labels(model), model[field])
            yield metric
        name = "nv_inference_pending_request_count"
        metric = Metric(name, "Instantaneous number of pending requests awaiting execution per-model.", "gauge")
        for (model_name, version), count in self._server.pending_requests().items():
            metric.add_sample(name, {"model": model_name, "version": version}, count)
        yield metric

    def _failures(self, statistics: list[dict[str, Any]]) -> Metric:
        name = "nv_inference_request_failure"
        metric = Metric(name, "Number of failed inference requests, all batch sizes", "counter")
        counts = self._server.failure_counts()
        for model in statistics:
            by_reason = counts.get((str(model["name"]), str(model["version"])), {})
            for reason in _FAILURE_REASONS:
                metric.add_sample(name, {**_labels(model), "reason": reason}, by_reason.get(reason, 0))
        return metric

    def _cache_metrics(self) -> Iterator[Metric]:
        cache = self._server.cache_statistics()
        if cache is None:
            return
        utilization = cache.used_bytes / cache.size_bytes if cache.size_bytes else 0.0
        yield _gauge("nv_cache_util", "Cache utilization [0.0 - 1.0]", utilization)
        yield _gauge("nv_cache_num_entries", "Number of responses stored in response cache", cache.entries)
        yield _gauge("nv_cache_num_hits", "Number of cache hits in response cache", cache.hits)
        yield _gauge("nv_cache_num_misses", "Number of cache misses in response cache", cache.misses)
        lookups = cache.hits + cache.misses
        yield _gauge("nv_cache_num_lookups", "Number of cache lookups in response cache", lookups)
        yield _gauge("nv_cache_num_evictions", "Number of cache evictions in response cache", cache.evictions)

    def _machine_metrics(self) -> Iterator[Metric]:
        busy, total = _cpu_times()
        last_busy, last_total = self._last_cpu_times
        self._last_cpu_times = busy, total
        share = (busy - last_busy) / (total - last_total) if total > last_total else 0.0
        yield _gauge("nv_cpu_utilization", "CPU utilization rate [0.0 - 1.0]", share)
        total_bytes, available_bytes = _memory_bytes()
        yield _gauge("nv_cpu_memory_total_bytes", "CPU total memory (RAM), in bytes", total_bytes)
        yield _gauge("nv_cpu_memory_used_bytes", "CPU used memory (RAM), in bytes", total_bytes - available_bytes)


def render_metrics(server: InferenceServer, collector: TritonCollector | None = None) -> bytes:
    """The metrics in Prometheus' text format, those that Python models keep themselves at the end.

    A `collector` that is passed each time measures the CPU between two calls.
    """
    registry = CollectorRegistry()
    registry.register(collector or TritonCollector(server))
    # prometheus_client names every counter x_total; Triton's do not end so.
    return _COUNTER_SUFFIX.sub(rb"\1 ", generate_latest(registry)) + render_model_metrics().encode()


def _labels(model: dict[str, Any]) -> dict[str, str]:
    return {"model": str(model["name"]), "version": str(model["version"])}


def _gauge(name: str, text: str, value: float) -> Metric:
    metric = Metric(name, text, "gauge")
    metric.add_sample(name, {}, value)
    return metric


def _cpu_times() -> tuple[float, float]:
    """Busy and total time of all cores since boot, in ticks."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [float(field) for field in file.readline().split()[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def _memory_bytes() -> tuple[int, int]:
    """Total and available memory."""
    with open("/proc/meminfo", encoding="ascii") as file:
        fields = dict(line.split(":") for line in file)
    return tuple(int(fields[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))  # type: ignore[return-value]
