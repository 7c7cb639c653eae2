"""Metrics that Python-backend models keep themselves, for the server's metrics page."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Sequence

from bento.inference.backends.python_tensors import TritonModelException

_families: dict[str, MetricFamily] = {}
_lock = threading.Lock()


class Metric:
    """One series of a family."""

    def __init__(self, family: MetricFamily, labels: dict[str, str], buckets: Sequence[float]) -> None:
        self._family = family
        self._labels = labels
        self._buckets = list(buckets)
        self._counts = [0] * (len(self._buckets) + 1)
        self._value = 0.0

    def increment(self, value: float) -> None:
        """Add to a counter or gauge; a counter takes nothing below 0."""
        if self._family.kind == MetricFamily.HISTOGRAM:
            raise TritonModelException("Unsupported metric operation")
        if self._family.kind == MetricFamily.COUNTER and value < 0:
            raise TritonModelException("Failed to increment metric value: Counter values can only be incremented.")
        with _lock:
            self._value += value

    def set(self, value: float) -> None:
        """Set a gauge."""
        if self._family.kind != MetricFamily.GAUGE:
            raise TritonModelException("Unsupported metric operation")
        with _lock:
            self._value = value

    def observe(self, value: float) -> None:
        """Add an observation to a histogram."""
        if self._family.kind != MetricFamily.HISTOGRAM:
            raise TritonModelException("Unsupported metric operation")
        with _lock:
            self._counts[bisect_left(self._buckets, value)] += 1
            self._value += value

    def value(self) -> float:
        """Value of a counter or gauge."""
        if self._family.kind == MetricFamily.HISTOGRAM:
            raise TritonModelException("Unsupported metric operation")
        return self._value

    def lines(self) -> list[str]:
        """The series in Prometheus' text format."""
        name = self._family.name
        if self._family.kind != MetricFamily.HISTOGRAM:
            return [f"{name}{_labels(self._labels)} {self._value:g}"]
        lines, total = [], 0
        for bound, count in zip([*self._buckets, float("inf")], self._counts, strict=True):
            total += count
            edge = "+Inf" if bound == float("inf") else f"{bound:g}"
            lines.append(f"{name}_bucket{_labels({**self._labels, 'le': edge})} {total}")
        lines.append(f"{name}_sum{_labels(self._labels)} {self._value:g}")
        lines.append(f"{name}_count{_labels(self._labels)} {total}")
        return lines


class MetricFamily:
    """Metrics of one name. The same name twice is the same family."""

    COUNTER, GAUGE, HISTOGRAM = range(3)

    def __init__(self, name: str, description: str, kind: int) -> None:
        self.name = name
        self.description = description
        self.kind = kind
        self.metrics: list[Metric] = []
        with _lock:
            known = _families.setdefault(name, self)
            if known.kind != kind:
                raise TritonModelException(f"metric family '{name}' exists already with another kind")
            self.metrics = known.metrics

    def Metric(self, labels: dict[str, str] | None = None, buckets: Sequence[float] | None = None) -> Metric:  # noqa: N802
        """A new series. `buckets`: upper bounds of a histogram, ascending."""
        if (self.kind == MetricFamily.HISTOGRAM) != bool(buckets):
            raise TritonModelException("buckets are for histograms, and a histogram needs them")
        metric = Metric(self, labels or {}, buckets or ())
        with _lock:
            self.metrics.append(metric)
        return metric


def render_model_metrics() -> str:
    """All metrics of models in Prometheus' text format; empty when there are none."""
    kinds = ("counter", "gauge", "histogram")
    lines = []
    with _lock:
        for family in _families.values():
            lines += [f"# HELP {family.name} {family.description}", f"# TYPE {family.name} {kinds[family.kind]}"]
            lines += [line for metric in family.metrics for line in metric.lines()]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    quoted = (
        (key, str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
        for key, value in labels.items()
    )
    return "{" + ",".join(f'{key}="{value}"' for key, value in quoted) + "}"
