"""What an ensemble asks of its parts, on parts that record it: every wish of the request, and that they stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.core.calls import Lease
from bento.inference.core.errors import BackendFailed
from bento.inference.core.messages import InferRequest, InferResponse, RequestTiming, SequenceControl
from bento.inference.models.ensembles import Ensemble
from bento.inference.models.prepared_requests import PreparedRequests, WireForm
from bento.inference.models.response_cache import ResponseCache
from bento.inference.models.served_model import ServedModel
from bento.inference.models.statistics import ModelStatistics


def config_of(text: str) -> ModelConfig:
    return text_format.Parse(text, ModelConfig())


CHAIN = """
    name: "chain" platform: "ensemble" max_batch_size: 4
    input { name: "IN" data_type: TYPE_FP32 dims: 1 } output { name: "OUT" data_type: TYPE_FP32 dims: 1 }
    ensemble_scheduling {
      step { model_name: "first" model_version: -1 input_map { key: "X" value: "IN" }
             output_map { key: "Y" value: "middle" } }
      step { model_name: "second" model_version: -1 input_map { key: "X" value: "middle" }
             output_map { key: "Y" value: "OUT" } }
    }
"""


@dataclass
class Part:
    """A model that adds 1, records what it is asked, and answers only while it may."""

    name: str
    version: str = "3"
    is_decoupled: bool = False
    device: str = "cpu"
    waiting_count: int = 0
    error: BackendFailed | None = None
    asked: list[InferRequest] = field(default_factory=list)
    labels: dict[str, list[str]] = field(default_factory=dict)
    statistics: ModelStatistics = field(default_factory=ModelStatistics)
    prepared_requests: PreparedRequests = field(default_factory=PreparedRequests)
    lease: Lease = field(default_factory=Lease)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()
        self.config = config_of(
            f'name: "{self.name}" max_batch_size: 4 input {{ name: "X" data_type: TYPE_FP32 dims: 1 }} '
            'output { name: "Y" data_type: TYPE_FP32 dims: 1 }'
        )

    def check(self, request: InferRequest) -> int:
        return len(request.inputs["X"])

    def infer_now(self, request: InferRequest) -> InferResponse | None:
        return None

    def prepare_request(self, request: InferRequest, response: InferResponse, wire: WireForm) -> None:
        pass

    async def infer(self, request: InferRequest) -> InferResponse:
        self.asked.append(request)
        self.was_asked.set()
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        outputs = {"Y": request.inputs["X"] + np.float32(1)}
        return InferResponse(self.name, self.version, request.id, outputs, timing=RequestTiming(1, 20, 300, 4_000))

    async def stream(self, request: InferRequest) -> AsyncIterator[InferResponse]:
        yield await self.infer(request)

    async def close(self) -> None:
        await self.lease.ended()


class Table:
    """The two parts of the chain."""

    cache: ResponseCache | None = None

    def __init__(self) -> None:
        self.first, self.second = Part("first"), Part("second", version="7")

    def get(self, name: str, version: str = "") -> ServedModel:
        return {"first": self.first, "second": self.second}[name]

    def is_served(self, name: str) -> bool:
        return True

    def failure_of(self, name: str) -> str:
        return ""


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def chain(table: Table) -> Ensemble:
    return Ensemble(config_of(CHAIN), 1, {}, table, release=None)


ASKED = InferRequest(
    "chain", {"IN": np.ones((2, 1), np.float32)}, id="request 7", parameters={"shelf": "new"}, priority=2,
    timeout_us=300, deadline_ns=4_000, sequence=SequenceControl(5, start=True, end=True),
)  # fmt: skip


async def test_every_part_is_asked_as_the_ensemble_was(table: Table, chain: Ensemble) -> None:
    answer = await chain.infer(ASKED)
    assert answer.outputs["OUT"].tolist() == [[3], [3]]
    for part, value in ((table.first, 1), (table.second, 2)):
        (asked,) = part.asked
        assert asked.inputs["X"].tolist() == [[value], [value]]
        assert replace(asked, inputs={}) == InferRequest(
            part.name, {}, part.version, ("Y",), "request 7", {"shelf": "new"}, 2, 300, 4_000,
            SequenceControl(5, start=True, end=True),
        )  # fmt: skip


async def test_the_answer_says_which_request_and_sequence_it_is_of(chain: Ensemble) -> None:
    answer = await chain.infer(ASKED)
    assert (answer.model_name, answer.model_version, answer.id) == ("chain", "1", "request 7")
    assert answer.parameters == {"sequence_id": 5, "sequence_start": True, "sequence_end": True}


async def test_the_times_of_the_parts_are_summed_up(chain: Ensemble) -> None:
    assert (await chain.infer(ASKED)).timing == RequestTiming(2, 40, 600, 8_000)
    told = chain.statistics.to_json("chain", "1")["inference_stats"]
    times = {name: entry["ns"] for name, entry in told.items()}  # type: ignore[attr-defined]
    assert (times["queue"], times["compute_input"], times["compute_infer"], times["compute_output"]) == (
        0, 40, 600, 8_000,
    )  # fmt: skip


async def test_every_part_is_held_from_the_first_step_to_the_last(table: Table, chain: Ensemble) -> None:
    """A part that is loaded anew meanwhile is closed only when nobody holds it."""
    parts = table.first, table.second
    table.first.may_answer.clear()
    answer = asyncio.create_task(chain.infer(ASKED))
    await table.first.was_asked.wait()
    assert [part.lease.count for part in parts] == [1, 1]
    assert chain.lease.count == 1
    table.second.may_answer.clear()
    table.first.may_answer.set()
    await table.second.was_asked.wait()
    assert [part.lease.count for part in parts] == [1, 1]
    table.second.may_answer.set()
    await answer
    assert [part.lease.count for part in (*parts, chain)] == [0, 0, 0]


@pytest.mark.parametrize("how", ["fails", "leaves"])
async def test_no_part_is_held_after_a_request_that_ended_early(how: str, table: Table, chain: Ensemble) -> None:
    table.first.may_answer.clear()
    answer = asyncio.create_task(chain.infer(ASKED))
    await table.first.was_asked.wait()
    if how == "leaves":
        answer.cancel()
    table.first.error = BackendFailed("the film is missing")
    table.first.may_answer.set()
    await asyncio.gather(answer, return_exceptions=True)
    assert [holder.lease.count for holder in (table.first, table.second, chain)] == [0, 0, 0]
    assert table.second.asked == []
    reason = "OTHER" if how == "fails" else "CANCELED"
    assert {str(name): count for name, count in chain.statistics.failures.items() if count} == {reason: 1}
