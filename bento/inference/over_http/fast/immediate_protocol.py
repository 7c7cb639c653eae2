"""An uvicorn protocol that answers infer requests with a cached head immediately, without a task or ASGI.

Such a request costs the reading of its bytes, the model and one write; all others take uvicorn's way, unchanged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from bento.inference.over_http.fast.head_cache import BEGINNING, END, MAX_HEAD_BYTES, CachedHead
from bento.inference.over_http.fast.immediate_answers import ImmediateAnswers
from bento.inference.over_http.fast.joined_writes import JoinedWrites, JoinedWritesProtocol

_HELD_BYTES = 64 << 10
"""Clients that send head and body apart are waited for up to this size of body: what is held is not parsed yet."""


class ImmediateProtocol(JoinedWritesProtocol):
    """uvicorn's own, but for requests that `ImmediateAnswers` answers."""

    def __init__(
        self,
        *args: Any,
        immediate: ImmediateAnswers,
        trusts: Callable[[bytes | None], bool] | None = None,
        **kwargs: Any,
    ) -> None:
        """`trusts`: whether the application lets requests with this `Host` header in, or without any; None: all."""
        super().__init__(*args, **kwargs)
        self._trusts = trusts or (lambda _: True)
        self._immediate = immediate
        self._between = True  # messages: the parser has not seen anything of the next one
        self._held = b""  # a cached head and the beginning of its body
        self._head = b""  # of the message that is being parsed
        self._writes_access_log = self.access_log and self.access_logger.isEnabledFor(logging.INFO)
        self._active_s = 0.0  # when a request was last answered immediately

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._held:
            data, self._held = self._held + data, b""
        if self._between and data.startswith(BEGINNING):
            end = data.find(END, 0, MAX_HEAD_BYTES) + len(END)
            head = data[:end] if end >= len(END) else b""
            cached = self._immediate.heads.get(head)
            if cached is not None and self._is_free() and self._answered(cached, data, end):
                return
            self._head = head if cached is None else b""
        super().data_received(data)

    def _is_free(self) -> bool:
        """No request is in progress, writing is not paused, no access log is written, and the server stays."""
        return (
            (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not self._writes_access_log
            and self.limit_concurrency is None
            and not self.transport.is_closing()
            and not self._immediate.is_draining()
        )

    def _answered(self, cached: CachedHead, data: bytes, end: int) -> bool:
        """Whether nothing is left to do for now: the request is answered, or the rest of it is still to come."""
        missing = end + cached.body_bytes - len(data)
        if missing > 0 and cached.body_bytes <= _HELD_BYTES:
            self._held = data
            return True
        answer = self._immediate.answer(cached, data[end:], self._first_headers()) if missing == 0 else None
        if answer is None:
            return False
        assert isinstance(self.transport, JoinedWrites)
        self.transport.write_whole(answer)
        self.server_state.total_requests += 1
        self._active_s = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._keep_alive_for(self.timeout_keep_alive)
        return True

    def _first_headers(self) -> bytes:
        """The lines that uvicorn begins every answer with: the date, unless that is switched off."""
        return b"".join([b"%b: %b\r\n" % header for header in self.server_state.default_headers])

    def on_message_begin(self) -> None:
        """The parser has seen something."""
        self._between = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Cache the head, if such requests differ in nothing but the body."""
        super().on_headers_complete()
        if self._head and not self.parser.should_upgrade() and self.cycle.keep_alive and self._is_trusted():
            self._immediate.heads.learn(self._head, self.scope["path"], self.headers)
        self._head = b""

    def _is_trusted(self) -> bool:
        return self._trusts(dict(self.headers).get(b"host"))

    def on_message_complete(self) -> None:
        """The parser waits for the next one."""
        super().on_message_complete()
        self._between = not self.parser.ignores_offer()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if nothing came since; requests answered immediately do not touch the timer."""
        left_s = self._active_s + self.timeout_keep_alive - self.loop.time()
        if self._held or left_s > 0:
            self._keep_alive_for(left_s if left_s > 0 else self.timeout_keep_alive)
        else:
            super().timeout_keep_alive_handler()

    def _keep_alive_for(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def shutdown(self) -> None:
        """A request that is half there is still answered."""
        if self._held:
            data, self._held = self._held, b""
            super().data_received(data)
        super().shutdown()
