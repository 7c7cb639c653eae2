"""The interface that each backend fulfils, and what a backend is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.core.errors import InferenceError
from bento.inference.core.messages import InferRequest, InferResponse, Parameters, Tensor
from bento.inference.core.model_config import path_inside
from bento.inference.core.options import ServerOptions


class CallableModel(Protocol):
    """A loaded model version that another model may call."""

    is_decoupled: bool

    async def infer(self, request: InferRequest) -> InferResponse:
        """Answer a request. Raises: InferenceError."""

    def stream(self, request: InferRequest) -> AsyncIterator[InferResponse]:
        """Responses as they come. Raises: InferenceError."""


class ModelTable(Protocol):
    """The models that are served."""

    def get(self, name: str, version: str = "") -> CallableModel:
        """A model version that is ready. Raises: InferenceError."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """One version of one model on disk, as a backend opens it."""

    name: str
    version: int
    folder: Path
    """The model's folder, which holds config.pbtxt and the versions."""
    config: ModelConfig
    """May lack inputs, outputs and batch size until the backend has completed it."""
    options: ServerOptions
    models: ModelTable
    """Where a model finds other models that it calls."""
    is_uploaded: bool
    """Its files came over the network, not from a repository."""
    loop: asyncio.AbstractEventLoop
    """The server's loop, on which those calls are made."""

    @property
    def version_folder(self) -> Path:
        return self.folder / str(self.version)

    @property
    def model_file(self) -> Path:
        """Raises: LoadFailed when the configuration points out of the version's folder."""
        return path_inside(self.version_folder, self.config.default_model_filename)


class Call(Protocol):
    """One request on its way through a backend."""

    request: InferRequest
    inputs: dict[str, Tensor]
    """The request's inputs in the shapes that the model reads."""
    rows: int
    """Batch size; 0 for a model without batch axis."""
    abandoned: bool
    """The client is gone; the answer is not read."""

    def answer(self, outputs: dict[str, Tensor]) -> None:
        """Give the one answer of an ordinary model."""

    def fail(self, error: InferenceError) -> None:
        """Give an error instead of an answer."""

    def send(
        self,
        outputs: dict[str, Tensor] | None,
        error: InferenceError | None,
        final: bool,
        parameters: Parameters | None = None,
    ) -> None:
        """Send one of the responses of a decoupled model; `final` says that no other follows."""


@dataclass(slots=True)  # not frozen: one is made for every batch, and a frozen one takes twice as long to make
class ExecutionTimes:
    """Monotonic nanoseconds at the two borders inside one execution."""

    inputs_ready_ns: int
    inferred_ns: int


class BoundRun(Protocol):
    """A model with memory of its own for the tensors of one request. Some instances can make one (`fixed`)."""

    inputs: list[memoryview]
    """The bytes of each tensor."""
    outputs: list[memoryview]

    def run(self) -> None:
        """From `inputs` to `outputs`. May raise anything."""


class Instance(Protocol):
    """One copy of a model, used by one thread at a time."""

    device: str
    """Either "cpu" or, for example, "cuda:0"."""
    is_reentrant: bool
    """Any thread may execute at any time, also several at once."""

    def execute(self, calls: Sequence[Call]) -> ExecutionTimes:
        """Run the calls as one batch and answer or fail every one of them; never raises for a failed model."""

    def close(self) -> None:
        """Free what the instance holds."""


class OpenedModel(Protocol):
    """One model version, opened by its backend."""

    is_deferred: bool
    """Requests are taken before its instances are made."""

    def complete_config(self, config: ModelConfig) -> None:
        """Fill in what the model file knows and the configuration lacks. Raises: LoadFailed."""

    def create_instance(self, name: str, config: ModelConfig, kind: int, device_id: int) -> Instance:
        """One instance; `kind` is a `ModelInstanceGroup` kind. Raises: LoadFailed."""

    def close(self) -> None:
        """Free what the instances shared; they are closed before."""
