"""Authentication of one instance, as its settings say."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp

from bento.auth.accounts import RedisAccounts
from bento.auth.gate import Gate
from bento.auth.guards import GrpcGuard, RouteGuard, guarded
from bento.auth.permissions import Access
from bento.auth.rate_limits import RedisRateLimits
from bento.auth.tokens import Tokens, own_secret
from bento.settings import Settings
from bento.stores.connection.redis_link import RedisLink

log = logging.getLogger("marquee.auth")


@dataclass(frozen=True)
class Auth:
    """Accounts, tokens and limits, which are there in any case, and the gate, which is there when it is on."""

    accounts: RedisAccounts
    limits: RedisRateLimits
    tokens: Tokens
    gate: Gate | None

    def guard(self, app: ASGIApp, access_of: Callable[[str], Access]) -> ASGIApp:
        """The application behind the gate; as it is, where authentication is off."""
        return app if self.gate is None else guarded(app, self.gate, access_of)

    @property
    def route_guard(self) -> RouteGuard | None:
        """What every route of the recommender passes first."""
        return None if self.gate is None else RouteGuard(self.gate)

    @property
    def interceptors(self) -> list[GrpcGuard]:
        """What every RPC passes first."""
        return [] if self.gate is None else [GrpcGuard(self.gate)]


def make_auth(settings: Settings, link: RedisLink, prefix: str) -> Auth:
    """Accounts are those of `prefix`'s people."""
    accounts, limits = RedisAccounts(link, prefix), RedisRateLimits(link, "marquee")
    tokens = Tokens(settings.jwt_secret or own_secret(settings.home), settings.jwt_ttl_s)
    gate = Gate(accounts, limits, tokens, settings.rate_limit_per_minute) if settings.auth == "on" else None
    if gate is None and not is_loopback(settings.host):
        log.warning(
            "MARQUEE_HOST=%s lets other machines in and MARQUEE_AUTH is off: everybody who reaches the ports may ask "
            "for everybody, change models and erase people. Set MARQUEE_AUTH=on, or MARQUEE_HOST=127.0.0.1",
            settings.host,
        )
    return Auth(accounts, limits, tokens, gate)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"
