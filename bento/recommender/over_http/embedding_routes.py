"""`POST /v1/embeddings` and `GET /v1/models` as OpenAI's API has them, on the release's text encoder.

So that OpenAI's clients, and what is built on them, use it unchanged. Errors have the members of OpenAI's (`message`,
`type`, `param`, `code`) beside those of every route:

    EmbeddingError
    ├── WrongEmbeddingRequest   400   a field is missing or cannot be used
    ├── UnknownEmbeddingModel   404   no text encoder of this name is served
    ├── EncoderFailed           500
    └── EncoderUnavailable      503   its queue is full, or it is being unloaded
"""

from __future__ import annotations

import asyncio
import base64
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from bento.http.errors import HttpError, InvalidRequest, MalformedRequest
from bento.http.reading import decode
from bento.http.responses import JsonResponse
from bento.http.routing import About, Route
from bento.inference.core.errors import InferenceError, Unavailable
from bento.recommender.text_embeddings import Ids, TextEmbeddings, TextVectors
from features.text import MAX_TOKENS, PADDING_ID

INPUTS_LIMIT = 2_048
"""Texts of one request, as OpenAI's API has it."""


class EmbeddingsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/embeddings`."""

    input: Annotated[
        str | list[Any],
        Meta(description="A text, a list of texts, token ids of one text, or a list of such lists."),
    ]
    model: Annotated[str, Meta(description="Of those that `GET /v1/models` lists.")]
    encoding_format: Annotated[
        Literal["float", "base64"] | None, Meta(description="base64: of little-endian float32.")
    ] = "float"
    dimensions: Annotated[int | None, Meta(description="The encoder's own width; there is no other.")] = None
    user: Annotated[str | None, Meta(description="Is ignored.")] = None


class Embedding(Struct, frozen=True):
    """The vector of one input."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(Struct, frozen=True):
    """What the request cost."""

    prompt_tokens: int
    """That the encoder read, with the marks at both ends of each text."""
    total_tokens: int


class Embeddings(Struct, frozen=True):
    """Answer of `POST /v1/embeddings`."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class EmbeddingModel(Struct, frozen=True):
    """A name that requests may give as `model`."""

    id: str
    object: Literal["model"]
    created: int
    """When the release was made, in Unix seconds."""
    owned_by: str


class EmbeddingModels(Struct, frozen=True):
    """Answer of `GET /v1/models`."""

    object: Literal["list"]
    data: list[EmbeddingModel]


class EmbeddingError(HttpError):
    """An error of the routes under `/v1`."""

    kind: ClassVar[str] = "server_error"

    def __init__(self, message: str, param: str | None = None) -> None:
        """`param`: the field that is wrong."""
        super().__init__(message)
        self._param = param

    def body(self) -> bytes:
        error = {
            "code": self.code,
            "message": str(self),
            "detail": self.detail,
            "type": self.kind,
            "param": self._param,
        }
        return msgspec.json.encode({"success": False, "error": error})


class WrongEmbeddingRequest(EmbeddingError):
    """The request for embeddings cannot be used."""

    http_status, code, kind = 400, "invalid_request", "invalid_request_error"


class UnknownEmbeddingModel(EmbeddingError):
    """No text encoder of this name is served."""

    http_status, code, kind = 404, "model_not_found", "invalid_request_error"

    def __init__(self, name: str, served: list[str]) -> None:
        known = " or ".join(served) or "none, as the release's text encoder is not served"
        super().__init__(f"The model {name[:80]!r} does not exist; expected {known}", "model")


class EncoderUnavailable(EmbeddingError):
    """The text encoder takes no more requests now."""

    http_status, code = 503, "encoder_unavailable"


class EncoderFailed(EmbeddingError):
    """The text encoder failed."""

    http_status, code = 500, "encoder_failed"


class EmbeddingRoutes:
    """The text encoder in the words of OpenAI's API."""

    def __init__(self, embeddings: TextEmbeddings, created_at: str, max_body_bytes: int) -> None:
        """`created_at`: of the release, ISO 8601."""
        self._embeddings = embeddings
        self._created_s = int(datetime.fromisoformat(created_at).timestamp())
        self._max_body_bytes = max_body_bytes

    def routes(self) -> list[Route]:
        """All three routes."""
        embeddings = About(
            "Embeddings of texts, in the shape of OpenAI's API",
            "embeddings",
            request=EmbeddingsRequest,
            answer=Embeddings,
            errors=(400, 404, 413, 503),
            example={"model": "text_embedding", "input": "a quiet film about the sea"},
        )
        models = About("Names of the text encoder", "embeddings", answer=EmbeddingModels)
        one = About(
            "One of these names",
            "embeddings",
            answer=EmbeddingModel,
            errors=(404,),
            example={"model": "text_embedding"},
        )
        return [
            Route("POST", "/v1/embeddings", self.post, embeddings, self._max_body_bytes),
            Route("GET", "/v1/models", self.models, models),
            Route("GET", "/v1/models/{model}", self.model, one),
        ]

    async def post(self, request: Request) -> Response:
        """A vector for each input, in their order."""
        asked = _read(await request.body())
        self._check_name(asked.model)
        try:
            self._check_width(asked.dimensions)
            found = await self._embed(asked.input)
        except Unavailable as error:
            raise EncoderUnavailable(str(error)) from error
        except InferenceError as error:
            raise EncoderFailed(str(error)) from error
        data = [
            Embedding("embedding", at, _encoded(row, asked.encoding_format)) for at, row in enumerate(found.vectors)
        ]
        answer = Embeddings("list", data, asked.model, Usage(found.tokens, found.tokens))
        return JsonResponse(answer)

    async def models(self, _: Request) -> Response:
        """The names of the text encoder; none while it is not served."""
        return JsonResponse(EmbeddingModels("list", [self._described(name) for name in self._embeddings.names()]))

    async def model(self, request: Request) -> Response:
        """One name of the text encoder."""
        name = request.path_params["model"]
        self._check_name(name)
        return JsonResponse(self._described(name))

    def _described(self, name: str) -> EmbeddingModel:
        return EmbeddingModel(name, "model", self._created_s, "marquee")

    def _check_name(self, name: str) -> None:
        served = self._embeddings.names()
        if name not in served:
            raise UnknownEmbeddingModel(name, served)

    def _check_width(self, dimensions: int | None) -> None:
        width = self._embeddings.width()
        if dimensions not in (None, width):
            raise WrongEmbeddingRequest(f"this model gives {width} dimensions, not {dimensions}", "dimensions")

    async def _embed(self, given: str | list[Any]) -> TextVectors:
        texts = [given] if isinstance(given, str) else given
        _check_count(texts)
        if all(isinstance(text, str) for text in texts):
            if not all(texts):
                raise WrongEmbeddingRequest("a text must not be empty", "input")
            return await self._embeddings.of_texts(texts)
        rows = [texts] if all(map(_is_number, texts)) else texts
        size = await asyncio.to_thread(lambda: self._embeddings.vocabulary_size)
        return await self._embeddings.of_tokens([_token_ids(row, size) for row in rows])


def _read(body: bytes) -> EmbeddingsRequest:
    try:
        return decode(body, EmbeddingsRequest)
    except (MalformedRequest, InvalidRequest) as error:
        raise WrongEmbeddingRequest(str(error), error.detail.get("field")) from error


def _check_count(texts: list[Any]) -> None:
    """One text of token ids passes as well: it has MAX_TOKENS at most."""
    if not 1 <= len(texts) <= INPUTS_LIMIT:
        raise WrongEmbeddingRequest(f"expected 1 to {INPUTS_LIMIT} inputs, got {len(texts)}", "input")


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _token_ids(row: Any, vocabulary_size: int) -> Ids:
    """Token ids of one text; padding at its end is no token. Raises: WrongEmbeddingRequest."""
    if not isinstance(row, list) or not row or not all(map(_is_number, row)):
        raise WrongEmbeddingRequest("expected a text, texts, token ids, or lists of token ids, none empty", "input")
    if not all(0 <= token < vocabulary_size for token in row):
        raise WrongEmbeddingRequest(f"token ids of this model are 0 to {vocabulary_size - 1}", "input")
    end = len(row)
    while end > 1 and row[end - 1] == PADDING_ID:
        end -= 1
    if end > MAX_TOKENS:
        raise WrongEmbeddingRequest(f"this model reads at most {MAX_TOKENS} tokens, got {end}", "input")
    return np.array(row[:end], dtype=np.int64)


def _encoded(vector: npt.NDArray[np.float32], encoding_format: str | None) -> list[float] | str:
    if encoding_format == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    numbers: list[float] = vector.tolist()
    return numbers
