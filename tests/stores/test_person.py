"""The packed state of a person, worked out by hand."""

from __future__ import annotations

import struct

import pytest

from bento.stores.person import NO_STATE, DamagedState, WatchEvent, pack_events, unpack_state


def test_nothing_stored_is_a_stranger() -> None:
    assert unpack_state(None) is NO_STATE


def test_an_event_takes_20_bytes_in_little_endian_order() -> None:
    assert pack_events([WatchEvent(7, 4.5, 99)]) == struct.pack("<qfq", 7, 4.5, 99)


def test_a_state_unpacks_sorted_by_time() -> None:
    value = struct.pack("<QI", 12, 1) + struct.pack("<qfq", 7, 4.5, 99) + struct.pack("<qfq", 8, 0.0, 98)
    state = unpack_state(value)
    assert (state.version, state.forgotten) == (12, True)
    assert state.events.tolist() == [(8, 0.0, 98), (7, 4.5, 99)]


@pytest.mark.parametrize("value", [b"", b"x" * 11, b"x" * 13, b"x" * 31])
def test_bytes_of_another_length_are_damaged(value: bytes) -> None:
    with pytest.raises(DamagedState, match=f"^{len(value)} bytes are no person state"):
        unpack_state(value)
