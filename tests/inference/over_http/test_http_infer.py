"""The HTTP infer endpoint over a real socket: JSON and binary in every mix, compression, errors, the connection."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import struct
import zlib

import numpy as np
import pytest

from tests.inference.running_servers import MAX_BODY_BYTES

SIXTEEN = list(range(16))
PACKED = struct.pack("<16i", *SIXTEEN)
DOUBLED = [2 * value for value in SIXTEEN]


@pytest.fixture
def connection(numpy_models):
    connection = http.client.HTTPConnection(numpy_models.http, timeout=20)
    yield connection
    connection.close()


def post(connection, path, body, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, body=body, headers=names)
    response = connection.getresponse()
    return response.status, response.headers, response.read()


def simple_json(**members):
    tensor = {"shape": [1, 16], "datatype": "INT32", "data": SIXTEEN}
    return {"inputs": [{"name": "INPUT0", **tensor}, {"name": "INPUT1", **tensor}], **members}


def infer_json(connection, model, request, **headers):
    status, _, body = post(connection, f"/v2/models/{model}/infer", json.dumps(request), **headers)
    return status, json.loads(body)


def infer_binary(connection, model, request, *tensors, **headers):
    header = json.dumps(request).encode()
    return post(
        connection,
        f"/v2/models/{model}/infer",
        header + b"".join(tensors),
        **{"Inference-Header-Content-Length": str(len(header)), **headers},
    )


def binary_input(name, shape, datatype, size):
    return {"name": name, "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}}


def simple_binary(**members):
    return {"inputs": [binary_input(name, [1, 16], "INT32", 64) for name in ("INPUT0", "INPUT1")], **members}


def split(headers, body):
    length = int(headers["Inference-Header-Content-Length"])
    return json.loads(body[:length]), body[length:]


def test_json_in_json_out(connection):
    status, answer = infer_json(connection, "simple", simple_json(id="abc"))
    assert status == 200
    assert answer == {
        "id": "abc",
        "model_name": "simple",
        "model_version": "1",
        "outputs": [
            {"name": "OUTPUT0", "datatype": "INT32", "shape": [1, 16], "data": DOUBLED},
            {"name": "OUTPUT1", "datatype": "INT32", "shape": [1, 16], "data": [0] * 16},
        ],
    }


def test_binary_in_binary_out(connection):
    request = simple_binary(parameters={"binary_data_output": True})
    status, headers, body = infer_binary(connection, "simple", request, PACKED, PACKED)
    assert status == 200
    assert headers["Content-Type"] == "application/octet-stream"
    answer, data = split(headers, body)
    assert [output["parameters"] for output in answer["outputs"]] == [{"binary_data_size": 64}] * 2
    assert data == struct.pack("<32i", *DOUBLED, *[0] * 16)


def test_a_binary_and_a_json_input_and_the_same_for_outputs(connection):
    request = simple_binary(outputs=[{"name": "OUTPUT0", "parameters": {"binary_data": True}}, {"name": "OUTPUT1"}])
    request["inputs"][0] = simple_json()["inputs"][0]
    status, headers, body = infer_binary(connection, "simple", request, PACKED)
    answer, data = split(headers, body)
    assert status == 200
    assert data == struct.pack("<16i", *DOUBLED)
    assert answer["outputs"][1]["data"] == [0] * 16


def test_only_the_outputs_asked_for_come_back(connection):
    _, answer = infer_json(connection, "simple", simple_json(outputs=[{"name": "OUTPUT1"}]))
    assert [output["name"] for output in answer["outputs"]] == ["OUTPUT1"]


def test_a_binary_output_of_no_bytes_needs_no_header(connection):
    request = {
        "inputs": [{"name": "INPUT0", "shape": [0], "datatype": "FP32", "data": []}],
        "parameters": {"binary_data_output": True},
    }
    status, headers, body = post(connection, "/v2/models/identity_fp32/infer", json.dumps(request))
    assert status == 200
    assert "Inference-Header-Content-Length" not in headers
    assert json.loads(body)["outputs"][0]["parameters"] == {"binary_data_size": 0}


@pytest.mark.parametrize(
    ("model", "body", "shape"),
    [
        ("identity_fp32", struct.pack("<2f", 1, 2), [2]),
        ("identity_2d", struct.pack("<6f", *range(6)), [2, 3]),
        ("classifier", struct.pack("<5f", *range(5)), [1, 5]),
    ],
)
def test_a_raw_request_is_nothing_but_the_tensor(connection, model, body, shape):
    status, headers, answer = post(connection, f"/v2/models/{model}/infer", body, Inference_Header_Content_Length="0")
    header, data = split(headers, answer)
    assert (status, header["outputs"][0]["shape"], data) == (200, shape, body)


def test_a_raw_string_is_one_element(connection):
    _, headers, answer = post(connection, "/v2/models/raw_string/infer", b"Alien", Inference_Header_Content_Length="0")
    assert split(headers, answer)[1] == b"\5\0\0\0Alien"


@pytest.mark.parametrize(
    ("model", "body", "text"),
    [
        ("simple", b"", "Raw request must only have 1 input (found 1) to be deduced but got 2 inputs in 'simple'"),
        ("identity_fp32", b"123", "input byte size mismatch for input 'raw_input' for model 'identity_fp32'"),
        ("classifier", b"1234", "input byte size mismatch for input 'raw_input' for model 'classifier'. Expected 20"),
        ("simple_identity", b"x", "For BYTE datatype raw input 'INPUT0', the model must have input shape [1]"),
    ],
)  # fmt: skip
def test_a_raw_request_that_does_not_fit_is_refused(connection, model, body, text):
    status, _, answer = post(connection, f"/v2/models/{model}/infer", body, Inference_Header_Content_Length="0")
    assert status == 400
    assert json.loads(answer)["error"].startswith(f"[request id: <id_unknown>] {text}")


NULL_INPUT = {"data": SIXTEEN, "parameters": {"binary_data_size": None, "shared_memory_region": None}}
NULL_OUTPUT = {"name": "OUTPUT0", "parameters": {"binary_data": None, "classification": None}}


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"parameters": None},
        {"outputs": None},
        {"parameters": {"priority": None, "sequence_id": None, "mine": None, "binary_data_output": None}},
        {"inputs": [{**tensor, **NULL_INPUT} for tensor in simple_json()["inputs"]]},
        {"inputs": [{**tensor, "parameters": None} for tensor in simple_json()["inputs"]]},
        {"outputs": [NULL_OUTPUT, {"name": "OUTPUT1", "parameters": None}]},
    ],
)
def test_a_member_that_is_null_is_as_good_as_absent(connection, change):
    answer = infer_json(connection, "simple", {**simple_json(), **change})
    assert answer == infer_json(connection, "simple", simple_json())


def test_inputs_that_are_null_are_missing(connection):
    status, answer = infer_json(connection, "simple", {"inputs": None})
    assert (status, answer["error"]) == (
        400, "Unable to parse 'inputs': attempt to access non-existing object member 'inputs'"
    )  # fmt: skip


def test_a_byte_order_mark_before_the_json_is_passed_over(connection):
    path, body = "/v2/models/simple/infer", json.dumps(simple_json()).encode()
    assert post(connection, path, b"\xef\xbb\xbf" + body)[2] == post(connection, path, body)[2]
    header = b"\xef\xbb\xbf" + json.dumps(simple_binary()).encode()
    length = {"Inference-Header-Content-Length": str(len(header))}
    status, _, answer = post(connection, path, header + PACKED + PACKED, **length)
    assert (status, json.loads(answer)["outputs"][0]["data"]) == (200, DOUBLED)


@pytest.mark.parametrize("body", [b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf[", b"\xef\xbb"])
def test_a_byte_order_mark_makes_no_json_of_anything(connection, body):
    status, _, answer = post(connection, "/v2/models/simple/infer", body)
    assert status == 400
    assert json.loads(answer)["error"].startswith("failed to parse the request JSON buffer: ")


@pytest.mark.parametrize("model", ["simple", "identity_fp32", "raw_string"])
def test_an_empty_body_is_no_raw_input_unless_the_header_says_so(connection, model):
    status, _, answer = post(connection, f"/v2/models/{model}/infer", b"")
    assert (status, json.loads(answer)) == (
        400, {"error": "failed to parse the request JSON buffer: The document is empty. at 0"}
    )  # fmt: skip


def test_an_empty_body_is_a_raw_input_where_the_header_says_so(connection):
    path = "/v2/models/identity_fp32/infer"
    status, _, answer = post(connection, path, b"", Inference_Header_Content_Length="0")
    output = {"name": "OUTPUT0", "datatype": "FP32", "shape": [0], "parameters": {"binary_data_size": 0}}
    assert (status, json.loads(answer)["outputs"]) == (200, [output])


@pytest.mark.parametrize(
    ("datatype", "array"),
    [
        ("BOOL", np.array([True, False])),
        ("UINT64", np.array([0, 2**64 - 1], np.uint64)),
        ("INT8", np.array([-128, 127], np.int8)),
        ("FP16", np.array([1.5, -2], np.float16)),
        ("FP64", np.array([np.nan, -np.inf])),
    ],
)
def test_data_types_pass_through_unchanged(connection, datatype, array):
    request = {"inputs": [binary_input("INPUT0", [2], datatype, array.nbytes)]}
    request["parameters"] = {"binary_data_output": True}
    _, headers, body = infer_binary(connection, f"identity_{datatype.lower()}", request, array.tobytes())
    assert split(headers, body)[1] == array.tobytes()


def test_classes_come_with_their_labels(connection):
    request = {
        "inputs": [{"name": "INPUT0", "shape": [2, 5], "datatype": "FP32", "data": [0.1, 5, 0, -1, 2, 9, 1, 2, 3, 4]}],
        "outputs": [{"name": "OUTPUT0", "parameters": {"classification": 2}}],
    }
    _, answer = infer_json(connection, "classifier", request)
    assert answer["outputs"] == [
        {
            "name": "OUTPUT0",
            "datatype": "BYTES",
            "shape": [2, 2],
            "data": ["5.000000:1:comedy", "2.000000:4", "9.000000:0:drama", "4.000000:4"],
        }
    ]


def test_parameters_reach_the_model(connection, numpy_models):
    request = simple_json(
        parameters={"priority": 2, "timeout": 5, "sequence_id": 7, "sequence_start": True, "mood": "sad", "x": 1.5}
    )
    infer_json(connection, "simple", request)
    seen = numpy_models.server.requests[-1]
    assert (seen.priority, seen.timeout_us, seen.parameters) == (2, 5, {"mood": "sad", "x": 1.5})
    assert (seen.sequence.id, seen.sequence.start, seen.sequence.end) == (7, True, False)


def test_the_version_of_the_path_is_asked_for(connection, numpy_models):
    status, _, _ = post(connection, "/v2/models/simple/versions/1/infer", json.dumps(simple_json()))
    assert status == 200
    assert numpy_models.server.requests[-1].model_version == "1"


@pytest.mark.parametrize(
    ("members", "status", "text"),
    [
        ({"inputs": simple_json()["inputs"][:1]}, 400, "[request id: q] expected 2 inputs but got 1 inputs for model"),
        ({"outputs": [{"name": "NOPE"}]}, 400, "unexpected inference output 'NOPE' for model 'simple'"),
        ({"parameters": {"triton_x": 1}}, 400, "parameter keys starting with 'triton_' are reserved"),
        ({"parameters": {"mine": [1]}}, 400, "parameter 'mine' has invalid type. It should be either 'int', 'bool'"),
        ({"parameters": {"timeout": -1}}, 400, "Unable to parse 'timeout': attempt to access JSON non-unsigned"),
        ({"parameters": []}, 400, "failed to get request params.: attempt to get members for non-object"),
        ({"id": 5}, 400, "Unable to parse 'id': attempt to access JSON non-string as string"),
        ({"inputs": {}}, 400, "Unable to parse 'inputs': attempt to access JSON non-array as array"),
        ({"inputs": [1]}, 400, "Input must set only one of the following fields: 'data', 'binary_data_size' in"),
        ({"inputs": [simple_json()["inputs"][0]] * 2}, 400, "[request id: q] input 'INPUT0' already exists in request"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_tritonservers_words(connection, members, status, text):
    got, answer = infer_json(connection, "simple", {**simple_json(id="q"), **members})
    assert got == status
    assert answer["error"].startswith(text)


def test_checks_come_in_tritonservers_order(connection):
    request = simple_binary(id="q")
    request["inputs"][0]["parameters"]["binary_data_size"] = 60
    _, _, body = infer_binary(connection, "simple", request, PACKED[:60], PACKED)
    assert json.loads(body)["error"] == (
        "[request id: q] input byte size mismatch for input 'INPUT0' for model 'simple'. Expected 64, got 60"
    )
    request["inputs"][1]["name"] = "X"  # now the name is wrong too, and names are checked first
    _, _, body = infer_binary(connection, "simple", request, PACKED[:60], PACKED)
    assert json.loads(body)["error"] == "unexpected inference input 'X' for model 'simple'"


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ((64, 128), "unexpected size for input 'INPUT1', expecting 64 additional bytes for model 'simple'"),
        ((64, 60), "unexpected additional input data for model 'simple'"),
        ((2**63, 64), "unexpected size for input 'INPUT0', expecting 9223372036854775680 additional bytes"),
    ],
)
def test_binary_sizes_must_add_up(connection, sizes, text):
    request = {"inputs": [binary_input(f"INPUT{i}", [1, 16], "INT32", size) for i, size in enumerate(sizes)]}
    status, _, body = infer_binary(connection, "simple", request, PACKED, PACKED)
    assert status == 400
    assert json.loads(body)["error"].startswith(text)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        ("99999", "inference header size should be in range (0, 258), got: 99999"),
        ("-1", "inference header size should be in range (0, 258), got: -1"),
        ("x", "Unable to parse Inference-Header-Content-Length, got: x"),
        ("5", "failed to parse the request JSON buffer"),
    ],
)
def test_the_header_length_must_lie_within_the_body(connection, length, text):
    body = json.dumps(simple_json()).ljust(258)
    status, _, answer = post(connection, "/v2/models/simple/infer", body, Inference_Header_Content_Length=length)
    assert status == 400
    assert json.loads(answer)["error"].startswith(text)


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/v2/models/nope/infer", 404, "Request for unknown model: 'nope' is not found"),
        ("/v2/models/simple/versions/3/infer", 404, "Request for unknown model: 'simple' version 3 is not found"),
        (
            "/v2/models/simple/versions/99999999999999999999/infer",
            400,
            "failed to get model version from specified version string '99999999999999999999' (details: stol), version "
            "should be an integral value > 0",
        ),
        (
            "/v2/models/repeat_int32/infer",
            501,
            "HTTP end point doesn't support models with decoupled transaction policy",
        ),
    ],
)
def test_a_model_that_cannot_answer_is_named_before_the_body_is_read(connection, path, status, text):
    got, _, body = post(connection, path, "{")
    assert (got, json.loads(body)["error"]) == (status, text)


def test_a_model_that_fails_is_a_500_with_its_words(connection):
    request = {"inputs": [{"name": "INPUT0", "shape": [1], "datatype": "INT32", "data": [1]}]}
    assert infer_json(connection, "failing", request) == (500, {"error": "the film is missing"})


def test_a_bug_is_a_500_that_tells_nothing_and_is_logged(connection, caplog):
    request = {"inputs": [{"name": "INPUT0", "shape": [1], "datatype": "INT32", "data": [1]}]}
    assert infer_json(connection, "crashing", request) == (500, {"error": "internal error, see the server's log"})
    assert "RuntimeError: a bug" in caplog.text


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_bodies_may_be_compressed_both_ways(connection, coding, pack):
    header = json.dumps(simple_binary(parameters={"binary_data_output": True})).encode()
    status, headers, body = post(
        connection,
        "/v2/models/simple/infer",
        pack(header + PACKED + PACKED),
        Content_Encoding=coding,
        Accept_Encoding=coding,
        Inference_Header_Content_Length=str(len(header)),
    )
    assert (status, headers["Content-Encoding"]) == (200, coding)
    plain = gzip.decompress(body) if coding == "gzip" else zlib.decompress(body)
    assert split(headers, plain)[1][:64] == struct.pack("<16i", *DOUBLED)


def test_a_large_body_is_compressed_too(connection):
    data = np.zeros(50_000, np.float32)
    request = {"inputs": [binary_input("INPUT0", [50_000], "FP32", data.nbytes)]}
    request["parameters"] = {"binary_data_output": True}
    _, headers, body = infer_binary(connection, "identity_fp32", request, data.tobytes(), Accept_Encoding="gzip")
    assert len(body) < 2_000
    assert split(headers, gzip.decompress(body))[1] == data.tobytes()


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate", "gzip"),
        ("deflate;q=0.5, gzip;q=0.8", "gzip"),
        ("gzip;q=0", None),
        ("br", None),
        ("*", None),
        ("identity, gzip;q=0.5", None),
        ("gzip;q=x", None),
    ],
)
def test_the_accepted_coding_of_highest_weight_is_used(connection, accepted, coding):
    status, headers, _ = post(
        connection, "/v2/models/simple/infer", json.dumps(simple_json()), Accept_Encoding=accepted
    )
    assert (status, headers["Content-Encoding"]) == (200, coding)


def test_an_unknown_coding_is_not_implemented(connection):
    status, headers, body = post(connection, "/v2/models/simple/infer", b"x", Content_Encoding="br")
    assert (status, json.loads(body)) == (501, {"error": "Unsupported compression type"})
    assert headers["Accept-Encoding"] == "gzip, deflate"


@pytest.mark.parametrize("body", [b"junk", gzip.compress(json.dumps(simple_json()).encode())[:-10]])
def test_a_broken_compressed_body_is_refused(connection, body):
    status, _, answer = post(connection, "/v2/models/simple/infer", body, Content_Encoding="gzip")
    assert status == 400
    assert json.loads(answer)["error"].startswith("failed to decompress the gzip request body")


def test_a_decompression_bomb_is_stopped(connection):
    bomb = gzip.compress(bytes(MAX_BODY_BYTES * 50))
    assert len(bomb) < MAX_BODY_BYTES
    status, _, answer = post(connection, "/v2/models/simple/infer", bomb, Content_Encoding="gzip")
    assert status == 413
    assert "exceeds the maximum allowed value of 1048576 bytes" in json.loads(answer)["error"]


def test_a_body_over_the_limit_is_refused_and_the_connection_lives_on(connection):
    status, _, answer = post(connection, "/v2/models/simple/infer", bytes(MAX_BODY_BYTES + 1))
    assert status == 413
    assert str(MAX_BODY_BYTES + 1) in json.loads(answer)["error"]
    assert infer_json(connection, "simple", simple_json())[0] == 200


def test_a_chunked_body_is_read_whole(connection):
    body = json.dumps(simple_json()).encode()
    chunks = iter([body[:50], body[50:51], body[51:]])
    status, _, answer = post(connection, "/v2/models/simple/infer", chunks)
    assert (status, json.loads(answer)["outputs"][0]["data"]) == (200, DOUBLED)


def test_a_chunked_body_over_the_limit_is_refused(connection):
    chunks = iter([bytes(300_000)] * 5)
    status, _, _ = post(connection, "/v2/models/simple/infer", chunks)
    assert status == 413


def test_the_connection_lives_on_after_errors(connection):
    for body in ("{", "[]", json.dumps({"inputs": []})):
        assert post(connection, "/v2/models/simple/infer", body)[0] == 400
    assert infer_json(connection, "simple", simple_json())[0] == 200


def test_times_come_with_the_answer_when_asked_for(connection):
    _, headers, _ = post(connection, "/v2/models/simple/infer", json.dumps(simple_json()), Inference_Timing="1")
    assert headers["Server-Timing"] == (
        "queue;dur=1.000, compute_input;dur=2.000, compute_infer;dur=3.000, compute_output;dur=4.000"
    )
    _, headers, _ = post(connection, "/v2/models/simple/infer", json.dumps(simple_json()))
    assert "Server-Timing" not in headers


def test_a_client_that_leaves_cancels_its_request(numpy_models):
    connection = http.client.HTTPConnection(numpy_models.http, timeout=20)
    request = {"inputs": [{"name": "INPUT0", "shape": [1], "datatype": "INT32", "data": [1]}]}
    connection.request("POST", "/v2/models/held/infer", body=json.dumps(request))
    numpy_models.run(asyncio.wait_for(numpy_models.server.held.wait(), 10))
    connection.close()
    numpy_models.run(asyncio.wait_for(numpy_models.server.let_go.wait(), 10))


@pytest.mark.parametrize("data", ["[" * 200_000, "[" * 200_000 + "1" + "]" * 200_000, '{"a":' * 100_000])
def test_json_of_any_depth_is_an_error_and_no_more(connection, data):
    body = f'{{"inputs":[{{"name":"INPUT0","shape":[1],"datatype":"INT32","data":{data}}}]}}'
    status, _, answer = post(connection, "/v2/models/simple/infer", body)
    assert status == 400
    assert "error" in json.loads(answer)
    assert infer_json(connection, "simple", simple_json())[0] == 200


@pytest.mark.parametrize("shape", [[2**40, 16], [2**62, 2**62], [1] * 65, [1, -16]])
def test_shapes_that_no_memory_could_hold_take_none(connection, shape):
    for name, source in (("data", {"data": [1]}), ("bytes", {"parameters": {"binary_data_size": 64}})):
        request = {"inputs": [{"name": "INPUT0", "shape": shape, "datatype": "INT32", **source}]}
        status, _, answer = infer_binary(connection, "simple", request, PACKED if name == "bytes" else b"")
        assert status == 400, answer
    assert infer_json(connection, "simple", simple_json())[0] == 200
