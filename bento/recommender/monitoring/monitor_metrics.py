"""The monitor's report as Prometheus gauges."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from bento.recommender.monitoring.monitor_report import Monitor


class MonitorMetrics:
    """One set per process; of several workers, the last report is shown."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, doc: str, *labels: str) -> Gauge:
            return Gauge(f"recsys_{name}", doc, labels, registry=registry, multiprocess_mode="mostrecent")

        self._coverage = gauge("coverage_ratio", "Films with each kind of content, and those on show lately.", "kind")
        self._missing = gauge("embedding_missing_films", "Films without a vector of a source.", "source")
        self._norm = gauge("embedding_norm_mean", "Mean length of the vectors of a source.", "source")
        self._width = gauge("embedding_width", "Dimensions of a source.", "source")
        self._hit_ratio = gauge("response_cache_hit_ratio", "Look-ups of the response cache that ended there.")
        self._latency = gauge("stage_latency_ms", "Percentiles of the newest answers.", "stage", "percentile")
        self._psi = gauge("drift_psi", "Population stability index against the release's people.", "of")
        self._lists = gauge("experiment_lists", "Lists served in an arm.", "experiment", "arm")
        self._ctr = gauge("experiment_ctr_ratio", "Share of an arm's lists that were clicked.", "experiment", "arm")
        self._alerts = gauge("alerts", "Alerts of /monitor.")

    def show(self, report: Monitor) -> None:
        """Set every gauge; those of unknown values stay the same."""
        for kind, share in report.coverage.items():
            self._coverage.labels(kind).set(share)
        for source, health in report.embeddings.items():
            self._missing.labels(source).set(health.missing)
            self._norm.labels(source).set(health.norm_mean)
            self._width.labels(source).set(health.width)
        if report.cache.hit_ratio is not None:
            self._hit_ratio.set(report.cache.hit_ratio)
        for stage, times in report.latency_ms.items():
            for percentile in ("p50", "p95", "p99"):
                self._latency.labels(stage, percentile).set(times[percentile])
        for fact, drift in report.drift.items():
            if drift.psi is not None:
                self._psi.labels(fact).set(drift.psi)
        for result in report.experiments:
            for arm in result.arms:
                self._lists.labels(result.name, arm.name).set(arm.lists)
                if arm.ctr is not None:
                    self._ctr.labels(result.name, arm.name).set(arm.ctr)
        self._alerts.set(len(report.alerts))
