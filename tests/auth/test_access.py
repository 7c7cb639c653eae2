"""Authentication on, over every route there is: the lists are the router's, the v2 application's and gRPC's own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
import tritonclient.grpc.aio
from grpc_health.v1 import health_pb2
from prometheus_client import CollectorRegistry
from tritonclient.grpc import service_pb2

from bento.auth import permissions
from bento.auth.accounts import Account, new_key
from bento.auth.callers import ROLE_NAMES, Role, RoleName
from bento.http.routing import Route
from bento.inference.over_http.application import ROUTES as V2_ROUTES
from bento.recommender.telemetry.metrics import Metrics
from bento.serving.front_door import FrontDoor
from bento.serving.worker import Worker
from bento.settings import Settings
from tests.recommender import live_world

pytestmark = [pytest.mark.redis, pytest.mark.asyncio(loop_scope="module")]

SECRET = "s" * 32
OPEN = {401, 403, 429}
"""Statuses of the gate; whatever else a route answers, it let the caller in."""


@dataclass
class World:
    """A running worker and somebody of each role."""

    worker: Worker
    http: httpx.AsyncClient
    v2: httpx.AsyncClient
    keys: dict[str, str]

    @property
    def routes(self) -> list[Route]:
        return self.worker.router.routes

    async def ask(self, route: Route, signed: str | None, **options: Any) -> httpx.Response:
        path = route.path.replace("{user_id}", options.pop("user_id", "me"))
        path = re.sub(r"\{\w+\}", "1", path)
        headers = {"authorization": f"Bearer {signed}"} if signed else {}
        return await self.http.request(route.method, path, headers=headers, **options)

    async def signed_by(self, role: RoleName) -> str:
        """What a caller of a role sends; the user's account is made anew, as some route may have erased it."""
        if role != "user":
            return self.keys[role]
        await self.worker.auth.accounts.add(Account("me", "", "user", 0))
        return self.worker.auth.tokens.issue("me", "user")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    repository, home = tmp_path_factory.mktemp("live") / "model_repository", tmp_path_factory.mktemp("home")
    live_world.write_repository(repository)
    settings = Settings(
        home=home, model_repository=repository, grpc_port=0, device="cpu", auth="on", jwt_secret=SECRET,
        rate_limit_per_minute=0, redis_timeout_ms=5_000, encoder_timeout_ms=5_000,
    )  # fmt: skip
    worker = await Worker.start(settings, Metrics(CollectorRegistry()))
    keys = {}
    for role in ("service", "admin"):
        key, keys[role] = new_key(role, role, 0)  # type: ignore[arg-type]
        await worker.auth.accounts.add_key(key)
    clients = [
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://marquee")  # type: ignore[arg-type]
        for app in (worker.recommender, worker.v2)
    ]
    yield World(worker, *clients, keys)
    for client in clients:
        await client.aclose()
    await worker.close()


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


ANYBODY = (
    "GET /",
    "GET /static/{name}",
    "GET /openapi.json",
    "GET /docs",
    "GET /redoc",
    "GET /health",
    "GET /poster/{movie_id}",
    "POST /auth/register",
    "POST /auth/login",
)
PEOPLE_WITH_AN_ACCOUNT = (
    "GET /config",
    "POST /recommend",
    "GET /recommend",
    "POST /recommend/filtered",
    "GET /recommend/user/{user_id}",
    "GET /recommend/movie",
    "GET /movies/recommendations",
    "GET /api/v1/recommendations/{user_id}",
    "POST /similar",
    "GET /movie/{movie_id}",
    "GET /movies",
    "GET /search",
    "POST /events",
    "POST /rate",
    "GET /people/{user_id}",
    "PUT /people/{user_id}/taste",
    "DELETE /users/{user_id}",
)
SERVICES = (
    "GET /people",
    "GET /experiments",
    "GET /experiments/{name}",
    "GET /monitor",
    "POST /batch/recommend",
    "POST /batch/recommend/cache",
    "GET /batch/recommend/cache/{job_id}",
    "POST /v1/embeddings",
    "GET /v1/models",
    "GET /v1/models/{model}",
)
ADMINS = (
    "GET /admin/movies",
    "POST /admin/movies",
    "PUT /admin/movies/{movie_id}",
    "PUT /admin/movies/{movie_id}/poster",
    "DELETE /admin/movies/{movie_id}",
    "POST /admin/movies/{movie_id}/restore",
)
NEEDED: dict[str, Role | None] = (
    dict.fromkeys(ANYBODY)
    | dict.fromkeys(PEOPLE_WITH_AN_ACCOUNT, Role.USER)
    | dict.fromkeys(SERVICES, Role.SERVICE)
    | dict.fromkeys(ADMINS, Role.ADMIN)
)
"""Who may use which route, written down a second time: `bento/auth/permissions.py` is held to it, not believed."""


async def test_the_table_of_permissions_holds_every_route_and_no_other(world: World) -> None:
    """A new route is closed to all but admins until it is put into `bento/auth/permissions.py`."""
    assert sorted(permissions.ROUTES) == sorted(map(named, world.routes))
    assert sorted(NEEDED) == sorted(map(named, world.routes))


async def test_roles_grow_from_people_over_services_to_admins() -> None:
    """A role may do all that those before it may."""
    assert sorted(ROLE_NAMES, key=ROLE_NAMES.__getitem__) == ["user", "service", "admin"]


async def test_a_route_that_is_in_no_table_is_for_admins() -> None:
    assert permissions.of_route("PATCH", "/movies") is Role.ADMIN
    assert permissions.of_rpc("/inference.GRPCInferenceService/FutureMethod") is Role.ADMIN


async def test_who_is_not_signed_in_gets_public_routes_and_nothing_else(world: World) -> None:
    for signed in (None, "nonsense", "mq_1_2", world.worker.auth.tokens.issue("nobody", "admin")):
        for route in world.routes:
            answer = await world.ask(route, signed)
            public = NEEDED[named(route)] is None
            assert (answer.status_code == 401) is not public, named(route)
            if not public:
                assert answer.headers["www-authenticate"].startswith('Bearer realm="marquee"')
                body = answer.json()
                assert (body["success"], body["error"]["code"]) == (False, "not_signed_in")


@pytest.mark.parametrize("role", ROLE_NAMES)
async def test_each_role_gets_as_far_as_it_may_and_no_further(world: World, role: RoleName) -> None:
    for route in world.routes:
        answer = await world.ask(route, await world.signed_by(role))
        needed = NEEDED[named(route)]
        refused = needed is not None and ROLE_NAMES[role] < needed
        assert (answer.status_code in OPEN) is refused, (named(route), answer.text)
        if refused:
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_allowed")


def places_of_a_person(route: Route) -> list[dict[str, Any]]:
    """Where a request to this route may name a person: options for `World.ask`, with `NAME` for the name."""
    places: list[dict[str, Any]] = [{"user_id": "NAME"}] if "{user_id}" in route.path else []
    about = route.about
    if about is not None and "user_id" in getattr(about.query, "__struct_fields__", ()):
        places.append({"params": {"user_id": "NAME"}})
    if about is not None and "user_id" in getattr(about.request, "__struct_fields__", ()):
        places.append({"json": {"user_id": "NAME"}})
    return places


def with_name(place: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: name if value == "NAME" else {"user_id": name} for key, value in place.items()}


async def test_a_user_may_ask_for_themselves_and_for_nobody_else(world: World) -> None:
    tried = []
    for route in world.routes:
        if NEEDED[named(route)] is not Role.USER:
            continue
        for place in places_of_a_person(route):
            own = await world.ask(route, await world.signed_by("user"), **with_name(place, "me"))
            others = await world.ask(route, await world.signed_by("user"), **with_name(place, "ann"))
            service = await world.ask(route, world.keys["service"], **with_name(place, "nobody"))
            assert own.status_code not in OPEN, (named(route), own.text)
            assert (others.status_code, others.json()["error"]["code"]) == (403, "not_allowed"), named(route)
            assert service.status_code not in OPEN, (named(route), service.text)
            tried.append(named(route))
    assert {"POST /recommend", "GET /recommend", "GET /recommend/user/{user_id}", "POST /events", "POST /rate"} <= {
        *tried
    }
    assert {"POST /recommend/filtered", "GET /people/{user_id}", "DELETE /users/{user_id}"} <= {*tried}


async def test_the_bearer_of_a_token_need_not_say_who_they_are(world: World) -> None:
    route = next(route for route in world.routes if route.path == "/movies/recommendations")
    await world.worker.auth.accounts.add(Account("7", "", "user", 0))
    own = await world.ask(route, world.worker.auth.tokens.issue("7", "user"), params={"limit": 3})
    named_by_service = await world.ask(route, world.keys["service"], params={"user_id": "7", "limit": 3})
    assert own.json() == named_by_service.json()
    assert [film["movie_id"] for film in own.json()] != [100, 200, 300]


MEMORIES = ("systemsharedmemory", "cudasharedmemory")
V2_PATHS = [
    *(("GET", path) for path in ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/stats", "/v2/logging")),
    *(("GET", f"/v2/models/ease{rest}") for rest in ("", "/ready", "/config", "/stats", "/trace/setting")),
    *(("GET", f"/v2/models/ease/versions/1{rest}") for rest in ("", "/ready", "/config", "/stats")),
    *(("POST", f"/v2/models/ease{rest}") for rest in ("/infer", "/versions/1/infer", "/trace/setting")),
    *(("POST", f"/v2/models/ease{of}/generate{way}") for of in ("", "/versions/1") for way in ("", "_stream")),
    *(("POST", f"/v2/repository{rest}") for rest in ("/index", "/models/none/load", "/models/none/unload")),
    *(("POST", f"/v2/repository/main{rest}") for rest in ("/index", "/models/none/load", "/models/none/unload")),
    *(("GET", f"/v2/{memory}{rest}") for memory in MEMORIES for rest in ("/status", "/region/x/status")),
    *(("POST", f"/v2/{memory}/region/x/{rest}") for memory in MEMORIES for rest in ("register", "unregister")),
    *(("POST", f"/v2/{memory}/unregister") for memory in MEMORIES),
    ("GET", "/v2/trace/setting"),
    *(("POST", path) for path in ("/v2/trace/setting", "/v2/logging")),
    ("POST", "/v2/repository/models/a%0Ab/load"),  # decoded, a line break is a part of a name like any other letter
    ("POST", "/v2/systemsharedmemory/region/a%0Ab/register"),
    ("GET", "/v2/nothing"),
]
V2_PUBLIC = {"/v2/health/live", "/v2/health/ready"}
V2_ADMIN = re.compile(r".*/(load|unload|register|unregister|setting|logging|nothing)")


async def test_every_path_of_the_v2_application_is_tried() -> None:
    for pattern, methods, _ in V2_ROUTES:
        for method in methods:
            assert any(method == tried and pattern.fullmatch(path) for tried, path in V2_PATHS), (method, pattern)


@pytest.mark.parametrize(("method", "path"), V2_PATHS, ids=str)
async def test_v2_asks_for_a_service_and_for_an_admin_where_something_changes(
    world: World, method: str, path: str
) -> None:
    needed = None if path in V2_PUBLIC else Role.ADMIN if V2_ADMIN.fullmatch(path) else Role.SERVICE
    stranger = await world.v2.request(method, path)
    assert (stranger.status_code == 401) is (needed is not None)
    if needed is not None:
        assert "sign in" in stranger.json()["error"]  # the protocol's own error shape, which its clients show
        assert "www-authenticate" in stranger.headers
    for name, role in ROLE_NAMES.items():
        signed = await world.signed_by(name)  # type: ignore[arg-type]
        answer = await world.v2.request(method, path, headers={"x-api-key": signed})
        assert (answer.status_code == 403) is (needed is not None and role < needed), name


GRPC_METHODS = {
    **{
        f"/inference.GRPCInferenceService/{method.name}": method.client_streaming
        for method in service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
    },
    **{
        f"/grpc.health.v1.Health/{method.name}": False
        for method in health_pb2.DESCRIPTOR.services_by_name["Health"].methods
    },
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": True,
}
GRPC_PUBLIC = {"ServerLive", "ServerReady", "Check", "Watch", "List"}
GRPC_ADMIN = re.compile(r".*(Load|Unload|Register|Unregister|LogSettings|TraceSetting)")


async def grpc_status(world: World, path: str, signed: str | None) -> grpc.StatusCode:
    metadata = (("authorization", f"Bearer {signed}"),) if signed else ()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{world.worker.grpc_port}") as channel:
        if GRPC_METHODS[path]:
            streaming = channel.stream_stream(path)(iter(()), metadata=metadata)
            try:
                async for _ in streaming:
                    pass
            except grpc.aio.AioRpcError:
                pass
            return await streaming.code()
        call = channel.unary_stream(path)(b"", metadata=metadata, timeout=5)
        try:
            await call.read()
        except grpc.aio.AioRpcError as error:
            return error.code()
        call.cancel()
        return grpc.StatusCode.OK


@pytest.mark.parametrize("path", GRPC_METHODS, ids=lambda path: path.rpartition("/")[2])
async def test_every_rpc_asks_for_the_same_as_its_http_sibling(world: World, path: str) -> None:
    name = path.rpartition("/")[2]
    needed = None if name in GRPC_PUBLIC else Role.ADMIN if GRPC_ADMIN.fullmatch(name) else Role.SERVICE
    stranger = await grpc_status(world, path, None)
    assert (stranger is grpc.StatusCode.UNAUTHENTICATED) is (needed is not None)
    for role_name, role in ROLE_NAMES.items():
        status = await grpc_status(world, path, await world.signed_by(role_name))  # type: ignore[arg-type]
        refused = status in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
        assert refused is (needed is not None and role < needed), (role_name, status)


async def test_tritonclient_signs_in_by_a_header(world: World) -> None:
    async with tritonclient.grpc.aio.InferenceServerClient(f"127.0.0.1:{world.worker.grpc_port}") as client:
        with pytest.raises(tritonclient.grpc.InferenceServerException, match="sign in"):
            await client.get_server_metadata()
        metadata = await client.get_server_metadata(headers={"authorization": f"Bearer {world.keys['service']}"})
        assert metadata.name


async def test_metrics_are_for_services_and_probes_for_everybody(world: World) -> None:
    async def framework(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"1"})

    door = FrontDoor(framework, lambda: world.worker)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://m") as client:  # type: ignore[arg-type]
        assert (await client.get("/metrics")).status_code == 401
        user = await world.signed_by("user")
        assert (await client.get("/metrics", headers={"authorization": f"Bearer {user}"})).status_code == 403
        assert (await client.get("/metrics", headers={"x-api-key": world.keys["service"]})).status_code == 200
        for path in ("/livez", "/readyz", "/healthz", "/schema.json", "/static_content/swagger-ui.css"):
            assert (await client.get(path)).status_code == 200


async def post(world: World, path: str, signed: str | None = None, **options: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {signed}"} if signed else {}
    return await world.http.post(path, headers=headers, **options)


async def test_registering_signing_in_and_asking(world: World) -> None:
    account = {"username": "new person", "password": "correct horse"}
    registered = await post(world, "/auth/register", json=account)
    assert (registered.status_code, registered.json()) == (
        201,
        {"success": True, "user_id": "new person", "role": "user"},
    )
    assert (await post(world, "/auth/register", json=account)).status_code == 409
    wrong = await post(world, "/auth/login", data=account | {"password": "wrong horse"})
    assert (wrong.status_code, wrong.json()["error"]["message"]) == (401, "name or password is wrong")
    login = (await post(world, "/auth/login", data=account | {"grant_type": "password"})).json()
    assert set(login) == {"access_token", "token_type", "expires_in", "user_id", "role"}
    assert (login["token_type"], login["expires_in"], login["role"]) == ("bearer", 3_600, "user")
    token = login["access_token"]
    assert (await post(world, "/recommend", token, json={"user_id": "new person"})).status_code == 200
    assert (await post(world, "/recommend", token, json={"user_id": "ann"})).status_code == 403


async def first_films(world: World, user_id: str) -> tuple[str, list[int]]:
    answer = await post(world, "/recommend", world.keys["service"], json={"user_id": user_id, "top_k": 5})
    films = answer.json()["recommendations"]
    return answer.json()["strategy"], [film["movie_id"] for film in films]


async def test_who_signs_up_with_genres_or_films_gets_a_list_of_their_taste_at_once(world: World) -> None:
    account = {"username": "fan of horror", "password": "correct horse", "genres": ["horror"]}
    assert (await post(world, "/auth/register", json=account)).status_code == 201
    assert await first_films(world, "fan of horror") == ("cold_start", [200, 201, 202, 203, 204])
    account = {"username": "fan of war", "password": "correct horse", "liked_movies": ["404", 405]}
    assert (await post(world, "/auth/register", json=account)).status_code == 201
    assert await first_films(world, "fan of war") == ("hybrid", [400, 401, 402, 403, 100])


@pytest.mark.parametrize(("taste", "status"), [({"genres": ["Jazz"]}, 422), ({"liked_movies": [999]}, 404)])
async def test_a_sign_up_with_a_taste_that_is_none_makes_no_account(
    world: World, taste: dict[str, Any], status: int
) -> None:
    account = {"username": "undecided", "password": "correct horse"}
    assert (await post(world, "/auth/register", json=account | taste)).status_code == status
    assert await world.worker.auth.accounts.account("undecided") is None


async def test_who_is_forgotten_is_signed_out(world: World) -> None:
    await world.worker.auth.accounts.add(Account("leaving", "", "user", 0))
    headers = {"authorization": f"Bearer {world.worker.auth.tokens.issue('leaving', 'user')}"}
    statuses = [(await world.http.delete("/users/leaving", headers=headers)).status_code for _ in range(2)]
    assert statuses == [200, 401]


async def test_nobody_registers_as_somebody_who_is_known(world: World) -> None:
    await post(world, "/rate", world.keys["service"], json={"user_id": "active", "movie_id": 100, "rating": 5})
    for name in ("ann", "active"):  # of the release, of the feature store
        account = {"username": name, "password": "correct horse"}
        refused = await post(world, "/auth/register", json=account)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "name_taken")
        by_admin = await post(world, "/auth/register", world.keys["admin"], json=account)
        assert by_admin.status_code == 201


async def test_only_an_admin_makes_accounts_of_other_roles(world: World) -> None:
    account = {"username": "shop", "password": "correct horse", "role": "service"}
    for signed in (None, world.keys["service"], "nonsense"):
        assert (await post(world, "/auth/register", signed, json=account)).status_code == 403
    assert (await post(world, "/auth/register", world.keys["admin"], json=account)).status_code == 201
    login = (await post(world, "/auth/login", data=account)).json()
    assert (await world.http.get("/people", headers={"x-api-key": login["access_token"]})).status_code == 200


async def test_guessing_a_password_ends_after_ten_tries_a_minute(world: World) -> None:
    guess = {"username": "victim", "password": "guess"}
    answers = await asyncio.gather(*(post(world, "/auth/login", data=guess) for _ in range(11)))
    assert sorted(answer.status_code for answer in answers) == [401] * 10 + [429]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert 0 < int(refused.headers["retry-after"]) <= 6
    assert refused.json()["error"]["code"] == "too_many_requests"


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/auth/register", {"json": {"username": "x"}}),
        ("/auth/register", {"json": {"username": "x", "password": "short"}}),
        ("/auth/register", {"json": {"username": "x" * 129, "password": "long enough"}}),
        ("/auth/login", {"data": {"username": "x"}}),
        ("/auth/login", {"json": {"username": "x", "password": "y"}}),
        ("/auth/login", {"content": b"%ff=%ff"}),
    ],
)
async def test_a_wrong_registration_is_told_what_is_wrong(world: World, path: str, options: dict[str, Any]) -> None:
    answer = await post(world, path, **options)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["code"] == "invalid_request"


async def test_the_settings_that_are_shown_hold_no_secret(world: World) -> None:
    answer = await world.http.get("/config", headers={"x-api-key": world.keys["service"]})
    assert answer.json()["settings"]["jwt_secret"] == "***"
    assert SECRET not in answer.text
