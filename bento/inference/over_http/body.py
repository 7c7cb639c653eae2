"""Bodies of HTTP requests and answers: read with a limit, decompressed with a limit, compressed on request."""

from __future__ import annotations

import asyncio
import zlib

from starlette.types import Receive, Scope

import bento.http.errors
from bento.http.requests import read_body as read_whole
from bento.inference.core.errors import InferenceError, InvalidRequest, Unsupported

_WINDOW = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""zlib's window bits for each content coding; "deflate" means the zlib format."""

_SMALL_BYTES = 4 << 10
_SMALL_WINDOW, _SMALL_MEMORY_LEVEL = {"gzip": 16 + 12, "deflate": 12}, 4
"""A window of 4 KB for bodies of that size: clearing zlib's usual 256 KB takes longer (16 us) than all the rest."""

_IN_THREAD_FROM_BYTES = 64 << 10
"""Bodies from which (de)compression leaves the event loop: about 1 ms of work."""


class BodyTooLarge(InferenceError):
    """The body is larger than the server takes."""

    http_status = 413
    grpc_status = "RESOURCE_EXHAUSTED"

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"request body of {size} bytes exceeds the maximum allowed value of {limit} bytes. "
            "Use --http-max-input-size to increase the limit."
        )


class UnsupportedCoding(Unsupported):
    """The body is compressed in a way the server does not know."""

    def __init__(self) -> None:
        super().__init__("Unsupported compression type")


async def read_body(scope: Scope, receive: Receive, headers: dict[bytes, bytes], limit: int) -> bytes:
    """The body of a request, decompressed.

    Raises: BodyTooLarge, UnsupportedCoding, InvalidRequest, ClientDisconnect.
    """
    declared = headers.get(b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge(int(declared), limit)
    try:
        body = await read_whole(scope, receive, limit)
    except bento.http.errors.BodyTooLarge as error:
        raise BodyTooLarge(error.size_bytes, limit) from None
    coding = headers.get(b"content-encoding", b"").decode("latin-1")
    if coding in ("", "identity"):
        return body
    if coding not in _WINDOW:
        raise UnsupportedCoding
    if not body:
        raise InvalidRequest("nothing to be decompressed")
    if len(body) < _IN_THREAD_FROM_BYTES:
        return _decompress(body, coding, limit)
    return await asyncio.to_thread(_decompress, body, coding, limit)


def _decompress(body: bytes, coding: str, limit: int) -> bytes:
    inflater = zlib.decompressobj(_WINDOW[coding])
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise InvalidRequest(f"failed to decompress the {coding} request body: {error}") from error
    if len(plain) > limit:
        raise BodyTooLarge(len(plain), limit)
    if not inflater.eof:
        raise InvalidRequest(f"failed to decompress the {coding} request body: it ends too early")
    return plain


def accepted_coding(accept_encoding: str) -> str:
    """The content coding an Accept-Encoding header asks for: gzip, deflate or "" (as they are).

    Like Triton: the highest weight wins, the first of equals; `*` and unknown codings do not count.
    """
    best, best_weight = "", 0.0
    for entry in accept_encoding.split(","):
        coding, _, weight_text = entry.strip().partition(";q=")
        try:
            weight = float(weight_text) if weight_text else 1.0
        except ValueError:
            continue
        if coding in ("identity", *_WINDOW) and weight > best_weight:
            best, best_weight = coding, weight
    return "" if best == "identity" else best


async def compressed(body: bytes, coding: str) -> bytes:
    """`body` in a content coding that `accepted_coding` named."""
    if len(body) < _IN_THREAD_FROM_BYTES:
        return _compress(body, coding)
    return await asyncio.to_thread(_compress, body, coding)


def _compress(body: bytes, coding: str) -> bytes:
    if len(body) <= _SMALL_BYTES:
        deflater = zlib.compressobj(wbits=_SMALL_WINDOW[coding], memLevel=_SMALL_MEMORY_LEVEL)
    else:
        deflater = zlib.compressobj(wbits=_WINDOW[coding])
    return deflater.compress(body) + deflater.flush()
