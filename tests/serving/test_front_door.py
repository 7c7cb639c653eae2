"""Who gets a request, and which never gets in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from bento.serving.front_door import FrontDoor

OTHER_SITE = {"sec-fetch-site": "cross-site"}


def app(name: str) -> Any:
    """Answers whatever is asked with its own name."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": name.encode()})

    return answer


@pytest.fixture
def client() -> httpx.AsyncClient:
    instance: Any = SimpleNamespace(v2=app("v2"), recommender=app("recommender"))
    door: Any = FrontDoor(app("framework"), lambda: instance)
    return httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://marquee")


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
async def test_every_path_has_one_owner(client: httpx.AsyncClient, path: str, owner: str) -> None:
    assert (await client.post(path)).text == owner


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/events", "/v2/repository/models/x/unload"])
async def test_pages_of_other_sites_change_nothing(client: httpx.AsyncClient, method: str, path: str) -> None:
    refused = await client.request(method, path, headers=OTHER_SITE)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cross_site")


async def test_links_from_other_sites_and_the_own_page_work(client: httpx.AsyncClient) -> None:
    assert (await client.get("/", headers=OTHER_SITE)).text == "recommender"
    for own in ("same-origin", "same-site", "none"):
        assert (await client.post("/events", headers={"sec-fetch-site": own})).text == "recommender"
