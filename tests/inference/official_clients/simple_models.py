"""The models that Triton's own client examples ask for, under the names and with the tensors that they expect."""

from __future__ import annotations

from pathlib import Path

from onnx import TensorProto, helper

from tests.inference.model_folders import tensor, write_add_sub, write_onnx, write_python

CONTROLLED = ("simple", "simple_dyna_sequence", "simple_identity", "simple_int8", "simple_sequence", "simple_string",
              "simple_string_dyna_sequence", "repeat_int32")  # fmt: skip
"""What the model control examples expect in the repository: all of them over gRPC, all but the last over HTTP."""

_CONTROLS = """
  control_input { name: "START" control { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } }
  control_input { name: "END" control { kind: CONTROL_SEQUENCE_END int32_false_true: [ 0, 1 ] } }
"""
_STATE = """
  state { input_name: "SUM_IN" output_name: "SUM_OUT" data_type: TYPE_INT32 dims: [ 1 ] }
"""
_INTEGER = """
  input { name: "INPUT" data_type: TYPE_INT32 dims: [ 1 ] } output { name: "OUTPUT" data_type: TYPE_INT32 dims: [ 1 ] }
"""

_REPEAT = """
import time
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            values, delays_ms, _ = (tensor.as_numpy() for tensor in request.inputs())
            for index, (value, delay_ms) in enumerate(zip(values, delays_ms)):
                time.sleep(delay_ms / 1e6)  # a thousandth of what is asked for: the order is what matters
                sender.send(pb_utils.InferenceResponse([
                    pb_utils.Tensor("OUT", np.array([value], np.int32)),
                    pb_utils.Tensor("IDX", np.array([index], np.uint32)),
                ]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""


def write_repository(root: Path, names: tuple[str, ...] = (*CONTROLLED, "densenet_onnx", "colours")) -> None:
    """Write the models of those names below `root`."""
    for name in names:
        _WRITERS[name](root)


def _write_simple(root: Path) -> None:
    write_add_sub(root, config="max_batch_size: 8")


def _write_identity(root: Path) -> None:
    shape: list[int | str] = ["batch", "length"]
    write_onnx(
        root,
        "simple_identity",
        [helper.make_node("Identity", ["INPUT0"], ["OUTPUT0"])],
        [tensor("INPUT0", "BYTES", shape)],
        [tensor("OUTPUT0", "BYTES", shape)],
        config="max_batch_size: 8",
    )


def _write_simple_as(root: Path, name: str, datatype: str) -> None:
    """`simple` for elements that ONNX cannot add: turned to INT32 and back."""
    shape: list[int | str] = ["batch", 16]
    kind = TensorProto.STRING if datatype == "BYTES" else TensorProto.INT8
    nodes = [helper.make_node("Cast", [f"INPUT{i}"], [f"number{i}"], to=TensorProto.INT32) for i in (0, 1)]
    for i, operation in enumerate(("Add", "Sub")):
        nodes.append(helper.make_node(operation, ["number0", "number1"], [f"result{i}"]))
        nodes.append(helper.make_node("Cast", [f"result{i}"], [f"OUTPUT{i}"], to=kind))
    inputs, outputs = ([tensor(f"{side}{i}", datatype, shape) for i in (0, 1)] for side in ("INPUT", "OUTPUT"))
    write_onnx(root, name, nodes, inputs, outputs, config="max_batch_size: 8")


def _write_sequence(root: Path) -> None:
    """OUTPUT = INPUT, and 1 more at the start of a sequence."""
    write_onnx(
        root,
        "simple_sequence",
        [helper.make_node("Add", ["INPUT", "START"], ["OUTPUT"]), helper.make_node("Identity", ["END"], ["ended"])],
        [tensor(name, "INT32", ["batch", 1]) for name in ("INPUT", "START", "END")],
        [tensor("OUTPUT", "INT32", ["batch", 1])],
        config=f"max_batch_size: 8 {_INTEGER} sequence_batching {{ {_CONTROLS} }}",
    )


def _write_dyna_sequence(root: Path, name: str, identity: str) -> None:
    """Ends with the sequence's id added. With ids of numbers as `simple_sequence`, with texts the sum so far."""
    is_text = identity == "STRING"
    control = (
        f'control_input {{ name: "CORRID" control {{ kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_{identity} }} }}'
    )
    nodes = [
        helper.make_node("Cast", ["CORRID"], ["number"], to=TensorProto.INT32),
        helper.make_node("Mul", ["number", "END"], ["last"]),
        helper.make_node("Add", ["INPUT", "SUM_IN" if is_text else "START"], ["so_far"]),
        helper.make_node("Add", ["so_far", "last"], ["OUTPUT"]),
    ]
    inputs = [tensor(one, "INT32", ["batch", 1]) for one in ("INPUT", "START", "END")]
    inputs.append(tensor("CORRID", "BYTES" if is_text else "UINT64", ["batch", 1]))
    outputs = [tensor("OUTPUT", "INT32", ["batch", 1])]
    if is_text:
        nodes.append(helper.make_node("Identity", ["so_far"], ["SUM_OUT"]))
        inputs.append(tensor("SUM_IN", "INT32", ["batch", 1]))
        outputs.append(tensor("SUM_OUT", "INT32", ["batch", 1]))
    strategy = f"oldest {{ max_candidate_sequences: 8 }} {_CONTROLS} {control} {_STATE if is_text else ''}"
    config = f"max_batch_size: 8 {_INTEGER} sequence_batching {{ {strategy} }}"
    write_onnx(root, name, nodes, inputs, outputs, config=config)


def _write_repeat(root: Path) -> None:
    write_python(
        root,
        "repeat_int32",
        """
        input [{ name: "IN" data_type: TYPE_INT32 dims: [ -1 ] }, { name: "DELAY" data_type: TYPE_UINT32 dims: [ -1 ] },
               { name: "WAIT" data_type: TYPE_UINT32 dims: [ 1 ] }]
        output [{ name: "OUT" data_type: TYPE_INT32 dims: [ 1 ] }, { name: "IDX" data_type: TYPE_UINT32 dims: [ 1 ] }]
        model_transaction_policy { decoupled: true }
        """,
        _REPEAT,
    )


def _write_densenet(root: Path) -> None:
    """The mean of an image: the example looks at the tensors' names and shapes only."""
    write_onnx(
        root,
        "densenet_onnx",
        [helper.make_node("ReduceMean", ["data_0"], ["fc6_1"], keepdims=1)],
        [tensor("data_0", "FP32", [3, 224, 224])],
        [tensor("fc6_1", "FP32", [1, 1, 1])],
        config="""
            input { name: "data_0" data_type: TYPE_FP32 dims: [ 3, 224, 224 ] }
            output { name: "fc6_1" data_type: TYPE_FP32 dims: [ 1, 1, 1 ] }
        """,
    )


def _write_colours(root: Path) -> None:
    """How much red, green and blue an image has, as classes."""
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    folder = write_onnx(
        root,
        "colours",
        [helper.make_node("ReduceMean", ["image", "axes"], ["amounts"], keepdims=0)],
        [tensor("image", "FP32", ["batch", 3, 32, 32])],
        [tensor("amounts", "FP32", ["batch", 3])],
        config="""
            max_batch_size: 8
            input { name: "image" data_type: TYPE_FP32 format: FORMAT_NCHW dims: [ 3, 32, 32 ] }
            output { name: "amounts" data_type: TYPE_FP32 dims: [ 3 ] label_filename: "labels.txt" }
        """,
        initializers=[axes],
    )
    (folder / "labels.txt").write_text("red\ngreen\nblue\n")


_WRITERS = {
    "simple": _write_simple,
    "simple_identity": _write_identity,
    "simple_string": lambda root: _write_simple_as(root, "simple_string", "BYTES"),
    "simple_int8": lambda root: _write_simple_as(root, "simple_int8", "INT8"),
    "simple_sequence": _write_sequence,
    "simple_dyna_sequence": lambda root: _write_dyna_sequence(root, "simple_dyna_sequence", "UINT64"),
    "simple_string_dyna_sequence": lambda root: _write_dyna_sequence(root, "simple_string_dyna_sequence", "STRING"),
    "repeat_int32": _write_repeat,
    "densenet_onnx": _write_densenet,
    "colours": _write_colours,
}
