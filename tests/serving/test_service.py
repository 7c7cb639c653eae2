"""The service as people start it: `bentoml serve bento.service:Recommender`, on the genre world's repository."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.grpc
from tritonclient.utils import np_to_triton_dtype

from bento.stores.connection.embedded_redis import listens, socket_path
from features.history import WatchHistory, history_tensors
from tests.recommender import live_world
from tests.serving.service_process import START_LIMIT_S, Served, free_ports, serve, start

pytestmark = [pytest.mark.integration, pytest.mark.redis]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("live") / "model_repository"
    live_world.write_repository(folder)
    return folder


@pytest.fixture(scope="module")
def served(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = start(repository, tmp_path_factory.mktemp("home"))
    yield running
    running.process.terminate()
    running.process.communicate(timeout=START_LIMIT_S)


def test_recommendations_come_from_the_models(served: Served) -> None:
    answer = served.recommend(history=[202, 203], top_k=4)
    assert [film["movie_id"] for film in answer["recommendations"]] == [200, 201, 204, 205]
    assert (answer["strategy"], answer["degraded"], answer["release"]) == ("hybrid", [], 1)


def test_the_second_answer_comes_from_redis(served: Served) -> None:
    served.recommend(user_id="ann", top_k=7)
    assert served.recommend(user_id="ann", top_k=7)["cached"] is True


def test_an_event_changes_the_next_answer(served: Served) -> None:
    before = served.recommend(user_id="eve", top_k=3)
    event = {"user_id": "eve", "item_id": 302, "event_type": "like"}
    assert httpx.post(f"{served.url}/events", json=event).json()["stored_in"] == "redis"
    after = served.recommend(user_id="eve", top_k=3)
    assert (before["strategy"], after["strategy"]) == ("cold_start", "hybrid")
    assert [film["movie_id"] for film in after["recommendations"]] == [300, 301, 303]


def test_the_inference_protocol_is_on_the_same_port(served: Served) -> None:
    assert served.get("/v2").json()["name"] == "triton"
    assert served.get("/v2/models/ease/versions/1").json()["name"] == "ease"


def test_the_inference_protocol_is_on_grpc(served: Served) -> None:
    first_horror_film = WatchHistory(np.array([6]), np.zeros(1, np.float32), np.zeros(1, np.int64))
    with tritonclient.grpc.InferenceServerClient(served.grpc_url) as client:
        assert client.is_server_ready()
        inputs = []
        for name, values in history_tensors([first_horror_film]).items():
            tensor = tritonclient.grpc.InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
            tensor.set_data_from_numpy(values)
            inputs.append(tensor)
        answer = client.infer("sequence_encoder", inputs, model_version="1")
        assert answer.as_numpy("user_embedding")[0, :4].tolist() == [0, 1, 0, 0]


def test_probes_and_metrics_stay_with_bentoml(served: Served) -> None:
    assert served.get("/livez").status_code == 200
    assert served.get("/readyz").status_code == 200
    served.recommend(history=[202])
    metrics = served.get("/metrics").text
    families = {line.split("_")[0] for line in metrics.splitlines() if line and not line.startswith("#")}
    assert {"bentoml", "recsys", "nv"} <= families


def test_health_and_config_say_what_runs(served: Served) -> None:
    health = served.get("/health").json()
    redis = {"redis": "ok", "redis_data": "kept", "redis_warnings": []}
    assert health == {"status": "ok", "release": 1, "movies_loaded": 24, "people_known": 3, **redis}
    config = served.get("/config").json()
    assert config["models"]["retrieval"] == "cpu"
    assert config["settings"]["redis_url"] == "embedded"


def test_an_unknown_path_is_answered_in_our_shape(served: Served) -> None:
    response = served.get("/nowhere")
    assert (response.status_code, response.json()["success"]) == (404, False)


@pytest.mark.parametrize("path", ["/recommend", "/events", "/v2/models/ease/infer"])
def test_a_body_of_200_megabytes_is_told_that_it_is_too_large(served: Served, path: str) -> None:
    response = httpx.post(f"{served.url}{path}", content=b" " * 200_000_000, timeout=60)
    assert response.status_code == 413
    assert served.get("/health").status_code == 200


@pytest.mark.chaos
async def test_no_request_fails_while_redis_is_killed_and_hung(served: Served) -> None:
    statuses: Counter[int] = Counter()
    stop = asyncio.Event()

    async def somebody(client: httpx.AsyncClient, name: str) -> None:
        while not stop.is_set():
            response = await client.post(f"{served.url}/recommend", json={"user_id": name, "history": [202]})
            statuses[response.status_code] += 1
            assert response.json()["recommendations"]

    async def until_redis(client: httpx.AsyncClient, state: str) -> None:
        async with asyncio.timeout(30):
            while (await client.get(f"{served.url}/health")).json()["redis"] != state:
                await asyncio.sleep(0.05)

    async with httpx.AsyncClient(timeout=30) as client:
        people = [asyncio.create_task(somebody(client, f"somebody {n}")) for n in range(4)]
        os.kill(served.redis_pid, signal.SIGKILL)
        await until_redis(client, "not_available")
        await until_redis(client, "ok")  # it was started again
        os.kill(served.redis_pid, signal.SIGSTOP)
        await until_redis(client, "not_available")
        os.kill(served.redis_pid, signal.SIGCONT)
        await until_redis(client, "ok")
        stop.set()
        await asyncio.gather(*people)
    assert set(statuses) == {200}


def test_two_instances_run_beside_each_other_and_end_without_a_trace(
    served: Served, repository: Path, tmp_path: Path
) -> None:
    served.recommend(history=[203])
    second = start(repository, tmp_path)
    second.recommend(user_id="only here", history=[202])
    ours = 'recsys_requests_total{route="POST /recommend",status="200"}'
    assert f"{ours} 1.0" in second.get("/metrics").text
    assert ours in served.get("/metrics").text  # the first one's metrics were not emptied
    second.process.terminate()
    output = second.process.communicate(timeout=START_LIMIT_S)[0].decode()
    assert "Traceback" not in output
    assert not listens(socket_path(tmp_path / "redis"))
    assert served.get("/health").json()["redis"] == "ok"


def test_qdrant_answers_like_the_release_s_own_index(served: Served, repository: Path, tmp_path: Path) -> None:
    second = start(repository, tmp_path, INDEX="qdrant")
    try:
        for asked in ({"history": [202], "top_k": 20}, {"user_id": "ann", "top_k": 5}, {"history": [100, 400]}):
            films = [
                [(film["movie_id"], round(film["score"], 4)) for film in one.recommend(**asked)["recommendations"]]
                for one in (served, second)
            ]
            assert films[0] == films[1]
        asked = {"history": [202], "genres": ["War"], "min_year": 1993, "top_k": 10}
        answer = httpx.post(f"{second.url}/recommend/filtered", json=asked, timeout=30).json()
        assert [film["movie_id"] for film in answer["recommendations"]] == [403, 404, 405]
        assert (answer["strategy"], answer["degraded"]) == ("hybrid", [])
    finally:
        second.process.terminate()
        second.process.communicate(timeout=START_LIMIT_S)


def test_a_wrong_setting_ends_the_start_in_one_line() -> None:
    process = serve({"PORT": "three"})
    output = process.communicate(timeout=START_LIMIT_S)[0].decode()
    assert process.returncode == 1
    assert output.strip() == "marquee: PORT='three': expected a whole number from 0 to 65535"


def test_a_damaged_release_ends_the_start_in_one_line(tmp_path: Path) -> None:
    live_world.write_repository(tmp_path)
    manifest = json.loads((tmp_path / "release.json").read_text())
    (tmp_path / "fusion" / "1" / "model.py").write_text("# another one")
    assert manifest["current"] == 1
    process = serve({"MODEL_REPOSITORY": str(tmp_path), "MARQUEE_HOME": str(tmp_path / "home")})
    output = process.communicate(timeout=START_LIMIT_S)[0].decode()
    assert process.returncode == 1
    assert output.startswith("marquee: release 1 is damaged: fusion/1/model.py: has 13 bytes instead of ")
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize("setting", ["PORT", "GRPC_PORT", "--port"])
def test_a_taken_port_ends_the_start_in_one_line(setting: str, repository: Path, tmp_path: Path) -> None:
    environment = dict(zip(("PORT", "GRPC_PORT"), map(str, free_ports(2)), strict=True))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = (setting, str(port)) if setting == "--port" else ()
        if not arguments:
            environment[setting] = str(port)
        process = serve({"MODEL_REPOSITORY": str(repository), "MARQUEE_HOME": str(tmp_path), **environment}, *arguments)
        output = process.communicate(timeout=START_LIMIT_S)[0].decode()
    assert process.returncode == 1
    name = "GRPC_PORT" if setting == "GRPC_PORT" else "PORT"
    assert output.strip() == (
        f"marquee: {name}={port}: Address already in use. Stop what uses the port, or set another one"
    )


def test_a_home_that_cannot_be_made_ends_the_start_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = serve({"MARQUEE_HOME": str(tmp_path / "file" / "home")})
    output = process.communicate(timeout=START_LIMIT_S)[0].decode()
    assert process.returncode == 1
    assert output.strip() == f"marquee: MARQUEE_HOME={tmp_path}/file/home: Not a directory"


def test_a_model_that_does_not_load_ends_the_service(tmp_path: Path) -> None:
    live_world.write_repository(tmp_path, model_py={"fusion": "raise RuntimeError('this model is broken')"})
    ports = dict(zip(("PORT", "GRPC_PORT"), map(str, free_ports(2)), strict=True))
    process = serve({"MODEL_REPOSITORY": str(tmp_path), "MARQUEE_HOME": str(tmp_path / "home"), **ports})
    output = process.communicate(timeout=START_LIMIT_S)[0].decode()
    assert output.count("Application startup failed") <= 2  # said once, logged by two loggers: no second try
    assert "this model is broken" in output
    assert not listens(socket_path(tmp_path / "home" / "redis"))
