"""The inference server's in-process interface: what the protocol modules and the recommender call.

Everything here runs on one asyncio loop; only model instances have threads of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from tritonclient.grpc import model_config_pb2

from bento.inference.core.datatypes import datatype_of_config
from bento.inference.core.errors import InferenceError
from bento.inference.core.messages import InferRequest, InferResponse
from bento.inference.core.options import ServerOptions
from bento.inference.models.prepared_requests import PreparedRequests, WireForm
from bento.inference.models.response_cache import CacheStatistics
from bento.inference.repository.control import Repository
from bento.inference.repository.preparation import LoadRequest
from bento.inference.scheduling.completions import Completions

__all__ = ["InferenceServer", "ServerOptions"]

TRITON_VERSION = "2.51.0"
"""The tritonserver whose behaviour this one follows; clients decide by it what they may ask."""
EXTENSIONS = (
    "classification", "sequence", "model_repository", "model_repository(unload_dependents)", "schedule_policy",
    "model_configuration", "system_shared_memory", "cuda_shared_memory", "binary_tensor_data", "parameters",
    "statistics", "trace", "logging",
)  # fmt: skip


class InferenceServer:
    """Models of a repository, loaded and ready to be asked. Made by `start`."""

    def __init__(self, options: ServerOptions, repository: Repository) -> None:
        self.options = options
        self._repository = repository
        self._models = repository.table
        self._open = True
        self._draining = False

    @classmethod
    async def start(cls, options: ServerOptions) -> InferenceServer:
        """Load the models that the control mode asks for.

        Raises: RepositoryFailed when a model fails to load and `exit_on_error` is set.
        """
        repository = Repository(options, Completions(asyncio.get_running_loop()))
        try:
            await repository.start()
        except BaseException:
            await repository.close()
            raise
        return cls(options, repository)

    def begin_drain(self) -> None:
        """Be not ready from now on; requests are answered until `close`."""
        self._draining = True

    async def close(self) -> None:
        """Stop serving: not ready from now on, requests in flight finish, then all models are freed."""
        self._open = False
        await self._repository.close()

    # -- inference -------------------------------------------------------------------------------------------------

    async def infer(self, request: InferRequest) -> InferResponse:
        """Answer one request. Cancelling the awaiting task takes a queued request out of the queue.

        Raises: InferenceError (see `errors`).
        """
        return await self._models.get(request.model_name, request.model_version).infer(request)

    def infer_now(self, request: InferRequest) -> InferResponse | None:
        """The answer where the model can give it immediately; None where `infer` is to be awaited, which costs more.

        Raises: InferenceError (see `errors`).
        """
        return self._models.get(request.model_name, request.model_version).infer_now(request)

    def prepared_requests(self, model: str, version: str) -> PreparedRequests:
        """The prepared requests of a model. Raises: InferenceError (see `errors`)."""
        return self._models.get(model, version).prepared_requests

    def prepare_request(self, request: InferRequest, response: InferResponse, wire: WireForm) -> None:
        """Have the model prepare for more requests of the kind that `infer_now` just answered, where that is possible.

        Raises: InferenceError (see `errors`).
        """
        self._models.get(request.model_name, request.model_version).prepare_request(request, response, wire)

    def infer_stream(self, request: InferRequest) -> AsyncIterator[InferResponse]:
        """Responses of a decoupled model, as they come; exactly one for an ordinary model.

        An error after which the model goes on is a response with `error` set.
        Raises: InferenceError, which ends the stream.
        """
        return self._models.get(request.model_name, request.model_version).stream(request)

    def check_request(self, request: InferRequest) -> None:
        """Make every check that `infer` makes before it queues a request. Raises: InferenceError."""
        self._models.get(request.model_name, request.model_version).check(request)

    # -- what is there ---------------------------------------------------------------------------------------------

    def is_draining(self) -> bool:
        """Whether clients are asked to go elsewhere."""
        return self._draining

    def is_ready(self) -> bool:
        """Whether the server wants requests; with `strict_readiness` only when every model takes them."""
        return self._open and not self._draining and (not self.options.strict_readiness or self._models.all_ready())

    def is_model_ready(self, name: str, version: str = "") -> bool:
        """Whether a model version takes requests; an unknown one does not."""
        try:
            self._models.get(name, version)
        except InferenceError:
            return False
        return True

    def is_decoupled(self, name: str, version: str = "") -> bool:
        """Whether a model sends any number of responses per request. Raises: UnknownModel and its kin."""
        return self._models.get(name, version).is_decoupled

    def server_metadata(self) -> dict[str, object]:
        """Name, version and extensions, in the v2 protocol's JSON shape."""
        return {"name": self.options.server_id, "version": TRITON_VERSION, "extensions": list(EXTENSIONS)}

    def model_metadata(self, name: str, version: str = "") -> dict[str, object]:
        """Tensors of a model, in the v2 protocol's JSON shape. Raises: UnknownModel and its kin."""
        model = self._models.get(name, version)
        config = model.config
        lead = [-1] if config.max_batch_size else []
        tensors = {
            side: [
                {"name": io.name, "datatype": datatype_of_config(io.data_type), "shape": [*lead, *io.dims]}
                for io in declared
            ]
            for side, declared in (("inputs", config.input), ("outputs", config.output))
        }
        versions = [model.version] if version else [ready.version for ready in self._models.ready_models(name)]
        return {"name": name, "versions": versions, "platform": config.platform or config.backend, **tensors}

    def model_config(self, name: str, version: str = "") -> model_config_pb2.ModelConfig:
        """The complete configuration, defaults filled in. Not to be changed. Raises: UnknownModel and its kin."""
        return self._models.get(name, version).config

    def labels(self, name: str, output: str, version: str = "") -> list[str] | None:
        """Class labels of an output, None when it has none. Raises: UnknownModel and its kin."""
        return self._models.get(name, version).labels.get(output)

    def model_devices(self) -> dict[str, str]:
        """Where each ready model runs: "cpu", "cuda:0", or several joined by commas."""
        return {model.name: model.device for model in self._models.ready_models()}

    def repository_index(self, ready_only: bool = False) -> list[dict[str, str]]:
        """Models on disk and loaded, in the shape of the v2 repository index."""
        return self._repository.index(ready_only=ready_only)

    # -- what happened ---------------------------------------------------------------------------------------------

    def model_statistics(self, name: str = "", version: str = "") -> list[dict[str, object]]:
        """`model_stats` of the v2 statistics extension. Raises: InvalidRequest when there is no such model."""
        return [
            model.statistics.to_json(model.name, model.version) for model in self._models.ready_models(name, version)
        ]

    def pending_requests(self) -> dict[tuple[str, str], int]:
        """Requests that wait for execution, by model and version."""
        return {(model.name, model.version): model.waiting_count for model in self._models.ready_models()}

    def failure_counts(self) -> dict[tuple[str, str], dict[str, int]]:
        """Failed requests by model and version, then by reason: REJECTED, CANCELED, BACKEND, OTHER."""
        return {
            (model.name, model.version): {str(reason): count for reason, count in model.statistics.failures.items()}
            for model in self._models.ready_models()
        }

    def cache_statistics(self) -> CacheStatistics | None:
        """What the response cache holds and did; None without one."""
        return cache.statistics() if (cache := self._models.cache) is not None else None

    # -- changes ---------------------------------------------------------------------------------------------------

    async def load_model(
        self, name: str, config_override: str | None = None, files: dict[str, bytes] | None = None
    ) -> None:
        """Load or reload a model; requests are answered by the old version until the new one is ready.

        config_override: configuration as JSON, used instead of config.pbtxt.
        files: contents by path ("1/model.onnx"), used instead of the model's folder; needs config_override.
        Raises: LoadFailed, RepositoryFailed, Unavailable (control mode is not explicit).
        """
        await self._repository.load(LoadRequest(name, config_override, files or {}))

    async def unload_model(self, name: str, unload_dependents: bool = False) -> None:
        """Stop serving a model; requests in flight finish. An unknown model is ignored.

        Raises: Unavailable (control mode is not explicit).
        """
        await self._repository.unload(name, unload_dependents)

    async def poll_repository(self) -> None:
        """Follow changes on disk now; control mode poll does so by itself every `repository_poll_secs`."""
        await self._repository.poll()
