"""Ids of requests and recommendations: unique over processes and restarts, cheap, readable in a log."""

from __future__ import annotations

import itertools
import os
import re

from starlette.requests import Request

from bento.http.errors import InvalidRequest

HEADER = "x-request-id"
_GIVEN = re.compile(r"[\x21-\x7e]{1,128}")


class RequestIds:
    """Random once per process, then counted."""

    def __init__(self, start: str | None = None) -> None:
        self._start = start or os.urandom(8).hex()
        self._numbers = itertools.count(1)

    def new(self) -> str:
        """An id that nobody else gives."""
        return f"{self._start}-{next(self._numbers):x}"

    def of(self, request: Request) -> str | None:
        """The id that the caller gave the request in `X-Request-Id`.

        Raises: InvalidRequest when it could break a log line.
        """
        given = request.headers.get(HEADER)
        if given is None:
            return None
        if not _GIVEN.fullmatch(given):
            raise InvalidRequest(HEADER, "expected 1 to 128 printable ASCII characters without spaces")
        return given
