"""How texts are spread over requests to the text encoder, and what its failures look like, with models made up here."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.http.application import Application
from bento.http.routing import Router
from bento.inference.core.errors import BackendFailed, InferenceError, QueueFull
from bento.inference.core.messages import InferRequest, InferResponse
from bento.recommender.over_http.embedding_routes import EmbeddingRoutes
from bento.recommender.telemetry.metrics import Metrics
from bento.recommender.text_embeddings import TextEmbeddings
from bento.release.loading import Release

STEP, BATCH = 4, 2


class LetterModels:
    """A tokenizer that makes a token of each letter, and an encoder that answers sum and count of the tokens."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        """Of the encoder's requests."""
        self.ready = {"tokenizer", "text_encoder", "text_embedding"}
        self.failure: InferenceError | None = None

    async def infer(self, request: InferRequest) -> InferResponse:
        assert request.model_version == "7"
        if self.failure is not None:
            raise self.failure
        if request.model_name == "tokenizer":
            texts = [text.decode() for text in request.inputs["TEXT"].ravel()]
            ids = np.zeros((len(texts), max(map(len, texts))), dtype=np.int64)
            for row, text in enumerate(texts):
                ids[row, : len(text)] = [ord(letter) for letter in text]
            return answer(input_ids=ids, attention_mask=(ids > 0).astype(np.int64))
        ids, mask = request.inputs["input_ids"], request.inputs["attention_mask"]
        self.shapes.append(ids.shape)
        return answer(embedding=np.stack([(ids * mask).sum(1), mask.sum(1)], axis=1).astype(np.float32))

    def is_model_ready(self, name: str, version: str = "") -> bool:
        return name in self.ready

    def model_config(self, name: str, version: str = "") -> ModelConfig:
        config = ModelConfig(name=name, max_batch_size=BATCH)
        config.parameters["pad_to_multiple_of"].string_value = str(STEP)
        config.output.add(name="embedding", dims=[2])
        return config


def answer(**outputs: Any) -> InferResponse:
    return cast("InferResponse", SimpleNamespace(outputs=outputs))


@pytest.fixture
def models() -> LetterModels:
    return LetterModels()


@pytest.fixture
def embeddings(models: LetterModels, tmp_path: Path) -> TextEmbeddings:
    return TextEmbeddings(models, cast("Release", SimpleNamespace(number=7, repository=tmp_path)))


async def test_texts_of_like_length_share_a_request(embeddings: TextEmbeddings, models: LetterModels) -> None:
    found = await embeddings.of_texts(["a", "bbbbb", "cc", "d", "eeeeeeee"])
    assert sorted(models.shapes) == [(1, 4), (2, 4), (2, 8)]  # two of "a cc d" fit into a batch
    assert found.vectors.tolist() == [[97, 1], [5 * 98, 5], [2 * 99, 2], [100, 1], [8 * 101, 8]]
    assert found.tokens == 1 + 5 + 2 + 1 + 8


@pytest.mark.parametrize(
    ("missing", "names"),
    [
        ("", ["text_embedding", "text_encoder"]),
        ("text_embedding", ["text_encoder"]),
        ("tokenizer", []),
        ("text_encoder", []),
    ],
)
def test_names_are_those_that_are_served_now(
    embeddings: TextEmbeddings, models: LetterModels, missing: str, names: list[str]
) -> None:
    models.ready.discard(missing)
    assert embeddings.names() == names


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [(QueueFull(""), 503, "encoder_unavailable"), (BackendFailed("out of memory"), 500, "encoder_failed")],
)
async def test_a_failing_encoder_is_an_error_in_openai_s_shape(
    embeddings: TextEmbeddings, models: LetterModels, failure: InferenceError, status: int, code: str
) -> None:
    models.failure = failure
    routes = EmbeddingRoutes(embeddings, "2026-01-01T00:00:00Z", 1_000)
    app = Application(Router(routes.routes()), Metrics(CollectorRegistry()), 1_000)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://m") as client:  # type: ignore[arg-type]
        response = await client.post("/v1/embeddings", content=json.dumps({"model": "text_embedding", "input": "x"}))
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["type"]) == (status, code, "server_error")
    assert error["message"] == str(failure)
