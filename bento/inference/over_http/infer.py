"""The infer endpoint over HTTP: the one path where every microsecond counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from bento.inference.core.errors import Unsupported
from bento.inference.core.messages import InferResponse
from bento.inference.over_http.body import accepted_coding, compressed
from bento.inference.over_http.call import JSON, OCTETS, HttpCall, Reply
from bento.inference.protocol.front_end import TIMING_REQUEST_HEADER, answer, answer_now, checked_version, server_timing
from bento.inference.protocol.output_delivery import DecodedRequest
from bento.inference.protocol.v2_codec import decode_raw_request, decode_request, encode_response, json_length

_JSON_LENGTH_HEADER = b"inference-header-content-length"
_TIMING_HEADER = TIMING_REQUEST_HEADER.encode()

T = TypeVar("T")

_WATCH_AFTER_S = 0.02
"""When to start to watch whether the client is still there: a task for every request would cost more than most run."""


async def infer(call: HttpCall) -> Reply:
    """POST /v2/models/M[/versions/V]/infer."""
    decoded = await _decode(call)
    if call.forwarded_headers is not None:
        headers = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in call.scope["headers"])
        call.forwarded_headers.add_to(decoded.request, headers)
    response = answer_now(call.server, decoded)
    if response is None:
        response = await while_connected(call.receive, answer(call.server, decoded))
    return await _encode(call, response, decoded)


async def _decode(call: HttpCall) -> DecodedRequest:
    server = call.server
    model, version = call.path_fields["model"], checked_version(call.path_fields["version"])
    if server.is_decoupled(model, version):
        raise Unsupported("HTTP end point doesn't support models with decoupled transaction policy")
    body = await call.body()
    length = json_length(call.headers.get(_JSON_LENGTH_HEADER), len(body))
    if length is not None:
        cache = call.state.json_headers if server.options.fast_path else None
        decoded = None if cache is None else cache.read(body, length, model, version)
        if decoded is None:
            decoded = decode_request(body, length, model, version, call.state.regions)
            if cache is not None:
                cache.remember(body, length, decoded)
        return decoded
    return decode_raw_request(body, version, server.model_config(model, version))


async def while_connected(receive: Receive, answering: Awaitable[T]) -> T:
    """What is awaited, unless the client leaves before it is there. Raises: ClientDisconnect; InferenceError."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    watcher: asyncio.Task[bool] | None = None

    def watch() -> None:
        nonlocal watcher
        watcher = loop.create_task(cancel_on_disconnect(receive, task))

    timer = loop.call_later(_WATCH_AFTER_S, watch)
    try:
        return await answering
    except asyncio.CancelledError:
        if watcher is not None and watcher.done() and not watcher.cancelled() and watcher.result():
            task.uncancel()
            raise ClientDisconnect from None
        raise
    finally:
        timer.cancel()
        if watcher is not None:
            watcher.cancel()


async def cancel_on_disconnect(receive: Receive, task: asyncio.Task[Any]) -> bool:
    """Wait until the client has left, and cancel `task` then."""
    while (await receive())["type"] != "http.disconnect":
        pass
    return task.cancel()


async def _encode(call: HttpCall, response: InferResponse, decoded: DecodedRequest) -> Reply:
    length, parts = encode_response(response, decoded)
    body = parts[0] if length is None else b"".join(parts)
    assert isinstance(body, bytes)
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content_type = JSON
    if length is not None:
        content_type = OCTETS
        headers = ((_JSON_LENGTH_HEADER, b"%d" % length),)
    asked = call.headers
    if b"accept-encoding" in asked and (coding := accepted_coding(asked[b"accept-encoding"].decode("latin-1"))):
        body = await compressed(body, coding)
        headers = (*headers, (b"content-encoding", coding.encode()))
    if _TIMING_HEADER in asked:
        headers = (*headers, (b"server-timing", server_timing(response.timing).encode()))
    return Reply(body, 200, content_type, headers)
