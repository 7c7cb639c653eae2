"""Addresses of other servers: checked when the settings are read, and shown without anything secret.

An address may hold a password in its user part, in its query, or, when it is malformed, anywhere. So no error repeats
a part of it, and what is shown is built from scheme, host, port and path or database alone.
"""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qsl, urlsplit

REDIS_SCHEMES = ("redis", "rediss", "redis+cluster", "rediss+cluster")
UNIX_SCHEME = "unix"
WEB_SCHEMES = ("http", "https")

REDIS_FORM = (
    "redis://[[user]:password@]host[:port][/database], the same with rediss (TLS), redis+cluster or rediss+cluster, "
    "or unix:///path/of/socket; special characters of a password are written as %XX"
)
WEB_FORM = "http:// or https://, a host, a port or none, a path or none; special characters are written as %XX"

REDIS_OPTIONS = frozenset(
    "db username password client_name ssl_cert_reqs ssl_ca_certs ssl_ca_path ssl_certfile ssl_keyfile "
    "ssl_keyfile_password ssl_check_hostname".split()
)
"""What the query of a Redis address may say: those parameters of redis-py's URLs that are no business of ours."""


def redis_address(text: str) -> str:
    """The address of a Redis, unchanged. Raises: ValueError when no client could be made of it."""
    parts = _split(text, (*REDIS_SCHEMES, UNIX_SCHEME))
    options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    if not options.keys() <= REDIS_OPTIONS or not options.get("db", "0").isdigit():
        raise ValueError("unknown option")
    if parts.scheme == UNIX_SCHEME:
        if not parts.path.startswith("/") or parts.path == "/" or parts.hostname:
            raise ValueError("no path of a socket")
    elif not parts.hostname or (not parts.path.strip("/").isdigit() and parts.path.strip("/")):
        raise ValueError("no host, or a database that is no number")
    return text


def web_address(text: str) -> str:
    """The address of an HTTP server, unchanged. Raises: ValueError when it is malformed."""
    if not _split(text, WEB_SCHEMES).hostname:
        raise ValueError("no host")
    return text


def shown_address(text: str) -> str:
    """Scheme, host, port and path or database of an address that was accepted."""
    parts = urlsplit(text)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _split(text: str, schemes: tuple[str, ...]) -> SplitResult:
    parts = urlsplit(text)
    # `port` raises ValueError where it is no number up to 65535: an unencoded ":" or "/" of a password looks like one.
    if parts.scheme not in schemes or parts.port == 0 or parts.fragment or any(letter.isspace() for letter in text):
        raise ValueError("not an address of these schemes")
    return parts
