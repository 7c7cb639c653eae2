"""HTTP requests that both servers get, and where the answers may differ on purpose."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any, Literal

Expectation = Literal["same", "json", "status", "malformed"]


@dataclass(frozen=True)
class HttpCase:
    """One request.

    expect: "same" - status and body are equal byte for byte; "json" - the status, and the body as JSON; "status" - the
    status alone (the body holds times or paths); "malformed" - Triton calls the client's mistake a 500, we a 400 with
    the same text.
    """

    name: str
    method: str
    path: str
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    expect: Expectation = "same"


SIXTEEN = list(range(16))
PACKED = struct.pack("<16i", *SIXTEEN)
SIMPLE = "/v2/models/simple/infer"


def get(path: str, expect: Expectation = "same") -> HttpCase:
    return HttpCase(f"GET {path}", "GET", path, expect=expect)


def post(name: str, path: str, value: Any, expect: Expectation = "same", **headers: str) -> HttpCase:
    body = (
        value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else json.dumps(value).encode()
    )
    return HttpCase(name, "POST", path, body, {key.replace("_", "-"): text for key, text in headers.items()}, expect)


def simple(**members: Any) -> dict[str, Any]:
    tensor = {"shape": [1, 16], "datatype": "INT32", "data": SIXTEEN}
    return {"inputs": [{"name": "INPUT0", **tensor}, {"name": "INPUT1", **tensor}], **members}


def first_input(expect: Expectation, **changes: Any) -> HttpCase:
    request = simple(id="q7")
    for key, value in changes.items():
        if value is ...:
            del request["inputs"][0][key]
        else:
            request["inputs"][0][key] = value
    return post(f"first input with {str(changes)[:60]}", SIMPLE, request, expect)


def binary(
    name: str, sizes: tuple[Any, Any], *tensors: bytes, expect: Expectation = "same", **members: Any
) -> HttpCase:
    request = {
        "id": "b1",
        "inputs": [
            {"name": f"INPUT{i}", "shape": [1, 16], "datatype": "INT32", "parameters": {"binary_data_size": size}}
            for i, size in enumerate(sizes)
        ],
        "parameters": {"binary_data_output": True},
        **members,
    }
    return with_header(f"binary: {name}", SIMPLE, request, b"".join(tensors), expect)


def with_header(
    name: str, path: str, request: Any, data: bytes, expect: Expectation = "same", **headers: str
) -> HttpCase:
    header = json.dumps(request).encode()
    return post(name, path, header + data, expect, Inference_Header_Content_Length=str(len(header)), **headers)


def identity(
    name: str, datatype: str, shape: list[int], data: Any, expect: Expectation = "same", **members: Any
) -> HttpCase:
    """One input to identity_<type>, as JSON or (bytes) binary."""
    model = "string" if datatype == "BYTES" else datatype.lower()
    tensor: dict[str, Any] = {"name": "INPUT0", "shape": shape, "datatype": datatype}
    path = f"/v2/models/identity_{model}/infer"
    label = f"identity {datatype} {name}"
    if isinstance(data, bytes):
        tensor["parameters"] = {"binary_data_size": len(data)}
        return with_header(label, path, {"inputs": [tensor], **members}, data, expect)
    tensor["data"] = data
    return post(label, path, {"inputs": [tensor], **members}, expect)


def raw(model: str, body: bytes) -> HttpCase:
    return post(f"raw {model} {body[:8]!r}", f"/v2/models/{model}/infer", body, Inference_Header_Content_Length="0")


def classes(model: str, count: Any, shape: list[int], datatype: str, data: list[float], **parameters: Any) -> HttpCase:
    request = {
        "inputs": [{"name": "INPUT0", "shape": shape, "datatype": datatype, "data": data}],
        "outputs": [{"name": "OUTPUT0", "parameters": {"classification": count, **parameters}}],
    }
    return post(f"{count} classes of {model}", f"/v2/models/{model}/infer", request)


def strings(*elements: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def _one_int(model: str, expect: Expectation = "same") -> HttpCase:
    request = {"inputs": [{"name": "INPUT0", "shape": [1], "datatype": "INT32", "data": [1]}]}
    return post(f"model {model}", f"/v2/models/{model}/infer", request, expect)


ENDPOINTS = [
    get("/v2", "status"),
    *(get(path) for path in (
        "/v2/", "/nope", "/v2/health", "/v2/health/live", "/v2/health/ready", "/v2/models", "/v2/models/simple",
        "/v2/models/simple/versions/1", "/v2/models/simple/versions/9", "/v2/models/simple/versions/x",
        "/v2/models/nope", "/v2/models/nope/ready", "/v2/models/simple/ready", "/v2/models/simple/versions/9/ready",
        "/v2/models/nope/config", "/v2/models/nope/stats", "/v2/models/simple/versions/7/stats", SIMPLE,
        "/v2/models/simple/", "/v2/models/simple?x=1", "/v2/repository/index", "/v2/systemsharedmemory/status",
        "/v2/systemsharedmemory/region/zz/status", "/v2/cudasharedmemory/status", "/v2/logging", "/v2/trace/setting",
        "/v2/models/simple/trace/setting", "/v2/models/nope/trace/setting",
        "/v2/models/simple/versions/1/trace/setting",
    )),
    *(get(f"/v2/models/{model}/config", "json") for model in (
        "simple", "simple_identity", "classifier", "optional", "repeat_int32", "slow", "batching",
    )),
    *(get(f"/v2/models/{model}") for model in ("classifier", "optional", "repeat_int32", "batching", "simple_string")),
    *(HttpCase(f"{method} {path}", method, path) for method, path in (
        ("POST", "/v2"), ("POST", "/v2/health/ready"), ("PUT", SIMPLE), ("DELETE", "/v2/models/simple"),
        ("POST", "/v2/models/simple/config"), ("POST", "/v2/models/simple/stats"), ("DELETE", "/v2/logging"),
        ("POST", "/v2/repository/index"), ("GET", "/v2/repository/models/simple/load"),
        ("POST", "/v2/repository/foo/index"), ("POST", "/v2/repository/foo/models/simple/load"),
        ("POST", "/v2/repository/models/nope/load"), ("POST", "/v2/repository/models/nope/unload"),
        ("POST", "/v2/systemsharedmemory/status"), ("POST", "/v2/systemsharedmemory/region/zz/unregister"),
        ("POST", "/v2/systemsharedmemory/unregister"), ("POST", "/v2/systemsharedmemory/register"),
        ("POST", "/v2/cudasharedmemory/unregister"),
    )),
    post("index of the ready", "/v2/repository/index", {"ready": True}),
    *(post(f"register {value}", "/v2/systemsharedmemory/region/zz/register", value) for value in (
        {}, {"key": "/nope"}, {"byte_size": 4}, {"key": "/nope", "byte_size": 4}, {"key": "", "byte_size": 4},
        {"key": "../etc/passwd", "byte_size": 4},
    )),
    *(post(f"logging {value}", "/v2/logging", value) for value in (
        {"log_verbose_level": 0}, {"log_format": "ISO8601"}, {"log_file": "/tmp/x"}, {"nope": 1},
        {"log_format": "default", "log_info": True},
    )),
    *(post(f"trace {value}", "/v2/trace/setting", value) for value in (
        {"trace_rate": "5"}, {"trace_rate": "x"}, {"trace_count": "-5"}, {"trace_count": "3"}, {"log_frequency": "2"},
        {"trace_file": "x"}, {"trace_level": ["TIMESTAMPS"]}, {"trace_level": ["OFF", "TENSORS"]},
        {"trace_rate": None, "trace_count": None, "log_frequency": None}, {"trace_level": ["OFF"]},
    )),
]  # fmt: skip

REQUESTS = [
    post("json", SIMPLE, simple()),
    post("an id", SIMPLE, simple(id="abc")),
    post("a version", "/v2/models/simple/versions/1/infer", simple()),
    post("one binary output", SIMPLE, simple(outputs=[{"name": "OUTPUT1", "parameters": {"binary_data": True}}])),
    post("a binary and a json output", SIMPLE,
         simple(outputs=[{"name": "OUTPUT1", "parameters": {"binary_data": True}}, {"name": "OUTPUT0"}])),
    post("outputs in another order", SIMPLE, simple(outputs=[{"name": "OUTPUT1"}, {"name": "OUTPUT0"}])),
    post("an unknown output", SIMPLE, simple(outputs=[{"name": "NOPE"}])),
    post("an output twice", SIMPLE, simple(outputs=[{"name": "OUTPUT0"}, {"name": "OUTPUT0"}])),
    post("no outputs", SIMPLE, simple(outputs=[])),
    post("outputs not a list", SIMPLE, simple(outputs={}), "malformed"),
    post("binary_data_output", SIMPLE, simple(parameters={"binary_data_output": True})),
    post("binary_data_output 1", SIMPLE, simple(parameters={"binary_data_output": 1}), "malformed"),
    post("parameters a list", SIMPLE, simple(parameters=[]), "malformed"),
    *(post(f"parameter {value}", SIMPLE, simple(parameters=value), "malformed") for value in (
        {"priority": -1}, {"priority": "x"}, {"timeout": "x"}, {"timeout": 1.5}, {"sequence_id": []},
        {"sequence_start": 1},
    )),
    *(post(f"parameter {value}", SIMPLE, simple(parameters=value)) for value in (
        {"triton_x": 1}, {"mine": [1]}, {"mine": 1.5}, {"timeout": 5},
    )),
    post("an id of another kind", SIMPLE, simple(id=5), "malformed"),
    post("a missing input", SIMPLE, {**simple(id="abc"), "inputs": simple()["inputs"][:1]}),
    post("a missing input without id", SIMPLE, {"inputs": simple()["inputs"][:1]}),
    post("no inputs", SIMPLE, {"inputs": []}),
    post("inputs absent", SIMPLE, {}, "malformed"),
    post("inputs an object", SIMPLE, {"inputs": {}}, "malformed"),
    post("inputs of numbers", SIMPLE, {"inputs": [1]}),
    post("an input twice", SIMPLE, {"inputs": [simple()["inputs"][0]] * 2}),
    first_input("same", name="X"),
    first_input("malformed", name=...),
    first_input("malformed", shape=...),
    first_input("malformed", datatype=...),
    first_input("same", data=...),
    *(first_input("malformed", **change) for change in (
        {"name": 5}, {"shape": 5}, {"shape": [-1, 16]}, {"shape": ["a"]}, {"shape": [1.5, 16]}, {"shape": [1, 17]},
        {"shape": [9, 16]}, {"datatype": 5}, {"data": 5}, {"data": [1]}, {"data": [*SIXTEEN, 1]}, {"data": ["a"] * 16},
        {"data": [1.5] * 16}, {"data": [True] * 16}, {"data": [None] * 16}, {"data": [2**63] * 16}, {"data": {}},
    )),
    *(first_input("same", **change) for change in (
        {"shape": []}, {"shape": [0, 16]}, {"shape": [16]}, {"shape": [1, 16, 1]}, {"datatype": "FP32"},
        {"datatype": "WAT"}, {"datatype": "FP16"}, {"data": [2**31] * 16}, {"data": [SIXTEEN]},
        {"data": [SIXTEEN[:8], SIXTEEN[8:]]}, {"data": [[SIXTEEN[:3]], SIXTEEN[3:]]}, {"parameters": 5},
        {"parameters": {"x": 1}}, {"extra": 1},
    )),
    post("a batch too large", SIMPLE, {"inputs": [
        {"name": f"INPUT{i}", "shape": [9, 16], "datatype": "INT32", "data": SIXTEEN * 9} for i in (0, 1)]}),
    post("an unknown model", "/v2/models/nope/infer", simple()),
    post("an unknown model and no json", "/v2/models/nope/infer", "{"),
    post("an unknown version", "/v2/models/simple/versions/3/infer", simple()),
    post("version 0", "/v2/models/simple/versions/0/infer", simple()),
    post("a huge version", "/v2/models/simple/versions/99999999999999999999/infer", simple()),
    post("a byte-order mark", SIMPLE, b"\xef\xbb\xbf" + json.dumps(simple()).encode()),
    post("a list", SIMPLE, "[]", "malformed"),
    post("a number", SIMPLE, "5", "malformed"),
    post("a header too long", SIMPLE, simple(), Inference_Header_Content_Length="99999"),
    post("a negative header", SIMPLE, simple(), Inference_Header_Content_Length="-1"),
    binary("both", (64, 64), PACKED, PACKED),
    binary("sizes too small", (60, 64), PACKED, PACKED),
    binary("a tensor too small", (60, 64), PACKED[:60], PACKED),
    binary("a body too short", (64, 128), PACKED, PACKED),
    binary("a body too long", (64, 64), PACKED, PACKED, PACKED),
    binary("no bytes", (0, 64), PACKED),
    binary("a negative size", (-4, 64), PACKED, expect="malformed"),
    binary("a size of another kind", ("x", 64), PACKED, expect="malformed"),
    binary("a huge size", (2**63, 64), PACKED, PACKED),
    binary("data twice", (64, 64), PACKED, PACKED, inputs=[
        {"name": "INPUT0", "shape": [1, 16], "datatype": "INT32", "data": SIXTEEN,
         "parameters": {"binary_data_size": 64}}]),
    binary("data from everywhere", (64, 64), PACKED, PACKED, inputs=[
        {"name": "INPUT0", "shape": [1, 16], "datatype": "INT32",
         "parameters": {"binary_data_size": 64, "shared_memory_region": "zz"}}]),
    binary("an unknown region", (64, 64), inputs=[
        {"name": "INPUT0", "shape": [1, 16], "datatype": "INT32",
         "parameters": {"shared_memory_region": "zz", "shared_memory_byte_size": 64}}]),
    *(binary(f"output {parameters}", (64, 64), PACKED, PACKED, outputs=[{"name": "OUTPUT0", "parameters": parameters}])
      for parameters in (
        {"shared_memory_region": "zz", "shared_memory_byte_size": 64},
        {"shared_memory_region": "zz", "binary_data": True}, {"shared_memory_region": "zz", "classification": 1},
        {"classification": 3}, {"classification": 0},
    )),
    *(binary(f"output {parameters}", (64, 64), PACKED, PACKED, expect="malformed",
             outputs=[{"name": "OUTPUT0", "parameters": parameters}])
      for parameters in ({"binary_data": "x"}, {"classification": "x"})),
    binary("an output without name", (64, 64), PACKED, PACKED, expect="malformed", outputs=[{}]),
    post("gzip", SIMPLE, gzip.compress(json.dumps(simple()).encode()), Content_Encoding="gzip"),
    post("deflate", SIMPLE, zlib.compress(json.dumps(simple()).encode()), Content_Encoding="deflate"),
    post("identity", SIMPLE, simple(), Content_Encoding="identity"),
    post("brotli", SIMPLE, simple(), Content_Encoding="br"),
    post("an empty gzip", SIMPLE, b"", Content_Encoding="gzip"),
    *(post(f"accepts {accepted}", SIMPLE, simple(), "json", Accept_Encoding=accepted) for accepted in (
        "gzip", "deflate", "br", "gzip, deflate", "deflate;q=0.5, gzip;q=0.8", "*", "gzip;q=0",
    )),
    raw("simple", PACKED), raw("identity_fp32", struct.pack("<2f", 1, 2)), raw("identity_fp32", b"123"),
    raw("identity_fp32", b""), raw("simple_identity", b"abc"), raw("raw_string", b"abc"), raw("raw_string", b""),
    raw("identity_2d", struct.pack("<4f", 1, 2, 3, 4)), raw("identity_2d", struct.pack("<3f", 1, 2, 3)),
    raw("classifier", struct.pack("<5f", 1, 2, 3, 4, 5)), raw("classifier", struct.pack("<10f", *range(10))),
    raw("nope", b""),
    identity("json", "FP32", [2], [1, 2.5]), identity("large", "FP32", [1], [1e39]),
    identity("large", "FP64", [1], [1e39]),
    identity("bool", "FP32", [1], [True], "malformed"), identity("string", "FP32", [1], ["1"], "malformed"),
    identity("true", "BOOL", [2], [True, False]), identity("1", "BOOL", [1], [1], "malformed"),
    identity("2 as true", "BOOL", [3], b"\0\1\2"), identity("wrap", "UINT8", [2], [256, 2**64 - 1]),
    identity("negative", "UINT8", [1], [-1], "malformed"), identity("wrap", "INT8", [2], [-129, 2**63 - 1]),
    identity("largest", "UINT64", [1], [2**64 - 1]), identity("too large", "UINT64", [1], [2**64], "malformed"),
    identity("bounds", "INT64", [2], [-(2**63), 2**63 - 1]), identity("too large", "INT64", [1], [2**63], "malformed"),
    identity("json", "FP16", [1], [1]), identity("binary", "FP16", [2], b"\0\x3c\0\x40",
             parameters={"binary_data_output": True}),
    identity("json out", "FP16", [2], b"\0\x3c\0\x40"),
    identity("text", "BYTES", [2], ["é中", ""]), identity("escapes", "BYTES", [1], ["a\nb\"\\\x00"]),
    identity("nested", "BYTES", [2], [["a"], ["b"]]), identity("number", "BYTES", [1], [5], "malformed"),
    identity("too few", "BYTES", [2], ["a"]), identity("too many", "BYTES", [1], ["a", "b"]),
    identity("none", "BYTES", [0], []), identity("none", "FP32", [0], []), identity("none of one", "FP32", [0], [1]),
    identity("none, binary", "FP32", [0], [], parameters={"binary_data_output": True}),
    identity("binary", "BYTES", [2], strings(b"a", b"bc"), parameters={"binary_data_output": True}),
    identity("not utf-8", "BYTES", [2], strings(b"\xff", b"")),
    identity("too few, binary", "BYTES", [3], strings(b"a", b"bc")),
    identity("too many, binary", "BYTES", [1], strings(b"a", b"bc")),
    identity("cut in a string", "BYTES", [2], strings(b"a", b"bc")[:-1]),
    identity("cut in a length", "BYTES", [2], strings(b"a", b"bc")[:7]),
    identity("a huge length", "BYTES", [1], b"\0\0\0\x80a"),
    identity("a huge shape", "BYTES", [2**40], b""), identity("a huge shape", "FP32", [2**40], b""),
    post("2d of another shape", "/v2/models/identity_2d/infer",
         {"inputs": [{"name": "INPUT0", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}),
    _one_int("failing"), _one_int("raising", "status"), _one_int("repeat_int32"), _one_int("numbers"),
    *(classes("classifier", count, [2, 5], "FP32", [0.1, 0.9, 0.2, 0.8, -1, 5, 1e10, 1e-9, 3, 4])
      for count in (1, 2, 5, 100)),
    classes("classifier", 2, [1, 5], "FP32", [1, 2, 3, 4, 5], binary_data=True),
    classes("classifier_unbatched", 3, [5], "INT32", [3, -1, 7, 6, 0]),
    *(post(f"optional {names}", "/v2/models/optional/infer", {"inputs": [
        {"name": name, "shape": [1, 2], "datatype": "FP32", "data": [1, 2]} for name in names]})
      for names in (["INPUT0"], ["INPUT0", "INPUT1"], [])),
    post("echo parameters", "/v2/models/echo_parameters/infer", {
        "inputs": [{"name": "INPUT0", "shape": [1], "datatype": "INT32", "data": [1]}],
        "parameters": {"a": 1, "b": "x", "c": True, "e": -(2**63), "priority": 3, "timeout": 5, "sequence_id": 7}}),
    *(post(f"a float written {text}", "/v2/models/identity_fp64/infer",
           '{"inputs":[{"name":"INPUT0","shape":[1],"datatype":"FP64","data":[' + text + "]}]}")
      for text in ("NaN", "Infinity", "-Infinity", "1e39", "-0", "0.1")),
]  # fmt: skip

BROKEN_JSON = [
    post(f"broken: {text[:20]}", SIMPLE, text)
    for text in ("{", b"\xff\xfe", '{"inputs":[{"name":"INPUT0"}]} trailing', '{"inputs": [01]}', '{"a": 1e400}')
]


def _generate(model: str, value: Any, expect: Expectation = "same", stream: bool = False) -> HttpCase:
    path = f"/v2/models/{model}/generate{'_stream' if stream else ''}"
    return post(f"{path.rpartition('/')[2]} {model} {str(value)[:60]}", path, value, expect)


GENERATE: tuple[HttpCase, ...] = (
    *(_generate(model, value, stream=stream) for stream in (False, True) for model, value in (
        ("identity_fp32", {"INPUT0": 1.5}), ("identity_fp32", {"INPUT0": [1, 2, 3]}), ("identity_fp32", {}),
        ("identity_fp32", {"INPUT0": []}), ("identity_fp32", {"INPUT0": [[1], [2]]}),
        ("identity_fp32", {"INPUT0": 1, "id": "q7"}), ("identity_int8", {"INPUT0": 300}),
        ("identity_uint64", {"INPUT0": 2**64 - 1}), ("identity_bool", {"INPUT0": [True, False]}),
        ("identity_string", {"INPUT0": "é中"}), ("identity_string", {"INPUT0": ["a", "b"]}),
        ("identity_fp16", {"INPUT0": 1}), ("identity_2d", {"INPUT0": [1, 2]}), ("identity_2d", {"INPUT0": [1, 2, 3]}),
        ("classifier", {"INPUT0": [1, 2, 3, 4, 5]}), ("classifier", {"INPUT0": SIXTEEN[:10]}),
        ("classifier", {"INPUT0": SIXTEEN[:4]}), ("simple", {"INPUT0": SIXTEEN, "INPUT1": SIXTEEN}),
        ("simple", {"INPUT0": 1, "INPUT1": 2}), ("simple_identity", {"INPUT0": ["a", "b"]}),
        ("raw_string", {"INPUT0": "a"}), ("optional", {"INPUT0": [1, 2]}), ("numbers", {"INPUT0": 3}),
        ("failing", {"INPUT0": 1}), ("nope", {"INPUT0": 1}), ("identity_int32/versions/1", {"INPUT0": 1}),
        ("identity_int32/versions/3", {"INPUT0": 1}), ("repeat_int32", {"IN": [4]}), ("repeat_int32", {"IN": [-1]}),
        ("echo_parameters", {"INPUT0": 1, "a": 2, "b": "x", "c": True, "d": 1.5, "priority": 3}),
        ("echo_parameters", {"INPUT0": 1, "parameters": {"a": 2, "timeout": 7}}),
        ("echo_parameters", {"INPUT0": 1, "e": [1]}), ("echo_parameters", {"INPUT0": 1, "parameters": {"e": {}}}),
        ("sequence_direct", {"INPUT0": 1, "sequence_id": 3}),
    )),
    *(_generate("repeat_int32", {"IN": values}, stream=True) for values in ([1, 2], [1, -1, 2], [])),
    *(_generate(model, value, "malformed") for model, value in (
        ("identity_fp32", [1]), ("identity_fp32", b""), ("identity_fp32", {"INPUT0": "a"}),
        ("identity_fp32", {"INPUT0": [[1, 2]]}), ("identity_int32", {"INPUT0": 1.5}),
        ("identity_string", {"INPUT0": 5}), ("echo_parameters", {"INPUT0": 1, "id": 5}),
        ("echo_parameters", {"INPUT0": 1, "parameters": 5}), ("echo_parameters", {"INPUT0": {}}),
    )),
    get("/v2/models/identity_fp32/generate"),
)  # fmt: skip
"""The generate extension."""
