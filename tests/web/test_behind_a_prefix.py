"""The page where a proxy offers the service under a prefix, and other pages that ask it from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tests.conftest import PREFIX, Service
from tests.http.prefix_proxy import listening, stripping_proxy

from .page import Page

pytestmark = [pytest.mark.integration, pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.fixture(params=["forwarded as it is", "stripped"])
def page(chromium: WebDriver, visited_service: Service, request: pytest.FixtureRequest) -> Iterator[Page]:
    if request.param == "forwarded as it is":
        yield Page(chromium, f"{visited_service.url}{PREFIX}")
    else:
        with listening(stripping_proxy(visited_service.url, PREFIX)) as url:
            yield Page(chromium, f"{url}{PREFIX}")


def test_the_page_shows_films_with_posters_and_asks_for_nothing_outside_its_prefix(page: Page) -> None:
    page.open("?person=1")
    loaded = "return document.querySelector('#wall img')?.naturalWidth ?? 0"
    assert page.wait(lambda: page.run(loaded)) > 0
    page.click("#wall .card .stars label:nth-of-type(5)")
    page.wait(lambda: "5 stars" in page.text("#announcer"))
    asked = [urlsplit(url) for url in page.requested_urls()]
    paths = {url.path for url in asked if url.scheme == "http"}
    assert len(paths) > 30
    assert {path for path in paths if not path.startswith(f"{PREFIX}/")} == set()
    assert [line for line in page.console() if line.startswith("SEVERE")] == []


def test_the_address_without_its_slash_shows_the_page_too(page: Page) -> None:
    page.open("?person=1")
    page.driver.get(page.url)
    assert page.wait(lambda: page.films and page.is_settled)


def test_the_documentation_lists_the_routes(page: Page) -> None:
    page.driver.get(f"{page.url}/docs")
    assert page.wait(lambda: page.all(".opblock"))
    assert page.text(".servers option") == PREFIX


ASK = """
const [url, done] = arguments;
const headers = {"content-type": "application/json", "x-request-id": "from-a-page"};
fetch(url, {method: "POST", headers, body: JSON.stringify({user_id: "1", top_k: 3})})
  .then((answer) => answer.json()).then((body) => done(body.recommendations.length), (error) => done(error.name));
"""


async def empty_page(_: Request) -> HTMLResponse:
    return HTMLResponse("<!doctype html><title>Shop</title>")


def test_a_page_of_an_allowed_origin_may_ask_and_another_may_not(
    chromium: WebDriver, visited_service: Service, shop_port: int
) -> None:
    """`localhost` is another site than the service's 127.0.0.1."""
    shop = Starlette(routes=[Route("/", empty_page)])
    url = f"{visited_service.url}{PREFIX}/recommend"
    with listening(shop, shop_port):
        chromium.get(f"http://localhost:{shop_port}/")
        assert chromium.execute_async_script(ASK, url) == 3
    with listening(shop) as other:
        chromium.get(other.replace("127.0.0.1", "localhost"))
        assert chromium.execute_async_script(ASK, url) == "TypeError"
