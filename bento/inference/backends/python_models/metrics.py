"""Metrics that Python-backend models define, for the server's metrics page.

A series is identified by the name of its family and its labels: another instance or the next version of the model that
asks for the same ones shares it. It is removed with the last model that uses it.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Sequence
from weakref import WeakValueDictionary

from bento.inference.backends.python_models.tensors import TritonModelException

_Labels = tuple[tuple[str, str], ...]

_families: dict[str, MetricFamily] = {}
_lock = threading.Lock()


class _Series:
    """The numbers of one series."""

    def __init__(self, labels: _Labels, buckets: Sequence[float]) -> None:
        self.labels = labels
        self.buckets = list(buckets)
        self.counts = [0] * (len(self.buckets) + 1)
        self.value = 0.0


class Metric:
    """One series of a family, as one model holds it."""

    def __init__(self, family: MetricFamily, series: _Series) -> None:
        self._family = family
        self._series = series

    def increment(self, value: float) -> None:
        """Add to a counter or gauge; a counter takes nothing below 0."""
        if self._family.kind == MetricFamily.HISTOGRAM:
            raise TritonModelException("Unsupported metric operation")
        if self._family.kind == MetricFamily.COUNTER and value < 0:
            raise TritonModelException("Failed to increment metric value: Counter values can only be incremented.")
        with _lock:
            self._series.value += value

    def set(self, value: float) -> None:
        """Set a gauge."""
        if self._family.kind != MetricFamily.GAUGE:
            raise TritonModelException("Unsupported metric operation")
        with _lock:
            self._series.value = value

    def observe(self, value: float) -> None:
        """Add an observation to a histogram."""
        if self._family.kind != MetricFamily.HISTOGRAM:
            raise TritonModelException("Unsupported metric operation")
        series = self._series
        with _lock:
            series.counts[bisect_left(series.buckets, value)] += 1
            series.value += value

    def value(self) -> float:
        """Value of a counter or gauge."""
        if self._family.kind == MetricFamily.HISTOGRAM:
            raise TritonModelException("Unsupported metric operation")
        return self._series.value


class MetricFamily:
    """Metrics of one name. The same name twice is the same family."""

    COUNTER, GAUGE, HISTOGRAM = range(3)

    def __init__(self, name: str, description: str, kind: int) -> None:
        self.name = name
        self.description = description
        self.kind = kind
        self.series: WeakValueDictionary[_Labels, _Series] = WeakValueDictionary()
        with _lock:
            family = _families.setdefault(name, self)
            if family.kind != kind:
                raise TritonModelException(f"metric family '{name}' exists already with another kind")
            self.series = family.series

    def Metric(self, labels: dict[str, str] | None = None, buckets: Sequence[float] | None = None) -> Metric:  # noqa: N802
        """The series of these labels. `buckets`: upper bounds of a histogram, ascending."""
        if (self.kind == MetricFamily.HISTOGRAM) != bool(buckets):
            raise TritonModelException("buckets are for histograms, and a histogram needs them")
        key = tuple(sorted((name, str(value)) for name, value in (labels or {}).items()))
        with _lock:
            series = self.series.get(key)
            if series is None:
                series = self.series[key] = _Series(key, buckets or ())
        return Metric(self, series)


def render_model_metrics() -> str:
    """All metrics of models in Prometheus' text format; empty when there are none."""
    kinds = ("counter", "gauge", "histogram")
    lines = []
    with _lock:
        for family in _families.values():
            lines += [f"# HELP {family.name} {family.description}", f"# TYPE {family.name} {kinds[family.kind]}"]
            lines += [line for series in family.series.values() for line in _lines(family, series)]
    return "".join(f"{line}\n" for line in lines)


def _lines(family: MetricFamily, series: _Series) -> list[str]:
    """One series in Prometheus' text format."""
    name, labels = family.name, series.labels
    if family.kind != MetricFamily.HISTOGRAM:
        return [f"{name}{_braced(labels)} {_number(series.value)}"]
    lines, total = [], 0
    for bound, count in zip([*series.buckets, float("inf")], series.counts, strict=True):
        total += count
        edge = "+Inf" if bound == float("inf") else _number(bound)
        lines.append(f"{name}_bucket{_braced((*labels, ('le', edge)))} {total}")
    lines.append(f"{name}_sum{_braced(labels)} {_number(series.value)}")
    lines.append(f"{name}_count{_braced(labels)} {total}")
    return lines


def _number(value: float) -> str:
    """All digits: a counter that is rounded to six stands still from a million on."""
    return repr(float(value)).removesuffix(".0")


def _braced(labels: _Labels) -> str:
    if not labels:
        return ""
    quoted = ((key, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for key, value in labels)
    return "{" + ",".join(f'{key}="{value}"' for key, value in quoted) + "}"
