"""JSON Web Tokens: the identity of a caller, signed by this service (HS256)."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ISSUER = "marquee"
ALGORITHM = "HS256"
SECRET_FILE = "jwt_secret"


class WrongToken(Exception):
    """The token is expired, altered, or not from this service."""


@dataclass(frozen=True, slots=True)
class Signed:
    """The claims of a token."""

    user_id: str
    role: str
    account_made_at_s: float
    """When its account was created: the token is not valid for a later account of the same name."""


@dataclass(frozen=True)
class Tokens:
    """Issues and reads tokens with one secret."""

    secret: str
    ttl_s: int = 3_600
    now_s: Callable[[], float] = time.time

    def issue(self, user_id: str, role: str, account_made_at_s: float = 0.0) -> str:
        """A token for an account, valid for `ttl_s` seconds."""
        import jwt  # imported when needed, as it is slow to import

        now_s = int(self.now_s())
        times = {"iat": now_s, "exp": now_s + self.ttl_s, "made": account_made_at_s}
        return jwt.encode({"iss": ISSUER, "sub": user_id, "role": role, **times}, self.secret, ALGORITHM)

    def read(self, token: str) -> Signed:
        """The claims of a valid token. Raises: WrongToken."""
        import jwt

        # The time is checked here, by our own clock.
        options = {"require": ["iss", "sub", "role", "exp", "made"], "verify_exp": False, "verify_iat": False}
        try:
            claims = jwt.decode(token, self.secret, [ALGORITHM], options=options, issuer=ISSUER)  # type: ignore[arg-type]
        except jwt.InvalidTokenError as error:
            raise WrongToken(str(error)) from None
        expires_at_s = claims["exp"]
        if not isinstance(expires_at_s, int) or expires_at_s <= self.now_s():
            raise WrongToken("it has expired")
        return Signed(str(claims["sub"]), str(claims["role"]), float(claims["made"]))


def own_secret(home: Path) -> str:
    """The secret of this home, created once and readable by its owner only."""
    path = home / SECRET_FILE
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=home, prefix=SECRET_FILE) as file:  # mode 0600
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # another process was first; its secret is used
                os.link(file.name, path)
    return path.read_text().strip()
