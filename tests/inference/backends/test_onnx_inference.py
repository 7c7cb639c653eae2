"""ONNX models answer what their graphs say, whatever is batched with whatever."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper

from bento.inference.core.datatypes import NUMPY_TYPES
from bento.inference.core.errors import BackendFailed, LoadFailed, RepositoryFailed
from bento.inference.core.messages import InferRequest, Tensor
from bento.inference.core.options import ServerOptions
from tests.inference.model_folders import tensor, write_add_constant, write_add_sub, write_identity, write_onnx
from tests.inference.running_servers import StartServer


def simple(a: int, b: int, **more: object) -> InferRequest:
    inputs: dict[str, Tensor] = {"INPUT0": np.full((1, 16), a, np.int32), "INPUT1": np.full((1, 16), b, np.int32)}
    return InferRequest("simple", inputs, **more)  # type: ignore[arg-type]


async def test_it_adds_and_subtracts(repository: Path, start_server: StartServer) -> None:
    write_add_sub(repository)
    response = await (await start_server()).infer(simple(5, 3, id="42"))
    assert (response.model_name, response.model_version, response.id) == ("simple", "1", "42")
    assert list(response.outputs) == ["OUTPUT0", "OUTPUT1"]
    assert response.outputs["OUTPUT0"].tolist() == [[8] * 16]
    assert response.outputs["OUTPUT1"].tolist() == [[2] * 16]
    assert response.timing.compute_infer_ns > 0


async def test_only_the_requested_outputs_come_and_in_the_models_order(
    repository: Path, start_server: StartServer
) -> None:
    write_add_sub(repository)
    server = await start_server()
    assert list((await server.infer(simple(5, 3, requested_outputs=("OUTPUT1",)))).outputs) == ["OUTPUT1"]
    both = await server.infer(simple(5, 3, requested_outputs=("OUTPUT1", "OUTPUT0")))
    assert list(both.outputs) == ["OUTPUT0", "OUTPUT1"]


@pytest.mark.parametrize("datatype", [name for name in NUMPY_TYPES if name != "BYTES"])
async def test_every_number_type_passes_unchanged(datatype: str, repository: Path, start_server: StartServer) -> None:
    write_identity(repository, "same", datatype)
    given = np.array([[0, 1, 1], [1, 0, 1]]).astype(NUMPY_TYPES[datatype])
    response = await (await start_server()).infer(InferRequest("same", {"X": given}))
    assert response.outputs["Y"].dtype == given.dtype
    np.testing.assert_array_equal(response.outputs["Y"], given)


async def test_bfloat16_keeps_its_bits(repository: Path, start_server: StartServer) -> None:
    write_identity(repository, "same", "BF16")
    given = np.array([[1.5, -0.0, np.inf]]).astype(ml_dtypes.bfloat16)
    response = await (await start_server()).infer(InferRequest("same", {"X": given}))
    assert response.outputs["Y"].tobytes() == given.tobytes()


async def test_strings_pass_as_bytes(repository: Path, start_server: StartServer) -> None:
    write_identity(repository, "same", "BYTES")
    given = np.array([[b"Alien", "Amélie".encode(), b"", b"nul\0inside"]], dtype=np.object_)
    response = await (await start_server()).infer(InferRequest("same", {"X": given}))
    assert response.outputs["Y"].tolist() == given.tolist()


async def test_strings_that_are_not_utf8_are_refused_by_name(repository: Path, start_server: StartServer) -> None:
    write_identity(repository, "same", "BYTES")
    given = np.array([[b"\xff"]], dtype=np.object_)
    server = await start_server()
    with pytest.raises(BackendFailed, match="string tensors must be UTF-8"):
        await server.infer(InferRequest("same", {"X": given}))


async def test_a_thousand_concurrent_requests_each_get_their_own_answer(
    repository: Path, start_server: StartServer
) -> None:
    write_add_sub(repository, config="max_batch_size: 8 dynamic_batching { }")
    server = await start_server()
    responses = await asyncio.gather(*(server.infer(simple(number, 1, id=str(number))) for number in range(1000)))
    for number, response in enumerate(responses):
        assert response.id == str(number)
        assert (response.outputs["OUTPUT0"] == number + 1).all()
        assert (response.outputs["OUTPUT1"] == number - 1).all()
    (statistics,) = server.model_statistics("simple")
    assert statistics["inference_count"] == 1000
    assert statistics["execution_count"] < 1000


async def test_requests_of_different_shapes_and_outputs_do_not_mix(repository: Path, start_server: StartServer) -> None:
    write_identity(repository, "same", config="max_batch_size: 16 dynamic_batching { }")
    server = await start_server()

    async def ask(number: int) -> None:
        given = np.full((number % 3 + 1, number % 5 + 1), number, np.float32)
        response = await server.infer(InferRequest("same", {"X": given}))
        np.testing.assert_array_equal(response.outputs["Y"], given)

    await asyncio.gather(*map(ask, range(300)))


async def test_a_request_that_fails_does_not_fail_its_batch(repository: Path, start_server: StartServer) -> None:
    """Gather fails for an index out of range: only the request that has it must hear of it."""
    write_onnx(
        repository,
        "lookup",
        [helper.make_node("Gather", ["table", "X"], ["Y"])],
        [tensor("X", "INT64", ["batch", 1])],
        [tensor("Y", "FP32", ["batch", 1])],
        initializers=[helper.make_tensor("table", TensorProto.FLOAT, [3], [10.0, 20.0, 30.0])],
        config="""
            max_batch_size: 8
            dynamic_batching { preferred_batch_size: [ 3 ] max_queue_delay_microseconds: 60000000 }
        """,
    )
    server = await start_server()
    rows = [0, 99, 2]
    answers = await asyncio.gather(
        *(server.infer(InferRequest("lookup", {"X": np.array([[row]])})) for row in rows), return_exceptions=True
    )
    assert isinstance(answers[1], BackendFailed)
    assert "onnx runtime error" in str(answers[1])
    assert [float(answer.outputs["Y"][0, 0]) for answer in (answers[0], answers[2])] == [10.0, 30.0]  # type: ignore[union-attr]
    (statistics,) = server.model_statistics("lookup")
    assert statistics["inference_stats"]["success"]["count"] == 2  # type: ignore[index]
    assert statistics["inference_stats"]["fail"]["count"] == 1  # type: ignore[index]


async def test_several_instances_share_one_queue(repository: Path, start_server: StartServer) -> None:
    write_add_constant(
        repository,
        "plus",
        1.0,
        config="max_batch_size: 2 dynamic_batching { } instance_group [{ count: 4 kind: KIND_CPU }]",
    )
    server = await start_server()
    requests = [InferRequest("plus", {"X": np.array([[number]], np.float32)}) for number in range(200)]
    responses = await asyncio.gather(*map(server.infer, requests))
    assert [float(response.outputs["Y"][0, 0]) for response in responses] == [number + 1 for number in range(200)]


async def test_a_reshaped_model_takes_and_gives_configured_shapes(repository: Path, start_server: StartServer) -> None:
    write_identity(
        repository,
        "scalar",
        shape=["batch"],
        config="""
            max_batch_size: 4
            input [{ name: "X" data_type: TYPE_FP32 dims: [ 1 ] reshape: { shape: [ ] } }]
            output [{ name: "Y" data_type: TYPE_FP32 dims: [ 1 ] reshape: { shape: [ ] } }]
        """,
    )
    response = await (await start_server()).infer(InferRequest("scalar", {"X": np.array([[3], [4]], np.float32)}))
    assert response.outputs["Y"].tolist() == [[3], [4]]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('input { name: "Z" data_type: TYPE_FP32 dims: -1 } output { name: "Y" data_type: TYPE_FP32 dims: -1 }',
         "unexpected inference input 'Z', allowed inputs are: X"),
        ('input { name: "X" data_type: TYPE_INT8 dims: -1 } output { name: "Y" data_type: TYPE_FP32 dims: -1 }',
         "configuration expects datatype TYPE_INT8 for input 'X', model provides TYPE_FP32"),
        ('parameters { key: "intra_op_thread_count" value { string_value: "two" } }',
         "failed to convert intra_op_thread_count 'two' to integral number"),
        ('optimization { execution_accelerators { cpu_execution_accelerator { name: "magic" } } }',
         "unknown Execution Accelerator 'magic' is requested for model 'same'"),
    ],
)  # fmt: skip
async def test_a_configuration_that_contradicts_the_file_is_refused(
    config: str, message: str, repository: Path, start_server: StartServer
) -> None:
    write_identity(repository, "same", config=f"max_batch_size: 4 {config}")
    with pytest.raises(RepositoryFailed, match=message):
        await start_server()


def write_positions(repository: Path, config: str = "") -> None:
    """P = [[row, column], ...] of the elements of X that are not zero: as many rows as there are such elements."""
    write_onnx(
        repository,
        "positions",
        [helper.make_node("NonZero", ["X"], ["T"]), helper.make_node("Transpose", ["T"], ["P"])],
        [tensor("X", "FP32", ["batch", 2])],
        [tensor("P", "INT64", ["found", 2])],
        config=config,
    )


async def test_a_model_whose_answers_have_other_rows_than_its_requests_is_not_batched(
    repository: Path, start_server: StartServer
) -> None:
    write_positions(repository)
    server = await start_server()
    config = server.model_config("positions")
    assert (config.max_batch_size, config.HasField("dynamic_batching")) == (0, False)
    assert [list(io.dims) for io in (*config.input, *config.output)] == [[-1, 2], [-1, 2]]
    given = [[0, 7], [7, 7], [0, 0], [7, 0]]  # 4 rows, and 4 elements that are not zero
    requests = [InferRequest("positions", {"X": np.array([row], np.float32)}) for row in given]
    answers = await asyncio.gather(*map(server.infer, requests))
    assert [answer.outputs["P"].tolist() for answer in answers] == [[[0, 1]], [[0, 0], [0, 1]], [], [[0, 0]]]


async def test_a_batch_size_is_no_reason_to_join_requests_whose_answers_have_other_rows(
    repository: Path, start_server: StartServer
) -> None:
    write_positions(repository, "max_batch_size: 8")
    config = (await start_server()).model_config("positions")
    assert (config.max_batch_size, config.HasField("dynamic_batching")) == (8, False)


@pytest.mark.parametrize("axis", ["batch", None])
async def test_a_model_with_one_free_first_axis_is_batched(
    axis: str | None, repository: Path, start_server: StartServer
) -> None:
    write_identity(repository, "same", shape=[axis, 2])  # type: ignore[list-item]
    config = (await start_server()).model_config("same")
    assert (config.max_batch_size, config.HasField("dynamic_batching")) == (4, True)


def write_total(repository: Path, dims: str = "[ 1 ]") -> None:
    """Y = the sum of X, a tensor without dimensions."""
    write_onnx(
        repository,
        "total",
        [helper.make_node("ReduceSum", ["X"], ["Y"], keepdims=0)],
        [tensor("X", "FP32", ["n", 2])],
        [tensor("Y", "FP32", [])],
        config=f"""
            input [{{ name: "X" data_type: TYPE_FP32 dims: [ -1, 2 ] }}]
            output [{{ name: "Y" data_type: TYPE_FP32 dims: {dims} }}]
        """,
    )


@pytest.mark.parametrize(("dims", "value"), [("[ 1 ]", [10]), ("[ -1 ]", [10]), ("[ 1, 1 ]", [[10]])])
async def test_a_tensor_without_dimensions_has_the_configured_ones(
    dims: str, value: object, repository: Path, start_server: StartServer
) -> None:
    write_total(repository, dims)
    server = await start_server()
    for _ in range(5):  # whoever is asked the same again takes shortcuts
        answer = await server.infer(InferRequest("total", {"X": np.array([[1, 2], [3, 4]], np.float32)}))
        assert answer.outputs["Y"].tolist() == value


async def test_a_graph_without_a_configuration_answers_without_dimensions_in_a_shape_of_one(
    repository: Path, start_server: StartServer
) -> None:
    write_total(repository)
    (repository / "total" / "config.pbtxt").unlink()
    answer = await (await start_server()).infer(InferRequest("total", {"X": np.array([[1, 2]], np.float32)}))
    assert answer.outputs["Y"].tolist() == [3]


async def test_an_ensemble_passes_on_a_tensor_without_dimensions(repository: Path, start_server: StartServer) -> None:
    write_total(repository)
    write_identity(repository, "same", shape=["n"])
    (repository / "same" / "config.pbtxt").write_text("input { name: 'X' data_type: TYPE_FP32 dims: -1 } "
                                                      "output { name: 'Y' data_type: TYPE_FP32 dims: -1 }")  # fmt: skip
    (repository / "both" / "1").mkdir(parents=True)
    (repository / "both" / "config.pbtxt").write_text("""
        platform: "ensemble"
        input [{ name: "IN" data_type: TYPE_FP32 dims: [ -1, 2 ] }]
        output [{ name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] }]
        ensemble_scheduling {
            step [{ model_name: "total" model_version: -1
                    input_map { key: "X" value: "IN" } output_map { key: "Y" value: "sum" } },
                  { model_name: "same" model_version: -1
                    input_map { key: "X" value: "sum" } output_map { key: "Y" value: "OUT" } }]
        }
    """)
    answer = await (await start_server()).infer(InferRequest("both", {"IN": np.array([[1, 2]], np.float32)}))
    assert answer.outputs["OUT"].tolist() == [3]


def write_scaled(repository: Path, config: str) -> None:
    """Y = X * factor, where the factor is 10 unless a request says otherwise."""
    write_onnx(
        repository,
        "scaled",
        [helper.make_node("Mul", ["X", "factor"], ["Y"])],
        [tensor("X", "FP32", ["batch", 2]), tensor("factor", "FP32", [1])],
        [tensor("Y", "FP32", ["batch", 2])],
        initializers=[helper.make_tensor("factor", TensorProto.FLOAT, [1], [10.0])],
        config=config,
    )


SCALED = """
    input [{ name: "X" data_type: TYPE_FP32 dims: [ -1, 2 ] },
           { name: "factor" data_type: TYPE_FP32 dims: [ 1 ] optional: true }]
    output [{ name: "Y" data_type: TYPE_FP32 dims: [ -1, 2 ] }]
"""


async def test_an_optional_input_left_out_has_the_default_of_the_file(
    repository: Path, start_server: StartServer
) -> None:
    write_scaled(repository, SCALED)
    server = await start_server()
    given = np.array([[1, 2]], np.float32)
    answers = [
        await server.infer(InferRequest("scaled", {"X": given, **more}))
        for more in ({}, {"factor": np.array([3], np.float32)}, {})
    ]
    assert [answer.outputs["Y"].tolist() for answer in answers] == [[[10, 20]], [[3, 6]], [[10, 20]]]


async def test_an_input_with_a_default_need_not_be_configured(repository: Path, start_server: StartServer) -> None:
    write_scaled(repository, "")
    server = await start_server()
    assert [io.name for io in server.model_config("scaled").input] == ["X"]
    answer = await server.infer(InferRequest("scaled", {"X": np.array([[1, 2]], np.float32)}))
    assert answer.outputs["Y"].tolist() == [[10, 20]]


async def test_an_input_with_a_default_is_held_against_the_file_too(
    repository: Path, start_server: StartServer
) -> None:
    write_scaled(repository, SCALED.replace("dims: [ 1 ]", "dims: [ 5 ]"))
    with pytest.raises(RepositoryFailed, match=r"input 'factor': the model expects 1 dimensions \(shape \[1\]\)"):
        await start_server()


def x_to_y(x: str, y: str) -> str:
    return f'input {{ name: "X" data_type: TYPE_FP32 dims: {x} }} output {{ name: "Y" data_type: TYPE_FP32 dims: {y} }}'


FREE, OF_ONE, COMPLETE = (
    ["batch", 3],
    [1, 3],
    "dimensions .an initial batch dimension because .*, making complete shape ",
)


@pytest.mark.parametrize(
    ("shape", "config", "message"),
    [
        (FREE, f"max_batch_size: 8 {x_to_y('[4]', '[3]')}",
         rf"input 'X': the model expects 2 dimensions .shape \[-1,3\]. but .* 2 {COMPLETE}\[-1,4\]"),
        (FREE, f"max_batch_size: 8 {x_to_y('[3]', '[4]')}",
         rf"output 'Y': the model expects 2 dimensions .shape \[-1,3\]. but .* 2 {COMPLETE}\[-1,4\]"),
        (FREE, f"max_batch_size: 8 {x_to_y('[1, 3]', '[3]')}",
         rf"input 'X': the model expects 2 dimensions .shape \[-1,3\]. but .* 3 {COMPLETE}\[-1,1,3\]"),
        (OF_ONE, f"max_batch_size: 8 {x_to_y('[3]', '[3]')}",
         rf"input 'X': the model expects 2 dimensions .shape \[1,3\]. but .* 2 {COMPLETE}\[-1,3\]"),
        (FREE, x_to_y("[3]", "[3]"),
         r"input 'X': the model expects 2 dimensions .shape \[-1,3\]. but .* 1 dimensions .shape \[3\]."),
        (OF_ONE, x_to_y("[2, 3]", "[1, 3]"),
         r"input 'X': the model expects 2 dimensions .shape \[1,3\]. but .* 2 dimensions .shape \[2,3\]."),
        (FREE, 'max_batch_size: 8 ' + x_to_y('[3] reshape { shape: [1, 3] }', '[3]'),
         rf"input 'X': the model expects 2 dimensions .shape \[-1,3\]. but .* 3 {COMPLETE}\[-1,1,3\]"),
    ],
)  # fmt: skip
async def test_a_shape_that_contradicts_the_file_is_refused_with_both(
    shape: list[int | str], config: str, message: str, repository: Path, start_server: StartServer
) -> None:
    write_identity(repository, "same", shape=shape, config=config)
    server = await start_server(exit_on_error=False)
    (row,) = server.repository_index()
    assert row["state"] == "UNAVAILABLE"
    assert re.search(f"unable to load model 'same', {message}", row["reason"]), row["reason"]


@pytest.mark.parametrize(
    ("shape", "config"),
    [
        (FREE, f"max_batch_size: 8 {x_to_y('[-1]', '[-1]')}"),
        (["batch", "width"], f"max_batch_size: 8 {x_to_y('[3]', '[3]')}"),
        (["batch", "width"], x_to_y("[2, -1]", "[2, 3]")),
        (["batch", 1, 3], "max_batch_size: 8 " + x_to_y("[3] reshape { shape: [1, 3] }", "[1, 3]")),
        (OF_ONE, f"max_batch_size: 1 {x_to_y('[3]', '[3]')}"),
    ],
)
async def test_a_shape_that_the_file_leaves_open_may_be_configured(
    shape: list[int | str], config: str, repository: Path, start_server: StartServer
) -> None:
    write_identity(repository, "same", shape=shape, config=config)
    rows = 1 if shape == OF_ONE else 2
    given = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    answer = await (await start_server()).infer(InferRequest("same", {"X": given}))
    assert answer.outputs["Y"].reshape(rows, 3).tolist() == given.tolist()


async def test_a_model_that_cannot_batch_refuses_a_batch_size(repository: Path, start_server: StartServer) -> None:
    write_identity(repository, "same", shape=[2, 2], config="max_batch_size: 4")
    with pytest.raises(RepositoryFailed, match="model does not support batching while non-zero max_batch_size"):
        await start_server()


async def test_a_broken_file_is_refused_with_its_reason(repository: Path, start_server: StartServer) -> None:
    folder = write_add_sub(repository)
    (folder / "1" / "model.onnx").write_bytes(b"no graph")
    server = await start_server(exit_on_error=False)
    (row,) = server.repository_index()
    assert row["state"] == "UNAVAILABLE"
    assert row["reason"].startswith("Invalid argument: onnx runtime error:")
    assert not server.is_ready()


async def test_thread_parameters_are_honoured(repository: Path, start_server: StartServer) -> None:
    parameters = {"intra_op_thread_count": 2, "inter_op_thread_count": 1, "execution_mode": 1, "enable_mem_arena": 0}
    text = " ".join(
        f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}' for key, value in parameters.items()
    )
    write_add_sub(repository, config=f"max_batch_size: 4 {text} optimization {{ graph {{ level: -1 }} }}")
    response = await (await start_server()).infer(simple(1, 1))
    assert (response.outputs["OUTPUT0"] == 2).all()


def test_session_options_follow_the_configuration() -> None:
    import onnxruntime
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    from bento.inference.backends.onnxruntime_settings import session_options

    config = text_format.Parse(
        """
        optimization { graph { level: 1 } }
        parameters { key: "intra_op_thread_count" value { string_value: "3" } }
        parameters { key: "execution_mode" value { string_value: "1" } }
        parameters { key: "enable_mem_pattern" value { string_value: "false" } }
        """,
        ModelConfig(),
    )
    options = session_options(config, ServerOptions(repositories=()))
    assert options.intra_op_num_threads == 3
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_PARALLEL
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    assert options.enable_mem_pattern is False
    assert options.enable_cpu_mem_arena is True


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ('name: "tensorrt" parameters { key: "precision_mode" value: "FP16" }', {"trt_fp16_enable": "1"}),
        ('name: "tensorrt" parameters { key: "max_workspace_size_bytes" value: "9" }', {"trt_max_workspace_size": "9"}),
    ],
)  # fmt: skip
def test_tensorrt_parameters_are_translated(
    parameters: str, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    from bento.inference.backends.onnxruntime_settings import providers

    every = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("bento.inference.backends.onnxruntime_settings.onnxruntime_providers", lambda: every)
    text = f"optimization {{ execution_accelerators {{ gpu_execution_accelerator {{ {parameters} }} }} }}"
    chosen = providers(text_format.Parse(text, ModelConfig()), gpu=1)
    assert [name for name, _ in chosen] == every
    assert chosen[0][1] == {"device_id": "1", **expected}
    assert chosen[1][1] == {"device_id": "1", "cudnn_conv_algo_search": "HEURISTIC"}


def test_an_unknown_precision_is_refused() -> None:
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    from bento.inference.backends.onnxruntime_settings import providers

    accelerator = 'name: "tensorrt" parameters { key: "precision_mode" value: "FP4" }'
    text = f"optimization {{ execution_accelerators {{ gpu_execution_accelerator {{ {accelerator} }} }} }}"
    with pytest.raises(LoadFailed, match="unsupported precision mode 'FP4' is requested"):
        providers(text_format.Parse(text, ModelConfig()), gpu=0)


@pytest.mark.parametrize(
    "accelerator",
    [
        'name: "cuda" parameters { key: "enable_cuda_graph" value: "1" }',
        'name: "tensorrt" parameters { key: "trt_cuda_graph_enable" value: "true" }',
    ],
)
def test_graphs_that_would_replay_an_earlier_request_are_refused(accelerator: str) -> None:
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    from bento.inference.backends.onnxruntime_settings import providers

    text = f"optimization {{ execution_accelerators {{ gpu_execution_accelerator {{ {accelerator} }} }} }}"
    with pytest.raises(LoadFailed, match="is not supported: inputs and outputs lie elsewhere"):
        providers(text_format.Parse(text, ModelConfig()), gpu=0)


@pytest.mark.parametrize("datatype", ["FP32", "INT64", "BF16"])
def test_io_binding_gives_what_a_plain_run_gives(datatype: str, repository: Path) -> None:
    """On the CPU here, with the very calls that test_cuda.py makes on CUDA."""
    import onnxruntime

    from bento.inference.backends.onnxruntime_backend import BoundSession

    path = write_identity(repository, "same", datatype) / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    bound = BoundSession(session, "cpu")
    for _ in range(2):  # a binding is used again and again
        given = np.array([[1, 2]]).astype(NUMPY_TYPES[datatype])
        (given_back,) = bound.run({"X": given}, ()).values()
        assert given_back.dtype == given.dtype
        assert given_back.tolist() == given.tolist()
    with pytest.raises(BackendFailed, match="onnx runtime error"):
        bound.run({"X": np.zeros((1, 1), np.float64)}, ("Y",))


@pytest.mark.parametrize("demanded", ["auto", "cuda"])
async def test_a_gpu_that_onnxruntime_cannot_use_is_told(
    demanded: str, repository: Path, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine with a driver but without cuDNN: a session is made, on the CPU."""
    monkeypatch.setattr("bento.inference.repository.loading.usable_gpus", lambda backend, options: (0,))
    write_add_sub(repository)
    if demanded == "cuda":
        with pytest.raises(RepositoryFailed, match="device 'cuda' is demanded but onnxruntime could not use GPU 0"):
            await start_server(device="cuda")
    else:
        assert (await start_server(device="auto")).model_devices() == {"simple": "cpu"}


@pytest.mark.parametrize("demanded", ["auto", "cuda"])
async def test_a_gpu_whose_driver_is_too_old_is_told(
    demanded: str, repository: Path, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxruntime raises then, and not one of Python's own errors."""
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

    make_session = onnxruntime.InferenceSession

    tried: list[str] = []

    def session(path: Path, options: object, providers: list[tuple[str, dict[str, str]]], **how: int) -> object:
        tried.append(providers[0][0])
        if providers[0][0] == "TensorrtExecutionProvider":
            raise RuntimeError("Please install TensorRT libraries")
        if providers[0][0] == "CUDAExecutionProvider":
            assert providers[0][1]["device_id"] == "0"
            raise RuntimeException("CUDA driver version is insufficient for CUDA runtime version")
        return make_session(path, options, providers=providers, **how)

    every = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("bento.inference.repository.loading.usable_gpus", lambda backend, options: (0,))
    monkeypatch.setattr("bento.inference.backends.onnxruntime_settings.onnxruntime_providers", lambda: every)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    accelerator = 'gpu_execution_accelerator { name: "tensorrt" }'
    write_add_sub(repository, config=f"optimization {{ execution_accelerators {{ {accelerator} }} }}")
    if demanded == "cuda":
        with pytest.raises(RepositoryFailed, match="CUDA driver version is insufficient"):
            await start_server(device="cuda")
    else:
        server = await start_server(device="auto")
        assert server.model_devices() == {"simple": "cpu"}
    assert tried[: len(every)] == every[: len(tried)]


def test_cuda_libraries_are_loaded_before_onnxruntime_is_asked_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that is a plugin is not in the list before."""
    import onnxruntime

    from bento.inference.core import devices

    known = ["CPUExecutionProvider"]
    monkeypatch.setattr(devices, "gpu_count", lambda: 1)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: known.insert(0, "CUDAExecutionProvider"), raising=False)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: known)
    devices.onnxruntime_providers.cache_clear()
    try:
        assert devices.onnxruntime_providers() == ("CUDAExecutionProvider", "CPUExecutionProvider")
    finally:
        devices.onnxruntime_providers.cache_clear()


def test_a_gpu_is_no_reason_to_need_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    from bento.inference.core import devices

    monkeypatch.setattr(devices, "gpu_count", lambda: 1)
    monkeypatch.setitem(sys.modules, "torch", None)
    devices.supports_cuda.cache_clear()
    try:
        assert devices.usable_gpus("pytorch", ServerOptions(repositories=())) == ()
    finally:
        devices.supports_cuda.cache_clear()
