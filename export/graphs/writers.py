"""Writing the ONNX graphs of a release: in this process, or in others beside it.

torch's exporter traces in Python, for one to eight seconds a network; two processes write a release's graphs in half
the time. Proofs stay with the caller.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from torch import nn

from export.example_inputs import Tensors
from export.graphs.onnx_graphs import export_onnx, quiet_exporter
from export.graphs.precision import Precision, reduce_precision
from training.content.torchvision_guard import guard_torchvision

WORKERS = min(2, len(os.sched_getaffinity(0)))
"""Processes that write graphs. A release has ten; more processes would wait for the slowest graph."""


@dataclass(frozen=True, slots=True)
class GraphOrder:
    """One graph to be written."""

    module: nn.Module
    batches: Sequence[Tensors]
    """What the network is tried with; the second is traced, all calibrate integers."""
    config: bytes
    """ModelConfig, serialized: its class cannot be sent to another process."""
    path: Path
    precision: Precision = "fp32"

    def write(self) -> None:
        """Write the graph. Raises: GraphRejected, SignatureMismatch."""
        from tritonclient.grpc.model_config_pb2 import ModelConfig

        export_onnx(self.module, self.batches[1], ModelConfig.FromString(self.config), self.path)
        reduce_precision(self.path, self.precision, self.batches)


class GraphWriter(Protocol):
    """Writes graphs, at once or later."""

    def begin(self, order: GraphOrder) -> Callable[[], None]:
        """Take an order; what is returned waits until the graph is written, and raises what writing it raised."""


class Here:
    """Writes each graph when it is waited for."""

    def begin(self, order: GraphOrder) -> Callable[[], None]:
        """See `GraphWriter`."""
        return order.write


class GraphWorkers:
    """Writes graphs in other processes, which start with the first call and end with the `with`."""

    def __init__(self, workers: int = WORKERS) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._starting = threading.Lock()

    def warm_up(self) -> None:
        """Start the processes, so that they import what they need before the first order. Again changes nothing."""
        with self._starting:
            if self._pool is None:
                # spawn: a forked child of a process whose torch has computed may hang.
                self._pool = ProcessPoolExecutor(self._workers, get_context("spawn"), _begin_work)
                for _ in range(self._workers):
                    self._pool.submit(_nothing)

    def begin(self, order: GraphOrder) -> Callable[[], None]:
        """See `GraphWriter`."""
        self.warm_up()
        assert self._pool is not None
        batches = order.batches[:2] if order.precision != "int8" else order.batches
        # As bytes: what torch would do with tensors on the way takes shared memory, of which containers have little.
        return self._pool.submit(_write, pickle.dumps(replace(order, batches=batches))).result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _nothing() -> None:
    """A process that has done this is ready."""


def _write(order: bytes) -> None:
    pickle.loads(order).write()  # from our own process


def _begin_work() -> None:
    """Import what graphs are written with; end with the parent, and leave Ctrl-C to it."""
    import torch

    guard_torchvision()  # a poster network that arrives imports it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    with quiet_exporter():
        torch.onnx.export(nn.Identity().eval(), (torch.zeros(1),), dynamo=True, verbose=False)
    gc.collect()
    gc.freeze()  # what was imported stays: looking through it again and again is a tenth of an export


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
