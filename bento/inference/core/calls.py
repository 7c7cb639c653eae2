"""Calls: one request between its arrival and its last answer; and the lease that counts those in progress."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from bento.inference.core.errors import InferenceError
from bento.inference.core.messages import InferRequest, InferResponse, Parameters, RequestTiming, Tensor


@dataclass(frozen=True, slots=True)
class Sent:
    """One response of a decoupled model."""

    outputs: dict[str, Tensor] | None
    error: InferenceError | None
    final: bool
    """No other follows."""
    parameters: Parameters


class DirectCall:
    """A request that is answered before its caller goes on. Fulfils `backends.interface.Call`."""

    __slots__ = ("error", "inputs", "outputs", "request", "rows")

    abandoned = False

    def __init__(self, request: InferRequest, inputs: dict[str, Tensor], rows: int) -> None:
        self.request = request
        self.inputs = inputs
        self.rows = rows
        self.outputs: dict[str, Tensor] = {}
        self.error: InferenceError | None = None

    def answer(self, outputs: dict[str, Tensor]) -> None:
        """See `backends.interface.Call`."""
        self.outputs = outputs

    def fail(self, error: InferenceError) -> None:
        """See `backends.interface.Call`."""
        self.error = error

    def send(
        self,
        outputs: dict[str, Tensor] | None,
        error: InferenceError | None,
        final: bool,
        parameters: Parameters | None = None,
    ) -> None:
        """See `backends.interface.Call`."""
        self.outputs, self.error = outputs or {}, error


class NullCall(DirectCall):
    """Fills the slot of a sequence that has no request, so that others stay in theirs. Its answer is dropped."""

    __slots__ = ()


class PendingCall:
    """A request on its way through a model, with a place for its answer. Fulfils `backends.interface.Call`."""

    __slots__ = (
        "abandoned", "delivery", "error", "future", "inputs", "outputs", "parameters", "request", "rows", "started_ns",
    )  # fmt: skip

    def __init__(
        self,
        request: InferRequest,
        inputs: dict[str, Tensor],
        rows: int,
        future: asyncio.Future[InferResponse],
        started_ns: int,
    ) -> None:
        self.request = request
        self.inputs = inputs
        self.rows = rows
        self.future = future
        self.started_ns = started_ns
        self.abandoned = False
        self.outputs: dict[str, Tensor] | None = None
        self.parameters: Parameters | None = None
        self.error: InferenceError | None = None
        self.delivery: Callable[[], None] | None = None
        """Delivers the answer, where it must wait for those of earlier requests."""

    def answer(self, outputs: dict[str, Tensor]) -> None:
        """See `backends.interface.Call`."""
        self.outputs = outputs

    def fail(self, error: InferenceError) -> None:
        """See `backends.interface.Call`."""
        self.error = error

    def send(
        self,
        outputs: dict[str, Tensor] | None,
        error: InferenceError | None,
        final: bool,
        parameters: Parameters | None = None,
    ) -> None:
        """See `backends.interface.Call`: an ordinary model's one response."""
        if outputs is not None:
            self.answer(outputs)
            self.parameters = parameters
        if error is not None:
            self.fail(error)


class StreamingCall(PendingCall):
    """A request to a decoupled model: responses come one by one, from any thread."""

    __slots__ = ("_deliver", "ended", "responses", "timing")

    def __init__(
        self,
        request: InferRequest,
        inputs: dict[str, Tensor],
        rows: int,
        future: asyncio.Future[InferResponse],
        started_ns: int,
        deliver: Callable[[StreamingCall, Sent], None],
    ) -> None:
        super().__init__(request, inputs, rows, future, started_ns)
        self.responses: asyncio.Queue[Sent] = asyncio.Queue()
        self.ended = False
        self.timing = RequestTiming()
        """Of the execution that the responses came from, as soon as that has returned."""
        self._deliver = deliver

    def answer(self, outputs: dict[str, Tensor]) -> None:
        """See `backends.interface.Call`: a decoupled model that answers like an ordinary one."""
        self.send(outputs, None, True)

    def fail(self, error: InferenceError) -> None:
        """See `backends.interface.Call`."""
        self.error = error
        self.send(None, error, True)

    def send(
        self,
        outputs: dict[str, Tensor] | None,
        error: InferenceError | None,
        final: bool,
        parameters: Parameters | None = None,
    ) -> None:
        """See `backends.interface.Call`."""
        self._deliver(self, Sent(outputs, error, final, parameters or {}))


class Lease:
    """Counts the requests that need a model, so that it is not freed under them. Event loop only."""

    __slots__ = ("_ended", "count")

    def __init__(self) -> None:
        self.count = 0
        self._ended: asyncio.Future[None] | None = None

    def enter(self) -> None:
        """One more request needs the model."""
        self.count += 1

    def leave(self) -> None:
        """One request no longer needs it."""
        self.count -= 1
        if self.count == 0 and self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    async def ended(self) -> None:
        """Wait until the model is no longer needed."""
        while self.count:
            self._ended = asyncio.get_running_loop().create_future()
            await self._ended

    def __enter__(self) -> None:
        self.enter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.leave()
