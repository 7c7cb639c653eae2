"""OpenAI's own Python client against the whole service: embeddings and models of the release's text encoder."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import openai
import pytest
import tritonclient.http

from tests.conftest import Service

pytestmark = pytest.mark.integration

TEXTS = ["a quiet film about the sea", "robots", "Two brothers rob a train. " * 80]
"""The last one is longer than the encoder reads."""

TOLERANCE = 1e-6
"""float32 sums in another order, where a batch is padded to another length."""


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none is needed", max_retries=0) as client:
        yield client


def over_v2(service: Service, model: str, texts: list[str], output: str) -> npt.NDArray[Any]:
    """An output of a text model, asked over the v2 protocol."""
    given = tritonclient.http.InferInput("TEXT", [len(texts), 1], "BYTES")
    given.set_data_from_numpy(np.array([[text.encode()] for text in texts], dtype=object))
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{service.port}") as triton:
        values: npt.NDArray[Any] = triton.infer(model, [given]).as_numpy(output)
    return values


def vectors(answer: openai.types.CreateEmbeddingResponse) -> npt.NDArray[np.float32]:
    return np.array([one.embedding for one in answer.data], dtype=np.float32)


@pytest.mark.parametrize("encoding_format", ["float", "base64", openai.omit])
def test_vectors_are_those_of_the_v2_model(client: openai.OpenAI, service: Service, encoding_format: Any) -> None:
    answer = client.embeddings.create(model="text_embedding", input=TEXTS, encoding_format=encoding_format)
    found = [
        np.frombuffer(base64.b64decode(one.embedding), "<f4") if isinstance(one.embedding, str) else one.embedding
        for one in answer.data
    ]
    for text, vector in zip(TEXTS, found, strict=True):
        np.testing.assert_allclose(vector, over_v2(service, "text_embedding", [text], "embedding")[0], atol=TOLERANCE)
    assert [one.index for one in answer.data] == [0, 1, 2]
    assert (answer.object, answer.model) == ("list", "text_embedding")


def test_one_text_gives_one_vector(client: openai.OpenAI, service: Service) -> None:
    answer = client.embeddings.create(model="text_encoder", input=TEXTS[0])
    expected = over_v2(service, "text_embedding", TEXTS[:1], "embedding")
    np.testing.assert_allclose(vectors(answer), expected, atol=TOLERANCE)
    assert answer.model == "text_encoder"


def test_token_ids_give_the_vector_of_their_text(client: openai.OpenAI, service: Service) -> None:
    ids = [over_v2(service, "tokenizer", [text], "input_ids")[0].tolist() for text in TEXTS]
    expected = vectors(client.embeddings.create(model="text_embedding", input=TEXTS))
    many = client.embeddings.create(model="text_embedding", input=ids)
    one = client.embeddings.create(model="text_embedding", input=ids[1])
    np.testing.assert_allclose(vectors(many), expected, atol=TOLERANCE)
    np.testing.assert_allclose(vectors(one), expected[1:2], atol=TOLERANCE)


def test_usage_counts_tokens(client: openai.OpenAI, service: Service) -> None:
    masks = [int(over_v2(service, "tokenizer", [text], "attention_mask").sum()) for text in TEXTS]
    assert masks[1:] == [3, 256]  # [CLS] robots [SEP]; cut
    usage = client.embeddings.create(model="text_embedding", input=TEXTS).usage
    assert (usage.prompt_tokens, usage.total_tokens) == (sum(masks), sum(masks))


def test_many_texts_come_back_in_their_order(client: openai.OpenAI, service: Service) -> None:
    texts = [f"{'long ' * (n % 40)}story number {n}" for n in range(150)]  # more than two batches of 64
    answer = client.embeddings.create(model="text_embedding", input=texts)
    for at in (0, 63, 64, 127, 128, 149):
        expected = over_v2(service, "text_embedding", [texts[at]], "embedding")[0]
        np.testing.assert_allclose(answer.data[at].embedding, expected, atol=TOLERANCE)


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["text_embedding", "text_encoder"]
    found = client.models.retrieve("text_embedding")
    assert (found.object, found.owned_by) == ("model", "marquee")
    assert found.created > 1_700_000_000


@pytest.mark.parametrize(
    "ask",
    [
        lambda client, name: client.models.retrieve(name),
        lambda client, name: client.embeddings.create(model=name, input="x"),
    ],
    ids=["models", "embeddings"],
)
def test_an_unknown_model_is_not_found(client: openai.OpenAI, ask: Callable[[openai.OpenAI, str], object]) -> None:
    with pytest.raises(openai.NotFoundError, match="does not exist; expected text_embedding or text_encoder") as raised:
        ask(client, "text-embedding-3-small")
    error = raised.value
    assert (error.code, error.param, error.type) == ("model_not_found", "model", "invalid_request_error")


def test_the_own_width_is_accepted_and_the_user_ignored(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="text_embedding", input="x", dimensions=384, user="somebody")
    assert len(answer.data[0].embedding) == 384


@pytest.mark.parametrize(
    ("changed", "param", "message"),
    [
        ({"dimensions": 256}, "dimensions", "384 dimensions, not 256"),
        ({"input": ""}, "input", "must not be empty"),
        ({"input": []}, "input", "1 to 2048 inputs"),
        ({"input": ["x"] * 2_049}, "input", "1 to 2048 inputs"),
        ({"input": ["x", ""]}, "input", "must not be empty"),
        ({"input": [[]]}, "input", "none empty"),
        ({"input": ["x", 5]}, "input", "expected a text"),
        ({"input": [[5, "x"]]}, "input", "expected a text"),
        ({"input": [True]}, "input", "expected a text"),
        ({"input": [-1]}, "input", "0 to 30521"),
        ({"input": [[30_522]]}, "input", "0 to 30521"),
        ({"input": [5] * 257}, "input", "at most 256 tokens, got 257"),
        ({"encoding_format": "hex"}, "encoding_format", "expected one of"),
    ],
)
def test_a_wrong_request_names_the_field(
    client: openai.OpenAI, changed: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=message) as raised:
        client.embeddings.create(**{"model": "text_embedding", "input": "x"} | changed)
    assert (raised.value.param, raised.value.type) == (param, "invalid_request_error")


def test_a_field_that_nobody_knows_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="input_type"):
        client.embeddings.create(model="text_embedding", input="x", extra_body={"input_type": "query"})


def test_no_json_is_refused_in_openai_s_shape(service: Service) -> None:
    response = httpx.post(f"{service.url}/v1/embeddings", content=b"{", timeout=30)
    assert response.status_code == 400
    assert {"message", "type", "param", "code"} <= response.json()["error"].keys()
