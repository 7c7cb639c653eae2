"""Explanations worded by a language model, against a local server that speaks its protocol and can misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from bento.recommender.ranking.wording import LanguageModel, Wording
from tests.recommender.world import World

TIMEOUT_S = 5.0
ASK = '{"history": [202, 203], "explain": true, "top_k": 2}'


def see(facts: list[dict[str, Any]]) -> str:
    return json.dumps([f"See {one['film']}!" for one in facts])


class LanguageServer:
    """Answers chat completions over a real socket with what `answer` makes of the request."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.status = 200
        self.answer: Callable[[list[dict[str, Any]]], str] = lambda facts: json.dumps(
            [f"See {one['film']}!" for one in facts]
        )
        self.raw: bytes | None = None
        self.hanging = asyncio.Event()
        self.hanging.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(
            next(line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-length"))
        )
        request = json.loads(await reader.readexactly(length))
        self.requests.append(request)
        self.headers.append(head)
        await self.hanging.wait()
        content = self.answer(json.loads(request["messages"][1]["content"]))
        message = {"role": "assistant", "content": content}
        completion = {"id": "x", "object": "chat.completion", "choices": [{"index": 0, "message": message}]}
        body = json.dumps(completion).encode() if self.raw is None else self.raw
        head = f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[tuple[LanguageServer, str]]:
    language = LanguageServer()
    listening = await asyncio.start_server(language.serve, "127.0.0.1", 0)
    yield language, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    language.hanging.set()
    listening.close()


@pytest.fixture
async def asked(
    server: tuple[LanguageServer, str], make_world: Callable[..., World]
) -> AsyncIterator[tuple[LanguageServer, World]]:
    language, url = server
    wording = Wording(LanguageModel(url, "small-one", "secret", TIMEOUT_S))
    yield language, make_world(wording=wording)
    await wording.close()


def texts(answered: Any) -> list[str]:
    return [film["reasons"]["text"] for film in answered.recommendations]


PLAIN = [
    "Because you watched Horror 2, which shares Horror with it.",
    "Because you watched Horror 2, which shares Horror with it.",
]


async def test_every_film_gets_the_models_sentence(asked: tuple[LanguageServer, World]) -> None:
    language, world = asked
    answered = await world.ask(ASK)
    assert texts(answered) == ["See Horror 0!", "See Horror 1!"]
    assert (answered.degraded, (await world.ask(ASK)).cached, len(language.requests)) == ([], True, 1)
    assert "explain" in answered.timings_ms


async def test_the_model_is_told_facts_and_no_person(asked: tuple[LanguageServer, World]) -> None:
    language, world = asked
    await world.ask('{"user_id": "ann", "explain": true, "top_k": 1}')
    (request,) = language.requests
    assert (request["model"], request["stream"]) == ("small-one", False)
    (facts,) = json.loads(request["messages"][1]["content"])
    assert set(facts) == {"film", "like", "genres", "people", "plain"}
    assert "ann" not in json.dumps(facts).replace("Because", "")
    assert "authorization: bearer secret" in language.headers[0].lower()


async def test_a_fence_around_the_array_is_no_trouble(asked: tuple[LanguageServer, World]) -> None:
    language, world = asked
    language.answer = lambda facts: 'Here you are:\n```json\n["One.", "Two."]\n```'
    assert texts(await world.ask(ASK)) == ["One.", "Two."]


@pytest.mark.parametrize(
    "answer", ["I would rather not.", '["only one"]', '["", ""]', "[1, 2]", json.dumps(["x" * 301, "y"]), "[]", "]["]
)
async def test_any_other_answer_leaves_the_plain_sentences(asked: tuple[LanguageServer, World], answer: str) -> None:
    language, world = asked
    language.answer = lambda facts: answer
    answered = await world.ask(ASK)
    assert (texts(answered), answered.degraded) == (PLAIN, ["wording"])


@pytest.mark.parametrize(("status", "raw"), [(500, b"{}"), (401, b""), (200, b"not json"), (200, b'{"choices": []}')])
async def test_a_failing_server_leaves_the_plain_sentences(
    asked: tuple[LanguageServer, World], status: int, raw: bytes
) -> None:
    language, world = asked
    language.status, language.raw = status, raw
    answered = await world.ask(ASK)
    assert (texts(answered), answered.degraded) == (PLAIN, ["wording"])


async def test_a_server_that_failed_is_left_alone_and_nothing_is_cached(asked: tuple[LanguageServer, World]) -> None:
    language, world = asked
    language.status = 500
    await world.ask(ASK)
    again = await world.ask(ASK)
    assert (again.cached, again.degraded, len(language.requests)) == (False, ["wording"], 1)


async def test_a_server_that_hangs_costs_no_more_than_its_time(
    server: tuple[LanguageServer, str], make_world: Callable[..., World]
) -> None:
    language, url = server
    language.hanging.clear()
    wording = Wording(LanguageModel(url, "slow", timeout_s=0.05))
    async with asyncio.timeout(TIMEOUT_S):
        answered = await make_world(wording=wording).ask(ASK)
    assert (texts(answered), answered.degraded) == (PLAIN, ["wording"])
    await wording.close()


async def test_nobody_there_leaves_the_plain_sentences(make_world: Callable[..., World]) -> None:
    wording = Wording(LanguageModel("http://127.0.0.1:9/v1", "none"))  # the discard port: nobody listens
    assert (await make_world(wording=wording).ask(ASK)).degraded == ["wording"]
    await wording.close()


async def test_who_asks_for_no_explanation_asks_no_model(asked: tuple[LanguageServer, World]) -> None:
    language, world = asked
    await world.ask('{"history": [202, 203]}')
    assert language.requests == []
