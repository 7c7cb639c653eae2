"""Keeps objects that live as long as the process out of garbage collections.

A full collection walks through all there is, and the whole process stands still meanwhile: with the embedded sample and
torch for 140-390 ms at a time, again and again, so long that Redis counts as hung and requests do without it.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def freeze_loaded_objects() -> None:
    """Collect once, then exclude every object that is left from later collections, for the life of the process."""
    gc.collect()
    gc.freeze()


USUAL_SWITCH_INTERVAL_S = sys.getswitchinterval()
SWITCH_INTERVAL_S = 0.0005
"""How long a loading thread may keep the interpreter from threads that wait for it. A request gives it away and takes
it back at every model and every socket, and with Python's own 5 ms waits as often: 64 questions at once took 490-550 ms
while torch was imported, with this 300-480 ms (three starts each, on a loaded machine)."""


@contextmanager
def loading_while_serving() -> Iterator[None]:
    """Switch the collector off and threads often while loading; exclude from collections what was loaded.

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
