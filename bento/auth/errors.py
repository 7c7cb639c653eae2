"""Errors of authentication.

HttpError
├── NotSignedIn       401   nobody knows who is asking
├── NotAllowed        403   they may not
├── NameTaken         409   somebody else has the name
├── TooManyRequests   429
└── CannotCheck       503   who is asking cannot be looked up
"""

from __future__ import annotations

import math

from bento.http.errors import HttpError, shortened


class NotSignedIn(HttpError):
    """Authentication is on, and nothing or nothing valid says who is asking."""

    http_status, code = 401, "not_signed_in"

    def __init__(self, message: str, why: str = "") -> None:
        """`why`: `invalid_token` where something was sent, as RFC 6750 says it."""
        super().__init__(message)
        self._why = why

    def headers(self) -> dict[str, str]:
        why = f', error="{self._why}"' if self._why else ""
        return {"www-authenticate": f'Bearer realm="marquee"{why}'}


class NotAllowed(HttpError):
    """Whoever asks may not."""

    http_status, code = 403, "not_allowed"


class NameTaken(HttpError):
    """Somebody else has this name, or is known by it."""

    http_status, code = 409, "name_taken"

    def __init__(self, user_id: str) -> None:
        super().__init__(
            f"{shortened(user_id)!r} is taken; choose another name, or let an admin make the account",
            user_id=shortened(user_id),
        )


class TooManyRequests(HttpError):
    """More requests a minute than are theirs."""

    http_status, code = 429, "too_many_requests"

    def __init__(self, per_minute: int, wait_s: float) -> None:
        self._wait_s = math.ceil(wait_s)
        super().__init__(
            f"more than {per_minute} requests a minute; come back in {self._wait_s} s",
            per_minute=per_minute,
            retry_after_s=self._wait_s,
        )

    def headers(self) -> dict[str, str]:
        return {"retry-after": str(self._wait_s)}


class CannotCheck(HttpError):
    """Redis does not answer, and this key was not seen lately."""

    http_status, code = 503, "cannot_check"

    def __init__(self) -> None:
        super().__init__("the API key cannot be looked up at the moment, as Redis does not answer; try again")

    def headers(self) -> dict[str, str]:
        return {"retry-after": "1"}
