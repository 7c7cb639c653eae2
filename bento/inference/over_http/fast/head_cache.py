"""The head cache: a client that asks the same model again sends the same request head, byte for byte.

Request line, headers and route of such a head are not parsed again. Cached are heads of infer requests whose answer
depends on nothing but the body: no coding of request or answer, no timing, no expectation, and none of the headers with
which a browser names the site that asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bento.inference.core.errors import InvalidRequest
from bento.inference.over_http.body import accepted_coding
from bento.inference.protocol.front_end import TIMING_REQUEST_HEADER, checked_version

END = b"\r\n\r\n"
BEGINNING = b"POST /v2/models/"
MAX_HEAD_BYTES = 2048
MAX_HEADS = 256
"""Of both together at most 1 MB, with those that came only once; all are dropped when there would be more."""

_FORBIDDEN = frozenset(
    {
        b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"connection", b"sec-fetch-site",
        b"origin", TIMING_REQUEST_HEADER.encode(),
    }
)  # fmt: skip
_JSON_LENGTH_HEADER = b"inference-header-content-length"

Fields = Callable[[str], dict[str, str] | None]
"""Path → its model and version when it is that of an infer request, else None."""


@dataclass(frozen=True, slots=True)
class CachedHead:
    """What a head says about its request."""

    path: str
    model: str
    version: str
    json_bytes: int
    body_bytes: int


class HeadCache:
    """Heads by their bytes. Event loop only."""

    def __init__(self, fields: Fields, max_body_bytes: int) -> None:
        self._fields = fields
        self._max_body_bytes = max_body_bytes
        self._cached: dict[bytes, CachedHead] = {}
        self._seen: set[bytes] = set()

    def get(self, head: bytes) -> CachedHead | None:
        """What this head says, when it is cached."""
        return self._cached.get(head)

    def learn(self, head: bytes, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        """Cache the head of a POST that was just parsed, if it can be cached and comes the second time.

        Clients with something new in every head would only displace the others.
        """
        if head not in self._seen:
            _make_room(self._seen)
            self._seen.add(head)
            return
        cached = self._read(path, headers)
        if cached is not None:
            _make_room(self._cached)
            self._cached[head] = cached

    def _read(self, path: str, headers: list[tuple[bytes, bytes]]) -> CachedHead | None:
        fields = self._fields(path)
        by_name = dict(headers)
        body, json = by_name.get(b"content-length", b""), by_name.get(_JSON_LENGTH_HEADER, b"")
        if fields is None or len(by_name) < len(headers) or not _FORBIDDEN.isdisjoint(by_name):
            return None
        if not (body.isdigit() and json.isdigit() and 0 < int(json) <= int(body) <= self._max_body_bytes):
            return None
        if accepted_coding(by_name.get(b"accept-encoding", b"").decode("latin-1")):
            return None
        try:
            return CachedHead(path, fields["model"], checked_version(fields["version"]), int(json), int(body))
        except InvalidRequest:
            return None


def _make_room(cached: dict[bytes, CachedHead] | set[bytes]) -> None:
    if len(cached) >= MAX_HEADS:
        cached.clear()
