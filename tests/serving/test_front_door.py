"""Who gets a request, and which never gets in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from bento.serving.front_door import FrontDoor, check_root_path, host_names, make_entrance, trusted_hosts
from bento.settings import Settings, WrongSetting

OTHER_SITE = {"sec-fetch-site": "cross-site"}


def app(name: str) -> Any:
    """Answers whatever is asked with its own name."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": name.encode()})

    return answer


def entrance(**settings: Any) -> ASGIApp:
    worker: Any = SimpleNamespace(v2=app("v2"), recommender=app("recommender"))
    chosen = Settings(**settings)
    return make_entrance(FrontDoor(app("framework"), lambda: worker), chosen, host_names(chosen))


def client_of(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:3000")  # type: ignore[arg-type]


@pytest.fixture
def client() -> httpx.AsyncClient:
    return client_of(entrance())


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/livez", "framework"),
        ("/static_content/swagger-ui.css", "framework"),
        ("/v2", "v2"),
        ("/v2/models/x/infer", "v2"),
        ("/v20", "recommender"),
        ("/", "recommender"),
        ("/recommend", "recommender"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/films", "/shop/films"])
async def test_every_path_has_one_owner_whether_a_proxy_strips_the_prefix_or_not(
    path: str, owner: str, prefix: str
) -> None:
    client = client_of(entrance(root_path=prefix))
    assert (await client.post(path)).text == owner
    assert (await client.post(prefix + path)).text == owner


async def test_the_prefix_alone_leads_to_the_page() -> None:
    client = client_of(entrance(root_path="/films"))
    moved = await client.get("/films?person=7")
    assert (moved.status_code, moved.headers["location"]) == (308, "/films/?person=7")
    assert (await client.post("/films")).text == "recommender"


@pytest.mark.parametrize("prefix", ["/v2", "/movies/x", "/static", "/metrics", "/livez"])
def test_a_prefix_that_begins_like_a_route_is_refused(prefix: str) -> None:
    with pytest.raises(WrongSetting, match=f"ROOT_PATH='{prefix}': expected a prefix that begins like no route"):
        check_root_path(prefix)


@pytest.mark.parametrize("prefix", ["", "/films", "/moviesque"])
def test_another_prefix_is_taken(prefix: str) -> None:
    check_root_path(prefix)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/events", "/v2/repository/models/x/unload"])
async def test_pages_of_other_sites_change_nothing(client: httpx.AsyncClient, method: str, path: str) -> None:
    refused = await client.request(method, path, headers=OTHER_SITE)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cross_site")


async def test_links_from_other_sites_and_the_own_page_work(client: httpx.AsyncClient) -> None:
    assert (await client.get("/", headers=OTHER_SITE)).text == "recommender"
    for own in ("same-origin", "same-site", "none"):
        assert (await client.post("/events", headers={"sec-fetch-site": own})).text == "recommender"


LOCAL = ("localhost", "*.localhost", "127.0.0.1", "[::1]")


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, LOCAL),
        ({"host": "::1"}, LOCAL),
        ({"host": "127.8.8.8"}, (*LOCAL, "127.8.8.8")),
        ({"auth": "on"}, ("*",)),
        ({"host": "0.0.0.0"}, ("*",)),
        ({"trusted_hosts": ("*",)}, ("*",)),
        ({"host": "0.0.0.0", "trusted_hosts": ("films.example",)}, ("films.example",)),
    ],
)
def test_only_an_open_service_on_a_loopback_address_trusts_local_names_alone(
    settings: dict[str, Any], names: tuple[str, ...]
) -> None:
    assert trusted_hosts(Settings(**settings)) == names


async def test_a_page_that_took_this_machines_address_for_its_name_is_refused(client: httpx.AsyncClient) -> None:
    for path in ("/config", "/v2/models/x/infer"):
        refused = await client.post(path, headers={"host": "attacker.example:3000"})
        assert refused.status_code == 400
        assert "'attacker.example:3000', see TRUSTED_HOSTS" in refused.text


async def test_a_host_is_checked_before_an_origin() -> None:
    client = client_of(entrance(allowed_origins=("https://shop.example",)))
    refused = await client.get("/config", headers={"host": "attacker.example", "origin": "https://shop.example"})
    assert (refused.status_code, "access-control-allow-origin" in refused.headers) == (400, False)
