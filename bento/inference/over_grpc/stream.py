"""ModelStreamInfer: many requests and answers over one stream.

Answers of ordinary models come in the order of their requests, those of decoupled models as they are ready. An error is
an answer like any other; the stream lives on. For a client that sends the metadata `triton_grpc_error: true` an error
of a request that had been queued ends the stream instead, with its status; as in tritonserver, what is wrong with the
request itself remains an answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from tritonclient.grpc import service_pb2 as pb

from bento.inference.core.errors import BackendFailed, DeadlineExceeded, InferenceError, QueueTimeout
from bento.inference.core.messages import InferRequest, InferResponse
from bento.inference.over_grpc.codec import decode_request, encode_response
from bento.inference.over_grpc.errors import INTERNAL_ERROR, UndecodableMessage
from bento.inference.over_grpc.parameters import wants_empty_final_response
from bento.inference.protocol.front_end import answer, checked_version, classified, refuse_misfit
from bento.inference.protocol.output_delivery import DecodedRequest
from bento.inference.protocol.shared_memory import SharedMemoryRegistry
from bento.inference.server import InferenceServer

logger = logging.getLogger(__name__)

FINAL_RESPONSE = "triton_final_response"
"""Parameter of every answer in a stream: whether it is its request's last."""

_MAX_IN_FLIGHT = 1024
"""Requests of one stream that run at a time; more stay unread, so that a client cannot fill the memory."""


ENDS_ON_ERROR = ("triton_grpc_error", "true")
"""Metadata of a client that wants an error to be the stream's status."""

_AFTER_QUEUEING = (BackendFailed, QueueTimeout, DeadlineExceeded)


class StreamFailed(Exception):
    """A request failed, and its client wants the stream to end with that."""

    def __init__(self, error: InferenceError) -> None:
        super().__init__(str(error))
        self.error = error


class InferStream:
    """One stream."""

    def __init__(
        self,
        server: InferenceServer,
        regions: SharedMemoryRegistry,
        write: Callable[[pb.ModelStreamInferResponse], Awaitable[None]],
        deadline_ns: int | None,
        *,
        ends_on_error: bool = False,
        forward: Callable[[InferRequest], None] | None = None,
    ) -> None:
        """`forward` adds to each request what its stream's metadata says."""
        self._server = server
        self._regions = regions
        self._write = write
        self._deadline_ns = deadline_ns
        self._ends_on_error = ends_on_error
        self._forward = forward
        self._writing = asyncio.Lock()
        self._free = asyncio.Semaphore(_MAX_IN_FLIGHT)
        self._reading: asyncio.Task[None] | None = None

    async def run(self, requests: AsyncIterator[pb.ModelInferRequest | UndecodableMessage]) -> None:
        """Answer until the client has no more requests and all are answered. Raises: InferenceError, to end with it."""
        failed: InferenceError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                self._reading = tasks.create_task(self._read(requests, tasks))
        except* StreamFailed as failures:
            failed = next(failure.error for failure in failures.exceptions if isinstance(failure, StreamFailed))
        if failed is not None:
            raise failed

    def end(self) -> None:
        """Take no more requests; those that came are answered, then the stream ends."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read(
        self, requests: AsyncIterator[pb.ModelInferRequest | UndecodableMessage], tasks: asyncio.TaskGroup
    ) -> None:
        previous = asyncio.Event()
        previous.set()
        async for message in requests:
            if isinstance(message, UndecodableMessage):
                await previous.wait()
                await self._send(_error(message, pb.ModelInferRequest(), final=True))
                continue
            await self._free.acquire()
            if self._is_decoupled(message):
                tasks.create_task(self._respond_decoupled(message))
            else:
                done = asyncio.Event()
                tasks.create_task(self._respond_in_turn(message, previous, done))
                previous = done

    async def _respond_in_turn(
        self, message: pb.ModelInferRequest, previous: asyncio.Event, done: asyncio.Event
    ) -> None:
        try:
            reply = await self._reply(message)
            await previous.wait()
            if isinstance(reply, StreamFailed):
                raise reply
            await self._send(reply)
        finally:
            done.set()
            self._free.release()

    def _is_decoupled(self, message: pb.ModelInferRequest) -> bool:
        try:
            return self._server.is_decoupled(message.model_name, checked_version(message.model_version))
        except InferenceError:
            return False  # the request fails with this very error, in its turn

    async def _reply(self, message: pb.ModelInferRequest) -> pb.ModelStreamInferResponse | StreamFailed:
        try:
            self._server.is_decoupled(message.model_name, checked_version(message.model_version))
            decoded = self._decode(message)
            return _answer(await answer(self._server, decoded), decoded, True)
        except InferenceError as error:
            if self._ends_with(error):
                return StreamFailed(error)
            return _error(error, message, final=True)
        except Exception:
            logger.exception("ModelStreamInfer failed")
            return _error(INTERNAL_ERROR, message, final=True)

    async def _respond_decoupled(self, message: pb.ModelInferRequest) -> None:
        try:
            await self._send_all(message)
        finally:
            self._free.release()

    async def _send_all(self, message: pb.ModelInferRequest) -> None:
        ended = False  # whether the client knows that there is no more
        try:
            decoded = self._decode(message)
            refuse_misfit(self._server, decoded)
            async for response in self._server.infer_stream(decoded.request):
                ended = response.final
                if response.error is not None:  # the model may go on after it
                    if self._ends_on_error:
                        raise StreamFailed(response.error)
                    await self._send(_error(response.error, message, final=False, from_model=True))
                else:
                    await self._send(_answer(classified(self._server, decoded, response), decoded, ended))
        except InferenceError as error:
            if self._ends_with(error):
                raise StreamFailed(error) from error
            ended = not isinstance(error, _AFTER_QUEUEING)
            await self._send(_error(error, message, final=False))
        except StreamFailed:
            raise
        except Exception:
            logger.exception("ModelStreamInfer failed")
            await self._send(_error(INTERNAL_ERROR, message, final=True))
            return
        if not ended and wants_empty_final_response(message):
            empty = pb.ModelInferResponse(
                model_name=message.model_name, model_version=message.model_version, id=message.id
            )
            empty.parameters[FINAL_RESPONSE].bool_param = True
            await self._send(pb.ModelStreamInferResponse(infer_response=empty))

    def _ends_with(self, error: InferenceError) -> bool:
        return self._ends_on_error and isinstance(error, _AFTER_QUEUEING)

    def _decode(self, message: pb.ModelInferRequest) -> DecodedRequest:
        decoded = decode_request(message, self._regions)
        decoded.request.deadline_ns = self._deadline_ns
        if self._forward is not None:
            self._forward(decoded.request)
        return decoded

    async def _send(self, reply: pb.ModelStreamInferResponse) -> None:
        async with self._writing:  # gRPC allows one write at a time
            await self._write(reply)


def _answer(response: InferResponse, decoded: DecodedRequest, final: bool) -> pb.ModelStreamInferResponse:
    encoded = encode_response(response, decoded)
    encoded.parameters[FINAL_RESPONSE].bool_param = final
    return pb.ModelStreamInferResponse(infer_response=encoded)


def _error(
    error: InferenceError | str, message: pb.ModelInferRequest, final: bool, from_model: bool = False
) -> pb.ModelStreamInferResponse:
    # The id tells the client which of its requests failed; what had been queued names the model as well.
    failed = pb.ModelInferResponse(id=message.id)
    if from_model or isinstance(error, _AFTER_QUEUEING):
        failed.model_name, failed.model_version = message.model_name, message.model_version
        failed.parameters[FINAL_RESPONSE].bool_param = final
    return pb.ModelStreamInferResponse(error_message=str(error), infer_response=failed)
