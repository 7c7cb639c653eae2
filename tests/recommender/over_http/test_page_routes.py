"""The page's files over ASGI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from bento.http.application import Application
from bento.http.routing import Router
from bento.recommender.over_http.page_routes import CONTENT_TYPES, WEB, PageRoutes
from bento.recommender.telemetry.metrics import Metrics

FILES = {"index.html": b"<!doctype html>", "app.js": b"start()", "notes.md": b"not for browsers"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    app = Application(Router(PageRoutes(tmp_path).routes()), Metrics(CollectorRegistry()), 1_024)
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://marquee") as client:
        yield client


async def test_the_root_is_the_page(client: httpx.AsyncClient) -> None:
    response = await client.get("/")
    assert (response.status_code, response.content) == (200, FILES["index.html"])
    assert response.headers["content-type"] == "text/html; charset=utf-8"


async def test_files_come_with_their_type(client: httpx.AsyncClient) -> None:
    response = await client.get("/static/app.js")
    assert (response.content, response.headers["content-type"]) == (FILES["app.js"], "text/javascript; charset=utf-8")


@pytest.mark.parametrize("path", ["/", "/static/app.js"])
async def test_nothing_inline_and_nothing_from_elsewhere_may_run(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    policy = dict(directive.split(" ", 1) for directive in headers["content-security-policy"].split("; "))
    assert policy.pop("default-src") == policy.pop("base-uri") == policy.pop("frame-ancestors") == "'none'"
    assert set(policy.values()) == {"'self'"}
    assert headers["x-content-type-options"] == "nosniff"


async def test_an_unchanged_file_is_not_sent_again(client: httpx.AsyncClient) -> None:
    etag = (await client.get("/static/app.js")).headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        again = await client.get("/static/app.js", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)


async def test_a_changed_file_is_sent(client: httpx.AsyncClient) -> None:
    etag = (await client.get("/")).headers["etag"]
    assert (await client.get("/static/app.js", headers={"If-None-Match": etag})).status_code == 200


@pytest.mark.parametrize("name", ["missing.js", "notes.md", "..%2Fsettings.py", "%2Fetc%2Fpasswd"])
async def test_whatever_else_lies_around_is_not_served(client: httpx.AsyncClient, name: str) -> None:
    response = await client.get(f"/static/{name}")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "unknown_route"


def test_every_file_of_the_page_has_a_type() -> None:
    assert {path.name for path in WEB.iterdir() if path.is_file() and path.suffix not in CONTENT_TYPES} == set()
