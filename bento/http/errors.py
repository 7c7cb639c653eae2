"""Errors that every face of the service shares: the base class, and what can be wrong with a request before any route.

    HttpError
    ├── MalformedRequest   400   the body is not JSON
    ├── UntrustedHost      400   the request is for a name that this service does not answer to
    ├── CrossSite          403   a page of another site had its reader's browser send this
    ├── UnknownRoute       404   nothing is served at the path
    ├── WrongMethod        405   the path exists, but not with this method
    ├── BodyTooLarge       413   the body exceeds the route's limit
    └── InvalidRequest     422   JSON, but a value is missing, of the wrong type or out of bounds

`bento.auth.errors` and `bento.recommender.errors` add theirs. On the wire every one is
`{"success": false, "error": {"code", "message", "detail"}}`; under `/v2` it is the protocol's `{"error": message}`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

SHOWN_CHARACTERS = 80
"""Length to which values are cut before an error repeats them."""


class HttpError(Exception):
    """A request that is answered with an error. `str(error)` is the message, `detail` what a program may read."""

    http_status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(self, message: str, **detail: Any) -> None:
        super().__init__(message)
        self.detail = detail

    def headers(self) -> dict[str, str]:
        """Headers that belong to the error."""
        return {}

    def body(self) -> bytes:
        """The error as JSON."""
        error = {"code": self.code, "message": str(self), "detail": self.detail}
        return msgspec.json.encode({"success": False, "error": error})


class MalformedRequest(HttpError):
    """The body cannot be read as JSON."""

    http_status, code = 400, "malformed_request"

    def __init__(self, why: str) -> None:
        super().__init__(f"the body is not valid JSON: {why}", why=why)


class UntrustedHost(HttpError):
    """The `Host` header names somebody else."""

    http_status, code = 400, "untrusted_host"

    def __init__(self, host: str) -> None:
        super().__init__(
            f"this service does not answer to the name {shortened(host)!r}, see TRUSTED_HOSTS",
            host=shortened(host),
        )


class CrossSite(HttpError):
    """A page of some other site had its reader's browser send this."""

    http_status, code = 403, "cross_site"

    def __init__(self) -> None:
        super().__init__(
            "a page of another site may not send this; use this server's own page, a program, or ALLOWED_ORIGINS"
        )


class UnknownRoute(HttpError):
    """Nothing is served at this path."""

    http_status, code = 404, "unknown_route"

    def __init__(self, path: str) -> None:
        super().__init__(f"nothing is served at {shortened(path)}; /docs lists the routes", path=shortened(path))


class WrongMethod(HttpError):
    """The path exists, but not with this method."""

    http_status, code = 405, "wrong_method"

    def __init__(self, method: str, allowed: Iterable[str]) -> None:
        self.allowed = sorted(allowed)
        super().__init__(f"{method} is not allowed here, use {' or '.join(self.allowed)}", allowed=self.allowed)

    def headers(self) -> dict[str, str]:
        return {"allow": ", ".join(self.allowed)}


class BodyTooLarge(HttpError):
    """The body exceeds MAX_BODY_BYTES."""

    http_status, code = 413, "body_too_large"

    def __init__(self, limit_bytes: int, size_bytes: int = 0) -> None:
        """`size_bytes`: as far as it is known."""
        self.size_bytes = size_bytes
        super().__init__(f"the body is larger than {limit_bytes} bytes", limit_bytes=limit_bytes)


class InvalidRequest(HttpError):
    """A value of the request cannot be used."""

    http_status, code = 422, "invalid_request"

    def __init__(self, field: str, why: str, value: Any = None) -> None:
        shown = shortened(value)
        super().__init__(
            f"{field}: {why}" if value is None else f"{field}: {why}, got {_quoted(shown)}", field=field, value=shown
        )


def shortened(value: Any) -> Any:
    """A value as it may be repeated in an error: never longer than a line."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else "a huge number"
    text = str(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def _quoted(shown: Any) -> str:
    """A value in a message: text in quotes, so that "5" is told from 5 and nothing from something."""
    return f'"{shown}"' if isinstance(shown, str) and not shown.startswith("{") else str(shown)
