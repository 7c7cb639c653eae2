"""Locust users over HTTP and gRPC: `make load`, or `locust -f loadtest/locustfile.py --host http://127.0.0.1:3000`.

`RecommenderUser` asks POST /recommend, `V2HttpUser` and `V2GrpcUser` the user tower through NVIDIA's clients.
MARQUEE_GRPC (host:port, 127.0.0.1:8001) says where gRPC listens; a server that asks who is calling wants --api-key, or
MARQUEE_API_KEY in the environment, with a role that may ask for anybody.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any

import grpc.experimental.gevent
import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from locust import FastHttpUser, User, between, events, task
from locust.env import Environment

from loadtest.api_key import signed
from loadtest.workload import Workload, workload_from_answer

grpc.experimental.gevent.init_gevent()

GRPC_ADDRESS = os.environ.get("MARQUEE_GRPC", "127.0.0.1:8001")
HISTORY_LENGTH = 50
CATALOGUE_SAMPLE = 200


class RecommenderUser(FastHttpUser):
    """A person on a film site: asks, reads, asks again."""

    weight = 4
    wait_time = between(0.05, 0.2)
    workload: Workload

    def __init__(self, environment: Environment) -> None:
        self.default_headers = signed(environment)
        super().__init__(environment)

    def on_start(self) -> None:
        self.chance = random.Random(id(self))
        answer = self.client.post(
            "/recommend", json={"user_id": "load-test", "top_k": CATALOGUE_SAMPLE}, name="first look"
        )
        self.workload = workload_from_answer(answer.json()["recommendations"])

    @task
    def recommend(self) -> None:
        body = self.workload.recommend_body(self.chance)
        with self.client.post("/recommend", json=body, name="POST /recommend", catch_response=True) as response:
            if response.status_code != 200:
                response.failure(f"HTTP {response.status_code}: {response.text[:200]}")
            elif not response.json()["recommendations"]:
                response.failure("an empty list of recommendations")


def random_history(chance: random.Random, triton: Any) -> list[Any]:
    """Inputs of a user tower for one random history of 5 to 50 films, in the client flavour `triton`."""
    length = chance.randint(5, HISTORY_LENGTH)
    history = np.zeros((1, HISTORY_LENGTH), dtype=np.int64)
    history[0, :length] = [chance.randint(1, CATALOGUE_SAMPLE) for _ in range(length)]
    nothing = np.zeros((1, HISTORY_LENGTH), dtype=np.float32)
    tensors = []
    for name, array, datatype in (
        ("history", history, "INT64"),
        ("ratings", nothing, "FP32"),
        ("age_days", nothing, "FP32"),
    ):
        tensor = triton.InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array)
        tensors.append(tensor)
    return tensors


class V2User(User):
    """A program that calls the inference endpoints; its calls are reported as Locust requests."""

    abstract = True
    wait_time = between(0.05, 0.2)

    def timed(self, kind: str, name: str, call: Callable[[], Any]) -> None:
        """Run `call` and report its time, or its failure, under `name`."""
        started = time.perf_counter()
        failure: Exception | None = None
        try:
            call()
        except triton_http.InferenceServerException as error:
            failure = error
        self.environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=(time.perf_counter() - started) * 1000,
            response_length=0,
            exception=failure,
            context={},
        )


class V2HttpUser(V2User):
    """tritonclient over HTTP."""

    def on_start(self) -> None:
        self.chance = random.Random(id(self))
        self.triton = triton_http.InferenceServerClient(str(self.host).removeprefix("http://"))
        self.headers = signed(self.environment)

    def on_stop(self) -> None:
        self.triton.close()

    @task
    def user_tower(self) -> None:
        inputs = random_history(self.chance, triton_http)
        self.timed("HTTP", "v2 user_tower", lambda: self.triton.infer("user_tower", inputs, headers=self.headers))


class V2GrpcUser(V2User):
    """tritonclient over gRPC."""

    def on_start(self) -> None:
        self.chance = random.Random(id(self))
        self.triton = triton_grpc.InferenceServerClient(GRPC_ADDRESS)
        self.headers = signed(self.environment)

    def on_stop(self) -> None:
        self.triton.close()

    @task
    def user_tower(self) -> None:
        inputs = random_history(self.chance, triton_grpc)
        self.timed("gRPC", "v2 user_tower", lambda: self.triton.infer("user_tower", inputs, headers=self.headers))


@events.quitting.add_listener
def fail_on_errors(environment: Environment, **_: Any) -> None:
    """Any failed request makes the command fail, so that a script notices."""
    if environment.stats.total.num_requests == 0 or environment.stats.total.num_failures > 0:
        environment.process_exit_code = 1
