"""Ids: one form for each, and tables of them."""

from __future__ import annotations

import numpy as np
import pytest

from features.ids import Id, IdTable, id_column, id_of, id_order, key_of


@pytest.mark.parametrize(
    ("given", "one_form"),
    [
        ("318", 318),
        (318, 318),
        ("0", 0),
        ("-7", -7),
        ("9007199254740991", 9007199254740991),
        ("9007199254740992", "9007199254740992"),
        (9007199254740992, "9007199254740992"),
        (-9007199254740992, "-9007199254740992"),
        (175928847299117063, "175928847299117063"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("000318", "000318"),
        ("-0", "-0"),
        ("+5", "+5"),
        ("5.0", "5.0"),
        ("٣", "٣"),
        ("5\n", "5\n"),
        ("tt0111161", "tt0111161"),
        ("", ""),
    ],
)
def test_an_id_is_a_number_where_the_number_says_what_the_text_says(given: int | str, one_form: Id) -> None:
    assert id_of(given) == one_form
    assert type(id_of(given)) is type(one_form)


def test_numbers_are_ordered_by_size_and_texts_after_them_by_alphabet() -> None:
    assert sorted(["b", 100, "a", -3, 20, "10000000000000000000"], key=id_order) == [
        -3, 20, 100, "10000000000000000000", "a", "b",
    ]  # fmt: skip


def test_the_key_of_a_number_is_the_number_and_that_of_a_text_lies_below_all_numbers() -> None:
    assert (key_of(318), key_of(-7)) == (318, -7)
    keys = {key_of(text) for text in ("tt0111161", "318x", "000318", "")}
    assert len(keys) == 4
    assert all(-(2**63) <= key <= -(2**62) for key in keys)


def test_a_table_finds_rows_by_number_text_and_key() -> None:
    table = IdTable.of([5, "005", "tt5"])
    assert [table.row_of(given) for given in (5, "5", "005", "tt5", "05", 6)] == [0, 0, 1, 2, None, None]
    assert [table.row_of_key(key_of(identity)) for identity in table.ids] == [0, 1, 2]
    assert table.row_of_key(key_of("05")) is None
    assert len(table) == 3


def test_an_extended_table_finds_old_and_new_ids() -> None:
    first = IdTable.of([5])
    longer = first.extended(["tt5", 7])
    assert [longer.row_of(given) for given in (5, "tt5", "7")] == [0, 1, 2]
    assert longer.row_of_key(key_of("tt5")) == 1
    assert (len(first), first.row_of(7)) == (1, None)


def test_an_id_that_comes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^there are 3 ids but only 2 distinct ones$"):
        IdTable.of(["a", 1, "a"])
    with pytest.raises(ValueError, match=r"^there are 3 ids but only 2 distinct ones$"):
        IdTable.of(["a", 1]).extended(["a"])


def test_a_column_is_of_numbers_only_where_all_ids_are() -> None:
    assert id_column([3, 1]).dtype == np.int64
    assert id_column([3, "tt1"]).tolist() == ["3", "tt1"]
