"""NVIDIA's own client, in its four flavours, against the real engine with ONNX models."""

from __future__ import annotations

import json
import queue
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tritonclient.utils import InferenceServerException, serialize_byte_tensor, shared_memory

from bento.inference.core.options import ServerOptions
from bento.inference.protocol.metrics import render_metrics
from bento.inference.server import InferenceServer
from tests.inference.onnx_models import onnx_file, write_repository
from tests.inference.running_servers import FAST_PATH, Running, serve_in_thread

LEFT = np.arange(16, dtype=np.int32)[None]
RIGHT = np.ones((1, 16), np.int32)


@pytest.fixture(scope="module")
def onnx_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Both front ends over the real engine."""
    root = tmp_path_factory.mktemp("models")
    write_repository(root)
    options = ServerOptions(
        repositories=(root,),
        model_control_mode="explicit",
        load_models=("*",),
        response_cache_bytes=1 << 20,
        fast_path=FAST_PATH,
    )
    yield from serve_in_thread(lambda: InferenceServer.start(options), max_body_bytes=32 << 20)


@pytest.fixture(params=["http", "grpc"])
def flavour(request):
    return getattr(tritonclient, request.param)


@pytest.fixture
def client(flavour, onnx_models):
    address = onnx_models.http if flavour is tritonclient.http else onnx_models.grpc
    client = flavour.InferenceServerClient(address)
    yield client
    client.close()


@pytest.fixture(params=["http", "grpc"])
async def async_flavour(request):
    return getattr(tritonclient, request.param).aio


@pytest.fixture
async def async_client(async_flavour, onnx_models):
    address = onnx_models.http if async_flavour is tritonclient.http.aio else onnx_models.grpc
    async with async_flavour.InferenceServerClient(address) as client:
        yield client


def tensor(flavour, name, array, **options):
    kind = (
        "BYTES"
        if array.dtype == np.object_
        else {"int32": "INT32", "float32": "FP32", "float16": "FP16"}[array.dtype.name]
    )
    made = flavour.InferInput(name, list(array.shape), kind)
    made.set_data_from_numpy(array, **options)
    return made


def pair(flavour, **options):
    return [tensor(flavour, "INPUT0", LEFT, **options), tensor(flavour, "INPUT1", RIGHT, **options)]


def as_json(flavour, value):
    return value if flavour is tritonclient.http else json.loads(json.dumps(value))


def test_inference(flavour, client):
    result = client.infer("simple", pair(flavour), request_id="7")
    np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), LEFT + RIGHT)
    np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), LEFT - RIGHT)


def test_inference_of_chosen_outputs(flavour, client):
    result = client.infer("simple", pair(flavour), outputs=[flavour.InferRequestedOutput("OUTPUT1")], model_version="1")
    np.testing.assert_array_equal(result.as_numpy("OUTPUT1"), LEFT - RIGHT)
    assert result.as_numpy("OUTPUT0") is None


def test_json_inputs_and_outputs(onnx_models):
    with tritonclient.http.InferenceServerClient(onnx_models.http) as client:
        outputs = [tritonclient.http.InferRequestedOutput("OUTPUT0", binary_data=False)]
        result = client.infer("simple", pair(tritonclient.http, binary_data=False), outputs=outputs)
        np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), LEFT + RIGHT)


def test_strings(flavour, client):
    words = np.array([["Alien", "Amélie", ""]], np.object_)
    result = client.infer("simple_identity", [tensor(flavour, "INPUT0", words)])
    assert result.as_numpy("OUTPUT0").tolist() == [[b"Alien", "Amélie".encode(), b""]]


def test_half_precision(flavour, client):
    values = np.array([1.5, -2, 0], np.float16)
    np.testing.assert_array_equal(
        client.infer("identity_fp16", [tensor(flavour, "INPUT0", values)]).as_numpy("OUTPUT0"), values
    )


def test_classes(flavour, client):
    scores = np.array([[0.5, 5, 1, 2, 3]], np.float32)
    outputs = [flavour.InferRequestedOutput("OUTPUT0", class_count=2)]
    result = client.infer("classifier", [tensor(flavour, "INPUT0", scores)], outputs=outputs)
    assert result.as_numpy("OUTPUT0").tolist() == [[b"5.000000:1:comedy", b"3.000000:4"]]


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compression(flavour, client, algorithm):
    values = np.zeros(100_000, np.float32)
    options = {"compression_algorithm": algorithm}
    if flavour is tritonclient.http:
        options = {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}
    result = client.infer("identity_fp32", [tensor(flavour, "INPUT0", values)], **options)
    np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), values)


def test_tensors_over_four_megabytes(flavour, client):
    values = np.arange(2_000_000, dtype=np.float32)
    np.testing.assert_array_equal(
        client.infer("identity_fp32", [tensor(flavour, "INPUT0", values)]).as_numpy("OUTPUT0"), values
    )


def test_errors_carry_status_and_text(flavour, client):
    with pytest.raises(InferenceServerException) as caught:
        client.infer("nope", pair(flavour))
    assert caught.value.message() == "Request for unknown model: 'nope' is not found"
    assert caught.value.status() == ("404" if flavour is tritonclient.http else "StatusCode.NOT_FOUND")
    with pytest.raises(InferenceServerException, match=r"\[request id: q\] expected 2 inputs but got 1 inputs"):
        client.infer("simple", pair(flavour)[:1], request_id="q")


def test_health_metadata_configuration_and_statistics(flavour, client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("simple")
    assert not client.is_model_ready("simple", "9")
    json_option = {} if flavour is tritonclient.http else {"as_json": True}
    assert client.get_server_metadata(**json_option)["name"] == "triton"
    assert client.get_model_metadata("simple", **json_option)["inputs"][0]["name"] == "INPUT0"
    config = client.get_model_config("simple", **json_option)
    assert config.get("config", config)["max_batch_size"] == 8
    before = _inferences(client, json_option)
    client.infer("simple", pair(flavour))
    assert _inferences(client, json_option) == before + 1


def _inferences(client, json_option):
    statistics = client.get_inference_statistics("simple", **json_option)["model_stats"][0]
    return int(statistics.get("inference_count", 0))


def test_model_control_with_explicit_contents(flavour, client):
    double = onnx_file("FP32", ["INPUT0"], [("Add", ["INPUT0", "INPUT0"], "OUTPUT0")], 4, 0)
    name = f"explicit_{flavour.__name__.rpartition('.')[2]}"
    config = {
        "backend": "onnxruntime",
        "input": [{"name": "INPUT0", "data_type": "TYPE_FP32", "dims": [4]}],
        "output": [{"name": "OUTPUT0", "data_type": "TYPE_FP32", "dims": [4]}],
    }
    client.load_model(name, config=json.dumps(config), files={"file:1/model.onnx": double})
    values = np.arange(4, dtype=np.float32)
    result = client.infer(name, [tensor(flavour, "INPUT0", values)])
    np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), 2 * values)
    client.unload_model(name)
    with pytest.raises(InferenceServerException, match=f"Request for unknown model: '{name}'"):
        client.infer(name, [tensor(flavour, "INPUT0", values)])


def test_models_are_unloaded_and_loaded_again(flavour, client):
    client.unload_model("identity_fp16")
    assert not client.is_model_ready("identity_fp16")
    client.load_model("identity_fp16")
    assert client.is_model_ready("identity_fp16")
    with pytest.raises(InferenceServerException, match="failed to load 'nope', failed to poll from model repository"):
        client.load_model("nope")


def test_the_repository_index_lists_the_models(flavour, client):
    index = client.get_model_repository_index(**({} if flavour is tritonclient.http else {"as_json": True}))
    models = index if flavour is tritonclient.http else index["models"]
    assert {"name": "simple", "version": "1", "state": "READY"} in models


def test_log_and_trace_settings(flavour, client):
    option = {} if flavour is tritonclient.http else {"as_json": True}
    assert client.get_trace_settings(**option)
    assert client.update_trace_settings("simple", {"trace_rate": "5"}, **option)
    assert client.update_trace_settings("simple", {"trace_rate": None}, **option)
    assert client.get_log_settings(**option)
    assert client.update_log_settings({"log_verbose_level": 0}, **option)


@pytest.mark.parametrize("strings", [False, True])
def test_system_shared_memory(flavour, client, strings):
    region, key = f"region-{uuid.uuid4().hex}", f"/marquee-{uuid.uuid4().hex}"
    handle = shared_memory.create_shared_memory_region(region, key, 1024)
    try:
        client.register_system_shared_memory(region, key, 1024)
        if strings:
            model, names, kind, shape = "simple_identity", ["INPUT0"], "BYTES", [1, 2]
            packed = serialize_byte_tensor(np.array([["Alien", "Amélie"]], np.object_))
            shared_memory.set_shared_memory_region(handle, [packed])
            size = len(packed.item())
        else:
            model, names, kind, shape, size = "simple", ["INPUT0", "INPUT1"], "INT32", [1, 16], 64
            shared_memory.set_shared_memory_region(handle, [LEFT])
        inputs = [flavour.InferInput(name, shape, kind) for name in names]
        for item in inputs:
            item.set_shared_memory(region, size)
        output = flavour.InferRequestedOutput("OUTPUT0")
        output.set_shared_memory(region, 256, 512)
        client.infer(model, inputs, outputs=[output])
        dtype = np.object_ if strings else np.int32
        result = shared_memory.get_contents_as_numpy(handle, dtype, shape, 512)
        expected = [[b"Alien", "Amélie".encode()]] if strings else (2 * LEFT).tolist()
        assert result.tolist() == expected
        client.unregister_system_shared_memory(region)
        assert region not in str(client.get_system_shared_memory_status())
    finally:
        shared_memory.destroy_shared_memory_region(handle)


def test_an_output_that_is_too_large_for_its_place_is_refused(flavour, client):
    region, key = f"region-{uuid.uuid4().hex}", f"/marquee-{uuid.uuid4().hex}"
    handle = shared_memory.create_shared_memory_region(region, key, 32)
    try:
        client.register_system_shared_memory(region, key, 32)
        output = flavour.InferRequestedOutput("OUTPUT0")
        output.set_shared_memory(region, 32)
        with pytest.raises(
            InferenceServerException,
            match=r"shared memory size specified with the request for output 'OUTPUT0' \(32 bytes\) should be at least "
            "64 bytes to hold the results",
        ):
            client.infer("simple", pair(flavour), outputs=[output])
        client.unregister_system_shared_memory()
    finally:
        shared_memory.destroy_shared_memory_region(handle)


def test_a_refused_request_lets_its_region_go(flavour, client):
    region, key = f"region-{uuid.uuid4().hex}", f"/marquee-{uuid.uuid4().hex}"
    handle = shared_memory.create_shared_memory_region(region, key, 64)
    try:
        client.register_system_shared_memory(region, key, 64)
        inputs = [flavour.InferInput(name, [1, 16], "INT32") for name in ("INPUT0", "INPUT1")]
        for item in inputs:
            item.set_shared_memory(region, 32)
        with pytest.raises(InferenceServerException, match="input byte size mismatch for input 'INPUT1'"):
            client.infer("simple", inputs)
        client.unregister_system_shared_memory(region)
    finally:
        shared_memory.destroy_shared_memory_region(handle)


def test_asynchronous_http(onnx_models):
    with tritonclient.http.InferenceServerClient(onnx_models.http, concurrency=4) as client:
        pending = [client.async_infer("simple", pair(tritonclient.http), request_id=str(i)) for i in range(8)]
        for number, request in enumerate(pending):
            result = request.get_result()
            assert result.get_response()["id"] == str(number)
            np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), LEFT + RIGHT)


def test_asynchronous_grpc(onnx_models):
    answers: queue.Queue = queue.Queue()
    with tritonclient.grpc.InferenceServerClient(onnx_models.grpc) as client:
        for number in range(8):
            client.async_infer(
                "simple", pair(tritonclient.grpc), lambda result, error: answers.put((result, error)),
                request_id=str(number),
            )  # fmt: skip
        ids = set()
        for _ in range(8):
            result, error = answers.get(timeout=20)
            assert error is None
            ids.add(result.get_response().id)
    assert ids == {str(number) for number in range(8)}


def test_a_grpc_stream(onnx_models):
    answers: queue.Queue = queue.Queue()
    with tritonclient.grpc.InferenceServerClient(onnx_models.grpc) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for number, model in enumerate(["simple", "nope", "simple"]):
            client.async_stream_infer(model, pair(tritonclient.grpc), request_id=str(number))
        got = [answers.get(timeout=20) for _ in range(3)]
        client.stop_stream()
    assert [error and error.message() for _, error in got] == [
        None,
        "Request for unknown model: 'nope' is not found",
        None,
    ]
    np.testing.assert_array_equal(got[2][0].as_numpy("OUTPUT0"), LEFT + RIGHT)


async def test_inference_with_asyncio(async_flavour, async_client):
    result = await async_client.infer("simple", pair(async_flavour), request_id="7")
    np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), LEFT + RIGHT)
    assert await async_client.is_server_ready()
    with pytest.raises(InferenceServerException, match="unknown model: 'nope'"):
        await async_client.infer("nope", pair(async_flavour))


async def test_a_grpc_stream_with_asyncio(onnx_models):
    async def requests():
        for number in range(3):
            yield {"model_name": "simple", "inputs": pair(tritonclient.grpc.aio), "request_id": str(number)}

    async with tritonclient.grpc.aio.InferenceServerClient(onnx_models.grpc) as client:
        ids = []
        async for result, error in client.stream_infer(requests()):
            assert error is None
            ids.append(result.get_response().id)
    assert ids == ["0", "1", "2"]


def test_a_thousand_requests_from_32_threads_each_get_their_own_answer(flavour, onnx_models):
    address = onnx_models.http if flavour is tritonclient.http else onnx_models.grpc

    def ask_often(thread: int) -> int:
        right = 0
        with flavour.InferenceServerClient(address) as client:
            for number in range(32):
                rows = 1 + (thread + number) % 3
                values = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4) + 1000 * thread + number
                result = client.infer("batched_double", [tensor(flavour, "INPUT0", values)], request_id=f"{thread}")
                right += np.array_equal(result.as_numpy("OUTPUT0"), 2 * values)
        return right

    with ThreadPoolExecutor(32) as pool:
        assert sum(pool.map(ask_often, range(32))) == 1024


def test_metrics_count_what_was_done(onnx_models):
    def metric(name, model="cached"):
        text = onnx_models.run(_rendered(onnx_models.server))
        line = next(line for line in text.splitlines() if line.startswith(f'{name}{{model="{model}",version="1"}}'))
        return float(line.rpartition(" ")[2])

    values = np.ones((2, 4), np.float32)
    with tritonclient.grpc.InferenceServerClient(onnx_models.grpc) as client:
        for _ in range(3):  # the second and third come from the cache
            client.infer("cached", [tensor(tritonclient.grpc, "INPUT0", values)])
    assert metric("nv_inference_request_success") == 3
    assert metric("nv_inference_count") == 2
    assert metric("nv_inference_exec_count") == 1
    assert metric("nv_cache_num_hits_per_model") == 2
    assert metric("nv_cache_num_misses_per_model") == 1
    assert metric("nv_inference_pending_request_count") == 0
    assert metric("nv_inference_compute_infer_duration_us") > 0


def test_metrics_have_tritonservers_names(onnx_models):
    text = onnx_models.run(_rendered(onnx_models.server))
    assert "# TYPE nv_inference_request_success counter\n" in text
    assert 'nv_inference_request_failure{model="simple",reason="REJECTED",version="1"} 0.0\n' in text
    ours = [line for line in text.splitlines() if line.startswith("nv_")]  # models may add metrics under other names
    assert not [line for line in ours if line.split("{")[0].split()[0].endswith("_total")]
    for gauge in ("nv_cache_util", "nv_cache_num_entries", "nv_cpu_utilization", "nv_cpu_memory_used_bytes"):
        assert f"\n{gauge} " in text


async def _rendered(server: InferenceServer) -> str:
    return render_metrics(server).decode()
