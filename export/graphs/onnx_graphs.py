"""Networks to ONNX files: tensors named as in config.pbtxt, batch axis dynamic, equal networks giving equal files."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from export.durable_files import write_atomically
from export.errors import GraphRejected, SignatureMismatch
from export.example_inputs import Tensors
from export.graphs.parity import Run

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig

OPSET_VERSION = 18
"""The newest that torch's exporter writes without converting; tritonserver has read it since 23.04."""

MAX_IR_VERSION = 10
"""onnxruntime 1.18 and later read it, and with them tritonserver since 24.06."""

BATCH = "batch"

FREE_AXES = {
    "input_ids": {1: "length"},
    "attention_mask": {1: "length"},
    "pixels": {2: "height", 3: "width"},
    "candidate_rows": {1: "candidates"},
    "contributions": {1: "candidates"},
}
"""Axes of inputs that vary besides the batch, by name: equal names are equal lengths."""


def export_onnx(module: nn.Module, example: Tensors, config: ModelConfig, path: Path) -> None:
    """Write a network as ONNX; `module` has `input_names` and `output_names`, `example` at least two rows.

    Raises: GraphRejected, SignatureMismatch (names, types or dimensions are not config.pbtxt's).
    """
    names = tuple(module.input_names)  # type: ignore[arg-type]
    arguments = tuple(torch.from_numpy(np.ascontiguousarray(example[name])) for name in names)
    axes = _dynamic_axes(names)
    variadic = any(one.kind is one.VAR_POSITIONAL for one in signature(module.forward).parameters.values())
    try:
        with quiet_exporter():
            program = torch.onnx.export(
                module.eval(),
                arguments,
                input_names=list(names),
                output_names=list(module.output_names),  # type: ignore[arg-type]
                dynamic_shapes=(axes,) if variadic else axes,
                opset_version=OPSET_VERSION,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        assert program is not None
        model = program.model_proto
        _strip(model, config.name)
        _free_configured_outputs(model, config)
        onnx.checker.check_model(model, full_check=True)
    except (
        torch.onnx.errors.OnnxExporterError,
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
    ) as error:
        raise GraphRejected(config.name, error) from error
    check_signature(model, config)
    write_atomically(path, model.SerializeToString(deterministic=True))


def onnx_run(path: Path) -> Run:
    """The exported file on one CPU thread: inputs of a batch to outputs of a batch."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors: what a CPU cannot fold of a half-precision graph is no concern here
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = [tensor.name for tensor in session.get_inputs()]
    outputs = [tensor.name for tensor in session.get_outputs()]

    def run(batch: Tensors) -> Tensors:
        return dict(zip(outputs, session.run(outputs, {name: batch[name] for name in inputs}), strict=True))

    return run


def network_run(module: nn.Module) -> Run:
    """The network itself: inputs of a batch to outputs of a batch."""
    names, output_names = tuple(module.input_names), tuple(module.output_names)  # type: ignore[arg-type]

    def run(batch: Tensors) -> Tensors:
        with torch.inference_mode():
            outputs = module(*(torch.from_numpy(np.ascontiguousarray(batch[name])) for name in names))
        return {name: output.numpy() for name, output in zip(output_names, outputs, strict=True)}

    return run


def _dynamic_axes(names: tuple[str, ...]) -> tuple[dict[int, Any], ...]:
    dimensions: dict[str, Any] = {}
    return tuple(
        {
            axis: dimensions.setdefault(name, torch.export.Dim(name))
            for axis, name in {0: BATCH, **FREE_AXES.get(tensor, {})}.items()
        }
        for tensor in names
    )


def _strip(model: onnx.ModelProto, name: str) -> None:
    """Remove what does not compute: source lines, paths and the exporter's notes, which differ between machines."""
    model.ir_version = min(model.ir_version, MAX_IR_VERSION)
    model.producer_name, model.producer_version = "marquee", ""
    model.graph.name, model.doc_string, model.graph.doc_string = name, "", ""
    del model.metadata_props[:], model.graph.metadata_props[:], model.graph.value_info[:]
    parts = (model.graph.node, model.graph.initializer, model.graph.input, model.graph.output)
    for part in (part for group in parts for part in group):
        part.doc_string = ""
        del part.metadata_props[:]


def _free_configured_outputs(model: onnx.ModelProto, config: ModelConfig) -> None:
    """Declare as variable what config.pbtxt calls variable: Triton wants graph and configuration to agree.

    A network built for one catalogue has fixed lengths, where its configuration serves every catalogue.
    """
    configured = {tensor.name: tuple(tensor.dims) for tensor in config.output}
    for tensor in model.graph.output:
        dimensions = tensor.type.tensor_type.shape.dim
        for axis, length in enumerate(configured.get(tensor.name, ()), start=1):
            if length == -1 and axis < len(dimensions) and dimensions[axis].HasField("dim_value"):
                dimensions[axis].dim_param = f"{tensor.name}_{axis}"


def check_signature(model: onnx.ModelProto, config: ModelConfig) -> None:
    """Raises: SignatureMismatch, names, types or dimensions are not config.pbtxt's."""
    for exported, configured in ((model.graph.input, config.input), (model.graph.output, config.output)):
        given = {tensor.name: _describe(tensor.type.tensor_type) for tensor in exported}
        for tensor in configured:
            wanted = (_onnx_type(tensor.data_type), (-1, *tensor.dims))
            if given.pop(tensor.name, None) != wanted:
                actual = next(
                    (_describe(one.type.tensor_type) for one in exported if one.name == tensor.name), "nothing"
                )
                raise SignatureMismatch(config.name, tensor.name, actual, wanted)
        for name, actual in given.items():
            raise SignatureMismatch(config.name, name, actual, "nothing")


def _describe(tensor: onnx.TypeProto.Tensor) -> tuple[str, tuple[int, ...]]:
    """Type and dimensions, -1 where they vary."""
    lengths = (one.dim_value if one.HasField("dim_value") else -1 for one in tensor.shape.dim)
    return onnx.TensorProto.DataType.Name(tensor.elem_type), tuple(lengths)


def _onnx_type(triton_type: int) -> str:
    from tritonclient.grpc.model_config_pb2 import DataType

    name = DataType.Name(triton_type).removeprefix("TYPE_")
    return {"FP32": "FLOAT", "FP16": "FLOAT16"}.get(name, name)


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silence torch's messages about its own internals; errors are raised."""
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            # Sharing the batch axis among the inputs is what is wanted.
            warnings.filterwarnings("ignore", message="# The axis name: .* will not be used", category=UserWarning)
            yield
    finally:
        exporter_log.setLevel(level)
