"""JSON Web Tokens: who somebody is, signed by this service (HS256)."""

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
    """The token is expired, altered, or none of this service's."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What a token says."""

    user_id: str
    role: str
    account_made_at_s: float
    """When the account was made that it was issued to: a name may be given again, the token is not for the next."""


@dataclass(frozen=True)
class Tokens:
    """Makes and reads tokens with one secret."""

    secret: str
    ttl_s: int = 3_600
    now_s: Callable[[], float] = time.time

    def issue(self, user_id: str, role: str, account_made_at_s: float = 0.0) -> str:
        """A token for an account, good for `ttl_s` seconds."""
        import jwt  # only who signs in needs it, not the start

        now_s = int(self.now_s())
        times = {"iat": now_s, "exp": now_s + self.ttl_s, "made": account_made_at_s}
        return jwt.encode({"iss": ISSUER, "sub": user_id, "role": role, **times}, self.secret, ALGORITHM)

    def read(self, token: str) -> Signed:
        """What a token says that is ours and has not expired. Raises: WrongToken."""
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
    """The secret of this home, made once and readable by nobody else."""
    path = home / SECRET_FILE
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=home, prefix=SECRET_FILE) as file:  # mode 0600
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # whoever comes second takes the first one's
                os.link(file.name, path)
    return path.read_text().strip()
