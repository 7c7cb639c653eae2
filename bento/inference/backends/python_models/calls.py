"""Requests and responses as Python-backend models see them, and the calls that models make to other models."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bento.inference.backends.interface import Call, CallableModel, ModelTable
from bento.inference.backends.python_models.tensors import Tensor, TritonModelException, output_array
from bento.inference.core.errors import (
    AlreadyExists,
    BackendFailed,
    Cancelled,
    InferenceError,
    InvalidRequest,
    NotFound,
    Unavailable,
    Unsupported,
    saying,
)
from bento.inference.core.messages import InferRequest, InferResponse, SequenceControl

SEQUENCE_START, SEQUENCE_END = 1, 2
"""Bits of a request's flags."""
COMPLETE_FINAL = 1
"""Flag of the last response to a request."""
RELEASE_ALL = 1
"""Flag of a request that is done with."""


class TritonError:
    """An error that a model gives instead of outputs."""

    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG, UNAVAILABLE, UNSUPPORTED, ALREADY_EXISTS, CANCELLED = range(8)

    def __init__(self, message: str, code: int = INTERNAL) -> None:
        self._message = message
        self._code = code

    def message(self) -> str:
        """What the client reads."""
        return self._message

    def code(self) -> int:
        """One of the class's constants."""
        return self._code


_KINDS: dict[int, type[InferenceError]] = {
    TritonError.NOT_FOUND: NotFound,
    TritonError.INVALID_ARG: InvalidRequest,
    TritonError.UNAVAILABLE: Unavailable,
    TritonError.UNSUPPORTED: Unsupported,
    TritonError.ALREADY_EXISTS: AlreadyExists,
    TritonError.CANCELLED: Cancelled,
}


class InferenceResponse:
    """What a model answers: outputs, or an error."""

    __slots__ = ("_error", "_output_tensors", "_parameters")

    def __init__(
        self,
        output_tensors: Sequence[Tensor] = (),
        error: TritonError | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> None:
        self._output_tensors = list(output_tensors)
        self._error = error
        self._parameters = parameters or {}

    def output_tensors(self) -> list[Tensor]:
        """The outputs."""
        return self._output_tensors

    def has_error(self) -> bool:
        """Whether there is an error instead."""
        return self._error is not None

    def error(self) -> TritonError | None:
        """The error."""
        return self._error

    def parameters(self) -> str:
        """Response parameters as JSON."""
        return json.dumps(self._parameters)

    def deliver(self, call: Call, final: bool) -> None:
        """Send this response to the caller."""
        if self._error is not None:
            error = self._error
            kind = _KINDS.get(error.code(), BackendFailed) if isinstance(error, TritonError) else BackendFailed
            message = error.message() if isinstance(error, TritonError) else str(error)
            call.send(None, saying(kind, message), final)
            return
        outputs = {tensor.name(): output_array(tensor) for tensor in self._output_tensors}
        call.send(outputs, None, final, self._parameters)


class InferenceResponseSender:
    """Sends the responses to one request, from any thread."""

    def __init__(self, call: Call, is_decoupled: bool) -> None:
        self._call = call
        self._is_decoupled = is_decoupled
        self._sent = 0
        self.closed = threading.Event()
        """Set when the last response was sent."""

    def send(self, response: InferenceResponse | None = None, flags: int = 0) -> None:
        """Send a response; with TRITONSERVER_RESPONSE_COMPLETE_FINAL it is the last, and may be none."""
        if flags not in (0, COMPLETE_FINAL):
            raise TritonModelException("Unable to send response. Unsupported flag provided.")
        if flags == 0 and response is None:
            raise TritonModelException(
                "Inference Response object must be provided when the response flags is set to zero."
            )
        if not self._is_decoupled and response is not None and self._sent:
            raise TritonModelException(
                "Unable to send response. Non-decoupled model cannot send more than one response."
            )
        if not self._is_decoupled and response is None and not self._sent:
            raise TritonModelException(
                "Unable to send response. Non-decoupled model cannot send complete final before sending a response."
            )
        if self.closed.is_set():
            raise TritonModelException("Unable to send response. Response sender has been closed.")
        final = flags == COMPLETE_FINAL
        self._sent += 1
        if response is not None:
            response.deliver(self._call, final)
        elif self._is_decoupled:
            self._call.send(None, None, True)
        if final:
            self.closed.set()

    def is_cancelled(self) -> bool:
        """Whether the client left."""
        return self._call.abandoned


class InferenceTrace:
    """A trace that records nothing."""

    def get_context(self) -> None:
        """OpenTelemetry context: none."""


@dataclass(frozen=True, slots=True)
class CallingContext:
    """What a model needs to call other models of the same server."""

    loop: asyncio.AbstractEventLoop
    models: ModelTable
    model_folder: str
    """Folder of the model's code."""


class _Contexts(threading.local):
    current: CallingContext | None = None


_contexts = _Contexts()
_newest: list[CallingContext] = []


def enter_context(context: CallingContext) -> None:
    """Calls made on this thread go to this server; so do those from threads that a model started itself."""
    _contexts.current = context
    _newest[:] = [context]


def _context() -> CallingContext:
    context = _contexts.current or (_newest[0] if _newest else None)
    if context is None:
        raise TritonModelException("no inference server is running in this process")
    return context


class InferenceRequest:
    """A request: one that a model is given, or one that it makes to another model."""

    __slots__ = (
        "_call", "_correlation_id", "_flags", "_inputs", "_model_name", "_model_version", "_parameters", "_priority",
        "_request_id", "_requested_output_names", "_sender", "_timeout",
    )  # fmt: skip

    def __init__(
        self,
        request_id: str = "",
        correlation_id: int | str = 0,
        inputs: Sequence[Tensor] = (),
        requested_output_names: Sequence[str] = (),
        model_name: str = "",
        model_version: int = -1,
        flags: int = 0,
        timeout: int = 0,
        preferred_memory: object = None,
        trace: object = None,
        parameters: dict[str, Any] | None = None,
    ) -> None:
        self._request_id = request_id
        self._correlation_id = correlation_id
        self._inputs = list(inputs)
        self._requested_output_names = list(requested_output_names)
        self._model_name = model_name
        self._model_version = model_version
        self._flags = flags
        self._timeout = timeout
        self._priority = 0
        self._parameters: dict[str, Any] = parameters or {}
        self._call: Call | None = None
        self._sender: InferenceResponseSender | None = None

    @classmethod
    def of_call(cls, call: Call, output_names: Sequence[str], is_decoupled: bool) -> InferenceRequest:
        """The request that a model is given."""
        asked = call.request
        sequence = asked.sequence
        request = cls(
            asked.id,
            sequence.id if sequence else 0,
            [Tensor(name, array) for name, array in call.inputs.items()],
            asked.requested_outputs or output_names,
            asked.model_name,
            flags=(SEQUENCE_START * sequence.start + SEQUENCE_END * sequence.end) if sequence else 0,
            timeout=asked.timeout_us,
            parameters=asked.parameters,
        )
        request._priority = asked.priority
        request._call = call
        request._sender = InferenceResponseSender(call, is_decoupled)
        return request

    def inputs(self) -> list[Tensor]:
        """The input tensors."""
        return self._inputs

    def request_id(self) -> str:
        """Id that the client gave."""
        return self._request_id

    def correlation_id(self) -> int | str:
        """Id of the sequence; 0 = none."""
        return self._correlation_id

    def requested_output_names(self) -> set[str]:
        """Outputs that the client wants."""
        return set(self._requested_output_names)

    def model_name(self) -> str:
        """Model that is asked."""
        return self._model_name

    def flags(self) -> int:
        """TRITONSERVER_REQUEST_FLAG_SEQUENCE_START and _END, added up."""
        return self._flags

    def set_flags(self, flags: int) -> None:
        """See `flags`."""
        self._flags = flags

    def timeout(self) -> int:
        """How long the request may queue, in microseconds; 0 = not given."""
        return self._timeout

    def priority(self) -> int:
        """Priority level; 0 = the model's default."""
        return self._priority

    def parameters(self) -> str:
        """Request parameters as JSON."""
        return json.dumps(self._parameters, separators=(",", ":"))

    def trace(self) -> InferenceTrace:
        """The request's trace: none, here."""
        return InferenceTrace()

    def set_release_flags(self, flags: int) -> None:
        """How the request is released after `execute`: always immediately, the only way of this server."""
        if flags != RELEASE_ALL:
            raise TritonModelException("this server does not reschedule requests")

    def is_cancelled(self) -> bool:
        """Whether the client left."""
        return self._call is not None and self._call.abandoned

    def get_response_sender(self) -> InferenceResponseSender:
        """Sends responses outside the return value of `execute`."""
        if self._sender is None:
            raise TritonModelException("a request that a model makes has no response sender")
        return self._sender

    def exec(self, decoupled: bool = False) -> InferenceResponse | Iterator[InferenceResponse]:
        """Ask the other model and wait. Errors come as `InferenceResponse.error()`.

        decoupled: iterate over the responses of a decoupled model.
        """
        context = _context()
        if decoupled:
            return _iterate(context, self._asked())
        return asyncio.run_coroutine_threadsafe(_ask(context, self._asked()), context.loop).result()

    async def async_exec(self, decoupled: bool = False) -> InferenceResponse | Iterator[InferenceResponse]:
        """The same from an `async def execute`."""
        context = _context()
        if decoupled:
            return _iterate(context, self._asked())
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_ask(context, self._asked()), context.loop))

    def _asked(self) -> InferRequest:
        sequence = None
        if self._correlation_id:
            start, end = bool(self._flags & SEQUENCE_START), bool(self._flags & SEQUENCE_END)
            sequence = SequenceControl(self._correlation_id, start, end)
        return InferRequest(
            model_name=self._model_name,
            inputs={tensor.name(): output_array(tensor) for tensor in self._inputs},
            model_version="" if self._model_version < 0 else str(self._model_version),
            requested_outputs=tuple(self._requested_output_names),
            id=self._request_id,
            parameters=self._parameters,
            timeout_us=self._timeout,
            sequence=sequence,
        )


def get_model_dir() -> str:
    """Folder of the calling model's code."""
    return _context().model_folder


def is_model_ready(model_name: str, model_version: str = "") -> bool:
    """Whether another model takes requests."""
    context = _context()

    async def look() -> bool:
        try:
            context.models.get(model_name, model_version)
        except InferenceError:
            return False
        return True

    return asyncio.run_coroutine_threadsafe(look(), context.loop).result()


async def _ask(context: CallingContext, asked: InferRequest) -> InferenceResponse:
    try:
        return _answered(await _find(context, asked).infer(asked))
    except InferenceError as error:
        return _refused(error)


def _find(context: CallingContext, asked: InferRequest) -> CallableModel:
    name = asked.model_name
    try:
        return context.models.get(name, asked.model_version)
    except InferenceError as error:
        raise BackendFailed(
            f"Model {name} - Error when running inference: Failed for execute the inference request. Model '{name}' is "
            "not ready."
        ) from error


def _iterate(context: CallingContext, asked: InferRequest) -> Iterator[InferenceResponse]:
    """Responses of a decoupled model, fetched one by one over the server's loop."""
    responses: AsyncIterator[InferResponse] | None = None

    async def fetch() -> InferenceResponse | None:
        nonlocal responses
        try:
            if responses is None:
                responses = _find(context, asked).stream(asked)
            return _answered(await anext(responses))
        except StopAsyncIteration:
            return None
        except InferenceError as error:
            responses = _nothing_more()
            return _refused(error)

    while (response := asyncio.run_coroutine_threadsafe(fetch(), context.loop).result()) is not None:
        yield response


async def _nothing_more() -> AsyncIterator[InferResponse]:
    return
    yield


def _answered(response: InferResponse) -> InferenceResponse:
    if response.error is not None:
        return _refused(response.error)
    return InferenceResponse([Tensor(name, array) for name, array in response.outputs.items()])


def _refused(error: InferenceError) -> InferenceResponse:
    codes = {kind: code for code, kind in _KINDS.items()}
    code = next((codes[kind] for kind in type(error).__mro__ if kind in codes), TritonError.INTERNAL)
    return InferenceResponse(error=TritonError(str(error), code))
