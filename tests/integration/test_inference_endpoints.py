"""The v2 endpoints of the running service: the vectors the index was built with come out over HTTP and over gRPC."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.http

from clients.v2_grpc_client import V2GrpcClient
from clients.v2_http_client import V2HttpClient
from features.catalog import Catalog
from features.text import film_text
from tests.conftest import Service

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

VECTOR_TOLERANCE = 2e-3
"""Between batches of other sizes and padding lengths, and torch at export against onnxruntime here: measured below 1e-3
for unit vectors."""


def index_files(service: Service) -> Path:
    return service.release.repository / "retrieval" / str(service.release.number)


@pytest.fixture(params=["http", "grpc"])
def client(request: pytest.FixtureRequest, service: Service):  # type: ignore[no-untyped-def]
    if request.param == "http":
        with V2HttpClient(f"127.0.0.1:{service.port}") as http:
            yield http
    else:
        with V2GrpcClient(f"127.0.0.1:{service.grpc_port}") as grpc:
            yield grpc


def test_text_gives_the_vectors_of_the_index(service: Service, client: V2HttpClient) -> None:
    films = Catalog.load(index_files(service) / "catalog.json").films[:40]
    vectors = client.embed_text([film_text(film) for film in films])
    released = np.load(index_files(service) / "text_vectors.npy")[:40]
    np.testing.assert_allclose(vectors, released, atol=VECTOR_TOLERANCE)


def test_posters_give_the_vectors_of_the_index(service: Service, client: V2HttpClient) -> None:
    films = Catalog.load(index_files(service) / "catalog.json").films[:6]
    posters = next((service.release.home / "data").rglob("posters"))
    vectors = client.embed_images([(posters / f"{film.movie_id}.jpg").read_bytes() for film in films])
    released = np.load(index_files(service) / "poster_vectors.npy")[:6]
    np.testing.assert_allclose(vectors, released, atol=VECTOR_TOLERANCE)


def test_a_broken_picture_is_refused_in_words(service: Service) -> None:
    broken = pytest.raises(tritonclient.http.InferenceServerException, match="image")
    with V2HttpClient(f"127.0.0.1:{service.port}") as http, broken:
        http.embed_images([b"not a picture"])


def test_candidates_are_the_same_over_both_protocols(service: Service) -> None:
    weights = [0.5, 0.2, 0.1, 0.1, 0.0, 0.05, 0.05]
    with V2HttpClient(f"127.0.0.1:{service.port}") as http, V2GrpcClient(f"127.0.0.1:{service.grpc_port}") as grpc:
        assert http.candidates([1, 2, 3], 20, weights).tolist() == grpc.candidates([1, 2, 3], 20, weights).tolist()


def test_the_torchscript_tower_answers_like_the_onnx_tower(service: Service) -> None:
    history = np.zeros((7, 50), dtype=np.int64)
    for row in range(1, 7):  # row 0 stays empty
        history[row, : row * 8] = np.arange(1, row * 8 + 1) * row
    inputs = {"history": history, "ratings": np.zeros((7, 50), np.float32), "age_days": np.zeros((7, 50), np.float32)}
    with V2HttpClient(f"127.0.0.1:{service.port}") as http:
        metadata = httpx.get(f"{service.url}/v2/models/user_tower_torchscript").json()
        names = [tensor["name"] for tensor in metadata["inputs"]]
        by_order = dict(zip(names, inputs.values(), strict=True))
        torchscript = http.infer("user_tower_torchscript", by_order, metadata["outputs"][0]["name"])
        onnx = http.infer("user_tower", inputs, "user_embedding")
    np.testing.assert_allclose(torchscript, onnx, atol=1e-5)  # fp32 sums in another order


def test_every_model_serves_the_release_alone(service: Service) -> None:
    for model in httpx.post(f"{service.url}/v2/repository/index").json():
        if model.get("state") == "READY":
            assert model["version"] == str(service.release.number)


def test_config_shows_the_device_of_every_model(service: Service) -> None:
    devices = httpx.get(f"{service.url}/config").json()["models"]
    assert set(devices.values()) <= {"cpu", "cuda:0"}
    assert {"sequence_encoder", "user_tower", "retrieval", "text_embedding", "image_embedding"} <= set(devices)


def test_metrics_speak_of_models_and_recommendations(service: Service) -> None:
    httpx.post(f"{service.url}/recommend", json={"history": [1], "top_k": 1}).raise_for_status()
    text = httpx.get(f"{service.url}/metrics").text
    assert 'nv_inference_request_success{model="retrieval"' in text
    assert "recsys_" in text


def test_the_workers_connections_are_ours(service: Service) -> None:
    """They send an answer in one piece; uvicorn's own would send head and body apart."""
    with socket.create_connection(("127.0.0.1", service.port), 20) as wire:
        for _ in range(20):
            wire.sendall(b"GET /v2 HTTP/1.1\r\nHost: films\r\n\r\n")
            head, body = wire.recv(65536).split(b"\r\n\r\n", 1)
            assert b"content-length: %d" % len(body) in head
            assert body.startswith(b"{")
