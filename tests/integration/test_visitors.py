"""The service behind a prefix, for some names only, and open to the pages of one other origin."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from loadtest.benchmark import http_infer_request, upload_small_model, write_small_model
from tests.conftest import PREFIX, Service
from tests.http.prefix_proxy import listening, stripping_proxy

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", params=["forwarded as it is", "stripped"])
def client(visited_service: Service, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A client of the address that a proxy offers, with paths below the prefix."""
    if request.param == "forwarded as it is":
        with httpx.Client(base_url=visited_service.url, timeout=60) as client:
            yield client
    else:
        proxy = stripping_proxy(visited_service.url, PREFIX)
        with listening(proxy) as url, httpx.Client(base_url=url, timeout=60) as client:
            yield client


def test_every_link_of_the_page_leads_somewhere(client: httpx.Client) -> None:
    page = client.get(f"{PREFIX}/")
    links = re.findall(r'(?:href|src)="(/[^"]*)"', page.text)
    assert len(links) > 10
    assert [link for link in links if not link.startswith(f"{PREFIX}/")] == []
    assert {link: client.get(link).status_code for link in links} == dict.fromkeys(links, 200)


def test_posters_and_jobs_are_named_with_the_prefix(client: httpx.Client) -> None:
    films = client.post(f"{PREFIX}/recommend", json={"user_id": "1"}).json()["recommendations"]
    poster = films[0]["poster_url"]
    assert poster.startswith(f"{PREFIX}/poster/")
    assert client.get(poster).headers["content-type"] == "image/jpeg"
    job = client.post(f"{PREFIX}/batch/recommend/cache", json={"user_histories": {"1": None}})
    assert job.headers["location"].startswith(f"{PREFIX}/batch/recommend/cache/")
    assert client.get(job.headers["location"]).json()["progress_url"] == job.headers["location"]


def test_the_documentation_finds_its_files_and_its_server(client: httpx.Client) -> None:
    docs = client.get(f"{PREFIX}/docs")
    files = re.findall(r'(?:href|src)="([^"]+)"', docs.text)
    assert {file: client.get(httpx.URL(docs.url).join(file)).status_code for file in files} == dict.fromkeys(files, 200)
    assert client.get(httpx.URL(docs.url).join("openapi.json")).json()["servers"] == [{"url": PREFIX}]


def test_probes_metrics_and_the_inference_protocol_are_there(client: httpx.Client) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/health", "/v2", "/v2/health/ready"):
        assert client.get(f"{PREFIX}{path}").status_code == 200, path
    assert client.get(f"{PREFIX}/v2/models/none").json() == {"error": "Request for unknown model: 'none' is not found"}


@pytest.fixture(scope="module", autouse=True)
def small_model(visited_service: Service, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The service answers infer requests to `add`."""
    repository = tmp_path_factory.mktemp("small")
    write_small_model(repository)
    upload_small_model(repository, visited_service.port)


def test_infer_requests_are_answered_alike_before_and_after_they_are_known(client: httpx.Client) -> None:
    body, headers = http_infer_request()
    path = f"{PREFIX}/v2/models/add/infer"
    answers = {client.post(path, content=body, headers=headers).content for _ in range(5)}
    assert len(answers) == 1


def test_the_address_without_its_slash_leads_to_the_page(visited_service: Service) -> None:
    moved = httpx.get(f"{visited_service.url}{PREFIX}")
    assert (moved.status_code, moved.headers["location"]) == (308, f"{PREFIX}/")


def test_only_trusted_names_are_answered_also_once_a_request_is_known(visited_service: Service) -> None:
    body, headers = http_infer_request()
    url = f"{visited_service.url}/v2/models/add/infer"
    with httpx.Client(timeout=60) as client:
        for host, status in (("films.example", 200), ("attacker.example", 400), ("films.example", 200)):
            named = headers | {"host": host}
            assert [client.post(url, content=body, headers=named).status_code for _ in range(6)] == [status] * 6, host
        assert client.get(f"{visited_service.url}/config", headers={"host": "attacker.example"}).status_code == 400


@pytest.mark.parametrize("path", ["/recommend", "/v2/models/add/infer"])
def test_an_allowed_origin_is_told_so_on_every_face(visited_service: Service, shop_port: int, path: str) -> None:
    shop = f"http://localhost:{shop_port}"
    asked = {"origin": shop, "sec-fetch-site": "cross-site", "access-control-request-method": "POST"}
    preflight = httpx.options(visited_service.url + path, headers=asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, shop)
    body, headers = http_infer_request() if "infer" in path else (b"{}", {})
    for origin, status in ((shop, 200), ("http://localhost:1", 403)):
        sent = headers | {"origin": origin, "sec-fetch-site": "cross-site"}
        answers = [httpx.post(visited_service.url + path, content=body, headers=sent, timeout=60) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [status] * 4
        assert {answer.headers.get("access-control-allow-origin") for answer in answers} == {
            shop if status == 200 else None
        }
