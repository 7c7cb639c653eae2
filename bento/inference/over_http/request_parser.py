"""httptools' request parser, but one that passes over offers to change the protocol, such as HTTP/2 in clear text.

At an offer httptools ends the request with its head and takes what follows for another protocol. A server that stays
with HTTP/1.1, as it may (RFC 9110, section 7.8), must read on: the body belongs to this request. WebSocket remains
uvicorn's where it can speak it.
"""

from __future__ import annotations

from array import array
from functools import partial
from typing import Any

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_CALLBACKS = ("on_message_begin", "on_url", "on_header", "on_body", "on_message_complete")


class RequestParser(HttpRequestParser):
    """The parser of one connection."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        super().__init__(protocol)
        self._protocol = protocol
        self._allow_data_after_close()

    def ignores_offer(self) -> bool:
        """Whether the request offers a protocol that is not going to be spoken."""
        return self.should_upgrade() and not self._protocol._should_upgrade()

    def feed_data(self, data: bytes | bytearray | memoryview | array[int]) -> None:
        """Parse what came. Raises: HttpParserError; HttpParserUpgrade for an offer that is taken up."""
        rest: bytes | None = bytes(data)
        while rest is not None:
            rest = self._feed(rest)

    def _feed(self, data: bytes) -> bytes | None:
        """What comes behind the head of a request whose offer is ignored, else None."""
        try:
            super().feed_data(data)
            return None
        except HttpParserUpgrade as offer:
            if not self.ignores_offer():
                raise
            behind = data[offer.args[0] :]
        self._begin_behind_head()
        return behind

    def _begin_behind_head(self) -> None:
        """Start anew, as if the head had been the same without its offer."""
        lines = [b"%b / HTTP/%b" % (self.get_method(), self.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self._protocol.headers if header[0] != b"upgrade"]
        super().__init__(_BehindHead(self._protocol))
        self._allow_data_after_close()
        super().feed_data(b"\r\n".join([*lines, b"", b""]))

    def _allow_data_after_close(self) -> None:
        # As uvicorn has it: bytes behind a last request are nothing to refuse that request for.
        self.set_dangerous_leniencies(lenient_data_after_close=True)


class _BehindHead:
    """The callbacks of a protocol that knows the head of the first request already."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self._protocol = protocol
        self._head_is_read = False
        for name in _CALLBACKS:
            setattr(self, name, partial(self._pass_on, getattr(protocol, name)))

    def _pass_on(self, callback: Any, *arguments: bytes) -> None:
        if self._head_is_read:
            callback(*arguments)

    def on_headers_complete(self) -> None:
        if self._head_is_read:
            self._protocol.on_headers_complete()
        self._head_is_read = True
