"""Sequences through a running model: controls, implicit state, errors, and sequences side by side."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from bento.inference.core.errors import InvalidRequest, RepositoryFailed
from bento.inference.core.messages import InferRequest, SequenceControl
from bento.inference.server import InferenceServer
from tests.inference.model_folders import tensor, write_onnx, write_python
from tests.inference.running_servers import StartServer

CONTROLS = """
    control_input { name: "START" control { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } }
    control_input { name: "END" control { kind: CONTROL_SEQUENCE_END fp32_false_true: [ 0, 1 ] } }
    control_input { name: "READY" control { kind: CONTROL_SEQUENCE_READY bool_false_true: [ false, true ] } }
    control_input { name: "CORRID" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } }
"""
SUMMING = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        self.sums = {}

    def execute(self, requests):
        responses = []
        for request in requests:
            told = {t.name(): t.as_numpy().ravel()[0] for t in request.inputs()}
            if not told["READY"]:
                responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("Y", np.zeros((1, 1), np.float32))]))
                continue
            if told["START"]:
                self.sums[told["CORRID"]] = 0
            self.sums[told["CORRID"]] += told["X"]
            total = self.sums[told["CORRID"]] if not told["END"] else -self.sums.pop(told["CORRID"])
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("Y", np.array([[total]], np.float32))]))
        return responses
"""
"""Sums X over a sequence; the last answer is the negative sum."""

X_TO_Y = 'input { name: "X" data_type: TYPE_FP32 dims: 1 } output { name: "Y" data_type: TYPE_FP32 dims: 1 }'


def write_summing(repository: Path, name: str, strategy: str, more: str = "") -> None:
    config = f"{X_TO_Y} max_batch_size: 4 sequence_batching {{ {strategy} {CONTROLS} }} {more}"
    write_python(repository, name, config, SUMMING)


async def ask(
    server: InferenceServer, name: str, id: int | str, value: float, *, start: bool = False, end: bool = False
) -> float:
    request = InferRequest(name, {"X": np.full((1, 1), value, np.float32)}, sequence=SequenceControl(id, start, end))
    return float((await server.infer(request)).outputs["Y"][0, 0])


@pytest.mark.parametrize("strategy", ["direct { }", "oldest { max_candidate_sequences: 8 }"])
async def test_sequences_do_not_mix(strategy: str, repository: Path, start_server: StartServer) -> None:
    write_summing(repository, "summing", strategy, "instance_group [{ count: 2 }]")
    server = await start_server()

    async def one(id: int) -> None:
        assert await ask(server, "summing", id, id, start=True) == id
        assert await ask(server, "summing", id, id) == 2 * id
        assert await ask(server, "summing", id, id, end=True) == -3 * id

    await asyncio.gather(*(one(id) for id in range(1, 31)))


async def test_requests_sent_ahead_are_answered_in_order(repository: Path, start_server: StartServer) -> None:
    write_summing(repository, "summing", "direct { }")
    server = await start_server()
    answers = await asyncio.gather(
        *(ask(server, "summing", 7, 1, start=number == 0, end=number == 9) for number in range(10))
    )
    assert answers == [1, 2, 3, 4, 5, 6, 7, 8, 9, -10]


async def test_what_a_sequence_must_not_do_is_told_in_tritons_words(
    repository: Path, start_server: StartServer
) -> None:
    write_summing(repository, "summing", "direct { }")
    server = await start_server()
    plain = InferRequest("summing", {"X": np.zeros((1, 1), np.float32)})
    with pytest.raises(InvalidRequest, match="must specify a non-zero or non-empty correlation ID"):
        await server.infer(plain)
    with pytest.raises(InvalidRequest) as caught:
        await ask(server, "summing", 5, 0)
    assert str(caught.value) == (
        "inference request for sequence 5 to model 'summing' must specify the START flag on the first request of the "
        "sequence"
    )
    with pytest.raises(InvalidRequest, match="data-type is 'BYTES', but model 'summing' expects 'UINT64'"):
        await ask(server, "summing", "five", 0, start=True)
    wide = InferRequest("summing", {"X": np.zeros((2, 1), np.float32)}, sequence=SequenceControl(5, start=True))
    with pytest.raises(InvalidRequest, match="must specify batch-size 1 due to requirements of sequence batcher"):
        await server.infer(wide)


async def test_an_idle_sequence_is_forgotten_and_the_backlog_moves_up(
    repository: Path, start_server: StartServer
) -> None:
    strategy = "max_sequence_idle_microseconds: 30000 direct { }"
    write_summing(repository, "summing", strategy)
    text = (repository / "summing" / "config.pbtxt").read_text().replace("max_batch_size: 4", "max_batch_size: 1")
    (repository / "summing" / "config.pbtxt").write_text(text)
    server = await start_server()
    assert await ask(server, "summing", 1, 1, start=True) == 1
    assert await ask(server, "summing", 2, 2, start=True) == 2  # waits until sequence 1 is forgotten
    with pytest.raises(InvalidRequest, match="must specify the START flag"):
        await ask(server, "summing", 1, 1)


class TestImplicitState:
    """An ONNX graph without memory: Y = X + STATE_IN, STATE_OUT = Y."""

    config = """
        max_batch_size: 4
        input { name: "X" data_type: TYPE_FP32 dims: 1 }
        output { name: "Y" data_type: TYPE_FP32 dims: 1 }
        sequence_batching {
          state { input_name: "STATE_IN" output_name: "STATE_OUT" data_type: TYPE_FP32 dims: 1 %s }
        }
    """

    def write(self, repository: Path, initial: str = "") -> Path:
        shape: list[int | str] = ["batch", 1]
        return write_onnx(
            repository,
            "running_sum",
            [helper.make_node("Add", ["X", "STATE_IN"], ["Y"]), helper.make_node("Identity", ["Y"], ["STATE_OUT"])],
            [tensor("X", "FP32", shape), tensor("STATE_IN", "FP32", shape)],
            [tensor("Y", "FP32", shape), tensor("STATE_OUT", "FP32", shape)],
            config=self.config % initial,
        )

    async def test_it_is_kept_per_sequence_and_begins_with_zero(
        self, repository: Path, start_server: StartServer
    ) -> None:
        self.write(repository)
        server = await start_server()

        async def one(id: int) -> None:
            totals = [await ask(server, "running_sum", id, id, start=step == 0, end=step == 3) for step in range(4)]
            assert totals == [id, 2 * id, 3 * id, 4 * id]

        await asyncio.gather(*(one(id) for id in range(1, 21)))
        await one(1)

    async def test_clients_do_not_see_it(self, repository: Path, start_server: StartServer) -> None:
        self.write(repository)
        server = await start_server()
        request = InferRequest(
            "running_sum", {"X": np.ones((1, 1), np.float32)}, requested_outputs=("Y",),
            sequence=SequenceControl(1, start=True),
        )  # fmt: skip
        assert list((await server.infer(request)).outputs) == ["Y"]
        assert await ask(server, "running_sum", 1, 1) == 2
        assert [io["name"] for io in server.model_metadata("running_sum")["inputs"]] == ["X"]  # type: ignore[attr-defined]

    async def test_it_may_begin_with_a_file(self, repository: Path, start_server: StartServer) -> None:
        folder = self.write(
            repository, 'initial_state { name: "ten" data_type: TYPE_FP32 dims: 1 data_file: "ten.bin" }'
        )
        (folder / "initial_state").mkdir()
        (folder / "initial_state" / "ten.bin").write_bytes(np.float32(10).tobytes())
        assert await ask(await start_server(), "running_sum", 1, 1, start=True) == 11

    async def test_a_missing_file_is_told(self, repository: Path, start_server: StartServer) -> None:
        self.write(repository, 'initial_state { name: "ten" data_type: TYPE_FP32 dims: 1 data_file: "ten.bin" }')
        with pytest.raises(RepositoryFailed, match="failed to read initial state 'STATE_IN'"):
            await start_server()


async def test_an_incomplete_control_is_refused(repository: Path, start_server: StartServer) -> None:
    write_python(
        repository,
        "summing",
        f"""{X_TO_Y} max_batch_size: 1 sequence_batching {{
            control_input {{ name: "START" control {{ kind: CONTROL_SEQUENCE_START }} }} }}""",
        SUMMING,
    )
    with pytest.raises(RepositoryFailed, match="must specify either 'int32_false_true'"):
        await start_server()
