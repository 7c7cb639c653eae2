"""A repository of tiny ONNX models, the classic `simple` ones of Triton's examples among them."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

_TYPES = {
    "INT32": TensorProto.INT32,
    "FP32": TensorProto.FLOAT,
    "STRING": TensorProto.STRING,
    "FP16": TensorProto.FLOAT16,
}


def write_repository(root: Path) -> None:
    """Write every model below `root`."""
    operations = [("Add", ["INPUT0", "INPUT1"], "OUTPUT0"), ("Sub", ["INPUT0", "INPUT1"], "OUTPUT1")]
    write_model(root, "simple", "INT32", ["INPUT0", "INPUT1"], operations, 16, batch=8)
    for name, data_type, width, batch in (
        ("simple_identity", "STRING", -1, 8),
        ("identity_fp32", "FP32", -1, 0),
        ("identity_fp16", "FP16", -1, 0),
        ("classifier", "FP32", 5, 8),
        ("cached", "FP32", 4, 8),
    ):
        extra = {"classifier": "", "cached": "response_cache { enable: true }"}.get(name, "")
        write_model(root, name, data_type, ["INPUT0"], [("Identity", ["INPUT0"], "OUTPUT0")], width, batch, extra)
    double = [("Add", ["INPUT0", "INPUT0"], "OUTPUT0")]
    batching = "dynamic_batching { preferred_batch_size: [ 8 ] max_queue_delay_microseconds: 500 }"
    write_model(root, "batched_double", "FP32", ["INPUT0"], double, 4, 16, batching)
    config = root / "classifier" / "config.pbtxt"
    config.write_text(config.read_text().replace("output { ", 'output { label_filename: "labels.txt" '))
    (root / "classifier" / "labels.txt").write_text("drama\ncomedy\nhorror\n")


def write_model(root: Path, name: str, data_type: str, inputs: list[str], operations: list[tuple[str, list[str], str]],
                width: int, batch: int, extra: str = "") -> None:  # fmt: skip
    """One model of one data type whose tensors all have the same shape."""
    (root / name / "1").mkdir(parents=True)
    (root / name / "1" / "model.onnx").write_bytes(onnx_file(data_type, inputs, operations, width, batch))
    outputs = [output for _, _, output in operations]
    tensors = "".join(
        f'{kind} {{ name: "{tensor}" data_type: TYPE_{data_type} dims: [ {width} ] }}\n'
        for kind, names in (("input", inputs), ("output", outputs))
        for tensor in names
    )
    config = f'name: "{name}"\nplatform: "onnxruntime_onnx"\nmax_batch_size: {batch}\n{tensors}{extra}\n'
    (root / name / "config.pbtxt").write_text(config)


def onnx_file(data_type: str, inputs: list[str], operations: list[tuple[str, list[str], str]], width: int,
              batch: int) -> bytes:  # fmt: skip
    """The bytes of a model.onnx."""
    shape = ([None] if batch else []) + [None if width < 0 else width]
    kind = _TYPES[data_type]
    graph = helper.make_graph(
        [helper.make_node(operation, taken, [given]) for operation, taken, given in operations],
        "tiny",
        [helper.make_tensor_value_info(name, kind, shape) for name in inputs],
        [helper.make_tensor_value_info(given, kind, shape) for _, _, given in operations],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
