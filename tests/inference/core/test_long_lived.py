"""What stays is spared from garbage collections, and the collector is always on again afterwards."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator

import pytest

from bento.inference.core.long_lived import (
    SWITCH_INTERVAL_S,
    USUAL_SWITCH_INTERVAL_S,
    freeze_loaded_objects,
    loading_while_serving,
)


class Film:
    """Something that only the garbage collector can free."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_is_loaded_is_out_of_the_collectors_sight_and_garbage_is_gone() -> None:
    kept, dropped = Film(), weakref.ref(Film())
    freeze_loaded_objects()
    assert dropped() is None
    assert not any(seen is kept for seen in gc.get_objects())


def test_nothing_is_collected_while_something_is_loaded() -> None:
    with loading_while_serving():
        assert not gc.isenabled()
        kept = Film()
    assert gc.isenabled()
    assert not any(seen is kept for seen in gc.get_objects())


def test_threads_that_wait_for_the_interpreter_get_it_sooner_while_something_is_loaded() -> None:
    with loading_while_serving():
        assert sys.getswitchinterval() == SWITCH_INTERVAL_S
        with loading_while_serving():
            pass
    assert sys.getswitchinterval() == USUAL_SWITCH_INTERVAL_S


def test_what_comes_later_is_collected_as_ever() -> None:
    freeze_loaded_objects()
    later = weakref.ref(Film())
    gc.collect()
    assert later() is None


def test_the_collector_is_on_again_after_a_failed_load() -> None:
    with pytest.raises(OSError, match="no such film"), loading_while_serving():
        raise OSError("no such film")
    assert gc.isenabled()
