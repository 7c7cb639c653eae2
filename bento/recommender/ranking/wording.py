"""Explanations worded by a language model: optional, within a time limit, and replaceable by the plain sentences.

A server with OpenAI's chat completions API is called once per answer with the facts of every film, which it words
without adding any. When that fails, the plain sentences stay, and `degraded` names `wording`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import httpx
import msgspec

from bento.recommender.schemas import Reasons
from bento.stores.connection.circuit_breaker import CircuitBreaker

log = logging.getLogger("marquee.wording")

PART = "wording"
"""Its name in `degraded`."""

FILMS_LIMIT = 20
"""Films that are worded at a time; the others keep their plain sentence."""

SENTENCE_LIMIT = 300
"""Characters; longer answers are refused, as they do not fit under a poster."""

RETRY_S = 10.0
"""Seconds without a call after a failure."""

INSTRUCTIONS = (
    "You word the reasons of a film recommender. For every film you are given facts: films that the person watched "
    "and that it is like, genres and people they share, and a plain sentence. Write one friendly sentence of at most "
    "25 words for each, from these facts alone, without inventing any. Answer with a JSON array of strings and nothing "
    "else, one for each film, in the order given."
)


class WordingFailed(Exception):
    """The server's answer cannot be used; the plain explanations are."""


class _Message(msgspec.Struct):
    content: str


class _Choice(msgspec.Struct):
    message: _Message


class _Completion(msgspec.Struct):
    choices: list[_Choice]


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """The language model and its server."""

    url: str
    """Base of the API, such as http://127.0.0.1:8080/v1."""
    name: str
    api_key: str = ""
    timeout_s: float = 1.5


class Wording:
    """Words the texts of explanations."""

    def __init__(self, model: LanguageModel, client: httpx.AsyncClient | None = None) -> None:
        headers = {"authorization": f"Bearer {model.api_key}"} if model.api_key else {}
        self._model = model
        self._client = client or httpx.AsyncClient(timeout=model.timeout_s, headers=headers)
        self._url = f"{model.url.rstrip('/')}/chat/completions"
        self._breaker = CircuitBreaker(RETRY_S)

    @property
    def signature(self) -> str:
        """Identifies the model: another one gives other texts."""
        return f"{self._model.url} {self._model.name}"

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def reword(self, titles: list[str], reasons: list[Reasons]) -> tuple[list[Reasons], list[str]]:
        """The reasons with new texts, and the parts that failed: none, or `wording`, then the texts stay the same."""
        if not reasons:
            return reasons, []
        if not self._breaker.allows():
            return reasons, [PART]
        try:
            async with asyncio.timeout(self._model.timeout_s):
                texts = await self._ask(titles[:FILMS_LIMIT], reasons[:FILMS_LIMIT])
        except (httpx.HTTPError, TimeoutError, msgspec.MsgspecError, UnicodeDecodeError, WordingFailed) as error:
            if self._breaker.fail(repr(error)):
                log.warning("explanations stay plain for now: %r", error)
            return reasons, [PART]
        if self._breaker.succeed():
            log.info("the language model is back")
        worded = [msgspec.structs.replace(why, text=text) for why, text in zip(reasons, texts, strict=False)]
        return [*worded, *reasons[len(worded) :]], []

    async def _ask(self, titles: list[str], reasons: list[Reasons]) -> list[str]:
        facts = [
            {
                "film": title,
                "like": [because.title for because in why.because],
                "genres": why.shared_genres,
                "people": why.shared_people,
                "plain": why.text,
            }
            for title, why in zip(titles, reasons, strict=True)
        ]
        messages = [
            {"role": "system", "content": INSTRUCTIONS},
            {"role": "user", "content": msgspec.json.encode(facts).decode()},
        ]
        body = {"model": self._model.name, "messages": messages, "temperature": 0.3, "stream": False}
        response = await self._client.post(self._url, json=body)
        response.raise_for_status()
        choices = msgspec.json.decode(response.content, type=_Completion).choices
        if not choices:
            raise WordingFailed("no choices")
        return _sentences(choices[0].message.content, len(titles))


def _sentences(content: str, expected: int) -> list[str]:
    """The array of sentences in a model's answer, which may stand in a fence of Markdown."""
    start, end = content.find("["), content.rfind("]")
    if start < 0 or end < start:
        raise WordingFailed("no JSON array")
    texts = [text.strip() for text in msgspec.json.decode(content[start : end + 1], type=list[str])]
    if len(texts) != expected or not all(0 < len(text) <= SENTENCE_LIMIT for text in texts):
        raise WordingFailed(f"{len(texts)} sentences for {expected} films, or one too long")
    return texts
