"""What answers look like on the wire: in one piece, and never held back for nothing."""

from __future__ import annotations

from typing import Any

import pytest

from bento.inference.over_http.fast.joined_writes import JoinedWrites

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


class Wire:
    """Stands for an asyncio transport."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str) -> str:
        return f"the {name}"


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def writes(wire: Wire) -> Any:
    return JoinedWrites(wire)  # type: ignore[arg-type]


def test_head_and_body_leave_together(writes, wire):
    writes.write(HEAD)
    assert wire.sent == []
    writes.write(b"film")
    assert wire.sent == [HEAD + b"film"]


def test_further_parts_of_a_body_leave_as_they_come(writes, wire):
    for part in (HEAD, b"fi", b"lm"):
        writes.write(part)
    assert wire.sent == [HEAD + b"fi", b"lm"]


@pytest.mark.parametrize("status", [b"100 Continue", b"101 Switching Protocols"])
def test_a_client_that_waits_for_permission_gets_it_at_once(writes, wire, status):
    writes.write(b"HTTP/1.1 " + status + b"\r\n\r\n")
    assert wire.sent == [b"HTTP/1.1 " + status + b"\r\n\r\n"]


def test_a_head_without_a_body_leaves_at_the_end_of_the_answer(writes, wire):
    writes.write(HEAD)
    writes.flush()
    writes.flush()
    assert wire.sent == [HEAD]


def test_closing_sends_what_was_held_back(writes, wire):
    writes.write(HEAD)
    writes.close()
    assert (wire.sent, wire.closed) == ([HEAD], True)


def test_everything_else_is_the_transports(writes):
    assert writes.get_extra_info("peername") == "the peername"
