"""Pages of other origins: which may ask, which may post, and what their browsers are told."""

from __future__ import annotations

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from bento.http.origins import checking_origins

from .asgi_calls import Call, call

SHOP = b"https://shop.example"
OTHER = b"https://other.example"
CROSS_SITE = (b"sec-fetch-site", b"cross-site")


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-request-id", b"1")]})
    await send({"type": "http.response.body", "body": b"{}"})


@pytest.fixture
def app() -> ASGIApp:
    return checking_origins(answer, ("https://shop.example", "http://localhost:5173"))


async def preflight(app: ASGIApp, origin: bytes, method: bytes, wanted: bytes = b"content-type,authorization") -> Call:
    headers = [
        (b"origin", origin),
        CROSS_SITE,
        (b"access-control-request-method", method),
        (b"access-control-request-headers", wanted),
    ]
    return await call(app, "OPTIONS", "/recommend", headers=headers)


@pytest.mark.parametrize("method", [b"GET", b"POST", b"PUT", b"DELETE"])
async def test_the_preflight_of_an_allowed_origin_is_answered(app: ASGIApp, method: bytes) -> None:
    told = await preflight(app, SHOP, method)
    assert told.status == 200
    assert told.headers[b"access-control-allow-origin"] == SHOP
    assert method in told.headers[b"access-control-allow-methods"]
    assert told.headers[b"access-control-allow-headers"] == b"content-type,authorization"
    assert b"access-control-allow-credentials" not in told.headers


async def test_the_preflight_of_another_origin_allows_nothing(app: ASGIApp) -> None:
    told = await preflight(app, OTHER, b"POST")
    assert (told.status, b"access-control-allow-origin" in told.headers) == (400, False)


async def test_a_page_of_an_allowed_origin_may_post_and_read(app: ASGIApp) -> None:
    answered = await call(app, "POST", "/recommend", headers=[(b"origin", SHOP), CROSS_SITE])
    assert (answered.status, answered.headers[b"access-control-allow-origin"]) == (200, SHOP)
    assert answered.headers[b"access-control-expose-headers"] == b"*"
    assert b"Origin" in answered.headers[b"vary"]


@pytest.mark.parametrize("origin", [OTHER, b"https://shop.example.attacker.example", b"http://shop.example", b"null"])
async def test_pages_of_exactly_the_other_origins_stay_out(app: ASGIApp, origin: bytes) -> None:
    refused = await call(app, "POST", "/recommend", headers=[(b"origin", origin), CROSS_SITE])
    assert (refused.status, b"access-control-allow-origin" in refused.headers) == (403, False)
    unread = await call(app, "GET", "/recommend", headers=[(b"origin", origin), CROSS_SITE])
    assert (unread.status, b"access-control-allow-origin" in unread.headers) == (200, False)


async def test_a_request_of_another_site_that_names_no_origin_is_refused(app: ASGIApp) -> None:
    assert (await call(app, "POST", "/recommend", headers=[CROSS_SITE])).status == 403


async def test_without_the_setting_no_origin_is_told_anything() -> None:
    app = checking_origins(answer, ())
    assert (await preflight(app, SHOP, b"POST")).status == 403
    answered = await call(app, "GET", "/recommend", headers=[(b"origin", SHOP), CROSS_SITE])
    assert (answered.status, answered.headers) == (200, {b"x-request-id": b"1"})


async def test_every_origin_may_be_allowed() -> None:
    app = checking_origins(answer, ("*",))
    answered = await call(app, "POST", "/recommend", headers=[(b"origin", OTHER), CROSS_SITE])
    assert (answered.status, answered.headers[b"access-control-allow-origin"]) == (200, b"*")
