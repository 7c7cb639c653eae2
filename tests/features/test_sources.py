"""The fused space: each source has its own columns, and all of them are taken."""

from __future__ import annotations

from features.sources import FUSED_WIDTH, NEIGHBOUR_SOURCE, SOURCE_WIDTHS, SOURCES, source_slices


def test_columns_follow_each_other_in_the_order_of_the_sources() -> None:
    assert source_slices() == {
        "sequence": slice(0, 64),
        "two_tower": slice(64, 128),
        "ials": slice(128, 192),
        "text": slice(192, 320),
        "poster": slice(320, 384),
        "popularity": slice(384, 385),
    }
    assert FUSED_WIDTH == 385


def test_the_neighbours_come_last_and_have_no_columns() -> None:
    assert (*SOURCE_WIDTHS, NEIGHBOUR_SOURCE) == SOURCES
    assert NEIGHBOUR_SOURCE not in source_slices()
