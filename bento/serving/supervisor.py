"""The process that supervises a worker: BentoML's, which starts the worker again when it ends.

Neither outlives the other for nothing: a worker that cannot start ends both, and a supervisor that is killed takes
its worker along, which would otherwise go on holding the ports.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""See prctl(2)."""


def stop_supervisor() -> None:
    """End the supervisor, which ends this worker: what failed once at the start would fail for ever."""
    os.kill(os.getppid(), signal.SIGTERM)


def end_with_supervisor() -> None:
    """Have the kernel end this process in good order when its supervisor dies, of whatever. Only Linux can."""
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
