"""Clients that offer another protocol, as Java's does, are answered by the running service like any others."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest

from tests.conftest import Service
from tests.inference.over_http.java_client import posted
from tests.inference.over_http.test_upgrade_offers import chunked, post

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

QUESTIONS = [{"user_id": "7", "top_k": number} for number in (1, 2, 3)]
EVENT = {"user_id": "an offering client", "item_id": 1, "event_type": "view"}


def told_ahead(service: Service, *requests: bytes) -> list[tuple[int, Any]]:
    """Status and JSON of the answers to requests that are sent at once; heads and bodies in pieces of their own."""
    answers: list[tuple[int, Any]] = []
    with socket.create_connection(("127.0.0.1", service.port), 60) as connection, connection.makefile("rb") as lines:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for request in requests:
            head, body = request.split(b"\r\n\r\n", 1)
            connection.sendall(head + b"\r\n\r\n")
            connection.sendall(body)
        for _ in requests:
            status = int(lines.readline().split()[1])
            headers = dict(iter(lambda: tuple(lines.readline().decode().lower().strip().split(": ")), ("",)))
            answers.append((status, json.loads(lines.read(int(headers["content-length"])))))
    return answers


def test_requests_with_offers_get_the_lists_that_they_ask_for(service: Service) -> None:
    bodies = [json.dumps(question).encode() for question in QUESTIONS]
    requests = [make("/recommend", body) for body in bodies for make in (post, chunked)]
    answers = told_ahead(service, *requests)
    assert [(status, len(answer["recommendations"])) for status, answer in answers] == [
        (200, number) for number in (1, 1, 2, 2, 3, 3)
    ]


def test_an_event_with_an_offer_is_recorded(service: Service) -> None:
    assert [status for status, _ in told_ahead(service, post("/events", json.dumps(EVENT).encode()))] == [202]
    person = httpx.get(f"{service.url}/people/{EVENT['user_id']}", timeout=30).json()
    assert [film["movie_id"] for film in person["history"]] == [1]


@pytest.mark.java
def test_a_java_program_gets_the_lists_that_it_asks_for(service: Service) -> None:
    answers = posted(f"{service.url}/recommend", *QUESTIONS)
    assert [(status, len(answer["recommendations"])) for status, answer in answers] == [
        (200, number) for number in (1, 1, 2, 2, 3, 3)
    ]
