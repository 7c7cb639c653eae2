"""A model repository that a real tritonserver and ours read alike: the classic `simple` models, as Python models."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

DATA_TYPES = ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64",
              "STRING")  # fmt: skip

_PREAMBLE = """
import os, sys
if "REFERENCE_SITE_PACKAGES" in os.environ:  # the real server's Python has no NumPy of its own
    sys.path.insert(0, os.environ["REFERENCE_SITE_PACKAGES"])
import json, time
import numpy as np
import triton_python_backend_utils as pb_utils

def tensor(request, name):
    return pb_utils.get_input_tensor_by_name(request, name).as_numpy()

def response(**outputs):
    return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor(name, value) for name, value in outputs.items()])
"""

_IDENTITY = """
class TritonPythonModel:
    def execute(self, requests):
        return [response(OUTPUT0=tensor(r, "INPUT0")) for r in requests]
"""

_ADD_AND_SUBTRACT = """
class TritonPythonModel:
    def execute(self, requests):
        return [response(OUTPUT0=tensor(r, "INPUT0") + tensor(r, "INPUT1"),
                         OUTPUT1=tensor(r, "INPUT0") - tensor(r, "INPUT1")) for r in requests]
"""

_ADD_AND_SUBTRACT_STRINGS = """
def strings(numbers):
    return np.array([str(n).encode() for n in numbers.reshape(-1)], dtype=np.object_).reshape(numbers.shape)

class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for r in requests:
            left, right = tensor(r, "INPUT0").astype(np.int64), tensor(r, "INPUT1").astype(np.int64)
            responses.append(response(OUTPUT0=strings(left + right), OUTPUT1=strings(left - right)))
        return responses
"""

_OPTIONAL = """
class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for r in requests:
            extra = pb_utils.get_input_tensor_by_name(r, "INPUT1")
            result = tensor(r, "INPUT0") if extra is None else tensor(r, "INPUT0") + extra.as_numpy()
            responses.append(response(OUTPUT0=result))
        return responses
"""

_REPEAT = """
class TritonPythonModel:
    def execute(self, requests):
        for r in requests:
            sender = r.get_response_sender()
            for index, value in enumerate(tensor(r, "IN")):
                if value < 0:
                    sender.send(pb_utils.InferenceResponse(error=pb_utils.TritonError("negative")))
                else:
                    sender.send(response(OUT=np.array([value], np.int32), IDX=np.array([index], np.uint32)))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""

_FAILING = """
class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse(error=pb_utils.TritonError("the film is missing")) for r in requests]
"""

_RAISING = """
class TritonPythonModel:
    def execute(self, requests):
        raise ValueError("broken reel")
"""

_SLOW = """
class TritonPythonModel:
    def execute(self, requests):
        time.sleep(max(float(tensor(r, "INPUT0").max()) for r in requests))
        return [response(OUTPUT0=tensor(r, "INPUT0")) for r in requests]
"""

_NUMBERS = """
class TritonPythonModel:
    def execute(self, requests):
        values = [0.1, 1.0, 1e20, 1e-7, 123456789.0, 1.5e-6, -0.0, 1 / 3, float("nan"), float("inf"), -float("inf")]
        texts = [b"plain", b'quote " back \\\\ slash /', b"tab\\t nl\\n nul\\x00 bell\\x07 del\\x7f",
                 "\\u00e9 \\u4e2d \\U0001F600".encode(), b"\\xff\\xfe", b""]
        made = dict(FP32=np.array(values, np.float32), FP64=np.array(values), STRING=np.array(texts, np.object_))
        return [response(**made) for r in requests]
"""

_TELL_CONTROLS = """
class TritonPythonModel:
    def execute(self, requests):
        controls = ("START", "END", "READY", "CORRID", "INPUT0")
        return [response(OUTPUT0=np.array([[tensor(r, name).reshape(-1)[0] for name in controls]], np.int64))
                for r in requests]
"""

_CONTROLS = """
    control_input { name: "START" control { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } }
    control_input { name: "END" control { kind: CONTROL_SEQUENCE_END int32_false_true: [ -1, 7 ] } }
    control_input { name: "READY" control { kind: CONTROL_SEQUENCE_READY bool_false_true: [ false, true ] } }
    control_input { name: "CORRID" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } }
"""

_ECHO_PARAMETERS = """
class TritonPythonModel:
    def execute(self, requests):
        seen = [json.dumps(json.loads(r.parameters()), sort_keys=True).encode() for r in requests]
        return [response(OUTPUT0=np.array([one], np.object_)) for one in seen]
"""


def write_repository(root: Path) -> None:
    """Write every model below `root`."""
    pair = [("INPUT0", "{0}", "16"), ("INPUT1", "{0}", "16")], [("OUTPUT0", "{0}", "16"), ("OUTPUT1", "{0}", "16")]
    _write(root, "simple", _ADD_AND_SUBTRACT, *_of_type(pair, "INT32"), batch=8)
    _write(root, "simple_string", _ADD_AND_SUBTRACT_STRINGS, *_of_type(pair, "STRING"), batch=8)
    _write(root, "simple_identity", _IDENTITY, *_one("STRING", "-1"), batch=8)
    for data_type in DATA_TYPES:
        _write(root, f"identity_{data_type.lower()}", _IDENTITY, *_one(data_type, "-1"))
    _write(root, "identity_2d", _IDENTITY, *_one("FP32", "2, -1"))
    _write(root, "raw_string", _IDENTITY, *_one("STRING", "1"), batch=4)
    _write(root, "classifier", _IDENTITY, [("INPUT0", "FP32", "5")],
           [("OUTPUT0", "FP32", "5", 'label_filename: "labels.txt"')], batch=8)  # fmt: skip
    (root / "classifier" / "labels.txt").write_text("drama\ncomedy\nhorror\n")
    _write(root, "classifier_unbatched", _IDENTITY, *_one("INT32", "5"))
    _write(root, "optional", _OPTIONAL, [("INPUT0", "FP32", "2"), ("INPUT1", "FP32", "2", "optional: true")],
           [("OUTPUT0", "FP32", "2")], batch=8)  # fmt: skip
    _write(root, "repeat_int32", _REPEAT, [("IN", "INT32", "-1")], [("OUT", "INT32", "1"), ("IDX", "UINT32", "1")],
           extra="model_transaction_policy { decoupled: true }")  # fmt: skip
    _write(root, "failing", _FAILING, *_one("INT32", "1"))
    _write(root, "raising", _RAISING, *_one("INT32", "1"))
    _write(root, "numbers", _NUMBERS, [("INPUT0", "INT32", "1")],
           [("FP32", "FP32", "-1"), ("FP64", "FP64", "-1"), ("STRING", "STRING", "-1")])  # fmt: skip
    _write(root, "echo_parameters", _ECHO_PARAMETERS, [("INPUT0", "INT32", "1")], [("OUTPUT0", "STRING", "1")])
    for name, strategy in (("direct", "direct { }"), ("oldest", "oldest { max_candidate_sequences: 4 }")):
        batching = f"max_sequence_idle_microseconds: 60000000 {strategy} {_CONTROLS}"
        _write(root, f"sequence_{name}", _TELL_CONTROLS, [("INPUT0", "INT32", "1")], [("OUTPUT0", "INT64", "5")],
               batch=4, extra=f"sequence_batching {{ {batching} }}")  # fmt: skip
    for name, timeout_us in (("slow", 5_000_000), ("patient", 0)):
        policy = f"max_queue_size: 1 allow_timeout_override: true default_timeout_microseconds: {timeout_us}"
        _write(root, name, _SLOW, *_one("FP32", "1"), batch=1,
               extra=f"dynamic_batching {{ default_queue_policy {{ {policy} timeout_action: REJECT }} }}")  # fmt: skip
    _write(root, "batching", _IDENTITY, *_one("FP32", "4"), batch=16, extra=dedent("""
        dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 }
        version_policy { all { } }
        parameters { key: "mood" value { string_value: "sad" } }
    """))  # fmt: skip


_Tensors = list[tuple[str, ...]]
"""Name, data type, dims and whatever else the configuration says of each tensor."""


def _one(data_type: str, dims: str) -> tuple[_Tensors, _Tensors]:
    return [("INPUT0", data_type, dims)], [("OUTPUT0", data_type, dims)]


def _of_type(pair: tuple[_Tensors, _Tensors], data_type: str) -> tuple[_Tensors, _Tensors]:
    inputs, outputs = ([tuple(word.format(data_type) for word in tensor) for tensor in side] for side in pair)
    return inputs, outputs


def _write(root: Path, name: str, source: str, inputs: _Tensors, outputs: _Tensors, batch: int = 0,
           extra: str = "") -> None:  # fmt: skip
    folder = root / name / "1"
    folder.mkdir(parents=True)
    tensors = "\n".join(
        f'{kind} {{ name: "{tensor}" data_type: TYPE_{data_type} dims: [ {dims} ] {" ".join(more)} }}'
        for kind, side in (("input", inputs), ("output", outputs))
        for tensor, data_type, dims, *more in side
    )
    config = f'name: "{name}"\nbackend: "python"\nmax_batch_size: {batch}\n{tensors}\n{extra}\n'
    (root / name / "config.pbtxt").write_text(config)
    (folder / "model.py").write_text(_PREAMBLE + source)
