"""The page: `GET /` and the files beside it, read once and kept in memory."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from bento.http.errors import UnknownRoute
from bento.http.routing import Route

WEB = Path(__file__).resolve().parents[2] / "web"
INDEX = "index.html"
LINK = re.compile(rb'((?:href|src)=")/')

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
"""Files of other kinds are not served."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere, no frame around it."""

HEADERS = {
    "cache-control": "no-cache",  # browsers keep the files and ask whether they changed
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is sent."""

    content: bytes
    content_type: str
    etag: str


class PageRoutes:
    """Serves one folder, without those below it."""

    def __init__(self, folder: Path = WEB, root_path: str = "") -> None:
        """`root_path`: the prefix that links of the page begin with."""
        self._files = {path.name: _read(path, root_path) for path in folder.iterdir() if path.suffix in CONTENT_TYPES}

    def routes(self) -> list[Route]:
        """The page and its files."""
        return [Route("GET", "/", self.index), Route("GET", "/static/{name}", self.file)]

    async def index(self, request: Request) -> Response:
        """The page itself."""
        return self._answer(INDEX, request)

    async def file(self, request: Request) -> Response:
        """A file of the page."""
        name = request.path_params["name"]
        if name not in self._files:
            raise UnknownRoute(f"/static/{name}")
        return self._answer(name, request)

    def _answer(self, name: str, request: Request) -> Response:
        file = self._files[name]
        headers = HEADERS | {"etag": file.etag}
        known = request.headers.get("if-none-match", "")
        if file.etag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
            return Response(b"", 304, headers, file.content_type)
        return Response(file.content, 200, headers, file.content_type)


def _read(path: Path, root_path: str) -> File:
    content = path.read_bytes()
    if path.name == INDEX:
        content = LINK.sub(rb"\1" + root_path.encode() + rb"/", content)
    return File(content, CONTENT_TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
