"""Shorter ways to run an ONNX session, on private parts of onnxruntime: all of the fast path's that touch it.

`FastSession` runs without the checks of `InferenceSession.run`, whose names the configuration's check has seen: 1 us a
run. `BoundMemory` has its inputs and outputs bound permanently to memory of its own, for requests of one shape: a run
makes no object, neither an array nor one of onnxruntime's. Measured with an addition of two vectors: 2.3 us a run
instead of 3.9. The rest of the backend knows `fast_session` alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import onnxruntime
import structlog

from bento.inference.core.messages import Tensor

log = structlog.get_logger()

PROVEN_ON = {"onnxruntime": "1.31.1"}
"""The version with which the tests of the fast path pass. Others are used where no part is missing."""

_OPTIONS = onnxruntime.RunOptions()
"""Without any given, each run makes its own."""


def fast_session(session: onnxruntime.InferenceSession) -> FastSession | None:
    """The session with its shorter ways; None, and one log line, where a part that they lean on is missing."""
    missing = missing_parts(session)
    if missing:
        _complain(tuple(missing))
        return None
    return FastSession(session)


def missing_parts(session: onnxruntime.InferenceSession) -> list[str]:
    """Names of the private parts that this onnxruntime lacks."""
    inner = getattr(session, "_sess", None)
    missing = [f"_sess.{name}" for name in ("run", "run_with_iobinding") if not callable(getattr(inner, name, None))]
    return missing if hasattr(session.io_binding(), "_iobinding") else [*missing, "_iobinding"]


@cache
def _complain(missing: tuple[str, ...]) -> None:
    installed = onnxruntime.__version__
    log.warning("fast path is off: parts are missing", missing=missing, installed=installed, proven_on=PROVEN_ON)


class FastSession:
    """A session and its shorter ways. Several threads may run it."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self.run = session._sess.run
        """As `InferenceSession.run`, without its checks."""

    def bound(self, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> BoundMemory | None:
        """Memory for tensors like these, which it just took and gave; None when it cannot repeat that."""
        try:
            bound = BoundMemory(self._session, inputs, outputs)
            return bound if bound.repeats(inputs.values(), outputs.values()) else None
        except Exception:  # onnxruntime's exceptions share no other base class
            return None


class BoundMemory:
    """For one thread at a time. Several may share a session."""

    def __init__(
        self, session: onnxruntime.InferenceSession, inputs: dict[str, Tensor], outputs: dict[str, Tensor]
    ) -> None:
        """Bind memory for tensors of these types and shapes. Raises: any exception of onnxruntime."""
        self._binding = session.io_binding()
        self._arrays: list[Tensor] = []  # own the memory that is bound
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
        """Run on `inputs`, into `outputs`. Raises: any exception of onnxruntime."""
        self._run(self._binding._iobinding, _OPTIONS)

    def repeats(self, inputs: Iterable[Tensor], outputs: Iterable[Tensor]) -> bool:
        """Whether a run on these inputs gives these outputs, bit for bit: a random model does not."""
        expected = [np.frombuffer(tensor.tobytes(), np.uint8) for tensor in outputs]
        for room, tensor in zip(self.inputs, inputs, strict=True):
            room[:] = tensor.tobytes()
        for room, given in zip(self.outputs, expected, strict=True):
            room[:] = np.invert(given).tobytes()
        self.run()
        return self._is_shared and all(
            room == given.tobytes() for room, given in zip(self.outputs, expected, strict=True)
        )
