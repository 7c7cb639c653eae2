"""SIGTERM, once and twice, and a killed supervisor: what clients of a real `bentoml serve` see of its end."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import httpx
import numpy as np
import psutil
import pytest
import tritonclient.grpc
import tritonclient.http
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.utils import np_to_triton_dtype

from bento.serving.ports import check_port_is_free
from bento.stores.connection.embedded_redis import listens, socket_path
from features.history import WatchHistory, history_tensors
from tests.held_model import Hold
from tests.recommender import live_world
from tests.serving.service_process import Served, start

pytestmark = [pytest.mark.redis, pytest.mark.timeout(300)]

MODEL = "sequence_encoder"
PATIENCE_S = 60.0
LONG_DRAIN_S = 20
"""A service that is gone sooner has not waited for its drain."""


@pytest.fixture
def hold(tmp_path: Path) -> Hold:
    return Hold(tmp_path)


@pytest.fixture
def repository(tmp_path: Path, hold: Hold) -> Path:
    folder = tmp_path / "model_repository"
    live_world.write_repository(folder, {MODEL: hold.holding(live_world.MODEL_PY)})
    return folder


@pytest.fixture
def begin(repository: Path, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts a service with some settings; what still runs at the end is killed."""
    running: list[Served] = []

    def started(**settings: str) -> Served:
        running.append(start(repository, tmp_path / f"home{len(running)}", **settings))
        return running[-1]

    yield started
    for served in running:
        if served.process.poll() is None:
            os.killpg(served.process.pid, signal.SIGKILL)
        served.process.communicate(timeout=PATIENCE_S)


def until(true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline_s, f"not within {PATIENCE_S:.0f} s"
        time.sleep(0.02)


def port(served: Served) -> int:
    return int(served.url.rpartition(":")[2])


def grpc_port(served: Served) -> int:
    return int(served.grpc_url.rpartition(":")[2])


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S).close()
    except ConnectionRefusedError:
        return True
    return False


def worker(served: Served) -> psutil.Process:
    children = psutil.Process(served.process.pid).children()
    return next(child for child in children if "_bentoml_impl.worker.service" in child.cmdline())


def nothing_is_left(served: Served, left: psutil.Process) -> None:
    until(lambda: not left.is_running())
    assert not listens(socket_path(served.home / "redis"))
    check_port_is_free("PORT", "127.0.0.1", port(served))
    check_port_is_free("GRPC_PORT", "127.0.0.1", grpc_port(served))


def infer(library: ModuleType, client: Any) -> list[float]:
    """The first numbers of the answer to somebody who watched the first horror film: 0, 1, 0, 0."""
    inputs = []
    first_horror_film = WatchHistory(np.array([6]), np.zeros(1, np.float32), np.zeros(1, np.int64))
    for name, values in history_tensors([first_horror_film]).items():
        tensor = library.InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
        tensor.set_data_from_numpy(values)
        inputs.append(tensor)
    numbers: list[float] = client.infer(MODEL, inputs).as_numpy("user_embedding")[0, :4].tolist()
    return numbers


def infer_over_http(served: Served) -> list[float]:
    address = served.url.removeprefix("http://")
    with tritonclient.http.InferenceServerClient(address, network_timeout=PATIENCE_S) as client:
        return infer(tritonclient.http, client)


def infer_over_grpc(served: Served) -> list[float]:
    with tritonclient.grpc.InferenceServerClient(served.grpc_url) as client:
        return infer(tritonclient.grpc, client)


class Instances:
    """A client of several instances in turn, which leaves one that closes its connections or refuses them."""

    def __init__(self, urls: list[str], seen: Counter[str]) -> None:
        self._urls = list(urls)
        self._seen = seen
        self._asked = 0

    async def ask_until(self, stop: asyncio.Event, new_connections: bool) -> None:
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            while not stop.is_set():
                self._asked += 1
                url = self._urls[self._asked % len(self._urls)]
                headers = {"connection": "close"} if new_connections else {}
                try:
                    response = await client.post(f"{url}/recommend", json={"history": [202]}, headers=headers)
                except httpx.ConnectError:
                    self._seen["refused"] += 1
                    self._urls.remove(url)
                    continue
                except httpx.TransportError as error:
                    self._seen[repr(error)] += 1
                    continue
                self._seen[str(response.status_code)] += 1
                if not new_connections and response.headers.get("connection") == "close":
                    self._seen["closed"] += 1
                    self._urls.remove(url)


@pytest.mark.parametrize("tell", [os.kill, os.killpg], ids=["supervisor", "process-group"])
async def test_no_request_is_lost_when_one_of_two_instances_goes_away(
    begin: Callable[..., Served], tell: Callable[[int, int], None]
) -> None:
    going, staying = begin(DRAIN_S="2"), begin()
    seen: Counter[str] = Counter()
    stop = asyncio.Event()
    clients = [
        asyncio.create_task(Instances([going.url, staying.url], seen).ask_until(stop, new_connections=n % 2 == 1))
        for n in range(6)
    ]
    while seen["200"] < 100:
        await asyncio.sleep(0.01)
    tell(going.process.pid, signal.SIGTERM)
    assert await asyncio.to_thread(going.process.wait, PATIENCE_S) == 0
    answered = seen["200"]
    while seen["200"] < answered + 50:
        await asyncio.sleep(0.01)
    stop.set()
    await asyncio.gather(*clients)
    print(dict(seen))
    assert seen.keys() <= {"200", "closed", "refused"}
    assert seen["closed"] == 3


def test_while_it_drains_health_is_not_ready_and_requests_are_answered_and_closed(begin: Callable[..., Served]) -> None:
    served = begin(DRAIN_S=str(LONG_DRAIN_S))
    assert served.get("/readyz").status_code == 200
    assert infer_over_http(served) == infer_over_http(served) == [0, 1, 0, 0]  # the second head is cached
    served.process.terminate()
    until(lambda: served.get("/readyz").status_code == 503)
    assert [served.get(path).status_code for path in ("/health", "/v2/health/ready", "/livez")] == [503, 400, 200]
    with grpc.insecure_channel(served.grpc_url) as channel:
        state = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert state.status == health_pb2.HealthCheckResponse.NOT_SERVING
    with tritonclient.grpc.InferenceServerClient(served.grpc_url) as client:
        assert not client.is_server_ready()
    assert infer_over_http(served) == infer_over_grpc(served) == [0, 1, 0, 0]
    answer = httpx.post(f"{served.url}/recommend", json={"history": [202]}, timeout=PATIENCE_S)
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")


@pytest.mark.parametrize("infer_over", [infer_over_http, infer_over_grpc], ids=["http", "grpc"])
def test_a_request_in_flight_is_answered_when_nothing_is_accepted_any_more(
    begin: Callable[..., Served], hold: Hold, infer_over: Callable[[Served], list[float]]
) -> None:
    served = begin()
    hold.begin()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(infer_over, served)
        hold.wait_until_entered()
        served.process.terminate()
        until(lambda: is_refused(port(served)) and is_refused(grpc_port(served)))
        hold.release()
        assert answer.result(PATIENCE_S) == [0, 1, 0, 0]
    assert served.process.wait(PATIENCE_S) == 0


def test_a_grpc_connection_gets_goaway_after_the_drain(begin: Callable[..., Served], hold: Hold) -> None:
    served = begin()
    hold.begin()
    with ThreadPoolExecutor(1) as pool, grpc.insecure_channel(served.grpc_url) as channel:
        held = pool.submit(infer_over_http, served)  # so that the process, and with it the connection, stays
        hold.wait_until_entered()
        states: queue.SimpleQueue[grpc.ChannelConnectivity] = queue.SimpleQueue()
        channel.subscribe(states.put, try_to_connect=True)
        while states.get(timeout=PATIENCE_S) is not grpc.ChannelConnectivity.READY:
            pass
        served.process.terminate()
        assert states.get(timeout=PATIENCE_S) is grpc.ChannelConnectivity.IDLE
        assert not held.done()
        hold.release()
        assert held.result(PATIENCE_S) == [0, 1, 0, 0]


def test_a_worker_that_ends_alone_is_replaced_by_one_that_listens(begin: Callable[..., Served]) -> None:
    served = begin()
    ended = worker(served)
    ended.terminate()
    until(lambda: not ended.is_running() or ended.status() == psutil.STATUS_ZOMBIE)
    until(lambda: not is_refused(port(served)))
    assert served.recommend(history=[202])["strategy"] == "hybrid"


def test_a_second_signal_ends_the_drain_and_requests_in_flight_at_once(
    begin: Callable[..., Served], hold: Hold
) -> None:
    served = begin(DRAIN_S=str(LONG_DRAIN_S))
    left = worker(served)
    hold.begin()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(infer_over_http, served)
        hold.wait_until_entered()
        began_s = time.monotonic()
        while served.process.poll() is None:
            served.process.terminate()
            time.sleep(0.05)
            assert time.monotonic() < began_s + PATIENCE_S
        nothing_is_left(served, left)
        assert time.monotonic() - began_s < LONG_DRAIN_S
        assert served.process.returncode == 128 + signal.SIGTERM
        assert answer.exception(PATIENCE_S) is not None


def test_a_worker_waits_for_nothing_when_its_supervisor_is_killed(begin: Callable[..., Served], hold: Hold) -> None:
    served = begin(DRAIN_S=str(LONG_DRAIN_S))
    left = worker(served)
    hold.begin()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(infer_over_http, served)
        hold.wait_until_entered()
        began_s = time.monotonic()
        served.process.kill()
        nothing_is_left(served, left)
        assert time.monotonic() - began_s < LONG_DRAIN_S
        assert answer.exception(PATIENCE_S) is not None
