"""The gRPC calls about the server rather than its models: shared memory, logging and trace settings."""

from __future__ import annotations

from grpc.aio import ServicerContext
from tritonclient.grpc import service_pb2 as pb

from bento.inference.core.errors import InvalidRequest
from bento.inference.over_grpc.errors import reported
from bento.inference.protocol.front_end import FrontEndState
from bento.inference.protocol.log_settings import Setting
from bento.inference.protocol.shared_memory import UnknownRegion
from bento.inference.server import InferenceServer

_LOG_SETTING_KINDS = {
    "log_file": ("string_param", "string"),
    "log_info": ("bool_param", "boolean"),
    "log_warning": ("bool_param", "boolean"),
    "log_error": ("bool_param", "boolean"),
    "log_verbose_level": ("uint32_param", "int32"),
    "log_format": ("string_param", "string"),
}
"""Setting → field of the protobuf choice, and what Triton calls it."""


class SettingsServicer:
    """The part of GRPCInferenceService that needs no model."""

    def __init__(self, server: InferenceServer, state: FrontEndState) -> None:
        self.server = server
        self.state = state

    @reported
    async def SystemSharedMemoryStatus(
        self, request: pb.SystemSharedMemoryStatusRequest, context: ServicerContext
    ) -> pb.SystemSharedMemoryStatusResponse:
        """The registered regions, or the one asked for."""
        response = pb.SystemSharedMemoryStatusResponse()
        for region in self.state.regions.status(request.name):
            status = response.regions[str(region["name"])]
            status.name, status.key = str(region["name"]), str(region["key"])
            status.offset, status.byte_size = int(region["offset"]), int(region["byte_size"])
        return response

    @reported
    async def SystemSharedMemoryRegister(
        self, request: pb.SystemSharedMemoryRegisterRequest, context: ServicerContext
    ) -> pb.SystemSharedMemoryRegisterResponse:
        """Map a region."""
        self.state.regions.register(request.name, request.key, request.offset, request.byte_size)
        return pb.SystemSharedMemoryRegisterResponse()

    @reported
    async def SystemSharedMemoryUnregister(
        self, request: pb.SystemSharedMemoryUnregisterRequest, context: ServicerContext
    ) -> pb.SystemSharedMemoryUnregisterResponse:
        """Let a region go, or all of them."""
        await self.state.regions.release(request.name)
        return pb.SystemSharedMemoryUnregisterResponse()

    @reported
    async def CudaSharedMemoryStatus(
        self, request: pb.CudaSharedMemoryStatusRequest, context: ServicerContext
    ) -> pb.CudaSharedMemoryStatusResponse:
        """Always empty: CUDA memory of other processes is not mapped."""
        if request.name:
            raise UnknownRegion(f"Unable to find cuda shared memory region: '{request.name}'")
        return pb.CudaSharedMemoryStatusResponse()

    @reported
    async def CudaSharedMemoryRegister(
        self, request: pb.CudaSharedMemoryRegisterRequest, context: ServicerContext
    ) -> pb.CudaSharedMemoryRegisterResponse:
        """Refused, as by a tritonserver without GPUs."""
        raise InvalidRequest(f"failed to register CUDA shared memory region: '{request.name}', GPUs not supported")

    @reported
    async def CudaSharedMemoryUnregister(
        self, request: pb.CudaSharedMemoryUnregisterRequest, context: ServicerContext
    ) -> pb.CudaSharedMemoryUnregisterResponse:
        """There is nothing to unregister."""
        return pb.CudaSharedMemoryUnregisterResponse()

    @reported
    async def TraceSetting(self, request: pb.TraceSettingRequest, context: ServicerContext) -> pb.TraceSettingResponse:
        """Change what the request names, and show everything."""
        model = request.model_name
        if model and not self.server.is_model_ready(model):
            raise InvalidRequest(f"Request for unknown model : {model}")
        if request.settings:
            changes = {name: list(setting.value) or None for name, setting in request.settings.items()}
            self.state.trace_settings.update(model, changes)
        response = pb.TraceSettingResponse()
        for name, value in self.state.trace_settings.to_json(model).items():
            response.settings[name].value.extend([value] if isinstance(value, str) else value)
        return response

    @reported
    async def LogSettings(self, request: pb.LogSettingsRequest, context: ServicerContext) -> pb.LogSettingsResponse:
        """Change what the request names, and show everything."""
        changes: dict[str, Setting] = {}
        for name, (kind, spoken) in _LOG_SETTING_KINDS.items():
            if name not in request.settings:
                continue
            if request.settings[name].WhichOneof("parameter_choice") != kind:
                raise InvalidRequest(f"expect {spoken} for '{name}'")
            changes[name] = getattr(request.settings[name], kind)
        self.state.log_settings.update(changes)
        response = pb.LogSettingsResponse()
        for name, value in self.state.log_settings.to_json().items():
            setattr(response.settings[name], _LOG_SETTING_KINDS[name][0], value)
        return response
