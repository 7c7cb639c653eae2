"""Rules for the headers of requests: which open a restricted group of endpoints, which reach the model as parameters.

Both are tritonserver's: a restricted group is open only to requests with the right value in a header.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping

from bento.inference.core.messages import InferRequest

APIS = (
    "health", "metadata", "inference", "shared-memory", "model-config", "model-repository", "statistics", "trace",
    "logging",
)  # fmt: skip


class Restrictions:
    """Which header, with which value, each restricted group asks for."""

    def __init__(self, header_of: Mapping[str, tuple[str, str]]) -> None:
        self._header_of = dict(header_of)

    def __contains__(self, api: str) -> bool:
        return api in self._header_of

    def __bool__(self) -> bool:
        return bool(self._header_of)

    def missing(self, api: str, headers: Mapping[str, str], prefix: str = "") -> str | None:
        """Name of the header that a request to `api` lacks or has wrong; None when it may pass.

        headers: by lower-case name. prefix: of the header's name on this protocol.
        """
        if api not in self._header_of:
            return None
        name, value = self._header_of[api]
        given = headers.get(f"{prefix}{name}".lower(), "")
        return None if hmac.compare_digest(given.encode(), value.encode()) else f"{prefix}{name}"


NO_RESTRICTIONS = Restrictions({})


def parse_restrictions(flags: Iterable[str]) -> Restrictions:
    """Read flags of the form "API,API:HEADER=VALUE". Raises: ValueError."""
    header_of: dict[str, tuple[str, str]] = {}
    for flag in flags:
        apis, colon, pair = flag.partition(":")
        name, equals, value = pair.partition("=")
        if not (colon and equals and name):
            raise ValueError(f"expected API[,API]:HEADER=VALUE, got {flag!r}")
        for api in apis.split(","):
            if api not in APIS:
                raise ValueError(f"unknown API {api!r} in {flag!r}, there are: {', '.join(APIS)}")
            if api in header_of:
                raise ValueError(f"API {api!r} is restricted twice")
            header_of[api] = name, value
    return Restrictions(header_of)


class ForwardedHeaders:
    """Which headers are forwarded: those in whose names the pattern is found, in letters of either case."""

    def __init__(self, pattern: str) -> None:
        """Raises: re.error."""
        self._pattern = re.compile(pattern, re.IGNORECASE)

    def add_to(self, request: InferRequest, headers: Iterable[tuple[str, str]]) -> None:
        """Make parameters of them, under their names in small letters; they come before those of the request itself."""
        forwarded = {name: value for name, value in headers if self._pattern.search(name)}
        if forwarded:
            request.parameters = {**request.parameters, **forwarded}
