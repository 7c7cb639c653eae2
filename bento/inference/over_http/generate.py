"""The generate endpoints over HTTP: inputs and outputs as plain JSON members, in one answer or as an event stream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

import orjson
from starlette.types import Receive, Scope, Send

from bento.inference.core.errors import BackendFailed, DeadlineExceeded, InferenceError, InvalidRequest, QueueTimeout
from bento.inference.core.messages import InferResponse
from bento.inference.over_http.call import HttpCall, Reply
from bento.inference.over_http.infer import cancel_on_disconnect, while_connected
from bento.inference.protocol.front_end import checked_version, refuse_misfit
from bento.inference.protocol.generate_codec import decode_generate, encode_generate

logger = logging.getLogger(__name__)

_EVENTS = b"text/event-stream; charset=utf-8"
_AFTER_QUEUEING = (BackendFailed, QueueTimeout, DeadlineExceeded)


async def generate(call: HttpCall) -> Reply:
    """POST /v2/models/M[/versions/V]/generate."""
    responses = await _responses(call)
    try:
        body = await while_connected(call.receive, _only_answer(responses))
    except _AFTER_QUEUEING as error:
        return Reply.of_error(error, 400)  # whatever the model's failure is, as in Triton
    return Reply(body)


async def generate_stream(call: HttpCall) -> EventStream:
    """POST /v2/models/M[/versions/V]/generate_stream. The first event decides the status."""
    events = _events(await _responses(call))
    first = await while_connected(call.receive, anext(events, None))
    return EventStream(first, events)


@dataclass(frozen=True, slots=True)
class Event:
    """One message of an event stream."""

    data: bytes
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class EventStream:
    """An answer that comes in parts, each of them as soon as the model gives it."""

    first: Event | None
    rest: AsyncGenerator[Event]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put it on the wire, until it ends or the client leaves."""
        status = 400 if self.first is not None and self.first.is_error else 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", _EVENTS)]})
        task = asyncio.current_task()
        assert task is not None
        watcher = asyncio.ensure_future(cancel_on_disconnect(receive, task))
        try:
            async with aclosing(self.rest):
                event = self.first
                while event is not None:
                    body = b"data: %b\n\n" % event.data
                    await send({"type": "http.response.body", "body": body, "more_body": True})
                    event = await anext(self.rest, None)
            await send({"type": "http.response.body", "body": b""})
        except asyncio.CancelledError:
            if not (watcher.done() and not watcher.cancelled()):
                raise
            task.uncancel()  # the client has gone
        finally:
            watcher.cancel()


async def _responses(call: HttpCall) -> AsyncGenerator[InferResponse]:
    """What the model answers. Raises: InferenceError for what is wrong with the request itself."""
    server = call.server
    model, version = call.path_fields["model"], checked_version(call.path_fields["version"])
    config = server.model_config(model, version)
    decoded = decode_generate(await call.body(), version, config)
    refuse_misfit(server, decoded)
    server.check_request(decoded.request)
    return cast("AsyncGenerator[InferResponse, None]", server.infer_stream(decoded.request))


async def _only_answer(responses: AsyncGenerator[InferResponse]) -> bytes:
    """Raises: InferenceError, also when there is not exactly one answer."""
    answers = []
    async with aclosing(responses):
        async for response in responses:
            if response.error is not None:
                raise response.error
            answers.append(response)
            if len(answers) > 1:
                break
    if len(answers) != 1:
        raise InvalidRequest(
            "generate expects model to produce exactly 1 response, use generate stream for model that generates "
            "various number of responses"
        )
    return encode_generate(answers[0])


async def _events(responses: AsyncGenerator[InferResponse]) -> AsyncGenerator[Event]:
    begun = False
    async with aclosing(responses):
        try:
            async for response in responses:
                begun = True
                if response.error is not None:
                    yield _error(str(response.error))
                else:
                    yield Event(encode_generate(response))
        except InferenceError as error:
            if not begun and not isinstance(error, _AFTER_QUEUEING):
                raise
            yield _error(str(error))
        except Exception:
            logger.exception("generate_stream failed")
            yield _error("internal error, see the server's log")


def _error(text: str) -> Event:
    return Event(orjson.dumps({"error": text}), is_error=True)
