"""Titles as MovieLens writes them."""

from __future__ import annotations

import pytest

from training.data.layouts.titles import split_title


@pytest.mark.parametrize(
    ("raw", "title", "year"),
    [
        ("Toy Story (1995)", "Toy Story", 1995),
        ("Matrix, The (1999)", "The Matrix", 1999),
        ("Beautiful Mind, A (2001)", "A Beautiful Mind", 2001),
        ("Auberge espagnole, L' (2002)", "L'Auberge espagnole", 2002),
        ("City of Lost Children, The (Cité des enfants perdus, La) (1995)",
         "The City of Lost Children (La Cité des enfants perdus)", 1995),
        ("Seven (a.k.a. Se7en) (1995)", "Seven (a.k.a. Se7en)", 1995),
        ("Good, the Bad and the Ugly, The (1966)", "The Good, the Bad and the Ugly", 1966),
        ("I, Tonya (2017)", "I, Tonya", 2017),
        ("(500) Days of Summer (2009)", "(500) Days of Summer", 2009),
        ("Death Note: Desu nôto (2006–2007)", "Death Note: Desu nôto", 2006),
        ("Fawlty Towers (1975-)", "Fawlty Towers", 1975),
        ("Blade Runner 2049 (2017) ", "Blade Runner 2049", 2017),
        ("2001: A Space Odyssey (1968)", "2001: A Space Odyssey", 1968),
        ("Babylon 5", "Babylon 5", None),
        ("Black Mirror: White Christmas (special)", "Black Mirror: White Christmas (special)", None),
        ("(1941)", "(1941)", None),
    ],
)  # fmt: skip
def test_a_title_becomes_a_name_and_a_year(raw: str, title: str, year: int | None) -> None:
    assert split_title(raw) == (title, year)
