"""Why a list has fewer films than requested, as a sentence that all routes return. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]

OFFERED_AGAIN = "nothing unseen is left, so films that were seen already are offered again"


@dataclass(frozen=True, slots=True)
class Supply:
    """The films that a list could contain."""

    possible_rows: Rows
    """(P,) films that exist; with `filtered` those of them that pass the request's filters."""
    seen_rows: Rows
    """(S,) films that the person has seen; any order, duplicates allowed."""
    excluded_rows: Rows
    """(X,) films that the request left out."""
    filtered: bool


def why_short(shown_rows: Rows, wanted: int, supply: Supply) -> str | None:
    """The reason of a list; None where it is as long as requested and holds no seen film."""
    offered_again = bool(len(shown_rows)) and shown_rows[0] in supply.seen_rows  # all of a list, or none of it
    is_short = len(shown_rows) < wanted
    if offered_again:
        return OFFERED_AGAIN + (f"; {_count(supply, seen_counts=False)}" if is_short else "")
    return _count(supply) if is_short else None


def too_few_neighbours(shown: int, wanted: int) -> str | None:
    """The same for lists of similar films, which come from the whole catalogue."""
    if shown >= wanted:
        return None
    return f"there {'is' if shown == 1 else 'are'} only {shown} other film{'s' * (shown != 1)}"


def _count(supply: Supply, seen_counts: bool = True) -> str:
    """How many films there are, and how many of them were seen or excluded."""
    n = len(supply.possible_rows)
    if n == 0:
        return "no film passes these filters" if supply.filtered else "there is no film"
    seen = np.isin(supply.possible_rows, supply.seen_rows) & seen_counts
    excluded = np.isin(supply.possible_rows, supply.excluded_rows) & ~seen
    gone = [
        f"{count} {why}"
        for count, why in ((int(seen.sum()), "already seen"), (int(excluded.sum()), "excluded by the request"))
        if count
    ]
    of_them = f", of which {' and '.join(gone)}" if gone else ""
    films = f"{n} film{'s' * (n != 1)}"
    if supply.filtered:
        return f"only {films} {'passes' if n == 1 else 'pass'} these filters{of_them}"
    return f"there {'is' if n == 1 else 'are'} only {films}{of_them}"
