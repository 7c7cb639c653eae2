"""Statistics of a model since it was loaded, in Triton's terms.

Written and read on the server's loop only, hence without locks.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from bento.inference.core.messages import RequestTiming

FailureReason = Literal["REJECTED", "CANCELED", "BACKEND", "OTHER"]


@dataclass(slots=True)
class Duration:
    """How often, and for how long in total."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int, count: int = 1) -> None:
        self.count += count
        self.ns += ns

    def to_json(self) -> dict[str, int]:
        return {"count": self.count, "ns": self.ns}


@dataclass(slots=True)
class BatchStatistics:
    """Executions of one batch size."""

    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)


@dataclass(slots=True)
class ModelStatistics:
    """Counters of one model version since it was loaded."""

    last_inference_ms: int = 0
    inference_count: int = 0
    """Rows inferred."""
    execution_count: int = 0
    """Batches run."""
    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)
    cache_hit: Duration = field(default_factory=Duration)
    cache_miss: Duration = field(default_factory=Duration)
    batches: dict[int, BatchStatistics] = field(default_factory=dict)
    failures: Counter[FailureReason] = field(default_factory=Counter)
    """Failed requests by reason."""

    def add_success(self, total_ns: int, timing: RequestTiming, rows: int) -> None:
        """One request answered by the model. `rows`: its batch size, at least 1."""
        self.inference_count += rows
        self.success.count += 1
        self.success.ns += total_ns
        self.queue.count += 1
        self.queue.ns += timing.queue_ns
        self.compute_input.count += 1
        self.compute_input.ns += timing.compute_input_ns
        self.compute_infer.count += 1
        self.compute_infer.ns += timing.compute_infer_ns
        self.compute_output.count += 1
        self.compute_output.ns += timing.compute_output_ns

    def add_cache_hit(self, total_ns: int, lookup_ns: int) -> None:
        """One request answered from the response cache."""
        self.success.add(total_ns)
        self.queue.add(0)
        self.cache_hit.add(lookup_ns)
        self.last_inference_ms = time.time_ns() // 1_000_000

    def add_failure(self, total_ns: int, reason: FailureReason) -> None:
        """One request that got an error after it had been accepted."""
        self.fail.add(total_ns)
        self.failures[reason] += 1

    def add_refusal(self) -> None:
        """One request that found the queue full. Triton counts it among the failures' reasons only."""
        self.failures["REJECTED"] += 1

    def add_execution(self, rows: int, input_ns: int, infer_ns: int, output_ns: int) -> None:
        """One batch run."""
        self.execution_count += 1
        self.last_inference_ms = time.time_ns() // 1_000_000
        batch = self.batches.get(rows)
        if batch is None:
            batch = self.batches[rows] = BatchStatistics()
        batch.compute_input.count += 1
        batch.compute_input.ns += input_ns
        batch.compute_infer.count += 1
        batch.compute_infer.ns += infer_ns
        batch.compute_output.count += 1
        batch.compute_output.ns += output_ns

    def to_json(self, name: str, version: str) -> dict[str, object]:
        """One element of the v2 statistics extension's `model_stats`."""
        parts = (
            "success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss",
        )  # fmt: skip
        return {
            "name": name,
            "version": version,
            "last_inference": self.last_inference_ms,
            "inference_count": self.inference_count,
            "execution_count": self.execution_count,
            "inference_stats": {part: getattr(self, part).to_json() for part in parts},
            "response_stats": {},
            "batch_stats": [
                {
                    "batch_size": rows,
                    "compute_input": batch.compute_input.to_json(),
                    "compute_infer": batch.compute_infer.to_json(),
                    "compute_output": batch.compute_output.to_json(),
                }
                for rows, batch in sorted(self.batches.items())
            ],
            "memory_usage": [],
        }
