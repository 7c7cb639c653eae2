"""The OpenAPI document says what is served, and the pages made from it load nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
import pytest
from starlette.responses import Response

from bento.http.docs_page import SWAGGER_PAGE, DocsRoutes
from bento.http.openapi import document
from bento.http.reading import decode
from bento.http.requests import Request
from bento.http.routing import Route
from bento.recommender.over_http.api import API
from bento.recommender.over_http.catalogue_routes import ABOUT as CATALOGUE
from bento.recommender.over_http.lists.list_routes import ABOUT_GET, ABOUT_POST
from bento.recommender.over_http.people.event_routes import ABOUT as EVENTS
from bento.recommender.schemas import RecommendAnswer, RecommendRequest
from tests.recommender.world import World


async def nothing(_: object) -> Response:
    return Response(b"")


ROUTES = [
    Route("POST", "/recommend", nothing, ABOUT_POST),
    Route("GET", "/recommend", nothing, ABOUT_GET),
    Route("POST", "/events", nothing, EVENTS),
    Route("GET", "/movie/{movie_id}", nothing, CATALOGUE["movie"]),
    Route("GET", "/poster/{movie_id}", nothing, CATALOGUE["poster"]),
    Route("GET", "/secret", nothing),
]


def test_every_route_that_says_something_is_in_the_document() -> None:
    paths = document(ROUTES, API)["paths"]
    assert set(paths) == {"/recommend", "/events", "/movie/{movie_id}", "/poster/{movie_id}"}
    assert set(paths["/recommend"]) == {"get", "post"}


def test_bounds_and_defaults_come_from_the_types() -> None:
    openapi = document(ROUTES, API)
    top_k = openapi["components"]["schemas"]["RecommendRequest"]["properties"]["top_k"]
    assert (top_k["minimum"], top_k["maximum"], top_k["default"]) == (1, 1000, 10)
    limit = next(p for p in openapi["paths"]["/recommend"]["get"]["parameters"] if p["name"] == "limit")
    assert (limit["in"], limit["required"], limit["schema"]["maximum"]) == ("query", False, 1000)


def test_path_values_are_required_parameters() -> None:
    (parameter,) = document(ROUTES, API)["paths"]["/movie/{movie_id}"]["get"]["parameters"]
    assert (parameter["name"], parameter["in"], parameter["required"]) == ("movie_id", "path", True)


def test_every_reference_leads_somewhere() -> None:
    openapi = document(ROUTES, API)
    references = set(re.findall(r'"#/components/schemas/(\w+)"', msgspec.json.encode(openapi).decode()))
    assert references <= set(openapi["components"]["schemas"])
    assert "ErrorBody" in references


def test_the_example_of_a_request_is_a_valid_request() -> None:
    assert decode(msgspec.json.encode(ABOUT_POST.example), RecommendRequest).top_k == 5


@pytest.fixture
def pages() -> dict[str, Callable[[Request], object]]:
    return {route.path: route.handler for route in DocsRoutes(document(ROUTES, API)).routes()}


async def test_the_reading_page_tells_every_route_and_loads_nothing(pages: dict[str, Callable]) -> None:  # type: ignore[type-arg]
    page = (await pages["/redoc"](Request({"type": "http"}))).body.decode()
    for route in ROUTES[:-1]:
        assert f"{route.method} {route.path}" in page
    assert not re.search(r"https?://|<script|<link", page)


def test_the_trying_page_loads_only_from_this_server() -> None:
    sources = re.findall(r'(?:src|href)="([^"]+)"', SWAGGER_PAGE)
    assert sources
    assert all(source.startswith("static_content/") for source in sources)


async def test_an_answer_is_what_the_document_says(world: World) -> None:
    from bento.http.request_ids import RequestIds
    from bento.recommender.over_http.lists.list_routes import RecommendRoutes
    from bento.recommender.recommendations import Recommendations

    routes = RecommendRoutes(Recommendations(world.pipeline, world.release, RequestIds()))
    response = await routes.post(Request({"type": "http", "headers": []}, b'{"user_id": 7, "history": [202]}'))
    answer = msgspec.json.decode(response.body, type=RecommendAnswer)
    assert set(msgspec.json.decode(response.body)) == set(RecommendAnswer.__struct_fields__)
    assert answer.user_id == 7
