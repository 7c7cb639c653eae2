"""The page: `GET /` and the files beside it, read once and kept in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bento.http.asgi import Request, Response, Route
from bento.recommender.errors import UnknownRoute

WEB = Path(__file__).resolve().parents[2] / "web"
INDEX = "index.html"

CONTENT_TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".txt": b"text/plain; charset=utf-8",
    ".woff2": b"font/woff2",
}
"""Files of other kinds are not served."""

POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere, no frame around it."""

HEADERS = (
    (b"cache-control", b"no-cache"),  # browsers keep the files and ask whether they changed
    (b"content-security-policy", POLICY),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is sent."""

    content: bytes
    content_type: bytes
    etag: bytes


class PageRoutes:
    """Serves one folder, without those below it."""

    def __init__(self, folder: Path = WEB) -> None:
        self._files = {path.name: _read(path) for path in folder.iterdir() if path.suffix in CONTENT_TYPES}

    def routes(self) -> list[Route]:
        """The page and its files."""
        return [Route("GET", "/", self.index), Route("GET", "/static/{name}", self.file)]

    async def index(self, request: Request) -> Response:
        """The page itself."""
        return self._answer(INDEX, request)

    async def file(self, request: Request) -> Response:
        """A file of the page."""
        name = request.path_values["name"]
        if name not in self._files:
            raise UnknownRoute(f"/static/{name}")
        return self._answer(name, request)

    def _answer(self, name: str, request: Request) -> Response:
        file = self._files[name]
        headers = (*HEADERS, (b"etag", file.etag))
        known = request.headers.get(b"if-none-match", b"")
        if file.etag in (tag.strip().removeprefix(b"W/") for tag in known.split(b",")):
            return Response(b"", 304, file.content_type, headers)
        return Response(file.content, 200, file.content_type, headers)


def _read(path: Path) -> File:
    content = path.read_bytes()
    return File(content, CONTENT_TYPES[path.suffix], b'"%b"' % hashlib.sha256(content).hexdigest()[:32].encode())
