"""Everything at once, on the loop that serves: clients that leave, deadlines, timeouts, failures and reloads."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from pathlib import Path

import numpy as np
import uvloop

from bento.inference.core.errors import InferenceError
from bento.inference.core.messages import InferRequest
from bento.inference.core.options import ServerOptions
from bento.inference.server import InferenceServer
from tests.inference.closing import close_with_nothing_left
from tests.inference.model_folders import X_TO_Y, write_add_constant, write_python
from tests.inference.running_servers import FAST_PATH

CLIENTS, REQUESTS_EACH = 32, 60
PATIENCE_S = 30.0
"""An answer that takes longer never comes."""

MOODY = """
import random, time
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        time.sleep(random.random() * 0.002)
        if random.random() < 0.02:
            raise ValueError("in a bad mood")
        values = [pb_utils.get_input_tensor_by_name(request, "X").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("Y", value + 1)]) for value in values]
"""
BOTH = """
    platform: "ensemble" max_batch_size: 8
    input { name: "X" data_type: TYPE_FP32 dims: 1 } output { name: "Y" data_type: TYPE_FP32 dims: 1 }
    ensemble_scheduling {
      step { model_name: "plus" model_version: -1
             input_map { key: "X" value: "X" } output_map { key: "Y" value: "m" } }
      step { model_name: "moody" model_version: -1
             input_map { key: "X" value: "m" } output_map { key: "Y" value: "Y" } }
    }
"""
ADDED = {"plus": 1, "moody": 1, "both": 2}


def write_models(repository: Path) -> None:
    write_add_constant(
        repository,
        "plus",
        1.0,
        config="""
            max_batch_size: 8
            instance_group [{ count: 3 }]
            dynamic_batching {
              max_queue_delay_microseconds: 300
              default_queue_policy {
                default_timeout_microseconds: 20000 allow_timeout_override: true max_queue_size: 50
              }
            }
        """,
    )
    config = f"{X_TO_Y} max_batch_size: 8 dynamic_batching {{ }} instance_group [{{ count: 2 }}]"
    write_python(repository, "moody", config, MOODY)
    (repository / "both" / "1").mkdir(parents=True)
    (repository / "both" / "config.pbtxt").write_text(BOTH)


async def client(server: InferenceServer, chance: random.Random, outcomes: Counter[str]) -> None:
    for _ in range(REQUESTS_EACH):
        name, value, rows = chance.choice(sorted(ADDED)), float(chance.randrange(10**6)), chance.randrange(1, 4)
        request = InferRequest(
            name,
            {"X": np.full((rows, 1), value, np.float32)},
            timeout_us=chance.choice([0, 0, 500]),
            deadline_ns=chance.choice([None, None, time.monotonic_ns() + 3_000_000]),
        )
        answering = asyncio.ensure_future(server.infer(request))
        if chance.random() < 0.2:
            await asyncio.sleep(chance.random() * 0.004)
            answering.cancel()
        try:
            response = await asyncio.wait_for(answering, PATIENCE_S)
        except asyncio.CancelledError:
            outcomes["left"] += 1
        except InferenceError as error:
            outcomes[type(error).__name__] += 1
        else:
            assert response.outputs["Y"].tolist() == [[np.float32(value) + ADDED[name]]] * rows
            outcomes["answered"] += 1


async def reload_now_and_then(server: InferenceServer, repository: Path, stop: asyncio.Event) -> int:
    reloads = 0
    while not stop.is_set():
        name = ("plus", "moody")[reloads % 2]
        os.utime(repository / name / "config.pbtxt")
        await server.load_model(name)
        reloads += 1
        await asyncio.sleep(0.02)
    return reloads


def test_every_request_of_a_storm_is_answered_with_its_own_answer_or_an_error(tmp_path: Path) -> None:
    write_models(tmp_path)
    complaints: list[object] = []

    async def storm() -> tuple[Counter[str], int, dict[tuple[str, str], int]]:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        server = await InferenceServer.start(
            ServerOptions(
                (tmp_path,),
                model_control_mode="explicit",
                load_models=("*",),
                trust_python_models=True,
                device="cpu",
                fast_path=FAST_PATH,
            )
        )
        outcomes: Counter[str] = Counter()
        stop = asyncio.Event()
        reloading = asyncio.create_task(reload_now_and_then(server, tmp_path, stop))
        await asyncio.gather(*(client(server, random.Random(number), outcomes) for number in range(CLIENTS)))
        stop.set()
        reloads = await reloading
        pending = server.pending_requests()
        await asyncio.wait_for(close_with_nothing_left(server), PATIENCE_S)
        return outcomes, reloads, pending

    outcomes, reloads, pending = uvloop.run(storm())
    assert outcomes.total() == CLIENTS * REQUESTS_EACH
    assert outcomes["answered"] > 0
    assert outcomes["left"] > 0
    assert reloads > 0
    assert set(pending.values()) == {0}
    assert complaints == []
