"""What browsers and proxies send along, as settings name it: origins, host names, a prefix."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

EVERY = "*"

ORIGINS_FORM = "origins with commas, each http:// or https://, a host, a port or none, and no path; or * for every one"
HOSTS_FORM = "host names or addresses with commas, without ports; *.example for the names below one; or * for every one"
ROOT_PATH_FORM = "a path such as /films or /shop/films, of letters, digits and . _ ~ -"

_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")
_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


def origins(given: Any) -> Any:
    """Text as origins, written as browsers write them. Raises: ValueError."""
    return tuple(_origin(part) for part in _parts(given)) if isinstance(given, str) else given


def hosts(given: Any) -> Any:
    """Text as host names. Raises: ValueError."""
    return tuple(_host(part) for part in _parts(given)) if isinstance(given, str) else given


def root_path(text: str) -> str:
    """A prefix without a slash at its end; "" for none. Raises: ValueError."""
    path = text.rstrip("/")
    if not _ROOT_PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise ValueError("no prefix of a path")
    return path


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _origin(text: str) -> str:
    if text == EVERY:
        return text
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise ValueError("no origin of a web page")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.port == 0:
        raise ValueError("more than an origin")
    usual_port = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if parts.port in {None, usual_port} else f":{parts.port}")


def _host(text: str) -> str:
    name = text.lower()
    if name != EVERY and not _HOST.fullmatch(name):
        raise ValueError("no host name")
    return name
