"""One version of one model, loaded: requests go in, answers come out."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.backends.interface import Instance, OpenedModel
from bento.inference.core.calls import DirectCall, Lease, PendingCall, Sent, StreamingCall
from bento.inference.core.errors import (
    BackendFailed,
    DeadlineExceeded,
    InferenceError,
    QueueFull,
    QueueTimeout,
    Unsupported,
)
from bento.inference.core.messages import InferRequest, InferResponse, Parameters, RequestTiming, Tensor
from bento.inference.models.contract import Contract
from bento.inference.models.prepared_requests import PreparedRequest, PreparedRequests, WireForm, is_plain
from bento.inference.models.response_cache import ResponseCache, cache_key
from bento.inference.models.statistics import ModelStatistics
from bento.inference.scheduling.completions import Completions
from bento.inference.scheduling.dynamic_batcher import Queued
from bento.inference.scheduling.inline_policy import INLINE_LIMIT_NS, InlinePolicy, busy_ns
from bento.inference.scheduling.instances import Execution
from bento.inference.scheduling.request_queue import RequestQueue
from bento.inference.scheduling.sequence_controls import SequenceControls


class Model:
    """A model version with its queue, its instances and its statistics."""

    def __init__(
        self,
        config: ModelConfig,
        version: int,
        labels: dict[str, list[str]],
        opened: OpenedModel,
        completions: Completions,
        cache: ResponseCache | None,
        model_folder: Path,
    ) -> None:
        """Raises: LoadFailed when the configuration's sequence controls cannot be made."""
        self.name = config.name
        self.version = str(version)
        self.config = config
        self.labels = labels
        self.statistics = ModelStatistics()
        self.is_decoupled = config.model_transaction_policy.decoupled
        self.lease = Lease()
        self._contract = Contract(config)
        self._sequences = SequenceControls(config, model_folder) if config.HasField("sequence_batching") else None
        self._opened = opened
        self._model_folder = model_folder
        self._completions = completions
        self._cache = cache
        self._cache_owner = f"{self.name}\0{id(self)}\0".encode()
        self._loop = asyncio.get_running_loop()
        self._queue = RequestQueue(
            self._contract.joins_with, self._sequences, config, completions, self._on_executed, self._on_expired
        )
        self._inline_policy = InlinePolicy()
        self.prepared_requests = PreparedRequests()
        preserves_order = config.dynamic_batching.preserve_ordering
        self._in_order: deque[PendingCall] | None = deque() if preserves_order else None

    async def start(self) -> None:
        """Create and warm up the instances that the configuration asks for. Raises: LoadFailed."""
        await self._queue.start(self._opened, self._model_folder)

    @property
    def device(self) -> str:
        """Where it runs: "cpu", "cuda:0", or several joined by commas."""
        return self._queue.device

    @property
    def waiting_count(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def check(self, request: InferRequest) -> int:
        """Rows of the request. Raises: InvalidRequest when it does not fit the model."""
        rows = self._contract.check(request)
        if self._sequences is not None:
            self._sequences.check(request, rows)
        return rows

    def infer_now(self, request: InferRequest) -> InferResponse | None:
        """The answer of a model so quick that it runs on the loop itself; None: `infer` is to be awaited.

        Raises: InferenceError.
        """
        if self._cache is not None or self._in_order is not None or self.is_decoupled:
            return None
        instance = self._queue.idle_instance()
        if instance is None:
            return None
        started_ns = time.monotonic_ns()
        if request.deadline_ns is not None and request.deadline_ns <= started_ns:
            return None  # the queue answers those that expire
        rows = self.check(request)
        if not self._inline_policy.may_run_inline(rows, self._contract.joins_with(request), started_ns):
            return None
        return self._infer_inline(request, self._contract.model_inputs(request, rows), rows, started_ns, instance)

    def prepare_request(self, request: InferRequest, response: InferResponse, wire: WireForm) -> None:
        """Prepare for more requests of the kind that `infer_now` just answered, where that is possible."""
        make = getattr(self._queue.idle_instance(), "fixed", None)
        if make is None or self._contract.reshapes or not is_plain(request, response):
            return
        fixed = make(request.inputs, response.outputs)
        if fixed is not None:
            rows, shape = self.check(request), self._contract.joins_with(request)
            prepared = PreparedRequest(
                fixed, wire, rows, shape, self._queue.idle_instance, self._inline_policy, self.statistics
            )
            self.prepared_requests.add(wire.key, prepared)

    async def infer(self, request: InferRequest) -> InferResponse:
        """Answer a request. Cancelling the awaiting task takes a queued request out of the queue.

        Raises: InferenceError.
        """
        started_ns = time.monotonic_ns()
        rows = self.check(request)
        if self.is_decoupled:
            raise Unsupported(f"model '{self.name}' is decoupled: it answers streams only")
        if self._cache is not None:
            return await self._infer_cached(request, rows, started_ns, self._cache)
        return await self._infer(request, rows, started_ns)

    async def _infer(self, request: InferRequest, rows: int, started_ns: int) -> InferResponse:
        inputs = self._contract.model_inputs(request, rows)
        instance = self._queue.idle_instance() if self._in_order is None else None
        if instance is not None and self._inline_policy.may_run_inline(
            rows, self._contract.joins_with(request), started_ns
        ):
            return self._infer_inline(request, inputs, rows, started_ns, instance)
        call = PendingCall(request, inputs, rows, self._loop.create_future(), started_ns)
        queued = self._enqueue(call)
        try:
            return await call.future
        except asyncio.CancelledError:
            if call.future.done() and not call.future.cancelled():
                call.future.exception()  # answered at the moment the client left: the answer is not read
            self._abandon(queued)
            raise

    def _infer_inline(
        self, request: InferRequest, inputs: dict[str, Tensor], rows: int, started_ns: int, instance: Instance
    ) -> InferResponse:
        """Run on the event loop: for a model this fast, handing over to a thread would take longer than running."""
        call = DirectCall(request, inputs, rows)
        computed_ns, begun_ns = time.thread_time_ns(), time.monotonic_ns()
        times = instance.execute((call,))
        ended_ns = time.monotonic_ns()
        took_ns = ended_ns - begun_ns
        if took_ns >= INLINE_LIMIT_NS:  # asking for the thread's time takes 1 us
            took_ns = busy_ns(time.thread_time_ns() - computed_ns, took_ns)
        timing = RequestTiming(
            begun_ns - started_ns,
            times.inputs_ready_ns - begun_ns,
            times.inferred_ns - times.inputs_ready_ns,
            ended_ns - times.inferred_ns,
        )
        self._inline_policy.note(rows, self._contract.joins_with(request), took_ns)
        self.statistics.add_execution(
            rows or 1, timing.compute_input_ns, timing.compute_infer_ns, timing.compute_output_ns
        )
        answer = self._answer(request, call.outputs, call.error, None, timing)
        self._count(answer, ended_ns - started_ns, timing, rows)
        if isinstance(answer, InferenceError):
            raise answer
        return answer

    async def _infer_cached(
        self, request: InferRequest, rows: int, started_ns: int, cache: ResponseCache
    ) -> InferResponse:
        key = cache_key(self._cache_owner, request)
        outputs = cache.get(key)
        lookup_ns = time.monotonic_ns() - started_ns
        if outputs is not None:
            self.statistics.add_cache_hit(lookup_ns, lookup_ns)
            return InferResponse(self.name, self.version, request.id, outputs)
        response = await self._infer(request, rows, started_ns)
        inserting_ns = time.monotonic_ns()
        cache.put(key, response.outputs)
        self.statistics.cache_miss.add(lookup_ns + time.monotonic_ns() - inserting_ns)
        return response

    async def stream(self, request: InferRequest) -> AsyncIterator[InferResponse]:
        """Responses of a decoupled model, as they come; the one response of an ordinary model.

        Raises: InferenceError.
        """
        if not self.is_decoupled:
            yield await self.infer(request)
            return
        started_ns = time.monotonic_ns()
        rows = self.check(request)
        inputs = self._contract.model_inputs(request, rows)
        call = StreamingCall(request, inputs, rows, self._loop.create_future(), started_ns, self._send_soon)
        queued = self._enqueue(call)
        final = False
        try:
            while not final:
                sent = await call.responses.get()
                final = sent.final
                if sent.error is not None and final:
                    raise sent.error
                if sent.outputs is not None or sent.error is not None:
                    outputs = self._contract.client_outputs(sent.outputs or {}, request.requested_outputs)
                    yield InferResponse(
                        self.name, self.version, request.id, outputs, sent.parameters, call.timing, final, sent.error
                    )
        finally:
            if not final:
                self._abandon(queued)

    async def close(self) -> None:
        """Finish what was accepted, then stop the instances and free the model."""
        await self.lease.ended()
        self.prepared_requests.clear()
        await self._queue.close()
        await asyncio.to_thread(self._opened.close)
        if self._cache is not None:
            self._cache.forget(self._cache_owner)

    # -- into the queue and out of it ------------------------------------------------------------------------------

    def _enqueue(self, call: PendingCall) -> Queued[PendingCall]:
        try:
            queued = self._queue.put(call)
        except QueueFull:
            self.statistics.add_refusal()
            raise
        self.lease.enter()
        if self._in_order is not None:
            self._in_order.append(call)
        return queued

    def _abandon(self, queued: Queued[PendingCall]) -> None:
        """The client is gone: leave the queue, or let the running batch finish and drop the answer."""
        if self._queue.withdraw(queued):
            self.statistics.add_failure(time.monotonic_ns() - queued.item.started_ns, "CANCELED")
            self._settle(queued.item, _nothing)

    def _on_expired(self, expired: list[Queued[PendingCall]]) -> None:
        now_ns = time.monotonic_ns()
        for queued in expired:
            call = queued.item
            late = queued.deadline_ns is not None and queued.deadline_ns < now_ns
            error = DeadlineExceeded(call.request.id) if late else QueueTimeout()
            self.statistics.add_failure(now_ns - call.started_ns, "REJECTED")
            if isinstance(call, StreamingCall):
                call.responses.put_nowait(Sent(None, error, True, {}))
                self._settle(call, _nothing)
            else:
                self._settle(call, partial(_resolve, call.future, error))

    # -- out of the instances, on the loop -------------------------------------------------------------------------

    def _on_executed(self, execution: Execution) -> None:
        input_ns = execution.times.inputs_ready_ns - execution.started_ns
        infer_ns = execution.times.inferred_ns - execution.times.inputs_ready_ns
        output_ns = execution.ended_ns - execution.times.inferred_ns
        rows = sum([call.rows or 1 for call in execution.calls])
        self.statistics.add_execution(rows, input_ns, infer_ns, output_ns)
        if len(execution.calls) == 1:
            call = execution.calls[0]
            self._inline_policy.note(call.rows, self._contract.joins_with(call.request), execution.busy_ns)
        for call in execution.calls:
            timing = RequestTiming(execution.started_ns - call.started_ns, input_ns, infer_ns, output_ns)
            total_ns = time.monotonic_ns() - call.started_ns
            if isinstance(call, StreamingCall):
                call.timing = timing
                self._count(call.error, total_ns, timing, call.rows)
                continue
            answer = self._answer(call.request, call.outputs, call.error, call.parameters, timing)
            self._count(answer, total_ns, timing, call.rows)
            self._settle(call, partial(_resolve, call.future, answer))

    def _answer(
        self,
        request: InferRequest,
        outputs: dict[str, Tensor] | None,
        error: InferenceError | None,
        parameters: Parameters | None,
        timing: RequestTiming,
    ) -> InferResponse | InferenceError:
        """What the client gets for what the model gave."""
        if error is not None:
            return error
        if outputs is None:
            return BackendFailed(f"model '{self.name}' gave no answer")
        try:
            outputs = self._contract.client_outputs(outputs, request.requested_outputs)
        except BackendFailed as misfit:
            return misfit
        return InferResponse(self.name, self.version, request.id, outputs, parameters or {}, timing)

    def _count(self, answer: object, total_ns: int, timing: RequestTiming, rows: int) -> None:
        if isinstance(answer, InferenceError):
            self.statistics.add_failure(total_ns, "BACKEND")
        else:
            self.statistics.add_success(total_ns, timing, rows or 1)

    def _settle(self, call: PendingCall, deliver: Callable[[], None]) -> None:
        """Deliver an answer: at once, or where order is preserved after those of all earlier requests."""
        if self._in_order is None:
            deliver()
            self.lease.leave()
            return
        call.delivery = deliver
        while self._in_order and (delivery := self._in_order[0].delivery) is not None:
            self._in_order.popleft()
            delivery()
            self.lease.leave()

    def _send_soon(self, call: StreamingCall, sent: Sent) -> None:
        """Called on the model's thread."""
        self._completions.post(self._send, (call, sent))

    def _send(self, posted: tuple[StreamingCall, Sent]) -> None:
        call, sent = posted
        call.responses.put_nowait(sent)
        if sent.final and not call.ended:
            call.ended = True
            self._settle(call, _nothing)


def _resolve(future: asyncio.Future[InferResponse], answer: InferResponse | InferenceError) -> None:
    """Set the answer, unless the future was cancelled."""
    if future.done():
        return
    if isinstance(answer, InferenceError):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _nothing() -> None:
    """Nothing to deliver: the client is gone, or the answer was sent already."""
