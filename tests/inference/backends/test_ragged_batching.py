"""Inputs of different lengths in one batch of an ONNX model."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from onnx import helper
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.backends.ragged import RaggedBatch
from bento.inference.core.messages import InferRequest
from bento.inference.scheduling.warmup import WarmUpCall
from tests.inference.model_folders import tensor, write_onnx
from tests.inference.running_servers import StartServer


def call(*shape: int) -> WarmUpCall:
    request = InferRequest("m", {"X": np.arange(np.prod(shape), dtype=np.float32).reshape(shape)})
    return WarmUpCall(request, shape[0])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("BATCH_ELEMENT_COUNT", [3, 8]),
        ("BATCH_ACCUMULATED_ELEMENT_COUNT", [3, 11]),
        ("BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO", [0, 3, 11]),
        ("BATCH_MAX_ELEMENT_COUNT_AS_SHAPE", [0] * 8),
        ("BATCH_ITEM_SHAPE", [[3], [4], [4]]),
        ("BATCH_ITEM_SHAPE_FLATTEN", [3, 4, 4]),
    ],
)
def test_the_model_is_told_what_lies_where(kind: str, expected: list[int]) -> None:
    """Two requests: one row of 3 elements, two rows of 4."""
    config = text_format.Parse(
        f"""
        max_batch_size: 8
        input {{ name: "X" data_type: TYPE_FP32 dims: -1 allow_ragged_batch: true }}
        batch_input {{ kind: {kind} target_name: "I" data_type: TYPE_INT32 source_input: "X" }}
        """,
        ModelConfig(),
    )
    joined = RaggedBatch(config).join([call(1, 3), call(2, 4)])
    assert joined["X"].tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 5, 6, 7]
    assert joined["I"].dtype == np.int32
    assert joined["I"].tolist() == expected


async def test_ragged_requests_are_joined_and_cut_apart_again(repository: Path, start_server: StartServer) -> None:
    """Y = -X element by element, scattered back into the shapes of X."""
    write_onnx(
        repository,
        "negative",
        [helper.make_node("Neg", ["X"], ["Y"])],
        [tensor("X", "FP32", ["elements"])],
        [tensor("Y", "FP32", ["elements"])],
        config="""
            max_batch_size: 8
            input { name: "X" data_type: TYPE_FP32 dims: -1 allow_ragged_batch: true }
            output { name: "Y" data_type: TYPE_FP32 dims: -1 }
            batch_output { kind: BATCH_SCATTER_WITH_INPUT_SHAPE target_name: "Y" source_input: "X" }
            dynamic_batching { preferred_batch_size: 3 max_queue_delay_microseconds: 60000000 }
        """,
    )
    server = await start_server()
    given = [np.full((1, length), length, np.float32) for length in (2, 5, 1)]
    answers = await asyncio.gather(*(server.infer(InferRequest("negative", {"X": array})) for array in given))
    for array, answer in zip(given, answers, strict=True):
        assert answer.outputs["Y"].tolist() == (-array).tolist()
    (statistics,) = server.model_statistics("negative")
    assert statistics["execution_count"] == 1
