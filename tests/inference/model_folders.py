"""Writes small models into a repository: ONNX graphs made on the spot, and Python models around gates."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import onnx
from onnx import TensorProto, helper

ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BF16": TensorProto.BFLOAT16,
    "BYTES": TensorProto.STRING,
}

GATED = """
    import triton_python_backend_utils as pb_utils
    from tests.inference.gates import gate

    class TritonPythonModel:
        def initialize(self, args):
            self.gate = gate(args["model_name"])

        def execute(self, requests):
            self.gate.enter([pb_utils.get_input_tensor_by_name(request, "X").as_numpy() for request in requests])
            return [
                pb_utils.InferenceResponse(
                    [pb_utils.Tensor("Y", pb_utils.get_input_tensor_by_name(request, "X").as_numpy())]
                )
                for request in requests
            ]
"""
"""Answers Y = X, one request FP32 (B, 1), but only while its gate is open."""

X_TO_Y = """
    input [{ name: "X" data_type: TYPE_FP32 dims: [ 1 ] }]
    output [{ name: "Y" data_type: TYPE_FP32 dims: [ 1 ] }]
"""


def write_onnx(
    repository: Path,
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    *,
    config: str = "",
    version: int = 1,
    initializers: list[onnx.TensorProto] | None = None,
) -> Path:
    """Write a graph as `<name>/<version>/model.onnx`, and its configuration, if any. Returns the model's folder."""
    graph = helper.make_graph(nodes, name, inputs, outputs, initializer=initializers or [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    folder = repository / name
    (folder / str(version)).mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(folder / str(version) / "model.onnx"))
    if config:
        (folder / "config.pbtxt").write_text(dedent(config))
    return folder


def tensor(name: str, datatype: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    """Declare an input or output of a graph; a text is a free axis."""
    return helper.make_tensor_value_info(name, ONNX_TYPES[datatype], shape)


def write_add_sub(repository: Path, name: str = "simple", *, config: str = "", version: int = 1) -> Path:
    """Triton's `simple` model: OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1, INT32 (B, 16)."""
    shape: list[int | str] = ["batch", 16]
    return write_onnx(
        repository,
        name,
        [
            helper.make_node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]),
            helper.make_node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"]),
        ],
        [tensor("INPUT0", "INT32", shape), tensor("INPUT1", "INT32", shape)],
        [tensor("OUTPUT0", "INT32", shape), tensor("OUTPUT1", "INT32", shape)],
        config=config,
        version=version,
    )


def write_identity(
    repository: Path, name: str, datatype: str = "FP32", *, config: str = "", shape: list[int | str] | None = None
) -> Path:
    """Y = X."""
    shape = ["batch", "length"] if shape is None else shape
    return write_onnx(
        repository,
        name,
        [helper.make_node("Identity", ["X"], ["Y"])],
        [tensor("X", datatype, shape)],
        [tensor("Y", datatype, shape)],
        config=config,
    )


def write_add_constant(repository: Path, name: str, constant: float, *, config: str = "", version: int = 1) -> Path:
    """Y = X + constant, FP32 (B, 1): tells which version answered."""
    return write_onnx(
        repository,
        name,
        [helper.make_node("Add", ["X", "c"], ["Y"])],
        [tensor("X", "FP32", ["batch", 1])],
        [tensor("Y", "FP32", ["batch", 1])],
        config=config,
        version=version,
        initializers=[helper.make_tensor("c", TensorProto.FLOAT, [1], [constant])],
    )


def write_python(
    repository: Path, name: str, config: str, source: str, *, files: dict[str, str] | None = None, version: int = 1
) -> Path:
    """Write a Python-backend model; `files` are written beside model.py. Returns the model's folder."""
    folder = repository / name
    version_folder = folder / str(version)
    version_folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.pbtxt").write_text(f'backend: "python"\n{dedent(config)}')
    (version_folder / "model.py").write_text(dedent(source))
    for path, content in (files or {}).items():
        (version_folder / path).parent.mkdir(parents=True, exist_ok=True)
        (version_folder / path).write_text(dedent(content))
    return folder


def write_gated(repository: Path, name: str, config: str = "") -> Path:
    """A model that answers Y = X while `gates.gate(name)` is open."""
    return write_python(repository, name, f"{X_TO_Y}\n{config}", GATED)
