"""A model that is reported ready before its backend is opened; its first instance's thread opens it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic_ns

import structlog
from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.backends.interface import Call, ExecutionTimes, Instance, ModelSource, OpenedModel
from bento.inference.core.errors import BackendFailed, InferenceError
from bento.inference.core.long_lived import loading_while_serving

log = structlog.get_logger()


class DeferredModel:
    """Opens the model when the first instance is made. Its configuration must be complete."""

    is_deferred = True

    def __init__(self, source: ModelSource, open_source: Callable[[ModelSource], OpenedModel]) -> None:
        self._source = source
        self._open_source = open_source
        self._opened: OpenedModel | None = None
        self._opening = threading.Lock()

    def complete_config(self, config: ModelConfig) -> None:
        """Nothing to do: the configuration is complete."""

    def create_instance(self, name: str, config: ModelConfig, kind: int, device_id: int) -> Instance:
        """An instance, after the model was opened if it was not yet. Raises: LoadFailed, BackendMissing."""
        with self._opening:
            if self._opened is None:
                with loading_while_serving():
                    self._opened = self._open_source(self._source)
        return self._opened.create_instance(name, config, kind, device_id)

    def close(self) -> None:
        """Free what was opened."""
        if self._opened is not None:
            self._opened.close()


def instance_or_failure(name: str, create: Callable[[], Instance]) -> Instance:
    """The instance that `create` makes; when it fails, an instance that fails every request with the reason."""
    try:
        return create()
    except InferenceError as error:
        log.error("instance of a model that was called ready failed to load", instance=name, reason=str(error))
        return _FailedInstance(error)


class _FailedInstance:
    """Fails every call with the reason why the model could not be loaded."""

    device = "none"
    is_reentrant = False

    def __init__(self, reason: InferenceError) -> None:
        self._reason = reason

    def execute(self, calls: Sequence[Call]) -> ExecutionTimes:
        """Fail the calls."""
        for call in calls:
            call.fail(BackendFailed(str(self._reason)))
        return ExecutionTimes(monotonic_ns(), monotonic_ns())

    def close(self) -> None:
        """Nothing is held."""
