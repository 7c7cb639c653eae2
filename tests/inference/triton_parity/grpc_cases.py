"""gRPC calls that both servers get."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from google.protobuf.message import Message
from tritonclient.grpc import service_pb2 as pb

Expectation = Literal["same", "status"]


@dataclass(frozen=True)
class GrpcCase:
    """One call. expect: "same" - status, text and message are equal; "status" - only the status is."""

    name: str
    rpc: str
    request: Message
    expect: Expectation = "same"


SIXTEEN = list(range(16))
PACKED = struct.pack("<16i", *SIXTEEN)


def tensor(name: str = "INPUT0", datatype: str = "INT32", shape: tuple[int, ...] = (1, 16), **contents: Any) -> Any:
    made = pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
    if contents:
        made.contents.CopyFrom(pb.InferTensorContents(**contents))
    return made


def simple(raw: tuple[bytes, ...] = (PACKED, PACKED), **members: Any) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="simple", raw_input_contents=raw, **members)
    request.inputs.extend([tensor("INPUT0"), tensor("INPUT1")])
    return request


def changed(change: Callable[[Any], Any], **members: Any) -> pb.ModelInferRequest:
    request = simple(**members)
    change(request)
    return request


def parameter(name: str, choice: str, value: Any) -> pb.ModelInferRequest:
    return changed(lambda request: setattr(request.parameters[name], choice, value))


def identity(datatype: str, shape: tuple[int, ...], raw: bytes | None = None, **contents: Any) -> pb.ModelInferRequest:
    model = "string" if datatype == "BYTES" else datatype.lower()
    request = pb.ModelInferRequest(
        model_name=f"identity_{model}", inputs=[tensor("INPUT0", datatype, shape, **contents)]
    )
    if raw is not None:
        request.raw_input_contents.append(raw)
    return request


def one(model: str, *values: int, name: str = "INPUT0", **members: Any) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name=model, inputs=[tensor(name, "INT32", (len(values),))], **members)
    request.raw_input_contents.append(struct.pack(f"<{len(values)}i", *values))
    return request


def classes(count: Any, choice: str = "int64_param") -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="classifier", inputs=[tensor("INPUT0", "FP32", (2, 5))])
    request.raw_input_contents.append(struct.pack("<10f", 0.1, 0.9, 0.2, 0.8, -1, 5, 1e10, 1e-9, 3, 4))
    setattr(request.outputs.add(name="OUTPUT0").parameters["classification"], choice, count)
    return request


def shared(target: str, **parameters: tuple[str, Any]) -> pb.ModelInferRequest:
    """A request whose first input or only output has those shared memory parameters: name → (choice, value)."""
    request = simple(raw=(PACKED,) if target == "input" else (PACKED, PACKED))
    item = request.inputs[0] if target == "input" else request.outputs.add(name="OUTPUT0")
    for name, (choice, value) in parameters.items():
        setattr(item.parameters[name], choice, value)
    return request


def load(repository: str = "", model: str = "nope", **parameters: tuple[str, Any]) -> pb.RepositoryModelLoadRequest:
    request = pb.RepositoryModelLoadRequest(repository_name=repository, model_name=model)
    for name, (choice, value) in parameters.items():
        setattr(request.parameters[name], choice, value)
    return request


def settings(message: Any, **values: Any) -> Any:
    for name, value in values.items():
        if isinstance(value, list):
            message.settings[name].value.extend(value)
        else:
            setattr(message.settings[name], value[0], value[1])
    return message


REGION = ("string_param", "zz")

INFERENCES = [
    ("plain", simple()), ("an id", simple(id="abc")), ("a version", simple(model_version="1")),
    ("an unknown version", simple(model_version="9")), ("a version of letters", simple(model_version="x")),
    ("a negative version", simple(model_version="-1")), ("an unknown model", pb.ModelInferRequest(model_name="nope")),
    ("no model", pb.ModelInferRequest()), ("no inputs", pb.ModelInferRequest(model_name="simple", id="q")),
    ("one output", changed(lambda r: r.outputs.add(name="OUTPUT1"))),
    ("outputs in another order", changed(lambda r: r.outputs.extend([
        pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in ("OUTPUT1", "OUTPUT0")]))),
    ("an unknown output", changed(lambda r: r.outputs.add(name="NOPE"))),
    ("a missing input", changed(lambda r: r.inputs.pop(), id="q", raw=(PACKED,))),
    ("an input twice", changed(lambda r: setattr(r.inputs[1], "name", "INPUT0"))),
    ("an unknown input", changed(lambda r: setattr(r.inputs[1], "name", "X"))),
    ("another type", changed(lambda r: setattr(r.inputs[0], "datatype", "FP32"))),
    ("no such type", changed(lambda r: setattr(r.inputs[0], "datatype", "WAT"))),
    ("another shape", changed(lambda r: r.inputs[0].shape.append(1))),
    ("an open shape", changed(lambda r: r.inputs[0].shape.__setitem__(1, -1))),
    ("no data", simple(raw=())), ("too little data", simple(raw=(PACKED,))), ("short data", simple(raw=(PACKED, b"x"))),
    ("too much data", simple(raw=(PACKED, PACKED, PACKED))),
    ("raw and contents", changed(lambda r: r.inputs[0].contents.int_contents.append(1))),
    ("contents of another type", changed(lambda r: r.inputs[0].contents.fp32_contents.append(1), raw=())),
    ("contents for FP16", identity("FP16", (1,), fp32_contents=[1])),
    ("two contents", identity("INT32", (1,), int_contents=[1], fp32_contents=[1])),
    ("no contents", identity("INT32", (1,))),
    ("too few contents", identity("INT32", (3,), int_contents=[1])),
    ("too few strings", identity("BYTES", (3,), bytes_contents=[b"a"])),
    ("bool contents", identity("BOOL", (2,), bool_contents=[True, False])),
    ("int8 contents", identity("INT8", (3,), int_contents=[1, -1, 300])),
    ("int16 contents", identity("INT16", (3,), int_contents=[1, -1, 70000])),
    ("uint8 contents", identity("UINT8", (2,), uint_contents=[1, 300])),
    ("uint16 contents", identity("UINT16", (2,), uint_contents=[1, 70000])),
    ("uint32 contents", identity("UINT32", (2,), uint_contents=[1, 2**32 - 1])),
    ("int64 contents", identity("INT64", (2,), int64_contents=[1, -1])),
    ("uint64 contents", identity("UINT64", (2,), uint64_contents=[1, 2**64 - 1])),
    ("fp32 contents", identity("FP32", (2,), fp32_contents=[1, float("nan")])),
    ("fp64 contents", identity("FP64", (2,), fp64_contents=[1, float("inf")])),
    ("bytes contents", identity("BYTES", (2,), bytes_contents=[b"a\0", b""])),
    ("raw fp16", identity("FP16", (2,), b"\0\x3c\0\x40")), ("raw string", identity("BYTES", (1,), b"\1\0\0\0a")),
    ("a string cut short", identity("BYTES", (1,), b"\2\0\0\0a")), ("an empty tensor", identity("FP32", (0,), b"")),
    ("3 classes", classes(3)), ("0 classes", classes(0)), ("classes of another kind", classes("3", "string_param")),
    ("a failing model", one("failing", 1)), ("a decoupled model", one("repeat_int32", 1, name="IN")),
    *((f"parameter {name} {choice}", parameter(name, choice, value)) for name, choice, value in (
        ("priority", "string_param", "x"), ("priority", "int64_param", -1), ("priority", "uint64_param", 1),
        ("timeout", "bool_param", True), ("timeout", "int64_param", 5), ("sequence_id", "bool_param", True),
        ("sequence_start", "int64_param", 1), ("sequence_end", "int64_param", 1),
        ("triton_enable_empty_final_response", "int64_param", 1), ("mine", "double_param", 1.5),
        ("mine", "string_param", "x"),
    )),
    ("an unknown region", shared("input", shared_memory_region=REGION, shared_memory_byte_size=("int64_param", 64))),
    ("a region of another kind", shared("input", shared_memory_region=("int64_param", 1))),
    ("a region without size", shared("input", shared_memory_region=REGION)),
    ("a size of another kind", shared("input", shared_memory_region=REGION, shared_memory_byte_size=REGION)),
    ("an offset of another kind", shared("input", shared_memory_region=REGION, shared_memory_offset=REGION)),
    ("an output to an unknown region",
     shared("output", shared_memory_region=REGION, shared_memory_byte_size=("int64_param", 64))),
]  # fmt: skip

CASES = [
    *(GrpcCase(f"infer: {name}", "ModelInfer", request) for name, request in INFERENCES),
    GrpcCase("infer: raising", "ModelInfer", one("raising", 1), "status"),
    GrpcCase("infer: uint64 parameter", "ModelInfer", parameter("mine", "uint64_param", 1), "status"),
    GrpcCase("infer: reserved parameter", "ModelInfer", parameter("triton_x", "int64_param", 1), "status"),
    GrpcCase("live", "ServerLive", pb.ServerLiveRequest()),
    GrpcCase("ready", "ServerReady", pb.ServerReadyRequest()),
    *(GrpcCase(f"model ready {name} {version}", "ModelReady", pb.ModelReadyRequest(name=name, version=version))
      for name, version in (("simple", ""), ("simple", "9"), ("nope", ""), ("simple", "x"))),
    *(GrpcCase(f"{rpc} {name} {version}", rpc, kind(name=name, version=version))
      for rpc, kind in (("ModelMetadata", pb.ModelMetadataRequest), ("ModelConfig", pb.ModelConfigRequest))
      for name, version in (("simple", ""), ("optional", "1"), ("simple", "9"), ("nope", ""), ("batching", ""))),
    *(GrpcCase(f"statistics {name} {version}", "ModelStatistics",
               pb.ModelStatisticsRequest(name=name, version=version), "status")
      for name, version in (("simple", ""), ("", ""), ("nope", ""), ("simple", "9"))),
    *(GrpcCase(f"index {request}", "RepositoryIndex", request)
      for request in (pb.RepositoryIndexRequest(), pb.RepositoryIndexRequest(ready=True))),
    GrpcCase("load the unknown", "RepositoryModelLoad", load()),
    GrpcCase("load from a repository", "RepositoryModelLoad", load("here")),
    GrpcCase("load with nonsense", "RepositoryModelLoad", load(x=("string_param", ""))),
    GrpcCase("load with a config of bytes", "RepositoryModelLoad", load(config=("bytes_param", b""))),
    GrpcCase("load with a file of text", "RepositoryModelLoad", load(**{"file:1/model.py": ("string_param", "")})),
    GrpcCase("unload the unknown", "RepositoryModelUnload", pb.RepositoryModelUnloadRequest(model_name="nope")),
    GrpcCase("unload from a repository", "RepositoryModelUnload", pb.RepositoryModelUnloadRequest(repository_name="r")),
    *(GrpcCase(f"{memory} status {name}", f"{memory}SharedMemoryStatus",
               getattr(pb, f"{memory}SharedMemoryStatusRequest")(name=name))
      for memory in ("System", "Cuda") for name in ("", "zz")),
    *(GrpcCase(f"{memory} unregister {name}", f"{memory}SharedMemoryUnregister",
               getattr(pb, f"{memory}SharedMemoryUnregisterRequest")(name=name))
      for memory in ("System", "Cuda") for name in ("", "zz")),
    GrpcCase("register the unknown", "SystemSharedMemoryRegister",
             pb.SystemSharedMemoryRegisterRequest(name="zz", key="/nope", byte_size=4)),
    *(GrpcCase(f"logging {change}", "LogSettings", settings(pb.LogSettingsRequest(), **change)) for change in (
        {}, {"log_verbose_level": ("uint32_param", 0)}, {"log_format": ("string_param", "x")},
        {"log_file": ("string_param", "x")}, {"log_info": ("string_param", "x")},
        {"log_verbose_level": ("string_param", "x")}, {"log_format": ("bool_param", True)},
        {"log_format": ("string_param", "default")},
    )),
    *(GrpcCase(f"trace {change}", "TraceSetting", settings(pb.TraceSettingRequest(), **change)) for change in (
        {}, {"trace_rate": ["7"]}, {"trace_rate": ["x"]}, {"trace_rate": ["1", "2"]}, {"trace_file": ["x"]},
        {"trace_level": ["OFF", "TENSORS"]}, {"trace_level": ["TIMESTAMPS"]}, {"trace_rate": []},
    )),
]  # fmt: skip

STREAMS = {
    "plain": [simple(id="1"), simple(id="2")],
    "errors in between": [simple(id="1"), pb.ModelInferRequest(model_name="nope", id="2"),
                          simple(raw=(b"", b""), id="3"), one("failing", 1, id="4"), simple(id="5")],
    "decoupled": [one("repeat_int32", 4, 5, 6, name="IN", id="r")],
    "decoupled, no answer": [one("repeat_int32", name="IN", id="r")],
    "decoupled, an error at the end": [one("repeat_int32", 4, -1, name="IN", id="r")],
    "decoupled, misfit": [pb.ModelInferRequest(model_name="repeat_int32", id="r")],
}  # fmt: skip
