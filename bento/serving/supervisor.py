"""The process that supervises a worker: BentoML's, which starts the worker again when it ends.

Neither outlives the other for nothing: a worker that cannot start ends both, and a supervisor that is killed takes
its worker along, which would otherwise go on holding the ports. A second SIGINT or SIGTERM ends both at once.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading

from bento.end_signals import END_SIGNALS, EndSignals

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


def end_at_second_signal() -> None:
    """Have this process, the supervisor, end at once at its second SIGINT or SIGTERM, which BentoML's loop passes over.

    Python writes the number of each signal into the socket, whatever its handler does. Called in the main thread.
    """
    numbers, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    threading.Thread(target=_end_at_second, args=(numbers,), name="second-signal", daemon=True).start()


def _end_at_second(numbers: socket.socket) -> None:
    signals = EndSignals()
    while True:
        for number in numbers.recv(64):
            if number in END_SIGNALS and signals.is_second():
                os._exit(128 + number)  # as a shell states it; `end_with_supervisor` takes the worker along
