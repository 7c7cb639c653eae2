"""Control and state tensors that a model with sequence batching gets beside its inputs."""

from __future__ import annotations

from collections.abc import Sequence as Batch
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelSequenceBatching

from bento.inference.core.calls import NullCall, PendingCall
from bento.inference.core.datatypes import NUMPY_TYPES, datatype_of_config
from bento.inference.core.errors import InvalidRequest, LoadFailed, request_prefix
from bento.inference.core.messages import InferRequest, SequenceControl, Tensor
from bento.inference.core.model_config import path_inside
from bento.inference.scheduling.dynamic_batcher import Queued
from bento.inference.scheduling.sequence_batcher import Sequenced

_Control = ModelSequenceBatching.Control


class SequenceControls:
    """Adds control and state tensors to the requests of one model, and keeps the states that it writes."""

    def __init__(self, config: ModelConfig, model_folder: Path) -> None:
        """Raises: LoadFailed when a control or an initial state cannot be made."""
        self._name = config.name
        self._lead = (1,) if config.max_batch_size else ()
        self._controls = [
            (declared.name, control)
            for declared in config.sequence_batching.control_input
            for control in declared.control
        ]
        self._states = list(config.sequence_batching.state)
        self._initial = {state.input_name: self._initial_state(state, model_folder) for state in self._states}
        for name, control in self._controls:
            if control.kind != _Control.CONTROL_SEQUENCE_CORRID and len(_choices(control)) != 2:
                raise LoadFailed(
                    "sequence batching must specify either 'int32_false_true', 'fp32_false_true' or 'bool_false_true' "
                    f"for {_Control.Kind.Name(control.kind)} for {self._name} (control input '{name}')"
                )

    def check(self, request: InferRequest, rows: int) -> SequenceControl:
        """The sequence that a request belongs to. Raises: InvalidRequest."""
        if rows > 1:
            raise InvalidRequest(
                f"inference request to model '{self._name}' must specify batch-size 1 due to requirements of sequence "
                "batcher"
            )
        sequence = request.sequence
        if sequence is None or sequence.id in (0, ""):
            raise InvalidRequest(
                f"inference request to model '{self._name}' must specify a non-zero or non-empty correlation ID"
            )
        for name, control in self._controls:
            if control.kind == _Control.CONTROL_SEQUENCE_CORRID:
                expected = datatype_of_config(control.data_type)
                given = "BYTES" if isinstance(sequence.id, str) else "UINT64"
                if (given == "BYTES") != (expected == "BYTES"):
                    raise InvalidRequest(
                        f"{request_prefix(request.id)}sequence batching control '{name}' data-type is '{given}', but "
                        f"model '{self._name}' expects '{expected}'"
                    )
        return sequence

    def stage(self, batch: Batch[Queued[PendingCall] | None]) -> list[PendingCall | NullCall]:
        """The calls of a batch with their control and state tensors; slots without a request become null calls."""
        calls: list[PendingCall | NullCall] = []
        pattern = next(queued for queued in batch if queued is not None).item
        plain = dict(pattern.inputs)
        for queued in batch:
            if queued is None:
                calls.append(NullCall(pattern.request, {**plain, **self._null_tensors()}, pattern.rows))
                continue
            assert isinstance(queued, Sequenced)
            assert queued.sequence is not None
            control = queued.control
            if control.start:
                queued.sequence.state = {}
            call = queued.item
            states = {name: queued.sequence.state.get(name, initial) for name, initial in self._initial.items()}
            call.inputs = {**call.inputs, **self._control_tensors(control), **states}
            calls.append(call)
        return calls

    def keep_states(self, batch: Batch[Queued[PendingCall] | None]) -> None:
        """Remember what the model wrote into its state outputs, for the next request of each sequence."""
        for queued in batch:
            if isinstance(queued, Sequenced) and queued.item.outputs is not None and queued.sequence is not None:
                for state in self._states:
                    if state.output_name in queued.item.outputs:
                        queued.sequence.state[state.input_name] = queued.item.outputs[state.output_name]

    def _control_tensors(self, control: SequenceControl) -> dict[str, Tensor]:
        flags = {
            _Control.CONTROL_SEQUENCE_START: control.start,
            _Control.CONTROL_SEQUENCE_END: control.end,
            _Control.CONTROL_SEQUENCE_READY: True,
        }
        return {name: self._tensor(kind, flags, control.id) for name, kind in self._controls}

    def _null_tensors(self) -> dict[str, Tensor]:
        flags = dict.fromkeys(
            (_Control.CONTROL_SEQUENCE_START, _Control.CONTROL_SEQUENCE_END, _Control.CONTROL_SEQUENCE_READY), False
        )
        return {**{name: self._tensor(kind, flags, 0) for name, kind in self._controls}, **self._initial}

    def _tensor(self, control: Any, flags: dict[int, bool], id: int | str) -> Tensor:
        shape = (*self._lead, 1)
        if control.kind == _Control.CONTROL_SEQUENCE_CORRID:
            numpy_type = NUMPY_TYPES[datatype_of_config(control.data_type)]
            if numpy_type == np.object_:
                return np.full(shape, str(id).encode() if id else b"", dtype=numpy_type)
            wide = np.full(shape, id, dtype=np.uint64)
            return wide.astype(numpy_type)  # a narrower type loses the upper bits, as in Triton
        choices = _choices(control)
        return np.full(shape, choices[int(flags[control.kind])], dtype=choices.dtype)

    def _initial_state(self, state: Any, model_folder: Path) -> Tensor:
        dims = [max(dim, 0) if dim != -1 else 1 for dim in state.dims]
        numpy_type = NUMPY_TYPES[datatype_of_config(state.data_type)]
        empty: Any = b"" if numpy_type == np.object_ else 0
        if not state.initial_state:
            return np.full((*self._lead, *dims), empty, dtype=numpy_type)
        initial = state.initial_state[0]
        shape = (*self._lead, *initial.dims)
        if initial.WhichOneof("state_data") != "data_file":
            return np.full(shape, empty, dtype=numpy_type)
        path = path_inside(model_folder / "initial_state", initial.data_file)
        try:
            return np.frombuffer(path.read_bytes(), dtype=numpy_type).reshape(shape)
        except (OSError, ValueError) as error:
            raise LoadFailed(f"failed to read initial state '{state.input_name}' from {path}: {error}") from error


def _choices(control: Any) -> Tensor:
    """(2,) the values of false and true."""
    if control.int32_false_true:
        return np.array(control.int32_false_true, dtype=np.int32)
    if control.fp32_false_true:
        return np.array(control.fp32_false_true, dtype=np.float32)
    return np.array(control.bool_false_true, dtype=np.bool_)
