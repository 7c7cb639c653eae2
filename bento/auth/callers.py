"""Who is calling."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from starlette.requests import Request


class Role(IntEnum):
    """What somebody may do; each role may do what those before it may."""

    USER = 1
    """Ask for themselves."""
    SERVICE = 2
    """Ask for anybody, batches, inference."""
    ADMIN = 3
    """Change what is served, and who may do what."""


RoleName = Literal["user", "service", "admin"]
ROLE_NAMES = {role.name.lower(): role for role in Role}


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who makes a request."""

    name: str
    """As logs and rate limits know them: `user:ann`, `key:3f9a...`."""
    role: Role
    person: str | None = None
    """The only person that a caller of role USER may ask for."""
    is_known: bool = True
    """False: nobody was asked who they are."""


ANYBODY = Caller("anybody", Role.ADMIN, is_known=False)
"""Every caller where authentication is off."""

ANONYMOUS = Caller("anonymous", Role.USER, is_known=False)
"""A caller of a public route who did not sign in."""


def caller_of(request: Request) -> Caller:
    """Who makes the request: ANYBODY where authentication is off."""
    return request.user if isinstance(request.user, Caller) else ANYBODY
