"""A release in a real tritonserver: models load from their committed config.pbtxt and answer as in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from export.example_inputs import candidate_batch, history_batch
from export.graphs.onnx_graphs import onnx_run
from export.layout import SCORERS, USER_ENCODERS
from features.sources import SOURCES
from features.text import film_text
from tests.export.reference_triton import adapt, reference_server
from tests.export.tiny_world import N_FILMS, TinyWorld
from tests.export.triton_stand_in import LoadedModel

pytestmark = pytest.mark.triton

Tensors = dict[str, npt.NDArray[Any]]

FLOAT32 = {"rtol": 1e-5, "atol": 1e-5}
"""Sums of a few hundred products of size 1; the server's numpy and onnxruntime may order them differently."""


@pytest.fixture(scope="module")
def client(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[triton.InferenceServerClient]:
    reference = os.environ.get("TRITON_REFERENCE")
    if not reference or not (Path(reference) / "tw").is_dir():
        pytest.skip("needs TRITON_REFERENCE: the folder of a reference tritonserver")
    repository = tmp_path_factory.mktemp("triton") / "repository"
    models = adapt(exported, repository)
    with (
        reference_server(Path(reference), repository, models, repository.parent / "server.log") as address,
        triton.InferenceServerClient(address) as client,
    ):
        yield client


def request_inputs(tensors: Tensors) -> list[Any]:
    inputs = []
    for name, tensor in tensors.items():
        inputs.append(triton.InferInput(name, list(tensor.shape), np_to_triton_dtype(tensor.dtype)))
        inputs[-1].set_data_from_numpy(tensor)
    return inputs


def infer(client: triton.InferenceServerClient, model: str, tensors: Tensors) -> Tensors:
    result = client.infer(model, request_inputs(tensors))
    return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}


def local(exported: Path, pb_utils: Any, model: str) -> LoadedModel:
    return LoadedModel(exported / model / "1", model)


def question(seed: int, people: int = 1, extras: int = 3, **more: npt.NDArray[Any]) -> Tensors:
    random = np.random.default_rng(seed)
    return {
        "query": random.standard_normal((people, 385)).astype(np.float32),
        "extra_rows": random.integers(-1, N_FILMS, (people, extras)),
        "extra_scores": random.standard_normal((people, extras)).astype(np.float32),
        "extra_weight": np.full((people, 1), 2, np.float32),
        "top_k": np.full((people, 1), 5, np.int32),
        **more,
    }


def assert_same(given: Tensors, expected: Tensors) -> None:
    assert set(given) == set(expected)
    for name, tensor in expected.items():
        assert given[name].dtype == tensor.dtype
        if np.issubdtype(tensor.dtype, np.floating):
            np.testing.assert_allclose(given[name], tensor, **FLOAT32)
        else:
            np.testing.assert_array_equal(given[name], tensor)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"allowed_rows": np.array([[3, 9, 11, -1]])},
        {"excluded_rows": np.arange(20)[None]},
        {"allowed_rows": np.arange(12)[None], "excluded_rows": np.array([[4]])},
    ],
    ids=["plain", "allowed", "excluded", "both"],
)
def test_retrieval_answers_the_same(client: Any, exported: Path, pb_utils: Any, more: Tensors) -> None:
    tensors = question(1, **more)
    (expected,) = local(exported, pb_utils, "retrieval").infer(tensors)
    assert_same(infer(client, "retrieval", tensors), expected)


def test_retrieval_requests_of_different_lengths_share_batches(client: Any, exported: Path, pb_utils: Any) -> None:
    questions = [question(seed, people=1 + seed % 3, extras=seed % 7) for seed in range(40)]
    before = client.get_inference_statistics("retrieval").model_stats[0]
    with ThreadPoolExecutor(len(questions)) as threads:
        answers = list(threads.map(lambda tensors: infer(client, "retrieval", tensors), questions))
    for given, expected in zip(answers, local(exported, pb_utils, "retrieval").infer(*questions), strict=True):
        assert_same(given, expected)
    after = client.get_inference_statistics("retrieval").model_stats[0]
    assert after.execution_count - before.execution_count < len(questions)


@pytest.mark.parametrize("model", SCORERS)
def test_candidates_are_scored_the_same(client: Any, exported: Path, model: str) -> None:
    weights = np.full((3, len(SOURCES)), 1 / 7, dtype=np.float32)
    tensors = {**history_batch(N_FILMS, 3, seed=4), **candidate_batch(N_FILMS, weights, seed=4)}
    tensors["candidate_rows"][0, -1] = -1
    assert_same(infer(client, model, tensors), onnx_run(exported / model / "1" / "model.onnx")(tensors))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (question(1) | {"top_k": np.zeros((1, 1), np.int32)}, "top_k holds 0: at least 1"),
        (question(1, excluded_rows=np.array([[99]])), "excluded_rows holds 99: rows are 0 to 29"),
    ],
    ids=["top_k", "excluded_rows"],
)
def test_a_bad_question_is_an_invalid_argument(client: Any, tensors: Tensors, message: str) -> None:
    with pytest.raises(InferenceServerException, match=message) as caught:
        infer(client, "retrieval", tensors)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_tokenizer_answers_the_same(client: Any, exported: Path, pb_utils: Any) -> None:
    tensors = {"TEXT": np.array([[b"a b c"], [b""], [b"unknown " * 30]], dtype=object)}
    (expected,) = local(exported, pb_utils, "tokenizer").infer(tensors)
    assert_same(infer(client, "tokenizer", tensors), expected)


def test_image_decoder_answers_the_same(client: Any, exported: Path, pb_utils: Any, world: TinyWorld) -> None:
    posters = [world.dataset.poster_paths[row].read_bytes() for row in range(3)]
    tensors = {"IMAGE": np.array([[poster] for poster in posters], dtype=object)}
    (expected,) = local(exported, pb_utils, "image_decoder").infer(tensors)
    assert_same(infer(client, "image_decoder", tensors), expected)
    with pytest.raises(InferenceServerException, match="IMAGE 0: not a readable image"):
        infer(client, "image_decoder", {"IMAGE": np.array([[b"nonsense"]], dtype=object)})


def test_texts_and_posters_become_the_vectors_of_the_release(client: Any, world: TinyWorld) -> None:
    texts = np.array([[film_text(film).encode()] for film in world.trained.catalog.films], dtype=object)
    given = infer(client, "text_embedding", {"TEXT": texts})["embedding"]
    np.testing.assert_allclose(given, world.trained.content.text, **FLOAT32)
    images = np.array([[world.dataset.poster_paths[row].read_bytes()] for row in range(16)], dtype=object)
    given = infer(client, "image_embedding", {"IMAGE": images})["embedding"]
    np.testing.assert_allclose(given, world.trained.content.poster[:16], **FLOAT32)


@pytest.mark.parametrize("people", [1, 7])
def test_the_hybrid_ensemble_is_its_steps(client: Any, exported: Path, pb_utils: Any, people: int) -> None:
    histories = history_batch(N_FILMS, people, seed=4)
    weights = np.tile(np.arange(1, 1 + len(SOURCES), dtype=np.float32), (people, 1))
    top_k = np.full((people, 1), 6, np.int32)
    graphs = {model: onnx_run(exported / model / "1" / "model.onnx") for model in (*USER_ENCODERS, "fusion")}
    encoded = {model: graphs[model](histories) for model in USER_ENCODERS}
    fused = graphs["fusion"](
        {
            "sequence_embedding": encoded["sequence_encoder"]["user_embedding"],
            "two_tower_embedding": encoded["user_tower"]["user_embedding"],
            "ials_embedding": encoded["ials_user"]["user_embedding"],
            **encoded["content_profile"],
            "weights": weights,
        }
    )
    (expected,) = local(exported, pb_utils, "retrieval").infer(
        {
            "query": fused["query"],
            "extra_rows": encoded["ease"]["candidate_rows"],
            "extra_scores": encoded["ease"]["candidate_scores"],
            "extra_weight": fused["ease_weight"],
            "top_k": top_k,
        }
    )
    assert_same(infer(client, "hybrid_candidates", histories | {"weights": weights, "top_k": top_k}), expected)
