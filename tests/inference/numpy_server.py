"""A server with the interface of `InferenceServer` whose models are NumPy functions: fast, and easy to hold up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import numpy as np
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.core.datatypes import datatype_of_config
from bento.inference.core.errors import BackendFailed, UnknownModel, UnknownModelVersion
from bento.inference.core.messages import InferRequest, InferResponse, RequestTiming, Tensor
from bento.inference.core.options import ServerOptions
from bento.inference.models.contract import Contract
from bento.inference.models.prepared_requests import PreparedRequests, WireForm
from bento.inference.protocol.tensor_bytes import strings_tensor

Outputs = dict[str, Tensor]


@dataclass
class NumpyModel:
    """One model: what it takes, and the function it is."""

    config: ModelConfig
    function: Callable[[InferRequest], Outputs]
    labels: dict[str, list[str]] = field(default_factory=dict)

    @property
    def decoupled(self) -> bool:
        return self.config.model_transaction_policy.decoupled


def model(name: str, inputs: str, outputs: str, function: Callable[[InferRequest], Outputs], batch: int = 0,
          extra: str = "", labels: dict[str, list[str]] | None = None) -> NumpyModel:  # fmt: skip
    """`inputs` and `outputs` read "NAME TYPE dim,dim NAME TYPE dim,…"."""

    def tensors(kind: str, text: str) -> str:
        words = text.split()
        return "".join(
            f'{kind} {{ name: "{words[i]}" data_type: TYPE_{words[i + 1]} dims: [{words[i + 2]}] }}\n'
            for i in range(0, len(words), 3)
        )

    text = f'name: "{name}" max_batch_size: {batch} {extra} {tensors("input", inputs)} {tensors("output", outputs)}'
    return NumpyModel(text_format.Parse(text, ModelConfig()), function, labels or {})


def add_and_subtract(request: InferRequest) -> Outputs:
    left, right = request.inputs["INPUT0"], request.inputs["INPUT1"]
    return {"OUTPUT0": left + right, "OUTPUT1": left - right}


def add_and_subtract_strings(request: InferRequest) -> Outputs:
    left, right = (request.inputs[name].astype(np.int64) for name in ("INPUT0", "INPUT1"))
    return {
        name: strings_tensor([b"%d" % value for value in result.ravel()], result.shape)
        for name, result in (("OUTPUT0", left + right), ("OUTPUT1", left - right))
    }


def identity(request: InferRequest) -> Outputs:
    return {"OUTPUT0": request.inputs["INPUT0"]}


def echo_parameters(request: InferRequest) -> Outputs:
    return {"OUTPUT0": strings_tensor([repr(sorted(request.parameters.items())).encode()], (1,))}


def fail(request: InferRequest) -> Outputs:
    raise BackendFailed("the film is missing")


def crash(request: InferRequest) -> Outputs:
    raise RuntimeError("a bug")


TYPES = (
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BF16",
    "STRING",
)  # fmt: skip


class NumpyServer:
    """See `InferenceServer` for what its methods promise."""

    def __init__(self, *, fast_path: bool = True) -> None:
        self.options = ServerOptions(repositories=(), fast_path=fast_path)
        pair = "INPUT0 {0} 16 INPUT1 {0} 16".format
        pair_out = "OUTPUT0 {0} 16 OUTPUT1 {0} 16".format
        models = [
            model("simple", pair("INT32"), pair_out("INT32"), add_and_subtract, 8),
            model("simple_string", pair("STRING"), pair_out("STRING"), add_and_subtract_strings, 8),
            model("simple_identity", "INPUT0 STRING -1", "OUTPUT0 STRING -1", identity, 8),
            model("classifier", "INPUT0 FP32 5", "OUTPUT0 FP32 5", identity, 8,
                  labels={"OUTPUT0": ["drama", "comedy", "horror"]}),
            model("raw_string", "INPUT0 STRING 1", "OUTPUT0 STRING 1", identity, 4),
            model("identity_2d", "INPUT0 FP32 2,-1", "OUTPUT0 FP32 2,-1", identity),
            model("echo_parameters", "INPUT0 INT32 1", "OUTPUT0 STRING 1", echo_parameters),
            model("failing", "INPUT0 INT32 1", "OUTPUT0 INT32 1", fail),
            model("crashing", "INPUT0 INT32 1", "OUTPUT0 INT32 1", crash),
            model("repeat_int32", "IN INT32 -1", "OUT INT32 1", identity,
                  extra="model_transaction_policy { decoupled: true }"),
            model("held", "INPUT0 INT32 1", "OUTPUT0 INT32 1", identity),
            *(model(f"identity_{t.lower()}", f"INPUT0 {t} -1", f"OUTPUT0 {t} -1", identity) for t in TYPES),
        ]  # fmt: skip
        self.models = {entry.config.name: entry for entry in models}
        self.ready = True
        self.draining = False
        self.requests: list[InferRequest] = []
        self.loads: list[tuple[str, str | None, dict[str, bytes] | None]] = []
        self.unloads: list[tuple[str, bool]] = []
        self._prepared_requests = PreparedRequests()
        self.held = asyncio.Event()
        """Set when a request of model `held` has arrived; it never answers."""
        self.let_go = asyncio.Event()
        """Set when a request of model `held` was cancelled."""

    def _get(self, name: str, version: str) -> NumpyModel:
        if name not in self.models:
            raise UnknownModel(name)
        if version not in ("", "1"):
            raise UnknownModelVersion(name, version)
        return self.models[name]

    def check_request(self, request: InferRequest) -> None:
        Contract(self._get(request.model_name, request.model_version).config).check(request)

    def infer_now(self, request: InferRequest) -> InferResponse | None:
        if request.model_name == "held":
            return None
        self.requests.append(request)
        self.check_request(request)
        return self._run(request)

    def prepared_requests(self, model: str, version: str) -> PreparedRequests:
        self._get(model, version)
        return self._prepared_requests

    def prepare_request(self, request: InferRequest, response: InferResponse, wire: WireForm) -> None:
        """Its models cannot."""

    async def infer(self, request: InferRequest) -> InferResponse:
        self.requests.append(request)
        self.check_request(request)
        if request.model_name == "held":
            await self._hold()
        return self._run(request)

    def _run(self, request: InferRequest) -> InferResponse:
        entry = self.models[request.model_name]
        outputs = entry.function(request)
        wanted = request.requested_outputs or tuple(outputs)
        outputs = {name: tensor for name, tensor in outputs.items() if name in wanted}
        timing = RequestTiming(1_000_000, 2_000_000, 3_000_000, 4_000_000)
        return InferResponse(request.model_name, "1", request.id, outputs, {}, timing)

    async def _hold(self) -> None:
        self.held.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.let_go.set()

    async def infer_stream(self, request: InferRequest) -> AsyncIterator[InferResponse]:
        self.check_request(request)
        if not self.models[request.model_name].decoupled:
            yield await self.infer(request)
            return
        for value in request.inputs["IN"]:
            if value < 0:
                raise BackendFailed("negative")
            output = {"OUT": np.array([value], np.int32)}
            yield InferResponse(request.model_name, "1", request.id, output, final=False)

    def is_ready(self) -> bool:
        return self.ready

    def is_draining(self) -> bool:
        return self.draining

    def is_model_ready(self, name: str, version: str = "") -> bool:
        return name in self.models and version in ("", "1")

    def is_decoupled(self, name: str, version: str = "") -> bool:
        return self._get(name, version).decoupled

    def server_metadata(self) -> dict[str, object]:
        return {"name": "triton", "version": "2.51.0", "extensions": ["statistics"]}

    def model_metadata(self, name: str, version: str = "") -> dict[str, object]:
        config = self._get(name, version).config
        lead = [-1] if config.max_batch_size else []
        sides = {
            side: [
                {"name": io.name, "datatype": datatype_of_config(io.data_type), "shape": [*lead, *io.dims]}
                for io in tensors
            ]
            for side, tensors in (("inputs", config.input), ("outputs", config.output))
        }
        return {"name": name, "versions": ["1"], "platform": "numpy", **sides}

    def model_config(self, name: str, version: str = "") -> ModelConfig:
        return self._get(name, version).config

    def labels(self, name: str, output: str, version: str = "") -> list[str] | None:
        return self._get(name, version).labels.get(output)

    def model_statistics(self, name: str = "", version: str = "") -> list[dict[str, object]]:
        names = [name] if name else sorted(self.models)
        return [{"name": known, "version": "1", "inference_count": 3} for known in names]

    async def load_model(
        self, name: str, config_override: str | None = None, files: dict[str, bytes] | None = None
    ) -> None:
        self.loads.append((name, config_override, files))

    async def unload_model(self, name: str, unload_dependents: bool = False) -> None:
        self.unloads.append((name, unload_dependents))

    def repository_index(self, ready_only: bool = False) -> list[dict[str, str]]:
        index = [{"name": name, "version": "1", "state": "READY"} for name in sorted(self.models)]
        return index if ready_only else [*index, {"name": "absent"}]
