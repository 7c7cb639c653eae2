"""The v2 protocol over gRPC: tritonserver's GRPCInferenceService, beside grpc.health.v1 and server reflection."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from functools import partial

import grpc
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc.aio import ServicerContext
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tritonclient.grpc import service_pb2 as pb

from bento.inference.core.errors import InferenceError, InvalidRequest, Unsupported
from bento.inference.core.messages import InferRequest, InferResponse
from bento.inference.over_grpc.codec import decode_request
from bento.inference.over_grpc.errors import UndecodableMessage, reported, tolerant_parser
from bento.inference.over_grpc.health import ReadinessServicer
from bento.inference.over_grpc.messages import InferMessages, PlainMessages, Template
from bento.inference.over_grpc.settings import SettingsServicer
from bento.inference.over_grpc.stream import ENDS_ON_ERROR, InferStream
from bento.inference.protocol.front_end import (
    DEFAULT_MAX_BODY_BYTES,
    TIMING_REQUEST_HEADER,
    FrontEndState,
    answer,
    answer_now,
    checked_version,
    server_timing,
)
from bento.inference.protocol.header_rules import ForwardedHeaders
from bento.inference.protocol.output_delivery import DecodedRequest
from bento.inference.server import InferenceServer

_parse_infer = tolerant_parser(pb.ModelInferRequest)
_SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
_INFER = f"/{_SERVICE.full_name}/ModelInfer"


class V2Servicer(SettingsServicer):
    """One method per RPC. Method names are the protocol's."""

    def __init__(
        self, server: InferenceServer, state: FrontEndState, forwarded_headers: ForwardedHeaders | None = None
    ) -> None:
        super().__init__(server, state)
        self._forwarded_headers = forwarded_headers
        self._messages = _infer_messages(server)
        self._streams: set[InferStream] = set()

    @reported
    async def ModelInfer(self, data: bytes, context: ServicerContext) -> bytes:
        """One answer to one request, both as they are on the wire."""
        template = self._messages.find(data)
        if template is not None and self._forwarded_headers is None:
            answer = template.answer(data, context.time_remaining)
            if answer is not None:
                return answer
        response, decoded = await self._infer(data, context, template)
        return self._messages.write(response, decoded)

    @reported
    async def timed_infer(self, data: bytes, context: ServicerContext) -> bytes:
        """As `ModelInfer`, with the times in the trailing metadata."""
        response, decoded = await self._infer(data, context, self._messages.find(data))
        context.set_trailing_metadata((("server-timing", server_timing(response.timing)),))
        return self._messages.write(response, decoded)

    async def _infer(
        self, data: bytes, context: ServicerContext, template: Template | None
    ) -> tuple[InferResponse, DecodedRequest]:
        decoded = self._decode(data) if template is None else template.read(data)
        decoded.request.deadline_ns = deadline_ns(context)
        if self._forwarded_headers is not None:
            self._forwarded_headers.add_to(decoded.request, _text_metadata(context))
        response = answer_now(self.server, decoded)
        if response is not None:
            if template is not None and not decoded.wants_classes:
                template.prepare(decoded, response)
        else:
            self._refuse_decoupled(decoded.request.model_name, decoded.request.model_version)
            response = await answer(self.server, decoded)
        return response, decoded

    def _decode(self, data: bytes) -> DecodedRequest:
        message = _parse_infer(data)
        if isinstance(message, UndecodableMessage):
            raise message
        self._refuse_decoupled(message.model_name, checked_version(message.model_version))
        decoded = decode_request(message, self.state.regions)
        self._messages.remember(data, message, decoded)
        return decoded

    def _refuse_decoupled(self, model: str, version: str) -> None:
        if self.server.is_decoupled(model, version):
            raise Unsupported("ModelInfer RPC doesn't support models with decoupled transaction policy")

    async def ModelStreamInfer(
        self, request_iterator: AsyncIterator[pb.ModelInferRequest], context: ServicerContext
    ) -> None:
        """Any number of requests and answers; errors travel in the stream, which lives on unless told otherwise."""
        ends_on_error = ENDS_ON_ERROR in tuple(context.invocation_metadata() or ())
        stream = InferStream(
            self.server, self.state.regions, context.write, deadline_ns(context), ends_on_error=ends_on_error,
            forward=None if self._forwarded_headers is None else partial(self._forward, _text_metadata(context)),
        )  # fmt: skip
        self._streams.add(stream)
        try:
            await stream.run(request_iterator)
        except InferenceError as error:
            await context.abort(grpc.StatusCode[error.grpc_status], str(error))
        finally:
            self._streams.discard(stream)

    def _forward(self, metadata: list[tuple[str, str]], request: InferRequest) -> None:
        if self._forwarded_headers is not None:
            self._forwarded_headers.add_to(request, metadata)

    def end_streams(self) -> None:
        """Take no more requests from open streams: their clients may keep them open for ever."""
        for stream in self._streams:
            stream.end()

    @reported
    async def ServerLive(self, request: pb.ServerLiveRequest, context: ServicerContext) -> pb.ServerLiveResponse:
        """Whether the server runs."""
        return pb.ServerLiveResponse(live=True)

    @reported
    async def ServerReady(self, request: pb.ServerReadyRequest, context: ServicerContext) -> pb.ServerReadyResponse:
        """Whether the server and (strict readiness) all its models are ready."""
        return pb.ServerReadyResponse(ready=self.server.is_ready())

    @reported
    async def ModelReady(self, request: pb.ModelReadyRequest, context: ServicerContext) -> pb.ModelReadyResponse:
        """Whether a model is ready; an unknown one is not."""
        version = checked_version(request.version)
        return pb.ModelReadyResponse(ready=self.server.is_model_ready(request.name, version))

    @reported
    async def ServerMetadata(
        self, request: pb.ServerMetadataRequest, context: ServicerContext
    ) -> pb.ServerMetadataResponse:
        """Name, version and extensions."""
        return ParseDict(self.server.server_metadata(), pb.ServerMetadataResponse())

    @reported
    async def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: ServicerContext
    ) -> pb.ModelMetadataResponse:
        """Inputs and outputs of a model."""
        metadata = self.server.model_metadata(request.name, checked_version(request.version))
        return ParseDict(metadata, pb.ModelMetadataResponse())

    @reported
    async def ModelConfig(self, request: pb.ModelConfigRequest, context: ServicerContext) -> pb.ModelConfigResponse:
        """The configuration of a model, with defaults filled in."""
        return pb.ModelConfigResponse(config=self.server.model_config(request.name, checked_version(request.version)))

    @reported
    async def ModelStatistics(
        self, request: pb.ModelStatisticsRequest, context: ServicerContext
    ) -> pb.ModelStatisticsResponse:
        """What one model, or every model, has done so far."""
        statistics = self.server.model_statistics(request.name, checked_version(request.version))
        return ParseDict({"model_stats": statistics}, pb.ModelStatisticsResponse())

    @reported
    async def RepositoryIndex(
        self, request: pb.RepositoryIndexRequest, context: ServicerContext
    ) -> pb.RepositoryIndexResponse:
        """All models, loaded or not."""
        return ParseDict({"models": self.server.repository_index(request.ready)}, pb.RepositoryIndexResponse())

    @reported
    async def RepositoryModelLoad(
        self, request: pb.RepositoryModelLoadRequest, context: ServicerContext
    ) -> pb.RepositoryModelLoadResponse:
        """Load or reload a model, with another configuration or files from the request if it brings them."""
        _only_repository(request.repository_name)
        config, files = None, {}
        for name, parameter in request.parameters.items():
            kind = "string_param" if name == "config" else "bytes_param"
            if name != "config" and not name.startswith("file:"):
                raise InvalidRequest(f"unrecognized load parameter '{name}'.")
            if parameter.WhichOneof("parameter_choice") != kind:
                raise InvalidRequest(f"invalid value type for load parameter '{name}', expected {kind}.")
            if name == "config":
                config = parameter.string_param
            else:
                files[name.removeprefix("file:")] = parameter.bytes_param
        await self.server.load_model(request.model_name, config, files or None)
        return pb.RepositoryModelLoadResponse()

    @reported
    async def RepositoryModelUnload(
        self, request: pb.RepositoryModelUnloadRequest, context: ServicerContext
    ) -> pb.RepositoryModelUnloadResponse:
        """Unload a model, with the models it is made of if the request says so."""
        _only_repository(request.repository_name)
        unload_dependents = False
        if "unload_dependents" in request.parameters:
            parameter = request.parameters["unload_dependents"]
            if parameter.WhichOneof("parameter_choice") != "bool_param":
                raise InvalidRequest("invalid value type for 'unload_dependents' parameter, expected bool_param.")
            unload_dependents = parameter.bool_param
        await self.server.unload_model(request.model_name, unload_dependents)
        return pb.RepositoryModelUnloadResponse()


def _infer_messages(server: InferenceServer) -> InferMessages:
    if not server.options.fast_path:
        return PlainMessages()
    from bento.inference.over_grpc.fast_messages import FastMessages

    return FastMessages(server)


def _only_repository(name: str) -> None:
    if name:
        raise Unsupported("'repository_name' specification is not supported")


def deadline_ns(context: ServicerContext) -> int | None:
    """When the client stops waiting, on the monotonic clock; None when it waits for ever."""
    remaining_s = context.time_remaining()
    return None if remaining_s is None else time.monotonic_ns() + int(remaining_s * 1e9)


def _text_metadata(context: ServicerContext) -> list[tuple[str, str]]:
    """What is not binary."""
    return [(key, value) for key, value in context.invocation_metadata() or () if isinstance(value, str)]


class _InferHandler(grpc.GenericRpcHandler):
    """Finds out here whether the times are wanted: asking the context costs 3 us a call."""

    def __init__(self, servicer: V2Servicer) -> None:
        self._plain = grpc.unary_unary_rpc_method_handler(servicer.ModelInfer)
        self._timed = grpc.unary_unary_rpc_method_handler(servicer.timed_infer)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """The handler of ModelInfer."""
        if handler_call_details.method != _INFER:
            return None
        for key, _ in handler_call_details.invocation_metadata or ():
            if key == TIMING_REQUEST_HEADER:
                return self._timed
        return self._plain


def _handlers(servicer: V2Servicer) -> grpc.GenericRpcHandler:
    """The servicer's other methods under their names on the wire."""
    handlers = {}
    for method in _SERVICE.methods:
        if method.name == "ModelInfer":
            continue
        make = grpc.stream_stream_rpc_method_handler if method.client_streaming else grpc.unary_unary_rpc_method_handler
        handlers[method.name] = make(
            getattr(servicer, method.name),
            request_deserializer=tolerant_parser(GetMessageClass(method.input_type)),
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )
    return grpc.method_handlers_generic_handler(_SERVICE.full_name, handlers)


class GrpcFrontEnd:
    """A gRPC server that listens."""

    def __init__(self, grpc_server: grpc.aio.Server, servicer: V2Servicer, health: ReadinessServicer) -> None:
        self._grpc_server = grpc_server
        self._servicer = servicer
        self._health = health

    def begin_drain(self) -> None:
        """Say NOT_SERVING to health checks and watchers from now on; requests are answered until `stop`."""
        self._health.end()

    async def stop(self, grace: float | None) -> None:
        """Take no more requests: connections get GOAWAY. Those in progress have so many seconds; None cancels them.

        Health watchers are not waited for.
        """
        self._health.end()
        self._servicer.end_streams()
        await self._grpc_server.stop(grace)


async def start_grpc(
    server: InferenceServer,
    host: str,
    port: int,
    *,
    max_message_bytes: int = DEFAULT_MAX_BODY_BYTES,
    state: FrontEndState | None = None,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    credentials: grpc.ServerCredentials | None = None,
    forwarded_headers: ForwardedHeaders | None = None,
) -> tuple[GrpcFrontEnd, int]:
    """Serve on that address; port 0 takes a free one. Returns the running front end and its port.

    `state` is given where an HTTP front end of the same server shares registered memory and settings.
    `interceptors` see every RPC first. With `credentials` connections are encrypted.
    Raises: RuntimeError when the port is taken.
    """
    options = [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", -1),
        # Without this a second server on the port would silently get half of the connections.
        ("grpc.so_reuseport", 0),
    ]
    grpc_server = grpc.aio.server(options=options, interceptors=list(interceptors))
    servicer = V2Servicer(server, state or FrontEndState(), forwarded_headers)
    grpc_server.add_generic_rpc_handlers((_InferHandler(servicer), _handlers(servicer)))
    readiness = ReadinessServicer(server)
    health_pb2_grpc.add_HealthServicer_to_server(readiness, grpc_server)
    reflection.enable_server_reflection((_SERVICE.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME), grpc_server)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if credentials is None:
        bound_port = grpc_server.add_insecure_port(address)
    else:
        bound_port = grpc_server.add_secure_port(address, credentials)
    await grpc_server.start()
    return GrpcFrontEnd(grpc_server, servicer, readiness), bound_port
