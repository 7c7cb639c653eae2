"""The gRPC service through its own stubs: inference, streams, errors, deadlines, health and reflection."""

from __future__ import annotations

import asyncio
import queue
import socket
import struct
import uuid
from multiprocessing import shared_memory

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from bento.inference.over_grpc.service import start_grpc
from tests.inference.running_servers import MAX_BODY_BYTES

SIXTEEN = list(range(16))
PACKED = struct.pack("<16i", *SIXTEEN)
DOUBLED = struct.pack("<16i", *(2 * value for value in SIXTEEN))


@pytest.fixture
def channel(numpy_models):
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(numpy_models.grpc, options=options) as channel:
        yield channel


@pytest.fixture
def stub(channel):
    return service_pb2_grpc.GRPCInferenceServiceStub(channel)


def tensor(name="INPUT0", datatype="INT32", shape=(1, 16), **contents):
    made = pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
    if contents:
        made.contents.CopyFrom(pb.InferTensorContents(**contents))
    return made


def simple(raw=(PACKED, PACKED), **members):
    request = pb.ModelInferRequest(model_name="simple", raw_input_contents=raw, **members)
    request.inputs.extend([tensor("INPUT0"), tensor("INPUT1")])
    return request


def one(model, value, datatype="INT32", name="INPUT0", **members):
    request = pb.ModelInferRequest(model_name=model, inputs=[tensor(name, datatype, value.shape)], **members)
    request.raw_input_contents.append(value.tobytes())
    return request


def refused(call, request):
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=20)
    return caught.value.code(), caught.value.details()


def test_bytes_in_bytes_out(stub):
    answer = stub.ModelInfer(simple(id="abc"))
    assert (answer.model_name, answer.model_version, answer.id) == ("simple", "1", "abc")
    assert [(out.name, out.datatype, list(out.shape)) for out in answer.outputs] == [
        ("OUTPUT0", "INT32", [1, 16]),
        ("OUTPUT1", "INT32", [1, 16]),
    ]
    assert list(answer.raw_output_contents) == [DOUBLED, bytes(64)]


@pytest.mark.parametrize(
    ("datatype", "contents", "expected"),
    [
        ("BOOL", {"bool_contents": [True, False]}, b"\1\0"),
        ("INT8", {"int_contents": [-1, 128]}, b"\xff\x80"),
        ("INT16", {"int_contents": [-1, 2]}, b"\xff\xff\2\0"),
        ("INT32", {"int_contents": [-1, 2]}, struct.pack("<2i", -1, 2)),
        ("INT64", {"int64_contents": [-1, 2]}, struct.pack("<2q", -1, 2)),
        ("UINT8", {"uint_contents": [255, 258]}, b"\xff\2"),
        ("UINT16", {"uint_contents": [1, 2]}, b"\1\0\2\0"),
        ("UINT32", {"uint_contents": [1, 2]}, struct.pack("<2I", 1, 2)),
        ("UINT64", {"uint64_contents": [1, 2**64 - 1]}, struct.pack("<2Q", 1, 2**64 - 1)),
        ("FP32", {"fp32_contents": [1.5, 2]}, struct.pack("<2f", 1.5, 2)),
        ("FP64", {"fp64_contents": [1.5, 2]}, struct.pack("<2d", 1.5, 2)),
        ("BYTES", {"bytes_contents": [b"a\0", b""]}, b"\2\0\0\0a\0\0\0\0\0"),
    ],
)
def test_typed_contents_are_read(stub, datatype, contents, expected):
    name = "string" if datatype == "BYTES" else datatype.lower()
    request = pb.ModelInferRequest(model_name=f"identity_{name}")
    request.inputs.append(tensor("INPUT0", datatype, [2], **contents))
    assert stub.ModelInfer(request).raw_output_contents[0] == expected


@pytest.mark.parametrize(("datatype", "data"), [("FP16", b"\0\x3c\0\x40"), ("BF16", b"\x80\x3f\0\x40")])
def test_half_precision_passes_as_bytes(stub, datatype, data):
    request = pb.ModelInferRequest(model_name=f"identity_{datatype.lower()}", raw_input_contents=[data])
    request.inputs.append(tensor("INPUT0", datatype, [2]))
    assert stub.ModelInfer(request).raw_output_contents[0] == data


def test_only_the_outputs_asked_for_come_back(stub):
    request = simple(outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name="OUTPUT1")])
    assert [out.name for out in stub.ModelInfer(request).outputs] == ["OUTPUT1"]


def test_classes_come_as_strings(stub):
    request = one("classifier", np.array([[0.1, 5, 0, -1, 2]], np.float32), "FP32")
    output = request.outputs.add(name="OUTPUT0")
    output.parameters["classification"].int64_param = 2
    answer = stub.ModelInfer(request)
    assert (answer.outputs[0].datatype, list(answer.outputs[0].shape)) == ("BYTES", [1, 2])
    assert answer.raw_output_contents[0] == b"\x11\0\0\x005.000000:1:comedy" + b"\x0a\0\0\x002.000000:4"


def test_parameters_reach_the_model(stub, numpy_models):
    request = simple()
    request.parameters["priority"].uint64_param = 2
    request.parameters["timeout"].int64_param = 5
    request.parameters["sequence_id"].string_param = "s"
    request.parameters["sequence_end"].bool_param = True
    request.parameters["mood"].string_param = "sad"
    request.parameters["x"].double_param = 1.5
    stub.ModelInfer(request)
    seen = numpy_models.server.requests[-1]
    assert (seen.priority, seen.timeout_us, seen.parameters) == (2, 5, {"mood": "sad", "x": 1.5})
    assert (seen.sequence.id, seen.sequence.start, seen.sequence.end) == ("s", False, True)


BAD = grpc.StatusCode.INVALID_ARGUMENT


def _changed(change, **members):
    request = simple(**members)
    change(request)
    return request


def _set(name, choice, value):
    return lambda request: setattr(request.parameters[name], choice, value)


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (
            pb.ModelInferRequest(model_name="nope"),
            grpc.StatusCode.NOT_FOUND,
            "Request for unknown model: 'nope' is not",
        ),
        (simple(model_version="9"), grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'simple' version 9 is not"),
        (
            simple(model_version="x"),
            BAD,
            "failed to get model version from specified version string 'x' (details: stol)",
        ),
        (simple(model_version="+-5"), BAD, "failed to get model version from specified version string '+-5'"),
        (simple(model_version="9" * 5_000), BAD, "failed to get model version from specified version string '99"),
        (simple(model_version="-1"), BAD, "invalid model version specified '-1' , version should be an integral value"),
        (simple(raw=[PACKED]), BAD, "unable to find data for input tensor 'INPUT1' for model 'simple' in request."),
        (simple(raw=[PACKED, b"x"], id="q"), BAD, "[request id: q] input byte size mismatch for input 'INPUT1' for"),
        (
            _changed(lambda r: r.inputs.pop(), id="q"),
            BAD,
            "[request id: q] expected 2 inputs but got 1 inputs for model",
        ),
        (_changed(lambda r: r.outputs.add(name="X")), BAD, "unexpected inference output 'X' for model 'simple'"),
        (
            _changed(lambda r: r.inputs[0].contents.int_contents.append(1)),
            BAD,
            "contents field must not be specified when using raw_input_contents for 'INPUT0' for model 'simple'",
        ),
        (
            _changed(lambda r: r.inputs[0].contents.fp32_contents.append(1), raw=[]),
            BAD,
            "unexpected explicit tensor data for input tensor 'INPUT0' for model 'simple' of type 'FP32', expected "
            "datatype 'INT32'",
        ),
        (
            _changed(_set("priority", "string_param", "x")),
            BAD,
            "invalid value type for 'priority' parameter, expected int64_param or uint64_param.",
        ),
        (
            _changed(_set("timeout", "bool_param", True)),
            BAD,
            "invalid value type for 'timeout' parameter, expected int64",
        ),
        (
            _changed(_set("sequence_start", "int64_param", 1)),
            BAD,
            "invalid value type for 'sequence_start' parameter, exp",
        ),
        (_changed(_set("triton_x", "int64_param", 1)), BAD, "parameter keys starting with 'triton_' are reserved for"),
        (
            _changed(_set("x", "uint64_param", 1)),
            BAD,
            "invalid value type for 'x' parameter, expected int64_param, bool",
        ),
        (
            pb.ModelInferRequest(model_name="repeat_int32"),
            grpc.StatusCode.UNIMPLEMENTED,
            "ModelInfer RPC doesn't support models with decoupled transaction policy",
        ),
        (one("failing", np.array([1], np.int32)), grpc.StatusCode.INTERNAL, "the film is missing"),
    ],
)
def test_what_does_not_fit_is_refused_in_tritonservers_words(stub, request_, code, text):
    got, details = refused(stub.ModelInfer, request_)
    assert got == code
    assert details.startswith(text)


def test_a_bug_is_internal_tells_nothing_and_is_logged(stub, caplog):
    assert refused(stub.ModelInfer, one("crashing", np.array([1], np.int32))) == (
        grpc.StatusCode.INTERNAL,
        "internal error, see the server's log",
    )
    assert "RuntimeError: a bug" in caplog.text


def test_messages_over_four_megabytes_would_pass_but_for_the_limit(stub):
    half = np.zeros(MAX_BODY_BYTES // 8, np.float32)
    assert len(stub.ModelInfer(one("identity_fp32", half, "FP32")).raw_output_contents[0]) == half.nbytes
    code, details = refused(stub.ModelInfer, one("identity_fp32", np.zeros(MAX_BODY_BYTES, np.float32), "FP32"))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(MAX_BODY_BYTES) in details


def test_the_clients_deadline_reaches_the_engine_and_cancels(stub, numpy_models):
    numpy_models.server.held.clear()
    numpy_models.server.let_go.clear()
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(one("held", np.array([1], np.int32)), timeout=0.2)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    numpy_models.run(asyncio.wait_for(numpy_models.server.let_go.wait(), 10))
    assert numpy_models.server.requests[-1].deadline_ns is not None
    stub.ModelInfer(simple())
    assert numpy_models.server.requests[-1].deadline_ns is None


def test_a_client_that_cancels_takes_its_request_away(stub, numpy_models):
    numpy_models.server.held.clear()
    numpy_models.server.let_go.clear()
    call = stub.ModelInfer.future(one("held", np.array([1], np.int32)))
    numpy_models.run(asyncio.wait_for(numpy_models.server.held.wait(), 10))
    call.cancel()
    numpy_models.run(asyncio.wait_for(numpy_models.server.let_go.wait(), 10))


def test_times_come_as_trailing_metadata_when_asked_for(stub):
    _, call = stub.ModelInfer.with_call(simple(), metadata=[("inference-timing", "1")])
    assert dict(call.trailing_metadata())["server-timing"].startswith("queue;dur=1.000, compute_input;dur=2.000")


def test_a_stream_answers_in_order_and_survives_errors(stub):
    requests = [
        simple(id="1"),
        pb.ModelInferRequest(model_name="nope", id="2"),
        simple(raw=[b""], id="3"),
        simple(id="4"),
    ]
    answers = list(stub.ModelStreamInfer(iter(requests), timeout=20))
    assert [answer.infer_response.id for answer in answers] == ["1", "2", "3", "4"]
    assert [answer.error_message.split(" ")[0] for answer in answers] == ["", "Request", "unable", ""]
    assert answers[3].infer_response.parameters["triton_final_response"].bool_param is True


def test_a_decoupled_model_answers_as_often_as_it_likes(stub):
    request = one("repeat_int32", np.array([4, 5, 6], np.int32), name="IN", id="r")
    answers = list(stub.ModelStreamInfer(iter([request]), timeout=20))
    values = [struct.unpack("<i", answer.infer_response.raw_output_contents[0])[0] for answer in answers]
    assert values == [4, 5, 6]
    assert [answer.infer_response.parameters["triton_final_response"].bool_param for answer in answers] == [False] * 3


def test_an_empty_final_answer_comes_when_asked_for(stub):
    request = one("repeat_int32", np.array([4], np.int32), name="IN", id="r")
    request.parameters["triton_enable_empty_final_response"].bool_param = True
    answers = list(stub.ModelStreamInfer(iter([request]), timeout=20))
    assert len(answers) == 2
    last = answers[1].infer_response
    assert (last.id, list(last.outputs), last.parameters["triton_final_response"].bool_param) == ("r", [], True)


def test_a_decoupled_request_does_not_let_others_overtake(stub, numpy_models):
    numpy_models.server.held.clear()
    numpy_models.server.let_go.clear()
    requests = [one("held", np.array([1], np.int32)), one("repeat_int32", np.array([4], np.int32), name="IN"), simple()]
    call = stub.ModelStreamInfer(iter(requests), timeout=20)
    assert next(call).infer_response.model_name == "repeat_int32"
    numpy_models.run(asyncio.wait_for(numpy_models.server.held.wait(), 10))
    call.cancel()  # the answer of `simple` has to wait for that of `held`, which never comes
    with pytest.raises(grpc.RpcError, match="CANCELLED"):
        next(call)


ENDS_ON_ERROR = (("triton_grpc_error", "true"),)
ONE = np.array([1], np.int32)


def seen_in_stream(stub, requests, metadata):
    """Ids of the answers, texts of the errors among them, and the status and text that the stream ends with."""
    call = stub.ModelStreamInfer(iter(requests), metadata=metadata, timeout=20)
    seen = []
    try:
        seen.extend(answer.error_message or answer.infer_response.id for answer in call)
    except grpc.RpcError as error:
        return seen, error.code(), error.details()
    return seen, call.code(), call.details()


def test_a_client_may_have_an_error_end_its_stream(stub):
    requests = [one("identity_int32", ONE, id="1"), one("failing", ONE, id="2"), one("identity_int32", ONE, id="3")]
    assert seen_in_stream(stub, requests, ENDS_ON_ERROR) == (["1"], grpc.StatusCode.INTERNAL, "the film is missing")


@pytest.mark.parametrize("value", ["false", "1", "TRUE"])
def test_an_error_ends_no_stream_without_the_word_for_it(stub, value):
    requests = [one("failing", ONE, id="1"), one("identity_int32", ONE, id="2")]
    seen, code, _ = seen_in_stream(stub, requests, (("triton_grpc_error", value),))
    assert (seen, code) == (["the film is missing", "2"], grpc.StatusCode.OK)


def test_a_request_that_is_wrong_itself_ends_no_stream(stub):
    requests = [one("nope", ONE, id="1"), one("identity_int32", ONE, id="2")]
    seen, code, _ = seen_in_stream(stub, requests, ENDS_ON_ERROR)
    assert (seen, code) == (["Request for unknown model: 'nope' is not found", "2"], grpc.StatusCode.OK)


def test_an_error_of_a_decoupled_model_may_end_its_stream(stub):
    requests = [one("repeat_int32", np.array([4, -1, 5], np.int32), name="IN")]
    _, code, text = seen_in_stream(stub, requests, ENDS_ON_ERROR)
    assert (code, text) == (grpc.StatusCode.INTERNAL, "negative")


def test_an_error_between_two_answers_travels_in_the_stream(stub):
    requests = [one("repeat_int32", np.array([4, -1], np.int32), name="IN", id="r"), simple(id="s")]
    answers = list(stub.ModelStreamInfer(iter(requests), timeout=20))
    assert sorted(answer.error_message for answer in answers) == ["", "", "negative"]


def test_a_client_that_drops_a_stream_takes_its_requests_away(stub, numpy_models):
    numpy_models.server.held.clear()
    numpy_models.server.let_go.clear()
    call = stub.ModelStreamInfer(iter([one("held", np.array([1], np.int32))]))
    numpy_models.run(asyncio.wait_for(numpy_models.server.held.wait(), 10))
    call.cancel()
    numpy_models.run(asyncio.wait_for(numpy_models.server.let_go.wait(), 10))


def test_inputs_and_outputs_may_live_in_shared_memory(stub, numpy_models):
    region, key = f"region-{uuid.uuid4().hex}", f"marquee-{uuid.uuid4().hex}"
    memory = shared_memory.SharedMemory(key, create=True, size=256)
    try:
        memory.buf[:64] = PACKED
        stub.SystemSharedMemoryRegister(pb.SystemSharedMemoryRegisterRequest(name=region, key=key, byte_size=256))
        status = stub.SystemSharedMemoryStatus(pb.SystemSharedMemoryStatusRequest(name=region)).regions[region]
        assert (status.key, status.offset, status.byte_size) == (key, 0, 256)
        request = simple(raw=[])
        request.outputs.add(name="OUTPUT0")
        for item, offset in ((request.inputs[0], 0), (request.inputs[1], 0), (request.outputs[0], 128)):
            item.parameters["shared_memory_region"].string_param = region
            item.parameters["shared_memory_byte_size"].int64_param = 64
            item.parameters["shared_memory_offset"].int64_param = offset
        answer = stub.ModelInfer(request)
        assert (answer.raw_output_contents[0], bytes(memory.buf[128:192])) == (b"", DOUBLED)
        numpy_models.server.requests.clear()  # which keeps views into the region
        stub.SystemSharedMemoryUnregister(pb.SystemSharedMemoryUnregisterRequest(name=region))
        code, _ = refused(stub.SystemSharedMemoryStatus, pb.SystemSharedMemoryStatusRequest(name=region))
        assert code == grpc.StatusCode.NOT_FOUND
    finally:
        memory.close()
        memory.unlink()


def test_cuda_memory_is_not_mapped(stub):
    assert not stub.CudaSharedMemoryStatus(pb.CudaSharedMemoryStatusRequest()).regions
    stub.CudaSharedMemoryUnregister(pb.CudaSharedMemoryUnregisterRequest())
    code, details = refused(stub.CudaSharedMemoryRegister, pb.CudaSharedMemoryRegisterRequest(name="r"))
    assert (code, details) == (BAD, "failed to register CUDA shared memory region: 'r', GPUs not supported")


def test_liveness_readiness_and_metadata(stub):
    assert stub.ServerLive(pb.ServerLiveRequest()).live
    assert stub.ServerReady(pb.ServerReadyRequest()).ready
    assert stub.ModelReady(pb.ModelReadyRequest(name="simple")).ready
    assert not stub.ModelReady(pb.ModelReadyRequest(name="nope")).ready
    assert stub.ServerMetadata(pb.ServerMetadataRequest()).name == "triton"
    metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="simple"))
    assert [(io.name, io.datatype, list(io.shape)) for io in metadata.inputs] == [
        ("INPUT0", "INT32", [-1, 16]),
        ("INPUT1", "INT32", [-1, 16]),
    ]
    assert stub.ModelConfig(pb.ModelConfigRequest(name="simple")).config.max_batch_size == 8
    assert stub.ModelStatistics(pb.ModelStatisticsRequest(name="simple")).model_stats[0].inference_count == 3
    assert (
        len(stub.RepositoryIndex(pb.RepositoryIndexRequest(ready=True)).models)
        == len(stub.RepositoryIndex(pb.RepositoryIndexRequest()).models) - 1
    )


def test_model_control_passes_configuration_and_files_on(stub, numpy_models):
    request = pb.RepositoryModelLoadRequest(model_name="a")
    request.parameters["config"].string_param = "{}"
    request.parameters["file:1/model.onnx"].bytes_param = b"\0onnx"
    stub.RepositoryModelLoad(request)
    assert numpy_models.server.loads[-1] == ("a", "{}", {"1/model.onnx": b"\0onnx"})
    request = pb.RepositoryModelUnloadRequest(model_name="a")
    request.parameters["unload_dependents"].bool_param = True
    stub.RepositoryModelUnload(request)
    assert numpy_models.server.unloads[-1] == ("a", True)


def test_model_control_refuses_what_it_does_not_understand(stub):
    code, details = refused(stub.RepositoryModelLoad, pb.RepositoryModelLoadRequest(repository_name="r"))
    assert (code, details) == (grpc.StatusCode.UNIMPLEMENTED, "'repository_name' specification is not supported")
    request = pb.RepositoryModelLoadRequest(model_name="a")
    request.parameters["x"].string_param = ""
    assert refused(stub.RepositoryModelLoad, request) == (BAD, "unrecognized load parameter 'x'.")
    request = pb.RepositoryModelLoadRequest(model_name="a")
    request.parameters["file:x"].string_param = ""
    assert refused(stub.RepositoryModelLoad, request) == (
        BAD,
        "invalid value type for load parameter 'file:x', expected bytes_param.",
    )


def test_log_and_trace_settings_are_shown_and_checked(stub):
    settings = stub.LogSettings(pb.LogSettingsRequest()).settings
    assert (settings["log_info"].bool_param, settings["log_format"].string_param) == (True, "default")
    request = pb.LogSettingsRequest()
    request.settings["log_info"].string_param = "x"
    assert refused(stub.LogSettings, request) == (BAD, "expect boolean for 'log_info'")
    request = pb.TraceSettingRequest(model_name="simple")
    request.settings["trace_rate"].value.append("7")
    assert list(stub.TraceSetting(request).settings["trace_rate"].value) == ["7"]
    request.settings["trace_rate"].ClearField("value")
    assert list(stub.TraceSetting(request).settings["trace_rate"].value) == ["1000"]
    request.settings["trace_rate"].value.extend(["1", "2"])
    assert refused(stub.TraceSetting, request) == (BAD, "expect only 1 value for 'trace_rate'")


def test_the_standard_health_service_follows_readiness(channel, numpy_models):
    health = health_pb2_grpc.HealthStub(channel)
    assert health.Check(health_pb2.HealthCheckRequest(service="any")).status == health_pb2.HealthCheckResponse.SERVING
    watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=20)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    numpy_models.server.ready = False
    try:
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        status = health.Check(health_pb2.HealthCheckRequest()).status
        assert status == health_pb2.HealthCheckResponse.NOT_SERVING
    finally:
        numpy_models.server.ready = True
        watch.cancel()


def test_who_only_keeps_a_stream_open_does_not_keep_the_server_from_ending(numpy_models):
    """A load balancer watches the health for ever, a client keeps its stream for its next request."""
    server, port = numpy_models.run(start_grpc(numpy_models.server, "127.0.0.1", 0))
    more, nothing_more = queue.SimpleQueue(), object()
    more.put(simple(id="1"))
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
        answers = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer(
            iter(more.get, nothing_more), timeout=60
        )
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        assert next(answers).infer_response.id == "1"
        numpy_models.run(asyncio.wait_for(server.stop(60), 20))
        assert [answer.status for answer in watch] == [health_pb2.HealthCheckResponse.NOT_SERVING]
        assert list(answers) == []
        more.put(nothing_more)


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_it_listens_on_an_ipv6_address(numpy_models):
    server, port = numpy_models.run(start_grpc(numpy_models.server, "::1", 0))
    with grpc.insecure_channel(f"[::1]:{port}") as channel:
        assert service_pb2_grpc.GRPCInferenceServiceStub(channel).ServerLive(pb.ServerLiveRequest()).live
    numpy_models.run(server.stop(0))


def test_reflection_lists_the_services(channel):
    services = set(ProtoReflectionDescriptorDatabase(channel).get_services())
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= services


def test_bytes_that_are_no_message_are_the_clients_fault(channel):
    call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    text = "failed to parse the request: not a valid ModelInferRequest message"
    assert refused(call, b"\xff\xff") == (BAD, text)
    stream = channel.stream_stream(
        "/inference.GRPCInferenceService/ModelStreamInfer",
        request_serializer=lambda message: message,
        response_deserializer=pb.ModelStreamInferResponse.FromString,
    )
    answers = list(stream(iter([b"\xff\xff", simple(id="2").SerializeToString()]), timeout=20))
    assert [(answer.error_message, answer.infer_response.id) for answer in answers] == [(text, ""), ("", "2")]
