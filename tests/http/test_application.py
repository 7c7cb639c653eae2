"""The application over a table of routes: routing, bodies and their limit, errors, callers, metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response

import bento.http.requests
from bento.http.application import Application
from bento.http.errors import HttpError, WrongMethod
from bento.http.responses import JsonResponse
from bento.http.routing import Route, Router
from bento.recommender.telemetry.metrics import Metrics

from .asgi_calls import call

MAX_BODY_BYTES = 2_048


async def echo(request: Request) -> Response:
    return Response(await request.body(), headers={"x-values": ",".join(request.path_params.values())})


async def query(request: Request) -> Response:
    return JsonResponse(dict(request.query_params))


async def broken(_: Request) -> Response:
    raise RuntimeError("a bug")


ROUTES = [
    Route("POST", "/echo", echo),
    Route("POST", "/large", echo, max_body_bytes=4_096),
    Route("GET", "/echo", echo),
    Route("GET", "/query", query),
    Route("GET", "/film/{film}/by/{name}", echo),
    Route("GET", "/broken", broken),
]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def app(registry: CollectorRegistry) -> Application:
    return Application(Router(ROUTES), Metrics(registry), MAX_BODY_BYTES)


async def test_an_unknown_path_is_a_404_in_our_shape(app: Application) -> None:
    answer = await call(app, "GET", "/nowhere")
    assert answer.status == 404
    assert json.loads(answer.body) == {
        "success": False,
        "error": {
            "code": "unknown_route",
            "message": "nothing is served at /nowhere; /docs lists the routes",
            "detail": {"path": "/nowhere"},
        },
    }


async def test_a_wrong_method_is_told_the_right_ones(app: Application) -> None:
    answer = await call(app, "DELETE", "/echo")
    assert (answer.status, answer.headers[b"allow"]) == (405, b"GET, POST")
    assert json.loads(answer.body)["error"]["message"] == "DELETE is not allowed here, use GET or POST"


async def test_head_is_answered_as_get(app: Application) -> None:
    assert (await call(app, "HEAD", "/echo")).status == 200


async def test_a_slash_within_a_value_is_told_from_two_segments(app: Application) -> None:
    answer = await call(app, "GET", "/film/a/b/by/c", raw_path=b"/film/a%2Fb/by/c")
    assert (answer.status, answer.headers[b"x-values"]) == (200, b"a/b,c")
    assert (await call(app, "GET", "/film/a/b/by/c", raw_path=b"/film/a/b/by/c")).status == 404


async def test_the_last_of_several_values_of_a_query_counts(app: Application) -> None:
    answer = await call(app, "GET", "/query", query_string=b"a=1&a=2&b=&c=x%20y")
    assert json.loads(answer.body) == {"a": "2", "b": "", "c": "x y"}


async def test_a_bug_answers_500_in_our_shape_without_its_text(app: Application) -> None:
    answer = await call(app, "GET", "/broken")
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (500, "internal")
    assert b"a bug" not in answer.body


async def test_a_body_in_chunks_is_read_whole(app: Application) -> None:
    assert (await call(app, "POST", "/echo", [b"one ", b"two ", b"three"])).body == b"one two three"


async def test_a_handler_may_read_the_body_as_a_stream(registry: CollectorRegistry) -> None:
    async def pieces(request: Request) -> Response:
        return JsonResponse([piece.decode() async for piece in request.stream()])

    app = Application(Router([Route("POST", "/pieces", pieces)]), Metrics(registry), MAX_BODY_BYTES)
    assert (await call(app, "POST", "/pieces", [b"one ", b"two"])).body == b'["one two"]'


async def test_a_body_of_exactly_the_limit_is_read(app: Application) -> None:
    assert len((await call(app, "POST", "/echo", [b" " * MAX_BODY_BYTES])).body) == MAX_BODY_BYTES


@pytest.mark.parametrize("chunks", [[b" " * (MAX_BODY_BYTES + 1)], [b" " * 1_000] * 3, [b" " * 1_000] * 1_000])
async def test_a_body_beyond_the_limit_is_refused_once_it_was_sent(app: Application, chunks: list[bytes]) -> None:
    answer = await call(app, "POST", "/echo", chunks)
    assert (answer.status, answer.unread) == (413, [])
    assert json.loads(answer.body)["error"]["detail"] == {"limit_bytes": MAX_BODY_BYTES}


async def test_a_body_that_never_ends_is_cut_off(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bento.http.requests, "DRAIN_LIMIT_S", 0.0)
    answer = await call(app, "POST", "/echo", [b" " * 2_000] * 3, [(b"content-length", b"9000")])
    assert answer.status == 413


async def test_an_announced_length_beyond_the_limit_is_refused(app: Application) -> None:
    answer = await call(app, "POST", "/echo", [b"{", b"}"], [(b"content-length", b"200000000")])
    assert answer.status == 413


async def test_a_route_may_have_a_limit_of_its_own(app: Application) -> None:
    assert (await call(app, "POST", "/large", [b" " * 4_096])).status == 200
    assert (await call(app, "POST", "/large", [b" " * 4_097])).status == 413


@pytest.mark.parametrize("chunks", [[], [b"beginning"]], ids=["at once", "in the middle"])
async def test_a_client_that_leaves_is_answered_nothing(app: Application, chunks: list[bytes]) -> None:
    leaves = [(b"content-length", b"100")]

    async def receive() -> dict[str, object]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: object) -> None:
        sent.append(message)

    waiting: list[dict[str, object]] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    sent: list[object] = []
    scope = {"type": "http", "method": "POST", "path": "/echo", "query_string": b"", "headers": leaves}
    await app(scope, receive, send)  # type: ignore[arg-type]
    assert sent == []


async def test_requests_are_counted_by_route_and_status(app: Application, registry: CollectorRegistry) -> None:
    for method, path in (("GET", "/echo"), ("GET", "/film/1/by/a"), ("GET", "/nowhere"), ("DELETE", "/echo")):
        await call(app, method, path)
    counted = {
        tuple(sample.labels.values()): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "recsys_requests_total"
    }
    assert counted == {
        ("GET /echo", "200"): 1,
        ("GET /film/{film}/by/{name}", "200"): 1,
        ("unknown", "404"): 1,
        ("unknown", "405"): 1,
    }


class OnlyAnn:
    """A guard that lets Ann in, and nobody with a body that names Bob."""

    async def admit(self, route: Route, headers: Mapping[str, str]) -> str:
        if headers.get("x-name") != "ann":
            raise HttpError(f"{route.name} is for Ann")
        return "ann"

    def check(self, request: bento.http.requests.Request) -> None:
        if b"bob" in request.content:
            raise HttpError("nothing about Bob")


@pytest.fixture
def guarded(registry: CollectorRegistry) -> Application:
    async def who(request: Request) -> Response:
        return Response(str(request.user))

    return Application(Router([Route("POST", "/who", who)]), Metrics(registry), MAX_BODY_BYTES, OnlyAnn())


async def test_a_guard_says_who_is_calling(guarded: Application) -> None:
    assert (await call(guarded, "POST", "/who", headers=[(b"x-name", b"ann")])).body == b"ann"


async def test_a_guard_refuses_before_the_body_is_read(guarded: Application) -> None:
    refused = await call(guarded, "POST", "/who", [b"a", b"b"])
    assert json.loads(refused.body)["error"]["message"] == "POST /who is for Ann"
    assert len(refused.unread) == 2


async def test_a_guard_sees_what_a_body_names(guarded: Application) -> None:
    refused = await call(guarded, "POST", "/who", [b"bob"], [(b"x-name", b"ann")])
    assert json.loads(refused.body)["error"]["message"] == "nothing about Bob"


# The router


def test_the_router_finds_plain_paths_and_paths_with_values() -> None:
    plain, by_id = Route("GET", "/movie/best", echo), Route("GET", "/movie/{id}", echo)
    router = Router([plain, by_id])
    assert router.find("GET", "/movie/best") == (plain, {})
    assert router.find("GET", "/movie/12") == (by_id, {"id": "12"})
    assert router.find("HEAD", "/movie/12") == (by_id, {"id": "12"})
    assert router.find("GET", "/movie/12/13") is None
    assert router.find("GET", "/movie/") is None
    assert router.find("GET", "/") is None


def test_the_router_knows_which_methods_a_path_has() -> None:
    router = Router([Route("GET", "/movie/{id}", echo), Route("DELETE", "/movie/{id}", echo)])
    with pytest.raises(WrongMethod, match="POST is not allowed here, use DELETE or GET"):
        router.find("POST", "/movie/12")
