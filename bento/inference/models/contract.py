"""The contract of a model: its configuration's demands on a request, checked in Triton's order and words."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from tritonclient.grpc.model_config_pb2 import ModelConfig

from bento.inference.core.datatypes import NUMPY_TYPES, datatype_of, datatype_of_config
from bento.inference.core.errors import BackendFailed, InvalidRequest, request_prefix
from bento.inference.core.messages import InferRequest, Tensor

_BATCH_NOTE = (
    "NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each "
    "input shape. If you want to specify the full shape including the batch dim in your input dims config, try "
    "setting max_batch_size to zero. See the model configuration docs for more info on max_batch_size."
)


@dataclass(frozen=True, slots=True)
class _Declared:
    """One input or output of the configuration."""

    name: str
    datatype: str
    dims: tuple[int, ...]
    """Without the batch axis; -1 = any."""
    optional: bool
    reshape: tuple[int, ...] | None
    """Shape that the model itself reads or writes, where it differs from `dims`."""
    ragged: bool


class Contract:
    """Checks requests for one model and readies them for it."""

    def __init__(self, config: ModelConfig) -> None:
        self.model_name = config.name
        self.max_batch_size = config.max_batch_size
        self.inputs = {io.name: _declared(io) for io in config.input}
        self.outputs = {io.name: _declared(io) for io in config.output}
        self._required = [io.name for io in self.inputs.values() if not io.optional]
        self._numpy_types = {io.name: NUMPY_TYPES[io.datatype] for io in self.inputs.values()}
        self._plan = [(io.name, self._numpy_types[io.name], io.dims) for io in self.inputs.values()]
        self._shapes_vary = any(-1 in io.dims and not io.ragged for io in self.inputs.values())
        self._has_optional = len(self._required) < len(self.inputs)
        self._reshapes_inputs = any(io.reshape is not None for io in self.inputs.values())
        self._output_names = tuple(self.outputs)
        self._reshaped_outputs = [io for io in self.outputs.values() if io.reshape is not None]
        self.reshapes = self._reshapes_inputs or bool(self._reshaped_outputs)
        """Whether the model itself reads or writes other shapes than its clients see."""

    def check(self, request: InferRequest) -> int:
        """Rows of the request; 0 for a model without batch axis.

        Raises: InvalidRequest.
        """
        rows = self._rows_if_it_fits(request)
        return self._check_in_order(request) if rows is None else rows

    def _rows_if_it_fits(self, request: InferRequest) -> int | None:
        """Rows of a request with nothing wrong and nothing left out; None: every check is needed."""
        given, rows = request.inputs, -1
        if len(given) != len(self.inputs):
            return None
        for name in request.requested_outputs:
            if name not in self.outputs:
                return None
        for name, numpy_type, dims in self._plan:
            tensor = given.get(name)
            if tensor is None or tensor.dtype is not numpy_type:
                return None
            shape = tensor.shape
            if self.max_batch_size:
                if not shape or (rows != -1 and shape[0] != rows):
                    return None
                rows = shape[0]
                shape = shape[1:]
            if shape != dims and not _fits(dims, shape):
                return None
        if not self.max_batch_size:
            return 0
        return rows if 0 < rows <= self.max_batch_size else None

    def _check_in_order(self, request: InferRequest) -> int:
        """Every check, in Triton's order, so that the same error is reported when several things are wrong."""
        for name in request.requested_outputs:
            if name not in self.outputs:
                raise InvalidRequest(f"unexpected inference output '{name}' for model '{self.model_name}'")
        given = request.inputs
        if not len(self._required) <= len(given) <= len(self.inputs):
            raise self._wrong_number(request)
        for name in given:
            if name not in self.inputs:
                raise InvalidRequest(f"unexpected inference input '{name}' for model '{self.model_name}'")
        rows = self._rows(request) if self.max_batch_size else 0
        axis = 1 if self.max_batch_size else 0
        for name, tensor in reversed(given.items()):  # Triton looks at them from the last to the first
            if tensor.dtype is not self._numpy_types[name] and tensor.dtype != self._numpy_types[name]:
                raise self._wrong_type(request, name, tensor)
            dims, shape = self.inputs[name].dims, tensor.shape[axis:]
            if shape != dims and not _fits(dims, shape):
                raise self._wrong_shape(request, name, tensor)
            if axis and tensor.shape[0] == 0:
                raise self._no_rows(request, name, tensor)
        if self._has_optional:
            for name in self._required:
                if name not in given:
                    raise self._wrong_number(request)
        return rows

    def joins_with(self, request: InferRequest) -> Hashable:
        """Equal for two checked requests exactly when they may share a batch."""
        if not (self._shapes_vary or self._has_optional):
            return None
        inputs = request.inputs
        return tuple(
            [
                (name, None if io.ragged else inputs[name].shape[1:])
                for name, io in self.inputs.items()
                if name in inputs
            ]
        )

    def model_inputs(self, request: InferRequest, rows: int) -> dict[str, Tensor]:
        """Inputs in the shapes that the model itself reads."""
        if not self._reshapes_inputs:
            return request.inputs
        lead = (rows,) if self.max_batch_size else ()
        axis = len(lead)
        shaped = {}
        for name, tensor in request.inputs.items():
            io = self.inputs[name]
            if io.reshape is not None:
                tensor = tensor.reshape(lead + _reshaped(io.dims, tensor.shape[axis:], io.reshape))
            shaped[name] = tensor
        return shaped

    def client_outputs(self, outputs: dict[str, Tensor], requested: Sequence[str]) -> dict[str, Tensor]:
        """The outputs that were asked for, in the order and the shapes of the configuration.

        Raises: BackendFailed when the model wrote a shape that it does not write.
        """
        if requested or tuple(outputs) != self._output_names:
            outputs = {
                name: outputs[name]
                for name in self._output_names
                if name in outputs and (not requested or name in requested)
            }
        axis = 1 if self.max_batch_size else 0
        for io in self._reshaped_outputs:
            tensor = outputs.get(io.name)
            if tensor is not None and io.reshape is not None:
                if not _fits(io.reshape, tensor.shape[axis:]):
                    raise BackendFailed(
                        f"output '{io.name}' of model '{self.model_name}' has shape {dims_text(tensor.shape)}, but the "
                        f"configured reshape is {dims_text(io.reshape)}"
                    )
                dims = _reshaped(io.reshape, tensor.shape[axis:], io.dims)
                outputs = {**outputs, io.name: tensor.reshape(tensor.shape[:axis] + dims)}
        return outputs

    def _rows(self, request: InferRequest) -> int:
        rows = -1
        for name, tensor in reversed(request.inputs.items()):
            if tensor.ndim == 0:
                raise InvalidRequest(
                    f"{request_prefix(request.id)}input '{name}' has no shape but model requires batch dimension "
                    f"for '{self.model_name}'"
                )
            if rows == -1:
                rows = tensor.shape[0]
            elif tensor.shape[0] != rows:
                raise InvalidRequest(
                    f"{request_prefix(request.id)}input '{name}' batch size does not match other inputs for "
                    f"'{self.model_name}'"
                )
        if rows > self.max_batch_size:
            raise InvalidRequest(
                f"{request_prefix(request.id)}inference request batch-size must be <= {self.max_batch_size} for "
                f"'{self.model_name}'"
            )
        return max(rows, 0)

    def _wrong_number(self, request: InferRequest) -> InvalidRequest:
        if self._has_optional:
            expected = f"number of inputs between {len(self._required)} and {len(self.inputs)} but"
        else:
            expected = f"{len(self.inputs)} inputs but"
        missing = [name for name in self._required if name not in request.inputs]
        return InvalidRequest(
            f"{request_prefix(request.id)}expected {expected} got {len(request.inputs)} inputs for model "
            f"'{self.model_name}'. Got input(s) {_quoted(list(request.inputs))}, but missing required input(s) "
            f"{_quoted(missing) if missing else ']'}. Please provide all required input(s)."
        )  # the lone bracket is Triton's own

    def _no_rows(self, request: InferRequest, name: str, tensor: Tensor) -> InvalidRequest:
        """Triton refuses it too, but speaks of bytes that are missing."""
        return InvalidRequest(
            f"{request_prefix(request.id)}inference request batch-size must be >= 1 for '{self.model_name}', got shape "
            f"{dims_text(tensor.shape)} for input '{name}'"
        )

    def _wrong_type(self, request: InferRequest, name: str, tensor: Tensor) -> InvalidRequest:
        datatype = datatype_of(tensor).replace("INVALID", "<invalid>")
        return InvalidRequest(
            f"{request_prefix(request.id)}inference input '{name}' data-type is '{datatype}', but model "
            f"'{self.model_name}' expects '{self.inputs[name].datatype}'"
        )

    def _wrong_shape(self, request: InferRequest, name: str, tensor: Tensor) -> InvalidRequest:
        lead, note = ((-1,), _BATCH_NOTE) if self.max_batch_size else ((), "")
        return InvalidRequest(
            f"{request_prefix(request.id)}unexpected shape for input '{name}' for model '{self.model_name}'. Expected "
            f"{dims_text(lead + self.inputs[name].dims)}, got {dims_text(tensor.shape)}. {note}"
        )


def dims_text(dims: Sequence[int]) -> str:
    """Triton's way of writing a shape: "[-1,16]"."""
    return "[" + ",".join(map(str, dims)) + "]"


def _declared(io: object) -> _Declared:
    reshape = tuple(io.reshape.shape) if io.HasField("reshape") else None  # type: ignore[attr-defined]
    return _Declared(
        name=io.name,  # type: ignore[attr-defined]
        datatype=datatype_of_config(io.data_type),  # type: ignore[attr-defined]
        dims=tuple(io.dims),  # type: ignore[attr-defined]
        optional=getattr(io, "optional", False),
        reshape=reshape,
        ragged=getattr(io, "allow_ragged_batch", False),
    )


def _fits(dims: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(dims) == len(shape) and all(dim in (-1, size) for dim, size in zip(dims, shape, strict=True))


def _reshaped(dims: tuple[int, ...], shape: tuple[int, ...], target: tuple[int, ...]) -> tuple[int, ...]:
    """`target` with its -1 replaced by the sizes that stand where `dims` has -1, in order."""
    variable = iter([size for dim, size in zip(dims, shape, strict=True) if dim == -1])
    return tuple([next(variable) if dim == -1 else dim for dim in target])


def _quoted(names: Sequence[str]) -> str:
    return "[" + ",".join(f"'{name}'" for name in names) + "]"
