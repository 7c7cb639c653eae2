"""What is loaded once and stays need not be looked at by every garbage collection.

A full collection walks through all there is, and the whole process stands still meanwhile: with the embedded sample and
torch for 140-390 ms at a time, again and again, so long that Redis counts as hung and requests do without it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def spare_what_is_loaded() -> None:
    """Collect what nobody needs, then keep the garbage collector away from all that is left, for good."""
    gc.collect()
    gc.freeze()


@contextmanager
def loading_while_serving() -> Iterator[None]:
    """Collect nothing while this lasts, and never look at what is there in the end.

    So nothing stands still. What importing torch leaves behind uncollected is 7,000 small objects.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
