"""The `python` backend: models written as a `TritonPythonModel` class in `model.py`, run inside this process.

Such a model is code with the server's rights, hence only run when the repository is trusted.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import threading
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from traceback import walk_tb
from types import ModuleType
from typing import Any

import structlog
from google.protobuf import json_format
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from bento.inference.backends.interface import Call, ExecutionTimes, Instance, ModelSource
from bento.inference.backends.python_models import modules, triton_python_backend_utils
from bento.inference.backends.python_models.calls import (
    CallingContext,
    InferenceRequest,
    InferenceResponse,
    enter_context,
)
from bento.inference.backends.python_models.config import ModelConfig as CompletableConfig
from bento.inference.backends.python_models.modules import forget_model_module, load_model_module
from bento.inference.core.errors import BackendFailed, BackendMissing, LoadFailed
from bento.inference.core.model_config import path_inside
from bento.inference.core.model_config_json import model_config_json

log = structlog.get_logger()


class PythonModel:
    """A `model.py`. Every instance runs it as a module of its own, as if it had its own process."""

    is_deferred = False

    def __init__(self, source: ModelSource) -> None:
        if not source.options.trust_python_models:
            raise BackendMissing(
                f"model '{source.name}' is Python code: it runs only where Python models of the repository are trusted "
                "(trust_python_models)"
            )
        if source.is_uploaded:
            raise BackendMissing(
                f"model '{source.name}' is Python code that came with a load request: only code from a repository runs"
            )
        self._source = source
        self._file = _model_file(source)
        self._context = CallingContext(source.loop, source.models, str(self._file.parent))
        self._spare: ModuleType | None = None
        sys.modules.setdefault("triton_python_backend_utils", triton_python_backend_utils)
        sys.modules.setdefault("c_python_backend_utils", triton_python_backend_utils)

    def complete_config(self, config: ModelConfig) -> None:
        """What the model's `auto_complete_config` adds."""
        self._spare = self._load()
        complete = getattr(self._spare.TritonPythonModel, "auto_complete_config", None)
        if complete is None:
            return
        try:
            completed = complete(CompletableConfig(_compact(model_config_json(config))))
        except Exception as error:  # a model may raise anything
            raise BackendFailed(_describe(error, self._file)) from error
        if not isinstance(completed, CompletableConfig):
            raise LoadFailed(
                f"auto_complete_config function in model '{config.name}' must return a valid pb.ModelConfig object."
            )
        try:
            json_format.ParseDict(completed.as_dict(), _cleared(config))
        except json_format.ParseError as error:
            raise LoadFailed(f"auto_complete_config of '{self._source.name}' made no configuration: {error}") from error

    def create_instance(self, name: str, config: ModelConfig, kind: int, device_id: int) -> Instance:
        """A new `TritonPythonModel`, initialised."""
        module, self._spare = self._spare or self._load(), None
        source = self._source
        arguments = {
            "model_config": _compact(model_config_json(config)),
            "model_instance_kind": ModelInstanceGroup.Kind.Name(kind).removeprefix("KIND_"),
            "model_instance_name": name,
            "model_instance_device_id": str(device_id),
            "model_repository": str(source.folder),
            "model_version": str(source.version),
            "model_name": source.name,
        }
        enter_context(self._context)
        try:
            model = module.TritonPythonModel()
            if not hasattr(model, "execute"):
                raise LoadFailed(f"Python model {self._file} does not implement `execute` method.")
            if hasattr(model, "initialize"):
                model.initialize(arguments)
        except LoadFailed:
            forget_model_module(module.__name__)
            raise
        except Exception as error:  # a model may raise anything
            forget_model_module(module.__name__)
            raise BackendFailed(_describe(error, self._file)) from error
        device = f"cuda:{device_id}" if kind == ModelInstanceGroup.KIND_GPU else "cpu"
        return _PythonInstance(name, model, module.__name__, config, device)

    def close(self) -> None:
        """Forget the module that no instance took."""
        if self._spare is not None:
            forget_model_module(self._spare.__name__)

    def _load(self) -> ModuleType:
        enter_context(self._context)
        try:
            module = load_model_module(self._file, f"{self._source.name}_{self._source.version}")
        except Exception as error:  # a model file may raise anything
            raise BackendFailed(_describe(error, self._file)) from error
        if not hasattr(module, "TritonPythonModel"):
            raise LoadFailed(f"module '{self._file.stem}' has no attribute 'TritonPythonModel'")
        return module


class _PythonInstance:
    """One `TritonPythonModel` object; created, used and finalised by one thread."""

    is_reentrant = False

    def __init__(self, name: str, model: Any, module_name: str, config: ModelConfig, device: str) -> None:
        self.device = device
        self._name = name
        self._model = model
        self._module_name = module_name
        self._file = Path(inspect.getfile(type(model)))
        self._output_names = tuple(output.name for output in config.output)
        self._is_decoupled = config.model_transaction_policy.decoupled
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread: threading.Thread | None = None

    def execute(self, calls: Sequence[Call]) -> ExecutionTimes:
        """Hand the batch to the model, as separate requests: joining them is up to the model."""
        requests = [InferenceRequest.of_call(call, self._output_names, self._is_decoupled) for call in calls]
        inputs_ready_ns = time.monotonic_ns()
        try:
            returned = self._model.execute(requests)
            if asyncio.iscoroutine(returned):
                if self._is_decoupled:
                    self._run_beside(returned, requests, calls)
                    return ExecutionTimes(inputs_ready_ns, time.monotonic_ns())
                returned = self._run_to_the_end(returned)
            inferred_ns = time.monotonic_ns()
            self._deliver(returned, requests, calls)
        except Exception as error:  # a model may raise anything
            inferred_ns = time.monotonic_ns()
            self._fail(error, requests, calls)
        return ExecutionTimes(inputs_ready_ns, inferred_ns)

    def close(self) -> None:
        """Finalise the model."""
        if self._loop is not None:
            if self._loop_thread is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._loop_thread.join()
            self._loop.close()
        if hasattr(self._model, "finalize"):
            try:
                self._model.finalize()
            except Exception:  # a model may raise anything, and the others must be closed too
                log.exception("model failed to finalize", instance=self._name)
        forget_model_module(self._module_name)

    def _deliver(self, returned: Any, requests: list[InferenceRequest], calls: Sequence[Call]) -> None:
        if self._is_decoupled:
            if returned is not None:
                raise _WrongReturnError(
                    f"Python model '{self._name}' is using the decoupled mode and the execute function must return "
                    "None."
                )
            return
        responses = [None] * len(requests) if returned is None else returned
        self._check_returned(responses, requests)
        for response, request, call in zip(responses, requests, calls, strict=True):
            if response is not None:
                response.deliver(call, True)
            else:
                request.get_response_sender().closed.wait()

    def _check_returned(self, responses: Any, requests: list[InferenceRequest]) -> None:
        if not isinstance(responses, list):
            raise _WrongReturnError(f"Expected a list in the execute return, found type '{type(responses)}'.")
        if len(responses) != len(requests):
            raise _WrongReturnError(
                "Number of InferenceResponse objects do not match the number of InferenceRequest objects. "
                f"InferenceRequest(s) size is:{len(requests)}, and InferenceResponse(s) size is:{len(responses)}\n"
            )
        for response in responses:
            if response is not None and not isinstance(response, InferenceResponse):
                raise _WrongReturnError(
                    "Expected an 'InferenceResponse' object in the execute function return list, found type "
                    f"'{type(response)}'."
                )

    def _fail(self, error: Exception, requests: list[InferenceRequest], calls: Sequence[Call]) -> None:
        message = f"Failed to process the request(s) for model '{self._name}', message: {_describe(error, self._file)}"
        log.error("model raised", instance=self._name, error=message)
        for request, call in zip(requests, calls, strict=True):
            sender = request.get_response_sender()
            if not sender.closed.is_set():
                sender.closed.set()
                call.fail(BackendFailed(message))

    def _run_to_the_end(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(coroutine)

    def _run_beside(
        self, coroutine: Coroutine[Any, Any, Any], requests: list[InferenceRequest], calls: Sequence[Call]
    ) -> None:
        """An `async def execute` of a decoupled model runs on, while the instance takes the next batch."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._loop_thread = threading.Thread(target=self._loop.run_forever, name=f"{self._name}-loop", daemon=True)
            self._loop_thread.start()

        async def watched() -> None:
            try:
                await coroutine
            except Exception as error:  # a model may raise anything
                self._fail(error, requests, calls)

        asyncio.run_coroutine_threadsafe(watched(), self._loop)


class _WrongReturnError(Exception):
    """`execute` returned what it must not return."""


def _model_file(source: ModelSource) -> Path:
    for folder in (source.version_folder, source.folder):
        path = path_inside(folder, source.config.default_model_filename)
        if path.is_file():
            return path
    raise LoadFailed(f"Python model file not found in '{source.model_file}'")


def _cleared(config: ModelConfig) -> ModelConfig:
    """The same message, emptied, to be filled in place."""
    config.Clear()
    return config


def _compact(config: dict[str, Any]) -> str:
    return json.dumps(config, separators=(",", ":"))


def _describe(error: BaseException, model_file: Path) -> str:
    """Triton's text of a model's exception: what it is, and the model's own frames, innermost first."""
    if isinstance(error, _WrongReturnError):
        return str(error)
    frames = [(frame.f_code.co_filename, line, frame.f_code.co_name) for frame, line in walk_tb(error.__traceback__)]
    first = next((index for index, frame in enumerate(frames) if frame[0] == str(model_file)), len(frames))
    text = f"{type(error).__name__}: {error}"
    if first == len(frames):
        return text
    lines = [
        f"  {path}({line}): {function}\n"
        for path, line, function in reversed(frames[first:])
        if path != modules.__file__  # the way in which models import is not theirs to know
    ]
    return f"{text}\n\nAt:\n{''.join(lines)}"
