"""The request queue of a model: its batcher, the instances behind it, and the expiry of requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path

from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from bento.inference.backends.deferred import instance_or_failure
from bento.inference.backends.interface import Instance, OpenedModel
from bento.inference.core.calls import PendingCall
from bento.inference.core.errors import InvalidRequest, QueueFull
from bento.inference.core.messages import InferRequest
from bento.inference.scheduling.batching_rules import BatchingRules
from bento.inference.scheduling.completions import Completions
from bento.inference.scheduling.dynamic_batcher import DynamicBatcher, Queued, QueueIsFull
from bento.inference.scheduling.instances import Batcher, Execution, InstanceGroup
from bento.inference.scheduling.sequence_batcher import SequenceBatcher, Sequenced, SequenceNotStarted, SequenceRules
from bento.inference.scheduling.sequence_controls import SequenceControls
from bento.inference.scheduling.warmup import warm_up, warm_up_requests


class RequestQueue:
    """Queue and instances of one model version. To be used on the loop."""

    def __init__(
        self,
        joins_with: Callable[[InferRequest], Hashable],
        sequences: SequenceControls | None,
        config: ModelConfig,
        completions: Completions,
        on_executed: Callable[[Execution], None],
        on_expired: Callable[[list[Queued[PendingCall]]], None],
    ) -> None:
        """`joins_with`: equal for two requests exactly when they may share a batch."""
        batcher: Batcher
        if sequences is None:
            batcher = DynamicBatcher[PendingCall](BatchingRules.from_config(config))
        else:
            batcher = SequenceBatcher(SequenceRules.from_config(config))
        self._joins_with = joins_with
        self._sequences = sequences
        self._config = config
        self._on_expired = on_expired
        self._instances = InstanceGroup(batcher, on_executed, on_expired, completions, sequences)
        self._loop = asyncio.get_running_loop()
        self._expiry: asyncio.Handle | None = None
        self._expiry_ns = 0
        """When the timer ends; uvloop's handles do not show it."""

    def __len__(self) -> int:
        """Requests that wait."""
        return len(self._instances.batcher)

    @property
    def device(self) -> str:
        """Devices of the instances, joined by commas."""
        return ",".join(dict.fromkeys(self._instances.devices))

    async def start(self, opened: OpenedModel, model_folder: Path) -> None:
        """Create and warm up the instances that the configuration asks for. Raises: LoadFailed."""
        config = self._config
        samples = warm_up_requests(config, model_folder)

        def create(name: str, kind: int, device_id: int) -> Instance:
            instance = opened.create_instance(name, config, kind, device_id)
            warm_up(instance, samples, batched=config.max_batch_size > 0)
            return instance

        for group in config.instance_group:
            on_gpu = group.kind == ModelInstanceGroup.KIND_GPU
            for number in range(group.count):
                for device_id in group.gpus if on_gpu else [0]:
                    name = f"{group.name}_{number}"
                    making = partial(create, name, group.kind, device_id)
                    if opened.is_deferred:
                        device = f"cuda:{device_id}" if on_gpu else "cpu"
                        self._instances.add_deferred(name, partial(instance_or_failure, name, making), device)
                    else:
                        await self._instances.add(name, making)

    def idle_instance(self) -> Instance | None:
        """An idle instance that may be used instead of queueing, None when there is none."""
        return self._instances.idle_instance() if self._sequences is None else None

    def put(self, call: PendingCall) -> Queued[PendingCall]:
        """Queue a call. Raises: QueueFull, InvalidRequest (it belongs to a sequence that was not started)."""
        request = call.request
        shape = self._joins_with(request)
        queued: Queued[PendingCall]
        if self._sequences is None:
            queued = Queued(call, call.rows or 1, shape, request.priority, request.timeout_us, request.deadline_ns)
        else:
            control = self._sequences.check(request, call.rows)
            queued = Sequenced(call, 1, shape, deadline_ns=request.deadline_ns, control=control)
        try:
            self._instances.enqueue(queued, call.started_ns)
        except QueueIsFull:
            raise QueueFull(request.id) from None
        except SequenceNotStarted:
            assert request.sequence is not None
            raise InvalidRequest(
                f"inference request for sequence {request.sequence.id} to model '{self._config.name}' must specify the "
                "START flag on the first request of the sequence"
            ) from None
        if queued.expires_ns is not None or queued.deadline_ns is not None or self._sequences is not None:
            self._watch_expiry()
        return queued

    def withdraw(self, queued: Queued[PendingCall]) -> bool:
        """The client is gone: True when the request was still queued, False when it runs or has run."""
        queued.item.abandoned = True
        with self._instances.lock:
            return self._instances.batcher.cancel(queued)

    async def close(self) -> None:
        """Stop the instances; nothing must be queued any more."""
        if self._expiry is not None:
            self._expiry.cancel()
        await self._instances.close()

    def _watch_expiry(self) -> None:
        """Answer requests that expire while all instances are busy at the time when they expire."""
        with self._instances.lock:
            next_ns = self._instances.batcher.next_expiry_ns()
        if next_ns is None:
            return
        if self._expiry is not None:
            if self._expiry_ns <= next_ns:
                return
            self._expiry.cancel()
        self._expiry_ns = next_ns
        self._expiry = self._loop.call_later(max(next_ns + 1 - time.monotonic_ns(), 0) / 1e9, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        with self._instances.lock:
            expired = self._instances.batcher.expire(time.monotonic_ns())
        self._on_expired(expired)
        if self._sequences is not None:
            self._instances.wake_all()  # a sequence from the backlog may have taken the place of an idle one
        self._watch_expiry()
