"""What is loaded once and stays need not be looked at by every garbage collection.

A full collection walks through all there is, and the whole process stands still meanwhile: with the embedded sample and
torch for 140-390 ms at a time, again and again, so long that Redis counts as hung and requests do without it.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def spare_what_is_loaded() -> None:
    """Collect what nobody needs, then keep the garbage collector away from all that is left, for good."""
    gc.collect()
    gc.freeze()


USUAL_SWITCH_INTERVAL_S = sys.getswitchinterval()
SWITCH_INTERVAL_S = 0.0005
"""How long a loading thread may keep the interpreter from threads that wait for it. A request gives it away and takes
it back at every model and every socket, and with Python's own 5 ms waits as often: 64 questions at once took 490-550 ms
while torch was imported, with this 300-480 ms (three starts each, on a loaded machine)."""


@contextmanager
def loading_while_serving() -> Iterator[None]:
    """Collect nothing while this lasts, never look at what is there in the end, and let others in often.

    So nothing stands still. What importing torch leaves behind uncollected is 7,000 small objects.
    """
    gc.disable()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(USUAL_SWITCH_INTERVAL_S)  # not what it was: two models may be loaded at a time
        gc.freeze()
        gc.enable()
