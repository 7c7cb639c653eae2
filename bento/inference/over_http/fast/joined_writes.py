"""An uvicorn protocol that sends an answer's head and the beginning of its body with one system call.

uvicorn writes them apart: the second call costs the server 10 us, and wakes the client up twice.
"""

from __future__ import annotations

import asyncio
from typing import Any

from bento.inference.over_http.ordinary_protocol import OrdinaryProtocol

_HEAD, _INTERIM_HEAD = b"HTTP/1.1 ", b"HTTP/1.1 1"


class JoinedWrites:
    """A transport that holds the head of an answer back until more is written. Everything else is the transport's."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send it, behind the head that was held back; or hold it back, if it is a head that a body follows."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(_HEAD) and not data.startswith(_INTERIM_HEAD):
            self._head = data
            return
        self._transport.write(data)

    def write_whole(self, data: bytes) -> None:
        """Send it, which is a head and all of its body."""
        self.flush()
        self._transport.write(data)

    def flush(self) -> None:
        """Send what was held back: no body follows."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Send what was held back, then close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class JoinedWritesProtocol(OrdinaryProtocol):
    """The ordinary one, but for how it writes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(JoinedWrites(transport))  # type: ignore[arg-type]

    def on_response_complete(self) -> None:
        """An answer to HEAD, for one, has no body."""
        assert isinstance(self.transport, JoinedWrites)
        self.transport.flush()
        super().on_response_complete()
