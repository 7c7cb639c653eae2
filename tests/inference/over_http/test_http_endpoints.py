"""The HTTP endpoints beside infer: health, metadata, configuration, model control, shared memory, settings."""

from __future__ import annotations

import base64
import http.client
import json
import uuid
from multiprocessing import shared_memory

import pytest

from bento.inference.over_http.application import make_http_app
from tests.inference.numpy_server import NumpyServer


@pytest.fixture
def connection(numpy_models):
    connection = http.client.HTTPConnection(numpy_models.http, timeout=20)
    yield connection
    connection.close()


def call(connection, method, path, value=None):
    body = value if isinstance(value, (str, bytes, type(None))) else json.dumps(value)
    connection.request(method, path, body=body)
    response = connection.getresponse()
    text = response.read()
    return response.status, json.loads(text) if text else None


@pytest.fixture
def not_ready(numpy_models):
    numpy_models.server.ready = False
    yield
    numpy_models.server.ready = True


def test_a_live_and_ready_server_says_so(connection):
    assert call(connection, "GET", "/v2/health/live") == (200, None)
    assert call(connection, "GET", "/v2/health/ready") == (200, None)


def test_a_server_that_is_not_ready_is_alive(connection, not_ready):
    assert call(connection, "GET", "/v2/health/live") == (200, None)
    assert call(connection, "GET", "/v2/health/ready") == (400, None)


def test_the_server_says_what_it_is(connection):
    assert call(connection, "GET", "/v2")[1] == {"name": "triton", "version": "2.51.0", "extensions": ["statistics"]}


@pytest.mark.parametrize("path", ["/v2/models/simple", "/v2/models/simple/versions/1", "/v2/models/simple?x=1"])
def test_a_model_says_what_it_takes_and_gives(connection, path):
    status, metadata = call(connection, "GET", path)
    assert status == 200
    assert metadata["inputs"][0] == {"name": "INPUT0", "datatype": "INT32", "shape": [-1, 16]}


def test_a_model_is_ready_or_not(connection):
    assert call(connection, "GET", "/v2/models/simple/ready") == (200, None)
    not_ready = (400, {"error": "Model version not ready"})
    assert call(connection, "GET", "/v2/models/simple/versions/9/ready") == not_ready
    assert call(connection, "GET", "/v2/models/nope/ready") == not_ready


def test_a_configuration_shows_defaults_and_numbers(connection):
    status, config = call(connection, "GET", "/v2/models/repeat_int32/config")
    assert status == 200
    assert config["model_transaction_policy"] == {"decoupled": True}
    assert (config["max_batch_size"], config["platform"], config["parameters"]) == (0, "", {})
    assert config["input"] == [
        {
            "name": "IN",
            "data_type": "TYPE_INT32",
            "format": "FORMAT_NONE",
            "dims": [-1],
            "is_shape_tensor": False,
            "allow_ragged_batch": False,
            "optional": False,
            "is_non_linear_format_io": False,
        }
    ]
    assert "dynamic_batching" not in config


def test_statistics_of_one_model_and_of_all(connection):
    assert call(connection, "GET", "/v2/models/simple/stats")[1]["model_stats"][0]["name"] == "simple"
    assert call(connection, "GET", "/v2/models/simple/versions/1/stats")[0] == 200
    assert len(call(connection, "GET", "/v2/models/stats")[1]["model_stats"]) > 20


def test_the_index_lists_all_models_or_the_ready_ones(connection):
    assert {"name": "absent"} in call(connection, "POST", "/v2/repository/index")[1]
    assert {"name": "absent"} not in call(connection, "POST", "/v2/repository/index", {"ready": True})[1]
    error = {"error": "Unable to parse 'ready': attempt to access JSON non-boolean as boolean"}
    assert call(connection, "POST", "/v2/repository/index", {"ready": 3}) == (400, error)


def test_loading_passes_configuration_and_files_on(connection, numpy_models):
    assert call(connection, "POST", "/v2/repository/models/a/load") == (200, None)
    assert numpy_models.server.loads[-1] == ("a", None, None)
    parameters = {"config": "{}", "file:1/model.onnx": base64.b64encode(b"\0onnx").decode()}
    assert call(connection, "POST", "/v2/repository/models/a/load", {"parameters": parameters})[0] == 200
    assert numpy_models.server.loads[-1] == ("a", "{}", {"1/model.onnx": b"\0onnx"})


@pytest.mark.parametrize("value", [{"parameters": None}, {"parameters": {"config": None, "file:x": None, "x": None}}])
def test_load_parameters_that_are_null_are_as_good_as_absent(connection, numpy_models, value):
    assert call(connection, "POST", "/v2/repository/models/a/load", value) == (200, None)
    assert numpy_models.server.loads[-1] == ("a", None, None)
    assert call(connection, "POST", "/v2/repository/index", {"ready": None})[0] == 200


@pytest.mark.parametrize(
    ("path", "value", "status", "text"),
    [
        ("/v2/repository/models/a/load", {"parameters": {"x": "1"}}, 400, "unrecognized load parameter 'x'."),
        ("/v2/repository/models/a/load", {"parameters": {"file:x": "*"}}, 400, "load parameter 'file:x' is not valid"),
        ("/v2/repository/models/a/load", {"parameters": {"config": 1}}, 400, "Unable to parse 'config'"),
        ("/v2/repository/models/a/load", "[]", 400, "attempt to access JSON non-object as object"),
        ("/v2/repository/here/models/a/load", None, 501, "'repository_name' specification is not supported"),
        (
            "/v2/repository/models/a/unload",
            {"parameters": {"unload_dependents": 1}},
            400,
            "Unable to parse 'unload_dependents': attempt to access JSON non-boolean as boolean",
        ),
    ],
)
def test_model_control_refuses_what_it_does_not_understand(connection, path, value, status, text):
    got, answer = call(connection, "POST", path, value)
    assert got == status
    assert answer["error"].startswith(text)


def test_unloading_may_take_the_parts_of_an_ensemble_along(connection, numpy_models):
    call(connection, "POST", "/v2/repository/models/a/unload")
    call(connection, "POST", "/v2/repository/models/a/unload", {"parameters": {"unload_dependents": True}})
    assert numpy_models.server.unloads[-2:] == [("a", False), ("a", True)]


def test_shared_memory_is_registered_shown_and_let_go(connection):
    region, key = f"region-{uuid.uuid4().hex}", f"marquee-{uuid.uuid4().hex}"
    memory = shared_memory.SharedMemory(key, create=True, size=128)
    try:
        path = f"/v2/systemsharedmemory/region/{region}"
        asked = {"key": f"/{key}", "offset": 64, "byte_size": 64}
        assert call(connection, "POST", f"{path}/register", asked) == (200, None)
        status = [{"name": region, "key": f"/{key}", "offset": 64, "byte_size": 64}]
        assert call(connection, "GET", f"{path}/status") == (200, status)
        assert call(connection, "GET", "/v2/systemsharedmemory/status") == (200, status)
        again = {"error": f"shared memory region '{region}' already in manager"}
        assert call(connection, "POST", f"{path}/register", asked) == (400, again)
        assert call(connection, "POST", f"{path}/unregister") == (200, None)
        assert call(connection, "GET", f"{path}/status")[0] == 404
    finally:
        memory.close()
        memory.unlink()


@pytest.mark.parametrize(
    ("value", "status", "text"),
    [
        ({}, 400, "Shared memory register request has no 'key' field"),
        ({"key": "/x"}, 400, "Shared memory register request has no 'byte_size' field"),
        ({"key": 3, "byte_size": 4}, 400, "Unable to parse 'key': attempt to access JSON non-string as string"),
        (
            {"key": "/x", "byte_size": -4},
            400,
            "Unable to parse 'byte_size': attempt to access JSON non-unsigned-integer",
        ),
        ({"key": "/nope-nope", "byte_size": 4}, 500, "Unable to open shared memory region: '/nope-nope'"),
        ({"key": "../etc/passwd", "byte_size": 4}, 500, "Unable to open shared memory region: '../etc/passwd'"),
    ],
)
def test_registering_refuses_what_cannot_be_mapped(connection, value, status, text):
    got, answer = call(connection, "POST", "/v2/systemsharedmemory/region/r/register", value)
    assert got == status
    assert answer["error"].startswith(text)


def test_cuda_memory_is_not_mapped(connection):
    assert call(connection, "GET", "/v2/cudasharedmemory/status") == (200, [])
    assert call(connection, "GET", "/v2/cudasharedmemory/region/r/status")[0] == 404
    assert call(connection, "POST", "/v2/cudasharedmemory/unregister") == (200, None)
    status, answer = call(connection, "POST", "/v2/cudasharedmemory/region/r/register", {"byte_size": 1})
    assert (status, answer["error"]) == (
        400,
        "failed to register CUDA shared memory region: 'r', GPUs not supported",
    )


LOGGING = {
    "log_file": "",
    "log_info": True,
    "log_warning": True,
    "log_error": True,
    "log_verbose_level": 0,
    "log_format": "default",
}


def test_log_settings_change_what_is_logged(connection, caplog):
    assert call(connection, "GET", "/v2/logging") == (200, LOGGING)
    verbose = {**LOGGING, "log_verbose_level": 1, "log_format": "ISO8601"}
    assert call(connection, "POST", "/v2/logging", {"log_verbose_level": 1, "log_format": "ISO8601"}) == (200, verbose)
    call(connection, "GET", "/v2/health/live")
    assert "HTTP request: GET /v2/health/live" in caplog.messages
    assert call(connection, "POST", "/v2/logging", LOGGING | {"log_file": None}) == (200, LOGGING)


@pytest.mark.parametrize(
    ("value", "status", "text"),
    [
        ({"log_file": "/tmp/x"}, 501, "log file location can not be updated through network protocol"),
        ({"log_format": "x"}, 400, "invalid argument for log_format, got: x"),
        ({"log_info": 3}, 400, "Unable to parse 'log_info': attempt to access JSON non-boolean as boolean"),
        ({"log_verbose_level": -1}, 400, "Unable to parse 'log_verbose_level'"),
    ],
)
def test_log_settings_are_checked(connection, value, status, text):
    got, answer = call(connection, "POST", "/v2/logging", value)
    assert got == status
    assert answer["error"].startswith(text)


TRACE = {
    "trace_level": ["OFF"],
    "trace_rate": "1000",
    "trace_count": "-1",
    "log_frequency": "0",
    "trace_file": "",
    "trace_mode": "triton",
}


def test_trace_settings_of_a_model_differ_from_the_global_ones(connection):
    path = "/v2/models/simple/trace/setting"
    assert call(connection, "POST", path, {"trace_rate": "7"}) == (200, TRACE | {"trace_rate": "7"})
    assert call(connection, "GET", "/v2/trace/setting") == (200, TRACE)
    assert call(connection, "POST", "/v2/trace/setting", {"trace_count": "3"}) == (200, TRACE | {"trace_count": "3"})
    assert call(connection, "GET", path) == (200, TRACE | {"trace_rate": "7", "trace_count": "3"})
    assert call(connection, "POST", path, {"trace_rate": None})[1]["trace_rate"] == "1000"
    assert call(connection, "POST", "/v2/trace/setting", {"trace_count": None}) == (200, TRACE)


@pytest.mark.parametrize(
    ("value", "status", "text"),
    [
        ({"trace_level": ["TIMESTAMPS"]}, 400, "Attempting to set invalid trace setting :trace file name is not given"),
        ({"trace_level": ["OFF", "TENSORS"]}, 400, "Expect only one trace level 'OFF' is specified"),
        ({"trace_file": "x"}, 501, "trace file location can not be updated through network protocol"),
        ({"trace_rate": "+-5"}, 400, "Unable to parse 'trace_rate', got: +-5"),
        ({"trace_rate": "x"}, 400, "Unable to parse 'trace_rate', got: x"),
        ({"trace_count": "-5"}, 400, "Unable to parse 'trace_count'. Expecting value >= -1, got:-5"),
        ({"trace_rate": "99999999999"}, 400, "Unable to parse 'trace_rate', value is out of range [ 0, 4294967295 ]"),
    ],
)
def test_trace_settings_are_checked(connection, value, status, text):
    got, answer = call(connection, "POST", "/v2/trace/setting", value)
    assert got == status
    assert answer["error"].startswith(text)


def test_an_unknown_model_has_no_trace_settings(connection):
    error = {"error": "Request for unknown model : nope"}
    assert call(connection, "GET", "/v2/models/nope/trace/setting") == (400, error)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v2/",
        "/v2/health",
        "/v2/models",
        "/v2/models/simple/",
        "/v2/models/simple/infer/x",
        "/v2/models/simple/versions/x",
        "/v2/models/simple/versions/1/trace/setting",
        "/v2/models/a/b/infer",
    ],
)
def test_other_paths_do_not_exist(connection, path):
    assert call(connection, "GET", path) == (404, {"error": "Not Found"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2"),
        ("POST", "/v2/health/live"),
        ("GET", "/v2/models/simple/infer"),
        ("PUT", "/v2/models/simple/infer"),
        ("DELETE", "/v2/models/simple"),
        ("GET", "/v2/repository/index"),
        ("GET", "/v2/repository/models/simple/load"),
        ("POST", "/v2/systemsharedmemory/status"),
        ("GET", "/v2/systemsharedmemory/unregister"),
        ("DELETE", "/v2/logging"),
    ],
)
def test_other_methods_are_not_allowed(connection, method, path):
    assert call(connection, method, path) == (405, {"error": "Method Not Allowed"})


async def test_the_application_answers_below_a_mount_point():
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b""}

    scope = {"type": "http", "method": "GET", "path": "/inference/v2", "root_path": "/inference", "headers": []}
    await make_http_app(NumpyServer())(scope, receive, send)
    assert sent[0]["status"] == 200
    assert json.loads(sent[1]["body"])["name"] == "triton"
